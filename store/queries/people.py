"""Who works here, as far as the store knows: the people of access, and those who decided something."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from sqlalchemy import Connection, Table, select

from store import models

_ADDRESSES = (
    models.User.__table__.c.email,  # type: ignore[attr-defined]
    models.DirectPermission.__table__.c.email,  # type: ignore[attr-defined]
    models.GroupMember.__table__.c.email,  # type: ignore[attr-defined]
)
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]

NEAR = 0.8
"""How alike a name has to be to one that is known for that one to be offered, 0 to 1."""


@dataclass(frozen=True)
class People:
    """Everybody whose name may be typed: addresses, what stands before their @, names of operators."""

    names: frozenset[str]
    """Folded for comparing; strangers' texts."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.strip().casefold() in self.names

    def doubt(self, name: str) -> str:
        """Why a name may be a slip, in a sentence that holds strangers' text; "" when it is known."""
        name = name.strip()
        if not name or name in self:
            return ""
        near = get_close_matches(name.casefold(), self.names, 1, NEAR)
        meant = f"; is {near[0]} meant?" if near else "."
        return f"Nobody of that name is known here: {name}{meant}"


def people(c: Connection, *, also: Collection[str] = ()) -> People:
    """Everybody the store knows.

    Args:
        also: known besides, such as the operator at the console.
    """
    found: set[str] = {name.strip().casefold() for name in also}
    for column in _ADDRESSES:
        for address in c.execute(select(column).distinct()).scalars():
            found |= {address.casefold(), address.casefold().partition("@")[0]}
    found.update(actor.casefold() for actor in c.execute(select(_ACTION.c.actor).distinct()).scalars())
    for actor in c.execute(select(_JOURNAL.c.actor).distinct()).scalars():
        found.add(actor.casefold().partition("@")[0])
    return People(frozenset(found - {""}))
