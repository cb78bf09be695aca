"""What sensors send all day: quiet telemetry, numbered by ten minutes since 1970, made when asked for.

What detections report was sent as well, and stands among it.
"""

from collections.abc import Callable
from typing import Any

from console.sandbox import names, snapshot
from console.sandbox.chance import Chance, hex_of, mixed
from console.sandbox.detections import Detections
from console.sandbox.organizations import Organization
from console.sandbox.sensors import LINUX, MACOS, OFFICE365, TEXT, WINDOWS, Sensor, stamp

SLOT_MS = 600_000
RETAINED_MS = 30 * 86_400_000
_ENDLESS = 1 << 62

_PROGRAMS = {
    WINDOWS: (
        "C:\\Windows\\System32\\svchost.exe",
        "C:\\Windows\\System32\\taskhostw.exe",
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
        "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    ),
    LINUX: ("/usr/sbin/cron", "/usr/bin/apt-get", "/usr/sbin/sshd", "/usr/bin/python3"),
    MACOS: ("/usr/libexec/xpcproxy", "/Applications/Safari.app/Contents/MacOS/Safari", "/usr/bin/mdworker"),
}


_RESULTS: dict[str, Callable[[Sensor], dict[str, Any]]] = {
    "os_version": lambda sensor: {"OS": sensor.platform, "HOST_NAME": sensor.hostname},
    "os_packages": lambda _: {"PACKAGES": [{"PACKAGE_NAME": "openssl", "PACKAGE_VERSION": "3.0.13"}]},
    "netstat": lambda sensor: {
        "NETWORK_ACTIVITY": [
            {"SOURCE": {"IP_ADDRESS": sensor.internal_ip, "PORT": 443}, "PROTOCOL": "tcp4", "STATE": 2}
        ]
    },
}
"""What some tasks find; the others find nothing."""

Event = dict[str, Any]


class Events:
    """The telemetry of every sensor, what detections report of it, and what sensors answered to tasks."""

    def __init__(self, seed: int, now_ms: int, detections: Detections) -> None:
        self._seed = seed
        self._now_ms = now_ms
        self._detections = detections
        self._clock: Callable[[], int] = lambda: now_ms
        self._answers: dict[tuple[int, int], list[Event]] = {}

    def kept(self, places: snapshot.Places) -> dict[str, list[Event]]:
        """What a snapshot keeps of it: the answers by sid, in the order in which sensors first answered."""
        return {places.sid(index, number): found for (index, number), found in self._answers.items()}

    def resume(self, kept: dict[str, list[Event]], places: snapshot.Places) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for sid, found in kept.items():
            last = -1
            for each in found:
                routing = snapshot.shaped(snapshot.Routed, each, "answers").routing
                if routing.sid != sid or routing.event_time <= last:
                    raise snapshot.BadSnapshot("answers: an answer is another sensor's, or out of order")
                last = routing.event_time
            if found:
                self._answers[places.sensor(sid, "answers")] = found

    def go_live(self, clock: Callable[[], int]) -> None:
        """Let sensors go on sending as this clock (ms) goes on."""
        self._clock = clock

    def _key(self, organization: Organization, sensor: Sensor) -> int:
        return mixed(self._seed, organization.index << 20 | sensor.index)

    def time(self, organization: Organization, sensor: Sensor, slot: int) -> int:
        """Milliseconds, UTC."""
        return slot * SLOT_MS + mixed(self._key(organization, sensor), slot) % SLOT_MS

    def slots(self, organization: Organization, sensor: Sensor, start: int, end: int) -> list[int]:
        """The events with start <= time < end (ms), as far as they are kept and the sensor was there."""
        start, end = self._bounds(sensor, start, end)
        return [
            slot
            for slot in range(start // SLOT_MS, end // SLOT_MS + 1)
            if start <= self.time(organization, sensor, slot) < end
        ]

    def _atom(self, organization: Organization, sensor: Sensor, slot: int) -> str:
        return f"{slot:08x}{hex_of(self._seed, 'event', organization.index, sensor.index, slot, length=24)}"

    def oldest(self, sensor: Sensor) -> int:
        """Before this (ms) nothing of a sensor is kept."""
        return max(self._now_ms - RETAINED_MS, sensor.enrolled * 1000)

    def between(self, organization: Organization, sensor: Sensor, start: int, end: int) -> list[Event]:
        """All events with start <= time < end (ms), oldest first."""
        found = [
            self.event(organization, sensor, slot) for slot in self.slots(organization, sensor, start, end)
        ]
        others = [
            self._detections.event(organization.index, number)
            for _, number in self.reported(organization, sensor, start, end)
        ]
        others += self.answers(organization, sensor, start, end)
        if others:
            found = sorted(found + others, key=lambda event: event["routing"]["event_time"])
        return found

    def reported(
        self, organization: Organization, sensor: Sensor, start: int, end: int
    ) -> list[tuple[int, int]]:
        """What detections report with start <= time < end (ms), as far as it is kept, oldest first.

        Returns:
            Time (ms) of each event, and the number of the detection.
        """
        since = max(start, self.oldest(sensor))
        return self._detections.reporting(organization.index, sensor.sid, since, end)

    def count(self, organization: Organization, sensor: Sensor, start: int, end: int) -> int:
        """How many events there are with start <= time < end (ms), without looking at each."""
        others = len(self.answers(organization, sensor, start, end))
        others += len(self.reported(organization, sensor, start, end))
        first, last = self._bounds(sensor, start, end)
        low, high = first // SLOT_MS + 1, last // SLOT_MS - 1
        if high - low < 2:
            return len(self.slots(organization, sensor, start, end)) + others
        # Each slot holds one event, so only the slots at both ends have to be looked at.
        edges = self.slots(organization, sensor, start, low * SLOT_MS)
        edges += self.slots(organization, sensor, (high + 1) * SLOT_MS, end)
        return high - low + 1 + len(edges) + others

    def _bounds(self, sensor: Sensor, start: int, end: int) -> tuple[int, int]:
        """A range of time (ms), as far as events are kept and the sensor was there."""
        until = (self._now_ms - sensor.silent * 1000) if sensor.silent else self._clock()
        return max(start, self.oldest(sensor)), min(end, until)

    def answers(self, organization: Organization, sensor: Sensor, start: int, end: int) -> list[Event]:
        """What a sensor answered to tasks with start <= time < end (ms), oldest first."""
        kept = self._answers.get((organization.index, sensor.index), ())
        return [event for event in kept if start <= event["routing"]["event_time"] < end]

    def answered(self, organization: Organization) -> list[Event]:
        """What all its sensors answered to tasks, oldest first."""
        return sorted(
            (
                event
                for (index, _), kept in self._answers.items()
                if index == organization.index
                for event in kept
            ),
            key=lambda event: event["routing"]["event_time"],
        )

    def answer(
        self, organization: Organization, sensor: Sensor, task: str, investigation: str, moment: int
    ) -> None:
        """Let a sensor carry a task out: a receipt of the cloud, then the result, a millisecond apart."""
        kept = self._answers.setdefault((organization.index, sensor.index), [])
        if kept:
            # Two tasks of one moment are answered one after the other.
            moment = max(moment, kept[-1]["routing"]["event_time"] + 1)
        command = task.split()[0]
        result = _RESULTS[command](sensor) if command in _RESULTS else {}
        for place, (kind, event) in enumerate(
            (
                ("CLOUD_NOTIFICATION", {"NOTIFICATION_ID": len(kept), "COMMAND_LINE": task}),
                (f"{command.upper()}_REP", result | {"ERROR": 0}),
            )
        ):
            number = len(kept)
            atom = (
                f"ffffffff{hex_of(self._seed, 'answer', organization.index, sensor.index, number, length=24)}"
            )
            found = self._wrapped(organization, sensor, kind, event, moment + place, atom)
            if investigation:
                found["routing"]["investigation_id"] = investigation
            if place:
                found["routing"]["parent"] = kept[-1]["routing"]["this"]
            kept.append(found)

    def children(self, organization: Organization, sensor: Sensor, atom: str) -> list[Event]:
        """The events that name this one as their parent."""
        kept = self._answers.get((organization.index, sensor.index), ())
        return [event for event in kept if event["routing"].get("parent") == atom]

    def by_atom(self, organization: Organization, sensor: Sensor, atom: str) -> Event | None:
        """The event of that atom, or None."""
        for answer in self._answers.get((organization.index, sensor.index), ()):
            if answer["routing"]["this"] == atom:
                return answer
        # The atom of a quiet event tells its slot; those that detections report have to be gone through.
        slot = self._slot_of(organization, sensor, atom)
        if slot is not None:
            return self.event(organization, sensor, slot)
        for _, number in self.reported(organization, sensor, 0, _ENDLESS):
            if self._detections.atom(organization.index, number) == atom:
                return self._detections.event(organization.index, number)
        return None

    def _slot_of(self, organization: Organization, sensor: Sensor, atom: str) -> int | None:
        """The slot of the quiet event of that atom, as far as it is kept; None when it is none."""
        try:
            slot = int(atom[:8], 16)
        except ValueError:
            return None
        if self._atom(organization, sensor, slot) != atom:
            return None
        moment = self.time(organization, sensor, slot)
        return slot if self.slots(organization, sensor, moment, moment + 1) else None

    def kind(self, organization: Organization, sensor: Sensor, slot: int) -> str:
        """The type of an event, for less than the event costs."""
        return self._begun(organization, sensor, slot)[1]

    def _begun(self, organization: Organization, sensor: Sensor, slot: int) -> tuple[Chance, str]:
        chance = Chance(self._seed, "telemetry", organization.index, sensor.index, slot)
        if sensor.platform == OFFICE365:
            return chance, chance.pick(("UserLoggedIn", "FileAccessed"))
        if sensor.platform == TEXT:
            return chance, "web_access"
        # The order of these two decisions is the seed's.
        dns = chance.happens(45) or sensor.platform not in _PROGRAMS
        return chance, "DNS_REQUEST" if dns else "NEW_PROCESS"

    def event(self, organization: Organization, sensor: Sensor, slot: int) -> Event:
        """One event: {event, routing, ts}."""
        chance, kind = self._begun(organization, sensor, slot)
        event: dict[str, Any]
        if sensor.platform == OFFICE365:
            mail = f"{chance.pick(names.FIRST)}.{chance.pick(names.LAST)}@{organization.domain}".lower()
            event = {
                "Operation": kind,
                "UserId": mail,
                "ClientIP": sensor.external_ip,
                "ResultStatus": "Success",
            }
        elif kind == "web_access":
            event = {
                "remote_addr": f"192.0.2.{chance.below(250)}",
                "method": "GET",
                "uri": "/",
                "status": 200,
            }
        elif kind == "DNS_REQUEST":
            event = {
                "DOMAIN_NAME": f"{chance.pick(('www', 'mail', 'cdn', 'api'))}.{organization.domain}",
                "DNS_TYPE": 1,
                "IP_ADDRESS": f"203.0.113.{chance.below(250)}",
            }
        else:
            path = chance.pick(_PROGRAMS[sensor.platform])
            event = {
                "FILE_PATH": path,
                "COMMAND_LINE": path,
                "PROCESS_ID": chance.between(400, 30_000),
                "HASH": hex_of("binary", path, length=64),
            }
        moment = self.time(organization, sensor, slot)
        return self._wrapped(
            organization,
            sensor,
            kind,
            event,
            moment,
            self._atom(organization, sensor, slot),
            hex_of(self._seed, "event id", organization.index, sensor.index, slot),
        )

    def _wrapped(
        self,
        organization: Organization,
        sensor: Sensor,
        kind: str,
        event: Event,
        moment: int,
        atom: str,
        event_id: str = "",
    ) -> Event:
        return {
            "event": event,
            "routing": {
                "oid": organization.oid,
                "sid": sensor.sid,
                "iid": sensor.iid,
                "did": sensor.did,
                "hostname": sensor.hostname,
                "event_type": kind,
                "event_time": moment,
                "event_id": event_id or hex_of("event id", atom),
                "ext_ip": sensor.external_ip,
                "int_ip": sensor.internal_ip,
                "plat": sensor.platform,
                "arch": sensor.architecture,
                "moduleid": 2 if sensor.did else 6,
                "this": atom,
                "tags": list(sensor.tags),
            },
            "ts": stamp(moment // 1000),
        }
