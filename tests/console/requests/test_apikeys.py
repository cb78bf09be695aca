"""The whole way by keys alone: a key from a recipe, its secret shown once, rotated, revoked in bulk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.ports import Link
from console.sandbox.faults import Rule
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import FillIn
from screens.dialogs.results import Results
from screens.dialogs.show_secret import ShowSecret
from screens.dialogs.type_name import TypeName
from screens.frame import KeyLine
from store import ingest
from store.database import Store
from store.deadlines import waiting
from store.keyfilter import KeyFilter
from store.queries import apikeys
from store.secret import Secret
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until

KEYS = "/v1/orgs/{oid}/keys"


@asynccontextmanager
async def console(
    store: Store, *, protected: bool = False, **options: Any
) -> AsyncIterator[tuple[Any, Console]]:
    """A console on a sandbox of three customers whose keys are in the store."""
    async with sandbox(orgs=3, detections=5) as served:
        world = served.world
        with store.writing() as connection:
            rows = [{"oid": each.oid, "name": each.name} for each in world.organizations]
            ingest.put_organizations(connection, rows, complete=True, now=now_ms())
            marks = ("protected",) if protected else ()
            replace_tree(
                connection,
                [
                    TreeNode(
                        "root", None, "Provider", parameters={"key_range": "203.0.113.0/28"}, marks=marks
                    ),
                    *(TreeNode(row["oid"], "root", row["name"], oid=row["oid"]) for row in rows),
                ],
            )
            for one in world.organizations:
                listed = {
                    key.key_hash: {"name": key.name, "priv": list(key.permissions), "by": key.by}
                    for key in world.access.keys(one)
                }
                ingest.put_keys(connection, one.oid, listed)
        user = world.access.users[world.access.root]
        link = Link()
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            with link.holding(cloud):
                app = Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="apikeys", **options
                )  # fmt: skip
                yield served, app


async def opened(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.store is not None and pilot.app.current_mode == "apikeys")
    await until(pilot, lambda: pilot.app.screen.look == "full")
    await still(pilot)


async def on(pilot: Any, dialog: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, dialog))
    await still(pilot)


async def fill(pilot: Any, *values: str) -> None:
    for number, value in enumerate(values):
        if number:
            await pilot.press("tab")
        pilot.app.focused.value = value


def said(app: Console) -> str:
    return str(app.screen_stack[0].query_one(KeyLine).text)


def stored(store: Store, name: str) -> list[apikeys.KeyRow]:
    with store.reader.reading() as connection:
        return apikeys.every(connection, KeyFilter(exact=name))


def in_cloud(served: Any, name: str) -> list[Any]:
    return [
        key for one in served.world.organizations for key in served.world.access.keys(one) if key.name == name
    ]


async def test_a_key_is_made_from_a_recipe_and_its_secret_is_shown_once(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, FillIn)
        assert "investigator" in text_of(app)
        assert "203.0.113.0/28" in text_of(app), "the range of the tree stands there"
        await fill(pilot, "bot[bulk]", "reader")
        await pilot.press("enter")
        await still(pilot)
        assert "its limit of calls is raised" in text_of(app), "a flair is explained before"
        await pilot.press("enter")
        await on(pilot, ShowSecret)
        (there,) = in_cloud(served, "bot[bulk]")
        assert there.secret in text_of(app)
        assert there.allowed_ip_range == "203.0.113.0/28"
        assert not stored(store, "bot[bulk]")[0].held
        await pilot.press("y")
        await until(pilot, lambda: stored(store, "bot[bulk]")[0].held)
        await still(pilot)
        assert there.secret not in text_of(app)
        assert "has the key bot[bulk]" in said(app)


async def test_a_secret_is_copied_to_the_clipboard_and_into_no_file(a_store: Any, tmp_path: Any) -> None:
    store = a_store()
    copies = tmp_path / "copied.txt"
    async with console(store, copies=copies) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, FillIn)
        await fill(pilot, "bot", "output")
        await pilot.press("enter")
        await on(pilot, ShowSecret)
        await pilot.press("c")
        await until(pilot, lambda: "clipboard" in text_of(app) or "tmux" in text_of(app))
        assert "kept nowhere else" in " ".join(text_of(app).split())
        await pilot.press("y")
        await until(pilot, lambda: stored(store, "bot")[0].held)
        assert in_cloud(served, "bot")
    assert not copies.exists()


async def test_a_secret_that_nobody_took_and_a_lost_answer_offer_the_keys_deletion(
    a_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.typeahead.HELD_DOWN", 0.0)  # nobody answers as fast as this test does
    store = a_store()
    async with console(store) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await on(pilot, FillIn)
        await fill(pilot, "lost", "output")
        await pilot.press("enter")
        await on(pilot, ShowSecret)
        await pilot.press("escape")
        await on(pilot, Confirm)
        await pilot.press("n")
        await until(pilot, lambda: "nobody has its secret" in said(app))
        assert not stored(store, "lost")[0].held
        served.faults.add(Rule("drop", path=KEYS, method="POST", effect=True))
        await pilot.press("n")
        await on(pilot, FillIn)
        await fill(pilot, "dropped", "output")
        await pilot.press("enter")
        await on(pilot, Confirm)
        assert "nobody holds" in " ".join(text_of(app).split())
        await pilot.press("y")
        await until(pilot, lambda: in_cloud(served, "dropped") == [])
        await until(pilot, lambda: stored(store, "dropped") == [])


async def test_a_rotation_shows_the_new_secret_and_then_counts_the_old_ones_days(a_store: Any) -> None:
    store = a_store()
    async with console(store) as (served, app), app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        row = app.screen.table.current
        await pilot.press("R")
        await on(pilot, FillIn)
        await fill(pilot, "", "24h", "203.0.113.9/28")
        await pilot.press("enter")
        await still(pilot)
        assert "203.0.113.0/28" in text_of(app), "what is no range is said, and nothing was made"
        await fill(pilot, "203.0.113.0/28")
        await pilot.press("enter")
        await on(pilot, ShowSecret)
        with store.reader.reading() as connection:
            assert waiting(connection) == []
        await pilot.press("y")
        await until(pilot, lambda: any(each.ends_at for each in stored(store, str(row.name))))
        one = next(each for each in served.world.organizations if each.oid == row.oid)
        both = [key for key in served.world.access.keys(one) if key.name == row.name]
        assert len(both) == 2
        assert len({key.permissions for key in both}) == 1
        new = next(key for key in both if key.key_hash != row.key_hash)
        assert new.allowed_ip_range == "203.0.113.0/28"
        await still(pilot)
        assert "is deleted at" in said(app)


async def test_marked_keys_are_revoked_once_their_number_was_typed_each_with_its_result(a_store: Any) -> None:
    store = a_store()
    async with console(store, protected=True) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("2", "space")
        await still(pilot)
        chosen = list(app.screen.table.marks.values())
        assert len(chosen) == 2
        served.faults.add(
            Rule("status", status=403, path=KEYS, method="DELETE", oid=chosen[0].oid, count=None)
        )
        await pilot.press("x")
        await on(pilot, TypeName)
        assert "Revoke 2 keys" in text_of(app)
        assert chosen[0].name in text_of(app)
        await pilot.press(*"wrong", "enter")
        await still(pilot)
        assert isinstance(app.screen, TypeName)
        app.focused.value = "2 keys"
        await pilot.press("enter")
        await still(pilot)
        organizations = {row.oid for row in chosen}
        app.focused.value = (
            str(chosen[0].organization)
            if len(organizations) == 1
            else f"{len(organizations)} protected organizations"
        )
        await pilot.press("enter")
        await on(pilot, Results)
        assert "denied" in text_of(app)
        left = {key.key_hash for one in served.world.organizations for key in served.world.access.keys(one)}
        refused = {str(row.key_hash) for row in chosen if row.oid == chosen[0].oid}
        assert {str(row.key_hash) for row in chosen} & left == refused


async def test_a_read_only_console_makes_rotates_and_revokes_nothing(a_store: Any) -> None:
    store = a_store()
    async with console(store, writable=False) as (served, app), app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for key in ("n", "R", "x"):
            await pilot.press(key)
            await still(pilot)
            assert "read-only" in said(app)
        assert len(app.screen_stack) == 1
        assert in_cloud(served, "bot") == []
