"""What an entry of a log says about access: who did what, on whom, where.

Two logs speak of it and are read alike: an organization's audit log (`etype`, `ident`, `entity`, `mtd`, see
LimaCharlie's `outputs/stream-structures.md`), and the log of an Organization Group, whose entries no client
types: of those, only `action` is certain. So every field is looked for under the names that are known,
nothing is guessed, and an action without words is shown as it was received.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from store.bodies import storable
from store.configuration import canonical, is_secret_name
from store.permissions import roles
from store.text import Untrusted

KINDS: Final = ("member", "owner", "permission", "organization", "group", "user", "key", "other")
"""What an event is about."""

ACTIONS: Final[dict[str, str]] = {
    "add_member": "member",
    "remove_member": "member",
    "add_owner": "owner",
    "remove_owner": "owner",
    "set_permissions": "permission",
    "grant": "permission",
    "revoke": "permission",
    "set_role": "permission",
    "add_org": "organization",
    "remove_org": "organization",
    "create_group": "group",
    "delete_group": "group",
    "add_user": "user",
    "remove_user": "user",
    "create_key": "key",
    "delete_key": "key",
}
"""Known actions, each with its kind. The group's are as its log has them, the others are named here."""

NOT_KEPT: Final = "(a secret, not kept)"
LONGEST: Final = 500
"""Characters of an indexed column."""
LARGEST: Final = 16_000
"""Characters of an entry that are kept; of a larger one only what was understood of it."""

_HARMLESS: Final = frozenset(("api_call", "send_task", "get_secret", "user_login"))
"""They tell of use, not of change."""

_ABOUT: Final = frozenset(("user", "group", "api_key"))
"""Types of an audit entry's entity."""

_OF_USER: Final = {
    ("add", True): "grant",
    ("remove", True): "revoke",
    ("add", False): "add_user",
    ("remove", False): "remove_user",
    ("set", False): "set_role",
}
"""(action, whether a permission is named) of an audit entry about a user."""

_OF_KEY: Final = {"create": "create_key", "delete": "delete_key"}


@dataclass(frozen=True, slots=True)
class Said:
    """What was understood of an entry; "" and () where it tells nothing."""

    action: str
    """Of ACTIONS, else as received."""
    kind: str = "other"
    actor: str = ""
    principal: str = ""
    oid: str = ""
    gid: str = ""
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the timeline."""

    id: int
    time: int
    """Milliseconds, UTC; 0 where the entry told none."""
    source: str
    """`group` or `audit`."""
    oid: str
    organization: Untrusted
    """Its name; "" where the event is of no single organization, or it is not known."""
    gid: str
    group: Untrusted
    """Its name; "" where none is concerned, or it is not known."""
    kind: str
    action: Untrusted
    actor: Untrusted
    principal: Untrusted
    permissions: tuple[Untrusted, ...]
    details: Mapping[str, Any]

    @property
    def known(self) -> bool:
        """Whether there are words for it."""
        return self.action in ACTIONS


@dataclass(frozen=True, slots=True)
class Standing:
    """How something of a group last became so."""

    present: bool
    """Whether it has been there since."""
    event: Event


def standing(events: Iterable[Event]) -> dict[tuple[str, str], Standing]:
    """What the log of one group tells of how it is now.

    An entry that makes what is so already begins nothing. Where a log tells a set of permissions without what
    changed, that is worked out from the set before, if it is known; else nothing is told of them.

    Args:
        events: oldest first.

    Returns:
        {(member | owner | organization | permission, e-mail or oid or permission): since when, and by whom}.
    """
    found: dict[tuple[str, str], Standing] = {}
    held: frozenset[str] | None = None

    def put(section: str, value: str, present: bool, event: Event) -> None:
        before = found.get((section, value))
        if value and (before is None or before.present != present):
            found[section, value] = Standing(present, event)

    for event in events:
        action = str(event.action)
        if action == "create_group":
            held = frozenset()
        elif action == "set_permissions":
            entry = _mapping(event.details.get("mtd")) if event.source == "audit" else event.details
            told, whole = changed_permissions(entry), set_permissions(entry)
            if told is None and whole is not None and held is not None:
                told = whole - held, held - whole
            for present, names in zip((True, False), told or (), strict=False):
                for name in sorted(names):
                    put("permission", name, present, event)
            held = whole
        elif action in _ENDS:
            section, present = _ENDS[action]
            put(section, event.oid if section == "organization" else str(event.principal), present, event)
    return found


_ENDS: Final = {
    "add_member": ("member", True),
    "remove_member": ("member", False),
    "add_owner": ("owner", True),
    "remove_owner": ("owner", False),
    "add_org": ("organization", True),
    "remove_org": ("organization", False),
}


def of_group(entry: Mapping[str, Any]) -> Said:
    """What an entry of a group's log says."""
    action = _text(entry, "action", "type", "event", "etype")
    return Said(
        action,
        ACTIONS.get(action, "other"),
        actor=_text(entry, "actor", "ident", "by"),
        principal=_text(entry, "member_email", "owner_email", "email").lower(),
        oid=_text(entry, "oid", "org_id"),
        permissions=_permissions(entry),
    )


def of_audit(entry: Mapping[str, Any]) -> Said | None:
    """What an entry of an organization's audit log says; None when it is not about access."""
    entity, more = _mapping(entry.get("entity")), _mapping(entry.get("mtd"))
    about, etype = entity.get("type"), _text(entry, "etype")
    if about not in _ABOUT or etype in _HARMLESS:
        return None
    name, did = _text(entity, "name"), _text(more, "action")
    actor = _text(entry, "ident", "origin")
    if about == "group":
        gid = _text(entity, "gid", "id") or _text(more, "gid", "group_id")
        action = did or etype
        return Said(
            action,
            ACTIONS.get(action, "other"),
            actor,
            _text(more, "member_email", "email").lower(),
            gid=gid,
            permissions=_permissions(more),
        )
    if about == "api_key":
        action = _OF_KEY.get(did, did or etype)
        return Said(action, ACTIONS.get(action, "other"), actor, name, permissions=_permissions(more))
    permissions = _permissions(more)
    action = _OF_USER.get((did, bool(permissions)), did or etype)
    return Said(action, ACTIONS.get(action, "other"), actor, name.lower(), permissions=permissions)


def audit_event(oid: str, digest: str, time: int, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of `access_event` for an audit entry that is stored; None when it is not about access.

    Args:
        digest: that of the stored entry.
        time: milliseconds, UTC.
    """
    said = of_audit(entry)
    return None if said is None else row("audit", oid, digest, time, said, entry) | {"oid": oid}


def row(
    source: str, whose: str, digest: str, time: int, said: Said, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """The row of `access_event` for an entry.

    Args:
        source: `group` or `audit`.
        whose: the gid or oid of the log.
        digest: of the entry alone.
    """
    told = f"{source}\0{whose}\0{digest}".encode("utf-8", "surrogatepass")
    return {
        "digest": hashlib.sha256(told).hexdigest(), "time": time, "source": source,
        "oid": short(said.oid), "gid": whose if source == "group" else short(said.gid), "kind": said.kind,
        "action": short(said.action), "actor": short(said.actor), "principal": short(said.principal),
        "permission": short(" ".join(said.permissions)), "details": kept(entry),
    }  # fmt: skip


def short(text: str) -> str:
    """A text for an indexed column."""
    told = storable(text)
    return told if len(told) <= LONGEST else told[: LONGEST - 1] + "~"


def kept(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as it may be stored: no secrets, and no more than LARGEST."""
    clean: dict[str, Any] = _clean(entry)
    if len(canonical(clean)) <= LARGEST:
        return clean
    small = {name: value for name, value in clean.items() if len(canonical(value)) <= LARGEST // 16}
    return small | {"left out": "this entry is too large to be kept whole"}


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: NOT_KEPT if item and is_secret_name(name) else _clean(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def words(event: Event, *, where: bool = True) -> str:
    """What was done, in one clause without who did it: `made kim@acme.example a member of SOC L1`.

    An action without words is told as it was received. It may hold strangers' text.

    Args:
        where: say on which organization, and which group; False where a column has it already.
    """
    named = event.gid and where
    group = f"the group {event.group or event.gid}" if named else "the group"
    of, into, out = (f" of {group}", f"into {group}", f"out of {group}") if where else ("", "in", "out")
    whom = event.principal or "somebody"
    on = f" on {event.organization or event.oid}" if event.oid and where else ""
    given = _some(event.permissions)
    more = _mapping(event.details.get("mtd")) if event.source == "audit" else event.details
    match event.action:
        case "add_member":
            return f"made {whom} a member{of}"
        case "remove_member":
            return f"took {whom} {out}"
        case "add_owner":
            return f"made {whom} an owner{of}"
        case "remove_owner":
            return f"ended the ownership{of} by {whom}"
        case "set_permissions":
            return f"changed what {group if where else 'it'} gives: {_changed(more, event.permissions)}"
        case "grant":
            return f"granted {given} to {whom}{on}"
        case "revoke":
            return f"revoked {given} from {whom}{on}"
        case "set_role":
            return f"gave {whom} the role {_text(more, 'role') or 'of no name'}{on}"
        case "add_org":
            return f"put {event.organization or event.oid or 'an organization'} {into}"
        case "remove_org":
            return f"took {event.organization or event.oid or 'an organization'} {out}"
        case "create_group":
            return f"made {group}"
        case "delete_group":
            return f"deleted {group}"
        case "add_user":
            role = _text(more, "role")
            return f"added {whom}{f' as {role}' if role else ' without any permission'}{on}"
        case "remove_user":
            return f"removed {whom}{on}"
        case "create_key":
            return f"made the API key {whom}{f' with {given}' if given else ''}{on}"
        case "delete_key":
            return f"deleted the API key {whom}{on}"
    said = _text(event.details, "msg", "message")
    about = of if event.gid else on
    return f"{event.action or 'an entry without an action'}{about}{f': {said}' if said else ''}"


def _changed(entry: Mapping[str, Any], permissions: Sequence[str]) -> str:
    """The change of a set of permissions, where the entry tells it; else the set."""
    added, removed = _texts(entry.get("added")), _texts(entry.get("removed"))
    told = [f"+{name}" for name in added] + [f"-{name}" for name in removed]
    if told:
        return _some(told, 4)
    return _some(permissions, 4) or "nothing any more"


def _some(names: Sequence[str], most: int = 3) -> str:
    named = ", ".join(names[:most])
    return named if len(names) <= most else f"{named} and {len(names) - most:,} more"


def given(event: Event) -> tuple[str, ...]:
    """The permissions that an event gave to somebody, as far as it tells."""
    more = _mapping(event.details.get("mtd")) if event.source == "audit" else event.details
    match event.action:
        case "set_permissions":
            told = changed_permissions(more)
            return tuple(sorted(told[0])) if told is not None else tuple(event.permissions)
        case "grant" | "create_key":
            return tuple(event.permissions)
        case "set_role" | "add_user":
            return roles().get(_text(more, "role"), ())
    return ()


def changed_permissions(entry: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]] | None:
    """(added, removed) by an entry that sets a group's permissions; None when it tells the set alone."""
    if "added" not in entry and "removed" not in entry:
        return None
    return frozenset(_texts(entry.get("added"))), frozenset(_texts(entry.get("removed")))


def set_permissions(entry: Mapping[str, Any]) -> frozenset[str] | None:
    """The whole set that an entry gave a group; None when it tells none."""
    for name in ("perms", "permissions", "priv"):
        if name in entry:
            return frozenset(_texts(entry[name]))
    return None


def _permissions(more: Mapping[str, Any]) -> tuple[str, ...]:
    one = _text(more, "permission", "perm")
    if one:
        return (one,)
    found = set_permissions(more)
    return tuple(sorted(found)) if found is not None else ()


def _text(entry: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = entry.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
