"""The dialogs of a plan about access: named, confirmed, and what became of it."""

from dataclasses import replace

import pytest

from screens.dialogs.access_plan import (
    BECAME,
    AccessPlan,
    AccessPlans,
    PlanAnswer,
    PlanResult,
    Shown,
    StepLine,
)
from screens.widgets.row_table import RowTable
from store.accesschanges import AccessChange
from store.accessplans import OUTCOMES, Plan, PlanRow, Step
from store.text import Untrusted
from tests.helpers.screens import NOW, Asking, Host, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"
HOUR = 3_600_000


def plan(*, protected=(), expires=NOW + HOUR, outcomes=("waiting", "waiting"), state="draft") -> Plan:
    changes = [
        AccessChange("grant", oid="o-1", principal="kim@acme.example", permission="dr.set"),
        AccessChange("remove_member", gid="g-1", principal="dana@provider.example"),
    ]
    steps = tuple(
        Step(number, change, {}, outcome)
        for number, (change, outcome) in enumerate(zip(changes, outcomes, strict=True), 1)
    )
    return Plan(
        7, "what was staged", "staged", state, "mk", NOW, expires, "0" * 64, steps, ("o-1", "o-2"),
        tuple((oid, Untrusted(name)) for oid, name in protected),
    )  # fmt: skip


def shown(given: Plan, *, privileged=(), why="", said="") -> Shown:
    words = (
        "grant dr.set to kim@acme.example on Acme Dental",
        "take dana@provider.example out of group responders",
    )
    where = ("Acme Dental", "group responders")
    steps = tuple(
        StepLine(step.seq, where[at], words[at], step.outcome, why if at else "")
        for at, step in enumerate(given.steps)
    )
    return Shown(given, steps, ("Acme Dental", HOSTILE), privileged, 1, 4, 2, said)


@pytest.fixture
def context():
    host = Host(None, lambda context: AccessPlans([], context), reader=object())
    return host.context


async def opened(pilot) -> str:
    await until(pilot, lambda: pilot.app.screen is pilot.app.dialog)
    await still(pilot)
    return text_of(pilot.app)


async def test_a_plan_names_what_it_changes_where_and_is_approved_by_a_key(context):
    app = Asking(AccessPlan(shown(plan(), privileged=(("kim@acme.example", "user.ctrl", 2),)), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "Plan 7, 2 changes: what was staged   good for 60 min" in said
        assert "touches 2 organizations: Acme Dental" in said
        assert "1 gained and 4 lost by 2 principals" in said
        assert "! privileged gain: kim@acme.example user.ctrl on 2 organizations" in said
        assert "group responders" in said
        await pilot.press("enter")
        assert app.answer is Asking.NOTHING
        await pilot.press("a")
        await until(pilot, lambda: app.answer == PlanAnswer("apply"))
        assert app.guard.hits == 0


@pytest.mark.parametrize(
    ("protected", "wrong", "right"),
    [
        ((("o-1", "Acme Dental"),), "acme dental", "Acme Dental"),
        ((("o-1", "さくら Hotels"),), "o-2", "o-1"),
        ((("o-1", "Acme Dental"), ("o-2", "Borealis")), "Acme Dental", "2 protected organizations"),
    ],
)
async def test_protected_organizations_are_typed(context, protected, wrong, right):
    app = Asking(AccessPlan(shown(plan(protected=protected)), context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        phrase = f"{protected[0][1]} or its id o-1" if len(protected) == 1 else right
        assert f"type {phrase}, enter apply" in said
        await pilot.press(*wrong, "enter")
        await until(pilot, lambda: f"Not applied: type {phrase}, exactly so." in text_of(app))
        assert app.answer is Asking.NOTHING
        await pilot.press("ctrl+u", *right, "enter")
        await until(pilot, lambda: app.answer == PlanAnswer("apply", right))


async def test_an_old_plan_and_a_locked_console_apply_nothing(context):
    app = Asking(AccessPlan(shown(plan(expires=NOW)), context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "The plan is too old" in text_of(app))
        context.writable = False
        await pilot.press("a")
        await until(pilot, lambda: "This console is read-only." in text_of(app))
        assert app.answer is Asking.NOTHING
        await pilot.press("escape")
        await until(pilot, lambda: app.answer == PlanAnswer("drop"))


async def test_every_organization_is_listed_and_the_line_under_the_cursor_is_said_in_full(context):
    found = shown(plan(protected=(("o-9", "Customer 8"),)))
    far = "end that carlos.tran@northlight.example owns group Forensics contractors of the year 2025"
    found = replace(
        found,
        steps=(replace(found.steps[0], words=far), found.steps[1]),
        organizations=tuple(f"Customer {number}" for number in range(31)),
    )
    app = Asking(AccessPlan(found, context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        flat = " ".join(text_of(app).replace("│", " ").split())
        assert far in flat
        assert "+28 more; the list below ends with every one" in flat
        await pilot.press("tab")
        table = app.screen.query_one("#steps", RowTable)
        app.screen.set_focus(table)
        seen = ""
        for _ in range(33):
            await pilot.press("j")
            await still(pilot)
            seen += text_of(app)
        assert all(f"Customer {number} " in seen for number in range(31))
        assert "Customer 8 is touched, PROTECTED" in seen
        assert "Customer 30 is touched" in text_of(app)


async def test_a_plan_may_be_kept_as_a_draft(context):
    app = Asking(AccessPlan(shown(plan()), context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s")
        await until(pilot, lambda: app.answer == PlanAnswer("keep"))


async def test_what_failed_comes_first_with_its_reason_and_what_was_done_is_taken_back(context):
    done = plan(outcomes=("done", "denied"), state="partly")
    app = Asking(
        PlanResult(shown(done, why="This key lacks user.ctrl.", said="1 of 2 changes made."), context)
    )
    async with app.run_test(size=(100, 24)) as pilot:
        said = await opened(pilot)
        assert "Plan 7  partly: 1 of 2 changes hold" in said
        assert said.index("DENIED") < said.index("done  ")
        assert "This key lacks user" in said
        await pilot.press("U")
        await until(pilot, lambda: app.answer == PlanAnswer("undo"))


async def test_what_changed_nothing_cannot_be_taken_back(context):
    done = plan(outcomes=("already", "conflict"), state="failed")
    app = Asking(PlanResult(shown(done), context))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("U")
        await until(pilot, lambda: "It changed nothing that could be taken back." in text_of(app))
        assert app.answer is Asking.NOTHING


async def test_the_latest_plans_are_chosen_from(context):
    found = [
        PlanRow(9, HOSTILE, "staged", "partly", "mk", NOW, NOW, NOW, 3, 2, 41),
        PlanRow(7, "access.yaml", "access.yaml", "applied", "lee", NOW, NOW, NOW, 1, 1, 1),
    ]
    app = Asking(AccessPlans(found, context))
    async with app.run_test(size=(80, 24)) as pilot:
        said = await opened(pilot)
        assert "2/3" in said
        assert "partly" in said
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.answer == 7)
        assert app.guard.hits == 0


def test_every_outcome_has_a_word():
    assert BECAME.keys() == set(OUTCOMES)


def test_picture_plan(context, snap_compare):
    """What it changes, where, what it comes to; a protected organization to be typed."""
    given = plan(protected=(("o-1", "Acme Dental"),))
    app = Asking(AccessPlan(shown(given, privileged=(("kim@acme.example", "user.ctrl", 2),)), context))
    assert snap_compare(app, terminal_size=(80, 24), run_before=opened)
