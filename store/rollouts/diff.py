"""How two contents of a record differ: part by part, and as YAML that people read."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from store.configuration import SECRET_MARK
from store.templatefile import dumped

ABSENT: Any = object()
"""A part that one side has not got."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that is not the same."""

    path: str
    """`respond.0.priority`; "" for the whole."""
    before: Any
    """ABSENT when it was not there."""
    after: Any
    """ABSENT when it is not to be there."""

    @property
    def words(self) -> str:
        """`respond.0.priority 5 -> 8`, `tags.2 + new`, `comment - old`."""
        path = self.path or "all of it"
        if self.before is ABSENT:
            return f"{path} + {_short(self.after)}"
        if self.after is ABSENT:
            return f"{path} - {_short(self.before)}"
        return f"{path} {_short(self.before)} -> {_short(self.after)}"


def differences(before: Any, after: Any) -> list[Difference]:
    """Every part in which two contents differ, in the order of the parts."""
    return list(_differences(before, after, ()))


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and not _secret(before, after):
        for name in (*before, *(each for each in after if each not in before)):
            yield from _differences(before.get(name, ABSENT), after.get(name, ABSENT), (*path, str(name)))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif before is ABSENT or after is ABSENT or before != after or type(before) is not type(after):
        yield Difference(".".join(path), before, after)


def _lists(before: list[Any], after: list[Any], path: tuple[str, ...]) -> Iterator[Difference]:
    """By position; what was put in or taken out in the middle is found as that."""
    matcher = difflib.SequenceMatcher(None, list(map(repr, before)), list(map(repr, after)), autojunk=False)
    for word, first, last, start, end in matcher.get_opcodes():
        if word == "equal":
            continue
        shared = min(last - first, end - start)
        for at in range(shared):
            yield from _differences(before[first + at], after[start + at], (*path, str(start + at)))
        for at in range(first + shared, last):
            yield Difference(".".join((*path, str(at))), before[at], ABSENT)
        for at in range(start + shared, end):
            yield Difference(".".join((*path, str(at))), ABSENT, after[at])


def _secret(*values: Mapping[str, Any]) -> bool:
    return any(set(each) == {SECRET_MARK} for each in values)


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {SECRET_MARK}:
        return f"(secret {str(value[SECRET_MARK])[-8:]})"
    text = dumped(value).strip() if isinstance(value, Mapping | list) else str(value)
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def as_yaml(before: Any, after: Any) -> list[str]:
    """The lines of both as YAML, each with a sign before it: space for both, `-` and `+`.

    Args:
        before, after: plain data; None when there is none.
    """
    old = dumped(before).splitlines() if before is not None else []
    new = dumped(after).splitlines() if after is not None else []
    return [line for line in difflib.ndiff(old, new) if not line.startswith("?")]
