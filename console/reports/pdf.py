"""A document as PDF: the same blocks, drawn line by line, in a typeface that is carried along.

A block is measured before it is drawn, so that the end of a page cuts none; one taller than a page goes on
with its header repeated. No text is cut: what is too long gets a wider column, then smaller type, then more
lines.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from console.reports.brand import Brand
from console.reports.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Paragraph,
    Table,
    Tile,
    Tiles,
    rows_of,
)
from console.reports.fonts import covered, path
from console.reports.words import words

_MARGIN: Final = 14.0
"""Millimetres, like every length here; sizes of type are points."""
_TOP: Final = 13.0
_BOTTOM: Final = 16.0
_GAP: Final = 8.0
"""Between two tables beside each other."""
_LINES: Final = 2
"""Of a name in a cell, before smaller type is taken for it."""
_SIZES: Final = (8.0, 7.5, 7.0, 6.5, 6.0)
"""Of what stands in a cell; one that fits in none of them has more lines of the last."""
_LEADING: Final = 3.7 / 8
"""Millimetres of a cell's line for each point of its type."""
_LEAST: Final = 16.0
"""To which a column of texts may be narrowed for one of figures."""
_TILES: Final = 8
"""Headline figures beside each other."""
_FIGURE_LEAST: Final = 9.0
"""Points in which a headline figure fits where there are several of them beside each other."""
_BARRED: Final = 12.0
"""What a bar takes beside the longest figure, with the room between them."""
_BAR: Final = 14.0
"""That a bar leaves, at least, for the figure beside it."""
_PAGES: Final = "\uffff" * 2
"""Stands for the number of pages until it is known. No text has it: the typeface has no such character, and
what that lacks is written as notation."""

INK: Final = (28, 33, 38)
QUIET: Final = (102, 112, 122)
LINE: Final = (217, 222, 227)
TRACK: Final = (233, 237, 240)
WASH: Final = (245, 247, 248)
FILLS: Final = {
    "critical": (179, 38, 30), "high": (221, 122, 31), "medium": (217, 177, 59), "low": (127, 163, 196),
    "info": (195, 203, 211), "good": (33, 110, 78), "bad": (179, 38, 30), "quiet": (195, 203, 211),
}  # fmt: skip
TEXTS: Final = {"quiet": QUIET, "bad": (179, 38, 30), "good": (33, 110, 78)}
_SEVERITIES: Final = frozenset(("critical", "high", "medium", "low", "info"))

Colour = tuple[int, int, int]


def pdf(document: Document, brand: Brand, *, made: int | None = None) -> bytes:
    """The file's bytes.

    Args:
        made: what the file says of when it was made (ms, UTC); the moment of the call when None.
    """
    drawing = _Drawing(document, brand)
    when = datetime.now(UTC) if made is None else datetime.fromtimestamp(made / 1000, UTC)
    drawing.pdf.set_creation_date(when)
    drawing.whole()
    return bytes(drawing.pdf.output())


class _Drawing:
    """One document on its way to paper."""

    def __init__(self, document: Document, brand: Brand) -> None:
        from fpdf import FPDF

        self.document, self.brand = document, brand
        self.words = words(document.language)
        self.colour = _rgb(brand.colour)
        self.covered = covered()

        class Paper(FPDF):
            def footer(inner) -> None:
                self.page_foot()

        self.pdf: Any = Paper(format=brand.paper, unit="mm")
        self.pdf.set_auto_page_break(False)
        self.pdf.alias_nb_pages(_PAGES)
        self.pdf.set_margins(_MARGIN, _TOP, _MARGIN)
        for style, weight in (("", "Regular"), ("B", "Bold")):
            self.pdf.add_font("Roboto", style, path("Bold" if weight == "Bold" else "Regular"))
        self.pdf.set_title(self.text(f"{document.title}: {document.kind}, {document.subtitle}"))
        self.pdf.set_author(self.text(document.provider))
        self.pdf.set_lang(document.language)
        self.pdf.set_creator("")
        self.pdf.set_producer("")
        # A cell has a millimetre before and behind its text otherwise.
        self.pdf.c_margin = 0
        self.width = self.pdf.w - 2 * _MARGIN
        self.shares: dict[tuple[int, float], list[float]] = {}
        """Of a table (its id) in a width: those of its columns."""
        self.needed: dict[tuple[int, int], float] = {}
        """Of a table (its id) and the number of a column: how wide its longest figure is."""
        self.font(7)
        said = " · ".join(each for each in (document.provider, document.contact) if each)
        self.foot = [
            *self.lines(said, self.width - 30),
            *self.lines(document.made, self.width),
        ]  # fmt: skip

    # -- type ------------------------------------------------------------------------------------------

    def text(self, said: str) -> str:
        """What the typeface cannot write is written as notation, never left out."""
        if said.isascii():
            return said
        return "".join(
            each
            if ord(each) in self.covered
            else f"\\u{ord(each):04x}"
            if ord(each) < 0x10000
            else f"\\U{ord(each):08x}"
            for each in said
        )

    def font(self, size: float, *, bold: bool = False, colour: Colour = INK) -> None:
        """Type from here on."""
        self.pdf.set_font("Roboto", "B" if bold else "", size)
        self.pdf.set_text_color(*colour)

    def lines(self, said: str, width: float) -> list[str]:
        """A text broken to a width in the type in force; a word too long is broken too."""
        wide: Callable[[str], float] = self.pdf.get_string_width
        found: list[str] = []
        for part in said.split("\n"):
            line = ""
            for word in self.text(part).split(" "):
                joined = f"{line} {word}" if line else word
                if wide(joined) <= width:
                    line = joined
                    continue
                if line:
                    found.append(line)
                line = word
                while wide(line) > width and len(line) > 1:
                    kept = self._fits(line, width)
                    found.append(line[:kept])
                    line = line[kept:]
            found.append(line)
        return found

    def fitted(
        self, said: str, width: float, sizes: Sequence[float], most: int, *, bold: bool = False
    ) -> tuple[list[str], float]:
        """A text in the first size in which it has at most so many lines and no broken word, else the last.

        Returns:
            its lines, and the size, which is in force afterwards.
        """
        found: list[str] = []
        for size in sizes:
            self.pdf.set_font("Roboto", "B" if bold else "", size)
            found = self.lines(said, width)
            words = self.text(said).split()
            if len(found) <= most and all(self.pdf.get_string_width(word) <= width for word in words):
                return found, size
        return found, sizes[-1]

    def _fits(self, text: str, width: float) -> int:
        """How many characters of a text do, at least one."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.pdf.get_string_width(text[:middle]) <= width:
                low = middle
            else:
                high = middle - 1
        return low

    def put(self, x: float, y: float, width: float, height: float, said: str, align: str = "L") -> None:
        """One line of text in a box."""
        self.pdf.set_xy(x, y)
        self.pdf.cell(width, height, said, align=align)

    def fill(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A bar."""
        if width > 0 and height > 0:
            self.pdf.set_fill_color(*colour)
            self.pdf.rect(x, y, width, height, style="F")

    # -- pages -----------------------------------------------------------------------------------------

    @property
    def bottom(self) -> float:
        """Where the room for blocks ends."""
        return float(self.pdf.h) - _BOTTOM - 3.4 * max(0, len(self.foot) - 2)

    def page_foot(self) -> None:
        """Whose report it is, and which page."""
        pdf = self.pdf
        y = self.bottom + 3.5
        self.fill(_MARGIN, y - 1.5, self.width, 0.2, LINE)
        self.font(7, colour=QUIET)
        self.put(_MARGIN, y, self.width, 3.4, self.words("page", n=pdf.page_no(), of=_PAGES), "R")
        for line in self.foot:
            self.put(_MARGIN, y, self.width, 3.4, line)
            y += 3.4

    def whole(self) -> None:
        """Every page."""
        self.pdf.add_page()
        y = self._head(_TOP)
        for section in self.document.sections:
            first = True
            for row in self._rows(section.blocks):
                head = 10.0 if first and section.key != "summary" else 0.0
                tall = max(self.height(block, self._part(row)) for block in row)
                if y + head + min(tall, 60.0 if self._splits(row) else tall) > self.bottom and y > _TOP + 1:
                    self.pdf.add_page()
                    y = _TOP
                if head:
                    y = self._section(y, section.title)
                first = False
                ends = []
                for number, block in enumerate(row):
                    x = _MARGIN + number * (self._part(row) + _GAP)
                    ends.append(self.draw(block, x, y, self._part(row), alone=len(row) == 1))
                y = max(ends) + 3.0

    def _rows(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, ...]]:
        """Blocks as they stand below each other: halves that no page would hold have a row each."""
        for row in rows_of(blocks):
            if len(row) > 1 and max(self.height(each, self._part(row)) for each in row) > self.bottom - _TOP:
                yield from ((each,) for each in row)
            else:
                yield row

    def _part(self, row: Sequence[Block]) -> float:
        return float(self.width) if len(row) == 1 else (self.width - _GAP) / 2

    def _splits(self, row: Sequence[Block]) -> bool:
        """Whether it may go on on the next page: only what is taller than one."""
        return (
            len(row) == 1
            and isinstance(row[0], Table)
            and self.height(row[0], self.width) > self.bottom - _TOP
        )

    def _head(self, y: float) -> float:
        pdf, document = self.pdf, self.document
        self.fill(_MARGIN, y - 2, self.width, 0.8, self.colour)
        y += 2
        tall = 8.0
        if self.brand.logo:
            wide, high = self.brand.logo_size
            scale = min(11.0 / high, 55.0 / wide)
            tall = max(tall, high * scale)
            pdf.image(io.BytesIO(self.brand.logo), _MARGIN, y, wide * scale, high * scale)
        else:
            self.font(10, bold=True, colour=self.colour)
            named = self.lines(document.provider, self.width * 0.6)
            tall = max(tall, 4.4 * len(named))
            for number, line in enumerate(named):
                step = tall if len(named) == 1 else 4.4
                self.put(_MARGIN, y + 4.4 * number, self.width * 0.6, step, line)
        self.font(7.5, colour=QUIET)
        pdf.set_char_spacing(0.8)
        self.put(_MARGIN, y, self.width, tall, self.text(document.kind.upper()), "R")
        pdf.set_char_spacing(0)
        y += tall + 3
        self.font(20, bold=True, colour=self.colour)
        titled, size = self.fitted(document.title, self.width, (20.0, 16.0, 13.0), 2, bold=True)
        for line in titled:
            self.put(_MARGIN, y, self.width, size * 0.425, line)
            y += size * 0.425
        self.font(11, colour=QUIET)
        self.put(_MARGIN, y, self.width, 6, self.text(document.subtitle))
        y += 8.5
        if document.warnings:
            y = self._warnings(y)
        return y

    def _warnings(self, y: float) -> float:
        self.font(7.5)
        said = [line for each in self.document.warnings for line in self.lines(f"- {each}", self.width - 6)]
        while True:
            room = max(1, int((self.bottom - y - 6.5) / 3.4))
            here, said = said[:room], said[room:]
            self.fill(_MARGIN, y, self.width, 6.5 + 3.4 * len(here), WASH)
            self.fill(_MARGIN, y, 0.8, 6.5 + 3.4 * len(here), FILLS["bad"])
            self.font(7.5, bold=True)
            self.put(_MARGIN + 2, y + 1.2, self.width, 3.6, self.text(self.words("missing")))
            self.font(7.5)
            at = y + 4.8
            for line in here:
                self.put(_MARGIN + 2, at, self.width, 3.4, line)
                at += 3.4
            if not said:
                return at + 4
            self.pdf.add_page()
            y = _TOP

    def _section(self, y: float, title: str) -> float:
        self.font(11.5, bold=True, colour=self.colour)
        self.put(_MARGIN, y + 1, self.width, 6, self.text(title))
        self.fill(_MARGIN, y + 7.4, self.width, 0.2, LINE)
        return y + 9.2

    # -- blocks ----------------------------------------------------------------------------------------

    def height(self, block: Block, width: float) -> float:
        """How tall a block is."""
        if isinstance(block, Paragraph):
            self._paragraph_type(block)
            return 4.8 * len(self.lines(block.text, width)) + 0.5
        foot = self._foot_height(block.foot, width)
        if isinstance(block, Tiles):
            return sum(tall for _, tall in self._tile_rows(block, width)) + 0.5 + foot
        if isinstance(block, Chart):
            return self._title_height(block.title, width) + 34.0 + 5.0 + foot
        title = self._title_height(block.title, width)
        if not block.rows:
            return title + self._empty_height(block.empty, width) + foot
        rows = sum(self._row_height(block, row, width) for row in block.rows)
        return title + self._header_height(block, width) + rows + foot

    def draw(self, block: Block, x: float, y: float, width: float, *, alone: bool) -> float:
        """Draw it; where it ends."""
        if isinstance(block, Paragraph):
            self._paragraph_type(block)
            for line in self.lines(block.text, width):
                self.put(x, y, width, 4.8, line)
                y += 4.8
            return y - 1.5
        if isinstance(block, Tiles):
            y = self._tiles(block, x, y, width)
        elif isinstance(block, Chart):
            y = self._chart(block, x, y, width)
        else:
            y = self._table(block, x, y, width, alone=alone)
        return self._foot(block.foot, x, y, width)

    def _paragraph_type(self, block: Paragraph) -> None:
        self.font(9 if block.tone else 10.5, colour=TEXTS.get(block.tone, INK))

    def _foot_height(self, foot: str, width: float) -> float:
        self.font(6.3, colour=QUIET)
        return 2.75 * len(self.lines(foot, width)) + 0.8 if foot else 0.0

    def _foot(self, foot: str, x: float, y: float, width: float) -> float:
        if not foot:
            return y
        self.font(6.3, colour=QUIET)
        y += 0.8
        for line in self.lines(foot, width):
            self.put(x, y, width, 2.75, line)
            y += 2.75
        return y

    def _tile_rows(self, block: Tiles, width: float) -> list[tuple[tuple[Tile, ...], float]]:
        """The tiles that stand beside each other, and how tall each row is: as many as leave the figures the
        room that they take."""
        self.font(_FIGURE_LEAST, bold=True)
        widest = max((self.pdf.get_string_width(self.text(each.value)) for each in block.items), default=0.0)
        most = max(1, min(len(block.items), _TILES, int(width / (widest + 4.0))))
        number = -(-len(block.items) // most)
        each = -(-len(block.items) // max(1, number))
        found = []
        for at in range(0, len(block.items), max(1, each)):
            row = block.items[at : at + each]
            self.font(6.6)
            lines = max(len(self.lines(tile.detail, width / each - 4)) for tile in row)
            found.append((row, 18.0 + 2.9 * max(0, lines - 2)))
        return found

    def _tiles(self, block: Tiles, x: float, y: float, width: float) -> float:
        rows = self._tile_rows(block, width)
        each = width / max(1, max((len(row) for row, _ in rows), default=1))
        for row, tall in rows:
            self.pdf.set_draw_color(*LINE)
            self.pdf.set_line_width(0.2)
            self.pdf.rect(x, y, width, tall)
            for number, tile in enumerate(row):
                left = x + number * each
                if number:
                    self.fill(left, y, 0.2, tall, LINE)
                self._tile(tile, left + 2, y, each - 4)
            y += tall
        return y

    def _tile(self, tile: Tile, x: float, y: float, inner: float) -> None:
        self.font(7, colour=QUIET)
        labels, size = self.fitted(tile.label, inner, (7.0, 6.5, 6.0, 5.5), 1)
        step = 3.4 if len(labels) == 1 else size * 0.36
        for at, line in enumerate(labels):
            self.put(x, y + 1.6 + step * at - (1.0 if len(labels) > 1 else 0), inner, step, line)
        self.font(16, bold=True, colour=(168, 72, 10) if tile.tone == "high" else self.colour)
        value = self.text(tile.value)
        while self.pdf.get_string_width(value) > inner and self.pdf.font_size_pt > 5:
            self.pdf.set_font_size(self.pdf.font_size_pt - 0.5)
        self.put(x, y + 5.2, inner, 6, value)
        self.font(6.6, colour=QUIET)
        for at, line in enumerate(self.lines(tile.detail, inner)):
            self.put(x, y + 11.4 + 2.9 * at, inner, 2.9, line)

    def _title_height(self, title: str, width: float) -> float:
        self.font(8.6, bold=True)
        return 1.0 + 4.0 * len(self.lines(title, width))

    def _title(self, title: str, x: float, y: float, width: float) -> float:
        self.font(8.6, bold=True)
        for line in self.lines(title, width):
            self.put(x, y, width, 4, line)
            y += 4.0
        return y + 1.0

    def _empty_height(self, empty: str, width: float) -> float:
        self.font(8, colour=QUIET)
        return 1.0 + 4.0 * len(self.lines(empty, width))

    def _chart(self, block: Chart, x: float, y: float, width: float) -> float:
        y = self._title(block.title, x, y, width)
        self.font(6, colour=QUIET)
        self.put(x, y - 1, width, 3, self.text(block.top))
        top, high = y + 2.4, 27.0
        self.fill(x, top, width, 0.15, LINE)
        self.fill(x, top + high, width, 0.2, LINE)
        number, highest = max(1, len(block.days)), max(1, block.highest)
        step = width / number
        thick = step * 0.72
        every = max(1, -(-number // 31))
        for day in range(number):
            at = top + high
            for series in reversed(block.series):
                tall = high * series.values[day] / highest
                at -= tall
                self.fill(
                    x + day * step + (step - thick) / 2, at, thick, tall, FILLS.get(series.tone, self.colour)
                )
            if day % every == 0:
                self.put(x + day * step - 2, top + high + 0.6, step + 4, 3, block.days[day], "C")
        y = top + high + 4.4
        self.font(7, colour=QUIET)
        at = x
        for series in block.series:
            if any(series.values):
                label = self.text(series.label)
                self.fill(at, y + 0.6, 2.2, 2.2, FILLS.get(series.tone, self.colour))
                self.put(at + 3, y, 30, 3.4, label)
                at += 7 + float(self.pdf.get_string_width(label))
        return y + 4.2

    # -- tables ----------------------------------------------------------------------------------------

    def _widths(self, block: Table, width: float) -> list[float]:
        """Of the columns: their shares, and more for figures that take it, out of columns of texts."""
        key = id(block), width
        if (held := self.shares.get(key)) is not None:
            return held
        whole = sum(column.share for column in block.columns)
        found = [width * column.share / whole for column in block.columns]
        lacking = [
            max(0.0, self._needed(block, number) - wide) if column.align == "right" else 0.0
            for number, (column, wide) in enumerate(zip(block.columns, found, strict=True))
        ]
        spare = [
            max(0.0, wide - _LEAST) if column.align == "left" else 0.0
            for column, wide in zip(block.columns, found, strict=True)
        ]
        if any(lacking) and any(spare):
            moved = min(sum(lacking), sum(spare))
            found = [
                wide + moved * lack / sum(lacking) - moved * room / sum(spare)
                for wide, lack, room in zip(found, lacking, spare, strict=True)
            ]
        self.shares[key] = found
        return found

    def _needed(self, block: Table, number: int) -> float:
        """How wide a column of figures has to be for the longest of them."""
        key = id(block), number
        if key not in self.needed:
            self.font(_SIZES[0], bold=any(row[0].strong for row in block.rows))
            self.needed[key] = 1.2 + max(
                (
                    self.pdf.get_string_width(self.text(row[number].text))
                    + (_BARRED if row[number].bar is not None else 0.0)
                    for row in block.rows
                ),
                default=0.0,
            )
        return self.needed[key]

    def _header_height(self, block: Table, width: float) -> float:
        self.font(6.8, colour=QUIET)
        most = max(
            len(self.lines(column.title, wide - 1.2))
            for column, wide in zip(block.columns, self._widths(block, width), strict=True)
        )
        return 3.0 * most + 1.0 + (4.0 if block.groups else 0.0)

    def _row_height(self, block: Table, row: Sequence[Cell], width: float) -> float:
        cells = self._cells(block, row, width)
        return max(_LEADING * size * len(lines) for lines, size in cells) + 1.1

    def _cells(self, block: Table, row: Sequence[Cell], width: float) -> list[tuple[list[str], float]]:
        """The lines of each cell, and the size of its type."""
        found = []
        for place, (cell, column, wide) in enumerate(
            zip(row, block.columns, self._widths(block, width), strict=True)
        ):
            room = wide - 1.2 - self._inset(block, row, place)
            most = _LINES if column.align == "left" else 1
            found.append(self.fitted(cell.text, room, _SIZES, most, bold=row[0].strong))
        return found

    def _inset(self, block: Table, row: Sequence[Cell], place: int) -> float:
        """What is left free before a text: for its mark, or after a figure that ends where it begins."""
        if not place:
            return 3.4 if row[0].tone in _SEVERITIES else 0.0
        before, here = block.columns[place - 1 : place + 1]
        return 2.0 if (before.align, here.align) == ("right", "left") else 0.0

    def _table(self, block: Table, x: float, y: float, width: float, *, alone: bool) -> float:
        y = self._title(block.title, x, y, width)
        if not block.rows:
            self.font(8, colour=QUIET)
            for line in self.lines(block.empty, width):
                self.put(x, y, width, 4, line)
                y += 4.0
            return y + 1.0
        y = self._header(block, x, y, width)
        for row in block.rows:
            tall = self._row_height(block, row, width)
            if alone and y + tall > self.bottom:
                self.pdf.add_page()
                y = self._header(block, x, _TOP, width)
            self._row(block, row, x, y, width, tall)
            y += tall
        return y

    def _header(self, block: Table, x: float, y: float, width: float) -> float:
        widths = self._widths(block, width)
        tall = self._header_height(block, width)
        end = y + tall
        if block.groups:
            at, number = x, 0
            for group, span in block.groups:
                wide = sum(widths[number : number + span])
                if group:
                    self.font(6.8, bold=True)
                    self.put(at, y, wide, 3.2, self.text(group), "R")
                    self.fill(at + 2, y + 3.4, wide - 2, 0.15, LINE)
                at, number = at + wide, number + span
        self.font(6.8, colour=QUIET)
        at = x
        for column, wide in zip(block.columns, widths, strict=True):
            lines = self.lines(column.title, wide - 1.2)
            top = end - 1.0 - 3.0 * len(lines)
            for number, line in enumerate(lines):
                self._aligned(column, at, top + 3.0 * number, wide, 3.0, line)
            at += wide
        self.fill(x, end - 0.3, width, 0.25, INK)
        return end

    def _aligned(self, column: Column, x: float, y: float, width: float, height: float, said: str) -> None:
        self.put(x, y, width, height, said, "R" if column.align == "right" else "L")

    def _row(self, block: Table, row: Sequence[Cell], x: float, y: float, width: float, tall: float) -> None:
        texts = self._cells(block, row, width)
        at = x
        widths = self._widths(block, width)
        for place, (cell, (lines, size), column, wide) in enumerate(
            zip(row, texts, block.columns, widths, strict=True)
        ):
            left = at + self._inset(block, row, place)
            if not place and cell.tone in _SEVERITIES:
                self.pdf.set_fill_color(*FILLS[cell.tone])
                self.pdf.ellipse(at, y + 1.35, 2.1, 2.1, style="F")
            if cell.bar is not None:
                room = max(0.0, wide - max(_BAR, self._needed(block, place) - _BARRED + 4.0))
                self.fill(at + 2, y + 1.75, room, 1.3, TRACK)
                self.fill(at + 2, y + 1.75, room * min(1.0, cell.bar), 1.3, FILLS.get(cell.tone, self.colour))
            self.font(size, bold=row[0].strong, colour=TEXTS.get(cell.tone, INK))
            step = _LEADING * size
            # Smaller type stands on the line of its neighbours.
            top = y + 0.5 + (_LEADING * _SIZES[0] - step) / 2 if len(lines) == 1 else y + 0.5
            for number, line in enumerate(lines):
                self._aligned(column, left, top + step * number, wide - (left - at), step, line)
            at += wide
        self.fill(x, y + tall - 0.15, width, 0.2 if row[0].strong else 0.12, INK if row[0].strong else LINE)


def _rgb(colour: str) -> Colour:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))
