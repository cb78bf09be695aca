"""Credentials: what they are, where they are kept, and which places are trusted.

Importing this is cheap: `keyring`, D-Bus and `cryptography` are imported when a secret is read.
"""

from store.credentials.errors import (
    CredentialError,
    FileDamaged,
    KeyringLocked,
    KeyringUnavailable,
    NoCredential,
    UntrustedBackend,
    WrongPassphrase,
)
from store.credentials.machine import read_descriptor, read_from_descriptor, take_from_environment
from store.credentials.passphrase_file import Passphrase
from store.credentials.records import Credential
from store.credentials.vault import BACKENDS, Choice, Entry, Vault, backend_class

__all__ = [
    "BACKENDS",
    "Choice",
    "Credential",
    "CredentialError",
    "Entry",
    "FileDamaged",
    "KeyringLocked",
    "KeyringUnavailable",
    "NoCredential",
    "Passphrase",
    "UntrustedBackend",
    "Vault",
    "WrongPassphrase",
    "backend_class",
    "read_descriptor",
    "read_from_descriptor",
    "take_from_environment",
]
