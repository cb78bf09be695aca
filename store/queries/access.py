"""Who may do what on an organization, and through what."""

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, group or API key with any permission on the organization."""

    principal: str
    """E-mail, group id, or key hash."""
    kind: str
    """user, group or key."""
    name: str
    """E-mail, group name, or key name: a stranger's text."""
    via: dict[str, tuple[str, ...]]
    """permission -> ("direct", "group:GID", ...), direct first. Of a group: its own permissions, `direct`."""
    mfa: bool | None = None

    @property
    def permissions(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self.via))


@dataclass(frozen=True, slots=True)
class Matrix:
    """Principals by permissions of one organization."""

    oid: str
    organization: str
    path: str
    principals: tuple[Principal, ...]
    """Users by e-mail, then groups by name, then keys by name."""
    groups: dict[str, str]
    """gid -> name, of every group that `via` mentions."""
    checked_at: int | None
    failure: str
    reason: str


def matrix(connection: Connection, oid: str) -> Matrix | None:
    """Who may do what on one organization; None if it is unknown."""
    raise NotImplementedError
