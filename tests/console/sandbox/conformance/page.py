"""The lists of docs/limacharlie.md: what the official client verifies of each endpoint, and what nobody does.

`python -m tests.console.sandbox.conformance.page` writes them.
"""

from tests.console.sandbox.conformance import probes
from tests.helpers.sandboxes import ROOT

FILE = ROOT / "docs" / "limacharlie.md"
MARK = "<!-- verified -->\n"
NAMED = 3
"""How many probes are named; of the others the number is."""


def lists() -> str:
    """What stands below the mark."""
    from console.sandbox.calls import table

    by_endpoint: dict[str, list[str]] = {}
    for probe in probes.ALL:
        for name in dict.fromkeys(name for name, _ in probe.fields):
            by_endpoint.setdefault(name, []).append(f"{probe.area}: {probe.name}")
    verified, documented = [], []
    for endpoint in sorted(table.endpoints, key=lambda one: (one.template, one.method)):
        name = f"{endpoint.method} {endpoint.template}"
        serves = (endpoint.handler.__doc__ or "").split("\n")[0].rstrip(".")
        found = by_endpoint.get(name, [])
        if found:
            more = f"; {len(found) - NAMED} more" if len(found) > NAMED else ""
            verified.append(f"| `{name}` | {'; '.join(found[:NAMED])}{more} |")
        else:
            documented.append(f"| `{name}` | {serves} |")
    return "\n".join(
        [
            f"{len(probes.ALL)} probes verify {len(verified)} endpoints.",
            "",
            "| endpoint | probes |",
            "|---|---|",
            *verified,
            "",
            f"Only documented, or used by no command of the official Python client ({len(documented)}):",
            "",
            "| endpoint | what it answers |",
            "|---|---|",
            *documented,
            "",
        ]
    )


def main() -> None:
    """Write the lists."""
    from tests.console.sandbox.conformance import test_conformance  # noqa: F401  (declares the probes)

    FILE.write_text(FILE.read_text().partition(MARK)[0] + MARK + "\n" + lists())


if __name__ == "__main__":
    main()
