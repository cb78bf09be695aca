"""Rules by what was decided about their alerts, on a real store."""

from dataclasses import replace

import pytest

from screens.alerts import Alerts
from screens.context import Scope
from screens.requests import ShowAlerts, ShowView
from screens.scorecard import Scorecard, parse, score_lines
from store import ingest, triage
from store.alerts import AlertFilter, FilterError
from store.queries import alerts
from store.queries.folds import scorecard
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, Host, detection, fill, oid_of, still, text_of, until

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
LSASS = "general.lsass-access"


def close(store, rule: str, classification: int, *, oid: str = "") -> None:
    """Close every open alert of a rule, as this."""
    with store.writing() as connection:
        ids = [row.id for row in alerts.page(connection, AlertFilter(rule=rule, oid=oid), limit=100)]
        decision = Decision("close", "mk", classification=classification)
        action = triage.begin(connection, decision, Selection(tuple(ids)), now=NOW)
        while triage.proceed(connection, action, actor="test", now=NOW):
            pass


@pytest.fixture
def scored(filled_store):
    """Of LSASS everything was false at four customers and true at one; of PowerShell everything was true; a
    loud rule is always wrong."""
    for number in range(24):
        raw = detection(
            700 + number, oid_of(2), at=NOW - 3_600_000 - number, source_rule="general.loud", cat="Loud"
        )
        with filled_store.writing() as connection:
            ingest.put_detections(connection, oid_of(2), [ingest.detection_from(raw, oid_of(2))])
    close(filled_store, "general.loud", 2)
    close(filled_store, LSASS, 1, oid=oid_of(0))
    close(filled_store, LSASS, 2)
    close(filled_store, "general.encoded", 1)
    return filled_store


def lines(host) -> list[str]:
    return text_of(host).splitlines()


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def test_the_worst_rule_is_first_and_the_figures_are_those_of_the_command(scored):
    host = Host(scored, Scorecard)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        shown = lines(host)
        assert shown[2].split() == [
            "RULE",
            "ORGS",
            "ALERTS",
            "OPEN",
            "FALSE",
            "TRUE",
            "LAST",
            "TRUE",
            "ADVICE",
        ]
        assert shown[3].split() == [">", "general.loud", "1", "24", "0", "24", "0", "never", "tune"]
        assert shown[4].split() == [LSASS, "5", "10", "0", "8", "2", "0s"]
        assert "1 to tune or retire   7 rules" in shown[1]
        with scored.reader.reading() as connection:
            told = scorecard(connection, "", now=NOW, by_organization=False)
        assert host.view.table._rows == told


async def test_the_pane_says_why_and_at_whose_organizations(scored):
    host = Host(scored, Scorecard)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        assert "tune: 24 of 24 decided were false, none was true in 0 days" in text_of(host)
        await pilot.press("j")
        await until(pilot, lambda: "Borealis Foods" in text_of(host))
        await still(pilot)
        pane = lines(host)[
            lines(host).index(next(line for line in lines(host) if " of 10 decided" in line)) :
        ]
        assert pane[0].startswith(" 10 of 10 decided")
        assert "2 false     0 true      0 open   Borealis Foods" in pane[1]
        assert sum(" 2 false" in line for line in pane) == 4
        assert any("0 false     2 true      0 open   Acme Dental" in line for line in pane)


async def test_only_what_should_be_tuned_and_words_narrow_it(scored):
    host = Host(scored, Scorecard)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "1 of 7 rules" in text_of(host))
        assert "general.loud" in lines(host)[3]
        await pilot.press("a", "/", *"lsass", "enter")
        await until(pilot, lambda: "/lsass" in text_of(host))
        assert LSASS in lines(host)[3]
        await pilot.press("/", *"x", "enter")
        await until(pilot, lambda: "No rule matches this filter." in text_of(host))
        await pilot.press("escape")
        await until(pilot, lambda: "   7 rules" in text_of(host))
    with pytest.raises(FilterError, match="use is:tune"):
        parse("is:loud")


async def test_enter_leads_to_the_alerts_of_the_rule_and_from_an_alert_a_key_leads_here(scored):
    host = Host(scored, Scorecard)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ShowAlerts(f'rule:"{LSASS}" status:any')]
    with scored.reader.reading() as connection:
        assert len(alerts.page(connection, AlertFilter(rule=LSASS, statuses=(0, 1, 2, 3)))) == 10
    queue = Host(scored, Alerts)
    async with queue.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        rule = queue.view.queue.current.rule
        await pilot.press("R")
        await until(pilot, lambda: queue.asked)
        assert queue.asked == [ShowView("scorecard", f'rule:"{rule}"')]


async def test_it_follows_the_scope_and_is_empty_without_a_rule(scored):
    host = Host(scored, Scorecard)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        host.go(Scope("gold", "Europe/Gold"))
        await until(pilot, lambda: "0 to tune" in text_of(host))
        assert "general.loud" not in text_of(host)
        host.go(Scope("nowhere", "Nowhere"))
        await until(pilot, lambda: "No rule has any alert in this scope." in text_of(host))
        await pilot.press("enter")
        assert "No rule is under the cursor." in text_of(host)


async def test_hostile_names_are_shown_and_not_obeyed(empty_store):
    raw = detection(1, oid_of(0), at=NOW, source_rule=HOSTILE + "\"'", cat=HOSTILE)
    fill(empty_store, detections=0, extra=[(oid_of(0), raw)])
    with empty_store.writing() as connection:
        connection.exec_driver_sql("UPDATE organization SET name = ?", (HOSTILE,))
    host = Host(empty_store, Scorecard)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert "\\x1b" in text_of(host)
        assert "[@click=app.quit]" in text_of(host)
        await pilot.press("enter")
        assert "both kinds of quotes" in text_of(host)
        assert host.asked == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_picture(snap_compare, scored, size):
    """The worst rule first with its advice; below, why, and whose organizations."""
    assert snap_compare(Host(scored, Scorecard), terminal_size=size, run_before=ready)


def test_the_time_that_was_spent_is_told_where_any_was(scored):
    with scored.reader.reading() as connection:
        row = scorecard(connection, "", now=NOW, by_organization=False)[1]
    context = Host(scored, Scorecard).context
    for spent, said in ((0, ""), (150_000, "; 2 minutes from ack"), (5_400_000, "; 1.5 hours from ack")):
        told = score_lines(replace(row, spent=spent), [], context, 80)[1].plain
        assert told.startswith(f" 10 of 10 decided{said}")
        assert bool(said) == ("resolved" in told)
