"""What customers are charged for a month, and how full their quotas are. Never an invoice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.billing_words import full_in, number_of_hours, usage_lines
from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.requests import ExportStatement, ReadInvoices, ShowOrganization
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.spark import bar, spark
from screens.widgets.text import line
from store.billing import Charged, Margin, Statement
from store.money import money, share
from store.months import called, day_moved, day_of, first_day, last_day, month_of, moved
from store.pricebook import PriceBookError
from store.queries.billing import READS, UsageRow, Used, book_for, last_month, statement, used
from store.times import age

WIDE = 60
"""Cells of the pane where it stands beside the list."""
BEHIND = 24
"""Months back to which `[` leads."""
DAYS = 30
"""Of usage that is shown."""
SHORT_NOTICE = "Not an invoice."
"""Of `store.billing.NOTICE`, what fits."""

SIGNS = {"complete": "well", "partly": "partly", "missing": "failed"}
"""State of a customer's part -> health, whose sign it has."""


@dataclass(frozen=True)
class Found:
    """What one reading brings: the statement where a price book holds, and the usage when it is looked at."""

    month: str
    statement: Statement | None
    wrong: str
    """Why there is no statement; "" when there is one."""
    used: Used | None


class Billing(Detailed[Found]):
    """Customers with what they are charged and what is left of it, or with what they use."""

    MODE = "billing"
    PANE = "#bill"
    TITLE = "Billing"
    EMPTY = "No organization was a customer in this month."
    CSS_PATH = "billing.tcss"
    AUTO_FOCUS = "#charges"
    READS = READS
    EVERY = 3.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "v", "turn", "usage", id="billing.turn",
            tooltip="From charges to usage and quotas, and back",
        ),
        Binding(
            "left_square_bracket", "month(-1)", "month", id="billing.month_before",
            tooltip="The month before",
        ),
        Binding(
            "right_square_bracket", "month(1)", "next", id="billing.next_month", tooltip="The next month",
        ),
        Binding("enter", "whole", "lines", id="billing.whole", tooltip="The whole detail, and back"),
        Binding(
            "e", "export", "export", id="billing.export",
            tooltip="Write the statement of the scope as CSV, HTML, PDF or Markdown",
        ),
        Binding(
            "I", "invoices", "invoices", id="billing.invoices",
            tooltip="Read LimaCharlie's invoices of this month",
        ),
        Binding("t", "tree", "tree", id="billing.tree", tooltip="The organization in the tree"),
        Binding(
            "J", "scroll_detail(1)", "down", id="billing.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding("K", "scroll_detail(-1)", "up", id="billing.up", show=False, tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._month = ""
        """"" is the last one that is over."""
        self._usage = False
        self._whole = False
        self._wanted: Wanted = Wanted()
        self._found: Found | None = None
        self._asked = (self._month, self._usage)

    def compose_body(self) -> ComposeResult:
        """What the totals are, both lists, and what is under the cursor."""
        cursor = self.context.glyphs.cursor
        yield Static("", id="head", markup=False)
        with Container(id="split"):
            yield RowTable(self._charge_columns(), cursor=cursor, id="charges")
            usage = RowTable(self._usage_columns(), cursor=cursor, id="usage")
            usage.display = False
            yield usage
            with VerticalScroll(id="bill", can_focus=False):
                yield Static("", markup=False)

    @property
    def table(self) -> RowTable[Charged]:
        """Customers and what they are charged."""
        return self.query_one("#charges", RowTable)

    @property
    def quotas(self) -> RowTable[UsageRow]:
        """Customers and what they use."""
        return self.query_one("#usage", RowTable)

    def _charge_columns(self) -> list[Column[Charged]]:
        glyphs = self.context.glyphs.health

        def health(each: Charged) -> str:
            return HEALTH_STYLES[SIGNS[each.state]]

        def loss(each: Charged) -> str:
            return "ansi_red" if (self._margin(each).cents or 0) < 0 else ""

        part = self._part
        return [
            Column("", lambda each: glyphs[SIGNS[each.state]], 1, style=health),
            Column("ORGANIZATION", lambda each: each.name, 20, grow=3, cut="middle"),
            Column("PLAN", lambda each: each.plan or "-", 8, grow=1),
            Column("DAYS", lambda each: f"{each.days}/{each.of_days}", 5, align="right"),
            Column("CHARGED", _charged, 15, align="right"),
            Column(
                "VENDOR", lambda each: part(each, lambda one: one.vendor), 14, align="right", from_width=98
            ),
            Column("TIME", lambda each: part(each, lambda one: one.time), 12, align="right", from_width=110),
            Column("MARGIN", lambda each: part(each, lambda one: one.cents), 14, align="right", style=loss),
            Column("%", self._percent, 4, align="right"),
        ]

    def _usage_columns(self) -> list[Column[UsageRow]]:
        def away(each: UsageRow) -> str:
            return "-" if each.turned_away is None else f"{each.turned_away:,}"

        def away_style(each: UsageRow) -> str:
            return "ansi_yellow" if each.turned_away else ""

        def percent(each: UsageRow) -> str:
            return "-" if each.percent is None else str(each.percent)

        return [
            Column("ORGANIZATION", lambda each: each.name, 20, grow=3, cut="middle"),
            Column("QUOTA", lambda each: bar(min(each.percent or 0, 100), 100, 8), 8, from_width=90),
            Column("USED", lambda each: "-" if each.used is None else f"{each.used:,g}", 7, align="right"),
            Column("OF", lambda each: "-" if each.quota is None else f"{each.quota:,}", 7, align="right"),
            Column("%", percent, 4, align="right", style=_fullness),
            Column("FULL IN", full_in, 7, align="right", style=_fullness),
            Column("AWAY", away, 5, align="right", style=away_style),
            Column("TOLD", lambda each: f"{each.told}/{each.expected}", 5, align="right"),
            Column("LAST WEEKS", lambda each: spark(_series(each)[-24:]), 24, from_width=98),
        ]

    def _margin(self, each: Charged) -> Margin:
        found = self._found.statement if self._found is not None else None
        return found.margin(each) if found is not None else Margin(0, None, None, "")

    def _part(self, each: Charged, part: Callable[[Margin], int | None]) -> str:
        left = self._margin(each)
        cents = part(left)
        return "-" if cents is None else money(cents, left.currency)

    def _percent(self, each: Charged) -> str:
        points = self._margin(each).basis_points
        return "-" if points is None else share(points, 0)

    # -- reading ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Note what is asked for."""
        self._asked = (self._month or last_month(self.context.clock()), self._usage)

    def read(self, connection: Connection) -> Found:
        """The statement of the month; the usage when it is looked at, or when there is nothing else."""
        month, usage = self._asked
        scope, now = self.context.scope.node_id, self.context.clock()
        wrong = ""
        try:
            book = book_for(connection, month)
        except PriceBookError as error:
            book, wrong = None, f"The price book cannot be read: {error}"
        if book is not None:
            made = statement(connection, book, month, scope=scope, now=now)
        else:
            made = None
            wrong = wrong or (
                f"No price book holds for {called(month)}: `limegrove billing prices example` prints one to "
                "begin with, `billing prices import FILE` takes it."
            )
        told = None
        if usage or made is None:
            # Of the month, or of the last days where it is the one that goes on.
            yesterday = day_moved(day_of(now), -1)
            first, last = first_day(month), min(last_day(month), yesterday)
            if last < first:
                first = day_moved(last, 1 - DAYS)
            told = used(connection, scope=scope, first=first, last=last, now=now)
        return Found(month, made, wrong, told)

    def has_nothing(self, found: Found) -> bool:
        """Nobody was a customer, and nothing was used."""
        return not (found.statement and found.statement.customers) and not (found.used and found.used.rows)

    def show(self, found: Found) -> None:
        """The totals, and the list that is looked at."""
        self._found = found
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found = found
        self.table.put(Listed([], key=_oid))
        self.quotas.put(Listed([], key=_oid))
        self.say(counts=called(found.month), filter="")

    @property
    def _shows_usage(self) -> bool:
        return self._usage or (self._found is not None and self._found.statement is None)

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        usage = self._shows_usage
        self.table.display = not usage and not self._whole
        self.quotas.display = usage and not self._whole
        if found.statement is not None:
            shown = [each for each in found.statement.customers if self._wanted.charge(each)]
            self.table.put(Listed(shown, key=_oid))
        if found.used is not None:
            self.quotas.put(Listed([each for each in found.used.rows if self._wanted.usage(each)], key=_oid))
        wanted = self.quotas if usage else self.table
        if self.focused is not wanted and not self._whole:
            self.set_focus(wanted)
        self.say(counts=called(found.month), filter=f"/{self.filter_line}" if self.filter_line else "")
        self.query_one("#head", Static).update(Content("\n").join(self._head(found)))
        self.detail()
        self.keys_changed()

    def _head(self, found: Found) -> list[Content]:
        """Two lines: the totals, and what they rest on."""
        made = found.statement
        if self._shows_usage and found.used is not None:
            told = found.used
            said = f" {told.told:,} of {len(told.rows):,} organizations told every day"
            lacking = ", ".join(str(row.name) for row in told.lacking[:3])
            more = f", and {len(told.lacking) - 3:,} more" if len(told.lacking) > 3 else ""
            away = [row.turned_away for row in told.rows if row.turned_away is not None]
            full = sum(row.days_left == 0 for row in told.rows)
            soon = sum(0 < (row.days_left or 0) <= DAYS for row in told.rows)
            first = (
                line((f" {found.wrong}", HEALTH_STYLES["partly"]))
                if made is None
                else line(
                    (f" {full:,} full", "bold" if full else ""), f", {soon:,} full within {DAYS} days, ",
                    f"sensors turned away: {sum(away):,}",
                    (f" ({len(away):,} of {len(told.rows):,} logs read)", "dim"),
                )
            )  # fmt: skip
            return [
                first,
                line(
                    (said, "dim"), (f"; lacking: {lacking}{more}" if lacking else "", HEALTH_STYLES["partly"])
                ),
            ]
        if made is None:
            return [line((f" {found.wrong}", HEALTH_STYLES["partly"])), Content("")]
        parts: list[str | tuple[str, str]] = [" "]
        for currency, cents in sorted(made.totals.items()):
            parts += [(money(cents, currency), "bold"), "   "]
        for left in made.margins().values():
            if left.cents is not None:
                of = "" if left.basis_points is None else f"{share(left.basis_points)} %, "
                known = sum(made.margin(each).cents is not None for each in made.customers)
                rests = f"({of}{known:,} of {len(made.customers):,})"
                parts += [f"margin {money(left.cents, left.currency)} {rests}", "   "]
        parts.append((SHORT_NOTICE, "bold"))
        lacking_style = HEALTH_STYLES["partly"] if made.lacking else "dim"
        return [line(*parts), line((f" {made.n_of_m}", lacking_style))]

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        found = self._found
        if found is None:
            return
        width = self.size.width - 2 if self._whole or self.size.width < 120 else WIDE
        lines = None
        if self._shows_usage:
            row = self.quotas.current
            if row is not None and found.used is not None:
                lines = usage_lines(row, found.used, width)
        elif (each := self.table.current) is not None and found.statement is not None:
            lines = self._charge_lines(each, found.statement)
        self.say_detail(
            lines or [self.nothing_said(read=not self._shows_usage or found.used is not None)], width
        )

    def _charge_lines(self, each: Charged, made: Statement) -> list[Content]:
        """A customer's part, line by line."""
        lines = [
            line((f" {each.name}", "bold"), f"   {each.plan or 'no plan'}   {each.span}"),
        ]  # fmt: skip
        lines += [line((f" ~ {note}", HEALTH_STYLES["partly"])) for note in each.notes]
        lines += [
            line(
                (f" {money(part.cents, part.currency):>16}", "bold"),
                f"  {part.item}",
                (f"   {part.how}", "dim"),
            )
            for part in each.lines
        ]
        lines += [
            line((f" {money(cents, currency):>16}", "bold"), ("  total", "bold"))
            for currency, cents in sorted(each.totals.items())
        ]
        left = made.margin(each)
        source = {"invoice": "by its invoice", "contract": "by the contract: no invoice was read"}
        if left.cents is not None and left.vendor is not None and left.time is not None:
            points = left.basis_points
            of = "" if points is None else f", {share(points)} %"
            lines.append(
                line(
                    f" {money(left.cents, left.currency):>16}  margin{of}: less "
                    f"{money(left.vendor, left.currency)} of the vendor, {source.get(each.cost_from, '')}, "
                    f"and {money(left.time, left.currency)} of {number_of_hours(each.seconds)} logged"
                )
            )
        else:
            lines.append(line((f"                -  margin: {left.why}", "dim")))
        if (more := each.unexpected) is not None:
            off = ", ".join(
                f"{money(abs(cents), code)} {'more' if cents > 0 else 'less'}" for code, cents in more.items()
            )
            said = f"{off} than by contract and usage" if off else "as by contract and usage"
            style = HEALTH_STYLES["partly" if off else "well"]
            lines.append(line(("                   the invoice is ", "dim"), (said, style)))
        read = (
            "was never read"
            if made.oldest is None
            else f"read {age(made.oldest, self.context.clock())} ago at the oldest"
        )
        lines.append(line((f" prices {made.book}, {made.digest[:12]}; usage {read}", "dim")))
        return lines

    def close_inner(self) -> bool:
        """First the whole detail, then the filter, then the usage."""
        if self._whole:
            self.action_whole()
        elif self.filter_line:
            self.filter_by("")
        elif self._usage:
            self.action_turn()
        else:
            return False
        return True

    # -- filter and keys --------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """`plan:gold is:lacking`, of usage `is:full`; a bare word is a part of an organization's name.

        Raises:
            ValueError: it means nothing.
        """
        self._wanted = parse(line)
        self.filter_line = line
        self._lay_out()

    def action_turn(self) -> None:
        """From charges to usage, and back."""
        self._usage = not self._usage
        self._lay_out()
        self.reload()

    def action_month(self, by: int) -> None:
        """Another month; none that has not begun."""
        now = self.context.clock()
        wanted = moved(self._month or last_month(now), by)
        if not moved(month_of(now), -BEHIND) <= wanted <= month_of(now):
            self.tell("This month has not begun." if by > 0 else f"{BEHIND} months back is far enough.")
            return
        self._month = wanted
        self.reload()

    def action_whole(self) -> None:
        """The whole detail, and back."""
        self._whole = not self._whole
        self.set_class(self._whole, "-whole")
        self._lay_out()

    def action_export(self) -> None:
        """Ask where, and write the statement."""
        if self._found is not None:
            self.post_message(ExportStatement(self._found.month, self.context.scope.node_id))

    def action_invoices(self) -> None:
        """Ask, and read them."""
        if self._found is not None:
            self.post_message(ReadInvoices(self._found.month, self.context.scope.node_id))

    def action_tree(self) -> None:
        """The organization under the cursor in the tree."""
        if oid := self._current_oid():
            self.post_message(ShowOrganization(oid))

    def _current_oid(self) -> str:
        row = self.quotas.current if self._shows_usage else self.table.current
        return row.oid if row is not None else ""

    def why_not(self, action: str) -> str:
        """A statement needs prices; invoices need a cloud, and a month that is over."""
        found = self._found
        if action == "turn" and found is not None and found.statement is None:
            return "There is no price book, so there are no charges to turn to."
        if action == "export" and (found is None or found.statement is None):
            return "There is no statement to write: no price book holds for this month."
        if action == "invoices":
            if not self.context.writable:
                return "This console is read-only: no invoice is read into the store."
            if found is not None and found.month >= month_of(self.context.clock()):
                return "This month is not over; LimaCharlie makes its invoice then."
        if action in ("tree", "whole") and not self._current_oid():
            return "No organization is under the cursor."
        return ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for."""

    words: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    """Of MARKS."""

    def charge(self, each: Charged) -> bool:
        """Whether a customer is shown among the charges."""
        if self.plans and (each.plan or "-").casefold() not in self.plans:
            return False
        if "lacking" in self.marks and each.state == "complete":
            return False
        return self._named(str(each.name), each.oid)

    def usage(self, each: UsageRow) -> bool:
        """Whether a customer is shown among the usage."""
        if "full" in self.marks and each.days_left is None:
            return False
        if "away" in self.marks and not each.turned_away:
            return False
        if "lacking" in self.marks and each.told >= each.expected:
            return False
        return self._named(str(each.name), each.oid)

    def _named(self, name: str, oid: str) -> bool:
        return all(word in f"{name}\n{oid}".casefold() for word in self.words)


MARKS = ("lacking", "full", "away")


def parse(text: str) -> Wanted:
    """A filter line.

    Raises:
        ValueError: it means nothing.
    """
    words: list[str] = []
    plans: list[str] = []
    marks: list[str] = []
    for part in text.casefold().split():
        name, colon, value = part.partition(":")
        if name == "plan" and colon:
            plans.append(value)
        elif name == "is" and colon:
            if value not in MARKS:
                raise ValueError(f"is: takes {', '.join(MARKS)}.")
            marks.append(value)
        else:
            words.append(part)
    return Wanted(tuple(words), tuple(plans), tuple(marks))


def _series(row: UsageRow) -> list[float]:
    days = row.daily.get("peak_sensors") or row.daily.get("sensor_events") or ()
    return [float(value) for _, value in days]


def _charged(each: Charged) -> str:
    if each.state == "missing":
        return "-"
    totals = sorted(each.totals.items())
    if not totals:
        return "0"
    more = f" +{len(totals) - 1}" if len(totals) > 1 else ""
    return f"{money(totals[0][1], totals[0][0])}{more}"


def _fullness(row: UsageRow) -> str:
    if row.days_left == 0:
        return "bold ansi_red"
    return "ansi_yellow" if row.days_left is not None and row.days_left <= DAYS else ""


def _oid(row: Charged | UsageRow) -> str:
    return row.oid
