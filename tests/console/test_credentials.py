"""Which credential holds, asked of a fresh process each time: what it reads, it reads once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.process import workspace
from store.credentials import Credential, Vault
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, environment

PASSPHRASE = "correct horse battery"
STORED = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user with a stored credential for the environment prod."""
    vault = Vault(
        workspace(tmp_path / "limegrove"), lambda new: Secret(PASSPHRASE), backend="passphrase-file"
    )
    vault.save("prod", Credential(kind="user", secret=Secret("stored-key"), uid="stored", endpoint=STORED))
    return tmp_path


def resolve(home: Path, code: str, *, fds: dict[str, str] | None = None, **environ: str) -> Any:
    """What `code` prints as JSON in a process that has hardened itself; descriptors by variable."""
    prologue = (
        "import argparse, json, sys\n"
        "from console.process import harden\nharden()\n"
        "from console import credentials\nfrom console.settings import load\n"
        "from store.credentials import CredentialError\n"
        "def settings(**options): return load(argparse.Namespace(**options))\n"
        "def told(found): return [found.kind, found.uid or found.oid, found.endpoint]\n"
    )
    readers: list[int] = []
    for variable, text in (fds or {}).items():
        reader, writer = os.pipe()
        os.write(writer, text.encode())
        os.close(writer)
        readers.append(reader)
        environ[variable] = str(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", prologue + code],
            cwd=ROOT,
            env=environment(home, **environ),
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            pass_fds=readers,
            timeout=60,
            check=False,
        )
    finally:
        for reader in readers:
            os.close(reader)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


MACHINE = {"LC_UID": "machine", "LC_API_KEY": "machine-key"}
FD = {"LIMEGROVE_CREDENTIALS_FD": json.dumps({"uid": "handed", "api_key": "handed-key"})}
OPEN = {"LIMEGROVE_PASSPHRASE_FD": PASSPHRASE}
TELL = "print(json.dumps(told(credentials.credential(settings(env={env!r})))))"


def test_a_descriptor_comes_before_everything(home: Path) -> None:
    code = TELL.format(env="prod")
    assert resolve(home, code, fds=FD | OPEN, **MACHINE) == ["user", "handed", None]


def test_a_stored_credential_that_is_named_comes_before_the_machines(home: Path) -> None:
    assert resolve(home, TELL.format(env="prod"), fds=OPEN, **MACHINE) == ["user", "stored", STORED]


def test_the_machines_credential_comes_before_a_stored_one_that_nobody_named(home: Path) -> None:
    code = TELL.format(env=None)
    assert resolve(home, code, LIMEGROVE_ENV="prod", **MACHINE) == ["user", "machine", None]
    assert resolve(home, TELL.format(env="lab"), **MACHINE) == ["user", "machine", None]


def test_a_stored_credential_goes_to_its_own_endpoint_without_being_told(home: Path) -> None:
    assert resolve(home, TELL.format(env="prod"), fds=OPEN) == ["user", "stored", STORED]


def test_asking_twice_reads_descriptors_once(home: Path) -> None:
    code = (
        "s = settings(env='prod')\n"
        "first = credentials.credential(s); key = credentials.redaction_key(s)\n"
        "print(json.dumps([told(first), told(credentials.credential(s)), len(key)]))"
    )
    assert resolve(home, code, fds=OPEN) == [["user", "stored", STORED], ["user", "stored", STORED], 32]


def test_preparing_opens_the_passphrase_file_before_the_screens_take_the_terminal(home: Path) -> None:
    code = (
        "s = settings(env='prod')\ncredentials.prepare(s)\n"
        "credentials.ask_passphrase = None\n"
        "print(json.dumps(told(credentials.credential(s))))"
    )
    assert resolve(home, code, fds=OPEN) == ["user", "stored", STORED]


def test_after_preparing_nobody_is_asked_on_the_terminal(home: Path) -> None:
    code = (
        "sys.stdin.close(); sys.stdin = type('Terminal', (), {'isatty': lambda self: True})()\n"
        "s = settings(env='lab')\ncredentials.prepare(s)\n"
        "try: credentials.ask_passphrase(False); print(json.dumps('asked'))\n"
        "except CredentialError as error: print(json.dumps(str(error)))"
    )
    assert "nobody is here to type it" in resolve(home, code)


def test_preparing_offline_or_for_a_machine_asks_for_nothing(home: Path) -> None:
    code = "credentials.prepare(settings(env={env!r}, offline={offline})); print(json.dumps('well'))"
    assert resolve(home, code.format(env="prod", offline=True)) == "well"
    assert resolve(home, code.format(env=None, offline=False), **MACHINE) == "well"


def test_a_wrong_passphrase_is_told_before_the_screens_open(home: Path) -> None:
    code = (
        "try: credentials.prepare(settings(env='prod')); print(json.dumps('opened'))\n"
        "except CredentialError as error: print(json.dumps(str(error)))"
    )
    assert "does not open" in resolve(home, code, fds={"LIMEGROVE_PASSPHRASE_FD": "another passphrase"})


@pytest.mark.parametrize("variable", ["LIMEGROVE_PASSPHRASE_FD", "LIMEGROVE_CREDENTIALS_FD"])
def test_a_variable_that_names_no_descriptor_is_one_sentence(home: Path, variable: str) -> None:
    code = (
        "try: credentials.credential(settings(env='prod')); print(json.dumps('opened'))\n"
        "except CredentialError as error: print(json.dumps(str(error)))"
    )
    assert (
        resolve(home, code, **{variable: "three"}) == f"{variable} must be the number of a file descriptor."
    )
