"""What is done for a new customer, in which order: the steps of a run, from a wish.

The organization first, then its place, so that everything that follows shows where it belongs; what may cost
or let somebody in before what only describes; the layers of its node after what they may configure.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from store.onboarding import Judged, Known, Wish
from store.runs import Planned, PlannedItem, PlannedStep
from store.smoke import smoke_steps
from store.templates.effective import document_key

_ORDER: Final = (
    "resource", "hive/secret", "hive/yara", "hive/lookup", "extension", "org_value", "hive/dr-general",
    "hive/dr-managed", "hive/dr-service", "hive/fp", "output", "integrity", "artifact", "exfil",
)  # fmt: skip
"""In which order a push applies sections (documentation, "Infrastructure extension"); the rest follows."""


def planned(judged: Judged, known: Known, *, source: str = "", smoke: bool = False) -> Planned:
    """The run that makes wishes come true.

    Args:
        judged: nothing in it may be wrong.
        source: where the wishes come from, such as `file:customers.csv`.
        smoke: test each organization at the end.
    """
    if judged.stopped:
        raise ValueError("what is wrong is not planned")
    wishes = judged.wishes
    title = f"onboard {wishes[0].name}" if len(wishes) == 1 else f"onboard {len(wishes):,} organizations"
    return Planned(
        "onboard",
        title,
        tuple(
            PlannedItem("", wish.name, {"line": wish.line}, steps_of(wish, known, smoke=smoke))
            for wish in wishes
        ),
        source,
    )


def steps_of(wish: Wish, known: Known, *, smoke: bool = False) -> tuple[PlannedStep, ...]:
    """The steps of one wish."""
    steps = [PlannedStep("organization.create", wish.name, {"region": wish.region})]
    place = known.places.get(wish.node)
    steps.append(
        PlannedStep(
            "node.place",
            wish.name,
            {
                "parent": wish.node,
                "below": (place.path or str(place.name)) if place is not None else "the root",
                "node": wish.node_id,
                "labels": dict(wish.labels),
                "parameters": dict(wish.parameters),
                "marks": [mark for mark in wish.marks if mark != "frozen"],
            },
        )
    )
    steps += [PlannedStep("template.assign", name) for name in wish.templates]
    if wish.document:
        steps.append(PlannedStep("customer.document", "", {"document": dict(wish.document)}, needed=False))
    if wish.quota is not None:
        steps.append(PlannedStep("quota.set", "", {"quota": wish.quota}, needed=False))
    brought = set(wish.records)
    steps += [
        PlannedStep("extension.subscribe", name)
        for name in wish.extensions
        if ("extension", name) not in brought
    ]
    # An owner is an account of the provider's: one that nobody knows is a slip, and is not invited.
    steps += [
        PlannedStep("user.add", email, {"role": role, "invite": role != "Owner"}, needed=False)
        for email, role in wish.users
    ]
    steps += [
        PlannedStep("group.add-organization", gid, {"group": str(known.groups[gid][0])}, needed=False)
        for gid in wish.groups
    ]
    steps += [
        PlannedStep("installation-key.make", key.platform, {"tags": list(key.tags)}, needed=False)
        for key in wish.keys
    ]
    steps += [
        PlannedStep("output.set", output.name, _output(output.body), needed=False) for output in wish.outputs
    ]
    steps += [
        PlannedStep("record.set", document_key(key), {"section": key[0], "name": key[1]}, needed=False)
        for key in sorted(wish.records, key=_place)
    ]
    if smoke:
        steps += smoke_steps()
    if "frozen" in wish.marks:
        # Last: what has this mark is left alone, by whoever carries on as well.
        steps.append(PlannedStep("node.freeze", needed=False))
    return tuple(steps)


def _output(body: Mapping[str, str]) -> dict[str, object]:
    options = {name: value for name, value in body.items() if name not in ("module", "for")}
    return {"module": body["module"], "stream": body["for"], "options": options}


def _place(key: tuple[str, str]) -> tuple[int, str, str]:
    section, name = key
    return (_ORDER.index(section) if section in _ORDER else len(_ORDER), section, name)


def sums(run: Planned) -> Sequence[tuple[str, int]]:
    """How many steps each verb has, in the order in which they are made."""
    found: dict[str, int] = {}
    for item in run.items:
        for step in item.steps:
            found[step.verb] = found.get(step.verb, 0) + 1
    return tuple(found.items())
