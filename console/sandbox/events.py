"""What sensors send all day: quiet telemetry, numbered by ten minutes since 1970, made when asked for."""

from typing import Any

from console.sandbox import names
from console.sandbox.chance import Chance, hex_of, mixed
from console.sandbox.organizations import Organization
from console.sandbox.sensors import LINUX, MACOS, OFFICE365, TEXT, WINDOWS, Sensor, stamp

SLOT_MS = 600_000
RETAINED_MS = 30 * 86_400_000

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


class Events:
    """The telemetry of every sensor."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self._seed = seed
        self._now_ms = now_ms

    def _key(self, organization: Organization, sensor: Sensor) -> int:
        return mixed(self._seed, organization.index << 20 | sensor.index)

    def time(self, organization: Organization, sensor: Sensor, slot: int) -> int:
        """Milliseconds, UTC."""
        return slot * SLOT_MS + mixed(self._key(organization, sensor), slot) % SLOT_MS

    def slots(self, organization: Organization, sensor: Sensor, start: int, end: int) -> list[int]:
        """The events with start <= time < end (ms), as far as they are kept and the sensor was there."""
        start = max(start, self._now_ms - RETAINED_MS, sensor.enrolled * 1000)
        end = min(end, self._now_ms - sensor.silent * 1000)
        return [
            slot
            for slot in range(start // SLOT_MS, end // SLOT_MS + 1)
            if start <= self.time(organization, sensor, slot) < end
        ]

    def _atom(self, organization: Organization, sensor: Sensor, slot: int) -> str:
        return f"{slot:08x}{hex_of(self._seed, 'event', organization.index, sensor.index, slot, length=24)}"

    def by_atom(self, organization: Organization, sensor: Sensor, atom: str) -> dict[str, Any] | None:
        """The event of that atom, or None."""
        try:
            slot = int(atom[:8], 16)
        except ValueError:
            return None
        moment = self.time(organization, sensor, slot)
        kept = self.slots(organization, sensor, moment, moment + 1)
        return (
            self.event(organization, sensor, slot)
            if kept and self._atom(organization, sensor, slot) == atom
            else None
        )

    def event(self, organization: Organization, sensor: Sensor, slot: int) -> dict[str, Any]:
        """One event: {event, routing, ts}."""
        chance = Chance(self._seed, "telemetry", organization.index, sensor.index, slot)
        event: dict[str, Any]
        if sensor.platform == OFFICE365:
            kind = chance.pick(("UserLoggedIn", "FileAccessed"))
            mail = f"{chance.pick(names.FIRST)}.{chance.pick(names.LAST)}@{organization.domain}".lower()
            event = {
                "Operation": kind,
                "UserId": mail,
                "ClientIP": sensor.external_ip,
                "ResultStatus": "Success",
            }
        elif sensor.platform == TEXT:
            kind = "web_access"
            event = {
                "remote_addr": f"192.0.2.{chance.below(250)}",
                "method": "GET",
                "uri": "/",
                "status": 200,
            }
        elif chance.happens(45) or sensor.platform not in _PROGRAMS:
            kind = "DNS_REQUEST"
            event = {
                "DOMAIN_NAME": f"{chance.pick(('www', 'mail', 'cdn', 'api'))}.{organization.domain}",
                "DNS_TYPE": 1,
                "IP_ADDRESS": f"203.0.113.{chance.below(250)}",
            }
        else:
            kind = "NEW_PROCESS"
            path = chance.pick(_PROGRAMS[sensor.platform])
            event = {
                "FILE_PATH": path,
                "COMMAND_LINE": path,
                "PROCESS_ID": chance.between(400, 30_000),
                "HASH": hex_of("binary", path, length=64),
            }
        moment = self.time(organization, sensor, slot)
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
                "event_id": hex_of(self._seed, "event id", organization.index, sensor.index, slot),
                "ext_ip": sensor.external_ip,
                "int_ip": sensor.internal_ip,
                "plat": sensor.platform,
                "arch": sensor.architecture,
                "moduleid": 2 if sensor.did else 6,
                "this": self._atom(organization, sensor, slot),
                "tags": list(sensor.tags),
            },
            "ts": stamp(moment // 1000),
        }
