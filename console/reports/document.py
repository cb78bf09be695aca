"""A report before it is written in any format: what it says, block by block, every text already made safe.

Whoever composes one puts a stranger's text through `safe` and nothing else: what is invisible or active is
shown as notation. Each writer then escapes for its own format.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from store.text import safe_text

Align = Literal["left", "right"]
Tone = Literal["", "critical", "high", "medium", "low", "info", "good", "bad", "quiet", "plain"]

LONGEST = 96
"""Characters of a stranger's text in a report; the middle of more is left out."""


def safe(text: object, limit: int = LONGEST) -> str:
    """A stranger's text for a document."""
    return safe_text(str(text), limit)


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Headline figures beside each other, with what they rest on."""

    items: tuple[Tile, ...]
    foot: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    align: Align = "left"
    share: int = 1
    """Of the width, against the others."""
    group: str = ""
    """What stands above it and the neighbours with the same."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = ""
    bar: float | None = None
    """Draws a bar of this share (0 to 1) beside the text."""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a header."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: str = ""
    """What it rests on."""
    empty: str = ""
    """Said in place of rows when there are none."""
    half: bool = False
    """It may stand beside another one."""

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """(what stands above, how many columns), over all columns; () when nothing does."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and column.group and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return tuple(found) if any(group for group, _ in found) else ()


@dataclass(frozen=True, slots=True)
class Series:
    """Values of a chart, one a day."""

    label: str
    tone: Tone
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Stacked bars over the days of a period, the last series at the bottom."""

    title: str
    days: tuple[str, ...]
    """A short name for each."""
    series: tuple[Series, ...]
    foot: str = ""
    top: str = ""
    """The highest day's number, as it is written beside the axis."""
    at_least: bool = False
    """Its numbers are of a part only."""

    @property
    def highest(self) -> int:
        """Of the sums of each day."""
        return max(
            (sum(values) for values in zip(*(each.values for each in self.series), strict=True)), default=0
        )


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or more."""

    text: str
    tone: Tone = ""


Block = Tiles | Table | Chart | Paragraph


@dataclass(frozen=True, slots=True)
class Section:
    """A part with a heading."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    language: str
    kind: str
    """What it is, above the title."""
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    made: str
    """When it was put together, and of what: the last line."""
    provider: str
    contact: str = ""
    warnings: tuple[str, ...] = field(default=())
    """What is missing of it, said before anything else."""


def rows_of(blocks: Iterable[Block]) -> Iterator[tuple[Block, ...]]:
    """Blocks as they stand below each other: two halves share a row."""
    waiting: Block | None = None
    for block in blocks:
        if isinstance(block, Table) and block.half:
            if waiting is None:
                waiting = block
                continue
            yield (waiting, block)
            waiting = None
            continue
        if waiting is not None:
            yield (waiting,)
            waiting = None
        yield (block,)
    if waiting is not None:
        yield (waiting,)
