"""What was granted once is kept by whoever writes access, and asked for as of any time since."""

import ast
import random
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select, text
from sqlmodel import SQLModel

from store import accesshistory, forgetting, ingest, retention, tree
from store.access import explain, who
from store.closure import World
from store.database import Store, open_engine
from store.maintenance import _migrate
from store.queries.access import facts, find_principal, is_permission, matrix
from store.queries.matrix import pivot_organization, pivot_permission
from store.schema import REVISIONS
from tests.helpers import access_worlds
from tests.helpers.access_worlds import PERMISSIONS, GroupOf, Triple, world_of
from tests.helpers.soak import examples

NOW = 1_795_000_000_000
DAY = 86_400_000
OID, OTHER = "org-0", "org-1"
TABLES = SQLModel.metadata.tables
GROUP: dict[str, Any] = {
    "group_id": "g1", "name": "SOC", "owners": ["boss@p.example"], "members": ["ann@p.example", "bob@p.example"],
    "perms": ["dr.set", "dr.list"], "orgs": [{"org_id": OID}, {"org_id": OTHER}],
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "user_permissions": {"kim@acme.example": ["org.get"]},
    "from_groups": {"eve@msp.example": {"groups": {"g9": True}}},
    "group_info": {"g9": {"name": "Another's", "perms": ["sensor.task"], "owners": ["own@msp.example"]}},
}
KEY: dict[str, Any] = {"name": "ci", "priv": ["dr.set"], "by": "ann@p.example", "last_used": 1_795_000_000}


def _facts(c: Connection) -> dict[tuple[Any, ...], int]:
    """Every row that grants something now, as `access_former` would have it -> since when."""
    found = {}
    for name in accesshistory.WATCHED:
        for row in c.execute(select(TABLES[name])):
            found[tuple(sorted((k, str(v)) for k, v in accesshistory.former(name, row._mapping).items()))] = (
                row.valid_from
            )
    return found


def _ended(c: Connection) -> dict[tuple[Any, ...], tuple[int, int]]:
    found = {}
    for row in c.execute(select(accesshistory.FORMER)):
        said = {k: v for k, v in row._mapping.items() if k not in ("id", "valid_from", "valid_to")}
        found[tuple(sorted((k, str(v)) for k, v in said.items()))] = (row.valid_from, row.valid_to)
    return found


WRITERS: dict[str, Callable[[Connection, int], object]] = {
    "users change": lambda c, now: ingest.put_access(
        c, OID, ANSWER | {"user_permissions": {"kim@acme.example": ["org.get", "dr.set"]}}, now=now
    ),
    "users go": lambda c, now: ingest.put_access(c, OID, ANSWER | {"user_permissions": {}}, now=now),
    "another's group goes": lambda c, now: ingest.put_access(
        c, OID, {"user_permissions": ANSWER["user_permissions"]}, now=now
    ),
    "another's group is otherwise": lambda c, now: ingest.put_access(
        c, OID, ANSWER | {"from_groups": {}, "group_info": {"g9": {"name": "New", "perms": []}}}, now=now
    ),
    "a group is called otherwise": lambda c, now: ingest.put_group(c, GROUP | {"name": "SOC L2"}, now=now),
    "a group gives otherwise": lambda c, now: ingest.put_group(c, GROUP | {"perms": ["dr.list"]}, now=now),
    "members come and go": lambda c, now: ingest.put_group(
        c, GROUP | {"members": ["bob@p.example", "eva@p.example"], "owners": []}, now=now
    ),
    "organizations come and go": lambda c, now: ingest.put_group(
        c, GROUP | {"orgs": [{"org_id": OTHER}, {"org_id": "org-2"}]}, now=now
    ),
    "all groups are listed no more": lambda c, now: ingest.put_groups(c, [], now=now),
    "a group is deleted": lambda c, now: ingest.drop_group(c, "g1", now=now),
    "a key may otherwise": lambda c, now: ingest.put_keys(c, OID, {"h1": KEY | {"priv": []}}, now=now),
    "a key is called otherwise": lambda c, now: ingest.put_keys(c, OID, {"h1": KEY | {"name": "x"}}, now=now),
    "a key is bound to a range": lambda c, now: ingest.put_keys(
        c, OID, {"h1": KEY | {"allowed_ip_range": "192.0.2.0/24"}}, now=now
    ),
    "keys go and come": lambda c, now: ingest.put_keys(c, OID, {"h2": KEY}, now=now),
}  # fmt: skip


@pytest.fixture
def begun(store: Store) -> Store:
    """Read once."""
    with store.writing() as c:
        ingest.put_groups(c, [GROUP], now=NOW)
        ingest.put_access(c, OID, ANSWER, now=NOW)
        ingest.put_keys(c, OID, {"h1": KEY}, now=NOW)
    return store


@pytest.mark.parametrize("what", WRITERS)
def test_whoever_writes_access_leaves_what_was(begun: Store, what: str) -> None:
    with begun.writing() as c:
        before = _facts(c)
        assert set(before.values()) == {NOW}
        assert _ended(c) == {}
        WRITERS[what](c, NOW + DAY)
        after, ended = _facts(c), _ended(c)
    assert before.keys() != after.keys(), "the writer changes nothing, and this test shows nothing"
    assert ended == {fact: (NOW, NOW + DAY) for fact in before.keys() - after.keys()}
    assert {fact: NOW if fact in before else NOW + DAY for fact in after} == after


def test_what_did_not_change_is_not_touched(begun: Store) -> None:
    written: list[str] = []
    with begun.writing() as c:
        event.listen(c, "before_cursor_execute", lambda *args: written.append(args[2]))
        assert ingest.put_groups(c, [GROUP], now=NOW + DAY) == 0
        assert ingest.put_access(c, OID, ANSWER, now=NOW + DAY) == 0
        assert ingest.put_keys(c, OID, {"h1": KEY}, now=NOW + DAY) == 0
    assert written
    assert {each.split(maxsplit=1)[0] for each in written} == {"SELECT"}


def test_that_a_key_was_used_is_no_other_key(begun: Store) -> None:
    with begun.writing() as c:
        before = _facts(c)
        assert ingest.put_keys(c, OID, {"h1": KEY | {"last_used": 1_795_009_999}}, now=NOW + DAY) == 1
        assert (_facts(c), _ended(c)) == (before, {})


def test_nobody_else_writes_these_tables() -> None:
    """Another writer would lose what was: what it needs is a function of `store.ingest`."""
    root = Path(__file__).parents[2]
    names = {"DirectPermission", "Group", "GroupMember", "GroupOrganization", "ApiKey", "AccessFormer"}
    whole = {"store/ingest.py", "store/accesshistory.py", "store/forgetting.py", "store/retention.py"}
    found = []
    for path in sorted(
        [*root.glob("store/**/*.py"), *root.glob("console/**/*.py"), *root.glob("screens/**/*.py")]
    ):
        tree_ = ast.parse(path.read_text())
        known = set(names)
        for node in ast.walk(tree_):  # _GROUP: Table = models.Group.__table__
            if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
                said = ast.unparse(node.value)
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(said.endswith(f"{name}.__table__") for name in names):
                    known.update(each.id for each in targets if isinstance(each, ast.Name))
        for node in ast.walk(tree_):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                verb, about = (
                    node.func.id,
                    ast.unparse(node.args[-1] if node.func.id == "_insert" else node.args[0]),
                )
                about = about.removesuffix(".__table__").rpartition("models.")[2]
                if verb in ("insert", "update", "delete", "_insert") and about in known:
                    found.append(str(path.relative_to(root)))
    assert set(found) <= whole, "store.ingest alone writes them, through store.accesshistory"
    assert "store/ingest.py" in found
    assert "store/accesshistory.py" in found


def test_a_writer_that_does_not_say_when_is_refused(store: Store) -> None:
    table = TABLES["direct_permission"]
    with store.writing() as c, pytest.raises(TypeError, match="say when it was read"):
        ingest._mirror(c, table, ("email",), {}, table.c.oid == OID)


def test_the_first_complete_reading_is_remembered(store: Store) -> None:
    with store.writing() as c:
        ingest.put_sync_state(c, OID, "access", attempted_at=NOW, failure="auth", reason="no")
        assert _first(c) is None
        ingest.put_sync_state(c, OID, "access", checked_at=NOW + 1, attempted_at=NOW + 1)
        ingest.put_sync_state(c, OID, "access", checked_at=NOW + 5, attempted_at=NOW + 5)
        ingest.put_sync_state(c, OID, "access", attempted_at=NOW + 6, failure="auth", reason="no")
        assert _first(c) == NOW + 1


def _first(c: Connection) -> int | None:
    state = ingest.sync_state(c, OID, "access")
    assert state is not None
    return state.first_at


def test_what_a_store_had_before_it_kept_the_past_is_known_since_it_was_read(
    empty_url: str, tmp_path: Path
) -> None:
    if empty_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = open_engine(empty_url, read_only=False)
    _migrate(engine, "0002")
    rows: dict[str, list[dict[str, Any]]] = {
        "organization": [{"oid": OID, "name": "Acme", "region": "", "status": "", "details": "{}", "first_seen": 1}],
        "sync_state": [
            {"oid": oid, "subject": subject, "cursor": "", "fingerprint": "", "checked_at": at, "failure": "",
             "reason": ""}
            for oid, subject, at in ((OID, "access", NOW), (OID, "keys", NOW + 1), ("", "groups", NOW + 2))
        ],
        "direct_permission": [
            {"oid": oid, "email": "kim@acme.example", "permissions": '["dr.set"]'} for oid in (OID, OTHER)
        ],
        "api_key": [{"oid": OID, "key_hash": "h1", "name": "ci", "permissions": "[]", "created_by": "",
                     "allowed_ip_range": "", "first_seen": 1}],
        "organization_group": [{"gid": "g1", "name": "SOC", "permissions": "[]", "complete": True, "first_seen": 1}],
        "group_member": [{"gid": "g1", "email": "ann@p.example", "owner": False}],
        "group_organization": [{"gid": "g1", "oid": OID}],
    }  # fmt: skip
    with engine.begin() as c:
        for name, some in rows.items():
            for row in some:
                names = ", ".join(row)
                values = ", ".join(f":{key}" for key in row)
                c.execute(text(f"INSERT INTO {name} ({names}) VALUES ({values})"), row)
    _migrate(engine, REVISIONS[-1])
    engine.dispose()
    with closing(Store(empty_url)) as store, store.reader.reading() as c:
        assert c.execute(select(TABLES["direct_permission"].c.oid, TABLES["direct_permission"].c.valid_from)).all() == [
            (OID, NOW), (OTHER, 0),
        ]  # fmt: skip
        for name, at in (("api_key", NOW + 1), ("organization_group", NOW + 2), ("group_member", NOW + 2)):
            assert c.execute(select(TABLES[name].c.valid_from)).scalars().all() == [at]
        assert _first(c) == NOW
        world = World.load(c, at=NOW)
        assert world.can("kim@acme.example", "dr.set", OID) == "D"


# As of any time


def _changed(world: access_worlds.World, chance: random.Random) -> access_worlds.World:
    """The world after one to four things were done to it, of any kind."""
    world = deepcopy(world)
    for _ in range(chance.randint(1, 4)):
        email, oid = chance.choice(world.people), chance.choice(world.organizations)
        some = set(chance.sample(PERMISSIONS, chance.randint(0, 3)))
        gid = f"g{chance.randrange(4)}"
        match chance.randrange(7):
            case 0:
                world.direct[oid, email] = some
            case 1:
                world.direct.pop((oid, email), None)
            case 2:
                world.groups[gid] = GroupOf(gid.upper(), set(), {email}, {oid}, some)
            case 3:
                world.groups.pop(gid, None)
            case 4 if world.groups:
                group = world.groups[chance.choice(sorted(world.groups))]
                for held, one in ((group.members, email), (group.organizations, oid), (group.owners, email)):
                    if chance.random() < 0.5:
                        (held.discard if one in held else held.add)(one)
            case 5 if world.groups:
                group = world.groups[chance.choice(sorted(world.groups))]
                group.permissions, group.name = some, chance.choice(("Red", "Blue", group.name))
            case _:
                key = (oid, f"key-{chance.randrange(2)}-{oid}")
                if key in world.keys and chance.random() < 0.5:
                    del world.keys[key]
                else:
                    world.keys[key] = some
    return world


def _everything(world: World) -> set[Triple]:
    return {(who, name, oid) for who, oid, mask in world.closure() for name in world.permissions(mask)}


def _as_remembered(c: Connection, truth: access_worlds.World, at: int | None, chance: random.Random) -> None:
    """Every way of asking answers as of this time what was so then."""
    wanted = truth.effective()
    world = World.load(c, at=at)
    assert _everything(world) == wanted
    held = {gid for gid, group in truth.groups.items() if group.organizations}
    for gid, group in truth.groups.items():
        if gid in held:
            found = world.groups[gid]
            assert (found.name, found.members, found.owners) == (group.name, group.members, group.owners)
            assert found.organizations == group.organizations
    assert {gid for gid, group in world.groups.items() if group.organizations} == held
    oid, permission = chance.choice(truth.organizations), chance.choice(PERMISSIONS)
    assert _everything(World.load(c, oid=oid, at=at)) == {each for each in wanted if each[2] == oid}
    email = chance.choice(truth.people)
    mine = World.load(c, principal=email, at=at)
    assert {each for each in _everything(mine) if each[0] == email} == {e for e in wanted if e[0] == email}
    asked = facts(c, oid, permission, at=at)
    assert asked is not None
    assert {each.principal for each in who(asked.facts, permission, oid)} == {
        principal for principal, name, where in wanted if (name, where) == (permission, oid)
    }
    asked = facts(c, oid, permission, email, at=at)
    assert asked is not None
    answer = explain(asked.facts, email, permission, oid, kind="user")
    assert {(path.via, path.gid) for path in answer.paths} == truth.paths(email, permission, oid)
    table = matrix(c, oid, at=at)
    assert table is not None
    assert {(p.principal, name, oid) for p in table.principals if p.kind != "group" for name in p.permissions} == {
        each for each in wanted if each[2] == oid
    }  # fmt: skip
    pivot = pivot_organization(c, oid, at=at)
    assert pivot is not None
    assert pivot.lacking == ()
    assert {(line.key, name, oid) for line in pivot.lines if line.kind != "group" for name in line.cells} == {
        each for each in wanted if each[2] == oid
    }  # fmt: skip


@settings(max_examples=examples(12), deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_was_read_the_store_answers_as_of_every_time_what_was_so_then(
    sqlite_made: Path, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("asof") / "store.db"
    path.write_bytes(sqlite_made.read_bytes())
    store = Store(f"sqlite:///{path}")
    try:
        _sequence(store, chance)
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(2))
def test_both_engines_answer_as_of_every_time_what_was_so_then(store: Store, seed: int) -> None:
    _sequence(store, random.Random(seed))


def _sequence(store: Store, chance: random.Random) -> None:
    world = world_of(chance.randrange(2**32))
    remembered: list[tuple[int, access_worlds.World]] = []
    now = NOW
    for _ in range(chance.randint(3, 7)):
        now += chance.choice((1, 1_000, DAY))
        world.put(store, now)
        remembered.append((now, deepcopy(world)))
        world = _changed(world, chance)
    ends = [at for at, _ in remembered[1:]]
    with store.reader.reading() as c:
        for (at, truth), end in zip(remembered, [*ends, now + DAY], strict=True):
            for moment in {at, end - 1}:
                _as_remembered(c, truth, moment, chance)
        _as_remembered(c, remembered[-1][1], None, chance)
        assert _everything(World.load(c, at=NOW)) == set()
    _pruned_and_forgotten(store, remembered, chance)


def _pruned_and_forgotten(
    store: Store, remembered: list[tuple[int, access_worlds.World]], chance: random.Random
) -> None:
    """One organization keeps the past from some time on, another one is forgotten: of the rest everything
    is as it was, of the first since then, of the second nothing."""
    pruned, gone, _ = truth = remembered[-1][1].organizations
    before, _ = chance.choice(remembered)
    now = before + DAY
    with store.writing() as c:
        nodes = [
            tree.TreeNode("all", None, "All"),
            tree.TreeNode("p", "all", "P", None, {}, {"retention_days": 1}),
        ]
        nodes += [tree.TreeNode(oid, "p" if oid == pruned else "all", oid, oid) for oid in truth]
        tree.replace_tree(c, nodes)
        listed = [{"oid": oid, "name": oid} for oid in truth if oid != gone]
        ingest.put_organizations(c, listed, complete=True, now=remembered[-1][0] + 1)
    with store.reader.reading() as c:
        for one in retention.kept(c):
            retention.prune(store, one, now=now, actor="mk@here")
    retention.prune_groups(store, now=now, actor="mk@here")
    forgetting.forget(store, gone, actor="mk@here", now=remembered[-1][0] + 2)
    with store.reader.reading() as c:
        former = c.execute(select(accesshistory.FORMER)).all()
        assert not any(row.oid == gone for row in former)
        assert not any(row.oid == pruned and row.valid_to < before for row in former)
        for at, was in remembered:
            found = _everything(World.load(c, at=at))
            wanted = was.effective()
            assert not any(oid == gone for *_, oid in found)
            kept = [oid for oid in truth if oid != gone and (oid != pruned or at >= before)]
            for oid in kept:
                assert {e for e in found if e[2] == oid} == {e for e in wanted if e[2] == oid}
            lacking = {each.oid for each in pivot_permission(c, "dr.set", at=at).lacking}
            assert lacking <= {pruned}
            assert not lacking or at < before
            if {e for e in found if e[2] == pruned} != {e for e in wanted if e[2] == pruned}:
                assert lacking == {pruned}, "what was taken out is not told as nobody's"


# What is known, and what was not yet


def test_before_an_organization_was_read_nobody_says_that_nobody_had_access(store: Store) -> None:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": OID, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_access(c, OID, ANSWER, now=NOW + DAY)
        ingest.put_sync_state(c, OID, "access", checked_at=NOW + DAY, attempted_at=NOW + DAY)
    with store.reader.reading() as c:
        asked = facts(c, OID, "org.get", at=NOW + DAY - 1)
        assert asked is not None
        assert asked.checked_at is None
        assert not asked.known("user")
        [lacking] = pivot_permission(c, "org.get", at=NOW + DAY - 1).lacking
        assert (lacking.oid, lacking.checked_at) == (OID, None)
        assert lacking.reason == "it is known only since 2026-11-19T11:06:40Z"
        assert pivot_permission(c, "org.get", at=NOW + DAY).lacking == ()
        [early] = pivot_permission(c, "org.get", at=NOW - 1).lacking
        assert early.reason == "the store has it since 2026-11-18T11:06:40Z"


def test_what_could_not_be_read_since_before_is_said_to_be_old(store: Store) -> None:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": OID, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_sync_state(c, OID, "access", checked_at=NOW, attempted_at=NOW)
        ingest.put_sync_state(c, OID, "access", attempted_at=NOW + DAY, failure="auth", reason="refused")
    with store.reader.reading() as c:
        [lacking] = pivot_permission(c, "org.get", at=NOW + DAY).lacking
        assert (lacking.checked_at, lacking.reason) == (NOW, "refused")
        assert pivot_permission(c, "org.get", at=NOW).lacking == ()


def test_who_was_somebody_then_is_found_then(begun: Store) -> None:
    with begun.writing() as c:
        ingest.put_keys(c, OID, {}, now=NOW + DAY)
        ingest.drop_group(c, "g1", now=NOW + DAY)
        ingest.put_access(c, OID, {"user_permissions": {"kim@acme.example": ["odd.one"]}}, now=NOW + 2 * DAY)
    with begun.reader.reading() as c:
        assert find_principal(c, "h1") == find_principal(c, "g1") == []
        assert find_principal(c, "h1", at=NOW) == [("h1", "key")]
        assert find_principal(c, "g1", at=NOW) == [("g1", "group")]
        assert find_principal(c, "EVE@msp.example", at=NOW) == [("eve@msp.example", "user")]
        assert is_permission(c, "odd.one")
        assert is_permission(c, "odd.one", at=NOW)


def test_an_organization_that_is_gone_was_there_before(store: Store) -> None:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": OID, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_access(c, OID, ANSWER, now=NOW)
        ingest.put_organizations(c, [{"oid": OTHER, "name": "Other"}], complete=True, now=NOW + DAY)
    with store.reader.reading() as c:
        assert list(World.load(c).organizations) == [OTHER]
        assert OID in World.load(c, at=NOW).organizations
        assert OID not in World.load(c, at=NOW + DAY).organizations


def test_as_of_a_time_only_what_changed_since_is_read_besides(sqlite_made: Path, tmp_path: Path) -> None:
    """What ended before is not looked at: it is found by when it ended."""
    path = tmp_path / "store.db"
    path.write_bytes(sqlite_made.read_bytes())
    with closing(Store(f"sqlite:///{path}")) as store, store.reader.reading() as c:
        seen: list[str] = []
        event.listen(c, "before_cursor_execute", lambda *args: seen.append(args[2]))
        World.load(c, at=NOW)
        asked = [each for each in seen if "access_former" in each]
        assert len(asked) == 5
        for statement in asked:
            arguments = statement.count("?")
            plan = c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple([NOW] * arguments)).all()
            former = [row[3] for row in plan if "access_former" in row[3]]
            assert former, plan
            assert all("ix_access_former_kind (kind=? AND valid_to>?)" in row for row in former), plan


def test_now_is_asked_of_the_tables_alone(store: Store) -> None:
    with store.reader.reading() as c:
        seen: list[str] = []
        event.listen(c, "before_cursor_execute", lambda *args: seen.append(args[2]))
        World.load(c)
        facts(c, OID, "dr.set", "ann@p.example")
        matrix(c, OID)
        assert c.execute(text("SELECT 1")).scalar() == 1
    assert seen
    assert not any("access_former" in each or "UNION" in each for each in seen)
