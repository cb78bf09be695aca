"""Which bindings there are, and whether other keys may be theirs.

Every screen is imported here: look at this only when keys were rebound, or for a list of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import isclass
from pkgutil import iter_modules
from typing import Any

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import BindingsMap
from textual.dom import DOMNode
from textual.keys import _character_to_key
from textual.screen import ModalScreen

from screens import dialogs
from screens.findings import FindingTable
from screens.help import Help
from screens.keys import ASIDE, MODES
from screens.opening import Opening
from screens.organizations import OrganizationTree
from screens.view import View
from screens.widgets.command_line import CommandLine
from screens.widgets.json_view import JsonView
from screens.widgets.matrix import Matrix
from screens.widgets.row_table import MarkTable, RowTable
from screens.widgets.tree_table import TreeTable

Keymap = Mapping[str, tuple[str, ...]]

WIDGETS: dict[str, tuple[type[DOMNode], ...]] = {
    "access": (Matrix,),
    "alerts": (MarkTable,),
    "apikeys": (MarkTable,),
    "cases": (MarkTable,),
    "findings": (FindingTable,),
    "organizations": (OrganizationTree,),
    "reports": (MarkTable,),
    "review": (RowTable, MarkTable),
}
"""Name of a view -> what in it may have the keys; of those that are not here a plain list."""

YES = frozenset(
    {"confirm.yes", "cost.yes", "secret.taken", "access_plan.apply", "run_plan.begin", "apply_rollout.apply"}
)
"""Bindings of dialogs with which something is done that was only asked for before."""

ASKING = frozenset(
    {
        "access.break_glass", "access.plan", "access.plans", "alerts.fp", "apikeys.create",
        "apikeys.revoke", "apikeys.revoke_all", "apikeys.rotate", "app.quit", "billing.invoices",
        "cases.merge", "drift.accept", "drift.deny", "drift.exclude", "drift.undo", "findings.plan",
        "handover.publish", "handover.withdraw", "organizations.bulk", "organizations.offboard",
        "organizations.onboard", "review.attest", "review.close", "review.plan", "review.revoke",
        "review.undecide", "rollouts.apply", "rollouts.new", "rollouts.pause", "rollouts.resume",
        "rollouts.undo", "runs.begin", "runs.drop", "runs.undo", "search.edit", "search.end", "search.new",
        "templates.assign", "templates.unassign",
    }
)  # fmt: skip
"""Bindings of views behind which a question of YES may stand: on the same key it would be answered by
pressing that twice."""

NEVER = frozenset("0123456789")
"""A digit is a count or a view."""


class KeymapError(Exception):
    """A key cannot be what it was set to; the text says which, why, and what to do instead."""


@dataclass(frozen=True)
class Bound:
    """One binding where it stands."""

    view: str
    """A view's name for `ShowView`, or `everywhere`, `opening`, `lists`, ..., `dialog NAME`."""
    id: str
    keys: tuple[str, ...]
    """Its own, as Textual names them."""
    says: str
    """What it does, for `screens.keys.with_keys`."""
    fixed: bool
    """Whether it keeps its own keys: in dialogs, while a command is typed, and before the settings of keys
    were judged."""


def normal(key: str) -> str:
    """A key under Textual's name: `question_mark` for `?`."""
    return _character_to_key(key) if len(key) == 1 else key


def is_key(key: str) -> bool:
    """Whether a terminal can send this."""
    return (len(key) == 1 and key.isprintable()) or key in _known_keys()


@cache
def _known_keys() -> frozenset[str]:
    sent = {
        str(getattr(each, "value", each))
        for found in ANSI_SEQUENCES_KEYS.values()
        if isinstance(found, tuple)
        for each in found
    }
    return frozenset({key for key in sent if not key.startswith("<")}) | {
        _character_to_key(chr(number)) for number in range(32, 127)
    }


def _views() -> dict[str, type[DOMNode]]:
    """Name -> class of every view."""
    kinds = {name: name.capitalize() for name, _ in MODES} | {each.name: each.kind for each in ASIDE}
    return {name: getattr(import_module(f"screens.{name}"), kind) for name, kind in kinds.items()}


def _dialogs() -> list[type[DOMNode]]:
    found: list[type[DOMNode]] = []
    for module in iter_modules(dialogs.__path__):
        name = f"{dialogs.__name__}.{module.name}"
        found += [
            each
            for each in vars(import_module(name)).values()
            if isclass(each) and issubclass(each, ModalScreen) and each.__module__ == name
        ]
    return [*found, Help]


def _merged(kind: type[DOMNode]) -> BindingsMap:
    return kind._merge_bindings()


@cache
def bindings() -> tuple[Bound, ...]:
    """Every binding that has an id, those that are everywhere first; once for each place that has its own."""
    places: list[tuple[str, type[DOMNode], bool]] = [
        ("everywhere", View, False),
        ("opening", Opening, True),
        *((name, kind, False) for name, kind in _views().items()),
        ("lists", RowTable, False),
        ("lists with marks", MarkTable, False),
        ("trees", TreeTable, False),
        ("matrix", Matrix, False),
        ("command line", CommandLine, True),
        ("JSON", JsonView, True),
        *((f"dialog {kind.__name__}", kind, True) for kind in _dialogs()),
    ]
    found: list[Bound] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for view, kind, fixed in places:
        keys: dict[str, list[str]] = {}
        says: dict[str, str] = {}
        for key, binding in _merged(kind):
            if binding.id:
                keys.setdefault(binding.id, []).append(key)
                says[binding.id] = binding.tooltip or binding.description
        for name, own in keys.items():
            if (name, tuple(own)) not in seen:
                seen.add((name, tuple(own)))
                found.append(Bound(view, name, tuple(own), says[name], fixed))
    return tuple(found)


def _surfaces() -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    """(name of a view, its bindings as id -> own keys) for whatever can have the keys at one time."""
    return [
        (name, _by_id([widget, kind]))
        for name, kind in _views().items()
        for widget in WIDGETS.get(name, (RowTable,))
    ]


def _by_id(kinds: Iterable[type[DOMNode]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        for key, binding in _merged(kind):
            if binding.id:
                found[binding.id] = (*found.get(binding.id, ()), key)
    return found


def judge(given: Mapping[str, str]) -> Keymap:
    """The keymap that settings ask for.

    Args:
        given: id of a binding -> its keys, a comma between.

    Returns:
        The same, with Textual's names of the keys.

    Raises:
        KeymapError: an id or a key is unknown, a key has been given away already in the same view, nothing
            would leave the console any more, or one key pressed twice would answer its own question.
    """
    known: dict[str, bool] = {}
    for each in bindings():
        known[each.id] = known.get(each.id, True) and each.fixed
    keymap: dict[str, tuple[str, ...]] = {}
    for name, text in given.items():
        if name not in known:
            raise KeymapError(f"there is no binding {name!a}{_near(name, known)}; {_LISTED}.")
        if known[name]:
            raise KeymapError(
                f"{name!a} is of a dialog, the command line or the opening screen, whose keys stay as they "
                "are, so that none that was given to something else answers a question; take this line out."
            )
        keymap[name] = _keys(name, text)
    _refuse_own_answers(keymap)
    _refuse_clashes(keymap)
    return keymap


_LISTED = "`limegrove config keys` lists them"


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    return f", did you mean {near[0]!a}?" if near else ""


def _keys(name: str, text: str) -> tuple[str, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        why = "nothing would leave the console" if name == "app.quit" else "it would have no key"
        raise KeymapError(f"{name!a} is empty: {why}; give it a key, or take the line out for its own.")
    for part in parts:
        if not part:
            raise KeymapError(
                f"{name!a} has an empty key in {text!a}; the key of a comma is written `comma`, and between "
                "two keys stands one comma."
            )
        if not is_key(part):
            raise KeymapError(
                f"{name!a} has {part!a}, which no terminal sends; write keys as in `c`, `C`, `ctrl+k`, `f2`, "
                "`enter`, `question_mark`."
            )
        if part in NEVER:
            raise KeymapError(
                f"{name!a} has {part!a}, and a digit is a count or the number of a view; choose another key."
            )
    return tuple(dict.fromkeys(normal(part) for part in parts))


def _refuse_own_answers(keymap: Keymap) -> None:
    answers = {key: each.id for each in bindings() if each.id in YES for key in each.keys}
    own = {(each.id, key) for each in bindings() for key in each.keys}
    for name, keys in keymap.items():
        for key in keys:
            if name in ASKING and key in answers and (name, key) not in own:
                raise KeymapError(
                    f"{name!a} has {key!a}, which is the answer yes to what it asks ({answers[key]}): "
                    "pressed twice it would be done without a look; choose another key."
                )


def _refuse_clashes(keymap: Keymap) -> None:
    for view, own in _surfaces():
        now = own | {name: keys for name, keys in keymap.items() if name in own}
        for name in keymap:
            for key in now.get(name, ()):
                if key in own.get(name, ()):
                    continue
                for other, keys in now.items():
                    if other != name and key in keys:
                        raise KeymapError(
                            f"{name!a} has {key!a}, which is the key of {other!a} in {view}; choose another "
                            f"key, or give {other!a} another one as well ({_LISTED})."
                        )


def in_force(keymap: Mapping[str, Any], each: Bound) -> tuple[str, ...]:
    """The keys of a binding under a keymap."""
    given: tuple[str, ...] | None = keymap.get(each.id)
    return each.keys if each.fixed or given is None else given
