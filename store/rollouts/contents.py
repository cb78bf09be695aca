"""The contents behind a change, as they may be shown: secrets are digests on both sides."""

import json
from typing import Any

from sqlalchemy import Connection, Table, select

from store import models
from store.bodies import unpack
from store.configuration import redact
from store.rollouts.compare import normalised, normalised_metadata
from store.rollouts.plans import Change
from store.rollouts.wanted import Placed, body_of

_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]


def before_of(connection: Connection, change: Change) -> tuple[Any, dict[str, Any]]:
    """What is there, in the form in which it is compared, and its metadata; None when nothing is."""
    if change.before is None:
        return None, normalised_metadata(None)
    held = connection.execute(
        select(_CONTENT.c.body).where(_CONTENT.c.hash == change.before.body)
    ).scalar_one_or_none()
    body = None if held is None else json.loads(unpack(held))
    return normalised(change.section, change.name, body), dict(change.before.metadata)


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
