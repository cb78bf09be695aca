"""The database takes note of which organization changed in what."""

from typing import Any

import pytest
from sqlalchemy import delete, insert, text

from console.operations import triage
from store import alertremoval, changes, ingest
from store.database import Store
from store.models import DetectionCount, Node, Organization
from store.triage import Selection
from tests.helpers.screens import NOW, RULES, detection, oid_of

A, B = oid_of(0), oid_of(1)


@pytest.fixture
def provider(store: Store) -> Store:
    """Two organizations, of which the first has an alert."""
    with store.writing() as c:
        listed = [{"oid": A, "name": "Acme"}, {"oid": B, "name": "Borealis"}]
        ingest.put_organizations(c, listed, complete=True, now=NOW)
        ingest.put_detections(c, A, [ingest.detection_from(detection(0, A, at=NOW), A)])
    return store


def _seen(store: Store) -> int:
    with store.reader.reading() as c:
        return changes.latest(c)


def _since(store: Store, seen: int) -> dict[str, set[str]]:
    with store.reader.reading() as c:
        return changes.since(c, seen)


@pytest.mark.parametrize(
    ("what", "part", "whose"),
    [
        (lambda c: ingest.put_detections(c, B, [ingest.detection_from(detection(len(RULES) * 17, B, at=NOW), B)]), "alerts", B),
        (lambda c: ingest.put_sensors(c, B, [{"sid": "s1", "hostname": "h"}]), "sensors", B),
        (lambda c: ingest.put_organization_facts(c, B, quota=7), "state", B),
        (lambda c: ingest.put_errors(c, B, [{"component": "output", "error": "no"}]), "state", B),
        (lambda c: ingest.put_sync_state(c, B, "detections", attempted_at=NOW, failure="auth"), "state", B),
        (lambda c: ingest.put_keys(c, B, {"k": {"name": "k", "priv": []}}, now=NOW), "keys", B),
        (
            lambda c: ingest.put_case_row(c, {"oid": B, "case_number": 1, "status": "new"}, now=NOW),
            "cases",
            B,
        ),
        (lambda c: c.execute(delete(Organization).where(Organization.oid == B)), "tree", ""),
        (lambda c: c.execute(insert(Node).values(id="n", name="n", labels={}, parameters={}, marks=[],
                                                 first=0, last=0, depth=0, path="")), "tree", ""),
        (lambda c: c.execute(delete(DetectionCount).where(DetectionCount.oid == A)), "alerts", A),
    ],
)  # fmt: skip
def test_a_write_is_told_of_its_organization_alone(provider: Store, what: Any, part: str, whose: str) -> None:
    seen = _seen(provider)
    assert _since(provider, seen) == {}
    with provider.writing() as c:
        what(c)
    assert _since(provider, seen) == {part: {whose}}
    assert _since(provider, _seen(provider)) == {}


def test_deciding_over_an_alert_is_a_change_of_who_has_it(provider: Store) -> None:
    seen = _seen(provider)
    triage.claim(provider, "kim", Selection(ids=(1,)), acknowledge=False, now=NOW)
    assert _since(provider, seen)["held"] == {A}
    seen = _seen(provider)
    triage.snooze(provider, "kim", Selection(ids=(1,)), until=NOW + 1000, now=NOW)
    assert _since(provider, seen)["held"] == {A}


def test_an_alert_that_is_taken_out_is_told_apart_from_one_that_is_decided(provider: Store) -> None:
    seen = _seen(provider)
    triage.claim(provider, "kim", Selection(ids=(1,)), now=NOW)
    assert _since(provider, seen).keys() == {"held", "alerts"}
    seen = _seen(provider)
    with provider.writing() as c:
        alertremoval.remove(c, A, [1])
    assert _since(provider, seen) == {"taken": {A}, "alerts": {A}, "labels": {""}}


def test_a_name_that_no_alert_had_before_is_a_change_of_no_organization(provider: Store) -> None:
    seen = _seen(provider)
    with provider.writing() as c:
        ingest.put_detections(c, B, [ingest.detection_from(detection(1, B, at=NOW), B)])
    assert _since(provider, seen) == {"alerts": {B}, "labels": {""}}
    with provider.reader.reading() as c:
        assert changes.last_of(c, changes.LABELS) == _seen(provider)
        assert changes.last_of(c, "nothing") is None


def test_every_transaction_has_a_number_of_its_own(provider: Store) -> None:
    for _ in range(3):
        seen = _seen(provider)
        with provider.writing() as c:
            c.execute(text("UPDATE organization SET status = status || 'x' WHERE oid = :oid"), {"oid": A})
            provider.touched("organization")
        assert _since(provider, seen) == {"state": {A}}


def test_what_a_stranger_wrote_counts_as_changed_until_it_has_a_number(provider: Store) -> None:
    seen = _seen(provider)
    with provider._engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE organization SET status = 'new' WHERE oid = :oid"), {"oid": B})
    assert _since(provider, seen) == {"state": {B}} == _since(provider, _seen(provider))
    with provider.writing() as c:
        ingest.put_errors(c, A, [{"component": "output", "error": "no"}])
    assert _since(provider, seen) == {"state": {A, B}}
    assert _since(provider, _seen(provider)) == {}


def test_what_is_taken_back_was_no_change(provider: Store) -> None:
    seen = _seen(provider)

    def fail() -> None:
        with provider.writing() as c:
            ingest.put_errors(c, A, [{"component": "output", "error": "no"}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _since(provider, seen) == {}
    assert _seen(provider) == seen
