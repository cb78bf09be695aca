"""The organization itself: its record, values, quota, standing errors; making and deleting one."""

from collections.abc import AsyncIterator
from typing import Any

from console.limacharlie import answers
from console.limacharlie.answers import OrganizationRow, Quota, Who
from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.errors import Invalid, Protocol
from console.limacharlie.handle import CloudPart, Part
from console.limacharlie.tokens import IDENTITY, Scope
from console.limacharlie.transport import Call, organization_id

ORGANIZATIONS_PAGE = 50
"""Rows asked for at once: what the official client asks for."""


class CloudOrganizations(CloudPart):
    """Who the credential is, and its organizations."""

    async def who(self, *, everywhere: bool = False) -> Who:
        """Whom the key stands for (`GET who`).

        Args:
            everywhere: with a user's key, ask with a token for all organizations, so that the
                permissions are in the answer; it is large, and the gateway may refuse it.

        Raises:
            Auth: the key is refused.
        """
        answer = await self._send(
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
            handle = Organization(self._transport, self.credentials.oid)
            record = await handle.record()
            yield [answers.organization_row({"oid": handle.oid, **record}, "GET orgs/{oid}")]
            return
        seen: set[str] = set()
        offset = 0
        while True:
            query = {"offset": str(offset), "limit": str(ORGANIZATIONS_PAGE)}
            answer = await self._send(Call("GET", "user/orgs", query=query, scope=IDENTITY))
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


class Organization(Part):
    """One organization's own record and figures."""

    async def record(self) -> dict[str, Any]:
        """What the organization says of itself (`GET orgs/{oid}`): name, sensor_version, sensor_quota, ..."""
        answer = await self._get("orgs/{oid}")
        held = answers.mapping(answer.json(), answer.what)
        answers.text(answers.member(held, "name", answer.what), answer.what, "name")
        answers.own_organization(held, self.oid, answer.what)
        return held

    async def urls(self) -> dict[str, Any]:
        """Its hosts by role (`GET orgs/{oid}/url`): bare names, and `region_code`. Asked without a token."""
        answer = await self._send(Call("GET", "orgs/{oid}/url", {"oid": self.oid}))
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


def _listed(oid: str) -> None:
    try:
        organization_id(oid)
    except Invalid:
        raise Protocol("The listing of organizations names something that is no organization's id.") from None
