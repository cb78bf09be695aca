"""Decisions that depend on nothing but their key, whatever was decided before."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_LOW = 1 << 48


def digest(*key: object) -> bytes:
    """64 bytes that only the key determines."""
    return blake2b("\x1f".join(map(str, key)).encode(), digest_size=64).digest()


def hex_of(*key: object, length: int = 32) -> str:
    """`length` (at most 128) hexadecimal digits."""
    return digest(*key).hex()[:length]


def uuid_from(text: str) -> str:
    """A version 4 UUID out of 32 hexadecimal digits."""
    return (
        f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:32]}"
    )


def uuid_of(*key: object) -> str:
    """A version 4 UUID that only the key determines."""
    return uuid_from(digest(*key).hex())


def numbered_uuid(seed: int, what: str, above: int, number: int) -> str:
    """A UUID out of two numbers below 2**24 that `numbers_of` finds again, so that no index is kept."""
    text = digest(seed, what, above, number).hex()
    head = f"{text[:8]}-{text[8:12]}-4{text[12:15]}-{'89ab'[int(text[15], 16) & 3]}{text[16:19]}-"
    hidden = (above << 24 | number) ^ int.from_bytes(digest(seed, what, head)[:6])
    return f"{head}{hidden:012x}"


def numbers_of(seed: int, what: str, uuid: str) -> tuple[int, int] | None:
    """What a `numbered_uuid` was made of; None when it was not made like this."""
    try:
        hidden = int(uuid[24:], 16) ^ int.from_bytes(digest(seed, what, uuid[:24])[:6])
    except ValueError:
        return None
    above, number = hidden >> 24, hidden & 0xFFFFFF
    return (above, number) if numbered_uuid(seed, what, above, number) == uuid else None


class Chance:
    """A supply of decisions out of one key. Some sixty small ones cost one hash."""

    __slots__ = ("_key", "_left", "_rounds")

    def __init__(self, *key: object) -> None:
        self._key = key
        self._rounds = 0
        self._left = int.from_bytes(digest(*key))

    def below(self, limit: int) -> int:
        """0 <= answer < limit."""
        if self._left < _LOW:
            self._rounds += 1
            self._left = int.from_bytes(digest(*self._key, self._rounds))
        self._left, answer = divmod(self._left, limit)
        return answer

    def between(self, low: int, high: int) -> int:
        """Low <= answer <= high."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def happens(self, percent: float) -> bool:
        """True in `percent` of all keys."""
        return self.below(10_000) < percent * 100

    def share(self) -> float:
        """0 <= answer < 1."""
        return self.below(1 << 32) / (1 << 32)


def mixed(key: int, number: int) -> int:
    """64 bits out of two integers: splitmix64, for where a hash would be too dear."""
    value = (key + (number + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ value >> 31
