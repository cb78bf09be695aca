"""Small plots in one line of plain characters."""

from collections.abc import Sequence

LEVELS = ".:-=+*#"
"""Nothing, then six heights up to the largest value shown."""
UNKNOWN = "?"


def spark(values: Sequence[int | float | None], *, gap: str = "", full: float = 0) -> str:
    """One character a value, as high as its share of the largest; `?` for None, which is not known.

    A value that is not zero is never drawn as nothing, so a single event in a busy week remains visible.

    Args:
        full: what the highest character stands for, unless a value is larger.
    """
    largest = max((value for value in values if value is not None), default=0)
    largest = max(largest, full)
    steps = len(LEVELS) - 1
    return gap.join(
        UNKNOWN
        if value is None
        else LEVELS[0]
        if value <= 0 or largest <= 0
        else LEVELS[max(1, -int(-value * steps // largest))]
        for value in values
    )


def bar(done: int, total: int, width: int) -> str:
    """`#####.....`: full only when all is done, empty only when nothing is."""
    if width <= 0:
        return ""
    if total <= 0:
        return "." * width
    filled = min(width, done * width // total)
    if done > 0 and filled == 0:
        filled = 1
    return "#" * filled + "." * (width - filled)
