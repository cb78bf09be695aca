"""Cases by keys alone: noted, closed, merged, decided; a text for one customer that names another is stopped once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.widgets import Input

from console.app import Console
from console.operations import caselinks
from console.operations.ports import Link
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.choose_organization import ChooseOrganization
from screens.dialogs.fill_in import FillIn
from screens.dialogs.type_name import TypeName
from screens.frame import KeyLine, TitleLine
from screens.requests import CreateCase, ShowCase
from store.cases import CONFLICT, DONE, PENDING
from store.database import Store
from store.queries import alerts
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.cases import Case, World, provider
from tests.helpers.screens import still, text_of, until


@asynccontextmanager
async def console(store: Store, *, online: bool = True) -> AsyncIterator[tuple[World, Console]]:
    """A console on a sandbox whose customers have cases."""
    async with provider(store) as world:
        link = Link()
        app = Console(
            open_store=lambda: Store(store.url),
            environment="test",
            link=link,
            operator="mk",
            view="cases",
        )
        if online:
            with link.holding(world.cloud):
                yield world, app
        else:
            yield world, app


async def shown(pilot: Any, case: Case) -> None:
    """One case alone under the cursor, with its detail."""
    app = pilot.app
    await until(pilot, lambda: app.store is not None and app.current_mode == "cases")
    await until(pilot, lambda: app.screen.look != "loading")
    app.screen.post_message(ShowCase(*case))
    await until(pilot, lambda: app.screen.table.current is not None and app.screen.filter_line)
    await until(pilot, lambda: [(row.oid, row.number) for row in app.screen.table._rows] == [case])
    await still(pilot)


def guard(store: Store, case: Case) -> None:
    """Protect the customer of a case."""
    with store.writing() as connection:
        replace_tree(
            connection,
            [TreeNode("root", None, "Provider"),
             TreeNode("one", "root", "Guarded", oid=case[0], marks=("protected",))],
        )  # fmt: skip


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def said(pilot: Any, words: str) -> None:
    await until(pilot, lambda: words in text_of(pilot.app))


async def typed(pilot: Any, text: str) -> None:
    await pilot.press(*("space" if letter == " " else letter for letter in text))


async def test_a_note_is_written_read_back_and_shown(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, case)
            await pilot.press("e")
            await on(pilot, FillIn)
            await typed(pilot, "seen it")
            await pilot.press("tab", *["backspace"] * 7)
            await typed(pilot, "nonsense")
            await pilot.press("enter")
            await said(pilot, "The type is one of general, analysis")
            await pilot.press(*["backspace"] * 8)
            await typed(pilot, "analysis")
            await pilot.press("enter")
            await said(pilot, f"Noted: #{case[1]} of {world.name(case)}.")
            await said(pilot, "analysis, internal")
            assert app.guard.hits == 0
        assert world.notes(case).count("seen it") == 1


async def test_a_new_case_is_not_reopened(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("new")
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, case)
            await pilot.press("O")
            await said(pilot, "A case that is new is already open; acknowledge it")
        assert world.there(case).status == "new"
        assert not world.edits()


async def test_a_note_that_names_another_customer_is_asked_about_twice(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        other = next(one for one in world.served.world.organizations if one.oid != case[0] and one.name.isascii()
                     and one.name.replace(" ", "").isalpha())  # fmt: skip
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, case)
            await pilot.press("e")
            await on(pilot, FillIn)
            await typed(pilot, f"same as {other.name.lower()}")
            await pilot.press("enter")
            await said(pilot, f"names {other.name}")
            assert isinstance(app.screen, FillIn)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, FillIn))
        assert not [note for note in world.notes(case) if note.startswith("same as")]


async def test_a_case_of_a_protected_customer_is_closed_after_its_name_was_typed(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        guard(store, case)
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, case)
            await pilot.press("x")
            await on(pilot, ChooseOne)
            await pilot.press("f")
            await on(pilot, FillIn)
            await typed(pilot, "expected")
            await pilot.press("enter")
            await on(pilot, TypeName)
            await typed(pilot, "wrong")
            await pilot.press("enter")
            assert isinstance(app.screen, TypeName)
            assert world.there(case).status == "in_progress"
            await pilot.press(*["backspace"] * 5)
            await typed(pilot, case[0])
            await pilot.press("enter")
            await said(pilot, f"Closed: #{case[1]} of {world.name(case)}.")
        there = world.there(case)
        assert (there.status, there.classification, there.conclusion) == (
            "closed", "false_positive", "expected",
        )  # fmt: skip


async def test_offline_it_waits_and_a_conflict_is_decided_by_a_key(a_store: Any) -> None:
    store = a_store()
    async with console(store, online=False) as (world, app):
        case = world.in_status("in_progress")
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, case)
            await pilot.press("c")
            await said(pilot, f"1 waits for the cloud: #{case[1]} of {world.name(case)}.")
        assert [edit.state for edit in world.edits()] == [PENDING]
        world.cases.update(world.served.world.by_oid[case[0]], case[1], "kim", {"assignees": ["kim"]})
        await world.desk.send()
        assert len(world.edits(CONFLICT)) == 1
    async with provider(store) as again:
        # The same world once more: nobody but kim touched the case there.
        again.cases.update(again.served.world.by_oid[case[0]], case[1], "kim", {"assignees": ["kim"]})
        link = Link()
        second = Console(
            open_store=lambda: Store(store.url), environment="test", link=link, operator="mk", view="cases"
        )
        with link.holding(again.cloud):
            async with second.run_test(size=(120, 40)) as pilot:
                await shown(pilot, case)
                await said(pilot, "CONFLICT")
                await pilot.press("d")
                await on(pilot, ChooseOne)
                await said(pilot, "theirs")
                await pilot.press("m")
                await said(pilot, "Sent: #")
        assert again.there(case).assignees == ["mk"]


async def test_alerts_of_two_customers_become_two_cases_and_that_is_said(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        both = [world.put_alert(one.oid, world.free_detection(one)) for one in world.organizations[:2]]
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.store is not None and app.current_mode == "cases")
            app.screen.post_message(CreateCase(tuple(both)))
            await on(pilot, FillIn)
            assert "2 organizations: one case each" in text_of(app)
            await typed(pilot, "mail wave")
            await pilot.press("enter")
            await said(pilot, "2 cases, one for each organization")
        for one in world.organizations[:2]:
            assert [case.summary for case in world.cases.all_of(one)].count("mail wave") == 1


async def test_an_empty_case_for_a_customer_that_is_chosen(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        chosen = world.organizations[0]
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.store is not None and app.current_mode == "cases")
            app.screen.post_message(CreateCase())
            await on(pilot, ChooseOrganization)
            await typed(pilot, chosen.oid)
            await still(pilot)
            await pilot.press("enter")
            await on(pilot, FillIn)
            await pilot.press("enter")
            await said(pilot, "The summary must not be empty")
            await typed(pilot, "odd logins")
            await pilot.press("enter")
            await said(pilot, "Case: ")
        assert [case.summary for case in world.cases.all_of(chosen)].count("odd logins") == 1


async def test_marked_cases_are_tagged_and_assigned_together(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        first, second = world.many("in_progress", 2)
        async with app.run_test(size=(120, 40)) as pilot:
            await shown(pilot, first)
            app.screen.filter_by(f"oid:{first[0]} status:in_progress")
            await until(pilot, lambda: len(app.screen.table._rows) > 1)
            await still(pilot)
            await pilot.press("g")
            app.screen.table.mark(
                [row for row in app.screen.table._rows if (row.oid, row.number) in (first, second)]
            )
            await pilot.press("semicolon", "t")
            await on(pilot, FillIn)
            assert "Tag 2 cases" in text_of(app)
            await typed(pilot, "wave")
            await pilot.press("enter")
            await said(pilot, f"2 tagged: 2 cases of {world.name(first)}.")
            await pilot.press("semicolon", "A")
            await on(pilot, FillIn)
            await pilot.press("enter")
            await said(pilot, f"2 assigned to mk: 2 cases of {world.name(first)}.")
        for case in (first, second):
            assert "wave" in world.there(case).tags
            assert world.there(case).assignees == ["mk"]
        assert {edit.state for edit in world.edits()} == {DONE}


async def test_what_is_no_address_is_not_attached_as_one(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        async with app.run_test(size=(80, 24)) as pilot:
            await shown(pilot, case)
            await pilot.press("i")
            await on(pilot, FillIn)
            await pilot.press("tab")
            await typed(pilot, "bad ip")
            await pilot.press("enter")
            await said(pilot, "That is no IP address, such as 203.0.113.25")
            assert isinstance(app.screen, FillIn)
            await pilot.press(*["backspace"] * 6)
            await typed(pilot, "203.0.113.25")
            await pilot.press("enter")
            await said(pilot, f"Attached: #{case[1]} of {world.name(case)}.")


async def test_a_case_that_is_not_there_is_said_before_any_name_is_asked_for(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        guard(store, case)
        async with app.run_test(size=(80, 24)) as pilot:
            await shown(pilot, case)
            await pilot.press("M")
            await on(pilot, FillIn)
            await typed(pilot, "99999")
            await pilot.press("enter")
            await said(pilot, "There is no case #99999 of")
            assert isinstance(app.screen, FillIn)
            await pilot.press(*["backspace"] * 5)
            await typed(pilot, str(case[1]))
            await pilot.press("enter")
            await said(pilot, f"#{case[1]} is the case itself.")


async def test_a_case_is_given_to_a_name_that_nobody_has_only_by_a_second_enter(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = world.in_status("in_progress")
        async with app.run_test(size=(80, 24)) as pilot:
            await shown(pilot, case)
            await pilot.press("A")
            await on(pilot, FillIn)
            app.screen.query_one("#field-0", Input).value = "zzz"
            await pilot.press("enter")
            await said(pilot, "Nobody of that name is known here: zzz.")
            assert world.there(case).assignees != ["zzz"]
            await pilot.press("enter")
            await said(pilot, f"Assigned to zzz: #{case[1]} of {world.name(case)}.")
        assert world.there(case).assignees == ["zzz"]


async def in_the_queue(pilot: Any, world: World, case: Case) -> int:
    """The queue with the one alert of a case alone."""
    app = pilot.app
    held = {each["detect_id"] for each in world.there(case).detections}
    organization = world.served.world.by_oid[case[0]]
    detections = world.served.world.detections
    place = next(
        place
        for place in range(organization.detections)
        if detections.detect_id(organization.index, place) in held
    )
    alert = world.put_alert(case[0], dict(detections.detection(organization.index, place)))
    await caselinks.turn(world.store, world.cloud, most=500)
    await until(pilot, lambda: app.store is not None and app.current_mode == "cases")
    await app.show_mode("alerts")
    await until(pilot, lambda: app.screen.look == "full" and app.screen.queue.current is not None)
    await still(pilot)
    assert len(app.screen.queue._rows) == 1
    return alert


def of_one_alert(world: World) -> Case:
    return next(
        (one.oid, case.number)
        for one in world.organizations
        for case in world.cases.all_of(one)
        if case.status == "new" and len(case.detections) == 1 and not case.merged_into
    )


async def test_what_cases_follow_waits_for_the_cloud_and_is_said_where_alerts_are_claimed(
    a_store: Any,
) -> None:
    store = a_store()
    async with console(store, online=False) as (world, app):
        case = of_one_alert(world)
        async with app.run_test(size=(80, 24)) as pilot:
            await in_the_queue(pilot, world, case)
            await pilot.press("c")
            await said(pilot, f"Claimed at {world.name(case)}")
            await until(pilot, lambda: "Its case waits for the cloud." in app.screen.query_one(KeyLine).text)
            caselinks.align(store, clock=lambda: now_ms() - 60_000)
            app.screen.reload()
            await until(pilot, lambda: "1 wait for the cloud" in app.screen.query_one(TitleLine).text)
            assert world.there(case).status == "new"


async def test_an_undone_claim_says_that_its_case_holds_it(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (world, app):
        case = of_one_alert(world)
        async with app.run_test(size=(80, 24)) as pilot:
            alert = await in_the_queue(pilot, world, case)
            await pilot.press("c")
            await said(pilot, f"Claimed at {world.name(case)}")
            assert "waits" not in app.screen.query_one(KeyLine).text
            await caselinks.turn(store, world.cloud)
            assert world.there(case).status == "in_progress"
            await pilot.press("z")
            name = world.name(case)
            told = f"No longer claimed at {name}, but in progress: its case #{case[1]} cannot go back to new."
            await until(pilot, lambda: told in app.screen.query_one(KeyLine).text)
            with store.reader.reading() as connection:
                (found,) = alerts.rows_of(connection, [alert])
            assert (found.status, found.assignee) == (1, "")
