"""One change to who may do what, as it is staged, planned, applied and undone.

A change is a fact of the cloud that is to hold or to hold no more: a grant, a membership, an organization in
a group, a permission of a group, a group, a key. So it can be looked up before and after, and made twice
without harm; only a new group has no name of its own until it was made (`NEW`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

ChangeKind = Literal[
    "create_group", "add_user", "grant", "add_org", "add_group_permission", "add_owner", "add_member",
    "remove_member", "remove_owner", "remove_group_permission", "remove_org", "revoke", "remove_user",
    "delete_key", "delete_group",
]  # fmt: skip

KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
"""In the order in which a plan makes them: what gives comes before what takes, so that nobody who keeps a
permission is without it in between, and a group has its organizations and permissions before its members."""

INVERSE: dict[ChangeKind, ChangeKind] = {
    "create_group": "delete_group",
    "add_user": "remove_user",
    "grant": "revoke",
    "revoke": "grant",
    "add_org": "remove_org",
    "remove_org": "add_org",
    "add_group_permission": "remove_group_permission",
    "remove_group_permission": "add_group_permission",
    "add_owner": "remove_owner",
    "remove_owner": "add_owner",
    "add_member": "remove_member",
    "remove_member": "add_member",
}
"""What takes a change back. `remove_user` and `delete_group` are taken back by several changes, made from
what was there before; a deleted key cannot come back."""

NEW = "new:"
"""Before the name of a group that the same plan makes: it stands for the gid that is not known yet."""


@dataclass(frozen=True, slots=True, order=True)
class AccessChange:
    """What is to change. Fields that its kind does not name are "".

    add_user: principal, oid: into the organization, without any permission; whoever is granted one directly
    has to be there. grant, revoke: principal, permission, oid: what is granted directly. remove_user:
    principal, oid: everything that is granted directly. add_member, remove_member, add_owner, remove_owner:
    principal, gid. add_org, remove_org: gid, oid. add_group_permission, remove_group_permission: gid,
    permission. create_group: gid is `NEW` and the name. delete_group: gid. delete_key: principal is the
    key's hash, oid.
    """

    kind: ChangeKind
    oid: str = ""
    gid: str = ""
    principal: str = ""
    """E-mail, in lower case as LimaCharlie has it, or the hash of a key."""
    permission: str = ""

    @property
    def gives(self) -> bool:
        """Whether somebody may have more afterwards; the others only take."""
        return self.kind in ("grant", "add_org", "add_group_permission", "add_member", "add_owner")

    def inverse(self) -> "AccessChange | None":
        """What takes it back; None where one change cannot."""
        kind = INVERSE.get(self.kind)
        return None if kind is None else replace(self, kind=kind)


def ordered(changes: Iterable[AccessChange]) -> list[AccessChange]:
    """The changes once each, in the order in which a plan makes them."""
    return sorted(set(changes), key=lambda each: (KINDS.index(each.kind), each))
