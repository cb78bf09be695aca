"""The keys that mean the same on every screen, and how a key is written for people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.widget import Widget

MODES: tuple[tuple[str, str], ...] = (
    ("overview", "Overview"),
    ("organizations", "Organizations"),
    ("alerts", "Alerts"),
    ("access", "Access"),
    ("activity", "Activity"),
    ("cases", "Cases"),
    ("handover", "Hand-over"),
    ("search", "Search"),
)
"""(name for `ShowView`, title), in the order of the number keys and of Tab."""


@dataclass(frozen=True)
class Aside:
    """A view without a number: a command and a key of another view lead to it, `q` leads back."""

    name: str
    """For `ShowView`; its module is `screens.NAME`, its class has this as its MODE."""
    kind: str
    """The name of its class."""
    command: str
    """What is typed after `:`."""
    aliases: tuple[str, ...]
    says: str
    """One clause for `?`."""


ASIDE: tuple[Aside, ...] = (
    Aside("review", "Review", "review", ("reviews",), "access attested or revoked, line by line"),
    Aside("apikeys", "ApiKeys", "keys", ("key", "apikeys"), "the API keys of every organization"),
    Aside("timeline", "Timeline", "timeline", (), "what was done to who may do what"),
    Aside("findings", "Findings", "findings", ("finding",), "what is wrong with who may do what"),
    Aside("templates", "Templates", "templates", ("template",), "what organizations are to have, and why"),
    Aside("drift", "DriftView", "drift", (), "where customers are not as templates want them"),
    Aside("scorecard", "Scorecard", "scorecard", (), "rules by what was decided on them, the worst first"),
    Aside("runs", "Runs", "runs", ("run",), "what was done to many organizations, and how far it has come"),
    Aside("reports", "Reports", "reports", ("report",), "what customers are told, before it is written"),
    Aside("billing", "Billing", "billing", ("bill",), "what customers are charged, and how full quotas are"),
    Aside("rollouts", "Rollouts", "rollouts", ("rollout",), "plans of changed configuration, wave by wave"),
)
"""A line here is all that a view without a number needs to be shown."""


@runtime_checkable
class Counting(Protocol):
    """A screen that collects the digits typed before a movement."""

    def take_count(self) -> int:
        """The count typed before this key, and forget it; 1 when there is none."""
        ...

    def has_count(self) -> bool:
        """Whether one was typed."""
        ...


def count_for(widget: Widget) -> int:
    """What a movement of `widget` is to be multiplied with: the `5` of `5j`; 1 when nothing was typed."""
    screen = widget.screen
    return screen.take_count() if isinstance(screen, Counting) else 1


def has_count(widget: Widget) -> bool:
    """Whether a count was typed before this key (`12G` goes to a line, `G` to the end)."""
    screen = widget.screen
    return screen.has_count() if isinstance(screen, Counting) else False


UNCOUNTED = frozenset(
    {"move.mark_range", "move.unmark", "move.open", "move.close", "move.fold_up", "move.column_first",
     "move.column_last"}
)  # fmt: skip
"""Bindings of `motion` that take no count."""


def takes_count(binding: Binding) -> bool:
    """Whether digits before this binding are its count."""
    return (binding.id or "").startswith("move.") and binding.id not in UNCOUNTED


def motion(keys: str, action: str, says: str) -> Binding:
    """A binding that moves, and takes a count unless it is one of UNCOUNTED."""
    return Binding(keys, action, says, show=False, id=f"move.{action}", tooltip=says)


MOVES: tuple[Binding, ...] = (
    motion("j,down", "cursor_down", "Down; 5{move.cursor_down=j} five lines"),
    motion("k,up", "cursor_up", "Up"),
    motion("ctrl+d", "half_down", "Half a page down"),
    motion("ctrl+u", "half_up", "Half a page up"),
    motion("pagedown,ctrl+f,space", "page_down", "A page down"),
    motion("pageup,ctrl+b", "page_up", "A page up"),
    motion("g,home", "first", "The first line"),
    motion("G,end", "last", "The last line"),
)
"""For every list: give a widget these, and the actions they name."""

MARKING_MOVES: tuple[Binding, ...] = (
    *(move for move in MOVES if move.action != "page_down"),
    motion("pagedown,ctrl+f", "page_down", "A page down"),
    motion(
        "space",
        "mark",
        "Mark this line, or take its mark away, and go to the next; 5 {move.mark=space} five lines",
    ),
    motion("V", "mark_range", "Mark from the last mark to here"),
    motion("U,ctrl+backslash", "unmark", "Take all marks away"),
)
"""For a list whose lines can be marked: space does that there."""


_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "minus": "-",
    "semicolon": ";",
    "exclamation_mark": "!",
    "equals_sign": "=",
    "backslash": "\\",
    "full_stop": ".",
    "comma": ",",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "dollar_sign": "$",
    "circumflex_accent": "^",
    "escape": "esc",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "shift+tab": "S-tab",
}


def key_name(key: str) -> str:
    """A key as people write it: `?`, `^d`, `esc`, `G`."""
    if key in _NAMES:
        return _NAMES[key]
    if key.startswith("ctrl+"):
        return "^" + key_name(key[5:])
    if key.startswith("upper_") and len(key) == 7:
        return key[6:].upper()
    return key


_keymap: dict[str, tuple[str, ...]] = {}
_TOKEN = re.compile(r"\{([a-z_]+\.[a-z_0-9]+)=([^}]+)\}")


def use_keymap(keymap: Mapping[str, tuple[str, ...]]) -> None:
    """Let bindings have other keys than their own, in place of all that was said before.

    It holds for the process, as a time zone does: a process has one console, and sentences that name a key
    are written far from any screen.

    Args:
        keymap: id of a binding -> Textual's names of its keys; what is not in it keeps its own.
    """
    _keymap.clear()
    _keymap.update(keymap)


def rebound(bindings: BindingsMap) -> BindingsMap:
    """Bindings with the keys that the keymap gives them, each at the place it had.

    Textual's own keymap puts what was rebound last, where the last line has no room left, and reaches into
    dialogs; those keep their keys, so that none that was given to something else can answer a question.
    """
    if not _keymap:
        return bindings
    keys: dict[str, list[Binding]] = {}
    done: set[str] = set()
    for key, binding in bindings:
        given = _keymap.get(binding.id or "")
        if given is None:
            keys.setdefault(key, []).append(binding)
        elif binding.id is not None and binding.id not in done:
            done.add(binding.id)
            for each in given:
                keys.setdefault(each, []).append(binding.with_key(each))
    return BindingsMap.from_keys(keys)


def press(binding: str, default: str) -> str:
    """What a sentence calls the key of a binding.

    Args:
        binding: its id.
        default: the name of its own key in this sentence.
    """
    given = _keymap.get(binding)
    return key_name(given[0]) if given else default


def with_keys(text: str) -> str:
    """A text of ours in which `{app.sync=r}` stands for `r`, or for the key that `app.sync` has instead."""
    return _TOKEN.sub(lambda found: press(found[1], found[2]), text)


def reason_against(node: DOMNode, action: str) -> str:
    """Why an action cannot work now, asked of the node that would carry it out; "" when it can."""
    ask = getattr(node, "why_not", None)
    return str(ask(action)) if callable(ask) else ""
