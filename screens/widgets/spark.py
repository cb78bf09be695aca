"""Small plots in one line of plain characters."""

from collections.abc import Sequence

LEVELS = ".:-=+*#"
"""Nothing, then six heights up to the largest value shown."""


def spark(values: Sequence[int | float], *, gap: str = "") -> str:
    """One character a value, as high as its share of the largest.

    A value that is not zero is never drawn as nothing, so a single event in a busy week remains visible.
    """
    largest = max(values, default=0)
    steps = len(LEVELS) - 1
    return gap.join(
        LEVELS[0] if value <= 0 or largest <= 0 else LEVELS[max(1, -int(-value * steps // largest))]
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
