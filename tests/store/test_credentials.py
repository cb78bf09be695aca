"""Credentials without a keyring: the passphrase file, and what a machine is handed."""

import base64
import copy
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store.credentials import (
    Credential,
    CredentialError,
    FileDamaged,
    NoCredential,
    Vault,
    WrongPassphrase,
    passphrase_file,
    read_from_descriptor,
    take_from_environment,
)
from store.credentials.files import read_private, write_private
from store.credentials.passphrase_file import PassphraseFile
from store.credentials.records import decode, encode
from store.secret import Secret

KEY = "5b0f9a52-4c1d-4e4e-9d2b-6f1f7a3c0e11"
OID = "7e41aa10-0000-4000-8000-00000000789d"
PASSPHRASE = "a passphrase of length"
USER = Credential(kind="user", secret=Secret(KEY), uid="Zx9kQ2")


def passphrase(text: str = PASSPHRASE) -> Callable[[bool], Secret]:
    return lambda new: Secret(text)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real costs take 300 ms each; one test below pays them."""
    monkeypatch.setitem(passphrase_file.SCRYPT, "n", 2**10)


@pytest.fixture
def vault(tmp_path: Path, cheap: None) -> Vault:
    return Vault(tmp_path, passphrase(), backend="passphrase-file")


def sealed(home: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((home / "credentials.sealed").read_bytes())
    return document


def reseal(home: Path, document: dict[str, Any]) -> None:
    write_private(home / "credentials.sealed", json.dumps(document).encode())


def test_a_key_comes_back_from_the_passphrase_file_at_its_real_costs(tmp_path: Path) -> None:
    Vault(tmp_path, passphrase(), backend="passphrase-file").save("prod", USER)
    assert sealed(tmp_path)["scrypt"] | {"salt": ""} == {"n": 131072, "r": 8, "p": 1, "salt": ""}
    found = Vault(tmp_path, passphrase(), backend="passphrase-file").load("prod")
    assert found.secret.reveal() == KEY
    assert found.uid == "Zx9kQ2"


def test_the_files_are_private_and_hold_no_key(vault: Vault, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        vault.save("prod", USER)
    finally:
        os.umask(old)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [
        ".credentials.json.lock",
        ".credentials.sealed.lock",
        "credentials.json",
        "credentials.sealed",
    ]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert KEY.encode() not in path.read_bytes()
        assert PASSPHRASE.encode() not in path.read_bytes()


def test_a_wrong_passphrase_opens_and_changes_nothing(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    before = (tmp_path / "credentials.sealed").read_bytes()
    wrong = Vault(tmp_path, passphrase("another passphrase"), backend="passphrase-file")
    with pytest.raises(WrongPassphrase, match="does not open"):
        wrong.load("prod")
    with pytest.raises(WrongPassphrase):
        wrong.save("lab", USER)
    assert (tmp_path / "credentials.sealed").read_bytes() == before


def test_a_short_new_passphrase_is_refused_and_no_file_is_made(tmp_path: Path, cheap: None) -> None:
    vault = Vault(tmp_path, passphrase("elevenchars"), backend="passphrase-file")
    with pytest.raises(CredentialError, match="at least 12 characters"):
        vault.save("prod", USER)
    assert not (tmp_path / "credentials.sealed").exists()
    assert vault.entries() == []


def test_the_passphrase_is_asked_for_once_and_never_to_list_or_to_forget(tmp_path: Path, cheap: None) -> None:
    asked: list[bool] = []

    def ask(new: bool) -> Secret:
        asked.append(new)
        return Secret(PASSPHRASE)

    first = Vault(tmp_path, ask, backend="passphrase-file")
    first.save("prod", USER)
    first.save("lab", USER)
    first.load("prod")
    assert asked == [True]
    asked.clear()
    second = Vault(tmp_path, ask, backend="passphrase-file")
    assert [entry.environment for entry in second.entries()] == ["lab", "prod"]
    assert second.remove("lab") is True
    assert asked == []
    second.load("prod")
    assert asked == [False]


def test_an_entry_moved_to_another_environment_does_not_open(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    vault.save("lab", replace(USER, secret=Secret("the-key-of-the-lab")))
    document = sealed(tmp_path)
    document["entries"]["prod"] = document["entries"]["lab"]
    reseal(tmp_path, document)
    with pytest.raises(FileDamaged, match="changed or moved"):
        vault.load("prod")
    assert vault.load("lab").secret.reveal() == "the-key-of-the-lab"


def test_every_flipped_byte_of_an_entry_is_noticed(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    document = sealed(tmp_path)
    whole = base64.b64decode(document["entries"]["prod"]["sealed"])
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        changed = copy.deepcopy(document)
        changed["entries"]["prod"]["sealed"] = base64.b64encode(flipped).decode()
        reseal(tmp_path, changed)
        with pytest.raises(FileDamaged):
            vault.load("prod")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format=2),
        lambda d: d["scrypt"].update(n=2),
        lambda d: d["scrypt"].update(n=2**30),
        lambda d: d["scrypt"].pop("r"),
        lambda d: d["scrypt"].update(salt="%%%"),
        lambda d: d.pop("entries"),
        lambda d: d.update(entries=[]),
        lambda d: d.update(check=None),
        lambda d: d["entries"].update(prod={"nonce": "", "sealed": ""}),
        lambda d: d["entries"].update(prod=None),
    ],
)
def test_a_file_that_was_tampered_with_is_one_sentence(
    vault: Vault, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    vault.save("prod", USER)
    document = sealed(tmp_path)
    change(document)
    reseal(tmp_path, document)
    with pytest.raises(FileDamaged, match=r"\.$"):
        Vault(tmp_path, passphrase(), backend="passphrase-file").load("prod")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_garbage_in_place_of_a_file_is_one_sentence(vault: Vault, tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / "credentials.sealed", content)
    with pytest.raises(FileDamaged, match=r"credentials\.sealed is damaged"):
        vault.load("prod")
    write_private(tmp_path / "credentials.json", content)
    with pytest.raises(FileDamaged, match=r"credentials\.json is damaged"):
        vault.entries()


def test_a_file_open_to_others_is_refused(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    (tmp_path / "credentials.sealed").chmod(0o640)
    with pytest.raises(FileDamaged, match="chmod 600"):
        vault.load("prod")


def test_a_link_in_place_of_a_file_is_neither_read_nor_written_through(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "credentials.sealed").rename(elsewhere)
    (tmp_path / "credentials.sealed").symlink_to(elsewhere)
    with pytest.raises(CredentialError, match=r"credentials\.sealed cannot be read"):
        vault.load("prod")
    with pytest.raises(CredentialError, match=r"credentials\.sealed cannot be read"):
        vault.save("lab", USER)


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(FileDamaged, match="not a regular file"):
        read_private(tmp_path / "pipe")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CredentialError, match="No space left on device; nothing was changed"):
        write_private(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_an_unknown_environment_names_the_way_out(vault: Vault) -> None:
    with pytest.raises(NoCredential, match="run `limegrove auth login --env nowhere`"):
        vault.load("nowhere")


def test_without_a_bus_the_passphrase_file_is_chosen_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    choice = Vault(tmp_path, passphrase(), environ={"HOME": str(tmp_path)}).choose()
    assert (choice.backend, choice.why) == ("passphrase-file", "there is no session bus")


def test_the_index_remembers_where_a_key_is_when_the_best_place_has_changed(
    vault: Vault, tmp_path: Path
) -> None:
    vault.save("prod", USER)
    entry = Vault(tmp_path, passphrase(), environ={"HOME": str(tmp_path)}).entries()[0]
    assert (entry.backend, entry.kind, entry.uid, entry.oid) == ("passphrase-file", "user", "Zx9kQ2", "")
    automatic = Vault(tmp_path, passphrase(), environ={"HOME": str(tmp_path)})
    assert automatic.load("prod").secret.reveal() == KEY


@pytest.mark.parametrize("name", ["null", "keyrings.alt.file.PlaintextKeyring", "", "Auto"])
def test_only_known_backends_can_be_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(CredentialError, match="no backend"):
        Vault(tmp_path, passphrase(), backend=name)


def test_the_key_for_redaction_is_random_and_kept(vault: Vault, tmp_path: Path) -> None:
    vault.save("prod", USER)
    vault.save("lab", USER)
    first, second = vault.redaction_key("prod"), vault.redaction_key("lab")
    assert len(first) == len(second) == 32
    assert first != second
    again = Vault(tmp_path, passphrase(), backend="passphrase-file")
    assert again.redaction_key("prod") == first
    vault.save("prod", replace(USER, secret=Secret("rotated-key")))
    assert vault.redaction_key("prod") == first


def test_a_machines_key_for_redaction_is_the_same_in_the_next_run_and_not_the_key() -> None:
    machine = Credential(kind="organization", secret=Secret(KEY), oid=OID)
    again = Credential(kind="organization", secret=Secret(KEY), oid=OID)
    assert machine.key_for_redaction("prod") == again.key_for_redaction("prod")
    assert machine.key_for_redaction("prod") != machine.key_for_redaction("lab")
    assert replace(machine, secret=Secret("other")).key_for_redaction("prod") != machine.key_for_redaction(
        "prod"
    )


def test_a_credential_survives_its_own_encoding() -> None:
    whole = replace(USER, oid=OID, endpoint="https://gateway.example:8443", redaction_key=bytes(range(32)))
    assert decode(encode(whole), "prod") == whole


def test_nothing_that_prints_a_credential_prints_its_secret() -> None:
    whole = replace(USER, redaction_key=bytes(range(32)))
    for text in (repr(whole), str(whole), f"{whole}", repr(vars(whole)["secret"])):
        assert KEY not in text
        assert "\\x01\\x02" not in text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "user"}, "needs the user's id"),
        ({"kind": "organization"}, "needs the organization's id"),
        ({"kind": "organization", "oid": OID, "uid": "x"}, "no uid"),
        ({"kind": "organization", "oid": "../../x"}, "must be a UUID"),
        ({"kind": "user", "uid": "a b"}, "printable ASCII"),
        ({"kind": "user", "uid": "x", "secret": Secret("")}, "1 to 512 characters"),
        ({"kind": "user", "uid": "x", "secret": Secret("key\r\nX-Evil: 1")}, "1 to 512 characters"),
        ({"kind": "user", "uid": "x", "secret": Secret("schlüssel")}, "1 to 512 characters"),
        ({"kind": "user", "uid": "x", "endpoint": "http://example.com"}, "plain http"),
        ({"kind": "user", "uid": "x", "endpoint": "https://user:pw@example.com"}, "user or a password"),
        ({"kind": "robot", "uid": "x"}, "user or organization"),
    ],
)
def test_a_credential_that_could_not_be_sent_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CredentialError, match=sentence):
        Credential(**({"secret": Secret(KEY)} | values))


def test_limacharlies_variables_are_read_once_and_removed() -> None:
    environ = {"LC_UID": "Zx9kQ2", "LC_API_KEY": KEY, "LC_OID": OID, "PATH": "/bin"}
    found = take_from_environment(environ)
    assert found is not None
    assert (found.kind, found.uid, found.oid, found.secret.reveal()) == ("user", "Zx9kQ2", OID, KEY)
    assert environ == {"PATH": "/bin"}
    assert take_from_environment(environ) is None


def test_an_api_key_with_an_oid_alone_is_an_organizations() -> None:
    found = take_from_environment({"LC_API_KEY": KEY, "LC_OID": OID})
    assert found is not None
    assert (found.kind, found.uid, found.oid) == ("organization", "", OID)


def test_an_api_key_alone_is_one_sentence_without_the_key() -> None:
    environ = {"LC_API_KEY": KEY}
    with pytest.raises(CredentialError, match="LC_UID") as caught:
        take_from_environment(environ)
    assert KEY not in str(caught.value)
    assert environ == {}


def descriptor_with(content: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def test_a_file_descriptor_hands_over_a_credential_and_is_closed() -> None:
    descriptor = descriptor_with(
        json.dumps({"uid": "Zx9kQ2", "api_key": KEY, "endpoint": "http://127.0.0.1:9"}).encode()
    )
    found = read_from_descriptor(descriptor)
    assert (found.kind, found.endpoint, found.secret.reveal()) == ("user", "http://127.0.0.1:9", KEY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "does not hold JSON"),
        (b"[]", "one JSON object"),
        (b'{"uid": 5, "api_key": "x"}', "one JSON object of texts"),
        (b'{"uid": "x", "key": "' + KEY.encode() + b'"}', "known are"),
        (b'{"uid": "x"}', "1 to 512 characters"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_garbage_on_a_file_descriptor_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(CredentialError, match=sentence) as caught:
        read_from_descriptor(descriptor_with(content))
    assert KEY not in str(caught.value)


def test_a_descriptor_that_is_not_open_is_one_sentence() -> None:
    with pytest.raises(CredentialError, match="cannot be read from file descriptor 987"):
        read_from_descriptor(987)


def test_two_logins_at_once_lose_none(tmp_path: Path, cheap: None) -> None:
    """Two vaults of one workspace, each having read the file before the other wrote."""
    one = PassphraseFile(tmp_path / "credentials.sealed", passphrase())
    two = PassphraseFile(tmp_path / "credentials.sealed", passphrase())
    one.set("a", "1")
    two.set("b", "2")
    one.set("c", "3")
    assert one.accounts() == ["a", "b", "c"]
    assert [two.get(name) for name in "abc"] == ["1", "2", "3"]
