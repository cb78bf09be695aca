"""LimaCharlie as limegrove asks it: one `Cloud` per credential, one handle per organization."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from console.limacharlie import answers
from console.limacharlie.answers import (
    DetectionPage,
    HiveRecord,
    OrganizationRow,
    Page,
    Quota,
    Who,
)
from console.limacharlie.clock import Clock
from console.limacharlie.credentials import Credentials, OrganizationKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Denied, Gone, Invalid, Protocol
from console.limacharlie.limits import Limits
from console.limacharlie.tokens import IDENTITY, Scope
from console.limacharlie.transport import Answer, Call, Deadlines, Stats, Transport, organization_id

__all__ = [
    "Cloud",
    "Deadlines",
    "DetectionPage",
    "HiveRecord",
    "OrganizationHandle",
    "OrganizationRow",
    "Page",
    "Quota",
    "Who",
]

Result = TypeVar("Result")

ORGANIZATIONS_PAGE = 50
"""Rows asked for at once: what the official client asks for."""
HIVE_PAGE = 500
"""Records asked for at once: the cloud's cap."""
SENSORS_PAGE = 1_000
DETECTIONS_PAGE = 1_000
AUDIT_PAGE = 1_000

SERVICES = ("logging", "exfil", "integrity", "yara")
SYNC_OPTIONS = (
    "sync_outputs",
    "sync_resources",
    "sync_extensions",
    "sync_integrity",
    "sync_exfil",
    "sync_artifacts",
    "sync_org_values",
    "sync_installation_keys",
    "sync_yara",
)
"""The flags of an infrastructure fetch beside `sync_hives` (official client, `sdk/configs.py`)."""


class Cloud:
    """LimaCharlie for one credential. Use it as `async with Cloud(...) as cloud`.

    All methods raise `LimaCharlieError` of one of its kinds and nothing else, and answer only what
    was checked to have the documented shape.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: Endpoint,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        concurrency: int = 16,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            credentials: a user's or an organization's key.
            endpoint: the only hosts that will be spoken to.
            proxy: URL of an HTTP proxy; the environment's is ignored. Not used for the loopback.
            ca_file: PEM file of further certificate authorities.
            concurrency: requests under way at once.
            deadlines: 5 s to connect, 20 s of silence, 60 s for all by default.
            clock: by which pauses, deadlines and the life of tokens go; the machine's when None.

        Raises:
            Invalid: the proxy, the file, or the oid of an organization's key is unusable.
        """
        if isinstance(credentials, OrganizationKey):
            organization_id(credentials.oid)
        self.credentials = credentials
        self._transport = Transport(
            credentials,
            endpoint,
            proxy=proxy,
            ca_file=ca_file,
            concurrency=concurrency,
            deadlines=deadlines,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.close()

    @property
    def stats(self) -> Stats:
        """How much was asked, by endpoint."""
        return self._transport.stats

    @property
    def limits(self) -> Limits:
        """The rate of this credential; `limits.describe()` says it in words."""
        return self._transport.limits

    def organization(self, oid: str) -> "OrganizationHandle":
        """The only way to one organization: a handle that holds its oid and uses its token.

        Raises:
            Invalid: the oid is none.
        """
        return OrganizationHandle(self._transport, organization_id(oid))

    async def who(self, *, everywhere: bool = False) -> Who:
        """Whom the key stands for (`GET who`).

        Args:
            everywhere: with a user's key, ask with a token for all organizations, so that the
                permissions are in the answer; it is large, and the gateway may refuse it.

        Raises:
            Auth: the key is refused.
        """
        answer = await self._transport.send(
            Call("GET", "who", scope=Scope("all") if everywhere and not self._one else IDENTITY)
        )
        return answers.who(answer.json(), answer.what)

    async def organizations(self) -> AsyncIterator[list[OrganizationRow]]:
        """All organizations of the credential, page by page (`GET user/orgs`).

        An organization's key has one page with one row, made of the organization's own record.

        Raises:
            Protocol: the pages do not add up to the `total` that they name, so organizations may be
                missing: what was yielded is real, and its absence from the rest proves nothing.
        """
        if isinstance(self.credentials, OrganizationKey):
            handle = self.organization(self.credentials.oid)
            record = await handle.record()
            yield [answers.organization_row({"oid": handle.oid, **record}, "GET orgs/{oid}")]
            return
        seen: set[str] = set()
        offset = 0
        while True:
            query = {"offset": str(offset), "limit": str(ORGANIZATIONS_PAGE)}
            answer = await self._transport.send(Call("GET", "user/orgs", query=query, scope=IDENTITY))
            held = answer.json()
            rows = answers.mappings(answers.member(held, "orgs", answer.what), answer.what, "orgs")
            total = answers.number(answers.member(held, "total", answer.what), answer.what, "total")
            page = [answers.organization_row(row, answer.what) for row in rows]
            for row in page:
                _listed(row.oid)
            fresh = [row for row in {row.oid: row for row in page}.values() if row.oid not in seen]
            seen.update(row.oid for row in fresh)
            offset += len(rows)
            if fresh:
                yield fresh
            if not rows or offset >= total:
                break
        if len(seen) != total:
            raise Protocol(
                f"The listing of organizations is incomplete: it names {len(seen)} of {total:g}; try again."
            )

    async def groups(self) -> list[dict[str, Any]]:
        """All groups that the user owns, each whole.

        Asks `GET groups/concurrent`, and where a cloud has not got that, `GET groups` and each one.

        Returns:
            [{group_id, name, owners, members, orgs: [{org_id, org_name}], perms}], other fields as received.

        Raises:
            Denied: the credential is an organization's key.
        """
        self._users_only("Groups are seen with a user's API key only.")
        try:
            answer = await self._transport.send(Call("GET", "groups/concurrent", scope=IDENTITY))
            held = answers.member(answer.json(), "groups", answer.what)
            return [_group(each, answer.what) for each in answers.mappings(held or [], answer.what, "groups")]
        except (Gone, Invalid):
            pass
        answer = await self._transport.send(Call("GET", "groups", scope=IDENTITY))
        held = answers.member(answer.json(), "groups", answer.what)
        names = [
            answers.text(answers.member(each, "gid", answer.what), answer.what, "gid")
            for each in answers.mappings(held or [], answer.what, "groups")
        ]
        return await _all([self.group(name) for name in names])

    async def group(self, gid: str) -> dict[str, Any]:
        """One group, whole; as an element of `groups`.

        Raises:
            Denied: the credential is an organization's key, or the user does not own the group.
            Gone: there is no such group.
        """
        self._users_only("Groups are seen with a user's API key only.")
        answer = await self._transport.send(Call("GET", "groups/{gid}", {"gid": gid}, scope=IDENTITY))
        held = answers.member(answer.json(), "group", answer.what)
        group = _group(held, answer.what)
        if group["group_id"] != gid:
            raise Protocol(f"The answer to {answer.what} is another group.")
        return group

    @property
    def _one(self) -> bool:
        return isinstance(self.credentials, OrganizationKey)

    def _users_only(self, why: str) -> None:
        if self._one:
            raise Denied(why)


class OrganizationHandle:
    """One organization: every request carries its oid and a token for it alone."""

    def __init__(self, transport: Transport, oid: str) -> None:
        self.oid = oid
        self._transport = transport
        self._scope = Scope("organization", oid)

    def __repr__(self) -> str:
        return f"OrganizationHandle({self.oid!r})"

    async def _get(self, template: str, query: Mapping[str, str] | None = None, **segments: str) -> Answer:
        call = Call("GET", template, {"oid": self.oid, **segments}, query or {}, scope=self._scope)
        return await self._transport.send(call)

    # The organization itself

    async def record(self) -> dict[str, Any]:
        """What the organization says of itself (`GET orgs/{oid}`): name, sensor_version, sensor_quota, ..."""
        answer = await self._get("orgs/{oid}")
        held = answers.mapping(answer.json(), answer.what)
        answers.text(answers.member(held, "name", answer.what), answer.what, "name")
        answers.own_organization(held, self.oid, answer.what)
        return held

    async def urls(self) -> dict[str, Any]:
        """Its hosts by role (`GET orgs/{oid}/url`): bare names, and `region_code`. Asked without a token."""
        answer = await self._transport.send(Call("GET", "orgs/{oid}/url", {"oid": self.oid}))
        return answers.mapping(answers.member(answer.json(), "url", answer.what), answer.what, "url")

    async def org_value(self, name: str) -> str:
        """One of its values (`GET configs/{oid}/{name}`), such as `vt`: mostly keys of other services."""
        answer = await self._get("configs/{oid}/{name}", name=name)
        value = answers.member(answer.json(), "value", answer.what)
        return answers.text("" if value is None else value, answer.what, "value")

    async def usage(self) -> dict[str, dict[str, Any]]:
        """What it used (`GET usage/{oid}`): {YYYY-MM-DD: {metric: number}}, about 90 days."""
        answer = await self._get("usage/{oid}")
        days = answers.mapping(answers.member(answer.json(), "usage", answer.what), answer.what, "usage")
        return {day: answers.mapping(metrics, answer.what, "each day") for day, metrics in days.items()}

    async def errors(self) -> list[dict[str, Any]]:
        """Its standing errors (`GET errors/{oid}`): [{component, error, ts, oid}]."""
        answer = await self._get("errors/{oid}")
        held = answers.member(answer.json(), "errors", answer.what)
        if isinstance(held, dict):
            # The official client takes a list or an object, and does not say what its keys are.
            held = [
                {"component": name, **each} if isinstance(each, dict) else {"component": name, "error": each}
                for name, each in held.items()
            ]
        rows = answers.mappings(held or [], answer.what, "errors")
        for row in rows:
            answers.own_organization(row, self.oid, answer.what)
        return rows

    async def quota_usage(self) -> Quota:
        """Weighted sensors in use and allowed (`GET quota_usage/{oid}`)."""
        answer = await self._get("quota_usage/{oid}")
        return answers.quota(answer.json(), answer.what)

    async def online(self) -> int:
        """How many sensors are online (`GET online/{oid}`)."""
        answer = await self._get("online/{oid}")
        return int(answers.number(answers.member(answer.json(), "count", answer.what), answer.what, "count"))

    async def mitre(self) -> dict[str, Any]:
        """Its rules' ATT&CK coverage, a Navigator layer (`GET mitre/{oid}`)."""
        answer = await self._get("mitre/{oid}")
        held = answers.mapping(answer.json(), answer.what)
        answers.mappings(answers.member(held, "techniques", answer.what) or [], answer.what, "techniques")
        return held

    # Who may do what

    async def users(self) -> list[str]:
        """E-mail addresses of its direct users (`GET orgs/{oid}/users`)."""
        answer = await self._get("orgs/{oid}/users")
        return answers.texts(answers.member(answer.json(), "users", answer.what), answer.what, "users")

    async def permissions(self) -> dict[str, Any]:
        """Who holds what (`GET orgs/{oid}/users/permissions`), as received.

        Returns:
            user_permissions {email: [permission]} is what is granted directly; direct_users
            [{email, uid, perms, MFA_enabled, MFA_types}], from_groups {uid or email: {email, groups}}
            and group_info {gid: {name, perms, owners}} where the answer has them.
        """
        answer = await self._get("orgs/{oid}/users/permissions")
        held = answers.mapping(answer.json(), answer.what)
        granted = answers.mapping(
            answers.member(held, "user_permissions", answer.what), answer.what, "user_permissions"
        )
        for permissions in granted.values():
            answers.texts(permissions, answer.what, "user_permissions")
        answers.mappings(held.get("direct_users") or [], answer.what, "direct_users")
        for name in ("from_groups", "group_info"):
            for each in answers.mapping(held.get(name) or {}, answer.what, name).values():
                answers.mapping(each, answer.what, f"each of {name}")
        return held

    async def keys(self) -> dict[str, dict[str, Any]]:
        """Its API keys by hash (`GET orgs/{oid}/keys`): name, priv, by, allowed_ip_range, last_used."""
        answer = await self._get("orgs/{oid}/keys")
        held = answers.mapping(
            answers.member(answer.json(), "api_keys", answer.what) or {}, answer.what, "api_keys"
        )
        keys = {name: answers.mapping(key, answer.what, "each key") for name, key in held.items()}
        for key in keys.values():
            answers.texts(key.get("priv"), answer.what, "priv")
            answers.own_organization(key, self.oid, answer.what)
        return keys

    # Configuration

    async def hive(self, name: str, *, mtd_only: bool = False) -> dict[str, HiveRecord]:
        """All records of a hive by key (`GET hive/{name}/{oid}`), paged.

        Args:
            name: such as `dr-general`.
            mtd_only: leave the content out: for the secret hive, whose content never leaves the cloud.

        Raises:
            Denied: the key lacks the hive's permission; the cloud answers 400 with `UNAUTHORIZED`.
            Protocol: pages repeat or are none.
        """
        records: dict[str, HiveRecord] = {}
        cursor = ""
        seen: set[str] = set()
        while True:
            query = {"limit": str(HIVE_PAGE)}
            if cursor:
                query["cursor"] = cursor
            if mtd_only:
                query["mtd_only"] = "true"
            answer = await self._get("hive/{hive}/{oid}", query, hive=name)
            page, following = answers.hive_page(answer.json(), answer.what)
            records.update(page)
            if not following:
                break
            cursor = _onward(following, seen, answer.what)
        if mtd_only:
            # A cloud that does not know mtd_only sends the content; it is dropped before anybody sees it.
            return {key: msgspec.structs.replace(record, body=None) for key, record in records.items()}
        return records

    async def outputs(self) -> dict[str, dict[str, Any]]:
        """Its outputs by name (`GET outputs/{oid}`): name, module, for, options as text; with secrets."""
        answer = await self._get("outputs/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

    async def installation_keys(self) -> dict[str, dict[str, Any]]:
        """Its installation keys by iid (`GET installationkeys/{oid}`): desc, tags as `a,b`, key, ..."""
        answer = await self._get("installationkeys/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

    async def subscriptions(self) -> dict[str, Any]:
        """The extensions it is subscribed to, by name (`GET orgs/{oid}/subscriptions`)."""
        answer = await self._get("orgs/{oid}/subscriptions")
        held = answers.mapping(answer.json(), answer.what)
        if isinstance(held.get("error"), str):
            raise Protocol(
                f"{answer.what} was answered with an error as a success: {answer.excerpt(held['error'])}."
            )
        return held

    async def resources(self) -> dict[str, list[str]]:
        """The resources it is subscribed to, by category (`GET orgs/{oid}/resources`)."""
        answer = await self._get("orgs/{oid}/resources")
        held = answers.mapping(
            answers.member(answer.json(), "resources", answer.what) or {}, answer.what, "resources"
        )
        return {name: answers.texts(each, answer.what, f"each of {name!a}") for name, each in held.items()}

    async def service_rules(self, service: str, action: str = "list_rules") -> dict[str, Any]:
        """The rules of an older service (`POST service/{oid}/{service}`, which changes nothing here).

        Args:
            service: of SERVICES.
            action: `list_rules`, or `list_sources` of yara.

        Returns:
            {name: rule}; of exfil {perf, list, watch}. The same rules are in the hive `extension_config`
            where the organization has moved on to extensions.
        """
        if service not in SERVICES or not action.startswith("list_"):
            raise Invalid(f"{service[:80]!a} {action[:80]!a} is not a listing of rules.")
        request = base64.b64encode(msgspec.json.encode({"action": action})).decode("ascii")
        call = Call(
            "POST",
            "service/{oid}/{service}",
            {"oid": self.oid, "service": service},
            form=[("request_data", request), ("is_async", "false")],
            scope=self._scope,
            safe=True,
        )
        answer = await self._transport.send(call)
        held = answers.mapping(answer.json(), answer.what)
        if isinstance(held.get("error"), str) and held["error"]:
            raise Invalid(f"{answer.what} failed: {answer.excerpt(held['error'])}.")
        return held

    async def fetch_infrastructure(
        self, options: Mapping[str, bool] | None = None, hives: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Its configuration as one document, version 3 (extension `ext-infrastructure`, action `fetch`).

        Args:
            options: of SYNC_OPTIONS; all of them when None. What is not asked for is not in the answer.
            hives: names of hives to be in it.

        Raises:
            Denied: the organization is not subscribed to the extension, or the key lacks a permission.
        """
        wanted: dict[str, Any] = dict(options) if options is not None else dict.fromkeys(SYNC_OPTIONS, True)
        if hives:
            wanted["sync_hives"] = dict.fromkeys(hives, True)
        packed = base64.b64encode(gzip.compress(msgspec.json.encode({"options": wanted}), mtime=0)).decode(
            "ascii"
        )

        def form(token: str) -> list[tuple[str, str]]:
            return [
                ("oid", self.oid),
                ("action", "fetch"),
                ("gzdata", packed),
                ("impersonator_jwt", token),
            ]

        call = Call(
            "POST",
            "extension/request/{extension}",
            {"extension": "ext-infrastructure"},
            form=form,
            scope=self._scope,
            safe=True,
        )
        answer = await self._transport.send(call)
        held = answers.mapping(answer.json(), answer.what)
        if held.get("error"):
            raise Invalid(f"{answer.what} failed: {answer.excerpt(held['error'])}.")
        data = answers.mapping(answers.member(held, "data", answer.what), answer.what, "data")
        document = answers.mapping(answers.member(data, "org", answer.what), answer.what, "org")
        if document.get("version") != 3:
            raise Protocol(f"The answer to {answer.what} is not a configuration of version 3.")
        return document

    # Sensors and what they brought

    async def sensors(self) -> AsyncIterator[list[dict[str, Any]]]:
        """All sensors, page by page (`GET sensors/{oid}`): records as received.

        Times are `YYYY-MM-DD HH:MM:SS` UTC; each row has a `sid`.

        Raises:
            Protocol: a page is none, belongs to another organization, or the listing repeats itself.
        """
        token = ""
        seen: set[str] = set()
        while True:
            query = {"limit": str(SENSORS_PAGE)}
            if token:
                query["continuation_token"] = token
            answer = await self._get("sensors/{oid}", query)
            held = answers.mapping(answer.json(), answer.what)
            rows = answers.records_page(held, "sensors", answer.what).records
            for row in rows:
                answers.text(answers.member(row, "sid", answer.what), answer.what, "sid")
                answers.own_organization(row, self.oid, answer.what)
            if rows:
                yield rows
            following = answers.cursor(held.get("continuation_token"), answer.what, "continuation_token")
            if not following:
                return
            token = _onward(following, seen, answer.what)

    async def detections(
        self, start: int, end: int, cursor: str = "-", limit: int = DETECTIONS_PAGE, cat: str | None = None
    ) -> DetectionPage:
        """One page of detections (`GET insight/{oid}/detections`), in no promised order.

        Args:
            start, end: seconds since 1970, UTC.
            cursor: `-` for the first page, then `next_cursor` of the page before.
            limit: records of the page.
            cat: exactly this category only.

        Returns:
            The records byte for byte; one that no JSON reader takes is among them. `next_cursor` is
            "" on the last page. A page may be empty and not the last.

        Raises:
            Invalid: the cursor has expired.
        """
        query = {"start": str(int(start)), "end": str(int(end)), "cursor": cursor, "limit": str(int(limit))}
        if cat is not None:
            query["cat"] = cat
        query["is_compressed"] = "true"
        answer = await self._get("insight/{oid}/detections", query)
        return await _aside(answers.decode_page, answer)

    async def detection(self, detect_id: str) -> bytes:
        """One detection, byte for byte (`GET insight/{oid}/detections/{detect_id}`).

        Raises:
            Gone: there is none with this id.
        """
        answer = await self._get("insight/{oid}/detections/{detect_id}", detect_id=detect_id)
        return answers.one_detection(answer.body, detect_id, answer.what, answer.secrets)

    async def audit(self, start: int, end: int, cursor: str = "-", limit: int = AUDIT_PAGE) -> Page:
        """One page of the audit log (`GET insight/{oid}/audit`); arguments as of `detections`.

        Returns:
            Entries as received: oid, ts, time, etype, msg, ident, entity, mtd, origin.
        """
        query = {"start": str(int(start)), "end": str(int(end)), "cursor": cursor, "limit": str(int(limit))}
        answer = await self._get("insight/{oid}/audit", query | {"is_compressed": "true"})
        page = await _aside(
            lambda body, what: answers.records_page(answers.decode(body, what), "events", what), answer
        )
        for row in page.records:
            answers.own_organization(row, self.oid, answer.what)
        return page


def _listed(oid: str) -> None:
    try:
        organization_id(oid)
    except Invalid:
        raise Protocol("The listing of organizations names something that is no organization's id.") from None


def _group(value: Any, what: str) -> dict[str, Any]:
    """A group of the expected shape; `gid` (of a listing) is `group_id` as well."""
    group = dict(answers.mapping(value, what, "group"))
    gid = group.get("group_id") or group.get("gid")
    group["group_id"] = answers.text(gid, what, "group_id")
    answers.text(answers.member(group, "name", what), what, "name")
    for name in ("owners", "members", "perms"):
        group[name] = answers.sequence(answers.member(group, name, what) or [], what, name)
    group["orgs"] = answers.mappings(answers.member(group, "orgs", what) or [], what, "orgs")
    return group


def _onward(cursor: str, seen: set[str], what: str) -> str:
    if cursor in seen:
        raise Protocol(f"The listing {what} repeats itself and would never end.")
    seen.add(cursor)
    return cursor


async def _all(reads: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Everything at once; the first error ends the others."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _aside(read: Callable[[bytes, str], Result], answer: Answer) -> Result:
    """Read a large answer in a thread, since unpacking one holds up the screen."""
    if len(answer.body) < 65_536:
        return read(answer.body, answer.what)
    return await asyncio.to_thread(read, answer.body, answer.what)
