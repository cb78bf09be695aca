"""Credentials in a file of our own, for machines without a keyring.

scrypt makes the key from a passphrase, AES-GCM seals each entry. What is sealed is bound to its
place: an entry copied to another environment, or from another format, does not open.
"""

import base64
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from store.credentials.errors import CredentialError, FileDamaged, WrongPassphrase
from store.credentials.files import locked, read_private, write_private
from store.secret import Secret

FORMAT: Final = 1
SERVICE: Final = "limegrove"
SCRYPT: Final = {"n": 2**17, "r": 8, "p": 1}
"""300 ms and 134 MB for each guess."""
SHORTEST: Final = 12
"""Characters of a new passphrase: the file may be copied and guessed at elsewhere, for years."""
_CHECK: Final = ""
"""The account of the entry that tells a wrong passphrase from a damaged entry."""

Passphrase = Callable[[bool], Secret]
"""Answers the passphrase; told whether it is a new one, which an operator should type twice."""


class PassphraseFile:
    """The file; the passphrase is asked for once, when first needed."""

    name = "passphrase-file"

    def __init__(self, path: Path, passphrase: Passphrase) -> None:
        self.path = path
        self._ask = passphrase
        self._key: bytes | None = None
        self._salt = b""

    def get(self, account: str) -> str | None:
        """What is kept under `account`, or None.

        Raises:
            WrongPassphrase: the passphrase does not open the file.
            FileDamaged: the file is not whole, or an entry was changed or moved.
        """
        document = self._read()
        if document is None or account not in document["entries"]:
            return None
        self._unlock(document)
        return self._open(document["entries"][account], account)

    def set(self, account: str, value: str) -> None:
        """Keep `value` under `account`, making the file when there is none.

        Raises:
            WrongPassphrase, FileDamaged: as `get`.
            CredentialError: the passphrase is too short, or the file cannot be written.
        """
        with self._locked():
            document = self._read()
            if document is None:
                document = self._create()
            else:
                self._unlock(document)
            document["entries"][account] = self._seal(value, account)
            self._write(document)

    def delete(self, account: str) -> bool:
        """Forget `account`; whether there was something. This needs no passphrase."""
        with self._locked():
            document = self._read()
            if document is None or document["entries"].pop(account, None) is None:
                return False
            self._write(document)
            return True

    def accounts(self) -> list[str]:
        """Whose credentials are here; readable without the passphrase."""
        document = self._read()
        return sorted(document["entries"]) if document is not None else []

    def _locked(self) -> Any:
        return locked(self.path.with_name(f".{self.path.name}.lock"))

    def _read(self) -> dict[str, Any] | None:
        content = read_private(self.path)
        if content is None:
            return None
        try:
            document: Any = json.loads(content)
            if document["format"] != FORMAT:
                raise FileDamaged(
                    f"{self.path} has format {document['format']!a}, which this limegrove cannot read."
                )
            if document["scrypt"].keys() != {*SCRYPT, "salt"} or any(
                document["scrypt"][name] != value for name, value in SCRYPT.items()
            ):
                raise FileDamaged(
                    f"{self.path} asks for other scrypt costs than limegrove's; it was tampered with."
                )
            if not isinstance(document["entries"], dict) or not isinstance(document["check"], dict):
                raise TypeError
            return {**document, "salt": base64.b64decode(document["scrypt"]["salt"], validate=True)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FileDamaged(
                f"{self.path} is damaged; move it away and run `limegrove auth login` again."
            ) from None

    def _write(self, document: dict[str, Any]) -> None:
        content = {
            "format": FORMAT,
            "scrypt": {**SCRYPT, "salt": base64.b64encode(document["salt"]).decode()},
            "check": document["check"],
            "entries": document["entries"],
        }
        write_private(self.path, json.dumps(content, indent=1).encode())

    def _create(self) -> dict[str, Any]:
        passphrase = self._ask(True)
        if len(passphrase.reveal()) < SHORTEST:
            raise CredentialError(
                f"The passphrase must have at least {SHORTEST} characters; nothing was stored."
            )
        salt = os.urandom(16)
        self._key, self._salt = _derive(passphrase, salt), salt
        return {"salt": salt, "check": self._seal("limegrove", _CHECK), "entries": {}}

    def _unlock(self, document: dict[str, Any]) -> None:
        if self._key is None or self._salt != document["salt"]:
            self._key, self._salt = _derive(self._ask(False), document["salt"]), document["salt"]
        try:
            self._open(document["check"], _CHECK)
        except FileDamaged:
            self._key = None
            raise WrongPassphrase(f"The passphrase does not open {self.path}.") from None

    def _seal(self, value: str, account: str) -> dict[str, str]:
        nonce = os.urandom(12)
        sealed = self._cipher().encrypt(nonce, value.encode(), _bound_to(account))
        return {"nonce": base64.b64encode(nonce).decode(), "sealed": base64.b64encode(sealed).decode()}

    def _open(self, entry: dict[str, str], account: str) -> str:
        from cryptography.exceptions import InvalidTag

        try:
            nonce = base64.b64decode(entry["nonce"], validate=True)
            sealed = base64.b64decode(entry["sealed"], validate=True)
            return bytes(self._cipher().decrypt(nonce, sealed, _bound_to(account))).decode()
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise FileDamaged(
                f"The entry {account} of {self.path} was changed or moved; "
                f"run `limegrove auth login --env {account}` again."
            ) from None

    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key or b"")


def _derive(passphrase: Secret, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    text = unicodedata.normalize("NFC", passphrase.reveal())
    return Scrypt(salt=salt, length=32, **SCRYPT).derive(text.encode("utf-8", "surrogatepass"))


def _bound_to(account: str) -> bytes:
    return f"{SERVICE}|{account}|{FORMAT}".encode()
