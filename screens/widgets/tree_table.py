"""A tree with columns, drawn line by line: only what is visible is ever laid out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from screens.keys import MARKING_MOVES, MOVES, count_for, has_count, motion
from store.text import fit

Tone = Literal["", "bad", "warn", "faint"]

_TONES: dict[Tone, Style] = {
    "": Style(),
    "bad": Style.parse("bold red"),
    "warn": Style.parse("yellow"),
    "faint": Style.parse("dim"),
}
_BOLD = Style(bold=True)
_CURSOR = Style(bold=True, reverse=True)

_DEEPEST = 8
"""Levels that are indented; a tree of any depth must leave room for its names."""


class Branch(Protocol):
    """What a node must tell for being shown."""

    @property
    def id(self) -> str:
        """Names the node; unique."""

    @property
    def name(self) -> str:
        """May be a stranger's text."""

    @property
    def depth(self) -> int:
        """0 at the root; rows stand depth first."""


Node = TypeVar("Node", bound=Branch)


@dataclass(frozen=True, slots=True)
class TreeColumn:
    """A column right of the names."""

    title: str
    width: int
    """Cells, without the space before it; 0 takes what is left (the last column only)."""
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True, slots=True)
class Line:
    """What one node shows right of its name."""

    cells: tuple[str, ...]
    """One for each column; may be a stranger's text."""
    tone: Tone = ""
    """Colours the last cell, whose words must say the same."""


FOLDING: tuple[Binding, ...] = (
    motion("l,right", "open", "Unfold, or go to the first below it"),
    motion("h,left", "close", "Fold, or go to the one above it"),
    Binding(
        "Z", "fold_all", "fold all", id="tree.fold_all", show=False, tooltip="Fold everything, or unfold it"
    ),
)  # fmt: skip


class TreeTable(Widget, Generic[Node], can_focus=True):
    """Nodes in depth-first order, foldable, with a cursor that stays on its node.

    Ten thousand nodes cost a key press no more than ten do: a fold walks the list once, a cursor move
    repaints two lines.
    """

    DEFAULT_CSS = """
    TreeTable { height: 1fr; overflow: hidden hidden; }
    """
    ALLOW_SELECT = False
    BINDING_GROUP_TITLE = "Moving"
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES, *FOLDING]

    @dataclass
    class Moved(Message):
        """The cursor stands on another node, or its node shows something else."""

        tree: "TreeTable[Any]"

        @property
        def control(self) -> "TreeTable[Any]":
            """The tree that was moved in."""
            return self.tree

        def can_replace(self, message: Message) -> bool:
            """Only where the cursor came to rest matters."""
            return isinstance(message, TreeTable.Moved)

    def __init__(
        self,
        columns: Sequence[TreeColumn],
        draw: Callable[[Node], Line],
        *,
        title: str = "",
        signs: tuple[str, str, str] = (">", "v", ">"),
        id: str | None = None,  # noqa: A002
    ) -> None:
        """Show nodes.

        Args:
            columns: right of the names.
            draw: what a node shows in them; called for visible lines only.
            title: above the names.
            signs: of the cursor, an unfolded and a folded node; one cell each.
            id: of the widget.
        """
        super().__init__(id=id)
        self._columns = columns
        self._indent = 2
        self._draw = draw
        self._title = title
        self._sign, self._open_sign, self._closed_sign = signs
        self._items: Sequence[Node] = ()
        self._folded: set[str] = set()
        self._kept: frozenset[int] | None = None
        self._filter_folded: set[str] = set()
        self._matches = 0
        self._was: str | None = None
        """Id of the node of the cursor when there last was one: a filter may hold nothing for a while."""
        self._lines: list[int] = []
        self._line = 0
        self._top = 0

    @property
    def node(self) -> Node | None:
        """The node of the cursor; None in an empty tree."""
        return self._items[self._lines[self._line]] if self._lines else None

    @property
    def shown(self) -> list[Node]:
        """The nodes that are neither folded away nor filtered out, top to bottom."""
        return [self._items[number] for number in self._lines]

    @property
    def matches(self) -> int:
        """How many nodes the filter wanted, those above and below them aside."""
        return self._matches

    @property
    def folded(self) -> set[str]:
        """Ids of the folded nodes; another set while a filter holds, for its finds have to be seen."""
        return self._folded if self._kept is None else self._filter_folded

    def fill(self, nodes: Sequence[Node], keep: Callable[[Node], bool] | None = None) -> None:
        """Show these nodes; the cursor stays on its node, or goes to what is nearest.

        Args:
            nodes: depth first.
            keep: the filter; the nodes above those it keeps are shown too, those below can be unfolded.
        """
        self._remember()
        self._items = nodes
        self._filter(keep)
        self._unroll(self._unfold(self._number(self._was)) or self._was)
        self._after()

    def narrow(self, keep: Callable[[Node], bool] | None) -> None:
        """Show only what the filter keeps, with what stands above it; None shows everything again.

        The cursor stays on its node if that is wanted, and else goes to the first that is, unfolding what
        hides it: what is done next is done to the node of the cursor, never to a folder in its place.
        """
        self._remember()
        matched = self._filter(keep)
        number = self._number(self._was)
        if matched and number not in matched:
            number = matched[0]
        self._unroll(self._unfold(number) or self._was)
        self._after()

    def set_columns(self, columns: Sequence[TreeColumn], *, indent: int = 2) -> None:
        """Show other columns, and indent each level by so many cells."""
        self._columns = columns
        self._indent = indent
        self.refresh()

    def fold_below(self, depth: int) -> None:
        """Fold every node at this depth or deeper."""
        self.folded.update(
            node.id
            for number, node in enumerate(self._items)
            if node.depth >= depth and self._has_children(number)
        )
        self._refold()

    def go(self, node_id: str) -> bool:
        """Put the cursor on this node, unfolding what hides it; False if it is not there or filtered out."""
        number = self._number(node_id)
        if number is None or (self._kept is not None and number not in self._kept):
            return False
        self._unroll(self._unfold(number))
        self._after()
        return True

    def step(self, lines: int) -> None:
        """Move the cursor by so many lines; it stops at the ends."""
        self._place(self._line + lines)

    def action_cursor_down(self) -> None:
        """A line down."""
        self.step(count_for(self))

    def action_cursor_up(self) -> None:
        """A line up."""
        self._place(self._line - count_for(self))

    def action_half_down(self) -> None:
        """Half a page down."""
        self._place(self._line + count_for(self) * max(1, self._height // 2))

    def action_half_up(self) -> None:
        """Half a page up."""
        self._place(self._line - count_for(self) * max(1, self._height // 2))

    def action_page_down(self) -> None:
        """A page down."""
        self._place(self._line + count_for(self) * max(1, self._height - 1))

    def action_page_up(self) -> None:
        """A page up."""
        self._place(self._line - count_for(self) * max(1, self._height - 1))

    def action_first(self) -> None:
        """The first line, or the one whose number was typed."""
        self._place(count_for(self) - 1 if has_count(self) else 0)

    def action_last(self) -> None:
        """The last line, or the one whose number was typed."""
        self._place(count_for(self) - 1 if has_count(self) else len(self._lines) - 1)

    def action_open(self) -> None:
        """Unfold the node; one that is open moves the cursor to its first child."""
        node = self.node
        if node is None or not self._has_children(self._lines[self._line]):
            return
        if node.id in self.folded:
            self.folded.discard(node.id)
            self._refold()
        else:
            self._place(self._line + 1)

    def action_close(self) -> None:
        """Fold the node; one that is folded, or has nothing to fold, moves the cursor to its parent."""
        node = self.node
        if node is None:
            return
        number = self._lines[self._line]
        if self._has_children(number) and node.id not in self.folded:
            self.folded.add(node.id)
            self._refold()
            return
        for line in range(self._line - 1, -1, -1):
            if self._items[self._lines[line]].depth < node.depth:
                self._place(line)
                return

    def action_fold_all(self) -> None:
        """Fold everything below the root; when it is, unfold it."""
        every = {
            node.id
            for number, node in enumerate(self._items)
            if node.depth > 0 and self._has_children(number)
        }
        if self.folded >= every:
            self.folded.clear()
        else:
            self.folded.update(every)
        self._refold()

    def _remember(self) -> None:
        if self.node is not None:
            self._was = self.node.id

    def _number(self, node_id: str | None) -> int | None:
        """Where this node stands; None if it is not there."""
        if node_id is None:
            return None
        return next((number for number, node in enumerate(self._items) if node.id == node_id), None)

    def _unfold(self, number: int | None) -> str | None:
        """Unfold what hides this node, and tell its id; None for none."""
        if number is None:
            return None
        self.folded.difference_update(self._items[above].id for above in self._ancestors(number))
        return self._items[number].id

    def _filter(self, keep: Callable[[Node], bool] | None) -> list[int]:
        """Note what the filter lets through, and tell where what it wants stands."""
        if keep is None:
            self._kept = None
            self._matches = 0
            return []
        kept: set[int] = set()
        holders: set[int] = set()
        above: list[int] = []
        matched_depth: int | None = None
        matched: list[int] = []
        for number, node in enumerate(self._items):
            del above[node.depth :]
            if matched_depth is not None and node.depth <= matched_depth:
                matched_depth = None
            if keep(node):
                matched.append(number)
                kept.add(number)
                kept.update(above)
                holders.update(above)
                if matched_depth is None:
                    matched_depth = node.depth
            elif matched_depth is not None:
                kept.add(number)
            above.append(number)
        self._matches = len(matched)
        self._kept = frozenset(kept)
        # A folder that was found shows itself; what it holds is one key away.
        self._filter_folded = {self._items[number].id for number in matched if number not in holders}
        return matched

    def _has_children(self, number: int) -> bool:
        after = number + 1
        return after < len(self._items) and self._items[after].depth > self._items[number].depth

    def _fold_sign(self, node: Node) -> str:
        return self._closed_sign if node.id in self.folded else self._open_sign

    def _ancestors(self, number: int) -> list[int]:
        found: list[int] = []
        depth = self._items[number].depth
        for above in range(number - 1, -1, -1):
            if self._items[above].depth < depth:
                depth = self._items[above].depth
                found.append(above)
                if depth == 0:
                    break
        return found

    def _unroll(self, cursor_id: str | None) -> None:
        """List the visible nodes, and find the cursor's, or the folded one that hides it."""
        folded = self.folded
        kept = self._kept
        lines: list[int] = []
        hidden_below: int | None = None
        cursor: int | None = None
        for number, node in enumerate(self._items):
            depth = node.depth
            if hidden_below is not None:
                if depth > hidden_below:
                    if node.id == cursor_id:
                        cursor = len(lines) - 1
                    continue
                hidden_below = None
            if kept is not None and number not in kept:
                continue
            if node.id == cursor_id:
                cursor = len(lines)
            lines.append(number)
            if node.id in folded:
                hidden_below = depth
        self._lines = lines
        self._line = max(0, min(self._line, len(lines) - 1)) if cursor is None else cursor

    def _refold(self) -> None:
        self._unroll(self.node.id if self.node else None)
        self._after()

    def _after(self) -> None:
        self._settle()
        self.refresh()
        self.post_message(self.Moved(self))

    @property
    def _height(self) -> int:
        return max(0, self.size.height - 1)

    def _place(self, line: int) -> None:
        line = max(0, min(line, len(self._lines) - 1))
        if line == self._line:
            return
        old = self._line
        self._line = line
        if self._settle():
            self.refresh()
        else:
            self.refresh(*(Region(0, 1 + at - self._top, self.size.width, 1) for at in (old, line)))
        self.post_message(self.Moved(self))

    def _settle(self) -> bool:
        """Scroll until the cursor is visible, half a screen at a time: a line costs far less than a page."""
        before = self._top
        height = self._height
        if height:
            if not self._top <= self._line < self._top + height:
                jump = max(1, height // 2)
                self._top = self._line - jump if self._line < self._top else self._line - height + jump
            self._top = max(0, min(self._top, len(self._lines) - height))
        return before != self._top

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._settle()
        self.refresh()

    def on_focus(self) -> None:
        """The cursor is drawn in reverse."""
        self.refresh()

    def on_blur(self) -> None:
        """And bold without the keys."""
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the cursor, three lines at a time."""
        event.stop()
        self.step(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the cursor, three lines at a time."""
        event.stop()
        self.step(-3)

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor there."""
        if event.y >= 1 and self._top + event.y - 1 < len(self._lines):
            self._place(self._top + event.y - 1)

    def _widths(self) -> tuple[int, list[int]]:
        """Cells of the names (with sign and indentation), and of each column."""
        width = self.size.width
        fixed = sum(column.width + 1 for column in self._columns if column.width)
        rest = width - fixed
        if not any(column.width == 0 for column in self._columns):
            return rest, [column.width for column in self._columns]
        names = max(20, min(46, rest * 5 // 9))
        return names, [column.width or max(0, rest - names - 2) for column in self._columns]

    def render_line(self, y: int) -> Strip:
        """The header, then the visible nodes."""
        width = self.size.width
        base = self.rich_style
        names, widths = self._widths()
        if y == 0:
            head = base + _BOLD
            text = " " + fit(self._title, names - 1) + self._cells([c.title for c in self._columns], widths)
            return Strip([Segment(text, head)]).adjust_cell_length(width, base)
        line = self._top + y - 1
        if line >= len(self._lines):
            return Strip.blank(width, base)
        number = self._lines[line]
        node = self._items[number]
        here = line == self._line
        style = base
        if here:
            style = base + (_CURSOR if self.has_focus else _BOLD)
        fold = " " if not self._has_children(number) else self._fold_sign(node)
        indent = " " * self._indent * min(node.depth, _DEEPEST)
        # Beside the cursor, where every level but the root's is indented.
        mark = self._marked_sign(node)
        sign = self._sign if here else " "
        text = f"{sign}{mark}{indent[1:]}{fold} " if indent else f"{sign}{fold}{mark}"
        text += fit(node.name, names - len(text), cut="middle")
        shown = self._draw(node)
        if not shown.tone or here or not widths:
            segments = [Segment(text + self._cells(shown.cells, widths), style)]
        else:
            tone = style + _TONES[shown.tone]
            segments = [
                Segment(text + self._cells(shown.cells[:-1], widths[:-1]), style),
                Segment(self._cells(shown.cells[-1:], widths[-1:], len(widths) - 1), tone),
            ]
        return Strip(segments).adjust_cell_length(width, style)

    def _marked_sign(self, node: Node) -> str:
        """What stands before a node that is marked: one cell."""
        del node
        return " "

    def _cells(self, cells: Sequence[str], widths: Sequence[int], first: int = 0) -> str:
        parts: list[str] = []
        for cell, width, column in zip(cells, widths, self._columns[first:], strict=False):
            gap = " " if column.width else "  "
            parts.append(gap + fit(cell, width, align=column.align))
        return "".join(parts)


class MarkTree(TreeTable[Node], inherit_bindings=False):
    """A tree whose nodes can be marked; marks are on things, and survive folding, filters and reloads."""

    BINDING_GROUP_TITLE = "Moving"
    BINDINGS: ClassVar[list[BindingType]] = [*MARKING_MOVES, *FOLDING]

    @dataclass
    class Marked(Message):
        """Other nodes are marked than before."""

        tree: "MarkTree[Any]"

        def can_replace(self, message: Message) -> bool:
            """Only the last count matters."""
            return isinstance(message, MarkTree.Marked)

        @property
        def control(self) -> "MarkTree[Any]":
            """The tree."""
            return self.tree

    def __init__(
        self,
        columns: Sequence[TreeColumn],
        draw: Callable[[Node], Line],
        *,
        counts: Callable[[Node], bool],
        title: str = "",
        signs: tuple[str, str, str] = (">", "v", ">"),
        id: str | None = None,  # noqa: A002
    ) -> None:
        """As of `TreeTable`.

        Args:
            counts: whether a node itself can be marked; marking any other marks those below it that can.
        """
        super().__init__(columns, draw, title=title, signs=signs, id=id)
        self._counts = counts
        self.marks: set[str] = set()
        """Ids of the marked nodes; only of those that can be."""
        self._last: str | None = None

    def fill(self, nodes: Sequence[Node], keep: Callable[[Node], bool] | None = None) -> None:
        """As of `TreeTable`; marks of what is not there any more go."""
        super().fill(nodes, keep)
        gone = self.marks - {node.id for node in nodes}
        if gone:
            self.marks -= gone
            self._say_marks()

    def markable(self, node: Node) -> list[Node]:
        """The nodes that stand for one: itself, or those below it that the filter lets through."""
        if self._counts(node):
            return [node]
        at = next(number for number, each in enumerate(self._items) if each.id == node.id)
        found = []
        for number in range(at + 1, len(self._items)):
            below = self._items[number]
            if below.depth <= node.depth:
                break
            if self._counts(below) and (self._kept is None or number in self._kept):
                found.append(below)
        return found

    def action_mark(self) -> None:
        """Mark the node of the cursor, or take its mark away, and go on below; so many as were typed."""
        count = count_for(self)
        for line in self._lines[self._line : self._line + count]:
            node = self._items[line]
            ids = {each.id for each in self.markable(node)}
            if count == 1 and ids and ids <= self.marks:
                self.marks -= ids
            else:
                self.marks |= ids
                self._last = node.id
        self.step(count)
        self._say_marks()

    def action_mark_range(self) -> None:
        """Mark every visible node from the last mark to the cursor."""
        at = next((at for at, line in enumerate(self._lines) if self._items[line].id == self._last), None)
        if at is None or self.node is None:
            return
        low, high = sorted((at, self._line))
        for line in self._lines[low : high + 1]:
            # A folder between them is marked by what is visible of it, or all of it when it is folded.
            node = self._items[line]
            if self._counts(node) or node.id in self.folded:
                self.marks |= {each.id for each in self.markable(node)}
        self._last = self.node.id
        self._say_marks()

    def action_unmark(self) -> None:
        """Take all marks away."""
        if self.marks:
            self.marks.clear()
            self._last = None
            self._say_marks()

    def _say_marks(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self))

    def _marked_sign(self, node: Node) -> str:
        if not self.marks:
            return " "
        if self._counts(node):
            return "*" if node.id in self.marks else " "
        # A folder says it only where its own line hides what is below.
        if node.id not in self.folded:
            return " "
        ids = {each.id for each in self.markable(node)}
        return "*" if ids and ids <= self.marks else "+" if ids & self.marks else " "


def arranged(nodes: Sequence[Node], badness: Callable[[Node], Any]) -> list[Node]:
    """The same tree, the children of each node sorted: largest `badness` first, equal ones as before."""
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    above: list[int] = []
    for number, node in enumerate(nodes):
        del above[node.depth :]
        (children.setdefault(above[-1], []) if above else roots).append(number)
        above.append(number)
    worth: list[Any] = [badness(node) for node in nodes]
    found: list[Node] = []
    waiting = sorted(roots, key=worth.__getitem__, reverse=True)[::-1]
    while waiting:
        number = waiting.pop()
        found.append(nodes[number])
        waiting.extend(sorted(children.get(number, ()), key=worth.__getitem__, reverse=True)[::-1])
    return found
