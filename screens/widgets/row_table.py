"""A table of any length: it holds a few pages around the cursor, and draws only the lines it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events, work
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from screens.keys import MARKING_MOVES, MOVES, count_for, has_count, press
from store.text import cell_width, fit

Row = TypeVar("Row")

PAGES_HELD = 4
"""Pages kept around the cursor; further away they are let go and read again."""


class Source(Protocol[Row]):
    """Where rows come from, in one fixed order. Each answer is in that order, at most `limit` long."""

    slow: bool
    """Whether a page may take longer than a few milliseconds; it is then read in a thread."""

    def identity(self, row: Row) -> Hashable:
        """What makes a row the same thing after its text changed."""
        ...

    def first(self, limit: int) -> list[Row]:
        """The first rows of all."""
        ...

    def last(self, limit: int) -> list[Row]:
        """The last rows of all."""
        ...

    def after(self, row: Row, limit: int) -> list[Row]:
        """Those behind this row, which itself may be gone."""
        ...

    def before(self, row: Row, limit: int) -> list[Row]:
        """The nearest ones ahead of this row."""
        ...

    def starting(self, row: Row, limit: int) -> list[Row]:
        """This row, if it is still there, and those behind it."""
        ...


class Listed(Generic[Row]):
    """A source over rows that are in memory: `table.put(Listed(rows, key=lambda row: row.oid))`.

    Give the table a new one whenever the rows change; the cursor stays on its thing, or, when that is gone,
    at its place.
    """

    slow = False

    def __init__(self, rows: Sequence[Row], *, key: Callable[[Row], Hashable]) -> None:
        self._rows = list(rows)
        self._key = key
        self._places = {key(row): place for place, row in enumerate(self._rows)}
        self._before: Listed[Row] | None = None

    def replacing(self, before: Source[Row] | None) -> None:
        """Remember what was shown before, for the place of rows that are gone."""
        if isinstance(before, Listed) and before is not self:
            self._before = before
            before._before = None

    def identity(self, row: Row) -> Hashable:
        """The key given."""
        return self._key(row)

    def first(self, limit: int) -> list[Row]:
        """From the top."""
        return self._rows[:limit]

    def last(self, limit: int) -> list[Row]:
        """From the end."""
        return self._rows[-limit:] if limit else []

    def after(self, row: Row, limit: int) -> list[Row]:
        """Behind this row or its old place."""
        place = self._place(row)
        start = place + 1 if self._key(row) in self._places else place
        return self._rows[start : start + limit]

    def before(self, row: Row, limit: int) -> list[Row]:
        """Ahead of this row or its old place."""
        place = self._place(row)
        return self._rows[max(0, place - limit) : place]

    def starting(self, row: Row, limit: int) -> list[Row]:
        """From this row or its old place."""
        place = self._place(row)
        return self._rows[place : place + limit]

    def _place(self, row: Row) -> int:
        key = self._key(row)
        if key in self._places:
            return self._places[key]
        known = self._before._places.get(key) if self._before is not None else None
        if known is None or self._before is None:
            return len(self._rows) if known is None else known
        for earlier in reversed(self._before._rows[:known]):
            if (place := self._places.get(self._key(earlier))) is not None:
                return place + 1
        return 0


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column. Widths depend on the terminal alone, never on the data."""

    title: str
    text: Callable[[Row], str]
    """What a row shows; may be a stranger's text."""
    width: int
    """Cells, without the space that follows."""
    grow: int = 0
    """Its share of the cells that are left over."""
    from_width: int = 0
    """Shown only when the table has at least so many cells."""
    most: int = 0
    """It grows no further than to so many cells; 0 is any."""
    least: int = 0
    """Where there is not enough room for all, it gives way down to so many cells; 0 is not at all."""
    missed: bool = False
    """Where it is not shown, the end of the line of heads says how many such there are: `+2`."""
    align: Literal["left", "right"] = "left"
    cut: Literal["end", "middle"] = "end"
    style: Callable[[Row], str] | None = None
    """A style for the cell; the text must say the same."""


@dataclass(frozen=True)
class Anchor(Generic[Row]):
    """Where the operator is: what must not move when the data does."""

    row: Row
    offset: int
    """Lines between the top of the table and the cursor."""
    at_start: bool
    """The first line shown is the first row of all, so that new ones may come in above."""


@dataclass(frozen=True)
class Window(Generic[Row]):
    """The rows around the cursor, as read."""

    rows: list[Row]
    cursor: int
    offset: int
    at_start: bool
    at_end: bool


def read_window(source: Source[Row], anchor: Anchor[Row] | None, page: int) -> Window[Row]:
    """The rows around the cursor. May run in a thread: it touches nothing but the source.

    Args:
        anchor: where the cursor is to stay; None for the top.
        page: rows read at once.
    """
    if anchor is None:
        rows = source.first(page)
        return Window(rows, 0, 0, at_start=True, at_end=len(rows) < page)
    if anchor.at_start:
        rows = source.first(page)
        wanted = source.identity(anchor.row)
        for place, row in enumerate(rows):
            if source.identity(row) == wanted:
                return Window(rows, place, anchor.offset, at_start=True, at_end=len(rows) < page)
    below = source.starting(anchor.row, page)
    above = source.before(anchor.row, page)
    rows = above + below
    if not rows:
        rows = source.first(page)
        return Window(rows, 0, 0, at_start=True, at_end=len(rows) < page)
    cursor = min(len(above), len(rows) - 1)
    return Window(rows, cursor, anchor.offset, at_start=len(above) < page, at_end=len(below) < page)


Drawn = tuple[bool, tuple[tuple[str, str], ...]]
"""(whether the cursor is on it, the pieces of a line with their styles)"""


class RowTable(Widget, Generic[Row], can_focus=True):
    """A cursor over any number of rows.

    A cursor move repaints two lines; at the edge the view jumps half a page, so that the next moves are cheap
    again. Rows come by keyset, never by offset, so that a million of them open as fast as ten.
    """

    DEFAULT_CSS = """
    RowTable { height: 1fr; width: 1fr; overflow: hidden hidden; }
    """
    ALLOW_SELECT = False
    BINDING_GROUP_TITLE = "Moving"
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES]

    @dataclass
    class Moved(Message):
        """The cursor stands on another thing, or on none."""

        table: RowTable[Any]
        row: Any

        def can_replace(self, message: Message) -> bool:
            """Only where it came to rest matters."""
            return isinstance(message, RowTable.Moved)

        @property
        def control(self) -> RowTable[Any]:
            """The table that was moved in."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        *,
        cursor: str = ">",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._mark = cursor
        self._source: Source[Row] | None = None
        self._rows: list[Row] = []
        self._cursor = 0
        self._top = 0
        self._at_start = True
        self._at_end = True
        self._widths: list[tuple[Column[Row], int]] = []
        self._drawn: list[Drawn] = []
        self._painted: tuple[int, int] | None = None
        """The first line and the cursor's when `_drawn` was drawn; None when there are other rows since."""
        self._named: Hashable = None
        self._styles_made: dict[str, Style] = {}
        self._owed = 0
        self._going = False

    # -- what views use ---------------------------------------------------------------------------------

    @property
    def current(self) -> Row | None:
        """The row the cursor is on; None in an empty table."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def page_size(self) -> int:
        """Rows read at once: twice what is shown, at least 64."""
        return max(64, 2 * self._height)

    def where(self) -> Anchor[Row] | None:
        """Where the cursor is, for `read_window`; None while it was never moved: then it stays at the top."""
        if self._awaited is not None:
            return self._awaited
        row = self.current
        if row is None or not self._held:
            return None
        return Anchor(row, self._cursor - self._top, self._at_start and self._top == 0)

    def put(self, source: Source[Row], window: Window[Row] | None = None, *, top: bool = False) -> None:
        """Show other rows; the cursor stays on its thing, at its height on the screen.

        Args:
            source: where further pages come from.
            window: what `read_window` answered, in a thread if the source is slow; without it the source is
                asked here.
            top: go to the first row instead.
        """
        if isinstance(source, Listed):
            source.replacing(self._source)
        self._held = self._held and not top
        anchor = None if top else self.where()
        self._awaited = None
        self._source = source
        self._owed = 0
        if window is None:
            window = read_window(source, anchor, self.page_size)
        cursor, offset = window.cursor, window.offset
        if anchor is not None:
            wanted = source.identity(anchor.row)
            places = [place for place, row in enumerate(window.rows) if source.identity(row) == wanted]
            if places:
                cursor, offset = places[0], anchor.offset
            elif window.rows and not source.slow:
                window = read_window(source, anchor, self.page_size)
                cursor, offset = window.cursor, window.offset
        was_at_start = anchor is not None and anchor.at_start
        self._rows, self._painted = window.rows, None
        self._at_start, self._at_end = window.at_start, window.at_end
        self._cursor = min(cursor, max(0, len(self._rows) - 1))
        if was_at_start and self._at_start and self._cursor < self._height:
            self._top = 0
        else:
            self._top = max(0, self._cursor - offset)
        self._settle()

    def hold(self) -> None:
        """Keep the cursor on its thing from now on, as if it had been moved there."""
        self._held = True

    def go_to(self, row: Row) -> None:
        """Put the cursor on this row, wherever it is in the source."""
        if self._source is not None:
            source, page, offset = self._source, self.page_size, self._height // 3
            self._far(lambda: read_window(source, Anchor(row, offset, at_start=False), page))

    def stand_on(self, anchor: Anchor[Row] | None) -> None:
        """Be where the cursor once was, as `where` said, at the next `put`; None is the top."""
        self._awaited = anchor
        self._held = anchor is not None

    def show_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns of the same rows."""
        self._columns = tuple(columns)
        self._lay_out()
        self._drawn = []

    def tick(self) -> None:
        """Repaint the lines whose text changed by time alone (ages)."""
        self._paint()

    # -- moving -----------------------------------------------------------------------------------------

    def action_cursor_down(self) -> None:
        """Down by the count."""
        self._move(count_for(self))

    def action_cursor_up(self) -> None:
        """Up by the count."""
        self._move(-count_for(self))

    def action_half_down(self) -> None:
        """Down half a page."""
        self._move(max(1, self._height // 2) * count_for(self), scroll=True)

    def action_half_up(self) -> None:
        """Up half a page."""
        self._move(-max(1, self._height // 2) * count_for(self), scroll=True)

    def action_page_down(self) -> None:
        """Down a page."""
        self._move(max(1, self._height - 1) * count_for(self), scroll=True)

    def action_page_up(self) -> None:
        """Up a page."""
        self._move(-max(1, self._height - 1) * count_for(self), scroll=True)

    def action_first(self) -> None:
        """The first row; with a count, the row of that number."""
        self._go_first(count_for(self) - 1 if has_count(self) else 0)

    def action_last(self) -> None:
        """The last row; with a count, the row of that number."""
        if has_count(self):
            self._go_first(count_for(self) - 1)
        elif self._source is not None:
            source, page = self._source, self.page_size
            self._far(lambda: Window(rows := source.last(page), len(rows) - 1, 0, len(rows) < page, True))

    def _go_first(self, further: int) -> None:
        if self._source is not None:
            source, page = self._source, self.page_size
            self._far(lambda: read_window(source, None, page), further)

    def _far(self, read: Callable[[], Window[Row]], further: int = 0) -> None:
        if self._source is not None and self._source.slow:
            self._going = True
            self._far_later(self._source, read, further)
        else:
            self._arrive(read(), further)

    def _arrive(self, window: Window[Row], further: int) -> None:
        self._owed, self._held, self._painted = 0, True, None
        self._rows, self._at_start, self._at_end = window.rows, window.at_start, window.at_end
        self._cursor = max(0, window.cursor)
        self._top = max(0, self._cursor - self._height + 1)
        if further:
            self._move(further)
        self._settle()

    @work(exclusive=True, group="page", exit_on_error=False)
    async def _far_later(self, source: Source[Row], read: Callable[[], Window[Row]], further: int) -> None:
        try:
            window = await asyncio.to_thread(read)
        finally:
            self._going = False
        if self._source is source:
            self._arrive(window, further)

    @property
    def on_its_way(self) -> bool:
        """Whether the cursor goes to another row once that is read."""
        return self._going or (self._owed != 0 and self._under_way is not None)

    def _move(self, by: int, *, scroll: bool = False) -> None:
        """Move the cursor; with `scroll` the page moves as far as the cursor does."""
        if not self._rows:
            return
        self._held = True
        before, top = self._cursor, self._top
        target = self._cursor + by
        while target >= len(self._rows) and not self._at_end:
            if not self._extend(down=True, owed=target - len(self._rows) + 1):
                break
            target -= self._trimmed
        while target < 0 and not self._at_start:
            if not self._extend(down=False, owed=target):
                break
            target += self._added
        shifted = self._cursor - before
        self._cursor = min(max(target, 0), len(self._rows) - 1)
        if scroll:
            self._top = max(0, top + shifted + by)
        self._settle()

    def _extend(self, *, down: bool, owed: int) -> bool:
        """Read the next page at an end; False when it is being read in a thread."""
        self._trimmed = self._added = 0
        source = self._source
        if source is None or not self._rows:
            return False
        edge = self._rows[-1] if down else self._rows[0]
        limit = max(self.page_size, min(abs(owed) + self._height, 20_000))
        if source.slow:
            self._owed = owed
            if self._under_way != (down, source.identity(edge)):
                self._under_way = (down, source.identity(edge))
                self._extend_later(source, edge, down, limit)
            return False
        self._join(source.after(edge, limit) if down else source.before(edge, limit), down, limit)
        return True

    def _join(self, rows: list[Row], down: bool, limit: int) -> None:
        self._painted = None
        held = max(PAGES_HELD * self.page_size, len(rows) + self._height)
        if down:
            self._rows += rows
            self._at_end = len(rows) < limit
            spare = min(len(self._rows) - held, max(0, self._top))
            if spare > 0:
                del self._rows[:spare]
                self._trimmed = spare
                self._cursor -= spare
                self._top -= spare
                self._at_start = False
        else:
            self._rows[:0] = rows
            self._added = len(rows)
            self._cursor += len(rows)
            self._top += len(rows)
            self._at_start = len(rows) < limit
            if len(self._rows) > held:
                del self._rows[max(held, self._top + self._height + 1) :]
                self._at_end = False

    @work(exclusive=True, group="page", exit_on_error=False)
    async def _extend_later(self, source: Source[Row], edge: Row, down: bool, limit: int) -> None:
        try:
            rows = await asyncio.to_thread(source.after if down else source.before, edge, limit)
        finally:
            self._under_way = None
        if self._source is not source or not self._rows:
            return
        here = self._rows[-1] if down else self._rows[0]
        if source.identity(here) != source.identity(edge):
            return
        owed, self._owed = self._owed, 0
        self._trimmed = self._added = 0
        self._join(rows, down, limit)
        if owed:
            self._move(owed)
        else:
            self._settle()

    _missed = ""
    """What the line of heads says of columns that are not shown."""
    _held = False
    _awaited: Anchor[Row] | None = None
    _trimmed = 0
    _added = 0
    _under_way: tuple[bool, Hashable] | None = None

    # -- drawing ----------------------------------------------------------------------------------------

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 1)

    def on_resize(self) -> None:
        """Other widths, other lines; the cursor stays in sight."""
        self._lay_out()
        self._drawn = []
        self._settle()

    def on_mount(self) -> None:
        """Nothing is drawn before a size is known."""
        self._lay_out()

    def notify_style_update(self) -> None:
        """Another theme: make the styles anew."""
        super().notify_style_update()
        self._styles_made = {}

    def on_focus(self) -> None:
        """The cursor line says who has the keys."""
        self._paint()

    def on_blur(self) -> None:
        """The cursor line says who has the keys."""
        self._paint()

    def on_click(self, event: events.Click) -> None:
        """The line that was clicked."""
        place = self._top + event.y - 1
        if event.y >= 1 and 0 <= place < len(self._rows):
            self._move(place - self._cursor)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three lines."""
        event.stop()
        self._move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three lines."""
        event.stop()
        self._move(-3)

    def _lay_out(self) -> None:
        width = self.size.width
        shown = [column for column in self._columns if width >= column.from_width]
        missed = sum(column.missed for column in self._columns if width < column.from_width)
        self._missed = f"+{missed}" if missed else ""
        left = width - 2 - len(self._missed) - sum(column.width + 1 for column in shown)
        self._widths = [
            (column, column.width + extra) for column, extra in zip(shown, _extra(shown, left), strict=True)
        ]

    def _settle(self) -> None:
        """Keep the cursor in sight, fill the page, paint what changed, and say where the cursor is."""
        height = self._height
        if self._cursor < self._top:
            self._top = max(0, self._cursor - height // 2)
        elif self._cursor >= self._top + height:
            self._top = self._cursor - height + 1 + height // 2
        if self._rows and not self._owed:
            if not self._at_end and self._top + height > len(self._rows):
                self._extend(down=True, owed=0)
            if not self._at_start and self._top < height // 2:
                self._extend(down=False, owed=0)
        if self._at_end:
            self._top = max(0, min(self._top, len(self._rows) - height))
        top, cursor = self._painted or (None, 0)
        if top == self._top:
            self._paint(cursor, self._cursor)
        else:
            self._paint()
        current = self.current
        named = self._source.identity(current) if self._source is not None and current is not None else None
        if named != self._named:
            self._named = named
            self.post_message(self.Moved(self, current))

    def _paint(self, *places: int) -> None:
        """Paint the lines that changed: of those of `places`, when they are given, else of all."""
        old = self._drawn
        if places and len(old) == self._height and self._widths:
            # Under a key that is held, to draw every line to find the two that changed is most of the work.
            drawn = list(old)
            for y in {place - self._top for place in places} & set(range(self._height)):
                drawn[y] = self._draw(y)
        else:
            drawn = [self._draw(y) for y in range(self._height)] if self._widths else []
        self._drawn = drawn
        self._painted = (self._top, self._cursor)
        if len(old) != len(drawn):
            self.refresh()
            return
        width = self.size.width
        changed = [y for y, (new, was) in enumerate(zip(drawn, old, strict=True)) if new != was]
        if len(changed) > len(drawn) * 3 // 4:
            self.refresh()
        elif changed:
            self.refresh(*(Region(0, y + 1, width, 1) for y in changed))

    def _draw(self, y: int) -> Drawn:
        place = self._top + y
        if not 0 <= place < len(self._rows):
            return (False, ())
        row = self._rows[place]
        on_cursor = place == self._cursor
        pieces: list[tuple[str, str]] = []
        plain = (self._mark if on_cursor else " ") + self._sign(row)
        for column, width in self._widths:
            text = fit(column.text(row), width, cut=column.cut, align=column.align)
            style = column.style(row) if column.style is not None else ""
            if style and not on_cursor:
                if plain:
                    pieces.append((plain, ""))
                pieces.append((text, style))
                plain = " "
            else:
                plain += text + " "
        if plain:
            pieces.append((plain, ""))
        return (on_cursor, tuple(pieces))

    def _sign(self, row: Row) -> str:
        """One cell between the cursor and the columns."""
        return " "

    def render_line(self, y: int) -> Strip:
        """The heads of the columns, then a line a row."""
        width = self.size.width
        base = self._style("")
        if y == 0:
            text = "  " + "".join(
                fit(column.title, size, align=column.align) + " " for column, size in self._widths
            )
            if self._missed:
                text = fit(text, max(0, width - len(self._missed))) + self._missed
            return Strip([Segment(text, self._style("bold"))]).adjust_cell_length(width, base)
        if y > len(self._drawn):
            return Strip.blank(width, base)
        on_cursor, pieces = self._drawn[y - 1]
        if not pieces:
            return Strip.blank(width, base)
        if on_cursor:
            style = self._style("bold reverse" if self.has_focus else "bold")
            text = "".join(text for text, _ in pieces)
            text += " " * (width - cell_width(text))
            return Strip([Segment(text, style)]).adjust_cell_length(width, style)
        return Strip([Segment(text, self._style(style)) for text, style in pieces]).adjust_cell_length(
            width, base
        )

    def _style(self, name: str) -> Style:
        style = self._styles_made.get(name)
        if style is None:
            style = self.rich_style + Style.parse(name.replace("ansi_", "")) if name else self.rich_style
            self._styles_made[name] = style
        return style


def _extra(columns: Sequence[Column[Any]], left: int) -> list[int]:
    """By how many cells each column is wider than it says, of so many that are left over, or narrower."""
    extra = [0] * len(columns)
    while left < 0:
        slack = [column.width + more - column.least if column.least else 0
                 for column, more in zip(columns, extra, strict=True)]  # fmt: skip
        if max(slack, default=0) <= 0:
            return extra
        extra[slack.index(max(slack))] -= 1
        left += 1
    growing = [place for place, column in enumerate(columns) if column.grow and left > 0]
    # First those that are soon as wide as they may be: what they do not take is for the others.
    while growing:
        shares = sum(columns[place].grow for place in growing)
        capped = [
            place
            for place in growing
            if 0 < columns[place].most <= columns[place].width + left * columns[place].grow // shares
        ]
        if not capped:
            break
        for place in capped:
            extra[place] = min(left, max(0, columns[place].most - columns[place].width))
            left -= extra[place]
            growing.remove(place)
    shares = sum(columns[place].grow for place in growing)
    for place in growing:
        extra[place] = left * columns[place].grow // shares
        shares -= columns[place].grow
        left -= extra[place]
    return extra


MARKED_AT_ONCE = 5_000
"""Rows that one range may mark: further apart than this, a pattern says better what is meant."""


class MarkTable(RowTable[Row], inherit_bindings=False):
    """A table whose rows can be marked; marks are on things, and survive scrolling, filters and reloads."""

    BINDINGS: ClassVar[list[BindingType]] = [*MARKING_MOVES]

    @dataclass
    class Marked(Message):
        """Other rows are marked than before."""

        table: MarkTable[Any]

        def can_replace(self, message: Message) -> bool:
            """Only the last count matters."""
            return isinstance(message, MarkTable.Marked)

        @property
        def control(self) -> MarkTable[Any]:
            """The table."""
            return self.table

    @dataclass
    class TooFar(Message):
        """A range was asked for whose other end is not within reach, or that has no other end."""

        table: MarkTable[Any]
        why: str

        @property
        def control(self) -> MarkTable[Any]:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        *,
        cursor: str = ">",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(columns, cursor=cursor, id=id, classes=classes)
        self.marks: dict[Hashable, Row] = {}
        """What is marked, by identity, each as it was last seen."""
        self._last: Row | None = None
        self._ranging = False

    # -- what views use ---------------------------------------------------------------------------------

    def mark(self, rows: Sequence[Row]) -> int:
        """Mark these; answers how many were not marked before."""
        if self._source is None:
            return 0
        before = len(self.marks)
        for row in rows:
            self.marks[self._source.identity(row)] = row
        if rows:
            self._last = rows[-1]
        self._marked()
        return len(self.marks) - before

    def unmark(self, gone: Sequence[Hashable] | None = None) -> None:
        """Take these marks away, or all of them."""
        before = len(self.marks)
        if gone is None:
            self.marks.clear()
            self._last = None
        else:
            for identity in gone:
                self.marks.pop(identity, None)
        if len(self.marks) != before:
            self._marked()

    def put(self, source: Source[Row], window: Window[Row] | None = None, *, top: bool = False) -> None:
        """Show other rows; what is marked among them is kept as it is now."""
        super().put(source, window, top=top)
        if self.marks:
            for row in self._rows:
                identity = source.identity(row)
                if identity in self.marks:
                    self.marks[identity] = row

    # -- keys -------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark or unmark the row under the cursor, or so many as the count says, and go on below."""
        count = count_for(self)
        if self._source is None or self.current is None:
            return
        if count == 1:
            identity = self._source.identity(self.current)
            if identity in self.marks:
                del self.marks[identity]
            else:
                self.marks[identity] = self.current
                self._last = self.current
        else:
            for row in self._rows[self._cursor : self._cursor + count]:
                self.marks[self._source.identity(row)] = row
                self._last = row
        self._move(count)
        self._marked()

    def action_mark_range(self) -> None:
        """Mark everything from the last mark to the cursor."""
        current, last, source = self.current, self._last, self._source
        if source is None or current is None:
            return
        if last is None:
            begin = f"Nothing is marked yet: {press('move.mark', 'space')} marks where the range begins."
            self.post_message(self.TooFar(self, begin))
            return
        wanted = source.identity(last)
        for place, row in enumerate(self._rows):
            if source.identity(row) == wanted:
                low, high = sorted((place, self._cursor))
                self.mark(self._rows[low : high + 1])
                self._last = current
                return
        if not self._ranging:
            self._ranging = True
            self._mark_far(source, current, last)

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.unmark()

    @work(exclusive=True, group="range", exit_on_error=False)
    async def _mark_far(self, source: Source[Row], current: Row, last: Row) -> None:
        try:
            rows = await asyncio.to_thread(_between, source, current, last)
        finally:
            self._ranging = False
        if self._source is not source:
            return
        if rows is None:
            self.post_message(
                self.TooFar(
                    self,
                    f"The last mark is not within {MARKED_AT_ONCE:,} lines. "
                    f"{press('alerts.pattern', 'T')} marks by a pattern.",
                )
            )
        else:
            self.mark(rows)
            self._last = current

    def _marked(self) -> None:
        self._paint()
        self.post_message(self.Marked(self))

    def _sign(self, row: Row) -> str:
        """A star on what is marked."""
        if not self.marks or self._source is None:
            return " "
        return "*" if self._source.identity(row) in self.marks else " "


def _between(source: Source[Row], current: Row, last: Row) -> list[Row] | None:
    """Both ends and all rows between them, in the source's order; None when they are too far apart."""
    wanted = source.identity(last)
    below = [current, *source.after(current, MARKED_AT_ONCE)]
    for place, row in enumerate(below):
        if source.identity(row) == wanted:
            return below[: place + 1]
    above = [*source.before(current, MARKED_AT_ONCE), current]
    for place in range(len(above) - 1, -1, -1):
        if source.identity(above[place]) == wanted:
            return above[place:]
    return None
