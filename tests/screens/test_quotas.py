"""How full a quota is, said alike wherever it is said."""

import pytest

from screens.billing import Billing
from screens.context import Scope
from screens.organizations import Organizations
from screens.overview import Overview
from store import ingest
from tests.helpers.screens import Host, oid_of, still, text_of, until


@pytest.mark.parametrize(("used", "percent"), [(276.0, "111"), (247.9, "99"), (248.1, "101")])
@pytest.mark.usefixtures("sensors_read")
async def test_every_screen_says_the_same_percent_of_a_quota(filled_store, used, percent):
    with filled_store.writing() as connection:
        ingest.put_organization_facts(connection, oid_of(0), quota=248, quota_used=used)
    for screen, keys, said in (
        (Organizations, (), f"{percent}%"),
        (Organizations, ("enter",), f"quota 248, {percent}% used"),
        (Overview, (), f"{percent}%"),
        (Billing, ("v",), f"of 248 weighted sensors, {percent} %"),
    ):
        host = Host(filled_store, screen, scope=Scope("customer-0", "Acme Dental"))
        async with host.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda host=host: host.view.look != "loading")
            await still(pilot)
            await pilot.press(*keys)
            await until(pilot, lambda host=host, said=said: said in " ".join(text_of(host).split()))
