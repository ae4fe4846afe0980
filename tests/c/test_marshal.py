"""Rows in Python's marshal format, read and written in C."""

from __future__ import annotations

import marshal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DAMAGED, TOO_BIG, OTHER = -1, -2, -3
integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**60, 2**63 - 1, -(2**63), 1 << 45, 1 << 30]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
values = st.one_of(st.none(), st.booleans(), integers, st.floats(allow_nan=False), texts, st.binary(max_size=300))
rows = st.lists(st.lists(values, max_size=6).map(tuple) | st.lists(values, max_size=6), max_size=8)


def echo(native: Any, data: bytes) -> Any:
    """What the C code reads and writes again, or its code. The bytes lie in memory of exactly their size."""
    out, size = native.ffi.new("uint8_t **"), native.ffi.new("size_t *")
    given_ = native.ffi.new("uint8_t[]", data) if data else native.ffi.new("uint8_t[1]")
    code = native.lib.test_marshal(given_, len(data), out, size)
    if code:
        return code
    try:
        return marshal.loads(native.ffi.buffer(out[0], size[0]))
    finally:
        native.lib.test_marshal_free(out[0])


@pytest.mark.slow
@given(rows)
@settings(max_examples=300, deadline=None)
def test_rows_come_back_as_they_were(native: Any, listed: list[Any]) -> None:
    expected = [tuple(int(v) if isinstance(v, bool) else v for v in row) for row in listed]
    names, found = echo(native, marshal.dumps(listed, 2))
    assert names == ("a", "ä")
    assert found == {"a": expected, "ä": len(expected)}
    assert [[type(v) for v in row] for row in found["a"]] == [[type(v) for v in row] for row in expected]


def test_a_row_of_many_columns_and_a_long_text_come_back(native: Any) -> None:
    listed = [tuple(range(300)), ("x" * 255, "y" * 256, "z" * 70_000, b"b" * 70_000, "é" * 255)]
    assert echo(native, marshal.dumps(listed, 2))[1]["a"] == listed


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64, 10**40, -(10**40)])
def test_an_integer_beyond_64_bits_is_told(native: Any, value: int) -> None:
    assert echo(native, marshal.dumps([(value,)], 2)) == TOO_BIG


@pytest.mark.parametrize("value", [1j, {}, set(), (1,), [1], ..., StopIteration])
def test_what_no_column_holds_is_told(native: Any, value: Any) -> None:
    assert echo(native, marshal.dumps([(value,)], 2)) == OTHER


def test_nan_is_null(native: Any) -> None:
    assert echo(native, marshal.dumps([(float("nan"),)], 2))[1]["a"] == [(None,)]


@pytest.mark.slow
@given(rows, st.data())
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_cut_or_changed_are_refused_or_read_and_nothing_outside_them_is(
    native: Any, listed: list[Any], data: st.DataObject
) -> None:
    whole = marshal.dumps(listed, 2)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert echo(native, cut) == DAMAGED
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        echo(native, bytes(changed))
    except UnicodeDecodeError:
        pass  # a text that is not UTF-8 is written as it is, and Python refuses it
