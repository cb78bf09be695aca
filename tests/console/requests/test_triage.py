"""Decisions over alerts as an operator makes them: by keys alone, over a real store, beside another console."""

from contextlib import closing

import pytest
from textual import events

from console.app import Console
from screens.context import SEVERITY_WORDS
from screens.dialogs.assign_alerts import AssignAlerts
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.close_alerts import CloseAlerts
from screens.dialogs.dialog import Dialog
from screens.dialogs.edit_fold_key import EditFoldKey
from screens.dialogs.results import Results
from screens.dialogs.sample_check import SampleCheck
from screens.dialogs.snooze_alerts import SnoozeAlerts
from screens.dialogs.write_note import WriteNote
from screens.frame import KeyLine, TitleLine, WhereLine
from store import triage
from store.alerts import AlertFilter
from store.database import Store
from store.queries import alerts
from store.tree import mark_node
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, fill, still, text_of, until
from tests.helpers.triage import storm

MINUTE = 60_000
EVERY = AlertFilter(statuses=(0, 1, 2, 3), snoozed="any")


class Clock:
    """Goes on when it is told to."""

    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def url(tmp_path):
    """Ten alerts of their own and a storm of twenty over five customers, three of them odd."""
    made = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(Store(made)) as store:
        fill(store, detections=10)
        storm(store, 20, odd=3)
    return made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_console(url, clock):
    def make(operator="dana", **more):
        return Console(
            open_store=lambda: Store(url), environment="prod", clock=clock, operator=operator, **more
        )

    return make


async def ready(pilot):
    app = pilot.app
    await until(pilot, lambda: app.current_mode == "alerts" and getattr(app.screen, "look", "") == "full")
    await still(pilot)


def view(app):
    return next(screen for screen in app.screen_stack if screen.id == "alerts")


def said(app) -> str:
    return view(app).query_one(KeyLine).text


def title(app) -> str:
    return view(app).query_one(TitleLine).text


def rows(app) -> list[str]:
    words = tuple(f" {word} " for word in SEVERITY_WORDS)
    return [line for line in text_of(app).splitlines() if any(word in line for word in words)]


async def asked(pilot, kind: type[Dialog]):
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await still(pilot)
    return pilot.app.screen


async def on_the_storm(pilot):
    await ready(pilot)
    while "orgs, STORM" not in next(line for line in rows(pilot.app) if line.startswith(">")):
        await pilot.press("j")
        await pilot.pause()


def all_alerts(app, **wanted):
    with app.store.reader.reading() as connection:
        return alerts.page(connection, AlertFilter(**(EVERY.__dict__ | wanted)), limit=200)


def counts(app) -> dict[int, int]:
    found: dict[int, int] = {}
    for row in all_alerts(app):
        found[row.status] = found.get(row.status, 0) + 1
    return found


def by_somebody_else(url, verb, ids, **more):
    with closing(Store(url)) as store, store.writing() as connection:
        decision = Decision(verb, "mk", **more)
        action = triage.begin(connection, decision, Selection(tuple(ids)), now=NOW - 3 * MINUTE)
        triage.proceed(connection, action, actor="mk@other", now=NOW - 3 * MINUTE)


async def test_one_key_claims_and_the_next_free_one_is_a_key_away(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        await pilot.press("c")
        await until(pilot, lambda: rows(app)[0].endswith("dana"))
        assert "Claimed at Acme Dental, z takes it back: Encoded PowerShell download on host-00." in said(app)
        await pilot.press("n", "c")
        await until(pilot, lambda: rows(app)[1].endswith("dana"))
        assert [row.status for row in all_alerts(app, who="dana")] == [1, 1]
        await pilot.press("c")
        await until(pilot, lambda: "It is yours already at Borealis Foods: " in said(app))
        await pilot.press("u")
        await until(pilot, lambda: not rows(app)[1].endswith("dana"))


async def test_a_lost_race_says_who_has_it_and_since_when(open_console, url):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        by_somebody_else(url, "claim", [view(app).queue.current.alert.id])
        await pilot.press("c")
        await until(pilot, lambda: "mk has it since 13:57 UTC (3m ago)" in said(app))
        assert [row.assignee for row in all_alerts(app) if row.assignee] == ["mk"]


async def test_an_alert_is_given_to_somebody_by_name(open_console, url):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        last = view(app).queue._rows[-1].alert.id
        by_somebody_else(url, "claim", [last])
        await pilot.press("A")
        await asked(pilot, AssignAlerts)
        assert "Lately here: mk" in text_of(app)
        await pilot.press("m", "tab", "enter")
        await until(pilot, lambda: "Assigned to mk at Acme Dental, z takes it back" in said(app))
        assert len(all_alerts(app, who="mk")) == 2
        await pilot.press("A")
        await asked(pilot, AssignAlerts)
        await pilot.press("enter")
        await until(pilot, lambda: "Assigned to nobody at Acme Dental" in said(app))
        assert len(all_alerts(app, who="mk")) == 1


async def test_one_alert_is_closed_by_a_letter_a_comment_and_enter_and_taken_back_by_a_key(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        before = all_alerts(app)
        await pilot.press("x")
        await asked(pilot, CloseAlerts)
        await pilot.press("b", *"pentest", "enter")
        await until(
            pilot, lambda: "Closed as benign true positive at Acme Dental, z takes it back: " in said(app)
        )
        closed = [row for row in all_alerts(app) if row.status == 3]
        assert [(row.classification, row.tags) for row in closed] == [(1, "benign")]
        await until(pilot, lambda: "29 open" in title(app))
        await pilot.press("z")
        await until(pilot, lambda: "No longer closed as benign at Acme Dental, new again: " in said(app))
        after = all_alerts(app)
        assert [(row.id, row.status, row.classification, row.tags) for row in after] == [
            (row.id, row.status, row.classification, row.tags) for row in before
        ]


async def close_the_storm(pilot, comment="vendor scan"):
    await on_the_storm(pilot)
    await pilot.press("x")
    await asked(pilot, SampleCheck)
    while isinstance(pilot.app.screen, SampleCheck):
        await pilot.press("enter")
        await pilot.pause()
    await asked(pilot, CloseAlerts)
    await pilot.press("f", *comment, "enter")


async def test_a_storm_is_closed_after_a_look_with_one_comment_and_a_result_for_each(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await on_the_storm(pilot)
        await pilot.press("x")
        sample = await asked(pilot, SampleCheck)
        shown = text_of(app)
        assert "Close 20 alerts of 5 organizations" in shown
        assert "3 unlike the others" in shown
        assert "ACME\\intruder" in shown
        assert "usual   ACME\\scanner" in shown
        while app.screen is sample:
            await pilot.press("enter")
            await pilot.pause()
        await asked(pilot, CloseAlerts)
        await pilot.press("f", *"vendor scan", "enter")
        await asked(pilot, Results)
        assert "20 of 20 alerts closed as false positive at 5 organizations" in text_of(app)
        assert text_of(app).count("closed 4 ") == 5
        await pilot.press("enter")
        await until(pilot, lambda: "10 of 10" in title(app) or "10 open" in title(app))
        assert counts(app) == {0: 10, 3: 20}
        with app.store.reader.reading() as connection:
            last = triage.recent(connection, actor="dana", limit=1)[0]
        assert (last.verb, last.comment, last.changed) == ("close", "vendor scan", 20)


async def test_leaving_at_any_question_changes_nothing(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await on_the_storm(pilot)
        before = [row.version for row in all_alerts(app)]
        await pilot.press("x")
        await asked(pilot, SampleCheck)
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing was closed." in said(app))
        await pilot.press("x")
        await asked(pilot, SampleCheck)
        while isinstance(app.screen, SampleCheck):
            await pilot.press("enter")
            await pilot.pause()
        await asked(pilot, CloseAlerts)
        await pilot.press("f", "x", "escape")
        await until(pilot, lambda: "Nothing was closed." in said(app))
        assert [row.version for row in all_alerts(app)] == before


async def test_one_of_the_sample_that_is_left_out_stays_open(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await on_the_storm(pilot)
        await pilot.press("x")
        sample = await asked(pilot, SampleCheck)
        odd = sample._members[0].id
        await pilot.press("x")
        while app.screen is sample:
            await pilot.press("enter")
            await pilot.pause()
        await asked(pilot, CloseAlerts)
        assert "Close 19 alerts" in text_of(app)
        await pilot.press("f", *"scan", "enter")
        await asked(pilot, Results)
        await pilot.press("enter")
        assert next(row.id for row in all_alerts(app, rule="general.lsass-access") if row.status == 0) == odd
        assert counts(app)[3] == 19


async def test_what_changed_under_the_dialog_is_refused_with_who_and_the_rest_is_closed(open_console, url):
    app = open_console()
    async with app.run_test(size=(140, 40)) as pilot:
        await on_the_storm(pilot)
        await pilot.press("x")
        sample = await asked(pilot, SampleCheck)
        by_somebody_else(url, "claim", [member.id for member in sample._members[:2]])
        while app.screen is sample:
            await pilot.press("enter")
            await pilot.pause()
        await asked(pilot, CloseAlerts)
        await pilot.press("f", *"scan", "enter")
        await asked(pilot, Results)
        shown = text_of(app)
        assert "18 of 20 alerts closed as false positive at 5 organizations, 2 refused" in shown
        assert shown.count("mk has it since 13:57 UTC (3m ago)") == 3, (
            "two lines, and the one under the cursor whole"
        )
        assert shown.index("refused ") < shown.index("closed 4")
        assert counts(app) == {0: 10, 1: 2, 3: 18}


async def test_what_somebody_else_has_is_left_alone_unless_it_is_said_that_it_is_meant(open_console, url):
    app = open_console()
    async with app.run_test(size=(140, 40)) as pilot:
        await ready(pilot)
        by_somebody_else(url, "claim", [view(app).queue.current.alert.id])
        await pilot.press("x")
        await asked(pilot, CloseAlerts)
        assert "mk has it: left alone; ctrl+o closes also these." in text_of(app)
        await pilot.press("f", "ctrl+o", *"his", "enter")
        await until(pilot, lambda: "Closed as false positive" in said(app))
        assert counts(app)[3] == 1


async def test_a_bulk_decision_is_undone_after_it_was_named(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await close_the_storm(pilot)
        await asked(pilot, Results)
        await pilot.press("enter", "z")
        await asked(pilot, ChooseOne)
        shown = text_of(app)
        assert "Undo: 20 alerts of 5 organizations closed as false positive" in shown
        assert "vendor scan" in shown
        await pilot.press("z")
        await until(
            pilot,
            lambda: (
                "20 of 20 alerts no longer closed as false positive at 5 organizations, 20 new again."
                in said(app)
            ),
        )
        assert counts(app) == {0: 30}
        await until(pilot, lambda: "30 open" in title(app))


async def test_with_marks_a_part_is_undone(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await close_the_storm(pilot)
        await asked(pilot, Results)
        await pilot.press("enter", "/", *"status:closed org:acme", "enter")
        await until(
            pilot, lambda: "/status:closed org:acme" in title(app) and "4 alerts, 0 open" in title(app)
        )
        await pilot.press("F")
        await until(pilot, lambda: len(rows(app)) == 4)
        await pilot.press("space", "space", "z")
        await asked(pilot, ChooseOne)
        assert "only what is marked: 2" in text_of(app)
        await pilot.press("enter")
        await until(
            pilot,
            lambda: (
                "2 of 2 alerts no longer closed as false positive at Acme Dental, 2 new again" in said(app)
            ),
        )
        assert counts(app) == {0: 12, 3: 18}


async def test_an_undo_names_what_was_changed_since(open_console, url):
    app = open_console()
    async with app.run_test(size=(140, 40)) as pilot:
        await close_the_storm(pilot)
        await asked(pilot, Results)
        await pilot.press("enter")
        reopened = [row.id for row in all_alerts(app) if row.status == 3][:1]
        by_somebody_else(url, "reopen", reopened)
        await pilot.press("z")
        await asked(pilot, ChooseOne)
        await pilot.press("enter")
        await asked(pilot, Results)
        shown = text_of(app)
        assert "19 of 20 alerts no longer closed as false positive at 5 organizations, 19 new again" in shown
        assert "1 refused" in shown
        assert "changed meanwhile by mk at 13:57 UTC" in shown


async def test_nothing_recent_is_not_undone(open_console, clock):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        await pilot.press("z")
        await until(pilot, lambda: "You decided nothing within the last 60 minutes" in said(app))
        await pilot.press("c")
        await until(pilot, lambda: "Claimed" in said(app))
        clock.now += 61 * MINUTE
        await pilot.press("z")
        await until(pilot, lambda: "You decided nothing within the last 60 minutes" in said(app))


async def test_a_dot_does_the_last_decision_again_and_asks_again_where_it_is_hard_to_take_back(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        await pilot.press(".")
        await until(pilot, lambda: "You have decided nothing yet" in said(app))
        await pilot.press("c", "j", ".")
        await until(pilot, lambda: len(all_alerts(app, who="dana")) == 2)
        await pilot.press("x")
        await asked(pilot, CloseAlerts)
        await pilot.press("b", *"pentest", "enter")
        await until(pilot, lambda: "Closed" in said(app))
        await until(pilot, lambda: "29 open" in title(app))
        await pilot.press("g", ".")
        dialog = await asked(pilot, CloseAlerts)
        assert "(b) benign" in text_of(app)
        assert "pentest" in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not dialog and counts(app).get(3) == 2)
        assert {row.tags for row in all_alerts(app) if row.status == 3} == {"benign"}


async def test_a_snoozed_alert_comes_back_on_top_with_its_reason(open_console, clock):
    app = open_console()
    async with app.run_test(size=(160, 40)) as pilot:
        await ready(pilot)
        await pilot.press("G", "s")
        await asked(pilot, SnoozeAlerts)
        assert "The clock runs on meanwhile" in text_of(app)
        await pilot.press("1", *"asked dana", "enter")
        await until(
            pilot, lambda: "Snoozed until 2026-11-24 15:00 UTC at Acme Dental, z takes it back" in said(app)
        )
        await until(pilot, lambda: "29 open" in title(app))
        clock.now += 61 * MINUTE
        app._wake_alerts()
        await until(pilot, lambda: "30 open" in title(app))
        await pilot.press("g")
        await until(pilot, lambda: "(back: its time came) Rare parent of cmd.exe" in rows(app)[0])


async def test_a_snooze_that_is_taken_back_is_none(open_console):
    app = open_console()
    async with app.run_test(size=(160, 40)) as pilot:
        await on_the_storm(pilot)
        await pilot.press("s")
        await asked(pilot, SnoozeAlerts)
        await pilot.press("n", "enter", *"one vendor", "enter")
        await asked(pilot, Results)
        await pilot.press("enter")
        await until(pilot, lambda: "10 open" in title(app))
        await pilot.press("z")
        await asked(pilot, ChooseOne)
        await pilot.press("z")
        await until(pilot, lambda: "30 open" in title(app))


async def test_a_note_stays_with_its_alert(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        alert = view(app).queue.current.alert.id
        await pilot.press("e")
        await asked(pilot, ChooseOne)
        assert "escalate: a new case of it" in text_of(app)
        await pilot.press("n")
        await asked(pilot, WriteNote)
        await pilot.press(*"called them", "enter")
        await until(pilot, lambda: "Noted" in said(app))
        with app.store.reader.reading() as connection:
            assert [past.comment for past in triage.history(connection, alert)] == ["called them"]


async def test_a_protected_customer_is_closed_by_its_name_or_spared(open_console, url):
    with closing(Store(url)) as store, store.writing() as connection:
        mark_node(connection, "customer-0", add=["protected"], remove=[])
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await close_the_storm(pilot)
        await until(pilot, lambda: "type its name: Acme Dental" in text_of(app))
        await pilot.press(*"Acme", "enter")
        assert counts(app) == {0: 30}
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "enter close 16 alerts   ctrl+n with" in text_of(app))
        assert "without 4 alerts of Acme Dental, protected" in text_of(app)
        assert counts(app) == {0: 30}
        await pilot.press("enter")
        await asked(pilot, Results)
        assert counts(app) == {0: 14, 3: 16}
        left = next(line for line in text_of(app).splitlines() if "left open  " in line)
        assert "Acme Dental" in left
        assert "4 alerts" in left
        assert "protected" in left
        await pilot.press("enter")
        await until(
            pilot, lambda: "16 of 20 alerts closed as false positive at 4 organizations, " in said(app)
        )
        assert "4 left open (protected). z takes it back." in said(app)
        assert "Acme Dental" not in {row.organization for row in all_alerts(app) if row.status == 3}


async def test_another_fold_key_folds_the_queue_anew(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await on_the_storm(pilot)
        assert "11 lines" in title(app)
        await pilot.press("K")
        await asked(pilot, EditFoldKey)
        await pilot.press("j", "j", "space", "enter")
        await until(pilot, lambda: "Folded anew for this rule." in said(app))
        # Those of another user are a storm of their own now.
        await until(pilot, lambda: "12 lines, 30 open" in title(app))
        with app.store.reader.reading() as connection:
            from store import folds

            assert folds.keys(connection) == {"general.lsass-access": ("indicator", "user")}


async def test_a_locked_console_decides_nothing(open_console):
    app = open_console(writable=False)
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        for key in ("c", "x", "s", "a", "u", "e", ".", "z", "K"):
            await pilot.press(key)
            assert "read-only" in said(app)
        assert {row.version for row in all_alerts(app)} == {0}


async def test_line_one_says_how_many_alerts_need_this_operator(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        with app.store.reader.reading() as connection:
            late = alerts.count(connection, AlertFilter(who="", due=NOW)).value
        await until(pilot, lambda: f"{late} need you" in view(app).query_one(WhereLine).text)
        await pilot.press("c")
        await until(pilot, lambda: f"{late + 1} need you" in view(app).query_one(WhereLine).text)


async def test_what_a_console_was_interrupted_in_goes_on_with_the_next(open_console, url):
    with closing(Store(url)) as store, store.writing() as connection:
        wanted = AlertFilter(rule="general.lsass-access")
        ids = tuple(row.id for row in alerts.page(connection, wanted, limit=100))
        triage.begin(connection, Decision("close", "mk", "gone", classification=2), Selection(ids), now=NOW)
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: counts(app).get(3) == len(ids))


async def test_keys_typed_ahead_of_a_dialog_are_for_the_dialog(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        # As they come over a slow link: in one piece.
        for key in ("x", "f", "s", "e", "n", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: "Closed as false positive" in said(app))
        with app.store.reader.reading() as connection:
            assert triage.recent(connection, limit=1)[0].comment == "sen"
        assert counts(app)[3] == 1


async def test_keys_held_down_through_the_sample_do_nothing_to_the_queue_beneath(open_console):
    app = open_console()
    async with app.run_test(size=(120, 40)) as pilot:
        await on_the_storm(pilot)
        for key in ("x", *["enter"] * 40):
            app.post_message(events.Key(key, key if len(key) == 1 else "\r"))
        dialog = await asked(pilot, CloseAlerts)
        await still(pilot)
        assert app.screen is dialog
        assert "Alerts   open   folded" in title(app)
        assert not view(app).pane.display
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing was closed." in said(app))
        await pilot.press("j")
        assert view(app).queue.current is not None
        assert counts(app) == {0: 30}


async def test_a_key_pressed_twice_asks_once(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        view(app).action_close()
        view(app).action_close()
        await asked(pilot, CloseAlerts)
        assert sum(isinstance(screen, CloseAlerts) for screen in app.screen_stack) == 1
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is view(app))
        await pilot.press("c")
        await until(pilot, lambda: "Claimed" in said(app))


async def test_what_is_typed_behind_a_repeated_claim_is_for_the_queue(open_console):
    app = open_console()
    async with app.run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "Claimed" in said(app))
        for key in ("j", ".", "j", ".", "j", "."):
            name = "full_stop" if key == "." else key
            app.post_message(events.Key(name, key))
        await until(pilot, lambda: len(all_alerts(app, who="dana")) >= 4)
        await until(pilot, lambda: not any(worker.group == "work" for worker in app.workers))
        await still(pilot)
