"""What has to be known about a customer to serve it: kept for each organization, as one document.

    time_zone: Europe/Berlin
    service_hours: {Mon-Fri: 08:00-18:00, Sat: 09:00-13:00}     # or 24x7
    around_the_clock: [critical]
    holidays: {country: DE-BE, closed: [2026-12-24 Christmas Eve, 12-31], open: [2026-10-03]}
    contacts:
      - {name: Dr. Ines Roth, role: CISO, phone: +49 30 5550100, mail: ines@acme.example, note: phone first}
    escalation:
      - {after: 0m, who: Dr. Ines Roth}
      - {after: 30m, who: IT on call, how: +49 30 5550199}
    maintenance:                                                # or none
      - {title: Patches, when: Sun 02:00-04:00}
    notes: Their mail gateway rewrites links.
    sops:
      - {title: PowerShell from mail, text: Call first. Then isolate.}

A file of many customers is a list of these, each with its `organization` (name or oid). Nothing that is
written here is trusted when it is shown: names, numbers and notes are strangers' text.

Service hours set the SLA clocks (`store.sla`), so a change of them sets the clocks of open alerts anew.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Table, case, func, insert, select, update

from store import models, windows
from store.alerts import SEVERITIES
from store.bodies import storable
from store.errors import StoreDamaged, StoreError
from store.journal import append
from store.servicehours import (
    FIRST_YEAR,
    LAST_YEAR,
    ServiceHours,
    Week,
    country_problem,
    parse_days,
    parse_hours,
    week_rows,
    zone,
)
from store.times import parse_duration
from store.yaml import Document, Problem, YamlError, load

AROUND_THE_CLOCK: Final = "24x7"
RECORD: Final = "limegrove"
"""The name of the record in `org_notes` that holds the document."""

FIELDS: Final = (
    "time_zone", "service_hours", "around_the_clock", "holidays", "contacts", "escalation", "maintenance",
    "notes", "sops",
)  # fmt: skip
NEEDED: Final = ("contacts", "escalation", "time zone", "service hours", "maintenance", "SOPs")
"""What a complete documentation says. Contacts are complete with one that has a phone number or a mail
address; maintenance may be `none`, service hours `24x7`."""

LONGEST: Final = 200
"""Characters of a name and whatever else is one line."""
LONGEST_TEXT: Final = 20_000
"""Characters of the notes, and of each procedure."""
MOST: Final = 50
"""Contacts, steps, windows and procedures, of each."""
MOST_DATES: Final = 400

_DOCUMENT: Table = models.CustomerDocument.__table__  # type: ignore[attr-defined]

_MAIL = re.compile(r"[^\s@<>,;:\"()]+@[^\s@<>,;:\"()]+\.[^\s@<>,;:\"().]{2,63}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.-]{1,38}(?:(?:x|ext\.?) ?[0-9]{1,8})?", re.IGNORECASE)
_DATED = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)(?:\s+(.+))?")
_FORMULA = re.compile(r"[=@\uff1d\uff20]")


class CustomerError(StoreError):
    """A documentation that cannot be; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        more = len(self.problems) - 1
        super().__init__((str(first) if first.line else first.text) + (f" And {more} more." if more else ""))


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody of the customer's, in the order in which they are to be tried."""

    name: str
    role: str = ""
    phone: str = ""
    mail: str = ""
    note: str = ""
    """`phone first`, `not after 20:00`."""


@dataclass(frozen=True, slots=True)
class Step:
    """Who is told when nobody answered."""

    after: int
    """Seconds from the first attempt on."""
    who: str
    """A contact's name, or anything else in words."""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """When something odd is to be expected."""

    title: str
    when: str
    """As `store.windows.parse` reads it, by the customer's clock."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """What to do in a case: a standard operating procedure."""

    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """A date on which they do not work, or do although it is a holiday."""

    month: int
    day: int
    year: int | None = None
    """None for each year."""
    name: str = ""

    @property
    def text(self) -> str:
        """As it is written: `2026-12-24 Christmas Eve`, `12-31`."""
        year = "" if self.year is None else f"{self.year}-"
        return f"{year}{self.month:02d}-{self.day:02d}" + (f" {self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class Customer:
    """The documentation of one organization's customer. Texts are strangers': shown through `safe_text`."""

    time_zone: str = ""
    """Of the IANA database; "" when it is not said."""
    hours: Week | None = None
    """Service hours; `()` for around the clock, and None when it is not said, which comes to the same."""
    always: tuple[str, ...] = ()
    """Severities whose clocks run around the clock all the same, in words."""
    country: str = ""
    """Whose public holidays are kept: `DE`, `DE-BE`."""
    closed: tuple[Day, ...] = ()
    opened: tuple[Day, ...] = ()
    contacts: tuple[Contact, ...] = ()
    escalation: tuple[Step, ...] = ()
    maintenance: tuple[Maintenance, ...] | None = None
    """`()` when there are none, None when it is not said."""
    notes: str = ""
    sops: tuple[Procedure, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not said, of `NEEDED`; nothing when the documentation is complete."""
        said = {
            "contacts": any(each.phone or each.mail for each in self.contacts),
            "escalation": bool(self.escalation),
            "time zone": bool(self.time_zone),
            "service hours": self.hours is not None,
            "maintenance": self.maintenance is not None,
            "SOPs": bool(self.sops),
        }
        return tuple(each for each in NEEDED if not said[each])

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def said(self) -> bool:
        """Whether anything is said at all."""
        return self != EMPTY

    @property
    def service(self) -> ServiceHours | None:
        """When clocks run; None when they run around the clock."""
        calendar = calendar_of(self)
        return None if calendar is None else service_hours(calendar)


EMPTY: Final = Customer()


@dataclass(frozen=True, slots=True)
class Kept:
    """A documentation with where it stands."""

    customer: Customer
    by: str = ""
    at: int | None = None
    """When it was changed last (ms, UTC); None when there is none."""
    hash: str = ""
    pushed_hash: str = ""
    """`document_hash` of what was written to `org_notes` last, or read from there."""
    pushed_etag: str = ""
    pushed_at: int | None = None


# What is kept


def customer(c: Connection, oid: str) -> Customer:
    """What is kept for an organization; an empty documentation when nothing is."""
    return kept(c, oid).customer


def kept(c: Connection, oid: str) -> Kept:
    """What is kept for an organization, and since when.

    Raises:
        StoreDamaged: it cannot be read.
    """
    return kept_of(c, [oid]).get(oid, Kept(EMPTY))


def kept_of(c: Connection, oids: Collection[str] | None = None) -> dict[str, Kept]:
    """What is kept, by organization; those without are left out.

    Args:
        oids: these organizations; None for all.

    Raises:
        StoreDamaged: one of them cannot be read.
    """
    found: dict[str, Kept] = {}
    listed = None if oids is None else list(oids)
    for part in [None] if listed is None else [listed[at : at + 500] for at in range(0, len(listed), 500)]:
        query = select(_DOCUMENT)
        try:
            for row in c.execute(query if part is None else query.where(_DOCUMENT.c.oid.in_(part))):
                found[row.oid] = Kept(
                    from_plain(row.document), row.by, row.at, row.hash, row.pushed_hash, row.pushed_etag,
                    row.pushed_at,
                )  # fmt: skip
        except (ValueError, AttributeError) as error:  # no JSON, or no object
            whose = f"{part[0]}'s" if part is not None and len(part) == 1 else "A"
            raise StoreDamaged(
                f"{whose} documentation that is kept cannot be read. Restore a backup with "
                "`limegrove store restore`."
            ) from error
    return found


def documented(c: Connection) -> set[str]:
    """The oids of the organizations of which a documentation is kept, whatever it says."""
    return set(c.execute(select(_DOCUMENT.c.oid)).scalars())


def time_zones(c: Connection, oids: Collection[str]) -> dict[str, str]:
    """oid -> the time zone that its documentation names; those without, and of which the documentation cannot
    be read, are left out.
    """
    document = _DOCUMENT.c.document
    named = document["time_zone"].as_string()
    if c.dialect.name == "sqlite":
        # Each of both fails on a text that is no JSON; what a CASE does not come to is not worked out.
        kind = func.json_type(document, "$.time_zone")
        said = case((func.json_valid(document) == 1, case((kind == "text", named))))
    else:
        said = case((func.json_typeof(document["time_zone"]) == "string", named))
    found: dict[str, str] = {}
    listed = list(oids)
    for at in range(0, len(listed), 500):
        some = select(_DOCUMENT.c.oid, said.label("zone")).where(_DOCUMENT.c.oid.in_(listed[at : at + 500]))
        found.update({row.oid: row.zone for row in c.execute(some) if row.zone})
    return found


def missing_of(c: Connection, oids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What is missing in the documentation of each of these organizations, of `NEEDED`."""
    known: dict[str, tuple[str, ...]] = {}
    listed = list(oids)
    for at in range(0, len(listed), 500):
        part = select(_DOCUMENT.c.oid, _DOCUMENT.c.missing).where(_DOCUMENT.c.oid.in_(listed[at : at + 500]))
        known.update({row.oid: tuple(row.missing) for row in c.execute(part)})
    return {oid: known.get(oid, NEEDED) for oid in listed}


def put(c: Connection, oid: str, wanted: Customer, *, by: str, now: int) -> bool:
    """Keep the documentation of an organization, and set its clocks by it; False when it was so already.

    The journal says which fields changed, and not to what: a customer may be forgotten, the journal is not.

    Args:
        wanted: the whole of it; what it does not say is taken away.
        by: the operator.
        now: milliseconds, UTC.

    Raises:
        CustomerError: something in it cannot be.
    """
    document = checked(plain(wanted))
    wanted = from_plain(document)
    before = kept(c, oid)
    if before.at is None and not wanted.said:
        return False
    if before.at is not None and before.customer == wanted:
        return False
    calendar = calendar_of(wanted)
    values = {
        "document": document, "calendar": calendar, "missing": list(wanted.missing),
        "hash": text_hash(text_of(wanted)), "by": storable(by), "at": now,
    }  # fmt: skip
    if before.at is None:
        c.execute(insert(_DOCUMENT).values(oid=oid, pushed_hash="", pushed_etag="", pushed_at=None, **values))
    else:
        c.execute(update(_DOCUMENT).where(_DOCUMENT.c.oid == oid).values(values))
    append(
        c,
        by,
        "customer.document",
        oid,
        "documentation",
        {"changed": changed(before.customer, wanted), "missing": list(wanted.missing)},
        now=now,
    )
    if calendar_of(before.customer) != calendar:
        from store import sla

        sla.forget(c)
        sla.restate(c, oid)
    return True


def pushed(c: Connection, oid: str, text: str, etag: str, *, now: int) -> None:
    """Remember what was written to the organization's `org_notes`, or read from there and kept."""
    c.execute(
        update(_DOCUMENT)
        .where(_DOCUMENT.c.oid == oid)
        .values(pushed_hash=document_hash(text), pushed_etag=storable(etag), pushed_at=now)
    )


def changed(before: Customer, after: Customer) -> list[str]:
    """The fields of the document that differ."""
    one, other = plain(before), plain(after)
    return [each for each in FIELDS if one.get(each) != other.get(each)]


# The calendar


def calendar_of(customer: Customer) -> dict[str, Any] | None:
    """When clocks run, as it is kept for `store.sla`; None when they run around the clock."""
    if not customer.hours:
        return None
    return {
        "zone": customer.time_zone or "UTC",
        "week": [[list(span) for span in day] for day in customer.hours],
        "country": customer.country,
        "closed": [[each.year, each.month, each.day] for each in customer.closed],
        "open": [[each.year, each.month, each.day] for each in customer.opened],
        "always": [SEVERITIES.index(each) for each in customer.always],
    }


def service_hours(calendar: Mapping[str, Any]) -> ServiceHours:
    """What `calendar_of` keeps, ready to reckon with."""
    return _service_hours(json.dumps(calendar, sort_keys=True))


@lru_cache(maxsize=4096)
def _service_hours(text: str) -> ServiceHours:
    calendar = json.loads(text)
    return ServiceHours(
        calendar["zone"],
        tuple(tuple((begin, end) for begin, end in day) for day in calendar["week"]),
        calendar["country"],
        frozenset(date(year, month, day) for year, month, day in calendar["closed"] if year is not None),
        frozenset((month, day) for year, month, day in calendar["closed"] if year is None),
        frozenset(date(year, month, day) for year, month, day in calendar["open"]),
        frozenset(calendar["always"]),
    )


# The document


def plain(customer: Customer) -> dict[str, Any]:
    """The document as plain data, without what is not said; `from_plain` reads it back."""
    found: dict[str, Any] = {}
    if customer.time_zone:
        found["time_zone"] = customer.time_zone
    if customer.hours is not None:
        found["service_hours"] = dict(week_rows(customer.hours)) or AROUND_THE_CLOCK
    if customer.always:
        found["around_the_clock"] = list(customer.always)
    holidays: dict[str, Any] = {}
    if customer.country:
        holidays["country"] = customer.country
    if customer.closed:
        holidays["closed"] = [each.text for each in customer.closed]
    if customer.opened:
        holidays["open"] = [each.text for each in customer.opened]
    if holidays:
        found["holidays"] = holidays
    if customer.contacts:
        found["contacts"] = [_said(each) for each in customer.contacts]
    if customer.escalation:
        found["escalation"] = [
            {"after": duration(each.after), "who": each.who} | ({"how": each.how} if each.how else {})
            for each in customer.escalation
        ]
    if customer.maintenance is not None:
        found["maintenance"] = [_said(each) for each in customer.maintenance] or "none"
    if customer.notes:
        found["notes"] = customer.notes
    if customer.sops:
        found["sops"] = [_said(each) for each in customer.sops]
    return found


def _said(part: Any) -> dict[str, str]:
    return {each.name: getattr(part, each.name) for each in fields(part) if getattr(part, each.name)}


def duration(seconds: int) -> str:
    """`0m`, `30m`, `2h`, `1d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else "0m"


def text_of(customer: Customer, *, heading: Mapping[str, str] | None = None) -> str:
    """The document as YAML; "" of an empty one."""
    document = {**(heading or {}), **plain(customer)}
    return yaml_of(document) if document else ""


def yaml_of(value: object) -> str:
    """Plain data as YAML that people write: long texts as blocks, keys in their order."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        # A block cannot hold a line that ends in blanks, nor what is not printable.
        block = "\n" in value and not re.search(r"[ \t]\n|[ \t]$|^[ \t\n]", value) and value.isascii()
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)

    Dumper.add_representer(str, text)
    written: str = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
    return written


def text_hash(text: str) -> str:
    """SHA-256 of a document's text."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def document_hash(text: str) -> str:
    """The same whatever the form of the text: `Kept.hash` of what it says; of no document, of its text."""
    try:
        return text_hash(text_of(read_document(text)))
    except CustomerError:
        return text_hash(text)


def from_plain(document: Mapping[str, Any]) -> Customer:
    """The customer of a document that was kept. What a newer limegrove wrote besides is passed over."""
    return replace(EMPTY, **fields_of(document, lambda text, *path: None))


def checked(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, as it is kept.

    Raises:
        CustomerError: something in it cannot be.
    """
    problems: list[Problem] = []
    found = fields_of(document, lambda text, *path: problems.append(Problem(0, text)))
    if problems:
        raise CustomerError(problems)
    return plain(replace(EMPTY, **found))


def read_document(text: str | bytes) -> Customer:
    """The customer of a document of one organization, as it is edited and as `org_notes` holds it.

    Raises:
        CustomerError: with every problem found, each with its line.
    """
    document = _loaded(text)
    if document.value is None:
        return EMPTY
    problems: list[Problem] = []
    value = document.value
    if not isinstance(value, dict):
        raise CustomerError(
            [Problem(document.line(), f"A documentation is a mapping of {', '.join(FIELDS)}.")]
        )

    def wrong(text: str, *path: str | int) -> None:
        problems.append(Problem(document.key_line(*path), text))

    found = fields_of({key: each for key, each in value.items() if key not in ("organization", "oid")}, wrong)
    if problems:
        raise CustomerError(in_order(problems))
    return replace(EMPTY, **found)


def read_documents(text: str | bytes, organizations: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What a file says of organizations: by oid the fields of `Customer` that it names, for `replace`.

    Args:
        text: YAML: a list of documents, each with `organization` (name or oid) or `oid`.
        organizations: every organization that is known: oid to name.

    Raises:
        CustomerError: with every problem found, each with its line.
    """
    document = _loaded(text)
    value = document.value
    if isinstance(value, dict):
        raise CustomerError(
            [Problem(document.line(), "A file of documentations is a list: `- organization: ...`.")]
        )
    if not isinstance(value, list):
        raise CustomerError([Problem(1, "The file is no list of documentations: `- organization: ...`.")])
    problems: list[Problem] = []
    found: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for index, entry in enumerate(value):

        def wrong(text: str, *path: str | int, index: int = index) -> None:
            problems.append(Problem(document.key_line(index, *path), text))

        if not isinstance(entry, dict):
            wrong("A documentation is a mapping that begins with its organization.")
            continue
        oid = named(entry, organizations, wrong)
        told = fields_of({k: v for k, v in entry.items() if k not in ("organization", "oid")}, wrong)
        if oid is None:
            continue
        if oid in found:
            wrong(f"The organization is there twice; it is on line {lines[oid]} too.", _naming(entry))
            continue
        found[oid], lines[oid] = told, document.line(index)
    if problems:
        raise CustomerError(in_order(problems))
    return found


def _naming(entry: Mapping[str, Any]) -> str:
    return "oid" if entry.get("oid") else "organization"


def named(entry: Mapping[str, Any], organizations: Mapping[str, str], wrong: "Wrong") -> str | None:
    """The organization that an entry names by `oid` or `organization`; None, and said, when it is none."""
    oid, name = entry.get("oid") or "", entry.get("organization") or ""
    for key, each in (("oid", oid), ("organization", name)):
        if not isinstance(each, str):
            wrong(f"The {key} is not text to YAML; write it in quotes.", key)
            return None
    if not oid and not name:
        wrong("A documentation says whose it is: organization, by its name or oid.")
        return None
    if oid or name in organizations:
        wanted = oid or name
        if wanted not in organizations:
            wrong(f"No organization with the oid {wanted[:60]!a} is known.", "oid")
            return None
        return str(wanted)
    holders = [each for each, called in organizations.items() if called == name]
    if len(holders) == 1:
        return holders[0]
    wrong(
        f"{len(holders)} organizations have the name {name[:60]!a}; write the oid."
        if holders
        else f"No organization has the name {name[:60]!a}.",
        "organization",
    )
    return None


def _loaded(text: str | bytes) -> Document:
    try:
        return load(text)
    except YamlError as error:
        raise CustomerError([error.problem]) from None


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, by its line."""
    return sorted(set(problems), key=lambda problem: (problem.line, problem.text))


# What is in it

Wrong = Callable[..., None]
"""`wrong(sentence, *path)`: what is wrong, and where in the document."""


def fields_of(document: Mapping[Any, Any], wrong: Wrong) -> dict[str, Any]:
    """The fields of `Customer` that a document names; what is wrong is said, and left out."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        match key:
            case "time_zone":
                found["time_zone"] = _zone(value, wrong)
            case "service_hours":
                found["hours"] = _week(value, wrong)
            case "around_the_clock":
                found["always"] = _severities(value, wrong)
            case "holidays":
                found |= _holidays(value, wrong)
            case "contacts":
                found["contacts"] = tuple(
                    _parts(
                        value,
                        "contacts",
                        "contact",
                        ("name", "role", "phone", "mail", "note"),
                        _contact,
                        wrong,
                    )
                )
            case "escalation":
                found["escalation"] = tuple(
                    _parts(value, "escalation", "step", ("after", "who", "how"), _step, wrong)
                )
            case "maintenance":
                found["maintenance"] = (
                    ()
                    if value == "none"
                    else tuple(_parts(value, "maintenance", "window", ("title", "when"), _window, wrong))
                    or None
                )
            case "notes":
                found["notes"] = _block(value, wrong, "notes")
            case "sops":
                found["sops"] = tuple(
                    _parts(value, "sops", "procedure", ("title", "text"), _procedure, wrong)
                )
            case _:
                wrong(
                    f"{str(key)[:40]!a} is no field of a documentation; there are {', '.join(FIELDS)}.", key
                )
    return found


def _zone(value: object, wrong: Wrong) -> str:
    text = _line(value, wrong, "time_zone")
    if text:
        try:
            zone(text)
        except ValueError as error:
            wrong(f"{_sentence(error)}.", "time_zone")
            return ""
    return text


def _sentence(error: ValueError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _week(value: object, wrong: Wrong) -> Week | None:
    if value is None:
        return None
    if isinstance(value, str) and value.strip().lower() in (AROUND_THE_CLOCK, "24/7"):
        return ()
    if not isinstance(value, dict) or not value:
        wrong("Service hours are days with hours, such as `Mon-Fri: 08:00-18:00`, or 24x7.", "service_hours")
        return None
    week: list[tuple[tuple[int, int], ...]] = [()] * 7
    named: set[int] = set()
    for days, hours in value.items():
        try:
            if not isinstance(days, str):
                raise ValueError(f"{str(days)[:40]!a} are no days; write Mon, Mon-Fri or daily")
            if not isinstance(hours, str):
                raise ValueError(f"{str(hours)[:40]!a} are no hours; write them as 08:00-17:30")
            parsed = parse_hours(hours)
            for day in parse_days(days):
                if day in named:
                    raise ValueError("a day has its hours twice")
                named.add(day)
                week[day] = parsed
        except ValueError as error:
            wrong(f"{_sentence(error)}.", "service_hours", days)
    return tuple(week) if any(week) else None


def _severities(value: object, wrong: Wrong) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = value if isinstance(value, list) else [value]
    for each in listed:
        if each not in SEVERITIES:
            wrong(
                f"{str(each)[:40]!a} is no severity; there are {', '.join(SEVERITIES)}.", "around_the_clock"
            )
            return ()
    return tuple(each for each in reversed(SEVERITIES) if each in listed)


def _holidays(value: object, wrong: Wrong) -> dict[str, Any]:
    found: dict[str, Any] = {"country": "", "closed": (), "opened": ()}
    if value is None:
        return found
    if isinstance(value, str):
        value = {"country": value}
    if not isinstance(value, dict):
        wrong("Holidays are a mapping of country, closed and open.", "holidays")
        return found
    for key, each in value.items():
        if key == "country":
            code = _line(each, wrong, "holidays", "country")
            complaint = country_problem(code) if code else ""
            if complaint:
                wrong(f"{complaint[:1].upper()}{complaint[1:]}.", "holidays", "country")
            else:
                found["country"] = code
        elif key in ("closed", "open"):
            found["opened" if key == "open" else "closed"] = _dates(each, key, wrong)
        else:
            wrong(
                f"{str(key)[:40]!a} is no part of holidays; there are country, closed, open.", "holidays", key
            )
    return found


def _dates(value: object, key: str, wrong: Wrong) -> tuple[Day, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        wrong(f"What is {key} is a list of dates.", "holidays", key)
        return ()
    found: list[Day] = []
    for index, each in enumerate(value):
        text = each.isoformat() if type(each) is date else each
        match = _DATED.fullmatch(text.strip()) if isinstance(text, str) else None
        try:
            if match is None:
                raise ValueError
            year = int(match[1]) if match[1] else None
            # Each year: also on the 29th of February.
            date(year or 2000, int(match[2]), int(match[3]))
            if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
                raise ValueError
            if year is None and key == "open":
                raise ValueError
        except ValueError:
            every = "" if key == "open" else ", or 12-24 for each year"
            wrong(f"{str(each)[:40]!a} is no date; write 2026-12-24{every}.", "holidays", key, index)
            continue
        name = _line(match[4], wrong, "holidays", key, index)
        if ";" in name:
            wrong(f"The name {name[:40]!a} holds a semicolon.", "holidays", key, index)
            continue
        found.append(Day(int(match[2]), int(match[3]), year, name))
    if len(found) > MOST_DATES:
        wrong(f"More than {MOST_DATES} dates are {key}.", "holidays", key)
        return ()
    if sum(each.year is None for each in found) > MOST:
        wrong(f"More than {MOST} dates are closed each year.", "holidays", key)
        return ()
    return tuple(found)


def _parts(
    value: object,
    field: str,
    word: str,
    names: tuple[str, ...],
    make: Callable[[Mapping[str, Any], Wrong], Any],
    wrong: Wrong,
) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        wrong(f"{field} is a list; each {word} has {', '.join(names)}.", field)
        return []
    if len(value) > MOST:
        wrong(f"More than {MOST} are in {field}.", field)
        return []
    found = []
    for index, each in enumerate(value):

        def here(text: str, *path: str | int, index: int = index) -> None:
            wrong(text, field, index, *path)

        if not isinstance(each, dict):
            here(f"A {word} is a mapping of {', '.join(names)}.")
            continue
        odd = next((key for key in each if key not in names), None)
        if odd is not None:
            here(f"{str(odd)[:40]!a} is no part of a {word}; there are {', '.join(names)}.", odd)
            continue
        made = make(each, here)
        if made is not None:
            found.append(made)
    return found


def _contact(entry: Mapping[str, Any], wrong: Wrong) -> Contact | None:
    name = _line(entry.get("name"), wrong, "name")
    if not name:
        wrong("A contact has a name.", "name")
        return None
    phone, mail = _line(entry.get("phone"), wrong, "phone"), _line(entry.get("mail"), wrong, "mail")
    if phone and (_PHONE.fullmatch(phone) is None or sum(map(str.isdigit, phone)) < 3):
        wrong(f"{phone[:40]!a} is no phone number.", "phone")
        return None
    if mail and _MAIL.fullmatch(mail) is None:
        wrong(f"{mail[:60]!a} is no mail address.", "mail")
        return None
    role, note = _line(entry.get("role"), wrong, "role"), _line(entry.get("note"), wrong, "note")
    for key, text in (("name", name), ("role", role)):
        if _FORMULA.match(text):
            wrong(f"The {key} {text[:40]!a} begins as a spreadsheet's formula does.", key)
            return None
    return Contact(name, role, phone, mail, note)


def _step(entry: Mapping[str, Any], wrong: Wrong) -> Step | None:
    who = _line(entry.get("who"), wrong, "who")
    if not who:
        wrong("A step of the escalation says who.", "who")
        return None
    said = entry.get("after", "0m")
    if isinstance(said, int) and not isinstance(said, bool) and said == 0:
        said = "0m"
    try:
        after = parse_duration(said if isinstance(said, str) else "")
    except ValueError:
        wrong(f"{str(said)[:20]!a} is no time; write 30m or 2h.", "after")
        return None
    return Step(after, who, _line(entry.get("how"), wrong, "how"))


def _window(entry: Mapping[str, Any], wrong: Wrong) -> Maintenance | None:
    title = _line(entry.get("title"), wrong, "title")
    if not title:
        wrong("A maintenance window has a title.", "title")
        return None
    said = entry.get("when")
    try:
        when = windows.parse(said if isinstance(said, str) else str(said or ""))
    except ValueError as error:
        wrong(f"{_sentence(error)}.", "when")
        return None
    return Maintenance(title, when.text)


def _procedure(entry: Mapping[str, Any], wrong: Wrong) -> Procedure | None:
    title = _line(entry.get("title"), wrong, "title")
    if not title:
        wrong("A procedure has a title.", "title")
        return None
    return Procedure(title, _block(entry.get("text"), wrong, "text"))


def _line(value: object, wrong: Wrong, *path: str | int) -> str:
    """One line of text; "" for none, and for what is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        kind = "a date" if isinstance(value, date | datetime) else "no text"
        wrong(f"YAML reads {str(value)[:40]!a} as {kind}; write it in quotes.", *path)
        return ""
    text = value.strip()
    if len(text) > LONGEST:
        wrong(f"{text[:20]!a} and on has more than {LONGEST} characters.", *path)
        return ""
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        wrong(f"{text[:40]!a} holds a control character.", *path)
        return ""
    return text


def _block(value: object, wrong: Wrong, *path: str | int) -> str:
    """Some lines of text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return _line(value, wrong, *path)
    text = value.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_TEXT:
        wrong(f"The text has more than {LONGEST_TEXT} characters.", *path)
        return ""
    if any(letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        wrong("The text holds a control character.", *path)
        return ""
    return text
