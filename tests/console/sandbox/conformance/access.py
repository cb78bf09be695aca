"""Users, groups, keys."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

USERS, PERMISSIONS = "GET /v1/orgs/{oid}/users", "GET /v1/orgs/{oid}/users/permissions"
GROUPS, GROUP, KEYS = "GET /v1/groups", "GET /v1/groups/{gid}", "GET /v1/orgs/{oid}/keys"
WHO = "GET /v1/who"


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
    # No other probe uses the keys of this one.
    one = it.spare(41)
    keys = it.world.access.keys(one)
    assert len(keys) >= 3
    text = it.text("api-key", "list", "--output", "json", LC_OID=one.oid)
    said = json.loads(text)
    assert set(said) == {key.key_hash for key in keys}
    for key in keys:
        row = said[key.key_hash]
        assert (row["name"], tuple(row["priv"]), row["by"]) == (key.name, key.permissions, key.by)
        assert row["allowed_ip_range"] == key.allowed_ip_range
        assert row["last_used"] >= key.last_used
        assert key.secret not in text


@probe(
    {
        "POST /v1/orgs/{oid}/users": "(the effect) success",
        USERS: "users users.*",
        PERMISSIONS: "user_permissions",
    }
)
def a_user_is_invited_without_permissions(it: Stage) -> None:
    oid, email = it.spare(0).oid, f"{it.name('guest')}@guests.example"
    said = it.json("user", "invite", "--email", email, LC_OID=oid)
    assert said["success"] is True
    assert email in it.json("user", "list", LC_OID=oid)
    assert it.json("user", "permissions", "list", LC_OID=oid)[email] == []
    it.json("user", "remove", "--email", email, "--confirm", LC_OID=oid)


@probe({"DELETE /v1/orgs/{oid}/users": "(the effect)", USERS: "users"})
def a_user_is_removed_with_all_permissions(it: Stage) -> None:
    one, email = it.spare(0), f"{it.name('guest')}@guests.example"
    oid = one.oid
    it.json("user", "invite", "--email", email, LC_OID=oid)
    it.json("user", "permissions", "add", "--email", email, "--permission", "dr.list", LC_OID=oid)
    it.json("user", "remove", "--email", email, "--confirm", LC_OID=oid)
    users = it.json("user", "list", LC_OID=oid)
    assert email not in users
    assert set(it.world.access.direct(one)) <= set(users)
    assert email not in it.json("user", "permissions", "list", LC_OID=oid)


@probe(
    {
        "POST /v1/orgs/{oid}/users/permissions": "(the effect)",
        "DELETE /v1/orgs/{oid}/users/permissions": "(the effect)",
        PERMISSIONS: "user_permissions user_permissions.*.*",
    }
)
def a_permission_is_granted_and_taken_back(it: Stage) -> None:
    oid, email = it.spare(1).oid, f"{it.name('guest')}@guests.example"
    it.json("user", "invite", "--email", email, LC_OID=oid)
    change = ("user", "permissions")
    for permission in ("dr.list", "dr.set"):
        it.json(*change, "add", "--email", email, "--permission", permission, LC_OID=oid)
    assert set(it.json(*change, "list", LC_OID=oid)[email]) == {"dr.list", "dr.set"}
    it.json(*change, "remove", "--email", email, "--permission", "dr.set", LC_OID=oid)
    assert it.json(*change, "list", LC_OID=oid)[email] == ["dr.list"]
    it.json("user", "remove", "--email", email, "--confirm", LC_OID=oid)


@probe(
    {
        "PUT /v1/orgs/{oid}/users/role": "(the effect) role permissions permissions.*",
        PERMISSIONS: "user_permissions.*",
    }
)
def a_role_replaces_all_permissions(it: Stage) -> None:
    oid, email = it.spare(2).oid, f"{it.name('guest')}@guests.example"
    it.json("user", "invite", "--email", email, LC_OID=oid)
    it.json("user", "permissions", "add", "--email", email, "--permission", "billing.ctrl", LC_OID=oid)
    sizes = []
    for role in ("Basic", "Viewer", "Operator", "Administrator", "Owner"):
        said = it.json("user", "permissions", "set-role", "--email", email, "--role", role, LC_OID=oid)
        assert said["role"] == role
        held = it.json("user", "permissions", "list", LC_OID=oid)[email]
        assert set(held) == set(said["permissions"])
        sizes.append(len(held))
        assert ("billing.ctrl" in held) is (role == "Owner")
    assert sizes == sorted(set(sizes))
    it.json("user", "remove", "--email", email, "--confirm", LC_OID=oid)


@probe({"POST /v1/orgs/{oid}/users/permissions": "(the effect)", WHO: "perms"})
def a_person_has_what_was_granted_with_the_next_token(it: Stage) -> None:
    one = it.spare(3)
    contact = it.world.access.users[it.world.access.contacts(one)[0][0]]
    held = set(it.world.access.direct(one)[contact.email])
    permission = next(name for name in ("payload.ctrl", "job.ctrl", "module.update") if name not in held)
    ask = {"LC_UID": contact.uid, "LC_API_KEY": contact.api_key}
    it.json(
        "user", "permissions", "add", "--email", contact.email, "--permission", permission, LC_OID=one.oid
    )
    assert set(it.sdk("org.who_am_i()", one.oid, **ask)["perms"]) == held | {permission}
    it.json(
        "user", "permissions", "remove", "--email", contact.email, "--permission", permission, LC_OID=one.oid
    )
    assert set(it.sdk("org.who_am_i()", one.oid, **ask)["perms"]) == held


@contextmanager
def group(it: Stage) -> Iterator[str]:
    """A group that the client makes and, at the end, deletes: its id."""
    gid = it.json("group", "create", "--name", it.name("Group"))["data"]["gid"]
    try:
        yield gid
    finally:
        it.json("group", "delete", "--id", gid, "--confirm")


@probe(
    {
        "POST /v1/groups": "data data.gid (the effect)",
        GROUP: "group.name group.owners",
        "DELETE /v1/groups/{gid}": "(the effect)",
    }
)
def a_group_is_made_and_deleted(it: Stage) -> None:
    name = it.name("Group")
    gid = it.json("group", "create", "--name", name)["data"]["gid"]
    said = it.json("group", "get", "--id", gid)["group"]
    assert (said["name"], said["owners"], said["perms"]) == (name, [it.world.access.root], [])
    it.json("group", "delete", "--id", gid, "--confirm")
    assert gid not in {row["gid"] for row in it.json("group", "list")}
    assert it.run("group", "get", "--id", gid).code == 3


@probe(
    {
        "POST /v1/groups/{gid}/users": "(the effect)",
        "DELETE /v1/groups/{gid}/users": "(the effect)",
        "POST /v1/groups/{gid}/owners": "(the effect)",
        "DELETE /v1/groups/{gid}/owners": "(the effect)",
        GROUP: "group.members group.owners",
    }
)
def members_and_owners_come_and_go(it: Stage) -> None:
    member, owner = it.world.access.administrators[1], it.world.access.administrators[2]
    with group(it) as gid:
        it.json("group", "member-add", "--gid", gid, "--email", member)
        it.json("group", "owner-add", "--gid", gid, "--email", owner)
        said = it.json("group", "get", "--id", gid)["group"]
        assert said["members"] == [member]
        assert set(said["owners"]) == {it.world.access.root, owner}
        it.json("group", "member-remove", "--gid", gid, "--email", member)
        it.json("group", "owner-remove", "--gid", gid, "--email", owner)
        said = it.json("group", "get", "--id", gid)["group"]
        assert (said["members"], said["owners"]) == ([], [it.world.access.root])


@probe(
    {
        "POST /v1/groups/{gid}/permissions": "(the effect)",
        "POST /v1/groups/{gid}/orgs": "(the effect)",
        "DELETE /v1/groups/{gid}/orgs": "(the effect)",
        GROUP: "group.perms group.orgs.*.org_id",
        WHO: "perms",
    }
)
def a_group_adds_its_permissions_to_its_members_in_its_organizations(it: Stage) -> None:
    one = it.spare(4)
    contact = it.world.access.users[it.world.access.contacts(one)[0][0]]
    held = set(it.world.access.direct(one)[contact.email])
    ask = {"LC_UID": contact.uid, "LC_API_KEY": contact.api_key}
    with group(it) as gid:
        it.json("group", "permissions-set", "--gid", gid, "--permissions", "payload.ctrl,job.ctrl")
        it.json("group", "permissions-set", "--gid", gid, "--permissions", "payload.ctrl,module.update")
        it.json("group", "org-add", "--gid", gid, "--oid", one.oid)
        it.json("group", "member-add", "--gid", gid, "--email", contact.email)
        said = it.json("group", "get", "--id", gid)["group"]
        assert set(said["perms"]) == {"payload.ctrl", "module.update"}
        assert [row["org_id"] for row in said["orgs"]] == [one.oid]
        now = set(it.sdk("org.who_am_i()", one.oid, **ask)["perms"])
        assert now == held | {"payload.ctrl", "module.update"}
        it.json("group", "org-remove", "--gid", gid, "--oid", one.oid)
        assert it.json("group", "get", "--id", gid)["group"]["orgs"] == []
        assert set(it.sdk("org.who_am_i()", one.oid, **ask)["perms"]) == held


@probe({"GET /v1/groups/{gid}/logs": "logs logs.*.action", "POST /v1/groups/{gid}/users": "(the effect)"})
def a_group_logs_what_was_done_to_it(it: Stage) -> None:
    with group(it) as gid:
        before = it.json("group", "logs", "--gid", gid)
        it.json("group", "member-add", "--gid", gid, "--email", it.world.access.administrators[1])
        after = it.json("group", "logs", "--gid", gid)
        rows = after["logs"] if isinstance(after, dict) else after
        earlier = before["logs"] if isinstance(before, dict) else before
        assert len(rows) == len(earlier) + 1
        assert all(row["action"] for row in rows)
        assert it.world.access.administrators[1] in json.dumps(rows)


@probe(
    {"GET /v1/groups/concurrent": "groups groups.*.name groups.*.group_id groups.*.members groups.*.perms"}
)
def groups_are_listed_with_everything_in_them(it: Stage) -> None:
    said = it.sdk("client.request('GET', 'groups/concurrent')")["groups"]
    rows = {row["group_id"]: row for row in said}
    for one in it.world.access.groups:
        row = rows[one.gid]
        assert row["name"] == one.name
        assert (tuple(row["members"]), tuple(row["perms"])) == (one.members, one.permissions)


@probe({GROUPS: "error"})
def groups_are_no_business_of_an_organizations_key(it: Stage) -> None:
    said = it.run("group", "list", LC_UID="", LC_API_KEY=it.world.access.keys(it.one)[0].secret)
    assert said.code == 2
    assert "user-based identities" in said.everything


@probe(
    {
        "POST /v1/orgs/{oid}/keys": "api_key key_hash (the effect)",
        "DELETE /v1/orgs/{oid}/keys": "(the effect)",
        KEYS: "api_keys api_keys.*.name api_keys.*.priv",
        WHO: "ident perms",
    }
)
def a_key_is_made_used_and_deleted(it: Stage) -> None:
    oid, name = it.spare(5).oid, it.name("key")
    made = it.json("api-key", "create", "--name", name, "--permissions", "dr.list,org.get", LC_OID=oid)
    row = it.json("api-key", "list", LC_OID=oid)[made["key_hash"]]
    assert (row["name"], set(row["priv"])) == (name, {"dr.list", "org.get"})
    assert made["api_key"] not in it.text("api-key", "list", LC_OID=oid)
    said = it.sdk("org.who_am_i()", oid, LC_UID="", LC_API_KEY=made["api_key"])
    assert (said["ident"], set(said["perms"])) == (name, {"dr.list", "org.get"})
    it.json("api-key", "delete", "--key-hash", made["key_hash"], "--confirm", LC_OID=oid)
    assert made["key_hash"] not in it.json("api-key", "list", LC_OID=oid)
    refused = it.run("org", "info", LC_OID=oid, LC_UID="", LC_API_KEY=made["api_key"])
    assert refused.code == 2
    assert "unknown api key" in refused.everything


@probe({"POST /v1/orgs/{oid}/keys": "(the effect)", KEYS: "api_keys.*.allowed_ip_range"})
def a_key_is_bound_to_addresses(it: Stage) -> None:
    oid, name = it.spare(5).oid, it.name("key")
    made = it.sdk(
        "client.request('POST', f'orgs/{org.oid}/keys', params={'key_name': name, 'perms': 'org.get', "
        "'allowed_ip_range': '203.0.113.0/24'})",
        oid,
        name=name,
    )
    row = it.json("api-key", "list", LC_OID=oid)[made["key_hash"]]
    assert row["allowed_ip_range"] == "203.0.113.0/24"
    assert it.run("org", "info", LC_OID=oid, LC_UID="", LC_API_KEY=made["api_key"]).code == 2
    it.json("api-key", "delete", "--key-hash", made["key_hash"], "--confirm", LC_OID=oid)


@probe({"POST /v1/orgs/{oid}/keys": "api_key", "GET /v1/hive/{hive}/{oid}/{key}/data": "data.secret"})
def a_new_key_is_kept_as_a_secret_in_one_step(it: Stage) -> None:
    oid, name = it.spare(5).oid, it.name("key")
    made = it.json(
        "api-key", "create", "--name", name, "--permissions", "org.get", "--store-secret", name, LC_OID=oid
    )
    stored = it.json("secret", "get", "--key", name, LC_OID=oid)
    assert stored["data"]["secret"] == made["api_key"]
    it.json("secret", "delete", "--key", name, "--confirm", LC_OID=oid)
    it.json("api-key", "delete", "--key-hash", made["key_hash"], "--confirm", LC_OID=oid)


INGESTION = "/v1/insight/{oid}/ingestion_keys"


@probe(
    {
        f"GET {INGESTION}": "keys keys.*",
        f"POST {INGESTION}": "key (the effect)",
        f"DELETE {INGESTION}": "(the effect)",
    }
)
def an_ingestion_key_is_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(6).oid, it.name("ingest")
    made = it.sdk("org.create_ingestion_key(name)", oid, name=name)
    listed = it.sdk("org.get_ingestion_keys()", oid)
    keys = listed.get("keys", listed)
    assert keys[name] == made["key"]
    it.sdk("org.delete_ingestion_key(name)", oid, name=name)
    listed = it.sdk("org.get_ingestion_keys()", oid)
    assert name not in listed.get("keys", listed)
