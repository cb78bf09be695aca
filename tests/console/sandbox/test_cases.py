"""Cases of the sandbox: what the seed decides, what can be done to them, and what is refused."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from console.sandbox import caserules as rules
from console.sandbox.caserules import Case
from console.sandbox.organizations import Organization
from console.sandbox.world import World
from store.alerts import SEVERITIES, STATUSES, TRANSITIONS

NOW_MS = 1_795_176_000_000
_ROOT = "root@northlight.example"
_WORK = "investigation.get,investigation.set,org.conf.get,org.conf.set"
"""Of every organization: a token with all permissions of all is refused for its size."""


def _world(**options: Any) -> World:
    return World(**({"seed": 31, "orgs": 9, "detections": 900, "now_ms": NOW_MS} | options))


def _held(world: World) -> list[Organization]:
    """The organizations with cases, the richest first."""
    found = [one for one in world.organizations if world.cases.subscribed(one)]
    return sorted((one for one in found if one is not world.unauthorized), key=lambda one: -one.detections)


class Desk:
    """Somebody who works the cases of one organization."""

    def __init__(self, asker: Any, token: str) -> None:
        self.asker = asker
        self.token = token
        self.one = _held(asker.world)[0]
        self.cases = asker.world.cases

    async def say(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """Status and body."""
        query = {"oid": self.one.oid} | query
        status, answer, _ = await self.asker.ask(
            method, f"/api/v1/{path}", self.token, params=query, json=body
        )
        return status, answer

    async def do(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The body of an answer that has to be 200."""
        status, answer = await self.say(method, path, body, **query)
        assert status == 200, answer
        return answer

    async def refused(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """Status and sentence of an answer that must not be 200."""
        status, answer = await self.say(method, path, body, **query)
        assert status != 200
        return status, answer["error"]

    async def extension(self, action: str, data: Any) -> tuple[int, Any]:
        """What the extension answers."""
        form = {"oid": self.one.oid, "action": action, "data": json.dumps(data)}
        path = "/v1/extension/request/ext-cases"
        status, answer, _ = await self.asker.ask("POST", path, self.token, data=form)
        return status, answer

    async def made(self, **data: Any) -> int:
        """The number of a new case."""
        status, answer = await self.extension("create_case", data)
        assert status == 200, answer
        assert answer["data"]["created"] == 1
        number: int = answer["data"]["case_number"]
        return number

    async def in_status(self, status: str) -> int:
        """A new case that was brought so far."""
        number = await self.made(summary="Look here")
        ways = {"new": (), "in_progress": ("in_progress",), "resolved": ("in_progress", "resolved")}
        for step in ways.get(status, ("closed",)):
            await self.do("PATCH", f"cases/{number}", {"status": step})
        return number

    async def events(self, number: int) -> list[tuple[str, Any]]:
        """(action, metadata) of what happened to a case."""
        found = await self.do("GET", f"cases/{number}")
        return [(each["action"], each["metadata"]) for each in found["events"]]

    def detection(self, back: int = 1, **fields: Any) -> dict[str, Any]:
        """The newest detection of the organization, which has no case yet; further back under other ids."""
        found: dict[str, Any] = self.asker.world.detections.detection(self.one.index, self.one.detections - 1)
        return found | ({} if back == 1 else {"detect_id": f"made-{back}"}) | fields


@pytest.fixture
async def desk(asker: Any) -> Desk:
    return Desk(asker, await asker.token(oid=_held(asker.world)[0].oid))


# What the seed decides


def test_two_worlds_of_one_seed_have_the_same_cases_and_another_has_others() -> None:
    def shown(world: World) -> list[Any]:
        return [
            (case.row(), world.cases.told(case).events, case.entities)
            for one in _held(world)
            for case in world.cases.all_of(one)
        ]

    assert shown(_world()) == shown(_world())
    assert shown(_world()) != shown(_world(seed=32))


def test_cases_are_made_of_the_organizations_own_detections() -> None:
    world = _world()
    seen: list[Case] = []
    for one in _held(world):
        found = world.cases.all_of(one)
        assert [case.number for case in found] == list(range(1, len(found) + 1))
        assert len(found) >= one.detections // 6 > 0
        newest = world.detections.detect_id(one.index, one.detections - 1)
        assert world.cases.holding(one, newest) is None
        assert [case.created_at for case in found] == sorted(case.created_at for case in found)
        for case in found:
            for record in case.detections:
                number = world.detections.find(one.index, record["detect_id"])
                assert number is not None
                real = world.detections.detection(one.index, number)
                assert rules.linked(real, 0) | {"added_at": ""} == record | {"added_at": ""}
                assert case.created_at >= world.detections.time(one.index, number) or len(case.detections) > 1
        seen += found
    assert len({case.case_id for case in seen}) == len(seen)
    ids = [each["detect_id"] for case in seen for each in case.detections]
    assert len(set(ids)) == len(ids)


def test_every_case_has_a_story_that_fits_its_state() -> None:
    world = _world(orgs=40, detections=6000)
    every = [world.cases.told(case) for one in _held(world) for case in world.cases.all_of(one)]
    assert {case.status for case in every} == set(STATUSES)
    assert {case.classification for case in every} == {"pending", "true_positive", "false_positive"}
    assert len({case.severity for case in every}) >= 4
    milestones = (
        ("case_acknowledged", "acknowledged_at"), ("case_resolved", "resolved_at"), ("case_closed", "closed_at"),
    )  # fmt: skip
    for case in every:
        assert case.summary
        assert case.tags
        assert case.events[0]["action"] == "case_created"
        assert all(each["by"] and each["event_id"] and each["ts"] for each in case.events)
        for action, name in milestones:
            times = [each["ts"] for each in case.events if each["action"] == action]
            assert times == ([] if getattr(case, name) is None else [case.shown()[name]])
        steps = [each["metadata"]["new"] for each in case.events if each["action"] == "case_status_changed"]
        assert (steps or ["new"])[-1] == case.status
        for old, new in itertools.pairwise(["new", *steps]):
            assert new in TRANSITIONS[old]
        if case.status in ("in_progress", "resolved"):
            assert case.assignees
            assert any(each["action"] == "case_note_added" for each in case.events)
        times = [case.created_at, case.acknowledged_at, case.resolved_at, case.closed_at, world.now_ms]
        known = [each for each in times if each is not None]
        assert known == sorted(known)


def test_ten_thousand_organizations_have_no_cases_until_somebody_asks() -> None:
    world = _world(orgs=10_000, detections=20_000)
    assert world.cases.seeded.cache_info().currsize == 0
    one = _held(world)[0]
    assert world.cases.all_of(one)
    assert world.cases.seeded.cache_info().currsize == 1
    for each in world.organizations[:3000]:
        world.cases.all_of(each)
    assert world.cases.seeded.cache_info().currsize <= 1024


# Reading


async def _pages(desk: Desk, size: int, **query: Any) -> tuple[list[Any], dict[str, int]]:
    found: list[Any] = []
    token, counts = "", {}
    while True:
        page = await desk.do("GET", "cases", page_size=str(size), page_token=token, **query)
        assert len(page["cases"]) <= size
        found += page["cases"]
        token, counts = page["next_page_token"], page["total_counts"]
        if not token:
            return found, counts


async def test_one_question_reads_the_cases_of_many_organizations_in_pages(asker: Any) -> None:
    desk = Desk(asker, await asker.token(perms=_WORK))
    organizations = _held(asker.world)[:4]
    expected = [case.row() for one in organizations for case in desk.cases.all_of(one)]
    oids = ",".join(one.oid for one in organizations)
    for size in (1, 7, 200):
        found, counts = await _pages(desk, size, oids=oids)
        assert found == sorted(expected, key=lambda row: row["created_at"], reverse=True)
        assert counts == {status: sum(row["status"] == status for row in expected) for status in STATUSES}
    assert len(expected) > 20
    row = found[0]
    assert row["detection_count"] >= len(row["sids"]) > 0
    assert row["detection_cats"]


async def test_a_listing_is_sorted_both_ways_by_three_things(desk: Desk) -> None:
    keys: dict[str, Callable[[Any], Any]] = {
        "created_at": lambda row: row["created_at"],
        "severity": lambda row: SEVERITIES.index(row["severity"]),
        "case_number": lambda row: row["case_number"],
    }
    for by, key in keys.items():
        for order in ("asc", "desc"):
            found, _ = await _pages(desk, 4, oids=desk.one.oid, sort=by, order=order)
            values = [key(row) for row in found]
            assert values == sorted(values, reverse=order == "desc")
            assert len(found) == len(desk.cases.all_of(desk.one))


async def test_pages_go_on_where_they_ended_though_cases_change(desk: Desk) -> None:
    before = [case.number for case in desk.cases.all_of(desk.one)]
    page = await desk.do("GET", "cases", oids=desk.one.oid, page_size="3")
    await desk.made(summary="new in front")
    found = [row["case_number"] for row in page["cases"]]
    while page["next_page_token"]:
        page = await desk.do(
            "GET", "cases", oids=desk.one.oid, page_size="3", page_token=page["next_page_token"]
        )
        found += [row["case_number"] for row in page["cases"]]
    assert sorted(found) == before


async def test_every_filter_finds_what_it_says_and_counts_it(desk: Desk) -> None:
    number = await desk.made(summary="mine")
    await desk.do("PATCH", f"cases/{number}", {"assignees": ["Ann@x.example"], "tags": ["Blue", "Green"]})
    every = desk.cases.all_of(desk.one)
    grave = every[0].severity
    head = every[0].detections[0]
    wanted: list[tuple[dict[str, str], Callable[[Case], bool]]] = [
        ({"status": "new,closed"}, lambda case: case.status in ("new", "closed")),
        ({"severity": grave}, lambda case: case.severity == grave),
        ({"classification": "pending"}, lambda case: case.classification == "pending"),
        ({"assignee": "ann@x.example"}, lambda case: case.number == number),
        ({"tag": "green,BLUE"}, lambda case: case.number == number),
        ({"tag": "green,nothing"}, lambda case: False),
        ({"sid": head["sid"]}, lambda case: any(each["sid"] == head["sid"] for each in case.detections)),
        (
            {"search": head["hostname"][:6].upper()},
            lambda case: any(
                head["hostname"][:6].lower() in (each["hostname"] + each["cat"]).lower()
                for each in case.detections
            ),
        ),
        ({"search": head["cat"]}, lambda case: any(head["cat"] == each["cat"] for each in case.detections)),
        (
            {"status": "closed", "severity": "medium,low"},
            lambda case: case.status == "closed" and case.severity in ("medium", "low"),
        ),
    ]
    for query, passes in wanted:
        found, counts = await _pages(desk, 3, oids=desk.one.oid, **query)
        expected = {case.number for case in every if passes(case)}
        assert {row["case_number"] for row in found} == expected, query
        assert sum(counts.values()) == len(expected)
        assert "nothing" in str(query) or 0 < len(expected) < len(every), query


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"oids": ""}, "missing parameter oids"),
        ({"status": "open"}, "status must be of new, in_progress, resolved, closed"),
        ({"severity": "urgent"}, "severity must be of info, low, medium, high, critical"),
        ({"classification": "x"}, "classification must be of pending, true_positive, false_positive"),
        ({"sort": "oid"}, "sort must be one of created_at, severity, case_number"),
        ({"order": "up"}, "order must be asc or desc"),
        ({"page_size": "0"}, "page_size must be from 1 to 200"),
        ({"page_size": "201"}, "page_size must be from 1 to 200"),
        ({"page_token": "abc"}, "bad page_token"),
        ({"page_token": "W10="}, "bad page_token"),
        ({"page_token": "WyJjcmVhdGVkX2F0IiwiZGVzYyIsWyJ4Il1d"}, "bad page_token"),
    ],
)
async def test_a_listing_refuses_what_it_does_not_know(
    desk: Desk, query: dict[str, str], sentence: str
) -> None:
    assert await desk.refused("GET", "cases", **({"oids": desk.one.oid} | query)) == (400, sentence)


async def test_a_case_is_shown_with_all_that_happened(desk: Desk) -> None:
    case = desk.cases.find(desk.one, 1)
    found = await desk.do("GET", "cases/1")
    assert found == {"case": case.shown(), "events": case.events}
    assert await desk.refused("GET", "cases/9999") == (404, "case 9999 not found")
    assert await desk.refused("GET", "cases/one") == (400, "bad case number")
    assert await desk.refused("GET", "cases/1", oid="") == (400, "missing parameter oid")


# The state machine


@pytest.mark.parametrize("old", STATUSES)
async def test_only_the_documented_steps_are_taken(desk: Desk, old: str) -> None:
    for new in STATUSES:
        number = await desk.in_status(old)
        status, answer = await desk.say("PATCH", f"cases/{number}", {"status": new, "summary": "moved"})
        allowed = new == old or new in TRANSITIONS[old]
        assert status == (200 if allowed else 400), (old, new, answer)
        now = (await desk.do("GET", f"cases/{number}"))["case"]
        assert now["status"] == (new if allowed else old)
        # A refusal changes nothing else either.
        assert now["summary"] == ("moved" if allowed else "Look here")
        if not allowed:
            assert answer["error"].startswith(f"invalid status transition: {old} can become ")


async def test_the_steps_leave_their_times_and_their_events(desk: Desk) -> None:
    number = await desk.made(summary="s")
    case = desk.cases.find(desk.one, number)
    assert (case.acknowledged_at, case.resolved_at, case.closed_at) == (None, None, None)
    await desk.do("PATCH", f"cases/{number}", {"status": "in_progress"})
    assert case.acknowledged_at is not None
    acknowledged = case.acknowledged_at
    shown = (await desk.do("PATCH", f"cases/{number}", {"status": "resolved"}))["case"]
    assert case.resolved_at is not None
    assert shown["ttr_seconds"] == (case.resolved_at - case.created_at) // 1000
    assert shown["resolved_at"] == rules.stamp(case.resolved_at)
    await desk.do("PATCH", f"cases/{number}", {"status": "closed"})
    assert case.closed_at is not None
    shown = (await desk.do("PATCH", f"cases/{number}", {"status": "in_progress"}))["case"]
    assert (shown["resolved_at"], shown["closed_at"], shown["ttr_seconds"]) == (None, None, None)
    assert case.acknowledged_at == acknowledged
    actions = [action for action, _ in await desk.events(number)]
    assert actions == [
        "case_created", "case_status_changed", "case_acknowledged", "case_status_changed", "case_resolved",
        "case_status_changed", "case_closed", "case_status_changed", "case_reopened",
    ]  # fmt: skip


async def test_every_field_is_changed_with_what_it_was(desk: Desk) -> None:
    number = await desk.made(summary="before", severity="low")
    wanted = {
        "severity": ("case_severity_changed", "low", "critical"),
        "assignees": ("case_assigned", [], ["ann@x.example"]),
        "classification": ("case_classified", "pending", "true_positive"),
        "summary": ("case_summary_updated", "before", "after"),
        "conclusion": ("case_conclusion_updated", "", "done"),
        "tags": ("case_tags_updated", [], ["a"]),
    }
    shown = await desk.do("PATCH", f"cases/{number}", {name: new for name, (_, _, new) in wanted.items()})
    assert {name: shown["case"][name] for name in wanted} == {
        name: new for name, (_, _, new) in wanted.items()
    }
    told = await desk.events(number)
    assert sorted(told[1:], key=str) == sorted(
        ((action, {"old": old, "new": new}) for action, old, new in wanted.values()), key=str
    )
    await desk.do("PATCH", f"cases/{number}", {"summary": "after"})
    assert await desk.events(number) == told


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "nothing to update"),
        ({"detection_count": 3}, "detection_count cannot be updated"),
        ({"status": "open"}, "status must be one of new, in_progress, resolved, closed"),
        ({"severity": 3}, "severity must be one of info, low, medium, high, critical"),
        (
            {"classification": "benign"},
            "classification must be one of pending, true_positive, false_positive",
        ),
        ({"assignees": "ann"}, "assignees must be a list of texts"),
        ({"assignees": [""]}, "an assignee must be a text"),
        ({"tags": [1]}, "a tag must be a text"),
        ({"tags": ["x" * 129]}, "a tag is longer than 128 characters"),
        ({"tags": ["a\nb"]}, "a tag must not hold control characters"),
        ({"tags": [f"t{number}" for number in range(51)]}, "more than 50 tags"),
        ({"summary": "x" * 8193}, "summary is longer than 8192 characters"),
        ({"conclusion": "x" * 8193}, "conclusion is longer than 8192 characters"),
    ],
)
async def test_a_bad_update_says_why_and_changes_nothing(desk: Desk, fields: Any, sentence: str) -> None:
    before = await desk.do("GET", "cases/1")
    assert await desk.refused("PATCH", "cases/1", fields) == (400, sentence)
    assert await desk.do("GET", "cases/1") == before


async def test_what_fits_exactly_is_taken_and_tags_are_compared_in_any_case(desk: Desk) -> None:
    tags = [f"t{number}" for number in range(49)] + ["x" * 128]
    fields = {"summary": "s" * 8192, "conclusion": "c" * 8192, "tags": [*tags, "T1", "t1"]}
    shown = (await desk.do("PATCH", "cases/1", fields))["case"]
    assert shown["tags"] == tags
    assert len(shown["summary"]) == len(shown["conclusion"]) == 8192


# Many at once


async def test_a_bulk_update_names_what_it_could_not_change(desk: Desk) -> None:
    numbers = [await desk.in_status(status) for status in ("new", "in_progress", "resolved")]
    update = {"status": "resolved", "classification": "false_positive"}
    body = {"oid": desk.one.oid, "case_numbers": [*numbers, 9999], "update": update}
    answer = await desk.do("POST", "cases/bulk-update", body)
    assert answer["updated"] == 2
    assert [each["case_number"] for each in answer["failed"]] == [numbers[0], 9999]
    states = [desk.cases.find(desk.one, number) for number in numbers]
    assert [(case.status, case.classification) for case in states] == [
        ("new", "pending"), ("resolved", "false_positive"), ("resolved", "false_positive"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "update", "sentence"),
    [
        (list(range(1, 202)), {"status": "closed"}, "case_numbers: 1 to 200 are allowed, not 201"),
        ([], {"status": "closed"}, "case_numbers: 1 to 200 are allowed, not 0"),
        ([1], {"severity": "low"}, "only status and classification can be updated in bulk, not severity"),
        ([1], {}, "nothing to update"),
        ([1], None, "update must be an object"),
        ("1,2", {"status": "closed"}, "case_numbers must be a list of case numbers"),
        ([True], {"status": "closed"}, "bad case number"),
    ],
)
async def test_a_bad_bulk_update_says_why(desk: Desk, numbers: Any, update: Any, sentence: str) -> None:
    body = {"oid": desk.one.oid, "case_numbers": numbers, "update": update}
    assert await desk.refused("POST", "cases/bulk-update", body) == (400, sentence)


async def test_a_merge_moves_the_detections_and_closes_the_sources(desk: Desk) -> None:
    target = await desk.made(summary="t", detection=desk.detection(1))
    sources = [await desk.made(summary="s", detection=desk.detection(back)) for back in (2, 3)]
    body = {"oid": desk.one.oid, "target_case_number": target, "source_case_numbers": sources}
    shown = (await desk.do("POST", "cases/merge", body))["case"]
    assert (shown["case_number"], shown["detection_count"], shown["status"]) == (target, 3, "new")
    for number in sources:
        source = (await desk.do("GET", f"cases/{number}"))["case"]
        assert (source["status"], source["detection_count"]) == ("closed", 0)
        assert source["merged_into_case_id"] == shown["case_id"]
        assert source["closed_at"] is not None
        assert (await desk.events(number))[1][0] == "case_merged_into"
        status, sentence = await desk.refused("PATCH", f"cases/{number}", {"status": "in_progress"})
        assert (status, "merged" in sentence) == (400, True)
    assert [action for action, _ in await desk.events(target)][1:] == ["case_merged_from"] * 2
    assert await desk.refused("POST", "cases/merge", body) == (
        400, f"case {sources[0]} is closed and cannot be merged",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "sources", "answer"),
    [
        (1, list(range(2, 23)), (400, "source_case_numbers: 1 to 20 are allowed, not 21")),
        (1, [], (400, "source_case_numbers: 1 to 20 are allowed, not 0")),
        (1, [1], (400, "a case cannot be merged into itself")),
        (9999, [1], (404, "case 9999 not found")),
        (None, [1], (400, "bad case number")),
    ],
)
async def test_a_bad_merge_says_why(desk: Desk, target: Any, sources: Any, answer: tuple[int, str]) -> None:
    body = {"oid": desk.one.oid, "target_case_number": target, "source_case_numbers": sources}
    assert await desk.refused("POST", "cases/merge", body) == answer


# What is attached


async def test_a_note_is_private_until_somebody_shows_it(desk: Desk) -> None:
    sent = {"content": "Isolated.", "note_type": "remediation", "ai_session_id": "s1"}
    event_id = (await desk.do("POST", "cases/1/notes", sent))["event_id"]
    note = next(each for each in (await desk.do("GET", "cases/1"))["events"] if each["event_id"] == event_id)
    assert note["metadata"] == sent | {"is_public": False}
    assert (note["by"], note["content"], note["is_public"]) == (_ROOT, "Isolated.", False)
    await desk.do("PATCH", f"cases/1/notes/{event_id}", {"is_public": True})
    events = (await desk.do("GET", "cases/1"))["events"]
    assert next(each for each in events if each["event_id"] == event_id)["is_public"] is True
    assert events[-1]["action"] == "case_note_visibility_changed"
    assert events[-1]["metadata"] == {"event_id": event_id, "old": False, "new": True}
    other = events[0]["event_id"]
    assert await desk.refused("PATCH", f"cases/1/notes/{other}", {"is_public": True}) == (
        404,
        "note not found",
    )
    assert await desk.refused("PATCH", f"cases/1/notes/{event_id}", {}) == (
        400, "is_public must be true or false",
    )  # fmt: skip


_FIRST = (
    "general, analysis, remediation, recommendation, escalation, handoff, to_stakeholder, from_stakeholder"
)


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("notes", {}, "content must be a text"),
        ("notes", {"content": "x" * 8193}, "content is longer than 8192 characters"),
        ("notes", {"content": "x", "note_type": "joke"}, f"note_type must be one of {_FIRST}"),
        ("notes", {"content": "x", "is_public": "yes"}, "is_public must be true or false"),
        ("notes", [], "the body must be a JSON object"),
        ("time-logs", {"billable_seconds": 0}, "billable_seconds must be a positive whole number"),
        ("time-logs", {"billable_seconds": 1.5}, "billable_seconds must be a positive whole number"),
        ("time-logs", {"billable_seconds": 1, "note": "x" * 2049}, "note is longer than 2048 characters"),
        ("detections", {"detection": "x"}, "detection must be a JSON object"),
        ("detections", {"detection": {"cat": "x"}}, "detection has no detect_id"),
        ("entities", {"entity_type": "ip"}, "entity_value must be a text"),
        (
            "entities",
            {"entity_type": "ip", "entity_value": "x" * 1025},
            "entity_value is longer than 1024 characters",
        ),
        (
            "entities",
            {"entity_type": "mac", "entity_value": "x"},
            "entity_type must be one of ip, domain, hash, url, user, email, file, process, registry, other",
        ),
        (
            "entities",
            {"entity_type": "ip", "entity_value": "x", "verdict": "bad"},
            "verdict must be one of malicious, suspicious, benign, unknown, informational",
        ),
        (
            "entities",
            {"entity_type": "ip", "entity_value": "x", "note": "x" * 2049},
            "note is longer than 2048 characters",
        ),
        ("telemetry", {"event": {"routing": {"sid": "s"}}}, "event has no routing.this"),
        ("telemetry", {}, "event has no routing.this"),
        ("artifacts", {"path": "/x"}, "source must be a text"),
        ("artifacts", {"source": "x"}, "path must be a text"),
    ],
)
async def test_what_cannot_be_attached_says_why(desk: Desk, path: str, body: Any, sentence: str) -> None:
    before = await desk.do("GET", "cases/1")
    assert await desk.refused("POST", f"cases/1/{path}", body) == (400, sentence)
    assert await desk.do("GET", "cases/1") == before


async def test_time_is_logged_with_who_did_it(desk: Desk) -> None:
    sent = {"billable_seconds": 1800, "cost_profile": "ir", "assignee": "ann@x.example", "note": "triage"}
    answer = await desk.do("POST", "cases/1/time-logs", sent)
    assert {name: answer[name] for name in sent} == sent
    assert answer["added_by"] == _ROOT
    assert desk.cases.find(desk.one, 1).time_logs == [answer]


async def test_detections_are_linked_once_and_taken_out(desk: Desk) -> None:
    number = await desk.made(summary="empty", severity="low")
    detection = desk.detection(7, detect_mtd={"level": "critical"}, priority=9)
    for _ in range(2):
        await desk.do("POST", f"cases/{number}/detections", {"detection": detection})
    (record,) = (await desk.do("GET", f"cases/{number}/detections"))["detections"]
    assert record["detect_id"] == record["detection_id"] == "made-7"
    assert record["cat"] == record["detection_cat"] == detection["cat"]
    assert record["sid"] == record["sensor_id"] == detection["routing"]["sid"]
    assert (record["hostname"], record["priority"]) == (detection["routing"]["hostname"], 9)
    row = (await desk.do("GET", "cases", oids=desk.one.oid, sort="case_number", page_size="1"))["cases"][0]
    assert (row["case_number"], row["detection_cats"], row["sids"]) == (
        number, [detection["cat"]], [detection["routing"]["sid"]],
    )  # fmt: skip
    assert (row["severity"], row["detection_count"]) == ("critical", 1)
    assert [action for action, _ in await desk.events(number)][1:] == [
        "case_detection_added", "case_severity_upgraded",
    ]  # fmt: skip
    await desk.do("DELETE", f"cases/{number}/detections/made-7")
    assert (await desk.do("GET", f"cases/{number}/detections"))["detections"] == []
    assert await desk.refused("DELETE", f"cases/{number}/detections/made-7") == (404, "detection not found")


async def test_an_indicator_is_attached_once_in_lower_case(desk: Desk) -> None:
    body = {"entity_type": "domain", "entity_value": "Evil.Example", "verdict": "malicious", "note": "C2"}
    made = await desk.do("POST", "cases/1/entities", body)
    assert (made["entity_value"], made["verdict"], made["note"]) == ("evil.example", "malicious", "C2")
    again = body | {"entity_value": "EVIL.example"}
    assert await desk.refused("POST", "cases/1/entities", again) == (
        409, "the case already has the domain evil.example",
    )  # fmt: skip
    await desk.do("POST", "cases/1/entities", body | {"entity_type": "other"})
    await desk.do("PATCH", f"cases/1/entities/{made['entity_id']}", {"verdict": "benign"})
    rows = (await desk.do("GET", "cases/1/entities"))["entities"]
    kept = {row["entity_id"]: row for row in rows}[made["entity_id"]]
    assert (kept["verdict"], kept["note"]) == ("benign", "C2")
    await desk.do("DELETE", f"cases/1/entities/{made['entity_id']}")
    assert len((await desk.do("GET", "cases/1/entities"))["entities"]) == len(rows) - 1
    for method, sent in (("DELETE", None), ("PATCH", {"note": "x"})):
        assert await desk.refused(method, f"cases/1/entities/{made['entity_id']}", sent) == (
            404, "entity not found",
        )  # fmt: skip
    actions = [action for action, _ in await desk.events(1)][-4:]
    assert actions == [
        "case_entity_added", "case_entity_added", "case_entity_updated", "case_entity_removed",
    ]  # fmt: skip


async def test_an_indicator_is_searched_over_organizations(asker: Any) -> None:
    desk = Desk(asker, await asker.token(perms=_WORK))
    organizations = _held(asker.world)[:3]
    for one in organizations[:2]:
        body = {"entity_type": "ip", "entity_value": "203.0.113.99", "verdict": "malicious"}
        await desk.do("POST", "cases/1/entities", body, oid=one.oid)
    query = {"entity_type": "ip", "entity_value": "203.0.113.99"}
    oids = ",".join(one.oid for one in organizations)
    found = (await desk.do("GET", "entities/search", oids=oids, **query))["results"]
    assert {(row["oid"], row["case_number"], row["verdict"]) for row in found} == {
        (one.oid, 1, "malicious") for one in organizations[:2]
    }
    # The seed's own indicators are found too, though nobody has looked at their cases.
    seeded = next(
        entity
        for one in organizations
        for case in _world().cases.all_of(one)
        for entity in _world().cases.find(one, case.number).entities
    )
    query = {"entity_type": seeded["entity_type"], "entity_value": seeded["entity_value"].upper()}
    assert seeded["entity_id"] in [
        row["entity_id"] for row in (await desk.do("GET", "entities/search", oids=oids, **query))["results"]
    ]


async def test_telemetry_and_artifacts_are_attached_changed_and_taken_away(desk: Desk) -> None:
    event = {"routing": {"this": "ab" * 16, "sid": "s1", "event_type": "NEW_PROCESS"}, "event": {}}
    made = await desk.do("POST", "cases/1/telemetry", {"event": event, "verdict": "suspicious"})
    assert (made["atom"], made["sid"], made["event_type"]) == ("ab" * 16, "s1", "NEW_PROCESS")
    path = f"cases/1/telemetry/{made['telemetry_id']}"
    await desk.do("PATCH", path, {"note": "first"})
    (row,) = (await desk.do("GET", "cases/1/telemetry"))["telemetry"]
    assert (row["note"], row["verdict"]) == ("first", "suspicious")
    await desk.do("DELETE", path)
    assert (await desk.do("GET", "cases/1/telemetry"))["telemetry"] == []
    sent = {"path": "/dump", "source": "host", "artifact_type": "pcap", "verdict": "benign", "note": "n"}
    made = await desk.do("POST", "cases/1/artifacts", sent)
    (row,) = (await desk.do("GET", "cases/1/artifacts"))["artifacts"]
    assert {name: row[name] for name in sent} == sent
    await desk.do("DELETE", f"cases/1/artifacts/{made['artifact_id']}")
    assert (await desk.do("GET", "cases/1/artifacts"))["artifacts"] == []
    assert [action for action, _ in await desk.events(1)][-5:] == [
        "case_telemetry_added", "case_telemetry_updated", "case_telemetry_removed", "case_artifact_added",
        "case_artifact_removed",
    ]  # fmt: skip


# What the extension does


async def test_a_case_is_made_of_a_detection_as_text_as_an_object_or_of_none(desk: Desk) -> None:
    count = len(desk.cases.all_of(desk.one))
    numbers = [
        await desk.made(
            summary="text", detection=json.dumps(desk.detection(2, detect_mtd={"level": "high"}))
        ),
        await desk.made(severity="info", detection=desk.detection(3)),
        await desk.made(summary="empty"),
        await desk.made(detection={"detect_id": "made-4", "priority": 8}),
    ]
    assert numbers == [count + 1, count + 2, count + 3, count + 4]
    made = [(await desk.do("GET", f"cases/{number}"))["case"] for number in numbers]
    assert [case["severity"] for case in made] == ["high", "info", "medium", "critical"]
    assert [case["detection_count"] for case in made] == [1, 1, 0, 1]
    assert [case["summary"] for case in made] == ["text", "", "empty", ""]
    events = await desk.events(numbers[0])
    assert events == [("case_created", {"severity": "high", "summary": "text", "detect_id": "made-2"})]
    status, answer = await desk.extension("create_case", {"detection": desk.detection(2)})
    assert (status, answer["data"]) == (200, {"created": 0, "case_number": numbers[0]})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"detection": "not JSON"}, "detection must be a JSON object"),
        ({"detection": {"cat": "x"}}, "detection has no detect_id"),
        ({"severity": "urgent"}, "severity must be one of info, low, medium, high, critical"),
        ({"summary": "x" * 8193}, "summary is longer than 8192 characters"),
    ],
)
async def test_a_bad_case_is_not_made(desk: Desk, data: Any, sentence: str) -> None:
    count = len(desk.cases.all_of(desk.one))
    status, answer = await desk.extension("create_case", data)
    assert (status, answer["error"]) == (400, sentence)
    assert len(desk.cases.all_of(desk.one)) == count


async def test_an_ingested_detection_becomes_a_case_once(desk: Desk) -> None:
    detection = desk.detection(5) | {"routing": json.dumps(desk.detection(5)["routing"])}
    status, answer = await desk.extension("ingest_detection", detection)
    number = answer["data"]["case_number"]
    assert (status, answer["data"]["created"]) == (200, 1)
    assert (await desk.extension("ingest_detection", detection))[1]["data"] == {
        "created": 0, "case_number": number,
    }  # fmt: skip
    (record,) = (await desk.do("GET", f"cases/{number}/detections"))["detections"]
    assert record["hostname"] == desk.detection(5)["routing"]["hostname"]


async def test_with_auto_grouping_a_detection_joins_a_case_and_reopens_it(desk: Desk) -> None:
    config = {"auto_grouping_enabled": True, "auto_grouping_include_sensor": True}
    await desk.do("PUT", f"config/{desk.one.oid}", config)
    number = await desk.made(detection={"detect_id": "a", "routing": {"sid": "s"}, "priority": 1})
    other = await desk.extension("ingest_detection", {"detect_id": "b", "routing": {"sid": "t"}})
    assert other[1]["data"]["created"] == 1
    await desk.do("PATCH", f"cases/{number}", {"status": "closed"})
    same = {"detect_id": "c", "routing": {"sid": "s"}, "detect_mtd": {"level": "critical"}}
    assert (await desk.extension("ingest_detection", same))[1]["data"] == {
        "created": 0, "case_number": number,
    }  # fmt: skip
    case = (await desk.do("GET", f"cases/{number}"))["case"]
    assert (case["status"], case["severity"], case["detection_count"]) == ("in_progress", "critical", 2)
    assert case["closed_at"] is None
    reopened = dict(await desk.events(number))["case_reopened"]
    assert reopened["source"] == "auto_grouping"
    await desk.do("PATCH", f"cases/{number}", {"status": "closed"})
    await desk.do("PUT", f"config/{desk.one.oid}", {"auto_grouping_reopen_closed": False})
    made = await desk.extension("ingest_detection", same | {"detect_id": "d"})
    assert made[1]["data"]["created"] == 1


async def test_a_hundred_detections_a_minute_are_taken(desk: Desk) -> None:
    for number in range(100):
        desk.cases.count_ingested(desk.one)
        assert number < 100
    for action, data in (
        ("create_case", {"detection": desk.detection(9)}),
        ("ingest_detection", desk.detection(9)),
    ):
        status, answer = await desk.extension(action, data)
        assert (status, answer["error"]) == (429, "more than 100 detections a minute for this organization")
    status, _ = await desk.refused("POST", "cases/1/detections", {"detection": desk.detection(9)})
    assert status == 429
    assert await desk.made(summary="an empty one is no detection")


async def test_the_free_tier_may_send_in_five(desk: Desk) -> None:
    desk.asker.world.set_quota(desk.one, 2)
    for back in range(2, 7):
        await desk.made(detection=desk.detection(back))
    status, answer = await desk.extension("create_case", {"detection": desk.detection(7)})
    assert (status, answer["error"]) == (429, "more than 5 detections a minute for this organization")


async def test_the_extension_counts_cases(desk: Desk) -> None:
    status, answer = await desk.extension("get_case_count", {})
    counts = desk.cases.counts(desk.one)
    assert (status, answer["data"]) == (200, counts | {"total": sum(counts.values())})
    assert answer["data"]["total"] == len(desk.cases.all_of(desk.one)) > 0


async def test_live_detections_become_cases() -> None:
    world = _world()
    before = {one.oid: len(world.cases.all_of(one)) for one in _held(world)}
    moment = [NOW_MS]
    world.clock = lambda: moment[0]  # type: ignore[method-assign]
    world.detections.go_live(600, None)
    moment[0] += 30_000
    fresh = 0
    for one in _held(world):
        cases = world.cases.all_of(one)
        assert len(cases) - before[one.oid] == world.detections.count(one.index) - one.detections
        for case in cases[before[one.oid] :]:
            number = world.detections.find(one.index, case.detections[0]["detect_id"])
            assert number is not None
            assert case.created_at == world.detections.time(one.index, number) + 1000
            fresh += 1
    assert fresh > 20
    assert world.cases.acted == []


# Over many cases


async def test_the_dashboard_counts_and_says_what_is_late(asker: Any) -> None:
    desk = Desk(asker, await asker.token(perms=_WORK))
    organizations = _held(asker.world)[:2]
    every = [case for one in organizations for case in desk.cases.all_of(one)]
    oids = ",".join(one.oid for one in organizations)
    found = await desk.do("GET", "dashboard/counts", oids=oids)
    assert found["counts"] == {status: sum(case.status == status for case in every) for status in STATUSES}
    assert found["by_severity"] == {
        severity: sum(case.severity == severity for case in every) for severity in SEVERITIES
    }
    late = [case for case in every if case.status == "new" and NOW_MS - case.created_at > 480 * 60_000]
    assert found["sla_breaches"]["mtta"] >= len(late) > 0
    for one in organizations:
        relaxed = {word: {"mtta_minutes": 100_000, "mttr_minutes": 100_000} for word in SEVERITIES}
        await desk.do("PUT", f"config/{one.oid}", {"sla_config": relaxed})
    found = await desk.do("GET", "dashboard/counts", oids=oids)
    assert found["sla_breaches"] == {"mtta": 0, "mttr": 0}


async def test_the_report_measures_a_range_of_time(asker: Any) -> None:
    desk = Desk(asker, await asker.token(perms=_WORK))
    organizations = _held(asker.world)[:2]
    every = [case for one in organizations for case in desk.cases.all_of(one)]
    start = sorted(case.created_at for case in every)[len(every) // 3]
    query = {"oids": ",".join(one.oid for one in organizations), "to": "2030-01-01T00:00:00Z"}
    report = (
        await desk.do("GET", "reports/summary", group_by="severity", **{"from": rules.stamp(start)}, **query)
    )["report"]
    meant = [case for case in every if case.created_at >= start]
    assert 0 < len(meant) < len(every)
    total = report["total"]
    assert total["volume"]["total"] == len(meant)
    assert total["volume"]["false_positive"] == sum(case.classification == "false_positive" for case in meant)
    taken = [case.acknowledged_at - case.created_at for case in meant if case.acknowledged_at is not None]
    assert total["mtta"]["count"] == len(taken) > 0
    assert abs(total["mtta"]["average_seconds"] - sum(taken) / len(taken) / 1000) <= 1
    solved = [case.resolved_at - case.created_at for case in meant if case.resolved_at is not None]
    assert abs(total["mttr"]["average_seconds"] - sum(solved) / len(solved) / 1000) <= 1
    assert 0 <= total["mttr"]["sla_compliance"] <= 1
    assert [each["oid"] for each in report["organizations"]] == [one.oid for one in organizations]
    assert sum(each["volume"]["total"] for each in report["organizations"]) == len(meant)
    assert sum(each["volume"]["total"] for each in report["groups"].values()) == len(meant)
    status, sentence = await desk.refused("GET", "reports/summary", **{"from": "yesterday"}, **query)
    assert (status, sentence) == (400, "from must be an RFC 3339 time")


async def test_everybody_with_a_case_is_listed(desk: Desk) -> None:
    await desk.do("PATCH", "cases/1", {"assignees": ["zoe@x.example"]})
    found = (await desk.do("GET", "assignees", oids=desk.one.oid))["assignees"]
    assert found == sorted({each for case in desk.cases.all_of(desk.one) for each in case.assignees})
    assert "zoe@x.example" in found


# Configuration


async def test_the_configuration_is_read_whole_and_changed_in_part(desk: Desk) -> None:
    path = f"config/{desk.one.oid}"
    assert await desk.do("GET", path) == rules.DEFAULTS
    after = await desk.do("PUT", path, {"retention_days": 60, "sla_config": {"high": {"mtta_minutes": 30}}})
    assert after == await desk.do("GET", path)
    assert after["retention_days"] == 60
    assert after["sla_config"] == rules.DEFAULTS["sla_config"] | {
        "high": {"mtta_minutes": 30, "mttr_minutes": 720}
    }
    await desk.do("PUT", path, {"severity_mapping": {"critical_min": 10}})
    number = await desk.made(detection={"detect_id": "x", "priority": 9})
    assert desk.cases.find(desk.one, number).severity == "high"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"colour": 1}, "colour is no setting of cases"),
        ({"retention_days": "x"}, "retention_days must be a whole number from 1 to 3650"),
        ({"auto_grouping_window_minutes": 10_081}, "auto_grouping_window_minutes must be a whole number from 1 to 10080"),
        ({"auto_grouping_enabled": 1}, "auto_grouping_enabled must be true or false"),
        ({"auto_grouping_window_mode": "x"}, "auto_grouping_window_mode must be one of sliding, fixed"),
        ({"sla_config": {"urgent": {}}}, "sla_config has no urgent"),
        ({"sla_config": {"low": 5}}, "sla_config.low must be an object"),
        (
            {"severity_mapping": {"high_min": -1}},
            "severity_mapping.high_min must be a whole number that is not negative",
        ),
    ],
)  # fmt: skip
async def test_a_bad_setting_says_why_and_changes_nothing(desk: Desk, sent: Any, sentence: str) -> None:
    path = f"config/{desk.one.oid}"
    assert await desk.refused("PUT", path, {"retention_days": 5} | sent) == (400, sentence)
    assert await desk.do("GET", path) == rules.DEFAULTS


# Who may


async def test_reading_and_writing_take_their_own_permissions(asker: Any) -> None:
    one = _held(asker.world)[0]
    reader = Desk(asker, await asker.token(oid=one.oid, perms="investigation.get"))
    assert (await reader.do("GET", "cases", oids=one.oid))["cases"]
    missing = (401, "unauthorized: missing privilege named investigation.set")
    for method, path, body in (
        ("PATCH", "cases/1", {"summary": "x"}),
        ("POST", "cases/bulk-update", {"oid": one.oid, "case_numbers": [1], "update": {"status": "closed"}}),
        ("POST", "cases/merge", {"oid": one.oid, "target_case_number": 1, "source_case_numbers": [2]}),
        ("POST", "cases/1/notes", {"content": "x"}),
        ("PATCH", "cases/1/notes/x", {"is_public": True}),
        ("POST", "cases/1/time-logs", {"billable_seconds": 1}),
        ("POST", "cases/1/detections", {"detection": {"detect_id": "x"}}),
        ("DELETE", "cases/1/detections/x", None),
        ("POST", "cases/1/entities", {"entity_type": "ip", "entity_value": "x"}),
        ("PATCH", "cases/1/entities/x", {"note": "x"}),
        ("DELETE", "cases/1/entities/x", None),
        ("POST", "cases/1/telemetry", {}),
        ("PATCH", "cases/1/telemetry/x", {"note": "x"}),
        ("DELETE", "cases/1/telemetry/x", None),
        ("POST", "cases/1/artifacts", {}),
        ("DELETE", "cases/1/artifacts/x", None),
    ):
        assert await reader.refused(method, path, body) == missing, path
    blind = Desk(asker, await asker.token(oid=one.oid, perms="org.get"))
    missing = (401, "unauthorized: missing privilege named investigation.get")
    for path in (
        "cases", "cases/1", "cases/1/detections", "cases/1/entities", "cases/1/telemetry", "cases/1/artifacts",
        "dashboard/counts", "reports/summary", "assignees", "entities/search",
    ):  # fmt: skip
        assert await blind.refused("GET", path, oids=one.oid) == missing, path
    assert (await blind.do("GET", "orgs"))["oids"] == []
    for method, name in (("GET", "org.conf.get"), ("PUT", "org.conf.set")):
        assert await reader.refused(method, f"config/{one.oid}", {}) == (
            401, f"unauthorized: missing privilege named {name}",
        )  # fmt: skip


async def test_each_organization_of_a_question_has_to_allow_it(asker: Any) -> None:
    desk = Desk(asker, await asker.token(perms=_WORK))
    one, two = _held(asker.world)[:2]
    narrow = Desk(asker, await asker.token(oid=one.oid))
    assert await narrow.refused("GET", "cases", oids=f"{one.oid},{two.oid}") == (
        401, "unauthorized: missing privilege named investigation.get",
    )  # fmt: skip
    assert (await desk.refused("GET", "cases", oids=f"{one.oid},{asker.world.unauthorized.oid}"))[0] == 401
    unknown = "00000000-0000-4000-8000-000000000000"
    assert await desk.refused("GET", "cases", oids=f"{one.oid},{unknown}") == (404, "not found")
    without = next(each for each in asker.world.organizations if not asker.world.cases.subscribed(each))
    sentence = f"organization {without.oid} is not subscribed to ext-cases"
    assert await desk.refused("GET", "cases", oids=f"{one.oid},{without.oid}") == (400, sentence)
    assert await desk.refused("GET", "cases/1", oid=without.oid) == (400, sentence)
    assert await desk.refused("GET", f"config/{without.oid}") == (400, sentence)
    assert set((await desk.do("GET", "orgs"))["oids"]) == {each.oid for each in _held(asker.world)}


async def test_analysts_work_cases_and_managers_only_read_them(asker: Any) -> None:
    access = asker.world.access
    one = _held(asker.world)[0]
    analyst = Desk(asker, await asker.token(email=access.analysts[0], oid=one.oid))
    await analyst.do("POST", "cases/1/notes", {"content": "mine"})
    event = asker.world.cases.find(one, 1).events[-1]
    assert (event["action"], event["by"]) == ("case_note_added", access.analysts[0])
    manager = Desk(asker, await asker.token(email=access.managers[0], oid=one.oid))
    await manager.do("GET", "cases/1")
    assert (await manager.refused("POST", "cases/1/notes", {"content": "x"}))[0] == 401
    engineer = Desk(asker, await asker.token(email=access.engineers[0], oid=one.oid))
    assert (await engineer.refused("GET", "cases/1"))[0] == 401


async def test_every_change_is_in_the_audit_log_with_its_author(desk: Desk) -> None:
    await desk.do("PATCH", "cases/1", {"summary": "new words", "tags": ["seen"]})
    await desk.do("PUT", f"config/{desk.one.oid}", {"retention_days": 30})
    await desk.do("GET", "cases/1")
    await desk.refused("PATCH", "cases/1", {"summary": 5})
    now = NOW_MS // 1000
    log = await desk.asker.get(
        f"/v1/insight/{desk.one.oid}/audit",
        desk.token,
        start=now - 5,
        end=now + 600,
        event_type="user_action",
    )
    found = {entry["mtd"]["action"]: entry for entry in log["events"]}
    assert set(found) == {"case_summary_updated", "case_tags_updated", "case_config_updated"}
    assert {entry["ident"] for entry in log["events"]} == {_ROOT}
    assert found["case_summary_updated"]["entity"] == {"type": "case", "name": "1"}
    assert found["case_summary_updated"]["mtd"]["new"] == "new words"
    assert found["case_config_updated"]["mtd"]["new"] == {"retention_days": 30}


async def test_without_the_extension_the_cases_are_gone_for_good(desk: Desk) -> None:
    old = desk.cases.find(desk.one, 1).case_id
    await desk.made(summary="mine")
    await desk.do("PUT", f"config/{desk.one.oid}", {"retention_days": 30})
    path = f"/v1/orgs/{desk.one.oid}/subscription/extension/ext-cases"
    status, body, _ = await desk.asker.ask("DELETE", path, desk.token)
    assert status == 200, body
    assert (await desk.refused("GET", "cases", oids=desk.one.oid))[0] == 400
    assert (await desk.extension("create_case", {"summary": "x"}))[0] == 400
    assert (await desk.do("GET", "orgs"))["oids"] == []
    status, body, _ = await desk.asker.ask("POST", path, desk.token)
    assert status == 200, body
    assert (await desk.do("GET", "cases", oids=desk.one.oid))["cases"] == []
    assert await desk.do("GET", f"config/{desk.one.oid}") == rules.DEFAULTS
    assert await desk.made(summary="the first again") == 1
    assert desk.cases.find(desk.one, 1).case_id != old
    assert desk.cases.by_id(old) is None


async def test_a_user_has_twenty_requests_a_second_when_that_is_wanted(desk: Desk) -> None:
    desk.cases.rate = (0.001, 50)
    for _ in range(50):
        await desk.do("GET", "orgs")
    status, answer, headers = await desk.asker.ask("GET", "/api/v1/orgs", desk.token)
    assert (status, answer["error"]) == (429, "rate limit exceeded")
    assert "Retry-After" not in headers
    desk.cases.rate = None
    await desk.do("GET", "orgs")


# As it happens


async def _heard(socket: Any) -> Any:
    return await asyncio.wait_for(socket.receive_json(), 10)


async def test_events_of_a_case_are_pushed_to_who_subscribed(desk: Desk) -> None:
    case = desk.cases.find(desk.one, 1)
    url = f"{desk.asker.sandbox.url}/api/v1/ws"
    async with desk.asker.session.ws_connect(url) as socket:
        await socket.send_json({"type": "auth", "token": desk.token})
        assert (await _heard(socket))["type"] == "authenticated"
        await socket.send_json({"type": "subscribe", "case_id": case.case_id})
        assert await _heard(socket) == {"type": "subscribed", "case_id": case.case_id}
        await desk.do("PATCH", "cases/2", {"summary": "another case"})
        await desk.do("PATCH", "cases/1", {"summary": "this case"})
        pushed = await _heard(socket)
        assert (pushed["type"], pushed["case_id"], pushed["action"], pushed["by"]) == (
            "case_event", case.case_id, "case_summary_updated", _ROOT,
        )  # fmt: skip
        assert pushed["event"] == case.events[-1]
        await socket.send_json({"type": "unsubscribe", "case_id": case.case_id})
        assert (await _heard(socket))["type"] == "unsubscribed"
        await desk.do("PATCH", "cases/1", {"summary": "nobody hears"})
        await socket.send_json({"type": "subscribe", "case_id": "0" * 32})
        assert (await _heard(socket))["error"] == "case not found"
        await socket.send_str("no JSON")
        assert (await _heard(socket))["error"] == "bad message"


async def test_a_stream_without_a_good_token_ends(asker: Any) -> None:
    for message in ({"type": "auth", "token": "x"}, {"type": "subscribe", "case_id": "x"}):
        async with asker.session.ws_connect(f"{asker.sandbox.url}/api/v1/ws") as socket:
            await socket.send_json(message)
            assert (await _heard(socket))["error"] == "unauthorized: invalid or expired token"
            assert (await asyncio.wait_for(socket.receive(), 10)).data == 1008
    one = _held(asker.world)[0]
    blind = await asker.token(oid=one.oid, perms="org.get")
    async with asker.session.ws_connect(f"{asker.sandbox.url}/api/v1/ws") as socket:
        await socket.send_json({"type": "auth", "token": blind})
        await _heard(socket)
        await socket.send_json({"type": "subscribe", "case_id": asker.world.cases.find(one, 1).case_id})
        assert (await _heard(socket))["error"] == "case not found"
    status, answer, _ = await asker.ask("GET", "/api/v1/ws")
    assert (status, answer["error"]) == (400, "this is a WebSocket")


async def test_who_leaves_is_told_nothing_any_more(desk: Desk) -> None:
    case = desk.cases.find(desk.one, 1)
    async with desk.asker.session.ws_connect(f"{desk.asker.sandbox.url}/api/v1/ws") as socket:
        await socket.send_json({"type": "auth", "token": desk.token})
        await _heard(socket)
        await socket.send_json({"type": "subscribe", "case_id": case.case_id})
        await _heard(socket)
        assert desk.cases.listened(case.case_id)

    async def gone() -> None:
        while desk.cases.listened(case.case_id):
            await desk.do("GET", "orgs")

    await asyncio.wait_for(gone(), 10)
