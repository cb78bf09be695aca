"""HTTP as LimaCharlie speaks it: deadlines, retries, tokens, and nothing sent to a stranger."""

import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from console.limacharlie.answers import decode
from console.limacharlie.clock import Clock
from console.limacharlie.credentials import Credentials
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Conflict,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Protocol,
    Throttled,
    Unavailable,
    excerpt,
)
from console.limacharlie.limits import LONGEST_WAIT, Limits, retry_after, server_time
from console.limacharlie.tokens import Scope, Token, Tokens

LARGEST = 32 * 1024 * 1024
"""Bytes that an answer may have."""

_OID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_CODE = re.compile(r"lc_error_code:\s*([A-Z][A-Z0-9_]*)|^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")
_CODES: dict[str, type[LimaCharlieError]] = {
    "RECORD_NOT_FOUND": Gone,
    "UNAUTHORIZED": Denied,
    "UNAUTHORIZED_ACL_TAG": Denied,
    "ACL_CONTENT_RESTRICTED": Denied,
    "ETAG_MISMATCH": Conflict,
}
_random = SystemRandom()


@dataclass(frozen=True)
class Deadlines:
    """How long to wait, in seconds, and how often to try."""

    connect: float = 5.0
    """Until a connection stands, name resolution and TLS included."""
    read: float = 20.0
    """Between two pieces of an answer."""
    total: float = 60.0
    """For a call with all its repetitions and token exchanges, waiting for the rate limit aside."""
    retries: int = 5
    """Repetitions of a read; a change is never repeated."""
    backoff: float = 0.5
    """The longest first pause between two tries; it doubles, and the real one is drawn from 0 up."""


@dataclass
class Stats:
    """What was asked of LimaCharlie."""

    requests: int = 0
    """Everything sent, repetitions and token exchanges included."""
    endpoints: dict[str, int] = field(default_factory=dict)
    """The same by endpoint: `GET orgs/{oid}/users`, `POST jwt`."""
    retries: int = 0
    bytes: int = 0
    """Of answers, as they came."""


@dataclass(frozen=True)
class Call:
    """One thing asked of LimaCharlie."""

    method: str
    template: str
    """The path below the root, with `{names}` of `segments`: `hive/{name}/{oid}`."""
    segments: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Callable[[str], list[tuple[str, str]]] | list[tuple[str, str]] | None = None
    """Fields of the body, form encoded; or a function of the token, for the calls that repeat it there."""
    json: bytes | None = None
    """A body that is JSON, in place of a form."""
    scope: Scope | None = None
    """The token to send; None sends none."""
    safe: bool | None = None
    """It changes nothing and may be repeated; by default what GET is."""
    root: str = "api"
    """`api`, `jwt`, `cases`, `search` or `replay`."""
    host: str = ""
    """Base URL of the `search` or `replay` of an organization, which `GET orgs/{oid}/url` names; nothing is
    sent to one that the endpoint does not allow."""
    purpose: str = ""
    """What a token is wanted for, in words."""

    @property
    def what(self) -> str:
        """How errors and statistics call it; nothing of the segments is in it."""
        return f"{self.method} {self.template or self.root}"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm."""
        return self.method == "GET" if self.safe is None else self.safe


@dataclass(frozen=True)
class Answer:
    """A whole answer with status 200."""

    what: str
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...]
    """What no text may repeat of it."""
    cost: float = 0.0
    """Seconds that it took with all repetitions, waiting for the rate limit aside."""

    def __repr__(self) -> str:
        return f"Answer({self.what!r}, {len(self.body)} bytes)"

    def json(self) -> Any:
        """Its JSON data.

        Raises:
            Protocol: it is none.
        """
        return decode(self.body, self.what, self.secrets)

    def excerpt(self, text: object) -> str:
        """A part of it that an error may repeat."""
        return excerpt(str(text), self.secrets).rstrip(".")


class _Failed(Exception):
    """One try failed."""

    def __init__(self, error: LimaCharlieError, *, sent: bool = True, again: bool = True) -> None:
        super().__init__()
        self.error = error
        self.sent = sent
        """The request may have reached LimaCharlie."""
        self.again = again
        """Another try may do better."""


def organization_id(oid: str) -> str:
    """The oid, when it is one.

    Raises:
        Invalid: it is no UUID, and must not come near a path.
    """
    if not isinstance(oid, str) or not _OID.fullmatch(oid):
        raise Invalid(f"{str(oid)[:80]!a} is not an organization's id.")
    return oid


def path_of(template: str, segments: Mapping[str, str]) -> str:
    """A path whose every segment is exactly one segment, whatever is in it.

    Raises:
        Invalid: a segment is empty, `.` or `..`, cannot be written as UTF-8, or is no oid where one belongs.
    """
    parts = []
    for part in template.split("/"):
        if part[:1] != "{":
            parts.append(part)
            continue
        name = part[1:-1]
        value = segments[name]
        if name == "oid":
            organization_id(value)
        if value in ("", ".", ".."):
            raise Invalid(f"{value!a} cannot be a {name}: it would ask for something else.")
        try:
            parts.append(quote(value, safe=""))
        except UnicodeEncodeError:
            raise Invalid(f"{value[:80]!a} cannot be a {name}: it is not text.") from None
    return "/".join(parts)


class Transport:
    """A pool of connections to one endpoint, with one credential's tokens and rate."""

    def __init__(
        self,
        credentials: Credentials,
        endpoint: Endpoint,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        concurrency: int = 16,
        deadlines: Deadlines | None = None,
        largest: int = LARGEST,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is opened yet. See `Cloud` for the arguments.

        Raises:
            Invalid: the proxy or the file of certificates is unusable.
        """
        self.endpoint = endpoint
        self.clock = clock if clock is not None else Clock()
        self.limits = (
            limits if limits is not None else Limits(clock=self.clock.monotonic, sleep=self.clock.sleep)
        )
        if self.limits.is_unlimited and not endpoint.loopback:
            raise Invalid("Only a sandbox on this machine may be asked without a rate limit.")
        self.stats = Stats()
        self.tokens = Tokens(credentials, self._exchange, self.clock)
        self._time: tuple[float, float] | None = None
        """What the cloud's clock said, and when that was on ours."""
        self._deadlines = deadlines if deadlines is not None else Deadlines()
        self._largest = largest
        self._concurrency = concurrency
        # A proxy in front of the loopback would be handed the token in the clear.
        self._proxy = None if endpoint.loopback else _proxy(proxy)
        self._tls = _tls(ca_file) if ca_file else _system_tls()
        self._slots = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool of connections."""
        connector = aiohttp.TCPConnector(
            limit=0,  # our own semaphore counts, so that waiting for a turn is not a slow connection
            ssl=self._tls,
            ttl_dns_cache=300,
            keepalive_timeout=30,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "limegrove", "Accept": "application/json"},
            trust_env=False,
        )
        # aiohttp would send a PUT or a DELETE a second time when the connection drops after the
        # effect, and there is no public way to say no.
        self._session._retry_connection = False

    async def close(self) -> None:
        """Give the connections back and forget the tokens."""
        await self.tokens.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, call: Call, *, seconds: float | None = None) -> Answer:
        """Ask, with a token, under the rate limit; reads are repeated while that may help.

        Args:
            seconds: for all of it, where that is less than the deadline for a call.

        Raises:
            LimaCharlieError: one of its kinds. A change whose outcome is unknown is always Ambiguous.
        """
        clock, total = self.clock, self._deadlines.total
        if seconds is not None:
            total = min(total, max(0.0, seconds))
        tries, spent, token = 0, 0.0, None
        while True:
            if call.scope is not None and token is None:
                asked = clock.monotonic()
                token = await self.tokens.get(call.scope, total - spent)
                # Whoever began the exchange: nobody waits for more than the deadline.
                spent += token.cost if token.fetched >= asked else 0.0
            async with self._slots:
                await self.limits.acquire()
                started = clock.monotonic()
                try:
                    status, headers, body = await self._once(call, token, total - spent)
                except _Failed as failed:
                    error, again, sent, wait = failed.error, failed.again, failed.sent, None
                    status = 0
                else:
                    self.limits.learn(headers)
                    if status != 429:
                        self.limits.ok()
                    self._heard(headers)
                    if status == 200:
                        return self._complete(call, token, headers, body, spent + clock.monotonic() - started)
                    error, again, sent, wait = self._refusal(call, status, headers, body), False, True, None
                    if status == 429:
                        error.retry_after = self.limits.throttle(headers, sent_at=started)
                        # No pause of our own: the bucket holds everybody back.
                        again, sent, wait = True, False, 0.0
                    elif status >= 500:
                        again, error.retry_after = True, retry_after(headers)
                        if error.retry_after is not None:
                            wait = error.retry_after = min(error.retry_after, LONGEST_WAIT)
                spent += clock.monotonic() - started
            if status == 401 and call.scope is not None and token is not None and call.root != "jwt":
                asked = clock.monotonic()
                # A 401 is answered before anything is done, so a change may be sent again as well.
                token = await self.tokens.refresh(call.scope, token, total - spent)
                if token is None or tries >= self._deadlines.retries or spent >= total:
                    raise error
                spent += token.cost if token.fetched >= asked else 0.0
                tries += 1
                continue
            if not call.repeatable:
                if sent and _unclear(error):
                    raise Ambiguous(
                        f"The outcome of {call.what} is unknown: {_lowered(str(error))}",
                        status=error.status,
                        retry_after=error.retry_after,
                    ) from None
                raise error
            tries += 1
            limit = self._deadlines.retries if sent or status else min(2, self._deadlines.retries)
            if wait is None:
                wait = _random.uniform(0, min(60.0, self._deadlines.backoff * 2 ** (tries - 1)))
            if not again or tries > limit or spent + wait >= total:
                raise error
            self.stats.retries += 1
            spent += wait
            await clock.sleep(wait)

    def cloud_time(self) -> float | None:
        """The cloud's own clock, seconds since 1970, as its last answers told; None before any did."""
        return None if self._time is None else self._time[0] + self.clock.monotonic() - self._time[1]

    def _heard(self, headers: Mapping[str, str]) -> None:
        now = self.clock.monotonic()
        if self._time is None or now - self._time[1] >= 1.0:
            moment = server_time(headers)
            self._time = self._time if moment is None else (moment, now)

    def _complete(
        self, call: Call, token: Token | None, headers: Mapping[str, str], body: bytes, cost: float
    ) -> Answer:
        answer = Answer(call.what, headers, body, self.tokens.secrets_of(token), cost)
        if not call.repeatable:
            try:
                answer.json()
            except Protocol as error:
                raise Ambiguous(f"The outcome of {call.what} is unknown: {_lowered(str(error))}") from None
        return answer

    async def _exchange(
        self, form: list[tuple[str, str]], purpose: str, seconds: float | None
    ) -> tuple[Any, Mapping[str, str], float]:
        call = Call("POST", "", form=form, safe=True, root="jwt", purpose=purpose)
        answer = await self.send(call, seconds=seconds)
        return answer.json(), answer.headers, answer.cost

    def _url(self, call: Call) -> URL:
        base: str = call.host or getattr(self.endpoint, call.root)
        if not self.endpoint.allows(base):
            raise Invalid(f"{call.what} would go to a host that is not LimaCharlie's.")
        prefix = {"api": "/v1/", "jwt": "/", "cases": "/api/v1/", "search": "/v1/", "replay": "/"}[call.root]
        query = f"?{urlencode(call.query)}" if call.query else ""
        # encoded: yarl would otherwise turn %2E%2E into .. and climb.
        return URL(f"{base}{prefix}{path_of(call.template, call.segments)}{query}", encoded=True)

    async def _once(
        self, call: Call, token: Token | None, seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request and its whole answer, or _Failed."""
        if self._session is None:
            raise RuntimeError("the transport is not open")
        url = self._url(call)
        bearer = token.value.reveal() if token is not None else ""
        form = call.form(bearer) if callable(call.form) else call.form
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode("ascii")
        elif call.json is not None:
            headers["Content-Type"] = "application/json"
            data = call.json
        self.stats.requests += 1
        self.stats.endpoints[call.what] = self.stats.endpoints.get(call.what, 0) + 1
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._deadlines.connect, sock_read=self._deadlines.read
        )
        host = f"{url.host}:{url.port}" if url.port not in (80, 443) else str(url.host)
        try:
            async with (
                self.clock.timeout(max(0.001, seconds)),
                self._session.request(
                    call.method,
                    url,
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    timeout=timeout,
                ) as response,
            ):
                return response.status, response.headers, await self._body(response, call)
        except _Failed:
            raise
        except aiohttp.ClientConnectorDNSError:
            raise _Failed(
                Network(f"The name of {host} cannot be resolved; is this machine online?"), sent=False
            ) from None
        except aiohttp.ClientProxyConnectionError:
            raise _Failed(Network("The proxy cannot be reached."), sent=False) from None
        except aiohttp.ClientSSLError as error:
            raise _Failed(
                Network(f"TLS with {host} failed: {_reason(error)}."), sent=False, again=False
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise _Failed(Network(f"No connection to {host}: {_reason(error)}."), sent=False) from None
        except aiohttp.ClientHttpProxyError as error:
            raise _Failed(
                Network(f"The proxy refused the connection to {host} with status {error.status}."),
                sent=False,
                again=False,
            ) from None
        except aiohttp.ConnectionTimeoutError:
            text = f"No connection to {host} within {self._deadlines.connect:g} s."
            raise _Failed(Network(text), sent=False) from None
        except aiohttp.SocketTimeoutError:
            raise _Failed(Network(f"{host} was silent for {self._deadlines.read:g} s.")) from None
        except TimeoutError:
            text = (
                f"{host} did not finish its answer to {call.what} within {self._deadlines.total:g} s in all."
            )
            raise _Failed(Network(text), again=False) from None
        except aiohttp.ClientPayloadError:
            raise _Failed(Protocol(f"The answer to {call.what} was cut off.")) from None
        except (aiohttp.ServerConnectionError, aiohttp.ClientOSError, aiohttp.ClientConnectionError):
            raise _Failed(Network(f"{host} closed the connection without an answer.")) from None
        except aiohttp.ClientResponseError:
            raise _Failed(Protocol(f"What answered {call.what} does not speak HTTP."), again=False) from None
        except aiohttp.InvalidURL:
            raise _Failed(
                Invalid(f"The address of {call.what} is not a URL."), sent=False, again=False
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"The request {call.what} failed: {type(error).__name__}."
            raise _Failed(Network(text), again=False) from None

    async def _body(self, response: aiohttp.ClientResponse, call: Call) -> bytes:
        """The whole body, or _Failed as soon as it is known to be too long."""
        largest = self._largest
        body = bytearray()
        if (response.content_length or 0) <= largest:
            async for piece in response.content.iter_any():
                body += piece
                self.stats.bytes += len(piece)
                if len(body) > largest:
                    break
            else:
                return bytes(body)
        response.close()
        text = f"The answer to {call.what} is longer than {largest // 1_048_576} MiB."
        raise _Failed(Protocol(text), again=False)

    def _refusal(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> LimaCharlieError:
        """The error that a status other than 200 stands for (contract: errors come as `{"error": "..."}`)."""
        message, code = _said(body)
        said = excerpt(message, self.tokens.secrets())
        said = f": {said.rstrip('.')}." if said else "."
        what = call.what
        if 300 <= status < 400:
            return Protocol(f"{what} was answered with a redirect, which is never followed.", status=status)
        if status == 407:
            return Network("The proxy demands a login (407).", status=status)
        if status == 429:
            return Throttled(
                f"LimaCharlie's rate limit was reached at {what}{said}", status=status, code=code
            )
        if status >= 500:
            return Unavailable(
                f"LimaCharlie cannot serve {what} now ({status}){said}", status=status, code=code
            )
        if status < 400:
            return Protocol(
                f"{what} was answered with status {status}, which LimaCharlie does not use.", status=status
            )
        if body.lstrip()[:1] == b"<" or (call.root == "jwt" and status not in (400, 401, 403, 413)):
            # A captive portal or a wrong host refuses too: that proves nothing closed, gone or wrong.
            return Protocol(
                f"{what} was answered {status} by something else than LimaCharlie{said}", status=status
            )
        if call.root == "jwt" and status != 413:
            return Auth(f"LimaCharlie refused the key {call.purpose}{said}", status=status, code=code)
        kind = _CODES.get(code) or {401: Denied, 403: Denied, 404: Gone, 409: Conflict}.get(status, Invalid)
        if kind is Gone and not _is_error(body):
            return Protocol(
                f"{what} was answered 404 by something else than LimaCharlie{said}", status=status
            )
        if kind is Denied:
            # First what it means: a screen has room for the beginning of a sentence.
            return Denied(f"This key may not use {what}{said}", status=status, code=code)
        words = {Gone: "found nothing", Conflict: "met another change"}
        text = words.get(kind, f"was refused as wrong ({status})")
        return kind(f"{what} {text}{said}", status=status, code=code)


def _unclear(error: LimaCharlieError) -> bool:
    """Whether a change that met this may nevertheless have been made."""
    return isinstance(error, Network | Protocol | Unavailable)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def _said(body: bytes) -> tuple[str, str]:
    """What an error's body says, and the code in it."""
    message, code = body[:65_536].decode("utf-8", "replace"), ""
    with contextlib.suppress(LimaCharlieError):
        answer = decode(body, "")
        if isinstance(answer, dict):
            given, named = answer.get("error"), answer.get("error_code")
            message = given if isinstance(given, str) else message
            code = named if isinstance(named, str) and len(named) <= 60 else ""
    found = _CODE.search(message)
    return message, code or (next(filter(None, found.groups())) if found else "")


def _is_error(body: bytes) -> bool:
    try:
        return isinstance(decode(body, ""), dict)
    except Protocol:
        return False


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """Why a connection failed, without the address that the library repeats."""
    cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return excerpt(f"its certificate is not trusted ({cause.verify_message})")
    return excerpt(cause.strerror or type(cause).__name__).lower()


def _proxy(address: str | None) -> URL | None:
    if not address:
        return None
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not repeated: it may hold a password.
        raise Invalid("The proxy must be a URL such as http://proxy.example:3128.")
    return URL(address)


@functools.cache
def _system_tls() -> ssl.SSLContext:
    """TLS with the system's authorities; read once, which takes 20 ms."""
    return _tls(None)


def _tls(ca_file: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with the system's authorities, and those of a file.

    Not `ssl.create_default_context`, which lets the environment name authorities (SSL_CERT_FILE)
    and a file for the session keys (SSLKEYLOGFILE).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    for where in ({"cafile": paths.openssl_cafile}, {"capath": paths.openssl_capath}):
        with contextlib.suppress(OSError):
            context.load_verify_locations(**where)
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it holds no certificates"
            raise Invalid(f"The certificates in {ca_file[:200]!a} cannot be read: {why}.") from None
    return context
