"""The command line on a workspace of its own, empty or with three organizations in its store."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
NAMES = ["Acme Corp", "Böhm & Söhne", "Evil\x1b]0;owned\x07 Ltd"]
GID = "99999999-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, and no settings from anywhere else."""
    for name in [name for name in os.environ if name.startswith(("LIMEGROVE_", "LC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIMEGROVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "home"


@pytest.fixture
def limegrove(home: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Answer]]:
    """Runs a command line in this process: `limegrove("org", "list")`."""
    from console.__main__ import main

    umask = os.umask(0o077)
    os.umask(umask)
    hooks = sys.excepthook, threading.excepthook
    environ = dict(os.environ)

    def run(*argv: str) -> Answer:
        capsys.readouterr()
        code = main(list(argv))
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    yield run
    sys.excepthook, threading.excepthook = hooks
    os.umask(umask)
    os.environ.update(environ)  # the program takes Textual's variables away, which pytest's plugin needs


@pytest.fixture
def filled(home: Path, sqlite_made: Path) -> Path:
    """The workspace with three organizations: read now, failed, never read. Two have alerts."""
    from store import ingest
    from store.database import Store
    from store.times import now_ms

    (home / "default").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    shutil.copy(sqlite_made, home / "default" / "store.db")
    now = now_ms()
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as connection:
        rows = [{"oid": oid, "name": name, "region": "eu"} for oid, name in zip(OIDS, NAMES, strict=True)]
        ingest.put_organizations(connection, rows, complete=True, now=now)
        ingest.put_sensors(
            connection, OIDS[0], [{"sid": f"sensor-{n}", "hostname": f"web-{n}"} for n in range(4)]
        )
        for number in range(3):
            ingest.put_detections(connection, OIDS[0], [_detection(OIDS[0], number, now)])
        ingest.put_detections(connection, OIDS[2], [_detection(OIDS[2], 3, now)])
        ingest.put_access(connection, OIDS[0], ACCESS, now=now)
        ingest.put_keys(connection, OIDS[0], KEYS, now=now)
        for subject in ("detections", "access"):
            ingest.put_sync_state(connection, OIDS[0], subject, checked_at=now - 1000, attempted_at=now)
        ingest.put_sync_state(
            connection, OIDS[1], "detections", attempted_at=now, failure="auth", reason="The key was revoked."
        )
    return home


@pytest.fixture
def sealed(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace of three organizations, whose keys are kept in a passphrase file, used by kim."""
    from console import credentials
    from store.secret import Secret

    monkeypatch.setenv("LIMEGROVE_BACKEND", "passphrase-file")
    monkeypatch.setenv("LIMEGROVE_OPERATOR", "kim")
    monkeypatch.setattr(credentials, "_passphrase", Secret("correct horse battery staple"))
    return filled


ACCESS = {
    "user_permissions": {"ann@example.com": ["org.get", "dr.set"]},
    "direct_users": [{"email": "ann@example.com", "perms": ["org.get", "dr.set"]}],
    "from_groups": {
        "ann@example.com": {"email": "ann@example.com", "groups": {GID: ["org.get"]}},
        "bob@example.com": {"email": "bob@example.com", "groups": {GID: ["org.get"]}},
    },
    "group_info": {GID: {"name": "Tier 1", "owners": [], "perms": ["org.get", "sensor.get"]}},
}
KEYS = {"c0ffee": {"name": "=backup", "priv": ["org.get"], "by": "ann@example.com"}}


def _detection(oid: str, number: int, now: int) -> Any:
    from store import ingest

    raw = {
        "detect_id": f"detection-{number}",
        "cat": ["Encoded PowerShell", "Encoded PowerShell", "\u202eexe.scr", "Beacon"][number],
        "gen_time": now - number * 60_000,
        "routing": {
            "oid": oid,
            "sid": f"sensor-{number}",
            "hostname": f"web-{number}",
            "event_type": "NEW_PROCESS",
        },
        "detect": {"event": {"COMMAND_LINE": "\ud800 \x1b[2J", "BIG": 2**80}},
        "detect_mtd": {"level": ["critical", "low", "medium", "high"][number]},
        "source_rule": f"rule-{number}",
    }
    return ingest.detection_from(json.dumps(raw).encode(), oid, received=now)
