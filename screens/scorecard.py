"""Rules by what was decided about their alerts, the worst first: which to tune, which to retire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import Context
from screens.detailed import Detailed
from screens.keys import press
from screens.requests import ShowAlerts
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.alerts import FilterError, quoted_value, tokens
from store.queries.folds import Score, scorecard
from store.text import safe_text
from store.times import age

MOST = 2_000
"""So many rules are read, the worst ones; with more, a narrower scope shows the others."""

NAMED = 40
"""Organizations that the pane names of a rule; the rest is counted."""

ADVICE: tuple[str, ...] = ("tune", "retire")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for. Everything given must hold."""

    words: tuple[str, ...] = ()
    """Each contained in rule or category, any case."""
    rule: str = ""
    """Exactly this one."""
    advice: tuple[str, ...] = ()
    """Of ADVICE."""

    def wants(self, score: Score) -> bool:
        """Whether a rule is what is asked for."""
        if self.rule and score.rule != self.rule:
            return False
        if self.advice and score.suggestion not in self.advice:
            return False
        hay = f"{score.rule}\n{score.cat}".casefold()
        return all(word in hay for word in self.words)


class Scorecard(Detailed[list[Score]]):
    """The figures of `alert scorecard --by-rule`, and below them those of each organization."""

    MODE = "scorecard"
    PANE = "#score"
    TITLE = "Scorecard"
    CSS_PATH = "scorecard.tcss"
    AUTO_FOCUS = "RowTable"
    READS = frozenset({"fold", "organization", "node"})
    EVERY = 5.0
    FILTERS = "  is:tune  is:retire  rule:NAME  or words of a rule or its category"
    EMPTY = "No rule has any alert in this scope."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "alerts", "its alerts", id="scorecard.alerts",
            tooltip="Every alert of this rule, open or closed"),
        Binding("a", "advised", "to tune or retire", id="scorecard.advised",
            tooltip="Only rules that should be tuned or retired, and all again"),
        Binding("J", "scroll_detail(1)", "down", show=False, id="scorecard.down",
            tooltip="Scroll the detail down"),
        Binding("K", "scroll_detail(-1)", "up", show=False, id="scorecard.up",
            tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: list[Score] = []
        self._wanted = Wanted()

    def compose_body(self) -> ComposeResult:
        """The rules, and the organizations of the one under the cursor."""
        with Container(id="split"):
            yield RowTable(self._columns(), cursor=self.context.glyphs.cursor)
            with VerticalScroll(id="score", can_focus=False):
                yield Static("", markup=False)

    def _columns(self) -> list[Column[Score]]:
        clock = self.context.clock

        def advised(row: Score) -> str:
            return "bold ansi_yellow" if row.suggestion else ""

        return [
            Column("RULE", lambda row: row.rule, 24, grow=1, cut="middle", least=16),
            Column("ORGS", lambda row: f"{row.organizations:,}", 5, align="right"),
            Column("ALERTS", lambda row: f"{row.alerts:,}", 7, align="right"),
            Column("OPEN", lambda row: f"{row.open:,}", 6, align="right"),
            Column("FALSE", lambda row: f"{row.false_positives:,}", 6, align="right"),
            Column("TRUE", lambda row: f"{row.true_positives:,}", 5, align="right"),
            Column("LAST TRUE", lambda row: _last_true(row, clock()), 9, align="right"),
            Column("ADVICE", lambda row: row.suggestion, 6, style=advised),
            Column("CATEGORY", lambda row: row.cat, 30, grow=1, from_width=120),
        ]

    @property
    def table(self) -> RowTable[Score]:
        """The rules."""
        return self.query_one(RowTable)

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> list[Score]:
        """Every rule of the scope, those on which most time was lost first."""
        return scorecard(
            connection,
            self.context.scope.node_id,
            now=self.context.clock(),
            by_organization=False,
            limit=MOST,
        )

    def has_nothing(self, found: list[Score]) -> bool:
        """Whether there is no rule."""
        return not found

    def show(self, found: list[Score]) -> None:
        """The rules, and what is known of the one under the cursor."""
        self._found = found
        self._put()

    def show_empty(self, found: list[Score]) -> None:
        """Keep no row of before."""
        self._found = found
        self._put()

    def _put(self) -> None:
        shown = [row for row in self._found if self._wanted.wants(row)]
        self.table.put(Listed(shown, key=lambda row: row.rule))
        whole = f"{len(self._found):,}{'+' if len(self._found) >= MOST else ''}"
        of = "" if len(shown) == len(self._found) else f"{len(shown):,} of "
        advised = sum(bool(row.suggestion) for row in self._found)
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "most false positives first",
            counts=f"{advised:,} to tune or retire   {of}{whole} rules",
        )
        self.detail()
        self.keys_changed()

    # -- the pane ---------------------------------------------------------------------------------------

    def detail(self) -> None:
        """The organizations of the rule under the cursor."""
        self._read_organizations()

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_organizations(self) -> None:
        row = self.table.current
        if row is None:
            self.say_detail([line((" No rule matches this filter.", "dim"))] if self.filter_line else [])
            return
        found = await asyncio.to_thread(self._organizations, row.rule)
        current = self.table.current
        if current is not None and current.rule == row.rule:
            self.say_detail(score_lines(row, found, self.context, self.size.width))

    def _organizations(self, rule: str) -> list[Score]:
        with self.context.reader.reading() as connection:
            return scorecard(
                connection, self.context.scope.node_id, now=self.context.clock(), rule=rule, limit=NAMED
            )

    # -- filter -----------------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Words of a rule, `is:tune`, `is:retire`, `rule:NAME`."""
        self._wanted = parse(line)
        self.filter_line = line
        self._put()

    # -- keys -------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What needs a rule cannot work without one."""
        row = self.table.current if self.look == "full" else None
        if action in ("alerts", "scroll_detail") and row is None:
            return "No rule is under the cursor."
        if action == "alerts" and row is not None and not filter_for(row):
            return "A name with both kinds of quotes cannot stand in a filter."
        return ""

    def action_alerts(self) -> None:
        """Every alert of the rule."""
        if (row := self.table.current) is not None:
            self.post_message(ShowAlerts(filter_for(row)))

    def action_advised(self) -> None:
        """Only what should be tuned or retired, and back."""
        wanted = " ".join(f"is:{word}" for word in ADVICE)
        self.filter_by("" if self.filter_line == wanted else wanted)


def parse(text: str) -> Wanted:
    """Read what was typed after `/`.

    Raises:
        FilterError: an unknown prefix or word, or a quote that is not closed.
    """
    words: list[str] = []
    advice: list[str] = []
    rule = ""
    for token in tokens(text):
        prefix = (token[1] or "").lower()
        value = next(group for group in token.groups()[1:] if group is not None)
        if not prefix:
            words.append(value.casefold())
        elif prefix == "rule":
            rule = value
        elif prefix == "is" and value.lower() in ADVICE:
            advice.append(value.lower())
        else:
            raise FilterError(f"{token[0]} means nothing here; use is:tune, is:retire, rule:NAME or words.")
    return Wanted(tuple(words), rule, tuple(advice))


def filter_for(row: Score) -> str:
    """The filter line of the queue for a rule's alerts; "" when its name cannot stand in one."""
    name = quoted_value(row.rule)
    column = "cat" if row.rule == row.cat else "rule"
    return f"{column}:{name} status:any" if name else ""


def _last_true(row: Score, now: int) -> str:
    """How long ago a true positive was decided."""
    return "never" if row.last_true_at is None else age(row.last_true_at, now)


def score_lines(row: Score, found: list[Score], context: Context, width: int) -> list[Content]:
    """A rule, and how it does at each of its organizations."""
    now = context.clock()
    advice = (
        f"{row.suggestion}: {row.why}" if row.suggestion else f"{row.decided:,} of {row.alerts:,} decided"
    )
    minutes = row.spent / 60_000
    spent = f"{minutes / 60:,.1f} hours" if minutes >= 60 else f"{minutes:,.0f} minutes"
    lines = [
        line((f" {row.rule}", "bold"), "" if row.cat == row.rule else f"   {row.cat}"),
        line(
            (f" {advice}", "bold ansi_yellow" if row.suggestion else ""),
            f"; {spent} from acknowledged to resolved" if row.spent else "",
        ),
    ]
    for each in found:
        figures = f"{each.false_positives:>6,} false {each.true_positives:>5,} true {each.open:>6,} open   "
        lines.append(
            line(
                (f" {figures}", "dim"),
                safe_text(each.organization, max(12, width - 46)),
                (f"   {each.suggestion}" if each.suggestion else "", "bold ansi_yellow"),
            )
        )
    if len(found) < row.organizations:
        lines.append(line((f" and {row.organizations - len(found):,} organizations more", "dim")))
    key = press("scorecard.alerts", "enter")
    lines.append(line((f" {key} its alerts, first seen {age(row.first_seen, now)} ago", "dim")))
    return lines
