"""The queue as an analyst works it: folded, marked, sorted by its clocks, and every verb on what it is meant for."""

from dataclasses import replace

import pytest

from screens.alerts import FOLDED, Alerts
from screens.context import Scope, Status
from screens.dialogs.mark_pattern import MarkPattern
from screens.frame import KeyLine, TitleLine
from screens.queue import clock_style, columns
from screens.requests import (
    AcknowledgeAlerts,
    AssignAlerts,
    Chosen,
    ClaimAlerts,
    CloseAlerts,
    DraftFalsePositive,
    EditFoldKey,
    Group,
    NoteAlerts,
    OpenPivot,
    ReleaseAlerts,
    Remember,
    RepeatDecision,
    ShowOrganization,
    ShowSensor,
    SnoozeAlerts,
    UndoDecision,
)
from store import ingest, preferences, triage
from store.queries import alerts, folds
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, Host, fill, oid_of, still, text_of, until
from tests.helpers.triage import SCANNER, same, storm

MINUTE = 60_000


@pytest.fixture
def stormy(empty_store):
    """Ten alerts of their own, and a storm of twenty over five customers."""
    fill(empty_store, detections=10)
    storm(empty_store, 20)
    return empty_store


@pytest.fixture
def host(stormy):
    return Host(stormy, Alerts)


async def full(pilot, host):
    await until(pilot, lambda: host.view.look == "full")
    await still(pilot)


def rows(host) -> list[str]:
    return [line for line in text_of(host).splitlines()[3:-1] if line.strip()]


def title(host) -> str:
    return host.view.query_one(TitleLine).text


def said(host) -> str:
    return host.view.query_one(KeyLine).text


def decide(store, verb, ids, *, operator="mk", now=NOW, **more):
    decision = Decision(verb, operator, **more)
    with store.writing() as connection:
        action = triage.begin(connection, decision, Selection(tuple(ids)), now=now)
        while triage.proceed(connection, action, actor="test", now=now):
            pass
    return action


def storm_ids(store) -> list[int]:
    with store.reader.reading() as connection:
        wanted = alerts.AlertFilter(rule="general.lsass-access", since=NOW - 30_000)
        return [row.id for row in alerts.page(connection, wanted, limit=100)]


async def on_the_storm(pilot, host):
    await full(pilot, host)
    while "orgs, STORM" not in next(line for line in rows(host) if line.startswith(">")):
        await pilot.press("j")
        await pilot.pause()


# -- folded -------------------------------------------------------------------------------------------------


async def test_a_storm_is_one_line_that_says_how_many_organizations_and_alerts(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        assert len(rows(host)) == 11
        line = next(line for line in rows(host) if "STORM" in line)
        assert "5 orgs, STORM" in line
        assert line.split()[-2:] == ["*", "20"]
        assert "folded" in title(host)
        assert "11 lines, 30 open" in title(host)


async def test_where_folding_helps_nobody_the_queue_is_shown_one_by_one(filled_store):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        assert "folded" not in title(host)
        assert "STAT" in text_of(host)


async def test_a_key_folds_and_unfolds_and_the_choice_is_kept(host, stormy):
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        await pilot.press("F")
        await until(pilot, lambda: len(rows(host)) == 30)
        assert host.asked == [Remember(FOLDED, False)]
        await pilot.press("F")
        await until(pilot, lambda: len(rows(host)) == 11)
    with stormy.writing() as connection:
        preferences.put(connection, FOLDED, False)
    again = Host(stormy, Alerts)
    async with again.run_test(size=(80, 40)) as pilot:
        await full(pilot, again)
        assert len(rows(again)) == 30


async def test_the_look_does_not_change_under_a_reader(stormy):
    host = Host(stormy, Alerts)
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        await pilot.press("j")
        fill(stormy, detections=0)
        with stormy.writing() as connection:
            connection.exec_driver_sql("UPDATE organization SET name = name")
        host.view.reload()
        await still(pilot)
        assert "folded" in title(host)


async def test_a_fold_is_opened_and_left_with_the_cursor_where_it_was(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        before = next(line for line in rows(host) if line.startswith(">"))
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        assert "Alerts > Scanner touched LSASS (5 orgs)" in title(host)
        assert "20 of 30 open" in title(host)
        assert "20/h for 24s" in title(host)
        await pilot.press("q")
        await until(pilot, lambda: len(rows(host)) == 11)
        assert next(line for line in rows(host) if line.startswith(">")) == before
        assert "Alerts   open   folded" in title(host)
        assert host.asked == []


def aged(store, number: int, count: int, *, level: str, at: int) -> None:
    """Alerts that are alike at so many customers, one each."""
    for place in range(count):
        raw = same(
            number + place,
            oid_of(place),
            at=at,
            source_rule=f"general.{number}",
            cat=f"Kind {number}",
            detect={"event": SCANNER},
            detect_mtd={"level": level},
        )
        with store.writing() as connection:
            ingest.put_detections(connection, oid_of(place), [ingest.detection_from(raw, oid_of(place))])


async def test_the_same_at_two_customers_is_no_storm_and_a_storm_stands_first_in_its_severity(stormy):
    for number in range(25):
        # Each newer than the storm, of its severity.
        aged(stormy, 30_000 + 10 * number, 2, level="high", at=NOW - 1_000)
    host = Host(stormy, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        shown = rows(host)
        assert "5 orgs, STORM" in next(line for line in shown if "!  HIGH" in line)
        assert sum("2 orgs " in line for line in shown) > 10
        assert sum("STORM" in line for line in shown) == 1
        assert "STORM 20 at 5 orgs: !" in title(host)
        # Page by page, forwards and backwards, it is there once, and the cursor finds it.
        await pilot.press("G")
        await still(pilot)
        everything = host.view.queue._rows
        assert len(everything) == len({row.storm for row in everything}) == 36
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "STORM" in under_the_cursor(host))
        assert host.view.queue.current.raging


async def test_a_storm_of_which_nothing_came_for_hours_is_one_fold_among_others(stormy):
    later = NOW + 3 * 3_600_000
    host = Host(stormy, Alerts, now=later)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        assert "5 orgs " in text_of(host)
        assert "STORM" not in text_of(host)
        await pilot.press("exclamation_mark")
        assert "No storm goes on" in said(host)


async def test_a_fold_says_of_which_alert_it_is_old_and_of_which_due(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        heads = text_of(host).splitlines()[2]
        assert heads.split() == ["SEV", "NEWEST", "FIRST", "DUE", "ORGANIZATION", "RULE", "HOST", "N", "WHO"]
        await pilot.press("F")
        await until(pilot, lambda: "AGE" in text_of(host).splitlines()[2])
        assert "SLA" in text_of(host).splitlines()[2]


async def test_with_closed_ones_a_fold_says_how_many_of_it_are_open(host, stormy):
    members = storm_ids(stormy)
    decide(stormy, "close", members[3:], classification=2)
    decide(stormy, "close", [alone_in(stormy)], classification=2)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        host.view.look_for("status:any")
        await until(pilot, lambda: "30 alerts, 12 open" in title(host))
        assert "OPEN/N" in text_of(host).splitlines()[2]
        assert "3/20" in next(line for line in rows(host) if "5 orgs" in line)
        assert sum("clsd" in line for line in rows(host)) == 1
        host.view.filter_by("status:closed")
        await until(pilot, lambda: "18 alerts, 0 open" in title(host))
        assert "0/17" in next(line for line in rows(host) if "orgs" in line)


def alone_in(store) -> int:
    """An alert that is like no other."""
    with store.reader.reading() as connection:
        return alerts.page(connection, alerts.AlertFilter(severity=4))[0].id


@pytest.mark.parametrize(
    ("still", "whole", "words"),
    [(0, 19, "0/19"), (0, 1_400, "0/1,400"), (12, 1_400, "12/1k"), (9_000, 12_345, "9k/12k")],
)
async def test_many_are_said_in_seven_cells(stormy, still, whole, words):
    with stormy.reader.reading() as connection:
        row = next(
            row for row in folds.page(connection, alerts.AlertFilter(), now=NOW) if row.organizations > 1
        )
    column = columns(Host(stormy, Alerts).context, {}, folded=True, closed=True)[6]
    said = column.text(replace(row, open=whole, still_open=still))
    assert said == words
    assert len(said) <= column.width


# -- what a filter line is said to mean ---------------------------------------------------------------------


async def test_a_severity_is_said_to_take_in_what_is_worse(filled_store):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        host.view.filter_by("sev:high")
        await until(pilot, lambda: "30 of 60 open" in title(host))
        assert "/sev:high and above" in title(host)
        host.view.filter_by("sev:critical")
        await until(pilot, lambda: "10 of 60 open" in title(host))
        assert "above" not in title(host)


async def test_an_organization_is_called_by_its_name_where_the_filter_has_its_id(filled_store):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        host.view.filter_by(f"oid:{oid_of(0)}")
        await until(pilot, lambda: "12 of 60 open" in title(host))
        assert '/org:"Acme Dental"' in title(host)
        assert oid_of(0) not in text_of(host)
        host.view.filter_by(f"oid:{oid_of(0)} host:nowhere")
        await until(pilot, lambda: host.view.look == "empty")
        assert 'No alert matches org:"Acme Dental" host:nowhere.' in text_of(host)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("unclaimed", "who:nobody"), ("mine", "who:me"), ("Late", "due:over"), ("closed", "status:closed")],
)
async def test_a_word_that_a_column_may_be_meant_by_is_looked_for_and_the_filter_is_said(
    filled_store, typed, meant
):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(120, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *typed, "enter")
        await until(pilot, lambda: host.view.look == "empty")
        sentence = f"{typed} is a word to look for; the filter for that is {meant}."
        assert sentence in text_of(host).splitlines()[-1]
        assert sentence in "".join(text_of(host).splitlines()[:-1])
        await pilot.press("escape", "/", *'"', *typed, '"', "enter")
        await until(pilot, lambda: host.view.look == "empty" and f'"{typed}"' in text_of(host))
        assert meant not in text_of(host)


async def test_the_prompt_names_the_columns_that_a_filter_may_have(filled_store):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/")
        for column in ("sev:high (and above)", "who:nobody", "due:over", "snoozed:yes", "pivot:", "tag:"):
            assert column in text_of(host)
        await pilot.press(*"sev:h")
        assert "sev:high" in text_of(host)
        assert "who:nobody" not in text_of(host)
        await pilot.press("escape")
        assert "who:nobody" not in text_of(host)


async def test_while_the_cloud_is_read_for_the_first_time_nothing_is_said_to_be_missing(empty_store):
    host = Host(empty_store, Alerts)
    host.context.status = Status()
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Reading the store." in text_of(host))
        await still(pilot)
        assert "No open alert" not in text_of(host)
        for status, said in (
            (
                Status(organizations=216, known=True, running="sync 0/216"),
                "0 of 216 organizations have been read",
            ),
            (
                Status(organizations=216, fresh=40, failed=1, known=True, running="sync"),
                "40 of 216 organizations",
            ),
        ):
            host.context.status = status
            host.context.status_changed.publish(status)
            await until(pilot, lambda said=said: said in " ".join(text_of(host).split()))
            assert "No open alert" not in text_of(host)
        done = Status(organizations=216, fresh=215, failed=1, known=True, running="sync")
        host.context.status = done
        host.context.status_changed.publish(done)
        await until(pilot, lambda: "No open alert in this scope." in text_of(host))


# -- room ---------------------------------------------------------------------------------------------------


async def test_the_organization_has_the_room_it_needs_before_the_rule(host):
    async with host.run_test(size=(160, 48)) as pilot:
        await full(pilot, host)
        sizes = {column.title: size for column, size in host.view.queue._widths}
        assert sizes["ORGANIZATION"] == 30
        assert 40 <= sizes["RULE"] <= 50
        assert sizes["HOST"] >= 26
        assert sizes["WHO"] >= 12


async def test_a_long_name_keeps_its_end_which_tells_it_from_others(filled_store):
    with filled_store.writing() as connection:
        named = {"oid": oid_of(0), "name": "Northern Lights Veterinary Hospital Group, Oslo"}
        ingest.put_organizations(connection, [named], complete=False, now=NOW)
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        first = rows(host)[0]
        assert "North" in first
        assert ", Oslo" in first


@pytest.mark.parametrize(("fold", "shown"), [(True, "N +2"), (False, "STAT WHO +1")])
async def test_at_60_columns_what_is_not_shown_is_counted_at_the_end_of_the_heads(host, fold, shown):
    async with host.run_test(size=(60, 20)) as pilot:
        await full(pilot, host)
        if not fold:
            await pilot.press("F")
            await until(pilot, lambda: "STAT" in text_of(host))
        heads = text_of(host).splitlines()[2]
        assert " ".join(heads.split()).endswith(shown)
        assert len(heads.rstrip()) == 60
        assert "N" in heads.split() or all(" new" in line for line in rows(host))


async def test_inside_a_fold_enter_shows_the_detail_and_q_closes_one_thing_after_the_other(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        await pilot.press("enter")
        await until(pilot, lambda: "scan.exe --quiet" in text_of(host))
        await pilot.press("q")
        await until(pilot, lambda: "scan.exe --quiet" not in text_of(host))
        assert "Alerts > Scanner" in title(host)
        await pilot.press("q")
        await until(pilot, lambda: "Alerts   open" in title(host))


async def test_a_fold_that_empties_says_so_and_leads_back(host, stormy):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        decide(stormy, "close", storm_ids(stormy), classification=2)
        await until(pilot, lambda: "Nothing of this fold is left" in text_of(host))
        await pilot.press("q")
        await until(pilot, lambda: len(rows(host)) == 10)


async def test_a_filter_narrows_a_fold_and_what_is_asked_for_it(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *"org:acme", "enter")
        await until(pilot, lambda: "/org:acme" in title(host) and "6 of 30" in title(host))
        while not any(line.startswith(">") and "4" in line.split()[-1] for line in rows(host)):
            await pilot.press("j")
        await pilot.press("x")
        await until(pilot, lambda: host.asked)
        chosen = host.asked[0].chosen
        assert chosen.alerts == ()
        assert chosen.groups[0].line == "org:acme"
        assert chosen.groups[0].fold


# -- a filter that is left ----------------------------------------------------------------------------------


def under_the_cursor(host) -> str:
    """The line of the cursor without what a filter changes of it."""
    return next((line for line in rows(host) if line.startswith(">")), "")


async def test_a_filter_that_is_left_keeps_the_cursor_on_its_alert(filled_store):
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("j", "/", *"host:host-03", "enter")
        await until(pilot, lambda: "4 of 60" in title(host))
        await pilot.press("j", "j")
        await still(pilot)
        wanted = host.view.queue.current
        assert "host-03" in under_the_cursor(host)
        await pilot.press("escape")
        await until(pilot, lambda: "60 open" in title(host) and "/" not in title(host))
        await still(pilot)
        assert host.view.queue.current.id == wanted.id
        assert "host-03" in under_the_cursor(host)
        await pilot.press("x")
        await until(pilot, lambda: host.asked)
        assert host.asked[0].chosen.alerts == (wanted.id,)


async def test_a_filter_that_is_left_keeps_the_cursor_on_its_fold_though_the_filter_had_a_part(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *"org:acme", "enter")
        await until(pilot, lambda: "/org:acme" in title(host) and "6 of 30" in title(host))
        while host.view.queue.current.kind != "fold":
            await pilot.press("j")
        storm_here = host.view.queue.current.storm
        await pilot.press("escape")
        await until(pilot, lambda: "11 lines, 30 open" in title(host))
        await still(pilot)
        assert host.view.queue.current.storm == storm_here
        assert host.view.queue.current.organizations == 5


async def test_a_filter_that_is_left_with_what_the_queue_has_not_leads_back_to_where_one_was(filled_store):
    with filled_store.reader.reading() as connection:
        closed = alerts.page(connection, alerts.AlertFilter(hostname="host-03"))[0]
    decide(filled_store, "close", [closed.id], classification=2)
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("j", "j", "j")
        before = host.view.queue.current
        for line in ("host:host-03 status:closed", "host:nowhere"):
            await pilot.press("/", *line, "enter")
            await until(pilot, lambda: host.view.look == "empty" or "host-03" in under_the_cursor(host))
            await pilot.press("escape")
            await until(pilot, lambda: "59 open" in title(host) and "/" not in title(host))
            await still(pilot)
            assert host.view.queue.current.id == before.id


# -- clocks -------------------------------------------------------------------------------------------------


def test_the_colour_of_a_clock_only_repeats_what_it_says():
    assert clock_style(None, NOW) == ""
    assert clock_style(NOW - 1, NOW) == "bold ansi_red"
    assert clock_style(NOW + 14 * MINUTE, NOW) == "ansi_yellow"
    assert clock_style(NOW + 60 * MINUTE, NOW) == ""


async def test_by_time_to_breach_the_next_to_breach_is_first_and_back_again(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        await pilot.press("t")
        await until(pilot, lambda: "by time to breach" in title(host) and len(rows(host)) == 30)
        with host.store.reader.reading() as connection:
            wanted = alerts.AlertFilter(order="due")
            expected = [row.id for row in alerts.page(connection, wanted, limit=30)]
        assert [row.id for row in host.view.queue._rows] == expected
        assert "late" in rows(host)[0]
        await pilot.press("t")
        await until(pilot, lambda: "folded" in title(host))


# -- verbs --------------------------------------------------------------------------------------------------

VERBS = [
    ("c", ClaimAlerts),
    ("u", ReleaseAlerts),
    ("a", AcknowledgeAlerts),
    ("A", AssignAlerts),
    ("x", CloseAlerts),
    ("s", SnoozeAlerts),
    ("e", NoteAlerts),
    (".", RepeatDecision),
]


@pytest.mark.parametrize(("key", "kind"), VERBS)
async def test_each_verb_asks_for_what_is_under_the_cursor(host, key, kind):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        alert = host.view.queue.current.alert
        await pilot.press(key)
        await until(pilot, lambda: host.asked)
        assert host.asked == [kind(Chosen((alert.id,)))]


@pytest.mark.parametrize(("key", "kind"), VERBS)
async def test_after_a_semicolon_it_asks_for_what_is_marked(host, key, kind):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        first = host.view.queue.current.alert.id
        await pilot.press("space")
        await on_the_storm(pilot, host)
        held = host.view.queue.current
        await pilot.press("space", "semicolon")
        assert "21 marked:" in said(host)
        await pilot.press(key)
        await until(pilot, lambda: host.asked)
        assert host.asked == [kind(Chosen((first,), (Group(storm=held.storm),), marked=True))]


async def test_without_the_semicolon_a_verb_minds_no_mark(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("space", "c")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ClaimAlerts(Chosen((host.view.queue.current.alert.id,)))]


async def test_another_key_after_the_semicolon_is_what_it_always_is(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("space", "semicolon", "j", "c")
        await until(pilot, lambda: host.asked)
        assert not host.asked[0].chosen.marked
        await pilot.press("semicolon", "escape", "c")
        await until(pilot, lambda: len(host.asked) == 2)
        assert not host.asked[1].chosen.marked
        assert host.view.queue.marks


async def test_a_storm_under_the_cursor_is_all_of_it(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await on_the_storm(pilot, host)
        row = host.view.queue.current
        await pilot.press("x")
        await until(pilot, lambda: host.asked)
        assert host.asked == [CloseAlerts(Chosen((), (Group(storm=row.storm),)))]


async def test_undo_is_of_the_marked_of_the_open_fold_or_of_everything(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        row = host.view.queue.current
        await pilot.press("z")
        host.view.tell("Undone.")
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        await pilot.press("z")
        host.view.tell("Undone.")
        await pilot.press("space", "z")
        await until(pilot, lambda: len(host.asked) == 3)
        marked = next(iter(host.view.queue.marks))
        assert host.asked == [
            UndoDecision(),
            UndoDecision(Chosen((), (Group(storm=row.storm),))),
            UndoDecision(Chosen((marked,), marked=True)),
        ]


async def test_what_needs_one_alert_takes_the_first_of_a_fold(host, stormy):
    async with host.run_test(size=(80, 24)) as pilot:
        await on_the_storm(pilot, host)
        newest = storm_ids(stormy)[0]
        await pilot.press("p")
        await until(pilot, lambda: len(host.asked) == 1)
        await pilot.press("K")
        await until(pilot, lambda: len(host.asked) == 2)
        host.view.tell("The fold key is as it was.")
        await pilot.press("S")
        await until(pilot, lambda: len(host.asked) == 3)
        assert host.asked[:2] == [OpenPivot(newest), EditFoldKey(newest)]
        assert isinstance(host.asked[2], ShowSensor)
        await pilot.press("f")
        await until(pilot, lambda: len(host.asked) == 4)
        assert host.asked[3] == DraftFalsePositive(newest)
        await pilot.press("o")
        assert "several organizations" in said(host)


async def test_a_locked_console_dims_what_changes_and_says_why(host):
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        for key in ("c", "u", "a", "A", "x", "s", "e", ".", "z", "K"):
            await pilot.press(key)
            assert "read-only" in said(host), key
        keys = {key: works for key, _, works in host.view.shown_keys()}
        assert not keys["c"]
        assert not keys["x"]
        assert keys["enter"]
        await pilot.press("o")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ShowOrganization(host.view.queue.current.oid)]


# -- marks --------------------------------------------------------------------------------------------------


async def test_marks_are_counted_in_line_two_and_survive_filters_and_scopes(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await on_the_storm(pilot, host)
        await pilot.press("space")
        await until(pilot, lambda: "20 marked" in title(host))
        await pilot.press("/", *"sev:critical", "enter")
        await until(pilot, lambda: "/sev:critical" in title(host))
        assert "20 marked" in title(host)
        host.go(Scope("gold", "Europe/Gold"))
        await still(pilot)
        assert "20 marked" in title(host)
        await pilot.press("semicolon", "x")
        await until(pilot, lambda: host.asked)
        # Marked without a filter, it stands for all of it whatever filters now.
        assert host.asked[0].chosen.groups[0].line == ""
        assert host.asked[0].chosen.groups[0].scope == ""
        host.view.tell("Nothing was closed.")
        await pilot.press("U")
        await until(pilot, lambda: "marked" not in title(host))


async def test_what_is_decided_loses_its_mark_and_the_rest_keeps_it(host, stormy):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        await pilot.press("space", "space", "space")
        await until(pilot, lambda: "3 marked" in title(host))
        first = next(iter(host.view.queue.marks))
        decide(stormy, "close", [first], classification=2)
        await until(pilot, lambda: "2 marked" in title(host))
        decide(stormy, "claim", list(host.view.queue.marks))
        await until(pilot, lambda: "mk" in rows(host)[0])
        assert "2 marked" in title(host)


async def test_a_pattern_marks_what_it_matches_within_what_is_shown(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await on_the_storm(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: len(rows(host)) == 20)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(host.screen, MarkPattern))
        await pilot.press(*"org:acme", "enter")
        await until(pilot, lambda: "4 marked" in title(host))
        assert "4 marked: ;" in said(host)
        marked = list(host.view.queue.marks.values())
        assert {row.oid for row in marked} == {oid_of(0)}
        assert {row.cat for row in marked} == {"Scanner touched LSASS"}


async def test_a_pattern_that_means_nothing_is_explained_and_one_without_a_match_marks_nothing(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(host.screen, MarkPattern))
        await pilot.press(*"sevv:x", "enter")
        assert "sevv" in text_of(host)
        await pilot.press("ctrl+u", *"host:nowhere", "enter")
        await until(pilot, lambda: "Nothing that is open here matches" in said(host))
        assert host.view.marked == 0


# -- going about --------------------------------------------------------------------------------------------


async def test_next_goes_to_what_nobody_has_and_round_to_the_top(host, stormy):
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        table = host.view.queue
        decide(stormy, "claim", [table._rows[1].alert.id])
        await until(pilot, lambda: sum("mk" in line.split()[-1] for line in rows(host)) == 1)
        await pilot.press("n")
        await until(pilot, lambda: table.current is table._rows[2])
        await pilot.press("G", "n")
        await until(pilot, lambda: table.current is table._rows[0])


async def test_a_storm_of_which_somebody_has_a_part_says_how_many_and_is_still_next(host, stormy):
    decide(stormy, "claim", storm_ids(stormy)[:3])
    async with host.run_test(size=(120, 40)) as pilot:
        await full(pilot, host)
        line = next(line for line in rows(host) if "STORM" in line)
        assert line.endswith("20 3 mk")
        await pilot.press("n", "n")
        await until(pilot, lambda: "STORM" in next(line for line in rows(host) if line.startswith(">")))
        decide(stormy, "claim", storm_ids(stormy)[3:])
        await until(pilot, lambda: next(line for line in rows(host) if "STORM" in line).endswith("20 mk"))


async def test_when_everything_is_somebodys_next_says_so(host, stormy):
    async with host.run_test(size=(80, 40)) as pilot:
        with stormy.reader.reading() as connection:
            every = [row.id for row in alerts.page(connection, alerts.AlertFilter(), limit=100)]
        decide(stormy, "claim", every)
        await full(pilot, host)
        await pilot.press("n")
        await until(pilot, lambda: "Everything here is somebody's" in said(host))
        await pilot.press("F", "n")
        await until(pilot, lambda: "STAT" in text_of(host))
        await pilot.press("n")
        await until(pilot, lambda: "Everything here is somebody's" in said(host))


async def test_what_comes_back_from_a_snooze_stands_on_top_and_says_why(host, stormy):
    last = storm_ids(stormy)[-1]
    decide(stormy, "snooze", [last], until=NOW + MINUTE, reason="asked the customer")
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        assert "29 open" in title(host)
        with stormy.writing() as connection:
            triage.wake(connection, triage.waking(connection, NOW + 2 * MINUTE), now=NOW + 2 * MINUTE)
        await until(pilot, lambda: "30 open" in title(host))
        await pilot.press("F")
        await until(pilot, lambda: "STAT" in text_of(host))
        await pilot.press("g")
        await pilot.resize_terminal(160, 40)
        await until(pilot, lambda: "(back: its time came) Scanner" in rows(host)[0])


# -- pictures -----------------------------------------------------------------------------------------------


def shows(*keys: str, text: str = ""):
    async def ready(pilot):
        host = pilot.app
        await until(pilot, lambda: host.view.look in ("full", "empty"))
        await still(pilot)
        for key in keys:
            await pilot.press(key)
            await still(pilot)
        await until(pilot, lambda: text in text_of(host))
        await still(pilot)

    return ready


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_picture_of_the_folded_queue(snap_compare, stormy, size):
    """A storm of twenty at five customers in one line among ten alerts; clocks with sign and word; who has what."""
    ids = storm_ids(stormy)
    decide(stormy, "claim", ids[:3])
    assert snap_compare(Host(stormy, Alerts), terminal_size=size, run_before=shows(text="STORM"))


def test_picture_of_a_storm_opened(snap_compare, stormy):
    """Line 2 says what is open; twenty members, one by one; three of them are mk's."""
    decide(stormy, "claim", storm_ids(stormy)[:3])
    keys = ["j"] * 2 + ["enter"]
    assert snap_compare(
        Host(stormy, Alerts), terminal_size=(80, 24), run_before=shows(*keys, text="Alerts > Scanner")
    )


def test_picture_of_marks_and_the_verbs_for_them(snap_compare, stormy):
    """Three lines with a star; line 2 counts their alerts; the last line offers the verbs."""
    keys = ["space", "space", "space", "semicolon"]
    assert snap_compare(
        Host(stormy, Alerts), terminal_size=(80, 24), run_before=shows(*keys, text="22 marked: c claim")
    )


def test_picture_of_the_folded_queue_without_colour(snap_compare, stormy, monkeypatch):
    """What is late is said by sign and word; marks are stars."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(
        Host(stormy, Alerts), terminal_size=(80, 24), run_before=shows("space", text="1 marked")
    )


def test_picture_of_a_fold_with_nothing_left(snap_compare, stormy):
    """One sentence that leads back."""
    decide(stormy, "close", storm_ids(stormy), classification=2)
    host = Host(stormy, Alerts)

    async def ready(pilot):
        await full(pilot, host)
        with stormy.reader.reading() as connection:
            from store.queries import folds

            wanted = alerts.AlertFilter(statuses=(2, 3))
            row = folds.page(connection, wanted, now=NOW, limit=1)[0]
        host.view._open(row)
        await until(pilot, lambda: "Nothing of this fold" in text_of(host))
        await still(pilot)

    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
