"""Break-glass: somebody is put into a group for a while, and taken out again whatever happens to the console.

The end is written down in the same transaction as the intent, before anything is sent; the membership is then
given, and later taken, by plans like any other (`console.operations.accessplans`). What ends it is a deadline
(`console.operations.deadlines`).
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Table, select

from console.limacharlie.errors import Denied, Gone
from console.operations import accessplans, deadlines
from store import breakglass, ingest, models
from store.accesschanges import AccessChange
from store.accessplans import PlanError, phrase
from store.breakglass import Effect, Glass, GlassError
from store.database import Store
from store.text import safe_text
from store.times import now_ms, parse_duration

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud

Result = TypeVar("Result")

_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]


class Refused(Exception):
    """Nothing was given; the text is the sentence for the operator."""


class WrongName(Refused):
    """What has to be typed was not."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        named = " and ".join(f"`{each}`" for each in missing)
        super().__init__(f"This has to be confirmed by typing {named}; nothing was changed.")
        self.missing = missing


class NotAllowed(Refused):
    """The console is read-only, or the credential may not do this."""


class Unknown(GlassError):
    """There is no such break-glass."""


@dataclass(frozen=True)
class Started:
    """What became of a start."""

    glass: Glass
    outcome: str
    """`given`; `asked` when nobody can say whether it was given: its end is kept all the same."""
    sentence: str


@dataclass(frozen=True)
class Ended:
    """What became of an end."""

    glass: Glass
    outcome: str
    """`done`, `already`, `failed` (it stays overdue, and is tried again), or `busy` (another one ends it)."""
    sentence: str


def wanted(principal: str, reason: str, ticket: str, lasts: str) -> tuple[str, str, str, int]:
    """What was asked for: e-mail in lower case, reason, ticket, and for how long (ms).

    Raises:
        GlassError: one of them is not understood, or missing.
    """
    email = principal.strip().casefold()
    if "@" not in email.strip("@") or len(email) > 320 or any(each.isspace() for each in email):
        raise GlassError(
            f"{safe_text(principal, 80) or 'Nobody'} is not an e-mail address; nothing was changed."
        )
    return email, *reasons(reason, ticket), duration(lasts)


def reasons(reason: str, ticket: str) -> tuple[str, str]:
    """Both without the space around them.

    Raises:
        GlassError: one is missing, or too long.
    """
    reason, ticket = reason.strip(), ticket.strip()
    for name, text, most in (
        ("reason", reason, breakglass.LONGEST_REASON),
        ("ticket", ticket, breakglass.LONGEST_TICKET),
    ):
        if not text:
            raise GlassError(f"Break-glass needs a {name}; nothing was changed.")
        if len(text) > most:
            raise GlassError(f"The {name} has more than {most} characters; nothing was changed.")
    return reason, ticket


def duration(text: str) -> int:
    """Milliseconds of `30m`, `2h`.

    Raises:
        GlassError: it is none, or too short or too long.
    """
    try:
        lasts = parse_duration(text) * 1000 if text.strip() else 0
    except (ValueError, IndexError) as error:
        raise GlassError(f"{safe_text(text, 40)}: {error}") from error
    if not breakglass.SHORTEST <= lasts <= breakglass.LONGEST:
        raise GlassError(
            f"Break-glass lasts from {breakglass.SHORTEST // 60_000}m to "
            f"{breakglass.LONGEST // 3_600_000}h; nothing was changed."
        )
    return lasts


async def look(gid: str, principal: str, *, store: Store, cloud: "Cloud") -> Effect:
    """What the membership would give, with the group read from the cloud just now.

    Raises:
        NotAllowed: the group is not this credential's to change.
        Refused: there is no such group.
        LimaCharlieError: the cloud cannot be asked.
    """
    try:
        group = await cloud.group(gid)
    except Denied as error:
        raise NotAllowed(f"This credential cannot change the group: {error} Nothing was changed.") from error
    except Gone as error:
        raise Refused("There is no such group any more; nothing was changed.") from error

    def write(connection: Connection) -> Effect:
        same = connection.execute(select(_GROUP.c.gid).where(_GROUP.c.complete)).scalars().all()
        ingest.put_groups(connection, [group], same=same)
        return breakglass.effect(connection, gid, principal)

    return await _write(store, write)


async def start(
    gid: str,
    principal: str,
    *,
    reason: str,
    ticket: str,
    lasts: int,
    store: Store,
    cloud: "Cloud",
    operator: str,
    confirm: Collection[str] = (),
    clock: Callable[[], int] = now_ms,
) -> Started:
    """Put somebody into a group, with an end.

    Args:
        principal: e-mail, in lower case.
        lasts: ms.
        confirm: what was typed: see `store.breakglass.Effect.phrases`.

    Raises:
        WrongName: something has to be typed first.
        NotAllowed: the group is not this credential's to change.
        Refused: the person is in the group already, or the cloud said no.
        GlassError: the same person has it already.
        LimaCharlieError: the cloud cannot be asked; nothing was changed.
    """
    if cloud.read_only:
        raise NotAllowed("This console is read-only; nothing was changed.")
    effect = await look(gid, principal, store=store, cloud=cloud)
    if effect.member:
        there = await _read(store, lambda c: breakglass.current(c, gid, principal))
        if there is not None:
            raise Refused(
                f"{safe_text(principal, 80)} has it already: break-glass {there.id}. Extend that one, or end "
                "it first; nothing was changed."
            )
        raise Refused(
            f"{safe_text(principal, 80)} is a member of {safe_text(effect.group, 60)} already, without an "
            "end; there is nothing to give, and nothing would be taken back. Nothing was changed."
        )
    missing = effect.missing(confirm)
    if missing:
        raise WrongName(missing)
    glass_id = await _write(
        store,
        lambda c: breakglass.begin(
            c, effect, reason=reason, ticket=ticket, lasts=lasts, by=operator, now=clock()
        ),
    )
    glass = await _glass(store, glass_id)
    try:
        outcome = await accessplans.carry_out(
            [AccessChange("add_member", gid=gid, principal=principal)],
            title=f"give break-glass {glass_id}: {glass.title}",
            store=store,
            cloud=cloud,
            operator=operator,
            confirm=phrase(effect.protected),
            source=breakglass.source_of(glass_id),
        )
    except (accessplans.Refused, PlanError) as error:
        await _over(store, glass, str(error), operator, clock())
        raise Refused(f"It was not given: {error}") from error
    step = outcome.steps[0].outcome
    why = outcome.steps[0].error or outcome.trouble or outcome.sentence
    if step == "done":
        return await _given(store, cloud, glass, operator, clock)
    if step == "waiting" and await _dropped(store, glass, why, operator, clock()):
        raise Refused(f"It was not given: {why}")
    if step in ("waiting", "sending", "unknown"):
        return await _asked(store, glass, why)
    await _over(store, glass, why, operator, clock())
    if step == "already":
        raise Refused(
            f"{safe_text(principal, 80)} was put into the group by somebody else a moment ago, without an "
            "end; nothing was changed here."
        )
    if step == "denied":
        raise NotAllowed(f"It was not given: {why}")
    raise Refused(f"It was not given: {why}")


async def _given(
    store: Store, cloud: "Cloud", glass: Glass, operator: str, clock: Callable[[], int]
) -> Started:
    """Note it; one whose end came meanwhile is ended at once."""
    await _write(store, lambda c: breakglass.given(c, glass.id, now=clock()))
    now = await _glass(store, glass.id)
    if now.overdue(clock()):
        await deadlines.due(store, cloud, clock(), operator=operator, ids=[glass.deadline_id])
        now = await _glass(store, glass.id)
    name = safe_text(glass.title, 160)
    return Started(now, "given", f"Given as break-glass {glass.id}, which ends by itself: {name}.")


async def _asked(store: Store, glass: Glass, why: str) -> Started:
    return Started(
        await _glass(store, glass.id),
        "asked",
        f"{safe_text(glass.title, 160)}: nobody can say yet whether it was given ({safe_text(why, 200)}). "
        "Its end is kept, and takes away whatever was given.",
    )


async def _over(store: Store, glass: Glass, why: str, operator: str, now: int) -> None:
    await _write(store, lambda c: breakglass.not_given(c, glass, why, by=operator, now=now))


async def _dropped(store: Store, glass: Glass, why: str, operator: str, now: int) -> bool:
    """Take back what was not sent; False when another process carries on with it."""

    def drop(connection: Connection) -> bool:
        try:
            deadlines.close_plans(connection, [breakglass.source_of(glass.id)], "it is being given just now")
        except deadlines.NotNow:
            return False
        if breakglass.sent(connection, glass.id):
            return False
        return breakglass.not_given(connection, glass, why, by=operator, now=now)

    return await _write(store, drop)


async def end(
    glass_id: int,
    *,
    store: Store,
    cloud: "Cloud | None",
    operator: str,
    clock: Callable[[], int] = now_ms,
    why: str = "",
) -> Ended:
    """Take it back now. Where that cannot be it is overdue from now on, and tried again by whoever connects.

    Args:
        cloud: None when there is none: then it is only made due.
        why: the reason for that.

    Raises:
        NotAllowed: the console is read-only.
        GlassError: there is no such break-glass, or it is over.
    """
    if cloud is not None and cloud.read_only:
        raise NotAllowed("This console is read-only; nothing was changed.")
    glass = await _glass(store, glass_id)
    await _write(store, lambda c: breakglass.ask_end(c, glass, by=operator, now=clock()))
    if cloud is not None:
        return await finish(glass_id, store=store, cloud=cloud, operator=operator, clock=clock)
    return Ended(
        await _glass(store, glass_id),
        "failed",
        f"{safe_text(glass.title, 160)} is OVERDUE: {why} Whatever connects to the cloud takes it back.",
    )


async def finish(
    glass_id: int,
    *,
    store: Store,
    cloud: "Cloud",
    operator: str,
    clock: Callable[[], int] = now_ms,
) -> Ended:
    """Take back what is due, at once.

    Raises:
        GlassError: there is no such break-glass.
    """
    glass = await _glass(store, glass_id)
    made = await deadlines.due(store, cloud, clock(), operator=operator, ids=[glass.deadline_id])
    now = await _glass(store, glass_id)
    name = safe_text(glass.title, 160)
    if not now.open:
        said = "was gone already" if now.end_reason in ("already", "never given") else "is taken back"
        return Ended(now, made[0].outcome if made else "done", f"{name}: the membership {said}.")
    if made:
        return Ended(now, "failed", made[0].sentence)
    return Ended(now, "busy", f"{name}: another console or command ends it at this moment.")


async def extend(
    glass_id: int,
    more: int,
    reason: str,
    *,
    store: Store,
    operator: str,
    confirm: Collection[str] = (),
    clock: Callable[[], int] = now_ms,
) -> Glass:
    """Let it last longer.

    Args:
        more: ms, from when it would have ended.
        confirm: as for `start`.

    Raises:
        GlassError: there is no such break-glass, it is over, or would last too long.
        WrongName: something has to be typed first.
    """
    glass = await _glass(store, glass_id)
    reason, _ = reasons(reason, str(glass.ticket))
    effect = await _read(store, lambda c: breakglass.effect(c, glass.gid, str(glass.principal)))
    missing = effect.missing(confirm)
    if missing:
        raise WrongName(missing)

    def write(connection: Connection) -> None:
        now = breakglass.get(connection, glass_id)
        assert now is not None  # noqa: S101  (read above, and never deleted)
        breakglass.extend(connection, now, more, reason, by=operator, now=clock())

    await _write(store, write)
    return await _glass(store, glass_id)


async def _glass(store: Store, glass_id: int) -> Glass:
    found = await _read(store, lambda c: breakglass.get(c, glass_id))
    if found is None:
        raise Unknown(f"There is no break-glass {glass_id}; `limegrove access break-glass list` names them.")
    return found


async def _read(store: Store, read: Callable[[Connection], Result]) -> Result:
    def go() -> Result:
        with store.reader.reading() as connection:
            return read(connection)

    return await asyncio.to_thread(go)


async def _write(store: Store, write: Callable[[Connection], Result]) -> Result:
    def go() -> Result:
        with store.writing() as connection:
            return write(connection)

    return await asyncio.to_thread(go)
