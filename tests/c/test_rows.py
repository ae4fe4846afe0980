from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 127, 128, -128, -129, 2**15 - 1, 2**15, -(2**15) - 1, 2**31 - 1, 2**31, -(2**63)]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.one_of(st.none(), integers, st.floats(), texts, st.binary(max_size=40))
words = st.text(st.characters(max_codepoint=127), max_size=40)
plain = st.one_of(st.none(), integers, st.floats(), words, st.binary(max_size=40))


def reference(values: list) -> bytes:
    """The row as docs/format.md describes it."""
    types, ends, data = bytearray(), [], bytearray()
    for value in values:
        if value is None or value != value:
            types.append(0)
        elif isinstance(value, int):
            if value in (0, 1):
                types.append(1 + value)
            else:
                types.append(3)
                size = next(n for n in (1, 2, 4, 8) if -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1)
                data += value.to_bytes(size, "little", signed=True)
        elif isinstance(value, float):
            types.append(4)
            data += struct.pack("<d", value)
        else:
            types.append(5 if isinstance(value, str) else 6)
            data += value.encode() if isinstance(value, str) else value
        ends.append(len(data))
    code = 0 if len(data) < 1 << 8 else 1 if len(data) < 1 << 16 else 2
    head, number = bytearray(), len(values) << 2 | code
    while number >= 0x80:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    head.append(number)
    return bytes(head + types) + b"".join(end.to_bytes(1 << code, "little") for end in ends) + bytes(data)


def as_stored(values: list) -> list:
    return [None if value != value else value for value in values]


@pytest.mark.slow
@settings(max_examples=500)
@given(row=st.lists(values, max_size=40))
def test_rows_are_the_bytes_of_the_format_description(p, row) -> None:
    assert p.row(row) == reference(row)


@pytest.mark.slow
@settings(max_examples=500)
@given(row=st.lists(values, max_size=40))
def test_columns_come_back_with_type_and_sign(p, row) -> None:
    columns = p.columns(p.row(row))
    assert columns == as_stored(row)
    for got, put in zip(columns, as_stored(row), strict=True):
        assert type(got) is type(put)
        if isinstance(put, float):
            assert math.copysign(1, got) == math.copysign(1, put)


@pytest.mark.parametrize("size", [0, 254, 255, 256, 65534, 65535, 65536, 200000])
def test_each_width_of_the_column_ends(p, rng, size) -> None:
    row = [7, rng.randbytes(size), None, "text", 1]
    assert p.columns(p.row(row)) == row
    assert p.row(row) == reference(row)


@pytest.mark.parametrize("columns", [0, 1, 31, 32, 33, 2000])
def test_rows_of_few_and_many_columns(p, columns) -> None:
    row = list(range(columns))
    assert p.columns(p.row(row)) == row


@pytest.mark.slow
@given(row=st.lists(values, min_size=1, max_size=8))
def test_a_row_cut_short_is_damaged_or_loses_no_column_that_it_shows(p, row) -> None:
    """A cut within the data must not give a value of other bytes."""
    encoded = p.row(row)
    for size in range(len(encoded)):
        assert p.columns(encoded[:size]) is None


@pytest.mark.parametrize(
    ("bytes_", "what"),
    [
        ("", "nothing at all"),
        ("80", "a varint that does not end"),
        ("ffffffffffffffffff01", "more columns than bytes"),
        ("07" + "00" * 20, "an unknown width"),
        ("04" + "07" + "00", "an unknown type"),
        ("08" + "0505" + "0201" + "6162", "ends that go down"),
        ("04" + "05" + "02" + "61", "an end behind the row"),
        ("04" + "03" + "03" + "616263", "an integer of three bytes"),
        ("04" + "04" + "04" + "61626364", "a real of four bytes"),
    ],
)
def test_damaged_rows_are_refused(p, bytes_, what) -> None:
    assert p.columns(bytes.fromhex(bytes_)) is None, what


def test_a_nan_made_by_damage_reads_as_null(p) -> None:
    """No value handed on may be NaN: keys and comparisons rely on it."""
    assert p.columns(bytes.fromhex("04" + "04" + "08") + struct.pack("<d", math.nan)) == [None]


changes = st.lists(st.tuples(values, values, st.booleans()), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=300)
@given(row=changes)
def test_a_row_that_is_changed_is_the_row_that_is_written_anew(p, row) -> None:
    old, new, changed = ([column[i] for column in row] for i in range(3))
    assert p.replaced(p.row(old), new, changed) == p.row([new if flag else old for old, new, flag in row])


@pytest.mark.parametrize("kept", [0, 100, 254, 255, 256, 65534, 65535, 65536])
def test_changed_rows_have_the_width_that_their_data_want(p, kept) -> None:
    long = "x" * kept
    wide = "y" * 70_000
    for old, new in (([long, wide, 7], "z"), ([long, "z", 7], wide), ([long, "z", 7], ""), ([long, 1, 7], None)):
        assert p.replaced(p.row(old), [None, new, None], [False, True, False]) == p.row([long, new, 7])


@pytest.mark.slow
@settings(max_examples=300)
@given(row=st.lists(st.tuples(plain, plain, st.booleans()), min_size=1, max_size=12), cut=st.integers(0, 200),
       at=st.integers(0, 60), byte=st.integers(0, 127))
def test_a_damaged_row_is_not_changed_or_only_to_what_it_shows(p, row, cut, at, byte) -> None:
    old, new, changed = ([column[i] for column in row] for i in range(3))
    bytes_ = bytearray(p.row(old))
    bytes_[at % len(bytes_)] = byte
    damaged = bytes(bytes_[: max(len(bytes_) - cut // 20, 1)])
    if not 0 < (damaged[0] & 0x7F) >> 2 <= len(row) or damaged[0] > 0x7F:
        return  # another number of columns than there are values
    made = p.replaced(damaged, new, changed)
    if made is not None:
        shown = p.columns(damaged)
        assert shown is not None
        wanted = [new if flag else old for old, new, flag in zip(shown, new, changed, strict=False)]
        assert p.columns(made) == as_stored(wanted)
