"""Detection logic: the half of a D&R rule that decides, over one event at a time.

The semantics are those of the public documentation (reference: detection logic operators). What it leaves
open, or what only the cloud holds, is not guessed: a rule that needs it is refused by name, and a condition
that turns on it is neither true nor false. `and` is false as soon as one part is, `or` is true as soon as
one is, so what is open does not always matter.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Verdict = bool | None
"""None when the documentation does not say."""


class BadRule(ValueError):
    """One sentence: what is wrong with a rule, or what it needs that is not here."""


@dataclass(slots=True)
class Run:
    """One evaluation of a rule over one event."""

    subject: dict[str, Any]
    now: int
    """Seconds, UTC: what `is older than` compares with."""
    evaluations: int = 0
    open: list[str] = field(default_factory=list)
    """Why a condition is neither true nor false."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What lookups found, by name."""
    trace: list[str] | None = None


Check = Callable[[Run], Verdict]
Lookups = dict[str, dict[str, Any]]

PLATFORMS = {
    "windows": 0x10000000, "linux": 0x20000000, "macos": 0x30000000, "ios": 0x40000000,
    "android": 0x50000000, "chrome": 0x60000000, "vpn": 0x70000000, "text": 0x80000000,
    "json": 0x90000000, "gcp": 0xA0000000, "aws": 0xB0000000, "carbon_black": 0xC0000000,
    "1password": 0xD0000000, "office365": 0xE0000000, "sophos": 0xF0000000, "crowdstrike": 0x01000000,
    "xml": 0x02000000, "wel": 0x03000000, "msdefender": 0x04000000, "duo": 0x05000000, "okta": 0x06000000,
    "sentinel_one": 0x07000000, "github": 0x08000000, "slack": 0x09000000, "cef": 0x0A000000,
}  # fmt: skip
"""Codes of the id schema. They are compared whole: 0x11000000 is a platform of its own."""

_SHORT = {
    "is windows": "windows", "is linux": "linux", "is mac": "macos", "is chrome": "chrome",
    "is text": "text", "is json": "json", "is gcp": "gcp", "is carbon_black": "carbon_black",
}  # fmt: skip
_BITS: dict[str, frozenset[int]] = {
    "is 32 bit": frozenset({1}),
    "is 64 bit": frozenset({2}),
    "is arm": frozenset({3}),
}
_CLOUD_ONLY = ("external", "yara", "ask ai")
_STATEFUL = ("with child", "with descendant", "with events")
_TARGETS = ("edr", "detection", "deployment", "artifact_event", "schedule", "audit", "billing")
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/32"),
        *("::1/128", "fe80::/10", "ff00::/8", "fec0::/10", "::/128"),
    )
)
_UNLISTED = tuple(map(ipaddress.ip_network, ("240.0.0.0/4", "0.0.0.0/8")))
_ODD_LETTERS = frozenset("\u0130\u017f\u212a")
"""Letters that the two possible ways of ignoring case treat differently."""


# Paths


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _below(value: Any) -> Iterator[Any]:
    yield value
    for child in _children(value):
        yield from _below(child)


def _keyed(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if key in value:
            yield value[key]
    elif isinstance(value, list):
        # A list is transparent: every element is searched.
        for element in value:
            yield from _keyed(element, key)


def _any_key(value: Any, transparent: bool) -> Iterator[Any]:
    if isinstance(value, list) and transparent:
        for element in value:
            if isinstance(element, dict | list):
                yield from _any_key(element, transparent)
            else:
                yield element
    else:
        yield from _children(value)


def values_at(subject: Any, path: str, *, transparent: bool = False) -> list[Any]:
    """The values at a path, none when it is not there.

    Args:
        path: keys with `/` between them; `?` is one level, `*` is any number of levels.
        transparent: how `?` reads a list: as its index, or not at all, as the next key.
    """
    found = [subject]
    for part in filter(None, path.split("/")):
        if part == "*":
            found = [below for value in found for below in _below(value)]
        elif part == "?":
            found = [child for value in found for child in _any_key(value, transparent)]
        else:
            found = [inner for value in found for inner in _keyed(value, part)]
    return found


def _flat(values: list[Any]) -> list[Any]:
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


# Text


def folded(text: str) -> str:
    """A text without its case, letter by letter: no letter becomes two."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


_REFUSED = (
    ("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"), ("(?<!", "look-behind"),
    ("(?>", "an atomic group"), ("(?#", "a comment"), ("(?P=", "a back-reference"), ("(?(", "a condition"),
)  # fmt: skip


@lru_cache(maxsize=1024)
def expression(text: str, case_sensitive: bool) -> "re.Pattern[str]":
    """A regular expression of RE2's syntax, as far as this machine's engine can be made to agree with it.

    Raises:
        BadRule: it is none, or cannot.
    """
    made: list[str] = []
    place, inside = 0, False
    while place < len(text):
        letter, pair = text[place], text[place : place + 2]
        if letter == "\\":
            if len(pair) < 2:
                raise BadRule(f"the regular expression {text!r} ends in the middle of an escape")
            if pair[1] in "123456789":
                raise BadRule(f"the regular expression {text!r} uses a back-reference, which RE2 has not")
            if pair[1] in "pPQECX" or (pair[1] == "Z"):
                raise BadRule(f"the regular expression {text!r} uses {pair}, which is not evaluated here")
            # RE2's \s has no vertical tab, and its end of text is \z.
            made.append(
                {"\\z": "\\Z", "\\s": "\\t\\n\\f\\r " if inside else "[\\t\\n\\f\\r ]"}.get(pair, pair)
            )
            place += 2
            continue
        if inside:
            if text.startswith("[:", place):
                raise BadRule(f"the regular expression {text!r} uses a POSIX class, not evaluated here")
            inside = letter != "]"
            # Signs that Python may one day take for operations on sets.
            letter = f"\\{letter}" if letter in "[&~|" else letter
        elif letter == "[":
            inside = True
            # A bracket that comes first is meant literally.
            skip = 2 if text.startswith("[^]", place) else 1 if text.startswith("[]", place) else 0
            if skip:
                made.append(text[place : place + skip] + "\\]")
                place += skip + 1
                continue
        elif letter == "$" and "(?m" not in text:
            letter = "\\Z"
        elif letter == "(":
            for start, name in _REFUSED:
                if text.startswith(start, place):
                    raise BadRule(f"the regular expression {text!r} uses {name}, which RE2 has not")
        elif letter == "+" and place and text[place - 1] in "*+?}" and text[place - 2 : place - 1] != "\\":
            raise BadRule(f"the regular expression {text!r} repeats a repetition, which RE2 has not")
        made.append(letter)
        place += 1
    try:
        return re.compile("".join(made), re.ASCII | (0 if case_sensitive else re.IGNORECASE))
    except (re.error, OverflowError) as problem:
        raise BadRule(f"the regular expression {text!r} does not compile: {problem}") from None


def _distance(left: str, right: str) -> int:
    before = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            current.append(min(before[column] + 1, current[-1] + 1, before[column - 1] + (letter != other)))
        before = current
    return before[-1]


def _address(value: Any) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    if not isinstance(value, str):
        return None
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None


def is_private(value: Any, version: int = 0) -> Verdict:
    """Whether a value is a private address (docs: shared address space counts, loopback does not)."""
    found = _address(value)
    if found is None or (version and found.version != version):
        return False
    return any(found in network for network in _PRIVATE if network.version == found.version)


def is_public(value: Any, version: int = 0) -> Verdict:
    """Whether a value is a public address: none of the ranges that the documentation lists."""
    found = _address(value)
    if found is None or (version and found.version != version):
        return False
    for networks, verdict in ((_PRIVATE, False), (_SPECIAL, False), (_UNLISTED, None)):
        if any(found in network for network in networks if network.version == found.version):
            return verdict
    return True


# Comparisons of one value of the event with one value of the rule


def equal(actual: Any, wanted: Any) -> Verdict:
    """Whether two values are the same; text, numbers and booleans are never the same as each other."""
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return isinstance(actual, bool) and isinstance(wanted, bool) and actual == wanted
    if isinstance(actual, int | float) and isinstance(wanted, int | float):
        return None if type(actual) is not type(wanted) and actual == wanted else actual == wanted
    return isinstance(actual, str) and isinstance(wanted, str) and actual == wanted


def _within(text: str, wanted: str, count: int) -> Verdict:
    if not wanted:
        return None
    plain = text.count(wanted)
    if count <= 1:
        return plain > 0
    overlapping = sum(text.startswith(wanted, place) for place in range(len(text)))
    return (plain >= count) if (plain >= count) == (overlapping >= count) else None


def greater(actual: Any, wanted: Any) -> Verdict:
    """Whether a number is greater than another; None for a number against text that could be one."""
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return False
    if isinstance(actual, int | float) and isinstance(wanted, int | float):
        return actual > wanted
    if isinstance(actual, str | int | float) and isinstance(wanted, str | int | float):
        try:
            float(actual), float(wanted)
        except ValueError:
            return False
        return None
    return False


def _some(verdicts: Iterator[Verdict]) -> Verdict:
    """`or`: one that is true decides."""
    answer: Verdict = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            answer = None
    return answer


# Rules


def _key(node: dict[str, Any], key: str, kinds: tuple[type, ...], at: str, *, needed: bool = True) -> Any:
    if key not in node:
        if needed:
            raise BadRule(f"{at}: the operator {node.get('op')!r} needs {key!r}")
        return None
    value = node[key]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise BadRule(f"{at}: {key!r} has to be {names}")
    return value


def _flag(node: dict[str, Any], key: str, at: str, default: bool = False) -> bool:
    value = _key(node, key, (bool,), at, needed=False)
    return default if value is None else bool(value)


def _transform(node: dict[str, Any], at: str) -> Callable[[Any], list[Any]]:
    """What `file name` and `sub domain` make of a value."""
    file_name = _flag(node, "file name", at)
    spec = _key(node, "sub domain", (str, int), at, needed=False)
    if spec is None:
        if not file_name:
            return lambda value: [value]
        return lambda value: [re.split(r"[\\/]", value)[-1]] if isinstance(value, str) else [value]
    match = re.fullmatch(r"(-?\d*)(:?)(-?\d*)", str(spec))
    if match is None or (not match[1] and not match[2]):
        raise BadRule(f"{at}: 'sub domain' has to be a slice of the labels, like 0:2, -1 or 1:")
    first, colon, last = match[1], match[2], match[3]

    def labels(value: Any) -> list[Any]:
        if not isinstance(value, str):
            return [value]
        parts = value.split(".")
        if not colon:
            place = int(first)
            return [parts[place]] if -len(parts) <= place < len(parts) else []
        if not first and not last:
            return list(parts)
        chosen = parts[int(first) if first else None : int(last) if last else None]
        return [".".join(chosen)] if chosen else []

    return labels


class Logic:
    """A rule's detection half, checked as a whole before anything is evaluated."""

    def __init__(self, detect: Any, *, lookups: Lookups | None = None, relative: bool = False) -> None:
        """Check a rule.

        Args:
            detect: its root.
            lookups: what `lookup` may ask: name -> indicator -> metadata. The cloud's replay reads none of
                the organization's own either (docs: services, replay).
            relative: it is applied to something that is no event, like a lookup's metadata.

        Raises:
            BadRule: it is wrong, or needs what is not here.
        """
        self._lookups = lookups
        if not isinstance(detect, dict):
            raise BadRule("detect: has to be an object with an operator")
        if not detect:
            raise BadRule("detect: is empty")
        target = detect.get("target", "edr")
        if target in ("artifact", "log"):
            raise BadRule(f"detect: the target {target!r} is not evaluated here, it needs parsed files")
        if target not in _TARGETS:
            raise BadRule(f"detect: unknown target {target!r}")
        self.target: str = target
        self.events = self._selector(detect, "detect")
        self._root = self._node(detect, "detect", root=not relative)

    def evaluate(self, run: Run) -> Verdict:
        """Whether the rule matches; None when that is open, with the reasons in the run."""
        verdict = self._root(run)
        if verdict is not None:
            run.open.clear()
        return verdict

    def _selector(self, node: dict[str, Any], at: str) -> frozenset[str] | None:
        if "event" in node and "events" in node:
            raise BadRule(f"{at}: 'event' and 'events' together are not documented")
        if "event" in node:
            return frozenset({_key(node, "event", (str,), at)}) - {"*"} or None
        if "events" in node:
            names = _key(node, "events", (list,), at)
            if not all(isinstance(name, str) for name in names):
                raise BadRule(f"{at}: 'events' has to be a list of names")
            return None if "*" in names else frozenset(names)
        return None

    def _type(self, subject: dict[str, Any]) -> Any:
        if self.target == "detection":
            return subject.get("cat")
        routing = subject.get("routing")
        return routing.get("event_type") if isinstance(routing, dict) else None

    def _node(self, node: Any, at: str, *, root: bool = False) -> Check:
        if not isinstance(node, dict):
            raise BadRule(f"{at}: a condition has to be an object")
        operator = node.get("op")
        if not isinstance(operator, str):
            raise BadRule(f"{at}: 'op' is missing")
        for name in _STATEFUL:
            if name in node:
                raise BadRule(f"{at}: {name!r} needs earlier and later events, which is not evaluated here")
        if operator in _CLOUD_ONLY:
            raise BadRule(f"{at}: the operator {operator!r} needs what only the cloud has")
        if operator != "contains" and "count" in node:
            raise BadRule(f"{at}: 'count' outside of a stateful rule is not documented")
        make = _OPERATORS.get(operator)
        if make is None:
            raise BadRule(f"{at}: unknown operator {operator!r}")
        check = make(self, node, at)
        negated, types = _flag(node, "not", at), self._selector(node, at)
        times = "times" in node

        def whole(run: Run) -> Verdict:
            if types is not None and self._type(run.subject) not in types:
                if negated and not root:
                    return self._open(run, at, "`not` beside an event type that does not fit")
                return False
            run.evaluations += 1
            verdict = check(run)
            if times and verdict:
                verdict = self._open(run, at, "the clock of 'times' is not documented")
            if verdict is not None and negated:
                verdict = not verdict
            if run.trace is not None:
                shown = {True: "match", False: "no match", None: "open"}[verdict]
                run.trace.append(f"{at}: {'not ' if negated else ''}{operator}: {shown}")
            return verdict

        return whole

    def _open(self, run: Run, at: str, why: str) -> Verdict:
        run.open.append(f"{at}: {why}")
        return None

    def _joined(self, node: dict[str, Any], at: str) -> Check:
        rules = _key(node, "rules", (list,), at)
        if not rules:
            raise BadRule(f"{at}: 'rules' is empty")
        checks = [self._node(rule, f"{at}/rules/{place}") for place, rule in enumerate(rules)]
        # The verdict that decides at once: false for `and`, true for `or`.
        decides = node["op"] == "or"

        def joined(run: Run) -> Verdict:
            answer: Verdict = not decides
            for check in checks:
                verdict = check(run)
                if verdict is decides:
                    return decides
                if verdict is None:
                    answer = None
            return answer

        return joined

    def _over(
        self, path: str, at: str, test: Callable[[Run, list[Any]], Verdict], *, flat: bool = True
    ) -> Check:
        """A test of the values at a path, under both readings of what the documentation leaves open."""
        wild = "?" in path.split("/")

        def over(run: Run) -> Verdict:
            found = values_at(run.subject, path)
            verdict = test(run, found)
            others = []
            if wild:
                others.append(values_at(run.subject, path, transparent=True))
            if flat and any(isinstance(value, list) for value in found):
                others.append(_flat(found))
            if any(other != found and test(run, other) is not verdict for other in others):
                return self._open(run, at, f"{path} reads a list in two ways")
            return verdict

        return over

    def _wanted(self, value: Any, at: str) -> Callable[[Run], list[Any] | None]:
        """The values that a rule compares with: its own, or those at another path of the event."""
        if isinstance(value, str):
            if value.startswith("<<") and value.endswith(">>"):
                other = value[2:-2]
                return lambda run: values_at(run.subject, other)
            if (value.startswith("[[") and value.endswith("]]")) or "{{" in value:

                def unknown(run: Run) -> None:
                    self._open(run, at, f"{value} is filled in by the cloud")

                return unknown
        return lambda run: [value]

    def _compared(
        self, node: dict[str, Any], at: str, kinds: tuple[type, ...], test: Callable[[Any, Any], Verdict]
    ) -> Check:
        path = _key(node, "path", (str,), at)
        wanted = self._wanted(_key(node, "value", kinds, at), at)
        sensitive = _flag(node, "case sensitive", at, default=True)
        change = _transform(node, at)

        def one(run: Run, actual: Any, value: Any) -> Verdict:
            if not sensitive and isinstance(actual, str) and isinstance(value, str):
                if _ODD_LETTERS & set(actual + value):
                    return self._open(run, at, "the case of such letters is not documented")
                actual, value = folded(actual), folded(value)
            return test(actual, value)

        def compared(run: Run, found: list[Any]) -> Verdict:
            values = wanted(run)
            if values is None:
                return None
            verdict = _some(
                one(run, actual, value) for each in found for actual in change(each) for value in values
            )
            if verdict is None and not run.open:
                self._open(run, at, "this comparison is not documented")
            return verdict

        return self._over(path, at, compared)

    def _is(self, node: dict[str, Any], at: str) -> Check:
        return self._compared(node, at, (str, int, float, bool), equal)

    def _contains(self, node: dict[str, Any], at: str) -> Check:
        count = _key(node, "count", (int,), at, needed=False) or 1
        return self._compared(
            node,
            at,
            (str,),
            lambda actual, value: (
                isinstance(actual, str) and isinstance(value, str) and _within(actual, value, count)
            ),
        )

    def _affix(self, node: dict[str, Any], at: str) -> Check:
        method = str.startswith if node["op"] == "starts with" else str.endswith

        def test(actual: Any, value: Any) -> Verdict:
            if not isinstance(actual, str) or not isinstance(value, str):
                return False
            return method(actual, value) if value else None

        return self._compared(node, at, (str,), test)

    def _exists(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        truthy = _flag(node, "truthy", at)

        def exists(run: Run, found: list[Any]) -> Verdict:
            if path.split("/")[-1] == "*" and found and all(value in ({}, []) for value in found):
                return self._open(run, at, f"{path} of something empty is not documented")
            return any(not truthy or value not in (None, "") for value in found)

        return self._over(path, at, exists, flat=False)

    def _sized(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        wanted = self._wanted(_key(node, "value", (int, float, str), at), at)
        length, lower = _flag(node, "length of", at), node["op"] == "is lower than"

        def size(run: Run, value: Any) -> Any:
            if isinstance(value, str) and not value.isascii():
                return self._open(run, at, "the length of such text is not documented")
            return len(value) if isinstance(value, str | list | dict) else False

        def sized(run: Run, found: list[Any]) -> Verdict:
            values = wanted(run)
            if values is None:
                return None
            actuals = [size(run, value) for value in found] if length else found
            verdict = _some(
                None
                if length and actual is None
                else greater(*((value, actual) if lower else (actual, value)))
                for actual in actuals
                for value in values
            )
            if verdict is None and not run.open:
                self._open(run, at, "a number against text is not documented")
            return verdict

        return self._over(path, at, sized, flat=not length)

    def _matches(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        # The one operator that ignores case unless told otherwise.
        pattern = expression(_key(node, "re", (str,), at), _flag(node, "case sensitive", at))
        change = _transform(node, at)
        return self._over(
            path,
            at,
            lambda run, found: any(
                isinstance(value, str) and pattern.search(value) is not None
                for each in found
                for value in change(each)
            ),
        )

    def _distant(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        value = _key(node, "value", (str, list), at)
        most = _key(node, "max", (int,), at)
        wanted = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) for one in wanted):
            raise BadRule(f"{at}: 'value' has to be text or a list of it")
        change = _transform(node, at)

        def near(run: Run, found: list[Any]) -> Verdict:
            texts = [text for each in found for text in change(each) if isinstance(text, str)]
            exact = any(_distance(text, one) <= most for text in texts for one in wanted)
            loose = any(_distance(folded(text), folded(one)) <= most for text in texts for one in wanted)
            if exact is not loose:
                return self._open(run, at, "the case of 'string distance' is not documented")
            return exact

        return self._over(path, at, near)

    def _cidr(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        try:
            network = ipaddress.ip_network(_key(node, "cidr", (str,), at), strict=False)
        except ValueError:
            raise BadRule(f"{at}: 'cidr' is no network") from None

        def inside(value: Any) -> bool:
            found = _address(value)
            return found is not None and found.version == network.version and found in network

        return self._over(path, at, lambda run, found: any(map(inside, found)))

    def _reachable(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        _, kind, *rest = node["op"].split()
        version = {"ipv4": 4, "ipv6": 6}.get(rest[0], 0)
        test = is_private if kind == "private" else is_public

        def reachable(run: Run, found: list[Any]) -> Verdict:
            verdict = _some(test(value, version) for value in found)
            return self._open(run, at, "such an address is not documented") if verdict is None else verdict

        return self._over(path, at, reachable)

    def _routed(self, run: Run, name: str) -> Any:
        routing = run.subject.get("routing")
        return routing.get(name) if isinstance(routing, dict) else None

    def _platform(self, node: dict[str, Any], at: str) -> Check:
        name = _SHORT.get(node["op"]) or _key(node, "name", (str,), at)

        def platform(run: Run) -> Verdict:
            actual = self._routed(run, "plat")
            if name not in PLATFORMS or not isinstance(actual, int):
                return self._open(run, at, f"the platform {name!r} cannot be told from this event")
            return actual == PLATFORMS[name]

        return platform

    def _bits(self, node: dict[str, Any], at: str) -> Check:
        wanted = _BITS[node["op"]]

        def bits(run: Run) -> Verdict:
            actual = self._routed(run, "arch")
            if actual not in (1, 2, 3):
                return self._open(run, at, "what this architecture counts as is not documented")
            return actual in wanted

        return bits

    def _tagged(self, node: dict[str, Any], at: str) -> Check:
        tag = _key(node, "tag", (str,), at)

        def tagged(run: Run) -> Verdict:
            held = self._routed(run, "tags")
            if not isinstance(held, list):
                return self._open(run, at, "the tags of the sensor are not in this event")
            if tag not in held and folded(tag) in [folded(one) for one in held if isinstance(one, str)]:
                return self._open(run, at, "the case of tags is not documented")
            return tag in held

        return tagged

    def _scope(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        rule = self._node(_key(node, "rule", (dict,), at), f"{at}/rule")

        def scope(run: Run, found: list[Any]) -> Verdict:
            outside = run.subject

            def one(element: Any) -> Verdict:
                run.subject = {**outside, "event": element}
                try:
                    return rule(run)
                finally:
                    run.subject = outside

            return _some(one(element) for element in _flat(found))

        return self._over(path, at, scope, flat=False)

    def _older(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        seconds = _key(node, "seconds", (int,), at)

        def older(run: Run, found: list[Any]) -> Verdict:
            def one(value: Any) -> Verdict:
                if isinstance(value, str):
                    return self._open(run, at, "the age of text is not documented")
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return False
                # Seconds, or milliseconds when it would be too far ahead otherwise.
                return bool(run.now - (value / 1000 if value > 10**11 else value) > seconds)

            return _some(map(one, found))

        return self._over(path, at, older)

    def _lookup(self, node: dict[str, Any], at: str) -> Check:
        path = _key(node, "path", (str,), at)
        resource = _key(node, "resource", (str,), at)
        if not resource.startswith("hive://lookup/"):
            raise BadRule(f"{at}: the operator 'lookup' with {resource!r} is not supported in replay")
        name = resource.removeprefix("hive://lookup/")
        if self._lookups is None or name not in self._lookups:
            raise BadRule(
                f'lookup "{name}" is not available in replay: supply it in the request\'s "lookups" field'
            )
        entries = self._lookups[name]
        lowered = not _flag(node, "case sensitive", at, default=True)
        change = _transform(node, at)
        further = node.get("metadata_rules")
        rules = None if further is None else Logic(further, lookups=self._lookups, relative=True)

        def lookup(run: Run, found: list[Any]) -> Verdict:
            def one(value: Any) -> Verdict:
                metadata = (
                    entries.get(value.lower() if lowered else value) if isinstance(value, str) else None
                )
                if metadata is None:
                    return False
                if rules is not None:
                    inner = Run(metadata if isinstance(metadata, dict) else {}, run.now)
                    verdict = rules.evaluate(inner)
                    run.open += inner.open
                    if not verdict:
                        return verdict
                run.metadata[name] = metadata
                return True

            return _some(one(value) for each in found for value in change(each))

        return self._over(path, at, lookup)


_OPERATORS: dict[str, Callable[[Logic, dict[str, Any], str], Check]] = {
    "and": Logic._joined,
    "or": Logic._joined,
    "is": Logic._is,
    "exists": Logic._exists,
    "contains": Logic._contains,
    "starts with": Logic._affix,
    "ends with": Logic._affix,
    "is greater than": Logic._sized,
    "is lower than": Logic._sized,
    "matches": Logic._matches,
    "string distance": Logic._distant,
    "cidr": Logic._cidr,
    "is platform": Logic._platform,
    **dict.fromkeys(_SHORT, Logic._platform),
    **dict.fromkeys(_BITS, Logic._bits),
    **{
        f"is {kind} {version}address": Logic._reachable
        for kind in ("private", "public")
        for version in ("", "ipv4 ", "ipv6 ")
    },
    "is tagged": Logic._tagged,
    "scope": Logic._scope,
    "is older than": Logic._older,
    "lookup": Logic._lookup,
}


# Responses and tests

_TEMPLATE = re.compile(r"\{\{\s*\.([^{}|\s()]+)\s*\}\}")


def rendered(text: str, subject: dict[str, Any]) -> str:
    """A report's name with its plain paths filled in, `{{ .routing.hostname }}`; the rest is left alone."""

    def value(match: "re.Match[str]") -> str:
        found = values_at(subject, match[1].replace(".", "/"))
        return str(found[0]) if found and isinstance(found[0], str | int | float) else match[0]

    return _TEMPLATE.sub(value, text)


def actions(
    respond: list[dict[str, Any]], event: dict[str, Any], run: Run, *, rule: str = "", namespace: str = ""
) -> list[dict[str, Any]]:
    """What a rule that matched would do: [{action, data}]. Suppression counts over time: it is left out."""
    done = []
    for action in respond:
        if action.get("action") != "report":
            done.append({"action": action.get("action"), "data": action})
            continue
        detection: dict[str, Any] = {
            "cat": "",
            "detect": event,
            "routing": event.get("routing", {}),
            "detect_mtd": action.get("metadata") or {},
            "detect_data": action.get("detect_data") or {},
            "priority": action.get("priority", 0),
            "namespace": namespace,
            "source_rule": f"{namespace}.{rule}" if rule else "",
            "mtd": run.metadata or None,
        }
        subject = {**detection, "event": event.get("event", {})}
        detection["cat"] = rendered(str(action.get("name", "")), subject)
        done.append({"action": "report", "data": detection})
    return done


def checked_response(respond: Any) -> list[dict[str, Any]]:
    """The actions of a rule.

    Raises:
        BadRule: they are no list of actions.
    """
    if respond is None:
        return []
    if not isinstance(respond, list) or not all(
        isinstance(action, dict) and isinstance(action.get("action"), str) for action in respond
    ):
        raise BadRule("respond: has to be a list of actions")
    for place, action in enumerate(respond):
        if action["action"] == "report" and not isinstance(action.get("name"), str):
            raise BadRule(f"respond/{place}: a report needs a 'name'")
    return respond


def failures(rule: dict[str, Any], now: int) -> list[str]:
    """The tests of a rule that do not pass, one sentence each (docs: unit tests).

    Args:
        now: seconds, UTC.

    Raises:
        BadRule: the rule is wrong, needs what is not here, or its tests are no tests.
    """
    tests = rule.get("tests") or {}
    logic = Logic(rule.get("detect"))
    if not isinstance(tests, dict) or not set(tests) <= {"match", "non_match"}:
        raise BadRule("tests: has to be an object with 'match' and 'non_match'")
    found = []
    for name in ("match", "non_match"):
        wanted = name == "match"
        for number, events in enumerate(tests.get(name) or [], 1):
            if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
                raise BadRule(f"tests/{name}: each test has to be a list of events")
            kinds = [logic._type(event) for event in events]
            strange = [kind for kind in kinds if logic.events is not None and kind not in logic.events]
            if wanted and strange:
                expected = ", ".join(sorted(logic.events or ()))
                found.append(f"match test {number} holds an event of type {strange[0]}, expected {expected}")
                continue
            matched = _some(logic.evaluate(Run(event, now)) for event in events)
            # What is open fails nothing.
            if matched is not None and matched is not wanted:
                found.append(f"{name} test {number} {'did not match' if wanted else 'matched'}")
    return found
