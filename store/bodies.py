"""Texts and bodies in the form in which both engines hold them.

A body is packed with zstd and a dictionary that ships with the program, for one detection alone repeats too
little of itself. The first byte says which dictionary; it was trained on invented text only
(`benchmarks/dictionary.py`), so that no organization's words reach another's store.
"""

import json
import threading
from functools import cache
from pathlib import Path
from typing import Final

import zstandard

from store.errors import StoreDamaged

LARGEST = 64 * 1024 * 1024
"""Bytes of one body; a frame that claims more is damaged or hostile, and is not unpacked."""

NEWEST: Final = 2
"""The number of the dictionary that `pack` uses: `bodies-2.zdict`. Every one that ever packed stays."""

_LEVEL: Final = 6
_SEARCH: Final = {
    "strategy": zstandard.STRATEGY_BTLAZY2, "min_match": 6, "search_log": 6, "target_length": 32,
}  # fmt: skip
"""What makes detections smallest with this dictionary: the digits of ids match others for a few bytes by
chance, and telling such a match takes more than the digits. Levels of zstd would take matches of three."""

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins, and with it every body that was packed without a dictionary. What is packed with
one goes without it: a few bytes count, a million times over."""

_DAMAGED: Final = "A stored body is damaged; `limegrove store check` says how far it goes."

_local = threading.local()


def pack(body: bytes) -> bytes:
    """Compress one body: the number of the dictionary, and a zstd frame without its magic bytes."""
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        dictionary = _dictionary(NEWEST)
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, dict_size=len(dictionary), format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_checksum=True, write_content_size=True, write_dict_id=False, **_SEARCH,
        )  # fmt: skip
        compressor = _local.compressor = zstandard.ZstdCompressor(
            dict_data=dictionary, compression_params=parameters
        )
    frame: bytes = compressor.compress(body)
    return bytes((NEWEST,)) + frame


def unpack(packed: bytes) -> bytes:
    """What was packed, also by a version before dictionaries.

    Raises:
        StoreDamaged: the bytes are not what `pack` made.
    """
    number = packed[0] if packed else 0
    plain = number == _MAGIC[0]
    frame = packed if plain else packed[1:]
    try:
        if not 0 <= zstandard.frame_content_size(frame if plain else _MAGIC + frame[:18]) <= LARGEST:
            raise StoreDamaged(_DAMAGED)
        body: bytes = _decompressor(number).decompress(frame)
    except zstandard.ZstdError as error:
        raise StoreDamaged(_DAMAGED) from error
    return body


def _decompressor(number: int) -> zstandard.ZstdDecompressor:
    known: dict[int, zstandard.ZstdDecompressor] | None = getattr(_local, "decompressors", None)
    if known is None:
        known = _local.decompressors = {}
    found = known.get(number)
    if found is None:
        if number == _MAGIC[0]:
            found = zstandard.ZstdDecompressor()
        elif 1 <= number <= NEWEST:
            found = zstandard.ZstdDecompressor(
                dict_data=_dictionary(number), format=zstandard.FORMAT_ZSTD1_MAGICLESS
            )
        else:
            raise StoreDamaged(_DAMAGED)
        known[number] = found
    return found


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(Path(__file__).with_name(f"bodies-{number}.zdict").read_bytes())


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
