"""Run one benchmark, or all."""

import argparse
import json
import sys
from collections.abc import Iterator

from benchmarks import (
    agreement,
    drift,
    falsepositives,
    ingest,
    keys,
    matrix,
    overview,
    pivot,
    plan,
    queue,
    reports,
    rollout,
    start,
    storage,
    sync,
    triage,
)
from benchmarks import help as help_
from benchmarks.figure import Figure

NAMES = {
    "start": start.figures,
    "help": help_.figures,
    "keys": keys.figures,
    "agreement": agreement.figures,
    "queue": queue.figures,
    "pivot": pivot.figures,
    "matrix": matrix.figures,
    "plan": plan.figures,
    "drift": drift.figures,
    "overview": overview.figures,
    "triage": triage.figures,
    "ingest": ingest.figures,
    "storage": storage.figures,
    "fp-preview": falsepositives.figures,
    "reports": reports.figures,
    "rollout": rollout.figures,
    "sync": sync.figures,
    "sync-scale": sync.scale,
}


def main() -> int:
    """Print each figure; 1 when one misses its goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all"])
    parser.add_argument("--output", choices=["json", "table"], default="table")
    parser.add_argument("--runs", type=int, default=9, help="counted runs of each side (9)")
    arguments = parser.parse_args()
    names = list(NAMES) if arguments.name == "all" else [arguments.name]
    well = True
    for name in names:
        found: Iterator[Figure] = NAMES[name](arguments.runs)
        for figure in found:
            well &= figure.ok
            if arguments.output == "json":
                print(json.dumps(figure.as_dict()), flush=True)
            else:
                print(figure.line(), flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
