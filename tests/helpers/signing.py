"""Keys that are the same in every run, and what signs with them."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from console import signing
from console.signing import PublicKey

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def signer(private: Ed25519PrivateKey = PRIVATE, purpose: str = "evidence") -> signing.Signer:
    """What signs documents of this kind."""
    public = PublicKey(private.public_key().public_bytes_raw())

    def sign(data: bytes) -> dict[str, str]:
        value = private.sign(b"limegrove signature 1\n" + purpose.encode() + b"\n" + data)
        return {
            "algorithm": "Ed25519", "public_key": public.text, "fingerprint": public.fingerprint,
            "value": base64.b64encode(value).decode(),
        }  # fmt: skip

    return sign


OURS = PublicKey(PRIVATE.public_key().public_bytes_raw())
