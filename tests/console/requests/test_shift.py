"""Two consoles over one store, by keys alone: a shift drafted, written and published in one, accepted in the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from console.app import Console
from console.operations import handover as operations
from console.operations import triage
from screens.dialogs.campaigns import Campaign, Campaigns
from screens.dialogs.confirm import Confirm
from screens.dialogs.queues import Queues
from screens.dialogs.write_item import WriteItem
from screens.dialogs.write_line import WriteLine
from screens.frame import TitleLine
from screens.requests import AcceptItem, BeginCampaign, Chosen, OpenQueue, ShowQueues
from store import campaigns, handover, ingest, queues
from store.alerts import AlertFilter
from store.database import Store
from store.queries import alerts
from store.queries.activity import journal
from store.triage import Selection
from tests.helpers.screens import NOW, detection, fill, oid_of, still, text_of, until


def console(url: str, who: str, **options: Any) -> Console:
    return Console(
        open_store=lambda: Store(url),
        environment="test",
        clock=lambda: NOW,
        operator=who,
        view="handover",
        **options,
    )


async def opened(pilot: Any, mode: str = "handover") -> None:
    app = pilot.app
    await until(
        pilot, lambda: app.current_mode == mode and getattr(app.screen, "look", "loading") != "loading"
    )
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


@asynccontextmanager
async def running(app: Console, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Any]:
    """The console on a terminal of that size; its store is closed behind it, as the command does."""
    try:
        async with app.run_test(size=size) as pilot:
            yield pilot
    finally:
        if app.store is not None:
            app.store.close()


@pytest.fixture
def held(store_url: str) -> str:
    """Sixty alerts, of which dana holds three."""
    return arranged(store_url)


@pytest.fixture
def held_here(tmp_path: Path) -> str:
    """The same on SQLite: what keys do does not depend on the engine."""
    return arranged(f"sqlite:///{tmp_path / 'here.db'}")


def arranged(store_url: str) -> str:
    """Sixty alerts, of which dana holds three."""
    with closing(Store(store_url)) as store:
        fill(store)
        with store.reader.reading() as connection:
            rows = alerts.page(connection, AlertFilter(), limit=3)
        triage.claim(store, "dana", Selection(ids=tuple(row.id for row in rows)), now=NOW - 3_600_000)
    return store_url


async def test_a_shift_changes_hands_between_two_consoles(held: str) -> None:
    one, two = console(held, "dana"), console(held, "kim")
    async with running(one, (80, 24)) as dana:
        await opened(dana)
        await dana.press("d")
        await until(dana, lambda: "[ Yours 3 ]" in text_of(one))
        await still(dana)
        await dana.press("e")
        await on(dana, WriteItem)
        await dana.press(*"stolen token", "tab", *"reset it", "enter")
        await until(dana, lambda: "stolen token" in text_of(one))
        await dana.press("P")
        await on(dana, Confirm)
        assert "2 of them say nothing" in text_of(one)
        await dana.press("y")
        await until(dana, lambda: "published, 3 left" in text_of(one))
        async with running(two, (80, 24)) as kim:
            await opened(kim)
            await until(kim, lambda: "To accept 3 of 3" in text_of(two))
            assert "stolen token" in text_of(two)
            await kim.press("a")
            await until(kim, lambda: "1 alert is yours" in text_of(two))
            await until(kim, lambda: "To accept 2 of 3" in text_of(two))
            await kim.press("j")
            await still(kim)
            await kim.press("b")
            await on(kim, WriteLine)
            await kim.press(*"not mine", "enter")
            await until(kim, lambda: "To accept 1 of 3" in text_of(two))
        # The first console learns of it without a key.
        await until(dana, lambda: "published, 1 left" in text_of(one))
        await until(dana, lambda: "x bounced" in text_of(one))
        assert "o taken" in text_of(one)
        await dana.press("W")
        await on(dana, Confirm)
        await dana.press("y")
        await until(dana, lambda: "Taken back" in text_of(one))
    with closing(Store(held)) as store, store.reader.reading() as connection:
        whole = handover.handover(connection, 1)
        mine = alerts.page(connection, AlertFilter(who="kim"), limit=10)
        actions = [
            entry.action for entry in journal(connection, limit=50) if entry.action.startswith("handover.")
        ]
    assert whole is not None
    assert sorted(item.state_word for item in whole.items) == ["accepted", "bounced", "open"]
    assert len(mine) == 1
    assert actions[::-1] == ["handover.publish", "handover.accept", "handover.bounce", "handover.withdraw"]


async def test_whoever_is_slower_is_told_who_has_it(held_here: str) -> None:
    with closing(Store(held_here)) as store:
        made = operations.draft(store, "dana", now=NOW)
        whole, _ = await operations.publish(store, "dana", made.id, now=NOW)
        app = console(held_here, "kim")
        async with running(app, (80, 24)) as pilot:
            await opened(pilot)
            view = app.screen
            # Taken by another process, which this console has not looked at yet.
            await operations.accept(store, "lee", whole.items[0].id, now=NOW)
            view.post_message(AcceptItem(whole.items[0].id, whole.items[0].version))
            await until(pilot, lambda: "lee accepted it already" in text_of(app))


async def test_a_queue_is_kept_opened_and_forgotten(held_here: str) -> None:
    app = console(held_here, "mk")
    async with running(app, (80, 24)) as pilot:
        await opened(pilot)
        await pilot.press(":", *"alerts sev:critical", "enter")
        await opened(pilot, "alerts")
        await until(pilot, lambda: "sev:critical" in app.screen.query_one(TitleLine).text)
        await pilot.press(":", *"queues", "enter")
        await on(pilot, Queues)
        await pilot.press("s")
        await on(pilot, WriteLine)
        await pilot.press(*"two words", "enter")
        await still(pilot)
        assert "One word" in text_of(app)
        await pilot.press("ctrl+u", *"worst", "enter")
        await on(pilot, Queues)
        assert "worst" in text_of(app)
        await pilot.press("enter")
        await opened(pilot, "alerts")
        with closing(Store(held_here)) as store:
            raw = detection(600, oid_of(1), at=NOW - 1000)
            with store.writing() as connection:
                ingest.put_detections(
                    connection, oid_of(1), [ingest.detection_from(raw, oid_of(1), received=NOW)]
                )
            with store.reader.reading() as connection:
                assert [
                    (str(each.name), each.unread) for each in queues.queues(connection, "mk", now=NOW)
                ] == [("worst", 1)]
        app.screen.post_message(OpenQueue("worst"))
        await until(pilot, lambda: "sev:critical" in app.screen.query_one(TitleLine).text)
        with closing(Store(held_here)) as store:

            def unread() -> int:
                with store.reader.reading() as connection:
                    return queues.queues(connection, "mk", now=NOW)[0].unread

            await until(pilot, lambda: unread() == 0)
        app.screen.post_message(ShowQueues())
        await on(pilot, Queues)
        await pilot.press("x")
        await on(pilot, Confirm)
        await pilot.press("y")
        await on(pilot, Queues)
        assert "None yet" in text_of(app)
        await pilot.press("q")
        app.screen.post_message(OpenQueue("worst"))
        await until(pilot, lambda: "There is no queue" in text_of(app))


async def test_a_campaign_is_begun_from_marked_alerts_and_its_texts_are_checked(held_here: str) -> None:
    app = console(held_here, "mk")
    with closing(Store(held_here)) as store, store.reader.reading() as connection:
        rows = alerts.page(connection, AlertFilter(), limit=5)
    async with running(app, (120, 40)) as pilot:
        await opened(pilot)
        app.screen.post_message(BeginCampaign(Chosen(alerts=(rows[0].id,))))
        # Said before a title is asked for.
        await until(pilot, lambda: "a case is for that" in text_of(app))
        app.screen.post_message(BeginCampaign(Chosen(alerts=tuple(row.id for row in rows))))
        await on(pilot, WriteLine)
        await pilot.press(*"Beacon", "enter")
        await on(pilot, Campaign)
        assert "5 alerts of 5 customers" in text_of(app)
        await pilot.press("t")
        await on(pilot, WriteLine)
        heading = text_of(app)
        other = "Acme Dental" if "For  Borealis" in heading or "For  Acme" not in heading else "Cedar Clinic"
        await pilot.press(*f"as at {other}", "enter")
        await still(pilot)
        assert "names no other" in text_of(app)
        await pilot.press("ctrl+u", *"please isolate it", "enter")
        await on(pilot, Confirm)
        await pilot.press("n")
        await on(pilot, Campaign)
        await until(pilot, lambda: "please isolate it" in text_of(app))
        await pilot.press("x")
        await on(pilot, WriteLine)
        await pilot.press(*"vendor", "enter")
        await on(pilot, Campaign)
        await until(pilot, lambda: "closed by mk" in text_of(app))
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, Campaign))
        await pilot.press(":", *"campaigns", "enter")
        await on(pilot, Campaigns)
        assert "0 going on, 1 closed" in text_of(app)
    with closing(Store(held_here)) as store, store.reader.reading() as connection:
        whole = campaigns.campaign(connection, 1)
    assert whole is not None
    assert [str(note.text) for note in whole.notes] == ["please isolate it"]


async def test_a_storm_under_the_cursor_becomes_a_campaign(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'storm.db'}"
    same = [
        (oid_of(n % 4), detection(6, oid_of(n % 4), at=NOW - n * 1000, detect_id=f"same-{n}"))
        for n in range(12)
    ]
    with closing(Store(url)) as store:
        fill(store, detections=0, extra=same)
    app = console(url, "mk")
    async with running(app, (120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await opened(pilot, "alerts")
        await until(pilot, lambda: "4 orgs " in text_of(app))
        await pilot.press(":", *"campaign", "enter")
        await on(pilot, WriteLine)
        assert "of 12 alerts" in text_of(app)
        await pilot.press(*"The scanner", "enter")
        await on(pilot, Campaign)
        assert "12 alerts of 4 customers, 12 open" in text_of(app)
