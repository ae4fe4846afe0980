"""NOT NULL, UNIQUE, PRIMARY KEY and DEFAULT, under every conflict clause, do what they do in plain SQLite."""

from __future__ import annotations

import random

import apsw
import pytest

from .helpers import Pair, Raw

CLAUSES = ["", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE", "OR ROLLBACK"]


def outcomes(pair: Pair, sql: str, bindings: tuple = ()) -> None:
    """The same result; of several constraints that fail, SQLite may name another one than we do."""
    mine, theirs = (pair.outcome(db, sql, bindings) for db in (pair.raw.db, pair.sqlite))
    if mine != theirs:
        assert isinstance(mine, tuple), (sql, bindings, mine, theirs)
        assert isinstance(theirs, tuple), (sql, bindings, mine, theirs)
        assert mine[0] == theirs[0] == "ConstraintError", (sql, bindings, mine, theirs)
    assert pair.raw.db.in_transaction == pair.sqlite.in_transaction, (sql, bindings)


@pytest.mark.slow
def test_random_changes_under_every_conflict_clause(pair: Pair, rng: random.Random) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT COLLATE NOCASE,"
                      " c REAL NOT NULL DEFAULT 7, d TEXT NOT NULL DEFAULT 'x', UNIQUE(b, c))", "t")
    pair.create_index("CREATE UNIQUE INDEX du ON t(d, a DESC)", "t")
    pair.create_index("CREATE INDEX c ON t(c, b)", "t")

    # Row ids are always named: SQLite uses those of deleted rows again, we do not.
    def value() -> object:
        return rng.choice([None, 0, 1, 2, 3, "1", "a", "A", "b", 2.5, 2.0])

    for _ in range(2500):
        kind = rng.randrange(12)
        clause = rng.choice(CLAUSES)
        if kind == 0:
            pair.both(rng.choice(["COMMIT", "ROLLBACK"]) if pair.raw.db.in_transaction else "BEGIN")
        elif kind <= 4:
            outcomes(pair, f"INSERT {clause} INTO t VALUES (?, ?, ?, ?, ?)",
                     (rng.randrange(12), value(), value(), value(), value()))
        elif kind == 5:
            outcomes(pair, f"INSERT {clause} INTO t VALUES {', '.join(['(?, ?, ?, ?, ?)'] * 3)}",
                     tuple(rng.randrange(12) if i % 5 == 0 else value() for i in range(15)))
        elif kind <= 8:
            column = rng.choice("abcd")
            outcomes(pair, f"UPDATE {clause} t SET {column} = ? WHERE id = ?", (value(), rng.randrange(12)))
        elif kind == 9:
            outcomes(pair, f"UPDATE {clause} t SET id = id + ? WHERE id = ?", (rng.randrange(-3, 4), rng.randrange(12)))
        elif kind == 10:
            outcomes(pair, f"UPDATE {clause} t SET a = ?, b = ?, d = d || 'y' WHERE id = ?",
                     (value(), value(), rng.randrange(12)))
        else:
            pair.both("DELETE FROM t WHERE id = ?", (rng.randrange(12),))
        if rng.random() < 0.05:
            pair.same_table("t")
    pair.same_table("t")
    for index in ("a", "b, c", "d, a DESC", "c, b"):
        pair.ask(f"SELECT {index.replace(' DESC', '')} FROM t ORDER BY {index}")


@pytest.mark.parametrize(("sql", "bindings"), [
    ("INSERT INTO t(id, a, c) VALUES (1, 9, 1)", ()),
    ("INSERT INTO t(a, b, c) VALUES (1, 9, 9)", ()),
    ("INSERT INTO t(b, c) VALUES (2, 3)", ()),
    ("INSERT INTO t(c) VALUES (NULL)", ()),
    ("INSERT INTO t(id) VALUES ('x')", ()),
    ("UPDATE t SET a = 2 WHERE id = 1", ()),
    ("UPDATE t SET id = 2 WHERE id = 1", ()),
    ("UPDATE t SET c = NULL WHERE id = 1", ()),
    ("UPDATE t SET id = NULL WHERE id = 1", ()),
    ("INSERT INTO t(rowid, a, c) VALUES (2, 77, 1)", ()),
    ("INSERT INTO p VALUES ('k', 1)", ()),
    ("INSERT INTO p VALUES (NULL, 1)", ()),
])
def test_messages_are_sqlites(pair: Pair, sql: str, bindings: tuple) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b, c NOT NULL DEFAULT 3, UNIQUE(b, c))", "t")
    pair.create_table("CREATE TABLE p(k TEXT NOT NULL PRIMARY KEY, v)", "p")
    pair.both("INSERT INTO t VALUES (1, 1, 1, 1), (2, 2, 2, 3)")
    pair.both("INSERT INTO p VALUES ('k', 0)")
    mine, theirs = (pair.outcome(db, sql, bindings) for db in (pair.raw.db, pair.sqlite))
    assert mine == theirs
    assert isinstance(mine, tuple)


def test_one_statement_of_many_rows_is_all_or_nothing(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)", "t")
    for prefix in ("", "BEGIN"):
        if prefix:
            pair.both(prefix)
        pair.both("INSERT INTO t(a) VALUES (1), (2), (3)" if not prefix else "INSERT INTO t(a) VALUES (11), (12)")
        pair.both("INSERT INTO t(a) VALUES (4), (5), (1), (6)")
        pair.both("UPDATE t SET a = a + 1")
        pair.both("UPDATE t SET a = 100 WHERE a > 1")
        pair.ask("SELECT a FROM t ORDER BY a", (), 1)   # row ids have gaps where SQLite's have none
    pair.both("COMMIT")
    pair.ask("SELECT a FROM t ORDER BY a", (), 1)


def test_replace_that_fails_half_way_leaves_nothing(pair: Pair) -> None:
    """The first unique key deletes a row, then NOT NULL or another table's limit refuses the new one."""
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b UNIQUE, c TEXT)", "t")
    pair.create_index("CREATE INDEX c ON t(c)", "t")
    pair.both("INSERT INTO t VALUES (1, 1, 1, 'x'), (2, 2, 2, 'y'), (3, 3, 3, 'z')")
    before = pair.raw.rows("SELECT * FROM t")
    with pytest.raises(apsw.TooBigError, match="index c on table t"):
        pair.raw.run("REPLACE INTO t VALUES (NULL, 1, 2, ?)", ("long" * 1000,))
    assert pair.raw.rows("SELECT * FROM t") == before
    pair.both("REPLACE INTO t VALUES (9, 1, 2, 'new')")
    pair.same_table("t")
    pair.both("UPDATE OR REPLACE t SET a = 3, b = 3")
    pair.same_table("t")


def test_update_or_replace_skips_rows_it_took_away(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b)", "t")
    pair.both("INSERT INTO t VALUES (1, 10, 'a'), (2, 11, 'b'), (3, 12, 'c'), (4, 13, 'd')")
    pair.both("UPDATE OR REPLACE t SET a = a + 1")
    pair.same_table("t")
    pair.both("UPDATE OR REPLACE t SET id = id + 1")
    pair.same_table("t")


def test_defaults_of_columns_left_out(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a DEFAULT 5, b TEXT DEFAULT 5, c INTEGER DEFAULT '7',"
                     " d DEFAULT (1 + 1), e DEFAULT CURRENT_TIMESTAMP, f REAL DEFAULT 1, g BLOB DEFAULT x'00ff',"
                     " h DEFAULT (lower('AB')), i DEFAULT NULL,"
                     " j TEXT NOT NULL DEFAULT (1.5), k NUMERIC DEFAULT '1e2')", "t")
    with raw.statement(writes=True, supplied=[True] + [False] * 11):
        raw.run("INSERT INTO t(id) VALUES (1)")
    raw.settle()
    row = raw.rows("SELECT a, b, c, d, f, g, h, i, j, k, length(e) FROM t")[0]
    assert list(map(repr, row)) == ["5", "'5'", "7", "2", "1.0", r"b'\x00\xff'", "'ab'", "None", "'1.5'", "100", "19"]
    with raw.statement(writes=True, supplied=[True, True] + [False] * 10):
        raw.run("INSERT INTO t(id, a) VALUES (2, NULL)")
    assert raw.rows("SELECT a, b FROM t WHERE id = 2") == [(None, "5")]
    # Nothing said: all columns count as named.
    with pytest.raises(apsw.ConstraintError, match=r"NOT NULL constraint failed: t\.j"):
        raw.run("INSERT INTO t(id) VALUES (3)")


def test_a_default_that_fails_leaves_no_row(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a DEFAULT (abs(-9223372036854775808)))", "t")
    overflow = pytest.raises(apsw.Error, match=r"DEFAULT of t\.a: integer overflow")
    with raw.statement(writes=True, supplied=[True, False]), overflow:
        raw.run("INSERT INTO t(id) VALUES (1)")
    raw.settle()
    assert raw.rows("SELECT * FROM t") == []


def test_row_ids_are_not_used_again(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.run("INSERT INTO t(a) VALUES (1), (2), (3)")
    assert raw.db.last_insert_rowid() == 3
    raw.run("DELETE FROM t WHERE id = 3")
    raw.run("INSERT INTO t(a) VALUES (4)")
    raw.run("INSERT INTO t VALUES (100, 5)")
    raw.run("INSERT INTO t(a) VALUES (6)")
    raw.run("INSERT INTO t VALUES (-7, 8)")
    assert raw.rows("SELECT id, a FROM t ORDER BY id") == [(-7, 8), (1, 1), (2, 2), (4, 4), (100, 5), (101, 6)]


def test_strict_tables(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, i INT, r REAL, s TEXT, b BLOB, a ANY) STRICT", "t")
    for values in [(1, 1, "x", b"y", 1), ("1", "2.5", 3, None, "4"), (1.0, 1, 1, None, 1.5), ("x", 1, "x", b"", 1),
                   (1, "x", "x", b"", 1), (1, 1, b"x", b"", 1), (1, 1, "x", "y", 1), (1.5, 1, "x", b"", 1),
                   (1, 1, "x", 5, 1)]:
        pair.both("INSERT INTO t VALUES (NULL, ?, ?, ?, ?, ?)", values)
    pair.same_table("t")


def test_two_transactions_inserting_one_unique_value(database) -> None:
    one, two = database.connect(), None
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)", "t")
    two = database.connect()
    for connection in (one, two):
        connection.run("BEGIN")
        connection.run("INSERT INTO t(a) VALUES (1)")
    one.run("COMMIT")
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.a"):
        two.run("COMMIT")
    if two.db.in_transaction:
        two.run("ROLLBACK")
    assert two.rows("SELECT a FROM t") == [(1,)]


def test_two_transactions_changing_one_row(database) -> None:
    one = database.connect()
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", "t")
    one.create_index("CREATE INDEX b ON t(b)", "t")
    one.run("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)")
    two = database.connect()
    for connection, column in ((one, "a"), (two, "b")):
        connection.run("BEGIN")
        connection.run(f"UPDATE t SET {column} = 9 WHERE id = 1")
    one.run("COMMIT")
    with pytest.raises(apsw.BusyError):
        two.run("COMMIT")
    if two.db.in_transaction:
        two.run("ROLLBACK")
    assert two.rows("SELECT * FROM t WHERE b = 1") == [(1, 9, 1)]
    two.run("BEGIN")
    two.run("UPDATE t SET a = 3 WHERE id = 2")
    one.run("DELETE FROM t WHERE id = 1")
    two.run("COMMIT")
    assert two.rows("SELECT * FROM t") == [(2, 3, 2)]


def test_a_row_changed_after_the_moment_is_a_conflict_at_once(database) -> None:
    one = database.connect()
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    one.run("INSERT INTO t VALUES (1, 1), (2, 2)")
    two = database.connect()
    two.run("BEGIN")
    two.run("INSERT INTO t VALUES (3, 3)")
    one.run("UPDATE t SET a = 5 WHERE id = 1")
    one.run("DELETE FROM t WHERE id = 2")
    for sql in ("UPDATE t SET a = a + 1 WHERE id = 1", "DELETE FROM t WHERE id = 2", "UPDATE t SET a = 0 WHERE id = 2"):
        with pytest.raises(apsw.BusyError, match="changed by another transaction"):
            two.run(sql)
    two.run("ROLLBACK")
    assert two.rows("SELECT * FROM t") == [(1, 5)]


def test_a_function_in_a_default_may_write_itself(raw: Raw) -> None:
    """The row being built must not be lost to the one the function inserts."""
    raw.create_table("CREATE TABLE log(id INTEGER PRIMARY KEY, a TEXT, b TEXT)", "log")
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b DEFAULT (note('b')), c TEXT,"
                     " d DEFAULT (note('d')))", "t")

    def note(what: str) -> str:
        raw.run("INSERT INTO log(a, b) VALUES (12345, 1.5)")
        return what * 3

    raw.db.create_scalar_function("note", note)
    for row in ((1.25, 77), (2.25, 78)):
        with raw.statement(writes=True, supplied=[False, True, False, True, False]):
            raw.run("INSERT INTO t(a, c) VALUES (?, ?)", row)
        raw.settle()
    assert raw.rows("SELECT * FROM t") == [(1, "1.25", "bbb", "77", "ddd"), (2, "2.25", "bbb", "78", "ddd")]
    assert raw.rows("SELECT count(*), min(a), max(b) FROM log") == [(4, "12345", "1.5")]


def test_a_function_in_a_default_that_changes_the_table(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b DEFAULT (meddle()), c)", "t")

    def meddle() -> int:
        with pytest.raises(apsw.Error):
            raw.create_index("CREATE INDEX a ON t(a)", "t")     # SQLite: the table is in use
        return len(raw.rows("SELECT * FROM t WHERE a = 1"))

    raw.db.create_scalar_function("meddle", meddle)
    with raw.statement(writes=True, supplied=[False, True, False, True]):
        raw.run("INSERT INTO t(a, c) VALUES (1, 2)")
    raw.settle()
    assert raw.rows("SELECT * FROM t") == [(1, 1, 0, 2)]
