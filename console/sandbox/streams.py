"""What a live stream has to tell: everything new in an organization since the stream was opened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.sandbox.organizations import Organization
from console.sandbox.sensors import stamp

if TYPE_CHECKING:
    from console.sandbox.world import World

NEEDED = {
    "event": "insight.evt.get",
    "detect": "insight.det.get",
    "audit": "audit.get",
    "deployment": "sensor.list",
    "billing": "billing.ctrl",
}
"""The streams, and the permission that reading the same at rest needs. What the platform asks for is not
documented; `output.set` does as well, for a stream is an output that does not last."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to hear; an empty filter lets everything through."""

    kind: str
    tag: str = ""
    cat: str = ""
    investigation: str = ""
    sid: str = ""


class Tap:
    """A place in an organization's streams."""

    def __init__(self, world: "World", organization: Organization, wanted: Wanted) -> None:
        self._world = world
        self._organization = organization
        self._wanted = wanted
        world.detections.advance(world.clock())
        self._moment = world.clock()
        self._detections = world.detections.count(organization.index)
        self._entries = len(world.noted(organization))
        self._answers = len(world.events.answered(organization))

    @property
    def over(self) -> bool:
        """Whether the organization is gone."""
        return self._organization.oid not in self._world.by_oid

    def fresh(self) -> list[dict[str, Any]]:
        """What is new since the last time, oldest first."""
        kind = self._wanted.kind
        if kind == "detect":
            return [one for one in self._new_detections() if self._passes(one["routing"], one["cat"])]
        if kind == "event":
            return [one for one in self._new_events() if self._passes(one["routing"], "")]
        entries = self._new_entries()
        if kind == "audit":
            return [one for one in entries if self._wanted.sid in ("", one["entity"].get("name"))]
        if kind == "deployment":
            left = [self._departure(one) for one in entries if one["etype"] == "remove_sensor"]
            return [one for one in left if self._passes(one["routing"], "")]
        return []

    def _passes(self, routing: dict[str, Any], cat: str) -> bool:
        wanted = self._wanted
        if wanted.cat and cat != wanted.cat:
            return False
        if wanted.sid and routing["sid"] != wanted.sid:
            return False
        if wanted.investigation and routing.get("investigation_id") != wanted.investigation:
            return False
        if not wanted.tag:
            return True
        found = self._world.sensor_by_sid(routing["sid"])
        return found is not None and wanted.tag in self._world.tags(*found)

    def _new_detections(self) -> list[dict[str, Any]]:
        found, index = self._world.detections, self._organization.index
        found.advance(self._world.clock())
        first, self._detections = self._detections, found.count(index)
        return [found.detection(index, number) for number in range(first, self._detections)]

    def _new_events(self) -> list[dict[str, Any]]:
        world, one = self._world, self._organization
        start, self._moment = self._moment, world.clock()
        new = [
            world.events.event(one, sensor, slot)
            for sensor in world.sensors_of(one)
            for slot in world.events.slots(one, sensor, start, self._moment)
        ]
        world.detections.advance(self._moment)
        seen, self._detections = self._detections, world.detections.count(one.index)
        new += [
            world.detections.event(one.index, number)
            for number in range(seen, self._detections)
            if not world.detections.fired(one.index, number)
        ]
        answers = world.events.answered(one)
        first, self._answers = self._answers, len(answers)
        return sorted(new, key=lambda event: event["routing"]["event_time"]) + answers[first:]

    def _new_entries(self) -> list[dict[str, Any]]:
        entries = self._world.noted(self._organization)
        first, self._entries = self._entries, len(entries)
        return entries[first:]

    def _departure(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A deleted sensor, as the deployment stream tells it (docs: stream-structures.md)."""
        return {
            "event": {"hostname": entry["mtd"].get("hostname", ""), "by": entry["ident"]},
            "routing": {
                "oid": self._organization.oid,
                "sid": entry["entity"]["name"],
                "event_type": "deleted_sensor",
                "event_time": entry["time"],
            },
            "ts": stamp(entry["time"] // 1000),
        }
