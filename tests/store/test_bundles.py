"""What a bundle holds of the store: all of its own organizations, nothing of others', and no lie is taken in."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from store import bundles, folds, ingest, maintenance, textindex, tree
from store.alerts import AlertFilter
from store.bundles import FULL, NO_EVENTS, NO_PEOPLE, NOTHING, PARTS, PROFILES, BadBundle, Taking
from store.closure import World
from store.database import Store
from store.queries import alerts
from tests.helpers.canaries import NAMES, NOW, TABLES, X, Y, canary, fill

Parts = dict[str, list[dict[str, Any]]]


def parts_of(store: Store, node: str = "vexatia", profile: str = FULL, since: int | None = None) -> Parts:
    """A bundle as it would be written, as JSON has it."""
    with store.reader.reading() as c:
        wanted = bundles.scope(c, node)
        return {
            name: json.loads(json.dumps(list(rows)))
            for name, rows in bundles.rows(c, wanted, bundles.redaction(c, wanted, profile), since=since)
        }


def said(parts: Parts) -> str:
    """Every text in it, bodies decoded."""
    texts = [json.dumps(parts, ensure_ascii=False)]
    for rows in parts.values():
        for row in rows:
            for key in ("body",):
                if row.get(key):
                    texts.append(base64.b64decode(row[key]).decode("utf-8", "replace"))
    return "\n".join(texts)


def fill_sensibly(store: Store) -> Store:
    """Two organizations in every table, with days and cases that there may be."""
    fill(store)
    with store.writing() as c:
        c.execute(update(TABLES["case_record"]).values(severity=2, status=0, classification=0))
        for name in ("usage", "quota_reading"):
            c.execute(update(TABLES[name]).values(day="2026-09-21"))
    return store


@pytest.fixture
def filled(store: Store) -> Store:
    """Two organizations in every table."""
    return fill_sensibly(store)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    """Where a bundle is taken in."""
    store = Store(f"sqlite:///{tmp_path / 'taken.db'}")
    yield store
    store.close()


def take(store: Store, parts: Parts, oids: tuple[str, ...] = (X,)) -> None:
    taking = Taking(store, oids)
    for name, rows in parts.items():
        taking.take(name, [json.dumps(row).encode() for row in rows])
    taking.finish()


def test_every_table_says_what_a_bundle_takes_of_it() -> None:
    """Whoever adds a table says in `store.bundles.PARTS` whether a bundle holds it."""
    assert set(PARTS) == {*TABLES, textindex.TABLE}
    for name, (how, why) in PARTS.items():
        assert how or why, f"{name}: nobody says why a bundle does not hold it"


def test_a_bundle_holds_its_organization_and_nothing_of_its_neighbour(filled: Store) -> None:
    parts = parts_of(filled)
    # What a group is for that both are in, and who is in it, is of both.
    parts["group_role"] = []
    parts["user_account"] = [row for row in parts["user_account"] if row["email"] == canary("email", X)]
    found = said(parts)
    for name, (how, _) in PARTS.items():
        for column in TABLES[name].columns if name in TABLES else ():
            assert canary(name, column.name, Y) not in found or how == NOTHING, (name, column.name)
    words = (
        "organization",
        "record",
        "body",
        "target",
        "detail",
        "command",
        "path",
        "label",
        "email",
        "host",
    )
    assert [word for word in words if canary(word, Y) in found] == []
    assert Y not in found
    assert NAMES[Y] not in found
    for word in (
        "documentation",
        "record",
        "body",
        "command",
        "path",
        "label2",
        "parameter2",
        "email",
        "host",
    ):
        assert canary(word, X) in found, word
    for name in ("sensor", "api_key", "audit_entry", "usage", "organization_error"):
        assert any(canary(name, column.name, X) in found for column in TABLES[name].columns), name
    for name in ("journal", "triage_action", "access_review", "run", "rollout_plan", "staged_change"):
        assert not any(canary(name, column.name, X) in found for column in TABLES[name].columns), name


def test_what_is_taken_in_is_what_was_written(filled: Store, empty: Store) -> None:
    before = parts_of(filled)
    assert all(before[name] for name, (how, _) in PARTS.items() if how != NOTHING and name != "fold_key")
    take(empty, before)
    after = parts_of(empty)
    for name in before:
        one, other = (
            sorted(json.dumps(row, sort_keys=True) for row in each[name]) for each in (before, after)
        )
        assert one == other, name
    assert [each for each in maintenance.check(empty.url) if not each.ok] == []
    with empty.reader.reading() as c, filled.reader.reading() as old:
        for line in (AlertFilter(), AlertFilter(snoozed="any", statuses=(0, 1, 2, 3))):
            found = alerts.page(c, line, limit=100)
            kept = [row for row in alerts.page(old, line, limit=100) if row.oid == X]
            assert [row.detect_id for row in found] == [row.detect_id for row in kept]
            assert alerts.count(c, line).value == len(found)
        word = textindex.words_query("sqlite", canary("command", X))
        assert textindex.count(c, word, cap=9) == 2
    with empty.reader.reading() as c:
        folds = c.execute(select(TABLES["fold"].c.total)).scalars().all()
    assert sorted(folds) == [1, 1, 2] or sum(folds) == 4


def test_an_organization_above_the_scope_is_the_name_of_a_folder(filled: Store, empty: Store) -> None:
    with filled.writing() as c:
        nodes = {node.id: node for node in tree.stored_tree(c)}
        above = replace(
            nodes["holding"], labels={"contract": "4711"}, parameters={"price": 7}, marks=("frozen",)
        )
        below = replace(nodes["vexatia"], parent="holding")
        tree.replace_tree(c, [nodes["all"], nodes["folder"], above, below])
    parts = parts_of(filled)
    [found] = [row for row in parts["node"] if row["id"] == "holding"]
    assert (found["name"], found["oid"], found["labels"], found["parameters"], found["marks"]) == (
        NAMES[Y], None, {}, {}, ["frozen"],
    )  # fmt: skip
    assert Y not in said(parts)
    take(empty, parts)
    with empty.reader.reading() as c:
        assert bundles.scope(c, "holding").oids == (X,)


def test_alerts_fold_there_as_they_do_here(filled: Store, empty: Store) -> None:
    wanted = {"*": ["host"], "shared-rule": ["user"], "of nobody here": ["hash"]}
    with filled.writing() as c:
        c.execute(TABLES["fold_key"].delete())
        for rule, fields in wanted.items():
            folds.set_key(c, rule, fields, by="kim", at=NOW)
    parts = parts_of(filled)
    take(empty, parts)
    with empty.reader.reading() as c:
        assert folds.keys(c) == {"*": ("host",), "shared-rule": ("user",)}
    with filled.writing() as c:
        alert = TABLES["detection"]
        c.execute(update(alert).values(rule="", cat="of nobody here"))
    assert {row["rule"] for row in parts_of(filled)["fold_key"]} == {"*", "of nobody here"}


def test_a_bundle_of_everything_has_both_and_a_node_that_is_above(filled: Store, empty: Store) -> None:
    parts = parts_of(filled, "")
    assert {row["oid"] for row in parts["organization"]} == {X, Y}
    take(empty, parts, (X, Y))
    assert [row["id"] for row in parts_of(filled)["node"]] == ["all", "folder", "vexatia"]
    assert [row["id"] for row in parts["node"]] == ["all", "folder", "vexatia", "holding"]
    with empty.reader.reading() as c:
        assert set(bundles.scope(c, "").oids) == {X, Y}


def test_alerts_and_audit_entries_may_be_the_latest_alone(filled: Store) -> None:
    whole = parts_of(filled)
    late = parts_of(filled, since=NOW - 90_000)
    assert [len(each["detection"]) for each in (whole, late)] == [4, 2]
    assert late["audit_entry"] == []  # of 1970
    assert late["organization"] == whole["organization"]


@pytest.mark.parametrize("profile", [NO_EVENTS, NO_PEOPLE])
def test_without_events_the_alerts_say_what_was_decided_and_nothing_they_saw(
    filled: Store, empty: Store, profile: str
) -> None:
    parts = parts_of(filled, profile=profile)
    found = said(parts)
    for word in ("command", "path", "host"):
        assert canary(word, X) not in found
    assert not any(
        parts[name] for name in PARTS if name in parts and (name == "sensor" or name.startswith("case_"))
    )
    assert len(parts["detection"]) == 4
    take(empty, parts)
    with empty.reader.reading() as c:
        [*shown] = alerts.page(c, AlertFilter(snoozed="any"), limit=9)
    assert {(row.hostname, row.sid) for row in shown} == {("", "")}
    assert {row.rule for row in shown} == {"shared-rule"}
    assert [each for each in maintenance.check(empty.url) if not each.ok] == []


def test_without_people_the_same_person_is_the_same_number_everywhere(filled: Store, empty: Store) -> None:
    with filled.writing() as c:
        direct, record = TABLES["direct_permission"], TABLES["sync_state"]
        c.execute(update(direct).where(direct.c.oid == X).values(email="staff@provider.example"))
        c.execute(
            update(record).where(record.c.oid == X).values(reason="staff@provider.example has no right")
        )
    parts = parts_of(filled, profile=NO_PEOPLE)
    found = said(parts)
    assert "staff@" not in found
    assert canary("email", X) not in found
    [of_group] = [row["email"] for row in parts["group_member"] if row["gid"] == "g-both"]
    assert of_group.endswith("@removed.invalid")
    assert [row["email"] for row in parts["direct_permission"]] == [of_group]
    assert any(row["reason"].startswith(of_group) for row in parts["sync_state"])
    assert of_group in {row["email"] for row in parts["user_account"]}
    assert parts["customer_document"] == []
    take(empty, parts)


def test_who_acted_without_an_address_is_a_number_in_the_entry_as_received_too(filled: Store) -> None:
    details = {"ident": "Dana", "mtd": {"by": ["dana"]}, "msg": "dana was here", "key": "forwarder"}
    with filled.writing() as c:
        audit, use, key = TABLES["audit_entry"], TABLES["audit_use"], TABLES["api_key"]
        c.execute(update(audit).values(actor="dana", message="", details=details))
        c.execute(update(key).values(name="forwarder"))
        c.execute(update(use).values(actor="forwarder"))
    parts = parts_of(filled, profile=NO_PEOPLE)
    [entry] = parts["audit_entry"]
    assert entry["actor"].startswith("person-")
    assert entry["details"]["ident"].lower() == entry["details"]["mtd"]["by"][0] == entry["actor"]
    assert entry["details"]["msg"] == "dana was here"  # a text
    assert [row["actor"] for row in parts["audit_use"]] == ["forwarder"] == [
        row["name"] for row in parts["api_key"]
    ]  # fmt: skip


def test_a_person_in_two_spellings_is_one_number_and_two_rows(filled: Store, empty: Store) -> None:
    direct = TABLES["direct_permission"]
    names = ["kim@acme.example", "Kim@acme.example", "KIM@ACME.example"]
    with filled.writing() as c:
        c.execute(direct.delete())
        for name in names:
            c.execute(direct.insert().values(oid=X, email=name, permissions=[]))
    parts = parts_of(filled, profile=NO_PEOPLE)
    found = {row["email"] for row in parts["direct_permission"]}
    assert len(found) == 3
    assert len({each.lower() for each in found}) == 1
    take(empty, parts)


def test_no_digest_without_people_tells_who_it_was(filled: Store) -> None:
    """Whoever guesses an address would see that a digest of the entry with it is the one that is there."""
    whole, without = parts_of(filled), parts_of(filled, profile=NO_PEOPLE)
    for name, column in (("audit_entry", "digest"), ("access_event", "digest"), ("group_role", "file_hash")):
        assert without[name], name
        assert not {row[column] for row in whole[name]} & {row[column] for row in without[name]}, name
    assert {(row["cursor"], row["fingerprint"]) for row in without["sync_state"]} == {("", "")}


def test_contents_that_name_a_person_are_another_content_without(filled: Store, empty: Store) -> None:
    from store import ingest
    from store.configuration import Record

    with filled.writing() as c:
        record = Record({"to": "kim@acme.example", "as well": ["lee@acme.example", "kim@acme.example"]})
        ingest.put_configuration(c, X, "output", {"mail": record}, NOW + 1)
    parts = parts_of(filled, profile=NO_PEOPLE)
    assert "acme.example" not in said(parts)
    take(empty, parts)
    bodies = [json.loads(base64.b64decode(row["body"])) for row in parts["configuration_body"]]
    [mail] = [body for body in bodies if "to" in body]
    assert mail["as well"][1] == mail["to"] != mail["as well"][0]


def _changed(name: str, /, **changes: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts[name][0] |= changes

    return change


def _twice(name: str) -> Callable[[Parts], None]:
    return lambda parts: parts[name].append(dict(parts[name][0]))


def _without(name: str, key: str) -> Callable[[Parts], None]:
    return lambda parts: parts[name][0].pop(key)


LIES: dict[str, tuple[Callable[[Parts], object], str]] = {
    "another organization": (_changed("sensor", oid=Y), "does not name"),
    "another organization's alert": (_changed("detection", oid=Y), "does not name"),
    "another organization's node": (lambda parts: parts["node"][-1].update(oid=Y), "does not name"),
    "a group nobody lists": (_changed("group_member", gid="g-z"), "does not have"),
    "a content that is another": (
        _changed("configuration_body", body=base64.b64encode(b'{"op":"other"}').decode()), "another one"),
    "a content that is none": (_changed("configuration_body", body=base64.b64encode(b"{").decode()), "another one"),
    "a content in another form": (
        lambda parts: parts["configuration_body"][0].update(
            body=base64.b64encode(b" " + base64.b64decode(parts["configuration_body"][0]["body"])).decode()
        ), "another one"),
    "a record without content": (_changed("configuration_record", hash="0" * 64), "does not have its content"),
    "a column too many": (_changed("organization", admin=True), "columns of its table"),
    "a column too few": (_without("organization", "name"), "columns of its table"),
    "a number as a text": (_changed("organization", first_seen="1"), "first_seen"),
    "a number that no column holds": (_changed("organization", first_seen=2**63), "first_seen"),
    "a small number that is none": (_changed("detection", severity=70_000), "severity"),
    "a time before all": (_changed("organization", first_seen=-1), "first_seen"),
    "a time that no calendar has": (_changed("detection", time=253_402_300_800_000), "time"),
    "a clock that never breaches": (_changed("detection", due_at=2**53 + 1), "due_at"),
    "a day that is none": (_changed("usage", day="2026-02-31"), "day"),
    "a day in another form": (_changed("usage", day="20260201"), "day"),
    "a number beyond every number": (_changed("usage", value=10**400), "value"),
    "a case of no severity": (_changed("case_record", severity=9), "no such severity"),
    "a rank there is not": (_changed("detection", rank=6), "no such severity"),
    "no document": (_changed("customer_document", document=None), "document"),
    "no fields": (lambda parts: parts.update(
        fold_key=[{"rule": "*", "fields": None, "by": "", "at": 1}]), "fields"),
    "no organizations": (lambda parts: parts.update(organization=[]), "does not have all organizations"),
    "a part less": (lambda parts: parts.pop("sensor"), "another one is missing"),
    "the last part less": (lambda parts: parts.pop("case_item"), "does not have the part case_item"),
    "parts in another order": (lambda parts: parts.update(node=parts.pop("node")), "not where that part"),
    "a node without a name": (lambda parts: parts["node"][0].update(name=""), "no node"),
    "a node with half a letter": (lambda parts: parts["node"][0].update(name="\ud800"), "no node"),
    "a node with a reserved id": (lambda parts: parts["node"][-1].update(id="unplaced"), "no node"),
    "a label that is no text": (lambda parts: parts["node"][0].update(labels={"tier": ["gold"]}), "no node"),
    "a mark there is not": (lambda parts: parts["node"][0].update(marks=["admin"]), "no node"),
    "a tree without a floor": (
        lambda parts: parts["node"].extend(
            parts["node"][0] | {"id": f"n{at}", "parent": f"n{at - 1}" if at else "folder"} for at in range(200)
        ), "tree in it is none"),
    "a severity there is not": (_changed("detection", severity=5), "no such severity"),
    "a status there is not": (_changed("detection", status=-1), "no such severity"),
    "a truth as a number": (_changed("detection", version=True), "version"),
    "a text as a list": (_changed("organization", name=["Acme"]), "name"),
    "a text with a zero byte": (_changed("organization", name="a\0b"), "name"),
    "half a letter": (_changed("organization", name="\ud800"), "name"),
    "nothing where there is something": (_changed("organization", name=None), "name"),
    "a list as an object": (_changed("direct_permission", permissions={"dr.set": 1}), "permissions"),
    "a list of something else": (_changed("direct_permission", permissions=[1]), "permissions"),
    "a documentation that is none": (_changed("customer_document", document={"time_zone": "Mars"}), "is none"),
    "a body that is no base64": (_changed("detection", body="!!!"), "body"),
    "a snooze that is none": (_changed("detection", snooze=7), "snooze"),
    "a snooze with more": (_changed("detection", snooze={"until": 1}), "columns of its table"),
    "the same organization twice": (_twice("organization"), "twice"),
    "the same alert twice": (_twice("detection"), "twice"),
    "the same sensor twice": (_twice("sensor"), "twice"),
    "a tree with a cycle": (lambda parts: parts["node"][0].update(parent="vexatia"), "tree in it is none"),
    "a node that is none": (lambda parts: parts["node"][0].update(labels=[]), "no node"),
    "a part that no bundle has": (lambda parts: parts.update(journal=[{}]), "no bundle has"),
    "a part of nothing": (lambda parts: parts.update({"sqlite_master": [{}]}), "no bundle has"),
    "a row that is no object": (lambda parts: parts["sensor"].append([]), "JSON of one row"),  # type: ignore[arg-type]
    "infinity": (_changed("organization", details={"n": float("inf")}), "JSON of one row"),
}  # fmt: skip


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, sqlite_made: Path) -> str:
    """The parts of a bundle without a lie, as JSON."""
    path = tmp_path_factory.mktemp("honest") / "store.db"
    shutil.copy(sqlite_made, path)
    store = Store(f"sqlite:///{path}")
    fill_sensibly(store)
    parts = json.dumps(parts_of(store))
    store.close()
    return parts


@pytest.mark.parametrize("lie", LIES)
def test_a_row_that_is_not_what_it_has_to_be_is_refused(honest: str, empty: Store, lie: str) -> None:
    parts: Parts = json.loads(honest)
    change, told = LIES[lie]
    change(parts)
    with pytest.raises(BadBundle, match=told):
        take(empty, parts)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[" * 100_000, b'{"oid": 1, "oid": 2}', b"\xff", b"null", b'{"oid": 1e999}']
)
def test_a_line_that_is_no_row_is_refused(empty: Store, line: bytes) -> None:
    with pytest.raises(BadBundle, match="organization, row 1: it is not the JSON"):
        Taking(empty, (X,)).take("organization", [line])


def test_rows_are_put_in_before_they_fill_the_memory(
    filled: Store, empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_FILLED", 10)
    told: list[int] = []
    parts = parts_of(filled)
    taking = Taking(empty, (X,))
    for name, rows in parts.items():
        taking.take(
            name, [json.dumps(row).encode() for row in rows], told.append if name == "detection" else str
        )
    assert told == [1, 2, 3, 4]


def test_a_tree_larger_than_any_is_not_read_to_its_end(
    filled: Store, empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_TREE", 100)
    with pytest.raises(BadBundle, match="larger than any"):
        take(empty, parts_of(filled))


def test_alerts_that_took_longer_than_a_store_can_add_up_are_refused(
    filled: Store, empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number of milliseconds is the sum over all of a fold: the database would stop at it later."""
    monkeypatch.setattr(bundles, "_SPENT", 1_000)
    parts = parts_of(filled)
    for row in parts["detection"]:
        row |= {"acknowledged_at": 1, "resolved_at": 401}
    with pytest.raises(BadBundle, match="row 3: it and those before it took longer"):
        take(empty, parts)


def test_a_line_longer_than_any_is_not_read(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "LONGEST_PLAIN", 10)
    with pytest.raises(BadBundle, match="larger than any row"):
        Taking(empty, (X,)).take("organization", [b'{"oid": "........"}'])


def test_what_was_never_read_is_named(filled: Store) -> None:
    with filled.writing() as c:
        state = TABLES["sync_state"]
        c.execute(state.delete())
        c.execute(
            state.insert().values(oid=X, subject="access", checked_at=NOW, failure="auth", reason="403")
        )
        c.execute(state.insert().values(oid=X, subject="detections", checked_at=NOW))
    with filled.reader.reading() as c:
        found = bundles.scope(c, "vexatia")
    assert found.unread == ((X, "configuration", "it was never read"), (X, "access", "403"))
    assert (found.names, found.path) == ({X: NAMES[X]}, f"{NAMES[X]}/{NAMES[X]}")


def test_every_profile_says_what_it_leaves_out() -> None:
    assert set(PROFILES) == {FULL, NO_EVENTS, NO_PEOPLE}
    assert all(PROFILES[name] for name in (NO_EVENTS, NO_PEOPLE))


# What was granted before


def _history(store: Store) -> None:
    """A group that held this organization until a day ago, and holds its neighbour alone since; who left it
    while it held this one, and who after that."""
    day = 86_400_000
    with store.writing() as c:
        for name in (
            "access_former",
            "group_member",
            "group_organization",
            "organization_group",
            "group_role",
            "access_event",
            "direct_permission",
            "api_key",
        ):
            c.execute(TABLES[name].delete())
        group = {
            "group_id": "g-shared", "name": "Shared", "owners": [], "perms": ["dr.set"],
            "members": ["stays@p.example", "leaves@p.example", "later@p.example"],
            "orgs": [{"org_id": X}, {"org_id": Y}],
        }  # fmt: skip
        ingest.put_groups(c, [group], now=NOW)
        ingest.put_access(c, X, {"user_permissions": {"kim@acme.example": ["org.get"]}}, now=NOW)
        fewer = group | {"members": ["stays@p.example", "later@p.example"]}
        ingest.put_groups(c, [fewer], now=NOW + day)
        ingest.put_groups(c, [fewer | {"orgs": [{"org_id": Y}]}], now=NOW + 2 * day)
        after = fewer | {"orgs": [{"org_id": Y}], "members": ["stays@p.example", "secret@y.example"]}
        ingest.put_groups(c, [after], now=NOW + 3 * day)
        ingest.put_access(c, X, {}, now=NOW + 3 * day)
        c.execute(TABLES["sync_state"].update().values(first_at=NOW))


def _holders(store: Store, at: int) -> set[str]:
    with store.reader.reading() as c:
        return {who for who, oid, _ in World.load(c, oid=X, at=at).closure()}


def test_who_had_what_is_answered_from_a_bundle_as_from_the_store(filled: Store, empty: Store) -> None:
    _history(filled)
    parts = parts_of(filled)
    take(empty, parts)
    for hours in range(0, 5 * 24, 12):
        at = NOW + hours * 3_600_000
        assert _holders(empty, at) == _holders(filled, at)
    assert len(_holders(empty, NOW)) == 4


def test_of_a_group_a_bundle_tells_only_what_it_was_while_it_held_the_organization(filled: Store) -> None:
    _history(filled)
    parts = parts_of(filled)
    assert parts["organization_group"] == []
    told = {(row["kind"], row["principal"]) for row in parts["access_former"] if not row["oid"]}
    people = ("stays@p.example", "leaves@p.example", "later@p.example")
    assert told == {("group", ""), *(("member", who) for who in people)}
    assert "secret@y.example" not in said(parts)
    assert max(row["valid_to"] for row in parts["access_former"] if not row["oid"]) <= NOW + 2 * 86_400_000


def test_who_had_something_once_is_a_number_in_a_bundle_without_people(filled: Store, empty: Store) -> None:
    _history(filled)
    parts = parts_of(filled, profile=NO_PEOPLE)
    held = said({"access_former": parts["access_former"], "user_account": parts["user_account"]})
    assert "example" not in held.replace("@removed.invalid", "")
    accounts = {row["email"] for row in parts["user_account"]}
    assert {row["principal"] for row in parts["access_former"] if row["principal"]} <= accounts
    take(empty, parts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "root"}, {"valid_to": 1}, {"oid": Y}, {"kind": "member", "oid": X}, {"kind": "direct", "oid": ""},
        {"kind": "member", "oid": "", "gid": "g-unknown"}, {"permissions": {"a": 1}},
    ],
)  # fmt: skip
def test_what_cannot_have_been_granted_is_not_taken_in(
    filled: Store, empty: Store, wrong: dict[str, Any]
) -> None:
    _history(filled)
    parts = parts_of(filled)
    parts["access_former"][0] |= wrong
    with pytest.raises(BadBundle, match="access_former, row 1"):
        take(empty, parts)
