"""The smoke test: yes, no, or cannot be known, and nothing of it left behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations import bulk, runs
from console.sandbox.faults import Rule
from store import ingest
from store import runs as kept
from store.bulk import select, wish
from store.database import Store
from store.runs import Planned
from store.secret import Secret
from store.smoke import ANSWERS, SMOKE, smoke_run
from store.times import now_ms
from tests.helpers.sandboxes import sandbox


class Ground:
    """A sandbox, and answers to smoke tests in it."""

    def __init__(self, store: Store, served: Any, cloud: Cloud) -> None:
        self.store, self.served, self.cloud = store, served, cloud
        self.world = served.world

    async def made(self, planned: Planned) -> runs.Result:
        """A run, kept and made."""
        run_id = runs.keep(self.store, planned, operator="me")
        return await runs.apply(self.store, self.cloud, run_id, operator="me", confirm=runs.CONFIRMED)

    async def asked(self, one: Any, *, wait: int = 20, reading: bool = False) -> dict[str, tuple[str, str]]:
        """Check -> (answer, why)."""
        result = await self.made(smoke_run([(one.oid, one.name)], wait=wait, reading=reading))
        with self.store.reader.reading() as c:
            found = kept.steps(c, result.run.id)
        return {
            step.verb.partition(".")[2]: (ANSWERS.get(step.outcome, "cannot be known"), step.error)
            for step in found
        }

    def rules(self, one: Any) -> list[str]:
        return [name for name in self.world.records(one, "dr-general") if "smoke" in name]

    def cases(self, one: Any) -> list[Any]:
        return [
            case for case in self.world.cases.all_of(one)
            if any("smoke" in str(each.get("detection_cat")) for each in case.detections)
        ]  # fmt: skip


@pytest.fixture
async def ground(a_store: Any) -> AsyncIterator[Ground]:
    async with _ground(a_store()) as made:
        yield made


@asynccontextmanager
async def _ground(store: Store) -> AsyncIterator[Ground]:
    async with sandbox(seed=7, orgs=6, detections=200) as served:
        root = served.world.access.users[served.world.access.root]
        deadlines = Deadlines(connect=1.0, read=2.0, total=5.0, backoff=0.01)
        async with Cloud(
            UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url), deadlines=deadlines,
            limits=Limits.unlimited(),
        ) as cloud:  # fmt: skip
            with store.writing() as c:
                rows = [{"oid": each.oid, "name": each.name} for each in served.world.organizations]
                ingest.put_organizations(c, rows, complete=True, now=now_ms())
            yield Ground(store, served, cloud)


def well(ground: Ground) -> Any:
    """An organization with Cases whose outputs have no error."""
    world = ground.world
    return next(
        each for each in world.organizations
        if world.cases.subscribed(each)
        and each is not world.unauthorized
        and not any(error["component"].startswith("outputs/") for error in world.errors(each))
    )  # fmt: skip


async def test_where_everything_works_each_answer_is_yes_and_nothing_is_left(ground: Ground) -> None:
    one = well(ground)

    said = await ground.asked(one)

    assert {what: answer for what, (answer, _) in said.items()} == dict.fromkeys(SMOKE, "yes"), said
    assert ground.rules(one) == []
    (case,) = ground.cases(one)
    assert (case.status, case.classification) == ("closed", "false_positive")


async def test_a_new_organization_has_no_sensor_and_no_output(ground: Ground) -> None:
    one = ground.world.create_organization("Acme", "europe", ground.world.access.root)

    said = await ground.asked(one)

    assert said["sensor"] == ("no", "No sensor is online.")
    assert {said[what][0] for what in ("event", "detection", "case")} == {"cannot be known"}
    assert said["output"] == ("no", "No output sends detections anywhere.")
    assert ground.rules(one) == []


async def test_a_detection_that_never_comes_is_a_no_and_its_rule_is_taken_away(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = well(ground)
    monkeypatch.setattr("console.sandbox.endpoints.sensors.fire", lambda *_: 0)

    said = await ground.asked(one, wait=1)

    assert said["detection"][0] == "no"
    assert "no detection came of the test's rule" in said["detection"][1]
    assert said["case"] == ("cannot be known", "There is no detection that could have become a case.")
    assert ground.rules(one) == []
    asked = [each for each in ground.served.log.entries if each.method == "DELETE" and "smoke" in each.path]
    assert len(asked) == 1


async def test_what_the_credential_may_not_do_cannot_be_known(ground: Ground) -> None:
    one = well(ground)
    ground.served.faults.add(Rule("status", status=403, method="POST", path="/v1/{sid}", count=None))

    said = await ground.asked(one)

    assert said["sensor"][0] == "yes"
    assert said["detection"][0] == "cannot be known"
    assert ground.rules(one) == [], "its rule is taken away all the same"


async def test_an_output_with_a_standing_error_is_a_no_that_names_it(ground: Ground) -> None:
    world = ground.world
    one = next(
        each for each in world.organizations
        if any(error["component"].startswith("outputs/") for error in world.errors(each))
        and each is not world.unauthorized
    )  # fmt: skip

    said = await ground.asked(one, reading=True)

    assert said["output"][0] == "no"
    assert said["output"][1].startswith("outputs/")
    assert set(said) == {"sensor", "event", "output"}
    assert all(
        each.method == "GET" or "online" in each.path or each.template == "/"
        for each in ground.served.log.entries
    )


async def test_it_is_offered_for_many_at_once(ground: Ground) -> None:
    one = well(ground)
    with ground.store.reader.reading() as c:
        selection = select(c, now=now_ms(), oids=[one.oid])

    drafted = await bulk.draft(wish("smoke", {"wait": "20"}), selection, cloud=ground.cloud)
    result = await ground.made(drafted.planned)

    assert drafted.planned.title == "test from the sensor to the case"
    assert result.whole, result.failed
    assert result.run.counts == {"done": 2, "already": 3}
