"""Reports written out of the store: figures read, composed once, and written in each format.

The cloud is not asked: what the store does not know is named in the report, never filled with a zero.
"""

import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console.reports.brand import Brand, BrandError, brand_of
from store.reports.periods import Period
from store.times import now_ms

if TYPE_CHECKING:
    from console.reports.document import Document
    from store.database import Reader

__all__ = ["FORMATS", "BrandError", "ReportError", "Written", "customer"]

FORMATS: Final = ("html", "pdf", "md")

_UNFIT = re.compile(r"[^a-z0-9]+")


class ReportError(Exception):
    """A report cannot be written; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written about one customer, or about all of them."""

    oid: str
    """"" for a report about several."""
    name: str
    """A stranger's text."""
    files: tuple[Path, ...]
    gaps: tuple[str, ...]
    """What is missing of its figures, a sentence each; empty when it is whole."""
    figures: dict[str, Any]
    """The headline figures for JSON, each with what it rests on."""


def customer(
    reader: "Reader",
    oid: str,
    period: Period,
    formats: Iterable[str],
    out: Path,
    *,
    brands: Path,
    language: str = "",
    brand: Brand | None = None,
    now: int | None = None,
) -> Written:
    """Write the report of one customer.

    Args:
        period: as `store.reports.periods` makes them.
        formats: of FORMATS.
        out: the directory; it is made when missing, readable by this user alone.
        brands: the directory of brands (`Settings.brands`); it need not exist.
        language: in place of the brand's; "" leaves it.
        brand: in place of what `brands` and the tree say.
        now: milliseconds, UTC; the moment of the call when None.

    Raises:
        ReportError: there is no such organization, or a file cannot be written.
        BrandError: the customer's brand cannot be used.
    """
    from console.reports.customer import compose
    from store.reports.customer import customer as figures

    moment = now_ms() if now is None else now
    with reader.reading() as connection:
        found = figures(connection, oid, period, now=moment)
    if found is None:
        raise ReportError(f"There is no organization {oid} in the store.")
    chosen = brand or brand_of(brands, found.parameters, language=language)
    document = compose(found, chosen)
    files = write(document, chosen, formats, out, file_name(found.name, oid, period))
    return Written(oid, found.name, files, document.warnings, found.as_dict())


def file_name(name: str, oid: str, period: Period) -> str:
    """Of a report's files, without their endings: letters and digits of the name, and enough of the oid."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = _UNFIT.sub("-", plain).strip("-")[:48].strip("-")
    return "_".join(
        part for part in (words or "customer", _UNFIT.sub("", oid.lower())[:8], period.label) if part
    )


def write(
    document: "Document", brand: Brand, formats: Iterable[str], out: Path, name: str
) -> tuple[Path, ...]:
    """Write a document in each of these formats; the files.

    Raises:
        ReportError: one cannot be written.
    """
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"The directory {out} cannot be made: {error.strerror or error}.") from None
    files = []
    for ending in formats:
        path = out / f"{name}.{ending}"
        _put(path, WRITERS[ending](document, brand))
        files.append(path)
    return tuple(files)


def _html(document: "Document", brand: Brand) -> bytes:
    from console.reports.html import html

    return html(document, brand).encode("utf-8", "backslashreplace")


def _markdown(document: "Document", brand: Brand) -> bytes:
    from console.reports.markdown import markdown

    return markdown(document).encode("utf-8", "backslashreplace")


def _pdf(document: "Document", brand: Brand) -> bytes:
    from console.reports.pdf import pdf

    return pdf(document, brand)


WRITERS: Final[dict[str, Callable[["Document", Brand], bytes]]] = {
    "html": _html,
    "pdf": _pdf,
    "md": _markdown,
}


def _put(path: Path, data: bytes) -> None:
    """A file whole or not at all, readable by this user alone; one that is there is replaced."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from None
