"""What is wrong with who may do what, on a real store."""

import pytest

from screens.context import Scope
from screens.dialogs.what_if import WhatIf
from screens.findings import Findings
from screens.requests import (
    Back,
    PlanChanges,
    PlanStaged,
    ShowAccess,
    ShowOrganization,
    StageChanges,
    UnstageChanges,
)
from store import accessplans, ingest
from store.accesschanges import AccessChange
from store.database import Store
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"
LEAVE = AccessChange("remove_member", gid="g-1", principal="kim@acme.example")
TAKE = AccessChange("remove_group_permission", gid="g-1", permission="user.ctrl")


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def grant(store: Store, *, name: str = "active-responders", key: str = "siem") -> None:
    """Kim of Acme stands in a group over all customers, which gives user.ctrl; a key works from anywhere."""
    oids = [oid_of(number) for number in range(5)]
    owners = ["root@provider.example", "deputy@provider.example"]
    ownership = ["apikey.ctrl", "billing.ctrl", "org.del", "user.ctrl"]
    with store.writing() as connection:
        ingest.put_groups(
            connection,
            [
                {
                    "group_id": "g-1",
                    "name": name,
                    "owners": owners,
                    "members": ["dana@provider.example", "kim@acme.example"],
                    "orgs": [{"org_id": oid, "org_name": oid} for oid in oids[:4]],
                    "perms": ["dr.list", "sensor.get", "user.ctrl"],
                }
            ],
            now=NOW,
        )
        for oid in oids:
            ingest.put_access(
                connection, oid, {"user_permissions": dict.fromkeys(owners, ownership)}, now=NOW
            )
            keys = {f"hash-{oid}": {"name": key, "priv": ["dr.list"], "by": owners[0], "last_used": NOW}}
            ingest.put_keys(connection, oid, keys if oid in oids[:2] else {}, now=NOW)
            for subject in ("access", "keys"):
                ingest.put_sync_state(connection, oid, subject, checked_at=NOW, attempted_at=NOW)
        ingest.put_sync_state(connection, "", "groups", checked_at=NOW, attempted_at=NOW)


@pytest.fixture
def mistaken_store(filled_store):
    grant(filled_store)
    return filled_store


async def ready(pilot) -> None:
    host = pilot.app
    await until(pilot, lambda: host.view.look != "loading")
    await still(pilot)


async def settled(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


async def test_the_worst_stands_first_with_its_reach_and_its_remedy(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert [each.kind for each in host.view._shown] == ["leak", "privileged_group", "key_anywhere"]
        shown = text_of(host)
        assert "3 1 crit 1 high 1 med" in " ".join(shown.splitlines()[1].split())
        assert "CRIT kim@acme.example" in shown
        await settled(pilot, "may act on 4 organizations of 4 customers by the group active-responders")
        assert "remedy: Takes the user out of the group." in shown
        await pilot.press("j")
        await settled(pilot, "active-responders gives user.ctrl to 2 members on 4 organizations")
        assert host.guard.hits == 0


async def test_space_stages_the_remedy_and_takes_it_out_again(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        assert host.asked == [StageChanges((LEAVE,))]
        with mistaken_store.writing() as connection:
            accessplans.stage(connection, host.context.operator, [LEAVE], now=NOW)
        await settled(pilot, "1 staged")
        await settled(pilot, "remedy, staged:")
        assert any(line.startswith("> + !! CRIT") for line in text_of(host).splitlines())
        await pilot.press("space", "P")
        assert host.asked[1:] == [UnstageChanges((LEAVE,)), PlanStaged()]


async def test_what_no_machine_can_choose_is_not_staged_and_the_lines_are_offered(mistaken_store):
    with mistaken_store.writing() as connection:
        direct = {"root@provider.example": ["apikey.ctrl", "billing.ctrl", "org.del", "user.ctrl"]}
        ingest.put_access(connection, oid_of(4), {"user_permissions": direct}, now=NOW)
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("slash", *"kind:single_owner", "enter")
        await settled(pilot, "1 of 4")
        await settled(pilot, "grant EMAIL user.ctrl 'Église Saint-Roch'")
        await pilot.press("space")
        await settled(pilot, "No machine can choose what takes this away")
        assert host.asked == []


async def test_what_if_is_about_the_remedy_while_nothing_is_staged(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "w")
        await until(pilot, lambda: isinstance(host.screen, WhatIf))
        await settled(pilot, "What if: 1 change")
        await settled(pilot, "2 principals: 0 gained, 8 lost, on 4 organizations")
        await pilot.press("x")
        await settled(pilot, "None of this is staged.")
        await pilot.press("P")
        await until(pilot, lambda: host.asked)
        asked = host.asked[0]
        assert isinstance(asked, PlanChanges)
        assert asked.changes == (TAKE,)
        assert asked.source == "finding"


async def test_a_read_only_console_looks_and_does_not_stage(mistaken_store):
    host = Host(mistaken_store, Findings)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await settled(pilot, "This console is read-only.")
        assert host.asked == []


async def test_a_low_terminal_shows_findings_and_not_their_detail_alone(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(60, 15)) as pilot:
        await ready(pilot)
        await settled(pilot, "remedy: ")
        assert len([row for row in text_of(host).splitlines() if " CRIT " in row or " HIGH " in row]) == 2


async def test_it_leads_to_the_matrix_and_the_tree_and_back(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter", "t", "j", "enter", "j", "enter", "q")
        first = oid_of(0)
        assert host.asked == [
            ShowAccess(first, principal="kim@acme.example"),
            ShowOrganization(first),
            ShowAccess(first, principal="g-1", kind="group", permission="user.ctrl"),
            ShowAccess(first, principal=f"hash-{first}", kind="key"),
            Back(),
        ]


async def test_a_filter_keeps_kinds_severities_names_and_what_is_staged(mistaken_store):
    host = Host(mistaken_store, Findings)

    def kinds() -> list[str]:
        return [each.kind for each in host.view._shown]

    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for words, left in (
            ("sev:high", ["leak", "privileged_group"]),
            ("kind:leak kind:key_anywhere", ["leak", "key_anywhere"]),
            ("borealis", ["leak", "privileged_group", "key_anywhere"]),
            ("delta", ["leak", "privileged_group"]),
            ("dana", ["privileged_group"]),
            ("is:staged", []),
        ):
            host.view.filter_by(words)
            await still(pilot)
            assert kinds() == left, words
        await settled(pilot, "Nothing matches the filter; esc forgets it.")
        await pilot.press("escape")
        await settled(pilot, "3 1 crit")
        await pilot.press("slash", *"kind:nonsense", "enter")
        await settled(pilot, "nonsense is no kind")
        assert len(kinds()) == 3


async def test_brackets_go_from_kind_to_kind(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for words in ("/kind:leak", "/kind:privileged_group", "/kind:key_anywhere"):
            await pilot.press("right_square_bracket")
            await settled(pilot, words)
        await pilot.press("right_square_bracket")
        await settled(pilot, "Findings 3 1 crit")
        await pilot.press("left_square_bracket")
        await settled(pilot, "/kind:key_anywhere")


async def test_it_follows_the_store_and_the_scope(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        host.go(Scope("customer-2", "Cedar Clinic", oid_of(2)))
        await settled(pilot, "2 1 crit 1 high")
        await until(pilot, lambda: [len(each.oids) for each in host.view._shown] == [1, 1])
        host.go(Scope("customer-4", "Église Saint-Roch", oid_of(4)))
        await settled(pilot, "Nothing is wrong with who may do what, as far as could be looked for.")
        await settled(pilot, "as the owners of groups have")


async def test_hostile_names_are_shown_and_not_obeyed(filled_store):
    grant(filled_store, name=HOSTILE, key=HOSTILE)
    host = Host(filled_store, Findings)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("j", "w")
        await until(pilot, lambda: isinstance(host.screen, WhatIf))
        await still(pilot)
        await pilot.press("escape", "j", "j")
        await still(pilot)
        assert host.guard.hits == 0


def test_picture_full(mistaken_store, snap_compare):
    async def before(pilot):
        await ready(pilot)
        await pilot.press("j")
        await settled(pilot, "active-responders gives user.ctrl to 2 members")
        await still(pilot)

    assert snap_compare(Host(mistaken_store, Findings), terminal_size=(80, 24), run_before=before)


def test_picture_wide(mistaken_store, snap_compare):
    async def before(pilot):
        with mistaken_store.writing() as connection:
            accessplans.stage(connection, "", [LEAVE], now=NOW)
        await ready(pilot)
        await settled(pilot, "remedy, staged:")
        await still(pilot)

    assert snap_compare(Host(mistaken_store, Findings), terminal_size=(120, 40), run_before=before)


async def test_what_was_never_read_is_not_said_to_be_well(filled_store):
    host = Host(filled_store, Findings)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "Not known: who may do what was never read.")


async def test_what_could_not_be_looked_for_stands_above(mistaken_store):
    host = Host(mistaken_store, Findings)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await settled(pilot, "~ 3 gaps: No access.yaml was applied from here")


def test_picture_empty(mistaken_store, snap_compare):
    host = Host(mistaken_store, Findings, scope=Scope("customer-4", "Église Saint-Roch", oid_of(4)))
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    host = Host(filled_store, Findings, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
