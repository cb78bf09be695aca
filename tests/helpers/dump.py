"""What a store holds, in a form that two stores can be compared by."""

import json
from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from console.operations.caselinks import CASES
from store.bodies import unpack
from store.database import Store

STAMPS = {
    "first_seen", "valid_from", "checked_at", "attempted_at", "started_at", "finished_at", "seen_at", "seconds",
    "id", "detection_id", "fold_id", "action_id", "time_", "gone_at", "mark", "cursor", "first_at",
}  # fmt: skip
"""When something was seen, and numbers that depend on the order of arrival."""

RUNS = {"sync_run", "journal", "organization_change", "access_former"}
"""What tells how a store came to what it holds."""


def content(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, sorted, without stamps, runs and the numbers of rows.

    Of a decision by which alerts follow a case, when it was decided there counts (`at` of its detail), and not
    when it was written down here (`time`).
    """
    answer: dict[str, list[tuple[Any, ...]]] = {}
    with store.reader.reading() as connection:
        for name, table in sorted(SQLModel.metadata.tables.items()):
            if name in RUNS or name == "detection_body":
                continue
            columns = [column for column in table.columns if column.name not in STAMPS]
            answer[name] = sorted(
                (tuple(map(_flat, row)) for row in connection.execute(select(*columns))), key=repr
            )
        by, time = _place("triage_action", "actor"), _place("triage_action", "time")
        answer["triage_action"] = sorted(
            (row[:time] + row[time + 1 :] if row[by] == CASES else row for row in answer["triage_action"]),
            key=repr,
        )
        quota = SQLModel.metadata.tables["quota_reading"]
        columns = [column for column in quota.columns if column.name not in STAMPS | {"day"}]
        # One a day is kept, and midnight may lie between two syncs.
        last = {row.oid: row for row in connection.execute(select(*columns).order_by(quota.c.day))}
        answer["quota_reading"] = sorted((tuple(map(_flat, row)) for row in last.values()), key=repr)
        detection, body = SQLModel.metadata.tables["detection"], SQLModel.metadata.tables["detection_body"]
        answer["detection_body"] = sorted(
            (oid, detect_id, unpack(packed))
            for oid, detect_id, packed in connection.execute(
                select(detection.c.oid, detection.c.detect_id, body.c.body).join_from(
                    detection, body, detection.c.id == body.c.detection_id
                )
            )
        )
    return answer


def _flat(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def current(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """As `content`, without what a store keeps of the past: a store that has followed changes equals one that
    was filled after them.

    Left out: earlier versions of configuration, organizations that are gone with all that was theirs,
    people who have nothing any more and what is known of the others beside their address, the logs of groups
    that are gone, the fingerprints of answers, and that a case changed of which nothing but its row was read.
    """
    answer = content(store)
    tables = SQLModel.metadata.tables
    record = tables["configuration_record"]
    with store.reader.reading() as connection:
        gone = set(
            connection.execute(
                select(tables["organization"].c.oid).where(tables["organization"].c.gone_at.is_not(None))
            ).scalars()
        )
        still = (record.c.valid_to.is_(None), record.c.oid.not_in(gone))
        wanted = [column for column in record.columns if column.name not in STAMPS]
        rows = connection.execute(select(*wanted).where(*still))
        answer["configuration_record"] = sorted((tuple(map(_flat, row)) for row in rows), key=repr)
        used = set(connection.execute(select(record.c.hash).where(*still)).scalars())
    for name, table in tables.items():
        names = [column.name for column in table.columns if column.name not in STAMPS]
        if name in answer and "oid" in names and name != "configuration_record":
            place = names.index("oid")
            answer[name] = [row for row in answer[name] if row[place] not in gone]
    answer["configuration_body"] = _having(answer, "configuration_body", "hash", used)
    people = {
        row[_place(name, "email")] for name in ("direct_permission", "group_member") for row in answer[name]
    }
    place = _place("user_account", "email")
    answer["user_account"] = [(row[place],) for row in _having(answer, "user_account", "email", people)]
    groups = {row[_place("organization_group", "gid")] for row in answer["organization_group"]} | {""}
    answer["access_event"] = _having(answer, "access_event", "gid", groups)
    # That is why it is read whole before others are; who never saw it otherwise cannot know.
    only_changed = {"read_at": None, "stale": True, "links": -1, "agreed": ""}
    said = {_place("case_reading", name): value for name, value in only_changed.items()}
    answer["case_reading"] = [
        row for row in answer["case_reading"] if any(row[at] != value for at, value in said.items())
    ]
    place = _place("sync_state", "fingerprint")
    answer["sync_state"] = [row[:place] + row[place + 1 :] for row in answer["sync_state"]]
    return answer


def _place(table: str, column: str) -> int:
    names = [each.name for each in SQLModel.metadata.tables[table].columns if each.name not in STAMPS]
    return names.index(column)


def _having(
    answer: dict[str, list[tuple[Any, ...]]], table: str, column: str, values: set[Any]
) -> list[tuple[Any, ...]]:
    place = _place(table, column)
    return [row for row in answer[table] if row[place] in values]
