from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st


def crc32c(data: bytes, crc: int = 0) -> int:
    """Bit by bit, from the definition."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("name", ["crc32c", "crc32c_portable"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),                # RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_published_values(native, name, data, expected) -> None:
    assert getattr(native.lib, name)(0, data, len(data)) == expected


# One less, equal and one more than what one and two rounds of each block size take.
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 503, 504, 505, 1008, 1015, 8183, 8184, 8185, 8188, 8192, 16368, 32768])
def test_hardware_tables_and_definition_agree_at_block_edges(native, rng, size) -> None:
    data = rng.randbytes(size)
    expected = crc32c(data)
    assert native.lib.crc32c(0, data, size) == expected
    assert native.lib.crc32c_portable(0, data, size) == expected


@pytest.mark.slow
@given(data=st.binary(max_size=700), skip=st.integers(0, 15), cut=st.integers(0, 700))
def test_crc32c_continues_at_any_cut_and_alignment(native, data, skip, cut) -> None:
    kept = native.ffi.new("uint8_t[]", bytes(skip) + data or b"\0")
    cut = min(cut, len(data))
    for checksum in (native.lib.crc32c, native.lib.crc32c_portable):
        whole = checksum(0, kept + skip, len(data))
        assert whole == crc32c(data)
        assert checksum(checksum(0, kept + skip, cut), kept + skip + cut, len(data) - cut) == whole


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_fnv1a_gives_the_published_values(native, data, expected) -> None:
    assert native.lib.hash_fnv1a(data, len(data)) == expected


def test_fast_hash_spreads_similar_keys(native) -> None:
    """Dense integers and keys that differ in length alone, in 4,096 buckets by the low and by the high bits."""
    keys = [i.to_bytes(8, "big") for i in range(20000)] + [bytes(i) for i in range(64) if i != 8]
    hashes = [native.lib.hash_fast(key, len(key), 7) for key in keys]
    assert len(set(hashes)) == len(keys)
    for shift in (0, 52):
        buckets = [0] * 4096
        for h in hashes:
            buckets[h >> shift & 4095] += 1
        # Mean 4.9; a Poisson bucket of 25 or more has a chance of 1e-10 each.
        assert max(buckets) < 25


def test_fast_hash_depends_on_seed_and_reads_only_its_bytes(native) -> None:
    assert native.lib.hash_fast(b"key", 3, 1) != native.lib.hash_fast(b"key", 3, 2)
    assert native.lib.hash_fast(b"keyA", 3, 1) == native.lib.hash_fast(b"keyB", 3, 1)


def test_fast_hash_depends_on_every_byte_of_every_size(native) -> None:
    for size in range(1, 40):
        key = bytes(range(100, 100 + size))
        seen = {native.lib.hash_fast(key, size, 3)}
        for place in range(size):
            changed = bytearray(key)
            changed[place] ^= 0x40
            seen.add(native.lib.hash_fast(bytes(changed), size, 3))
            assert native.lib.hash_fast(b"<" + bytes(changed) + b">", size + 2, 3) not in seen
        assert len(seen) == size + 1
