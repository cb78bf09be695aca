"""False positive rules: tried on stored detections on both engines, written to the sandbox's Hive, put into files."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, update

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import LimaCharlieError
from console.operations.falsepositives import (
    DAY,
    NotAllowed,
    Refused,
    Saving,
    WrongName,
    draft_of,
    into_template,
    preview,
    write,
)
from console.sandbox.faults import Rule
from store import ingest
from store.database import Store
from store.logic import compile_rule
from store.models import ConfigurationRecord, Detection, Journal
from store.queries.alerts import by_detect_id
from store.secret import Secret
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from store.yaml import load
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import CUSTOMERS, NOW, RULES, detection, fill, oid_of

CAT = RULES[0][0]
BY_NAME = {"op": "is", "path": "cat", "value": CAT}


def decide(store: Store, number: int, **values: Any) -> None:
    table = Detection.__table__  # type: ignore[attr-defined]
    with store.writing() as connection:
        oid = oid_of(number % len(CUSTOMERS))
        ident = f"1f2e3d4c-5b6a-4788-9990-{number:012d}"
        connection.execute(
            update(table).where(table.c.oid == oid, table.c.detect_id == ident).values(**values)
        )


# Preview


def test_a_preview_says_for_each_organization_what_would_have_been_hidden(store: Store) -> None:
    fill(store, detections=60)
    decide(store, 6, classification=1, status=3)
    decide(store, 12, classification=1, status=3, tags="benign")
    decide(store, 18, classification=2, status=3)
    effect = preview(store.reader, BY_NAME, now=NOW)
    assert effect.complete
    assert {row.oid: row.hidden for row in effect.organizations} == {oid_of(n): 2 for n in range(5)}
    assert all(row.hidden + row.kept + row.not_evaluated == row.total == 12 for row in effect.organizations)
    totals = effect.totals
    assert (totals.total, totals.hidden, totals.true_positives, totals.not_evaluated) == (60, 10, 1, 0)
    assert effect.organizations[0].oid == oid_of(6 % 5)
    assert effect.evaluated == 10, "only those with that name have to be read"
    shown = [(each.alert.classification, each.alert.benign) for each in effect.hidden]
    assert shown[:2] == [(1, False), (1, True)]
    assert shown[-1] == (2, False)
    assert effect.warnings == ()


def test_a_preview_is_limited_to_a_scope_an_organization_and_days(store: Store) -> None:
    old = (oid_of(0), detection(600, oid_of(0), at=NOW - 40 * DAY))
    fill(store, detections=60, extra=[old])
    assert preview(store.reader, BY_NAME, scope="gold", now=NOW).totals.total == 24
    assert preview(store.reader, BY_NAME, oid=oid_of(2), now=NOW).totals.hidden == 2
    assert preview(store.reader, BY_NAME, now=NOW, days=30).totals.hidden == 10
    assert preview(store.reader, BY_NAME, now=NOW, days=50).totals.hidden == 11
    assert preview(store.reader, BY_NAME, scope="nowhere", now=NOW).organizations == ()


def test_what_cannot_be_evaluated_is_neither_hidden_nor_kept(store: Store) -> None:
    damaged = b'{"cat": "Encoded PowerShell download", "detect_id": "x'
    strange = json.dumps(
        {"cat": CAT, "detect_id": "y", "gen_time": NOW - 5, "detect": {"f": "\ud800"}}
    ).encode()
    fill(store, detections=5, extra=[(oid_of(1), damaged), (oid_of(1), strange)])
    effect = preview(store.reader, BY_NAME, now=NOW)
    row = next(row for row in effect.organizations if row.oid == oid_of(1))
    assert (row.total, row.hidden, row.kept, row.not_evaluated) == (3, 1, 1, 1)
    assert "cannot be read" in row.why
    lookup = {"op": "and", "rules": [BY_NAME, {"op": "lookup", "path": "cat", "resource": "hive://lookup/x"}]}
    effect = preview(store.reader, lookup, now=NOW)
    assert (effect.totals.hidden, effect.totals.not_evaluated) == (0, 3)
    assert any("3 detections were not evaluated" in warning for warning in effect.warnings)


@pytest.mark.parametrize(
    "condition",
    [
        BY_NAME | {"with child": {"op": "exists", "path": "/"}},
        BY_NAME | {"target": "detection"},
        {"op": "and", "rules": [BY_NAME, {"op": "in", "path": "cat", "values": [CAT]}]},
    ],
    ids=["stateful", "target", "in"],
)
def test_a_rule_that_can_be_evaluated_nowhere_keeps_no_detection_of_another_name(
    store: Store, condition: dict[str, Any]
) -> None:
    fill(store, detections=60)
    totals = preview(store.reader, condition, now=NOW).totals
    assert (totals.total, totals.hidden, totals.kept, totals.not_evaluated) == (60, 0, 0, 60)


NAMES = [
    "x\x00y",
    "\ud800x",
    "  pad ",
    "a\u202eb",
    "n\nl",
    "e\u0301",
    "",
    None,
    5,
    "x",
    "X",
    "y" * 400,
    "y" * 600,
]


def test_a_preview_says_what_the_rule_says_of_each_detection_by_itself(store: Store) -> None:
    bodies = [
        json.dumps({"cat": name, "detect_id": f"z{number}", "gen_time": NOW - 5, "detect": {}}).encode()
        for number, name in enumerate(NAMES)
    ]
    fill(store, detections=0, extra=[(oid_of(1), body) for body in bodies])
    by_name = [{"op": "is", "path": "cat", "value": name} for name in NAMES if isinstance(name, str)]
    named_x: dict[str, Any] = {"op": "is", "path": "/cat/", "value": "x"}
    conditions: list[dict[str, Any]] = [
        *by_name,
        named_x,
        named_x | {"not": True},
        named_x | {"case sensitive": False},
        {"op": "and", "rules": [named_x, {"op": "is", "path": "cat", "value": "X"}]},
        {"op": "and", "rules": [named_x, {"op": "lookup", "path": "cat", "resource": "hive://lookup/x"}]},
    ]
    for condition in conditions:
        rule = compile_rule(condition, kind="fp")
        said = [rule.evaluate(json.loads(body), now=NOW / 1000).value for body in bodies]
        totals = preview(store.reader, condition, now=NOW).totals
        shown = (totals.hidden, totals.kept, totals.not_evaluated)
        assert shown == (said.count(True), said.count(False), said.count(None)), condition


def test_dangerous_rules_are_warned_about(store: Store) -> None:
    fill(store, detections=20)
    everything = preview(store.reader, {"op": "exists", "path": "detect"}, now=NOW)
    assert everything.totals.hidden == 20
    assert any("every one of the 20" in warning for warning in everything.warnings)
    absent = {"op": "and", "rules": [BY_NAME, {"op": "is", "not": True, "path": "event/X", "value": "y"}]}
    effect = preview(store.reader, absent, now=NOW)
    assert effect.totals.hidden == 4
    assert all(each.by_absence for each in effect.hidden)
    assert any("4 of the hidden ones are hidden only because" in warning for warning in effect.warnings)
    present = {
        "op": "and",
        "rules": [BY_NAME, {"op": "is", "not": True, "path": "routing/hostname", "value": "y"}],
    }
    assert not any(each.by_absence for each in preview(store.reader, present, now=NOW).hidden)


def test_a_preview_can_be_stopped_and_says_how_far_it_came(one_store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr("store.queries.falsepositives.PAGE", 4)
    fill(one_store, detections=30)
    told: list[int] = []
    rule = {"op": "contains", "path": "cat", "value": "PowerShell"}
    effect = preview(
        one_store.reader,
        rule,
        now=NOW,
        report=lambda progress: told.append(progress.done),
        cancelled=lambda: len(told) == 3,
    )
    assert told == [4, 8, 12]
    assert (effect.complete, effect.evaluated) == (False, 12)
    whole = preview(one_store.reader, rule, now=NOW)
    assert (whole.complete, whole.evaluated, whole.totals.hidden) == (True, 30, 5)


def test_what_is_no_rule_is_refused_with_where_and_why(one_store: Store) -> None:
    with pytest.raises(Refused, match="unknown operator 'regex'"):
        preview(one_store.reader, {"op": "regex"})
    with pytest.raises(Refused, match="without 'detect' around it"):
        preview(one_store.reader, {"detect": BY_NAME})


def test_a_draft_of_a_stored_alert_hides_it(store: Store) -> None:
    fill(store, detections=30, extra=[(oid_of(0), b"{broken")])
    with store.reader.reading() as connection:
        [alert] = by_detect_id(connection, f"1f2e3d4c-5b6a-4788-9990-{6:012d}")
    drafted = draft_of(alert)
    effect = preview(store.reader, drafted.condition, now=NOW)
    assert [each.alert.detect_id for each in effect.hidden] == [alert.row.detect_id]
    with store.reader.reading() as connection:
        table = Detection.__table__  # type: ignore[attr-defined]
        ident = connection.execute(select(table.c.detect_id).where(table.c.damaged)).scalar_one()
        [broken] = by_detect_id(connection, ident)
    with pytest.raises(Refused, match="cannot be read"):
        draft_of(broken)


# Into the Hive


@asynccontextmanager
async def provider(store: Store, *, protected: bool = False) -> AsyncIterator[tuple[Any, Cloud]]:
    async with sandbox(orgs=3, detections=60) as served:
        one = served.world.organizations[1]
        with store.writing() as connection:
            ingest.put_organizations(
                connection,
                [{"oid": each.oid, "name": each.name} for each in served.world.organizations],
                complete=True,
                now=now_ms(),
            )
            nodes = [TreeNode(id="root", parent=None, name="All")]
            marks = ("protected",) if protected else ()
            nodes.append(TreeNode(id="one", parent="root", name="One", oid=one.oid, marks=marks))
            replace_tree(connection, nodes)
        root = served.world.access.users[served.world.access.root]
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url)) as cloud:
            yield served, cloud


def saving(name: str = "fp-test", **changed: Any) -> Saving:
    now = now_ms()
    values: dict[str, Any] = {
        "condition": BY_NAME, "expiry": now + 90 * DAY, "review": now + 30 * DAY, "reason": "vendor scan",
    }  # fmt: skip
    return Saving(name, **(values | changed))


def journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        rows = connection.execute(select(table).where(table.c.action.like("fp.%")).order_by(table.c.seq))
        return list(rows)


async def test_a_rule_is_written_once_and_read_back(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        one = served.world.organizations[1]
        wanted = saving()
        done = await write(one.oid, wanted, store=one_store, cloud=cloud)
        assert done.outcome == "done", done.sentence
        held = await cloud.organization(one.oid).hive_record("fp", "fp-test")
        again = await write(one.oid, wanted, store=one_store, cloud=cloud)
    assert held.body == BY_NAME
    assert (held.metadata["enabled"], held.metadata["expiry"]) == (True, wanted.expiry)
    assert held.metadata["tags"] == ["limegrove"]
    assert held.metadata["comment"].startswith("Review by 20")
    assert "vendor scan" in held.metadata["comment"]
    assert again.outcome == "already"
    intent, result = journal(one_store)
    assert (intent.detail["step"], intent.detail["body"], intent.detail["before"]) == (
        "intent",
        BY_NAME,
        None,
    )
    assert (result.detail["outcome"], result.detail["intent"]) == ("done", intent.seq)
    table = ConfigurationRecord.__table__  # type: ignore[attr-defined]
    with one_store.reader.reading() as connection:
        row = connection.execute(select(table).where(table.c.name == "fp-test")).one()
    assert (row.section, row.oid, row.enabled, row.etag) == ("hive/fp", one.oid, True, held.etag)


async def test_what_is_there_is_replaced_only_when_asked_for_and_under_its_etag(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        await write(oid, saving(), store=one_store, cloud=cloud)
        other = saving(condition={"op": "is", "path": "cat", "value": "Other"})
        with pytest.raises(Refused, match="already"):
            await write(oid, other, store=one_store, cloud=cloud)
        done = await write(oid, other, store=one_store, cloud=cloud, replace_existing=True)
        held = await cloud.organization(oid).hive_record("fp", "fp-test")
        served.faults.add(Rule("status", status=400, method="POST", path="*/data", body='{"error": "lc_error_code:ETAG_MISMATCH - x"}'))  # fmt: skip
        with pytest.raises(Refused, match="meanwhile"):
            await write(oid, saving(), store=one_store, cloud=cloud, replace_existing=True)
        assert (await cloud.organization(oid).hive_record("fp", "fp-test")).etag == held.etag
    assert (done.outcome, held.body) == ("done", other.condition)
    assert journal(one_store)[2].detail["before"]["body"] == BY_NAME
    assert journal(one_store)[-1].detail["outcome"] == "conflict"


async def test_the_name_of_a_protected_organization_is_typed(one_store: Store) -> None:
    async with provider(one_store, protected=True) as (served, cloud):
        one = served.world.organizations[1]
        for typed in ("", "something else"):
            with pytest.raises(WrongName):
                await write(one.oid, saving(), store=one_store, cloud=cloud, typed=typed)
        assert journal(one_store) == []
        assert (
            await write(one.oid, saving(), store=one_store, cloud=cloud, typed=one.name)
        ).outcome == "done"


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({"condition": {"op": "nope"}}, "unknown operator"),
        ({"expiry": 1}, "over already"),
        ({"review": 1}, "over already"),
        ({"name": " "}, "needs a name"),
    ],
)
async def test_what_means_nothing_is_refused_before_anything_is_sent(
    one_store: Store, changed: Any, about: str
) -> None:
    async with provider(one_store) as (served, cloud):
        with pytest.raises(Refused, match=about):
            await write(served.world.organizations[1].oid, saving(**changed), store=one_store, cloud=cloud)
    assert journal(one_store) == []


async def test_an_answer_that_is_lost_is_read_back_and_never_sent_again(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(Rule("drop", method="POST", path="*/{key}/data", effect=True))
        done = await write(oid, saving(), store=one_store, cloud=cloud)
        assert served.faults.listed()[0]["applied"] == 1
        served.faults.clear()
        served.faults.add(Rule("drop", method="POST", path="*/{key}/data"))
        lost = await write(oid, saving("fp-lost"), store=one_store, cloud=cloud)
    assert done.outcome == "done"
    assert lost.outcome == "unknown"
    assert [entry.detail.get("outcome") for entry in journal(one_store)] == [None, "done", None, "unknown"]


async def test_without_the_permission_it_is_refused_and_nothing_changes(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(
            Rule("status", status=400, method="POST", path="*/{key}/data", body='{"error": "lc_error_code:UNAUTHORIZED - missing fp.ctrl"}')
        )  # fmt: skip
        with pytest.raises(NotAllowed, match=r"fp\.ctrl"):
            await write(oid, saving(), store=one_store, cloud=cloud)
        with pytest.raises(LimaCharlieError):
            await cloud.organization(oid).hive_record("fp", "fp-test")
    assert journal(one_store)[-1].detail["outcome"] == "denied"


# Into a file


def test_a_rule_is_put_into_a_template_as_a_whole_or_not_at_all(one_store: Store, tmp_path: Any) -> None:
    file = tmp_path / "base.yaml"
    file.write_text("# base\nversion: 3\nhives:\n  dr-general: {}   # none yet\n")
    file.chmod(0o640)
    wanted = saving()
    done = into_template(file, wanted, store=one_store)
    assert done.outcome == "done"
    text = file.read_text()
    assert "# base" in text
    assert "# none yet" in text
    record = load(text).value["hives"]["fp"]["fp-test"]
    assert (record["data"], record["usr_mtd"]["enabled"]) == (BY_NAME, True)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.glob("*.yaml*")] == ["base.yaml"]
    assert into_template(file, wanted, store=one_store).outcome == "already"
    with pytest.raises(Refused, match="already"):
        into_template(file, saving(condition={"op": "exists", "path": "detect/event/A"}), store=one_store)
    assert file.read_text() == text
    assert [entry.action for entry in journal(one_store)] == ["fp.template"]


def test_a_new_file_is_made_and_a_bad_one_left_alone(one_store: Store, tmp_path: Any) -> None:
    new = tmp_path / "new.yaml"
    assert into_template(new, saving(), store=one_store).outcome == "done"
    assert load(new.read_text()).value["version"] == 3
    bad = tmp_path / "bad.yaml"
    bad.write_bytes(b"version: 3\n\xff")
    with pytest.raises(Refused, match="UTF-8"):
        into_template(bad, saving(), store=one_store)
    assert bad.read_bytes() == b"version: 3\n\xff"
    with pytest.raises(Refused, match="cannot be written"):
        into_template(tmp_path / "no" / "where.yaml", saving(), store=one_store)
