"""Every view over a store that strangers filled: what is painted holds nothing that a terminal would obey."""

import re
from typing import Any

import pytest

from screens.access import Access
from screens.activity import Activity
from screens.alerts import Alerts
from screens.apikeys import ApiKeys
from screens.context import Scope
from screens.findings import Findings
from screens.guard import forbidden
from screens.organizations import Organizations
from screens.overview import Overview
from screens.reports import Reports
from screens.runs import Runs
from store.database import Store
from tests.helpers.hostile import fill_with_hostility, names
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

OWN = re.compile(r"\x1b\[[0-9;:]*m|\x1b\[[0-9]+;[0-9]+H|\n")

# What an operator does there: to the end and back, the detail, the document, folding, the filter.
KEYS: dict[Any, list[str]] = {
    Overview: ["j", "pagedown", "G", "g"],
    Organizations: ["enter", "j", "j", "j", "pagedown", "G", "enter", "g"],
    Alerts: [
        "enter",
        *["j"] * 12,
        *["pagedown"] * 6,
        "G",
        "J",
        "j",
        "j",
        "pagedown",
        "G",
        "escape",
        "g",
        "slash",
        "a",
        "escape",
    ],
    Access: ["j", "l", "l", "enter", "pagedown", "G"],
    Findings: ["j", "J", "pagedown", "G", "right_square_bracket", "g"],
    Reports: ["j", "J", "right_square_bracket", "pagedown", "G", "g"],
    Runs: ["j", "enter", "j", "J", "pagedown", "G", "g", "escape"],
    ApiKeys: ["j", "space", "J", "pagedown", "G", "g"],
    Activity: ["j", *["right_square_bracket", "j", "pagedown", "G"] * 3],
}


def painted(host: Host) -> list[str]:
    update = host.screen._compositor.render_update(full=True)
    assert update is not None
    return [ascii(part) for part in OWN.split(update.render_segments(host.console)) if forbidden(part)]


@pytest.fixture
def hostile_store(empty_store: Store) -> Store:
    fill_with_hostility(empty_store, NOW)
    return empty_store


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
@pytest.mark.parametrize("view", KEYS)
async def test_a_view_obeys_nothing_of_a_hostile_store(
    hostile_store: Store, view: Any, size: tuple[int, int]
):
    scope = Scope(node_id="n3", name=names()[3], oid=oid_of(3)) if view is Access else Scope()
    host = Host(hostile_store, view, scope=scope)
    seen = ""
    async with host.run_test(size=size) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        assert painted(host) == []
        for key in KEYS[view]:
            await pilot.press(key)
            await still(pilot)
            assert painted(host) == []
            seen += text_of(host)
        assert re.search(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", seen), "nothing hostile was on the screen"
        assert host.guard.hits == 0, host.guard.samples
