"""Search (LCQL) and replay, on the organization's own hosts.

`GET orgs/{oid}/url` names them, and nobody signs that answer: a host that is not one of the endpoint's is
never spoken to.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from console.limacharlie import answers
from console.limacharlie.errors import Invalid, LimaCharlieError, Network, Protocol, excerpt
from console.limacharlie.handle import Done, done, onward
from console.limacharlie.organizations import Organization
from console.limacharlie.transport import Call

SHORTEST_POLL, LONGEST_POLL = 0.1, 10.0
"""Seconds between two looks at a search, whatever the answer proposes."""
CANCEL = 5.0
"""Seconds that are spent on cancelling a search that nobody waits for any more."""


class SearchResults(msgspec.Struct, frozen=True):
    """One batch of results of a search."""

    query_id: str
    type: str
    """`events`; others exist."""
    rows: list[Any]
    """As received."""
    stats: dict[str, Any] = {}


class SearchCheck(msgspec.Struct, frozen=True):
    """What a query would cost."""

    error: str
    """Why it is none; "" when it is valid. A stranger's text."""
    price: float | None = None
    currency: str = ""
    """Of the price."""
    details: dict[str, Any] = {}
    """As received."""


class Replayed(msgspec.Struct, frozen=True):
    """What a rule would have done."""

    matched: bool
    results: list[dict[str, Any]]
    """The actions that it would have taken, as received."""
    stats: dict[str, Any]
    """How much was looked at: n_proc, n_eval, wall_time, ..."""
    traces: list[Any]
    details: dict[str, Any]
    """As received."""


class Search(Organization):
    """Search and replay over an organization's past. Both may be billed by the events that they look at."""

    async def validate_search(self, query: str, start: int, end: int, stream: str = "event") -> SearchCheck:
        """Whether a query is one, and its price (`POST search/validate`); runs nothing.

        Args:
            query: LCQL.
            start, end: seconds since 1970, UTC.
            stream: `event`, `detection` or `audit`.
        """
        body, host = self._query(query, start, end, stream), await self._host("search")
        try:
            answer = await self._read("POST", "search/validate", body=body, root="search", host=host)
        except Invalid as error:
            if error.status != 400:
                raise
            return SearchCheck(str(error))
        held = answers.mapping(answer.json(), answer.what)
        if not held.get("error") and not held.keys() & {"valid", "estimatedPrice"}:
            answers.refuse(answer.what, "does not say whether the query is valid")
        price = answers.mapping(answers.given(held.get("estimatedPrice"), {}), answer.what, "estimatedPrice")
        value, currency = price.get("value"), answers.given(price.get("currency"), "")
        return SearchCheck(
            answer.excerpt(held["error"]) if held.get("error") else "",
            None if value is None else answers.number(value, answer.what, "value"),
            answers.text(currency, answer.what, "currency"),
            held,
        )

    async def search(
        self, query: str, start: int, end: int, stream: str = "event", patience: float = 600.0
    ) -> AsyncIterator[SearchResults]:
        """Search, and yield what is found as it comes (`POST search`, then `GET search/{queryId}`).

        The search is cancelled when the caller stops before its end.

        Args:
            query: LCQL.
            start, end: seconds since 1970, UTC.
            stream: `event`, `detection` or `audit`.
            patience: seconds for all of it.

        Raises:
            Invalid: the query is none, or the search failed.
            Throttled: too many searches are under way in the organization.
            Ambiguous: it is unknown whether the search was begun.
            Network: it did not end in time.
        """
        host, clock = await self._host("search"), self._transport.clock
        body = self._query(query, start, end, stream) | {"paginated": True}
        query_id = await self._change("POST", "search", _begun, body=body, root="search", host=host)
        ends = clock.monotonic() + patience
        token, seen, finished = "", set[str](), False
        try:
            while not finished:
                found, completed, following, pause = await self._poll(host, query_id, token)
                for each in found:
                    yield each
                if completed and following:
                    token = onward(following, seen, "GET search/{query}")
                elif completed:
                    finished = True
                elif clock.monotonic() + pause > ends:
                    raise Network(f"The search did not end within {patience:g} s.")
                else:
                    await clock.sleep(pause)
                if not finished and clock.monotonic() > ends:
                    raise Network(f"The search did not end within {patience:g} s.")
        finally:
            if not finished:
                with contextlib.suppress(LimaCharlieError, TimeoutError):
                    async with clock.timeout(CANCEL):
                        await self.cancel_search(query_id)

    async def cancel_search(self, query_id: str) -> Done:
        """Stop a search (`DELETE search/{queryId}`).

        Raises:
            Gone: there is none such any more.
        """
        host = await self._host("search")
        return await self._change(
            "DELETE", "search/{query}", done, root="search", host=host, segments={"query": query_id}
        )

    async def open_searches(self) -> dict[str, Any]:
        """The searches under way (`GET search/{oid}/queries`), as received: limit, slotsHeld, queries."""
        host = await self._host("search")
        call = Call(
            "GET", "search/{oid}/queries", {"oid": self.oid}, scope=self._scope, root="search", host=host
        )
        answer = await self._send(call)
        held = answers.mapping(answer.json(), answer.what)
        answers.mappings(
            answers.given(answers.member(held, "queries", answer.what), []), answer.what, "queries"
        )
        return held

    async def search_limits(self) -> dict[str, Any]:
        """What a search may take (`GET search/{oid}/limits`), as received; null is unlimited."""
        host = await self._host("search")
        call = Call(
            "GET", "search/{oid}/limits", {"oid": self.oid}, scope=self._scope, root="search", host=host
        )
        answer = await self._send(call)
        held = answers.filled(answer.json(), answer.what)
        answers.own_organization(held, self.oid, answer.what)
        return held

    async def replay_events(
        self, rule: Mapping[str, Any], events: Sequence[Mapping[str, Any]], *, trace: bool = False
    ) -> Replayed:
        """What a rule makes of some events (`POST` to the replay host); does nothing else.

        Args:
            rule: {detect, respond}.
            events: whole, {routing, event}.
            trace: say what each operator found.

        Raises:
            Invalid: the rule cannot be run.
        """
        source = {"stream": "event", "sensor_events": {}, "events": [dict(each) for each in events]}
        body = self._replay({"rule_name": "", "namespace": "", "rule": dict(rule)}, source, trace=trace)
        answer = await self._read("POST", "", body=body, root="replay", host=await self._host("replay"))
        return replayed(answer.json(), answer.what)

    async def replay(
        self,
        rule: Mapping[str, Any],
        start: int,
        end: int,
        sid: str = "",
        selector: str = "",
        stream: str = "event",
        *,
        dry_run: bool = False,
        limit_events: int = 0,
    ) -> Replayed:
        """What a rule would have made of the past (`POST` to the replay host). Billed by the event.

        It is sent once: a repetition would be billed again.

        Args:
            rule: {detect, respond}.
            start, end: seconds since 1970, UTC.
            sid: of one sensor only.
            selector: of the sensors that it selects only.
            stream: `event`, `detect` or `audit`.
            dry_run: only estimate what it costs.
            limit_events: look at so many at most; 0 is all.

        Raises:
            Invalid: the rule cannot be run.
            Ambiguous: the outcome is unknown; it may have been billed.
        """
        events: dict[str, Any] = {"start_time": int(start), "end_time": int(end)}
        if sid:
            events["sid"] = sid
        if selector:
            events["selector"] = selector
        source = {"stream": stream, "sensor_events": events}
        body = self._replay({"rule": dict(rule)}, source, dry_run=dry_run, limit_events=limit_events)
        host = await self._host("replay")
        if dry_run:
            answer = await self._read("POST", "", body=body, root="replay", host=host)
            return replayed(answer.json(), answer.what)
        return await self._change("POST", "", replayed, body=body, root="replay", host=host)

    def _query(self, query: str, start: int, end: int, stream: str) -> dict[str, Any]:
        if not query.strip():
            raise Invalid("There is nothing to search for.")
        # The times are text on the wire.
        return {
            "oid": self.oid,
            "query": query,
            "startTime": str(int(start)),
            "endTime": str(int(end)),
            "stream": stream,
        }

    def _replay(
        self,
        rule: Mapping[str, Any],
        source: Mapping[str, Any],
        *,
        trace: bool = False,
        dry_run: bool = False,
        limit_events: int = 0,
    ) -> dict[str, Any]:
        return {
            "oid": self.oid,
            "rule_source": dict(rule),
            "event_source": dict(source),
            "trace": trace,
            "limit_event": int(limit_events),
            "limit_eval": 0,
            "is_dry_run": dry_run,
        }

    async def _poll(
        self, host: str, query_id: str, token: str
    ) -> tuple[list[SearchResults], bool, str, float]:
        """One look at a search: (results, page completed, token of the next page, seconds to wait)."""
        call = Call(
            "GET",
            "search/{query}",
            {"query": query_id},
            {"token": token} if token else {},
            scope=self._scope,
            root="search",
            host=host,
        )
        answer = await self._send(call)
        held = answers.mapping(answer.json(), answer.what)
        if held.get("error"):
            raise Invalid(f"The search failed: {answer.excerpt(held['error'])}.")
        completed = answers.truth(answers.member(held, "completed", answer.what), answer.what, "completed")
        found, following = [], ""
        for each in answers.mappings(answers.given(held.get("results"), []), answer.what, "results"):
            following = answers.cursor(each.get("nextToken"), answer.what, "nextToken") or following
            found.append(
                SearchResults(
                    query_id,
                    answers.text(answers.member(each, "type", answer.what), answer.what, "type"),
                    answers.sequence(answers.given(each.get("rows"), []), answer.what, "rows"),
                    answers.mapping(answers.given(each.get("stats"), {}), answer.what, "stats"),
                )
            )
        proposed = (
            answers.number(answers.given(held.get("nextPollInMs"), 0), answer.what, "nextPollInMs") / 1000
        )
        return found, completed, following, min(max(proposed, SHORTEST_POLL), LONGEST_POLL)

    async def _host(self, role: str) -> str:
        """The base URL of the organization's `search` or `replay`.

        Raises:
            Protocol: it has none, or one that no token may be sent to.
        """
        if role not in self._hosts:
            named = (await self.urls()).get(role)
            if not isinstance(named, str) or not named:
                raise Protocol(f"The organization has no host for {role}.")
            self._hosts[role] = self._allowed(role, named)
        return self._hosts[role]

    def _allowed(self, role: str, named: str) -> str:
        endpoint = self._transport.endpoint
        schemes = [""] if "://" in named else ["https://"]
        if endpoint.loopback and "://" not in named:
            schemes.append("http://")
        for scheme in schemes:
            url = f"{scheme}{named}".rstrip("/")
            if endpoint.allows(url):
                parts = urlsplit(url)
                return f"{parts.scheme}://{parts.netloc}"
        raise Protocol(f"The organization's host for {role} is not one of LimaCharlie's.")


def _begun(value: Any, what: str) -> str:
    held = done(value, what).details
    query_id = held.get("queryId") or held.get("query_id")
    if not isinstance(query_id, str) or not query_id:
        answers.refuse(what, "has no id of a search")
    return query_id


def replayed(value: Any, what: str) -> Replayed:
    """An answer of replay; an older form has `responses` and its figures beside them."""
    held = answers.mapping(value, what)
    error = answers.text(answers.given(held.get("error"), ""), what, "error")
    if error and not held.keys() & {"did_match", "stats", "results", "responses"}:
        answers.refuse(what, f"is an error: {excerpt(error).rstrip('.')}")
    if error:
        raise Invalid(f"The rule could not be run: {excerpt(error).rstrip('.')}.")
    results = answers.mappings(answers.given(held.get("results", held.get("responses")), []), what, "results")
    matched = held.get("did_match")
    if matched is None:
        if not held.keys() & {"responses", "num_evals"}:
            answers.refuse(what, "does not say whether the rule matched")
        matched = bool(results)
    old = {name: held[name] for name in ("num_evals", "num_events", "eval_time") if name in held}
    return Replayed(
        matched=answers.truth(matched, what, "did_match"),
        results=results,
        stats=answers.mapping(answers.given(held.get("stats"), {}), what, "stats") | old,
        traces=answers.sequence(answers.given(held.get("traces"), []), what, "traces"),
        details=held,
    )
