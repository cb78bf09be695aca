"""Plans of changed configuration on a real store: the list, one plan, waves as they run, what failed."""

import pytest
from sqlalchemy import update

from screens.dialogs.apply_rollout import ApplyRollout as Dialog
from screens.dialogs.apply_rollout import Shown, Target
from screens.frame import KeyLine
from screens.requests import (
    ApplyRollout,
    Back,
    DraftRollout,
    PauseRollout,
    ShowOrganization,
    ShowView,
    UndoRollout,
)
from screens.rollouts import Rollouts
from store import models
from tests.helpers import rolling
from tests.helpers.drifting import KEY
from tests.helpers.screens import NOW, Asking, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def host_on(store, **options):
    host = Host(store, Rollouts, **options)
    host.context.redaction_key = lambda: KEY
    return host


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def shows(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


@pytest.fixture
def plan(filled_store) -> int:
    return rolling.differing(filled_store)


async def test_the_newest_plan_stands_first_and_opens(filled_store, plan):
    second = rolling.planned(filled_store, title="Again")
    host = host_on(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert [each.plan.id for each in host.view._found.plans] == [second, plan]
        await shows(pilot, "2 plans")
        await pilot.press("j")
        await shows(pilot, f"Plan {plan} Scanner exclusions")
        await shows(pilot, "3 organizations, 4 changes not applied")
        await pilot.press("enter")
        await shows(pilot, f"Rollout {plan}: Scanner exclusions")
        await pilot.press("escape")
        await shows(pilot, "2 plans")
        await pilot.press("escape")
        assert isinstance(host.asked[-1], Back)


async def test_a_plan_says_at_a_glance_whom_it_changes_and_what_is_lost(filled_store, plan):
    host = host_on(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "CHANGES 3 organizations: Acme Dental, Borealis Foods, Cedar Clinic")
        await shows(pilot, "1 of 3 get the same 1 change, 2 differ, 1 blocked expires in 52 min")
        await shows(pilot, "! DESTRUCTIVE, cannot be taken back: extensions/ext-cases")
        await shows(pilot, "a second person has to approve: 1 change cannot be taken back.")
        await shows(pilot, "! extensions/ext-cases removed 1 DESTRUCTIVE")
        await pilot.press("slash", *"blocked", "enter")
        await shows(pilot, "Its configuration was never read whole")
        assert host.guard.hits == 0


async def test_the_difference_of_the_record_is_yaml_and_as_large_as_the_screen(filled_store, plan):
    host = host_on(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "CHANGES")
        await pilot.press("slash", *"first", "enter")
        await shows(pilot, "data.value other -> a")
        await shows(pilot, "changed at 1 organization: Borealis Foods")
        await pilot.press("enter")
        await shows(pilot, "- value: other")
        await shows(pilot, "+ value: a")
        assert "CHANGES" not in text_of(host)
        await pilot.press("t")
        assert host.asked == [ShowOrganization(oid_of(1))]
        await pilot.press("escape")
        await shows(pilot, "CHANGES")


async def test_waves_that_run_say_how_far_they_are_and_what_failed_and_why(filled_store, plan):
    rolling.running(filled_store, plan)
    host = host_on(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "o wave 1 done 1 ######## 1/1")
        await shows(pilot, "~ wave 2: rest running 2 ##...... 1/3 1 not")
        await shows(pilot, "2/4 done, 4 min left")
        await shows(pilot, "x Borealis Foods: fp/first conflict")
        await pilot.press("g")
        await shows(pilot, "gate pass: as before")
        await shows(pilot, "o pass detections: 14 alerts, 12 to 19 were expected")
        await shows(pilot, "~ inconclusive sensors: nobody could count")
        await pilot.press("j", "j")
        await shows(pilot, "conflict: It is not what the plan saw: somebody changed it since.")
        rolling.halted(filled_store, plan)
        await shows(pilot, "halted: Wave rest was halted: 1 of 3 records failed.")


async def test_keys_ask_for_what_the_state_of_the_plan_allows(filled_store, plan):
    host = host_on(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        last = host.screen.query_one("#keys", KeyLine).text
        assert "A apply" in last
        assert not any(word in last for word in ("p pause", "b roll back", "R resume"))
        await pilot.press("p")
        await shows(pilot, "is not applied: nothing runs.")
        await pilot.press("b")
        await shows(pilot, "has changed nothing yet.")
        await pilot.press("R")
        await shows(pilot, "there is nothing to carry on with.")
        await pilot.press("n", "A", "d")
        assert host.asked[1:] == [ApplyRollout(plan), ShowView("drift")]
        assert isinstance(host.asked[0], DraftRollout)
        rolling.running(filled_store, plan)
        await shows(pilot, "running")
        await still(pilot)
        await pilot.press("p", "enter")
        await shows(pilot, "changes 3 organizations")
        await pilot.press("g", "b")
        assert host.asked[3:] == [PauseRollout(plan), UndoRollout(plan, wave=1)]
        rolling.halted(filled_store, plan)
        await shows(pilot, "halted")
        await still(pilot)
        await pilot.press("R")
        assert host.asked[5:] == [ApplyRollout(plan)]


async def test_an_expired_plan_is_not_applied(filled_store, plan):
    host = host_on(filled_store, now=NOW + 3_600_000)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await shows(pilot, "expired")
        await pilot.press("A")
        await shows(pilot, f"Plan {plan} is expired: n plans again.")
        assert host.asked == []


async def test_a_read_only_console_looks_and_asks_for_nothing(filled_store, plan):
    host = host_on(filled_store)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in ("n", "A", "p", "b", "R"):
            await pilot.press(key)
            await shows(pilot, "This console is read-only.")
        assert host.asked == []


async def test_its_keys_stand_under_the_question_mark(filled_store, plan):
    host = host_on(filled_store)
    async with host.run_test(size=(120, 80)) as pilot:
        await ready(pilot)
        await pilot.press("question_mark")
        for words in ("Make the plan that takes this one back", "Stop behind the records", ":rollouts"):
            await shows(pilot, words)


async def test_it_obeys_nothing_of_what_strangers_named(filled_store, plan):
    rolling.running(filled_store, plan)
    table = models.RolloutStep.__table__  # type: ignore[attr-defined]
    plans = models.RolloutPlan.__table__  # type: ignore[attr-defined]
    waves = models.RolloutWave.__table__  # type: ignore[attr-defined]
    gate = {"verdict": HOSTILE, "said": HOSTILE, "checks": {HOSTILE: {"verdict": HOSTILE, "said": HOSTILE}}}
    with filled_store.writing() as connection:
        connection.execute(update(table).values(name=HOSTILE, error=HOSTILE, template=HOSTILE))
        blocked = [{"oid": HOSTILE, "reason": HOSTILE}]
        connection.execute(
            update(plans).values(title=HOSTILE, said=HOSTILE, risks=[HOSTILE], by=HOSTILE, blocked=blocked)
        )
        connection.execute(update(waves).values(name=HOSTILE, gate=gate))
    for size in ((80, 24), (160, 50)):
        host = host_on(filled_store)
        async with host.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("enter")
            await shows(pilot, "organizations: ")
            for key in ("j", "j", "j", "j", "enter", "J", "escape", "G"):
                await pilot.press(key)
                await still(pilot)
            assert "Evil" in text_of(host)
            assert host.guard.hits == 0, host.guard.samples


def dialog(**changed) -> Dialog:
    found = {
        "plan": 17, "title": "Scanner exclusions",
        "targets": (
            Target(oid_of(0), "Acme Dental", "1 canary", 3, 3, protected=True),
            *(Target(oid_of(n), f"Customer {n:02}", "2 rest", 1, 1, destructive=n == 3) for n in range(1, 41)),
        ),
        "destructive": ("extensions/ext-cases at 1 organization",),
        "risks": ("It changes 41 organizations; more than 25 need a second person.",),
        "lacking": "", "phrase": "Acme Dental", "state": "draft",
    } | changed  # fmt: skip
    host = Host(None, Rollouts, reader=BrokenReader())
    return Dialog(Shown(**found), host.context)


@pytest.mark.parametrize("typed", ["Acme Dental", oid_of(0)])
async def test_the_dialog_names_whom_it_changes_and_waits_for_the_name(typed):
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "CHANGES 41 organizations: Acme Dental, Customer 01, Customer 02, Customer 03")
        await pilot.press(*"acme", "enter")
        await shows(pilot, "Not applied: type Acme Dental or its id")
        assert app.answer is app.NOTHING
        app.focused.value = typed
        await pilot.press("enter")
        await until(pilot, lambda: app.answer == typed)


async def test_the_dialog_does_not_let_pass_what_is_not_approved():
    app = Asking(dialog(lacking="Nobody has approved plan 17.", phrase=""))
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "NOT APPROVED by a second person")
        await pilot.press("a")
        await shows(pilot, "Nobody has approved plan 17.")
        await pilot.press("escape")
        await until(pilot, lambda: app.answer is None)


def test_picture_dialog(snap_compare):
    assert snap_compare(Asking(dialog()), terminal_size=(80, 24), run_before=still)


def test_picture_list(filled_store, plan, snap_compare):
    assert snap_compare(host_on(filled_store), terminal_size=(80, 24), run_before=ready)


def test_picture_plan(filled_store, plan, snap_compare):
    async def before(pilot):
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "CHANGES")
        await pilot.press("j", "j", "j")
        await shows(pilot, "value: a")
        await still(pilot)

    assert snap_compare(host_on(filled_store), terminal_size=(80, 24), run_before=before)


def test_picture_running_wide(filled_store, plan, snap_compare):
    rolling.running(filled_store, plan)

    async def before(pilot):
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "gate pass: as before")
        await still(pilot)

    assert snap_compare(host_on(filled_store), terminal_size=(120, 40), run_before=before)


def test_picture_halted(filled_store, plan, snap_compare):
    rolling.running(filled_store, plan)
    rolling.halted(filled_store, plan)

    async def before(pilot):
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "gate pass: as before")
        await pilot.press("j", "j")
        await shows(pilot, "conflict: It is not what")
        await still(pilot)

    assert snap_compare(host_on(filled_store), terminal_size=(80, 24), run_before=before)


def test_picture_empty(filled_store, snap_compare):
    assert snap_compare(host_on(filled_store), terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    host = Host(filled_store, Rollouts, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
