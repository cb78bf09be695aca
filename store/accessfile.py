"""Roles as code: a file that says which group has which role on which node of the tree.

    roles:
      SOC L1:
        extends: Viewer
        permissions: [sensor.task]
        without: [org.conf.get]
    groups:
      - name: SOC L1
        role: SOC L1
        nodes: [Europe/Gold, Americas]
        members: [dana@provider.example, lee@provider.example]
        owners: [root@provider.example]
        open: [members]

A role is one of LimaCharlie's five, or the provider's own. A section that a group leaves out (`role` and
`permissions`, `nodes`, `members`, `owners`) is not looked at; one that is there is the whole of it, and what
the group has beyond is drift, unless `open` names it: then it is the least that the group has. Groups that
the file does not name are left alone.

Everything here is pure: from the file and what the store knows to what is wrong with it, and what differs.
"""

import difflib
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from store.accesschanges import NEW, AccessChange, ordered
from store.errors import StoreError
from store.permissions import catalogue, known, roles
from store.text import Untrusted
from store.timeline import Standing
from store.tree import text_problem
from store.yaml import Document, YamlError, load

ROOT: Final = "/"
"""The node over all organizations, placed in the tree or not."""

FIELDS: Final = ("roles", "groups")
ROLE_FIELDS: Final = ("extends", "permissions", "without")
GROUP_FIELDS: Final = ("name", "gid", "role", "permissions", "nodes", "members", "owners", "open")
OPENABLE: Final = ("permissions", "nodes", "members", "owners")

Section = Literal["group", "permission", "organization", "member", "owner"]

_ADDS: Final = {
    "permission": "add_group_permission",
    "organization": "add_org",
    "member": "add_member",
    "owner": "add_owner",
}
_TAKES: Final = {
    "permission": "remove_group_permission",
    "organization": "remove_org",
    "member": "remove_member",
    "owner": "remove_owner",
}
FOREIGN: Final = (
    "This credential does not own the group: what it has is known in part, and it may not change it."
)
_EMAIL = re.compile(r"[^@\s,<>\"']+@[^@\s,<>\"']+")


# What the store knows


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the tree."""

    id: str
    path: str
    """"" of the root."""
    oid: str | None
    first: int
    last: int
    """The nodes below it are those numbered first < n <= last."""


@dataclass(frozen=True, slots=True)
class Present:
    """A group as it is in the cloud, as far as the store knows."""

    gid: str
    name: Untrusted
    permissions: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    complete: bool = True
    """False when only organizations' own listings named it: it may have more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a file is read against."""

    places: tuple[Place, ...] = ()
    """By number."""
    organizations: Mapping[str, Untrusted] = field(default_factory=dict)
    """Names by oid, of those that the last listing of organizations had."""
    gone: frozenset[str] = frozenset()
    """Oids that an earlier listing had: whether a group holds them is nobody's drift."""
    groups: Mapping[str, Present] = field(default_factory=dict)
    """By gid."""
    permissions: frozenset[str] = frozenset()
    """Every permission that anybody holds."""
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Roles that files gave to groups before, by name."""
    checked_at: int | None = None
    """When the groups were last read completely (ms); None when never."""


# The file


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a line of the file."""

    line: int
    """From 1 on."""
    text: str
    """One sentence: what is wrong."""
    remedy: str = ""
    """One sentence: what to do."""
    wrong: bool = True
    """False for what may be meant so: the file can be applied."""

    def __str__(self) -> str:
        return f"Line {self.line}: {self.text}{f' {self.remedy}' if self.remedy else ''}"


class AccessFileError(StoreError):
    """A file that says nothing that can be applied; nothing was changed."""

    def __init__(self, remarks: Sequence[Remark]) -> None:
        self.remarks = tuple(remarks)
        wrong = [remark for remark in remarks if remark.wrong]
        more = len(wrong) - 1
        super().__init__(str(wrong[0]) + (f" And {more} more." if more else ""))


@dataclass(frozen=True, slots=True)
class Wished:
    """A group as the file wants it; None for a section that the file leaves out."""

    gid: str
    """Of the group that is there; `NEW` and its name where it is to be made."""
    name: str
    role: str = ""
    """"" where the permissions are said one by one."""
    permissions: frozenset[str] | None = None
    organizations: frozenset[str] | None = None
    """Those that are there and stand below its nodes."""
    tolerated: frozenset[str] = frozenset()
    """Those below its nodes that are gone."""
    members: frozenset[str] | None = None
    owners: frozenset[str] | None = None
    open: frozenset[str] = frozenset()
    """Of OPENABLE: what is there beyond is no drift."""
    line: int = 0

    @property
    def new(self) -> bool:
        """Whether it is to be made."""
        return self.gid.startswith(NEW)


@dataclass(frozen=True, slots=True)
class AccessFile:
    """A file that can be applied."""

    hash: str
    """SHA-256 of its bytes."""
    roles: Mapping[str, frozenset[str]]
    """Every role that it may name, LimaCharlie's five among them."""
    groups: tuple[Wished, ...]
    remarks: tuple[Remark, ...] = ()
    """What may be meant so."""


def read(text: str | bytes, known_: Known) -> AccessFile:
    """A file, against what the store knows.

    Raises:
        AccessFileError: with everything that is wrong or odd, by line.
    """
    try:
        document = load(text)
    except YamlError as error:
        raise AccessFileError([_of_yaml(error)]) from None
    reading = _Reading(document, known_)
    groups = reading.groups()
    remarks = sorted(set(reading.remarks), key=lambda each: (each.line, each.text))
    remarks += [Remark(each.line, each.text, wrong=False) for each in document.surprises]
    if any(remark.wrong for remark in remarks):
        raise AccessFileError(sorted(remarks, key=lambda each: each.line))
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return AccessFile(
        hashlib.sha256(raw).hexdigest(),
        reading.roles,
        tuple(groups),
        tuple(sorted(remarks, key=lambda each: each.line)),
    )


def _of_yaml(error: YamlError) -> Remark:
    text = error.problem.text
    remedy = ""
    if "is there twice" in text:
        remedy = "Keep one of them; put what both say into it."
    elif "is not allowed" in text and "tag" in text:
        remedy = "Write plain text; quotes keep it from being read as something else."
    return Remark(error.problem.line, text, remedy)


class _Reading:
    """One reading of a file: what is in it, and every remark about it."""

    def __init__(self, document: Document, known_: Known) -> None:
        self._document = document
        self._known = known_
        self.remarks: list[Remark] = []
        self.roles: dict[str, frozenset[str]] = {name: frozenset(held) for name, held in roles().items()}
        self._names = [each.name for each in catalogue()]
        self._by_path: dict[str, list[Place]] = {}
        for place in known_.places:
            self._by_path.setdefault(place.path or ROOT, []).append(place)
        self._by_id = {place.id: place for place in known_.places}
        self._everywhere = frozenset(known_.organizations)
        self._held = frozenset[str]().union(*(group.organizations for group in known_.groups.values()))
        self._by_name: dict[str, list[Present]] = {}
        for group in known_.groups.values():
            self._by_name.setdefault(group.name, []).append(group)

    def wrong(self, path: Sequence[str | int], text: str, remedy: str = "") -> None:
        """Remark what keeps the file from being applied."""
        self.remarks.append(Remark(self._document.key_line(*path), text, remedy))

    def odd(self, path: Sequence[str | int], text: str, remedy: str = "") -> None:
        """Remark what may be meant so."""
        self.remarks.append(Remark(self._document.key_line(*path), text, remedy, wrong=False))

    def groups(self) -> list[Wished]:
        """Every group that could be read."""
        value = self._document.value
        if not isinstance(value, dict):
            self.wrong(
                (),
                "An access file is a mapping with `groups`, and `roles` where the provider has its own.",
                "Begin with `groups:`, and below it `- name: ...`.",
            )
            return []
        self._fields(value, FIELDS, (), "an access file")
        self._read_roles(value.get("roles"))
        listed = value.get("groups")
        if not isinstance(listed, list) or not listed:
            self.wrong(
                ("groups",), "The file names no groups.", "Write `groups:`, and below it `- name: ...`."
            )
            return []
        found: list[Wished] = []
        lines: dict[str, int] = {}
        for index, entry in enumerate(listed):
            wished = self._group(entry, ("groups", index))
            if wished is None:
                continue
            if wished.gid in lines:
                self.wrong(
                    ("groups", index),
                    f"The group {_q(wished.name)} is there twice; it is on line {lines[wished.gid]} too.",
                    "Keep one of them; put what both say into it.",
                )
            lines.setdefault(wished.gid, wished.line)
            found.append(wished)
        return found

    # -- roles ------------------------------------------------------------------------------------------

    def _read_roles(self, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            self.wrong(
                ("roles",), "Roles are a mapping of names to what they hold.", "Write `NAME:` below it."
            )
            return
        theirs = {name.casefold(): name for name in self.roles}
        own: dict[str, tuple[list[str], frozenset[str], frozenset[str]]] = {}
        for name, entry in value.items():
            path = ("roles", name)
            if not isinstance(name, str) or not name.strip():
                self.wrong(
                    path, f"The role {_q(name)} has no name that is text.", "Write the name in quotes."
                )
                continue
            if complaint := text_problem(name):
                self.wrong(path, f"The role {_q(name)} {complaint}.", "Give it another name.")
                continue
            if name.casefold() in theirs:
                self.wrong(
                    path,
                    f"{_q(name)} is LimaCharlie's own role {theirs[name.casefold()]}, which is what it is.",
                    "Give yours another name; `extends` takes over what theirs holds.",
                )
                continue
            if not isinstance(entry, dict):
                self.wrong(
                    path,
                    f"The role {_q(name)} says nothing of what it holds.",
                    "Write `permissions: [...]` below it, or `extends: ROLE`.",
                )
                entry = {}
            self._fields(entry, ROLE_FIELDS, path, "a role")
            extends = entry.get("extends")
            bases = (
                [extends] if isinstance(extends, str) else self._texts(extends, (*path, "extends"), "role")
            )
            own[name] = (
                bases,
                self._permissions(entry.get("permissions"), (*path, "permissions")),
                self._permissions(entry.get("without"), (*path, "without")),
            )
        self._resolve(own)

    def _resolve(self, own: Mapping[str, tuple[list[str], frozenset[str], frozenset[str]]]) -> None:
        """Every role of the file with what it holds in the end."""
        resolved = dict(self.roles)
        broken: set[str] = set()

        def held(name: str, below: tuple[str, ...]) -> frozenset[str]:
            if name in resolved:
                return resolved[name]
            bases, permissions, without = own[name]
            found = set(permissions)
            for number, base in enumerate(bases):
                at: tuple[str | int, ...] = ("roles", name, "extends")
                at += (number,) if len(bases) > 1 else ()
                if base == name or base in below:
                    broken.update((*below, name))
                    ring = " > ".join((*below, name, base))
                    self.wrong(
                        at, f"The role {_q(name)} extends itself: {_q(ring)}.", "Take one of them out."
                    )
                elif base not in resolved and base not in own:
                    broken.add(name)
                    self.wrong(at, f"There is no role {_q(base)}.", self._nearest(base, (*resolved, *own)))
                else:
                    found |= held(base, (*below, name))
            for each in sorted(without - found):
                self.odd(
                    ("roles", name, "without"),
                    f"{_q(name)} leaves out {each}, which it would not have.",
                    "Take the line out.",
                )
            resolved[name] = frozenset(found - without)
            return resolved[name]

        for name in own:
            held(name, ())
            if not resolved[name] and name not in broken:
                self.wrong(
                    ("roles", name),
                    f"The role {_q(name)} holds no permission.",
                    "Give it some, or take it out.",
                )
        self.roles = resolved

    # -- groups -----------------------------------------------------------------------------------------

    def _group(self, entry: object, path: tuple[str | int, ...]) -> Wished | None:
        if not isinstance(entry, dict):
            self.wrong(path, "A group is a mapping with at least a name.", "Write `- name: ...`.")
            return None
        self._fields(entry, GROUP_FIELDS, path, "a group")
        for key in OPENABLE:
            if key in entry and entry[key] is None:
                self.wrong(
                    (*path, key),
                    f"Nothing stands behind `{key}`.",
                    "Write `[]` for none at all, or take the line out: then they are not looked at.",
                )
        name, gid = self._text(entry, "name", path), self._text(entry, "gid", path)
        if not name and not gid:
            if "name" not in entry and "gid" not in entry:
                self.wrong(
                    path, "The group has no name.", "Write `name: ...`, or `gid: ...` of one that is there."
                )
            return None
        present = self._present(name, gid, path)
        if present is None and gid:
            return None
        if present is None and len(self._by_name.get(name, ())) > 1:
            return None
        role, permissions = self._role(entry, path)
        places = self._texts(entry["nodes"], (*path, "nodes"), "node") if "nodes" in entry else None
        organizations, tolerated = (
            self._below(places, (*path, "nodes")) if places is not None else (None, frozenset())
        )
        people = {
            section: self._emails(entry[section], (*path, section)) if section in entry else None
            for section in ("members", "owners")
        }
        owners = people["owners"]
        if entry.get("owners") == []:
            self.wrong(
                (*path, "owners"),
                "A group has at least one owner.",
                "Name one, or leave `owners` out: then they stay.",
            )
        opened = self._open(entry.get("open"), path)
        if present is None:
            if owners is not None and "owners" not in opened:
                self.odd(
                    (*path, "owners"),
                    f"Whoever makes the group {_q(name)} becomes an owner of it.",
                    "Name them among the owners, or `open: [owners]`.",
                )
            if permissions is None:
                self.odd(path, f"The new group {_q(name)} gives nothing.", "Write `role: ...`.")
        elif name and gid and present.name != name:
            self.odd(
                (*path, "name"),
                f"The group {gid} is called {_q(present.name)}, and a group cannot be renamed.",
                "Write its name as it is.",
            )
        return Wished(
            gid=present.gid if present is not None else f"{NEW}{name}",
            name=str(present.name) if present is not None else name,
            role=role,
            permissions=permissions,
            organizations=organizations,
            tolerated=tolerated,
            members=people["members"],
            owners=owners,
            open=opened,
            line=self._document.line(*path),
        )

    def _present(self, name: str, gid: str, path: tuple[str | int, ...]) -> Present | None:
        if gid:
            found = self._known.groups.get(gid)
            if found is None:
                self.wrong(
                    (*path, "gid"),
                    f"There is no group {_q(gid)}.",
                    "Leave `gid` out and give a name: then the group is made.",
                )
            return found
        same = self._by_name.get(name, [])
        if len(same) > 1:
            self.wrong(
                (*path, "name"),
                f"{len(same)} groups are called {_q(name)}.",
                f"Say which by `gid: ...`: {', '.join(sorted(each.gid for each in same))}.",
            )
            return None
        return same[0] if same else None

    def _role(
        self, entry: Mapping[str, Any], path: tuple[str | int, ...]
    ) -> tuple[str, frozenset[str] | None]:
        role = self._text(entry, "role", path)
        if role and "permissions" in entry:
            self.wrong(
                (*path, "permissions"),
                "The group has a role and permissions of its own.",
                "Make a role of your own that `extends` this one, and name it here.",
            )
        if role:
            if role not in self.roles:
                self.wrong((*path, "role"), f"There is no role {_q(role)}.", self._nearest(role, self.roles))
                return role, None
            return role, self.roles[role]
        if entry.get("permissions") is None:
            return "", None
        return "", self._permissions(entry["permissions"], (*path, "permissions"))

    def _below(
        self, places: Iterable[str], path: tuple[str | int, ...]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """(organizations below these nodes that are there, those that are gone)."""
        wanted: set[str] = set()
        for number, text in enumerate(places):
            found = self._node(text, (*path, number))
            if found is None:
                continue
            if not found:
                self.odd(
                    (*path, number),
                    f"No organization stands at or below {_q(text)}.",
                    "Take it out, or move one there.",
                )
            elif found <= wanted:
                self.odd(
                    (*path, number),
                    f"{_q(text)} holds nothing that the nodes before it do not.",
                    "Take it out.",
                )
            wanted |= found
        return frozenset(wanted - self._known.gone), frozenset(wanted & self._known.gone)

    def _node(self, text: str, path: tuple[str | int, ...]) -> frozenset[str] | None:
        """The organizations of a node: its path, its id, or the oid of one organization alone."""
        if text == ROOT:
            return self._everywhere | self._known.gone
        places = self._by_path.get(text.strip("/"), [])
        if not places and text in self._by_id:
            places = [self._by_id[text]]
        if len(places) > 1:
            self.wrong(
                path,
                f"{len(places)} nodes have the path {_q(text)}.",
                f"Say which by its id: {', '.join(sorted(place.id for place in places))}.",
            )
            return None
        if places:
            if places[0].path == "":
                return self._everywhere | self._known.gone
            return _oids_below(self._known.places, places[0])
        if text in self._everywhere or text in self._known.gone or text in self._held:
            return frozenset({text})
        self.wrong(
            path,
            f"The tree has no node {_q(text)}.",
            self._nearest(text, self._by_path, "Write its path, as `limegrove tree show` has it, or an oid."),
        )
        return None

    def _emails(self, value: object, path: tuple[str | int, ...]) -> frozenset[str]:
        found: dict[str, int] = {}
        for number, text in enumerate(self._texts(value, path, "e-mail address")):
            email = text.strip().lower()
            if not _EMAIL.fullmatch(email) or not email.isprintable():
                self.wrong(
                    (*path, number),
                    f"{_q(text)} is no e-mail address.",
                    "Write it as in `name@domain.example`.",
                )
            elif email in found:
                self.wrong((*path, number), f"{_q(text)} is there twice.", "Take one of them out.")
            else:
                found[email] = number
        return frozenset(found)

    def _permissions(self, value: object, path: tuple[str | int, ...]) -> frozenset[str]:
        found: set[str] = set()
        for number, text in enumerate(self._texts(value, path, "permission")):
            at = (*path, number)
            what = known(text)
            if what is None and text not in self._known.permissions:
                self.wrong(
                    at,
                    f"There is no permission {_q(text)}: the catalogue has none of this name, "
                    "and nobody holds it.",
                    self._nearest(text, self._names),
                )
                continue
            if text in found:
                self.wrong(at, f"The permission {text} is there twice.", "Take one of them out.")
            if what is not None and what.doubtful and text not in self._known.permissions:
                self.odd(
                    at,
                    f"The permission {text} is mentioned somewhere, and may not exist.",
                    "Take it out unless you know.",
                )
            found.add(text)
        return frozenset(found)

    def _open(self, value: object, path: tuple[str | int, ...]) -> frozenset[str]:
        found = set()
        for number, text in enumerate(self._texts(value, (*path, "open"), "section")):
            if text not in OPENABLE:
                self.wrong(
                    (*path, "open", number),
                    f"{_q(text)} is no section that can be open.",
                    f"There are {', '.join(OPENABLE)}.",
                )
            found.add(text)
        return frozenset(found)

    # -- parts ------------------------------------------------------------------------------------------

    def _fields(
        self, entry: Mapping[Any, Any], allowed: Sequence[str], path: Sequence[str | int], what: str
    ) -> None:
        for key in entry:
            if key not in allowed:
                self.wrong(
                    (*path, key),
                    f"{_q(key)} is no field of {what}.",
                    self._nearest(str(key), allowed, f"There are {', '.join(allowed)}."),
                )

    def _text(self, entry: Mapping[str, Any], key: str, path: tuple[str | int, ...]) -> str:
        value = entry.get(key)
        if value is None:
            if key in entry:
                self.wrong((*path, key), f"The {key} is empty.", "Write it, or take the line out.")
            return ""
        if not isinstance(value, str):
            self.wrong((*path, key), f"The {key} {_q(value)} is not text to YAML.", "Write it in quotes.")
            return ""
        if not value.strip() or value != value.strip():
            self.wrong(
                (*path, key),
                f"The {key} {_q(value)} is empty, or begins or ends with a space.",
                "Write it without.",
            )
            return ""
        if complaint := text_problem(value):
            self.wrong((*path, key), f"The {key} {complaint}.", "Write it without.")
            return ""
        return value

    def _texts(self, value: object, path: Sequence[str | int], what: str) -> list[str]:
        """A list of texts; what is none of those is remarked, and stands as "" so that places stay."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(
                path,
                f"This is a list of {what}{'es' if what.endswith('s') else 's'}.",
                f"Write `[{_plain(value)}]`, or one on each line after `- `.",
            )
            return []
        found = []
        for number, each in enumerate(value):
            if not isinstance(each, str):
                self.wrong(
                    (*path, number), f"The {what} {_q(each)} is not text to YAML.", "Write it in quotes."
                )
            elif not each.isprintable():
                self.wrong(
                    (*path, number), f"The {what} {_q(each)} holds a control character.", "Write it without."
                )
            else:
                found.append(each)
        return found if len(found) == len(value) else []

    def _nearest(self, word: str, among: Iterable[str], otherwise: str = "") -> str:
        names = sorted(set(among))
        by_fold = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(word.casefold(), list(by_fold), 1, 0.6)
        if close:
            return f"Did you mean {by_fold[close[0]]}?"
        return otherwise or (
            f"There are {', '.join(names)}." if len(names) <= 12 else "Look for a misspelling."
        )


def _oids_below(places: Sequence[Place], place: Place) -> frozenset[str]:
    return frozenset(
        each.oid for each in places if each.oid is not None and place.first <= each.first <= place.last
    )


def _q(value: object) -> str:
    """A stranger's word inside a sentence: quoted, escaped, and cut."""
    text = value if isinstance(value, str) else str(value)
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else "..."
    return text if text.isascii() and text.isprintable() and len(text) <= 40 else "..."


# What differs


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a group has not, or has beyond the file."""

    what: Literal["missing", "extra"]
    section: Section
    value: str
    """A permission, an oid, an e-mail; of `group` its name."""
    change: AccessChange
    """What makes it as the file says."""
    since: int | None = None
    """When it became so (ms); None when nothing tells."""
    by: Untrusted = Untrusted("")  # noqa: RUF009  (a text)
    told: str = ""
    """`group` or `audit`: the log that tells it; "" when none does."""


@dataclass(frozen=True, slots=True)
class GroupDrift:
    """How one group of the file differs from what is there."""

    gid: str
    name: Untrusted
    role: str
    line: int
    differences: tuple[Difference, ...] = ()
    """By section, what is missing first."""
    equals: str = ""
    """A role that its permissions are now, where they are not what the file says."""
    unknown: str = ""
    """Why it cannot be told, in one sentence; "" when it can."""


def drift(
    file: AccessFile,
    known_: Known,
    standing: Mapping[str, Mapping[tuple[str, str], Standing]] | None = None,
) -> list[GroupDrift]:
    """How every group of a file differs from what is there, those without a difference too.

    Args:
        standing: by gid, what the logs tell of how it became so (`store.timeline.standing`).
    """
    names = _names_by_permissions(file.roles)
    found = []
    for wished in file.groups:
        present = known_.groups.get(wished.gid)
        if present is not None and not present.complete:
            found.append(
                GroupDrift(
                    wished.gid,
                    present.name,
                    wished.role,
                    wished.line,
                    unknown=FOREIGN,
                )
            )
            continue
        told = (standing or {}).get(wished.gid, {})
        differences = tuple(_attributed(each, told) for each in _differences(wished, present))
        equals = ""
        if present is not None and any(each.section == "permission" for each in differences):
            equals = names.get(present.permissions, "")
        name = present.name if present is not None else Untrusted(wished.name)
        found.append(GroupDrift(wished.gid, name, wished.role, wished.line, differences, equals))
    return found


def changes(drifts: Iterable[GroupDrift], known_: Known) -> list[AccessChange]:
    """What makes the cloud as the file says, in the order of a plan.

    What is not known is left alone: a group of which only a part is seen, and an organization in a group that
    no listing ever named.
    """
    listed = {*known_.organizations, *known_.gone}
    return ordered(
        each.change
        for group in drifts
        for each in group.differences
        if each.section != "organization" or each.value in listed
    )


def _differences(wished: Wished, present: Present | None) -> Iterable[Difference]:
    if present is None:
        yield Difference("missing", "group", wished.name, AccessChange("create_group", gid=wished.gid))
        present = Present(wished.gid, Untrusted(wished.name))
    sections: tuple[tuple[Section, str, frozenset[str] | None, frozenset[str]], ...] = (
        ("permission", "permissions", wished.permissions, present.permissions),
        ("organization", "nodes", wished.organizations, present.organizations - wished.tolerated),
        ("member", "members", wished.members, _lower(present.members)),
        ("owner", "owners", wished.owners, _lower(present.owners)),
    )
    for section, field_, wanted, there in sections:
        if wanted is None:
            continue
        for value in sorted(wanted - there):
            yield Difference("missing", section, value, _change(_ADDS[section], wished.gid, section, value))
        if field_ not in wished.open:
            for value in sorted(there - wanted):
                yield Difference(
                    "extra", section, value, _change(_TAKES[section], wished.gid, section, value)
                )


def _lower(emails: Collection[str]) -> frozenset[str]:
    return frozenset(email.lower() for email in emails)


def _change(kind: Any, gid: str, section: Section, value: str) -> AccessChange:
    named = {"permission": "permission", "organization": "oid", "member": "principal", "owner": "principal"}
    return AccessChange(kind, gid=gid, **{named[section]: value})


def _attributed(each: Difference, told: Mapping[tuple[str, str], Standing]) -> Difference:
    found = told.get((each.section, each.value))
    if found is None or found.present != (each.what == "extra"):
        return each
    event = found.event
    return Difference(
        each.what, each.section, each.value, each.change, event.time or None, event.actor, event.source
    )


def _names_by_permissions(named: Mapping[str, frozenset[str]]) -> dict[frozenset[str], str]:
    """The role that a set of permissions is; of several the first by name, LimaCharlie's before others."""
    found: dict[frozenset[str], str] = {}
    for name in (*roles(), *sorted(named)):
        if name in named:
            found.setdefault(named[name], name)
    return found


# Written from what is there


def export(known_: Known) -> dict[str, Any]:
    """What is there as a file says it: every group that is known whole, its members, owners and nodes.

    A group whose permissions are those of a role gets its name: LimaCharlie's five, or one that a file gave
    before (`Known.given`), which then stands in the file too. The nodes are as few as can say it.

    Returns:
        {roles?, groups}; reading it back gives no difference.
    """
    names = _names_by_permissions(
        {name: frozenset(held) for name, held in roles().items()} | dict(known_.given)
    )
    used: dict[str, frozenset[str]] = {}
    listed: list[dict[str, Any]] = []
    named: dict[str, int] = {}
    for group in known_.groups.values():
        named[group.name] = named.get(group.name, 0) + 1
    for group in sorted(known_.groups.values(), key=lambda each: (each.name.casefold(), each.gid)):
        if not group.complete:
            continue
        entry: dict[str, Any] = {}
        if named[group.name] == 1 and _sayable(group.name):
            entry["name"] = str(group.name)
        entry["gid"] = group.gid
        role = names.get(group.permissions, "")
        if role:
            entry["role"] = role
            if role not in roles():
                used[role] = group.permissions
        else:
            entry["permissions"] = sorted(group.permissions)
        entry["nodes"] = cover(group.organizations, known_)
        entry["members"] = sorted(_lower(group.members))
        if group.owners:
            entry["owners"] = sorted(_lower(group.owners))
        listed.append(entry)
    found: dict[str, Any] = {}
    if used:
        found["roles"] = {name: {"permissions": sorted(used[name])} for name in sorted(used)}
    return found | {"groups": listed}


def _sayable(name: str) -> bool:
    return bool(name) and name == name.strip() and not text_problem(name)


def cover(organizations: Collection[str], known_: Known) -> list[str]:
    """The fewest nodes that hold just these organizations: paths, and oids where no node does."""
    wanted = frozenset(organizations)
    if wanted and frozenset(known_.organizations) <= wanted:
        beyond = wanted - frozenset(known_.organizations) - known_.gone
        return [ROOT, *sorted(beyond)]
    paths: dict[str, int] = {}
    for place in known_.places:
        paths[place.path] = paths.get(place.path, 0) + 1
    found: list[str] = []
    said: set[str] = set()
    at = 0
    places = known_.places
    while at < len(places):
        place = places[at]
        below = [each.oid for each in places[at : at + place.last - place.first + 1] if each.oid is not None]
        alive = [oid for oid in below if oid not in known_.gone]
        if place.path and alive and wanted.issuperset(alive):
            plain = (
                paths[place.path] == 1 and place.path.isprintable() and place.path.strip("/") == place.path
            )
            found.append(place.path if plain else place.id)
            said.update(below)
            at += place.last - place.first + 1
        else:
            at += 1
    return found + sorted(wanted - said)
