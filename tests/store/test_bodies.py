"""Bodies come out as they went in, small, whichever version packed them."""

from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import store
from console.sandbox.world import World
from store import bodies
from store.bodies import NEWEST, pack, unpack
from store.errors import StoreDamaged


@given(st.binary(max_size=2_000))
def test_what_was_packed_is_unpacked(body: bytes) -> None:
    assert unpack(pack(body)) == body


def test_a_large_body_is_unpacked_whole() -> None:
    body = b"x\0y" * 3_000_000
    assert unpack(pack(body)) == body


def test_a_body_of_the_time_before_dictionaries_is_still_read() -> None:
    body = b'{"cat":"Encoded PowerShell download"}' * 9
    assert unpack(zstandard.ZstdCompressor(level=3, write_checksum=True).compress(body)) == body


def test_a_detection_of_another_seed_takes_less_than_a_fifth_of_its_json() -> None:
    world = World(seed=77)
    bodies = [
        orjson.dumps(world.detections.detection(index, number)) for index in range(20) for number in range(5)
    ]
    assert sum(len(pack(body)) for body in bodies) * 5 < sum(map(len, bodies))


@pytest.mark.parametrize("packed", [b"", b"\0", b"\x01", b"\xff" + b"x" * 40, b"(\xb5/\xfd", b"\x01" * 50])
def test_what_no_version_packed_is_damaged(packed: bytes) -> None:
    with pytest.raises(StoreDamaged):
        unpack(packed)


def test_every_bit_that_flips_is_noticed() -> None:
    packed = pack(orjson.dumps({"cat": "x", "detect_id": "d1", "words": list("abcdefgh")}))
    body = unpack(packed)
    for place in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[place // 8] ^= 1 << place % 8
        try:
            assert unpack(bytes(damaged)) == body  # a bit that no reader looks at
        except StoreDamaged:
            continue


def test_a_frame_that_claims_too_much_is_not_unpacked() -> None:
    with pytest.raises(StoreDamaged):
        unpack(zstandard.ZstdCompressor().compress(b"\0" * (65 * 1024 * 1024)))


def test_every_dictionary_up_to_the_newest_ships() -> None:
    home = Path(store.__file__).parent
    assert all(home.joinpath(f"bodies-{number}.zdict").is_file() for number in range(1, NEWEST + 1))


@pytest.mark.parametrize("number", range(1, NEWEST + 1))
def test_what_any_of_them_packed_is_read(number: int) -> None:
    dictionary = bodies._dictionary(number)
    plain = zstandard.ZstdCompressionParameters.from_level(6, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    frame = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=plain).compress(b'{"cat": "x"}')
    assert unpack(bytes((number,)) + frame) == b'{"cat": "x"}'
