"""What a detection speaks of: values to pivot on, and its event in words.

Pure, and made for strangers' records: whatever the shape, nothing raises, and how deep and how much is read
has bounds. What the fields mean is from LimaCharlie's documentation ("EDR Events", "Windows Event Logs",
"Detections") and from Microsoft's of the audit log of Office 365.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple

from store.bodies import storable
from store.sensors import platform_name
from store.text import Untrusted

KINDS: Final[tuple[str, ...]] = ("hash", "host", "address", "user", "domain", "path", "command", "url")
"""What a value can be, in the order in which they are named."""

DEEPEST: Final = 12
"""Levels below the event that are read."""
MOST: Final = 2_000
"""Fields that are read."""
KEPT: Final = 64
"""Values that are kept."""
LONGEST: Final = 4_096
"""Characters of one value; of a longer one the beginning counts."""


class Observable(NamedTuple):
    """One value to pivot on."""

    kind: str
    """One of KINDS."""
    value: Untrusted
    """As the detection spells it."""


@dataclass(frozen=True, slots=True)
class EventWords:
    """What happened, in the words of the event; "" where it does not say."""

    event_type: Untrusted
    host: Untrusted
    platform: str
    """LimaCharlie's name of it, such as `windows`; "" when the routing names none."""
    user: Untrusted
    path: Untrusted
    """Of the program or the file that it is about."""
    command_line: Untrusted
    process_id: int | None
    parent: Untrusted
    """Path of the program that started it."""
    parent_command_line: Untrusted
    parent_process_id: int | None
    hash: Untrusted
    target: Untrusted
    """What it was done to: a process that was opened, an object, an application."""
    registry: Untrusted
    """Key, and ` = value` when it says so."""
    domain: Untrusted
    address: Untrusted
    """Of the other side."""
    url: Untrusted
    operation: Untrusted
    """Of an audit log, or the id of a Windows event."""


def observables(record: Mapping[str, Any]) -> list[Observable]:
    """The values of a detection that others may share.

    Read are the event, what the rule extracted (`detect_data`), and host and addresses of the routing. A
    field is known by its name, else by its shape (hashes, addresses, URLs and mail addresses only, so that no
    text is mistaken). Of a command line, the URLs and addresses in it count as well. Left out are empty and
    placeholder values, unspecified and loopback addresses, and hashes of zeros alone.

    Args:
        record: a detection as received, wrapped (`{"action": .., "data": {..}}`) or not, or a bare event.

    Returns:
        Each value once (case and spelling aside, see `folded`), at most KEPT, by kind in the order of KINDS
        and in the order of the event within.
    """
    ranked = sorted(values_and_texts(record)[0].items(), key=_rank)
    return [Observable(kind, Untrusted(value)) for (kind, _), value in ranked[:KEPT]]


def values_and_texts(record: Mapping[str, Any]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """What `observables` finds, by kind and folded value, and every text that it looked at."""
    detection = detection_of(record)
    found: dict[tuple[str, str], str] = {}
    texts: list[str] = []
    routing = _mapping(detection.get("routing"))
    inner = _mapping(_mapping(detection.get("detect")).get("routing"))
    _add(found, "host", routing.get("hostname") or inner.get("hostname"))
    _walk(event_of(detection), found, texts)
    _walk(detection.get("detect_data"), found, texts)
    for name in ("ext_ip", "int_ip"):
        _add(found, "address", routing.get(name))
    return found, texts


def folded(kind: str, value: str) -> str:
    """The spelling under which two values of a kind are the same; "" for what is no value of this kind.

    Case does not count (Windows and DNS do not know it; for the others nothing is lost). Addresses are in
    their shortest form, without brackets and port, an IPv4 address in IPv6 clothing as IPv4; names lose a
    final dot; a command line its doubled spaces.
    """
    text = value[:LONGEST].strip().lower()
    if not text.isprintable():
        text = storable(text)
    if kind == "address":
        return _address(text)
    if text in _NOTHING:
        return ""
    if kind == "hash":
        return text if _HASH(text) and text.strip("0") else ""
    if kind in ("host", "domain"):
        text = text.rstrip(".")
        return "" if kind == "domain" and not _DOMAIN(text) else text
    if kind == "command":
        return " ".join(text.split())
    if kind == "path":
        return text.strip('"')
    return text


def kind_of(value: str) -> str:
    """What a value that somebody typed most likely is: one of KINDS."""
    text = value.strip()
    if "://" in text and _URL(text):
        return "url"
    if folded("hash", text):
        return "hash"
    if _address(text.lower()):
        return "address"
    if any(blank in text for blank in " \t") and not _FILE_NAME(text):
        return "command"
    if "@" in text or _ACCOUNT(text):
        return "user"
    if "/" in text or "\\" in text or _FILE_NAME(text):
        return "path"
    return "domain" if folded("domain", text) else "host"


def detection_of(record: object) -> Mapping[str, Any]:
    """The detection within what an output sent (`{"action": "report", "data": {..}}`), or itself."""
    outer = _mapping(record)
    data = outer.get("data")
    return data if isinstance(data, Mapping) and "detect" in data and "detect" not in outer else outer


def event_of(detection: Mapping[str, Any]) -> Any:
    """The event that a detection is about: `detect.event`, the bare payload in `detect`, or `event`."""
    detect = detection.get("detect")
    if isinstance(detect, Mapping):
        event = detect.get("event")
        return event if isinstance(event, Mapping | list) else detect
    return detection.get("event")


def event_words(record: Mapping[str, Any]) -> EventWords:
    """The event in words, whatever its type: endpoint, Windows event log, file integrity, audit log, web.

    Args:
        record: as for `observables`.
    """
    detection = detection_of(record)
    event = _mapping(event_of(detection))
    nested = event.get("EVENTS")
    if isinstance(nested, list) and nested:
        # Events that belong together: the first one tells what happened, the outer ones of whom to whom.
        event = {**_mapping(_mapping(nested[0]).get("event")), **event}
    routing = _mapping(detection.get("routing"))
    inner = _mapping(_mapping(detection.get("detect")).get("routing"))
    log = _mapping(event.get("EVENT"))
    system, log_data = _mapping(log.get("System")), _mapping(log.get("EventData"))
    data = _mapping(detection.get("detect_data"))
    source, process = _mapping(event.get("SOURCE")), _mapping(event.get("PROCESS"))
    parent = _mapping(event.get("PARENT"))
    activity = _peer(event)
    plat = routing.get("plat")

    def first(*candidates: Any) -> Untrusted:
        return Untrusted(next((text for text in map(_text, candidates) if text), ""))

    key = _text(event.get("REGISTRY_KEY")) or _text(log_data.get("TargetObject"))
    value = _text(event.get("REGISTRY_VALUE"))
    return EventWords(
        event_type=first(routing.get("event_type"), inner.get("event_type")),
        host=first(routing.get("hostname"), inner.get("hostname"), system.get("Computer")),
        platform=platform_name(plat) if isinstance(plat, int) and 0 < plat < 2**32 else "",
        user=first(
            event.get("USER_NAME"), process.get("USER_NAME"), source.get("USER_NAME"), event.get("UserId"),
            event.get("user"), event.get("username"), log_data.get("TargetUserName"),
            log_data.get("SubjectUserName"), log_data.get("User"), data.get("user"),
        ),
        path=first(
            event.get("FILE_PATH"), source.get("FILE_PATH"), process.get("FILE_PATH"),
            log_data.get("NewProcessName"), log_data.get("Image"), log_data.get("ProcessName"),
            event.get("ObjectId"), data.get("file"), data.get("process"),
        ),
        command_line=first(
            event.get("COMMAND_LINE"), source.get("COMMAND_LINE"), process.get("COMMAND_LINE"),
            log_data.get("CommandLine"), log_data.get("ScriptBlockText"), data.get("command"),
        ),
        process_id=_number(event.get("PROCESS_ID"), source.get("PROCESS_ID"), process.get("PROCESS_ID")),
        parent=first(
            parent.get("FILE_PATH"), process.get("FILE_PATH") if "FILE_PATH" in event else None,
            log_data.get("ParentProcessName"), log_data.get("ParentImage"), data.get("parent"),
        ),
        parent_command_line=first(parent.get("COMMAND_LINE"), log_data.get("ParentCommandLine")),
        parent_process_id=_number(parent.get("PROCESS_ID"), event.get("PARENT_PROCESS_ID")),
        hash=first(
            event.get("HASH"), source.get("HASH"), process.get("HASH"), event.get("HASH_SHA256"),
            _best_hash(log_data.get("Hashes")), data.get("hash"),
        ),
        target=first(
            _mapping(event.get("TARGET")).get("FILE_PATH"), log_data.get("TargetImage"),
            log_data.get("ObjectName"), _named(event.get("Target")), event.get("SVC_NAME"), data.get("task"),
        ),
        registry=Untrusted(f"{key} = {value}" if key and value else key),
        domain=first(
            event.get("DOMAIN_NAME"), log_data.get("QueryName"), event.get("host"), data.get("domain"),
        ),
        address=first(
            activity, event.get("IP_ADDRESS"), event.get("ClientIP"), event.get("remote_addr"),
            log_data.get("IpAddress"), log_data.get("DestinationIp"), event.get("src_ip"), data.get("ip"),
        ),
        url=first(event.get("URL"), event.get("url"), data.get("url"), event.get("uri")),
        operation=first(
            event.get("Operation"), _mapping(system.get("EventID")).get("#text"), system.get("EventID"),
            event.get("eventName"), event.get("action"),
        ),
    )  # fmt: skip


_FIELDS: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "hash", "hash_md5", "hash_sha1", "hash_sha256", "md5", "sha1", "sha256", "md5hash", "sha1hash",
            "sha256hash", "filehash", "file_hash", "imphash",
        ), "hash",
    ),
    "hashes": "hashes",
    **dict.fromkeys(
        ("hostname", "host_name", "computer", "computername", "workstation", "workstationname", "devicename",
         "device_name", "targetservername", "destinationhostname", "sourcehostname"), "host",
    ),
    **dict.fromkeys(
        ("ip_address", "ip", "ipaddress", "clientip", "client_ip", "clientipaddress", "actoripaddress",
         "remote_addr", "remote_ip", "src_ip", "dst_ip", "source_ip", "dest_ip", "sourceip", "destinationip",
         "sourceaddress", "destinationaddress", "destaddress", "ext_ip", "int_ip", "source_ip_address",
         "sourceipaddress", "x-forwarded-for", "callerip", "remoteaddress"), "address",
    ),
    **dict.fromkeys(
        ("user_name", "username", "user", "userid", "user_id", "userprincipalname", "targetusername",
         "subjectusername", "account", "accountname", "account_name", "email", "mail", "useremail",
         "mailboxownerupn", "actor", "samaccountname", "logonuser"), "user",
    ),
    **dict.fromkeys(
        ("domain_name", "domain", "cname", "queryname", "dns_query", "server_name", "sni", "fqdn", "host",
         "senderdomain"), "domain",
    ),
    **dict.fromkeys(
        ("file_path", "filepath", "path", "file", "process", "process_name", "processname", "newprocessname",
         "parentprocessname", "image", "parentimage", "sourceimage", "targetimage", "imageloaded",
         "targetfilename", "module_path", "module_name", "parent", "dll_path", "executable", "imagepath",
         "servicefilename", "new_file_path", "old_file_path", "registry_key", "targetobject", "objectname"),
        "path",
    ),
    **dict.fromkeys(
        ("command_line", "commandline", "command", "cmd", "cmdline", "parentcommandline",
         "process_command_line", "scriptblocktext", "registry_value"), "command",
    ),
    **dict.fromkeys(("url", "uri_full", "siteurl", "request_url", "requesturl", "objectid"), "url"),
    **dict.fromkeys(
        # Names of events, atoms and ids: 32 hexadecimal digits that are no hash of anything.
        ("this", "target_atom", "parent_atom", "process_atom", "atom", "event_id", "event_type", "oid", "sid",
         "iid", "did", "ts", "timestamp", "routing", "correlationid", "id", "guid", "processguid",
         "parentprocessguid", "logonguid", "activityid", "investigation_id", "tags"), "",
    ),
}  # fmt: skip
"""Lower-case name of a field -> what it holds; "" is not looked at."""

_NOTHING = frozenset(("", "-", "--", "n/a", "na", "none", "null", "unknown", "(null)", "<null>", "?", "*"))
_HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})", re.ASCII | re.IGNORECASE).fullmatch
_HASHES = re.compile(r"(?:^|[=,;\s])([0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?![0-9a-fA-F])")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/?#]", re.IGNORECASE).match
_URLS = re.compile(
    r"\b(?:https?|ftp|wss?|tcp|stratum\+tcp|stratum\+ssl|smb|ldaps?)://[^\s\"'<>|]{1,1024}", re.IGNORECASE
)
_MAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"/]{1,253}\.[^\W\d_]{2,24}").fullmatch
_V4 = re.compile(
    r"(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})", re.ASCII
).fullmatch
_V4S = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_AUTHORITY = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/?#@\s]*@)?(\[[0-9a-f:.]+\]|[^/?#:\s]+)", re.IGNORECASE
).match
_DOMAIN = re.compile(
    r"(?!-)[^\s./\\@:,;|\"'<>()\[\]{}]{1,63}(?:\.[^\s./\\@:,;|\"'<>()\[\]{}]{1,63}){1,15}"
).fullmatch
_FILE_NAME = re.compile(
    r"(?:[a-z]:\\|\\\\|/)[^|<>\"]*|[^\s\\/]+\.(?:exe|dll|sys|ps1|bat|cmd|js|vbs|sh|py|lnk|msi|ko|docm?|xlsm?)",
    re.IGNORECASE,
).fullmatch
_ACCOUNT = re.compile(r"[^\\/:\s.]{1,64}\\[^\\/:\s]{1,256}").fullmatch
_RANK = {kind: place for place, kind in enumerate(KINDS)}


def _rank(item: tuple[tuple[str, str], str]) -> int:
    return _RANK[item[0][0]]


def _walk(root: Any, found: dict[tuple[str, str], str], texts: list[str]) -> None:
    """Read what lies below, in the order of the record."""
    read = 0
    stack: list[tuple[Any, Iterator[Any], bool]] = []
    if isinstance(root, Mapping):
        stack.append((None, iter(root.items()), True))
    elif isinstance(root, list):
        stack.append(("", iter(root), False))
    while stack:
        name, items, mapped = stack[-1]
        for item in items:
            read += 1
            if read > MOST:
                return
            key, value = item if mapped else (name, item)
            kind = type(value)
            if kind is str:
                if value and value != "-":
                    texts.append(value if len(value) <= LONGEST else value[:LONGEST])
                    if len(found) < KEPT * 2:
                        _read(key, value, found)
            elif (kind is dict or kind is list) and len(stack) < DEEPEST and _FIELDS.get(_lower(key)) != "":
                stack.append((key, iter(value.items() if kind is dict else value), kind is dict))
                break
        else:
            stack.pop()


def _lower(key: object) -> str:
    return key.lower() if type(key) is str else ""


def _read(key: object, value: str, found: dict[tuple[str, str], str]) -> None:
    kind = _FIELDS.get(_lower(key))
    if kind is None:
        size = len(value)
        if size in (32, 40, 64) and _HASH(value):
            _add(found, "hash", value)
        elif "://" in value:
            _mine(found, value)
        elif size <= 320 and "@" in value and _MAIL(value):
            _add(found, "user", value)
        elif 3 <= size <= 64 and ("." in value or ":" in value) and value[0] in "0123456789abcdefABCDEF:[":
            _add(found, "address", value)
    elif kind == "command":
        _add(found, "path" if _lower(key) == "registry_value" and _FILE_NAME(value) else "command", value)
        _mine(found, value)
    elif kind == "url":
        if _URL(value):
            _add(found, "url", value)
            _of_url(found, value)
        else:
            _add(found, "path", value) if key == "ObjectId" else _mine(found, value)
    elif kind == "hashes":
        for match in list(_HASHES.finditer(value[:LONGEST]))[:8]:
            _add(found, "hash", match[1])
    elif kind == "domain":
        text = value.strip()
        if _address(text.lower()):
            _add(found, "address", text)
        else:
            _add(found, "domain", text)
    elif kind == "address":
        for part in value.split(",", 8)[:8] if "," in value else (value,):
            _add(found, "address", part)
    elif kind:
        _add(found, kind, value)


def _mine(found: dict[tuple[str, str], str], text: str) -> None:
    """The URLs and addresses within a command line or another text."""
    text = text[:LONGEST]
    if "://" in text:
        for match in list(_URLS.finditer(text))[:8]:
            url = match[0].rstrip(").,;]}")
            _add(found, "url", url)
            _of_url(found, url)
    if text.count(".") >= 3:
        for match in list(_V4S.finditer(text))[:8]:
            _add(found, "address", match[0])


def _of_url(found: dict[tuple[str, str], str], url: str) -> None:
    match = _AUTHORITY(url)
    if match is None:
        return
    host = match[1].strip("[]")
    if _address(host.lower()):
        _add(found, "address", host)
    else:
        _add(found, "domain", host)


def _add(found: dict[tuple[str, str], str], kind: str, value: object) -> None:
    if type(value) is not str or not value:
        return
    text = value[:LONGEST]
    if not text.isprintable():
        text = storable(text)
    text = text.strip()
    key = folded(kind, text)
    if key and (kind, key) not in found:
        found[kind, key] = text


def _address(text: str) -> str:
    """An address in its shortest form, in lower case; "" for what is none, or says nothing."""
    if not 2 <= len(text) <= 64 or not ("." in text or ":" in text):
        return ""
    text = text.strip().strip('"')
    if text[:1] == "[":
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    if match := _V4(text):
        plain = max(map(int, match.groups())) < 256
        return text if plain and text != "0.0.0.0" and match[1] != "127" else ""  # noqa: S104  (compared with)
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return _address(str(found.ipv4_mapped))
    return "" if found.is_unspecified or found.is_loopback else str(found)


def _peer(event: Mapping[str, Any]) -> str:
    """The other side of the first connection of NETWORK_CONNECTIONS and its like."""
    activity = event.get("NETWORK_ACTIVITY")
    one = _mapping(activity[0]) if isinstance(activity, list) and activity else _mapping(activity)
    end = _mapping(one.get("SOURCE" if one.get("IS_OUTGOING") == 0 else "DESTINATION"))
    address, port = _text(end.get("IP_ADDRESS")), end.get("PORT")
    if not address or not isinstance(port, int):
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _named(target: object) -> str:
    """The first name in the list of targets that audit logs of Office 365 hold."""
    if isinstance(target, list):
        return next((text for each in target[:8] if (text := _text(_mapping(each).get("ID")))), "")
    return ""


def _best_hash(value: object) -> str:
    """The longest of `SHA1=..,MD5=..,SHA256=..`, as Sysmon writes them."""
    if not isinstance(value, str):
        return ""
    return max((match[1] for match in _HASHES.finditer(value[:LONGEST])), key=len, default="")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        value = str(value) if abs(value) < 2**63 else ""
    if not isinstance(value, str):
        return ""
    return storable(value[:LONGEST]).strip()


def _number(*candidates: object) -> int | None:
    return next(
        (
            each
            for each in candidates
            if isinstance(each, int) and not isinstance(each, bool) and abs(each) < 2**63
        ),
        None,
    )
