"""Search, replay and billing."""

import pytest

from console.limacharlie.clock import Clock
from console.limacharlie.errors import Ambiguous, Denied, Gone, Invalid, Network, Protocol, Throttled
from console.limacharlie.search import replayed
from tests.helpers.raw_server import OID, Cut, reply

RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"},
    "respond": [{"action": "report", "name": "a process"}],
}
EVENT = {"routing": {"event_type": "NEW_PROCESS", "hostname": "h"}, "event": {"FILE_PATH": "/bin/ls"}}
QUERY = "* | * | *"


@pytest.fixture
def span(sandbox):
    now = sandbox.world.clock() // 1000
    return now - 3600, now


async def found(pages):
    return [row async for page in pages for row in page.rows]


async def test_a_search_finds_what_the_sensors_brought(handle, span):
    rows = await found(handle.search(QUERY, *span))
    assert len(rows) > 10
    assert (await handle.open_searches())["oid"] == handle.oid
    assert (await handle.search_limits())["oid"] == handle.oid


async def test_a_query_is_checked_and_priced_without_being_run(handle, span):
    check = await handle.validate_search(QUERY, *span)
    assert (check.error, check.currency.lower()[:3]) == ("", "usd")
    assert check.price is not None
    assert (await handle.validate_search("this | is (no query", *span)).error
    assert not (await handle.open_searches())["queries"]
    with pytest.raises(Invalid):
        await handle.validate_search(" ", *span)


async def test_a_query_that_is_none_is_refused(handle, span):
    with pytest.raises(Invalid):
        await found(handle.search("this | is (no query", *span))


async def test_a_search_that_is_left_is_cancelled(handle, span):
    pages = handle.search(QUERY, span[1] - 30 * 86_400, span[1])
    first = await anext(pages)
    assert first.query_id in {each["queryId"] for each in (await handle.open_searches())["queries"]}
    await pages.aclose()
    assert first.query_id not in {each["queryId"] for each in (await handle.open_searches())["queries"]}
    with pytest.raises(Gone):
        await handle.cancel_search(first.query_id)


async def test_a_rule_is_run_over_events(handle):
    assert (await handle.replay_events(RULE, [EVENT])).matched
    other = EVENT | {"routing": {"event_type": "DNS_REQUEST"}}
    assert not (await handle.replay_events(RULE, [other])).matched
    broken = {"detect": {"op": "no such operator"}, "respond": []}
    with pytest.raises(Invalid):
        await handle.replay_events(broken, [EVENT])


async def test_a_rule_is_run_over_the_past(handle, span):
    estimate = await handle.replay(RULE, *span, dry_run=True)
    assert estimate.details
    replayed = await handle.replay(RULE, *span)
    assert replayed.stats["n_proc"] > 0


async def test_what_it_costs_is_read(cloud, handle):
    assert isinstance(await handle.billing_status(), bool)
    details = await handle.billing_details()
    assert details["upcoming_invoice"]["currency"] == "usd"
    whole = await handle.invoice(2026, 10)
    lines = await handle.invoice(2026, 10, "simple_json")
    assert sum(line["amount"] for line in lines) == whole["total"]
    assert (await handle.invoice(2026, 10, "simple_csv")).count("\n") == len(lines) + 1
    assert (await handle.invoice(2026, 10, "")).startswith("http")
    assert {sku["sku_id"] for sku in await handle.skus()}
    assert {plan["id"] for plan in await cloud.plans()}
    with pytest.raises(Gone):
        await handle.invoice(2001, 1)
    for wrong in ((2026, 0), (2026, 13), (26, 1)):
        with pytest.raises(Invalid):
            await handle.invoice(*wrong)


class Steps(Clock):
    """A clock on which a pause takes no time and counts all the same."""

    def __init__(self):
        self.slept = []

    def monotonic(self):
        return super().monotonic() + sum(self.slept)

    async def sleep(self, seconds):
        self.slept.append(seconds)


class TestFromAnswersThatAreNotQuiteRight:
    def scripted(self, host, polls, begun=None):
        """An organization whose `search` and `replay` are `host`, and whose searches answer `polls`."""
        polls = iter(polls)

        def script(request):
            if request.target.endswith("/url"):
                return reply(200, {"url": {"search": host or "", "replay": host or ""}})
            if request.method == "POST":
                return begun or reply(200, {"queryId": "the-query"})
            if request.method == "DELETE":
                return reply(200, {})
            return next(polls)

        return script

    async def run(self, against, polls, *, clock=None, begun=None):
        """What a search over scripted answers yields, and what was asked."""
        host = []
        script = self.scripted(None, polls, begun)

        def named(request):
            if request.target.endswith("/url"):
                return reply(200, {"url": {"search": host[0]}})
            return script(request)

        async with against(named, clock=clock or Steps()) as (server, cloud):
            host.append(server.url)
            try:
                rows = await found(cloud.organization(OID).search(QUERY, 0, 1))
            except Exception as error:
                rows = error
        return rows, [(each.method, each.target) for each in server.calls[1:]]

    async def test_a_page_under_way_is_waited_for_and_the_next_is_asked_for(self, against):
        clock = Steps()
        polls = [
            reply(200, {"completed": False, "results": [], "nextPollInMs": 2500}),
            reply(200, {"completed": True, "results": [{"type": "events", "rows": [1], "nextToken": "a&b"}]}),
            reply(200, {"completed": True, "results": [{"type": "events", "rows": [2]}], "error": None}),
        ]
        rows, asked = await self.run(against, polls, clock=clock)
        assert rows == [1, 2]
        assert 2.5 in clock.slept
        assert asked == [
            ("POST", "/v1/search"),
            ("GET", "/v1/search/the-query"),
            ("GET", "/v1/search/the-query"),
            ("GET", "/v1/search/the-query?token=a%26b"),
        ]

    async def test_a_search_that_never_ends_is_given_up_and_cancelled(self, against):
        forever = reply(200, {"completed": False, "nextPollInMs": 3_600_000})
        rows, asked = await self.run(against, [forever] * 1000)
        assert isinstance(rows, Network)
        assert asked[-1] == ("DELETE", "/v1/search/the-query")
        assert len(asked) < 100

    async def test_pages_that_repeat_themselves_end(self, against):
        again = {"completed": True, "results": [{"type": "events", "rows": [1], "nextToken": "same"}]}
        rows, asked = await self.run(against, [reply(200, again)] * 10)
        assert isinstance(rows, Protocol)
        assert len(asked) < 6

    @pytest.mark.parametrize(
        ("poll", "kind"),
        [
            ({"completed": True, "error": "context canceled"}, Invalid),
            ({"results": []}, Protocol),
            ({"completed": "true"}, Protocol),
            ({"completed": True, "results": [{"rows": []}]}, Protocol),
            ({"completed": True, "results": {}}, Protocol),
            (None, Protocol),
        ],
    )
    async def test_a_damaged_page_is_never_nothing_found(self, against, poll, kind):
        rows, asked = await self.run(against, [reply(200, poll)] * 10)
        assert isinstance(rows, kind)
        assert asked[-1] == ("DELETE", "/v1/search/the-query")

    @pytest.mark.parametrize(
        ("begun", "kind"),
        [
            (reply(200, {}), Ambiguous),
            (reply(200, {"queryId": ""}), Ambiguous),
            (reply(200, {"queryId": "x", "error": "bad query"}), Ambiguous),
            (reply(429, {"error": "maximum concurrent queries reached"}), Throttled),
            (reply(401, {"error": "missing privilege named insight.evt.get"}), Denied),
            (Cut(), Ambiguous),
        ],
    )
    async def test_a_search_is_begun_once(self, against, begun, kind):
        rows, asked = await self.run(against, [], begun=begun)
        assert isinstance(rows, kind)
        assert {each[0] for each in asked} == {"POST"}
        assert len(asked) == (2 if kind is Denied else 1)

    @pytest.mark.parametrize(
        "host",
        [
            "https://search.limacharlie.io.evil.example",
            "evil.example",
            "http://127.0.0.1:1",
            "",
            None,
            7,
            "https://user@search.limacharlie.io",
        ],
    )
    async def test_no_token_goes_to_a_host_that_is_not_the_endpoints(self, against, host):
        urls = reply(200, {"url": {"search": host, "replay": host}})
        async with against(lambda request: urls) as (server, cloud):
            handle = cloud.organization(OID)
            for ask in (
                found(handle.search(QUERY, 0, 1)),
                handle.validate_search(QUERY, 0, 1),
                handle.cancel_search("x"),
                handle.replay(RULE, 0, 1),
                handle.replay_events(RULE, [EVENT]),
            ):
                with pytest.raises(Protocol):
                    await ask
        assert {each.target for each in server.calls} == {f"/v1/orgs/{OID}/url"}
        assert not any("authorization" in each.headers for each in server.calls)


@pytest.mark.parametrize(
    ("answer", "matched"),
    [
        ({"num_evals": 3, "num_events": 2, "eval_time": 0.1, "responses": [{"action": "report"}]}, True),
        ({"num_evals": 3, "num_events": 2, "responses": []}, False),
        ({"error": "", "did_match": False, "results": [], "stats": {"n_proc": 3}}, False),
        ({"error": "", "did_match": True, "results": [{"action": "report"}], "traces": None}, True),
    ],
)
def test_both_forms_of_a_replays_answer_are_read(answer, matched):
    assert replayed(answer, "POST replay").matched is matched


def test_a_rule_that_cannot_be_run_is_not_one_that_does_not_match():
    with pytest.raises(Invalid, match="no such operator"):
        replayed({"error": "no such operator", "did_match": False, "results": []}, "POST replay")
    with pytest.raises(Protocol):
        replayed({"error": "something went wrong"}, "POST replay")


@pytest.mark.parametrize("answer", [{}, [], None, {"did_match": "yes"}, {"results": {}}, {"error": 3}])
def test_what_is_no_answer_of_a_replay_is_refused(answer):
    with pytest.raises(Protocol):
        replayed(answer, "POST replay")
