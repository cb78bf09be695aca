"""Cases: listed over many organizations at once, read, changed, reported on.

The cases host takes JSON, and several organizations in one call when the token is good for all of them
(ext-cases; official client 5.10.1, sdk/cases.py).
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from console.limacharlie import answers
from console.limacharlie.errors import Denied, Gone, Invalid, LimaCharlieError
from console.limacharlie.handle import CloudPart, Done, Part, done, encoded, onward, sendable
from console.limacharlie.tokens import Scope
from console.limacharlie.transport import Answer, Call, organization_id
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES

Result = TypeVar("Result")

EXTENSION = "ext-cases"
CASES_PAGE = 200
"""Cases asked for at once: the most there are."""
TOGETHER = 100
"""Organizations asked about at once; their ids are 4 kB of the address."""
BULK = 200
"""Cases changed at once."""
MERGED = 20
"""Cases merged at once."""

VERDICTS = ("malicious", "suspicious", "benign", "unknown", "informational")
ENTITY_TYPES = ("ip", "domain", "hash", "url", "user", "email", "file", "process", "registry", "other")
NOTE_TYPES = (
    "general",
    "analysis",
    "remediation",
    "recommendation",
    "escalation",
    "handoff",
    "to_stakeholder",
    "from_stakeholder",
)
CHANGEABLE = ("status", "severity", "assignees", "classification", "summary", "conclusion", "tags")
"""Of a case."""
FILTERS = ("status", "severity", "classification", "tag", "assignee", "search", "sid", "sort", "order")
"""Of the listing; several values are separated by commas."""

WIDE = Scope("all", permissions=("investigation.get",))
"""One permission of every organization: all of them would be too large for the gateway much sooner."""
_TOO_LARGE = (413, 414, 431)
_VALUES = {
    "status": STATUSES,
    "severity": SEVERITIES,
    "classification": CLASSIFICATIONS,
    "sort": ("created_at", "severity", "case_number"),
    "order": ("asc", "desc"),
}


@dataclass(frozen=True)
class CasePage:
    """One page of cases."""

    oids: tuple[str, ...]
    """Of which organizations."""
    cases: list[dict[str, Any]]
    """As received: case_id, case_number, oid, status, severity, classification, assignees, tags, ..."""
    total_counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CasesRefused:
    """An organization whose cases cannot be read; nothing is known of them.

    Its extension may be missing (Invalid), the key may lack the permission (Denied), or it is Gone.
    """

    oid: str
    error: LimaCharlieError


@dataclass(frozen=True)
class CaseFigures:
    """Counts or a report over organizations; the keys are not published."""

    oids: tuple[str, ...]
    figures: dict[str, Any]


@dataclass(frozen=True)
class CaseFile:
    """One case with all that happened to it."""

    case: dict[str, Any]
    events: list[dict[str, Any]]


class CloudCases(CloudPart):
    """Cases of many organizations."""

    _apart = False

    @property
    def cases_one_by_one(self) -> bool:
        """Each organization is asked alone: the key is one organization's, or the token for all of them met
        a gateway that finds it too large."""
        return self._one or self._apart

    async def cases(
        self, oids: Sequence[str], filters: Mapping[str, str] | None = None
    ) -> AsyncIterator[CasePage | CasesRefused]:
        """Cases of organizations (`GET cases`), as many organizations in one call as the token allows.

        Args:
            oids: asked in this order, up to TOGETHER at once; where the token for all is too large for
                the gateway (413), one by one, so put the most active first.
            filters: of FILTERS: `status`: "new,in_progress".

        Yields:
            Pages; sorted as asked within the organizations of one call. An organization whose cases
            cannot be read comes as CasesRefused.

        Raises:
            LimaCharlieError: what is no organization's own trouble ends it.
        """
        wanted = dict(filters or {})
        if unknown := sorted(wanted.keys() - set(FILTERS)):
            raise Invalid(f"Cases cannot be filtered by {unknown[0][:80]!a}.")
        for name in wanted.keys() & _VALUES.keys():
            for value in wanted[name].split(","):
                _one_of(name, value, _VALUES[name])
        wanted["page_size"] = str(CASES_PAGE)

        async def first(group: tuple[str, ...], scope: Scope) -> tuple[CasePage, str]:
            return await self._page(group, scope, wanted)

        async for group, scope, answer in self._each(oids, first):
            if isinstance(answer, LimaCharlieError):
                yield CasesRefused(group[0], answer)
                continue
            page, following = answer
            seen: set[str] = set()
            yield page
            while following:
                token = onward(following, seen, "GET cases")
                page, following = await self._page(group, scope, wanted | {"page_token": token})
                yield page

    async def case_counts(self, oids: Sequence[str]) -> list[CaseFigures]:
        """Counts by status and severity, and missed deadlines (`GET dashboard/counts`), as received.

        Raises:
            Denied, Gone, Invalid: of the first organization whose cases cannot be read.
        """
        return [
            CaseFigures(group, answers.filled(answer.json(), answer.what))
            async for group, answer in self._all("dashboard/counts", oids, {})
        ]

    async def case_report(
        self, oids: Sequence[str], start: str, end: str, group_by: str = ""
    ) -> list[CaseFigures]:
        """Times to acknowledge and to resolve, volume, classification (`GET reports/summary`), as received.

        Args:
            start, end: RFC 3339, such as `2026-01-01T00:00:00Z`.

        Raises:
            Denied, Gone, Invalid: of the first organization whose cases cannot be read.
        """
        query = {"from": start, "to": end} | ({"group_by": group_by} if group_by else {})
        return [
            CaseFigures(group, answers.filled(answer.json(), answer.what))
            async for group, answer in self._all("reports/summary", oids, query)
        ]

    async def case_assignees(self, oids: Sequence[str]) -> list[str]:
        """Who has cases, each once (`GET assignees`)."""
        found: dict[str, None] = {}
        async for _, answer in self._all("assignees", oids, {}):
            held = answers.member(answer.json(), "assignees", answer.what)
            found |= dict.fromkeys(answers.texts(held, answer.what, "assignees"))
        return list(found)

    async def find_entities(
        self, oids: Sequence[str], entity_type: str, entity_value: str
    ) -> list[dict[str, Any]]:
        """Cases in which an entity turned up (`GET entities/search`), as received."""
        query = {"entity_type": entity_type, "entity_value": entity_value}
        found: list[dict[str, Any]] = []
        async for _, answer in self._all("entities/search", oids, query):
            held = answers.member(answer.json(), "results", answer.what)
            found += answers.mappings(answers.given(held, []), answer.what, "results")
        return found

    async def case_organizations(self, oids: Sequence[str] = ()) -> list[str]:
        """The organizations with cases that the key may read (`GET orgs` of the cases host).

        Args:
            oids: whom to ask one by one where the token for all is too large for the gateway.
        """
        if not self._one and not self._apart:
            try:
                return await self._with_cases(WIDE)
            except Invalid as error:
                if error.status not in _TOO_LARGE or not oids:
                    raise
                self._apart = True
        if self._one and not oids:
            return await self._with_cases(self._scope)
        found: list[str] = []
        for oid in oids:
            try:
                listed = await self._with_cases(Scope("organization", organization_id(oid)))
            except (Denied, Gone):
                continue
            found += [each for each in listed if each == oid]
        return found

    async def _with_cases(self, scope: Scope) -> list[str]:
        answer = await self._send(Call("GET", "orgs", scope=scope, root="cases"))
        return answers.texts(answers.member(answer.json(), "oids", answer.what), answer.what, "oids")

    async def _page(
        self, group: tuple[str, ...], scope: Scope, query: Mapping[str, str]
    ) -> tuple[CasePage, str]:
        answer = await self._about("cases", group, scope, query)
        held = answers.mapping(answer.json(), answer.what)
        rows = answers.mappings(
            answers.given(answers.member(held, "cases", answer.what), []), answer.what, "cases"
        )
        for row in rows:
            answers.number(answers.member(row, "case_number", answer.what), answer.what, "case_number")
            if answers.member(row, "oid", answer.what) not in group:
                answers.refuse(answer.what, "holds cases of an organization that was not asked for")
        counts = answers.mapping(answers.given(held.get("total_counts"), {}), answer.what, "total_counts")
        following = answers.cursor(held.get("next_page_token"), answer.what, "next_page_token")
        return CasePage(group, rows, counts), following

    async def _about(
        self, template: str, group: tuple[str, ...], scope: Scope, query: Mapping[str, str]
    ) -> Answer:
        wanted = sendable({"oids": ",".join(group), **query})
        return await self._send(Call("GET", template, query=wanted, scope=scope, root="cases"))

    async def _all(
        self, template: str, oids: Sequence[str], query: Mapping[str, str]
    ) -> AsyncIterator[tuple[tuple[str, ...], Answer]]:
        async def ask(group: tuple[str, ...], scope: Scope) -> Answer:
            return await self._about(template, group, scope, query)

        async for group, _, answer in self._each(oids, ask):
            if isinstance(answer, LimaCharlieError):
                raise answer
            yield group, answer

    async def _each(
        self, oids: Sequence[str], ask: Callable[[tuple[str, ...], Scope], Awaitable[Result]]
    ) -> AsyncIterator[tuple[tuple[str, ...], Scope, Result | LimaCharlieError]]:
        """Answers about all organizations, in groups as large as the gateway and their permissions allow."""
        every = tuple(dict.fromkeys(map(organization_id, oids)))
        together = 1 if self._one or self._apart else TOGETHER
        waiting = deque(every[place : place + together] for place in range(0, len(every), together))
        while waiting:
            group = waiting.popleft()
            alone = len(group) == 1
            # Alone its own token will do, which is small, and mostly there already.
            scope = Scope("organization", group[0]) if alone else WIDE
            try:
                answer: Result | LimaCharlieError = await ask(group, scope)
            except Invalid as error:
                if error.status in _TOO_LARGE and not alone:
                    self._apart = True
                    waiting = deque((oid,) for each in (group, *waiting) for oid in each)
                    continue
                if error.status != 400:
                    raise
                # Such as of an organization that is not subscribed to the extension.
                answer = error
            except (Denied, Gone) as error:
                answer = error
            if isinstance(answer, LimaCharlieError) and not alone:
                # One that is closed closes the whole call: find it.
                half = len(group) // 2
                waiting.extendleft((group[half:], group[:half]))
                continue
            yield group, scope, answer


class Cases(Part):
    """The cases of one organization. Its changes have no etag: the last one wins."""

    async def case(self, number: int) -> CaseFile:
        """One case with its events (`GET cases/{number}`).

        Raises:
            Gone: there is none with this number.
        """
        answer = await self._get_case("cases/{number}", number=_number(number))
        held = answers.mapping(answer.json(), answer.what)
        events = answers.mappings(
            answers.given(answers.member(held, "events", answer.what), []), answer.what, "events"
        )
        return CaseFile(self._case(number)(held, answer.what), events)

    async def create_case(
        self, detection: Mapping[str, Any] | None = None, severity: str = "", summary: str = ""
    ) -> int | None:
        """Make a case (extension `ext-cases`, action `create_case`).

        When the outcome is unknown, look for the detection among the cases first: a second try may make
        a second case.

        Args:
            detection: whole; without one the case is empty.
            severity: of SEVERITIES; "" leaves it to the rules of the organization.

        Returns:
            Its number; None when nothing was made, as of a detection that is in a case already.

        Raises:
            Ambiguous: the outcome is unknown.
        """
        data: dict[str, Any] = {}
        if detection is not None:
            # JSON text inside of JSON: what the extension's schema asks for.
            data["detection"] = encoded(dict(detection)).decode("ascii")
        if severity:
            data["severity"] = _one_of("severity", severity, SEVERITIES)
        if summary:
            data["summary"] = summary
        return await self._ask(EXTENSION, "create_case", data, _case_made, safe=False)

    async def update_case(self, number: int, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change a case (`PATCH cases/{number}`).

        Args:
            changes: of CHANGEABLE, by name; `assignees` and `tags` are replaced as a whole.

        Returns:
            The case as it is now.

        Raises:
            Gone: there is none with this number.
            Invalid, Conflict: the cloud refuses the change, such as `new` to `resolved`.
            Ambiguous: the outcome is unknown.
        """
        body = _changes(changes, CHANGEABLE)
        return await self._case_write(
            "PATCH", "cases/{number}", self._case(number), body, number=_number(number)
        )

    async def bulk_update_cases(self, numbers: Sequence[int], changes: Mapping[str, Any]) -> int:
        """Change up to BULK cases alike (`POST cases/bulk-update`).

        Args:
            changes: `status`, `classification`, or both.

        Returns:
            How many were changed; fewer than asked for when some could not be.
        """
        if not 0 < len(numbers) <= BULK:
            raise Invalid(f"At most {BULK} cases are changed at once, and at least one.")
        body = {
            "oid": self.oid,
            "case_numbers": [int(_number(each)) for each in numbers],
            "update": _changes(changes, ("status", "classification")),
        }

        def read(value: Any, what: str) -> int:
            updated = answers.member(done(value, what).details, "updated", what)
            if not 0 <= answers.number(updated, what, "updated") <= len(numbers):
                answers.refuse(what, "counts other cases than were sent")
            return int(updated)

        return await self._write("POST", "cases/bulk-update", read, body=body, root="cases")

    async def merge_cases(self, target: int, sources: Sequence[int]) -> Done:
        """Merge up to MERGED cases into another (`POST cases/merge`); they are closed then."""
        if not 0 < len(sources) <= MERGED or target in sources:
            raise Invalid(f"At most {MERGED} other cases are merged into one, and at least one.")
        body = {
            "oid": self.oid,
            "target_case_number": int(_number(target)),
            "source_case_numbers": [int(_number(each)) for each in sources],
        }
        return await self._write("POST", "cases/merge", done, body=body, root="cases")

    async def add_note(
        self, number: int, content: str, note_type: str = "general", *, public: bool = False
    ) -> str:
        """Add a note (`POST cases/{number}/notes`).

        Args:
            note_type: of NOTE_TYPES.
            public: the customer may see it.

        Returns:
            The id of its event.
        """
        body = {
            "content": content,
            "note_type": _one_of("note_type", note_type, NOTE_TYPES),
            "is_public": public,
        }
        return await self._case_write(
            "POST", "cases/{number}/notes", _id("event_id"), body, number=_number(number)
        )

    async def set_note_visibility(self, number: int, event_id: str, public: bool) -> Done:
        """Whether the customer may see a note (`PATCH cases/{number}/notes/{event_id}`)."""
        return await self._case_write(
            "PATCH",
            "cases/{number}/notes/{event_id}",
            done,
            {"is_public": public},
            number=_number(number),
            event_id=event_id,
        )

    async def log_time(
        self, number: int, seconds: int, note: str = "", assignee: str = "", cost_profile: str = ""
    ) -> Done:
        """Log time spent on a case, to be billed (`POST cases/{number}/time-logs`).

        Args:
            seconds: more than 0.
            assignee: whose time it was.
            cost_profile: a key of the hive `ai_cost_model`.
        """
        if isinstance(seconds, bool) or seconds <= 0:
            raise Invalid("The time spent on a case is a number of seconds, more than 0.")
        body: dict[str, Any] = {"billable_seconds": int(seconds)}
        body |= _given(note=note, assignee=assignee, cost_profile=cost_profile)
        return await self._case_write("POST", "cases/{number}/time-logs", done, body, number=_number(number))

    async def case_detections(self, number: int) -> list[dict[str, Any]]:
        """The detections of a case (`GET cases/{number}/detections`), with a `detect_id` each."""
        return await self._rows(number, "detections", "detect_id")

    async def link_detection(self, number: int, detection: Mapping[str, Any]) -> Done:
        """Put a detection into a case (`POST cases/{number}/detections`).

        Args:
            detection: whole, as LimaCharlie made it.
        """
        body = {"detection": dict(detection)}
        return await self._case_write("POST", "cases/{number}/detections", done, body, number=_number(number))

    async def unlink_detection(self, number: int, detect_id: str) -> Done:
        """Take a detection out of a case (`DELETE cases/{number}/detections/{detect_id}`)."""
        return await self._case_write(
            "DELETE",
            "cases/{number}/detections/{detect_id}",
            done,
            number=_number(number),
            detect_id=detect_id,
        )

    async def case_entities(self, number: int) -> list[dict[str, Any]]:
        """The entities of a case (`GET cases/{number}/entities`), with an `entity_id` each."""
        return await self._rows(number, "entities", "entity_id")

    async def add_case_entity(
        self, number: int, entity_type: str, entity_value: str, note: str = "", verdict: str = ""
    ) -> str:
        """Add an entity (`POST cases/{number}/entities`).

        Args:
            entity_type: of ENTITY_TYPES.
            verdict: of VERDICTS, or "".

        Returns:
            Its id.

        Raises:
            Conflict: the case has it already.
        """
        body = {
            "entity_type": _one_of("entity_type", entity_type, ENTITY_TYPES),
            "entity_value": entity_value,
            **_given(note=note, verdict=_verdict(verdict)),
        }
        return await self._case_write(
            "POST", "cases/{number}/entities", _id("entity_id"), body, number=_number(number)
        )

    async def update_case_entity(
        self, number: int, entity_id: str, note: str | None = None, verdict: str | None = None
    ) -> Done:
        """Change an entity (`PATCH cases/{number}/entities/{entity_id}`); None leaves a thing as it is."""
        return await self._case_write(
            "PATCH",
            "cases/{number}/entities/{entity_id}",
            done,
            _assessment(note, verdict),
            number=_number(number),
            entity_id=entity_id,
        )

    async def remove_case_entity(self, number: int, entity_id: str) -> Done:
        """Remove an entity (`DELETE cases/{number}/entities/{entity_id}`)."""
        return await self._case_write(
            "DELETE",
            "cases/{number}/entities/{entity_id}",
            done,
            number=_number(number),
            entity_id=entity_id,
        )

    async def case_telemetry(self, number: int) -> list[dict[str, Any]]:
        """The events of a case (`GET cases/{number}/telemetry`), with a `telemetry_id` each."""
        return await self._rows(number, "telemetry", "telemetry_id")

    async def add_case_telemetry(
        self, number: int, event: Mapping[str, Any], note: str = "", verdict: str = ""
    ) -> str:
        """Put an event into a case (`POST cases/{number}/telemetry`).

        Args:
            event: with `routing`: `this`, `sid`, `event_type`.
            verdict: of VERDICTS, or "".

        Returns:
            The id of the reference.
        """
        body = {"event": dict(event), **_given(note=note, verdict=_verdict(verdict))}
        return await self._case_write(
            "POST", "cases/{number}/telemetry", _id("telemetry_id"), body, number=_number(number)
        )

    async def update_case_telemetry(
        self, number: int, telemetry_id: str, note: str | None = None, verdict: str | None = None
    ) -> Done:
        """Change what is said of an event (`PATCH cases/{number}/telemetry/{telemetry_id}`)."""
        return await self._case_write(
            "PATCH",
            "cases/{number}/telemetry/{telemetry_id}",
            done,
            _assessment(note, verdict),
            number=_number(number),
            telemetry_id=telemetry_id,
        )

    async def remove_case_telemetry(self, number: int, telemetry_id: str) -> Done:
        """Take an event out of a case (`DELETE cases/{number}/telemetry/{telemetry_id}`)."""
        return await self._case_write(
            "DELETE",
            "cases/{number}/telemetry/{telemetry_id}",
            done,
            number=_number(number),
            telemetry_id=telemetry_id,
        )

    async def case_artifacts(self, number: int) -> list[dict[str, Any]]:
        """The artifacts of a case (`GET cases/{number}/artifacts`), with an `artifact_id` each."""
        return await self._rows(number, "artifacts", "artifact_id")

    async def add_case_artifact(
        self,
        number: int,
        path: str,
        source: str,
        artifact_type: str = "",
        note: str = "",
        verdict: str = "",
    ) -> str:
        """Name an artifact in a case (`POST cases/{number}/artifacts`).

        Args:
            path, source: where it is, and whence it came.
            artifact_type: such as `pcap`.
            verdict: of VERDICTS, or "".

        Returns:
            The id of the reference.
        """
        body = {
            "path": path,
            "source": source,
            **_given(artifact_type=artifact_type, note=note, verdict=_verdict(verdict)),
        }
        return await self._case_write(
            "POST", "cases/{number}/artifacts", _id("artifact_id"), body, number=_number(number)
        )

    async def remove_case_artifact(self, number: int, artifact_id: str) -> Done:
        """Take an artifact out of a case (`DELETE cases/{number}/artifacts/{artifact_id}`)."""
        return await self._case_write(
            "DELETE",
            "cases/{number}/artifacts/{artifact_id}",
            done,
            number=_number(number),
            artifact_id=artifact_id,
        )

    async def case_configuration(self) -> dict[str, Any]:
        """How the organization handles cases (`GET config/{oid}`), as received: severities, deadlines, ..."""
        answer = await self._send(
            Call("GET", "config/{oid}", {"oid": self.oid}, scope=self._scope, root="cases")
        )
        held = answers.mapping(answer.json(), answer.what)
        if not held.keys() & {"severity_mapping", "sla_config", "retention_days"}:
            # It is written back as a whole.
            answers.refuse(answer.what, "is not a configuration of cases")
        return held

    async def set_case_configuration(self, configuration: Mapping[str, Any]) -> Done:
        """Change how the organization handles cases (`PUT config/{oid}`).

        Args:
            configuration: all of it, as `case_configuration` has it.
        """
        if not configuration:
            raise Invalid("A configuration of cases is replaced as a whole, and none was given.")
        return await self._write("PUT", "config/{oid}", done, body=dict(configuration), root="cases")

    async def _get_case(self, template: str, **segments: str) -> Answer:
        query = {"oid": self.oid}
        return await self._send(Call("GET", template, segments, query, scope=self._scope, root="cases"))

    async def _rows(self, number: int, name: str, key: str) -> list[dict[str, Any]]:
        answer = await self._get_case(f"cases/{{number}}/{name}", number=_number(number))
        rows = answers.mappings(
            answers.given(answers.member(answer.json(), name, answer.what), []), answer.what, name
        )
        for row in rows:
            answers.text(answers.member(row, key, answer.what), answer.what, key)
        return rows

    async def _case_write(
        self,
        method: str,
        template: str,
        read: Callable[[Any, str], Result],
        body: Mapping[str, Any] | None = None,
        **segments: str,
    ) -> Result:
        return await self._change(
            method, template, read, query={"oid": self.oid}, body=body, root="cases", segments=segments
        )

    def _case(self, number: int) -> Callable[[Any, str], dict[str, Any]]:
        def read(value: Any, what: str) -> dict[str, Any]:
            held = answers.mapping(answers.member(value, "case", what), what, "case")
            if answers.member(held, "case_number", what) != number:
                answers.refuse(what, "is another case")
            answers.own_organization(held, self.oid, what)
            return held

        return read


def _number(number: int) -> str:
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        raise Invalid(f"{str(number)[:80]!a} is not a case's number.")
    return str(number)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise Invalid(f"{value[:80]!a} is not a {name}; there are {', '.join(allowed)}.")
    return value


def _verdict(verdict: str) -> str:
    return _one_of("verdict", verdict, VERDICTS) if verdict else ""


def _given(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _assessment(note: str | None, verdict: str | None) -> dict[str, str]:
    said = {}
    if note is not None:
        said["note"] = note
    if verdict is not None:
        said["verdict"] = _one_of("verdict", verdict, VERDICTS)
    if not said:
        raise Invalid("Nothing is to be changed.")
    return said


def _changes(changes: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    if not changes:
        raise Invalid("Nothing is to be changed.")
    if unknown := sorted(changes.keys() - set(allowed)):
        raise Invalid(f"{unknown[0][:80]!a} of a case cannot be changed; {', '.join(allowed)} can.")
    for name in changes.keys() & {"status", "severity", "classification"}:
        _one_of(name, changes[name], _VALUES[name])
    return dict(changes)


def _id(name: str) -> Callable[[Any, str], str]:
    def read(value: Any, what: str) -> str:
        found = answers.text(answers.member(done(value, what).details, name, what), what, name)
        if not found:
            answers.refuse(what, f"has no {name}")
        return found

    return read


def _case_made(value: Any, what: str) -> int | None:
    held = answers.mapping(value, what, "data")
    if held.get("created") == 0 and not held.get("case_number"):
        return None
    number = answers.member(held, "case_number", what)
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        answers.refuse(what, "has no number of a case")
    return number
