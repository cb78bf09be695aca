"""One incident over several customers: its alerts, and what is written down for us or for one of them.

What is written for one customer never names another one: it is checked before it is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, insert, select, update

from store import models
from store.bodies import storable
from store.cases import names_others
from store.errors import Mistaken, StoreError
from store.queries.cases import customers
from store.queries.scopes import ORGANIZATION
from store.text import Untrusted

MOST = 20_000
"""Alerts of one campaign."""
LONGEST = 8_000
"""Characters of a text: a note of a case takes 8,192."""

_C: Table = models.Campaign.__table__  # type: ignore[attr-defined]
_A: Table = models.CampaignAlert.__table__  # type: ignore[attr-defined]
_N: Table = models.CampaignNote.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]


class CampaignError(StoreError):
    """What cannot be done with a campaign; the text says why, and nothing was changed."""


class CampaignMistaken(CampaignError, Mistaken):
    """There is no such campaign, or what was given makes none."""


@dataclass(frozen=True, slots=True)
class Member:
    """One customer in it."""

    oid: str
    organization: Untrusted
    alerts: int
    open: int
    severity: int
    """Of its worst alert."""
    first: int
    """Times of its first and last alert (ms)."""
    last: int


@dataclass(frozen=True, slots=True)
class Note:
    """What was written down."""

    id: int
    oid: str
    """Whom it is for; "" is for us."""
    organization: Untrusted
    text: Untrusted
    by: Untrusted
    at: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """One incident, in a list."""

    id: int
    title: Untrusted
    by: Untrusted
    made_at: int
    closed_at: int | None
    closed_by: Untrusted
    conclusion: Untrusted
    organizations: int
    alerts: int
    open: int


@dataclass(frozen=True, slots=True)
class Whole:
    """One incident with its customers and notes."""

    campaign: Campaign
    members: tuple[Member, ...]
    """The one with the most alerts first."""
    notes: tuple[Note, ...]
    """Newest first."""


def campaigns(c: Connection, *, closed: bool = False, limit: int = 200) -> list[Campaign]:
    """Those that go on, and with `closed` the others too; the newest first."""
    counted = (
        select(
            _A.c.campaign_id,
            func.count(_A.c.oid.distinct()).label("organizations"),
            func.count().label("alerts"),
            func.count().filter(_D.c.status < 2).label("open"),
        )
        .select_from(_A.outerjoin(_D, _D.c.id == _A.c.detection_id))
        .group_by(_A.c.campaign_id)
        .subquery()
    )
    query = (
        select(_C, counted.c.organizations, counted.c.alerts, counted.c.open)
        .select_from(_C.outerjoin(counted, counted.c.campaign_id == _C.c.id))
        .order_by(_C.c.id.desc())
        .limit(limit)
    )
    if not closed:
        query = query.where(_C.c.closed_at.is_(None))
    return [
        Campaign(
            row.id, Untrusted(row.title), Untrusted(row.by), row.made_at, row.closed_at,
            Untrusted(row.closed_by), Untrusted(row.conclusion), row.organizations or 0, row.alerts or 0,
            row.open or 0,
        )
        for row in c.execute(query)
    ]  # fmt: skip


def campaign(c: Connection, campaign_id: int) -> Whole | None:
    """One incident, whole."""
    found = next((each for each in campaigns(c, closed=True, limit=10_000) if each.id == campaign_id), None)
    if found is None:
        return None
    rows = c.execute(
        select(
            _A.c.oid, ORGANIZATION.c.name, func.count().label("alerts"),
            func.count().filter(_D.c.status < 2).label("open"), func.max(_D.c.severity).label("severity"),
            func.min(_D.c.time).label("first"), func.max(_D.c.time).label("last"),
        )
        .select_from(
            _A.outerjoin(_D, _D.c.id == _A.c.detection_id).outerjoin(
                ORGANIZATION, ORGANIZATION.c.oid == _A.c.oid
            )
        )
        .where(_A.c.campaign_id == campaign_id)
        .group_by(_A.c.oid, ORGANIZATION.c.name)
        .order_by(func.count().desc(), _A.c.oid)
    )  # fmt: skip
    members = tuple(
        Member(
            row.oid, Untrusted(row.name or row.oid), row.alerts, row.open, row.severity or 0, row.first or 0,
            row.last or 0,
        )
        for row in rows
    )  # fmt: skip
    notes = tuple(
        Note(
            row.id, row.oid, Untrusted(row.name or row.oid or "us"), Untrusted(row.text), Untrusted(row.by),
            row.at,
        )
        for row in c.execute(
            select(_N, ORGANIZATION.c.name)
            .select_from(_N.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _N.c.oid))
            .where(_N.c.campaign_id == campaign_id)
            .order_by(_N.c.id.desc())
        )
    )  # fmt: skip
    return Whole(found, members, notes)


def of_several(c: Connection, alerts: Iterable[int]) -> list[tuple[int, str]]:
    """(alert, oid) of those that are in the store, if a campaign can be made of them.

    Raises:
        CampaignError: they are of one customer, or not there.
    """
    rows = _known(c, alerts)
    if len({oid for _, oid in rows}) < 2:
        raise CampaignError(
            "These alerts are of one customer: a case is for that. A campaign is over several."
            if rows
            else "None of these alerts is in the store."
        )
    return rows


def create(c: Connection, title: str, alerts: Iterable[int], *, by: str, now: int) -> int:
    """Begin a campaign with alerts of several customers; answers its number.

    Raises:
        CampaignError: it has no title, or is not over several customers.
    """
    if not title.strip():
        raise CampaignMistaken("A campaign needs a title.")
    if len(title) > 200:
        raise CampaignMistaken(f"The title has {len(title):,} characters; at most 200.")
    rows = of_several(c, alerts)
    made = c.execute(
        insert(_C)
        .values(title=storable(title.strip()), by=storable(by), made_at=now, closed_by="", conclusion="")
        .returning(_C.c.id)
    ).scalar_one()
    c.execute(insert(_A), [{"campaign_id": made, "detection_id": number, "oid": oid} for number, oid in rows])
    return int(made)


def add(c: Connection, campaign_id: int, alerts: Iterable[int]) -> int:
    """Put further alerts into a campaign that goes on; how many are new in it.

    Raises:
        CampaignError: there is none such, or it is closed.
    """
    _going(c, campaign_id)
    there = set(c.execute(select(_A.c.detection_id).where(_A.c.campaign_id == campaign_id)).scalars())
    rows = [(number, oid) for number, oid in _known(c, alerts) if number not in there]
    if len(there) + len(rows) > MOST:
        raise CampaignMistaken(f"A campaign holds at most {MOST:,} alerts.")
    if rows:
        c.execute(
            insert(_A),
            [{"campaign_id": campaign_id, "detection_id": number, "oid": oid} for number, oid in rows],
        )
    return len(rows)


def _known(c: Connection, alerts: Iterable[int]) -> list[tuple[int, str]]:
    wanted = sorted(set(alerts))
    if len(wanted) > MOST:
        raise CampaignMistaken(f"A campaign holds at most {MOST:,} alerts.")
    found: list[tuple[int, str]] = []
    for start in range(0, len(wanted), 500):
        rows = c.execute(select(_D.c.id, _D.c.oid).where(_D.c.id.in_(wanted[start : start + 500])))
        found += [(row.id, row.oid) for row in rows]
    return found


def _going(c: Connection, campaign_id: int) -> None:
    row = c.execute(select(_C.c.closed_at).where(_C.c.id == campaign_id)).one_or_none()
    if row is None:
        raise CampaignMistaken(f"There is no campaign {campaign_id}.")
    if row.closed_at is not None:
        raise CampaignError("This campaign is closed.")


def named_others(c: Connection, text: str, oid: str) -> list[Untrusted]:
    """The names of other customers that a text for `oid` names: none may be."""
    everybody = customers(c)
    own = everybody.get(oid, "")
    others = {each: name for each, name in everybody.items() if each != oid}
    return [Untrusted(others[each] or each) for each in names_others(text, others, own=own)]


def note(c: Connection, campaign_id: int, text: str, *, oid: str = "", by: str, now: int) -> int:
    """Write something down: for us, or for one customer.

    Args:
        oid: whom it is for; "" is for us.

    Raises:
        CampaignError: there is nothing in it, the customer is not in the campaign, or it names another one.
    """
    _going(c, campaign_id)
    words = text.strip()
    if not words:
        raise CampaignMistaken("There is nothing to write down.")
    if len(words) > LONGEST:
        raise CampaignMistaken(f"The text has {len(words):,} characters; at most {LONGEST:,}.")
    if oid:
        member = c.execute(
            select(_A.c.oid).where(_A.c.campaign_id == campaign_id, _A.c.oid == oid).limit(1)
        ).one_or_none()
        if member is None:
            raise CampaignMistaken("This customer is not in the campaign.")
        if others := named_others(c, words, oid):
            raise CampaignError(f"The text names {_listed(others)}: what is for one customer names no other.")
    return int(
        c.execute(
            insert(_N)
            .values(campaign_id=campaign_id, oid=oid, text=storable(words), by=storable(by), at=now)
            .returning(_N.c.id)
        ).scalar_one()
    )


def close(c: Connection, campaign_id: int, conclusion: str, *, by: str, now: int) -> None:
    """End a campaign; its alerts stay as they are.

    Raises:
        CampaignError: there is none such, or it is closed.
    """
    _going(c, campaign_id)
    if len(conclusion) > LONGEST:
        raise CampaignMistaken(f"The conclusion has {len(conclusion):,} characters; at most {LONGEST:,}.")
    c.execute(
        update(_C)
        .where(_C.c.id == campaign_id, _C.c.closed_at.is_(None))
        .values(closed_at=now, closed_by=storable(by), conclusion=storable(conclusion.strip()))
    )


def detect_ids(c: Connection, campaign_id: int, oid: str) -> list[str]:
    """LimaCharlie's ids of one customer's alerts in it."""
    return list(
        c.execute(
            select(_D.c.detect_id)
            .select_from(_A.join(_D, _D.c.id == _A.c.detection_id))
            .where(_A.c.campaign_id == campaign_id, _A.c.oid == oid)
            .order_by(_D.c.id)
        ).scalars()
    )


def _listed(names: Sequence[str], most: int = 3) -> str:
    named = ", ".join(names[:most])
    return named + (f" and {len(names) - most} more" if len(names) > most else "")
