"""Every fault at every method of the client: no broken answer is an answer, and no change is made twice."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass

import msgspec
import orjson
import pytest

from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Conflict,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Protocol,
    Throttled,
    Unavailable,
)
from console.limacharlie.tokens import Scope
from console.limacharlie.transport import Deadlines
from console.sandbox.faults import ADDED, BODIES, EMBEDDED, Rule
from tests.helpers.clocks import FastClock
from tests.helpers.methods import ROWS, a_stage, asked, public_methods
from tests.helpers.raw_server import raw_server, reply

RIGHT = "right"
"""The outcome of a case that ends with exactly the right answer."""
PATIENT = Deadlines(connect=5.0, read=5.0, total=60.0)
HASTY = Deadlines(connect=5.0, read=0.06, total=0.2)
"""For the faults that take real time."""
MARGIN = 3.0
"""Seconds beyond its deadline that a call may take on a busy machine."""
AT_ONCE = 24
IN_FULL = ("Organization.record", "Organization.rename")
"""The methods that meet everything that the token service can do."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}$|[0-9a-f]{64}$")
API, TOKENS = "/?*", "/"
"""The paths of everything but the token service, and of that."""


@dataclass(frozen=True)
class Case:
    """A fault, and how a call that meets it may end."""

    name: str
    rule: dict
    reads: set
    """Outcomes of what changes nothing: RIGHT, or a kind of error."""
    changes: set | None = None
    """Outcomes of a change; None where a change need not be tried."""
    path: str = API
    deadlines: Deadlines = PATIENT
    pause: tuple[float, float] = (0.0, 60.0)
    """Seconds on the clock between which the pauses together must be."""
    most_sent: int = 1
    """How often a change may be sent."""
    effects: set = field(default_factory=lambda: {0, 1})
    """How often it may have been made."""

    def make(self, **more):
        return Rule(**{"count": None, "path": self.path, **self.rule, **more})


def statuses():
    """What a status stands for, for good; each is asked once."""
    for status, kind in ((403, Denied), (404, Gone), (409, Conflict), (413, Invalid), (422, Invalid)):
        yield Case(f"{status}", {"fault": "status", "status": status}, {kind}, {kind}, effects={0})
    yield Case(
        "401 once", {"fault": "status", "status": 401, "count": 1}, {RIGHT}, {RIGHT}, most_sent=2, effects={1}
    )
    yield Case(
        "401 for good", {"fault": "status", "status": 401}, {Denied}, {Denied}, most_sent=2, effects={0}
    )


def throttles():
    """429 in all its forms; the pause is what it asked for, or a sensible one."""
    forms = {
        "seconds": ({"seconds": 7}, (6.9, 8.5)),
        "date": ({"seconds": 90, "date": True}, (88, 92)),
        "far too long": ({"seconds": 99_999}, (119, 122)),
        "quota only": ({"quota": 600}, (59, 62)),
        "nothing": ({}, (7.9, 14)),
    }
    for name, (more, pause) in forms.items():
        once = {"fault": "throttle", "count": 1, **more}
        yield Case(f"429 once, {name}", once, {RIGHT}, None, pause=pause)
        if name not in ("seconds", "nothing"):
            continue
        yield Case(
            f"429 for good, {name}",
            once | {"count": None},
            {Throttled},
            {Throttled},
            pause=(0, 2_000),
            effects={0},
        )


def server_errors():
    """500 to 504; a read outlives one."""
    for status in (500, 501, 502, 503, 504):
        bad = {"fault": "status", "status": status}
        yield Case(f"{status} once", bad | {"count": 1}, {RIGHT}, None)
        yield Case(f"{status}", bad, {Unavailable}, {Ambiguous}, effects={0})
        yield Case(f"{status} after", bad | {"effect": True}, {Unavailable}, {Ambiguous}, effects={1})
    busy = {"fault": "status", "status": 503, "seconds": 9}
    yield Case("503 once, Retry-After", busy | {"count": 1}, {RIGHT}, None, pause=(8.9, 10))
    yield Case(
        "503, a long Retry-After", busy | {"seconds": 99_999}, {Unavailable}, {Ambiguous}, pause=(0, 1)
    )


def broken_connections():
    """Dropped and truncated."""
    for after in (False, True):
        drop = {"fault": "drop", "effect": after}
        name = "dropped after" if after else "dropped"
        yield Case(f"{name} once", drop | {"count": 1}, {RIGHT}, None)
        yield Case(name, drop, {Network}, {Ambiguous}, effects={int(after)})
    for framing in ("length", "chunked", "close"):
        for kept in (0, -1):
            cut = {"fault": "truncate", "bytes": kept, "framing": framing}
            if framing != "close":
                yield Case(f"{framing} cut at {kept} once", cut | {"count": 1}, {RIGHT}, None)
            yield Case(f"{framing} cut at {kept}", cut, {Protocol}, {Ambiguous}, effects={1})


def slow():
    """What takes real time."""
    yield Case("hang", {"fault": "hang"}, {Network}, {Ambiguous}, deadlines=HASTY, effects={0})
    yield Case(
        "hang after", {"fault": "hang", "effect": True}, {Network}, {Ambiguous}, deadlines=HASTY, effects={1}
    )
    trickle = {"fault": "trickle", "seconds": 0.03}
    yield Case("trickle", trickle, {Network}, {Ambiguous}, deadlines=HASTY, effects={1})


def bodies():
    """A success with a broken body."""
    for name in BODIES:
        bad = {"fault": "body", "body": name}
        reads = {RIGHT, Protocol} if name in EMBEDDED else {Protocol}
        changes = {RIGHT, Ambiguous} if name in EMBEDDED else {Ambiguous}
        if name == "duplicates":
            reads, changes = {Protocol}, {Ambiguous}
        if name == "error":
            # What says that it failed is believed, where a method has such an answer.
            reads = {Protocol, Invalid}
        yield Case(f"body {name}", bad, reads, changes if name in (*EMBEDDED, "html", "object") else None)
        if name not in EMBEDDED:
            yield Case(f"body {name} after", bad | {"effect": True}, reads, changes, effects={1})


def redirects(thief):
    """To the same host and to another one, which must hear nothing."""
    here = {"fault": "redirect", "status": 307}
    yield Case("307 here", here, {Protocol}, {Ambiguous}, effects={0})
    for status in (301, 302, 303, 307, 308):
        bad = {"fault": "redirect", "status": status}
        yield Case(f"{status} away", bad | {"location": thief}, {Protocol}, {Ambiguous}, effects={0})


def skews():
    """A cloud whose clock is off."""
    for seconds in (-366 * 86_400, 7_200):
        skew = {"fault": "skew", "seconds": seconds}
        yield Case(f"clock {seconds:+}", skew, {RIGHT}, {RIGHT}, path="*", effects={1})


def token_service(thief, *, every):
    """The same at the token service, which is asked before anything is changed.

    All methods get their tokens in one place, so most of them meet a choice.
    """

    def case(name, rule, outcome, **more):
        return Case(f"tokens: {name}", rule, {outcome}, {outcome}, path=TOKENS, **{"effects": {0}} | more)

    made = {"effects": {1}}
    for status, kind in ((401, Auth), (403, Auth), (404, Protocol), (409, Protocol), (413, Invalid)):
        yield case(f"{status}", {"fault": "status", "status": status}, kind)
    for status in (500, 501, 502, 503, 504) if every else (503,):
        yield case(f"{status} once", {"fault": "status", "status": status, "count": 1}, RIGHT, **made)
        yield case(f"{status}", {"fault": "status", "status": status}, Unavailable)
    yield case("429 once", {"fault": "throttle", "seconds": 7, "count": 1}, RIGHT, pause=(6.9, 8.5), **made)
    yield case("429", {"fault": "throttle", "seconds": 7}, Throttled, pause=(0, 900))
    for after in (False, True) if every else (True,):
        drop = {"fault": "drop", "effect": after}
        yield case(f"dropped once {after}", drop | {"count": 1}, RIGHT, **made)
        yield case(f"dropped {after}", drop, Network)
    for framing in ("length", "chunked", "close") if every else ("close",):
        yield case(f"{framing} cut", {"fault": "truncate", "bytes": 30, "framing": framing}, Protocol)
    yield case("hang", {"fault": "hang"}, Network, deadlines=HASTY)
    yield case("trickle", {"fault": "trickle", "seconds": 0.03}, Network, deadlines=HASTY)
    for name in BODIES if every else ("html", "empty", "null", "list", "object", "duplicates"):
        rule = {"fault": "body", "body": name}
        if name in EMBEDDED and name != "duplicates":
            both = {RIGHT, Protocol}
            yield Case(f"tokens: body {name}", rule, both, both, path=TOKENS)
        else:
            yield case(f"body {name}", rule, Protocol)
    for status in (301, 302, 303, 307, 308) if every else (307,):
        yield case(f"{status}", {"fault": "redirect", "status": status, "location": thief}, Protocol)
    for change in ("remove", "rename", "type", "null") if every else ("remove", "type"):
        yield case(f"{change} jwt", {"fault": "drift", "member": "jwt", "change": change}, Protocol)


def before_the_change():
    """At the reads that come before a change: it is not made on a guess."""
    for name, rule, kind in (
        ("404", {"fault": "status", "status": 404}, Gone),
        ("503", {"fault": "status", "status": 503}, Unavailable),
        ("drop", {"fault": "drop"}, Network),
        ("cut", {"fault": "truncate", "bytes": -1}, Protocol),
        ("html", {"fault": "body", "body": "html"}, Protocol),
        ("null", {"fault": "body", "body": "null"}, Protocol),
        ("object", {"fault": "body", "body": "object"}, Protocol),
        ("list", {"fault": "body", "body": "list"}, Protocol),
    ):
        yield Case(f"before: {name}", rule | {"method": "GET"}, set(), {kind}, most_sent=0, effects={0})


@dataclass
class Ended:
    """How a case ended."""

    outcome: object
    """The answer, or the error."""
    seconds: float
    """Really."""
    paused: float
    applied: int
    sent: int
    """Changes."""
    effects: int
    texts: str
    """All that an error says, its causes included."""
    secrets: list
    spoken: list = field(default_factory=list)
    """(template, body) of the answers."""
    reads_first: bool = False
    """Something is read before the change."""

    @property
    def kind(self):
        return type(self.outcome) if isinstance(self.outcome, BaseException) else RIGHT


def plain(value, port):
    """An answer as it can be compared: without what a fault added, and without this server's port."""

    def without(held):
        if isinstance(held, msgspec.Struct):
            held = msgspec.structs.asdict(held)
        elif is_dataclass(held):
            held = vars(held)
        if isinstance(held, bytes):
            with contextlib.suppress(ValueError):
                return without(json.loads(held.decode()))
            return held
        if isinstance(held, dict):
            # How a page was read is not what is in it.
            return {name: without(each) for name, each in held.items() if name not in (ADDED, "piecewise")}
        if isinstance(held, list | tuple):
            return [without(each) for each in held]
        return held.replace(f":{port}", ":PORT") if isinstance(held, str) else held

    return without(value)


async def set_up(row):
    """What the uses of a method share that change nothing: the world, and what was put there."""
    async with a_stage(clock=FastClock()) as stage:
        if row.prepare is not None:
            await row.prepare(stage)
        return stage.sandbox.world, stage.kept


async def run(row, shared, rule=None, deadlines=PATIENT, *, fresh_tokens=False, listen=False):
    """One use of a method, with a fault that begins after its preparation; a world of its own if not shared."""
    clock = FastClock()
    world, kept = shared or (None, {})
    async with a_stage(clock=clock, world=world) as stage:
        stage.kept.update(kept)
        if shared is None and row.prepare is not None:
            await row.prepare(stage)
        else:
            # A connection that is there already, which is the worst to be dropped, and a token.
            await stage.cloud._transport.tokens.get(Scope("organization", stage.organization.oid))
        if fresh_tokens:
            stage.cloud._transport.tokens._slots.clear()
        # Preparing takes its time; only what is proven has these deadlines.
        stage.cloud._transport._deadlines = deadlines
        stage.sandbox.log.clear()
        if rule is not None:
            stage.sandbox.faults.add(rule)
        spoken = []
        if listen:
            stage.sandbox.fault = listening(spoken)
        clock.ahead, clock.pauses = 0.0, []
        secrets = [*stage.cloud._transport.tokens.secrets()]
        began = time.monotonic()
        try:
            outcome = plain(await asked(row, stage), stage.sandbox.url.rpartition(":")[2])
        except BaseException as error:
            outcome = error
        seconds, paused = time.monotonic() - began, sum(clock.pauses)
        secrets += stage.cloud._transport.tokens.secrets()
        applied = stage.sandbox.faults.listed()[0]["applied"] if rule is not None else 0
        sandbox = stage.sandbox
    # The log is whole only now: who hangs notices late that nobody listens.
    changes = [
        entry
        for entry in sandbox.log.entries
        if row.changes and entry.method == row.changes and entry.template != TOKENS
    ]
    return Ended(
        outcome, seconds, paused, applied, len(changes), sum(each.effect for each in changes),
        texts(outcome), secrets, spoken,
        any(entry.method == "GET" for entry in sandbox.log.entries),
    )  # fmt: skip


def listening(spoken):
    """A fault that is none: remembers the answers."""

    async def listen(call, act):
        response = await act()
        if call.template != TOKENS and isinstance(response.body, bytes):
            spoken.append((call.template, response.body))
        return response

    return listen


def texts(error):
    said = []
    while isinstance(error, BaseException):
        said += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def problem(row, case, ended, right):
    """What is wrong with how a case ended; "" when nothing is."""
    allowed = case.changes if row.changes else case.reads
    met = ended.applied > 0
    if not met and "once" not in case.name:
        # A method that asks for no token, or reads nothing first, cannot meet every fault.
        allowed = {RIGHT}
    if case.name == "401 once" and row.tokenless:
        allowed = {Denied}
    if case.deadlines is HASTY:
        # On a busy machine not even the fault may be reached in time.
        allowed = allowed | case.reads | (case.changes or set())
    if met and case.rule.get("fault") == "body" and case.rule["body"] in row.lenient:
        allowed = allowed | {RIGHT, Invalid} if case.rule["body"] == "error" else allowed | {RIGHT}
        lenient = True
    else:
        lenient = False
    if ended.kind not in allowed:
        return f"ended with {ended.outcome!r}"
    if ended.kind is RIGHT and not row.changes and not (lenient or row.fresh) and ended.outcome != right:
        return f"was answered with {str(ended.outcome)[:200]}, and right is {str(right)[:200]}"
    if ended.seconds > case.deadlines.total + MARGIN and case.deadlines is HASTY:
        return f"took {ended.seconds:.2f} s"
    if met and not case.pause[0] - ended.seconds <= ended.paused <= case.pause[1]:
        return f"paused {ended.paused:.1f} s"
    if row.changes and met and ended.sent > case.most_sent:
        return f"was sent {ended.sent} times"
    if row.changes and met and ended.effects not in case.effects:
        return f"was made {ended.effects} times"
    if row.changes and ended.effects > 1:
        return f"was made {ended.effects} times"
    if ended.kind is not RIGHT and ended.kind.__module__ != LimaCharlieError.__module__:
        return f"raised {ended.outcome!r}"
    if any(secret in ended.texts for secret in ended.secrets):
        return "says a secret"
    return ""


async def all_of(things: list[Callable], at_once=AT_ONCE):
    """The results of many, in their order, not all at the same time."""
    turn = asyncio.Semaphore(at_once)

    async def one(thing):
        async with turn:
            return await thing()

    return await asyncio.gather(*map(one, things))


def test_every_method_of_the_client_has_a_row():
    assert [name for name in public_methods() if name not in ROWS] == []
    assert [name for name in ROWS if name not in public_methods()] == []


@pytest.mark.parametrize("name", ROWS)
async def test_no_fault_is_taken_for_an_answer_and_no_change_is_made_twice(name):
    row = ROWS[name]
    async with raw_server(lambda request: reply(200, {})) as thief:
        shared = await set_up(row)
        clean = await run(row, None if row.changes else shared)
        assert clean.kind is RIGHT, clean.outcome
        if row.changes:
            assert (clean.sent, clean.effects) == (1, 1)
        else:
            assert clean.outcome or row.empty, "a world with nothing in it proves nothing"
        cases = [
            *statuses(), *throttles(), *server_errors(), *broken_connections(), *slow(), *bodies(),
            *redirects(f"{thief.url}/elsewhere"), *skews(), 
            *token_service(f"{thief.url}/elsewhere", every=name in IN_FULL),
            *(before_the_change() if row.changes and clean.reads_first else ()),
        ]  # fmt: skip
        # A read has no effect that trouble could come after.
        cases = [
            case
            for case in cases
            if (case.changes is not None if row.changes else not case.rule.get("effect") or case.path != API)
        ]

        # What takes real time begins first, so that the others go on beside it.
        cases.sort(key=lambda case: case.deadlines is PATIENT)

        def use(case):
            # A change meets the fault itself, not what is read before it.
            method = row.changes if row.changes and case.path == API else ""
            rule = case.make(**{"method": method} | {k: v for k, v in case.rule.items() if k == "method"})
            own = row.changes and case.effects != {0}
            return lambda: run(
                row, None if own else shared, rule, case.deadlines, fresh_tokens=case.path != API
            )

        ends = await all_of([use(case) for case in cases])
        assert thief.connections == 0
    wrong = [
        f"{name}, {case.name}: {said}"
        for case, ended in zip(cases, ends, strict=True)
        if (said := problem(row, case, ended, clean.outcome))
    ]
    assert not wrong, "\n".join(wrong)


def members(value, path="", depth=3):
    """The named members of an answer, to some depth: of a list or a map of many the first."""
    if isinstance(value, list):
        yield from members(value[0], f"{path}.0", depth) if value and depth else ()
    if not isinstance(value, dict) or not depth:
        return
    many = len(value) > 8
    for name, below in list(value.items())[: 1 if many else None]:
        if "." in name:
            continue
        yield f"{path}.{name}".removeprefix(".")
        yield from members(below, f"{path}.{name}".removeprefix("."), depth - 1)


@pytest.mark.parametrize("name", ROWS)
async def test_an_answer_whose_shape_drifts_is_refused_or_still_says_what_is_there(name):
    row = ROWS[name]
    shared = None if row.changes else await set_up(row)
    clean = await run(row, shared, listen=True)
    drifts = {
        (template, member, change)
        for template, body in clean.spoken
        if body[:1] == b"{"
        for member in members(orjson.loads(body))
        for change in ("remove", "rename", "type", "null")
        # What has an id for its name is no part of the shape: it may be gone.
        if change != "remove" or not ID.search(member)
    } | {(template, "", "add") for template, _ in clean.spoken}

    def use(template, member, change):
        rule = Rule("drift", path=template, member=member, change=change, count=None)
        return lambda: run(row, shared, rule)

    ordered = sorted(drifts)
    ends = await all_of([use(*drift) for drift in ordered])
    wrong = []
    for drift, ended in zip(ordered, ends, strict=True):
        said = ""
        if row.changes:
            believed = (ended.kind, drift[1]) == (Invalid, "error")
            if (ended.kind not in (RIGHT, Ambiguous, Protocol) and not believed) or ended.sent > 1:
                said = f"ended with {ended.outcome!r}, sent {ended.sent} times"
            elif ended.kind is Protocol and ended.sent and not row.goes_on:
                said = "is not called unclear"
        elif drift[2] == "add":
            if ended.outcome != clean.outcome and not (row.fresh or row.closed):
                said = f"is refused for a member more: {ended.outcome!r}"
        elif ended.kind is not RIGHT:
            # What says that it failed is believed, where a method has such an answer.
            if ended.kind is not Protocol and (ended.kind, drift[1]) != (Invalid, "error"):
                said = f"ended with {ended.outcome!r}"
        elif not ended.outcome and clean.outcome and drift[2] != "null" and "null" not in row.lenient:
            said = "is taken for nothing there"
        if said:
            wrong.append(f"{name} {drift}: {said}")
    assert not wrong, "\n".join(wrong)
