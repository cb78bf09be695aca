"""A bundle as a file: every way in which it is not what was signed has its own sentence."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from console import bundlefile, signing
from console.bundlefile import KIND, Damaged, Malformed
from console.signing import BadSignature, Changed, NoDocument, OtherKey, Rewritten, UnknownFormat
from tests.helpers.signing import OTHER, OURS, signer

ABOUT = {"made_at": 1, "organizations": [["o1", "Acme \u202e"]]}
ROWS = {
    "organization": [{"oid": "o1", "name": "Acme"}],
    "sensor": [{"sid": f"s{number}", "tags": ["a", number * 0.5, None]} for number in range(2_000)],
    "user_account": [],
}


def put(path: Path, parts: dict[str, list[dict[str, Any]]] = ROWS) -> Path:
    bundlefile.write(path, ABOUT, parts.items(), signer(purpose=KIND))
    return path


def signed(head: dict[str, Any], *bodies: bytes, purpose: str = KIND) -> bytes:
    """A file whose first line says this, signed as it should be."""
    return signing.document(KIND, head, signer(purpose=purpose)) + b"".join(bodies)


def part(name: str, plain: bytes, body: bytes | None = None, /, **said: Any) -> tuple[list[Any], bytes]:
    """A part as the first line has it, and its bytes."""
    packed = zstandard.ZstdCompressor().compress(plain) if body is None else body
    told = {
        "name": name, "rows": plain.count(b"\n"), "packed": len(packed), "plain": len(plain),
        "sha256": hashlib.sha256(packed).hexdigest(),
    } | said  # fmt: skip
    return list(told.values()), packed


def of(*made: tuple[list[Any], bytes]) -> bytes:
    return signed({"about": ABOUT, "parts": [told for told, _ in made]}, *(body for _, body in made))


def read(path: Path) -> dict[str, list[Any]]:
    found = bundlefile.opened(path, expected=OURS.fingerprint)
    return {each.name: [json.loads(line) for line in found.lines(each)] for each in found.parts}


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = put(tmp_path / "b")
    assert read(path) == ROWS
    found = bundlefile.opened(path)
    assert (found.about, found.key, found.size) == (ABOUT, OURS, path.stat().st_size)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [(each.name, each.rows) for each in found.parts] == [
        ("organization", 1), ("sensor", 2_000), ("user_account", 0),
    ]  # fmt: skip


def test_nothing_is_written_over_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        put(path)
    assert path.read_text() == "precious"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        put(path)
    path.unlink()

    def fails() -> Any:
        yield {"oid": "o1"}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bundlefile.write(path, ABOUT, [("organization", fails())], signer(purpose=KIND))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_are_no_links_it_is_written_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As on a stick that is carried to where there is no network."""

    def no_link(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    assert read(put(tmp_path / "b")) == ROWS
    assert os.listdir(tmp_path) == ["b"]
    with pytest.raises(FileExistsError, match="already there"):
        put(tmp_path / "b")

    def no_rename(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "replace", no_rename)
    with pytest.raises(OSError, match="broken"):
        put(tmp_path / "c")
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("links", [True, False])
def test_what_came_there_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "b"

    def comes() -> Any:
        path.write_text("precious")
        yield {"oid": "o1"}

    if not links:
        monkeypatch.setattr(os, "link", _unlinked)
    with pytest.raises(FileExistsError, match="is already there; nothing was written over"):
        bundlefile.write(path, ABOUT, [("organization", comes())], signer(purpose=KIND))
    assert (path.read_text(), os.listdir(tmp_path)) == ("precious", ["b"])


def _unlinked(*_: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _cut(many: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:-many]


def _head(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """The first line changed by somebody who has no key."""

    def made(data: bytes) -> bytes:
        line, _, rest = data.partition(b"\n")
        whole = json.loads(line)
        change(whole)
        return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode() + b"\n" + rest

    return made


def _swapped(data: bytes) -> bytes:
    """Two parts in each other's place."""
    line, _, rest = data.partition(b"\n")
    first, second, *_ = json.loads(line)["payload"]["parts"]
    one, two = rest[: first[2]], rest[first[2] : first[2] + second[2]]
    return line + b"\n" + two + one + rest[first[2] + second[2] :]


EDITS: dict[str, tuple[Callable[[bytes], bytes], type[BadSignature], str]] = {
    "nothing": (lambda _: b"", NoDocument, "first line"),
    "something else": (lambda _: b"PK\x03\x04\n", NoDocument, "JSON"),
    "a database": (lambda _: b"SQLite format 3\0" + bytes(5_000), NoDocument, "first line"),
    "an endless first line": (lambda _: b"{" * 5_000_000, NoDocument, "first line"),
    "a first line that is deep": (lambda _: b"[" * 100_000 + b"\n", NoDocument, "JSON"),
    "another document": (
        lambda _: signing.document("access-review", {"about": 1, "parts": []}, signer(purpose="access-review")),
        UnknownFormat, "format"),
    "a signature for another purpose": (
        lambda _: signed({"about": ABOUT, "parts": []}, purpose="access-review"), Changed, "does not fit"),
    "another organization": (
        _head(lambda whole: whole["payload"]["about"].update(organizations=[["o2", "x"]])), Changed, "does not fit"),
    "a later date": (_head(lambda whole: whole["payload"]["about"].update(made_at=2)), Changed, "does not fit"),
    "another digest": (
        _head(lambda whole: whole["payload"]["parts"][0].__setitem__(4, "0" * 64)), Changed, "does not fit"),
    "a part less": (_head(lambda whole: whole["payload"]["parts"].pop()), Changed, "does not fit"),
    "a format that is to come": (_head(lambda whole: whole.update(format=2)), UnknownFormat, "format"),
    "something beside the signature": (_head(lambda whole: whole.update(note="hi")), NoDocument, "beside"),
    "no signature": (_head(lambda whole: whole.pop("signature")), NoDocument, "signature"),
    "spaces in the first line": (lambda data: data.replace(b'":', b'": ', 1), Rewritten, "formatted"),
    "a flipped bit of the first part": (lambda data: _flip(data.index(b"\n") + 9)(data), Damaged, "organization"),
    "a flipped bit of a part": (lambda data: _flip(data.index(b"\n") + 400)(data), Damaged, "sensor"),
    "a flipped last bit": (lambda data: _flip(len(data) - 1)(data), Damaged, "user_account"),
    "a byte less": (_cut(1), Damaged, "cut off"),
    "half of it": (lambda data: data[: len(data) // 2], Damaged, "cut off"),
    "the first line alone": (lambda data: data[: data.index(b"\n") + 1], Damaged, "cut off"),
    "a first line without its end": (lambda data: data[: data.index(b"\n")], NoDocument, "first line"),
    "a byte more": (lambda data: data + b"\0", Damaged, "added"),
    "another bundle behind it": (lambda data: data + data, Damaged, "added"),
    "parts in another order": (_swapped, Damaged, "not what was signed"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_is_refused_before_anything_of_it_is_used(tmp_path: Path, edit: str) -> None:
    change, kind, told = EDITS[edit]
    path = put(tmp_path / "b")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(kind, match=told) as caught:
        bundlefile.opened(path, expected=OURS.fingerprint)
    assert type(caught.value) is kind


def test_every_bit_that_is_another_is_noticed(tmp_path: Path) -> None:
    data = put(tmp_path / "b", {"organization": ROWS["organization"]}).read_bytes()
    path = tmp_path / "edited"
    for at in range(0, len(data), 3):
        path.write_bytes(_flip(at)(data))
        with pytest.raises(BadSignature):
            bundlefile.opened(path, expected=OURS.fingerprint)


def test_a_bundle_of_somebody_else_is_whole_and_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "b"
    bundlefile.write(path, ABOUT, ROWS.items(), signer(OTHER, purpose=KIND))
    assert bundlefile.opened(path).key != OURS
    with pytest.raises(OtherKey):
        bundlefile.opened(path, expected=OURS.fingerprint)


LINE = b'{"oid":"o1"}\n'
HOSTILE: dict[str, tuple[Callable[[], bytes], type[BadSignature], str]] = {
    "more bytes than it says": (lambda: of(part("a", LINE * 1_000_000, plain=100)), Damaged, "more bytes"),
    "fewer bytes than it says": (lambda: of(part("a", LINE, plain=99)), Damaged, "1 whole rows"),
    "other rows than it says": (lambda: of(part("a", LINE, rows=2)), Damaged, "1 whole rows"),
    "a row without its end": (lambda: of(part("a", LINE + b"{}", rows=2)), Damaged, "whole rows"),
    "no zstd": (lambda: of(part("a", LINE, b"no zstd")), Damaged, "decompressed"),
    "a frame that is cut off": (
        lambda: of(part("a", LINE * 99, zstandard.ZstdCompressor().compress(LINE * 99)[:-3])), Damaged, "a is not"),
    "a window of gigabytes": (lambda: of(part("a", LINE, b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(9))), Damaged, "decompressed"),
    "a row that never ends": (lambda: of(part("a", b" " * 4_000_000)), Damaged, "larger than any"),
    "sizes below nothing": (lambda: of(part("a", LINE, packed=-1)), Malformed, "first line"),
    "sizes beyond everything": (lambda: of(part("a", LINE, plain=2**40)), Malformed, "first line"),
    "a size that is a truth": (lambda: of(part("a", LINE, rows=True)), Malformed, "first line"),
    "a digest that is none": (lambda: of(part("a", LINE, sha256="../../etc/passwd")), Malformed, "first line"),
    "the same part twice": (lambda: of(part("a", LINE), part("a", LINE)), Malformed, "first line"),
    "parts that are none": (lambda: signed({"about": ABOUT, "parts": {}}), Malformed, "first line"),
    "a part that is none": (lambda: signed({"about": ABOUT, "parts": [[1]]}), Malformed, "first line"),
    "nothing about it": (lambda: signed({"about": [], "parts": []}), Malformed, "first line"),
    "something more": (lambda: signed({"about": {}, "parts": [], "more": 1}), Malformed, "first line"),
}  # fmt: skip


@pytest.mark.parametrize("lie", HOSTILE)
def test_a_key_that_is_known_makes_no_lie_a_truth(
    tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundlefile, "LONGEST", 2_000_000)
    make, kind, told = HOSTILE[lie]
    path = tmp_path / "b"
    path.write_bytes(make())
    with pytest.raises(kind, match=told) as caught:
        read(path)
    assert type(caught.value) is kind


def test_what_is_changed_after_it_was_checked_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "b")
    found = bundlefile.opened(path)
    sensors = next(each for each in found.parts if each.name == "sensor")
    body = zstandard.ZstdCompressor().compress(b'{"sid":"x"}\n' * 2_000)
    data = path.read_bytes()
    at = found.start + found.parts[0].packed
    path.write_bytes(
        data[:at] + body[: sensors.packed].ljust(sensors.packed, b"\0") + data[at + sensors.packed :]
    )
    with pytest.raises(Damaged):
        list(found.lines(sensors))


def test_what_cannot_be_read_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundlefile.opened(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError):
        bundlefile.opened(tmp_path)


def test_a_bundle_is_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    one, other = put(tmp_path / "a").read_bytes(), put(tmp_path / "b").read_bytes()
    assert one == other
