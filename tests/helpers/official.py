"""The official client as tests start it, each time with an environment of its own."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sandboxes import ROOT

OFFICIAL = ROOT / ".venv-official" / "bin" / "limacharlie"
OFFICIAL_PYTHON = ROOT / ".venv-official" / "bin" / "python"


def needs_official(test: Any) -> Any:
    """Marks a test that starts the official client."""
    missing = pytest.mark.skipif(
        not OFFICIAL.exists(), reason="the official client is not installed: run `make test`"
    )
    return pytest.mark.official(missing(test))


def official(stage: dict[str, Any], oid: str, *arguments: str, code: int = 0) -> str:
    """What its command line prints about an organization of a sandbox; it has to end with that code."""
    with tempfile.TemporaryDirectory(prefix="official-") as directory:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "LC_CONFIG_DIR": directory,
            "LC_API_URL": stage["url"],
            "LC_JWT_URL": stage["url"],
            "LC_CASES_API_ROOT": stage["url"],
            "LC_NO_JWT_CACHE": "1",
            "LC_NO_MIGRATION_WARNING": "1",
            "LC_UID": stage["uid"],
            "LC_API_KEY": stage["api_key"],
            "LC_OID": oid,
        }
        done = subprocess.run(
            [str(OFFICIAL), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=Path(directory),
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout
