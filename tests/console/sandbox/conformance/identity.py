"""Tokens, who one is, and what a refusal looks like."""

from console.sandbox import catalogue
from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

NOBODY = "00000000-0000-4000-8000-000000000000"
JWT, WHO = "POST /", "GET /v1/who"


@probe({JWT: "jwt"})
def a_good_key_authenticates(it: Stage) -> None:
    assert "Authentication successful" in it.text("auth", "test")


@probe({JWT: "error"})
def a_wrong_key_ends_with_2_and_is_told_so(it: Stage) -> None:
    for arguments in (("auth", "test"), ("org", "info"), ("sensor", "list")):
        said = it.run(*arguments, LC_API_KEY=NOBODY)
        assert said.code == 2
        assert "unknown api key" in said.everything


@probe({"GET /v1/orgs/{oid}/keys": "error"})
def a_key_without_the_permission_is_told_its_name_after_a_second_token(it: Stage) -> None:
    connector = next(key for key in it.world.access.keys(it.one) if not key.allowed_ip_range)
    before = it.sandbox.endpoints()
    said = it.run("api-key", "list", LC_UID="", LC_API_KEY=connector.secret)
    after = it.sandbox.endpoints()
    assert said.code == 2
    assert "apikey.ctrl" in said.everything
    for endpoint in (JWT, "GET /v1/orgs/{oid}/keys"):
        assert after[endpoint] - before.get(endpoint, 0) == 2


@probe({WHO: "ident orgs perms"})
def whoami_shows_every_permission(it: Stage) -> None:
    said = it.json("auth", "whoami", "--show-perms")
    assert said["ident"] == it.world.access.root
    assert said["orgs"] == [it.one.oid]
    assert set(said["perms"].split(", ")) == set(catalogue.ALL)


@probe({WHO: "ident perms", "GET /v1/orgs/{oid}": "name"})
def an_organization_key_sees_its_organization(it: Stage) -> None:
    key = it.world.access.keys(it.one)[0]
    credentials = {"LC_UID": "", "LC_API_KEY": key.secret}
    assert it.json("org", "info", **credentials)["name"] == it.one.name
    said = it.json("auth", "whoami", "--show-perms", **credentials)
    assert said["ident"] == key.name
    assert set(said["perms"].split(", ")) == set(key.permissions)


@probe({WHO: "orgs.* perms.*"})
def the_sdk_tests_for_a_permission_by_asking_who_it_is(it: Stage) -> None:
    assert it.sdk("client.request('GET', 'who')")["orgs"] == [it.one.oid]
    assert "dr.set" in it.sdk("org.who_am_i()")["perms"]
    connector = next(key for key in it.world.access.keys(it.one) if not key.allowed_ip_range)
    held = it.sdk("org.who_am_i()", LC_UID="", LC_API_KEY=connector.secret)["perms"]
    assert set(held) == set(connector.permissions)


@probe({WHO: "user_perms user_perms.*.*"})
def a_token_for_everything_tells_the_permissions_by_organization(it: Stage) -> None:
    contact = it.world.access.users[it.world.access.contacts(it.one)[0][0]]
    said = it.sdk(
        "(setattr(client, '_jwt', client.mint_jwt()), client.request('GET', 'who'))[1]",
        LC_UID=contact.uid,
        LC_API_KEY=contact.api_key,
    )
    assert said["ident"] == contact.email
    assert set(said["user_perms"]) == {it.one.oid}
    assert set(said["user_perms"][it.one.oid]) == set(it.world.access.direct(it.one)[contact.email])


@probe({JWT: "jwt"})
def a_token_for_too_many_organizations_is_refused_with_413(it: Stage) -> None:
    said = it.sdk_whatever("(setattr(client, '_jwt', client.mint_jwt()), client.request('GET', 'who'))[1]")
    assert (said["error"], said["status"]) == ("ApiError", 413)
    assert "Payload too large" in said["message"]


@probe({"GET /v1/orgs/{oid}": "error", "GET /v1/sensors/{oid}": "error"})
def the_refusing_organization_is_listed_and_refuses(it: Stage) -> None:
    refusing = it.world.unauthorized
    assert refusing is not None
    assert refusing.oid in {row["oid"] for row in it.json("org", "list")}
    for arguments in (("org", "info"), ("sensor", "list")):
        said = it.run(*arguments, LC_OID=refusing.oid)
        assert said.code == 2
        assert "unauthorized" in said.everything


@probe({"GET /v1/orgs/{oid}": "error"})
def an_organization_that_is_not_there_ends_with_3(it: Stage) -> None:
    said = it.run("api", f"orgs/{NOBODY}")
    assert said.code in (3, 4)
    assert "not found" in said.everything
    answer = it.sdk_whatever("client.request('GET', 'orgs/' + nobody)", nobody=NOBODY)
    assert (answer["error"], answer["status"]) == ("NotFoundError", 404)
