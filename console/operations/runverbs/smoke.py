"""A smoke test: does everything work from the sensor to the case, as steps that are asked and answered.

Each answers yes (done), no (failed, with the reason), or that it cannot be known (unknown). For the detection
a rule of its own is put into the organization, which ends by itself, a sensor is asked for its version, and
the rule is taken away again; nothing on the machine changes.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from console.limacharlie.client import OrganizationHandle
from console.limacharlie.errors import Conflict, Denied, Gone, LimaCharlieError
from console.limacharlie.hive import ABSENT, HiveMetadata
from console.operations import records
from console.operations.runsteps import CannotBeKnown, Seen, StepFailed, Verb, Work
from store.ingest import milliseconds
from store.sensors import platform_name
from store.smoke import WAIT

NATIVE = ("windows", "linux", "macos")
"""Platforms whose sensors answer tasks."""
HOUR = 3_600
LASTS = 900
"""Seconds after which the test's rule ends by itself, whoever died."""
ASKED_AGAIN = 20.0
"""Seconds after which a sensor is asked again: a new rule takes a while to hold."""
LOOK = 1.0
"""Seconds between two looks."""
CASES = "ext-cases"


class SensorOnline(Verb):
    """Whether a sensor is online that answers tasks."""

    name = "smoke.sensor"

    async def check(self, work: Work) -> Seen:
        """Find one."""
        online = await work.handle.online()
        if not online:
            raise StepFailed("No sensor is online.")
        async for page in work.handle.sensors():
            native = {row["sid"]: row for row in page if platform_name(int(row.get("plat") or 0)) in NATIVE}
            for sids in _parts(list(native), 100):
                for sid, there in (await work.handle.online_of(sids)).items():
                    if there:
                        found = {"sid": sid, "hostname": str(native[sid].get("hostname", ""))}
                        return Seen(fulfilled=True, fact={"online": online}, made=found)
        raise CannotBeKnown(f"{online} are online, and none of them is a machine's: nothing can be asked.")


def _parts(sids: list[str], size: int) -> list[list[str]]:
    return [sids[at : at + size] for at in range(0, len(sids), size)]


def _sensor(work: Work) -> str:
    sid = str(work.made_by("smoke.sensor").get("sid", ""))
    if not sid:
        raise CannotBeKnown("No sensor is known to be online that could be asked.")
    return sid


class EventSeen(Verb):
    """Whether events of the sensor arrive."""

    name = "smoke.event"

    async def check(self, work: Work) -> Seen:
        """Look into the last hour."""
        sid, now = _sensor(work), int(work.clock() / 1000)
        page = await work.handle.events(sid, now - HOUR, now + 60, limit=1)
        if not page.records:
            raise StepFailed("No event of the sensor arrived within the last hour.")
        kind = str((page.records[0].get("routing") or {}).get("event_type", ""))
        return Seen(fulfilled=True, fact={"event_type": kind})


class Detected(Verb):
    """Whether a rule detects."""

    name = "smoke.detection"

    async def check(self, work: Work) -> Seen:
        """Whether the test's detection is there; before it was asked for there is none."""
        if not work.sent:
            _sensor(work)
            return Seen(fulfilled=False, fact={"since": work.clock()})
        found = await _detection(work)
        if found is None:
            return Seen(fulfilled=False)
        return Seen(fulfilled=True, made={"detect_id": found, "cat": _cat(work)})

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Put the rule there, ask the sensor, wait for the detection, take the rule away."""
        sid, name = _sensor(work), _name(work)
        handle = work.handle
        await _put_rule(work, name)
        try:
            ends = time.monotonic() + float(work.arguments.get("wait", WAIT))
            asked = 0.0
            while True:
                if time.monotonic() >= asked:
                    await handle.task_sensor(sid, ["os_version"], investigation_id=name)
                    asked = time.monotonic() + ASKED_AGAIN
                if (found := await _detection(work)) is not None:
                    return {"detect_id": found, "cat": _cat(work)}
                if time.monotonic() >= ends:
                    raise StepFailed(
                        "The sensor was asked, and no detection came of the test's rule in time."
                    )
                await asyncio.sleep(LOOK)
        finally:
            await _take_rule(handle, name)


def _name(work: Work) -> str:
    """Of the rule, and of the investigation."""
    return f"limegrove-smoke-{work.run.id}-{work.step.item}"


def _cat(work: Work) -> str:
    return f"limegrove smoke test {work.run.id}.{work.step.item}"


async def _put_rule(work: Work, name: str) -> None:
    rule = {
        "detect": {
            "event": "OS_VERSION_REP", "op": "is", "path": "routing/investigation_id", "value": name,
        },
        "respond": [
            {
                "action": "report", "name": _cat(work), "priority": 1,
                "metadata": {"level": "low", "description": "A test: nothing happened. Close it."},
            }
        ],
    }  # fmt: skip
    metadata = HiveMetadata(
        enabled=True, expiry=work.clock() + LASTS * 1000, tags=("limegrove-smoke",),
        comment="A smoke test's; it ends by itself.", others={},
    )  # fmt: skip
    there = await records.read(work.handle, "hive/dr-general", name)
    try:
        await work.handle.set_hive_record(
            "dr-general", name, rule, metadata, ABSENT if there is None else there.etag
        )
    except Conflict:
        raise StepFailed("Somebody else changed the test's rule; nothing was asked of the sensor.") from None


async def _take_rule(handle: OrganizationHandle, name: str) -> None:
    """Take it away; what cannot be ends by itself."""
    try:
        there = await records.read(handle, "hive/dr-general", name)
        if there is not None:
            await records.remove(handle, "hive/dr-general", name, there)
    except LimaCharlieError:
        return


async def _detection(work: Work) -> str | None:
    """The id of the test's detection, if it is there."""
    since = int(((work.before or {}).get("since") or work.clock()) / 1000) - 60
    cursor = "-"
    while cursor:
        page = await work.handle.detections(since, int(work.clock() / 1000) + 120, cursor, cat=_cat(work))
        for raw in page.records:
            try:
                read = orjson.loads(raw)
            except ValueError:
                continue
            if isinstance(read, dict) and read.get("cat") == _cat(work) and read.get("detect_id"):
                return str(read["detect_id"])
        cursor = page.next_cursor
    return None


class CaseMade(Verb):
    """Whether the detection became a case; the case is closed then."""

    name = "smoke.case"

    async def check(self, work: Work) -> Seen:
        """Find the case that holds it."""
        detect_id = str(work.made_by("smoke.detection").get("detect_id", ""))
        if not detect_id:
            raise CannotBeKnown("There is no detection that could have become a case.")
        if CASES not in await work.handle.subscriptions():
            raise CannotBeKnown(f"The organization is not subscribed to {CASES}: nothing becomes a case.")
        for look in range(LOOKS_FOR_CASE):
            if (found := await _case(work, detect_id)) is not None:
                number, status = found
                return Seen(
                    fulfilled=status == "closed",
                    fact={"case": number, "status": status},
                    made={"case": number},
                )
            if look + 1 < LOOKS_FOR_CASE:
                await asyncio.sleep(LOOK)
        raise StepFailed("No case holds the test's detection.")

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Close it, if the test made it and it holds nothing else."""
        number = int(work.before["case"])
        if len(await work.handle.case_detections(number)) > 1:
            raise CannotBeKnown(f"It became a part of case {number}, which is left as it is.")
        await work.handle.update_case(number, {"status": "closed", "classification": "false_positive"})
        return {"case": number}


LOOKS_FOR_CASE = 10
"""How often a case is looked for, a second apart: Cases take detections in on their own."""


async def _case(work: Work, detect_id: str) -> tuple[int, str] | None:
    """(number, status) of the case among the newest that holds a detection."""
    cat = str(work.made_by("smoke.detection").get("cat", ""))
    async for page in work.cloud.cases([work.oid], {"sort": "created_at", "order": "desc"}):
        listed = getattr(page, "cases", None)
        if listed is None:
            raise CannotBeKnown(f"The cases cannot be read: {getattr(page, 'error', '')}")
        for row in listed[:50]:
            held = row.get("detection_cats")
            if isinstance(held, list) and cat not in held:
                continue
            number = int(row["case_number"])
            for each in await work.handle.case_detections(number):
                if each.get("detect_id") == detect_id:
                    return number, str(row.get("status", ""))
        break
    return None


class OutputsFine(Verb):
    """Whether detections go somewhere, and no output has an error."""

    name = "smoke.output"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    async def check(self, work: Work) -> Seen:
        """Outputs, and the standing errors of the organization."""
        outputs = await work.handle.outputs()
        wanted = sorted(name for name, held in outputs.items() if held.get("for") == "detect")
        if not wanted:
            raise StepFailed("No output sends detections anywhere.")
        try:
            errors = await work.handle.errors()
        except (Denied, Gone) as error:
            raise CannotBeKnown(f"The standing errors cannot be read: {error}") from error
        bad = [each for each in errors if str(each.get("component", "")).startswith("outputs/")]
        if bad:
            since = milliseconds(bad[0].get("ts"))
            when = time.strftime(", since %Y-%m-%d %H:%M UTC", time.gmtime(since / 1000)) if since else ""
            raise StepFailed(f"{bad[0]['component']}: {bad[0].get('error', '')}{when}")
        return Seen(fulfilled=True, fact={"outputs": wanted})


VERBS = (SensorOnline(), EventSeen(), Detected(), CaseMade(), OutputsFine())
