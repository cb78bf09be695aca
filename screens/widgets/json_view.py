"""JSON from outside, line by line: foldable, of any size, and never obeyed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from screens.keys import motion
from screens.widgets.row_table import Column, Listed, RowTable
from store.text import safe_block, safe_text

DEEPEST = 200
"""Levels shown as structure; what is deeper is one line of text."""


@dataclass(frozen=True)
class JsonLine:
    """One line of a JSON document."""

    path: tuple[str | int, ...]
    text: str
    """Indented, with its name; may be a stranger's text."""
    value: str
    """The whole value as text; "" for the brackets."""
    below: int
    """How many entries it holds, when it opens an object or array; -1 otherwise."""


def lines_of(value: Any, folded: frozenset[tuple[str | int, ...]] = frozenset()) -> Iterator[JsonLine]:
    """A decoded JSON value as lines; what is in `folded` is one line."""
    stack: list[tuple[tuple[str | int, ...], str, Any, str]] = [((), "", value, "")]
    while stack:
        path, name, found, closing = stack.pop()
        indent = "  " * len(path)
        if closing:
            yield JsonLine(path, indent + closing, "", -1)
            continue
        head = f"{indent}{json.dumps(name, ensure_ascii=False)}: " if name else indent
        if isinstance(found, dict | list) and found and len(path) < DEEPEST:
            opens, shuts = ("{", "}") if isinstance(found, dict) else ("[", "]")
            if path in folded:
                yield JsonLine(path, f"{head}{opens} {len(found)} entries {shuts}", _flat(found), len(found))
                continue
            yield JsonLine(path, head + opens, "", len(found))
            stack.append((path, "", None, shuts))
            entries: list[tuple[Any, Any]] = (
                list(found.items()) if isinstance(found, dict) else list(enumerate(found))
            )
            for key, inner in reversed(entries):
                stack.append(((*path, key), key if isinstance(key, str) else "", inner, ""))
        else:
            text = _flat(found)
            yield JsonLine(path, head + text, found if isinstance(found, str) else text, -1)


def _flat(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(too deep to be shown)"


class JsonView(Vertical):
    """A document with a cursor; the whole of the value under it stands below, wrapped."""

    DEFAULT_CSS = """
    JsonView { height: 1fr; }
    JsonView #json-value { height: auto; max-height: 6; border-top: solid $foreground 40%; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,tab", "fold", "fold", id="json.fold", tooltip="Fold or unfold what the cursor is on"),
        motion("h,left", "fold_up", "Fold what this line stands in"),
        Binding(
            "Z",
            "fold_all",
            "fold all",
            id="json.all",
            tooltip="Fold everything below the first level, or nothing",
        ),
    ]

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._text = body.decode("utf-8", "surrogateescape")
        self._folded: frozenset[tuple[str | int, ...]] = frozenset()
        self._value: Any = None
        self.readable = True
        """Whether it is JSON; if not, its lines are shown as they came."""
        try:
            self._value = json.loads(self._text)
        except (ValueError, RecursionError):
            self.readable = False

    def compose(self) -> ComposeResult:
        """The lines, and the value."""
        yield RowTable([Column("", lambda line: line.text, 10, grow=1)], id="json-lines")
        yield Static("", id="json-value", markup=False)

    def on_mount(self) -> None:
        """Fill the table."""
        self._fill()

    @property
    def table(self) -> RowTable[JsonLine]:
        """The lines."""
        return self.query_one(RowTable)

    @property
    def value(self) -> str:
        """The value under the cursor; "" on a bracket, and on what is folded."""
        line = self.table.current
        return line.value if line is not None and line.below < 0 and self.readable else ""

    def _fill(self) -> None:
        if self.readable:
            rows = list(lines_of(self._value, self._folded))
        else:
            rows = [JsonLine((number,), text, text, -1) for number, text in enumerate(safe_block(self._text))]
        keyed = {(line.path, line.text.strip() in ("}", "]")): line for line in rows}
        self.table.put(
            Listed(list(keyed.values()), key=lambda line: (line.path, line.text.strip() in ("}", "]")))
        )

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        line = event.row
        text = safe_text(line.value, 4000) if line is not None else ""
        long = line is not None and len(line.text) + 3 > self.app.size.width
        whole = self.query_one("#json-value", Static)
        whole.update(Content(text if long else ""))
        whole.display = long

    def action_fold(self) -> None:
        """Fold or unfold."""
        line = self.table.current
        if line is None or not self.readable:
            return
        path = (
            line.path if line.below >= 0 else line.path if line.text.strip() in ("}", "]") else line.path[:-1]
        )
        self._folded = self._folded ^ {path}
        self._fill()

    def action_fold_up(self) -> None:
        """Fold the object this line stands in."""
        self.action_fold()

    def action_fold_all(self) -> None:
        """Fold every entry of the document, or unfold all."""
        if self._folded:
            self._folded = frozenset()
        elif isinstance(self._value, dict):
            self._folded = frozenset((name,) for name in self._value)
        elif isinstance(self._value, list):
            self._folded = frozenset((number,) for number in range(len(self._value)))
        self._fill()
