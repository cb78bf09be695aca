"""The console as a whole: it opens, goes from view to view, asks before it ends, and ends in order."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from textual.widgets import Input

from console.app import VIEWS, Console
from console.limacharlie.limits import Limits
from console.operations.ports import Progress
from screens.context import Status
from screens.dialogs.confirm import Confirm
from screens.frame import KeyLine, TitleLine, WhereLine
from screens.keys import ASIDE
from screens.requests import Remember, SetScope, ShowAccess, ShowAlerts, ShowOrganization
from screens.widgets.command_line import CommandLine
from store import ingest, preferences
from store.database import Store
from store.errors import StoreUnavailable
from tests.helpers.screens import NOW, detection, oid_of, press_at_once, still, text_of, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def console(url):
    return Console(open_store=lambda: Store(url), environment="prod", clock=lambda: NOW)


async def open_on(pilot, name="alerts"):
    app = pilot.app
    await until(pilot, lambda: app.current_mode == name and getattr(app.screen, "look", "") == "full")
    await until(pilot, lambda: app.context.status.known)


async def test_it_opens_on_the_queue_and_says_how_fresh_it_is(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await until(pilot, lambda: "4 of 5 fresh, 1 failed" in text_of(console))
        assert "Acme Dental" in text_of(console)
        assert "OFFLINE" in console.screen.query_one(WhereLine).text


async def test_every_number_key_opens_its_view_and_the_way_back_is_kept(console):
    async with console.run_test(size=(120, 40)) as pilot:
        await open_on(pilot)
        for key, mode in (("1", "overview"), ("2", "organizations"), ("4", "access"), ("5", "activity")):
            await pilot.press(key)
            await until(pilot, lambda mode=mode: console.current_mode == mode)
        for mode in ("access", "organizations", "overview", "alerts"):
            await still(pilot)
            await pilot.press("q")
            await until(pilot, lambda mode=mode: console.current_mode == mode)
        await pilot.press("q")
        await until(pilot, lambda: "There is no view before this one" in text_of(console))
        assert console.is_running


async def test_a_view_without_a_number_is_shown_by_its_command_and_q_leads_back(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        for aside in ASIDE:
            console.screen.run_command(aside.command)
            await until(pilot, lambda name=aside.name: console.current_mode == name)
            await until(pilot, lambda: console.screen.look in ("empty", "full"))
            await still(pilot)
            await pilot.press("q")
            await until(pilot, lambda: console.current_mode == "alerts")


async def test_a_filter_that_means_nothing_is_given_back_with_the_keys_and_harms_none_after_it(console):
    """A line that stands open without the keys would let every letter typed for it act on the table."""
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        for name in VIEWS:
            console.screen.run_command(name)
            await until(
                pilot,
                lambda name=name: console.current_mode == name and console.screen.look in ("empty", "full"),
            )
            await still(pilot)
            line = console.screen.query_one(CommandLine)
            await pilot.press("slash")
            await press_at_once(pilot, *"nope:1", "enter")
            await still(pilot)
            if line.is_open:
                assert line.query_one(Input).has_focus, name
                assert line.query_one(Input).value == "nope:1"
                await pilot.press("escape")
            await still(pilot)
            await pilot.press("colon")
            await press_at_once(pilot, *"acti", "tab", "enter")
            await still(pilot)
            await until(pilot, lambda: console.current_mode == "activity")


async def test_minus_goes_to_the_view_before_and_back(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: console.current_mode == "access")
        for mode in ("alerts", "access", "alerts"):
            await pilot.press("minus")
            await until(pilot, lambda mode=mode: console.current_mode == mode)


async def test_a_command_filters_the_queue_from_any_view(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("2")
        await until(pilot, lambda: console.current_mode == "organizations")
        console.screen.post_message(ShowAlerts("sev:critical"))
        await open_on(pilot)
        await until(pilot, lambda: "10 of 60 open" in console.screen.query_one(TitleLine).text)


async def test_an_alert_leads_to_its_organization_and_to_its_matrix(console):
    async with console.run_test(size=(120, 40)) as pilot:
        await open_on(pilot)
        console.screen.post_message(ShowOrganization(oid_of(2)))
        await until(pilot, lambda: console.current_mode == "organizations")
        await until(pilot, lambda: "Cedar Clinic" in text_of(console))
        console.screen.post_message(ShowAccess(oid_of(2)))
        await until(pilot, lambda: console.current_mode == "access")
        await until(pilot, lambda: "Cedar Clinic" in text_of(console))


@pytest.mark.parametrize(
    ("name", "request_", "said"),
    [
        ("access", ShowAccess(oid_of(2)), "Cedar Clinic"),
        ("organizations", ShowOrganization(oid_of(2)), "Cedar Clinic"),
        ("alerts", ShowAlerts("sev:critical"), "10 of 60 open"),
    ],
)
async def test_what_is_asked_of_a_view_comes_to_it_beneath_a_dialog(console, name, request_, said):
    async with console.run_test(size=(120, 40)) as pilot:
        await open_on(pilot)
        await console.show_mode(name)
        await still(pilot)
        console.push_screen(Confirm("Stay?"))
        await until(pilot, lambda: isinstance(console.screen, Confirm))
        await console.show_mode("activity")
        console.post_message(request_)
        await until(pilot, lambda: console.current_mode == name)
        await still(pilot)
        await console.screen.dismiss(False)
        await until(pilot, lambda: said in text_of(console))
        assert not any(worker.error for worker in console.workers)


async def test_the_scope_holds_in_every_view_and_is_said_in_line_1(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        console.screen.post_message(SetScope("gold"))
        await until(pilot, lambda: "24 open" in console.screen.query_one(TitleLine).text)
        await until(pilot, lambda: "2 of 2 fresh" in console.screen.query_one(WhereLine).text)
        assert console.screen.query_one(WhereLine).text.startswith(" Europe/Gold")
        await pilot.press("2")
        await until(pilot, lambda: console.current_mode == "organizations")
        await until(pilot, lambda: console.screen.query_one(WhereLine).text.startswith(" Europe/Gold"))
        console.screen.post_message(SetScope("nowhere"))
        await until(pilot, lambda: "no longer in the tree" in text_of(console))
        assert console.context.scope.node_id == "gold"


async def test_what_another_process_writes_is_seen(console, url):
    code = (
        "from store.database import Store; from store import ingest\n"
        "from tests.helpers.screens import detection, oid_of, NOW\n"
        f"store = Store({url!r})\n"
        "with store.writing() as c:\n"
        "    raw = detection(600, oid_of(1), at=NOW - 1000)\n"
        "    ingest.put_detections(c, oid_of(1), [ingest.detection_from(raw, oid_of(1))])\n"
    )
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True, cwd=ROOT)
        await until(pilot, lambda: "61 open" in console.screen.query_one(TitleLine).text)


async def test_leaving_asks_and_no_is_the_answer_by_accident(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        for no in ("n", "escape", "enter"):
            await pilot.press("ctrl+q")
            await until(pilot, lambda: isinstance(console.screen, Confirm))
            await pilot.press(no)
            await until(pilot, lambda: not isinstance(console.screen, Confirm))
        await pilot.press(":", *"q", "enter")
        await until(pilot, lambda: isinstance(console.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: not console.is_running)
    assert console.return_code == 0


async def test_offline_a_sync_is_refused_with_the_reason(console):
    async with console.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("r")
        assert await said(pilot, "Offline: nothing is read from the cloud")


async def said(pilot, text) -> bool:
    await until(pilot, lambda: text in pilot.app.screen.query_one(KeyLine).text)
    return True


async def test_background_work_writes_reports_and_is_woken(url):
    woken = asyncio.Event()
    ended = []

    async def background(store, report):
        report(Progress(3, 5, "reading", seconds_left=130.0))
        await woken.wait()
        with store.writing() as connection:
            raw = detection(600, oid_of(1), at=NOW - 1000)
            ingest.put_detections(connection, oid_of(1), [ingest.detection_from(raw, oid_of(1))])
        report(Progress(5, 5, "idle"))
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(True)

    app = Console(
        open_store=lambda: Store(url),
        environment="prod",
        clock=lambda: NOW,
        background=background,
        sync_now=woken.set,
    )
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        await until(pilot, lambda: "sync 3/5, 2 min left" in app.screen.query_one(WhereLine).text)
        await pilot.press("r")
        await until(pilot, lambda: "61 open" in app.screen.query_one(TitleLine).text)
        await until(pilot, lambda: "sync" not in app.screen.query_one(WhereLine).text)
    assert ended == [True]


async def test_a_pause_that_the_cloud_demands_is_counted_down_and_ends(url):
    now = [1_000.0]
    limits = Limits(clock=lambda: now[0])
    app = Console(
        open_store=lambda: Store(url), environment="prod", clock=lambda: NOW, budget=lambda: limits.now()
    )
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        await until(pilot, lambda: app.context.status.budget == "20 requests/s")
        limits.throttle({"Retry-After": "34"}, sent_at=now[0])
        await until(pilot, lambda: "paused 34 s, rate limit" in app.screen.query_one(WhereLine).text)
        now[0] += 4.5
        await until(pilot, lambda: "paused 30 s, rate limit" in app.screen.query_one(WhereLine).text)
        now[0] += 30
        await until(pilot, lambda: "paused" not in app.screen.query_one(WhereLine).text)


async def test_background_work_that_fails_is_said_and_kills_nothing(url):
    tries = []

    async def background(store, report):
        tries.append(1)
        raise OSError("the cloud \x1b[2J is away")

    app = Console(
        open_store=lambda: Store(url),
        environment="prod",
        clock=lambda: NOW,
        background=background,
        sync_now=lambda: None,
    )
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        await until(pilot, lambda: "sync failed" in app.screen.query_one(WhereLine).text)
        assert await said(pilot, "the cloud \\x1b[2J is away")
        await pilot.press("j")
        assert app.screen.queue.current is not None
        await pilot.press("r")
        await until(pilot, lambda: len(tries) == 2)


async def test_offline_told_by_the_sync_is_trouble_and_goes_away_again(url):
    steps = asyncio.Queue()

    async def background(store, report):
        while True:
            report(await steps.get())

    app = Console(open_store=lambda: Store(url), environment="prod", clock=lambda: NOW, background=background)
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        steps.put_nowait(Progress(0, 0, "offline: connection refused"))
        await until(pilot, lambda: app.context.status.trouble == "connection refused")
        steps.put_nowait(Progress(1, 1, "idle"))
        await until(pilot, lambda: app.context.status.trouble == "")


async def test_a_store_that_cannot_be_opened_ends_it_with_that_error():
    def broken():
        raise StoreUnavailable("The store is not to be had.")

    app = Console(open_store=broken)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.is_running)
    assert isinstance(app.failure, StoreUnavailable)
    assert app.return_code == 1


async def test_a_small_choice_is_kept_unless_the_console_is_locked(url):
    for writable in (True, False):
        app = Console(open_store=lambda: Store(url), clock=lambda: NOW, writable=writable)
        async with app.run_test(size=(80, 24)) as pilot:
            await open_on(pilot)
            assert ("WRITE" if writable else "LOCKED") in app.screen.query_one(WhereLine).text
            app.screen.post_message(Remember("pane", writable))
            await pilot.pause()
            await until(
                pilot, lambda app=app: all(w.is_finished for w in app.workers if w.group == "remember")
            )
            with app.store.reader.reading() as connection:
                assert preferences.get(connection, "pane") is True


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (59, 14), (300, 100)])
async def test_any_size_is_survived(console, size):
    async with console.run_test(size=size) as pilot:
        await open_on(pilot)
        for key in ("1", "2", "4", "5", "3"):
            await pilot.press(key)
            await until(pilot, lambda: not console.screen.has_count())
            await pilot.press("j", "enter", "?", "q")
        await pilot.resize_terminal(80, 24)
        await still(pilot)
        assert console.is_running


CRASHING = """
import sys
from console.app import run_console
from console.settings import Settings
from pathlib import Path
from store.database import Store
import screens.alerts

SECRET = "canary-" + "5f0e" * 3

def broken(self, found):
    api_key = SECRET
    raise RuntimeError("a defect")

WHERE = sys.argv[2]
if WHERE == "handler":
    def action_detail(self):
        api_key = SECRET
        raise RuntimeError("a defect")
    screens.alerts.Alerts.action_detail = action_detail
settings = Settings(home=Path(sys.argv[1]).parent, environment="prod", store_url="", offline=True)
code = 1
try:
    code = run_console(open_store=lambda: Store("sqlite:///" + sys.argv[1]), environment="prod", settings=settings)
except RuntimeError as error:
    print("ended by", type(error).__name__, file=sys.stderr)
sys.exit(code)
"""


def on_a_terminal(
    arguments: list[str], keys: bytes = b"", wanted: bytes = b"Acme Dental", send: int | None = None
):
    """Run a program on a pseudo-terminal; answers (exit code, everything that it wrote)."""
    import fcntl
    import select
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        arguments,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(follower)
    written, done = b"", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        readable, _, _ = select.select([leader], [], [], 0.1)
        if readable:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            written += chunk
        if not done and wanted in written:
            done = True
            if keys:
                os.write(leader, keys)
            if send is not None:
                process.send_signal(send)
        if process.poll() is not None and not readable:
            break
    os.close(leader)
    return process.wait(timeout=20), written


@pytest.fixture
def program(tmp_path, url):
    path = tmp_path / "program.py"
    path.write_text(CRASHING)
    return [sys.executable, str(path), url.removeprefix("sqlite:///")]


def test_a_defect_ends_it_with_a_code_and_without_anybodys_secrets(program):
    code, written = on_a_terminal([*program, "handler"], keys=b"\r")
    assert code == 1
    assert b"canary-" not in written
    assert b"ended by RuntimeError" in written
    assert written.rindex(b"\x1b[?1049l") > written.rindex(b"Acme Dental")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_restores_the_terminal_and_says_so_in_the_exit_code(program, number, code):
    found, written = on_a_terminal([*program, ""], send=number)
    assert found == code
    assert b"\x1b[?1049l" in written
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"Acme Dental")


def test_the_shell_is_painted_before_anything_heavy_is_imported():
    code = (
        "import sys, console.app\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'aiohttp', 'keyring', 'alembic', 'msgspec', 'orjson'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"


def test_status_figures_start_unknown():
    assert not Status().known
