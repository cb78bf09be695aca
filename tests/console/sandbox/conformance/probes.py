"""What a probe is, and the list of all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.console.sandbox.conformance.stage import Stage

Check = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that the client is asked, and what the seed (or what it wrote before) says to it."""

    name: str
    area: str
    check: Check
    """Raises when the client says anything else."""
    fields: tuple[tuple[str, str], ...]
    """(endpoint, path): without any of these in the sandbox's answer `check` raises."""


ALL: list[Probe] = []


def probe(depends: Mapping[str, str]) -> Callable[[Check], Check]:
    """Declare a probe: by endpoint, the fields of its answer that the probe depends on, parted by blanks.

    A field is a path through the answer, parted by points: `orgs.*.oid`; `*` is every element. In the
    place of a field `(the effect)` says that the call has to act.
    """
    fields = tuple(
        (endpoint, path)
        for endpoint, paths in depends.items()
        for path in paths.replace("(the effect)", "(the\0effect)").split(" ")
        if path
    )

    def declare(check: Check) -> Check:
        name = check.__name__.replace("_", " ")
        area = check.__module__.rpartition(".")[2]
        ALL.append(Probe(name, area, check, tuple((end, path.replace("\0", " ")) for end, path in fields)))
        return check

    return declare
