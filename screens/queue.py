"""The lines of the alert queue, one by one or folded: where they come from, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.requests import Chosen, Group
from screens.widgets.row_table import Column
from store.alerts import WOKEN, AlertFilter
from store.database import Reader
from store.queries import alerts, folds, queue
from store.queries.alerts import AlertRow
from store.queries.folds import FoldRow
from store.times import age, clock_words

QueueLine = AlertRow | FoldRow

STATE_WORDS: tuple[str, ...] = ("new", "in progress", "resolved", "closed")
_SHORT_STATES: tuple[str, ...] = ("new", "prog", "res", "clsd")

_FIRST = 2**62
"""In place of a time: before everything else of its severity."""

SOON = 15 * 60_000
"""Milliseconds before a breach from which the clock is yellow."""


class AlertPages:
    """The queue, alert by alert, page by page, straight from the store."""

    def __init__(self, reader: Reader, wanted: AlertFilter, back: dict[int, str] | None = None) -> None:
        """`back` learns, alert by alert, what brought it back from a snooze."""
        self._reader = reader
        self.wanted = wanted
        self._back = {} if back is None else back
        plain = AlertFilter(severity=wanted.severity, statuses=wanted.statuses, oid=wanted.oid)
        self.slow = wanted != plain

    def identity(self, row: QueueLine) -> Hashable:
        """Its number in the store."""
        return identity(row)

    def first(self, limit: int) -> list[QueueLine]:
        """The worst and newest."""
        with self._reader.reading() as connection:
            return self._noted(connection, alerts.page(connection, self.wanted, limit=limit))

    def last(self, limit: int) -> list[QueueLine]:
        """The mildest and oldest."""
        with self._reader.reading() as connection:
            return self._noted(connection, alerts.last_page(connection, self.wanted, limit=limit))

    def after(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """Behind this one."""
        with self._reader.reading() as connection:
            return self._noted(
                connection, alerts.page(connection, self.wanted, after=self._key(row), limit=limit)
            )

    def before(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """Ahead of this one."""
        with self._reader.reading() as connection:
            return self._noted(
                connection, alerts.page(connection, self.wanted, before=self._key(row), limit=limit)
            )

    def starting(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """From this one on."""
        with self._reader.reading() as connection:
            return self._noted(
                connection, alerts.page(connection, self.wanted, starting=self._key(row), limit=limit)
            )

    def there(self, connection: Connection, row: QueueLine) -> QueueLine | None:
        """A line of another list as it is in this one, of several alerts the first; None when it is not."""
        if isinstance(row, FoldRow):
            wanted = replace(self.wanted, order="rank")
            return next(iter(folds.members(connection, row, wanted, limit=1)), None)
        for known in alerts.rows_of(connection, [row.id]):
            found = alerts.page(connection, self.wanted, starting=self._key(known), limit=1)
            return next((each for each in found if each.id == row.id), None)
        return None

    def _key(self, row: QueueLine) -> tuple[int, ...]:
        # A row that was read in another order stands where its own values put it in this one.
        if self.wanted.order == "due":
            return (row.due_at or 0, row.id if isinstance(row, AlertRow) else 0)
        if isinstance(row, AlertRow):
            return (row.rank, row.time, row.id)
        return (row.rank, row.last_open, 2**62)

    def _noted(self, connection: Connection, rows: list[AlertRow]) -> list[QueueLine]:
        returned = [row.id for row in rows if row.rank >= WOKEN]
        if returned:
            self._back.update(queue.woken(connection, returned))
        return list(rows)


class FoldPages:
    """The queue folded: a line for what is the same, in one organization or in many.

    What storms now comes first in its severity, whenever its newest alert came.
    """

    def __init__(
        self,
        reader: Reader,
        wanted: AlertFilter,
        clock: Callable[[], int],
        back: dict[int, str] | None = None,
        storms: Sequence[FoldRow] = (),
    ) -> None:
        """`back` learns, alert by alert, what brought it back from a snooze; `storms` go on now."""
        self._reader = reader
        self.wanted = wanted
        self._clock = clock
        # Counted storms are read by their index; what is narrowed is added up when it is asked for.
        self.slow = wanted != AlertFilter()
        self._back = {} if back is None else back
        self._storms = {row.storm: row for row in storms}

    def identity(self, row: QueueLine) -> Hashable:
        """The storm that it belongs to."""
        return identity(row)

    def first(self, limit: int) -> list[QueueLine]:
        """The worst and newest."""
        return self._page(limit)

    def last(self, limit: int) -> list[QueueLine]:
        """The mildest and oldest."""
        return self._page(limit, before=folds.BEHIND_ALL)

    def after(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """Behind this one."""
        return self._page(limit, after=self._key(row))

    def before(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """Ahead of this one."""
        return self._page(limit, before=self._key(row))

    def starting(self, row: QueueLine, limit: int) -> list[QueueLine]:
        """From this one on."""
        return self._page(limit, starting=self._key(row))

    def _page(
        self,
        limit: int,
        *,
        after: folds.FoldKey | None = None,
        before: folds.FoldKey | None = None,
        starting: folds.FoldKey | None = None,
    ) -> list[QueueLine]:
        storms = self._storms
        with self._reader.reading() as connection:
            rows = folds.page(
                connection,
                self.wanted,
                now=self._clock(),
                after=after,
                before=before,
                starting=starting,
                limit=limit + len(storms),
            )
            if storms:
                # The page has them where their newest alert puts them; they stand elsewhere.
                rows = [row for row in rows if row.storm not in storms]
                for row in storms.values():
                    key = self._key(row)
                    if (
                        (after is None or key < after)
                        and (starting is None or key <= starting)
                        and (before is None or key > before)
                    ):
                        rows.append(row)
                rows.sort(key=self._key, reverse=True)
                rows = rows[:limit] if before is None else rows[-limit:]
            return self._noted(connection, rows)

    def there(self, connection: Connection, row: QueueLine) -> QueueLine | None:
        """A line of another list as it is in this one, or the one that holds it; None when there is none."""
        storm = row.storm if isinstance(row, FoldRow) else folds.storm_of(connection, row.fold_id)
        return folds.fold_row(connection, self.wanted, storm, now=self._clock())

    def _key(self, row: QueueLine) -> folds.FoldKey:
        if isinstance(row, FoldRow):
            return (row.rank, _FIRST, row.storm) if row.storm in self._storms else row.key
        return (row.rank, row.time, 2**62)

    def _noted(self, connection: Connection, rows: list[FoldRow]) -> list[QueueLine]:
        returned = [row.alert.id for row in rows if row.alert is not None and row.rank >= WOKEN]
        if returned:
            self._back.update(queue.woken(connection, returned))
        return list(rows)


def identity(row: QueueLine) -> Hashable:
    """What makes a line the same thing after its text changed."""
    return row.id if isinstance(row, AlertRow) else ("storm", row.storm)


def alone(row: QueueLine) -> AlertRow | None:
    """The alert that a line is; None when it stands for several."""
    if isinstance(row, AlertRow):
        return row
    return row.alert if row.kind == "alert" else None


def held(row: QueueLine) -> int:
    """How many alerts a line stands for."""
    return 1 if isinstance(row, AlertRow) else row.open


def group_of(row: QueueLine, line: str, scope: str) -> Group | None:
    """A folded line as something to act on; None when it is an alert."""
    if isinstance(row, AlertRow) or alone(row) is not None:
        return None
    return Group(fold=row.fold, storm=0 if row.fold else row.storm, line=line, scope=scope)


def chosen_of(rows: Sequence[tuple[QueueLine, str, str]], *, marked: bool = False) -> Chosen:
    """Lines as something to act on: each with the filter line and the tree node under which it was seen."""
    single = [alert.id for row, _, _ in rows if (alert := alone(row)) is not None]
    groups = [group for row, line, scope in rows if (group := group_of(row, line, scope)) is not None]
    return Chosen(tuple(dict.fromkeys(single)), tuple(groups), marked)


# What the columns say


def clock_style(due_at: int | None, now: int) -> str:
    """Colour only repeats what the clock says."""
    if due_at is None:
        return ""
    return "bold ansi_red" if due_at < now else "ansi_yellow" if due_at < now + SOON else ""


def rule_words(row: QueueLine, back: Mapping[int, str]) -> str:
    """The category, and before it in our own words what is special: a stranger's text."""
    alert = alone(row)
    if alert is None:
        return ("(back) " if row.rank >= WOKEN else "") + row.cat
    special = "(damaged) " if alert.damaged else ""
    if alert.rank >= WOKEN:
        special += f"(back: {back.get(alert.id) or 'snooze over'}) "
    elif alert.snoozed_until is not None:
        special += "(snoozed) "
    return special + alert.cat


def organization_words(row: QueueLine) -> str:
    """Its name, or of several how many, and whether it storms there now: a stranger's text."""
    if isinstance(row, FoldRow) and row.organizations > 1:
        return f"{row.organizations:,} orgs{', STORM' if row.raging else ''}"
    return row.organization


def host_words(row: QueueLine) -> str:
    """Its host; of several alerts the one that they share, or `*`: a stranger's text."""
    alert = alone(row)
    if alert is not None:
        return alert.hostname
    shared = dict(row.salient).get("host") if isinstance(row, FoldRow) else None
    return shared or "*"


def who_words(row: QueueLine) -> str:
    """Whose it is; of several alerts also how many somebody has, unless that is all: a stranger's text."""
    if isinstance(row, AlertRow):
        return row.assignee
    names = row.assignees
    if not names:
        return ""
    who = names[0] if len(names) == 1 else f"{len(names)} ppl"
    return who if row.held >= row.open else f"{row.held:,} {who}"


def columns(
    context: Context, back: Mapping[int, str], *, folded: bool, closed: bool = False
) -> list[Column[QueueLine]]:
    """The columns of the queue; one by one there is a state where the folded queue counts.

    Args:
        closed: closed ones may be among them, so that a fold says how many of it are open.
    """
    glyphs, clock = context.glyphs, context.clock
    severities = [f"{sign} {word}" for sign, word in zip(glyphs.severity, SEVERITY_WORDS, strict=True)]
    fifth: Column[QueueLine]
    if not folded:
        fifth = Column("STAT", lambda row: _SHORT_STATES[row.status] if isinstance(row, AlertRow) else "", 4)
    elif closed:
        fifth = Column("OPEN/N", _open_words, 7, align="right")
    else:
        fifth = Column("N", _count_words, 5, align="right")
    return [
        Column(
            "SEV",
            lambda row: severities[row.severity],
            7,
            style=lambda row: SEVERITY_STYLES[row.severity],
        ),
        # A fold is as old as its newest alert, by which it is sorted, and due with its most urgent one.
        Column(
            "NEWEST" if folded else "AGE",
            lambda row: age(row.time if isinstance(row, AlertRow) else row.last_open, clock()),
            6 if folded else 4,
            align="right",
        ),
        Column(
            "FIRST DUE" if folded else "SLA",
            lambda row: clock_words(row.due_at, clock()),
            9,
            align="right",
            style=lambda row: clock_style(row.due_at, clock()),
        ),
        Column(
            "ORGANIZATION",
            organization_words,
            16 if folded and closed else 18,
            grow=4,
            most=30,
            least=12,
            cut="middle",
            style=lambda row: "bold" if isinstance(row, FoldRow) and row.raging else "",
        ),
        Column("RULE", lambda row: rule_words(row, back), 12, grow=3, least=9),
        Column("HOST", host_words, 8, grow=2, most=30, from_width=75, cut="middle", missed=True),
        fifth,
        Column("WHO", who_words, 4, grow=1, most=24, from_width=66 if folded else 60, missed=True),
    ]


def _count_words(row: QueueLine) -> str:
    count = held(row)
    return f"{count:,}" if count < 10_000 else f"{count // 1_000}k"


def _open_words(row: QueueLine) -> str:
    """Of an alert its state; of several how many are open: `0/19`."""
    if (alert := alone(row)) is not None:
        return _SHORT_STATES[alert.status]
    still = row.still_open if isinstance(row, FoldRow) else held(row)
    words = f"{still:,}/{held(row):,}"
    if len(words) <= 7:
        return words
    return "/".join(str(many) if many < 1_000 else f"{many // 1_000}k" for many in (still, held(row)))
