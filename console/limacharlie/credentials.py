"""Who we are to LimaCharlie."""

from dataclasses import dataclass

from store.secret import Secret

__all__ = ["Credentials", "OrganizationKey", "Secret", "UserKey"]


@dataclass(frozen=True)
class UserKey:
    """A user's API key: all organizations of the user, with the user's rights."""

    uid: str
    secret: Secret


@dataclass(frozen=True)
class OrganizationKey:
    """An organization's API key: that one organization, with the key's permissions."""

    oid: str
    secret: Secret


Credentials = UserKey | OrganizationKey
