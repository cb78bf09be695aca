"""The view of hand-overs: what is offered, what one hands over, what each key asks for, and how it looks."""

import asyncio
from typing import Any

import pytest

from console.operations import handover as operations
from console.operations import triage
from screens.context import Status
from screens.frame import KeyLine, Line, TitleLine
from screens.guard import forbidden
from screens.handover import Handover
from screens.requests import (
    AcceptItem,
    BounceItem,
    DraftHandover,
    PublishHandover,
    ShowAlerts,
    WithdrawHandover,
    WriteItem,
)
from store.alerts import AlertFilter
from store.database import Store
from store.queries import alerts
from store.triage import Selection
from tests.corpus.strings import everything
from tests.helpers.screens import NOW, Host, detection, fill, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN
from tests.screens.test_search import Broken

HOUR = 3_600_000


def claim(store: Store, who: str, count: int = 6) -> None:
    with store.reader.reading() as connection:
        rows = alerts.page(connection, AlertFilter(who=""), limit=count)
    triage.claim(store, who, Selection(ids=tuple(row.id for row in rows)), now=NOW - 2 * HOUR)


def offer(store: Store, who: str = "dana", *, texts: bool = True) -> Any:
    """`who` holds six alerts and hands them over."""
    claim(store, who)
    made = operations.draft(store, who, now=NOW - HOUR)
    if texts:
        operations.edit(
            store, who, made.items[0].id,
            {"hypothesis": "the backup account is abused", "next_step": "ask IT of Acme", "blocker": "no reply since 13:10"},
        )  # fmt: skip
        operations.annotate(store, who, made.id, "quiet night otherwise")
    whole, _ = asyncio.run(operations.publish(store, who, made.id, now=NOW - HOUR))
    return whole


def seen_by(store: Store, who: str, **options: Any) -> Host:
    host = Host(store, Handover, **options)
    host.context.operator = who
    return host


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)
    await until(
        pilot, lambda: pilot.app.view.look != "full" or pilot.app.screen.query_one("#sections", Line).text
    )
    await still(pilot)


@pytest.fixture
def offered(filled_store: Store) -> Any:
    return offer(filled_store)


async def test_what_is_offered_stands_first_with_its_texts_and_what_was_done(
    filled_store: Store, offered: Any
) -> None:
    host = seen_by(filled_store, "kim")
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        text = text_of(host)
        assert f"To accept {len(offered.items)} of {len(offered.items)}" in text
        for words in (
            "the backup account is abused",
            "ask IT of Acme",
            "no reply since 13:10",
            "claimed",
            "quiet night otherwise",
        ):
            assert words in text
        assert f"{len(offered.items)} to accept" in host.screen.query_one(TitleLine).text
        await pilot.press("a", "b", "enter")
        await still(pilot)
        first = offered.items[0]
    assert host.asked[:2] == [AcceptItem(first.id, first.version), BounceItem(first.id, first.version)]
    assert isinstance(host.asked[2], ShowAlerts)
    assert host.asked[2].filter.startswith(f'oid:{first.oid} status:any cat:"')


async def test_ones_own_are_shown_where_nothing_is_offered_and_can_only_be_written_as_a_draft(
    filled_store: Store,
) -> None:
    claim(filled_store, "dana")
    made = operations.draft(filled_store, "dana", now=NOW)
    host = seen_by(filled_store, "dana")
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert "draft, not published" in text_of(host)
        await pilot.press("a")
        assert "others accept it" in host.screen.query_one(KeyLine).text
        await pilot.press("e", "P", "W", "d")
        await still(pilot)
    assert host.asked == [
        WriteItem(made.items[0].id), PublishHandover(made.id), WithdrawHandover(made.id), DraftHandover(),
    ]  # fmt: skip


async def test_what_somebody_else_took_meanwhile_says_who_has_it(filled_store: Store, offered: Any) -> None:
    host = seen_by(filled_store, "kim")
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await operations.accept(filled_store, "lee", offered.items[0].id, now=NOW)
        await until(pilot, lambda: "o taken" in text_of(host))
        await pilot.press("a")
        await until(pilot, lambda: "lee has accepted it" in host.screen.query_one(KeyLine).text)
    assert host.asked == []


async def test_a_locked_console_looks_and_takes_nothing(filled_store: Store, offered: Any) -> None:
    host = seen_by(filled_store, "kim")
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in ("a", "b", "e", "d", "P", "W"):
            await pilot.press(key)
            assert "read-only" in host.screen.query_one(KeyLine).text
    assert host.asked == []


async def test_the_filter_and_the_scope_narrow_what_is_offered(filled_store: Store, offered: Any) -> None:
    host = seen_by(filled_store, "kim")
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert host.view.filter_by("backup")
        await until(
            pilot,
            lambda: (
                host.view.table.current is not None and host.view.table.current.item.id == offered.items[0].id
            ),
        )
        assert host.view.filter_by("nothing like this")
        await until(pilot, lambda: "No item matches" in text_of(host))
        await pilot.press("escape")
        await until(pilot, lambda: "backup account" in text_of(host))


async def test_nothing_that_a_stranger_wrote_is_obeyed(empty_store: Store) -> None:
    texts = [text[:300] for text in everything() if text.strip()]
    records = [
        (oid_of(n % 5), detection(n, oid_of(n % 5), at=NOW - n * 60_000, cat=text, source_rule=f"r{n}"))
        for n, text in enumerate(texts[:120])
    ]
    await asyncio.to_thread(fill, empty_store, detections=0, extra=records)
    claim(empty_store, texts[3], 120)
    made = operations.draft(empty_store, texts[3], now=NOW)
    for item, text in zip(made.items, texts, strict=False):
        operations.edit(
            empty_store, texts[3], item.id, {"hypothesis": text, "next_step": text, "blocker": text}
        )
    operations.annotate(empty_store, texts[3], made.id, texts[7])
    await operations.publish(empty_store, texts[3], made.id, now=NOW)
    host = seen_by(empty_store, "kim")
    seen = ""
    async with host.run_test(size=(160, 50)) as pilot:
        await ready(pilot)
        for key in ("j", *["pagedown"] * 4, "G", "J", "k", "k"):
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
def test_what_is_offered(snap_compare: Any, filled_store: Store, size: tuple[int, int]) -> None:
    """From dana, the most urgent first; its texts, its SLA, what was done; one is taken, one bounced."""
    whole = offer(filled_store)
    asyncio.run(operations.accept(filled_store, "lee", whole.items[2].id, now=NOW - 60_000))
    operations.bounce(filled_store, "lee", whole.items[3].id, "known scanner", now=NOW - 30_000)
    assert snap_compare(seen_by(filled_store, "kim"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_ones_own(snap_compare: Any, filled_store: Store, size: tuple[int, int]) -> None:
    """A draft, not published; nothing is typed yet."""
    claim(filled_store, "dana")
    operations.draft(filled_store, "dana", now=NOW)
    assert snap_compare(seen_by(filled_store, "dana"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_handed_over(snap_compare: Any, empty_store: Store, size: tuple[int, int]) -> None:
    """One sentence that says what to do."""
    host = seen_by(empty_store, "kim")
    host.context.status = Status(organizations=5, fresh=5, known=True)
    assert snap_compare(host, terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_it_cannot_be_read(snap_compare: Any, size: tuple[int, int]) -> None:
    """One red sentence, and where to look."""

    async def failed(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.view.look == "failed")
        await still(pilot)

    assert snap_compare(Host(None, Handover, reader=Broken()), terminal_size=size, run_before=failed)


def test_what_is_offered_without_colour(
    snap_compare: Any, filled_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No colour at all: late, taken and open are still said."""
    monkeypatch.setenv("NO_COLOR", "1")
    offer(filled_store)
    assert snap_compare(seen_by(filled_store, "kim"), terminal_size=(80, 24), run_before=ready)
