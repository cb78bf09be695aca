"""Lines that follow a cursor, and cost as little on the line as it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region

from screens.frame import Line
from store.text import cell_width


class _Following(Line):
    """Paints only from where it says something else to where it ends."""

    def say(self, content: Content) -> None:
        """Show this line; it must be safe text already."""
        old = self._content
        if content == old and content.spans == old.spans:
            return
        same = _same_cells(old, content)
        self._content = content
        end = max(cell_width(old.plain), cell_width(content.plain))
        self.refresh(Region(same, 0, max(1, end - same), 1).intersection(self.size.region))


def _same_cells(old: Content, new: Content) -> int:
    """Cells at the beginning of two lines that look the same."""
    same = 0
    for one, other in zip(_letters(old), _letters(new), strict=False):
        if one != other:
            break
        same += 1
    return cell_width(new.plain[:same])


def _letters(content: Content) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each letter with its styles."""
    for at, letter in enumerate(content.plain):
        yield letter, tuple(str(span.style) for span in content.spans if span.start <= at < span.end)


class Said(Vertical):
    """A few lines, none of them wrapped."""

    DEFAULT_CSS = "Said { height: auto; }"

    def __init__(self, lines: int, *, id: str) -> None:  # noqa: A002
        """So many of them; `id` names them together."""
        super().__init__(id=id)
        self._lines = [_Following() for _ in range(lines)]

    def compose(self) -> ComposeResult:
        """The lines."""
        yield from self._lines

    def say(self, lines: Sequence[Content]) -> None:
        """Show these, as many as there is room for; they must be safe text already."""
        for number, line in enumerate(self._lines):
            line.say(lines[number] if number < len(lines) else Content())
