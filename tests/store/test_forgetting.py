"""Forgetting an organization: a canary in every column, searched for in the bytes of every file."""

import hashlib
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    create_engine,
    insert,
    select,
    text,
)
from sqlmodel import AutoString, SQLModel

from store import forgetting, ingest, journal, maintenance, textindex, tree
from store.bodies import pack, unpack
from store.configuration import Record, canonical, content_hash
from store.database import Store, sqlite_path
from store.errors import StoreUnavailable
from store.forgetting import NOTHING, OURS, OWN, PLACES, CannotForget, Traces
from store.models.columns import CompactId
from store.reviews import line_digest

NOW = 1_790_000_000_000
X, Y = "aaaaaaaa-1111-4000-8000-7d2c91e5b3fa", "bbbbbbbb-2222-4000-8000-4f8a06d1c79b"
"""Their ends are nowhere else: `000a` would be, where a journal's first hash follows the zeros before it."""
NAMES = {X: "Vexatia Dental", Y: "Vexatia Dental Holding"}
"""The neighbour's name begins with that of the one that is forgotten."""
TABLES: dict[str, Table] = dict(SQLModel.metadata.tables)


SHARED = textindex.token_of("hash", "e" * 64)
"""A value that alerts of both speak of."""


def canary(*what: object) -> str:
    """A word that is nowhere else; the same each time."""
    return "q" + hashlib.sha256(repr(what).encode()).hexdigest()[:22]


def _value(table: Table, column: Any, oid: str) -> Any:
    word = canary(table.name, column.name, oid)
    kind = column.type
    if column.name == "oid":
        return oid
    if isinstance(kind, CompactId):
        return f"{content_hash([table.name, column.name, oid])[:8]}-0000-4000-8000-000000000000"
    if isinstance(kind, JSON):
        return {"said": word, "listed": [word], "oid": oid}
    if isinstance(kind, LargeBinary):
        return pack(canonical({"said": word}))
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer | Float):
        return 7 if oid == X else 8
    assert isinstance(kind, String | AutoString), (table.name, column.name, kind)
    return word


def _row(table: str, whose: str, /, **more: Any) -> dict[str, Any]:
    found = {column.name: _value(TABLES[table], column, whose) for column in TABLES[table].columns}
    return found | more


MADE = {
    "configuration_record", "organization", "detection_count", "sighting", "triage_change", "snooze",
    "campaign_alert", "group_organization", "case_detection", "organization_change", "node",
}  # fmt: skip
"""Rows of organizations' own that are made as the program makes them, for others rest on them."""


def _fill(store: Store) -> None:
    """Both organizations in every table, and rows that are about both."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": name, "said": canary("organization", oid)} for oid, name in NAMES.items()],
            complete=True, now=NOW,
        )  # fmt: skip
        numbers: dict[str, list[int]] = {}
        for oid in (X, Y):
            ingest.put_detections(c, oid, [_detection(oid, number) for number in range(4)])
            rows = c.execute(select(TABLES["detection"].c.id).where(TABLES["detection"].c.oid == oid))
            numbers[oid] = sorted(rows.scalars())
            ingest.put_configuration(
                c, oid, "hive/fp",
                {canary("record", oid): Record({"op": canary("body", oid)}), "shared": Record({"op": "both"})}, NOW,
            )  # fmt: skip
        assert textindex.watch(c, SHARED, common=4)
        for name, place in PLACES.items():
            if place.how == OWN and name not in MADE:
                for oid in (X, Y):
                    c.execute(insert(TABLES[name]).values(_row(name, oid)))
        _fill_tree(c)
        _fill_access(c)
        _fill_plans(c)
        _fill_reviews(c)
        _fill_work(c, numbers)
        for oid in (X, Y):
            journal.append(
                c, "mk@here", "sensor.isolate", oid, canary("target", oid), {"said": canary("detail", oid)}
            )
        journal.append(
            c, "mk@here", "alert.close", "", f"4 alerts of {NAMES[X]} and {NAMES[Y]}",
            {"organizations": {X: 2, Y: 2}, "listed": [X, Y], "path": f"Europe/{NAMES[X]}"},
        )  # fmt: skip
        ingest.put_organizations(c, [{"oid": Y, "name": NAMES[Y]}], complete=True, now=NOW + 1)


def _detection(oid: str, number: int) -> Any:
    raw = {
        "detect_id": f"{number:08x}-{oid[9:13]}-4000-8000-000000000000",
        "cat": canary("cat", oid, number // 2),
        "gen_time": NOW - number * 60_000,
        "source_rule": "shared-rule",
        "routing": {
            "oid": oid,
            "sid": f"{oid[:8]}-0000-4000-8000-000000000000",
            "hostname": canary("host", oid),
        },
        "detect": {
            "event": {
                "COMMAND_LINE": "whoami" if number < 2 else canary("command", oid),
                "FILE_PATH": "c:\\shared.exe" if number < 2 else f"c:\\{canary('path', oid)}.exe",
                "HASH": "e" * 64 if number < 2 else hashlib.sha256(f"{oid}".encode()).hexdigest(),
            }
        },
        "detect_mtd": {"level": "high"},
    }
    return ingest.detection_from(json.dumps(raw).encode(), oid, received=NOW)


def _fill_tree(c: Any) -> None:
    nodes = [
        tree.TreeNode("all", None, "All"),
        tree.TreeNode(
            "folder", "all", NAMES[X], None, {"contact": canary("label", X)}, {"p": canary("parameter", X)}
        ),
        tree.TreeNode(
            "vexatia", "folder", NAMES[X], X, {"l": canary("label2", X)}, {"p": canary("parameter2", X)}
        ),
        tree.TreeNode("holding", "all", NAMES[Y], Y, {"l": canary("label", Y)}, {"p": f"not of {NAMES[X]}!"}),
    ]
    tree.replace_tree(c, nodes)
    for node, oid in (("vexatia", X), ("folder", X), ("holding", Y)):
        c.execute(insert(TABLES["template_assignment"]).values(_row("template_assignment", oid, node_id=node, template=node)))  # fmt: skip


def _fill_access(c: Any) -> None:
    for gid, name, complete in (("g-both", "Analysts", True), ("g-x", canary("group", X), False)):
        c.execute(insert(TABLES["organization_group"]).values(_row("organization_group", X, gid=gid, name=name, complete=complete, permissions=["dr.set"])))  # fmt: skip
        c.execute(insert(TABLES["group_role"]).values(_row("group_role", X if gid == "g-x" else Y, gid=gid)))
    for gid, oid in (("g-both", X), ("g-both", Y), ("g-x", X)):
        c.execute(insert(TABLES["group_organization"]).values(gid=gid, oid=oid))
    c.execute(
        insert(TABLES["group_member"]).values(gid="g-both", email="staff@provider.example", owner=False)
    )
    c.execute(insert(TABLES["group_member"]).values(gid="g-x", email=canary("email", X), owner=False))
    people = {
        "staff@provider.example": Y, canary("email", X): X,
        canary("direct_permission", "email", X): X, canary("direct_permission", "email", Y): Y,
    }  # fmt: skip
    for email, oid in people.items():
        c.execute(insert(TABLES["user_account"]).values(_row("user_account", oid, email=email)))
    log = {"action": "add_org", "oid": X, "said": canary("group log", X)}
    ingest.put_group_log(
        c, "g-both", [log, {"action": "add_member", "member_email": "staff@provider.example"}]
    )
    for number, (gid, oid) in enumerate((("g-x", X), ("g-both", Y)), 1):
        changes = [{"kind": "remove_member", "gid": gid, "principal": canary("deadline", oid)}]
        c.execute(
            insert(TABLES["access_deadline"]).values(_row("access_deadline", oid, id=number, changes=changes))
        )
        gives = {"organizations": [X, Y] if oid == Y else [X], "privileged": []}
        c.execute(insert(TABLES["break_glass"]).values(_row("break_glass", oid, id=number, deadline_id=number, gid=gid, gives=gives, state=2)))  # fmt: skip
    c.execute(insert(TABLES["access_deadline"]).values(_row("access_deadline", X, id=3, changes=[{"kind": "delete_key", "oid": X}])))  # fmt: skip
    both = [{"kind": "delete_key", "oid": X}, {"kind": "delete_key", "oid": Y}]
    c.execute(insert(TABLES["access_deadline"]).values(_row("access_deadline", Y, id=4, changes=both, title=f"keys of {NAMES[X]}")))  # fmt: skip
    gives = [
        {"gid": "g-both", "name": f"{NAMES[X]} team", "role": f"{NAMES[X]} readers", "permissions": ["dr.set"]},
        {"gid": "g-y", "name": "Readers", "role": "Viewer", "permissions": []},
    ]  # fmt: skip
    c.execute(insert(TABLES["access_file"]).values(hash="h", groups=gives, planned_at=1))
    role = TABLES["group_role"]
    c.execute(role.update().where(role.c.gid == "g-both").values(role=f"{NAMES[X]} readers"))
    staged = _row("staged_change", Y, id=99, operator="mk", oid="", gid="g-x", principal=canary("staged", X))
    c.execute(insert(TABLES["staged_change"]).values(staged))


def _fill_plans(c: Any) -> None:
    for name, part, key in (("access_plan", "access_step", "plan_id"), ("rollout_plan", "rollout_step", "plan_id"), ("run", "run_item", "run_id")):  # fmt: skip
        c.execute(TABLES[part].delete())
        for number, oids in ((1, [X]), (2, [X, Y]), (3, [Y])):
            owner = oids[0] if len(oids) == 1 else Y
            more = {"id": number, "state": 2}
            if number == 2:
                more |= {"title": f"Change {NAMES[X]} and {NAMES[Y]}", "state": 0}
            if "organizations" in TABLES[name].c:
                more["organizations"] = oids
            if "seen" in TABLES[name].c:
                more |= {
                    "seen": {"list": oids, "parameters": dict.fromkeys(oids, "digest")},
                    "blocked": [{"oid": X, "reason": "r"}],
                }
            c.execute(insert(TABLES[name]).values(_row(name, owner, **more)))
            for seq, oid in enumerate(oids, 1):
                place = {"item": seq} if part == "run_item" else {"seq": seq}
                kept = {"previous": f"previous-{oid}"} if part == "rollout_step" else {}
                before = {"before": {"organizations": [X, Y]}} if part == "access_step" else {}
                c.execute(
                    insert(TABLES[part]).values(_row(part, oid, **{key: number}, **place, **kept, **before))
                )
                if part == "run_item":
                    c.execute(
                        insert(TABLES["run_step"]).values(
                            _row("run_step", oid, run_id=number, item=seq, seq=1)
                        )
                    )
            if name == "rollout_plan":
                gate = {"errors": {"said": f"{NAMES[X]} has errors", "baseline": dict.fromkeys(oids, 1)}}
                for other in ("rollout_wave", "rollout_approval"):
                    more = {
                        "plan_id": number,
                        **({"gate": gate} if other == "rollout_wave" else {"id": number}),
                    }
                    c.execute(insert(TABLES[other]).values(_row(other, owner, **more)))
    for oid in (X, Y):
        c.execute(insert(TABLES["rollout_body"]).values(_row("rollout_body", oid, hash=f"previous-{oid}")))
        c.execute(insert(TABLES["wanted_content"]).values(_row("wanted_content", oid, hash=canary("wanted_state", "wanted", oid))))  # fmt: skip


def _fill_reviews(c: Any) -> None:
    lists: dict[str, list[str]] = {
        "x": [X], "both": [X, Y], "y": [Y], "keys": [f"{X} hash1", f"{Y} hash2"], "permissions": ["dr.set"],
    }  # fmt: skip
    for listed in lists.values():
        c.execute(
            insert(TABLES["review_content"]).values(digest=content_hash(listed), body=pack(canonical(listed)))
        )
    readings = [[X, NAMES[X], 1, 1, "", ""], [Y, NAMES[Y], 1, 1, "", ""]]
    c.execute(
        insert(TABLES["review_content"]).values(digest=content_hash(readings), body=pack(canonical(readings)))
    )
    permissions = content_hash(lists["permissions"])
    lines = [
        (1, 1, "x", f"direct {X} a@b", "direct", X), (2, 2, "both", "member g-both a@b", "member", Y),
        (3, 2, "both", f"direct {X} a@b", "direct", Y), (4, 2, "keys", f"key {X} hash1", "key", Y),
        (5, 2, "y", f"direct {Y} c@d", "direct", Y),
    ]  # fmt: skip
    for review, title in ((1, canary("review", X)), (2, f"Who is in {NAMES[X]}")):
        more = {"readings": content_hash(readings), "title": title, "scope": "vexatia" if review == 1 else ""}
        c.execute(insert(TABLES["access_review"]).values(_row("access_review", X if review == 1 else Y, id=review, **more)))  # fmt: skip
    for number, review, listed, key, kind, oid in lines:
        places = content_hash(lists[listed])
        principal = "key" if kind == "key" else key.split()[-1] if oid == Y else canary("line", X)
        digest = line_digest(kind, principal, "", permissions, places)
        more = {
            "id": number, "review_id": review, "key": key, "kind": kind, "gid": "", "principal": principal,
            "permissions": permissions, "places": places, "digest": digest, "decided_permissions": permissions,
            "decided_places": places, "decided_digest": digest, "place_count": len(lists[listed]),
        }  # fmt: skip
        c.execute(insert(TABLES["review_line"]).values(_row("review_line", oid, **more)))
        more = {
            "id": number,
            "review_id": review,
            "line_id": number,
            "permissions": permissions,
            "places": places,
        }
        c.execute(
            insert(TABLES["review_decision"]).values(_row("review_decision", oid, digest=digest, **more))
        )


def _fill_work(c: Any, numbers: dict[str, list[int]]) -> None:
    folds = {oid: c.execute(select(TABLES["fold"].c.id).where(TABLES["fold"].c.oid == oid)).scalars().all() for oid in (X, Y)}  # fmt: skip
    for number, oids in ((1, [X]), (2, [X, Y])):
        hosts = {str(fold): [canary("hosts", oid)] for oid in oids for fold in folds[oid]}
        comment = canary("comment", X) if number == 1 else f"as {NAMES[X]} asked"
        more = {"id": number, "comment": comment, "detail": {"hosts": hosts}, "undone_at": None}
        c.execute(
            insert(TABLES["triage_action"]).values(
                _row("triage_action", oids[0] if number == 1 else Y, **more)
            )
        )
        for oid in oids:
            c.execute(insert(TABLES["triage_change"]).values(_row("triage_change", oid, action_id=number, detection_id=numbers[oid][0])))  # fmt: skip
            c.execute(insert(TABLES["campaign_alert"]).values(campaign_id=number, detection_id=numbers[oid][0], oid=oid))  # fmt: skip
        owner = X if number == 1 else Y
        titled = {} if number == 1 else {"title": f"{NAMES[X]} and {NAMES[Y]}"}
        c.execute(insert(TABLES["campaign"]).values(_row("campaign", owner, id=number, **titled)))
    for oid in (X, Y):
        c.execute(insert(TABLES["snooze"]).values(_row("snooze", oid, detection_id=numbers[oid][0], fold_id=folds[oid][0], more=None)))  # fmt: skip
        c.execute(insert(TABLES["case_detection"]).values(_row("case_detection", oid)))
    note = {"id": 98, "campaign_id": 2, "oid": "", "text": f"told {NAMES[X]}"}
    c.execute(insert(TABLES["campaign_note"]).values(_row("campaign_note", Y, **note)))
    for table, part, key in (("handover", "handover_item", "handover_id"), ("lcql_search", "lcql_organization", "search_id")):  # fmt: skip
        c.execute(TABLES[part].delete())
        for number, oids in ((1, [X]), (2, [X, Y])):
            said = {"note": f"see {NAMES[X]}"} if table == "handover" else {"query": f"* | * | {NAMES[X]}", "scope": NAMES[X]}  # fmt: skip
            owner = X if number == 1 else Y
            c.execute(
                insert(TABLES[table]).values(_row(table, owner, id=number, **(said if number == 2 else {})))
            )
            for oid in oids:
                more = (
                    {"id": number * 10 + (oid == Y), "hypothesis": f"as in {NAMES[X]}"}
                    if table == "handover"
                    else {}
                )
                c.execute(insert(TABLES[part]).values(_row(part, oid, **{key: number}, **more)))
    for name, scope, line in (("of it", "vexatia", canary("queue", X)), ("named", "", f'org:"{NAMES[X]}"'), ("other", "holding", "high")):  # fmt: skip
        c.execute(insert(TABLES["saved_queue"]).values(name=name, scope=scope, line=line, by="mk", at=1))
        c.execute(insert(TABLES["queue_look"]).values(name=name, operator="mk", seen=1, at=1))
    c.execute(insert(TABLES["preference"]), [{"key": "scope", "value": "vexatia"}, {"key": "pane", "value": {"open": [X, Y]}}])  # fmt: skip
    failed = [{"oid": X, "reason": canary("run", X)}, {"oid": Y, "reason": "denied"}]
    c.execute(
        insert(TABLES["sync_run"]).values(
            _row("sync_run", Y, id=1, failed=failed, note=f"reading {NAMES[X]}")
        )
    )
    c.execute(insert(TABLES["fold_key"]).values(rule=f"{NAMES[X]} rule", fields=["host"], by="mk", at=1))


CANARIES = sorted(
    {X}
    | {canary(name, column.name, X) for name, table in TABLES.items() for column in table.columns}
    | {canary(word, X) for word in ("organization", "record", "body", "target", "detail", "command", "path", "label", "parameter", "label2", "parameter2", "group", "email", "deadline", "staged", "group log", "review", "line", "comment", "hosts", "queue", "run", "host")}
    | {canary("cat", X, number) for number in (0, 1)}
)  # fmt: skip


def _bytes(store: Store) -> bytes:
    """Everything that the store is, as it lies on the disk; of PostgreSQL every row of every table."""
    path = sqlite_path(store.url)
    if path is not None:
        return b"".join(
            each.read_bytes() for each in sorted(path.parent.iterdir()) if each.name.startswith(path.name)
        )
    engine = create_engine(store.url)
    rows = []
    with engine.connect() as connection:
        names = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).scalars()
        for name in list(names):
            rows += connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()
        rows += connection.execute(
            text("SELECT s::text FROM pg_stats s WHERE schemaname = 'public'")
        ).scalars()
    engine.dispose()
    return "\n".join(rows).encode()


def _found(held: bytes, words: list[str]) -> set[str]:
    """Which of these are there: by their end, for an index leaves a common beginning out."""
    return {word for word in words if word[-12:].encode() in held}


def _packed(store: Store, oid: str) -> list[bytes]:
    """The middles of the compressed bytes that one organization alone has."""
    found = []
    with store.reader.reading() as c:
        detection, body = TABLES["detection"], TABLES["detection_body"]
        query = (
            select(body.c.body)
            .join(detection, detection.c.id == body.c.detection_id)
            .where(detection.c.oid == oid)
        )
        found += list(c.execute(query).scalars())
        for name in ("case_record", "lcql_row"):
            column = next(each for each in TABLES[name].c if isinstance(each.type, LargeBinary))
            found += list(c.execute(select(column).where(TABLES[name].c.oid == oid)).scalars())
        rollout = TABLES["rollout_body"]
        found += list(c.execute(select(rollout.c.body).where(rollout.c.hash == f"previous-{oid}")).scalars())
    return [bytes(each)[len(each) // 2 - 6 : len(each) // 2 + 6] for each in found]


def _neighbour(store: Store) -> dict[str, list[Any]]:
    """Every row of the neighbour's own, exactly; and which alerts its words find."""
    answer: dict[str, list[Any]] = {}
    with store.reader.reading() as c:
        for name, table in sorted(TABLES.items()):
            if "oid" in table.c and name not in ("journal", "node", "organization_change", "sighting", "access_step", "campaign_note", "handover_item"):  # fmt: skip
                answer[name] = sorted(map(repr, c.execute(select(table).where(table.c.oid == Y))))
        body, detection = TABLES["detection_body"], TABLES["detection"]
        query = (
            select(body).join(detection, detection.c.id == body.c.detection_id).where(detection.c.oid == Y)
        )
        answer["detection_body"] = sorted(map(repr, c.execute(query)))
        for word in (canary("command", Y), canary("host", Y), canary("cat", Y, 0)):
            answer[word] = textindex.newest(c, textindex.words_query(store.dialect, word), limit=50)
            assert answer[word]
        answer["sightings"] = [each for each in textindex.sightings(c, SHARED) if each[0] == Y]
        of_folds = select(TABLES["fold"].c.storm).where(TABLES["fold"].c.oid == Y)
        answer["storm"] = sorted(c.execute(of_folds).scalars())
        storms = TABLES["storm"]
        held = c.execute(select(storms.c.key).where(storms.c.key.in_(answer["storm"]))).scalars()
        assert set(answer["storm"]) == set(held)
    return answer


def test_every_table_says_how_an_organization_is_forgotten_in_it() -> None:
    """Whoever adds a table says what becomes of it in `store.forgetting.PLACES`, and puts rows into this test."""
    assert set(PLACES) == {*TABLES, textindex.TABLE}
    for name, place in PLACES.items():
        if name in TABLES and "oid" in TABLES[name].c:
            assert place.how != NOTHING, name
        assert place.how in (OWN, OURS, NOTHING, "")
        assert place.how or place.said, f"{name}: nobody says what becomes of it"
        assert place.how != OWN or "oid" in TABLES[name].c, name


def test_nothing_of_it_is_left_in_any_byte_and_everything_of_its_neighbour(store: Store) -> None:
    if store.dialect == "sqlite":
        with store.writing() as c:  # some builds overwrite what they delete, others do not
            c.exec_driver_sql("PRAGMA secure_delete=OFF")
    _fill(store)
    assert [each for each in maintenance.check(store.url) if not each.ok and each.name != "references"] == []
    with store.reader.reading() as c:
        for name, place in PLACES.items():
            if name in TABLES and place.how != NOTHING:
                assert c.execute(select(TABLES[name]).limit(1)).first() is not None, (
                    f"the test fills no {name}"
                )
    before, packed = _neighbour(store), _packed(store, X)
    held = _bytes(store)
    planted = _found(held, CANARIES)
    assert len(planted) > 200
    told: list[str] = []

    found = forgetting.forget(store, X, actor="mk@here", now=NOW, report=told.append)
    if store.dialect == "sqlite":
        assert _found(_bytes(store), CANARIES), (
            "deleting alone would do, and the rest of this test shows nothing"
        )
    maintenance.rewrite(store.url)

    left = _bytes(store)
    assert _found(left, CANARIES) == set()
    assert not any(
        f"{NAMES[X]}{end}".encode() in left for end in ('"', "\n", ",", " and", " team", " readers", "/")
    )
    if store.dialect == "sqlite":
        assert [each for each in packed if each in left] == []
    else:
        assert [each for each in packed if each.hex().encode() in left] == []
    assert _neighbour(store) == before
    assert [each for each in maintenance.check(store.url) if not each.ok] == []
    assert found.rows["detection"] == 4
    assert found.entries >= 2
    assert told
    assert not maintenance.wants_rewriting(store.url)
    _shared_rows_stay(store)


def _shared_rows_stay(store: Store) -> None:
    """What was about both is there, and says the neighbour's name alone."""
    with store.reader.reading() as c:
        (groups,) = c.execute(select(TABLES["access_file"].c.groups)).scalars()
        assert [each["role"] for each in groups] == ["(forgotten) readers", "Viewer"]
        role = TABLES["group_role"]
        given = c.execute(select(role.c.role).where(role.c.gid == "g-both")).scalar_one()
        assert given == "(forgotten) readers"

        def ids(name: str) -> list[Any]:
            return sorted(c.execute(select(next(iter(TABLES[name].primary_key)))).scalars())

        for name in ("access_plan", "rollout_plan", "run"):
            assert ids(name) == [2, 3]
            draft = c.execute(select(TABLES[name]).where(TABLES[name].c.id == 2)).one()
            assert draft.title == f"Change (forgotten) and {NAMES[Y]}"
            assert draft.state in (5, 7), "what was shown is not what it is now"
        for name in ("campaign", "handover", "lcql_search", "triage_action", "access_review"):
            assert ids(name) == [2], name
        assert ids("saved_queue") == ["named", "other"]
        assert ids("preference")[-1] != "scope"
        assert ids("organization_group") == ["g-both"]
        line = TABLES["review_line"]
        lines = {row.id: row for row in c.execute(select(line))}
        assert sorted(lines) == [2, 3, 4, 5]
        assert (lines[3].key, lines[4].key) == (f"direct {Y} a@b", f"key {Y} hash2")
        content = TABLES["review_content"]
        for row in lines.values():
            assert row.digest == line_digest(row.kind, row.principal, row.gid, row.permissions, row.places)
            body = c.execute(select(content.c.body).where(content.c.digest == row.places)).scalar_one()
            listed = json.loads(unpack(body))
            assert content_hash(listed) == row.places
            assert row.place_count == len(listed) == 1
        nodes = {row.id: row for row in c.execute(select(TABLES["node"]))}
        assert sorted(nodes) == ["all", "holding"]
        assert nodes["holding"].parameters == {"p": f"not of {NAMES[X]}!"}, "a neighbour's words are its own"
        storms = c.execute(select(TABLES["storm"].c.cat)).scalars().all()
        assert set(storms) == {canary("cat", Y, 0), canary("cat", Y, 1)}
        entries = c.execute(select(TABLES["journal"]).order_by(TABLES["journal"].c.seq)).all()
        mine = next(row for row in entries if row.action == "sensor.isolate")
        assert (mine.actor, mine.oid, mine.target, mine.detail) == ("mk@here", "", "(forgotten)", {})
        both = next(row for row in entries if row.action == "alert.close")
        assert both.target == f"4 alerts of (forgotten) and {NAMES[Y]}"
        assert both.detail == {"organizations": {Y: 2}, "listed": [Y], "path": "Europe/(forgotten)"}
        assert entries[-1].action == journal.FORGETTING
        assert entries[-1].detail["organization"] == content_hash(X), (
            "whoever knows the oid can tell that it was"
        )
        assert journal.verify(c) is None


def _two(store: Store, *, listed: bool = False) -> None:
    """Both organizations with alerts, the first one gone from the listing."""
    with store.writing() as c:
        rows = [{"oid": oid, "name": name} for oid, name in NAMES.items()]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
        for oid in (X, Y):
            ingest.put_detections(c, oid, [_detection(oid, number) for number in range(4)])
            journal.append(c, "mk@here", "sensor.isolate", oid, canary("target", oid))
        tree.replace_tree(c, [tree.TreeNode("all", None, "All"), tree.TreeNode("x", "all", NAMES[X], X)])
        if not listed:
            ingest.put_organizations(c, rows[1:], complete=True, now=NOW + 1)


def test_what_is_listed_held_or_being_changed_is_not_forgotten(store: Store) -> None:
    _two(store, listed=True)

    def why() -> str:
        with pytest.raises(CannotForget) as refused:
            forgetting.forget(store, X, actor="mk@here", now=NOW)
        return str(refused.value)

    assert "still lists Vexatia Dental" in why()
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": Y, "name": NAMES[Y]}], complete=True, now=NOW + 1)
        tree.mark_node(c, "all", add=["hold"])
    assert "carries the mark hold" in why()
    with store.writing() as c:
        tree.mark_node(c, "all", remove=["hold"])
        for table, part, key in (("run", "run_item", "run_id"), ("access_plan", "access_step", "plan_id")):
            c.execute(insert(TABLES[table]).values(_row(table, Y, id=1, state=1)))
            c.execute(insert(TABLES[part]).values(_row(part, X, **{key: 1})))
    assert "Access plan 1 is being made" in why()
    with store.writing() as c:
        c.execute(TABLES["access_plan"].update().values(state=2))
    assert "Run 1 is being made" in why()
    with store.reader.reading() as c:
        assert c.execute(select(TABLES["detection"].c.id)).all(), "nothing was touched"
    with pytest.raises(CannotForget, match="nothing of the organization"):
        forgetting.forget(store, canary("nobody"), actor="mk@here", now=NOW)


def test_what_was_cut_off_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.alertremoval.TOGETHER", 1)
    _two(store)

    def dies(said: str) -> None:
        if said.startswith("2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forgetting.forget(store, X, actor="mk@here", now=NOW, report=dies)
    assert maintenance.wants_rewriting(store.url), "whoever looks can tell that something is left to do"

    found = forgetting.forget(store, X, actor="mk@here", now=NOW)
    maintenance.rewrite(store.url)

    assert (found.name, found.rows["detection"]) == (NAMES[X], 2)
    assert [each for each in maintenance.check(store.url) if not each.ok] == []
    assert _found(_bytes(store), [X, canary("command", X), canary("target", X)]) == set()


def test_while_somebody_reads_the_log_is_not_called_empty(tmp_path: Path, sqlite_made: Path) -> None:
    (tmp_path / "store.db").write_bytes(sqlite_made.read_bytes())
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        _two(store)
        with store.reader.reading() as c:
            c.execute(select(TABLES["detection"])).all()
            forgetting.forget(store, X, actor="mk@here", now=NOW)
            with pytest.raises(StoreUnavailable, match="store prune --rewrite"):
                maintenance.rewrite(store.url)
            assert maintenance.wants_rewriting(store.url)
        maintenance.rewrite(store.url)
        assert not maintenance.wants_rewriting(store.url)
        assert _found(_bytes(store), [X, canary("command", X)]) == set()


@pytest.mark.postgres
def test_while_somebody_holds_a_table_it_is_not_called_written_anew(
    made_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.maintenance.PATIENCE", 1)
    with closing(Store(made_url)) as store:
        _two(store)
        forgetting.forget(store, X, actor="mk@here", now=NOW)
        engine = create_engine(made_url)
        with engine.connect() as other:
            other.execute(text("LOCK TABLE sensor IN ACCESS SHARE MODE"))
            with pytest.raises(StoreUnavailable, match="store prune --rewrite"):
                maintenance.rewrite(store.url)
        engine.dispose()
        assert maintenance.wants_rewriting(store.url)
        maintenance.rewrite(store.url)
        assert not maintenance.wants_rewriting(store.url)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE journal SET target = 'other' WHERE seq = 1", 1),
        ("UPDATE journal SET oid = 'back' WHERE seq = 1", 1),
        ("UPDATE journal SET actor = 'other' WHERE seq = 1", 1),
        ("UPDATE journal SET target = '(forgotten)', detail = '{}', oid = '' WHERE seq = 2", 2),
        ("UPDATE journal SET detail = '{\"entries\": []}' WHERE seq = 3", 1),
        ("DELETE FROM journal WHERE seq = 3", 1),
    ],
)
def test_what_was_taken_out_of_the_journal_is_accounted_for_and_nothing_else_is(
    store: Store, statement: str, broken: int
) -> None:
    _two(store)
    forgetting.forget(store, X, actor="mk@here", now=NOW)
    with store.reader.reading() as c:
        assert journal.verify(c) is None
    with store.writing() as c:
        c.execute(text(statement))
    with store.reader.reading() as c:
        assert journal.verify(c) == broken


def test_two_are_forgotten_one_after_the_other(store: Store) -> None:
    _two(store)
    with store.writing() as c:
        journal.append(c, "mk@here", "run.finish", target=f"{NAMES[X]} | {NAMES[Y]}", detail={"oids": [X, Y]})
        ingest.put_organizations(c, [], complete=True, now=NOW + 2)
    for oid in (X, Y):
        forgetting.forget(store, oid, actor="mk@here", now=NOW)
    with store.reader.reading() as c:
        assert journal.verify(c) is None
        said = c.execute(select(TABLES["journal"]).where(TABLES["journal"].c.action == "run.finish")).one()
    assert (said.target, said.detail) == ("(forgotten) | (forgotten)", {"oids": []})


@pytest.mark.parametrize("word", ["done", "file", "entries"])
def test_whoever_is_called_as_an_ordinary_word_breaks_nothing_of_others(store: Store, word: str) -> None:
    gone, y, z = "cccccccc-3333-4000-8000-00000000000c", Y, X
    with store.writing() as c:
        rows = [
            {"oid": y, "name": NAMES[y]},
            {"oid": z, "name": "Zebra"},
            {"oid": gone, "name": word.title()},
        ]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
        nodes = [tree.TreeNode("all", None, "All"), tree.TreeNode(word, "all", word.title(), gone)]
        tree.replace_tree(c, [*nodes, tree.TreeNode("y", "all", NAMES[y], y)])
        run = {"id": 1, "kind": "bulk", "state": 2, "source": f"{word}:{word}s.csv", "title": "A change"}
        c.execute(insert(TABLES["run"]).values(_row("run", y, **run)))
        c.execute(insert(TABLES["run_item"]).values(_row("run_item", y, run_id=1, item=1)))
        step = {"verb": f"{word}.thing", "target": word, "before": {word: word}}
        c.execute(insert(TABLES["run_step"]).values(_row("run_step", y, run_id=1, item=1, seq=1, **step)))
        change = {"kind": word, "oid": y, "permission": word, word: 1}
        deadline = {"id": 1, "kind": word, "outcome": word, "changes": [change]}
        c.execute(insert(TABLES["access_deadline"]).values(_row("access_deadline", y, **deadline)))
        action = {"id": 1, "verb": word, "detail": {"kinds": [word, "x"], word: [1], "counts": {word: 2}}}
        c.execute(insert(TABLES["triage_action"]).values(_row("triage_action", y, **action)))
        for key in (word, "pane"):
            c.execute(insert(TABLES["preference"]).values(key=key, value={word: 1, "open": [y]}))
        ingest.put_organizations(c, rows[:1], complete=True, now=NOW + 1)
    forgetting.forget(store, z, actor="mk@here", now=NOW)
    with store.writing() as c:
        detail = {"step": word, "outcome": word, "marks": [word], "counts": {word: 3}, "by": "mk"}
        journal.append(c, "mk@here", "run.finish", y, "A change", detail)
    names = ("run", "run_item", "run_step", "access_deadline", "triage_action", "preference", "journal")

    def held() -> dict[str, list[Any]]:
        with store.reader.reading() as c:
            every = {
                table.name: [row._mapping for row in c.execute(select(table).order_by(*table.primary_key))]
                for table in (TABLES[name] for name in names)
            }
        every["preference"] = [row for row in every["preference"] if row["key"] in (word, "pane")]
        return {name: [dict(row) for row in rows] for name, rows in every.items()}

    before = held()

    forgetting.forget(store, gone, actor="mk@here", now=NOW)

    after = held()
    assert {name: after[name] for name in names[:-1]} == {name: before[name] for name in names[:-1]}
    assert after["journal"][: len(before["journal"])] == before["journal"]
    assert [each["target"] for each in after["journal"][len(before["journal"]) :]] == ["(forgotten)"] * 2
    with store.reader.reading() as c:
        assert journal.verify(c) is None


def test_what_it_was_called_is_out_of_the_journal_wherever_it_is_killed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _two(store)
    former = "Vexatious Teeth"
    with store.writing() as c:
        c.execute(TABLES["node"].update().where(TABLES["node"].c.id == "x").values(name=former))
        changed = {"x": {"before": {"name": NAMES[X]}, "after": {"name": former}}}
        journal.append(c, "mk@here", "tree.import", detail={"nodes": 2, "changed": changed})
        journal.append(c, "mk@here", "tree.mark", target="x", detail={"add": ["leaving"]})
        journal.append(c, "mk@here", "org.bulk", Y, f"not {former}", {"below": former})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("store.alertremoval.remove", dies)
        with pytest.raises(KeyboardInterrupt):
            forgetting.forget(store, X, actor="mk@here", now=NOW)
    forgetting.forget(store, X, actor="mk@here", now=NOW)

    with store.reader.reading() as c:
        assert journal.verify(c) is None
        entries = {row.action: row for row in c.execute(select(TABLES["journal"]))}
    assert entries["tree.import"].detail == {"nodes": 2, "changed": {}}
    assert entries["tree.mark"].target == "(forgotten)"
    assert (entries["org.bulk"].target, entries["org.bulk"].detail) == (
        "not (forgotten)", {"below": "(forgotten)"},
    )  # fmt: skip


def test_a_copy_that_was_made_while_something_ran_is_cleaned_and_a_held_one_is_not(store: Store) -> None:
    _two(store, listed=True)
    with store.writing() as c:
        c.execute(insert(TABLES["run"]).values(_row("run", Y, id=1, state=1)))
        c.execute(insert(TABLES["run_item"]).values(_row("run_item", X, run_id=1)))
        tree.mark_node(c, "x", add=["hold"])
    with pytest.raises(CannotForget, match="carries the mark hold"):
        forgetting.forget(store, X, actor="mk@here", now=NOW, copy=True)
    with store.writing() as c:
        tree.mark_node(c, "x", remove=["hold"])
    forgetting.forget(store, X, actor="mk@here", now=NOW, copy=True)
    with store.reader.reading() as c:
        assert forgetting.held(c, X) == {}


def test_a_name_is_found_as_whole_words_and_is_not_its_neighbours() -> None:
    found = Traces(X, ["Acme", "Ök"], ["Acme Dental", "Other"], ["acme"])
    assert found.text("ACME and acme-fs01, not Acmeology or Acme Dental") == (
        "(forgotten) and (forgotten)-fs01, not Acmeology or Acme Dental"
    )
    assert found.text("acme") == "(forgotten)"
    assert found.text("Ök") == "Ök", "two letters are in every word"
    assert found.data({X: 1, "acme": 2, "a": [X, "Acme", {"oid": X}, [X, 1], "of Acme", 3], "Acme": 4}) == {
        "a": ["of (forgotten)", 3], "(forgotten)": 4,
    }  # fmt: skip


def test_a_role_of_the_provider_is_a_name_and_one_of_limacharlie_is_a_word() -> None:
    found = Traces(X, ["Globex", "Viewer"], [])
    assert found.data([{"name": "Globex admins", "role": "Globex readers"}], nodes=False) == [
        {"name": "(forgotten) admins", "role": "(forgotten) readers"}
    ]
    assert found.data({"role": "Viewer"}, nodes=False) == {"role": "Viewer"}
    assert found.data({"role": "Viewer of all"}, nodes=False) == {"role": "(forgotten) of all"}


def test_the_copies_beside_a_store_are_named(tmp_path: Path, sqlite_made: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sqlite_made.read_bytes())
    with closing(Store(f"sqlite:///{path}")) as store:
        _two(store)
        beside = tmp_path / "store.db.backup-0002-20260101T000000Z"
        maintenance.backup(store.url, beside)
        os.link(beside, tmp_path / "unrelated.db")
        assert maintenance.copies(store.url) == [beside]
        assert maintenance.holding(beside, [X])
        assert not maintenance.holding(beside, [canary("nobody")])
