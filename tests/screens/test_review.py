"""The view of access reviews: campaigns, their lines, what each key asks for, and how it looks."""

from dataclasses import replace
from typing import Any

import pytest

from console.operations import reviews as operations
from console.requests.reviews import asked as asked_in_words
from screens.context import UNICODE, Status
from screens.frame import KeyLine, Line, TitleLine
from screens.guard import forbidden
from screens.requests import (
    CloseReview,
    DecideLines,
    ExportReview,
    PlanReview,
    RefreshReview,
    Remember,
    ShowAccess,
    StartReview,
)
from screens.review import Review
from store import ingest, preferences, reviews
from store.database import Store
from store.reviews import ATTESTED, REVOKED, Wanted
from store.tree import TreeNode, replace_tree
from tests.corpus.strings import everything
from tests.helpers.access_worlds import GroupOf, World
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN
from tests.screens.test_search import Broken

HOUR = 3_600_000
PEOPLE = ["dana@provider.example", "kim@acme.example", "lee@provider.example", "sam@provider.example"]


def a_world() -> World:
    oids = [oid_of(number) for number in range(5)]
    world = World(oids, PEOPLE)
    world.groups["9a000000-0000-4000-8000-000000000000"] = GroupOf(
        "Tier 1 analysts", {PEOPLE[0]}, {PEOPLE[0], PEOPLE[2], PEOPLE[3]}, set(oids),
        {"dr.list", "sensor.get", "sensor.list", "sensor.task"},
    )  # fmt: skip
    world.groups["9b000000-0000-4000-8000-000000000000"] = GroupOf(
        "Administrators", {PEOPLE[0]}, {PEOPLE[0]}, set(oids[:4]), {"user.ctrl", "apikey.ctrl", "org.get"}
    )
    world.direct[oids[0], PEOPLE[1]] = {"billing.ctrl", "org.get", "sensor.list"}
    for oid in oids[:3]:
        world.keys[oid, f"hash-{oid[:8]}"] = {"dr.list", "dr.set"}
    return world


def named(store: Store) -> None:
    """The customers' own names: the world calls them otherwise."""
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [
                {"oid": oid_of(number), "name": name}
                for number, name in enumerate(
                    ("Acme Dental", "Borealis Foods", "Cedar Clinic", "Delta Ltd", "Église Saint-Roch")
                )
            ],
            complete=True,
            now=NOW,
        )
        for number in range(5):
            for key in range(3):
                ingest.put_sync_state(c, oid_of(number), "access", checked_at=NOW - HOUR * key)


def begin(store: Store, world: World | None = None, title: str = "Fourth quarter") -> int:
    (world or a_world()).put(store, NOW - 3 * HOUR)
    named(store)
    return operations.start(store, title, Wanted(), operator="dana", now=NOW - 2 * HOUR).id


def decide(
    store: Store, review: int, verdict: int, *principals: str, by: str = "dana", reason: str = ""
) -> None:
    with store.reader.reading() as c:
        lines = [
            (each.id, None)
            for each in reviews.lines(c, review)
            if str(each.principal) in principals and each.waits
        ]
    operations.decide(
        store, review, lines, verdict, operator=by, reason=reason or "needs it for the shift", now=NOW - HOUR
    )


def again(store: Store, world: World) -> None:
    world.put(store, NOW - 60_000)
    named(store)


def seen_by(store: Store, who: str = "kim", **options: Any) -> Host:
    host = Host(store, Review, **options)
    host.context.operator = who
    return host


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)
    view = pilot.app.view
    await until(pilot, lambda: view.look != "full" or view.query_one("#progress", Line).text)
    await still(pilot)


async def opened(pilot: Any) -> None:
    await ready(pilot)
    await pilot.press("enter")
    view = pilot.app.view
    await until(pilot, lambda: view.table.current is not None)
    await until(pilot, lambda: view._detail is not None)
    await still(pilot)


def asked(host: Host) -> list[Any]:
    return [each for each in host.asked if not isinstance(each, Remember)]


async def test_the_campaigns_are_listed_with_how_far_they_have_come(empty_store: Store) -> None:
    review = begin(empty_store)
    decide(empty_store, review, ATTESTED, PEOPLE[2])
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        text = text_of(host)
        assert "Fourth quarter" in text
        assert "1/10" in text
        assert "9 lines of 1 open review wait for a decision" in text
        assert "begun      by dana" in text
        await pilot.press("N")
        await still(pilot)
    assert asked(host) == [StartReview()]


async def test_the_lines_say_what_they_give_where_and_progress_stands_above(empty_store: Store) -> None:
    review = begin(empty_store)
    decide(empty_store, review, ATTESTED, PEOPLE[2])
    decide(empty_store, review, REVOKED, PEOPLE[3], reason="left in May")
    host = seen_by(empty_store)
    async with host.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        text = text_of(host)
        assert "2/10  8 left" in host.screen.query_one("#progress", Line).text
        assert "1 attested, 1 revoked (0 gone)" in text
        assert "is a member of Administrators" in text
        assert "! apikey.ctrl user.ctrl" in text
        assert "4: Acme Dental, Borealis Foods, Cedar Clinic, Delta Ltd" in text
        await pilot.press("G")
        view = host.view
        await until(pilot, lambda: view._detail is not None and view._detail.line.id == view.table.current.id)
        assert str(view.table.current.principal) == PEOPLE[3]
        await until(pilot, lambda: "left in May" in text_of(host))
        await until(pilot, lambda: "not planned yet: P makes the plan" in text_of(host))


async def test_each_key_asks_for_its_own(empty_store: Store) -> None:
    review = begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        row = host.view.table.current
        for key in ("a", "x", "P", "E", "C", "m", "u"):
            await pilot.press(key)
            await still(pilot)
            if key != "u":
                host.view.tell("The console said something, or showed a dialog.")
        assert "Nothing was decided" in host.screen.query_one(KeyLine).text
    assert asked(host) == [
        DecideLines(review, ((row.id, row.version),), ATTESTED),
        DecideLines(review, ((row.id, row.version),), REVOKED),
        PlanReview(review),
        ExportReview(review),
        CloseReview(review),
        ShowAccess(principal=str(row.principal), by="principal"),
    ]


async def test_a_line_carries_what_the_findings_say_of_it_and_hands_it_to_the_question(
    empty_store: Store,
) -> None:
    world = a_world()
    gid = next(iter(world.groups))
    world.groups[gid].members.add(PEOPLE[1])
    with empty_store.writing() as c:
        replace_tree(
            c,
            [
                TreeNode("root", None, "P", parameters={"staff_domains": ["provider.example"]}),
                TreeNode("acme", "root", "A", oid=oid_of(0), parameters={"domains": ["acme.example"]}),
            ],
        )
    begin(empty_store, world)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        leak = next(
            each for each in host.view._shown if each.kind == "member" and each.principal == PEOPLE[1]
        )
        host.view.table.go_to(leak)
        await until(pilot, lambda: "leak: may act on 4 organizations" in text_of(host))
        assert next(each for each in text_of(host).splitlines() if each.startswith(">")).count("CRIT") == 1
        others = [each for each in host.view._shown if each.kind == "key"]
        assert not any(found.kind == "leak" for each in others for found in host.view._wrong(each))
        await pilot.press("a")
        await until(pilot, lambda: asked(host))
    said = asked(host)[-1].findings
    assert said[0][0] == leak.id
    assert said[0][1].startswith("CRIT: may act on 4")
    dialog = asked_in_words(ATTESTED, [leak], said).plain
    assert "! CRIT: may act on 4" in dialog


async def test_m_leads_to_a_key_in_the_organization_that_it_is_of(empty_store: Store) -> None:
    begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("slash", *"kind:key", "enter")
        await until(pilot, lambda: getattr(host.view.table.current, "kind", "") == "key")
        await pilot.press("m")
        await until(pilot, lambda: asked(host))
        asked_for = asked(host)[-1]
        assert isinstance(asked_for, ShowAccess)
        assert (asked_for.principal, asked_for.kind, asked_for.by) == (
            f"hash-{asked_for.oid[:8]}", "key", "organization",
        )  # fmt: skip
        assert asked_for.oid in {oid_of(number) for number in range(3)}


async def test_marks_are_decided_together_and_only_after_the_semicolon(empty_store: Store) -> None:
    review = begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("asterisk")
        await still(pilot)
        assert "10 marked" in host.screen.query_one(TitleLine).text
        for keys in (("a",), ("semicolon", "j", "a")):
            await pilot.press(*keys)
            await still(pilot)
            assert len(asked(host)[-1].lines) == 1
            host.view.tell("The console said something, or showed a dialog.")
        await pilot.press("semicolon", "x")
        await still(pilot)
    last = asked(host)[-1]
    assert (last.verdict, len(last.lines), last.review) == (REVOKED, 10, review)


async def test_after_a_decision_the_cursor_goes_on_to_the_next_line_that_waits(empty_store: Store) -> None:
    review = begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        lines = list(host.view._shown)

        def attest(number: int, who: str) -> None:
            wanted = [(lines[number].id, None)]
            operations.decide(empty_store, review, wanted, ATTESTED, operator=who, reason="fine", now=NOW)

        attest(1, "lee")
        await until(pilot, lambda: host.view._shown[1].standing == "attested")
        await pilot.press("g", "a")
        assert asked(host)[-1].lines[0][0] == lines[0].id
        attest(0, "kim")
        await until(pilot, lambda: host.view._shown[0].standing == "attested")
        await still(pilot)
        assert host.view.table.current.id == lines[2].id


async def test_a_line_that_somebody_else_decided_says_who(empty_store: Store) -> None:
    review = begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        row = host.view.table.current
        decide(empty_store, review, ATTESTED, str(row.principal), by="lee")
        await until(pilot, lambda: not host.view.table.current.waits)
        await still(pilot)
        await pilot.press("x")
        assert "lee attested it; u takes that back." in host.screen.query_one(KeyLine).text
        await until(pilot, lambda: "by lee" in text_of(host))
    assert asked(host) == []


async def test_access_that_changes_meanwhile_is_shown_and_asked_to_be_written_down(
    empty_store: Store,
) -> None:
    world = a_world()
    review = begin(empty_store, world)
    decide(empty_store, review, ATTESTED, PEOPLE[1])
    host = seen_by(empty_store)
    async with host.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        world.direct[oid_of(0), PEOPLE[1]].add("user.ctrl")
        again(empty_store, world)
        await until(pilot, lambda: "1 changed since" in host.screen.query_one("#progress", Line).text)
        await until(pilot, lambda: RefreshReview(review) in host.asked)
        operations.refresh(empty_store, review, now=NOW)
        await pilot.press("n")
        await still(pilot)
        await pilot.press(*"/is:changed", "enter")
        await still(pilot)
        assert [str(each.principal) for each in host.view._shown] == [PEOPLE[1]]
        await until(pilot, lambda: "+user.ctrl" in text_of(host))
        assert "attested   by dana" in text_of(host)
    assert host.asked.count(RefreshReview(review)) == 1


async def test_a_filter_narrows_and_a_wrong_one_is_explained(empty_store: Store) -> None:
    begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press(*"/lee", "enter")
        assert "Open a review first" in host.screen.query_one(KeyLine).text
        await pilot.press("escape")
        await opened(pilot)
        await pilot.press(*"/perm:ctrl", "enter")
        await still(pilot)
        assert {str(each.principal) for each in host.view._shown} == {PEOPLE[0], PEOPLE[1]}
        await pilot.press("slash", *["backspace"] * 9, *"is:wizard", "enter")
        assert "is: takes open" in host.screen.query_one(KeyLine).text
        await pilot.press("escape", "escape")
        await still(pilot)
        assert len(host.view._shown) == 10
        await pilot.press("q")
        await still(pilot)
        assert host.screen.query_one(TitleLine).text.strip().startswith("Access reviews")


async def test_a_lost_connection_is_resumed_at_the_line_where_one_was(empty_store: Store) -> None:
    review = begin(empty_store)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: any(isinstance(each, Remember) for each in host.asked))
        row = host.view.table.current
        await until(pilot, lambda: host.asked[-1] == Remember("review.place.kim", [review, row.id]))
    with empty_store.writing() as c:
        preferences.put(c, "review.place.kim", [review, row.id])
    later = seen_by(empty_store)
    async with later.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: later.view.table.current is not None)
        assert later.view.table.current.id == row.id
    other = seen_by(empty_store, "dana")
    async with other.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert other.view._opened == 0


async def test_a_closed_review_is_read_and_no_longer_decided(empty_store: Store) -> None:
    review = begin(empty_store)
    operations.close(empty_store, review, operator="dana", incomplete=True, now=NOW)
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "CLOSED" in host.screen.query_one(TitleLine).text
        await pilot.press("a")
        assert "closed by dana" in host.screen.query_one(KeyLine).text
        await pilot.press("E")
        await still(pilot)
    assert asked(host) == [ExportReview(review)]


async def test_a_read_only_console_decides_nothing_and_keeps_no_place(empty_store: Store) -> None:
    begin(empty_store)
    host = seen_by(empty_store)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for key in ("a", "x", "u", "P", "C", "N"):
            await pilot.press(key)
            assert "read-only" in host.screen.query_one(KeyLine).text
        await still(pilot)
    assert host.asked == []


async def test_hostile_names_reach_neither_the_terminal_nor_the_guard(empty_store: Store) -> None:
    world = World([oid_of(0)], [])
    for number, text in enumerate(everything()[:120]):
        world.keys[oid_of(0), f"hash-{number}"] = {"dr.list"}
        if text.encode("utf-8", "replace").decode() == text and "\0" not in text:
            world.groups[f"gid-{number}"] = GroupOf(text, set(), {f"{text[:60]}@x"}, {oid_of(0)}, {text[:40]})
    review = begin(empty_store, world, title="a\x1b[2Jb\u202ec[@click=app.quit]")
    decide(empty_store, review, REVOKED, "name of hash-1", reason="x\x1b]52;c;aGk=\x07[/foo]")
    host = seen_by(empty_store)
    async with host.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        for _ in range(12):
            await pilot.press("pagedown")
            await still(pilot)
            for strip in host.screen._compositor.render_strips():
                for segment in strip:
                    assert not forbidden(OWN.sub("", segment.text))
        assert host.guard.hits == 0


async def test_a_store_that_cannot_be_read_says_so(empty_store: Store) -> None:
    host = Host(None, Review, reader=Broken())
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "failed")


async def test_nothing_yet_says_how_to_begin(empty_store: Store) -> None:
    host = seen_by(empty_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        assert "N begins one over the scope" in text_of(host)


def a_picture(store: Store) -> None:
    """A review half done: attested, revoked with a plan, changed, new."""
    world = a_world()
    review = begin(store, world)
    decide(store, review, ATTESTED, PEOPLE[2], PEOPLE[1], by="kim")
    decide(store, review, REVOKED, PEOPLE[3], reason="left the company in May")
    operations.plan(store, review, operator="dana", now=NOW - HOUR)
    world.direct[oid_of(0), PEOPLE[1]].add("user.ctrl")
    world.direct[oid_of(3), "new@delta.example"] = {"org.get", "dr.set"}
    again(store, world)
    operations.refresh(store, review, now=NOW - 60_000)


@pytest.mark.parametrize(("size", "glyphs"), [((80, 24), None), ((160, 48), UNICODE)])
def test_lines_look_like_this(
    empty_store: Store, snap_compare: Any, size: tuple[int, int], glyphs: Any
) -> None:
    a_picture(empty_store)
    host = seen_by(empty_store, **({"glyphs": glyphs} if glyphs else {}))

    async def look(pilot: Any) -> None:
        await opened(pilot)
        await pilot.press("G", "k")
        view = host.view
        await until(pilot, lambda: view._detail is not None and view._detail.line.id == view.table.current.id)
        await still(pilot)

    assert snap_compare(host, terminal_size=size, run_before=look)


def test_campaigns_look_like_this(empty_store: Store, snap_compare: Any) -> None:
    a_picture(empty_store)
    with empty_store.writing() as c:
        number = reviews.start(c, "Keys of the EU", Wanted(kinds=("key",)), by="kim", now=NOW - 90 * HOUR)
        reviews.close(c, number, by="kim", now=NOW - 80 * HOUR, incomplete=True)
    assert snap_compare(seen_by(empty_store), terminal_size=(80, 24), run_before=ready)


def test_nothing_looks_like_this(empty_store: Store, snap_compare: Any) -> None:
    host = seen_by(empty_store)
    host.context.status = replace(Status(), organizations=5, fresh=5, known=True)

    async def look(pilot: Any) -> None:
        await until(pilot, lambda: pilot.app.view.look == "empty")
        await still(pilot)

    assert snap_compare(host, terminal_size=(80, 24), run_before=look)
