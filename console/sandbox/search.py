"""LCQL over what the sandbox stores: `[TIME |] SENSORS | EVENT TYPES | FILTER [| PROJECTION]`.

A filter means what the same condition means in a D&R rule, so it is turned into one. What cannot be parsed
is refused with a sentence; nothing is ever answered because a query was not understood.
"""

import asyncio
import base64
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from console.sandbox import snapshot
from console.sandbox.detection_logic import BadRule, Logic, Run, values_at
from console.sandbox.events import SLOT_MS
from console.sandbox.organizations import Organization
from console.sandbox.selectors import BadSelector, Selector
from console.sandbox.selectors import parse as selector_of
from console.sandbox.sensors import Sensor

if TYPE_CHECKING:
    from console.sandbox.world import World

STREAMS = {"event": "insight.evt.get", "detect": "insight.det.get", "audit": "audit.get"}
"""What can be searched, and the permission that reading it needs."""
ROWS = 200
"""Results of a page."""
SCANNED = 100_000
"""Events that a page looks at before it ends without being full."""
CONCURRENT = 10
RESUMABLE = 86_400
"""Seconds."""
CURSOR = 4096
"""Most bytes of a page's token."""
BODY = 102_400
"""Most bytes of a question."""
BATCH = 10_000
"""Events that are read in one go."""
CENTS_PER_MILLION = 5.0
"""The sandbox's own price list: LimaCharlie bills by the million events, and its rate is not documented."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class BadQuery(ValueError):
    """One sentence about what is wrong with a query."""


# The query's language

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<sign>==|!=|>=|<=|>|<|[()])"""
    r"""|(?P<word>[^\s()"'`!=<>]+))"""
)
_COMPARED = {"==": "is", "is": "is", "contains": "contains", ">": "is greater than", "<": "is lower than"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query: quoted text, a sign, or a word."""

    kind: str
    text: str


def tokens(text: str) -> list[Token]:
    """The pieces of a part of a query.

    Raises:
        BadQuery: it has none.
    """
    found = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadQuery(f"nothing can be made of {text[place : place + 20].strip()!r}")
        kind = match.lastgroup or ""
        piece = match[kind]
        if kind == "quoted":
            inner = piece[1:-1]
            # Only the quote itself can be escaped, so that a path keeps its backslashes.
            piece = inner.replace("\\" + match[kind][0], match[kind][0]) if piece[0] != "`" else inner
        found.append(Token(kind, piece))
        place = match.end()
    return found


def _parts(query: str) -> list[str]:
    """The parts between the `|` that stand outside of quotes and parentheses."""
    parts, current, quote, depth = [], "", "", 0
    for place, letter in enumerate(query):
        if quote:
            if letter == quote and (quote == "`" or query[place - 1] != "\\"):
                quote = ""
        elif letter in "\"'`":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "|" and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        current += letter
    if quote:
        raise BadQuery("a quote is not closed")
    return [*parts, current.strip()]


class _Filter:
    """Turns a filter into the detection half of a rule."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._place = 0

    def rule(self) -> dict[str, Any]:
        found = self._either()
        if self._place != len(self._tokens):
            raise BadQuery(f"{self._tokens[self._place].text!r} was not expected in the filter")
        return found

    def _peek(self, ahead: int = 0) -> Token:
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else Token("end", "")

    def _word(self, *words: str) -> bool:
        """Take these words if they are next."""
        for ahead, word in enumerate(words):
            token = self._peek(ahead)
            if token.kind not in ("word", "sign") or token.text.lower() != word:
                return False
        self._place += len(words)
        return True

    def _either(self) -> dict[str, Any]:
        rules = [self._both()]
        while self._word("or"):
            rules.append(self._both())
        return rules[0] if len(rules) == 1 else {"op": "or", "rules": rules}

    def _both(self) -> dict[str, Any]:
        rules = [self._one()]
        while self._word("and"):
            rules.append(self._one())
        return rules[0] if len(rules) == 1 else {"op": "and", "rules": rules}

    def _one(self) -> dict[str, Any]:
        if self._word("not"):
            return {"op": "or", "rules": [self._one()], "not": True}
        if self._word("("):
            inside = self._either()
            if not self._word(")"):
                raise BadQuery("a parenthesis is not closed in the filter")
            return inside
        return self._comparison()

    def _comparison(self) -> dict[str, Any]:
        token = self._peek()
        if token.kind not in ("word", "quoted"):
            raise BadQuery(
                f"a condition is missing before {token.text!r}" if token.text else "a condition is missing"
            )
        self._place += 1
        node: dict[str, Any] = {"path": path_of(token.text)}
        negated = self._word("not")
        for words in (("starts", "with"), ("ends", "with"), ("matches",), ("cidr",), ("exists",), ("!=",)):
            if self._word(*words):
                name = " ".join(words)
                break
        else:
            name = next((sign for sign in _COMPARED if self._word(sign)), "")
        if not name:
            raise BadQuery(f"unknown operator {self._peek().text!r} after {token.text!r}")
        if name == "is" and self._word("not"):
            negated = not negated
        if name == "!=":
            name, negated = "==", not negated
        node["op"] = _COMPARED.get(name, name)
        if negated:
            node["not"] = True
        if name == "exists":
            return node
        key = {"matches": "re", "cidr": "cidr"}.get(name, "value")
        node[key] = self._value(token.text, name, text=name not in ("==", "is", ">", "<"))
        return node

    def _value(self, path: str, operator: str, *, text: bool) -> Any:
        token = self._peek()
        if token.kind not in ("word", "quoted"):
            raise BadQuery(f"a value is missing after `{path} {operator}`")
        self._place += 1
        if token.kind == "quoted" or text:
            return token.text
        if _NUMBER.fullmatch(token.text):
            return float(token.text) if "." in token.text else int(token.text)
        return {"true": True, "false": False}.get(token.text.lower(), token.text)


def path_of(text: str) -> str:
    """A path with slashes; dots are the other notation."""
    return text if "/" in text else text.replace(".", "/")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer: a path, or how often it was there (`of` other values, when unique)."""

    name: str
    path: str
    counts: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """What is shown of what was found."""

    columns: tuple[Column, ...] = ()
    grouped: tuple[str, ...] = ()
    order: str = ""
    descending: bool = False
    limit: int | None = None

    @property
    def whole(self) -> bool:
        """Whether everything has to be found before anything can be shown."""
        return bool(self.grouped or self.order) or any(column.counts for column in self.columns)


def projection_of(text: str) -> Projection:
    """What a projection says.

    Raises:
        BadQuery: it is none.
    """
    pieces = tokens(text)
    place = 0
    columns: list[Column] = []
    grouped: tuple[str, ...] = ()
    order, descending, limit = "", False, None

    def words(*wanted: str) -> bool:
        nonlocal place
        if [piece.text.upper() for piece in pieces[place : place + len(wanted)]] != list(wanted):
            return False
        place += len(wanted)
        return True

    def inside(name: str) -> list[str]:
        nonlocal place
        if not words("("):
            raise BadQuery(f"{name} needs parentheses")
        found = []
        while not words(")"):
            if place >= len(pieces) or pieces[place].kind == "sign":
                raise BadQuery(f"the parenthesis of {name} is not closed")
            found += [part for part in pieces[place].text.split(",") if part]
            place += 1
        if not found:
            raise BadQuery(f"{name} is empty")
        return found

    def alias(default: str) -> str:
        nonlocal place
        if not words("AS"):
            return default
        if place >= len(pieces) or pieces[place].kind == "sign":
            raise BadQuery("a name is missing after `as`")
        place += 1
        return pieces[place - 1].text

    while place < len(pieces):
        if words("GROUP", "BY"):
            grouped = tuple(inside("GROUP BY"))
        elif words("ORDER", "BY"):
            said = inside("ORDER BY")
            if len(said) > 2 or (len(said) == 2 and said[1].lower() not in ("asc", "desc")):
                raise BadQuery("ORDER BY takes one field, and asc or desc")
            order, descending = said[0], len(said) == 2 and said[1].lower() == "desc"
        elif words("LIMIT"):
            if place >= len(pieces) or not pieces[place].text.isdecimal():
                raise BadQuery("LIMIT needs a number")
            limit = int(pieces[place].text)
            place += 1
        elif pieces[place].kind == "sign":
            raise BadQuery(f"{pieces[place].text!r} was not expected in the projection")
        else:
            name = pieces[place].text
            place += 1
            if place < len(pieces) and pieces[place] == Token("sign", "("):
                if name.upper() not in ("COUNT", "COUNT_UNIQUE"):
                    raise BadQuery(f"unknown aggregation {name}: COUNT and COUNT_UNIQUE are served here")
                of = inside(name)
                if len(of) != 1:
                    raise BadQuery(f"{name} takes one field")
                unique = name.upper() == "COUNT_UNIQUE"
                columns.append(Column(alias(f"{name}({of[0]})"), of[0], counts=True, unique=unique))
            else:
                columns.append(Column(alias(name), name))
    found = Projection(tuple(columns), grouped, order, descending, limit)
    plain = {name for column in columns if not column.counts for name in (column.name, column.path)}
    if any(column.counts for column in columns) or grouped:
        loose = [
            column.name
            for column in columns
            if not column.counts and column.name not in grouped and column.path not in grouped
        ]
        if loose:
            raise BadQuery(f"{loose[0]} is neither counted nor grouped by")
        unknown = [name for name in grouped if name not in plain]
        if unknown:
            raise BadQuery(f"GROUP BY names {unknown[0]}, which is no column")
    if order and order not in plain | {column.name for column in columns} and columns:
        raise BadQuery(f"ORDER BY names {order}, which is no column")
    return found


def span_of(text: str, now: int) -> tuple[int, int] | None:
    """The time that a query's first part names (seconds, UTC); None when it names none.

    Args:
        now: seconds, UTC.
    """
    back = re.fullmatch(r"-(\d+)([smhdw])", text)
    if back is not None:
        return now - int(back[1]) * _UNITS[back[2]], now
    dates = re.fullmatch(r"(\d{4}-\d\d-\d\d\S*(?: \d\d:\d\d(?::\d\d)?)?) to (\d{4}-\d\d-\d\d.*)", text)
    if dates is None:
        return None
    try:
        start, end = (datetime.fromisoformat(one.strip()) for one in dates.groups())
    except ValueError:
        raise BadQuery(f"{text!r} is no range of time") from None
    aware = [one if one.tzinfo else one.replace(tzinfo=UTC) for one in (start, end)]
    return int(aware[0].timestamp()), int(aware[1].timestamp())


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that was understood."""

    stream: str
    selector: Selector | None
    types: frozenset[str] | None
    logic: Logic | None
    projection: Projection | None
    span: tuple[int, int] | None
    """Seconds, UTC: the query's own range of time."""


def plan_of(query: str, stream: str, now: int) -> Plan:
    """What a query asks for.

    Args:
        stream: event, detect (or detection), or audit.
        now: seconds, UTC.

    Raises:
        BadQuery: it cannot be understood.
    """
    stream = {"": "event", "detection": "detect"}.get(stream, stream)
    if stream not in STREAMS:
        raise BadQuery(f"unknown stream {stream!r}: one of {', '.join(STREAMS)}")
    if not query.strip():
        raise BadQuery("the query is empty")
    parts = _parts(query)
    span = span_of(parts[0], now)
    if span is not None:
        parts = parts[1:] or ["*"]
    if len(parts) == 1:
        parts = ["*", "*", parts[0]]
    if len(parts) > 4:
        raise BadQuery("the query has too many parts: [time |] sensors | event types | filter [| projection]")
    sensors, types, condition, shown = [*parts, *[""] * (4 - len(parts))]
    try:
        selector = selector_of(sensors)
    except BadSelector as problem:
        raise BadQuery(str(problem)) from None
    if selector is not None and stream == "audit":
        raise BadQuery("audit entries come from no sensor: leave the sensor selector at *")
    kinds = [token.text for token in tokens(types)]
    if any(token.kind == "sign" for token in tokens(types)):
        raise BadQuery(f"{types!r} is no list of event types")
    logic = None
    if condition not in ("", "*"):
        try:
            logic = Logic(_Filter(condition).rule())
        except BadRule as problem:
            raise BadQuery(f"bad filter: {problem}") from None
    return Plan(
        stream,
        selector,
        frozenset(kinds) if kinds and "*" not in kinds else None,
        logic,
        projection_of(shown) if shown else None,
        span,
    )


# What is searched


Row = tuple[int, str, Callable[[], dict[str, Any] | None]]
"""When something happened (ms), by what to order what happened at once, and what makes it."""
Found = tuple[str, int, dict[str, Any] | None]
"""Where to go on after this one, when it happened (ms), and what it is; None for what was passed over."""


@dataclass(slots=True)
class Source:
    """What an organization stores of one stream, newest first, to be gone through from any place on."""

    world: "World"
    organization: Organization
    stream: str
    start: int
    """Milliseconds, UTC; inclusive."""
    end: int
    """Exclusive."""
    selector: Selector | None = None
    types: frozenset[str] | None = None
    sid: str = ""

    def size(self) -> int:
        """How many there are to be looked at."""
        if self.stream == "event":
            events = self.world.events
            self.world.detections.advance(self.world.clock())
            return sum(
                events.count(self.organization, sensor, self.start, self.end) for sensor in self._sensors()
            )
        if self.stream == "detect":
            first, last = self._numbers()
            return last - first
        return sum(self.start <= entry["time"] < self.end for entry in self._entries())

    def read(self, place: str = "") -> Iterator[Found]:
        """Everything from a place on.

        Raises:
            BadQuery: there is no such place.
        """
        if self.stream == "event":
            return self._events(place)
        return self._detections(place) if self.stream == "detect" else self._audit(place)

    def _sensors(self) -> list[Sensor]:
        world, one = self.world, self.organization
        return [
            sensor
            for sensor in world.sensors_of(one)
            if self.sid in ("", sensor.sid)
            and (self.selector is None or self.selector(world.sensor_record(one, sensor)))
        ]

    def _events(self, place: str) -> Iterator[Found]:
        world, sensors = self.world, self._sensors()
        world.detections.advance(world.clock())
        try:
            begin, skip = map(int, place.split(".")) if place else (self.end // SLOT_MS, 0)
        except ValueError:
            raise BadQuery("bad token") from None
        # No slot before the oldest one that is kept holds anything, and none of tomorrow.
        begin = min(begin, world.clock() // SLOT_MS + 1)
        oldest = min((world.events.oldest(sensor) for sensor in sensors), default=self.end)
        for slot in range(begin, max(self.start, oldest) // SLOT_MS - 1, -1):
            low, high = max(self.start, slot * SLOT_MS), min(self.end, (slot + 1) * SLOT_MS)
            here = [row for sensor in sensors for row in self._sent(sensor, low, high)]
            here.sort(key=lambda row: (-row[0], row[1]))
            for number, (moment, _, make) in enumerate(here[skip:], skip):
                yield f"{slot}.{number + 1}", moment, make()
            skip = 0

    def _sent(self, sensor: Sensor, low: int, high: int) -> Iterator[Row]:
        """What a sensor sent with low <= time < high (ms): telemetry, what detections report, answers."""
        events, one = self.world.events, self.organization
        for slot in events.slots(one, sensor, low, high):
            yield events.time(one, sensor, slot), sensor.sid, self._maker(sensor, slot)
        for moment, number in events.reported(one, sensor, low, high):
            yield moment, f"{sensor.sid}/{number}", self._reported(number)
        for event in events.answers(one, sensor, low, high):
            routing = event["routing"]
            yield routing["event_time"], routing["this"], self._kept(event)

    def _reported(self, number: int) -> Callable[[], dict[str, Any] | None]:
        found, index = self.world.detections, self.organization.index
        return lambda: found.event(index, number) if self._wants(found.event_type(index, number)) else None

    def _wants(self, kind: str) -> bool:
        return self.types is None or kind in self.types

    def _kept(self, event: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
        return lambda: event if self._wants(event["routing"]["event_type"]) else None

    def _maker(self, sensor: Sensor, slot: int) -> Callable[[], dict[str, Any] | None]:
        events, one = self.world.events, self.organization

        def make() -> dict[str, Any] | None:
            if self.types is not None and events.kind(one, sensor, slot) not in self.types:
                return None
            return events.event(one, sensor, slot)

        return make

    def _numbers(self) -> tuple[int, int]:
        found, index = self.world.detections, self.organization.index
        found.advance(self.world.clock())
        return found.first_at(index, self.start), found.first_at(index, self.end)

    def _detections(self, place: str) -> Iterator[Found]:
        found, index = self.world.detections, self.organization.index
        first, last = self._numbers()
        if place:
            last = min(last, _place(place))
        wanted: dict[str, bool] = {}
        for number in range(last - 1, first - 1, -1):
            sid = found.sid(index, number)
            if sid not in wanted:
                wanted[sid] = self.sid in ("", sid) and self._selected(sid)
            fits = wanted[sid] and self._wants(found.rule(index, number).cat)
            yield str(number), found.time(index, number), found.detection(index, number) if fits else None

    def _selected(self, sid: str) -> bool:
        if self.selector is None:
            return True
        found = self.world.sensor_by_sid(sid)
        return found is not None and self.selector(self.world.sensor_record(*found))

    def _entries(self) -> list[dict[str, Any]]:
        log, one = self.world.audit, self.organization
        return [log.entry(one, number) for number in range(log.count(one))] + self.world.noted(one)

    def _audit(self, place: str) -> Iterator[Found]:
        entries = self._entries()
        for number in range(_place(place) if place else len(entries), 0, -1):
            entry = entries[number - 1]
            if self.start <= entry["time"] < self.end:
                fits = self._wants(entry["etype"]) and self.sid in ("", entry["entity"].get("name"))
                yield str(number - 1), entry["time"], entry if fits else None


def _place(text: str) -> int:
    try:
        return max(0, int(text))
    except ValueError:
        raise BadQuery("bad token") from None


def token_of(place: str) -> str:
    """A place, as clients are handed it."""
    return base64.urlsafe_b64encode(f"place:{place}".encode()).decode()


def place_of(token: str) -> str:
    """The place that a client was handed.

    Raises:
        BadQuery: it was not handed out here.
    """
    if token in ("", "-"):
        return ""
    try:
        text = base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except ValueError:
        text = ""
    if not text.startswith("place:") or len(token) > CURSOR:
        raise BadQuery("bad token")
    return text[6:]


async def unhurried(found: Iterator[Found]) -> AsyncIterator[Found]:
    """The same, with a breath for everybody else now and then."""
    for number, one in enumerate(found):
        if number % 512 == 511:
            await asyncio.sleep(0)
        yield one


# A search and its pages


@dataclass(slots=True)
class Page:
    """A part of an answer."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    following: str = ""
    """Where the next page begins; "" after the last."""
    scanned: int = 0
    matched: int = 0
    bytes: int = 0


def price(events: int) -> dict[str, Any]:
    """What looking at so many events costs, by the sandbox's own price list."""
    return {"value": round(events * CENTS_PER_MILLION / 1_000_000, 6), "currency": "USD cents"}


def _value(subject: dict[str, Any], path: str) -> Any:
    found = values_at(subject, path_of(path))
    return None if not found else found[0] if len(found) == 1 else found


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _sorted(rows: list[dict[str, Any]], projection: Projection) -> list[dict[str, Any]]:
    name = projection.order
    if name:
        column = next((one.name for one in projection.columns if name in (one.name, one.path)), name)

        def rank(row: dict[str, Any]) -> tuple[int, float, bytes]:
            value = row["data"].get(column) if projection.columns else _value(row["data"], name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return 0, value, b""
            return 1 if value is not None else 2, 0.0, _text(value)

        rows = sorted(rows, key=rank, reverse=projection.descending)
    return rows[: projection.limit] if projection.limit is not None else rows


def _grouped(found: list[tuple[int, dict[str, Any]]], plan: Plan) -> list[dict[str, Any]]:
    projection = plan.projection or Projection()
    paths = {column.name: column.path for column in projection.columns if not column.counts}
    groups: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for moment, one in found:
        key = [_value(one, paths.get(name, name)) for name in projection.grouped]
        groups.setdefault(_text(key), []).append((moment, one))
    rows = []
    for members in groups.values():
        data: dict[str, Any] = {}
        for column in projection.columns:
            if not column.counts:
                data[column.name] = _value(members[0][1], column.path)
                continue
            path = paths.get(column.path, column.path)
            # COUNT(event) counts what was found, whatever the stream calls it.
            values = [
                one if path == "event" and not column.unique else _value(one, path) for _, one in members
            ]
            present = [value for value in values if value is not None]
            data[column.name] = len({_text(value) for value in present}) if column.unique else len(present)
        rows.append(
            {"mtd": {"ts": max(moment for moment, _ in members), "stream": plan.stream}, "data": data}
        )
    if not rows and not projection.grouped:
        data = {column.name: 0 for column in projection.columns}
        rows.append({"mtd": {"stream": plan.stream}, "data": data})
    return rows


async def page(plan: Plan, source: Source, place: str, now: int, *, rows: int = ROWS) -> Page:
    """A page of an answer; all of it when it has to be counted or sorted.

    Args:
        now: seconds, UTC.

    Raises:
        BadQuery: there is no such place, or the query turns on something that is not documented.
    """
    answer = Page()
    projection = plan.projection
    whole = projection is not None and projection.whole
    found: list[tuple[int, dict[str, Any]]] = []
    # A limit is counted over the whole answer, so the answer is one page.
    limit = None if projection is None or whole else projection.limit
    if limit == 0:
        return answer
    async for following, moment, one in unhurried(source.read(place)):
        answer.scanned += 1
        if one is not None:
            answer.bytes += len(orjson.dumps(one))
            verdict: bool | None = True
            if plan.logic is not None:
                run = Run(one, now)
                verdict = plan.logic.evaluate(run)
                if verdict is None:
                    raise BadQuery(f"not evaluated here: {run.open[0]}")
            if verdict:
                found.append((moment, one))
        if limit is not None:
            if len(found) >= limit:
                break
        elif not whole and (len(found) >= rows or answer.scanned >= SCANNED):
            answer.following = following
            break
    answer.matched = len(found)
    if projection is None:
        answer.rows = [{"mtd": {"ts": moment, "stream": plan.stream}, "data": one} for moment, one in found]
        return answer
    if projection.grouped or any(column.counts for column in projection.columns):
        answer.rows = _grouped(found, plan)
    else:
        answer.rows = [
            {
                "mtd": {"ts": moment, "stream": plan.stream},
                "data": {column.name: _value(one, column.path) for column in projection.columns}
                if projection.columns
                else one,
            }
            for moment, one in found
        ]
    answer.rows = _sorted(answer.rows, projection)
    return answer


@dataclass(slots=True)
class Search:
    """A search that somebody began and nobody has finished."""

    query_id: str
    oid: str
    query: str
    plan: Plan
    start: int
    """Seconds, UTC."""
    end: int
    ident: str
    agent: str
    size: int
    submitted: float
    """Seconds, UTC, like the two that follow."""
    active: float
    running: float = 0.0
    """Since when a page is being made; 0 when none is."""
    pages: int = 0
    scanned: int = 0
    matched: int = 0
    bytes: int = 0
    walltime: float = 0.0
    more: bool | None = None

    def shown(self) -> dict[str, Any]:
        """As the listing of open searches has it."""
        now = time.time()
        row: dict[str, Any] = {
            "queryId": self.query_id,
            "state": "executing" if self.running else "idle",
            "holdsSlot": bool(self.running),
            "query": self.query,
            "stream": self.plan.stream,
            "startTime": str(self.start),
            "endTime": str(self.end),
            "submittedBy": self.ident,
            "userAgent": self.agent,
            "submittedAt": _iso(self.submitted),
            "lastActivityAt": _iso(self.active),
            "pagesCompleted": self.pages,
            "batchesCompleted": math.ceil(self.scanned / BATCH),
            "batchesInScope": math.ceil(self.size / BATCH),
            "progressPercent": round(min(100.0, 100 * self.scanned / self.size), 1) if self.size else 0.0,
            "eventsScanned": self.scanned,
            "billedEvents": self.scanned,
            "resumableUntil": _iso(self.submitted + RESUMABLE),
        }
        if self.more is not None:
            row["hasMorePages"] = self.more
        if self.running:
            row["startedAt"] = _iso(self.running)
            row["runningForMs"] = int((now - self.running) * 1000)
        return row


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Searches:
    """The open searches of all organizations."""

    def __init__(self) -> None:
        self._open: dict[str, Search] = {}

    def kept(self) -> list[snapshot.Search]:
        """What a snapshot keeps of them. A page that is being made belongs to whoever waits for it."""
        return [
            snapshot.Search(
                query_id=one.query_id,
                oid=one.oid,
                query=one.query,
                stream=one.plan.stream,
                start=str(one.start),
                end=str(one.end),
                ident=one.ident,
                # A header may hold bytes that are no text.
                agent=one.agent.encode("utf-8", "replace").decode(),
                size=one.size,
                submitted=one.submitted,
                active=one.active,
                pages=one.pages,
                scanned=one.scanned,
                matched=one.matched,
                bytes=one.bytes,
                walltime=one.walltime,
                more=one.more,
            )
            for one in self._open.values()
        ]

    def resume(self, kept: list[snapshot.Search], places: snapshot.Places, now: int) -> None:
        """Become what a snapshot kept.

        Args:
            now: seconds, UTC.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for one in kept:
            places.index(one.oid, "searches")
            try:
                plan = plan_of(one.query, one.stream, now)
            except BadQuery as problem:
                raise snapshot.BadSnapshot(f"searches: bad query: {problem}") from None
            self._open[one.query_id] = Search(
                query_id=one.query_id,
                oid=one.oid,
                query=one.query,
                plan=plan,
                start=int(one.start),
                end=int(one.end),
                ident=one.ident,
                agent=one.agent,
                size=one.size,
                submitted=one.submitted,
                active=one.active,
                pages=one.pages,
                scanned=one.scanned,
                matched=one.matched,
                bytes=one.bytes,
                walltime=one.walltime,
                more=one.more,
            )

    def add(self, search: Search) -> None:
        """Keep one, and forget those that nobody resumed in time."""
        for other in [one for one in self._open.values() if one.submitted + RESUMABLE < search.submitted]:
            self._open.pop(other.query_id, None)
        self._open[search.query_id] = search

    def find(self, query_id: str) -> Search | None:
        """An open one."""
        return self._open.get(query_id)

    def drop(self, query_id: str) -> None:
        """Forget one."""
        self._open.pop(query_id, None)

    def of(self, oid: str) -> list[Search]:
        """The open ones of an organization, newest first."""
        return sorted((one for one in self._open.values() if one.oid == oid), key=lambda one: -one.submitted)

    def executing(self, oid: str) -> int:
        """How many pages an organization is waiting for."""
        return sum(one.running > 0 for one in self._open.values() if one.oid == oid)
