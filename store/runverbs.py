"""What the steps of a run are called: one line for each verb, for screens, commands and the journal.

How a verb is made is in `console/operations/runverbs/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from store.text import Untrusted


@dataclass(frozen=True, slots=True)
class Words:
    """How a verb is said."""

    label: str
    """In a list: `add a sensor tag`."""
    text: str
    """Of one step, with `{target}` and the names of its arguments: `tag {target} with {tag}`."""
    destructive: bool = False
    """What it takes cannot be brought back: it is begun with a typed name only."""


VERBS: dict[str, Words] = {
    # Bulk
    "sensor.tag": Words("tag sensors", "tag the sensor {hostname} with {tag}"),
    "sensor.untag": Words("untag sensors", "take the tag {tag} from the sensor {hostname}"),
    "quota.set": Words("set the sensor quota", "set the sensor quota to {quota}"),
    "extension.subscribe": Words("subscribe to an extension", "subscribe to {target}"),
    "extension.unsubscribe": Words(
        "unsubscribe from an extension", "unsubscribe from {target}, with what it keeps", destructive=True
    ),
    "user.add": Words("add a user", "add {target} {role}"),
    "user.remove": Words("remove a user", "remove {target} and what is granted directly"),
    "user.role": Words("give a user a role", "make {target} {role}"),
    "user.grant": Words("grant a permission", "grant {permission} to {target}"),
    "user.revoke": Words("take a permission", "take {permission} from {target}"),
    "key.revoke": Words("revoke an API key", "revoke the API key {name}", destructive=True),
    "output.set": Words("make an output", "send {stream} to the output {target} ({module})"),
    "output.remove": Words("remove an output", "remove the output {target}", destructive=True),
    "installation-key.make": Words("make an installation key", "make the installation key {target}"),
    "installation-key.remove": Words(
        "remove an installation key", "remove the installation key {target}", destructive=True
    ),
    # Onboarding
    "organization.create": Words("make an organization", "make the organization in {region}"),
    "node.place": Words("place it in the tree", "place it in the tree below {below}"),
    "node.freeze": Words("freeze it", "mark it frozen"),
    "template.assign": Words("assign a template", "assign the template {target} to its node"),
    "customer.document": Words("document the customer", "keep whom to call and when"),
    "group.add-organization": Words("let a group hold for it", "let the group {group} hold for it"),
    "record.set": Words("apply its layers", "apply {target}"),
    "smoke.sensor": Words("test: sensor", "test that a sensor is online"),
    "smoke.event": Words("test: event", "test that events arrive"),
    "smoke.detection": Words("test: detection", "test that a rule detects"),
    "smoke.case": Words("test: case", "test that a detection becomes a case"),
    "smoke.output": Words("test: output", "test that no output has an error"),
    # Offboarding
    "node.mark": Words("mark it in the tree", "mark it {mark} in the tree"),
    "offboard.export": Words("export everything", "read it once more and export it to {target}"),
    "offboard.report": Words("write the final report", "write the final report to {target}"),
    "group.remove-organization": Words("take it out of a group", "take it out of the group {group}"),
    "group.delete": Words(
        "delete a group that holds nothing else", "delete the group {group}", destructive=True
    ),
    "ingestion-key.remove": Words(
        "remove an ingestion key", "remove the ingestion key {target}", destructive=True
    ),
    "sensor.delete": Words("delete sensors", "delete the sensor {hostname}", destructive=True),
    "offboard.cleared": Words("look whether it is cleared", "look whether anything of it is left: {what}"),
    "organization.delete": Words(
        "delete the organization", "delete the organization, which nothing brings back", destructive=True
    ),
}


def words(verb: str, target: str, arguments: Mapping[str, Any]) -> Untrusted:
    """What a step does, in words; it holds strangers' text and is made safe where it is shown."""
    known = VERBS.get(verb)
    if known is None:
        return Untrusted(f"{verb} {target}".strip())
    fields = {"target": target, **arguments}
    parts = []
    for literal, name, _, _ in Formatter().parse(known.text):
        parts.append(literal)
        if name is not None:
            parts.append(said(fields.get(name, "")))
    return Untrusted(" ".join("".join(parts).split()))


def label(verb: str) -> str:
    """A verb in a list."""
    known = VERBS.get(verb)
    return verb if known is None else known.label


def destructive(verb: str) -> bool:
    """Whether what it takes cannot be brought back; of a verb that nobody knows it is assumed."""
    known = VERBS.get(verb)
    return known is None or known.destructive


def said(value: Any) -> str:
    """An argument in a sentence."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value))
    return "" if value is None else str(value)
