"""A bundle as a file: one line that is signed, and behind it the parts that the line has the digests of.

There is nothing in it to unpack: no names of files, no links, no archive. The first line is a signed document
(`console.signing`), which says what each part is, how long it is, and its SHA-256; the parts follow in that
order, each one frame of zstd over lines of JSON, and with the last one the file ends. A part is hashed before
a byte of it is decompressed, and never gives more bytes than the signed line says.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from console import signing
from console.operations.files import put_there
from console.signing import BadSignature, NoDocument, PublicKey, Signer
from store.bundles import LONGEST

KIND: Final = "bundle"
HEAD: Final = 32 * 1024 * 1024
"""Bytes of the first line: 10,000 organizations take one."""
LARGEST: Final = 64 * 2**30
"""Bytes that all parts may come to when they are decompressed."""
_WINDOW: Final = 2**27
_BLOCK: Final = 1 << 20
_HASH: Final = re.compile(r"[0-9a-f]{64}").fullmatch


class Damaged(BadSignature):
    """Its parts are not what its first line says."""


class Malformed(BadSignature):
    """Its first line is signed, and does not say what that of a bundle says."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part."""

    name: str
    rows: int
    packed: int
    """Bytes in the file."""
    plain: int
    """Bytes when it is decompressed."""
    sha256: str
    """Of the bytes in the file."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle whose signature and digests were checked."""

    path: Path
    about: Mapping[str, Any]
    """What its first line says besides."""
    parts: tuple[Part, ...]
    key: PublicKey
    start: int
    """Where its first part begins in the file."""
    size: int

    def lines(self, part: Part) -> Iterator[bytes]:
        """The rows of a part.

        Raises:
            Damaged: it is not what the first line says; also when the file was changed since it was checked.
        """
        before = 0
        for each in self.parts:
            if each is part:
                break
            before += each.packed
        with open(self.path, "rb") as file:
            file.seek(self.start + before)
            yield from _lines(_Hashed(file, part), part)


def write(
    path: Path,
    about: Mapping[str, Any],
    parts: Iterable[tuple[str, Iterable[Mapping[str, Any]]]],
    sign: Signer,
) -> tuple[Part, ...]:
    """Write a bundle, whole or not at all; answers its parts.

    Args:
        path: must not exist; the file is this user's alone.
        about: what the first line says besides the parts: JSON data without fractions.

    Raises:
        FileExistsError: there is something already.
        OSError: it cannot be written.
    """
    taken = FileExistsError(f"{path} is already there; nothing was written over.")
    if os.path.lexists(path):
        raise taken
    with tempfile.TemporaryFile(dir=path.parent) as body:
        made = tuple(_write_part(body, name, rows) for name, rows in parts)
        head = signing.document(
            KIND,
            {"about": dict(about), "parts": [list(astuple(each)) for each in made]},
            sign,
        )  # fmt: skip
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(head)
                body.seek(0)
                while block := body.read(_BLOCK):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            put_there(aside, path)
        except FileExistsError:
            raise taken from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
    return made


def _write_part(body: IO[bytes], name: str, rows: Iterable[Mapping[str, Any]]) -> Part:
    digest, packed, plain, count = hashlib.sha256(), 0, 0, 0
    compressor = zstandard.ZstdCompressor(level=10).compressobj()

    def put(block: bytes) -> None:
        nonlocal packed
        body.write(block)
        digest.update(block)
        packed += len(block)

    for row in rows:
        line = json.dumps(row, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        plain += len(line)
        count += 1
        put(compressor.compress(line))
    put(compressor.flush())
    return Part(name, count, packed, plain, digest.hexdigest())


def opened(path: Path, *, expected: str = "") -> Opened:
    """A bundle, once its signature fits and every byte of it is what was signed.

    Args:
        expected: as in `signing.opened`.

    Raises:
        BadSignature: it is not what was signed, or not with this key; the class and the text say how.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.readline(HEAD + 1)
        if len(head) > HEAD or not head.endswith(b"\n"):
            raise NoDocument("It is no bundle: its first line is cut off, or longer than that of any bundle.")
        payload, key = signing.opened(head, KIND, expected=expected)
        about, parts = _said(payload)
        start, size = len(head), os.fstat(file.fileno()).st_size
        if size != start + sum(each.packed for each in parts):
            short = size < start + sum(each.packed for each in parts)
            raise Damaged("It is cut off." if short else "Something was added behind its last part.")
        for part in parts:
            hashed = _Hashed(file, part)
            while hashed.read(_BLOCK):
                pass
    return Opened(path, about, parts, key, start, size)


def _said(payload: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[Part, ...]]:
    wrong = Malformed("Its first line is signed, and does not say what that of a bundle says.")
    about, listed = payload.get("about"), payload.get("parts")
    if set(payload) != {"about", "parts"} or not isinstance(about, dict) or not isinstance(listed, list):
        raise wrong
    parts = []
    for each in listed:
        if not isinstance(each, list) or len(each) != 5:
            raise wrong
        name, *counts, digest = each
        if not isinstance(name, str) or not isinstance(digest, str) or not _HASH(digest):
            raise wrong
        if any(type(count) is not int or not 0 <= count <= LARGEST for count in counts):
            raise wrong
        parts.append(Part(name, counts[0], counts[1], counts[2], digest))
    if len({each.name for each in parts}) != len(parts) or sum(each.plain for each in parts) > LARGEST:
        raise wrong
    return about, tuple(parts)


class _Hashed:
    """The bytes of one part; with the last of them it is checked that they are what was signed."""

    def __init__(self, file: IO[bytes], part: Part) -> None:
        self._file, self._part, self._left = file, part, part.packed
        self._digest = hashlib.sha256()
        self._check()

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._left) if size >= 0 else self._left)
        if not block and self._left:
            raise Damaged("It is cut off.")
        self._left -= len(block)
        self._digest.update(block)
        if block:
            self._check()
        return block

    def _check(self) -> None:
        if not self._left and self._digest.hexdigest() != self._part.sha256:
            raise Damaged(f"Its part {self._part.name} is not what was signed.")


def _lines(source: _Hashed, part: Part) -> Iterator[bytes]:
    wrong = f"Its part {part.name} is not what its first line says:"
    plain = rows = 0
    rest = b""
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        reader = decompressor.stream_reader(source)  # type: ignore[arg-type]
        while block := reader.read(_BLOCK):
            plain += len(block)
            if plain > part.plain:
                raise Damaged(f"{wrong} it has more bytes.")
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                rows += 1
                yield line
            if len(rest) > LONGEST:
                raise Damaged(f"{wrong} a row is larger than any row of a bundle.")
    except zstandard.ZstdError as error:
        raise Damaged(f"{wrong} it cannot be decompressed.") from error
    while source.read(_BLOCK):
        pass
    if rest or (plain, rows) != (part.plain, part.rows):
        raise Damaged(f"{wrong} it has {rows} whole rows in {plain} bytes.")
