"""Reports as tests read them: what a written file says, taken out of it by somebody else's parser."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from store.text import safe_text

ELEMENTS = frozenset(
    (
        "html", "head", "meta", "title", "style", "body", "main", "header", "div", "img", "span", "h1", "p",
        "aside", "b", "ul", "li", "section", "h2", "dl", "dt", "dd", "figure", "figcaption", "svg", "rect",
        "text", "circle", "table", "caption", "colgroup", "col", "thead", "tbody", "tr", "th", "td",
        "footer",
    )
)  # fmt: skip
ATTRIBUTES = frozenset(
    (
        "lang", "charset", "http-equiv", "content", "name", "class", "alt", "src", "width", "height", "x",
        "y", "viewbox", "role", "aria-label", "aria-hidden", "cx", "cy", "r", "text-anchor", "scope",
        "colspan",
    )
)  # fmt: skip


@dataclass
class Said:
    """An HTML report, taken apart."""

    title: str = ""
    tiles: dict[str, str] = field(default_factory=dict)
    """Label -> value."""
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    """Caption -> rows of the body."""
    feet: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    elements: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    sources: list[str] = field(default_factory=list)
    """Of pictures."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said = Said()
        self.open: list[str] = []
        self.text = ""
        self.caption = ""
        self.label = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.said.elements.add(tag)
        self.said.attributes.update(given)
        if tag == "img":
            self.said.sources.append(given["src"])
        if tag in ("meta", "col", "img", "rect", "circle"):
            return
        self.open.append(f"{tag}.{given.get('class', '')}")
        if tag not in ("svg", "span", "text"):
            self.text = ""
        if tag == "tr":
            self.said.tables.setdefault(self.caption, []).append([])

    def handle_startendtag(self, tag, attrs):
        self.said.elements.add(tag)
        self.said.attributes.update(dict(attrs))

    def handle_data(self, data):
        if not any(each.startswith(("svg", "style")) for each in self.open):
            self.text += data

    def handle_endtag(self, tag):
        kind = self.open.pop()
        text = re.sub(r"[ \t]+", " ", self.text).strip()
        if tag == "h1":
            self.said.title = text
        elif tag == "caption":
            self.caption = text
        elif tag == "td" and "group" not in "".join(self.open[-1:]):
            self.said.tables[self.caption][-1].append(text)
        elif tag == "tr" and not self.said.tables[self.caption][-1]:
            self.said.tables[self.caption].pop()
        elif tag == "dt":
            self.label = text
        elif kind == "dd.value":
            self.said.tiles[self.label] = text
        elif kind == "p.foot":
            self.said.feet.append(text)
        elif tag == "p":
            self.said.paragraphs.append(text)
        elif tag == "li" and any(each.startswith("aside") for each in self.open):
            self.said.warnings.append(text)


def read(html: str) -> Said:
    """What an HTML report says."""
    reader = _Reader()
    reader.feed(html)
    assert not reader.open, reader.open
    return reader.said


def number(text: str) -> int:
    """A count as the English report prints it."""
    return int(text.replace(",", ""))


def squeezed(text: str) -> str:
    """Without any space: a text of a page has them where a line broke."""
    return re.sub(r"\s+", "", text)


def shown(name: str, limit: int) -> str:
    """A stranger's text as a report has it."""
    return safe_text(name, limit)
