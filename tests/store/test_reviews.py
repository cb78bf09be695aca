"""Access reviews: what a line covers, who decides it, and what happens when the access changes meanwhile."""

import threading
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import ingest, reviews
from store.accesschanges import AccessChange
from store.configuration import content_hash
from store.database import Store
from store.reviews import ATTESTED, OPEN, REVOKED, ReviewError, ScopeGone, UnknownReview, Wanted
from store.tree import TreeNode, replace_tree
from tests.corpus.strings import everything
from tests.helpers.access_worlds import GroupOf, World, world_of
from tests.helpers.soak import examples

NOW = 1_795_528_800_000


def a_world() -> World:
    """Three organizations: one group of two members, direct grants that fold, keys that fold."""
    world = World(["org-0", "org-1", "org-2"], ["dana@p.example", "kim@acme.example", "lee@p.example"])
    world.groups["gid-0"] = GroupOf(
        "Analysts", {"dana@p.example"}, {"dana@p.example", "lee@p.example"}, {"org-0", "org-1"},
        {"dr.list", "sensor.get"},
    )  # fmt: skip
    world.direct["org-0", "kim@acme.example"] = {"user.ctrl", "dr.list"}
    world.direct["org-1", "kim@acme.example"] = {"user.ctrl", "dr.list"}
    world.direct["org-2", "kim@acme.example"] = {"dr.list"}
    world.keys["org-2", "hash-2"] = {"dr.set"}
    return world


def begun(store: Store, world: World | None = None, wanted: Wanted | None = None, **options: Any) -> int:
    (world or a_world()).put(store, NOW)
    with store.writing() as c:
        return reviews.start(c, "Q4", wanted or Wanted(), **({"by": "dana", "now": NOW} | options))


def lines_of(store: Store, review: int) -> list[reviews.Line]:
    with store.reader.reading() as c:
        return reviews.lines(c, review)


def one(store: Store, review: int, kind: str, principal: str, **also: Any) -> reviews.Line:
    found = [
        each
        for each in lines_of(store, review)
        if each.kind == kind
        and str(each.principal) == principal
        and all(getattr(each, name) == value for name, value in also.items())
    ]
    assert len(found) == 1, found
    return found[0]


def decide(
    store: Store, review: int, line: reviews.Line, verdict: int = ATTESTED, by: str = "dana", **options: Any
) -> reviews.Decided:
    with store.writing() as c:
        return reviews.decide(
            c, review, [(line.id, options.pop("version", line.version))], verdict,
            **({"by": by, "actor": f"{by}@host", "reason": "is so wanted", "now": NOW + 1000} | options),
        )  # fmt: skip


def again(store: Store, world: World, review: int, now: int = NOW + 60_000) -> reviews.Drift:
    world.put(store, now)
    with store.writing() as c:
        return reviews.refresh(c, review, now=now)


def test_a_line_is_a_principal_and_one_way_with_its_organizations_folded(store: Store) -> None:
    review = begun(store)
    told = [
        (each.kind, str(each.principal), str(each.group), each.permission_count, each.place_count)
        for each in lines_of(store, review)
    ]
    assert told == [
        ("member", "dana@p.example", "Analysts", 2, 2),
        ("owner", "dana@p.example", "Analysts", 2, 2),
        ("direct", "kim@acme.example", "", 2, 2),
        ("direct", "kim@acme.example", "", 1, 1),
        ("member", "lee@p.example", "Analysts", 2, 2),
        ("key", "name of hash-2", "", 1, 1),
    ]


def test_the_hash_of_a_line_names_the_permissions_and_organizations_that_it_covers(store: Store) -> None:
    review = begun(store)
    line = one(store, review, "direct", "kim@acme.example", place_count=2)
    with store.reader.reading() as c:
        lists = reviews.contents(c, [line.permissions, line.places])
    assert lists == {
        content_hash(["dr.list", "user.ctrl"]): ("dr.list", "user.ctrl"),
        content_hash(["org-0", "org-1"]): ("org-0", "org-1"),
    }
    assert line.digest == content_hash(["direct", "kim@acme.example", "", line.permissions, line.places])


def test_a_review_of_ten_thousand_organizations_is_hundreds_of_lines(a_store: Any) -> None:
    store = a_store()
    oids = [f"{number:08x}-1a2b-4c3d-8e9f-001122334455" for number in range(10_000)]
    people = [f"person-{number}@p.example" for number in range(200)]
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": oid, "name": oid[:8]} for oid in oids], complete=True, now=NOW)
        ingest.put_groups(
            c,
            [
                {
                    "group_id": f"gid-{number}", "name": f"Team {number}", "owners": people[:2],
                    "members": people[number::5], "perms": ["dr.list", f"team.{number}"],
                    "orgs": [{"org_id": oid, "org_name": ""} for oid in oids[number % 2 :: 2]],
                }
                for number in range(5)
            ],
            now=NOW,
        )  # fmt: skip
        for oid in oids:
            ingest.put_keys(c, oid, {f"k{oid[:8]}": {"name": "ci", "priv": ["dr.set"]}}, now=NOW)
        review = reviews.start(c, "all", Wanted(), by="dana", now=NOW)
    found = lines_of(store, review)
    assert len(found) == 200 + 5 * 2 + 1
    assert next(each for each in found if each.kind == "key").place_count == 10_000
    with store.reader.reading() as c:
        lists = reviews.contents(c, {each.places for each in found} | {each.permissions for each in found})
        assert len(lists) == 5 + 2 + 1 + 1  # teams of the same parity hold the same organizations
        assert len(c.exec_driver_sql("SELECT digest FROM review_content").all()) == len(lists)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(kinds=("key",)), ["name of hash-2"]),
        (Wanted(kinds=("owner",)), ["dana@p.example"]),
        (Wanted(principals=("*@ACME.example",)), ["kim@acme.example", "kim@acme.example"]),
        (Wanted(permission="user.ctrl"), ["kim@acme.example"]),
        (Wanted(permission="sensor.get", kinds=("member",)), ["dana@p.example", "lee@p.example"]),
    ],
)
def test_a_filter_says_what_is_reviewed(store: Store, wanted: Wanted, expected: list[str]) -> None:
    review = begun(store, wanted=wanted)
    assert [str(each.principal) for each in lines_of(store, review)] == expected


def test_a_scope_limits_what_a_line_covers_and_the_line_says_what_it_reaches_beyond(store: Store) -> None:
    a_world().put(store, NOW)
    with store.writing() as c:
        replace_tree(
            c,
            [
                TreeNode(id="root", parent=None, name="P"),
                TreeNode(id="gold", parent="root", name="Gold"),
                TreeNode(id="n0", parent="gold", name="Zero", oid="org-0"),
            ],
        )
        review = reviews.start(c, "gold", Wanted(scope="gold"), by="dana", now=NOW)
        assert reviews.review(c, review).scope_name == "Gold"
    told = {
        (each.kind, str(each.principal)): (each.place_count, each.outside) for each in lines_of(store, review)
    }
    assert told == {
        ("member", "dana@p.example"): (1, 1),
        ("owner", "dana@p.example"): (1, 1),
        ("member", "lee@p.example"): (1, 1),
        ("direct", "kim@acme.example"): (1, 1),
    }


def test_a_review_whose_node_left_the_tree_is_not_taken_for_one_whose_access_is_gone(store: Store) -> None:
    a_world().put(store, NOW)
    root = TreeNode(id="root", parent=None, name="P")
    with store.writing() as c:
        replace_tree(
            c,
            [
                root,
                TreeNode(id="gold", parent="root", name="Gold"),
                TreeNode(id="n0", parent="gold", name="Zero", oid="org-0"),
            ],
        )
        review = reviews.start(c, "gold", Wanted(scope="gold"), by="dana", now=NOW)
    before = lines_of(store, review)
    with store.writing() as c:
        replace_tree(c, [root])
    with pytest.raises(ScopeGone, match="The node Gold of review 1"), store.writing() as c:
        reviews.refresh(c, review, now=NOW + 5)
    assert lines_of(store, review) == before


@pytest.mark.parametrize(
    ("title", "wanted", "why"),
    [
        (" ", Wanted(), "needs a title"),
        ("x" * 4001, Wanted(), "at most 4,000"),
        ("x", Wanted(kinds=("wizard",)), "no kind 'wizard'"),
        ("x", Wanted(principals=("nobody",)), "nothing to review"),
        ("x", Wanted(permission="does.not"), "nothing to review"),
        ("x", Wanted(scope="no such node"), "nothing to review"),
    ],
)
def test_what_cannot_be_reviewed_is_refused_in_a_sentence(
    store: Store, title: str, wanted: Wanted, why: str
) -> None:
    a_world().put(store, NOW)
    with pytest.raises(ReviewError, match=why), store.writing() as c:
        reviews.start(c, title, wanted, by="dana", now=NOW)
    with store.reader.reading() as c:
        assert reviews.reviews(c) == []


def test_a_decision_says_who_when_why_and_what_exactly(store: Store) -> None:
    review = begun(store)
    line = one(store, review, "member", "lee@p.example")
    assert decide(store, review, line, reason=" needs it for the shift ").done == (line.id,)
    after = one(store, review, "member", "lee@p.example")
    assert (after.standing, str(after.decided_by), after.decided_at, str(after.reason), after.decided_digest) == (
        "attested", "dana", NOW + 1000, "needs it for the shift", line.digest,
    )  # fmt: skip
    with store.reader.reading() as c:
        (told,) = reviews.history(c, review, line.id)
        progress = reviews.review(c, review).progress
    assert (str(told.by), str(told.actor), told.digest, told.permissions) == (
        "dana", "dana@host", line.digest, line.permissions,
    )  # fmt: skip
    assert (progress.lines, progress.attested, progress.left, progress.done) == (6, 1, 5, 1)


def test_who_decides_second_is_told_who_was_first(store: Store) -> None:
    review = begun(store)
    line = one(store, review, "member", "lee@p.example")
    decide(store, review, line, by="dana")
    for version in (line.version, None):
        lost = decide(store, review, line, REVOKED, by="kim", version=version)
        assert lost.done == ()
        assert lost.refused[0].why.startswith("dana attested it at 2026-11-24T14:00:01Z (is so wanted)")
    assert one(store, review, "member", "lee@p.example").standing == "attested"
    assert decide(store, review, line, by="dana", version=None).unchanged == (line.id,)


def test_of_two_reviewers_at_once_each_line_has_one(store: Store) -> None:
    review = begun(store, world_of(7, organizations=6, people=12, groups=8))
    found = lines_of(store, review)
    wanted = [(line.id, line.version) for line in found]
    came: dict[str, reviews.Decided] = {}
    ready = threading.Barrier(2)

    def run(who: str) -> None:
        done: list[int] = []
        refused: list[reviews.Refused] = []
        # A store of its own, as another process has: what keeps them apart is the database.
        with closing(Store(store.url)) as mine:
            ready.wait()
            for each in wanted if who == "dana" else reversed(wanted):
                with mine.writing() as c:
                    one_of = reviews.decide(
                        c, review, [each], ATTESTED, by=who, actor=who, reason=f"says {who}", now=NOW
                    )
                done += one_of.done
                refused += one_of.refused
        came[who] = reviews.Decided(tuple(done), (), tuple(refused))

    threads = [threading.Thread(target=run, args=(who,)) for who in ("dana", "kim")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(came["dana"].done) | set(came["kim"].done) == {line.id for line in found}
    assert not set(came["dana"].done) & set(came["kim"].done)
    for who, other in (("dana", "kim"), ("kim", "dana")):
        assert all(each.why.startswith(f"{other} attested it") for each in came[who].refused)
    for line in lines_of(store, review):
        assert line.id in came[str(line.decided_by)].done
    with store.reader.reading() as c:
        assert len(reviews.history(c, review)) == len(found)


def test_a_decision_is_taken_back_and_the_record_keeps_both(store: Store) -> None:
    review = begun(store)
    line = one(store, review, "member", "lee@p.example")
    decide(store, review, line)
    decided = one(store, review, "member", "lee@p.example")
    assert decide(store, review, decided, OPEN, by="kim", reason="").done == (line.id,)
    assert one(store, review, "member", "lee@p.example").standing == "open"
    with store.reader.reading() as c:
        assert [(each.verdict, str(each.by)) for each in reviews.history(c, review, line.id)] == [
            (ATTESTED, "dana"), (OPEN, "kim"),
        ]  # fmt: skip
    undecided = one(store, review, "member", "lee@p.example")
    assert decide(store, review, undecided, OPEN).refused[0].why == "Nothing was decided about it."


@pytest.mark.parametrize(
    ("options", "why"), [({"reason": "  "}, "needs a reason"), ({"reason": "x" * 4001}, "at most 4,000")]
)
def test_a_decision_without_a_proper_reason_is_none(store: Store, options: Any, why: str) -> None:
    review = begun(store)
    line = lines_of(store, review)[0]
    with pytest.raises(ReviewError, match=why):
        decide(store, review, line, **options)
    assert lines_of(store, review)[0] == line


def test_a_number_that_is_no_line_decides_nothing_at_all(store: Store) -> None:
    review = begun(store)
    line = lines_of(store, review)[0]
    with pytest.raises(UnknownReview, match="no line 999"), store.writing() as c:
        reviews.decide(
            c, review, [(line.id, None), (999, None)], ATTESTED, by="d", actor="d", reason="r", now=NOW
        )
    assert lines_of(store, review)[0] == line
    with pytest.raises(UnknownReview, match="no review 77"), store.reader.reading() as c:
        reviews.review(c, 77)


def test_attested_access_that_changed_meanwhile_is_decided_again_and_says_how_it_differs(
    store: Store,
) -> None:
    world = a_world()
    review = begun(store, world)
    line = one(store, review, "member", "lee@p.example")
    decide(store, review, line)
    world.groups["gid-0"].permissions.add("sensor.task")
    world.groups["gid-0"].organizations.add("org-2")
    moved = again(store, world, review)
    assert len(moved.changed) == 3  # both members, and the owner
    changed = one(store, review, "member", "lee@p.example")
    assert changed.standing == "changed"
    with store.reader.reading() as c:
        assert reviews.difference(c, changed) == reviews.Difference(
            permissions_added=("sensor.task",), places_added=("org-2",)
        )
        assert reviews.review(c, review).progress.changed == 1
    assert decide(store, review, line).refused[0].why.startswith("Its access changed since it was looked at")
    assert decide(store, review, changed, by="kim").done == (line.id,)
    after = one(store, review, "member", "lee@p.example")
    assert (after.standing, after.decided_digest) == ("attested", changed.digest)


def test_access_that_changed_and_changed_back_is_as_it_was_attested(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    decide(store, review, one(store, review, "member", "lee@p.example"))
    world.groups["gid-0"].permissions.add("sensor.task")
    again(store, world, review)
    world.groups["gid-0"].permissions.discard("sensor.task")
    again(store, world, review, NOW + 120_000)
    assert one(store, review, "member", "lee@p.example").standing == "attested"


def test_access_that_came_since_is_a_new_line_and_what_went_needs_no_decision(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    attested = one(store, review, "member", "lee@p.example")
    decide(store, review, attested)
    world.groups["gid-0"].members = {"dana@p.example", "kim@acme.example"}
    again(store, world, review)
    assert one(store, review, "member", "lee@p.example").standing == "gone"
    new = one(store, review, "member", "kim@acme.example")
    assert (new.standing, new.added_at) == ("open", NOW + 60_000)
    assert decide(store, review, one(store, review, "member", "lee@p.example"), REVOKED).refused[0].why == (
        "Its access is there no more: nothing is left to decide."
    )
    world.groups["gid-0"].members.add("lee@p.example")
    again(store, world, review, NOW + 120_000)
    assert one(store, review, "member", "lee@p.example").standing == "changed"


def test_direct_grants_that_differ_on_one_organization_leave_their_fold(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    folded = one(store, review, "direct", "kim@acme.example", place_count=2)
    decide(store, review, folded)
    world.direct["org-1", "kim@acme.example"].add("billing.ctrl")
    again(store, world, review)
    known = next(each for each in lines_of(store, review) if each.id == folded.id)
    assert (known.standing, known.place_count, known.permission_count) == ("changed", 1, 2)
    assert one(store, review, "direct", "kim@acme.example", permission_count=3).standing == "open"


def test_a_review_that_is_as_the_access_is_writes_nothing(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    heard: list[Any] = []
    store.on_change(heard.append)
    with store.writing() as c:
        assert not reviews.refresh(c, review, now=NOW + 5)
    assert heard == []


def test_what_was_revoked_is_taken_away_by_changes_of_exactly_what_was_decided(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    for line in lines_of(store, review):
        decide(store, review, line, REVOKED)
    with store.reader.reading() as c:
        found = reviews.lines(c, review)
        taking = reviews.to_take(c, found)
    assert {change for changes in taking.values() for change in changes} == {
        AccessChange("remove_member", gid="gid-0", principal="dana@p.example"),
        AccessChange("remove_owner", gid="gid-0", principal="dana@p.example"),
        AccessChange("remove_member", gid="gid-0", principal="lee@p.example"),
        AccessChange("remove_user", oid="org-0", principal="kim@acme.example"),
        AccessChange("remove_user", oid="org-1", principal="kim@acme.example"),
        AccessChange("remove_user", oid="org-2", principal="kim@acme.example"),
        AccessChange("delete_key", oid="org-2", principal="hash-2"),
    }


def test_what_was_revoked_and_is_partly_taken_stays_revoked_but_what_grew_is_decided_again(
    store: Store,
) -> None:
    world = a_world()
    review = begun(store, world)
    line = one(store, review, "direct", "kim@acme.example", place_count=2)
    decide(store, review, line, REVOKED)
    taken = world.direct.pop(("org-1", "kim@acme.example"))
    again(store, world, review)
    half = next(each for each in lines_of(store, review) if each.id == line.id)
    assert (half.standing, half.place_count) == ("revoked", 1)
    with store.reader.reading() as c:
        assert reviews.to_take(c, [half]) == {
            line.id: [AccessChange("remove_user", oid="org-0", principal="kim@acme.example")]
        }
    world.direct["org-0", "kim@acme.example"].add("billing.ctrl")
    again(store, world, review, NOW + 120_000)
    grown = next(each for each in lines_of(store, review) if each.id == line.id)
    assert grown.standing == "changed"
    with store.reader.reading() as c:
        assert reviews.to_take(c, [grown]) == {}
    del world.direct["org-0", "kim@acme.example"]
    again(store, world, review, NOW + 180_000)
    assert next(each for each in lines_of(store, review) if each.id == line.id).standing == "taken"
    assert taken


def test_a_review_is_closed_once_and_whole_or_said_to_be_incomplete(store: Store) -> None:
    world = a_world()
    review = begun(store, world)
    with pytest.raises(ReviewError, match="6 of 6 lines"), store.writing() as c:
        reviews.close(c, review, by="dana", now=NOW + 5)
    for line in lines_of(store, review):
        decide(store, review, line)
    with store.writing() as c:
        closed = reviews.close(c, review, by="dana", now=NOW + 5)
    assert (closed.closed_at, str(closed.closed_by)) == (NOW + 5, "dana")
    with pytest.raises(ReviewError, match="closed by dana"):
        decide(store, review, lines_of(store, review)[0], OPEN)
    with pytest.raises(ReviewError, match="closed by dana already"), store.writing() as c:
        reviews.close(c, review, by="kim", now=NOW + 6)
    before = lines_of(store, review)
    world.groups["gid-0"].members.clear()
    assert not again(store, world, review)
    assert lines_of(store, review) == before


def test_how_well_each_organization_was_known_is_kept_when_a_review_is_closed(store: Store) -> None:
    review = begun(store)
    with store.writing() as c:
        ingest.put_sync_state(
            c, "org-1", "access", attempted_at=NOW + 1, failure="denied", reason="This key lacks user.ctrl."
        )
        reviews.close(c, review, by="dana", now=NOW + 5, incomplete=True)
        ingest.put_sync_state(c, "org-1", "access", checked_at=NOW + 9, attempted_at=NOW + 9)
        found = reviews.readings_of(c, reviews.review(c, review))
    told = {each.oid: (each.access_at, each.whole, str(each.reason)) for each in found if each.oid}
    assert told == {
        "org-0": (NOW, True, ""), "org-1": (NOW, False, "This key lacks user.ctrl."), "org-2": (NOW, True, ""),
    }  # fmt: skip


def test_hostile_names_are_kept_exactly_and_come_back(store: Store) -> None:
    world = World(["org-0"], [])
    for number, text in enumerate(everything()[:200]):
        world.keys["org-0", f"hash-{number}"] = {f"p.{number}"}
        world.keys["org-0", f"named {number} {text}".replace("\0", "")] = {f"q.{number}"}
    usable = {
        key: names
        for key, names in world.keys.items()
        if key[1].encode("utf-8", "replace").decode() == key[1]
    }
    world.keys = usable
    review = begun(store, world)
    assert len(lines_of(store, review)) == len(usable)
    assert not again(store, world, review)


@pytest.mark.soak
@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), later=st.integers(0, 10_000))
def test_the_lines_cover_every_grant_of_a_random_world_and_no_other(
    a_store: Any, seed: int, later: int
) -> None:
    store = a_store(f"world-{seed}-{later}")
    world = world_of(seed)
    world.put(store, NOW)
    try:
        with store.writing() as c:
            review = reviews.start(c, "random", Wanted(), by="dana", now=NOW)
    except ReviewError:
        assert not world.effective()
        return
    for number, other in enumerate((world, world_of(later))):
        other.organizations = world.organizations
        again(store, other, review, NOW + 1000 * number)
        with store.reader.reading() as c:
            found = [
                each for each in reviews.lines(c, review) if each.gone_at is None and each.kind != "owner"
            ]
            lists = reviews.contents(
                c, {each.places for each in found} | {each.permissions for each in found}
            )
        told = {
            (place.partition(" ")[2] or str(line.principal), permission, place.partition(" ")[0])
            for line in found
            for place in lists[line.places]
            for permission in lists[line.permissions]
        }
        assert told == other.effective()


@pytest.mark.soak
@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), later=st.integers(0, 10_000), chosen=st.integers(0, 1_000_000))
def test_comparing_some_lines_finds_of_them_what_comparing_all_finds(
    a_store: Any, seed: int, later: int, chosen: int
) -> None:
    store = a_store(f"some-{seed}-{later}-{chosen}")
    world, other = world_of(seed), world_of(later)
    world.put(store, NOW)
    try:
        with store.writing() as c:
            review = reviews.start(c, "random", Wanted(), by="dana", now=NOW)
    except ReviewError:
        return
    other.organizations = world.organizations
    other.put(store, NOW + 1000)
    with store.reader.reading() as c:
        lines = reviews.lines(c, review)
        some = [each.id for number, each in enumerate(lines) if chosen >> (number % 20) & 1]
        mine, part = reviews.compared(c, review, some)
        _, whole = reviews.compared(c, review)
    about = {each.id for each in mine}
    assert set(some) <= about
    assert set(part.gone) == set(whole.gone) & about
    assert dict(part.changed) == {number: each for number, each in whole.changed if number in about}
