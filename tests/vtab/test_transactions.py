"""Savepoints, rollback and DDL inside transactions, compared with plain SQLite or asserted."""

from __future__ import annotations

import random
from collections.abc import Callable

import apsw
import pytest

from .helpers import Database, Pair, Raw


def test_random_savepoints(pair: Pair, rng: random.Random) -> None:
    for name in ("a", "b"):
        pair.create_table(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, v INTEGER UNIQUE, w TEXT)", name)
        pair.create_index(f"CREATE INDEX {name}w ON {name}(w)", name)
    open_: list[str] = []
    for _ in range(1500):
        kind = rng.randrange(14)
        table = rng.choice("ab")
        if kind == 0 and len(open_) < 5:
            open_.append(f"s{len(open_)}")
            pair.both(f"SAVEPOINT {open_[-1]}")
        elif kind == 1 and open_:
            at = rng.randrange(len(open_))
            pair.both(f"RELEASE {open_[at]}")
            del open_[at:]
        elif kind == 2 and open_:
            at = rng.randrange(len(open_))
            pair.both(f"ROLLBACK TO {open_[at]}")
            del open_[at + 1 :]
        elif kind == 3 and rng.random() < 0.2:
            if pair.sqlite.in_transaction:
                pair.both(rng.choice(["COMMIT", "ROLLBACK"]))
                open_.clear()
            else:
                pair.both("BEGIN")
        elif kind <= 8:
            row = (rng.randrange(40), rng.randrange(40), rng.choice("xyz"))
            pair.both(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", row)
        elif kind <= 10:
            bindings = (rng.choice("xyz"), rng.randrange(40))
            pair.both(f"UPDATE OR IGNORE {table} SET v = v + 1, w = ? WHERE id < ?", bindings)
        elif kind == 11:
            pair.both(f"DELETE FROM {table} WHERE id = ?", (rng.randrange(40),))
        elif kind == 12:
            pair.outcome(pair.raw.db, f"UPDATE {table} SET v = 1", ())
            pair.outcome(pair.sqlite, f"UPDATE {table} SET v = 1", ())
        else:
            pair.ask(f"SELECT * FROM {table} WHERE w = ? ORDER BY id", (rng.choice("xyz"),), 1)
            pair.ask(f"SELECT id, v FROM {table} WHERE v > 5 ORDER BY v", (), 2)
        assert pair.raw.db.in_transaction == pair.sqlite.in_transaction
    for name in ("a", "b"):
        pair.same_table(name)


def test_savepoint_marks_of_tables_that_begin_at_different_depths(pair: Pair) -> None:
    for name in ("a", "b"):
        pair.create_table(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY)", name)
    for sql in ("SAVEPOINT s0", "SAVEPOINT s1", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)",
                "ROLLBACK TO s1", "INSERT INTO b VALUES (2)", "RELEASE s1", "INSERT INTO a VALUES (3)",
                "ROLLBACK TO s0", "INSERT INTO a VALUES (4)", "RELEASE s0"):
        pair.both(sql)
        pair.ask("SELECT 'a', id FROM a UNION ALL SELECT 'b', id FROM b")


def test_ddl_commits_and_rolls_back_with_its_transaction(connect: Callable[[], Raw]) -> None:
    raw = connect()
    raw.run("BEGIN")
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.run("INSERT INTO t VALUES (1, 1)")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    raw.run("INSERT INTO t VALUES (2, 2)")
    assert raw.rows("SELECT id FROM t WHERE a > 0 ORDER BY a DESC") == [(2,), (1,)]
    raw.run("ROLLBACK")
    with pytest.raises(apsw.SQLError, match="no such table"):
        raw.rows("SELECT * FROM t")
    assert raw.rows("SELECT * FROM entitydb_catalog") == []
    raw.run("BEGIN")
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.run("INSERT INTO t VALUES (1, 1)")
    raw.run("SAVEPOINT s")
    raw.create_index("CREATE INDEX a ON t(a)", "t")
    raw.run("INSERT INTO t VALUES (2, 2)")
    raw.run("ROLLBACK TO s")
    raw.run("INSERT INTO t VALUES (3, 3)")
    raw.run("COMMIT")
    assert raw.rows("SELECT * FROM t WHERE a > 0 ORDER BY a") == [(1, 1), (3, 3)]
    assert connect().rows("SELECT * FROM t WHERE a > 0 ORDER BY a") == [(1, 1), (3, 3)]
    assert raw.table("t").indexes == ()


def test_dropped_tables_are_gone_and_their_names_free(connect: Callable[[], Raw]) -> None:
    raw = connect()
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    raw.run("INSERT INTO t VALUES (1, 1)")
    raw.run("BEGIN")
    raw.run("INSERT INTO t VALUES (2, 2)")
    raw.drop_table("t")
    raw.run("ROLLBACK")
    raw.run("INSERT INTO t VALUES (3, 3)")
    raw.drop_table("t")
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, b)", "t")
    assert raw.rows("SELECT * FROM t") == []
    assert connect().rows("SELECT * FROM t") == []


@pytest.mark.parametrize(("first", "sql", "name", "message"), [
    ("CREATE TABLE t(a)", "CREATE TABLE T(b)", "T", "table T already exists"),
    ("CREATE TABLE t(a)", "CREATE TABLE u(a, CONSTRAINT t UNIQUE (a))", "u", None),
])
def test_names_are_taken_once(raw: Raw, first: str, sql: str, name: str, message: str | None) -> None:
    raw.create_table(first, "t")
    if message is None:
        raw.create_table(sql, name)
        return
    with pytest.raises(apsw.SQLError, match=message):
        raw.create_table(sql, name)
    assert raw.rows("SELECT name FROM entitydb_catalog") == [("t",)]


def test_unique_index_over_rows_that_are_not(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b)", "t")
    raw.run("INSERT INTO t VALUES (1, 'a', 1), (2, 'A', 2), (3, NULL, 1), (4, NULL, 1)")
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.a"):
        raw.create_index("CREATE UNIQUE INDEX a ON t(a)", "t")
    raw.create_index("CREATE UNIQUE INDEX ab ON t(a, b)", "t")
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.a, t\.b"):
        raw.run("INSERT INTO t VALUES (5, 'a', 2)")
    raw.run("INSERT INTO t VALUES (5, NULL, 1)")


def test_rows_committed_while_an_index_is_made(database: Database) -> None:
    """Whoever comes second must not win: else the index would lack a row."""
    one = database.connect()
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    two = database.connect()
    one.run("BEGIN")
    one.create_index("CREATE INDEX a ON t(a)", "t")
    two.run("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(apsw.BusyError):
        one.run("COMMIT")
    if one.db.in_transaction:
        one.run("ROLLBACK")
    two.run("BEGIN")
    two.run("INSERT INTO t VALUES (2, 2)")
    one.create_index("CREATE INDEX a ON t(a)", "t")
    with pytest.raises(apsw.Error):
        two.run("COMMIT")
    if two.db.in_transaction:
        two.run("ROLLBACK")
    assert one.rows("SELECT a FROM t WHERE a > 0 ORDER BY a") == [(1,)]


def test_a_declaration_of_before_keeps_indexes_of_now(database: Database) -> None:
    """Without the driver's check of the schema, a table declared earlier still writes all its indexes."""
    one = database.connect()
    one.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "t")
    two = database.connect()
    two.run("INSERT INTO t VALUES (1, 1)")
    one.create_index("CREATE INDEX a ON t(a)", "t")
    two.run("INSERT INTO t VALUES (2, 2)")
    two.run("UPDATE t SET a = 7 WHERE id = 1")
    assert one.rows("SELECT a FROM t WHERE a > 0 ORDER BY a") == [(2,), (7,)]
    one.drop_table("t")
    with pytest.raises(apsw.Error, match="was changed or dropped"):
        two.run("INSERT INTO t VALUES (3, 3)")


def test_types_with_strange_text_survive(pair: Pair) -> None:
    pair.create_table('CREATE TABLE "strange ""name"(id INTEGER PRIMARY KEY, "a ""b" HIDDEN INT, "select" "my ""type", '
                      'c "hidden", d VARCHAR ( 20 ), e DECIMAL(10,2), f "x(y", "" TEXT, g UNSIGNED BIG INT, '
                      'h NATIVE CHARACTER(70), i DECIMAL(-5, +3))', 'strange "name')
    table = pair.raw.table('strange "name')
    assert [c.type for c in table.columns][1:4] == ["HIDDEN INT", 'my "type', "hidden"]
    for values in (("1",) * 10, (1,) * 10, (1.5,) * 10, ("x",) * 10):
        pair.both(f'INSERT INTO "strange ""name" VALUES (NULL, {", ".join("?" * 10)})', values)
    pair.same_table('"strange ""name"')
    for column in ('"a ""b"', '"select"', "c", '""', "i"):
        pair.ask(f'SELECT id FROM "strange ""name" WHERE {column} = ?', ("1",))
        pair.ask(f'SELECT id FROM "strange ""name" WHERE {column} = 1')


def test_wide_tables(pair: Pair) -> None:
    columns = ", ".join(f"c{i} INTEGER" for i in range(300))
    pair.create_table(f"CREATE TABLE t(id INTEGER PRIMARY KEY, {columns})", "t")
    pair.create_index("CREATE INDEX i ON t(c299, c70, c3)", "t")
    for k in range(20):
        pair.both(f"INSERT INTO t VALUES (NULL, {', '.join(str(i * k % 11) for i in range(300))})")
    pair.same_table("t")
    for sql in ("SELECT c3, c70 FROM t WHERE c299 = 4", "SELECT c80 FROM t WHERE c299 > 3",
                "SELECT c299 FROM t ORDER BY c299, c70"):
        pair.ask(sql)
    pair.both("UPDATE t SET c250 = c250 + 1 WHERE c70 = 3")
    pair.same_table("t")


def test_only_inserts_into_the_control_table(raw: Raw) -> None:
    assert raw.rows("SELECT * FROM entitydb_ddl") == []
    for sql in ("INSERT INTO entitydb_ddl(op) VALUES ('nothing')",
                "INSERT INTO entitydb_ddl(op, payload) VALUES ('create', x'0102')",
                "INSERT INTO entitydb_ddl(op, name) VALUES ('drop', 'none')",
                "INSERT INTO entitydb_ddl(op) VALUES ('drop')",
                "INSERT INTO entitydb_ddl(op) VALUES (NULL)"):
        with pytest.raises(apsw.Error):
            raw.run(sql)
    assert raw.rows("SELECT * FROM entitydb_catalog WHERE id = 1") == []


@pytest.mark.parametrize("tag", ["", " TAG 'ns'"])
def test_hostile_payloads_are_refused(raw: Raw, rng: random.Random, tag: str) -> None:
    from entitydb_dialect.driver import _catalog
    from entitydb_dialect.driver.ddl import create as _ddl

    sql = f"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT DEFAULT 'x' UNIQUE{tag}, b REAL NOT NULL)"
    good = _catalog.encode(_ddl.parse_table(sql, "t"))
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            if bad and rng.random() < 0.3:
                del bad[rng.randrange(len(bad)) :]
            if bad:
                bad[rng.randrange(len(bad))] = rng.randrange(256)
        raw.run("SAVEPOINT s")
        try:
            raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)", (bytes(bad),))
        except apsw.Error:
            pass
        raw.run("ROLLBACK TO s")
        raw.run("RELEASE s")


def test_names_that_are_not_utf8_are_refused(raw: Raw) -> None:
    """Those of a damaged file: what decodes them later would fail in its own way."""
    from entitydb_dialect.driver import _catalog
    from entitydb_dialect.driver.ddl import create as _ddl

    good = _catalog.encode(_ddl.parse_table("CREATE TABLE names(id INTEGER PRIMARY KEY, abcd TEXT)", "names"))
    assert good.count(b"\x04abcd") == 1
    for name in ("ab", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000",
                 "\U0010ffff", "éé"):
        encoded = name.encode()
        payload = good.replace(b"\x04abcd", bytes([len(encoded)]) + encoded)
        raw.run("SAVEPOINT s")
        raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)", (payload,))
        raw.run("ROLLBACK TO s")
    for bad in (b"\xff", b"\x80", b"\xc3", b"a\xe2\x82", b"\xf0\x9f\x98", b"\xc3a", b"\xc1\xbf", b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"):
        payload = good.replace(b"\x04abcd", bytes([len(bad)]) + bad)
        with pytest.raises(apsw.Error, match="column name"):
            raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)", (payload,))


def test_an_unbound_connection_says_so(native) -> None:
    from entitydb_dialect import _native

    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(_native.__file__, "sqlite3_entitydb_init")
    with pytest.raises(apsw.MisuseError, match="not bound"):
        db.execute("SELECT * FROM entitydb_catalog").fetchall()
    with pytest.raises(apsw.SQLError, match="no open engine connection"):
        db.execute("SELECT entitydb_bind(0)").fetchall()
