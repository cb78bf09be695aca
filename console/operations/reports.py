"""Reports written out of the store: figures read, composed once, and written in each format.

The cloud is not asked: what the store does not know is named in the report, never filled with a zero.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console.operations.files import FileError, refuse_nowhere, write_private
from console.reports.brand import Brand, BrandError, brand_of
from store.reports.periods import Period, PeriodError
from store.times import now_ms

if TYPE_CHECKING:
    from console.reports.document import Document
    from store.database import Reader

__all__ = [
    "FORMATS",
    "KINDS",
    "BrandError",
    "Prepared",
    "ReportError",
    "Written",
    "customer",
    "prepare_customer",
    "prepare_provider",
    "provider",
    "put",
    "write",
]

FORMATS: Final = ("html", "pdf", "md")
KINDS: Final = ("executive", "sla")
"""Reports about all customers."""

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A report before it is written."""

    oid: str
    name: str
    document: "Document"
    brand: Brand
    figures: dict[str, Any]
    file: str
    """The name of its files, without their endings."""


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
    parents: bool = False,
) -> Written:
    """Write the report of one customer.

    Args:
        period: as `store.reports.periods` makes them; without a zone it is in that of the brand, else of the
            customer's documentation, else UTC.
        formats: of FORMATS.
        out: the directory; it is made when missing, readable by this user alone.
        parents: make what it lies in too; else that must be there.
        brands: the directory of brands (`Settings.brands`); it need not exist.
        language: in place of the brand's; "" leaves it.
        brand: in place of what `brands` and the tree say.
        now: milliseconds, UTC; the moment of the call when None.

    Raises:
        ReportError: there is no such organization, the period has not begun for it, or a file cannot be
            written.
        BrandError: the customer's brand cannot be used.
    """
    made = prepare_customer(reader, oid, period, brands=brands, language=language, brand=brand, now=now)
    return put(made, formats, out, parents=parents)


def prepare_customer(
    reader: "Reader",
    oid: str,
    period: Period,
    *,
    brands: Path,
    language: str = "",
    brand: Brand | None = None,
    now: int | None = None,
) -> Prepared:
    """The report of one customer, read and composed; arguments and errors as those of `customer`."""
    from console.reports.customer import compose
    from store.customers import customer as documentation
    from store.queries.scopes import parameters_of
    from store.reports.customer import customer as figures

    with reader.reading() as connection:
        chosen = brand or brand_of(brands, parameters_of(connection, oid), language=language)
        zone = chosen.time_zone or documentation(connection, oid).time_zone or "UTC"
        days, moment = _begun(period.within(zone), now)
        found = figures(connection, oid, days, now=moment)
    if found is None:
        raise ReportError(f"There is no organization {oid} in the store.")
    name = file_name(found.name, _UNFIT.sub("", oid.lower())[:8], days)
    return Prepared(oid, found.name, compose(found, chosen), chosen, found.as_dict(), name)


def provider(
    reader: "Reader",
    kind: str,
    period: Period,
    formats: Iterable[str],
    out: Path,
    *,
    scope: str = "",
    name: str = "",
    brands: Path,
    language: str = "",
    now: int | None = None,
    parents: bool = False,
) -> Written:
    """Write a report about all customers of a scope.

    Args:
        kind: of KINDS.
        scope: id of a tree node; "" is all.
        name: of the scope, as the report is to call it.
        parents: as for `customer`.

    Raises:
        ReportError: the period has not begun, or a file cannot be written.
        BrandError: the brand of the node cannot be used.
    """
    made = prepare_provider(
        reader, kind, period, scope=scope, name=name, brands=brands, language=language, now=now
    )
    return put(made, formats, out, parents=parents)


def prepare_provider(
    reader: "Reader",
    kind: str,
    period: Period,
    *,
    scope: str = "",
    name: str = "",
    brands: Path,
    language: str = "",
    now: int | None = None,
) -> Prepared:
    """A report about all customers of a scope, read and composed; as `provider`."""
    from console.reports import provider as documents
    from store.reports.provider import parameters_at
    from store.reports.provider import provider as figures

    with reader.reading() as connection:
        chosen = brand_of(brands, parameters_at(connection, scope), language=language)
        days, moment = _begun(period.within(chosen.time_zone or "UTC"), now)
        found = figures(connection, days, scope=scope, name=name, now=moment)
    document = (documents.executive if kind == "executive" else documents.levels)(found, chosen)
    return Prepared("", name, document, chosen, found.as_dict(), file_name(name, kind, days))


def _begun(period: Period, now: int | None) -> tuple[Period, int]:
    moment = now_ms() if now is None else now
    try:
        return period.begun(moment), moment
    except PeriodError as error:
        raise ReportError(str(error)) from None


def put(made: Prepared, formats: Iterable[str], out: Path, *, parents: bool = False) -> Written:
    """Write a prepared report.

    Raises:
        ReportError: a file cannot be written.
    """
    files = write(made.document, made.brand, formats, out, made.file, parents=parents)
    return Written(made.oid, made.name, files, made.document.warnings, made.figures)


def file_name(name: str, what: str, period: Period) -> str:
    """Of a report's files, without their endings: letters and digits of the name, and what it is about.

    Args:
        what: the beginning of an oid, or of KINDS.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = _UNFIT.sub("-", plain).strip("-")[:48].strip("-")
    return "_".join(part for part in (slug, what, period.label) if part)


def write(
    document: "Document", brand: Brand, formats: Iterable[str], out: Path, name: str, *, parents: bool = False
) -> tuple[Path, ...]:
    """Write a document in each of these formats; the files.

    Raises:
        ReportError: one cannot be written.
    """
    files = []
    try:
        if not parents:
            refuse_nowhere(out.parent)
        out.mkdir(mode=0o700, parents=parents, exist_ok=True)
        for ending in formats:
            path = out / f"{name}.{ending}"
            write_private(path, WRITERS[ending](document, brand))
            files.append(path)
    except FileError as error:
        raise ReportError(str(error)) from None
    except OSError as error:
        raise ReportError(f"The directory {out} cannot be made: {error.strerror or error}.") from None
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
