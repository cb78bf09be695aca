"""The tree of organizations: what is below each node, and how it is."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sqlalchemy import Connection
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailreading import ReadsDetail
from screens.figures import Looks, LooksDeeper, kept, rollup
from screens.keys import press
from screens.organization_tabs import TABS, Tab
from screens.organization_tabs.words import LABEL, counted, field, opened
from screens.requests import (
    ChangeMany,
    OffboardOrganization,
    OnboardOrganizations,
    SetScope,
    ShowAccess,
    ShowAlerts,
    ShowSensors,
    ShowTemplates,
)
from screens.widgets.text import content, line
from screens.widgets.tree_table import Line, MarkTree, Tone, TreeColumn, TreeTable, arranged
from store.bulk import hay
from store.queries.compare import Comparison, compare
from store.queries.standing import DAY
from store.queries.totals import HEALTH, TreeRow
from store.quotas import percent_used
from store.times import age

_TONES: dict[str, Tone] = {"well": "", "partly": "warn", "unknown": "faint", "failed": "bad"}


def _known(row: TreeRow, number: int, lacking: int) -> str:
    """A sum, or `-` where none of the organizations below knows it: what was never read is not none."""
    known = row.known(number, lacking)
    return "-" if known is None else compact(known)


_FIGURES: dict[str, tuple[TreeColumn, Callable[[TreeRow, Looks | None], str]]] = {
    "SENSORS": (TreeColumn("SENSORS", 7), lambda row, _: _known(row, row.sensors, row.no_sensors)),
    "ONLINE": (TreeColumn("ONLINE", 7), lambda row, _: _known(row, row.sensors_online, row.no_online)),
    "ALERTS": (TreeColumn("ALERTS", 6), lambda row, _: _known(row, row.open_alerts, row.no_alerts)),
    "LATE": (TreeColumn("LATE", 5), lambda row, _: _known(row, row.late, row.no_alerts)),
    "CRIT": (TreeColumn("CRIT", 5), lambda row, _: _known(row, row.by_severity[4], row.no_alerts)),
    "HIGH": (TreeColumn("HIGH", 5), lambda row, _: _known(row, row.by_severity[3], row.no_alerts)),
    "CASES": (TreeColumn("CASES", 5), lambda row, _: _known(row, row.cases, row.no_cases)),
    # What was not looked for, and where nothing is wanted, is not none.
    "DRIFT": (
        TreeColumn("DRIFT", 5),
        lambda row, looks: (
            compact(looks.drift.get(row.id, 0))
            if looks and looks.wanted.get(row.id, 0) > looks.uncompared.get(row.id, 0)
            else "-"
        ),
    ),
    "ACCESS": (
        TreeColumn("ACCESS", 6),
        lambda row, looks: (
            compact(looks.findings.get(row.id, 0)) + ("+" if looks.unread.get(row.id) else "")
            if looks and (looks.known.get(row.id) or looks.findings.get(row.id))
            else "-"
        ),
    ),
    "ERRORS": (TreeColumn("ERRORS", 6), lambda row, _: _known(row, row.errors, row.no_errors)),
    # A sum of nothing known is no usage of zero.
    "QUOTA": (
        TreeColumn("QUOTA", 5),
        lambda row, _: f"{percent_used(row.quota_used, row.quota)}%" if row.quota and row.quota_used else "-",
    ),
}
_FRESH = TreeColumn("FRESH", 9)
_HEALTH = TreeColumn("HEALTH", 0, "left")
_SETS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (140, (
        "FRESH", "SENSORS", "ONLINE", "ALERTS", "LATE", "CRIT", "HIGH", "CASES", "DRIFT", "ACCESS", "ERRORS",
        "QUOTA",
    )),
    (104, ("FRESH", "SENSORS", "ALERTS", "LATE", "CASES", "DRIFT", "ACCESS", "QUOTA")),
    (78, ("SENSORS", "ALERTS", "CASES", "DRIFT", "ACCESS", "QUOTA")),
    (0, ("ALERTS", "CASES", "DRIFT", "ACCESS", "QUOTA")),
)  # fmt: skip
"""From how many cells on which figures are shown, the widest first."""
WIDE = 55
"""Cells of the detail where it stands beside the tree."""
_BACK = (1, 7, 30)
"""Days ago: with what `=` compares an organization, press for press."""
_UNFOLDED = 60
"""A tree of more rows opens with as many of its lower levels folded as it takes."""


@dataclass(frozen=True, slots=True)
class Found:
    """The tree below the scope, and when that was so."""

    rows: list[TreeRow]
    hay: dict[str, str]
    """Node id -> what the filter looks into."""
    now: int


class OrganizationTree(MarkTree[TreeRow]):
    """The tree, with as many columns as there is room for."""

    def __init__(self, context: Context) -> None:
        glyphs = context.glyphs
        self._health = glyphs.health
        self._clock = context.clock
        self._names = _SETS[-1][1]
        self._shared = context
        super().__init__(
            [_FIGURES[name][0] for name in self._names],
            self._figures,
            counts=lambda row: row.oid is not None,
            title="ORGANIZATION",
            signs=(glyphs.cursor, glyphs.open, glyphs.closed),
        )

    def on_resize(self) -> None:
        """As many columns as there is room for, and wider levels from 90 cells."""
        self._names = next(names for least, names in _SETS if self.size.width >= least)
        columns = [_FRESH if name == "FRESH" else _FIGURES[name][0] for name in self._names]
        self.set_columns([*columns, _HEALTH], indent=2 if self.size.width >= 90 else 1)

    def _figures(self, row: TreeRow) -> Line:
        looks = kept(self._shared).looks
        one = row.oid is not None and row.organizations <= 1
        fresh = (
            age(row.synced_at, self._clock()) if one else f"{compact(row.fresh)}/{compact(row.organizations)}"
        )
        figures = (fresh if name == "FRESH" else _FIGURES[name][1](row, looks) for name in self._names)
        health = f"{self._health[row.health]} {brief(row.reason) or row.health}"
        return Line((*figures, health), _TONES[row.health])


class Organizations(LooksDeeper[Found], ReadsDetail[Found]):
    """Every organization in its place, with what is rolled up over each node."""

    MODE = "organizations"
    TITLE = "Organizations"
    CSS_PATH = "organizations.tcss"
    AUTO_FOCUS = "OrganizationTree"
    EMPTY = "No organization is known yet. {app.sync=r} or :sync reads the cloud."
    READS = frozenset(
        {
            "node", "organization", "sync_state", "detection", "detection_count", "sensor",
            "organization_error", "configuration_record", "direct_permission", "group_member",
            "group_organization", "api_key",
        }
    ).union(*(getattr(tab, "READS", ()) for tab in TABS))  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "detail", "detail", id="organizations.detail", tooltip="Open or close the detail"
        ),
        Binding("s", "scope", "scope here", id="organizations.scope", tooltip="Limit every screen to it"),
        Binding(
            "u", "scope_up", "scope up", id="organizations.scope_up", show=False,
            tooltip="Widen the scope to the node above it",
        ),
        Binding("a", "alerts", "alerts", id="organizations.alerts", tooltip="The alerts of this node"),
        Binding(
            "S", "sensors", "sensors", id="organizations.sensors", show=False,
            tooltip="One of its sensors: its card",
        ),
        Binding(
            "m", "access", "access", id="organizations.access", tooltip="Who may do what on this organization"
        ),
        Binding(
            "t", "templates", "templates", id="organizations.templates", show=False,
            tooltip="What this organization is to have, and which template brings it",
        ),
        Binding(
            "B", "bulk", "bulk", id="organizations.bulk",
            tooltip="One change on every marked organization, or on all below the cursor; "
                    "{move.mark=space} marks",
        ),
        Binding(
            "n", "onboard", "new", id="organizations.onboard",
            tooltip="Onboard a customer below this node, or a file of them",
        ),
        Binding(
            "X", "offboard", "offboard", id="organizations.offboard", show=False,
            tooltip="Offboard this customer: a checklist, and its typed name",
        ),
        Binding(
            "equals_sign", "compare", "compare", id="organizations.compare", show=False,
            tooltip="Compare this organization: = on another one, or again here with a day, week, month ago",
        ),
        Binding(
            "o", "order", "worst first", id="organizations.order", tooltip="Worst child first, or back"
        ),
        Binding(
            "right_square_bracket", "detail_tab(1)", "next tab", id="organizations.next_tab",
            tooltip="The next tab of the detail",
        ),
        Binding(
            "left_square_bracket", "detail_tab(-1)", "tab before", id="organizations.previous_tab",
            show=False, tooltip="The tab before it",
        ),
        Binding(
            "J", "detail_scroll(1)", "detail down", id="organizations.detail_down", show=False,
            tooltip="Scroll the detail down",
        ),
        Binding(
            "K", "detail_scroll(-1)", "detail up", id="organizations.detail_up", show=False,
            tooltip="Scroll the detail up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._worst_first = False
        self._open = False
        self._tab = 0
        self._told = ("", 0)
        self._lines: tuple[Content, ...] = ()
        """What the detail says, before it is wrapped."""
        self._compared = ""
        self._back = -1
        self._side_by_side: tuple[str, str, int | None] | None = None
        """Left, right and as of when the left one is taken: shown instead of the tab."""
        self._wanted = ""
        self._shaped = False

    def compose_body(self) -> ComposeResult:
        """The tree, and the detail of one node below or beside it."""
        yield OrganizationTree(self.context)
        with Vertical(id="organization-detail"):
            yield Static("", id="organization-tabs", markup=False)
            with VerticalScroll(id="organization-tab", can_focus=False):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        """Begin without the detail."""
        self._show_pane(False)

    def on_resize(self, event: events.Resize) -> None:
        """The detail has other lines beside the tree than below it."""
        wide = self.has_class("-wide")
        super().on_resize(event)
        self._lay_lines()
        if self.has_class("-wide") != wide:
            self._show_detail()

    @property
    def table(self) -> OrganizationTree:
        """The tree on the screen."""
        return self.query_one(OrganizationTree)

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The tree below the scope."""
        now = self.context.clock()
        rows = rollup(self.context).rows(connection, scope=self.context.scope.node_id, now=now)
        return Found(rows, {row.id: hay(row) for row in rows}, now)

    def has_nothing(self, found: Found) -> bool:
        """Whether no organization is known at all, or none matches the filter."""
        if not found.rows or (len(found.rows) == 1 and not found.rows[0].organizations):
            return True
        keep = self._keep(self.filter_line, found)
        return keep is not None and not any(map(keep, found.rows))

    def empty_text(self) -> str:
        """What the filter asks for in vain is no empty store."""
        if self._found is not None and self.filter_line:
            return (
                f"No organization matches {self.filter_line}. {press('app.back', 'esc')} "
                "takes the filter away."
            )
        return super().empty_text()

    def shown_keys(self) -> list[tuple[str, str, bool]]:
        """What turns the tabs is named while a detail that has some is open, right behind what closes it."""
        keys = super().shown_keys()
        turning = [each for each in keys if each[0] == "]"]
        others = [each for each in keys if each[0] != "]"]
        row = self.table.node
        if not self._open or row is None or row.oid is None:
            return others
        return [*others[:1], *turning, *others[1:]]

    def show(self, found: Found) -> None:
        """Bring the tree up to date; the cursor stays on its node."""
        self._found = found
        table = self.table
        rows = arranged(found.rows, _badness) if self._worst_first else found.rows
        table.fill(rows, self._keep(self.filter_line, found))
        if not self._shaped:
            self._shaped = True
            deepest = max((row.depth for row in rows), default=0)
            for depth in range(deepest, 0, -1):
                if len(table.shown) <= _UNFOLDED:
                    break
                table.fold_below(depth)
        if self._wanted:
            self._go(self._wanted)
        self._say_counts()
        self._show_detail(again=True)
        self.look_deeper()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown; of what the filter hides it is kept that esc brings it back."""
        keep = self._keep(self.filter_line, found)
        self._found = found if found.rows and keep is not None else None
        self.table.fill(found.rows if self._found else [], keep)
        self.say(counts="")
        self._say_counts()

    def show_organization(self, oid: str) -> None:
        """Put the cursor on this organization and open its detail; as soon as the tree has been read."""
        self._wanted = oid
        self._open = True
        if self.is_mounted and self._found is not None:
            self._go(oid)

    def _go(self, oid: str) -> None:
        self._wanted = ""
        self._show_pane(self._open)
        row = next((row for row in (self._found.rows if self._found else ()) if row.oid == oid), None)
        if row is None:
            self.tell("That organization is outside the scope. :scope alone shows all.", "warning")
            return
        if not self.table.go(row.id):
            self.apply_filter("")
            self.table.go(row.id)
        self._show_detail()

    def _say_counts(self) -> None:
        if self._found is None:
            return
        root = self._found.rows[0]
        counts = f"{root.fresh:,} of {root.organizations:,} organizations fresh"
        if self.filter_line:
            counts = f"{self.table.matches:,} found   {counts}"
        if self.table.marks:
            counts = f"{len(self.table.marks):,} marked   {counts}"
        self.say(counts=counts)

    @on(MarkTree.Marked)
    def _marked(self, event: MarkTree.Marked) -> None:
        event.stop()
        self._say_counts()
        self.keys_changed()

    # -- filter -----------------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Keep the nodes whose name, oid, labels, marks or health hold every word, and those above them."""
        self.filter_line = line
        self.say(filter=f"/{line}" if line else "")
        if self._found is not None:
            self.table.narrow(self._keep(line, self._found))
            nothing = self.has_nothing(self._found)
            self._look("empty" if nothing else "full", self.empty_text() if nothing else "")
        self._say_counts()

    def _keep(self, line: str, found: Found) -> Callable[[TreeRow], bool] | None:
        words = line.casefold().split()
        if not words:
            return None
        hays = found.hay
        return lambda row: all(word in hays[row.id] for word in words)

    # -- the detail -------------------------------------------------------------------------------------

    def action_detail(self) -> None:
        """Open the detail, or close it."""
        self._show_pane(not self._open)
        self._show_detail()

    def close_inner(self) -> bool:
        """Close the detail, then forget the filter, then the marks."""
        if self._open:
            self._show_pane(False)
            self._compared, self._side_by_side = "", None
            return True
        if self.filter_line:
            self.apply_filter("")
            return True
        if self.table.marks:
            self.table.action_unmark()
            return True
        return False

    def _show_pane(self, wanted: bool) -> None:
        self._open = wanted
        self.query_one("#organization-detail").set_class(not wanted, "-hidden")
        self.keys_changed()

    def action_detail_scroll(self, lines: int) -> None:
        """Scroll the detail."""
        self.query_one("#organization-tab").scroll_relative(y=lines, animate=False)

    def action_detail_tab(self, step: int) -> None:
        """Another tab of the detail, which opens where it is closed."""
        self._tab = (self._tab + step) % len(TABS) if self._open else self._tab
        self._side_by_side = None
        self._show_pane(True)
        self._show_detail()

    @on(TreeTable.Moved)
    def follow(self, event: TreeTable.Moved) -> None:
        """The detail follows when the cursor rests: nothing of it is painted while a key repeats."""
        event.stop()
        self.keys_changed()
        # A tree that was filled anew says so too, though the cursor stayed where it was.
        self.at_rest((lambda: self._show_detail(again=True)) if self._open else None)

    def _show_detail(self, *, again: bool = False) -> None:
        """The detail of the node of the cursor.

        Args:
            again: as of `want_detail`.
        """
        row = self.table.node
        if not self._open or row is None or self._found is None:
            return
        if self._side_by_side is not None and self._side_by_side[1] != row.oid:
            self._side_by_side = None
        if row.oid is None:
            self._detail_about = (row.id,)
            under = below(self._found.rows, row.id)
            self._put(row.id, node_lines(row, under, self.context, self._found.now))
            return
        self.want_detail(self._side_by_side or (row.oid, self._tab), again=again)

    def detail_due(self) -> None:
        """What changed since it was read is shown now."""
        self._show_detail(again=True)

    def action_compare(self) -> None:
        """Compare an organization with another one, or with itself some time ago."""
        row = self.table.node
        if row is None or row.oid is None:
            return
        if not self._compared:
            self._compared, self._back = row.oid, -1
            self.tell(
                f"{row.name} is compared: {press('organizations.compare', '=')} on another one, "
                "or again here with "
                "itself a day ago."
            )
            return
        left, at = self._compared, None
        if left == row.oid:
            self._back = (self._back + 1) % len(_BACK)
            at = self.context.clock() - _BACK[self._back] * DAY
        else:
            self._compared = ""
        self._side_by_side = (left, row.oid, at)
        self._show_pane(True)
        self._show_detail()

    async def read_detail(self) -> bool:
        """What is wanted by now, if it still is when it has been read."""
        if (wanted := self._detailed()) is None:
            return False
        oid, number, beside = wanted
        tab, now = TABS[number], self.context.clock()

        def reading() -> Any:
            with self.context.reader.reading() as connection:
                if beside is not None:
                    return compare(connection, beside[0], beside[1], at=beside[2])
                return tab.read(connection, oid, now)

        try:
            found = await asyncio.to_thread(reading)
        except Exception as error:
            if self._detailed() != wanted:
                return False
            what = "They could not be compared: " if beside else "Its detail could not be read: "
            self._put(oid, [line((what, "bold"), str(error))], tabs=beside is None)
            return True
        row = self.table.node if self.is_mounted else None
        if row is None or self._detailed() != wanted:
            return False
        if beside is not None and found is not None:
            self._put(f"{beside[0]}={oid}", comparison_lines(found, self.context))
        elif beside is not None:
            self._put(oid, [Content(" The cloud did not list one of them to this credential.")])
        elif found is not None:
            self._put(oid, tab.lines(found, self.context, self.size.width >= 120), tabs=True)
        else:
            unknown = "The tree names this organization; the cloud did not list it to this credential."
            self._put(oid, [line((row.path or row.name, "bold")), Content(unknown)], tabs=True)
        return True

    def _detailed(self) -> tuple[str, int, tuple[str, str, int | None] | None] | None:
        """The organization of which the detail is open, which tab of it, and what is compared instead."""
        row = self.table.node if self.is_mounted and self._open else None
        return None if row is None or row.oid is None else (row.oid, self._tab, self._side_by_side)

    def _put(self, about: str, lines: Iterable[Content], *, tabs: bool = False) -> None:
        # Tabs come and go together with what they are of, so that the pane is painted once.
        head = self.query_one("#organization-tabs", Static)
        head.display = tabs and len(TABS) > 1
        if head.display:
            head.update(tab_line(TABS, self._tab))
        pane = self.query_one("#organization-tab", VerticalScroll)
        self._lines = tuple(lines)
        self._lay_lines()
        if self._told != (about, self._tab):
            self._told = (about, self._tab)
            pane.scroll_home(animate=False)

    def _lay_lines(self) -> None:
        """The lines of the detail; one that is too long goes on below its own column."""
        width = WIDE if self.has_class("-wide") else self.size.width
        shown = [part for each in self._lines for part in hung(each, width)]
        self.query_one("#organization-tab", VerticalScroll).query_one(Static).update(
            Content("\n").join(shown)
        )

    # -- requests ---------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """Why a key cannot work on the node of the cursor."""
        row = self.table.node
        if action in ("scope", "alerts", "access", "detail", "bulk") and row is None:
            return "No node is selected."
        if action == "detail_tab" and row is not None and row.oid is None:
            return "The detail of a folder has one page: choose an organization for its tabs."
        if action == "access" and row is not None and row.oid is None:
            return "A folder has no matrix: choose an organization."
        if action == "templates" and (row is None or row.oid is None):
            return "A folder has no configuration: choose an organization."
        if action == "compare" and (row is None or row.oid is None):
            return "A folder is not compared: choose an organization."
        if action == "sensors" and (row is None or row.oid is None):
            return "A folder has no sensors: choose an organization."
        if action == "offboard" and (row is None or row.oid is None):
            return "A folder is not offboarded: choose an organization."
        if action == "scope_up" and not self.context.scope.node_id:
            return "The scope is all organizations already."
        return ""

    def action_onboard(self) -> None:
        """A new customer below the folder of the cursor, or beside the organization of the cursor."""
        row = self.table.node
        node = "" if row is None else row.id if row.oid is None else row.parent_id or ""
        self.post_message(OnboardOrganizations(node))

    def action_offboard(self) -> None:
        """The organization of the cursor leaves."""
        row = self.table.node
        if row is not None and row.oid is not None:
            self.post_message(OffboardOrganization(row.oid))

    def action_bulk(self) -> None:
        """One change on what is marked; without marks, on the organization or the folder of the cursor."""
        row, table = self.table.node, self.table
        if table.marks and self._found is not None:
            oids = [each.oid for each in self._found.rows if each.id in table.marks and each.oid]
        elif row is not None:
            oids = [each.oid for each in table.markable(row) if each.oid]
        else:
            oids = []
        if oids:
            where = (
                "marked in Organizations" if table.marks or row is None else f"below {row.path or row.name}"
            )
            self.post_message(ChangeMany(tuple(oids), where))
        else:
            self.tell("There is no organization below this folder.", "warning")

    def action_scope(self) -> None:
        """Limit everything to this node."""
        row = self.table.node
        if row is not None:
            self.post_message(SetScope(row.id if row.parent_id is not None else ""))

    def action_scope_up(self) -> None:
        """Widen the scope by one level."""
        if self._found is not None:
            self.post_message(SetScope(self._found.rows[0].parent_id or ""))

    def action_alerts(self) -> None:
        """The queue of this organization; of a folder, after limiting the scope to it."""
        row = self.table.node
        if row is None:
            return
        if row.oid is not None:
            self.post_message(ShowAlerts(f"oid:{row.oid}"))
            return
        if row.depth > 0:
            self.post_message(SetScope(row.id))
        self.post_message(ShowAlerts(""))

    def action_access(self) -> None:
        """The matrix of this organization."""
        row = self.table.node
        if row is not None and row.oid is not None:
            self.post_message(ShowAccess(row.oid))

    def action_sensors(self) -> None:
        """Choose one of its sensors."""
        row = self.table.node
        if row is not None and row.oid is not None:
            self.post_message(ShowSensors(row.oid))

    def action_templates(self) -> None:
        """What it is to have."""
        row = self.table.node
        if row is not None and row.oid is not None:
            self.post_message(ShowTemplates(row.oid))

    def action_order(self) -> None:
        """The worst child first, or the order of the tree file."""
        self._worst_first = not self._worst_first
        self.tell("Worst child first." if self._worst_first else "In the order of the tree.")
        if self._found is not None:
            self.show(self._found)


def hung(said: Content, width: int) -> list[Content]:
    """A line of a detail, wrapped to so many cells; what does not fit stands below what follows its label."""
    if said.cell_length <= width:
        return [said]
    first = said.wrap(width)[0]
    rest = said.plain[len(first.plain) :]
    after = said[len(said.plain) - len(rest.lstrip()) :]
    indent = Content(" " * (LABEL + 1))
    return [first, *(indent + part for part in after.wrap(max(20, width - LABEL - 1)))]


def below(rows: Sequence[TreeRow], node_id: str) -> list[TreeRow]:
    """A node and what stands below it, its depth counted from 0; all rows for "", none for an unknown id."""
    if not node_id:
        return list(rows)
    start = next((number for number, row in enumerate(rows) if row.id == node_id), None)
    if start is None:
        return []
    depth = rows[start].depth
    end = start + 1
    while end < len(rows) and rows[end].depth > depth:
        end += 1
    if depth == 0:
        return list(rows[start:end])
    return [replace(row, depth=row.depth - depth) for row in rows[start:end]]


def _badness(row: TreeRow) -> tuple[int, ...]:
    return (HEALTH.index(row.health), row.failed, *reversed(row.by_severity))


_CALL = re.compile(r"^(?:[a-z]+: )?(?:GET|POST|PUT|DELETE) \S+ ")


def brief(reason: str) -> str:
    """A reason without the call it begins with, for a column: the detail says it whole."""
    return _CALL.sub("", reason, count=1)


def compact(number: int) -> str:
    """At most five characters: `9999`, `18.2k`, `999k`, `1.4M`."""
    if number < 10_000:
        return str(number)
    if number < 99_950:
        return f"{number / 1000:.1f}k"
    if number < 999_500:
        return f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.1f}M"


def tab_line(tabs: Sequence[Tab], chosen: int) -> Content:
    """The titles of the tabs, the chosen one in brackets."""
    parts: list[str | tuple[str, str]] = []
    for number, tab in enumerate(tabs):
        parts.append((f"[{tab.TITLE}]", "bold") if number == chosen else (f" {tab.TITLE} ", "dim"))
    return line(*parts)


_SIGNS = {"only left": "-", "only right": "+", "differs": "~", "since": "*"}


def comparison_lines(found: Comparison, context: Context) -> list[Content]:
    """What differs between two organizations, or since an earlier time: `-` only left, `+` only right."""
    left, right = found.left, found.right
    before = f", as it was {context.when(left.at, seconds=False)}" if left.at is not None else ""
    lines = [
        line(
            (f" - {left.name}", "bold"), before, "   ", (f"+ {right.name}", "bold"), ", now" if before else ""
        ),
    ]
    lines += [field("beware", (each, HEALTH_STYLES["partly"])) for each in found.gaps]
    alike = f"   {found.same:,} records are alike"
    if any(part == "configuration" for _, part in found.unread):
        alike = "   the configuration is not compared"
    lines.append(field("differ", f"{len(found.lines):,}", alike))
    for each in found.lines:
        lines.append(line(f" {_SIGNS[each.where]} {each.what} ", (each.name, "bold")))
        lines += [line("     ", part) for part in each.parts]
    return lines


def _said(row: TreeRow, number: int, lacking: int) -> str:
    return counted(row.known(number, lacking))


def _made_of(row: TreeRow, lacking: int) -> str:
    """`   29 of 30 read` where a sum is without those that were never read."""
    return f"   {row.organizations - lacking:,} of {row.organizations:,} read" if lacking else ""


def node_lines(row: TreeRow, under: Sequence[TreeRow], context: Context, now: int) -> list[Content]:
    """The detail of a folder: its sums, what they lack, and which organizations need someone."""
    lines = [
        line(
            (f" {row.name}", "bold"),
            "   ",
            (f"{context.glyphs.health[row.health]} {row.health}", HEALTH_STYLES[row.health]),
            f"   marked {', '.join(row.marks)}" if row.marks else "",
        ),
        field(
            "made of",
            f"{row.fresh:,} of {row.organizations:,} organizations",
            f", {row.failed:,} failed" if row.failed else "",
            f", the oldest copy {age(row.synced_at, now)} old" if row.synced_at is not None else "",
        ),
        field(
            "alerts",
            opened(
                row.known(row.open_alerts, row.no_alerts),
                row.by_severity,
            ),
            _made_of(row, row.no_alerts),
        ),
        field(
            "sensors",
            f"{_said(row, row.sensors, row.no_sensors)}, "
            f"{_said(row, row.sensors_online, row.no_online)} online",
            _made_of(row, row.no_sensors),
            f"   quota {row.quota:,}, {percent_used(row.quota_used, row.quota)}% used"
            if row.quota and row.quota_used
            else "",
        ),
        field("errors", f"{_said(row, row.errors, row.no_errors)} standing", _made_of(row, row.no_errors)),
    ]
    if row.labels:
        lines.append(field("labels", ", ".join(f"{key}={value}" for key, value in row.labels.items())))
    ill = [each for each in under[1:] if each.oid is not None and each.health != "well"]
    ill.sort(key=_badness, reverse=True)
    for each in ill[:20]:
        sign = f" {context.glyphs.health[each.health]} "
        lines.append(
            line(
                (sign, HEALTH_STYLES[each.health]),
                content(each.name, 24, cut="middle"),
                "  ",
                each.reason or each.health,
            )
        )
    if len(ill) > 20:
        lines.append(Content(f"   and {len(ill) - 20:,} more"))
    return lines
