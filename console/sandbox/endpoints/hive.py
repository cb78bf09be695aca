"""Hive: records of every kind, read, written under an etag, removed.

All failures are 400 with a code inside the text (official client 5.10.1, sdk/hive.py).
"""

import base64
import binascii
import gzip
from typing import Any

import orjson

from console.sandbox import validation
from console.sandbox.calls import Call, Refusal, hive_error, table
from console.sandbox.chance import uuid_of
from console.sandbox.configuration import HIVES, needed
from console.sandbox.organizations import Organization

PAGE = 500
"""Most records of a page."""
BYTES = 8 * 1024 * 1024
"""Of a listing in one piece; more has to be paged."""


DEFAULT_ENABLED = frozenset(("cloudsec_policy", "acl", "app_control_policy", "app_control_rule"))
"""The hives whose new records are enabled unless somebody says otherwise."""


def allow(call: Call, one: Organization, hive: str, act: str, key: str | None = None) -> None:
    """Let the caller through who may do that to a hive or to one record of it.

    Args:
        act: get, get.mtd, set, set.mtd or del.

    Raises:
        Refusal: 400, for an unknown hive and for a missing permission.
    """
    if hive not in HIVES:
        raise hive_error("INVALID", f"unknown hive {hive}")
    permissions = needed(hive, act)
    # A hive permission may also be held for one record: secret.get.my-key.
    if key is not None:
        permissions += tuple(f"{permission}.{key}" for permission in permissions)
    if not call.allows(one.oid, *permissions):
        raise hive_error("UNAUTHORIZED", f"missing privilege named {permissions[0]}")


def _reach(call: Call, act: str) -> tuple[Organization, str]:
    hive = call.params["hive"]
    if hive not in HIVES:
        raise hive_error("INVALID", f"unknown hive {hive}")
    one = call.organization()
    allow(call, one, hive, act, call.params.get("key"))
    return one, hive


def _record(call: Call, one: Organization, hive: str, key: str) -> dict[str, Any]:
    found = call.world.records(one, hive).get(key)
    if found is None:
        raise hive_error("RECORD_NOT_FOUND", f"{hive}/{key}")
    return found


def _scopes(record: dict[str, Any]) -> set[str]:
    tags = record["usr_mtd"].get("tags") or ()
    return {tag.removeprefix("acl:").lower() for tag in tags if tag.startswith("acl:")}


def restricted(call: Call, one: Organization, record: dict[str, Any]) -> bool:
    """Whether the record stands in a scope that the caller is no member of."""
    scopes = _scopes(record)
    if not scopes:
        return False
    claims = call.token()
    lists = call.world.records(one, "acl")
    closed = False
    for scope in scopes:
        held = lists.get(scope)
        if held is None or not held["usr_mtd"]["enabled"] or held["data"].get("warn_only"):
            continue
        closed = True
        for member in held["data"].get("members") or ():
            kind, who = member["type"], member["id"]
            if kind == "group":
                groups = call.world.access.groups_over(one)
                if any(who in (each.gid, each.name) and claims.ident in each.members for each in groups):
                    return False
            elif who == claims.ident and (kind == "user") == bool(claims.uid):
                return False
    return closed


def shown(call: Call, one: Organization, record: dict[str, Any]) -> dict[str, Any]:
    """The record as the caller may see it."""
    return record | {"data": {"acl_restricted": True}} if restricted(call, one, record) else record


def open_to(call: Call, one: Organization, hive: str, key: str, data: object = None) -> None:
    """Refuse to change what the caller may not see.

    Args:
        data: what is to be written; whoever sends back what was shown instead is told that it is no data.
    """
    found = call.world.records(one, hive).get(key)
    if found is not None and restricted(call, one, found):
        if data is not None and data == shown(call, one, found)["data"]:
            checked_data(hive, key, data)
        raise Refusal(403, f"{hive}/{key} is restricted", error_code="ACL_CONTENT_RESTRICTED")


@table.add("GET", "/v1/hive/{hive}/schema")
def schema(call: Call) -> object:
    """What a record of the hive may hold."""
    hive = call.params["hive"]
    if hive not in HIVES:
        raise hive_error("INVALID", f"unknown hive {hive}")
    return {"schema": validation.schema(hive)}


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
    elif call.world.records(one, "acl"):
        records = {key: shown(call, one, record) for key, record in records.items()}
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
    return shown(call, one, _record(call, one, hive, call.params["key"]))


@table.add("GET", "/v1/hive/{hive}/{oid}/{key}/mtd")
def get_metadata(call: Call) -> object:
    """One record without its data."""
    one, hive = _reach(call, "get.mtd")
    return _record(call, one, hive, call.params["key"]) | {"data": {}}


MISSING: Any = object()
"""Data that was not sent, as opposed to a null."""


def _sent_data(call: Call) -> Any:
    if call.either("arl"):
        raise hive_error("INVALID", "the sandbox fetches nothing from elsewhere: send data, not an arl")
    packed = call.either("gzdata")
    try:
        if packed is not None:
            return orjson.loads(gzip.decompress(base64.b64decode(packed)))
        text = call.either("data")
        return MISSING if text is None else orjson.loads(text)
    except (ValueError, OSError, EOFError):
        raise hive_error("INVALID", "data is not JSON") from None


def _sent_object(call: Call, name: str) -> Any:
    text = call.either(name)
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        raise hive_error("INVALID", f"{name} is not JSON") from None


def checked_metadata(call: Call, sent: Any) -> dict[str, Any] | None:
    """What becomes of the metadata that somebody sends: it is replaced as a whole, what is not said is off.

    Raises:
        Refusal: 400.
    """
    if sent is None:
        return None
    if not isinstance(sent, dict):
        raise hive_error("INVALID", "usr_mtd is not an object")
    enabled = sent.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise hive_error("INVALID", "enabled is not a boolean")
    expiry = sent.get("expiry") or 0
    if isinstance(expiry, float) and expiry.is_integer():
        expiry = int(expiry)
    if isinstance(expiry, bool) or not isinstance(expiry, int):
        raise hive_error("INVALID_EXPIRY_TIME", "the expiry is not a time in milliseconds")
    if expiry and expiry <= call.world.clock():
        raise hive_error("INVALID_EXPIRY_TIME", "the expiry is in the past")
    tags = sent.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise hive_error("INVALID", "tags is not a list of text")
    comment = sent.get("comment") or ""
    if not isinstance(comment, str):
        raise hive_error("INVALID", "comment is not text")
    metadata = {"enabled": bool(enabled), "expiry": expiry, "tags": tags, "comment": comment}
    if sent.get("ui_actions"):
        metadata["ui_actions"] = sent["ui_actions"]
    return metadata


def checked_data(hive: str, key: str, data: Any) -> dict[str, Any]:
    """The data of a record, if the cloud would store it.

    Raises:
        Refusal: 400 INVALID, with the reason.
    """
    try:
        return validation.record(hive, key, data)
    except validation.Invalid as error:
        raise hive_error("INVALID", f"{hive}/{key}: {error}") from None


def store(
    call: Call,
    one: Organization,
    hive: str,
    key: str,
    data: Any = MISSING,
    metadata: dict[str, Any] | None = None,
    etag: str | None = None,
) -> dict[str, Any]:
    """Write a record under the caller's identity; whether the caller may is for the caller of this.

    Args:
        data: checked here; what is missing stays as it is.
        metadata: checked already; None keeps what a record has, and gives a new one its hive's default.
        etag: of the record that is replaced; "" and None take any.

    Raises:
        Refusal: 400.
    """
    if not key:
        raise hive_error("INVALID", "a record has a name")
    key = key.lower() if hive == "acl" else key
    existing = call.world.records(one, hive).get(key)
    if etag and (existing is None or existing["sys_mtd"]["etag"] != etag):
        raise hive_error("ETAG_MISMATCH", f"{hive}/{key} was changed by somebody else")
    if data is MISSING or (data is None and existing is not None):
        if existing is None:
            raise hive_error("RECORD_NOT_FOUND", f"{hive}/{key}")
        data = existing["data"]
    elif hive == "ai_memory" and existing is not None and isinstance(data, dict):
        # Memories that are not named stay, and a null takes one away (official client, sdk/ai_memory.py).
        data = checked_data(hive, key, data)
        merged = (existing["data"].get("memories") or {}) | (data.get("memories") or {})
        kept = {name: value for name, value in merged.items() if value is not None}
        data = existing["data"] | data | {"memories": kept}
    else:
        data = checked_data(hive, key, {} if data is None else data)
    if metadata is None:
        metadata = (
            existing["usr_mtd"]
            if existing is not None
            else {"enabled": hive in DEFAULT_ENABLED, "expiry": 0, "tags": None, "comment": ""}
        )
    scopes_before = _scopes(existing) if existing is not None else set()
    if _scopes({"usr_mtd": metadata}) != scopes_before and not call.allows(one.oid, "acl.set"):
        raise hive_error("UNAUTHORIZED", "missing privilege named acl.set: acl tags need it")
    now = call.world.clock() // 1000
    author = call.token().ident
    etag = call.world.fresh_etag()
    system = (
        {"guid": uuid_of(call.world.seed, "guid", one.index, hive, key, etag)}
        | {"created_by": author, "created_at": now}
        if existing is None
        else {name: existing["sys_mtd"][name] for name in ("guid", "created_by", "created_at")}
    )
    system |= {"etag": etag, "last_author": author, "last_mod": now, "last_error": "", "last_error_ts": 0}
    call.world.put_record(one, hive, key, {"data": data, "usr_mtd": metadata, "sys_mtd": system})
    _note(call, one, "hive_set", hive, key, guid=system["guid"], etag=etag)
    return {"guid": system["guid"], "hive": {"name": hive, "partition": one.oid}, "name": key}


def erase(call: Call, one: Organization, hive: str, key: str) -> None:
    """Remove a record under the caller's identity.

    Raises:
        Refusal: 400.
    """
    found = _record(call, one, hive, key)
    if _scopes(found) and not call.allows(one.oid, "acl.set"):
        raise hive_error("UNAUTHORIZED", "missing privilege named acl.set: acl tags need it")
    call.world.put_record(one, hive, key, None)
    _note(call, one, "hive_del", hive, key, guid=found["sys_mtd"]["guid"])


def _note(call: Call, one: Organization, etype: str, hive: str, key: str, **mtd: Any) -> None:
    done = "set" if etype == "hive_set" else "removed"
    call.record(
        one,
        etype,
        f"hive record {hive}/{key} {done}",
        entity={"type": "hive", "name": f"{hive}/{key}"},
        mtd=mtd,
    )


def _sent_etag(call: Call) -> str | None:
    etag = call.either("etag")
    if etag is None:
        # Another client sends the whole system part of the record that it read.
        system = _sent_object(call, "sys_mtd")
        etag = system.get("etag") if isinstance(system, dict) else None
    return etag if isinstance(etag, str) else None


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/data")
def put(call: Call) -> object:
    """Set a record, only if its etag is still the one sent."""
    one, hive = _reach(call, "set")
    key, data = call.params["key"], _sent_data(call)
    open_to(call, one, hive, key, data)
    metadata = checked_metadata(call, _sent_object(call, "usr_mtd"))
    return store(call, one, hive, key, data, metadata, _sent_etag(call))


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/mtd")
def put_metadata(call: Call) -> object:
    """Set a record's metadata; the record must be there."""
    one, hive = _reach(call, "set.mtd")
    key = call.params["key"]
    open_to(call, one, hive, key)
    metadata = checked_metadata(call, _sent_object(call, "usr_mtd"))
    return store(call, one, hive, key, metadata=metadata, etag=_sent_etag(call))


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/validate")
def validate(call: Call) -> object:
    """Whether a record could be set; nothing is stored."""
    _, hive = _reach(call, "set")
    data = _sent_data(call)
    checked_metadata(call, _sent_object(call, "usr_mtd"))
    checked_data(hive, call.params["key"], None if data is MISSING else data)
    return {}


@table.add("POST", "/v1/hive/{hive}/{oid}/{key}/rename")
def rename(call: Call) -> object:
    """Give a record another name: it keeps its guid, and is put and removed at once."""
    one, hive = _reach(call, "set")
    key, name = call.params["key"], call.either("new_name")
    allow(call, one, hive, "del", key)
    if not name:
        raise hive_error("INVALID", "missing parameter new_name")
    allow(call, one, hive, "set", name)
    name = name.lower() if hive == "acl" else name
    found = _record(call, one, hive, key)
    open_to(call, one, hive, key)
    if name == key:
        return {}
    if name in call.world.records(one, hive):
        raise hive_error("INVALID", f"{hive}/{name} is there already")
    checked_data(hive, name, found["data"])
    etag = call.world.fresh_etag()
    moved = {"etag": etag, "last_author": call.token().ident, "last_mod": call.world.clock() // 1000}
    call.world.put_record(one, hive, name, found | {"sys_mtd": found["sys_mtd"] | moved})
    call.world.put_record(one, hive, key, None)
    _note(call, one, "hive_set", hive, name, guid=found["sys_mtd"]["guid"], etag=etag, renamed_from=key)
    _note(call, one, "hive_del", hive, key, guid=found["sys_mtd"]["guid"], renamed_to=name)
    return {}


@table.add("DELETE", "/v1/hive/{hive}/{oid}/{key}")
def remove(call: Call) -> object:
    """Remove a record."""
    one, hive = _reach(call, "del")
    key = call.params["key"]
    open_to(call, one, hive, key)
    erase(call, one, hive, key)
    return {}


@table.add("POST", "/v1/hive-public/{hive}/{oid}")
def public(call: Call) -> object:
    """A record by its guid; without data when the caller has it already."""
    one, hive = _reach(call, "get")
    guid = call.either("guid")
    for record in call.world.records(one, hive).values():
        if record["sys_mtd"]["guid"] == guid:
            known = call.either("etag") == record["sys_mtd"]["etag"]
            return record | {"data": {}} if known else shown(call, one, record)
    raise hive_error("RECORD_NOT_FOUND", f"{hive} has no such guid")


_BATCH = {
    "get_record": "get",
    "get_record_mtd": "get.mtd",
    "set_record": "set",
    "set_record_mtd": "set.mtd",
    "delete_record": "del",
}
"""What a request of a batch may ask for, and what has to be allowed for it (go-limacharlie, hive.go)."""


def _batched(call: Call, text: str) -> object:
    try:
        asked = orjson.loads(text)
    except ValueError:
        raise hive_error("INVALID", "a request is not JSON") from None
    name = next((name for name in _BATCH if isinstance(asked, dict) and asked.get(name)), None)
    wanted: Any = asked[name] if name else None
    record_id = wanted.get("record_id") if isinstance(wanted, dict) else None
    place = record_id.get("hive") if isinstance(record_id, dict) else None
    if name is None or not isinstance(record_id, dict) or not isinstance(place, dict):
        raise hive_error("INVALID", "a request names an action, and a record_id with its hive")
    one = call.reach(str(place.get("partition") or ""))
    call.oid = one.oid
    hive, key, guid = str(place.get("name") or ""), str(record_id.get("name") or ""), record_id.get("guid")
    if not key and guid:
        held = call.world.records(one, hive).items()
        key = next((each for each, record in held if record["sys_mtd"]["guid"] == guid), "")
    allow(call, one, hive, _BATCH[name], key)
    if name == "get_record":
        return shown(call, one, _record(call, one, hive, key))
    if name == "get_record_mtd":
        return _record(call, one, hive, key) | {"data": {}}
    sent: Any = (wanted or {}).get("record") if name == "set_record" else wanted
    open_to(call, one, hive, key, sent.get("data") if isinstance(sent, dict) else None)
    if name == "delete_record":
        erase(call, one, hive, key)
        return {}
    if not isinstance(sent, dict):
        raise hive_error("INVALID", "a record is an object")
    if sent.get("arl"):
        raise hive_error("INVALID", "the sandbox fetches nothing from elsewhere: send data, not an arl")
    data = sent.get("data") if name == "set_record" else MISSING
    try:
        # Data may also come as the text of its JSON, as it does in single calls.
        data = orjson.loads(data) if isinstance(data, str) else data
    except ValueError:
        raise hive_error("INVALID", "data is not JSON") from None
    system = sent.get("sys_mtd")
    etag = system.get("etag") if isinstance(system, dict) else None
    metadata = checked_metadata(call, sent.get("usr_mtd"))
    return store(call, one, hive, key, data, metadata, etag if isinstance(etag, str) else None)


@table.add("POST", "/v1/hive")
def batch(call: Call) -> object:
    """Many requests at once; each has its own answer or its own error."""
    answers: list[dict[str, Any]] = []
    for text in call.form.get("request", ()):
        try:
            answers.append({"data": _batched(call, text), "error": ""})
        except Refusal as refusal:
            answers.append({"data": None, "error": refusal.body["error"]})
    return {"responses": answers}
