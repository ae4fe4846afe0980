"""Values are stored as SQLite stores them, whatever class they come in and whatever the column's affinity."""

from __future__ import annotations

import random

from .helpers import Pair

TYPES = ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "", "VARCHAR(20)", "DATETIME", "DOUBLE PRECISION", "BOOLEAN",
         "DECIMAL(10, 2)", "FLOATING POINT", "CHARINT"]

EDGES = [
    None, 0, 1, -1, 12, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63 - 513,
    0.0, -0.0, 1.0, -1.0, 0.1, 1.5, 1e3, 1e18, 9.3e18, 9223372036854775807.0, -9223372036854775808.0, 1e300, 5e-324,
    float("inf"), float("-inf"), float("nan"), 2.0**53, 2.0**53 + 2, 4611686018427387904.0, -9007199254740993.0,
    "", " ", "12", " 12 ", "012", "+12", "-12", "1e3", "1.0", "1.", ".5", ".", "1e", "1e+", "e5", "-", "+", "--1",
    "0x10", "12abc", "abc", "1_000", "1 2", "\t12\n", "\v\f\r3", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "9007199254740993", "123456789012345678", "1234567890123456789",
    "00000000000000000000000000000012", "1e400", "-1e400", "1e-400", "0.1e1", "100000000000000000000", "nan", "inf",
    "12\x00", "\x00", "a\x00b", "1\x002", "2024-01-01", "2024-01-01 00:00:00", "12:30", "é", "٣", "１",
    "0.30000000000000004", "123456789.123456789", "-0", "-0.0", "9.3e18", "1e18", "9007199254740993.0", "5.", "+.5e-3",
    b"", b"12", b"\x00", b"abc", b"\xff\xfe", b"1e3",
]


def table(pair: Pair) -> None:
    columns = ", ".join(f"c{i} {t}" for i, t in enumerate(TYPES))
    pair.create_table(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {columns})", "t")


def test_edge_values_are_stored_as_sqlite_stores_them(pair: Pair) -> None:
    table(pair)
    marks = ", ".join("?" * len(TYPES))
    for value in EDGES:
        pair.both(f"INSERT INTO t VALUES (NULL, {marks})", (value,) * len(TYPES))
    pair.same_table("t")
    for i in range(len(TYPES)):
        pair.ask(f"SELECT id, c{i}, typeof(c{i}), quote(c{i}) FROM t ORDER BY id", ordered=4)


def test_updates_apply_affinity(pair: Pair, rng: random.Random) -> None:
    table(pair)
    for i in range(8):
        pair.both("INSERT INTO t(id) VALUES (?)", (i,))
    for _ in range(400):
        column = rng.randrange(len(TYPES))
        pair.both(f"UPDATE t SET c{column} = ? WHERE id = ?", (rng.choice(EDGES), rng.randrange(8)))
    pair.same_table("t")


def number_like(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789..eE+- \t1") for _ in range(rng.randrange(1, 9)))


def test_texts_that_look_like_numbers(pair: Pair, rng: random.Random) -> None:
    table(pair)
    marks = ", ".join("?" * len(TYPES))
    for _ in range(500):
        pair.both(f"INSERT INTO t VALUES (NULL, {marks})", (number_like(rng),) * len(TYPES))
    for _ in range(300):
        number = rng.choice([
            rng.uniform(-1e3, 1e3), rng.randrange(-(2**64), 2**64), rng.random() * 10 ** rng.randrange(-30, 30),
        ])
        text = repr(number)
        pair.both(f"INSERT INTO t VALUES (NULL, {marks})", (text,) * len(TYPES))
    pair.same_table("t")


def test_row_ids_that_are_no_integers_are_refused(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    for value in ("abc", 1.5, b"1", "1.5", "", 1e30):
        mine = pair.outcome(pair.raw.db, "INSERT INTO t VALUES (?, 1)", (value,))
        theirs = pair.outcome(pair.sqlite, "INSERT INTO t VALUES (?, 1)", (value,))
        assert mine == theirs
    for value in ("12", 13.0, " 14 ", "1.5e1", True, -5):
        pair.both("INSERT INTO t VALUES (?, 1)", (value,))
    pair.same_table("t")
    for value in ("abc", None, 2.5, "7", 8.0):
        mine = pair.outcome(pair.raw.db, "UPDATE t SET id = ? WHERE id = 13", (value,))
        theirs = pair.outcome(pair.sqlite, "UPDATE t SET id = ? WHERE id = 13", (value,))
        assert mine == theirs
        for db in (pair.raw.db, pair.sqlite):
            db.execute("UPDATE t SET id = 13 WHERE id IN (7, 8)")
    pair.same_table("t")


def test_bytes_pass_unchanged(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB)", "t")
    pair.both("INSERT INTO t VALUES (1, CAST(x'ff00fe41' AS TEXT), zeroblob(5000))")
    pair.both("INSERT INTO t VALUES (2, ?, ?)", ("x\x00y" * 300, b"\x00" * 3000))
    pair.both("INSERT INTO t VALUES (3, '', x'')")
    pair.ask("SELECT id, hex(CAST(a AS BLOB)), length(b), typeof(a), typeof(b), hex(b) FROM t", ordered=6)
    pair.both("UPDATE t SET a = a || 'z' WHERE id < 3")
    pair.ask("SELECT id, hex(CAST(a AS BLOB)), length(b), hex(b) FROM t", ordered=4)
