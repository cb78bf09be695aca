"""A deviation decided about once: its organization named, its reason asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.content import Content

from console.operations import drift as operations
from console.operations.drift import Refused
from console.requests import Handler, Host, RefusedHere
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.requests import DecideDrift
from screens.widgets.text import line
from store.drift import Drift, until_of
from store.queries.drift import at, of_one
from store.text import safe_text

if TYPE_CHECKING:
    from screens.requests import Work

_SAYS = {
    "accept": "Accepted: no drift until the date, and as long as it is as it is now.\n"
    "A rollout still puts it right.",
    "deny": "Denied: it is shown until it is put right.",
    "exclude": "Excluded: no drift, and in no plan, until that is taken back.",
}
_DONE = {"accept": "Accepted", "deny": "Denied", "exclude": "Excluded"}


async def decide(host: Host, request: DecideDrift) -> None:
    """Ask, and write the decision down."""
    store = host.writing_store()
    now, record = host.context.clock(), (request.section, request.name)

    def read() -> tuple[Drift | None, str, bytes | None]:
        key = host.context.redaction_key()
        with host.context.reader.reading() as connection:
            found = of_one(connection, request.oid, key=key, now=now)
        return at(found, request.oid, record), str(found.organizations.get(request.oid, request.oid)), key

    drift, organization, key = await asyncio.to_thread(read)
    if drift is None or drift.seen != request.seen:
        raise RefusedHere("The record changed meanwhile; nothing was decided.")
    if request.decision == "undo":
        question = f"Forget what was decided about {safe_text(drift.what)}\nof {safe_text(organization)}?"
        if await host.ask(Confirm(question)) and await asyncio.to_thread(
            operations.undecide, store, request.oid, record
        ):
            host.say(f"Nothing is decided about {drift.what} of {organization} any more.")
        return
    decision = request.decision
    fields = [Field("reason", hint="why; it stands in the journal and beside the record")]
    if decision == "accept":
        fields.append(Field("until", hint="2026-12-31, or 30d; left empty: for good"))

    def wrong(values: Values) -> str:
        if not values[0]:
            return "It needs a reason."
        if decision == "accept" and values[1]:
            try:
                until_of(values[1], now)
            except ValueError as error:
                return f"Until: {error}"
        return ""

    heading = Content("\n").join(
        [
            line(
                (f"{decision[:1].upper()}{decision[1:]} ", "bold"), (drift.what, "bold"), f" ({drift.drift})"
            ),
            line("of ", (organization, "bold")),
            Content.styled(_SAYS[decision], "dim"),
        ]
    )
    values = await host.ask(FillIn(heading, fields, does=decision, wrong=wrong))
    if values is None:
        return
    until = until_of(values[1], now) if decision == "accept" and values[1] else None
    try:
        await asyncio.to_thread(
            lambda: operations.decide(
                store, drift, decision, until=until, reason=values[0], by=host.operator, key=key, now=now
            )
        )
    except Refused as error:
        raise RefusedHere(str(error)) from error
    when = f" until {host.context.when(until, seconds=False)}" if until is not None else ""
    host.say(f"{_DONE[decision]}{when}: {drift.what} of {organization}.")


HANDLERS: dict[type[Work], Handler] = {DecideDrift: decide}
