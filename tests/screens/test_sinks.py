"""Every widget that can show text is fed with the whole corpus; what reaches the terminal is looked at byte by byte.

Safe feeding (through `screens.widgets.text` and `safe_text`) must leave the guard nothing to do; raw feeding proves that
the oracle sees, and that the guard catches what somebody forgot.
"""

import asyncio
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.panel import Panel
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from textual.app import App
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import (
    Button,
    Checkbox,
    Collapsible,
    DataTable,
    Digits,
    DirectoryTree,
    Footer,
    Header,
    HelpPanel,
    Input,
    Label,
    Link,
    ListItem,
    ListView,
    Log,
    Markdown,
    MaskedInput,
    OptionList,
    Placeholder,
    Pretty,
    RadioButton,
    RadioSet,
    RichLog,
    Select,
    SelectionList,
    Static,
    Switch,
    Tab,
    TabbedContent,
    TabPane,
    Tabs,
    TextArea,
    Tree,
)
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from screens.guard import Guard, forbidden
from screens.widgets.text import block, content, line, segment, shown
from store.text import safe_text
from tests.corpus.strings import CORPUS, everything, mixes
from tests.helpers.soak import rounds
from tests.lint.sinks import MATRIX

WIDE = 4_200
NARROW = 300
MARKER = "limegrove-was-here"
CHUNK = 3_800
# What Textual itself sends when it paints: colours, and where to put the cursor.
OWN = re.compile(r"\x1b\[[0-9;:]*m|\x1b\[[0-9]+;[0-9]+H|\n")
TEXTLESS = frozenset({"ContentSwitcher", "LoadingIndicator", "ProgressBar", "Rule", "Sparkline", "Switch"})
"""They show no text but a tooltip, which every widget has."""


class Feed:
    """Turns strings into what a sink takes: safely, as screens do, or raw, as somebody who forgot would."""

    def __init__(self, *, safe: bool) -> None:
        self.safe = safe

    def text(self, value: str) -> Any:
        """For what takes `Content`."""
        return content(value) if self.safe else value

    def cell(self, value: str) -> Any:
        """For what takes a Rich `Text`."""
        return shown(value) if self.safe else value

    def plain(self, value: str) -> str:
        """For what takes only `str`."""
        return safe_text(value) if self.safe else value


@dataclass(frozen=True)
class Sink:
    """A way for text to get on the screen."""

    build: Callable[[Feed, Sequence[str]], list[Widget]]
    after: Callable[["Stage", Feed, Sequence[str]], Any] | None = None
    many: bool = False
    """Takes each string of its own, as rows; else strings are joined."""
    covers: tuple[str, ...] = ()
    raw: bool = True
    """Raw text gets through to the guard; not where Textual shows a repr, or hides what it is given."""
    links: bool = False
    """Makes links of addresses whatever it is given, so that only the guard helps: screens do not use it."""
    silent: bool = False
    """Shows its text as something else than letters."""


class Stage(App[None]):
    """One sink, filled."""

    CSS = """
    * { width: auto; max-width: 100%; min-width: 0; }
    VerticalScroll { width: 100%; height: 1fr; overflow: hidden hidden; }
    DataTable, Tree, OptionList, SelectionList, ListView, Log, RichLog, Input, TextArea, Tabs, ToastRack, Select { width: 100%; }
    OptionList, SelectionList { height: auto; max-height: 100%; }
    Button, Checkbox, RadioButton, Collapsible, Placeholder, Static, Label, Digits, Link, Tab { height: auto; width: auto; }
    Placeholder { height: 3; width: 100%; }
    RichLog, Log, DataTable, Tree { height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, sink: Sink, feed: Feed, texts: Sequence[str]) -> None:
        super().__init__()
        self.guard = Guard()
        self.sink, self.feed, self.texts = sink, feed, texts
        self.pwned = 0

    def get_line_filters(self) -> Any:
        return [*super().get_line_filters(), self.guard]

    def compose(self) -> Iterator[Widget]:
        with VerticalScroll():
            yield from self.sink.build(self.feed, self.texts)

    def action_pwn(self) -> None:
        self.pwned += 1


def joined(texts: Sequence[str]) -> list[str]:
    """The strings in as few as fit in one line each, as shown."""
    made: list[str] = []
    room = 0
    for text in texts:
        size = len(safe_text(text)) + 3
        if size > room:
            made.append("")
            room = CHUNK
        made[-1] += text + " | "
        room -= size
    return made


def each(make: Callable[[Feed, str], Widget]) -> Callable[[Feed, Sequence[str]], list[Widget]]:
    return lambda feed, texts: [make(feed, text) for text in texts]


def one(make: Callable[[Feed, Sequence[str]], Widget]) -> Callable[[Feed, Sequence[str]], list[Widget]]:
    return lambda feed, texts: [make(feed, texts)]


def _table(feed: Feed, texts: Sequence[str], where: str) -> Widget:
    table: DataTable[Any] = DataTable(show_row_labels=where == "label")
    if where == "column":
        for text in texts:
            table.add_column(feed.cell(text))
    else:
        table.add_column("c", key="c", width=NARROW - 20 if where != "label" else 8)
    for number, text in enumerate(texts if where != "column" else ["x"]):
        cell = feed.cell(text) if where == "cell" else "x"
        row = [cell] if where != "column" else ["x"] * len(texts)
        table.add_row(*row, key=str(number), label=feed.cell(text) if where == "label" else None)
    return table


def _tree(feed: Feed, texts: Sequence[str]) -> Widget:
    tree: Tree[None] = Tree("root")
    tree.root.expand()
    for text in texts:
        tree.root.add_leaf(feed.cell(text))
    return tree


def _json_tree(feed: Feed, texts: Sequence[str], *, keys: bool) -> Widget:
    tree: Tree[Any] = Tree("root")
    # `add_json` reads keys as markup and has no switch; screens add the leaves of a stranger's JSON themselves.
    if keys:
        for text in texts:
            tree.root.add_leaf(feed.cell(text))
    else:
        tree.add_json({str(number): feed.plain(text) for number, text in enumerate(texts)})
    tree.root.expand_all()
    return tree


def _border(feed: Feed, text: str, side: str) -> Widget:
    widget = Static("x", classes="framed")
    widget.styles.border = ("round", "white")
    widget.styles.width = "100%"
    widget.styles.height = 3
    setattr(widget, f"border_{side}", feed.text(text))
    return widget


class Painted(Widget):
    """A widget that draws its own lines."""

    def __init__(self, feed: Feed, texts: Sequence[str]) -> None:
        super().__init__()
        self.styles.width = "100%"
        self.styles.height = len(texts)
        self._lines = [segment(text) if feed.safe else Segment(text) for text in texts]

    def render_line(self, y: int) -> Strip:
        return Strip([self._lines[y]]) if y < len(self._lines) else Strip.blank(self.size.width)


def _rich(feed: Feed, texts: Sequence[str], kind: str) -> Widget:
    if kind == "table":
        table = Table("c")
        for text in texts:
            table.add_row(feed.cell(text))
        return Static(table)
    if kind == "panel":
        return Static(Panel(feed.cell(" ".join(texts[:3])), title=feed.cell(texts[0])))
    return Static(Syntax("\n".join(feed.plain(text) for text in texts), "json", line_numbers=True))


async def _update(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    for widget, text in zip(stage.query(Static), texts, strict=False):
        widget.update(feed.text(text))


async def _update_cells(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    table = stage.query_one(DataTable)
    for number, text in enumerate(texts):
        table.update_cell(str(number), "c", feed.cell(text))


async def _write(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    for log in stage.query(Log):
        log.write_lines([feed.plain(text) for text in texts])
    for rich_log in stage.query(RichLog):
        for text in texts:
            rich_log.write(feed.cell(text))


async def _notify(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    for text in texts[:12]:
        stage.notify(feed.plain(text[:200]), title=feed.plain(text[:200]), markup=False, timeout=60)


async def _title(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    stage.title = feed.plain(texts[0])
    stage.sub_title = feed.plain(texts[-1])


async def _tooltip(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    # A tooltip shows what any widget is given; here it is mounted as Textual does on hover.
    from textual.widgets import Tooltip

    tip = Tooltip()
    await stage.screen.mount(tip)
    tip.update(feed.text(texts[0]))
    tip.display = True


async def _screenshot(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
    picture = stage.export_screenshot()
    if feed.safe:
        assert not [c for c in picture if c != "\n" and c < " "]


class BoundScreen(Screen[None]):
    """Whose keys are described by a stranger."""

    def __init__(self, feed: Feed, texts: Sequence[str], widget: Widget) -> None:
        super().__init__()
        self._widget = widget
        for number, text in enumerate(texts[:20]):
            said = feed.plain(text[:150])
            self._bindings.key_to_bindings.setdefault(f"f{number + 1}", []).append(
                Binding(f"f{number + 1}", "bell", said, tooltip=safe_text(said) if feed.safe else "x")
            )

    def compose(self) -> Iterator[Widget]:
        yield self._widget


def _bound(make: Callable[[], Widget]) -> Callable[[Stage, Feed, Sequence[str]], Any]:
    async def push(stage: Stage, feed: Feed, texts: Sequence[str]) -> None:
        free = [text.replace("[", "(") for text in texts]  # a binding's description has no way but markup
        await stage.push_screen(BoundScreen(feed, free, make()))

    return push


def _tabbed(feed: Feed, texts: Sequence[str]) -> list[Widget]:
    tabs = TabbedContent()
    tabs.styles.width = "100%"
    tabs.styles.height = 10
    for text in texts:
        tabs.compose_add_child(TabPane(feed.text(text)))
    return [tabs]


NOTHING: Callable[[Feed, Sequence[str]], list[Widget]] = lambda feed, texts: []  # noqa: E731

SINKS: dict[str, Sink] = {
    "static": Sink(each(lambda f, t: Static(f.text(t))), covers=("Static",)),
    "static without markup": Sink(each(lambda f, t: Static(f.plain(t), markup=False))),
    "static of content": Sink(each(lambda f, t: Static(Content(f.plain(t))))),
    "static of rich text": Sink(each(lambda f, t: Static(f.cell(t)))),
    "static updated": Sink(each(lambda f, t: Static("")), _update),
    "static of a line": Sink(each(lambda f, t: Static(line(t, ("x", "bold")) if f.safe else t))),
    "static of a block": Sink(each(lambda f, t: Static(block(t) if f.safe else t))),
    "label": Sink(each(lambda f, t: Label(f.text(t))), covers=("Label",)),
    "label without markup": Sink(each(lambda f, t: Label(f.plain(t), markup=False))),
    "list item": Sink(
        one(lambda f, ts: ListView(*(ListItem(Label(f.text(t))) for t in ts))),
        covers=("ListView", "ListItem"),
    ),
    "table cell": Sink(one(lambda f, ts: _table(f, ts, "cell")), many=True, covers=("DataTable",)),
    "table column": Sink(one(lambda f, ts: _table(f, ts[:1], "column"))),
    "table row label": Sink(one(lambda f, ts: _table(f, ts, "label")), many=True),
    "table cell updated": Sink(
        one(lambda f, ts: _table(Feed(safe=True), ["x"] * len(ts), "cell")), _update_cells, many=True
    ),
    "tree root": Sink(lambda f, ts: [Tree(f.cell(ts[0]))], covers=("Tree",)),
    "tree leaf": Sink(one(_tree), many=True),
    "tree of json keys": Sink(one(lambda f, ts: _json_tree(f, ts, keys=True)), many=True),
    "tree of json values": Sink(one(lambda f, ts: _json_tree(f, ts, keys=False)), many=True, raw=False),
    "pretty": Sink(one(lambda f, ts: Pretty([f.plain(t) for t in ts])), raw=False, covers=("Pretty",)),
    "option list": Sink(
        one(lambda f, ts: OptionList(*(f.text(t) for t in ts))), many=True, covers=("OptionList",)
    ),
    "option list without markup": Sink(
        one(lambda f, ts: OptionList(*(f.plain(t) for t in ts), markup=False)), many=True
    ),
    "option": Sink(
        one(lambda f, ts: OptionList(*(Option(f.text(t)) for t in ts))), many=True, covers=("Option",)
    ),
    "selection list": Sink(
        one(lambda f, ts: SelectionList(*((f.text(t), n) for n, t in enumerate(ts)))),
        many=True,
        covers=("SelectionList",),
    ),
    "selection": Sink(
        one(lambda f, ts: SelectionList(*(Selection(f.text(t), n) for n, t in enumerate(ts)))),
        many=True,
        covers=("Selection",),
    ),
    "select prompt": Sink(
        each(lambda f, t: Select([("a", 1)], prompt=f.plain(t).replace("[", "("))), covers=("Select",)
    ),
    "select value": Sink(each(lambda f, t: Select([(f.text(t), 1)], value=1))),
    "button": Sink(each(lambda f, t: Button(f.text(t))), covers=("Button",)),
    "checkbox": Sink(each(lambda f, t: Checkbox(f.text(t))), covers=("Checkbox",)),
    "radio button": Sink(each(lambda f, t: RadioButton(f.text(t))), covers=("RadioButton",)),
    "radio set": Sink(one(lambda f, ts: RadioSet(*(f.text(t) for t in ts))), covers=("RadioSet",)),
    "collapsible": Sink(each(lambda f, t: Collapsible(title=f.text(t))), covers=("Collapsible",)),
    "placeholder": Sink(each(lambda f, t: Placeholder(f.text(t))), covers=("Placeholder",)),
    "tab": Sink(one(lambda f, ts: Tabs(Tab(f.text(ts[0])))), covers=("Tab",)),
    "tabs": Sink(one(lambda f, ts: Tabs(*(f.text(t) for t in ts[:3]))), covers=("Tabs",)),
    "tabbed content": Sink(lambda f, ts: _tabbed(f, ts[:2]), covers=("TabbedContent", "TabPane")),
    "notification": Sink(NOTHING, _notify, many=True),
    "border title": Sink(each(lambda f, t: _border(f, t, "title"))),
    "border subtitle": Sink(each(lambda f, t: _border(f, t, "subtitle"))),
    "tooltip": Sink(NOTHING, _tooltip),
    "footer": Sink(NOTHING, _bound(Footer), covers=("Footer",), many=True),
    "help panel": Sink(NOTHING, _bound(HelpPanel), many=True),
    "log": Sink(one(lambda f, ts: Log()), _write, many=True, covers=("Log",)),
    "rich log": Sink(one(lambda f, ts: RichLog()), _write, many=True, covers=("RichLog",)),
    "rich log with markup": Sink(one(lambda f, ts: RichLog(markup=True)), _write, many=True),
    "input": Sink(each(lambda f, t: Input(f.plain(t))), covers=("Input",)),
    "input placeholder": Sink(each(lambda f, t: Input(placeholder=f.plain(t)))),
    "masked input placeholder": Sink(
        each(lambda f, t: MaskedInput("9" * 30, placeholder=f.plain(t)[:30])),
        raw=False,
        covers=("MaskedInput",),
    ),
    "text area": Sink(one(lambda f, ts: TextArea("\n".join(f.plain(t) for t in ts))), covers=("TextArea",)),
    "code editor": Sink(
        one(lambda f, ts: TextArea.code_editor("\n".join(f.plain(t) for t in ts), language="json")), raw=False
    ),
    "digits": Sink(each(lambda f, t: Digits(f.plain(t)[:300])), covers=("Digits",), silent=True),
    "header": Sink(lambda f, ts: [Header()], _title, covers=("Header",)),
    "link": Sink(each(lambda f, t: Link(f.text(t), url="https://limacharlie.io")), covers=("Link",)),
    "switch beside": Sink(lambda f, ts: [Switch(), Static(f.text(ts[0]))]),
    "own lines": Sink(lambda f, ts: [Painted(f, ts)], many=True),
    "rich table": Sink(one(lambda f, ts: _rich(f, ts, "table"))),
    "rich panel": Sink(one(lambda f, ts: _rich(f, ts, "panel"))),
    "rich syntax": Sink(one(lambda f, ts: _rich(f, ts, "syntax"))),
    "content from markup": Sink(each(lambda f, t: Static(Content.from_markup("[b]$v[/b]", v=f.plain(t))))),
    "content assembled": Sink(each(lambda f, t: Static(Content.assemble(("x", "bold"), f.plain(t))))),
    "screenshot": Sink(each(lambda f, t: Static(f.text(t))), _screenshot),
    "markdown": Sink(
        one(
            lambda f, ts: Markdown(
                "\n\n".join(f"`{f.plain(t)}`" for t in ts).replace("(", "{"), open_links=False
            )
        ),
        raw=False,
        links=True,
        covers=("Markdown",),
    ),
}


async def painted(stage: Stage, *, many: bool, until: Callable[[str], bool] = bool) -> str:
    """What would be written to the terminal for the whole screen, once that has come."""
    size = (NARROW, len(stage.texts) + 60) if many else (WIDE, 160)
    async with stage.run_test(size=size, notifications=True, tooltips=True) as pilot:
        if stage.sink.after is not None:
            await stage.sink.after(stage, stage.feed, stage.texts)
        for _ in range(200):
            await pilot.pause()
            update = stage.screen._compositor.render_update(full=True)
            assert update is not None
            written = update.render_segments(stage.console)
            if until(written):
                break
            await asyncio.sleep(0.02)
        return written


def bad_characters(written: str) -> list[str]:
    return [ascii(part) for part in OWN.split(written) if forbidden(part)]


ACTIVE = [
    text
    for name in ("csi", "osc", "osc-odd", "esc", "c1", "report", "bidi", "invisible")
    for text in CORPUS[name]
    if "[" not in text.replace("\x1b[", "") and "\n" not in text
]


@pytest.mark.parametrize("name", SINKS)
async def test_the_whole_corpus_is_shown_and_nothing_of_it_obeyed(name: str, tmp_path: Path):
    sink = SINKS[name]
    texts = [MARKER, *everything()] if sink.many else joined([MARKER, *everything()])
    stage = Stage(sink, Feed(safe=True), texts)

    def shown(written: str) -> bool:
        return sink.silent or MARKER in OWN.sub("", written)

    written = await painted(stage, many=sink.many, until=shown)
    assert bad_characters(written) == []
    assert sink.links or stage.guard.hits == 0, stage.guard.samples
    assert shown(written)
    assert stage.pwned == 0


@pytest.mark.parametrize("name", [name for name, sink in SINKS.items() if sink.raw])
async def test_the_guard_catches_what_a_sink_is_given_raw(name: str):
    sink = SINKS[name]
    # Without brackets: raw markup would end the app before it paints.
    texts = [text.replace("[", "").replace("\x1b", "\x1b7") + "\x9b2J" for text in ACTIVE[::4]]
    stage = Stage(sink, Feed(safe=False), texts if sink.many else joined(texts))
    written = await painted(stage, many=sink.many, until=lambda _: stage.guard.hits > 0)
    assert stage.guard.hits > 0
    assert bad_characters(written) == []


async def test_file_names_in_a_directory_tree_are_caught_by_the_guard(tmp_path: Path):
    for number, text in enumerate(("a\x1b[2Jb", "inv\u202efdp.exe", "\x9b31m")):
        (tmp_path / f"{number}{text}").write_text("")
    stage = Stage(Sink(lambda feed, texts: [DirectoryTree(tmp_path)]), Feed(safe=False), ["x"])
    async with stage.run_test(size=(100, 40)) as pilot:
        tree = stage.query_one(DirectoryTree)
        while len(tree.root.children) < 3:
            await pilot.pause(0.01)
        await pilot.pause()
        update = stage.screen._compositor.render_update(full=True)
        assert update is not None
        assert bad_characters(update.render_segments(stage.console)) == []
    assert stage.guard.hits > 0


async def test_markup_in_a_raw_sink_would_act_and_the_guard_takes_the_action_away():
    stage = Stage(SINKS["static"], Feed(safe=False), ["[@click=app.pwn]invoice.pdf[/]"])
    async with stage.run_test(size=(80, 24)) as pilot:
        await pilot.click(Static, offset=(2, 0))
        await pilot.pause()
    assert stage.pwned == 0
    assert stage.guard.hits > 0
    stage.guard.enabled = False

    unguarded = Stage(SINKS["static"], Feed(safe=False), ["[@click=app.pwn]invoice.pdf[/]"])
    unguarded.get_line_filters = lambda: []  # type: ignore[method-assign]
    async with unguarded.run_test(size=(80, 24)) as pilot:
        await pilot.click(Static, offset=(2, 0))
        await pilot.pause()
    assert unguarded.pwned == 1


def test_the_oracle_sees_what_it_looks_for():
    for text in ("\x1b[2J", "\x1b]52;c;eA==\x07", "\x9b31m", "a\u202eb", "\x07", "\u200b", "\ud800"):
        assert bad_characters(text) != []
    assert bad_characters("\x1b[1;31mred\x1b[0m\x1b[3;4H\n\u2502 \u6771\u4eac") == []


def test_every_widget_of_the_lints_matrix_has_a_row():
    covered = {name for sink in SINKS.values() for name in sink.covers} | {"DirectoryTree"}
    assert covered | TEXTLESS == MATRIX
    assert len(SINKS) >= 61


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_seeded_mixes_are_obeyed_by_no_sink():
    names = sorted(SINKS)
    random.Random(1).shuffle(names)
    # Once round, each sink has had its share of 20,000.
    share = 20_000 // len(names)
    for seed in rounds(0.2, seed=0):
        name = names[seed % len(names)]
        texts = list(mixes(seed, share))
        sink = SINKS[name]
        stage = Stage(sink, Feed(safe=True), texts if sink.many else joined(texts))
        written = await painted(stage, many=sink.many)
        assert bad_characters(written) == [], (seed, name)
        assert sink.links or stage.guard.hits == 0, (seed, name, stage.guard.samples)
