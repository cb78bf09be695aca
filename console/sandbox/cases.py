"""Cases (`ext-cases`): what the seed decides, and everything that somebody changed, over many organizations.

A subscribed organization has cases out of its own detections, made when they are first asked for; whatever
is touched is kept from then on.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from console.sandbox import snapshot
from console.sandbox.caserules import (
    BULK,
    DEFAULTS,
    ENTITY_LENGTH,
    ENTITY_TYPES,
    EXTENSION,
    INGESTED,
    INGESTED_FREE,
    LONG_TEXT,
    MERGED,
    NOTE_LENGTH,
    NOTE_TYPES,
    TAG_LENGTH,
    Case,
    CaseRefused,
    assessed,
    checked,
    event_of,
    flag_of,
    linked,
    normal,
    one_of,
    record_of,
    resumed,
    rows_of,
    setting,
    stamp,
    text_of,
)
from console.sandbox.chance import Chance, numbered_uuid, numbers_of, uuid_of
from console.sandbox.organizations import Organization
from console.sandbox.rules import BAD_DOMAINS, BAD_IPS, Value
from store.alerts import SEVERITIES, STATUSES, TRANSITIONS, severity_of

if TYPE_CHECKING:
    from console.sandbox.world import World

MINUTE_MS = 60_000
HOUR_MS = 3_600_000

_LABELS = (
    "phishing", "customer-informed", "shift-a", "shift-b", "credential-access", "awaiting-customer",
    "tuning", "vip",
)  # fmt: skip
_CHANGED = {
    "severity": "case_severity_changed", "assignees": "case_assigned", "classification": "case_classified",
    "summary": "case_summary_updated", "conclusion": "case_conclusion_updated", "tags": "case_tags_updated",
}  # fmt: skip


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


class Cases:
    """The cases of every organization of a world."""

    def __init__(self, world: "World") -> None:
        """Prepare; nothing is made yet."""
        self._world = world
        self._kept: dict[int, dict[int, Case]] = {}
        """Of each organization, by number: those that were touched, and those that came later."""
        self._places: dict[str, tuple[int, int]] = {}
        """Index and number of those that came later, by id."""
        self._emptied: set[int] = set()
        """Organizations whose cases of the seed were deleted."""
        self._configs: dict[int, Value] = {}
        self._ingested: dict[int, list[int]] = {}
        self._taken: dict[int, int] = {}
        """How many live detections have become cases."""
        self._count = 0
        self._listeners: dict[str, set[Callable[[Value], None]]] = {}
        self.acted: list[tuple[Case, Value]] = []
        """What was done since it was last emptied, but not by the extension itself."""
        self.rate: tuple[float, int] | None = None
        """Requests a second of one user, and the burst: (20, 50) at LimaCharlie's; None for no limit."""
        self._budgets: dict[str, tuple[float, float]] = {}
        self.seeded = lru_cache(maxsize=1024)(self._seeded)
        """The cases that the seed gives an organization, the first numbers of all."""

    def admit(self, credential: str) -> None:
        """Take one request out of a user's budget.

        Raises:
            CaseRefused: 429.
        """
        if self.rate is None:
            return
        per_second, burst = self.rate
        now = time.monotonic()
        left, at = self._budgets.get(credential, (float(burst), now))
        left = min(float(burst), left + (now - at) * per_second)
        self._budgets[credential] = (max(0.0, left - 1), now)
        if left < 1:
            raise CaseRefused(429, "rate limit exceeded")

    # What a snapshot keeps

    def kept(self, places: snapshot.Places, now_ms: int) -> snapshot.Cases:
        """What a snapshot keeps of it at a time (ms)."""
        return snapshot.Cases(
            kept=places.named(
                {
                    index: [
                        snapshot.Case(
                            **{name: getattr(case, name) for name in snapshot.Case.__struct_fields__}
                        )
                        for _, case in sorted(kept.items())
                    ]
                    for index, kept in self._kept.items()
                }
            ),
            emptied=places.oids(self._emptied),
            configs=places.named(self._configs),
            ingested={
                oid: young
                for oid, moments in places.named(self._ingested).items()
                if (young := [moment for moment in moments if now_ms - moment < MINUTE_MS])
            },
            taken=places.named(self._taken),
            count=self._count,
        )

    def resume(self, kept: snapshot.Cases, places: snapshot.Places) -> None:
        """Become what a snapshot kept.

        Raises:
            BadSnapshot: it makes no sense; the text says what.
        """
        self._emptied = {places.index(oid, "cases.emptied") for oid in kept.emptied}
        self._ingested = places.placed(kept.ingested, "cases.ingested")
        self._taken = places.placed(kept.taken, "cases.taken")
        self._count = kept.count
        for index, sent in places.placed(kept.configs, "cases.configs").items():
            try:
                self._configs[index] = {name: setting(name, value, DEFAULTS) for name, value in sent.items()}
            except CaseRefused as refused:
                raise snapshot.BadSnapshot(f"cases.configs: {refused}") from None
        for oid, cases in kept.kept.items():
            organization = places.organization(oid, "cases.kept")
            held = self._kept[organization.index] = {}
            for each in cases:
                held[each.number] = resumed(organization, each)
                # Those of the seed are found by what their ids are made of.
                if numbers_of(self._world.seed, "case", each.case_id) is None:
                    self._places[each.case_id] = organization.index, each.number
            if len(held) != len(cases):
                raise snapshot.BadSnapshot("cases.kept: two cases have the same number")

    # What is there

    def subscribed(self, organization: Organization) -> bool:
        """Whether the organization has cases at all."""
        return EXTENSION in self._world.configuration.extensions(organization)

    def unsubscribed(self, organization: Organization) -> None:
        """Delete all cases of an organization, for good."""
        for case in self._all(organization).values():
            self._listeners.pop(case.case_id, None)
            self._places.pop(case.case_id, None)
        self._kept.pop(organization.index, None)
        self._configs.pop(organization.index, None)
        self._emptied.add(organization.index)
        self._taken[organization.index] = self._world.detections.count(organization.index)

    def all_of(self, organization: Organization) -> list[Case]:
        """Every case of an organization, oldest first. What happened to each may not be told yet."""
        self._take_live(organization)
        return list(self._all(organization).values())

    def find(self, organization: Organization, number: int) -> Case:
        """One case, with all that happened to it.

        Raises:
            CaseRefused: 404.
        """
        self._take_live(organization)
        return self.told(self._found(organization, number))

    def by_id(self, case_id: str) -> tuple[Organization, Case] | None:
        """A case and its organization, by its UUID."""
        place = self._places.get(case_id) or numbers_of(self._world.seed, "case", case_id)
        if place is None or place[0] >= len(self._world.organizations):
            return None
        organization = self._world.organizations[place[0]]
        if organization.oid not in self._world.by_oid or not self.subscribed(organization):
            return None
        case = self._all(organization).get(place[1])
        return None if case is None or case.case_id != case_id else (organization, case)

    def _all(self, organization: Organization) -> dict[int, Case]:
        found = (
            {case.number: case for case in self.seeded(organization)} if self._is_seeded(organization) else {}
        )
        found.update(self._kept.get(organization.index, {}))
        return found

    def _found(self, organization: Organization, number: int) -> Case:
        case = self._kept.get(organization.index, {}).get(number)
        if case is None and self._is_seeded(organization) and 0 < number <= len(self.seeded(organization)):
            case = self.seeded(organization)[number - 1]
        if case is None:
            raise CaseRefused(404, f"case {number} not found")
        return case

    def told(self, case: Case) -> Case:
        """A case with all that happened to it."""
        if case.story is not None:
            story, case.story = case.story, None
            story(case)
        return case

    def _is_seeded(self, organization: Organization) -> bool:
        """Whether the organization had the extension from the beginning, and never lost it."""
        return not (
            organization.blank or organization.tier == "bronze" or organization.index in self._emptied
        )

    def _keep(self, organization: Organization, case: Case) -> Case:
        """Hold on to a case that is about to change."""
        self.told(case)
        self._kept.setdefault(organization.index, {})[case.number] = case
        return case

    # What the seed decides

    def _seeded(self, organization: Organization) -> tuple[Case, ...]:
        past = organization.detections
        if not past:
            return ()
        count = max(1, min(120, past // 5))
        return tuple(self._invented(organization, number, past, count) for number in range(1, count + 1))

    def _invented(self, organization: Organization, number: int, past: int, count: int) -> Case:
        """A case of the seed: its detections are neighbours in time, its state depends on its age."""
        world = self._world
        index = organization.index
        chance = Chance(world.seed, "case", index, number)
        first, end = (number - 1) * past // count, number * past // count
        # The last of each slot stays free, so that the newest detection has no case yet.
        size = min(max(1, end - first - 1), 1 if chance.happens(60) else chance.between(2, 4))
        fired = [self._fired(organization, place) for place in range(first, first + size)]
        created = min(world.now_ms, world.detections.time(index, first) + chance.between(800, 4000))
        case = Case(
            oid=organization.oid,
            number=number,
            case_id=numbered_uuid(world.seed, "case", index, number),
            created_at=created,
            severity=SEVERITIES[max(severity_of(each["level"], each["priority"]) for each in fired)],
            detections=fired,
        )
        self._lived(case, chance, world.now_ms, gold=organization.tier == "gold")
        head = fired[0]
        more = f" and {size - 1} more" if size > 1 else ""
        case.summary = f"{head['detection_cat']} on {head['hostname']}{more}"
        case.tags = sorted({chance.pick(_LABELS) for _ in range(1 + chance.below(3))})
        if case.status != "new" or chance.happens(10):
            case.assignees = [chance.pick(world.access.analysts)]
            if chance.happens(20):
                case.assignees.append(chance.pick(world.access.seniors))
        if case.status in ("resolved", "closed"):
            case.classification = chance.pick(("true_positive",) + ("false_positive",) * 2)
            case.conclusion = (
                "Contained; the user's password was reset and the machine was cleaned."
                if case.classification == "true_positive"
                else "Expected activity of the customer's own administrators; the rule will be tuned."
            )
        elif case.status == "in_progress" and chance.happens(20):
            case.classification = "true_positive"
        case.story = lambda this: self._tell(organization, this)
        return case

    def _fired(self, organization: Organization, place: int) -> Value:
        found = self._world.detections
        rule = found.rule(organization.index, place)
        where = found.sensor(organization.index, place)
        priority = found.priority(organization.index, place)
        return record_of(
            found.detect_id(organization.index, place),
            cat=rule.cat,
            source=f"{organization.oid}.{where.iid}.{where.sid}.{where.platform:x}.{where.architecture}",
            priority=priority,
            sid=where.sid,
            hostname=where.hostname,
            level=rule.level,
            moment=found.time(organization.index, place) + 1000,
        )

    def _lived(self, case: Case, chance: Chance, now: int, *, gold: bool) -> None:
        """Decide how far the work on a case of the seed has come."""
        hours = (now - case.created_at) // HOUR_MS
        draw = chance.below(100)
        if hours < 6:
            goal = 0 if draw < 62 else 1 if draw < 94 else 3
        elif hours < 48:
            goal = 0 if draw < 24 else 1 if draw < 62 else 2 if draw < 82 else 3
        elif hours < 7 * 24:
            goal = 0 if draw < 10 else 1 if draw < 32 else 2 if draw < 66 else 3
        else:
            # Resolved ones close by themselves after seven days.
            goal = 0 if draw < 4 else 1 if draw < 14 else 3
        taken = case.created_at + chance.between(2, 14 if gold else 95) * MINUTE_MS
        solved = taken + chance.between(12, 900) * MINUTE_MS
        shut = solved + chance.between(30, 6 * 24 * 60) * MINUTE_MS
        if goal >= 1 and taken <= now:
            case.status, case.acknowledged_at = "in_progress", taken
        if goal >= 2 and solved <= now:
            case.status, case.resolved_at = "resolved", solved
        if goal == 3 and shut <= now:
            case.status, case.closed_at = "closed", shut

    def _tell(self, organization: Organization, case: Case) -> None:
        """What happened to a case of the seed."""
        chance = Chance(self._world.seed, "case story", organization.index, case.number)
        who = case.assignees[0] if case.assignees else self._world.access.analysts[0]

        def happened(moment: int, action: str, by: str, **metadata: Any) -> None:
            place = len(case.events)
            event_id = uuid_of(self._world.seed, "case event", organization.index, case.number, place)
            moment = min(moment, self._world.now_ms)
            case.events.append(event_of(case, event_id, action, by, moment, metadata))

        head = case.detections[0]
        happened(
            case.created_at, "case_created", EXTENSION,
            detect_id=head["detect_id"], severity=case.severity, summary=case.summary,
        )  # fmt: skip
        last = case.created_at
        for each in case.detections[1:]:
            last += 1500
            happened(last, "case_detection_added", EXTENSION, detect_id=each["detect_id"])
        begun = case.acknowledged_at
        if case.assignees:
            moment = begun or last + 60_000
            happened(moment, "case_assigned", who, old=[], new=list(case.assignees))
        if begun is not None:
            happened(begun, "case_status_changed", who, old="new", new="in_progress")
            happened(begun, "case_acknowledged", who)
            happened(begun + 20_000, "case_tags_updated", who, old=[], new=list(case.tags))
            text = f"Looking at {head['hostname']}: {head['detection_cat']}."
            happened(begun + 45_000, "case_note_added", who, content=text, note_type="analysis",
                     is_public=chance.happens(25))  # fmt: skip
            kind, value = (
                ("ip", chance.pick(BAD_IPS)) if chance.happens(50) else ("domain", chance.pick(BAD_DOMAINS))
            )
            entity_id = uuid_of(self._world.seed, "case entity", organization.index, case.number)
            verdict = "malicious" if case.classification == "true_positive" else "suspicious"
            case.entities.append(
                {
                    "entity_id": entity_id, "entity_type": kind, "entity_value": value, "verdict": verdict,
                    "note": "Seen in the event.", "added_by": who, "added_at": stamp(begun + 60_000),
                }
            )  # fmt: skip
            happened(begun + 60_000, "case_entity_added", who, entity_id=entity_id, entity_type=kind,
                     entity_value=value, verdict=verdict)  # fmt: skip
        if case.classification != "pending":
            moment = case.resolved_at or (begun or last) + 90_000
            happened(moment, "case_classified", who, old="pending", new=case.classification)
        if case.resolved_at is not None:
            happened(case.resolved_at, "case_conclusion_updated", who, old="", new=case.conclusion)
            happened(case.resolved_at, "case_status_changed", who, old="in_progress", new="resolved")
            happened(case.resolved_at, "case_resolved", who)
        if case.closed_at is not None:
            happened(case.closed_at, "case_status_changed", who, old="resolved", new="closed")
            happened(case.closed_at, "case_closed", who)

    # What detections make

    def _take_live(self, organization: Organization) -> None:
        """Let the detections that came since become cases, as the ingestion mode says."""
        found = self._world.detections
        found.advance(self._world.clock())
        index = organization.index
        taken = self._taken.get(index, organization.detections)
        count = found.count(index)
        if taken >= count:
            return
        self._taken[index] = count
        mode = self._world.records(organization, "extension_config").get(EXTENSION, {})
        if mode.get("data", {}).get("ingestion_mode", "all") != "all":
            return
        for place in range(taken, count):
            moment = found.time(index, place) + 1000
            self.ingest(organization, found.detection(index, place), EXTENSION, at=moment)

    def ingest(
        self, organization: Organization, detection: Value, by: str, *, at: int | None = None
    ) -> tuple[bool, int]:
        """Let a detection become a case, or a part of one when auto-grouping says so.

        Args:
            at: when (ms); now when None.

        Returns:
            Whether a case was made, and the number of the case that holds the detection. One that some case
            holds already changes nothing.
        """
        moment = self._world.clock() if at is None else at
        record = linked(detection, moment)
        held = self.holding(organization, record["detect_id"])
        if held is not None:
            return False, held.number
        near = self._grouping(organization, record, moment)
        if near is None:
            return True, self.create(organization, by, detection=detection, at=moment).number
        self._keep(organization, near)
        if near.status in ("resolved", "closed"):
            old, near.status = near.status, "in_progress"
            near.resolved_at = near.closed_at = None
            self._act(near, "case_reopened", EXTENSION, old=old, new="in_progress", source="auto_grouping")
        self.link(organization, near, by, detection)
        return False, near.number

    def _grouping(self, organization: Organization, record: Value, moment: int) -> Case | None:
        config = self.config(organization)
        if not config["auto_grouping_enabled"]:
            return None
        window = config["auto_grouping_window_minutes"] * MINUTE_MS
        for case in reversed(self._all(organization).values()):
            if case.merged_into or not case.detections:
                continue
            if case.status in ("resolved", "closed") and not config["auto_grouping_reopen_closed"]:
                continue
            last = max(_ms(each["added_at"]) for each in case.detections)
            near = (
                last // window == moment // window
                if config["auto_grouping_window_mode"] == "fixed"
                else moment - last <= window
            )
            same = all(
                any(each[key] == record[key] for each in case.detections)
                for key, wanted in (
                    ("sid", config["auto_grouping_include_sensor"]),
                    ("cat", config["auto_grouping_include_category"]),
                )
                if wanted
            )
            if near and same:
                return case
        return None

    def holding(self, organization: Organization, detect_id: str) -> Case | None:
        """The case that holds a detection."""
        for case in self._all(organization).values():
            if any(each["detect_id"] == detect_id for each in case.detections):
                return case
        return None

    def count_ingested(self, organization: Organization) -> None:
        """Take one detection out of the organization's minute.

        Raises:
            CaseRefused: 429.
        """
        moment = self._world.clock()
        window = [each for each in self._ingested.get(organization.index, []) if moment - each < MINUTE_MS]
        quota = organization.quota if organization.limit is None else organization.limit
        limit = INGESTED_FREE if 0 < quota <= 2 else INGESTED
        self._ingested[organization.index] = window
        if len(window) >= limit:
            raise CaseRefused(429, f"more than {limit} detections a minute for this organization")
        window.append(moment)

    def create(
        self,
        organization: Organization,
        by: str,
        *,
        detection: Value | None = None,
        severity: str | None = None,
        summary: str = "",
        at: int | None = None,
    ) -> Case:
        """Make a case; without a detection it is an empty investigation.

        Args:
            severity: None takes that of the detection: its level, else its priority, else medium.
            at: when (ms); now when None.

        Raises:
            CaseRefused: 400.
        """
        moment = self._world.clock() if at is None else at
        if severity is not None:
            one_of("severity", severity, SEVERITIES)
        text_of("summary", summary, LONG_TEXT)
        records = [] if detection is None else [linked(detection, moment)]
        number = max(self._all(organization), default=0) + 1
        case = Case(
            oid=organization.oid,
            number=number,
            case_id=self._fresh("case"),
            created_at=moment,
            severity=severity or (self._severity(organization, records[0]) if records else "medium"),
            summary=summary,
            detections=records,
        )
        self._kept.setdefault(organization.index, {})[number] = case
        self._places[case.case_id] = organization.index, number
        metadata: Value = {"severity": case.severity, "summary": summary}
        if records:
            metadata["detect_id"] = records[0]["detect_id"]
        self._act(case, "case_created", by, at=moment, **metadata)
        return case

    def _severity(self, organization: Organization, record: Value) -> str:
        level, priority = record["level"], record["priority"]
        if isinstance(level, str) and level:
            return SEVERITIES[severity_of(level, priority)]
        if isinstance(priority, int | float) and not isinstance(priority, bool):
            mapping = self.config(organization)["severity_mapping"]
            for word in ("critical", "high", "medium"):
                if priority >= mapping[f"{word}_min"]:
                    return word
            return "low"
        return "medium"

    def counts(self, organization: Organization) -> dict[str, int]:
        """How many cases are in each status."""
        found = dict.fromkeys(STATUSES, 0)
        for case in self.all_of(organization):
            found[case.status] += 1
        return found

    # What people change

    def update(self, organization: Organization, number: int, by: str, fields: Value) -> Case:
        """Change a case.

        Args:
            fields: any of status, severity, assignees, classification, summary, conclusion, tags.

        Raises:
            CaseRefused: 404, 400; nothing was changed then.
        """
        case = self.find(organization, number)
        wanted = checked(fields)
        status = wanted.pop("status", case.status)
        if status != case.status and (case.merged_into or status not in TRANSITIONS[case.status]):
            allowed = (
                "nothing, for it was merged" if case.merged_into else " or ".join(TRANSITIONS[case.status])
            )
            raise CaseRefused(
                400, f"invalid status transition: {case.status} can become {allowed}, not {status}"
            )
        self._keep(organization, case)
        for name, value in wanted.items():
            old = getattr(case, name)
            if old == value:
                continue
            setattr(case, name, value)
            self._act(case, _CHANGED[name], by, old=old, new=value)
        if status != case.status:
            self._move(case, status, by)
        return case

    def _move(self, case: Case, status: str, by: str, **metadata: Any) -> None:
        """Another status. Reopening forgets when it was resolved and closed, as auto-grouping does."""
        moment = self._world.clock()
        old, case.status = case.status, status
        self._act(case, "case_status_changed", by, old=old, new=status, **metadata)
        if status == "in_progress":
            if old == "closed":
                case.resolved_at = case.closed_at = None
                self._act(case, "case_reopened", by)
            if case.acknowledged_at is None:
                case.acknowledged_at = moment
                self._act(case, "case_acknowledged", by)
        elif status == "resolved":
            case.resolved_at = moment
            self._act(case, "case_resolved", by)
        elif status == "closed":
            case.closed_at = moment
            self._act(case, "case_closed", by)

    def bulk(self, organization: Organization, numbers: Sequence[int], by: str, fields: Value) -> Value:
        """Change status or classification of many cases; those that cannot be changed so are named.

        Raises:
            CaseRefused: 400: too many, or other fields.
        """
        if not 1 <= len(numbers) <= BULK:
            raise CaseRefused(400, f"case_numbers: 1 to {BULK} are allowed, not {len(numbers)}")
        others = sorted(set(fields) - {"status", "classification"})
        if others:
            raise CaseRefused(400, f"only status and classification can be updated in bulk, not {others[0]}")
        checked(fields)
        failed = []
        for number in dict.fromkeys(numbers):
            try:
                self.update(organization, number, by, fields)
            except CaseRefused as refused:
                failed.append({"case_number": number, "error": str(refused)})
        return {"updated": len(dict.fromkeys(numbers)) - len(failed), "failed": failed}

    def merge(self, organization: Organization, target: int, sources: Sequence[int], by: str) -> Case:
        """Move the detections of cases into one, and close them.

        Raises:
            CaseRefused: 404, 400; nothing was changed then.
        """
        sources = list(dict.fromkeys(sources))
        if not 1 <= len(sources) <= MERGED:
            raise CaseRefused(400, f"source_case_numbers: 1 to {MERGED} are allowed, not {len(sources)}")
        if target in sources:
            raise CaseRefused(400, "a case cannot be merged into itself")
        into = self.find(organization, target)
        found = [self.find(organization, number) for number in sources]
        for case in (into, *found):
            if case.status == "closed":
                raise CaseRefused(400, f"case {case.number} is closed and cannot be merged")
        self._keep(organization, into)
        held = {each["detect_id"] for each in into.detections}
        for case in found:
            self._keep(organization, case)
            moved = [each for each in case.detections if each["detect_id"] not in held]
            held.update(each["detect_id"] for each in moved)
            into.detections += moved
            case.detections = []
            case.merged_into = into.case_id
            self._act(case, "case_merged_into", by, case_id=into.case_id, case_number=into.number)
            self._move(case, "closed", by, source="merge")
            self._act(
                into, "case_merged_from", by, case_id=case.case_id, case_number=case.number,
                detections=len(moved),
            )  # fmt: skip
        return into

    def link(self, organization: Organization, case: Case, by: str, detection: Value) -> Value:
        """Link a detection; one that the case holds already stays as it is. A graver one raises the case.

        Raises:
            CaseRefused: 400.
        """
        record = linked(detection, self._world.clock())
        for each in case.detections:
            if each["detect_id"] == record["detect_id"]:
                return each
        self._keep(organization, case)
        case.detections.append(record)
        self._act(case, "case_detection_added", by, detect_id=record["detect_id"])
        graver = self._severity(organization, record)
        told = record["level"] or record["priority"] is not None
        if told and SEVERITIES.index(graver) > SEVERITIES.index(case.severity):
            old, case.severity = case.severity, graver
            self._act(case, "case_severity_upgraded", by, old=old, new=graver)
        return record

    def unlink(self, organization: Organization, case: Case, by: str, detect_id: str) -> None:
        """Take a detection out of a case.

        Raises:
            CaseRefused: 404.
        """
        left = [each for each in case.detections if each["detect_id"] != detect_id]
        if len(left) == len(case.detections):
            raise CaseRefused(404, "detection not found")
        self._keep(organization, case).detections = left
        self._act(case, "case_detection_removed", by, detect_id=detect_id)

    def add_note(self, organization: Organization, case: Case, by: str, sent: Value) -> str:
        """Add a note; answers the id of its event.

        Raises:
            CaseRefused: 400.
        """
        content = text_of("content", sent.get("content"), LONG_TEXT, required=True)
        kind = one_of("note_type", sent.get("note_type") or "general", NOTE_TYPES)
        metadata: Value = {"content": content, "note_type": kind, "is_public": flag_of(sent, "is_public")}
        if sent.get("ai_session_id"):
            metadata["ai_session_id"] = str(sent["ai_session_id"])
        self._keep(organization, case)
        return self._act(case, "case_note_added", by, **metadata)

    def show_note(self, organization: Organization, case: Case, by: str, event_id: str, sent: Value) -> Value:
        """Change who sees a note.

        Raises:
            CaseRefused: 404, 400.
        """
        for event in case.events:
            if event["event_id"] == event_id and event["action"] == "case_note_added":
                break
        else:
            raise CaseRefused(404, "note not found")
        if not isinstance(sent.get("is_public"), bool):
            raise CaseRefused(400, "is_public must be true or false")
        self._keep(organization, case)
        old, new = event["metadata"]["is_public"], sent["is_public"]
        event["metadata"]["is_public"] = event["is_public"] = new
        self._act(case, "case_note_visibility_changed", by, event_id=event_id, old=old, new=new)
        return event

    def log_time(self, organization: Organization, case: Case, by: str, sent: Value) -> Value:
        """Log billable time. The name of its event is not published.

        Raises:
            CaseRefused: 400.
        """
        seconds = sent.get("billable_seconds")
        if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
            raise CaseRefused(400, "billable_seconds must be a positive whole number")
        entry: Value = {"time_log_id": self._fresh("time log"), "billable_seconds": seconds}
        for name in ("cost_profile", "assignee", "note"):
            entry[name] = text_of(name, sent.get(name), NOTE_LENGTH)
        entry |= {"added_by": by, "added_at": stamp(self._world.clock())}
        self._keep(organization, case).time_logs.append(entry)
        metadata: Value = {name: entry[name] for name in ("time_log_id", "billable_seconds")}
        self._act(case, "case_time_logged", by, **metadata)
        return entry

    def add_entity(self, organization: Organization, case: Case, by: str, sent: Value) -> Value:
        """Attach an indicator; addresses, domains, hashes and mail addresses become lower case.

        Raises:
            CaseRefused: 400; 409 when the case has it already.
        """
        kind = one_of("entity_type", sent.get("entity_type"), ENTITY_TYPES)
        value = normal(kind, text_of("entity_value", sent.get("entity_value"), ENTITY_LENGTH, required=True))
        if any((each["entity_type"], each["entity_value"]) == (kind, value) for each in case.entities):
            raise CaseRefused(409, f"the case already has the {kind} {value}")
        row = {
            "entity_id": self._fresh("entity"), "entity_type": kind, "entity_value": value,
            **assessed(sent, {"verdict": "unknown", "note": ""}),
        }  # fmt: skip
        return self._add(organization, case, by, "entity", case.entities, row)

    def add_telemetry(self, organization: Organization, case: Case, by: str, sent: Value) -> Value:
        """Refer to an event by its atom and its sensor.

        Raises:
            CaseRefused: 400.
        """
        event = sent.get("event")
        routing = event.get("routing") if isinstance(event, dict) else None
        routing = routing if isinstance(routing, dict) else {}
        for name in ("this", "sid", "event_type"):
            if not isinstance(routing.get(name), str) or not routing[name]:
                raise CaseRefused(400, f"event has no routing.{name}")
        row = {
            "telemetry_id": self._fresh("telemetry"), "atom": routing["this"], "sid": routing["sid"],
            "event_type": routing["event_type"], **assessed(sent, {"verdict": "unknown", "note": ""}),
        }  # fmt: skip
        return self._add(organization, case, by, "telemetry", case.telemetry, row)

    def add_artifact(self, organization: Organization, case: Case, by: str, sent: Value) -> Value:
        """Refer to a forensic artifact.

        Raises:
            CaseRefused: 400.
        """
        row = {
            "artifact_id": self._fresh("artifact"),
            "path": text_of("path", sent.get("path"), ENTITY_LENGTH, required=True),
            "source": text_of("source", sent.get("source"), ENTITY_LENGTH, required=True),
            "artifact_type": text_of("artifact_type", sent.get("artifact_type"), TAG_LENGTH),
            **assessed(sent, {"verdict": "unknown", "note": ""}),
        }
        return self._add(organization, case, by, "artifact", case.artifacts, row)

    def _add(
        self, organization: Organization, case: Case, by: str, what: str, rows: list[Value], row: Value
    ) -> Value:
        self._keep(organization, case)
        rows.append(row | {"added_by": by, "added_at": stamp(self._world.clock())})
        self._act(case, f"case_{what}_added", by, **row)
        return rows[-1]

    def assess(
        self, organization: Organization, case: Case, by: str, what: str, row_id: str, sent: Value
    ) -> Value:
        """Change verdict or note of an entity or of telemetry.

        Raises:
            CaseRefused: 404, 400.
        """
        row = next((each for each in rows_of(case, what) if each[f"{what}_id"] == row_id), None)
        if row is None:
            raise CaseRefused(404, f"{what} not found")
        if not {"verdict", "note"} & set(sent):
            raise CaseRefused(400, "nothing to update; verdict and note can be")
        new = assessed(sent, {"verdict": row["verdict"], "note": row["note"]})
        old = {name: row[name] for name in new}
        self._keep(organization, case)
        row.update(new)
        metadata: Value = {f"{what}_id": row_id, "old": old, "new": new}
        self._act(case, f"case_{what}_updated", by, **metadata)
        return row

    def remove(self, organization: Organization, case: Case, by: str, what: str, row_id: str) -> None:
        """Take an entity, telemetry or an artifact out of a case.

        Raises:
            CaseRefused: 404.
        """
        rows = rows_of(case, what)
        row = next((each for each in rows if each[f"{what}_id"] == row_id), None)
        if row is None:
            raise CaseRefused(404, f"{what} not found")
        self._keep(organization, case)
        rows.remove(row)
        metadata: Value = {f"{what}_id": row_id}
        self._act(case, f"case_{what}_removed", by, **metadata)

    # Configuration

    def config(self, organization: Organization) -> Value:
        """The organization's configuration, whole."""
        return {**DEFAULTS, **self._configs.get(organization.index, {})}

    def set_config(self, organization: Organization, sent: Value) -> Value:
        """Change the configuration; what is not sent stays. Answers the whole.

        Raises:
            CaseRefused: 400.
        """
        config = self.config(organization)
        for name, value in sent.items():
            config[name] = setting(name, value, config)
        self._configs[organization.index] = config
        return config

    # Who hears of it

    def listen(self, case_id: str, hear: Callable[[Value], None]) -> None:
        """Tell of every event of a case from now on."""
        self._listeners.setdefault(case_id, set()).add(hear)

    def ignore(self, case_id: str, hear: Callable[[Value], None]) -> None:
        """Do not tell any more."""
        listeners = self._listeners.get(case_id, set())
        listeners.discard(hear)
        if not listeners:
            self._listeners.pop(case_id, None)

    def listened(self, case_id: str) -> bool:
        """Whether anybody hears of a case."""
        return case_id in self._listeners

    def _fresh(self, what: str) -> str:
        self._count += 1
        return uuid_of(self._world.seed, "made", what, self._count)

    def _act(self, case: Case, action: str, by: str, *, at: int | None = None, **metadata: Any) -> str:
        moment = self._world.clock() if at is None else at
        event = event_of(case, self._fresh("case event"), action, by, moment, metadata)
        case.events.append(event)
        if by != EXTENSION:
            self.acted.append((case, event))
        for hear in tuple(self._listeners.get(case.case_id, ())):
            hear(event)
        event_id: str = event["event_id"]
        return event_id
