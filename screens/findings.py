"""What is wrong with who may do what: the worst first, each with its evidence, its reach and its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.detailed import Detailed
from screens.dialogs.what_if import Consequence, WhatIf, WhatIfAnswer
from screens.keys import MARKING_MOVES, press, with_keys
from screens.requests import (
    PlanChanges,
    PlanStaged,
    ShowAccess,
    ShowOrganization,
    StageChanges,
    UnstageChanges,
)
from screens.whatif import consequence
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store import accesslines, accessplans
from store.access import counted
from store.accesschanges import AccessChange, ordered
from store.accesslines import Names
from store.alerts import SEVERITIES
from store.closure import World
from store.findings import KINDS, Finding, Report
from store.queries.findings import findings
from store.text import safe_text

WIDE = 60
"""Cells of the pane where it stands beside the list (its border is one more, `findings.tcss`)."""

SHOWN = 40
"""Changes and people that the pane names; the rest is counted."""

_MARKS = ("mark", "mark_range", "unmark")


class FindingTable(RowTable[Finding], inherit_bindings=False):
    """The list; space is the view's, which stages."""

    BINDINGS: ClassVar[list[BindingType]] = [move for move in MARKING_MOVES if move.action not in _MARKS]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and what of it is staged."""

    report: Report
    names: Names
    """Of everything that the remedies speak of."""
    staged: frozenset[AccessChange]
    organizations: Mapping[str, str]
    """oid -> name, of every organization that a finding is about."""
    read: bool
    """Whether who may do what was read of any organization."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for; every word must hold, of several kinds one."""

    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    severity: int = 0
    """At least."""
    staged: bool = False
    """Only what is staged."""


class Findings(Detailed[Found]):
    """Every finding about access, with the one under the cursor in full."""

    MODE = "findings"
    PANE = "#finding"
    EMPTY = "Nothing is wrong with who may do what."
    TITLE = "Findings"
    CSS_PATH = "findings.tcss"
    AUTO_FOCUS = "FindingTable"
    READS = frozenset(
        {
            "organization", "node", "direct_permission", "organization_group", "group_member",
            "group_organization", "api_key", "user_account", "sync_state", "audit_use", "access_event",
            "group_role", "preference", "staged_change",
        }
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "space", "stage", "stage remedy", id="findings.stage",
            tooltip="Stage what takes this finding away, for the next plan; again takes it out",
        ),
        Binding(
            "w", "what_if", "what if", id="findings.what_if",
            tooltip="What the staged changes come to; with none staged, what this remedy would",
        ),
        Binding(
            "P", "plan", "plan", id="findings.plan",
            tooltip="Make a plan of all staged changes, and approve it",
        ),
        Binding(
            "enter", "access", "matrix", id="findings.access",
            tooltip="Who may do what on its first organization",
        ),
        Binding("t", "tree", "tree", id="findings.tree", tooltip="Its first organization in the tree"),
        Binding(
            "right_square_bracket", "next_kind(1)", "next kind", id="findings.next_kind",
            tooltip="Only findings of the next kind; after the last one all of them",
        ),
        Binding(
            "left_square_bracket", "next_kind(-1)", "kind before", id="findings.kind_before", show=False,
            tooltip="Only findings of the kind before",
        ),
        Binding(
            "J", "scroll_detail(1)", "down", id="findings.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding(
            "K", "scroll_detail(-1)", "up", id="findings.up", show=False, tooltip="Scroll the detail up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._wanted = Wanted()
        self._shown: list[Finding] = []

    def compose_body(self) -> ComposeResult:
        """The list, and what is under the cursor."""
        yield Static("", id="gaps", markup=False)
        with Container(id="split"):
            yield FindingTable(self._columns(), cursor=self.context.glyphs.cursor)
            with VerticalScroll(id="finding", can_focus=False):
                yield Static("", markup=False)

    def _columns(self) -> list[Column[Finding]]:
        signs = self.context.glyphs.severity

        def style(finding: Finding) -> str:
            return SEVERITY_STYLES[finding.severity]

        return [
            Column("", lambda each: "+" if self._is_staged(each) else "", 1),
            Column(
                "SEV", lambda each: f"{signs[each.severity]} {SEVERITY_WORDS[each.severity]}", 7, style=style
            ),
            Column("WHO", lambda each: each.subject, 18, grow=2, cut="middle"),
            Column("FINDING", lambda each: each.sentence, 26, grow=4),
            Column("ORGS", lambda each: f"{len(each.oids):,}", 6, align="right"),
            Column(
                "PEOPLE", lambda each: f"{len(each.people):,}" if each.people else "-", 6, align="right",
                from_width=90,
            ),
            Column(
                "CHANGES", lambda each: f"{len(each.remedy):,}" if each.remedy else "-", 7, align="right",
                from_width=90,
            ),
        ]  # fmt: skip

    def _is_staged(self, finding: Finding) -> bool:
        return (
            self._found is not None and bool(finding.remedy) and self._found.staged.issuperset(finding.remedy)
        )

    @property
    def table(self) -> FindingTable:
        """The list on the screen."""
        return self.query_one(FindingTable)

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """Everything that is wrong in the scope."""
        report = findings(connection, now=self.context.clock(), scope=self.context.scope.node_id)
        changes = [change for each in report.findings for change in each.remedy]
        about = [
            AccessChange("add_user", oid=oid)
            for oid in {oid for each in report.findings for oid in each.oids}
        ]
        return Found(
            report,
            accesslines.names(connection, changes),
            frozenset(accessplans.staged(connection, self.context.operator)),
            accesslines.names(connection, about).organizations,
            report.read,
        )

    def has_nothing(self, found: Found) -> bool:
        """Nothing is wrong, or nothing was read."""
        return not found.report.findings

    def empty_text(self) -> str:
        """That nothing was found is worth as much as what could be looked for."""
        if self.context.status.known and not self.context.status.organizations:
            return super().empty_text()
        found = self._found
        if found is None:
            return with_keys(self.EMPTY)
        if not found.read:
            return f"Not known: who may do what was never read. {press('app.sync', 'r')} reads the cloud."
        words = found.report.staff.words
        said = [
            "Nothing is wrong with who may do what, as far as could be looked for.",
            *([f"{words[:1].upper()}{words[1:]}."] if found.report.staff.source else []),
            *found.report.unknown,
        ]
        return "\n\n".join(safe_text(each) for each in said)

    def show(self, found: Found) -> None:
        """The list; the cursor stays on its finding."""
        self._found = found
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found = found
        self._shown = []
        self.table.put(Listed([], key=_id))
        self.say(counts="", filter="")

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        self._shown = [each for each in found.report.findings if self._wants(each, found)]
        self.table.put(Listed(self._shown, key=_id))
        every = len(found.report.findings)
        some = f"{len(self._shown):,} of " if len(self._shown) != every else ""
        levels = " ".join(
            f"{number:,} {SEVERITY_WORDS[level].lower()}"
            for level in range(len(SEVERITIES) - 1, -1, -1)
            if (number := sum(1 for each in self._shown if each.severity == level))
        )
        staged = f"   {len(found.staged):,} staged" if found.staged else ""
        gaps, unknown = self.query_one("#gaps", Static), found.report.unknown
        gaps.display = bool(unknown)
        if unknown:
            gaps.update(line((f" ~ {counted(len(unknown), 'gap')}: ", HEALTH_STYLES["partly"]), unknown[0]))
        self.say(
            counts=f"{some}{every:,}   {levels or 'none'}{staged}",
            filter=f"/{self.filter_line}" if self.filter_line else "",
        )
        self.detail()
        self.keys_changed()

    def _wants(self, finding: Finding, found: Found) -> bool:
        wanted = self._wanted
        if finding.severity < wanted.severity or (wanted.kinds and finding.kind not in wanted.kinds):
            return False
        if wanted.staged and not self._is_staged(finding):
            return False
        if not wanted.words:
            return True
        names = (found.organizations.get(oid, "") for oid in finding.oids)
        hay = "\n".join((finding.subject, finding.sentence, finding.kind, *finding.people, *names)).casefold()
        return all(word in hay for word in wanted.words)

    # -- filter -----------------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """`kind:leak sev:high is:staged`; a bare word is a part of a name, or of what was found."""
        self._wanted = parse(line)
        self.filter_line = line
        self._lay_out()

    def action_next_kind(self, step: int) -> None:
        """Only the next kind that there is anything of."""
        if self._found is None:
            return
        there = {each.kind for each in self._found.report.findings}
        kinds = ["", *(kind for kind in KINDS if kind in there)]
        now = self._wanted.kinds[0] if len(self._wanted.kinds) == 1 else ""
        wanted = kinds[(kinds.index(now) + step) % len(kinds)] if now in kinds else ""
        self.filter_by(f"kind:{wanted}" if wanted else "")
        self.tell(f"{KINDS[wanted]}." if wanted in KINDS else "All kinds.")

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        found, finding = self._found, self.table.current
        if found is None:
            return
        lines: Sequence[Content] = [self.nothing_said()]
        if finding is not None:
            lines = detail_lines(finding, found, staged=self._is_staged(finding))
        width = WIDE if self.size.width >= 120 else self.size.width
        self.say_detail(lines, width)

    # -- keys -------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """A remedy that no machine can choose is not staged; what goes elsewhere needs an organization."""
        finding = self.table.current
        if action in ("stage", "access", "tree") and finding is None:
            return "No finding is selected."
        if action == "stage" and finding is not None and not finding.remedy:
            return "No machine can choose what takes this away: the detail says what to do."
        if action in ("access", "tree") and finding is not None and not finding.oids:
            return "This finding is about no organization."
        if action in ("stage", "plan") and not self.context.writable:
            return "This console is read-only."
        if action == "what_if" and not self._in_question():
            return "Nothing is staged, and no machine can choose what takes this away."
        if action == "plan" and (self._found is None or not self._found.staged):
            return f"Nothing is staged: {press('findings.stage', 'space')} stages what takes a finding away."
        return ""

    def action_stage(self) -> None:
        """Stage the remedy, or take it out again."""
        finding = self.table.current
        if finding is not None and finding.remedy:
            request = UnstageChanges if self._is_staged(finding) else StageChanges
            self.post_message(request(finding.remedy))

    def _in_question(self) -> tuple[AccessChange, ...]:
        """What a what-if is about: all that is staged, else the remedy under the cursor."""
        if self._found is not None and self._found.staged:
            return tuple(ordered(self._found.staged))
        finding = self.table.current
        return () if finding is None else finding.remedy

    @work(exclusive=True, group="what-if", exit_on_error=False)
    async def action_what_if(self) -> None:
        """Before and after, side by side."""
        changes = self._in_question()
        staged = self._found is not None and bool(self._found.staged)
        finding = self.table.current
        if not changes:
            return
        made = await asyncio.to_thread(self._consequence, changes)
        if not self.is_current:
            return
        answer: WhatIfAnswer | None = await self.app.push_screen_wait(
            WhatIf(made, cursor=self.context.glyphs.cursor, writable=self.context.writable, staged=staged)
        )
        if answer is None:
            return
        if answer.deed == "plan" and staged:
            self.post_message(PlanStaged())
        elif answer.deed == "plan" and finding is not None:
            title = f"{finding.kind}: {finding.subject} {finding.sentence}"
            self.post_message(PlanChanges(changes, title[:200], source="finding"))
        elif answer.deed == "clear":
            self.post_message(UnstageChanges(None))
        elif answer.change is not None:
            self.post_message(UnstageChanges((answer.change,)))

    def _consequence(self, changes: tuple[AccessChange, ...]) -> Consequence:
        with self.context.reader.reading() as connection:
            world = World.load(connection)
            names = accesslines.names(connection, changes)
        return consequence(world, world.changed(changes), changes, names)

    def action_plan(self) -> None:
        """A plan of everything that is staged."""
        self.post_message(PlanStaged())

    def action_access(self) -> None:
        """The matrix of the finding's first organization, the cursor on whom it is about."""
        finding = self.table.current
        if finding is not None and finding.oids:
            self.post_message(_asked(finding, finding.oids[0]))

    def action_tree(self) -> None:
        """The finding's first organization in the tree."""
        finding = self.table.current
        if finding is not None and finding.oids:
            self.post_message(ShowOrganization(finding.oids[0]))


def _asked(finding: Finding, oid: str) -> ShowAccess:
    """The matrix of an organization, the cursor on whom a finding is about, where its remedy tells, and on
    the first permission that it takes away there."""
    if "@" in finding.subject:
        who = str(finding.subject)
        taken = (c.permission for c in finding.remedy if c.oid == oid and c.principal == who and c.permission)
        return ShowAccess(oid, principal=who, permission=next(taken, ""))
    for change in finding.remedy:
        if change.kind == "delete_key" and change.oid == oid:
            return ShowAccess(oid, principal=change.principal, kind="key")
        if change.gid and not change.principal:
            return ShowAccess(oid, principal=change.gid, kind="group", permission=change.permission)
    return ShowAccess(oid)


def _id(finding: Finding) -> str:
    return finding.id


def detail_lines(finding: Finding, found: Found, *, staged: bool) -> list[Content]:
    """A finding in full: what, its evidence, whom it reaches, what takes it away and what that costs."""
    reach = counted(len(finding.oids), "organization")
    if finding.people:
        reach += f", {counted(len(finding.people), 'user')}"
    lines = [
        line((f" {finding.subject}", "bold"), f" {finding.sentence}"),
        line(
            (f"   {SEVERITIES[finding.severity]}", SEVERITY_STYLES[finding.severity]),
            f", {reach}: {KINDS[finding.kind]}",
        ),
    ]
    title = " remedy, staged: " if staged else " remedy: "
    if not finding.remedy:
        title = " to be chosen by you: " if finding.lines else " what to do: "
    lines.append(line((title, HEALTH_STYLES["well"] if staged else "bold"), finding.advice))
    lines += [line(f"   {each}") for each in finding.lines]
    lines += [line(f"   - {each}") for each in finding.evidence]
    if finding.remedy:
        lines.append(line((f" {counted(len(finding.remedy), 'change')}:", "bold")))
    lines += [line(f"   {accesslines.words(each, found.names)}") for each in finding.remedy[:SHOWN]]
    if len(finding.remedy) > SHOWN:
        lines.append(line(f"   and {len(finding.remedy) - SHOWN:,} more"))
    if len(finding.people) > 1:
        rest = len(finding.people) - SHOWN
        named = f"{', '.join(finding.people[:SHOWN])}{f' and {rest:,} more' if rest > 0 else ''}"
        lines.append(line((" users: ", "bold"), named))
    lines.append(line((f"   limegrove access findings --show {finding.id}", "dim")))
    return lines


def parse(line: str) -> Wanted:
    """Read a filter line.

    Raises:
        ValueError: an unknown prefix, kind or severity; the text says what is allowed.
    """
    words: list[str] = []
    kinds: list[str] = []
    severity, staged = 0, False
    for word in line.casefold().split():
        prefix, colon, value = word.partition(":")
        if not colon:
            words.append(word)
        elif prefix == "kind":
            if value not in KINDS:
                raise ValueError(f"{value} is no kind; use one of {', '.join(KINDS)}.")
            kinds.append(value)
        elif prefix == "sev":
            if value not in SEVERITIES:
                raise ValueError(f"{value} is no severity; use {', '.join(SEVERITIES)}.")
            severity = SEVERITIES.index(value)
        elif word == "is:staged":
            staged = True
        else:
            raise ValueError(f"{word} means nothing; use kind:, sev: or is:staged.")
    return Wanted(tuple(words), tuple(kinds), severity, staged)
