"""The words of the alert queue: severities, states, and what a filter line means."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from store.times import now_ms

SEVERITIES: tuple[str, ...] = ("info", "low", "medium", "high", "critical")
"""Index is what `Detection.severity` holds."""

STATUSES: tuple[str, ...] = ("new", "in_progress", "resolved", "closed")
"""As ext-cases names them. Index is what `Detection.status` holds; open is the first two."""

CLASSIFICATIONS: tuple[str, ...] = ("pending", "true_positive", "false_positive")

OPEN: tuple[int, ...] = (0, 1)

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "new": ("in_progress", "closed"),
    "in_progress": ("resolved", "closed"),
    "resolved": ("closed",),
    "closed": ("in_progress",),
}
"""What a person may make of a status: the steps of ext-cases (documentation, "Cases"), for every alert."""

WOKEN = len(SEVERITIES)
"""The rank of an alert that came back from a snooze: above every severity."""

FOREVER = 2**53
"""`Detection.snoozed_until` where something else than a time brings it back; exact as a JSON number too."""

SNOOZED: tuple[str, ...] = ("no", "yes", "any")

ORDERS: tuple[str, ...] = ("rank", "due")

BENIGN = "benign"
"""The tag of a true positive that is wanted (a pentest, an administrator): Cases have no class for it."""


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts are wanted. Everything given must hold."""

    scope: str = ""
    """Id of a tree node; "" is the root."""
    oid: str = ""
    severity: int = 0
    """At least this one."""
    statuses: tuple[int, ...] = OPEN
    cat: str = ""
    """Contained in the category, any case; likewise the next ones."""
    hostname: str = ""
    rule: str = ""
    organization: str = ""
    words: tuple[str, ...] = ()
    """Each contained in the category, host name, rule or organization name."""
    since: int | None = None
    """Milliseconds, UTC; inclusive."""
    until: int | None = None
    """Exclusive."""
    tag: str = ""
    """Has this tag."""
    who: str | None = None
    """Assigned to this operator; "" is nobody, None anybody or nobody."""
    snoozed: str = "no"
    """Of SNOOZED: `no` leaves out what is hidden until something brings it back, `yes` wants only that."""
    due: int | None = None
    """Open, and its clock has breached its target by then (ms, UTC)."""
    order: str = "rank"
    """Of ORDERS: worst and newest first, or next to breach first. The latter holds open alerts only."""
    fold: int = 0
    """Id of a fold that it belongs to; 0 is any."""
    storm: int = 0
    """Key of a storm that its fold belongs to; 0 is any."""
    pivot: tuple[tuple[str, str], ...] = ()
    """(kind, value) pairs, one of which it must speak of; kinds of `store.observables.KINDS`, values as
    written (`store.observables.folded` makes them comparable)."""


class FilterError(ValueError):
    """A filter line that means nothing; the text says which word, and what is allowed."""


def severity_of(level: object, priority: object) -> int:
    """Severity of a detection, as Cases maps it by default.

    Args:
        level: `detect_mtd.level`, if it is one of LimaCharlie's words.
        priority: 0 to 10, used when there is no level: critical from 8, high from 5, medium from 3, else low.

    Returns:
        Index into SEVERITIES; medium when neither says anything.
    """
    if isinstance(level, str):
        word = level.strip().lower()
        word = {"informational": "info", "information": "info"}.get(word, word)
        if word in SEVERITIES:
            return SEVERITIES.index(word)
    if isinstance(priority, int | float) and not isinstance(priority, bool):
        return 4 if priority >= 8 else 3 if priority >= 5 else 2 if priority >= 3 else 1
    return 2


_PREFIXES = {
    "sev": "severity", "severity": "severity", "status": "status", "state": "status",
    "cat": "cat", "category": "cat", "host": "hostname", "hostname": "hostname", "rule": "rule",
    "org": "organization", "organization": "organization", "oid": "oid", "since": "since", "until": "until",
    "tag": "tag", "who": "who", "assignee": "who", "snoozed": "snoozed", "due": "due", "order": "order",
    "pivot": "pivot",
}  # fmt: skip
_LEVELS = {word: index for index, word in enumerate(SEVERITIES)} | {"crit": 4, "med": 2}
_TOKEN = re.compile(r'(?:([A-Za-z_]+):)?(?:"([^"]*)"|\'([^\']*)\'|(\S+))')
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def tokens(line: str) -> Iterator[re.Match[str]]:
    """The words of a filter line: group 1 is the prefix before a colon, 2 and 3 a quoted value, 4 a bare one.

    Raises:
        FilterError: a quote that is not closed.
    """
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        token = _TOKEN.match(line, at)
        if token is None or (token[4] and token[4][0] in "\"'"):
            raise FilterError(f"{line[at:]}: the quote is not closed.")
        at = token.end()
        yield token


MEANT: dict[str, str] = {
    **dict.fromkeys(("unclaimed", "unassigned", "nobody", "nobodys"), "who:nobody"),
    **dict.fromkeys(("mine", "me"), "who:me"),
    **dict.fromkeys(("late", "overdue", "breached"), "due:over"),
    **dict.fromkeys(("any", "all"), "status:any"),
    **{word: f"status:{word}" for word in (*STATUSES, "open")},
    **{word: f"sev:{word}" for word in SEVERITIES},
    "snoozed": "snoozed:yes", "benign": f"tag:{BENIGN}", "today": "since:24h",
}  # fmt: skip
"""What is looked for in the text when it is typed alone, though a column may be meant: the filter for it."""


def meant(line: str, known: Mapping[str, str] = MEANT) -> str:
    """One sentence about the bare words of a filter line that a column may be meant by; "" without one.

    They are words to look for all the same: `late` is in Lateral, `mine` in a miner's name.
    """
    found = [
        (token[4], known[token[4].lower()])
        for token in tokens(line)
        if not token[1] and token[4] and token[4].lower() in known
    ]
    if not found:
        return ""
    words = ", ".join(word for word, _ in found)
    instead = " ".join(dict.fromkeys(each for _, each in found))
    is_word = "is a word" if len(found) == 1 else "are words"
    return f"{words} {is_word} to look for; the filter for that is {instead}."


def described(line: str, named: Mapping[str, str]) -> str:
    """A filter line as a header says it: with names for ids, and with what a severity takes in.

    Args:
        named: oid -> name, a stranger's text; an id that is not in it stays.
    """
    parts = []
    for token in tokens(line):
        prefix, part = (token[1] or "").lower(), token[0]
        value = next(group for group in token.groups()[1:] if group is not None)
        if _PREFIXES.get(prefix) == "oid" and value in named:
            part = f'org:"{named[value]}"'
        elif _PREFIXES.get(prefix) == "severity":
            worst = _LEVELS.get(value.strip().lower().removesuffix("+")) == len(SEVERITIES) - 1
            part += "" if worst else " and above"
        parts.append(part)
    return " ".join(parts)


def parse_filter(line: str, *, scope: str = "", now: int | None = None, me: str = "") -> AlertFilter:
    """Read what an operator typed after `/`.

    `sev:high host:web cat:powershell rule:x org:acme status:closed status:any since:2h encoded` : prefixed
    words filter a column, bare words any of category, host, rule and organization. Quotes keep spaces and
    colons. `since` and `until` take an age (`45s`, `30m`, `2h`, `7d`, `1w`) or a time (`2026-01-31`,
    `2026-01-31T12:00Z`; UTC unless it says otherwise).

    `sev:high` is high and above: a severity takes in what is worse.

    `pivot:hash=9f86..` or `pivot:VALUE`: what speaks of this value.

    `tag:benign who:dana who:me who:none snoozed:yes due:30m due:over order:due`: `due` takes what breaches
    within that time, what is over already included.

    Args:
        line: what was typed; an empty line wants every open alert.
        scope: id of a tree node, passed through.
        now: milliseconds, UTC, from which ages are counted; the clock when None.
        me: the operator's name, for `who:me`.

    Raises:
        FilterError: an unknown prefix, severity, status, duration or time; a quote that is not closed.
    """
    found: dict[str, Any] = {"scope": scope}
    words: list[str] = []
    for token in tokens(line):
        prefix = (token[1] or "").lower()
        value = next(group for group in token.groups()[1:] if group is not None)
        if not prefix:
            if value.endswith(":") and value[:-1].lower() in _PREFIXES:
                raise FilterError(f"{value} needs a value right behind the colon.")
            words.append(value)
            continue
        column = _PREFIXES.get(prefix)
        if column is None:
            raise FilterError(
                f"{token[1]}: is not a column; use sev, status, cat, host, rule, org, oid, since, until,"
                " tag, who, snoozed, due, order or pivot, or put the word in quotes."
            )
        found[column] = _value(column, value, now_ms() if now is None else now, me)
    statuses = found.pop("status", OPEN)
    return AlertFilter(**found, statuses=statuses, words=tuple(word for word in words if word))


def _value(column: str, value: str, now: int, me: str) -> object:
    if column == "severity":
        level = _LEVELS.get(value.strip().lower().removesuffix("+"))
        if level is None:
            raise FilterError(f"{value} is not a severity; use {', '.join(SEVERITIES)}.")
        return level
    if column == "status":
        return _statuses(value)
    if column in ("since", "until"):
        return _moment(value, now)
    if column == "pivot":
        return pivots(value)
    if column == "who":
        if value.lower() == "me":
            if not me:
                raise FilterError("who:me means nothing here, for nobody is at the console; give a name.")
            return me
        return "" if value.lower() in ("none", "nobody", "") else value
    if column == "due":
        if value.lower() == "over":
            return now
        duration = _DURATION.fullmatch(value.lower())
        return now + (now - _moment(value, now)) if duration else _moment(value, now)
    if column in ("snoozed", "order"):
        words = SNOOZED if column == "snoozed" else ORDERS
        if value.lower() not in words:
            raise FilterError(f"{column}:{value} means nothing; use {', '.join(words)}.")
        return value.lower()
    return value


def _statuses(value: str) -> tuple[int, ...]:
    wanted: set[int] = set()
    for word in value.lower().replace("-", "_").split(","):
        if word in ("any", "all"):
            wanted.update(range(len(STATUSES)))
        elif word == "open":
            wanted.update(OPEN)
        elif word in STATUSES:
            wanted.add(STATUSES.index(word))
        else:
            raise FilterError(f"{word} is not a status; use open, any, {', '.join(STATUSES)}.")
    return tuple(sorted(wanted))


def _moment(value: str, now: int) -> int:
    duration = _DURATION.fullmatch(value.lower())
    if duration:
        return now - int(duration[1]) * _SECONDS[duration[2]] * 1000
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise FilterError(
            f"{value} is no time; use an age such as 30m, 2h or 7d, or a date such as 2026-01-31."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def quoted_value(text: str) -> str:
    """A text as the value behind a prefix; "" when it has both kinds of quotes."""
    for quote in ('"', "'"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    return ""


def pivots(text: str) -> tuple[tuple[str, str], ...]:
    """What `pivot:` asks for: `KIND=VALUE`, or a value alone, which then counts as whatever it may be.

    In `KIND%=VALUE` the value is percent-encoded: a command line may hold both sorts of quotes.

    Raises:
        FilterError: there is no value, or it is none of that kind.
    """
    from urllib.parse import unquote

    from store.observables import KINDS, folded, kind_of

    kind, sign, value = text.partition("=")
    kind = kind.strip().lower()
    if sign and kind.endswith("%") and kind[:-1] in KINDS:
        kind, value = kind[:-1], unquote(value, errors="backslashreplace")
    if sign and kind in KINDS:
        if not folded(kind, value):
            raise FilterError(f"{value.strip() or 'An empty value'} is no {kind} to look for.")
        return ((kind, value.strip()),)
    value = text.strip()
    likely = kind_of(value)
    kinds = (likely, *(kind for kind in _MAY_BE.get(likely, ()) if folded(kind, value)))
    if not folded(likely, value):
        raise FilterError(
            f"{value or 'An empty value'} is nothing to look for; give a hash, host, address, ..."
        )
    return tuple((kind, value) for kind in kinds)


_MAY_BE = {
    "host": ("user",), "domain": ("host", "path", "user"), "user": ("path",), "path": ("command",),
    "command": ("path", "user"),
}  # fmt: skip
"""What a value without a kind may be besides: a full host name looks like a domain, `dana` like a host."""


def pivot_line(value: str, kind: str = "") -> str:
    """The filter line for every alert, open or closed, that speaks of a value.

    Args:
        kind: of `store.observables.KINDS`; "" when it is not known.

    Raises:
        FilterError: as `pivots`.
    """
    text = f"{kind}={value.strip()}" if kind else value.strip()
    found = pivots(text)
    if not any(letter.isspace() or letter in "\"'" for letter in text):
        quoted = text
    elif '"' not in text:
        quoted = f'"{text}"'
    elif "'" not in text:
        quoted = f"'{text}'"
    else:
        from urllib.parse import quote

        quoted = f"{found[0][0]}%={quote(found[0][1])}"
    return f"pivot:{quoted} status:any snoozed:any"
