"""The clocks of an organization's alerts follow what its own Cases are configured to."""

from typing import Any

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations import caseclocks
from console.operations.sync import Sync
from store import sla
from store.database import Store
from store.queries.cases import subscribed
from store.secret import Secret
from tests.helpers.sandboxes import sandbox

YEARS = 10 * 365 * 86_400
MINUTE = 60_000


def _cloud(served: Any) -> Cloud:
    user = served.world.access.users[served.world.access.root]
    key = UserKey(user.uid, Secret(user.api_key))
    return Cloud(key, Endpoint.single(served.url), limits=Limits.unlimited())


async def _sync(cloud: Cloud, store: Store) -> None:
    await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, since=YEARS).run()


def _targets(store: Store, oid: str) -> sla.Targets:
    with store.reader.reading() as c:
        return sla.targets(c, oid)


async def test_what_cases_say_is_read_and_forgotten_with_them(a_store: Any, monkeypatch: Any) -> None:
    store = a_store()
    async with sandbox(seed=3, orgs=6, detections=200) as served, _cloud(served) as cloud:
        await _sync(cloud, store)
        with store.reader.reading() as c:
            oid, *_ = sorted(subscribed(c))
            assert sla.case_configurations(c).keys() == subscribed(c)
        assert _targets(store, oid).sources == ("cases",) * 5
        assert _targets(store, oid).acknowledge == sla.DEFAULT.acknowledge

        organization = cloud.organization(oid)
        wanted = await organization.case_configuration()
        wanted["sla_config"]["high"] = {"mtta_minutes": 3, "mttr_minutes": 9}
        await organization.set_case_configuration(wanted)
        await _sync(cloud, store)
        assert _targets(store, oid).acknowledge[3] == 15 * MINUTE  # was asked within the day
        monkeypatch.setattr(caseclocks, "AGAIN_AFTER", 0)
        await _sync(cloud, store)
        found = _targets(store, oid)
        assert (found.acknowledge[3], found.resolve[3]) == (3 * MINUTE, 9 * MINUTE)

        await organization.unsubscribe_extension("ext-cases")
        await _sync(cloud, store)
        assert _targets(store, oid) == sla.DEFAULT


async def test_each_is_asked_once_and_not_more_than_a_few_are_asked_again(
    a_store: Any, monkeypatch: Any
) -> None:
    store = a_store()
    async with sandbox(seed=3, orgs=6, detections=50) as served, _cloud(served) as cloud:
        await _sync(cloud, store)
        with store.reader.reading() as c:
            first = sla.case_configurations(c)
            assert first.keys() == subscribed(c)
        assert len(first) > 2
        monkeypatch.setattr(caseclocks, "AGAIN_AFTER", 0)
        monkeypatch.setattr(caseclocks, "MOST", 1)
        await _sync(cloud, store)
        with store.reader.reading() as c:
            again = sla.case_configurations(c)
        assert len(first.items() - again.items()) == 1
