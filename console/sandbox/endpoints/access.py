"""Users, permissions, groups, API keys."""

from typing import Any

from console.sandbox.access import Group
from console.sandbox.calls import Call, Refusal, not_found, table


@table.add("GET", "/v1/orgs/{oid}/users")
def users(call: Call) -> object:
    """The users with access of their own."""
    return {"users": sorted(call.world.access.direct(call.organization("user.ctrl")))}


@table.add("GET", "/v1/orgs/{oid}/users/permissions")
def permissions(call: Call) -> object:
    """Direct grants, and the groups that grant more.

    `user_permissions` is what is granted directly (docs/7-administration/access: the exact permissions of
    every direct user); what groups add is told apart.
    """
    one = call.organization("user.ctrl")
    access = call.world.access
    direct = access.direct(one)
    groups = access.groups_over(one)
    from_groups: dict[str, dict[str, Any]] = {}
    for group in groups:
        for email in group.members:
            user = access.users[email]
            row = from_groups.setdefault(
                user.uid,
                {
                    "email": email,
                    "groups": {},
                    "MFA_enabled": user.mfa,
                    "MFA_types": ["totp"] if user.mfa else [],
                    "hasDirectAccess": email in direct,
                },
            )
            row["groups"][group.gid] = True
    return {
        "user_permissions": {email: list(held) for email, held in direct.items()},
        "direct_users": [
            {
                "email": email,
                "uid": access.users[email].uid,
                "perms": list(held),
                "MFA_enabled": access.users[email].mfa,
                "MFA_types": ["totp"] if access.users[email].mfa else [],
            }
            for email, held in direct.items()
        ],
        "from_groups": from_groups,
        "group_info": {
            group.gid: {"name": group.name, "perms": list(group.permissions), "owners": list(group.owners)}
            for group in groups
        },
    }


def _full(call: Call, group: Group) -> dict[str, Any]:
    organizations = call.world.organizations
    return {
        "group_id": group.gid,
        "name": group.name,
        "owners": list(group.owners),
        "members": list(group.members),
        "orgs": [
            {"org_id": organizations[index].oid, "org_name": organizations[index].name}
            for index in group.organizations
        ],
        "perms": list(group.permissions),
    }


def _owned(call: Call) -> list[Group]:
    ident = call.user().ident
    return [group for group in call.world.access.groups if ident in group.owners]


def _group(call: Call) -> Group:
    ident = call.user().ident
    group = call.world.access.by_gid.get(call.params["gid"])
    if group is None:
        raise not_found()
    if ident not in group.owners:
        raise Refusal(401, "unauthorized: only owners manage a group")
    return group


@table.add("GET", "/v1/groups")
def groups(call: Call) -> object:
    """The groups that the caller owns."""
    return {"groups": [{"gid": group.gid, "name": group.name} for group in _owned(call)]}


@table.add("GET", "/v1/groups/concurrent")
def full_groups(call: Call) -> object:
    """The same with everything in them."""
    return {"groups": [_full(call, group) for group in _owned(call)]}


@table.add("GET", "/v1/groups/{gid}")
def group(call: Call) -> object:
    """One group."""
    return {"group": _full(call, _group(call))}


@table.add("GET", "/v1/groups/{gid}/logs")
def group_logs(call: Call) -> object:
    """What was done to the group."""
    found = _group(call)
    return {"logs": found.log}


@table.add("GET", "/v1/orgs/{oid}/keys")
def keys(call: Call) -> object:
    """API keys by hash, never the keys."""
    one = call.organization("apikey.ctrl")
    return {
        "api_keys": {
            key.key_hash: {
                "name": key.name,
                "priv": list(key.permissions),
                "by": key.by,
                "oid": one.oid,
                "allowed_ip_range": key.allowed_ip_range,
                "last_used": key.last_used,
            }
            for key in call.world.access.keys(one)
        }
    }
