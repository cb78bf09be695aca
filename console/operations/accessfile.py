"""Roles as code: what a file wants changed, and what is remembered of it until it was applied."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store import accessroles
from store.accesschanges import AccessChange
from store.accessfile import AccessFile, GroupDrift, Known, changes, drift, read
from store.queries import accessfile as queries

if TYPE_CHECKING:
    from store.database import Reader, Store


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, and what makes the cloud as it says."""

    file: AccessFile
    known: Known
    drifts: tuple[GroupDrift, ...]
    """Every group of the file, those without a difference too."""
    changes: tuple[AccessChange, ...]
    """In the order of a plan."""
    source: str
    """What a plan that is made of these changes is to say it came from: with it the roles are written down
    once it was applied."""

    @property
    def differs(self) -> bool:
        """Whether any group is known to be otherwise than the file says."""
        return any(each.differences for each in self.drifts)


def wanted(content: bytes, *, reader: "Reader") -> Wanted:
    """What a file wants changed, as far as the store knows what is there; nothing is written.

    Raises:
        AccessFileError: the file cannot be applied.
    """
    with reader.reading() as connection:
        known = queries.known(connection)
        file = read(content, known)
        there = [each.gid for each in file.groups if not each.new]
        drifts = tuple(drift(file, known, queries.standing_of(connection, there)))
    return Wanted(file, known, drifts, tuple(changes(drifts, known)), accessroles.source_of(file))


def remember(found: Wanted, *, store: "Store", now: int) -> None:
    """Keep what a file gives until it is applied; where nothing is to change, it is applied as it is."""
    with store.writing() as connection:
        accessroles.remember(connection, found.file, now=now)
        if not found.changes:
            accessroles.applied(connection, found.source, now=now)
