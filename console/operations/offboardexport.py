"""What is kept of a customer that leaves: one private directory, whose every file is in a list of digests.

Secrets are not in it, for they are not in the store: where one was, `SECRET_WAS_HERE` stands.
Nothing in it is another organization's.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Table, select
from sqlmodel import SQLModel

from store.bodies import unpack
from store.configuration import SECRET_MARK, not_permitted
from store.rollouts.compare import normalised, observed_name
from store.templatefile import dumped
from store.templates.documents import Place, Record
from store.templates.effective import document_of
from store.times import rfc3339

if TYPE_CHECKING:
    from store.database import Reader

MANIFEST: Final = "manifest.json"
DIGESTS: Final = "SHA256SUMS"
"""As `sha256sum --check` reads it."""
GROUPS: Final = "access/groups.jsonl"
SECRET_WAS_HERE: Final = "hive://secret/SECRET_WAS_HERE"  # noqa: S105  (what stands in its place)

_TABLES: Final = SQLModel.metadata.tables
_PRIVATE: Final = 0o600

HELD_BACK: Final = (
    "secrets: keys, tokens and passwords are not in the store; each of them has to be made anew",
    "the contents of the secret hive: its names are in records.jsonl",
    "events and artifacts: LimaCharlie keeps them in the organization's own retention",
)


def write(reader: "Reader", oid: str, directory: Path, *, now: int, run: int, since: int) -> dict[str, Any]:
    """Write everything that the store knows of an organization; answers the manifest.

    The directory (0700) and its files (0600) are the user's alone. What was there of an earlier try is
    written over; the manifest and the digests come last, so that whoever finds them finds all of it.

    Args:
        run: the number of the run that it is written by.
        since: when what it rests on was begun to be read (ms): what was read before is not complete.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    for name in (MANIFEST, DIGESTS):
        (directory / name).unlink(missing_ok=True)
    files: dict[str, dict[str, Any]] = {}
    with reader.reading() as c:
        name = c.execute(select(_TABLES["organization"].c.name).where(_of("organization", oid))).scalar_one()
        state = _TABLES["sync_state"]
        states = {
            (row.oid, row.subject): row for row in c.execute(select(state).where(state.c.oid.in_((oid, ""))))
        }
        has_cases = _has_cases(c, oid)
        for path, subject, what, lines in _files(c, oid):
            count = _put(directory / path, lines)
            read = states.get((oid, subject))
            if subject == "cases" and not has_cases:
                # Unsubscribing deletes them: there is nothing to read any more.
                subject = ""
            why = _why_not(subject, read, states.get(("", subject)), since) if subject else ""
            files[path] = {
                "what": what,
                "records": count,
                "read_at": rfc3339(read.checked_at) if read is not None else None,
                "complete": not why,
                # Of configuration that is read, which sections this credential may not see.
                "reason": why or (read.reason if read is not None else ""),
            }
            if path == GROUPS:
                # Whom a group has is no organization's own, and is read with the listing of all groups.
                listed_at = states.get(("", "groups"))
                files[path]["people_read_at"] = rfc3339(listed_at.checked_at) if listed_at else None
        manifest = {
            "limegrove": 1, "kind": "offboarding", "oid": oid, "name": name, "run": run,
            "exported_at": rfc3339(now), "files": files, "not_in_it": list(HELD_BACK),
        }  # fmt: skip
    _put(directory / MANIFEST, [json.dumps(manifest, indent=2, ensure_ascii=False).encode()])
    listed = sorted([*files, MANIFEST])
    sums = [f"{_digest(directory / path)}  {path}".encode() for path in listed]
    _put(directory / DIGESTS, sums)
    _sync(directory)
    return manifest


def _why_not(subject: str, read: Any, everywhere: Any, since: int) -> str:
    """Why what was read of a subject is not all that there is, in a sentence without its end; "" when it is.

    Args:
        read: its row of `sync_state`; None where it was never read.
        everywhere: the same of all organizations together, which says why a host did not answer.
        since: milliseconds, UTC.
    """
    if read is not None and read.failure:
        return str(read.reason)
    if read is not None and read.checked_at is not None and read.checked_at >= since:
        # What this credential never sees is named; what was turned away for the moment is asked for again.
        doubtful = sorted(not_permitted(read.reason) & set(read.stale.split()))
        return f"these sections could not be read: {', '.join(doubtful)}" if doubtful else ""
    why = str(everywhere.reason) if everywhere is not None and everywhere.failure else ""
    if read is None or read.checked_at is None:
        return why or "it was never read"
    return why or f"it was read at {rfc3339(read.checked_at)} and not since"


def _has_cases(c: Connection, oid: str) -> bool:
    """Whether it keeps cases at all."""
    record = _TABLES["configuration_record"]
    here = (record.c.oid == oid, record.c.section == "extension", record.c.name == "ext-cases")
    return c.execute(select(record.c.id).where(*here, record.c.valid_to.is_(None))).first() is not None


def problem(directory: Path, oid: str, run: int) -> str:
    """Why a directory is not the whole export of a run; "" when it is."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text("utf-8"))
        lines = (directory / DIGESTS).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return "There is no export, or not all of it."
    if not isinstance(manifest, dict) or (manifest.get("oid"), manifest.get("run")) != (oid, run):
        return "There is another export in this directory."
    sums = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    if set(sums) != {*manifest.get("files", ()), MANIFEST}:
        return "The list of digests does not name every file."
    for path, digest in sums.items():
        try:
            if _digest(directory / path) != digest:
                return f"{path} is not what was exported."
        except OSError:
            return f"{path} is not there."
    return ""


def missing(manifest: Mapping[str, Any]) -> list[str]:
    """What could not be read of the cloud, a sentence each."""
    return [f"{path}: {file['reason']}" for path, file in manifest["files"].items() if not file["complete"]]


Lines = Iterable[bytes]


def _files(c: Connection, oid: str) -> Iterator[tuple[str, str, str, Lines]]:
    """(path, subject that it rests on, what it is, lines) of each file."""
    current = select(_TABLES["configuration_record"]).where(
        _of("configuration_record", oid), _TABLES["configuration_record"].c.valid_to.is_(None)
    )
    records = c.execute(current.order_by("section", "name")).all()
    bodies = _bodies(c, {row.hash for row in records})
    yield (
        "configuration/index.yaml", "configuration",
        "its configuration as LimaCharlie's infrastructure document",
        [dumped(_document(records, bodies)).encode()],
    )  # fmt: skip
    yield (
        "configuration/records.jsonl", "configuration", "every record, with metadata, author and time",
        (
            _json(
                {
                    "section": row.section, "name": row.name, "data": _plain(bodies[row.hash]),
                    "metadata": row._mapping["metadata"], "enabled": row.enabled, "author": row.author,
                    "modified": rfc3339(row.modified),
                }
            )
            for row in records
        ),
    )  # fmt: skip
    yield "access/users.jsonl", "access", "who is granted what directly", _rows(c, "direct_permission", oid)
    yield (
        GROUPS,
        "access",
        "groups that hold it; of shared ones not who else is in them",
        _groups(c, oid),
    )
    yield "access/keys.jsonl", "keys", "API keys, without the keys", _rows(c, "api_key", oid)
    yield "sensors.jsonl", "sensors", "sensors as they were listed", _rows(c, "sensor", oid)
    yield "alerts/detections.jsonl", "detections", "detections as they were received", _detections(c, oid)
    yield "alerts/triage.jsonl", "detections", "what was decided about each", _triage(c, oid)
    for table, what in (
        ("case_record", "cases"), ("case_event", "what happened to each, notes among it"),
        ("case_item", "entities, events and artifacts"), ("case_detection", "the alerts of each"),
    ):  # fmt: skip
        yield f"cases/{table}.jsonl", "cases", what, _rows(c, table, oid)
    yield "audit.jsonl", "audit", "its audit log, as far as it was read", _rows(c, "audit_entry", oid)
    yield "errors.jsonl", "errors", "standing errors", _rows(c, "organization_error", oid)
    yield "usage.jsonl", "usage", "usage by day", _rows(c, "usage", oid)
    yield "organization.jsonl", "organization", "its own record", _rows(c, "organization", oid)
    if "customer_document" in _TABLES:
        yield "customer.jsonl", "", "contacts, service hours, notes", _rows(c, "customer_document", oid)
    journal = _TABLES["journal"]
    entries = select(journal).where(journal.c.oid == oid).order_by(journal.c.seq)
    yield (
        "journal.jsonl", "", "what this installation did to it",
        (_json(dict(row._mapping)) for row in c.execute(entries)),
    )  # fmt: skip


def _of(table: str, oid: str) -> Any:
    return _TABLES[table].c.oid == oid


def _rows(c: Connection, name: str, oid: str) -> Lines:
    table: Table = _TABLES[name]
    keys = list(table.primary_key.columns)
    for row in c.execute(
        select(table).where(table.c.oid == oid).order_by(*keys), execution_options={"yield_per": 500}
    ):
        yield _json({key: _readable(value) for key, value in row._mapping.items()})


def _readable(value: Any) -> Any:
    if not isinstance(value, bytes):
        return _plain(value)
    return json.loads(unpack(value))


def _groups(c: Connection, oid: str) -> Lines:
    """Of a group that holds others too, only the people who are this organization's own users are named."""
    group, holds = _TABLES["organization_group"], _TABLES["group_organization"]
    member, direct = _TABLES["group_member"], _TABLES["direct_permission"]
    rows = select(group).join(holds, holds.c.gid == group.c.gid).where(holds.c.oid == oid)
    users = set(c.execute(select(direct.c.email).where(direct.c.oid == oid)).scalars())
    for row in c.execute(rows.order_by(group.c.gid)).all():
        people = c.execute(select(member).where(member.c.gid == row.gid).order_by(member.c.email)).all()
        alone = set(c.execute(select(holds.c.oid).where(holds.c.gid == row.gid)).scalars()) == {oid}
        named = [each for each in people if alone or each.email in users]
        yield _json(
            {
                "gid": row.gid, "name": row.name, "permissions": row.permissions, "people": len(people),
                "members": [each.email for each in named if not each.owner],
                "owners": [each.email for each in named if each.owner],
            }
        )  # fmt: skip


def _detections(c: Connection, oid: str) -> Lines:
    detection, body = _TABLES["detection"], _TABLES["detection_body"]
    rows = select(body.c.body).join(detection, detection.c.id == body.c.detection_id)
    ordered = rows.where(detection.c.oid == oid).order_by(detection.c.id)
    for (packed,) in c.execute(ordered, execution_options={"yield_per": 500}):
        yield b" ".join(unpack(packed).splitlines())


def _triage(c: Connection, oid: str) -> Lines:
    table = _TABLES["detection"]
    for row in c.execute(
        select(table).where(table.c.oid == oid).order_by(table.c.id), execution_options={"yield_per": 500}
    ):
        found = dict(row._mapping)
        for ours in ("id", "fold_id", "version", "rank"):
            found.pop(ours, None)
        yield _json(found)


def _bodies(c: Connection, hashes: set[str]) -> dict[str, Any]:
    table = _TABLES["configuration_body"]
    found: dict[str, Any] = {}
    listed = sorted(hashes)
    for at in range(0, len(listed), 500):
        rows = c.execute(select(table).where(table.c.hash.in_(listed[at : at + 500])))
        found.update((row.hash, json.loads(unpack(row.body))) for row in rows)
    return found


def _document(records: Iterable[Any], bodies: Mapping[str, Any]) -> dict[str, Any]:
    """The records that a document may have, in its own words."""
    found = []
    for row in records:
        if row.section == "hive/secret":
            continue
        body = _plain(bodies[row.hash])
        hive = row.section.startswith("hive/")
        name = observed_name(row.section, row.name, body)
        found.append(
            Record(
                row.section,
                name,
                body if hive else normalised(row.section, name, body),
                dict(row._mapping["metadata"]) if hive else None,
                Place("", 0),
            )
        )
    return document_of(found)


def _plain(value: Any) -> Any:
    """Data without the digests that stand for secrets."""
    if isinstance(value, Mapping):
        if set(value) == {SECRET_MARK}:
            return SECRET_WAS_HERE
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, default=str).encode()


def _put(path: Path, lines: Lines) -> int:
    """Write a file whole, the user's alone; answers how many lines."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    count = 0
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _PRIVATE)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, _PRIVATE)
        for line in lines:
            file.write(line if line.endswith(b"\n") else line + b"\n")
            count += 1
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
    return count


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
