"""Who may do what on one organization: principals by permissions, and through what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection, literal, select
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context, Scope
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.requests import ShowAlerts, ShowOrganization
from screens.view import View
from screens.widgets import matrix as grid
from screens.widgets.text import line
from store.access import (
    Cuts,
    Explanation,
    Kind,
    UnknownPrincipal,
    counted,
    cut_words,
    cuts,
    missing_words,
    path_words,
)
from store.access import explain as explained
from store.models import SyncState
from store.permissions import catalogue, categories, known
from store.queries import access
from store.queries.access import Principal
from store.queries.organizations import organizations
from store.queries.scopes import oids_of
from store.text import safe_text
from store.times import age

KINDS = {"user": "u", "group": "g", "key": "k"}
"""The sign before a principal."""

LEGEND = "D direct  G group  B both  K key  . not  ! privileged      u user  g group  k key"

WIDE = 55
"""Cells of the pane where it stands beside the matrix (its border is one more, `access.tcss`)."""

SHOWN = 4
"""Missing links, and smallest cuts, that the pane names; the rest is counted."""

_SUBJECTS = {"access": "users and what they were granted", "groups": "groups", "keys": "API keys"}


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the matrix that could not be read."""

    subject: str
    failure: str
    reason: str
    """A stranger's text."""
    checked_at: int | None
    """When it was last read completely; what is shown of it is that old."""


@dataclass(frozen=True, slots=True)
class Found:
    """The matrix of the chosen organization, and what it lacks."""

    oid: str
    matrix: access.Matrix | None
    """None when no organization is chosen, or it is unknown."""
    outside: bool
    """The chosen organization is not below the scope."""
    gaps: tuple[Gap, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for; every word must hold."""

    principals: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    holding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Why:
    """A cell explained: by which paths it is held or what is missing, and what would take it away."""

    asked: access.Asked
    answer: Explanation
    cuts: Cuts


class Access(View[Found]):
    """The permission matrix of one organization, with the cell under the cursor explained."""

    MODE = "access"
    TITLE = "Access"
    CSS_PATH = "access.tcss"
    AUTO_FOCUS = "Matrix"
    READS = frozenset(
        {
            "organization", "node", "direct_permission", "organization_group", "group_member",
            "group_organization", "api_key", "user_account", "sync_state", "audit_entry",
        }
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "why", "explain", id="access.why",
            tooltip="Why this cell is so: every path, since when, what is missing, the smallest cuts",
        ),
        Binding("O", "choose", "organization", id="access.choose", tooltip="Choose another organization"),
        Binding("n", "next(1)", "next", id="access.next", show=False, tooltip="The next organization"),
        Binding("p", "next(-1)", "previous", id="access.previous", show=False, tooltip="The one before"),
        Binding(
            "u", "used", "only held", id="access.used",
            tooltip="Only the permissions that somebody holds, or all known ones",
        ),
        Binding("t", "tree", "tree", id="access.tree", tooltip="This organization in the tree"),
        Binding("a", "alerts", "alerts", id="access.alerts", tooltip="The alerts of this organization"),
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
        self._oid = context.scope.oid
        self._found: Found | None = None
        self._nothing = ""
        self._used = False
        self._wanted = Wanted()
        self._open = False
        self._explained = ("", "", "")

    def compose_body(self) -> ComposeResult:
        """What is not known, the matrix, what the signs mean, and the cell in short and at length."""
        with Container(id="split"):
            with Vertical(id="table"):
                yield Static("", id="gaps", markup=False)
                yield grid.Matrix(sign=self.context.glyphs.cursor)
                yield Static(LEGEND, id="legend", markup=False)
                yield Static("", id="explanation", markup=False)
            with VerticalScroll(id="why", can_focus=False):
                yield Static("", id="why-text", markup=False)

    def on_mount(self) -> None:
        """A scope of one organization chooses it."""
        self.context.scope_changed.subscribe(self, self._follow_scope)

    def _follow_scope(self, scope: Scope) -> None:
        if scope.oid:
            self.show_organization(scope.oid)

    @property
    def table(self) -> grid.Matrix:
        """The matrix on the screen."""
        return self.query_one(grid.Matrix)

    # -- reading ----------------------------------------------------------------------------------------

    def show_organization(self, oid: str) -> None:
        """Show the matrix of this organization."""
        if oid != self._oid or self._found is None:
            self._oid = oid
            if self.is_mounted:
                self.reload()

    def read(self, connection: Connection) -> Found:
        """The matrix, unless the organization is outside the scope."""
        oid, now = self._oid, self.context.clock()
        if not oid:
            return Found("", None, False, (), now)
        below = oids_of(connection, self.context.scope.node_id)
        inside = below is None or (
            connection.execute(select(literal(oid)).where(literal(oid).in_(below))).first() is not None
        )
        found = access.matrix(connection, oid)
        return Found(oid, found, not inside, _gaps(connection, oid), now)

    def has_nothing(self, found: Found) -> bool:
        """Whether there is no matrix to show, and why."""
        self._nothing = nothing(found, self.context)
        return bool(self._nothing)

    def empty_text(self) -> str:
        """Why there is no matrix."""
        return self._nothing

    def show(self, found: Found) -> None:
        """The matrix; the cursor stays on its principal and permission."""
        self._found = found
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown, so that nobody takes it for another organization's."""
        self._found = found
        self.table.fill((), ())
        self._explain()
        name = found.matrix.organization if found.matrix is not None else ""
        self.say(title=f"Access   {name}" if name else "Access", counts="")

    def _lay_out(self) -> None:
        if self._found is None or self._found.matrix is None:
            return
        shown = self._found.matrix
        names = set[str]().union(*(principal.via for principal in shown.principals))
        held = len(names)
        if not self._used:
            names |= {each.name for each in catalogue() if not each.doubtful}
        wanted = [name for name in names if all(_named_so(name, word) for word in self._wanted.permissions)]
        columns = columns_of(wanted)
        principals = [each for each in shown.principals if matches(each, self._wanted)]
        self.table.fill(columns, [row_of(each) for each in principals])
        gaps = self.query_one("#gaps", Static)
        gaps.display = bool(self._found.gaps)
        gaps.update(Content("\n").join(gap_line(gap, self._found.now) for gap in self._found.gaps))
        filtered = len(principals) != len(shown.principals)
        some = f"{len(principals):,} of " if filtered else ""
        read = age(shown.checked_at, self._found.now)
        self.say(
            title=f"Access   {shown.organization}",
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{some}{len(shown.principals):,} principals, {held:,} permissions held   read {read} ago",
        )
        self._explain()

    # -- filter -----------------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """`user:kim perm:dr. kind:key has:dr.set`; a bare word is a part of a principal's name."""
        self._wanted = parse(line)
        self.filter_line = line
        self._lay_out()

    def close_inner(self) -> bool:
        """Close the pane, then forget the filter."""
        if self._open:
            self._show_pane(False)
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        return False

    # -- the explanation --------------------------------------------------------------------------------

    @on(grid.Matrix.Moved)
    def _moved(self, event: grid.Matrix.Moved) -> None:
        event.stop()
        self.at_rest(self._explain)

    def _explain(self) -> None:
        lines: Sequence[Content] = ()
        found = self._found.matrix if self._found is not None else None
        row, columns = self.table.row, self.table.columns
        if found is not None:
            principal = next(
                (each for each in found.principals if row is not None and _key(each) == row.key), None
            )
            if principal is not None and columns:
                lines = explain(found, principal, [column.key for column in columns], self.table.category)
            else:
                lines = [Content(" Nothing matches the filter; esc forgets it.")]
        self.query_one("#explanation", Static).update(Content("\n").join(lines))
        if self._open:
            self._explain_why(lines)

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
        row, columns = self.table.row, self.table.columns
        if row is None or len(columns) != 1:
            folded = [Content(" z unfolds the category: each permission is explained by itself.")]
            self._put([*short, *(folded if len(columns) > 1 else ())])
            return
        kind, _, principal = row.key.partition(":")
        self._read_why(principal, kind, columns[0].key, tuple(short))

    @work(exclusive=True, group="why", exit_on_error=False)
    async def _read_why(
        self, principal: str, kind: Kind, permission: str, short: tuple[Content, ...]
    ) -> None:
        oid = self._oid
        try:
            found = await asyncio.to_thread(self._why, oid, principal, kind, permission)
        except Exception as error:
            self._put([line(("The explanation could not be read: ", "bold"), str(error))])
            return
        row, columns = self.table.row, self.table.columns
        here = row is not None and (row.key, [each.key for each in columns]) == (
            f"{kind}:{principal}", [permission],
        )  # fmt: skip
        # What the cursor left meanwhile is not shown as what it stands on.
        if here and oid == self._oid and self._open:
            self._put(short if found is None else [*why_lines(found), *short[1:]])

    def _why(self, oid: str, principal: str, kind: Kind, permission: str) -> Why | None:
        """None when the principal or the organization is gone since the matrix was read."""
        with self.context.reader.reading() as connection:
            asked = access.facts(connection, oid, permission, principal)
        if asked is None:
            return None
        try:
            answer = explained(asked.facts, principal, permission, oid, kind=kind)
        except UnknownPrincipal:
            return None
        return Why(asked, answer, cuts(asked.facts, principal, permission, oid, kind=kind))

    def _put(self, lines: Sequence[Content]) -> None:
        pane = self.query_one("#why", VerticalScroll)
        width = WIDE if self.size.width >= 120 else self.size.width
        pane.query_one(Static).update(
            Content("\n").join(part for each in lines for part in _hanging(each, width))
        )
        row, columns = self.table.row, self.table.columns
        cell = (self._oid, row.key if row else "", columns[0].key if columns else "")
        if cell != self._explained:
            # The same cell read again, as a sync goes on, stays where it was scrolled to.
            pane.scroll_home(animate=False)
        self._explained = cell

    # -- keys -------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What goes elsewhere from an organization needs one."""
        if action in ("tree", "alerts") and not self._oid:
            return "No organization is chosen: O chooses one."
        if action == "why" and (self._found is None or not self.table.columns or self.table.row is None):
            return "There is no cell to explain."
        if action == "scroll_why" and not self._open:
            return "The explanation is closed: enter opens it."
        return ""

    def action_used(self) -> None:
        """Only held permissions, or all known ones."""
        self._used = not self._used
        self.tell("Only permissions that somebody holds." if self._used else "All known permissions.")
        self._lay_out()

    def action_tree(self) -> None:
        """The organization in the tree."""
        self.post_message(ShowOrganization(self._oid))

    def action_alerts(self) -> None:
        """The organization's alerts."""
        self.post_message(ShowAlerts(f"oid:{self._oid}"))

    @work(exclusive=True, group="choose", exit_on_error=False)
    async def action_choose(self) -> None:
        """Choose another organization of the scope."""
        choices = await asyncio.to_thread(self._choices)
        if not choices:
            self.tell("No organization is known in this scope.", "warning")
        elif self.is_current:
            self.app.push_screen(ChooseOrganization(choices, current=self._oid), self._chosen)

    def _chosen(self, oid: str | None) -> None:
        if oid:
            self.show_organization(oid)

    @work(exclusive=True, group="choose", exit_on_error=False)
    async def action_next(self, step: int) -> None:
        """The next organization of the scope, in the order of the tree."""
        oids = [choice.id for choice in await asyncio.to_thread(self._choices)]
        if oids:
            at = oids.index(self._oid) + step if self._oid in oids else 0
            self.show_organization(oids[at % len(oids)])

    def _choices(self) -> list[Choice]:
        with self.context.reader.reading() as connection:
            rows = organizations(connection, scope=self.context.scope.node_id, now=self.context.clock())
        return [
            Choice(row.oid, row.name, row.path, "" if row.state == "fresh" else row.state) for row in rows
        ]


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
    for subject in _SUBJECTS:
        row = found.get(subject)
        if row is None or (row.checked_at is None and not row.failure):
            # Without the credential's own groups, an organization's listing still names those that hold it.
            if subject != "groups":
                gaps.append(Gap(subject, "never", "", None))
        elif row.failure:
            gaps.append(Gap(subject, row.failure, row.reason, row.checked_at))
    return tuple(gaps)


def gap_line(gap: Gap, now: int) -> Content:
    """`not known: API keys, because ...`"""
    what = _SUBJECTS[gap.subject]
    because = gap.reason or ("they were never read" if gap.failure == "never" else gap.failure)
    if gap.checked_at is None:
        return line((f" x not known: {what}, because ", HEALTH_STYLES["failed"]), because)
    return line((f" ~ {age(gap.checked_at, now)} old: {what}, because ", HEALTH_STYLES["partly"]), because)


def nothing(found: Found, context: Context) -> str:
    """Why there is no matrix to show; "" when there is one. Not known is another thing than nobody."""
    if not found.oid:
        return "No organization is chosen. O chooses one, and so does :access NAME."
    if found.matrix is None:
        return (
            f"Not known: who may do what on {safe_text(found.oid, 40)}, "
            "because no organization with this oid was ever read."
        )
    name = safe_text(found.matrix.organization, 80)
    if found.outside:
        scope = safe_text(context.scope.name, 80)
        return f"{name} is outside the scope {scope}. :scope alone shows all; O chooses another one."
    if found.matrix.principals:
        return ""
    unread = [gap for gap in found.gaps if gap.checked_at is None]
    if unread:
        reasons = [safe_text(gap.reason, 300) for gap in unread if gap.reason]
        because = reasons[0] if reasons else "it was never read; r reads the cloud"
        return f"Not known: who may do what on {name}, because {because}"
    return (
        f"Nobody has access to {name}: no user, group or key holds a permission there "
        f"(read {age(found.matrix.checked_at, found.now)} ago)."
    )


def columns_of(permissions: Sequence[str]) -> list[grid.Column]:
    """Permissions as columns: by category, then by what they are about, their verb below."""
    columns = []
    for category, names in categories(permissions):
        for name in names:
            about, _, verb = name.partition(".")
            found = known(name)
            columns.append(
                grid.Column(name, category, about, verb or about, found is not None and found.privileged)
            )
    return columns


def _key(principal: Principal) -> str:
    return f"{principal.kind}:{principal.principal}"


def row_of(principal: Principal) -> grid.Row:
    """A principal as a row of signs."""
    return grid.Row(
        _key(principal),
        principal.name or principal.principal,
        KINDS[principal.kind],
        {permission: sign(principal.kind, paths) for permission, paths in principal.via.items()},
    )


def sign(kind: str, paths: Sequence[str]) -> str:
    """How a permission is held: `D`irect, through a `G`roup, `B`oth, by a `K`ey; a group's own are `G`."""
    if kind == "key":
        return "K"
    if kind == "group":
        return "G"
    direct = "direct" in paths
    return "B" if direct and len(paths) > 1 else "D" if direct else "G"


_FIELDS = ("user", "perm", "kind", "has")


def parse(line: str) -> Wanted:
    """Read a filter line.

    Raises:
        ValueError: an unknown prefix or kind; the text says what is allowed.
    """
    found: dict[str, list[str]] = {name: [] for name in _FIELDS}
    for word in line.casefold().split():
        prefix, colon, value = word.partition(":")
        if not colon:
            found["user"].append(word)
        elif prefix not in _FIELDS:
            raise ValueError(f"{prefix}: is no column; use user:, perm:, kind: or has:.")
        elif prefix == "kind" and value not in KINDS:
            raise ValueError(f"{value} is no kind; use user, group or key.")
        elif value:
            found[prefix].append(value)
    return Wanted(*(tuple(found[name]) for name in _FIELDS))


def matches(principal: Principal, wanted: Wanted) -> bool:
    """Whether the filter keeps a principal: name, kind, and what it holds."""
    name = principal.name.casefold()
    return (
        all(word in name for word in wanted.principals)
        and (not wanted.kinds or principal.kind in wanted.kinds)
        and all(any(_named_so(permission, word) for permission in principal.via) for word in wanted.holding)
    )


def _named_so(permission: str, word: str) -> bool:
    """Whether a permission holds a word; `dr.` with its dot is where it begins, not where another ends."""
    return permission.startswith(word) if "." in word else word in permission


def explain(
    found: access.Matrix, principal: Principal, permissions: Sequence[str], category: str
) -> list[Content]:
    """A cell in words, and who else holds it: at most four lines."""
    name = principal.name or principal.principal
    who = {"user": name, "group": f"Group {name}", "key": f"Key {name}"}[principal.kind]
    about = _about(principal)
    if len(permissions) > 1:
        held = [permission for permission in permissions if permission in principal.via]
        said = f" has {len(held)} of the {len(permissions)} permissions of {category} on {found.organization}"
        return [line((f" {who}", "bold"), said), line(f"   {', '.join(held) or 'none of them'}"), about]
    permission = permissions[0]
    paths = principal.via.get(permission)
    about_it = _kind_of(permission)
    others = [each for each in found.principals if permission in each.via and each is not principal]
    counts = [
        f"{count} {kind}{'' if count == 1 else 's'}"
        for kind in KINDS
        if (count := sum(1 for each in others if each.kind == kind))
    ]
    whom = ", ".join(counts) or ("nobody else" if paths else "nobody")
    also = line(f"   {'also held' if paths and counts else 'held'} by {whom}")
    if paths is None:
        return [
            line((f" {who}", "bold"), f" has not {permission} on {found.organization}"),
            about_it,
            also,
            about,
        ]
    through = "; ".join(_path(found, path, principal.kind) for path in paths)
    return [
        line((f" {who}", "bold"), " has ", (permission, "bold"), f" on {found.organization}: {through}"),
        about_it,
        also,
        about,
    ]


def _path(found: access.Matrix, path: str, kind: str) -> str:
    if kind == "key":
        return "of the key itself"
    if kind == "group":
        return "the group gives it to its members"
    if path == "direct":
        return "direct"
    gid = path.removeprefix("group:")
    return f"group {found.groups.get(gid, gid)}"


def _kind_of(permission: str) -> Content:
    found = known(permission)
    if found is None:
        return line(f"   {permission}: not in the catalogue of permissions")
    says = {
        "read": "shows data",
        "write": "changes stored data",
        "control": "acts on endpoints, money, access or code",
    }[found.kind]
    return line(
        f"   {permission}: {says}",
        ("   ! privileged: its holder is master of the organization", HEALTH_STYLES["failed"])
        if found.privileged
        else "",
    )


def _about(principal: Principal) -> Content:
    parts: list[str] = [f"   {len(principal.via):,} permissions in all"]
    if principal.kind == "user":
        mfa = {True: "with", False: "WITHOUT", None: "not known whether with"}[principal.mfa]
        groups = {path for paths in principal.via.values() for path in paths if path != "direct"}
        direct = sum(1 for paths in principal.via.values() if "direct" in paths)
        through = f"{len(groups):,} group{'' if len(groups) == 1 else 's'}"
        parts.append(f"{direct:,} of them direct, {through}, {mfa} a second factor")
    privileged = [name for name in principal.via if (found := known(name)) is not None and found.privileged]
    if privileged:
        parts.append(f"! {', '.join(privileged)}")
    return line("; ".join(parts))


def _hanging(content: Content, width: int, indent: int = 5) -> list[Content]:
    """A line wrapped so that what follows its first part stands indented below it."""
    first, *rest = content.wrap(max(width - indent, 20)) or [content]
    return [first, *(Content(" " * indent) + each for each in rest)]


def why_lines(found: Why) -> list[Content]:
    """A cell at length: every path or what is missing, then the smallest cuts with what they touch."""
    answer, organization = found.answer, found.asked.organization
    who = {"user": "", "group": "Group ", "key": "Key "}[answer.kind] + (answer.name or answer.principal)
    has = "has " if answer.granted else "has not "
    if not answer.granted and not found.asked.known(answer.kind):
        has = "is not known to have "
    by = f", by {counted(len(answer.paths), 'path')}" if answer.granted else ""
    lines = [line((f" {who}", "bold"), f" {has}", (answer.permission, "bold"), f" on {organization}{by}")]
    lines += [
        line(f"   {number} {path_words(path, answer.kind)}") for number, path in enumerate(answer.paths, 1)
    ]
    lines += [
        line("   nearest: " if number == 0 else "        or: ", missing_words(each, answer))
        for number, each in enumerate(answer.missing[:SHOWN])
    ]
    if len(answer.missing) > SHOWN:
        lines.append(line(f"   and {len(answer.missing) - SHOWN:,} more missing links"))
    if answer.granted:
        lines += [
            line(("   ! ", HEALTH_STYLES["partly"]), f"{name} is held too, and holds for every record")
            for name in answer.covered
        ]
    smallest = found.cuts.cuts
    lines += [
        line((" smallest cut: " if number == 0 else "           or: ", "bold"), cut_words(cut, answer))
        for number, cut in enumerate(smallest[:SHOWN])
    ]
    if len(smallest) > SHOWN:
        more = f"{len(smallest) - SHOWN:,}{' or more' if found.cuts.more else ''}"
        lines.append(line(f"           and {more} as small: `limegrove access explain` lists them"))
    return lines
