"""Access reviews: campaigns over a scope, their lines, and who decided what about them, when and why."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class AccessReview(Model, table=True):
    """A campaign: who may do what below a node of the tree, to be attested or revoked line by line."""

    __tablename__ = "access_review"

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    title: str
    scope: str = ""
    """Id of the tree node that it is about; "" is all organizations."""
    scope_name: str = ""
    """Its path when the review began."""
    principal: str = ""
    """Patterns with `*`, one a line: only principals that one of them matches. "" is everybody."""
    kinds: str = ""
    """Of `store.reviews.KINDS`, spaces between; "" is all."""
    permission: str = ""
    """Only lines that give this permission; "" is all."""
    by: str = ""
    """The operator who began it."""
    started_at: int = Field(sa_type=BigInteger)
    looked_at: int = Field(default=0, sa_type=BigInteger)
    """When its lines were last compared with the access that the store knows (ms)."""
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    closed_by: str = ""
    readings: str = ""
    """Digest of what was known of each organization's readings when it was closed: a `review_content`."""


class ReviewLine(Model, table=True):
    """One principal, one way by which it has access, and everything that this way gives."""

    __tablename__ = "review_line"
    __table_args__ = (Index("uq_review_line", "review_id", "key", unique=True),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    review_id: int = Field(sa_type=BigInteger)
    key: str
    """What stays while the access changes: `member GID EMAIL`, `direct OID EMAIL`, `key OID HASH`."""
    kind: str
    """Of `store.reviews.KINDS`."""
    principal: str
    """E-mail; of a key its name."""
    gid: str = ""
    group_name: str = ""
    digest: str
    """SHA-256 over principal, way and the two digests below: names what is to be attested."""
    permissions: str
    """Digest of the sorted list of permissions: a `review_content`."""
    places: str
    """Digest of the sorted list of organizations, of keys with their hashes: a `review_content`."""
    permission_count: int = 0
    place_count: int = 0
    outside: int = 0
    """Organizations outside the scope that the same way reaches."""
    added_at: int = Field(sa_type=BigInteger)
    """When the review found it; later than its start when the access is newer."""
    changed_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the access was found to be another than before."""
    gone_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the access was found to be there no more."""
    verdict: int = Field(default=0, sa_type=SmallInteger)
    """0 open, 1 attested, 2 revoked: `store.reviews.VERDICTS`."""
    decided_by: str = ""
    decided_at: int | None = Field(default=None, sa_type=BigInteger)
    reason: str = ""
    decided_digest: str = ""
    """What was decided: `digest` as it was then. Another one now is decided again."""
    decided_permissions: str = ""
    decided_places: str = ""
    plan_id: int | None = Field(default=None, sa_type=BigInteger)
    """The plan that takes it away, once one was made."""
    version: int = 0


class ReviewDecision(Model, table=True):
    """What somebody decided about a line; never changed afterwards."""

    __tablename__ = "review_decision"
    __table_args__ = (Index("ix_review_decision", "review_id", "line_id", "id"),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    review_id: int = Field(sa_type=BigInteger)
    line_id: int = Field(sa_type=BigInteger)
    verdict: int = Field(sa_type=SmallInteger)
    """As of the line; 0 took a decision back."""
    by: str = ""
    """The operator."""
    actor: str = ""
    """The operating system's user and host."""
    at: int = Field(sa_type=BigInteger)
    reason: str = ""
    digest: str = ""
    permissions: str = ""
    places: str = ""


class ReviewContent(Model, table=True):
    """A list of permissions or organizations, kept once however many lines name it."""

    __tablename__ = "review_content"

    digest: str = Field(primary_key=True)
    """SHA-256 of its canonical JSON."""
    body: bytes = Field(sa_type=LargeBinary)
    """Packed: see `store.bodies`."""
