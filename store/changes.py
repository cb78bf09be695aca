"""Which organizations have changed in what, since when: what is kept in memory is brought up to date by it.

The database itself takes note (a trigger on each watched table), so that no writer has to think of it and
none can forget. A part of an organization that was written is marked with the number 0; the transaction that
wrote it gives all its marks one number higher than any before (`number`), in the order of commits, because
one transaction writes at a time. Who has seen all up to a number asks for what came after it (`since`).
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

ALERTS: Final = "alerts"
HELD: Final = "held"
"""Who has its alerts, and which are snoozed: what does not change when new ones come."""
TAKEN: Final = "taken"
"""Alerts of it were taken out of the store."""
SENSORS: Final = "sensors"
STATE: Final = "state"
KEYS: Final = "keys"
CASES: Final = "cases"
TREE: Final = "tree"
"""Of no organization (""): which there are, and where they stand."""
LABELS: Final = "labels"
"""Of no organization: which categories, rules and host names there are."""

_OF_NONE: Final = (TREE, LABELS)


@dataclass(frozen=True)
class Watched:
    """A table, and which part of an organization its rows are."""

    table: str
    part: str
    of: tuple[str, ...] = ()
    """Columns whose update counts; any when empty."""
    events: tuple[str, ...] = ("INSERT", "UPDATE", "DELETE")


WATCHED: Final[tuple[Watched, ...]] = (
    Watched("detection_count", ALERTS),
    # New ones are told by their counter.
    Watched("detection", ALERTS, ("status", "due_at", "rank"), ("UPDATE",)),
    Watched("detection", HELD, ("status", "assignee", "snoozed_until"), ("UPDATE",)),
    Watched("detection", TAKEN, events=("DELETE",)),
    Watched("sensor", SENSORS),
    Watched("organization", STATE, events=("UPDATE",)),
    Watched("organization_error", STATE),
    Watched("sync_state", STATE),
    Watched("api_key", KEYS),
    Watched("case_record", CASES),
    Watched("organization", TREE, events=("INSERT", "DELETE")),
    Watched("node", TREE),
    Watched("alert_label", LABELS),
)

TABLES: Final = frozenset(each.table for each in WATCHED)

_MARK: Final = (
    "INSERT INTO organization_change (oid, part, seq) VALUES ({oid}, '{part}', 0)"
    " ON CONFLICT (oid, part) DO UPDATE SET seq = 0 WHERE organization_change.seq <> 0"
)

_FIRST: Final = (
    "INSERT INTO organization_change (oid, part, seq) VALUES ('', '', 1) ON CONFLICT (oid, part) DO NOTHING"
)
_LAST: Final = "oid = '' AND part = ''"
"""The row that has the highest number: those of the others may all have been given before it."""


def create(connection: Connection) -> None:
    """Have the database take note from now on."""
    for statement in definition(connection.dialect.name):
        connection.execute(text(statement))


def definition(dialect: str) -> list[str]:
    """The statements that make the triggers."""
    if dialect == "sqlite":
        return [_FIRST, *(_sqlite(each, event) for each in WATCHED for event in each.events)]
    body = _MARK.format(oid="who", part="~").replace("'~'", "TG_ARGV[0]")
    statements = [
        _FIRST,
        "CREATE OR REPLACE FUNCTION limegrove_changed() RETURNS trigger LANGUAGE plpgsql AS $$"
        " DECLARE who text := '';"
        " BEGIN"
        f" IF TG_ARGV[0] NOT IN ({', '.join(map(repr, _OF_NONE))}) THEN"
        " IF TG_OP = 'DELETE' THEN who := OLD.oid; ELSE who := NEW.oid; END IF;"
        " END IF;"
        f" {body};"
        " RETURN NULL;"
        " END $$",
    ]
    for each in WATCHED:
        events = " OR ".join(_event(each, event) for event in each.events)
        statements.append(f"DROP TRIGGER IF EXISTS {_name(each)} ON {each.table}")
        statements.append(
            f"CREATE TRIGGER {_name(each)} AFTER {events} ON {each.table} FOR EACH ROW"
            f" EXECUTE FUNCTION limegrove_changed('{each.part}')"
        )
    return statements


def _name(each: Watched) -> str:
    return f"changed_{each.table}_{each.part}"


def _event(each: Watched, event: str) -> str:
    return f"UPDATE OF {', '.join(each.of)}" if event == "UPDATE" and each.of else event


def _sqlite(each: Watched, event: str) -> str:
    whose = "''" if each.part in _OF_NONE else "OLD.oid" if event == "DELETE" else "NEW.oid"
    return (
        f"CREATE TRIGGER IF NOT EXISTS {_name(each)}_{event.lower()}"
        f" AFTER {_event(each, event)} ON {each.table}"
        f" BEGIN {_MARK.format(oid=whose, part=each.part)}; END"
    )


def number(connection: Connection) -> None:
    """Give what this transaction has marked its number: the last thing before it is committed."""
    marked = connection.execute(
        text(
            f"UPDATE organization_change SET seq = (SELECT seq + 1 FROM organization_change WHERE {_LAST})"
            " WHERE seq < 1"  # a range: for one value among few, statistics would advise against the index
        )
    )
    if marked.rowcount:
        connection.execute(text(f"UPDATE organization_change SET seq = seq + 1 WHERE {_LAST}"))


def latest(connection: Connection) -> int:
    """The highest number that was given."""
    return int(connection.execute(text(f"SELECT seq FROM organization_change WHERE {_LAST}")).scalar_one())


def last_of(connection: Connection, part: str) -> int | None:
    """The number of the last change of a part of no organization; None when there was none yet, or when it
    has no number because a program other than this wrote it."""
    found = connection.execute(
        text("SELECT seq FROM organization_change WHERE oid = '' AND part = :part AND seq > 0"),
        {"part": part},
    ).scalar()
    return None if found is None else int(found)


def since(connection: Connection, seen: int) -> dict[str, set[str]]:
    """Part -> oids that changed after the number `seen`. What was marked by a writer that gave no number (a
    program other than this) counts as changed until the next transaction gives it one."""
    found: dict[str, set[str]] = {}
    rows = connection.execute(
        text(
            "SELECT part, oid FROM organization_change WHERE seq > :seen AND part <> ''"
            " UNION ALL SELECT part, oid FROM organization_change WHERE seq < 1"
        ),
        {"seen": seen},
    )
    for part, oid in rows:
        found.setdefault(part, set()).add(oid)
    return found
