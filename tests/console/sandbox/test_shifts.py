"""A provider whose staff has been at work: what they decided is found where an operator's decisions are."""

from collections.abc import Callable

import orjson
from sqlalchemy import func, select

from console.sandbox.shifts import HOUR, ON_DUTY, play
from console.sandbox.world import World
from store import ingest, journal
from store.database import Store
from store.models import Detection, Fold, TriageAction

NOW = 1_790_000_000_000
_D = Detection.__table__.c


def _filled(store: Store) -> World:
    world = World(seed=7, orgs=4, detections=300, now_ms=NOW)
    with store.writing() as connection:
        for organization in world.organizations:
            records = [
                ingest.detection_from(
                    orjson.dumps(world.detections.detection(organization.index, number)),
                    organization.oid,
                )
                for number in range(world.detections.count(organization.index))
            ]
            for at in range(0, len(records), 200):
                ingest.put_detections(connection, organization.oid, records[at : at + 200])
    return world


def test_the_past_was_decided_on_but_for_some_and_this_shift_is_open(a_store: Callable[[], Store]) -> None:
    store = a_store()
    world = _filled(store)
    closed = play(store, world.access.analysts, NOW)
    with store.reader.reading() as c:
        total = c.execute(select(func.count()).select_from(Detection)).scalar_one()
        old_open = c.execute(
            select(func.count()).where(_D.time < NOW - ON_DUTY - HOUR, _D.status < 2)
        ).scalar_one()
        new_closed = c.execute(
            select(func.count()).where(_D.time >= NOW - ON_DUTY, _D.status >= 2)
        ).scalar_one()
        late = c.execute(select(func.count()).where(_D.resolved_at < _D.time)).scalar_one()
        verdicts = c.execute(select(func.sum(Fold.false_positives), func.sum(Fold.true_positives))).one()
        actors = set(c.execute(select(TriageAction.actor)).scalars())
        assert journal.verify(c) is None
    assert closed > 0.9 * total
    assert 0 < old_open < 0.06 * total
    assert new_closed == 0
    assert late == 0, "nobody decides before it happened"
    assert verdicts[0] > verdicts[1] > 0
    assert actors <= set(world.access.analysts)
    assert len(actors) > 3


def test_two_plays_of_one_past_decide_the_same(a_store: Callable[[], Store]) -> None:
    told = []
    for _ in range(2):
        store = a_store()
        world = _filled(store)
        play(store, world.access.analysts, NOW)
        with store.reader.reading() as c:
            told.append(
                c.execute(
                    select(_D.detect_id, _D.status, _D.classification, _D.assignee).order_by(_D.detect_id)
                ).all()
            )
    assert told[0] == told[1]
