"""The whole way by keys alone: a template is imported, assigned, planned, rolled out, and taken back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from console.operations.sync import Sync
from console.operations.templates import import_templates
from screens.dialogs.apply_rollout import ApplyRollout
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.choose_organization import ChooseOrganization
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import FillIn
from screens.dialogs.results import Results
from screens.frame import KeyLine
from store.database import Store
from store.rollouts import keeping
from store.secret import Secret
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until

KEY = b"k" * 32
BASE = """version: 3
limegrove:
  parameters:
    tool: {type: string, required: true, description: whose alerts are let be}
hives:
  fp:
    scanner:
      data: {op: is, path: cat, value: '${tool}'}
      usr_mtd: {enabled: true, tags: [provider]}
"""


@asynccontextmanager
async def console(
    store: Store, home: Path, *, protected: bool = False, tool: str | None = "nessus", **options: Any
) -> AsyncIterator[tuple[Any, Console]]:
    """A console on a sandbox of three customers that was read once, with one template in the library."""
    async with sandbox(orgs=3, detections=0) as served:
        world = served.world
        user = world.access.users[world.access.root]
        link = Link()
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            only = ["orgs", "config"]
            await Sync(store=store, cloud=cloud, redaction_key=KEY, since=86_400, only=only).run()
            marks = ("protected",) if protected else ()
            with store.writing() as connection:
                replace_tree(
                    connection,
                    [
                        TreeNode("root", None, "Provider", parameters={"tool": tool} if tool else {}),
                        TreeNode("gold", "root", "Gold", marks=marks),
                        *(
                            TreeNode(each.oid, "gold" if n < 2 else "root", each.name, oid=each.oid)
                            for n, each in enumerate(world.organizations)
                        ),
                    ],
                )
            (home / "base.yaml").write_text(BASE)
            assert import_templates(home / "base.yaml", root=home, store=store).taken
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="templates",
                    redaction_key=lambda: KEY, operator="kim", **options,
                )  # fmt: skip
                yield served, app


async def opened(pilot: Any, mode: str = "templates") -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == mode)
    await until(pilot, lambda: pilot.app.screen.look == "full")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def shows(pilot: Any, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


def said(app: Console) -> str:
    return str(app.screen_stack[0].query_one(KeyLine).text)


def scanners(served: Any) -> list[Any]:
    """What each organization of the sandbox has under the name of the template's record."""
    held = [served.world.configuration.records(each, "fp") for each in served.world.organizations]
    return [each["scanner"]["data"] if "scanner" in each else None for each in held]


async def assign(pilot: Any) -> None:
    """Put the template on Gold."""
    await pilot.press("a")
    await on(pilot, ChooseOrganization)
    await pilot.press(*"gold")
    await still(pilot)
    await pilot.press("up", "up", "up", "enter")
    await on(pilot, Confirm)


async def plan(pilot: Any, waves: str = "1 rest") -> None:
    """Make a plan."""
    await pilot.press("n")
    await on(pilot, FillIn)
    await pilot.press(*"Scanner", "tab")
    pilot.app.focused.value = waves
    await pilot.press("enter")


@pytest.fixture
def store(a_store: Any) -> Store:
    return a_store()


async def test_a_plan_without_a_title_has_the_cursor_where_it_is_missing(store, tmp_path):
    async with console(store, tmp_path) as (_, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, FillIn)
        await pilot.press("tab", "tab", "x", "enter")
        await shows(pilot, "It needs a title")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "field-0")


async def test_a_template_is_assigned_planned_rolled_out_and_taken_back_by_keys(store, tmp_path):
    async with console(store, tmp_path) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await shows(pilot, "base 1 1")
        before = scanners(served)
        assert before == [None, None, None]
        await assign(pilot)
        await shows(pilot, "Put base on Gold?")
        await shows(pilot, "2 organizations below it")
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await shows(pilot, "on Gold: 2 organizations")
        await pilot.press("a")
        await on(pilot, ChooseOrganization)
        await pilot.press(*"gold")
        await still(pilot)
        await pilot.press("up", "up", "up", "enter")
        await until(pilot, lambda: "base is on Gold already; nothing was changed." in said(app))
        assert not isinstance(app.screen, Confirm)

        await plan(pilot)
        await opened(pilot, "rollouts")
        await until(pilot, lambda: "Plan 1 changes 2 organizations" in said(app))
        await shows(pilot, "CHANGES 2 organizations: ")
        await shows(pilot, "2 of 2 get the same 1 change, 0 blocked expires in")
        await pilot.press("j", "j")
        await shows(pilot, "+ value: nessus")
        assert scanners(served) == before, "nothing was sent yet"

        await pilot.press("A")
        await on(pilot, ApplyRollout)
        for each in served.world.organizations[:2]:
            assert each.name in text_of(app), "each that is about to be changed is named"
        assert served.world.organizations[2].name not in text_of(app)
        await shows(pilot, "a changes 2 organizations")
        await pilot.press("a")
        await until(pilot, lambda: "Plan 1: done, 2 organizations as wanted" in said(app))
        await shows(pilot, "wave 1 done")
        assert scanners(served) == [{"op": "is", "path": "cat", "value": "nessus"}] * 2 + [None]
        await pilot.press("g")
        await shows(pilot, "o pass read back: 1 records are as wanted")

        await pilot.press("b")
        await on(pilot, ChooseOne)
        await pilot.press("a")
        await until(pilot, lambda: "Plan 2 takes plan 1 back" in said(app))
        await shows(pilot, "Rollout 2: Undo Scanner")
        await shows(pilot, "It takes back what plan 1 did.")
        assert scanners(served)[0] is not None, "it is shown before it is applied"
        await pilot.press("A")
        await on(pilot, ApplyRollout)
        await pilot.press("a")
        await until(pilot, lambda: "Plan 2: done" in said(app))
        assert scanners(served) == before


async def test_what_is_protected_is_typed_by_name(store, tmp_path):
    async with (
        console(store, tmp_path, protected=True) as (served, app),
        app.run_test(size=(80, 24)) as pilot,
    ):
        await opened(pilot)
        await assign(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await plan(pilot, "rest")
        await opened(pilot, "rollouts")
        await shows(pilot, "protected, typed by name: ")
        await pilot.press("A")
        await on(pilot, ApplyRollout)
        await pilot.press(*"yes", "enter")
        await shows(pilot, "Not applied: type 2 protected organizations, exactly so.")
        assert scanners(served) == [None, None, None]
        app.focused.value = "2 protected organizations"
        await pilot.press("enter")
        await until(pilot, lambda: "Plan 1: done" in said(app))
        assert scanners(served)[2] is None
        assert None not in scanners(served)[:2]


async def test_what_is_stale_is_refused_and_nothing_is_sent(store, tmp_path):
    async with console(store, tmp_path) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await assign(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await plan(pilot)
        await opened(pilot, "rollouts")
        (tmp_path / "base.yaml").write_text(BASE.replace("is, path", "contains, path"))
        import_templates(tmp_path / "base.yaml", root=tmp_path, store=store)
        await pilot.press("A")
        await on(pilot, ApplyRollout)
        await pilot.press("a")
        await until(pilot, lambda: "The plan is stale: the template base is another version" in said(app))
        assert scanners(served) == [None, None, None]


async def test_what_blocks_is_named_for_each_organization(store, tmp_path):
    async with console(store, tmp_path, tool=None) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await assign(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await plan(pilot)
        await on(pilot, Results)
        await shows(pilot, "Nothing to roll out: 2 organizations blocked.")
        await pilot.press("enter", "e")
        await on(pilot, ChooseOrganization)
        await pilot.press(*served.world.organizations[0].name, "enter")
        await shows(pilot, "x parameter tool MISSING")
        await shows(pilot, "BLOCKED for 1 reason: nothing is planned for it")


async def test_a_template_is_taken_off_and_what_is_as_wanted_is_no_plan(store, tmp_path):
    async with console(store, tmp_path) as (_, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await assign(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await shows(pilot, "on Gold: 2 organizations")
        await still(pilot)
        await pilot.press("x")
        await on(pilot, Confirm)
        await shows(pilot, "Take base off Gold?")
        await pilot.press("y")
        await until(pilot, lambda: "base is no longer on Gold." in said(app))
        await plan(pilot)
        await until(pilot, lambda: "there is nothing to roll out" in said(app))
        with store.reader.reading() as connection:
            assert keeping.listed(connection) == []


async def test_a_read_only_console_refuses_in_the_handler_too(store, tmp_path):
    async with (
        console(store, tmp_path, writable=False) as (_, app),
        app.run_test(size=(80, 24)) as pilot,
    ):
        await opened(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "read-only" in said(app))
        from screens import requests

        for request in (requests.AssignTemplate("base"), requests.DraftRollout(), requests.ApplyRollout(1)):
            await pilot.press("j")
            app.post_message(request)
            await until(pilot, lambda: "This console is read-only; nothing was changed." in said(app))


async def test_how_a_rollout_is_to_go_is_asked_for_with_it(store, tmp_path):
    async with console(store, tmp_path) as (_, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await assign(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "base is on Gold now" in said(app))
        await pilot.press("n")
        await on(pilot, FillIn)
        await pilot.press(*"Slowly", "tab", "tab")
        pilot.app.focused.value = "soon"
        await pilot.press("enter")
        await shows(pilot, "pause: use a number and a unit")
        pilot.app.focused.value = "30m"
        await pilot.press("tab", "tab")
        pilot.app.focused.value = "-1"
        await pilot.press("enter")
        await shows(pilot, "budget: a number of steps, 0 or more")
        pilot.app.focused.value = "2"
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "rollouts")
        with store.reader.reading() as c:
            assert keeping.load(c, 1).options == {
                "waves": ["canary", "10%", "rest"], "pause": 1_800, "soak": 0, "budget": 2,
            }  # fmt: skip
