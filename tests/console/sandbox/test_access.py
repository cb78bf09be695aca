"""Users, permissions, groups and API keys are changed in the sandbox."""

import ipaddress
from typing import Any

import pytest

from console.sandbox import catalogue
from console.sandbox.endpoints.identity import _allowed
from tests.console.sandbox.conftest import Asker

EVER = {"start": 0, "end": 4_000_000_000}
NOBODY = "nobody@elsewhere.example"


@pytest.fixture
async def root(asker: Any) -> str:
    """A token of the root administrator for the first organization."""
    token: str = await asker.token(oid=asker.one.oid)
    return token


async def changed(asker: Asker, method: str, path: str, token: str, **form: str) -> Any:
    """The answer to a change that has to succeed."""
    status, body, _ = await asker.ask(method, path, token, data=form)
    assert status == 200, body
    return body


async def refused(asker: Asker, method: str, path: str, token: str, **form: str) -> tuple[int, str]:
    """Status and error of a change that has to be refused."""
    status, body, _ = await asker.ask(method, path, token, data=form)
    assert status != 200
    return status, body["error"]


async def log(asker: Asker, token: str) -> list[tuple[str, str, str]]:
    """What the audit log holds of changes: actor, message, subject."""
    said = await asker.get(f"/v1/insight/{asker.one.oid}/audit", token, event_type="config_change", **EVER)
    made = [entry for entry in said["events"] if entry["time"] >= asker.world.now_ms]
    return [(entry["ident"], entry["msg"], entry["entity"]["name"]) for entry in made]


def users(asker: Asker) -> str:
    """Where the users of the first organization are."""
    return f"/v1/orgs/{asker.one.oid}/users"


async def direct(asker: Asker, token: str) -> dict[str, list[str]]:
    """What is granted directly."""
    said = await asker.get(f"{users(asker)}/permissions", token)
    rows = {row["email"]: row["perms"] for row in said["direct_users"]}
    assert rows == said["user_permissions"]
    return rows


async def test_a_user_comes_without_privileges_and_goes(asker: Any, root: str) -> None:
    person = asker.world.access.analysts[0]
    assert person not in await direct(asker, root)
    said = await changed(asker, "POST", users(asker), root, email=person)
    assert said == {"success": True, "role": "", "invite_sent": False}
    assert (await direct(asker, root))[person] == []
    assert person in (await asker.get(users(asker), root))["users"]
    await changed(asker, "DELETE", users(asker), root, email=person)
    assert person not in await direct(asker, root)
    assert await refused(asker, "DELETE", users(asker), root, email=person) == (404, "user not found")
    actor = asker.world.access.root
    assert await log(asker, root) == [
        (actor, f"user {person} added", person),
        (actor, f"user {person} removed", person),
    ]


async def test_adding_a_user_again_takes_nothing_away(asker: Any, root: str) -> None:
    person, held = next(iter(asker.world.access.contacts(asker.one)))
    await changed(asker, "POST", users(asker), root, email=person)
    assert (await direct(asker, root))[person] == list(held)
    assert await log(asker, root) == []


async def test_whoever_has_no_account_is_invited_when_that_is_asked_for(asker: Any, root: str) -> None:
    form = {"email": NOBODY, "invite_missing": "false"}
    assert await refused(asker, "POST", users(asker), root, **form) == (404, "user not found")
    assert NOBODY not in await direct(asker, root)
    said = await changed(
        asker, "POST", users(asker), root, **form | {"invite_missing": "True", "role": "viewer"}
    )
    assert said == {"success": True, "role": "Viewer", "invite_sent": True}
    assert (await direct(asker, root))[NOBODY] == list(catalogue.ROLES["Viewer"])
    token = await asker.token(email=NOBODY, oid=asker.one.oid)
    assert (await asker.get("/v1/who", token))["ident"] == NOBODY


@pytest.mark.parametrize("email", ["", "nobody", "@x.example", "a b@x.example"])
async def test_a_user_needs_an_address(asker: Any, root: str, email: str) -> None:
    status, error = await refused(asker, "POST", users(asker), root, email=email, invite_missing="true")
    assert (status, "parameter email" in error) == (400, True)


async def test_a_permission_is_granted_and_revoked_and_tokens_follow(asker: Any, root: str) -> None:
    person, path = asker.world.access.managers[0], f"{users(asker)}/permissions"
    await changed(asker, "POST", users(asker), root, email=person)
    before = set((await asker.get("/v1/who", await asker.token(email=person, oid=asker.one.oid)))["perms"])
    assert "dr.set" not in before
    for _ in range(2):
        await changed(asker, "POST", path, root, email=person, perm="dr.set")
    assert (await direct(asker, root))[person] == ["dr.set"]
    token = await asker.token(email=person, oid=asker.one.oid)
    assert set((await asker.get("/v1/who", token))["perms"]) == before | {"dr.set"}
    wide = await asker.token(email=person, perms="dr.set")
    assert (await asker.get("/v1/who", wide))["user_perms"][asker.one.oid] == ["dr.set"]
    row = (await asker.get("/v1/user/orgs", token, filter=asker.one.oid))["orgs"][0]
    assert set(row["permissions"]) == before | {"dr.set"}
    for _ in range(2):
        await changed(asker, "DELETE", path, root, email=person, perm="dr.set")
    assert (await direct(asker, root))[person] == []
    messages = [message for _, message, _ in await log(asker, root)]
    assert messages[1:] == [
        f"user permission dr.set granted to {person}",
        f"user permission dr.set revoked from {person}",
    ]


async def test_permissions_are_granted_to_users_only_and_have_to_exist(asker: Any, root: str) -> None:
    person, path = next(iter(asker.world.access.contacts(asker.one)))[0], f"{users(asker)}/permissions"
    for permission in ("dr.sett", "secret.get.", "acl.get.key", ".", "org"):
        error = (400, f"unknown permission {permission}")
        assert await refused(asker, "POST", path, root, email=person, perm=permission) == error
    assert (await refused(asker, "POST", path, root, email=person))[0] == 400
    stranger = asker.world.access.analysts[3]
    assert await refused(asker, "POST", path, root, email=stranger, perm="dr.set") == (404, "user not found")
    await changed(asker, "POST", path, root, email=person, perm="secret.get.slack-token")
    assert "secret.get.slack-token" in (await direct(asker, root))[person]


@pytest.mark.parametrize("encoding", ["json", "data"])
@pytest.mark.parametrize("role", list(catalogue.ROLES))
async def test_a_role_replaces_everything_direct(asker: Any, root: str, role: str, encoding: str) -> None:
    person = next(iter(asker.world.access.contacts(asker.one)))[0]
    path = f"{users(asker)}/role"
    await changed(asker, "POST", f"{users(asker)}/permissions", root, email=person, perm="secret.get.x")
    status, body, _ = await asker.ask(
        "PUT", path, root, **{encoding: {"email": person, "role": role.upper()}}
    )
    assert status == 200
    assert body == {"success": True, "role": role, "permissions": list(catalogue.ROLES[role])}
    assert (await direct(asker, root))[person] == list(catalogue.ROLES[role])
    status, body, _ = await asker.ask("PUT", path, root, **{encoding: {"email": person, "role": "King"}})
    assert (status, body["error"]) == (400, "unknown role King")
    status, body, _ = await asker.ask("PUT", path, root, **{encoding: {"email": NOBODY, "role": role}})
    assert (status, body["error"]) == (404, "user not found")


async def test_users_are_changed_with_user_ctrl_only(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get,apikey.ctrl")
    for method, path in (
        ("POST", ""), ("DELETE", ""), ("POST", "/permissions"), ("DELETE", "/permissions"), ("PUT", "/role"),
    ):  # fmt: skip
        status, error = await refused(asker, method, users(asker) + path, token, email=NOBODY)
        assert (status, "user.ctrl" in error) == (401, True)


async def test_somebody_removed_keeps_what_groups_give(asker: Any, root: str) -> None:
    access = asker.world.access
    person = access.analysts[0]
    by_groups = set(access.permissions(person, asker.one))
    await changed(asker, "POST", users(asker), root, email=person, role="Owner")
    assert set(access.permissions(person, asker.one)) == set(catalogue.ALL)
    await changed(asker, "DELETE", users(asker), root, email=person)
    assert set(access.permissions(person, asker.one)) == by_groups


async def test_a_user_sees_an_organization_from_the_day_of_the_invitation_on(asker: Any, root: str) -> None:
    await changed(asker, "POST", users(asker), root, email=NOBODY, invite_missing="true")
    token = await asker.token(email=NOBODY, oid="-")
    rows = (await asker.get("/v1/user/orgs", token))["orgs"]
    assert [(row["oid"], row["permissions"]) for row in rows] == [(asker.one.oid, [])]
    await changed(asker, "DELETE", users(asker), root, email=NOBODY)
    assert await asker.get("/v1/user/orgs", token) == {"orgs": [], "total": 0}


async def test_changes_leave_what_happened_before_in_the_audit_log(asker: Any, root: str) -> None:
    before = await asker.get(f"/v1/insight/{asker.one.oid}/audit", root, **EVER)
    for person in list(await direct(asker, root)):
        if person != asker.world.access.root:
            await changed(asker, "DELETE", users(asker), root, email=person)
    after = await asker.get(f"/v1/insight/{asker.one.oid}/audit", root, **EVER)
    assert after["events"][: len(before["events"])] == before["events"]


async def made_group(asker: Asker, token: str) -> str:
    """The path of a new group."""
    said = await changed(asker, "POST", "/v1/groups", token, name="Nightly")
    assert said["success"] is True
    return f"/v1/groups/{said['data']['gid']}"


async def test_a_group_gives_members_what_it_holds_where_it_holds(asker: Any) -> None:
    access, one = asker.world.access, asker.one
    token = await asker.token(oid="-")
    path = await made_group(asker, token)
    await changed(asker, "POST", f"{path}/users", token, member_email=NOBODY, invite_missing="true")
    # Repeated keys, and the set is replaced.
    for wanted in (["dr.list"], ["org.get", "dr.set", "org.get"]):
        status, _, _ = await asker.ask(
            "POST", f"{path}/permissions", token, data=[("perm", each) for each in wanted]
        )
        assert status == 200
    user = access.users[NOBODY]
    assert (await asker.exchange(uid=user.uid, secret=user.api_key, oid=one.oid))[0] == 401
    await changed(asker, "POST", f"{path}/orgs", token, oid=one.oid)
    said = (await asker.get(path, token))["group"]
    assert said["owners"] == [access.root]
    assert (said["members"], said["perms"]) == ([NOBODY], ["org.get", "dr.set"])
    assert said["orgs"] == [{"org_id": one.oid, "org_name": one.name}]
    member = await asker.token(email=NOBODY, oid=one.oid)
    assert set((await asker.get("/v1/who", member))["perms"]) == {"org.get", "dr.set"}
    rows = (await asker.get("/v1/user/orgs", member))["orgs"]
    assert [row["oid"] for row in rows] == [one.oid]
    people = await asker.get(f"{users(asker)}/permissions", await asker.token(oid=one.oid))
    assert people["from_groups"][user.uid]["groups"] == {said["group_id"]: True}
    assert people["group_info"][said["group_id"]]["name"] == "Nightly"
    await changed(asker, "DELETE", f"{path}/orgs", token, oid=one.oid)
    assert (await asker.exchange(uid=user.uid, secret=user.api_key, oid=one.oid))[0] == 401
    assert (await asker.get("/v1/user/orgs", member))["total"] == 0


async def test_owners_manage_a_group_and_get_nothing_from_it(asker: Any) -> None:
    access, one = asker.world.access, asker.one
    owner = access.managers[1]
    before = set(access.permissions(owner, one))
    token, other = await asker.token(oid="-"), await asker.token(email=owner, oid="-")
    path = await made_group(asker, token)
    assert (await refused(asker, "POST", f"{path}/users", other, member_email=owner))[0] == 401
    await changed(asker, "POST", f"{path}/owners", token, member_email=owner)
    await changed(asker, "POST", f"{path}/permissions", token, perm="secret.get")
    await changed(asker, "POST", f"{path}/orgs", token, oid=one.oid)
    assert set(access.permissions(owner, one)) == before
    gid = path.rpartition("/")[2]
    assert gid in {group["gid"] for group in (await asker.get("/v1/groups", other))["groups"]}
    await changed(asker, "DELETE", f"{path}/owners", other, member_email=access.root)
    assert await refused(asker, "DELETE", f"{path}/owners", other, member_email=owner) == (
        400,
        "a group has at least one owner",
    )
    assert (await refused(asker, "DELETE", path, token))[0] == 401
    await changed(asker, "DELETE", path, other)
    assert (await asker.ask("GET", path, other))[0] == 404


@pytest.mark.parametrize("where", ["data", "params"])
async def test_an_organization_joins_a_group_only_with_user_ctrl_there(asker: Any, where: str) -> None:
    one, manager = asker.one, asker.world.access.managers[0]
    token = await asker.token(email=manager, oid="-")
    path = await made_group(asker, token)
    for method in ("POST", "DELETE"):
        status, body, _ = await asker.ask(method, f"{path}/orgs", token, **{where: {"oid": one.oid}})
        assert (status, "user.ctrl" in body["error"]) == (401, True)
    root = await asker.token(oid=one.oid)
    await changed(asker, "POST", users(asker), root, email=manager)
    await changed(asker, "POST", f"{users(asker)}/permissions", root, email=manager, perm="user.ctrl")
    status, _, _ = await asker.ask("POST", f"{path}/orgs", token, **{where: {"oid": one.oid}})
    assert status == 200
    # A token that was narrowed below that is not enough, whatever its holder may do.
    narrow = await asker.token(email=manager, oid=one.oid, perms="org.get")
    status, body, _ = await asker.ask("DELETE", f"{path}/orgs", narrow, **{where: {"oid": one.oid}})
    assert (status, "user.ctrl" in body["error"]) == (401, True)
    status, _, _ = await asker.ask("DELETE", f"{path}/orgs", token, **{where: {"oid": one.oid}})
    assert status == 200
    unknown = {"oid": "00000000-0000-4000-8000-000000000000"}
    assert (await asker.ask("POST", f"{path}/orgs", token, **{where: unknown}))[0] == 404


async def test_the_group_log_has_every_change_once_with_its_actor(asker: Any) -> None:
    root, one = asker.world.access.root, asker.one
    person = asker.world.access.analysts[0]
    token = await asker.token(oid="-")
    path = await made_group(asker, token)
    for method, where, form in (
        ("POST", "users", {"member_email": person}),
        ("POST", "users", {"member_email": person}),
        ("POST", "owners", {"member_email": person}),
        ("POST", "permissions", {"perm": "dr.list"}),
        ("POST", "orgs", {"oid": one.oid}),
        ("POST", "orgs", {"oid": one.oid}),
        ("DELETE", "orgs", {"oid": one.oid}),
        ("DELETE", "owners", {"member_email": person}),
        ("DELETE", "users", {"member_email": person}),
    ):
        await changed(asker, method, f"{path}/{where}", token, **form)
    logs = (await asker.get(f"{path}/logs", token))["logs"]
    assert [entry["action"] for entry in logs] == [
        "create_group", "add_member", "add_owner", "set_permissions", "add_org", "remove_org",
        "remove_owner", "remove_member",
    ]  # fmt: skip
    assert {entry["actor"] for entry in logs} == {root}
    assert [entry["ts"] for entry in logs] == sorted(entry["ts"] for entry in logs)
    assert logs[0]["ts"] >= asker.world.now
    assert (logs[1]["member_email"], logs[3]["added"], logs[4]["oid"]) == (person, ["dr.list"], one.oid)
    # Groups have logs of their own: the organization's has none of it.
    assert await log(asker, await asker.token(oid=one.oid)) == []


async def test_groups_refuse_strangers_unknown_permissions_and_organization_keys(asker: Any) -> None:
    token = await asker.token(oid="-")
    path = await made_group(asker, token)
    for where in ("users", "owners"):
        form = {"member_email": NOBODY, "invite_missing": "false"}
        assert await refused(asker, "POST", f"{path}/{where}", token, **form) == (404, "user not found")
        assert await refused(asker, "DELETE", f"{path}/{where}", token, **form) == (404, "user not found")
    assert await refused(asker, "POST", f"{path}/permissions", token, perm="no.such") == (
        400,
        "unknown permission no.such",
    )
    assert (await refused(asker, "POST", "/v1/groups", token, name=" "))[0] == 400
    key = asker.world.access.keys(asker.one)[0]
    _, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    for method, where in (("POST", "/v1/groups"), ("DELETE", path), ("POST", f"{path}/users")):
        status, error = await refused(asker, method, where, body["jwt"], name="x", member_email=NOBODY)
        assert (status, "only user-based" in error) == (401, True)


async def test_a_deleted_group_gives_nothing(asker: Any) -> None:
    access = asker.world.access
    group = next(group for group in access.groups if group.name == "SOC L1")
    person = next(
        each for each in group.members if sum(each in other.members for other in access.groups) == 1
    )
    one = next(
        each
        for each in asker.world.organizations
        if person not in access.direct(each) and each is not asker.world.unauthorized
    )
    assert access.permissions(person, one)
    await changed(asker, "DELETE", f"/v1/groups/{group.gid}", await asker.token(oid="-"))
    assert access.permissions(person, one) == ()
    user = access.users[person]
    assert (await asker.exchange(uid=user.uid, secret=user.api_key, oid=one.oid))[0] == 401


def keys(asker: Asker) -> str:
    """Where the API keys of the first organization are."""
    return f"/v1/orgs/{asker.one.oid}/keys"


async def test_a_key_works_at_once_and_is_shown_only_when_it_is_made(asker: Any, root: str) -> None:
    said = await changed(asker, "POST", keys(asker), root, key_name="ci", perms="org.get, dr.list,org.get")
    listed = (await asker.get(keys(asker), root))["api_keys"]
    assert listed[said["key_hash"]] == {
        "name": "ci",
        "priv": ["org.get", "dr.list"],
        "by": asker.world.access.root,
        "oid": asker.one.oid,
        "allowed_ip_range": "",
        "last_used": 0,
    }
    assert said["api_key"] not in str(listed)
    _, body = await asker.exchange(oid=asker.one.oid, secret=said["api_key"])
    who = await asker.get("/v1/who", body["jwt"])
    assert (who["ident"], set(who["perms"])) == ("ci", {"org.get", "dr.list"})
    used = (await asker.get(keys(asker), root))["api_keys"][said["key_hash"]]["last_used"]
    assert used >= asker.world.now


async def test_a_deleted_key_gives_no_token_and_its_tokens_go_on(asker: Any, root: str) -> None:
    said = await changed(asker, "POST", keys(asker), root, key_name="ci", perms="org.get")
    form = {"oid": asker.one.oid, "secret": said["api_key"]}
    _, body = await asker.exchange(**form)
    assert await changed(asker, "DELETE", keys(asker), root, key_hash=said["key_hash"]) == {"success": True}
    assert await asker.exchange(**form) == (401, {"error": "unknown api key"})
    assert (await asker.get(f"/v1/orgs/{asker.one.oid}", body["jwt"]))["oid"] == asker.one.oid
    assert (await refused(asker, "DELETE", keys(asker), root, key_hash=said["key_hash"]))[0] == 404
    actor = asker.world.access.root
    assert await log(asker, root) == [
        (actor, "api key ci created", "ci"),
        (actor, "api key ci deleted", "ci"),
    ]
    audit = await asker.get(f"/v1/insight/{asker.one.oid}/audit", root, **EVER)
    assert said["api_key"] not in str(audit)


async def test_a_key_from_the_seed_is_deleted_like_any_other(asker: Any, root: str) -> None:
    key = asker.world.access.keys(asker.one)[0]
    await changed(asker, "DELETE", keys(asker), root, key_hash=key.key_hash)
    assert key.key_hash not in (await asker.get(keys(asker), root))["api_keys"]
    assert (await asker.exchange(oid=asker.one.oid, secret=key.secret))[0] == 401
    other = asker.world.organizations[1]
    assert len(asker.world.access.keys(other)) >= 2


@pytest.mark.parametrize(
    ("allowed", "status"),
    [("127.0.0.0/8", 200), ("127.0.0.1", 200), ("", 200), ("10.0.0.0/8", 401), ("::1/128", 401)],
)
async def test_a_key_is_good_from_its_addresses_only(
    asker: Any, root: str, allowed: str, status: int
) -> None:
    form = {"key_name": "ci", "perms": "org.get", "allowed_ip_range": allowed}
    said = await changed(asker, "POST", keys(asker), root, **form)
    answer = await asker.exchange(oid=asker.one.oid, secret=said["api_key"])
    assert answer[0] == status
    assert ("source address" in answer[1].get("error", "")) is (status == 401)


def test_an_address_is_the_same_in_both_notations() -> None:
    assert ipaddress.ip_address("::ffff:127.0.0.1").version == 6
    assert _allowed("::ffff:127.0.0.1", "127.0.0.0/8")
    assert _allowed("::1", "::1/128")
    assert not _allowed("::1", "127.0.0.0/8")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"perms": "org.get"}, "missing parameter key_name"),
        ({"key_name": "ci"}, "missing parameter perms"),
        ({"key_name": "ci", "perms": " , "}, "missing parameter perms"),
        ({"key_name": "ci", "perms": "org.get,no.such"}, "unknown permission no.such"),
        (
            {"key_name": "ci", "perms": "org.get", "allowed_ip_range": "home"},
            "bad parameter allowed_ip_range",
        ),
    ],
)
async def test_a_key_needs_a_name_permissions_and_a_good_range(
    asker: Any, root: str, form: dict[str, str], error: str
) -> None:
    before = asker.world.access.keys(asker.one)
    assert await refused(asker, "POST", keys(asker), root, **form) == (400, error)
    assert asker.world.access.keys(asker.one) == before


async def test_keys_are_changed_with_apikey_ctrl_only(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get,user.ctrl")
    for method in ("POST", "DELETE"):
        status, error = await refused(asker, method, keys(asker), token, key_name="ci", perms="org.get")
        assert (status, "apikey.ctrl" in error) == (401, True)


async def test_changes_of_a_key_stand_under_the_keys_name(asker: Any) -> None:
    key = asker.world.access.keys(asker.one)[0]
    _, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    await changed(asker, "POST", keys(asker), body["jwt"], key_name="second", perms="org.get")
    root = await asker.token(oid=asker.one.oid)
    assert await log(asker, root) == [(key.name, "api key second created", "second")]
    assert (asker.world.access.keys(asker.one)[-1].by) == key.name
