"""What the operator does to a machine, and asks of the past."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from textual.content import Content

from console.limacharlie.errors import LimaCharlieError
from console.operations import respond, searching
from console.requests import Handler, Host, RefusedHere
from screens.dialogs.choose_sensor import ChooseSensor
from screens.dialogs.confirm import Confirm
from screens.dialogs.search_cost import SearchCost
from screens.dialogs.sensor_card import SensorCard
from screens.dialogs.type_name import Name, TypeName
from screens.dialogs.write_search import SearchWanted, WriteSearch
from screens.dialogs.write_tag import WriteTag
from screens.keys import press
from screens.requests import (
    EndSearch,
    NewSearch,
    ShowAlerts,
    ShowOrganization,
    ShowSensor,
    ShowSensors,
)
from screens.widgets.text import line
from store.lcql import Question
from store.queries.organizations import organizations
from store.queries.sensors import sensors_of
from store.text import safe_text

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from console.operations.ports import Progress
    from screens.requests import Work
    from store.queries.sensors import SensorCard as Card
    from store.queries.sensors import SensorRow

SAID_EVERY = 0.25
"""Seconds between two sentences about how far something has come."""


# -- a machine -------------------------------------------------------------------------------------------


async def show_sensors(host: Host, request: ShowSensors) -> None:
    """Choose a sensor of an organization, then its card."""

    def read() -> tuple[str, list[SensorRow]]:
        with host.context.reader.reading() as connection:
            rows = sensors_of(connection, request.oid)
        return (str(rows[0].organization) if rows else "", rows)

    name, rows = await asyncio.to_thread(read)
    if not rows:
        raise RefusedHere(
            f"The store knows no sensor of this organization; {press('app.sync', 'r')} reads the cloud again."
        )
    sid = await host.ask(ChooseSensor(rows, host.context, organization=name))
    if sid:
        await show_sensor(host, ShowSensor(request.oid, sid))


async def show_sensor(host: Host, request: ShowSensor) -> None:
    """A machine's card, again and again until it is left: each deed comes back to it with what came of it."""
    said = ""
    while True:
        cloud, why = _connected(host)
        store = host.writing_store() if host.context.writable else None
        try:
            card = await respond.card(
                request.oid, request.sid, reader=host.context.reader, cloud=cloud, store=store, why=why
            )
        except LimaCharlieError as error:
            raise RefusedHere(str(error)) from error
        deed = await host.ask(SensorCard(card, host.context, said=said))
        match deed:
            case "isolate" | "rejoin":
                said = await _isolate(host, card, deed == "isolate")
            case "tag" | "untag":
                said = await _tag(host, card, remove=deed == "untag")
            case "again":
                said = ""
            case "alerts":
                view = await host.show_mode("alerts")
                view.post_message(ShowAlerts(_alerts_of(card)))
                return
            case "organization":
                view = await host.show_mode("organizations")
                view.post_message(ShowOrganization(card.oid))
                return
            case "search":
                await new_search(host, NewSearch(query=f"sid == {card.sid} | * | ", oid=card.oid))
                return
            case _:
                return


def _alerts_of(card: Card) -> str:
    """The filter line of a machine's alerts; a name with a quote in it cannot stand in one."""
    line_ = f"oid:{card.oid} status:any"
    if card.hostname and '"' not in card.hostname and card.hostname.isprintable():
        line_ += f' host:"{card.hostname}"'
    return line_


def _connected(host: Host) -> tuple[Cloud | None, str]:
    try:
        return host.cloud(), ""
    except RefusedHere as error:
        return None, str(error).partition(":")[0] + "."


async def _isolate(host: Host, card: Card, wanted: bool) -> str:
    does = "Cut off" if wanted else "Let back to the network"
    shown = safe_text(card.hostname or card.sid)
    heading = [
        line(Content.styled(f"{does}  ", "bold"), (card.hostname or card.sid, "bold"), Content("  of  "),
             (card.organization, "bold")),
        Content(
            "It reaches nothing but LimaCharlie until it is let back. Undone by u on its card."
            if wanted
            else "It reaches everything again. Undone by i on its card."
        ),
    ]  # fmt: skip
    names = [Name.of("host", str(card.hostname or card.sid), str(card.sid))]
    if card.protected:
        heading.append(Content.styled("This organization is protected: its name is typed as well.", "bold"))
        names.append(Name.of("customer", str(card.organization), card.oid))
    typed = await host.ask(
        TypeName(Content("\n").join(heading), names, does="cut it off" if wanted else "let it back")
    )
    if typed is None:
        return ""
    host.say(f"Asking for it: {shown}.")
    try:
        done = await respond.isolate(
            card.oid,
            str(card.sid),
            store=host.writing_store(),
            cloud=host.cloud(),
            typed=typed.names[0],
            organization=typed.names[1] if len(typed.names) > 1 else "",
            isolate=wanted,
            reason=typed.reason,
        )
    except (LimaCharlieError, respond.Refused) as error:
        return str(error)
    host.say(done.sentence, "warning" if done.outcome == "unknown" else "plain")
    return done.sentence


async def _tag(host: Host, card: Card, *, remove: bool) -> str:
    tags = [str(tag.name) for tag in card.tags]
    wanted = await host.ask(WriteTag(card.hostname or card.sid, str(card.organization), tags, remove=remove))
    if wanted is None:
        return ""
    try:
        done = await respond.tag(
            card.oid,
            str(card.sid),
            wanted.name,
            store=host.writing_store(),
            cloud=host.cloud(),
            ttl=wanted.ttl,
            remove=remove,
        )
    except (LimaCharlieError, respond.Refused) as error:
        return str(error)
    return done.sentence


# -- the past --------------------------------------------------------------------------------------------


async def new_search(host: Host, request: NewSearch) -> None:
    """Write a query, say what it costs, and run it when somebody agrees; the answers come into the store."""
    store, cloud = host.writing_store(), host.cloud()
    names = await asyncio.to_thread(_organizations, host, request.oid)
    if not names:
        raise RefusedHere("There is no organization in this scope to be asked.")
    scope = next(iter(names.values())) if request.oid else host.context.scope.name
    wanted = SearchWanted(request.query, 0, 0, request.stream)
    trouble = ""
    while True:
        found = await host.ask(
            WriteSearch(
                scope,
                len(names),
                query=wanted.query,
                since=wanted.words[0],
                until=wanted.words[1],
                stream=wanted.stream,
                most=wanted.most,
                trouble=trouble,
            )
        )
        if found is None:
            return
        wanted = found
        now = int(time.time())
        question = Question(
            wanted.query, now - wanted.since, now - wanted.until, wanted.stream, wanted.most, scope
        )
        host.say(f"Asking {len(names):,} organizations what it costs.")
        estimate = await searching.estimate(cloud, question, names, report=_Telling(host))
        host.say("")
        trouble = estimate.mistake
        if not trouble:
            break
    if not estimate.able:
        raise RefusedHere(f"No organization can be asked: {estimate.failed[0].error}")
    if not await host.ask(SearchCost(estimate, host.context)):
        host.say("Nothing was run.")
        return
    search_id = await asyncio.to_thread(lambda: searching.record(store, estimate, operator=host.operator))
    await host.show_mode("search")
    answers = await searching.run_stored(cloud, estimate, search_id, store=store, report=_Telling(host))
    if not answers:
        host.say("The search was ended.")
        return
    failed = [answer for answer in answers if answer.state == "failed"]
    rows = sum(answer.rows for answer in answers)
    said = f"{rows:,} rows of {len(answers) - len(failed):,} of {len(answers):,} organizations."
    if failed:
        said += f" {len(failed):,} failed, {failed[0].name}: {failed[0].error}"
    host.say(said, "warning" if failed else "plain")


def _organizations(host: Host, oid: str) -> dict[str, str]:
    """oid -> name of those that are asked."""
    with host.context.reader.reading() as connection:
        rows = organizations(connection, scope=host.context.scope.node_id, now=host.context.clock())
        if oid:
            rows = [row for row in organizations(connection, now=host.context.clock()) if row.oid == oid]
    return {row.oid: str(row.name) for row in rows if not row.gone}


class _Telling:
    """Says how far something has come, a few times a second at most."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= SAID_EVERY:
            self._told = now
            self._host.say(f"{progress.note}: {progress.done:,} of {progress.total:,} organizations")


async def end_search(host: Host, request: EndSearch) -> None:
    """End a search, after asking: what it looked at is billed all the same."""
    store = host.writing_store()
    question = "End this search?\n\nWhat it has found is kept; what it has looked at is billed all the same."
    if not await host.ask(Confirm(question, yes="end it", no="let it run")):
        return
    if not await asyncio.to_thread(searching.end, store, request.search):
        host.say("It has ended already.")


HANDLERS: dict[type[Work], Handler] = {
    ShowSensor: show_sensor,
    ShowSensors: show_sensors,
    NewSearch: new_search,
    EndSearch: end_search,
}
