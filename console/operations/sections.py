"""The sections that configure an organization, and how each is read."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from console.limacharlie.client import HiveRecord, OrganizationHandle
from store.configuration import HIVES, Record

SERVICES = {"exfil": "exfil", "integrity": "integrity", "logging": "artifact", "yara": "yara"}
"""Legacy service -> the section its rules stand in, named as in the infrastructure document."""

SINGLY = 8
"""So many changed records of a hive are read one by one; of more, the hive is read whole."""

Section = Mapping[str, Record]
Reading = Callable[[OrganizationHandle], Awaitable[Section]]


async def hive(handle: OrganizationHandle, name: str) -> dict[str, Record]:
    """Every record of a hive."""
    # The secret hive is mirrored as metadata: its content is never asked for.
    found = await handle.hive(name, mtd_only=name == "secret")
    return {key: _record(record) for key, record in found.items()}


async def record(handle: OrganizationHandle, name: str, key: str) -> Record:
    """One record of a hive.

    Raises:
        Gone: it is not there any more.
    """
    return _record(await handle.hive_record(name, key))


def _record(found: HiveRecord) -> Record:
    return Record(
        body=found.body,
        metadata=found.metadata,
        etag=found.etag,
        author=found.author,
        modified=found.modified,
    )


async def _keyed(
    read: Callable[[OrganizationHandle], Awaitable[dict[str, Any]]], handle: OrganizationHandle
) -> dict[str, Record]:
    return {name: Record(body=body) for name, body in (await read(handle)).items()}


async def _resources(handle: OrganizationHandle) -> dict[str, Record]:
    return {category: Record(body=sorted(names)) for category, names in (await handle.resources()).items()}


async def _values(handle: OrganizationHandle) -> dict[str, Record]:
    # One request tells those that are set; asking for each by name takes a dozen.
    document = await handle.fetch_infrastructure({"sync_org_values": True})
    values = document.get("org-value")
    return {name: Record(body=value) for name, value in (values if isinstance(values, dict) else {}).items()}


async def _service(service: str, handle: OrganizationHandle) -> dict[str, Record]:
    rules = await handle.service_rules(service)
    if service == "exfil":  # {perf, list: {name: rule}, watch: {name: rule}}
        rules = {
            f"{kind}/{name}": rule
            for kind in ("list", "watch")
            for name, rule in (rules.get(kind) or {}).items()
        }
    return {name: Record(body=rule) for name, rule in rules.items()}


def _hive(name: str, handle: OrganizationHandle) -> Awaitable[Section]:
    return hive(handle, name)


READINGS: dict[str, Reading] = {
    **{f"hive/{name}": partial(_hive, name) for name in HIVES},
    "output": partial(_keyed, OrganizationHandle.outputs),
    "installation_key": partial(_keyed, OrganizationHandle.installation_keys),
    "extension": partial(_keyed, OrganizationHandle.subscriptions),
    "resource": _resources,
    "org_value": _values,
    **{section: partial(_service, service) for service, section in SERVICES.items()},
}
"""Section -> how it is read, secrets still in place."""
