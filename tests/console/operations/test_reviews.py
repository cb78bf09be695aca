"""A review from its first line to what became of it in the cloud, over a real socket, against the sandbox."""

from pathlib import Path

import pytest

from console import signing
from console.operations import accessplans, reviews
from console.sandbox.faults import Rule
from store.database import Store
from store.reviews import ATTESTED, REVOKED, Line, ScopeGone, Wanted, came_of, lines
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.console.test_signing import OURS, signer
from tests.helpers.accessplans import OPERATOR, Provider, provider
from tests.store.test_reviews import a_world


def all_lines(found: Provider, review: int) -> list[Line]:
    with found.store.reader.reading() as c:
        return lines(c, review)


def came(found: Provider, review: int, line: int) -> str:
    with found.store.reader.reading() as c:
        return came_of(c, lines(c, review), now=now_ms())[line].words


def revoke(found: Provider, review: int, *chosen: Line) -> None:
    decided = reviews.decide(
        found.store,
        review,
        [(each.id, each.version) for each in chosen],
        REVOKED,
        operator=OPERATOR,
        reason="left",
    )
    assert len(decided.done) == len(chosen)


async def test_what_was_revoked_is_gone_from_the_cloud_after_its_plan_and_nothing_else_is(
    store: Store,
) -> None:
    async with provider(store) as found:
        review = reviews.start(store, "Q4", Wanted(), operator=OPERATOR).id
        owned = {group.gid for group in found.groups}
        known = all_lines(found, review)
        member = next(each for each in known if each.kind == "member" and each.gid in owned)
        direct = next(each for each in known if each.kind == "direct" and each.place_count == 1)
        key = next(each for each in known if each.kind == "key" and each.place_count == 1)
        before = found.state()
        revoke(found, review, member, direct, key)
        assert found.changes() == []
        planned = reviews.plan(store, review, operator=OPERATOR)
        assert (planned.lines, planned.changes) == (3, 3)
        assert found.changes() == []
        outcome = await accessplans.apply(planned.plan, store=store, cloud=found.cloud, operator=OPERATOR)
        assert outcome.state == "applied"
        reviews.refresh(store, review)
        now = {each.id: each.standing for each in all_lines(found, review)}
        assert [now[each.id] for each in (member, direct, key)] == ["taken"] * 3
        others = [each for each in all_lines(found, review) if each.id not in (member.id, direct.id, key.id)]
        assert {each.standing for each in others} == {"open"}
        after = found.state()
        assert str(member.principal) not in _members(found, member.gid)
        assert before != after
        assert len(found.changes()) == 3
        assert came(found, review, member.id) == f"plan {planned.plan}: 1 of 1 changes made"


def _members(found: Provider, gid: str) -> set[str]:
    return set(next(group.members for group in found.served.world.access.groups if group.gid == gid))


async def test_a_change_that_the_cloud_refuses_is_told_on_its_line_and_planned_again(
    one_store: Store,
) -> None:
    async with provider(one_store) as found:
        found.served.faults.add(
            Rule("status", status=403, method="DELETE", path="/v1/groups/*/users", count=None)
        )
        review = reviews.start(one_store, "Q4", Wanted(kinds=("member",)), operator=OPERATOR).id
        owned = {group.gid for group in found.groups}
        member = next(each for each in all_lines(found, review) if each.gid in owned)
        revoke(found, review, member)
        planned = reviews.plan(one_store, review, operator=OPERATOR)
        outcome = await accessplans.apply(planned.plan, store=one_store, cloud=found.cloud, operator=OPERATOR)
        assert not outcome.whole
        reviews.refresh(one_store, review)
        line = next(each for each in all_lines(found, review) if each.id == member.id)
        assert line.standing == "revoked"
        assert came(found, review, member.id).startswith(f"plan {planned.plan}: 0 of 1 changes made; ")
        assert reviews.plan(one_store, review, operator=OPERATOR).plan == planned.plan + 1


async def test_the_evidence_tells_what_came_of_what_was_revoked(one_store: Store, tmp_path: Path) -> None:
    async with provider(one_store) as found:
        review = reviews.start(one_store, "Q4", Wanted(kinds=("key",)), operator=OPERATOR).id
        known = all_lines(found, review)
        revoke(found, review, known[0])
        planned = reviews.plan(one_store, review, operator=OPERATOR)
        await accessplans.apply(planned.plan, store=one_store, cloud=found.cloud, operator=OPERATOR)
        rest = [(each.id, each.version) for each in known[1:]]
        if rest:
            reviews.decide(one_store, review, rest, ATTESTED, operator=OPERATOR, reason="in use")
        reviews.close(one_store, review, operator=OPERATOR)
        made = reviews.export(
            one_store.reader, review, tmp_path, sign=signer(purpose=reviews.KIND), key=OURS, operator=OPERATOR
        )
    payload = reviews.verify(made.directory, expected=OURS.fingerprint).payload
    line = next(each for each in payload["lines"] if each["line"] == known[0].id)
    assert (line["standing"], line["verdict"], line["plan"]) == ("taken", "revoked", planned.plan)
    assert line["came_of_it"].endswith("changes made")
    assert payload["progress"]["undecided"] == 0


def test_a_document_that_contradicts_itself_is_refused_although_it_is_signed(
    one_store: Store, tmp_path: Path
) -> None:
    """Whoever has the key may sign anything: what the hashes name is looked at too."""
    a_world().put(one_store, now_ms())
    review = reviews.start(one_store, "Q4", Wanted(), operator=OPERATOR).id
    with one_store.reader.reading() as c:
        payload, _ = reviews.evidence(c, review, operator=OPERATOR, now=now_ms())
    payload["files"] = {}
    for wrong, change in (
        ("Line", lambda: payload["lines"][0].update(principal="somebody@else.example")),
        ("list", lambda: payload["lists"].update({next(iter(payload["lists"])): ["user.ctrl"]})),
    ):
        change()
        file = tmp_path / "evidence.json"
        file.write_bytes(signing.document(reviews.KIND, payload, signer(purpose=reviews.KIND)))
        with pytest.raises(signing.Changed, match=wrong):
            reviews.verify(file, expected=OURS.fingerprint)


def test_a_signed_document_that_is_no_evidence_or_names_strange_files_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    sign = signer(purpose=reviews.KIND)
    for payload in ({"about": {}}, {"lists": {}, "lines": [], "files": {"../../etc/passwd": "x"}}):
        file.write_bytes(signing.document(reviews.KIND, payload, sign))
        with pytest.raises(signing.NoDocument, match="It is signed, and"):
            reviews.verify(file, expected=OURS.fingerprint)


def test_a_review_whose_node_is_gone_is_closed_only_as_incomplete_and_its_evidence_says_so(
    one_store: Store,
) -> None:
    world = a_world()
    world.put(one_store, now_ms())
    root = TreeNode(id="root", parent=None, name="P")
    with one_store.writing() as c:
        replace_tree(c, [root, TreeNode(id="gold", parent="root", name="Gold", oid="org-0")])
    review = reviews.start(one_store, "Q4", Wanted(scope="gold"), operator=OPERATOR).id
    with one_store.reader.reading() as c:
        wanted = [(each.id, each.version) for each in lines(c, review)]
    reviews.decide(one_store, review, wanted, ATTESTED, operator=OPERATOR, reason="fine")
    with one_store.writing() as c:
        replace_tree(c, [root])
    with pytest.raises(ScopeGone):
        reviews.decide(one_store, review, wanted, ATTESTED, operator=OPERATOR, reason="fine")
    with pytest.raises(ScopeGone):
        reviews.close(one_store, review, operator=OPERATOR)
    closed = reviews.close(one_store, review, operator=OPERATOR, incomplete=True)
    assert closed.closed_at is not None
    with one_store.reader.reading() as c:
        payload, _ = reviews.evidence(c, review, operator=OPERATOR, now=now_ms())
    assert payload["complete"] is False
    assert "(node Gold)" in {each["organization"] for each in payload["not_readable"]}
