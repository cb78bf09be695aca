"""What the shift before hands over to you, item by item, and what you hand over yourself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.customer_words import escalation_words, first_contact, standing_words
from screens.detailed import Detailed
from screens.frame import Line, Part, WrittenLine, two_sided
from screens.keys import press
from screens.queue import clock_style
from screens.requests import (
    AcceptItem,
    BounceItem,
    DraftHandover,
    PublishHandover,
    ShowAlerts,
    ShowView,
    WithdrawHandover,
    WriteItem,
)
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import content, line
from store import handover
from store.customers import Customer, kept_of
from store.handover import Handover as Whole
from store.handover import Item
from store.queries.customers import Situation, standing
from store.times import age, clock_left, clock_words

SECTIONS: tuple[tuple[str, str], ...] = (("offered", "To accept"), ("own", "Yours"))
AGES_EVERY = 30
STATE_HEALTH = {"open": "partly", "accepted": "well", "bounced": "failed"}
SIGNS = {"open": "~ open", "accepted": "o taken", "bounced": "x bounced"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An item with the hand-over that it is of."""

    whole: Whole
    item: Item


@dataclass(frozen=True, slots=True)
class Found:
    """Both sections."""

    offered: list[Entry]
    own: list[Entry]
    draft: Whole | None
    published: Whole | None
    """The operator's newest one that nobody has dealt with wholly."""
    customers: Mapping[str, tuple[Customer, Situation]] = field(default_factory=dict)
    """By organization what is documented of its customer, and how it stands with it."""


class Handover(Detailed[Found]):
    """Two lists, one shown at a time, and the item under the cursor beside or below."""

    MODE = "handover"
    PANE = "#item"
    TITLE = "Hand-over"
    CSS_PATH = "handover.tcss"
    AUTO_FOCUS = "RowTable.-current"
    READS = frozenset({"handover", "handover_item", "organization", "node", "detection", "customer_document"})
    EMPTY = (
        "Nothing is handed over to you, and you have no draft. {handover.draft=d} makes one "
        "from what you hold."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "accept", id="handover.accept", tooltip="Take it: what is in it is yours"),
        Binding("b", "bounce", "bounce", id="handover.bounce", tooltip="Give this item back, with a reason"),
        Binding("e", "write", "write", id="handover.write", tooltip="Hypothesis, next step and blocker"),
        Binding("d", "draft", "draft", id="handover.draft", tooltip="Your draft anew, from what you hold"),
        Binding("P", "publish", "publish", id="handover.publish", tooltip="Offer your draft, after asking"),
        Binding("W", "withdraw", "withdraw", id="handover.withdraw", show=False,
            tooltip="Take back what you handed over, after asking"),
        Binding("enter", "go", "go there", id="handover.go", tooltip="Its alerts in the queue, or its case"),
        Binding(
            "right_square_bracket,left_square_bracket", "section", "yours", id="handover.section",
            tooltip="What is handed over to you, or what you hand over",
        ),
        Binding("J", "scroll_detail(3)", "item down", id="handover.down", show=False, tooltip="Scroll down"),
        Binding("K", "scroll_detail(-3)", "item up", id="handover.up", show=False, tooltip="Scroll up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._section = 0
        self._chosen = False
        """Whether the operator chose the section; before that the one with something in it is shown."""
        self._found: Found | None = None

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The names of the sections, the lists, the item."""
        cursor = self.context.glyphs.cursor
        yield WrittenLine(self._say_all, id="sections")
        with Container(id="split"):
            with ContentSwitcher(initial="offered", id="lists"):
                yield RowTable(self._columns(own=False), cursor=cursor, id="offered", classes="-current")
                yield RowTable(self._columns(own=True), cursor=cursor, id="own")
            with VerticalScroll(id="item", can_focus=False):
                yield Static("", markup=False)

    @property
    def table(self) -> RowTable[Entry]:
        """The list that is shown."""
        return self.query_one(f"#{SECTIONS[self._section][0]}", RowTable)

    def _columns(self, *, own: bool) -> list[Column[Entry]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        severities = [f"{sign} {word}" for sign, word in zip(glyphs.severity, SEVERITY_WORDS, strict=True)]
        columns: list[Column[Entry]] = [
            Column(
                "SEV",
                lambda row: severities[row.item.severity],
                7,
                style=lambda row: SEVERITY_STYLES[row.item.severity],
            ),
            Column(
                "SLA",
                lambda row: (
                    clock_words(row.item.due_at, clock()) if row.item.state == handover.WAITING else ""
                ),
                9,
                align="right",
                style=lambda row: (
                    clock_style(row.item.due_at, clock()) if row.item.state == handover.WAITING else ""
                ),
            ),
            Column("ORGANIZATION", lambda row: row.item.organization, 14, grow=1, cut="middle"),
            Column("WHAT", lambda row: _what(row.item), 18, grow=4),
            Column(
                "N", lambda row: f"{len(row.item.alerts):,}" if row.item.alerts else "case", 5, align="right"
            ),
        ]
        state: Column[Entry] = Column(
            "STATE",
            lambda row: SIGNS[row.item.state_word],
            9,
            style=lambda row: HEALTH_STYLES[STATE_HEALTH[row.item.state_word]],
        )
        if own:
            return [*columns, Column("", lambda row: _stage(row), 9, from_width=76), state]
        return [*columns, Column("FROM", lambda row: row.whole.by, 8, grow=1), state]

    def read(self, connection: Connection) -> Found:
        """What others offer in the scope, and what the operator hands over."""
        me = self.context.operator
        scope = self.context.scope.node_id
        mine = handover.own(connection, me)
        draft = next((each for each in mine if each.state == handover.DRAFT), None)
        published = next((each for each in mine if each.state == handover.PUBLISHED), None)
        done = next((each for each in mine if each.state == handover.DONE), None)
        shown = [each for each in (draft, published or done) if each is not None]
        offered = _lines(handover.offered(connection, me, scope=scope))
        own = _lines(shown)
        oids = {row.item.oid for row in (*offered, *own)}
        now = self.context.clock()
        customers = {
            oid: (kept.customer, standing(kept.customer, now))
            for oid, kept in kept_of(connection, oids).items()
        }
        return Found(offered, own, draft, published, customers)

    def has_nothing(self, found: Found) -> bool:
        """Whether neither section has anything."""
        return not found.offered and not found.own

    def show(self, found: Found) -> None:
        """The lists; the cursor stays on its item."""
        self._found = found
        words = self.filter_line.casefold().split()
        for name, rows in (("offered", found.offered), ("own", found.own)):
            kept = [row for row in rows if all(word in _hay(row) for word in words)]
            self.query_one(f"#{name}", RowTable).put(Listed(kept, key=lambda row: row.item.id))
        if not self._chosen and not found.offered and found.own and not self._section:
            self._turn(1)
        self._say_all()
        self.detail()

    def show_empty(self, found: Found) -> None:
        """Keep nothing of before."""
        self._found = found
        self.say(counts="")

    def _say_all(self) -> None:
        found = self._found
        if found is None or self.look != "full":
            return
        left = sum(1 for row in found.offered if row.item.state == handover.WAITING)
        counts = (f"{left:,} of {len(found.offered):,}", f"{len(found.own):,}")
        parts: list[Part] = []
        for number, ((_, title), count) in enumerate(zip(SECTIONS, counts, strict=True)):
            text = f" {title} {count} "
            here = number == self._section
            parts.append((f"[{text}]" if here else f" {text} ", "bold reverse" if here else ""))
        right: list[Part] = []
        if found.draft is not None:
            right = [("draft, not published ", HEALTH_STYLES["partly"])]
        elif found.published is not None:
            right = [(f"published, {found.published.left:,} left ", "")]
        sections = self.query_one("#sections", Line)
        sections.say(two_sided(parts, right, sections.size.width))
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{left:,} to accept" if left else "nothing to accept",
        )

    def apply_filter(self, line: str) -> None:
        """Keep the items that hold every word."""
        self.filter_line = line

    def why_not(self, action: str) -> str:
        """What can be done with which item, and in which console."""
        row, found = self.table.current, self._found
        if (
            action in ("accept", "bounce", "write", "draft", "publish", "withdraw")
            and not self.context.writable
        ):
            return "This console is read-only."
        if action in ("accept", "bounce", "write", "go") and row is None:
            return "No item is under the cursor."
        if action in ("accept", "bounce") and row is not None:
            if self._section:
                return "This is what you hand over: others accept it."
            if row.item.state != handover.WAITING:
                return f"{row.item.decided_by} has {row.item.state_word} it."
        if action == "write" and row is not None and (not self._section or row.whole.state != handover.DRAFT):
            return "Only what is in your draft can be written."
        if action == "publish" and (found is None or found.draft is None or not found.draft.items):
            return f"You have no draft with anything in it: {press('handover.draft', 'd')} makes one."
        if action == "withdraw" and (found is None or (found.draft is None and found.published is None)):
            return "You have handed nothing over."
        return ""

    def on_mount(self) -> None:
        """Clocks go on without the store's doing."""
        self.set_interval(AGES_EVERY, self._tick)

    def _tick(self) -> None:
        if self.is_current and self._found is not None and self.look == "full":
            self.table.tick()

    # -- the item ---------------------------------------------------------------------------------------

    def detail(self) -> None:
        """The item under the cursor."""
        row = self.table.current
        if row is not None:
            known = self._found.customers.get(row.item.oid) if self._found is not None else None
            lines = item_lines(row.whole, row.item, self.context, known)
        elif self.filter_line:
            lines = [Content(f"No item matches the filter; {press('app.back', 'esc')} forgets it.")]
        elif self._section:
            lines = [
                Content(
                    f"You hand nothing over. {press('handover.draft', 'd')} makes a draft from what you hold."
                )
            ]
        else:
            lines = [Content("Nothing is handed over to you.")]
        self.say_detail(lines)

    # -- actions ----------------------------------------------------------------------------------------

    def action_section(self) -> None:
        """The other list."""
        self._chosen = True
        self._turn(1 - self._section)
        self._say_all()
        self.detail()

    def _turn(self, section: int) -> None:
        self._section = section
        self.query_one("#lists", ContentSwitcher).current = SECTIONS[section][0]
        for table in self.query(RowTable):
            table.set_class(table.id == SECTIONS[section][0], "-current")
        self.table.focus()
        self.keys_changed()

    def action_accept(self) -> None:
        """Take it."""
        if (row := self.table.current) is not None:
            self.post_message(AcceptItem(row.item.id, row.item.version))

    def action_bounce(self) -> None:
        """Give it back."""
        if (row := self.table.current) is not None:
            self.post_message(BounceItem(row.item.id, row.item.version))

    def action_write(self) -> None:
        """Its texts."""
        if (row := self.table.current) is not None:
            self.post_message(WriteItem(row.item.id))

    def action_draft(self) -> None:
        """The draft anew."""
        self._chosen = True
        self._turn(1)
        self.post_message(DraftHandover())

    def action_publish(self) -> None:
        """Offer the draft."""
        if self._found is not None and self._found.draft is not None:
            self.post_message(PublishHandover(self._found.draft.id))

    def action_withdraw(self) -> None:
        """Take back the draft, or what is published."""
        if self._found is not None and (whole := self._found.draft or self._found.published) is not None:
            self.post_message(WithdrawHandover(whole.id))

    def action_go(self) -> None:
        """Its alerts in the queue; of a case the cases."""
        row = self.table.current
        if row is None:
            return
        if row.item.case_number is not None:
            self.post_message(ShowView("cases"))
        else:
            self.post_message(ShowAlerts(_filter_of(row.item)))


def _lines(found: Sequence[Whole]) -> list[Entry]:
    return [Entry(whole, item) for whole in found for item in whole.items]


def _hay(row: Entry) -> str:
    item = row.item
    texts = (
        item.organization,
        item.title,
        item.host,
        item.hypothesis,
        item.next_step,
        item.blocker,
        row.whole.by,
    )
    return "\n".join(texts).casefold()


def _what(item: Item) -> str:
    """What it is, and where; in a list."""
    return f"{item.title}   {item.host}" if item.host else str(item.title)


def _stage(row: Entry) -> str:
    return {handover.DRAFT: "draft", handover.PUBLISHED: "published", handover.DONE: "done"}.get(
        row.whole.state, ""
    )


def _filter_of(item: Item) -> str:
    """The filter line of its alerts; a text with a quote in it cannot stand in one."""
    parts = [f"oid:{item.oid}", "status:any"]
    for prefix, text in (("cat", item.title), ("host", item.host)):
        if (
            text
            and '"' not in text
            and text.isprintable()
            and not (prefix == "host" and text.endswith(" hosts"))
        ):
            parts.append(f'{prefix}:"{text}"')
    return " ".join(parts)


def item_lines(
    whole: Whole, item: Item, context: Context, known: tuple[Customer, Situation] | None = None
) -> list[Content]:
    """One item as an analyst reads it: what is thought, what comes next, what is in the way, and done.

    Args:
        known: what is documented of the customer, and how it stands with it; None for nothing.
    """
    now = context.clock()

    def told(label: str, text: str, style: str = "") -> Content:
        head = Content.styled(f"{label:<11}", "dim")
        return line(head, (text, style)) if text else line(head, ("-", "dim"))

    lines = [
        line((item.organization, "bold"), "   ", (item.title, "bold"), "   ", (item.host, "")),
        told("hypothesis", item.hypothesis),
        told("next", item.next_step),
        told("blocker", item.blocker, "ansi_yellow" if item.blocker else ""),
    ]
    said = clock_left(item.due_at, now) or "no clock runs"
    lines.append(line(("SLA        ", "dim"), (said, clock_style(item.due_at, now))))
    if known is not None:
        customer, stands = known
        style = "ansi_yellow" if stands.window else ""
        for label, text in (
            ("customer", standing_words(customer, stands, now)),
            ("contact", first_contact(customer)),
            ("escalate", escalation_words(customer)),
        ):
            if text:
                lines.append(told(label, text, style if label == "customer" else ""))
    if item.state != handover.WAITING:
        verb = "accepted" if item.state == handover.ACCEPTED else "bounced"
        reason = f": {item.reason}" if item.reason else ""
        when = f", {age(item.decided_at, now)} ago"
        lines.append(
            line(
                (f"{verb:<11}", "dim"),
                (f"by {item.decided_by}{when}{reason}", HEALTH_STYLES[STATE_HEALTH[item.state_word]]),
            )
        )
    for number, step in enumerate(item.done):
        head = "done" if not number else ""
        lines.append(
            line(
                (f"{head:<11}", "dim"),
                (f"{age(step.at, now):>4}  ", "dim"),
                (step.what, ""),
                ("  ", ""),
                (step.who, "dim"),
            )
        )
    if not item.done:
        lines.append(told("done", ""))
    by = whole.by if whole.state != handover.DRAFT else ""
    if by:
        lines.append(told("from", f"{by}, published {context.when(whole.published_at, seconds=False)}"))
    if whole.note:
        lines.append(told("for all", whole.note))
    if not item.alerts and item.case_number is not None:
        lines.append(line(("case       ", "dim"), content(f"#{item.case_number}")))
    return lines
