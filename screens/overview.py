"""The first look at a scope: how it is, and who needs somebody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection, func, select
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.figures import Looks, LooksDeeper, kept, rollup
from screens.organizations import brief
from screens.requests import SetScope, ShowAccess, ShowAlerts, ShowOrganization
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.spark import bar, spark
from screens.widgets.text import line
from store.alerts import SEVERITIES
from store.breakglass import Running, running
from store.models import RolloutPlan
from store.queries.rollup import Need
from store.queries.rollup import Overview as Figures
from store.quotas import percent_used
from store.rollouts.plans import STATES
from store.times import age, clock_words

_NAME = 14
_STANDING = ("running", "paused", "halted")
"""States of a rollout that somebody has to know of."""


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of the scope, and when they were so."""

    whole: Figures
    glass: Running
    """Of all organizations: a membership is in a group."""
    rollouts: dict[str, int]
    """State -> plans, of all organizations."""
    looks: Looks | None
    node: str
    """The node that it is about."""
    now: int


class Overview(LooksDeeper[Found]):
    """Bands of figures, and below them the organizations that need someone, worst first."""

    MODE = "overview"
    TITLE = "Overview"
    CSS_PATH = "overview.tcss"
    AUTO_FOCUS = "#attention"
    EMPTY = (
        "No organization is known in this scope. {app.sync=r} or :sync reads the cloud; "
        ":scope alone shows all."
    )
    READS = frozenset(
        {
            "node", "organization", "sync_state", "detection", "detection_count", "sensor", "snooze",
            "organization_error", "api_key", "case_record", "handover", "handover_item", "rollout_plan",
            "break_glass", "access_deadline",
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
    def table(self) -> RowTable[Need]:
        """Who needs someone."""
        return self.query_one("#attention", RowTable)

    def _columns(self) -> list[Column[Need]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        return [
            Column(
                "NEEDS SOMEONE",
                lambda row: f"{glyphs.health[row.health]} {row.name}",
                18,
                grow=1,
                cut="middle",
                style=lambda row: HEALTH_STYLES[row.health],
            ),
            Column("IN", lambda row: row.path.rpartition("/")[0], 20, grow=1, from_width=110, cut="middle"),
            Column("LATE", lambda row: f"{row.late:,}" if row.late else "-", 5, align="right"),
            Column("CRIT", lambda row: _read(row, row.by_severity[4]), 5, align="right"),
            Column("HIGH", lambda row: _read(row, row.by_severity[3]), 5, align="right"),
            Column("OPEN", lambda row: _read(row, row.open_alerts), 6, align="right", from_width=100),
            Column("READ", lambda row: age(row.synced_at, clock()), 4, align="right"),
            Column("WHY", lambda row: why(row, clock()), 22, grow=3),
        ]

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The figures of the scope."""
        now, scope = self.context.clock(), self.context.scope.node_id
        summed = rollup(self.context)
        found = summed.overview(connection, scope=scope, now=now, operator=self.context.operator)
        top = summed.node(connection, scope, now=now)
        return Found(
            found, running(connection), _rollouts(connection), kept(self.context).looks,
            top.id if top is not None else scope, now,
        )  # fmt: skip

    def on_resize(self, event: events.Resize) -> None:
        """Ten rows have to have room."""
        super().on_resize(event)
        self.set_class(event.size.height < 26, "-low")

    def has_nothing(self, found: Found) -> bool:
        """Whether the scope holds no organization at all."""
        return not found.whole.organizations

    def show(self, found: Found) -> None:
        """The bands, and the rows; the cursor stays on its organization."""
        wide = self.size.width >= 110
        self.query_one("#bands", Static).update(Content("\n").join(bands(found, self.context, wide=wide)))
        self.table.put(Listed(found.whole.attention, key=lambda row: row.id))
        self.table.display = bool(found.whole.attention)
        calm = self.query_one("#calm", Static)
        calm.display = not found.whole.attention
        calm.update(
            f" Nobody needs anyone: {of(found.whole)} are well, without a late, critical or high alert."
        )
        self.say(counts=of(found.whole))
        self.look_deeper()

    # -- requests ---------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What goes to an organization needs one."""
        if action in ("go", "scope", "alerts", "access") and self.table.current is None:
            return "No organization needs someone."
        return ""

    def action_go(self) -> None:
        """Show it in the tree."""
        if (row := self.table.current) is not None:
            self.post_message(ShowOrganization(row.oid))

    def action_scope(self) -> None:
        """Limit everything to it."""
        if (row := self.table.current) is not None:
            self.post_message(SetScope(row.id))

    def action_alerts(self) -> None:
        """Its queue."""
        if (row := self.table.current) is not None:
            self.post_message(ShowAlerts(f"oid:{row.oid}"))

    def action_access(self) -> None:
        """Its matrix."""
        if (row := self.table.current) is not None:
            self.post_message(ShowAccess(row.oid))


def _rollouts(connection: Connection) -> dict[str, int]:
    """How many plans are running, paused or halted."""
    plan = RolloutPlan.__table__.c  # type: ignore[attr-defined]
    wanted = [STATES.index(word) for word in STATES if word in _STANDING]
    rows = connection.execute(
        select(plan.state, func.count()).where(plan.state.in_(wanted)).group_by(plan.state)
    )
    return {STATES[state]: count for state, count in rows}


def _read(row: Need, number: int) -> str:
    return f"{number:,}" if row.alerts_known else "-"


def why(row: Need, now: int) -> str:
    """What is wrong with an organization, in a few words; a reason may be a stranger's text."""
    late = [clock_words(row.first_due, now)] if row.first_due is not None else []
    return "; ".join(late + [brief(each) for each in row.why]) or row.health


def of(found: Figures) -> str:
    """`214 of 216 organizations`: what every figure here is made of."""
    return f"{found.fresh:,} of {found.organizations:,} organizations"


def _named(names: list[str], total: int, most: int) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {total - most:,} more" if total > most else "")


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _ago(looks: Looks, now: int) -> str:
    return f"{age(looks.at, now)} ago" if now - looks.at >= 1000 else "just now"


Part = str | tuple[str, str] | Content


def _band(context: Context, health: str, name: str, *parts: Part) -> Content:
    return _signed(context.glyphs.health[health], HEALTH_STYLES[health], name, *parts)


def _signed(sign: str, style: str, name: str, *parts: Part) -> Content:
    return line((f" {sign:<3}", style), (f"{name:<{_NAME}}", "bold"), *parts)


def _more(*parts: Part) -> Content:
    return line(" " * (_NAME + 4), *parts)


def bands(found: Found, context: Context, *, wide: bool) -> list[Content]:
    """Four bands, each a line of figures and a line of plot; then what waits for a shift, and what every
    figure lacks."""
    return [
        *_alert_lines(found, context, wide=wide),
        *_sensor_lines(found, context, wide=wide),
        *_configuration_lines(found, context, wide=wide),
        *_access_lines(found, context, wide=wide),
        _shift_line(found, context),
        _sync_line(found, context, wide=wide),
    ]


def _alert_lines(found: Found, context: Context, *, wide: bool) -> list[Content]:
    now, of_ = found.now, found.whole
    many = sum(of_.by_severity)
    worst = max((severity for severity, count in enumerate(of_.by_severity) if count), default=0)
    parts: list[Part] = [(f"{many:,} open", "bold")]
    if of_.late:
        longest = clock_words(of_.first_due, now).removesuffix(" late")
        over = f" ({longest})" if longest else ""
        parts += ["  ", (f"{of_.late:,}{'+' if of_.late_more else ''} late{over}", HEALTH_STYLES["failed"])]
    if of_.soon:
        parts += ["  ", (f"{of_.soon:,} due in 1h", HEALTH_STYLES["partly"])]
    for severity in reversed(range(5)) if wide else (4, 3):
        if of_.by_severity[severity]:
            sign = context.glyphs.severity[severity].strip()
            word = SEVERITIES[severity] if wide else SEVERITY_WORDS[severity].lower()
            parts.append("   " if wide else "  ")
            parts.append((f"{sign} {of_.by_severity[severity]:,} {word}".strip(), SEVERITY_STYLES[severity]))
    if of_.cases and wide:
        parts.append(f"   {_many(of_.cases, 'case')}")
    hours = of_.per_hour
    oldest = ""
    if of_.oldest_open is not None and (wide or not of_.late):
        oldest = f"   oldest {SEVERITY_WORDS[worst].lower()} {age(of_.oldest_open, now)}"
    day = f" peak {max(hours):,}/h" + (f", {sum(hours):,} in all" if wide else "")
    clocks = _clocks(of_, many, 20 if wide else 12)
    plot = _more("24 h ", spark(hours, gap=" " if wide else ""), day, "   SLA ", *clocks, oldest)
    if not many:
        return [_band(context, "well", "ALERTS", "none open"), plot]
    if of_.late:
        return [_band(context, "failed", "ALERTS", *parts), plot]
    return [_signed(context.glyphs.severity[worst], SEVERITY_STYLES[worst], "ALERTS", *parts), plot]


def _clocks(of_: Figures, many: int, width: int) -> list[Part]:
    """The open ones by their clocks: `x` late, `~` within the hour, `o` in time."""
    if not many:
        return ["." * width]
    late = _cells(of_.late, many, width)
    soon = min(_cells(of_.soon, many, width), width - late)
    return [
        ("x" * late, HEALTH_STYLES["failed"]),
        ("~" * soon, HEALTH_STYLES["partly"]),
        ("o" * (width - late - soon), HEALTH_STYLES["well"]),
    ]


def _cells(part: int, whole: int, width: int) -> int:
    """Of a bar: at least one for what there is, and all of them only for all."""
    return min(width, max(1, part * width // whole)) if part else 0


def _sensor_lines(found: Found, context: Context, *, wide: bool) -> list[Content]:
    of_ = found.whole
    parts: list[Part] = [f"{of_.sensors_online:,} of {of_.sensors:,} online"]
    if of_.silent:
        parts.append(f"   {of_.silent:,} silent 7 d")
    if of_.over_quota:
        names = _named([str(name) for _, name in of_.over_named], of_.over_quota, 3 if wide else 1)
        parts.append(f"   {of_.over_quota:,} over quota: {names}")
    else:
        parts.append("   none over quota")
    width = 20 if wide else 14
    quota: list[Part] = ["   quota unknown"]
    if of_.quota and of_.quota_used:
        used = round(of_.quota_used)
        quota = [f"   quota {bar(used, of_.quota, width)} {percent_used(of_.quota_used, of_.quota)}%"]
    return [
        _band(context, "partly" if of_.over_quota or of_.silent else "well", "SENSORS", *parts),
        _more("online ", bar(of_.sensors_online, of_.sensors, width), *quota),
    ]


def _configuration_lines(found: Found, context: Context, *, wide: bool) -> list[Content]:
    of_, looks, node = found.whole, found.looks, found.node
    errors = _many(of_.errors, "standing error") if of_.errors else "no standing error"
    parts: list[Part] = []
    health = "partly" if of_.errors else "well"
    plot: list[Part] = ["drift is being looked for"]
    if looks is not None:
        drift, drifted, wanted, uncompared = (
            of_what.get(node, 0) for of_what in (looks.drift, looks.drifted, looks.wanted, looks.uncompared)
        )
        compared = wanted - uncompared
        if drift:
            health = "partly"
            parts.append(f"{_many(drift, 'record')} drifted in {_many(drifted, 'organization')}   ")
        elif compared:
            parts.append("no drift   ")
        share = bar(max(compared - drifted, 0), compared, 20 if wide else 14)
        kept_to = f"as wanted {share} {compared - drifted:,} of {compared:,}"
        if uncompared:
            kept_to += f", {uncompared:,} not compared"
        plot = [
            kept_to if wanted else "no templates are assigned",
            f"   looked {_ago(looks, found.now)}",
        ]
    parts.append(errors)
    for word in ("halted", "paused", "running"):
        if count := found.rollouts.get(word):
            style = {"halted": "failed", "paused": "partly"}.get(word, "")
            parts.append((f"   {_many(count, 'rollout')} {word}", HEALTH_STYLES[style] if style else ""))
            if style and health != "failed":
                health = style
    return [_band(context, health, "CONFIGURATION", *parts), _more(*plot)]


def _access_lines(found: Found, context: Context, *, wide: bool) -> list[Content]:
    of_, looks, node, glass = found.whole, found.looks, found.node, found.glass
    health = "partly" if of_.keys_stale else "well"
    parts: list[Part] = []
    plot: list[Part] = ["findings are being looked for"]
    if looks is not None:
        many, grave = looks.findings.get(node, 0), looks.grave.get(node, 0)
        known, clear, unread = (of_what.get(node, 0) for of_what in (looks.known, looks.clear, looks.unread))
        if many:
            health = "partly"
            # What some of the organizations have is no figure of all of them.
            least = "+" if unread else ""
            graves = f", {grave:,}{least} high or critical" if grave else ""
            parts.append(f"{many:,}{least} finding{'' if many == 1 and not unread else 's'}{graves}   ")
        elif known:
            parts.append("no finding   ")
        share = bar(clear, known, 20 if wide else 14)
        read = f"clear {share} {clear:,} of {known:,}"
        if unread:
            read += f"; {known:,} of {known + unread:,} read"
        plot = [
            read if known else "no organization's users were read",
            f"   looked {_ago(looks, found.now)}",
        ]
    stale = _many(of_.keys_stale, "key")
    parts.append(f"{stale} unused for 90 days" if of_.keys_stale else "no stale key")
    if glass.open:
        left = glass.due_at - found.now
        ends = f"over by {age(glass.due_at, found.now)}" if left <= 0 else f"ends in {age(0, left)}"
        style = HEALTH_STYLES["failed" if left <= 0 or glass.trouble else "partly"]
        plot[1:1] = ["   ", (f"{glass.open:,} break-glass, {ends}", style)]
        health = "failed" if left <= 0 or glass.trouble else "partly"
    return [_band(context, health, "ACCESS", *parts), _more(*plot)]


def _shift_line(found: Found, context: Context) -> Content:
    """What waits for whoever is here now."""
    shift = found.whole.shift
    parts: list[Part] = [
        (f"{shift.unclaimed:,} unclaimed", "bold" if shift.unclaimed else ""),
        f"   {shift.mine:,} mine",
        f"   {shift.snoozed:,} snoozed",
    ]
    if shift.handed:
        parts += ["   ", (f"{shift.handed:,} handed to you", HEALTH_STYLES["partly"])]
    return _band(context, "partly" if shift.unclaimed or shift.handed else "well", "SHIFT", *parts)


def _sync_line(found: Found, context: Context, *, wide: bool) -> Content:
    """Of how many organizations the figures are, and which they lack."""
    of_ = found.whole
    health = "failed" if of_.failed else "unknown" if of_.stale or of_.never else "well"
    parts: list[Part] = [f"{of(of_)} fresh"]
    if of_.oldest is not None:
        parts.append(f", {age(of_.oldest, found.now)}")
    for count, word in ((of_.failed, "failed"), (of_.stale, "stale"), (of_.never, "never read")):
        if count:
            parts += ["  ", (f"{count:,} {word}", HEALTH_STYLES["failed"] if word == "failed" else "")]
    lacking = of_.organizations - of_.fresh
    if lacking:
        names = []
        for _, name, state, reason in of_.missing[: 3 if wide else 1]:
            names.append(f"{name} ({brief(reason)})" if wide and state == "failed" else str(name))
        parts.append(f": {_named(names, lacking, 3 if wide else 1)}")
    return _band(context, health, "SYNC", *parts)
