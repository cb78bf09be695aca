"""The matrix turned three ways, and what is staged in it, on a real store."""

import re

import pytest

from screens.access import Access
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.choose_organization import ChooseOrganization
from screens.dialogs.what_if import WhatIf
from screens.pivots import Cell, Staged, concerning, two_lines
from screens.requests import Back, PlanStaged, ShowAccess, ShowPlans, StageChanges, UnstageChanges
from store import accessplans, ingest
from store.accesschanges import AccessChange
from store.closure import World
from store.permissions import is_privileged
from store.queries.findings import findings
from store.queries.matrix import pivot_permission
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until
from tests.screens.test_access import ACME, grant, ready, rows, told

KIM, DANA, LEE = "kim@acme.example", "dana@provider.example", "lee@provider.example"


@pytest.fixture
def world_store(filled_store):
    """Acme Dental as `grant` has it, and a group that holds four organizations."""
    grant(filled_store)
    told(filled_store)
    with filled_store.writing() as connection:
        for number in range(1, 5):
            ingest.put_sync_state(connection, oid_of(number), "access", checked_at=NOW, attempted_at=NOW)
    return filled_store


async def on_cell(pilot, row: str, column: str) -> None:
    host = pilot.app
    host.view.table.go(row, column)
    await until(pilot, lambda: host.view.table.row.key == row)
    await still(pilot)


def stage(store, *changes: AccessChange) -> None:
    with store.writing() as connection:
        accessplans.stage(connection, "", changes, now=NOW)


def title(host: Host) -> str:
    return text_of(host).split("\n")[1]


async def test_one_key_turns_the_matrix_about_the_cell_and_back_leads_to_it(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        await pilot.press("v")
        await until(pilot, lambda: f"user {KIM}" in title(host))
        assert host.view.here == Cell(KIM, "user", "sensor.task", ACME)
        assert list(rows(host)) == [oid_of(0), oid_of(1), oid_of(2), oid_of(3)]
        assert "4 of 5 organizations" in title(host)
        await on_cell(pilot, oid_of(2), "sensor.task")
        await pilot.press("v")
        await until(pilot, lambda: "permission sensor.task" in title(host))
        assert host.view.here == Cell(KIM, "user", "sensor.task", oid_of(2))
        await pilot.press("v")
        await until(pilot, lambda: "Access   Cedar Clinic" in title(host))
        assert host.view.here == Cell(KIM, "user", "sensor.task", oid_of(2))
        for words, oid in (("permission sensor.task", 2), (f"user {KIM}", 2), ("Access   Acme Dental", 0)):
            await pilot.press("q")
            await until(pilot, lambda words=words: words in title(host))
            assert host.view.here == Cell(KIM, "user", "sensor.task", oid_of(oid))
        await pilot.press("q")
        assert host.asked == [Back()]


async def test_asked_for_somebody_the_cursor_stands_on_what_that_one_may_do_the_privileged_first(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        world = host.view._found.world
        for who in (KIM, DANA, LEE):
            held = world.held(who, ACME)
            assert held is not None
            host.view.show_asked(ShowAccess(ACME, principal=who))
            await until(pilot, lambda who=who: host.view.here.principal == who)
            await still(pilot)
            names = world.permissions(held.mask)
            assert host.view.here.permission in names
            assert is_privileged(host.view.here.permission) == any(map(is_privileged, names))


async def test_the_signs_are_the_same_from_every_side(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(160, 40)) as pilot:
        await ready(pilot, ACME)
        seen = {}
        for by in ("organization", "principal", "permission"):
            for kind, principal in (("user", KIM), ("user", LEE), ("group", "g-1"), ("key", "hash-1")):
                for permission in ("sensor.task", "dr.set", "dr.list", "apikey.ctrl"):
                    cell = Cell(principal, kind, permission, ACME)
                    host.view.show_cell(by, cell)
                    await until(pilot, lambda by=by: host.view._found.by == by)
                    await until(pilot, lambda cell=cell: host.view._found.cell == cell)
                    await still(pilot)
                    found = host.view._found
                    row, column = cell.place(by)
                    line = next((each for each in found.grid.rows if each.key == row), None)
                    seen.setdefault(cell, set()).add(line.cells.get(column, ".") if line else ".")
        assert {cell: signs for cell, signs in seen.items() if len(signs) != 1} == {}
        assert seen[Cell(KIM, "user", "sensor.task", ACME)] == {"B"}
        assert seen[Cell(LEE, "user", "dr.set", ACME)] == {"D"}
        assert seen[Cell("g-1", "group", "dr.list", ACME)] == {"G"}
        assert seen[Cell("hash-1", "key", "apikey.ctrl", ACME)] == {"K"}


async def test_rows_that_hold_nothing_are_shown_on_a_key_to_be_given_something(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        await pilot.press("v")
        await until(pilot, lambda: "4 of 5" in title(host))
        await pilot.press("A")
        await until(pilot, lambda: "5 of 5" in title(host))
        assert oid_of(4) in rows(host)
        await on_cell(pilot, oid_of(4), "org.get")
        await pilot.press("space")
        await until(pilot, lambda: bool(host.asked))
        assert host.asked == [
            StageChanges((AccessChange("grant", oid=oid_of(4), principal=KIM, permission="org.get"),))
        ]


async def test_organizations_that_could_not_be_read_are_named_above_the_other_two(world_store):
    with world_store.writing() as connection:
        ingest.put_sync_state(
            connection,
            oid_of(3),
            "access",
            attempted_at=NOW,
            failure="denied",
            reason="This key lacks user.ctrl.",
        )
    host = Host(world_store, Access)
    async with host.run_test(size=(120, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        await pilot.press("v")
        await until(
            pilot, lambda: "on 1 of 5 organizations: Delta Ltd, because This key lacks" in text_of(host)
        )


async def test_a_filter_is_of_its_side_and_knows_roles_domains_and_groups(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        for line, left in (
            ("domain:acme.example", [f"user:{KIM}"]),
            ("group:active has:dr.set", [f"user:{LEE}"]),
            ("role:owner", []),
            ("kind:key", ["key:hash-1"]),
        ):
            assert host.view.filter_by(line)
            await until(pilot, lambda left=left: list(rows(host)) == left)
        assert not host.view.filter_by("role:king")
        assert "king is no role" in text_of(host)
        assert not host.view.filter_by("host:x")
        await pilot.press("escape")
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        assert host.view.filter_by("user:kim")
        await still(pilot)
        await pilot.press("v")
        await until(pilot, lambda: f"user {KIM}" in title(host))
        assert "/user:kim" not in title(host)
        assert host.view.filter_by("cedar")
        await until(pilot, lambda: list(rows(host)) == [oid_of(2)])
        await pilot.press("v")
        await until(pilot, lambda: "permission" in title(host))
        assert not host.view.filter_by("has:dr.set")
        assert "Here every line has one permission" in text_of(host)


async def test_space_grants_directly_and_takes_a_direct_grant_away(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{DANA}", "dr.set")
        await pilot.press("space")
        await until(pilot, lambda: len(host.asked) == 1)
        await on_cell(pilot, f"user:{KIM}", "user.ctrl")
        await pilot.press("space")
        await until(pilot, lambda: len(host.asked) == 2)
        given = AccessChange("grant", oid=ACME, principal=DANA, permission="dr.set")
        taken = AccessChange("revoke", oid=ACME, principal=KIM, permission="user.ctrl")
        assert host.asked == [StageChanges((given,)), StageChanges((taken,))]
        stage(world_store, given, taken)
        await until(pilot, lambda: "staged: 2 changes" in text_of(host))
        cells = {row.key: row.cells for row in host.view._found.grid.rows}
        assert cells[f"user:{DANA}"]["dr.set"] == "+"
        assert cells[f"user:{KIM}"]["user.ctrl"] == "-"
        assert "[-!]" in text_of(host)
        await until(pilot, lambda: f"- staged: revoke user.ctrl from {KIM} on Acme Dental" in text_of(host))
        await pilot.press("space")
        await until(pilot, lambda: len(host.asked) == 3)
        assert host.asked[2] == UnstageChanges((taken,))


async def test_of_a_path_through_a_group_it_is_asked_what_is_to_go(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        for key, change in (
            ("l", AccessChange("remove_member", gid="g-1", principal=DANA)),
            ("t", AccessChange("remove_group_permission", gid="g-1", permission="sensor.get")),
            ("o", AccessChange("remove_org", gid="g-1", oid=ACME)),
        ):
            await on_cell(pilot, f"user:{DANA}", "sensor.get")
            await pilot.press("space")
            await until(pilot, lambda: isinstance(host.screen, ChooseOne))
            said = " ".join(text_of(host).replace("│", " ").split())
            assert "leave group active-responders: loses what it gives on 4 organizations" in said
            assert "take sensor.get from group active-responders: 3 members on 4 organizations" in said
            assert "take Acme Dental out of group active-responders: 3 members lose it" in said
            await pilot.press(key)
            await until(pilot, lambda: host.screen is host.view)
            await until(pilot, lambda change=change: host.asked[-1:] == [StageChanges((change,))])
        await pilot.press("space")
        await until(pilot, lambda: isinstance(host.screen, ChooseOne))
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing was staged." in text_of(host))
        assert len(host.asked) == 3


async def test_all_paths_go_by_the_smallest_cut(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        await pilot.press("space")
        await until(pilot, lambda: isinstance(host.screen, ChooseOne))
        assert "held by 2 paths: what is to go?" in text_of(host)
        await pilot.press("a")
        await until(pilot, lambda: bool(host.asked))
        (asked,) = host.asked
        with world_store.reader.reading() as connection:
            world = World.load(connection)
        assert world.can(KIM, "sensor.task", ACME) == "B"
        assert world.changed(asked.changes).can(KIM, "sensor.task", ACME) == ""


async def test_a_key_is_deleted_or_kept_whole_and_a_group_names_whom_it_concerns(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, "key:hash-1", "dr.list")
        await pilot.press("space")
        await until(pilot, lambda: "A key cannot be given more than it was made with" in text_of(host))
        await on_cell(pilot, "key:hash-1", "dr.set")
        await pilot.press("space")
        await until(pilot, lambda: isinstance(host.screen, ChooseOne))
        await pilot.press("d")
        await until(pilot, lambda: len(host.asked) == 1)
        assert host.asked == [StageChanges((AccessChange("delete_key", oid=ACME, principal="hash-1"),))]
        await on_cell(pilot, "group:g-1", "dr.set")
        await pilot.press("space")
        await until(
            pilot, lambda: "give dr.set to group active-responders: 3 members on 4 org" in text_of(host)
        )
        await pilot.press("g")
        await until(pilot, lambda: len(host.asked) == 2)
        assert host.asked[1] == StageChanges(
            (AccessChange("add_group_permission", gid="g-1", permission="dr.set"),)
        )


async def test_the_menu_stages_a_join_and_an_organization_for_a_group(world_store):
    with world_store.writing() as connection:
        ingest.put_groups(
            connection,
            [
                {"group_id": "g-1", "name": "active-responders", "owners": [], "members": [DANA], "orgs": [],
                 "perms": ["dr.list"]},
                {"group_id": "g-2", "name": "night shift", "owners": [], "members": [LEE], "orgs": [],
                 "perms": ["sensor.get"]},
            ],
            now=NOW,
        )  # fmt: skip
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        for key, change in (
            ("j", AccessChange("add_member", gid="g-2", principal=KIM)),
            ("o", AccessChange("add_org", gid="g-2", oid=ACME)),
        ):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(host.screen, ChooseOne))
            assert "not now: there is none." in text_of(host)
            await pilot.press(key)
            await until(pilot, lambda: isinstance(host.screen, ChooseOrganization))
            await pilot.press(*"night", "enter")
            await until(pilot, lambda change=change: host.asked[-1:] == [StageChanges((change,))])
            await until(pilot, lambda: host.screen is host.view)


async def test_before_and_after_stand_side_by_side_and_a_privileged_gain_is_called_out(world_store):
    stage(
        world_store,
        AccessChange("remove_member", gid="g-1", principal=KIM),
        AccessChange("add_group_permission", gid="g-1", permission="user.ctrl"),
    )
    host = Host(world_store, Access)
    async with host.run_test(size=(110, 34)) as pilot:
        await ready(pilot, ACME)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(host.screen, WhatIf))
        await still(pilot)
        said = text_of(host)
        assert "What if: 2 staged changes" in said
        assert "3 principals: 8 gained, 11 lost, on 4 organizations; 4 touched." in said
        assert f"! privileged gain: {DANA} user.ctrl on 4 organizations" in said
        assert re.search(rf"{DANA[:12]}\S+ +\+ user.ctrl! +\. +G +4: Acme Dental", said)
        assert re.search(rf"{KIM[:8]}\S+ +- sensor.get +G +\. +4: ", said)
        await pilot.press("x")
        await until(pilot, lambda: "The cursor is on the staged changes now" in text_of(host))
        await pilot.press("x")
        await until(pilot, lambda: len(host.asked) == 1)
        assert isinstance(host.asked[0], UnstageChanges)
        (out,) = host.asked[0].changes
        with world_store.writing() as connection:
            accessplans.unstage(connection, "", [out])
        await until(pilot, lambda: isinstance(host.screen, WhatIf) and "What if: 1 staged" in text_of(host))
        await pilot.press("P")
        await until(pilot, lambda: host.asked[-1:] == [PlanStaged()])
        assert host.guard.hits == 0


async def test_what_changes_nothing_for_anybody_says_so(world_store):
    stage(world_store, AccessChange("revoke", oid=ACME, principal=KIM, permission="sensor.task"))
    host = Host(world_store, Access)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot, ACME)
        cells = {row.key: row.cells for row in host.view._found.grid.rows}
        assert cells[f"user:{KIM}"]["sensor.task"] == "~"
        await pilot.press("w")
        await until(pilot, lambda: "Nobody gains or loses anything; 1 organization touched." in text_of(host))


async def test_keys_that_cannot_work_say_why_and_a_locked_console_stages_nothing(world_store):
    host = Host(world_store, Access)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        for key, why in (("space", "This console is read-only"), ("w", "Nothing is staged: space stages")):
            await pilot.press(key)
            await until(pilot, lambda why=why: why in text_of(host))
        await pilot.press("U")
        await until(pilot, lambda: host.asked == [ShowPlans()])


async def test_what_is_staged_for_somebody_who_is_nothing_there_gets_a_row(world_store):
    stage(world_store, AccessChange("grant", oid=oid_of(4), principal=KIM, permission="org.get"))
    host = Host(world_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, oid_of(4))
        await until(pilot, lambda: f"user:{KIM}" in rows(host))
        assert host.view._found.grid.rows[0].cells["org.get"] == "+"


async def test_the_newest_world_is_read_only_when_its_tables_changed(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        world = host.view._world
        await on_cell(pilot, f"user:{KIM}", "sensor.task")
        await pilot.press("v", "v", "u")
        await still(pilot)
        assert host.view._world is world
        stage(world_store, AccessChange("remove_org", gid="g-1", oid=ACME))
        await until(pilot, lambda: "staged: 1 change" in text_of(host))
        assert host.view._world is world
        with world_store.writing() as connection:
            ingest.put_access(connection, ACME, {"user_permissions": {KIM: ["org.get"]}}, now=NOW)
        await until(pilot, lambda: host.view._world is not world)


async def test_of_whom_something_is_wrong_a_sign_and_a_sentence_say_so(world_store):
    host = Host(world_store, Access)
    async with host.run_test(size=(110, 30)) as pilot:
        await ready(pilot, ACME)
        await until(pilot, lambda: host.view._marks is not None and host.view._marks[1] == ACME)
        with world_store.reader.reading() as connection:
            report = findings(connection, now=NOW, oid=ACME, use=False)
        wrong = {str(each.subject) for each in report.findings}
        assert KIM in wrong
        await until(pilot, lambda: "u! kim@acme.example" in text_of(host))
        await on_cell(pilot, f"user:{KIM}", "user.ctrl")
        sentence = next(each for each in report.findings if each.subject == KIM)
        words = f"! {sentence.kind}: {sentence.sentence}"[:60]
        await until(pilot, lambda: words in text_of(host))
        assert host.guard.hits == 0


def test_the_cells_of_a_row_differ_by_sign_only_where_something_changes():
    cells = Staged({"a": "D", "b": "G", "c": "B"}, {"a": "D", "c": "G", "d": "D"}, lambda key: False)
    assert dict(cells) == {"a": "D", "b": "-", "c": "~", "d": "+"}
    assert dict(Staged({"a": "G"}, {"a": "G"}, lambda key: True)) == {"a": "~"}


def test_a_staged_change_concerns_the_cells_that_it_decides_about(world_store):
    with world_store.reader.reading() as connection:
        world = World.load(connection)
    cell = Cell(KIM, "user", "sensor.task", ACME)
    near = [
        AccessChange("revoke", oid=ACME, principal=KIM, permission="sensor.task"),
        AccessChange("remove_user", oid=ACME, principal=KIM),
        AccessChange("remove_member", gid="g-1", principal=KIM),
        AccessChange("remove_org", gid="g-1", oid=ACME),
        AccessChange("remove_group_permission", gid="g-1", permission="sensor.task"),
    ]
    far = [
        AccessChange("revoke", oid=oid_of(1), principal=KIM, permission="sensor.task"),
        AccessChange("revoke", oid=ACME, principal=KIM, permission="dr.set"),
        AccessChange("remove_member", gid="g-1", principal=DANA),
        AccessChange("remove_org", gid="g-1", oid=oid_of(1)),
        AccessChange("remove_group_permission", gid="g-1", permission="dr.list"),
        AccessChange("add_owner", gid="g-1", principal=KIM),
    ]
    assert concerning([*near, *far], cell, world) == near


def test_a_long_name_of_an_organization_takes_two_lines():
    assert two_lines("Acme Dental") == ("Acme", "Dental")
    assert two_lines("Acme") == ("", "Acme")
    assert two_lines("Big Sky Air Cargo") == ("Big Sky", "Air Cargo")
    assert two_lines("Unpronounceable") == ("", "Unpronounceable")


def test_many_organizations_begin_folded_by_their_node(world_store):
    from screens.pivots import MOST_OPEN, grid

    with world_store.writing() as connection:
        ingest.put_organizations(
            connection,
            [{"oid": oid_of(100 + number), "name": f"Many {number}"} for number in range(MOST_OPEN)],
            complete=False,
            now=NOW,
        )
    with world_store.reader.reading() as connection:
        world = World.load(connection)
        pivot = pivot_permission(connection, "sensor.task", world=world)
        made = grid(pivot, None, (world, world))
    assert len(made.columns) == 5 + MOST_OPEN
    assert "Provider/Europe/Gold" in made.folded or "Europe/Gold" in made.folded
    row = next(row for row in made.rows if row.key == f"user:{KIM}")
    gold = [column for column in made.columns if column.category.endswith("Gold")]
    assert row.count(gold) == (2, "")


def test_picture_staged(world_store, snap_compare):
    """By organization: kim to lose user.ctrl, dana to gain it; line 4 from below says what the cell is to be."""
    stage(
        world_store,
        AccessChange("revoke", oid=ACME, principal=KIM, permission="user.ctrl"),
        AccessChange("grant", oid=ACME, principal=DANA, permission="user.ctrl"),
    )

    async def before(pilot) -> None:
        await ready(pilot, ACME)
        await pilot.press("u")
        await until(pilot, lambda: "detecti~" in text_of(pilot.app) or "detection" in text_of(pilot.app))
        await on_cell(pilot, f"user:{DANA}", "user.ctrl")
        await until(pilot, lambda: "+ staged: grant user.ctrl" in text_of(pilot.app))
        pilot.app.view.query_one("#keys").forget()
        await still(pilot)

    assert snap_compare(Host(world_store, Access), terminal_size=(80, 24), run_before=before)


def test_picture_by_permission(world_store, snap_compare):
    """By permission: who may task sensors where; the organizations by their nodes."""

    async def before(pilot) -> None:
        pilot.app.view.show_cell("permission", Cell(KIM, "user", "sensor.task", oid_of(1)))
        await until(pilot, lambda: "permission sensor.task" in text_of(pilot.app))
        await until(pilot, lambda: f"{KIM} has sensor.task on Borealis" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(world_store, Access), terminal_size=(80, 24), run_before=before)


def test_picture_by_principal(world_store, snap_compare):
    """By principal: where kim may do what."""

    async def before(pilot) -> None:
        pilot.app.view.show_cell("principal", Cell(KIM, "user", "sensor.task", ACME))
        await until(pilot, lambda: f"user {KIM}" in text_of(pilot.app))
        await until(pilot, lambda: f"{KIM} has sensor.task on Acme Dental" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(world_store, Access), terminal_size=(120, 30), run_before=before)


def test_picture_what_if(world_store, snap_compare):
    """Before and after: kim leaves, and the group comes to give user.ctrl."""
    stage(
        world_store,
        AccessChange("remove_member", gid="g-1", principal=KIM),
        AccessChange("add_group_permission", gid="g-1", permission="user.ctrl"),
    )

    async def before(pilot) -> None:
        await ready(pilot, ACME)
        await pilot.press("w")
        await until(pilot, lambda: "BEFORE AFTER" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(world_store, Access), terminal_size=(80, 24), run_before=before)
