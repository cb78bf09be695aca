"""Trouble on demand: which requests meet which fault, how often, and what the client gets to see.

    sandbox.faults.add(Rule("status", status=503, path="/v1/orgs/{oid}/users", count=2))
    sandbox.faults.add(Rule("drop", method="PUT", effect=True, nth=3))

The same as JSON: `POST /sandbox/faults` with a list of rules adds them, `GET` lists them and how often each
was applied, `DELETE` ends all; `limegrove sandbox serve --faults FILE` begins with them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from fnmatch import fnmatchcase
from http import HTTPStatus
from random import Random
from typing import Any, Literal

import msgspec
import orjson
from aiohttp import web

from console.sandbox import snapshot
from console.sandbox.calls import REPLAY, Call, Refusal, table

MOST_DRAWN = 10_000_000
"""Of one rule with a probability, in a snapshot: they are drawn again."""

Answer = Callable[[], Awaitable[web.StreamResponse]]
"""Carries the request out, with its effect, and makes the answer."""

ADDED = "_added"
"""The name of a member that a fault puts into an answer."""
RENAMED = "_renamed"
"""What a fault puts at the end of a member's name."""


class Dropped(Exception):
    """The connection ends without a (further) answer."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__()
        self.at_once = at_once
        """What was written and is still on its way is lost as well."""


class BadRules(ValueError):
    """Rules that make no sense; the text says which and why, in one sentence."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault, and the requests that meet it. The first rule that holds for a request is applied."""

    fault: Literal[
        "status", "throttle", "drop", "hang", "truncate", "trickle", "body", "redirect", "drift", "skew"
    ]
    """`status`: an error `status`. `throttle`: a 429. `drop`: the connection ends. `hang`: no answer for
    `seconds`, then the right one. `truncate`: `bytes` of the body, then the end. `trickle`: the right
    answer byte for byte, with a pause of `seconds`. `body`: 200 with a broken body. `redirect`: to
    `location`. `drift`: the right answer, with one `member` changed. `skew`: the right answer from a
    server whose clock is `seconds` ahead."""

    # Which requests
    oid: str = ""
    """Of this organization; "" of any or none."""
    method: str = ""
    """"" is any."""
    path: str = "*"
    """An endpoint's template, such as `/v1/orgs/{oid}/users`; `*` stands for any text. `/` is the token
    service, REPLAY the replay, which has the same address."""
    nth: int = 1
    """The first of the matching requests that meets it, from 1."""
    count: int | None = 1
    """How many matching requests meet it from there on; null for good."""
    probability: float = 1.0
    """Of meeting it, for each of those."""
    seed: int = 0
    """Of the probability."""

    # How it looks
    effect: bool = False
    """The request is carried out all the same, and then meets the fault. What alters a right answer
    (truncate, trickle, drift, skew) always carries it out."""
    status: int = 0
    """Of `status` (default 500) and `redirect` (default 302)."""
    seconds: float | None = None
    """Of `hang` (null: until the client leaves), `trickle`, `skew`, and `Retry-After` of `status` and
    `throttle` (null: no such header)."""
    date: bool = False
    """`Retry-After` is an HTTP date."""
    quota: int | None = None
    """`X-RateLimit-Quota` of a `throttle`, with `X-RateLimit-Period: 60`; null for none."""
    bytes: int = 0
    """What `truncate` leaves of the body; negative: how much it takes."""
    framing: Literal["length", "chunked", "close"] = "length"
    """How a truncated answer says its end."""
    body: str = ""
    """Of `body`: one of BODIES (default html). Of `status` and `throttle`: the error's text."""
    location: str = ""
    """Of `redirect`; "" is the same path of the same host."""
    member: str = ""
    """Of `drift`: names and numbers from the top, with dots between; `*` is the first of a list or object."""
    change: Literal["remove", "rename", "type", "null", "add"] = "remove"
    """Of `drift`."""

    def __post_init__(self) -> None:
        """Refuse what could never be applied."""
        if self.nth < 1 or (self.count is not None and self.count < 1):
            raise ValueError("nth and count start at 1")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability goes from 0 to 1")
        if self.fault == "body" and self.body and self.body not in BODIES:
            raise ValueError(f"body is one of {', '.join(BODIES)}")
        if self.seconds is not None and not -1e10 <= self.seconds <= 1e10:
            raise ValueError("seconds goes up to 1e10")
        if self.fault == "trickle" and not self.seconds:
            raise ValueError("trickle needs seconds")
        allowed = {"status": range(400, 600), "redirect": range(300, 400)}.get(self.fault)
        if self.status and (allowed is None or self.status not in allowed):
            raise ValueError(f"status {self.status} does not go with {self.fault}")
        if self.fault == "drift" and not self.member and self.change != "add":
            raise ValueError("drift needs a member")

    @property
    def name(self) -> str:
        """How the request log calls it."""
        more: object = {
            "status": self.status or 500,
            "redirect": self.status or 302,
            "body": self.body or "html",
            "truncate": f"{self.framing} {self.bytes}",
            "drift": f"{self.change} {self.member}".rstrip(),
        }.get(self.fault, "")
        after = " after the effect" if self.effect else ""
        return f"{self.fault} {more}".rstrip() + after


def read_rules(raw: bytes) -> list[Rule]:
    """Rules from JSON: a list of objects with the names of `Rule`.

    Raises:
        BadRules: it is none.
    """
    try:
        return msgspec.json.decode(raw, type=list[Rule])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRules(f"The faults are no list of rules: {error}.") from None


class _Applied:
    """A rule and what became of it."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.matched = 0
        self.applied = 0
        self._random = Random(rule.seed)

    def resume(self, matched: int, applied: int) -> None:
        """Go on where a snapshot found it.

        Raises:
            BadSnapshot: that cannot have come about.
        """
        rule = self.rule
        drawn = max(0, matched - rule.nth + 1)
        if rule.count is not None:
            drawn = min(drawn, rule.count)
        if applied > drawn:
            raise snapshot.BadSnapshot("faults: a rule was applied more often than it could be")
        if rule.probability < 1:
            if drawn > MOST_DRAWN:
                raise snapshot.BadSnapshot(f"faults: a rule was drawn for more than {MOST_DRAWN:,} times")
            for _ in range(drawn):
                self._random.random()
        self.matched, self.applied = matched, applied

    def holds(self, method: str, template: str, oid: str) -> bool:
        """Whether this request meets it; counts the request."""
        rule = self.rule
        if (rule.method and rule.method != method) or (rule.oid and rule.oid != oid):
            return False
        if rule.path not in ("*", template) and not fnmatchcase(template, rule.path):
            return False
        self.matched += 1
        if self.matched < rule.nth or (rule.count is not None and self.matched >= rule.nth + rule.count):
            return False
        # Drawn for every request, so that what one request meets does not depend on other rules.
        if self._random.random() >= rule.probability:
            return False
        self.applied += 1
        return True


class Faults:
    """The rules in force. Stands between the sandbox's requests and their endpoints."""

    def __init__(self) -> None:
        self._rules: list[_Applied] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, *rules: Rule) -> None:
        """Put rules behind those that there are."""
        self._rules.extend(map(_Applied, rules))

    def kept(self) -> list[snapshot.Applied]:
        """What a snapshot keeps of them."""
        return [
            snapshot.Applied(rule=msgspec.to_builtins(each.rule), matched=each.matched, applied=each.applied)
            for each in self._rules
        ]

    def resume(self, kept: list[snapshot.Applied]) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for each in kept:
            found = _Applied(snapshot.shaped(Rule, each.rule, "faults"))
            found.resume(each.matched, each.applied)
            self._rules.append(found)

    def clear(self) -> None:
        """End all trouble."""
        self._rules.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The rules as they were given, each with how often it matched and was applied."""
        return [
            {**msgspec.to_builtins(each.rule), "matched": each.matched, "applied": each.applied}
            for each in self._rules
        ]

    async def __call__(self, call: Call, act: Answer) -> web.StreamResponse:
        """Let a request meet its fault, if there is one for it."""
        found = table.find(call.method, call.raw_path)
        template = found[0].template if found is not None else call.raw_path
        if template == "/" and "json" in call.content_type:
            template = REPLAY
        oid = _organization(call, found[1] if found is not None else {})
        # Each counts its own requests, also those that another one takes.
        met = [each for each in self._rules if each.holds(call.method, template, oid)]
        if not met:
            return await act()
        call.template, call.oid = call.template or template, call.oid or oid
        rule = met[0].rule
        call.fault = rule.name
        return await _apply(rule, call, act)


def _organization(call: Call, params: dict[str, str]) -> str:
    """Which organization a request is about, wherever it says so."""
    named = params.get("oid") or call.asked("oid")
    if named:
        return named
    if "sid" in params:
        owner = call.world.sensor_by_sid(params["sid"])
        return owner[0].oid if owner is not None else ""
    if call.body:
        try:
            return call.sent("oid")
        except Refusal:
            return ""
    return ""


async def _apply(rule: Rule, call: Call, act: Answer) -> web.StreamResponse:
    if rule.fault in ("truncate", "trickle", "drift", "skew"):
        return await _altered(rule, call, await act())
    right = await act() if rule.effect else None
    match rule.fault:
        case "drop":
            raise Dropped
        case "hang":
            await _silence(call, rule.seconds)
            return right if right is not None else await act()
        case "redirect":
            place = rule.location or f"{call.sandbox.url}{call.raw_path}"
            return _answer(rule.status or 302, b"", {"Location": place})
        case "body":
            name = rule.body or "html"
            if right is None and name in EMBEDDED:
                right = await act()
            whole = _bytes(right) if right is not None else b""
            # Carrying it out may have come to a refusal, whose body is broken then.
            status = right.status if right is not None else 200
            return _answer(status, BODIES[name](whole), kind=_TYPES.get(name, "application/json"))
        case _:
            status = 429 if rule.fault == "throttle" else rule.status or 500
            text = rule.body or _PHRASES.get(status, "trouble on demand")
            return _answer(status, orjson.dumps({"error": text}), _waiting(rule, call.world.clock() / 1000))


def _waiting(rule: Rule, now: float) -> dict[str, str]:
    headers = {}
    if rule.seconds is not None:
        if rule.date:
            headers["Date"] = formatdate(now, usegmt=True)
            headers["Retry-After"] = formatdate(now + rule.seconds, usegmt=True)
        else:
            headers["Retry-After"] = f"{rule.seconds:g}"
    if rule.quota is not None:
        headers |= {"X-RateLimit-Quota": str(rule.quota), "X-RateLimit-Period": "60"}
    return headers


async def _altered(rule: Rule, call: Call, right: web.StreamResponse) -> web.StreamResponse:
    if not isinstance(right, web.Response):
        return right  # a stream, which has begun
    if rule.fault == "skew":
        right.headers["Date"] = formatdate(call.world.clock() / 1000 + (rule.seconds or 0), usegmt=True)
        return right
    body = _bytes(right)
    if rule.fault == "drift":
        if right.status == 200:
            right.body = drifted(body, rule.member, rule.change)
        return right
    transport = call.request.transport if call.request is not None else None
    if transport is None:
        raise Dropped
    lines = [f"HTTP/1.1 {right.status} {HTTPStatus(right.status).phrase}", "Content-Type: application/json"]
    framing = rule.framing if rule.fault == "truncate" else "length"
    lines.append(
        {
            "length": f"Content-Length: {len(body)}",
            "chunked": "Transfer-Encoding: chunked",
            "close": "Connection: close",
        }[framing]
    )
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if rule.fault == "truncate":
        kept = body[: rule.bytes]
        transport.write(
            head + (b"%x\r\n%s\r\n" % (len(kept), kept) if kept and framing == "chunked" else kept)
        )
        transport.close()
        raise Dropped(at_once=False)
    for each in head + body:
        if transport.is_closing():
            break
        transport.write(bytes((each,)))
        await asyncio.sleep(rule.seconds or 0)
    transport.close()
    raise Dropped(at_once=False)


async def _silence(call: Call, seconds: float | None) -> None:
    """Say nothing for a while, or until nobody listens."""
    until = time.monotonic() + (seconds if seconds is not None else 1e9)
    while time.monotonic() < until:
        transport = call.request.transport if call.request is not None else None
        if transport is None or transport.is_closing():
            raise Dropped
        await asyncio.sleep(min(0.01, max(0.0, until - time.monotonic())))


def _answer(
    status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json"
) -> web.Response:
    return web.Response(status=status, body=body, headers=headers, content_type=kind)


def _bytes(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return body if isinstance(body, bytes) else b""


# Broken bodies


def _with(extra: bytes) -> Callable[[bytes], bytes]:
    """The right answer with one member more; only that, where it is no object."""

    def broken(right: bytes) -> bytes:
        trimmed = right.rstrip()
        if trimmed[:1] != b"{" or trimmed[-1:] != b"}":
            return b"{" + extra + b"}"
        return trimmed[:-1] + (b"," if trimmed[1:-1].strip() else b"") + extra + b"}"

    return broken


def _twice(right: bytes) -> bytes:
    """The right answer, whose members all come again, empty."""
    try:
        value = orjson.loads(right)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not value:
        return b'{"error": "", "error": ""}'
    empty = {name: _emptied(member) for name, member in value.items()}
    return right.rstrip()[:-1] + b"," + orjson.dumps(empty)[1:]


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {}
    if isinstance(value, list):
        return []
    return "" if isinstance(value, str) else None


def _always(body: bytes) -> Callable[[bytes], bytes]:
    return lambda right: body


EMBEDDED = ("nan", "infinity", "deep", "digits", "surrogate", "duplicates", "two", "half", "bytes", "utf-16")
"""Of BODIES those that are made of the right answer."""

BODIES: dict[str, Callable[[bytes], bytes]] = {
    "html": _always(b"<!DOCTYPE html><html><body>Please log in to use this network</body></html>"),
    "empty": _always(b""),
    "blank": _always(b" \r\n"),
    "null": _always(b"null"),
    "true": _always(b"true"),
    "number": _always(b"7"),
    "text": _always(b'"ok"'),
    "list": _always(b"[]"),
    "list of nulls": _always(b"[null]"),
    "object": _always(b"{}"),
    "strange object": _always(b'{"message": "welcome"}'),
    "error": _always(b'{"error": "something went wrong"}'),
    "nan": _with(b'"%s": NaN' % ADDED.encode()),
    "infinity": _with(b'"%s": 1e999' % ADDED.encode()),
    "deep": _with(b'"%s": ' % ADDED.encode() + b"[" * 10_000 + b"]" * 10_000),
    "digits": _with(b'"%s": ' % ADDED.encode() + b"9" * 5_000),
    "surrogate": _with(b'"%s": "\\ud800"' % ADDED.encode()),
    "bytes": _with(b'"%s": "\xff\xfe"' % ADDED.encode()),
    "duplicates": _twice,
    "two": lambda right: right * 2,
    "half": lambda right: right[: len(right) // 2],
    "utf-16": lambda right: right.decode("utf-8", "replace").encode("utf-16"),
}
"""By name: makes a broken body, of the right one ("" when the request was not carried out)."""

_TYPES = {"html": "text/html", "empty": "text/plain"}
_PHRASES = {
    401: "unauthorized: invalid or expired token",
    403: "forbidden",
    404: "not found",
    409: "conflict",
    413: "Payload too large",
    429: "rate limit exceeded",
}


# Drift


def drifted(body: bytes, member: str, change: str) -> bytes:
    """A JSON body with one member changed; the body itself where it has no such member.

    Args:
        member: as of `Rule`.
        change: as of `Rule`; `add` puts a member into the object that `member` names ("" is the whole).
    """
    try:
        value = orjson.loads(body)
    except ValueError:
        return body
    steps = member.split(".") if member else []
    holder = value
    for step in steps if change == "add" else steps[:-1]:
        found, name = _step(holder, step)
        if not found:
            return body
        holder = holder[name]
    if change == "add":
        if not isinstance(holder, dict):
            return body
        holder[ADDED] = {"since": 1, "of": ["nobody", None]}
        return orjson.dumps(value)
    found, name = _step(holder, steps[-1])
    if not found:
        return body
    match change:
        case "remove":
            del holder[name]
        case "rename":
            if not isinstance(holder, dict):
                return body
            holder[f"{name}{RENAMED}"] = holder.pop(name)
        case "null":
            holder[name] = None
        case _:
            holder[name] = _of_other_type(holder[name])
    return orjson.dumps(value)


def _step(holder: Any, step: str) -> tuple[bool, Any]:
    if isinstance(holder, dict):
        if step == "*":
            return bool(holder), next(iter(holder), None)
        return step in holder, step
    if isinstance(holder, list):
        place = 0 if step == "*" else int(step) if step.isdecimal() else len(holder)
        return place < len(holder), place
    return False, None


def _of_other_type(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict):
        return [value]
    return str(value) if not isinstance(value, list) else {"values": value}
