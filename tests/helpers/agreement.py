"""What limegrove's store and LimaCharlie's own client each tell of an organization, in one form."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from store.bodies import unpack
from store.configuration import HIVES, SECRET_MARK
from store.database import Store

Sdk = Callable[[str, str], Any]
"""Answers an expression of the official SDK about an organization (see `driver.py` of the conformance)."""

SERVICES = {
    "exfil": "Exfil(org).list()",
    "integrity": "Integrity(org).list()",
    "artifact": "LoggingRules(org).list()",
    "yara": "Yara(org).list_rules()",
}
"""Section of the store -> how the SDK is asked for it."""


def told(sdk: Sdk, oid: str, start: int, end: int) -> dict[str, Any]:
    """What the official client says of one organization.

    Args:
        start, end: of detections and audit, in seconds.
    """
    info = sdk("org.get_info()", oid)
    said: dict[str, Any] = {
        "name": info["name"],
        "record": info,
        "quota": sdk("org.get_quota_usage()", oid).get("quota"),
        "users": {
            who: sorted(held) for who, held in sdk("org.get_user_permissions()", oid).items()
        },
        "keys": {
            key_hash: (key["name"], sorted(key["priv"]), key["by"], key.get("allowed_ip_range") or "")
            for key_hash, key in sdk("org.get_api_keys()", oid).items()
        },
        "sensors": {row["sid"]: row for row in sdk("org.list_sensors()", oid)},
        "errors": {row["component"]: row["error"] for row in sdk("org.get_errors()", oid)},
        "detections": {row["detect_id"]: row for row in sdk(f"org.get_detections({start}, {end})", oid)},
        "audit": sorted(
            json.dumps(row, sort_keys=True) for row in sdk(f"org.get_audit_logs({start}, {end})", oid)
        ),
        "output": sdk("org.get_outputs()", oid),
        "installation_key": sdk("org.get_installation_keys()", oid),
        "extension": sdk("Extensions(org).list_subscribed()", oid),
        "resource": {
            name: sorted(held)
            for name, held in sdk(f"client.request('GET', 'orgs/{oid}/resources')", oid)["resources"].items()
        },
    }  # fmt: skip
    for section, expression in SERVICES.items():
        said[section] = sdk(expression, oid)
    for hive in HIVES:
        listed = sdk(f"Hive(org, {hive!r}).list{'_mtd' if hive == 'secret' else ''}()", oid)
        said[f"hive/{hive}"] = {
            name: {
                "data": None if hive == "secret" else record["data"],
                "etag": record["etag"],
                "enabled": record["enabled"],
                "tags": record["tags"] or [],
                "comment": record["comment"] or "",
                "expiry": record["expiry"] or 0,
            }
            for name, record in listed.items()
        }
    cases = sdk("Cases(org).list_cases(page_size=200)", oid) if "ext-cases" in said["extension"] else {}
    assert not cases.get("next_page_token"), "an organization with more than one page of cases"
    said["cases"] = {row["case_number"]: row for row in cases.get("cases", ())}
    return said


def held(store: Store, oid: str) -> dict[str, Any]:
    """What the store holds of one organization, in the form of `told`; {} when it is not there."""
    with store.reader.reading() as connection:
        return _held(connection, oid)


def _held(c: Connection, oid: str) -> dict[str, Any]:
    tables = SQLModel.metadata.tables

    def rows(name: str, *more: Any) -> list[Any]:
        table = tables[name]
        return list(c.execute(select(table).where(table.c.oid == oid, *more)))

    known = rows("organization")
    if not known:
        return {}
    (one,) = known
    details = {name: value for name, value in one.details.items() if name != "listing"}
    answer: dict[str, Any] = {
        "name": one.name,
        "record": details,
        "quota": one.sensor_quota,
        "users": {row.email: sorted(row.permissions) for row in rows("direct_permission")},
        "keys": {
            row.key_hash: (row.name, sorted(row.permissions), row.created_by, row.allowed_ip_range)
            for row in rows("api_key")
        },
        "sensors": {row.sid: row.details for row in rows("sensor")},
        "errors": {row.component: row.error for row in rows("organization_error")},
        "audit": sorted(json.dumps(row.details, sort_keys=True) for row in rows("audit_entry")),
        "cases": {row.case_number: json.loads(unpack(row.body)) for row in rows("case_record")},
    }
    detection, body = tables["detection"], tables["detection_body"]
    answer["detections"] = {
        row.detect_id: json.loads(unpack(row.body))
        for row in c.execute(
            select(detection.c.detect_id, body.c.body).where(
                detection.c.oid == oid, detection.c.id == body.c.detection_id
            )
        )
    }
    record, content = tables["configuration_record"], tables["configuration_body"]
    for section in ("output", "installation_key", "extension", "resource", *SERVICES):
        answer[section] = {}
    for hive in HIVES:
        answer[f"hive/{hive}"] = {}
    for row in c.execute(
        select(record, content.c.body).where(
            record.c.oid == oid, record.c.valid_to.is_(None), record.c.hash == content.c.hash
        )
    ):
        data = json.loads(unpack(row.body))
        if row.section.startswith("hive/"):
            data = {
                "data": None if row.section == "hive/secret" else data,
                "etag": row.etag,
                "enabled": row.enabled,
                "tags": row.metadata.get("tags") or [],
                "comment": row.metadata.get("comment") or "",
                "expiry": row.metadata.get("expiry") or 0,
            }
        answer.setdefault(row.section, {})[row.name] = data
    exfil = answer["exfil"]
    answer["exfil"] = {
        "list": {
            name.removeprefix("list/"): rule for name, rule in exfil.items() if name.startswith("list/")
        },
        "watch": {
            name.removeprefix("watch/"): rule for name, rule in exfil.items() if name.startswith("watch/")
        },
    }
    return answer


def differences(said: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Where the two do not tell the same, each in words; secrets that the store keeps as digests are equal to
    anything."""
    if not ours:
        return ["not in the store"]
    found = []
    said = {**said, "exfil": {name: said["exfil"].get(name) or {} for name in ("list", "watch")}}
    for subject in said:
        if not _same(said[subject], ours[subject]):
            found.append(f"{subject}: {_first(said[subject], ours[subject])}")
    return found


def _same(said: Any, ours: Any) -> bool:
    if isinstance(ours, dict) and SECRET_MARK in ours:
        return True
    if isinstance(said, dict) and isinstance(ours, dict):
        return said.keys() == ours.keys() and all(_same(said[name], ours[name]) for name in said)
    if isinstance(said, list | tuple) and isinstance(ours, list | tuple):
        return len(said) == len(ours) and all(map(_same, said, ours))
    return bool(said == ours)


def _first(said: Any, ours: Any) -> str:
    if isinstance(said, dict) and isinstance(ours, dict):
        lacking, more = (
            sorted(map(str, said.keys() - ours.keys())),
            sorted(map(str, ours.keys() - said.keys())),
        )
        if lacking or more:
            return f"not in the store {lacking[:3]}, only in the store {more[:3]}"
        name = next(name for name in said if not _same(said[name], ours[name]))
        return f"{name}: {_first(said[name], ours[name])}"
    return f"told {str(said)[:200]}, held {str(ours)[:200]}"


def groups_told(sdk: Sdk, oid: str) -> dict[str, Any]:
    """The groups as the official client shows them, by gid."""
    answer = {}
    for each in sdk("org.get_groups()", oid):
        group = sdk(f"org.get_group({each['gid']!r})['group']", oid)
        answer[each["gid"]] = {
            "name": group["name"],
            "permissions": sorted(group["perms"]),
            "owners": sorted(group["owners"]),
            "members": sorted(group["members"]),
            "organizations": sorted(each["org_id"] for each in group["orgs"]),
        }
    return answer


def groups_held(store: Store) -> dict[str, Any]:
    """The groups of the store, in the form of `groups_told`."""
    tables = SQLModel.metadata.tables
    group, member, of = (
        tables[name] for name in ("organization_group", "group_member", "group_organization")
    )
    with store.reader.reading() as c:
        answer = {}
        for row in c.execute(select(group).where(group.c.complete)):
            people = list(c.execute(select(member.c.email, member.c.owner).where(member.c.gid == row.gid)))
            answer[row.gid] = {
                "name": row.name,
                "permissions": sorted(row.permissions),
                "owners": sorted(each.email for each in people if each.owner),
                "members": sorted(each.email for each in people if not each.owner),
                "organizations": sorted(c.execute(select(of.c.oid).where(of.c.gid == row.gid)).scalars()),
            }
        return answer
