"""What organizations used, what went wrong in them, and who did what: functions of the seed and the day."""

import re
import time
from collections.abc import Collection, Iterable
from typing import Any

from console.sandbox.access import Access
from console.sandbox.chance import Chance, hex_of, mixed, numbered_uuid
from console.sandbox.organizations import DAY, Organization
from console.sandbox.rules import BASELINE, Value
from console.sandbox.sensors import PLATFORM_NAMES, layout, stamp

AUDIT_DAYS = 30


def usage(seed: int, organization: Organization, now: int) -> dict[str, dict[str, int]]:
    """Figures of the last 90 days, newest day is yesterday: LimaCharlie aggregates once a day."""
    found: dict[str, dict[str, int]] = {}
    if organization.blank:
        return found
    created = time.strftime("%Y-%m-%d", time.gmtime(organization.created))
    for back in range(90, 0, -1):
        moment = now - back * DAY
        day = time.strftime("%Y-%m-%d", time.gmtime(moment))
        if day < created:
            continue
        found[day] = used_on(seed, organization, day, weekend=time.gmtime(moment).tm_wday >= 5)
    return found


def used_on(seed: int, organization: Organization, day: str, *, weekend: bool) -> dict[str, int]:
    """Figures of one day, `2026-01-31`, UTC."""
    chance = Chance(seed, "usage", organization.index, day)
    online = organization.sensors * (62 if weekend else 88) // 100 + chance.below(3)
    return {
        "sensor_events": online * chance.between(9_000, 14_000),
        "output_bytes_tx": online * chance.between(30_000, 90_000),
        "replay_num_evals": chance.below(4000) if chance.happens(9) else 0,
        "peak_sensors": max(1, online),
        "sensor_retained": organization.sensors,
        "event_retained": online * chance.between(9_000, 14_000),
    }


def quota(organization: Organization, *, over: bool, removed: Collection[int] = ()) -> Value:
    """Weighted sensors against the quota.

    Args:
        over: there are more sensors than the quota allows, as long as nobody sets it.
        removed: numbers of sensors that were deleted.
    """
    weights = {"windows": 1.0, "linux": 1.0, "macos": 1.0, "chrome": 0.1, "text": 1.0, "office365": 1.0}
    kinds = layout(organization)
    breakdown = {}
    before = 0.0
    for name, weight in weights.items():
        numbers = kinds[PLATFORM_NAMES[name]]
        before += round(len(numbers) * weight, 1)
        count = len(numbers) - sum(number in numbers for number in removed)
        if count:
            breakdown[name] = {"count": count, "weight": weight, "quota": round(count * weight, 1)}
    used = round(sum(part["quota"] for part in breakdown.values()))
    if organization.limit is not None:
        limit = organization.limit
    else:
        limit = max(1, round(before) * 9 // 10) if over else max(organization.quota, round(before) + 1)
    return {
        "usage": used,
        "quota": limit,
        "breakdown": breakdown,
    }


def errors(seed: int, organization: Organization, now: int, *, failing: bool) -> list[Value]:
    """Standing errors of an organization."""
    found: list[Value] = []
    if organization.blank:
        return found
    chance = Chance(seed, "errors", organization.index)
    if failing:
        found.append(
            {
                "component": "outputs/customer-syslog",
                "error": f"dial tcp: lookup log.{organization.domain}: no such host",
                "ts": now - 5 * 3600,
                "oid": organization.oid,
            }
        )
    if chance.happens(4):
        found.append(
            {
                "component": "cloud_sensor/office365",
                "error": "AADSTS7000222: the provided client secret keys are expired",
                "ts": now - chance.between(1, 12) * DAY,
                "oid": organization.oid,
            }
        )
    return found


def mitre(organization: Organization, present: list[str]) -> Value:
    """An ATT&CK Navigator layer of what the rules cover.

    Args:
        present: technique ids, `T1059.001`.
    """
    return {
        "name": f"{organization.name} coverage",
        "versions": {"layer": "4.5", "navigator": "4.9.1", "attack": "14"},
        "sorting": 3,
        "description": "Techniques that detection rules are tagged with",
        "domain": "enterprise-attack",
        "techniques": [
            {"techniqueID": technique, "enabled": True, "color": "#31a354"} for technique in present
        ],
    }


_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)


def techniques(rules: Iterable[Value]) -> list[str]:
    """The techniques that enabled rules are tagged with, on their record or in their reports.

    Args:
        rules: records of the hives of rules.
    """
    found = set()
    for record in rules:
        if not record["usr_mtd"].get("enabled"):
            continue
        tags = list(record["usr_mtd"].get("tags") or ())
        respond = record["data"].get("respond")
        for action in respond if isinstance(respond, list) else ():
            metadata = action.get("metadata") if isinstance(action, dict) else None
            more = metadata.get("tags") if isinstance(metadata, dict) else None
            tags += more if isinstance(more, list) else []
        found |= {match[1].upper() for tag in tags if (match := _TECHNIQUE.fullmatch(str(tag)))}
    return sorted(found)


class Audit:
    """The audit log of every organization: numbered in the order of time, like detections."""

    def __init__(self, seed: int, access: Access, now: int) -> None:
        self._seed = seed
        self._access = access
        self._start = now - AUDIT_DAYS * DAY

    def count(self, organization: Organization) -> int:
        """How many entries the last 30 days hold."""
        if organization.blank:
            return 0
        return 24 + mixed(self._seed ^ 0xAD17, organization.index) % 70 + organization.sensors // 20

    def time(self, organization: Organization, number: int) -> int:
        """Milliseconds, UTC."""
        share = (
            number + (mixed(self._seed * 31 + organization.index, number) >> 11) / (1 << 53)
        ) / self.count(organization)
        return (self._start + int(share * AUDIT_DAYS * DAY)) * 1000 + mixed(self._seed, number) % 1000

    def entry(self, organization: Organization, number: int) -> Value:
        """One entry: {oid, ts, time, etype, msg, ident, entity, mtd, origin}."""
        chance = Chance(self._seed, "audit", organization.index, number)
        moment = self.time(organization, number)
        access = self._access
        entity: dict[str, Any] = {}
        mtd: dict[str, Any] = {}
        kind = chance.below(100)
        origin = chance.pick(("api", "ui", "cli"))
        if number == 3:
            direct = access.seeded(organization)
            email = next((who for who in (access.engineers[0], access.left) if who in direct), "")
            email = email or access.contacts(organization)[0][0]
            permission = "sensor.task" if "sensor.task" in direct[email] else direct[email][-1]
            etype, ident, origin = "config_change", access.root, "ui"
            message, entity = (
                f"user permission {permission} granted to {email}",
                {"type": "user", "name": email},
            )
            mtd = {"permission": permission, "action": "add"}
        elif kind < 34:
            rule = chance.pick(BASELINE)
            hive = "dr-managed" if rule.managed else "dr-general"
            etype, ident = "hive_set", chance.pick(access.engineers)
            message, entity = (
                f"hive record {hive}/{rule.key} set",
                {"type": "hive", "name": f"{hive}/{rule.key}"},
            )
            mtd = {"guid": hex_of("guid", rule.key), "etag": hex_of(self._seed, number, rule.key)}
        elif kind < 52:
            command = chance.pick(
                ("os_packages", "history_dump", "netstat", "mem_map --pid 4112", "segregate_network")
            )
            etype, ident = "send_task", chance.pick(access.seniors + access.responders)
            message, entity = (
                f"task sent: {command}",
                {"type": "sensor", "name": self._sid(organization, chance)},
            )
            mtd = {"task": command}
        elif kind < 62:
            etype, ident = "add_tag", chance.pick(access.seniors)
            message, entity = (
                "tag added",
                {"type": "sensor", "name": self._sid(organization, chance)},
            )
            mtd = {"tag": chance.pick(("vip", "pilot", "reimage"))}
        elif kind < 72:
            etype, ident, origin = "sensor_over_quota" if chance.happens(3) else "enrollment", "", "system"
            message, entity = (
                "sensor enrolled",
                {"type": "sensor", "name": self._sid(organization, chance)},
            )
        elif kind < 76:
            etype, ident = "remove_sensor", chance.pick(access.administrators)
            message, entity = (
                "sensor removed",
                {"type": "sensor", "name": self._sid(organization, chance)},
            )
        elif kind < 86:
            etype, ident = "config_change", chance.pick(access.administrators)
            email = chance.pick(access.staff)
            permission = chance.pick(("dr.set", "sensor.task", "insight.evt.get", "secret.get"))
            message, entity = (
                f"user permission {permission} revoked from {email}",
                {"type": "user", "name": email},
            )
            mtd = {"permission": permission, "action": "remove"}
        else:
            etype, ident, origin = "api_call", "limegrove-automation[bulk]", "api"
            message, entity = "api key used", {"type": "api_key", "name": ident}
        return {
            "oid": organization.oid,
            "ts": stamp(moment // 1000),
            "time": moment,
            "etype": etype,
            "msg": message,
            "ident": ident,
            "entity": entity,
            "mtd": mtd,
            "origin": origin,
        }

    def _sid(self, organization: Organization, chance: Chance) -> str:
        return numbered_uuid(self._seed, "sid", organization.index, chance.below(organization.sensors))

    def first_at(self, organization: Organization, moment: int) -> int:
        """The number of the first entry at or after a time (ms)."""
        low, high = 0, self.count(organization)
        while low < high:
            middle = (low + high) // 2
            if self.time(organization, middle) < moment:
                low = middle + 1
            else:
                high = middle
        return low
