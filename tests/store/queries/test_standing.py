"""How single organizations stand: only what is asked for is read, however many there are."""

import pytest
from sqlalchemy import Connection, event, text

from store import ingest
from store.database import Store
from store.queries.standing import HOUR, Standing, read_alerts, standings
from tests.helpers.screens import NOW, detection, oid_of

MANY = 220


@pytest.fixture
def provider(store: Store) -> Store:
    """Many organizations, each with an alert that is in time."""
    with store.writing() as c:
        listed = [{"oid": oid_of(n), "name": f"Org {n}"} for n in range(MANY)]
        ingest.put_organizations(c, listed, complete=True, now=NOW)
        for n in range(MANY):
            oid = oid_of(n)
            ingest.put_detections(c, oid, [ingest.detection_from(detection(n, oid, at=NOW), oid)])
        _due(c, NOW + HOUR)
        store.touched("detection")
    return store


def _due(c: Connection, at: int) -> None:
    c.execute(text("UPDATE detection SET due_at = :at"), {"at": at})


def _asked(c: Connection, found: dict[str, Standing], oids: set[str] | None) -> list[str]:
    """The statements about clocks that this takes."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "due_at" in statement:
            said.append(statement)

    event.listen(c, "before_cursor_execute", note)
    try:
        read_alerts(c, found, oids, NOW)
    finally:
        event.remove(c, "before_cursor_execute", note)
    return said


@pytest.mark.parametrize(("number", "statements"), [(1, 1), (MANY // 2, MANY // 2), (MANY // 2 + 1, 1)])
def test_clocks_of_others_are_read_only_where_more_than_half_is_asked_for(
    provider: Store, number: int, statements: int
) -> None:
    wanted = {oid_of(n) for n in range(number)}
    with provider.reader.reading() as c:
        found = standings(c, None, NOW)
    assert not any(one.late for one in found.values())
    with provider.writing() as c:
        _due(c, NOW - 1)
        provider.touched("detection")
    with provider.reader.reading() as c:
        alone = standings(c, {oid_of(0)}, NOW)
        assert len(_asked(c, found, wanted)) == statements
        assert alone == {oid_of(0): found[oid_of(0)]}
        assert {oid for oid, one in found.items() if one.late} == wanted
        assert len(_asked(c, found, None)) == 1
        assert all(one.late == 1 and one.first_due == NOW - 1 for one in found.values())
        assert found == standings(c, found.keys(), NOW) == standings(c, None, NOW)


def test_one_organization_is_read_by_itself_whoever_asks(provider: Store) -> None:
    with provider.reader.reading() as c:
        found = standings(c, {oid_of(0)}, NOW)
        (said,) = _asked(c, found, {oid_of(0)})
    assert "detection.oid" not in said
