"""How a line of a detail of an organization is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from screens.widgets.text import line
from store.alerts import SEVERITIES

if TYPE_CHECKING:
    from textual.content import Content

LABEL = 11
"""Cells of the word that a line begins with."""


def field(name: str, *parts: str | Content | tuple[str, str]) -> Content:
    """A line that begins with what it is about, in at most ten letters."""
    return line((f" {name:<{LABEL}}", "bold"), *parts)


def opened(many: int | None, by_severity: Sequence[int]) -> str:
    """`3 open: 1 critical, 2 low`; `none open`; `unknown` for None, which was never read."""
    if many is None:
        return "unknown"
    return f"{many:,} open: {severities(by_severity)}" if many else "none open"


def counted(many: int | None) -> str:
    """`1,402`; `unknown` for None, which was never read."""
    return "unknown" if many is None else f"{many:,}"


def severities(by_severity: Sequence[int]) -> str:
    """`2 critical, 8 high`: the worst first, those that are none left out; `none open`."""
    parts = [
        f"{count:,} {word}"
        for word, count in zip(reversed(SEVERITIES), reversed(by_severity), strict=True)
        if count
    ]
    return ", ".join(parts) or "none open"
