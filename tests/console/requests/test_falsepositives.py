"""The whole way by keys alone: a rule drafted from an alert, tried, edited, written to the Hive or into a file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select
from textual.widgets import Input, TextArea

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from screens.dialogs.confirm import Confirm
from screens.dialogs.fp_rule import FpRule
from screens.dialogs.type_name import TypeName
from screens.requests import DraftFalsePositive
from store import ingest
from store.database import Store
from store.models import Detection
from store.queries.activity import journal
from store.queries.alerts import by_detect_id
from store.secret import Secret
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import detection, still, text_of, until


@asynccontextmanager
async def console(
    store: Store, *, protected: bool = False, extra: bytes = b"", **options: Any
) -> AsyncIterator[tuple[Cloud, Console, Any]]:
    """A console on a sandbox, with thirty alerts of one organization in its store."""
    async with sandbox(orgs=3, detections=60) as served:
        one = served.world.organizations[1]
        with store.writing() as connection:
            ingest.put_organizations(
                connection,
                [{"oid": each.oid, "name": each.name} for each in served.world.organizations],
                complete=True,
                now=now_ms(),
            )
            marks = ("protected",) if protected else ()
            nodes = [
                TreeNode(id="root", parent=None, name="All"),
                TreeNode(id="one", parent="root", name=one.name, oid=one.oid, marks=marks),
            ]
            replace_tree(connection, nodes)
            now = now_ms()
            raws = [detection(number, one.oid, at=now - number * 60_000) for number in range(30)]
            raws += [extra] if extra else []
            ingest.put_detections(
                connection, one.oid, [ingest.detection_from(raw, one.oid, received=now) for raw in raws]
            )
        root = served.world.access.users[served.world.access.root]
        link = Link()
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url)) as cloud:
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url),
                    environment="test",
                    link=link,
                    view="activity",
                    **options,
                )
                yield cloud, app, one


def alert(store: Store, number: int) -> int:
    with store.reader.reading() as connection:
        [found] = by_detect_id(connection, f"1f2e3d4c-5b6a-4788-9990-{number:012d}")
    return found.row.id


async def opened(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "activity")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def seen(pilot: Any, what: str) -> None:
    await until(pilot, lambda: what in text_of(pilot.app))


async def test_a_rule_is_drafted_tried_edited_and_written(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (cloud, app, one):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(DraftFalsePositive(alert(store, 6)))
            await on(pilot, FpRule)
            await seen(pilot, "hides 1 of 30 in 1 of 1 organization")
            app.screen.query_one(TextArea).text = "op: is\npath: cat\nvalue: Encoded PowerShell download\n"
            await seen(pilot, "hides 5 of 30")
            app.screen.query_one("#fp-name", Input).value = "quiet backup"
            await pilot.press("ctrl+s")
            await seen(pilot, "It needs a reason")
            assert app.screen.query_one("#fp-reason", Input).has_focus
            await pilot.press(*"vendor", "ctrl+s")
            await on(pilot, Confirm)
            asked = " ".join(text_of(app).replace("│", " ").split())
            assert f"Write quiet backup into the Hive of {one.name}, enabled at once?" in asked
            assert "Reason: vendor" in asked
            assert "It hides from now on what it would have hidden there: 5 of 30 detections of 30 days, 0 of " \
                "them true positives." in asked  # fmt: skip
            await pilot.press("n")
            await on(pilot, FpRule)
            await seen(pilot, "Nothing was saved")
            assert app.screen.query_one("#fp-name", Input).value == "quiet backup"
            await seen(pilot, "hides 5 of 30")
            await pilot.press("ctrl+s")
            await on(pilot, Confirm)
            await pilot.press("y")
            await until(pilot, lambda: not isinstance(app.screen, FpRule | Confirm))
            await seen(pilot, f"Written to {one.name}: 'quiet backup'")
        held = await cloud.organization(one.oid).hive_record("fp", "quiet backup")
    assert held.body == {"op": "is", "path": "cat", "value": "Encoded PowerShell download"}
    assert held.metadata["enabled"] is True
    with store.reader.reading() as connection:
        steps = [each.detail["step"] for each in journal(connection, limit=9) if each.action == "fp.write"]
    assert steps[::-1] == ["intent", "result"]


async def test_a_name_that_is_taken_is_replaced_only_after_a_question(
    a_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.typeahead.HELD_DOWN", 0.0)  # nobody answers as fast as this test does
    store = a_store()
    async with console(store) as (cloud, app, one), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for value, answers in (("first", "y"), ("second", "yn"), ("third", "yy")):
            app.screen.post_message(DraftFalsePositive(alert(store, 6)))
            await on(pilot, FpRule)
            app.screen.query_one(TextArea).text = f"op: is\npath: cat\nvalue: {value}\n"
            await seen(pilot, "hides 0 of 30")
            app.screen.query_one("#fp-name", Input).value = "same"
            app.screen.query_one("#fp-reason", Input).value = "vendor"
            await pilot.press("ctrl+s")
            await on(pilot, Confirm)
            await pilot.press(answers[0])
            if len(answers) > 1:
                await seen(pilot, "Replace it?")
                await pilot.press(answers[1])
            if answers == "yn":
                await on(pilot, FpRule)
                await seen(pilot, "already")
                await pilot.press("escape", "escape")
            await until(pilot, lambda: not isinstance(app.screen, FpRule | Confirm))
            await still(pilot)
        await seen(pilot, f"Written to {one.name}: 'same'")
        held = await cloud.organization(one.oid).hive_record("fp", "same")
    assert held.body["value"] == "third"


async def test_the_name_of_a_protected_organization_is_typed(a_store: Any) -> None:
    store = a_store()
    async with console(store, protected=True) as (cloud, app, one):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(pilot)
            app.screen.post_message(DraftFalsePositive(alert(store, 6)))
            await on(pilot, FpRule)
            await seen(pilot, "hides 1 of 30")
            app.screen.query_one("#fp-reason", Input).value = "vendor"
            await pilot.press("ctrl+s")
            await on(pilot, TypeName)
            await seen(pilot, f"or its id: {one.oid}")
            await pilot.press("y", "enter")
            await still(pilot)
            assert isinstance(app.screen, TypeName)
            await pilot.press("backspace", *one.name, "enter")
            await until(pilot, lambda: not isinstance(app.screen, FpRule | TypeName))
            await seen(pilot, f"Written to {one.name}")
        names = await cloud.organization(one.oid).hive("fp")
    assert any(name.startswith("fp-encoded-powershell") for name in names)


async def test_a_rule_goes_into_a_template_file(a_store: Any, tmp_path: Path) -> None:
    store, file = a_store(), tmp_path / "base.yaml"
    file.write_text("# ours\nversion: 3\n")
    async with console(store) as (_, app, _one), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        app.screen.post_message(DraftFalsePositive(alert(store, 6)))
        await on(pilot, FpRule)
        await seen(pilot, "hides 1 of 30")
        app.screen.query_one("#fp-file", Input).value = str(file)
        app.screen.query_one("#fp-reason", Input).value = "vendor"
        await pilot.press("ctrl+s")
        await on(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: not isinstance(app.screen, FpRule | Confirm))
        await seen(pilot, "was put into")
    assert file.read_text().startswith("# ours\n")
    assert list(yaml.safe_load(file.read_text())["hives"]["fp"]) == ["fp-encoded-powershell-download-host-06"]


async def test_a_read_only_console_tries_and_saves_nothing(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (_, app, _one), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        app.screen.post_message(DraftFalsePositive(alert(store, 6)))
        await on(pilot, FpRule)
        await seen(pilot, "hides 1 of 30")
        app.screen.query_one("#fp-reason", Input).value = "vendor"
        await pilot.press("ctrl+s")
        await seen(pilot, "read-only")
        assert isinstance(app.screen, FpRule)


async def test_a_damaged_alert_is_said_to_be_one(a_store: Any) -> None:
    store = a_store()
    async with console(store, extra=b"{broken") as (_, app, _one), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        table = Detection.__table__  # type: ignore[attr-defined]
        with store.reader.reading() as connection:
            broken = int(connection.execute(select(table.c.id).where(table.c.damaged)).scalar_one())
        app.screen.post_message(DraftFalsePositive(broken))
        await seen(pilot, "cannot be read")
