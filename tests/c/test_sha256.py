"""SHA-256 against the published vectors and Python's own, with the processor's instructions and without."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(params=["hardware", "portable"])
def version(native: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    used = native.lib.sha256_choose(request.param == "portable")
    if request.param == "hardware" and not used:
        pytest.skip("the processor has no instructions for SHA-256")
    yield native
    native.lib.sha256_choose(0)


def digest(native: Any, data: bytes) -> str:
    out = native.ffi.new("uint8_t[32]")
    native.lib.sha256_of(data, len(data), out)
    return bytes(out).hex()


# FIPS 180-2, appendix B, and the empty text.
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_the_published_values(version: Any, data: bytes, expected: str) -> None:
    assert digest(version, data) == expected


def test_every_size_about_the_blocks(version: Any, rng: Any) -> None:
    data = rng.randbytes(300)
    for size in range(300):
        assert digest(version, data[:size]) == hashlib.sha256(data[:size]).hexdigest(), size


@pytest.mark.parametrize("portable", [0, 1])
@given(data=st.binary(max_size=400), pieces=st.lists(st.integers(0, 130), max_size=8))
def test_a_hash_continues_at_any_cut(native: Any, portable: int, data: bytes, pieces: list[int]) -> None:
    native.lib.sha256_choose(portable)
    try:
        out = native.ffi.new("uint8_t[32]")
        sizes = native.ffi.new("size_t[]", pieces or [0])
        native.lib.test_sha256_pieces(data or b"\0", len(data), sizes, len(pieces), out)
        assert bytes(out) == hashlib.sha256(data).digest()
    finally:
        native.lib.sha256_choose(0)
