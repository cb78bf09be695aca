"""Text from outside is code until it is made safe here."""


class Untrusted(str):
    """A string that a stranger chose: telemetry, names, comments. Show it through `safe_text` only."""

    __slots__ = ()


def safe_text(value: str, limit: int = 4096, *, marks: int = 3) -> str:
    """One line that cannot steer a terminal: what is invisible or active is shown in hexadecimal."""
    raise NotImplementedError
