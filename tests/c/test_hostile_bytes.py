"""Bytes of a damaged file under the row and key readers: whatever they are, nothing outside them is read.

The C side places them against memory that may not be touched, before and behind, and reads every value it is given:
a read outside kills the test process.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

row_heads = st.tuples(st.integers(0, 40), st.integers(0, 3)).map(lambda t: bytes([(t[0] << 2 | t[1]) & 0xFF]))
row_types = st.lists(st.integers(0, 8), max_size=40).map(bytes)
row_like = st.tuples(row_heads, row_types, st.binary(max_size=80)).map(b"".join)
key_pieces = [
    *(bytes([byte]) for byte in (0x10, 0x20, 0x30, 0x40, 0xEF, 0xDF, 0xCF, 0xBF, 0x00, 0xFF, 0x61)),
    b"\0\0", b"\0\xff", b"\xff\xff", b"\xff\0",
    b"\xc3\xe0\0\0\0\0\0\0\x80\0", b"\x7f" + b"\xff" * 7,
]  # fmt: skip
key_like = st.lists(st.sampled_from(key_pieces), max_size=20).map(b"".join)


@pytest.mark.slow
@settings(max_examples=3000)
@given(data=st.one_of(st.binary(max_size=300), row_like, key_like))
def test_random_bytes_are_never_read_outside(p, data) -> None:
    assert p.lib.test_hostile(data, len(data)) >= 0


@pytest.mark.slow
def test_flipped_bytes_of_real_rows_and_keys(p, rng) -> None:
    some = [None, 0, 1, -5, 2**40, 1.5, "text\0more", rng.randbytes(20)]
    rows = [rng.choices(some, k=n) for n in range(40)]
    originals = [p.row(row) for row in rows] + [
        b"".join(p.key(value, "BINARY", bool(n & 1)) for value in row) for n, row in enumerate(rows)
    ]
    readable = 0
    for original in originals:
        for _ in range(100):
            data = bytearray(original)
            for _ in range(rng.randrange(4)):
                if data:
                    data[rng.randrange(len(data))] = rng.randrange(256)
            size = rng.randrange(len(data) + 1)
            result = p.lib.test_hostile(bytes(data[:size]), size)
            assert result >= 0
            readable += result
    assert readable > 0     # else this would pass with readers that refuse everything
