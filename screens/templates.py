"""Templates: what is in the library, where it is assigned, and what an organization is to have for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.figures import rollup
from screens.keys import press
from screens.requests import (
    AssignTemplate,
    DraftRollout,
    ShowOrganization,
    ShowTemplates,
    ShowView,
    UnassignTemplate,
)
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.configuration import redact
from store.queries.totals import TreeRow
from store.rollouts.compare import normalised
from store.rollouts.contents import told
from store.templatefile import dumped
from store.templates.documents import Finding, Key, Record, Template
from store.templates.effective import Effective, document_key, short_key
from store.templates.library import Assigned, Stored, assignments, effective_of, layers_of, listed, template
from store.templates.lint import lint
from store.templates.parameters import Parameter, parameters_of

WIDE = 60
"""Cells of the pane where it stands beside the list."""

LINES = 400
"""Lines of a record that the pane holds."""

NODES_NAMED = 6
"""Nodes that are named before the rest is counted."""

SEVERITIES = ("error", "warning", "info")
SIGNS = {"error": "x", "warning": "!", "info": ".", "": ""}
STYLES = {
    "error": HEALTH_STYLES["failed"], "warning": HEALTH_STYLES["partly"], "info": "", "": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shelved:
    """A template of the library with what is to be said of it."""

    stored: Stored
    template: Template
    findings: tuple[Finding, ...]
    parameters: tuple[Parameter, ...]
    assigned: tuple[Assigned, ...]

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(1 for each in self.findings if each.severity == severity)

    @property
    def worst(self) -> str:
        """The worst severity; "" when nothing was found."""
        return next((each for each in SEVERITIES if self.count(each)), "")


@dataclass(frozen=True, slots=True)
class Row:
    """A record of a template or of an organization, or what is wrong there."""

    key: str
    sign: str
    what: str
    state: str
    where: str
    style: str = ""
    record: Record | None = None
    said: tuple[str, ...] = ()
    """Sentences for the pane; may hold strangers' text."""


@dataclass(frozen=True, slots=True)
class Found:
    """The library, and the organization that is looked at."""

    shelf: list[Shelved]
    nodes: dict[str, TreeRow]
    oid: str
    organization: str
    """Its path in the tree."""
    layers: tuple[tuple[str, str], ...]
    """(template, path of its node) from the root on."""
    effective: Effective | None


class Templates(Detailed[Found]):
    """The library; a template's records; what an organization is to have."""

    MODE = "templates"
    PANE = "#pane"
    TITLE = "Templates"
    EMPTY = (
        "No template was imported yet.\n\n`limegrove template import PATH` takes a document, or every one "
        "of a directory."
    )
    CSS_PATH = "templates.tcss"
    AUTO_FOCUS = "RowTable"
    SCOPED = False
    READS = frozenset({"template_version", "template_file", "template_assignment", "organization", "node"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "open", id="templates.open",
            tooltip="The records of the template; in them, the record as large as the screen, and back",
        ),
        Binding(
            "a", "assign", "assign", id="templates.assign",
            tooltip="Put the template on a node of the tree; who is below it is said before",
        ),
        Binding(
            "x", "unassign", "unassign", id="templates.unassign",
            tooltip="Take the template off a node; who is below it is said before",
        ),
        Binding(
            "e", "effective", "effective", id="templates.effective",
            tooltip="What an organization is to have, and which template brings each record",
        ),
        Binding(
            "n", "new", "new plan", id="templates.new",
            tooltip="Compare what the templates want with what there is below the scope, and plan it",
        ),
        Binding("R", "rollouts", "rollouts", id="templates.rollouts", tooltip="The plans"),
        Binding("t", "tree", "tree", id="templates.tree", show=False, tooltip="The organization in the tree"),
        Binding(
            "J", "scroll_detail(1)", "down", id="templates.down", show=False,
            tooltip="Scroll the detail down",
        ),
        Binding(
            "K", "scroll_detail(-1)", "up", id="templates.up", show=False, tooltip="Scroll the detail up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._open = ""
        """Name of the open template."""
        self._oid = ""
        """The organization that is looked at."""
        self._large = False
        self._words: tuple[str, ...] = ()
        self._linted: dict[str, tuple[Finding, ...]] = {}
        """By the hash of a version, which never changes."""

    def compose_body(self) -> ComposeResult:
        """What is said of what is open, the list, and what is under the cursor."""
        yield Static("", id="about", classes="-closed", markup=False)
        with Container(id="split"):
            yield RowTable[Shelved](self._shelf_columns(), cursor=self.context.glyphs.cursor, id="shelf")
            yield RowTable[Row](
                self._row_columns(), cursor=self.context.glyphs.cursor, id="records", classes="-closed"
            )
            with VerticalScroll(id="pane", can_focus=False):
                yield Static("", markup=False)

    def _shelf_columns(self) -> list[Column[Shelved]]:
        def number(severity: str, title: str) -> Column[Shelved]:
            return Column(
                title, lambda row: f"{row.count(severity):,}" if row.count(severity) else "-", 6,
                align="right", style=lambda row: STYLES[severity] if row.count(severity) else "",
            )  # fmt: skip

        return [
            Column("", lambda row: SIGNS[row.worst], 1, style=lambda row: STYLES[row.worst]),
            Column("TEMPLATE", lambda row: row.stored.name, 22, grow=3, cut="middle"),
            Column("V", lambda row: str(row.stored.version), 4, align="right"),
            Column("RECORDS", lambda row: f"{len(row.template.records):,}", 7, align="right"),
            Column("NODES", lambda row: f"{row.stored.nodes:,}", 5, align="right"),
            number("error", "ERRORS"),
            number("warning", "WARN"),
            number("info", "INFO"),
            Column("IMPORTED", lambda row: self.context.when(row.stored.imported_at, seconds=False), 20,
                   from_width=100),
            Column("BY", lambda row: row.stored.imported_by, 10, grow=1, from_width=100),
        ]  # fmt: skip

    def _row_columns(self) -> list[Column[Row]]:
        return [
            Column("", lambda row: row.sign, 1, style=lambda row: row.style),
            Column(
                "RECORD", lambda row: short_key(row.what), 26, grow=3, cut="middle",
                style=lambda row: row.style,
            ),
            Column("", lambda row: row.state, 13, style=lambda row: row.style),
            Column("FROM", lambda row: row.where, 16, grow=1, cut="middle"),
        ]  # fmt: skip

    @property
    def shelf(self) -> RowTable[Shelved]:
        """The library."""
        return self.query_one("#shelf", RowTable)

    @property
    def records(self) -> RowTable[Row]:
        """The records of what is open."""
        return self.query_one("#records", RowTable)

    def show_organization(self, oid: str) -> None:
        """Show what an organization is to have."""
        self._oid, self._open, self._large = oid, "", False
        self.reload()

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The library with its findings; of one organization, what it is to have."""
        by_name: dict[str, list[Assigned]] = {}
        for each in assignments(connection):
            by_name.setdefault(each.template, []).append(each)
        shelf = []
        for stored in listed(connection):
            read = template(connection, stored.name, stored.version)
            found = self._linted.get(stored.hash)
            if found is None:
                found = self._linted[stored.hash] = tuple(lint(read))
            declared, wrong = parameters_of(read)
            shelf.append(
                Shelved(
                    stored, read, (*found, *(each for each in wrong if each not in found)),
                    tuple(declared.values()), tuple(by_name.get(stored.name, ())),
                )
            )  # fmt: skip
        rows = rollup(self.context).rows(connection, now=self.context.clock())
        nodes = {row.id: row for row in rows}
        oid = self._oid
        if not oid:
            return Found(shelf, nodes, "", "", (), None)
        place = next((row.path or row.name for row in rows if row.oid == oid), oid)
        layers = tuple((each.name, each.path) for each in layers_of(connection, oid))
        return Found(shelf, nodes, oid, str(place), layers, effective_of(connection, oid))

    def has_nothing(self, found: Found) -> bool:
        """Nothing was imported."""
        return not found.shelf

    def show(self, found: Found) -> None:
        """Bring the lists up to date; the cursors stay where they are."""
        self._found = found
        if self._open and not any(each.stored.name == self._open for each in found.shelf):
            self._open = ""
        self._lay_panes()
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found, self._open, self._oid = found, "", ""
        self.shelf.put(Listed([], key=_name))
        self.say(counts="", filter="", title=self.TITLE)

    @property
    def _inside(self) -> bool:
        return bool(self._open or (self._found is not None and self._found.oid and self._oid))

    def _lay_panes(self) -> None:
        inside = self._inside
        self.query_one("#about").set_class(not inside or self._large, "-closed")
        self.shelf.set_class(inside, "-closed")
        self.records.set_class(not inside or self._large, "-closed")
        pane = self.query_one("#pane")
        pane.styles.height = "1fr" if self._large else None
        pane.styles.width = "1fr" if self._large else None
        table = self.records if inside else self.shelf
        if self.is_current and self.focused is not table and not self._large:
            table.focus()

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        filtered = f"/{self.filter_line}" if self.filter_line else ""
        if not self._inside:
            shelf = [each for each in found.shelf if self._wants(self._hay(each))]
            self.shelf.put(Listed(shelf, key=_name))
            every = len(found.shelf)
            some = f"{len(shelf):,} of " if len(shelf) != every else ""
            self.say(title=self.TITLE, counts=f"{some}{counted(every, 'template')}", filter=filtered)
        else:
            rows, about, title = self._effective_rows(found) if self._oid else self._template_rows(found)
            kept = [each for each in rows if self._wants(f"{each.what} {each.state} {each.where}")]
            self.records.put(Listed(kept, key=_key))
            some = f"{len(kept):,} of " if len(kept) != len(rows) else ""
            self.say(title=title, counts=f"{some}{len(rows):,}", filter=filtered)
            self.query_one("#about", Static).update(Content("\n").join(about))
        self.detail()
        self.keys_changed()

    def _hay(self, row: Shelved) -> str:
        return " ".join((row.stored.name, *(each.path for each in row.assigned)))

    def _wants(self, hay: str) -> bool:
        folded = hay.casefold()
        return all(word in folded for word in self._words)

    # -- in words ---------------------------------------------------------------------------------------

    def _template_rows(self, found: Found) -> tuple[list[Row], list[Content], str]:
        """A template's records with their places, those with findings first."""
        held = next(each for each in found.shelf if each.stored.name == self._open)
        of: dict[Key, list[Finding]] = {}
        rows = []
        for number, each in enumerate(held.findings):
            if each.record is not None and each.record in held.template.records:
                of.setdefault(each.record, []).append(each)
            else:
                rows.append(
                    Row(f"finding {number}", SIGNS[each.severity], each.text, each.severity, str(each.place),
                        STYLES[each.severity], said=(each.text, each.remedy))
                )  # fmt: skip
        for key, record in held.template.records.items():
            said = of.get(key, [])
            worst = next((word for word in SEVERITIES if any(one.severity == word for one in said)), "")
            rows.append(
                Row(
                    document_key(key), SIGNS[worst], document_key(key),
                    counted(len(said), "finding") if said else "", str(record.place), STYLES[worst], record,
                    tuple(f"{one.severity}, {one}" for one in said),
                )
            )  # fmt: skip
        about = [
            line((f" {held.stored.name}", "bold"), f" v{held.stored.version}, ")
            + Content(f"{counted(len(held.template.records), 'record')} from ")
            + line(held.template.main)
            + Content(
                f" and {len(held.template.files) - 1:,} more files" if len(held.template.files) > 1 else ""
            )
        ]
        about += self._assigned_lines(held, found, 2)
        return rows, about, f"Template {held.stored.name}"

    def _effective_rows(self, found: Found) -> tuple[list[Row], list[Content], str]:
        """What an organization is to have; what is wrong comes first."""
        wanted = found.effective
        rows: list[Row] = []
        if wanted is None:
            return rows, [], "Effective"
        for number, conflict in enumerate(wanted.conflicts):
            rows.append(
                Row(f"conflict {number}", "x", document_key(conflict.key), "CONFLICT", conflict.second.layer,
                    STYLES["error"], said=(str(conflict),))
            )  # fmt: skip
        for number, (name, missing) in enumerate(wanted.missing):
            rows.append(
                Row(
                    f"missing {number}", "x", f"parameter {missing.name}", "MISSING",
                    f"{name}  {missing.place}",
                    STYLES["error"],
                    said=(
                        f"The parameter {missing.name} of {name} {missing.reason}.",
                        "The tree gives it: `parameters` of the organization's node or of one above it.",
                    ),
                )
            )  # fmt: skip
        for number, each in enumerate(wanted.findings):
            if each.severity == "error":
                rows.append(
                    Row(f"finding {number}", "x", each.text, "ERROR", str(each.place), STYLES["error"],
                        said=(each.text, each.remedy))
                )  # fmt: skip
        for key, one in wanted.records.items():
            last = one.origins[-1]
            rows.append(
                Row(
                    document_key(key), "~" if len(one.origins) > 1 else "", document_key(key), last.how,
                    f"{last.layer} ({last.path or 'root'})", "", one.record,
                    tuple(
                        f"{origin.how} by {origin.layer} on {origin.path or 'the root'}, {origin.place}"
                        for origin in one.origins
                    ),
                )
            )  # fmt: skip
        for key, origins in wanted.off.items():
            last = origins[-1]
            rows.append(
                Row(
                    document_key(key), "-", document_key(key), last.how,
                    f"{last.layer} ({last.path or 'root'})", "dim",
                    said=tuple(
                        f"{origin.how} by {origin.layer} on {origin.path or 'the root'}, {origin.place}"
                        for origin in origins
                    ),
                )
            )  # fmt: skip
        blocked = len(wanted.blocked)
        about = [
            line((f" {found.organization}", "bold"), " is to have ")
            + Content(f"{counted(len(wanted.records), 'record')}, {len(wanted.off):,} switched off"),
        ]
        if blocked:
            reasons = counted(blocked, "reason")
            about.append(line((f" x BLOCKED for {reasons}: nothing is planned for it", STYLES["error"])))
        laid = " > ".join(f"{name} ({path or 'root'})" for name, path in found.layers)
        about.append(line(" layers: ", laid or "none: no template is assigned to it or above it"))
        return rows, about, "Effective configuration"

    def _assigned_lines(self, held: Shelved, found: Found, most: int = NODES_NAMED) -> list[Content]:
        if not held.assigned:
            return [Content(" assigned to no node: a assigns it")]
        lines = []
        for each in held.assigned[:most]:
            row = found.nodes.get(each.node)
            below = f": {counted(row.organizations, 'organization')}" if row is not None else " (gone)"
            lines.append(line(" on ", (_node_name(each, row), "bold"), below))
        if len(held.assigned) > most:
            lines.append(Content(f" and on {len(held.assigned) - most:,} more nodes"))
        return lines

    # -- the pane ---------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        found = self._found
        if found is None:
            return
        nothing = [self.nothing_said()]
        if self._inside:
            row = self.records.current
            if row is not None:
                lines = self._about_row(row)
            else:
                lines = nothing if self._words else [Content(" Nothing is in it.")]
        else:
            held = self.shelf.current
            lines = nothing if held is None else self._about_template(held, found)
        width = WIDE if self.size.width >= 120 and not self._large else self.size.width
        self.say_detail(lines, width)

    def _about_template(self, held: Shelved, found: Found) -> list[Content]:
        stored = held.stored
        lines = [
            line((f" {stored.name}", "bold"), f" v{stored.version}, {counted(stored.files, 'file')}")
            + line(f" of {stored.source}" if stored.source else "")
        ]
        lines += self._assigned_lines(held, found)
        for each in held.parameters:
            needed = ", required" if each.required else ""
            default = f", {each.default} where nothing is said" if each.default is not None else ""
            lines.append(
                line(
                    (f" parameter {each.name}", "bold"), f": {each.type}{needed}{default}. {each.description}"
                )
            )
        for one in held.findings[:20]:
            lines.append(line((f" {SIGNS[one.severity]} {one.severity} ", STYLES[one.severity]), str(one)))
        if len(held.findings) > 20:
            lines.append(Content(f" and {len(held.findings) - 20:,} more findings"))
        return lines

    def _about_row(self, row: Row) -> list[Content]:
        lines = [line((f" {row.what}", "bold"), f"  {row.where}")]
        lines += [line(f"   {each}") for each in row.said if each]
        if row.record is not None:
            lines += record_lines(row.record)
        return lines

    # -- filter and back --------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Words that a template, a node it is on, or a record has to hold."""
        self._words = tuple(line.casefold().split())

    def close_inner(self) -> bool:
        """The large record, the filter, what is open."""
        if self._large:
            self._large = False
            self._lay_panes()
            self.rested()
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        if self._inside:
            self._open = self._oid = ""
            self._lay_panes()
            self._lay_out()
            return True
        return False

    # -- keys -------------------------------------------------------------------------------------------

    @property
    def held(self) -> Shelved | None:
        """The open template, or that of the cursor."""
        if self._found is None or self._oid:
            return None
        if self._open:
            return next((each for each in self._found.shelf if each.stored.name == self._open), None)
        return self.shelf.current

    @property
    def offers_all(self) -> bool:
        """What is for a template is not for what an organization is to have."""
        return False

    def why_not(self, action: str) -> str:
        """What needs a template, or a node that it is on."""
        if action in ("assign", "unassign", "new") and not self.context.writable:
            return "This console is read-only."
        if action in ("assign", "unassign") and self.held is None:
            return f"No template is selected; {press('app.back', 'esc')} goes back to the library."
        if action == "unassign" and self.held is not None and not self.held.assigned:
            return f"{self.held.stored.name} is assigned to no node."
        if action == "open" and (self.records.current if self._inside else self.held) is None:
            return "Nothing is selected."
        if action == "tree" and not self._oid:
            return f"No organization is looked at: {press('templates.effective', 'e')} chooses one."
        return ""

    def action_open(self) -> None:
        """The records of a template, or one as large as the screen."""
        if self._inside:
            self._large = not self._large
            self._lay_panes()
            self.rested()
        elif self.held is not None:
            self._open = self.held.stored.name
            if self.filter_line:
                self.filter_line, self._words = "", ()
            self._lay_panes()
            self._lay_out()

    def action_assign(self) -> None:
        """Put it on a node."""
        if self.held is not None:
            self.post_message(AssignTemplate(self.held.stored.name))

    def action_unassign(self) -> None:
        """Take it off a node."""
        if self.held is not None:
            nodes = tuple(each.node for each in self.held.assigned)
            self.post_message(UnassignTemplate(self.held.stored.name, nodes))

    def action_effective(self) -> None:
        """Of the organization of the scope, or of one that is chosen."""
        self.post_message(ShowTemplates("" if self._oid else self.context.scope.oid))

    def action_new(self) -> None:
        """Plan what differs."""
        self.post_message(DraftRollout())

    def action_rollouts(self) -> None:
        """The plans."""
        self.post_message(ShowView("rollouts"))

    def action_tree(self) -> None:
        """The organization in the tree."""
        if self._oid:
            self.post_message(ShowOrganization(self._oid))


def record_lines(record: Record) -> list[Content]:
    """A record as YAML, secrets as that they are some."""
    body: Any = told(
        redact(record.section, normalised(record.section, record.name, record.body), bytes(32)), False
    )
    shown = body
    if record.section.startswith("hive/"):
        shown = {"data": body, **({"usr_mtd": dict(record.metadata)} if record.metadata is not None else {})}
    text = dumped(shown).splitlines()
    lines = [line(f"     {each}") for each in text[:LINES]]
    if len(text) > LINES:
        lines.append(Content(f"     and {len(text) - LINES:,} more lines"))
    return lines


def _node_name(assigned: Assigned, row: TreeRow | None) -> str:
    return assigned.path or (str(row.name) if row is not None else assigned.node)


def _name(row: Shelved) -> str:
    return row.stored.name


def _key(row: Row) -> str:
    return row.key
