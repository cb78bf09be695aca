"""Credentials that a machine is handed: in the environment, or through a file descriptor."""

import json
import os
from collections.abc import MutableMapping
from typing import Any, Final

from store.credentials.errors import CredentialError
from store.credentials.records import Credential
from store.secret import Secret

VARIABLES: Final = ("LC_UID", "LC_OID", "LC_API_KEY")
_LIMIT: Final = 64 * 1024


def take_from_environment(environ: MutableMapping[str, str]) -> Credential | None:
    """LimaCharlie's own variables, read once and removed, so that no child process inherits them.

    With LC_UID it is a user key, else an organization key of LC_OID, as the official client has it.
    None without LC_API_KEY.

    Raises:
        CredentialError: there is a key, but neither a uid nor an oid, or one is malformed.
    """
    uid, oid, secret = (environ.pop(name, "") for name in VARIABLES)
    if not secret:
        return None
    if not uid and not oid:
        raise CredentialError(
            "LC_API_KEY needs LC_UID (a user key) or LC_OID (an organization key) beside it."
        )
    try:
        return Credential(
            kind="user" if uid else "organization", secret=Secret(secret.strip()), uid=uid, oid=oid
        )
    except CredentialError as error:
        raise CredentialError(f"LC_UID, LC_OID or LC_API_KEY: {error}") from None


def read_from_descriptor(descriptor: int) -> Credential:
    """One JSON object of {uid?, oid?, api_key, endpoint?}, read to its end; the descriptor is closed.

    Raises:
        CredentialError: the descriptor cannot be read, or does not hold such an object.
    """
    content = read_descriptor(descriptor, "credentials")
    where = f"File descriptor {descriptor}"
    try:
        record: Any = json.loads(content)
    except ValueError:
        raise CredentialError(f"{where} does not hold JSON; expected are uid or oid, and api_key.") from None
    if not isinstance(record, dict) or not all(isinstance(v, str) for v in record.values()):
        raise CredentialError(f"{where} must hold one JSON object of texts: uid or oid, and api_key.")
    unknown = sorted(record.keys() - {"uid", "oid", "api_key", "endpoint"})
    if unknown:
        raise CredentialError(f"{where} holds {unknown[0]!a}; known are uid, oid, api_key, endpoint.")
    uid, oid, secret = (record.get(name, "") for name in ("uid", "oid", "api_key"))
    try:
        return Credential(
            kind="user" if uid else "organization",
            secret=Secret(secret),
            uid=uid,
            oid=oid,
            endpoint=record.get("endpoint") or None,
        )
    except CredentialError as error:
        raise CredentialError(f"{where}: {error}") from None


def read_descriptor(descriptor: int, what: str) -> str:
    """All text behind a file descriptor, at most 64 kB; the descriptor is closed.

    Raises:
        CredentialError: it is not open for reading, too long, or not UTF-8.
    """
    try:
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(_LIMIT + 1)
    except OSError as error:
        raise CredentialError(
            f"The {what} cannot be read from file descriptor {descriptor}: {error.strerror}."
        ) from None
    if len(content) > _LIMIT:
        raise CredentialError(f"The {what} on file descriptor {descriptor} are longer than 64 kB.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CredentialError(f"The {what} on file descriptor {descriptor} are not UTF-8.") from None
