"""What is looked at before many alerts are decided at once."""

import json
from typing import Any

import pytest

from store import ingest, sampling, triage
from store.alerts import AlertFilter
from store.database import Store
from store.triage import Selection

NOW = 1_790_000_000_000


def detection(number: int, **odd: Any) -> ingest.NewDetection:
    event = {
        "FILE_PATH": odd.get("path", "C:\\scan.exe"), "HASH": odd.get("hash", "a" * 64),
        "COMMAND_LINE": odd.get("command_line", "scan.exe  -q"), "USER_NAME": odd.get("user", "svc"),
    }  # fmt: skip
    raw = {
        "detect_id": f"d{number}", "cat": "Scan", "gen_time": NOW - number,
        "routing": {"hostname": odd.get("host", f"host-{number}"), "sid": "s", "event_type": "NEW_PROCESS"},
        "detect": {"event": {name: value for name, value in event.items() if value is not None}},
        "detect_mtd": {"level": odd.get("severity", "low")},
    }  # fmt: skip
    return ingest.detection_from(json.dumps(raw).encode(), "o1", received=NOW)


@pytest.fixture
def put(store: Store) -> Any:
    def put_all(*records: ingest.NewDetection) -> Store:
        with store.writing() as c:
            ingest.put_detections(c, "o1", records)
        return store

    return put_all


def sample(store: Store, n: int = 5) -> sampling.Sample:
    with store.reader.reading() as c:
        return triage.sample(c, Selection(wanted=AlertFilter()), n, seed=1)


def unlike(found: sampling.Sample) -> dict[str, dict[str, str]]:
    return {
        str(each.row.detect_id): {one.field: str(one.value) for one in each.differs}
        for each in found.outliers
    }


def test_members_that_are_all_alike_have_no_outlier(put: Any) -> None:
    store = put(*(detection(number) for number in range(30)))
    found = sample(store)

    assert (found.total, found.examined, found.organizations) == (30, 30, {"o1": 30})
    assert len({row.id for row in found.members}) == 5
    assert found.outliers == ()
    usual = {each.field: each.values for each in found.usual}
    assert usual["host"] == ()  # each has its own: nothing is usual
    assert usual["path"] == (("C:\\scan.exe", 30),)
    assert usual["severity"] == (("low", 30),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("severity", "critical"), ("host", "dc-1"), ("user", "root"), ("path", "C:\\evil.exe"), ("hash", "b" * 64),
        ("command_line", "scan.exe -q -exec x"), ("user", None),
    ],
)  # fmt: skip
def test_one_that_differs_in_any_field_is_found_among_three_hundred(put: Any, field: str, value: Any) -> None:
    odd = detection(150, **({"host": "host-1"} | {field: value}))
    store = put(*(detection(number, host="host-1") for number in range(300) if number != 150), odd)
    found = sample(store, 3)

    assert unlike(found) == {"d150": {field: value or ""}}
    assert found.outliers[0].differs[0].members == 1
    assert len(found.members) == 3


def test_two_hosts_that_nearly_all_have_leave_the_third_an_outlier(put: Any) -> None:
    hosts = ["a"] * 50 + ["b"] * 47 + ["c"] * 3
    store = put(*(detection(number, host=host) for number, host in enumerate(hosts)))
    assert unlike(sample(store)) == {f"d{number}": {"host": "c"} for number in (97, 98, 99)}


def test_case_and_spaces_make_no_difference(put: Any) -> None:
    store = put(
        *(detection(number) for number in range(9)),
        detection(9, command_line="SCAN.exe -q", path="c:\\SCAN.exe"),
    )
    assert sample(store).outliers == ()


def test_what_differs_most_stands_first_and_many_are_counted(
    put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "LISTED", 4)
    odd = [detection(number, user=f"u{number}") for number in range(100, 109)]
    worst = detection(200, user="x", path="y", hash="c" * 64, severity="critical")
    found = sample(put(*(detection(number) for number in range(50)), *odd, worst))

    assert found.outliers_total == 10
    assert len(found.outliers) == 4
    assert str(found.outliers[0].row.detect_id) == "d200"


def test_a_damaged_member_is_an_outlier_and_no_failure(put: Any) -> None:
    broken = ingest.detection_from(b"\xff not json", "o1", received=NOW)
    found = sample(put(*(detection(number) for number in range(20)), broken))
    assert len(found.outliers) == 1
    assert found.outliers[0].row.damaged


def test_of_very_many_some_are_looked_at_and_it_says_so(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "READ", 10)
    found = sample(put(*(detection(number) for number in range(40))), 20)
    assert (found.total, found.examined, len(found.members)) == (40, 10, 10)


def test_who_has_some_of_them_is_told(put: Any) -> None:
    store = put(*(detection(number) for number in range(5)))
    with store.writing() as c:
        action = triage.begin(c, triage.Decision("claim", "bob"), Selection(ids=(1, 2)), now=NOW)
        triage.proceed(c, action, actor="x", now=NOW)
    assert sample(store).held == {"bob": 2}


def test_nothing_selected_is_an_empty_sample(store: Store) -> None:
    found = sample(store)
    assert (found.total, found.members, found.outliers) == (0, (), ())
