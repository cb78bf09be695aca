"""The catalogue of permissions and the five roles, for putting what was seen into an order.

A permission is an opaque string: LimaCharlie's reference is known to be incomplete, so nothing here is a
list of what may exist. The catalogue is that reference (`8-reference/permissions.md` of its documentation)
and what its clients mention beyond it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OTHER = "other"
"""The category of what the catalogue does not know."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What is known of one permission."""

    name: str
    category: str
    kind: str
    """read: shows data; write: changes stored data; control: acts on endpoints, money, access or code."""
    privileged: bool
    """One of the three that make their holder master of the organization; never granted in bulk."""
    per_record: bool
    """May also be granted for one record: `secret.get.my-key`."""
    doubtful: bool
    """Mentioned somewhere, and probably historic or wrong: shown, never offered."""
    documented: bool


@dataclass(frozen=True, slots=True)
class _Catalogue:
    permissions: tuple[Permission, ...]
    position: dict[str, int]
    roles: dict[str, tuple[str, ...]]


def catalogue() -> tuple[Permission, ...]:
    """Every known permission, in the order of the reference."""
    return _load().permissions


def roles() -> dict[str, tuple[str, ...]]:
    """Owner, Administrator, Operator, Viewer, Basic, each with its permissions.

    Only Basic's list is published, and what Administrator lacks; the others are inferred from their
    descriptions. What the cloud answers when a role is set counts for more.
    """
    return dict(_load().roles)


def known(name: str) -> Permission | None:
    """What is known of a permission; of a per-record form, what is known of its family."""
    loaded = _load()
    at = loaded.position.get(family(name))
    return None if at is None else loaded.permissions[at]


def is_privileged(name: str) -> bool:
    """Whether it is `apikey.ctrl`, `user.ctrl` or `billing.ctrl`."""
    found = known(name)
    return found is not None and found.privileged


def categories(permissions: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The given permissions by category, both in the order of the reference.

    A per-record form stands right behind its family; what is unknown comes last, in `other`, by name.
    """
    loaded = _load()
    last = len(loaded.permissions)

    def place(name: str) -> tuple[int, str]:
        return (loaded.position.get(family(name), last), name)

    grouped: dict[str, list[str]] = {}
    for name in sorted(set(permissions), key=place):
        at = place(name)[0]
        category = OTHER if at == last else loaded.permissions[at].category
        grouped.setdefault(category, []).append(name)
    order = dict.fromkeys(permission.category for permission in loaded.permissions)
    return [(category, grouped[category]) for category in (*order, OTHER) if category in grouped]


def family(name: str) -> str:
    """The catalogue's name of a permission: of `secret.get.my-key` it is `secret.get`, else itself."""
    loaded = _load()
    if name in loaded.position:
        return name
    parts = name.split(".")
    for size in range(len(parts) - 1, 1, -1):
        base = ".".join(parts[:size])
        at = loaded.position.get(base)
        if at is not None and loaded.permissions[at].per_record:
            return base
    return name


@cache
def _load() -> _Catalogue:
    read = json.loads(Path(__file__).with_name("permissions.json").read_text("utf-8"))
    permissions = tuple(
        Permission(
            name=each["name"],
            category=each["category"],
            kind=each["kind"],
            privileged=each.get("privileged", False),
            per_record=each.get("per_record", False),
            doubtful=each.get("doubtful", False),
            documented=each.get("documented", True),
        )
        for each in read["permissions"]
    )
    return _Catalogue(
        permissions,
        {permission.name: at for at, permission in enumerate(permissions)},
        {name: tuple(held) for name, held in read["roles"].items()},
    )
