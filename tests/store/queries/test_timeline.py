"""The timeline of access on both engines: taken in once, merged, by keyset, limited."""

import json
import pathlib
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import func, select, text

from store import ingest
from store.access import Path, explain, path_words
from store.configuration import content_hash
from store.database import Store, open_engine
from store.maintenance import _migrate
from store.models import AccessEvent
from store.queries import access, timeline
from store.queries.timeline import Wanted
from store.tree import TreeNode, replace_tree

NOW = 1_795_528_800_000
SECOND = 1_000
ACME, BOREALIS = "f0e1d2c3-1a2b-4c3d-8e9f-001122334455", "a0e1d2c3-1a2b-4c3d-8e9f-001122334456"
KIM = "kim@acme.example"
EVERYTHING = Wanted()


def _log(*entries: tuple[int, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of a group's log: (seconds before NOW, action, more)."""
    return [
        {"action": action, "actor": "root@p.example", "ts": NOW // SECOND - ago, **more}
        for ago, action, more in entries
    ]


LOG = _log(
    (900, "create_group", {}),
    (800, "add_member", {"member_email": KIM}),
    (700, "add_org", {"oid": ACME}),
    (600, "set_permissions", {"perms": ["dr.set"], "added": ["dr.set"], "removed": []}),
)
AUDIT = {
    "oid": ACME, "time": NOW - 750 * SECOND, "etype": "config_change", "msg": "granted", "ident": "dana@p.example",
    "entity": {"type": "user", "name": KIM}, "mtd": {"action": "add", "permission": "sensor.task"},
}  # fmt: skip


@pytest.fixture
def told(store: Store) -> Store:
    """Two organizations, a group over the first, its log, and an audit log."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": ACME, "name": "Acme Dental"}, {"oid": BOREALIS, "name": "Borealis"}],
            complete=True, now=NOW,
        )  # fmt: skip
        replace_tree(
            c,
            [
                TreeNode("root", None, "Provider"),
                TreeNode("acme", "root", "Acme", ACME),
                TreeNode("borealis", "root", "Borealis", BOREALIS),
            ],
        )
        ingest.put_groups(
            c, [{"group_id": "g1", "name": "SOC L1", "members": [KIM], "owners": [], "orgs": [{"org_id": ACME}], "perms": []}],
            now=NOW,
        )  # fmt: skip
        assert ingest.put_group_log(c, "g1", LOG) == 4
        ingest.put_audit(c, ACME, [AUDIT, {**AUDIT, "etype": "hive_set", "entity": {"type": "hive"}}])
    return store


def _actions(store: Store, wanted: Wanted = EVERYTHING, **options: Any) -> list[str]:
    with store.reader.reading() as c:
        found = timeline.events(c, wanted, **options)
        if not options:
            assert timeline.counted(c, wanted) == len(found)
        return [str(event.action) for event in found]


def test_both_logs_are_one_stream_newest_first_with_who_whom_and_where(told: Store) -> None:
    assert _actions(told) == ["set_permissions", "add_org", "grant", "add_member", "create_group"]
    with told.reader.reading() as c:
        grant, member = timeline.events(c)[2:4]
    assert (grant.source, grant.actor, grant.principal, grant.organization) == (
        "audit", "dana@p.example", KIM, "Acme Dental",
    )  # fmt: skip
    assert (grant.time, grant.permissions) == (NOW - 750 * SECOND, ("sensor.task",))
    assert (member.source, member.actor, member.principal, member.group, member.oid) == (
        "group", "root@p.example", KIM, "SOC L1", "",
    )  # fmt: skip


def test_a_log_that_is_read_again_adds_what_is_new_and_nothing_else(told: Store) -> None:
    heard: list[Any] = []
    told.on_change(heard.append)
    with told.writing() as c:
        assert ingest.put_group_log(c, "g1", LOG) == 0
        assert ingest.put_audit(c, ACME, [AUDIT]) == []
    assert heard == []
    with told.writing() as c:
        assert ingest.put_group_log(c, "g1", [*LOG, *_log((5, "remove_member", {"member_email": KIM}))]) == 1
    assert _actions(told)[0] == "remove_member"


@pytest.mark.parametrize("newest_first", [False, True])
def test_entries_of_one_second_stay_in_the_order_of_the_log(store: Store, newest_first: bool) -> None:
    entries = _log(
        (9, "create_group", {}), (8, "add_org", {"oid": ACME}), (8, "remove_org", {"oid": ACME}),
        (8, "add_member", {"member_email": KIM}),
    )  # fmt: skip
    with store.writing() as c:
        ingest.put_group_log(c, "g1", entries[::-1] if newest_first else entries)
    assert _actions(store) == ["add_member", "remove_org", "add_org", "create_group"]


def test_of_a_group_the_newest_entries_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "GROUP_LOG_KEPT", 3)
    entries = _log(*((100 - n, "add_member", {"member_email": f"{n}@a.example"}) for n in range(5)))
    with store.writing() as c:
        ingest.put_group_log(c, "g1", entries)
        ingest.put_group_log(c, "g2", entries[:2])
        ingest.put_group_log(c, "g1", [*entries, *_log((1, "add_org", {"oid": ACME}))])
    with store.reader.reading() as c:
        kept = timeline.of_groups(c, ["g1", "g2"])
    assert [event.principal or event.action for event in kept["g1"]] == [
        "3@a.example",
        "4@a.example",
        "add_org",
    ]
    assert len(kept["g2"]) == 2


def test_an_entry_that_tells_no_time_is_kept_as_the_oldest(told: Store) -> None:
    with told.writing() as c:
        assert ingest.put_group_log(c, "g1", [{"action": "odd", "ts": "soon"}, {"note": "no action"}]) == 2
    with told.reader.reading() as c:
        assert [(event.time, event.action, event.known) for event in timeline.events(c)[-2:]] == [
            (0, "", False), (0, "odd", False),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(scope="acme"), 5),
        (Wanted(scope="borealis"), 0),
        (Wanted(principal=KIM), 2),
        (Wanted(actor="dana@p.example"), 1),
        (Wanted(group="g1"), 4),
        (Wanted(kinds=("member", "organization")), 2),
        (Wanted(since=NOW - 750 * SECOND), 3),
        (Wanted(words=("SOC", "dr.se")), 1),
        (Wanted(words=("acme dental",)), 2),
        (Wanted(words=("nothing of that",)), 0),
        (Wanted(words=("no größe",)), 0),
        (Wanted(scope="acme", principal=KIM, kinds=("permission",), since=1, words=("dana",)), 1),
    ],
)
def test_it_is_limited_by_scope_principal_actor_group_kind_time_and_words(
    told: Store, wanted: Wanted, expected: int
) -> None:
    assert len(_actions(told, wanted)) == expected


def test_an_organization_of_a_group_s_entry_shows_it_under_that_organization_alone(told: Store) -> None:
    with told.writing() as c:
        ingest.put_group_log(c, "g1", [*LOG, *_log((1, "remove_org", {"oid": BOREALIS}))])
    assert _actions(told, Wanted(scope="borealis")) == ["remove_org"]
    assert "remove_org" not in _actions(told, Wanted(scope="acme"))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_by_keyset_tell_every_event_once_down_and_up(store: Store, size: int) -> None:
    with store.writing() as c:
        entries = _log(*((n // 3, "add_member", {"member_email": f"{n}@a.example"}) for n in range(20)))
        ingest.put_group_log(c, "g1", entries)
    with store.reader.reading() as c:
        whole = timeline.events(c, limit=100)
        seen, page = [], timeline.events(c, limit=size)
        while page:
            seen += page
            page = timeline.events(c, after=(page[-1].time, page[-1].id), limit=size)
        assert seen == whole
        assert len(whole) == 20
        back, at = [], whole[-1]
        while page := timeline.events(c, before=(at.time, at.id), limit=size):
            back = page + back
            at = page[0]
        assert back == whole[:-1]


def test_secrets_of_a_group_s_log_never_reach_the_store(store: Store) -> None:
    with store.writing() as c:
        ingest.put_group_log(
            c, "g1", [{"action": "odd", "token": "canary-4711", "more": {"api_key": "canary-4711"}}]
        )
    with store.reader.reading() as c:
        rows = c.execute(select(AccessEvent.__table__)).mappings().all()  # type: ignore[attr-defined]
        assert "canary-4711" not in repr(rows)
        assert c.execute(select(func.count()).select_from(AccessEvent)).scalar_one() == 1


def _path(store: Store, permission: str = "dr.set", principal: str = KIM) -> Path:
    with store.reader.reading() as c:
        asked = access.facts(c, ACME, permission, principal)
    assert asked is not None
    (path,) = explain(asked.facts, principal, permission, ACME).paths
    return path


def _group(**changed: Any) -> dict[str, Any]:
    return {
        "group_id": "g1", "name": "SOC L1", "members": [KIM], "owners": [], "orgs": [{"org_id": ACME}],
        "perms": ["dr.set"], **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "ago", "by", "began"),
    [
        ((), 600, "root@p.example", "given"),
        (((500, "remove_org", {"oid": ACME}), (400, "add_org", {"oid": ACME, "actor": "eve@p.example"})), 400, "eve@p.example", "held"),
        (((500, "remove_member", {"member_email": KIM}), (300, "add_member", {"member_email": KIM})), 300, "root@p.example", "joined"),
        # Made again what it is already, or of somebody else: that begins nothing.
        (((300, "add_member", {"member_email": KIM}), (200, "add_org", {"oid": BOREALIS}), (100, "add_member", {"member_email": "lee@p.example"})), 600, "root@p.example", "given"),
        # The permission came and went and came with another, told by sets alone.
        (((400, "set_permissions", {"perms": ["org.get"]}), (300, "set_permissions", {"perms": ["dr.set", "org.get"]})), 300, "root@p.example", "given"),
    ],
)  # fmt: skip
def test_a_path_through_a_group_began_with_the_last_that_its_log_tells(
    told: Store, more: tuple[Any, ...], ago: int, by: str, began: str
) -> None:
    with told.writing() as c:
        ingest.put_groups(c, [_group()], now=NOW)
        ingest.put_group_log(c, "g1", [*LOG, *_log(*more)])
    path = _path(told)
    assert (path.since, path.by, path.told, path.began) == (NOW - ago * SECOND, by, "group", began)


def test_what_the_log_says_was_ended_and_is_there_all_the_same_is_not_told(told: Store) -> None:
    with told.writing() as c:
        ingest.put_groups(c, [_group()], now=NOW)
        ingest.put_group_log(
            c, "g1", [*LOG, *_log((1, "set_permissions", {"perms": [], "removed": ["dr.set"]}))]
        )
    path = _path(told)
    assert (path.since, path.began) == (NOW - 700 * SECOND, "held")
    assert path_words(path, "user").endswith(
        "over this organization since 2026-11-24 by root@p.example (group log)"
    )


def test_a_path_of_which_no_log_tells_anything_says_so(store: Store) -> None:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": ACME, "name": "Acme Dental"}], complete=True, now=NOW)
        ingest.put_groups(c, [_group()], now=NOW)
    path = _path(store)
    assert (path.since, path.told, path.began) == (None, "", "")
    assert path_words(path, "user").endswith("since when: not known")


def test_a_group_as_a_principal_is_told_of_too(told: Store) -> None:
    with told.writing() as c:
        ingest.put_groups(c, [_group()], now=NOW)
    path = _path(told, principal="g1")
    assert (path.since, path.began) == (NOW - 600 * SECOND, "given")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("on:KIM", 2),
        ("on:=kim@acme.example", 2),
        ("on:=kim", 0),
        ('group:"=SOC L1" by:=root@p.example', 4),
        ("group:=g", 0),
        ("by:dana", 1),
        ('group:"soc l1"', 4),
        ("group:g1 kind:member,organization", 2),
        ("since:12m", 2),
        ("on:kim by:root dr.set", 0),
        ('"Acme Dental"', 2),
        ("", 5),
    ],
)
def test_what_is_typed_after_a_slash_limits_it_by_parts_in_any_case(
    told: Store, line: str, expected: int
) -> None:
    assert len(_actions(told, timeline.parse_filter(line, now=NOW))) == expected


def test_the_logs_that_it_lacks_are_counted_and_named(told: Store) -> None:
    with told.writing() as c:
        ingest.put_sync_state(c, ACME, "audit", checked_at=NOW, attempted_at=NOW)
        ingest.put_sync_state(
            c, BOREALIS, "audit", attempted_at=NOW, failure="denied", reason="No audit.get."
        )
    with told.reader.reading() as c:
        whole, scoped = timeline.sources(c), timeline.sources(c, "acme")
    assert (whole.organizations, whole.audited, whole.lacking) == (
        2,
        1,
        ((BOREALIS, "Borealis", "No audit.get."),),
    )
    assert (scoped.organizations, scoped.audited, scoped.lacking, scoped.groups_at) == (1, 1, (), None)


def test_the_oldest_page_is_the_end_of_the_stream_and_a_page_may_begin_with_an_event(told: Store) -> None:
    with told.reader.reading() as c:
        whole = timeline.events(c)
        assert timeline.last_page(c, limit=2) == whole[-2:]
        assert timeline.events(c, starting=(whole[1].time, whole[1].id), limit=2) == whole[1:3]


def test_a_store_that_is_upgraded_tells_what_its_audit_logs_told(
    empty_url: str, tmp_path: pathlib.Path
) -> None:
    """An audit entry that was read before there was a timeline, and is read again after."""
    if empty_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = open_engine(empty_url, read_only=False)
    _migrate(engine, "0002")
    details = json.dumps(AUDIT)
    with engine.begin() as c:
        c.execute(
            text(
                "INSERT INTO audit_entry (oid, digest, time, kind, actor, message, details) "
                "VALUES (:oid, :digest, :time, 'config_change', 'dana@p.example', '', :details)"
            ),
            [
                {"oid": ACME, "digest": content_hash(AUDIT), "time": AUDIT["time"], "details": details},
                {"oid": ACME, "digest": "d2", "time": 1, "details": json.dumps({"etype": "hive_set"})},
            ],
        )
    _migrate(engine)
    engine.dispose()
    with closing(Store(empty_url)) as store:
        with store.writing() as c:
            ingest.put_audit(c, ACME, [AUDIT])
        with store.reader.reading() as c:
            (event,) = timeline.events(c)
    assert (event.action, event.principal, event.time, event.oid) == ("grant", KIM, AUDIT["time"], ACME)


def test_texts_that_no_database_holds_are_kept_in_a_form_that_it_does(store: Store) -> None:
    odd = "a\x00b\ud800c" + "x" * 3000
    with store.writing() as c:
        assert (
            ingest.put_group_log(
                c,
                "g1",
                [
                    {
                        "action": odd,
                        "actor": odd,
                        "member_email": odd,
                        "perms": [odd],
                        odd[:9]: odd,
                        "n": 10**30,
                    }
                ],
            )
            == 1
        )
        assert ingest.put_audit(
            c, ACME, [{"time": 5, "etype": odd, "ident": odd, "entity": {"type": "user", "name": odd}, "mtd": {"action": odd}}]
        )  # fmt: skip
    with store.reader.reading() as c:
        found = timeline.events(c)
    assert len(found) == 2
    assert all("\\x00" in each.actor and len(each.actor) <= 500 for each in found)
