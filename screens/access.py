"""Who may do what: the matrix of one organization, one principal or one permission, and what is to change."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import Connection, literal, select
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens import access_then, pivots
from screens.access_then import Then
from screens.access_words import (
    Gap,
    Known,
    Why,
    explain,
    gap_line,
    name_of,
    why_lines,
)
from screens.context import HEALTH_STYLES, Context, Scope
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.what_if import WhatIf, WhatIfAnswer
from screens.dialogs.write_line import WriteLine
from screens.keys import press
from screens.pivots import Cell
from screens.requests import (
    PlanStaged,
    ShowAccess,
    ShowAlerts,
    ShowBreakGlass,
    ShowOrganization,
    ShowPlans,
    ShowView,
    StageChanges,
    UnstageChanges,
)
from screens.staging import Offer, Offering, offers_for, others_for
from screens.view import View
from screens.whatif import consequence
from screens.widgets import matrix as grid
from screens.widgets.said import Said
from screens.widgets.text import content, hanging, line
from store import accesslines, accessplans
from store.access import Cuts, UnknownPrincipal, counted, cuts
from store.access import explain as explained
from store.accesschanges import AccessChange
from store.closure import UnknownGroup, World
from store.models import SyncState, User
from store.permissions import is_privileged
from store.queries import access
from store.queries.acltags import restricted, restricted_words
from store.queries.findings import findings
from store.queries.matrix import (
    By,
    Lacking,
    Pivot,
    Wanted,
    lacking_of,
    parse_filter,
    pivot_organization,
    pivot_permission,
    pivot_principal,
)
from store.queries.organizations import organizations
from store.queries.scopes import marked, oids_of
from store.text import cell_width, safe_text
from store.times import age, past_moment, rfc3339

if TYPE_CHECKING:
    from store.database import Change

SIGNS = "D direct  G group  B both  K key  . not  ! privileged"
LEGEND = f"{SIGNS}    u user g group k key"

WIDE = 55
"""Cells of the pane where it stands beside the matrix (its border is one more, `access.tcss`)."""

LINES = 5
"""Of the short explanation below the matrix."""

MOST_WIDE = 110
"""Cells of one of them: longer ones are hard to read, and follow the cursor over the operator's wire."""

WORLD = frozenset(
    {
        "organization", "node", "direct_permission", "organization_group", "group_member",
        "group_organization", "api_key", "user_account", "access_former",
    }
)  # fmt: skip
"""The tables that a world is made of, now or at an earlier time."""

PATIENCE = 8
"""While these tables go on changing, so many times what reading takes passes before they are read again."""

NAMES = {"organization": "organization", "principal": "principal", "permission": "permission"}


@dataclass(frozen=True, slots=True)
class Found:
    """The matrix turned as it was asked for, and what it lacks."""

    by: By
    cell: Cell
    world: World
    after: World
    """After what is staged; `world` itself when nothing is."""
    staged: tuple[AccessChange, ...]
    names: accesslines.Names
    """Of everything that is staged."""
    pivot: Pivot | None
    """None when what it should be about is not chosen, or is unknown."""
    grid: pivots.Grid | None
    outside: bool
    """The chosen organization is not below the scope."""
    protected: bool
    """The chosen organization is protected."""
    gaps: tuple[Gap, ...]
    """Of an organization: what of it could not be read."""
    mfa: dict[str, bool | None]
    now: int
    then: Then | None = None
    """The time that it is as of; `world` is that of then, and `after` that of now where what changed is
    marked. None for now."""
    lacking: str = ""
    """What else was not read yet then, in words."""
    unchanged: bool = False
    """Nothing of it is otherwise now."""

    @property
    def at(self) -> int | None:
        """As of which time (ms) it is; None for now."""
        return None if self.then is None else self.then.at

    @property
    def since(self) -> bool:
        """Whether what changed since is marked."""
        return self.then is not None and self.then.since


class Access(View[Found]):
    """The permission matrix, turned three ways; changes are staged in it, and planned from it."""

    MODE = "access"
    TITLE = "Access"
    CSS_PATH = "access.tcss"
    AUTO_FOCUS = "Matrix"
    READS = WORLD | {"sync_state", "audit_entry", "staged_change"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "v", "turn(1)", "turn", id="access.turn",
            tooltip="Turn the matrix: by organization, by principal, by permission; "
                    "{app.back=q} goes back to the cell",
        ),
        Binding(
            "V", "turn(-1)", "turn back", show=False, id="access.turn_back", tooltip="Turn it the other way"
        ),
        Binding(
            "enter", "why", "explain", id="access.why",
            tooltip="Why this cell is so: every path, since when, what is missing, the smallest cuts",
        ),
        Binding(
            "space", "stage", "stage", id="access.stage",
            tooltip="Stage the change of this cell: grant it directly, or take it away; again takes it back",
        ),
        Binding(
            "e", "others", "change", id="access.others",
            tooltip="Other changes: groups joined and left, organizations put into groups and taken out",
        ),
        Binding("w", "what_if", "what if", id="access.what_if", tooltip="What the staged changes come to"),
        Binding("P", "plan", "plan", id="access.plan", tooltip="Plan what is staged: approve it, apply it"),
        Binding(
            "F", "findings", "findings", show=False, id="access.findings",
            tooltip="What is wrong with who may do what, and what takes it away",
        ),
        Binding(
            "i", "keys", "keys", show=False, id="access.keys", tooltip="The API keys of every organization"
        ),
        Binding(
            "B", "break_glass", "break-glass", show=False, id="access.break_glass",
            tooltip="Put somebody into a group for a while, with a reason; end or extend what goes on",
        ),
        Binding(
            "R", "review", "review", show=False, id="access.review",
            tooltip="Access reviews: attest or revoke it line by line, with evidence",
        ),
        Binding(
            "L", "timeline", "timeline", show=False, id="access.timeline",
            tooltip="What was done to who may do what, by whom, newest first",
        ),
        Binding(
            "U", "plans", "undo", show=False, id="access.plans",
            tooltip="The latest plans: what became of them, and how to take one back",
        ),
        Binding(
            "O", "choose", "other", id="access.choose",
            tooltip="Choose another organization, principal or permission: what the matrix is about",
        ),
        Binding(
            "T", "then", "as of", show=False, id="access.then",
            tooltip="The matrix as it was at an earlier time: 7d ago, or a date; also :access --at 7d",
        ),
        Binding(
            "equals_sign", "since", "what changed", show=False, id="access.since",
            tooltip="As it was, or what changed from then to now: + given, - taken, ~ held by another way; "
                    "{access.everybody=A} shows also the rows in which nothing did",
        ),
        Binding("N", "now", "back to now", show=False, id="access.now", tooltip="The matrix as it is now"),
        Binding("n", "next(1)", "next", id="access.next", show=False, tooltip="The next one to be about"),
        Binding("p", "next(-1)", "previous", id="access.previous", show=False, tooltip="The one before"),
        Binding(
            "u", "used", "only held", show=False, id="access.used",
            tooltip="Only the columns that somebody holds, or all known ones",
        ),
        Binding(
            "A", "everybody", "all rows", show=False, id="access.everybody",
            tooltip="Also the rows that hold nothing: everybody there is, every organization",
        ),
        Binding("t", "tree", "tree", show=False, id="access.tree", tooltip="This organization in the tree"),
        Binding(
            "a", "alerts", "alerts", show=False, id="access.alerts",
            tooltip="The alerts of this organization",
        ),
        Binding(
            "J", "scroll_why(1)", "down", id="access.why_down", show=False,
            tooltip="Scroll the explanation down",
        ),
        Binding(
            "K", "scroll_why(-1)", "up", id="access.why_up", show=False, tooltip="Scroll the explanation up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._by: By = "organization"
        self._cell = Cell(oid=context.scope.oid)
        self._turns: list[tuple[By, Cell]] = []
        self._filters: dict[By, str] = {}
        self._wanted = Wanted()
        self._used = False
        self._everybody = False
        self._found: Found | None = None
        self._shown_as: tuple[By, str] = ("organization", "")
        self._then: Then | None = None
        self._past: tuple[int, int, World] | None = None
        """The world of an earlier time: when, at which version of the tables it was read, and it."""
        self._asked: tuple[By, Cell, Wanted, bool, bool, Then | None] = (
            "organization", Cell(), Wanted(), False, False, None,
        )  # fmt: skip
        self._own_roles: tuple[str, ...] = ()
        self._nothing = ""
        self._open = False
        self._explained: tuple[By, Cell] | None = None
        self._look_again = False
        self._lock = threading.Lock()
        self._version = 0
        self._loaded = (-1, 0.0, 0.0)
        """The version that was read last, when, and how long that took (seconds)."""
        self._world: World | None = None
        self._changed: tuple[World, tuple[AccessChange, ...], World, tuple[AccessChange, ...]] | None = None
        self._owing = 0.0
        self._marks: tuple[World, str, dict[str, list[str]]] | None = None
        """Of the world and the organization they were looked for in: row -> what is wrong, in words."""
        self._marked = (0.0, 0.0)
        """When that was, and how long it took (seconds)."""

    def compose_body(self) -> ComposeResult:
        """What is not known, the matrix, what the signs mean, and the cell in short and at length."""
        with Container(id="split"):
            with Vertical(id="table"):
                yield Static("", id="then", markup=False)
                yield Static("", id="gaps", markup=False)
                yield grid.Matrix(sign=self.context.glyphs.cursor)
                yield Static(line((LEGEND, "dim")), id="legend", markup=False)
                yield Said(LINES, id="explanation")
            with VerticalScroll(id="why", can_focus=False):
                yield Static("", id="why-text", markup=False)

    def on_mount(self) -> None:
        """A scope of one organization chooses it."""
        self.context.scope_changed.subscribe(self, self._follow_scope)

    def _follow_scope(self, scope: Scope) -> None:
        if scope.oid:
            self.show_organization(scope.oid)

    def _store_changed(self, change: Change) -> None:
        if change.touches(WORLD):
            self._version += 1
        super()._store_changed(change)

    @property
    def table(self) -> grid.Matrix:
        """The matrix on the screen."""
        return self.query_one(grid.Matrix)

    # -- reading ----------------------------------------------------------------------------------------

    def show_organization(self, oid: str) -> None:
        """Show the matrix of this organization."""
        if (oid, "organization") != (self._cell.oid, self._by) or self._found is None:
            self.show_cell("organization", replace(self._cell, oid=oid))

    def show_asked(self, request: ShowAccess) -> None:
        """What a request names; the time that was looked at is left, unless it names one."""
        before, self._then = self._then, None if request.at is None else Then(request.at)
        if request.at is not None and not (request.oid or request.principal or request.permission):
            self.reload()
            return
        if before != self._then:
            self._found = None  # of another time: it is read again, whatever it is about
        if request.by == "organization" and not request.principal:
            self.show_organization(request.oid)
        else:
            cell = Cell(request.principal, request.kind, request.permission, request.oid)
            self.show_cell(request.by, cell)

    def show_cell(self, by: By, cell: Cell) -> None:
        """Show the matrix turned this way, the cursor on this cell."""
        self._turns.clear()
        self._turn(by, cell)

    def _turn(self, by: By, cell: Cell) -> None:
        self._by, self._cell = by, cell
        self._shown_as = (by, "")  # the cursor goes to the cell
        self.filter_line = self._filters.get(by, "")
        self._wanted = parse_filter(self.filter_line, self._roles())
        if self.is_mounted:
            self.reload()

    def prepare(self) -> None:
        """What is asked for, before a thread asks it."""
        self._asked = (
            self._by, self._cell, self._wanted, self._used, self._everybody, self._then,
        )  # fmt: skip

    def read(self, connection: Connection) -> Found:
        """The matrix, unless the organization is outside the scope."""
        by, cell, wanted, used, everybody, then = self._asked
        now, scope = self.context.clock(), self.context.scope.node_id
        world, after, staged = self._worlds(connection, then)
        outside = protected = False
        gaps: tuple[Gap, ...] = ()
        if by == "organization" and cell.oid:
            below = oids_of(connection, scope)
            outside = below is not None and (
                connection.execute(select(literal(cell.oid)).where(literal(cell.oid).in_(below))).first()
                is None
            )
            gaps = _gaps(connection, cell.oid) if then is None else ()
            protected = bool(marked(connection, "protected", [cell.oid]))
        at = then.at if then is not None else None
        before = self._pivot(connection, world, by, cell, wanted, everybody, at)
        later, lacking = None, ""
        if after is not world:
            later = self._pivot(connection, after, by, cell, wanted, everybody)
            if before is None and later is not None and then is not None:
                lacks = lacking_of(connection, scope, world, then.at)
                before = replace(later, lines=(), total=0, lacking=lacks)
            elif later is None and before is not None and then is not None:
                later = replace(before, lines=(), total=0)
            before = before or later
        if then is not None and before is not None:
            before, later, lacking = access_then.known_then(connection, before, later, then.at)
        made, unchanged = None, False
        if before is not None:
            made = pivots.grid(before, later, (world, after), permissions=wanted.permissions, only_held=used)
            if then is not None and then.since and not everybody:
                rows = len(made.rows)
                made = access_then.changed_only(made, by, cell, (world, after))
                unchanged = bool(rows and not made.rows)
        if made is not None and cell.principal and cell.oid and not cell.permission:
            cell = replace(cell, permission=pivots.telling(world, cell, made.columns))
        mfa: dict[str, bool | None] = {}
        if then is None:
            user = User.__table__.c  # type: ignore[attr-defined]  # SQLModel does not type its tables
            mfa = {email: known for email, known in connection.execute(select(user.email, user.mfa))}
        names = accesslines.names(connection, staged)
        return Found(
            by,
            cell,
            world,
            after,
            staged,
            names,
            before,
            made,
            outside,
            protected,
            gaps,
            mfa,
            now,
            then,
            lacking,
            unchanged,
        )

    def _pivot(
        self,
        connection: Connection,
        world: World,
        by: By,
        cell: Cell,
        wanted: Wanted,
        everybody: bool,
        at: int | None = None,
    ) -> Pivot | None:
        scope = self.context.scope.node_id
        if not cell.about(by):
            return None
        if by == "organization":
            return pivot_organization(
                connection, cell.oid, world=world, wanted=wanted, everybody=everybody, at=at
            )
        if by == "principal":
            return pivot_principal(
                connection, cell.principal, kind=cell.kind, scope=scope, world=world, wanted=wanted,
                everywhere=everybody, at=at,
            )  # fmt: skip
        return pivot_permission(
            connection, cell.permission, scope=scope, world=world, wanted=wanted, everybody=everybody, at=at
        )

    def _worlds(
        self, connection: Connection, then: Then | None
    ) -> tuple[World, World, tuple[AccessChange, ...]]:
        """Everybody's access now and after what is staged; read again only when it changed. Of an earlier
        time: as it was, and as it is where what changed since is asked for.

        While a sync goes on it changes all the time, and of ten thousand organizations reading takes a third
        of a second: then what is shown may be a few seconds old, which line 2 says anyway.
        """
        if then is not None and not then.since:
            with self._lock:
                past = self._world_then(connection, then.at)
            return past, past, ()
        with self._lock:
            version, (loaded, at, took) = self._version, self._loaded
            waits = at + PATIENCE * took - time.monotonic()
            self._owing = 0.0
            if self._world is None or (version != loaded and waits <= 0):
                started = time.monotonic()
                self._world = World.load(connection)
                ended = time.monotonic()
                self._loaded = (version, ended, ended - started)
            elif version != loaded:
                self._owing = waits
            world = self._world
            if then is not None:
                return self._world_then(connection, then.at), world, ()
            staged = tuple(accessplans.staged(connection, self.context.operator))
            known = self._changed
            if known is None or known[0] is not world or known[1] != staged:
                after, made = _after(world, staged)
                known = self._changed = (world, staged, after, made)
            return world, known[2], known[3]

    def _world_then(self, connection: Connection, at: int) -> World:
        """What was does not change, but what is known of it may be taken out of the store."""
        if self._past is None or self._past[0] != at or self._past[1] != self._version:
            self._past = (at, self._version, World.load(connection, at=at))
        return self._past[2]

    def has_nothing(self, found: Found) -> bool:
        """Whether there is no matrix to show, and why."""
        self._nothing = nothing(found, self.context)
        return bool(self._nothing)

    def empty_text(self) -> str:
        """Why there is no matrix."""
        return self._nothing

    def show(self, found: Found) -> None:
        """The matrix; the cursor stays on its cell, however it was turned."""
        self._found = found
        assert found.grid is not None  # noqa: S101  (else there is nothing)
        made, about = found.grid, (found.by, found.cell.about(found.by))
        rows = self._with_marks(found, made.rows)
        if about == self._shown_as:
            self.table.fill(made.columns, rows)
        else:
            self._shown_as = about
            self.table.fill(made.columns, rows, at=found.cell.place(found.by), folded=made.folded)
        self._say(found)
        self._look_for_marks(found)
        self._explain()
        if self._owing:
            self.set_timer(self._owing, self._refresh_soon)
        if self._look_again:
            self._look_again = False
            if found.staged:
                self.action_what_if()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown, so that nobody takes it for another organization's."""
        self._found = found
        self._shown_as = (found.by, "")
        self.table.fill((), ())
        self._explain()
        self._write_banner(found)
        then = found.then and f"   as of {self.context.when(found.then.at, seconds=False)}"
        self.say(title=f"{self._title(found)}{then or ''}", counts="")

    def _write_banner(self, found: Found) -> None:
        self.query_one("#then").display = found.then is not None
        if found.then is not None:
            self.query_one("#then", Static).update(access_then.banner(found.then, self.context))
        self.keys_changed()

    def _say(self, found: Found) -> None:
        assert found.pivot is not None  # noqa: S101  (else there is nothing)
        pivot, gaps = found.pivot, self.query_one("#gaps", Static)
        lacking = [] if found.by == "organization" else _lacking(pivot.lacking, pivot.organizations)
        if found.then is not None:
            lacking = access_then.lacking_lines(pivot.lacking, pivot.organizations)
        lines = [gap_line(gap, found.now) for gap in found.gaps] + lacking
        if found.lacking:
            lines.append(line((f" x not known: {found.lacking}", HEALTH_STYLES["failed"])))
        self._write_banner(found)
        gaps.display = bool(lines)
        gaps.update(Content("\n").join(lines))
        self.say(
            title=self._title(found),
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=self._counts(found, pivot),
        )
        self._write_legend(found)

    def _write_legend(self, found: Found) -> None:
        """The signs, with those that are there only now and then."""
        legend = line((LEGEND, "dim"))
        if self._marks_of(found):
            legend = line(
                (f"{SIGNS}    ", "dim"), (f"u! g! k! finding ({press('access.findings', 'F')})", "dim")
            )
        if found.since:
            legend = line(
                (" ".join(SIGNS.split()), "dim"), (f"   {access_then.SINCE_LEGEND}", "bold ansi_yellow")
            )
        if found.staged:
            legend = line(
                (" ".join(SIGNS.split()), "dim"),
                (f"   + - ~ staged: {counted(len(found.staged), 'change')}", "bold ansi_yellow"),
            )
        self.query_one("#legend", Static).update(legend)

    def _title(self, found: Found) -> str:
        if found.pivot is None:
            return "Access"
        name = str(found.pivot.name)
        if found.by == "organization":
            return f"Access   {name}" + ("   protected" if found.protected else "")
        risk = "   ! privileged" if found.by == "permission" and is_privileged(name) else ""
        return f"Access   {found.pivot.kind or 'permission'} {name}{risk}"

    def _counts(self, found: Found, pivot: Pivot) -> str:
        """As much as leaves the title whole: what the matrix is about must never be in doubt."""
        assert found.grid is not None  # noqa: S101  (else there is nothing)
        held = len({column.key for column in pivot.columns})
        lines = f"{len(pivot.lines):,} of " if len(pivot.lines) != pivot.total else ""
        ago = age(pivot.checked_at, found.now) if pivot.checked_at is not None else ""
        read = f"   read {ago} ago" if ago else ""
        principals = f"{lines}{counted(pivot.total, 'principal')}"
        if found.by == "organization":
            words = [f"{principals}, {held:,} permissions held{read}", f"{principals}{read}", principals]
        elif found.by == "principal":
            words = [f"{len(pivot.lines):,} of {counted(pivot.organizations, 'organization')}{read}"]
            words += [f"{len(pivot.lines):,} of {pivot.organizations:,}{read}", f"{len(pivot.lines):,}"]
        else:
            wide = len(found.grid.columns)
            words = [f"{principals} on {counted(wide, 'organization')}{read}"]
            words += [f"{lines}{pivot.total:,} x {wide:,}{read}", f"{pivot.total:,} x {wide:,}"]
        title = cell_width(safe_text(self._title(found), 60)) + len(self.filter_line) + 6
        room = self.size.width - title - 2
        return next((each for each in words if len(each) <= room), words[-1])

    # -- findings ---------------------------------------------------------------------------------------

    def _with_marks(self, found: Found, rows: list[grid.Row]) -> list[grid.Row]:
        """The rows of an organization, those of whom something is wrong with a `!` beside what they are."""
        marks = self._marks_of(found)
        if not marks:
            return rows
        return [replace(row, kind=f"{row.kind}{'!' if row.key in marks else ' '}") for row in rows]

    def _marks_of(self, found: Found) -> dict[str, list[str]]:
        """Row -> what is wrong with whom it is about, as far as it was looked for: of an organization as it
        is now."""
        marks = self._marks
        if found.by != "organization" or found.then is not None or marks is None:
            return {}
        return marks[2] if marks[1] == found.cell.oid else {}

    def _look_for_marks(self, found: Found) -> None:
        """Look for what is wrong once the matrix is there: of ten thousand organizations it takes seconds."""
        known, (at, took) = self._marks, self._marked
        same = known is not None and known[1] == found.cell.oid
        if found.by != "organization" or found.then is not None:
            return
        if known is not None and same and known[0] is found.world:
            return
        if not same or time.monotonic() - at > PATIENCE * took:
            self._find_marks(found.world, found.cell.oid)

    @work(exclusive=True, group="marks", exit_on_error=False)
    async def _find_marks(self, world: World, oid: str) -> None:
        started = time.monotonic()
        marks = await asyncio.to_thread(self._read_marks, oid)
        self._marked = (time.monotonic(), time.monotonic() - started)
        before = self._marks
        self._marks = (world, oid, marks)
        found = self._found
        if found is None or found.grid is None or found.by != "organization" or found.cell.oid != oid:
            return
        if found.then is not None:  # it is of now
            return
        if marks or (before is not None and before[2]):
            self.table.fill(found.grid.columns, self._with_marks(found, found.grid.rows))
            self._write_legend(found)
            self._explain()

    def _read_marks(self, oid: str) -> dict[str, list[str]]:
        with self.context.reader.reading() as connection:
            report = findings(connection, now=self.context.clock(), oid=oid, use=False)
        marks: dict[str, list[str]] = {}
        for each in report.findings:
            rows = {pivots.key_of("user", str(each.subject))} if "@" in each.subject else set[str]()
            for change in each.remedy:
                if change.kind == "delete_key":
                    rows.add(pivots.key_of("key", change.principal))
                elif change.gid and not change.principal:
                    rows.add(pivots.key_of("group", change.gid))
            for row in rows:
                marks.setdefault(row, []).append(f"{each.kind}: {each.sentence}")
        return marks

    # -- filter -----------------------------------------------------------------------------------------

    def _roles(self) -> tuple[str, ...]:
        """The provider's own roles, as they were read last."""
        if self._found is not None and self._found.pivot is not None:
            self._own_roles = self._found.pivot.roles or self._own_roles
        return self._own_roles

    def apply_filter(self, line: str) -> None:
        """`user:kim perm:dr. role:owner domain:acme.example group:soc`; a bare word is in a row's name."""
        wanted = parse_filter(line, self._roles())
        if self._by == "permission" and (wanted.holding or wanted.roles or wanted.permissions):
            raise ValueError(
                "Here every line has one permission: perm:, has: and role: filter the other two ways."
            )
        self._wanted = wanted
        self._filters[self._by] = line
        self.filter_line = line

    def close_inner(self) -> bool:
        """Close the pane, then forget the filter, then turn back to the cell that one came from."""
        if self._open:
            self._show_pane(False)
        elif self.filter_line:
            self.filter_by("")
        elif self._turns:
            self._turn(*self._turns.pop())
        else:
            return False
        return True

    # -- the cell ---------------------------------------------------------------------------------------

    @on(grid.Matrix.Moved)
    def _moved(self, event: grid.Matrix.Moved) -> None:
        event.stop()
        cell = self.here
        if cell is not None and self._found is not None and self._found.by == self._by:
            self._cell = cell
        self.at_rest(self._explain)

    @property
    def here(self) -> Cell | None:
        """The cell under the cursor; of a folded category its first one. None in an empty matrix."""
        row, columns, found = self.table.row, self.table.columns, self._found
        if row is None or not columns or found is None:
            return None
        return found.cell.moved(found.by, row.key, columns[0].key)

    def _explain(self) -> None:
        lines: Sequence[Content] = ()
        found, cell = self._found, self.here
        if found is not None and found.grid is not None:
            if cell is None:
                lines = [self.nothing_said()]
            else:
                staged = tuple(
                    accesslines.words(each, found.names)
                    for each in pivots.concerning(found.staged, cell, found.after)
                )
                known = Known(found.world, found.after, found.mfa, staged, found.at, found.since)
                columns = [column.key for column in self.table.columns]
                lines = explain(known, found.by, cell, columns, self.table.category)
                if wrong := self._wrong(found, cell):
                    lines = [lines[0], wrong, *lines[1:]]
        wide = min(self.query_one("#explanation").size.width, MOST_WIDE)
        self.query_one("#explanation", Said).say([part for each in lines for part in hanging(each, wide)])
        if self._open:
            self._explain_why(lines)

    def _wrong(self, found: Found, cell: Cell) -> Content | None:
        """What the findings say of whom the cell is about."""
        said = self._marks_of(found).get(pivots.key_of(cell.kind, cell.principal), [])
        if not said:
            return None
        more = (
            f"   and {len(said) - 1:,} more: {press('access.findings', 'F')} lists them"
            if len(said) > 1
            else ""
        )
        return line(("   ! ", HEALTH_STYLES["failed"]), (said[0], ""), more)

    # -- why, at length ---------------------------------------------------------------------------------

    def action_why(self) -> None:
        """Open the pane that explains the cell at length, or close it."""
        self._show_pane(not self._open)
        self._explain()

    def action_scroll_why(self, lines: int) -> None:
        """Scroll the pane."""
        self.query_one("#why").scroll_relative(y=lines, animate=False)

    def _show_pane(self, wanted: bool) -> None:
        self._open = wanted
        self.query_one("#split").set_class(wanted, "-why")
        self.keys_changed()

    def on_resize(self, event: events.Resize) -> None:
        """The pane is wrapped to its width."""
        super().on_resize(event)
        if self._open:
            self._explain()

    def _explain_why(self, short: Sequence[Content]) -> None:
        """Read what the matrix does not hold of the cell; a folded column has no more than it shows."""
        cell = self.here
        if cell is None or len(self.table.columns) != 1:
            folded = [
                Content(
                    f" {press('matrix.fold', 'z')} unfolds the category: each cell is explained by itself."
                )
            ]
            self._put([*short, *(folded if len(self.table.columns) > 1 else ())])
            return
        self._read_why(cell, tuple(short))

    @work(exclusive=True, group="why", exit_on_error=False)
    async def _read_why(self, cell: Cell, short: tuple[Content, ...]) -> None:
        try:
            found = await asyncio.to_thread(self._why, cell)
        except Exception as error:
            self._put([line(("The explanation could not be read: ", "bold"), str(error))])
            return
        # What the cursor left meanwhile is not shown as what it stands on.
        if cell == self.here and len(self.table.columns) == 1 and self._open and self._found is not None:
            if found is None:
                self._put(short)
                return
            held = pivots.held_by(self._found.world, cell)
            names = self._found.world.permissions(held.mask) if held is not None else ()
            self._put([*why_lines(found, names), *short[1:]])

    def _why(self, cell: Cell) -> Why | None:
        """None when the principal or the organization is gone since the matrix was read."""
        at = None if self._found is None else self._found.at
        with self.context.reader.reading() as connection:
            asked = access.facts(connection, cell.oid, cell.permission, cell.principal, at=at)
            behind = restricted(connection, cell.oid, cell.permission) if at is None else None
        if asked is None or (cell.kind == "group" and cell.principal not in asked.facts.groups):
            return None
        about = cell.principal, cell.permission, cell.oid
        try:
            answer = explained(asked.facts, *about, kind=cell.kind)
        except UnknownPrincipal:
            return None
        words = restricted_words(behind) if behind is not None else ""
        if at is not None:
            return Why(asked, answer, Cuts(()), words, self.context.when(at, seconds=False))
        return Why(asked, answer, cuts(asked.facts, *about, kind=cell.kind), words)

    def _put(self, lines: Sequence[Content]) -> None:
        pane = self.query_one("#why", VerticalScroll)
        width = WIDE if self.size.width >= 120 else self.size.width
        pane.query_one(Static).update(
            Content("\n").join(part for each in lines for part in hanging(each, width))
        )
        cell = self.here
        here = (self._by, cell) if cell is not None else None
        if here != self._explained:
            # The same cell read again, as a sync goes on, stays where it was scrolled to.
            pane.scroll_home(animate=False)
        self._explained = here

    # -- turning ----------------------------------------------------------------------------------------

    def action_turn(self, step: int) -> None:
        """Another side of the same cell."""
        cell = self.here
        if cell is None or self._found is None:
            return
        self._turns = [*self._turns[-50:], (self._found.by, cell)]
        at = pivots.PIVOTS.index(self._found.by)
        self._turn(pivots.PIVOTS[(at + step) % len(pivots.PIVOTS)], cell)

    def action_used(self) -> None:
        """Only held columns, or all known ones."""
        self._used = not self._used
        self.tell("Only columns that somebody holds." if self._used else "All known columns.")
        self.reload()

    def action_everybody(self) -> None:
        """Also rows that hold nothing, to be given something."""
        self._everybody = not self._everybody
        self.tell("Also the rows that hold nothing." if self._everybody else "Only rows that hold something.")
        self.reload()

    # -- time ------------------------------------------------------------------------------------------

    @work(exclusive=True, group="then", exit_on_error=False)
    async def action_then(self) -> None:
        """Ask for a time, and show the matrix as it was then."""
        clock = self.context.clock

        def trouble(text: str) -> str:
            try:
                past_moment(text, clock())
            except ValueError as error:
                return f"This {error}"
            return ""

        heading = content("Who might do what at an earlier time, as far as the store had read it by then.")
        hint = content(
            "So long ago (7d, 12h), or a date or time, such as 2026-11-01; UTC where it says nothing."
        )
        answer = await self.app.push_screen_wait(
            WriteLine(
                Content("\n").join([heading, hint]), "As of", does="shows it",
                text="" if self._then is None else rfc3339(self._then.at) or "",
                check=trouble,
            )
        )  # fmt: skip
        if answer is not None:
            self.show_then(Then(past_moment(answer, clock())))

    def show_then(self, then: Then | None) -> None:
        """Show the matrix as of a time, or as it is; the cursor stays on its cell."""
        self._then = then
        self._explained = None
        self.keys_changed()
        self.reload()

    def action_since(self) -> None:
        """What changed from then to now, or as it was."""
        if self._then is not None:
            self.show_then(replace(self._then, since=not self._then.since))

    def action_now(self) -> None:
        """As it is now."""
        self.show_then(None)

    # -- staging ----------------------------------------------------------------------------------------

    @work(exclusive=True, group="staging", exit_on_error=False)
    async def action_stage(self) -> None:
        """The change of this cell: at once where there is one way, else the ways are offered."""
        found, cell = self._found, self.here
        if found is None or cell is None:
            return
        if len(self.table.columns) > 1:
            self.tell(
                f"{press('matrix.fold', 'z')} unfolds the category first: one cell is changed at a time.",
                "warning",
            )
            return
        with self.context.keys_wait("either"):
            why = await asyncio.to_thread(self._why, cell) if cell.kind == "user" else None
            offering = offers_for(found.world, found.after, found.staged, cell, found.names, why)
            await self._offer(offering)

    @work(exclusive=True, group="staging", exit_on_error=False)
    async def action_others(self) -> None:
        """Changes that are not of one cell alone."""
        found, cell = self._found, self.here
        if found is not None and cell is not None:
            with self.context.keys_wait("either"):
                await self._offer(others_for(found.world, found.after, cell))

    async def _offer(self, offering: Offering) -> None:
        if offering.sentence:
            self.tell(offering.sentence, "warning")
            return
        offer: Offer | None = offering.offers[0]
        if len(offering.offers) > 1 or offering.asks:
            key = await self.app.push_screen_wait(
                ChooseOne(offering.heading, [each.option for each in offering.offers])
            )
            offer = next((each for each in offering.offers if each.option.key == key), None)
        if offer is None:
            self.tell("Nothing was staged.")
            return
        changes = offer.changes
        if offer.choices:
            chosen = await self.app.push_screen_wait(
                ChooseOrganization(offer.choices, title=offer.choosing, hint=offer.hint)
            )
            if not chosen:
                self.tell("Nothing was staged.")
                return
            changes = offer.chosen(chosen)
        if offer.unstages:
            self.post_message(UnstageChanges(changes))
        else:
            self.post_message(StageChanges(changes))

    def action_what_if(self) -> None:
        """Before and after, side by side."""
        if self._found is not None and self._found.staged:
            self._what_if(self._found)

    @work(exclusive=True, group="what-if", exit_on_error=False)
    async def _what_if(self, found: Found) -> None:
        made = await asyncio.to_thread(consequence, found.world, found.after, found.staged, found.names)
        if not self.is_current:
            return
        answer: WhatIfAnswer | None = await self.app.push_screen_wait(
            WhatIf(made, cursor=self.context.glyphs.cursor, writable=self.context.writable)
        )
        if answer is None:
            return
        if answer.deed == "plan":
            self.post_message(PlanStaged())
        elif answer.deed == "clear":
            self.post_message(UnstageChanges(None))
        elif answer.change is not None:
            self._look_again = True
            self.post_message(UnstageChanges((answer.change,)))

    def action_keys(self) -> None:
        """The inventory of API keys."""
        self.post_message(ShowView("apikeys"))

    def action_plan(self) -> None:
        """Plan what is staged."""
        self.post_message(PlanStaged())

    def action_timeline(self) -> None:
        """Show what was done to access."""
        self.post_message(ShowView("timeline"))

    def action_review(self) -> None:
        """Access reviews."""
        self.post_message(ShowView("review"))

    def action_findings(self) -> None:
        """What is wrong with who may do what."""
        self.post_message(ShowView("findings"))

    def action_break_glass(self) -> None:
        """A membership for a while: for the user under the cursor, if one is."""
        cell = self.here
        self.post_message(ShowBreakGlass(cell.principal if cell is not None and cell.kind == "user" else ""))

    def action_plans(self) -> None:
        """The latest plans."""
        self.post_message(ShowPlans())

    # -- keys -------------------------------------------------------------------------------------------

    @property
    def offers_all(self) -> bool:
        """Of the past nothing can be changed."""
        return self._then is None

    def why_not(self, action: str) -> str:
        """What needs a cell, an organization, something staged, or a console that may write."""
        if action in ("tree", "alerts") and not self._cell.oid:
            return f"No organization is chosen: {press('access.choose', 'O')} chooses one."
        if action in ("since", "now") and self._then is None:
            return f"This is as it is now: {press('access.then', 'T')} shows it as it was at an earlier time."
        if action in ("stage", "others", "what_if", "plan") and self._then is not None:
            return access_then.refusal(self._then, self.context)
        if action in ("why", "turn", "stage", "others") and self.here is None:
            return "There is no cell under the cursor."
        if action in ("stage", "others", "plan", "break_glass") and not self.context.writable:
            return "This console is read-only."
        if action in ("what_if", "plan") and not (self._found is not None and self._found.staged):
            return f"Nothing is staged: {press('access.stage', 'space')} stages the change of a cell."
        if action == "scroll_why" and not self._open:
            return f"The explanation is closed: {press('access.why', 'enter')} opens it."
        return ""

    def action_tree(self) -> None:
        """The organization in the tree."""
        self.post_message(ShowOrganization(self._cell.oid))

    def action_alerts(self) -> None:
        """The organization's alerts."""
        self.post_message(ShowAlerts(f"oid:{self._cell.oid}"))

    @work(exclusive=True, group="choose", exit_on_error=False)
    async def action_choose(self) -> None:
        """Choose another one to be about."""
        by = self._by
        choices = await asyncio.to_thread(self._choices, by)
        if not choices:
            self.tell(f"No {NAMES[by]} is known in this scope.", "warning")
            return
        if not self.is_current:
            return
        hint = "part of a name, a path or an oid" if by == "organization" else "part of a name"
        chosen = await self.app.push_screen_wait(
            ChooseOrganization(choices, current=self._about(by), title=NAMES[by].capitalize(), hint=hint)
        )
        if chosen:
            self._be_about(by, chosen)

    @work(exclusive=True, group="choose", exit_on_error=False)
    async def action_next(self, step: int) -> None:
        """The next one to be about, in the order in which they are chosen."""
        by = self._by
        ids = [choice.id for choice in await asyncio.to_thread(self._choices, by)]
        if ids:
            about = self._about(by)
            at = ids.index(about) + step if about in ids else 0
            self._be_about(by, ids[at % len(ids)])

    def _about(self, by: By) -> str:
        return (
            pivots.key_of(self._cell.kind, self._cell.principal)
            if by == "principal"
            else self._cell.about(by)
        )

    def _be_about(self, by: By, chosen: str) -> None:
        cell = self._cell
        if by == "organization":
            self.show_organization(chosen)
        elif by == "permission":
            self._turn(by, replace(cell, permission=chosen))
        else:
            self._turn(by, cell.moved("organization", chosen, cell.permission))

    def _choices(self, by: By) -> list[Choice]:
        if by == "organization":
            with self.context.reader.reading() as connection:
                rows = organizations(connection, scope=self.context.scope.node_id, now=self.context.clock())
            return [
                Choice(row.oid, row.name, row.path, "" if row.state == "fresh" else row.state) for row in rows
            ]
        found = self._found
        world = self._world if found is None or found.then is None else found.after
        if world is None:
            return []
        if by == "permission":
            names = sorted(world.names)
            return [Choice(name, name, f"{name.partition('.')[0]}/{name}") for name in names]
        people = [
            Choice(pivots.key_of("user", email), email, f"user/{email}") for email in sorted(world.people)
        ]
        groups = [
            Choice(pivots.key_of("group", gid), str(group.name), f"group/{group.name}")
            for gid, group in world.groups.items()
        ]
        return people + groups


def _after(world: World, staged: tuple[AccessChange, ...]) -> tuple[World, tuple[AccessChange, ...]]:
    """The world after what is staged; a change of a group that is gone changes nothing."""
    if not staged:
        return world, staged
    try:
        return world.changed(staged), staged
    except UnknownGroup:
        made = {change.gid for change in staged if change.kind == "create_group"}
        there = tuple(each for each in staged if not each.gid or each.gid in world.groups or each.gid in made)
        return world.changed(there), there


def _gaps(connection: Connection, oid: str) -> tuple[Gap, ...]:
    """The subjects a matrix is made of whose last reading failed, or that were never read."""
    state = SyncState.__table__.c  # type: ignore[attr-defined]  # SQLModel does not type its tables
    found = {
        row.subject: row
        for row in connection.execute(
            select(state.subject, state.failure, state.reason, state.checked_at).where(
                ((state.oid == oid) & state.subject.in_(("access", "keys")))
                | ((state.oid == "") & (state.subject == "groups"))
            )
        )
    }
    gaps = []
    for subject in ("access", "groups", "keys"):
        row = found.get(subject)
        if row is None or (row.checked_at is None and not row.failure):
            # Without the credential's own groups, an organization's listing still names those that hold it.
            if subject != "groups":
                gaps.append(Gap(subject, "never", "", None))
        elif row.failure:
            gaps.append(Gap(subject, row.failure, row.reason, row.checked_at))
    return tuple(gaps)


def _lacking(lacking: Sequence[Lacking], organizations: int) -> list[Content]:
    """`not known on 3 of 216 organizations: Delta Ltd, because ...`"""
    if not lacking:
        return []
    never = [each for each in lacking if each.checked_at is None]
    first = (never or list(lacking))[0]
    because = first.reason or first.failure or "it was never read"
    more = f" (and {len(lacking) - 1:,} more)" if len(lacking) > 1 else ""
    what = "not known" if never else "old"
    return [
        line(
            (f" x {what} on {len(lacking):,} of {counted(organizations, 'organization')}: ", "bold ansi_red"),
            (first.name, "bold"), f"{more}, because ", (because, ""),
        )
    ]  # fmt: skip


def _nobody_then(found: Found, name: str, scope: str) -> str:
    if found.by == "principal":
        return f"{name} had nothing on any organization of {scope}"
    if found.by == "permission":
        return f"Nobody had {name} on any organization of {scope}"
    return f"Nobody had access to {name}"


def nothing(found: Found, context: Context) -> str:
    """Why there is no matrix to show; "" when there is one. Not known is another thing than nobody."""
    about = found.cell.about(found.by)
    if not about:
        return (
            f"No organization is chosen. {press('access.choose', 'O')} chooses one, "
            f"{press('access.next', 'n')} shows the "
            "first, :access NAME any other."
        )
    if found.pivot is None and found.then is not None and found.by == "principal":
        name = safe_text(name_of(found.world, found.cell.kind, about), 80)
        when, back = context.when(found.then.at, seconds=False), press("access.now", "N")
        return f"There was no {found.cell.kind} {name} on {when}. {back} goes back to now."
    if found.pivot is None:
        if found.by == "principal":
            name = safe_text(name_of(found.world, found.cell.kind, about), 80)
            return f"Not known: what {name} may do, because no {found.cell.kind} of this name was ever read."
        return (
            f"Not known: who may do what on {safe_text(about, 40)}, "
            "because no organization with this oid was ever read."
        )
    name = safe_text(found.pivot.name, 80)
    scope = safe_text(context.scope.name, 80)
    if found.outside:
        return (
            f"{name} is outside the scope {scope}. :scope alone shows all; "
            f"{press('access.choose', 'O')} chooses another one."
        )
    if found.then is not None and (why := access_then.not_known(found.pivot, name, found.then, context)):
        return why
    if found.unchanged and found.then is not None:
        return (
            f"Nothing of {name} changed since {context.when(found.then.at, seconds=False)}. "
            f"{press('access.everybody', 'A')} shows every row, {press('access.now', 'N')} goes back to now."
        )
    if found.pivot.total or (found.grid is not None and found.grid.rows):
        return ""
    if found.then is not None:
        when, back = context.when(found.then.at, seconds=False), press("access.now", "N")
        return f"{_nobody_then(found, name, scope)} on {when}. {back} goes back to now."
    if found.by == "principal":
        return f"{name} has nothing on any organization of {scope}. A shows the organizations all the same."
    if found.by == "permission":
        return f"Nobody has {name} on any organization of {scope}. A shows everybody all the same."
    unread = [gap for gap in found.gaps if gap.checked_at is None]
    if unread:
        reasons = [safe_text(gap.reason, 300) for gap in unread if gap.reason]
        because = reasons[0] if reasons else f"it was never read; {press('app.sync', 'r')} reads the cloud"
        return f"Not known: who may do what on {name}, because {because}"
    return (
        f"Nobody has access to {name}: no user, group or key holds a permission there "
        f"(read {age(found.pivot.checked_at, found.now)} ago)."
    )
