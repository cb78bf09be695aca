"""What is decided about drift, and observed records taken into templates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from console.operations.actor import actor
from store import drift as rules
from store import models
from store.bodies import unpack
from store.database import Store
from store.drift import CannotDecide, Decision, Drift
from store.journal import append
from store.queries import drift as queries
from store.rollouts.compare import has_secret, normalised
from store.rollouts.plans import UNREADABLE
from store.templatefile import CommentsLost, TemplateError, dumped, with_record
from store.templates import library
from store.templates.documents import Key, Place, Record, Template
from store.templates.effective import document_of
from store.times import now_ms
from store.yaml import load

_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]


class Refused(Exception):
    """It is not done; the text is the sentence for the operator."""


def decide(
    store: Store,
    drift: Drift,
    decision: Decision,
    *,
    until: int | None = None,
    reason: str,
    by: str = "",
    key: bytes | None,
    now: int | None = None,
) -> Drift:
    """Decide about a deviation, if it still is what was looked at; with an entry in the journal.

    Args:
        drift: as it was shown.
        until: of accept (ms); None for good.
        key: the installation's redaction key.

    Returns:
        The deviation with what was decided.

    Raises:
        Refused: it means nothing, or the record changed meanwhile.
    """
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        again = _now(connection, drift.oid, drift.key, key=key, now=moment)
        if again is None or again.seen != drift.seen or again.drift != drift.drift:
            raise Refused(f"{drift.what} changed meanwhile; look at it again. Nothing was decided.")
        try:
            rules.decide(
                connection, again, decision, until=until, reason=reason, by=by or actor(), now=moment
            )
        except CannotDecide as error:
            raise Refused(str(error)) from error
        append(
            connection,
            actor(),
            f"drift.{decision}",
            drift.oid,
            drift.what,
            {"class": again.drift, "until": until, "reason": reason.strip(), "seen": again.seen, "by": by},
            now=moment,
        )
        decided = _now(connection, drift.oid, drift.key, key=key, now=moment)
    assert decided is not None  # noqa: S101  (it deviates as before; only what is said of it changed)
    return decided


def undecide(store: Store, oid: str, record: Key, *, now: int | None = None) -> bool:
    """Take a decision back; whether there was one."""
    with store.writing() as connection:
        done = rules.undecide(connection, oid, record)
        if done:
            what = Drift(oid, *record, "changed", None, None).what
            append(connection, actor(), "drift.undecide", oid, what, now=now)
    return done


def _now(connection: Connection, oid: str, record: Key, *, key: bytes | None, now: int) -> Drift | None:
    return queries.at(queries.of_one(connection, oid, key=key, now=now), oid, record)


@dataclass(frozen=True)
class Promoted:
    """A record that is in a template now."""

    template: str
    version: int
    new: bool
    """False when the template had this very record."""
    record: str
    replaced: bool
    """Whether the template had another record of that name."""
    comments_kept: bool


def promote(
    store: Store, drift: Drift, template: str, *, by: str = "", rewrite: bool = False, now: int | None = None
) -> Promoted:
    """Make what an organization has the newest version of a template; a template of that name is made where
    there is none.

    Where the template's document names the record already it takes its place there; what the organization has
    of secrets is not known, so a record with one is refused.

    Args:
        drift: what is there, as `store.queries.drift` found it.
        rewrite: allow that the comments of the document are lost.

    Raises:
        Refused: nothing is there, it holds a secret, it comes from a document that is included, the name
            cannot be one, or comments would be lost.
    """
    if drift.before is None:
        raise Refused(f"{drift.what} is not there, so there is nothing to take into a template.")
    if not library.NAME.fullmatch(template):
        raise Refused("A template's name has up to 128 characters, without a break.")
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        record = _observed(connection, drift)
        try:
            held: Template | None = library.template(connection, template)
        except library.UnknownTemplate:
            held = None
        files = {} if held is None else library.files(connection, template)
        main = "main.yaml" if held is None else held.main
        before = None if held is None else held.records.get(record.key)
        if before is not None and before.place.file != main:
            raise Refused(
                f"{drift.what} stands in {before.place.file}, which {template} includes; change that file, "
                "and `limegrove template import` takes it."
            )
        text, kept = _written(files.get(main, b"").decode(), record, rewrite=rewrite)
        files[main] = text.encode()
        version, new = library.put(
            connection,
            template,
            main,
            files,
            source="" if held is None else "drift",
            by=by or actor(),
            now=moment,
        )
        if new:
            detail = {"version": version, "oid": drift.oid, "replaced": before is not None}
            append(
                connection,
                actor(),
                "drift.promote",
                drift.oid,
                f"{drift.what} into {template}",
                detail,
                now=moment,
            )
    return Promoted(template, version, new, drift.what, before is not None, kept)


def _observed(connection: Connection, drift: Drift) -> Record:
    """The record as a document has it."""
    before = drift.before
    assert before is not None  # noqa: S101  (asked by the caller)
    held = connection.execute(select(_CONTENT.c.body).where(_CONTENT.c.hash == before.body)).scalar_one()
    body = json.loads(unpack(held))
    if drift.section in UNREADABLE or has_secret(body):
        raise Refused(
            f"{drift.what} holds a secret, which is not in the store; write it into the template by hand, as "
            "a reference such as hive://secret/NAME."
        )
    if "${" in json.dumps(body):
        raise Refused(
            f"{drift.what} holds ${{...}}, which a template takes for a parameter; write it in by hand."
        )
    metadata: dict[str, Any] | None = None
    if drift.section.startswith("hive/"):
        said = dict(before.metadata)
        metadata = {"enabled": said.pop("enabled")} | {name: each for name, each in said.items() if each}
    else:
        body = normalised(drift.section, drift.name, body)
    return Record(drift.section, drift.name, body, metadata, Place("main.yaml", 1))


def _written(text: str, record: Record, *, rewrite: bool) -> tuple[str, bool]:
    """The document with the record in it, and whether its comments are there."""
    alone = document_of([record])
    if not text.strip():
        return dumped(alone), True
    if record.section.startswith("hive/"):
        value = alone["hives"][record.section[5:]][record.name]
        try:
            made = with_record(text, record.section[5:], record.name, value, replace=True, rewrite=rewrite)
        except CommentsLost as error:
            raise Refused(f"{error} --rewrite allows that.") from error
        except TemplateError as error:
            raise Refused(str(error)) from error
        return made.text, made.comments_kept
    document = _merged(load(text.encode()).value, alone)
    comments = any(line.lstrip().startswith("#") or " #" in line for line in text.splitlines())
    if comments and not rewrite:
        raise Refused("The document has comments, which would be lost. --rewrite allows that.")
    return dumped(document), not comments


def _merged(into: Any, more: Mapping[str, Any], depth: int = 0) -> Any:
    """A document with one more record: mappings are merged down to the record, which is replaced whole."""
    found = dict(into) if isinstance(into, Mapping) else {}
    for name, value in more.items():
        if isinstance(value, list) and depth == 0:
            there = list(found.get(name) or ())
            found[name] = [*there, *(each for each in value if each not in there)]
        elif isinstance(value, Mapping) and isinstance(found.get(name), Mapping) and depth == 0:
            found[name] = _merged(found[name], value, 1 if name not in ("exfil", "yara") else 0)
        else:
            found[name] = value
    return found
