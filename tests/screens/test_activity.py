"""What limegrove did, on a real store."""

from dataclasses import replace

import pytest

from screens.activity import Activity, run_state, seconds_left
from screens.context import Scope
from screens.frame import Line
from screens.requests import Back, ShowAccess, ShowOrganization
from store import ingest, journal
from store.database import Store
from store.queries.activity import Run
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def act(store: Store, *, text: str = "") -> None:
    """One run that partly failed, one that runs; two entries of the journal."""
    with store.writing() as connection:
        first = ingest.begin_run(connection, now=NOW - 3_600_000, organizations=5)
        ingest.end_run(
            connection, first, now=NOW - 3_540_000, done=5, detections_new=60, requests=120,
            failed=[{"oid": oid_of(3), "reason": text or "The key was refused (401)."}],
        )  # fmt: skip
        second = ingest.begin_run(connection, now=NOW - 20_000, organizations=5)
        ingest.touch_run(
            connection, second, now=NOW - 1_000, done=2, detections_new=7, requests=33, note=text
        )
        journal.append(
            connection,
            text or "root@soc",
            "tree.import",
            "",
            text or "9 nodes",
            {"nodes": 9},
            now=NOW - 7_200_000,
        )
        journal.append(
            connection,
            "root@soc",
            "org.forget",
            oid_of(2),
            "Cedar Clinic",
            {"why": text or "left"},
            now=NOW - 60_000,
        )


async def ready(pilot) -> None:
    host = pilot.app
    await until(pilot, lambda: host.view.look != "loading")
    await still(pilot)


async def settled(pilot, words: str) -> None:
    await until(pilot, lambda: words in text_of(pilot.app))


async def test_a_running_sync_says_how_far_it_is_and_what_is_left(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "2 of 5 organizations [########............]")
        assert "sync running 2 of 5, 30 s left" in text_of(host).splitlines()[1]
        assert "[ Sync 2 ]" in text_of(host)
        assert host.guard.hits == 0


async def test_what_failed_in_a_run_is_named_with_its_reason(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await settled(pilot, "x Delta Ltd: The key was refused (401).")
        assert "60 new detections, 120 requests" in text_of(host)
        await pilot.press("enter", "m")
        assert host.asked == [ShowOrganization(oid_of(3)), ShowAccess(oid_of(3))]


async def test_it_follows_a_run_that_goes_on(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test() as pilot:
        await ready(pilot)
        with filled_store.writing() as connection:
            ingest.end_run(connection, 2, now=NOW, done=5, failed=[])
        await settled(pilot, "o done")
        assert "sync done 5 of 5" in text_of(host)


async def test_the_sections_are_switched_and_each_keeps_its_cursor(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "right_square_bracket")
        await settled(pilot, "[ Not read 1 ]")
        await settled(pilot, "auth: The key was refused (401).")
        assert host.focused.id == "failures"
        await pilot.press("right_square_bracket")
        await settled(pilot, "[ Journal 2 ]")
        await settled(pilot, "on Cedar Clinic")
        assert "org.forget" in text_of(host)
        await pilot.press("j")
        await settled(pilot, "nodes  9")
        await pilot.press("enter")
        assert "This line belongs to no single organization." in text_of(host)
        await pilot.press("right_square_bracket")
        await settled(pilot, "[ Sync 2 ]")
        assert host.view.table.current.id == 1
        await pilot.press("left_square_bracket")
        await settled(pilot, "[ Journal 2 ]")


async def test_the_keys_return_to_the_shown_section_after_the_command_line(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test() as pilot:
        await ready(pilot)
        await pilot.press("left_square_bracket", "colon")
        await still(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: host.focused is not None and host.focused.id == "journal")


async def test_a_filter_is_looked_for_in_every_section(filled_store):
    act(filled_store)
    host = Host(filled_store, Activity)
    async with host.run_test() as pilot:
        await ready(pilot)
        assert host.view.filter_by("cedar")
        await still(pilot)
        await settled(pilot, "[ Sync 0 ]  Not read 0    Journal 1")
        assert "Nothing here matches the filter" in text_of(host)
        await pilot.press("escape")
        await settled(pilot, "[ Sync 2 ]")
        await pilot.press("escape")
        assert host.asked == [Back()]


async def test_failures_are_those_of_the_scope(filled_store):
    host = Host(filled_store, Activity, scope=Scope("gold", "Gold"))
    async with host.run_test() as pilot:
        await ready(pilot)
        await settled(pilot, "Not read 0")
        host.go(Scope("silver", "Silver"))
        await settled(pilot, "Not read 1")


async def test_a_strangers_text_cannot_steer_the_terminal(filled_store):
    act(filled_store, text=HOSTILE)
    with filled_store.writing() as connection:
        ingest.put_sync_state(
            connection, oid_of(1), "keys", attempted_at=NOW, failure="denied", reason=HOSTILE
        )
    host = Host(filled_store, Activity)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await settled(pilot, "x Delta Ltd: \\x1b]0;x\\x07[@click=app.quit]Evil[/]\\u202e")
        for _ in range(2):
            await pilot.press("right_square_bracket")
            await still(pilot)
            await settled(pilot, "\\x1b]0;x\\x07")
        assert host.guard.hits == 0
        assert host.is_running


def run(**changed) -> Run:
    values = {
        "id": 1, "started_at": NOW - 10_000, "finished_at": None, "seen_at": NOW, "organizations": 10, "done": 2,
        "failed": (), "detections_new": 0, "requests": 0, "note": "",
    }  # fmt: skip
    return Run(**(values | changed))


def test_a_run_is_running_done_partly_failed_or_broken_off():
    failed = (("a", "no"),)
    assert run_state(run(), NOW) == ("unknown", "running")
    assert run_state(run(seen_at=NOW - 600_000), NOW) == ("failed", "broken off")
    assert run_state(run(finished_at=NOW, done=10), NOW) == ("well", "done")
    assert run_state(run(finished_at=NOW, done=10, failed=failed), NOW) == ("partly", "partly")
    assert run_state(run(finished_at=NOW, done=1, failed=failed), NOW) == ("failed", "failed")


@pytest.mark.parametrize(
    ("budget", "paused", "said"),
    [
        ("3.4 of 4 requests/s, 12 waiting", 0, " 3.4 of 4 requests/s, 12 waiting"),
        (f"4 requests/s (this process alone: {'x' * 80}), 12 waiting", 0, ""),
        ("3 of 20 requests/s, 12 waiting and a very long tale", 0, " 3 of 20 requests/s"),
        ("", 34, " paused 34 s by the cloud's rate limit"),
    ],
)
async def test_how_fast_the_cloud_is_asked_stands_beside_the_sections(filled_store, budget, paused, said):
    host = Host(filled_store, Activity)
    host.context.status = replace(host.context.status, budget=budget, paused=paused)
    async with host.run_test(size=(80, 24)) as pilot:
        sections = host.view.query_one("#sections", Line)
        await until(pilot, lambda: "Journal" in sections.text and sections.text.rstrip().endswith(said))
        assert "Sync" in sections.text
        assert len(sections.text) <= 80
        assert said or "requests" not in sections.text


def test_the_time_left_is_told_of_the_pace_so_far():
    assert seconds_left(run(), NOW) == 40
    assert seconds_left(run(done=0), NOW) is None
    assert seconds_left(run(finished_at=NOW), NOW) is None


def test_picture_full(filled_store, snap_compare):
    """Two runs, the failed organization of the second named below."""
    act(filled_store)

    async def before(pilot) -> None:
        await ready(pilot)
        await pilot.press("j")
        await settled(pilot, "x Delta Ltd: The key")
        await still(pilot)

    assert snap_compare(Host(filled_store, Activity), terminal_size=(80, 24), run_before=before)


def test_picture_wide(filled_store, snap_compare):
    """The journal, with what an entry changed below."""
    act(filled_store)

    async def before(pilot) -> None:
        await ready(pilot)
        await pilot.press("left_square_bracket")
        await settled(pilot, "on Cedar Clinic")
        await still(pilot)

    assert snap_compare(Host(filled_store, Activity), terminal_size=(120, 40), run_before=before)


def test_picture_empty(empty_store, snap_compare):
    """Three empty sections; the first says that no sync has run."""
    assert snap_compare(Host(empty_store, Activity), terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    """The store could not be read: one sentence."""
    host = Host(filled_store, Activity, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
