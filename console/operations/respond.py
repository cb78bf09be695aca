"""What is done to a machine: its card, cutting it off and letting it back, its tags.

A write is sent once: what is there is read, the intent goes into the journal, the write is made, and what the
cloud says afterwards is read and written down. An outcome that nobody knows is never tried again; the reading
afterwards tells what came of it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from console.limacharlie.errors import Ambiguous, Denied, Gone, LimaCharlieError
from console.operations.actor import actor
from store.ingest import milliseconds, put_sensor
from store.journal import append
from store.queries.sensors import SensorCard, Tag, with_alerts, with_record
from store.queries.sensors import card as stored_card
from store.text import Untrusted
from store.times import now_ms
from store.typednames import is_named

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from console.limacharlie.client import Cloud, OrganizationHandle
    from store.database import Reader, Store

LOOKS = 3
"""How often the cloud is asked whether a sensor has taken up its order, before the operator is told."""
PAUSE = 1.0
"""Seconds between two looks."""


class Refused(Exception):
    """Nothing was done; the text is the sentence for the operator."""


class NotAllowed(Refused):
    """The credential may not do this."""


class WrongName(Refused):
    """What was typed is not what had to be typed."""


@dataclass(frozen=True)
class Isolated:
    """What became of an isolation or a rejoining."""

    card: SensorCard
    isolate: bool
    """What was asked for; the other way it is a rejoining."""
    outcome: str
    """`confirmed`, `asked` (the cloud has taken the order, the sensor has not confirmed it), `already`
    (nothing had to be sent), or `unknown` (nobody can say whether the order was taken)."""
    sentence: str


@dataclass(frozen=True)
class Tagged:
    """What became of a tag."""

    card: SensorCard
    tag: str
    outcome: str
    """`done`, `already`, or `unknown`."""
    sentence: str


async def card(
    oid: str,
    sid: str,
    *,
    reader: "Reader",
    cloud: "Cloud | None",
    store: "Store | None" = None,
    why: str = "",
) -> SensorCard:
    """A sensor's card: from the cloud where it can be asked, else as the store has it, with the reason.

    Args:
        store: where what the cloud said is kept; None keeps nothing.
        why: the reason why there is no cloud.

    Raises:
        Gone: neither the cloud nor the store knows such a sensor.
    """
    base = await asyncio.to_thread(_stored, reader, oid, sid)
    if cloud is None:
        return _known(replace(base, trouble=why))
    try:
        return await _live(base, reader=reader, store=store, handle=cloud.organization(oid))
    except Gone:
        return _known(replace(base, trouble="The cloud knows no such sensor any more."))
    except LimaCharlieError as error:
        return _known(replace(base, trouble=str(error)))


def _known(card: SensorCard) -> SensorCard:
    if not card.known:
        why = card.trouble or "The store knows no such sensor."
        raise Gone(f"{why} Its id is {card.sid[:60]!a}.")
    return card


def _stored(reader: "Reader", oid: str, sid: str) -> SensorCard:
    with reader.reading() as connection:
        return stored_card(connection, oid, sid)


async def _live(
    base: SensorCard, *, reader: "Reader", store: "Store | None", handle: "OrganizationHandle"
) -> SensorCard:
    found = await handle.sensor(base.sid)
    rows = await handle.sensor_tags(base.sid)
    tags = tuple(_tag(name, row) for name, row in sorted(rows.items()))
    fresh = with_record(base, found.info, online=found.online, tags=tags, at=now_ms(), live=True)

    def keep(into: "Store") -> None:
        with into.writing() as connection:
            put_sensor(connection, base.oid, {**found.info, "sid": str(base.sid), "tags": sorted(rows)})

    if store is not None:
        await asyncio.to_thread(keep, store)

    def alerts() -> SensorCard:
        with reader.reading() as connection:
            return with_alerts(connection, fresh)

    return await asyncio.to_thread(alerts)


def _tag(name: str, row: list[str]) -> Tag:
    """`[sid, tag, by, "YYYY-MM-DD HH:MM:SS"]`; an odd row is only its name."""
    by, at = (row[2], milliseconds(row[3])) if len(row) > 3 else ("", None)
    return Tag(Untrusted(name), Untrusted(by), at)


def names_it(card: SensorCard, typed: str) -> bool:
    """Whether what was typed names the machine: its host name as shown, or its id.

    A host may call itself what no keyboard has; then its name as shown, or its id, does.
    """
    return is_named(typed, card.hostname, card.sid)


async def isolate(
    oid: str,
    sid: str,
    *,
    store: "Store",
    cloud: "Cloud",
    typed: str,
    organization: str = "",
    isolate: bool = True,
    reason: str = "",
    pause: "Callable[[float], Awaitable[Any]]" = asyncio.sleep,
) -> Isolated:
    """Cut a machine off the network but for LimaCharlie, or let it back.

    Args:
        typed: the machine's name, typed by the operator.
        organization: the organization's name, typed by the operator; asked for where it is protected.
        isolate: False lets it back.
        reason: why, for the journal.
        pause: waits so many seconds between two looks at the sensor.

    Raises:
        WrongName: a typed name is not the one; nothing was sent.
        NotAllowed: `sensor.task` is missing; nothing was changed.
        Gone: there is no such sensor.
        LimaCharlieError: it could not be read before; nothing was sent.
    """
    handle = cloud.organization(oid)
    before = await _before(oid, sid, store=store, handle=handle)
    _check_names(before, typed, organization)
    verb, does = ("isolate", "isolated") if isolate else ("rejoin", "rejoined")
    host = before.hostname or before.sid
    if before.wanted is isolate and before.isolated is isolate:
        state = "is isolated already" if isolate else "is not isolated"
        return Isolated(before, isolate, "already", f"{host} {state}; nothing was sent.")
    journal = _Journal(store, f"sensor.{verb}", before)
    await journal.intend({"wanted": before.wanted, "isolated": before.isolated, "reason": reason})
    trouble = ""
    try:
        await (handle.isolate_sensor(sid) if isolate else handle.rejoin_sensor(sid))
    except Ambiguous as error:
        trouble = str(error)
    except Denied as error:
        await journal.result("denied", {"error": str(error)})
        raise NotAllowed(f"{host} was not {does}: {error}") from error
    except LimaCharlieError as error:
        await journal.result("failed", {"error": str(error)})
        raise
    try:
        after = await _after(before, isolate, store=store, handle=handle, pause=pause)
    except LimaCharlieError as error:
        outcome = "unknown" if trouble else "asked"
        await journal.result(outcome, {"error": trouble, "not_read_back": str(error)})
        said = trouble or "the order was sent"
        return Isolated(
            before, isolate, outcome, f"{host}: {said}, and what came of it cannot be read: {error}"
        )
    outcome = _outcome(after, isolate)
    await journal.result(outcome, {"error": trouble, "wanted": after.wanted, "isolated": after.isolated})
    return Isolated(after, isolate, outcome, _sentence(after, isolate, outcome, trouble))


async def _after(
    before: SensorCard,
    isolate: bool,
    *,
    store: "Store",
    handle: "OrganizationHandle",
    pause: "Callable[[float], Awaitable[Any]]",
) -> SensorCard:
    """How the sensor stands after the order; an online one has a few seconds to take it up."""
    for look in range(LOOKS):
        after = await _live(before, reader=store.reader, store=store, handle=handle)
        if after.isolated is isolate or not after.online or look == LOOKS - 1:
            break
        await pause(PAUSE)
    return after


def _outcome(after: SensorCard, isolate: bool) -> str:
    if after.wanted is isolate and after.isolated is isolate:
        return "confirmed"
    if after.wanted is isolate:
        return "asked"
    return "unknown"


def _sentence(after: SensorCard, isolate: bool, outcome: str, trouble: str) -> str:
    host = after.hostname or after.sid
    if outcome == "confirmed":
        return (
            f"{host} is cut off: the sensor has confirmed it."
            if isolate
            else f"{host} is back on the network."
        )
    what = "isolation" if isolate else "rejoining"
    if outcome == "asked":
        waits = (
            "it is offline, and takes the order when it comes back"
            if not after.online
            else "it has not confirmed yet"
        )
        return f"Asked for the {what} of {host}: {waits}."
    why = f" {trouble}" if trouble else ""
    return f"The {what} of {host} cannot be seen in the cloud; look again before anything else.{why}"


async def tag(
    oid: str, sid: str, name: str, *, store: "Store", cloud: "Cloud", ttl: int = 0, remove: bool = False
) -> Tagged:
    """Add a tag to a sensor, or take it away.

    Args:
        ttl: seconds after which it goes by itself; 0 is never.

    Raises:
        Refused: it is no tag.
        NotAllowed: `sensor.tag` is missing, or for `acl:` tags `acl.set`.
        Gone: there is no such sensor.
        LimaCharlieError: it could not be read before; nothing was sent.
    """
    word = name.strip()
    if not word or "," in word:
        raise Refused("A tag is one word or more, without a comma: the cloud would take it for several.")
    handle = cloud.organization(oid)
    before = await _before(oid, sid, store=store, handle=handle)
    host = before.hostname or before.sid
    there = any(each.name == word for each in before.tags)
    if there is not remove and (remove or not ttl):
        state = "has no tag" if remove else "has the tag already:"
        return Tagged(before, word, "already", f"{host} {state} {word}; nothing was sent.")
    verb, does = ("untag", "untagged") if remove else ("tag", "tagged")
    journal = _Journal(store, f"sensor.{verb}", before)
    await journal.intend({"tag": word, "ttl": ttl, "tags": [str(each.name) for each in before.tags]})
    trouble = ""
    try:
        await (handle.untag_sensor(sid, word) if remove else handle.tag_sensor(sid, word, ttl))
    except Ambiguous as error:
        trouble = str(error)
    except Denied as error:
        await journal.result("denied", {"error": str(error)})
        raise NotAllowed(f"{host} was not {does}: {error}") from error
    except LimaCharlieError as error:
        await journal.result("failed", {"error": str(error)})
        raise
    try:
        after = await _live(before, reader=store.reader, store=store, handle=handle)
    except LimaCharlieError as error:
        await journal.result("unknown", {"error": trouble, "not_read_back": str(error)})
        return Tagged(
            before,
            word,
            "unknown",
            f"{host}: whether {word} was {'removed' if remove else 'set'} cannot be read: {error}",
        )
    done = any(each.name == word for each in after.tags) is not remove
    await journal.result(
        "done" if done else "unknown", {"error": trouble, "tags": [str(each.name) for each in after.tags]}
    )
    if not done:
        why = f" {trouble}" if trouble else ""
        return Tagged(
            after, word, "unknown", f"The cloud does not show it: look again before anything else.{why}"
        )
    return Tagged(after, word, "done", f"{host} {'lost' if remove else 'has'} the tag {word}.")


async def _before(oid: str, sid: str, *, store: "Store", handle: "OrganizationHandle") -> SensorCard:
    base = await asyncio.to_thread(_stored, store.reader, oid, sid)
    try:
        return await _live(base, reader=store.reader, store=store, handle=handle)
    except Denied as error:
        raise NotAllowed(f"The sensor cannot be read first, and nothing was sent: {error}") from error


def _check_names(card: SensorCard, typed: str, organization: str) -> None:
    if not names_it(card, typed):
        raise WrongName(
            f"What was typed is not the name of this machine: it is {card.hostname or card.sid}, "
            "its id does too. Nothing was sent."
        )
    if card.protected and not is_named(organization, card.organization, card.oid):
        raise WrongName(
            f"{card.organization} is protected: its name has to be typed as well. Nothing was sent."
        )


class _Journal:
    """The intent before a write, and what came of it, as two entries that name each other."""

    def __init__(self, store: "Store", action: str, card: SensorCard) -> None:
        self._store = store
        self._action = action
        self._oid = card.oid
        self._target = card.hostname or card.sid
        self._sid = str(card.sid)
        self._intent = 0

    async def intend(self, detail: dict[str, Any]) -> None:
        self._intent = await asyncio.to_thread(
            self._write, {"step": "intent", "sid": self._sid, "before": detail}
        )

    async def result(self, outcome: str, detail: dict[str, Any]) -> None:
        after = {name: value for name, value in detail.items() if value not in ("", None)}
        await asyncio.to_thread(
            self._write,
            {"step": "result", "intent": self._intent, "sid": self._sid, "outcome": outcome, "after": after},
        )

    def _write(self, detail: dict[str, Any]) -> int:
        with self._store.writing() as connection:
            return append(connection, actor(), self._action, self._oid, str(self._target), detail)
