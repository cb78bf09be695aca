"""The view of the timeline: one stream of two logs, what each key asks for, strangers' texts, and how it looks."""

import asyncio
from typing import Any

import pytest

from screens.context import Scope, Status
from screens.frame import KeyLine, TitleLine
from screens.guard import forbidden
from screens.requests import Back, ShowAccess, ShowOrganization
from screens.timeline import Timeline
from store import ingest
from store.database import Store
from tests.corpus.strings import everything
from tests.helpers.screens import NOW, Host, fill, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN
from tests.screens.test_search import Broken

HOUR = 3_600
KIM, ROOT, EVE = "kim@acme.example", "root@provider.example", "eve@provider.example"


def log(*entries: tuple[int, str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a group: (hours before NOW, action, by whom, more)."""
    return [
        {"action": action, "actor": actor, "ts": NOW // 1000 - hours * HOUR, **more}
        for hours, action, actor, more in entries
    ]


def tell(store: Store) -> None:
    """A group over two customers, its log, and what two audit logs say; the other three were not read."""
    with store.writing() as c:
        ingest.put_groups(
            c,
            [{"group_id": "g1", "name": "SOC L1", "members": [KIM], "owners": [ROOT], "perms": ["dr.set"],
              "orgs": [{"org_id": oid_of(0)}, {"org_id": oid_of(1)}]}],
            now=NOW,
        )  # fmt: skip
        ingest.put_group_log(
            c,
            "g1",
            log(
                (2000, "create_group", ROOT, {}),
                (1999, "add_org", ROOT, {"oid": oid_of(0)}),
                (900, "add_member", ROOT, {"member_email": KIM}),
                (30, "set_permissions", EVE, {
                    "perms": ["dr.set", "user.ctrl"], "added": ["user.ctrl"], "removed": ["org.get"],
                }),
                (2, "rename", EVE, {"to": "SOC first line"}),
            ),
        )  # fmt: skip
        for number in (0, 1):
            ingest.put_audit(
                c,
                oid_of(number),
                [{"time": NOW - (5 + number) * 3_600_000, "etype": "config_change", "ident": ROOT, "msg": "granted",
                  "entity": {"type": "user", "name": KIM}, "mtd": {"action": "add", "permission": "sensor.task"}}],
            )  # fmt: skip
            ingest.put_sync_state(c, oid_of(number), "audit", checked_at=NOW, attempted_at=NOW)
        ingest.put_sync_state(c, "", "groups", checked_at=NOW, attempted_at=NOW)


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


@pytest.fixture
def told(filled_store: Store) -> Store:
    tell(filled_store)
    return filled_store


def _title(host: Host) -> str:
    return host.screen.query_one(TitleLine).text


async def test_both_logs_are_one_stream_with_who_what_whom_and_where(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        rows = text_of(host).splitlines()[3:]
        assert "rename" in rows[0]
        assert "SOC L1" in rows[0]
        assert "granted sensor.task to" in rows[1]
        assert "Acme Dental" in rows[1]
        assert rows[3].startswith("  !")
        assert "7 events   2 of 5 audit logs" in _title(host)


async def test_the_event_under_the_cursor_is_told_in_full(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(160, 48)) as pilot:
        await ready(pilot)
        assert "Not known here; as it was received:" in text_of(host)
        assert "SOC first line" in text_of(host)
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: "gave user.ctrl: master of the" in text_of(host))
        text = text_of(host)
        for words in (
            "changed what the group SOC L1 gives: +user.ctrl,",
            EVE,
            "2026-11-23 08:00:00 UTC",
            "the group's log",
        ):
            assert words in text


async def test_it_grows_as_the_store_does_and_the_cursor_stays_on_its_event(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("j", "j")
        here = host.view.table.current.id
        with told.writing() as c:
            ingest.put_group_log(
                c, "g1", log((1, "add_member", ROOT, {"member_email": "new@provider.example"}))
            )
        await until(pilot, lambda: "8 events" in _title(host))
        assert "made new@provider.example a member" in text_of(host).splitlines()[3]
        assert host.view.table.current.id == here


async def test_keys_narrow_it_to_a_person_an_actor_a_group_and_a_kind_and_back(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("p")
        assert "The entry does not tell that." in host.screen.query_one(KeyLine).text
        for key, count in (("a", 2), ("u", 5)):
            await pilot.press(key)
            await until(pilot, lambda count=count: f"{count} events" in _title(host))
            await pilot.press(key)
            await until(pilot, lambda: "7 events" in _title(host))
        await pilot.press("j")
        await still(pilot)
        await pilot.press("p")
        await until(pilot, lambda: "3 events" in _title(host))
        await pilot.press("escape")
        await until(pilot, lambda: "7 events" in _title(host))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "/kind:member" in _title(host) and "1 event " in _title(host))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "7 events" in _title(host))
        await pilot.press("escape")
        assert host.asked == [Back()]


async def test_enter_and_t_go_to_the_organization_of_an_event_that_has_one(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        assert "This event is of no single organization." in host.screen.query_one(KeyLine).text
        await pilot.press("j")
        await still(pilot)
        await pilot.press("enter", "t")
        assert host.asked == [ShowAccess(oid_of(0)), ShowOrganization(oid_of(0))]


async def test_a_filter_that_means_nothing_is_explained_and_the_old_one_stays(told: Store) -> None:
    host = Host(told, Timeline)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert host.view.filter_by('by:eve group:"SOC L1" since:2d')
        await until(pilot, lambda: "2 events" in _title(host))
        for line, said in (
            ("kind:nothing", "nothing is no kind; there are member"),
            ("what:x", "what: is not a column; use on, by, group, kind or since"),
            ("since:soon", "since: use a number and a unit"),
            ("by:", "by: needs a value right behind the colon."),
            ('"open', "the quote is not closed"),
        ):
            assert not host.view.filter_by(line)
            assert said in host.screen.query_one(KeyLine).text
        assert host.view.filter_line == 'by:eve group:"SOC L1" since:2d'


async def test_a_scope_has_its_organizations_events_and_those_of_groups_over_them(told: Store) -> None:
    host = Host(told, Timeline, scope=Scope("customer-1", "Borealis Foods"))
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        # Of the group everything but what is of the other customer alone.
        assert "5 events   1 of 1 audit logs" in _title(host)
        assert "Acme Dental" not in text_of(host)


async def test_nothing_that_a_stranger_wrote_is_obeyed(empty_store: Store) -> None:
    texts = [text[:300] for text in everything() if text.strip()][:300]
    await asyncio.to_thread(fill, empty_store, detections=0)
    with empty_store.writing() as c:
        ingest.put_groups(
            c, [{"group_id": "g1", "name": texts[5], "members": [], "owners": [], "orgs": []}], now=NOW
        )
        entries = [
            (n, text, texts[n - 1], {"member_email": text, text: [text]}) for n, text in enumerate(texts)
        ]
        ingest.put_group_log(c, "g1", log(*entries))
        known = [(n, "add_member", text, {"member_email": text}) for n, text in enumerate(texts[:50])]
        ingest.put_group_log(c, "g1", log(*known))
    host = Host(empty_store, Timeline)
    seen = ""
    async with host.run_test(size=(160, 50)) as pilot:
        await ready(pilot)
        for key in ("j", *["pagedown"] * 7, "G", "J", "k", "u"):
            await pilot.press(key)
            await still(pilot)
            update = host.screen._compositor.render_update(full=True)
            assert update is not None
            assert [part for part in OWN.split(update.render_segments(host.console)) if forbidden(part)] == []
            seen += text_of(host)
        assert host.guard.hits == 0, host.guard.samples
    assert "\\x1b" in seen


# -- pictures --------------------------------------------------------------------------------------------

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_the_stream(snap_compare: Any, told: Store, size: tuple[int, int]) -> None:
    """Seven events of two logs, the newest in full: an action that has no words."""
    assert snap_compare(Host(told, Timeline), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_was_done(snap_compare: Any, filled_store: Store, size: tuple[int, int]) -> None:
    """One sentence that says of which logs, and what to do."""
    host = Host(filled_store, Timeline)
    host.context.status = Status(organizations=5, fresh=5, known=True)
    assert snap_compare(host, terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_it_cannot_be_read(snap_compare: Any, size: tuple[int, int]) -> None:
    """One red sentence, and where to look."""

    async def failed(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.view.look == "failed")
        await still(pilot)

    assert snap_compare(Host(None, Timeline, reader=Broken()), terminal_size=size, run_before=failed)


def test_without_colour(snap_compare: Any, told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No colour at all: what gave a privileged permission still has its sign."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Host(told, Timeline), terminal_size=(80, 24), run_before=ready)
