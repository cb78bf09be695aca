"""The inventory of API keys: its order, its filter, and which keys nobody holds the secret of."""

from typing import Any

import pytest

from store import ingest
from store.accesschanges import AccessChange
from store.alerts import FilterError
from store.database import Store
from store.deadlines import put as put_deadline
from store.journal import append
from store.keyfilter import DAY, KeyFilter, parse
from store.queries import apikeys
from store.tree import TreeNode, replace_tree

NOW = 1_795_528_800_000
ORGANIZATIONS = ("Acme Dental", "Borealis Foods", "Église Saint-Roch")


def oid_of(number: int) -> str:
    return f"{number:08x}-1a2b-4c3d-8e9f-001122334455"


def key(name: str, *permissions: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "priv": list(permissions or ("org.get",)), "by": "kim@acme.example", **more}


@pytest.fixture
def keys(store: Store) -> Store:
    with store.writing() as connection:
        ingest.put_organizations(
            connection,
            [{"oid": oid_of(number), "name": name} for number, name in enumerate(ORGANIZATIONS)],
            complete=True,
            now=NOW,
        )
        nodes = [TreeNode("root", None, "Provider"), TreeNode("gold", "root", "Gold")]
        nodes += [
            TreeNode(f"c{number}", "gold" if number < 2 else "root", name, oid=oid_of(number))
            for number, name in enumerate(ORGANIZATIONS)
        ]
        replace_tree(connection, nodes)
        for number in range(3):
            oid = oid_of(number)
            ingest.put_keys(
                connection,
                oid,
                {
                    f"hash-{number}-ci": key("ci-deploy[bulk]", "dr.set", "dr.list", allowed_ip_range="10.0.0.0/8"),
                    f"hash-{number}-old": key(
                        "old", "user.ctrl", "org.get", by="Gone@provider.example",
                        last_used=(NOW - 100 * DAY) // 1000,
                    ),
                },
                now=NOW - number * DAY,
            )  # fmt: skip
            ingest.put_sync_state(connection, oid, "keys", checked_at=NOW, attempted_at=NOW)
    return store


def found(store: Store, line: str = "", scope: str = "") -> list[tuple[str, str]]:
    with store.reader.reading() as connection:
        return [
            (str(row.name), str(row.organization))
            for row in apikeys.every(connection, parse(line, now=NOW), scope=scope)
        ]


def test_pages_of_any_size_are_the_whole_list_in_both_directions(keys: Store) -> None:
    with keys.reader.reading() as connection:
        whole = apikeys.every(connection, KeyFilter())
        assert [row.place for row in whole] == sorted(row.place for row in whole)
        for limit in (1, 2, 5, 50):
            down: list[apikeys.KeyRow] = apikeys.page(connection, KeyFilter(), limit=limit)
            while more := apikeys.page(connection, KeyFilter(), after=down[-1].place, limit=limit):
                down += more
            assert down == whole
            up = apikeys.page(connection, KeyFilter(), backwards=True, limit=limit)
            while more := apikeys.page(connection, KeyFilter(), before=up[0].place, limit=limit):
                up = more + up
            assert up == whole
        assert apikeys.page(connection, KeyFilter(), starting=whole[2].place, limit=2) == whole[2:4]


def test_a_page_walks_an_index(a_store: Any) -> None:
    with a_store().reader.reading() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM api_key WHERE (name, oid, key_hash) > ('a', 'b', 'c') "
            "ORDER BY name, oid, key_hash LIMIT 50"
        ).all()
    assert any("ix_api_key_name" in str(row) for row in plan)
    assert not any("TEMP B-TREE" in str(row) for row in plan)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 6),
        ("ci", 3),
        ("église", 2),
        ("ÉGLISE old", 1),
        ("org:acme", 2),
        ("by:gone", 3),
        ("perm:dr.set", 3),
        ("perm:dr.s", 0),
        ("perm:dr.*", 3),
        ("perm:dr.set perm:user.ctrl", 0),
        ("privileged:yes", 3),
        ("privileged:no", 3),
        ("range:none", 3),
        ("range:10.", 3),
        ("used:never", 3),
        ("used:>90d", 6),
        ("used:<200d", 3),
        ("flair:bulk", 3),
        ("flair:segment", 0),
        ("held:no", 0),
        ("ending:no", 6),
        ("name:'ci-deploy'", 3),
        ("100%", 0),
    ],
)
def test_a_filter_leaves_what_it_says(keys: Store, line: str, count: int) -> None:
    assert len(found(keys, line)) == count
    with keys.reader.reading() as connection:
        counted = apikeys.counts(connection, parse(line, now=NOW))
    assert (counted.keys, counted.all, counted.read, counted.of) == (count, 6, 3, 3)


def test_a_scope_holds_only_what_is_below_it(keys: Store) -> None:
    assert {organization for _, organization in found(keys, scope="gold")} == set(ORGANIZATIONS[:2])
    with keys.reader.reading() as connection:
        counted = apikeys.counts(connection, KeyFilter(), scope="gold")
    assert (counted.all, counted.organizations, counted.of) == (4, 2, 2)


@pytest.mark.parametrize(
    "line", ["colour:red", "used:soon", "used:>90", "privileged:maybe", 'name:"a', "perm:", "held:"]
)
def test_a_filter_that_means_nothing_says_so(line: str) -> None:
    with pytest.raises(FilterError):
        parse(line, now=NOW)


def test_a_key_is_found_by_its_hash_its_name_or_a_beginning(keys: Store) -> None:
    with keys.reader.reading() as connection:
        for word, names in (("hash-0-ci", 1), ("old", 1), ("hash-0", 2), ("hash-", 0), ("nobody", 0)):
            assert len(apikeys.find(connection, oid_of(0), word)) == names, word
        assert [
            row.oid for row in apikeys.named(connection, [(oid_of(1), "hash-1-ci"), (oid_of(1), "x")])
        ] == [oid_of(1)]


def test_the_tree_says_from_where_keys_are_used(keys: Store) -> None:
    with keys.writing() as connection:
        replace_tree(
            connection,
            [
                TreeNode("root", None, "Provider", parameters={"key_range": "203.0.113.0/28"}),
                TreeNode("c0", "root", "Acme", oid=oid_of(0), parameters={"key_range": "192.0.2.0/24"}),
                TreeNode("c1", "root", "Borealis", oid=oid_of(1)),
                TreeNode("c2", "root", "Eglise", oid=oid_of(2), parameters={"key_range": 7}),
            ],
        )
    with keys.reader.reading() as connection:
        assert [apikeys.range_for(connection, oid_of(number)) for number in range(3)] == [
            "192.0.2.0/24", "203.0.113.0/28", "",
        ]  # fmt: skip


def intent(store: Store, name: str, known: list[str]) -> int:
    with store.writing() as connection:
        return append(
            connection, "mk", "key.create", oid_of(0), name, {"step": "intent", "known": known}, now=NOW
        )


def after(store: Store, step: str, number: int, **detail: Any) -> None:
    with store.writing() as connection:
        append(
            connection,
            "mk",
            "key.create",
            oid_of(0),
            "old",
            {"step": step, "intent": number, **detail},
            now=NOW,
        )


def unheld(store: Store) -> set[tuple[str, str]]:
    with store.reader.reading() as connection:
        return set(apikeys.unheld(connection))


def test_a_key_whose_maker_died_is_held_by_nobody_until_it_is_handed_over(keys: Store) -> None:
    number = intent(keys, "old", ["hash-before"])
    assert unheld(keys) == {(oid_of(0), "hash-0-old")}
    assert found(keys, "held:no") == [("old", "Acme Dental")]
    after(keys, "result", number, outcome="created", key_hash="hash-0-old")
    assert unheld(keys) == {(oid_of(0), "hash-0-old")}
    after(keys, "delivered", number, how="shown")
    assert unheld(keys) == set()


def test_a_key_that_was_never_made_or_was_there_before_is_not_one_of_them(keys: Store) -> None:
    number = intent(keys, "old", [])
    after(keys, "result", number, outcome="denied")
    intent(keys, "old", ["hash-0-old"])
    intent(keys, "not there", [])
    assert unheld(keys) == set()


def test_a_key_that_a_deadline_deletes_says_when(keys: Store) -> None:
    with keys.writing() as connection:
        put_deadline(
            connection, "rotation", NOW + DAY,
            [AccessChange("delete_key", oid=oid_of(2), principal="hash-2-old")], title="old", by="mk", now=NOW,
        )  # fmt: skip
    assert found(keys, "ending:yes") == [("old", ORGANIZATIONS[2])]
    with keys.writing() as connection:
        both = {"hash-2-old": key("old"), "hash-2-new": key("old"), "hash-2-ci": key("ci-deploy[bulk]")}
        ingest.put_keys(connection, oid_of(2), both, now=NOW)
    with keys.reader.reading() as connection:
        new = apikeys.named(connection, [(oid_of(2), "hash-2-new")])
        # Whoever revokes the new one has to know that the old one goes as well.
        assert [str(row.key_hash) for row in apikeys.left_alone(connection, new)] == ["hash-2-old"]
        assert apikeys.left_alone(connection, apikeys.named(connection, [(oid_of(2), "hash-2-ci")])) == []
    with keys.reader.reading() as connection:
        assert apikeys.named(connection, [(oid_of(2), "hash-2-old")])[0].ends_at == NOW + DAY
