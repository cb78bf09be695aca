"""What several views show of the same: the organizations summed up, and what takes long to find out.

Drift and findings about access are compared whole: seconds of work among ten thousand organizations. So they
are looked for beside what a view reads, at most every `AGAIN`, and what is shown of them says how old it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Table, select
from textual import work

from screens.context import Context
from screens.view import Found, View
from store.database import Change
from store.drift import WHOLE
from store.models import SyncState
from store.queries.rollup import Rollup

_STATE: Table = SyncState.__table__  # type: ignore[attr-defined]

AGAIN = 120_000
"""Milliseconds between two looks, at least."""

SHARE = 30
"""And so many times as long as the last one took: a look costs at most a thirtieth of one core."""

AGES_EVERY = 30
"""Seconds after which what ages or falls due is shown as it is by then, though nothing was written."""

RESTS_ON = frozenset(
    {
        "organization", "node", "sync_state", "configuration_record", "template_assignment",
        "template_version", "template_owned", "drift_decision", "direct_permission", "group_member",
        "group_organization", "organization_group", "group_role", "user_account", "api_key", "preference",
        "audit_use", "access_event",
    }
)  # fmt: skip
"""The tables by whose change drift, findings, or of whom they are known may be otherwise."""


@dataclass(frozen=True)
class Looks:
    """Drift and findings as they were when they were looked for last."""

    at: int
    """ms."""
    drift: Mapping[str, int]
    """Id of a node -> records below it that are not as they are wanted, accepted ones aside."""
    drifted: Mapping[str, int]
    """Id of a node -> organizations below it with such records."""
    wanted: Mapping[str, int]
    """Id of a node -> organizations below it that templates want something of."""
    uncompared: Mapping[str, int]
    """Those of them of which nobody can say whether they have it: their configuration was never read, or what
    they are to have cannot be worked out. Neither drift nor as wanted."""
    findings: Mapping[str, int]
    """Id of a node -> findings about access that are about anything below it."""
    grave: Mapping[str, int]
    """Those of them that are high or critical."""
    clear: Mapping[str, int]
    """Id of a node -> organizations below it whose users were read and that no finding is about."""
    known: Mapping[str, int]
    """Id of a node -> organizations below it whose users were read."""
    unread: Mapping[str, int]
    """Id of a node -> organizations below it whose users were never read, so that little could be found."""


@dataclass
class Kept:
    """What the views of one console keep together."""

    rollup: Rollup = field(default_factory=Rollup)
    looks: Looks | None = None
    looking: bool = False
    stale: bool = True
    """Something that the looks rest on was written since."""
    not_before: float = 0.0
    """By the monotonic clock: when to look again at the earliest."""
    views: WeakSet[LooksDeeper[Any]] = field(default_factory=WeakSet)
    """Those that show what is looked for."""


def kept(context: Context) -> Kept:
    """What this console keeps."""
    made: Kept = context.kept.setdefault("figures", Kept())
    return made


def rollup(context: Context) -> Rollup:
    """The organizations summed up."""
    return kept(context).rollup


def due(context: Context) -> bool:
    """Whether it is time to look again."""
    mine = kept(context)
    return mine.stale and not mine.looking and time.monotonic() >= mine.not_before


def look(context: Context) -> Looks | None:
    """Look for drift and findings, and keep what was found; None when somebody else does it already. In a
    thread: it takes seconds."""
    mine = kept(context)
    if mine.looking:
        return None
    mine.looking = True
    started = time.monotonic()
    try:
        mine.stale = False
        key = context.redaction_key()
        with context.reader.reading() as connection:
            mine.looks = looked(connection, mine.rollup, key=key, now=context.clock())
    except BaseException:
        mine.stale = True
        raise
    finally:
        ended = time.monotonic()
        mine.not_before = ended + max(AGAIN / 1000, SHARE * (ended - started))
        mine.looking = False
    return mine.looks


def looked(connection: Connection, summed: Rollup, *, key: bytes | None, now: int) -> Looks:
    """Both, for every node of the tree; arguments as of `store.queries.drift.report`."""
    from store.queries.drift import report
    from store.queries.findings import findings

    rows = summed.rows(connection, now=now)
    drifts = report(connection, key=key, now=now)
    found = findings(connection, now=now)
    whole = {each.oid for each in drifts.drifts if (each.section, each.name) == WHOLE}
    uncompared = whole | {oid for oid, _ in drifts.blocked}
    standing = Counter(each.oid for each in drifts.standing if each.oid not in uncompared)
    about: Counter[str] = Counter()
    every: Counter[str] = Counter()
    grave: Counter[str] = Counter()
    for each in found.findings:
        nodes = {node for oid in each.oids for node in summed.nodes_above(oid)}
        about.update(each.oids)
        every.update(nodes)
        if each.severity >= 3:
            grave.update(nodes)

    def below(oids: Iterable[str], counts: Mapping[str, int] | None = None) -> Counter[str]:
        sums: Counter[str] = Counter()
        for oid in oids:
            for node in summed.nodes_above(oid):
                sums[node] += 1 if counts is None else counts[oid]
        return sums

    read = set(
        connection.execute(
            select(_STATE.c.oid).where(_STATE.c.subject == "access", _STATE.c.checked_at.is_not(None))
        ).scalars()
    )
    oids = [row.oid for row in rows if row.oid is not None and row.organizations]
    return Looks(
        at=now,
        drift=below(standing, standing),
        drifted=below(standing),
        wanted=below(drifts.organizations),
        uncompared=below(uncompared),
        findings=every,
        grave=grave,
        clear=below(oid for oid in oids if oid in read and not about[oid]),
        known=below(oid for oid in oids if oid in read),
        unread=below(oid for oid in oids if oid not in read),
    )


class LooksDeeper(View[Found]):
    """A view that shows drift and findings beside what it reads, and ages and clocks, which go on by
    themselves: calls `look_deeper` when it shows."""

    def on_mount(self) -> None:
        """Be told what others found, and go on with time."""
        kept(self.context).views.add(self)
        self.set_interval(AGES_EVERY, self._refresh_soon)

    def look_deeper(self) -> None:
        """Look for them when it is time, and have every view show what was found."""
        if due(self.context):
            self._find_looks()

    @work(exclusive=True, group="looks", exit_on_error=False)
    async def _find_looks(self) -> None:
        try:
            found = await asyncio.to_thread(look, self.context)
        except Exception as error:
            for view in self._mounted():
                view.tell(f"Drift and findings could not be looked for: {error}", "warning")
            return
        if found is not None:
            for view in self._mounted():
                view.reload()

    def _mounted(self) -> list[LooksDeeper[Any]]:
        """The views that show what is looked for, this one or not."""
        return [view for view in kept(self.context).views if view.is_mounted]

    def _store_changed(self, change: Change) -> None:
        if change.touches(RESTS_ON):
            kept(self.context).stale = True
        super()._store_changed(change)
