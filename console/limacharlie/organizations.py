"""The organization itself: its record, values, quota, standing errors; making and deleting one."""

from collections.abc import AsyncIterator
from typing import Any

from console.limacharlie import answers
from console.limacharlie.answers import OrganizationRow, Quota, Who
from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.errors import Invalid, Protocol
from console.limacharlie.handle import CloudPart, Done, Part, done, sendable, succeeded
from console.limacharlie.tokens import IDENTITY, Scope
from console.limacharlie.transport import Call, organization_id

ORGANIZATIONS_PAGE = 50
"""Rows asked for at once: what the official client asks for."""


FIELDS = "oid,name,code,description,status,sensor_online,sensor_quota,sensor_version,errors,site_name"
"""What is wanted of the listing: all but `permissions`, which fill most of it (go: organization_ext.go)."""


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

    async def organizations(self, named: str = "") -> AsyncIterator[list[OrganizationRow]]:
        """All organizations of the credential, page by page (`GET user/orgs`).

        An organization's key has one page with one row, made of the organization's own record.

        Args:
            named: only those whose name, or oid, holds this text in any case (official client,
                `list_accessible_orgs`).

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
            query = {"offset": str(offset), "limit": str(ORGANIZATIONS_PAGE), "fields": FIELDS}
            if named:
                query["filter"] = named
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

    async def name_available(self, name: str) -> bool:
        """Whether an organization could be called so (`GET orgs/new`).

        Raises:
            Denied: the credential is an organization's key.
        """
        self._users_only("Organizations are made with a user's API key only.")
        query = sendable({"name": name})
        answer = await self._send(Call("GET", "orgs/new", query=query, scope=IDENTITY))
        return answers.truth(
            answers.member(answer.json(), "is_available", answer.what), answer.what, "is_available"
        )

    async def create_organization(self, name: str, location: str, template: str = "") -> str:
        """Make an organization (`POST orgs/new`).

        When the outcome is unknown, look for the name among the organizations before trying again:
        a second try makes a second organization, or fails because the name is taken.

        Args:
            location: where its data are to be: `usa`, `canada`, `europe`, `uk`, `india`, `australia`,
                `auto` (official client, `commands/org.py`).
            template: the name of a template, or a YAML document of configuration.

        Returns:
            Its oid.

        Raises:
            Denied: the credential is an organization's key.
            Invalid: the name is taken, or the location unknown.
            Ambiguous: the outcome is unknown.
        """
        self._users_only("Organizations are made with a user's API key only.")
        form = [("name", name), ("loc", location)]
        if template:
            form.append(("template", template))
        return await self._change("POST", "orgs/new", _created, form=form)

    async def plans(self) -> list[dict[str, Any]]:
        """The plans on offer (`GET plans`): [{id, name, region, description, price, currency, features}].

        Raises:
            Denied: the credential is an organization's key.
        """
        self._users_only("Plans are seen with a user's API key only.")
        answer = await self._send(Call("GET", "plans", scope=IDENTITY))
        return answers.mappings(answers.member(answer.json(), "plans", answer.what), answer.what, "plans")


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
        rows = answers.mappings(answers.given(held, []), answer.what, "errors")
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
        answers.mappings(
            answers.given(answers.member(held, "techniques", answer.what), []), answer.what, "techniques"
        )
        return held

    async def event_types(self, platform: str = "") -> list[str]:
        """The event types that it has seen (`GET orgs/{oid}/schema`): `evt:NEW_PROCESS`, `det:...`."""
        answer = await self._get("orgs/{oid}/schema", {"platform": platform} if platform else {})
        held = answers.member(answer.json(), "event_types", answer.what)
        return answers.texts(held, answer.what, "event_types")

    async def event_schema(self, name: str) -> dict[str, Any]:
        """The fields of one event type (`GET orgs/{oid}/schema/{name}`): {event_type, elements}.

        Raises:
            Gone: it has not seen such an event.
        """
        answer = await self._get("orgs/{oid}/schema/{name}", name=name)
        held = answers.mapping(answers.member(answer.json(), "schema", answer.what), answer.what, "schema")
        answers.texts(answers.member(held, "elements", answer.what), answer.what, "elements")
        return held

    async def resolve_arl(self, arl: str) -> Any:
        """What an authenticated resource locator leads to (`GET arl/{oid}`), as received."""
        answer = await self._get("arl/{oid}", {"arl": arl})
        held = answer.json()
        if held is None:
            answers.refuse(answer.what, "is null")
        return held

    # What changes it

    async def rename(self, name: str) -> Done:
        """Give it another name (`POST orgs/{oid}/name`); its description stays."""
        if not name.strip():
            raise Invalid("An organization needs a name.")
        return await self._write("POST", "orgs/{oid}/name", succeeded, query={"name": name})

    async def describe(self, description: str) -> Done:
        """Give it another description (`POST orgs/{oid}/name`).

        The API takes a description only together with a name, so the name is read first and sent as
        it is: a rename by somebody else between the two is undone.
        """
        name = (await self.record())["name"]
        query = {"name": name, "description": description}
        return await self._write("POST", "orgs/{oid}/name", succeeded, query=query)

    async def set_quota(self, quota: int) -> Done:
        """How many sensors it may have (`POST orgs/{oid}/quota`), in whole vSensors.

        Raises:
            Denied: `org.set_quota` is missing.
        """
        if isinstance(quota, bool) or quota < 0:
            raise Invalid("A quota is a number of sensors, 0 or more.")
        return await self._write("POST", "orgs/{oid}/quota", succeeded, form=[("quota", str(int(quota)))])

    async def set_value(self, name: str, value: str) -> Done:
        """Set one of its values (`POST configs/{oid}/{name}`), such as `vt`; "" unsets it."""
        return await self._write("POST", "configs/{oid}/{name}", done, form=[("value", value)], name=name)

    async def set_sensor_version(self, version: str) -> Done:
        """Which version its sensors run (`POST modules/{oid}`).

        Args:
            version: a specific one, `fallback`, or `sleep` for one that does nothing.
        """
        special = {"fallback": "is_fallback", "sleep": "is_sleep"}.get(version)
        query = {special: "true"} if special else {"specific_version": version}
        if not version:
            raise Invalid("A sensor version needs a name.")
        return await self._write("POST", "modules/{oid}", done, query=query)

    async def dismiss_error(self, component: str) -> Done:
        """Put a standing error away (`DELETE errors/{oid}/{component}`), such as of `outputs/siem`."""
        return await self._write("DELETE", "errors/{oid}/{component}", done, component=component)

    async def deletion_confirmation(self) -> str:
        """The first of two steps to delete it (`GET orgs/{oid}/delete`): what the second must repeat.

        Raises:
            Denied: `org.del` is missing.
        """
        answer = await self._get("orgs/{oid}/delete")
        held = answers.member(answer.json(), "confirmation", answer.what)
        confirmation = answers.text(held, answer.what, "confirmation")
        if not confirmation:
            answers.refuse(answer.what, "has no confirmation")
        return confirmation

    async def delete(self, confirmation: str) -> Done:
        """The second step: delete it for good (`DELETE orgs/{oid}/delete`).

        Args:
            confirmation: what `deletion_confirmation` answered.

        Raises:
            Invalid: the confirmation is not the one.
            Ambiguous: the outcome is unknown; see whether it is still listed.
        """
        if not confirmation:
            raise Invalid("An organization is deleted only with the confirmation that it gave.")
        form = [("confirmation", confirmation)]
        return await self._write("DELETE", "orgs/{oid}/delete", done, form=form)


def _listed(oid: str) -> None:
    try:
        organization_id(oid)
    except Invalid:
        raise Protocol("The listing of organizations names something that is no organization's id.") from None


def _created(value: Any, what: str) -> str:
    """The oid of a new organization; `data` is an object, or the same as JSON text."""
    details = done(value, what).details
    data = details.get("data", details)
    if isinstance(data, str):
        data = answers.decode(data.encode("utf-8", "surrogatepass"), what)
    oid = answers.text(answers.member(data, "oid", what), what, "oid")
    try:
        return organization_id(oid)
    except Invalid:
        raise Protocol(f"The answer to {what} names something that is no organization's id.") from None
