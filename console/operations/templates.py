"""Templates taken from files into the store, put on nodes of the tree, and written out again."""

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from console.operations.actor import actor
from store.database import Store
from store.journal import append
from store.templates import library
from store.templates.documents import Finding, Place, Template, read_template
from store.templates.effective import Effective, document_of
from store.templates.library import NAME
from store.templates.loose import Lone, foreign, loose
from store.templates.parameters import parameters_of
from store.times import now_ms
from store.yaml import YamlError, load

_SUFFIXES = (".yaml", ".yml", ".json")
_INDEX = ("main", "index")
"""A document of this name is called by its folder."""


@dataclass(frozen=True)
class Refused:
    """A file that was not imported."""

    file: str
    line: int
    reason: str
    """One sentence, and what to do."""


@dataclass(frozen=True)
class Taken:
    """A document that is in the store now."""

    name: str
    version: int
    new: bool
    """False when the newest version was like this already."""
    records: int
    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    """What is odd about it, and where the clients differ."""


@dataclass(frozen=True)
class Imported:
    """What an import came to."""

    taken: tuple[Taken, ...]
    refused: tuple[Refused, ...]
    skipped: int = 0
    """YAML and JSON files that are no configuration at all."""
    oids: Mapping[str, str] = field(default_factory=dict)
    """Template -> the oid that its place in the repository names (`orgs/OID/index.yaml`)."""


def import_templates(
    path: Path, *, root: Path, store: Store, name: str | None = None, by: str = ""
) -> Imported:
    """Take a document, or every document of a directory, into the store; each is one template.

    Of a directory those are taken that no other one includes. A file that is one whole rule becomes a
    template with that rule; a part of a rule is refused.

    Args:
        root: nothing outside it is read.
        name: of the template, for one document; made from its path when None.

    Returns:
        What was taken and what was refused. What is refused changes nothing; the others are written in one
        transaction, with an entry in the journal each.

    Raises:
        ValueError: the name cannot be one.
    """
    if name is not None and not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a template: up to 128 characters, without a break.")
    base = root.resolve()
    mains = [path.resolve()] if path.is_file() else _documents(path)
    read = {main: _read(base, main) for main in (each.relative_to(base).as_posix() for each in mains)}
    included = {
        file for main, made in read.items() if made.template for file in made.template.files if file != main
    }
    taken: list[Taken] = []
    refused: list[Refused] = []
    oids: dict[str, str] = {}
    skipped = 0
    with store.writing() as connection:
        for main, made in read.items():
            if main in included and path.is_dir():
                continue
            if made.refused is not None:
                refused.append(made.refused)
            elif made.template is None:
                skipped += 1
            else:
                called = name or _called(main)
                taken.append(_keep(connection, called, made.template, made.files, str(base), by))
                oid = _organization_in(main)
                if oid:
                    oids[called] = oid
    return Imported(tuple(taken), tuple(refused), skipped, oids)


def read_one(path: Path, root: Path) -> Template | Refused | None:
    """A document, or a file that is one whole rule, as an import would take it; None when it is neither.

    Args:
        root: nothing outside it is read; the file is below it.
    """
    base = root.resolve()
    made = _read(base, path.resolve().relative_to(base).as_posix())
    return made.refused or made.template


def _documents(directory: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(directory.resolve()):
        # Hidden folders are the version control's and the forge's.
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found += [Path(parent) / each for each in sorted(names) if each.endswith(_SUFFIXES)]
    return found


@dataclass(frozen=True)
class _Made:
    template: Template | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: Refused | None = None


def _read(base: Path, main: str) -> _Made:
    """What one file makes; one that is no longer there, or that nobody may read, is refused as any other."""
    try:
        return _read_whole(base, main)
    except OSError as error:
        return _Made(refused=Refused(main, 1, f"The file cannot be read: {error.strerror}. {_NONE}"))


def _read_whole(base: Path, main: str) -> _Made:
    if not stat.S_ISREG((base / main).stat().st_mode):
        return _Made()  # whoever opens a pipe waits for somebody to write
    content = (base / main).read_bytes()
    try:
        read = load(content)
    except YamlError as error:
        line = error.problem.line
        return _Made(
            refused=Refused(main, line, _two_things(content, line) or f"{error.problem.text} {_NONE}")
        )
    document = read.value
    is_what = loose(document, Path(main).stem)
    if isinstance(is_what, Lone):
        return _rule(main, is_what)
    if is_what is not None:
        line = read.key_line(is_what.key) if is_what.key else read.line()
        return _Made(refused=Refused(main, line, is_what.reason))
    if not isinstance(document, dict) or "version" not in document or foreign(document):
        return _Made()
    template = read_template(base, main)
    wrong = next((each for each in template.findings if each.severity == "error"), None)
    if wrong is None:
        wrong = next(iter(parameters_of(template)[1]), None)
    if wrong is None and not template.records and not template.ours and _ignored(template):
        wrong = _ignored(template)
    if wrong is not None:
        remedy = f" {wrong.remedy}" if wrong.remedy else ""
        more = sum(each.severity == "error" for each in template.findings) - 1
        others = f" The document has {more:,} more error{'s' if more > 1 else ''}." if more > 0 else ""
        return _Made(refused=Refused(wrong.place.file, wrong.place.line, wrong.text + remedy + others))
    return _Made(template, {file: (base / file).read_bytes() for file in template.files})


_NONE = "Nothing of it was read."


def _two_things(content: bytes, line: int) -> str:
    """What to say of a file of two rules, or of a list behind a mapping; "" when it is neither."""
    lines = content.decode("utf-8", "replace").splitlines()
    key = re.match(r"(detect|respond):", lines[line - 1]) if 0 < line <= len(lines) else None
    if key and any(each.startswith(key[0]) for each in lines[: line - 1]):
        return (
            "Here a second rule begins, and of two keys of one name a client takes the last, unsaid. "
            f"Give each rule a file of its own. {_NONE}"
        )
    if not 0 < line <= len(lines) or not lines[line - 1].startswith("- "):
        return ""
    if not any(re.match(r"[^\s#-][^#]*:(\s|$)", each) for each in lines[: line - 1]):
        return ""
    return (
        "Here a list begins beside a mapping, and a file can only be one of them. If it is a condition and "
        f"its response, write them below `detect:` and `respond:`. {_NONE}"
    )


def _ignored(template: Template) -> Finding | None:
    """Why a document comes to nothing, where it seems to hold something."""
    return next((each for each in template.findings if "silently ignored" in each.text), None)


def _rule(main: str, rule: Lone) -> _Made:
    """A whole rule on its own, as the document that it would have to be."""
    from store.templatefile import dumped
    from store.templates.documents import resolve
    from store.templates.lint import lint

    text = dumped({"version": 3, "hives": {rule.hive: {rule.name: dict(rule.record)}}}).encode()
    files = {main: text}

    def content(path: str) -> bytes:
        return files[path]

    template = resolve(main, content)
    wrong = next((each for each in template.findings if each.severity == "error"), None)
    if wrong is not None:
        return _Made(refused=Refused(main, 1, wrong.text))
    metadata = rule.record["usr_mtd"]
    state = "enabled" if metadata.get("enabled") is True else "disabled"
    # The places are of the document that was made of the file, so a finding is of the file as a whole.
    top = Place(main, 1)
    findings = [Finding("info", top, f"This is one rule; it is taken as {rule.hive}/{rule.name}, {state}.")]
    if rule.left:
        named = ", ".join(f"`{key[:60]}`" for key in rule.left[:8])
        findings.append(Finding("warning", top, f"A record of a rule has no {named}: left out."))
    findings += [replace(each, place=top) for each in lint(template) if each.severity != "info"]
    return _Made(replace(template, findings=tuple(findings)), files)


def _called(main: str) -> str:
    """What a document is called: its path, without what every path has."""
    path = main.rsplit(".", 1)[0]
    folder, _, last = path.rpartition("/")
    return folder if last in _INDEX and folder else path


def _organization_in(main: str) -> str:
    """The oid that a path of the layout of ext-git-sync names; "" when it names none."""
    import uuid

    parts = main.split("/")
    if len(parts) < 3 or parts[-3] != "orgs":
        return ""
    try:
        return str(uuid.UUID(parts[-2]))
    except ValueError:
        return ""


def _keep(
    connection: Connection, name: str, template: Template, files: Mapping[str, bytes], source: str, by: str
) -> Taken:
    now, records = now_ms(), len(template.records)
    version, new = library.put(connection, name, template.main, files, source=source, by=by, now=now)
    if new:
        detail = {"version": version, "files": sorted(files), "records": records}
        append(connection, actor(), "template.import", target=name, detail=detail, now=now)
    return Taken(name, version, new, records, template.files, template.findings)


def assign(node: str, name: str, *, store: Store, by: str = "") -> bool:
    """Put a template on a node; whether it was not there yet.

    Raises:
        UnknownTemplate: there is no template of that name.
    """
    now = now_ms()
    with store.writing() as connection:
        done = library.assign(connection, node, name, by=by, now=now)
        if done:
            append(connection, actor(), "template.assign", target=name, detail={"node": node}, now=now)
    return done


def unassign(node: str, name: str, *, store: Store) -> bool:
    """Take a template off a node; whether it was there."""
    with store.writing() as connection:
        done = library.unassign(connection, node, name)
        if done:
            append(connection, actor(), "template.unassign", target=name, detail={"node": node})
    return done


# Written out


class NotEmpty(Exception):
    """The directory to write into has something in it already."""


def export(effectives: Mapping[str, Effective], directory: Path) -> list[str]:
    """Write one document an organization, `orgs/OID/index.yaml`, that says the whole of it without includes.

    That is the layout of LimaCharlie's ext-git-sync, and the official client pushes each as it is.

    Args:
        effectives: by oid.

    Returns:
        The paths that were written, below the directory.

    Raises:
        NotEmpty: the directory is there and not empty.
        OSError: it cannot be written.
    """
    from store.templatefile import dumped

    files = {
        f"orgs/{oid}/index.yaml": dumped(document_of(each.record for each in found.records.values()))
        for oid, found in sorted(effectives.items())
    }
    _write_directory(directory, files)
    return list(files)


TERRAFORM_HEADER = (
    "Effective configuration of each organization. There is no Terraform provider for LimaCharlie that this "
    "could be bound to: these are locals, for modules of one's own."
)


def terraform(effectives: Mapping[str, Effective], directory: Path) -> list[str]:
    """Write one `OID.tf.json` an organization, whose `locals` hold its effective configuration.

    Args, Returns, Raises: as `export`.
    """
    files = {}
    for oid, found in sorted(effectives.items()):
        document = document_of(each.record for each in found.records.values())
        # Terraform reads `${` and `%{` in any text as its own.
        held = {
            "//": TERRAFORM_HEADER,
            "locals": {f"limacharlie_{oid.replace('-', '_')}": _escaped(document)},
        }
        files[f"{oid}.tf.json"] = json.dumps(held, indent=2, ensure_ascii=False, sort_keys=False) + "\n"
    _write_directory(directory, files)
    return list(files)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return {_escaped(name): _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return value


def _write_directory(directory: Path, files: Mapping[str, str]) -> None:
    """All of the files or none: they are written beside, and moved there as a whole."""
    directory = directory.resolve()  # of a link, what it points to is filled
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise NotEmpty(str(directory))
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".limegrove-") as beside:
        made = Path(beside) / "made"
        made.mkdir(mode=0o700)
        for name, text in files.items():
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_text(text, "utf-8")
            target.chmod(0o600)
        if directory.exists():
            directory.rmdir()
        made.rename(directory)
