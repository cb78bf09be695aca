"""What an organization's own rules make of what sensors answer to tasks.

The rest of the telemetry is invented from the detections backwards, so no rule looks at it: a rule that
somebody writes fires on the answers to tasks alone, as it would on them in the cloud.
"""

from typing import TYPE_CHECKING, Any

from console.sandbox.detection_logic import BadRule, Logic, Run, actions, checked_response
from console.sandbox.organizations import Organization
from console.sandbox.sensors import Sensor

if TYPE_CHECKING:
    from console.sandbox.world import World

HIVES = ("dr-general", "dr-managed")


def fire(world: "World", organization: Organization, sensor: Sensor, answered: list[dict[str, Any]]) -> int:
    """Let the enabled rules look at what a sensor has just answered; how many reports came of it."""
    reports = 0
    for hive in HIVES:
        for name, record in sorted(world.records(organization, hive).items()):
            if record["usr_mtd"].get("enabled") is not True:
                continue
            for report in _reports(hive, name, record["data"], answered, world.clock()):
                world.detections.fire(organization, sensor, report, world.clock())
                reports += 1
    return reports


def _reports(
    hive: str, name: str, rule: dict[str, Any], answered: list[dict[str, Any]], now_ms: int
) -> list[dict[str, Any]]:
    """What a rule reports of these events; one that cannot be evaluated here reports nothing."""
    try:
        logic = Logic(rule.get("detect"))
        respond = checked_response(rule.get("respond"))
    except BadRule:
        return []
    if logic.target == "detection":
        return []
    found = []
    for event in answered:
        if logic.events is not None and logic.type_of(event) not in logic.events:
            continue
        run = Run(event, now_ms // 1000)
        if logic.evaluate(run) is True:
            made = actions(respond, event, run, rule=name, namespace=hive.removeprefix("dr-"))
            found += [each["data"] for each in made if each["action"] == "report"]
    # Names with two underscores in front are not stored (documentation, "Detections").
    return [each for each in found if each["cat"] and not each["cat"].startswith("__")]
