"""The whole way by keys alone: a customer filled in, or a file of them, judged, planned, made and shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.widgets import Input

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from console.operations.sync import Sync
from screens.dialogs.onboard import LINES, Onboard
from screens.dialogs.results import Results
from screens.dialogs.run_plan import RunPlan
from screens.frame import KeyLine
from store import runs
from store.database import Store
from store.secret import Secret
from store.tree import TreeNode, replace_tree, stored_tree
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until


@asynccontextmanager
async def console(store: Store, **options: Any) -> AsyncIterator[tuple[Any, Console]]:
    """A console on a sandbox of two customers, with a tree of one region."""
    async with sandbox(orgs=2, detections=0) as served:
        user = served.world.access.users[served.world.access.root]
        link = Link()
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, only=("orgs", "access")).run()
            with store.writing() as connection:
                replace_tree(connection, [TreeNode("root", None, "All"), TreeNode("eu", "root", "Europe")])
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="organizations",
                    **options,
                )  # fmt: skip
                yield served, app


async def opened(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "organizations")
    await until(pilot, lambda: pilot.app.screen.look == "full")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


def fill(app: Console, **cells: str) -> None:
    for number, (column, _, _) in enumerate(LINES):
        if column in cells:
            app.screen.query_one(f"#field-{number}", Input).value = cells[column]


def said(app: Console) -> str:
    return str(app.screen_stack[0].query_one(KeyLine).text)


def ended(store: Store) -> str:
    with store.reader.reading() as connection:
        return runs.load(connection, 1).state


async def test_a_customer_is_filled_in_judged_shown_and_made(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("j", "n")
        await on(pilot, Onboard)
        assert "node     Europe" in text_of(app), "the node of the cursor stands there"
        fill(app, name="Näh/Dental", region="europa", quota="12", installation_keys="linux")
        await pilot.press("enter")
        await still(pilot)
        assert "name: 'Näh/Dental' holds a slash" in text_of(app), "as it was typed"
        assert "region: 'europa' is no region; is 'europe' meant?" in text_of(app), "both are told"
        fill(app, name="Acme Dental", region="europe")
        await pilot.press("enter")
        await on(pilot, RunPlan)
        assert "make the organization in europe" in text_of(app)
        assert "make the installation key linux" in text_of(app)
        assert not any(each.name == "Acme Dental" for each in served.world.by_oid.values())
        await pilot.press("a")
        await until(pilot, lambda: ended(store) == "done")
        (made,) = [each for each in served.world.by_oid.values() if each.name == "Acme Dental"]
        assert (made.site, made.limit) == ("europe", 12)
        with store.reader.reading() as connection:
            (node,) = [each for each in stored_tree(connection) if each.oid == made.oid]
        assert node.parent == "eu"
        await until(pilot, lambda: app.current_mode == "runs")
        await still(pilot)
        assert "place it in the tree below Europe" in text_of(app)


async def test_everything_that_is_wrong_with_a_file_is_shown_and_nothing_is_made(
    a_store: Any, tmp_path: Path
) -> None:
    store = a_store()
    file = tmp_path / "customers.csv"
    file.write_text("name,region,quota\nAcme,mars,1\n=cmd,usa,2\n")
    async with console(store) as (served, app), app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, Onboard)
        fill(app, file=str(tmp_path / "none.csv"))
        await pilot.press("enter")
        await still(pilot)
        assert "There is no such file on this machine." in text_of(app)
        fill(app, file=str(file), name="Acme")
        await pilot.press("enter")
        await still(pilot)
        assert "Give a file, or the lines of one customer, not both." in text_of(app)
        fill(app, name="")
        await pilot.press("enter")
        await on(pilot, Results)
        assert "2 mistakes on 2 lines; nothing was done." in text_of(app)
        assert "line 2" in text_of(app)
        assert "region: 'mars' is no region" in " ".join(text_of(app).split())
        assert len(served.world.by_oid) == 2
        await pilot.press("enter")
        await on(pilot, Onboard)
        assert str(file) in text_of(app), "the file is there again, to be judged once it is mended"


async def test_a_name_that_somebody_else_has_is_told_before_anything_is_made(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app), app.run_test(size=(80, 24)) as pilot:
        served.world.create_organization("Acme Dental", "europe", "somebody@else.example")
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, Onboard)
        fill(app, name="Acme Dental")
        await pilot.press("enter")
        await until(pilot, lambda: "'Acme Dental' is taken" in text_of(app))
        await on(pilot, Onboard)
        assert app.screen.query_one("#field-1", Input).value == "Acme Dental"
        assert len(served.world.by_oid) == 3


async def test_a_read_only_console_onboards_nobody(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (_, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "read-only" in said(app))
