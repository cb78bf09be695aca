"""What is done when a customer leaves, besides what is done in bulk too."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, Table, update

from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.errors import Auth, Denied, Gone
from console.operations import offboardexport, offboarding
from console.operations.actor import actor
from console.operations.runsteps import Seen, StepFailed, Verb, Work
from console.operations.sync import DAY, Sync
from store import ingest, journal, models
from store.queries.scopes import NODE
from store.runs import PlannedStep, RunStep
from store.text import safe_text
from store.tree import mark_node

_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

BACK = 90
"""Days of detections and audit log that are read before the export, as far as the cloud has them."""


class Mark(Verb):
    """Mark its node in the tree."""

    name = "node.mark"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether it carries the mark itself."""
        mark = str(work.arguments["mark"])

        def look() -> list[str] | None:
            with work.store.reader.reading() as c:
                row = c.execute(NODE.select().where(NODE.c.id == work.target)).one_or_none()
                return None if row is None else list(row.marks)

        marks = await asyncio.to_thread(look)
        if marks is None:
            return Seen(True, {"node": None})
        return Seen(mark in marks, {"marks": marks})

    async def send(self, work: Work) -> None:
        """Mark it."""
        mark = str(work.arguments["mark"])

        def write(c: Connection) -> None:
            mark_node(c, work.target, add=[mark])
            journal.append(c, actor(), "tree.mark", work.oid, work.target, {"add": [mark]}, now=work.clock())

        await work.write(write)


class Export(Verb):
    """Read the organization once more, and write everything that is known of it into a directory."""

    name = "offboard.export"

    async def check(self, work: Work) -> Seen:
        """Whether every file of this run's export is there, byte for byte."""
        directory = Path(work.target)
        why = await asyncio.to_thread(offboardexport.problem, directory, work.oid, work.run.id)
        return Seen(not why, {"problem": why or None})

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Read, and write."""
        key = await asyncio.to_thread(work.key)
        began = work.clock()
        # Nothing tells of a case that changed: without a mark they would stay as they were read last.
        await work.write(lambda c: ingest.mark_stale(c, work.oid, {"cases": ("*",)}))
        turn = Sync(
            store=work.store, cloud=work.cloud, redaction_key=key, since=BACK * DAY, oids=[work.oid],
            names={work.oid: work.name}, full=True, clock=work.clock,
        )  # fmt: skip
        outcome = await turn.run()
        try:
            manifest = await asyncio.to_thread(
                offboardexport.write, work.store.reader, work.oid, Path(work.target),
                now=work.clock(), run=work.run.id, since=began,
            )  # fmt: skip
        except OSError as error:
            raise StepFailed(
                f"The export cannot be written to {safe_text(work.target, 120)}: {error.strerror or error}."
            ) from error
        missing = offboardexport.missing(manifest)
        missing += [each.reason for each in outcome.failed if not missing]
        if missing and not work.arguments.get("incomplete"):
            (Path(work.target) / offboardexport.MANIFEST).unlink(missing_ok=True)
            raise StepFailed(
                f"Not everything could be read, and nothing is taken before it is kept: {missing[0]}"
                + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
                + " `--incomplete` exports without."
            )
        files = manifest["files"]
        return {"files": len(files), "records": sum(each["records"] for each in files.values())}


class Report(Verb):
    """Write the report of this month and the last one beside the export."""

    name = "offboard.report"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether this step has written its files, and they are there."""
        files = [str(each) for each in work.made.get("files", ())]
        there = bool(files) and all((Path(work.target) / each).is_file() for each in files)
        return Seen(there, {"files": files})

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Write them."""
        from console.operations.reports import ReportError, customer
        from store.reports.periods import month, month_before

        now = work.clock()
        before = month_before(now)
        today = month(_month_of(now))
        brands = Path(str(work.options.get("brands") or Path(work.target) / "brands"))
        files: list[str] = []
        for period in (before, today):

            def write(period: Any = period) -> Any:
                return customer(
                    work.store.reader, work.oid, period, formats=("html", "pdf", "md"),
                    out=Path(work.target) / "report", brands=brands, now=now, parents=True,
                )  # fmt: skip

            try:
                written = await asyncio.to_thread(write)
            except (ReportError, OSError, ValueError) as error:
                raise StepFailed(f"The final report cannot be written: {error}") from error
            files += [str(path.relative_to(work.target)) for path in written.files]
        return {"files": files}


def _month_of(now: int) -> str:
    import time

    return time.strftime("%Y-%m", time.gmtime(now / 1000))


# Groups


async def _group(work: Work) -> dict[str, Any] | None:
    groups = await work.once("groups", work.cloud.groups)
    return next((group for group in groups if group["group_id"] == work.target), None)


class LeaveGroup(Verb):
    """Take the organization out of a group; the group, its people and its other organizations stay."""

    name = "group.remove-organization"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"access": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether the group does not hold it."""
        group = await _group(work)
        held = group is not None and work.oid in offboarding.held_by(group)
        return Seen(not held, {"held": held})

    async def send(self, work: Work) -> None:
        """Take it out."""
        await work.cloud.remove_group_organization(work.target, work.oid)

    def keep(self, c: Connection, work: Work) -> None:
        """The group as it is now."""
        held = models.GroupOrganization.__table__  # type: ignore[attr-defined]
        c.execute(held.delete().where(held.c.gid == work.target, held.c.oid == work.oid))

    def undo(self, step: RunStep) -> PlannedStep:
        """Put it back."""
        return PlannedStep("group.add-organization", step.target, step.arguments, step.needed)


class DeleteGroup(Verb):
    """Delete a group that holds no other organization."""

    name = "group.delete"

    async def check(self, work: Work) -> Seen:
        """Whether there is none; one that holds others by now is left alone."""
        group = await _group(work)
        if group is None:
            return Seen(True, {"there": False})
        others = offboarding.held_by(group) - {work.oid}
        conflict = ""
        if others:
            conflict = f"It holds {len(others):,} other organizations by now, and stays."
        members = sorted(offboarding.email_of(each) for each in group.get("members") or ())
        return Seen(False, {"there": True, "members": members, "others": len(others)}, conflict)

    async def send(self, work: Work) -> None:
        """Delete it."""
        await work.cloud.delete_group(work.target)

    def keep(self, c: Connection, work: Work) -> None:
        """It is gone."""
        ingest.drop_group(c, work.target, now=work.clock())


# What it holds


class RemoveIngestionKey(Verb):
    """Remove an ingestion key."""

    name = "ingestion-key.remove"

    async def check(self, work: Work) -> Seen:
        """Whether none is called so."""
        there = work.target in await work.once("ingestion keys", work.handle.ingestion_keys)
        return Seen(not there, {"there": there})

    async def send(self, work: Work) -> None:
        """Remove it."""
        await work.handle.delete_ingestion_key(work.target)


class DeleteSensor(Verb):
    """Delete a sensor: its agent is refused from then on."""

    name = "sensor.delete"
    loses_data = True
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"sensors": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether there is none of this id."""
        try:
            await work.handle.sensor(work.target)
        except Gone:
            return Seen(True, {"there": False})
        return Seen(False, {"there": True})

    async def send(self, work: Work) -> None:
        """Delete it."""
        await work.handle.delete_sensor(work.target)


class Cleared(Verb):
    """Look whether anything is left that was to go; changes nothing."""

    name = "offboard.cleared"

    async def check(self, work: Work) -> Seen:
        """What is left, other than that by which the credential works."""
        left = await offboarding.still_there(work.cloud, work.oid, work.arguments.get("parts", ()))
        return Seen(not left, {"left": left}, f"Still there: {'; '.join(left)}." if left else "")

    async def send(self, work: Work) -> None:
        """Never needed: what is left is somebody's to decide."""
        raise StepFailed("Something is left.")


class DeleteOrganization(Verb):
    """Delete the organization, with the confirmation that LimaCharlie asks for."""

    name = "organization.delete"
    loses_data = True

    async def check(self, work: Work) -> Seen:
        """Whether it is gone; only after it was sent is not being listed a proof of that."""
        listed = await _listed(work)
        if listed or work.sent:
            return Seen(not listed, {"listed": listed})
        return Seen(
            False, {"listed": False},
            "LimaCharlie does not list it for this credential: it was deleted, or the access to it is gone.",
        )  # fmt: skip

    async def send(self, work: Work) -> None:
        """Ask for the confirmation, and repeat it."""
        confirmation = await work.handle.deletion_confirmation()
        await work.handle.delete(confirmation)

    def keep(self, c: Connection, work: Work) -> None:
        """It is gone from now on."""
        gone = update(_ORGANIZATION).where(_ORGANIZATION.c.oid == work.oid, _ORGANIZATION.c.gone_at.is_(None))
        c.execute(gone.values(gone_at=work.clock()))


async def _listed(work: Work) -> bool:
    alone = isinstance(work.cloud.credentials, OrganizationKey)
    try:
        async for page in work.cloud.organizations(work.oid):
            if any(row.oid == work.oid for row in page):
                return True
    except (Gone, Denied, Auth):
        # An organization's own key knows nothing else, and ends with it.
        if not (alone and work.sent):
            raise
    return False


VERBS: tuple[Verb, ...] = (
    Mark(), Export(), Report(), LeaveGroup(), DeleteGroup(), RemoveIngestionKey(), DeleteSensor(), Cleared(),
    DeleteOrganization(),
)  # fmt: skip
