"""What staged changes come to, worked out for the dialog that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from screens.access_words import name_of, organization_of
from screens.dialogs.what_if import Consequence, Differs, Staged
from store import accesslines
from store.access import counted
from store.accesschanges import AccessChange
from store.closure import Shift, World, effect
from store.permissions import is_privileged

MOST = 2_000
"""Lines that are listed; the rest is counted."""

NAMED = 2
"""Organizations that a line names."""


def consequence(
    world: World, after: World, staged: tuple[AccessChange, ...], names: accesslines.Names
) -> Consequence:
    """Who has what before and after; gains of privileged permissions first, then the widest."""
    comes = effect(world, after, staged)
    shifts = sorted(
        comes.shifts,
        key=lambda each: (
            not (each.gained and is_privileged(each.permission)),
            not each.gained,
            -(each.gained | each.lost).bit_count(),
            each.principal,
            each.permission,
        ),
    )
    return Consequence(
        staged=tuple(
            Staged(each, accesslines.words(each, names), _where(each, world, names)) for each in staged
        ),
        differs=tuple(
            Differs(
                principal=_called(after, world, each),
                permission=each.permission,
                before=_signs(world, each),
                after=_signs(after, each),
                gained=each.gained.bit_count(),
                lost=each.lost.bit_count(),
                where=", ".join(organization_of(after, oid) for oid in _first(after, each)),
                privileged=is_privileged(each.permission),
            )
            for each in shifts[:MOST]
        ),
        more=max(0, len(shifts) - MOST),
        gained=comes.gained.count,
        lost=comes.lost.count,
        people=len(comes.people),
        organizations=tuple(sorted(organization_of(after, oid) for oid in comes.organizations)),
        touched=len(comes.touched),
        privileged=tuple(
            (name_of(after, "user" if "@" in each.principal else "key", each.principal), each.permission,
             each.organizations)
            for each in comes.privileged
        ),
    )  # fmt: skip


def _first(world: World, shift: Shift) -> Iterator[str]:
    return islice(world.oids_of(shift.gained | shift.lost), NAMED)


def _called(after: World, world: World, shift: Shift) -> str:
    if shift.kind != "key":
        return shift.principal
    name = name_of(after, "key", shift.principal)
    return f"key {name if name != shift.principal else name_of(world, 'key', shift.principal)}"


def _where(change: AccessChange, world: World, names: accesslines.Names) -> str:
    """The organization, or the group with how many organizations it holds."""
    if not change.gid:
        return str(names.organization(change.oid))
    group = world.groups.get(change.gid)
    reach = "" if group is None else f" ({counted(len(group.organizations), 'organization')})"
    return f"group {names.group(change.gid)}{reach}"


def _signs(world: World, shift: Shift) -> str:
    """How somebody holds a permission where it changes, `D/G`: every sign that occurs; `.` is not."""
    within, bit = shift.gained | shift.lost, world.bit(shift.permission)
    if bit is None:
        return "."
    if shift.kind == "key":
        return (
            "K" if any(shift.principal in world.keys.get(oid, {}) for oid in world.oids_of(within)) else "."
        )
    through = 0
    for group in world.groups_of(shift.principal):
        if group.permissions >> bit & 1:
            through |= world.organizations_of(group.gid)
    held = world.direct.get(shift.principal, {})
    direct = world.oid_mask(oid for oid, mask in held.items() if mask >> bit & 1)
    return "/".join(_which(direct & within, through & within, within))


def _which(direct: int, through: int, within: int) -> Iterator[str]:
    if direct & ~through:
        yield "D"
    if through & ~direct:
        yield "G"
    if direct & through:
        yield "B"
    if within & ~(direct | through):
        yield "."
