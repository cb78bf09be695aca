"""What the provider's staff decided before the demo began: the same decisions that an operator makes.

A queue that nobody ever worked on is no provider's. So the alerts of the past were closed in their time,
each by a verdict that its severity makes likely, a few were left over, and of the shift that is on some are
claimed. The decisions go through `console.operations.triage`, dated back; nothing else can tell them apart.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from sqlalchemy import Table, select, text

from console.operations import triage
from store import models
from store.alerts import CLASSIFICATIONS
from store.database import Store
from store.triage import Selection

HOUR = 3_600_000
ON_DUTY = 2 * HOUR
"""Of the newest alerts: the shift that is on, which the operator takes part in."""
DAYS = 31
LEFT_OVER = 2
"""In a hundred: what nobody came to."""

FALSE, BENIGN, TRUE = range(3)
_LIKELY = {4: (30, 25), 3: (62, 22), 2: (84, 10), 1: (92, 6), 0: (97, 2)}
"""Severity -> of a hundred so many false positives, and so many true ones that were wanted."""
_COMMENTS = (
    "known noise, rule to be tuned",
    "confirmed with the customer: wanted",
    "contained, see the case",
)
_ALERT: Table = models.Detection.__table__  # type: ignore[attr-defined]


def play(store: Store, staff: Sequence[str], now: int) -> int:
    """Decide on what came before this shift; answers how many alerts were closed.

    Args:
        staff: the names by which the decisions are made.
        now: milliseconds, UTC.
    """
    closed = 0
    for number, (start, end) in enumerate(_windows(now)):
        operator = staff[number % len(staff)]
        with store.reader.reading() as connection:
            rows = connection.execute(
                select(_ALERT.c.id, _ALERT.c.detect_id, _ALERT.c.severity).where(
                    text("status = 0"), _ALERT.c.time >= start, _ALERT.c.time < end
                )
            ).all()
        verdicts: dict[int, list[int]] = {}
        for id_, detect_id, severity in rows:
            verdict = _verdict(detect_id, severity)
            if verdict is not None:
                verdicts.setdefault(verdict, []).append(id_)
        for verdict, ids in sorted(verdicts.items()):
            done = triage.close(
                store,
                operator,
                Selection(tuple(ids)),
                CLASSIFICATIONS.index("false_positive" if verdict == FALSE else "true_positive"),
                comment=_COMMENTS[verdict],
                benign=verdict == BENIGN,
                now=end,
            )
            closed += done.changed
    _claimed(store, staff, now)
    return closed


def _windows(now: int) -> Iterator[tuple[int, int]]:
    """(from, to) of each batch of decisions, oldest first: days, and near the present hours."""
    end = now - ON_DUTY
    for hours, size in ((DAYS * 24, 24), (72, 3)):
        start = end - hours * HOUR
        stop = end - 72 * HOUR if size == 24 else end
        while start < stop:
            yield start, min(start + size * HOUR, stop)
            start += size * HOUR


def _verdict(detect_id: str, severity: int) -> int | None:
    drawn = blake2b(detect_id.encode(), digest_size=8).digest()
    left, chance = drawn[0] % 100, int.from_bytes(drawn[1:5]) % 100
    if left < LEFT_OVER:
        return None
    false, benign = _LIKELY.get(severity, (90, 8))
    return FALSE if chance < false else BENIGN if chance < false + benign else TRUE


def _claimed(store: Store, staff: Sequence[str], now: int) -> None:
    """A few of the newest are in somebody's hands."""
    with store.reader.reading() as connection:
        ids = list(
            connection.execute(
                select(_ALERT.c.id)
                .where(text("status = 0"), _ALERT.c.time >= now - ON_DUTY, _ALERT.c.severity >= 2)
                .order_by(_ALERT.c.time, _ALERT.c.id)
            ).scalars()
        )
    for number, operator in enumerate(staff[:3]):
        mine = ids[number * 7 :: 23]
        if mine:
            triage.claim(store, operator, Selection(tuple(mine)), now=now - (1 + number) * HOUR // 4)
