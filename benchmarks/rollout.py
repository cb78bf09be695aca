"""A rollout over a thousand organizations, against the time in which the rate budget lets its requests through.

What the budget allows is counted in requests: the engine reads a record, sends it, reads it back, and looks at
each organization before its wave and after it. All of them count, and so do the tokens.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from tests.helpers.sandboxes import ROOT, environment, sandbox_process

ORGANIZATIONS = 1000
LATENCY = 50.0
"""Milliseconds that every answer of the sandbox waits."""
QUOTA = 6_000
"""Requests that the sandbox lets a credential have in a minute: five times the only published rate."""


def figures(runs: int) -> Iterator[Figure]:
    """One pass, since it takes a minute and a half."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        options = ("--orgs", str(ORGANIZATIONS), "--detections", "0", "--latency", str(LATENCY))
        with sandbox_process(home / "sandbox", *options, "--rate-quota", str(QUOTA)) as (stage, _):
            order = {each: stage[each] for each in ("url", "uid", "api_key", "oids")} | {"home": str(home)}
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.rollingout"], cwd=ROOT, env=environment(home),
                input=json.dumps(order), capture_output=True, text=True, check=True,
            )  # fmt: skip
    found = json.loads(done.stdout)
    print(json.dumps(found), file=sys.stderr)
    # At least 0.8 of the speed is at most 1.25 times the time.
    yield Figure("rollout", "seconds / requests at the budget", found["seconds"], found["allowed"], 1.25, "s")
    yield Figure("rollout", "records not as wanted", found["failed"], 1, 0, "", absolute=True)
    yield Figure("rollout", "requests refused with 429", found["throttled"], 1, 0, "", absolute=True)
