"""What the screen of access says of a cell: in short below the matrix, and at length in its pane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content

from screens.context import HEALTH_STYLES
from screens.pivots import GAINED, KINDS, LOST, Cell, held_by
from screens.widgets.text import line
from store.access import Cuts, Explanation, counted, cut_words, missing_words, path_words
from store.closure import Held, World
from store.keyrecipes import flairs
from store.permissions import is_privileged, known
from store.queries.access import Asked
from store.queries.matrix import By
from store.resources import facet, level_words, levels
from store.times import age

SHOWN = 4
"""Missing links, and smallest cuts, that the pane names; the rest is counted."""

_SUBJECTS = {"access": "users and what they were granted", "groups": "groups", "keys": "API keys"}


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the matrix that could not be read."""

    subject: str
    failure: str
    reason: str
    """A stranger's text."""
    checked_at: int | None
    """When it was last read completely; what is shown of it is that old."""


@dataclass(frozen=True, slots=True)
class Why:
    """A cell explained: by which paths it is held or what is missing, and what would take it away."""

    asked: Asked
    answer: Explanation
    cuts: Cuts
    restricted: str = ""
    """What of the organization is behind an ACL tag, in words; a stranger's text."""
    then: str = ""
    """The time that it is as of, in words; "" for now."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the short explanation is made from."""

    world: World
    after: World
    mfa: dict[str, bool | None]
    """Of each user whether a second factor is set up, as far as that is known."""
    staged: tuple[str, ...] = ()
    """The staged changes that concern the cell, in words: strangers' text."""
    at: int | None = None
    """As of which time (ms) `world` is; None for now."""
    since: bool = False
    """`after` is then what is so now."""


def gap_line(gap: Gap, now: int) -> Content:
    """`not known: API keys, because ...`"""
    what = _SUBJECTS[gap.subject]
    because = gap.reason or ("they were never read" if gap.failure == "never" else gap.failure)
    if gap.checked_at is None:
        return line((f" x not known: {what}, because ", HEALTH_STYLES["failed"]), because)
    return line((f" ~ {age(gap.checked_at, now)} old: {what}, because ", HEALTH_STYLES["partly"]), because)


def name_of(world: World, kind: str, principal: str, oid: str = "") -> str:
    """What a principal is called; a stranger's text."""
    if kind == "group":
        group = world.groups.get(principal)
        return str(group.name) if group is not None else principal
    if kind == "key":
        key = world.keys.get(oid, {}).get(principal)
        if key is None:
            key = next((keys[principal] for keys in world.keys.values() if principal in keys), None)
        return str(key.name) if key is not None and key.name else principal
    return principal


def organization_of(world: World, oid: str) -> str:
    """What an organization is called; a stranger's text."""
    return str(world.organizations.get(oid, oid))


def explain(found: Known, by: By, cell: Cell, columns: Sequence[str], category: str) -> list[Content]:
    """A cell in words, what is staged of it, and who else holds it: at most five lines.

    Args:
        columns: its column, or all those of a folded category.
    """
    world = found.world
    name = name_of(world, cell.kind, cell.principal, cell.oid)
    who = {"user": name, "group": f"Group {name}", "key": f"Key {name}"}[cell.kind]
    where = organization_of(world, cell.oid)
    about = _about(found, cell)
    if len(columns) > 1:
        if by == "permission":
            return [_folded_organizations(found, who, cell, columns, category), about]
        return _folded(found, who, where, cell, columns, category, about)
    permission = cell.permission
    held = held_by(world, cell)
    bit = world.bit(permission)
    paths = held.paths(bit) if held is not None and bit is not None else ()
    counts = _others(world, cell)
    whom = ", ".join(counts) or ("nobody else" if paths else "nobody")
    also = line(f"   {'also held' if paths and counts else 'held'} by {whom}")
    staged = [_staged(found, cell, bool(paths))] if found.staged else []
    if found.since:
        staged = [_since(found, cell, paths)]
    has = _has(found)
    if not paths:
        first = line((f" {who}", "bold"), f" {has} not {permission} on ", (where, "bold"))
    else:
        through = "; ".join(_path(world, path, cell.kind) for path in paths)
        first = line(
            (f" {who}", "bold"), f" {has} ", (permission, "bold"), " on ", (where, "bold"), f": {through}"
        )
    return [first, *staged, _kind_of(permission), also, about]


def _folded(
    found: Known, who: str, where: str, cell: Cell, columns: Sequence[str], category: str, about: Content
) -> list[Content]:
    world = found.world
    held = held_by(world, cell)
    names = set(world.permissions(held.mask)) if held is not None else set()
    has = [permission for permission in columns if permission in names]
    said = f" {_has(found)} {len(has)} of the {len(columns)} permissions of {category} on "
    lines = [line((f" {who}", "bold"), said, (where, "bold")), line(f"   {', '.join(has) or 'none of them'}")]
    if held is not None:
        lines += [line(f"   {level_words(each)}") for each in levels(has)[:2]]
    return [*lines, about]


def _has(found: Known) -> str:
    return "has" if found.at is None else "had"


def _folded_organizations(
    found: Known, who: str, cell: Cell, columns: Sequence[str], category: str
) -> Content:
    world = found.world
    bit = world.bit(cell.permission)
    has = 0
    if bit is not None:
        for oid in columns:
            held = held_by(world, Cell(cell.principal, cell.kind, cell.permission, oid))
            has += held is not None and bool(held.sign(bit))
    return line(
        (f" {who}", "bold"), f" {_has(found)} ", (cell.permission, "bold"),
        f" on {has:,} of the {counted(len(columns), 'organization')} of ", (category, "bold"),
    )  # fmt: skip


def _staged(found: Known, cell: Cell, had: bool) -> Content:
    held = held_by(found.after, cell)
    bit = found.after.bit(cell.permission)
    has = held is not None and bit is not None and bool(held.sign(bit))
    sign = GAINED if has and not had else LOST if had and not has else "~"
    more = f" and {len(found.staged) - 1:,} more" if len(found.staged) > 1 else ""
    return line(("   ", ""), (f"{sign} staged: {found.staged[0]}{more}", "bold ansi_yellow"))


def _since(found: Known, cell: Cell, paths: tuple[str, ...]) -> Content:
    """What became of a cell from then to now."""
    held = held_by(found.after, cell)
    bit = found.after.bit(cell.permission)
    now = held.paths(bit) if held is not None and bit is not None else ()
    if set(now) == set(paths):
        return line("   the same now" if now else "   nor has it now")
    if not now:
        return line(("   - now not any more", "bold ansi_yellow"))
    through = "; ".join(_path(found.after, path, cell.kind) for path in now)
    return line((f"   {'~' if paths else '+'} now: ", "bold ansi_yellow"), through)


def _others(world: World, cell: Cell) -> list[str]:
    """Who else has the permission on the organization: `2 users`, `1 group`."""
    bit = world.bit(cell.permission)
    if bit is None:
        return []
    counts = dict.fromkeys(KINDS, 0)
    for principal, held in world.organization(cell.oid).items():
        if held.sign(bit) and (held.kind, principal) != (cell.kind, cell.principal):
            counts[held.kind] += 1
    for group in world.holding(cell.oid):
        if group.permissions >> bit & 1 and (cell.kind, cell.principal) != ("group", group.gid):
            counts["group"] += 1
    return [counted(count, kind) for kind, count in counts.items() if count]


def _path(world: World, path: str, kind: str) -> str:
    if kind == "key":
        return "of the key itself"
    if kind == "group":
        return "the group gives it to its members"
    return "direct" if path == "direct" else f"group {name_of(world, 'group', path)}"


def _kind_of(permission: str) -> Content:
    found = known(permission)
    if found is None:
        return line(f"   {permission}: not in the catalogue of permissions")
    says = {
        "read": "shows data",
        "write": "changes stored data",
        "control": "acts on endpoints, money, access or code",
    }[found.kind]
    return line(
        f"   {permission}: {says}{extent(permission)}",
        ("   ! privileged", HEALTH_STYLES["failed"]) if found.privileged else "",
    )


def extent(permission: str) -> str:
    """How far a permission reaches below the organization, as an apposition; "" where it is for all of it."""
    what = facet(permission)
    if what is None:
        return ""
    if what.of == "rules":
        return f", of the {what.namespace} rules"
    if what.record:
        of = "the metadata of the record" if what.extent == "metadata" else "the record"
        return f", {of} {what.record} alone of the {what.family} hive"
    return (
        f", {'the metadata alone' if what.extent == 'metadata' else 'every record'} of the {what.family} hive"
    )


def _about(found: Known, cell: Cell) -> Content:
    world = found.world
    held = held_by(world, cell) or Held(0, ())
    names = world.permissions(held.mask)
    parts: list[str] = [f"   {len(names):,} permissions there"]
    if cell.kind == "user":
        mfa = {True: "yes", False: "NO", None: "not known"}[found.mfa.get(cell.principal)]
        parts.append(f"{held.direct.bit_count():,} direct, {counted(len(held.groups), 'group')}")
        if found.at is None:
            parts.append(f"second factor: {mfa}")
    elif cell.kind == "key" and "segment" in flairs(name_of(world, "key", cell.principal, cell.oid)):
        parts.append("[segment]: it sees only what it made itself")
    elif cell.kind == "group" and (group := world.groups.get(cell.principal)) is not None:
        parts.append(
            f"{counted(len(group.members), 'member')}, "
            f"{counted(len(group.organizations), 'organization', at_least=not group.complete)}"
        )
    privileged = [name for name in names if is_privileged(name)]
    if privileged:
        parts.append(f"! {', '.join(privileged)}")
    return line("; ".join(parts))


def why_lines(found: Why, held: Iterable[str]) -> list[Content]:
    """A cell at length: every path or what is missing, the smallest cuts, and how far it reaches below.

    Args:
        held: every permission that the principal has there.
    """
    answer, organization = found.answer, found.asked.organization
    who = {"user": "", "group": "Group ", "key": "Key "}[answer.kind] + (answer.name or answer.principal)
    has = "has " if answer.granted else "has not "
    if found.then:
        has = "had " if answer.granted else "had not "
    if not answer.granted and not found.asked.known(answer.kind):
        has = "is not known to have had " if found.then else "is not known to have "
    by = f", by {counted(len(answer.paths), 'path')}" if answer.granted else ""
    by += f", as of {found.then}" if found.then else ""
    lines = [line((f" {who}", "bold"), f" {has}", (answer.permission, "bold"), f" on {organization}{by}")]
    lines += [
        line(f"   {number} {path_words(path, answer.kind)}") for number, path in enumerate(answer.paths, 1)
    ]
    lines += [
        line("   nearest: " if number == 0 else "        or: ", missing_words(each, answer))
        for number, each in enumerate(answer.missing[:SHOWN])
    ]
    if len(answer.missing) > SHOWN:
        lines.append(line(f"   and {len(answer.missing) - SHOWN:,} more missing links"))
    if answer.granted:
        lines += [
            line(("   ! ", HEALTH_STYLES["partly"]), f"{name} is held too, and holds for every record")
            for name in answer.covered
        ]
    smallest = found.cuts.cuts
    lines += [
        line((" smallest cut: " if number == 0 else "           or: ", "bold"), cut_words(cut, answer))
        for number, cut in enumerate(smallest[:SHOWN])
    ]
    if len(smallest) > SHOWN:
        more = f"{len(smallest) - SHOWN:,}{' or more' if found.cuts.more else ''}"
        lines.append(line(f"           and {more} as small: `limegrove access explain` lists them"))
    return (
        lines + _below(answer.permission, held) + ([line(f" {found.restricted}")] if found.restricted else [])
    )


def _below(permission: str, held: Iterable[str]) -> list[Content]:
    """What the principal may do with the rules or the records that the permission is about."""
    what = facet(permission)
    if what is None:
        return []
    of = [
        level
        for level in levels(held)
        if level.of == what.of and level.family == what.family and level.namespace == what.namespace
    ]
    return [line((" below it: ", "bold"), level_words(level)) for level in of]
