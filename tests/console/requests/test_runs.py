"""Many organizations changed by keys alone: marked, planned, begun, watched, taken back."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import update
from textual.widgets import Input

from console.app import Console
from console.operations.ports import Link
from console.sandbox.faults import Rule
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.fill_in import FillIn
from screens.dialogs.run_plan import RunPlan
from screens.frame import KeyLine
from store import models, processes, runs
from store.database import Store
from store.runs import PlannedStep
from store.times import now_ms
from store.tree import TreeNode, mark_node, replace_tree
from tests.helpers.bulk import Customers, customers
from tests.helpers.screens import still, text_of, until


@asynccontextmanager
async def console(
    store: Store, *, marks: tuple[str, ...] = (), **options: Any
) -> AsyncIterator[tuple[Customers, Console]]:
    """A console on three customers, two of them below one folder."""
    link = Link()
    async with customers(store, orgs=3) as found:
        with store.writing() as c:
            nodes = [TreeNode("root", None, "Provider"), TreeNode("gold", "root", "Gold", marks=marks)]
            nodes += [
                TreeNode(f"n{n}", "gold" if n < 2 else "root", one.name, oid=one.oid)
                for n, one in enumerate(found.organizations)
            ]
            replace_tree(c, nodes)
        with link.holding(found.cloud):
            yield (
                found,
                Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="organizations",
                    redaction_key=lambda: b"k" * 32, operator="kim", **options,
                ),
            )  # fmt: skip


async def opened(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "organizations")
    await until(pilot, lambda: pilot.app.screen.look == "full")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def shows(pilot: Any, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


def said(app: Console) -> str:
    return str(app.screen_stack[0].query_one(KeyLine).text)


async def plan_quota(pilot: Any, quota: str) -> None:
    """Ask for a quota, up to the plan."""
    await pilot.press("B")
    await on(pilot, ChooseOne)
    await pilot.press("q")
    await on(pilot, FillIn)
    await pilot.press(*quota, "enter")
    await on(pilot, RunPlan)


def quotas(found: Customers) -> list[int]:
    return [found.state()[one.oid]["quota"] for one in found.organizations]


async def test_what_is_marked_is_changed_and_taken_back(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app):
        before = quotas(found)
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(pilot)
            await pilot.press("j", "space")
            await shows(pilot, "2 marked")
            await plan_quota(pilot, "777")
            await shows(pilot, "CHANGES 2 organizations")
            await pilot.press("a")
            await shows(pilot, "o done 2 of 2 organizations done")
            assert app.current_mode == "runs"
            await until(pilot, lambda: "Run 1: 2 of 2 organizations done, 2 steps made." in said(app))
            assert quotas(found) == [777, 777, before[2]]
            await pilot.press("b")
            await on(pilot, RunPlan)
            await shows(pilot, "Take back run 1")
            await pilot.press("a")
            await until(pilot, lambda: "Run 2: 2 of 2 organizations done" in said(app))
            assert quotas(found) == before
            assert app.guard.hits == 0


async def test_bad_input_is_said_in_the_dialog_and_nothing_is_kept(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("G", "B")
        await on(pilot, ChooseOne)
        await pilot.press("q")
        await on(pilot, FillIn)
        await pilot.press(*"many", "enter")
        await shows(pilot, "A quota is a whole number")
        await pilot.press("escape")
        await opened(pilot)
        with store.reader.reading() as c:
            assert runs.listed(c) == []
        assert not found.effects()


async def test_what_is_missing_is_called_as_its_line_is_and_the_cursor_goes_there(a_store: Any) -> None:
    async with console(a_store()) as (_, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("G", "B")
        await on(pilot, ChooseOne)
        await pilot.press("t")
        await on(pilot, FillIn)
        await pilot.press(*"blue", "enter")
        await shows(pilot, "`sensors` is missing: a sensor selector, such as plat == windows; * for")
        await pilot.press("*")
        lines = [each.value for each in app.screen.query(Input)]
        assert lines == ["blue", "*", ""]


async def test_a_protected_organization_is_typed_and_a_run_is_put_away(a_store: Any) -> None:
    store = a_store()
    async with console(store, marks=("protected",)) as (found, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("j")
        await plan_quota(pilot, "5")
        await shows(pilot, "type 2 protected organizations, enter begin")
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing was sent." in said(app))
        with store.reader.reading() as c:
            assert runs.listed(c) == []
        assert not found.effects()


async def test_what_was_kept_before_stays_when_its_plan_is_left_and_goes_by_x(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app), app.run_test(size=(80, 24)) as pilot:
        kept = found.keep(found.planned(PlannedStep("quota.set", arguments={"quota": 7})))
        await opened(pilot)
        await pilot.press(":", *"runs", "enter")
        await shows(pilot, "1 run")
        await still(pilot)
        await pilot.press("A")
        await on(pilot, RunPlan)
        await shows(pilot, "esc leave it as it is")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, RunPlan))
        await still(pilot)
        with store.reader.reading() as c:
            assert runs.load(c, kept).state == "draft"
        await pilot.press("X")
        await until(pilot, lambda: f"Run {kept} was put away." in said(app))
        assert not found.effects()


async def test_the_frozen_are_named_before_anything_is_chosen(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app), app.run_test(size=(80, 24)) as pilot:
        with store.writing() as c:
            mark_node(c, "n0", add=["frozen"])
        name = found.organizations[0].name
        await opened(pilot)
        await pilot.press("j", "space")
        await shows(pilot, "2 marked")
        await pilot.press("B")
        await on(pilot, ChooseOne)
        await shows(pilot, f"Change 1 of 2 organizations; 1 frozen: {name}")
        await pilot.press("?")
        await shows(pilot, "how many sensors may connect")
        await pilot.press("q")
        await on(pilot, FillIn)
        await shows(pilot, f"Set the sensor quota: 1 of 2 organizations; 1 frozen: {name}")


async def test_what_failed_is_named_and_tried_again(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app):
        oid = found.organizations[1].oid
        found.served.faults.add(
            Rule("status", status=403, method="POST", path="/v1/orgs/{oid}/quota", oid=oid, count=None)
        )
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(pilot)
            await plan_quota(pilot, "9")
            await pilot.press("a")
            await until(pilot, lambda: "2 of 3 organizations done, 1 failed" in said(app))
            await shows(pilot, "x partly 2 of 3 organizations done")
            await shows(pilot, "x denied set the sensor quota to 9")
            found.served.faults.clear()
            await pilot.press("A")
            await on(pilot, RunPlan)
            await shows(pilot, "goes on with 1 organization")
            await pilot.press("a")
            await until(pilot, lambda: "3 of 3 organizations done" in said(app))
            assert quotas(found) == [9, 9, 9]


async def test_a_read_only_or_offline_console_changes_nothing(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (found, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("B")
        await until(pilot, lambda: "read-only" in said(app))
        assert not found.effects()


async def test_a_new_quota_is_set_beside_the_old_one_and_the_sensors_in_use(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (found, app), app.run_test(size=(80, 24)) as pilot:
        first, second = found.organizations[:2]
        table = models.Organization.__table__  # type: ignore[attr-defined]
        with store.writing() as c:
            of = {first.oid: (40, 12.5), second.oid: (500, 312.0)}
            for oid, (quota, used) in of.items():
                c.execute(update(table).where(table.c.oid == oid).values(sensor_quota=quota, quota_used=used))
        await opened(pilot)
        await pilot.press("j", "B")
        await on(pilot, ChooseOne)
        await pilot.press("q")
        await on(pilot, FillIn)
        await shows(pilot, "quota now: 40 to 500, at most 312 in use")
        await pilot.press(*"250", "enter")
        await shows(pilot, "1 uses more than 250, sensors would be turned away: " + second.name.split()[0])
        await pilot.press("enter")
        await on(pilot, RunPlan)
        await shows(pilot, "quota 40 -> 250")
        await shows(pilot, "quota 500 -> 250, 312 in use")
        await shows(pilot, "! 1 uses more than the new quota, sensors would be turned away:")
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing was sent." in said(app))


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another process that is there, as a run names it."""
    says = "from store.processes import holder; print(holder(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", says], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


async def test_what_is_being_made_is_not_begun_a_second_time(a_store: Any, elsewhere: str) -> None:
    store = a_store()
    async with console(store) as (found, app), app.run_test(size=(100, 30)) as pilot:
        first = found.keep(found.planned(PlannedStep("quota.set", arguments={"quota": 7})))
        with store.writing() as c:
            run = runs.load(c, first)
            runs.take(c, run, elsewhere, operator="kim", now=now_ms(), is_live=lambda held: False)
        await opened(pilot)
        await pilot.press(*":runs", "enter")
        await shows(pilot, "A change")
        await pilot.press("A")
        await until(pilot, lambda: f"Run {first} is being made by {processes.said(elsewhere)}." in said(app))
        assert not isinstance(app.screen, RunPlan)
        assert not found.effects()


async def test_who_makes_what_is_in_the_way_is_named_until_it_is_made(a_store: Any, elsewhere: str) -> None:
    store, names = a_store(), processes.said(elsewhere)
    async with console(store) as (found, app), app.run_test(size=(80, 24)) as pilot:
        first = found.keep(found.planned(PlannedStep("quota.set", arguments={"quota": 7})))
        with store.writing() as c:
            run = runs.load(c, first)
            runs.take(c, run, elsewhere, operator="kim", now=now_ms(), is_live=lambda held: False)
        await opened(pilot)
        await pilot.press("j")
        await plan_quota(pilot, "777")
        await pilot.press("a")
        await shows(pilot, f"Run {first} is being made by {names}; nothing was sent.")
        with store.writing() as c:
            runs.HOLDING.finish(c, first, elsewhere, runs.DONE, now=now_ms())
        await until(pilot, lambda: names not in text_of(app))
        assert not found.effects()
