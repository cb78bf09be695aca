"""What a later sync reads: that which was changed, and nothing else."""

from random import Random
from typing import Any

import pytest
from sqlalchemy import delete

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations.sync import Outcome, Sync
from store import ingest
from store.database import Store
from store.models import AccessEvent
from store.queries import timeline
from store.secret import Secret
from tests.helpers.changes import CHANGES, Hand, make
from tests.helpers.dump import current
from tests.helpers.sandboxes import sandbox

YEARS = 10 * 365 * 86_400


def _cloud(served: Any) -> Cloud:
    user = served.world.access.users[served.world.access.root]
    key = UserKey(user.uid, Secret(user.api_key))
    return Cloud(key, Endpoint.single(served.url), limits=Limits.unlimited())


async def _sync(cloud: Cloud, store: Store, **options: Any) -> Outcome:
    return await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, since=YEARS, **options).run()


def _usable(served: Any) -> list[str]:
    return [one.oid for one in served.world.organizations if one is not served.world.unauthorized]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_store_that_follows_changes_of_every_kind_equals_one_that_is_filled_after_them(
    a_store: Any, seed: int
) -> None:
    following, fresh = a_store("following"), a_store("fresh")
    async with sandbox(seed=seed, orgs=7, detections=300) as served, _cloud(served) as cloud:
        await _sync(cloud, following)
        made = await make(cloud, _usable(served), Random(seed), len(CHANGES))
        await _sync(cloud, following)
        await _sync(cloud, fresh)
    assert set(made) == set(CHANGES)
    then, now = current(fresh), current(following)
    for table in then:
        assert now[table] == then[table], table


async def test_one_change_is_found_each_time_without_reading_everything(a_store: Any) -> None:
    store = a_store("following")
    async with sandbox(seed=5, orgs=4, detections=60) as served, _cloud(served) as cloud:
        oids, chance = _usable(served), Random(5)
        first = await _sync(cloud, store)
        waiting, number = sorted(CHANGES), 100
        while waiting:
            left = []
            for kind in waiting:
                before = current(store)
                number += 1
                if not await CHANGES[kind](Hand(cloud, oids[number % len(oids)], chance, number)):
                    left.append(kind)
                    continue
                outcome = await _sync(cloud, store)
                assert current(store) != before, f"{kind} was not found"
                assert outcome.requests < first.requests / 2, f"{kind} took {outcome.requests} requests"
            assert number < 1000, f"nothing was found to {left}"
            waiting = left


async def test_the_logs_of_groups_are_kept_also_of_groups_that_were_known_before_logs_were(
    a_store: Any,
) -> None:
    store = a_store("following")
    async with sandbox(seed=5, orgs=3, detections=10) as served, _cloud(served) as cloud:
        await _sync(cloud, store)
        groups = [each for each in served.world.access.groups if served.world.access.root in each.owners]
        kept = _logged(store)
        assert kept == {each.gid: [entry["action"] for entry in each.log] for each in groups}
        assert len(kept) >= 7
        # As a store is that an earlier version has filled: it knows the fingerprints of the logs alone.
        with store.writing() as connection:
            connection.execute(delete(AccessEvent).where(AccessEvent.source == "group"))
        await _sync(cloud, store)
        assert _logged(store) == kept


def _logged(store: Store) -> dict[str, list[str]]:
    """The actions of the groups' logs that are kept, oldest first, by gid."""
    with store.reader.reading() as connection:
        gids = ingest.group_logs_kept(connection)
        return {
            gid: [str(each.action) for each in found]
            for gid, found in timeline.of_groups(connection, gids).items()
        }
