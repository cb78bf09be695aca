"""Break-glass by keys alone: a group, a reason, the name typed, what goes on, and its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from console.app import Console
from console.operations.ports import Link
from screens.dialogs.break_glass import BreakGlass, Glasses
from screens.dialogs.choose_organization import ChooseOrganization
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import FillIn
from screens.frame import KeyLine, WhereLine
from screens.requests import ShowBreakGlass
from store import breakglass
from store.database import Store
from store.times import now_ms
from tests.helpers.accessplans import Provider, provider
from tests.helpers.screens import still, until


@asynccontextmanager
async def console(store: Store, **options: Any) -> AsyncIterator[tuple[Provider, Console, Any, str]]:
    """A console on a sandbox whose access it knows; a group, and somebody who is not in it."""
    link = Link()
    async with provider(store) as there:
        group = next(each for each in there.groups if each.name == "Active Responders")
        who = next(email for email in there.served.world.access.users if email not in group.members)
        with link.holding(there.cloud):
            app = Console(
                open_store=lambda: Store(store.url), environment="test", link=link, view="activity", **options
            )
            yield there, app, group, who


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def started(pilot: Any, who: str) -> None:
    """Open the console, and give it by keys."""
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "activity")
    await still(pilot)
    pilot.app.screen.post_message(ShowBreakGlass(who))
    await on(pilot, ChooseOrganization)
    await pilot.press(*"respond", "enter")
    await on(pilot, BreakGlass)
    await pilot.press(*"it burns", "enter", *"INC-7", "enter", *"Active", "space", *"Responders", "enter")
    await until(pilot, lambda: "Given as break-glass 1" in said(pilot.app))


def said(app: Console) -> str:
    return "".join(line.text for line in app.screen.query(KeyLine))


def line_1(app: Console) -> str:
    return "".join(line.text for line in app.screen.query(WhereLine))


def going_on(store: Store) -> list[breakglass.Glass]:
    with store.reader.reading() as connection:
        return breakglass.listed(connection, only_open=True)


async def test_it_is_given_counted_down_extended_and_taken_back(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (_, app, group, who), app.run_test(size=(80, 24)) as pilot:
        await started(pilot, who)
        assert who in group.members
        await until(pilot, lambda: "BREAK-GLASS 1:00" in line_1(app))
        app.screen.post_message(ShowBreakGlass())
        await on(pilot, Glasses)
        await pilot.press("e")
        await on(pilot, FillIn)
        await pilot.press(*"30m", "tab", *"still burning", "tab", *"Active", "space", *"Responders", "enter")
        await on(pilot, Glasses)
        (glass,) = going_on(store)
        assert 5_300_000 < glass.due_at - now_ms() <= 5_400_000
        await pilot.press("x")
        await on(pilot, Confirm)
        await pilot.press("n")
        await on(pilot, Glasses)
        assert who in group.members
        await pilot.press("x")
        await on(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: "the membership is taken back" in said(app))
        assert who not in group.members
        await until(pilot, lambda: "GLASS" not in line_1(app))
    assert going_on(store) == []


async def test_the_console_takes_back_what_is_due_and_says_so(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (there, app, group, who), app.run_test(size=(80, 24)) as pilot:
        await started(pilot, who)
        with store.writing() as connection:
            connection.exec_driver_sql(f"UPDATE access_deadline SET due_at = {now_ms() - 60_000}")
        await until(pilot, lambda: "Its time has passed, and it is done: break-glass" in said(app))
        assert who not in group.members
        await until(pilot, lambda: "GLASS" not in line_1(app))
        deletes = [each for each in there.served.log.entries if each.method == "DELETE"]
        assert len(deletes) == 1


async def test_a_locked_console_and_one_without_the_cloud_refuse(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (_, app, _group, who), app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.store is not None and app.current_mode == "activity")
        app.screen.post_message(ShowBreakGlass(who))
        await until(pilot, lambda: "read-only" in said(app))
    app = Console(open_store=lambda: Store(store.url), environment="test", view="activity")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.store is not None and app.current_mode == "activity")
        app.screen.post_message(ShowBreakGlass(who))
        await until(pilot, lambda: "needs the cloud" in said(app))
    assert going_on(store) == []
