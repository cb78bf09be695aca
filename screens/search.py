"""Searches over the past of every organization of a scope (LCQL), and what they found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.row_json import RowJson
from screens.frame import Line, Part, WrittenLine, two_sided
from screens.keys import press
from screens.requests import EndSearch, NewSearch, ShowOrganization, ShowSensor
from screens.view import View
from screens.widgets.row_table import Anchor, Column, Listed, RowTable, Window, read_window
from screens.widgets.text import line
from store.database import Reader
from store.lcql import MOST_OF_ALL, money
from store.queries.searches import Answer, Result, answers, results, searches
from store.queries.searches import Search as Asked
from store.text import safe_text
from store.times import age

SECTIONS: tuple[tuple[str, str], ...] = (("rows", "Rows"), ("answers", "Organizations"))

HEALTH = {
    "done": "well", "running": "partly", "waiting": "unknown", "failed": "failed", "cancelled": "unknown",
    "interrupted": "failed",
}  # fmt: skip
"""State of a search or an answer -> how it is."""


class ResultPages:
    """Rows of one search, page by page, straight from the store."""

    slow = True

    def __init__(self, reader: Reader, search_id: int) -> None:
        self._reader = reader
        self._id = search_id

    def identity(self, row: Result) -> int:
        """Its number in the store."""
        return row.id

    def first(self, limit: int) -> list[Result]:
        """The newest."""
        return self._read(limit=limit)

    def last(self, limit: int) -> list[Result]:
        """The oldest."""
        return self._read(limit=limit, backwards=True)

    def after(self, row: Result, limit: int) -> list[Result]:
        """Behind this one."""
        return self._read(limit=limit, after=(row.time, row.id))

    def before(self, row: Result, limit: int) -> list[Result]:
        """Ahead of this one."""
        return self._read(limit=limit, before=(row.time, row.id))

    def starting(self, row: Result, limit: int) -> list[Result]:
        """From this one on."""
        return self._read(limit=limit, starting=(row.time, row.id))

    def _read(self, **wanted: Any) -> list[Result]:
        with self._reader.reading() as connection:
            return results(connection, self._id, **wanted)


@dataclass(frozen=True)
class Found:
    """One search, its rows around the cursor, and who answered."""

    all: list[Asked]
    asked: Asked | None
    source: ResultPages | Listed[Result]
    window: Window[Result]
    answers: list[Answer]
    shown: int
    """Rows that the filter leaves; all of them without one."""


class Search(View[Found]):
    """The newest search, or an older one: rows with their organization, and each organization's answer."""

    MODE = "search"
    TITLE = "Search"
    CSS_PATH = "search.tcss"
    AUTO_FOCUS = "RowTable.-current"
    READS = frozenset({"lcql_search", "lcql_organization", "lcql_row"})
    EMPTY = (
        "No search was run yet. {search.new=n} asks every organization of the scope (LCQL), "
        "after saying what it costs."
    )
    SCOPED = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new", id="search.new", tooltip="A query; its price is said before it runs"),
        Binding("e", "edit", "edit", id="search.edit", tooltip="This query again, to be changed first"),
        Binding("x", "end", "end it", id="search.end", tooltip="End the search that runs"),
        Binding("enter,J", "json", "row", id="search.json", tooltip="The row as received; why one failed"),
        Binding("S", "sensor", "sensor", id="search.sensor", tooltip="The card of the row's sensor"),
        Binding("o", "organization", "organization", id="search.organization", tooltip="Its organization"),
        Binding(
            "right_square_bracket,left_square_bracket", "section", "answers", id="search.section",
            tooltip="Rows, or what each organization answered",
        ),
        Binding("less_than_sign", "other(1)", "older", id="search.older", tooltip="The search before"),
        Binding("greater_than_sign", "other(-1)", "newer", show=False, id="search.newer",
            tooltip="The search after"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._section = 0
        self._wanted: int | None = None
        """Number of an older search that is looked at; None follows the newest."""
        self._anchor: Anchor[Result] | None = None
        self._page = 64
        self._found: Found | None = None
        self._named: tuple[str, ...] = ()
        self._to_top = True

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """What was asked, the names of the sections, the two lists."""
        cursor = self.context.glyphs.cursor
        yield Line(id="asked")
        yield WrittenLine(self._say_all, id="sections")
        with ContentSwitcher(initial="rows", id="lists"):
            yield RowTable(self._row_columns(()), cursor=cursor, id="rows", classes="-current")
            yield RowTable(self._answer_columns(), cursor=cursor, id="answers")

    @property
    def rows(self) -> RowTable[Result]:
        """What was found."""
        return self.query_one("#rows", RowTable)

    @property
    def table(self) -> RowTable[Any]:
        """The list that is shown."""
        return self.query_one(f"#{SECTIONS[self._section][0]}", RowTable)

    def _row_columns(self, named: Sequence[str]) -> list[Column[Result]]:
        when = self.context.when
        columns: list[Column[Result]] = [
            Column("TIME", lambda row: when(row.time)[5:19] if row.time else "", 14),
            Column("ORGANIZATION", lambda row: row.organization, 14, grow=1, cut="middle"),
        ]
        if not named:
            return [
                *columns,
                Column("HOST", lambda row: row.words.host, 12, grow=1, cut="middle"),
                Column("TYPE", lambda row: row.words.kind, 11, grow=1),
                Column("WHAT", lambda row: row.words.what, 12, grow=6),
            ]
        return columns + [self._cell_column(name, first=not number) for number, name in enumerate(named)]

    def _cell_column(self, name: str, *, first: bool) -> Column[Result]:
        return Column(
            safe_text(name, 30),
            lambda row: row.words.cells.get(name, ""),
            10,
            grow=3 if first else 1,
        )

    def _answer_columns(self) -> list[Column[Answer]]:
        glyphs = self.context.glyphs
        return [
            Column("ORGANIZATION", lambda row: row.name, 20, grow=1, cut="middle"),
            Column(
                "STATE",
                lambda row: f"{glyphs.health[HEALTH[row.state]]} {row.state}",
                11,
                style=lambda row: HEALTH_STYLES[HEALTH[row.state]],
            ),
            Column("ROWS", lambda row: f"{row.rows:,}{'+' if row.cut else ''}", 7, align="right"),
            Column("EVENTS", lambda row: f"{row.scanned:,}" if row.scanned else "", 11, align="right"),
            Column("ESTIMATED", lambda row: money(row.price, row.currency), 18, align="right", from_width=76),
            Column("WHY", lambda row: row.error, 4, grow=3),
        ]

    def prepare(self) -> None:
        """Note where the cursor is."""
        self._anchor = None if self._to_top else self.rows.where()
        self._page = self.rows.page_size

    def read(self, connection: Connection) -> Found:
        """The search that is looked at, a few pages around the cursor, and every organization's answer."""
        everything = searches(connection, now=self.context.clock())
        asked = next((one for one in everything if one.id == self._wanted), None) or (
            everything[0] if everything else None
        )
        number = asked.id if asked is not None else 0
        source: ResultPages | Listed[Result]
        words = self.filter_line.casefold().split()
        shown = asked.rows if asked is not None else 0
        if words:
            kept = [
                row
                for row in results(connection, number, limit=MOST_OF_ALL)
                if all(word in _hay(row) for word in words)
            ]
            source, shown = Listed(kept, key=lambda row: row.id), len(kept)
        else:
            source = ResultPages(self.context.reader, number)
        return Found(
            everything,
            asked,
            source,
            read_window(source, self._anchor, self._page),
            answers(connection, number),
            shown,
        )

    def has_nothing(self, found: Found) -> bool:
        """Whether no search was ever run."""
        return found.asked is None

    def show(self, found: Found) -> None:
        """The rows, the answers, and what was asked."""
        self._found = found
        assert found.asked is not None  # noqa: S101  (asked by `has_nothing`)
        if found.asked.columns != self._named:
            self._named = found.asked.columns
            self.rows.show_columns(self._row_columns(self._named))
        top, self._to_top = self._to_top, False
        self.rows.put(found.source, found.window, top=top)
        self.query_one("#answers", RowTable).put(Listed(found.answers, key=lambda row: row.oid))
        self._say_all()

    def show_empty(self, found: Found) -> None:
        """Keep nothing of before."""
        self._found = found
        self.say(counts="")

    def _say_all(self) -> None:
        found = self._found
        if found is None or found.asked is None:
            return
        asked = found.asked
        sign = self.context.glyphs.health[HEALTH[asked.state]]
        start, end = (self.context.when(each, seconds=False) for each in (asked.since, asked.until))
        self.query_one("#asked", Line).say(
            line(
                (f" {sign} {asked.state}  ", HEALTH_STYLES[HEALTH[asked.state]]),
                (asked.query, "bold"),
                (f"   {asked.stream}, ", "dim"),
                (asked.scope, "dim"),
                (f", {start} to {end}", "dim"),
            )
        )
        failed = sum(1 for each in found.answers if each.state == "failed")
        counts = (
            f"{found.shown:,} of {asked.rows:,}" if self.filter_line else f"{asked.rows:,}",
            len(found.answers),
        )
        parts: list[Part] = []
        for number, ((_, title), count) in enumerate(zip(SECTIONS, counts, strict=True)):
            text = f" {title} {count} "
            here = number == self._section
            parts.append((f"[{text}]" if here else f" {text} ", "bold reverse" if here else ""))
        right: list[Part] = []
        if failed:
            right = [
                (f"{failed:,} failed: {press('search.section', ']')} names them ", HEALTH_STYLES["failed"])
            ]
        sections = self.query_one("#sections", Line)
        sections.say(two_sided(parts, right, sections.size.width))
        place = found.all.index(asked) + 1
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{place} of {len(found.all)}, by {asked.by}, {age(asked.at, self.context.clock())} ago",
        )

    def apply_filter(self, line: str) -> None:
        """Keep the rows that hold every word, anywhere."""
        self._to_top = True

    def close_inner(self) -> bool:
        """The other section, the filter, then an older search."""
        if self._section:
            self.action_section()
        elif self.filter_line:
            self.filter_by("")
        elif self._wanted is not None:
            self._look_at(None)
        else:
            return False
        return True

    def why_not(self, action: str) -> str:
        """What needs a row cannot work without one; a search is billed, so a locked console runs none."""
        asked = self._found.asked if self._found is not None else None
        if action in ("new", "edit") and not self.context.writable:
            return "This console is read-only: a search is billed, and none is run from here."
        if action == "edit" and asked is None:
            return "No search was run yet."
        if action == "end" and (asked is None or asked.state != "running"):
            return "No search runs here."
        if action == "sensor" and (self._section or self.rows.current is None):
            return "No row is under the cursor."
        if action in ("json", "organization") and self.table.current is None:
            return "Nothing is under the cursor."
        if action == "section" and asked is None:
            return "No search was run yet."
        if action == "other" and (self._found is None or len(self._found.all) < 2):
            return "There is no other search."
        return ""

    def on_mount(self) -> None:
        """Ages go on, and a search whose console died is seen to be dead, without the store's doing."""
        self.set_interval(10, self._tick)

    def _tick(self) -> None:
        if self.is_current and self._found is not None and self._found.asked is not None:
            if self._found.asked.state == "running":
                self.reload()
            else:
                self._say_all()

    # -- actions ----------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Write a query."""
        self._look_at(None)
        self.post_message(NewSearch())

    def action_edit(self) -> None:
        """The same one, to be changed."""
        if self._found is not None and (asked := self._found.asked) is not None:
            self._look_at(None)
            self.post_message(NewSearch(query=str(asked.query), stream=asked.stream))

    def action_end(self) -> None:
        """End what runs."""
        if self._found is not None and self._found.asked is not None:
            self.post_message(EndSearch(self._found.asked.id))

    def action_json(self) -> None:
        """The row as it was received; of an organization, why it failed."""
        row = self.table.current
        if isinstance(row, Result):
            self.app.push_screen(RowJson(row))
        elif isinstance(row, Answer):
            self.tell(f"{row.name}: {row.error or row.state}", "warning" if row.error else "plain")

    def action_sensor(self) -> None:
        """The card of the sensor that the row is of."""
        row = self.rows.current
        if row is None:
            return
        sid = _sid(row)
        if sid:
            self.post_message(ShowSensor(row.oid, sid))
        else:
            self.tell("This row does not say of which sensor it is.", "warning")

    def action_organization(self) -> None:
        """Its organization in the tree."""
        if (row := self.table.current) is not None:
            self.post_message(ShowOrganization(row.oid))

    def action_section(self) -> None:
        """The other list."""
        self._section = (self._section + 1) % len(SECTIONS)
        self.query_one("#lists", ContentSwitcher).current = SECTIONS[self._section][0]
        for table in self.query(RowTable):
            table.set_class(table.id == SECTIONS[self._section][0], "-current")
        self.table.focus()
        self.keys_changed()
        self._say_all()

    def action_other(self, step: int) -> None:
        """The search before or after this one."""
        found = self._found
        if found is None or found.asked is None:
            return
        place = found.all.index(found.asked) + step
        if not 0 <= place < len(found.all):
            self.tell("There is none before this one." if step > 0 else "This is the newest one.")
            return
        self._look_at(found.all[place].id if place else None)

    def _look_at(self, number: int | None) -> None:
        if number != self._wanted or number is None:
            self._wanted = number
            self._to_top = True
            self.reload()


def _hay(row: Result) -> str:
    words = row.words
    return "\n".join((row.organization, words.host, words.kind, words.what)).casefold()


def _sid(row: Result) -> str:
    try:
        record = json.loads(row.body)
    except (ValueError, RecursionError):
        return ""
    data = record.get("data") if isinstance(record, dict) else None
    routing = data.get("routing") if isinstance(data, dict) else None
    sid = routing.get("sid") if isinstance(routing, dict) else None
    return sid if isinstance(sid, str) else ""
