"""LimaCharlie's own client, the judge of the sandbox: what it is told has to be what the seed decides.

Each probe is run as it is, and then once for every field that it depends on, with the field taken out of
the sandbox's answer: a probe that does not notice that proves nothing.
"""

import importlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.sandbox.calls import table
from tests.console.sandbox.conformance import page, probes
from tests.console.sandbox.conformance.probes import Probe
from tests.console.sandbox.conformance.stage import PYTHON, Stage, Without, stage, variables

AREAS = (
    "identity", "organizations", "access", "hive", "configuration", "sensors", "cases", "audit", "search",
    "rest", "trouble",
)  # fmt: skip
for _area in AREAS:
    importlib.import_module(f"tests.console.sandbox.conformance.{_area}")

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not PYTHON.exists(), reason="the official client is not installed: run `make test`"),
]
FIELDS = [(one, endpoint, path) for one in probes.ALL for endpoint, path in one.fields]


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
def it(standing: Stage) -> Stage:
    standing.start_over()
    return standing


@pytest.mark.parametrize("probe", probes.ALL, ids=lambda probe: f"{probe.area}-{probe.name}")
def test_the_official_client_is_told_what_is(it: Stage, probe: Probe) -> None:
    probe.check(it)


@pytest.mark.parametrize(
    ("probe", "endpoint", "path"),
    FIELDS,
    ids=[f"{one.area}-{one.name}: {path} of {endpoint}" for one, endpoint, path in FIELDS],
)
def test_a_field_that_is_taken_out_is_missed(it: Stage, probe: Probe, endpoint: str, path: str) -> None:
    without = Without(endpoint, path)
    with it.fault(without), pytest.raises(Exception):  # noqa: B017, PT011  (whatever the client makes of it)
        probe.check(it)
    assert without.taken, f"{endpoint} was not asked, or its answer has no {path}"


def test_the_client_says_the_same_in_a_process_of_its_own(it: Stage) -> None:
    for arguments in (("org", "info"), ("sensor", "get", "--sid", "nothing")):
        done = subprocess.run(
            [str(PYTHON.with_name("limacharlie")), *arguments, "--output", "json"],
            env=variables(it.sandbox.url, it.home) | it.credentials,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = it.run(*arguments, "--output", "json")
        assert (done.returncode, done.stdout, done.stderr) == (said.code, said.out, said.error)


def test_every_probe_says_what_it_depends_on() -> None:
    assert len(probes.ALL) >= 60
    assert not [one.name for one in probes.ALL if not one.fields]
    names = [(one.area, one.name) for one in probes.ALL]
    assert len(names) == len(set(names))


def test_every_module_of_probes_is_run() -> None:
    others = {"driver", "probes", "stage", "page", "test_conformance"}
    assert {file.stem for file in Path(__file__).parent.glob("*.py")} - others == set(AREAS)


def test_probes_name_endpoints_that_there_are() -> None:
    known = {f"{endpoint.method} {endpoint.template}" for endpoint in table.endpoints}
    assert {endpoint for _, endpoint, _ in FIELDS} <= known


def test_the_page_about_limacharlie_tells_what_is_verified() -> None:
    written = page.FILE.read_text().partition(page.MARK)[2]
    assert written == "\n" + page.lists(), "run `python -m tests.console.sandbox.conformance.page`"
