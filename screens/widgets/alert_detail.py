"""One alert in words: what happened, where, by whom, why it was reported, and what is known around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.visual import VisualType
from textual.widget import Widget

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.keys import press
from screens.widgets.text import content
from store.alerts import BENIGN, CLASSIFICATIONS, FOREVER, SEVERITIES, STATUSES, WOKEN
from store.observables import detection_of, event_of, event_words
from store.text import CUT, cell_width, fit, safe_text
from store.times import age, clock_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.queries.alert_context import (
        AlertContext,
        FoldVerdicts,
        Neighbour,
        RuleOrigin,
        Whole,
    )
    from store.queries.alerts import AlertDetail, AlertRow
    from store.queries.cases import CaseRow
    from store.queries.customers import Card
    from store.queries.pivot import Prevalence
    from store.triage import Past, Snoozed

LABEL = 9
"""Cells of the labels at the left."""

NARROW = 90
"""Cells below which user and host share a line."""

FURTHER = "^E"
"""The key that shows the next lines, as it is written in the pane."""

CONSOLE = "https://app.limacharlie.io/"
"""LimaCharlie's web console: where the `link` of a detection goes (documentation, "Detections")."""

VERDICTS: tuple[str, ...] = ("undecided", "true positive", "false positive")
"""By the index of `store.alerts.CLASSIFICATIONS`."""


def leaves(value: Any, path: str = "", *, depth: int = 6) -> Iterator[tuple[str, str]]:
    """(path, text) of everything below a value, as it came; nothing for what is empty."""
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}/{name}" if path else str(name), depth=depth - 1)
    elif isinstance(value, list) and depth and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value[:20]):
            yield from leaves(inner, f"{path}/{number}", depth=depth - 1)
    elif isinstance(value, list):
        if value:
            yield path, ", ".join(_text(one) for one in value[:20])
    elif value not in (None, "", {}):
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    """A long safe text over at most so many lines, cut with `~`."""
    text = safe_text(text, width * lines * 4)
    made: list[str] = []
    line, size = "", 0
    for character in text:
        cells = cell_width(character)
        if size + cells > width:
            head, space, rest = line.rpartition(" ")
            if space and len(rest) <= width // 4 and len(made) + 1 < lines:
                made.append(head)
                line, size = rest, cell_width(rest)
            else:
                made.append(line)
                line, size = "", 0
            if len(made) == lines:
                made[-1] = fit(made[-1] + "~~", width)
                return made
        line += character
        size += cells
    return [*made, line] if line else made


@dataclass(frozen=True, slots=True)
class DetailLine:
    """One line of the pane."""

    weight: int
    """How gladly it is left out where there is no room; 0 never is."""
    content: Content
    goes_on: bool = False
    """Whether the next line is the rest of it."""


class _Lines:
    """Collects the lines of an alert, in the order in which they are read."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.inner = max(10, width - LABEL - 1)
        self.lines: list[DetailLine] = []
        self.said: set[str] = set()
        """The texts that stand somewhere already."""

    def put(self, weight: int, *parts: tuple[str, str] | Content, goes_on: bool = False) -> None:
        """A line of parts that are safe and fit."""
        self.lines.append(DetailLine(weight, Content.assemble(*parts), goes_on))

    def add(
        self, label: str, text: str, *, weight: int, most: int = 1, style: str = "", further: int = 0
    ) -> None:
        """A text behind its label, over at most so many lines; `further` is the weight of the second on."""
        if not text:
            return
        self.said.add(text)
        lines = _wrapped(text, self.inner, most)
        for number, line in enumerate(lines):
            head = fit(label if not number else "", LABEL)
            self.put(
                weight if not number else further or weight + 1,
                (head, "dim"),
                (line, style),
                goes_on=number + 1 < len(lines),
            )


def lines_of(
    found: AlertDetail, context: Context, width: int, around: AlertContext | None = None
) -> list[DetailLine]:
    """Everything there is to say about an alert, in the order of the analyst's questions."""
    try:
        record = json.loads(found.body)
    except (ValueError, RecursionError):
        record = None
    known = detection_of(record)
    words = event_words(known)
    made = _Lines(width)
    row, now = found.row, context.clock()

    # What happened, in the words of the event.
    severity = f"{context.glyphs.severity[row.severity].strip()} {SEVERITY_WORDS[row.severity]} ".lstrip()
    title, whole = _title(row, width - len(severity))
    made.put(0, (severity, SEVERITY_STYLES[row.severity]), title)
    if not whole:
        made.add("alert", row.cat, weight=1, most=2, style="bold", further=6)
    if around is not None and around.snooze is not None and (around.snooze.woken_at or row.rank == WOKEN):
        made.add("back", _came_back(around.snooze, now), weight=0, style="bold ansi_yellow", most=2)
    if row.damaged or not isinstance(record, dict):
        made.add(
            "damaged",
            f"This record could not be read as JSON; {press('alerts.json', 'J')} shows its bytes.",
            weight=0,
            style="bold ansi_red",
        )
    made.add("org", found.path or row.organization, weight=3)
    made.add("command", words.command_line, weight=0, most=6, style="bold", further=3)
    instead = 1 if not words.command_line else 5
    made.add(
        "file", words.path, weight=instead, most=2, style="" if words.command_line else "bold", further=6
    )
    for label, said in (("action", words.operation), ("to", words.target), ("registry", words.registry)):
        made.add(label, said, weight=instead, most=2, further=6)
    for label, said in (("domain", words.domain), ("peer", words.address), ("url", words.url)):
        made.add(label, said, weight=min(instead, 2), most=2, further=6)
    pid = words.parent_process_id
    parent = words.parent_command_line or words.parent or ("process" if pid is not None else "")
    made.add("parent", f"{parent} ({pid})" if pid is not None else parent, weight=1, most=2, further=6)
    addresses = [each for name in ("int_ip", "ext_ip") if (each := _named(known, "routing", name))]
    host = words.host or row.hostname
    platform = f" ({words.platform})" if host and words.platform else ""
    where = "  ".join(filter(None, (host + platform, *addresses)))
    made.said |= {words.user, host}
    if width < NARROW and words.user and where:
        made.add("user", f"{words.user} on {where}", weight=1, most=2, further=6)
    else:
        made.add("user", words.user, weight=1)
        made.add("host", where, weight=1)
    made.add("hash", words.hash, weight=4 if width < NARROW else 2, most=2)
    made.add("why", _named(known, "detect_mtd", "description"), weight=5, most=3)

    # The rule, and where it comes from.
    if around is not None and around.origin is not None:
        made.add(
            "rule",
            _rule_words(around.origin, context),
            weight=2,
            most=2,
            style="bold ansi_yellow" if around.origin.state in ("missing", "disabled") else "",
            further=6,
        )
    else:
        made.add("rule", row.rule, weight=2)
    author = known.get("author")
    made.add("author", author if isinstance(author, str) else "", weight=7)

    for number, seen in enumerate(around.seen if around is not None else ()):
        name = (
            f"{seen.value[:8]}~"
            if seen.kind == "hash"
            else safe_text(seen.value, 24 if width < NARROW else 40)
        )
        made.add(
            "seen" if not number else "",
            f"{seen.kind} {name} {seen_words(seen.where, now)}",
            weight=2 if not number else 4,
            most=2,
            further=6,
        )

    # What was decided about its like before, and where it stands now.
    if around is not None and around.fold is not None:
        made.add("fold", _fold_words(around.fold, now), weight=2, most=2, further=6)
    state, style = _state_words(row, around, context, now)
    made.add("state", state, weight=2, most=2, style=style, further=3)
    if around is not None and around.snooze is not None and not around.snooze.woken_at:
        made.add("snoozed", _snoozed_words(around.snooze, context, now), weight=2, most=2)
    if around is not None:
        for case in around.cases:
            made.add("case", _case_words(case), weight=2)
        if around.customer is not None:
            _customer(made, around.customer, row, now)
        _decisions(made, around.decisions, now)
        _neighbours(made, around, row, now)

    # Everything else.
    made.add("reported", f"{context.when(row.time)}, {age(row.time, now)} ago", weight=4)
    routing = known.get("routing")
    happened = routing.get("event_time") if isinstance(routing, dict) else None
    if isinstance(happened, int) and not isinstance(happened, bool):
        made.add("happened", context.when(happened), weight=6)
    made.add("known FP", _named(known, "detect_mtd", "falsepositives"), weight=5, most=2)
    tags = known.get("rule_tags")
    made.add("tags", " ".join(filter(None, (row.tags, _text(tags) if tags else ""))), weight=6)
    made.add("see", _named(known, "detect_mtd", "references"), weight=7, most=2)
    made.said |= {words.parent, words.parent_command_line, str(pid), str(words.process_id)}
    event = event_of(known)
    for path, text in leaves(event if isinstance(event, dict | list) else {}):
        if text in made.said or len(made.lines) > 400:
            continue
        name = path.rpartition("/")[2] if cell_width(path) > 24 else path
        shown = safe_text(name, 24) + " "
        made.put(8, (shown, "dim"), content(text, max(4, width - cell_width(shown))))
    made.add("pid", "" if words.process_id is None else str(words.process_id), weight=7)
    made.add("id", row.detect_id, weight=7)
    made.add("sensor", row.sid, weight=7)
    made.add("web", _web(known, row), weight=7, most=4)
    made.add("json", _json_words(record, found.body), weight=7)
    return made.lines


def _title(row: AlertRow, width: int) -> tuple[Content, bool]:
    """What was found and whose it is in one line, and whether all of what was found is in it.

    The organization is whole as long as there is any room: one key acts on it.
    """
    name, found = safe_text(row.organization, 400), safe_text(row.cat, 400)
    room = max(8, width - cell_width(name) - 3)
    whole = cell_width(found) <= room
    left = content(row.cat, cell_width(found) if whole else room, "bold")
    right = content(row.organization, max(4, min(cell_width(name), width - room - 3)), "bold")
    return Content.assemble(left, "   ", right), whole


def describe(
    found: AlertDetail,
    context: Context,
    width: int,
    height: int,
    around: AlertContext | None = None,
    page: int = 0,
) -> Content:
    """An alert as at most `height` lines of `width` cells.

    Args:
        around: what the store knows besides; None while it was not read.
        page: 0 leaves out what matters least where there is no room, and says how much; from 1 on everything
            is there, page by page, and behind the last one comes the first again.
    """
    lines = lines_of(found, context, width, around)
    if height <= 0:
        return Content("")
    if len(lines) <= height:
        return Content("\n").join(line.content for line in lines)
    room = max(1, height - 1)
    pages = -(-len(lines) // room) + 1
    if page % pages:
        start = (page % pages - 1) * room
        kept = lines[start : start + room]
        note = f"lines {start + 1} to {start + len(kept)} of {len(lines)}: {FURTHER}"
    else:
        order = sorted(range(len(lines)), key=lambda number: (lines[number].weight, number))
        places = sorted(order[:room])
        kept = [
            _cut(lines[here], width) if lines[here].goes_on and here + 1 != there else lines[here]
            for here, there in zip(places, [*places[1:], -1], strict=True)
        ]
        note = f"{len(lines) - len(kept)} more lines: {FURTHER}, everything as JSON: J"
    shown = [line.content for line in kept]
    if height > 1:
        shown.append(Content.styled(fit(note, width).rstrip(), "dim"))
    return Content("\n").join(shown)


def _cut(line: DetailLine, width: int) -> DetailLine:
    """A line whose rest is left out, with the sign for that."""
    kept = line.content.truncate(max(0, width - 1)).rstrip()
    return DetailLine(line.weight, kept + Content(CUT))


def _named(known: Any, *path: str) -> str:
    """The text at a path of a record; "" where there is none."""
    for name in path:
        known = known.get(name) if isinstance(known, dict) else None
    return "" if known in (None, "", [], {}) else _text(known)


def _ago(then: int, now: int) -> str:
    return f"{age(then, now)} ago"


def seen_words(where: Prevalence, now: int) -> str:
    """Where a value of an alert was seen: `at 3 of 216 organizations, last false positive, first 5d ago`.

    The verdict is what decides, so that it comes before what may be cut. Who gave it is a stranger's text.
    """
    if where.k == 0:
        return f"at none of {where.n:,} organizations"
    several = where.alerts != 1
    words = "nowhere else"
    if several:
        words = f"at {where.k:,} of {where.n:,} organizations" if where.k > 1 else "only here"
    if where.last_verdict:
        by = f" by {where.last_verdict_by}" if where.last_verdict_by else ""
        when = f" {_ago(where.last_verdict_at, now)}" if where.last_verdict_at is not None else ""
        words += f", last {VERDICTS[where.last_verdict]}{by}{when}"
    if several and where.first is not None:
        words += f", first {_ago(where.first, now)}"
    return words


def seen_briefly(where: Prevalence, now: int) -> str:
    """The same for a column of some thirty cells: `132 of 216 orgs, false positive 3d`."""
    if where.k == 0:
        return f"none of {where.n:,} orgs"
    words = f"{where.k:,} of {where.n:,} orgs" if where.k > 1 else "only here"
    words = "nowhere else" if where.alerts == 1 else words
    if where.last_verdict:
        when = f" {age(where.last_verdict_at, now)}" if where.last_verdict_at is not None else ""
        return f"{words}, {VERDICTS[where.last_verdict]}{when}"
    if where.alerts != 1 and where.first is not None:
        words += f", first {_ago(where.first, now)}"
    return words


def _rule_words(origin: RuleOrigin, context: Context) -> str:
    name = f"{origin.namespace}.{origin.name}" if origin.namespace else origin.name
    by = f" by {origin.changed_by}" if origin.changed_by else ""
    when = f" {context.when(origin.changed_at)[:10]}" if origin.changed_at is not None else ""
    changed = f"{by}{when}" if by else f" changed{when}" if when else ""
    if origin.state == "missing":
        return f"GONE here{f' since{when}' if when else ''}  {name}"
    if origin.state == "unknown":
        return f"{name}  ({'configuration not read yet' if origin.namespace else 'in no hive that was read'})"
    return f"{'DISABLED now  ' if origin.state == 'disabled' else ''}{name}{' ' * bool(changed)}{changed}"


def _fold_words(fold: FoldVerdicts, now: int) -> str:
    decided = [
        f"{count} {word}"
        for count, word in (
            (fold.false_positives, VERDICTS[2]),
            (fold.true_positives, VERDICTS[1]),
        )
        if count
    ]
    parts = []
    if decided:
        last = f" {VERDICTS[fold.last_verdict]}" if len(decided) > 1 and fold.last_verdict else ""
        by = f" by {fold.last_verdict_by}" if fold.last_verdict_by else ""
        when = (
            f", last{last}{by} {_ago(fold.last_verdict_at, now)}" if fold.last_verdict_at is not None else ""
        )
        parts.append(", ".join(decided) + when)
    if fold.elsewhere and fold.elsewhere_at is not None:
        by = f" by {fold.elsewhere_by}" if fold.elsewhere_by else ""
        parts.append(f"elsewhere {VERDICTS[fold.elsewhere]}{by} {_ago(fold.elsewhere_at, now)}")
    if not decided:
        parts.append("never decided here" if parts else "never decided before")
    parts.append(f"{fold.open:,} open of {fold.total:,} alike here")
    if fold.organizations > 1:
        parts.append(f"open in {fold.organizations} organizations")
    return "; ".join(parts)


def _state_words(row: AlertRow, around: AlertContext | None, context: Context, now: int) -> tuple[str, str]:
    state = STATUSES[row.status].replace("_", " ")
    if row.classification:
        state += f", {CLASSIFICATIONS[row.classification].replace('_', ' ')}"
        if BENIGN in row.tags.split():
            state += " (benign)"
    parts = [state + (f", {row.assignee}" if row.assignee else ", unclaimed" if row.status < 2 else "")]
    style = ""
    if row.due_at is not None and row.status < 2:
        step = "acknowledge" if row.status == 0 else "resolve"
        if row.due_at < now:
            parts.append(f"{step} {clock_words(row.due_at, now)}")
            style = "bold ansi_red"
        else:
            until = context.when(row.due_at, seconds=False)
            stands = "; its clock stands, they are closed" if _is_closed(around, row) else ""
            parts.append(f"{step} within {clock_words(row.due_at, now)} (until {until}{stands})")
    if around is not None and around.acknowledged_at is not None:
        parts.append(f"acknowledged {_ago(around.acknowledged_at, now)}")
    if around is not None and around.resolved_at is not None:
        parts.append(f"resolved {_ago(around.resolved_at, now)}")
    return "; ".join(parts), style


def _came_back(snooze: Snoozed, now: int) -> str:
    when = f" {_ago(snooze.woken_at, now)}" if snooze.woken_at is not None else ""
    why = f": {snooze.woken_by}" if snooze.woken_by else ""
    reason = f"; was snoozed by {snooze.by or 'somebody'} {_ago(snooze.at, now)}"
    return f"from a snooze{when}{why}{reason}" + (f": {snooze.reason}" if snooze.reason else "")


def _snoozed_words(snooze: Snoozed, context: Context, now: int) -> str:
    until = []
    if snooze.until is not None and snooze.until < FOREVER:
        until.append(f"until {context.when(snooze.until, seconds=False)}")
    if snooze.more is not None:
        until.append(f"until its fold has had {snooze.more:,} in all")
    if snooze.event:
        event = {"online": "its sensor is online", "host": "its fold reaches another host"}
        until.append(f"until {event.get(snooze.event, snooze.event)}")
    by = f"by {snooze.by} " if snooze.by else ""
    reason = f": {snooze.reason}" if snooze.reason else ""
    return f"{' or '.join(until) or 'for good'}, {by}{_ago(snooze.at, now)}{reason}"


def _case_words(case: CaseRow) -> str:
    state = STATUSES[case.status].replace("_", " ")
    if case.classification:
        state += f", {VERDICTS[case.classification]}"
    who = f" ({', '.join(case.assignees)})" if case.assignees else ""
    return f"{case.name} {state}{who}  {case.about or case.summary}".rstrip()


def _is_closed(around: AlertContext | None, row: AlertRow) -> bool:
    """Whether the alert's clock stands still, for it is outside of the customer's service hours."""
    if around is None or around.customer is None or around.customer.standing.open is not False:
        return False
    return SEVERITIES[row.severity] not in around.customer.customer.always


def _customer(made: _Lines, found: Card, row: AlertRow, now: int) -> None:
    """Whom to call, whether somebody is there, and what to do."""
    # What was read of the customer has imported most of it.
    from screens.customer_words import escalation_words, first_contact, standing_words
    from store.queries.customers import procedures_for

    customer, standing = found.customer, found.standing
    made.add(
        "customer",
        standing_words(customer, standing, now),
        weight=1 if standing.window else 3,
        style="ansi_yellow" if standing.window else "",
    )
    made.add("contact", first_contact(customer), weight=2)
    made.add("escalate", escalation_words(customer), weight=5, most=2, further=6)
    procedures = procedures_for(found, row.cat, row.rule)
    told = [f"{title} ({count} step{'' if count == 1 else 's'})" for title, count in procedures[:3]]
    made.add("SOP", ", ".join(told), weight=2)
    notes = " ".join(customer.notes.split())
    made.add("notes", notes, weight=6, most=2, further=7)


_DID = {
    "claim": "claimed", "release": "released", "assign": "assigned", "ack": "acknowledged",
    "close": "closed", "reopen": "reopened", "snooze": "snoozed", "wake": "woken", "tag": "tagged",
    "undo": "undid a decision",
}  # fmt: skip


def _decisions(made: _Lines, decisions: Sequence[Past], now: int) -> None:
    """The last note and the last decision stay longest."""
    newest: set[bool] = set()
    for past in decisions:
        note = past.verb == "note"
        weight = 6 if note in newest else 2 if note else 4
        newest.add(note)
        words = [f"{past.actor} {_ago(past.time, now)}"]
        if not note:
            words.append(_did(past))
        comment = f": {past.comment}" if past.comment else ""
        made.add("note" if note else "did", " ".join(words) + comment, weight=weight, most=2, further=6)


def _did(past: Past) -> str:
    from store.triage import UNDONE

    did = _DID.get(past.verb, past.verb)
    detail = past.detail
    classification = detail.get("classification")
    if past.verb == "close" and isinstance(classification, int) and 0 < classification < len(VERDICTS):
        did += f" as {VERDICTS[classification]}"
    if past.verb == "assign":
        did += f" to {detail.get('assignee') or 'nobody'}"
    tags = [f"+{each}" for each in detail.get("add") or ()] + [
        f"-{each}" for each in detail.get("remove") or ()
    ]
    return " ".join((did, *tags)) + (" (undone)" if past.outcome == UNDONE else "")


def _neighbours(made: _Lines, around: AlertContext, row: AlertRow, now: int) -> None:
    """The other alerts of the host: one line that names their kinds, then one each."""
    others = around.neighbours
    if not others:
        return
    kinds: dict[str, int] = {}
    for each in others:
        kinds[each.cat] = kinds.get(each.cat, 0) + 1
    named = ", ".join(f"{count} x {cat}" if count > 1 else cat for cat, count in kinds.items())
    many = f"{len(others)}{'+' if around.neighbours_cut else ''}"
    made.add("around", f"{many} more of this host within an hour: {named}", weight=3, most=2, further=6)
    for each in others:
        made.put(6, (fit("", LABEL), ""), *_neighbour(each, row, max(8, made.inner)))


def _neighbour(each: Neighbour, row: AlertRow, width: int) -> tuple[tuple[str, str] | Content, ...]:
    apart = each.time - row.time
    sign = "+" if apart >= 0 else "-"
    distance = fit(f"{sign}{age(0, abs(apart))}", 5, align="right")
    state = (
        STATUSES[each.status].replace("_", " ") if not each.classification else VERDICTS[each.classification]
    )
    severity = SEVERITY_WORDS[each.severity]
    room = width - 5 - 1 - 4 - 1 - 1 - len(state)
    return (
        (f"{distance} ", ""),
        (fit(severity, 4), SEVERITY_STYLES[each.severity]),
        (" ", ""),
        content(each.cat, max(4, room)),
        (f" {state}", "dim"),
    )


def _web(known: Any, row: AlertRow) -> str:
    """The address of an alert in LimaCharlie's web console, for reading and copying."""
    link = known.get("link")
    if isinstance(link, str) and link.startswith(CONSOLE):
        return link
    if not row.sid:
        return ""
    return f"{CONSOLE}orgs/{row.oid}/sensors/{row.sid}/timeline?time={row.time // 1000}"


def _json_words(record: Any, body: bytes) -> str:
    size = f"{len(body):,} bytes" if len(body) < 10_000 else f"{len(body) // 1000:,} kB"
    return f"{{ {len(record)} fields, {size} }}: J" if isinstance(record, dict) else f"{size}: J"


class AlertPane(Widget):
    """The alert under the cursor, painted when the cursor rests."""

    DEFAULT_CSS = """
    AlertPane { border-top: solid $foreground 40%; overflow: hidden hidden; padding: 0 1; }
    """
    ALLOW_SELECT = False

    def __init__(self, context: Context) -> None:
        super().__init__(id="detail")
        self._shared = context
        self._found: Whole | None = None
        self._page = 0
        self._written: Content | None = None

    def show(self, found: Whole | None) -> None:
        """Show this one; None when there is none. Another alert begins at its top."""
        before = self._found.detail.row.id if self._found is not None else None
        if found is None or found.detail.row.id != before:
            self._page = 0
        self._found = found
        self._write()

    def turn(self, by: int) -> None:
        """Show the lines further down, or further up; behind the last ones come the first."""
        if self._found is not None:
            self._page += by
            self._write()

    def on_resize(self) -> None:
        """Another size, another choice of lines."""
        self._write()

    def _write(self) -> None:
        size = self.content_size
        if not size.width or not size.height:
            return
        found, written = self._found, Content("")
        if found is not None:
            written = describe(found.detail, self._shared, *size, found.around, self._page)
        if self._written is None or written != self._written or written.spans != self._written.spans:
            self._written = written
            self.refresh()

    def render(self) -> VisualType:
        """What was written."""
        return self._written or Content("")
