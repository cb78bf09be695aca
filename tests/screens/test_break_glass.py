"""Break-glass on screen: the countdown in line 1, the form, and what goes on."""

from dataclasses import replace
from typing import Any

import pytest
from textual.geometry import Region

from screens.access import Access
from screens.context import Scope
from screens.dialogs.break_glass import BreakGlass, GlassAnswer, Glasses, Wanted
from screens.frame import WhereLine, left_words
from screens.guard import forbidden
from screens.requests import ShowBreakGlass
from store.breakglass import Effect, Glass
from store.text import Untrusted
from tests.helpers.dialogs import NOTHING, Asking, a_context, answer_of
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until
from tests.screens.test_access import ACME, grant, ready
from tests.screens.test_frame import Names

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
U = Untrusted
MINUTE, HOUR = 60_000, 3_600_000

EFFECT = Effect(
    gid="g-1",
    group=U("Platform Administrators"),
    principal="kim@acme.example",
    declared=False,
    member=False,
    complete=True,
    organizations=tuple(
        (oid_of(n), U(name)) for n, name in enumerate(("Acme Dental", "Borealis", "Cedar", "D"))
    ),
    permissions=("org.get", "user.ctrl", "apikey.ctrl"),
    privileged=("apikey.ctrl", "user.ctrl"),
    protected=((oid_of(0), U("Acme Dental")),),
)
GLASS = Glass(
    id=7, deadline_id=9, gid="g-1", group=U("Platform Administrators"), principal=U("kim@acme.example"),
    reason=U("ransomware at Acme Dental"), ticket=U("INC-42"), by="ada", state=1, started_at=NOW - HOUR,
    given_at=NOW - HOUR, due_at=NOW + HOUR, ended_at=None, ended_by="", end_reason="", tries=0, trouble=U(""),
    organizations=(oid_of(0),), privileged=("user.ctrl",), open=True,
)  # fmt: skip
LATE = replace(GLASS, id=8, due_at=NOW - HOUR, trouble=U("The cloud cannot be reached."), tries=3)


def line_1(host: Host) -> str:
    return host.view.query_one(WhereLine).text


def glass(host: Host, **changed: Any) -> None:
    """Say that one goes on."""
    wanted = {"glasses": 1, "glass_due": NOW + 2 * HOUR, "glass": "kim@acme.example in Responders"} | changed
    host.context.status = replace(host.context.status, **wanted)
    host.context.status_changed.publish(host.context.status)


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (2 * HOUR, "2:00"), (2 * HOUR - 1, "2:00"), (2 * HOUR - MINUTE, "1:59"), (MINUTE + 1, "0:02"),
        (MINUTE, "60 s"), (59_000, "59 s"), (1, "1 s"), (0, "OVERDUE"), (-HOUR, "OVERDUE"),
    ],
)  # fmt: skip
def test_minutes_are_counted_and_seconds_in_the_last_one(left: int, says: str) -> None:
    assert left_words(NOW + left, NOW) == says


@pytest.mark.parametrize(
    ("columns", "says"),
    [(80, "BREAK-GLASS 2:00  prod"), (160, "BREAK-GLASS 2:00 kim@acme.example in Responders  prod")],
)
async def test_line_1_counts_down_as_the_clock_goes(a_store: Any, columns: int, says: str) -> None:
    host = Host(a_store(), Names)
    async with host.run_test(size=(columns, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        glass(host)
        await until(pilot, lambda: says in line_1(host))
        assert "4 of 5 fresh, 1 failed" in line_1(host)
        assert line_1(host).rstrip().endswith("WRITE")
        # The clock of this test stands; what comes is written when the time for it has come.
        host.now = NOW + 2 * HOUR - 1_040
        glass(host)
        await until(pilot, lambda: "BREAK-GLASS 2 s" in line_1(host))
        host.now += 100
        await until(pilot, lambda: "BREAK-GLASS 1 s" in line_1(host), seconds=4)
        host.now += 940
        await until(pilot, lambda: "BREAK-GLASS ends now" in line_1(host), seconds=4)


async def test_what_is_overdue_is_said_before_anything_else_with_the_reason(a_store: Any) -> None:
    host = Host(a_store(), Names, scope=Scope("n", "A scope with a name that is very much too long"))
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        glass(
            host,
            glass_due=NOW - 10 * MINUTE,
            need=12,
            running="sync 34/216",
            glass_trouble="denied",
            glasses=2,
        )
        await until(pilot, lambda: "GLASS OVERDUE 10m" in line_1(host))
        assert "need you" not in line_1(host)
        assert line_1(host).rstrip().endswith("prod  WRITE")
        await pilot.resize_terminal(160, 24)
        host.go(Scope())
        await until(pilot, lambda: "2 BREAK-GLASS OVERDUE 10m kim@acme.example in Responders" in line_1(host))
        glass(host, glasses=0)
        await until(pilot, lambda: "GLASS" not in line_1(host))


async def test_a_tick_paints_the_cells_that_change_alone(
    a_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(a_store(), Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        glass(host)
        await until(pilot, lambda: "BREAK-GLASS 2:00" in line_1(host))
        painted: list[tuple[Region, ...]] = []
        where = host.view.query_one(WhereLine)
        refresh = where.refresh
        monkeypatch.setattr(
            where, "refresh", lambda *regions, **more: painted.append(regions) or refresh(*regions)
        )
        host.now += MINUTE
        where.write()
        assert [[(each.y, each.width, each.height) for each in regions] for regions in painted] == [
            [(0, 4, 1)]
        ]
        painted.clear()
        where.write()
        assert painted == [], "what says the same is not painted"
        host.now += MINUTE
        where.write()
        await still(pilot)
        assert [each.width for regions in painted for each in regions] == [1]
        assert text_of(host).splitlines()[0] == line_1(host).rstrip()


async def test_a_stranger_s_name_in_line_1_is_harmless(a_store: Any) -> None:
    host = Host(a_store(), Names)
    async with host.run_test(size=(160, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        glass(host, glass=HOSTILE, glass_due=NOW - HOUR, glass_trouble=HOSTILE)
        await until(pilot, lambda: "OVERDUE" in line_1(host))
        assert not forbidden(line_1(host))
        assert host.guard.hits == 0


def form(effect: Effect = EFFECT, principal: str = "kim@acme.example") -> BreakGlass:
    def wrong(wanted: Wanted) -> str:
        missing = effect.missing(wanted.typed)
        return f"Type {' and '.join(missing)}." if missing else ""

    return BreakGlass(effect, principal=principal, ends=lambda text: f"Taken back in {text}.", wrong=wrong)


TYPED = (
    *"why",
    "enter",
    *"T-1",
    "enter",
    *"Platform",
    "space",
    *"Administrators",
    "enter",
    *"Acme",
    "space",
    *"Dental",
)


async def test_the_form_is_filled_in_line_by_line_and_answers_once_all_is_typed() -> None:
    assert await answer_of(form(), *TYPED, "enter") == Wanted(
        "kim@acme.example", "why", "T-1", "1h", ("Platform Administrators", "Acme Dental")
    )


async def test_the_form_does_not_answer_before_the_names_are_right() -> None:
    assert await answer_of(form(), *TYPED, "x", "enter") is NOTHING
    assert await answer_of(form(), *TYPED, "x", "escape") is None
    assert await answer_of(form(), *"why", "enter", "enter", "enter") is NOTHING


async def test_a_group_that_is_meant_for_it_asks_for_no_name() -> None:
    effect = replace(EFFECT, declared=True, protected=())
    assert await answer_of(form(effect, ""), *"kim@x", "enter", *"why", "enter", *"T", "enter") == Wanted(
        "kim@x", "why", "T", "1h", ()
    )


async def test_what_goes_on_can_be_ended_extended_and_joined_by_a_new_one() -> None:
    answers = {
        "n": GlassAnswer("start"),
        "x": GlassAnswer("end", 8),
        "e": GlassAnswer("extend", 8),
        "q": None,
    }
    for key, answer in answers.items():
        assert await answer_of(Glasses([LATE, GLASS], a_context()), key) == answer
    assert await answer_of(Glasses([LATE, GLASS], a_context()), "j", "x") == GlassAnswer("end", 7)
    assert await answer_of(Glasses([LATE], a_context(writable=False)), "x") is NOTHING


async def test_hostile_words_do_no_harm_in_either_dialog() -> None:
    effect = replace(
        EFFECT,
        group=U(HOSTILE),
        organizations=((oid_of(0), U(HOSTILE)),),
        protected=((oid_of(0), U(HOSTILE)),),
    )
    row = replace(GLASS, group=U(HOSTILE), principal=U(HOSTILE), reason=U(HOSTILE), ticket=U(HOSTILE),
                  trouble=U(HOSTILE), by=HOSTILE)  # fmt: skip
    for dialog in (form(effect, HOSTILE), Glasses([row], a_context(), said=HOSTILE)):
        app = Asking(dialog)
        async with app.run_test(size=(80, 24)) as pilot:
            await still(pilot)
            assert not forbidden(text_of(app).replace("\n", ""))
            assert app.guard.hits == 0


async def test_b_on_the_matrix_asks_for_the_user_under_the_cursor(filled_store: Any) -> None:
    grant(filled_store)
    host = Host(filled_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        await until(pilot, lambda: host.view.here is not None)
        await pilot.press("B")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ShowBreakGlass(host.view.here.principal)]
        assert "@" in host.view.here.principal
        host.asked.clear()
        await pilot.press("G", "B")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ShowBreakGlass("")], "a key is nobody who joins a group"
        host.asked.clear()
        host.context.writable = False
        await pilot.press("B")
        await until(pilot, lambda: "read-only" in text_of(host))
        assert host.asked == []


async def test_glass_on_the_command_line_asks_for_nobody(a_store: Any) -> None:
    host = Host(a_store(), Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        await pilot.press(*":glass", "enter")
        await until(pilot, lambda: host.asked == [ShowBreakGlass()])


def shown(dialog: Any, snap_compare: Any, *keys: str, size: tuple[int, int] = (80, 24)) -> bool:
    async def ready(pilot: Any) -> None:
        await still(pilot)
        for key in keys:
            await pilot.press(key)
        await still(pilot)

    return bool(snap_compare(Asking(dialog), terminal_size=size, run_before=ready))


SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80", "160"])


@SIZES
def test_picture_of_the_form(snap_compare: Any, size: tuple[int, int]) -> None:
    assert shown(
        form(), snap_compare, *"why", "enter", *"T-1", "enter", *"wrong", "enter", *"x", "enter", size=size
    )


@SIZES
def test_picture_of_what_goes_on(snap_compare: Any, size: tuple[int, int]) -> None:
    assert shown(Glasses([LATE, GLASS], a_context(), said="It ends later."), snap_compare, size=size)


@SIZES
@pytest.mark.parametrize("late", [False, True], ids=["counts", "overdue"])
def test_picture_of_line_1(filled_store: Any, snap_compare: Any, size: tuple[int, int], late: bool) -> None:
    host = Host(filled_store, Names)

    async def ready(pilot: Any) -> None:
        await until(pilot, lambda: host.view.look == "full")
        due = NOW - HOUR if late else NOW + 2 * HOUR
        glass(host, glass_due=due, need=3, glass_trouble="The cloud cannot be reached." if late else "")
        await until(pilot, lambda: "GLASS" in line_1(host))
        await still(pilot)

    assert snap_compare(host, terminal_size=size, run_before=ready)
