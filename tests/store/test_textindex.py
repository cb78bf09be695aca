"""The text index: what an alert is found by, on both engines alike, from the moment it is stored."""

import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select, text, tuple_, update

from console.sandbox.world import World
from store import ingest, maintenance, models, preferences, textindex
from store.alerts import parse_filter
from store.bodies import unpack
from store.database import Store
from store.maintenance import _migrate, open_engine
from store.queries import alerts
from store.textindex import (
    all_of,
    any_of,
    count,
    label_query,
    newest,
    record_of,
    remove,
    sightings,
    term,
    token_of,
    tokens_of,
    value_query,
    words_of,
    words_query,
)

NOW = 1_790_000_000_000
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _raw(number: int, event: Any, **fields: Any) -> bytes:
    record = {
        "detect_id": f"d{number}", "cat": "Encoded PowerShell", "source_rule": "general.encoded", "gen_time": NOW + number,
        "routing": {"hostname": "acme-fs01", "event_type": "NEW_PROCESS"}, "detect": {"event": event},
    }  # fmt: skip
    return json.dumps(record | fields).encode()


def _put(store: Store, oid: str, bodies: list[bytes]) -> None:
    with store.writing() as c:
        ingest.put_detections(c, oid, [ingest.detection_from(raw, oid, received=NOW) for raw in bodies])


def _found(store: Store, query: Callable[[str], str]) -> list[int]:
    with store.reader.reading() as connection:
        asked = query(store.dialect)
        return newest(connection, asked, limit=1_000) if asked else []


# Words and tokens


def test_words_are_letters_and_digits_in_one_case_each_once() -> None:
    assert words_of("C:\\Windows\\cmd.exe /C WHOAMI cmd") == ["windows", "cmd", "exe", "whoami"]
    assert words_of("Größe STRASSE straße") == ["grösse", "strasse"]


def test_short_numbers_single_letters_and_digests_are_no_words() -> None:
    assert words_of(f"a 7 198.51.100.7 4625 {SHA256}") == ["4625"]


def test_a_long_word_counts_by_its_beginning() -> None:
    assert words_of("x" * 99) == ["x" * textindex.LONGEST]


def test_two_spellings_of_a_value_have_one_token_and_two_kinds_have_two() -> None:
    assert token_of("hash", SHA256) == token_of("hash", SHA256.upper())
    assert token_of("address", "192.0.2.7") == token_of("address", "::ffff:192.0.2.7")
    assert token_of("user", "kim") != token_of("host", "kim")
    assert token_of("hash", "no hash") == ""


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.text(max_size=40))
def test_tokens_have_no_letter_that_a_query_would_read_otherwise(value: str, label: str) -> None:
    raw = orjson.dumps({"detect": {"event": {"x": storable(value)}}})
    for token in tokens_of(raw, record_of(raw), cat=storable(label), rule="", hostname="").split():
        assert token.replace("_", "", 1).isalnum()
        assert token == token.casefold()


def storable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


# What is found


def test_an_alert_is_found_by_each_word_of_its_event(store: Store) -> None:
    _put(store, "o1", [_raw(1, {"COMMAND_LINE": "schtasks /create /tn UpdaterPro", "N": 5})])
    for word in ("schtasks", "CREATE", "updater", "UpdaterPro", "powershell", "encoded", "fs01", "acme-fs01"):
        assert _found(store, lambda dialect, word=word: words_query(dialect, word)) == [1], word
    for word in ("chtasks", "updaterproo", "create2"):
        assert _found(store, lambda dialect, word=word: words_query(dialect, word)) == [], word


def test_an_alert_is_found_by_each_of_its_values(store: Store) -> None:
    event = {
        "FILE_PATH": "C:\\Users\\Kim\\Evil.exe", "HASH": SHA256, "USER_NAME": "ACME\\Kim", "DOMAIN_NAME": "a.b.evil.example",
        "IP_ADDRESS": "2001:db8::7",
    }  # fmt: skip
    _put(store, "o1", [_raw(1, event)])
    for kind, value in [
        ("hash", SHA256.upper()), ("path", "c:\\users\\kim\\evil.exe"), ("path", "EVIL.EXE"), ("user", "acme\\kim"), ("user", "kim"),
        ("domain", "a.b.evil.example."), ("domain", "evil.example"), ("address", "2001:DB8:0::7"), ("host", "ACME-FS01"),
    ]:  # fmt: skip
        assert _found(store, lambda dialect, k=kind, v=value: value_query(dialect, k, v)) == [1], (
            kind,
            value,
        )
    for kind, value in [("domain", "example"), ("user", "acme"), ("path", "evil"), ("host", "acme")]:
        assert _found(store, lambda dialect, k=kind, v=value: value_query(dialect, k, v)) == [], (kind, value)


def test_queries_combine(store: Store) -> None:
    _put(store, "o1", [_raw(1, {"a": "alpha beta"}), _raw(2, {"a": "alpha"}), _raw(3, {"a": "beta gamma"})])
    _put(store, "o2", [_raw(1, {"a": "alpha beta"})])

    def word(dialect: str, word: str) -> str:
        return term(dialect, word)

    assert _found(store, lambda d: all_of(d, [word(d, "alpha"), word(d, "beta")])) == [4, 1]
    assert _found(store, lambda d: any_of(d, [word(d, "alpha"), word(d, "gamma")])) == [4, 3, 2, 1]
    assert _found(store, lambda d: all_of(d, [word(d, "alpha"), label_query(d, "oid", ["o2", "o3"])])) == [4]
    both = [any_of(store.dialect, [word(store.dialect, "gamma"), word(store.dialect, "alpha")])] * 2
    assert _found(store, lambda d: all_of(d, [*both, label_query(d, "oid", ["o1"])])) == [3, 2, 1]
    with store.reader.reading() as connection:
        assert newest(connection, word(store.dialect, "alpha"), before=4, limit=1) == [2]
        assert count(connection, word(store.dialect, "alpha"), cap=2) == 2


def test_a_surrogate_does_not_hide_an_alert(store: Store) -> None:
    _put(
        store,
        "o1",
        [
            b'{"detect_id": "d", "detect": {"event": {"FILE_PATH": "C:\\\\evil\\ud800.exe", "HASH": "%b"}}}'
            % SHA256.encode()
        ],
    )
    assert _found(store, lambda dialect: value_query(dialect, "hash", SHA256)) == [1]
    assert _found(store, lambda dialect: words_query(dialect, "evil")) == [1]


def test_what_is_no_json_is_found_by_its_words(store: Store) -> None:
    _put(store, "o1", [b'{"detect": {"event": {"COMMAND_LINE": "powershell -enc'])
    assert _found(store, lambda dialect: words_query(dialect, "powershell")) == [1]


def test_an_alert_that_comes_twice_is_indexed_once(store: Store) -> None:
    for _ in range(2):
        _put(store, "o1", [_raw(1, {"a": "alpha"})])
    assert _found(store, lambda dialect: term(dialect, "alpha")) == [1]


def test_a_removed_alert_is_found_by_nothing(store: Store) -> None:
    bodies = [_raw(1, {"a": "alpha", "HASH": SHA256}), _raw(2, {"a": "alpha"})]
    _put(store, "o1", bodies)
    with store.writing() as c:
        tokens = tokens_of(
            bodies[0],
            record_of(bodies[0]),
            cat="Encoded PowerShell",
            rule="general.encoded",
            hostname="acme-fs01",
        )
        remove(c, "o1", [(1, tokens)])
    assert _found(store, lambda dialect: term(dialect, "alpha")) == [2]
    assert _found(store, lambda dialect: value_query(dialect, "hash", SHA256)) == []
    assert _found(store, lambda dialect: label_query(dialect, "oid", ["o1"])) == [2]


def test_a_transaction_that_fails_leaves_nothing_in_the_index(store: Store) -> None:
    new = ingest.detection_from(_raw(1, {"a": "alpha"}), "o1")
    with pytest.raises(ZeroDivisionError), store.writing() as c:  # noqa: PT012  (the failure comes last)
        ingest.put_detections(c, "o1", [new])
        raise ZeroDivisionError
    assert _found(store, lambda dialect: term(dialect, "alpha")) == []


def test_the_words_of_an_event_are_found_in_the_queue(store: Store) -> None:
    _put(
        store,
        "o1",
        [_raw(1, {"COMMAND_LINE": "vssadmin delete shadows"}), _raw(2, {"COMMAND_LINE": "whoami"})],
    )
    _put(store, "o2", [_raw(3, {"HASH": SHA256})])

    def ids(line: str) -> list[int]:
        with store.reader.reading() as connection:
            return [row.id for row in alerts.page(connection, parse_filter(line, now=NOW))]

    assert ids("vssadmin") == ids("shad delete") == ids('"delete shadows"') == [1]
    assert ids(SHA256.upper()) == [3]
    assert ids("encoded") == [3, 2, 1]
    assert ids("COD") == [3, 2, 1]  # contained in the category
    assert ids("coded sev:critical") == ids("shadowsx") == ids("oid:o2 whoami") == []
    assert ids(f"{SHA256[:20]}") == []


# Values that very many alerts speak of


def _counted_by_hand(store: Store, kind: str, value: str) -> list[tuple[str, int, int, int]]:
    with store.reader.reading() as connection:
        query = value_query(store.dialect, kind, value)
        detection = models.Detection.__table__  # type: ignore[attr-defined]
        return sorted(
            (row[0], row[1], row[2], row[3])
            for row in connection.execute(
                select(detection.c.oid, func.min(detection.c.time), func.max(detection.c.time), func.count())
                .where(detection.c.id.in_(textindex.ids(store.dialect, query)))
                .group_by(detection.c.oid)
            )
        )


def test_a_value_that_became_common_is_counted_as_it_comes_and_exactly(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textindex, "COMMON", 40)
    chance = random.Random(5)
    number = 0
    for step in range(40):
        bodies = []
        for _ in range(25):
            number += 1
            event = {"HASH": SHA256 if chance.random() < 0.5 else f"{number:064x}", "USER_NAME": "root"}
            bodies.append(_raw(number, event, gen_time=NOW - chance.randrange(10**9)))
        _put(store, f"o{step % 3}", bodies)
        if step == 20:
            with store.reader.reading() as connection:
                # Which of the common ones were looked at is by chance; that some were is not.
                assert set(connection.execute(select(models.Sighting.token)).scalars())
            with store.writing() as c:
                for kind, value in (("user", "root"), ("hash", SHA256)):
                    c.execute(delete(models.Sighting).where(models.Sighting.token == token_of(kind, value)))  # type: ignore[arg-type]
                    assert textindex.watch(c, token_of(kind, value))
    with store.reader.reading() as connection:
        for kind, value in (("user", "root"), ("hash", SHA256), ("hash", f"{3:064x}")):
            found = sorted(sightings(connection, token_of(kind, value)))
            assert found == _counted_by_hand(store, kind, value), kind
    with store.writing() as c:
        raw = _raw(9_999, {"USER_NAME": "root"}, gen_time=NOW + 10**9)
        ingest.put_detections(c, "new", [ingest.detection_from(raw, "new")])
    with store.reader.reading() as connection:
        assert ("new", NOW + 10**9, NOW + 10**9, 1) in sightings(connection, token_of("user", "root"))


# Alerts that were there before


def test_pending_alerts_are_indexed_and_packed_a_few_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textindex, "FILLING", 4)
    world = World(seed=5)
    bodies = [orjson.dumps(world.detections.detection(0, number)) for number in range(10)]
    _put(store, "o1", bodies[:6])
    _put(store, "o2", bodies[6:])
    before = _everything(store)
    with store.writing() as c:
        _empty(c)
        preferences.put(c, textindex.PENDING, [1, 10])
    with store.writing() as c:
        assert textindex.rebuild_some(c) == 4
    engine = open_engine(store.url, read_only=False)
    try:
        assert textindex.rebuild(engine) == 6
        assert textindex.rebuild(engine) == 0
    finally:
        engine.dispose()
    assert _everything(store) == before
    with store.reader.reading() as connection:
        packed = connection.execute(
            select(models.DetectionBody.body).order_by(models.DetectionBody.detection_id)
        ).scalars()
        assert [unpack(each) for each in packed] == bodies


def _empty(c: Connection) -> None:
    c.execute(text("DELETE FROM alert_label"))
    c.execute(text("DELETE FROM sighting"))
    if c.dialect.name == "sqlite":
        c.execute(text("INSERT INTO detection_text (detection_text) VALUES ('delete-all')"))
    else:
        c.execute(text("DELETE FROM detection_text"))


def _everything(store: Store) -> dict[str, list[int]]:
    """What every token finds."""
    answer = {}
    with store.reader.reading() as connection:
        detection, body = models.Detection.__table__, models.DetectionBody.__table__  # type: ignore[attr-defined]
        for row in connection.execute(
            select(detection.c.cat, detection.c.rule, detection.c.hostname, body.c.body).where(
                body.c.detection_id == detection.c.id
            )
        ).all():
            raw = unpack(row.body)
            for token in tokens_of(
                raw, record_of(raw), cat=row.cat, rule=row.rule, hostname=row.hostname
            ).split():
                answer[token] = newest(connection, term(store.dialect, token), limit=100)
        labels = connection.execute(select(models.AlertLabel.kind, models.AlertLabel.value)).all()
        answer["labels"] = sorted(map(tuple, labels))  # type: ignore[type-var,arg-type]
    assert all(answer.values())
    return answer


def test_a_state_that_changes_leaves_the_index_as_it_was(store: Store) -> None:
    _put(store, "o1", [_raw(1, {"a": "alpha"})])
    with store.writing() as c:
        c.execute(update(models.Detection).values(status=3, version=1))
    assert _found(store, lambda dialect: term(dialect, "alpha")) == [1]


def test_an_upgraded_store_finds_what_was_there_and_reads_its_bodies(empty_url: str, tmp_path: Path) -> None:
    if empty_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = open_engine(empty_url, read_only=False)
    _migrate(engine, "0002")
    body = _raw(1, {"COMMAND_LINE": "vssadmin delete shadows", "HASH": SHA256})
    old = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(body)
    name, sid = "1f2e3d4c-5b6a-4788-9990-a1b2c3d4e5f6", "7C1F9A2E-0b3c-4d5e-8f60-718293a4b5c6"
    with engine.begin() as c:
        for number, detect_id in enumerate((name, "d2"), 1):
            c.execute(
                text(
                    "INSERT INTO detection (id, oid, detect_id, severity, time, cat, rule, hostname, sid, event_type, status,"
                    " classification, assignee, damaged, version) VALUES (:id, 'o1', :detect_id, 2, :time, 'Encoded PowerShell',"
                    " 'general.encoded', 'acme-fs01', :sid, 'NEW_PROCESS', 0, 0, '', :damaged, 0)"
                ),
                {"id": number, "detect_id": detect_id, "time": NOW, "sid": sid, "damaged": False},
            )
            c.execute(text("INSERT INTO detection_body VALUES (:id, :body)"), {"id": number, "body": old})
        c.execute(text("INSERT INTO detection_count VALUES ('o1', 2, 0, 2)"))
        if c.dialect.name == "postgresql":
            c.execute(text("SELECT setval('detection_id_seq', 2)"))
    engine.dispose()
    maintenance.upgrade(empty_url, yes=True)
    assert [(each.name, each.text) for each in maintenance.check(empty_url) if not each.ok] == []
    with closing(Store(empty_url)) as store:
        assert _found(store, lambda dialect: words_query(dialect, "vssadmin")) == [2, 1]
        assert _found(store, lambda dialect: value_query(dialect, "hash", SHA256)) == [2, 1]
        with store.reader.reading() as connection:
            [found] = alerts.by_detect_id(connection, name)
            assert (found.row.id, found.row.detect_id, found.row.sid, found.body) == (1, name, sid, body)
            assert [
                row.id for row in alerts.page(connection, parse_filter("host:fs01 rule:encoded", now=NOW))
            ] == [2, 1]
            assert preferences.get(connection, textindex.PENDING) is None
        again = ingest.detection_from(body.replace(b'"d1"', f'"{name}"'.encode()), "o1")
        with store.writing() as c:
            assert ingest.put_detections(c, "o1", [again]) == 0


def test_an_index_that_lacks_alerts_is_noticed(store: Store) -> None:
    _put(store, "o1", [_raw(1, {"a": "alpha"}), _raw(2, {"a": "alpha"})])
    with store.writing() as c:
        _empty(c)
    [finding] = [each for each in maintenance.check(store.url) if each.name == "text"]
    assert not finding.ok
    assert "o1: 0 instead of 2 alerts" in finding.text


def test_an_id_is_the_same_out_of_the_store_whatever_it_looks_like(store: Store) -> None:
    ids = [
        "1f2e3d4c-5b6a-4788-9990-a1b2c3d4e5f6",
        "1F2E3D4C-5b6a-4788-9990-a1b2c3d4e5f6",
        "d1",
        "1f2e3d4c5b6a47889990a1b2c3d4e5f6",
    ]
    _put(store, "o1", [_raw(0, {"n": number}, detect_id=each) for number, each in enumerate(ids)])
    with store.reader.reading() as connection:
        assert sorted(connection.execute(select(models.Detection.detect_id)).scalars()) == sorted(ids)
        for each in ids:
            assert [found.row.detect_id for found in alerts.by_detect_id(connection, each)] == [each]
        pairs = tuple_(models.Detection.oid, models.Detection.detect_id).in_([("o1", ids[0]), ("o1", ids[2])])  # type: ignore[arg-type]
        assert set(connection.execute(select(models.Detection.detect_id).where(pairs)).scalars()) == {
            ids[0],
            ids[2],
        }
