"""Rule files: the shapes in which D&R and false positive rules are met, and a rule's own unit tests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from store.logic.evaluator import InvalidRule, Kind, Rule, compile_rule
from store.logic.values import Verdict, some

Outcome = Literal["pass", "fail", "error", "not evaluated", "refused", "0 tests"]

_DR_HIVES = ("dr-general", "dr-managed", "dr-service", "dr-mail")
_WORST: tuple[Outcome, ...] = ("refused", "error", "fail", "not evaluated", "pass", "0 tests")


@dataclass(frozen=True, slots=True)
class Found:
    """One rule of a file."""

    name: str
    """The record's key, or what the file calls it; "" where nothing names it."""
    kind: Kind
    rule: Any
    """`{detect, respond, tests}` as it stands there; of a false positive rule the one condition."""
    remarks: tuple[str, ...] = ()
    """What is odd about where or how it stands."""

    @property
    def detect(self) -> Any:
        """What decides."""
        if self.kind == "fp":
            return self.rule
        return self.rule.get("detect") if isinstance(self.rule, dict) else self.rule


@dataclass(frozen=True, slots=True)
class Tested:
    """What one unit test of a rule came to."""

    list: str
    """match or non_match."""
    number: int
    """From 1 on."""
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rule's own tests came to: the worst of them."""

    outcome: Outcome
    why: str = ""
    tests: tuple[Tested, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def rules_of(loaded: Any) -> list[Found]:
    """The rules of a file, whichever of the shapes it has; none when it holds none.

    Args:
        loaded: plain data, as `store.yaml.load` reads it.
    """
    return list(_rules(loaded, ""))


def _rules(loaded: Any, name: str) -> Iterator[Found]:
    if isinstance(loaded, list):
        for item in loaded:
            if isinstance(item, dict) and ("detect" in item or "data" in item):
                yield from _rules(item, str(item.get("name") or ""))
        return
    if not isinstance(loaded, dict):
        return
    if "op" in loaded:
        yield Found(
            name, "dr", {"detect": loaded}, ("this is only the content of `detect`: wrap it in a rule",)
        )
    elif "detect" in loaded:
        yield Found(name, "dr", loaded)
    elif isinstance(loaded.get("data"), dict) and ("usr_mtd" in loaded or set(loaded) <= {"data", "name"}):
        data = loaded["data"]
        if "op" in data:
            yield Found(name, "fp", data)
        else:
            yield Found(name, "dr", data)
    else:
        yield from _document(loaded)


def _document(loaded: dict[str, Any]) -> Iterator[Found]:
    hives = loaded.get("hives")
    if isinstance(hives, dict):
        for hive in (*_DR_HIVES, "fp"):
            for name, record in _items(hives.get(hive)):
                data = record.get("data") if isinstance(record, dict) else None
                yield Found(name, "fp" if hive == "fp" else "dr", data)
    legacy = "`rules:` is the legacy section: move them to `hives:`"
    for name, rule in _items(loaded.get("rules")):
        yield Found(name, "dr", rule, (legacy,))
    if isinstance(loaded.get("rules"), list):
        yield from _rules(loaded["rules"], "")
    for name, record in _items(loaded.get("fps")):
        inside = record.get("data", record.get("detect")) if isinstance(record, dict) else None
        yield Found(name, "fp", inside, ("`fps:` is the legacy section: move them to `hives: fp:`",))
    for section, below in loaded.items():
        if section in ("hives", "rules", "fps"):
            continue
        if isinstance(below, dict) and ("detect" in below or "data" in below):
            why = f"{section!r} stands at the top of the file, where nothing is read when it is pushed"
            yield from (Found(str(section), one.kind, one.rule, (why,)) for one in _rules(below, ""))
        elif section == "Rules":
            for name, rule in _items(below):
                yield Found(name, "dr", rule, ("`Rules:` is no section: nothing of it is read when pushed",))


def _items(section: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(section, dict):
        for name, item in section.items():
            yield str(name), item


def run_tests(found: Found, *, now: float | None = None) -> Report:
    """Run a rule's own tests (documentation: unit tests).

    Each test is a list of events that are alternatives, each evaluated alone. A `match` test that holds an
    event of a type that the rule does not select is an error; in a `non_match` test such an event is skipped.

    Args:
        found: the rule.
        now: seconds, UTC: the clock of `is older than`.

    Returns:
        `refused` when the rule or its tests are malformed, or when both a stateful operator and tests are
        there: the cloud would not save it. `0 tests` when there is nothing to run.
    """
    if found.kind == "dr" and not isinstance(found.rule, dict):
        return Report("refused", "a rule has to be an object with `detect` and `respond`")
    try:
        rule = compile_rule(found.detect, kind=found.kind)
    except InvalidRule as problem:
        return Report("refused", f"invalid rule: {problem}")
    warnings = (*found.remarks, *rule.warnings)
    given = found.rule.get("tests") if found.kind == "dr" else None
    if given is None or given == {}:
        return Report("0 tests", rule.unevaluable, (), warnings)
    complaint = _malformed(given)
    if complaint:
        return Report("refused", complaint, (), warnings)
    tests = [
        (name, number, events)
        for name in ("match", "non_match")
        for number, events in enumerate(given.get(name) or (), 1)
    ]
    if not tests:
        return Report("0 tests", rule.unevaluable, (), warnings)
    if rule.stateful:
        why = f"{rule.stateful[0]} beside tests: a rule with tests cannot be stateful"
        return Report("refused", why, (), warnings)
    done = tuple(
        Tested(name, number, *_test(rule, name == "match", events, now)) for name, number, events in tests
    )
    worst = min((test.outcome for test in done), key=_WORST.index)
    first = next(test for test in done if test.outcome == worst)
    why = "" if worst == "pass" else f"{first.list} test {first.number}: {first.why}"
    return Report(worst, why, done, warnings)


def _malformed(tests: Any) -> str:
    if not isinstance(tests, Mapping):
        return "`tests` has to be an object with `match` and `non_match`"
    for name, events in tests.items():
        if name not in ("match", "non_match"):
            hint = "; it is written `non_match`" if "match" in str(name) else ""
            return f"`tests` holds {str(name)!r}, which is neither `match` nor `non_match`{hint}"
        if events is None:
            continue
        if not isinstance(events, list):
            return f"`tests/{name}` has to be a list of tests"
        for number, test in enumerate(events, 1):
            if not isinstance(test, list) or not all(isinstance(event, dict) for event in test):
                return f"`tests/{name}`: test {number} has to be a list of events"
    return ""


def _test(rule: Rule, wanted: bool, events: list[dict[str, Any]], now: float | None) -> tuple[Outcome, str]:
    verdicts: list[Verdict] = []
    open_: list[str] = []
    for event in events:
        kind = _type_of(rule, event)
        if rule.events is not None and kind not in rule.events:
            if wanted:
                expected = ", ".join(sorted(rule.events))
                return "error", f"it holds an event of type {kind!r}, expected {expected}"
            continue
        result = rule.evaluate(event, now=now)
        verdicts.append(result.value)
        if result.value is None:
            if "'ask ai'" in result.why:
                return "error", result.why
            open_.append(result.why)
    matched = some(verdicts)
    if matched is None:
        return "not evaluated", open_[0]
    if matched is wanted:
        return "pass", ""
    return "fail", "no event matched" if wanted else "an event matched"


def _type_of(rule: Rule, event: dict[str, Any]) -> Any:
    if rule.target == "detection":
        return event.get("cat")
    routing = event.get("routing")
    kind = routing.get("event_type") if isinstance(routing, dict) else None
    return kind if isinstance(kind, str) else None
