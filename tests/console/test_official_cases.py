"""Cases both ways: what limegrove does is what the official client reads, and the other way round."""

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations import caselinks, triage
from console.operations.cases import CaseDesk, Outcome
from console.operations.sync import Sync
from store.cases import CONFLICT, DONE, REFUSED
from store.database import Store
from store.queries import cases as queries
from store.queries.alerts import by_detect_id
from store.secret import Secret
from store.triage import Selection
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

OFFICIAL = ROOT / ".venv-official" / "bin" / "limacharlie"

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not OFFICIAL.exists(), reason="the official client is not installed: run `make test`"),
]

WORLD = ("--seed", "11", "--orgs", "6", "--detections", "900", "--now", "2026-11-20T12:00:00Z")


class Both:
    """A sandbox, limegrove's store of it, and the official client beside."""

    def __init__(self, stage: dict[str, Any], store: Store, home: Path) -> None:
        self.stage = stage
        self.store = store
        self.home = home
        self._directory = tempfile.mkdtemp(prefix="official-")
        with store.reader.reading() as connection:
            opened = queries.unfinished(connection)
        self.oid = max(opened, key=lambda oid: len(opened[oid]))

    # The official client

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One command of the official client, on the organization."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": self._directory, "LC_CONFIG_DIR": self._directory,
            "LC_API_URL": self.stage["url"], "LC_JWT_URL": self.stage["url"],
            "LC_CASES_API_ROOT": self.stage["url"], "LC_NO_JWT_CACHE": "1", "LC_NO_MIGRATION_WARNING": "1",
            "LC_UID": self.stage["uid"], "LC_API_KEY": self.stage["api_key"], "LC_OID": self.oid,
        }  # fmt: skip
        return subprocess.run(
            [str(OFFICIAL), "case", *arguments, "--output", "json"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def official(self, *arguments: str) -> Any:
        """What it answers; it has to succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def seen(self, number: int) -> dict[str, Any]:
        """A case as the official client reads it."""
        found: dict[str, Any] = self.official("get", "--case-number", str(number))
        return found

    def notes(self, number: int) -> list[dict[str, Any]]:
        """Its notes."""
        return [event for event in self.seen(number)["events"] if event.get("action") == "case_note_added"]

    # limegrove

    def desk(self, do: Any) -> Any:
        """Let an operator's desk do something with the cloud."""

        async def go() -> Any:
            async with self._cloud() as cloud:
                return await do(CaseDesk(self.store, cloud, operator="mk"))

        return asyncio.run(go())

    def _cloud(self) -> Cloud:
        return Cloud(
            UserKey(self.stage["uid"], Secret(self.stage["api_key"])), Endpoint.single(self.stage["url"])
        )

    def sync(self) -> None:
        """Read everything again, as `sync` does."""

        async def go() -> None:
            async with self._cloud() as cloud:
                await Sync(
                    store=self.store, cloud=cloud, redaction_key=b"k" * 32, since=10 * 365 * 86_400
                ).run()
                await caselinks.turn(self.store, cloud, most=1000)

        asyncio.run(go())

    def row(self, number: int) -> Any:
        """A case as limegrove shows it."""
        with self.store.reader.reading() as connection:
            return queries.case(connection, self.oid, number)

    def detail(self, number: int) -> Any:
        """Whole."""
        with self.store.reader.reading() as connection:
            return queries.detail(connection, self.oid, number)

    def in_status(self, status: str, nth: int = 0) -> int:
        """The number of a case in this status, as the official client lists them."""
        cases = self.official("list", "--limit", "200", "--status", status)["cases"]
        return int(sorted(case["case_number"] for case in cases if not case["merged_into_case_id"])[nth])


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with sandbox_process(tmp_path / "sandbox", *WORLD) as (stage, _):
        store = Store(f"sqlite:///{tmp_path / 'store.db'}")

        async def read() -> None:
            async with Cloud(
                UserKey(stage["uid"], Secret(stage["api_key"])), Endpoint.single(stage["url"])
            ) as cloud:
                await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, since=10 * 365 * 86_400).run()

        asyncio.run(read())
        yield Both(stage, store, tmp_path)
        store.close()


def test_what_is_done_here_is_what_the_official_client_reads(both: Both) -> None:
    number = both.in_status("in_progress")
    case = (both.oid, number)

    async def work(desk: CaseDesk) -> None:
        await desk.note(case, "Read by both.", note_type="escalation", public=True)
        await desk.entity(case, "domain", "both.example", verdict="malicious", note="c2")
        await desk.tag([case], add=["both"])
        await desk.assign([case], ["ann@mssp.example", "bob@mssp.example"])
        await desk.log_time(case, 1800, note="hours")
        await desk.telemetry(case, "c" * 32, "7c1f9a2e-0b3c-4d5e-8f60-000000000001", "NEW_PROCESS")
        await desk.update(
            [case],
            {"status": "resolved", "classification": "true_positive", "conclusion": "Contained.",
             "severity": "critical", "summary": "Seen by both"},
        )  # fmt: skip

    both.desk(work)
    said = both.seen(number)["case"]
    assert (said["status"], said["classification"], said["severity"]) == (
        "resolved", "true_positive", "critical",
    )  # fmt: skip
    assert (said["summary"], said["conclusion"]) == ("Seen by both", "Contained.")
    assert said["assignees"] == ["ann@mssp.example", "bob@mssp.example"]
    assert "both" in said["tags"]
    (note,) = [each for each in both.notes(number) if each["content"] == "Read by both."]
    assert (note["note_type"], note["is_public"]) == ("escalation", True)
    entities = both.official("entity", "list", "--case", str(number))["entities"]
    assert ("both.example", "malicious", "c2") in {
        (each["entity_value"], each["verdict"], each["note"]) for each in entities
    }
    telemetry = both.official("telemetry", "list", "--case", str(number))["telemetry"]
    assert "c" * 32 in {each["atom"] for each in telemetry}
    # The mirror says the same.
    row = both.row(number)
    assert row.fields() == {name: said[name] for name in row.fields()}


def test_what_the_official_client_does_is_what_is_shown_here(both: Both) -> None:
    number = both.in_status("in_progress")
    change = ("update", "--case-number", str(number))
    both.official(
        *change, "--severity", "low", "--summary", "By the official one", "--assignees", "kim@x.test"
    )
    note = ("--case-number", str(number), "--content", "Official note", "--type", "analysis", "--is-public")
    both.official("add-note", *note)
    both.official("entity", "add", "--case", str(number), "--type", "ip", "--value", "203.0.113.9")
    both.official("tag", "add", "--case-number", str(number), "--tag", "official")
    both.official(*change, "--status", "closed", "--classification", "false_positive")
    both.sync()
    row = both.row(number)
    said = both.seen(number)["case"]
    assert row.fields() == {name: said[name] for name in row.fields()}
    assert (row.status, row.classification, str(row.summary)) == (3, 2, "By the official one")

    async def read(desk: CaseDesk) -> Any:
        return await desk.read((both.oid, number))

    detail = both.desk(read)
    assert [(str(each.details["content"]), each.details["is_public"]) for each in detail.notes][-1] == (
        "Official note", True,
    )  # fmt: skip
    assert "203.0.113.9" in {each["entity_value"] for each in detail.entities}
    # Its alerts were moved with it.
    states = {(link.status, link.classification) for link in detail.links if link.status is not None}
    assert states == {(3, 2)}


def test_a_decision_on_alerts_is_what_the_official_client_reads_of_their_case(both: Both) -> None:
    both.sync()
    number = both.in_status("in_progress")
    ids = [
        each["detect_id"] for each in both.official("detection", "list", "--case", str(number))["detections"]
    ]
    with both.store.reader.reading() as connection:
        alerts = [
            found.row.id
            for detect_id in ids
            for found in by_detect_id(connection, detect_id)
            if found.row.oid == both.oid
        ]
    assert len(alerts) == len(ids)
    triage.close(both.store, "mk", Selection(tuple(alerts)), 2, held=True)
    both.sync()
    said = both.seen(number)["case"]
    assert (said["status"], said["classification"]) == ("closed", "false_positive")


def test_both_refuse_the_same_steps(both: Both) -> None:
    number = both.in_status("new")
    done = both.run("update", "--case-number", str(number), "--status", "resolved")
    assert done.returncode != 0

    async def ours(desk: CaseDesk) -> Outcome:
        return await desk.update([(both.oid, number)], {"status": "resolved"})

    outcome: Outcome = both.desk(ours)
    assert "new can become in_progress or closed" in outcome.refused[0].reason
    assert both.seen(number)["case"]["status"] == "new"

    # Merged by the official client, which the store does not know yet: the cloud refuses, and it is shown.
    target, source = both.in_status("in_progress"), both.in_status("in_progress", 1)
    both.official("merge", "--target", str(target), "--sources", str(source))
    refused = both.run("update", "--case-number", str(source), "--status", "in_progress")
    assert refused.returncode != 0
    assert "invalid status transition" in refused.stdout + refused.stderr

    async def stale(desk: CaseDesk) -> Outcome:
        return await desk.update(
            [(both.oid, source)], {"severity": "low", "status": "in_progress"},
            seen={(both.oid, source): {**both.row(source).fields(), "status": "closed"}},
        )  # fmt: skip

    outcome = both.desk(stale)
    assert [edit.state for edit in outcome.edits] == [REFUSED]
    assert "invalid status transition" in outcome.edits[0].reason
    assert both.seen(source)["case"]["status"] == "closed"


def test_an_offline_edit_meets_what_the_official_client_did_meanwhile(both: Both) -> None:
    number = both.in_status("in_progress")
    env = as_user(both.home, both.stage, LIMEGROVE_STORE=f"sqlite:///{both.home / 'store.db'}")
    name = f"{both.oid}/{number}"
    waiting = limegrove("case", "assign", name, "--to", "mk", "--offline", env=env)
    assert (waiting.returncode, json.loads(waiting.stdout)[0]["state"]) == (0, "pending")
    both.official("update", "--case-number", str(number), "--assignees", "kim@x.test")
    sent = limegrove("case", "edits", "--send", env=env)
    assert sent.returncode == 3
    (edit,) = json.loads(sent.stdout)
    assert (edit["state"], edit["wanted"]["assignees"]) == ("conflict", ["mk"])
    assert edit["now"]["case"]["assignees"] == ["kim@x.test"]
    assert both.seen(number)["case"]["assignees"] == ["kim@x.test"]
    decided = limegrove("case", "decide", str(edit["id"]), "mine", env=env)
    assert decided.returncode == 0, decided.stderr
    assert both.seen(number)["case"]["assignees"] == ["mk"]


def test_a_case_made_here_is_there_and_one_made_there_is_here(both: Both) -> None:
    async def make(desk: CaseDesk) -> Any:
        return await desk.create_empty(both.oid, summary="Made here", severity="high")

    made = both.desk(make)
    said = both.seen(made.number)["case"]
    assert (said["summary"], said["severity"], said["status"]) == ("Made here", "high", "new")
    number = both.official("create", "--summary", "Made there", "--severity", "low")["data"]["case_number"]
    both.sync()
    assert str(both.row(number).summary) == "Made there"

    async def merge(desk: CaseDesk) -> Outcome:
        return await desk.merge(both.oid, made.number, [number])

    outcome: Outcome = both.desk(merge)
    assert [edit.state for edit in outcome.edits] == [DONE]
    merged = both.seen(number)["case"]
    assert (merged["status"], merged["merged_into_case_id"]) == ("closed", said["case_id"])
    assert not [edit for edit in both.detail(number).edits if edit.state in (CONFLICT, REFUSED)]
