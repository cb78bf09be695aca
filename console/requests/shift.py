"""Handing a shift over, saved queues, incidents over several customers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.content import Content

from console.operations import campaigns as campaign_operations
from console.operations import handover as operations
from console.operations import queues as queue_operations
from console.requests import Handler, Host, RefusedHere, read
from console.requests.triage import _wanted
from screens.dialogs.campaigns import Campaign, Campaigns
from screens.dialogs.confirm import Confirm
from screens.dialogs.queues import Queues
from screens.dialogs.write_item import WriteItem as ItemDialog
from screens.dialogs.write_line import WriteLine
from screens.keys import press
from screens.requests import (
    AcceptItem,
    BeginCampaign,
    BounceItem,
    DraftHandover,
    OpenQueue,
    PublishHandover,
    SaveQueue,
    ShowAlerts,
    ShowCampaigns,
    ShowQueues,
    WithdrawHandover,
    WriteItem,
)
from screens.widgets.text import line
from store import campaigns, handover, queues
from store.alerts import FilterError
from store.campaigns import CampaignError, of_several
from store.handover import HandoverError
from store.queues import NAME, QueueError
from store.triage import Selection, TriageError, resolve

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from screens.requests import Work


def _cloud(host: Host) -> Cloud | None:
    try:
        return host.cloud()
    except RefusedHere:
        return None  # what is wanted of a case waits for it


# -- hand-over -------------------------------------------------------------------------------------------


def _many(count: int, what: str) -> str:
    """`1 item`, `1,400 items`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


async def draft(host: Host, _request: DraftHandover) -> None:
    """The operator's draft anew."""
    store = host.writing_store()
    made = await asyncio.to_thread(
        lambda: operations.draft(
            store, host.operator, scope=host.context.scope.node_id, now=host.context.clock()
        )
    )
    count = len(made.items)
    host.say(
        f"Your draft has {count:,} item{'' if count == 1 else 's'}; "
        f"{press('handover.write', 'e')} writes one, "
        f"{press('handover.publish', 'P')} publishes it."
        if count
        else "You hold no alert and no case here: there is nothing to hand over."
    )


async def write_item(host: Host, request: WriteItem) -> None:
    """The texts of an item."""
    store = host.writing_store()

    found = await read(host, lambda c: handover.item(c, request.item))
    if found is None:
        raise RefusedHere("This item is no longer in the draft.")
    texts = await host.ask(ItemDialog(found))
    if texts is None:
        return
    try:
        await asyncio.to_thread(
            lambda: operations.edit(store, host.operator, request.item, texts, version=found.version)
        )
    except HandoverError as error:
        raise RefusedHere(str(error)) from error


async def publish(host: Host, request: PublishHandover) -> None:
    """Offer the draft, after asking; its texts then stand."""
    store = host.writing_store()

    found = await read(host, lambda c: handover.handover(c, request.handover))
    if found is None:
        raise RefusedHere("This hand-over is no longer there.")
    bare = sum(1 for item in found.items if not item.hypothesis)
    organizations = sorted({str(item.organization) for item in found.items})
    named = ", ".join(organizations[:3]) + (
        f" and {len(organizations) - 3} more" if len(organizations) > 3 else ""
    )
    question = f"Hand over {_many(len(found.items), 'item')} of {named}?"
    if bare:
        question += f"\n\n{bare:,} of them say nothing about what you think it is."
    question += "\n\nTheir texts then stand; what nobody has accepted can be taken back."
    if not await host.ask(Confirm(question, yes="hand over", no="write on")):
        return
    try:
        made, said = await operations.publish(
            store, host.operator, request.handover, cloud=_cloud(host), now=host.context.clock()
        )
    except HandoverError as error:
        raise RefusedHere(str(error)) from error
    waits = "waits" if len(made.items) == 1 else "wait"
    host.say(f"Handed over: {_many(len(made.items), 'item')} {waits} to be accepted. {said}".strip())


async def withdraw(host: Host, request: WithdrawHandover) -> None:
    """Take it back, after asking."""
    store = host.writing_store()
    question = (
        "Take this hand-over back?\n\nWhat was accepted of it stays accepted; the rest is yours as before."
    )
    if not await host.ask(Confirm(question, yes="take it back", no="leave it")):
        return
    try:
        await asyncio.to_thread(
            lambda: operations.withdraw(store, host.operator, request.handover, now=host.context.clock())
        )
    except HandoverError as error:
        raise RefusedHere(str(error)) from error
    host.say(f"Taken back; {press('handover.draft', 'd')} makes a new draft.")


async def accept(host: Host, request: AcceptItem) -> None:
    """Take an item; a lost race says who has it."""
    store = host.writing_store()
    try:
        done = await operations.accept(
            store,
            host.operator,
            request.item,
            version=request.version,
            cloud=_cloud(host),
            now=host.context.clock(),
        )
    except HandoverError as error:
        raise RefusedHere(str(error)) from error
    parts = []
    if done.item.alerts:
        parts.append(f"{_many(done.alerts, 'alert')} {'is' if done.alerts == 1 else 'are'} yours")
    if done.moved_on:
        parts.append(f"{done.moved_on:,} had moved on")
    if done.case:
        parts.append(f"the case: {done.case}")
    host.say(f"Accepted: {', '.join(parts) or 'nothing was left of it'}.")


async def bounce(host: Host, request: BounceItem) -> None:
    """Give an item back, with a reason."""
    store = host.writing_store()

    found = await read(host, lambda c: handover.item(c, request.item))
    if found is None:
        raise RefusedHere("This item is no longer there.")
    heading = Content("\n").join(
        [
            line(
                Content.styled("Give back  ", "bold"), (found.organization, "bold"), "   ", (found.title, "")
            ),
            Content("It stays with whoever hands it over; they are told why."),
        ]
    )
    reason = await host.ask(WriteLine(heading, "reason", does="give it back"))
    if reason is None:
        return
    try:
        await asyncio.to_thread(
            lambda: operations.bounce(
                store,
                host.operator,
                request.item,
                reason,
                version=request.version,
                now=host.context.clock(),
            )
        )
    except HandoverError as error:
        raise RefusedHere(str(error)) from error
    host.say("Given back.")


# -- saved queues ----------------------------------------------------------------------------------------


async def show_queues(host: Host, _request: ShowQueues) -> None:
    """The saved queues, until one is opened or they are left."""
    while True:
        found = await asyncio.to_thread(_queues, host)
        view = await host.show_mode("alerts")
        line_now = str(getattr(view, "filter_line", ""))
        answer = await host.ask(Queues(found, host.context, line_now=line_now))
        if answer is None:
            return
        if answer.deed == "open":
            await open_queue(host, OpenQueue(answer.name))
            return
        if answer.deed == "keep":
            await save_queue(host, SaveQueue(line_now))
        elif await host.ask(Confirm(f"Forget the queue {answer.name}?", yes="forget it", no="keep it")):
            store = host.writing_store()
            try:
                await asyncio.to_thread(queue_operations.remove, store, host.operator, answer.name)
            except QueueError as error:
                raise RefusedHere(str(error)) from error


def _queues(host: Host) -> list[queues.SavedQueue]:
    with host.context.reader.reading() as connection:
        return queues.queues(
            connection, host.operator, scope=host.context.scope.node_id, now=host.context.clock()
        )


async def open_queue(host: Host, request: OpenQueue) -> None:
    """Show it; from now on what comes to it is new."""
    if host.context.writable:
        store = host.writing_store()
        try:
            found = await asyncio.to_thread(
                lambda: queue_operations.look(store, host.operator, request.name, now=host.context.clock())
            )
        except QueueError as error:
            raise RefusedHere(str(error)) from error
    else:
        every = {str(each.name): each for each in await asyncio.to_thread(_queues, host)}
        if request.name not in every:
            raise RefusedHere("There is no queue of that name; :queues lists them.")
        found = every[request.name]
    view = await host.show_mode("alerts")
    view.post_message(ShowAlerts(str(found.line)))


async def save_queue(host: Host, request: SaveQueue) -> None:
    """Keep the filter under a name."""
    store = host.writing_store()
    heading = Content("\n").join(
        [
            line(Content.styled("Keep this queue", "bold")),
            line((request.line or "every open alert", "")),
            Content("under a name of one word; :queue NAME shows it."),
        ]
    )
    name = await host.ask(WriteLine(heading, "name", does="keep it", check=_why_no_name))
    if name is None:
        return
    try:
        new = await asyncio.to_thread(
            lambda: queue_operations.save(store, host.operator, name, request.line, now=host.context.clock())
        )
    except (QueueError, FilterError) as error:
        raise RefusedHere(str(error)) from error
    host.say(f"Kept: :queue {name} shows it." if new else f"{name} has this filter now.")


def _why_no_name(text: str) -> str:
    return "" if NAME.fullmatch(text) else "One word of at most 40 letters, digits, dots and dashes."


# -- campaigns -------------------------------------------------------------------------------------------


async def show_campaigns(host: Host, _request: ShowCampaigns) -> None:
    """The list, then one of them again and again until it is left."""

    while True:
        number = await host.ask(
            Campaigns(await read(host, lambda c: campaigns.campaigns(c, closed=True)), host.context)
        )
        if number is None:
            return
        if await _campaign(host, number):
            return


async def _campaign(host: Host, number: int, said: str = "") -> bool:
    """One campaign; whether the operator went elsewhere."""

    while True:
        found = await read(host, lambda c: campaigns.campaign(c, number))
        if found is None:
            raise RefusedHere("This campaign is no longer there.")
        answer = await host.ask(Campaign(found, host.context, said=said))
        said = ""
        if answer is None:
            return False
        if answer.deed == "alerts":
            view = await host.show_mode("alerts")
            view.post_message(ShowAlerts(f"oid:{answer.oid} status:any"))
            return True
        try:
            if answer.deed == "close":
                said = await _close(host, found)
            else:
                said = await _note(host, found, answer.oid if answer.deed == "customer" else "")
        except CampaignError as error:
            said = str(error)


async def _note(host: Host, found: campaigns.Whole, oid: str) -> str:
    store, number = host.writing_store(), found.campaign.id
    if oid:
        member = next(each for each in found.members if each.oid == oid)
        heading = Content("\n").join(
            [
                line(Content.styled("For  ", "bold"), (member.organization, "bold")),
                Content("It may name this customer and no other; that is checked."),
            ]
        )
    else:
        heading = line(Content.styled("For us  ", "bold"), (found.campaign.title, ""))

    def check(text: str) -> str:
        if not oid:
            return ""
        with host.context.reader.reading() as connection:
            others = campaigns.named_others(connection, text, oid)
        return f"It names {', '.join(others[:3])}: what is for one customer names no other." if others else ""

    text = await host.ask(WriteLine(heading, "text", does="keep it", check=check))
    if text is None:
        return ""
    into = False
    if oid:
        question = (
            "Also as a note in this customer's cases that hold alerts of it?\n\n"
            "It is internal there until somebody makes it public."
        )
        into = await host.ask(Confirm(question, yes="into the cases", no="only here"))
    _, said = await campaign_operations.note(
        store,
        host.operator,
        number,
        text,
        oid=oid,
        into_case=into,
        cloud=_cloud(host) if into else None,
        now=host.context.clock(),
    )
    return said or "Kept."


async def _close(host: Host, found: campaigns.Whole) -> str:
    store = host.writing_store()
    heading = Content("\n").join(
        [
            line(Content.styled("Close  ", "bold"), (found.campaign.title, "bold")),
            Content(f"{found.campaign.open:,} of its alerts are open, and stay so."),
        ]
    )
    conclusion = await host.ask(WriteLine(heading, "because", does="close it"))
    if conclusion is None:
        return ""
    await asyncio.to_thread(
        lambda: campaign_operations.close(
            store, host.operator, found.campaign.id, conclusion, now=host.context.clock()
        )
    )
    return "Closed."


async def begin_campaign(host: Host, request: BeginCampaign) -> None:
    """Ask for a title, and begin it."""
    store = host.writing_store()

    def read() -> tuple[int, ...]:
        ids: set[int] = set(request.chosen.alerts)
        with store.reader.reading() as connection:
            for wanted in _wanted(host, request.chosen):
                ids |= set(resolve(connection, Selection(wanted=wanted)).ids)
            # Before a title is asked for that would come to nothing.
            of_several(connection, ids)
        return tuple(sorted(ids))

    try:
        ids = await asyncio.to_thread(read)
    except (TriageError, CampaignError) as error:
        raise RefusedHere(str(error)) from error
    count = f"{len(ids):,} alert{'' if len(ids) == 1 else 's'}"
    heading = Content.styled(f"One incident over several customers, of {count}", "bold")
    title = await host.ask(WriteLine(heading, "title", does="begin it"))
    if title is None:
        return
    try:
        made = await asyncio.to_thread(
            lambda: campaign_operations.create(
                store, host.operator, title, Selection(ids=ids), now=host.context.clock()
            )
        )
    except CampaignError as error:
        raise RefusedHere(str(error)) from error
    await _campaign(host, made.campaign.id, "Begun.")


HANDLERS: dict[type[Work], Handler] = {
    DraftHandover: draft,
    WriteItem: write_item,
    PublishHandover: publish,
    WithdrawHandover: withdraw,
    AcceptItem: accept,
    BounceItem: bounce,
    ShowQueues: show_queues,
    OpenQueue: open_queue,
    SaveQueue: save_queue,
    ShowCampaigns: show_campaigns,
    BeginCampaign: begin_campaign,
}
