"""Entities in the keys of taggings: they order as the numbers, begin no other, and have one form each."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from entitydb_dialect._native import ffi, lib

LIMITS = sorted({
    sign * (2**bits + by) - (sign < 0) for bits in range(64) for by in (-1, 0, 1) for sign in (1, -1)
    if -(2**63) <= sign * (2**bits + by) - (sign < 0) < 2**63
} | {0, -1, 2**63 - 1, -(2**63)})  # fmt: skip


def stored(entity: int, wide: bool = False) -> bytes:
    out = ffi.new("uint8_t[9]")
    return bytes(ffi.buffer(out, lib.test_entity_store(wide, entity, out)))


def loaded(data: bytes, wide: bool = False) -> tuple[int, int]:
    """-> its bytes (0: there is none), the entity"""
    out = ffi.new("int64_t *")
    return lib.test_entity_load(wide, ffi.from_buffer(data) if data else ffi.NULL, len(data), out), out[0]


def some(rng: random.Random) -> list[int]:
    return sorted({*LIMITS, *(rng.randrange(-(2**rng.randrange(64)), 2**rng.randrange(64)) for _ in range(2000))})


@pytest.mark.parametrize("wide", [False, True])
def test_they_order_as_the_numbers_do_and_come_back(native: Any, rng: random.Random, wide: bool) -> None:
    entities = some(rng)
    keys = [stored(entity, wide) for entity in entities]
    assert keys == sorted(keys)
    for entity, key in zip(entities, keys, strict=True):
        assert loaded(key, wide) == (len(key), entity)
        assert loaded(key + rng.randbytes(3), wide) == (len(key), entity)
        assert all(loaded(key[:n], wide)[0] == 0 for n in range(len(key)))


def test_none_begins_another(native: Any, rng: random.Random) -> None:
    keys = sorted(stored(entity) for entity in some(rng))
    assert not any(after.startswith(key) for key, after in pairwise(keys))


@pytest.mark.parametrize(("entity", "key"), [
    (0, "80"), (-1, "7f"), (1, "8101"), (255, "81ff"), (256, "820100"), (-2, "7efe"), (-256, "7e00"), (-257, "7dfeff"),
    (1_000_000, "830f4240"), (2**63 - 1, "887fffffffffffffff"), (-(2**63), "778000000000000000"),
])  # fmt: skip
def test_the_bytes_are_those_of_the_format(native: Any, entity: int, key: str) -> None:
    assert stored(entity).hex() == key


def test_there_is_no_other_form_of_a_number(native: Any, rng: random.Random) -> None:
    """Whatever is read is what would be written."""
    for _ in range(20_000):
        head = rng.choice((rng.randrange(256), rng.randrange(0x77, 0x89)))
        data = bytes([head]) + bytes(rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256))) for _ in range(8))
        size, entity = loaded(data)
        assert size == 0 or stored(entity) == data[:size]
    for padded in ("8100", "820009", "7eff", "7dffff", "888000000000000000", "777fffffffffffffff", "89", "76"):
        assert loaded(bytes.fromhex(padded + "00" * 9))[0] == 0
