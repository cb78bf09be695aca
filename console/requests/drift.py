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

FOR_GOOD = "for good"
"""An acceptance without an end: it has to be said."""
USUALLY = "90d"
"""Until when is proposed."""

_SAYS = {
    "accept": "Accepted: no drift until the date, and as long as it is as it is now.\n"
    "A rollout still puts it right. Until a date such as 2026-12-31, for a time\n"
    f"such as 30d, or `{FOR_GOOD}`.",
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
    fields = [Field("reason", hint="why; it stands in the journal and beside the record", needed=True)]
    if decision == "accept":
        fields.append(Field("until", USUALLY, f"2026-12-31, 30d, or {FOR_GOOD}", needed=True, visited=True))

    def end(values: Values) -> int | None:
        if decision != "accept" or values[1].casefold() == FOR_GOOD:
            return None
        return until_of(values[1], now)

    def wrong(values: Values) -> str:
        if not values[0]:
            return "It needs a reason."
        try:
            end(values)
        except ValueError as error:
            return f"Until: {error} Or say `{FOR_GOOD}`."
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
    until = end(values)
    try:
        await asyncio.to_thread(
            lambda: operations.decide(
                store, drift, decision, until=until, reason=values[0], by=host.operator, key=key, now=now
            )
        )
    except Refused as error:
        raise RefusedHere(str(error)) from error
    when = f" until {host.context.when(until, seconds=False)}" if until is not None else ""
    if decision == "accept" and until is None:
        when = f" {FOR_GOOD}"
    host.say(f"{_DONE[decision]}{when}: {drift.what} of {organization}.")


HANDLERS: dict[type[Work], Handler] = {DecideDrift: decide}
