"""Access reviews: begun, decided line by line, planned, exported, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from textual.content import Content

from console.operations import reviews as operations
from console.requests import Handler, Host, RefusedHere, read
from console.requests.access import _decide as decide_plan
from console.requests.triage import one_at_a_time
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.dialogs.results import Item, Results
from screens.dialogs.write_line import WriteLine
from screens.keys import press
from screens.requests import (
    CloseReview,
    DecideLines,
    ExportReview,
    PlanReview,
    RefreshReview,
    StartReview,
)
from screens.widgets.text import line
from store import reviews
from store.access import counted
from store.reviews import ATTESTED, KINDS, LONGEST, OPEN, Decided, Line, ReviewError, ScopeGone, Wanted

if TYPE_CHECKING:
    from screens.requests import Work

_DOES = {ATTESTED: "attest", reviews.REVOKED: "revoke", OPEN: "take back"}
_DONE = {ATTESTED: "Attested", reviews.REVOKED: "Revoked", OPEN: "Taken back"}
_last: WeakKeyDictionary[Host, dict[int, str]] = WeakKeyDictionary()
"""The reason that was typed last in a console for each verdict: many lines are decided for one reason."""


async def start(host: Host, _request: StartReview) -> None:
    """Begin a review, and show its lines."""
    store, scope = host.writing_store(), host.context.scope

    def wrong(values: Values) -> str:
        if not values[0]:
            return "It needs a title: what is it for?"
        unknown = [word for word in values[2].split() if word not in KINDS]
        return f"There is no kind {unknown[0]}: {', '.join(KINDS)}." if unknown else ""

    heading = Content("\n").join(
        [
            Content.styled("Review who may do what below", "bold"),
            line((scope.name, "bold")),
            Content.styled("What is left empty is not limited.", "dim"),
        ]
    )
    values = await host.ask(
        FillIn(
            heading,
            [
                Field("title", hint="what it is for, such as: fourth quarter", needed=True),
                Field("who", hint="patterns, such as: *@customer.example"),
                Field("kinds", hint=" ".join(KINDS)),
                Field("gives", hint="a permission, such as: user.ctrl"),
            ],
            does="begin",
            wrong=wrong,
        )
    )
    if values is None:
        return
    title, who, kinds, permission = values
    wanted = Wanted(scope.node_id, tuple(who.split()), tuple(kinds.split()), permission)
    try:
        made = await asyncio.to_thread(
            lambda: operations.start(store, title, wanted, operator=host.operator, now=host.context.clock())
        )
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    view = await host.show_mode("review")
    if hasattr(view, "open_review"):
        view.open_review(made.id)
    host.say(
        f"Review {made.id} has {counted(made.progress.lines, 'line')}: "
        f"{press('review.attest', 'a')} attests, "
        f"{press('review.revoke', 'x')} revokes."
    )


async def refresh(host: Host, request: RefreshReview) -> None:
    """Write down how the access differs from what the lines say; a read-only console only shows it."""
    if not host.context.writable:
        return
    store = host.writing_store()
    try:
        moved = await asyncio.to_thread(
            lambda: operations.refresh(store, request.review, now=host.context.clock())
        )
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    if moved:
        host.say(
            f"The access changed meanwhile: {len(moved.new):,} new, {len(moved.changed):,} changed, "
            f"{len(moved.gone):,} gone."
        )


async def decide(host: Host, request: DecideLines) -> None:
    """Ask why, decide, and say what came of it; who was faster is named."""
    store = host.writing_store()
    found = await read(
        host, lambda c: reviews.lines(c, request.review, [number for number, _ in request.lines])
    )
    if not found:
        raise RefusedHere("These lines are no longer there.")
    heading = asked(request.verdict, found, request.findings)
    if request.verdict == OPEN:
        reason = ""
        if len(found) > 1 and not await host.ask(
            Confirm(heading.plain + "\n\nThe record keeps both.", yes="take back", no="leave it")
        ):
            return
    else:
        answer = await host.ask(
            WriteLine(
                heading, "reason", does=_DOES[request.verdict],
                instead=_last.get(host, {}).get(request.verdict, ""),
                check=lambda text: f"At most {LONGEST:,} characters." if len(text) > LONGEST else "",
            )
        )  # fmt: skip
        if answer is None:
            return
        reason = answer
        _last.setdefault(host, {})[request.verdict] = answer
    try:
        decided = await asyncio.to_thread(
            lambda: operations.decide(
                store, request.review, request.lines, request.verdict, operator=host.operator,
                reason=reason, now=host.context.clock(),
            )
        )  # fmt: skip
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    await _say(host, request, decided, found)


async def _say(host: Host, request: DecideLines, decided: Decided, found: list[Line]) -> None:
    said = f"{_DONE[request.verdict]}: {counted(len(decided.done) + len(decided.unchanged), 'line')}."
    if not decided.refused:
        plans = f" {press('review.plan', 'P')} makes the plan that takes it away."
        more = plans if request.verdict == reviews.REVOKED else ""
        host.say(said + more)
        return
    if len(request.lines) == 1:
        raise RefusedHere(decided.refused[0].why)
    named = {each.id: each for each in found}
    await host.ask(
        Results(
            Content.styled(f"{said} {counted(len(decided.refused), 'line')} not.", "bold"),
            [
                Item(
                    str(each.line), _what(named[each.line]), str(named[each.line].principal), "not decided",
                    each.why, bad=True,
                )
                for each in decided.refused
            ],
            can_undo=False,
            kind="PRINCIPAL",
            where="WAY",
        )
    )  # fmt: skip


def _what(each: Line) -> str:
    return f"{each.kind} of {each.group}" if each.group else each.kind


def asked(verdict: int, found: list[Line], wrong: Sequence[tuple[int, str]] = ()) -> Content:
    """What is decided about what: a line in full, of many the first ones; and what is wrong with them, as
    (line, sentence), the worst first."""
    does = _DOES[verdict].capitalize()
    if len(found) == 1:
        each = found[0]
        head = line((f"{does} ", "bold"), (each.principal, "bold"))
        return Content("\n").join([head, line((covers(each), "")), *_wrong(wrong)])
    people = len({str(each.principal) for each in found})
    head = Content.styled(f"{does} {counted(len(found), 'line')} of {counted(people, 'principal')}", "bold")
    shown = [line((f"  {each.principal}", ""), (f"   {covers(each)}", "dim")) for each in found[:5]]
    if len(found) > 5:
        shown.append(Content(f"  and {len(found) - 5:,} more"))
    by_line = {each.id: str(each.principal) for each in found}
    named = [(number, f"{by_line[number]}: {said}") for number, said in wrong if number in by_line]
    return Content("\n").join([head, *shown, *_wrong(named)])


def _wrong(said: Sequence[tuple[int, str]], most: int = 4) -> list[Content]:
    lines = [line(("! ", "bold ansi_yellow"), (each, "")) for _, each in said[:most]]
    return lines + [Content(f"! and {len(said) - most:,} more findings")] * (len(said) > most)


def covers(each: Line) -> str:
    """`member of Analysts: 12 permissions on 214 organizations`; a group's name is a stranger's text."""
    way = {
        "member": f"member of {each.group}",
        "owner": f"owner of {each.group}",
        "direct": "granted directly",
    }
    what = way.get(each.kind, "API key")
    on = f"{counted(each.permission_count, 'permission')} on {counted(each.place_count, 'organization')}"
    return f"{what}: {on}"


async def plan(host: Host, request: PlanReview) -> None:
    """One plan of everything that was revoked; the dialog of plans takes it from there."""
    store = host.writing_store()
    try:
        made = await asyncio.to_thread(
            lambda: operations.plan(store, request.review, operator=host.operator, now=host.context.clock())
        )
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    await decide_plan(host, made.plan)
    await asyncio.to_thread(lambda: operations.refresh(store, request.review, now=host.context.clock()))


async def close(host: Host, request: CloseReview) -> None:
    """Close it, after asking; undecided lines are named as such."""
    store = host.writing_store()
    try:
        with suppress(ScopeGone):
            await asyncio.to_thread(
                lambda: operations.refresh(store, request.review, now=host.context.clock())
            )
        found = await read(host, lambda c: reviews.review(c, request.review))
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    progress = found.progress
    question = f"Close review {found.id}: {found.title}?\n\nNothing of it changes any more."
    if progress.left:
        question += (
            f"\n\n{progress.left:,} of {progress.lines:,} lines wait for a decision; the evidence will say "
            "so."
        )
    if progress.revoked:
        question += f"\n\n{counted(progress.revoked, 'line')} revoked, and still there."
    if not await host.ask(Confirm(question, yes="close it", no="leave it open")):
        return
    try:
        await asyncio.to_thread(
            lambda: operations.close(
                store, request.review, operator=host.operator, incomplete=True, now=host.context.clock()
            )
        )
    except ReviewError as error:
        raise RefusedHere(str(error)) from error
    host.say(f"Review {found.id} is closed. {press('review.export', 'E')} writes its evidence.")


async def export(host: Host, request: ExportReview) -> None:
    """Ask where, sign, and write; what could not be read is counted, and named in the evidence."""
    from console import signing
    from store.credentials import CredentialError

    settings = host.settings
    if settings is None:
        raise RefusedHere("This console has no workspace to keep a key in; nothing was signed.")
    heading = Content("\n").join(
        [
            Content.styled(f"Write the evidence of review {request.review}", "bold"),
            Content.styled("A new directory is made there, for this user alone.", "dim"),
        ]
    )
    where = await host.ask(WriteLine(heading, "below", does="write it", text=str(Path.home() / "evidence")))
    if where is None:
        return
    writable = host.context.writable

    def write() -> operations.Exported:
        if writable:
            with suppress(ScopeGone):
                operations.refresh(host.writing_store(), request.review, now=host.context.clock())
        sign, key = signing.signer(settings, operations.KIND, may_make=writable)
        return operations.export(
            host.context.reader, request.review, Path(where).expanduser(), sign=sign, key=key,
            operator=host.operator, now=host.context.clock(),
        )  # fmt: skip

    try:
        made = await asyncio.to_thread(write)
    except (ReviewError, signing.SigningError, CredentialError) as error:
        raise RefusedHere(str(error)) from error
    lacking = f"; {len(made.unreadable):,} not readable, named in it" if made.unreadable else ""
    host.say(f"Written: {made.directory}{lacking}. Key {made.fingerprint}.")


HANDLERS: dict[type[Work], Handler] = {
    StartReview: one_at_a_time(start),
    RefreshReview: refresh,
    DecideLines: one_at_a_time(decide),
    PlanReview: one_at_a_time(plan),
    CloseReview: one_at_a_time(close),
    ExportReview: one_at_a_time(export),
}
