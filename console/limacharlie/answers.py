"""Answers taken apart: every shape is checked, nothing missing is taken for nothing there."""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from console.limacharlie.errors import Protocol, excerpt

UNPACKED = 64 * 1024 * 1024
"""Bytes that a compressed answer may unpack to."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MILLISECONDS = 10**11


class OrganizationRow(msgspec.Struct, frozen=True):
    """One row of the listing of organizations."""

    oid: str
    name: str
    """A stranger's text."""
    region: str = ""
    """`site_name`, else the older `region`."""
    status: str = ""
    sensor_quota: int | None = None
    sensors_online: int | None = None
    details: dict[str, Any] = {}
    """The whole row as received."""


class Who(msgspec.Struct, frozen=True):
    """Whom a token stands for: `GET who`."""

    ident: str
    """E-mail of a user, name of a key; "" when the answer has none."""
    organizations: tuple[str, ...]
    permissions: dict[str, tuple[str, ...]]
    """By organization; empty for a token without any."""


class HiveRecord(msgspec.Struct, frozen=True):
    """A record of a hive, or one made like it: rules, lookups, secrets' metadata, ..."""

    body: Any
    """`data`: None when only metadata was asked for; `{"acl_restricted": true}` where it is closed to us."""
    metadata: dict[str, Any] = {}
    """`usr_mtd`: enabled, expiry (ms), tags, comment."""
    system: dict[str, Any] = {}
    """`sys_mtd`: etag, guid, created_by, created_at, last_author, last_mod, ..."""

    @property
    def etag(self) -> str:
        """What a change must name to be accepted."""
        etag = self.system.get("etag")
        return etag if isinstance(etag, str) else ""

    @property
    def author(self) -> str:
        """Who changed it last."""
        author = self.system.get("last_author") or self.system.get("created_by")
        return author if isinstance(author, str) else ""

    @property
    def modified(self) -> int | None:
        """Milliseconds, UTC. The unit on the wire is undocumented: beyond 10^11 it is milliseconds."""
        moment = self.system.get("last_mod") or self.system.get("created_at")
        if isinstance(moment, bool) or not isinstance(moment, int) or moment <= 0:
            return None
        return moment if moment > _MILLISECONDS else moment * 1000


class Quota(msgspec.Struct, frozen=True):
    """Weighted sensors in use, and how many there may be: `GET quota_usage/{oid}`."""

    usage: float
    quota: int | None
    """None where the answer has none."""
    breakdown: dict[str, Any] = {}


class DetectionPage(msgspec.Struct, frozen=True):
    """One page of detections, each exactly the bytes that came."""

    records: list[bytes]
    next_cursor: str
    """"" on the last page."""
    piecewise: bool = False
    """The page was not one JSON document, and its records were cut apart by their brackets."""


class Page(msgspec.Struct, frozen=True):
    """One page of a listing of objects."""

    records: list[dict[str, Any]]
    next_cursor: str
    """"" on the last page."""


def refuse(what: str, why: str, body: bytes | None = None, secrets: Iterable[str] = ()) -> NoReturn:
    """Say that an answer is not what it should be.

    Args:
        what: the endpoint, such as `GET orgs/{oid}`.
        why: a half sentence: `is not JSON`.
        body: repeated in part, made safe.
        secrets: what must not be repeated of it.
    """
    shown = f": {excerpt(body, secrets)}" if body is not None else ""
    raise Protocol(f"The answer to {what} {why}{shown}.")


def decode(body: bytes, what: str, secrets: Iterable[str] = ()) -> Any:
    """JSON data of a whole answer.

    A lone surrogate (`\\ud800`: any stranger can put it into a name) does not cost the answer: it
    stays in the text as Python has it. NaN and infinity are no JSON. Nor is an object that names a
    member twice, of which every reader would believe another one.

    Raises:
        Protocol: it is empty, cut, too deep, or no JSON.
    """
    if not body.strip():
        refuse(what, "is empty")
    try:
        value = msgspec.json.decode(body)
        # Looking at every name takes ten times as long as reading: only when their numbers differ.
        if _names(body) == _names(msgspec.json.encode(value)):
            return value
        return _with_names_once(body)
    except _Twice:
        refuse(what, "names a member twice")
    except _UNREADABLE:
        pass
    if _SURROGATE.search(body):
        try:
            return _with_names_once(body)
        except _Twice:
            refuse(what, "names a member twice")
        except (ValueError, RecursionError):
            pass
    refuse(what, "is not JSON", body, secrets)


class _Twice(ValueError):
    """An object has two members of the same name."""


def _names(body: bytes) -> int:
    """How many names of members a JSON text has: the ends of text that a colon follows.

    A quote within a text is written with a backslash, so it is none of these; but a backslash that is
    the last character of a name is written with another one.
    """
    return body.count(b'":') - body.count(b'\\":') + body.count(b'\\\\":')


def _with_names_once(body: bytes) -> Any:
    return json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        raise _Twice
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def unpack(text: str, what: str) -> bytes:
    """The JSON text of a compressed answer, which is base64(gzip(JSON)).

    Raises:
        Protocol: it is damaged, cut, or unpacks to more than UNPACKED bytes.
    """
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj(wbits=31)
        body = unpacker.decompress(packed, UNPACKED)
    except (binascii.Error, ValueError, zlib.error):
        refuse(what, "has a compressed part that is damaged")
    if not unpacker.eof:
        too_long = len(body) >= UNPACKED
        refuse(what, "unpacks to more than 64 MiB" if too_long else "has a compressed part that is cut")
    return body


# Shapes


def mapping(value: Any, what: str, name: str = "") -> dict[str, Any]:
    """A JSON object, or Protocol."""
    if not isinstance(value, dict):
        refuse(what, f"has {_named(value)} where {name or 'the answer'} should be an object")
    return value


def filled(value: Any, what: str, name: str = "") -> dict[str, Any]:
    """A JSON object that holds something, or Protocol: where an empty one would read as "nothing there"."""
    held = mapping(value, what, name)
    if not held:
        refuse(what, f"is an empty {name or 'object'}")
    return held


def sequence(value: Any, what: str, name: str = "") -> list[Any]:
    """A JSON array, or Protocol."""
    if not isinstance(value, list):
        refuse(what, f"has {_named(value)} where {name or 'the answer'} should be a list")
    return value


def text(value: Any, what: str, name: str) -> str:
    """A JSON string, or Protocol."""
    if not isinstance(value, str):
        refuse(what, f"has {_named(value)} where {name} should be text")
    return value


def number(value: Any, what: str, name: str) -> float:
    """A JSON number, or Protocol."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(what, f"has {_named(value)} where {name} should be a number")
    return value


def truth(value: Any, what: str, name: str) -> bool:
    """A JSON boolean, or Protocol."""
    if not isinstance(value, bool):
        refuse(what, f"has {_named(value)} where {name} should be true or false")
    return value


def texts(value: Any, what: str, name: str) -> list[str]:
    """An array of strings, or Protocol; null is an empty one, which is how Go writes it."""
    if value is None:
        return []
    return [text(each, what, f"each of {name}") for each in sequence(value, what, name)]


def mappings(value: Any, what: str, name: str) -> list[dict[str, Any]]:
    """An array of objects, or Protocol."""
    return [mapping(each, what, f"each of {name}") for each in sequence(value, what, name)]


def member(value: Any, key: str, what: str) -> Any:
    """One required member of a JSON object, or Protocol."""
    held = mapping(value, what)
    if key not in held:
        refuse(what, f"lacks {key!r}")
    return held[key]


def given(value: Any, empty: Any) -> Any:
    """A value, or `empty` for null and for one that is absent: Go writes what is empty so.

    Nothing else counts as empty: `{}` where a list belongs is a damaged answer.
    """
    return empty if value is None else value


def cursor(value: Any, what: str, name: str) -> str:
    """Where a listing goes on; null and an absent one mean that it ended."""
    return "" if value is None else text(value, what, name)


def own_organization(row: Mapping[str, Any], oid: str, what: str) -> None:
    """Refuse a row that says it belongs to another organization."""
    named = row.get("oid")
    if isinstance(named, str) and named and named != oid:
        raise Protocol(f"The answer to {what} for organization {oid} holds rows of another organization.")


def _named(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return names.get(type(value), "a number")


# Single answers


def organization_row(row: dict[str, Any], what: str) -> OrganizationRow:
    """One row of `GET user/orgs`, or the record of an organization."""
    online = row.get("sensor_online")
    quota = row.get("sensor_quota")
    region = row.get("site_name") or row.get("region") or ""
    status = row.get("status") or ""
    return OrganizationRow(
        oid=text(member(row, "oid", what), what, "oid"),
        name=text(given(row.get("name"), ""), what, "name"),
        region=region if isinstance(region, str) else "",
        status=status if isinstance(status, str) else "",
        sensor_quota=_count(quota),
        sensors_online=_count(online),
        details=row,
    )


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if abs(value) < 2**53 else None


def who(answer: Any, what: str) -> Who:
    """`GET who`: `user_perms` by organization, else every one of `orgs` with all of `perms`."""
    held = mapping(answer, what)
    if not held.keys() & {"ident", "orgs", "perms", "user_perms"}:
        refuse(what, "names nobody")
    ident = held.get("ident")
    orgs = texts(held.get("orgs"), what, "orgs")
    by_user = held.get("user_perms")
    if by_user:
        permissions = {
            oid: tuple(texts(granted, what, "user_perms"))
            for oid, granted in mapping(by_user, what, "user_perms").items()
        }
    else:
        granted = tuple(texts(held.get("perms"), what, "perms"))
        permissions = {oid: granted for oid in orgs}
    return Who(
        ident=ident if isinstance(ident, str) else "",
        organizations=tuple(dict.fromkeys([*orgs, *permissions])),
        permissions=permissions,
    )


def quota(answer: Any, what: str) -> Quota:
    """`GET quota_usage/{oid}`."""
    held = mapping(answer, what)
    breakdown = held.get("breakdown")
    return Quota(
        usage=number(member(held, "usage", what), what, "usage"),
        quota=_count(held.get("quota")),
        breakdown=breakdown if isinstance(breakdown, dict) else {},
    )


def hive_record(value: Any, what: str) -> HiveRecord:
    """One record of a hive: `{data, usr_mtd, sys_mtd}`."""
    held = mapping(value, what, "each record")
    if not held.keys() & {"data", "usr_mtd", "sys_mtd"}:
        refuse(what, "has a record without data and metadata")
    return HiveRecord(
        body=held.get("data"),
        metadata=mapping(given(held.get("usr_mtd"), {}), what, "usr_mtd"),
        system=mapping(given(held.get("sys_mtd"), {}), what, "sys_mtd"),
    )


def hive_page(answer: Any, what: str) -> tuple[dict[str, HiveRecord], str]:
    """One page of a hive by `{records, next_cursor}`; an older cloud answers with all records, bare.

    An empty object is neither: it is refused, since it would read as "this hive is empty".
    """
    held = mapping(answer, what)
    if not held:
        refuse(what, "is an empty object")
    if "records" in held and isinstance(held.get("next_cursor", ""), str | None):
        records = mapping(held["records"], what, "records")
        return (
            {name: hive_record(record, what) for name, record in records.items()},
            cursor(held.get("next_cursor"), what, "next_cursor"),
        )
    return {name: hive_record(record, what) for name, record in held.items()}, ""


def of_organization(answer: Any, oid: str, what: str) -> dict[str, dict[str, Any]]:
    """`{oid: {name: record}}` without its outer key; null there is how Go writes an empty map."""
    held = member(answer, oid, what)
    if held is None:
        return {}
    return {name: mapping(record, what, name="each record") for name, record in mapping(held, what).items()}


def records_page(answer: Any, key: str, what: str) -> Page:
    """A page of objects under `key`, compressed or not, and its `next_cursor`."""
    held = mapping(answer, what)
    value = member(held, key, what)
    if isinstance(value, str):
        value = decode(unpack(value, what), what)
    return Page(mappings(value, what, key), cursor(held.get("next_cursor"), what, "next_cursor"))


# Detections


class _RawPage(msgspec.Struct):
    detects: list[msgspec.Raw] | str
    next_cursor: str | None = None


_PAGE = msgspec.json.Decoder(_RawPage)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def decode_page(body: bytes, what: str = "GET insight/{oid}/detections") -> DetectionPage:
    """A page of detections, each record the bytes that came.

    A page that does not decode as a whole is cut apart by its brackets, so that a record that no
    JSON reader takes (a lone surrogate in a file name is enough) hides no other; the cursor is
    still found.

    Raises:
        Protocol: it has no list of detections, or its end is missing.
    """
    if not body.strip():
        refuse(what, "is empty")
    piecewise = False
    try:
        if body.count(b'"detects"') > 1 or body.count(b'"next_cursor"') > 1:
            _cut_page(body, what)  # takes no page that says twice what it holds
        page = _PAGE.decode(body)
        detects: list[bytes] | str = (
            page.detects if isinstance(page.detects, str) else list(map(bytes, page.detects))
        )
        next_cursor = page.next_cursor or ""
    except _UNREADABLE:
        detects, next_cursor = _cut_page(body, what)
        piecewise = True
    if isinstance(detects, str):
        unpacked = unpack(detects, what)
        try:
            detects = list(map(bytes, _LIST.decode(unpacked)))
        except _UNREADABLE:
            detects = _cut_list(unpacked, what)
            piecewise = True
    return DetectionPage(detects, next_cursor, piecewise)


def one_detection(body: bytes, detect_id: str, what: str, secrets: Iterable[str] = ()) -> bytes:
    """A single detection, as it came.

    Raises:
        Protocol: it is no JSON object, has nothing of a detection, or is another one.
    """
    trimmed = body.strip()
    if not trimmed:
        refuse(what, "is empty")
    try:
        # As text: of bytes, Python would also read UTF-16.
        value = json.loads(trimmed.decode("utf-8", "surrogatepass"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not value.keys() & {"detect_id", "cat", "detect", "routing"}:
        refuse(what, "is not one detection", body, secrets)
    if value.get("detect_id", detect_id) != detect_id:
        refuse(what, "is another detection")
    return trimmed


def _cut_page(body: bytes, what: str) -> tuple[list[bytes] | str, str]:
    found: dict[bytes, bytes] = {}
    trimmed = body.strip()
    if trimmed[:1] != b"{":
        refuse(what, "is not JSON")
    for start, stop in _elements(trimmed, what):
        name, colon, value = trimmed[start:stop].partition(b":")
        if colon:
            name = name.strip()
            if name in found:
                refuse(what, "names a member twice")
            found[name] = value.strip()
    value = found.get(b'"detects"', b"")
    detects: list[bytes] | str
    if value[:1] == b"[":
        detects = _cut_list(value, what)
    elif value[:1] == b'"':
        detects = text(decode(value, what), what, "detects")
    else:
        refuse(what, "lacks a list of detections")
    return detects, cursor(decode(found.get(b'"next_cursor"', b"null"), what), what, "next_cursor")


def _cut_list(body: bytes, what: str) -> list[bytes]:
    trimmed = body.strip()
    if trimmed[:1] != b"[":
        refuse(what, "lacks a list of detections")
    records = []
    for start, stop in _elements(trimmed, what):
        record = trimmed[start:stop].strip()
        if record:
            records.append(record)
    return records


_MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


def _elements(body: bytes, what: str) -> Iterator[tuple[int, int]]:
    """The members between the first bracket and its partner: (start, stop), none of them checked.

    Refuses what goes on after that partner, or ends before it.
    """
    depth, start = 0, 1
    for mark in _MARK.finditer(body):
        sign = mark.group()[:1]
        if sign in b"[{":
            depth += 1
        elif sign in b"]}":
            depth -= 1
            if depth == 0:
                yield start, mark.start()
                if mark.end() != len(body):
                    refuse(what, "goes on after its end")
                return
        elif sign == b"," and depth == 1:
            yield start, mark.start()
            start = mark.end()
    refuse(what, "is cut")
