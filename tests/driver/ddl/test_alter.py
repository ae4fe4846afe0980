"""ALTER TABLE: like plain SQLite where SQLite can do it, and what it cannot; rows of before now and as of before."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import moment, rows

Connect = Callable[..., driver.Connection]


@pytest.fixture
def t(db: driver.Connection) -> driver.Connection:
    """t(id, a, b) of three rows, committed."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT DEFAULT 7)")
    db.execute("CREATE INDEX t_b ON t(b)")
    db.execute("INSERT INTO t(a, b) VALUES ('one', 1), ('two', 2), ('three', NULL)")
    db.commit()
    return db


# ---- each ALTER: now, and as of before ----


def test_an_added_column_has_its_default_now_and_null_then(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'x'")
    t.execute("INSERT INTO t(a) VALUES ('four')")
    after = moment(t)
    assert rows(t, "SELECT id, c FROM t") == [(1, "x"), (2, "x"), (3, "x"), (4, "x")]
    assert rows(t, "SELECT id, c FROM t", as_of=before) == [(1, None), (2, None), (3, None)]
    t.execute("ALTER TABLE t ALTER COLUMN c SET DEFAULT 'y'")
    t.execute("INSERT INTO t(a) VALUES ('five')")
    t.commit()
    assert rows(t, "SELECT c FROM t ORDER BY id") == [("x",)] * 4 + [("y",)]
    assert rows(t, "SELECT c FROM t ORDER BY id", as_of=after) == [("x",)] * 4


def test_an_index_on_an_added_column_answers_then_as_a_scan_does(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("ALTER TABLE t ADD COLUMN c INT DEFAULT 5")
    between = moment(t)
    t.execute("CREATE INDEX t_c ON t(c)")
    t.commit()
    for as_of, found in ((None, 3), (between, 3), (before, 0)):
        assert rows(t, "SELECT count(id) FROM t WHERE c = 5", as_of=as_of) == [(found,)]
        assert rows(t, "SELECT count(id) FROM t WHERE c IS NULL", as_of=as_of) == [(3 - found,)]


def test_dropping_the_default_leaves_rows_as_they_are(t: driver.Connection) -> None:
    t.execute("ALTER TABLE t ADD COLUMN c INT DEFAULT 5")
    t.execute("ALTER TABLE t ALTER COLUMN c DROP DEFAULT")
    t.execute("INSERT INTO t(a) VALUES ('four')")
    t.commit()
    assert rows(t, "SELECT c FROM t ORDER BY id") == [(5,), (5,), (5,), (None,)]


def test_a_dropped_column_is_gone_and_its_place_is_not_given_again(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("DROP INDEX t_b")
    t.execute("ALTER TABLE t DROP COLUMN b")
    t.execute("INSERT INTO t(a) VALUES ('four')")
    t.commit()
    t.execute("ALTER TABLE t ADD COLUMN b INT")
    t.commit()
    assert rows(t, "SELECT * FROM t") == [(1, "one", None), (2, "two", None), (3, "three", None), (4, "four", None)]
    assert rows(t, "SELECT * FROM t", as_of=before) == [(1, "one", None), (2, "two", None), (3, "three", None)]


def test_a_renamed_column_has_its_rows_then(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("ALTER TABLE t RENAME COLUMN a TO name")
    t.execute("UPDATE t SET name = 'uno' WHERE id = 1")
    t.commit()
    assert rows(t, "SELECT name FROM t WHERE id = 1", as_of=before) == [("one",)]
    assert rows(t, "SELECT name FROM t WHERE id = 1") == [("uno",)]


def test_a_renamed_table_has_its_history(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("ALTER TABLE t RENAME TO u")
    t.execute("DELETE FROM u WHERE id > 1")
    t.commit()
    assert rows(t, "SELECT count(*) FROM u") == [(1,)]
    assert rows(t, "SELECT count(*) FROM u", as_of=before) == [(3,)]
    with pytest.raises(driver.OperationalError, match="no such table: t"):
        t.execute("SELECT * FROM t")


def test_values_are_read_under_a_new_type_and_so_is_history(t: driver.Connection) -> None:
    before = moment(t)
    t.execute("ALTER TABLE t ALTER COLUMN b TYPE TEXT")
    t.commit()
    assert rows(t, "SELECT b, typeof(b) FROM t WHERE b = '2'") == [("2", "text")]
    assert rows(t, "SELECT b FROM t ORDER BY id", as_of=before) == [("1",), ("2",), (None,)]
    t.execute("ALTER TABLE t ALTER COLUMN b SET DATA TYPE INTEGER USING b + 1")
    t.commit()
    assert rows(t, "SELECT b FROM t ORDER BY id") == [(2,), (3,), (None,)]


def test_not_null_judges_the_living_rows(t: driver.Connection) -> None:
    before = moment(t)
    with pytest.raises(driver.IntegrityError, match=r"NOT NULL constraint failed: t\.b"):
        t.execute("ALTER TABLE t ALTER COLUMN b SET NOT NULL")
    t.execute("UPDATE t SET b = 3 WHERE b IS NULL")
    t.execute("ALTER TABLE t ALTER COLUMN b SET NOT NULL")
    t.commit()
    with pytest.raises(driver.IntegrityError):
        t.execute("UPDATE t SET b = NULL")
    assert rows(t, "SELECT id FROM t WHERE b IS NULL", as_of=before) == [(3,)]
    t.execute("ALTER TABLE t ALTER COLUMN b DROP NOT NULL")
    t.execute("UPDATE t SET b = NULL")
    t.commit()


def test_unique_is_added_judged_and_dropped(t: driver.Connection) -> None:
    t.execute("INSERT INTO t(a) VALUES ('one')")
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        t.execute("ALTER TABLE t ADD CONSTRAINT once UNIQUE (a)")
    t.execute("DELETE FROM t WHERE id = 4")
    t.execute("ALTER TABLE t ADD CONSTRAINT once UNIQUE (a)")
    t.commit()
    with pytest.raises(driver.IntegrityError):
        t.execute("INSERT INTO t(a) VALUES ('one')")
    t.execute("ALTER TABLE t DROP CONSTRAINT once")
    t.execute("INSERT INTO t(a) VALUES ('one')")
    t.commit()
    with pytest.raises(driver.OperationalError, match="no such constraint: once"):
        t.execute("ALTER TABLE t DROP CONSTRAINT once")


def test_check_judges_the_living_rows(t: driver.Connection) -> None:
    with pytest.raises(driver.IntegrityError, match="CHECK constraint failed: small"):
        t.execute("ALTER TABLE t ADD CONSTRAINT small CHECK (b < 2)")
    t.execute("ALTER TABLE t ADD CONSTRAINT small CHECK (b < 3)")
    t.commit()
    assert t.catalog()["t"].extra["check"] == [{"name": "small", "sql": "b < 3", "column": None}]
    t.execute("ALTER TABLE t DROP CONSTRAINT small")
    t.commit()
    assert t.catalog()["t"].sql == "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT DEFAULT 7)"


def test_foreign_key_judges_the_living_rows(t: driver.Connection) -> None:
    t.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    t.execute("INSERT INTO p VALUES (1)")
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY constraint failed"):
        t.execute("ALTER TABLE t ADD CONSTRAINT b_p FOREIGN KEY (b) REFERENCES p (id)")
    t.execute("INSERT INTO p VALUES (2)")
    t.execute("ALTER TABLE t ADD CONSTRAINT b_p FOREIGN KEY (b) REFERENCES p (id)")
    t.commit()
    assert [k["name"] for k in t.catalog()["t"].extra["foreign_keys"]] == ["b_p"]
    t.execute("ALTER TABLE t DROP CONSTRAINT b_p")
    t.commit()
    assert "foreign_keys" not in t.catalog()["t"].extra


def test_a_primary_key_is_added(db: driver.Connection) -> None:
    db.execute("CREATE TABLE k(a TEXT, b TEXT)")
    db.execute("INSERT INTO k VALUES ('x', 'y'), ('x', 'z')")
    with pytest.raises(driver.IntegrityError):
        db.execute("ALTER TABLE k ADD CONSTRAINT k_pk PRIMARY KEY (a)")
    db.execute("ALTER TABLE k ADD CONSTRAINT k_pk PRIMARY KEY (a, b)")
    db.commit()
    assert db.catalog()["k"].primary_key == (0, 1)
    with pytest.raises(driver.IntegrityError):
        db.execute("INSERT INTO k VALUES ('x', 'y')")


def test_the_row_id_column_cannot_become_another(t: driver.Connection) -> None:
    with pytest.raises(driver.NotSupportedError, match="integer primary key"):
        t.execute("ALTER TABLE t ALTER COLUMN id TYPE TEXT")
    t.execute("ALTER TABLE t ALTER COLUMN id TYPE BIGINT")
    t.commit()


def test_a_big_table_is_altered_without_touching_its_rows(connect: Connect) -> None:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.executemany("INSERT INTO t(a) VALUES (?)", [(str(i),) for i in range(20_000)])
    db.commit()
    number = db.last_commit[0]
    changes = [
        "ALTER TABLE t ADD COLUMN b INT DEFAULT 4",
        "ALTER TABLE t RENAME COLUMN a TO aa",
        "ALTER TABLE t ALTER COLUMN aa TYPE VARCHAR(9)",
        "ALTER TABLE t DROP COLUMN aa",
        "ALTER TABLE t RENAME TO u",
    ]
    for sql in changes:
        db.execute(sql)
        assert db.total_changes < 20_010, sql
        db.commit()
    assert db.last_commit[0] == number + len(changes)
    assert rows(db, "SELECT sum(b) FROM u") == [(80_000,)]


# ---- refusals, rollback, other things that refer to the table ----


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ADD COLUMN c TEXT DEFAULT 'x'",
        "ALTER TABLE t RENAME COLUMN a TO name",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t ALTER COLUMN b TYPE TEXT",
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE t ALTER COLUMN b DROP DEFAULT",
        "ALTER TABLE t ALTER COLUMN b SET DEFAULT (1 + 2)",
        "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES t (id)",
    ],
)
def test_every_alter_rolls_back(t: driver.Connection, sql: str) -> None:
    before = t.catalog(), rows(t, "SELECT * FROM t ORDER BY id")
    t.rollback()
    t.execute(sql)
    assert t.catalog() != before[0]
    t.rollback()
    assert (t.catalog(), rows(t, "SELECT * FROM t ORDER BY id")) == before
    t.execute("SAVEPOINT s")
    t.execute(sql)
    t.execute("ROLLBACK TO s")
    assert (t.catalog(), rows(t, "SELECT * FROM t ORDER BY id")) == before
    t.commit()
    assert (t.catalog(), rows(t, "SELECT * FROM t ORDER BY id")) == before


def test_a_failed_alter_leaves_the_transaction(t: driver.Connection) -> None:
    t.execute("INSERT INTO t(a) VALUES ('four')")
    with pytest.raises(driver.IntegrityError):
        t.execute("ALTER TABLE t ADD CHECK (id < 3)")
    t.commit()
    assert rows(t, "SELECT count(*) FROM t") == [(4,)]


def test_not_null_conflicts_with_a_row_committed_meanwhile(connect: Connect) -> None:
    db, other = connect(), connect()
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.execute("ALTER TABLE t ALTER COLUMN a SET NOT NULL")
    other.execute("INSERT INTO t VALUES (NULL)")
    other.commit()
    with pytest.raises(driver.SerializationFailure):
        db.commit()
    db.rollback()


def test_another_connection_follows(connect: Connect) -> None:
    db, other = connect(), connect()
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    assert rows(other, "SELECT * FROM t") == [(1,)]
    other.commit()
    db.execute("ALTER TABLE t ADD COLUMN b DEFAULT 2")
    db.commit()
    assert rows(other, "SELECT * FROM t") == [(1, 2)]


def test_broken_views_harm_no_alter(t: driver.Connection) -> None:
    t.execute("CREATE TABLE gone(a)")
    t.execute("CREATE VIEW v AS SELECT a FROM gone")
    t.execute("DROP TABLE gone")
    t.execute("ALTER TABLE t RENAME COLUMN a TO name")
    t.commit()
    with pytest.raises(driver.OperationalError):
        t.execute("SELECT * FROM v")


def test_views_follow_renames(t: driver.Connection) -> None:
    t.execute("CREATE VIEW v AS SELECT a FROM t WHERE b = 1")
    t.execute("ALTER TABLE t RENAME TO u")
    t.execute("ALTER TABLE u RENAME COLUMN a TO name")
    t.commit()
    assert rows(t, "SELECT * FROM v") == [("one",)]


# ---- defaults that are no constants, which SQLite refuses where there are rows ----


@pytest.mark.parametrize("default", ["CURRENT_TIMESTAMP", "(datetime('now'))", "(unixepoch() + 0)", "(abs(-3))"])
@pytest.mark.parametrize("not_null", ["", " NOT NULL"])
def test_rows_get_the_default_of_the_statement(t: driver.Connection, default: str, not_null: str) -> None:
    before, versions = moment(t), t.database.check()[1]["versions"]
    t.execute(f"ALTER TABLE t ADD COLUMN c{not_null} DEFAULT {default}")
    after = moment(t)
    found = rows(t, "SELECT DISTINCT c, typeof(c) FROM t")
    assert len(found) == 1
    assert found[0][0] is not None
    assert t.database.check()[1]["versions"] <= versions + 2, "no row is written"
    assert rows(t, "SELECT DISTINCT c FROM t", as_of=before) == [(None,)]
    t.execute("UPDATE t SET a = 'other' WHERE id = 1")
    t.execute("CREATE INDEX t_c ON t(c)")
    assert rows(t, "SELECT id FROM t WHERE c = ? ORDER BY id", found[0][:1]) == [(1,), (2,), (3,)]
    assert rows(t, "SELECT DISTINCT c, typeof(c) FROM t", as_of=after) == found


@pytest.mark.parametrize("default", ["(random())", "(lower(hex(randomblob(8))))", "(nullif(random() % 2, 0))"])
def test_rows_get_a_random_default_each(t: driver.Connection, default: str) -> None:
    before = moment(t)
    t.execute(f"ALTER TABLE t ADD COLUMN c DEFAULT {default}")
    after = moment(t)
    found = rows(t, "SELECT c FROM t")
    if "nullif" not in default:
        assert len({c for (c,) in found}) == len(found)
    assert rows(t, "SELECT c FROM t", as_of=after) == found
    assert rows(t, "SELECT DISTINCT c FROM t", as_of=before) == [(None,)]
    assert t.database.check()[0] == []


@pytest.mark.parametrize(
    ("column", "refused"),
    [
        ("c NOT NULL DEFAULT (nullif(1, 1))", "Cannot add a NOT NULL column with default value NULL"),
        ("c NOT NULL DEFAULT (random() * NULL)", "NOT NULL constraint failed: t.c"),
        ("c DEFAULT CURRENT_TIMESTAMP CHECK (c < '1999')", "CHECK constraint failed"),
        ("c DEFAULT (abs(random()) % 2 + 5) CHECK (c < 5)", "CHECK constraint failed"),
        ("c REFERENCES t DEFAULT CURRENT_TIMESTAMP", "Cannot add a REFERENCES column with non-NULL default value"),
        ("c REFERENCES t DEFAULT (random())", "Cannot add a REFERENCES column with non-NULL default value"),
        ("c UNIQUE DEFAULT (random())", "Cannot add a UNIQUE column"),
    ],
)
def test_a_default_that_constraints_refuse_adds_no_column(t: driver.Connection, column: str, refused: str) -> None:
    t.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(driver.DatabaseError, match=refused):
        t.execute(f"ALTER TABLE t ADD COLUMN {column}")
    assert [row[1] for row in rows(t, "PRAGMA table_info(t)")] == ["id", "a", "b"]
    t.commit()
    assert t.database.check()[0] == []


def test_a_default_that_is_no_constant_needs_no_rows(db: driver.Connection) -> None:
    db.execute("CREATE TABLE e(id INTEGER PRIMARY KEY)")
    db.execute("ALTER TABLE e ADD COLUMN c TEXT NOT NULL DEFAULT CURRENT_DATE")
    db.execute("INSERT INTO e(id) VALUES (1)")
    assert rows(db, "SELECT c = date('now') FROM e") == [(1,)]


# ---- against SQLite ----


def _random_alter(rng: random.Random, names: list[str]) -> str:
    column, new = rng.choice(names), f"c{rng.randrange(8)}"
    return rng.choice(
        [
            f"ALTER TABLE t RENAME COLUMN {column} TO {new}",
            f"ALTER TABLE t ADD COLUMN {new} {rng.choice(['INT', 'TEXT', 'REAL', ''])}",
            f"ALTER TABLE t ADD {new} TEXT DEFAULT {rng.choice(['5', 'NULL', '-1'])}",
            f"ALTER TABLE t ADD COLUMN {new} INT NOT NULL",
            f"ALTER TABLE t ADD COLUMN {new} INT NOT NULL DEFAULT 3",
            f"ALTER TABLE t ADD COLUMN {new} INT CHECK ({new} IS NULL OR {new} > 0)",
            f"ALTER TABLE t ADD COLUMN {new} INT UNIQUE",
            f"ALTER TABLE t DROP COLUMN {column}",
            f"ALTER TABLE t DROP {column}",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE u RENAME TO t",
            f"INSERT INTO t({column}) VALUES ({rng.randrange(1, 9)})",
            f"UPDATE t SET {column} = '{rng.randrange(1, 9)}'",
        ]
    )


def _state(execute: Callable[[str], Any], known: list[str]) -> list[Any]:
    found: list[Any] = []
    for table in ("t", "u"):
        found.append(list(execute(f"PRAGMA table_info({table})").fetchall()))
        if found[-1]:
            found.append(list(execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()))
    known[:] = [row[1] for row in found[0] or found[1]] or known
    return found


@pytest.mark.slow
def test_random_alters_do_what_sqlite_does(connect: Connect, rng: random.Random) -> None:
    for _ in range(8):
        db = driver.connect()
        plain = sqlite3.connect(":memory:", isolation_level=None)
        db.isolation_level = None
        names: list[str] = []
        for execute in (db.execute, plain.execute):
            execute("CREATE TABLE t(a INT, b TEXT DEFAULT 'd', c2 UNIQUE, d INTEGER, CHECK (d > 0 OR d IS NULL))")
            execute("CREATE INDEX t_b ON t(b, a)")
            execute("CREATE VIEW v AS SELECT d FROM t")
            execute("INSERT INTO t VALUES (1, 'x', 5, 6), (2, 'y', 7, NULL)")
        _state(plain.execute, names)
        for _ in range(25):
            sql = _random_alter(rng, names)
            failed = []
            for execute in (plain.execute, db.execute):
                try:
                    execute(sql)
                except (sqlite3.Error, driver.Error) as error:
                    failed.append(type(error).__name__)
                else:
                    failed.append("")
            assert failed[0] == failed[1], sql
            assert _state(db.execute, names) == _state(plain.execute, names), sql
        db.close()
        plain.close()


def test_names_that_begin_with_sqlite_are_names_like_others(db: driver.Connection) -> None:
    db.execute("CREATE TABLE sqlitestats(id INTEGER PRIMARY KEY AUTOINCREMENT, a, UNIQUE(a))")
    db.execute("CREATE INDEX sqliteindex ON sqlitestats(a)")
    db.execute("CREATE VIEW sqliteview AS SELECT a FROM sqlitestats")
    db.execute("INSERT INTO sqlitestats(a) VALUES (1)")
    db.execute("ALTER TABLE sqlitestats ADD COLUMN b DEFAULT 2")
    db.execute("ALTER TABLE sqlitestats RENAME TO sqlite2")
    assert db.execute("SELECT * FROM sqlite2").fetchall() == [(1, 1, 2)]
    assert db.execute("SELECT * FROM sqliteview").fetchall() == [(1,)]
    for kind, name in [("TABLE", "sqlite_x"), ("INDEX", "sqlite_x ON sqlite2"), ("VIEW", "sqlite_x")]:
        end = " AS SELECT 1" if kind == "VIEW" else "(a)"
        with pytest.raises(driver.OperationalError, match="reserved for internal use"):
            db.execute(f"CREATE {kind} {name}{end}")
