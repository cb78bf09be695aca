"""What an operator types to choose among API keys.

    ci-deploy org:acme by:kim perm:dr.set privileged:yes range:none used:never used:>90d flair:bulk held:no

Bare words are looked for in the key's name, its organization and its creator. Quotes keep spaces and colons.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from store.alerts import FilterError, tokens

DAY: Final = 86_400_000

_USED = re.compile(r"([<>])(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_YES = {"yes": True, "no": False}
PREFIXES: Final = (
    "name", "org", "oid", "by", "perm", "privileged", "range", "used", "flair", "held", "ending",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys are wanted; what is None or "" is not asked for."""

    words: tuple[str, ...] = ()
    """Each is in the name, the organization's name or the creator."""
    name: str = ""
    """In the name."""
    exact: str = ""
    """The name as a whole."""
    org: str = ""
    oid: str = ""
    by: str = ""
    permissions: tuple[str, ...] = ()
    """All of them are held; one that ends in `*` is the beginning of one."""
    privileged: bool | None = None
    """Whether it is master of its organization."""
    range: str | None = None
    """In the address range; "" has none."""
    never_used: bool | None = None
    used_after: int | None = None
    """Last used after this (ms)."""
    used_before: int | None = None
    """Last used before this (ms), or never."""
    flair: str = ""
    held: bool | None = None
    """False: one whose secret nobody was given."""
    ending: bool | None = None
    """True: one that a rotation will delete."""


def parse(line: str, *, now: int) -> KeyFilter:
    """Read a filter line.

    Args:
        now: ms, UTC; what ages are counted from.

    Raises:
        FilterError: an unknown prefix or value; a quote that is not closed.
    """
    found: dict[str, Any] = {}
    words: list[str] = []
    permissions: list[str] = []
    for token in tokens(line):
        prefix = (token[1] or "").lower()
        value = next(group for group in token.groups()[1:] if group is not None)
        if not prefix:
            if value.endswith(":") and value[:-1].lower() in PREFIXES:
                raise FilterError(f"{value} needs a value right behind the colon.")
            words.append(value)
        elif prefix not in PREFIXES:
            raise FilterError(
                f"{token[1]}: is not a column; use {', '.join(PREFIXES)}, or put the word in quotes."
            )
        elif prefix == "perm":
            permissions.append(value)
        elif prefix in ("privileged", "held", "ending"):
            if value.lower() not in _YES:
                raise FilterError(f"{prefix}:{value} means nothing; use {prefix}:yes or {prefix}:no.")
            found[prefix] = _YES[value.lower()]
        elif prefix == "range":
            found["range"] = "" if value.lower() in ("none", "anywhere", "") else value
        elif prefix == "used":
            found |= _used(value, now)
        else:
            found[prefix] = value
    return KeyFilter(**found, words=tuple(word for word in words if word), permissions=tuple(permissions))


def _used(value: str, now: int) -> dict[str, Any]:
    if value.lower() in ("never", "ever"):
        return {"never_used": value.lower() == "never"}
    age = _USED.fullmatch(value.lower())
    if age is None:
        raise FilterError(f"used:{value} means nothing; use used:never, used:>90d or used:<7d.")
    then = now - int(age[2]) * _HOURS[age[3]] * 3_600_000
    return {"used_before": then} if age[1] == ">" else {"used_after": then}
