"""The matrix as it was at an earlier time, and what changed since, on a real store."""

import pytest
from sqlalchemy import update

from screens.access import Access
from screens.access_then import Then
from screens.dialogs.write_line import WriteLine
from screens.frame import KeyLine
from screens.keys import key_name
from screens.pivots import Cell
from screens.requests import ShowAccess
from store import ingest
from store.models import Organization
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until
from tests.screens.test_access import ACME, ready, rows

DAY = 86_400_000
FIRST, CHANGED = NOW - 10 * DAY, NOW - 2 * DAY
THEN = NOW - 5 * DAY
KIM, DANA, LEE, NEW = "kim@acme.example", "dana@provider.example", "lee@provider.example", "new@acme.example"


def _read(store, now, *, members, direct, keys, perms=("dr.list", "sensor.task")):
    group = {
        "group_id": "g-1", "name": "active-responders", "owners": ["root@provider.example"],
        "members": list(members), "perms": list(perms), "orgs": [{"org_id": ACME}, {"org_id": oid_of(1)}],
    }  # fmt: skip
    with store.writing() as c:
        ingest.put_groups(c, [group], now=now)
        ingest.put_access(c, ACME, {"user_permissions": direct}, now=now)
        ingest.put_keys(c, ACME, keys, now=now)
        for subject in ("access", "keys"):
            ingest.put_sync_state(c, ACME, subject, checked_at=now, attempted_at=now)


@pytest.fixture
def past_store(filled_store):
    """Ten days ago kim had much, dana was in the group and there was a key; since two days it is otherwise.
    Borealis was read two days ago for the first time."""
    key = {"hash-1": {"name": "ci-deploy[bulk]", "priv": ["dr.set", "apikey.ctrl"]}}
    _read(
        filled_store, FIRST, members=[DANA, LEE], direct={KIM: ["sensor.task", "user.ctrl"], LEE: ["dr.set"]},
        keys=key,
    )  # fmt: skip
    _read(
        filled_store, CHANGED, members=[LEE], direct={KIM: ["sensor.task"], LEE: ["dr.list"], NEW: ["org.get"]},
        keys={},
    )  # fmt: skip
    with filled_store.writing() as c:
        c.execute(update(Organization).values(first_seen=FIRST - 9 * DAY))
        ingest.put_access(c, oid_of(1), {"user_permissions": {KIM: ["dr.set"]}}, now=CHANGED)
        ingest.put_sync_state(c, oid_of(1), "access", checked_at=CHANGED, attempted_at=CHANGED)
    return filled_store


async def at(pilot, *, since=False, oid=ACME):
    host = pilot.app
    await ready(pilot, oid)
    host.view.show_then(Then(THEN, since))
    await until(pilot, lambda: host.view._found is not None and host.view._found.then == Then(THEN, since))
    await still(pilot)


def signs(host, row):
    found = host.view._found
    return dict(next(each for each in found.grid.rows if each.key == row).cells)


async def test_a_key_asks_for_a_time_and_shows_what_was_and_another_leads_back(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        assert set(rows(host)) == {f"user:{LEE}", f"user:{KIM}", f"user:{NEW}", "group:g-1"}
        assert "AS IT WAS" not in text_of(host)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(host.screen, WriteLine))
        await pilot.press(*"soon", "enter")
        await until(pilot, lambda: "takes how long ago" in text_of(host))
        await pilot.press(*["backspace"] * 4, *"2999-01-01", "enter")
        await until(pilot, lambda: "lies ahead" in text_of(host))
        await pilot.press(*["backspace"] * 10, *"5d", "enter")
        await until(pilot, lambda: "AS IT WAS ON 2026-11-19 14:00 UTC, 5d ago" in text_of(host))
        await still(pilot)
        assert set(rows(host)) == {f"user:{DANA}", f"user:{KIM}", f"user:{LEE}", "group:g-1", "key:hash-1"}
        assert signs(host, f"user:{KIM}") == {"sensor.task": "D", "user.ctrl": "D"}
        assert "read 5d ago" in text_of(host)
        await pilot.press("N")
        await until(pilot, lambda: "AS IT WAS" not in text_of(host))
        assert f"user:{DANA}" not in rows(host)
        assert host.asked == []


async def test_what_changed_since_is_marked_as_what_is_staged_is(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await at(pilot)
        await pilot.press("equals_sign")
        await until(pilot, lambda: "SINCE 2026-11-19 14:00 UTC" in text_of(host))
        await still(pilot)
        assert signs(host, f"user:{KIM}") == {"sensor.task": "D", "user.ctrl": "-"}
        assert signs(host, f"user:{DANA}") == {"dr.list": "-", "sensor.task": "-"}
        assert signs(host, f"user:{LEE}") == {"dr.list": "~", "dr.set": "-", "sensor.task": "G"}
        assert signs(host, f"user:{NEW}") == {"org.get": "+"}
        assert signs(host, "key:hash-1") == {"dr.set": "-", "apikey.ctrl": "-"}
        assert "group:g-1" not in rows(host), "nothing of it changed"
        changed = {column.key for column in host.view._found.grid.columns}
        assert changed == {"sensor.task", "user.ctrl", "dr.list", "dr.set", "org.get", "apikey.ctrl"}
        await pilot.press("A")
        await until(pilot, lambda: "group:g-1" in rows(host))
        await pilot.press("A")
        await until(pilot, lambda: "group:g-1" not in rows(host))
        assert "+ given - taken ~ otherwise" in text_of(host)
        host.view.table.go(f"user:{KIM}", "user.ctrl")
        await until(pilot, lambda: "now not any more" in text_of(host))
        assert f"{KIM} had user.ctrl on Acme Dental: direct" in text_of(host)
        host.view.table.go(f"user:{LEE}", "dr.list")
        await until(pilot, lambda: "~ now: direct; group active-responders" in text_of(host))
        host.view.table.go(f"user:{NEW}", "org.get")
        await until(pilot, lambda: "+ now: direct" in text_of(host))
        await pilot.press("equals_sign")
        await until(pilot, lambda: "AS IT WAS ON" in text_of(host))


@pytest.mark.parametrize("key", ["space", "e", "w", "P"])
async def test_nothing_is_staged_in_the_past_and_a_sentence_says_so(past_store, key):
    host = Host(past_store, Access)
    async with host.run_test(size=(120, 30)) as pilot:
        await at(pilot)
        host.view.table.go(f"user:{KIM}", "sensor.task")
        await still(pilot)
        last = host.screen.query_one("#keys", KeyLine).text
        assert "enter explain" in last
        assert not any(word in last for word in ("space stage", "e change", "P plan"))
        await pilot.press(key)
        await until(pilot, lambda: "goes back to now, where changes are made" in text_of(host))
        assert host.asked == []


async def test_where_nothing_changed_a_sentence_says_so(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        host.view.show_then(Then(CHANGED + 1, True))
        await until(
            pilot, lambda: "Nothing of Acme Dental changed since 2026-11-22 14:00 UTC" in text_of(host)
        )
        await pilot.press("A")
        await until(pilot, lambda: "group:g-1" in rows(host))


async def test_enter_explains_as_of_then_without_cuts(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(120, 40)) as pilot:
        await at(pilot)
        host.view.table.go(f"user:{DANA}", "sensor.task")
        await still(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "by 1 path, as of 2026-11-19 14:00" in " ".join(text_of(host).split()))
        told = " ".join(text_of(host).split())
        assert f"{DANA} had sensor.task on Acme" in told
        assert "smallest cut" not in told
        assert "second factor" not in told
        await pilot.press("N")
        await until(pilot, lambda: "AS IT WAS" not in text_of(host))


async def test_before_it_was_read_it_is_not_known_and_never_said_to_be_nobody(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        for since in (False, True):
            host.view.show_then(Then(FIRST - DAY, since))
            await until(pilot, lambda since=since: "Not known: who might do what on Acme" in text_of(host))
            told = " ".join(text_of(host).split())
            assert "because it is known only since 2026-11-14T14:00:00Z" in told
            assert "Nobody" not in told
            assert "2026-11-13 14:00 UTC" in told
        await pilot.press("N")
        await until(pilot, lambda: "Not known" not in text_of(host))


async def test_of_the_other_two_sides_what_was_not_read_yet_is_named_and_left_out(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(120, 30)) as pilot:
        await at(pilot, since=True)
        host.view._turn("principal", Cell(KIM, "user", "sensor.task", ACME))
        await until(pilot, lambda: f"user {KIM}" in text_of(host))
        await until(pilot, lambda: "not known then on 4 of 5 organizations" in text_of(host))
        assert list(rows(host)) == [ACME], "all of Borealis would be new"
        host.view._turn("permission", Cell(LEE, "user", "dr.list", ACME))
        await until(pilot, lambda: "permission dr.list" in text_of(host))
        await still(pilot)
        assert [column.key for column in host.view._found.grid.columns] == [ACME]
        host.view._turn("principal", Cell("hash-1", "key", "dr.set", ACME))
        await until(pilot, lambda: "key ci-deploy" in text_of(host))
        await still(pilot)
        assert set(signs(host, ACME).values()) == {"-"}
        host.view._turn("principal", Cell(NEW, "user", "org.get", ACME))
        await until(pilot, lambda: f"user {NEW}" in text_of(host))
        await still(pilot)
        assert signs(host, ACME) == {"org.get": "+"}


async def test_a_group_that_was_made_since_is_all_new_and_of_then_there_was_none(past_store):
    with past_store.writing() as c:
        made = {"group_id": "g-2", "name": "made-later", "owners": [], "members": [KIM], "perms": ["fp.set"],
                "orgs": [{"org_id": ACME}]}  # fmt: skip
        ingest.put_group(c, made, now=CHANGED)
    host = Host(past_store, Access)
    async with host.run_test(size=(120, 30)) as pilot:
        await at(pilot)
        host.view._turn("principal", Cell("g-2", "group", "fp.set", ACME))
        await until(pilot, lambda: "There was no group g-2 on 2026-11-19" in text_of(host))
        await pilot.press("equals_sign")
        await until(pilot, lambda: "SINCE 2026" in text_of(host) and host.view.look == "full")
        await still(pilot)
        assert signs(host, ACME) == {"fp.set": "+"}
        await pilot.press("enter")
        await still(pilot)
        assert "could not be read" not in text_of(host)


async def test_the_command_takes_a_time_with_a_name_or_without(past_store):
    host = Host(past_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        host.view.run_command("access --at 5d")
        await until(pilot, lambda: bool(host.asked))
        host.view.run_command("access Acme Dental --at 2026-11-19")
        await until(pilot, lambda: len(host.asked) == 2)
        assert host.asked == [ShowAccess(at=THEN), ShowAccess(ACME, at=THEN - 14 * 3_600_000)]
        host.view.run_command("access --at 2999-01-01")
        await until(pilot, lambda: "--at lies ahead" in text_of(host))
        host.view.show_asked(ShowAccess(at=THEN))
        await until(pilot, lambda: "AS IT WAS ON" in text_of(host))
        assert f"user:{DANA}" in rows(host)
        host.view.show_asked(ShowAccess(ACME))
        await until(pilot, lambda: "AS IT WAS ON" not in text_of(host))
        await still(pilot)
        assert f"user:{DANA}" not in rows(host)


async def test_help_names_the_keys_and_says_why_they_cannot_work_now(past_store):
    from screens.help import describe

    host = Host(past_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        told = describe(host.view).plain
        assert key_name("equals_sign") == "="
        for key, words in (("T", "as it was at an earlier time"), ("=", "what changed from then to now")):
            assert any(line.split()[:1] == [key] and words in line for line in told.splitlines()), told
        await pilot.press("N")
        await until(pilot, lambda: "This is as it is now" in text_of(host))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
@pytest.mark.parametrize("look", ["then", "since", "unread"])
def test_pictures_of_the_past(snap_compare, past_store, width, height, look):
    host = Host(past_store, Access)

    async def prepared(pilot):
        await ready(pilot, ACME)
        await pilot.press("u")
        host.view.show_then(Then(FIRST - DAY if look == "unread" else THEN, look == "since"))
        await until(pilot, lambda: host.view._found.then is not None)
        await still(pilot)
        if look != "unread":
            host.view.table.go(f"user:{KIM}", "user.ctrl")
        await still(pilot)

    assert snap_compare(host, terminal_size=(width, height), run_before=prepared)
