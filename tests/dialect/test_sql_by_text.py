"""A program in plain SQL: everything the SQL surface promises, through text(), on a file and on memory databases.

Where plain SQLite can do it, it does the same beside it and must answer the same: rows, their types, counts, ids and
the sentences of errors. What each part leaves is checked when it ends.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, exc, insert, text
from sqlalchemy.orm import Session

import entitydb_dialect
from entitydb_dialect import commit_moment
from entitydb_dialect.driver._errors import translate

MakeEngine = Callable[..., Engine]
FILE, MEMORY, NAMED = "file", "memory", "named memory"


@pytest.fixture(params=[FILE, MEMORY, NAMED])
def engine(request: pytest.FixtureRequest, make_engine: MakeEngine, tmp_path: Path) -> Engine:
    urls = {
        FILE: None,
        MEMORY: "entitydb://?page_size=512",
        NAMED: f"entitydb:///file:{tmp_path.name}?mode=memory&page_size=512",
    }
    return make_engine(urls[request.param])


class Beside:
    """A connection of EntityDB, and one of the same SQLite that is told the same."""

    def __init__(self, mine: Connection) -> None:
        self.mine, self.theirs = mine, apsw.Connection(":memory:")
        self.theirs.execute("PRAGMA foreign_keys = ON")

    def __call__(self, sql: str, **values: Any) -> Any:
        """Both run it and agree. -> rows, or the sentence of the error."""
        if not self.theirs.in_transaction:
            self.theirs.execute("BEGIN")
        found, wanted = self._mine(sql, values), self._theirs(sql, values)
        assert found == wanted, sql
        return found[0]

    def only(self, sql: str, **values: Any) -> Any:
        """EntityDB alone runs it."""
        return self._mine(sql, values)[0]

    def script(self, *statements: str) -> None:
        for sql in statements:
            assert not isinstance(self(sql), str), sql

    def commit(self) -> None:
        self.mine.commit()
        self.theirs.execute("COMMIT")

    def in_transaction(self) -> tuple[bool, bool]:
        driver_connection: Any = self.mine.connection.driver_connection
        return driver_connection.in_transaction, self.theirs.in_transaction

    def _mine(self, sql: str, values: dict[str, Any]) -> tuple[Any, Any, Any]:
        try:
            result = self.mine.execute(text(sql), values)
        except exc.DBAPIError as error:
            return str(error.orig), type(error.orig), None
        rows = [tuple(row) for row in result.all()] if result.returns_rows else []
        kinds = [[type(value) for value in row] for row in rows]
        return rows, (kinds, result.rowcount if _changes(sql) else None), result.lastrowid if _inserts(sql) else None

    def _theirs(self, sql: str, values: dict[str, Any]) -> tuple[Any, Any, Any]:
        try:
            rows = [tuple(row) for row in self.theirs.execute(sql, values).fetchall()]
        except apsw.Error as error:
            return str(error), type(translate(error)), None
        kinds = [[type(value) for value in row] for row in rows]
        last = self.theirs.last_insert_rowid() if _inserts(sql) else None
        return rows, (kinds, self.theirs.changes() if _changes(sql) else None), last


def _changes(sql: str) -> bool:
    return sql.split()[0] in ("INSERT", "REPLACE", "UPDATE", "DELETE")


def _inserts(sql: str) -> bool:
    """And surely gives an id (where none is given, SQLite tells the last one of the connection)."""
    without = any(part in sql for part in (" ON CONFLICT ", " RETURNING ", " INTO w "))
    return sql.startswith(("INSERT INTO", "REPLACE")) and not without


@pytest.fixture
def db(engine: Engine) -> Iterator[Beside]:
    with engine.connect() as mine:
        yield Beside(mine)


# ---- changes ----


def test_returning(db: Beside) -> None:
    db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, n DEFAULT (1 + 1))")
    assert db("INSERT INTO t(a) VALUES ('x'), ('Y') RETURNING *, a || :tail AS more, a = 'X', typeof(n)", tail="!") == [
        (1, "x", 2, "x!", 1, "integer"),
        (2, "Y", 2, "Y!", 0, "integer"),
    ]
    assert db("UPDATE t SET n = n * 10, a = upper(a) WHERE id = 1 RETURNING id, n + 1, a") == [(1, 21, "X")]
    assert db("UPDATE t SET n = 0 WHERE false RETURNING *") == []
    sql = "INSERT INTO t(id, a) SELECT id + 10, a FROM t RETURNING id, (SELECT count(*) FROM t) > 0"
    assert db(sql) == [(11, 1), (12, 1)]
    assert db("DELETE FROM t WHERE id > 10 RETURNING *, rowid") == [(11, "X", 2, 11), (12, "Y", 2, 12)]
    assert "misuse" in db("DELETE FROM t RETURNING count(*)")
    assert "no such column" in db("DELETE FROM t RETURNING missing")
    assert db("SELECT count(*) FROM t") == [(2,)]


def test_on_conflict(db: Beside) -> None:
    db.script("CREATE TABLE t(k TEXT PRIMARY KEY, n INT NOT NULL DEFAULT 1, u UNIQUE)")
    sql = "INSERT INTO t(k, n) VALUES ('a', 1), ('b', 2), ('a', 10) ON CONFLICT (k) DO UPDATE SET n = n + excluded.n"
    assert db(sql + " RETURNING k, n") == [("a", 1), ("b", 2), ("a", 11)]
    db(sql + " WHERE t.n < :most", most=13)
    assert db("SELECT * FROM t ORDER BY k") == [("a", 22, None), ("b", 4, None)]
    db("INSERT INTO t(k, u) VALUES ('a', 5), ('c', 5), ('d', 5), ('e', 6) ON CONFLICT DO NOTHING")
    db("INSERT INTO t(k, u) VALUES ('c', 7), ('f', 6) ON CONFLICT (k) DO NOTHING ON CONFLICT (u) DO UPDATE SET k = 'g'")
    assert db("INSERT INTO t(k, u) VALUES ('a', 6) ON CONFLICT (k) DO NOTHING") == []
    assert "UNIQUE constraint failed: t.u" in db("INSERT INTO t(k, u) VALUES ('z', 6) ON CONFLICT (k) DO NOTHING")
    assert "NOT NULL" in db("INSERT INTO t VALUES ('a', NULL, 1) ON CONFLICT DO NOTHING")
    assert "does not match" in db("INSERT INTO t(k) VALUES ('a') ON CONFLICT (n) DO NOTHING")
    conflict = "ON CONFLICT (k) DO UPDATE SET (n, u) = (excluded.n * 2, NULL)"
    db(f"INSERT INTO t(k, n) SELECT k, n FROM t WHERE true {conflict}")
    db("SELECT * FROM t ORDER BY k")


@pytest.mark.parametrize("clause", ["REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"])
def test_insert_or(db: Beside, clause: str) -> None:
    db.script(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 7, CHECK (n <> 13))",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
    )
    db.commit()
    db("INSERT INTO t VALUES (9, 'i', 9)")
    for rows in ("(3, 'c', 3), (4, 'a', 4), (5, 'e', 5)", "(1, 'b', 8)", "(6, 'f', NULL)", "(7, 'g', 13), (8, 'h', 8)"):
        db(f"INSERT OR {clause} INTO t VALUES {rows}")
        assert len(set(db.in_transaction())) == 1
        db("SELECT * FROM t ORDER BY id")
    db(f"UPDATE OR {clause} t SET u = 'b' WHERE id = 1")
    db("SELECT * FROM t ORDER BY id")


def test_insertmanyvalues_in_order(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)"))
        t = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))
        rows = [{"n": i * 7 % 1000} for i in range(1000)]
        found = connection.execute(insert(t).returning(t.c.id, t.c.n, sort_by_parameter_order=True), rows).all()
        assert engine.dialect.use_insertmanyvalues
    assert [n for _, n in found] == [row["n"] for row in rows]
    assert [key for key, _ in found] == list(range(1, 1001))


def test_update_from(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n)",
        "CREATE TABLE s(k, v)",
        "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)",
        "INSERT INTO s VALUES (1, 10), (3, 30)",
    )
    db("UPDATE t SET n = s.v + :more FROM s WHERE s.k = t.id", more=1)
    assert db(
        "UPDATE t SET n = f.v FROM (SELECT k, v * 2 AS v FROM s) AS f JOIN s ON s.k = f.k WHERE f.k = id"
        " RETURNING id, n"
    ) == [(1, 20), (3, 60)]
    db("UPDATE t AS x SET n = y.n FROM t AS y WHERE y.id = x.id + 1")
    db("UPDATE t SET (n, id) = (SELECT v, k + 100 FROM s WHERE k = t.id) WHERE id IN (SELECT k FROM s)")
    db("SELECT * FROM t ORDER BY id")


def test_multi_row_select_and_default_values(db: Beside) -> None:
    db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, a DEFAULT 'x', n INT DEFAULT (40 + 2))")
    db("INSERT INTO t DEFAULT VALUES")
    db("INSERT INTO t(a) VALUES ('b'), ('c')")
    db("INSERT INTO t(id, a) SELECT id + 10, a || a FROM t ORDER BY id DESC")
    db("INSERT INTO t SELECT * FROM (VALUES (20, 'v', 1), (21, 'w', 2))")
    db("WITH w(x) AS (SELECT 'with') INSERT INTO t(a) SELECT x FROM w")
    db("REPLACE INTO t(id, a) VALUES (1, 'replaced')")
    db("INSERT INTO t(a, n) VALUES (NULL, NULL)")
    db("SELECT * FROM t ORDER BY id")


def test_rowcount_and_lastrowid(engine: Engine) -> None:
    with engine.begin() as connection:
        run = lambda sql: connection.execute(text(sql))  # noqa: E731
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)")
        assert (run("INSERT INTO t(u) VALUES (1)").rowcount, run("INSERT INTO t(u) VALUES (2)").lastrowid) == (1, 2)
        assert run("INSERT INTO t(u) VALUES (3), (4)").lastrowid == 4
        assert run("INSERT INTO t(id, u) VALUES (50, 5)").lastrowid == 50
        assert run("INSERT OR IGNORE INTO t(u) VALUES (1), (6)").rowcount == 1
        conflict = "ON CONFLICT (u) DO UPDATE SET u = u WHERE u = 2"
        assert run(f"INSERT INTO t(u) VALUES (1), (2), (9) {conflict}").rowcount == 2
        assert run("UPDATE t SET u = u + 100").rowcount == 7
        assert run("UPDATE t SET u = 1 WHERE false").rowcount == 0
        assert run("DELETE FROM t WHERE id <= 4").rowcount == 4
        assert connection.execute(text("INSERT INTO t(u) VALUES (:u)"), [{"u": 201}, {"u": 202}]).rowcount == 2


# ---- constraints ----


def test_not_null_default_and_check(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(a NOT NULL, b DEFAULT 5, c DEFAULT (length('abc')), d TEXT DEFAULT CURRENT_TIMESTAMP,"
        " e DEFAULT -1.5, f DEFAULT 'it''s' CHECK (length(f) < 6), CONSTRAINT differ CHECK (a <> b))",
        "INSERT INTO t(a) VALUES (1)",
        "INSERT INTO t VALUES (1, NULL, NULL, NULL, NULL, NULL)",
    )
    found = db("SELECT a, b, c, length(d), e, f FROM t")
    assert found == [(1, 5, 3, 19, -1.5, "it's"), (1, None, None, None, None, None)]
    assert db("INSERT INTO t(b) VALUES (1)") == "NOT NULL constraint failed: t.a"
    assert db("INSERT INTO t(a, f) VALUES (1, 'too long')") == "CHECK constraint failed: length(f) < 6"
    assert db("UPDATE t SET b = a WHERE b = 5") == "CHECK constraint failed: differ"
    with pytest.raises(exc.IntegrityError):
        db.mine.execute(text("UPDATE t SET a = NULL"))


def test_unique_and_primary_keys_of_any_shape(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(a UNIQUE, b, c COLLATE NOCASE, UNIQUE (b, c), UNIQUE (c, a))",
        "CREATE TABLE p(x INT, y TEXT, z, PRIMARY KEY (y, x DESC))",
        "CREATE TABLE w(x REAL, y, PRIMARY KEY (x, y)) WITHOUT ROWID",
        "CREATE TABLE k(x TEXT PRIMARY KEY NOT NULL, y)",
        "INSERT INTO t VALUES (1, 1, 'x'), (NULL, 1, NULL), (NULL, 1, NULL)",
    )
    assert db("INSERT INTO t VALUES (2, 1, 'X')") == "UNIQUE constraint failed: t.b, t.c"
    assert db("INSERT INTO t VALUES (1.0, 2, 'y')") == "UNIQUE constraint failed: t.a"
    db.script("INSERT INTO p VALUES (1, 'a', 1), (2, 'a', 2)", "INSERT INTO w VALUES (1, 'a'), (1, 'b')")
    assert db("INSERT INTO p VALUES ('1', 'a', 3)") == "UNIQUE constraint failed: p.y, p.x"
    assert db("UPDATE w SET y = 'a'") == "UNIQUE constraint failed: w.x, w.y"
    assert db("INSERT INTO w VALUES (NULL, 1)") == "NOT NULL constraint failed: w.x"
    assert db("INSERT INTO k VALUES (1, 1), ('1', 2)") == "UNIQUE constraint failed: k.x"
    for name, order in (("t", "1, 2, 3"), ("p", "1, 2, 3"), ("w", "1, 2"), ("k", "1, 2")):
        db(f"SELECT * FROM {name} ORDER BY {order}")


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"])
def test_foreign_keys_are_on_and_act(db: Beside, action: str) -> None:
    db.script(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, x, y, UNIQUE (x, y))",
        f"CREATE TABLE c(id INTEGER PRIMARY KEY, p INT DEFAULT 1 REFERENCES p ON DELETE {action} ON UPDATE {action},"
        f" x, y, FOREIGN KEY (x, y) REFERENCES p(x, y) ON DELETE {action} ON UPDATE {action})",
        "INSERT INTO p VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)",
        "INSERT INTO c VALUES (1, 2, 2, 2), (2, 3, NULL, 5)",
    )
    assert db("INSERT INTO c VALUES (3, 9, NULL, NULL)") == "FOREIGN KEY constraint failed"
    assert db("UPDATE c SET x = 7 WHERE id = 1") == "FOREIGN KEY constraint failed"
    for change in (
        "UPDATE p SET id = 20, x = 20 WHERE id = 2",
        "DELETE FROM p WHERE x = 20 OR id = 2",
        "DELETE FROM p",
    ):
        db(change)
        db("SELECT * FROM c ORDER BY id")
        db("SELECT * FROM p ORDER BY id")


def test_foreign_keys_to_the_same_table_and_deferred(db: Beside) -> None:
    db.script(
        "CREATE TABLE tree(id INTEGER PRIMARY KEY, up REFERENCES tree ON DELETE CASCADE)",
        "INSERT INTO tree VALUES (3, 2), (2, 1), (1, 1)",
        "DELETE FROM tree WHERE id = 2",
    )
    assert db("SELECT * FROM tree") == [(1, 1)]
    db.script(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b REFERENCES b DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE b(id INTEGER PRIMARY KEY, a NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO a VALUES (1, 1)",
        "INSERT INTO b VALUES (1, 1)",
    )
    db.commit()
    db.script("INSERT INTO a VALUES (2, 5)")
    assert db.only("COMMIT") == "FOREIGN KEY constraint failed"
    assert db.only("INSERT INTO b VALUES (5, 1)") == []  # still open, to be mended
    db.mine.rollback()
    db.theirs.execute("ROLLBACK")
    assert db("SELECT * FROM a") == [(1, 1)]


def test_foreign_keys_hold_as_of_any_moment(engine: Engine) -> None:
    moments = []
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE p(id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE)"))
        for i in range(12):
            connection.execute(text("INSERT INTO p VALUES (:i)"), {"i": i})
            connection.execute(text("INSERT INTO c SELECT :i * 100 + id, id FROM p"), {"i": i})
            if i % 3 == 2:
                connection.execute(text("DELETE FROM p WHERE id = :i"), {"i": i - 1})
            connection.commit()
            moments.append(commit_moment(connection))
        for moment in moments:
            past = {"as_of": moment}
            dangling = "SELECT count(*) FROM c WHERE p NOT IN (SELECT id FROM p)"
            assert connection.execute(text(dangling), execution_options=past).scalar() == 0
            assert connection.execute(text("PRAGMA foreign_key_check"), execution_options=past).all() == []
            assert connection.execute(text("SELECT count(*) FROM c"), execution_options=past).scalar()


# ---- values ----


def test_affinity_comparison_and_collations(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(i INTEGER, x TEXT, r REAL, n NUMERIC, b BLOB, v VARCHAR(9) COLLATE NOCASE,"
        " s TEXT COLLATE RTRIM)",
        "CREATE INDEX tv ON t(v)",
        "CREATE INDEX ts ON t(s)",
        "CREATE INDEX ti ON t(i)",
        "CREATE INDEX tx ON t(x)",
        "INSERT INTO t VALUES ('1', 1, '1', '1', '1', 'aB', 'x  '), ('1.5', 1.5, 1, '1e2', 1, 'AB', 'x'),"
        " ('z', x'31', 'z', 'z', x'31', 'b', 'X'), (1e3, '01', 2, 3.0, NULL, NULL, NULL)",
    )
    db("SELECT *, typeof(i), typeof(x), typeof(r), typeof(n), typeof(b) FROM t ORDER BY rowid")
    for condition in (
        "i = '1'",
        "x = 1",
        "x = i",
        "n = '100'",
        "b = 1",
        "b = '1'",
        "v = 'ab'",
        "v >= 'AB'",
        "s = 'x '",
        "s < 'y' COLLATE BINARY",
        "i IN ('1', 'z')",
        "(i, x) = (1, '1')",
        "i > 'a'",
        "r BETWEEN '1' AND 2",
        "x IN (SELECT i FROM t)",
        "v LIKE 'A%'",
        "v = 'ab' COLLATE BINARY",
        "CAST(x AS INT) = i",
    ):
        db(f"SELECT rowid FROM t WHERE {condition} ORDER BY rowid")
    for order in ("i", "x DESC", "v, rowid", "s, rowid", "n NULLS LAST", "v COLLATE BINARY, s"):
        db(f"SELECT rowid FROM t ORDER BY {order}, rowid")
    db("SELECT v, count(*) FROM t GROUP BY v ORDER BY 2, 1")
    db("SELECT DISTINCT lower(v) FROM t ORDER BY 1")


def test_generated_columns(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(a INT, b TEXT, v INT GENERATED ALWAYS AS (a * 2), s TEXT AS (b || '!') STORED,"
        " w AS (v + 1) VIRTUAL UNIQUE, CHECK (v < 100))",
        "INSERT INTO t(a, b) VALUES (1, 'x'), (2, 'y')",
    )
    assert db("SELECT * FROM t ORDER BY a") == [(1, "x", 2, "x!", 3), (2, "y", 4, "y!", 5)]
    assert db("UPDATE t SET a = a + 10 RETURNING v, w") == [(22, 23), (24, 25)]
    assert db("INSERT INTO t(a) VALUES (11)") == "UNIQUE constraint failed: t.w"
    assert db("INSERT INTO t(a) VALUES (50)") == "CHECK constraint failed: v < 100"
    assert "generated column" in db("INSERT INTO t(v) VALUES (1)")
    assert "generated column" in db("UPDATE t SET s = 'z'")
    db("INSERT INTO t(a, b) VALUES (3, NULL) RETURNING *")
    db("SELECT a FROM t WHERE w > 20 ORDER BY s DESC")


def _plan(db: Beside, sql: str) -> str:
    return " ".join(str(row[3]) for row in db.only(f"EXPLAIN QUERY PLAN {sql}"))


def test_partial_indexes_are_used(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INT, gone INT)",
        "CREATE UNIQUE INDEX live ON t(n) WHERE gone IS NULL",
        "INSERT INTO t(a, n, gone) VALUES ('A', 1, NULL), ('a', 1, 5), ('B', 2, NULL), ('b', 2, 5), ('b', 2, 6)",
    )
    assert db("INSERT INTO t(n) VALUES (2)") == "UNIQUE constraint failed: t.n"
    db("INSERT INTO t(n) VALUES (2) ON CONFLICT (n) WHERE gone IS NULL DO UPDATE SET a = 'upserted'")
    db("SELECT id FROM t WHERE n = 2 AND gone IS NULL")
    assert "live" in _plan(db, "SELECT id FROM t WHERE n = 2 AND gone IS NULL")
    assert "live" not in _plan(db, "SELECT id FROM t WHERE n = 2")


def test_expression_indexes_are_used(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INT)",
        "CREATE INDEX low ON t(lower(a))",
        "CREATE UNIQUE INDEX double ON t(n * 2) WHERE n > 0",
        "INSERT INTO t(a, n) VALUES ('A', 1), ('a', 2), ('B', 3), ('b', -1), (NULL, -1)",
    )
    assert db("SELECT id FROM t WHERE lower(a) = 'a' ORDER BY id") == [(1,), (2,)]
    assert db("SELECT id FROM t WHERE n * 2 = 6 AND n > 0") == [(3,)]
    db("SELECT lower(a), count(*) FROM t GROUP BY lower(a) ORDER BY 1")
    assert db("INSERT INTO t(n) VALUES (3)") == "UNIQUE constraint failed: index 'double'"
    db("INSERT INTO t(n) VALUES (3) ON CONFLICT (n * 2) WHERE n > 0 DO UPDATE SET a = 'upserted' RETURNING id, a")
    assert "low" in _plan(db, "SELECT id FROM t WHERE lower(a) = 'a'")
    assert "double" in _plan(db, "SELECT id FROM t WHERE n * 2 = 6 AND n > 0")


# ---- schema ----


def test_tables_of_every_kind(db: Beside) -> None:
    db.script(
        "CREATE TABLE IF NOT EXISTS t(a INT, b TEXT)",
        "CREATE TABLE IF NOT EXISTS t(other)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "CREATE TABLE copy AS SELECT a * 2 AS d, b FROM t ORDER BY a",
        "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "CREATE TABLE st(i INT, x ANY) STRICT",
        "INSERT INTO w VALUES ('k', 1)",
        "INSERT INTO st VALUES ('5', '5')",
        "CREATE VIEW v(p, q) AS SELECT a, b FROM t",
        "CREATE INDEX ta ON t(a)",
    )
    assert db("SELECT d, typeof(d), b FROM copy") == [(2, "integer", "x"), (4, "integer", "y")]
    assert db("SELECT i, typeof(x) FROM st") == [(5, "text")]
    assert db("INSERT INTO st VALUES ('x', 1)") == "cannot store TEXT value in INT column st.i"
    assert "already exists" in db("CREATE TABLE t(a)")
    assert "already exists" in db("CREATE INDEX ta ON t(b)")
    db("SELECT p FROM v ORDER BY q DESC")
    db.script("DROP VIEW v", "DROP VIEW IF EXISTS v", "DROP INDEX ta", "DROP INDEX IF EXISTS ta", "DROP TABLE copy")
    db.script("DROP TABLE IF EXISTS copy", "CREATE TABLE copy(back)", "SELECT * FROM copy")
    assert db("DROP TABLE missing") == "no such table: missing"
    assert db("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name") == [
        ("table", "copy"),
        ("table", "st"),
        ("table", "t"),
        ("table", "w"),
    ]


def test_ddl_is_transactional(engine: Engine) -> None:
    with engine.connect() as connection:
        run = lambda sql: connection.execute(text(sql))  # noqa: E731
        schema = "SELECT name, sql FROM sqlite_master ORDER BY name"
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        run("INSERT INTO t VALUES (1, 'x')")
        connection.commit()
        before = run(schema).all()
        for sql in (
            "CREATE TABLE u AS SELECT * FROM t",
            "CREATE INDEX i ON t(a)",
            "CREATE VIEW v AS SELECT a FROM t",
            "ALTER TABLE t ADD COLUMN b DEFAULT 5",
            "ALTER TABLE t RENAME COLUMN a TO z",
            "DROP TABLE u",
            "ALTER TABLE t RENAME TO s",
            "DROP VIEW v",
            "DROP INDEX i",
            "DROP TABLE s",
        ):
            run(sql)
        assert run(schema).all() == []
        connection.rollback()
        assert run(schema).all() == before
        assert run("SELECT * FROM t").all() == [(1, "x")]
        outer = connection.begin_nested()
        run("ALTER TABLE t ADD COLUMN kept")
        inner = connection.begin_nested()
        run("ALTER TABLE t DROP COLUMN a")
        run("CREATE TABLE gone(a)")
        inner.rollback()
        run("UPDATE t SET kept = a")
        outer.commit()
        connection.commit()
        assert run("SELECT * FROM t").all() == [(1, "x", "x")]
        assert [name for name, _ in run(schema)] == ["t"]
    with Session(engine) as session:
        session.execute(text("CREATE TABLE by_session(a)"))
        with session.begin_nested() as nested:
            session.execute(text("DROP TABLE t"))
            session.execute(text("INSERT INTO by_session VALUES (1)"))
            nested.rollback()
        assert session.execute(text("SELECT count(*) FROM t, by_session")).scalar() == 0
        session.rollback()
        assert session.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 1


def test_temporary_tables_and_views(db: Beside) -> None:
    db.script(
        "CREATE TABLE t(a)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE TEMP TABLE x(a PRIMARY KEY, b DEFAULT 'd')",
        "INSERT INTO x(a) SELECT a FROM t",
        "CREATE TEMPORARY VIEW tv AS SELECT t.a, x.b FROM t JOIN x USING (a)",
        "CREATE TEMP TABLE t2 AS SELECT * FROM t",
        "CREATE INDEX temp.xi ON x(b)",
    )
    assert db("SELECT * FROM tv ORDER BY a") == [(1, "d"), (2, "d")]
    assert db("INSERT INTO x(a) VALUES (5) RETURNING *") == [(5, "d")]
    assert db("INSERT INTO x(a) VALUES (5) ON CONFLICT DO UPDATE SET b = 'u' RETURNING b") == [("u",)]
    db("SELECT name FROM sqlite_temp_master WHERE type = 'table' ORDER BY name")
    db("SELECT count(*) FROM sqlite_master")
    db.script("DROP VIEW tv", "DROP TABLE temp.x", "DROP TABLE IF EXISTS x", "DROP TABLE t2")


def test_alter_table_does_what_sqlite_does_and_more(db: Beside) -> None:
    db.script(
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "INSERT INTO p VALUES (1)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INT)",
        "INSERT INTO t VALUES (1, '5', 1), (2, '6', NULL)",
    )
    db.commit()
    before = {"as_of": commit_moment(db.mine)}
    for sql in (
        "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'new'",
        "ALTER TABLE t RENAME COLUMN a TO word",
        "ALTER TABLE t ADD COLUMN gone",
        "ALTER TABLE t DROP COLUMN gone",
        "ALTER TABLE t RENAME TO s",
    ):
        assert db(sql) == []
    db("SELECT * FROM s ORDER BY id")
    assert db.only("ALTER TABLE s ALTER COLUMN word TYPE INTEGER") == []
    assert db.only("SELECT word + 1, typeof(word) FROM s ORDER BY id") == [(6, "integer"), (7, "integer")]
    assert db.only("ALTER TABLE s ALTER COLUMN n SET NOT NULL") == "NOT NULL constraint failed: s.n"
    assert db.only("UPDATE s SET n = 2 WHERE n IS NULL") == []
    for sql in (
        "ALTER TABLE s ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE s ALTER COLUMN n SET DEFAULT 9",
        "ALTER TABLE s ADD CONSTRAINT few CHECK (n < 10)",
        "ALTER TABLE s ADD CONSTRAINT one UNIQUE (n)",
        "ALTER TABLE s ADD COLUMN p INT",
        "ALTER TABLE s ADD CONSTRAINT up FOREIGN KEY (p) REFERENCES p",
    ):
        assert db.only(sql) == [], sql
    assert db.only("INSERT INTO s(n) VALUES (10)") == "CHECK constraint failed: few"
    assert db.only("INSERT INTO s(n) VALUES (1)") == "UNIQUE constraint failed: s.n"
    assert db.only("INSERT INTO s(n) VALUES (NULL)") == "NOT NULL constraint failed: s.n"
    assert db.only("INSERT INTO s(p) VALUES (7)") == "FOREIGN KEY constraint failed"
    assert db.only("INSERT INTO s(p) VALUES (1) RETURNING n, b") == [(9, "new")]
    for sql in (
        "ALTER TABLE s DROP CONSTRAINT few",
        "ALTER TABLE s DROP CONSTRAINT one",
        "ALTER TABLE s DROP CONSTRAINT up",
        "ALTER TABLE s ALTER COLUMN n DROP NOT NULL",
        "ALTER TABLE s ALTER COLUMN n DROP DEFAULT",
    ):
        assert db.only(sql) == [], sql
    assert db.only("INSERT INTO s(n, p) VALUES (10, 7), (10, 7), (NULL, 7)") == []
    db.mine.commit()
    found = db.mine.execute(text("SELECT id, word, n, b FROM s ORDER BY id"), execution_options=before).all()
    assert [(key, str(word), n, b) for key, word, n, b in found] == [(1, "5", 1, None), (2, "6", None, None)]


# ---- locks, ids, databases ----


def test_for_update_is_refused_with_the_reason(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        for behind in (
            "FOR UPDATE",
            "WHERE a = 1 FOR UPDATE NOWAIT",
            "FOR UPDATE SKIP LOCKED",
            "FOR SHARE",
            "AS x FOR UPDATE OF x",
            "ORDER BY a LIMIT 1 FOR NO KEY UPDATE",
        ):
            with pytest.raises(exc.NotSupportedError, match="row locks"):
                connection.execute(text(f"SELECT * FROM t {behind}"))
        assert connection.execute(text("SELECT 'for update' FROM t AS for")).all() == []


def test_ids_are_never_given_twice(engine: Engine) -> None:
    with engine.connect() as connection:
        run = lambda sql: connection.execute(text(sql))  # noqa: E731
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
        assert run("INSERT INTO t(n) VALUES (3), (1), (2) RETURNING id, n").all() == [(1, 3), (2, 1), (3, 2)]
        connection.commit()
        run("DELETE FROM t WHERE id = 3")
        connection.commit()
        assert run("INSERT INTO t(n) VALUES (4)").lastrowid == 4
        connection.rollback()
        after_gap = run("INSERT INTO t(n) VALUES (5)").lastrowid
        assert after_gap > 4
        run("INSERT INTO t(id, n) VALUES (1000, 6)")
        assert run("INSERT INTO t(n) VALUES (7)").lastrowid == 1001
        connection.commit()
        run("DELETE FROM t")
        connection.commit()
        assert run("INSERT INTO t(n) VALUES (8)").lastrowid > 1001
        connection.commit()


def test_a_memory_database_belongs_to_its_engine(make_engine: MakeEngine) -> None:
    mine, other = make_engine("entitydb://"), make_engine("entitydb://")
    one, two = (make_engine("entitydb:///file:of_this_test?mode=memory") for _ in range(2))
    for engine in (mine, one):
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE t(a)"))
            connection.execute(text("INSERT INTO t VALUES (1)"))
    found: list[Any] = []

    def read(engine: Engine) -> None:
        with engine.connect() as connection:
            found.append(connection.execute(text("SELECT count(*) FROM t")).scalar())

    threads = [threading.Thread(target=read, args=(engine,)) for engine in (mine, mine, one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]
    with other.connect() as connection, pytest.raises(exc.OperationalError, match="no such table: t"):
        connection.execute(text("SELECT * FROM t"))


def test_the_raw_connection_has_what_sqlite3_has(engine: Engine) -> None:
    raw: Any = engine.raw_connection()
    db = raw.driver_connection
    db.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t(a) VALUES ('b'), ('A');")
    db.create_function("twice", 1, lambda value: value * 2)
    db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    assert db.execute("SELECT twice(a) FROM t ORDER BY a COLLATE backwards").fetchall() == [("bb",), ("AA",)]
    db.row_factory = lambda cursor, row: {cursor.description[0][0]: row[0]}
    assert db.execute("SELECT a FROM t WHERE id = 1").fetchone() == {"a": "b"}
    db.row_factory = None
    db.rollback()
    assert not db.in_transaction
    copy, plain = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    db.backup(copy)
    plain.executescript("".join(db.iterdump()))
    assert (
        copy.execute("SELECT * FROM t").fetchall()
        == plain.execute("SELECT * FROM t").fetchall()
        == [(1, "b"), (2, "A")]
    )
    raw.close()


# ---- what there is not, and asking ----


def test_triggers_and_other_things_that_cannot_be_done_say_why(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        for sql, reason in (
            ("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "no triggers.*CHECK"),
            ("CREATE VIRTUAL TABLE f USING fts5(a)", "make it temp.f"),
            ("VACUUM INTO 'copy'", "backup"),
            ("CREATE TABLE u(a, UNIQUE (a) ON CONFLICT REPLACE)", "always abort"),
        ):
            with pytest.raises(exc.NotSupportedError, match=reason):
                connection.execute(text(sql))
        with pytest.raises(exc.OperationalError, match='near "SELEC": syntax error'):
            connection.execute(text("SELEC 1"))


def test_pragmas_and_sqlite_master_tell_the_truth(db: Beside) -> None:
    db.script(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, u TEXT UNIQUE)",
        "CREATE TABLE t(a INT NOT NULL DEFAULT 5, b TEXT COLLATE NOCASE, c REFERENCES p ON DELETE CASCADE,"
        " g AS (a + 1), PRIMARY KEY (b, a))",
        "CREATE UNIQUE INDEX tc ON t(c DESC, a)",
        "CREATE VIEW v AS SELECT a FROM t",
    )
    for pragma in (
        "table_info(t)",
        "table_info(v)",
        "table_xinfo(t)",
        "index_list(t)",
        "index_info(tc)",
        "index_xinfo(tc)",
        "foreign_key_list(t)",
        "foreign_keys",
        "foreign_key_check",
        "user_version",
        "integrity_check",
        "table_info(missing)",
        "index_list(p)",
        "quick_check",
    ):
        db(f"PRAGMA {pragma}")
    db("PRAGMA user_version = 7")
    assert db("PRAGMA user_version") == [(7,)]
    for schema in ("sqlite_master", "sqlite_schema", "main.sqlite_master"):
        db(f"SELECT type, name, tbl_name, sql FROM {schema} ORDER BY type, name")
    assert db("SELECT name FROM pragma_table_info('t') WHERE pk ORDER BY pk") == [("b",), ("a",)]
    db("SELECT m.name, count(*) FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS i GROUP BY 1 ORDER BY 1")
    assert "tc" in _plan(db, "SELECT b FROM t WHERE c = 1")
    assert "SCAN t" in _plan(db, "SELECT b FROM t WHERE length(b) = 1")


def test_attach_of_a_sqlite_file_and_copying_from_it(engine: Engine, tmp_path: Path) -> None:
    plain = sqlite3.connect(tmp_path / "plain.db")
    plain.executescript("CREATE TABLE s(id INTEGER PRIMARY KEY, a); INSERT INTO s VALUES (1, 'x'), (2, NULL);")
    plain.close()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ATTACH :path AS other"), {"path": str(tmp_path / "plain.db")})
        connection.execute(text("CREATE TABLE t(id INTEGER PRIMARY KEY, a)"))
        assert connection.execute(text("INSERT INTO t SELECT * FROM other.s")).rowcount == 2
        assert connection.execute(text("SELECT t.a, s.id FROM t JOIN other.s USING (id) ORDER BY id")).all() == [
            ("x", 1),
            (None, 2),
        ]
        assert connection.execute(text("SELECT name FROM other.sqlite_master")).all() == [("s",)]
        connection.execute(text("DETACH other"))
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 2


def test_attach_of_another_entitydb_file(engine: Engine, make_engine: MakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "other.edb"
    other = make_engine(f"entitydb:///{path}")
    with other.begin() as connection:
        connection.execute(text("CREATE TABLE s(id INTEGER PRIMARY KEY, a)"))
        connection.execute(text("INSERT INTO s VALUES (1, 'x'), (2, 'y')"))
    with other.connect() as connection:
        connection.execute(text("UPDATE s SET a = 'z' WHERE id = 2"))
        connection.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run = lambda sql, **values: connection.execute(text(sql), values)  # noqa: E731
        run("ATTACH :path AS other", path=str(path))
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        assert run("INSERT INTO t SELECT * FROM other.s").rowcount == 2
        assert run("SELECT t.a, s.a FROM t JOIN other.s USING (id) ORDER BY id").all() == [("x", "x"), ("z", "z")]
        assert run("INSERT INTO other.s(a) VALUES ('new') RETURNING *").all() == [(3, "new")]
        run("CREATE TABLE other.made(b UNIQUE)")
        assert run("SELECT name FROM other.sqlite_master WHERE type = 'table' ORDER BY 1").all() == [("made",), ("s",)]
        run("DETACH other")
        with pytest.raises(exc.OperationalError, match="no such table"):
            run("SELECT * FROM other.s")
    with other.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM s, made")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM s")).scalar() == 3


def test_moments_hold_for_all_of_it(engine: Engine) -> None:
    """Bulk statements, upserts, cascades, DDL: any earlier moment is still there."""
    with engine.connect() as connection:
        run = lambda sql, **o: connection.execute(text(sql), execution_options=o)  # noqa: E731
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, n, up REFERENCES t ON DELETE CASCADE)")
        states = []
        for sql in (
            "INSERT INTO t VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 2)",
            "UPDATE t SET n = n * 10",
            "INSERT INTO t(id, n) VALUES (1, 5), (4, 4) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            "CREATE INDEX i ON t(n)",
            "DELETE FROM t WHERE id = 1",
            "INSERT OR REPLACE INTO t VALUES (4, 40, NULL)",
        ):
            run(sql)
            rows = run("SELECT id, n FROM t ORDER BY id").all()
            connection.commit()
            states.append((commit_moment(connection), rows))
        for moment, rows in states:
            assert run("SELECT id, n FROM t ORDER BY id", as_of=moment).all() == rows
            assert sorted(run("SELECT n FROM t WHERE n > 0 ORDER BY n", as_of=moment).scalars()) == sorted(
                n for _, n in rows
            )
        with pytest.raises(exc.ProgrammingError, match="past"):
            run("DELETE FROM t", as_of=states[0][0])
        connection.rollback()
    assert entitydb_dialect.check(engine) == []
