"""The permission matrix of one organization, on a real store."""

import re

import pytest

from screens.access import Access
from screens.context import Scope
from screens.dialogs.choose_organization import ChooseOrganization
from screens.pivots import columns_of
from screens.requests import Back, ShowAlerts, ShowOrganization
from store import ingest
from store.database import Store
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

ACME = oid_of(0)
HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def grant(store: Store, *, extra: str = "") -> None:
    """On Acme Dental: dana through a group, lee both ways, kim directly, and a key."""
    direct = {
        "kim@acme.example": ["sensor.task", "user.ctrl"],
        "lee@provider.example": ["dr.set", "dr.list"],
    }
    if extra:
        direct[extra] = ["org.get"]
    with store.writing() as connection:
        ingest.put_groups(
            connection,
            [
                {
                    "group_id": "g-1",
                    "name": "active-responders",
                    "owners": ["root@provider.example"],
                    "members": ["dana@provider.example", "lee@provider.example"],
                    "orgs": [{"org_id": ACME, "org_name": "Acme Dental"}],
                    "perms": ["dr.list", "sensor.get", "sensor.task"],
                }
            ],
            now=NOW,
        )
        ingest.put_access(connection, ACME, {"user_permissions": direct}, now=NOW)
        ingest.put_keys(
            connection,
            ACME,
            {"hash-1": {"name": "ci-deploy[bulk]", "priv": ["dr.set", "apikey.ctrl"]}},
            now=NOW,
        )
        for subject in ("access", "keys"):
            ingest.put_sync_state(connection, ACME, subject, checked_at=NOW - 180_000, attempted_at=NOW)


@pytest.fixture
def granted_store(filled_store):
    grant(filled_store)
    return filled_store


async def ready(pilot, oid: str = "") -> None:
    host = pilot.app
    if oid:
        host.view.show_organization(oid)
    await until(pilot, lambda: host.view.look != "loading")
    await still(pilot)


async def settled(pilot, host: Host, words: str) -> None:
    await until(pilot, lambda: words in text_of(host))


def rows(host: Host) -> dict[str, str]:
    matrix = host.view.table
    return {row.key: matrix.render_line(3 + n).text for n, row in enumerate(matrix._rows)}


async def test_users_groups_and_keys_stand_beside_their_permissions(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        await pilot.press("u")
        assert list(rows(host)) == [
            "user:dana@provider.example",
            "user:kim@acme.example",
            "user:lee@provider.example",
            "group:g-1",
            "key:hash-1",
        ]
        signs = {key: line.split()[-6:] for key, line in rows(host).items()}
        assert host.view.table.render_line(2).text.split()[-6:] == [
            "ctrl!",
            "ctrl!",
            "get",
            "task",
            "list",
            "set",
        ]
        assert signs["user:dana@provider.example"][1:] == [".", "G", "G", "G", "."]
        assert signs["user:kim@acme.example"] == [".", "D!", ".", "D", ".", "."]
        assert signs["user:lee@provider.example"] == [".", ".", "G", "G", "B", "D"]
        assert signs["group:g-1"] == [".", ".", "G", "G", "G", "."]
        assert signs["key:hash-1"] == ["K!", ".", ".", ".", ".", "K"]
        assert "5 principals, 6 permissions held   read 3m ago" in text_of(host)
        assert host.guard.hits == 0


async def test_the_cell_under_the_cursor_is_explained(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, ACME)
        await pilot.press("u")
        host.view.table.go("user:lee@provider.example", "dr.list")
        await settled(
            pilot, host, "lee@provider.example has dr.list on Acme Dental: direct; group active-responders"
        )
        assert "also held by 1 user, 1 group" in text_of(host)
        host.view.table.go("user:kim@acme.example", "user.ctrl")
        await settled(pilot, host, "kim@acme.example has user.ctrl on Acme Dental: direct")
        assert "! privileged" in text_of(host)
        assert "held by nobody else" in text_of(host)
        host.view.table.go("user:dana@provider.example", "dr.set")
        await settled(pilot, host, "dana@provider.example has not dr.set on Acme Dental")
        assert "held by 1 user, 1 key" in text_of(host)
        host.view.table.go("key:hash-1", "dr.set")
        await settled(pilot, host, "Key ci-deploy[bulk] has dr.set on Acme Dental: of the key itself")
        await pilot.press("z")
        await settled(pilot, host, "has 1 of the 2 permissions of detection on Acme Dental")


async def test_owners_of_a_group_do_not_receive_what_it_grants(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test() as pilot:
        await ready(pilot, ACME)
        assert "user:root@provider.example" not in rows(host)


async def test_a_filter_keeps_principals_and_permissions(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        assert host.view.filter_by("user:kim perm:sensor.")
        await still(pilot)
        assert list(rows(host)) == ["user:kim@acme.example"]
        assert {column.group for column in host.view.table._columns} == {"sensor"}
        assert "1 of 5 principals" in text_of(host)
        assert host.view.filter_by("kind:key")
        await still(pilot)
        assert list(rows(host)) == ["key:hash-1"]
        assert host.view.filter_by("has:dr.set")
        await still(pilot)
        assert list(rows(host)) == ["user:lee@provider.example", "key:hash-1"]
        assert not host.view.filter_by("kind:robot")
        assert "robot is no kind" in text_of(host)
        assert host.view.filter_by("nobody")
        await still(pilot)
        await settled(pilot, host, "Nothing matches the filter")
        await pilot.press("escape")
        await still(pilot)
        assert len(rows(host)) == 5
        await pilot.press("escape")
        assert host.asked == [Back()]


async def test_not_known_is_another_thing_than_nobody(filled_store):
    with filled_store.writing() as connection:
        ingest.put_sync_state(
            connection,
            oid_of(3),
            "access",
            attempted_at=NOW,
            failure="denied",
            reason="This key lacks user.ctrl.",
        )
        for subject in ("access", "keys"):
            ingest.put_sync_state(connection, oid_of(1), subject, checked_at=NOW - 60_000, attempted_at=NOW)
    host = Host(filled_store, Access)
    async with host.run_test() as pilot:
        await ready(pilot)
        assert "No organization is chosen." in text_of(host)
        host.view.show_organization(oid_of(3))
        await settled(
            pilot, host, "Not known: who may do what on Delta Ltd, because This key lacks user.ctrl."
        )
        host.view.show_organization(oid_of(1))
        await settled(pilot, host, "Nobody has access to Borealis Foods")
        host.view.show_organization(oid_of(2))
        await settled(pilot, host, "Not known: who may do what on Cedar Clinic, because it was never read")
        host.view.show_organization("no-such-oid")
        await settled(pilot, host, "who may do what on no-such-oid, because no organization")


async def test_a_part_that_could_not_be_read_is_named_above_the_matrix(granted_store):
    with granted_store.writing() as connection:
        ingest.put_sync_state(
            connection, ACME, "keys", attempted_at=NOW, failure="denied", reason="This key lacks apikey.ctrl."
        )
    host = Host(granted_store, Access)
    async with host.run_test() as pilot:
        await ready(pilot, ACME)
        assert "~ 3m old: API keys, because This key lacks apikey.ctrl." in text_of(host)


async def test_an_organization_outside_the_scope_is_not_shown(granted_store):
    host = Host(granted_store, Access, scope=Scope("silver", "Europe/Silver"))
    async with host.run_test() as pilot:
        await ready(pilot, ACME)
        assert "Acme Dental is outside the scope Europe/Silver." in text_of(host)
        assert "kim@acme.example" not in text_of(host)
        host.go(Scope("gold", "Europe/Gold"))
        await settled(pilot, host, "kim@acme.example")


async def test_a_scope_of_one_organization_chooses_it(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test() as pilot:
        await ready(pilot)
        host.go(Scope("customer-0", "Acme Dental", ACME))
        await settled(pilot, host, "Access   Acme Dental")


async def test_another_organization_is_chosen_by_typing(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test() as pilot:
        await ready(pilot, oid_of(2))
        await pilot.press("O")
        await until(pilot, lambda: isinstance(host.screen, ChooseOrganization))
        assert "5 of 5" in text_of(host)
        await pilot.press(*"ac")
        await settled(pilot, host, "1 of 5")
        await pilot.press("enter")
        await settled(pilot, host, "Access   Acme Dental")
        await pilot.press("O")
        await until(pilot, lambda: isinstance(host.screen, ChooseOrganization))
        await pilot.press("down", "enter")
        await settled(pilot, host, "Borealis Foods")
        await pilot.press("O")
        await until(pilot, lambda: isinstance(host.screen, ChooseOrganization))
        await pilot.press("escape")
        await until(pilot, lambda: host.screen is host.view)
        assert "Borealis Foods" in text_of(host)


async def test_next_and_previous_walk_the_scope_and_keys_go_elsewhere(granted_store):
    host = Host(granted_store, Access, scope=Scope("gold", "Europe/Gold"))
    async with host.run_test() as pilot:
        await ready(pilot)
        await pilot.press("n")
        await settled(pilot, host, "Access   Acme Dental")
        await pilot.press("t", "a")
        assert host.asked == [ShowOrganization(ACME), ShowAlerts(f"oid:{ACME}")]
        await pilot.press("n")
        await settled(pilot, host, "Borealis Foods")
        await pilot.press("n")
        await settled(pilot, host, "Access   Acme Dental")


async def test_a_strangers_name_cannot_steer_the_terminal(filled_store):
    grant(filled_store, extra=HOSTILE)
    with filled_store.writing() as connection:
        ingest.put_organizations(connection, [{"oid": ACME, "name": HOSTILE}], complete=False, now=NOW)
    host = Host(filled_store, Access)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, ACME)
        await settled(pilot, host, "\\x1b]0;x\\x07")
        await pilot.press("O")
        await until(pilot, lambda: isinstance(host.screen, ChooseOrganization))
        await still(pilot)
        assert host.guard.hits == 0
        assert host.is_running


def told(store: Store) -> None:
    """The audit log tells of kim's grant, and the group holds organizations of other customers."""
    with store.writing() as connection:
        ingest.put_audit(
            connection,
            ACME,
            [
                {
                    "time": NOW - 86_400_000 * 9,
                    "etype": "config_change",
                    "ident": "root@provider.example",
                    "entity": {"type": "user", "name": "kim@acme.example"},
                    "mtd": {"permission": "sensor.task", "action": "add"},
                }
            ],
        )
        ingest.put_groups(
            connection,
            [
                {
                    "group_id": "g-1",
                    "name": "active-responders",
                    "owners": ["root@provider.example"],
                    "members": ["dana@provider.example", "lee@provider.example", "kim@acme.example"],
                    "orgs": [{"org_id": oid_of(number)} for number in range(4)],
                    "perms": ["dr.list", "sensor.get", "sensor.task"],
                }
            ],
            now=NOW,
        )


async def explaining(pilot, row: str, permission: str, words: str) -> str:
    """Open the pane on a cell; what it says, on one line."""
    host = pilot.app
    await ready(pilot, ACME)
    await pilot.press("u")
    host.view.table.go(row, permission)
    await pilot.press("enter")
    return await why(pilot, words)


async def why(pilot, words: str) -> str:
    def said() -> str:
        lines = str(pilot.app.view.query_one("#why-text").render()).split("\n")
        return re.sub(r"\s*\n     (?! )", " ", "\n".join(line.rstrip() for line in lines))

    await until(pilot, lambda: words in said())
    return said()


async def test_enter_explains_a_cell_by_its_paths_and_smallest_cuts(granted_store):
    told(granted_store)
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        said = await explaining(pilot, "user:kim@acme.example", "sensor.task", "smallest cut")
        lines = said.split("\n")
        assert lines[0] == " kim@acme.example has sensor.task on Acme Dental, by 2 paths"
        assert lines[1] == "   1 direct grant, since 2026-11-15 by root@provider.example (audit log)"
        assert lines[2] == (
            "   2 group active-responders: 4 organizations, 3 members, owned by root@provider.example; "
            "since when: not known"
        )
        # Out of the group, dana loses three here, kim two and lee two, who has dr.list directly as well. If kim
        # left, it would be eleven, and as many if the group gave sensor.task no more.
        assert lines[3].startswith(" smallest cut: revoke the direct grant; take the organization out of")
        assert lines[3].endswith("(2 changes, 1 organization, 7 other grants lost)")
        assert "also held by 2 users, 1 group" in said
        await pilot.press("enter")
        assert not host.view.query_one("#why").display
        assert host.view.query_one("#explanation").display
        assert host.guard.hits == 0


async def test_the_explanation_follows_the_cursor_and_says_why_not(granted_store):
    told(granted_store)
    host = Host(granted_store, Access)
    async with host.run_test(size=(120, 40)) as pilot:
        await explaining(pilot, "user:kim@acme.example", "sensor.task", "smallest cut")
        host.view.table.go("user:dana@provider.example", "dr.set")
        said = await why(pilot, "dana@provider.example has not dr.set")
        assert (
            "nearest: a member of group active-responders, which holds this organization, not dr.set" in said
        )
        assert "no direct grant here" in said
        host.view.table.go("key:hash-1", "dr.set")
        said = await why(pilot, "Key ci-deploy[bulk] has dr.set")
        assert "smallest cut: delete the key   (1 change, 1 organization, 1 other grant lost)" in said
        host.view.table.go("group:g-1", "dr.list")
        said = await why(pilot, "Group active-responders has dr.list")
        assert "the group gives it to its 3 members on 4 organizations" in said
        await pilot.press("z")
        said = await why(pilot, "z unfolds the category")
        assert "has 1 of the 2 permissions of detection" in said
        await pilot.press("escape")
        assert not host.view.query_one("#why").display
        assert host.asked == []


async def test_the_explanation_is_read_again_when_access_changes(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await explaining(pilot, "user:kim@acme.example", "sensor.task", "by 1 path")
        told(granted_store)
        await why(pilot, "by 2 paths")


async def test_what_was_never_read_is_not_said_to_be_missing(granted_store):
    from store.models import SyncState

    with granted_store.writing() as connection:
        connection.execute(SyncState.__table__.delete().where(SyncState.__table__.c.subject == "keys"))
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await explaining(pilot, "key:hash-1", "dr.list", "is not known to have dr.list")


async def test_the_pane_needs_a_cell_and_scrolls_only_while_open(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert host.view.why_not("why") == "There is no cell under the cursor."
        await ready(pilot, ACME)
        await until(pilot, lambda: host.view.why_not("why") == "")
        assert host.view.why_not("scroll_why") == "The explanation is closed: enter opens it."
        await pilot.press("enter", "question_mark")
        await settled(pilot, host, "Why this cell is so")


async def test_an_explanation_that_could_not_be_read_says_so(granted_store):
    host = Host(granted_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, ACME)
        host.context.reader = BrokenReader()
        await pilot.press("enter")
        await why(pilot, "The explanation could not be read: the disk is gone")


async def test_strangers_names_in_an_explanation_cannot_steer_the_terminal(filled_store):
    grant(filled_store, extra=HOSTILE)
    with filled_store.writing() as connection:
        ingest.put_groups(
            connection,
            [
                {
                    "group_id": HOSTILE, "name": HOSTILE, "owners": [HOSTILE], "members": [HOSTILE],
                    "orgs": [{"org_id": ACME}], "perms": ["org.get", HOSTILE],
                }
            ],
            now=NOW,
        )  # fmt: skip
    host = Host(filled_store, Access)
    async with host.run_test(size=(80, 24)) as pilot:
        for permission in (HOSTILE, "org.get"):
            await explaining(pilot, f"user:{HOSTILE}", permission, "smallest cut")
            assert "\\x1b]0;x\\x07" in text_of(host)
            await pilot.press("enter")
        assert host.guard.hits == 0
        assert host.is_running


def test_unknown_permissions_get_a_column_too():
    columns = columns_of(["dr.set", "brand.new.thing", "odd"])
    assert [(column.group, column.label) for column in columns] == [
        ("dr", "set"),
        ("brand", "new.thing"),
        ("odd", "odd"),
    ]
    assert [column.risky for column in columns_of(["user.ctrl", "dr.set"])] == [True, False]


def test_picture_full(granted_store, snap_compare):
    """Five principals, kim's user.ctrl under the cursor with its mark, explained below."""

    async def before(pilot) -> None:
        await ready(pilot, ACME)
        await pilot.press("u", "j", "l")
        await until(pilot, lambda: "has user.ctrl on Acme Dental: direct" in text_of(pilot.app))
        await still(pilot)
        pilot.app.view.query_one("#keys").forget()
        await still(pilot)

    assert snap_compare(Host(granted_store, Access), terminal_size=(80, 24), run_before=before)


def test_picture_wide(granted_store, snap_compare):
    """All known permissions, as many as fit; the others are counted at the left."""

    async def before(pilot) -> None:
        await ready(pilot, ACME)
        await until(pilot, lambda: "dana@provider.example has not" in text_of(pilot.app))
        await still(pilot)

    assert snap_compare(Host(granted_store, Access), terminal_size=(120, 40), run_before=before)


def test_picture_empty(granted_store, snap_compare):
    """No organization is chosen: how to choose one."""
    assert snap_compare(Host(granted_store, Access), terminal_size=(80, 24), run_before=ready)


def test_picture_failed(granted_store, snap_compare):
    """The store could not be read: one sentence."""
    host = Host(granted_store, Access, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)


def test_picture_why(granted_store, snap_compare):
    """Kim's sensor.task at length: two paths, the smallest cut with what it touches; the matrix above."""
    told(granted_store)

    async def before(pilot) -> None:
        await explaining(pilot, "user:kim@acme.example", "sensor.task", "smallest cut")
        await still(pilot)

    assert snap_compare(Host(granted_store, Access), terminal_size=(80, 24), run_before=before)


def test_picture_why_not_wide(granted_store, snap_compare):
    """Why dana has not dr.set, beside the matrix."""
    told(granted_store)

    async def before(pilot) -> None:
        await explaining(pilot, "user:dana@provider.example", "dr.set", "nearest")
        await still(pilot)

    assert snap_compare(Host(granted_store, Access), terminal_size=(120, 40), run_before=before)
