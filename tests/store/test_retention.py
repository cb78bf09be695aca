"""What is older than the tree allows is taken out, and nothing else."""

import json
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlmodel import SQLModel

from store import folds, ingest, journal, maintenance, retention, textindex, tree
from store.configuration import Record
from store.database import Store
from store.triage import Decision, Selection, begin, proceed

NOW = 1_790_000_000_000
DAY = 86_400_000
TABLES = SQLModel.metadata.tables


def _alert(oid: str, number: int, days: float) -> Any:
    raw = {
        "detect_id": f"{oid}-{number}", "cat": f"Cat {number % 3}", "gen_time": int(NOW - days * DAY),
        "source_rule": f"rule {number % 3}", "routing": {"oid": oid, "hostname": f"{oid}host{number}"},
        "detect": {"event": {"COMMAND_LINE": "run", "FILE_PATH": "c:\\a.exe", "SAID": f"{oid}word{number}"}},
    }  # fmt: skip
    return ingest.detection_from(json.dumps(raw).encode(), oid, received=NOW)


@pytest.fixture
def filled(store: Store) -> Store:
    """Gold keeps 30 days, silver 90; each has alerts of 10, 40 and 100 days, most of them closed."""
    with store.writing() as c:
        for oid in ("gold", "silver", "none"):
            ingest.put_organizations(c, [{"oid": oid, "name": oid.title()}], complete=False, now=NOW)
            alerts = [_alert(oid, number, (10, 40, 100)[number % 3]) for number in range(12)]
            ingest.put_detections(c, oid, alerts)
            for days in (10, 40, 100):
                entry = {"ts": "", "time": NOW - days * DAY, "etype": "x", "msg": f"{days}"}
                ingest.put_audit(c, oid, [entry])
                ended = _rfc(NOW - days * DAY)
                case = {
                    "oid": oid,
                    "case_number": days,
                    "status": "closed",
                    "created_at": ended,
                    "closed_at": ended,
                }
                ingest.put_case_row(c, case, now=NOW)
            for days in (100, 60, 10):
                record = {"a": Record({"op": f"as of {days} {oid if days == 100 else ''}"})}
                ingest.put_configuration(c, oid, "hive/fp", record, NOW - days * DAY)
        tree.replace_tree(
            c,
            [
                tree.TreeNode("all", None, "All"),
                tree.TreeNode("g", "all", "Gold tier", None, {}, {"retention_days": 30}),
                tree.TreeNode("s", "all", "Silver tier", None, {}, {"retention_days": 90}),
                tree.TreeNode("gold", "g", "Gold", "gold"),
                tree.TreeNode("silver", "s", "Silver", "silver"),
            ],
        )  # fmt: skip
        ids = c.execute(select(TABLES["detection"].c.id, TABLES["detection"].c.detect_id)).all()
    wanted = [number for number, detect_id in ids if not detect_id.endswith("-11")]
    with store.writing() as c:
        decision = Decision("close", "mk", classification=2)
        action = begin(c, decision, Selection(ids=tuple(wanted)), now=NOW)
        while proceed(c, action, actor="mk@here", now=NOW):
            pass
    return store


def _rfc(ms: int) -> str:
    from store.times import rfc3339

    return str(rfc3339(ms))


def _one(store: Store, oid: str) -> retention.Kept:
    with store.reader.reading() as c:
        return next(each for each in retention.kept(c) if each.oid == oid)


def _alerts(store: Store, oid: str) -> list[str]:
    with store.reader.reading() as c:
        detection = TABLES["detection"]
        return sorted(c.execute(select(detection.c.detect_id).where(detection.c.oid == oid)).scalars())


def test_a_tier_says_how_long_and_the_nearest_node_holds(filled: Store) -> None:
    assert [(each.oid, each.days, each.source) for each in map(lambda oid: _one(filled, oid), ("gold", "silver", "none"))] == [
        ("gold", 30, "g"), ("silver", 90, "s"), ("none", None, ""),
    ]  # fmt: skip


def test_what_is_older_goes_and_what_is_open_stays(filled: Store) -> None:
    silver, none = _alerts(filled, "silver"), _alerts(filled, "none")
    with filled.reader.reading() as c:
        planned = retention.due(c, _one(filled, "gold"), now=NOW)
        assert textindex.newest(c, textindex.words_query(filled.dialect, "goldword4"), limit=9)
    done = retention.prune(filled, _one(filled, "gold"), now=NOW, actor="cron@here")

    expected = {"detection": 7, "audit_entry": 2, "case_record": 2, "configuration_record": 1}
    assert {name: planned.rows[name] for name in expected} == expected
    assert {name: done.rows[name] for name in expected} == expected
    assert (done.open_alerts, planned.open_alerts) == (1, 1), "nobody has decided it"
    assert _alerts(filled, "gold") == ["gold-0", "gold-11", "gold-3", "gold-6", "gold-9"]
    assert (_alerts(filled, "silver"), _alerts(filled, "none")) == (silver, none)
    assert [each for each in maintenance.check(filled.url) if not each.ok] == []
    with filled.reader.reading() as c:
        assert not textindex.newest(c, textindex.words_query(filled.dialect, "goldword4"), limit=9)
        assert textindex.newest(c, textindex.words_query(filled.dialect, "silverword4"), limit=9)
        assert not folds.miscounted(c)
        record = TABLES["configuration_record"]
        ordered = select(record.c.valid_to).where(record.c.oid == "gold").order_by(record.c.id)
        left = c.execute(ordered).scalars().all()
        assert left == [NOW - 10 * DAY, None], "what holds now stays, whatever its age"
        entry = c.execute(select(TABLES["journal"]).order_by(TABLES["journal"].c.seq.desc()).limit(1)).one()
        assert (entry.action, entry.oid, entry.detail["days"]) == ("store.prune", "gold", 30)
        assert journal.verify(c) is None
    again = retention.prune(filled, _one(filled, "gold"), now=NOW, actor="cron@here")
    assert again.rows == {}, "a second one finds nothing, and writes nothing"


def test_what_was_granted_before_goes_with_it_and_that_time_is_then_not_known(filled: Store) -> None:
    group = {"group_id": "g1", "name": "SOC", "owners": [], "members": ["a@p.example"], "perms": []}
    with filled.writing() as c:
        for days, names in ((100, ["dr.set"]), (60, ["dr.list"]), (10, ["dr.get"])):
            now = NOW - days * DAY
            for oid in ("gold", "silver"):
                ingest.put_access(c, oid, {"user_permissions": {"kim@x.example": names}}, now=now)
                ingest.put_sync_state(c, oid, "access", checked_at=now)
            held = [{"org_id": oid} for oid in ("gold", "silver")]
            ingest.put_groups(c, [group | {"perms": names, "orgs": held}], now=now)
    former = TABLES["access_former"].c

    def left(kind: str, oid: str = "") -> list[int]:
        with filled.reader.reading() as c:
            rows = select(former.valid_to).where(former.kind == kind, former.oid == oid)
            return [(NOW - at) // DAY for at in sorted(c.execute(rows).scalars())]

    def known_since(oid: str) -> int:
        with filled.reader.reading() as c:
            state = ingest.sync_state(c, oid, "access")
        assert state is not None
        assert state.first_at is not None
        return (NOW - state.first_at) // DAY

    def prune(oid: str) -> int:
        with filled.reader.reading() as c:
            planned = retention.due(c, _one(filled, oid), now=NOW).rows.get("access_former", 0)
        done = retention.prune(filled, _one(filled, oid), now=NOW, actor="cron@here")
        assert done.rows.get("access_former", 0) == planned
        return planned

    assert left("direct", "gold") == left("direct", "silver") == left("group") == [60, 10]
    assert (prune("gold"), prune("silver")) == (1, 0)
    assert (left("direct", "gold"), left("direct", "silver")) == ([10], [60, 10])
    assert (known_since("gold"), known_since("silver")) == (30, 100)
    with filled.reader.reading() as c:
        assert retention.due_of_groups(c, now=NOW) == 0, "silver keeps what the group was"
        assert retention.due_of_groups(c, now=NOW + 40 * DAY) == 1
    assert retention.prune_groups(filled, now=NOW, actor="cron@here") == 0
    assert retention.prune_groups(filled, now=NOW + 40 * DAY, actor="cron@here") == 1
    assert left("group") == [10]
    assert (known_since("gold"), known_since("silver")) == (30, 50)
    with filled.writing() as c:
        ingest.put_groups(c, [group | {"orgs": [{"org_id": "gold"}, {"org_id": "none"}]}], now=NOW)
    with filled.reader.reading() as c:
        assert retention.due_of_groups(c, now=NOW + 400 * DAY) == 0, "one that keeps everything was in it"


def test_a_longer_retention_keeps_more(filled: Store) -> None:
    done = retention.prune(filled, _one(filled, "silver"), now=NOW, actor="cron@here")
    assert done.rows["detection"] == 3
    assert retention.prune(filled, _one(filled, "none"), now=NOW, actor="cron@here").rows == {}
    assert len(_alerts(filled, "none")) == 12


def test_what_has_to_be_kept_is_left_alone(filled: Store) -> None:
    with filled.writing() as c:
        tree.mark_node(c, "g", add=["hold"])
    one = _one(filled, "gold")
    assert one.held
    assert retention.prune(filled, one, now=NOW, actor="cron@here").rows == {}
    assert len(_alerts(filled, "gold")) == 12


def test_what_is_no_number_of_days_prunes_nothing_and_is_said(filled: Store) -> None:
    for value in (0, -3, "soon", 1.5, True, None, 10**9):
        with filled.writing() as c:
            c.execute(TABLES["node"].update().where(TABLES["node"].c.id == "gold").values(parameters={"retention_days": value}))  # fmt: skip
        one = _one(filled, "gold")
        assert (one.days, one.source) == (None, "gold"), value
        assert "no number of days" in one.problem
        assert retention.prune(filled, one, now=NOW, actor="cron@here").rows == {}
    assert len(_alerts(filled, "gold")) == 12


def test_what_waits_for_more_of_its_fold_waits_for_as_many(filled: Store) -> None:
    """Members that are pruned were counted when it was snoozed."""
    detection, snooze = TABLES["detection"], TABLES["snooze"]
    with filled.writing() as c:
        ingest.put_detections(c, "gold", [_alert("gold", 14, 1)])
        row = c.execute(select(detection).where(detection.c.detect_id == "gold-14")).one()
        total = c.execute(
            select(TABLES["fold"].c.total).where(TABLES["fold"].c.id == row.fold_id)
        ).scalar_one()
        c.execute(
            insert(snooze).values(
                detection_id=row.id, oid="gold", fold_id=row.fold_id, until=None, more=total + 5, event="",
                reason="", action_id=0, by="mk", at=NOW, woken_at=None, woken_by="",
            )
        )  # fmt: skip
    retention.prune(filled, _one(filled, "gold"), now=NOW, actor="cron@here")
    with filled.reader.reading() as c:
        left = c.execute(
            select(TABLES["fold"].c.total).where(TABLES["fold"].c.id == row.fold_id)
        ).scalar_one()
        assert c.execute(select(snooze.c.more)).scalar_one() == left + 5
        assert left < total
