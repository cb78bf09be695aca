"""A plan over fifty organizations, applied by processes that are killed: nothing is lost, nothing sent twice."""

import asyncio
import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from store import accessplans, journal, models
from store.accesschanges import NEW, AccessChange
from store.accessplans import Plan
from store.database import Store
from store.times import now_ms
from tests.helpers.accessplans import OPERATOR, changing, provider, root_key, state_of
from tests.helpers.applying import Appliers, appliers
from tests.helpers.official import needs_official, official
from tests.helpers.sandboxes import sandbox
from tests.helpers.soak import minutes

ORGANIZATIONS = 51
"""One of them refuses everybody."""
SHIFT = f"{NEW}Night shift"
NEWCOMER = "new.hire@example.com"


@dataclass
class Stage:
    """What every run begins with."""

    store: Path
    plan: int
    steps: int
    mover: str
    """Leaves one group for another."""
    old: str
    homes: Appliers
    points: int = 0
    """How many there are in a run that nobody disturbs; a few more or less in others, for eight work at once."""
    expected: dict[str, Any] | None = None
    writes: int = 0


def _world(served: Any) -> None:
    """Somebody who is known and has nothing yet."""
    served.world.access.person(NEWCOMER)


async def _prepared(tmp_path: Path) -> Stage:
    path = tmp_path / "prepared.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        async with provider(store, orgs=ORGANIZATIONS) as found:
            _world(found.served)
            access = found.served.world.access
            old = found.groups[0]
            mover = old.members[0]
            changes = [
                AccessChange("create_group", gid=SHIFT),
                AccessChange("add_group_permission", gid=SHIFT, permission="dr.list"),
                AccessChange("add_group_permission", gid=SHIFT, permission="dr.set"),
                *(AccessChange("add_org", gid=SHIFT, oid=oid) for oid in found.oids[:3]),
                AccessChange("add_member", gid=SHIFT, principal=mover),
                AccessChange("remove_member", gid=old.gid, principal=mover),
                AccessChange("remove_group_permission", gid=old.gid, permission=old.permissions[0]),
            ]
            for number, one in enumerate(found.organizations):
                direct = access.direct(one)
                email = min(direct)
                lacks = sorted(set(direct[access.root]) - set(direct[email]))
                if number % 5 == 0:
                    change = AccessChange("grant", principal=NEWCOMER, permission="dr.list")
                elif lacks:
                    change = AccessChange("grant", principal=email, permission=lacks[0])
                else:
                    held = sorted(direct[email])
                    change = AccessChange("revoke", principal=email, permission=held[number % len(held)])
                changes.append(replace(change, oid=one.oid))
            assert len({change.oid for change in changes if change.oid}) == 50
            plan = found.draft(*changes)
            steps = len(found.plan(plan).steps)
    return Stage(path, plan, steps, mover, old.gid, await appliers(tmp_path))


def _copied(path: Path, copy: Path) -> Path:
    for ending in ("", "-wal", "-shm"):
        Path(f"{copy}{ending}").unlink(missing_ok=True)
    shutil.copy(path, copy)
    return copy


@asynccontextmanager
async def _fresh(stage: Stage, tmp_path: Path) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """The world as it was, a copy of the store, and what a process is told."""
    copy = _copied(stage.store, tmp_path / "copy.db")
    async with sandbox(orgs=ORGANIZATIONS, detections=10) as served:
        _world(served)
        key = root_key(served)
        yield served, {
            "store": f"sqlite:///{copy}", "url": served.url, "uid": key.uid, "key": key.secret.reveal(),
            "plan": stage.plan,
        }  # fmt: skip


def _by_name(state: dict[str, Any]) -> dict[str, Any]:
    """A state in which a group goes by its name: a new one's gid is by chance."""
    return state | {"groups": {group["name"]: group for group in state["groups"].values()}}


def _effects(served: Any) -> Counter[tuple[str, str, str]]:
    return Counter(
        (entry.method, entry.path, entry.body) for entry in changing(served.log.entries) if entry.effect
    )


def _plan(url: str, number: int) -> Plan:
    with closing(Store(url)) as store, store.reader.reading() as c:
        assert journal.verify(c) is None
        return accessplans.load(c, number)


def _entries(url: str, action: str) -> list[Any]:
    table = models.Journal.__table__  # type: ignore[attr-defined]
    with closing(Store(url)) as store, store.reader.reading() as c:
        return list(c.execute(select(table).where(table.c.action.like(action))))


def _check_store(url: str, served: Any) -> None:
    """The store says of access what the cloud does."""
    direct = models.DirectPermission.__table__  # type: ignore[attr-defined]
    member = models.GroupMember.__table__  # type: ignore[attr-defined]
    state = state_of(served.world)
    with closing(Store(url)) as store, store.reader.reading() as c:
        stored: dict[str, dict[str, frozenset[str]]] = {}
        for row in c.execute(select(direct)):
            stored.setdefault(row.oid, {})[row.email] = frozenset(row.permissions)
        members = {(row.gid, row.email) for row in c.execute(select(member).where(member.c.owner.is_(False)))}
    refusing = served.world.unauthorized.oid
    assert stored == {oid: people for oid, people in state["direct"].items() if oid != refusing}
    root = served.world.access.root
    assert members == {
        (gid, email)
        for gid, group in state["groups"].items()
        if root in group["owners"]
        for email in group["members"]
    }


async def _undisturbed(stage: Stage, tmp_path: Path) -> None:
    """What comes of the plan when nobody is killed, and how many points there are."""
    async with _fresh(stage, tmp_path) as (served, told):
        code, stage.points = await stage.homes.run(what="apply", **told)
        assert code == 0
        plan = _plan(told["store"], stage.plan)
        assert (plan.state, plan.counts) == ("applied", {"done": stage.steps})
        stage.expected = _by_name(state_of(served.world))
        effects = _effects(served)
        assert set(effects.values()) == {1}
        stage.writes = len(effects)
        _check_store(told["store"], served)


async def _killed_at(stage: Stage, points: list[int], tmp_path: Path) -> bool:
    """Apply, be killed at a point, carry on, be killed again ..., and end; whether anybody was killed."""
    async with _fresh(stage, tmp_path) as (served, told):
        killed = False
        for number, point in enumerate(points):
            what = "apply" if number == 0 else "resume"
            code, _ = await stage.homes.run(what=what, at=point, **told)
            assert code in (0, -signal.SIGKILL), (code, points)
            killed |= code != 0
            groups = state_of(served.world)["groups"].values()
            shifts = [group for group in groups if group["name"] == "Night shift"]
            assert len(shifts) <= 1, "the group was made twice"
            old = next(group for group in served.world.access.groups if group.gid == stage.old)
            assert stage.mover in old.members or any(
                stage.mover in group["members"] and group["organizations"] and group["permissions"]
                for group in shifts
            ), "somebody who moves is nowhere"
        code, _ = await stage.homes.run(what="resume", **told)
        assert code == 0, points
        plan = _plan(told["store"], stage.plan)
        if plan.state == "draft":
            # Nothing had been written down yet: nothing is done behind anybody's back.
            assert not _effects(served), points
            return killed
        assert (plan.state, plan.counts) == ("applied", {"done": stage.steps}), points
        assert _by_name(state_of(served.world)) == stage.expected, points
        effects = _effects(served)
        assert set(effects.values()) == {1}, (points, effects.most_common(3))
        assert len(effects) == stage.writes, points
        _check_store(told["store"], served)
        return killed


async def test_a_plan_survives_being_killed_at_some_points_and_again_while_it_is_carried_on(
    tmp_path: Path,
) -> None:
    stage = await _prepared(tmp_path)
    try:
        await _undisturbed(stage, tmp_path)
        assert stage.points > 200
        chance = random.Random(20_261_128)
        last = stage.points
        chosen = [[1], [2], [3], [last - 1], [last // 2, 7], [last // 3, 4, 9]]
        chosen += [[chance.randint(1, last), chance.randint(1, 40)] for _ in range(4)]
        killed = [await _killed_at(stage, points, tmp_path) for points in chosen]
        assert sum(killed) >= len(chosen) - 2
    finally:
        await stage.homes.close()


SHARES = 4 if minutes() > 0 else 1
"""Side by side; each has to prepare its own, which a few points are not worth."""


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_plan_survives_being_killed_at_every_point(tmp_path: Path, share: int) -> None:
    """Every point by `make soak MINUTES=30`; forty by a shorter one, eight in `make test`."""
    stage = await _prepared(tmp_path)
    try:
        await _undisturbed(stage, tmp_path)
        points = [point for point in range(1, stage.points + 1) if point % SHARES == share]
        some = 8 if minutes() == 0 else 10 if minutes() < 30 else len(points)
        chosen = random.Random(20_261_128 + share).sample(points, some)
        killed = sum([await _killed_at(stage, [point], tmp_path) for point in chosen])
        # Of eight at once the number of points is not always the same: the last ones may not be reached.
        assert killed >= len(chosen) * 0.9 - 1
    finally:
        await stage.homes.close()


@pytest.mark.postgres
async def test_a_killed_plan_is_carried_on_with_postgresql_too(postgres_url: str, tmp_path: Path) -> None:
    homes = await appliers(tmp_path)
    try:
        with closing(Store(postgres_url)) as store:
            async with provider(store, orgs=8) as found:
                _world(found.served)
                changes = [
                    AccessChange("grant", oid=oid, principal=NEWCOMER, permission="dr.list")
                    for oid in found.oids
                ]
                with store.writing() as c:
                    plan = accessplans.draft(c, changes, title="Newcomer", by=OPERATOR, now=now_ms())
                key = root_key(found.served)
                told = {
                    "store": postgres_url, "url": found.served.url, "uid": key.uid,
                    "key": key.secret.reveal(), "plan": plan,
                }  # fmt: skip
                for point in (2, 6, 11):
                    code, _ = await homes.run(what="apply", at=point, **told)
                    assert code == -signal.SIGKILL
                assert (await homes.run(what="resume", **told))[0] == 0
                assert found.plan(plan).state == "applied"
                assert set(_effects(found.served).values()) == {1}
                assert all(found.state()["direct"][oid][NEWCOMER] == {"dr.list"} for oid in found.oids)
    finally:
        await homes.close()


@needs_official
async def test_the_official_client_sees_what_a_killed_and_carried_on_plan_wanted(tmp_path: Path) -> None:
    stage = await _prepared(tmp_path)
    try:
        async with _fresh(stage, tmp_path) as (_, told):
            assert (await stage.homes.run(what="apply", at=100, **told))[0] == -signal.SIGKILL
            assert (await stage.homes.run(what="resume", **told))[0] == 0
            steps = _plan(told["store"], stage.plan).steps
            asking = {"url": told["url"], "uid": told["uid"], "api_key": told["key"]}

            async def ask(oid: str, *words: str) -> Any:
                said = await asyncio.to_thread(official, asking, oid, *words, "--output", "json")
                return json.loads(said)

            direct = [step.change for step in steps if step.change.kind in ("grant", "revoke")]
            for change in (direct[0], direct[len(direct) // 2], direct[-1]):
                held = await ask(change.oid, "user", "permissions", "list")
                assert (change.permission in held[change.principal]) is (change.kind == "grant")
            made = next(step.made for step in steps if step.made)
            group = (await ask(direct[0].oid, "group", "get", "--id", made))["group"]
            assert (group["members"], sorted(group["perms"])) == ([stage.mover], ["dr.list", "dr.set"])
            assert len(group["orgs"]) == 3
            old = (await ask(direct[0].oid, "group", "get", "--id", stage.old))["group"]
            assert stage.mover not in old["members"]
    finally:
        await stage.homes.close()


async def test_nothing_is_sent_that_could_not_be_written_down_first(tmp_path: Path) -> None:
    stage = await _prepared(tmp_path)
    try:
        for full in (2, 9, 30):
            async with _fresh(stage, tmp_path) as (served, told):
                code, _ = await stage.homes.run(what="apply", full=full, **told)
                assert code == 3
                intents = [
                    entry
                    for entry in _entries(told["store"], "access.%")
                    if entry.detail.get("step") == "intent"
                ]
                assert sum(_effects(served).values()) <= len(intents)
                assert (await stage.homes.run(what="resume", **told))[0] == 0
                assert _plan(told["store"], stage.plan).counts == {"done": stage.steps}
                assert set(_effects(served).values()) == {1}
    finally:
        await stage.homes.close()


async def test_two_processes_apply_one_plan_and_each_change_is_sent_once(tmp_path: Path) -> None:
    stage = await _prepared(tmp_path)
    other = await appliers(tmp_path)
    try:
        await _undisturbed(stage, tmp_path)
        for _ in range(3):
            async with _fresh(stage, tmp_path) as (served, told):
                codes = await asyncio.gather(
                    stage.homes.run(what="apply", **told), other.run(what="apply", **told)
                )
                assert sorted(code for code, _ in codes) == [0, 5]
                assert _plan(told["store"], stage.plan).counts == {"done": stage.steps}
                assert set(_effects(served).values()) == {1}
                assert _by_name(state_of(served.world)) == stage.expected
                assert not _entries(told["store"], "access.plan.carry_on"), "taken from one that was there"
    finally:
        await stage.homes.close()
        await other.close()
