"""Break-glass from the console: what goes on, a new one, and its end."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from console.limacharlie.errors import LimaCharlieError
from console.operations import breakglass as operations
from console.requests import Handler, Host, RefusedHere, read
from screens.dialogs.break_glass import BreakGlass, Glasses, Wanted
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import Field, FillIn
from screens.keys import press
from screens.requests import ShowBreakGlass
from screens.widgets.text import line
from store import breakglass
from store.access import counted
from store.breakglass import Effect, GlassError
from store.text import safe_text

if TYPE_CHECKING:
    from screens.requests import Work
    from store.breakglass import Glass


async def show(host: Host, request: ShowBreakGlass) -> None:
    """What goes on, again and again until it is left; where nothing does, a new one at once."""
    said = ""
    while True:
        found = await read(host, lambda c: breakglass.listed(c, only_open=True))
        if not found:
            if said:
                host.say(said)
            else:
                host.say(await _start(host, request))
            return
        answer = await host.ask(Glasses(found, host.context, said=said))
        if answer is None:
            return
        glass = next((each for each in found if each.id == answer.id), None)
        try:
            if answer.deed == "start" or glass is None:
                said = await _start(host, request)
            elif answer.deed == "end":
                said = await _end(host, glass)
            else:
                said = await _extend(host, glass)
        except RefusedHere as error:
            said = str(error)


async def _start(host: Host, request: ShowBreakGlass) -> str:
    """Choose a group, fill in the rest, and give it; answers what came of it, "" when it was left."""
    store, cloud = host.writing_store(), host.cloud()
    groups = await read(host, breakglass.groups)
    if not groups:
        raise RefusedHere(f"The store knows no group whole: {press('app.sync', 'r')} reads the cloud again.")
    choices = [
        Choice(
            gid, str(name), str(name), f"{'meant for it, ' if meant else ''}{counted(count, 'organization')}"
        )
        for gid, name, count, meant in groups
    ]
    gid = await host.ask(ChooseOrganization(choices, current=request.gid, title="Break-glass into"))
    if not gid:
        return ""
    try:
        effect = await operations.look(gid, request.principal, store=store, cloud=cloud)
    except (operations.Refused, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    wanted = await host.ask(
        BreakGlass(
            effect,
            principal=request.principal,
            ends=lambda text: _ends(host, text),
            wrong=lambda wanted: _wrong(effect, wanted),
        )
    )
    if wanted is None:
        return ""
    email, reason, ticket, lasts = operations.wanted(
        wanted.principal, wanted.reason, wanted.ticket, wanted.lasts
    )
    host.say(f"Asking for it: {safe_text(email, 80)}.")
    try:
        started = await operations.start(
            gid,
            email,
            reason=reason,
            ticket=ticket,
            lasts=lasts,
            store=store,
            cloud=cloud,
            operator=host.operator,
            confirm=wanted.typed,
            clock=host.context.clock,
        )
    except (operations.Refused, GlassError, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    host.say(started.sentence, "plain" if started.outcome == "given" else "warning")
    return started.sentence


def _ends(host: Host, text: str) -> str:
    """When it would end; ValueError with the sentence where it cannot be."""
    try:
        lasts = operations.duration(text)
    except GlassError as error:
        raise ValueError(_first(error)) from error
    moment = datetime.fromtimestamp((host.context.clock() + lasts) / 1000, host.context.zone)
    return (
        f"Taken back {moment:%Y-%m-%d %H:%M} {host.context.zone_name}, in {breakglass.lasts_words(lasts)}, "
        "even if this console is gone."
    )


def _first(error: GlassError) -> str:
    """Its sentence, without what was not changed: in a dialog nothing was."""
    return str(error).partition(";")[0].rstrip(".") + "."


def _wrong(effect: Effect, wanted: Wanted) -> str:
    try:
        operations.wanted(wanted.principal, wanted.reason, wanted.ticket, wanted.lasts)
    except GlassError as error:
        return _first(error)
    missing = effect.missing(wanted.typed)
    return f"Type {' and '.join(missing)} exactly as it stands above." if missing else ""


async def _end(host: Host, glass: Glass) -> str:
    """Take one back after asking."""
    store, cloud = host.writing_store(), host.cloud()
    question = f"Take it back now?\n\n{safe_text(glass.title, 200)}\nticket {safe_text(glass.ticket, 100)}"
    if not await host.ask(Confirm(question, yes="take it back", no="leave it")):
        return ""
    try:
        ended = await operations.end(
            glass.id, store=store, cloud=cloud, operator=host.operator, clock=host.context.clock
        )
    except GlassError as error:
        raise RefusedHere(str(error)) from error
    host.say(ended.sentence, "error" if ended.glass.open else "plain")
    return ended.sentence


async def _extend(host: Host, glass: Glass) -> str:
    """Let one last longer."""
    store = host.writing_store()
    effect = await read(host, lambda c: breakglass.effect(c, glass.gid, str(glass.principal)))
    fields = [Field("for", hint="how much longer: 30m, 1h"), Field("reason")]
    fields += [Field("confirm", hint=f"type {each}") for each in effect.phrases]

    def wrong(values: tuple[str, ...]) -> str:
        try:
            operations.duration(values[0])
            operations.reasons(values[1], "-")
        except GlassError as error:
            return _first(error)
        missing = effect.missing(values[2:])
        return f"Type {' and '.join(missing)} exactly." if missing else ""

    heading = line(("Let it last longer  ", "bold"), (glass.title, "bold"))
    values = await host.ask(FillIn(heading, fields, does="extend it", wrong=wrong))
    if values is None:
        return ""
    try:
        extended = await operations.extend(
            glass.id,
            operations.duration(values[0]),
            values[1],
            store=store,
            operator=host.operator,
            confirm=values[2:],
            clock=host.context.clock,
        )
    except (operations.Refused, GlassError) as error:
        raise RefusedHere(str(error)) from error
    return f"It ends {host.context.when(extended.due_at)}."


HANDLERS: dict[type[Work], Handler] = {ShowBreakGlass: show}
