"""Where organizations are not as their templates want them."""

import json

import pytest
from sqlalchemy import insert, select

from store import drift as deciding
from store import ingest, models
from store.drift import CannotDecide, decide
from store.queries import drift
from store.rollouts import plans
from tests.helpers.drifting import DAY, KEY, ON, WANTED, document, drifted, observed, rule, template
from tests.helpers.screens import NOW, fill, oid_of


@pytest.fixture
def provider(store):
    """A tree of five customers, and no template yet."""
    fill(store, detections=0)
    return store


def found(store, *, scope="", now=NOW):
    with store.reader.reading() as connection:
        return drift.report(connection, scope=scope, key=KEY, now=now)


def named(report, *, standing=True):
    return [
        (int(each.oid[:8], 16), each.what, each.drift)
        for each in report.drifts
        if each.standing or not standing
    ]


def decided(store, oid, name, decision, *, section="hive/fp", now=NOW, **given):
    report = found(store, now=now)
    one = drift.at(report, oid, (section, name))
    assert one is not None
    with store.writing() as connection:
        decide(connection, one, decision, reason="because", by="dana", now=now, **given)


def drafted(store):
    with store.reader.reading() as connection:
        return plans.drafted(connection, scope="", key=KEY)


def test_each_kind_of_deviation_is_found_and_named(provider):
    drifted(provider)
    report = found(provider)
    assert named(report) == [
        (1, "hives/fp/second", "missing"),
        (4, "(everything)", "unreadable"),
        (1, "hives/fp/first", "changed"),
        (2, "hives/fp/second", "disabled"),
        (3, "hives/fp/local", "extra"),
    ]
    assert report.counts == {"missing": 1, "unreadable": 1, "changed": 1, "disabled": 1, "extra": 1}
    assert report.oldest == NOW - 7_200_000
    assert len(report.organizations) == 5


def test_a_scope_holds_only_what_is_below_it(provider):
    drifted(provider)
    report = found(provider, scope="customer-2")
    assert named(report) == [(2, "hives/fp/second", "disabled")]
    assert report.oldest == NOW - 3_600_000


def test_a_record_whose_time_has_passed_has_expired_although_it_is_as_wanted(provider):
    until = {"enabled": True, "expiry": NOW}
    template(provider, content=document(waived=(rule("w"), until), silent=(rule("s"), None)))
    observed(provider, 0, {"waived": (rule("w"), until), "silent": (rule("s"), ON)})
    observed(provider, 1, {"waived": (rule("w"), until), "silent": (rule("s"), until)})
    only = [each for each in named(found(provider)) if each[2] == "expired"]
    assert only == [
        (1, "hives/fp/silent", "expired"), (0, "hives/fp/waived", "expired"), (1, "hives/fp/waived", "expired"),
    ]  # fmt: skip
    assert [each for each in named(found(provider, now=NOW - 1)) if each[2] == "expired"] == []


def test_a_record_that_names_its_organization_expires_too(provider):
    until = {"enabled": True, "expiry": NOW}
    template(provider, content=document(waived=({"op": "is", "path": "oid", "value": "${oid}"}, until)))
    observed(provider, 0, {"waived": ({"op": "is", "path": "oid", "value": oid_of(0)}, until)})
    assert (0, "hives/fp/waived", "expired") in named(found(provider))


def test_what_is_remembered_to_be_as_wanted_is_looked_at_for_extras_and_expiry_all_the_same(provider):
    template(provider, content=document(**WANTED, waived=(rule("w"), {"enabled": True, "expiry": NOW + DAY})))
    whole = {
        **WANTED,
        "waived": (rule("w"), {"enabled": True, "expiry": NOW + DAY}),
        "local": (rule("m"), ON),
    }
    observed(provider, 0, whole)
    with provider.writing() as connection:
        plans.remember(connection, plans.drafted(connection, scope="", key=KEY), now=NOW, mark=10**9)
        states = connection.execute(select(models.WantedState.__table__.c.oid)).scalars().all()
    assert states == [oid_of(0)]
    first = [each for each in named(found(provider)) if each[0] == 0]
    assert first == [(0, "hives/fp/local", "extra")]
    later = [each for each in named(found(provider, now=NOW + DAY)) if each[0] == 0]
    assert later == [(0, "hives/fp/waived", "expired"), (0, "hives/fp/local", "extra")]


def test_what_is_in_a_section_of_which_no_template_has_anything_is_no_ones_business(provider):
    drifted(provider)
    observed(provider, 0, {"theirs": (rule("x"), ON)}, section="hive/dr-general")
    assert [each for each in named(found(provider)) if each[0] == 0] == []


def test_what_a_template_brought_and_wants_no_more_is_extra(provider):
    template(provider, content=document(**WANTED))
    observed(provider, 0, WANTED)
    observed(provider, 0, {"left": (rule("x"), ON)}, section="hive/dr-general")
    owned = models.TemplateOwned.__table__
    with provider.writing() as connection:
        connection.execute(
            insert(owned).values(
                oid=oid_of(0), section="hive/dr-general", name="left", template="base", version=1, hash="h",
                plan_id=1, at=NOW,
            )
        )  # fmt: skip
    assert [each for each in named(found(provider)) if each[0] == 0] == [
        (0, "hives/dr-general/left", "extra")
    ]


def test_a_secret_that_nobody_wrote_from_here_cannot_be_known(provider):
    content = b'{"version": 3, "hives": {"secret": {"siem": {"data": {"secret": "hunter2hunter2"}}}}}'
    template(provider, content=content)
    observed(provider, 0, {"siem": ({}, ON)}, section="hive/secret")
    assert (0, "hives/secret/siem", "unreadable") in named(found(provider))


def test_without_the_key_that_digests_secrets_only_records_with_one_cannot_be_compared(provider):
    from store.configuration import redact
    from store.rollouts.compare import normalised

    body = {"module": "splunk", "for": "detect", "auth_header_value": "hunter2hunter2"}
    plain = {"module": "syslog", "for": "detect", "dest_host": "x:514"}
    content = json.dumps({"version": 3, "outputs": {"splunk": body, "siem": plain}}).encode()
    template(provider, content=content)
    held = redact("output", normalised("output", "splunk", body), KEY)
    assert held != body
    observed(
        provider, 0, {"splunk": (held, {}), "siem": ({**plain, "dest_host": "y:1"}, {})}, section="output"
    )
    assert [each[1:] for each in named(found(provider)) if each[0] == 0] == [("outputs/siem", "changed")]
    with provider.reader.reading() as connection:
        keyless = drift.report(connection, key=None, now=NOW)
    assert [each[1:] for each in named(keyless) if each[0] == 0] == [
        ("outputs/splunk", "unreadable"), ("outputs/siem", "changed"),
    ]  # fmt: skip


def test_a_later_reading_that_failed_is_told_with_the_age_of_the_earlier_one(provider):
    drifted(provider)
    with provider.writing() as connection:
        ingest.put_sync_state(
            connection,
            oid_of(2),
            "configuration",
            attempted_at=NOW,
            failure="auth",
            reason="The key was refused.",
        )
    report = found(provider)
    assert report.failed == ((oid_of(2), "The key was refused."),)
    assert (2, "hives/fp/second", "disabled") in named(report)


# Decisions


def test_what_is_accepted_is_no_drift_until_its_date(provider):
    drifted(provider)
    decided(provider, oid_of(1), "first", "accept", until=NOW + DAY)
    assert (1, "hives/fp/first", "changed") not in named(found(provider))
    assert (1, "hives/fp/first", "changed") in named(found(provider), standing=False)
    assert (1, "hives/fp/first", "changed") in named(found(provider, now=NOW + DAY))


def test_what_is_accepted_is_drift_again_when_its_content_or_metadata_changes(provider):
    drifted(provider)
    decided(provider, oid_of(1), "first", "accept")
    assert (1, "hives/fp/first", "changed") not in named(found(provider))
    for body, metadata in ((rule("yet another"), ON), (rule("other"), {**ON, "tags": ["x"]})):
        observed(provider, 1, {"first": (body, metadata), "third": WANTED["third"]}, at=NOW)
        assert (1, "hives/fp/first", "changed") in named(found(provider))
    observed(provider, 1, {"first": (rule("other"), ON), "third": WANTED["third"]}, at=NOW + 1)
    assert (1, "hives/fp/first", "changed") not in named(found(provider))


def test_a_record_whose_absence_is_accepted_is_drift_again_when_it_comes_otherwise(provider):
    drifted(provider)
    decided(provider, oid_of(1), "second", "accept")
    assert (1, "hives/fp/second", "missing") not in named(found(provider))
    observed(provider, 1, {"second": (rule("z"), ON)}, at=NOW)
    assert (1, "hives/fp/second", "changed") in named(found(provider))


def test_what_is_denied_shows_until_it_is_put_right(provider):
    drifted(provider)
    decided(provider, oid_of(1), "first", "accept")
    decided(provider, oid_of(1), "first", "deny")
    one = drift.at(found(provider), oid_of(1), ("hive/fp", "first"))
    assert (one.holds, one.standing, one.reason, one.by) == ("denied", True, "because", "dana")
    observed(provider, 1, {"first": WANTED["first"], "third": WANTED["third"]}, at=NOW)
    assert drift.at(found(provider), oid_of(1), ("hive/fp", "first")) is None


def test_what_is_excluded_is_in_no_plan_and_is_again_once_that_is_taken_back(provider):
    drifted(provider)
    before = drafted(provider)
    decided(provider, oid_of(2), "second", "exclude")
    after = drafted(provider)
    assert [each.oid for each in before.changes if each.oid == oid_of(2)] == [oid_of(2)]
    assert [each.oid for each in after.changes if each.oid == oid_of(2)] == []
    assert before.hash != after.hash
    assert (2, "hives/fp/second", "disabled") not in named(found(provider))
    with provider.writing() as connection:
        plans.remember(connection, drafted(provider), now=NOW, mark=10**9)
    with provider.writing() as connection:
        assert deciding.undecide(connection, oid_of(2), ("hive/fp", "second"))
    assert drafted(provider).hash == before.hash
    assert (2, "hives/fp/second", "disabled") in named(found(provider))


@pytest.mark.parametrize(
    ("decision", "given", "says"),
    [
        ("deny", {"until": NOW + DAY}, "A date is for accept"),
        ("exclude", {"until": NOW + DAY}, "A date is for accept"),
        ("accept", {"until": NOW}, "has passed already"),
        ("accept", {"reason": "  "}, "needs a reason"),
    ],
)
def test_a_decision_that_means_nothing_is_refused(provider, decision, given, says):
    drifted(provider)
    one = drift.at(found(provider), oid_of(1), ("hive/fp", "first"))
    with provider.writing() as connection, pytest.raises(CannotDecide, match=says):
        decide(connection, one, decision, **{"reason": "r", "by": "", "now": NOW, **given})
    with provider.reader.reading() as connection:
        assert deciding.decisions(connection) == {}


def test_nothing_is_decided_about_what_was_never_read(provider):
    drifted(provider)
    one = drift.at(found(provider), oid_of(4), deciding.WHOLE)
    with provider.writing() as connection, pytest.raises(CannotDecide, match="never read"):
        decide(connection, one, "accept", reason="r", by="", now=NOW)


# The heat table


def test_organizations_that_deviate_alike_are_one_column_and_the_worst_stands_first(provider):
    drifted(provider)
    observed(provider, 4, {"first": (rule("quite other"), ON), "third": WANTED["third"]})
    table = drift.heat(found(provider))
    assert [(len(each.oids), each.drifts) for each in table.columns] == [(2, 2), (1, 1), (1, 1)]
    assert table.columns[0].oids == (oid_of(1), oid_of(4))
    assert [(each.what, each.organizations, each.worst) for each in table.lines] == [
        ("hives/fp/second", 3, "missing"), ("hives/fp/first", 2, "changed"), ("hives/fp/local", 1, "extra"),
    ]  # fmt: skip
    assert table.lines[0].cells == {0: "missing", 1: "disabled"}
    assert table.well == 1


def test_what_is_accepted_is_not_in_the_heat_table(provider):
    drifted(provider)
    decided(provider, oid_of(3), "local", "accept")
    assert "hives/fp/local" not in [each.what for each in drift.heat(found(provider)).lines]


# Who did it


def test_a_change_is_attributed_from_the_audit_log_else_from_the_record_else_from_the_readings(provider):
    drifted(provider)
    observed(provider, 2, {"first": WANTED["first"], "second": WANTED["second"]}, at=NOW - 1000)
    entry = {
        "etype": "hive_set", "ident": "kim@acme.example", "msg": "hive record fp/second set",
        "entity": {"type": "hive", "name": "fp/second"}, "time": NOW - 5_000,
    }  # fmt: skip
    with provider.writing() as connection:
        ingest.put_audit(connection, oid_of(1), [entry, {**entry, "time": NOW - 9_000, "ident": "old"}])
    report = found(provider)
    with provider.reader.reading() as connection:
        who = drift.attributed(connection, report.drifts)
    told = who[oid_of(1), "hive/fp", "second"]
    assert (told.by, told.at, told.source) == ("kim@acme.example", NOW - 5_000, "audit")
    assert who[oid_of(1), "hive/fp", "first"].by == "lee@acme.example"
    assert who[oid_of(1), "hive/fp", "first"].source == "record"
    gone = who[oid_of(2), "hive/fp", "third"]
    assert (gone.by, gone.at, gone.source) == ("", NOW - 1000, "reading")


# Near duplicates


def test_rules_that_do_the_same_under_other_names_or_in_other_words_are_found(provider):
    one = {"op": "and", "rules": [rule("a"), rule("b")], "description": "ours"}
    other = {"op": "and", "rules": [rule("B "), rule("a")], "description": "theirs"}
    template(provider, content=document(ours=(one, ON)))
    observed(provider, 0, {"ours": (one, ON), "single": (rule("x"), ON)})
    observed(provider, 1, {"theirs": (other, ON), "single": (rule("x"), ON)})
    observed(provider, 2, {"ours": (one, ON), "else": ({**one, "op": "or"}, ON)})
    with provider.reader.reading() as connection:
        alike = drift.alike(connection)
        assert drift.alike(connection, scope="customer-0") == []
    assert [(each.section, each.names, each.organizations, each.bodies, each.wanted) for each in alike] == [
        ("hive/fp", (("ours", 2), ("theirs", 1)), 3, 2, True)
    ]
