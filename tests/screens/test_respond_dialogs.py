"""The dialogs over a machine and over a search: what each answers, what it refuses, and how it looks."""

from dataclasses import replace
from typing import Any

import pytest

from screens.dialogs.choose_sensor import ChooseSensor
from screens.dialogs.row_json import RowJson
from screens.dialogs.search_cost import SearchCost
from screens.dialogs.sensor_card import SensorCard
from screens.dialogs.type_name import Name, Typed, TypeName
from screens.dialogs.write_search import SearchWanted, WriteSearch
from screens.dialogs.write_tag import TagWanted, WriteTag
from screens.guard import forbidden
from screens.widgets.text import line
from store.lcql import Estimate, Question, Quote, words_of
from store.queries.alerts import AlertRow
from store.queries.searches import Result
from store.queries.sensors import SensorCard as Card
from store.queries.sensors import SensorRow, Tag
from store.text import Untrusted, safe_text
from tests.helpers.dialogs import NOTHING, Asking, a_context, answer_of
from tests.helpers.screens import NOW, oid_of, still, text_of
from tests.screens.test_hostile_store import OWN

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
U = Untrusted
HOUR = 3_600_000


def an_alert(number: int, **changed: Any) -> AlertRow:
    made = AlertRow(
        number, U(f"d-{number}"), oid_of(0), U("Acme Dental"), 4 - number % 5, NOW - number * HOUR,
        U(f"Encoded PowerShell download {number}"), U("general.x"), U("acme-fs01"), 0, U("mk" if number else ""),
        False, 4, None, 0, 0, 0, U("7c1f9a2e-0b3c-4d5e-8f60-718293a4b5c6"), None, U(""),
    )  # fmt: skip
    return replace(made, **changed)


CARD = Card(
    oid=oid_of(0),
    organization=U("Acme Dental"),
    path=U("Europe/Gold/Acme Dental"),
    protected=True,
    sid=U("7c1f9a2e-0b3c-4d5e-8f60-718293a4b5c6"),
    hostname=U("acme-fs01"),
    platform="windows",
    architecture="x64",
    online=True,
    as_of=NOW - 2000,
    live=True,
    enrolled=NOW - 90 * 24 * HOUR,
    alive=NOW - 9000,
    internal_ip=U("10.8.4.17"),
    external_ip=U("203.0.113.25"),
    wanted=False,
    isolated=False,
    sealed=False,
    tags=(Tag(U("server"), U("dana@provider.example"), NOW - 40 * HOUR), Tag(U("prod"))),
    alerts=tuple(an_alert(number) for number in range(4)),
    open_alerts=4,
    known=True,
)
STORED = replace(
    CARD, online=None, live=False, as_of=NOW - 3 * HOUR, trouble="Offline.", wanted=True, alerts=(), open_alerts=0,
    tags=(), protected=False, internal_ip=U(""), external_ip=U(""),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "deed"),
    [
        ("i", "isolate"), ("u", "rejoin"), ("t", "tag"), ("T", "untag"), ("r", "again"), ("a", "alerts"),
        ("l", "search"), ("o", "organization"), ("q", None), ("escape", None),
    ],
)  # fmt: skip
async def test_each_key_of_the_card_answers_its_deed(key: str, deed: str | None) -> None:
    assert await answer_of(SensorCard(CARD, a_context()), key) == deed


async def test_what_cannot_be_seen_or_written_is_not_begun() -> None:
    for card, context, why in (
        (STORED, a_context(), "The cloud was not asked"),
        (CARD, a_context(writable=False), "read-only"),
        (replace(CARD, tags=()), a_context(), "has no tag"),
    ):
        key = "T" if why == "has no tag" else "i"
        app = Asking(SensorCard(card, context))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(key)
            await still(pilot)
            assert app.answer is NOTHING
            assert why in text_of(app)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"isolated": True, "wanted": True}, "CUT OFF   confirmed"),
        ({"isolated": False, "wanted": True}, "ASKED FOR"),
        ({"isolated": True, "wanted": False}, "asked to rejoin"),
        ({"isolated": None, "wanted": None}, "not known"),
        ({"online": False}, "offline"),
        ({"online": None}, "not known now"),
        ({"sealed": True}, "nobody can remove"),
    ],
)
async def test_the_card_says_how_the_machine_stands_in_words(changed: dict[str, Any], says: str) -> None:
    app = Asking(SensorCard(replace(CARD, **changed), a_context()))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        assert says in text_of(app)


NAMES = [Name("host", ("acme-fs01", CARD.sid)), Name("customer", ("Acme Dental",))]


def type_name(names: list[Name] = NAMES) -> TypeName:
    return TypeName(line(("Cut off  acme-fs01  of  Acme Dental", "bold")), names, does="cut it off")


async def test_only_the_right_names_answer() -> None:
    typed = [*"acme-fs01", "enter", *"Acme Dental", "tab", *"beacon", "enter"]
    assert await answer_of(type_name(), *typed) == Typed(("acme-fs01", "Acme Dental"), "beacon")
    assert await answer_of(type_name(NAMES[:1]), *"acme-fs01", "enter") == Typed(("acme-fs01",), "")
    assert await answer_of(type_name(NAMES[:1]), *"acme-fs02", "enter") is NOTHING
    assert await answer_of(type_name(NAMES[:1]), "enter") is NOTHING
    assert await answer_of(type_name(), *"acme-fs01", "enter", "enter") is NOTHING
    assert await answer_of(type_name(), *"acme-fs01", "enter", *"Acme", "enter") is NOTHING
    assert await answer_of(type_name(), "y", "enter") is NOTHING
    assert await answer_of(type_name(), "escape") is None


async def test_a_tag_is_one_word_or_more_and_may_end_by_itself() -> None:
    def tag(**more: Any) -> WriteTag:
        return WriteTag("acme-fs01", "Acme Dental", ["server", "prod"], **more)

    assert await answer_of(tag(), *"under watch", "enter") == TagWanted("under watch")
    assert await answer_of(tag(), *"x", "tab", *"12h", "enter") == TagWanted("x", 43_200)
    assert await answer_of(tag(), *"x", "tab", *"soon", "enter") is NOTHING
    assert await answer_of(tag(), *"a,b", "enter") is NOTHING
    assert await answer_of(tag(), "enter") is NOTHING
    assert await answer_of(tag(remove=True), *"prod", "enter") == TagWanted("prod")
    assert await answer_of(tag(remove=True), *"other", "enter") is NOTHING
    assert await answer_of(WriteTag("h", "A", ["one"], remove=True), "enter") == TagWanted("one")
    assert await answer_of(tag(), "escape") is None


def sensors(count: int = 40) -> list[SensorRow]:
    return [
        SensorRow(
            oid_of(0), U("Acme Dental"), U(f"7c1f9a2e-0b3c-4d5e-8f60-{number:012d}"), U(f"acme-{number:02d}"),
            "windows" if number % 3 else "linux", NOW - number * 60_000, number == 5, (U("server"), U("prod")),
        )
        for number in range(count)
    ]  # fmt: skip


async def test_a_machine_is_chosen_by_parts_of_its_name_platform_and_tags() -> None:
    def choose() -> ChooseSensor:
        return ChooseSensor(sensors(), a_context(), organization="Acme Dental")

    assert await answer_of(choose(), *"linux", "down", "enter") == sensors()[3].sid
    assert await answer_of(choose(), *"-07", "enter") == sensors()[7].sid
    assert await answer_of(choose(), *"nothing", "enter") is NOTHING
    assert await answer_of(choose(), "escape") == ""


async def test_a_question_is_checked_before_it_is_answered() -> None:
    def ask(**more: Any) -> WriteSearch:
        return WriteSearch("Europe/Gold", 41, **more)

    found = await answer_of(ask(query="* | * | x"), "enter")
    assert found == SearchWanted("* | * | x", 86_400, words=("24h", ""))
    typed = [
        *"q",
        "tab",
        "ctrl+u",
        *"7d",
        "tab",
        *"1d",
        "tab",
        "ctrl+u",
        *"audit",
        "tab",
        "ctrl+u",
        *"5",
        "enter",
    ]
    assert await answer_of(ask(), *typed) == SearchWanted("q", 604_800, 86_400, "audit", 5, ("7d", "1d"))
    for bad in (
        ["enter"],
        [*"q", "tab", "ctrl+u", *"soon", "enter"],
        [*"q", "tab", "tab", *"2d", "enter"],
        [*"q", "tab", "tab", "tab", *"x", "enter"],
        [*"q", "tab", "tab", "tab", "tab", "ctrl+u", *"0", "enter"],
    ):
        assert await answer_of(ask(), *bad) is NOTHING
    assert await answer_of(ask(), "escape") is None


ESTIMATE = Estimate(
    Question("plat == windows | NEW_PROCESS | event/COMMAND_LINE contains 'enc'", NOW // 1000 - 86_400,
             NOW // 1000, scope="Europe/Gold"),
    (
        Quote(oid_of(0), "Acme Dental", 1.4, "USD cents", 28_000),
        Quote(oid_of(1), "Borealis Foods", 0.0231, "USD cents", 461),
        Quote(oid_of(2), "Cedar Clinic"),
        Quote(oid_of(3), "Delta Ltd", error="This key may not use POST search: insight.evt.get.", kind="denied"),
    ),
)  # fmt: skip


async def test_a_search_runs_only_on_yes() -> None:
    assert await answer_of(SearchCost(ESTIMATE, a_context()), "y") is True
    for no in ("n", "enter", "q", "escape"):
        assert await answer_of(SearchCost(ESTIMATE, a_context()), no) is None


async def test_a_price_names_what_it_lacks_and_who_cannot_be_asked() -> None:
    app = Asking(SearchCost(ESTIMATE, a_context()))
    async with app.run_test(size=(120, 40)) as pilot:
        await still(pilot)
        text = text_of(app)
    assert "Costs about 1.42 USD cents over 2 of 4 organizations, 1 without a price" in text
    assert text.index("Delta Ltd") < text.index("Acme Dental") < text.index("Borealis Foods")
    assert "1 cannot be asked" in text


ROW = {
    "mtd": {"ts": NOW, "stream": "event"},
    "data": {
        "routing": {"hostname": HOSTILE, "event_type": "NEW_PROCESS", "oid": oid_of(0)},
        "event": {"COMMAND_LINE": HOSTILE, HOSTILE: HOSTILE},
    },
}


def hostile_dialogs() -> dict[str, Any]:
    import json

    evil = replace(
        CARD, organization=U(HOSTILE), path=U(HOSTILE), hostname=U(HOSTILE), internal_ip=U(HOSTILE),
        external_ip=U(HOSTILE), trouble=HOSTILE, live=False, sid=U(HOSTILE),
        tags=(Tag(U(HOSTILE), U(HOSTILE), NOW),), alerts=(an_alert(1, cat=U(HOSTILE), assignee=U(HOSTILE)),),
    )  # fmt: skip
    row = replace(sensors(1)[0], hostname=U(HOSTILE), tags=(U(HOSTILE),), platform=HOSTILE)
    quote = Quote(oid_of(0), HOSTILE, 1.0, HOSTILE, 4)
    body = json.dumps(ROW).encode()
    return {
        "card": SensorCard(evil, a_context(), said=HOSTILE),
        "name": TypeName(line((HOSTILE, "bold")), [Name("host", (HOSTILE,))], does="cut it off"),
        "tag": WriteTag(HOSTILE, HOSTILE, [HOSTILE, "x"], remove=True),
        "one tag": WriteTag(HOSTILE, HOSTILE, [HOSTILE], remove=True),
        "choose": ChooseSensor([row], a_context(), organization=HOSTILE),
        "search": WriteSearch(HOSTILE, 3, trouble=HOSTILE),
        "cost": SearchCost(
            Estimate(Question(HOSTILE, 0, 1, scope=HOSTILE), (quote, Quote("o", HOSTILE, error=HOSTILE))),
            a_context(),
        ),
        "row": RowJson(Result(1, NOW, oid_of(0), U(HOSTILE), words_of(ROW), body)),
    }


@pytest.mark.parametrize("name", hostile_dialogs())
async def test_no_dialog_obeys_a_stranger(name: str) -> None:
    app = Asking(hostile_dialogs()[name])
    async with app.run_test(size=(120, 40)) as pilot:
        await still(pilot)
        update = app.screen._compositor.render_update(full=True)
        assert update is not None
        bad = [part for part in OWN.split(update.render_segments(app.console)) if forbidden(part)]
        assert bad == []
        assert app.guard.hits == 0, app.guard.samples
        if name != "one tag":
            assert safe_text("\x1b") in text_of(app)


async def test_a_host_that_no_keyboard_can_type_is_typed_as_it_is_shown() -> None:
    shown = safe_text(HOSTILE)
    names = [Name("host", (shown, HOSTILE, CARD.sid))]
    app = Asking(TypeName(line((HOSTILE, "bold")), names, does="cut it off"))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        app.screen.query_one("#typed-0").value = shown
        await pilot.press("enter")
        await still(pilot)
    assert app.answer == Typed((shown,), "")


# -- pictures --------------------------------------------------------------------------------------------


def shown(dialog: Any, snap_compare: Any, *keys: str, size: tuple[int, int] = (80, 24)) -> bool:
    async def ready(pilot: Any) -> None:
        await still(pilot)
        for key in keys:
            await pilot.press(key)
        await still(pilot)

    return bool(snap_compare(Asking(dialog), terminal_size=size, run_before=ready))


SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_the_card(snap_compare: Any, size: tuple[int, int]) -> None:
    """Host, organization, online, on the network, addresses, tags, four alerts; every key of the last line."""
    assert shown(SensorCard(CARD, a_context()), snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_card_of_the_store(snap_compare: Any, size: tuple[int, int]) -> None:
    """Nobody knows whether it is online; asked for, not confirmed; as old as the store, with the reason."""
    assert shown(SensorCard(STORED, a_context()), snap_compare, "i", size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_names_to_be_typed(snap_compare: Any, size: tuple[int, int]) -> None:
    """Two names, the first one wrong: the sentence says which."""
    assert shown(type_name(), snap_compare, *"wrong", "enter", size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_tag(snap_compare: Any, size: tuple[int, int]) -> None:
    """What it has, the tag, and for how long."""
    assert shown(WriteTag("acme-fs01", "Acme Dental", ["server", "prod"]), snap_compare, *"wat", size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_choice_of_a_machine(snap_compare: Any, size: tuple[int, int]) -> None:
    """Typed `linux`: 14 of 40, the cursor on the second."""
    dialog = ChooseSensor(sensors(), a_context(), organization="Acme Dental")
    assert shown(dialog, snap_compare, *"linux", "down", size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_question(snap_compare: Any, size: tuple[int, int]) -> None:
    """Where it is put, five lines, and what was wrong with the query."""
    dialog = WriteSearch("Europe/Gold", 41, query="plat == x", trouble="bad query: a quote is not closed")
    assert shown(dialog, snap_compare, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_the_price(snap_compare: Any, size: tuple[int, int]) -> None:
    """The query, the window, the price over 2 of 4; the one that cannot be asked first, in red."""
    assert shown(SearchCost(ESTIMATE, a_context()), snap_compare, size=size)


def test_a_row(snap_compare: Any) -> None:
    """The row as JSON, its host made safe."""
    import json

    found = Result(1, NOW, oid_of(0), U("Acme Dental"), words_of(ROW), json.dumps(ROW).encode())
    assert shown(RowJson(found), snap_compare)
