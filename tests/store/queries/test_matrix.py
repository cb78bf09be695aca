"""The matrix from three sides."""

import random
from typing import Any

import pytest

from store import ingest, tree
from store.closure import World
from store.database import Store
from store.models import GroupRole, SyncState
from store.queries import access, matrix
from store.queries.matrix import Pivot, Wanted, parse_filter
from store.resources import levels
from store.text import Untrusted
from tests.helpers.access_worlds import PERMISSIONS, GroupOf, Triple, world_of
from tests.helpers.access_worlds import World as Plain

NOW = 1_795_000_000_000
KIM, LEE, BOSS = "kim@acme.example", "lee@soc.provider.example", "boss@provider.example"

Signs = dict[tuple[str, str, str], str]
"""(kind, line, column) -> sign."""


def signs(pivot: Pivot | None) -> Signs:
    """Every cell that is shown."""
    assert pivot is not None
    shown = {column.key for column in pivot.columns}
    assert all(line.held == len(line.cells) for line in pivot.lines)
    return {
        (line.kind, line.key, column): sign
        for line in pivot.lines
        for column, sign in line.cells.items()
        if column in shown
    }


def sign_of(plain: Plain, principal: str, permission: str, oid: str) -> str:
    paths = plain.paths(principal, permission, oid)
    if (oid, principal) in plain.keys:
        return "K" if paths else ""
    if not paths:
        return ""
    return "G" if ("direct", "") not in paths else "D" if len(paths) == 1 else "B"


def cells_of(plain: Plain) -> dict[Triple, str]:
    """Sign of everything that users and keys have."""
    return {triple: sign_of(plain, *triple) for triple in plain.effective()}


def kind_of(plain: Plain, principal: str) -> str:
    return "user" if principal in plain.people else "key"


# Agreement


@pytest.mark.parametrize("seed", range(4))
def test_all_three_sides_agree_with_every_grant_spelled_out(store: Store, seed: int) -> None:
    plain = world_of(seed + 200, organizations=7, people=9, groups=6)
    plain.put(store, NOW)
    held = cells_of(plain)
    groups = {
        (gid, name, oid): "G"
        for gid, group in plain.groups.items()
        for name in group.permissions
        for oid in group.organizations
    }
    with store.reader.reading() as c:
        for world in (None, World.load(c)):
            for oid in plain.organizations:
                found = signs(matrix.pivot_organization(c, oid, world=world))
                assert found == {
                    (kind_of(plain, who), who, name): sign
                    for (who, name, at), sign in held.items()
                    if at == oid
                } | {("group", gid, name): sign for (gid, name, at), sign in groups.items() if at == oid}
            for principal in plain.principals:
                kind: Any = kind_of(plain, principal)
                pivot = matrix.pivot_principal(c, principal, kind=kind, world=world)
                mine = {
                    ("organization", oid, name): sign
                    for (who, name, oid), sign in held.items()
                    if who == principal
                }
                assert (signs(pivot) if pivot is not None else {}) == mine
            for gid in plain.groups:
                assert signs(matrix.pivot_principal(c, gid, kind="group", world=world)) == {
                    ("organization", oid, name): sign
                    for (who, name, oid), sign in groups.items()
                    if who == gid
                }
            for name in PERMISSIONS:
                assert signs(matrix.pivot_permission(c, name, world=world)) == {
                    (kind_of(plain, who), who, oid): sign
                    for (who, held_name, oid), sign in held.items()
                    if held_name == name
                } | {
                    ("group", gid, oid): sign
                    for (gid, held_name, oid), sign in groups.items()
                    if held_name == name
                }


def test_a_thousand_cells_are_held_by_the_paths_that_the_oracle_has(store: Store) -> None:
    plain = world_of(7, organizations=12, people=15, groups=9)
    plain.put(store, NOW)
    chance = random.Random(4)
    granted = 0
    with store.reader.reading() as c:
        world = World.load(c)
        for _ in range(1000):
            principal, name = chance.choice(plain.principals), chance.choice(PERMISSIONS)
            oid = chance.choice(plain.organizations)
            found = matrix.paths(world, kind_of(plain, principal), principal, name, oid)
            expected = plain.paths(principal, name, oid)
            assert {(("direct", "") if via == "direct" else ("group", via)) for via in found} == expected
            assert world.can(principal, name, oid) == sign_of(plain, principal, name, oid)
            granted += bool(expected)
    assert 100 < granted < 900


def test_the_side_of_an_organization_has_whom_the_matrix_of_one_organization_has(store: Store) -> None:
    plain = world_of(33, organizations=5, people=9, groups=6)
    plain.put(store, NOW)
    with store.reader.reading() as c:
        for oid in plain.organizations:
            one, other = access.matrix(c, oid), matrix.pivot_organization(c, oid)
            assert one is not None
            assert other is not None
            assert [(each.kind, each.principal, each.name, each.mfa) for each in one.principals] == [
                (line.kind, line.key, line.name, line.mfa) for line in other.lines
            ]
            assert [set(each.permissions) for each in one.principals] == [
                set(line.cells) for line in other.lines
            ]
            assert (one.organization, one.checked_at, one.groups) == (
                other.name, other.checked_at, other.groups,
            )  # fmt: skip


# Scope, filter, age


def provider(store: Store) -> Plain:
    """Three customers in two regions, analysts, responders, and a key that sees only what it made."""
    plain = Plain(["o1", "o2", "o3"], [KIM, LEE, BOSS])
    plain.direct["o1", KIM] = {"dr.set", "secret.get.vault"}
    plain.direct["o2", KIM] = set()
    plain.groups["g-soc"] = GroupOf("SOC", {BOSS}, {LEE, KIM}, {"o1", "o2"}, {"sensor.task", "dr.set"})
    plain.groups["g-all"] = GroupOf(
        "Everything", {BOSS}, {BOSS}, {"o1", "o2", "o3"}, {"user.ctrl", "org.get"}
    )
    plain.keys["o3", "h1"] = {"dr.set", "user.ctrl"}
    plain.put(store, NOW)
    with store.writing() as c:
        ingest.put_keys(c, "o3", {"h1": {"name": "ci[segment]", "priv": ["dr.set", "user.ctrl"]}}, now=NOW)
        tree.replace_tree(
            c,
            [
                tree.TreeNode("root", None, "Provider"),
                tree.TreeNode("eu", "root", "Europe"),
                tree.TreeNode("us", "root", "America"),
                tree.TreeNode("n1", "eu", "Acme / Berlin", "o1"),
                tree.TreeNode("n2", "eu", "Zoo", "o2"),
                tree.TreeNode("n3", "us", "Initech", "o3"),
            ],
        )
    return plain


def test_a_scope_limits_the_organizations_and_what_is_counted(store: Store) -> None:
    provider(store)
    with store.reader.reading() as c:
        everything = matrix.pivot_principal(c, BOSS)
        europe = matrix.pivot_principal(c, BOSS, scope="eu")
        permission = matrix.pivot_permission(c, "user.ctrl", scope="us")
        nowhere = matrix.pivot_permission(c, "user.ctrl", scope="no-such-node")
    assert everything is not None
    assert europe is not None
    assert [line.key for line in everything.lines] == ["o3", "o1", "o2"]
    assert [line.path for line in everything.lines] == [
        "America/Initech", "Europe/Acme / Berlin", "Europe/Zoo",
    ]  # fmt: skip
    assert ([line.key for line in europe.lines], europe.organizations, europe.total) == (["o1", "o2"], 2, 2)
    assert [(column.key, column.category) for column in permission.columns] == [("o3", "America")]
    assert [(line.kind, line.key, line.held) for line in permission.lines] == [
        ("user", BOSS, 1), ("group", "g-all", 1), ("key", "h1", 1),
    ]  # fmt: skip
    assert (nowhere.columns, nowhere.lines, nowhere.organizations) == ([], [], 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {KIM, LEE, BOSS, "g-soc", "g-all"}),
        ("kim", {KIM}),
        ("user:KIM", {KIM}),
        ("kind:group", {"g-soc", "g-all"}),
        ("kind:user kind:group", {KIM, LEE, BOSS, "g-soc", "g-all"}),
        ("has:dr.", {KIM, LEE, "g-soc"}),
        ("has:user.ctrl", {BOSS, "g-all"}),
        ("domain:provider.example", {LEE, BOSS}),
        ("domain:@acme.example", {KIM}),
        ("domain:example", {KIM, LEE, BOSS}),
        ("group:soc", {KIM, LEE, "g-soc"}),
        ("group:g-all kind:user", {BOSS}),
        ("role:owner", set()),
        ("perm:sensor", {KIM, LEE, BOSS, "g-soc", "g-all"}),
    ],
)
def test_a_filter_keeps_the_principals_it_asks_for(store: Store, line: str, expected: set[str]) -> None:
    provider(store)
    with store.reader.reading() as c:
        found = matrix.pivot_organization(c, "o1", wanted=parse_filter(line))
    assert found is not None
    assert {each.key for each in found.lines} == expected
    assert found.total == 5
    if line.startswith("perm:"):
        assert [column.key for column in found.columns] == ["sensor.task"]


def test_a_role_is_held_by_who_has_every_permission_of_it(store: Store) -> None:
    plain = Plain(["o1"], [KIM, LEE])
    plain.direct["o1", KIM] = {"org.get", "sensor.list", "dr.set"}
    plain.direct["o1", LEE] = {"org.get"}
    plain.put(store, NOW)
    with store.reader.reading() as c:
        found = matrix.pivot_organization(c, "o1", wanted=parse_filter("role:Basic"))
    assert found is not None
    assert [line.key for line in found.lines] == [KIM]


def test_a_provider_s_own_role_filters_like_one_of_limacharlie_s(store: Store) -> None:
    provider(store)
    role = GroupRole.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        for gid, names, at in (("g-old", ["user.ctrl"], NOW - 1), ("g-soc", ["dr.set", "sensor.task"], NOW)):
            c.execute(
                role.insert(),
                [{"gid": gid, "role": "Analyst", "permissions": names, "file_hash": "x", "applied_at": at}],
            )
    with store.reader.reading() as c:
        assert matrix.own_roles(c) == {"analyst": frozenset({"dr.set", "sensor.task"})}
        found = matrix.pivot_organization(c, "o1", wanted=parse_filter("role:ANALYST", ["Analyst"]))
        mine = matrix.pivot_principal(c, KIM, wanted=parse_filter("role:analyst", ["analyst"]))
    assert found is not None
    assert mine is not None
    assert ([line.key for line in found.lines], found.roles) == ([KIM, LEE, "g-soc"], ("analyst",))
    assert ([line.key for line in mine.lines], mine.roles) == (["o1", "o2"], ("analyst",))
    with pytest.raises(ValueError, match="basic, analyst"):
        parse_filter("role:king", ["Analyst"])


def test_those_who_are_nothing_there_are_shown_where_they_are_wanted(store: Store) -> None:
    provider(store)
    with store.reader.reading() as c:
        world = World.load(c)
        initech = matrix.pivot_organization(c, "o3", world=world, everybody=True)
        kim = matrix.pivot_principal(c, KIM, world=world, everywhere=True)
        key = matrix.pivot_principal(c, "h1", kind="key", world=world, everywhere=True)
        task = matrix.pivot_permission(c, "sensor.task", world=world, everybody=True)
    assert initech is not None
    assert kim is not None
    assert key is not None
    assert [(line.key, line.held) for line in initech.lines if line.kind == "user"] == [
        (BOSS, 2), (KIM, 0), (LEE, 0),
    ]  # fmt: skip
    assert [(line.key, line.held) for line in kim.lines] == [("o3", 0), ("o1", 3), ("o2", 2)]
    assert [line.key for line in key.lines] == ["o3"]
    assert {line.key: line.held for line in task.lines if line.kind != "key"} == {
        KIM: 2, LEE: 2, BOSS: 0, "g-soc": 2, "g-all": 0,
    }  # fmt: skip


def test_the_side_of_a_principal_is_filtered_by_organization_and_by_group(store: Store) -> None:
    provider(store)

    def oids(line: str) -> list[str]:
        with store.reader.reading() as c:
            found = matrix.pivot_principal(c, KIM, wanted=parse_filter(line))
        assert found is not None
        return [each.key for each in found.lines]

    assert oids("") == ["o1", "o2"]
    assert oids("zoo") == ["o2"]
    assert oids("org:europe/a") == ["o1"]
    assert oids("org:o2") == ["o2"]
    assert oids("has:secret.get") == ["o1"]
    assert oids("group:soc") == ["o1", "o2"]
    assert oids("group:everything") == []


def test_the_side_of_a_permission_is_filtered_by_principal_and_by_organization(store: Store) -> None:
    provider(store)

    def found(line: str) -> tuple[list[str], list[str]]:
        with store.reader.reading() as c:
            pivot = matrix.pivot_permission(c, "dr.set", wanted=parse_filter(line))
        return [each.key for each in pivot.lines], [column.key for column in pivot.columns]

    assert found("") == ([KIM, LEE, "g-soc", "h1"], ["o3", "o1", "o2"])
    assert found("kind:key") == (["h1"], ["o3", "o1", "o2"])
    assert found("org:zoo") == ([KIM, LEE, "g-soc"], ["o2"])
    assert found("domain:acme.example") == ([KIM], ["o3", "o1", "o2"])


@pytest.mark.parametrize("line", ["colour:red", "kind:robot", "role:king"])
def test_a_filter_that_means_nothing_says_what_there_is(line: str) -> None:
    with pytest.raises(ValueError, match="use "):
        parse_filter(line)


@pytest.mark.parametrize("line", ["  ", "group:", "perm: user:", '""', "role:''"])
def test_an_empty_filter_wants_everything(line: str) -> None:
    assert parse_filter(line) == Wanted()


def test_quotes_keep_the_spaces_and_colons_of_a_name() -> None:
    line = """group:"SOC L2" role:'Night shift' "key: two" org:"Acme Corp" perm:sensor"""
    assert parse_filter(line, ["Night Shift"]) == Wanted(
        names=("key: two",),
        organizations=("acme corp",),
        permissions=("sensor",),
        groups=("soc l2",),
        roles=("night shift",),
    )
    with pytest.raises(ValueError, match="not closed"):
        parse_filter('group:"SOC L2')


def test_the_flairs_of_a_key_and_the_level_of_what_is_held_are_told(store: Store) -> None:
    provider(store)
    with store.reader.reading() as c:
        initech = matrix.pivot_organization(c, "o3")
        acme = matrix.pivot_organization(c, "o1")
        permission = matrix.pivot_permission(c, "user.ctrl")
    assert initech is not None
    assert acme is not None
    assert [(line.name, line.flairs) for line in initech.lines if line.kind == "key"] == [
        (Untrusted("ci[segment]"), ("segment",))
    ]
    assert [(line.path, line.flairs) for line in permission.lines if line.kind == "key"] == [
        ("America/Initech", ("segment",))
    ]
    kim = next(line for line in acme.lines if line.key == KIM)
    assert [(level.family, level.namespace, level.records) for level in levels(kim.cells)] == [
        ("dr", "general", ()), ("secret", "", (("vault", ("get",)),)),
    ]  # fmt: skip
    assert [column.key for column in initech.columns if column.privileged] == ["user.ctrl"]


def test_organizations_whose_access_is_not_known_are_named_with_the_reason(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        state = SyncState.__table__  # type: ignore[attr-defined]
        c.execute(state.delete().where(state.c.oid == "o1"))
        ingest.put_sync_state(c, "o2", "access", attempted_at=NOW, failure="auth", reason="refused")
    with store.reader.reading() as c:
        found = matrix.pivot_principal(c, KIM)
        scoped = matrix.pivot_permission(c, "dr.set", scope="us")
        one = matrix.pivot_organization(c, "o2")
    assert found is not None
    assert one is not None
    assert {(each.oid, each.checked_at, each.failure, each.reason) for each in found.lacking} == {
        ("o1", None, "", ""), ("o2", NOW, "auth", "refused"),
    }  # fmt: skip
    assert (found.checked_at, scoped.lacking, scoped.checked_at) == (NOW, (), NOW)
    assert (one.lacking[0].reason, one.checked_at) == ("refused", NOW)


def test_one_that_is_gone_does_not_stand_in_for_one_that_was_never_read(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        rows = [{"oid": oid, "name": f"Customer {oid}"} for oid in ("o1", "o2")]
        ingest.put_organizations(c, rows, complete=True, now=NOW + 1)
        state = SyncState.__table__  # type: ignore[attr-defined]
        c.execute(state.delete().where(state.c.oid == "o1"))
    with store.reader.reading() as c:
        found = matrix.pivot_principal(c, KIM)
    assert found is not None
    assert [each.oid for each in found.lacking] == ["o1"]


@pytest.mark.parametrize("most", [0, 500])
def test_many_organizations_of_a_scope_are_asked_about_like_few(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    provider(store)
    monkeypatch.setattr(matrix, "MOST_NAMED", most)
    with store.writing() as c:
        ingest.put_sync_state(c, "o2", "access", attempted_at=NOW, failure="auth", reason="refused")
        ingest.put_sync_state(c, "o3", "access", checked_at=NOW - 5, attempted_at=NOW)
    with store.reader.reading() as c:
        europe, america = (matrix.pivot_permission(c, "dr.set", scope=scope) for scope in ("eu", "us"))
    assert ([each.oid for each in europe.lacking], america.lacking) == (["o2"], ())
    assert america.checked_at == NOW - 5


def test_an_organization_that_is_gone_has_a_matrix_and_is_in_no_other(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        rows = [{"oid": oid, "name": f"Customer {oid}"} for oid in ("o1", "o2")]
        ingest.put_organizations(c, rows, complete=True, now=NOW + 1)
    with store.reader.reading() as c:
        boss = matrix.pivot_principal(c, BOSS)
        assert boss is not None
        assert ([line.key for line in boss.lines], boss.organizations) == (["o1", "o2"], 2)
        assert [column.key for column in matrix.pivot_permission(c, "dr.set").columns] == ["o1", "o2"]
        gone = matrix.pivot_organization(c, "o3")
        assert gone is not None
        assert (gone.name, [line.key for line in gone.lines]) == ("Customer o3", [BOSS, "g-all", "h1"])


def test_what_nobody_knows_is_none(store: Store) -> None:
    provider(store)
    with store.reader.reading() as c:
        assert matrix.pivot_organization(c, "nowhere") is None
        assert matrix.pivot_principal(c, "nobody@example.com") is None
        assert matrix.pivot_principal(c, "g-none", kind="group") is None
        assert matrix.pivot_principal(c, "h-none", kind="key") is None
        assert matrix.pivot_permission(c, "no.such").lines == []
