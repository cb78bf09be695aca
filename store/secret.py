"""A secret in memory, that cannot be printed, logged or pickled by accident."""

import hmac
from typing import NoReturn


class Secret:
    """Holds an API key, a token or a passphrase. Only `reveal()` gives it back.

    Two secrets are compared in constant time. There is no hash, so that a secret is never a key of
    a dictionary that somebody prints.
    """

    __slots__ = ("__value",)
    __hash__ = None  # type: ignore[assignment]  # how Python spells "unhashable"

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("a secret is text")
        self.__value = value

    def reveal(self) -> str:
        """The secret itself: for the one place that has to send or store it."""
        return self.__value

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self.__value.encode("utf-8", "surrogatepass"), other.__value.encode("utf-8", "surrogatepass")
        )

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self
