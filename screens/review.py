"""Access reviews: the campaigns, then the lines of one, attested or revoked one by one or many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import Connection
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.frame import Line as FrameLine
from screens.frame import Part, WrittenLine, two_sided
from screens.keys import press
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
from screens.view import View
from screens.widgets.row_table import Column, Listed, MarkTable, RowTable
from screens.widgets.text import line
from store import preferences, reviews
from store.access import counted
from store.findings import Finding, Way, by_way
from store.permissions import is_privileged, roles
from store.queries.findings import findings
from store.reviews import (
    ACCESS_TABLES,
    ATTESTED,
    OPEN,
    REVIEW_TABLES,
    REVOKED,
    Came,
    Chosen,
    Covered,
    Decision,
    Difference,
    Drift,
    Line,
    Progress,
    ScopeGone,
    choose,
)
from store.text import safe_text
from store.times import age

if TYPE_CHECKING:
    from store.database import Change

COMPARE_EVERY = 5.0
"""Seconds between two comparisons with the access of now, however often that is written: a sync writes it
many times, and of ten thousand organizations it takes a second."""

AGES_EVERY = 30

SHARE = 30
"""Findings are looked for again after so many times as long as it took."""

Findings = tuple[dict[Way, list[Finding]], dict[str, list[Finding]]]
"""As `store.findings.by_way` has them."""

SIGNS: dict[str, tuple[str, str]] = {
    "open": (".", "unknown"),
    "new": ("+", "partly"),
    "changed": ("~", "partly"),
    "attested": ("o", "well"),
    "revoked": ("x", "failed"),
    "taken": ("x", "well"),
    "gone": ("-", "unknown"),
}
"""Standing of a line -> the sign before its word, and how it is: a colour that only repeats it."""

WAYS = {"direct": "granted directly", "key": "API key", "member": "member of", "owner": "owner of"}

NAMED = 6
"""Organizations that the detail names before it counts the rest."""

DECIDES = ("attest", "revoke", "undecide")


def place_of(operator: str) -> str:
    """Under what is kept where an operator was."""
    return f"review.place.{operator}"


@dataclass(frozen=True, slots=True)
class Found:
    """The campaigns, and of the open one its lines as they are now."""

    campaigns: list[reviews.Review]
    review: reviews.Review | None
    lines: list[Line]
    moved: Drift
    """What is not written down yet of how the access changed."""
    came: Mapping[int, Came]
    place: tuple[int, int] | None
    """(review, line) where the operator was when the console ended; only at the first reading."""
    problem: str = ""
    """Why the lines could not be compared with the access of now."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a line covers, in names."""

    line: Line
    permissions: Sequence[str]
    organizations: Sequence[str]
    """Names: strangers' texts."""
    difference: Difference
    names: Mapping[str, str]
    decisions: Sequence[Decision]


class Review(View[Found]):
    """Two lists, one at a time: campaigns, and the lines of the one that was opened."""

    MODE = "review"
    TITLE = "Access reviews"
    CSS_PATH = "review.tcss"
    AUTO_FOCUS = "RowTable.-current"
    READS = REVIEW_TABLES | ACCESS_TABLES | {"organization"}
    SCOPED = False
    EMPTY = (
        "There is no access review yet. {review.begin=N} begins one over the scope; "
        "`limegrove access review start` too."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="review.open", tooltip="The lines of this review"),
        Binding("a", "attest", "attest", id="review.attest",
            tooltip="This access is to be as it is: asks why, and decides the line"),
        Binding("x", "revoke", "revoke", id="review.revoke",
            tooltip="This access is to go: asks why; nothing is sent before a plan is applied"),
        Binding("u", "undecide", "undecide", id="review.undecide",
            tooltip="Take a decision back; the record keeps both"),
        Binding("n", "next", "next left", id="review.next", tooltip="The next line that waits for one"),
        Binding("semicolon", "marked", "marked", show=False, id="review.marked",
            tooltip="The verb after it acts on all that is marked: "
                "{review.marked=;}{review.attest=a} {review.marked=;}{review.revoke=x} "
                "{review.marked=;}{review.undecide=u}"),
        Binding("asterisk", "mark_left", "mark left", show=False, id="review.mark_left",
            tooltip="Mark every line that the filter shows and that waits for a decision"),
        Binding("P", "plan", "plan", id="review.plan",
            tooltip="One plan of everything that was revoked: looked at, approved, applied"),
        Binding("E", "export", "evidence", id="review.export",
            tooltip="Write the evidence: signed JSON, and tables as CSV"),
        Binding("m", "matrix", "matrix", id="review.matrix", show=False,
            tooltip="This principal in the permission matrix"),
        Binding("C", "close", "close", id="review.close", show=False,
            tooltip="Close the review, after asking: nothing of it changes any more"),
        Binding("N", "begin", "new", id="review.begin", tooltip="Begin a review of what is below the scope"),
        Binding("J", "scroll_line(1)", "down", id="review.down", show=False, tooltip="The detail down"),
        Binding("K", "scroll_line(-1)", "up", id="review.up", show=False, tooltip="The detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._opened = 0
        """The number of the review whose lines are shown; 0 for the campaigns."""
        self._found: Found | None = None
        self._shown: list[Line] = []
        self._chosen = Chosen()
        self._acting = False
        self._leaving = 0
        """The line that was just decided: once it is, the cursor goes on to the next one."""
        self._first = True
        self._go = 0
        """The line to stand on once the lines are there."""
        self._lists: dict[str, tuple[str, ...]] = {}
        """Permissions by digest: what a digest names never changes."""
        self._current: tuple[int, float, list[Covered]] | None = None
        self._dirty = True
        self._findings: Findings = ({}, {})
        self._look_again = True
        self._not_before = 0.0
        """By the monotonic clock: when to look for findings again at the earliest."""
        self._asked: object = None
        self._detail: Detail | None = None

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """How far it has come, the lists, the line."""
        cursor = self.context.glyphs.cursor
        yield WrittenLine(self._say_all, id="progress")
        with Container(id="split"):
            with ContentSwitcher(initial="campaigns", id="lists"):
                yield RowTable(self._campaign_columns(), cursor=cursor, id="campaigns", classes="-current")
                yield MarkTable(self._line_columns(), cursor=cursor, id="lines")
            with VerticalScroll(id="line", can_focus=False):
                yield Static("", markup=False)

    @property
    def campaigns(self) -> RowTable[reviews.Review]:
        """The list of reviews."""
        return self.query_one("#campaigns", RowTable)

    @property
    def table(self) -> MarkTable[Line]:
        """The lines of the opened one."""
        return self.query_one("#lines", MarkTable)

    def _campaign_columns(self) -> list[Column[reviews.Review]]:
        clock = self.context.clock
        return [
            Column("#", lambda row: str(row.id), 4, align="right"),
            Column("STATE", lambda row: "open" if row.closed_at is None else "closed", 7),
            Column("TITLE", lambda row: row.title, 16, grow=3),
            Column("SCOPE", lambda row: row.scope_name or "everything", 12, grow=2, cut="middle"),
            Column("DONE", lambda row: _share(row.progress), 11, align="right"),
            Column("LEFT", lambda row: f"{row.progress.left:,}", 6, align="right"),
            Column("REVOKED", lambda row: f"{row.progress.revoked + row.progress.taken:,}", 7, align="right"),
            Column("BY", lambda row: row.by, 8, grow=1, from_width=100),
            Column("AGE", lambda row: age(row.started_at, clock()), 4, align="right"),
        ]

    def _line_columns(self) -> list[Column[Line]]:
        clock = self.context.clock
        return [
            Column("STANDING", lambda row: self._standing(row)[0], 10,
                style=lambda row: HEALTH_STYLES[self._standing(row)[1]]),
            Column("PRINCIPAL", lambda row: row.principal, 20, grow=3, cut="middle"),
            Column("WAY", lambda row: _way(row), 15, grow=2),
            Column("PERMS", lambda row: f"{row.permission_count:,}", 5, align="right"),
            Column("ORGS", lambda row: f"{row.place_count:,}", 6, align="right"),
            Column("!", lambda row: "!" if self._privileged(row) else "", 1),
            Column("FOUND", lambda row: self._worst(row)[0], 5, style=lambda row: self._worst(row)[1]),
            Column("BY", lambda row: row.decided_by, 8, grow=1),
            Column("AGE", lambda row: age(row.decided_at, clock()) if row.decided_at else "", 4,
                align="right", from_width=90),
            Column("WHY", lambda row: row.reason, 12, grow=3, from_width=110),
            Column("CAME OF IT", lambda row: self._came_words(row), 16, grow=2, from_width=130),
        ]  # fmt: skip

    def _standing(self, row: Line) -> tuple[str, str]:
        word = row.standing
        if word == "open" and self._is_new(row):
            word = "new"
        sign, health = SIGNS[word]
        return f"{sign} {word}", health

    def _is_new(self, row: Line) -> bool:
        review = self._found.review if self._found is not None else None
        return review is not None and row.added_at > review.started_at

    def _privileged(self, row: Line) -> bool:
        return any(is_privileged(each) for each in self._lists.get(row.permissions, ()))

    def _wrong(self, row: Line) -> list[Finding]:
        """The findings about it, the worst first."""
        ways, people = self._findings
        if row.kind == "key":
            _, oid, key_hash = row.key.split(" ")
            return ways.get(("key", key_hash, oid), [])
        who = str(row.principal)
        found = [*ways.get((row.kind, who, row.gid), ()), *people.get(who, ())]
        return sorted(found, key=lambda each: -each.severity)

    def _worst(self, row: Line) -> tuple[str, str]:
        found = self._wrong(row) if row.gone_at is None else []
        return (SEVERITY_WORDS[found[0].severity], SEVERITY_STYLES[found[0].severity]) if found else ("", "")

    def _came_words(self, row: Line) -> str:
        came = self._found.came.get(row.id) if self._found is not None else None
        return came.words if came is not None else ""

    # -- reading ----------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Another access is another comparison; clocks go on without the store's doing."""
        self.context.changes.subscribe(self, self._access_changed)
        self.set_interval(AGES_EVERY, self._tick)

    def _access_changed(self, change: Change) -> None:
        if change.touches(ACCESS_TABLES):
            self._dirty = True
            self._look_again = True

    def _tick(self) -> None:
        if self.is_current and self._found is not None and self.look == "full":
            (self.table if self._opened else self.campaigns).tick()

    def read(self, connection: Connection) -> Found:
        """The campaigns, and the opened one compared with the access of now."""
        place = self._read_place(connection) if self._first else None
        campaigns = reviews.reviews(connection)
        opened = place[0] if place is not None else self._opened
        review = next((each for each in campaigns if each.id == opened), None)
        if review is None:
            return Found(campaigns, None, [], Drift(), {}, None)
        lines = reviews.lines(connection, review.id)
        moved = Drift()
        now = self.context.clock()
        problem = ""
        if review.closed_at is None:
            try:
                reviews.check_scope(connection, review)
                moved = reviews.drift(lines, self._compare(connection, review))
                lines = reviews.as_of(connection, lines, moved, now)
            except ScopeGone as error:
                problem = str(error)
        missing = {each.permissions for each in lines} - self._lists.keys()
        if missing:
            self._lists = self._lists | reviews.contents(connection, missing)
        for each in (here for _, here in moved.changed):
            self._lists = self._lists | {each.permissions_digest: each.permissions}
        came = reviews.came_of(connection, lines, now=now)
        return Found(campaigns, review, lines, moved, came, place, problem)

    def _look_for_findings(self) -> None:
        """Look for findings beside what is read: among ten thousand organizations it takes seconds."""
        if self._opened and self._look_again and time.monotonic() >= self._not_before:
            self._look_again = False
            self._find_wrong()

    @work(exclusive=True, group="looks", exit_on_error=False)
    async def _find_wrong(self) -> None:
        started = time.monotonic()
        try:
            self._findings = await asyncio.to_thread(self._read_findings)
        except Exception as error:
            self._look_again = True
            self.tell(f"Findings could not be looked for: {error}", "warning")
            return
        finally:
            ended = time.monotonic()
            self._not_before = ended + SHARE * (ended - started)
        if self._opened and self.look == "full":
            self._put_lines()
            self._rested()

    def _read_findings(self) -> Findings:
        with self.context.reader.reading() as connection:
            return by_way(findings(connection, now=self.context.clock()).findings)

    def _compare(self, connection: Connection, review: reviews.Review) -> list[Covered]:
        known = self._current
        fresh = known is not None and time.monotonic() - known[1] < COMPARE_EVERY
        if known is not None and known[0] == review.id and (fresh or not self._dirty):
            return known[2]
        self._dirty = False
        found = reviews.covered(connection, review.wanted)
        self._current = (review.id, time.monotonic(), found)
        return found

    def _read_place(self, connection: Connection) -> tuple[int, int] | None:
        kept = preferences.get(connection, place_of(self.context.operator))
        if isinstance(kept, list) and len(kept) == 2 and all(isinstance(each, int) for each in kept):
            return kept[0], kept[1]
        return None

    def has_nothing(self, found: Found) -> bool:
        """Whether there was never a review."""
        return not found.campaigns

    def show(self, found: Found) -> None:
        """The lists; the cursor stays on its line."""
        self._first = False
        self._found = found
        if found.place is not None and found.review is not None:
            self._opened, self._go = found.place
            self._turn()
        elif self._opened and found.review is None:
            self._opened = 0
            self._turn()
        self.campaigns.put(Listed(found.campaigns, key=lambda row: row.id))
        if self._opened:
            self._put_lines()
        self._say_all()
        self._rested()
        if self._dirty and self._opened:
            self.set_timer(COMPARE_EVERY, self._refresh_soon)
        self._write_down(found)
        self._look_for_findings()
        if found.problem:
            self.tell(found.problem, "warning")

    def show_empty(self, found: Found) -> None:
        """Keep nothing of before."""
        self._first = False
        self._found, self._opened = found, 0
        self._turn()
        self.say(title=self.TITLE, counts="", filter="")

    def _write_down(self, found: Found) -> None:
        """Ask once for each difference that it be written down."""
        if not found.moved or found.review is None or not self.context.writable:
            return
        moved = found.moved
        asked = (
            found.review.id,
            moved.gone,
            tuple((n, each.digest) for n, each in moved.changed),
            len(moved.new),
        )
        if asked != self._asked:
            self._asked = asked
            self.post_message(RefreshReview(found.review.id))

    def _put_lines(self) -> None:
        found = self._found
        if found is None or found.review is None:
            return
        began = found.review.started_at
        self._shown = [each for each in found.lines if self._chosen.holds(each, began, self._lists)]
        source = Listed(self._shown, key=lambda row: row.id)
        self.table.put(source)
        gone = self.table.marks.keys() - {each.id for each in found.lines}
        if gone:
            self.table.unmark(list(gone))
        if self._go:
            there = next((each for each in self._shown if each.id == self._go), None)
            self._go = 0
            if there is not None:
                self.table.go_to(there)
        elif self._leaving:
            self._leave()

    def _leave(self) -> None:
        """On to the next line, once the one that was decided is."""
        row = self.table.current
        if row is None or row.id != self._leaving:
            self._leaving = 0
        elif not row.waits:
            self._leaving = 0
            after = _next_waiting(self._shown, row.id, wrap=False)
            if after is not None:
                self.table.go_to(after)

    # -- what is said -----------------------------------------------------------------------------------

    def _say_all(self) -> None:
        found = self._found
        if found is None or self.look != "full":
            return
        bar = self.query_one("#progress", FrameLine)
        if not self._opened or found.review is None:
            waiting = sum(1 for each in found.campaigns if each.closed_at is None)
            left = sum(each.progress.left for each in found.campaigns if each.closed_at is None)
            said = f" {counted(left, 'line')} of {counted(waiting, 'open review')} wait for a decision"
            bar.say(two_sided([(said, "")], [], bar.size.width))
            self.say(
                title=self.TITLE,
                filter="",
                counts=f"{waiting:,} of {len(found.campaigns):,} open",
            )
            return
        progress = reviews.progress_of(found.lines)
        bar.say(two_sided(*self._progress_parts(progress, bar.size.width), bar.size.width))
        closed = "" if found.review.closed_at is None else "   CLOSED"
        shown = "" if len(self._shown) == len(found.lines) else f"{len(self._shown):,} shown, "
        marked = f"{len(self.table.marks):,} marked, " if self.table.marks else ""
        scope = found.review.scope_name or "all organizations"
        self.say(
            title=f"Review {found.review.id}   {safe_text(found.review.title, 40)}{closed}",
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{marked}{shown}{safe_text(scope, 30)}",
        )

    def _progress_parts(self, progress: Progress, width: int) -> tuple[list[Part], list[Part]]:
        glyphs = self.context.glyphs
        cells = 20 if width < 100 else 40
        full = cells * progress.done // progress.lines if progress.lines else cells
        left: list[Part] = [
            (
                f" {glyphs.bar * full}{glyphs.empty * (cells - full)} ",
                "ansi_green" if not progress.left else "",
            ),
            (f"{progress.done:,}/{progress.lines:,}", "bold"),
            (f"  {progress.left:,} left", "bold ansi_yellow" if progress.left else ""),
        ]
        if progress.changed:
            since = " since" if width >= 100 else ""
            left.append((f", {progress.changed:,} changed{since}", "bold ansi_yellow"))
        right: list[Part] = [
            (f"{progress.attested:,} attested, {progress.revoked + progress.taken:,} revoked", ""),
            (f" ({progress.taken:,} gone) ", "") if progress.revoked or progress.taken else (" ", ""),
        ]
        return left, right

    # -- filter and panes -------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """`dana is:left kind:direct by:kim perm:user.ctrl`; of the campaigns nothing is filtered."""
        if not self._opened:
            raise ValueError("Open a review first: its lines are filtered.")
        self._chosen = choose(line)
        self.filter_line = line
        self._put_lines()
        self._say_all()

    def close_inner(self) -> bool:
        """Forget the filter, then go back to the campaigns."""
        if self._acting:
            self._acting = False
            return True
        if self._opened and self.filter_line:
            self.filter_by("")
            return True
        if self._opened:
            self._opened, self._leaving = 0, 0
            self.table.unmark()
            self._turn()
            self._remember(None)
            self._say_all()
            self._rested()
            return True
        return False

    def open_review(self, number: int) -> None:
        """Show the lines of this review."""
        self._opened, self._first = number, False
        self._chosen, self.filter_line = Chosen(), ""
        self.table.unmark()
        self._turn()
        self.reload()

    def _turn(self) -> None:
        wanted = "lines" if self._opened else "campaigns"
        self.query_one("#lists", ContentSwitcher).current = wanted
        for table in self.query(RowTable):
            table.set_class(table.id == wanted, "-current")
        self.query_one(f"#{wanted}", RowTable).focus()
        self.keys_changed()

    # -- the line under the cursor ----------------------------------------------------------------------

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self.at_rest(self._rested_there)

    @on(MarkTable.Marked)
    def _marks_changed(self, event: MarkTable.Marked) -> None:
        event.stop()
        self._say_all()

    @on(MarkTable.TooFar)
    def _too_far(self, event: MarkTable.TooFar) -> None:
        event.stop()
        self.tell(event.why, "warning")

    def _rested_there(self) -> None:
        self.query_one("#line").scroll_home(animate=False)
        self.keys_changed()
        self._rested()
        row = self.table.current if self._opened else None
        if row is not None:
            self._remember([self._opened, row.id])

    def _remember(self, place: list[int] | None) -> None:
        if self.context.writable:
            self.post_message(Remember(place_of(self.context.operator), place))

    def _rested(self) -> None:
        if not self._opened:
            row = self.campaigns.current
            self._put([] if row is None else campaign_lines(row, self.context))
            return
        line_ = self.table.current
        if line_ is None:
            filtered = self.filter_line and self._found is not None and self._found.lines
            forgets = f"No line matches the filter; {press('app.back', 'esc')} forgets it."
            self._put([Content(forgets if filtered else "No line.")])
            return
        if self._detail is not None and self._detail.line.id == line_.id:
            self._put_detail(self._detail, line_)
        self._read_detail(line_)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_detail(self, line_: Line) -> None:
        try:
            found = await asyncio.to_thread(self._details, line_)
        except Exception as error:
            self._put([line(("The line could not be read: ", "bold"), str(error))])
            return
        row = self.table.current
        # What the cursor left meanwhile is not shown as what it stands on.
        if self._opened and row is not None and row.id == line_.id:
            self._detail = found
            self._put_detail(found, row)

    def _put_detail(self, found: Detail, row: Line) -> None:
        lines = detail_lines(found, row, self._came_words(row), self.context)
        wrong = [
            line(
                (f"{SEVERITY_WORDS[each.severity]:<11}", SEVERITY_STYLES[each.severity]),
                (f"{each.kind}: {each.sentence}", ""),
            )
            for each in (self._wrong(row) if row.gone_at is None else ())
        ]
        self._put([*lines[:1], *wrong, *lines[1:]])

    def _details(self, line_: Line) -> Detail:
        with self.context.reader.reading() as connection:
            lists = reviews.contents(connection, {line_.permissions, line_.places})
            current = next(
                (
                    each
                    for each in (self._current[2] if self._current is not None else ())
                    if each.digest == line_.digest
                ),
                None,
            )
            places = lists.get(line_.places, current.places if current is not None else ())
            permissions = lists.get(line_.permissions, current.permissions if current is not None else ())
            difference = reviews.difference(connection, line_)
            oids = [each.partition(" ")[0] for each in places[:NAMED]]
            other = (*difference.places_added[:NAMED], *difference.places_gone[:NAMED])
            names = reviews.names_of(connection, [*oids, *(each.partition(" ")[0] for each in other)])
            decisions = reviews.history(connection, line_.review, line_.id)
        return Detail(line_, permissions, [names[oid] for oid in oids], difference, names, decisions)

    def _put(self, lines: Sequence[Content]) -> None:
        self.query_one("#line Static", Static).update(Content("\n").join(lines))

    def action_scroll_line(self, step: int) -> None:
        """Scroll the detail."""
        self.query_one("#line").scroll_relative(y=3 * step, animate=False)

    # -- actions ----------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What can be done with what, and in which console."""
        found = self._found
        review = found.review if found is not None and self._opened else None
        changing = (*DECIDES, "plan", "close", "begin")
        if action in changing and not self.context.writable:
            return "This console is read-only."
        if action == "open":
            if self._opened:
                return (
                    f"This review is open: {press('review.matrix', 'm')} shows the principal in the matrix."
                )
            return "" if self.campaigns.current is not None else "No review is under the cursor."
        if action in (*DECIDES, "next", "marked", "mark_left", "matrix", "plan", "export", "close"):
            if review is None:
                return f"Open a review first: {press('review.open', 'enter')}."
            if review.closed_at is not None and action in (*DECIDES, "plan", "close"):
                return f"Review {review.id} was closed by {review.closed_by}."
        if action == "marked" and not self.table.marks:
            return (
                f"Nothing is marked: {press('move.mark', 'space')} marks, "
                f"{press('move.mark_range', 'V')} a range, "
                f"{press('review.mark_left', '*')} all that wait."
            )
        if action in (*DECIDES, "matrix") and not self._acting:
            return self._why_not_line(action)
        return ""

    def _why_not_line(self, action: str) -> str:
        row = self.table.current
        if row is None:
            return "No line is under the cursor."
        if action == "matrix":
            return ""
        if row.gone_at is not None:
            return "Its access is there no more: nothing is left to decide."
        if action == "undecide":
            return "" if row.verdict != OPEN else "Nothing was decided about it."
        if not row.waits:
            return (
                f"{row.decided_by} {reviews.VERDICTS[row.verdict]} it; "
                f"{press('review.undecide', 'u')} takes that back."
            )
        return ""

    def on_key(self, event: events.Key) -> None:
        """After `;` only a verb acts on what is marked."""
        bound = self._bound(event.key)
        action = "" if bound is None else bound.action
        if (
            self._acting
            and event.key != "escape"
            and action not in ("marked", "attest", "revoke", "undecide")
        ):
            self._acting = False

    def action_open(self) -> None:
        """The lines of the review under the cursor."""
        row = self.campaigns.current
        if not self._opened and row is not None:
            self.open_review(row.id)

    def action_begin(self) -> None:
        """A new review."""
        self.post_message(StartReview())

    def action_next(self) -> None:
        """The next line that waits, from the top again behind the last."""
        row = self.table.current
        after = _next_waiting(self._shown, row.id if row is not None else 0, wrap=True)
        if after is None:
            self.tell("No line that is shown here waits for a decision.")
        else:
            self.table.go_to(after)

    def action_marked(self) -> None:
        """The next verb acts on what is marked."""
        self._acting = True
        self.tell(
            f"{len(self.table.marks):,} marked: {press('review.attest', 'a')} attest  "
            f"{press('review.revoke', 'x')} revoke  {press('review.undecide', 'u')} undecide"
        )

    def action_mark_left(self) -> None:
        """Mark all that wait."""
        waiting = [each for each in self._shown if each.waits]
        self.table.mark(waiting)
        self.tell(
            f"{counted(len(waiting), 'line')} marked: {press('review.marked', ';')} and a verb decides them."
        )

    def action_attest(self) -> None:
        """It is to be so."""
        self._decide(ATTESTED)

    def action_revoke(self) -> None:
        """It is to go."""
        self._decide(REVOKED)

    def action_undecide(self) -> None:
        """Take it back."""
        self._decide(OPEN)

    def _decide(self, verdict: int) -> None:
        acting, self._acting = self._acting, False
        if not self._opened:
            return
        row = self.table.current
        if acting and self.table.marks:
            chosen = list(self.table.marks.values())
            self.table.unmark()
        elif row is not None:
            chosen = [row]
            self._leaving = row.id if verdict != OPEN else 0
        else:
            return
        wrong = tuple(
            (each.id, f"{SEVERITY_WORDS[found.severity]}: {found.sentence}")
            for each in chosen
            for found in self._wrong(each)
        )
        self.post_message(
            DecideLines(self._opened, tuple((each.id, each.version) for each in chosen), verdict, wrong)
        )

    def action_plan(self) -> None:
        """Plan what was revoked."""
        self.post_message(PlanReview(self._opened))

    def action_export(self) -> None:
        """Write the evidence."""
        self.post_message(ExportReview(self._opened))

    def action_close(self) -> None:
        """Close it."""
        self.post_message(CloseReview(self._opened))

    def action_matrix(self) -> None:
        """The principal in the matrix: a person over all organizations, a key in the one that it is of."""
        row = self.table.current
        if row is None:
            return
        if row.kind == "key":
            _, oid, key_hash = row.key.split(" ")
            self.post_message(ShowAccess(oid, principal=key_hash, kind="key"))
        else:
            self.post_message(ShowAccess(principal=str(row.principal), by="principal"))


def _share(progress: Progress) -> str:
    return f"{progress.done:,}/{progress.lines:,}"


def _way(row: Line) -> str:
    return f"{WAYS[row.kind]} {row.group}" if row.group else WAYS[row.kind]


def _next_waiting(lines: Sequence[Line], here: int, *, wrap: bool) -> Line | None:
    place = next((number for number, each in enumerate(lines) if each.id == here), -1)
    order = [*lines[place + 1 :], *(lines[:place] if wrap else ())]
    return next((each for each in order if each.waits), None)


def campaign_lines(review: reviews.Review, context: Context) -> list[Content]:
    """A campaign as its reviewers read it."""
    wanted, progress = review.wanted, review.progress
    limits = [
        *(f"like {each}" for each in wanted.principals),
        *([f"by {', '.join(wanted.kinds)}"] if wanted.kinds else []),
        *([f"giving {wanted.permission}"] if wanted.permission else []),
    ]
    lines = [
        line((review.title, "bold"), "   ", (review.scope_name or "all organizations", "")),
        _field("only", "; ".join(limits) or "everybody, every way"),
        _field("begun", f"by {review.by}, {context.when(review.started_at, seconds=False)}"),
        _field("compared", f"with the access that the store knows, {context.when(review.looked_at)}"),
        _field(
            "so far",
            f"{progress.attested:,} attested, {progress.revoked:,} revoked and still there, "
            f"{progress.taken:,} revoked and gone, {progress.left:,} left"
            + (f", {progress.changed:,} of them to decide again" if progress.changed else ""),
        ),
    ]
    if review.closed_at is not None:
        lines.append(
            _field("closed", f"by {review.closed_by}, {context.when(review.closed_at, seconds=False)}")
        )
    return lines


def detail_lines(found: Detail, row: Line, came: str, context: Context) -> list[Content]:
    """A line as a reviewer reads it: what it gives where, what changed, who decided, what came of it."""
    was = row.gone_at is not None
    head = {
        "member": "was a member of " if was else "is a member of ",
        "owner": "owned and managed " if was else "owns and manages ",
    }.get(row.kind)
    said: list[str | Content | tuple[str, str]] = [(row.principal, "bold"), "   "]
    said += [Content(head), (row.group, "bold")] if head else [Content(WAYS[row.kind])]
    lines = [line(*said)]
    if row.kind == "owner":
        lines.append(_field("owner", "receives none of it, and decides who does"))
    more = row.place_count - len(found.organizations)
    on_ = ", ".join(found.organizations) + (f" and {more:,} more" if more > 0 else "")
    lines.append(_field("on", f"{row.place_count:,}: {on_}" if row.place_count else "no organization"))
    if row.outside:
        lines.append(
            _field(
                "also", f"{counted(row.outside, 'organization')} outside this review, by the same way", "bold"
            )
        )
    if row.gone_at is not None:
        lines.append(_field("gone", f"found gone {context.when(row.gone_at, seconds=False)}"))
    elif row.standing == "changed":
        lines.append(_field("changed", _changes(found) or "it went, and came back", "bold ansi_yellow"))
    elif row.changed_at is not None:
        lines.append(
            _field("changed", f"since the review began, {context.when(row.changed_at, seconds=False)}")
        )
    if row.verdict != OPEN:
        verb = reviews.VERDICTS[row.verdict]
        style = HEALTH_STYLES[SIGNS[verb][1]]
        when = context.when(row.decided_at, seconds=False)
        lines.append(_field(verb, f"by {row.decided_by}, {when}: {row.reason}", style))
    if row.verdict == REVOKED and (came or not was):
        lines.append(
            _field("came of it", came or f"not planned yet: {press('review.plan', 'P')} makes the plan")
        )
    lines.append(_gives(found.permissions))
    earlier = found.decisions[:-1] if row.verdict != OPEN else found.decisions
    for each in reversed(earlier):
        verb = reviews.VERDICTS[each.verdict] if each.verdict != OPEN else "taken back"
        why = f": {each.reason}" if each.reason else ""
        lines.append(_field("before", f"{verb} by {each.by}, {context.when(each.at, seconds=False)}{why}"))
    lines.append(_field("names", f"sha256 {row.digest}"))
    return lines


def _gives(permissions: Sequence[str]) -> Content:
    """The permissions, the privileged ones first; those of a role by its name before them."""
    privileged = [each for each in permissions if is_privileged(each)]
    others = [each for each in permissions if not is_privileged(each)]
    role = next((name for name, held in roles().items() if set(held) == set(permissions)), "")
    parts: list[str | Content | tuple[str, str]] = [Content.styled(f"{'gives':<11}", "dim")]
    if role:
        parts.append((f"as {role}: ", "bold"))
    if privileged:
        parts.append((f"! {' '.join(privileged)} ", "bold ansi_red"))
    parts.append((" ".join(others) or ("" if privileged else "no permission"), ""))
    return line(*parts)


def _changes(found: Detail) -> str:
    difference, parts = found.difference, []
    for sign, names in (("+", difference.permissions_added), ("-", difference.permissions_gone)):
        parts += [f"{sign}{each}" for each in names[:NAMED]]
    for sign, places in (("+", difference.places_added), ("-", difference.places_gone)):
        named = [str(found.names.get(each.partition(" ")[0], each)) for each in places[:3]]
        if places:
            more = f" and {len(places) - 3:,} more" if len(places) > 3 else ""
            parts.append(f"{sign}{counted(len(places), 'organization')} ({', '.join(named)}{more})")
    return ", ".join(parts)


def _field(label: str, text: str, style: str = "") -> Content:
    return line((f"{label:<11}", "dim"), (text, style))
