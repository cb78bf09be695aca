"""Subjects of sync, and how old their copy may be before it is called stale."""

SUBJECTS: tuple[str, ...] = (
    "organizations", "groups",
    "detections", "organization", "sensors", "access", "keys", "configuration",
    "usage", "errors", "audit", "cases",
)  # fmt: skip
"""The first two belong to the credential (oid ""), the others to each organization."""

STALE_AFTER = 15 * 60 * 1000
"""Milliseconds after which an organization's detections are called stale."""

STATES: tuple[str, ...] = ("fresh", "stale", "failed", "never")


def state_of(checked_at: int | None, failure: str, now: int) -> str:
    """One of STATES, for one subject.

    Args:
        checked_at: when it was last read completely (ms), or None.
        failure: the kind of the last failure; "" if the last attempt succeeded.
        now: ms.
    """
    if failure:
        return "failed"
    if checked_at is None:
        return "never"
    return "stale" if now - checked_at > STALE_AFTER else "fresh"
