"""Detection logic as replay and the hives use it: `store.logic` decides, what it cannot is refused by name.

The cloud evaluates everything; a sandbox that cannot says so instead of answering for it.
"""

import re
from typing import Any

from store.logic.evaluator import Check, InvalidRule, Lookups, Rule, Run, compile_rule
from store.logic.paths import values_at
from store.logic.patterns import BadPattern
from store.logic.patterns import expression as _expression
from store.logic.values import PLATFORMS, Verdict, some

__all__ = [
    "PLATFORMS", "BadRule", "Check", "Logic", "Run", "Verdict", "actions", "checked_response", "expression",
    "failures", "rendered", "values_at",
]  # fmt: skip


class BadRule(ValueError):
    """One sentence: what is wrong with a rule, or what it needs that is not here."""


def expression(text: str, case_sensitive: bool) -> Any:
    """A regular expression of RE2's syntax.

    Raises:
        BadRule: it is none.
    """
    try:
        return _expression(text, case_sensitive)
    except BadPattern as problem:
        raise BadRule(str(problem)) from None


class Logic:
    """A rule's detection half, checked as a whole before anything is evaluated."""

    def __init__(self, detect: Any, *, lookups: Lookups | None = None) -> None:
        """Check a rule.

        Args:
            detect: its root.
            lookups: what `lookup` may ask: name -> indicator -> metadata. The cloud's replay reads none of
                the organization's own either (docs: services, replay).

        Raises:
            BadRule: it is wrong, or needs what is not here.
        """
        try:
            self._rule: Rule = compile_rule(detect, lookups=lookups, observed=True)
        except InvalidRule as problem:
            raise BadRule(str(problem)) from None
        for name in self._rule.lookups:
            raise BadRule(
                f'lookup "{name}" is not available in replay: supply it in the request\'s "lookups" field'
            )
        for missing in (*self._rule.stateful, *self._rule.needs):
            raise BadRule(f"{missing}, which is not evaluated here")
        self.target = self._rule.target
        self.events = self._rule.events

    def evaluate(self, run: Run) -> Verdict:
        """Whether the rule matches; None when that is open, with the reasons in the run."""
        return self._rule.run(run)

    def type_of(self, subject: dict[str, Any]) -> Any:
        """What an event's type is, as this rule's selector compares it."""
        if self.target == "detection":
            return subject.get("cat")
        routing = subject.get("routing")
        return routing.get("event_type") if isinstance(routing, dict) else None


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
            kinds = [logic.type_of(event) for event in events]
            strange = [kind for kind in kinds if logic.events is not None and kind not in logic.events]
            if wanted and strange:
                expected = ", ".join(sorted(logic.events or ()))
                found.append(f"match test {number} holds an event of type {strange[0]}, expected {expected}")
                continue
            matched = some(logic.evaluate(Run(event, now)) for event in events)
            # What is open fails nothing.
            if matched is not None and matched is not wanted:
                found.append(f"{name} test {number} {'did not match' if wanted else 'matched'}")
    return found
