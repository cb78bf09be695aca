"""Forgetting an organization: in the store, and in the backups of it that somebody names."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from console.operations.actor import actor
from store import forgetting, maintenance
from store.database import Store, sqlite_url
from store.errors import StoreError
from store.forgetting import CannotForget
from store.queries.organizations import find_organization
from store.text import safe_text
from store.times import now_ms


@dataclass(frozen=True)
class About:
    """What there is of an organization."""

    oid: str
    name: str
    """A stranger's text."""
    why: str
    """Why it may not be forgotten now; "" when it may."""
    rows: dict[str, int]
    """Its own rows, by table."""
    copies: list[str]
    """Files beside the store that hold it too."""
    backups: tuple[Path, ...]

    @property
    def may(self) -> bool:
        """Whether it may be forgotten now."""
        return not self.why

    @property
    def phrase(self) -> str:
        """What has to be typed."""
        return self.name or self.oid


@dataclass(frozen=True)
class Outcome:
    """What was forgotten."""

    oid: str
    name: str
    rows: dict[str, int]
    entries: int
    backups: tuple[Path, ...]
    """Those that it was taken out of too."""
    left: tuple[str, ...]
    """What still holds it, and what to do; a sentence each."""


def about(store: Store, wanted: str, backups: Iterable[str] = ()) -> About:
    """What there is of an organization, and whether it may be forgotten.

    Args:
        wanted: its oid, the beginning of it, or its name.
        backups: files that it is to be taken out of too.

    Raises:
        CannotForget: nothing of it is here, it may be one of several, or a backup is none.
    """
    with store.reader.reading() as c:
        found = find_organization(c, wanted)
        if len(found) > 1:
            named = ", ".join(f"{safe_text(name, 40)} ({oid})" for oid, name in found[:5])
            raise CannotForget(f"{safe_text(wanted, 60)} may be any of {named}. Give the oid.", known=False)
        oid, name = found[0] if found else (wanted, "")
        rows = forgetting.held(c, oid)
        if not found and not rows:
            raise CannotForget(
                f"The store has nothing of {safe_text(wanted, 60)}; `limegrove org list` names what it has.",
                known=False,
            )
        why = forgetting.why_not(c, oid)
    paths = tuple(Path(each).expanduser().absolute() for each in backups)
    for path in paths:
        maintenance.check_backup(path)
    copies = [str(path) for path in maintenance.copies(store.url) if maintenance.holding(path, [oid])]
    return About(oid, name, why, rows, copies, paths)


def forget(
    store: Store, found: About, *, report: Callable[[str], object] = lambda _: None, now: int | None = None
) -> Outcome:
    """Delete everything of an organization, and write the files anew.

    Raises:
        CannotForget: it may not be forgotten by now.
        StoreError: the store cannot be written.
    """
    moment = now_ms() if now is None else now
    done = forgetting.forget(store, found.oid, actor=actor(), now=moment, report=report)
    left = list(done.left)
    try:
        maintenance.rewrite(store.url, report)
    except StoreError as error:
        left.append(str(error))
    cleaned = []
    for path in found.backups:
        try:
            _in_backup(path, found.oid, moment, report)
            cleaned.append(path)
        except StoreError as error:
            left.append(f"The backup {path} still holds it: {error}")
    left += _copies(store, found.oid, cleaned)
    return Outcome(found.oid, found.name, dict(done.rows), done.entries, tuple(cleaned), tuple(left))


def _in_backup(path: Path, oid: str, now: int, report: Callable[[str], object]) -> None:
    """Take an organization out of a backup, which stays one file."""
    url = sqlite_url(path)
    with closing(Store(url)) as copy:
        with copy.reader.reading() as c:
            there = bool(forgetting.held(c, oid))
        if there:
            forgetting.forget(copy, oid, actor=actor(), now=now, report=report, copy=True)
    maintenance.rewrite(url, report, alone=True)


def _copies(store: Store, oid: str, cleaned: Sequence[Path]) -> list[str]:
    return [
        f"{path} beside the store holds it too: delete that file, or name it with --backup."
        for path in maintenance.copies(store.url)
        if path not in cleaned and maintenance.holding(path, [oid])
    ]
