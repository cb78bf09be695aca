"""The vendor's invoices read, and a statement written, from the screen of billing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from console.operations import billing as operations
from console.requests import Handler, Host, RefusedHere, read
from console.requests.triage import one_at_a_time
from screens.dialogs.confirm import Confirm
from screens.dialogs.write_line import WriteLine
from screens.requests import ExportStatement, ReadInvoices
from screens.widgets.text import line
from store.access import counted
from store.billing import NOTICE
from store.errors import StoreError
from store.months import called
from store.queries.organizations import organizations

if TYPE_CHECKING:
    from console.operations.ports import Progress
    from screens.requests import Work


async def invoices(host: Host, request: ReadInvoices) -> None:
    """Ask, read, and say of whom they could not be read."""
    store, cloud, now = host.writing_store(), host.cloud(), host.context.clock()
    found = await read(host, lambda c: organizations(c, scope=request.scope, now=now))
    number = sum(not row.gone for row in found)
    question = (
        f"Read LimaCharlie's invoices of {called(request.month)} for {counted(number, 'organization')}?\n\n"
        "Two requests for each; the key needs billing.ctrl. Nothing is changed there."
    )
    if not await host.ask(Confirm(question, yes="read them", no="leave it")):
        return

    def report(progress: Progress) -> None:
        if progress.done % 10 == 0:
            host.say(f"{progress.done:,} of {progress.total:,} invoices read.")

    made = await operations.read_invoices(
        store, cloud, request.month, scope=request.scope, report=report, clock=host.context.clock
    )
    said = f"{made.read:,} of {counted(made.organizations, 'invoice')} read"
    if made.none:
        said += f", {len(made.none):,} not there"
    if made.failed:
        oid, name, why = made.failed[0]
        more = f", and {len(made.failed) - 1:,} more" if len(made.failed) > 1 else ""
        host.say(f"{said}; not of {name or oid}{more}: {why}", "warning")
    else:
        host.say(f"{said}.")


async def export(host: Host, request: ExportStatement) -> None:
    """Ask for a file, and write what its name asks for."""
    settings = host.settings
    if settings is None:
        raise RefusedHere("This console has no workspace, and no brand to print with; nothing was written.")
    heading = Content("\n").join(
        [
            line(("Write the statement of ", "bold"), (called(request.month), "bold"), " for ",
                 (host.context.scope.name, "bold")),
            Content.styled("Its ending says what it is to be: .csv, .html, .pdf, .md or .json.", "dim"),
            Content.styled("For this user alone. " + NOTICE, "dim"),
        ]
    )  # fmt: skip
    proposed = str(Path.home() / f"statement-{request.month}.csv")

    def wrong(text: str) -> str:
        try:
            operations.form_of(text)
        except StoreError as error:
            return str(error)
        return ""

    where = await host.ask(WriteLine(heading, "file", does="write it", text=proposed, check=wrong))
    if where is None:
        return
    scope, now = host.context.scope, host.context.clock()
    try:
        found = await asyncio.to_thread(
            lambda: operations.write_statement(
                host.context.reader,
                Path(where).expanduser(),
                request.month,
                scope=request.scope,
                scope_name=scope.name if scope.node_id else "",
                brands=settings.brands,
                now=now,
            )
        )
    except StoreError as error:
        raise RefusedHere(str(error)) from error
    host.say(f"Written: {where}. {found.n_of_m}.")


HANDLERS: dict[type[Work], Handler] = {
    ReadInvoices: one_at_a_time(invoices),
    ExportStatement: one_at_a_time(export),
}
