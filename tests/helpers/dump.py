"""What a store holds, in a form that two stores can be compared by."""

from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from store.bodies import unpack
from store.database import Store

STAMPS = {
    "first_seen", "valid_from", "checked_at", "attempted_at", "started_at", "finished_at", "seen_at", "seconds",
    "id", "detection_id", "time_", "gone_at", "mark", "cursor",
}  # fmt: skip
"""When something was seen, and numbers that depend on the order of arrival."""

RUNS = {"sync_run", "journal"}


def content(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, sorted, without stamps, runs and the numbers of rows."""
    answer: dict[str, list[tuple[Any, ...]]] = {}
    with store.reader.reading() as connection:
        for name, table in sorted(SQLModel.metadata.tables.items()):
            if name in RUNS or name == "detection_body":
                continue
            columns = [column for column in table.columns if column.name not in STAMPS]
            answer[name] = sorted(
                (tuple(map(_flat, row)) for row in connection.execute(select(*columns))), key=repr
            )
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
    return repr(value) if isinstance(value, dict | list) else value


def current(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """As `content`, without what a store keeps of the past: a store that has followed changes equals one that
    was filled after them."""
    answer = content(store)
    record = SQLModel.metadata.tables["configuration_record"]
    wanted = [column for column in record.columns if column.name not in STAMPS]
    with store.reader.reading() as connection:
        rows = connection.execute(select(*wanted).where(record.c.valid_to.is_(None)))
        answer["configuration_record"] = sorted((tuple(map(_flat, row)) for row in rows), key=repr)
        used = {
            digest for (digest,) in connection.execute(select(record.c.hash).where(record.c.valid_to.is_(None)))
        }
    names = [column.name for column in SQLModel.metadata.tables["configuration_body"].columns]
    place = names.index("hash")
    answer["configuration_body"] = [row for row in answer["configuration_body"] if row[place] in used]
    return answer
