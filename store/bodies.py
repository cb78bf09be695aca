"""Texts and bodies in the form in which both engines hold them."""

import json
import threading

import zstandard

from store.errors import StoreDamaged

LARGEST = 64 * 1024 * 1024
"""Bytes of one body; a frame that claims more is damaged or hostile, and is not unpacked."""

_local = threading.local()


def pack(body: bytes) -> bytes:
    """Compress one body."""
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    packed: bytes = compressor.compress(body)
    return packed


def unpack(packed: bytes) -> bytes:
    """What was packed.

    Raises:
        StoreDamaged: the bytes are not what `pack` made.
    """
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        if not 0 <= zstandard.frame_content_size(packed) <= LARGEST:
            raise StoreDamaged("A stored body is damaged; `limegrove store check` says how far it goes.")
        body: bytes = decompressor.decompress(packed)
    except zstandard.ZstdError as error:
        raise StoreDamaged(
            "A stored body is damaged; `limegrove store check` says how far it goes."
        ) from error
    return body


def storable(value: object) -> str:
    """A text that both engines can hold: NUL and lone surrogates become visible backslash escapes.

    None is the empty text; anything else that is no text becomes its JSON.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        value = json.dumps(value, sort_keys=True, default=str)
    text = str(value)
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "backslashreplace").decode()
    return text
