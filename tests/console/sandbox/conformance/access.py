"""Users, groups, keys."""

import json

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

USERS, PERMISSIONS = "GET /v1/orgs/{oid}/users", "GET /v1/orgs/{oid}/users/permissions"
GROUPS, GROUP, KEYS = "GET /v1/groups", "GET /v1/groups/{gid}", "GET /v1/orgs/{oid}/keys"


@probe({USERS: "users users.*"})
def users_are_listed(it: Stage) -> None:
    direct = it.world.access.direct(it.one)
    assert len(direct) >= 2
    assert set(it.json("user", "list")) == set(direct)


@probe({PERMISSIONS: "user_permissions user_permissions.* user_permissions.*.*"})
def direct_permissions_are_listed(it: Stage) -> None:
    said = it.json("user", "permissions", "list")
    assert {email: tuple(held) for email, held in said.items()} == it.world.access.direct(it.one)


@probe({PERMISSIONS: "group_info group_info.*.perms from_groups direct_users"})
def permissions_from_groups_are_told_apart(it: Stage) -> None:
    said = it.sdk("client.request('GET', f'orgs/{org.oid}/users/permissions')")
    groups = {
        group.gid: set(group.permissions)
        for group in it.world.access.groups
        if it.one.index in group.organizations
    }
    assert groups
    assert {gid: set(about["perms"]) for gid, about in said["group_info"].items()} == groups
    assert {row["email"] for row in said["direct_users"]} == set(it.world.access.direct(it.one))
    assert all(set(row["groups"]) <= set(groups) for row in said["from_groups"].values())


@probe({GROUPS: "groups groups.*.gid groups.*.name"})
def groups_are_listed(it: Stage) -> None:
    groups = it.world.access.groups
    assert len(groups) >= 8
    listed = it.json("group", "list")
    assert {(row["gid"], row["name"]) for row in listed} >= {(group.gid, group.name) for group in groups}


@probe(
    {
        GROUP: "group group.name group.members group.owners group.perms group.orgs "
        "group.orgs.*.org_id group.orgs.*.org_name"
    }
)
def a_group_is_shown_whole(it: Stage) -> None:
    leaking = next(group for group in it.world.access.groups if group.name == "Active Responders")
    said = it.json("group", "get", "--id", leaking.gid)["group"]
    assert said["name"] == leaking.name
    assert tuple(said["members"]) == leaking.members
    assert it.world.access.leaked in said["members"]
    assert not it.world.access.leaked.endswith("northlight.example")
    assert tuple(said["owners"]) == leaking.owners
    assert tuple(said["perms"]) == leaking.permissions
    organizations = [it.world.organizations[index] for index in leaking.organizations]
    assert said["orgs"] == [{"org_id": one.oid, "org_name": one.name} for one in organizations]


@probe(
    {
        KEYS: "api_keys "
        + " ".join(f"api_keys.*.{name}" for name in ("name", "priv", "by", "allowed_ip_range", "last_used"))
    }
)
def api_keys_show_everything_but_the_key(it: Stage) -> None:
    keys = it.world.access.keys(it.one)
    assert len(keys) >= 3
    text = it.text("api-key", "list", "--output", "json")
    said = json.loads(text)
    assert set(said) == {key.key_hash for key in keys}
    for key in keys:
        row = said[key.key_hash]
        assert (row["name"], tuple(row["priv"]), row["by"]) == (key.name, key.permissions, key.by)
        assert (row["allowed_ip_range"], row["last_used"]) == (key.allowed_ip_range, key.last_used)
        assert key.secret not in text
