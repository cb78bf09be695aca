"""The view of API keys: its list, filter and marks, what it asks for, and how it looks."""

from typing import Any

import pytest

from screens.apikeys import ApiKeys
from screens.context import Scope
from screens.dialogs.fill_in import FillIn
from screens.dialogs.show_secret import ShowSecret
from screens.dialogs.type_name import TypeName
from screens.frame import KeyLine, TitleLine
from screens.guard import forbidden
from screens.requests import CreateKey, RevokeKeys, RotateKey, ShowAccess
from screens.widgets.text import line
from store import ingest
from store.accesschanges import AccessChange
from store.database import Store
from store.deadlines import put as put_deadline
from store.journal import append
from tests.corpus.strings import everything
from tests.helpers.screens import CUSTOMERS, NOW, Asking, Host, fill, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN

DAY = 86_400_000
SECRET = "97de1f2d-8616-4ed5-b5ce-2fb755785719"


def with_keys(store: Store, *, each: int = 3) -> Store:
    """Five customers with keys: one of nobody, one that goes, one master, one from everywhere."""
    fill(store, detections=0)
    with store.writing() as connection:
        for number in range(len(CUSTOMERS)):
            oid = oid_of(number)
            keys: dict[str, Any] = {
                f"{number:02d}{'c' * 62}": {
                    "name": "ci-deploy[bulk]", "priv": ["dr.list", "dr.set", "fp.ctrl", "org.get"],
                    "by": "dana@provider.example", "last_used": (NOW - (number + 1) * DAY) // 1000,
                },
                f"{number:02d}{'a' * 62}": {
                    "name": "automation", "priv": ["org.get", "user.ctrl", "apikey.ctrl"],
                    "by": "root@provider.example", "allowed_ip_range": "203.0.113.0/28",
                    "last_used": (NOW - 3_600_000) // 1000,
                },
            }  # fmt: skip
            for extra in range(each - 2):
                keys[f"{number:02d}{extra:062d}"] = {
                    "name": f"siem-{extra:02d}", "priv": ["insight.det.get"], "by": "kim@acme.example",
                    "allowed_ip_range": "198.51.100.0/24",
                }  # fmt: skip
            ingest.put_keys(connection, oid, keys, now=NOW - 20 * DAY)
            ingest.put_sync_state(connection, oid, "keys", checked_at=NOW - 60_000, attempted_at=NOW - 60_000)
        append(
            connection,
            "mk",
            "key.create",
            oid_of(1),
            "siem-00",
            {"step": "intent", "known": []},
            now=NOW - 5_000,
        )
        put_deadline(
            connection, "rotation", NOW + DAY,
            [AccessChange("delete_key", oid=oid_of(2), principal=f"02{'0' * 62}")],
            title="old", by="mk", now=NOW,
        )  # fmt: skip
    return store


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


def counts(host: Host) -> str:
    return str(host.screen.query_one(TitleLine).text)


async def test_keys_of_one_name_stand_together_with_what_they_may_and_from_where(empty_store: Store) -> None:
    host = Host(with_keys(empty_store), ApiKeys)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        text = text_of(host)
        assert text.count("automation") >= 5
        assert text.index("automation") < text.index("ci-deploy[bulk]")
        assert "3!" in text
        assert "203.0.113.0/28" in text
        assert "anywhere" in text
        assert "15 keys" in counts(host)
        assert "Master of its organization: apikey.ctrl, user.ctrl" in text
        assert host.view.filter_by("used:never held:no")
        await until(pilot, lambda: "1 of 15" in counts(host))
        await still(pilot)
        assert "Nobody has its secret" in text_of(host)
        assert host.view.filter_by("ending:yes")
        await until(pilot, lambda: "ending" in counts(host))
        await still(pilot)
        assert "is deleted at" in text_of(host)


async def test_a_filter_that_means_nothing_says_so_and_one_that_leaves_nothing_shows_that(
    empty_store: Store,
) -> None:
    host = Host(with_keys(empty_store), ApiKeys)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert not host.view.filter_by("colour:red")
        assert "not a column" in host.screen.query_one(KeyLine).text
        assert host.view.filter_by("no-such-key")
        await until(pilot, lambda: "0 of 15" in counts(host))
        await still(pilot)
        assert "No key is left by the filter" in text_of(host)
        await pilot.press("x")
        assert "no key to revoke" in host.screen.query_one(KeyLine).text
        await pilot.press("escape")
        await until(pilot, lambda: "15 keys" in counts(host))
    assert host.asked == []


async def test_requests_carry_ids_of_the_marks_or_of_the_cursor(empty_store: Store) -> None:
    host = Host(with_keys(empty_store), ApiKeys)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        first = host.view.table.current
        await pilot.press("n", "R", "x", "m")
        await pilot.press("2", "space", "x")
        await still(pilot)
        marked = tuple((row.oid, str(row.key_hash)) for row in host.view.table.marks.values())
        await pilot.press("X")
        assert "/ filters first" in host.screen.query_one(KeyLine).text
        assert host.view.filter_by("siem")
        await until(pilot, lambda: "5 of 15" in counts(host))
        await pilot.press("X")
        await still(pilot)
    one = (first.oid, str(first.key_hash))
    assert host.asked == [
        CreateKey(first.oid), RotateKey(*one), RevokeKeys((one,)), ShowAccess(first.oid), RevokeKeys(marked),
        RevokeKeys(line="siem"),
    ]  # fmt: skip
    assert len(marked) == 2


async def test_marks_of_keys_that_are_gone_are_taken_away(empty_store: Store) -> None:
    store = with_keys(empty_store)
    host = Host(store, ApiKeys)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("2", "space")
        await until(pilot, lambda: "2 marked" in counts(host))
        gone = next(iter(host.view.table.marks.values()))
        with store.writing() as connection:
            ingest.put_keys(connection, gone.oid, {}, now=NOW)
        await until(pilot, lambda: "1 marked" in counts(host))


async def test_thousands_of_keys_are_walked_by_pages_to_the_end_and_back(empty_store: Store) -> None:
    host = Host(with_keys(empty_store, each=600), ApiKeys)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "3,000 keys" in counts(host)
        await pilot.press("G")
        await until(pilot, lambda: str(host.view.table.current.name) == "siem-99")
        await pilot.press("g")
        await until(pilot, lambda: str(host.view.table.current.name) == "automation")
        for _ in range(8):
            await pilot.press("pagedown")
        await until(pilot, lambda: str(host.view.table.current.name).startswith("siem"))


async def test_a_scope_and_a_locked_console(empty_store: Store) -> None:
    host = Host(with_keys(empty_store), ApiKeys, scope=Scope("customer-1", "Borealis", oid_of(1)))
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "3 keys" in counts(host)
        for key in ("n", "R", "x"):
            await pilot.press(key)
            assert "read-only" in host.screen.query_one(KeyLine).text
    assert host.asked == []


async def test_no_text_of_a_stranger_reaches_the_terminal_raw(empty_store: Store) -> None:
    fill(empty_store, detections=0)
    texts = [text for text in everything() if len(text) < 400]
    with empty_store.writing() as connection:
        keys = {
            f"{number:064d}": {"name": text, "priv": ["org.get", text], "by": text, "allowed_ip_range": text}
            for number, text in enumerate(texts)
        }
        ingest.put_keys(connection, oid_of(0), keys, now=NOW)
    host = Host(empty_store, ApiKeys)
    async with host.run_test(size=(160, 50)) as pilot:
        await ready(pilot)
        for _ in range(len(texts) // 24 + 1):
            await pilot.press("pagedown")
            await still(pilot)
            host.view.rested()
            update = host.screen._compositor.render_update(full=True)
            assert update is not None
            parts = OWN.split(update.render_segments(host.console))
            assert not [ascii(part) for part in parts if forbidden(part)]
    assert host.guard.hits == 0


# -- the dialog with the secret ------------------------------------------------------------------------------


def a_secret(copied: list[str] | None = None) -> ShowSecret:
    async def copy() -> str:
        if copied is not None:
            copied.append(SECRET)
        return "Copied into tmux, 36 characters; it is kept nowhere else."

    return ShowSecret(
        line(("The secret of the new key  ticket-bot  of  Acme Dental", "bold")), lambda: SECRET, copy
    )


@pytest.mark.parametrize(("keys", "answer"), [(["y"], "shown"), (["c", "y"], "copied"), (["escape"], "")])
async def test_the_secret_is_taken_or_not_and_no_dialog_keeps_it(keys: list[str], answer: str) -> None:
    copied: list[str] = []
    app = Asking(a_secret(copied))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: SECRET in text_of(app))
        for key in keys:
            await pilot.press(key)
            await still(pilot)
        await until(pilot, lambda: app.answer is not Asking.NOTHING)
        assert SECRET not in text_of(app)
    assert app.answer == answer
    assert copied == ([SECRET] if "c" in keys else [])
    assert app.dialog._reveal is None


async def test_no_other_key_takes_or_shows_it_again() -> None:
    app = Asking(a_secret())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: SECRET in text_of(app))
        await pilot.press("enter", "space", "q", "n", "j")
        await still(pilot)
        assert app.answer is Asking.NOTHING


# -- pictures ------------------------------------------------------------------------------------------------


def test_picture(empty_store: Store, snap_compare: Any) -> None:
    assert snap_compare(Host(with_keys(empty_store), ApiKeys), terminal_size=(80, 24), run_before=ready)


def test_picture_wide(empty_store: Store, snap_compare: Any) -> None:
    async def before(pilot: Any) -> None:
        await ready(pilot)
        await pilot.press("G", "space", "k", "k", "k")
        await still(pilot)
        pilot.app.view.rested()
        await still(pilot)

    assert snap_compare(Host(with_keys(empty_store), ApiKeys), terminal_size=(120, 40), run_before=before)


def test_picture_empty(empty_store: Store, snap_compare: Any) -> None:
    fill(empty_store, detections=0)
    assert snap_compare(Host(empty_store, ApiKeys), terminal_size=(80, 24), run_before=ready)


def test_picture_of_a_new_key(snap_compare: Any) -> None:
    from console.requests.apikeys import asking, fields
    from store.keyrecipes import recipes

    async def before(pilot: Any) -> None:
        await still(pilot)
        await pilot.press("enter")
        await still(pilot)

    dialog = FillIn(asking("Acme Dental", recipes(), 0), fields("203.0.113.0/28"), does="make it",
        wrong=lambda _values: "A key needs a recipe, or permissions.")  # fmt: skip
    assert snap_compare(Asking(dialog), terminal_size=(80, 24), run_before=before)


def test_picture_of_the_secret(snap_compare: Any) -> None:
    """An invented one: a real one is in no picture."""
    assert snap_compare(Asking(a_secret()), terminal_size=(80, 24), run_before=still)


def test_picture_of_a_revocation(empty_store: Store, snap_compare: Any) -> None:
    from console.requests.apikeys import revoking, to_be_typed
    from store.keyfilter import KeyFilter
    from store.queries.apikeys import every

    with with_keys(empty_store).reader.reading() as connection:
        rows = every(connection, KeyFilter())
    held = ((oid_of(0), "Acme Dental"),)
    dialog = TypeName(revoking(rows, held, NOW), to_be_typed(rows, held), does="revoke")
    assert snap_compare(Asking(dialog), terminal_size=(80, 24), run_before=still)


async def test_a_revocation_names_every_protected_organization(empty_store: Store) -> None:
    from console.requests.apikeys import revoking, to_be_typed
    from store.keyfilter import KeyFilter
    from store.queries.apikeys import every

    with with_keys(empty_store).reader.reading() as connection:
        rows = every(connection, KeyFilter())
    held = tuple((oid_of(number), name) for number, (name, _) in enumerate(CUSTOMERS))
    app = Asking(TypeName(revoking(rows, held, NOW), to_be_typed(rows, held), does="revoke"))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press("ctrl+down")
        await still(pilot)
        flat = " ".join(text_of(app).replace("│", " ").split())
    assert f"Protected: {', '.join(name for name, _ in CUSTOMERS)}" in flat
    assert "For them type 5 protected organizations" in flat
