"""Every dialog in a small terminal: its keys stand, its text scrolls, the field with the focus is in sight."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Input, TextArea

from screens import keymap
from screens.dialogs.access_plan import AccessPlan, AccessPlans, PlanResult
from screens.dialogs.alert_json import AlertJson
from screens.dialogs.assign_alerts import AssignAlerts
from screens.dialogs.break_glass import Glasses
from screens.dialogs.campaigns import Campaign, Campaigns
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.choose_sensor import ChooseSensor
from screens.dialogs.close_alerts import CloseAlerts
from screens.dialogs.confirm import Confirm
from screens.dialogs.dialog import BESIDE, Body, Dialog, Modal, Subject
from screens.dialogs.edit_fold_key import EditFoldKey, Field
from screens.dialogs.fill_in import Field as Blank
from screens.dialogs.fill_in import FillIn
from screens.dialogs.mark_pattern import MarkPattern
from screens.dialogs.queues import Queues
from screens.dialogs.results import Item, Results
from screens.dialogs.row_json import RowJson
from screens.dialogs.run_plan import RunPlan
from screens.dialogs.sample_check import Differs, Member, SampleCheck
from screens.dialogs.search_cost import SearchCost
from screens.dialogs.sensor_card import SensorCard
from screens.dialogs.snooze_alerts import SnoozeAlerts
from screens.dialogs.what_if import Consequence, Staged, WhatIf
from screens.dialogs.what_if import Differs as Change
from screens.dialogs.write_item import WriteItem
from screens.dialogs.write_line import WriteLine
from screens.dialogs.write_note import WriteNote
from screens.dialogs.write_search import WriteSearch
from screens.dialogs.write_tag import WriteTag
from screens.help import Help
from store.accesschanges import AccessChange
from store.accessplans import PlanRow
from store.folds import FIELDS
from store.lcql import words_of
from store.queries.alerts import AlertDetail
from store.queries.searches import Result
from store.text import Untrusted as U
from tests.helpers.dialogs import NOTHING, Asking, a_context
from tests.helpers.screens import CUSTOMERS, NOW, oid_of, press_at_once, still, text_of, until
from tests.screens import (
    test_access_plan,
    test_apikeys,
    test_break_glass,
    test_choose_value,
    test_fp_rule,
    test_offboard,
    test_onboard,
    test_respond_dialogs,
    test_rollouts,
    test_runs,
    test_shift_dialogs,
)
from tests.screens.test_frame import Names

NAMES = tuple(name for name, _ in CUSTOMERS)
STORM = Subject(
    1400,
    NAMES,
    "Scanner touched LSASS",
    titles=2,
    protected=("Acme Dental", "Borealis Foods"),
    held=(("kim@provider.example", 3),),
)
SAMPLE = [
    Member(
        n, "Encoded PowerShell download", "Acme Dental", f"acme-fs{n:02}", "2026-11-24 13:00", tuple(
            (label, f"C:\\Windows\\System32\\{label}.exe -EncodedCommand {'SQBFAFgA' * 12}")
            for label in ("process", "parent", "user", "hash", "target", "source", "peer", "path")
        ),
        (Differs("host", f"acme-fs{n:02}", "acme-ws01"),) if n < 2 else (),
    )
    for n in range(6)
]  # fmt: skip
BLANKS = [Blank("summary", hint="what happened", needed=True), *(Blank(f"line {n}") for n in range(9))]


def a_plan(**more: Any) -> Any:
    gains = tuple((f"person-{n}@acme.example", "user.ctrl", n + 1) for n in range(5))
    protected = (("o-1", "Acme Dental"), ("o-2", "Borealis Foods"))
    return test_access_plan.shown(test_access_plan.plan(protected=protected), privileged=gains, **more)


def what_if() -> WhatIf:
    staged = tuple(
        Staged(
            AccessChange("grant", oid=oid_of(n), principal="kim@acme.example", permission="dr.set"),
            "grant dr.set to kim@acme.example",
            NAMES[n],
        )
        for n in range(5)
    )
    differs = tuple(
        Change("kim@acme.example", f"dr.{n}", ".", "D", 1, 0, NAMES[n % 5], n == 0) for n in range(20)
    )
    gains = (("kim@acme.example", "user.ctrl", 3),)
    return WhatIf(Consequence(staged, differs, 7, 20, 0, 1, NAMES, 5, gains))


def an_organization() -> ChooseOrganization:
    return ChooseOrganization(
        [
            Choice(oid_of(n), name, f"Provider/Europe/{tier}/{name}")
            for n, (name, tier) in enumerate(CUSTOMERS)
        ]
    )


def a_row() -> RowJson:
    row = test_respond_dialogs.ROW
    return RowJson(Result(1, NOW, oid_of(0), U("Acme Dental"), words_of(row), json.dumps(row).encode()))


def an_alert() -> AlertJson:
    row = test_respond_dialogs.an_alert(1)
    return AlertJson(
        AlertDetail(row, U("NEW_PROCESS"), None, U("Europe/Gold/Acme Dental"), b"not JSON " * 40)
    )


def fold_key() -> EditFoldKey:
    fields = [Field(name, "C:\\Program Files\\Office\\outlook.exe" * 3) for name in FIELDS]
    return EditFoldKey("general.encoded-powershell-download", fields, ["host"], ["host"], own=True)


DIALOGS: dict[str, Callable[[Any], Modal[Any]]] = {
    "AccessPlan": lambda store: AccessPlan(a_plan(said="It was refused. " * 8), a_context()),
    "AccessPlans": lambda store: AccessPlans(
        [
            PlanRow(n, "what was staged", "staged", "applied", "mk", NOW, NOW, NOW, 3, 3, 41)
            for n in range(40)
        ],
        a_context(),
    ),
    "AlertJson": lambda store: an_alert(),
    "ApplyRollout": lambda store: test_rollouts.dialog(lacking="Nobody has approved plan 17 yet."),
    "AssignAlerts": lambda store: AssignAlerts(STORM, [f"analyst-{n}@provider.example" for n in range(12)]),
    "BreakGlass": lambda store: test_break_glass.form(),
    "Campaign": lambda store: Campaign(test_shift_dialogs.WHOLE, a_context(), said="The note is kept. " * 5),
    "Campaigns": lambda store: Campaigns([test_shift_dialogs.ROW], a_context()),
    "ChooseOne": lambda store: ChooseOne(
        Content("What is to go?"),
        [
            Option(key, f"leave group {key}: loses what it gives on 12 organizations")
            for key in "abcdefghijklmno"
        ],
    ),
    "ChooseOrganization": lambda store: an_organization(),
    "ChooseSensor": lambda store: ChooseSensor(
        test_respond_dialogs.sensors(), a_context(), organization="Acme Dental"
    ),
    "ChooseValue": lambda store: test_choose_value.dialog(test_choose_value.CHOICES * 4),
    "CloseAlerts": lambda store: CloseAlerts(STORM, classification="benign"),
    "Confirm": lambda store: Confirm(
        "\n".join(f"{n} Write fp-scanner-touched-lsass into the Hive of Danubia Hotels?" for n in range(20))
    ),
    "EditFoldKey": lambda store: fold_key(),
    "FillIn": lambda store: FillIn(Content("New case for Acme Dental"), BLANKS, does="make it"),
    "FpRule": lambda store: test_fp_rule.dialog(trouble="The rule was not saved: it is there already. " * 2),
    "Glasses": lambda store: Glasses([test_break_glass.LATE] * 12, a_context(), said="It lasts longer now."),
    "Help": lambda store: Help(Names(a_context())),
    "MarkPattern": lambda store: MarkPattern(lambda text: "", within="open alerts of ALL ORGANIZATIONS"),
    "Offboard": lambda store: test_offboard.dialog(
        notes=tuple(f"Note {n}: look at it first." for n in range(5))
    ),
    "Onboard": lambda store: test_onboard.form(),
    "PlanResult": lambda store: PlanResult(a_plan(said="Half of it holds. " * 6), a_context()),
    "Queues": lambda store: Queues(test_shift_dialogs.QUEUES, a_context(), line_now="sev:high host:web"),
    "Results": lambda store: Results(
        Content("1,199 of 1,221 alerts closed"),
        [Item(str(n), NAMES[n % 5], "Scanner", "refused", "It has it.", bad=True) for n in range(60)],
    ),
    "RowJson": lambda store: a_row(),
    "RunPlan": lambda store: RunPlan(
        test_runs.shown(store, verb="output.remove", title="remove the output siem"), a_context()
    ),
    "SampleCheck": lambda store: SampleCheck(STORM, SAMPLE, truncated=3),
    "SearchCost": lambda store: SearchCost(test_respond_dialogs.ESTIMATE, a_context()),
    "SensorCard": lambda store: SensorCard(
        test_respond_dialogs.CARD, a_context(), said="It has the tag. " * 5
    ),
    "ShowSecret": lambda store: test_apikeys.a_secret(),
    "SnoozeAlerts": lambda store: SnoozeAlerts(STORM, now=NOW, when="08:00", clock="The clock goes on. " * 5),
    "TypeName": lambda store: test_respond_dialogs.type_name(),
    "WhatIf": lambda store: what_if(),
    "WriteItem": lambda store: WriteItem(test_shift_dialogs.ITEM),
    "WriteLine": lambda store: WriteLine(Content("\n".join(["A text for the customer"] * 12)), "text"),
    "WriteNote": lambda store: WriteNote(STORM),
    "WriteSearch": lambda store: WriteSearch(
        "Europe/Gold", 41, trouble="bad query: a quote is not closed " * 4
    ),
    "WriteTag": lambda store: WriteTag("acme-fs01", "Acme Dental", [f"tag-{n}" for n in range(30)]),
}
"""Class of a dialog -> one with more in it than a small terminal has room for."""

KEYS = "#dialog-keys, #answers, #json-keys, #fp-keys, #choose-keys, #help-keys"
SIZES = [(80, 24), (60, 20), (60, 15)]

KEYS_TRIED = ("enter", "space", "tab", "ctrl+n", "question_mark", *"1abcdefijlmnopstuwxyzAJPTUX")

each_dialog = pytest.mark.parametrize("name", DIALOGS)


def test_every_dialog_is_looked_at() -> None:
    there = {each.__name__ for each in keymap._dialogs() if not each.__name__.startswith("_")}
    assert there - {"Dialog", "Modal"} == set(DIALOGS)


class Showing(Asking):
    """Makes its dialog once it runs: the keys of a view are told by a running app alone."""

    def __init__(self, make: Callable[[], Modal[Any]]) -> None:
        super().__init__(Confirm(""))
        self.make = make

    def on_mount(self) -> None:
        """Show it."""
        self.dialog = self.make()
        super().on_mount()


def leaving(app: Asking) -> set[str]:
    """Keys that do what esc does."""
    found = app.dialog._bindings.key_to_bindings
    ways = {way.action for way in found["escape"]}
    return {key for key, bound in found.items() if any(each.action in ways for each in bound)}


def seen(widget: Widget) -> tuple[Region, Region]:
    """Where a widget is, and what of that is in sight."""
    place = widget.screen.find_widget(widget)
    return place.region, place.visible_region


def assert_keys_stand(app: Asking) -> None:
    line = app.screen.query_one(KEYS)
    region, visible = seen(line)
    assert region == visible, text_of(app)
    assert app.screen.region.contains_region(region), text_of(app)
    written = " ".join(
        row[region.x : region.right] for row in text_of(app).splitlines()[region.y : region.bottom]
    )
    assert written.split() == str(line.render()).split(), text_of(app)


def assert_in_sight(app: Asking, field: Widget) -> None:
    region, visible = seen(field)
    if isinstance(field, Input):
        assert region == visible, (field.id, text_of(app))
    assert visible.area > 0, (field.id, text_of(app))


@each_dialog
@pytest.mark.parametrize("size", SIZES, ids=["80x24", "60x20", "60x15"])
async def test_its_keys_stand_and_what_has_the_focus_is_in_sight(
    filled_store: Any, name: str, size: tuple[int, int]
) -> None:
    app = Showing(lambda: DIALOGS[name](filled_store))
    async with app.run_test(size=size) as pilot:
        await still(pilot)
        assert_keys_stand(app)
        for field in app.screen.focus_chain:
            field.focus()
            await still(pilot)
            assert_in_sight(app, field)
            assert_keys_stand(app)
        if content := app.screen.query(Body):
            scroll = content.only_one(Body)
            app.screen.set_focus(None)
            await press_at_once(pilot, *["ctrl+down"] * (int(scroll.max_scroll_y) + 1))
            await still(pilot)
            assert scroll.scroll_y == scroll.max_scroll_y
            await pilot.press("ctrl+up")
            await still(pilot)
            assert scroll.max_scroll_y == 0 or scroll.scroll_y < scroll.max_scroll_y
        assert app.answer is NOTHING


@each_dialog
async def test_nothing_is_lost_while_the_terminal_is_too_small(filled_store: Any, name: str) -> None:
    app = Showing(lambda: DIALOGS[name](filled_store))
    size = (60, 15)
    async with app.run_test(size=size) as pilot:
        await still(pilot)
        focused = app.screen.focused
        if isinstance(focused, Input | TextArea):
            await pilot.press(*"typed")
            await still(pilot)
        before, said = values(app), text_of(app)
        for small in ((59, 24), (80, 14), (1, 1)):
            await pilot.resize_terminal(*small)
            await until(pilot, lambda: app.dialog.small)
            await still(pilot)
            if small != (1, 1):
                assert "too small: esc leaves" in text_of(app)
            # What is not seen is neither answered nor written into.
            await press_at_once(pilot, *(key for key in KEYS_TRIED if key not in leaving(app)))
            await still(pilot)
            assert app.answer is NOTHING
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: not app.dialog.small and app.screen.focused is focused)
        await still(pilot)
        assert values(app) == before
        assert text_of(app) == said
        if focused is not None:
            assert_in_sight(app, focused)
        if isinstance(focused, Input):
            await pilot.press("1")
            await still(pilot)
            assert focused.value != before[focused.id]


def values(app: Asking) -> dict[str | None, str]:
    return {field.id: field.value for field in app.screen.query(Input)} | {
        area.id: area.text for area in app.screen.query(TextArea)
    }


@each_dialog
@pytest.mark.parametrize("columns", [80, 160])
async def test_it_is_as_wide_as_the_terminal_or_leaves_room_beside_it(
    filled_store: Any, name: str, columns: int
) -> None:
    app = Showing(lambda: DIALOGS[name](filled_store))
    async with app.run_test(size=(columns, 40)) as pilot:
        await still(pilot)
        assert all(body.size.height for body in app.screen.query(Body)), text_of(app)
        box = seen(app.screen.children[0])[0]
        assert box.width == columns or BESIDE <= box.x <= columns - box.right, text_of(app)


async def test_esc_leaves_what_is_too_small_to_be_seen() -> None:
    app = Asking(Confirm("Leave limegrove?"))
    async with app.run_test(size=(40, 10)) as pilot:
        await still(pilot)
        await pilot.press("y", "q", "escape")
        await until(pilot, lambda: app.answer is False)


async def test_a_dialog_that_opens_too_small_has_its_focus_when_there_is_room() -> None:
    app = Asking(WriteNote(STORM))
    async with app.run_test(size=(1, 1)) as pilot:
        await still(pilot)
        await pilot.press(*"lost")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: isinstance(app.screen.focused, Input))
        await pilot.press(*"kept", "enter")
        await until(pilot, lambda: app.answer == "kept")


async def test_dialogs_share_their_frame() -> None:
    assert issubclass(CloseAlerts, Dialog)
    assert all(issubclass(kind, Modal) for kind in keymap._dialogs())
