"""How the steps of runs are made: one module a subject, each with its `VERBS`.

`console.operations.runs` says how one is added.
"""

from importlib import import_module

from console.operations.runsteps import Verb

MODULES = ("bulk", "onboarding", "offboarding", "smoke")
"""Modules of this package that have a `VERBS`, a sequence of `Verb`s."""

_known: dict[str, Verb] = {}


def verb(name: str) -> Verb:
    """How the steps of a verb are made.

    Raises:
        KeyError: no module has it.
    """
    if not _known:
        for module in MODULES:
            for each in import_module(f"{__name__}.{module}").VERBS:
                _known[each.name] = each
    return _known[name]
