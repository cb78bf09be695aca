"""The list of cases and its detail, on a real store."""

from collections.abc import Sequence
from typing import Any

import pytest

from screens.cases import Cases
from screens.context import Scope
from screens.frame import Line
from screens.requests import (
    AddNote,
    ChangeCases,
    CreateCase,
    DecideEdits,
    MergeCases,
    ReadCase,
    ShowOrganization,
)
from store import casework, ingest
from store.cases import CONFLICT, REFUSED
from store.database import Store
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def a_case(number: int, oid: str, **fields: Any) -> dict[str, Any]:
    """One row as Cases list it."""
    return {
        "case_id": f"{oid[:8]}-0000-4000-8000-{number:012d}", "case_number": number, "oid": oid,
        "status": "in_progress", "severity": "high", "classification": "pending",
        "assignees": ["mk@mssp.example"], "tags": ["vip"], "summary": "Encoded PowerShell on host-03",
        "conclusion": "", "detection_count": 1, "created_at": "2026-11-24T12:30:00Z",
        "acknowledged_at": "2026-11-24T12:40:00Z", "resolved_at": None, "closed_at": None,
        "ttr_seconds": None, "merged_into_case_id": None, "detection_cats": ["Encoded"], "sids": [],
    } | fields  # fmt: skip


def work(store: Store, *, text: str = "", extra: Sequence[dict[str, Any]] = ()) -> None:
    """Cases of four customers: one overdue, one in conflict, one that waits, one only here, one closed."""
    one, two, three, four = (oid_of(number) for number in range(4))
    say = text or "Encoded PowerShell on host-03"
    rows = [
        a_case(12, one, severity="critical", summary=say, assignees=[text] if text else ["mk@mssp.example"]),
        a_case(7, two, summary=text or "Scanner touched LSASS", created_at="2026-11-24T13:50:00Z"),
        a_case(8, two, summary="Impossible travel", status="new", assignees=[], severity="medium",
               created_at="2026-11-24T13:55:00Z"),
        a_case(3, three, summary="Old one", status="closed", classification="false_positive",
               closed_at="2026-11-24T13:00:00Z"),
        *extra,
    ]  # fmt: skip
    with store.writing() as connection:
        ingest.put_cases(connection, rows, oids=[one, two, three, four], now=NOW)
        ingest.put_case_events(
            connection,
            one,
            12,
            [
                {"event_id": "e1", "action": "case_created", "by": "ext-cases", "ts": "2026-11-24T12:30:00Z",
                 "metadata": {}},
                {"event_id": "e2", "action": "case_note_added", "by": text or "mk@mssp.example",
                 "ts": "2026-11-24T12:45:00Z",
                 "metadata": {"content": text or "Came by mail.\nParent is outlook.exe.",
                              "note_type": "analysis", "is_public": True}},
                {"event_id": "e3", "action": "case_severity_changed", "by": "kim@mssp.example",
                 "ts": "2026-11-24T12:50:00Z", "metadata": {"old": "high", "new": "critical"}},
            ],
            now=NOW,
        )  # fmt: skip
        ingest.put_case_links(
            connection, one, 12,
            [{"detect_id": "1f2e3d4c-5b6a-4788-9990-000000000000", "detection_cat": text or "Encoded",
              "hostname": text or "host-00"}],
        )  # fmt: skip
        ingest.put_case_items(
            connection, one, 12, "entity",
            [{"entity_id": "i1", "entity_type": "ip", "entity_value": text or "203.0.113.25",
              "verdict": "malicious", "note": text or "C2"}],
        )  # fmt: skip
        ingest.put_case_reading(connection, one, 12, read_at=NOW - 20_000)
        casework.add_edit(
            connection, oid=two, number=7, what="update", wanted={"assignees": [text or "mk"]},
            seen={"assignees": []}, by="mk", now=NOW, state=CONFLICT,
            reason=text or "Somebody changed the case meanwhile: assignees was nobody and is kim.",
            found={"case": {"assignees": [text or "kim"]}},
        )  # fmt: skip
        casework.add_edit(
            connection, oid=two, number=8, what="note",
            wanted={"content": text or "On the train", "note_type": "general", "is_public": False},
            seen={}, by="mk", now=NOW,
        )  # fmt: skip
        casework.put_here(
            connection, four, severity="low", summary=text or "Kept here", detect_ids=[], by="mk",
            now=NOW - 600_000,
        )  # fmt: skip


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def detailed(pilot: Any) -> None:
    """With the detail of the first case open."""
    await ready(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: "#12" in pilot.app.screen.query_one("#case-text").content.plain)
    await still(pilot)


def title(host: Host) -> str:
    return text_of(host).splitlines()[1]


async def test_the_worst_come_first_with_what_is_not_as_the_cloud_has_it(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        lines = text_of(host).splitlines()[3:7]
        assert ["#12" in lines[0], "#7" in lines[1], "#8" in lines[2], "L1" in lines[3]] == [True] * 4
        assert "!! CRIT" in lines[0]
        assert " 2:30 " in lines[0]
        assert " ! " in lines[1]
        assert " ~ " in lines[2]
        assert " L " in lines[3]
        assert "! 1 to decide: u   ~ 1 wait   4 open" in title(host)
        assert host.guard.hits == 0


async def test_the_detail_says_what_was_said_and_held_and_done(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(120, 40)) as pilot:
        await detailed(pilot)
        text = host.screen.query_one("#case-text").content.plain
        for words in (
            "CRIT #12  Encoded PowerShell on host-03", "Europe/Gold/Acme Dental", "who mk@mssp.example",
            "Notes (1)", "analysis, PUBLIC", "Came by mail.", "Parent is outlook.exe.", "Alerts (1)",
            "host-00", "Entities (1)", "ip 203.0.113.25  malicious", "severity changed  high to critical",
        ):  # fmt: skip
            assert words in text, words
        # Read twenty seconds ago: it is not asked for again.
        assert not [each for each in host.asked if isinstance(each, ReadCase)]
        await pilot.press("j")
        await until(pilot, lambda: "CONFLICT" in text_of(host))
        assert "mine    assignees mk  by mk" in text_of(host)
        assert "theirs  assignees kim" in text_of(host)
        await until(pilot, lambda: host.asked == [ReadCase(oid_of(1), 7)])
        assert host.guard.hits == 0


async def test_every_verb_asks_for_the_case_under_the_cursor(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    first = ((oid_of(0), 12),)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("e", "c", "a", "x", "O", "A", "t", "n", "o")
        await pilot.pause()
        assert host.asked == [
            AddNote(oid_of(0), 12),
            *(
                ChangeCases(verb, first)
                for verb in ("claim", "acknowledge", "close", "reopen", "assign", "tag")
            ),
            CreateCase(oid=oid_of(0)),
            ShowOrganization(oid_of(0)),
        ]
        await pilot.press("d")
        await until(pilot, lambda: "Nothing about this case waits" in text_of(host))
        await pilot.press("j", "d")
        await pilot.pause()
        assert host.asked[-1] == DecideEdits(oid_of(1), 7)


async def test_the_marked_are_acted_on_after_a_semicolon(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("semicolon")
        await until(pilot, lambda: "Nothing is marked" in text_of(host))
        await pilot.press("j", "space", "space")
        await until(pilot, lambda: "2 marked" in title(host))
        await pilot.press("semicolon", "x")
        await pilot.pause()
        assert host.asked == [ChangeCases("close", ((oid_of(1), 7), (oid_of(1), 8)))]
        # Without the semicolon it is the one under the cursor.
        await pilot.press("x")
        await pilot.pause()
        assert host.asked[-1] == ChangeCases("close", ((oid_of(3), -1),))
        await pilot.press("k", "semicolon", "M")
        await pilot.pause()
        assert host.asked[-1] == MergeCases(oid_of(1), 8, (7,))


async def test_filters_and_the_undecided(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("u")
        await until(pilot, lambda: "/status:any is:undecided" in title(host))
        await still(pilot)
        assert [row.number for row in host.view.table._rows] == [7]
        await pilot.press("u")
        await until(pilot, lambda: len(host.view.table._rows) == 4)
        assert host.view.filter_by("status:closed class:fp")
        await until(pilot, lambda: [row.number for row in host.view.table._rows] == [3])
        assert not host.view.filter_by("nonsense:x")
        await until(pilot, lambda: "is not a column" in text_of(host))
        assert host.view.filter_by("who:none org:borealis")
        await until(pilot, lambda: [row.number for row in host.view.table._rows] == [8])
        assert host.view.filter_by("is:local")
        await until(pilot, lambda: [row.number for row in host.view.table._rows] == [-1])
        host.view.show_case(oid_of(2), 3)
        await until(pilot, lambda: [row.number for row in host.view.table._rows] == [3])
        assert host.view.pane.display


async def test_a_scope_limits_the_list(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases, scope=Scope("silver", "Europe/Silver"))
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert [row.number for row in host.view.table._rows] == [-1]


async def test_a_locked_console_wants_nothing_and_says_so(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in ("e", "c", "x", "t", "M", "T", "i", "A", "O", "n"):
            await pilot.press(key)
            await until(pilot, lambda: "read-only" in text_of(host))
            await pilot.press("j")
        assert host.asked == []


async def test_it_follows_what_is_read(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        with filled_store.writing() as connection:
            ingest.put_cases(
                connection, [a_case(99, oid_of(0), severity="critical", summary="Just now",
                                    created_at="2026-11-24T13:59:00Z")],
                oids=[oid_of(0)], now=NOW,
            )  # fmt: skip
        await until(pilot, lambda: "Just now" in text_of(host))
        assert "5 open" in title(host)


async def test_nothing_and_trouble_are_looks(empty_store: Store) -> None:
    host = Host(empty_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert host.view.look == "empty"
        assert "No open case in this scope." in text_of(host)
    broken = Host(None, Cases, reader=BrokenReader())
    async with broken.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: broken.view.look == "failed")
        assert "the disk is gone" in text_of(broken)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_strangers_texts_stay_texts(filled_store: Store, size: tuple[int, int]) -> None:
    work(filled_store, text=HOSTILE)
    host = Host(filled_store, Cases)
    async with host.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        for _ in range(4):
            await still(pilot)
            await pilot.press("J", "J", "J", "J", "j")
        await still(pilot)
        assert r"\x1b" in text_of(host)
        assert host.guard.hits == 0
        assert host.is_running


def test_picture_at_80_by_24(filled_store: Store, snap_compare: Any) -> None:
    """Four cases, worst first; the detail of the first below, with its note and its history."""
    work(filled_store)
    assert snap_compare(Host(filled_store, Cases), terminal_size=(80, 24), run_before=detailed)


def test_picture_at_160_by_48(filled_store: Store, snap_compare: Any) -> None:
    """The detail beside the list."""
    work(filled_store)
    assert snap_compare(Host(filled_store, Cases), terminal_size=(160, 48), run_before=detailed)


def test_picture_of_a_conflict_without_colour(
    filled_store: Store, snap_compare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs and words say what colour does: CONFLICT, mine, theirs; what waits and what is refused."""
    monkeypatch.setenv("NO_COLOR", "1")
    work(filled_store)
    with filled_store.writing() as connection:
        casework.add_edit(
            connection, oid=oid_of(1), number=7, what="update", wanted={"status": "new"}, seen={}, by="alerts",
            now=NOW, state=REFUSED, reason="Its alerts are new again, and a case that is closed cannot be.",
        )  # fmt: skip

    async def conflict(pilot: Any) -> None:
        await ready(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: "CONFLICT" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(filled_store, Cases), terminal_size=(80, 24), run_before=conflict)


def test_picture_of_no_case(filled_store: Store, snap_compare: Any) -> None:
    """One sentence: why it is empty, and what to do."""
    assert snap_compare(Host(filled_store, Cases), terminal_size=(80, 24), run_before=ready)


async def test_the_first_line_of_all_names_the_filter_in_force(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert isinstance(host.view.query_one("#title"), Line)
        assert " open " in title(host)


async def test_a_filter_that_is_left_keeps_the_cursor_on_its_case(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        first = host.view.table.current
        await pilot.press("/", *"travel", "enter")
        await until(pilot, lambda: "/travel" in text_of(host))
        await still(pilot)
        wanted = host.view.table.current
        assert wanted.summary == "Impossible travel" != first.summary
        await pilot.press("escape")
        await until(pilot, lambda: "/travel" not in text_of(host))
        await still(pilot)
        assert host.view.table.current == wanted
        await pilot.press("g", "/", *"status:closed", "enter")
        await until(pilot, lambda: "Old one" in text_of(host))
        await pilot.press("escape")
        await until(pilot, lambda: "Old one" not in text_of(host))
        await still(pilot)
        assert host.view.table.current == first


async def test_a_case_without_a_summary_says_what_it_is_about(filled_store: Store) -> None:
    oid = oid_of(0)
    work(
        filled_store, extra=[a_case(21, oid, summary="", severity="critical", detection_cats=["Odd sign-in"])]
    )
    with filled_store.writing() as connection:
        ingest.put_cases(
            connection,
            [a_case(22, oid, summary=" ", severity="critical")],
            oids=[oid],
            now=NOW,
        )
        ingest.put_case_links(
            connection, oid, 22,
            [{"detect_id": "1f2e3d4c-5b6a-4788-9990-000000000005", "detection_cat": "Rare parent of cmd.exe",
              "hostname": "host-05"},
             {"detect_id": "1f2e3d4c-5b6a-4788-9990-000000000000", "detection_cat": "Encoded PowerShell",
              "hostname": "host-00"}],
        )  # fmt: skip
    host = Host(filled_store, Cases)
    async with host.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        lines = text_of(host).splitlines()
        assert "Odd sign-in" in next(line for line in lines if "#21" in line)
        # The gravest of its alerts, not the first.
        assert "Encoded PowerShell host-00" in next(line for line in lines if "#22" in line)
        assert "Encoded PowerShell on host-03" in next(line for line in lines if "#12" in line)


async def test_signs_have_a_head_and_the_counts_name_them(filled_store: Store) -> None:
    work(filled_store)
    host = Host(filled_store, Cases)
    async with host.run_test(size=(140, 60)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        lines = text_of(host).splitlines()
        assert "! 1 to decide: u" in lines[1]
        assert "NOTE" in lines[2]
        await pilot.press("question_mark")
        await until(pilot, lambda: "wait for a decision (!)" in text_of(host))
        assert "~ waits for the cloud" in text_of(host)


async def test_a_long_name_keeps_its_end_which_tells_it_from_others(filled_store: Store) -> None:
    work(filled_store)
    with filled_store.writing() as connection:
        ingest.put_organizations(
            connection,
            [{"oid": oid_of(0), "name": "Northern Lights Veterinary Hospital Group, Oslo"}],
            complete=False,
            now=NOW,
        )
    host = Host(filled_store, Cases)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        row = next(line for line in text_of(host).splitlines() if "#12" in line)
        assert "North" in row
        assert ", Oslo" in row
