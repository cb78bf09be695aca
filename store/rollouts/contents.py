"""The contents behind a change, as they may be shown: secrets are digests on both sides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from store import models
from store.bodies import unpack
from store.configuration import SECRET_MARK, content_hash, redact
from store.rollouts import work
from store.rollouts.compare import has_secret, normalised, normalised_metadata
from store.rollouts.plans import Change
from store.rollouts.wanted import Placed, body_of
from store.templates import library

_STEP: Table = models.RolloutStep.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]


def before_of(connection: Connection, change: Change) -> tuple[Any, dict[str, Any]]:
    """What is there, in the form in which it is compared, and its metadata; None when nothing is."""
    if change.before is None:
        return None, normalised_metadata(None)
    return _read(connection, change, change.before.body), dict(change.before.metadata)


def wanted_of(placed: Placed, change: Change, key: bytes) -> tuple[Any, dict[str, Any]]:
    """What is wanted, in the same form.

    Args:
        key: the installation's redaction key: a secret is shown as what the store would have for it.
    """
    if change.after is None:
        return None, normalised_metadata(None)
    body, metadata = body_of(placed, change.key)
    form = normalised(change.section, change.name, body)
    return redact(change.section, form, key), normalised_metadata(metadata)


@dataclass(frozen=True)
class Both:
    """A record before and after, as documents have it; None on a side where there is none."""

    before: Any
    after: Any
    note: str = ""
    """What is not in it, in a sentence; "" when all of it is."""


NO_KEY = bytes(32)
"""Where there is no key: what is digested under it is never shown or compared."""
GONE = "What this plan wants is not kept: templates or parameters changed since."
UNREAD = "What is there was never read whole."


def both_of(connection: Connection, change: Change, *, key: bytes | None, undo_of: int | None = None) -> Both:
    """A change as it may be shown: from what was read, and what the templates say now.

    Args:
        key: the installation's redaction key; without it a secret in a template is not compared.
        undo_of: the plan that is taken back, when it is one.
    """
    notes: list[str] = []
    before = after = None
    if change.before is not None:
        before = _read(connection, change, change.before.body) or _read(
            connection, change, change.before.hash
        )
        if before is None:
            notes.append(UNREAD)
    comparable = True
    if change.after is not None:
        after = _read(connection, change, change.after.hash)
        if after is None and undo_of is not None:
            after = _kept(connection, change, undo_of)
        if after is None and undo_of is None:
            after, comparable = _templates(connection, change, key)
        if after is None:
            notes.append(GONE)
    if not comparable:
        notes.append("Secrets are not compared here.")
    return Both(
        _document(change, before, change.before.metadata if change.before else None, comparable),
        _document(change, after, change.after.metadata if change.after else None, comparable),
        " ".join(notes),
    )


def _read(connection: Connection, change: Change, digest: str) -> Any:
    held = connection.execute(select(_CONTENT.c.body).where(_CONTENT.c.hash == digest)).scalar_one_or_none()
    return None if held is None else normalised(change.section, change.name, json.loads(unpack(held)))


def _kept(connection: Connection, change: Change, undo_of: int) -> Any:
    """What there was before the plan that is taken back."""
    previous = connection.execute(
        select(_STEP.c.previous).where(
            _STEP.c.plan_id == undo_of, _STEP.c.oid == change.oid, _STEP.c.section == change.section,
            _STEP.c.name == change.name,
        )
    ).scalar_one_or_none()  # fmt: skip
    kept = work.body(connection, previous) if previous else None
    if not kept or kept["body"] is None:
        return None
    return normalised(change.section, change.name, kept["body"])


def _templates(connection: Connection, change: Change, key: bytes | None) -> tuple[Any, bool]:
    """What the templates say now, where that is what is wanted; and whether all of it can be compared."""
    want = library.effective_of(connection, change.oid).records.get(change.key)
    if want is None or change.after is None:
        return None, True
    found = redact(change.section, normalised(change.section, change.name, want.record.body), key or NO_KEY)
    if key is None and has_secret(found):
        return found, False
    return (found, True) if content_hash(found) == change.after.hash else (None, True)


def _document(change: Change, body: Any, metadata: Mapping[str, Any] | None, comparable: bool) -> Any:
    if body is None:
        return None
    body = told(body, comparable)
    if not change.section.startswith("hive/"):
        return body
    return {"data": body, **({"usr_mtd": dict(metadata)} if metadata is not None else {})}


def told(value: Any, comparable: bool) -> Any:
    """Digests of secrets as words.

    Args:
        comparable: whether they were made with the installation's key, so that the same secret has the same.
    """
    if isinstance(value, Mapping):
        if set(value) == {SECRET_MARK}:
            return f"(secret {str(value[SECRET_MARK])[-8:]})" if comparable else "(secret)"
        return {name: told(each, comparable) for name, each in value.items()}
    return [told(each, comparable) for each in value] if isinstance(value, list) else value
