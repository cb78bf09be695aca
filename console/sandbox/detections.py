"""Detections, made when they are asked for.

The past of an organization is numbered, and number i has a time of its own slot, so that the numbers
are in the order of time and a range of time is found by bisection. Nothing is kept: a million
detections take the memory of none. Live ones are kept as (time, rule) after the numbers of the past.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from console.sandbox import names, rules, snapshot
from console.sandbox.chance import Chance, hex_of, mixed, numbered_uuid, numbers_of
from console.sandbox.organizations import Organization
from console.sandbox.rules import BASELINE, Rule, Scene
from console.sandbox.sensors import OFFICE365, TEXT, WINDOWS, Sensor, layout, sensor, stamp

HOURS = 30 * 24
_LATENCY_MS = 4000
"""From an event to the detection that reports it, at most."""
_INDEXED = 300_000
"""Detections that are kept by sensor, of the organizations that were asked about last."""
_THIS = slice(32, 64)
"""Where the atom of the event is in what is drawn for a detection."""
HOUR_MS = 3_600_000
HOSTILE_PATH = "C:\\Users\\Public\\\x1b]0;pwned\x07[bold @click=app.quit]inv\u202eslx.exe[/]\u2067\x1b[2J.exe"
_BY_KEY = {rule.key: number for number, rule in enumerate(BASELINE)}


@dataclass(frozen=True, slots=True)
class Variant:
    """What an organization made of a baseline rule."""

    priority: int
    enabled: bool
    present: bool

    @property
    def drifted(self) -> bool:
        """Whether it is not as the provider wants it, priority aside."""
        return not (self.enabled and self.present)


@lru_cache(maxsize=4096)
def variant(seed: int, index: int, rule_number: int) -> Variant:
    """The state of a baseline rule in an organization."""
    rule = BASELINE[rule_number]
    if rule.key in rules.DRIFTING:
        fate = Chance(seed, "drift", index, rule.key).below(100)
        if fate < 6:
            return Variant(min(10, rule.priority + 3), True, True)
        if fate < 9:
            return Variant(rule.priority, False, True)
        if fate < 12:
            return Variant(rule.priority, True, False)
    return Variant(rule.priority, True, True)


@lru_cache(maxsize=1024)
def _rule_table(seed: int, index: int) -> tuple[list[int], list[int]]:
    """Cumulative weights, and the rules they stand for: what is missing or disabled does not fire."""
    sums, numbers, total = [], [], 0
    taste = Chance(seed, "taste", index)
    for number, rule in enumerate(BASELINE):
        loud = taste.pick((1, 2, 3, 4))
        if variant(seed, index, number).drifted or rule.key == rules.STORM:
            continue
        total += rule.weight * loud
        sums.append(total)
        numbers.append(number)
    return sums, numbers


class Detections:
    """All detections of a world."""

    def __init__(
        self, seed: int, organizations: list[Organization], now_ms: int, hostile: int | None
    ) -> None:
        """Prepare.

        Args:
            organizations: the world's own list; `join` follows whenever it grows.
            now_ms: the end of the past; its start is 30 days earlier.
            hostile: index of the organization whose first sensor is hostile.
        """
        self._seed = seed
        self._organizations = organizations
        self._now_ms = now_ms
        self._start = now_ms - HOURS * HOUR_MS
        self._hostile = hostile
        self._keys: list[int] = []
        for organization in organizations:
            self.join(organization)
        self._gone: set[int] = set()
        self._curve = self._hourly()
        self._live: dict[int, list[tuple[int, int]]] = {}
        self._fired: dict[tuple[int, int], dict[str, Any]] = {}
        """What rules of organizations reported, by index and number."""
        self._by_sensor: dict[int, tuple[int, dict[str, list[tuple[int, int]]]]] = {}
        """By index: how many were looked at, and of each sensor's when its event was and its number."""
        self._shares: list[int] = []
        self._planned: list[tuple[int, int, int]] = []
        self._rate = 0.0
        self._emitted = 0
        self._released = 0
        self._resumed: int | None = None
        """Until when (ms) a snapshot has what came."""

    def join(self, organization: Organization) -> None:
        """Know one more organization, the last of the list."""
        name = hex_of(self._seed, "stream", organization.index, length=16)
        self._keys.append(int.from_bytes(bytes.fromhex(name)))

    def leave(self, organization: Organization) -> None:
        """Let nothing new appear at a deleted organization."""
        self._gone.add(organization.index)
        self._live.pop(organization.index, None)

    def _hourly(self) -> list[float]:
        """Cumulative share of the past up to each hour: working hours are louder, weekends quieter."""
        sums, total = [0.0], 0.0
        for hour in range(HOURS):
            moment = self._start // HOUR_MS + hour
            of_day, weekday = moment % 24, (moment // 24 + 3) % 7
            loud = 1.0 + (1.4 if 7 <= of_day <= 17 else 0.5 if of_day <= 21 else 0.0)
            total += loud * (0.55 if weekday >= 5 else 1.0)
            sums.append(total)
        return [value / total for value in sums]

    def go_live(
        self,
        rate: float,
        storm_after: float | None,
        storm: int | None = None,
        unreadable: Collection[int] = (),
    ) -> None:
        """Let new ones appear from now on.

        Args:
            rate: detections a minute over all organizations.
            storm_after: seconds until one rule fires at many organizations; None for no storm.
            storm: how many detections that are, within half a minute, over 60 organizations where there are
                so many; None for 6 to 30 at each of a quarter of the organizations, at most 60.
            unreadable: indexes of organizations that a storm of a given size leaves out.
        """
        self._rate = rate
        total = 0
        for organization in self._organizations:
            # A blank one has no machines that anything could happen on.
            total += 0 if organization.blank else organization.detections + 1
            self._shares.append(total)
        self._plan(storm_after, storm, unreadable)
        self._skip()

    def _skip(self) -> None:
        """Take what a snapshot has already as released."""
        if self._resumed is None:
            return
        if self._rate > 0:
            # One before and one after, for a detection may come at any time of its gap.
            self._emitted = max(0, int((self._resumed - self._now_ms) * self._rate / 60_000) - 2)
            while self._due(self._emitted) <= self._resumed:
                self._emitted += 1
        self._released = sum(moment <= self._resumed for moment, _, _ in self._planned)

    def _due(self, number: int) -> int:
        """When a live detection comes: milliseconds, UTC. Grows with the number."""
        draw = mixed(self._seed ^ 0x11FE, number)
        return self._now_ms + int((number + (draw & 0xFFFF) / 65536) * (60_000 / self._rate))

    def _plan(self, storm_after: float | None, storm: int | None, unreadable: Collection[int]) -> None:
        if storm_after is None:
            return
        begin = self._now_ms + int(storm_after * 1000)
        order = sorted(
            (one.index for one in self._organizations if not one.blank),
            key=lambda index: mixed(self._keys[index], 77),
        )
        number = _BY_KEY[rules.STORM]
        if storm is not None:
            reached = [index for index in order if index not in unreadable][:60]
            for index, share in zip(reached, self._shared(storm, reached), strict=True):
                chance = Chance(self._seed, "storm", index)
                lag = chance.below(15_000)
                self._planned += [(begin + lag + chance.below(15_000), index, number) for _ in range(share)]
            self._planned.sort()
            return
        for index in order[: max(1, min(60, len(order) * 28 // 100))]:
            chance = Chance(self._seed, "storm", index)
            lag = chance.below(70_000)
            self._planned += [
                (begin + lag + chance.below(25_000), index, number) for _ in range(chance.between(6, 30))
            ]
        self._planned.sort()

    def _shared(self, storm: int, indexes: Sequence[int]) -> list[int]:
        """How many of a storm each organization gets: at least one, as long as there are so many."""
        weights = [Chance(self._seed, "share", index).between(6, 30) for index in indexes]
        spare = max(0, storm - len(indexes))
        sums = [0, *accumulate(weights)]
        # The difference of the rounded sums: together they are exactly what there is to share.
        extra = [
            spare * sums[place + 1] // sums[-1] - spare * sums[place] // sums[-1]
            for place in range(len(weights))
        ]
        return [(place < storm) + more for place, more in enumerate(extra)]

    def kept(self, places: snapshot.Places) -> snapshot.Detections:
        """What a snapshot keeps of it. What is to come is decided by the seed and the clock."""
        return snapshot.Detections(
            live=places.named(
                {
                    index: [(moment, BASELINE[number].key) for moment, number in found]
                    for index, found in self._live.items()
                }
            ),
            fired={
                self.detect_id(*key): report
                for key, report in sorted(self._fired.items())
                if key[0] not in self._gone
            },
        )

    def resume(self, kept: snapshot.Detections, places: snapshot.Places, now_ms: int) -> None:
        """Become what a snapshot kept at a time (ms).

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        for index, found in places.placed(kept.live, "detections.live").items():
            for _, key in found:
                if key not in _BY_KEY:
                    raise snapshot.BadSnapshot(f"detections.live: there is no rule {key[:64]}")
            if self._organizations[index].blank and found:
                raise snapshot.BadSnapshot("detections.live: an organization without sensors has detections")
            self._live[index] = [(moment, _BY_KEY[key]) for moment, key in found]
        for detect_id, report in kept.fired.items():
            if snapshot.shaped(snapshot.Reported, report, "detections.fired").detect_id != detect_id:
                raise snapshot.BadSnapshot("detections.fired: a report stands below another's id")
            place = numbers_of(self._seed, "detection", detect_id)
            past = None
            if place is not None and place[0] < len(self._organizations):
                past = self._organizations[place[0]].detections
            if place is None or past is None or not past <= place[1] < self.count(place[0]):
                raise snapshot.BadSnapshot(f"detections.fired: {detect_id[:64]} is not in detections.live")
            self._fired[place] = report
        self._resumed = now_ms

    def advance(self, now_ms: int) -> None:
        """Release what is due. Cheap when nothing is."""
        if self._rate <= 0 and not self._planned:
            return
        due: list[tuple[int, int, int]] = []
        while self._rate > 0:
            moment = self._due(self._emitted)
            if moment > now_ms:
                break
            draw = mixed(self._seed ^ 0x11FE, self._emitted)
            index = bisect_right(self._shares, (draw >> 16) % self._shares[-1])
            due.append((moment, index, -1))
            self._emitted += 1
        while self._released < len(self._planned) and self._planned[self._released][0] <= now_ms:
            due.append(self._planned[self._released])
            self._released += 1
        for moment, index, number in sorted(due):
            if index in self._gone:
                continue
            kept = self._live.setdefault(index, [])
            place = self._organizations[index].detections + len(kept)
            kept.append((moment, number if number >= 0 else self._drawn_rule(index, place)))

    def fire(self, organization: Organization, where: Sensor, report: dict[str, Any], now_ms: int) -> None:
        """Let one appear that a rule of the organization's own reported.

        Args:
            report: with cat, detect, routing, detect_mtd, detect_data, priority, namespace, source_rule, mtd.
        """
        index = organization.index
        kept = self._live.setdefault(index, [])
        number = organization.detections + len(kept)
        made = max(now_ms, kept[-1][0]) if kept else now_ms
        kept.append((made, 0))
        self._fired[index, number] = {
            **report,
            "source": f"{organization.oid}.{where.iid}.{where.sid}.{where.platform:x}.{where.architecture}",
            "detect_id": self.detect_id(index, number),
            "gen_time": made,
            "ts": made // 1000,
        }

    def happened(self, index: int, number: int) -> int:
        """When the event was that it reports: milliseconds, UTC."""
        return self.time(index, number) - self._latency(Chance(self._seed, "event", index, number))

    @staticmethod
    def _latency(chance: Chance) -> int:
        """Milliseconds from the event to the detection; the first draw of the event's chance."""
        return chance.between(120, _LATENCY_MS)

    def reporting(self, index: int, sid: str, start: int, end: int) -> list[tuple[int, int]]:
        """The events of a sensor with start <= time < end (ms) that detections report, oldest first.

        Those that a rule of the organization's own reported are left out: they are answers to tasks.

        Returns:
            Time (ms) of each, and the number of the detection.
        """
        seen, by_sid = self._by_sensor.pop(index, (0, {}))
        total = self.count(index)
        grown = set()
        for number in range(seen, total):
            if (index, number) not in self._fired:
                of = self.sid(index, number)
                by_sid.setdefault(of, []).append((self.happened(index, number), number))
                grown.add(of)
        for of in grown:
            by_sid[of].sort()
        # The last one is the one that was asked about last.
        self._by_sensor[index] = (total, by_sid)
        if total > seen:
            kept = sum(looked for looked, _ in self._by_sensor.values())
            while kept > _INDEXED and len(self._by_sensor) > 1:
                kept -= self._by_sensor.pop(next(iter(self._by_sensor)))[0]
        found = by_sid.get(sid, [])
        return found[bisect_left(found, (start, 0)) : bisect_left(found, (end, 0))]

    def event_type(self, index: int, number: int) -> str:
        """The type of the event that it reports."""
        return self.rule(index, number).event_type

    def _atoms(self, index: int, number: int) -> str:
        return hex_of(self._seed, "atom", index, number, length=128)

    def atom(self, index: int, number: int) -> str:
        """The atom of the event that it reports, for less than the event costs."""
        return self._atoms(index, number)[_THIS]

    def event(self, index: int, number: int) -> dict[str, Any]:
        """The event that it reports, as the sensor sent it: {event, routing, ts}."""
        found = self.detection(index, number)
        return {
            "event": found["detect"]["event"],
            "routing": found["routing"],
            "ts": found["detect"]["ts"],
        }

    def fired(self, index: int, number: int) -> bool:
        """Whether a rule of the organization's own reported it."""
        return (index, number) in self._fired

    def count(self, index: int) -> int:
        """How many an organization has by now."""
        return self._organizations[index].detections + len(self._live.get(index, ()))

    def time(self, index: int, number: int) -> int:
        """`gen_time` of one: milliseconds, UTC. Grows with the number."""
        past = self._organizations[index].detections
        if number >= past:
            return self._live[index][number - past][0]
        share = (number + (mixed(self._keys[index], number) >> 11) / (1 << 53)) / past
        curve = self._curve
        hour = min(HOURS - 1, bisect_right(curve, share) - 1)
        within = (share - curve[hour]) / (curve[hour + 1] - curve[hour])
        return self._start + int((hour + within) * HOUR_MS)

    def first_at(self, index: int, moment: int) -> int:
        """The number of the first one at or after a time (ms)."""
        low, high = 0, self.count(index)
        while low < high:
            middle = (low + high) // 2
            if self.time(index, middle) < moment:
                low = middle + 1
            else:
                high = middle
        return low

    def _drawn_rule(self, index: int, number: int) -> int:
        sums, numbers = _rule_table(self._seed, index)
        return numbers[bisect_right(sums, mixed(self._keys[index] ^ 0xA5A5, number) % sums[-1])]

    def rule(self, index: int, number: int) -> Rule:
        """The rule that fired."""
        past = self._organizations[index].detections
        if number >= past:
            return BASELINE[self._live[index][number - past][1]]
        return BASELINE[self._drawn_rule(index, number)]

    def _sensor(self, organization: Organization, number: int, rule: Rule) -> tuple[Sensor, bool]:
        hostile_here = organization.index == self._hostile
        if hostile_here and rule.platform == WINDOWS and number % 7 == 0:
            place, hostile = 0, True
        else:
            kind = layout(organization)[rule.platform]
            draw = mixed(self._keys[organization.index] ^ 0x5E45, number)
            # A few machines are noisy: half of all fires on an eighth of them.
            span = len(kind) if draw & 1 else max(1, len(kind) // 8)
            drawn = (draw >> 8) % span
            made = self.time(organization.index, number)
            # Nothing fires on a machine before it was enrolled or after it fell silent: the next one has it.
            order = (kind.start + (drawn + step) % len(kind) for step in range(len(kind)))
            place = next(
                (each for each in order if self._there(organization, each, made)), kind.start + drawn
            )
            hostile = hostile_here and place == 0
        return sensor(self._seed, organization, place, hostile, self._now_ms // 1000), hostile

    def _there(self, organization: Organization, place: int, made: int) -> bool:
        """Whether a sensor could send what a detection of that time (ms) reports."""
        now = self._now_ms // 1000
        found = sensor(
            self._seed, organization, place, organization.index == self._hostile and place == 0, now
        )
        enrolled, silent = found.enrolled * 1000, found.silent * 1000
        return enrolled <= made - _LATENCY_MS and not (silent and made > self._now_ms - silent)

    def sensor(self, index: int, number: int) -> Sensor:
        """The sensor it fired on."""
        return self._sensor(self._organizations[index], number, self.rule(index, number))[0]

    def sid(self, index: int, number: int) -> str:
        """The id of the sensor it fired on."""
        if (own := self._fired.get((index, number))) is not None:
            sid: str = own["routing"]["sid"]
            return sid
        return self.sensor(index, number).sid

    def priority(self, index: int, number: int) -> int:
        """Its priority, 0 to 10."""
        return variant(self._seed, index, _BY_KEY[self.rule(index, number).key]).priority

    def detect_id(self, index: int, number: int) -> str:
        """Its id."""
        return numbered_uuid(self._seed, "detection", index, number)

    def find(self, index: int, detect_id: str) -> int | None:
        """The number of a detection of this organization, by its id."""
        found = numbers_of(self._seed, "detection", detect_id)
        if found is None or found[0] != index or found[1] >= self.count(index):
            return None
        return found[1]

    def cat(self, index: int, number: int) -> str:
        """Its category."""
        if (own := self._fired.get((index, number))) is not None:
            cat: str = own["cat"]
            return cat
        return self.rule(index, number).cat

    def detection(self, index: int, number: int) -> dict[str, Any]:
        """One detection as the API answers it (docs/5-integrations/outputs/stream-structures.md)."""
        if (own := self._fired.get((index, number))) is not None:
            return dict(own)
        organization = self._organizations[index]
        rule = self.rule(index, number)
        where, hostile = self._sensor(organization, number, rule)
        chance = Chance(self._seed, "event", index, number)
        made = self.time(index, number)
        latency = self._latency(chance)
        happened = made - latency
        event, data, mtd = rule.invent(Scene(self._seed, organization, where, chance))
        if hostile:
            if "FILE_PATH" in event:
                event["FILE_PATH"] = HOSTILE_PATH
            data = data | {"process": HOSTILE_PATH}
        atoms = self._atoms(index, number)
        adapter = rule.platform in (OFFICE365, TEXT)
        routing: dict[str, Any] = {
            "oid": organization.oid,
            "sid": where.sid,
            "iid": where.iid,
            "did": where.did,
            "hostname": where.hostname,
            "event_type": rule.event_type,
            "event_time": happened,
            "event_id": f"{atoms[:8]}-{atoms[8:12]}-4{atoms[12:15]}-a{atoms[15:18]}-{atoms[18:30]}",
            "ext_ip": data.get("ip", where.external_ip) if adapter else where.external_ip,
            "int_ip": where.internal_ip,
            "plat": where.platform,
            "arch": where.architecture,
            "moduleid": 6 if adapter else 2,
            "this": atoms[_THIS],
            "tags": list(where.tags),
        }
        if not adapter:
            routing["parent"] = atoms[64:96]
            routing["latency"] = latency
        metadata: dict[str, Any] = {
            "level": rule.level,
            "author": names.PROVIDER,
            "tags": list(rule.tags),
            "description": rule.description,
            "falsepositives": list(rule.false_positives),
            "references": list(rule.references),
        }
        detection: dict[str, Any] = {
            "cat": rule.cat,
            "source": f"{organization.oid}.{where.iid}.{where.sid}.{where.platform:x}.{where.architecture}",
            "routing": routing,
            "detect": {
                "event": event,
                "routing": {"oid": organization.oid, "sid": where.sid, "event_type": rule.event_type},
                "ts": stamp(happened // 1000),
            },
            "detect_id": self.detect_id(index, number),
            "namespace": "managed" if rule.managed else "general",
            "priority": self.priority(index, number),
            "mtd": mtd,
            "detect_mtd": metadata,
            "detect_data": data,
            "author": f"content@{names.PROVIDER_DOMAIN}",
            "source_rule": f"{'managed' if rule.managed else 'general'}.{rule.key}",
            "rule_tags": [tag for tag in rule.tags if tag.startswith("attack.t")],
            "gen_time": made,
            # The field is documented without its unit, and both are seen.
            "ts": made if rule.platform == OFFICE365 else made // 1000,
        }
        if rule.platform != OFFICE365:
            detection["link"] = (
                f"https://app.limacharlie.io/orgs/{organization.oid}/sensors/{where.sid}"
                f"/timeline?time={happened // 1000}&selected={atoms[_THIS]}"
            )
        return detection

    def page(
        self,
        index: int,
        first: int,
        last: int,
        limit: int,
        *,
        cat: str = "",
        sid: str = "",
        effort: int = 50_000,
    ) -> tuple[list[int], int]:
        """Numbers of a page, newest first.

        Args:
            first: the lowest number wanted.
            last: one above the highest.
            limit: how many at most.
            cat: only this category.
            sid: only of this sensor.
            effort: how many may be looked at; a page may be short because of it.

        Returns:
            The numbers, and where the next page ends (equal to `first` when there is none).
        """
        if not cat and not sid:
            stop = max(first, last - limit)
            return list(range(last - 1, stop - 1, -1)), stop
        found: list[int] = []
        number = last
        while number > first and len(found) < limit and effort > 0:
            number -= 1
            effort -= 1
            if cat and self.cat(index, number) != cat:
                continue
            if sid and self.sid(index, number) != sid:
                continue
            found.append(number)
        return found, number
