"""What a new customer is to get: wishes, read from a file of many lines or from the words of one, and judged.

A file is CSV in UTF-8 with a header line: COLUMNS in any order, `name` among them; a comma, a semicolon or a
tab between cells. Within a cell several values stand with semicolons or line breaks between them. Every line
is judged, against itself, the others and what is known of the provider and the cloud, before anything is
done: one that is wrong stops all of them.

Everything here is pure. What is known is read by `store.queries.onboarding`.
"""

import csv
import difflib
import io
import json
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from store.configuration import is_secret_name
from store.customers import CustomerError, checked
from store.sla import parse_pair
from store.templates.documents import Key, resolve
from store.templates.effective import Layer, document_key, effective
from store.templates.lint import lint
from store.text import Untrusted, is_formula, mixed_script, safe_text
from store.tree import LONGEST, MARKS, id_problem, text_problem

COLUMNS: Final = (
    "name", "region", "node", "id", "tier", "labels", "parameters", "marks", "sla", "quota", "templates",
    "groups", "owners", "users", "installation_keys", "extensions", "outputs", "contacts", "time_zone",
    "service_hours", "holidays",
)  # fmt: skip
"""What a line may say, in the order in which the documentation lists it."""

LARGEST: Final = 5_000_000
"""Bytes of a file."""
MOST: Final = 2_000
"""Lines of a file: customers onboarded at once."""

REGIONS: Final = ("usa", "canada", "europe", "uk", "india", "australia", "auto")
"""Where an organization's data may be (official client 5.10.1, `commands/org.py`)."""

ROLES: Final = ("Owner", "Administrator", "Operator", "Viewer", "Basic")

PLATFORMS: Final = ("windows", "linux", "macos", "chrome", "adapter")
"""For what an installation key is made; its description is this word."""

SEVERITIES: Final = ("critical", "high", "medium", "low", "info")

_ADDRESS = re.compile(
    r"[a-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+",
    re.IGNORECASE | re.ASCII,
)
_TAG = re.compile(r"[^\s,;+:=@\x00-\x1f\x7f]{1,128}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_OUTPUT_NAME = re.compile(r"[A-Za-z0-9][\w .-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class InstallationKey:
    """A key with which sensors of one platform enroll."""

    platform: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Where detections or events go."""

    name: str
    body: Mapping[str, str]
    """`module`, `for`, and the module's own options; a secret is a reference into the secret hive."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One customer as it is to become."""

    name: str
    line: int = 0
    """Where it stands in its file; 0 when it comes from elsewhere."""
    region: str = "auto"
    node: str = ""
    """Id of the node that it is put below; "" for the root."""
    node_id: str = ""
    """Of its own node; "" to make one of its name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    quota: int | None = None
    templates: tuple[str, ...] = ()
    """Laid on its own node, behind those that come from above."""
    groups: tuple[str, ...] = ()
    """Gids."""
    users: tuple[tuple[str, str], ...] = ()
    """(address, role)."""
    keys: tuple[InstallationKey, ...] = ()
    extensions: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    """Whom to call and when, as `store.customers.plain` has it."""
    records: tuple[Key, ...] = ()
    """What the layers of its node bring; filled in by `judged`."""


@dataclass(frozen=True, slots=True, order=True)
class Wrong:
    """Something about a line that stops everything, or that is worth a look."""

    line: int
    column: str
    text: str
    """One sentence, safe to print."""
    warning: bool = False

    def __str__(self) -> str:
        """`Line 3, region: ...`; of what comes from no file `region: ...`."""
        where = [f"line {self.line}"] if self.line else []
        where += [self.column] if self.column else []
        said = ", ".join(where)
        return f"{said[:1].upper() + said[1:] if self.line else said}: {self.text}" if said else self.text


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the tree under which customers may be put."""

    id: str
    path: str
    """"" of the root."""
    name: Untrusted
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """With those from above."""
    marks: frozenset[str] = frozenset()
    """With those from above."""
    layers: tuple[Layer, ...] = ()
    """Root first."""


@dataclass(frozen=True)
class Known:
    """What wishes are judged against."""

    places: Mapping[str, Place] = field(default_factory=dict)
    """By id; the root is the first."""
    organizations: Mapping[str, Untrusted] = field(default_factory=dict)
    """Names by oid, of those that exist."""
    templates: Mapping[str, Layer] = field(default_factory=dict)
    """The stored ones by name, each as a layer of no node."""
    groups: Mapping[str, tuple[Untrusted, bool]] = field(default_factory=dict)
    """Gid -> name, and whether this credential may change it."""
    me: str = ""
    """Whose key makes them: an owner of each from the beginning."""
    people: frozenset[str] | None = None
    """Addresses of everybody who has access to anything, in lower case; None checks none."""
    extensions: frozenset[str] | None = None
    """Those that exist; None when nobody asked, and none is checked."""
    taken: frozenset[str] | None = None
    """Names that the cloud gives to nobody any more; None when nobody asked."""


@dataclass(frozen=True)
class Judged:
    """What became of a file."""

    wishes: tuple[Wish, ...]
    """All of them when nothing is wrong; those that could be read otherwise."""
    wrong: tuple[Wrong, ...]
    """By line, warnings among them."""

    @property
    def stopped(self) -> tuple[Wrong, ...]:
        """What keeps anything from being done."""
        return tuple(each for each in self.wrong if not each.warning)


Row = tuple[int, Mapping[str, str]]
"""Line of the file (0 for none), and the cells that are not empty."""


# The file


def read_csv(content: bytes) -> tuple[list[Row], list[Wrong]]:
    """The lines of a file, and what is wrong with the file itself.

    What a cell means is judged by `judged`.
    """

    def stop(line: int, text: str) -> tuple[list[Row], list[Wrong]]:
        return [], [Wrong(line, "", text)]

    if len(content) > LARGEST:
        return stop(0, f"The file has more than {LARGEST:,} bytes.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return stop(1, "The file is UTF-16; save it as CSV in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return stop(line, "This is no UTF-8; save the file as CSV in UTF-8.")
    if "\0" in text:
        return stop(text.count("\n", 0, text.index("\0")) + 1, "A NUL character stands here.")
    head = text.partition("\n")[0]
    between = max(",;\t", key=lambda sign: (head.count(sign), sign == ","))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    rows: list[Row] = []
    wrong: list[Wrong] = []
    columns: list[str] = []
    end = 0
    while True:
        at = end + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            return rows, [*wrong, Wrong(at, "", f"This cannot be read as CSV: {error}.")]
        end = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns, wrong = _header(at, cells)
            if wrong:
                return [], wrong
            continue
        if len(cells) != len(columns):
            wrong.append(Wrong(at, "", f"This line has {len(cells)} cells, the header {len(columns)}."))
            continue
        if len(rows) == MOST:
            return rows, [*wrong, Wrong(at, "", f"There are more than {MOST:,} customers in the file.")]
        rows.append(
            (at, {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()})
        )
    if not columns:
        return stop(1, f"The file is empty; its first line has to name the columns: {', '.join(COLUMNS)}.")
    if not rows and not wrong:
        wrong.append(Wrong(1, "", "There is no customer below the header."))
    return rows, wrong


def _header(line: int, cells: Sequence[str]) -> tuple[list[str], list[Wrong]]:
    columns = ["_".join(cell.strip().casefold().replace("-", " ").split()) for cell in cells]
    wrong = []
    for at, name in enumerate(columns):
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1)
            meant = f" Is {near[0]} meant?" if near else f" There are {', '.join(COLUMNS)}."
            wrong.append(Wrong(line, "", f"No column is called {_q(cells[at])}.{meant}"))
        elif columns.index(name) != at:
            wrong.append(Wrong(line, "", f"The column {name} is there twice."))
    if "name" not in columns:
        wrong.append(Wrong(line, "", "The column name is missing."))
    return columns, wrong


# One line


class _Line:
    """One line on its way to a wish."""

    def __init__(self, row: Row, known: Known) -> None:
        self.line, self.cells = row
        self.known = known
        self.wrong: list[Wrong] = []

    def say(self, column: str, text: str, *, warning: bool = False) -> None:
        self.wrong.append(Wrong(self.line, column, text, warning))

    def text(self, column: str) -> str:
        """A cell, "" when it is empty or cannot be taken.

        Contacts are judged in their parts, and a quota as a number, which lets through no formula either.
        """
        cell = self.cells.get(column, "").replace("\r\n", "\n")
        if len(cell) > 1 and cell[0] == "'" and is_formula(cell[1:]):
            # As a spreadsheet, and our own exports, keep one from being run.
            cell = cell[1:]
        if column not in ("contacts", "quota") and is_formula(cell):
            self.say(column, f"{_q(cell)} begins as a formula does, which no value of this column may.")
            return ""
        if safe_text(cell, 100_000) != cell.replace("\n", "\\x0a"):
            self.say(column, f"{_q(cell)} holds characters that cannot be seen, or that steer a terminal.")
            return ""
        return cell

    def listed(self, column: str) -> list[str]:
        """The values of a cell."""
        values = [value.strip() for value in re.split(r"[;\n]+", self.text(column))]
        values = [value for value in values if value]
        for value in values[1:]:
            if column != "contacts" and is_formula(value):
                self.say(column, f"{_q(value)} begins as a formula does, which no value of this column may.")
                return []
        return values

    def unique(self, column: str, values: Iterable[str]) -> tuple[str, ...]:
        found: dict[str, str] = {}
        for value in values:
            if value.casefold() in found:
                self.say(column, f"{_q(value)} is there twice.")
            found.setdefault(value.casefold(), value)
        return tuple(found.values())

    def pairs(self, column: str, form: str) -> list[tuple[str, str]]:
        """`name=value` of a cell."""
        found: dict[str, str] = {}
        for value in self.listed(column):
            name, equals, held = (part.strip() for part in value.partition("="))
            if not equals or not name:
                self.say(column, f"{_q(value)} has to be {form}.")
            elif name in found:
                self.say(column, f"{_q(name)} is there twice.")
            else:
                found[name] = held
        return list(found.items())

    def chosen(self, column: str, value: str, options: Collection[str], what: str) -> str:
        """The option that a word means, whatever its case; "" when there is none."""
        for option in options:
            if option.casefold() == value.casefold():
                return option
        self.say(column, f"{_q(value)} is no {what}{_meant(value, options)}")
        return ""


def _wish(row: Row, known: Known) -> tuple[Wish | None, list[Wrong]]:
    at = _Line(row, known)
    name = _name(at)
    place = _place(at)
    labels, parameters = _labels(at), _parameters(at)
    quota = at.text("quota")
    if quota and not (quota.isascii() and quota.isdecimal() and len(quota) < 10):
        at.say("quota", f"{_q(quota)} is no number of sensors.")
        quota = ""
    node_id = at.text("id")
    if node_id and (complaint := id_problem(node_id)):
        at.say("id", complaint)
    region = at.text("region")
    users = _users(at)
    wish = Wish(
        name,
        at.line,
        at.chosen("region", region, REGIONS, "region") if region else "auto",
        place.id if place is not None else "",
        node_id,
        labels,
        parameters,
        tuple(
            mark
            for value in at.unique("marks", at.listed("marks"))
            if (mark := at.chosen("marks", value, MARKS, "mark"))
        ),
        int(quota) if quota else None,
        _templates(at),
        _groups(at),
        users,
        _keys(at),
        _extensions(at),
        _outputs(at),
        _document(at),
    )
    if place is not None and not any(not each.warning for each in at.wrong):
        wish = _with_layers(at, wish, place)
    return (wish if name else None), at.wrong


def _name(at: _Line) -> str:
    if not at.cells.get("name"):
        at.say("name", "The organization has no name.")
        return ""
    name = unicodedata.normalize("NFC", at.text("name"))
    if not name:
        return ""
    if "/" in name or "\n" in name:
        at.say("name", f"{_q(name)} holds a slash or a line break, which stands between nodes in a path.")
        return ""
    if complaint := text_problem(name):
        at.say("name", f"The name {complaint}.")
        return ""
    if odd := mixed_script(name):
        at.say("name", f"{_q(name)} may not be what it looks like ({odd}).", warning=True)
    return name


def _place(at: _Line) -> Place | None:
    places = at.known.places
    wanted = at.text("node")
    if not wanted:
        return next(iter(places.values()), Place("", "", Untrusted("")))
    if wanted in places:
        return places[wanted]
    path = wanted.strip("/")
    for matches in (
        [place for place in places.values() if place.path == path],
        [place for place in places.values() if place.name == wanted],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            ids = ", ".join(_q(place.id) for place in matches[:3])
            at.say("node", f"{_q(wanted)} is the name of {len(matches)} nodes; say which by its id: {ids}.")
            return None
    names = {place.path or place.id for place in places.values()} | set(places)
    at.say("node", f"The tree has no node {_q(wanted)}{_meant(wanted, names, few=True)}")
    return None


def _labels(at: _Line) -> dict[str, str]:
    labels = dict(at.pairs("labels", "name=value"))
    for name, value in labels.items():
        if complaint := text_problem(name) or text_problem(value):
            at.say("labels", f"The label {_q(name)} {complaint}.")
    if tier := at.text("tier"):
        if text_problem(tier) or ";" in tier:
            at.say("tier", f"{_q(tier)} is no tier: one word, of at most {LONGEST} characters.")
        if "tier" in labels and labels["tier"] != tier:
            at.say("tier", "The labels name another tier.")
        labels["tier"] = tier
    return labels


def _parameters(at: _Line) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, value in at.pairs("parameters", "name=value"):
        if not _PARAMETER.fullmatch(name):
            at.say("parameters", f"{_q(name)} is no name: small letters, digits and _, a letter first.")
        elif is_secret_name(name) and value and "hive://" not in value:
            at.say(
                "parameters", f"{_q(name)} looks like a secret; keep it in the secret hive and name it here."
            )
        parameters[name] = _plain(value)
        if name.startswith("sla_"):
            _sla(at, "parameters", name, value)
    for severity, value in at.pairs("sla", "a severity and its times, such as critical=15m/4h"):
        if word := at.chosen("sla", severity, SEVERITIES, "severity"):
            if f"sla_{word}" in parameters:
                at.say("sla", f"The times of {word} alerts are among the parameters, too.")
            parameters[f"sla_{word}"] = value
            _sla(at, "sla", word, value)
    return parameters


def _sla(at: _Line, column: str, name: str, value: str) -> None:
    try:
        parse_pair(value)
    except ValueError as error:
        at.say(column, f"{_q(name)} cannot be {_q(value)}: {error}.")


def _plain(value: str) -> Any:
    """Numbers, yes and no (`true`), and lists as JSON has them; everything else is text."""
    try:
        read = json.loads(value)
    except ValueError:
        return value
    if isinstance(read, float) and (read != read or abs(read) == float("inf")):
        return value
    return read if isinstance(read, bool | int | float | list) else value


def _templates(at: _Line) -> tuple[str, ...]:
    found = []
    for name in at.unique("templates", at.listed("templates")):
        if name in at.known.templates:
            found.append(name)
        else:
            at.say("templates", f"No template is called {_q(name)}{_meant(name, at.known.templates)}")
    return tuple(found)


def _groups(at: _Line) -> tuple[str, ...]:
    found: list[str] = []
    for word in at.unique("groups", at.listed("groups")):
        named = [gid for gid, (name, _) in at.known.groups.items() if word in (gid, name)]
        if not named:
            names = [str(name) for name, _ in at.known.groups.values()]
            at.say("groups", f"No group is called {_q(word)}{_meant(word, names)}")
        elif len(named) > 1:
            at.say(
                "groups",
                f"{len(named)} groups are called {_q(word)}; say which by its gid: {', '.join(named)}.",
            )
        elif not at.known.groups[named[0]][1]:
            at.say(
                "groups",
                f"This credential does not own the group {_q(word)}, and may not put anything into it.",
            )
        elif named[0] in found:
            at.say("groups", f"The group {_q(word)} is there twice.")
        else:
            found.append(named[0])
    return tuple(found)


def _users(at: _Line) -> tuple[tuple[str, str], ...]:
    found: dict[str, tuple[str, str, str]] = {}

    def put(column: str, address: str, role: str) -> None:
        if not is_address(address):
            at.say(column, f"{_q(address)} is no e-mail address.")
        elif address.casefold() in found:
            at.say(column, f"{_q(address)} is there twice.")
        else:
            found[address.casefold()] = (column, address, role)

    people = at.known.people
    for address in at.listed("owners"):
        put("owners", address, "Owner")
        if people is not None and is_address(address) and address.casefold() not in people:
            at.say(
                "owners",
                f"Nobody with access to anything is called {_q(address)}; to invite it, write ADDRESS:Owner "
                "among the users.",
            )
    for value in at.listed("users"):
        address, colon, word = (part.strip() for part in value.rpartition(":"))
        if not colon:
            at.say("users", f"{_q(value)} has to be an address and a role, such as kim@acme.example:Viewer.")
        elif role := at.chosen("users", word, ROLES, "role"):
            put("users", address, role)
    me = at.known.me.casefold()
    return tuple((address, role) for key, (_, address, role) in found.items() if (key, role) != (me, "Owner"))


def is_address(text: str) -> bool:
    """Whether it is an e-mail address; in ASCII, for one with another letter may be somebody else's."""
    local = text.partition("@")[0]
    return (
        _ADDRESS.fullmatch(text) is not None
        and len(text) <= 254
        and ".." not in text
        and not local.startswith(".")
        and not local.endswith(".")
    )


def _keys(at: _Line) -> tuple[InstallationKey, ...]:
    found: dict[str, InstallationKey] = {}
    for value in at.listed("installation_keys"):
        word, _, tags = (part.strip() for part in value.partition(":"))
        platform = at.chosen("installation_keys", word, PLATFORMS, "platform")
        if not platform:
            continue
        listed = tuple(dict.fromkeys(tag.strip() for tag in tags.split("+"))) if tags else (platform,)
        if any(not _TAG.fullmatch(tag) for tag in listed):
            at.say("installation_keys", f"{_q(tags)} are no tags: words with + between them.")
        elif platform in found:
            at.say("installation_keys", f"{platform} is there twice.")
        else:
            found[platform] = InstallationKey(platform, listed)
    return tuple(found.values())


def _extensions(at: _Line) -> tuple[str, ...]:
    names = at.unique("extensions", at.listed("extensions"))
    known = at.known.extensions
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,127}", name):
            at.say("extensions", f"{_q(name)} is no name of an extension.")
        elif known is not None and name not in known:
            at.say("extensions", f"No extension is called {_q(name)}{_meant(name, known)}")
    return names


def _outputs(at: _Line) -> tuple[Output, ...]:
    found: dict[str, Output] = {}
    form = "a name, a module, a stream and options, such as siem syslog detect dest_host=siem.example:6514"
    for value in at.listed("outputs"):
        try:
            words = shlex.split(value)
        except ValueError:
            words = []
        options = [word.partition("=") for word in words[3:]]
        if len(words) < 3 or any(not equals or not name for name, equals, _ in options):
            at.say("outputs", f"{_q(value)} has to be {form}.")
            continue
        name, module, stream = words[:3]
        body = {"module": module, "for": stream, **{option: held for option, _, held in options}}
        if not _OUTPUT_NAME.fullmatch(name):
            at.say("outputs", f"{_q(name)} is no name of an output: letters, digits, spaces, dots, - and _.")
        if len({option for option, _, _ in options}) < len(options):
            at.say("outputs", f"An option of {_q(name)} is there twice.")
        for option, _, held in options:
            if is_secret_name(option) and held and not held.startswith("hive://secret/"):
                at.say("outputs", f"{_q(option)} of {_q(name)} is a secret; write hive://secret/NAME.")
        if name in found:
            at.say("outputs", f"The output {_q(name)} is there twice.")
        found[name] = Output(name, body)
    for complaint in _output_trouble(found.values()):
        at.say("outputs", complaint)
    return tuple(found.values())


def _output_trouble(outputs: Iterable[Output]) -> list[str]:
    """What the lint of templates says of outputs: modules, streams, and what each needs."""
    listed = {each.name: dict(each.body) for each in outputs}
    if not listed:
        return []
    document = json.dumps({"version": 3, "outputs": listed}).encode()
    found = lint(resolve("outputs", lambda _: document))
    return [
        safe_text(f"{each.text} {each.remedy}".strip(), 400) for each in found if each.severity == "error"
    ]


def _document(at: _Line) -> dict[str, Any]:
    """What the cells say of whom to call and when, each judged as the documentation itself is."""
    said: dict[str, Any] = {}
    contacts = _contacts(at)
    if contacts:
        said["contacts"] = contacts
    if zone := at.text("time_zone"):
        said["time_zone"] = zone
    hours = at.text("service_hours")
    if hours and "=" not in hours:
        said["service_hours"] = hours
    elif hours:
        said["service_hours"] = dict(at.pairs("service_hours", "days=hours, such as Mon-Fri=08:00-18:00"))
    if country := at.text("holidays"):
        said["holidays"] = {"country": country}
    document: dict[str, Any] = {}
    for column, value in said.items():
        try:
            document |= checked({column: value})
        except CustomerError as error:
            for problem in error.problems:
                at.say(column, safe_text(problem.text, 400))
    return document


def _contacts(at: _Line) -> list[dict[str, str]]:
    found = []
    for value in at.listed("contacts"):
        parts = [part.strip() for part in value.split("|")]
        name, role, mail, phone = (*parts, "", "", "", "")[:4]
        # As a spreadsheet keeps a number that begins with + from being added up.
        phone = phone.removeprefix("'")
        if not name or len(parts) > 4 or is_formula(name) or is_formula(role) or is_formula(mail):
            at.say("contacts", f"{_q(value)} has to be a name, and behind | a role, an address and a number.")
        elif mail and not is_address(mail):
            at.say("contacts", f"{_q(mail)} is no e-mail address.")
        else:
            said = {"name": name, "role": role, "mail": mail, "phone": phone}
            found.append({key: each for key, each in said.items() if each})
    at.unique("contacts", [contact["name"] for contact in found])
    return found


def _with_layers(at: _Line, wish: Wish, place: Place) -> Wish:
    """With the records that the layers bring, if they may be brought."""
    own = [replace(at.known.templates[name], path=wish.name) for name in wish.templates]
    layers = [*(each for each in place.layers if each.name not in wish.templates), *own]
    if len(layers) < len(place.layers) + len(own):
        again = sorted({each.name for each in place.layers} & set(wish.templates))
        at.say("templates", f"{_q(again[0])} is laid on a node above already.")
    if not layers:
        return wish
    # The id is not known yet; it is put in where the record is written.
    values = {**place.parameters, **wish.parameters, "oid": "${oid}", "organization": wish.name}
    found = effective(layers, values)
    for reason in found.blocked:
        at.say("templates" if wish.templates else "node", safe_text(str(reason), 500))
    brought = set(found.records)
    for column, section, names in (
        ("outputs", "output", [each.name for each in wish.outputs]),
        ("installation_keys", "installation_key", [each.platform for each in wish.keys]),
    ):
        for name in names:
            if (section, name) in brought:
                layer = found.records[section, name].origins[-1].layer
                at.say(
                    column, f"{document_key((section, name))} comes from the template {_q(layer)} already."
                )
    return replace(wish, records=tuple(found.records))


# All of them


def judged(rows: Sequence[Row], known: Known, wrong: Sequence[Wrong] = ()) -> Judged:
    """Every line, against itself, the others, and what is known.

    Args:
        wrong: what was found before, such as by `read_csv`.
    """
    found = [*wrong]
    wishes = []
    for row in rows:
        wish, complaints = _wish(row, known)
        found += complaints
        if wish is not None:
            wishes.append(wish)
    found += _together(wishes, known)
    return Judged(tuple(wishes), tuple(sorted(set(found))))


def _together(wishes: Sequence[Wish], known: Known) -> list[Wrong]:
    found = []
    there = {same(name): name for name in known.organizations.values()}
    taken = {same(name) for name in known.taken or ()}
    names: dict[str, Wish] = {}
    ids: dict[str, Wish] = {}
    for wish in wishes:
        key = same(wish.name)
        first = names.setdefault(key, wish)
        if first is not wish:
            found.append(Wrong(wish.line, "name", f"{_q(wish.name)} is the name of line {first.line}, too."))
        if key in there:
            found.append(
                Wrong(
                    wish.line, "name",
                    f"{_q(wish.name)} is taken: there is an organization of this name already.",
                )
            )  # fmt: skip
        elif key in taken:
            found.append(
                Wrong(
                    wish.line,
                    "name",
                    f"{_q(wish.name)} is taken: LimaCharlie gives this name to nobody more.",
                )
            )
        if wish.node_id:
            other = ids.setdefault(wish.node_id, wish)
            if other is not wish:
                found.append(
                    Wrong(wish.line, "id", f"{_q(wish.node_id)} is the id of line {other.line}, too.")
                )
            if wish.node_id in known.places:
                found.append(Wrong(wish.line, "id", f"The tree has a node {_q(wish.node_id)} already."))
    return found


def same(name: str) -> str:
    """What two names have in common that people, and a file system, take for one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _q(value: object) -> str:
    """A stranger's word inside a sentence: quoted, made safe to show, and cut."""
    return f"'{safe_text(str(value), 60)}'"


def _meant(word: str, options: Iterable[str], *, few: bool = False) -> str:
    """`; is europe meant?`, or which there are when those are few; ends the sentence."""
    listed = sorted(map(str, options))
    near = difflib.get_close_matches(word.casefold(), [each.casefold() for each in listed], 1)
    if near:
        original = next(each for each in listed if each.casefold() == near[0])
        return f"; is {_q(original)} meant?"
    if not few and 0 < len(listed) <= 8:
        return f"; there are {', '.join(_q(each) for each in listed)}."
    return "."


# How sensors are installed

_DOWNLOADS: Final = "https://downloads.limacharlie.io/sensor"


def commands_of(description: str, key: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(platform, command) for an installation key as the cloud has it.

    What a key admits is not bound to a platform: a description that names none of PLATFORMS gives the command
    of each. Documentation: "Endpoint agent installation" of each platform; a browser takes `json_key`, an
    adapter the key's id.

    Args:
        key: with `key`, `json_key` and `iid`: strangers' text, quoted here for the shell that it is for.
    """
    held = {name: str(key.get(name) or "") for name in ("key", "json_key", "iid")}
    native = shlex.quote(held["key"])
    shell = "curl -fsSL {url} -o /tmp/lc_sensor && chmod 500 /tmp/lc_sensor && sudo /tmp/lc_sensor -i {key}"
    powershell = "'" + held["key"].replace("'", "''") + "'"
    commands = {
        "windows": (
            f"Invoke-WebRequest -Uri {_DOWNLOADS}/windows/64 -OutFile $env:TEMP\\lc_sensor.exe; "
            f"& $env:TEMP\\lc_sensor.exe -i {powershell}"
        ),
        "linux": shell.format(url=f"{_DOWNLOADS}/linux/64", key=native),
        "macos": shell.format(url=f"{_DOWNLOADS}/mac/64", key=native),
        "chrome": f"{_DOWNLOADS}/chrome with {held['json_key']}",
        "adapter": f"client_options.identity.installation_key={held['iid']}",
    }
    wanted = [description] if description in commands else list(commands)
    return [(platform, commands[platform]) for platform in wanted]
