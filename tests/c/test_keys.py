"""Keys order as SQLite orders values. SQLite itself is the judge."""

from __future__ import annotations

import math

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

EDGES = [
    0, 1, -1, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, -(2**53) + 1, -(2**53), -(2**53) - 1, 2**62, 2**62 + 1,
    2**63 - 1, 2**63 - 512, 2**63 - 513, 2**63 - 1024, -(2**63), -(2**63) + 1, -(2**63) + 512, -(2**63) + 513,
]
REAL_EDGES = [
    0.0, -0.0, 1.0, 0.5, -0.5, 5e-324, -5e-324, 2.2250738585072014e-308, 2.0**53, 2.0**53 + 2, 2.0**63,
    -(2.0**63), math.nextafter(2.0**63, 0), math.nextafter(-(2.0**63), -math.inf), 1.7976931348623157e308, math.inf,
    -math.inf,
]  # fmt: skip

integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-300, 300),
    st.sampled_from(EDGES),
    st.tuples(st.sampled_from(EDGES), st.integers(-1100, 1100)).map(lambda t: max(-(2**63), min(2**63 - 1, sum(t)))),
)
reals = st.one_of(st.floats(allow_nan=False), st.sampled_from(REAL_EDGES), integers.map(float))
letters = st.text(alphabet="aAbBzZ_[@`{ \0\x01\xff\u0100\U0001f600", max_size=6)
texts = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), letters)
blobs = st.one_of(st.binary(max_size=12), st.lists(st.sampled_from([0, 1, 32, 254, 255]), max_size=5).map(bytes))
values = st.one_of(st.none(), integers, reals, texts, blobs)
neighbours = st.one_of(
    st.lists(values, max_size=12), st.lists(letters, max_size=12), st.lists(st.one_of(integers, reals), max_size=12),
    # An integer and the reals around it.
    integers.map(lambda i: [i, float(i), math.nextafter(float(i), math.inf), math.nextafter(float(i), -math.inf)]),
)
directions = pytest.mark.parametrize("descending", [False, True])
collations = pytest.mark.parametrize("collation", ["BINARY", "NOCASE", "RTRIM"])


def sqlite_order(values: list, collation: str, descending: bool) -> list[int]:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE t(i, v)")
    db.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(values)))
    direction = "DESC" if descending else "ASC"
    return [i for (i,) in db.execute(f"SELECT i FROM t ORDER BY v COLLATE {collation} {direction}, i")]


@pytest.mark.slow
@directions
@collations
@settings(max_examples=400)
@given(values=neighbours)
@example(values=[2**53 + 1, 2.0**53, 2.0**53 + 2, 2**53, 2**53 + 2])
@example(values=[2**63 - 1, 2.0**63, math.nextafter(2.0**63, 0), 2**63 - 1024])
@example(values=[-(2**63), -(2.0**63), -(2**63) + 1])
@example(values=[0.0, -0.0, 0, 5e-324, -5e-324])
@example(values=["a\0z", "a\0b", "A\0", "a", "ab", "a\0bb"])
@example(values=["a ", "a", "a  \0", "a\0 ", "a b", " ", ""])
@example(values=["_", "A", "a", "Z", "[", "@", "`", "\u0100"])
def test_keys_order_and_equal_as_sqlite_says(p, values, collation, descending) -> None:
    """Ties are broken by position on both sides, so equality is compared too."""
    keys = [(p.key(v, collation, descending), i) for i, v in enumerate(values)]
    assert [i for _, i in sorted(keys)] == sqlite_order(values, collation, descending)


@pytest.mark.slow
@directions
@collations
@settings(max_examples=200)
@given(rows=st.lists(st.tuples(values, values), max_size=8))
def test_parts_in_a_row_order_as_columns(p, rows, collation, descending) -> None:
    """No part is a prefix of another, so a later column never decides before an earlier one."""
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE t(i, a, b)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
    direction = "DESC" if descending else "ASC"
    expected = [
        i for (i,) in db.execute(f"SELECT i FROM t ORDER BY a COLLATE {collation} {direction}, b COLLATE BINARY, i")
    ]
    keys = [(p.key(a, collation, descending) + p.key(b), i) for i, (a, b) in enumerate(rows)]
    assert [i for _, i in sorted(keys)] == expected


def same(a: object, b: object) -> bool:
    """Type, value and, for reals, the sign of zero."""
    return type(a) is type(b) and a == b and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


@pytest.mark.slow
@directions
@collations
@pytest.mark.parametrize("integral", [False, True])
@settings(max_examples=300)
@given(value=st.one_of(values, st.just(math.nan)), behind=st.binary(max_size=3))
def test_decoding_gives_the_value_back_or_says_it_cannot(p, value, behind, collation, integral, descending) -> None:
    key = p.key(value, collation, descending)
    assert p.part_size(key + behind, descending) == len(key)
    used, decoded = p.decode(key + behind, descending, integral)
    assert used == len(key)
    assert p.restores(value, collation, integral) == same(decoded, value)
    # What comes back is equal under the collation, unless an integer was read as a real that cannot hold it.
    if integral or not isinstance(value, int) or float(value) == value:
        assert p.key(decoded, collation, descending) == key


@pytest.mark.slow
@directions
@settings(max_examples=200)
@given(value=values)
def test_every_cut_of_a_part_is_invalid(p, value, descending) -> None:
    key = p.key(value, "BINARY", descending)
    for size in range(len(key)):
        assert p.part_size(key[:size], descending) == 0
        assert p.decode(key[:size], descending) == (0, None)


@pytest.mark.slow
@pytest.mark.parametrize("integral", [False, True])
@settings(max_examples=500)
@given(key=st.one_of(
    st.binary(max_size=14),
    st.binary(min_size=8, max_size=12).map(lambda b: b"\x20" + b),
    # Near the doubles that are followed by a remainder.
    st.tuples(st.sampled_from([0xC340, 0xC3DF, 0xC3E0, 0x3CBF, 0x3C1F, 0xFFF0, 0x000F, 0x7FFF]),
              st.binary(min_size=8, max_size=8)).map(lambda t: b"\x20" + t[0].to_bytes(2, "big") + t[1]),
    st.lists(st.sampled_from([b"\0\0", b"\0\xff", b"\0", b"a", b"\x01"])).map(lambda some: b"\x30" + b"".join(some)),
))
@example(key=b"\x20" + (0xC3E0 << 48).to_bytes(8, "big") + b"\x80\x00")
@example(key=b"\x20" + (0xC3E0 << 48).to_bytes(8, "big") + b"\x7f\xff")
@example(key=b"\x20" + b"\x7f" + b"\xff" * 7)
def test_what_decodes_is_what_encoding_writes(p, key, integral) -> None:
    """One value, one key: bytes that no value has are refused, so that damage cannot hide a row from a lookup."""
    used, value = p.decode(key, integral=integral)
    if used and (integral or not isinstance(value, float) or abs(value) < 2.0**53):
        assert p.key(value) == key[:used]


@pytest.mark.parametrize(
    ("value", "hexadecimal"),
    [
        (None, "10"),
        (0, "208000000000000000"),
        (-0.0, "208000000000000000"),
        (1, "20bff0000000000000"),
        (-1, "20400fffffffffffff"),
        (2**53, "20c3400000000000008000"),
        (2**53 + 1, "20c3400000000000008001"),
        (2**63 - 1, "20c3e00000000000007fff"),
        (2.0**63, "20c3e00000000000008000"),
        ("", "300000"),
        ("a\0b", "306100ff620000"),
        (b"\xff\x00", "40ff00ff0000"),
    ],
)
def test_keys_are_the_bytes_of_the_format_description(p, value, hexadecimal) -> None:
    """Stored in files: may never change."""
    assert p.key(value).hex() == hexadecimal
    assert p.key(value, "BINARY", True) == bytes(0xFF ^ byte for byte in bytes.fromhex(hexadecimal))
