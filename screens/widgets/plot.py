"""Plots of several rows in plain characters: days from left to right, one sign for each kind of value."""

from collections.abc import Sequence


def plot(series: Sequence[tuple[str, Sequence[int | float | None]]], height: int) -> list[tuple[str, str]]:
    """The rows of a plot, the highest first: what its axis says there, and a character a value.

    The axis begins at 0, or at the smallest value where that is more than half of the largest, so that a
    small change of a large number can be seen; it says what its highest and its lowest row stand for.

    Args:
        series: (one character, values as many as in any other); where several fall into one place the first
            one is seen. Of a value that is None nothing is drawn.
        height: rows, at least 2.
    """
    known = [value for _, values in series for value in values if value is not None]
    top, bottom = max(known, default=0), min(known, default=0)
    if bottom * 2 <= top or bottom == top:
        bottom = min(bottom, 0)
    width = max((len(values) for _, values in series), default=0)
    rows = [[" "] * width for _ in range(height)]
    for sign, values in reversed(series):
        for place, value in enumerate(values):
            if value is not None:
                share = (value - bottom) / (top - bottom) if top > bottom else 0
                rows[height - 1 - round(share * (height - 1))][place] = sign
    labels = [_number(top) if top > bottom else "", *[""] * (height - 2), _number(bottom)]
    return [(label, "".join(row)) for label, row in zip(labels, rows, strict=True)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
