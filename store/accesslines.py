"""One change about access as a line that a person writes, and the words in which it is shown."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, select

from store import models
from store.accesschanges import NEW, AccessChange, ChangeKind
from store.queries.access import find_principal, is_permission
from store.queries.organizations import find_organization
from store.text import Untrusted, safe_text

_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

SHORT = 120
"""Characters of a name in a complaint."""

FORMS: dict[str, tuple[ChangeKind, tuple[str, ...]]] = {
    "grant": ("grant", ("EMAIL", "PERMISSION", "ORG")),
    "revoke": ("revoke", ("EMAIL", "PERMISSION", "ORG")),
    "add-user": ("add_user", ("EMAIL", "ORG")),
    "remove-user": ("remove_user", ("EMAIL", "ORG")),
    "join": ("add_member", ("EMAIL", "GROUP")),
    "leave": ("remove_member", ("EMAIL", "GROUP")),
    "own": ("add_owner", ("EMAIL", "GROUP")),
    "disown": ("remove_owner", ("EMAIL", "GROUP")),
    "hold": ("add_org", ("ORG", "GROUP")),
    "drop": ("remove_org", ("ORG", "GROUP")),
    "give": ("add_group_permission", ("PERMISSION", "GROUP")),
    "take": ("remove_group_permission", ("PERMISSION", "GROUP")),
    "new-group": ("create_group", ("NAME",)),
    "delete-group": ("delete_group", ("GROUP",)),
    "delete-key": ("delete_key", ("HASH", "ORG")),
}
"""The first word of a line -> its kind, and what follows it."""

_FIELDS = {
    "EMAIL": "principal", "HASH": "principal", "PERMISSION": "permission", "ORG": "oid", "GROUP": "gid",
    "NAME": "gid",
}  # fmt: skip


class LineError(ValueError):
    """A line cannot be understood; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Names:
    """What organizations, groups and keys are called, by id."""

    organizations: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By (oid, hash)."""

    def organization(self, oid: str) -> Untrusted:
        """Its name, or its oid where nobody knows it."""
        return Untrusted(self.organizations.get(oid) or oid)

    def group(self, gid: str) -> Untrusted:
        """Its name; of one that a plan makes, the name in the plan."""
        return Untrusted(self.groups.get(gid) or gid.removeprefix(NEW))

    def key(self, oid: str, key_hash: str) -> Untrusted:
        """Its name, or its hash."""
        return Untrusted(self.keys.get((oid, key_hash)) or key_hash)


def names(c: Connection, changes: Iterable[AccessChange]) -> Names:
    """The names of everything that changes speak of."""
    listed = list(changes)
    oids = {each.oid for each in listed if each.oid}
    gids = {each.gid for each in listed if each.gid and not each.gid.startswith(NEW)}
    keyed = {each.oid for each in listed if each.kind == "delete_key"}
    return Names(
        {row.oid: row.name for row in _those(c, _ORGANIZATION, "oid", oids)},
        {row.gid: row.name for row in _those(c, _GROUP, "gid", gids)},
        {(row.oid, row.key_hash): row.name for row in _those(c, _KEY, "oid", keyed)},
    )


def _those(c: Connection, table: Table, column: str, values: set[str]) -> list[Any]:
    found: list[Any] = []
    listed = sorted(values)
    for at in range(0, len(listed), 500):
        found += c.execute(select(table).where(table.c[column].in_(listed[at : at + 500]))).all()
    return found


def words(change: AccessChange, names: Names) -> str:
    """A change in words, as plans and dialogs show it. It may hold a stranger's text: show it as such.

    The verb comes first: where a line is cut, what is to be done is still read.
    """
    who, what = change.principal, change.permission
    where, group = names.organization(change.oid), names.group(change.gid)
    match change.kind:
        case "grant":
            return f"grant {what} to {who} on {where}"
        case "revoke":
            return f"revoke {what} from {who} on {where}"
        case "add_user":
            return f"add {who} to {where}"
        case "remove_user":
            return f"remove {who} from {where}"
        case "add_member":
            return f"add {who} to group {group}"
        case "remove_member":
            return f"take {who} out of group {group}"
        case "add_owner":
            return f"make {who} an owner of group {group}"
        case "remove_owner":
            return f"end that {who} owns group {group}"
        case "add_org":
            return f"put {where} into group {group}"
        case "remove_org":
            return f"take {where} out of group {group}"
        case "add_group_permission":
            return f"give {what} to group {group}"
        case "remove_group_permission":
            return f"take {what} from group {group}"
        case "create_group":
            return f"make group {group}"
        case "delete_group":
            return f"delete group {group}"
        case "delete_key":
            return f"delete key {names.key(change.oid, who)} of {where}"


def line(change: AccessChange) -> str:
    """A change as the line that `parse` reads, with ids."""
    for word, (kind, fields) in FORMS.items():
        if kind == change.kind:
            values = [getattr(change, _FIELDS[name]) for name in fields]
            if kind == "create_group":
                values = [change.gid.removeprefix(NEW)]
            return shlex.join([word, *values])
    raise AssertionError(change.kind)


def parse(line: str, connection: Connection) -> AccessChange:
    """What a line asks for.

    Args:
        line: `grant EMAIL PERMISSION ORG` and the others of FORMS; quoted as in a shell. ORG and GROUP are an
            id or a name that is one's alone; `new:NAME` is the group that another line of the plan makes.

    Raises:
        LineError: it is none of them, or names what is not there.
    """
    shown = safe_text(line.strip(), SHORT)
    try:
        parts = shlex.split(line, comments=True)
    except ValueError as error:
        raise LineError(f"`{shown}`: a quotation is not closed ({error}).") from None
    if not parts:
        raise LineError("A line is empty; it should be like `join EMAIL GROUP`.")
    word, values = parts[0], parts[1:]
    if word not in FORMS:
        raise LineError(f"`{shown}`: there is no `{safe_text(word, 40)}`; there are {', '.join(FORMS)}.")
    kind, fields = FORMS[word]
    if len(values) != len(fields):
        raise LineError(f"`{shown}`: it should be `{word} {' '.join(fields)}`; a name with spaces is quoted.")
    found: dict[str, str] = {}
    for name, value in zip(fields, values, strict=True):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise LineError(f"`{shown}`: it holds what is no text.") from None
        found[_FIELDS[name]] = _READ[name](connection, value, shown)
    if kind == "delete_key":
        _known_key(connection, found["oid"], found["principal"], shown)
    return AccessChange(kind, **found)


def _email(c: Connection, value: str, shown: str) -> str:
    if "@" not in value.strip("@") or not value.isprintable() or " " in value:
        raise LineError(f"`{shown}`: {safe_text(value, 60)} is no e-mail address.")
    known = [name for name, kind in find_principal(c, value) if kind == "user"]
    return known[0] if len(known) == 1 else value.lower()


def _permission(c: Connection, value: str, shown: str) -> str:
    if not is_permission(c, value):
        raise LineError(
            f"`{shown}`: there is no permission {safe_text(value, 60)}: the catalogue has none of this name, "
            "and nobody in the store holds it."
        )
    return value


def _organization(c: Connection, value: str, shown: str) -> str:
    return _one(find_organization(c, value), "organization", value, shown)


def _group(c: Connection, value: str, shown: str) -> str:
    if value.startswith(NEW) and value != NEW:
        return value
    rows = [
        (row.gid, row.name)
        for row in c.execute(
            select(_GROUP.c.gid, _GROUP.c.name).where((_GROUP.c.gid == value) | (_GROUP.c.name == value))
        )
    ]
    exact = [row for row in rows if row[0] == value]
    return _one(exact or rows, "group", value, shown)


def _new_group(c: Connection, value: str, shown: str) -> str:
    name = value.removeprefix(NEW).strip()
    if not name or not name.isprintable():
        raise LineError(f"`{shown}`: a group needs a name of letters that can be seen.")
    there = c.execute(select(_GROUP.c.gid).where(_GROUP.c.name == name)).scalars().first()
    if there is not None:
        raise LineError(f"`{shown}`: there is a group of this name already, {safe_text(there, 60)}.")
    return NEW + name


def _one(found: list[tuple[str, str]], what: str, value: str, shown: str) -> str:
    if not found:
        raise LineError(f"`{shown}`: there is no {what} {safe_text(value, 60)} in the store.")
    if len(found) > 1:
        named = ", ".join(f"{safe_text(name, 60)} ({id_})" for id_, name in found[:5])
        raise LineError(
            f"`{shown}`: {safe_text(value, 60)} may be any of {len(found)} {what}s: {named}. Give the id."
        )
    return found[0][0]


def _hash(c: Connection, value: str, shown: str) -> str:
    del c, shown
    return value


def _known_key(c: Connection, oid: str, key_hash: str, shown: str) -> None:
    known = c.execute(select(_KEY.c.name).where(_KEY.c.oid == oid, _KEY.c.key_hash == key_hash)).first()
    if known is None:
        raise LineError(f"`{shown}`: the organization has no key with this hash in the store.")


_READ: dict[str, Callable[[Connection, str, str], str]] = {
    "EMAIL": _email,
    "PERMISSION": _permission,
    "ORG": _organization,
    "GROUP": _group,
    "NAME": _new_group,
    "HASH": _hash,
}
