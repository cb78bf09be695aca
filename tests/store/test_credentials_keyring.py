"""Against a real gnome-keyring on a private bus."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.credentials import (
    Credential,
    CredentialError,
    KeyringLocked,
    KeyringUnavailable,
    NoCredential,
    UntrustedBackend,
    Vault,
    gate,
    secret_service,
)
from store.credentials.secret_service import SecretService
from store.secret import Secret
from tests.helpers.sandboxes import environment, limegrove

pytestmark = pytest.mark.keyring

KEY = "5b0f9a52-4c1d-4e4e-9d2b-6f1f7a3c0e11"
USER = Credential(kind="user", secret=Secret(KEY), uid="Zx9kQ2")

_MISSING = [name for name in ("dbus-daemon", "gnome-keyring-daemon") if shutil.which(name) is None]


def no_passphrase(new: bool) -> Secret:
    raise AssertionError("the passphrase file must not be used")


@contextmanager
def session_bus(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A bus of our own; nothing of the user's session is seen, and nothing can be activated."""
    if _MISSING:
        pytest.skip(f"{' and '.join(_MISSING)} not installed: apt-get install gnome-keyring dbus")
    runtime = directory / "runtime"
    runtime.mkdir(mode=0o700)
    configuration = directory / "bus.conf"
    configuration.write_text(
        f"<busconfig><type>session</type><listen>unix:dir={runtime}</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow send_destination="*"/><allow own="*"/>'
        '<allow eavesdrop="true"/></policy></busconfig>'
    )
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_DATA_HOME": str(directory / "data"),
    }
    bus = subprocess.Popen(
        ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert bus.stdout is not None
        environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", environ["DBUS_SESSION_BUS_ADDRESS"])
        yield environ
    finally:
        bus.terminate()
        bus.communicate(timeout=10)


@contextmanager
def gnome_keyring(environ: dict[str, str], password: str | None) -> Iterator[None]:
    """The daemon; unlocked with `password`, or locked as it stands after a login without one."""
    command = ["gnome-keyring-daemon", "--foreground", "--components=secrets"]
    daemon = subprocess.Popen(
        [*command, "--unlock"] if password is not None else command,
        env=environ,
        stdin=subprocess.PIPE if password is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if daemon.stdin is not None and password is not None:
            daemon.stdin.write(password.encode())
            daemon.stdin.close()
        wait_for_owner()
        yield
    finally:
        daemon.terminate()
        daemon.wait(timeout=10)


def wait_for_owner() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if "no Secret Service" not in SecretService().state()[1]:
            return
        time.sleep(0.02)
    raise AssertionError("gnome-keyring did not come up within 20 s")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    for name in list(os.environ):
        if name.startswith("KEYRING_PROPERTY_") or name == "PYTHON_KEYRING_BACKEND":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with session_bus(tmp_path, monkeypatch) as environ:
        yield environ


@pytest.fixture
def keyring(bus: dict[str, str]) -> Iterator[dict[str, str]]:
    with gnome_keyring(bus, "correct horse"):
        yield bus


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_key_comes_back_from_the_keyring_as_it_went_in(keyring: dict[str, str], home: Path) -> None:
    vault = Vault(home, no_passphrase)
    entry = vault.save("prod", USER)
    assert (entry.backend, entry.kind, entry.uid) == ("secret-service", "user", "Zx9kQ2")
    found = Vault(home, no_passphrase).load("prod")
    assert found.secret.reveal() == KEY
    assert (found.kind, found.uid, found.oid, found.endpoint) == ("user", "Zx9kQ2", "", None)
    assert len(found.redaction_key) == 32


def test_no_file_holds_the_key_in_the_clear(keyring: dict[str, str], home: Path, tmp_path: Path) -> None:
    Vault(home, no_passphrase).save("prod", USER)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in files), "gnome-keyring wrote nothing"
    assert [str(path) for path in files if KEY.encode() in path.read_bytes()] == []


def test_other_programs_see_the_entry_as_the_keyring_library_writes_them(
    keyring: dict[str, str], home: Path
) -> None:
    Vault(home, no_passphrase).save("prod", USER)
    from keyring.backends.SecretService import Keyring

    text = Keyring().get_password("limegrove", f"prod@{home}")
    assert text is not None
    assert KEY in text


def test_two_workspaces_of_one_user_do_not_share_an_environment(
    keyring: dict[str, str], tmp_path: Path
) -> None:
    Vault(tmp_path / "one", no_passphrase).save("prod", USER)
    with pytest.raises(NoCredential, match="auth login --env prod"):
        Vault(tmp_path / "two", no_passphrase).load("prod")


def test_logout_leaves_nothing_behind(keyring: dict[str, str], home: Path) -> None:
    vault = Vault(home, no_passphrase)
    vault.save("prod", USER)
    assert vault.remove("prod") is True
    assert vault.entries() == []
    with pytest.raises(NoCredential):
        vault.load("prod")
    assert vault.remove("prod") is False
    from keyring.backends.SecretService import Keyring

    assert Keyring().get_password("limegrove", f"prod@{home}") is None


def test_the_self_test_leaves_nothing_in_the_keyring(keyring: dict[str, str], home: Path) -> None:
    import secretstorage

    Vault(home, no_passphrase).save("prod", USER)
    connection = secretstorage.dbus_init()
    try:
        collection = secretstorage.get_default_collection(connection)
        labels = [item.get_label() for item in collection.get_all_items()]
    finally:
        connection.close()
    assert labels == [f"limegrove: prod@{home}"]


def test_a_rotated_key_keeps_the_key_for_redaction(keyring: dict[str, str], home: Path) -> None:
    vault = Vault(home, no_passphrase)
    vault.save("prod", USER)
    before = vault.redaction_key("prod")
    vault.save("prod", Credential(kind="user", secret=Secret("another-key"), uid="Zx9kQ2"))
    assert vault.load("prod").secret.reveal() == "another-key"
    assert vault.redaction_key("prod") == before


def test_the_default_choice_is_the_unlocked_keyring(keyring: dict[str, str], home: Path) -> None:
    choice = Vault(home, no_passphrase).choose()
    assert choice.backend == "secret-service"
    assert "unlocked" in choice.why


def test_a_locked_keyring_is_one_sentence_and_no_prompt(bus: dict[str, str], home: Path) -> None:
    with gnome_keyring(bus, "correct horse"):
        Vault(home, no_passphrase).save("prod", USER)
    with gnome_keyring(bus, None):
        assert SecretService().state()[0] == secret_service.LOCKED
        vault = Vault(home, no_passphrase)
        started = time.monotonic()
        for action in (
            lambda: vault.load("prod"),
            lambda: vault.save("prod", USER),
            lambda: vault.remove("prod"),
        ):
            with pytest.raises(KeyringLocked, match=r"The keyring is locked; unlock it .+passphrase-file\.$"):
                action()
        assert time.monotonic() - started < 10
        assert [entry.environment for entry in vault.entries()] == ["prod"]
    with gnome_keyring(bus, "correct horse"):
        assert Vault(home, no_passphrase).load("prod").secret.reveal() == KEY


def test_the_command_line_says_that_the_keyring_is_locked_and_stores_nothing(
    bus: dict[str, str], tmp_path: Path
) -> None:
    address = {"DBUS_SESSION_BUS_ADDRESS": bus["DBUS_SESSION_BUS_ADDRESS"]}
    login = ("auth", "login", "--env", "prod", "--uid", "Zx9kQ2", "--offline")
    with gnome_keyring(bus, "correct horse"):
        opened = limegrove(*login, env=environment(tmp_path, **address), stdin=KEY)
        assert opened.returncode == 0, opened.stderr
        assert json.loads(opened.stdout)["backend"] == "secret-service"
    with gnome_keyring(bus, None):
        for command in (login, ("auth", "whoami", "--env", "prod"), ("auth", "logout", "--env", "prod")):
            refused = limegrove(*command, env=environment(tmp_path, **address), stdin="another-key")
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr.startswith("limegrove: The keyring is locked; unlock it")
            assert refused.stderr.count("\n") == 1
        doctor = limegrove("doctor", "--offline", env=environment(tmp_path, **address))
        assert doctor.returncode == 1
        assert "The keyring is locked" in doctor.stdout
    with gnome_keyring(bus, "correct horse"):
        vault = Vault(tmp_path / "limegrove", no_passphrase)
        assert vault.load("prod").secret.reveal() == KEY


def test_a_keyring_opened_with_the_wrong_password_is_locked(bus: dict[str, str], home: Path) -> None:
    with gnome_keyring(bus, "correct horse"):
        Vault(home, no_passphrase).save("prod", USER)
    with gnome_keyring(bus, "battery staple"), pytest.raises(KeyringLocked):
        Vault(home, no_passphrase).load("prod")


def test_a_bus_without_a_keyring_is_told_and_starts_none(bus: dict[str, str], home: Path) -> None:
    assert SecretService().state() == (
        secret_service.ABSENT,
        "no Secret Service runs on the session bus",
    )
    with pytest.raises(KeyringUnavailable, match="no Secret Service"):
        Vault(home, no_passphrase, backend="secret-service").save("prod", USER)
    assert not home.joinpath("credentials.json").exists()


def test_no_bus_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    assert SecretService().state() == (secret_service.ABSENT, "there is no session bus")


def test_a_bus_that_never_answers_costs_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "bus"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(address))
        silent.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={address}")
        started = time.monotonic()
        state, why = SecretService().state()
        elapsed = time.monotonic() - started
    assert state == secret_service.ABSENT
    assert why in {"the session bus did not answer within 1 s", "the session bus answered TimeoutError"}
    assert elapsed < 3
    wait_for_threads()


def wait_for_threads() -> None:
    """The probe's thread gives up by itself once the socket is gone."""
    for thread in threading.enumerate():
        if thread.name == "limegrove-keyring":
            thread.join(10)


PLANTED = """
from pathlib import Path
import keyring.backend

class Plaintext(keyring.backend.KeyringBackend):
    priority = 99
    def get_password(self, service, username):
        return None
    def set_password(self, service, username, password):
        Path(r"{stolen}").write_text(password)
    def delete_password(self, service, username):
        pass

Path(r"{loaded}").write_text("loaded")
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A directory with a module that steals what it is given, and tells when it is loaded."""
    directory = tmp_path / "planted"
    directory.mkdir()
    directory.joinpath("planted_plaintext.py").write_text(
        PLANTED.format(stolen=tmp_path / "stolen", loaded=tmp_path / "loaded")
    )
    return directory


@pytest.mark.parametrize(
    "named",
    [
        "keyring.backends.null.Keyring",
        "keyring.backends.fail.Keyring",
        "keyring.backends.chainer.ChainerBackend",
        "keyrings.alt.file.PlaintextKeyring",
        "planted_plaintext.Plaintext",
    ],
)
def test_a_backend_named_in_the_environment_is_refused_and_not_loaded(
    keyring: dict[str, str],
    home: Path,
    planted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
) -> None:
    monkeypatch.syspath_prepend(str(planted))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", named)
    vault = Vault(home, no_passphrase)
    with pytest.raises(UntrustedBackend, match=re.escape(named)) as caught:
        vault.save("prod", USER)
    assert "passphrase-file" in str(caught.value)
    assert KEY not in str(caught.value)
    assert not tmp_path.joinpath("loaded").exists()
    assert not home.joinpath("credentials.json").exists()


def test_naming_a_trusted_backend_in_the_environment_is_no_reason_to_refuse(
    keyring: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    assert Vault(home, no_passphrase).save("prod", USER).backend == "secret-service"


@pytest.mark.parametrize(
    "content",
    [
        "[backend]\nkeyring-path = {planted}\n",
        "[backend]\ndefault-keyring = planted_plaintext.Plaintext\nkeyring-path = {planted}\n",
        "[backend]\ndefault-keyring = keyring.backends.null.Keyring\n",
        "default-keyring without a section\n",
    ],
)
def test_a_keyringrc_that_chooses_for_us_is_refused(
    keyring: dict[str, str], home: Path, planted: Path, tmp_path: Path, content: str
) -> None:
    configuration = tmp_path / "config/python_keyring/keyringrc.cfg"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(content.format(planted=planted))
    with pytest.raises(UntrustedBackend, match=re.escape(str(configuration))):
        Vault(home, no_passphrase).save("prod", USER)
    assert str(planted) not in sys.path
    assert not tmp_path.joinpath("loaded").exists()


def test_a_property_of_the_keyring_in_the_environment_is_refused(
    keyring: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRING_PROPERTY_PREFERRED_COLLECTION", "/org/freedesktop/secrets/collection/x")
    with pytest.raises(UntrustedBackend, match="KEYRING_PROPERTY_PREFERRED_COLLECTION"):
        Vault(home, no_passphrase).save("prod", USER)


def test_only_the_exact_classes_of_the_list_pass_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyring.backends import SecretService as Genuine
    from keyring.backends import chainer, fail, null

    class Inherited(Genuine.Keyring):
        priority = 1  # type: ignore[assignment]

    genuine = Genuine.Keyring()
    assert gate.check(genuine) is genuine
    for wrong in (null.Keyring(), fail.Keyring(), chainer.ChainerBackend(), Inherited(), object()):
        with pytest.raises(UntrustedBackend, match="passphrase-file"):
            gate.check(wrong)
    with pytest.raises(UntrustedBackend, match="no trusted backend"):
        gate.load("null")


def test_a_backend_that_this_machine_lacks_is_one_sentence(home: Path) -> None:
    with pytest.raises(CredentialError, match="not available on this machine"):
        Vault(home, no_passphrase, backend="kwallet").save("prod", USER)
