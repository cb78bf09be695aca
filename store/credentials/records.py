"""A credential: who it speaks for, and where it may be sent."""

import hashlib
import hmac
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from store.credentials.errors import CredentialError
from store.endpoints import EndpointError, check_endpoint
from store.secret import Secret

KINDS: Final = ("user", "organization")
FORMAT: Final = 1
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True)
class Credential:
    """One key of LimaCharlie's.

    A user key (`uid` and secret) reaches every organization of its user; an organization key (`oid`
    and secret) reaches that organization alone.

    Source: LimaCharlie's documentation, "API Keys".
    """

    kind: str
    """One of KINDS."""
    secret: Secret
    uid: str = ""
    oid: str = ""
    endpoint: str | None = None
    """The one base URL it may be sent to; None for LimaCharlie's own hosts."""
    redaction_key: bytes = field(default=b"", repr=False)
    """32 bytes under which secrets in configuration are replaced before they reach the store."""

    def __post_init__(self) -> None:
        """Refuse what could not be sent, with one sentence that never quotes the secret."""
        if self.kind not in KINDS:
            raise CredentialError(f"A credential is of kind user or organization, not {self.kind[:32]!a}.")
        if self.kind == "user" and not self.uid:
            raise CredentialError("A user key needs the user's id (uid).")
        if self.kind == "organization" and (not self.oid or self.uid):
            raise CredentialError("An organization key needs the organization's id (oid) and no uid.")
        if self.uid and not _PRINTABLE.fullmatch(self.uid):
            raise CredentialError("The uid must be printable ASCII without spaces.")
        if self.oid and not _is_uuid(self.oid):
            raise CredentialError(f"The oid must be a UUID, not {self.oid[:64]!a}.")
        if not _PRINTABLE.fullmatch(self.secret.reveal()):
            raise CredentialError("The API key must be printable ASCII without spaces, 1 to 512 characters.")
        if self.endpoint is not None:
            try:
                check_endpoint(self.endpoint)
            except EndpointError as error:
                raise CredentialError(f"The credential's {error}") from None
        if self.redaction_key and len(self.redaction_key) != 32:
            raise CredentialError("The redaction key must be 32 bytes.")

    def key_for_redaction(self, environment: str) -> bytes:
        """The 32 bytes under which `environment`'s secrets are replaced before they reach the store.

        A credential that a machine was handed has no place to keep a random key: for it the key is
        derived from the secret, so that it is the same in the next run.
        """
        if self.redaction_key:
            return self.redaction_key
        purpose = f"limegrove redaction key 1|{environment}".encode()
        return hmac.digest(self.secret.reveal().encode(), purpose, hashlib.sha256)


def encode(credential: Credential) -> str:
    """The credential as the text that a backend keeps. It holds the secret."""
    return json.dumps(
        {
            "format": FORMAT,
            "kind": credential.kind,
            "uid": credential.uid,
            "oid": credential.oid,
            "secret": credential.secret.reveal(),
            "endpoint": credential.endpoint,
            "redaction_key": credential.redaction_key.hex(),
        }
    )


def decode(text: str, environment: str) -> Credential:
    """The credential that `encode` wrote.

    Raises:
        CredentialError: it is not one; the text is never quoted.
    """
    try:
        record: Any = json.loads(text)
        if record["format"] != FORMAT:
            raise ValueError
        return Credential(
            kind=str(record["kind"]),
            secret=Secret(record["secret"]),
            uid=str(record["uid"]),
            oid=str(record["oid"]),
            endpoint=record["endpoint"],
            redaction_key=bytes.fromhex(record["redaction_key"]),
        )
    except (ValueError, KeyError, TypeError):
        raise CredentialError(
            f"What is kept for the environment {environment} is not a credential of this limegrove; "
            f"run `limegrove auth login --env {environment}` again."
        ) from None


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
