"""The matrix of access turned three ways, as the columns and rows that the screen draws.

Whichever way it is turned, a cell is one principal, one permission and one organization (`Cell`); what the
matrix is about is the one of them that neither its rows nor its columns name. A cell that differs from what
it is after the staged changes says so by its sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from screens.widgets.matrix import Column, Row
from store.access import Kind
from store.accesschanges import AccessChange
from store.closure import Held, World
from store.permissions import catalogue, categories, is_privileged
from store.queries.matrix import By, Line, Pivot, named_so, paths

PIVOTS: tuple[By, ...] = ("organization", "principal", "permission")
"""What the matrix is about, in the order in which a key turns it."""

KINDS: dict[str, str] = {"user": "u", "group": "g", "key": "k", "organization": ""}
"""The sign before a principal."""

GAINED, LOST, OTHERWISE = "+", "-", "~"
"""A staged change gives it, takes it, or leaves it held by another way."""

TOP = "(no folder)"
"""The category of organizations that stand below no node."""

NARROW = 9
"""Cells of a name of an organization above its column, in each of two lines."""

MOST_OPEN = 40
"""Organizations side by side before their nodes begin folded."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One principal, one permission, one organization; what is not known yet is ""."""

    principal: str = ""
    """E-mail, gid, or hash of a key."""
    kind: Kind = "user"
    permission: str = ""
    oid: str = ""

    def about(self, by: By) -> str:
        """What the matrix is about when it is turned so."""
        return {"organization": self.oid, "principal": self.principal, "permission": self.permission}[by]

    def place(self, by: By) -> tuple[str, str]:
        """The keys of its row and of its column."""
        if by == "principal":
            return self.oid, self.permission
        return key_of(self.kind, self.principal), self.permission if by == "organization" else self.oid

    def moved(self, by: By, row: str, column: str) -> Cell:
        """The cell of another row and column."""
        if by == "principal":
            return replace(self, oid=row, permission=column)
        kind, _, principal = row.partition(":")
        here = replace(self, kind=cast("Kind", kind), principal=principal)
        return replace(here, permission=column) if by == "organization" else replace(here, oid=column)


@dataclass(frozen=True, slots=True)
class Grid:
    """The matrix as it is drawn."""

    columns: list[Column]
    rows: list[Row]
    folded: frozenset[str]
    """Categories that begin folded."""


def key_of(kind: str, principal: str) -> str:
    """The key of a principal's row."""
    return f"{kind}:{principal}"


# -- cells ---------------------------------------------------------------------------------------------------


class Staged(Mapping[str, str]):
    """The cells of a row before and after what is staged: a sign of its own where they differ."""

    __slots__ = ("_after", "_before", "_moved")

    def __init__(
        self, before: Mapping[str, str], after: Mapping[str, str], moved: Callable[[str], bool]
    ) -> None:
        """`moved` tells of a column that is held before and after whether it is so by the same ways."""
        self._before = before
        self._after = after
        self._moved = moved

    def __getitem__(self, key: str) -> str:
        was, now = self._before.get(key), self._after.get(key)
        if was is None:
            if now is None:
                raise KeyError(key)
            return GAINED
        if now is None:
            return LOST
        return OTHERWISE if was != now or self._moved(key) else was

    def __iter__(self) -> Iterator[str]:
        yield from self._before
        yield from (key for key in self._after if key not in self._before)

    def __len__(self) -> int:
        return len(self._before.keys() | self._after.keys())


class _Folding:
    """Counts a row's organizations in a folded node; nodes and rows are taken apart once."""

    def __init__(self) -> None:
        self._nodes: dict[str, frozenset[str]] = {}

    def of(
        self, before: Mapping[str, str], after: Mapping[str, str]
    ) -> Callable[[Sequence[Column]], tuple[int, str]]:
        """How many of these columns will hold something, and the sign of what is staged there."""
        sets: list[frozenset[str]] = []

        def count(members: Sequence[Column]) -> tuple[int, str]:
            category = members[0].category
            node = self._nodes.get(category)
            if node is None:
                node = self._nodes[category] = frozenset(member.key for member in members)
            if not sets:
                was = frozenset(before)
                sets.extend((was, was if after is before else frozenset(after)))
            was, now = sets[0] & node, sets[1] & node
            gained, lost = now - was, was - now
            mark = OTHERWISE if gained and lost else GAINED if gained else LOST if lost else ""
            return len(now), mark

        return count


def held_by(world: World, cell: Cell) -> Held | None:
    """What a principal, be it a group, has on the organization of a cell; None when nothing at all."""
    if cell.kind == "group":
        group = world.groups.get(cell.principal)
        inside = group is not None and cell.oid in group.organizations
        return Held(0, ((group.gid, group.permissions),)) if group is not None and inside else None
    held = world.held(cell.principal, cell.oid)
    # A user's e-mail and a key's hash are never the same, but a stranger may try.
    return None if held is not None and held.kind != cell.kind else held


def telling(world: World, cell: Cell, columns: Sequence[Column]) -> str:
    """The column of the row that tells most: the first one of a privileged permission that is held, else the
    first one of any; "" where none is."""
    held = held_by(world, cell)
    names = frozenset(world.permissions(held.mask)) if held is not None else frozenset()
    found = sorted(
        (each for each in columns if each.key in names), key=lambda each: not is_privileged(each.key)
    )
    return found[0].key if found else ""


# -- columns -------------------------------------------------------------------------------------------------


def columns_of(permissions: Iterable[str]) -> list[Column]:
    """Permissions as columns: by category, then by what they are about, their verb below."""
    columns = []
    for category, names in categories(permissions):
        for name in names:
            about, _, verb = name.partition(".")
            columns.append(Column(name, category, about, verb or about, is_privileged(name)))
    return columns


def _permissions(pivots: Sequence[Pivot], words: Sequence[str], *, only_held: bool) -> list[Column]:
    names = {column.key for pivot in pivots for column in pivot.columns}
    if not only_held:
        names |= {each.name for each in catalogue() if not each.doubtful}
    return columns_of(name for name in names if all(named_so(name, word) for word in words))


def _organizations(pivots: Sequence[Pivot], *, only_held: bool) -> list[Column]:
    """Organizations as columns, by the node they stand in; a long name takes two lines."""
    there: set[str] | None = None
    if only_held:
        there = set[str]().union(*(line.cells for pivot in pivots for line in pivot.lines))
    columns = []
    for column in pivots[0].columns:
        if there is None or column.key in there:
            first, rest = two_lines(column.name)
            columns.append(Column(column.key, column.category or TOP, first, rest))
    return columns


def two_lines(name: str) -> tuple[str, str]:
    """A name in two parts where it is long: `Acme`, `Dental`."""
    words = name.split()
    if len(name) <= NARROW or len(words) < 2:
        return "", name
    first, at = words[0], 1
    while at < len(words) - 1 and len(first) + 1 + len(words[at]) <= NARROW:
        first += f" {words[at]}"
        at += 1
    return first, " ".join(words[at:])


# -- the matrix ----------------------------------------------------------------------------------------------


def grid(
    before: Pivot,
    after: Pivot | None,
    worlds: tuple[World, World],
    *,
    permissions: Sequence[str] = (),
    only_held: bool = False,
) -> Grid:
    """Columns and rows of a pivot, and of the same one after what is staged.

    Args:
        after: None when nothing is staged.
        worlds: that each of the two was made from.
        permissions: words that a column of a permission must hold.
        only_held: leave out the columns that nobody holds.
    """
    pivots = [before] if after is None else [before, after]
    if before.by == "permission":
        columns = _organizations(pivots, only_held=only_held)
    else:
        columns = _permissions(pivots, permissions, only_held=only_held)
    folding = _Folding()
    if after is None:
        rows = [_row(before, line, line.cells, line.cells, folding) for line in before.lines]
    else:
        rows = _merged(before, after, worlds, folding)
    folders = frozenset(column.category for column in columns)
    many = before.by == "permission" and len(columns) > MOST_OPEN and len(folders) > 1
    return Grid(columns, rows, folders if many else frozenset())


def _row(
    pivot: Pivot, line: Line, was: Mapping[str, str], cells: Mapping[str, str], folding: _Folding,
    now: Mapping[str, str] | None = None,
) -> Row:  # fmt: skip
    count = folding.of(was, was if now is None else now) if pivot.by == "permission" else None
    key = line.key if line.kind == "organization" else key_of(line.kind, line.key)
    return Row(key, line.name or line.key, KINDS[line.kind], cells, count)


def _merged(before: Pivot, after: Pivot, worlds: tuple[World, World], folding: _Folding) -> list[Row]:
    """The rows of both, in the order of the one after; who is gone by then where he was."""
    now = {(line.kind, line.key): line for line in after.lines}
    was = {(line.kind, line.key): line for line in before.lines}
    order = [(line.kind, line.key) for line in after.lines]
    if was.keys() - now.keys():
        place = {each: number for number, each in enumerate((line.kind, line.key) for line in before.lines)}
        # Both are in one order, so that of each alone is enough to put the others between.
        last = -1
        ranks = {}
        for each in order:
            last = place.get(each, last)
            ranks[each] = (last, 1)
        ranks |= {each: (place[each], 0) for each in was.keys() - now.keys()}
        order = sorted(ranks, key=lambda each: ranks[each])
    rows = []
    nothing: Mapping[str, str] = {}
    for each in order:
        line = now.get(each) or was[each]
        first = was[each].cells if each in was else nothing
        then = now[each].cells if each in now else nothing
        moved = _moved(before, line, worlds)
        rows.append(_row(before, line, first, Staged(first, then, moved), folding, then))
    return rows


def _moved(pivot: Pivot, line: Line, worlds: tuple[World, World]) -> Callable[[str], bool]:
    """Whether a cell of this row is held by other ways before and after."""

    def moved(column: str) -> bool:
        cell = Cell(pivot.subject, pivot.kind or "user", pivot.subject, pivot.subject)
        key = line.key if line.kind == "organization" else key_of(line.kind, line.key)
        cell = cell.moved(pivot.by, key, column)
        first, then = (paths(world, cell.kind, cell.principal, cell.permission, cell.oid) for world in worlds)
        return first != then

    return moved


# -- what is staged of a cell --------------------------------------------------------------------------------


def concerning(staged: Iterable[AccessChange], cell: Cell, world: World) -> list[AccessChange]:
    """The staged changes that may decide about a cell; `world` is the one after them."""
    found = []
    for change in staged:
        mine = change.principal == cell.principal
        if not change.gid:
            concerns = mine and change.oid == cell.oid and change.permission in ("", cell.permission)
        elif change.kind in ("add_member", "remove_member"):
            concerns = mine
        else:
            group = world.groups.get(change.gid)
            inside = change.gid == cell.principal or (group is not None and cell.principal in group.members)
            concerns = inside and change.oid in ("", cell.oid) and change.permission in ("", cell.permission)
            concerns = concerns and not change.principal
        if concerns:
            found.append(change)
    return found
