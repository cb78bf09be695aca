"""How full a quota of sensors is, as every screen and command says it."""


def percent_used(used: float | None, quota: int | None) -> int | None:
    """How much of a quota is used: to the nearest whole percent, but 100 only of what is just full.

    What is not full is at most 99, what is over at least 101, what is not empty at least 1.

    Args:
        used: weighted sensors; None when that is not known.
        quota: sensors; 0 or None when there is none.

    Returns:
        None when either is not known.
    """
    if not quota or used is None:
        return None
    shown = round(used * 100 / quota)
    if used < quota:
        return min(99, max(shown, int(used > 0)))
    return max(101, shown) if used > quota else 100
