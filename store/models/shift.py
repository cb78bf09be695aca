"""What a shift hands to the next one, the queues that it names, and incidents over several customers."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")
_OFFERED = text("state = 1")


class Handover(Model, table=True):
    """What one analyst gives to whoever comes next."""

    __tablename__ = "handover"
    __table_args__ = (
        Index("ix_handover_offered", "by", sqlite_where=_OFFERED, postgresql_where=_OFFERED),
        Index("ix_handover_by", "by", "id"),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    by: str
    """The operator who goes."""
    since: int = Field(default=0, sa_type=BigInteger)
    """When the shift began, as far as the record is told."""
    scope: str = ""
    """Id of the tree node that it is about; "" is the root."""
    note: str = ""
    """What holds for all of it."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 draft, 1 published, 2 done, 3 withdrawn: `store.handover.STATES`."""
    made_at: int = Field(default=0, sa_type=BigInteger)
    published_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)


class HandoverItem(Model, table=True):
    """One thing that is handed over: the alerts of a fold, one alert, or a case."""

    __tablename__ = "handover_item"
    __table_args__ = (Index("uq_handover_item", "handover_id", "key", unique=True),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    handover_id: int = Field(sa_type=BigInteger)
    key: str
    """`fold:12`, `alert:33`, `case:OID/5`: the same thing when the draft is made again."""
    oid: str
    alerts: list[int] = Field(default_factory=list, sa_type=JSON)
    """Numbers of the alerts; none of a case."""
    case_number: int | None = Field(default=None, sa_type=BigInteger)
    title: str = ""
    host: str = ""
    severity: int = Field(default=0, sa_type=SmallInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the first of its clocks breaches (ms)."""
    done: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """[{at, who, what}]: from the record, the last first."""
    hypothesis: str = ""
    next_step: str = ""
    blocker: str = ""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 open, 1 accepted, 2 bounced: `store.handover.ITEMS`."""
    decided_by: str = ""
    decided_at: int | None = Field(default=None, sa_type=BigInteger)
    reason: str = ""
    """Why it was bounced; of an accepted one what had moved on meanwhile."""
    version: int = 0


class SavedQueue(Model, table=True):
    """A filter line with a name."""

    __tablename__ = "saved_queue"

    name: str = Field(primary_key=True)
    line: str = ""
    """See `store.alerts.parse_filter`."""
    scope: str = ""
    """Id of a tree node; "" follows the scope that one is in."""
    by: str = ""
    at: int = Field(default=0, sa_type=BigInteger)


class QueueLook(Model, table=True):
    """When somebody looked at a saved queue last: what is unread is what came since."""

    __tablename__ = "queue_look"

    name: str = Field(primary_key=True)
    operator: str = Field(primary_key=True)
    seen: int = Field(default=0, sa_type=BigInteger)
    """The number of the newest alert at that time."""
    at: int = Field(default=0, sa_type=BigInteger)


class Campaign(Model, table=True):
    """One incident over several customers."""

    __tablename__ = "campaign"

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    title: str
    """For us: no customer sees it."""
    by: str = ""
    made_at: int = Field(default=0, sa_type=BigInteger)
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    closed_by: str = ""
    conclusion: str = ""


class CampaignAlert(Model, table=True):
    """An alert that belongs to it."""

    __tablename__ = "campaign_alert"
    __table_args__ = (Index("ix_campaign_alert_detection", "detection_id"),)

    campaign_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    detection_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    oid: str


class CampaignNote(Model, table=True):
    """What was written down for it: for us, or for one customer."""

    __tablename__ = "campaign_note"
    __table_args__ = (Index("ix_campaign_note", "campaign_id", "id"),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    campaign_id: int = Field(sa_type=BigInteger)
    oid: str = ""
    """The customer it is for; it names no other one. "" is for us."""
    text: str = ""
    by: str = ""
    at: int = Field(default=0, sa_type=BigInteger)
