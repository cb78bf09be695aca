"""A document as Markdown: tables and sentences, in which a stranger's text means nothing but itself."""

import re
from collections.abc import Iterator

from console.reports.document import Block, Cell, Chart, Document, Paragraph, Table, Tiles
from console.reports.words import words
from store.casefile import escaped
from store.text import safe_text

_OWN_SPACES = re.compile("([\u00a0\u202f]+)")
"""That keep a figure with its unit. A stranger's became notation before they came into a document."""


def markdown(document: Document) -> str:
    """The file's text (CommonMark with tables)."""
    lines = [
        f"# {plain(document.title)}",
        "",
        f"**{plain(document.kind)}**, {plain(document.subtitle)}",
        "",
    ]
    if document.warnings:
        lines += [f"> **{plain(words(document.language)('missing'))}**", ">"]
        lines += [*(f"> - {plain(each)}" for each in document.warnings), ""]
    for section in document.sections:
        lines += [f"## {plain(section.title)}", ""]
        for block in section.blocks:
            lines += _block(block)
    said = [document.provider, document.contact]
    lines += ["---", "", *(f"{plain(each)}  " for each in said if each), plain(document.made)]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """A text of a document, in which nothing is obeyed: what is invisible is notation, but for our spaces."""
    parts = _OWN_SPACES.split(text)
    return escaped("".join(part if number % 2 else safe_text(part) for number, part in enumerate(parts)))


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from (plain(block.text), "")
        return
    if isinstance(block, Tiles):
        yield from _rows(
            ["", "", ""],
            "lrl",
            [[plain(tile.label), f"**{plain(tile.value)}**", plain(tile.detail)] for tile in block.items],
        )
    elif isinstance(block, Chart):
        yield from (f"### {plain(block.title)}", "")
        series = [each for each in block.series if any(each.values)]
        yield from _rows(
            ["", *(plain(each.label) for each in series)],
            "l" + "r" * len(series),
            [
                [plain(day), *(f"{'≥ ' if block.at_least else ''}{each.values[number]}" for each in series)]
                for number, day in enumerate(block.days)
                if any(each.values[number] for each in series)
            ],
        )
    else:
        yield from _table(block)
    yield from _foot(block.foot)


def _table(block: Table) -> Iterator[str]:
    yield from (f"### {plain(block.title)}", "")
    if not block.rows:
        yield from (plain(block.empty), "")
        return
    yield from _rows(
        [
            plain(f"{column.group}: {column.title}" if column.group else column.title)
            for column in block.columns
        ],
        "".join(column.align[0] for column in block.columns),
        [[_cell(cell) for cell in row] for row in block.rows],
    )


def _cell(cell: Cell) -> str:
    text = plain(cell.text)
    return f"**{text}**" if cell.strong and text else text


def _rows(titles: list[str], aligns: str, rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|" + "|".join(" ---: " if align == "r" else " --- " for align in aligns) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _foot(foot: str) -> Iterator[str]:
    if foot:
        yield from (f"*{plain(line)}*  " for line in foot.split("\n"))
        yield ""
