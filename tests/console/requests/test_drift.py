"""The whole way by keys alone: a deviation accepted, denied, excluded, and taken back."""

import pytest

from console.app import Console
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import FillIn
from screens.frame import KeyLine
from store.drift import decisions
from tests.helpers.drifting import DAY, KEY, ON, WANTED, drifted, observed, rule
from tests.helpers.screens import NOW, fill, oid_of, still, text_of, until


@pytest.fixture
def provider(a_store):
    store = a_store()
    fill(store, detections=0)
    drifted(store)
    return store


def console(store, **more):
    return Console(
        open_store=lambda: store, view="drift", clock=lambda: NOW, operator="dana",
        redaction_key=lambda: KEY, **more,
    )  # fmt: skip


async def listed(pilot, app):
    """At Borealis' changed record in the list."""
    await until(pilot, lambda: getattr(app.screen, "look", "") == "full")
    await still(pilot)
    await pilot.press("v", "j", "j")
    await until(pilot, lambda: app.screen._current is not None and app.screen._current.drift == "changed")


async def asked(pilot, app, key):
    """There, with what a key asks."""
    await listed(pilot, app)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, FillIn))


def decided(store):
    with store.reader.reading() as connection:
        return decisions(connection).get((oid_of(1), "hive/fp", "first"))


async def said(pilot, app, words):
    await until(pilot, lambda: words in str(app.screen.query_one("#keys", KeyLine).render()))


async def test_a_deviation_is_accepted_until_a_date_with_its_organization_named_and_taken_back(provider):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, "a")
        await still(pilot)
        assert "Borealis Foods" in text_of(app)
        assert "hives/fp/first" in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: "It needs a reason." in text_of(app))
        await pilot.press(*"theirs", "tab", "ctrl+u", *"soon", "enter")
        await until(pilot, lambda: "use a date such as" in text_of(app))
        assert decided(provider) is None
        await pilot.press("ctrl+u", *"30d", "enter")
        await said(pilot, app, "Accepted until 2026-12-24")
        one = decided(provider)
        assert (one.decision, one.until, one.reason, one.by) == ("accept", NOW + 30 * DAY, "theirs", "dana")
        await until(pilot, lambda: all(each.what != "hives/fp/first" for each in app.screen._shown))
        app.screen.filter_by("is:accepted")
        await until(
            pilot, lambda: app.screen._current is not None and app.screen._current.holds == "accepted"
        )
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: decided(provider) is None)


async def test_enter_after_the_reason_goes_to_the_date_and_accepts_for_a_time_from_there(provider):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, "a")
        await still(pilot)
        assert "enter next line" in text_of(app)
        await pilot.press(*"theirs", "enter")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "field-1")
        await still(pilot)
        assert "enter accept" in text_of(app)
        assert decided(provider) is None
        await pilot.press("enter")
        await said(pilot, app, "Accepted until 2027-02-22")
        assert decided(provider).until == NOW + 90 * DAY


async def test_for_good_has_to_be_said(provider):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, "a")
        await pilot.press(*"theirs", "enter", "ctrl+u", "enter")
        await until(pilot, lambda: "Until: use a date" in text_of(app))
        assert decided(provider) is None
        await pilot.press(*"for", "space", *"good", "enter")
        await said(pilot, app, "Accepted for good")
        assert (decided(provider).decision, decided(provider).until) == ("accept", None)


@pytest.mark.parametrize(("key", "decision", "says"), [("x", "exclude", "Excluded"), ("d", "deny", "Denied")])
async def test_excluding_and_denying_need_a_reason_alone(provider, key, decision, says):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, key)
        await pilot.press(*"because", "enter")
        await said(pilot, app, says)
        assert (decided(provider).decision, decided(provider).until) == (decision, None)


async def test_nothing_is_decided_about_a_record_that_changed_under_the_dialog(provider):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, "a")
        observed(provider, 1, {"first": (rule("yet another"), ON), "third": WANTED["third"]}, at=NOW)
        await pilot.press(*"theirs", "enter", "enter")
        await said(pilot, app, "changed meanwhile")
        assert decided(provider) is None


async def test_escape_decides_nothing(provider):
    app = console(provider)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, app, "d")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, FillIn))
        assert decided(provider) is None
