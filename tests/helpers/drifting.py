"""A small provider whose customers are, or are not, as its templates want them."""

import json
from collections.abc import Mapping
from typing import Any

from store import ingest
from store.configuration import Record
from store.database import Store
from store.templates import library
from tests.helpers.screens import CUSTOMERS, NOW, oid_of

KEY = b"k" * 32
DAY = 86_400_000
ON: dict[str, Any] = {"enabled": True}


def rule(value: str) -> dict[str, Any]:
    return {"op": "is", "path": "cat", "value": value}


def document(**rules: tuple[dict[str, Any], dict[str, Any] | None]) -> bytes:
    """A template with false positive rules: name -> (content, metadata or None)."""
    fp = {
        name: {"data": body} | ({} if metadata is None else {"usr_mtd": metadata})
        for name, (body, metadata) in rules.items()
    }
    return json.dumps({"version": 3, "hives": {"fp": fp}}).encode()


def template(
    store: Store, name: str = "base", node: str = "root", content: bytes = b"", now: int = NOW
) -> None:
    """Take a template into the store, and put it on a node."""
    with store.writing() as connection:
        library.put(connection, name, "main.yaml", {"main.yaml": content}, now=now)
        library.assign(connection, node, name, now=now)


def observed(
    store: Store,
    number: int,
    records: Mapping[str, tuple[dict[str, Any], dict[str, Any]]],
    *,
    section: str = "hive/fp",
    at: int = NOW - 3_600_000,
    author: str = "",
) -> None:
    """A customer's section as it was read."""
    with store.writing() as connection:
        found = {
            name: Record(body=body, metadata=metadata, etag=f"{name}.{at}", author=author)
            for name, (body, metadata) in records.items()
        }
        ingest.put_configuration(connection, oid_of(number), section, found, at)
        ingest.put_sync_state(connection, oid_of(number), "configuration", checked_at=at, attempted_at=at)


WANTED = {"first": (rule("a"), ON), "second": (rule("b"), ON), "third": (rule("c"), ON)}


def drifted(store: Store) -> None:
    """Five customers: as wanted, one record changed and one missing, one off, one extra, never read."""
    template(store, content=document(**WANTED))
    observed(store, 0, WANTED)
    changed = {"first": (rule("other"), ON), "third": WANTED["third"]}
    observed(store, 1, changed, at=NOW - 7_200_000, author="lee@acme.example")
    observed(store, 2, {**WANTED, "second": (rule("b"), {"enabled": False})})
    observed(store, 3, {**WANTED, "local": (rule("mine"), ON)})
    assert len(CUSTOMERS) == 5
