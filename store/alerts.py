"""The words of the alert queue: severities, states, and what a filter line means."""

from dataclasses import dataclass

SEVERITIES: tuple[str, ...] = ("info", "low", "medium", "high", "critical")
"""Index is what `Detection.severity` holds."""

STATUSES: tuple[str, ...] = ("new", "in_progress", "resolved", "closed")
"""As ext-cases names them. Index is what `Detection.status` holds; open is the first two."""

CLASSIFICATIONS: tuple[str, ...] = ("pending", "true_positive", "false_positive")

OPEN: tuple[int, ...] = (0, 1)


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts are wanted. Everything given must hold."""

    scope: str = ""
    """Id of a tree node; "" is the root."""
    oid: str = ""
    severity: int = 0
    """At least this one."""
    statuses: tuple[int, ...] = OPEN
    cat: str = ""
    """Contained in the category, any case; likewise the next ones."""
    hostname: str = ""
    rule: str = ""
    organization: str = ""
    words: tuple[str, ...] = ()
    """Each contained in the category, host name, rule or organization name."""
    since: int | None = None
    """Milliseconds, UTC; inclusive."""
    until: int | None = None
    """Exclusive."""


class FilterError(ValueError):
    """A filter line that means nothing; the text says which word, and what is allowed."""


def severity_of(level: object, priority: object) -> int:
    """Severity of a detection, as Cases maps it by default.

    Args:
        level: `detect_mtd.level`, if it is one of LimaCharlie's words.
        priority: 0 to 10, used when there is no level: critical from 8, high from 5, medium from 3, low below.

    Returns:
        Index into SEVERITIES; medium when neither says anything.
    """
    if isinstance(level, str):
        word = level.strip().lower()
        word = {"informational": "info", "information": "info"}.get(word, word)
        if word in SEVERITIES:
            return SEVERITIES.index(word)
    if isinstance(priority, int | float) and not isinstance(priority, bool):
        return 4 if priority >= 8 else 3 if priority >= 5 else 2 if priority >= 3 else 1
    return 2


def parse_filter(line: str, *, scope: str = "") -> AlertFilter:
    """Read what an operator typed after `/`.

    `sev:high host:web cat:powershell rule:x org:acme status:closed status:any since:2h encoded` : prefixed
    words filter a column, bare words any of category, host, rule and organization. Quotes keep spaces.

    Raises:
        FilterError: an unknown prefix, severity, status or duration.
    """
    raise NotImplementedError
