"""What was asked of the sandbox: the figure behind every claim about requests."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered request. Never a token, a body, or a secret."""

    time: int
    """Milliseconds, UTC, of the machine."""
    method: str
    template: str
    """"" when no endpoint has this path."""
    path: str
    """Raw, with its query."""
    status: int
    """0 when the connection was dropped instead of an answer."""
    credential: str
    """uid or key hash; "" without a token."""
    oid: str
    milliseconds: float
    fault: str = ""
    """What was put in its way on demand."""
    effect: bool = False
    """It was carried out with success, whatever was answered."""
    body: str = ""
    """A hash of the body that was sent, to know the same one by; "" without a body."""


class RequestLog:
    """The newest requests, and counts of all."""

    def __init__(self, keep: int = 20_000) -> None:
        self.entries: deque[Entry] = deque(maxlen=keep)
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()

    def add(self, entry: Entry) -> None:
        """Remember one."""
        self.entries.append(entry)
        self._counts[f"{entry.method} {entry.template or '(unknown)'}"] += 1
        self._statuses[entry.status] += 1

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self._counts.values())

    def endpoints(self) -> dict[str, int]:
        """`GET /v1/orgs/{oid}` -> how often, sorted by name."""
        return dict(sorted(self._counts.items()))

    def statuses(self) -> dict[str, int]:
        """Status -> how often."""
        return {str(status): count for status, count in sorted(self._statuses.items())}

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The last ones, oldest first."""
        return [asdict(entry) for entry in list(self.entries)[-count:]] if count > 0 else []

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self._counts.clear()
        self._statuses.clear()
