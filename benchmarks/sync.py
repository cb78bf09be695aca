"""A full sync against the official SDK, and against what its own requests cost at the least; a second one
against the first; and ten thousand organizations against a thousand."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from tests.helpers.sandboxes import ROOT, environment, sandbox_process

LATENCY = 50.0
"""Milliseconds that every answer of the sandbox waits."""
CONCURRENCY = 50
SAMPLED = 50
"""Organizations that the official SDK reads; it takes as long for every further one."""
CHANGED = 5
"""Organizations that are changed between two passes."""


@contextmanager
def _stage(organizations: int, latency: float) -> Iterator[tuple[Path, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        options = {"orgs": organizations, "detections": organizations * 20, "latency": latency}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        with sandbox_process(home / "sandbox", *words, "--rate-quota", str(10**9)) as (stage, _):
            yield home, stage


def _ours(home: Path, stage: dict[str, Any], passes: int, change: list[str]) -> list[dict[str, Any]]:
    order = {name: stage[name] for name in ("url", "uid", "api_key")} | {
        "home": str(home), "passes": passes, "change": change, "concurrency": CONCURRENCY,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.syncing"],
        cwd=ROOT, env=environment(home), input=json.dumps(order), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for each in found:
        print(json.dumps(each), file=sys.stderr)
    return found


def _official(home: Path, stage: dict[str, Any], oids: list[str]) -> dict[str, Any]:
    variables = {
        "PATH": os.environ["PATH"], "LC_CONFIG_DIR": str(home / "official"), "LC_API_URL": stage["url"],
        "LC_JWT_URL": stage["url"], "LC_NO_JWT_CACHE": "1", "LC_NO_MIGRATION_WARNING": "1",
    }  # fmt: skip
    done = subprocess.run(
        [ROOT / ".venv-official" / "bin" / "python", ROOT / "benchmarks" / "official.py",
         stage["uid"], stage["api_key"], *oids],
        env=environment(home) | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps({"official": found}), file=sys.stderr)
    return found


def figures(runs: int) -> Iterator[Figure]:
    """A thousand organizations at 50 ms latency; each pass once, since one takes a minute."""
    with _stage(1000, LATENCY) as (home, stage):
        usable = [oid for place, oid in enumerate(stage["oids"]) if place != 4]
        first, second, check = _ours(home, stage, 2, usable[:CHANGED])
        theirs = _official(home, stage, usable[:SAMPLED])
    whole = theirs["seconds"] / SAMPLED * first["organizations"]
    floor = first["requests"] * LATENCY / 1000 / CONCURRENCY
    yield Figure("sync", "full pass / official SDK", first["seconds"], whole, 1 / 20, "s")
    yield Figure("sync", "full pass / requests x latency / 50", first["seconds"], floor, 1.5, "s")
    yield Figure("sync", "second pass / first", second["seconds"], first["seconds"], 1 / 5, "s")
    missed = len(check["missed"])
    yield Figure("sync", "tables in which a change was missed", missed, 1, 0, "", absolute=True)


def scale(runs: int) -> Iterator[Figure]:
    """A full pass over 1,000 and over 10,000 organizations, without latency."""
    found = {}
    for organizations in (1_000, 10_000):
        with _stage(organizations, 0.0) as (home, stage):
            (found[organizations],) = _ours(home, stage, 1, [])
    small, large = found[1_000], found[10_000]
    yield Figure(
        "sync-scale", "ms an organization, 10,000 / 1,000",
        large["seconds"] / 10, small["seconds"], 1.3, "ms",
    )  # fmt: skip
    yield Figure(
        "sync-scale", "peak memory, 10,000 / 1,000", large["peak"] / 2**20, small["peak"] / 2**20, 1.3, "MiB"
    )
