"""Pictures of the frame and of the queue; each docstring says what to look for."""

import time
from contextlib import contextmanager

from console.app import Console
from screens.alerts import Alerts
from screens.context import Scope, Status
from screens.dialogs.confirm import Confirm
from tests.helpers.screens import Host, still, text_of, until


def full(*keys: str, shows: str = ""):
    """Wait until the queue is read, press keys, and wait until nothing moves."""

    async def ready(pilot):
        host = pilot.app
        await until(pilot, lambda: host.view.look in ("full", "empty"))
        await still(pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: shows in text_of(host))
        await still(pilot)

    return ready


def test_the_queue_at_80_columns(snap_compare, filled_store):
    """Line 1: scope, 4 of 5 fresh, 1 failed; twenty alerts, worst first; the cursor on the first; keys below."""
    assert snap_compare(Host(filled_store, Alerts), terminal_size=(80, 24), run_before=full())


def test_the_queue_with_its_detail_below(snap_compare, filled_store):
    """The cursor on the third; below a line: organization, host, command line in bold, the rest."""
    ready = full("j", "j", "enter", shows="000012")
    assert snap_compare(Host(filled_store, Alerts), terminal_size=(80, 24), run_before=ready)


def test_the_queue_with_its_detail_beside(snap_compare, filled_store):
    """At 120 columns the detail stands at the right, whole."""
    ready = full("j", "j", "enter", shows="000012")
    assert snap_compare(Host(filled_store, Alerts), terminal_size=(120, 40), run_before=ready)


def test_the_queue_without_colour(snap_compare, filled_store, monkeypatch):
    """No colour at all: severity and the failed organization are still said by sign and word."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Host(filled_store, Alerts), terminal_size=(80, 24), run_before=full())


def test_the_queue_filtered_in_a_scope(snap_compare, filled_store):
    """Line 1 names the scope; line 2 the filter and n of m."""
    host = Host(filled_store, Alerts, scope=Scope("gold", "Europe/Gold"))
    ready = full("/", *"sev:high", "enter", shows="of 24 open")
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_the_empty_queue(snap_compare, empty_store):
    """One sentence that says what to do."""
    host = Host(empty_store, Alerts)
    host.context.status = Status(known=True)
    assert snap_compare(host, terminal_size=(80, 24), run_before=full())


class Broken:
    """A reader that cannot."""

    @contextmanager
    def reading(self):
        raise OSError("the disk is gone")
        yield


def test_the_queue_that_cannot_be_read(snap_compare):
    """One red sentence, and where to look."""

    async def ready(pilot):
        await until(pilot, lambda: pilot.app.view.look == "failed")
        await still(pilot)

    assert snap_compare(Host(None, Alerts, reader=Broken()), terminal_size=(80, 24), run_before=ready)


class Blocked:
    """A reader that answers only when the screen is gone."""

    host: Host

    @contextmanager
    def reading(self):
        while self.host.is_running:
            time.sleep(0.02)
        raise OSError("over")
        yield


def test_the_queue_while_it_is_read(snap_compare):
    """The frame stands already; nothing spins."""
    reader = Blocked()
    reader.host = host = Host(None, Alerts, reader=reader)

    async def ready(pilot):
        await until(pilot, lambda: "Reading the store." in text_of(pilot.app))
        await pilot.pause()

    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_the_command_line_with_its_offers(snap_compare, filled_store):
    """`:` with what was typed, and above it the names that Tab puts in; the first one is taken."""

    async def ready(pilot):
        await full()(pilot)
        await pilot.press(":")
        await until(pilot, lambda: pilot.app.view._candidates is not None)
        await pilot.press(*"org c", "tab")
        await until(pilot, lambda: "[Cedar Clinic]" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(filled_store, Alerts), terminal_size=(80, 24), run_before=ready)


def test_the_raw_detection(snap_compare, filled_store):
    """The organization in the title; JSON, indented; the cursor on the first line."""
    assert snap_compare(
        Host(filled_store, Alerts), terminal_size=(80, 24), run_before=full("J", shows='"cat"')
    )


def test_the_keys_that_work_here(snap_compare, filled_store):
    """The view's own keys first, then moving, then everywhere, then the commands."""
    assert snap_compare(
        Host(filled_store, Alerts), terminal_size=(80, 110), run_before=full("?", shows=":quit")
    )


def test_a_sentence_where_the_terminal_is_too_small(snap_compare, filled_store):
    """What it needs and what it has."""
    assert snap_compare(Host(filled_store, Alerts), terminal_size=(50, 10), run_before=full())


def test_the_question_before_leaving(snap_compare):
    """What happens to the sync, and the two answers."""
    question = "Leave limegrove?\n\nThe sync stops where it is, and goes on there the next time."
    host = Host(None, Alerts, reader=Broken())

    async def ready(pilot):
        await until(pilot, lambda: host.view.look == "failed")
        await host.push_screen(Confirm(question, yes="leave", no="stay"))
        await still(pilot)

    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_the_shell_before_the_store_is_open(snap_compare):
    """The frame, with nothing in it yet."""

    def opening():
        while console.is_running:
            time.sleep(0.02)
        raise OSError("over")

    async def ready(pilot):
        await until(pilot, lambda: "Opening the store" in text_of(pilot.app))
        await pilot.pause()

    console = Console(open_store=opening, environment="prod")
    assert snap_compare(console, terminal_size=(80, 24), run_before=ready)
