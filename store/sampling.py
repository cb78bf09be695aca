"""What a bulk decision looks at first: some members at random, and every one that is unlike the others."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Table, select

from store import models
from store.alerts import SEVERITIES
from store.bodies import unpack
from store.errors import StoreDamaged
from store.observables import event_words
from store.queries import alerts
from store.queries.alerts import AlertRow
from store.text import Untrusted

FIELDS: Final[tuple[str, ...]] = ("severity", "host", "user", "path", "hash", "command_line")
"""What members are compared by; the last four are read from the detection itself."""

READ: Final = 20_000
"""Members that are looked at; `Sample.examined` says so where there are more."""

LISTED: Final = 500
"""Outliers that are listed; the others are counted."""

_USUAL: Final = 5
_COVER: Final = 0.9
_CHUNK: Final = 500

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Usual:
    """What the members have in a field: one value that more than half share, or a few that nearly all do."""

    field: str
    """Of FIELDS."""
    values: tuple[tuple[Untrusted, int], ...]
    """(value, members), the most common first; "" is a member without one. Empty when they have all sorts."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not what the members usually have there."""

    field: str
    value: Untrusted
    members: int
    """How many have it."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A member that is unlike the others."""

    row: AlertRow
    differs: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at a selection before something is done to all of it."""

    total: int
    examined: int
    organizations: Mapping[str, int]
    """Members per oid."""
    usual: tuple[Usual, ...]
    members: tuple[AlertRow, ...]
    """Random ones."""
    outliers: tuple[Outlier, ...]
    """Those that differ in most fields first, then the worst and newest; at most LISTED."""
    outliers_total: int
    held: Mapping[str, int]
    """Who has how many of the open ones; without those that nobody has."""


def sample_of(c: Connection, ids: Sequence[int], count: int, *, seed: int | None = None) -> Sample:
    """Look at some alerts.

    Args:
        ids: of the alerts.
        count: how many random members to show.
        seed: makes the choice the same again; None for any.
    """
    chance = random.Random(seed)  # noqa: S311  (a sample, not a secret)
    looked_at = list(ids) if len(ids) <= READ else sorted(chance.sample(list(ids), READ))
    values: dict[int, tuple[str, ...]] = {}
    organizations: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for at in range(0, len(ids), _CHUNK):
        query = select(_D.c.oid, _D.c.assignee, _D.c.status).where(_D.c.id.in_(ids[at : at + _CHUNK]))
        for row in c.execute(query):
            organizations[row.oid] += 1
            if row.assignee and row.status < 2:
                held[row.assignee] += 1
    for at in range(0, len(looked_at), _CHUNK):
        values.update(_values(c, looked_at[at : at + _CHUNK]))
    spelled: dict[tuple[int, str], str] = {}
    folded: dict[int, tuple[str, ...]] = {}
    for id_, some in values.items():
        keys = tuple(" ".join(value.split()).casefold() for value in some)
        folded[id_] = keys
        for place, key in enumerate(keys):
            spelled.setdefault((place, key), some[place])
    counts = [Counter(keys[place] for keys in folded.values()) for place in range(len(FIELDS))]
    common = [_common(count_) for count_ in counts]
    unlike = {
        id_: [place for place, key in enumerate(keys) if common[place] and key not in common[place]]
        for id_, keys in folded.items()
    }
    odd = [id_ for id_, places in unlike.items() if places]
    odd.sort(key=lambda id_: (-len(unlike[id_]), id_))
    chosen = chance.sample(sorted(values), min(count, len(values)))
    rows = {row.id: row for row in alerts.rows_of(c, [*odd[:LISTED], *chosen])}
    outliers = [
        Outlier(
            rows[id_],
            tuple(
                Difference(
                    FIELDS[place],
                    Untrusted(spelled[place, folded[id_][place]]),
                    counts[place][folded[id_][place]],
                )
                for place in unlike[id_]
            ),
        )
        for id_ in odd[:LISTED]
        if id_ in rows
    ]
    outliers.sort(key=lambda each: (-len(each.differs), -each.row.severity, -each.row.time, each.row.id))
    return Sample(
        total=len(ids),
        examined=len(values),
        organizations=dict(organizations),
        usual=tuple(
            Usual(name, tuple((Untrusted(spelled[place, key]), counts[place][key]) for key in common[place]))
            for place, name in enumerate(FIELDS)
        ),
        members=tuple(rows[id_] for id_ in chosen if id_ in rows),
        outliers=tuple(outliers),
        outliers_total=len(odd),
        held=dict(held),
    )


def _common(counts: Counter[str]) -> tuple[str, ...]:
    """What more than half have; else the few values that nearly all have; else nothing."""
    whole = counts.total()
    covered = 0
    found: list[str] = []
    for value, count in counts.most_common(_USUAL):
        found.append(value)
        covered += count
        if (len(found) == 1 and covered * 2 > whole) or covered >= whole * _COVER:
            return tuple(found)
    return ()


def _values(c: Connection, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    query = (
        select(_D.c.id, _D.c.severity, _D.c.hostname, _BODY.c.body)
        .outerjoin(_BODY, _BODY.c.detection_id == _D.c.id)
        .where(_D.c.id.in_(ids))
    )
    found: dict[int, tuple[str, ...]] = {}
    for row in c.execute(query):
        words = event_words(_record(row.body))
        found[row.id] = (
            SEVERITIES[row.severity], row.hostname or words.host, words.user, words.path, words.hash,
            words.command_line,
        )  # fmt: skip
    return found


def _record(body: bytes | None) -> Mapping[str, Any]:
    """The detection; {} for one that cannot be read."""
    try:
        read = orjson.loads(unpack(body)) if body is not None else {}
    except (orjson.JSONDecodeError, StoreDamaged):
        return {}
    return read if isinstance(read, dict) else {}
