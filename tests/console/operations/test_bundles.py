"""Bundles: written of a scope, checked, opened, and refused when they are too old or not for us."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import bundlefile
from console.operations import bundles
from console.operations.bundles import DAY, Bundle, Expired, FromTheFuture, Older, OtherSchema
from console.operations.files import FileError
from store import ingest, tree
from store.bundles import BadBundle
from store.database import Store
from store.queries.activity import journal
from store.queries.organizations import organizations
from tests.helpers.screens import NOW, detection, oid_of
from tests.helpers.signing import OURS, signer

SIGN = signer(purpose=bundlefile.KIND)


@pytest.fixture
def provider(a_store: Callable[..., Store]) -> Store:
    """Two customers below `gold`, one below `silver`; each has two alerts."""
    store = a_store()
    with store.writing() as c:
        names = ("Acme", "Borealis", "Delta")
        listed = [{"oid": oid_of(number), "name": name} for number, name in enumerate(names)]
        ingest.put_organizations(c, listed, complete=True, now=NOW)
        nodes = [
            tree.TreeNode("root", None, "All"),
            tree.TreeNode("gold", "root", "Gold"),
            tree.TreeNode("silver", "root", "Silver"),
        ]
        nodes += [
            tree.TreeNode(f"n{number}", "gold" if number < 2 else "silver", name, oid_of(number))
            for number, name in enumerate(names)
        ]
        tree.replace_tree(c, nodes)
        for number in range(3):
            oid = oid_of(number)
            made = [
                ingest.detection_from(detection(number * 2 + each, oid, at=NOW - each * 5 * DAY), oid)
                for each in (0, 1)
            ]
            ingest.put_detections(c, oid, made)
            for subject in ("configuration", "access", "detections"):
                ingest.put_sync_state(c, oid, subject, checked_at=NOW, attempted_at=NOW)
    return store


def export(store: Store, path: Path, node: str = "gold", **more: Any) -> Bundle:
    return bundles.export(store, node, path, sign=SIGN, key=OURS, operator="kim", **({"now": NOW} | more))


def altered(path: Path, **changes: Any) -> Path:
    """The same bundle, signed by the same key, with something else in its first line."""
    found = bundlefile.opened(path)
    rows = [(part.name, map(_json, found.lines(part))) for part in found.parts]
    target = path.with_name("altered")
    target.unlink(missing_ok=True)
    bundlefile.write(target, {**found.about, **changes}, rows, SIGN)
    return target


def _json(line: bytes) -> Any:
    import json

    return json.loads(line)


def test_a_scope_goes_out_and_comes_in_as_a_store_of_its_own(
    provider: Store, a_store: Callable[..., Store], tmp_path: Path
) -> None:
    made = export(provider, tmp_path / "b")
    assert (made.by, made.node, made.path, made.profile, made.unread) == (
        "kim",
        "gold",
        "Gold",
        "full",
        (),
    )
    assert made.names == {oid_of(0): "Acme", oid_of(1): "Borealis"}
    assert made.rows["detection"] == 4
    assert (made.made_at, made.expires_at) == (NOW, NOW + 30 * DAY)
    told: list[str] = []
    other = a_store("other")
    bundles.take(bundles.checked(tmp_path / "b", expected=OURS.fingerprint, now=NOW), other, told.append)
    with other.reader.reading() as c:
        assert [row.name for row in organizations(c, scope="", now=NOW)] == ["Acme", "Borealis"]
    assert told[-1] == "folding the alerts"


def test_that_it_was_made_is_in_the_journal(provider: Store, tmp_path: Path) -> None:
    export(provider, tmp_path / "b", profile="no-events", since=NOW - DAY)
    with provider.reader.reading() as c:
        [entry] = journal(c, limit=9)
    assert (entry.action, entry.target) == ("bundle.export", "gold")
    assert entry.detail == {
        "profile": "no-events", "organizations": 2, "since": NOW - DAY, "alerts": 2, "expires_at": NOW + 30 * DAY,
        "fingerprint": OURS.fingerprint,
    }  # fmt: skip


def test_what_is_not_whole_is_named_in_it(provider: Store, tmp_path: Path) -> None:
    with provider.writing() as c:
        ingest.put_sync_state(
            c, oid_of(1), "access", attempted_at=NOW, failure="auth", reason="The key was revoked."
        )
    assert export(provider, tmp_path / "b").unread == ((oid_of(1), "access", "The key was revoked."),)


def test_one_that_the_journal_does_not_name_does_not_stay(
    provider: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("store.journal.append", full)
    with pytest.raises(OSError, match="disk full"):
        export(provider, tmp_path / "b")
    assert list(tmp_path.glob("b*")) == []


def test_without_people_its_first_line_names_none_either(provider: Store, tmp_path: Path) -> None:
    with provider.writing() as c:
        ingest.put_sync_state(
            c, oid_of(1), "access", attempted_at=NOW, failure="auth", reason="lee@acme.example has no right."
        )
        listed = [{"oid": oid_of(0), "name": "kim@acme.example"}]
        ingest.put_organizations(c, listed, complete=False, now=NOW)
    made = export(provider, tmp_path / "b", profile="no-people")
    [(_, _, why)] = made.unread
    told = bundlefile.opened(tmp_path / "b")
    [state] = [part for part in told.parts if part.name == "sync_state"]
    rows = [_json(line) for line in told.lines(state)]
    assert b"acme.example" not in (tmp_path / "b").read_bytes().partition(b"\n")[0]
    assert why.endswith("@removed.invalid has no right.")
    assert why in {row["reason"] for row in rows}
    assert made.names[oid_of(0)].endswith("@removed.invalid")


def test_of_an_empty_scope_nothing_is_made(provider: Store, tmp_path: Path) -> None:
    with provider.writing() as c:
        tree.replace_tree(c, [*tree.stored_tree(c), tree.TreeNode("none", "root", "None")])
    with pytest.raises(BadBundle, match="no organization"):
        export(provider, tmp_path / "b", "none")
    with pytest.raises(FileError, match="no directory"):
        export(provider, tmp_path / "nowhere" / "b")
    assert not (tmp_path / "b").exists()


def test_one_is_read_until_its_last_day_and_not_after(provider: Store, tmp_path: Path) -> None:
    export(provider, tmp_path / "b", days=2)
    assert bundles.checked(tmp_path / "b", now=NOW + 2 * DAY - 1).made_at == NOW
    with pytest.raises(Expired, match="ask who made it"):
        bundles.checked(tmp_path / "b", now=NOW + 2 * DAY)
    with pytest.raises(FromTheFuture, match="look at the clock"):
        bundles.checked(tmp_path / "b", now=NOW - 2 * DAY)
    assert bundles.checked(tmp_path / "b", now=NOW - DAY // 2).made_at == NOW  # clocks differ


def test_one_of_another_version_says_which(provider: Store, tmp_path: Path) -> None:
    export(provider, tmp_path / "b")
    with pytest.raises(OtherSchema, match="schema 9999; this one reads"):
        bundles.checked(altered(tmp_path / "b", schema="9999"), now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"made_at": "now"}, {"made_at": True}, {"expires_at": 2**70}, {"profile": "whole"}, {"organizations": [["o1"]]},
        {"organizations": [["o1", 7]]}, {"since": 2**70}, {"unread": ["o1"]}, {"left_out": [None]}, {"since": "x"}, {"more": 1},
    ],
)  # fmt: skip
def test_a_first_line_that_is_signed_and_makes_no_sense_is_refused(
    provider: Store, tmp_path: Path, change: dict[str, Any]
) -> None:
    export(provider, tmp_path / "b")
    with pytest.raises(bundlefile.Malformed):
        bundles.checked(altered(tmp_path / "b", **change), now=NOW)


def test_an_organization_that_the_first_line_does_not_name_is_not_taken_in(
    provider: Store, a_store: Callable[..., Store], tmp_path: Path
) -> None:
    export(provider, tmp_path / "b")
    found = bundles.checked(altered(tmp_path / "b", organizations=[[oid_of(0), "Acme"]]), now=NOW)
    with pytest.raises(BadBundle, match="does not name"):
        bundles.take(found, a_store("other"))


def test_an_older_one_is_refused_once_a_newer_was_opened(provider: Store, tmp_path: Path) -> None:
    old = export(provider, tmp_path / "old", now=NOW)
    new = export(provider, tmp_path / "new", now=NOW + DAY)
    elsewhere = export(provider, tmp_path / "elsewhere", "silver", now=NOW)
    home = tmp_path / "home"
    bundles.refuse_older(home, old)
    bundles.remember(home, old)
    bundles.remember(home, new)
    bundles.refuse_older(home, new)
    bundles.refuse_older(home, elsewhere)
    with pytest.raises(Older, match="--older"):
        bundles.refuse_older(home, old)
    bundles.remember(home, old)
    with pytest.raises(Older):
        bundles.refuse_older(home, old)
    (home / bundles.SEEN).write_text("{")
    with pytest.raises(FileError, match="damaged"):
        bundles.refuse_older(home, old)
