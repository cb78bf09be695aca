"""Users, permissions, groups, API keys."""

import ipaddress
from typing import Any

from console.sandbox import catalogue
from console.sandbox.access import Group, Key
from console.sandbox.calls import Call, Refusal, missing, not_found, table
from console.sandbox.organizations import Organization


def _email(call: Call, name: str) -> str:
    email = (call.either(name) or "").strip().lower()
    if not email:
        raise Refusal(400, f"missing parameter {name}")
    if "@" not in email.strip("@") or any(letter.isspace() for letter in email):
        raise Refusal(400, f"bad parameter {name}")
    return email


def _true(call: Call, name: str) -> bool:
    return (call.either(name) or "").lower() in ("true", "1", "yes")


def _permission(name: str) -> str:
    if not catalogue.is_permission(name):
        raise Refusal(400, f"unknown permission {name}")
    return name


def _role(text: str) -> str:
    """The role that is meant, in any case."""
    for name in catalogue.ROLES:
        if name.lower() == text.lower():
            return name
    raise Refusal(400, f"unknown role {text}")


def _account(call: Call, email: str) -> bool:
    """See to it that somebody has an account.

    Returns:
        Whether an invitation was sent for that. The Go client says with `invite_missing` whether it wants
        one; the Python client never says, and its help promises an invitation (5.10.1, commands/user.py).

    Raises:
        Refusal: 404 when none is wanted.
    """
    if email in call.world.access.users:
        return False
    if call.either("invite_missing") is not None and not _true(call, "invite_missing"):
        raise Refusal(404, "user not found")
    call.world.access.person(email)
    return True


def _granted(call: Call, one: Organization, email: str) -> tuple[str, ...]:
    """What is granted directly to a user of the organization."""
    held = call.world.access.direct(one).get(email)
    if held is None:
        raise Refusal(404, "user not found")
    return held


@table.add("GET", "/v1/orgs/{oid}/users")
def users(call: Call) -> object:
    """The users with access of their own."""
    return {"users": sorted(call.world.access.direct(call.organization("user.ctrl")))}


@table.add("POST", "/v1/orgs/{oid}/users")
def add_user(call: Call) -> object:
    """Give somebody access, without any privilege unless a role is named."""
    one = call.organization("user.ctrl")
    email, role = _email(call, "email"), call.either("role") or ""
    role = _role(role) if role else ""
    invited = _account(call, email)
    if role or email not in call.world.access.direct(one):
        call.world.access.grant(one, email, catalogue.ROLES[role] if role else ())
        call.record(
            one,
            "config_change",
            f"user {email} added",
            entity={"type": "user", "name": email},
            mtd={"action": "add", "role": role, "invite_sent": invited},
        )
    return {"success": True, "role": role, "invite_sent": invited}


@table.add("DELETE", "/v1/orgs/{oid}/users")
def remove_user(call: Call) -> object:
    """Take the access of its own from somebody; groups go on giving what they give."""
    one = call.organization("user.ctrl")
    email = _email(call, "email")
    _granted(call, one, email)
    call.world.access.remove(one, email)
    call.record(
        one,
        "config_change",
        f"user {email} removed",
        entity={"type": "user", "name": email},
        mtd={"action": "remove"},
    )
    return {"success": True}


def _change_permission(call: Call, *, add: bool) -> object:
    one = call.organization("user.ctrl")
    email, wanted = _email(call, "email"), call.either("perm") or ""
    if not wanted:
        raise Refusal(400, "missing parameter perm")
    held = _granted(call, one, email)
    # What somebody holds can be taken away whatever it is called; what is granted has to exist.
    permission = _permission(wanted) if add else wanted
    if (permission in held) == add:
        return {"success": True}
    left = (*held, permission) if add else tuple(name for name in held if name != permission)
    call.world.access.grant(one, email, left)
    call.record(
        one,
        "config_change",
        f"user permission {permission} {'granted to' if add else 'revoked from'} {email}",
        entity={"type": "user", "name": email},
        mtd={"permission": permission, "action": "add" if add else "remove"},
    )
    return {"success": True}


@table.add("POST", "/v1/orgs/{oid}/users/permissions")
def grant(call: Call) -> object:
    """Grant one permission; nothing happens when it is held."""
    return _change_permission(call, add=True)


@table.add("DELETE", "/v1/orgs/{oid}/users/permissions")
def revoke(call: Call) -> object:
    """Revoke one permission; nothing happens when it is not held (official client 5.10.1)."""
    return _change_permission(call, add=False)


@table.add("PUT", "/v1/orgs/{oid}/users/role")
def set_role(call: Call) -> object:
    """Replace everything that is granted directly by what a role holds."""
    one = call.organization("user.ctrl")
    email, role = _email(call, "email"), _role(call.either("role") or "")
    _granted(call, one, email)
    call.world.access.grant(one, email, catalogue.ROLES[role])
    call.record(
        one,
        "config_change",
        f"role {role} given to {email}",
        entity={"type": "user", "name": email},
        mtd={"role": role, "action": "set"},
    )
    return {"success": True, "role": role, "permissions": list(catalogue.ROLES[role])}


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


@table.add("POST", "/v1/groups")
def create_group(call: Call) -> object:
    """A new group, its creator the owner; others may be called the same."""
    claims = call.user()
    name = (call.either("name") or "").strip()
    if not name:
        raise Refusal(400, "missing parameter name")
    made = call.world.access.make_group(name, claims.ident, call.world.clock() // 1000)
    return {"success": True, "data": {"gid": made.gid}}


@table.add("DELETE", "/v1/groups/{gid}")
def delete_group(call: Call) -> object:
    """The group is gone, and what it gave with it."""
    call.world.access.drop_group(_group(call))
    return {"success": True}


def _log(call: Call, group: Group, action: str, **more: Any) -> None:
    access = call.world.access
    access.log_group(group, action, call.token().ident, call.world.clock() // 1000, **more)


def _people(call: Call, *, owners: bool, add: bool) -> object:
    found = _group(call)
    email = _email(call, "member_email")
    present = found.owners if owners else found.members
    if add:
        invited = _account(call, email)
        changed = present if email in present else (*present, email)
    else:
        if email not in present:
            raise Refusal(404, "user not found")
        invited = False
        changed = tuple(name for name in present if name != email)
        if owners and not changed:
            raise Refusal(400, "a group has at least one owner")
    if changed != present:
        if owners:
            found.owners = changed
        else:
            found.members = changed
        more = {"invite_sent": True} if invited else {}
        act = f"{'add' if add else 'remove'}_{'owner' if owners else 'member'}"
        _log(call, found, act, member_email=email, **more)
    return {"success": True}


@table.add("POST", "/v1/groups/{gid}/users")
def add_member(call: Call) -> object:
    """Let somebody have what the group gives."""
    return _people(call, owners=False, add=True)


@table.add("DELETE", "/v1/groups/{gid}/users")
def remove_member(call: Call) -> object:
    """Take from somebody what the group gives."""
    return _people(call, owners=False, add=False)


@table.add("POST", "/v1/groups/{gid}/owners")
def add_owner(call: Call) -> object:
    """Let somebody manage the group; that gives none of its permissions."""
    return _people(call, owners=True, add=True)


@table.add("DELETE", "/v1/groups/{gid}/owners")
def remove_owner(call: Call) -> object:
    """Let somebody manage the group no more; the last owner stays."""
    return _people(call, owners=True, add=False)


@table.add("POST", "/v1/groups/{gid}/permissions")
def set_permissions(call: Call) -> object:
    """Replace what the group gives."""
    found = _group(call)
    sent = call.form.get("perm") or call.query.get("perm") or []
    wanted = tuple(dict.fromkeys(_permission(name) for name in sent if name))
    before = found.permissions
    found.permissions = wanted
    _log(
        call,
        found,
        "set_permissions",
        perms=list(wanted),
        added=[name for name in wanted if name not in before],
        removed=[name for name in before if name not in wanted],
    )
    return {"success": True}


def _organization_of_group(call: Call) -> tuple[Group, Organization]:
    """The group of the path and the organization that is meant, where the caller has to hold `user.ctrl`.

    A token need not be for that organization: groups lie across them, and the clients ask with whatever
    token they have. So what the caller holds there counts when the token does not speak of it.
    """
    found = _group(call)
    oid = call.either("oid") or ""
    if not oid:
        raise Refusal(400, "missing parameter oid")
    one = call.reach(oid)
    claims = call.token()
    held = claims.permissions.get(one.oid) or call.world.access.permissions(claims.ident, one)
    if "user.ctrl" not in held:
        raise missing("user.ctrl")
    return found, one


@table.add("POST", "/v1/groups/{gid}/orgs")
def add_organization(call: Call) -> object:
    """Let the group give what it gives in one more organization."""
    found, one = _organization_of_group(call)
    if one.index not in found.holds:
        found.holds[one.index] = None
        _log(call, found, "add_org", oid=one.oid)
    return {"success": True}


@table.add("DELETE", "/v1/groups/{gid}/orgs")
def remove_organization(call: Call) -> object:
    """Let the group give nothing in an organization any more."""
    found, one = _organization_of_group(call)
    if one.index not in found.holds:
        raise not_found()
    del found.holds[one.index]
    _log(call, found, "remove_org", oid=one.oid)
    return {"success": True}


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


@table.add("POST", "/v1/orgs/{oid}/keys")
def create_key(call: Call) -> object:
    """A new API key; this answer is the only one with its secret."""
    one = call.organization("apikey.ctrl")
    name, allowed = (call.either("key_name") or "").strip(), (call.either("allowed_ip_range") or "").strip()
    if not name:
        raise Refusal(400, "missing parameter key_name")
    sent = call.form.get("perms") or call.query.get("perms") or []
    wanted = tuple(_permission(each.strip()) for text in sent for each in text.split(",") if each.strip())
    if not wanted:
        raise Refusal(400, "missing parameter perms")
    if allowed:
        try:
            ipaddress.ip_network(allowed, strict=False)
        except ValueError:
            raise Refusal(400, "bad parameter allowed_ip_range") from None
    made = call.world.access.make_key(one, name, wanted, call.token().ident, allowed)
    _note_key(call, one, made, "created", permissions=list(made.permissions), allowed_ip_range=allowed)
    return {"success": True, "api_key": made.secret, "key_hash": made.key_hash}


@table.add("DELETE", "/v1/orgs/{oid}/keys")
def delete_key(call: Call) -> object:
    """Delete a key; tokens that it was exchanged for stay good until they end."""
    one = call.organization("apikey.ctrl")
    wanted = call.either("key_hash") or ""
    if not wanted:
        raise Refusal(400, "missing parameter key_hash")
    found = next((key for key in call.world.access.keys(one) if key.key_hash == wanted), None)
    if found is None:
        raise not_found()
    call.world.access.drop_key(found)
    _note_key(call, one, found, "deleted")
    return {"success": True}


def _note_key(call: Call, one: Organization, key: Key, what: str, **more: Any) -> None:
    # Audit logs know a key by its name.
    call.record(
        one,
        "config_change",
        f"api key {key.name} {what}",
        entity={"type": "api_key", "name": key.name},
        mtd={"key_hash": key.key_hash, "action": what.removesuffix("d"), **more},
    )
