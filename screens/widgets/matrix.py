"""A matrix with a frozen first column and a frozen header, drawn line by line."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from screens.keys import MOVES, count_for, has_count, motion
from store.text import cell_width, fit, safe_text

NOT = "."
"""Stands in every cell that holds nothing."""

STAGED = "+-~"
"""Signs of a cell that is to change: it comes to hold something, holds it no more, or holds it otherwise."""

_HEADER = 3

_BOLD = Style(bold=True)
_HERE = Style(bold=True, underline=True)
_RISKY = Style.parse("bold red")
_STAGED = Style.parse("bold yellow")
_CURSOR = Style(bold=True, reverse=True)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; those of one category must stand together."""

    key: str
    category: str
    group: str
    """Written below the category, over neighbouring columns of the same."""
    label: str
    """What is written below the group."""
    risky: bool = False
    """Its cells carry a `!` where they hold something."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what each column of it holds."""

    key: str
    label: str
    """May be a stranger's text."""
    kind: str = ""
    """Written before the label; chosen by us."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """Column key -> sign of one cell; what is absent is shown as `.`"""
    count: Callable[[Sequence[Column]], tuple[int, str]] | None = None
    """How many of these columns hold something, and the sign of what is staged there: where that is known
    faster than by asking for each."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column as it stands on the screen: a permission, or a whole category folded."""

    key: str
    """Of the column; of the first one when folded."""
    category: str
    titles: tuple[str, str, str]
    """What is written above it, from top to bottom."""
    width: int
    members: tuple[Column, ...]
    folded: bool


class Matrix(Widget, can_focus=True):
    """Rows by columns, any number of either: only what is visible is ever drawn.

    The columns of a category fold to one that counts. The cursor stays on its row and column by key.
    """

    DEFAULT_CSS = """
    Matrix { height: 1fr; overflow: hidden hidden; }
    """
    ALLOW_SELECT = False
    BINDING_GROUP_TITLE = "Moving"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(move for move in MOVES if move.action != "page_down"),
        motion("pagedown,ctrl+f", "page_down", "A page down"),
        motion("l,right", "column_right", "One column right"),
        motion("h,left", "column_left", "One column left"),
        motion("right_parenthesis,ctrl+right", "category_right", "The first column of the next category"),
        motion("left_parenthesis,ctrl+left", "category_left", "Back to the start of a category"),
        motion("dollar_sign", "column_last", "The last column"),
        motion("circumflex_accent", "column_first", "The first column"),
        Binding(
            "z",
            "fold",
            "fold",
            id="matrix.fold",
            tooltip="Fold the category of this column to one, or unfold it",
        ),
        Binding(
            "Z",
            "fold_all",
            "fold all",
            id="matrix.fold_all",
            show=False,
            tooltip="Fold all categories, or unfold",
        ),
    ]

    @dataclass
    class Moved(Message):
        """The cursor stands on another cell, or the cell holds something else."""

        matrix: "Matrix"

        @property
        def control(self) -> "Matrix":
            """The matrix that was moved in."""
            return self.matrix

        def can_replace(self, message: Message) -> bool:
            """Only where the cursor came to rest matters."""
            return isinstance(message, Matrix.Moved)

    def __init__(self, *, sign: str = ">", id: str | None = None) -> None:  # noqa: A002
        """An empty matrix; `sign` of one cell marks the row of the cursor."""
        super().__init__(id=id)
        self._sign = sign
        self._rows: Sequence[Row] = ()
        self._columns: Sequence[Column] = ()
        self._shown: list[_Shown] = []
        self._starts: list[int] = [0]
        self._folded: set[str] = set()
        self._row = 0
        self._column = 0
        self._top = 0
        self._left = 0
        self._counted: dict[tuple[int, str], tuple[str, bool, str]] = {}

    @property
    def row(self) -> Row | None:
        """The row of the cursor; None in an empty matrix."""
        return self._rows[self._row] if self._rows else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The column of the cursor, or all those folded into it."""
        return self._shown[self._column].members if self._shown else ()

    @property
    def category(self) -> str:
        """The category of the cursor's column; "" in an empty matrix."""
        return self._shown[self._column].category if self._shown else ""

    @property
    def folded(self) -> frozenset[str]:
        """The categories that are folded."""
        return frozenset(self._folded)

    @property
    def cursor(self) -> tuple[int, int]:
        """(row, column on the screen), both from 0."""
        return self._row, self._column

    def fill(
        self,
        columns: Sequence[Column],
        rows: Sequence[Row],
        *,
        at: tuple[str, str] | None = None,
        folded: Iterable[str] | None = None,
    ) -> None:
        """Show these; the cursor goes where its row and column went, or as near as it can.

        Args:
            at: the keys of the row and the column to put it on instead.
            folded: the categories to fold; None folds what was folded.
        """
        old_row = self.row.key if self.row else None
        old_column = self._shown[self._column].key if self._shown else None
        if at is not None:
            old_row, old_column = at
        if folded is not None:
            self._folded = set(folded)
        self._rows = rows
        self._columns = columns
        self._counted = {}
        self._row = _index((row.key for row in rows), old_row, self._row)
        self._arrange(old_column)
        self._settle()
        self.refresh()
        self.post_message(self.Moved(self))

    def go(self, row_key: str, column_key: str | None = None) -> None:
        """Put the cursor on this row, and on this column if one is named and shown."""
        self._place(
            _index((row.key for row in self._rows), row_key, self._row),
            self._column
            if column_key is None
            else next(
                (
                    number
                    for number, shown in enumerate(self._shown)
                    if any(member.key == column_key for member in shown.members)
                ),
                self._column,
            ),
        )

    def action_cursor_down(self) -> None:
        """A row down."""
        self._place(self._row + count_for(self), self._column)

    def action_cursor_up(self) -> None:
        """A row up."""
        self._place(self._row - count_for(self), self._column)

    def action_half_down(self) -> None:
        """Half a page down."""
        self._place(self._row + count_for(self) * max(1, self._height // 2), self._column)

    def action_half_up(self) -> None:
        """Half a page up."""
        self._place(self._row - count_for(self) * max(1, self._height // 2), self._column)

    def action_page_down(self) -> None:
        """A page down."""
        self._place(self._row + count_for(self) * max(1, self._height - 1), self._column)

    def action_page_up(self) -> None:
        """A page up."""
        self._place(self._row - count_for(self) * max(1, self._height - 1), self._column)

    def action_first(self) -> None:
        """The first row."""
        self._place(count_for(self) - 1 if has_count(self) else 0, self._column)

    def action_last(self) -> None:
        """The last row, or the one whose number was typed."""
        self._place(count_for(self) - 1 if has_count(self) else len(self._rows) - 1, self._column)

    def action_column_right(self) -> None:
        """A column right."""
        self._place(self._row, self._column + count_for(self))

    def action_column_left(self) -> None:
        """A column left."""
        self._place(self._row, self._column - count_for(self))

    def action_column_first(self) -> None:
        """The first column."""
        self._place(self._row, 0)

    def action_column_last(self) -> None:
        """The last column."""
        self._place(self._row, len(self._shown) - 1)

    def action_category_right(self) -> None:
        """The first column of the next category."""
        beyond = [first for first in self._firsts() if first > self._column]
        if beyond:
            self._place(self._row, beyond[min(count_for(self), len(beyond)) - 1])

    def action_category_left(self) -> None:
        """The first column of this category, or of the one before."""
        before = [first for first in self._firsts() if first < self._column]
        if before:
            self._place(self._row, before[-min(count_for(self), len(before))])

    def _firsts(self) -> list[int]:
        return [
            number
            for number, shown in enumerate(self._shown)
            if number == 0 or self._shown[number - 1].category != shown.category
        ]

    def action_fold(self) -> None:
        """Fold the category of the cursor to one column, or unfold it."""
        if self._shown:
            self._folded ^= {self.category}
            self._refold()

    def action_fold_all(self) -> None:
        """Fold every category; when all are, unfold them."""
        every = {column.category for column in self._columns}
        self._folded = set() if self._folded >= every else every
        self._refold()

    def _refold(self) -> None:
        self._arrange(self._shown[self._column].key if self._shown else None)
        self._settle()
        self.refresh()
        self.post_message(self.Moved(self))

    def _arrange(self, column_key: str | None) -> None:
        """Lay the columns out again, the cursor on the one that holds this key."""
        shown: list[_Shown] = []
        at = 0
        while at < len(self._columns):
            category = self._columns[at].category
            end = at
            while end < len(self._columns) and self._columns[end].category == category:
                end += 1
            members = tuple(self._columns[at:end])
            if category in self._folded:
                counted = cell_width(f"{len(members)}/{len(members)}!+")
                # A path of the tree is told by its last part, below what leads there.
                head, slash, tail = category.rpartition("/")
                titles = (head, tail, f"+{len(members)}") if slash else (category, "", f"+{len(members)}")
                width = 1 + max(counted + 1, min(cell_width(safe_text(tail, 80)), 10))
                shown.append(_Shown(members[0].key, category, titles, width, members, True))
            else:
                shown.extend(self._open_columns(members))
            at = end
        self._shown = shown
        self._starts = [0, *accumulate(column.width for column in shown)]
        self._column = next(
            (
                number
                for number, column in enumerate(shown)
                if any(member.key == column_key for member in column.members)
            ),
            min(self._column, max(0, len(shown) - 1)),
        )

    def _open_columns(self, members: tuple[Column, ...]) -> list[_Shown]:
        shown: list[_Shown] = []
        for number, member in enumerate(members):
            label = safe_text(member.label, 40) + ("!" if member.risky else "")
            width = max(3, min(cell_width(label), 12))
            neighbours = members[max(0, number - 1) : number] + members[number + 1 : number + 2]
            if all(each.group != member.group for each in neighbours):
                width = max(width, min(cell_width(safe_text(member.group, 80)), 10))
            shown.append(
                _Shown(
                    member.key,
                    member.category,
                    (member.category, member.group, label),
                    1 + width,
                    (member,),
                    False,
                )
            )
        return shown

    @property
    def _height(self) -> int:
        return max(0, self.size.height - _HEADER)

    @property
    def _frozen(self) -> int:
        """Cells of the first column: the longest label, but no more than a third unless there is room."""
        left = self.size.width - self._starts[-1]
        return min(max(16, self._label_width + 3), max(16, self.size.width // 3, left))

    @property
    def _label_width(self) -> int:
        # The visible ones would make the column jump while scrolling; a thousand labels say enough.
        if self._measured[0] is not self._rows:
            widest = max(
                (cell_width(safe_text(row.label, 80)) + len(row.kind) + 1 for row in self._rows[:1000]),
                default=0,
            )
            self._measured = (self._rows, widest)
        return self._measured[1]

    _measured: tuple[Sequence[Row], int] = ((), 0)

    @property
    def _room(self) -> int:
        return max(0, self.size.width - self._frozen)

    @property
    def _right(self) -> int:
        """One behind the last column that is wholly visible."""
        return max(self._left + 1, bisect_right(self._starts, self._starts[self._left] + self._room) - 1)

    def _place(self, row: int, column: int) -> None:
        row = max(0, min(row, len(self._rows) - 1))
        column = max(0, min(column, len(self._shown) - 1))
        if (row, column) == (self._row, self._column):
            return
        old_row, old_column = self._row, self._column
        self._row, self._column = row, column
        if self._settle():
            self.refresh()
        else:
            self.refresh(*self._regions(old_row, old_column))
        self.post_message(self.Moved(self))

    def _regions(self, old_row: int, old_column: int) -> list[Region]:
        """What a move without scrolling changes: two cells, and what names their rows and columns.

        A line is painted from its beginning to the end of what changed, so each is named once.
        """
        ends: dict[int, int] = {}

        def until(y: int, x: int) -> None:
            ends[y] = max(ends.get(y, 0), x)

        if not self._shown:
            return [self.size.region]
        for row, column in ((old_row, old_column), (self._row, self._column)):
            end = self._at(column) + self._shown[column].width
            until(_HEADER + row - self._top, end)
            if old_column != self._column:
                until(_HEADER - 1, end)
            if old_row != self._row:
                until(_HEADER + row - self._top, self._frozen)
        if old_row != self._row and self._counts_rows:
            until(1, self._frozen)
        return [Region(0, y, x, 1).intersection(self.size.region) for y, x in ends.items()]

    def _at(self, column: int) -> int:
        """The cell where a column begins on the screen."""
        return self._frozen + self._starts[column] - self._starts[self._left]

    def _span(self, y: int, column: int) -> tuple[int, int]:
        """The visible columns that share a title in this line of the header: the first, and one behind."""
        if y == 2:
            return column, column + 1
        mine = self._shown[column].titles[: y + 1]

        def same(other: _Shown) -> bool:
            return other.titles[: y + 1] == mine

        first, end = column, column + 1
        while first > self._left and same(self._shown[first - 1]):
            first -= 1
        last = min(self._right, len(self._shown))
        while end < last and same(self._shown[end]):
            end += 1
        return first, end

    @property
    def _counts_rows(self) -> bool:
        """Whether the corner says which row it is: where they do not all fit."""
        return len(self._rows) > self._height

    def _settle(self) -> bool:
        """Scroll until the cursor is visible, half a screen at a time: a line costs far less than a page."""
        before = self._top, self._left
        height = self._height
        if height:
            if not self._top <= self._row < self._top + height:
                jump = max(1, height // 2)
                self._top = self._row - jump if self._row < self._top else self._row - height + jump
            self._top = max(0, min(self._top, len(self._rows) - height))
        if self._shown and self._room:
            last = len(self._shown)
            self._left = min(self._left, last - 1)
            if not self._left <= self._column < self._right:
                half = self._starts[self._column] + self._shown[self._column].width - self._room // 2
                if self._column < self._left:
                    half = self._starts[self._column] - self._room // 2
                self._left = min(self._column, max(0, bisect_right(self._starts, max(0, half)) - 1))
                while self._column >= self._right and self._left < self._column:
                    self._left += 1
            # No empty space to the right while there is something to the left of it.
            while self._left and self._starts[last] - self._starts[self._left - 1] <= self._room:
                self._left -= 1
        return before != (self._top, self._left)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._settle()
        self.refresh()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that the cursor is elsewhere."""
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the cursor, three rows at a time."""
        event.stop()
        self._place(self._row + 3, self._column)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the cursor, three rows at a time."""
        event.stop()
        self._place(self._row - 3, self._column)

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor there."""
        row = self._top + event.y - _HEADER
        if event.y < _HEADER or row >= len(self._rows):
            return
        column = self._column
        if event.x >= self._frozen and self._shown:
            at = self._starts[self._left] + event.x - self._frozen
            column = bisect_right(self._starts, at) - 1
        self._place(row, column)

    def render_line(self, y: int) -> Strip:
        """One line: three of the header, then the visible rows."""
        width = self.size.width
        base = self.rich_style
        if y < _HEADER:
            strip = Strip(self._header(y, base))
        else:
            number = self._top + y - _HEADER
            if number >= len(self._rows):
                return Strip.blank(width, base)
            strip = Strip(self._line(number, base))
        return strip.adjust_cell_length(width, base)

    def _header(self, y: int, base: Style) -> list[Segment]:
        head = base + _BOLD
        mark = base + _HERE
        left, right, last = self._left, self._right, len(self._shown)
        corner = ""
        if y == 2 and self._shown and right - left < last:
            corner = f"{left + 1:,}-{min(right, last):,} of {last:,}"
            if len(corner) + 9 < self._frozen:
                corner = f"columns {corner}"
        elif y == 1 and self._counts_rows:
            corner = f"row {self._row + 1:,} of {len(self._rows):,}"
        runs = _Runs(base)
        runs.add(" " + fit(corner, self._frozen - 1), base)
        at = left
        while at < min(right, last):
            first, end = self._span(y, at)
            room = self._starts[end] - self._starts[first] - 1
            here = y == _HEADER - 1 and first == self._column
            title = fit(self._shown[first].titles[y], room)
            runs.add(" ", head)
            runs.add(title.rstrip() if here else title, mark if here else head)
            runs.add(" " * (room - cell_width(title.rstrip())) if here else "", head)
            at = end
        return runs.segments()

    def _line(self, number: int, base: Style) -> list[Segment]:
        row = self._rows[number]
        here = number == self._row
        kind = f"{row.kind} " if row.kind else ""
        label = fit(row.label, max(0, self._frozen - 3 - cell_width(kind)))
        runs = _Runs(base)
        runs.add(f"{self._sign if here else ' '} {kind}{label} ", base + _BOLD if here else base)
        for column_number in range(self._left, min(self._right, len(self._shown))):
            column = self._shown[column_number]
            text, alarming, staged = self._cell(number, row, column)
            if here and column_number == self._column:
                marked = f"[{text}]"
                runs.add(marked, base + (_CURSOR if self.has_focus else _BOLD))
                runs.add(" " * (column.width - len(marked)), base)
            elif alarming or staged:
                # The space before and after is the same in any style.
                runs.add(f" {text}".ljust(column.width), base + (_STAGED if staged else _RISKY))
            else:
                runs.add(f" {text}".ljust(column.width), base)
        return runs.segments()

    def _cell(self, number: int, row: Row, column: _Shown) -> tuple[str, bool, str]:
        """What a cell says, whether it should draw the eye, and the sign of what is staged in it."""
        if not column.folded:
            member = column.members[0]
            sign = row.cells.get(member.key)
            if sign is None:
                return NOT, False, ""
            staged = sign if sign in STAGED else ""
            return sign + ("!" if member.risky else ""), member.risky, staged
        found = self._counted.get((number, column.category))
        if found is None:
            if len(self._counted) > 20_000:
                self._counted.clear()
            found = self._counted[(number, column.category)] = _fold(row, column.members)
        return found


class _Runs:
    """A line put together of pieces; neighbours of one style become one, for each style costs bytes."""

    def __init__(self, base: Style) -> None:
        self._style = base
        self._text: list[str] = []
        self._done: list[Segment] = []

    def add(self, text: str, style: Style) -> None:
        """The next piece."""
        if not text:
            return
        if style != self._style and self._text:
            self._done.append(Segment("".join(self._text), self._style))
            self._text = []
        self._style = style
        self._text.append(text)

    def segments(self) -> list[Segment]:
        """The line."""
        if self._text:
            self._done.append(Segment("".join(self._text), self._style))
            self._text = []
        return self._done


def _fold(row: Row, members: Sequence[Column]) -> tuple[str, bool, str]:
    """How many columns of a category hold something, as one cell."""
    if row.count is not None:
        held, mark = row.count(members)
        alarming = bool(held) and any(member.risky for member in members)
        text = f"{held}/{len(members)}" + ("!" if alarming else "") + mark if held or mark else NOT
        return text, alarming, mark
    signs = {member: sign for member in members if (sign := row.cells.get(member.key)) is not None}
    if not signs:
        return NOT, False, ""
    staged = {sign for sign in signs.values() if sign in STAGED}
    alarming = any(member.risky for member in signs)
    mark = "" if not staged else next(iter(staged)) if len(staged) == 1 else "~"
    held = sum(1 for sign in signs.values() if sign != "-")
    return f"{held}/{len(members)}" + ("!" if alarming else "") + mark, alarming, mark


def _index(keys: Iterable[str], wanted: str | None, otherwise: int) -> int:
    """Where the wanted key stands, or the nearest valid place to where it was."""
    last = -1
    for number, key in enumerate(keys):
        if key == wanted:
            return number
        last = number
    return max(0, min(otherwise, last))
