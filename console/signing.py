"""Signatures on what leaves this workspace: Ed25519, with a key that is made when it is first needed.

The private half is kept where credentials are (`store.credentials`), the public half in `signing.json` beside
them, so that it can be told without opening anything. A signed document is one file of canonical JSON: any
byte of it that is another one is noticed.

What a signature proves: whoever could use this workspace's key made exactly this document. It does not prove
who sat there, when that was, that the names in it are true, or that the cloud was as the document says: those
are the document's own words. A key that is not compared with a fingerprint from elsewhere proves nothing.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from store.configuration import canonical as canonical_json
from store.times import now_ms, rfc3339

if TYPE_CHECKING:
    from console.settings import Settings

ALGORITHM: Final = "Ed25519"
ACCOUNT: Final = "signing.ed25519"
"""The name under which the keyring has it. No environment can be called so."""
FORMAT: Final = 1
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a document; what claims to be one and is larger is not read."""
_DOMAIN: Final = b"limegrove signature 1\n"


class SigningError(Exception):
    """It cannot be signed; the text says why and what to do."""


class BadSignature(Exception):
    """A document is not what was signed; the text says in which way."""


class NoDocument(BadSignature):
    """It is no signed document at all."""


class Rewritten(BadSignature):
    """It is JSON, but not byte for byte what limegrove writes."""


class UnknownFormat(BadSignature):
    """It is a document of another kind, or of a version that this limegrove does not read."""


class UnknownAlgorithm(BadSignature):
    """It is signed in a way that is not checked here."""


class EditedKey(BadSignature):
    """The public key in it is none, or not the one whose fingerprint it states."""


class Changed(BadSignature):
    """The signature does not fit what the document says."""


class OtherKey(BadSignature):
    """The signature fits, and was made with another key than the one that was expected."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key."""

    raw: bytes
    """32 bytes."""

    @property
    def text(self) -> str:
        """Base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and the unpadded base64 of the hash, as OpenSSH writes one."""
        digest = hashlib.sha256(self.raw).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of this workspace's key without opening it."""

    key: PublicKey
    backend: str
    """Where the private half is kept."""
    made_at: int


Signer = Callable[[bytes], Mapping[str, str]]
"""Signs canonical bytes: answers the block that stands in the document."""


# This workspace's key


def known(home: Path) -> Known | None:
    """This workspace's key; None when there is none yet. The keyring is not touched.

    Raises:
        SigningError: `signing.json` was edited or is damaged.
        CredentialError: it is not this user's alone.
    """
    from store.credentials.files import read_private

    path = home / "signing.json"
    content = read_private(path)
    if content is None:
        return None
    try:
        read: Any = json.loads(content)
        if read["format"] != FORMAT or read["algorithm"] != ALGORITHM:
            raise ValueError
        found = Known(PublicKey(_decoded(read["public_key"], 32)), str(read["backend"]), int(read["made_at"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SigningError(f"{path} is damaged; move it away, and a new key is made.") from None
    if read.get("fingerprint") != found.key.fingerprint:
        raise SigningError(
            f"{path} was edited: its public key has the fingerprint {found.key.fingerprint}, and it states "
            "another one. Restore it from a backup, or move it away, and a new key is made."
        )
    return found


def signer(settings: "Settings", purpose: str, *, may_make: bool = True) -> tuple[Signer, PublicKey]:
    """What signs with this workspace's key, which is made when there is none.

    Args:
        purpose: what kind of document it is; a signature holds for no other.
        may_make: whether a key may be made now.

    Raises:
        SigningError: there is no key and none may be made, or it is not the one that `signing.json` names.
        CredentialError: the keyring cannot be used.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from console.credentials import vault
    from console.redaction import remember
    from store.credentials.files import locked, write_private
    from store.secret import Secret

    place = vault(settings)
    with locked(settings.home / ".signing.json.lock"):
        there = known(settings.home)
        if there is None:
            if not may_make:
                raise SigningError(
                    "There is no key to sign with yet, and a read-only console makes none; nothing was "
                    "signed."
                )
            private = Ed25519PrivateKey.generate()
            secret = Secret(base64.b64encode(private.private_bytes_raw()).decode())
            remember(secret)
            backend = place.keep(ACCOUNT, secret.reveal())
            public = PublicKey(private.public_key().public_bytes_raw())
            written = {
                "format": FORMAT,
                "algorithm": ALGORITHM,
                "public_key": public.text,
                "fingerprint": public.fingerprint,
                "backend": backend,
                "made_at": now_ms(),
            }
            write_private(settings.home / "signing.json", json.dumps(written, indent=1).encode())
        else:
            text = place.kept(ACCOUNT, there.backend)
            if text is None:
                raise SigningError(
                    f"{there.backend} does not have the key {there.key.fingerprint} any more, which "
                    f"{settings.home / 'signing.json'} names. What was signed with it stays valid; move that "
                    "file away, and a new key is made."
                )
            remember(Secret(text))
            private = _private(text, there.backend)
            public = PublicKey(private.public_key().public_bytes_raw())
            if public != there.key:
                raise SigningError(
                    f"{settings.home / 'signing.json'} names the key {there.key.fingerprint}, and "
                    f"{there.backend} has {public.fingerprint}: one of them was replaced. Nothing was signed."
                )

    def sign(data: bytes) -> Mapping[str, str]:
        return {
            "algorithm": ALGORITHM,
            "public_key": public.text,
            "fingerprint": public.fingerprint,
            "value": base64.b64encode(private.sign(_message(purpose, data))).decode(),
        }

    return sign, public


def words(found: Known) -> str:
    """Where the key is kept, since when, and its public half."""
    return (
        f"{ALGORITHM} {found.key.fingerprint}, public key {found.key.text}, kept in {found.backend}, "
        f"made {rfc3339(found.made_at)}"
    )


def _private(text: str, backend: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return Ed25519PrivateKey.from_private_bytes(_decoded(text, 32))
    except ValueError:
        raise SigningError(
            f"What {backend} keeps as the key to sign with is none; nothing was signed."
        ) from None


def _message(purpose: str, data: bytes) -> bytes:
    return _DOMAIN + purpose.encode() + b"\n" + data


def _decoded(text: Any, size: int) -> bytes:
    """Base64 of so many bytes, in its one form.

    Raises:
        ValueError: it is not that.
    """
    if not isinstance(text, str):
        raise ValueError("not a text")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(raw) != size or base64.b64encode(raw).decode() != text:
        raise ValueError("not the one form of it")
    return raw


# Documents


def document(kind: str, payload: Mapping[str, Any], sign: Signer) -> bytes:
    """A signed document: what is written into a file.

    Args:
        kind: its kind, which the signer's purpose names too.
        payload: JSON data without fractions.

    Raises:
        ValueError: there is a fraction in it, which has no one form.
    """
    _refuse_fractions(payload)
    block = sign(canonical_json(payload))
    whole = {"limegrove": kind, "format": FORMAT, "payload": payload, "signature": dict(block)}
    return canonical_json(whole) + b"\n"


def opened(data: bytes, kind: str, *, expected: str = "") -> tuple[dict[str, Any], PublicKey]:
    """What a signed document says, once its signature was checked, and whose key it was.

    Args:
        kind: what it has to be.
        expected: the fingerprint of the key that it has to be signed with; "" checks the signature alone,
            which whoever wrote the file could make fit.

    Raises:
        BadSignature: it is not what was signed, or not with this key; the class and the text say how.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(data) > LARGEST:
        raise NoDocument(f"It is larger than {LARGEST // 2**20} MiB, which no document of limegrove's is.")
    whole = _read(data)
    if whole.get("limegrove") != kind or whole.get("format") != FORMAT or whole["format"] is True:
        raise UnknownFormat(f"It is not {kind} of format {FORMAT}, which is what this limegrove reads here.")
    payload, block = whole.get("payload"), whole.get("signature")
    if not isinstance(payload, dict) or not isinstance(block, dict) or len(whole) != 4 or len(block) != 4:
        raise NoDocument("It carries no signature, or something beside what was signed.")
    if block.get("algorithm") != ALGORITHM:
        raise UnknownAlgorithm(f"It is signed in a way that is not checked here; only {ALGORITHM} is.")
    try:
        public = PublicKey(_decoded(block.get("public_key"), 32))
    except ValueError:
        raise EditedKey("The public key in it is none: it was edited.") from None
    if block.get("fingerprint") != public.fingerprint:
        raise EditedKey(
            f"The public key in it has the fingerprint {public.fingerprint}, and it states another one: one "
            "of them was edited."
        )
    try:
        value = _decoded(block.get("value"), 64)
        Ed25519PublicKey.from_public_bytes(public.raw).verify(value, _message(kind, canonical_json(payload)))
    except (InvalidSignature, ValueError):
        raise Changed(
            "The signature does not fit: something in it was changed after it was signed, or the signature "
            f"was not made with the key {public.fingerprint}."
        ) from None
    if expected and expected != public.fingerprint:
        raise OtherKey(
            f"It was signed with the key {public.fingerprint}, and not with {expected}, which was expected."
        )
    return payload, public


def _read(data: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_once,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except Rewritten:
        raise
    except (ValueError, RecursionError):
        raise NoDocument(
            "It is not the JSON that limegrove writes: it is cut off, or something else."
        ) from None
    if not isinstance(whole, dict):
        raise NoDocument("It is not the JSON that limegrove writes: it is cut off, or something else.")
    if canonical_json(whole) + b"\n" != data:
        raise Rewritten(
            "It says what limegrove could have written, but not in its bytes: it was formatted or edited "
            "after it was signed."
        )
    return whole


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rewritten(
            "It has the same name twice in one object, which limegrove never writes: it was edited."
        )
    return found


def _no_fraction(_text: str) -> NoReturn:
    raise Rewritten("It has a number in it that limegrove never writes: it was edited.")


def _refuse_fractions(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError("a signed document has no fractions")
    if isinstance(value, Mapping):
        for each in value.values():
            _refuse_fractions(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_fractions(each)
