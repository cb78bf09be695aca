"""Reports written after it was said for whom, in which formats, and where."""

from __future__ import annotations

import asyncio
from os.path import expanduser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.content import Content

from console.operations.reports import FORMATS, BrandError, ReportError, Written, customer, provider
from console.requests import Handler, Host, RefusedHere, read
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.requests import WriteReports
from screens.widgets.text import line
from store.access import counted
from store.reports import sources
from store.reports.periods import month
from store.text import Untrusted

if TYPE_CHECKING:
    from screens.requests import Work

NAMED: Final = 4
"""Customers that the question names; the rest is counted."""
_KINDS: Final = {"executive": "Executive report", "sla": "Report on service levels"}


async def write(host: Host, request: WriteReports) -> None:
    """Ask, and write; what failed is named."""
    settings = host.settings
    if settings is None:
        raise RefusedHere("Without a workspace there is no place to write to.")
    names = await read(host, lambda connection: sources.names(connection, request.oids or None))
    if request.oids and not names:
        raise RefusedHere("None of these customers is there any more.")
    place = settings.directory / "reports" / request.month
    values = await host.ask(
        FillIn(
            _heading(request, list(names.values()), host),
            [
                Field("formats", "html,pdf", f"of {', '.join(FORMATS)}"),
                Field("into", str(place), "a directory; it is made when missing"),
            ],
            does="write",
            wrong=_wrong,
        )
    )
    if values is None:
        return
    formats, out = _formats(values[0]), _directory(values[1])
    # What somebody typed may be a slip; the place in the workspace is not.
    ours = out == place
    # Without a zone it is in that of each customer's brand.
    period = month(request.month, "")
    reader, now, brands = host.context.reader, host.context.clock(), settings.brands
    done: list[Written] = []
    failed: list[str] = []
    if request.oids:
        for number, oid in enumerate(request.oids, 1):
            if len(request.oids) > 1:
                host.say(f"Writing {number:,} of {len(request.oids):,} reports")
            try:
                done.append(
                    await asyncio.to_thread(
                        customer, reader, oid, period, formats, out, brands=brands, now=now, parents=ours
                    )
                )
            except (ReportError, BrandError) as error:
                failed.append(f"{names.get(oid, Untrusted(oid))}: {error}")
    else:
        name = host.context.scope.name.rpartition("/")[2] if request.scope else ""
        try:
            done.append(
                await asyncio.to_thread(
                    provider, reader, request.kind, period, formats, out, scope=request.scope,
                    name=name, brands=brands, now=now, parents=ours,
                )
            )  # fmt: skip
        except (ReportError, BrandError) as error:
            failed.append(str(error))
    lacking = sum(bool(each.gaps) for each in done)
    said = counted(sum(len(each.files) for each in done), "file")
    if lacking:
        said += f", {lacking:,} of {len(done):,} reports lack something"
    said += f", in {out}"
    if failed:
        host.say(f"{len(failed):,} not written. {failed[0]} {said if done else ''}".rstrip(), "error")
    else:
        host.say(f"{said}.")


def _heading(request: WriteReports, names: list[Untrusted], host: Host) -> Content:
    if request.kind in _KINDS:
        what = line(
            (f"{_KINDS[request.kind]} ", "bold"),
            f"for {request.month}, over ",
            (host.context.scope.name, "bold"),
        )
    else:
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        what = line(
            f"Report for {request.month} to ",
            (", ".join(sorted(names, key=str.casefold)[:NAMED]), "bold"),
            more,
        )
    hint = "Names, colours, language and sections are those of each brand. A file that is there is replaced."
    return Content("\n").join([what, Content.styled(hint, "dim")])


def _directory(text: str) -> Path:
    return Path(expanduser(text))


def _formats(text: str) -> list[str]:
    return list(dict.fromkeys(each.strip().lower() for each in text.split(",") if each.strip()))


def _wrong(values: Values) -> str:
    formats = _formats(values[0])
    if not formats or any(each not in FORMATS for each in formats):
        return f"Formats: some of {', '.join(FORMATS)}, with commas between."
    return "" if values[1] else "Into which directory?"


HANDLERS: dict[type[Work], Handler] = {WriteReports: write}
