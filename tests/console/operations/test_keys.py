"""Keys are made once, handed over once, and never lost sight of: over a real socket, against the sandbox."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from console.limacharlie.client import Cloud, OrganizationHandle
from console.limacharlie.credentials import OrganizationKey, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Auth
from console.operations import deadlines, keys
from console.sandbox.faults import Rule
from store import ingest
from store.database import Store
from store.deadlines import waiting
from store.keyfilter import KeyFilter
from store.keyrecipes import KeyWanted, recipes, wanted
from store.models import Journal
from store.queries import apikeys
from store.secret import Secret
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox

RANGE = "203.0.113.0/28"
KEYS = "/v1/orgs/{oid}/keys"
SECRET = "/v1/hive/{hive}/{oid}/{key}/data"


@asynccontextmanager
async def provider(store: Store, *, protected: int | None = None) -> AsyncIterator[tuple[Any, Cloud]]:
    async with sandbox(orgs=3, detections=5) as served:
        with store.writing() as connection:
            rows = [{"oid": one.oid, "name": one.name} for one in served.world.organizations]
            ingest.put_organizations(connection, rows, complete=True, now=now_ms())
            nodes = [TreeNode("root", None, "Provider")]
            for number, row in enumerate(rows):
                marks = ("protected",) if number == protected else ()
                nodes.append(TreeNode(f"c{number}", "root", row["name"], oid=row["oid"], marks=marks))
            replace_tree(connection, nodes)
        user = served.world.access.users[served.world.access.root]
        async with Cloud(UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url)) as cloud:
            yield served, cloud


def bot(name: str = "ticket-bot", recipe: str = "reader", allowed: str = RANGE) -> KeyWanted:
    return wanted(name, recipe=recipes()[recipe], allowed_ip_range=allowed)


def in_cloud(served: Any, number: int, name: str) -> list[Any]:
    one = served.world.organizations[number]
    return [key for key in served.world.access.keys(one) if key.name == name]


def secret_of(served: Any, number: int, key: str) -> str:
    one = served.world.organizations[number]
    record = served.world.configuration.records(one, "secret").get(key)
    return "" if record is None else str(record["data"]["secret"])


def journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        return [
            row
            for row in connection.execute(select(table).order_by(table.c.seq))
            if row.action.startswith("key.")
        ]


def steps(store: Store) -> list[tuple[str, str, str]]:
    return [(row.action, row.detail["step"], row.detail.get("outcome", "")) for row in journal(store)]


def stored(store: Store, name: str) -> list[apikeys.KeyRow]:
    with store.reader.reading() as connection:
        return apikeys.every(connection, KeyFilter(exact=name))


async def test_a_key_is_made_with_its_range_read_back_and_recorded(store: Store) -> None:
    async with provider(store) as (served, cloud):
        oid = served.world.organizations[1].oid
        made = await keys.create(oid, bot(), store=store, cloud=cloud, operator="mk", reason="tickets")
        (there,) = in_cloud(served, 1, "ticket-bot")
        assert made.secret is not None
        # It is no key from elsewhere; that from its range it is one says the next test.
        async with Cloud(OrganizationKey(oid, made.secret), Endpoint.single(served.url)) as with_it:
            with pytest.raises(Auth, match="source address"):
                await with_it.organization(oid).permissions()
    assert (made.outcome, made.key_hash, made.notes) == ("created", there.key_hash, ())
    assert made.secret.reveal() == there.secret
    assert (there.allowed_ip_range, set(there.permissions)) == (RANGE, set(recipes()["reader"].permissions))
    assert steps(store) == [("key.create", "intent", ""), ("key.create", "result", "created")]
    assert journal(store)[0].detail["reason"] == "tickets"
    (row,) = stored(store, "ticket-bot")
    assert (row.held, str(row.allowed_ip_range)) == (False, RANGE)
    await keys.delivered(made, "shown", store=store, operator="mk")
    assert stored(store, "ticket-bot")[0].held
    assert there.secret not in json.dumps([dict(each.detail) for each in journal(store)])
    assert there.secret not in repr(made)


async def test_a_secret_goes_straight_into_the_hive_and_is_read_back(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        made = await keys.create(
            oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="ticket-bot"
        )
        (there,) = in_cloud(served, 1, "ticket-bot")
        assert secret_of(served, 1, "ticket-bot") == there.secret
    assert (made.outcome, made.secret, made.hive) == ("stored", None, "ticket-bot")
    assert [step for _, step, _ in steps(one_store)] == ["intent", "result", "delivered"]
    assert stored(one_store, "ticket-bot")[0].held


async def test_a_secret_that_is_there_is_written_over_only_when_that_is_said(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[0].oid
        first = await keys.create(
            oid, bot("one"), store=one_store, cloud=cloud, operator="mk", to_hive="shared"
        )
        assert first.good
        with pytest.raises(keys.Taken, match="a secret shared already"):
            await keys.create(oid, bot("two"), store=one_store, cloud=cloud, operator="mk", to_hive="shared")
        assert in_cloud(served, 0, "two") == []
        over = await keys.create(
            oid, bot("two"), store=one_store, cloud=cloud, operator="mk", to_hive="shared", overwrite=True
        )
        assert over.outcome == "stored"
        assert secret_of(served, 0, "shared") == in_cloud(served, 0, "two")[0].secret


@pytest.mark.parametrize(
    "rule",
    [
        Rule("status", status=500, path=KEYS, method="POST", effect=True),
        Rule("status", status=504, path=KEYS, method="POST", effect=True),
        Rule("drop", path=KEYS, method="POST", effect=True),
        Rule("truncate", path=KEYS, method="POST", bytes=20),
        Rule("drift", path=KEYS, method="POST", member="api_key"),
    ],
    ids=lambda rule: f"{rule.fault}{rule.status or ''}",
)
async def test_a_key_whose_answer_was_lost_is_named_and_no_second_one_is_made(
    one_store: Store, rule: Rule
) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(rule)
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        assert (made.outcome, made.secret) == ("unheld", None)
        assert "nobody holds" in made.sentence
        (there,) = in_cloud(served, 1, "ticket-bot")
        assert made.key_hash == there.key_hash
        assert not stored(one_store, "ticket-bot")[0].held
        with pytest.raises(keys.Taken, match="revoke that one first"):
            await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        assert len(in_cloud(served, 1, "ticket-bot")) == 1


@pytest.mark.parametrize(
    "rule",
    [
        Rule("status", status=500, path=KEYS, method="POST"),
        Rule("drop", path=KEYS, method="POST"),
    ],
    ids=lambda rule: rule.fault,
)
async def test_a_key_that_was_not_made_after_all_is_not_there_and_can_be_made(
    one_store: Store, rule: Rule
) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(rule)
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        assert made.outcome == "absent"
        assert in_cloud(served, 1, "ticket-bot") == []
        again = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        await keys.delivered(again, "shown", store=one_store, operator="mk")
        assert again.outcome == "created"
        assert stored(one_store, "ticket-bot")[0].held, "the lost one is not mistaken for this one"


async def test_when_the_keys_cannot_be_read_either_nobody_knows_and_nothing_is_tried(
    one_store: Store,
) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(
            Rule("drop", path=KEYS, method="POST", effect=True),
            Rule("status", status=403, path=KEYS, method="GET", nth=2, count=None),
        )
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        assert made.outcome == "unknown"
        served.faults.clear()
        listed = await cloud.organization(oid).keys()
        with one_store.writing() as connection:
            ingest.put_keys(connection, oid, listed)
    assert not stored(one_store, "ticket-bot")[0].held, "the next reading of the keys finds it"


async def test_a_key_whose_secret_did_not_reach_the_hive_still_has_its_secret_here(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(Rule("status", status=500, path=SECRET, method="POST"))
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="bot")
        (there,) = in_cloud(served, 1, "ticket-bot")
    assert (made.outcome, made.orphaned) == ("unstored", True)
    assert made.secret == Secret(there.secret)
    assert "NOT in the hive" in made.sentence
    assert not stored(one_store, "ticket-bot")[0].held


async def test_a_secret_that_reached_the_hive_though_the_answer_was_lost_is_there(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        served.faults.add(Rule("drop", path=SECRET, method="POST", effect=True))
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="bot")
        assert secret_of(served, 1, "bot") == in_cloud(served, 1, "ticket-bot")[0].secret
    assert made.outcome == "stored"


async def test_a_credential_without_apikey_ctrl_sends_nothing(one_store: Store) -> None:
    async with provider(one_store) as (served, root):
        oid = served.world.organizations[1].oid
        made = await keys.create(oid, bot(allowed="127.0.0.0/8"), store=one_store, cloud=root, operator="mk")
        assert made.secret is not None
        async with Cloud(OrganizationKey(oid, made.secret), Endpoint.single(served.url)) as cloud:
            assert (await cloud.organization(oid).hive("secret", mtd_only=True)) is not None
            with pytest.raises(keys.NotAllowed, match="Nothing was sent"):
                await keys.create(oid, bot("another"), store=one_store, cloud=cloud, operator="mk")
        assert in_cloud(served, 1, "another") == []


async def test_a_read_only_console_makes_and_rotates_no_key(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[0].oid
        (old,) = served.world.access.keys(served.world.organizations[0])[:1]
        cloud.read_only = True
        given: Any = {"store": one_store, "cloud": cloud, "operator": "ada"}
        for asked in (
            keys.create(oid, bot(), **given),
            keys.create_many({oid: bot()}, to_hive="bot", **given),
            keys.rotate(oid, old.key_hash, **given),
        ):
            with pytest.raises(keys.NotAllowed, match="read-only"):
                await asked
        assert not in_cloud(served, 0, "ticket-bot")
    assert journal(one_store) == []


async def test_a_protected_organization_asks_for_its_name(one_store: Store) -> None:
    async with provider(one_store, protected=1) as (served, cloud):
        one = served.world.organizations[1]
        for typed in ("", "Some Other"):
            with pytest.raises(keys.WrongName, match="Nothing was sent"):
                await keys.create(one.oid, bot(), store=one_store, cloud=cloud, operator="mk", confirm=typed)
        assert steps(one_store) == []
        made = await keys.create(
            one.oid, bot(), store=one_store, cloud=cloud, operator="mk", confirm=one.name
        )
        assert made.outcome == "created"
        everywhere = {each.oid: bot("many") for each in served.world.organizations}
        with pytest.raises(keys.WrongName):
            await keys.create_many(everywhere, to_hive="m", store=one_store, cloud=cloud, operator="mk")
        assert in_cloud(served, 0, "many") == []


async def test_a_cloud_that_forgets_the_range_is_told_on(one_store: Store, monkeypatch: Any) -> None:
    async with provider(one_store) as (served, cloud):
        made_there = served.world.access.make_key
        monkeypatch.setattr(
            served.world.access,
            "make_key",
            lambda one, name, held, by, _range: made_there(one, name, held, by, ""),
        )
        oid = served.world.organizations[1].oid
        made = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
    assert any("EVERYWHERE" in note for note in made.notes)


async def test_one_organization_that_fails_is_one_result_and_the_others_have_their_own_secret(
    one_store: Store,
) -> None:
    async with provider(one_store) as (served, cloud):
        organizations = served.world.organizations
        await keys.create(organizations[2].oid, bot("soc"), store=one_store, cloud=cloud, operator="mk")
        served.faults.add(
            Rule("drop", path=KEYS, method="POST", oid=organizations[1].oid, effect=True, count=None)
        )
        told: list[int] = []
        found = await keys.create_many(
            {one.oid: bot("soc") for one in organizations}, to_hive="soc", store=one_store, cloud=cloud,
            operator="mk", report=lambda progress: told.append(progress.done),
        )  # fmt: skip
        by_oid = {made.oid: made for made in found}
        assert {oid: made.outcome for oid, made in by_oid.items()} == {
            organizations[0].oid: "stored",
            organizations[1].oid: "unheld",
            organizations[2].oid: "refused",
        }
        assert secret_of(served, 0, "soc") == in_cloud(served, 0, "soc")[0].secret
        assert sorted(told) == [1, 2, 3]


async def test_a_rotation_keeps_what_the_key_is_and_ends_the_old_one_later(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        first = await keys.create(
            oid,
            bot("deploy", "infrastructure"),
            store=one_store,
            cloud=cloud,
            operator="mk",
            to_hive="deploy",
        )
        now = now_ms()
        rotated = await keys.rotate(
            oid, first.key_hash, store=one_store, cloud=cloud, operator="mk", to_hive="deploy", now=now
        )
        both = in_cloud(served, 1, "deploy")
        assert [each.allowed_ip_range for each in both] == [RANGE, RANGE]
        assert len({each.permissions for each in both}) == 1
        new = next(each for each in both if each.key_hash == rotated.made.key_hash)
        assert secret_of(served, 1, "deploy") == new.secret
        assert (rotated.old, rotated.ends_at) == (first.key_hash, now + keys.OVERLAP)
        with one_store.reader.reading() as connection:
            (deadline,) = waiting(connection, kind="rotation")
        assert [(each.kind, each.oid, each.principal) for each in deadline.changes] == [
            ("delete_key", oid, first.key_hash)
        ]
        rows = {str(row.key_hash): row for row in stored(one_store, "deploy")}
        assert rows[first.key_hash].ends_at == now + keys.OVERLAP
        assert all(row.held for row in rows.values())
        with pytest.raises(keys.Refused, match="rotated already"):
            await keys.rotate(
                oid, first.key_hash, store=one_store, cloud=cloud, operator="mk", to_hive="deploy"
            )


async def test_the_old_key_stays_while_nobody_holds_the_new_one(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        first = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk")
        await keys.delivered(first, "shown", store=one_store, operator="mk")
        rotated = await keys.rotate(oid, first.key_hash, store=one_store, cloud=cloud, operator="mk")
        assert rotated.ends_at is None
        with one_store.reader.reading() as connection:
            assert waiting(connection) == []
        # As after a crash: the new one is listed as nobody's, and no third one is made.
        held = {str(row.key_hash): row.held for row in stored(one_store, "ticket-bot")}
        assert held == {first.key_hash: True, rotated.made.key_hash: False}
        with pytest.raises(keys.Taken, match="revoke that one first"):
            await keys.rotate(oid, first.key_hash, store=one_store, cloud=cloud, operator="mk")
        settled = await keys.settle(rotated, store=one_store, cloud=cloud, operator="mk", how="shown")
        assert settled.ends_at is not None
        assert all(row.held for row in stored(one_store, "ticket-bot"))


async def test_a_rotation_whose_answer_was_lost_ends_no_key(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        first = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="bot")
        served.faults.add(Rule("drop", path=KEYS, method="POST", effect=True))
        rotated = await keys.rotate(
            oid, first.key_hash, store=one_store, cloud=cloud, operator="mk", to_hive="bot"
        )
        assert (rotated.made.outcome, rotated.ends_at) == ("unheld", None)
        assert rotated.made.key_hash != first.key_hash
        with one_store.reader.reading() as connection:
            assert waiting(connection) == []
        assert secret_of(served, 1, "bot") == next(
            each.secret for each in in_cloud(served, 1, "ticket-bot") if each.key_hash == first.key_hash
        )


async def test_a_key_that_is_gone_is_not_rotated(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        with pytest.raises(keys.Refused, match="any more"):
            await keys.rotate(oid, "0" * 64, store=one_store, cloud=cloud, operator="mk")
    assert steps(one_store) == []


async def test_keys_are_revoked_by_a_plan_each_with_its_result(store: Store) -> None:
    async with provider(store) as (served, cloud):
        organizations = served.world.organizations
        found = await keys.create_many(
            {one.oid: bot("agent") for one in organizations}, to_hive="agent", store=store, cloud=cloud,
            operator="mk",
        )  # fmt: skip
        assert all(made.good for made in found)
        with store.reader.reading() as connection:
            rows = apikeys.every(connection, KeyFilter(exact="agent"))
        served.faults.add(
            Rule("status", status=403, path=KEYS, method="DELETE", oid=organizations[0].oid, count=None),
            Rule("drop", path=KEYS, method="DELETE", oid=organizations[1].oid, effect=True),
        )
        plan = keys.revocation(rows, store=store, operator="mk", reason="the contract ended")
        done = await keys.revoke(plan, store=store, cloud=cloud, operator="mk")
        by_oid = {step.change.oid: step.outcome for step in done.steps}
        assert by_oid == {
            organizations[0].oid: "denied", organizations[1].oid: "done", organizations[2].oid: "done"
        }  # fmt: skip
        assert [bool(in_cloud(served, number, "agent")) for number in range(3)] == [True, False, False]
        with store.reader.reading() as connection:
            left = apikeys.every(connection, KeyFilter(exact="agent"))
        assert [row.oid for row in left] == [organizations[0].oid]


async def test_without_overlap_the_old_key_goes_at_once(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        first = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="bot")
        rotated = await keys.rotate(
            oid, first.key_hash, store=one_store, cloud=cloud, operator="mk", to_hive="bot", overlap=0
        )
        assert "The old one is deleted" in rotated.sentence
        assert [key.key_hash for key in in_cloud(served, 1, "ticket-bot")] == [rotated.made.key_hash]


async def test_the_old_key_goes_when_its_time_has_come_whoever_is_there_then(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid = served.world.organizations[1].oid
        first = await keys.create(oid, bot(), store=one_store, cloud=cloud, operator="mk", to_hive="bot")
        now = now_ms()
        rotated = await keys.rotate(
            oid, first.key_hash, store=one_store, cloud=cloud, operator="mk", to_hive="bot", now=now
        )
        assert await deadlines.due(one_store, cloud, now + keys.OVERLAP - 1) == []
        served.faults.add(Rule("status", status=403, path=KEYS, method="DELETE"))
        (made,) = await deadlines.due(one_store, cloud, now + keys.OVERLAP)
        assert made.outcome == "failed"
        (made,) = await deadlines.due(one_store, cloud, now + keys.OVERLAP + 600_000)
        assert made.outcome == "done"
        assert [key.key_hash for key in in_cloud(served, 1, "ticket-bot")] == [rotated.made.key_hash]
        assert secret_of(served, 1, "bot") == in_cloud(served, 1, "ticket-bot")[0].secret


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


def cut_off(monkeypatch: Any, at: int) -> dict[str, int]:
    """Let the process die at the `at`-th point: before and after each entry of the journal and each write."""
    seen = {"points": 0}

    def point() -> None:
        seen["points"] += 1
        if seen["points"] == at:
            raise Killed

    appended = keys._append
    created, written = OrganizationHandle.create_key, OrganizationHandle.set_hive_record

    def append(*arguments: Any) -> int:
        point()
        number = appended(*arguments)
        point()  # what was not committed is rolled back
        return number

    async def create_key(self: Any, *arguments: Any) -> Any:
        point()
        made = await created(self, *arguments)
        point()
        return made

    async def set_hive_record(self: Any, *arguments: Any) -> Any:
        point()
        made = await written(self, *arguments)
        point()
        return made

    monkeypatch.setattr(keys, "_append", append)
    monkeypatch.setattr(OrganizationHandle, "create_key", create_key)
    monkeypatch.setattr(OrganizationHandle, "set_hive_record", set_hive_record)
    return seen


async def test_wherever_a_rotation_is_cut_off_no_key_is_lost_and_none_is_forgotten(
    a_store: Any, monkeypatch: Any
) -> None:
    """The old key stays until the new one's secret is where it belongs, and a new one that nobody holds is named."""
    points, at = 1, 0
    while at < points:
        at += 1
        one = a_store(f"cut-{at}")
        async with provider(one) as (served, cloud):
            oid = served.world.organizations[1].oid
            first = await keys.create(oid, bot(), store=one, cloud=cloud, operator="mk", to_hive="bot")
            with monkeypatch.context() as patched:
                seen = cut_off(patched, at)
                try:
                    await keys.rotate(
                        oid, first.key_hash, store=one, cloud=cloud, operator="mk", to_hive="bot"
                    )
                except Killed:
                    points = seen["points"] + 1
            there = {key.key_hash: key.secret for key in in_cloud(served, 1, "ticket-bot")}
            new = there.keys() - {first.key_hash}
            assert first.key_hash in there, at
            assert len(new) <= 1, at
            with one.writing() as connection:
                ingest.put_keys(connection, oid, await cloud.organization(oid).keys())
            rows = {str(row.key_hash): row for row in stored(one, "ticket-bot")}
            with one.reader.reading() as connection:
                ends = [each.changes[0].principal for each in waiting(connection)]
            if ends:
                assert ends == [first.key_hash], at
                assert secret_of(served, 1, "bot") == there[new.pop()], (
                    "the old one goes: the new one is held"
                )
                assert all(row.held for row in rows.values()), at
            else:
                assert all(not rows[each].held for each in new), f"{at}: a key that nobody holds is named"
            if new and not ends:
                with pytest.raises(keys.Taken):
                    await keys.rotate(
                        oid, first.key_hash, store=one, cloud=cloud, operator="mk", to_hive="bot"
                    )
                assert len(in_cloud(served, 1, "ticket-bot")) == 2, at
    assert points >= 10
