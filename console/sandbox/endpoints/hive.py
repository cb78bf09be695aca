"""Hive: records of every kind, read, written under an etag, removed.

All failures are 400 with a code inside the text (official client 5.10.1, sdk/hive.py).
"""

import base64
import binascii
import gzip
import time
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, hive_error, table
from console.sandbox.chance import uuid_of
from console.sandbox.configuration import HIVES, needed
from console.sandbox.organizations import Organization

PAGE = 500
"""Most records of a page."""
BYTES = 8 * 1024 * 1024
"""Of a listing in one piece; more has to be paged."""


def _reach(call: Call, act: str) -> tuple[Organization, str]:
    hive = call.params["hive"]
    if hive not in HIVES:
        raise hive_error("INVALID", f"unknown hive {hive}")
    one = call.organization()
    permissions = needed(hive, act)
    key = call.params.get("key")
    # A hive permission may also be held for one record: secret.get.my-key.
    if key is not None:
        permissions += tuple(f"{permission}.{key}" for permission in permissions)
    if not call.allows(one.oid, *permissions):
        raise hive_error("UNAUTHORIZED", f"missing privilege named {permissions[0]}")
    return one, hive


def _record(call: Call, one: Organization, hive: str) -> dict[str, Any]:
    found = call.world.records(one, hive).get(call.params["key"])
    if found is None:
        raise hive_error("RECORD_NOT_FOUND", f"{hive}/{call.params['key']}")
    return found


@table.add("GET", "/v1/hive/{hive}/schema")
def schema(call: Call) -> object:
    """What a record of the hive may hold."""
    hive = call.params["hive"]
    if hive not in HIVES:
        raise hive_error("INVALID", f"unknown hive {hive}")
    required = {
        "secret": ["secret"],
        "query": ["query"],
        "yara": ["rule"],
        "playbook": ["python"],
        "dr-general": ["detect", "respond"],
        "dr-managed": ["detect", "respond"],
    }
    return {"schema": {"type": "object", "required": required.get(hive, [])}}


@table.add("GET", "/v1/hive/{hive}/{oid}")
def listing(call: Call) -> object:
    """All records of a hive, in one piece or in pages."""
    only_metadata = call.flag("mtd_only")
    one, hive = _reach(call, "get.mtd" if only_metadata else "get")
    records = call.world.records(one, hive)
    tag = call.asked("tag_prefix")
    if tag:
        records = {
            key: record
            for key, record in records.items()
            if any(each.startswith(tag) for each in record["usr_mtd"].get("tags") or ())
        }
    if only_metadata:
        records = {key: record | {"data": None} for key, record in records.items()}
    if "limit" not in call.query and "cursor" not in call.query:
        whole = orjson.dumps(records)
        if len(whole) > BYTES:
            raise Refusal(413, "HIVE_LISTING_TOO_LARGE: ask for pages", error_code="HIVE_LISTING_TOO_LARGE")
        return whole
    keys = sorted(records)
    start = 0
    cursor = call.asked("cursor")
    if cursor:
        try:
            after = base64.urlsafe_b64decode(cursor.encode("ascii")).decode()
        except (ValueError, binascii.Error):
            raise hive_error("INVALID_CURSOR", "the cursor is not one of ours") from None
        if not after.startswith("key:"):
            raise hive_error("INVALID_CURSOR", "the cursor is not one of ours")
        start = next((place for place, key in enumerate(keys) if key > after[4:]), len(keys))
    limit = max(1, min(PAGE, call.number("limit", PAGE)))
    room = call.number("max_bytes", BYTES)
    page: dict[str, Any] = {}
    for key in keys[start : start + limit]:
        room -= len(orjson.dumps(records[key]))
        if page and room < 0:
            break
        page[key] = records[key]
    more = start + len(page) < len(keys)
    last = next(reversed(page), "")
    return {
        "records": page,
        "next_cursor": base64.urlsafe_b64encode(f"key:{last}".encode()).decode() if more else "",
    }


@table.add("GET", "/v1/hive/{hive}/{oid}/{key}/data")
def get(call: Call) -> object:
    """One record."""
    one, hive = _reach(call, "get")
    return _record(call, one, hive)


@table.add("GET", "/v1/hive/{hive}/{oid}/{key}/mtd")
def get_metadata(call: Call) -> object:
    """One record without its data."""
    one, hive = _reach(call, "get.mtd")
    return _record(call, one, hive) | {"data": {}}


def _sent_data(call: Call) -> Any:
    packed = call.either("gzdata")
    try:
        if packed is not None:
            return orjson.loads(gzip.decompress(base64.b64decode(packed)))
        text = call.either("data")
        return None if text is None else orjson.loads(text)
    except (ValueError, OSError, EOFError):
        raise hive_error("INVALID", "data is not JSON") from None


def _sent_metadata(call: Call) -> dict[str, Any] | None:
    text = call.either("usr_mtd")
    if text is None:
        return None
    try:
        sent = orjson.loads(text)
    except ValueError:
        raise hive_error("INVALID", "usr_mtd is not JSON") from None
    if not isinstance(sent, dict):
        raise hive_error("INVALID", "usr_mtd is not an object")
    expiry = sent.get("expiry") or 0
    if not isinstance(expiry, int) or (expiry and expiry < time.time() * 1000):
        raise hive_error("INVALID_EXPIRY_TIME", "the expiry is in the past")
    tags = sent.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise hive_error("INVALID", "tags is not a list of text")
    # Replaced as a whole: what is not said is off.
    return {
        "enabled": bool(sent.get("enabled", False)),
        "expiry": expiry,
        "tags": tags,
        "comment": sent.get("comment") or "",
    }


def _store(call: Call, one: Organization, hive: str, data: Any, metadata: dict[str, Any] | None) -> object:
    key = call.params["key"]
    existing = call.world.records(one, hive).get(key)
    etag = call.either("etag")
    if etag and (existing is None or existing["sys_mtd"]["etag"] != etag):
        raise hive_error("ETAG_MISMATCH", f"{hive}/{key} was changed by somebody else")
    now = call.world.clock() // 1000
    author = call.token().ident
    if existing is None:
        guid, created_by, created_at = uuid_of(call.world.seed, "guid", one.index, hive, key), author, now
    else:
        system = existing["sys_mtd"]
        guid, created_by, created_at = system["guid"], system["created_by"], system["created_at"]
    if metadata is None:
        metadata = (
            existing["usr_mtd"]
            if existing is not None
            else {
                "enabled": hive in ("cloudsec_policy", "acl", "app_control_policy", "app_control_rule"),
                "expiry": 0,
                "tags": None,
                "comment": "",
            }
        )
    call.world.put_record(
        one,
        hive,
        key,
        {
            "data": data,
            "usr_mtd": metadata,
            "sys_mtd": {
                "etag": call.world.fresh_etag(),
                "guid": guid,
                "created_by": created_by,
                "created_at": created_at,
                "last_author": author,
                "last_mod": now,
                "last_error": "",
                "last_error_ts": 0,
            },
        },
    )
    call.world.note(
        one,
        "hive_set",
        author,
        f"hive record {hive}/{key} set",
        entity={"type": "hive", "name": f"{hive}/{key}"},
    )
    return {"guid": guid, "hive": {"name": hive, "partition": one.oid}, "name": key}


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/data")
def put(call: Call) -> object:
    """Set a record, only if its etag is still the one sent."""
    one, hive = _reach(call, "set")
    data = _sent_data(call)
    if data is None:
        data = _record(call, one, hive)["data"]
    if not isinstance(data, dict):
        raise hive_error("INVALID", "data is not an object")
    return _store(call, one, hive, data, _sent_metadata(call))


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/mtd")
def put_metadata(call: Call) -> object:
    """Set a record's metadata; the record must be there."""
    one, hive = _reach(call, "set.mtd")
    return _store(call, one, hive, _record(call, one, hive)["data"], _sent_metadata(call))


@table.add("DELETE", "/v1/hive/{hive}/{oid}/{key}")
def remove(call: Call) -> object:
    """Remove a record."""
    one, hive = _reach(call, "del")
    _record(call, one, hive)
    key = call.params["key"]
    call.world.put_record(one, hive, key, None)
    call.world.note(
        one,
        "hive_del",
        call.token().ident,
        f"hive record {hive}/{key} removed",
        entity={"type": "hive", "name": f"{hive}/{key}"},
    )
    return {}
