"""Everything that a network, a proxy or a broken cloud can do to a request."""

import asyncio
import json
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import Secret, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Closed,
    Conflict,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Protocol,
    Throttled,
    Unavailable,
)
from console.limacharlie.limits import Limits
from console.limacharlie.tokens import Scope
from console.limacharlie.transport import Call, _system_tls, path_of
from tests.helpers.clocks import FastClock
from tests.helpers.raw_server import KEY, OID, OTHER, Cut, Hang, Trickle, chunked, raw_server, reply, token

RECORD = {"oid": OID, "name": "Acme", "sensor_version": "4.33.20"}
QUICK = Deadlines(connect=1.0, read=1.0, total=2.0, backoff=0.001)


def in_turn(*answers):
    """A script that gives one answer after the other, and the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def change(method="PUT"):
    return Call(method, "orgs/{oid}/x", {"oid": OID}, form=[("a", "b")], scope=Scope("organization", OID))


async def record(cloud):
    return await cloud.organization(OID).record()


async def test_a_token_goes_with_the_request_and_the_key_only_to_the_token_service(against):
    async with against(lambda request: reply(200, RECORD)) as (server, cloud):
        assert await record(cloud) == RECORD
    exchange, call = server.requests
    assert exchange.form == {"uid": "some-uid", "secret": KEY, "oid": OID}
    assert call.headers["authorization"] == f"Bearer {token(OID, number=1)}"
    assert KEY not in call.line + call.body.decode() + str(call.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_is_refused_and_no_token_follows_it(against, status, method):
    async with raw_server(lambda request: reply(200, RECORD)) as thief:
        answer = reply(status, b"", [("Location", f"{thief.url}/v1/orgs/{OID}")])
        async with against(lambda request: answer) as (server, cloud):
            call = Call(method, "orgs/{oid}", {"oid": OID}, scope=Scope("organization", OID), safe=True)
            with pytest.raises(Protocol, match="redirect"):
                await cloud._transport.send(call)
    assert thief.connections == 0
    assert len(server.calls) == 1


async def test_a_redirecting_token_service_is_not_given_the_key_twice(against):
    async with raw_server(lambda request: reply(200, RECORD), own_exchange=True) as thief:
        answer = reply(307, b"", [("Location", f"{thief.url}/")])
        async with against(lambda request: answer, own_exchange=True) as (_, cloud):
            with pytest.raises(Protocol, match="redirect"):
                await record(cloud)
    assert thief.connections == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
async def test_a_change_whose_connection_drops_is_sent_once_and_its_outcome_is_unknown(against, method):
    answers = {"GET": reply(200, RECORD)}
    async with against(lambda request: answers.get(request.method, Cut())) as (server, cloud):
        # The drop is worst on a connection that served before: that is when aiohttp repeats by itself.
        await record(cloud)
        with pytest.raises(Ambiguous, match="unknown"):
            await cloud._transport.send(change(method))
    assert [each.method for each in server.calls] == ["GET", method]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_library_would_send_a_change_twice_if_it_were_let(against, method):
    answers = {"GET": reply(200, RECORD)}
    async with against(lambda request: answers.get(request.method, Cut())) as (server, cloud):
        await record(cloud)
        cloud._transport._session._retry_connection = True
        with pytest.raises(Ambiguous):
            await cloud._transport.send(change(method))
    assert len(server.calls) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_change_that_meets_a_server_error_is_not_repeated(against, status):
    async with against(lambda request: reply(status, {"error": "oops"})) as (server, cloud):
        with pytest.raises(Ambiguous):
            await cloud._transport.send(change())
    assert len(server.calls) == 1


@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b'{"success": tr'])
async def test_a_change_with_a_damaged_answer_is_not_called_done(against, body):
    async with against(lambda request: reply(200, body)) as (server, cloud):
        with pytest.raises(Ambiguous):
            await cloud._transport.send(change())
    assert len(server.calls) == 1


async def test_a_change_that_never_left_is_a_network_error_and_not_in_doubt(against):
    async with against(lambda request: reply(200, RECORD)) as (_, cloud):
        await record(cloud)
        await cloud._transport._session.connector.close()
        cloud._transport.endpoint = Endpoint.single(f"http://127.0.0.1:{free_port()}")
        await cloud._transport._session.close()
        await cloud._transport.open()
        with pytest.raises(Network):
            await cloud._transport.send(change())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_read_outlives_five_server_errors_and_not_six(against, status):
    bad = reply(status, {"error": "later"})
    async with against(in_turn(*[bad] * 5, reply(200, RECORD))) as (server, cloud):
        assert await record(cloud) == RECORD
        assert len(server.calls) == 6
        assert cloud.stats.retries == 5
    async with against(lambda request: bad) as (server, cloud):
        with pytest.raises(Unavailable, match="later"):
            await record(cloud)
        assert len(server.calls) == 6


async def test_a_read_outlives_a_dropped_connection(against):
    async with against(in_turn(Cut(), Cut(b"HTTP/1.1 200"), reply(200, RECORD))) as (server, cloud):
        assert await record(cloud) == RECORD
    assert len(server.calls) == 3


BODY = json.dumps(RECORD | {"filler": "x" * 200}).encode()
FORMS = {
    "length": reply(200, BODY, [("Content-Type", "application/json")]),
    "chunked": chunked(BODY[:100], BODY[100:150], BODY[150:]),
    "close": reply(200, BODY, [("Connection", "close"), ("X-Filler", "y" * 30)], length=False),
}


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_cut_at_any_byte_is_never_taken_for_an_answer(against, form):
    whole = FORMS[form]
    assert 300 < len(whole) < 500
    cut_at = 0
    once = Deadlines(connect=1.0, read=1.0, total=2.0, retries=0)
    # Without a budget: otherwise the test would wait for its own rate limit.
    free = Limits.unlimited()
    async with against(lambda request: Cut(whole[:cut_at]), deadlines=once, limits=free) as (server, cloud):
        # A chunked answer is whole before its last line break.
        for length in range(len(whole) - (2 if form == "chunked" else 0)):
            cut_at = length
            with pytest.raises((Network, Protocol)):
                await record(cloud)
        cut_at = len(whole)
        assert (await record(cloud))["name"] == "Acme"
    assert len(server.calls) >= len(whole) - 1


async def test_a_trickling_answer_ends_at_the_total_deadline(against):
    quick = Deadlines(connect=1.0, read=1.0, total=1.2)
    async with against(lambda request: Trickle(FORMS["length"], 0.4), deadlines=quick) as (server, cloud):
        started = time.monotonic()
        with pytest.raises(Network, match="did not finish"):
            await record(cloud)
        assert time.monotonic() - started < 2.2
    assert len(server.calls) == 1


@pytest.mark.parametrize("own_exchange", [False, True], ids=["api", "token service"])
async def test_a_silent_server_ends_within_the_total_deadline(against, own_exchange):
    quick = Deadlines(connect=0.3, read=0.3, total=1.0, backoff=0.01)
    async with against(lambda request: Hang(), deadlines=quick, own_exchange=own_exchange) as (server, cloud):
        started = time.monotonic()
        with pytest.raises(Network):
            await record(cloud)
        assert time.monotonic() - started < 2.0
        assert len(server.requests) >= 2


DAMAGED = {
    "html": b"<html><body>Please log in to the hotel's network</body></html>",
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "list": b"[]",
    "text": b'"Acme"',
    "number": b"7",
    "empty object": b"{}",
    "null name": b'{"name": null}',
    "NaN": b'{"name": "Acme", "x": NaN}',
    "infinity": b'{"name": "Acme", "x": 1e999}',
    "digits": b'{"name": "Acme", "x": ' + b"9" * 5000 + b"}",
    "deep": b'{"name": "Acme", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "two": b'{"name": "Acme"}{"name": "Acme"}',
    "cut": b'{"name": "Acme"',
    "bytes": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "Acme"}'.encode("utf-16"),
    "another organization": json.dumps({"oid": OTHER, "name": "Bcme"}).encode(),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_answer_with_status_200_is_an_error_and_never_data(against, name):
    async with against(lambda request: reply(200, DAMAGED[name])) as (_, cloud):
        with pytest.raises(Protocol) as caught:
            await record(cloud)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 320


async def test_a_body_over_the_limit_is_not_read(against):
    huge = chunked(*[b"x" * 65_536] * 40)
    async with against(lambda request: huge) as (_, cloud):
        cloud._transport._largest = 1_048_576
        with pytest.raises(Protocol, match="longer than 1 MiB"):
            await record(cloud)
        assert cloud.stats.bytes < 2_097_152


async def test_a_compressed_body_is_counted_as_it_unpacks(against):
    import gzip

    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    async with against(lambda request: reply(200, bomb, [("Content-Encoding", "gzip")])) as (_, cloud):
        with pytest.raises(Protocol, match="longer than 32 MiB"):
            await record(cloud)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"error": "bad parameter"}, Invalid, ""),
        (400, {"error": "lc_error_code:RECORD_NOT_FOUND - k"}, Gone, "RECORD_NOT_FOUND"),
        (400, {"error": "lc_error_code:UNAUTHORIZED - dr.list"}, Denied, "UNAUTHORIZED"),
        (400, {"error": "lc_error_code:ETAG_MISMATCH - x"}, Conflict, "ETAG_MISMATCH"),
        (400, {"error": "lc_error_code:INVALID_CURSOR - x"}, Invalid, "INVALID_CURSOR"),
        (403, {"error": "no", "error_code": "ACL_CONTENT_RESTRICTED"}, Denied, "ACL_CONTENT_RESTRICTED"),
        (403, {"error": "no"}, Denied, ""),
        (404, {"error": "not found"}, Gone, ""),
        (404, b"<html>not here</html>", Protocol, ""),
        (409, {"error": "etag"}, Conflict, ""),
        (413, {"error": "HIVE_LISTING_TOO_LARGE"}, Invalid, "HIVE_LISTING_TOO_LARGE"),
        (413, b"Payload too large", Invalid, ""),
        (422, {"error": "no"}, Invalid, ""),
        (407, b"", Network, ""),
        (204, b"", Protocol, ""),
        (201, RECORD, Protocol, ""),
        (206, RECORD, Protocol, ""),
    ],
)  # fmt: skip
async def test_a_status_becomes_the_error_it_stands_for_and_is_not_repeated(
    against, status, body, kind, code
):
    async with against(lambda request: reply(status, body)) as (server, cloud):
        with pytest.raises(LimaCharlieError) as caught:
            await record(cloud)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.status == status
    assert len(server.calls) == 1


async def test_one_401_costs_one_refresh_and_nothing_else(against):
    async with against(in_turn(reply(401, {"error": "expired"}), reply(200, RECORD))) as (server, cloud):
        assert await record(cloud) == RECORD
    assert len(server.exchanges) == 2
    assert server.calls[0].headers["authorization"] != server.calls[1].headers["authorization"]


async def test_a_401_for_good_is_a_missing_permission(against):
    async with against(lambda request: reply(401, {"error": "missing org.get"})) as (server, cloud):
        with pytest.raises(Denied, match=r"org\.get"):
            await record(cloud)
        assert (len(server.calls), len(server.exchanges)) == (2, 2)
        # What is denied is not asked with a third token: the second one is beyond suspicion.
        with pytest.raises(Denied):
            await record(cloud)
        assert (len(server.calls), len(server.exchanges)) == (3, 2)


async def test_many_401_at_once_cost_exactly_one_refresh(against):
    first = []

    def script(request):
        number = json.loads(decoded(request.headers["authorization"].split(".")[1]))["n"]
        first.append(number)
        return reply(200, RECORD) if number > 1 else reply(401, {"error": "expired"})

    async with against(script) as (server, cloud):
        answers = await asyncio.gather(*(record(cloud) for _ in range(24)))
    assert answers == [RECORD] * 24
    assert len(server.exchanges) == 2
    assert first.count(2) == 24


def decoded(part):
    import base64

    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refused_key_is_auth_and_the_key_is_not_in_the_text(against, status):
    body = {"error": f"unknown api key {KEY} secret={KEY}"}
    async with against(lambda request: reply(status, body), own_exchange=True) as (server, cloud):
        with pytest.raises(Auth) as caught:
            await record(cloud)
    assert "unknown api key" in str(caught.value)
    assert KEY not in repr(caught.value)
    # The second asks whether it is the key as a whole.
    assert [each.form["oid"] for each in server.requests] == [OID, "-"]


async def test_one_organization_that_is_closed_is_not_a_refused_key(against):
    def script(request):
        if request.is_exchange and request.form["oid"] == OID:
            return reply(401, {"error": "unauthorized"})
        return reply(200, {"jwt": token(request.form["oid"])} if request.is_exchange else RECORD)

    async with against(script, own_exchange=True) as (server, cloud):
        with pytest.raises(Closed, match=f"{OID} is closed to this key, which is good in itself"):
            await record(cloud)
    assert server.calls == []


async def test_a_revoked_key_is_asked_about_once_however_many_organizations_meet_it(against):
    async with against(lambda request: reply(401, {"error": "unknown"}), own_exchange=True) as (
        server,
        cloud,
    ):
        oids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(12)]
        met = await asyncio.gather(
            *(cloud.organization(oid).record() for oid in oids), return_exceptions=True
        )
    assert {type(each) for each in met} == {Auth}
    assert len([each for each in server.requests if each.form["oid"] == "-"]) == 1


@pytest.mark.parametrize("own_exchange", [False, True], ids=["api", "token service"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
async def test_a_refusal_by_a_captive_portal_says_nothing_of_the_key_or_what_it_may(
    against, status, own_exchange
):
    portal = reply(status, b"\n<html><body>Please log in to the hotel's network</body></html>")
    async with against(lambda request: portal, own_exchange=own_exchange) as (_, cloud):
        with pytest.raises(Protocol, match="something else than LimaCharlie"):
            await record(cloud)


async def test_a_token_goes_to_no_host_but_the_endpoints_own(against):
    async with (
        raw_server(lambda request: reply(200, RECORD)) as thief,
        against(lambda request: reply(200, RECORD)) as (_, cloud),
    ):
        await record(cloud)

        class Swapped(Endpoint):
            def allows(self, url):
                return False

        cloud._transport.endpoint = Swapped(thief.url, thief.url, thief.url)
        with pytest.raises(Invalid, match="a host that is not LimaCharlie's"):
            await record(cloud)
    assert thief.connections == 0


async def test_a_token_service_that_is_away_is_not_a_wrong_key(against):
    async with against(lambda request: reply(503, b"down"), own_exchange=True) as (_, cloud):
        with pytest.raises(Unavailable):
            await record(cloud)


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"jwt": ""}, {"jwt": None}, {"jwt": "a b"}, {"jwt": "a.b"}, {"jwt": "a.!!.c"}, {"jwt": "x\r\nEvil: 1"},
        [], "jwt", None, {"jwt": token(OTHER)}, {"jwt": token(None)}, {"jwt": token({OTHER: ["org.get"]})},
    ],
)  # fmt: skip
async def test_what_is_no_token_for_this_organization_is_never_sent(against, answer):
    async with against(lambda request: reply(200, answer), own_exchange=True) as (server, cloud):
        with pytest.raises(Protocol):
            await record(cloud)
    assert server.calls == []


@pytest.mark.parametrize("oid", [[OID], [OTHER, OID], {OID: ["org.get"]}, OID])
async def test_a_token_may_name_its_organizations_in_a_list_or_an_object(against, oid):
    def script(request):
        return reply(200, {"jwt": token(oid)} if request.is_exchange else RECORD)

    async with against(script, own_exchange=True) as (_, cloud):
        assert await record(cloud) == RECORD


async def test_retry_after_in_seconds_holds_everybody_back(against):
    limited = reply(429, {"error": "slow"}, [("Retry-After", "34")])
    clock = FastClock()
    async with against(in_turn(limited, reply(200, RECORD)), clock=clock) as (server, cloud):
        first = asyncio.create_task(record(cloud))
        while cloud.limits.throttled == 0:
            await asyncio.sleep(0)
        assert "paused" in cloud.limits.describe()
        assert await record(cloud) == await first == RECORD
        assert 33 < clock.ahead < 36
    assert len(server.calls) == 3


async def test_retry_after_as_a_date_is_read_by_the_servers_own_clock(against):
    then = datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)
    headers = [
        ("Date", format_datetime(then, usegmt=True)),
        ("Retry-After", format_datetime(then + timedelta(seconds=34), usegmt=True)),
    ]
    clock = FastClock()
    async with against(in_turn(reply(429, {}, headers), reply(200, RECORD)), clock=clock) as (_, cloud):
        assert await record(cloud) == RECORD
    assert 33 < clock.ahead < 36


@pytest.mark.parametrize("status", [429, 503])
async def test_no_answer_makes_us_wait_for_longer_than_two_minutes(against, status):
    busy = reply(status, {"error": "later"}, [("Retry-After", "86400")])
    clock = FastClock()
    patient = Deadlines(connect=1.0, read=1.0, total=600.0)
    async with against(in_turn(busy, reply(200, RECORD)), clock=clock, deadlines=patient) as (_, cloud):
        assert await record(cloud) == RECORD
    assert 119 < clock.ahead < 122


async def test_all_repetitions_together_have_one_deadline(against):
    busy = reply(503, {"error": "later"}, [("Retry-After", "25")])
    clock = FastClock()
    patient = Deadlines(connect=1.0, read=1.0, total=60.0)
    async with against(lambda request: busy, clock=clock, deadlines=patient) as (server, cloud):
        with pytest.raises(Unavailable) as caught:
            await record(cloud)
    assert caught.value.retry_after == 25
    assert 50 <= clock.ahead < 60
    assert len(server.calls) == 3


async def test_a_token_that_takes_its_time_leaves_less_for_the_call(against):
    def script(request):
        if request.is_exchange:
            clock.ahead += 45
            return reply(200, {"jwt": token()})
        return reply(503, {"error": "later"}, [("Retry-After", "20")])

    clock = FastClock()
    patient = Deadlines(connect=1.0, read=1.0, total=60.0)
    async with against(script, own_exchange=True, clock=clock, deadlines=patient) as (server, cloud):
        with pytest.raises(Unavailable):
            await record(cloud)
    assert len(server.calls) == 1


async def test_a_change_that_is_throttled_is_not_sent_again(against):
    limited = reply(429, {"error": "slow"}, [("Retry-After", "9")])
    async with against(lambda request: limited) as (server, cloud):
        with pytest.raises(Throttled) as caught:
            await cloud._transport.send(change())
        assert caught.value.retry_after == pytest.approx(9, abs=0.5)
        assert cloud.limits.paused_for > 8
    assert len(server.calls) == 1


async def test_a_quota_is_learned_from_a_success_whatever_the_case_of_its_header(against):
    headers = [("x-RATELIMIT-quota", "600"), ("x-ratelimit-PERIOD", "60")]
    async with against(lambda request: reply(200, RECORD, headers)) as (_, cloud):
        assert cloud.limits.rate == 20
        await record(cloud)
        # A burst and a minute of the steady rate are nine tenths of the quota together.
        assert cloud.limits.burst + 60 * cloud.limits.rate == pytest.approx(540)
        assert cloud.limits.burst == 50


async def test_nothing_listening_is_a_network_error():
    cloud = Cloud(
        UserKey("u", Secret(KEY)), Endpoint.single(f"http://127.0.0.1:{free_port()}"), deadlines=QUICK
    )
    async with cloud:
        with pytest.raises(Network, match="No connection to 127"):
            await cloud.who()


async def test_an_unknown_name_is_a_network_error():
    cloud = Cloud(UserKey("u", Secret(KEY)), Endpoint.single("https://no-such-host.invalid"), deadlines=QUICK)
    async with cloud:
        with pytest.raises(Network):
            await cloud.who()


async def test_a_server_without_tls_is_a_network_error_and_gets_no_key():
    async with raw_server(lambda request: reply(200, {})) as server:
        endpoint = Endpoint.single(server.url.replace("http://", "https://"))
        impatient = Deadlines(connect=0.2, read=1.0, total=2.0, backoff=0.001)
        async with Cloud(UserKey("u", Secret(KEY)), endpoint, deadlines=impatient) as cloud:
            with pytest.raises(Network):
                await cloud.who()
        assert server.requests == []


async def test_the_environments_proxy_is_ignored(against, monkeypatch):
    async with raw_server(lambda request: reply(200, {"ident": "proxy"}), own_exchange=True) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with against(lambda request: reply(200, RECORD)) as (_, cloud):
            assert await record(cloud) == RECORD
        assert proxy.connections == 0


async def test_a_proxy_is_never_given_what_is_meant_for_this_machine(against):
    async with (
        raw_server(lambda request: reply(200, {})) as proxy,
        against(lambda request: reply(200, RECORD), proxy=proxy.url) as (_, cloud),
    ):
        assert await record(cloud) == RECORD
    assert proxy.connections == 0


async def test_a_proxy_that_refuses_is_a_network_error():
    async with raw_server(lambda request: reply(407, b"")) as proxy:
        endpoint = Endpoint.single("https://somewhere.example")
        async with Cloud(UserKey("u", Secret(KEY)), endpoint, proxy=proxy.url, deadlines=QUICK) as cloud:
            with pytest.raises(Network, match="407"):
                await cloud.who()
        assert proxy.requests[0].line.startswith("CONNECT somewhere.example:443")
        assert KEY not in str(proxy.requests)


@pytest.mark.parametrize("proxy", ["socks5://x", "proxy:3128", "http://", "http://[::1", "file:///etc"])
def test_an_unusable_proxy_is_refused_at_once(proxy):
    with pytest.raises(Invalid, match="proxy"):
        Cloud(UserKey("u", Secret(KEY)), Endpoint.limacharlie(), proxy=proxy)


def test_an_unusable_file_of_certificates_is_refused_at_once(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(Invalid, match=name):
            Cloud(UserKey("u", Secret(KEY)), Endpoint.limacharlie(), ca_file=str(tmp_path / name))


def test_the_environment_names_no_certificate_authorities(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    _system_tls.cache_clear()
    context = Cloud(UserKey("u", Secret(KEY)), Endpoint.limacharlie())._transport._tls
    _system_tls.cache_clear()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("a/b", "a%2Fb"), ("..%2f", "..%252f"), ("%2E%2E", "%252E%252E"), ("a?b#c", "a%3Fb%23c"), ("ü", "%C3%BC"),
        ("a b+c", "a%20b%2Bc"), ("a\r\nX: 1", "a%0D%0AX%3A%201"), ("\\..\\", "%5C..%5C"), ("a;b@c:d", "a%3Bb%40c%3Ad"),
    ],
)  # fmt: skip
async def test_a_segment_stays_one_segment_on_the_wire(against, key, raw):
    async with against(lambda request: reply(200, {"records": {}, "next_cursor": ""})) as (server, cloud):
        await cloud.organization(OID).hive(key)
    assert server.calls[0].target == f"/v1/hive/{raw}/{OID}?limit=500"


@pytest.mark.parametrize("key", ["", ".", "..", "\ud800"])
def test_a_segment_that_would_climb_or_vanish_is_refused(key):
    with pytest.raises(Invalid):
        path_of("hive/{name}/{oid}", {"name": key, "oid": OID})


@pytest.mark.parametrize(
    "oid", ["", "-", "..", OID[:-1], OID + "/..", OID + "\n", "x" * 36, OID.replace("8", "８"), None]
)
async def test_what_is_no_oid_reaches_no_path(against, oid):
    async with against(lambda request: reply(200, RECORD)) as (server, cloud):
        with pytest.raises(Invalid):
            cloud.organization(oid)
    assert server.requests == []
    with pytest.raises(Invalid):
        path_of("orgs/{oid}", {"oid": oid})


async def test_a_hostile_error_body_is_shown_short_in_ascii_and_without_secrets(against):
    held = {}

    def script(request):
        held["token"] = request.headers["authorization"].split()[1]
        text = f"\x1b]52;c;aGk=\x07 Bearer {held['token']} {KEY} \u202e{'A' * 5000}"
        return reply(403, {"error": text})

    async with against(script) as (_, cloud):
        with pytest.raises(Denied) as caught:
            await record(cloud)
    text = str(caught.value)
    assert held["token"] not in text
    assert KEY not in text
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300


async def test_a_body_that_echoes_the_key_is_redacted_also_when_it_is_no_json(against):
    async with against(lambda request: reply(200, f"<p>debug: {KEY}".encode())) as (_, cloud):
        with pytest.raises(Protocol, match="debug") as caught:
            await record(cloud)
    assert KEY not in str(caught.value)


async def test_what_was_asked_is_counted_by_endpoint(against):
    async with against(in_turn(reply(500, {}), reply(200, RECORD))) as (_, cloud):
        await record(cloud)
        assert cloud.stats.endpoints == {"POST jwt": 1, "GET orgs/{oid}": 2}
        assert cloud.stats.requests == 3


async def test_no_more_requests_are_under_way_than_allowed(against):
    now, most = 0, 0

    async def script(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return reply(200, RECORD)

    async with against(script, concurrency=3) as (server, cloud):
        await asyncio.gather(*(record(cloud) for _ in range(12)))
    assert most == 3
    assert server.connections <= 4


async def test_one_who_gives_up_does_not_take_the_token_from_the_others(against):
    async def script(request):
        await asyncio.sleep(0.1)
        return reply(200, {"jwt": token(OID)} if request.is_exchange else RECORD)

    async with against(script, own_exchange=True) as (server, cloud):
        impatient = asyncio.create_task(record(cloud))
        patient = asyncio.create_task(record(cloud))
        while not server.requests:
            await asyncio.sleep(0.005)
        impatient.cancel()
        assert await patient == RECORD
        with pytest.raises(asyncio.CancelledError):
            await impatient
    assert len(server.exchanges) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A server's TLS context for a name, and the file of the authority that vouches for it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")

    def make(name, days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        end = datetime.now(UTC) + timedelta(days=days)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=5))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = folder / f"{name}{days}.pem"
        encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        secret = key.private_bytes(encoding, private, serialization.NoEncryption())
        file.write_bytes(certificate.public_bytes(encoding) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context, str(file)

    return make


@pytest.mark.parametrize(
    ("name", "days", "known", "works"),
    [("localhost", 1, True, True), ("localhost", 1, False, False), ("other.example", 1, True, False), ("localhost", -1, True, False)],
    ids=["private authority", "unknown authority", "another name", "expired"],
)  # fmt: skip
async def test_a_certificate_that_is_not_trusted_gets_no_key(authority, name, days, known, works):
    context, file = authority(name, days)
    async with raw_server(lambda request: reply(200, {"ident": "me"}), tls=context) as server:
        endpoint = Endpoint.single(server.url.replace("127.0.0.1", "localhost"))
        cloud = Cloud(UserKey("u", Secret(KEY)), endpoint, ca_file=file if known else None, deadlines=QUICK)
        async with cloud:
            if works:
                assert (await cloud.who()).ident == "me"
                return
            with pytest.raises(Network, match="certificate is not trusted"):
                await cloud.who()
        assert server.requests == []
        assert cloud.stats.retries == 0
