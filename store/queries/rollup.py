"""Everything about the organizations, summed up over the tree, and kept up to date by what changed.

A `Rollup` is in memory: how each organization stands (`store.queries.standing`), and for each node the sums
and orders over what is below it. `refresh` asks `store.changes` which organizations were written since, and
the clock which of them are otherwise by now; only those are read again, and only what stands above them is
summed up anew. So it costs as much among ten thousand organizations as among a hundred. One lock guards it:
any thread may ask, each with a connection of its own, and what is answered never changes afterwards.
"""

import heapq
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Table, func, select, text

from store import changes, models
from store.alerts import WOKEN
from store.bodies import storable
from store.handover import waiting_for
from store.queries.scopes import UNPLACED, UNPLACED_NAME
from store.queries.standing import (
    COUNTED,
    HOUR,
    Standing,
    Standings,
    read_alerts,
    read_cases,
    read_held,
    read_keys,
    read_sensors,
    read_state,
    standings,
)
from store.queries.totals import HEALTH, TreeRow
from store.text import Untrusted

_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]

ATTENTION = 50
"""Organizations that need someone, of which an overview names so many."""

HOURS = 24
"""Of which the detections are counted: the last is the one that runs."""

NAMED = 8
"""Organizations that an overview names of each kind."""

BACK = 60_000
"""Milliseconds by which a clock may be set back before everything is read again for that."""

BEHIND = 10_000
"""Milliseconds after which a store whose changes are older than what was read is taken for another one."""

# By the indexes of the queues, which begin with the organization: `time` alone would go through those of all.
_RANKS = ", ".join(map(str, range(WOKEN + 1)))
_MINE = f"SELECT time FROM detection WHERE oid = :oid AND rank IN ({_RANKS}) AND time >= :since AND status"
_LATELY = text(f"{_MINE} < 2 UNION ALL {_MINE} >= 2")

_PARTS: Final[tuple[tuple[str, Callable[[Connection, Standings, Any, int], None], str], ...]] = (
    (changes.STATE, read_state, "stale_from"),
    (changes.ALERTS, read_alerts, "alerts_until"),
    (changes.HELD, read_held, ""),
    (changes.SENSORS, read_sensors, "sensors_until"),
    (changes.KEYS, read_keys, "keys_until"),
    (changes.CASES, read_cases, ""),
)
"""Each part, who reads it, and which attribute says from when on it is otherwise by time alone."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What somebody who begins a shift looks at first."""

    unclaimed: int
    """Open, hidden from nobody, and nobody's."""
    mine: int
    snoozed: int
    handed: int
    """Items that others handed over and nobody has accepted or bounced."""


@dataclass(frozen=True, slots=True)
class Need:
    """An organization that needs someone."""

    id: str
    """Of its node."""
    oid: str
    name: Untrusted
    path: Untrusted
    health: str
    synced_at: int | None
    by_severity: tuple[int, int, int, int, int]
    late: int
    first_due: int | None
    """When the first of its clocks breached (ms); None when none has."""
    why: tuple[Untrusted, ...]
    """Besides what is late: in a few words each, the most urgent first."""
    alerts_known: bool = True
    """False where they were never read, so that zeros mean nothing."""

    @property
    def open_alerts(self) -> int:
        """All of them."""
        return sum(self.by_severity)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything about a scope that fits on one screen."""

    organizations: int
    """Those that are gone are not counted, here and in every figure."""
    fresh: int
    failed: int
    stale: int
    never: int
    oldest: int | None
    """The oldest successful reading among the fresh ones (ms)."""
    missing: tuple[tuple[str, Untrusted, str, Untrusted], ...]
    """(oid, name, state, reason) of the first NAMED that are not fresh, those that failed first."""
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical."""
    oldest_open: int | None
    """Time of the oldest open alert of the worst severity present (ms)."""
    late: int
    """Open alerts past their target."""
    late_more: bool
    """More than that: somewhere counting stopped."""
    soon: int
    """Those that will be within the hour."""
    first_due: int | None
    """The earliest target that was breached (ms)."""
    next_due: int | None
    """The next one that will be (ms)."""
    per_hour: tuple[int, ...]
    """Detections in each of the last HOURS hours of the clock, oldest first; the last one still runs."""
    cases: int
    sensors: int
    sensors_online: int
    silent: int
    quota: int
    quota_used: float
    over_quota: int
    over_named: tuple[tuple[str, Untrusted], ...]
    """(oid, name) of the first NAMED."""
    errors: int
    keys: int
    keys_stale: int
    """Unused for 90 days or never."""
    attention: tuple[Need, ...]
    """At most ATTENTION organizations that need someone, worst first."""
    needing: int
    """How many do."""
    shift: Shift


# What is summed up, by its place in a list: see `_numbers`.
(
    _LIVE, _FRESH, _FAILED, _STALE, _NEVER, _SENSORS, _ONLINE, _SILENT, _S0, _S1, _S2, _S3, _S4, _LATE, _MORE,
    _SOON, _UNCLAIMED, _ASLEEP, _ERRORS, _QUOTA, _USED, _OVER, _KEYS, _KEYS_STALE, _CASES, _NO_ALERTS,
    _NO_SENSORS, _NO_ONLINE, _NO_CASES, _NO_ERRORS, _KNOWN, _UNREAD,
) = range(32)  # fmt: skip
_SUMS = 32

# What is kept in order, each entry ending with the place of its organization: see `_entries`.
_AGES, _FRESH_AGES, _ILL, _NEED, _MISSING, _ABOVE, _WORST, _BREACHED, _NEXT = range(9)

_Entries = tuple[tuple[Any, ...] | None, ...]


def _numbers(one: Standing) -> list[int]:
    """What an organization adds to every node above it."""
    unread = int(one.synced_at is None)
    if one.gone:
        return [0] * (_SUMS - 2) + [1, unread]
    state, unknown = one.state, one.unknown
    return [
        1, int(state == "fresh"), int(state == "failed"), int(state == "stale"), int(state == "never"),
        one.sensors, one.sensors_online or 0, one.silent, *one.by_severity, one.late,
        int(one.late >= COUNTED), one.soon, one.unclaimed, one.asleep, one.errors, one.sensor_quota or 0,
        # In thousandths, so that what is added and taken away again leaves nothing behind.
        round((one.quota_used or 0.0) * 1000), int(one.over_quota), one.keys, one.keys_stale, one.cases,
        int("detections" in unknown), int("sensors" in unknown), int(one.sensors_online is None),
        int("cases" in unknown), int("errors" in unknown), 1, unread,
    ]  # fmt: skip


def _holders(one: Standing) -> dict[str, int]:
    return {} if one.gone else one.holders


def _urgency(one: Standing) -> int:
    """How much an organization needs someone; 0 when it does not."""
    high = one.by_severity[4] + one.by_severity[3]
    if one.late and high:
        return 5
    if one.state == "failed":
        return 4
    if one.by_severity[4] or one.late:
        return 3
    if one.state != "fresh":
        return 2
    return 1 if high or one.errors or one.over_quota else 0


def _entries(one: Standing, place: int) -> _Entries:
    """Where an organization stands in each order, under every node above it; None where it does not."""
    health = HEALTH.index(one.health()[0])
    ill = (-health, place) if health else None
    age = (one.synced_at, place) if one.synced_at is not None else None
    if one.gone:
        return (age, None, ill, *(None,) * 6)
    urgency = _urgency(one)
    fresh = one.state == "fresh"
    return (
        age,
        age if fresh else None,
        ill,
        (-urgency, *(-each for each in reversed(one.by_severity)), -one.late, place) if urgency else None,
        None if fresh else (one.state != "failed", place),
        (place,) if one.over_quota else None,
        (-one.worst, one.oldest or 0, place) if one.worst >= 0 else None,
        (one.first_due, place) if one.late else None,
        (one.next_due, place) if one.next_due is not None else None,
    )


def reasons(one: Standing) -> tuple[Untrusted, ...]:
    """Why an organization needs someone besides what is late, in a few words each, the most urgent first."""
    said: list[str] = []
    many = one.by_severity
    if one.state == "failed":
        said.append(str(one.reason))
    for severity, word in ((4, "critical"), (3, "high")):
        if many[severity]:
            said.append(f"{many[severity]:,} {word} open")
    if one.state in ("stale", "never"):
        said.append("not read lately" if one.state == "stale" else "never synced")
    if one.over_quota:
        said.append(f"over quota: {one.quota_used:g} of {one.sensor_quota}")
    if one.errors:
        said.append(f"{one.errors} standing error{'' if one.errors == 1 else 's'}")
    return tuple(Untrusted(each) for each in said)


def _counted(ill: list[tuple[int, int]]) -> str:
    """`1 failed, 40 partly`: how many of a node's organizations are not well, the worst first."""
    said, before = [], 0
    for health in range(len(HEALTH) - 1, 0, -1):
        upto = bisect_left(ill, (1 - health,))
        if upto > before:
            said.append(f"{upto - before:,} {HEALTH[health]}")
        before = upto
    return ", ".join(said)


class _Node:
    """A node of the tree, with the sums and orders over what is below it."""

    __slots__ = (
        "depth", "holders", "hours", "id", "labels", "last", "marks", "name", "oid", "orders", "parent",
        "path", "row", "sums",
    )  # fmt: skip

    def __init__(
        self, node_id: str, parent: int, name: str, oid: str | None, depth: int, path: str,
        labels: dict[str, str], marks: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.id, self.parent, self.name, self.oid = node_id, parent, name, oid
        self.depth, self.path, self.labels, self.marks = depth, path, labels, marks
        self.last = 0
        """Place of the last node below it, or its own."""
        self.sums = [0] * _SUMS
        self.orders: list[list[Any]] = []
        """None at all while it is one organization without others below: that stands for itself."""
        self.hours: dict[int, int] = {}
        self.holders: dict[str, int] = {}
        self.row: TreeRow | None = None


_NOTHING = _Node("", -1, "", None, 0, "", {}, ())
_NOTHING.orders = [[] for _ in range(9)]


class Rollup:
    """The organizations as they stand, and the tree over them, in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._seen = -1
        """The number of the newest change that is in it; -1 when nothing was read."""
        self._now = 0
        self._standings: Standings = {}
        self._nodes: list[_Node] = []
        self._at: dict[str, int] = {}
        """Id of a node -> its place."""
        self._place: dict[str, int] = {}
        """oid -> place of its node."""
        self._added: dict[str, tuple[list[int], _Entries, dict[str, int]]] = {}
        """What an organization has added to the nodes above it."""
        self._hours: dict[str, dict[int, int]] = {}
        """oid -> hour since 1970 -> detections."""
        self._last = 0
        """Number of the newest detection that is counted there."""
        self._first_hour = 0
        """What came before it is not kept."""
        self._behind: int | None = None
        self._times: list[tuple[int, str]] = []
        """A heap of (when it is otherwise by time alone, oid); out of date ones among them."""

    # -- bringing it up to date -------------------------------------------------------------------------

    def refresh(self, connection: Connection, now: int) -> None:
        """Take in what was written since the last time, and what time alone has changed.

        A connection that sees an older moment than was read before changes nothing. After a reading that
        failed everything is read anew.
        """
        with self._lock:
            latest = changes.latest(connection)
            if latest < self._seen:
                self._behind = now if self._behind is None else self._behind
                if now - self._behind < BEHIND:
                    return
                self._seen = -1  # another store has been put in its place
            self._behind = None
            touched = changes.since(connection, self._seen) if self._seen >= 0 else {}
            try:
                if self._seen < 0 or now < self._now - BACK:
                    self._load(connection, now)
                else:
                    # Those who ask at once have not all looked at the clock in this order.
                    now = max(now, self._now)
                    self._take_in(connection, touched, now)
            except BaseException:
                # Some of it is taken in, and what was due is off the heap: nothing of it can be told apart.
                self._seen = -1
                raise
            self._seen, self._now = latest, now

    def _load(self, connection: Connection, now: int) -> None:
        self._standings = standings(connection, None, now)
        self._hours, self._last = {}, 0
        self._count_hours(connection, now)
        self._build(connection)

    def _take_in(self, connection: Connection, touched: Mapping[str, Collection[str]], now: int) -> None:
        due = self._due(now)
        anew: set[str] = set()
        shaped = changes.TREE in touched
        if shaped:
            listed = set(connection.execute(select(models.Organization.__table__.c.oid)).scalars())  # type: ignore[attr-defined]
            for oid in self._standings.keys() - listed:
                del self._standings[oid]
            for oid, one in standings(connection, listed - self._standings.keys(), now).items():
                self._standings[oid] = one
        known = self._standings.keys()
        names = {oid: self._standings[oid].name for oid in touched.get(changes.STATE, ()) if oid in known}
        taken = touched.get(changes.TAKEN, ())
        for part, read, lapses in _PARTS:
            wanted = {oid for oid in touched.get(part, ()) if oid in known}
            if part == changes.HELD:
                wanted |= known & set(taken)
            if lapses:
                wanted |= {oid for oid in due if (getattr(self._standings[oid], lapses) or now + 1) <= now}
            if wanted:
                read(connection, self._standings, wanted, now)
                anew |= wanted
        # Where some went, what came in may have been given their numbers.
        again = {*taken, *touched.get(changes.ALERTS, ())} if taken else set()
        self._count_hours(connection, now, again)
        if shaped or any(self._standings[oid].name != name for oid, name in names.items()):
            self._build(connection)
            return
        for oid in anew:
            self._sum_up(oid)

    def _due(self, now: int) -> set[str]:
        """Who is otherwise by now."""
        found: set[str] = set()
        while self._times and self._times[0][0] <= now:
            _, oid = heapq.heappop(self._times)
            one = self._standings.get(oid)
            if one is not None and one.until is not None and one.until <= now:
                found.add(oid)
        return found

    def _count_hours(self, connection: Connection, now: int, again: Collection[str] = ()) -> None:
        """Count the detections that came in since, those of some organizations anew, and forget the hours
        that are over."""
        first = now // HOUR - HOURS + 1
        if first != self._first_hour:
            self._first_hour = first
            for hours in (*self._hours.values(), *(node.hours for node in self._nodes)):
                for hour in [each for each in hours if each < first]:
                    del hours[hour]
        for oid in again:
            before = self._hours.pop(oid, {})
            if self._counts(oid):
                self._add_hours(self._place[oid], before, -1)
            for time in connection.execute(_LATELY, {"oid": oid, "since": first * HOUR}).scalars():
                self._count(oid, time // HOUR)
        newest = connection.execute(select(func.max(_D.c.id))).scalar_one() or 0
        wanted = select(_D.c.oid, _D.c.time)
        wanted = wanted.where(_D.c.id > self._last) if self._last else wanted.where(_D.c.time >= first * HOUR)
        if newest > self._last:
            for oid, time in connection.execute(wanted):
                if time >= first * HOUR and oid not in again:
                    self._count(oid, time // HOUR)
        self._last = newest

    def _count(self, oid: str, hour: int) -> None:
        mine = self._hours.setdefault(oid, {})
        mine[hour] = mine.get(hour, 0) + 1
        if self._counts(oid):
            self._add_hours(self._place[oid], {hour: 1}, 1)

    def _counts(self, oid: str) -> bool:
        """Whether the nodes above an organization count it."""
        return oid in self._added and bool(self._added[oid][0][_LIVE])

    def _add_hours(self, place: int, hours: Mapping[int, int], sign: int) -> None:
        for node in self._above(place):
            for hour, count in hours.items():
                node.hours[hour] = node.hours.get(hour, 0) + sign * count

    def _build(self, connection: Connection) -> None:
        """The nodes anew, and everything summed up."""
        self._nodes, self._at, self._place, self._added = [], {}, {}, {}
        labels: dict[str | None, dict[str, str]] = {None: {}}
        marks: dict[str | None, tuple[str, ...]] = {None: ()}
        for row in connection.execute(select(*_NODE.c).order_by(_NODE.c.first)):
            labels[row.id] = labels[row.parent_id] | row.labels
            above = marks[row.parent_id]
            marks[row.id] = above + tuple(mark for mark in row.marks if mark not in above)
            parent = self._at[row.parent_id] if row.parent_id is not None else -1
            self._put(row.id, parent, row.name, row.oid, row.depth, row.path, labels[row.id], marks[row.id])
        if not self._nodes:
            self._put("", -1, "All organizations", None, 0, "", {}, ())
        lost = sorted(
            (one for oid, one in self._standings.items() if oid not in self._place),
            key=lambda one: (one.name.casefold(), one.oid),
        )
        if lost:
            without = self._put(UNPLACED, 0, UNPLACED_NAME, None, 1, UNPLACED_NAME, {}, ())
            for one in lost:
                self._put(one.oid, without, one.name, one.oid, 2, one.name, {}, ())
        for node in self._nodes:
            if node.last > self._at[node.id] or node.oid is None:
                node.orders = [[] for _ in range(9)]
        for oid, one in self._standings.items():
            place = self._place[oid]
            one.path = Untrusted(self._nodes[place].path)
            numbers, entries = _numbers(one), _entries(one, place)
            self._added[oid] = (numbers, entries, _holders(one))
            for node in self._above(place):
                node.sums = [mine + its for mine, its in zip(node.sums, numbers, strict=True)]
                for order, entry in zip(node.orders, entries, strict=False):
                    if entry is not None:
                        order.append(entry)
                for who, count in _holders(one).items():
                    node.holders[who] = node.holders.get(who, 0) + count
            if not one.gone:
                self._add_hours(place, self._hours.get(oid, {}), 1)
        for node in self._nodes:
            for order in node.orders:
                order.sort()
        self._times = [(one.until, oid) for oid, one in self._standings.items() if one.until is not None]
        heapq.heapify(self._times)

    def _put(
        self, node_id: str, parent: int, name: str, oid: str | None, depth: int, path: str,
        labels: dict[str, str], marks: tuple[str, ...],
    ) -> int:  # fmt: skip
        place = len(self._nodes)
        self._nodes.append(_Node(node_id, parent, name, oid, depth, path, labels, marks))
        self._at[node_id] = place
        if oid is not None:
            self._place[oid] = place
        for node in self._above(place):
            node.last = place
        return place

    def _above(self, place: int) -> Iterator[_Node]:
        """The node of that place, and those above it."""
        while place >= 0:
            node = self._nodes[place]
            yield node
            place = node.parent

    def _sum_up(self, oid: str) -> None:
        """Take an organization out of the sums and orders above it as it was, and put it in as it is."""
        one, place = self._standings[oid], self._place[oid]
        numbers, entries = _numbers(one), _entries(one, place)
        before, stood, had = self._added[oid]
        self._added[oid] = (numbers, entries, _holders(one))
        have = _holders(one)
        taken = {
            who: have.get(who, 0) - had.get(who, 0)
            for who in have.keys() | had.keys()
            if have.get(who, 0) != had.get(who, 0)
        }
        differs = [number for number in range(_SUMS) if numbers[number] != before[number]]
        moved = [number for number in range(9) if entries[number] != stood[number]]
        if numbers[_LIVE] != before[_LIVE]:
            self._add_hours(place, self._hours.get(oid, {}), numbers[_LIVE] - before[_LIVE])
        for node in self._above(place):
            node.row = None
            for number in differs:
                node.sums[number] += numbers[number] - before[number]
            for who, more in taken.items():
                node.holders[who] = node.holders.get(who, 0) + more
            if node.orders:
                for number in moved:
                    order, old, new = node.orders[number], stood[number], entries[number]
                    if old is not None:
                        del order[bisect_left(order, old)]
                    if new is not None:
                        insort(order, new)
        if one.until is not None:
            heapq.heappush(self._times, (one.until, oid))
            if len(self._times) > 4 * len(self._standings) + 1000:
                self._times = [
                    (each.until, name) for name, each in self._standings.items() if each.until is not None
                ]
                heapq.heapify(self._times)

    # -- asking -----------------------------------------------------------------------------------------

    def rows(self, connection: Connection, *, scope: str = "", now: int) -> list[TreeRow]:
        """The tree below a node, depth first in the order of the file, depths counted from 0; all of it for
        "", nothing for an unknown node. The first row is the root. Organizations without a node stand below
        a last node with the id `unplaced`. Without any tree: a root, then that."""
        with self._lock:
            self.refresh(connection, now)
            place = self._scope(scope)
            if place is None:
                return []
            top = self._nodes[place]
            found = [self._row(each) for each in range(place, top.last + 1)]
        if top.depth == 0:
            return found
        return [replace(row, depth=row.depth - top.depth) for row in found]

    def node(self, connection: Connection, node_id: str, *, now: int) -> TreeRow | None:
        """One node; the root for ""."""
        with self._lock:
            self.refresh(connection, now)
            place = self._scope(node_id)
            return None if place is None else self._row(place)

    def nodes_above(self, oid: str) -> tuple[str, ...]:
        """The ids of an organization's node and of those above it, as they were read last."""
        with self._lock:
            return tuple(node.id for node in self._above(self._place.get(oid, -1)))

    def whole(self, connection: Connection, *, scope: str = "", now: int) -> tuple[int, int, int, int | None]:
        """(organizations, fresh, failed, the oldest reading among the fresh) of a scope."""
        with self._lock:
            self.refresh(connection, now)
            place = self._scope(scope)
            if place is None:
                return 0, 0, 0, None
            sums = self._nodes[place].sums
            return sums[_LIVE], sums[_FRESH], sums[_FAILED], self._first(place, _FRESH_AGES, 0)

    def overview(self, connection: Connection, *, scope: str = "", now: int, operator: str = "") -> Overview:
        """The figures of a scope.

        Args:
            operator: whose `mine` and `handed` are counted.
        """
        with self._lock:
            self.refresh(connection, now)
            place = self._scope(scope)
            handed = waiting_for(connection, operator, scope=scope) if operator else 0
            mine = 0 if place is None else self._nodes[place].holders.get(storable(operator), 0)
            top = _NOTHING if place is None else self._nodes[place]
            sums, hours = top.sums, top.hours
            orders = _NOTHING.orders if place is None else self._orders(place)
            first = now // HOUR - HOURS + 1
            worst = orders[_WORST][0] if orders[_WORST] else None
            missing = [self._one(each) for each in orders[_MISSING][:NAMED]]
            over = [self._one(each) for each in orders[_ABOVE][:NAMED]]
            return Overview(
                organizations=sums[_LIVE],
                fresh=sums[_FRESH],
                failed=sums[_FAILED],
                stale=sums[_STALE],
                never=sums[_NEVER],
                oldest=orders[_FRESH_AGES][0][0] if orders[_FRESH_AGES] else None,
                missing=tuple((one.oid, one.name, one.state, one.reason) for one in missing),
                by_severity=(sums[_S0], sums[_S1], sums[_S2], sums[_S3], sums[_S4]),
                oldest_open=worst[1] if worst else None,
                late=sums[_LATE],
                late_more=sums[_MORE] > 0,
                soon=sums[_SOON],
                first_due=orders[_BREACHED][0][0] if orders[_BREACHED] else None,
                next_due=orders[_NEXT][0][0] if orders[_NEXT] else None,
                per_hour=tuple(hours.get(hour, 0) for hour in range(first, first + HOURS)),
                cases=sums[_CASES],
                sensors=sums[_SENSORS],
                sensors_online=sums[_ONLINE],
                silent=sums[_SILENT],
                quota=sums[_QUOTA],
                quota_used=sums[_USED] / 1000,
                over_quota=sums[_OVER],
                over_named=tuple((one.oid, one.name) for one in over),
                errors=sums[_ERRORS],
                keys=sums[_KEYS],
                keys_stale=sums[_KEYS_STALE],
                attention=tuple(self._need(each) for each in orders[_NEED][:ATTENTION]),
                needing=len(orders[_NEED]),
                shift=Shift(sums[_UNCLAIMED], mine if operator else 0, sums[_ASLEEP], handed),
            )

    def _scope(self, node_id: str) -> int | None:
        return 0 if not node_id else self._at.get(node_id)

    def _one(self, entry: Sequence[Any]) -> Standing:
        oid = self._nodes[entry[-1]].oid
        assert oid is not None  # noqa: S101  (entries are of organizations)
        return self._standings[oid]

    def _orders(self, place: int) -> list[list[Any]]:
        """Of a node; what is one organization alone stands in each order by itself."""
        node = self._nodes[place]
        if node.orders or node.oid not in self._added:
            return node.orders or [[] for _ in range(9)]
        return [[] if each is None else [each] for each in self._added[node.oid][1]]

    def _first(self, place: int, order: int, number: int) -> Any:
        found = self._orders(place)[order]
        return found[0][number] if found else None

    def _need(self, entry: Sequence[Any]) -> Need:
        one, node = self._one(entry), self._nodes[entry[-1]]
        return Need(
            id=node.id,
            oid=one.oid,
            name=Untrusted(node.name),
            path=Untrusted(node.path),
            health=one.health()[0],
            synced_at=one.synced_at,
            by_severity=one.by_severity,
            late=one.late,
            first_due=one.first_due if one.late else None,
            why=reasons(one),
            alerts_known="detections" not in one.unknown,
        )

    def _row(self, place: int) -> TreeRow:
        node = self._nodes[place]
        if node.row is None:
            node.row = self._made(place)
        return node.row

    def _made(self, place: int) -> TreeRow:
        node = self._nodes[place]
        sums = node.sums
        ill = self._orders(place)[_ILL]
        health, reason = "well", ""
        if not sums[_KNOWN]:
            health, reason = "unknown", "no organization known here"
        elif ill:
            health, reason = self._one(ill[0]).health()
            if sums[_KNOWN] > 1:
                reason = _counted(ill)
        many = (sums[_S0], sums[_S1], sums[_S2], sums[_S3], sums[_S4])
        return TreeRow(
            id=node.id,
            parent_id=self._nodes[node.parent].id if node.parent >= 0 else None,
            name=Untrusted(node.name),
            oid=node.oid,
            depth=node.depth,
            path=Untrusted(node.path),
            has_children=node.last > place,
            labels=node.labels,
            marks=node.marks,
            organizations=sums[_LIVE],
            fresh=sums[_FRESH],
            failed=sums[_FAILED],
            sensors=sums[_SENSORS],
            sensors_online=sums[_ONLINE],
            open_alerts=sum(many),
            by_severity=many,
            errors=sums[_ERRORS],
            quota=sums[_QUOTA],
            quota_used=sums[_USED] / 1000,
            health=health,
            reason=Untrusted(reason),
            synced_at=None if sums[_UNREAD] else self._first(place, _AGES, 0),
            late=sums[_LATE],
            cases=sums[_CASES],
            silent=sums[_SILENT],
            over_quota=sums[_OVER],
            keys_stale=sums[_KEYS_STALE],
            no_alerts=sums[_NO_ALERTS],
            no_sensors=sums[_NO_SENSORS],
            no_online=sums[_NO_ONLINE],
            no_cases=sums[_NO_CASES],
            no_errors=sums[_NO_ERRORS],
        )
