"""`limegrove org compare`, `org analytics` and `org overview` on a real store."""

from contextlib import closing

import pytest

from console.commands.asof import moment
from console.commands.problem import Problem
from store import ingest
from store.configuration import Record
from store.database import Store
from store.queries.compare import PARTS_READ
from store.times import now_ms

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
NOW = 1_795_528_800_000
"""2026-11-24 14:00:00 UTC."""
DAY = 86_400_000


@pytest.fixture
def rules(filled):
    """Acme has a rule that it had otherwise ten days ago; Böhm has another one."""
    now = now_ms()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store:
        for at, priority in ((now - 20 * DAY, 1), (now - DAY, 5)):
            with store.writing() as c:
                record = Record({"respond": [{"priority": priority}]}, {"enabled": True})
                ingest.put_configuration(c, OIDS[0], "hive/dr-general", {"lsass": record}, at)
        with store.writing() as c:
            ingest.put_configuration(c, OIDS[1], "hive/dr-general", {"other": Record({"a": 1})}, now)
            for oid in OIDS[:2]:
                for subject in PARTS_READ:
                    ingest.put_sync_state(c, oid, subject, checked_at=now, attempted_at=now)
    return filled


def test_two_organizations_are_compared(rules, limegrove):
    answer = limegrove("org", "compare", "Acme Corp", OIDS[1])

    assert answer.code == 0
    assert (answer.json["left"]["name"], answer.json["right"]["oid"]) == ("Acme Corp", OIDS[1])
    found = {(each["what"], each["name"]): each["where"] for each in answer.json["differences"]}
    assert found["hive/dr-general", "lsass"] == "only left"
    assert found["hive/dr-general", "other"] == "only right"
    assert {where for (what, _), where in found.items() if what == "user"} == {"only left"}
    assert (answer.json["complete"], answer.json["never_read"], answer.json["gaps"]) == (True, [], [])


def test_a_comparison_with_what_was_never_read_says_so_first_and_is_not_done(rules, limegrove):
    answer = limegrove("org", "compare", "Acme Corp", OIDS[2])

    assert answer.code == 3
    assert (answer.json["complete"], answer.json["differences"]) == (False, [])
    assert [(each["oid"], each["what"]) for each in answer.json["never_read"]] == [
        (OIDS[2], part) for part in PARTS_READ
    ]
    table = limegrove("org", "compare", "Acme Corp", OIDS[2], "--output", "table")
    assert table.code == 3
    assert table.err.startswith("Not compared whole: The configuration of Evil")
    assert "only left" not in table.out


def test_an_organization_is_compared_with_itself_some_days_ago(rules, limegrove):
    found = limegrove("org", "compare", OIDS[0], "--at", "10d").json

    assert [each for each in found["differences"] if each["what"] != "access log"] == [
        {
            "what": "hive/dr-general",
            "name": "lsass",
            "where": "differs",
            "parts": ["respond.0.priority 1 -> 5"],
        }
    ]
    table = limegrove("org", "compare", OIDS[0], "--at", "10d", "--output", "table")
    assert "respond.0.priority 1 -> 5" in table.out
    assert "1 differ, 0 records are alike." in table.err


@pytest.mark.parametrize(
    "wrong", [[], [OIDS[0]], ["Acme Corp"], [OIDS[1], "--at", "1d"], ["--at", "soon"], ["--at", "2999-01-01"]]
)
def test_what_cannot_be_compared_is_one_sentence(rules, limegrove, wrong):
    answer = limegrove("org", "compare", OIDS[0], *wrong)

    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)


def test_a_time_is_so_long_ago_or_a_date():
    assert moment("7d", NOW) == moment("7d ago", NOW) == NOW - 7 * DAY
    assert moment("2026-11-24T12:00:00Z", NOW) == moment("2026-11-24 12:00", NOW) == NOW - 2 * 3_600_000
    with pytest.raises(Problem, match="lies ahead"):
        moment("2026-11-25", NOW)


def test_the_figures_of_one_organization_have_their_days(rules, limegrove):
    found = limegrove("org", "analytics", "Acme Corp", "--days", "7").json

    assert len(found["days"]) == 7
    assert sum(sum(day["alerts"].values()) for day in found["days"]) == 3
    assert sum(each["total"] for each in found["severities"]) == found["figures"]["alerts"]["value"] == 3
    assert sum(each["alerts"] for each in found["top_rules"]) == 3
    table = limegrove("org", "analytics", "Acme Corp", "--output", "table")
    assert table.code == 0
    assert "#" in table.out


def test_organizations_stand_side_by_side_and_the_missing_are_named(rules, limegrove):
    found = limegrove("org", "analytics").json

    assert [each["oid"] for each in found["customers"]] == OIDS
    assert found["customers"][0]["alerts"] == 3
    assert {each["oid"] for each in found["missing"]} >= set(OIDS[1:])
    table = limegrove("org", "analytics", "--output", "table")
    assert "of 3 organizations are wholly known; not " in table.err
    assert limegrove("org", "analytics", "--days", "0").code == 2


def test_the_overview_names_who_needs_someone_and_what_it_lacks(rules, limegrove):
    found = limegrove("org", "overview").json

    assert (found["organizations"], found["fresh"], found["failed"], found["never_read"]) == (3, 1, 1, 1)
    assert sum(found["alerts"].values()) == found["unclaimed"] == 4
    assert sum(found["detections_per_hour"]) == 4
    assert {each["oid"] for each in found["missing"]} == set(OIDS[1:])
    assert found["needing_someone"] == len(found["attention"]) >= 2
    failed = next(each for each in found["attention"] if each["oid"] == OIDS[1])
    assert failed["why"] == ["The key was revoked."]
    table = limegrove("org", "overview", "--output", "table")
    assert "1 of 3 organizations are fresh; not " in table.err
    assert "\x1b" not in table.out + table.err
