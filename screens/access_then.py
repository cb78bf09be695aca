"""The matrix of access as it was at an earlier time: what is said of that, and what is left out of it.

What was not read yet then is no answer of "nobody": it is named above the matrix, and has neither rows nor
columns in it; also what changed since is not told of it, for all of it would be new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from textual.content import Content

from screens.context import HEALTH_STYLES, Context
from screens.keys import press
from screens.pivots import GAINED, LOST, OTHERWISE, Cell, Grid, key_of
from screens.widgets.text import line
from store.access import counted
from store.closure import Held, World
from store.queries.asof import read_by
from store.queries.matrix import By, Lacking, Pivot
from store.times import age

SINCE_LEGEND = "+ given - taken ~ otherwise"

MARKS = frozenset((GAINED, LOST, OTHERWISE))

MOST_LOOKED = 300
"""Rows whose every cell is looked at to leave out the columns in which nothing changed."""


@dataclass(frozen=True, slots=True)
class Then:
    """The time that is looked at."""

    at: int
    """ms."""
    since: bool = False
    """What changed from then to now is marked."""


def banner(then: Then, context: Context) -> Content:
    """The line that nobody overlooks, in reverse: it says when, and how to come back."""
    when = context.when(then.at, seconds=False)
    back = f"{press('access.now', 'N')} now"
    change = press("access.since", "=")
    if then.since:
        words = f" SINCE {when}: + given  - taken     {back}   {change} as it was"
    else:
        ago = age(then.at, context.clock())
        words = f" AS IT WAS ON {when}, {ago} ago     {back}   {change} what changed since"
    return line((f"{words} ", "bold reverse"))


def refusal(then: Then, context: Context) -> str:
    """Why nothing is staged here."""
    when = context.when(then.at, seconds=False)
    return (
        f"This is what it was on {when}: {press('access.now', 'N')} goes back to now, where changes are made."
    )


def lacking_lines(lacking: Sequence[Lacking], organizations: int) -> list[Content]:
    """`not known then on 3 of 216 organizations: Delta Ltd, because ...`"""
    unread = [each for each in lacking if each.checked_at is None]
    if not unread:
        return []
    more = f" (and {len(unread) - 1:,} more)" if len(unread) > 1 else ""
    on = f"not known then on {len(unread):,} of {counted(organizations, 'organization')}"
    return [
        line(
            (f" x {on}: ", HEALTH_STYLES["failed"]), (unread[0].name, "bold"), f"{more}, because ",
            (unread[0].reason, ""),
        )
    ]  # fmt: skip


def known_then(
    connection: Connection, pivot: Pivot, also: Pivot | None, at: int
) -> tuple[Pivot, Pivot | None, str]:
    """A pivot of then, and the one of now beside it, without what was not read yet then.

    Args:
        also: that of now; None when it is not asked for.

    Returns:
        Both, and what is said of API keys that were not read yet then; "" when nothing is.
    """
    unread = {each.oid for each in pivot.lacking if each.checked_at is None}
    keys = read_by(connection, "keys", at)
    without = False

    def left(one: Pivot) -> Pivot:
        nonlocal without
        lines, columns = list(one.lines), list(one.columns)
        if one.by == "principal":
            if one.kind == "key":
                lines = [each for each in lines if each.key in keys]
            lines = [each for each in lines if each.key not in unread]
        elif one.by == "permission":
            columns = [each for each in columns if each.key not in unread]
            lines = [each for each in lines if each.kind != "key" or keys.issuperset(each.cells)]
        elif one.subject in unread:
            lines = []
        elif one.subject not in keys:
            without = True
            lines = [each for each in lines if each.kind != "key"]
        gone = len(one.lines) - len(lines)
        return replace(one, lines=lines, columns=columns, total=one.total - gone)

    before, after = left(pivot), left(also) if also is not None else None
    return before, after, "its API keys were not read yet then" if without else ""


def changed_only(made: Grid, by: By, cell: Cell, worlds: tuple[World, World]) -> Grid:
    """Of an organization or a principal the rows and columns in which anything changed; of a permission all:
    there a row is one line of signs, and the question is where."""
    if by == "permission":
        return made
    before, after = (_ways(world, by, cell) for world in worlds)
    rows = [row for row in made.rows if before.get(row.key) != after.get(row.key)]
    columns = [
        column
        for column in made.columns
        if len(rows) > MOST_LOOKED or any(row.cells.get(column.key, "") in MARKS for row in rows)
    ]
    return replace(made, rows=rows, columns=columns or made.columns)


def _ways(world: World, by: By, cell: Cell) -> dict[str, object]:
    """Row -> what is held there and through what, by names: bits of two worlds are not the same."""
    sets: dict[int, frozenset[str]] = {}

    def named(mask: int) -> frozenset[str]:
        if mask not in sets:
            sets[mask] = frozenset(world.permissions(mask))
        return sets[mask]

    def of(held: Held) -> object:
        return named(held.direct), frozenset((gid, named(mask)) for gid, mask in held.groups)

    if by == "organization":
        ways = {key_of(held.kind, who): of(held) for who, held in world.organization(cell.oid).items()}
        groups = {key_of("group", each.gid): named(each.permissions) for each in world.holding(cell.oid)}
        return {**ways, **groups}
    if cell.kind == "group":
        group = world.groups.get(cell.principal)
        return {} if group is None else dict.fromkeys(group.organizations, named(group.permissions))
    return {oid: of(held) for oid, held in world.principal(cell.principal).items()}


def not_known(pivot: Pivot, name: str, then: Then, context: Context) -> str:
    """Why there is no matrix of then; "" when there is one, or nobody had anything."""
    unread = [each for each in pivot.lacking if each.checked_at is None]
    if not unread or (pivot.by != "organization" and len(unread) < pivot.organizations):
        return ""
    when, back = context.when(then.at, seconds=False), press("access.now", "N")
    if pivot.by != "organization":
        return f"Not known: of no organization here access was read by {when}. {back} goes back to now."
    return (
        f"Not known: who might do what on {name} on {when}, because {unread[0].reason}. "
        f"{back} goes back to now."
    )
