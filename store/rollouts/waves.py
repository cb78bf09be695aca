"""Waves: which organizations are changed together, and in which order.

A wave is asked for by a word: `canary` (those that carry the mark), a number of organizations, a share of all
(`10%`), a node of the tree (`node:ID`), and `rest` for whoever is left. What is in an earlier wave is in no
later one; a rollout whose waves leave somebody out gets a last wave of them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CANARY, REST = "canary", "rest"

DEFAULT = (CANARY, "10%", REST)
"""Where nothing else is asked for."""

_SHARE = re.compile(r"(\d{1,3})\s?%")


class WaveError(ValueError):
    """A wave is not understood; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Organizations that are changed together."""

    number: int
    """From 1."""
    name: str
    oids: tuple[str, ...]


def check(words: Sequence[str]) -> None:
    """Whether waves can be read.

    Raises:
        WaveError: one of them cannot.
    """
    for word in words:
        share = _SHARE.fullmatch(word)
        if share is not None and not 1 <= int(share[1]) <= 100:
            raise WaveError(f"The wave {word!r} has to be between 1% and 100%.")
        if (
            share is None
            and word not in (CANARY, REST)
            and not word.startswith("node:")
            and not word.isdecimal()
        ):
            raise WaveError(
                f"The wave {word!r} is none: there are canary, a number, a share as 10%, node:ID, and rest."
            )


def waves(
    oids: Sequence[str],
    words: Sequence[str],
    *,
    canaries: frozenset[str] = frozenset(),
    nodes: Mapping[str, frozenset[str]] | None = None,
) -> list[Wave]:
    """Who is in which wave; waves that are empty are left out.

    Args:
        oids: who is to be changed, in the order of the tree.
        words: see above; DEFAULT when empty.
        canaries: those that carry the mark.
        nodes: id of a node -> the oids below it, for the nodes that `words` name.

    Raises:
        WaveError: a word is not understood.
    """
    words = tuple(words) or DEFAULT
    check(words)
    left = list(oids)
    found: list[Wave] = []

    def take(name: str, chosen: list[str]) -> None:
        if chosen:
            found.append(Wave(len(found) + 1, name, tuple(chosen)))
            taken = set(chosen)
            left[:] = [each for each in left if each not in taken]

    for word in words:
        share = _SHARE.fullmatch(word)
        if word == CANARY:
            take(word, [each for each in left if each in canaries])
        elif word == REST:
            take(word, list(left))
        elif share is not None:
            take(word, left[: math.ceil(len(oids) * int(share[1]) / 100)])
        elif word.startswith("node:"):
            below = (nodes or {}).get(word[5:], frozenset())
            take(word, [each for each in left if each in below])
        else:
            take(word, left[: int(word)])
    take(REST, list(left))
    return found
