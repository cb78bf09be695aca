"""How the steps of runs are made: one module a subject, each with its `VERBS`.

`console.operations.runs` says how one is added.
"""

from functools import cache
from importlib import import_module

from console.operations.runsteps import Verb

MODULES = ("bulk", "onboarding", "offboarding", "smoke")
"""Modules of this package that have a `VERBS`, a sequence of `Verb`s."""


@cache
def _verbs() -> dict[str, Verb]:
    return {each.name: each for name in MODULES for each in import_module(f"{__name__}.{name}").VERBS}


def verb(name: str) -> Verb:
    """How the steps of a verb are made.

    Raises:
        KeyError: no module has it.
    """
    return _verbs()[name]
