"""The first look at a scope: how it is, and who needs somebody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.organizations import brief
from screens.requests import SetScope, ShowAccess, ShowAlerts, ShowOrganization
from screens.view import View
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.spark import bar, spark
from screens.widgets.text import line
from store.alerts import SEVERITIES
from store.queries.organizations import Completeness, TreeRow
from store.queries.overview import COUNTED, overview
from store.queries.overview import Overview as Figures
from store.times import age

_NAME = 14


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of the scope, and when they were so."""

    figures: Figures
    now: int


class Overview(View[Found]):
    """Bands of figures, and below them the organizations that need someone, worst first."""

    MODE = "overview"
    TITLE = "Overview"
    CSS_PATH = "overview.tcss"
    AUTO_FOCUS = "#attention"
    EMPTY = "No organization is known in this scope. r or :sync reads the cloud; :scope alone shows all."
    READS = frozenset(
        {
            "node", "organization", "sync_state", "detection", "detection_count", "sensor",
            "organization_error", "configuration_record", "direct_permission", "group_member",
            "group_organization", "api_key", "handover", "handover_item",
        }
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "go there", id="overview.go", tooltip="This organization in the tree"),
        Binding("s", "scope", "scope here", id="overview.scope", tooltip="Limit every screen to it"),
        Binding("a", "alerts", "alerts", id="overview.alerts", tooltip="The alerts of this organization"),
        Binding("m", "access", "access", id="overview.access", tooltip="Who may do what on it"),
    ]

    def compose_body(self) -> ComposeResult:
        """Bands, then rows."""
        yield Static("", id="bands", markup=False)
        yield RowTable(self._columns(), cursor=self.context.glyphs.cursor, id="attention")
        yield Static("", id="calm", markup=False)

    @property
    def table(self) -> RowTable[TreeRow]:
        """Who needs someone."""
        return self.query_one("#attention", RowTable)

    def _columns(self) -> list[Column[TreeRow]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        return [
            Column(
                "NEEDS SOMEONE",
                lambda row: f"{glyphs.health[row.health]} {row.name}",
                20,
                grow=1,
                cut="middle",
                style=lambda row: HEALTH_STYLES[row.health],
            ),
            Column("IN", lambda row: row.path.rpartition("/")[0], 20, grow=1, from_width=110, cut="middle"),
            Column("CRIT", lambda row: f"{row.by_severity[4]:,}", 5, align="right"),
            Column("HIGH", lambda row: f"{row.by_severity[3]:,}", 5, align="right"),
            Column("OPEN", lambda row: f"{row.open_alerts:,}", 6, align="right", from_width=70),
            Column("READ", lambda row: age(row.synced_at, clock()), 4, align="right"),
            Column("WHY", why, 22, grow=2),
        ]

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The figures of the scope."""
        now = self.context.clock()
        return Found(
            overview(connection, scope=self.context.scope.node_id, now=now, operator=self.context.operator),
            now,
        )

    def has_nothing(self, found: Found) -> bool:
        """Whether the scope holds no organization at all."""
        return not found.figures.completeness.organizations

    def show(self, found: Found) -> None:
        """The bands, and the rows; the cursor stays on its organization."""
        figures = found.figures
        wide = self.size.width >= 110
        self.query_one("#bands", Static).update(
            Content("\n").join(bands(figures, self.context, found.now, wide=wide))
        )
        self.table.put(Listed(figures.attention, key=lambda row: row.id))
        self.table.display = bool(figures.attention)
        calm = self.query_one("#calm", Static)
        calm.display = not figures.attention
        whole = figures.completeness
        calm.update(f" Nobody needs anyone: {of(whole)} are well, without a critical or high alert open.")
        self.say(counts=of(whole))

    # -- requests ---------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What goes to an organization needs one."""
        row = self.table.current
        if action in ("go", "scope", "alerts", "access") and row is None:
            return "No organization needs someone."
        return ""

    def action_go(self) -> None:
        """Show it in the tree."""
        if (row := self.table.current) is not None and row.oid is not None:
            self.post_message(ShowOrganization(row.oid))

    def action_scope(self) -> None:
        """Limit everything to it."""
        if (row := self.table.current) is not None:
            self.post_message(SetScope(row.id))

    def action_alerts(self) -> None:
        """Its queue."""
        if (row := self.table.current) is not None and row.oid is not None:
            self.post_message(ShowAlerts(f"oid:{row.oid}"))

    def action_access(self) -> None:
        """Its matrix."""
        if (row := self.table.current) is not None and row.oid is not None:
            self.post_message(ShowAccess(row.oid))


def why(row: TreeRow) -> str:
    """What is wrong with an organization, in a few words; a reason may be a stranger's text."""
    if row.reason:
        return brief(row.reason)
    if row.by_severity[4]:
        return f"{row.by_severity[4]:,} critical open"
    if row.by_severity[3]:
        return f"{row.by_severity[3]:,} high open"
    return row.health


def of(whole: Completeness) -> str:
    """`214 of 216 organizations`: what every figure here is made of."""
    return f"{whole.fresh:,} of {whole.organizations:,} organizations"


def _named(names: list[str], most: int) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


Part = str | tuple[str, str] | Content


def _band(context: Context, health: str, name: str, *parts: Part) -> Content:
    return _signed(context.glyphs.health[health], HEALTH_STYLES[health], name, *parts)


def _signed(sign: str, style: str, name: str, *parts: Part) -> Content:
    return line((f" {sign:<3}", style), (f"{name:<{_NAME}}", "bold"), *parts)


def _more(*parts: Part) -> Content:
    return line(" " * (_NAME + 4), *parts)


def bands(figures: Figures, context: Context, now: int, *, wide: bool) -> list[Content]:
    """Eight lines: alerts, sensors, configuration, access, sync; each with a sign for how it is."""
    lines = _alert_lines(figures, context, now, wide=wide)
    lines.append(_shift_line(figures, context))
    share = bar(figures.sensors_online, figures.sensors, 20 if wide else 10)
    over = [name for _, name in figures.over_quota]
    lines.append(
        _band(
            context,
            "partly" if over else "well",
            "SENSORS",
            f"{figures.sensors_online:,} of {figures.sensors:,} online  {share}",
            f"   {len(over):,} over quota: {_named(list(over), 3 if wide else 1)}"
            if over
            else "   none over quota",
        )
    )
    errors = f"{figures.errors:,} standing error{'' if figures.errors == 1 else 's'}"
    lines.append(
        _band(
            context,
            "partly" if figures.errors else "well",
            "CONFIGURATION",
            f"{figures.records:,} records",
            f"   {errors}" if figures.errors else "   no standing error",
        )
    )
    stale = f"{figures.keys_stale:,} key{'' if figures.keys_stale == 1 else 's'} unused for 90 days"
    lines.append(
        _band(
            context,
            "partly" if figures.keys_stale else "well",
            "ACCESS",
            f"{figures.users:,} users",
            f"   {stale}" if figures.keys_stale else "   no stale key",
        )
    )
    lines.extend(_sync_lines(context, figures.completeness, now, most=4 if wide else 2))
    return lines


def _shift_line(figures: Figures, context: Context) -> Content:
    """What waits for whoever is here now."""
    shift = figures.shift

    health = "failed" if shift.late else "partly" if shift.unclaimed or shift.handed else "well"
    parts: list[Part] = [
        (f"{shift.unclaimed:,} unclaimed", "bold" if shift.unclaimed else ""),
        f"   {shift.mine:,} mine",
        "   ",
        (
            f"{shift.late:,}{'+' if shift.late == COUNTED else ''} late",
            HEALTH_STYLES["failed"] if shift.late else "",
        ),
        f"   {shift.snoozed:,} snoozed",
    ]
    if shift.handed:
        parts += ["   ", (f"{shift.handed:,} handed to you", HEALTH_STYLES["partly"])]
    return _band(context, health, "SHIFT", *parts)


def _alert_lines(figures: Figures, context: Context, now: int, *, wide: bool) -> list[Content]:
    by_severity = figures.by_severity
    worst = max((severity for severity, count in enumerate(by_severity) if count), default=0)
    counts: list[Part] = [(f"{sum(by_severity):,} open", "bold")]
    for severity in reversed(range(5)):
        if by_severity[severity]:
            sign = context.glyphs.severity[severity].strip()
            word = SEVERITIES[severity] if wide else SEVERITY_WORDS[severity].lower()
            counts.append("   " if wide else "  ")
            counts.append((f"{sign} {by_severity[severity]:,} {word}".strip(), SEVERITY_STYLES[severity]))
    hours = figures.per_hour
    oldest = ""
    if figures.oldest_open is not None:
        oldest = f"oldest {SEVERITY_WORDS[worst].lower()} {age(figures.oldest_open, now)}   "
    return [
        _signed(context.glyphs.severity[worst], SEVERITY_STYLES[worst], "ALERTS", *counts)
        if any(by_severity)
        else _band(context, "well", "ALERTS", "none open"),
        _more(
            oldest,
            "24 h ",
            spark(hours, gap=" " if wide else ""),
            f"  peak {max(hours, default=0):,}/h",
            f"   {sum(hours):,} in all" if wide else "",
        ),
    ]


def _sync_lines(context: Context, whole: Completeness, now: int, *, most: int) -> list[Content]:
    failed = [missing for missing in whole.missing if missing[2] == "failed"]
    others = [missing for missing in whole.missing if missing[2] != "failed"]
    health = "failed" if failed else "unknown" if others else "well"
    oldest = f", the oldest {age(whole.oldest, now)} old" if whole.oldest is not None else ""
    words = [f"{len(failed):,} failed"] if failed else []
    for state in ("stale", "never"):
        count = sum(1 for missing in others if missing[2] == state)
        if count:
            words.append(f"{count:,} {'stale' if state == 'stale' else 'never read'}")
    lines = [
        _band(
            context, health, "SYNC", f"{of(whole)} fresh{oldest}", f"   {', '.join(words)}" if words else ""
        )
    ]
    for _, name, state, reason in (failed + others)[:most]:
        text = {"stale": "not read lately", "never": "never read"}.get(state, state)
        lines.append(
            _more((name, "bold"), f": {brief(reason) or text}")
            if state == "failed"
            else _more(name, f": {text}")
        )
    if len(whole.missing) > most:
        lines.append(_more(f"and {len(whole.missing) - most:,} more: 5 names every one"))
    return lines
