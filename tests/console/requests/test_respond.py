"""The whole way by keys alone: a card, an isolation with the name typed, a tag, a search with its price first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from console.sandbox.faults import Rule
from screens.dialogs.choose_sensor import ChooseSensor
from screens.dialogs.confirm import Confirm
from screens.dialogs.search_cost import SearchCost
from screens.dialogs.sensor_card import SensorCard
from screens.dialogs.type_name import TypeName
from screens.dialogs.write_search import WriteSearch
from screens.dialogs.write_tag import WriteTag
from screens.frame import KeyLine, Line
from screens.requests import NewSearch, ShowSensor, ShowSensors
from store import ingest
from store.database import Store
from store.queries.activity import journal
from store.queries.searches import searches
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until

QUERY = "plat == windows | NEW_PROCESS | event/FILE_PATH contains 'exe'"


@asynccontextmanager
async def console(store: Store, **options: Any) -> AsyncIterator[tuple[Any, Console, Any]]:
    """A console on a sandbox of five customers, of whom one refuses; the sensors of one are in the store."""
    async with sandbox(orgs=7, detections=60) as served:
        world = served.world
        one = next(each for each in world.organizations if each is not world.unauthorized)
        with store.writing() as connection:
            ingest.put_organizations(
                connection,
                [{"oid": each.oid, "name": each.name} for each in world.organizations],
                complete=True,
                now=now_ms(),
            )
            records = [world.sensor_record(one, each) for each in world.sensors_of(one)]
            ingest.put_sensors(connection, one.oid, records)
        user = world.access.users[world.access.root]
        link = Link()
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url),
                    environment="test",
                    link=link,
                    view="activity",
                    **options,
                )
                yield served, app, one


def machine(served: Any, one: Any) -> Any:
    return next(
        each for each in served.world.sensors_of(one)
        if not each.silent and not each.isolated and each.platform == 0x10000000
    )  # fmt: skip


async def opened(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "activity")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def test_a_machine_is_chosen_cut_off_with_its_name_typed_tagged_and_let_back(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, one):
        sensor = machine(served, one)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(ShowSensors(one.oid))
            await on(pilot, ChooseSensor)
            await pilot.press(*sensor.hostname, "enter")
            await on(pilot, SensorCard)
            assert "on the network" in text_of(app)
            await pilot.press("i")
            await on(pilot, TypeName)
            await pilot.press("y", "enter")
            await still(pilot)
            assert served.world.fleet.of(one, sensor.index) is None, "no key but the name does it"
            await pilot.press("backspace", *sensor.hostname, "enter")
            await on(pilot, SensorCard)
            await until(pilot, lambda: "CUT OFF" in text_of(app))
            assert "the sensor has confirmed it" in text_of(app)
            await pilot.press("t")
            await on(pilot, WriteTag)
            await pilot.press(*"under watch", "enter")
            await on(pilot, SensorCard)
            await until(pilot, lambda: "has the tag under watch" in text_of(app))
            await pilot.press("u")
            await on(pilot, TypeName)
            await pilot.press(*sensor.hostname, "enter")
            await on(pilot, SensorCard)
            await until(pilot, lambda: "back on the network" in text_of(app))
            await pilot.press("i")
            await on(pilot, TypeName)
            await pilot.press("escape")
            await on(pilot, SensorCard)
            await pilot.press("q")
            await until(pilot, lambda: not isinstance(app.screen, SensorCard))
    with store.reader.reading() as connection:
        done = [(each.action, each.detail["step"]) for each in journal(connection, limit=50)][::-1]
    assert done == [
        (action, step)
        for action in ("sensor.isolate", "sensor.tag", "sensor.rejoin")
        for step in ("intent", "result")
    ]


async def test_a_failure_comes_back_to_the_card_in_words(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, one):
        sensor = machine(served, one)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(ShowSensor(one.oid, sensor.sid))
            await on(pilot, SensorCard)
            served.faults.add(
                Rule(
                    "status",
                    status=401,
                    path="*/isolation",
                    count=None,
                    body="unauthorized: missing privilege named sensor.task",
                )
            )
            await pilot.press("i")
            await on(pilot, TypeName)
            await pilot.press(*sensor.sid, "enter")
            await on(pilot, SensorCard)
            await until(pilot, lambda: "was not isolated" in text_of(app))
            assert "on the network" in text_of(app)


async def test_without_the_cloud_the_card_is_shown_and_nothing_can_be_done(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, one):
        sensor = machine(served, one)
        app._link.cloud = None
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(ShowSensor(one.oid, sensor.sid))
            await on(pilot, SensorCard)
            assert "Offline." in text_of(app)
            await pilot.press("i")
            await still(pilot)
            assert isinstance(app.screen, SensorCard)
            await pilot.press("q")
            app.screen.post_message(ShowSensor(one.oid, "00000000-0000-4000-8000-000000000000"))
            await until(pilot, lambda: "Its id is" in app.screen.query_one(KeyLine).text)
            app.screen.post_message(NewSearch())
            await until(pilot, lambda: "Offline" in app.screen.query_one(KeyLine).text)


async def test_a_search_is_written_priced_agreed_to_and_shown(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, _one), app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        app.screen.post_message(
            NewSearch(query="plat == windows | NEW_PROCESS | event/FILE_PATH contains 'exe")
        )
        await on(pilot, WriteSearch)
        await pilot.press("tab", "ctrl+u", *"1h", "enter")
        await until(pilot, lambda: "quote is not closed" in text_of(app))
        assert isinstance(app.screen, WriteSearch), "a query that is none is written again"
        assert "estimating" not in app.screen_stack[-2].query_one(KeyLine).text
        app.screen.query_one("#query").value = QUERY
        await pilot.press("enter")
        await on(pilot, SearchCost)
        text = text_of(app)
        assert "estimating" not in app.screen_stack[-2].query_one(KeyLine).text
        assert "over 6 of 7 organizations" in text
        assert served.world.unauthorized.name[:8] in text
        assert served.log.endpoints().get("POST /v1/search", 0) == 0
        await pilot.press("y")
        await until(pilot, lambda: app.current_mode == "search")
        await until(pilot, lambda: "rows of 6 of 7 organizations" in app.screen.query_one(KeyLine).text)
        await until(pilot, lambda: "done" in app.screen.query_one("#asked", Line).text)
        assert "NEW_PROCESS" in text_of(app)
    with store.reader.reading() as connection:
        assert searches(connection, now=now_ms())[0].state == "done"


async def test_no_price_agreed_to_nothing_is_run(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, _one):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(NewSearch(query=QUERY))
            await on(pilot, WriteSearch)
            await pilot.press("enter")
            await on(pilot, SearchCost)
            await pilot.press("enter")
            await until(pilot, lambda: "Nothing was run" in app.screen.query_one(KeyLine).text)
        assert served.log.endpoints().get("POST /v1/search", 0) == 0
    with store.reader.reading() as connection:
        assert searches(connection, now=now_ms()) == []


async def test_a_search_that_runs_is_ended_after_asking(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app, _one):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(NewSearch(query=QUERY))
            await on(pilot, WriteSearch)
            await pilot.press("enter")
            await on(pilot, SearchCost)
            served.faults.add(Rule("hang", path="/v1/search/{queryId}", method="GET", count=None))
            await pilot.press("y")
            await until(pilot, lambda: app.current_mode == "search")
            await until(pilot, lambda: "running" in app.screen.query_one("#asked", Line).text)
            await pilot.press("x")
            await on(pilot, Confirm)
            await pilot.press("y")
            await until(pilot, lambda: "cancelled" in app.screen.query_one("#asked", Line).text)
            await until(pilot, lambda: "was ended" in app.screen.query_one(KeyLine).text)
        served.faults.clear()
        assert served.world.searches._open == {}


async def test_a_locked_console_shows_a_card_and_changes_nothing(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (served, app, one):
        sensor = machine(served, one)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(ShowSensor(one.oid, sensor.sid))
            await on(pilot, SensorCard)
            await pilot.press("i")
            await until(pilot, lambda: "read-only" in text_of(app))
            await pilot.press("q")
            app.screen.post_message(NewSearch())
            await until(pilot, lambda: "read-only" in app.screen.query_one(KeyLine).text)
