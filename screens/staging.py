"""Which changes a cell of the matrix offers, in words that name who and what they touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from textual.content import Content

from screens.access_words import Why, name_of, organization_of
from screens.dialogs.choose_one import Option
from screens.dialogs.choose_organization import Choice
from screens.pivots import Cell, concerning, held_by
from screens.widgets.text import line
from store import accesslines
from store.access import Cut, counted, cut_words
from store.accesschanges import AccessChange
from store.closure import World, WorldGroup
from store.permissions import is_privileged
from store.text import safe_text

LETTERS = "bcdfghijklmnopqrsuvwxyz"
"""For the paths of a cell that has many."""

MOST = 12
"""Ways that are offered side by side."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that may be staged."""

    option: Option
    changes: tuple[AccessChange, ...] = ()
    unstages: bool = False
    """It takes staged changes out again."""
    choices: Sequence[Choice] = ()
    """What has to be chosen first; `chosen` then makes the changes."""
    choosing: str = ""
    hint: str = ""
    chosen: Callable[[str], tuple[AccessChange, ...]] = lambda _id: ()


@dataclass(frozen=True, slots=True)
class Offering:
    """What may be staged of a cell."""

    heading: Content = field(default_factory=Content)
    offers: tuple[Offer, ...] = ()
    asks: bool = False
    """It touches more than the cell: it is asked even where there is one way."""
    sentence: str = ""
    """Why nothing may be staged."""


def offers_for(
    world: World,
    after: World,
    staged: Sequence[AccessChange],
    cell: Cell,
    names: accesslines.Names,
    why: Why | None,
) -> Offering:
    """What toggles a cell.

    Args:
        names: of what is staged.
        why: the explanation of the cell in the world as it is, for its smallest cut.
    """
    about = concerning(staged, cell, after)
    own = [each for each in about if each.kind in ("grant", "revoke") and each.permission == cell.permission]
    if own:
        return Offering(offers=(Offer(Option("t", ""), tuple(own), unstages=True),))
    held, bit = held_by(after, cell), after.bit(cell.permission)
    paths = held.paths(bit) if held is not None and bit is not None else ()
    if cell.kind == "key":
        offering = _of_key(world, cell, bool(paths))
    elif cell.kind == "group":
        offering = _of_group(after, cell)
    else:
        offering = _of_user(world, after, cell, paths, why if after is world or not about else None)
    if not about:
        return offering
    back = tuple(
        Offer(
            Option(str(number), f"take back: {safe_text(accesslines.words(each, names), 60)}"),
            (each,), unstages=True,
        )
        for number, each in enumerate(about[:9], 1)
    )  # fmt: skip
    return replace(offering, offers=(*back, *offering.offers), asks=True, heading=_heading(after, cell))


def _heading(world: World, cell: Cell) -> Content:
    who = name_of(world, cell.kind, cell.principal, cell.oid)
    risk = "   ! privileged" if is_privileged(cell.permission) else ""
    return line(
        (who, "bold"), "   ", (cell.permission, "bold"), (risk, "bold ansi_red"), "   on ",
        (organization_of(world, cell.oid), "bold"),
    )  # fmt: skip


def _of_key(world: World, cell: Cell, held: bool) -> Offering:
    name = safe_text(name_of(world, "key", cell.principal, cell.oid), 60)
    if not held or cell.principal not in world.keys.get(cell.oid, {}):
        return Offering(
            sentence=f"A key cannot be given more than it was made with: make another one than {name}."
        )
    others = world.keys[cell.oid][cell.principal].permissions.bit_count() - 1
    change = AccessChange("delete_key", oid=cell.oid, principal=cell.principal)
    return Offering(
        _heading(world, cell)
        + Content("\nA key has what it was made with: it is kept whole, or deleted, and cannot come back."),
        (Offer(Option("d", f"delete the key, with its {counted(others, 'other permission')}"), (change,)),),
        asks=True,
    )


def _of_group(after: World, cell: Cell) -> Offering:
    group = after.groups.get(cell.principal)
    if group is None:
        return Offering(sentence="This group is not there any more.")
    gives = bool(group.permissions & after.mask([cell.permission]))
    holds = cell.oid in group.organizations
    offers = []
    if not gives:
        offers.append(_give(group, cell.permission, "g"))
    if not holds:
        offers.append(_put(after, group, cell.oid, "o"))
    if gives and holds:
        offers = [_take(group, cell.permission, "t"), _drop(after, group, cell.oid, "o")]
    return Offering(_heading(after, cell), tuple(offers), asks=True)


def _of_user(world: World, after: World, cell: Cell, paths: tuple[str, ...], why: Why | None) -> Offering:
    who = {"principal": cell.principal, "oid": cell.oid, "permission": cell.permission}
    if not paths:
        return Offering(offers=(Offer(Option("g", "grant it directly"), (AccessChange("grant", **who),)),))
    revoke = AccessChange("revoke", **who)
    if paths == ("direct",):
        return Offering(offers=(Offer(Option("r", "revoke the direct grant"), (revoke,)),))
    offers: list[Offer] = []
    if why is not None and len(paths) > 1 and why.cuts.cuts:
        smallest = why.cuts.cuts[0]
        words = safe_text(cut_words(smallest, why.answer), 200)
        offers.append(Offer(Option("a", f"all of it, the smallest cut: {words}"), _cut(smallest, cell)))
    if "direct" in paths:
        offers.append(Offer(Option("r", "revoke the direct grant"), (revoke,)))
    groups = [after.groups[gid] for gid in paths if gid in after.groups]
    if len(groups) == 1:
        offers += _through(after, groups[0], cell, ("l", "t", "o"))
    else:
        letters = iter(LETTERS)
        for group in groups[:MOST]:
            offers += _through(after, group, cell, (next(letters), "", ""))
    left = len(groups) - MOST
    by = (
        f"held by {counted(len(paths), 'path')}"
        if len(paths) > 1
        else f"held through group {_named(groups[0])}"
    )
    heading = _heading(after, cell) + Content(f"\n{by}: what is to go?")
    if left > 0:
        heading += Content(f" ({left:,} more groups give it)")
    return Offering(heading, tuple(offers), asks=True)


def _cut(cut: Cut, cell: Cell) -> tuple[AccessChange, ...]:
    return tuple(
        AccessChange(
            each.change,
            oid=cell.oid if each.change in ("revoke", "remove_org") else "",
            gid=each.gid,
            principal=each.principal if each.change in ("revoke", "remove_member") else "",
            permission=each.permission if each.change in ("revoke", "remove_group_permission") else "",
        )
        for each in cut.changes
    )


def _through(after: World, group: WorldGroup, cell: Cell, keys: tuple[str, str, str]) -> list[Offer]:
    """The three ways to end a path through a group; those without a letter are left out."""
    leave, take, drop = keys
    offers = []
    if leave:
        reach = counted(len(group.organizations), "organization")
        change = AccessChange("remove_member", gid=group.gid, principal=cell.principal)
        offers.append(
            Offer(Option(leave, f"leave group {_named(group)}: loses what it gives on {reach}"), (change,))
        )
    if take:
        offers.append(_take(group, cell.permission, take))
    if drop:
        offers.append(_drop(after, group, cell.oid, drop))
    return offers


def _named(group: WorldGroup) -> str:
    return safe_text(group.name or group.gid, 40)


def _wide(group: WorldGroup) -> str:
    reach = counted(len(group.organizations), "organization", at_least=not group.complete)
    return f"{counted(len(group.members), 'member')} on {reach}"


def _take(group: WorldGroup, permission: str, key: str) -> Offer:
    change = AccessChange("remove_group_permission", gid=group.gid, permission=permission)
    return Offer(Option(key, f"take {permission} from group {_named(group)}: {_wide(group)}"), (change,))


def _give(group: WorldGroup, permission: str, key: str) -> Offer:
    change = AccessChange("add_group_permission", gid=group.gid, permission=permission)
    return Offer(Option(key, f"give {permission} to group {_named(group)}: {_wide(group)}"), (change,))


def _drop(world: World, group: WorldGroup, oid: str, key: str) -> Offer:
    change = AccessChange("remove_org", gid=group.gid, oid=oid)
    where = safe_text(organization_of(world, oid), 40)
    members = counted(len(group.members), "member")
    return Offer(Option(key, f"take {where} out of group {_named(group)}: {members} lose it"), (change,))


def _put(world: World, group: WorldGroup, oid: str, key: str) -> Offer:
    change = AccessChange("add_org", gid=group.gid, oid=oid)
    where = safe_text(organization_of(world, oid), 40)
    members = counted(len(group.members), "member")
    return Offer(Option(key, f"put {where} into group {_named(group)}: {members} get it"), (change,))


# -- changes that are not of one cell ------------------------------------------------------------------------


def others_for(world: World, after: World, cell: Cell) -> Offering:
    """What else may be staged, seen from a cell: memberships, organizations of groups, people."""
    where = safe_text(organization_of(after, cell.oid), 40)
    offers: list[Offer] = []
    if cell.kind == "user":
        offers += _of_person(after, cell, where)
    elif cell.kind == "group" and cell.principal in after.groups:
        offers += _of_that_group(after, cell)
    holding = after.holding(cell.oid)
    held = {group.gid for group in holding}
    offers += [
        _choosing("o", f"put {where} into a group", "add_org", "oid", cell.oid,
                  [group for group in after.groups.values() if group.gid not in held]),
        _choosing("x", f"take {where} out of a group", "remove_org", "oid", cell.oid, holding),
        Offer(
            Option("n", f"grant {cell.permission} on {where} to somebody else"),
            choices=_people(after.people - {cell.principal}),
            choosing="User",
            hint="part of an e-mail",
            chosen=lambda email: (
                AccessChange("grant", oid=cell.oid, principal=email, permission=cell.permission),
            ),
        ),
    ]  # fmt: skip
    return Offering(_heading(world, cell), tuple(_checked(each) for each in offers), asks=True)


def _of_person(after: World, cell: Cell, where: str) -> list[Offer]:
    who = safe_text(cell.principal, 40)
    mine = after.groups_of(cell.principal)
    in_them = {group.gid for group in mine}
    owned = [group for group in after.groups.values() if cell.principal in group.owners]
    owns = {group.gid for group in owned}
    direct = after.direct.get(cell.principal, {}).get(cell.oid)
    count = direct.bit_count() if direct is not None else 0
    remove = Offer(
        Option("r", f"remove {who} from {where}: {counted(count, 'direct permission')}",
               "" if direct is not None else "nothing is granted directly there."),
        (AccessChange("remove_user", oid=cell.oid, principal=cell.principal),),
    )  # fmt: skip
    groups = list(after.groups.values())
    return [
        _choosing("j", f"{who} joins a group", "add_member", "principal", cell.principal,
                  [group for group in groups if group.gid not in in_them]),
        _choosing("l", f"{who} leaves a group", "remove_member", "principal", cell.principal, mine),
        _choosing("w", f"{who} becomes an owner of a group", "add_owner", "principal", cell.principal,
                  [group for group in groups if group.gid not in owns]),
        _choosing("d", f"{who} owns a group no more", "remove_owner", "principal", cell.principal, owned),
        remove,
    ]  # fmt: skip


def _of_that_group(after: World, cell: Cell) -> list[Offer]:
    group = after.groups[cell.principal]

    def member(kind: str) -> Callable[[str], tuple[AccessChange, ...]]:
        return lambda email: (AccessChange(kind, gid=group.gid, principal=email),)  # type: ignore[arg-type]

    return [
        Offer(
            Option("j", f"somebody joins group {_named(group)}"),
            choices=_people(after.people - group.members),
            choosing="User", hint="part of an e-mail", chosen=member("add_member"),
        ),
        Offer(
            Option("l", f"somebody leaves group {_named(group)}"),
            choices=_people(group.members),
            choosing="Member", hint="part of an e-mail", chosen=member("remove_member"),
        ),
    ]  # fmt: skip


def _choosing(key: str, words: str, kind: str, name: str, value: str, groups: Iterable[WorldGroup]) -> Offer:
    def chosen(gid: str) -> tuple[AccessChange, ...]:
        return (AccessChange(kind, gid=gid, **{name: value}),)  # type: ignore[arg-type]

    choices = [
        Choice(
            group.gid,
            str(group.name or group.gid),
            f"{counted(len(group.members), 'member')}, {counted(len(group.organizations), 'org')}"
            f"/{group.name}",
        )
        for group in groups
    ]
    return Offer(
        Option(key, words), choices=choices, choosing="Group", hint="part of a group's name", chosen=chosen
    )


def _people(emails: Iterable[str]) -> list[Choice]:
    return [Choice(email, email, f"{email.rpartition('@')[2]}/{email}") for email in sorted(emails)]


def _checked(offer: Offer) -> Offer:
    """One that has nothing to choose from says so."""
    if offer.changes or offer.choices or offer.option.why_not:
        return offer
    return replace(offer, option=replace(offer.option, why_not="there is none."))
