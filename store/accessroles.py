"""Which role a file gave to which group: remembered when it is planned, and kept once it was applied."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, insert, select

from store import models
from store.accessfile import AccessFile
from store.bodies import storable

_ROLE: Table = models.GroupRole.__table__  # type: ignore[attr-defined]
_FILE: Table = models.AccessFile.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]

SOURCE = "access.yaml "
"""Before the file's hash: what a plan that was made of it says it came from."""

KEPT = 50
"""Files that are remembered, the newest."""


@dataclass(frozen=True, slots=True)
class Given:
    """The role that a group was given."""

    gid: str
    role: str
    permissions: frozenset[str]
    file_hash: str
    applied_at: int
    """Milliseconds, UTC."""


def source_of(file: AccessFile) -> str:
    """What a plan made of this file says it came from."""
    return f"{SOURCE}{file.hash}"


def remember(c: Connection, file: AccessFile, *, now: int) -> None:
    """Keep what a file gives to groups by roles, until it is applied."""
    groups = [
        {
            "gid": "" if each.new else each.gid,
            "name": storable(each.name),
            "role": storable(each.role),
            "permissions": sorted(each.permissions or ()),
        }
        for each in file.groups
        if each.role and "permissions" not in each.open
    ]
    c.execute(delete(_FILE).where(_FILE.c.hash == file.hash))
    c.execute(insert(_FILE).values(hash=file.hash, groups=groups, planned_at=now))
    newest = select(_FILE.c.hash).order_by(_FILE.c.planned_at.desc(), _FILE.c.hash).limit(KEPT)
    kept = set(c.execute(newest).scalars())
    beyond = [each for each in c.execute(select(_FILE.c.hash)).scalars() if each not in kept]
    if beyond:
        c.execute(delete(_FILE).where(_FILE.c.hash.in_(beyond)))


def applied(c: Connection, source: str, *, now: int) -> int:
    """Write down which groups now have the role that a file gave them.

    To be called after a plan was applied, in whatever part: a group that has not what its role holds is not
    written down. A plan that came from elsewhere changes nothing here.

    Args:
        source: of the plan.

    Returns:
        How many groups were written down anew.
    """
    if not source.startswith(SOURCE):
        return 0
    file_hash = source.removeprefix(SOURCE)
    wanted = c.execute(select(_FILE.c.groups).where(_FILE.c.hash == file_hash)).scalar_one_or_none()
    if wanted is None:
        return 0
    there = {row.gid: row for row in c.execute(select(_GROUP.c.gid, _GROUP.c.name, _GROUP.c.permissions))}
    by_name: dict[str, list[str]] = {}
    for row in there.values():
        by_name.setdefault(row.name, []).append(row.gid)
    before = given(c)
    changed = 0
    for each in wanted:
        named = by_name.get(each["name"], [])
        gid = each["gid"] or (named[0] if len(named) == 1 else "")
        if gid not in there or list(there[gid].permissions) != each["permissions"]:
            continue
        known = before.get(gid)
        if (
            known is not None
            and known.role == each["role"]
            and known.permissions == frozenset(each["permissions"])
        ):
            continue
        c.execute(delete(_ROLE).where(_ROLE.c.gid == gid))
        c.execute(
            insert(_ROLE).values(
                gid=gid,
                role=each["role"],
                permissions=each["permissions"],
                file_hash=file_hash,
                applied_at=now,
            )
        )
        changed += 1
    return changed


def given(c: Connection) -> Mapping[str, Given]:
    """The role that each group was given last, by gid."""
    return {
        row.gid: Given(row.gid, row.role, frozenset(row.permissions), row.file_hash, row.applied_at)
        for row in c.execute(select(_ROLE))
    }
