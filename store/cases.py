"""The words of cases: what may be said of them, which step leads where, and what a filter line means.

Facts: docs/5-integrations/extensions/limacharlie/cases.md and the official client 5.10.1, sdk/cases.py.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from store.alerts import CLASSIFICATIONS, OPEN, SEVERITIES, STATUSES, TRANSITIONS, FilterError, tokens
from store.text import is_text

VERDICTS: tuple[str, ...] = ("malicious", "suspicious", "benign", "unknown", "informational")
ENTITY_TYPES: tuple[str, ...] = (
    "ip", "domain", "hash", "url", "user", "email", "file", "process", "registry", "other",
)  # fmt: skip
_ONE_WORD = frozenset({"domain", "hash", "url", "email"})
NOTE_TYPES: tuple[str, ...] = (
    "general", "analysis", "remediation", "recommendation", "escalation", "handoff", "to_stakeholder",
    "from_stakeholder",
)  # fmt: skip
TAGS, TAG_LENGTH = 50, 128
LONG_TEXT, ENTITY_LENGTH, NOTE_LENGTH = 8192, 1024, 2048
"""Characters of a summary, a conclusion or a note; of an entity; of a remark on an entity or an event."""
BULK, MERGED = 200, 20
"""Cases changed, and cases merged, in one call."""

EDITS: tuple[str, ...] = (
    "create", "update", "tags", "note", "visibility", "entity", "telemetry", "link", "unlink", "merge",
    "time",
)  # fmt: skip
"""What may be wanted of a case."""

PENDING, SENDING, DONE, CONFLICT, REFUSED, DROPPED = range(6)
EDIT_STATES: tuple[str, ...] = ("pending", "sending", "done", "conflict", "refused", "dropped")
"""Index is what `CaseEdit.state` holds: it waits, is under way, was made, met another change, was refused for
good, was given up in favour of what the case has."""

UPDATABLE: tuple[str, ...] = ("status", "severity", "classification", "assignees", "summary", "conclusion")
"""The fields of an update; tags are added and removed one by one, so that nobody's are lost."""

MAKING = "new/pending"
"""What `CaseReading.agreed` means before case and alerts were ever compared: how both begin."""


@dataclass(frozen=True)
class CaseFilter:
    """Which cases are wanted. Everything given must hold."""

    scope: str = ""
    """Id of a tree node; "" is the root."""
    oid: str = ""
    severity: int = 0
    """At least this one."""
    statuses: tuple[int, ...] = OPEN
    classification: int | None = None
    assignee: str = ""
    """Contained in the name of one of those it is assigned to, any case; `none` for nobody."""
    organization: str = ""
    tag: str = ""
    """Contained in one of its tags, any case."""
    only: str = ""
    """`local`, or the state of one of its edits: `pending`, `conflict`, `refused`; `undecided` is both."""
    number: int | None = None
    words: tuple[str, ...] = ()
    """Each contained in the summary, the tags or the name of the organization."""


ONLY = ("local", "pending", "undecided", "conflict", "refused")
_PREFIXES = {
    "sev": "severity", "severity": "severity", "status": "statuses", "state": "statuses",
    "class": "classification", "classification": "classification", "who": "assignee",
    "assignee": "assignee", "org": "organization", "organization": "organization", "oid": "oid",
    "tag": "tag", "is": "only",
}  # fmt: skip
_LEVELS = {word: index for index, word in enumerate(SEVERITIES)} | {"crit": 4, "med": 2}
_CLASSES = {word: index for index, word in enumerate(CLASSIFICATIONS)} | {"tp": 1, "fp": 2}

MEANT: dict[str, str] = {
    **dict.fromkeys(("unclaimed", "unassigned", "nobody", "nobodys"), "who:none"),
    **dict.fromkeys(("any", "all"), "status:any"),
    **{word: f"status:{word}" for word in (*STATUSES, "open")},
    **{word: f"sev:{word}" for word in SEVERITIES},
    **{word: f"is:{word}" for word in ONLY},
}
"""Words that are looked for in the text, though a column may be meant: the filter for it."""


def parse_case_filter(line: str, *, scope: str = "") -> CaseFilter:
    """Read what an operator typed after `/` on the screen of cases.

    `sev:high status:any class:fp who:mk org:acme tag:vip is:conflict #12 phishing`: prefixed words filter a
    column, `sev:high` is high and above, `#12` a number, bare words any of summary, tags and organization.

    Raises:
        FilterError: an unknown prefix or word, or a quote that is not closed.
    """
    found: dict[str, Any] = {"scope": scope}
    words: list[str] = []
    for token in tokens(line):
        prefix = (token[1] or "").lower()
        value = next(group for group in token.groups()[1:] if group is not None)
        if not prefix:
            if value.endswith(":") and value[:-1].lower() in _PREFIXES:
                raise FilterError(f"{value} needs a value right behind the colon.")
            if token[4] and re.fullmatch(r"#\d{1,18}", value):
                found["number"] = int(value[1:])
            else:
                words.append(value)
            continue
        column = _PREFIXES.get(prefix)
        if column is None:
            raise FilterError(
                f"{token[1]}: is not a column; use sev, status, class, who, org, oid, tag or is, or put the"
                " word in quotes."
            )
        found[column] = _value(column, value)
    return CaseFilter(**found, words=tuple(word for word in words if word))


def _value(column: str, value: str) -> object:
    word = value.strip().lower().replace("-", "_")
    if column == "severity":
        return _of(word.removesuffix("+"), _LEVELS, value, "a severity", SEVERITIES)
    if column == "classification":
        return _of(word, _CLASSES, value, "a classification", CLASSIFICATIONS)
    if column == "only":
        return _of(word, {each: each for each in ONLY}, value, "something to see alone", ONLY)
    if column == "statuses":
        wanted: set[int] = set()
        for each in word.split(","):
            if each in ("any", "all"):
                wanted.update(range(len(STATUSES)))
            elif each == "open":
                wanted.update(OPEN)
            else:
                at = _of(each, {name: place for place, name in enumerate(STATUSES)}, each, "a status",
                         ("open", "any", *STATUSES))  # fmt: skip
                wanted.add(int(str(at)))
        return tuple(sorted(wanted))
    return value


def _of(word: str, known: Mapping[str, Any], typed: str, what: str, allowed: Iterable[str]) -> object:
    if word not in known:
        raise FilterError(f"{typed} is not {what}; use {', '.join(allowed)}.")
    return known[word]


def steps(status: str, wanted: str) -> tuple[str, ...] | None:
    """The statuses to go through from one to another, the last one included.

    () when it is there already; None when no way leads there: nothing becomes new again.
    """
    reached: dict[str, tuple[str, ...]] = {status: ()}
    waiting = [status]
    while waiting:
        here = waiting.pop(0)
        if here == wanted:
            return reached[here]
        for following in TRANSITIONS.get(here, ()):
            if following not in reached:
                reached[following] = (*reached[here], following)
                waiting.append(following)
    return None


def not_a_step(status: str, wanted: str) -> str:
    """Why a case cannot go from one status to another at once; "" when it can, or is there."""
    if wanted == status or wanted in TRANSITIONS.get(status, ()):
        return ""
    allowed = " or ".join(TRANSITIONS.get(status, ())) or "nothing else"
    return f"A case that is {status} can become {allowed}, not {wanted}."


_BEGINNINGS = {
    "acknowledge": ({"new", "in_progress"}, "reopen it"),
    "reopen": ({"closed", "in_progress"}, "acknowledge it"),
}
"""Both make a case in_progress: from where, and what is meant from elsewhere."""


def not_from(verb: str, status: str) -> str:
    """Why `acknowledge` or `reopen` cannot be done to a case in a status; "" when it can."""
    statuses, meant = _BEGINNINGS[verb]
    if status in statuses:
        return ""
    if "in_progress" not in TRANSITIONS.get(status, ()):
        return not_a_step(status, "in_progress")
    word = "is already open" if verb == "reopen" else "was looked at before"
    return f"A case that is {status} {word}; {meant}."


def differing(seen: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of `seen` that are something else now: {field: (seen, now)}. Lists are compared as sets."""
    return {
        name: (value, now.get(name)) for name, value in seen.items() if _plain(value) != _plain(now.get(name))
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return sorted({str(each) for each in value})
    return value or ""


def with_tags(tags: Sequence[str], add: Iterable[str], remove: Iterable[str]) -> list[str]:
    """Tags with some more and some less; the same in other letters counts as the same, as Cases have it."""
    gone = {tag.casefold() for tag in remove}
    found = {tag.casefold(): tag for tag in tags if tag.casefold() not in gone}
    for tag in add:
        found.setdefault(tag.casefold(), tag)
    return list(found.values())


def overlaid(fields: Mapping[str, Any], edits: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The fields of a case as they will be once its edits are made.

    Args:
        edits: (what, wanted) in their order; what is neither an update nor of tags changes no field.
    """
    found = dict(fields)
    for what, wanted in edits:
        if what == "update":
            found.update(wanted)
        elif what == "tags":
            found["tags"] = with_tags(
                found.get("tags") or [], wanted.get("add", ()), wanted.get("remove", ())
            )
    return found


def why_not_text(name: str, text: str, most: int, *, required: bool = True) -> str:
    """Why Cases would not take a text; "" when they would."""
    if required and not text.strip():
        return f"{name} must not be empty."
    if len(text) > most:
        return f"{name} has {len(text):,} characters; Cases take at most {most:,}."
    if not is_text(text):
        return f"{name} is no text: there is a NUL or half a character in it."
    return ""


def why_not_entity(kind: str, value: str) -> str:
    """Why a value is none of its type, in a sentence; "" when it may be: an address is one, and what is
    written in one word (a domain, a hash, a URL, a mail address) has no space in it.

    Args:
        kind: of ENTITY_TYPES.
        value: a stranger's text.
    """
    value = value.strip()
    if kind == "ip":
        try:
            ip_address(value)
        except ValueError:
            return (
                "That is no IP address, such as 203.0.113.25 or 2001:db8::1; other types are domain, other."
            )
    if kind in _ONE_WORD and len(value.split()) > 1:
        return f"The type {kind} is written without spaces; other takes any text."
    if kind == "email" and "@" not in value:
        return "A mail address has an @; other takes any text."
    return ""


def reference(name: str, number: int) -> str:
    """How a case is called: `#12`, and `L3` when it is only here."""
    return f"{name} " * bool(name) + (f"#{number}" if number > 0 else f"L{-number}")


# Whom a text names

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_FORMS = frozenset(
    ("ab", "ag", "aps", "as", "bhd", "bv", "co", "company", "corp", "corporation", "cv", "gmbh", "group",
     "holding", "holdings", "inc", "incorporated", "kg", "kk", "lda", "limited", "llc", "llp", "ltd", "ltda",
     "mbh", "nv", "oy", "oyj", "plc", "pte", "pty", "pvt", "sa", "sarl", "sas", "sdn", "se", "sl", "spa",
     "srl", "subsidiary")
)  # fmt: skip
"""Words behind a name that say what kind of company it is; a text names it without them too."""
_LONGEST_NAME = 12
"""Words of a name that are compared."""


def names_others(text: str, organizations: Mapping[str, str], *, own: str = "") -> list[str]:
    """Which organizations a text for one customer names, though it should not.

    A name counts as whole words, any case, accents and punctuation aside; with or without its legal form
    (`Acme Dental` names Acme Dental Ltd). An oid, or its first eight letters, counts too.

    Args:
        text: what somebody is about to send.
        organizations: oid -> name of those that must not be named.
        own: the name of the customer whom the text is for; another name that is only a part of it (Acme, in
            Acme Dental) is not counted there.

    Returns:
        Their oids, in the order of `organizations`.
    """
    words = _words(text)
    mine = [form for form in _forms(own) if form]
    hidden: set[int] = set()
    for form in mine:
        for at in range(len(words) - len(form) + 1):
            if tuple(words[at : at + len(form)]) == form:
                hidden.update(range(at, at + len(form)))
    said: set[tuple[str, ...]] = set()
    for size in range(1, _LONGEST_NAME + 1):
        for at in range(len(words) - size + 1):
            if not all(place in hidden for place in range(at, at + size)):
                said.add(tuple(words[at : at + size]))
    lowered = text.casefold()
    found = []
    for oid, name in organizations.items():
        named = any(form in said for form in _forms(name) if form not in mine)
        if named or oid.casefold() in lowered or (oid[:8].casefold(),) in said:
            found.append(oid)
    return found


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text)
    folded = "".join(each for each in folded if not unicodedata.combining(each))
    return [word.replace("\u2019", "'").removesuffix("'s") for word in _WORD.findall(folded.casefold())]


@lru_cache(maxsize=32_768)
def _forms(name: str) -> tuple[tuple[str, ...], ...]:
    words = _words(name)[:_LONGEST_NAME]
    if not words:
        return ()
    forms = [tuple(words)]
    # `B.V.` and `S.p.A.` are letters here, and the (2) of a second one is a digit.
    while len(words) > 1 and (words[-1] in _FORMS or len(words[-1]) == 1):
        words = words[:-1]
        # One short word alone would be found in every text.
        if len(words) > 1 or len(words[0]) > 3:
            forms.append(tuple(words))
    return tuple(forms)
