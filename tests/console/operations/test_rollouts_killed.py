"""A rollout over forty organizations in four waves whose process dies anywhere: nothing twice, nothing lost."""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from console.sandbox.faults import Rule
from tests.helpers.dying import Life, Run, Stage, foreign, naive, prepared, running, state
from tests.helpers.soak import minutes

SEED = 20_261_205

FAULTS = (
    ("status", {"status": 500}), ("status", {"status": 503}), ("status", {"status": 500, "effect": True}),
    ("status", {"status": 504, "effect": True}), ("status", {"status": 409}), ("status", {"status": 401}),
    ("drop", {}), ("drop", {"effect": True}), ("hang", {"seconds": 0.5}),
    ("hang", {"seconds": 0.5, "effect": True}), ("throttle", {"seconds": 0.01}),
    ("truncate", {"bytes": 3}), ("body", {"body": "html"}), ("body", {"body": "html", "effect": True}),
    ("body", {"body": "empty", "effect": True}), ("body", {"body": "half"}),
)  # fmt: skip
"""Before the effect, and after it."""

WRITES = (
    ("POST", "/v1/hive/{hive}/{oid}/{key}/data"), ("DELETE", "/v1/hive/{hive}/{oid}/{key}"),
    ("POST", "/v1/outputs/{oid}"), ("DELETE", "/v1/outputs/{oid}"), ("POST", "/v1/installationkeys/{oid}"),
    ("GET", "/v1/hive/{hive}/{oid}/{key}/data"), ("GET", "/v1/hive/{hive}/{oid}/{key}/mtd"),
    ("GET", "/v1/outputs/{oid}"), ("GET", "/v1/installationkeys/{oid}"),
)  # fmt: skip


class World:
    """What an undisturbed rollout comes to."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.labels: list[str] = []
        self.state: dict[str, Any] = {}
        self.changes: set[tuple[str, str, str]] = set()

    async def look(self) -> None:
        async with running(self.stage) as run:
            life = Life()
            outcome = await run.life(life)
            assert outcome is not None
            assert outcome.whole, outcome
            assert not run.twice()
            self.labels, self.state, self.changes = life.labels, state(run.served.world), set(run.effects())

    def point_of(self, label: str, chance: random.Random) -> int:
        """One of the points with this label."""
        return chance.choice([number for number, each in enumerate(self.labels, 1) if each == label])


def check_order(run: Run) -> None:
    """The next wave began after the last one, as the cloud saw it."""
    waves = [run.stage.wave[oid] for oid, _, _ in run.effects()]
    assert waves == sorted(waves)


async def survived(world: World, seed: int, label: str, fault: int, *, edits: bool) -> Counter[str]:
    """Die at a label, again while it is carried on, and go on to the end; what came of the steps."""
    chance = random.Random(seed)
    async with running(world.stage) as run:
        kind, more = FAULTS[fault]
        method, path = WRITES[seed % len(WRITES)]
        run.served.faults.add(Rule(kind, method=method, path=path, nth=chance.randint(1, 4), **more))  # type: ignore[arg-type]
        theirs = chance.choice(
            [oid for oid, kind in world.stage.kind.items() if kind == "changed" and oid in world.stage.wave]
        )
        first = Life(at=world.point_of(label, chance))
        if edits:
            first.events[chance.randint(1, first.at)] = foreign(run.served.world, theirs)
        lives = [first, *(Life(at=chance.randint(1, 60)) for _ in range(chance.randint(0, 2)))]
        said: list[Any] = []
        for life in [*lives, *(Life() for _ in range(4))]:
            said.append(await run.life(life))
            check_order(run)
            assert not run.twice(), (seed, label, run.twice())
            if run.plan().state in ("done", "partly"):
                break
        where = (seed, label, FAULTS[fault], method, path, said)
        assert run.plan().state in ("done", "partly"), where
        edited = first.edited
        steps = run.steps()
        counts = Counter(step.outcome for step in steps)
        assert not {"waiting", "sending", "unknown"} & counts.keys(), where
        found, bad = state(run.served.world), {}
        for step in steps:
            if step.outcome not in ("applied", "already"):
                bad.setdefault(step.change.oid, []).append(step)
        for oid, held in found.items():
            expected = world.state[oid]
            if edited and oid == theirs and held["fp"]["known"][0]["value"] == "foreign":
                assert held["fp"]["known"][1]["tags"] in (["theirs"], ["ours"])
                expected = expected | {"fp": expected["fp"] | {"known": held["fp"]["known"]}}
            elif edited and oid == theirs:
                pytest.fail(f"a foreign edit was overwritten: {where}")
            if oid not in bad:
                assert held == expected, where
        # What failed has a name and left nothing behind.
        for oid, named in bad.items():
            for step in named:
                assert step.error, where
                assert oid == theirs or step.outcome == "failed", (where, step)
        assert set(run.effects()) <= world.changes, where
        if not bad:
            assert set(run.effects()) == world.changes, where
        return counts


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(await prepared(tmp_path))
    await made.look()
    return made


def _runs(world: World, share: int, shares: int) -> list[tuple[int, str, int]]:
    """Seeded runs, which together cover every label and every fault: (seed, label, fault)."""
    labels = sorted(set(world.labels))
    chance = random.Random(SEED)
    chance.shuffle(labels)
    number = int(os.environ.get("LIMEGROVE_ROLLOUT_RUNS", "0")) or (300 if minutes() > 0 else 8)
    runs = [(SEED + n, labels[n % len(labels)], n % len(FAULTS)) for n in range(number)]
    return runs[share::shares]


SHARES = 2 if minutes() > 0 else 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_rollout_that_dies_anywhere_is_carried_on_with_each_step_once(
    world: World, share: int
) -> None:
    """Eight runs in `make test`; three hundred, with every label and every fault, by `make soak`."""
    for seed, label, fault in _runs(world, share, SHARES):
        await survived(world, seed, label, fault, edits=seed % 3 == 0)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_rollout_survives_dying_at_every_point(world: World, share: int) -> None:
    points = range(1 + share, len(world.labels) + 1, SHARES)
    some = 1 if minutes() == 0 else 5 if minutes() < 30 else len(points)
    for point in random.Random(SEED + share).sample(points, some):
        async with running(world.stage) as run:
            await run.life(Life(at=point))
            outcome = await run.life(Life())
            assert outcome is not None
            assert outcome.whole, point
            assert not run.twice(), point
            assert (state(run.served.world), set(run.effects())) == (world.state, world.changes), point
            check_order(run)


async def test_the_harness_finds_what_a_naive_engine_does_twice(world: World) -> None:
    async with running(world.stage, naive) as run:
        undisturbed = Life()
        await run.life(undisturbed)
        assert not run.twice()
    answered = [n for n, label in enumerate(undisturbed.labels, 1) if label.startswith("after POST hive")]
    found = 0
    for point in random.Random(SEED).sample(answered, 3):
        async with running(world.stage, naive) as run:
            assert await run.life(Life(at=point)) is None
            await run.life(Life())
            found += len(run.twice())
    assert found == 3
