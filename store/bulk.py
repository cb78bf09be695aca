"""Bulk changes: what can be done to many organizations alike, how it is asked for, and on which."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import select as select_

from store.accessplans import protected
from store.configuration import redact
from store.permissions import roles
from store.queries.organizations import tree
from store.queries.scopes import ORGANIZATION, marked
from store.queries.totals import TreeRow
from store.runs import RunError
from store.runverbs import destructive, words
from store.smoke import WAIT
from store.text import Untrusted, safe_text
from store.tree import MARKS

STREAMS = ("event", "detect", "audit", "deployment", "artifact", "tailored", "billing")
"""What an output may send (official Go client, `output.go`)."""

_EMAIL = re.compile(r"[^\s@,;<>\"'\\]+@[^\s@,;<>\"'\\]+\.[^\s@,;<>\"'\\]+")
_PROBE = b"\0" * 16
"""Any key does, to see whether something would be replaced."""


class BadWish(RunError):
    """What is asked for cannot be; the text is the sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a change has to be told."""

    name: str
    label: str
    """At most eight letters."""
    hint: str
    """What it takes, in a few words."""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One change that can be made in many organizations."""

    name: str
    """On the command line: `tag`."""
    verb: str
    """Of `store.runverbs.VERBS`."""
    key: str
    """The letter that chooses it in the console."""
    does: str
    """In a list: `tag sensors`."""
    means: str
    """What comes of it, in a few words more."""
    fields: tuple[Field, ...]

    @property
    def destructive(self) -> bool:
        """Whether what it takes cannot be brought back."""
        return destructive(self.verb)


_WHICH = Field("selector", "sensors", "a sensor selector, such as plat == windows; * for all")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("tag", "sensor.tag", "t", "tag sensors",
             "a tag on the sensors that a selector finds; it can be taken back", (
            Field("tag", "tag", "one tag, without a comma"), _WHICH,
            Field("ttl", "for", "seconds after which it ends; nothing for never", needed=False),
        )),
        Kind("untag", "sensor.untag", "T", "take a tag from sensors",
             "the tag goes from the sensors that a selector finds", (
            Field("tag", "tag", "one tag, without a comma"), _WHICH,
        )),
        Kind("quota", "quota.set", "q", "set the sensor quota",
             "how many sensors may connect; those above it are turned away", (
            Field("quota", "quota", "a number of sensors, 0 or more"),
        )),
        Kind("subscribe", "extension.subscribe", "e", "subscribe to an extension",
             "its functions and its costs begin; it can be taken back", (
            Field("extension", "name", "such as ext-artifact"),
        )),
        Kind("unsubscribe", "extension.unsubscribe", "E", "unsubscribe from an extension",
             "it ends, and what it keeps is deleted", (
            Field("extension", "name", "such as ext-artifact; what it keeps goes with it"),
        )),
        Kind("add-user", "user.add", "u", "add a user",
             "somebody gets in, with a role or without a permission", (
            Field("email", "e-mail", "an address"),
            Field("role", "role", f"of {', '.join(roles())}; nothing for no permission", needed=False),
            Field("invite", "invite", "yes to invite whom LimaCharlie does not know", needed=False),
        )),
        Kind("remove-user", "user.remove", "U", "remove a user",
             "somebody gets out; what was granted directly goes with it", (
            Field("email", "e-mail", "an address"),
        )),
        Kind("role", "user.role", "r", "give a user a role",
             "in place of everything that is granted to somebody directly", (
            Field("email", "e-mail", "an address"),
            Field("role", "role", f"of {', '.join(roles())}; it replaces what is granted directly"),
        )),
        Kind("revoke-key", "key.revoke", "K", "revoke API keys",
             "whatever uses a key of the name is locked out at once", (
            Field("key", "key", "the name of the API keys, or a hash"),
        )),
        Kind("set-output", "output.set", "o", "make an output",
             "what its stream brings is sent on, such as to a SIEM", (
            Field("name", "name", "what it is called"),
            Field("module", "module", "such as syslog"),
            Field("stream", "stream", f"of {', '.join(STREAMS)}"),
            Field("options", "options", "name=value, with spaces between; secrets as hive://secret/NAME",
                  needed=False),
        )),
        Kind("remove-output", "output.remove", "O", "remove an output",
             "nothing is sent there any more; its secrets are not kept", (
            Field("name", "name", "what it is called"),
        )),
        Kind("make-key", "installation-key.make", "i", "make an installation key",
             "sensors are installed with it, and get its tags", (
            Field("description", "name", "what it is called"),
            Field("tags", "tags", "with commas between; sensors get them", needed=False),
            Field("public_root_ca", "root CA", "yes for machines that break up TLS", needed=False),
        )),
        Kind("remove-key", "installation-key.remove", "I", "remove an installation key",
             "nothing more is installed with it; what is installed stays", (
            Field("description", "name", "what it is called"),
        )),
        Kind("smoke", "smoke.detection", "s", "test from the sensor to the case",
             "a detection is made on purpose, and followed to its case", (
            Field("wait", "wait", "seconds for the test's detection; 120 unless said", needed=False),
        )),
    )
}  # fmt: skip
"""Name -> what can be done, in the order in which it is offered."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One change, as it is asked for: every value judged."""

    kind: Kind
    target: str = ""
    """As in a step; "" where it is one for each sensor or key."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    selector: str | None = None
    """Of sensors; "" for all, None where it is not about sensors."""

    @property
    def words(self) -> Untrusted:
        """What it does, in words."""
        if self.selector is not None:
            which = f"the sensors with {self.selector}" if self.selector else "all sensors"
            tag = self.arguments["tag"]
            text = f"tag {which}: {tag}" if self.kind.name == "tag" else f"take the tag {tag} from {which}"
            return Untrusted(text)
        if self.kind.name == "smoke":
            return Untrusted(self.kind.does)
        if self.kind.name == "revoke-key":
            return Untrusted(f"revoke the API keys {self.arguments['name']}")
        return words(self.kind.verb, self.target, self.arguments)


def wish(name: str, values: Mapping[str, str]) -> Wish:
    """What is asked for, judged.

    Args:
        name: of KINDS.
        values: what each field was given, as text.

    Raises:
        BadWish: it cannot be; the sentence says what is wrong with which field.
    """
    kind = KINDS[name]
    given = {each.name: values.get(each.name, "").strip() for each in kind.fields}
    for each in kind.fields:
        if each.needed and not given[each.name]:
            raise BadWish(f"`{each.label}` is missing: {each.hint}.")
    for text in given.values():
        if not text.isprintable():
            raise BadWish("What is given holds something that cannot be seen; type it anew.")
    match kind.name:
        case "tag" | "untag":
            arguments: dict[str, Any] = {"tag": _tag(given["tag"])}
            if given.get("ttl"):
                arguments["ttl"] = _number(given["ttl"], "How long a tag stays, in seconds,", least=1)
            selector = "" if given["selector"] == "*" else given["selector"]
            return Wish(kind, arguments=arguments, selector=selector)
        case "quota":
            return Wish(kind, arguments={"quota": _number(given["quota"], "A quota")})
        case "subscribe" | "unsubscribe":
            return Wish(kind, _extension(given["extension"]))
        case "add-user":
            arguments = {"invite": _yes(given["invite"], "invite")}
            if given["role"]:
                arguments["role"] = _role(given["role"])
            return Wish(kind, _email(given["email"]), arguments)
        case "role":
            return Wish(kind, _email(given["email"]), {"role": _role(given["role"])})
        case "remove-user":
            return Wish(kind, _email(given["email"]))
        case "revoke-key":
            return Wish(kind, arguments={"name": given["key"]})
        case "set-output":
            return _output(kind, given)
        case "make-key":
            tags = [_tag(each) for each in given["tags"].split(",") if each.strip()]
            arguments = {
                "tags": sorted(set(tags)),
                "public_root_ca": _yes(given["public_root_ca"], "root CA"),
            }
            return Wish(kind, given["description"], arguments)
        case "remove-output":
            return Wish(kind, given["name"])
        case "smoke":
            wait = (
                _number(given["wait"], "How long it waits, in seconds,", least=1) if given["wait"] else WAIT
            )
            return Wish(kind, arguments={"wait": wait})
        case _:
            return Wish(kind, given["description"])


def _tag(text: str) -> str:
    word = text.strip()
    if not word or "," in word:
        raise BadWish("A tag is one word or more, without a comma.")
    return word


def _number(text: str, what: str, *, least: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 10_000_000:
        raise BadWish(f"{what} is a whole number, {least} or more; {safe_text(text, 40)!r} is none.")
    return int(text)


def _yes(text: str, what: str) -> bool:
    if text.casefold() not in ("", "yes", "y", "true", "no", "n", "false"):
        raise BadWish(f"{what} is yes or no; {safe_text(text, 40)!r} is neither.")
    return text.casefold() in ("yes", "y", "true")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise BadWish(f"{safe_text(text, 80)!r} is no e-mail address.")
    return text


def _role(text: str) -> str:
    found = [name for name in roles() if name.casefold() == text.casefold()]
    if not found:
        raise BadWish(f"{safe_text(text, 40)!r} is no role; there are {', '.join(roles())}.")
    return found[0]


def _extension(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", text, re.ASCII):
        raise BadWish(f"{safe_text(text, 80)!r} is no extension's name; one is called like ext-artifact.")
    return text


def _output(kind: Kind, given: Mapping[str, str]) -> Wish:
    if given["stream"] not in STREAMS:
        raise BadWish(f"{safe_text(given['stream'], 40)!r} is no stream; there are {', '.join(STREAMS)}.")
    options = {}
    for part in given["options"].split():
        name, sign, value = part.partition("=")
        if not sign or not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII):
            raise BadWish(f"{safe_text(part, 60)!r} is no option; one is written dest_host=siem.example.com.")
        if name in ("name", "module", "type", "for") or name in options:
            raise BadWish(f"The option {name} is given twice, or is no option.")
        options[name] = value
    whole = {"module": given["module"], "for": given["stream"], **options}
    if redact("output", whole, _PROBE) != whole:
        raise BadWish(
            "One of the options is a secret, and what is planned is written down: put it into the secret "
            "hive and give hive://secret/NAME in its place."
        )
    arguments = {"module": given["module"], "stream": given["stream"], "options": options}
    return Wish(kind, given["name"], arguments)


# On which organizations


@dataclass(frozen=True, slots=True)
class Chosen:
    """One organization of a selection."""

    oid: str
    name: Untrusted
    quota: int | None = None
    """How many sensors it may have; None when that was never read."""
    used: float | None = None
    """Weighted sensors of it; None when that was never read."""
    failed: bool = False
    """Whether its last reading failed."""

    @property
    def unread(self) -> bool:
        """Whether nobody can say that what is known of its quota is so."""
        return self.failed or self.quota is None

    def turns_away(self, quota: int) -> bool:
        """Whether it has more sensors than a new quota would let in."""
        return self.used is not None and self.used > quota


@dataclass(frozen=True, slots=True)
class Selection:
    """Organizations on which something is to be done."""

    chosen: tuple[Chosen, ...]
    frozen: tuple[Chosen, ...] = ()
    """Those of it that are frozen: nothing is done on them."""
    protected: tuple[Chosen, ...] = ()
    source: str = ""
    """How they were chosen, in words."""


def hay(row: TreeRow) -> str:
    """What a filter over organizations looks into: name, oid, labels, marks, health."""
    labels = " ".join(f"{key}={value}" for key, value in row.labels.items())
    return f"{row.name}\n{row.oid or ''}\n{labels}\n{' '.join(row.marks)}\n{row.health}".casefold()


def select(
    c: Connection,
    *,
    now: int,
    scope: str = "",
    filter_line: str = "",
    mark: str = "",
    oids: Collection[str] | None = None,
    source: str = "",
) -> Selection:
    """The organizations for which everything that is given holds; those that are gone are left out.

    Args:
        now: milliseconds, UTC.
        scope: the tree node below which they are; "" for all.
        filter_line: words of which each has to be in what `hay` says, or in the names of the nodes above.
        mark: of `store.tree.MARKS`, its own or inherited.
        oids: those that were named or marked; None for no such choice.

    Raises:
        BadWish: there is no such mark.
    """
    if mark and mark not in MARKS:
        raise BadWish(f"{safe_text(mark, 40)!r} is no mark; there are {', '.join(MARKS)}.")
    rows = tree(c, now=now)
    needles = filter_line.casefold().split()
    held = ORGANIZATION.c
    listed = select_(held.oid, held.name, held.sensor_quota, held.quota_used).where(held.gone_at.is_(None))
    # By their own names: a node may be called otherwise, and what is typed is the organization's.
    there = {
        row.oid: Chosen(row.oid, Untrusted(row.name), row.sensor_quota, row.quota_used)
        for row in c.execute(listed)
    }
    wanted = None if oids is None else set(oids)
    found = [
        replace(there[row.oid], failed=row.health == "failed")
        for row in _below(rows, scope)
        if row.oid is not None
        and row.oid in there
        and (wanted is None or row.oid in wanted)
        and (not mark or mark in row.marks)
        and all(word in f"{hay(row)}\n{row.path.casefold()}" for word in needles)
    ]
    ids = [each.oid for each in found]
    frozen, guarded = marked(c, "frozen", ids), {oid for oid, _ in protected(c, ids)}
    return Selection(
        tuple(each for each in found if each.oid not in frozen),
        tuple(each for each in found if each.oid in frozen),
        tuple(each for each in found if each.oid in guarded),
        source,
    )


def _below(rows: Iterable[TreeRow], scope: str) -> Iterable[TreeRow]:
    """The rows of a scope, depth first."""
    inside: int | None = None
    for row in rows:
        if inside is not None and row.depth <= inside:
            inside = None
        if inside is None and row.id == scope:
            inside = row.depth
        if inside is not None or not scope:
            yield row


def named(text: str, known: Mapping[str, Collection[str]]) -> tuple[list[str], list[str]]:
    """The organizations that a file names, one a line, and what is wrong with its lines.

    Args:
        text: an oid or a name a line; empty lines and what follows a `#` at the beginning are left out.
        known: oid or casefolded name -> the oids that it may mean.

    Returns:
        (oids in their order, a sentence for each line that cannot be understood)
    """
    found: dict[str, None] = {}
    wrong = []
    for number, raw in enumerate(text.splitlines(), 1):
        word = raw.strip()
        if not word or word.startswith("#"):
            continue
        meant = known.get(word) or known.get(word.casefold()) or ()
        if not meant:
            wrong.append(f"line {number}: there is no organization {safe_text(word, 60)!r}")
        elif len(meant) > 1:
            wrong.append(f"line {number}: {safe_text(word, 60)!r} is the name of {len(meant)} organizations")
        else:
            oid = next(iter(meant))
            if oid in found:
                wrong.append(f"line {number}: {safe_text(word, 60)!r} is there twice")
            found[oid] = None
    return list(found), wrong


def known_names(c: Connection) -> dict[str, list[str]]:
    """What an organization may be called in a file: its oid, and its name in lower case."""
    found: dict[str, list[str]] = {}
    listed = select_(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.gone_at.is_(None))
    for oid, name in c.execute(listed):
        found.setdefault(oid, []).append(oid)
        found.setdefault(str(name).strip().casefold(), []).append(oid)
    return found
