"""When an organization may be changed."""

from datetime import UTC, datetime

import pytest

from store.rollouts.windows import WindowError, closed, read_freezes, read_hours


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


OFFICE = {"rollout_hours": "mon-thu 08:00-18:00 Europe/Berlin, fri 08:00-12:00 Europe/Berlin"}
NIGHT = {"rollout_hours": "fri 22:00-06:00"}


@pytest.mark.parametrize(
    ("parameters", "moment", "opens"),
    [
        ({}, "2026-11-22T03:00", ""),
        (OFFICE, "2026-11-19T07:00", ""),
        (OFFICE, "2026-11-19T06:59", "2026-11-19T07:00:00Z"),
        (OFFICE, "2026-11-19T17:00", "2026-11-20T07:00:00Z"),
        (OFFICE, "2026-11-20T11:00", "2026-11-23T07:00:00Z"),
        # In summer the same hours begin an hour earlier.
        (OFFICE, "2026-07-16T06:00", ""),
        (NIGHT, "2026-11-20T23:00", ""),
        (NIGHT, "2026-11-21T05:59", ""),
        (NIGHT, "2026-11-21T06:00", "2026-11-27T22:00:00Z"),
        ({"rollout_hours": "00:00-24:00"}, "2026-11-21T06:00", ""),
        ({"rollout_hours": "sat-mon 00:00-24:00"}, "2026-11-23T12:00", ""),
        ({"rollout_hours": "sat-mon 00:00-24:00"}, "2026-11-24T12:00", "2026-11-28T00:00:00Z"),
    ],
)
def test_hours_are_those_of_their_zone_and_go_on_past_midnight(parameters, moment, opens):
    said = closed(parameters, at(moment))
    assert said == (f"it is outside its working hours, which begin at {opens}" if opens else "")


@pytest.mark.parametrize(
    ("freeze", "moment", "frozen"),
    [
        (["2026-12-20/2027-01-06"], "2026-12-19T22:59", False),
        (["2026-12-20/2027-01-06"], "2026-12-19T23:00", True),
        (["2026-12-20/2027-01-06"], "2027-01-06T22:59", True),
        (["2026-12-20/2027-01-06"], "2027-01-06T23:00", False),
        ("2026-11-27", "2026-11-27T12:00", True),
        (["2026-11-27", "2026-12-01"], "2026-12-01T12:00", True),
    ],
)
def test_a_freeze_holds_to_the_end_of_its_last_day(freeze, moment, frozen):
    parameters = {"rollout_hours": "00:00-24:00 Europe/Berlin", "rollout_freeze": freeze}
    assert closed(parameters, at(moment)).startswith("it is frozen") is frozen


@pytest.mark.parametrize(
    "text", ["always", "mon 8-18", "mon-xyz 08:00-18:00", "25:00-26:00", "08:00-18:00 Mars/Base"]
)
def test_hours_that_cannot_be_read_are_no_leave_to_write(text):
    with pytest.raises(WindowError, match="rollout_hours"):
        read_hours(text)
    assert "rollout_hours" in closed({"rollout_hours": text}, at("2026-11-19T12:00"))


@pytest.mark.parametrize("value", ["soon", ["2027-01-06/2026-12-20"], 7, [None]])
def test_freezes_that_cannot_be_read_are_no_leave_to_write(value):
    with pytest.raises(WindowError, match="rollout_freeze"):
        read_freezes(value)
    assert "rollout_freeze" in closed({"rollout_freeze": value}, at("2026-11-19T12:00"))
