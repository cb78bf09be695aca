"""Two organizations with a word of their own in every column of every table, and rows that are about both."""

import hashlib
import json
from typing import Any

from sqlalchemy import JSON, Boolean, Float, Integer, LargeBinary, String, Table, insert, select
from sqlmodel import AutoString, SQLModel

from store import customers, ingest, journal, textindex, tree
from store.bodies import pack
from store.configuration import Record, canonical, content_hash
from store.database import Store
from store.forgetting import OWN, PLACES
from store.models.base import Model
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
        return _json(table, column, {"said": word, "listed": [word], "oid": oid}, word)
    if isinstance(kind, LargeBinary):
        return pack(canonical({"said": word}))
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer | Float):
        return 7 if oid == X else 8
    assert isinstance(kind, String | AutoString), (table.name, column.name, kind)
    return word


def _json(table: Table, column: Any, said: dict[str, Any], word: str) -> Any:
    """What a column of JSON may hold, as its model says."""
    model = next(each for each in Model.__subclasses__() if each.__tablename__ == table.name)
    field = model.model_fields.get(column.name) or model.model_fields[f"{column.name}_"]
    shape = str(field.annotation).replace("typing.", "")
    if shape.startswith("list[dict"):
        return [said | {"listed": word}]
    return [[word]] if shape == "list[list[str]]" else [word] if shape == "list[str]" else said


def row_of(table: str, whose: str, /, **more: Any) -> dict[str, Any]:
    found = {column.name: _value(TABLES[table], column, whose) for column in TABLES[table].columns}
    return found | more


MADE = {
    "configuration_record", "organization", "detection_count", "sighting", "triage_change", "snooze",
    "campaign_alert", "group_organization", "case_detection", "organization_change", "node", "access_former",
}  # fmt: skip
"""Rows of organizations' own that are made as the program makes them, for others rest on them."""


def fill(store: Store) -> None:
    """Both organizations in every table, and rows that are about both."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": name, "said": canary("organization", oid)} for oid, name in NAMES.items()],
            complete=True, now=NOW,
        )  # fmt: skip
        numbers: dict[str, list[int]] = {}
        for oid in (X, Y):
            ingest.put_detections(c, oid, [detection_of(oid, number) for number in range(4)])
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
                    c.execute(insert(TABLES[name]).values(row_of(name, oid)))
        for oid in (X, Y):
            said = {"notes": canary("documentation", oid)}
            missing = list(customers.from_plain(said).missing)
            document = TABLES["customer_document"]
            wanted = {"document": said, "calendar": None, "missing": missing}
            c.execute(document.update().where(document.c.oid == oid).values(wanted))
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


def detection_of(oid: str, number: int) -> Any:
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
        c.execute(insert(TABLES["template_assignment"]).values(row_of("template_assignment", oid, node_id=node, template=node)))  # fmt: skip


def _fill_access(c: Any) -> None:
    for gid, name, complete in (("g-both", "Analysts", True), ("g-x", canary("group", X), False)):
        c.execute(insert(TABLES["organization_group"]).values(row_of("organization_group", X, gid=gid, name=name, complete=complete, permissions=["dr.set"])))  # fmt: skip
        c.execute(
            insert(TABLES["group_role"]).values(row_of("group_role", X if gid == "g-x" else Y, gid=gid))
        )
    for gid, oid in (("g-both", X), ("g-both", Y), ("g-x", X)):
        c.execute(insert(TABLES["group_organization"]).values(gid=gid, oid=oid))
    c.execute(
        insert(TABLES["group_member"]).values(gid="g-both", email="staff@provider.example", owner=False)
    )
    c.execute(insert(TABLES["group_member"]).values(gid="g-x", email=canary("email", X), owner=False))
    people = {
        "staff@provider.example": Y, canary("email", X): X, canary("left", X): X, "left@provider.example": Y,
        canary("direct_permission", "email", X): X, canary("direct_permission", "email", Y): Y,
    }  # fmt: skip
    for email, oid in people.items():
        c.execute(insert(TABLES["user_account"]).values(row_of("user_account", oid, email=email)))
    log = {"action": "add_org", "oid": X, "said": canary("group log", X)}
    ingest.put_group_log(
        c, "g-both", [log, {"action": "add_member", "member_email": "staff@provider.example"}]
    )
    for number, (gid, oid) in enumerate((("g-x", X), ("g-both", Y)), 1):
        changes = [{"kind": "remove_member", "gid": gid, "principal": canary("deadline", oid)}]
        c.execute(
            insert(TABLES["access_deadline"]).values(
                row_of("access_deadline", oid, id=number, changes=changes)
            )
        )
        gives = {"organizations": [X, Y] if oid == Y else [X], "privileged": []}
        c.execute(insert(TABLES["break_glass"]).values(row_of("break_glass", oid, id=number, deadline_id=number, gid=gid, gives=gives, state=2)))  # fmt: skip
    c.execute(insert(TABLES["access_deadline"]).values(row_of("access_deadline", X, id=3, changes=[{"kind": "delete_key", "oid": X}])))  # fmt: skip
    both = [{"kind": "delete_key", "oid": X}, {"kind": "delete_key", "oid": Y}]
    c.execute(insert(TABLES["access_deadline"]).values(row_of("access_deadline", Y, id=4, changes=both, title=f"keys of {NAMES[X]}")))  # fmt: skip
    gives = [
        {"gid": "g-both", "name": f"{NAMES[X]} team", "role": f"{NAMES[X]} readers", "permissions": ["dr.set"]},
        {"gid": "g-y", "name": "Readers", "role": "Viewer", "permissions": []},
    ]  # fmt: skip
    c.execute(insert(TABLES["access_file"]).values(hash="h", groups=gives, planned_at=1))
    role = TABLES["group_role"]
    c.execute(role.update().where(role.c.gid == "g-both").values(role=f"{NAMES[X]} readers"))
    staged = row_of(
        "staged_change", Y, id=99, operator="mk", oid="", gid="g-x", principal=canary("staged", X)
    )
    c.execute(insert(TABLES["staged_change"]).values(staged))

    _fill_former_access(c)


def _fill_former_access(c: Any) -> None:
    """What was granted once: on each, in groups of both, and in groups that are there no more."""
    number = 0

    def put(kind: str, whose: str, **more: Any) -> None:
        nonlocal number
        number += 1
        said = {"oid": "", "gid": "", "principal": "", "name": "", "permissions": [], "created_by": "",
                "allowed_ip_range": ""}  # fmt: skip
        more = {**said, "id": number, "kind": kind, "valid_from": NOW - 9, "valid_to": NOW - 5, **more}
        c.execute(insert(TABLES["access_former"]).values(row_of("access_former", whose, **more)))

    for oid in (X, Y):
        word = canary("former", oid)
        put("direct", oid, oid=oid, principal=canary("left", X) if oid == X else "left@provider.example")
        put("key", oid, oid=oid, principal=word, name=word, created_by=word, permissions=[word])
        put("held", oid, oid=oid, gid="g-gone")
    put("held", X, oid=X, gid="g-gone-x")
    put("group", X, gid="g-gone-x", name=canary("gone group", X), permissions=[canary("gone group", X)])
    put("member", X, gid="g-gone-x", principal=canary("gone member", X))
    put("group", Y, gid="g-gone", name=f"{NAMES[X]} and others", permissions=["dr.set"])
    put("member", Y, gid="g-gone", principal="left@provider.example")
    put("owner", Y, gid="g-gone", principal="staff@provider.example")


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
            c.execute(insert(TABLES[name]).values(row_of(name, owner, **more)))
            for seq, oid in enumerate(oids, 1):
                place = {"item": seq} if part == "run_item" else {"seq": seq}
                kept = {"previous": f"previous-{oid}"} if part == "rollout_step" else {}
                before = {"before": {"organizations": [X, Y]}} if part == "access_step" else {}
                c.execute(
                    insert(TABLES[part]).values(row_of(part, oid, **{key: number}, **place, **kept, **before))
                )
                if part == "run_item":
                    c.execute(
                        insert(TABLES["run_step"]).values(
                            row_of("run_step", oid, run_id=number, item=seq, seq=1)
                        )
                    )
            if name == "rollout_plan":
                gate = {"errors": {"said": f"{NAMES[X]} has errors", "baseline": dict.fromkeys(oids, 1)}}
                for other in ("rollout_wave", "rollout_approval"):
                    more = {
                        "plan_id": number,
                        **({"gate": gate} if other == "rollout_wave" else {"id": number}),
                    }
                    c.execute(insert(TABLES[other]).values(row_of(other, owner, **more)))
    for oid in (X, Y):
        c.execute(insert(TABLES["rollout_body"]).values(row_of("rollout_body", oid, hash=f"previous-{oid}")))
        c.execute(insert(TABLES["wanted_content"]).values(row_of("wanted_content", oid, hash=canary("wanted_state", "wanted", oid))))  # fmt: skip


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
        c.execute(insert(TABLES["access_review"]).values(row_of("access_review", X if review == 1 else Y, id=review, **more)))  # fmt: skip
    for number, review, listed, key, kind, oid in lines:
        places = content_hash(lists[listed])
        principal = "key" if kind == "key" else key.split()[-1] if oid == Y else canary("line", X)
        digest = line_digest(kind, principal, "", permissions, places)
        more = {
            "id": number, "review_id": review, "key": key, "kind": kind, "gid": "", "principal": principal,
            "permissions": permissions, "places": places, "digest": digest, "decided_permissions": permissions,
            "decided_places": places, "decided_digest": digest, "place_count": len(lists[listed]),
        }  # fmt: skip
        c.execute(insert(TABLES["review_line"]).values(row_of("review_line", oid, **more)))
        more = {
            "id": number,
            "review_id": review,
            "line_id": number,
            "permissions": permissions,
            "places": places,
        }
        c.execute(
            insert(TABLES["review_decision"]).values(row_of("review_decision", oid, digest=digest, **more))
        )


def _fill_work(c: Any, numbers: dict[str, list[int]]) -> None:
    folds = {oid: c.execute(select(TABLES["fold"].c.id).where(TABLES["fold"].c.oid == oid)).scalars().all() for oid in (X, Y)}  # fmt: skip
    for number, oids in ((1, [X]), (2, [X, Y])):
        hosts = {str(fold): [canary("hosts", oid)] for oid in oids for fold in folds[oid]}
        comment = canary("comment", X) if number == 1 else f"as {NAMES[X]} asked"
        more = {"id": number, "comment": comment, "detail": {"hosts": hosts}, "undone_at": None}
        c.execute(
            insert(TABLES["triage_action"]).values(
                row_of("triage_action", oids[0] if number == 1 else Y, **more)
            )
        )
        for oid in oids:
            c.execute(insert(TABLES["triage_change"]).values(row_of("triage_change", oid, action_id=number, detection_id=numbers[oid][0])))  # fmt: skip
            c.execute(insert(TABLES["campaign_alert"]).values(campaign_id=number, detection_id=numbers[oid][0], oid=oid))  # fmt: skip
        owner = X if number == 1 else Y
        titled = {} if number == 1 else {"title": f"{NAMES[X]} and {NAMES[Y]}"}
        c.execute(insert(TABLES["campaign"]).values(row_of("campaign", owner, id=number, **titled)))
    for oid in (X, Y):
        c.execute(insert(TABLES["snooze"]).values(row_of("snooze", oid, detection_id=numbers[oid][0], fold_id=folds[oid][0], more=None)))  # fmt: skip
        c.execute(insert(TABLES["case_detection"]).values(row_of("case_detection", oid)))
    note = {"id": 98, "campaign_id": 2, "oid": "", "text": f"told {NAMES[X]}"}
    c.execute(insert(TABLES["campaign_note"]).values(row_of("campaign_note", Y, **note)))
    for table, part, key in (("handover", "handover_item", "handover_id"), ("lcql_search", "lcql_organization", "search_id")):  # fmt: skip
        c.execute(TABLES[part].delete())
        for number, oids in ((1, [X]), (2, [X, Y])):
            said = {"note": f"see {NAMES[X]}"} if table == "handover" else {"query": f"* | * | {NAMES[X]}", "scope": NAMES[X]}  # fmt: skip
            owner = X if number == 1 else Y
            c.execute(
                insert(TABLES[table]).values(row_of(table, owner, id=number, **(said if number == 2 else {})))
            )
            for oid in oids:
                more = (
                    {"id": number * 10 + (oid == Y), "hypothesis": f"as in {NAMES[X]}"}
                    if table == "handover"
                    else {}
                )
                c.execute(insert(TABLES[part]).values(row_of(part, oid, **{key: number}, **more)))
    for name, scope, line in (("of it", "vexatia", canary("queue", X)), ("named", "", f'org:"{NAMES[X]}"'), ("other", "holding", "high")):  # fmt: skip
        c.execute(insert(TABLES["saved_queue"]).values(name=name, scope=scope, line=line, by="mk", at=1))
        c.execute(insert(TABLES["queue_look"]).values(name=name, operator="mk", seen=1, at=1))
    c.execute(insert(TABLES["preference"]), [{"key": "scope", "value": "vexatia"}, {"key": "pane", "value": {"open": [X, Y]}}])  # fmt: skip
    failed = [{"oid": X, "reason": canary("run", X)}, {"oid": Y, "reason": "denied"}]
    c.execute(
        insert(TABLES["sync_run"]).values(
            row_of("sync_run", Y, id=1, failed=failed, note=f"reading {NAMES[X]}")
        )
    )
    c.execute(insert(TABLES["fold_key"]).values(rule=f"{NAMES[X]} rule", fields=["host"], by="mk", at=1))
