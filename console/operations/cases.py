"""Cases, as an operator handles them: made of alerts, moved on, noted upon, merged, exported.

Whatever is wanted is written down first (`CaseEdit`), in one transaction with its entry in the journal. With
a cloud it is sent at once, without one it waits (`console.operations.casequeue`). A case of an organization
without `ext-cases` is kept here and changed here, by the same rules.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select

from console.limacharlie.client import Cloud
from console.limacharlie.errors import LimaCharlieError
from console.operations import caselinks
from console.operations.actor import actor
from console.operations.casequeue import CaseQueue, Drained, detection
from store import casework, journal, models
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES
from store.cases import (
    CONFLICT,
    DONE,
    DROPPED,
    ENTITY_LENGTH,
    ENTITY_TYPES,
    LONG_TEXT,
    MERGED,
    NOTE_LENGTH,
    NOTE_TYPES,
    PENDING,
    REFUSED,
    SENDING,
    TAG_LENGTH,
    TAGS,
    UPDATABLE,
    VERDICTS,
    not_a_step,
    not_from,
    overlaid,
    reference,
    why_not_entity,
    why_not_text,
    with_tags,
)
from store.database import Store
from store.queries import cases as queries
from store.queries.cases import CaseDetail, CaseRow, EditRow
from store.times import now_ms

Result = TypeVar("Result")
Case = tuple[str, int]
"""(oid, number); a negative number is a case that is only here."""

PATIENCE = 100
"""Tenths of a second for which an edit is waited for that somebody else is sending."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]


class Impossible(Exception):
    """What was asked for makes no sense; the text says why, and nothing was written."""


@dataclass(frozen=True)
class Refusal:
    """A case that was not changed, and why."""

    oid: str
    number: int
    organization: str
    reason: str


@dataclass(frozen=True)
class Made:
    """A case for the alerts of one organization."""

    oid: str
    organization: str
    number: int
    alerts: int
    existing: bool
    """It was there before, and holds one of the alerts."""
    state: str
    """`made`; `here` when the organization has no cases; `pending` when it waits for the cloud; `refused`."""
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a request."""

    edits: list[EditRow] = field(default_factory=list)
    """As they are now."""
    refused: list[Refusal] = field(default_factory=list)
    """Cases of which nothing was written down: they do not take this step."""
    trouble: str = ""
    """Why the cloud could not be asked; "" when it could, or was not needed."""

    def of(self, *states: int) -> list[EditRow]:
        """The edits in these states."""
        return [edit for edit in self.edits if edit.state in states]

    @property
    def done(self) -> int:
        """Edits that were made."""
        return len(self.of(DONE))

    @property
    def waiting(self) -> int:
        """Edits that wait."""
        return len(self.of(PENDING, SENDING))

    @property
    def failures(self) -> list[Refusal]:
        """What was not done and will not be: refused, or for a person to decide."""
        return self.refused + [
            Refusal(edit.oid, edit.number, str(edit.organization), str(edit.reason))
            for edit in self.of(CONFLICT, REFUSED)
        ]


class CaseDesk:
    """One operator at work on cases."""

    def __init__(
        self,
        store: Store,
        cloud: Cloud | None,
        *,
        operator: str,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """Prepare.

        Args:
            cloud: None when offline: what is wanted waits.
            operator: the name that edits bear.
        """
        self.store = store
        self.cloud = cloud
        self.operator = operator
        self.clock = clock

    # -- making cases -------------------------------------------------------------------------------------

    async def create(self, alert_ids: Sequence[int], *, summary: str = "", severity: str = "") -> list[Made]:
        """A case for alerts: one for each organization among them.

        Where a case holds one of them already, the others join that one, unless they are in another case.

        Args:
            alert_ids: numbers in the store.
            summary: "" says what the gravest alert is.
            severity: of SEVERITIES; "" leaves it to the alerts.

        Raises:
            Impossible: none of the alerts is in the store, or a word is not known.
        """
        _known("severity", severity, ("", *SEVERITIES))
        _text("The summary", summary, LONG_TEXT, required=False)
        alerts = await self._read(lambda c: _alerts(c, alert_ids))
        if not alerts:
            raise Impossible("None of these alerts is in the store.")
        by_oid: dict[str, list[Any]] = {}
        for alert in alerts:
            by_oid.setdefault(alert.oid, []).append(alert)
        plans = [await self._plan(oid, rows) for oid, rows in by_oid.items()]

        def write(c: Connection) -> list[tuple[_Plan, int, list[int]]]:
            return [self._make(c, plan, summary, severity) for plan in plans]

        written = await self._write(write)
        ids = [edit_id for _, _, edit_ids in written for edit_id in edit_ids]
        drained = await self._send(ids)
        edits = {edit.id: edit for edit in await self._edits(ids)}
        return [
            self._made(plan, number, [edits[each] for each in own], drained) for plan, number, own in written
        ]

    async def create_empty(self, oid: str, *, summary: str, severity: str = "medium") -> Made:
        """A case without an alert: an investigation.

        Raises:
            Impossible: the organization is not in the store, or the summary is missing.
        """
        _known("severity", severity, SEVERITIES)
        _text("The summary", summary, LONG_TEXT)
        name = await self._read(lambda c: _organization(c, oid))
        if name is None:
            raise Impossible("There is no such organization in the store.")
        plan = _Plan(oid, name, [], in_cloud=await self._read(lambda c: in_cloud(c, oid)))
        plan_, number, ids = await self._write(lambda c: self._make(c, plan, summary, severity))
        drained = await self._send(ids)
        return self._made(plan_, number, await self._edits(ids), drained)

    async def _plan(self, oid: str, alerts: list[Any]) -> "_Plan":
        name = await self._read(lambda c: _organization(c, oid)) or oid
        detect_ids = [alert.detect_id for alert in alerts]
        held = await self._read(lambda c: queries.holding(c, oid, detect_ids))
        cloudy = await self._read(lambda c: in_cloud(c, oid))
        if cloudy and self.cloud is not None and not held:
            queue = CaseQueue(self.store, self.cloud, clock=self.clock)
            for alert in alerts[:5]:
                asked = {"detect_id": alert.detect_id, "sid": alert.sid, "cat": alert.cat}
                try:
                    number = await queue.holding(oid, asked)
                except LimaCharlieError:
                    # What cannot be asked now is asked when the case is made: Cases make no second one.
                    break
                if number is not None:
                    held.setdefault(alert.detect_id, []).append(number)
                    break
        return _Plan(oid, name, alerts, in_cloud=cloudy, held=held)

    def _make(
        self, c: Connection, plan: "_Plan", summary: str, severity: str
    ) -> tuple["_Plan", int, list[int]]:
        now = self.clock()
        ids: list[int] = []
        detect_ids = [alert.detect_id for alert in plan.alerts]
        number = next((plan.held[each][0] for each in detect_ids if each in plan.held), None)
        if number is not None:
            missing = [each for each in detect_ids if each not in plan.held]
            if missing:
                ids.append(self._want(c, plan.oid, number, "link", {"detect_ids": missing}, {}, now=now))
        else:
            worst = plan.alerts[0] if plan.alerts else None
            text = summary or _summary(plan.alerts)
            number = casework.put_here(
                c,
                plan.oid,
                severity=severity or (SEVERITIES[worst.severity] if worst else "medium"),
                summary=text,
                detect_ids=detect_ids,
                by=self.operator,
                now=now,
            )
            if plan.in_cloud:
                wanted: dict[str, Any] = {"summary": text, "severity": severity}
                if worst is not None and detection(c, plan.oid, worst.detect_id) is not None:
                    wanted |= {"detect_id": worst.detect_id, "sid": worst.sid, "cat": worst.cat}
                else:
                    wanted["severity"] = severity or (SEVERITIES[worst.severity] if worst else "medium")
                ids.append(self._want(c, plan.oid, number, "create", wanted, {}, now=now))
                others = [each for each in detect_ids if each != wanted.get("detect_id")]
                if others:
                    ids.append(self._want(c, plan.oid, number, "link", {"detect_ids": others}, {}, now=now))
        detail = {"edits": ids, "alerts": len(detect_ids), "by": self.operator}
        journal.append(c, actor(), "case.create", plan.oid, reference("", number), detail, now=now)
        return plan, number, ids

    def _made(self, plan: "_Plan", number: int, edits: list[EditRow], drained: Drained) -> Made:
        existing = bool(plan.held)
        state, note = "made", ""
        for edit in edits:
            number = edit.number
            if edit.what == "create":
                existing = bool(edit.found.get("existing"))
            if edit.state in (PENDING, SENDING):
                state, note = "pending", drained.trouble or "It waits for the cloud."
            elif edit.state == DROPPED:
                state, note = "here", str(edit.reason)
            elif edit.state != DONE:
                state, note = "refused", str(edit.reason)
                break
        if not edits and number < 0:
            state = "here"
        return Made(plan.oid, plan.organization, number, len(plan.alerts), existing, state, note)

    # -- changing cases -----------------------------------------------------------------------------------

    async def update(
        self,
        cases: Sequence[Case],
        changes: Mapping[str, Any],
        *,
        verb: str = "",
        seen: Mapping[Case, Mapping[str, Any]] | None = None,
        by: str = "",
    ) -> Outcome:
        """Change fields of cases: status, severity, classification, assignees, summary, conclusion.

        Args:
            verb: `acknowledge` or `reopen`, where that is meant: not every status is left by either.
            seen: the fields as the operator saw them, where that is not what the store has now.
            by: who wants it, if not the operator.

        Raises:
            Impossible: a field or a word is not known, or a text is too long.
        """
        _checked(changes)

        def one(c: Connection, row: CaseRow) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
            fields = dict((seen or {}).get((row.oid, row.number)) or _wanted_fields(c, row))
            if row.merged_into:
                raise casework.NotPossible(f"The case {row.name} was merged into another one.")
            why = not_from(verb, fields["status"]) if verb else ""
            if why := why or not_a_step(fields["status"], changes.get("status", fields["status"])):
                raise casework.NotPossible(why)
            return "update", changes, {name: fields.get(name) for name in changes}

        return await self._each(cases, one, "case.update", dict(changes), by=by)

    async def acknowledge(self, cases: Sequence[Case]) -> Outcome:
        """Make new cases in_progress, which stops their first clock; a closed one stays closed."""
        return await self.update(cases, {"status": "in_progress"}, verb="acknowledge")

    async def reopen(self, cases: Sequence[Case]) -> Outcome:
        """Make closed cases in_progress again; a new one stays new, and its clock runs on."""
        return await self.update(cases, {"status": "in_progress"}, verb="reopen")

    async def note(
        self, case: Case, content: str, *, note_type: str = "general", public: bool = False
    ) -> Outcome:
        """Add a note. `public`: the customer may see it.

        Raises:
            Impossible: it is empty or too long, or of no known type.
        """
        _text("The note", content, LONG_TEXT)
        _known("note type", note_type, NOTE_TYPES)
        wanted = {"content": content, "note_type": note_type, "is_public": public}
        said = {"note_type": note_type, "is_public": public, "characters": len(content)}
        return await self._same([case], "note", wanted, said)

    async def show_note(self, case: Case, event_id: str, *, public: bool) -> Outcome:
        """Whether the customer may see a note."""
        wanted = {"event_id": event_id, "is_public": public}
        return await self._same([case], "visibility", wanted, wanted)

    async def entity(
        self, case: Case, entity_type: str, value: str, *, note: str = "", verdict: str = "unknown"
    ) -> Outcome:
        """Attach an entity.

        Raises:
            Impossible: a word is not known, or a text is empty or too long.
        """
        _known("entity type", entity_type, ENTITY_TYPES)
        _known("verdict", verdict, VERDICTS)
        _text("The value", value, ENTITY_LENGTH)
        if why := why_not_entity(entity_type, value):
            raise Impossible(why)
        _text("The remark", note, NOTE_LENGTH, required=False)
        wanted = {"entity_type": entity_type, "entity_value": value, "note": note, "verdict": verdict}
        return await self._same([case], "entity", wanted, {"entity_type": entity_type, "verdict": verdict})

    async def telemetry(
        self, case: Case, atom: str, sid: str, event_type: str, *, note: str = "", verdict: str = "unknown"
    ) -> Outcome:
        """Attach an event, by its atom and its sensor.

        Raises:
            Impossible: one of them is missing, or a word is not known.
        """
        _known("verdict", verdict, VERDICTS)
        for name, value in (("The atom", atom), ("The sensor", sid), ("The event's type", event_type)):
            _text(name, value, ENTITY_LENGTH)
        _text("The remark", note, NOTE_LENGTH, required=False)
        wanted = {"atom": atom, "sid": sid, "event_type": event_type, "note": note, "verdict": verdict}
        return await self._same([case], "telemetry", wanted, {"atom": atom, "sid": sid})

    async def telemetry_of(self, case: Case, alert_id: int, *, verdict: str = "unknown") -> Outcome:
        """Attach the event that an alert is about.

        Raises:
            Impossible: the alert is not in the store, is another organization's, or names no event.
        """
        alerts = await self._read(lambda c: _alerts(c, [alert_id]))
        if not alerts or alerts[0].oid != case[0]:
            raise Impossible("This alert is not in the store, or is another organization's.")
        record = await self._read(lambda c: detection(c, case[0], alerts[0].detect_id)) or {}
        inner = record.get("detect")
        places = [inner.get("routing") if isinstance(inner, dict) else None, record.get("routing")]
        for routing in places:
            if isinstance(routing, dict) and isinstance(routing.get("this"), str):
                return await self.telemetry(
                    case,
                    routing["this"],
                    str(routing.get("sid") or alerts[0].sid),
                    str(routing.get("event_type") or "unknown"),
                    verdict=verdict,
                )
        raise Impossible("This alert does not name the event that it is about.")

    async def tag(
        self, cases: Sequence[Case], add: Collection[str] = (), remove: Collection[str] = ()
    ) -> Outcome:
        """Add tags and take tags away.

        Raises:
            Impossible: a tag is empty, too long, or holds control characters.
        """
        for tag in (*add, *remove):
            _text("A tag", tag, TAG_LENGTH)
            if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in tag):
                raise Impossible("A tag must not hold control characters.")
        if not add and not remove:
            raise Impossible("No tag was given.")
        wanted = {"add": sorted(set(add)), "remove": sorted(set(remove))}

        def one(c: Connection, row: CaseRow) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
            tags = list(map(str, row.tags))
            if len(with_tags(tags, add, remove)) > TAGS:
                raise casework.NotPossible(f"The case {row.name} would have more than {TAGS} tags.")
            return "tags", wanted, {"tags": tags}

        return await self._each(cases, one, "case.tags", wanted)

    async def assign(self, cases: Sequence[Case], assignees: Sequence[str]) -> Outcome:
        """Say whose cases they are; nobody's when no name is given."""
        for name in assignees:
            _text("A name", name, 320)
        return await self.update(cases, {"assignees": list(dict.fromkeys(assignees))})

    async def link(self, case: Case, alert_ids: Sequence[int]) -> Outcome:
        """Put alerts into a case.

        Raises:
            Impossible: none of them is in the store, or one is another organization's.
        """
        alerts = await self._read(lambda c: _alerts(c, alert_ids))
        if not alerts or any(alert.oid != case[0] for alert in alerts):
            raise Impossible("These alerts are not in the store, or are another organization's.")
        wanted = {"detect_ids": [alert.detect_id for alert in alerts]}
        return await self._same([case], "link", wanted, {"alerts": len(alerts)})

    async def unlink(self, case: Case, detect_id: str) -> Outcome:
        """Take an alert out of a case."""
        wanted = {"detect_id": detect_id}
        return await self._same([case], "unlink", wanted, wanted)

    async def merge(self, oid: str, target: int, sources: Sequence[int]) -> Outcome:
        """Merge cases of one organization into another of its cases; they are closed then.

        Raises:
            Impossible: too many, none, the target itself, or cases here with cases in the cloud.
        """
        sources = list(dict.fromkeys(sources))
        if not 0 < len(sources) <= MERGED or target in sources:
            raise Impossible(f"At most {MERGED} other cases are merged into one, and at least one.")
        if len({number > 0 for number in (target, *sources)}) > 1:
            raise Impossible("A case that is only here cannot be merged with one in the cloud.")

        def one(c: Connection, row: CaseRow) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
            rows = {each.number: each for each in queries.cases_numbered(c, [(oid, n) for n in sources])}
            for number in sources:
                if number not in rows:
                    raise casework.NotPossible(f"There is no case {reference('', number)} in the store.")
            for each in (row, *rows.values()):
                if _wanted_fields(c, each)["status"] == "closed":
                    raise casework.NotPossible(f"The case {each.name} is closed, and cannot be merged.")
            seen = {str(number): rows[number].fields()["status"] for number in sources}
            return "merge", {"sources": sources}, seen

        return await self._each([(oid, target)], one, "case.merge", {"sources": sources})

    async def log_time(self, case: Case, seconds: int, *, note: str = "", assignee: str = "") -> Outcome:
        """Log time spent on a case, to be billed.

        Raises:
            Impossible: it is no time, or the note is too long.
        """
        if isinstance(seconds, bool) or seconds <= 0:
            raise Impossible("The time spent on a case is more than nothing.")
        _text("The remark", note, NOTE_LENGTH, required=False)
        wanted = {"billable_seconds": seconds, "note": note, "assignee": assignee or self.operator}
        return await self._same([case], "time", wanted, {"billable_seconds": seconds})

    # -- what was not done --------------------------------------------------------------------------------

    async def decide(self, edit_id: int, *, mine: bool) -> Outcome:
        """Decide a conflict, or what is to become of a refused edit.

        Args:
            mine: send it over what the case has now; else what the case has stays.

        Raises:
            Impossible: there is nothing to decide about this edit.
        """

        def write(c: Connection) -> bool:
            found = queries.edits(c, ids=[edit_id])
            if not found or found[0].state not in (CONFLICT, REFUSED):
                return False
            edit, now = found[0], self.clock()
            if mine:
                if edit.what == "merge":
                    seen = edit.found.get("sources", edit.seen)
                else:
                    there = edit.found.get("case") or {}
                    seen = {name: there.get(name, value) for name, value in edit.seen.items()}
                casework.send_after_all(c, edit_id, seen)
            else:
                casework.drop(c, edit_id, DROPPED, reason="What the case has was kept.", now=now)
                if str(edit.by) == casework.ALERTS:
                    caselinks.keep_theirs(c, edit.oid, edit.number)
                if edit.what == "create":
                    casework.keep_here(c, edit.oid, edit.number, now=now)
            detail = {"edit": edit_id, "decision": "mine" if mine else "theirs", "by": self.operator}
            journal.append(c, actor(), "case.decide", edit.oid, reference("", edit.number), detail, now=now)
            return True

        if not await self._write(write):
            raise Impossible(f"There is nothing to decide about the edit {edit_id}.")
        drained = await self._send([edit_id] if mine else [])
        return Outcome(await self._edits([edit_id]), trouble=drained.trouble)

    async def cancel(self, edit_id: int) -> bool:
        """Take an edit back that still waits; False when it is on its way or settled."""

        def write(c: Connection) -> bool:
            found = queries.edits(c, ids=[edit_id])
            if not found or found[0].state != PENDING:
                return False
            edit, now = found[0], self.clock()
            casework.drop(c, edit_id, DROPPED, reason=f"Taken back by {self.operator}.", now=now)
            if edit.what == "create":
                casework.keep_here(c, edit.oid, edit.number, now=now)
            journal.append(
                c, actor(), "case.cancel", edit.oid, reference("", edit.number), {"edit": edit_id}, now=now
            )
            return True

        return await self._write(write)

    async def send(self) -> Drained:
        """Send whatever waits."""
        if self.cloud is None:
            return Drained(trouble="Offline")
        return await CaseQueue(self.store, self.cloud, clock=self.clock).drain()

    # -- reading ------------------------------------------------------------------------------------------

    async def read(self, case: Case) -> CaseDetail | None:
        """A case as the cloud has it now, with all that it holds; as the store has it when offline.

        Raises:
            LimaCharlieError: the cloud could not be asked; the store is as it was.
        """
        oid, number = case
        if self.cloud is not None and number > 0:
            await CaseQueue(self.store, self.cloud, clock=self.clock).whole(oid, number)
        return await self._read(lambda c: queries.detail(c, oid, number))

    # -- how it is done -----------------------------------------------------------------------------------

    async def _same(
        self, cases: Sequence[Case], what: str, wanted: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Outcome:
        return await self._each(cases, lambda c, row: (what, wanted, {}), f"case.{what}", said)

    async def _each(
        self,
        cases: Sequence[Case],
        one: Callable[[Connection, CaseRow], tuple[str, Mapping[str, Any], Mapping[str, Any]]],
        action: str,
        said: Mapping[str, Any],
        *,
        by: str = "",
    ) -> Outcome:
        """Write down what is wanted of each case, and send it."""
        wanted_by = by or self.operator

        def write(c: Connection) -> tuple[list[int], list[Refusal]]:
            now = self.clock()
            rows = {(row.oid, row.number): row for row in queries.cases_numbered(c, cases)}
            ids: list[int] = []
            refused: list[Refusal] = []
            done: dict[str, list[int]] = {}
            for case in dict.fromkeys(cases):
                row = rows.get(case)
                if row is None:
                    refused.append(
                        Refusal(*case, case[0], f"There is no case {reference('', case[1])} in the store.")
                    )
                    continue
                try:
                    what, wanted, seen = one(c, row)
                    ids.append(self._put(c, row, what, wanted, seen, by=wanted_by, now=now))
                except casework.NotPossible as error:
                    refused.append(Refusal(row.oid, row.number, str(row.organization), str(error)))
                else:
                    done.setdefault(row.oid, []).append(row.number)
            for oid, numbers in done.items():
                target = ", ".join(reference("", number) for number in numbers[:20])
                more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
                detail = {**said, "cases": len(numbers), "by": wanted_by}
                journal.append(c, actor(), action, oid, target + more, detail, now=now)
            return ids, refused

        ids, refused = await self._write(write)
        drained = await self._send(ids)
        return Outcome(await self._edits(ids), refused, drained.trouble)

    def _put(
        self,
        c: Connection,
        row: CaseRow,
        what: str,
        wanted: Mapping[str, Any],
        seen: Mapping[str, Any],
        *,
        by: str,
        now: int,
    ) -> int:
        if not row.local:
            return self._want(c, row.oid, row.number, what, wanted, seen, by=by, now=now)
        found = casework.change_here(c, row.oid, row.number, what, wanted, by=by, now=now)
        return self._want(c, row.oid, row.number, what, wanted, seen, by=by, now=now, state=DONE, found=found)

    def _want(
        self,
        c: Connection,
        oid: str,
        number: int,
        what: str,
        wanted: Mapping[str, Any],
        seen: Mapping[str, Any],
        *,
        now: int,
        by: str = "",
        state: int = PENDING,
        found: Mapping[str, Any] | None = None,
    ) -> int:
        return casework.add_edit(
            c,
            oid=oid,
            number=number,
            what=what,
            wanted=wanted,
            seen=seen,
            by=by or self.operator,
            now=now,
            state=state,
            found=found,
        )

    async def _send(self, ids: Collection[int]) -> Drained:
        if not ids or not await self._unsettled(ids):
            return Drained()
        if self.cloud is None:
            return Drained(trouble="Offline: it waits, and is sent when the cloud is there again.")
        drained = await CaseQueue(self.store, self.cloud, clock=self.clock).drain(ids)
        # Another console, or what runs in the background, may have been quicker to take them.
        for _ in range(PATIENCE):
            if drained.trouble or not await self._unsettled(ids):
                break
            await asyncio.sleep(0.1)
        return drained

    async def _unsettled(self, ids: Collection[int]) -> bool:
        states = (PENDING, SENDING)
        return bool(await self._read(lambda c: queries.edits(c, states=states, ids=ids, limit=1)))

    async def _edits(self, ids: Collection[int]) -> list[EditRow]:
        if not ids:
            return []
        return await self._read(lambda c: queries.edits(c, ids=ids, limit=len(ids)))

    async def _read(self, read: Callable[[Connection], Result]) -> Result:
        def go() -> Result:
            with self.store.reader.reading() as connection:
                return read(connection)

        return await asyncio.to_thread(go)

    async def _write(self, write: Callable[[Connection], Result]) -> Result:
        def go() -> Result:
            with self.store.writing() as connection:
                return write(connection)

        return await asyncio.to_thread(go)


@dataclass(frozen=True)
class _Plan:
    """What is to be made for the alerts of one organization."""

    oid: str
    organization: str
    alerts: list[Any]
    """The gravest first."""
    in_cloud: bool
    held: dict[str, list[int]] = field(default_factory=dict)
    """Which cases hold them already."""


def in_cloud(c: Connection, oid: str) -> bool:
    """Whether an organization keeps its cases in the cloud, as far as the store knows."""
    if queries.subscribed(c, [oid]):
        return True
    case = models.CaseRecord.__table__  # type: ignore[attr-defined]
    found = c.execute(select(case.c.oid).where(case.c.oid == oid, case.c.case_number > 0).limit(1))
    return found.first() is not None


def _alerts(c: Connection, ids: Sequence[int]) -> list[Any]:
    wanted = sorted(set(ids))
    found: list[Any] = []
    for at in range(0, len(wanted), 500):
        found += c.execute(
            select(
                _D.c.id, _D.c.oid, _D.c.detect_id, _D.c.severity, _D.c.time, _D.c.cat, _D.c.hostname, _D.c.sid
            ).where(_D.c.id.in_(wanted[at : at + 500]))
        ).all()
    return sorted(found, key=lambda each: (-each.severity, -each.time, each.id))


def _organization(c: Connection, oid: str) -> str | None:
    name: str | None = c.execute(
        select(_ORGANIZATION.c.name).where(_ORGANIZATION.c.oid == oid)
    ).scalar_one_or_none()
    return name


def _summary(alerts: Sequence[Any]) -> str:
    if not alerts:
        return ""
    head = alerts[0]
    where = f" on {head.hostname}" if head.hostname else ""
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return f"{head.cat}{where}{more}"[:LONG_TEXT]


def _wanted_fields(c: Connection, row: CaseRow) -> dict[str, Any]:
    """The fields of a case as they will be once what waits was sent: what an operator sees."""
    if not row.pending:
        return row.fields()
    waiting = queries.edits(c, states=(PENDING, SENDING), oid=row.oid, number=row.number)
    return overlaid(row.fields(), [(edit.what, edit.wanted) for edit in waiting])


def _checked(changes: Mapping[str, Any]) -> None:
    if not changes:
        raise Impossible("Nothing is to be changed.")
    for name, value in changes.items():
        if name not in UPDATABLE:
            raise Impossible(f"The field {name} of a case cannot be changed; {', '.join(UPDATABLE)} can.")
        if name in ("summary", "conclusion"):
            _text(f"The {name}", value, LONG_TEXT, required=False)
        elif name == "severity":
            _known(name, value, SEVERITIES)
        elif name == "classification":
            _known(name, value, CLASSIFICATIONS)
        elif name == "status":
            _known(name, value, STATUSES)


def _text(name: str, value: str, most: int, *, required: bool = True) -> None:
    if why := why_not_text(name, value, most, required=required):
        raise Impossible(why)


def _known(name: str, word: str, allowed: Iterable[str]) -> None:
    words = list(allowed)
    if word not in words:
        raise Impossible(f"{word!r} is no {name}; there are {', '.join(filter(None, words))}.")
