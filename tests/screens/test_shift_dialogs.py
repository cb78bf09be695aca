"""The dialogs of a shift: an item, a line, saved queues, campaigns; what each answers, and how it looks."""

from dataclasses import replace
from typing import Any

import pytest
from textual import events

from screens.dialogs.campaigns import Campaign, CampaignAnswer, Campaigns
from screens.dialogs.queues import QueueAnswer, Queues
from screens.dialogs.write_item import WriteItem
from screens.dialogs.write_line import WriteLine
from screens.guard import forbidden
from screens.widgets.text import line
from store.campaigns import Campaign as Row
from store.campaigns import Member, Note, Whole
from store.handover import Item, Step
from store.queues import SavedQueue
from store.text import Untrusted
from tests.helpers.dialogs import NOTHING, Asking, a_context, answer_of
from tests.helpers.screens import CUSTOMERS, NOW, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN

U = Untrusted
HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"

ITEM = Item(
    4, 1, oid_of(0), U("Acme Dental"), (1, 2), None, U("Encoded PowerShell download"), U("acme-fs01"), 4,
    NOW + 840_000, (Step(NOW - 60_000, U("dana"), U("claimed")),), U("backup account"), U(""), U(""), 0, U(""),
    None, U(""), 0,
)  # fmt: skip

QUEUES = [
    SavedQueue(U("criticals"), U("sev:critical"), "", U("mk"), NOW, NOW - 3_600_000, 12),
    SavedQueue(U("gold"), U("sev:medium"), "gold", U("dana"), NOW, None, 999, more=True),
    SavedQueue(U("old"), U("nope:1"), "", U("dana"), NOW, None, wrong="nope: is not a column"),
]

ROW = Row(3, U("Beacon over the vendor"), U("mk"), NOW - 7_200_000, None, U(""), U(""), 3, 41, 17)
WHOLE = Whole(
    ROW,
    tuple(
        Member(oid_of(n), U(CUSTOMERS[n][0]), 30 - n, 10 - n, 4 - n, NOW - 7_000_000, NOW - 60_000)
        for n in range(3)
    ),
    (
        Note(
            2,
            oid_of(0),
            U("Acme Dental"),
            U("Please isolate acme-fs01.\nWe call you."),
            U("mk"),
            NOW - 60_000,
        ),
        Note(1, "", U("us"), U("Acme and Borealis share a vendor."), U("dana"), NOW - 120_000),
    ),
)
CLOSED = Whole(
    replace(ROW, closed_at=NOW, closed_by=U("dana"), conclusion=U("vendor update")), WHOLE.members, ()
)


async def test_the_texts_of_an_item_are_answered_together() -> None:
    keys = ["ctrl+u", *"scanner", "tab", *"ask", "tab", *"asleep", "enter"]
    found = await answer_of(WriteItem(ITEM), *keys)
    assert found == {"hypothesis": "scanner", "next_step": "ask", "blocker": "asleep"}
    kept = await answer_of(WriteItem(ITEM), "enter")
    assert kept == {"hypothesis": "backup account", "next_step": "", "blocker": ""}
    assert await answer_of(WriteItem(ITEM), "escape") is None


async def test_words_and_tabs_that_come_in_one_piece_go_into_the_lines_they_are_for() -> None:
    app = Asking(WriteItem(replace(ITEM, hypothesis=U(""))))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        for key in [*"scanner", "tab", *"ask", "tab", *"asleep", "enter"]:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.answer is not NOTHING)
    assert app.answer == {"hypothesis": "scanner", "next_step": "ask", "blocker": "asleep"}


async def test_a_line_is_taken_when_it_is_none_and_when_the_check_lets_it() -> None:
    def ask(**more: Any) -> WriteLine:
        return WriteLine(line("Why?"), "reason", **more)

    assert await answer_of(ask(), *" known ", "enter") == "known"
    assert await answer_of(ask(), "enter") is NOTHING
    assert await answer_of(ask(), "space", "enter") is NOTHING
    refusing = ask(check=lambda text: "It names Acme." if "acme" in text else "")
    assert await answer_of(refusing, *"acme", "enter") is NOTHING
    assert await answer_of(ask(check=lambda text: ""), *"acme", "enter") == "acme"
    assert await answer_of(ask(), "escape") is None


async def test_queues_are_opened_kept_and_deleted() -> None:
    def ask(found: Any = QUEUES, **more: Any) -> Queues:
        return Queues(found, a_context(**more), line_now="sev:high")

    assert await answer_of(ask(), "j", "enter") == QueueAnswer("open", "gold")
    assert await answer_of(ask(), "x") == QueueAnswer("delete", "criticals")
    assert await answer_of(ask(), "s") == QueueAnswer("keep")
    assert await answer_of(ask([]), "enter") is NOTHING
    assert await answer_of(ask(writable=False), "s") is NOTHING
    assert await answer_of(ask(writable=False), "enter") == QueueAnswer("open", "criticals")
    assert await answer_of(ask(), "q") is None


async def test_campaigns_are_opened_and_written_on_while_they_go_on() -> None:
    assert await answer_of(Campaigns([ROW], a_context()), "enter") == 3
    assert await answer_of(Campaigns([], a_context()), "enter") is NOTHING
    assert await answer_of(Campaigns([ROW], a_context()), "q") is None

    def ask(found: Whole = WHOLE, **more: Any) -> Campaign:
        return Campaign(found, a_context(**more))

    assert await answer_of(ask(), "n") == CampaignAnswer("note", oid_of(0))
    assert await answer_of(ask(), "j", "t") == CampaignAnswer("customer", oid_of(1))
    assert await answer_of(ask(), "j", "j", "a") == CampaignAnswer("alerts", oid_of(2))
    assert await answer_of(ask(), "x") == CampaignAnswer("close", oid_of(0))
    for key in "ntx":
        assert await answer_of(ask(CLOSED), key) is NOTHING
        assert await answer_of(ask(writable=False), key) is NOTHING
    assert await answer_of(ask(), "q") is None


def hostile() -> dict[str, Any]:
    evil = U(HOSTILE)
    item = replace(
        ITEM, organization=evil, title=evil, host=evil, hypothesis=evil, next_step=evil, blocker=evil,
    )  # fmt: skip
    row = replace(ROW, title=evil, by=evil, conclusion=evil, closed_by=evil, closed_at=NOW)
    whole = Whole(
        row,
        (replace(WHOLE.members[0], organization=evil),),
        (Note(1, oid_of(0), evil, U(f"{HOSTILE}\n{HOSTILE}"), evil, NOW),),
    )
    queue = replace(QUEUES[2], name=evil, line=evil, by=evil, wrong=HOSTILE)
    return {
        "item": WriteItem(item),
        "line": WriteLine(line((HOSTILE, "")), "text", text=HOSTILE),
        "queues": Queues([queue], a_context(), line_now=HOSTILE),
        "campaigns": Campaigns([row], a_context()),
        "campaign": Campaign(whole, a_context(), said=HOSTILE),
    }


@pytest.mark.parametrize("name", hostile())
async def test_no_dialog_obeys_a_stranger(name: str) -> None:
    app = Asking(hostile()[name])
    async with app.run_test(size=(120, 40)) as pilot:
        await still(pilot)
        update = app.screen._compositor.render_update(full=True)
        assert update is not None
        assert [part for part in OWN.split(update.render_segments(app.console)) if forbidden(part)] == []
        assert app.guard.hits == 0, app.guard.samples
        assert "\\x1b" in text_of(app)


# -- pictures --------------------------------------------------------------------------------------------

SIZES = [(80, 24), (120, 40)]


def shown(dialog: Any, snap_compare: Any, *keys: str, size: tuple[int, int]) -> bool:
    async def ready(pilot: Any) -> None:
        await still(pilot)
        for key in keys:
            await pilot.press(key)
        await still(pilot)

    return bool(snap_compare(Asking(dialog), terminal_size=size, run_before=ready))


@pytest.mark.parametrize("size", SIZES)
def test_an_item(snap_compare: Any, size: tuple[int, int]) -> None:
    """Which item; three lines, the first one written already."""
    assert shown(WriteItem(ITEM), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_a_line(snap_compare: Any, size: tuple[int, int]) -> None:
    """What was wrong with it, in yellow and in words."""
    dialog = WriteLine(
        line(("For  Acme Dental", "bold")), "text", check=lambda text: "It names Borealis Foods."
    )
    assert shown(dialog, snap_compare, *"Borealis", "enter", size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_queues(snap_compare: Any, size: tuple[int, int]) -> None:
    """12 new, 999+ new, and one whose line means nothing any more, in red."""
    assert shown(Queues(QUEUES, a_context(), line_now="sev:high"), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_no_queue_yet(snap_compare: Any, size: tuple[int, int]) -> None:
    """How one is made."""
    assert shown(Queues([], a_context()), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_campaigns(snap_compare: Any, size: tuple[int, int]) -> None:
    """One goes on, one is closed."""
    assert shown(Campaigns([ROW, replace(CLOSED.campaign, id=2)], a_context()), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_no_campaign_yet(snap_compare: Any, size: tuple[int, int]) -> None:
    """How one is begun."""
    assert shown(Campaigns([], a_context()), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_a_campaign(snap_compare: Any, size: tuple[int, int]) -> None:
    """Three customers, the worst first; what was written for whom; what came of the last deed."""
    assert shown(Campaign(WHOLE, a_context(), said="Kept."), snap_compare, size=size)
