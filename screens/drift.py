"""Where organizations are not as their templates want them: a heat table, a list, and what is decided."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from sqlalchemy import Connection
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.keys import press, with_keys
from screens.requests import DecideDrift, ShowOrganization
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.drift import CLASSES, WHOLE, Drift, DriftClass, Holds
from store.queries.drift import Attribution, Heat, HeatLine, Report, attributed, heat, report, sides_of
from store.rollouts.diff import as_yaml, differences
from store.templates.effective import short_key
from store.times import age

WIDE = 60
"""Cells of the pane where it stands beside the list."""

SIGNS: dict[DriftClass, str] = {
    "missing": "M", "unreadable": "U", "changed": "C", "disabled": "D", "expired": "E", "extra": "X",
}  # fmt: skip
"""One cell of the heat table."""

STYLES: dict[DriftClass, str] = {
    "missing": "bold ansi_red", "unreadable": "dim", "changed": "ansi_yellow", "disabled": "ansi_red",
    "expired": "ansi_yellow", "extra": "",
}  # fmt: skip
"""Colour only repeats what sign and word say."""

LEGEND = " " + "  ".join(f"{sign} {word}" for word, sign in SIGNS.items()) + "  . as wanted"
"""What the cells of the heat table say."""

NAMED = 12
"""Organizations that the pane names of one class; the rest is counted."""

_HOLDS: dict[Holds, str] = {"": "", "accepted": "acc", "lapsed": "laps", "denied": "DENY", "excluded": "excl"}


@dataclass(frozen=True)
class Found:
    """What deviates, both ways."""

    report: Report
    heat: Heat
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for."""

    words: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    """Of accepted, denied, excluded, lapsed; empty: what stands."""
    record: str = ""
    """Exactly this one."""
    every: bool = False


class DriftView(Detailed[Found]):
    """Every deviation: records by organizations, or one by one."""

    MODE = "drift"
    PANE = "#deviation"
    TITLE = "Drift"
    EMPTY = "Everything is as the templates want it, as far as was read."
    CSS_PATH = "drift.tcss"
    AUTO_FOCUS = "#heat"
    READS = frozenset(
        {
            "organization", "node", "sync_state", "configuration_record", "template_version",
            "template_assignment", "template_owned", "drift_decision", "wanted_state",
        }
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "open", id="drift.open",
            tooltip="Of the table the organizations of a record; of the list what differs, as YAML",
        ),
        Binding("v", "turn", "list/table", id="drift.turn", tooltip="From the table to the list, and back"),
        Binding(
            "a", "decide('accept')", "accept", id="drift.accept",
            tooltip="No drift until a date, and as long as it is as it is now",
        ),
        Binding(
            "x", "decide('exclude')", "exclude", id="drift.exclude",
            tooltip="No drift, and in no plan, until that is taken back",
        ),
        Binding(
            "d", "decide('deny')", "deny", id="drift.deny", tooltip="Shown until it is put right",
        ),
        Binding(
            "u", "decide('undo')", "undo", id="drift.undo", show=False,
            tooltip="Forget what was decided about this record",
        ),
        Binding("t", "tree", "tree", id="drift.tree", tooltip="The organization in the tree"),
        Binding(
            "right_square_bracket", "next_class(1)", "next class", id="drift.next_class", show=False,
            tooltip="Only the next class; after the last one all of them",
        ),
        Binding(
            "left_square_bracket", "next_class(-1)", "class before", id="drift.class_before", show=False,
            tooltip="Only the class before",
        ),
        Binding(
            "J", "scroll_detail(1)", "down", id="drift.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding("K", "scroll_detail(-1)", "up", id="drift.up", show=False, tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._wanted = Wanted()
        self._shown: list[Drift] = []
        self._lines: list[HeatLine] = []
        self._listing = False
        self._whole = False
        self._from_table = False
        """The list was opened by a record of the table: back leads there."""

    def compose_body(self) -> ComposeResult:
        """The table, the list behind it, and what is under the cursor."""
        cursor = self.context.glyphs.cursor
        yield Static("", id="gaps", markup=False)
        yield Static(LEGEND, id="legend", markup=False)
        with Container(id="split"):
            yield RowTable(self._heat_columns(), cursor=cursor, id="heat")
            listing = RowTable(self._list_columns(), cursor=cursor, id="list")
            listing.display = False
            yield listing
            with VerticalScroll(id="deviation", can_focus=False):
                yield Static("", markup=False)

    def _heat_columns(self) -> list[Column[HeatLine]]:
        return [
            Column("WORST", lambda each: each.worst, 10, style=lambda each: STYLES[each.worst]),
            Column("ORGS", lambda each: f"{each.organizations:,}", 6, align="right"),
            Column("RECORD", lambda each: short_key(each.what), 30, grow=3, cut="middle"),
            Column("ORGS, ALIKE IN ONE COLUMN", self._cells, 24, grow=2),
        ]

    def _cells(self, each: HeatLine) -> str:
        number = len(self._found.heat.columns) if self._found is not None else 0
        signs = {place: SIGNS[word] for place, word in each.cells.items()}
        return "".join(signs.get(place, ".") for place in range(min(number, 200)))

    def _list_columns(self) -> list[Column[Drift]]:
        return [
            Column("CLASS", lambda each: each.drift, 10, style=lambda each: STYLES[each.drift]),
            Column("RECORD", lambda each: short_key(each.what), 30, grow=3, cut="middle"),
            Column("ORGANIZATION", lambda each: self._called(each.oid), 20, grow=1, cut="middle"),
            Column("SAID", lambda each: _HOLDS[each.holds], 4),
            Column(
                "TEMPLATE",
                lambda each: each.after.template if each.after else "-",
                14,
                grow=1,
                from_width=100,
            ),
        ]

    def _called(self, oid: str) -> str:
        return str(self._found.report.organizations.get(oid, oid)) if self._found is not None else oid

    @property
    def table(self) -> RowTable[HeatLine]:
        """The heat table."""
        return self.query_one("#heat", RowTable)

    @property
    def deviations(self) -> RowTable[Drift]:
        """The deviations one by one."""
        return self.query_one("#list", RowTable)

    @property
    def _current(self) -> Drift | None:
        return self.deviations.current if self._listing else None

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """Everything that deviates in the scope."""
        key = self.context.redaction_key()
        found = report(connection, scope=self.context.scope.node_id, key=key, now=self.context.clock())
        return Found(found, heat(found), key)

    def has_nothing(self, found: Found) -> bool:
        """No organization deviates, nor is anything decided."""
        return not found.report.drifts and not found.report.blocked

    def empty_text(self) -> str:
        """Without templates there is nothing to deviate from."""
        found = self._found
        if self.context.status.known and not self.context.status.organizations:
            return super().empty_text()
        if found is None or found.report.organizations:
            read = age(found.report.oldest, self.context.clock()) if found is not None else "-"
            return f"{with_keys(self.EMPTY)} The oldest reading is {read} old."
        return (
            "No template is assigned to any organization here, so nothing can deviate. `limegrove template "
            "import` takes one, `limegrove template assign` puts it on a node."
        )

    def show(self, found: Found) -> None:
        """Both tables; the cursor stays on its thing."""
        self._found = found
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found = found
        self._shown, self._lines = [], []
        self.table.put(Listed([], key=_line))
        self.deviations.put(Listed([], key=_id))
        self.say(counts="", filter="")

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        self._shown = [each for each in found.report.drifts if self._wants(each)]
        records = {each.key for each in self._shown}
        self._lines = [each for each in found.heat.lines if (each.section, each.name) in records]
        self.table.put(Listed(self._lines, key=_line))
        self.deviations.put(Listed(self._shown, key=_id))
        read = age(found.report.oldest, self.context.clock())
        self.say(
            counts=f"{_counts(found.report)}   read {read} ago",
            filter=f"/{self.filter_line}" if self.filter_line else "",
        )
        self._say_gaps(found)
        self.detail()
        self.keys_changed()

    def _say_gaps(self, found: Found) -> None:
        said = [f"{self._called(oid)}: {why}" for oid, why in (*found.report.blocked, *found.report.failed)]
        if found.key is None:
            said.append("The key that digests secrets is not at hand: records with one are not compared.")
        gaps = self.query_one("#gaps", Static)
        gaps.display = bool(said)
        if said:
            gaps.update(line((f" ~ {counted(len(said), 'gap')}: ", HEALTH_STYLES["partly"]), said[0]))

    def _wants(self, each: Drift) -> bool:
        wanted = self._wanted
        if not wanted.every and not (each.holds in wanted.holds if wanted.holds else each.standing):
            return False
        if wanted.classes and each.drift not in wanted.classes:
            return False
        if wanted.record and each.what.casefold() != wanted.record:
            return False
        hay = f"{each.what}\n{self._called(each.oid)}\n{each.oid}".casefold()
        return all(word in hay for word in wanted.words)

    # -- filter and turning -----------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """`class:missing is:accepted`; a bare word is a part of a record's or an organization's name."""
        self._wanted = parse(line)
        self.filter_line = line
        self._lay_out()

    def action_next_class(self, step: int) -> None:
        """Only the next class that there is anything of."""
        if self._found is None:
            return
        classes = ["", *self._found.report.counts]
        now = self._wanted.classes[0] if len(self._wanted.classes) == 1 else ""
        wanted = classes[(classes.index(now) + step) % len(classes)] if now in classes else ""
        self.filter_by(f"class:{wanted}" if wanted else "")

    def action_turn(self) -> None:
        """From the table to the list, and back."""
        self._from_table = False
        self._turn(listing=not self._listing)

    def _turn(self, *, listing: bool) -> None:
        self._listing = listing
        self.table.display, self.deviations.display = not listing, listing
        self.query_one("#legend").display = not listing
        # At once: what is typed next is for it.
        self.set_focus(self.deviations if listing else self.table)
        self.detail()
        self.keys_changed()

    def close_inner(self) -> bool:
        """First the diff, then the filter, then the list."""
        if self._whole:
            self._show_whole(whole=False)
        elif self._from_table:
            self._from_table = False
            self.filter_by("")
            self._turn(listing=False)
        elif self.filter_line:
            self.filter_by("")
        elif self._listing:
            self._turn(listing=False)
        else:
            return False
        return True

    def action_open(self) -> None:
        """Of the table the organizations of a record; of the list what differs."""
        if self._listing:
            self._show_whole(whole=not self._whole)
        elif (each := self.table.current) is not None:
            self.filter_by(f"record:{each.what}")
            self._turn(listing=True)
            self._from_table = True

    def _show_whole(self, *, whole: bool) -> None:
        self._whole = whole
        self.set_class(whole, "-whole")
        self.deviations.display = not whole
        if not whole:
            self.set_focus(self.deviations)
        self.detail()

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        found = self._found
        if found is None:
            return
        drift, each = self._current, None if self._listing else self.table.current
        if drift is not None:
            self._look_at(found, drift)
        elif each is not None:
            self._say(self._about_record(found, each))
        else:
            self._say([self.nothing_said()])

    def _say(self, lines: Sequence[Content]) -> None:
        width = self.size.width if self._whole or self.size.width < 120 else WIDE
        self.say_detail(lines, width)

    def _about_record(self, found: Found, each: HeatLine) -> list[Content]:
        """Who deviates in a record, class by class."""
        lines = [
            line((f" {each.what}", "bold"), f" deviates in {counted(each.organizations, 'organization')}")
        ]
        by_class: Counter[DriftClass] = Counter()
        names: dict[DriftClass, list[str]] = {}
        for number, word in each.cells.items():
            column = found.heat.columns[number]
            by_class[word] += len(column.oids)
            names.setdefault(word, []).extend(
                self._called(oid) for oid in column.oids[: max(0, NAMED - len(names.get(word, ())))]
            )
        for word in CLASSES:
            if word in names:
                rest = by_class[word] - len(names[word])
                more = f" and {rest:,} more" if rest else ""
                lines.append(
                    line((f"   {SIGNS[word]} {word} ", STYLES[word]), f"{', '.join(names[word])}{more}")
                )
        if (each.section, each.name) != WHOLE:
            lines.append(line((f"   limegrove drift show --record {shlex.quote(each.what)}", "dim")))
        return lines

    @work(exclusive=True, group="look", exit_on_error=False)
    async def _look_at(self, found: Found, drift: Drift) -> None:
        """Read who did it and what differs, in a thread; the cursor may be elsewhere by then."""
        lines = await asyncio.to_thread(self._about, found, drift, self._whole)
        now = self._current
        if self.is_mounted and now is not None and _id(now) == _id(drift):
            self._say(lines)

    def _about(self, found: Found, drift: Drift, whole: bool) -> list[Content]:
        with self.context.reader.reading() as connection:
            who = attributed(connection, [drift]).get((drift.oid, *drift.key))
            sides = None
            if drift.key != WHOLE:
                sides = sides_of(connection, found.report, drift, found.key)
        lines = [
            line(
                (f" {self._called(drift.oid)} ", "bold"), (drift.drift, STYLES[drift.drift]), f" {drift.what}"
            ),
            line(f"   {self._by(who)}"),
        ]  # fmt: skip
        if drift.holds:
            until = (
                f" until {self.context.when(drift.until, seconds=False)}" if drift.until is not None else ""
            )
            by = f" by {drift.by}" if drift.by else ""
            lines.append(line((f"   {drift.holds}{until}", "bold"), f"{by}: {drift.reason}"))
        elif drift.reason:
            lines.append(line(f"   {drift.reason}"))
        if drift.after is not None:
            lines.append(line((f"   wanted by {drift.after.template}, version {drift.after.version}", "dim")))
        if sides is None:
            return lines
        (wants, wanted_metadata), (has, metadata) = sides
        if whole:
            lines.append(line((" - as wanted   + as it is", "bold")))
            lines += [_signed(text) for text in as_yaml(wants, has)]
            said = drift.after is None or drift.after.metadata is not None
            if said and drift.section.startswith("hive/"):
                lines += [
                    _signed(text)
                    for text in as_yaml(
                        wanted_metadata if drift.after is not None else None,
                        metadata if drift.before is not None else None,
                    )
                ]
        elif drift.before is not None and drift.after is not None:
            parts = differences(wants, has)
            if drift.after.metadata is not None:
                parts += differences(wanted_metadata, metadata)
            lines += [line(f"   {part.words}") for part in parts]
        return lines

    def _by(self, who: Attribution | None) -> str:
        if who is None:
            return "Nothing tells who did it."
        by = str(who.by) or "somebody"
        if who.source == "reading":
            return f"found so by the reading of {self.context.when(who.at)}; nothing tells who did it"
        told = f": {who.said}" if who.said else ", as the record says" if who.source == "record" else ""
        when = f", {self.context.when(who.at)}" if who.at is not None else ""
        return f"by {by}{when}{told}"

    # -- keys -------------------------------------------------------------------------------------------

    @property
    def offers_all(self) -> bool:
        """Half of the keys are for the list alone."""
        return False

    def why_not(self, action: str) -> str:
        """What is decided is about one organization's record."""
        name, _, asked = action.partition("(")
        if name == "tree" and self._current is None:
            return f"No organization is selected: {press('drift.open', 'enter')} lists those of a record."
        if name == "open" and not self._listing and self.table.current is None:
            return "No record is selected."
        if name != "decide":
            return ""
        drift = self._current
        if not self.context.writable:
            return "This console is read-only."
        if drift is None:
            return (
                f"A decision is about one organization: {press('drift.open', 'enter')} lists "
                "those of a record."
            )
        if drift.key == WHOLE:
            return f"What was never read cannot be decided about; {press('app.sync', 'r')} reads the cloud."
        if "undo" in asked and not drift.holds:
            return "Nothing is decided about it."
        return ""

    def action_decide(self, decision: Literal["accept", "deny", "exclude", "undo"]) -> None:
        """Ask for the reason, and decide."""
        drift = self._current
        if drift is None or drift.key == WHOLE:
            self.tell(self.why_not("decide"))
        elif decision == "undo" and not drift.holds:
            self.tell("Nothing is decided about it.")
        else:
            self.post_message(DecideDrift(drift.oid, drift.section, drift.name, decision, drift.seen))

    def action_tree(self) -> None:
        """The organization in the tree."""
        drift = self._current
        if drift is not None:
            self.post_message(ShowOrganization(drift.oid))


def _id(drift: Drift) -> tuple[str, str, str]:
    return drift.oid, drift.section, drift.name


def _line(each: HeatLine) -> tuple[str, str]:
    return each.section, each.name


def _counts(found: Report) -> str:
    """Records by class, as many as other views count; what is not one of them after that in words: whole
    organizations that nobody could compare, and what was decided."""
    unread = {each.oid for each in found.drifts if each.key == WHOLE} | {oid for oid, _ in found.blocked}
    standing = Counter(each.drift for each in found.standing if each.oid not in unread)
    decided = Counter(each.holds for each in found.drifts)
    said = [f"{standing.total():,}:" if len(standing) > 1 else ""]
    said += [f"{SIGNS[word]}{standing[word]:,}" for word in CLASSES if standing[word]]
    said += ["none"] if not standing else []
    said += [f"{len(unread):,} not compared"] if unread else []
    said += [f"{decided[word]:,} {word}" for word in ("accepted", "denied", "excluded") if decided[word]]
    return " ".join(filter(None, said))


def _signed(text: str) -> Content:
    style = {"+": "ansi_green", "-": "ansi_red"}.get(text[:1], "")
    return line((f" {text}", style))


def parse(line: str) -> Wanted:
    """Read a filter line.

    Raises:
        ValueError: an unknown prefix, class or word; the text says what is allowed.
    """
    text = line.casefold().strip()
    if text.startswith("record:"):
        return Wanted(record=text.removeprefix("record:").strip())
    words: list[str] = []
    classes: list[str] = []
    holds: list[str] = []
    every = False
    for word in text.split():
        prefix, colon, value = word.partition(":")
        if not colon:
            words.append(word)
        elif prefix == "class":
            if value not in CLASSES:
                raise ValueError(f"{value} is no class; use one of {', '.join(CLASSES)}.")
            classes.append(value)
        elif word == "is:all":
            every = True
        elif prefix == "is" and value in ("accepted", "denied", "excluded", "lapsed"):
            holds.append(value)
        else:
            raise ValueError(
                f"{word} means nothing; use class:, record:, "
                "or is: with all, accepted, denied, excluded or lapsed."
            )
    return Wanted(tuple(words), tuple(classes), tuple(holds), "", every)
