"""What is made when a customer leaves, on a sandbox in this process."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from console.limacharlie.client import Deadlines
from console.operations import offboardexport, offboarding
from console.sandbox.faults import Rule
from store import ingest, models
from store.database import Store
from store.queries.organizations import organization
from store.runs import PlannedStep
from tests.helpers.bulk import Customers, client, customers

pytestmark = pytest.mark.usefixtures("impatient")

KEY = b"k" * 32
NOW = 1_795_176_000_000
SUBJECTS = (
    "configuration", "access", "keys", "sensors", "detections", "cases", "audit", "errors", "usage",
    "organization",
)  # fmt: skip


async def exported(found: Customers, directory: Path) -> Any:
    """A run of an export of the first organization, made."""
    planned = found.planned(PlannedStep("offboard.export", str(directory)), orgs=1)
    return await found.apply(found.keep(planned), key=lambda: KEY)


def summaries(directory: Path) -> dict[int, str]:
    """What an export says of each case, by its number."""
    rows = (directory / "cases" / "case_record.jsonl").read_text("utf-8").splitlines()
    return {row["case_number"]: row["summary"] for row in map(json.loads, rows)}


async def test_an_export_has_cases_as_they_are_and_none_without_them(
    one_store: Store, tmp_path: Path
) -> None:
    async with customers(one_store, orgs=2) as found:
        one, cases = found.organizations[0], found.served.world.cases
        found.served.world.configuration.set_extension(one, "ext-cases", True)
        number = cases.create(one, "somebody@provider.example", summary="as it was").number
        first = await exported(found, tmp_path / "first")
        assert first.whole, first.failed
        assert summaries(tmp_path / "first")[number] == "as it was"

        # Nothing in the audit log, and no detection, tells of it.
        cases.update(one, number, "somebody@provider.example", {"summary": "as it is"})
        second = await exported(found, tmp_path / "second")
        assert second.whole, second.failed
        assert summaries(tmp_path / "second")[number] == "as it is"

        found.served.faults.add(Rule("status", status=500, path="/api/v1/cases", count=None))
        async with client(found.served, deadlines=Deadlines(retries=0)) as found.cloud:
            third = await exported(found, tmp_path / "third")
        assert not third.whole
        assert "nothing is taken before it is kept: cases/case_record.jsonl: " in third.failed[0][2]
        assert not (tmp_path / "third" / offboardexport.MANIFEST).exists()


@pytest.mark.parametrize("keep", [frozenset(), frozenset({"groups"})], ids=["", "kept"])
async def test_of_groups_that_are_kept_none_is_deleted_and_it_is_taken_out_all_the_same(
    one_store: Store, tmp_path: Path, keep: frozenset[str]
) -> None:
    async with customers(one_store, orgs=2) as found:
        oid = found.organizations[0].oid
        alone = await found.cloud.create_group("Only this customer")
        await found.cloud.add_group_organization(alone, oid)
        holding = {
            group["group_id"] for group in await found.cloud.groups() if oid in offboarding.held_by(group)
        }
        wish = offboarding.Wish(tmp_path, keep)
        drafted = await offboarding.draft(one_store, found.cloud, oid, wish)

        (item,) = drafted.planned.items
        left = [step.target for step in item.steps if step.verb == "group.remove-organization"]
        assert sorted(left) == sorted(holding)
        deleted = [step.target for step in item.steps if step.verb == "group.delete"]
        assert (alone in deleted, bool(deleted)) == (not keep, not keep)
        assert drafted.checklist.lines[0].part == "work"
        (line,) = [line for line in drafted.checklist.lines if line.part == "groups"]
        if keep:
            assert line.note == "it is taken out of them; none is deleted, as asked for"
        (look,) = [step for step in item.steps if step.verb == "offboard.cleared"]
        assert "groups" in look.arguments["parts"]


def _read(store: Store, at: int, *, but: str = "", then: int = 0, **more: Any) -> None:
    """Let every subject of an organization have been read at a time, one of them at another."""
    table = models.SyncState.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        c.execute(table.delete())
        for subject in SUBJECTS:
            ingest.put_sync_state(c, OID, subject, checked_at=then if subject == but else at)
        if more:
            c.execute(update(table).where(table.c.subject == but).values(**more))


OID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def known(one_store: Store) -> Store:
    """A store with an organization that keeps cases."""
    from store.configuration import Record

    with one_store.writing() as c:
        ingest.put_organizations(c, [{"oid": OID, "name": "Acme"}], complete=True, now=NOW)
        ingest.put_configuration(c, OID, "extension", {"ext-cases": Record({})}, NOW)
    return one_store


def incomplete(store: Store, directory: Path) -> dict[str, str]:
    """{subject that a file rests on: why it is not complete} of an export that began at NOW."""
    manifest = offboardexport.write(store.reader, OID, directory, now=NOW + 5, run=1, since=NOW)
    with store.reader.reading() as c:
        subjects = {path: subject for path, subject, _, _ in offboardexport._files(c, OID)}
    return {
        subjects[path]: file["reason"] for path, file in manifest["files"].items() if not file["complete"]
    }


def test_what_was_not_read_since_the_export_began_is_not_complete(known: Store, tmp_path: Path) -> None:
    with known.reader.reading() as c:
        assert {subject for _, subject, _, _ in offboardexport._files(c, OID)} - {""} == set(SUBJECTS)
    _read(known, NOW)
    assert incomplete(known, tmp_path) == {}
    for subject in SUBJECTS:
        _read(known, NOW, but=subject, then=NOW - 1)
        assert incomplete(known, tmp_path) == {
            subject: "it was read at 2026-11-20T11:59:59.999Z and not since"
        }
        _read(known, NOW, but=subject, then=NOW, failure="denied", reason="This key may not.")
        assert incomplete(known, tmp_path) == {subject: "This key may not."}


def test_sections_that_were_turned_away_for_the_moment_are_not_complete(known: Store, tmp_path: Path) -> None:
    from store.configuration import NOT_PERMITTED

    closed = f"{NOT_PERMITTED}dr, output."
    _read(known, NOW, but="configuration", then=NOW, reason=closed)
    assert incomplete(known, tmp_path) == {}
    manifest = json.loads((tmp_path / offboardexport.MANIFEST).read_text("utf-8"))
    assert manifest["files"]["configuration/records.jsonl"]["reason"] == closed
    _read(known, NOW, but="configuration", then=NOW, reason=closed, stale="dr keys")
    assert incomplete(known, tmp_path) == {"configuration": "these sections could not be read: dr"}


def test_a_host_that_did_not_answer_is_named_for_what_it_did_not_tell(known: Store, tmp_path: Path) -> None:
    _read(known, NOW, but="cases", then=NOW - 1)
    with known.writing() as c:
        ingest.put_sync_state(c, "", "cases", attempted_at=NOW, failure="server", reason="It is away.")
        ingest.put_sync_state(c, "", "groups", checked_at=NOW - 2)
    assert incomplete(known, tmp_path) == {"cases": "It is away."}
    manifest = json.loads((tmp_path / offboardexport.MANIFEST).read_text("utf-8"))
    assert manifest["files"][offboardexport.GROUPS]["people_read_at"] == "2026-11-20T11:59:59.998Z"
    with known.writing() as c:
        # Where nobody keeps cases, none are missing.
        record = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
        c.execute(record.delete())
        assert not c.execute(select(record.c.id)).all()
    assert incomplete(known, tmp_path) == {}


def test_the_work_that_is_open_comes_first_and_what_was_never_read_is_not_none(known: Store) -> None:
    def work(**more: Any) -> tuple[str, str]:
        with known.reader.reading() as c:
            found = organization(c, OID, now=NOW)
        assert found is not None
        line = offboarding._work(replace(found, row=replace(found.row, **more)))
        return line.there, line.note

    assert work() == ("alerts unknown, cases unknown", "nothing closes it")
    _read(known, NOW)
    assert work() == ("none", "")
    assert work(open_alerts=20, late=3, cases=1) == (
        "20 open alerts, 3 past SLA, 1 open case", "nothing closes it",
    )  # fmt: skip
