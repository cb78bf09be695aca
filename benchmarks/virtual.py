"""A bare virtual table: Textual's line API over pages by keyset, and nothing else.

`python -m benchmarks.virtual STORE`: the open alerts of a store, worst first, one segment a line, a cursor that
moves by single lines and by pages. What every key of the real queue is measured against.
"""

import sqlite3
import sys

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

WINDOW = 400
SELECT = (
    "SELECT d.rank, d.time, d.id, o.name, d.cat, d.hostname, d.status, d.assignee FROM detection d"
    " JOIN organization o ON o.oid = d.oid WHERE d.status < 2"
)


class Queue(ScrollView, can_focus=True):
    """Rows are read when they come into view."""

    BINDINGS = [  # noqa: RUF012
        Binding("down", "move(1)"), Binding("up", "move(-1)"), Binding("pagedown", "page(1)"), Binding("pageup", "page(-1)"),
    ]  # fmt: skip

    def __init__(self, path: str) -> None:
        super().__init__()
        self._store = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._rows: list[tuple[object, ...]] = []
        self._cursor = 0
        self._count = int(
            self._store.execute("SELECT sum(count) FROM detection_count WHERE status < 2").fetchone()[0]
        )
        self._plain, self._chosen = Style(), Style(reverse=True)

    def on_mount(self) -> None:
        """Say how long the whole is."""
        self.virtual_size = Size(self.size.width, self._count)

    def _row(self, number: int) -> tuple[object, ...] | None:
        while number >= len(self._rows) and len(self._rows) < self._count:
            last = self._rows[-1][:3] if self._rows else (99, 0, 0)
            found = self._store.execute(
                f"{SELECT} AND (d.rank, d.time, d.id) < (?, ?, ?) ORDER BY d.rank DESC, d.time DESC, d.id DESC LIMIT {WINDOW}",
                last,
            ).fetchall()
            if not found:
                return None
            self._rows.extend(found)
        return self._rows[number] if number < len(self._rows) else None

    def render_line(self, y: int) -> Strip:
        """One row as one segment."""
        number = y + self.scroll_offset.y
        row = self._row(number)
        width = self.size.width
        text = (
            ""
            if row is None
            else f"{row[0]} {row[1]} {row[3]:24.24} {row[4]:32.32} {row[5]:16.16} {row[6]} {row[7]}"
        )
        style = self._chosen if number == self._cursor else self._plain
        return Strip([Segment(text[:width].ljust(width), style)], width)

    def action_move(self, by: int) -> None:
        """The cursor goes by lines; at the edge the view jumps by half of it."""
        before, self._cursor = self._cursor, max(0, min(self._count - 1, self._cursor + by))
        top, height = self.scroll_offset.y, self.size.height
        if not top <= self._cursor < top + height:
            self.scroll_to(y=max(0, self._cursor - height // 2), animate=False)
            self.refresh()
            return
        for number in (before, self._cursor):
            self.refresh(Region(0, number - top, self.size.width, 1))

    def action_page(self, by: int) -> None:
        """The cursor goes by a whole view."""
        self._cursor = max(0, min(self._count - 1, self._cursor + by * self.size.height))
        self.scroll_to(y=max(0, self._cursor - self.size.height // 2), animate=False)
        self.refresh()


class Virtual(App[None]):
    """One table."""

    def compose(self) -> ComposeResult:
        """The table alone."""
        yield Queue(sys.argv[1])


if __name__ == "__main__":
    Virtual().run()
