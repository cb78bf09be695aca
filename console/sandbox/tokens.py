"""Platform tokens: signed like LimaCharlie's, with a key that is the process's own, or a snapshot's."""

import base64
import hmac
import os
import time
from dataclasses import dataclass
from hashlib import sha256

import orjson

AUDIENCE = "lce_control_plane"
VALID_FOR = 3600
"""Seconds, unless the client asks for something else."""
LONGEST = 7 * 86_400
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    ident: str
    """E-mail of a user, name of a key."""
    uid: str
    """"" for an organization's key."""
    credential: str
    """What the rate limit counts by: never the secret."""
    expires: int
    """Seconds, UTC."""
    permissions: dict[str, frozenset[str]]
    """By oid."""
    shared: bool
    """Over many organizations, so that `who` answers with `user_perms`."""


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def expiry(asked: str | None, now: int) -> int:
    """When a token ends.

    Args:
        asked: the form's `expiry`: seconds from now, or since 1970 when above 10**9; clients disagree.
        now: seconds, UTC.

    Raises:
        ValueError: not a number, or already over.
    """
    if not asked:
        return now + VALID_FOR
    number = int(float(asked))
    ends = number if number > 10**9 else now + number
    if ends <= now:
        raise ValueError(asked)
    return min(ends, now + LONGEST)


class Tokens:
    """Issues and reads tokens."""

    def __init__(self, key: bytes | None = None) -> None:
        """Prepare.

        Args:
            key: of an earlier sandbox, whose tokens are good here; None makes one.
        """
        self.key = key or os.urandom(KEY_BYTES)
        self._header = _b64(b'{"alg":"HS256","typ":"JWT"}')
        self._read: dict[str, Claims] = {}

    def _sign(self, body: bytes) -> bytes:
        return _b64(hmac.digest(self.key, body, sha256))

    def issue(
        self,
        *,
        ident: str,
        uid: str,
        credential: str,
        expires: int,
        permissions: dict[str, tuple[str, ...]],
        shared: bool,
        ip: str,
    ) -> str:
        """A token.

        Args:
            permissions: by oid; without `shared` at most one.
            shared: the payload maps oid to permissions, else it lists both: the platform's two layouts.
        """
        payload: dict[str, object] = {
            "email": ident,
            "uid": uid,
            "kid": credential,
            "sip": ip,
            "aud": AUDIENCE,
            "exp": expires,
        }
        if shared:
            payload["oid"] = permissions
        else:
            payload["oid"] = list(permissions)
            payload["perms"] = [permission for held in permissions.values() for permission in held]
        body = self._header + b"." + _b64(orjson.dumps(payload))
        return (body + b"." + self._sign(body)).decode()

    def read(self, token: str) -> Claims | None:
        """What a token says; None when it is not ours, damaged, or over."""
        claims = self._read.get(token)
        if claims is None:
            claims = self._parse(token)
            if claims is None:
                return None
            if len(self._read) > 4096:
                self._read.clear()
            self._read[token] = claims
        return claims if claims.expires > time.time() else None

    def _parse(self, token: str) -> Claims | None:
        try:
            body, _, signature = token.encode("ascii").rpartition(b".")
            if not hmac.compare_digest(self._sign(body), signature):
                return None
            payload = orjson.loads(_unb64(body.partition(b".")[2]))
        except ValueError:
            return None
        oids = payload["oid"]
        shared = isinstance(oids, dict)
        if shared:
            known: dict[tuple[str, ...], frozenset[str]] = {}
            permissions = {}
            for oid, held in oids.items():
                key = tuple(held)
                permissions[oid] = known.setdefault(key, frozenset(key))
        else:
            permissions = {oid: frozenset(payload["perms"]) for oid in oids}
        return Claims(
            ident=payload["email"],
            uid=payload["uid"],
            credential=payload["kid"],
            expires=payload["exp"],
            permissions=permissions,
            shared=shared,
        )
