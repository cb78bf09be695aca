"""The runs on a real store: the list, one of them, why something failed; and the dialog before one."""

import socket
from dataclasses import replace

import pytest

from screens.dialogs.run_plan import RunAnswer, RunPlan, Shown, Target
from screens.requests import Back, BeginRun, DropRun, ShowOrganization, UndoRun
from screens.runs import Runs
from store import runs
from store.database import Change
from store.runs import Planned, PlannedItem, PlannedStep
from tests.helpers.screens import CUSTOMERS, NOW, Asking, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def planned(*, title="tag the sensors with plat == windows: blue", verb="sensor.tag", orgs=3, names=None):
    names = names or [name for name, _ in CUSTOMERS]
    items = tuple(
        PlannedItem(
            oid_of(number),
            names[number],
            steps=tuple(
                PlannedStep(verb, f"sid-{n}", {"tag": "blue", "hostname": f"host-{n}"}, needed=False)
                for n in range(3)
            ),
        )
        for number in range(orgs)
    )
    options = {"left_out": [[oid_of(4), CUSTOMERS[4][0], "It is frozen."]]}
    return Planned("bulk", title, items, "filter:tier=gold", options)


def keep(store, what) -> int:
    with store.writing() as c:
        return runs.keep(c, what, by="kim", now=NOW - 120_000)


def made(store, what) -> int:
    """A run that ended: the second organization was denied one step, the third nothing."""
    run_id = keep(store, what)
    with store.writing() as c:
        run = runs.load(c, run_id)
        runs.take(c, run, "me", operator="kim", now=NOW, is_live=lambda held: False)
        for step in runs.steps(c, run_id):
            bad = step.item == 2 and step.seq == 2
            error = f"This key may not {HOSTILE}." if bad else ""
            runs.settle(c, run_id, step, "denied" if bad else "done", now=NOW, error=error)
        for item in (1, 3):
            runs.settle_item(c, run_id, item, "done")
        runs.settle_item(c, run_id, 2, "partly", reason=f"tag: {HOSTILE}")
        runs.HOLDING.finish(c, run_id, "me", runs.PARTLY, now=NOW)
    return run_id


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def shows(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


async def test_the_list_says_how_each_run_went_and_enter_opens_one(filled_store):
    first = made(filled_store, planned())
    keep(filled_store, planned(title=f"Later {HOSTILE}"))
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await shows(pilot, "2 runs")
        assert ". not begun" in text_of(host)
        assert "x partly" in text_of(host)
        await pilot.press("j", "enter")
        await shows(pilot, f"Run {first}: tag the sensors")
        said = " ".join(text_of(host).split())
        assert "2 of 3 organizations done" in said
        assert "8 done, 1 denied" in said
        assert "left out 1: Église Saint-Roch" in said
        # What failed stands first, and below it each step of it.
        assert host.view.item_table.current.name == "Borealis Foods"
        await shows(pilot, "x denied tag the sensor host-1 with blue")
        assert host.guard.hits == 0


async def test_keys_ask_for_what_they_say(filled_store):
    first = made(filled_store, planned())
    second = keep(filled_store, planned())
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("A", "X", "b")
        assert host.asked == [BeginRun(second), DropRun(second)]
        await shows(pilot, "nothing to take back yet")
        await pilot.press("j", "b", "A", "enter")
        await shows(pilot, "2 of 3 organizations done")
        await pilot.press("t")
        assert host.asked[2:] == [UndoRun(first), BeginRun(first), ShowOrganization(oid_of(1))]
        await pilot.press("X")
        await shows(pilot, "Only what was not begun is put away.")
        await pilot.press("escape")
        await until(pilot, lambda: not host.view._open)
        await pilot.press("escape")
        assert host.asked[-1] == Back()


@pytest.mark.parametrize("holder", ["", f"{socket.gethostname()}:{2**22 + 1}:0:x"])
async def test_a_run_that_no_process_makes_is_cut_off(filled_store, holder):
    run_id = keep(filled_store, planned())
    with filled_store.writing() as c:
        holder_now = holder or "me"
        runs.take(c, runs.load(c, run_id), holder_now, operator="kim", now=NOW, is_live=lambda held: False)
        if not holder:
            runs.HOLDING.release(c, run_id, holder_now)
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await shows(pilot, "x cut off")
        await shows(pilot, "It was cut off: A carries on.")
        await pilot.press("enter")
        await shows(pilot, "x cut off 0 of 3 organizations done")


async def test_a_filter_keeps_the_organizations_that_hold_the_words(filled_store):
    made(filled_store, planned())
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "3 organizations")
        host.view.filter_by("partly")
        await shows(pilot, "1 of 3 organizations")
        await pilot.press("escape")
        await until(pilot, lambda: "/partly" not in text_of(host))


async def test_progress_is_seen_as_it_is_written(filled_store):
    run_id = keep(filled_store, planned())
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        host.view.open_run(run_id)
        await shows(pilot, "0/3")
        with filled_store.writing() as c:
            (step, *_) = runs.steps(c, run_id)
            runs.settle(c, run_id, step, "done", now=NOW)
        host.context.changes.publish(Change(frozenset({"run_step"})))
        await shows(pilot, "1/3")


async def test_nothing_and_a_broken_store_are_said(filled_store):
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await shows(pilot, "Nothing was done to many organizations yet.")
    host = Host(filled_store, Runs, reader=BrokenReader())
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "the disk is gone" in text_of(host)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_picture_of_a_run(snap_compare, filled_store, size):
    run_id = made(filled_store, planned())

    async def opened(pilot) -> None:
        await ready(pilot)
        pilot.app.view.open_run(run_id)
        await shows(pilot, "x denied tag the sensor host-1 with blue")
        await still(pilot)

    assert snap_compare(Host(filled_store, Runs), terminal_size=size, run_before=opened)


# The dialog before a run


def shown(store, *, protected=(), **options) -> Shown:
    run_id = keep(store, planned(**options))
    with store.reader.reading() as c:
        run = runs.load(c, run_id)
    targets = [
        Target(item.item, item.name, "tag the sensor host-0 with blue, and 2 more steps")
        for item in run.items
    ]
    targets.append(Target(9, HOSTILE, "", "left out: It is frozen."))  # fmt: skip
    return Shown(run, tuple(targets), stays=2, nothing=1)


@pytest.fixture
def context():
    return Host(None, lambda context: None, reader=object()).context


async def opened(pilot) -> str:
    await until(pilot, lambda: pilot.app.screen is pilot.app.dialog)
    await still(pilot)
    return " ".join(text_of(pilot.app).split())


async def test_a_run_names_whom_it_changes_and_is_begun_by_a_key(filled_store, context):
    app = Asking(RunPlan(shown(filled_store), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "CHANGES 3 organizations: Acme Dental, Borealis Foods, Cedar Clinic" in said
        assert "2 steps of it cannot be taken back" in said
        assert "left out 1:" in said
        assert "1 have nothing of the kind" in said
        await pilot.press("enter")
        assert app.answer is Asking.NOTHING
        await pilot.press("a")
        await until(pilot, lambda: app.answer == RunAnswer("begin"))
        assert app.guard.hits == 0


async def test_enter_shows_all_steps_of_an_organization_and_esc_all_organizations_again(
    filled_store, context
):
    found = shown(filled_store)
    targets = tuple(
        replace(row, steps=(f"make {row.name}", f"tag {HOSTILE}", "the third")) for row in found.targets[:3]
    )
    app = Asking(RunPlan(replace(found, targets=targets), context))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "enter its steps" in await opened(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: "make Borealis Foods" in text_of(app))
        assert "3 steps of Borealis Foods" in text_of(app)
        assert "the third" in text_of(app)
        await pilot.press("a")
        await until(pilot, lambda: "make Borealis Foods" not in text_of(app))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: "make Borealis Foods" not in text_of(app))
        assert app.answer is Asking.NOTHING
        assert app.guard.hits == 0
        await pilot.press("escape")
        await until(pilot, lambda: app.answer == RunAnswer("drop"))


@pytest.mark.parametrize(("key", "answer"), [("s", RunAnswer("keep")), ("escape", RunAnswer("drop"))])
async def test_a_run_is_kept_or_put_away(filled_store, context, key, answer):
    app = Asking(RunPlan(shown(filled_store), context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press(key)
        await until(pilot, lambda: app.answer == answer)


async def test_what_cannot_be_brought_back_is_typed_exactly(filled_store, context):
    app = Asking(RunPlan(shown(filled_store, verb="output.remove", title="remove the output siem"), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "! this takes what cannot be brought back" in said
        assert "type 3 organizations, enter begin" in said
        await pilot.press(*"3", "enter")
        await until(pilot, lambda: "Not begun: type 3 organizations" in text_of(app))
        assert app.answer is Asking.NOTHING
        await pilot.press(*" organizations", "enter")
        await until(pilot, lambda: app.answer == RunAnswer("begin", "3 organizations"))


async def test_what_is_tried_again_is_typed_again(filled_store, context):
    found = shown(filled_store, verb="output.remove", title="remove the output siem")
    items = tuple(replace(item, state="failed" if item.item == 2 else "done") for item in found.run.items)
    app = Asking(RunPlan(replace(found, run=replace(found.run, state="partly", items=items)), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "! this takes what cannot be brought back" in said
        assert "type Borealis Foods or its id" in said
        await pilot.press("enter")
        await until(pilot, lambda: "Not begun: type Borealis Foods" in text_of(app))
        assert app.answer is Asking.NOTHING
        await pilot.press(*"Borealis Foods", "enter")
        await until(pilot, lambda: app.answer == RunAnswer("begin", "Borealis Foods"))


async def test_a_read_only_console_and_an_old_plan_begin_nothing(filled_store, context):
    context.writable = False
    app = Asking(RunPlan(shown(filled_store), context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "This console is read-only." in text_of(app))
        context.writable = True
        context.clock = lambda: NOW + 2 * runs.GOOD_FOR
        await pilot.press("a")
        await until(pilot, lambda: "planned too long ago" in text_of(app))
        assert app.answer is Asking.NOTHING


def test_picture_of_the_dialog(snap_compare, filled_store, context):
    found = shown(filled_store, verb="output.remove", title="remove the output siem")

    async def ready_(pilot) -> None:
        await opened(pilot)

    assert snap_compare(Asking(RunPlan(found, context)), terminal_size=(80, 24), run_before=ready_)


@pytest.mark.parametrize("key", ["escape", "q"])
async def test_leaving_a_run_that_was_kept_before_leaves_it_there(filled_store, context, key):
    app = Asking(RunPlan(replace(shown(filled_store), kept=True), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "a begin esc leave it as it is; X in :runs puts it away" in said
        await pilot.press("s")
        await until(pilot, lambda: "It is kept already." in text_of(app))
        await pilot.press(key)
        await until(pilot, lambda: app.answer is None)


async def test_what_is_in_the_way_is_said_only_while_it_is_made(filled_store):
    run_id = keep(filled_store, planned())
    with filled_store.writing() as c:
        runs.take(c, runs.load(c, run_id), "me", operator="kim", now=NOW, is_live=lambda held: False)
    host = Host(filled_store, Runs)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        host.view.tell_while_made(run_id, "Run 1 is being made by process 12.")
        await shows(pilot, "is being made by process 12")
        await still(pilot)
        await shows(pilot, "is being made by process 12")
        with filled_store.writing() as c:
            runs.HOLDING.finish(c, run_id, "me", runs.FAILED, now=NOW)
        host.context.changes.publish(Change(frozenset({"run"})))
        await until(pilot, lambda: "is being made by" not in text_of(host))


async def test_who_would_be_turned_away_and_whose_quota_is_not_known_is_said(filled_store, context):
    found = replace(shown(filled_store), above=("Acme Dental", HOSTILE), unread=("Cedar Clinic",))
    app = Asking(RunPlan(found, context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "! 2 use more than the new quota, sensors would be turned away: Acme Dental" in said
        assert "1 not read, set all the same: Cedar Clinic" in said
        assert app.guard.hits == 0
