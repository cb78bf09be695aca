"""The whole way by keys alone: a customer's checklist, its typed name, and the run that takes it away."""

import os
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from console.operations.sync import Sync
from screens.dialogs.offboard import Offboard
from store import runs
from store.database import Store
from store.secret import Secret
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until

KEY = b"k" * 32


@pytest.mark.parametrize("key", [KEY, None], ids=["with the key", "without the key"])
async def test_a_customer_leaves_and_nothing_is_taken_that_is_not_kept(
    a_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes | None
) -> None:
    from console.settings import load

    monkeypatch.setenv("LIMEGROVE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o700)
    store = a_store()
    async with sandbox(orgs=3, detections=4) as served:
        refusing = served.world.unauthorized
        one = next(each for each in served.world.by_oid.values() if each is not refusing)
        user = served.world.access.users[served.world.access.root]
        link = Link()
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            await Sync(store=store, cloud=cloud, redaction_key=KEY, only=("orgs", "access")).run()
            with store.writing() as connection:
                replace_tree(
                    connection, [TreeNode("root", None, "All"), TreeNode("one", "root", one.name, one.oid)]
                )
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="organizations",
                    settings=load(None), redaction_key=lambda: key,
                )  # fmt: skip
                async with app.run_test(size=(80, 24)) as pilot:
                    await until(pilot, lambda: app.store is not None and app.current_mode == "organizations")
                    await until(pilot, lambda: one.name[:6] in text_of(app))
                    await still(pilot)
                    await pilot.press("j", "X")
                    await until(pilot, lambda: isinstance(app.screen, Offboard))
                    await still(pilot)
                    assert one.oid[:8] in text_of(app)
                    app.screen.query_one("#name", Input).value = one.name
                    await pilot.press("tab", "enter")
                    await until(pilot, lambda: _ended(store) == ("done" if key else "partly"))
                    assert (one.oid in served.world.by_oid) == (key is None)
                    assert len(served.world.by_oid) == (2 if key else 3)
    made = {name for _, _, names in os.walk(tmp_path / "home") for name in names}
    assert ({"manifest.json", "SHA256SUMS", "detections.jsonl"} <= made) == (key is not None)


def _ended(store: Store) -> str:
    with store.reader.reading() as connection:
        try:
            return runs.load(connection, 1).state
        except runs.UnknownRun:
            return ""
