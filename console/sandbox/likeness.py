"""Whether this limegrove's seeds still make what another one's made: a digest of a small provider."""

from dataclasses import astuple
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from console.sandbox import activity
from console.sandbox.world import World

ORGANIZATIONS, DETECTIONS = 12, 400
"""Small, and large enough that it has each kind of organization, rule, sensor and case."""
SENSORS, EACH = 3, 4


@lru_cache(maxsize=8)
def likeness(seed: int, now_ms: int) -> str:
    """The digest: 32 hexadecimal digits.

    Args:
        now_ms: the end of the past, milliseconds, UTC.
    """
    world = World(seed=seed, orgs=ORGANIZATIONS, detections=DETECTIONS, now_ms=now_ms)
    digest = blake2b(digest_size=16)
    digest.update(orjson.dumps([world.tree(), sorted(world.access.users), world.configuration.definitions]))
    for group in world.access.groups:
        digest.update(orjson.dumps([astuple(group)], option=orjson.OPT_NON_STR_KEYS))
    for one in world.organizations:
        digest.update(orjson.dumps(_seen(world, one.index)))
    return digest.hexdigest()


def _seen(world: World, index: int) -> list[Any]:
    one = world.organizations[index]
    deployed, access = world.configuration, world.access
    sensors = [world.sensor(one, number) for number in range(min(SENSORS, one.sensors))]
    end = world.now_ms
    return [
        astuple(one),
        [world.sensor_record(one, sensor) for sensor in sensors],
        [world.events.between(one, sensor, end - 3_600_000, end) for sensor in sensors],
        [world.detections.detection(index, number) for number in range(min(EACH, one.detections))],
        [world.cases.told(case).row() | {"events": case.events} for case in world.cases.seeded(one)[:EACH]]
        if world.cases.subscribed(one)
        else [],
        world.all_records(one),
        deployed.outputs(one),
        deployed.installation_keys(one),
        deployed.ingestion_keys(one),
        deployed.extensions(one),
        deployed.resources(one),
        deployed.values(one),
        access.direct(one),
        [astuple(key) for key in access.keys(one)],
        [world.audit.entry(one, number) for number in range(EACH)],
        activity.used_on(world.seed, one, "2026-01-31", weekend=True),
        world.quota(one),
        world.errors(one),
    ]
