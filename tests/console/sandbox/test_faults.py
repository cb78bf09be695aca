"""Trouble on demand: it comes when it was asked for, as it was asked for, and the log says so."""

import asyncio
import contextlib
import json
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest

from console.sandbox.faults import BODIES, BadRules, Rule, drifted, read_rules
from tests.helpers.sandboxes import environment, limegrove, sandbox


@contextlib.asynccontextmanager
async def serving(*rules, **options):
    """`async with serving(rules) as (sandbox, ask)`; `ask(method, path, form)` is (status, headers, body)."""
    async with sandbox(orgs=3, detections=30, **options) as served, aiohttp.ClientSession() as session:
        root = served.world.access.users[served.world.access.root]
        oid = served.world.organizations[0].oid
        form = {"uid": root.uid, "secret": root.api_key, "oid": oid}
        async with session.post(served.url, data=form) as answer:
            token = (await answer.json())["jwt"]
        served.log.clear()
        served.faults.add(*rules)

        async def ask(method="GET", path=f"/v1/orgs/{oid}", form=None, bearer=token):
            async with session.request(
                method,
                served.url + path,
                data=urlencode(form) if form else None,
                headers={"Authorization": f"Bearer {bearer}"},
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.read()

        yield served, ask


async def statuses(ask, times):
    return [(await ask())[0] for _ in range(times)]


async def test_a_rule_holds_for_its_count_from_its_nth_request_on():
    async with serving(Rule("status", status=503, nth=2, count=2)) as (served, ask):
        assert await statuses(ask, 5) == [200, 503, 503, 200, 200]
        assert [(each.fault, each.effect) for each in served.log.entries] == [
            ("", True), ("status 503", False), ("status 503", False), ("", True), ("", True),
        ]  # fmt: skip
        assert served.faults.listed()[0]["applied"] == 2


@pytest.mark.parametrize(
    "rule", [Rule("status", status=504, effect=True), Rule("body", body="html"), Rule("throttle")]
)
async def test_trouble_tells_the_time_of_the_stage_as_every_answer_does(rule):
    """Whoever compares it with when a record was written must not believe that days lie between."""
    async with serving(rule) as (served, ask):
        served.world.now_ms += 8 * 86_400_000
        moments = [parsedate_to_datetime((await ask())[1]["Date"]).timestamp() for _ in range(2)]
        assert abs(served.world.clock() / 1000 - moments[0]) < 60
        assert abs(moments[1] - moments[0]) < 60


async def test_a_rule_for_good_ends_when_the_rules_are_cleared():
    async with serving(Rule("status", status=401, count=None)) as (served, ask):
        assert await statuses(ask, 3) == [401] * 3
        served.faults.clear()
        assert await statuses(ask, 1) == [200]


async def test_a_rule_picks_its_organization_method_and_path():
    async with serving() as (served, ask):
        first, second, _ = served.world.organizations
        served.faults.add(
            Rule("status", status=500, count=None, oid=second.oid),
            Rule("status", status=502, count=None, method="PUT"),
            Rule("status", status=504, count=None, path="/v1/orgs/{oid}/k*"),
        )
        assert (await ask("GET", f"/v1/orgs/{first.oid}/users"))[0] == 200
        assert (await ask("GET", f"/v1/orgs/{second.oid}/users"))[0] == 500
        assert (await ask("PUT", f"/v1/orgs/{first.oid}/users"))[0] == 502
        assert (await ask("GET", f"/v1/orgs/{first.oid}/keys"))[0] == 504
        assert (await ask("POST", "/", {"uid": "u", "secret": "s", "oid": second.oid}))[0] == 500


async def test_chance_is_a_function_of_the_seed():
    async def drawn(seed):
        rule = Rule("status", status=500, count=None, probability=0.5, seed=seed)
        async with serving(rule) as (_, ask):
            return await statuses(ask, 20)

    assert await drawn(1) == await drawn(1) != await drawn(2)


async def test_an_effect_is_had_before_the_trouble_only_when_that_is_asked_for():
    async with serving() as (served, ask):
        path = f"/v1/hive/dr-general/{served.world.organizations[0].oid}/some-rule/data"
        body = {"data": json.dumps({"detect": {"event": "X", "op": "exists", "path": "y"}, "respond": []})}
        for effect in (False, True):
            served.faults.add(Rule("drop", method="POST", effect=effect))
            with pytest.raises(aiohttp.ClientConnectionError):
                await ask("POST", path, body)
            assert (await ask("GET", path))[0] == (200 if effect else 400)
        posts = [each for each in served.log.entries if each.method == "POST"]
    assert [(each.status, each.fault, each.effect) for each in posts] == [
        (0, "drop", False), (0, "drop after the effect", True),
    ]  # fmt: skip
    assert posts[0].body == posts[1].body != ""


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("throttle"), {}),
        (Rule("throttle", seconds=7), {"Retry-After": "7"}),
        (Rule("throttle", quota=60), {"X-RateLimit-Quota": "60", "X-RateLimit-Period": "60"}),
        (Rule("status", status=503, seconds=7), {"Retry-After": "7"}),
    ],
)
async def test_a_refusal_says_how_long_to_wait_when_it_is_to(rule, expected):
    async with serving(rule) as (_, ask):
        status, headers, body = await ask()
    assert status == (rule.status or 429)
    assert {name: headers[name] for name in headers if name.startswith(("Retry", "X-Rate"))} == expected
    assert json.loads(body)["error"]


async def test_a_wait_may_be_said_as_a_date():
    async with serving(Rule("throttle", seconds=90, date=True)) as (_, ask):
        _, headers, _ = await ask()
    until, now = (parsedate_to_datetime(headers[name]) for name in ("Retry-After", "Date"))
    assert (until - now).total_seconds() == 90


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_framed_answer_that_is_truncated_is_known_to_be(framing):
    async with serving(Rule("truncate", bytes=20, framing=framing)) as (_, ask):
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask()


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
async def test_an_answer_that_ends_with_its_connection_is_cut_at_any_byte(kept):
    async with serving(Rule("truncate", bytes=kept, framing="close", nth=2)) as (_, ask):
        whole = (await ask())[2]
        assert (await ask())[2] == whole[:kept]


async def test_a_silent_server_answers_in_the_end_and_notices_who_leaves():
    async with serving(Rule("hang", seconds=0.05), Rule("hang", nth=2)) as (served, ask):
        assert (await ask())[0] == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(), 0.1)
        while len(served.log.entries) < 2:
            await asyncio.sleep(0.005)
    assert [each.status for each in served.log.entries] == [200, 0]


async def test_a_trickling_answer_is_the_right_one():
    async with serving(Rule("trickle", seconds=0.0001, nth=2)) as (_, ask):
        assert (await ask())[2] == (await ask())[2]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_goes_where_it_was_told(status):
    rules = Rule("redirect", status=status), Rule("redirect", status=status, nth=2, location="http://x.test/")
    async with serving(*rules) as (served, ask):
        here, there = [await ask() for _ in range(2)]
        assert here[0] == there[0] == status
        assert here[1]["Location"] == f"{served.url}/v1/orgs/{served.world.organizations[0].oid}"
        assert there[1]["Location"] == "http://x.test/"


@pytest.mark.parametrize("name", BODIES)
async def test_a_broken_body_comes_as_a_success_and_is_not_the_right_one(name):
    async with serving(Rule("body", body=name, nth=2)) as (_, ask):
        right = (await ask())[2]
        status, _, body = await ask()
    assert status == 200
    assert body != right


async def test_a_clock_that_is_ahead_shows_in_the_date():
    async with serving(Rule("skew", seconds=3600)) as (_, ask):
        skewed, straight = [parsedate_to_datetime((await ask())[1]["Date"]) for _ in range(2)]
    assert 3590 < (skewed - straight).total_seconds() <= 3610


@pytest.mark.parametrize(
    ("member", "change", "result"),
    [
        ("a", "remove", {"b": [{"c": 1}, 2]}),
        ("a", "rename", {"a_renamed": "x", "b": [{"c": 1}, 2]}),
        ("a", "type", {"a": {"text": "x"}, "b": [{"c": 1}, 2]}),
        ("b.0.c", "type", {"a": "x", "b": [{"c": "1"}, 2]}),
        ("b.*.c", "null", {"a": "x", "b": [{"c": None}, 2]}),
        ("b.1", "remove", {"a": "x", "b": [{"c": 1}]}),
        ("*", "remove", {"b": [{"c": 1}, 2]}),
        ("", "add", {"a": "x", "b": [{"c": 1}, 2], "_added": {"since": 1, "of": ["nobody", None]}}),
        ("q.r", "remove", {"a": "x", "b": [{"c": 1}, 2]}),
    ],
)
def test_an_answer_drifts_in_one_member(member, change, result):
    assert json.loads(drifted(b'{"a": "x", "b": [{"c": 1}, 2]}', member, change)) == result


async def test_rules_come_and_go_over_the_socket():
    async with serving() as (served, ask):
        rule = {"fault": "status", "status": 503, "count": None}
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{served.url}/sandbox/faults", json=[rule]) as response:
                assert response.status == 200
            assert await statuses(ask, 2) == [503] * 2
            async with session.get(f"{served.url}/sandbox/faults") as response:
                (listed,) = (await response.json())["faults"]
                assert listed == rule | {"matched": 2, "applied": 2}
            async with session.post(f"{served.url}/sandbox/faults", json=[{"fault": "flood"}]) as response:
                assert response.status == 400
                assert "flood" in (await response.json())["error"]
            async with session.delete(f"{served.url}/sandbox/faults") as response:
                assert (await response.json())["faults"] == []
        assert await statuses(ask, 1) == [200]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[1]", b'[{"fault": "status", "statu": 1}]', b'[{"fault": "status", "status": 200}]',
        b'[{"fault": "drop", "nth": 0}]', b'[{"fault": "drop", "count": 0}]', b'[{"fault": "body", "body": "x"}]',
        b'[{"fault": "drop", "probability": 2}]', b'[{"fault": "drift"}]', b'[{"fault": "trickle"}]', b"[" * 9999,
    ],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused_in_one_sentence(raw):
    with pytest.raises(BadRules) as caught:
        read_rules(raw)
    assert len(str(caught.value).splitlines()) == 1


def test_rules_survive_being_written_down():
    rule = Rule("throttle", oid="x", count=None, seconds=3, date=True)
    assert read_rules(msgspec.json.encode([rule])) == [rule]


@pytest.mark.parametrize(("text", "said"), [("[{}]", "fault"), (None, "cannot be read")])
def test_a_file_of_rules_that_is_unusable_is_a_wrong_call(tmp_path, text, said):
    file = tmp_path / "faults.json"
    if text is not None:
        file.write_text(text)
    ended = limegrove("sandbox", "serve", "--faults", str(file), env=environment(tmp_path / "home"))
    assert ended.returncode == 2
    assert said in ended.stderr
