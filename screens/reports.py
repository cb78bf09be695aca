"""Reports before they are written: for whom, with what in them, from which sources, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, TypeAlias

from sqlalchemy import Connection
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, SEVERITY_WORDS, Context
from screens.detailed import Detailed
from screens.detailreading import ReadsDetail
from screens.keys import press
from screens.requests import ShowOrganization, WriteReports
from screens.widgets.row_table import Column, Listed, MarkTable
from screens.widgets.spark import spark
from screens.widgets.text import line
from store.months import moved
from store.reports.customer import CustomerFigures, customer
from store.reports.figures import Figure, Note, Source
from store.reports.listing import Addressee, addressees
from store.reports.periods import Period, month, month_before
from store.times import age

WIDE = 60
"""Cells of the pane where it stands beside the list."""
BEHIND = 24
"""Months back to which `[` leads."""
SLOW = 0.4
"""Seconds after which the pane says that figures are being read: each painting is a kilobyte on the line."""
SECTIONS = "summary, alerts, response, cases, sensors, usage"

STATES: Final = {"whole": "well", "part": "partly", "unknown": "unknown"}
"""State -> health, whose sign and style it has."""
_SOURCES: Final = {
    "detections": "alerts", "triage": "decisions", "cases": "cases", "sensors": "sensors",
    "organization": "quota, online", "usage": "usage",
}  # fmt: skip
_NOTES: Final = {
    "never_read": "never read", "failed": "{kind}: {reason}", "not_over": "so far, as of {at}",
    "known_until": "known until {at} only", "known_since": "known since {at} only",
    "start_unknown": "since when it is known was not kept", "still_reading": "some of it is still being read",
    "pruned": "what is older than {at} was pruned", "days": "figures for {known} of {of} days",
    "no_cases": "no case system any more",
}  # fmt: skip


About: TypeAlias = tuple[str, Period]
"""Whose figures they are, and of which days."""


@dataclass(frozen=True)
class Found:
    """Who is to get a report for which month."""

    period: Period
    rows: list[Addressee]


class Reports(Detailed[Found], ReadsDetail[Found]):
    """The customers of the scope, and the report of the one under the cursor in short."""

    MODE = "reports"
    PANE = "#report"
    TITLE = "Reports"
    EMPTY = "There is no customer here to report to. {app.sync=r} or :sync reads the cloud."
    CSS_PATH = "reports.tcss"
    AUTO_FOCUS = "MarkTable"
    READS = frozenset(
        {
            "organization",
            "node",
            "sync_state",
            "detection",
            "case_record",
            "sensor",
            "usage",
            "configuration_record",
            "customer_document",
        }
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "w", "write('customer')", "write", id="reports.write",
            tooltip="Write the reports of the marked customers, or of this one",
        ),
        Binding(
            "E", "write('executive')", "executive", id="reports.executive",
            tooltip="Write one report over all customers of the scope, for the management",
        ),
        Binding(
            "S", "write('sla')", "SLA", id="reports.sla",
            tooltip="Write one report over all customers of the scope about service levels",
        ),
        Binding(
            "left_square_bracket", "month(-1)", "month", id="reports.month_before",
            tooltip="The month before",
        ),
        Binding(
            "right_square_bracket", "month(1)", "next", id="reports.next_month", tooltip="The next month",
        ),
        Binding("t", "tree", "tree", id="reports.tree", tooltip="The organization in the tree"),
        Binding(
            "J", "scroll_detail(1)", "down", id="reports.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding("K", "scroll_detail(-1)", "up", id="reports.up", show=False, tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._month = ""
        """"" is the last one that is over."""
        self._found: Found | None = None
        self._words: tuple[str, ...] = ()
        self._figures: dict[About, tuple[Found, CustomerFigures | None]] = {}
        """Of this month, each as it was read for a list: those of an older one are shown until there are
        others."""
        self._said: About | None = None
        """Whom the pane is about."""

    def compose_body(self) -> ComposeResult:
        """The list, and what is under the cursor."""
        health = self.context.glyphs.health
        columns: list[Column[Addressee]] = [
            Column(
                "KNOWN", lambda each: f"{health[STATES[each.state]]} {each.state}", 9,
                style=lambda each: HEALTH_STYLES[STATES[each.state]],
            ),
            Column("CUSTOMER", lambda each: each.name, 20, grow=3, cut="middle"),
            Column("LACKS", self._lacks, 15, grow=2),
            Column("BRAND", lambda each: each.brand or "default", 8, grow=1),
            Column("LANGUAGE", lambda each: each.language or "-", 8, from_width=70),
        ]  # fmt: skip
        with Container(id="split"):
            yield MarkTable(columns, cursor=self.context.glyphs.cursor)
            with VerticalScroll(id="report", can_focus=False):
                yield Static("", markup=False)

    def _lacks(self, each: Addressee) -> str:
        return ", ".join(_SOURCES[one.name] for one in each.sources if one.state != "whole") or "nothing"

    @property
    def table(self) -> MarkTable[Addressee]:
        """The list on the screen."""
        return self.query_one(MarkTable)

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The customers of the scope."""
        now = self.context.clock()
        # Each customer's days are those of its own time zone, as its report has them.
        period = month(self._month or month_before(now, self.context.zone_name).label, "")
        return Found(
            period,
            addressees(
                connection, period, scope=self.context.scope.node_id, now=now,
                brand_zone=self.context.brand_zone,
            ),
        )  # fmt: skip

    def has_nothing(self, found: Found) -> bool:
        """Nobody is there."""
        return not found.rows

    def show(self, found: Found) -> None:
        """The list; cursor and marks stay on their customers."""
        if self._found is None or self._found.period != found.period:
            self._figures = {}
        self._found = found
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found, self._figures = found, {}
        self.table.put(Listed([], key=_oid))
        self.say(counts="", filter="")

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        rows = [each for each in found.rows if all(word in _hay(each) for word in self._words)]
        self.table.put(Listed(rows, key=_oid))
        self._say_counts(rows)
        self.detail()
        self.keys_changed()

    def _say_counts(self, rows: Sequence[Addressee]) -> None:
        found = self._found
        if found is None:
            return
        whole = sum(each.state == "whole" for each in rows)
        marked = f", {len(self.table.marks):,} marked" if self.table.marks else ""
        some = f"{len(rows):,} of " if len(rows) != len(found.rows) else ""
        self.say(
            counts=f"{found.period.first:%B %Y}   {whole:,} of {len(rows):,} whole{marked}"
            if not some
            else f"{found.period.first:%B %Y}   {some}{len(found.rows):,}, {whole:,} whole{marked}",
            filter=f"/{self.filter_line}" if self.filter_line else "",
        )

    @on(MarkTable.Marked)
    def _marked(self, event: MarkTable.Marked) -> None:
        event.stop()
        self._lay_out()

    # -- filter and month -------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Words that are part of a name, an oid, a brand or a state."""
        self._words = tuple(line.casefold().split())
        self.filter_line = line
        self._lay_out()

    def close_inner(self) -> bool:
        """The marks, then the filter."""
        if self.table.marks:
            self.table.unmark()
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        return False

    def action_month(self, step: int) -> None:
        """Another month, up to the one that goes on."""
        if self._found is None:
            return
        wanted = moved(self._found.period.label, step)
        last = month_before(self.context.clock(), self.context.zone_name).label
        if not moved(last, -BEHIND) <= wanted <= moved(last, 1):
            self.tell(f"There are the {BEHIND} months behind this one, and the one that goes on.")
            return
        self._month = wanted
        self.reload()

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """The figures that the report of the customer under the cursor would begin with."""
        each, found = self.table.current, self._found
        if each is None or found is None:
            self._said = None
            self._put([Content(f" Nobody is left by the filter; {press('app.back', 'esc')} forgets it.")])
            return
        about = _about(each)
        read_for, figures = self._figures.get(about, (None, None))
        if read_for is not None:
            self._say_figures(each, figures)
        elif self._said != about:
            self._said = about
            self.set_timer(SLOW, partial(self._say_reading, each))
        if read_for is not found:
            self.want_detail(about, again=True)

    def _say_reading(self, each: Addressee) -> None:
        if self.is_mounted and self._said == _about(each) and self._said not in self._figures:
            self._put([line((f" {each.name}", "bold"), "   its figures are being read")])

    def detail_due(self) -> None:
        """What changed since they were read is shown now."""
        self.detail()

    async def read_detail(self) -> bool:
        """The figures of the customer under the cursor, shown if it still is when they have been read."""
        each, found = self._wanted()
        if each is None or found is None:
            return False
        about, now = _about(each), self.context.clock()

        def read() -> CustomerFigures | None:
            with self.context.reader.reading() as connection:
                return customer(connection, each.oid, each.period, now=now)

        try:
            figures = await asyncio.to_thread(read)
        except Exception as error:
            by_now, _ = self._wanted()
            if by_now is None or _about(by_now) != about:
                return False
            self._said = about
            self._put([line((f" {each.name}", "bold"), f"   its figures could not be read: {error}")])
            return True
        self._figures[about] = (found, figures)
        by_now, _ = self._wanted()
        if by_now is None or _about(by_now) != about:
            return False
        self._say_figures(by_now, figures)
        return True

    def _wanted(self) -> tuple[Addressee | None, Found | None]:
        """The customer under the cursor, and the list that it is in."""
        return (self.table.current, self._found) if self.is_mounted else (None, None)

    def _say_figures(self, each: Addressee, figures: CustomerFigures | None) -> None:
        self._said = _about(each)
        self._put(self._lines(each, figures))

    def _put(self, lines: list[Content]) -> None:
        self.say_detail(lines, self.size.width if self.size.width < 120 else WIDE)

    def _lines(self, each: Addressee, figures: CustomerFigures | None) -> list[Content]:
        if figures is None:
            return [line((f" {each.name}", "bold"), "   is not there any more")]
        alerts, sensors = figures.alerts, figures.sensors
        zone = figures.period.zone
        days = f", days of {zone}" if zone != self.context.zone_name else ""
        lines = [
            line(
                (f" {each.name}", "bold"),
                f"   brand {each.brand or 'default'}{f', {each.language}' if each.language else ''}{days}",
            ),
            line(
                f" alerts   {_count(alerts.total)}, {_count(alerts.grave)} high or critical; "
                f"the month before {_count(alerts.before)}"
            ),
        ]
        known = alerts.source.state != "unknown"
        of = " of those known" if alerts.source.state == "part" else ""
        per_day = [sum(day) for day in alerts.days]
        if known and any(per_day):
            lines.append(line(f" by day   {spark(per_day)}{of}"))
        for one in alerts.severities:
            if known and one.total and one.severity >= 3:
                lines.append(
                    line(
                        f" {SEVERITY_WORDS[one.severity].lower():<8} "
                        f"{_count(Figure.count(one.total, alerts.source))}: {one.true_positive:,} true, "
                        f"{one.false_positive:,} false, {one.open:,} open{of}"
                    )
                )
        within = figures.response.within.value
        nothing = f"nothing to measure{of}" if known else "not known"
        lines.append(
            line(" in time  ", nothing if within is None or not known else f"{within:.1f} % acknowledged{of}")
        )
        cases = figures.cases
        lines.append(
            line(" cases    this organization has no case system")
            if cases is None
            else line(" cases    not known")
            if cases.opened.value is None
            else line(f" cases    {_count(cases.opened)} opened, {_count(cases.ended)} ended")
        )
        lines.append(line(f" sensors  {_count(sensors.total)}, online {_count(sensors.online)}"))
        lines.append(line(f" sections {', '.join(each.sections) or f'as the brand has it, else {SECTIONS}'}"))
        lines += [self._source(one) for one in figures.all_sources]
        return lines

    def _source(self, source: Source) -> Content:
        health = STATES[source.state]
        read = (
            "decided here"
            if source.name == "triage"
            else f"read {age(source.read_at, self.context.clock())} ago"
            if source.read_at
            else ""
        )
        parts = [read, source.state, *(self._note(each) for each in source.notes)]
        said = ", ".join(part for part in parts if part)
        return line(
            (f" {self.context.glyphs.health[health]} ", HEALTH_STYLES[health]),
            f"{_SOURCES[source.name]}: ",
            said,
        )

    def _note(self, note: Note) -> str:
        values = {
            name: self.context.when(value, seconds=False) if name == "at" else value
            for name, value in note.values.items()
        }
        return _NOTES[note.key].format(**values)

    # -- requests ---------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What has to be chosen first."""
        if action in ("write", "tree") and self.table.current is None:
            return "Nobody is chosen."
        return ""

    def action_write(self, kind: str) -> None:
        """Ask where, and write."""
        found, current = self._found, self.table.current
        if found is None or current is None:
            return
        rows = list(self.table.marks.values()) or [current]
        oids = tuple(each.oid for each in rows) if kind == "customer" else ()
        self.post_message(WriteReports(kind, oids, found.period.label, self.context.scope.node_id))

    def action_tree(self) -> None:
        """The organization in its place."""
        if (each := self.table.current) is not None:
            self.post_message(ShowOrganization(each.oid))


def _about(each: Addressee) -> About:
    return each.oid, each.period


def _oid(each: Addressee) -> str:
    return each.oid


def _hay(each: Addressee) -> str:
    return f"{each.name}\n{each.oid}\n{each.brand or 'default'}\n{each.language}\n{each.state}".casefold()


def _count(figure: Figure) -> str:
    if figure.value is None:
        return "not known"
    text = f"{figure.value:,.0f}"
    return f"at least {text}" if figure.at_least else text
