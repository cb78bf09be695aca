"""Sensors: endpoints and adapters, each a function of its organization and its number."""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from console.sandbox import names, snapshot
from console.sandbox.chance import Chance, hex_of, numbered_uuid, uuid_of
from console.sandbox.organizations import DAY, Organization

WINDOWS, LINUX, MACOS, CHROME = 0x10000000, 0x20000000, 0x30000000, 0x60000000
TEXT, OFFICE365 = 0x80000000, 0xE0000000
"""Platform codes, docs/8-reference/id-schema.md."""

PLATFORM_NAMES = {
    "windows": WINDOWS, "linux": LINUX, "macos": MACOS, "chrome": CHROME, "text": TEXT,
    "office365": OFFICE365,
}  # fmt: skip

HOSTILE_HOSTNAME = "WS-\x1b[31mALERT\x1b[0m[@click=app.bell]x[/]\u202etxt.exe\u2066"
"""Terminal sequences, console markup and direction marks, as an attacker's machine may call itself."""


Tags = dict[str, tuple[str, int]]
"""Tag -> who set it, and when in seconds."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One endpoint or adapter."""

    index: int
    sid: str
    hostname: str
    platform: int
    architecture: int
    internal_ip: str
    external_ip: str
    tags: tuple[str, ...]
    iid: str
    did: str
    enrolled: int
    """Seconds, UTC."""
    silent: int
    """Seconds since it was last heard of; 0 while online."""
    isolated: bool
    user: int
    """Number of the person it belongs to."""


def stamp(seconds: int) -> str:
    """`2026-01-31 12:00:00`, UTC: LimaCharlie's own notation."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=2048)
def layout(organization: Organization) -> dict[int, range]:
    """Which sensor numbers are of which platform; each has one of every platform that rules are for."""
    if organization.blank:
        return {kind: range(0) for kind in (WINDOWS, LINUX, MACOS, CHROME, OFFICE365, TEXT)}
    rest = organization.sensors - 2
    linux = max(1, rest * (28 if organization.industry in ("energy", "services") else 13) // 100)
    macs = max(1, rest * (22 if organization.industry in ("services", "legal") else 7) // 100)
    chrome = rest * 5 // 100 if organization.industry in ("public", "retail") and rest > 40 else 0
    windows = rest - linux - macs - chrome
    ends = [windows, windows + linux, windows + linux + macs, rest, rest + 1, rest + 2]
    kinds = (WINDOWS, LINUX, MACOS, CHROME, OFFICE365, TEXT)
    return {
        kind: range(end - size, end)
        for kind, end, size in zip(kinds, ends, (windows, linux, macs, chrome, 1, 1), strict=True)
    }


def installation_key_ids(seed: int, organization: Organization) -> tuple[str, str, str]:
    """The iids of an organization: workstations, servers, adapters."""
    return (
        uuid_of(seed, "iid", organization.index, 0),
        uuid_of(seed, "iid", organization.index, 1),
        uuid_of(seed, "iid", organization.index, 2),
    )


@lru_cache(maxsize=20_000)
def sensor(seed: int, organization: Organization, index: int, hostile: bool, now: int) -> Sensor:
    """The sensor of that number.

    Args:
        index: 0 <= index < organization.sensors.
        hostile: this one names itself with text that is code to a terminal.
        now: seconds, UTC.
    """
    chance = Chance(seed, "sensor", organization.index, index)
    kinds = layout(organization)
    platform = next(kind for kind, numbers in kinds.items() if index in numbers)
    place = index - kinds[platform].start
    keys = installation_key_ids(seed, organization)
    short = organization.slug.split("-")[0][:8] or "hq"
    net = Chance(seed, "net", organization.index)
    site, outside = net.below(200) + 10, net.below(254) + 1
    tags: list[str] = []
    iid = keys[0]
    if platform == WINDOWS:
        if place < max(1, len(kinds[WINDOWS]) // 8):
            hostname = f"{short}-{names.MACHINES['server'][place % 10]}{place // 10 + 1:02d}"
            tags += ["server", "prod"]
            iid = keys[1]
        else:
            hostname = f"{organization.netbios[:6]}-{chance.pick(('WS', 'LT', 'PC'))}{1000 + place}"
            tags.append("workstation")
            if chance.happens(6):
                tags.append("vip")
    elif platform == LINUX:
        hostname = f"{short}-{names.MACHINES['linux'][place % 10]}-{place // 10 + 1}"
        tags += ["linux", "server", *(["dmz"] if place % 10 in (0, 2, 8) else [])]
        iid = keys[1]
    elif platform == MACOS:
        hostname = f"{chance.pick(names.FIRST).lower()}s-macbook-{place + 1}.{organization.domain}"
        tags.append("workstation")
    elif platform == CHROME:
        hostname = f"chromebook-{place + 1:03d}"
        tags.append("kiosk")
    elif platform == OFFICE365:
        hostname, iid = f"o365-{short}", keys[2]
        tags.append("o365")
    else:
        hostname, iid = f"{short}-web-access-log", keys[2]
        tags.append("web")
    adapter = platform in (OFFICE365, TEXT)
    if chance.happens(3) and not adapter:
        tags.append("pilot")
    away = 0 if adapter or "server" in tags else chance.below(100)
    silent = 0 if away < 86 else chance.between(1, 12) * 3600 if away < 95 else chance.between(1, 60) * DAY
    return Sensor(
        index=index,
        sid=numbered_uuid(seed, "sid", organization.index, index),
        hostname=HOSTILE_HOSTNAME if hostile else hostname,
        platform=platform,
        architecture=9 if adapter else 6 if platform == CHROME else 4 if platform == MACOS else 2,
        internal_ip="" if adapter else f"10.{site}.{index // 250 % 250}.{index % 250 + 4}",
        external_ip=f"203.0.113.{outside}",
        tags=tuple(tags),
        iid=iid,
        did="" if adapter else uuid_of(seed, "did", organization.index, index),
        enrolled=max(organization.created, now - chance.between(5, 900) * DAY),
        silent=silent,
        isolated=platform == WINDOWS and place == 7 and organization.index % 19 == 4,
        user=chance.below(max(3, organization.sensors)),
    )


def record(found: Sensor, organization: Organization, now: int, tags: tuple[str, ...]) -> dict[str, Any]:
    """The sensor as the API shows it (docs/8-reference/id-schema.md, api: GET sensors/{oid})."""
    return {
        "oid": organization.oid,
        "iid": found.iid,
        "sid": found.sid,
        "did": found.did,
        "plat": found.platform,
        "ext_plat": found.platform,
        "arch": found.architecture,
        "enroll": stamp(found.enrolled),
        "alive": stamp(now - found.silent),
        "hostname": found.hostname,
        "int_ip": found.internal_ip,
        "ext_ip": found.external_ip,
        "mac_addr": "" if not found.did else "-".join(("02", *_pairs(hex_of(found.sid, length=10)))).upper(),
        "isolated": found.isolated,
        "should_isolate": found.isolated,
        "sealed": False,
        "should_seal": False,
        "kernel": found.platform in (WINDOWS, LINUX),
        "tags": list(tags),
    }


def _pairs(text: str) -> list[str]:
    return [text[place : place + 2] for place in range(0, len(text), 2)]


@dataclass(slots=True)
class Changes:
    """What somebody did to one sensor. None is what the seed decided."""

    tags: Tags | None = None
    ends: dict[str, int] = field(default_factory=dict)
    """Tags that end by themselves: milliseconds, UTC."""
    isolated: bool | None = None
    should_isolate: bool | None = None
    sealed: bool | None = None
    should_seal: bool | None = None
    removed: int = 0
    """When it was deleted: milliseconds, UTC; 0 while it is there."""
    done: set[str] = field(default_factory=set)
    """Idempotency keys of tasks that were sent already."""

    def end(self, moment: int) -> None:
        """Take away the tags whose time (ms) has come."""
        for tag in [tag for tag, ends in self.ends.items() if ends <= moment]:
            del self.ends[tag]
            if self.tags is not None:
                self.tags.pop(tag, None)


ENDLESS = (1 << 63) - 1
"""Milliseconds: as late as a snapshot can say."""


class Fleet:
    """What somebody did to sensors, over all organizations."""

    def __init__(self) -> None:
        self._changes: dict[tuple[int, int], Changes] = {}
        self._removed: dict[int, list[int]] = {}

    def kept(self, places: snapshot.Places, moment: int) -> snapshot.Fleet:
        """What a snapshot keeps of it at a time (ms)."""
        found = {}
        for (index, number), one in sorted(self._changes.items()):
            one.end(moment)
            found[places.sid(index, number)] = snapshot.Machine(
                tags=one.tags,
                ends={tag: min(ends, ENDLESS) for tag, ends in sorted(one.ends.items())},
                isolated=one.isolated,
                should_isolate=one.should_isolate,
                sealed=one.sealed,
                should_seal=one.should_seal,
                removed=one.removed,
                done=sorted(one.done),
            )
        gone = [
            places.sid(index, number)
            for index, numbers in sorted(self._removed.items())
            for number in numbers
        ]
        return snapshot.Fleet(sensors=found, removed=gone)

    def resume(self, kept: snapshot.Fleet, places: snapshot.Places) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for sid, one in kept.sensors.items():
            self._changes[places.sensor(sid, "fleet.sensors")] = Changes(
                tags=one.tags,
                ends=one.ends,
                isolated=one.isolated,
                should_isolate=one.should_isolate,
                sealed=one.sealed,
                should_seal=one.should_seal,
                removed=one.removed,
                done=set(one.done),
            )
        if sorted(kept.removed) != sorted(sid for sid, one in kept.sensors.items() if one.removed):
            raise snapshot.BadSnapshot(
                "fleet.removed: these are not the sensors that fleet.sensors calls removed"
            )
        for sid in kept.removed:
            index, number = places.sensor(sid, "fleet.removed")
            self._removed.setdefault(index, []).append(number)

    def of(self, organization: Organization, index: int) -> Changes | None:
        """What was done to a sensor, if anything was."""
        return self._changes.get((organization.index, index))

    def to(self, organization: Organization, index: int) -> Changes:
        """The same, to be changed by the caller."""
        return self._changes.setdefault((organization.index, index), Changes())

    def remove(self, organization: Organization, index: int, moment: int) -> None:
        """Delete a sensor; milliseconds, UTC."""
        self.to(organization, index).removed = moment
        self._removed.setdefault(organization.index, []).append(index)

    def removed(self, organization: Organization) -> list[int]:
        """Numbers of the deleted sensors, in the order of their deletion."""
        return self._removed.get(organization.index, [])

    def tags(self, organization: Organization, index: int, moment: int) -> Tags | None:
        """The tags of a sensor as somebody left them, without those that ended; None when nobody did."""
        changes = self.of(organization, index)
        if changes is None or changes.tags is None:
            return None
        changes.end(moment)
        return changes.tags

    def over(self, organization: Organization, index: int) -> dict[str, bool]:
        """Those fields of a sensor's record that somebody changed."""
        changes = self.of(organization, index)
        if changes is None:
            return {}
        found = {
            name: getattr(changes, name) for name in ("isolated", "should_isolate", "sealed", "should_seal")
        }
        return {name: value for name, value in found.items() if value is not None}
