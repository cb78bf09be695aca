"""Folds and storms: what is the same, and that every row counts exactly what it has."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, select, text, update

from store import folds, ingest, maintenance, models
from store.alerts import WOKEN
from store.bodies import pack, unpack
from store.database import Store

NOW = 1_790_000_000_000
HOUR = folds.HOUR
D: Any = models.Detection.__table__  # type: ignore[attr-defined]
BODY: Any = models.DetectionBody.__table__  # type: ignore[attr-defined]
FOLD: Any = models.Fold.__table__  # type: ignore[attr-defined]
STORM: Any = models.Storm.__table__  # type: ignore[attr-defined]
SNOOZE: Any = models.Snooze.__table__  # type: ignore[attr-defined]
ACTION: Any = models.TriageAction.__table__  # type: ignore[attr-defined]
CHANGE: Any = models.TriageChange.__table__  # type: ignore[attr-defined]
BEFORE = (
    "status", "classification", "assignee", "rank", "acknowledged_at", "resolved_at", "snoozed_until", "due_at"
)  # fmt: skip
SCANNER = "C:\\Program Files\\Inventory Scanner\\edr-inventory-scanner.exe"


def record(number: int = 0, *, event: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A detection as received: by default a scanner that opened LSASS."""
    return {
        "detect_id": f"d{number}",
        "cat": "Scanner touched LSASS",
        "source_rule": "general.scanner-touched-lsass",
        "gen_time": NOW + number * 1000,
        "routing": {"hostname": f"host{number}", "sid": "s", "event_type": "SENSITIVE_PROCESS_ACCESS"},
        "detect": {
            "event": event
            or {
                "SOURCE": {"FILE_PATH": SCANNER, "HASH": "a" * 64, "PROCESS_ID": number},
                "TARGET": {"FILE_PATH": "C:\\Windows\\System32\\lsass.exe"},
            }
        },
        "detect_mtd": {"level": "medium"},
        **fields,
    }


def put(c: Connection, oid: str, *records: dict[str, Any]) -> int:
    read = [ingest.detection_from(json.dumps(each).encode(), oid, received=NOW) for each in records]
    return ingest.put_detections(c, oid, read)


# What is the same


def _key(given: dict[str, Any], fields: Sequence[str] = folds.DEFAULT) -> int:
    return folds.fold_of(given, given.get("source_rule", ""), given.get("cat", ""), fields)[0]


def test_one_tool_on_many_machines_is_one_storm_and_another_tool_is_another() -> None:
    assert len({_key(record(number)) for number in range(20)}) == 1
    other = {"SOURCE": {"FILE_PATH": SCANNER, "HASH": "b" * 64}}
    moved = {"SOURCE": {"FILE_PATH": "C:\\Temp\\scanner.exe"}}
    found = {_key(record()), _key(record(event=other)), _key(record(event=moved))}
    assert len(found) == 3
    assert _key(record(source_rule="general.another")) not in found


@pytest.mark.parametrize(
    ("event", "salient"),
    [
        ({"HASH": "A" * 64, "FILE_PATH": "c:\\x.exe"}, [["hash", "a" * 64]]),
        (
            {"HASH": "a" * 64, "FILE_PATH": "c:\\x.exe", "COMMAND_LINE": "X.exe  -a"},
            [["hash", "a" * 64], ["command", "x.exe -a"]],
        ),
        ({"FILE_PATH": "C:\\Users\\ann\\x.exe"}, [["path", "c:\\users\\*\\x.exe"]]),
        ({"FILE_PATH": "C:\\Users\\Public\\x.exe"}, [["path", "c:\\users\\public\\x.exe"]]),
        ({"FILE_PATH": "/home/ann/.ssh/id"}, [["path", "/home/*/.ssh/id"]]),
        ({"COMMAND_LINE": 'cmd /c "C:\\users\\bob\\a.js"'}, [["command", 'cmd /c "c:\\users\\*\\a.js"']]),
        ({"DOMAIN_NAME": "Evil.Example.", "IP_ADDRESS": "203.0.113.9"}, [["domain", "evil.example"]]),
        ({"ClientIP": "203.0.113.9", "UserId": "ann@x.example"}, [["address", "203.0.113.9"]]),
        (
            {"remote_addr": "203.0.113.9", "uri": "/login", "host": "www.customer.example"},
            [["address", "203.0.113.9"]],
        ),
        ({"UserId": "ann@x.example"}, [["user", "ann@x.example"]]),
        ({"ObjectId": "https://x.example/doc", "ClientIP": "203.0.113.9"}, [["address", "203.0.113.9"]]),
        ({}, []),
    ],
)
def test_an_indicator_is_the_file_with_its_command_line_else_what_was_contacted(
    event: dict[str, Any], salient: list[list[str]]
) -> None:
    assert folds.fold_of({"detect": {"event": event}}, "r", "c")[1] == salient


def test_a_key_names_fields_and_keeps_them_in_one_order() -> None:
    given = record(3)
    assert folds.fold_of(given, "r", "c", ("hash", "host"))[1] == [["host", "host3"], ["hash", "a" * 64]]
    assert folds.fold_of(given, "r", "c", ())[1] == []
    assert _key(record(1), ("host",)) != _key(record(2), ("host",))


def test_a_rule_without_a_name_is_told_by_its_category() -> None:
    nameless = record(source_rule=None)
    assert folds.fold_of(nameless, "", "a")[0] != folds.fold_of(nameless, "", "b")[0]
    assert folds.fold_of(nameless, "r", "a") == folds.fold_of(nameless, "r", "b")


def test_a_very_long_value_is_kept_short_and_told_from_others() -> None:
    long = [
        folds.fold_of({"detect": {"event": {"COMMAND_LINE": "x" * 3000 + end}}}, "r", "c") for end in "ab"
    ]
    assert long[0][0] != long[1][0]
    assert all(len(salient[0][1]) < 1100 for _, salient in long)


@given(st.binary(max_size=60) | st.sampled_from([b"[1]", b"null", b'{"detect": 5}', b"{", b'"\\ud800"']))
def test_whatever_was_received_has_values(body: bytes) -> None:
    assert all(isinstance(value, str) for value in folds.values_in(body).values())


def test_two_storms_made_to_have_the_same_key_stay_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "_key_of", lambda _rule, _salient: 2**53 - 1)
    with store.writing() as c:
        put(c, "o1", record(1), record(2, source_rule="general.another"), record(3))
        put(c, "o2", record(4, source_rule="general.another"), record(5, source_rule="general.third"))
        counted(c)
        placed(c)
        rules = {row.key: row.rule for row in c.execute(select(STORM))}
    assert rules == {
        2**53 - 1: "general.scanner-touched-lsass", 1: "general.another", 2: "general.third"
    }  # fmt: skip


# Exactness


def tallies(c: Connection) -> tuple[dict[int, Any], dict[int, Any]]:
    """What the rows of `fold` and `storm` have to be, counted here from the alerts, one by one."""
    in_fold: dict[int, list[Any]] = defaultdict(list)
    in_storm: dict[int, list[Any]] = defaultdict(list)
    storms = {fold: storm for fold, storm in c.execute(select(FOLD.c.id, FOLD.c.storm))}
    for row in c.execute(select(D).order_by(D.c.id)).mappings():
        in_fold[row["fold_id"]].append(row)
        in_storm[storms[row["fold_id"]]].append(row)
    deciders = _deciders(c)
    return (
        {key: _tally(members, deciders) | _of_fold(members) for key, members in in_fold.items()},
        {key: _tally(members, deciders) | _of_storm(members) for key, members in in_storm.items()},
    )


def _shown(members: list[Any]) -> list[Any]:
    return [row for row in members if row["status"] in (0, 1) and row["snoozed_until"] is None]


def _verdict_at(row: Any) -> int:
    return int(row["time"] if row["resolved_at"] is None else row["resolved_at"])


def _deciders(c: Connection) -> dict[int, str]:
    found = c.execute(
        text(
            "SELECT ch.detection_id, a.actor FROM triage_change ch JOIN triage_action a ON a.id = ch.action_id"
            " WHERE ch.outcome = 1 AND a.verb = 'close' ORDER BY a.id"
        )
    )
    return {detection: actor for detection, actor in found}


def _tally(members: list[Any], deciders: dict[int, str]) -> dict[str, Any]:
    shown = _shown(members)
    last_hour = max(row["time"] for row in members) // HOUR
    hours: dict[str, int] = defaultdict(int)
    assignees: dict[str, int] = defaultdict(int)
    for row in members:
        if row["time"] // HOUR > last_hour - folds.HOURS:
            hours[str(row["time"] // HOUR)] += 1
    for row in shown:
        if row["assignee"]:
            assignees[row["assignee"]] += 1
    judged = [row for row in members if row["classification"]]
    last = max(judged, key=lambda row: (_verdict_at(row), row["id"]), default=None)
    return {
        "total": len(members),
        "open": len(shown),
        "first_seen": min(row["time"] for row in members),
        "last_seen": max(row["time"] for row in members),
        "rank": max((row["rank"] for row in shown), default=-1),
        "last_open": max((row["time"] for row in shown), default=0),
        "due_at": min((row["due_at"] for row in shown if row["due_at"] is not None), default=None),
        "assignees": dict(assignees),
        "hours": dict(hours),
        "last_verdict": last["classification"] if last else 0,
        "last_verdict_at": _verdict_at(last) if last else None,
        "last_verdict_alert": last["id"] if last else None,
        "last_verdict_by": deciders.get(last["id"], last["assignee"]) if last else "",
    }


def _of_fold(members: list[Any]) -> dict[str, Any]:
    true = [row for row in members if row["classification"] == 1]
    return {
        "true_positives": len(true),
        "false_positives": sum(row["classification"] == 2 for row in members),
        "last_true_at": max(map(_verdict_at, true), default=None),
        "spent": sum(
            max(0, row["resolved_at"] - row["acknowledged_at"])
            for row in members
            if None not in (row["resolved_at"], row["acknowledged_at"])
        ),
    }


def _of_storm(members: list[Any]) -> dict[str, Any]:
    shown = _shown(members)
    held = {row["fold_id"] for row in shown}
    return {
        "organizations": len({row["oid"] for row in shown}),
        "fold_id": held.pop() if len(held) == 1 else 0,
    }


def stored(c: Connection) -> tuple[dict[int, Any], dict[int, Any]]:
    """What the rows of `fold` and `storm` are, but for what their members share."""
    return (
        {
            row["id"]: _without(row, "id", "oid", "storm", "cat", "rule")
            for row in c.execute(select(FOLD)).mappings()
        },
        {
            row["key"]: _without(row, "key", "cat", "rule", "salient")
            for row in c.execute(select(STORM)).mappings()
        },
    )


def _without(row: Any, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def counted(c: Connection) -> None:
    """Every fold and every storm is what a count from scratch says."""
    folds_here, storms_here = stored(c)
    folds_there, storms_there = tallies(c)
    assert folds_here == folds_there
    assert storms_here == storms_there


def placed(c: Connection) -> None:
    """Every alert is in the fold of its organization, its rule and the values that the keys name."""
    known = folds.keys(c)
    rows = c.execute(
        select(
            D, BODY.c.body, FOLD.c.oid.label("of"), STORM.c.rule.label("shared"), STORM.c.cat.label("named")
        )
        .add_columns(STORM.c.salient)
        .join(BODY, BODY.c.detection_id == D.c.id)
        .join(FOLD, FOLD.c.id == D.c.fold_id)
        .join(STORM, STORM.c.key == FOLD.c.storm)
    ).mappings()
    found = rows.all()
    assert len(found) == c.execute(select(func.count()).select_from(D)).scalar_one()
    for row in found:
        rule = row["rule"] or row["cat"]
        fields = known.get(rule, known.get("*", folds.DEFAULT))
        assert row["of"] == row["oid"]
        assert (row["shared"] or row["named"]) == rule
        assert row["salient"] == folds.salient_of(folds.values_in(unpack(row["body"])), fields)
    pairs = c.execute(select(FOLD.c.oid, FOLD.c.storm)).all()
    assert len(set(pairs)) == len(pairs)


def sorted_anew(c: Connection) -> None:
    """Until nothing is left to be sorted."""
    while folds.rebuild(c).rules:
        pass


_IDS = st.sets(st.integers(0, 30), min_size=1, max_size=6)
_INGEST = st.tuples(
    st.just("ingest"),
    st.sampled_from(["o1", "o2", "o3"]),
    st.lists(
        st.tuples(
            st.sampled_from(["r1", "r2", ""]), st.sampled_from("ab"), st.sampled_from(["h1", "h2"]),
            st.integers(0, 9), st.integers(0, 4),
        ),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
_DECISIONS = st.tuples(
    st.sampled_from(["close", "claim", "ack", "reopen", "snooze", "wake", "undo"]),
    _IDS,
    st.integers(0, 2),
    st.sampled_from(["ann", "bob", ""]),
    st.booleans(),
)
_KEYS = st.tuples(
    st.just("key"),
    st.sampled_from(["*", "r1", "r2"]),
    st.none() | st.sets(st.sampled_from(["indicator", "hash", "host", "event_type"]), max_size=2),
    st.integers(0, 3),
)


class Shift:
    """Does to a store what a shift does, one step after another."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = NOW
        self.number = 0

    def step(self, what: tuple[Any, ...]) -> None:
        """One step, after which every fold and storm is exact."""
        self.clock += 1000
        with self.store.writing() as c:
            getattr(self, f"_{what[0]}", self._decide)(c, *what)
        with self.store.writing() as c:
            counted(c)

    def _ingest(self, c: Connection, _what: str, oid: str, some: Sequence[tuple[Any, ...]]) -> None:
        records = []
        for rule, digest, host, hours, priority in some:
            self.number += 1
            records.append(
                record(
                    self.number,
                    source_rule=rule,
                    gen_time=NOW - hours * HOUR + self.number,
                    routing={"hostname": host},
                    detect={"event": {"HASH": digest * 64}},
                    detect_mtd={},
                    priority=priority,
                )
            )
        assert put(c, oid, *records) == len(records)

    def _key(self, c: Connection, _what: str, rule: str, fields: Iterable[str] | None, windows: int) -> None:
        folds.set_key(c, rule, None if fields is None else sorted(fields), by="x", at=self.clock)
        for _ in range(windows):
            folds.rebuild(c)

    def _decide(self, c: Connection, verb: str, places: set[int], which: int, name: str, again: bool) -> None:
        ids = c.execute(select(D.c.id).order_by(D.c.id)).scalars().all()
        wanted = sorted({ids[place % len(ids)] for place in places}) if ids else []
        before = c.execute(select(D).where(D.c.id.in_(wanted))).mappings().all()
        if verb == "undo":
            self.take_back(c, before)
        else:
            action = c.execute(
                insert(ACTION).values(
                    time=self.clock, actor=name, verb=verb, comment="", detail={}, planned=0, changed=0, refused=0
                ).returning(ACTION.c.id)
            ).scalar_one()  # fmt: skip
            for row in before:
                c.execute(
                    insert(CHANGE).values(
                        action_id=action, detection_id=row["id"], oid=row["oid"], outcome=1,
                        version=row["version"] + 1, **{name: row[name] for name in BEFORE},
                    )
                )  # fmt: skip
            values: dict[str, Any] = {
                "close": {"status": 3, "classification": which, "resolved_at": self.clock, "due_at": None},
                "claim": {"assignee": name},
                "ack": {"status": 1, "acknowledged_at": self.clock, "due_at": self.clock + which * HOUR},
                "reopen": {"status": 1, "resolved_at": None, "due_at": self.clock},
                "snooze": {"snoozed_until": self.clock + HOUR},
                "wake": {"snoozed_until": None, "rank": WOKEN},
            }[verb]
            c.execute(update(D).where(D.c.id.in_(wanted)).values(**values, version=D.c.version + 1))
        if again:
            folds.recount(c, [row["fold_id"] for row in before])
        else:
            folds.changed(c, before)

    def take_back(self, c: Connection, rows: Sequence[Any]) -> None:
        """Back to what the last decision over each found."""
        for row in rows:
            done = (
                select(CHANGE)
                .where(CHANGE.c.detection_id == row["id"], CHANGE.c.outcome == 1)
                .order_by(CHANGE.c.action_id.desc())
            )
            last = c.execute(done).mappings().first()
            if last is None:
                continue
            c.execute(update(D).where(D.c.id == row["id"]).values({name: last[name] for name in BEFORE}))
            c.execute(
                update(CHANGE)
                .where(CHANGE.c.action_id == last["action_id"], CHANGE.c.detection_id == row["id"])
                .values(outcome=4)
            )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_INGEST | _INGEST | _DECISIONS | _DECISIONS | _KEYS, min_size=2, max_size=12))
def test_after_any_shift_every_fold_and_storm_is_what_a_recount_says(
    store: Store, steps: list[tuple[Any, ...]]
) -> None:
    with store.writing() as c, pytest.MonkeyPatch.context() as patch:
        for table in (CHANGE, ACTION, BODY, D, FOLD, STORM):
            c.execute(delete(table))
        for name in ("fold_key", "preference", "detection_count"):
            c.execute(text(f"DELETE FROM {name}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "WINDOW", 3)
        patch.setattr(folds, "_FEW", 2)  # so that both ways to find the worst of what is left are gone
        shift = Shift(store)
        for step in steps:
            shift.step(step)
        with store.writing() as c:
            sorted_anew(c)
            counted(c)
            placed(c)


def test_taking_back_the_last_verdict_brings_the_one_before_it_back(store: Store) -> None:
    shift = Shift(store)
    for step in (
        ("ingest", "o1", [("r1", "a", "h1", 0, 0)] * 3),
        ("close", {0}, 1, "ann", False),
        ("close", {1}, 2, "bob", False),
        ("undo", {1}, 0, "", False),
    ):
        shift.step(step)
        with store.reader.reading() as c:
            fold, storm = c.execute(select(FOLD)).one(), c.execute(select(STORM)).one()
        assert (fold.last_verdict, fold.last_verdict_by) == (storm.last_verdict, storm.last_verdict_by)
    assert (fold.last_verdict, fold.last_verdict_by, fold.last_true_at) == (1, "ann", NOW + 2000)


def test_a_snooze_waits_for_as_many_more_when_its_alert_changes_folds(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", *(record(n, routing={"hostname": f"h{n % 2}"}) for n in range(6)))
        alert = c.execute(select(func.min(D.c.id))).scalar_one()
        fold = c.execute(select(D.c.fold_id).where(D.c.id == alert)).scalar_one()
        c.execute(insert(SNOOZE).values(
            detection_id=alert, oid="o1", fold_id=fold, until=None, more=6 + 4, event="", reason="", by="ann",
            at=NOW, woken_at=None, woken_by="",
        ))  # fmt: skip
        folds.set_key(c, "*", ["host"], by="ann", at=NOW)
        folds.set_key(c, "*", ["indicator", "host"], by="ann", at=NOW)
        sorted_anew(c)
        counted(c)
        found = c.execute(select(SNOOZE)).one()
        now_in = c.execute(select(FOLD).where(FOLD.c.id == found.fold_id)).one()
        assert c.execute(select(D.c.fold_id).where(D.c.id == alert)).scalar_one() == now_in.id
    assert (now_in.total, found.more) == (3, 3 + 4)


def test_a_key_that_is_set_again_or_means_the_same_moves_nothing(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", record(1))
        assert folds.set_key(c, "r", None, by="x", at=NOW) == (None, None)
        assert folds.set_key(c, "r", ["indicator"], by="x", at=NOW) == (None, ("indicator",))
        assert folds.rebuilding(c).rules == ()
        assert folds.set_key(c, "r", ["host", "hash"], by="x", at=NOW) == (("indicator",), ("host", "hash"))
        assert folds.rebuilding(c).rules == ("r",)
        assert folds.set_key(c, "r", ["hash", "host"], by="x", at=NOW) == (("host", "hash"), ("host", "hash"))


def test_alerts_in_no_fold_are_put_into_theirs(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", *(record(n) for n in range(4)))
        c.execute(update(D).where(D.c.id > 0).values(fold_id=0))
        c.execute(delete(FOLD))
        c.execute(delete(STORM))
        folds.ask_again(c)
        sorted_anew(c)
        counted(c)
        placed(c)
        assert folds.miscounted(c) == []


def test_a_store_of_before_is_folded_by_its_upgrade_even_if_that_was_interrupted(
    empty_url: str, tmp_path: Path
) -> None:
    if empty_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = maintenance.open_engine(empty_url, read_only=False)
    maintenance._migrate(engine, "0002")
    with engine.begin() as c:
        for number in range(1, 6):
            c.execute(
                text(
                    "INSERT INTO detection (id, oid, detect_id, severity, time, cat, rule, hostname, sid,"
                    " event_type, status, classification, assignee, damaged, version) VALUES (:id, 'o1', :name,"
                    " 2, :time, 'Scan', 'general.scan', 'h', 's', 'E', :status, 0, '', :damaged, 0)"
                ),
                {
                    "id": number, "name": f"d{number}", "time": NOW + number, "status": number % 4,
                    "damaged": False,
                },
            )  # fmt: skip
            body = json.dumps(record(number)).encode()
            c.execute(
                text("INSERT INTO detection_body VALUES (:id, :body)"), {"id": number, "body": pack(body)}
            )
            c.execute(text("INSERT INTO detection_count VALUES (:oid, 2, 0, 1)"), {"oid": f"other{number}"})
    maintenance._migrate(engine)  # killed right behind this
    with engine.begin() as c:
        assert folds.rebuilding(c).rules == ("*",)
    engine.dispose()
    maintenance.upgrade(empty_url, yes=True)
    with closing(Store(empty_url)) as store, store.writing() as c:
        assert folds.rebuilding(c).rules == ()
        counted(c)
        placed(c)
        assert c.execute(select(FOLD.c.total, FOLD.c.open)).all() == [(5, 3)]
