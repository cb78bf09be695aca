"""Detection logic: the half of a rule that decides, over one event (or one detection) at a time.

The semantics are those of the public documentation (reference: detection logic operators). What it leaves
open, and what only the cloud holds, is never guessed: a condition that turns on it is neither true nor false,
with a reason. `and` is false as soon as one part is, `or` is true as soon as one is, so what is open does
not always matter. No engine of LimaCharlie's is public: a result is what the documentation says would happen.

A rule is checked as a whole, then compiled once to closures.
"""

import difflib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from store.logic.paths import Path, flat, path_of
from store.logic.patterns import BadPattern, searching
from store.logic.values import (
    PLATFORMS,
    Verdict,
    agreed,
    equal,
    file_name,
    folded,
    greater,
    in_network,
    is_private,
    is_public,
    labels,
    longer,
    lowered,
    near,
    network_of,
    occurs,
    some,
)

Kind = Literal["dr", "fp"]
Lookups = Mapping[str, Mapping[str, Any]]

DEEPEST = 100
"""Conditions within conditions."""

TARGETS = ("edr", "detection", "deployment", "artifact_event", "schedule", "audit", "billing")
"""What is evaluated here on an object that somebody supplies."""

_SURELY_SECONDS, _SURELY_MILLISECONDS = 10**10, 10**12
"""Epochs of seconds up to the year 2286, of milliseconds from the year 2001 on. How the cloud tells one from
the other is not documented: what lies between could be read as either."""

STATEFUL = ("with child", "with descendant", "with events")

_ARTIFACT_OPERATORS = frozenset(
    {
        "is", "and", "or", "exists", "contains", "starts with", "ends with", "is greater than",
        "is lower than", "matches", "string distance", "lookup", "external", "yara",
    }
)  # fmt: skip
_ARTIFACT_FILTERS = ("artifact type", "artifact path", "artifact source", "log type", "log source")
_SHORT = {
    "is windows": "windows", "is linux": "linux", "is mac": "macos", "is chrome": "chrome",
    "is text": "text", "is json": "json", "is gcp": "gcp", "is carbon_black": "carbon_black",
}  # fmt: skip
_ARCHITECTURES = {"is 32 bit": 1, "is 64 bit": 2, "is arm": 3}
_ANYWHERE = frozenset(
    {
        "op", "not", "event", "events", "target", "times", "count", "within", "is stateless",
        "report latest event", *STATEFUL, *_ARTIFACT_FILTERS,
    }
)  # fmt: skip
_TEXT = ("path", "value", "case sensitive", "file name", "sub domain")


class InvalidRule(ValueError):
    """What is wrong with a rule, where, and what to do about it: one sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule says of one event."""

    value: Verdict
    """None: not evaluated here."""
    why: str = ""
    """Why it is None; else what a definite answer rests on besides the event, such as the clock."""


@dataclass(slots=True)
class Run:
    """One evaluation of a rule over one event."""

    subject: Any
    now: float
    """Seconds, UTC: what `is older than` compares with."""
    open: list[str] = field(default_factory=list)
    """Why a condition is neither true nor false, with the place of it."""
    evaluations: int = 0
    """Conditions looked at; counted where the rule was compiled to be observed."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What lookups found, by name."""
    trace: list[str] | None = None


Check = Callable[[Run], Verdict]
_Test = Callable[[Run, list[Any]], Verdict]


class Rule:
    """A rule that was checked as a whole. Evaluating never raises, whatever the event is."""

    def __init__(self, check: Check, compiler: "_Compiler", whole: str) -> None:
        self._check = check
        self._whole = whole
        self.kind: Kind = compiler.kind
        self.target: str = compiler.target
        self.events: frozenset[str] | None = compiler.events
        """The event types that its root selects; None for all."""
        self.stateful = tuple(compiler.stateful)
        """Where it needs earlier and later events."""
        self.needs = tuple(compiler.needs)
        """What it needs that is never here, or that is documented nowhere, with the place of it."""
        self.lookups = tuple(compiler.lookups)
        """Names of the lookups that it asks and that were not given."""
        self.warnings = tuple(compiler.warnings)
        """What is allowed and probably meant otherwise."""
        self._notes = tuple(compiler.notes)
        self._clocked = compiler.clocked

    @property
    def unevaluable(self) -> str:
        """Why no event can be evaluated; empty where it hangs on the event."""
        return self._whole

    def evaluate(self, event: Any, *, now: float | None = None) -> Result:
        """Whether the rule matches.

        Args:
            event: `{"event", "routing"}` as rules see it, or the whole detection for a false positive rule.
            now: seconds, UTC: the clock of `is older than`; this machine's by default.
        """
        moment = time.time() if now is None else now
        run = Run(event, moment)
        value = self.run(run)
        if value is None:
            return Result(None, "; ".join(dict.fromkeys(run.open)))
        if not (self._notes or self._clocked):
            return Result(value)
        clock = f"compared with the clock {_clock(moment)}"
        return Result(value, "; ".join([*self._notes, *([clock] if self._clocked else [])]))

    def run(self, run: Run) -> Verdict:
        """As `evaluate`, with the reasons, counts and traces left in the run."""
        if self._whole:
            run.open.append(self._whole)
            return None
        try:
            value = self._check(run)
        except RecursionError:
            run.open.append("the event is nested too deeply to be compared")
            return None
        if value is not None:
            run.open.clear()
        return value


def compile_rule(
    detect: Any,
    *,
    kind: Kind = "dr",
    lookups: Lookups | None = None,
    observed: bool = False,
    wary: bool = False,
) -> Rule:
    """Check a rule as a whole and make it ready to evaluate.

    Args:
        detect: the content of `detect`, or the data of a false positive record, which is one condition.
        kind: `dr` for detection and response, `fp` for false positive rules.
        lookups: what `lookup` may ask: name -> indicator -> metadata. Without it a lookup is not evaluated.
        observed: count and trace each condition in the run.
        wary: a condition whose path leads nowhere is open rather than false. What a wary rule still answers
            does not rest on anything that the event lacks.

    Raises:
        InvalidRule: it means nothing, wherever in the tree that is.
    """
    compiler = _Compiler(kind, lookups, observed=observed, wary=wary)
    return compiler.compile(detect)


class _Compiler:
    """Makes closures of a tree, and keeps what was found on the way."""

    def __init__(self, kind: Kind, lookups: Lookups | None, *, observed: bool, wary: bool) -> None:
        self.kind = kind
        self.target = "detection" if kind == "fp" else "edr"
        self.events: frozenset[str] | None = None
        self.stateful: list[str] = []
        self.needs: list[str] = []
        self.warnings: list[str] = []
        self.lookups: list[str] = []
        self.notes: dict[str, None] = {}
        self.clocked = False
        self._lookups = lookups
        self._observed = observed
        self._wary = wary
        self._undecided = ""
        self._scopes = 0
        self._where = "detect" if kind == "dr" else "fp"

    def compile(self, detect: Any) -> Rule:
        at = self._where
        if not isinstance(detect, dict):
            raise InvalidRule(f"{at}: it has to be an object with an operator in 'op'")
        if not detect:
            raise InvalidRule(f"{at}: it is empty; give it an operator in 'op'")
        whole = self._target_of(detect)
        check = self._node(detect, at, root=True)
        whole = whole or self._undecided
        if self.stateful:
            whole = f"{self.stateful[0]} needs earlier and later events: run a cloud replay (stateful)"
        return Rule(check, self, whole)

    def _target_of(self, detect: dict[str, Any]) -> str:
        at = self._where
        target = detect.get("target", self.target)
        if self.kind == "fp":
            if "target" in detect:
                self.needs.append(f"{at}: a false positive rule has no 'target'")
                return f"{at}: a false positive rule has no 'target', and what it would do is not documented"
            return ""
        if not isinstance(target, str):
            raise InvalidRule(f"{at}: 'target' has to be text")
        self.target = target
        if target in TARGETS:
            return ""
        if target == "log":
            why = f"{at}: the target 'log' (now 'artifact') filters by what the line does not hold"
        elif target == "artifact":
            filters = [key for key in _ARTIFACT_FILTERS if key in detect]
            if not filters:
                return ""
            why = f"{at}: the target 'artifact' filters by {filters[0]!r}, which the line does not hold"
        else:
            raise InvalidRule(
                f"{at}: unknown target {target!r}{_nearest(target, (*TARGETS, 'artifact'))}; it is one of "
                f"{', '.join((*TARGETS, 'artifact'))}"
            )
        self.needs.append(why)
        return why

    # One condition

    def _node(self, node: Any, at: str, *, root: bool = False, sub: bool = False) -> Check:
        if not isinstance(node, dict):
            raise InvalidRule(f"{at}: a condition has to be an object with 'op'")
        if at.count("/") > 2 * DEEPEST:
            raise InvalidRule(f"{at[:60]}...: conditions are nested more than {DEEPEST} deep")
        operator = node.get("op")
        if operator is None:
            raise InvalidRule(f"{at}: 'op' is missing{_wrapped(node, self.kind) if root else ''}")
        if not isinstance(operator, str):
            raise InvalidRule(f"{at}: 'op' has to be the name of an operator")
        make = _OPERATORS.get(operator)
        if make is None:
            raise InvalidRule(
                f"{at}: unknown operator {operator!r}{_instead(operator) or _nearest(operator, _OPERATORS)}"
            )
        if self.target == "artifact" and operator not in _ARTIFACT_OPERATORS:
            raise InvalidRule(f"{at}: the operator {operator!r} does not exist for the target 'artifact'")
        self._review(node, operator, at)
        check = make(self, node, at)
        check = self._counted(node, operator, at, check, sub)
        negated = self._flag(node, "not", at)
        times = self._times(node, at)
        selects = self._selector(node, at, root=root)
        for name in STATEFUL:
            if name in node:
                self._node(node[name], f"{at}/{name}", sub=True)
                self.stateful.append(f"{at}: {name!r}")
        return self._whole(check, at, operator, selects, times=times, negated=negated, root=root)

    def _whole(
        self,
        check: Check,
        at: str,
        operator: str,
        selects: Callable[[Run], Verdict] | None,
        *,
        times: bool,
        negated: bool,
        root: bool,
    ) -> Check:
        """A condition with what may stand beside any operator."""
        if selects is None and not times and not self._observed:
            return _inverted(check) if negated else check
        clock = f"{at}: the clock of 'times' is not documented"
        beside = f"{at}: 'not' beside an event type that does not fit is not documented"
        doubtful = f"{at}: what this selector of events compares with is not documented"

        def whole(run: Run) -> Verdict:
            selected = True if selects is None else selects(run)
            if selected is False:
                if negated and not root:
                    run.open.append(beside)
                    return None
                return False
            run.evaluations += 1
            verdict = check(run)
            if times and (verdict or (negated and verdict is False)):
                run.open.append(clock)
                verdict = None
            if verdict is not None and negated:
                verdict = not verdict
            if selected is None and (verdict or (negated and not root)):
                run.open.append(doubtful)
                verdict = None
            if run.trace is not None:
                shown = {True: "match", False: "no match", None: "open"}[verdict]
                run.trace.append(f"{at}: {'not ' if negated else ''}{operator}: {shown}")
            return verdict

        return whole

    def _never(self, at: str, why: str) -> Check:
        """A condition that is open whatever the event is."""
        said = f"{at}: {why}"
        self.needs.append(said)

        def never(run: Run) -> Verdict:
            run.open.append(said)
            return None

        return never

    def _counted(self, node: dict[str, Any], operator: str, at: str, check: Check, sub: bool) -> Check:
        for name in ("count", "within"):
            self._key(node, name, (int,), at, needed=False)
        if sub or not ("within" in node or ("count" in node and operator != "contains")):
            return check
        return self._never(at, "'count' and 'within' outside of a stateful rule are not documented")

    def _times(self, node: dict[str, Any], at: str) -> bool:
        if "times" not in node:
            return False
        times = self._key(node, "times", (list,), at)
        if not all(isinstance(one, dict) for one in times):
            raise InvalidRule(f"{at}: 'times' has to be a list of descriptors (objects)")
        return True

    def _selector(self, node: dict[str, Any], at: str, *, root: bool) -> Callable[[Run], Verdict] | None:
        given: list[frozenset[str]] = []
        if "event" in node:
            given.append(frozenset({self._key(node, "event", (str,), at)}))
        if "events" in node:
            names = self._key(node, "events", (list,), at)
            if not all(isinstance(name, str) for name in names):
                raise InvalidRule(f"{at}: 'events' has to be a list of names")
            given.append(frozenset(names))
        if not given:
            return None
        if root and len(given) == 1 and "*" not in given[0] and given[0]:
            self.events = given[0]
        detection = self.kind == "dr" and self.target == "detection"
        if detection and len(given) == 1 and "*" in given[0]:
            return None
        nothing_to_select = self.kind == "fp" or self.target == "artifact"
        if nothing_to_select:
            self.warnings.append(f"{at}: a selector of events means nothing here; take it out")

        def fits(names: frozenset[str], actual: Any) -> Verdict:
            if not names:
                return None
            if actual in names:
                return True
            return (True if detection else None) if "*" in names else False

        def selects(run: Run) -> Verdict:
            if nothing_to_select:
                return None
            subject = run.subject
            actual: Any = None
            if isinstance(subject, dict):
                routing = subject.get("routing")
                if detection:
                    actual = subject.get("cat")
                elif isinstance(routing, dict):
                    actual = routing.get("event_type")
            if not isinstance(actual, str):
                actual = None
            return agreed([fits(names, actual) for names in given])

        return selects

    # Keys

    def _key(
        self, node: dict[str, Any], key: str, kinds: tuple[type, ...], at: str, *, needed: bool = True
    ) -> Any:
        if key not in node:
            if needed:
                raise InvalidRule(
                    f"{at}: the operator {node.get('op')!r} needs {key!r}{_mistaken(node, key)}"
                )
            return None
        value = node[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(_KINDS[kind] for kind in kinds if kind is not float or int not in kinds)
            raise InvalidRule(f"{at}: {key!r} has to be {names}")
        return value

    def _flag(self, node: dict[str, Any], key: str, at: str, default: bool = False) -> bool:
        value = self._key(node, key, (bool,), at, needed=False)
        return default if value is None else bool(value)

    def _review(self, node: dict[str, Any], operator: str, at: str) -> None:
        """Warn about what the cloud takes and what was probably meant otherwise."""
        known = _PARAMETERS[operator]
        for key in node:
            if key in _ANYWHERE or key in known:
                continue
            name = str(key)
            blank = name.replace("_", " ")
            hint = (
                f"; it is written {blank!r}"
                if blank != name and (blank in known or blank in _ANYWHERE)
                else _nearest(name, [*known, *_ANYWHERE])
            )
            self.warnings.append(f"{at}: {name!r} is no parameter of {operator!r} and has no effect{hint}")
        value = node.get("value")
        plain = operator in ("is", "contains", "starts with", "ends with")
        if plain and isinstance(value, str) and "*" in value:
            self.warnings.append(f"{at}: `*` in 'value' is an ordinary letter, not a wildcard")
        path = node.get("path")
        if isinstance(path, str):
            if self.kind == "fp" and path.lstrip("/").split("/")[0] == "event" and not self._scopes:
                self.warnings.append(
                    f"{at}: a detection has no 'event' at its root; the origin's is at 'detect/event'"
                )
            if isinstance(value, int) and not isinstance(value, bool) and path.endswith("EventID"):
                self.warnings.append(f"{at}: Windows events carry their id as text; quote {value}")

    # The values at a path

    def _over(self, node: dict[str, Any], at: str, test: _Test, *, listed: bool = False) -> Check:
        """A test of the values at a path, under every reading of what the documentation leaves open.

        Args:
            node: has the path.
            at: its place.
            test: of the values of one reading.
            listed: a list at the end of the path is meant as a list; otherwise whether its elements are
                compared is open.
        """
        path = path_of(self._key(node, "path", (str,), at))
        if not path.text:
            return self._never(at, "an empty path is not documented")
        differ = f"{at}: {path.text} can be read in two ways here, and they differ"
        nowhere = f"{at}: there is nothing at {path.text}"
        wary, wild, values = self._wary, path.wild, path.values

        def over(run: Run) -> Verdict:
            if not wild:
                found = values(run.subject)
                if not found:
                    if wary:
                        run.open.append(nowhere)
                        return None
                    return test(run, found)
                if listed or not any(isinstance(value, list) for value in found):
                    return test(run, found)
                readings = [found, flat(found)]
            else:
                readings = path.readings(run.subject)
                if wary and not any(readings):
                    run.open.append(nowhere)
                    return None
                if not listed:
                    for found in readings[:]:
                        if any(isinstance(value, list) for value in found):
                            readings.append(flat(found))
            mark = len(run.open)
            verdict = test(run, readings[0])
            for found in readings[1:]:
                if test(run, found) is not verdict:
                    del run.open[mark:]
                    run.open.append(differ)
                    return None
            return verdict

        return over

    def _each(self, node: dict[str, Any], at: str, test: Callable[[Any], Verdict], why: str) -> Check:
        """A test of each value at a path by itself."""
        said = f"{at}: {why}"

        def each(run: Run, found: list[Any]) -> Verdict:
            answer: Verdict = False
            for value in found:
                verdict = test(value)
                if verdict:
                    return True
                if verdict is None:
                    answer = None
            if answer is None:
                run.open.append(said)
            return answer

        return self._over(node, at, each)

    def _changed(self, node: dict[str, Any], at: str) -> Callable[[str], Sequence[str]] | None:
        """What `file name` and `sub domain` make of a text; None when it stays as it is."""
        name = self._flag(node, "file name", at)
        spec = self._key(node, "sub domain", (str, int), at, needed=False)
        if spec is None:
            return (lambda text: (file_name(text),)) if name else None
        if not isinstance(spec, str):
            # Taken as the text, refused, or left out: each gives another answer, for the whole rule.
            self.needs.append(f"{at}: 'sub domain' as a number is not documented; quote it: {str(spec)!r}")
            self._undecided = self._undecided or self.needs[-1]
        take = labels(str(spec))
        if take is None:
            raise InvalidRule(f"{at}: 'sub domain' has to be a slice of the labels, like 0:2, -1 or 1:")
        if not name:
            return take
        return lambda text: take(file_name(text))

    def _wanted(self, node: dict[str, Any], at: str, kinds: tuple[type, ...]) -> Any:
        """What `value` says: the value, a Path for `<<path>>`, or a condition where nobody here can know."""
        if "value" in node and node["value"] is None:
            return self._never(at, "'value' is null, which is not documented")
        if isinstance(node.get("value"), list):
            return self._never(at, "'value' has to be one value: a list is not documented")
        value = self._key(node, "value", kinds, at)
        if isinstance(value, str):
            if value.startswith("<<") and value.endswith(">>") and len(value) > 4:
                return path_of(value[2:-2])
            why = _elsewhere(value)
            if why:
                return self._opaque(at, why)
        return value

    def _opaque(self, at: str, why: str) -> Check:
        said = f"{at}: {why}"

        def opaque(run: Run) -> Verdict:
            run.open.append(said)
            return None

        return opaque

    # Operators

    def _joined(self, node: dict[str, Any], at: str) -> Check:
        rules = self._key(node, "rules", (list,), at)
        checks = tuple(self._node(rule, f"{at}/rules/{place}") for place, rule in enumerate(rules))
        if not checks:
            return self._never(at, "'rules' is empty, which is not documented")
        # What decides at once: false for `and`, true for `or`.
        decides = node["op"] == "or"

        def joined(run: Run) -> Verdict:
            mark = len(run.open)
            answer: Verdict = not decides
            for check in checks:
                verdict = check(run)
                if verdict is decides:
                    del run.open[mark:]
                    return decides
                if verdict is None:
                    answer = None
            return answer

        return joined

    def _compared(
        self,
        node: dict[str, Any],
        at: str,
        kinds: tuple[type, ...],
        test: Callable[[Any, Any], Verdict],
        why: str,
    ) -> Check:
        """A comparison of the values at a path with a value that may be text, its case perhaps ignored."""
        change = self._changed(node, at)
        sensitive = self._flag(node, "case sensitive", at, default=True)
        wanted = self._wanted(node, at, kinds)
        if callable(wanted):
            self._key(node, "path", (str,), at)
            return wanted  # type: ignore[no-any-return]  # a condition, whatever else `value` may be
        if isinstance(wanted, Path):
            return self._referred(node, at, wanted, change, sensitive, test, why)
        low, fold = (lowered(wanted), folded(wanted)) if isinstance(wanted, str) else ("", "")

        def plain(value: Any) -> Verdict:
            return test(value, wanted)

        def insensitive(value: Any) -> Verdict:
            if not isinstance(value, str):
                return test(value, wanted)
            lower = lowered(value)
            verdict = test(lower, low)
            if low == fold and value.isascii():
                return verdict
            return verdict if test(folded(value), fold) is verdict else None

        one = plain if sensitive or not isinstance(wanted, str) else insensitive
        if change is None:
            return self._each(node, at, one, why)
        made = change

        def changed(value: Any) -> Verdict:
            return some(map(one, made(value))) if isinstance(value, str) else one(value)

        return self._each(node, at, changed, why)

    def _referred(
        self,
        node: dict[str, Any],
        at: str,
        other: Path,
        change: Callable[[str], Sequence[str]] | None,
        sensitive: bool,
        test: Callable[[Any, Any], Verdict],
        why: str,
    ) -> Check:
        """A comparison with what stands at another path of the same event (`<<path>>`)."""
        differ = f"{at}: {other.text} can be read in two ways here, and they differ"
        said = f"{at}: {why}"

        def one(actual: Any, wanted: Any) -> Verdict:
            if sensitive or not isinstance(actual, str) or not isinstance(wanted, str):
                return test(actual, wanted)
            return agreed((test(lowered(actual), lowered(wanted)), test(folded(actual), folded(wanted))))

        def referred(run: Run, found: list[Any]) -> Verdict:
            actuals = [
                made
                for value in found
                for made in (change(value) if change is not None and isinstance(value, str) else (value,))
            ]
            readings = other.readings(run.subject)
            readings += [flat(values) for values in readings if any(isinstance(one, list) for one in values)]
            verdicts = [
                some(one(actual, wanted) for actual in actuals for wanted in values) for values in readings
            ]
            verdict = agreed(verdicts)
            if verdict is None:
                run.open.append(said if verdicts[0] is None else differ)
            return verdict

        return self._over(node, at, referred)

    def _is(self, node: dict[str, Any], at: str) -> Check:
        return self._compared(
            node, at, (str, int, float, bool), equal, "such values are compared in no documented way"
        )

    def _contains(self, node: dict[str, Any], at: str) -> Check:
        count = self._key(node, "count", (int,), at, needed=False)
        if count is not None and count < 0:
            raise InvalidRule(f"{at}: 'count' has to be a number from 1 on")
        least = 1 if count is None else count

        def test(actual: Any, wanted: Any) -> Verdict:
            if not isinstance(actual, str) or not isinstance(wanted, str):
                return False
            if least == 0:
                return occurs(actual, wanted, 1) or None
            return occurs(actual, wanted, least)

        why = "an empty 'value', a 'count' of 0 and occurrences that overlap are not documented"
        return self._compared(node, at, (str,), test, why)

    def _affix(self, node: dict[str, Any], at: str) -> Check:
        method = str.startswith if node["op"] == "starts with" else str.endswith

        def test(actual: Any, wanted: Any) -> Verdict:
            if not isinstance(actual, str) or not isinstance(wanted, str):
                return False
            return method(actual, wanted) if wanted else None

        return self._compared(node, at, (str,), test, "an empty 'value' is not documented")

    def _exists(self, node: dict[str, Any], at: str) -> Check:
        truthy = self._flag(node, "truthy", at)
        said = f"{at}: whether a list of nothing but empty values is there is not documented"

        def exists(run: Run, found: list[Any]) -> Verdict:
            if not truthy:
                return bool(found)
            answer: Verdict = False
            for value in found:
                if value is None or value == "":
                    continue
                if isinstance(value, list) and value and all(one is None or one == "" for one in flat(value)):
                    answer = None
                    continue
                return True
            if answer is None:
                run.open.append(said)
            return answer

        return self._over(node, at, exists, listed=True)

    def _sized(self, node: dict[str, Any], at: str) -> Check:
        length, lower = self._flag(node, "length of", at), node["op"] == "is lower than"
        wanted = self._wanted(node, at, (int, float, str))
        if isinstance(wanted, str):
            try:
                float(wanted)
            except ValueError:
                raise InvalidRule(f"{at}: 'value' has to be a number") from None
        if callable(wanted):
            self._key(node, "path", (str,), at)
            return wanted  # type: ignore[no-any-return]  # a condition, whatever else `value` may be
        if length:
            why = "the length of such text, or such a number, is not documented"

            def test(actual: Any, limit: Any) -> Verdict:
                return longer(actual, limit, lower=lower)
        else:
            why = "a number against text, and a negative one, are not documented"

            def test(actual: Any, limit: Any) -> Verdict:
                return greater(limit, actual) if lower else greater(actual, limit)

        said = f"{at}: {why}"
        other = wanted if isinstance(wanted, Path) else None

        def sized(run: Run, found: list[Any]) -> Verdict:
            if other is None:
                verdict = some(test(value, wanted) for value in found)
            else:
                readings = other.readings(run.subject)
                readings += [
                    flat(values) for values in readings if any(isinstance(one, list) for one in values)
                ]
                verdict = agreed(
                    some(test(value, limit) for value in found for limit in values) for values in readings
                )
            if verdict is None:
                run.open.append(said)
            return verdict

        return self._over(node, at, sized, listed=length)

    def _matches(self, node: dict[str, Any], at: str) -> Check:
        text = self._key(node, "re", (str,), at)
        try:
            # The one operator that ignores case unless told otherwise.
            search = searching(text, self._flag(node, "case sensitive", at))
        except BadPattern as problem:
            raise InvalidRule(f"{at}: {problem}") from None
        change = self._changed(node, at)
        if not text:
            self._key(node, "path", (str,), at)
            return self._never(at, "an empty regular expression is not documented")

        def matches(run: Run, found: list[Any]) -> Verdict:
            for value in found:
                if isinstance(value, str):
                    if change is None:
                        if search(value):
                            return True
                    elif any(map(search, change(value))):
                        return True
            return False

        return self._over(node, at, matches)

    def _distant(self, node: dict[str, Any], at: str) -> Check:
        value = self._key(node, "value", (str, list), at)
        most = self._key(node, "max", (int,), at)
        if most < 0:
            raise InvalidRule(f"{at}: 'max' has to be a number from 0 on")
        wanted: list[str] = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) for one in wanted):
            raise InvalidRule(f"{at}: 'value' has to be text or a list of texts")
        change = self._changed(node, at)
        sensitive = self._key(node, "case sensitive", (bool,), at, needed=False)
        why = next(filter(None, map(_elsewhere, wanted)), "")
        if not why and any(one.startswith("<<") and one.endswith(">>") for one in wanted):
            why = "'string distance' with the value of another path is not documented"
        if not wanted or "" in wanted:
            why = "an empty 'value' is not documented"
        if why:
            self._key(node, "path", (str,), at)
            return self._never(at, why)
        folds = [folded(one) for one in wanted]

        def test(actual: Any) -> Verdict:
            if not isinstance(actual, str):
                return False
            verdicts = []
            for text in (actual,) if change is None else change(actual):
                exact = sensitive is not False and any(near(text, one, most) for one in wanted)
                loose = sensitive is not True and any(near(folded(text), one, most) for one in folds)
                verdicts.append(
                    exact if sensitive else loose if sensitive is False else agreed((exact, loose))
                )
            return some(verdicts)

        return self._each(node, at, test, "whether 'string distance' heeds case is not documented")

    def _cidr(self, node: dict[str, Any], at: str) -> Check:
        text = self._key(node, "cidr", (str,), at)
        network = network_of(text)
        if network is None:
            raise InvalidRule(f"{at}: 'cidr' is no network: {text!r}; write it like 10.0.0.0/8")
        found = network
        return self._each(
            node, at, lambda value: in_network(value, found), "such an address is not documented"
        )

    def _reachable(self, node: dict[str, Any], at: str) -> Check:
        words = node["op"].split()
        version = {"ipv4": 4, "ipv6": 6}.get(words[2], 0)
        test = is_private if words[1] == "private" else is_public
        return self._each(node, at, lambda value: test(value, version), "such an address is not documented")

    def _platform(self, node: dict[str, Any], at: str) -> Check:
        if node["op"] == "is net":
            return self._never(at, "'is net' has no code in the documented list of platforms")
        name: str = _SHORT.get(node["op"]) or self._key(node, "name", (str,), at)
        code = PLATFORMS.get(name)
        if code is None and name.lower() not in PLATFORMS:
            return self._never(at, f"the platform {name!r} is not in the documented list of platforms")
        if code is None:
            self.warnings.append(f"{at}: names of platforms are lower case: {name.lower()!r}")
        absent = f"{at}: the event has no routing/plat"
        two = f"{at}: which of plat and ext_plat counts is not documented"

        def platform(run: Run) -> Verdict:
            routing = _routing(run.subject)
            actual = routing.get("plat")
            if not isinstance(actual, int) or isinstance(actual, bool):
                run.open.append(absent)
                return None
            if routing.get("ext_plat"):
                verdict = agreed((actual == code, routing["ext_plat"] == code))
                if verdict is None:
                    run.open.append(two)
                return verdict
            return actual == code

        return platform

    def _architecture(self, node: dict[str, Any], at: str) -> Check:
        code = _ARCHITECTURES[node["op"]]
        said = f"{at}: the event's routing/arch is missing or what it counts as is not documented"

        def architecture(run: Run) -> Verdict:
            actual = _routing(run.subject).get("arch")
            if isinstance(actual, bool) or actual not in (1, 2, 3):
                run.open.append(said)
                return None
            return bool(actual == code)

        return architecture

    def _tagged(self, node: dict[str, Any], at: str) -> Check:
        tag = self._key(node, "tag", (str,), at)
        absent = f"{at}: the tags of the sensor are not in this event (routing/tags)"
        case = f"{at}: whether tags heed case is not documented"
        self.notes["tags are as of the event"] = None
        low, fold = lowered(tag), folded(tag)

        def tagged(run: Run) -> Verdict:
            held = _routing(run.subject).get("tags")
            if not isinstance(held, list):
                run.open.append(absent)
                return None
            if tag in held:
                return True
            if any(isinstance(one, str) and (lowered(one) == low or folded(one) == fold) for one in held):
                run.open.append(case)
                return None
            return False

        return tagged

    def _scope(self, node: dict[str, Any], at: str) -> Check:
        self._scopes += 1
        rule = self._node(self._key(node, "rule", (dict,), at), f"{at}/rule")
        self._scopes -= 1

        def scope(run: Run, found: list[Any]) -> Verdict:
            outside = run.subject
            surroundings = outside if isinstance(outside, dict) else {}
            mark = len(run.open)
            answer: Verdict = False
            for value in found:
                for element in value if isinstance(value, list) else (value,):
                    run.subject = {**surroundings, "event": element}
                    verdict = rule(run)
                    run.subject = outside
                    if verdict:
                        del run.open[mark:]
                        return True
                    if verdict is None:
                        answer = None
            return answer

        return self._over(node, at, scope, listed=True)

    def _older(self, node: dict[str, Any], at: str) -> Check:
        seconds = self._key(node, "seconds", (int,), at)
        if seconds < 0:
            raise InvalidRule(f"{at}: 'seconds' has to be a number from 0 on")
        self.clocked = True
        said = f"{at}: the age of text, or of such a number, is not documented"

        def aged(value: float, now: float) -> Verdict:
            if value < 0 or value > 2**63:
                return None
            if value < _SURELY_SECONDS:
                return bool(now - value > seconds)
            by_milliseconds = bool(now - value / 1000 > seconds)
            if value >= _SURELY_MILLISECONDS:
                return by_milliseconds
            return agreed((now - value > seconds, by_milliseconds))

        def older(run: Run, found: list[Any]) -> Verdict:
            answer: Verdict = False
            for value in found:
                if isinstance(value, str):
                    # Text without a digit is no date in any form.
                    if any(map(str.isdigit, value)):
                        answer = None
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    verdict = aged(value, run.now)
                    if verdict:
                        return True
                    if verdict is None:
                        answer = None
            if answer is None:
                run.open.append(said)
            return answer

        return self._over(node, at, older)

    def _lookup(self, node: dict[str, Any], at: str) -> Check:
        self._key(node, "path", (str,), at)
        resource = self._key(node, "resource", (str,), at)
        lower = not self._flag(node, "case sensitive", at, default=True)
        change = self._changed(node, at)
        further = self._metadata(node, at)
        name = resource.removeprefix("hive://lookup/")
        if name == resource:
            return self._never(at, f"the operator 'lookup' with {resource!r} needs what only the cloud has")
        if self._lookups is None or name not in self._lookups:
            self.lookups.append(name)
            return self._never(at, f"lookup {name!r} is not here: only the cloud has its content")
        entries = self._lookups[name]

        def lookup(run: Run, found: list[Any]) -> Verdict:
            answer: Verdict = False
            for value in found:
                if not isinstance(value, str):
                    continue
                for text in (value,) if change is None else change(value):
                    metadata = entries.get(text.lower() if lower else text)
                    if metadata is None:
                        continue
                    if further is not None:
                        inner = Run(metadata if isinstance(metadata, dict) else {}, run.now)
                        verdict = further(inner)
                        run.open += inner.open
                        if not verdict:
                            answer = None if verdict is None else answer
                            continue
                    run.metadata[name] = metadata
                    return True
            return answer

        return self._over(node, at, lookup)

    def _metadata(self, node: dict[str, Any], at: str) -> Check | None:
        if "metadata_rules" not in node:
            return None
        return self._node(node["metadata_rules"], f"{at}/metadata_rules")

    def _external(self, node: dict[str, Any], at: str) -> Check:
        self._key(node, "resource", (str,), at)
        return self._never(at, f"the operator {node['op']!r} needs content that only the cloud has")

    def _ask(self, node: dict[str, Any], at: str) -> Check:
        if "definition" not in node and "prompt" not in node:
            raise InvalidRule(f"{at}: the operator 'ask ai' needs 'definition' or 'prompt'")
        self._metadata(node, at)
        return self._never(at, "the operator 'ask ai' needs a service that only the cloud has")

    def _undocumented(self, node: dict[str, Any], at: str) -> Check:
        """`in` is used by two pages of the documentation, and missing in its reference of operators.

        Where it does not exist the whole rule would be refused, so the whole rule is open.
        """
        check = self._never(at, f"the operator {node['op']!r} is not in the reference of operators")
        self._undecided = self._undecided or self.needs[-1]
        return check


_Made = Callable[[_Compiler, dict[str, Any], str], Check]

_OPERATORS: dict[str, _Made] = {
    "and": _Compiler._joined,
    "or": _Compiler._joined,
    "is": _Compiler._is,
    "exists": _Compiler._exists,
    "contains": _Compiler._contains,
    "starts with": _Compiler._affix,
    "ends with": _Compiler._affix,
    "is greater than": _Compiler._sized,
    "is lower than": _Compiler._sized,
    "matches": _Compiler._matches,
    "string distance": _Compiler._distant,
    "cidr": _Compiler._cidr,
    "is platform": _Compiler._platform,
    "is net": _Compiler._platform,
    **dict.fromkeys(_SHORT, _Compiler._platform),
    **dict.fromkeys(_ARCHITECTURES, _Compiler._architecture),
    **{
        f"is {kind} {version}address": _Compiler._reachable
        for kind in ("private", "public")
        for version in ("", "ipv4 ", "ipv6 ")
    },
    "is tagged": _Compiler._tagged,
    "scope": _Compiler._scope,
    "is older than": _Compiler._older,
    "lookup": _Compiler._lookup,
    "external": _Compiler._external,
    "yara": _Compiler._external,
    "ask ai": _Compiler._ask,
    "in": _Compiler._undocumented,
}

OPERATORS: tuple[str, ...] = tuple(name for name in _OPERATORS if name != "in")
"""Every operator of the reference."""

_PARAMETERS: dict[str, frozenset[str]] = {
    name: frozenset(
        {
            "and": ("rules",),
            "or": ("rules",),
            "exists": ("path", "truthy"),
            "is": _TEXT,
            "contains": _TEXT,
            "starts with": _TEXT,
            "ends with": _TEXT,
            "is greater than": ("path", "value", "length of"),
            "is lower than": ("path", "value", "length of"),
            "matches": ("path", "re", "case sensitive", "file name", "sub domain"),
            "string distance": (*_TEXT, "max"),
            "cidr": ("path", "cidr"),
            "is platform": ("name",),
            "is tagged": ("tag",),
            "scope": ("path", "rule"),
            "is older than": ("path", "seconds"),
            "lookup": ("path", "resource", "metadata_rules", "case sensitive", "file name", "sub domain"),
            "external": ("resource",),
            "yara": ("resource",),
            "in": ("path", "values", "value", "case sensitive"),
            "ask ai": (
                "definition", "prompt", "data", "questions", "response_schema", "max_tokens", "timeout",
                "cache_ttl", "metadata_rules",
            ),
        }.get(name, ("path",) if name.endswith("address") else ())
    )
    for name in _OPERATORS
}  # fmt: skip

_KINDS: dict[type, str] = {
    str: "text", int: "a number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
}  # fmt: skip

_MISTAKES = {
    "re": ("value", "regex", "regexp"),
    "cidr": ("value",),
    "max": ("distance", "max distance"),
    "seconds": ("value",),
    "rule": ("rules",),
    "rules": ("rule",),
    "tag": ("value", "name"),
    "name": ("value", "platform"),
}
"""Required key -> what is written instead of it."""

_INSTEAD = {
    "not": "`not` is a parameter: `not: true` beside any operator",
    "is not": "write `op: is` with `not: true`",
    "equals": "it is `is`", "==": "it is `is`", "!=": "write `op: is` with `not: true`",
    "regex": "it is `matches`, with the expression in `re`",
    "greater than": "it is `is greater than`", "less than": "it is `is lower than`",
    "any": "it is `or`, with a list in `rules`", "all": "it is `and`, with a list in `rules`",
    "count": "`count` is a parameter of `contains`",
}  # fmt: skip


def _inverted(check: Check) -> Check:
    def inverted(run: Run) -> Verdict:
        verdict = check(run)
        return None if verdict is None else not verdict

    return inverted


def _routing(subject: Any) -> dict[str, Any]:
    routing = subject.get("routing") if isinstance(subject, dict) else None
    return routing if isinstance(routing, dict) else {}


def _elsewhere(value: str) -> str:
    """Why a value is known in the cloud only; empty when it is an ordinary one."""
    if value.startswith("[[") and value.endswith("]]"):
        return f"{value} is a variable of the sensor, which cannot be read here"
    if "{{" in value:
        return f"{value!r} may be a template, which only the cloud fills in"
    return ""


def _wrapped(node: dict[str, Any], kind: Kind) -> str:
    for name in ("detect", "detection", "data", "rules"):
        if isinstance(node.get(name), dict | list):
            if kind == "fp":
                return f": a false positive record's data is the condition itself, without {name!r} around it"
            return f": the condition is inside of {name!r}; give its content"
    return ""


def _mistaken(node: dict[str, Any], key: str) -> str:
    found = next((name for name in _MISTAKES.get(key, ()) if name in node), None)
    return "" if found is None else f", not {found!r}"


def _instead(operator: str) -> str:
    told = _INSTEAD.get(operator)
    return "" if told is None else f": {told}"


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
