"""When each organization is looked at next: those with news, and those that matter, more often."""

import heapq
from collections.abc import Collection, Iterable

SHORTEST = 15.0
"""Seconds between two looks at an organization that has news every time."""
LONGEST = 300.0
"""Seconds between two looks at one that never has, at most."""
IMPORTANT = 60.0
"""The same for one that matters."""
FASTER, SLOWER = 0.5, 1.5
"""What a look with news, and one without, makes of the time until the next."""


class Schedule:
    """The next look at every organization of a credential.

    Who has waited longest goes first, so that noise decides how often an organization is looked at, and
    never whether. Times are seconds on any one clock that does not go backwards.
    """

    def __init__(self, *, shortest: float = SHORTEST) -> None:
        """`shortest` is the time between two looks at the noisiest (s)."""
        self._shortest = shortest
        self._intervals: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        self._longest = LONGEST
        self._important: frozenset[str] = frozenset()

    def keep(
        self, oids: Iterable[str], *, important: Collection[str], now: float, longest: float = LONGEST
    ) -> None:
        """Know exactly these organizations; a new one is due at once.

        Args:
            important: those that are never left alone for longer than IMPORTANT.
            longest: seconds that none is left alone for, at most LONGEST: where the rate allows more looks,
                there is no reason to wait.
        """
        self._longest = max(self._shortest, min(longest, LONGEST))
        wanted = set(oids)
        self._important = frozenset(important) & wanted
        for oid in set(self._due) - wanted:
            del self._due[oid], self._intervals[oid]
        for oid in sorted(wanted - set(self._due)):
            self._intervals[oid] = self._shortest
            self._put(oid, now)
        for oid in self._important:
            if self._due[oid] > now + IMPORTANT:
                self._put(oid, now + IMPORTANT)

    def due(self, now: float, most: int) -> list[str]:
        """Whose turn it is, the longest overdue first, at most so many. Each is named until it was `looked`
        at, but only once in an answer."""
        found: list[str] = []
        seen: set[str] = set()
        while self._queue and len(found) < most and self._queue[0][0] <= now:
            when, oid = heapq.heappop(self._queue)
            if self._due.get(oid) == when and oid not in seen:
                found.append(oid)
                seen.add(oid)
        for oid in found:
            heapq.heappush(self._queue, (self._due[oid], oid))
        return found

    def looked(self, oid: str, now: float, *, news: bool) -> None:
        """An organization was looked at; `news` says whether anything was new."""
        if oid not in self._due:
            return
        longest = min(IMPORTANT, self._longest) if oid in self._important else self._longest
        interval = self._intervals[oid] * (FASTER if news else SLOWER)
        self._intervals[oid] = min(max(interval, self._shortest), max(longest, self._shortest))
        self._put(oid, now + self._intervals[oid])

    def interval(self, oid: str) -> float:
        """Seconds between two looks at an organization, as things are."""
        return self._intervals[oid]

    def wait(self, now: float) -> float:
        """Seconds until somebody is due; 0 when somebody is."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return max(0.0, self._queue[0][0] - now) if self._queue else self._shortest

    def _put(self, oid: str, when: float) -> None:
        self._due[oid] = when
        heapq.heappush(self._queue, (when, oid))
