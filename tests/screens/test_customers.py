"""What is known about a customer, wherever somebody needs it: alert, hand-over, tab of Organizations."""

from dataclasses import replace
from typing import Any

import pytest

from console.operations import handover as operations
from console.operations import triage
from screens.alerts import Alerts
from screens.customer_words import standing_words
from screens.handover import Handover
from screens.organization_tabs import TABS, customer, summary
from screens.organizations import Organizations
from screens.widgets.alert_detail import describe, lines_of
from store import ingest
from store.alerts import AlertFilter
from store.configuration import Record
from store.customers import Contact, Customer, Day, Maintenance, Procedure, Step, pushed, put
from store.customers import text_of as document_of
from store.database import Store
from store.queries import alert_context, alerts
from store.queries.customers import card, procedures_for, standing
from store.servicehours import parse_hours
from store.text import cell_width
from store.triage import Selection
from tests.corpus.strings import everything
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOUR = 3_600_000
OFFICE = (parse_hours("08:00-18:00"),) * 5 + ((), ())

ACME = Customer(
    time_zone="Europe/Berlin",
    hours=OFFICE,
    always=("critical",),
    country="DE-BE",
    closed=(Day(12, 24, 2026, "Christmas Eve"),),
    contacts=(
        Contact("Dr. Ines Roth", "CISO", "+49 30 5550100", "ines@acme.example", "phone first"),
        Contact("Lee"),
    ),
    escalation=(Step(0, "Dr. Ines Roth"), Step(1800, "IT on call", "+49 30 5550199")),
    maintenance=(Maintenance("Patches", "Tue 14:00-16:00"),),
    notes="Their mail gateway rewrites links.",
    sops=(
        Procedure("PowerShell from mail", "Call first.\nThen isolate."),
        Procedure("Lost laptop", "Lock it."),
    ),
)


def keep(store: Store, wanted: Customer, oid: str = oid_of(0), *, at: int = NOW - HOUR) -> None:
    with store.writing() as c:
        put(c, oid, wanted, by="dana", now=at)


def an_alert(store: Store, oid: str = oid_of(0), now: int = NOW, severity: int = 3) -> Any:
    """An open alert of the customer, not critical, with everything around it."""
    with store.reader.reading() as c:
        row = next(
            each for each in alerts.page(c, AlertFilter(oid=oid), limit=200) if each.severity == severity
        )
        return alert_context.whole(c, row.id, now)


def shown(found: Any, store: Store, width: int = 120) -> dict[str, str]:
    context = Host(store, Alerts).context
    return {
        line.content.plain[:9].strip(): line.content.plain[9:].strip()
        for line in lines_of(found.detail, context, width, found.around)
    }


def test_an_alert_says_whom_to_call_what_to_do_and_whether_somebody_is_there(filled_store: Store) -> None:
    keep(filled_store, ACME)
    # Tuesday, three in the afternoon in Berlin.
    told = shown(an_alert(filled_store), filled_store)
    assert told["customer"] == "MAINTENANCE Patches, 1h more; Tue 15:00 there; served, 3h more"
    assert told["contact"] == "Dr. Ines Roth (CISO)  +49 30 5550100  ines@acme.example  phone first"
    assert told["escalate"] == "0m Dr. Ines Roth > 30m IT on call +49 30 5550199"
    assert told["notes"] == "Their mail gateway rewrites links."
    for later, words in (
        (5, "Tue 20:00 there; closed, opens in 12h"),
        (30 * 24, "Thu 15:00 there; closed, opens in 3d; holiday: Christmas Eve"),
        (31 * 24, "Fri 15:00 there; closed, opens in 2d; holiday: Christmas Day"),
        (4 * 24, "Sat 15:00 there; closed, opens in 1d"),
    ):
        moment = NOW + later * HOUR
        assert standing_words(ACME, standing(ACME, moment), moment) == words
    # Nothing is said where nothing is known, and where nobody asks.
    assert not {"customer", "contact", "SOP"} & shown(an_alert(filled_store, oid_of(1)), filled_store).keys()


def test_a_clock_that_stands_is_said_to_stand(filled_store: Store) -> None:
    keep(filled_store, replace(ACME, hours=(parse_hours("16:00-18:00"),) * 5 + ((), ())))
    for severity, stands in ((3, True), (4, False)):
        with filled_store.writing() as c:
            raw = alert_of(severity)
            ingest.put_detections(c, oid_of(0), [ingest.detection_from(raw, oid_of(0), received=NOW)])
        found = an_alert(filled_store, severity=severity)
        assert ("its clock stands, they are closed" in shown(found, filled_store)["state"]) is stands


def alert_of(severity: int) -> bytes:
    from tests.helpers.screens import detection

    level = ("info", "low", "medium", "high", "critical")[severity]
    return detection(7_000 + severity, oid_of(0), at=NOW - 1_000, detect_mtd={"level": level})


def test_the_procedure_is_the_one_that_speaks_of_the_alert(filled_store: Store) -> None:
    keep(filled_store, ACME)
    with filled_store.writing() as c:
        records = {
            "powershell-triage": Record({"text": "1. a\n\n2. b\n3. c", "description": ""}),
            "phishing": Record({"text": "x", "description": ""}),
            "broken": Record(["x"]),
        }
        ingest.put_configuration(c, oid_of(0), "hive/sop", records, NOW - HOUR)
        notes = {"customer": Record({"text": "a", "description": "b"}), "limegrove": Record({"text": "c"})}
        ingest.put_configuration(c, oid_of(0), "hive/org_notes", notes, NOW - HOUR)
    with filled_store.reader.reading() as c:
        found = card(c, oid_of(0), NOW)
    assert [(each.section, each.name) for each in found.notes] == [
        ("hive/org_notes", "customer"), ("hive/sop", "broken"), ("hive/sop", "phishing"), ("hive/sop", "powershell-triage"),
    ]  # fmt: skip
    assert procedures_for(found, "Encoded PowerShell download", "general.encoded-powershell") == [
        ("PowerShell from mail", 2), ("powershell-triage", 3),
    ]  # fmt: skip
    assert procedures_for(found, "Impossible travel sign-in", "general.travel") == []


def test_at_80_by_24_a_maintenance_that_goes_on_is_seen(filled_store: Store) -> None:
    keep(filled_store, ACME)
    found = an_alert(filled_store)
    context = Host(filled_store, Alerts).context
    lines = describe(found.detail, context, 78, 11, found.around).plain.splitlines()
    assert any(line.startswith("customer MAINTENANCE Patches") for line in lines)


async def test_a_hand_over_says_whom_to_call(filled_store: Store) -> None:
    for number in range(5):
        keep(filled_store, replace(ACME, notes=str(number)), oid_of(number))
    with filled_store.reader.reading() as c:
        rows = alerts.page(c, AlertFilter(who=""), limit=6)
    triage.claim(filled_store, "dana", Selection(ids=tuple(row.id for row in rows)), now=NOW - 2 * HOUR)
    made = operations.draft(filled_store, "dana", now=NOW - HOUR)
    await operations.publish(filled_store, "dana", made.id, now=NOW - HOUR)
    host = Host(filled_store, Handover)
    host.context.operator = "kim"
    async with host.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Dr. Ines Roth (CISO)" in text_of(host))
        assert "MAINTENANCE Patches, 1h more" in text_of(host)
        assert "30m IT on call +49 30 5550199" in text_of(host)


async def opened(pilot: Any, host: Host) -> None:
    """The tab of the first customer."""
    await until(pilot, lambda: host.view.look == "full")
    table = host.view.table
    await until(pilot, lambda: table.go("customer-0") or table.node is not None)
    await still(pilot)
    for _ in range(TABS.index(customer) if host.view._open else TABS.index(customer) + 1):
        await pilot.press("]")
    await until(pilot, lambda: "[Customer]" in text_of(host))
    await still(pilot)


def at_acme(store: Store) -> Host:
    return Host(store, Organizations)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_the_tab_of_a_customer_has_what_is_needed_at_night_first(
    filled_store: Store, size: tuple[int, int]
) -> None:
    keep(filled_store, replace(ACME, sops=()))
    with filled_store.writing() as c:
        pushed(c, oid_of(0), document_of(replace(ACME, sops=())), "e1", now=NOW - HOUR)
        notes = {"customer": Record({"text": "# Acme\n\nPhone first.", "description": "What to know"})}
        ingest.put_configuration(c, oid_of(0), "hive/org_notes", notes, NOW - HOUR)
    host = at_acme(filled_store)
    async with host.run_test(size=size) as pilot:
        await opened(pilot, host)
        told = " ".join(text_of(host).split())
    for said in (
        "Acme Dental ~ lacks SOPs",
        "kept 1h ago by dana; in org_notes, 1h old",
        "now MAINTENANCE Patches, 1h more; Tue 15:00",
        "contact Dr. Ines Roth (CISO) +49 30 5550100",
        "escalate 0m Dr. Ines Roth > 30m IT on call",
        "service Mon-Fri 08:00-18:00, Europe/Berlin",
        "maintains Patches: Tue 14:00-16:00",
        "notes Their mail gateway rewrites links.",
    ):
        assert said in told, told
    if size[1] > 24:
        assert "org_notes customer: What to know" in told


async def test_the_tab_says_what_is_missing(filled_store: Store) -> None:
    with filled_store.reader.reading() as c:
        nothing = customer.read(c, oid_of(1), NOW)
        nowhere = customer.read(c, "nobody", NOW)
    assert nowhere is None
    assert nothing is not None
    context = at_acme(filled_store).context
    told = "\n".join(each.plain for each in customer.lines(nothing, context, False))
    assert "no documentation is kept" in told
    assert "limegrove org document edit" in told
    keep(filled_store, Customer(hours=(), contacts=(Contact("Kim", phone="030 1"),)), oid_of(1))
    with filled_store.reader.reading() as c:
        some = customer.read(c, oid_of(1), NOW)
    assert some is not None
    told = "\n".join(each.plain for each in customer.lines(some, context, True))
    assert "lacks escalation, time zone, maintenance, SOPs" in told
    assert "served around the clock" in told
    assert "never pushed to org_notes" in told


def test_the_summary_says_whom_to_call_and_what_is_missing(filled_store: Store) -> None:
    context = at_acme(filled_store).context
    for wanted, said in (
        (ACME, "contact    Dr. Ines Roth (CISO)  +49 30 5550100  ines@acme.example  phone first"),
        (Customer(hours=()), "contact    nobody   lacks contacts, escalation, time zone, maintenance, SOPs"),
    ):
        keep(filled_store, wanted)
        with filled_store.reader.reading() as c:
            found = summary.read(c, oid_of(0), NOW)
        assert found is not None
        assert said in [each.plain.strip() for each in summary.lines(found, context, False)]
    assert "contact" not in "".join(
        each.plain for each in summary.lines(replace(found, customer=Customer()), context, False)
    )


def test_no_text_of_a_stranger_is_obeyed(filled_store: Store) -> None:
    context = at_acme(filled_store).context
    texts = [text for text in everything() if text.strip()]
    for at in range(0, len(texts), 40):
        some = texts[at : at + 40]
        made = replace(
            ACME,
            contacts=tuple(Contact(each, each, each, each, each) for each in some),
            escalation=tuple(Step(0, each, each) for each in some),
            maintenance=tuple(Maintenance(each, "daily 00:00-24:00") for each in some),
            closed=(Day(11, 24, None, some[0]),),
            notes=some[0],
            sops=tuple(Procedure(f"PowerShell {each}", each) for each in some),
        )
        found = an_alert(filled_store)
        kept = replace(found.around.customer.kept, customer=made, by=some[0], at=NOW, pushed_at=NOW)
        full = replace(found.around.customer, kept=kept, standing=standing(made, NOW))
        around = replace(found.around, customer=full)
        said = [line.content.plain for line in lines_of(found.detail, context, 78, around)]
        said += [each.plain for each in customer.lines(customer.Found(some[0], full, NOW), context, True)]  # type: ignore[arg-type]
        for line in said:
            assert line.isprintable(), ascii(line)
        assert (
            max(cell_width(line.content.plain) for line in lines_of(found.detail, context, 78, around)) <= 78
        )
