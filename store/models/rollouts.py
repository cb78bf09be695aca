"""What is to change in the configuration of organizations: planned, rolled out in waves, taken back."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")
_RUNNING = text("state = 1")


class RolloutPlan(Model, table=True):
    """Changes of records over organizations, exactly as they were shown."""

    __tablename__ = "rollout_plan"
    __table_args__ = (
        Index("ix_rollout_plan_running", "id", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    title: str
    scope: str = ""
    """The tree node that it was planned for; "" for all."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """`store.rollouts.plans.STATES`."""
    hash: str = ""
    """SHA-256 over the canonical JSON of `seen` and of every change: what an approval signs."""
    seen: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What the plan rests on: template versions, layers, parameters' digests, the list of organizations."""
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Waves, gates, budgets, windows, as they were asked for."""
    risks: list[str] = Field(default_factory=list, sa_type=JSON)
    """Why a second identity has to approve it; empty when none has to."""
    blocked: list[dict[str, str]] = Field(default_factory=list, sa_type=JSON)
    """[{oid, reason}] of the organizations that are left out."""
    by: str = ""
    created_at: int = Field(default=0, sa_type=BigInteger)
    expires_at: int = Field(default=0, sa_type=BigInteger)
    approved_by: str = ""
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    undo_of: int | None = Field(default=None, sa_type=BigInteger)
    """The plan that this one takes back."""
    holder: str = ""
    """Which process rolls it out; "" when none does."""
    beat_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    said: str = ""
    """Why it stands where it stands, in a sentence."""


class RolloutWave(Model, table=True):
    """Organizations that are changed together, and the verdict behind them."""

    __tablename__ = "rollout_wave"

    plan_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """From 1, in their order."""
    name: str = ""
    state: int = Field(default=0, sa_type=SmallInteger)
    """`store.rollouts.plans.WAVE_STATES`."""
    gate: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """{check: {verdict, said}} of the last look, and the baseline from before the wave."""
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)


class RolloutStep(Model, table=True):
    """One record of one organization: what is to become of it, and how far that has come."""

    __tablename__ = "rollout_step"
    __table_args__ = (
        Index("ix_rollout_step_wave", "plan_id", "wave", "oid"),
        Index("ix_rollout_step_change", "plan_id", "section", "name", "change", "after_hash"),
    )

    plan_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    oid: str
    wave: int = 0
    section: str
    name: str
    """As a document has it."""
    change: int = Field(default=0, sa_type=SmallInteger)
    """`store.rollouts.plans.CHANGES`: added, changed, enabled, disabled, removed."""
    destructive: bool = False
    before_hash: str = ""
    """Of the content that the plan saw (`store.rollouts.compare.observed_hash`); "" when there was none."""
    before_metadata: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    etag: str = ""
    """That the plan saw; "" where the section has none."""
    after_hash: str = ""
    """Of the content that is wanted; "" for a removal."""
    after_metadata: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    template: str = ""
    version: int = 0
    """The template that wants it."""
    outcome: int = Field(default=0, sa_type=SmallInteger)
    """`store.rollouts.plans.OUTCOMES`."""
    error: str = ""
    intent: int | None = Field(default=None, sa_type=BigInteger)
    """Number of the journal entry that was written before it was sent."""
    previous: str = ""
    """Key of the record as it was read just before the write, in `rollout_body`: what a rollback restores."""
    written_etag: str = ""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)


class RolloutBody(Model, table=True):
    """A record's content as a plan wants it or as it was before: canonical JSON, secrets replaced, packed."""

    __tablename__ = "rollout_body"

    hash: str = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)


class RolloutLease(Model, table=True):
    """Which rollout may write to an organization."""

    __tablename__ = "rollout_lease"

    oid: str = Field(primary_key=True)
    plan_id: int = Field(sa_type=BigInteger)
    token: int = Field(default=0, sa_type=BigInteger)
    """Grows each time it is taken: who has an older one writes no more."""
    until: int = Field(default=0, sa_type=BigInteger)


class RolloutApproval(Model, table=True):
    """A signature of a plan's hash by somebody else than who applies it."""

    __tablename__ = "rollout_approval"

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    plan_id: int = Field(sa_type=BigInteger, index=True)
    hash: str
    identity: str
    """As the allowed-signers file names it."""
    signature: str
    """OpenSSH's armoured form."""
    signed_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(default=None, sa_type=BigInteger)


class TemplateOwned(Model, table=True):
    """A record of an organization that a template brought: only such a one may a template take away."""

    __tablename__ = "template_owned"

    oid: str = Field(primary_key=True)
    section: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    template: str = Field(index=True)
    version: int = 0
    hash: str
    """Of its content as it was written (`compare.wanted_hash`)."""
    metadata_: dict[str, Any] | None = Field(
        default=None, sa_type=JSON, sa_column_kwargs={"name": "metadata"}
    )
    plan_id: int = Field(default=0, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)


class DriftDecision(Model, table=True):
    """What was decided once about a record of an organization that is not as wanted."""

    __tablename__ = "drift_decision"

    oid: str = Field(primary_key=True)
    section: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    decision: int = Field(sa_type=SmallInteger)
    """`store.drift.DECISIONS`: accept, deny, exclude."""
    until: int | None = Field(default=None, sa_type=BigInteger)
    """Of accept; None for good."""
    hash: str = ""
    """The content that was accepted: another one is drift again."""
    reason: str = ""
    by: str = ""
    at: int = Field(sa_type=BigInteger)


class WantedState(Model, table=True):
    """Up to where an organization was last compared whole, and found to be as wanted.

    What was wanted of it is in `wanted_content`; only what changed since on either side is compared again.
    """

    __tablename__ = "wanted_state"

    oid: str = Field(primary_key=True)
    wanted: str
    """`WantedSet.hash`."""
    mark: int = Field(sa_type=BigInteger)
    """Id of the newest `configuration_record` at that time, over all organizations."""
    at: int = Field(sa_type=BigInteger)
    """When (ms): records that ended since are looked at again."""


class WantedContent(Model, table=True):
    """The records of a `WantedSet` by its hash: names and hashes, packed."""

    __tablename__ = "wanted_content"

    hash: str = Field(primary_key=True)
    records: bytes = Field(sa_type=LargeBinary)
