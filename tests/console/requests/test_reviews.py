"""Consoles over one store, by keys alone: a review is begun, decided by two, planned, closed, its evidence written."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from console import credentials
from console.app import Console
from console.operations import reviews as operations
from console.settings import load
from screens.dialogs.access_plan import AccessPlan
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import FillIn
from screens.dialogs.results import Results
from screens.dialogs.write_line import WriteLine
from screens.frame import KeyLine
from store import accessplans, preferences, reviews
from store.database import Store
from store.reviews import ATTESTED, REVOKED, Wanted
from store.secret import Secret
from tests.helpers.screens import NOW, still, text_of, until
from tests.screens.test_review import PEOPLE, a_world, begin


def console(url: str, who: str, **options: Any) -> Console:
    return Console(
        open_store=lambda: Store(url),
        environment="test",
        clock=lambda: NOW,
        operator=who,
        view="review",
        **options,
    )


@asynccontextmanager
async def running(app: Console, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Any]:
    """The console on a terminal of that size; its store is closed behind it, as the command does."""
    try:
        async with app.run_test(size=size) as pilot:
            await until(
                pilot,
                lambda: app.current_mode == "review" and getattr(app.screen, "look", "loading") != "loading",
            )
            await still(pilot)
            yield pilot
    finally:
        if app.store is not None:
            app.store.close()


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def lines(pilot: Any) -> Any:
    """Open the first review; answers the view once its lines are there."""
    await pilot.press("enter")
    view = pilot.app.screen
    await until(pilot, lambda: view.table.current is not None)
    await still(pilot)
    return view


@pytest.fixture
def begun(store_url: str) -> str:
    with closing(Store(store_url)) as store:
        begin(store)
    return store_url


@pytest.fixture
def begun_here(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'here.db'}"
    with closing(Store(url)) as store:
        begin(store)
    return url


def told(url: str, review: int = 1) -> dict[str, tuple[str, str, str]]:
    with closing(Store(url)) as store, store.reader.reading() as c:
        return {
            each.key: (each.standing, str(each.decided_by), str(each.reason))
            for each in reviews.lines(c, review)
        }


async def test_a_review_is_begun_by_keys_and_its_lines_are_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'here.db'}"
    with closing(Store(url)) as store:
        a_world().put(store, NOW)
    app = console(url, "kim")
    async with running(app) as pilot:
        await pilot.press("N")
        await on(pilot, FillIn)
        await pilot.press("enter")
        await still(pilot)
        assert "It needs a title" in text_of(app)
        await pilot.press(*"Privileged", "tab", "tab", *"wizard", "enter")
        await still(pilot)
        assert "There is no kind wizard" in text_of(app)
        await pilot.press(*["backspace"] * 6, "tab", *"user.ctrl", "enter")
        await until(pilot, lambda: app.current_mode == "review" and app.screen.table.current is not None)
        await still(pilot)
        assert "Review 1 has 2 lines" in app.screen.query_one(KeyLine).text
    assert {key.split()[0] for key in told(url)} == {"member", "owner"}


async def test_a_line_is_attested_with_a_reason_and_the_next_one_is_offered_the_same_reason(
    begun: str,
) -> None:
    app = console(begun, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        first = view.table.current
        await pilot.press("a")
        await on(pilot, WriteLine)
        assert "Attest" in text_of(app)
        await pilot.press("enter")
        await still(pilot)
        assert "nothing in it yet" in text_of(app)
        await pilot.press(*"duty roster", "enter")
        await until(pilot, lambda: app.screen is view and view.table.current.id != first.id)
        assert view.table.current.waits
        await pilot.press("a")
        await on(pilot, WriteLine)
        assert "enter alone: duty roster" in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is view)
        await until(pilot, lambda: sum(1 for each in view._found.lines if not each.waits) == 2)
    decided = [each for each in told(begun).values() if each[0] == "attested"]
    assert decided == [("attested", "kim", "duty roster")] * 2


async def test_of_two_reviewers_the_second_is_told_who_was_first(begun: str) -> None:
    one, other = console(begun, "kim"), console(begun, "lee")
    async with running(one) as first, running(other) as second:
        await lines(first)
        view = await lines(second)
        row = view.table.current
        await second.press("x")
        await on(second, WriteLine)
        await first.press("a")
        await on(first, WriteLine)
        await first.press(*"fine", "enter")
        await until(first, lambda: not one.screen_stack[-1].query("#dialog-keys"))
        await until(first, lambda: any(not each.waits for each in one.screen._found.lines))
        await second.press(*"no", "enter")
        await until(second, lambda: other.screen is view)
        await until(second, lambda: "kim attested it" in view.query_one(KeyLine).text)
        assert "(fine)" in view.query_one(KeyLine).text
    assert told(begun)[row.key] == ("attested", "kim", "fine")


async def test_of_many_lines_each_that_was_lost_is_named(begun_here: str) -> None:
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("asterisk", "semicolon", "x")
        await on(pilot, WriteLine)
        assert "Revoke 10 lines of 7 principals" in text_of(app)
        assert app.store is not None
        with app.store.reader.reading() as c:
            wanted = [(each.id, None) for each in reviews.lines(c, 1)[:2]]
        operations.decide(app.store, 1, wanted, ATTESTED, operator="lee", reason="ours", now=NOW)
        await pilot.press(*"all of it", "enter")
        await on(pilot, Results)
        assert "Revoked: 8 lines. 2 lines not." in text_of(app)
        assert "lee attested it" in text_of(app)
        assert "WAY" in text_of(app)
        assert "PRINCIPAL" in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is view)
    counts = [each[:2] for each in told(begun_here).values()]
    assert counts.count(("attested", "lee")) == 2
    assert counts.count(("revoked", "kim")) == 8


async def test_what_is_revoked_becomes_a_plan_and_offline_nothing_of_it_is_made(begun_here: str) -> None:
    app = console(begun_here, "kim", offline=True)
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("P")
        await until(pilot, lambda: "Nothing that was revoked" in view.query_one(KeyLine).text)
        assert app.store is not None
        with app.store.reader.reading() as c:
            wanted = [(each.id, None) for each in reviews.lines(c, 1) if str(each.principal) == PEOPLE[3]]
        operations.decide(app.store, 1, wanted, REVOKED, operator="kim", reason="left", now=NOW)
        await pilot.press("P")
        await on(pilot, AccessPlan)
        assert "Plan 1, 1 change: Revoked in review 1" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is view)
        await until(pilot, lambda: any(each.plan_id == 1 for each in view._found.lines))
        with app.store.reader.reading() as c:
            plan = accessplans.load(c, 1)
        assert (plan.source, plan.state, plan.by) == ("review:1", "dropped", "kim")
        assert [step.change.kind for step in plan.steps] == ["remove_member"]
        await until(pilot, lambda: "plan 1 is dropped" in view._came_words(view._found.lines[-1]))


async def test_many_decisions_are_taken_back_only_after_asking(begun_here: str) -> None:
    with closing(Store(begun_here)) as store:
        with store.reader.reading() as c:
            wanted = [(each.id, None) for each in reviews.lines(c, 1)]
        operations.decide(store, 1, wanted, ATTESTED, operator="lee", reason="all", now=NOW)
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("space", "space", "semicolon", "u")
        await on(pilot, Confirm)
        await pilot.press("n")
        await until(pilot, lambda: app.screen is view)
        await pilot.press("g", "space", "space", "semicolon", "u")
        await on(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: sum(1 for each in view._found.lines if each.waits) == 2)


async def test_a_reason_typed_ahead_of_its_dialog_presses_no_key_here(begun_here: str) -> None:
    """Over a slow link the verb and the reason come in one piece."""
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        first = view.table.current
        for key in ("a", *"P m x u q", "enter"):
            app.post_message(events.Key("space" if key == " " else key, None if len(key) > 1 else key))
        await until(pilot, lambda: not next(each for each in view._found.lines if each.id == first.id).waits)
        assert app.current_mode == "review"
    assert told(begun_here)[first.key] == ("attested", "kim", "P m x u q")


async def test_closing_says_what_is_undecided_and_asks(begun_here: str) -> None:
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("C")
        await on(pilot, Confirm)
        assert "10 of 10 lines wait for a decision" in text_of(app)
        await pilot.press("y")
        await until(pilot, lambda: app.screen is view)
        await until(pilot, lambda: view._found.review.closed_at is not None)
        await pilot.press("P")
        assert "closed by kim" in view.query_one(KeyLine).text


async def test_the_place_is_kept_over_a_restart(begun_here: str) -> None:
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("j", "j")
        wanted = view.table.current.id

        def kept() -> Any:
            assert app.store is not None
            with app.store.reader.reading() as c:
                return preferences.get(c, "review.place.kim")

        await until(pilot, lambda: kept() == [1, wanted])
    again = console(begun_here, "kim")
    async with running(again) as pilot:
        view = pilot.app.screen
        await until(pilot, lambda: view.table.current is not None and view.table.current.id == wanted)


async def test_evidence_is_written_from_the_console_and_verifies(
    begun_here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_passphrase", Secret("correct horse battery staple"))
    settings = replace(load(None), home=tmp_path / "home", backend="passphrase-file")
    app = console(begun_here, "kim", settings=settings)
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("E")
        await on(pilot, WriteLine)
        app.screen.query_one(Input).value = str(tmp_path / "out")
        await pilot.press("enter")
        await until(pilot, lambda: "Written: " in view.query_one(KeyLine).text)
    (directory,) = (tmp_path / "out").iterdir()
    found = operations.verify(directory)
    assert found.payload["source"]["operator"] == "kim"
    assert len(found.files) == 4
    assert json.loads((directory / "evidence.json").read_bytes())["payload"]["complete"] is False


async def test_a_console_without_a_workspace_says_that_it_signs_nothing(begun_here: str) -> None:
    app = console(begun_here, "kim")
    async with running(app) as pilot:
        view = await lines(pilot)
        await pilot.press("E")
        await until(pilot, lambda: "nothing was signed" in view.query_one(KeyLine).text)


def test_a_review_of_nothing_is_refused_where_it_is_begun(tmp_path: Path) -> None:
    with (
        closing(Store(f"sqlite:///{tmp_path / 'here.db'}")) as store,
        pytest.raises(reviews.ReviewError, match="nothing to review"),
    ):
        operations.start(store, "x", Wanted(), operator="kim", now=NOW)
