"""A run whose process dies at any commit and at any request: nothing is lost, nothing done twice."""

import asyncio
import itertools
import os
import random
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import func, select

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations import runs as operations
from console.operations import runsteps
from console.sandbox.faults import Rule
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store import ingest, journal, models, runs
from store.database import Store
from store.runs import Planned, PlannedItem, PlannedStep
from tests.helpers.accessplans import root_key
from tests.helpers.bulk import NEWCOMER, OPERATOR, effects_of, state_of
from tests.helpers.dying import HOLDER_PID, NOW, Life, _is_death, serving
from tests.helpers.forks import Fork
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process
from tests.helpers.soak import minutes

SEED = 20_261_128
_numbers = itertools.count()

FAULTS = (
    Rule("status", status=500), Rule("status", status=504, effect=True), Rule("drop"),
    Rule("drop", effect=True), Rule("throttle", seconds=0.01), Rule("body", body="html", effect=True),
    Rule("truncate", bytes=3),
)  # fmt: skip
"""Of an answer to a change: before its effect, and after it."""


def world() -> World:
    """Three organizations."""
    made = World(seed=3, orgs=3, detections=0, now_ms=NOW)
    made.access.person(NEWCOMER)
    return made


def planned(made: World) -> Planned:
    """Steps that must be made once and steps that may be made twice, some of them looked at together."""
    items = []
    for one in made.organizations:
        sids = [sensor.sid for sensor in made.sensors_of(one)][:3]
        steps = (
            PlannedStep("quota.set", arguments={"quota": 777}),
            PlannedStep("installation-key.make", "Fleet", {"tags": ["fleet"]}),
            PlannedStep("extension.subscribe", "ext-velociraptor"),
            PlannedStep("user.add", NEWCOMER, {"role": "Viewer"}),
            *(PlannedStep("sensor.tag", sid, {"tag": "blue", "hostname": sid}, needed=False) for sid in sids),
        )
        items.append(PlannedItem(one.oid, one.name, steps=steps))
    return Planned("bulk", "Everything", tuple(items))


@dataclass
class Run:
    """A sandbox, a copy of the store, and the processes that come and go over it."""

    served: Sandbox
    path: Path
    run_id: int
    labels: list[str] = field(default_factory=list)

    async def life(self, life: Life, *, resume: bool = False) -> Any:
        """One process begins the run, or carries on with it as the next console does; None when it died."""
        me = f"{socket.gethostname()}:{HOLDER_PID}:0:{next(_numbers)}"
        with closing(Store(f"sqlite:///{self.path}")) as store, patch.object(runsteps, "PAUSE", 0.01):
            try:
                with life.living(), patch.object(operations, "this_process", lambda: me):
                    async with _cloud(self.served) as cloud:
                        if resume:
                            found = await operations.resume(store, cloud)
                            return found[0] if found else None
                        return await operations.apply(store, cloud, self.run_id, operator=OPERATOR)
            except BaseException as error:
                if not life.dead or not _is_death(error):
                    raise
                return None
            finally:
                self.labels += life.labels
                # What was on its way when it died arrives.
                await asyncio.sleep(0.02)

    def look(self) -> tuple[runs.Run, Counter[str]]:
        """The run as it stands, and what came of its steps."""
        with closing(Store(f"sqlite:///{self.path}")) as store, store.reader.reading() as c:
            assert journal.verify(c) is None
            return runs.load(c, self.run_id), Counter(step.outcome for step in runs.steps(c, self.run_id))

    def twice(self) -> list[tuple[str, str, str]]:
        """The changes that were carried out more than once."""
        return [each for each, number in Counter(effects_of(self.served)).items() if number > 1]


@asynccontextmanager
async def _cloud(served: Sandbox) -> AsyncIterator[Cloud]:
    deadlines = Deadlines(connect=1.0, read=0.5, total=5.0, backoff=0.01)
    async with Cloud(
        root_key(served), Endpoint.single(served.url), deadlines=deadlines, limits=Limits.unlimited()
    ) as found:
        yield found


@dataclass
class Stage:
    """What every run begins with, and what an undisturbed one comes to."""

    prepared: Path
    run_id: int
    labels: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    effects: Counter[Any] = field(default_factory=Counter)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Run]:
        """A run from its beginning."""
        copied = self.prepared.with_name(f"copy-{next(_numbers)}.db")
        shutil.copy(self.prepared, copied)
        async with serving(world()) as served:
            yield Run(served, copied, self.run_id)

    def check(self, run: Run, where: object) -> None:
        """Everything is as it is without a death, and nothing was done twice."""
        found, counts = run.look()
        assert found.state == "done", (where, counts)
        assert set(counts) == {"done"}, (where, counts)
        assert Counter(effects_of(run.served)) == self.effects, where
        assert state_of(run.served.world) == self.state, where


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    path, made = tmp_path / "prepared.db", world()
    with closing(Store(f"sqlite:///{path}")) as store:
        rows = [{"oid": one.oid, "name": one.name} for one in made.organizations]
        with store.writing() as c:
            ingest.put_organizations(c, rows, complete=True, now=NOW)
        run_id = operations.keep(store, planned(made), operator=OPERATOR)
    found = Stage(path, run_id)
    async with found.running() as run:
        life = Life()
        result = await run.life(life)
        assert result.whole, result.failed
        assert not run.twice()
        found.labels, found.state = life.labels, state_of(run.served.world)
        found.effects = Counter(effects_of(run.served))
    assert len(found.effects) == 3 * 7
    return found


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_run_survives_dying_at_every_commit_and_every_request(stage: Stage) -> None:
    """Eight points in `make test`, each of another label; forty in a short soak, every one in a long one."""
    every = list(range(1, len(stage.labels) + 1))
    by_label: dict[str, list[int]] = {}
    for point in every:
        by_label.setdefault(stage.labels[point - 1], []).append(point)
    chance = random.Random(SEED)
    points = every
    if minutes() == 0:
        points = sorted(chance.choice(by_label[label]) for label in chance.sample(sorted(by_label), 7))
        # The last step of an organization is settled, and the organization is not.
        points.append(by_label["before commit run run_item"][-1])
    elif minutes() < 30:
        points = sorted(chance.sample(every, min(40, len(every))))
    for point in points:
        async with stage.running() as run:
            await run.life(Life(at=point))
            if run.look()[0].state == "draft":
                await run.life(Life())  # it died before it was begun
            elif run.look()[0].state == "running":
                await run.life(Life(), resume=True)
            stage.check(run, (point, stage.labels[point - 1]))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_run_survives_three_deaths_and_answers_that_are_lost(stage: Stage) -> None:
    """Two such runs in `make test`, fifty in a short soak, two hundred in a long one."""
    number = 2 if minutes() == 0 else 50 if minutes() < 30 else 200
    for seed in range(SEED, SEED + number):
        chance = random.Random(seed)
        fault = FAULTS[seed % len(FAULTS)]
        fields = {name: getattr(fault, name) for name in fault.__struct_fields__}
        async with stage.running() as run:
            for method in ("POST", "GET"):
                if method == "GET" and fault.effect:
                    continue
                run.served.faults.add(
                    Rule(**fields | {"method": method, "probability": 0.05, "seed": seed, "count": None})
                )
            for at in sorted(chance.sample(range(1, len(stage.labels) // 2), 3)):
                if run.look()[0].state in ("draft", "running"):
                    await run.life(Life(at=at), resume=run.look()[0].state == "running")
            run.served.faults.clear()
            for _ in range(2):
                found = run.look()[0]
                if found.state != "done":
                    await run.life(Life())
            stage.check(run, (seed, fault))


def test_a_command_that_is_killed_three_times_is_carried_on_by_the_next_one(tmp_path: Path) -> None:
    """Real processes, `kill -9`: every sensor is tagged in the end."""
    rules = tmp_path / "faults.json"
    rules.write_text('[{"fault": "hang", "seconds": 0.1, "path": "/v1/{sid}/tags", "count": null}]')
    with sandbox_process(tmp_path / "box", "--orgs", "3", "--faults", str(rules)) as (box, _):
        env = as_user(tmp_path / "me", box)
        Path(env["HOME"]).mkdir(exist_ok=True)
        assert limegrove("sync", "--only", "orgs", env=env).returncode in (0, 3)
        begin = ("org", "bulk", "tag", "blue", "--selector", "plat == linux", "--all", "--yes")
        database = next(Path(env["LIMEGROVE_HOME"]).rglob("*.db"))
        written = 0
        for blow in range(3):
            with open(os.devnull) as nothing, open(tmp_path / "said", "w") as said:
                argv = begin if not blow else ("sync", "--only", "orgs")
                process = Fork(list(argv), env, (nothing.fileno(), said.fileno(), said.fileno()))
                written = _until_more(database, written)
                process.send_signal(signal.SIGKILL)
                process.wait(20)
        ended = limegrove("sync", "--only", "orgs", env=env)
        assert "Run 1: 3 of 3 organizations done" in ended.stderr, ended.stderr
        with closing(Store(f"sqlite:///{database}")) as store, store.reader.reading() as c:
            made = runs.steps(c, 1)
            assert {step.outcome for step in made} == {"done"}
            assert journal.verify(c) is None
        again = limegrove("org", "resume", "1", env=env)
        assert (again.returncode, "is done" in again.stderr) == (5, True)


def _until_more(database: Path, written: int) -> int:
    """Wait until more is written down than before and something is under way; how much is."""
    deadline = time.monotonic() + 60
    table = models.Journal.__table__  # type: ignore[attr-defined]
    with closing(Store(f"sqlite:///{database}")) as store:
        while time.monotonic() < deadline:
            with store.reader.reading() as c:
                now = c.execute(select(func.max(table.c.seq))).scalar() or 0
                rows = runs.listed(c)
                sending = rows and any(step.outcome == "sending" for step in runs.steps(c, rows[0].id))
            if now > written and sending:
                return int(now)
            time.sleep(0.01)
    raise AssertionError("it does not get on")
