"""Outputs, installation keys, resources, rules of older services, infrastructure as code."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.limacharlie import answers
from console.limacharlie.errors import Invalid, Protocol
from console.limacharlie.handle import Part
from console.limacharlie.transport import Call

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


class Configuration(Part):
    """What is configured beside the hives."""

    async def outputs(self) -> dict[str, dict[str, Any]]:
        """Its outputs by name (`GET outputs/{oid}`): name, module, for, options as text; with secrets."""
        answer = await self._get("outputs/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

    async def installation_keys(self) -> dict[str, dict[str, Any]]:
        """Its installation keys by iid (`GET installationkeys/{oid}`): desc, tags as `a,b`, key, ..."""
        answer = await self._get("installationkeys/{oid}")
        return answers.of_organization(answer.json(), self.oid, answer.what)

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
        answer = await self._send(call)
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
        answered = await self._ask(
            "ext-infrastructure", "fetch", {"options": wanted}, safe=True, impersonated=True
        )
        what = "POST extension/request/{extension}"
        data = answers.mapping(answered, what, "data")
        document = answers.mapping(answers.member(data, "org", what), what, "org")
        if document.get("version") != 3:
            raise Protocol(f"The answer to {what} is not a configuration of version 3.")
        return document
