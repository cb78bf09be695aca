"""What has to be known about a customer: the document, what is missing in it, and the clocks that it sets."""

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from console.csvfile import csv_bytes
from store import customers, folds, ingest, sla, triage
from store.customers import (
    EMPTY,
    NEEDED,
    Contact,
    Customer,
    CustomerError,
    Day,
    Maintenance,
    Procedure,
    Step,
    customer,
    kept,
    missing_of,
    plain,
    put,
    read_document,
    read_documents,
    text_of,
)
from store.customersheet import read_sheet, rows_of
from store.database import Store
from store.models import CustomerDocument, Detection, Fold, Journal
from store.servicehours import parse_hours, zone
from store.yaml import LARGEST
from tests.corpus.strings import everything
from tests.helpers.soak import examples

MINUTE, HOUR = 60_000, 3_600_000
FRIDAY = int(datetime(2026, 11, 27, 17, 50, tzinfo=zone("Europe/Berlin")).timestamp() * 1000)
"""Ten minutes before they go home."""
MONDAY = FRIDAY + (2 * 24 + 14) * HOUR + 10 * MINUTE
"""When they come back: at eight."""

_D = Detection.__table__  # type: ignore[attr-defined]
_FOLD = Fold.__table__  # type: ignore[attr-defined]
_JOURNAL = Journal.__table__  # type: ignore[attr-defined]

OFFICE = (parse_hours("08:00-18:00"),) * 5 + ((), ())

ACME = Customer(
    time_zone="Europe/Berlin",
    hours=OFFICE,
    always=("critical",),
    country="DE-BE",
    closed=(Day(12, 24, 2026, "Christmas Eve"), Day(12, 31)),
    opened=(Day(10, 3, 2026),),
    contacts=(
        Contact("Dr. Ines Roth", "CISO", "+49 30 5550100", "ines@acme.example", "phone first"),
        Contact("IT"),
    ),
    escalation=(Step(0, "Dr. Ines Roth"), Step(1800, "IT on call", "+49 30 5550199")),
    maintenance=(Maintenance("Patches", "Sun 02:00-04:00"),),
    notes="Their mail gateway rewrites links.\n\nAnd asks twice.",
    sops=(Procedure("PowerShell from mail", "Call first.\nThen isolate."),),
)

DOCUMENT = """\
time_zone: Europe/Berlin
service_hours: {Mon-Fri: 08:00-18:00}
around_the_clock: [critical]
holidays: {country: DE-BE, closed: [2026-12-24 Christmas Eve, 12-31], open: [2026-10-03]}
contacts:
  - {name: Dr. Ines Roth, role: CISO, phone: +49 30 5550100, mail: ines@acme.example, note: phone first}
  - {name: IT}
escalation:
  - {after: 0m, who: Dr. Ines Roth}
  - {after: 30m, who: IT on call, how: +49 30 5550199}
maintenance:
  - {title: Patches, when: Sun 02:00-04:00}
notes: |
  Their mail gateway rewrites links.

  And asks twice.
sops:
  - title: PowerShell from mail
    text: |
      Call first.
      Then isolate.
"""


def detection(number: int, level: str, time: int = FRIDAY, cat: str = "") -> ingest.NewDetection:
    raw = {
        "detect_id": f"d{number}",
        "gen_time": time,
        "detect_mtd": {"level": level},
        "cat": cat or f"rule {number}",
    }
    return ingest.detection_from(json.dumps(raw).encode(), "o", received=time)


def due(c: Any) -> dict[str, int | None]:
    return dict(c.execute(select(_D.c.detect_id, _D.c.due_at)).all())  # type: ignore[arg-type]


# The document


def test_a_document_is_read_as_people_write_it() -> None:
    assert read_document(DOCUMENT) == ACME
    assert read_document(DOCUMENT.encode()) == ACME
    assert read_document(text_of(ACME)) == ACME
    assert text_of(EMPTY) == ""
    assert read_document("") == EMPTY


def test_what_is_kept_comes_back(store: Store) -> None:
    with store.writing() as c:
        assert put(c, "o1", ACME, by="mk", now=5) is True
        assert put(c, "o1", ACME, by="dana", now=6) is False
        assert put(c, "o2", EMPTY, by="mk", now=5) is False
    with store.reader.reading() as c:
        assert customer(c, "o1") == ACME
        assert customer(c, "o2") == customer(c, "nobody") == EMPTY
        found = kept(c, "o1")
        assert (found.by, found.at, found.pushed_at) == ("mk", 5, None)
        assert customers.kept_of(c).keys() == {"o1"}
        entries = c.execute(select(_JOURNAL.c.action, _JOURNAL.c.oid, _JOURNAL.c.detail)).all()
    assert len(entries) == 1
    assert entries[0].action == "customer.document"
    assert set(entries[0].detail["changed"]) == set(customers.FIELDS)
    # A customer can be forgotten, and an entry of the journal cannot.
    assert "Roth" not in str(entries) and "5550100" not in str(entries)  # noqa: PT018


def test_time_zones_are_told_of_those_asked_for_whatever_others_are_like(store: Store) -> None:
    table = CustomerDocument.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        for number in range(5):
            put(c, f"o{number}", customers.from_plain({"time_zone": "Asia/Tokyo"}), by="ann", now=1)
        for oid, document in (("o1", {"time_zone": 5}), ("o2", ["Asia/Tokyo"]), ("o3", {"time_zone": ""})):
            c.execute(table.update().where(table.c.oid == oid).values(document=document))
        if store.dialect == "sqlite":  # no other takes what is no JSON
            c.execute(text("UPDATE customer_document SET document = '{\"time_zone\": ' WHERE oid = 'o3'"))
    with store.reader.reading() as c:
        assert customers.time_zones(c, [f"o{number}" for number in range(4)]) == {"o0": "Asia/Tokyo"}
        assert customers.time_zones(c, []) == {}


def test_what_is_missing_is_known_without_reading_it(store: Store) -> None:
    assert ACME.missing == () and ACME.complete  # noqa: PT018
    assert EMPTY.missing == NEEDED
    with store.writing() as c:
        put(c, "o1", ACME, by="mk", now=5)
        put(c, "o2", Customer(contacts=(Contact("Kim"),), hours=()), by="mk", now=5)
        gaps = missing_of(c, ["o1", "o2", "o3"])
        assert gaps["o1"] == ()
        # Somebody without a number or an address cannot be reached; around the clock is an answer.
        assert gaps["o2"] == ("contacts", "escalation", "time zone", "maintenance", "SOPs")
        assert gaps["o3"] == NEEDED


@pytest.mark.parametrize(
    ("field", "without"),
    [
        ("contacts", {"contacts": ()}),
        ("escalation", {"escalation": ()}),
        ("time zone", {"time_zone": ""}),
        ("service hours", {"hours": None}),
        ("maintenance", {"maintenance": None}),
        ("SOPs", {"sops": ()}),
    ],
)
def test_each_gap_is_named(field: str, without: dict[str, Any]) -> None:
    assert replace(ACME, **without).missing == (field,)


def test_no_maintenance_and_around_the_clock_are_answers() -> None:
    told = read_document("maintenance: none\nservice_hours: 24x7\n")
    assert (told.maintenance, told.hours, told.service) == ((), (), None)
    assert read_document(text_of(told)) == told
    assert "maintenance" not in told.missing


LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30).map(str.strip)
NAME = LINE.filter(lambda name: bool(name) and name[0] not in "=@\uff1d\uff20")
BLOCK = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\n\t"), max_size=60).map(
    str.strip
)
MADE = st.builds(
    Customer,
    time_zone=st.sampled_from(["", "Europe/Berlin", "America/New_York", "UTC"]),
    hours=st.sampled_from([None, (), OFFICE, ((), (), ((1320, 1800),), (), ((0, 1440),), ((0, 60), (90, 1440)), ())]),
    always=st.sampled_from([(), ("critical",), ("critical", "high")]),
    country=st.sampled_from(["", "DE", "DE-BE", "US-CA"]),
    closed=st.lists(st.builds(Day, st.integers(1, 12), st.integers(1, 28), st.sampled_from([None, 2026]), LINE.filter(lambda name: ";" not in name)), max_size=3).map(tuple),
    opened=st.lists(st.builds(Day, st.integers(1, 12), st.integers(1, 28), st.just(2026)), max_size=2).map(tuple),
    contacts=st.lists(st.builds(Contact, NAME, LINE.filter(lambda role: role[:1] not in ("=", "@", "\uff1d", "\uff20")), st.sampled_from(["", "+49 30 5550100", "030/555-0100 ext 7"]), st.sampled_from(["", "a.b@c.example"]), LINE), max_size=3).map(tuple),
    escalation=st.lists(st.builds(Step, st.sampled_from([0, 45, 1800, 7200, 86400]), NAME, LINE), max_size=3).map(tuple),
    maintenance=st.none() | st.lists(st.builds(Maintenance, NAME, st.sampled_from(["Sun 02:00-04:00", "last Sat 22:00-06:00", "2nd Tue 20:00-23:00", "2026-12-01 22:00 to 2026-12-02 04:00"])), max_size=2).map(tuple),
    notes=BLOCK,
    sops=st.lists(st.builds(Procedure, NAME, BLOCK), max_size=2).map(tuple),
)  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(MADE)
def test_whatever_may_be_said_is_written_and_read_again(made: Customer) -> None:
    assert customers.from_plain(json.loads(json.dumps(plain(made)))) == made
    assert read_document(text_of(made)) == made
    # And as a file of several, next to another.
    heading = {"oid": "11111111-0000-0000-0000-000000000001", "organization": 'Acme: "x"'}
    told = customers.yaml_of([{**heading, **plain(made)}])
    assert replace(EMPTY, **read_documents(told, {heading["oid"]: "x"})[heading["oid"]]) == made


@settings(max_examples=examples(200), deadline=None)
@given(MADE)
def test_a_spreadsheet_says_the_same(made: Customer) -> None:
    made = replace(
        made,
        maintenance=made.maintenance or None,  # to say `none` in it takes a line of its own, below
    )
    rows, columns = rows_of({"o1": ("Acme", made)})
    told = read_sheet(csv_bytes(rows, columns), {"o1": "Acme"})["o1"]
    assert replace(EMPTY, **told) == made
    none = replace(EMPTY, maintenance=())
    assert replace(EMPTY, **read_sheet(csv_bytes(*rows_of({"o1": ("", none)})), {"o1": ""})["o1"]) == none


@pytest.mark.parametrize(
    ("document", "line", "said"),
    [
        ("a: 1", 1, "no field of a documentation"),
        ("\n\ntime_zone: Berlin", 3, "'Berlin' is no time zone"),
        ("notes: x\nservice_hours: 9 to 5", 2, "Service hours are days with hours"),
        ("service_hours:\n  Mon: 08:00-18:00\n  Tue: 8-18", 3, "are no hours"),
        ("service_hours:\n  Mon-Fri: 08:00-18:00\n  Wed: 08:00-12:00", 3, "A day has its hours twice"),
        ("service_hours:\n  Montag: 08:00-18:00", 2, "is no day of the week"),
        ("service_hours:\n  Mon: 12:30", 2, "are no hours"),  # YAML reads a number of minutes
        ("around_the_clock: [critical, worst]", 1, "'worst' is no severity"),
        ("holidays: {country: Germany}", 1, "'Germany' is no country"),
        ("holidays:\n  country: DE-XX", 2, "no part of DE"),
        ("holidays:\n  country: XX", 2, "holidays of 'XX' are not known"),
        ("holidays:\n  closed: [2026-02-30]", 2, "does not exist|cannot be made|is no date"),
        ("holidays:\n  closed:\n    - 2026-12-24\n    - Christmas", 4, "'Christmas' is no date"),
        ("holidays:\n  open: [12-24]", 2, "is no date"),
        ("holidays:\n  shut: []", 2, "no part of holidays"),
        ("contacts: Ines", 1, "contacts is a list"),
        ("contacts:\n  - Ines", 2, "A contact is a mapping"),
        ("contacts:\n  - role: CISO", 2, "A contact has a name"),
        ("contacts:\n  - name: Ines\n    tel: 1", 3, "'tel' is no part of a contact"),
        ("contacts:\n  - name: Ines\n    phone: call me", 3, "is no phone number"),
        ("contacts:\n  - name: Ines\n    phone: 49305550100", 3, "write it in quotes"),
        ("contacts:\n  - name: Ines\n    mail: ines@acme", 3, "is no mail address"),
        ("contacts:\n  - name: '=HYPERLINK(1)'", 2, "begins as a spreadsheet's formula"),
        ("contacts:\n  - name: Ines\n    role: \"\\e[2J\"", 3, "holds a control character"),
        ("escalation:\n  - {after: 30m}", 2, "says who"),
        ("escalation:\n  - {after: soon, who: Ines}", 2, "'soon' is no time"),
        ("maintenance: sometimes", 1, "maintenance is a list"),
        ("maintenance:\n  - {title: Patches, when: Sundays}", 2, "is no window"),
        ("maintenance:\n  - {title: Patches}", 2, "is no window"),
        ("maintenance:\n  - {title: M, when: 2026-12-02 04:00 to 2026-12-01 22:00}", 2, "ends before it begins"),
        ("maintenance:\n  - {title: M, when: 2026-02-30 04:00 to 2026-03-01 22:00}", 2, "does not exist"),
        ("sops:\n  - {text: Call.}", 2, "A procedure has a title"),
        ("notes: " + "x" * 20_001, 1, "more than 20000 characters"),
        ("contacts:\n" + "  - {name: x}\n" * 51, 1, "More than 50"),
        ("notes: x\nnotes: y", 2, "is there twice"),
        ("- a", 1, "A documentation is a mapping"),
        ("notes: !x y", 1, "tag"),
        ("x" * (LARGEST + 1), 1, "more than 5 MB"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_with_its_line(document: str, line: int, said: str) -> None:
    import re

    with pytest.raises(CustomerError) as raised:
        read_document(document)
    problem = raised.value.problems[0]
    assert (problem.line, bool(re.search(said, problem.text))) == (line, True), str(problem)
    assert str(raised.value).isprintable()


def test_every_problem_of_a_file_is_found_before_anything_is_done() -> None:
    file = "- organization: Acme\n  notes: 1\n- organization: Bolt\n- organization: Acme\n- oid: o9\n- notes: x\n- 7\n- organization: Twin\n"
    with pytest.raises(CustomerError) as raised:
        read_documents(file, {"o1": "Acme", "o2": "Twin", "o3": "Twin"})
    assert [(each.line, each.text) for each in raised.value.problems] == [
        (2, "YAML reads '1' as no text; write it in quotes."),
        (3, "No organization has the name 'Bolt'."),
        (4, "The organization is there twice; it is on line 1 too."),
        (5, "No organization with the oid 'o9' is known."),
        (6, "A documentation says whose it is: organization, by its name or oid."),
        (7, "A documentation is a mapping that begins with its organization."),
        (8, "2 organizations have the name 'Twin'; write the oid."),
    ]
    assert str(raised.value).endswith("And 6 more.")


@pytest.mark.parametrize("file", ["", "notes: x", "7"])
def test_a_file_of_documentations_is_a_list(file: str) -> None:
    with pytest.raises(CustomerError, match="list"):
        read_documents(file, {})


def test_no_text_of_a_stranger_breaks_reading_or_a_sentence() -> None:
    for string in everything():
        for field in ("name", "role", "phone", "mail", "note"):
            said = ""
            try:
                made = customers.checked({"contacts": [{"name": "Ines", field: string}], "notes": string})
                assert customers.from_plain(made).contacts
            except CustomerError as error:
                said = str(error)
            assert said.isprintable(), ascii(string)


def test_put_refuses_what_a_document_could_not_say(store: Store) -> None:
    for wrong in (
        replace(ACME, time_zone="Mars/Base"),
        replace(ACME, contacts=(Contact(""),)),
        replace(ACME, contacts=(Contact("Ines", phone="x"),)),
        replace(ACME, maintenance=(Maintenance("M", "never"),)),
        replace(ACME, always=("worst",)),
    ):
        with store.writing() as c:
            with pytest.raises(CustomerError):
                put(c, "o1", wrong, by="mk", now=5)
            assert customer(c, "o1") == EMPTY


# The clocks


def test_clocks_run_in_service_hours_alone_and_critical_ones_always(store: Store) -> None:
    with store.writing() as c:
        ingest.put_detections(c, "o2", [detection(9, "high")])
        put(c, "o1", ACME, by="mk", now=5)
        ingest.put_detections(c, "o1", [detection(1, "high"), detection(2, "critical")])
        found = due(c)
    assert found["d1"] == MONDAY + 5 * MINUTE  # a quarter of an hour, ten minutes of it on Friday
    assert found["d2"] == FRIDAY + 15 * MINUTE
    assert found["d9"] == FRIDAY + 15 * MINUTE  # nobody said anything of its hours


def test_a_changed_calendar_sets_the_open_clocks_anew_and_their_folds(store: Store) -> None:
    with store.writing() as c:
        ingest.put_detections(
            c, "o1", [detection(n, "high") for n in range(4)] + [detection(8, "high", cat="rule 0")]
        )
        c.execute(text("UPDATE detection SET status = 1, due_at = time + 720 * 60000 WHERE detect_id = 'd1'"))
        c.execute(text("UPDATE detection SET status = 3, due_at = NULL WHERE detect_id = 'd2'"))
        folds.recount(c, c.execute(select(_D.c.fold_id)).scalars().all())

    def all_are_exact(quick: int, slow: int) -> None:
        with store.reader.reading() as c:
            assert due(c) == {"d0": quick, "d1": slow, "d2": None, "d3": quick, "d8": quick}
            expected: dict[int, set[int]] = {}
            for row in c.execute(select(_D.c.fold_id, _D.c.due_at).where(_D.c.due_at.is_not(None))):
                expected.setdefault(row.fold_id, set()).add(row.due_at)
            for row in c.execute(select(_FOLD.c.id, _FOLD.c.due_at).where(_FOLD.c.open > 0)):
                assert row.due_at == min(expected[row.id])
            assert folds.miscounted(c) == []

    with store.writing() as c:
        put(c, "o1", ACME, by="mk", now=5)
    # 720 minutes are ten on Friday, ten hours on Monday, and an hour and fifty minutes on Tuesday.
    all_are_exact(MONDAY + 5 * MINUTE, MONDAY + 25 * HOUR + 50 * MINUTE)
    with store.writing() as c:
        assert sla.restate(c, "o1") == 0
        put(c, "o1", replace(ACME, hours=()), by="mk", now=6)
    all_are_exact(FRIDAY + 15 * MINUTE, FRIDAY + 720 * MINUTE)
    with store.writing() as c:
        put(c, "o1", ACME, by="mk", now=7)
        put(c, "o1", replace(ACME, closed=(Day(11, 30, 2026),)), by="mk", now=8)
    all_are_exact(MONDAY + 24 * HOUR + 5 * MINUTE, MONDAY + 49 * HOUR + 50 * MINUTE)
    with store.writing() as c:
        assert put(c, "o1", EMPTY, by="mk", now=9)
        assert not put(c, "o1", EMPTY, by="mk", now=10)
    all_are_exact(FRIDAY + 15 * MINUTE, FRIDAY + 720 * MINUTE)


def test_what_is_acknowledged_goes_on_in_service_hours(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", ACME, by="mk", now=5)
        ingest.put_detections(c, "o1", [detection(1, "high"), detection(2, "critical")])
        ingest.put_detections(c, "o2", [detection(3, "high")])
        decision = triage.Decision("ack", "mk")
        ids = tuple(c.execute(select(_D.c.id)).scalars())
        action = triage.begin(c, decision, triage.Selection(ids=ids), now=FRIDAY + MINUTE)
        assert triage.proceed(c, action, actor="mk", now=FRIDAY + MINUTE) is False
        found = due(c)
        assert found["d1"] == MONDAY + 25 * HOUR + 50 * MINUTE
        assert found["d2"] == FRIDAY + 240 * MINUTE
        assert found["d3"] == FRIDAY + 720 * MINUTE
        assert folds.miscounted(c) == []


def test_what_is_undone_runs_by_the_hours_that_hold_now(store: Store) -> None:
    with store.writing() as c:
        ingest.put_detections(c, "o1", [detection(1, "high"), detection(2, "critical")])
        ids = tuple(c.execute(select(_D.c.id)).scalars())
        closed = triage.begin(
            c, triage.Decision("close", "mk", classification=2), triage.Selection(ids=ids), now=FRIDAY
        )
        assert triage.proceed(c, closed, actor="mk", now=FRIDAY) is False
        put(c, "o1", ACME, by="mk", now=5)
        assert set(due(c).values()) == {None}
        undone = triage.begin(c, triage.Decision("undo", "mk", of=closed), triage.Selection(), now=FRIDAY)
        assert triage.proceed(c, undone, actor="mk", now=FRIDAY) is False
        assert due(c) == {"d1": MONDAY + 5 * MINUTE, "d2": FRIDAY + 15 * MINUTE}
        assert folds.miscounted(c) == []


def test_a_clock_that_runs_as_it_should_is_not_written_again(store: Store) -> None:
    with store.writing() as c:
        put(c, "o1", ACME, by="mk", now=5)
        ingest.put_detections(c, "o1", [detection(n, "high") for n in range(3)])
        ids = tuple(c.execute(select(_D.c.id).order_by(_D.c.id)).scalars())
        wound: list[Any] = []

        def note(*given: Any) -> None:
            statement, bound, many = given[2], given[3], given[5]
            if "SET due_at" in statement:
                wound.extend(bound if many else [bound])

        event.listen(c, "before_cursor_execute", note)
        claimed = triage.begin(
            c, triage.Decision("claim", "mk", acknowledge=False), triage.Selection(ids=ids), now=FRIDAY
        )
        triage.proceed(c, claimed, actor="mk", now=FRIDAY)
        undone = triage.begin(c, triage.Decision("undo", "mk", of=claimed), triage.Selection(), now=FRIDAY)
        triage.proceed(c, undone, actor="mk", now=FRIDAY)
        assert wound == []
        closed = triage.begin(
            c, triage.Decision("close", "mk", classification=2), triage.Selection(ids=ids[:1]), now=FRIDAY
        )
        triage.proceed(c, closed, actor="mk", now=FRIDAY)
        put(c, "o1", replace(ACME, closed=(Day(11, 30, 2026),)), by="mk", now=6)
        assert len(wound) == 2  # those that are open
        undone = triage.begin(c, triage.Decision("undo", "mk", of=closed), triage.Selection(), now=FRIDAY)
        triage.proceed(c, undone, actor="mk", now=FRIDAY)
        assert len(wound) == 3
        assert sla.restate(c, "o1") == 0
        assert len(wound) == 3
        event.remove(c, "before_cursor_execute", note)
        assert set(due(c).values()) == {MONDAY + 24 * HOUR + 5 * MINUTE}
        assert folds.miscounted(c) == []


def test_what_was_within_its_target_is_told_in_service_time(store: Store) -> None:
    with store.writing() as c:
        for oid in ("o1", "o2"):
            ingest.put_detections(c, oid, [detection(n, "high") for n in range(4)])
        # Monday at eight, plus so many minutes: four, five, six and seven after the quarter hour began.
        for n in range(4):
            c.execute(
                text("UPDATE detection SET acknowledged_at = :at WHERE detect_id = :id"),
                {"at": MONDAY + (4 + n) * MINUTE, "id": f"d{n}"},
            )
        put(c, "o1", ACME, by="mk", now=5)
    with store.reader.reading() as c:
        served, around = sla.acknowledged(c)
        assert sla.acknowledged(c, oid="o1") == [served]
        assert sla.acknowledged(c, oid="o2") == [around]
        assert sla.resolved(c) == []
    assert (served.oid, served.count, served.within) == ("o1", 4, 2)
    assert (served.median, served.p90) == (15 * MINUTE, 17 * MINUTE)
    assert (around.oid, around.count, around.within) == ("o2", 4, 0)
    assert around.median == MONDAY + 5 * MINUTE - FRIDAY


def test_windows_of_maintenance_are_by_the_customers_clock() -> None:
    from store import windows

    berlin = zone("Europe/Berlin")

    def at(told: str) -> int:
        return int(datetime.fromisoformat(told).replace(tzinfo=berlin).timestamp() * 1000)

    weekly = windows.parse("Sun 02:00-04:00")
    assert weekly.at(at("2026-11-29T03:00"), "Europe/Berlin") == (
        at("2026-11-29T02:00"),
        at("2026-11-29T04:00"),
    )
    assert weekly.at(at("2026-11-29T04:00"), "Europe/Berlin") is None
    assert weekly.following(at("2026-11-29T02:00"), "Europe/Berlin") == (
        at("2026-12-06T02:00"),
        at("2026-12-06T04:00"),
    )
    night = windows.parse("last Sat 22:00-06:00")
    assert night.at(at("2026-11-29T05:59"), "Europe/Berlin") is not None
    assert night.at(at("2026-11-22T05:59"), "Europe/Berlin") is None
    second = windows.parse("2nd Tue 20:00-23:00")
    assert [begin for begin, _ in second.spans(date(2026, 11, 1), date(2026, 12, 31), "UTC")] == [
        int(datetime(2026, month, day, 20, tzinfo=zone("UTC")).timestamp() * 1000)
        for month, day in ((11, 10), (12, 8))
    ]
    once = windows.parse("2026-12-01 22:00 - 2026-12-02 04:00")
    assert once.text == "2026-12-01 22:00 to 2026-12-02 04:00"
    assert once.at(at("2026-12-02T03:00"), "Europe/Berlin") is not None
    assert once.following(at("2026-01-01T00:00"), "Europe/Berlin") == (
        at("2026-12-01T22:00"),
        at("2026-12-02T04:00"),
    )
    assert weekly.at(1 << 62, "UTC") is None  # a time that no calendar has
