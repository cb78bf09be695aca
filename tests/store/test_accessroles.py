"""The roles that files gave: kept once a plan was applied, for the groups that have just what their role holds."""

import pytest
from sqlalchemy import Connection

from store import accessroles, ingest
from store.accessfile import AccessFile, read
from store.database import Store
from store.queries import accessfile

NOW = 1_795_528_800_000

FILE = """\
roles:
  Ours: {permissions: [org.get, dr.list]}
groups:
  - {name: One, role: Ours}
  - {name: Two, role: Ours}
  - {name: Open, role: Ours, open: [permissions]}
  - {name: Singly, permissions: [org.get]}
"""


def _groups(c: Connection, **held: list[str]) -> None:
    ingest.put_groups(
        c, [{"group_id": f"g-{name}", "name": name, "perms": perms} for name, perms in held.items()], now=NOW
    )


def _planned(c: Connection, text: str = FILE) -> AccessFile:
    file = read(text, accessfile.known(c))
    accessroles.remember(c, file, now=NOW)
    return file


def test_a_group_that_has_what_its_role_holds_is_written_down_and_no_other(store: Store) -> None:
    with store.writing() as c:
        file = _planned(c)
        assert accessroles.applied(c, accessroles.source_of(file), now=NOW) == 0
        # Made meanwhile, one of them in part only.
        _groups(
            c, One=["dr.list", "org.get"], Two=["org.get"], Open=["dr.list", "org.get"], Singly=["org.get"]
        )
        assert accessroles.applied(c, accessroles.source_of(file), now=NOW + 1) == 1
        assert accessroles.given(c) == {
            "g-One": accessroles.Given("g-One", "Ours", frozenset({"org.get", "dr.list"}), file.hash, NOW + 1)
        }


def test_what_was_written_down_before_is_not_written_again_and_another_role_takes_its_place(
    store: Store,
) -> None:
    with store.writing() as c:
        _groups(c, One=["dr.list", "org.get"])
        file = _planned(c)
        assert accessroles.applied(c, accessroles.source_of(file), now=NOW) == 1
        assert accessroles.applied(c, accessroles.source_of(file), now=NOW + 1) == 0
        other = _planned(c, FILE.replace("Ours", "Theirs"))
        assert accessroles.applied(c, accessroles.source_of(other), now=NOW + 2) == 1
        given = accessroles.given(c)["g-One"]
        assert (given.role, given.file_hash, given.applied_at) == ("Theirs", other.hash, NOW + 2)
        # What a file gave is a role that is known when the file is written from what is there.
        assert accessfile.known(c).given == {"Theirs": frozenset({"org.get", "dr.list"})}


@pytest.mark.parametrize("source", ["", "by hand", "access.yaml ", "access.yaml 0000"])
def test_a_plan_that_came_from_elsewhere_gives_no_role(store: Store, source: str) -> None:
    with store.writing() as c:
        _groups(c, One=["dr.list", "org.get"])
        _planned(c)
        assert accessroles.applied(c, source, now=NOW) == 0


def test_of_two_groups_of_a_new_name_none_is_taken_for_the_one_that_was_made(store: Store) -> None:
    with store.writing() as c:
        file = _planned(c)
        ingest.put_groups(
            c,
            [{"group_id": gid, "name": "One", "perms": ["dr.list", "org.get"]} for gid in ("g1", "g2")],
            now=NOW,
        )
        assert accessroles.applied(c, accessroles.source_of(file), now=NOW) == 0


def test_the_newest_files_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accessroles, "KEPT", 2)
    with store.writing() as c:
        _groups(c, One=["org.get", "dr.list"])
        known = accessfile.known(c)
        files = [read(f"{FILE}# {number}\n", known) for number in range(4)]
        for number, file in enumerate(files):
            accessroles.remember(c, file, now=NOW + number)
        found = [accessroles.applied(c, accessroles.source_of(file), now=NOW) for file in files]
    assert found == [0, 0, 1, 0]  # the fourth gives what the third has given
