"""What a part of a category, rule or host name finds: by the database first, from memory when asked again."""

import json
from typing import Any

import pytest
from sqlalchemy import event, text

from store import alertremoval, ingest, textindex
from store.database import Store
from store.queries.matching import labels
from tests.helpers.screens import NOW, detection, oid_of

A = oid_of(0)
HOSTS = ["WS-01", "ws-02", "srv_3%", "größe-7", "Ünder", "new\nline", "ws-01.corp", ""]


def _host(number: int, hostname: str) -> Any:
    made = json.loads(detection(number, A, at=NOW))
    made["routing"]["hostname"] = hostname
    return ingest.detection_from(json.dumps(made).encode(), A)


@pytest.fixture
def named(store: Store) -> Store:
    """An organization whose alerts are of these hosts."""
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": A, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_detections(c, A, [_host(number, hostname) for number, hostname in enumerate(HOSTS)])
    return store


def _asked(store: Store, needle: str) -> tuple[tuple[str, ...] | None, bool]:
    """What is found, and whether the labels were looked through by the database."""
    read: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "alert_label" in statement:
            read.append(statement)

    engine = store.reader._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with store.reader.reading() as c:
            found = labels(c, "hostname", needle)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return (None if found is None else tuple(sorted(found))), bool(read)


@pytest.mark.parametrize(
    "needle", ["ws", "WS-0", "01", "_", "%", "e", "ö", "ünd", "corp", "\n", "w\nl", "nobody", "a\0b"]
)
def test_memory_finds_what_the_database_finds(named: Store, needle: str) -> None:
    first, looked = _asked(named, needle)
    assert looked
    again = [_asked(named, needle)[0] for _ in range(3)]
    assert again == [first] * 3
    folded = {host for host in HOSTS if host and needle.casefold() in host.casefold()}
    assert set(first or ()) == folded


def test_it_is_asked_of_the_database_once_it_is_kept_no_more(named: Store) -> None:
    assert [_asked(named, "ws")[1] for _ in range(4)] == [True, True, False, False]
    assert _asked(named, "größe") == (("größe-7",), True)  # letters beyond ASCII are its business


def test_a_host_that_was_not_there_is_found_at_once(named: Store) -> None:
    for _ in range(3):
        _asked(named, "laptop")
    with named.writing() as c:
        ingest.put_detections(c, A, [_host(50, "laptop-9")])
    assert [_asked(named, "laptop") for _ in range(3)] == [
        (("laptop-9",), True), (("laptop-9",), True), (("laptop-9",), False),
    ]  # fmt: skip


def test_an_alert_of_a_host_that_is_known_throws_nothing_away(named: Store) -> None:
    for _ in range(3):
        _asked(named, "ws")
    with named.writing() as c:
        ingest.put_detections(c, A, [_host(51, "ws-02")])
    assert not _asked(named, "ws")[1]


def test_a_host_whose_last_alert_went_is_forgotten(named: Store) -> None:
    for _ in range(3):
        _asked(named, "corp")
    with named.reader.reading() as c:
        [number] = c.execute(text("SELECT id FROM detection WHERE hostname = 'ws-01.corp'")).scalars()
    with named.writing() as c:
        alertremoval.remove(c, A, [number])
    assert _asked(named, "corp") == ((), True)


def test_what_a_stranger_wrote_is_seen_though_it_has_no_number(named: Store) -> None:
    for _ in range(3):
        _asked(named, "foreign")
    with named._engine.connect() as c, c.begin():
        c.execute(text("INSERT INTO alert_label (kind, value) VALUES (2, 'foreign-1')"))
    assert [_asked(named, "foreign") for _ in range(3)] == [(("foreign-1",), True)] * 3


def test_too_many_are_told_as_such_either_way(named: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textindex, "SPREAD", 2)
    assert [_asked(named, "ws")[0] for _ in range(3)] == [None] * 3
    assert [_asked(named, "01")[0] for _ in range(3)] == [("WS-01", "ws-01.corp")] * 3


def test_more_than_are_kept_are_looked_through_each_time(
    named: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.queries.matching._MOST_KEPT", 3)
    assert [_asked(named, "02") for _ in range(4)] == [(("ws-02",), True)] * 4
