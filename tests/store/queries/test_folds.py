"""The folded queue: rows that add up to what is shown, in the order of the queue, and what was decided before."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from store import folds as rules
from store import ingest, models, tree
from store.alerts import AlertFilter, parse_filter
from store.database import Store
from store.queries import alerts, folds

NOW = 1_790_000_000_000
HOUR = rules.HOUR
ORGANIZATIONS = {f"o{n}": name for n, name in enumerate(["Acme", "Borealis", "Cumulus", "Delta", "Echo"])}
D: Any = models.Detection.__table__  # type: ignore[attr-defined]
FOLD: Any = models.Fold.__table__  # type: ignore[attr-defined]


def alert(oid: str, number: int, **fields: Any) -> ingest.NewDetection:
    """One detection; `tool` is what it is about."""
    raw = {
        "detect_id": f"{oid}-{number}",
        "cat": fields.get("cat", "Scan"),
        "source_rule": fields.get("rule", "general.scan"),
        "gen_time": fields.get("time", NOW - number * 1000),
        "routing": {"hostname": fields.get("host", f"host{number % 4}"), "sid": "s"},
        "detect": {"event": {"HASH": fields.get("tool", "a") * 64}},
        "detect_mtd": {"level": fields.get("level", "medium")},
    }
    return ingest.detection_from(json.dumps(raw).encode(), oid)


def put(store: Store, *made: ingest.NewDetection, oid: str) -> None:
    with store.writing() as c:
        ingest.put_detections(c, oid, made)


def change(store: Store, where: str, **values: Any) -> None:
    """Change the state of some alerts, and let their folds know."""
    with store.writing() as c:
        before = c.execute(select(D).where(text(where))).mappings().all()
        c.execute(update(D).where(D.c.id.in_([row["id"] for row in before])).values(**values))
        rules.changed(c, before)


@pytest.fixture(scope="module")
def queue(module_store: Store) -> Store:
    """200 alerts of five organizations; some are closed, snoozed, woken, or somebody's. Only read."""
    return filled(module_store)


def filled(store: Store) -> Store:
    """A store with these alerts in it."""
    chance = random.Random(5)
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": name} for oid, name in ORGANIZATIONS.items()], complete=True, now=NOW
        )
        nodes = [tree.TreeNode("root", None, "All"), tree.TreeNode("eu", "root", "EU")]
        nodes += [tree.TreeNode(oid, "eu", name, oid) for oid, name in list(ORGANIZATIONS.items())[:3]]
        tree.replace_tree(c, nodes)
        for oid in ORGANIZATIONS:
            made = [
                alert(
                    oid, number, tool=chance.choice("abcdef"), cat=chance.choice(["Scan", "Beacon"]),
                    rule=chance.choice(["general.scan", "managed.beacon"]),
                    level=chance.choice(["low", "medium", "high"]), time=NOW - chance.randrange(48) * HOUR // 2,
                )
                for number in range(40)
            ]  # fmt: skip
            ingest.put_detections(c, oid, made)
    change(store, "id % 5 = 0", status=3, classification=2, resolved_at=NOW)
    change(store, "id % 7 = 0 AND status = 0", snoozed_until=NOW + HOUR)
    change(store, "id % 11 = 0 AND status = 0", status=1, assignee="ann")
    change(store, "id % 13 = 0 AND status = 0", status=1, assignee="bob")
    change(store, "id = 4", rank=5)
    return store


LINES = [
    "", "org:acme", "rule:managed", "rule:scan sev:high", "sev:medium", "host:host1", "cat:beacon", "status:any",
    "status:closed", "who:ann", "since:5h", "oid:o1", "snoozed:yes", "org:nobody", "snoozed:any host:host2",
]  # fmt: skip


def expected(store: Store, wanted: AlertFilter) -> list[tuple[Any, ...]]:
    """The rows that the queue has to have, added up here from the alerts of the unfolded one."""
    with store.reader.reading() as c:
        rows = alerts.page(c, wanted, limit=10_000)
        storms = {fold: storm for fold, storm in c.execute(select(FOLD.c.id, FOLD.c.storm))}
    held = defaultdict(list)
    for row in rows:
        held[storms[row.fold_id]].append(row)
    return sorted(
        (
            (
                max(row.rank for row in some), max(row.time for row in some), storm, len(some),
                len({row.oid for row in some}), max(row.severity for row in some),
                min((row.due_at for row in some if row.due_at is not None), default=None),
                tuple(sorted({row.assignee for row in some} - {""})),
            )
            for storm, some in held.items()
        ),
        reverse=True,
    )  # fmt: skip


def shown(rows: Iterable[folds.FoldRow]) -> list[tuple[Any, ...]]:
    return [
        (*row.key, row.open, row.organizations, row.severity, row.due_at, row.assignees) for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize("scope", ["", "eu", "o2"])
@pytest.mark.parametrize("line", LINES)
def test_pages_add_up_to_what_the_unfolded_queue_has(queue: Store, line: str, scope: str) -> None:
    wanted = parse_filter(line, scope=scope, now=NOW)
    rows = expected(queue, wanted)
    with queue.reader.reading() as c:
        assert folds.count(c, wanted) == folds.FoldCount(len(rows), sum(row[3] for row in rows))
        forwards: list[folds.FoldRow] = []
        while True:
            page = folds.page(c, wanted, now=NOW, after=forwards[-1].key if forwards else None, limit=4)
            forwards += page
            if len(page) < 4:
                break
        assert shown(forwards) == rows
        backwards = folds.page(c, wanted, now=NOW, before=folds.BEHIND_ALL, limit=4)
        while backwards:
            page = folds.page(c, wanted, now=NOW, before=backwards[0].key, limit=4)
            backwards = page + backwards
            if len(page) < 4:
                break
        assert shown(backwards) == rows
        for row in forwards[:3]:
            assert folds.page(c, wanted, now=NOW, starting=row.key, limit=1) == [row]
            assert folds.fold_row(c, wanted, row.storm, now=NOW) == row


@pytest.mark.parametrize("line", ["", "org:acme", "sev:medium", "status:any"])
def test_a_row_opens_into_its_alerts_page_by_page(queue: Store, line: str) -> None:
    wanted = parse_filter(line, now=NOW)
    with queue.reader.reading() as c:
        everything = alerts.page(c, wanted, limit=10_000)
        folded = {fold: storm for fold, storm in c.execute(select(FOLD.c.id, FOLD.c.storm))}
        for row in folds.page(c, wanted, now=NOW, limit=100):
            opened: list[alerts.AlertRow] = []
            while True:
                page = folds.members(c, row, wanted, after=opened[-1].key if opened else None, limit=3)
                opened += page
                if len(page) < 3:
                    break
            assert opened == [each for each in everything if folded[each.fold_id] == row.storm]
            assert folds.members(c, row, wanted, before=opened[-1].key, limit=2) == opened[-3:-1]
            assert (row.alert == opened[0]) if row.open == 1 else row.alert is None


def test_a_row_says_whether_it_is_an_alert_a_fold_or_a_storm(store: Store) -> None:
    put(store, alert("o1", 1), oid="o1")
    with store.reader.reading() as c:
        (row,) = folds.page(c, AlertFilter(), now=NOW)
    assert (row.kind, row.oid, row.organization, row.total) == ("alert", "o1", "o1", 1)
    assert row.alert is not None
    assert row.alert.detect_id == "o1-1"
    put(store, alert("o1", 2), oid="o1")
    with store.reader.reading() as c:
        (row,) = folds.page(c, AlertFilter(), now=NOW)
    assert (row.kind, row.oid, row.alert, row.salient) == ("fold", "o1", None, (("hash", "a" * 64),))
    put(store, alert("o2", 1), oid="o2")
    with store.reader.reading() as c:
        (row,) = folds.page(c, AlertFilter(), now=NOW)
        (there,) = folds.page(c, AlertFilter(oid="o2"), now=NOW)
    assert (row.kind, row.oid, row.fold, row.organizations, row.open) == ("storm", "", 0, 2, 3)
    assert (there.kind, there.oid, there.open, there.total) == ("alert", "o2", 1, 1)


def test_a_row_goes_when_all_of_it_is_snoozed_and_stands_on_top_when_one_wakes(store: Store) -> None:
    put(store, alert("o1", 1, level="low"), alert("o1", 2, tool="b", level="critical"), oid="o1")
    with store.reader.reading() as c:
        assert [row.severity for row in folds.page(c, AlertFilter(), now=NOW)] == [4, 1]
    change(store, "detection.severity = 1", snoozed_until=NOW + HOUR)
    with store.reader.reading() as c:
        assert [row.severity for row in folds.page(c, AlertFilter(), now=NOW)] == [4]
        assert folds.count(c, AlertFilter()) == folds.FoldCount(1, 1)
    change(store, "detection.severity = 1", snoozed_until=None, rank=5)
    with store.reader.reading() as c:
        assert [(row.rank, row.severity) for row in folds.page(c, AlertFilter(), now=NOW)] == [(5, 1), (4, 4)]


def test_a_row_of_closed_ones_says_how_many_are_still_open(store: Store) -> None:
    put(store, *(alert("o1", n) for n in range(4)), oid="o1")
    change(store, "detection.detect_id IN ('o1-1', 'o1-2', 'o1-3')", status=3)
    for line, counts in (("", (1, 1)), ("status:any", (4, 1)), ("status:closed", (3, 0)), ("oid:o1", (1, 1))):
        with store.reader.reading() as c:
            (row,) = folds.page(c, parse_filter(line, now=NOW), now=NOW)
        assert (row.open, row.still_open) == counts


def test_a_storm_rages_while_many_come_at_many_organizations(store: Store) -> None:
    """Not what is the same at two of them, nor what came long ago, nor what is closed."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": name} for oid, name in ORGANIZATIONS.items()], complete=True, now=NOW
        )
        nodes = [tree.TreeNode("root", None, "All"), tree.TreeNode("eu", "root", "EU")]
        nodes += [tree.TreeNode(f"n{oid}", "eu", oid, oid=oid) for oid in list(ORGANIZATIONS)[:4]]
        tree.replace_tree(c, nodes)
    for place, oid in enumerate(ORGANIZATIONS):
        put(store, *(alert(oid, n) for n in range(folds.STORM_MEMBERS // 5)), oid=oid)
        put(store, *(alert(oid, 100 + n, tool="b", time=NOW - 3 * HOUR) for n in range(9)), oid=oid)
        put(store, alert(oid, 200, tool="c", level="high"), oid=oid)
        if place < 4:
            put(store, *(alert(oid, 300 + n, tool="d") for n in range(9)), oid=oid)
    with store.reader.reading() as c:
        (row,) = folds.raging(c, AlertFilter(), now=NOW)
        assert (row.organizations, row.lately, row.open) == (5, folds.STORM_MEMBERS, folds.STORM_MEMBERS)
        assert [each.raging for each in folds.page(c, AlertFilter(), now=NOW) if each.storm == row.storm] == [
            True
        ]
        assert sum(each.raging for each in folds.page(c, AlertFilter(), now=NOW)) == 1
        # In a node that has it at four of its five organizations, and under a filter, nothing stands first.
        assert folds.raging(c, AlertFilter(scope="eu"), now=NOW) == []
        assert folds.raging(c, AlertFilter(severity=2), now=NOW) == []
        assert folds.raging(c, AlertFilter(), now=NOW + 2 * HOUR) == []
    change(store, f"detection.fold_id IN (SELECT id FROM fold WHERE storm = {row.storm})", status=3)
    with store.reader.reading() as c:
        assert folds.raging(c, AlertFilter(), now=NOW) == []


def test_the_score_of_one_rule_is_its_part_of_the_scorecard(queue: Store) -> None:
    with queue.reader.reading() as c:
        everything = folds.scorecard(c, "", now=NOW)
        for rule in {each.rule for each in everything}:
            assert folds.scorecard(c, "", now=NOW, rule=rule) == [
                each for each in everything if each.rule == rule
            ]
        assert folds.scorecard(c, "", now=NOW, rule="none such") == []


def test_people_are_named_alone_and_counted_together(store: Store) -> None:
    put(store, *(alert("o1", n) for n in range(4)), oid="o1")
    told = []
    for name in ("", "ann", "bob"):
        change(store, f"detection.detect_id LIKE 'o1-{len(told)}'", assignee=name)
        with store.reader.reading() as c:
            told.append(folds.page(c, AlertFilter(), now=NOW)[0].who)
    assert told == ["", "ann", "2 people"]


def test_the_rate_is_that_of_the_last_hours(store: Store) -> None:
    start = NOW // HOUR * HOUR
    burst = [alert("o1", n, time=start + n * 1000) for n in range(60)]
    past = [alert("o1", 100 + n, time=start - 20 * HOUR, tool="b") for n in range(5)]
    put(store, *burst, *past, oid="o1")

    def rates(now: int, wanted: AlertFilter) -> list[float]:
        with store.reader.reading() as c:
            return [round(row.per_hour, 2) for row in folds.page(c, wanted, now=now)]

    for wanted in (AlertFilter(), AlertFilter(oid="o1"), AlertFilter(hostname="host")):
        assert rates(start + 600_000, wanted) == [60.0, 0.0]
        assert rates(start + 2 * HOUR, wanted) == [30.0, 0.0]
        assert rates(start + 12 * HOUR, wanted) == [0.0, 0.0]


def test_the_folded_queue_of_all_is_read_by_its_index(queue: Store) -> None:
    with queue.reader.reading() as c:
        source = folds._source(c, AlertFilter(), NOW)
        assert source is not None
        query = source.query.order_by(source.rank.desc(), source.last_open.desc(), source.storm.desc()).limit(
            50
        )
        compiled = query.compile(dialect=c.dialect, compile_kwargs={"literal_binds": True})
        if queue.dialect == "sqlite":
            steps = " ".join(row[3] for row in c.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
            assert "ix_storm_queue" in steps
            assert "TEMP B-TREE" not in steps
        else:
            for name in ("seqscan", "bitmapscan"):
                c.execute(text(f"SET LOCAL enable_{name} = off"))
            steps = " ".join(row[0] for row in c.execute(text(f"EXPLAIN {compiled}")))
            assert "ix_storm_queue" in steps
            assert "Sort" not in steps


# What was decided before


def close(store: Store, where: str, classification: int, by: str, comment: str, at: int) -> None:
    action, changed = models.TriageAction.__table__, models.TriageChange.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        before = c.execute(select(D).where(text(where))).mappings().all()
        number = c.execute(
            insert(action).values(
                time=at, actor=by, verb="close", comment=comment, detail={}, planned=0, changed=0, refused=0
            ).returning(action.c.id)
        ).scalar_one()  # fmt: skip
        for row in before:
            c.execute(
                insert(changed).values(
                    action_id=number, detection_id=row["id"], oid=row["oid"], outcome=1, version=1, status=0,
                    classification=0, assignee="", rank=row["rank"], tags="",
                )
            )  # fmt: skip
        c.execute(
            update(D).where(D.c.id.in_([row["id"] for row in before])).values(
                status=3, classification=classification, acknowledged_at=at - 60_000, resolved_at=at
            )
        )  # fmt: skip
        rules.changed(c, before)


def test_verdicts_name_this_fold_first_and_then_the_newest_elsewhere(store: Store) -> None:
    queue = filled(store)
    with queue.writing() as c:
        ingest.put_detections(c, "o0", [alert("o0", 90, rule="general.verdict")])
        ingest.put_detections(c, "o1", [alert("o1", 90, rule="general.verdict")])
        ingest.put_detections(c, "o2", [alert("o2", 90 + n, rule="general.verdict") for n in range(3)])
        ingest.put_detections(c, "o3", [alert("o3", 90, rule="general.verdict")])
        fold = c.execute(
            select(FOLD.c.id).where(FOLD.c.rule == "general.verdict", FOLD.c.oid == "o0")
        ).scalar_one()
        assert folds.verdicts(c, fold) == []
    close(queue, "oid = 'o1' AND rule = 'general.verdict'", 1, "ann", "It was real.", NOW + 1000)
    close(queue, "oid = 'o2' AND rule = 'general.verdict'", 2, "bob", "Approved scanner.", NOW + 3000)
    close(queue, "oid = 'o0' AND rule = 'general.verdict'", 2, "eve", "", NOW + 2000)
    with queue.reader.reading() as c:
        found = folds.verdicts(c, fold)
        assert folds.verdicts(c, fold, limit=1) == found[:1]
    assert [
        (each.organization, each.here, each.classification, each.by, each.comment, each.at - NOW)
        for each in found
    ] == [
        ("Acme", True, 2, "eve", "", 2000),
        ("Cumulus", False, 2, "bob", "Approved scanner.", 3000),
        ("Borealis", False, 1, "ann", "It was real.", 1000),
    ]
    assert [(each.true_positives, each.false_positives) for each in found] == [(0, 1), (0, 3), (1, 0)]


def test_a_scorecard_counts_by_rule_and_organization_and_says_what_to_tune(store: Store) -> None:
    day = 86_400_000
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": "o1", "name": "Acme"}, {"oid": "o2", "name": "Böhm"}], complete=True, now=NOW
        )
    put(store, *(alert("o1", n, rule="general.noise", time=NOW - 200 * day) for n in range(30)), oid="o1")
    put(store, *(alert("o2", n, rule="general.noise", time=NOW - 10 * day) for n in range(20)), oid="o2")
    put(store, *(alert("o2", 50 + n, rule="general.fair", tool="b") for n in range(6)), oid="o2")
    close(store, "oid = 'o1' AND id < 30", 2, "ann", "", NOW - 100 * day)
    close(store, "oid = 'o2' AND rule = 'general.noise'", 2, "ann", "", NOW - 9 * day)
    close(store, "rule = 'general.fair'", 1, "ann", "", NOW - day)
    with store.reader.reading() as c:
        rows = folds.scorecard(c, "", now=NOW)
        assert folds.scorecard(c, "o2", now=NOW) == [row for row in rows if row.oid == "o2"]
        recent = folds.scorecard(c, "", NOW - 5 * day, now=NOW)
        together = folds.scorecard(c, "", now=NOW, by_organization=False)
    assert [
        (row.rule, row.organization, row.alerts, row.open, row.true_positives, row.false_positives)
        for row in rows
    ] == [
        ("general.noise", "Acme", 30, 1, 0, 29),
        ("general.noise", "Böhm", 20, 0, 0, 20),
        ("general.fair", "Böhm", 6, 0, 6, 0),
    ]
    assert [(row.suggestion, row.why) for row in rows] == [
        ("retire", "29 of 29 decided were false, none was true in 200 days"),
        ("tune", "20 of 20 decided were false, none was true in 10 days"),
        ("", ""),
    ]
    assert [(row.spent, row.last_true_at) for row in rows] == [
        (29 * 60_000, None), (20 * 60_000, None), (6 * 60_000, NOW - day)
    ]  # fmt: skip
    assert [row.rule for row in recent] == ["general.fair"]
    assert [(row.rule, row.organizations, row.false_positives) for row in together] == [
        ("general.noise", 2, 49), ("general.fair", 1, 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0, 19, None, 200), ("", "")),
        ((3, 20, 1, 200), ("", "")),
        ((2, 18, 10, 200), ("tune", "18 of 20 decided were false, the last true one was 10 days ago")),
        ((2, 18, 90, 200), ("retire", "18 of 20 decided were false, the last true one was 90 days ago")),
        ((0, 20, None, 3), ("tune", "20 of 20 decided were false, none was true in 3 days")),
        ((0, 0, None, 500), ("", "")),
    ],
)
def test_a_rule_is_to_be_tuned_or_retired_by_its_numbers(
    numbers: tuple[int, int, int | None, int], said: tuple[str, str]
) -> None:
    true, false, last_true, first = numbers
    day = 86_400_000
    last = None if last_true is None else NOW - last_true * day
    assert folds.advice(true, false, last, NOW - first * day, NOW) == said
