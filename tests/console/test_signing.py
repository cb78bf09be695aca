"""Signatures: this workspace's key, and every way in which a document is not what was signed."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import credentials, signing
from console.settings import Settings, load
from console.signing import (
    BadSignature,
    Changed,
    EditedKey,
    NoDocument,
    OtherKey,
    PublicKey,
    Rewritten,
    SigningError,
    UnknownAlgorithm,
    UnknownFormat,
)
from store.configuration import canonical
from store.secret import Secret
from tests.helpers.signing import OTHER, OURS, signer

PAYLOAD = {"title": "Q4", "lines": [{"principal": "kim\u202e@acme.example", "digest": "ab" * 32}], "at": 1}

SIGNED = signing.document("evidence", PAYLOAD, signer())


def test_the_vector_of_a_signed_document_is_the_same_for_ever() -> None:
    """Whoever keeps evidence for years checks it with a later limegrove."""
    assert OURS.text == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert OURS.fingerprint == "SHA256:Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw"
    wanted = (
        b'{"format":1,"limegrove":"evidence","payload":{"at":1,"lines":[{"digest":"' + b"ab" * 32 +
        b'","principal":"kim\\u202e@acme.example"}],"title":"Q4"},"signature":{"algorithm":"Ed25519",'
        b'"fingerprint":"SHA256:Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw",'
        b'"public_key":"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",'
        b'"value":"f3NyyLf1LfmtpGQCVmpVqvf6hCd8uIfzqwUjSNnPYZAx'
        b'lXJneAIGgJn5Zmn/lBpN/el8IFyP+3Z9+rVnxzuIAQ=="}}\n'
    )  # fmt: skip
    assert wanted == SIGNED
    assert signing.opened(SIGNED, "evidence", expected=OURS.fingerprint) == (PAYLOAD, OURS)


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    whole = json.loads(SIGNED)
    change(whole)
    return canonical(whole) + b"\n"


def signed_again(whole: dict[str, Any]) -> None:
    whole["payload"]["title"] = "Q3"
    whole["signature"] = dict(signer(OTHER)(canonical(whole["payload"])))


VECTORS: dict[str, tuple[bytes, type[BadSignature], str]] = {
    "empty": (b"", NoDocument, "cut off"),
    "cut off": (SIGNED[:-40], NoDocument, "cut off"),
    "html": (b"<html>502</html>", NoDocument, "something else"),
    "a list": (b"[]\n", NoDocument, "something else"),
    "deep": (b"[" * 100_000, NoDocument, "something else"),
    "a huge number": (b'{"a":' + b"9" * 5_000 + b"}", NoDocument, "something else"),
    "not ascii": (SIGNED.replace(b"Q4", "Q\u0664".encode()), NoDocument, "something else"),
    "without signature": (edited(lambda d: d.pop("signature")), NoDocument, "no signature"),
    "a signature that is a text": (edited(lambda d: d.update(signature="x")), NoDocument, "no signature"),
    "a payload that is a list": (edited(lambda d: d.update(payload=[])), NoDocument, "no signature"),
    "something beside": (edited(lambda d: d.update(note="trust me")), NoDocument, "beside what was signed"),
    "something in the signature": (edited(lambda d: d["signature"].update(by="root")), NoDocument, "beside"),
    "formatted": (json.dumps(json.loads(SIGNED), indent=1).encode(), Rewritten, "formatted or edited"),
    "another order": (
        json.dumps(dict(reversed(json.loads(SIGNED).items())), separators=(",", ":")).encode() + b"\n",
        Rewritten, "formatted or edited",
    ),
    "a space": (SIGNED.replace(b'"at":1', b'"at": 1'), Rewritten, "formatted or edited"),
    "another escape": (SIGNED.replace(b"\\u202e", b"\\u202E"), Rewritten, "formatted or edited"),
    "no last line end": (SIGNED[:-1], Rewritten, "formatted or edited"),
    "a line more": (SIGNED + b"\n", Rewritten, "formatted or edited"),
    "a name twice": (SIGNED.replace(b'"at":1', b'"at":2,"at":1'), Rewritten, "same name twice"),
    "a fraction": (SIGNED.replace(b'"at":1', b'"at":1.0'), Rewritten, "a number in it"),
    "not a number": (SIGNED.replace(b'"at":1', b'"at":NaN'), Rewritten, "a number in it"),
    "another kind": (edited(lambda d: d.update(limegrove="bundle")), UnknownFormat, "not evidence"),
    "a later format": (edited(lambda d: d.update(format=2)), UnknownFormat, "of format 1"),
    "a true format": (edited(lambda d: d.update(format=True)), UnknownFormat, "of format 1"),
    "another algorithm": (
        edited(lambda d: d["signature"].update(algorithm="none")), UnknownAlgorithm, "only Ed25519",
    ),
    "a public key that is none": (
        edited(lambda d: d["signature"].update(public_key="AAAA")), EditedKey, "is none",
    ),
    "a public key in another form": (
        edited(lambda d: d["signature"].update(public_key=OURS.text[:-2] + "h=")), EditedKey, "is none",
    ),
    "another public key": (
        edited(lambda d: d["signature"].update(public_key=PublicKey(OTHER.public_key().public_bytes_raw()).text)),
        EditedKey, "states another one",
    ),
    "another fingerprint": (
        edited(lambda d: d["signature"].update(fingerprint="SHA256:" + "A" * 43)), EditedKey, "states another one",
    ),
    "a changed word": (edited(lambda d: d["payload"].update(title="Q3")), Changed, "does not fit"),
    "a changed number": (SIGNED.replace(b'"at":1', b'"at":2'), Changed, "does not fit"),
    "a line less": (edited(lambda d: d["payload"]["lines"].clear()), Changed, "does not fit"),
    "a number that is true": (edited(lambda d: d["payload"].update(at=True)), Changed, "does not fit"),
    "another signature": (
        edited(lambda d: d["signature"].update(value=base64.b64encode(b"x" * 64).decode())), Changed, "does not fit",
    ),
    "half a signature": (edited(lambda d: d["signature"].update(value="AAAA")), Changed, "does not fit"),
    "a signature for another purpose": (
        signing.document("evidence", PAYLOAD, signer(purpose="bundle")), Changed, "does not fit",
    ),
    "both keys exchanged": (
        edited(lambda d: d["signature"].update(
            {name: value for name, value in signer(OTHER)(b"").items() if name != "value"}
        )),
        Changed, "does not fit",
    ),
    "signed again with another key": (edited(signed_again), OtherKey, "and not with SHA256:Vkdap1RjR0w"),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_what_is_not_what_was_signed_is_refused_for_its_own_reason(name: str) -> None:
    data, kind, sentence = VECTORS[name]
    with pytest.raises(BadSignature, match=sentence) as refused:
        signing.opened(data, "evidence", expected=OURS.fingerprint)
    assert type(refused.value) is kind


def test_every_single_byte_that_is_changed_is_noticed() -> None:
    for at in range(len(SIGNED)):
        for flip in (0x01, 0x20, 0x80):
            data = SIGNED[:at] + bytes((SIGNED[at] ^ flip,)) + SIGNED[at + 1 :]
            with pytest.raises(BadSignature):
                signing.opened(data, "evidence", expected=OURS.fingerprint)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_whatever_is_signed_is_read_back_equal(value: Any) -> None:
    payload = {"value": value}
    assert signing.opened(signing.document("evidence", payload, signer()), "evidence")[0] == payload


def test_a_fraction_is_not_signed() -> None:
    with pytest.raises(ValueError, match="no fractions"):
        signing.document("evidence", {"a": [{"b": 0.5}]}, signer())


# The key of a workspace


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith(("LIMEGROVE_", "LC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIMEGROVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LIMEGROVE_BACKEND", "passphrase-file")
    monkeypatch.setattr(credentials, "_passphrase", Secret("correct horse battery staple"))
    return load(None)


def test_a_key_is_made_at_first_use_kept_sealed_and_used_again(settings: Settings) -> None:
    assert signing.known(settings.home) is None
    sign, public = signing.signer(settings, "evidence")
    data = signing.document("evidence", PAYLOAD, sign)
    again, same = signing.signer(settings, "evidence")
    assert same == public
    assert signing.document("evidence", PAYLOAD, again) == data
    assert signing.opened(data, "evidence", expected=public.fingerprint) == (PAYLOAD, public)
    found = signing.known(settings.home)
    assert found is not None
    assert found.key == public
    assert found.backend == "passphrase-file"
    assert public.fingerprint in signing.words(found)
    for name in ("signing.json", "credentials.sealed"):
        assert stat.S_IMODE((settings.home / name).stat().st_mode) == 0o600


def test_the_private_half_lies_in_no_file_in_the_clear(settings: Settings) -> None:
    sign, _ = signing.signer(settings, "evidence")
    kept = credentials.vault(settings).kept(signing.ACCOUNT, "passphrase-file")
    assert kept is not None
    for path in settings.home.rglob("*"):
        if path.is_file():
            assert kept.encode() not in path.read_bytes()
            assert base64.b64decode(kept) not in path.read_bytes()
    assert kept not in repr(sign(b""))


def test_a_read_only_console_makes_no_key(settings: Settings) -> None:
    with pytest.raises(SigningError, match="makes none"):
        signing.signer(settings, "evidence", may_make=False)
    assert signing.known(settings.home) is None


def test_an_edited_public_key_signs_nothing(settings: Settings) -> None:
    signing.signer(settings, "evidence")
    path = settings.home / "signing.json"
    written = json.loads(path.read_bytes())
    other = PublicKey(OTHER.public_key().public_bytes_raw())
    path.write_text(json.dumps(written | {"public_key": other.text}))
    with pytest.raises(SigningError, match="was edited: its public key has the fingerprint"):
        signing.signer(settings, "evidence")
    path.write_text(json.dumps(written | {"public_key": other.text, "fingerprint": other.fingerprint}))
    with pytest.raises(SigningError, match="one of them was replaced"):
        signing.signer(settings, "evidence")
    path.write_text("{}")
    with pytest.raises(SigningError, match="is damaged"):
        signing.signer(settings, "evidence")


def test_a_key_that_the_keyring_lost_is_not_made_anew_silently(settings: Settings) -> None:
    _, public = signing.signer(settings, "evidence")
    (settings.home / "credentials.sealed").unlink()
    with pytest.raises(SigningError, match=r"does not have the key SHA256:\S+ any more"):
        signing.signer(settings, "evidence")
    (settings.home / "signing.json").unlink()
    assert signing.signer(settings, "evidence")[1] != public


def test_no_environment_can_have_the_name_of_the_key(settings: Settings) -> None:
    from console.settings import ENVIRONMENT_NAME

    assert not ENVIRONMENT_NAME.fullmatch(signing.ACCOUNT)
