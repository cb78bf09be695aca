"""Stores with the configuration of many organizations that share a template, built once and kept between runs.

Each organization has 300 false positive rules that the template `base` of the root wants. One in a hundred
records is not as wanted: changed, switched off or missing, by a seed; and every organization has one rule of
its own.
"""

import json
import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from benchmarks.kept import kept

RECORDS = 300
SEED = 20_261_129
SHARE = 100
"""One record in so many deviates."""
KEY = b"k" * 32
VERSION = 2
"""Of what is built here: one more whenever it changes."""


@dataclass(frozen=True)
class Held:
    """A store of so many organizations."""

    path: Path
    organizations: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"sqlite:///{self.path}"


def oid_of(number: int) -> str:
    """The oid of the organization of that number, from 0."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def document(changed: int | None = None) -> bytes:
    """The template; with one record of another content where `changed` names it."""
    fp = {
        f"r{number:03d}": {
            "data": rule("new" if number == changed else f"v{number}"),
            "usr_mtd": {"enabled": True},
        }
        for number in range(RECORDS)
    }
    return json.dumps({"version": 3, "hives": {"fp": fp}}).encode()


def rule(value: str) -> dict[str, Any]:
    """A rule of one condition."""
    return {"op": "is", "path": "cat", "value": value}


def held(organizations: int, *, drifted: bool) -> Held:
    """The fixture, made if it is not there yet (half a minute for ten thousand).

    Args:
        drifted: with deviations; without any, everything is as wanted.
    """
    name = f"configuration-{organizations}-{'drifted' if drifted else 'well'}"
    path, _ = kept(
        name, (VERSION, RECORDS, SEED, SHARE), lambda path: build(path, organizations, drifted=drifted)
    )
    return Held(path, organizations)


def build(path: Path, organizations: int, *, drifted: bool) -> None:
    """Fill a new store."""
    from store import ingest, models
    from store.bodies import pack
    from store.configuration import canonical, content_hash
    from store.database import Store
    from store.templates import library

    chance = random.Random(SEED)
    bodies = [rule(f"v{number}") for number in range(RECORDS)]
    others = [rule(f"other {number}") for number in range(RECORDS)]
    local = rule("local")
    hashes, other, own = (
        [content_hash(each) for each in bodies],
        [content_hash(each) for each in others],
        content_hash(local),
    )
    on, off = (
        json.dumps({"enabled": enabled, "expiry": 0, "tags": [], "comment": ""}) for enabled in (True, False)
    )

    def records() -> Any:
        for place in range(organizations):
            oid = oid_of(place)
            for number in range(RECORDS):
                draw = chance.randrange(3 * SHARE) if drifted else 3
                if draw == 0:
                    continue
                yield (
                    oid, f"r{number:03d}", other[number] if draw == 1 else hashes[number],
                    off if draw == 2 else on, draw != 2, f"{place:x}.{number:x}",
                )  # fmt: skip
            if drifted:
                yield oid, "local", own, on, True, f"{place:x}.l"

    with closing(Store(f"sqlite:///{path}")) as store, store.writing() as connection:
        rows = [{"oid": oid_of(number), "name": f"Organization {number}"} for number in range(organizations)]
        ingest.put_organizations(connection, rows, complete=True, now=1)
        nodes: list[dict[str, Any]] = [
            {
                "id": "root", "parent_id": None, "name": "all", "oid": None, "first": 0, "last": organizations,
                "depth": 0, "path": "",
            }
        ]  # fmt: skip
        nodes += [
            {
                "id": f"n{number}", "parent_id": "root", "name": row["name"], "oid": row["oid"],
                "first": number + 1, "last": number + 1, "depth": 1, "path": row["name"],
            }
            for number, row in enumerate(rows)
        ]  # fmt: skip
        plain: dict[str, Any] = {"labels": {}, "parameters": {}, "marks": []}
        connection.execute(insert(models.Node), [each | plain for each in nodes])
        states = {"subject": "configuration", "checked_at": 1, "cursor": "", "fingerprint": ""}
        empty = {"failure": "", "reason": "", "stale": ""}
        connection.execute(insert(models.SyncState), [{"oid": row["oid"], **states, **empty} for row in rows])
        library.put(connection, "base", "main.yaml", {"main.yaml": document()}, now=1)
        library.assign(connection, "root", "base", now=1)
        connection.execute(
            insert(models.ConfigurationBody),
            [
                {"hash": content_hash(each), "body": pack(canonical(each))}
                for each in (*bodies, *others, local)
            ],
        )
        raw: Any = connection.connection.driver_connection
        raw.executemany(
            "INSERT INTO configuration_record (oid, section, name, hash, metadata, enabled, etag, author, valid_from)"
            " VALUES (?, 'hive/fp', ?, ?, ?, ?, ?, '', 1)",
            records(),
        )
