"""The only place where data becomes something that Textual shows.

Textual reads markup, and runs actions, in most strings a widget is given; Rich does in tables and trees. So
a screen never hands a widget a bare string that came from the store: it hands it what these functions return.
All of them pass `store.text.safe_text`, and underline the notation that stands for a character which cannot
be shown, so that it differs from the same letters in a file name.
"""

from typing import Literal

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.content import Content

from store.text import fit, safe_block, safe_parts, safe_text

__all__ = ["block", "content", "hanging", "line", "segment", "shown"]

NOTATION = "underline"


def shown(
    value: str,
    width: int | None = None,
    style: str = "",
    *,
    cut: Literal["end", "middle"] = "end",
    align: Literal["left", "right"] = "left",
) -> Text:
    """Data as a Rich `Text`, for table cells, column headers and tree labels: one line, never wrapped.

    With `width`, exactly that many cells: padded, or cut with `~`. `style` is ours, never data.
    """
    text = Text(style=style, no_wrap=True, end="")
    if width is not None:
        return text.append(fit(value, width, cut=cut, align=align))
    for run, notation in safe_parts(value):
        text.append(run, NOTATION if notation else None)
    return text


def content(
    value: str,
    width: int | None = None,
    style: str = "",
    *,
    cut: Literal["end", "middle"] = "end",
    align: Literal["left", "right"] = "left",
) -> Content:
    """Data as a Textual `Content`, for every widget that takes one: one line.

    With `width`, exactly that many cells: padded, or cut with `~`. `style` is ours, never data.
    """
    if width is not None:
        return Content.styled(fit(value, width, cut=cut, align=align), style)
    runs = safe_parts(value)
    if len(runs) == 1 and not runs[0][1]:
        return Content.styled(runs[0][0], style)
    made = Content.assemble(*((run, NOTATION) if notation else run for run, notation in runs))
    return made.stylize_before(style) if style else made


def line(*parts: str | Content | tuple[str, str]) -> Content:
    """One line out of data, finished `Content`, and (data, style) pairs, in order."""
    made: list[Content] = []
    for part in parts:
        if isinstance(part, Content):
            made.append(part)
        elif isinstance(part, str):
            made.append(content(part))
        else:
            made.append(content(part[0], style=part[1]))
    return Content("").join(made)


def block(value: str, limit: int = 65536, style: str = "") -> Content:
    """A text of several lines, such as a detection's JSON: line breaks are kept, the rest is made safe."""
    return Content.styled("\n".join(safe_block(value, limit)), style)


def segment(
    value: str,
    width: int | None = None,
    style: Style | None = None,
    *,
    cut: Literal["end", "middle"] = "end",
    align: Literal["left", "right"] = "left",
) -> Segment:
    """Data as one Rich `Segment`, for widgets that draw their own lines."""
    return Segment(safe_text(value) if width is None else fit(value, width, cut=cut, align=align), style)


def hanging(content: Content, width: int, indent: int = 5) -> list[Content]:
    """A line wrapped to so many cells, so that what follows its first part stands indented below it."""
    first, *rest = content.wrap(max(width - indent, 20)) or [content]
    return [first, *(Content(" " * indent) + each for each in rest)]
