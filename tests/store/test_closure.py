"""The whole of access as bit masks, against every grant spelled out."""

import pytest

from store.closure import World
from store.database import Store
from tests.helpers.access_worlds import PERMISSIONS, world_of

NOW = 1_795_000_000_000


@pytest.mark.parametrize("seed", range(5))
def test_everything_that_holds_is_in_the_closure_and_nothing_else(store: Store, seed: int) -> None:
    plain = world_of(seed + 80, organizations=8, people=10, groups=7)
    plain.put(store, NOW)
    with store.reader.reading() as connection:
        world = World.load(connection)
    found = [
        (principal, name, oid) for principal, oid, mask in world.closure() for name in world.permissions(mask)
    ]
    assert len(set(found)) == len(found)
    assert set(found) == plain.effective()
    assert set(world.oids) == set(plain.organizations)
    assert set(PERMISSIONS) <= set(world.names)
