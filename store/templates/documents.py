"""An infrastructure document (version 3) with everything that it includes, as records that know their place.

The order is the one of LimaCharlie's Go client, for it is the only one that is the same every time: a file's
includes are read in the order in which they are listed (a pattern's matches by name), a later one replaces a
record of an earlier one, and an included file replaces a record of the file that includes it. Lists
(`extensions`, a category of `resources`) are united. Wherever the official client 5.10.1 would come to
another result (it reads includes in the order of a set, which differs from run to run), a finding says so.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from store.configuration import HIVES
from store.yaml import Document, YamlError, load

Key = tuple[str, str]
"""(section of `store.configuration.SECTIONS`, name)."""

ROOTS: Final = (
    "resources", "extensions", "org-value", "outputs", "integrity", "exfil", "artifact", "hives",
    "installation_keys", "yara",
)  # fmt: skip
"""What a document may hold at its top besides `version` and `include`."""

LEGACY: Final = ("rules", "fps")
"""Sections of old documents: the Go client still pushes them, the official one ignores them in includes."""

NAMESPACES: Final = {"general": "dr-general", "managed": "dr-managed", "service": "dr-service"}
"""Of old rules, and the hive that each became."""

OURS: Final = "limegrove"
"""Under this key a document declares parameters and says which records of earlier layers it changes. The
cloud ignores roots that it does not know, so the document stays one of LimaCharlie's."""

MOST_FILES: Final = 1_000
"""Of one document."""
DEEPEST: Final = 32
"""Includes within each other."""

_FLAT: Final = {
    "outputs": "output", "integrity": "integrity", "artifact": "artifact", "org-value": "org_value",
    "installation_keys": "installation_key",
}  # fmt: skip
_SERVER: Final = ("sys_mtd", "guid", "etag")

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands."""

    file: str
    """Relative to the directory of the template."""
    line: int
    """From 1 on."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or odd about a template."""

    severity: Severity
    """error: a push would fail, or the record means nothing; warning: accepted, and useless or dangerous."""
    place: Place
    text: str
    """One sentence."""
    remedy: str = ""
    """What to do; "" where the text says it."""
    record: Key | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a document."""

    section: str
    name: str
    body: Any
    """Its `data` where it is of a hive, else the whole of it. Of an extension {}, of a resource its names."""
    metadata: Mapping[str, Any] | None
    """`usr_mtd` as it stands there; None where there is none, and for sections that have none."""
    place: Place

    @property
    def key(self) -> Key:
        """Section and name."""
        return self.section, self.name


@dataclass(frozen=True)
class Template:
    """A document, resolved."""

    main: str
    """The file that was asked for, relative to the directory."""
    files: tuple[str, ...]
    """All that were read, in the order in which they were."""
    records: Mapping[Key, Record]
    findings: tuple[Finding, ...]
    ours: tuple[tuple[Place, Mapping[str, Any]], ...] = ()
    """What stands under `limegrove`, of every file in which it does."""
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False)
    """Each file as it was read, for who wants a line."""

    @property
    def broken(self) -> bool:
        """Whether it must not be used."""
        return any(each.severity == "error" for each in self.findings)


Files = Callable[[str], bytes]
"""Gives the content of a file by its path below the directory; raises OSError."""


def read_template(directory: Path, main: str) -> Template:
    """Read a document and its includes from a directory; whatever is wrong is a finding.

    Args:
        directory: nothing outside it is read, whatever an include or a link says.
        main: the document's path below it.
    """
    base = directory.resolve()

    def content(path: str) -> bytes:
        real = (base / path).resolve()
        if not real.is_relative_to(base):
            raise PermissionError(f"{path} leads out of the directory")
        if not real.is_file():
            raise FileNotFoundError(path)
        return real.read_bytes()

    return resolve(main, content, lambda: _listing(base))


def _listing(base: Path) -> list[str]:
    found: list[str] = []
    for parent, folders, names in os.walk(base):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        below = Path(parent).relative_to(base).as_posix()
        found += [each if below == "." else f"{below}/{each}" for each in sorted(names)]
        if len(found) > 100_000:
            break
    return found


def resolve(main: str, content: Files, listing: Callable[[], list[str]] = list) -> Template:
    """As `read_template`, from wherever the files are kept.

    Args:
        listing: every path there is, for includes that are patterns.
    """
    reading = _Reading(content, listing)
    found = reading.file(PurePosixPath(main).as_posix(), Place(main, 1), ())
    records: dict[Key, Record] = {}
    for record in found:
        reading.put(records, record, included=False)
    reading.differences()
    return Template(
        main, tuple(reading.files), records, tuple(reading.findings), tuple(reading.ours), reading.documents
    )


class _Reading:
    def __init__(self, content: Files, listing: Callable[[], list[str]]) -> None:
        self._content = content
        self._listing = listing
        self._listed: list[str] | None = None
        self.files: list[str] = []
        self.documents: dict[str, Document] = {}
        self.findings: list[Finding] = []
        self.ours: list[tuple[Place, Mapping[str, Any]]] = []
        self._clashes: list[tuple[Record, Record, bool]] = []
        self._united: dict[Key, set[str]] = {}

    # Files

    def file(self, path: str, asked: Place, above: tuple[str, ...]) -> list[Record]:
        """The records of a file and of what it includes, each key once."""
        if path in above:
            chain = " > ".join((*above[above.index(path) :], path))
            self._wrong(asked, f"The include goes in a circle: {chain}.", "Take one of them out.")
            return []
        if len(above) >= DEEPEST or len(self.files) >= MOST_FILES:
            self._wrong(asked, f"More than {DEEPEST} includes within each other, or {MOST_FILES} files.")
            return []
        read = self._read(path, asked)
        if read is None:
            return []
        document: dict[str, Any] = read.value
        records: dict[Key, Record] = {}
        for record in self._own(path, read, document, root=not above):
            self.put(records, record, included=False)
        for include, at in self._includes(path, read, document):
            for record in self.file(include, at, (*above, path)):
                self.put(records, record, included=True)
        return list(records.values())

    def _read(self, path: str, asked: Place) -> Document | None:
        if path in self.documents:
            return self.documents[path]
        try:
            raw = self._content(path)
        except PermissionError:
            self._wrong(asked, f"{path!r} leads out of the template's directory.", "Nothing there is read.")
            return None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._wrong(asked, f"There is no file {path!r}.", "Both official clients refuse it as well.")
            return None
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            self._wrong(asked, f"{path!r} cannot be read: {said}.")
            return None
        self.files.append(path)
        try:
            read = load(raw)
        except YamlError as error:
            self._wrong(Place(path, error.problem.line), error.problem.text)
            return None
        top = Place(path, 1)
        if not isinstance(read.value, dict):
            what = "a list" if isinstance(read.value, list) else "empty" if read.value is None else "a text"
            self._wrong(top, f"This is no infrastructure document: it is {what}.", "It needs `version: 3`.")
            return None
        if not self._version(path, read):
            return None
        for problem in read.surprises:
            self._odd(Place(path, problem.line), problem.text)
        self.documents[path] = read
        return read

    def _version(self, path: str, read: Document) -> bool:
        document = read.value
        if "version" not in document:
            self._wrong(
                Place(path, 1),
                "This is no infrastructure document: `version` is missing.",
                _wrapped(document),
            )
            return False
        version = document["version"]
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= 3:
            self._wrong(
                Place(path, read.key_line("version")),
                f"`version` is {version!r}; up to 3 is understood.",
                "Write `version: 3`.",
            )
            return False
        return True

    def _includes(
        self, path: str, read: Document, document: Mapping[str, Any]
    ) -> Iterator[tuple[str, Place]]:
        wanted = document.get("include")
        if wanted is None:
            return
        at = Place(path, read.key_line("include"))
        listed = [wanted] if isinstance(wanted, str) else wanted
        if not isinstance(listed, list):
            self._wrong(at, "`include` has to be a path or a list of paths.")
            return
        folder = PurePosixPath(path).parent
        for number, each in enumerate(listed):
            at = Place(
                path, read.key_line("include", number) if listed is wanted else read.key_line("include")
            )
            if not isinstance(each, str) or not each.strip():
                self._wrong(at, "An include has to be the path of a file.")
                continue
            joined = _joined(folder, each)
            if joined is None:
                self._wrong(at, f"{each!r} leads out of the template's directory.", "Nothing there is read.")
            elif any(sign in each for sign in "*?["):
                matches = self._matches(joined)
                if not matches:
                    self._odd(at, f"The pattern {each!r} finds no file.")
                for match in matches:
                    if match != path:
                        yield match, at
                self._note(
                    at, f"The Go client knows no patterns: it looks for a file that is called {each!r}."
                )
            else:
                yield joined, at

    def _matches(self, pattern: str) -> list[str]:
        if self._listed is None:
            self._listed = sorted(self._listing())
        # `**` is any number of folders, as in Python's glob with `recursive`; `*` is within one.
        parts = [
            "(?:[^/]+/)*" if part == "**" else fnmatch.translate(part)[4:-3].replace(".*", "[^/]*") + "/"
            for part in pattern.split("/")
        ]
        expression = re.compile("".join(parts).removesuffix("/"), re.DOTALL)
        return [each for each in self._listed if expression.fullmatch(each)]

    # Records

    def put(self, into: dict[Key, Record], record: Record, *, included: bool) -> None:
        """Add a record; of two by one name the one that comes later stays."""
        there = into.get(record.key)
        if there is None or there == record:
            into[record.key] = record
            return
        if record.section == "resource":
            names = list(dict.fromkeys([*there.body, *record.body]))
            self._united.setdefault(record.key, {there.place.file}).add(record.place.file)
            into[record.key] = replace(there, body=names)
            return
        if (there.body, there.metadata) != (record.body, record.metadata):
            self._clashes.append((there, record, included))
        into[record.key] = record

    def _own(self, path: str, read: Document, document: Mapping[str, Any], *, root: bool) -> Iterator[Record]:
        for name, value in document.items():
            place = Place(path, read.key_line(name) if isinstance(name, str) else 1)
            if name in ("version", "include") or value is None:
                continue
            if name == OURS:
                if isinstance(value, dict):
                    self.ours.append((place, value))
                else:
                    self._wrong(place, f"`{OURS}` has to be a mapping.")
            elif name == "extensions":
                yield from self._extensions(path, read, value)
            elif name == "resources":
                yield from self._resources(path, read, value)
            elif name == "hives":
                yield from self._hives(path, read, value)
            elif name == "exfil":
                yield from self._nested(path, read, "exfil", value, ("list", "watch", "perf"))
            elif name == "yara":
                yield from self._nested(path, read, "yara", value, ("sources", "rules"))
            elif name in _FLAT:
                for key, body in self._mapping(path, read, (name,), value):
                    yield Record(_FLAT[name], key, body, None, Place(path, read.key_line(name, key)))
            elif name in LEGACY:
                yield from self._legacy(path, read, str(name), value, root=root)
            elif holds_rules(value):
                self._wrong(
                    place,
                    f"`{str(name)[:60]}` holds rules where no client reads them.",
                    "Put them below `hives: dr-general:`.",
                )
            else:
                self._odd(
                    place,
                    f"`{str(name)[:60]}` is no section: whatever stands in it is silently ignored.",
                    _nearest(str(name)),
                )

    def _mapping(
        self, path: str, read: Document, at: tuple[str, ...], value: Any
    ) -> Iterator[tuple[str, Any]]:
        """The entries of what has to be a mapping with texts for keys."""
        if value is None:
            return
        if not isinstance(value, dict):
            self._wrong(Place(path, read.key_line(*at)), f"`{'.'.join(at)}` has to be a mapping of names.")
            return
        for key, body in value.items():
            if not isinstance(key, str):
                line = read.key_line(*at)
                self._wrong(
                    Place(path, line),
                    f"YAML reads the name {key!r} in `{'.'.join(at)}` as something else than text.",
                    "Write it in quotes.",
                )
                continue
            yield key, body

    def _hives(self, path: str, read: Document, value: Any) -> Iterator[Record]:
        for hive, records in self._mapping(path, read, ("hives",), value):
            at = Place(path, read.key_line("hives", hive))
            if hive not in HIVES:
                near = next((each for each in HIVES if each.replace("_", "-") == hive.replace("_", "-")), "")
                self._wrong(
                    at, f"There is no hive {hive!r}.", f"Perhaps `{near}`." if near else "A push would fail."
                )
                continue
            for name, record in self._mapping(path, read, ("hives", hive), records):
                place = Place(path, read.key_line("hives", hive, name))
                made = self._hive_record(hive, name, record, place)
                if made is not None:
                    yield made

    def _hive_record(self, hive: str, name: str, record: Any, place: Place) -> Record | None:
        key = (f"hive/{hive}", name)
        if not isinstance(record, dict) or "data" not in record:
            self._wrong(place, *_dataless(hive, name, record), key)
            return None
        for odd in record:
            if odd in _SERVER:
                self._note(place, f"`{odd}` of {hive}/{name} is the cloud's own and is left out.", key)
            elif odd not in ("data", "usr_mtd"):
                self._odd(place, f"`{odd}` beside `data` of {hive}/{name} has no effect.", record=key)
        metadata = record.get("usr_mtd")
        if metadata is not None and not isinstance(metadata, dict):
            self._wrong(place, f"`usr_mtd` of {hive}/{name} has to be a mapping.", record=key)
            return None
        return Record(*key, record["data"], metadata, place)

    def _nested(
        self, path: str, read: Document, section: str, value: Any, kinds: tuple[str, ...]
    ) -> Iterator[Record]:
        for kind, records in self._mapping(path, read, (section,), value):
            if kind not in kinds:
                self._odd(
                    Place(path, read.key_line(section, kind)),
                    f"`{section}.{kind}` is silently ignored: {section} has {', '.join(kinds)}.",
                )
                continue
            for name, body in self._mapping(path, read, (section, kind), records):
                place = Place(path, read.key_line(section, kind, name))
                yield Record(section, f"{kind}/{name}", body, None, place)

    def _extensions(self, path: str, read: Document, value: Any) -> Iterator[Record]:
        at = Place(path, read.key_line("extensions"))
        if not isinstance(value, list):
            self._wrong(at, "`extensions` has to be a list of names.")
            return
        for number, name in enumerate(value):
            at = Place(path, read.key_line("extensions", number))
            if isinstance(name, str) and name:
                yield Record("extension", name, {}, None, at)
            else:
                self._wrong(at, f"{name!r} is no name of an extension.", "Write it as a text.")

    def _resources(self, path: str, read: Document, value: Any) -> Iterator[Record]:
        for category, names in self._mapping(path, read, ("resources",), value):
            at = Place(path, read.key_line("resources", category))
            if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
                self._wrong(at, f"`resources.{category}` has to be a list of names.")
                continue
            if category == "service":
                # One thing under two words, and the cloud answers with the other (Go client, sync.go).
                self._note(at, "`resources.service` is an older word for `resources.replicant`.")
                category = "replicant"
            yield Record("resource", category, list(dict.fromkeys(names)), None, at)

    def _legacy(self, path: str, read: Document, section: str, value: Any, *, root: bool) -> Iterator[Record]:
        for name, record in self._mapping(path, read, (section,), value):
            place = Place(path, read.key_line(section, name))
            made = (
                self._old_rule(name, record, place)
                if section == "rules"
                else self._old_fp(name, record, place)
            )
            if made is None:
                continue
            where = "" if root else ", which the official client ignores in an included file"
            self._odd(
                place,
                f"`{section}` is an old section{where}; the record is taken as {made.section[5:]}/{name}.",
                f"Move it below `hives: {made.section[5:]}:`.",
                made.key,
            )
            yield made

    def _old_rule(self, name: str, record: Any, place: Place) -> Record | None:
        if not isinstance(record, dict) or "detect" not in record or "respond" not in record:
            self._wrong(place, f"The rule {name!r} has not both `detect` and `respond`.")
            return None
        namespace = record.get("namespace", "general")
        hive = NAMESPACES.get(namespace) if isinstance(namespace, str) else None
        if hive is None:
            self._wrong(place, f"There is no namespace {namespace!r} for the rule {name!r}.")
            return None
        body = {each: record[each] for each in ("detect", "respond", "tests") if each in record}
        return Record(f"hive/{hive}", name, body, {"enabled": record.get("is_enabled", True) is True}, place)

    def _old_fp(self, name: str, record: Any, place: Place) -> Record | None:
        body = record.get("data", record.get("detect")) if isinstance(record, dict) else None
        if body is None:
            self._wrong(place, f"The false positive rule {name!r} has no `data`.")
            return None
        return Record("hive/fp", name, body, {"enabled": True}, place)

    # Where the clients differ

    def differences(self) -> None:
        """Say where the official clients would come to something else than this, or to each time another."""
        for before, after, included in self._clashes:
            what = f"{before.section}/{before.name} stands in {before.place} and in {after.place}"
            if included and before.place.file in self.files and self._beside(before, after):
                self._odd(
                    after.place,
                    f"{what}: here and in the Go client the later include wins, "
                    "in the official client now one and now the other.",
                    "Give one of them another name, or lay it over as a template of its own.",
                    after.key,
                )
            else:
                self._odd(
                    after.place,
                    f"{what}: the included one wins, in all clients.",
                    "What a customer is to have instead belongs into a layer of its own.",
                    after.key,
                )
        for (section, name), files in sorted(self._united.items()):
            self._odd(
                Place(sorted(files)[-1], 1),
                f"{section} {name} is listed in {', '.join(sorted(files))}: here and in the Go client the "
                "lists are united, in the official client one of them stays.",
                "List it in one file.",
                (section, name),
            )

    def _beside(self, before: Record, after: Record) -> bool:
        """Whether neither file includes the other."""
        main = self.files[0] if self.files else ""
        return before.place.file != main and before.place.file != after.place.file

    # Findings

    def _wrong(self, place: Place, text: str, remedy: str = "", record: Key | None = None) -> None:
        self.findings.append(Finding("error", place, text, remedy, record))

    def _odd(self, place: Place, text: str, remedy: str = "", record: Key | None = None) -> None:
        finding = Finding("warning", place, text, remedy, record)
        if finding not in self.findings:
            self.findings.append(finding)

    def _note(self, place: Place, text: str, record: Key | None = None) -> None:
        finding = Finding("info", place, text, "", record)
        if finding not in self.findings:
            self.findings.append(finding)


def _joined(folder: PurePosixPath, include: str) -> str | None:
    """The path of an include below the directory; None when it leads out of it."""
    if include.startswith("/") or "\\" in include or "\0" in include:
        return None
    parts: list[str] = [each for each in folder.parts if each != "."]
    for part in include.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts) or None


def _wrapped(document: Mapping[Any, Any]) -> str:
    """What to do with a document that is none."""
    if "detect" in document and "respond" in document:
        return "It is one rule: put it below `version: 3` and `hives: dr-general: NAME: data:`."
    if "op" in document or "detect" in document:
        return "It is a part of a rule: without `detect` and `respond` nobody can tell what it is to do."
    if holds_rules(document):
        return "These are rules by name: put each below `version: 3` and `hives: dr-general: NAME: data:`."
    if "data" in document:
        return "It is one record: put it below `version: 3` and `hives: HIVE: NAME:`."
    return "Put `version: 3` at the top."


def _dataless(hive: str, name: str, record: Any) -> tuple[str, str]:
    """What is wrong with a record that has no `data`, and what to do."""
    if isinstance(record, dict) and "detect" in record and hive.startswith("dr-"):
        return f"{hive}/{name} has no `data`.", "Put `detect` and `respond` below `data:`."
    if isinstance(record, dict) and [*record] == ["usr_mtd"]:
        return (
            f"{hive}/{name} has only `usr_mtd`, which changes a record that is there already and makes none.",
            "Take it out, or give its `data:`.",
        )
    return f"{hive}/{name} has no `data`.", "It needs `data:` and beside it `usr_mtd: {enabled: true}`."


def holds_rules(value: Any) -> bool:
    """Whether a part is a rule, or a mapping of rules."""
    if not isinstance(value, Mapping):
        return False
    return "detect" in value or any(isinstance(each, Mapping) and "detect" in each for each in value.values())


def _nearest(name: str) -> str:
    lowered = name.lower().replace("_", "-")
    for root in (*ROOTS, *LEGACY):
        if (
            lowered == root.replace("_", "-")
            or lowered + "s" == root
            or lowered.rstrip("s") == root.rstrip("s")
        ):
            return f"Write `{root}`."
    if name in HIVES or name.replace("_", "-") in HIVES:
        return f"Hives stand below `hives:`: `hives: {name}:`."
    return ""
