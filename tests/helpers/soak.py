"""How long a test marked `soak` goes on: one round in `make test`, a share of the minutes in `make soak`."""

import os
import time
from collections.abc import Iterator


def rounds(share: float, *, seed: int = 20_261_124) -> Iterator[int]:
    """Seeds, one a round, until this test's share of LIMEGROVE_SOAK_MINUTES is used up; at least one.

    Args:
        share: of the minutes, between 0 and 1.
        seed: the first one; a failure names the seed it happened with.
    """
    end = time.monotonic() + minutes() * 60 * share
    while True:
        yield seed
        seed += 1
        if time.monotonic() >= end:
            return


def minutes() -> float:
    """What `make soak` was given; 0 in `make test`."""
    return float(os.environ.get("LIMEGROVE_SOAK_MINUTES", "0"))


def examples(whole: int) -> int:
    """How many examples of a property are tried: all by `make soak`, a quarter of them in `make test`."""
    return whole if minutes() > 0 else -(-whole // 4)
