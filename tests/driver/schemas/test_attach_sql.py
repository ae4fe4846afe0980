"""SQL over attached databases, beside plain SQLite; and tables of SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

from ..asking import rows
from ..attached import refused, said

Connect = Callable[..., driver.Connection]


@pytest.fixture
def db(two: driver.Connection) -> driver.Connection:
    return two


# ---- SQL, beside plain SQLite ----


@pytest.fixture
def both(db: driver.Connection, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    plain = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    plain.execute("PRAGMA foreign_keys = ON")
    plain.execute("ATTACH ':memory:' AS x")
    plain.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    plain.execute("INSERT INTO t VALUES (1, 'main')")
    plain.execute("CREATE TABLE x.t(id INTEGER PRIMARY KEY, a TEXT)")
    plain.execute("INSERT INTO x.t VALUES (1, 'x'), (2, 'y')")
    db.isolation_level = None
    yield db, plain
    plain.close()


SCRIPT = [
    "CREATE TABLE x.p(k TEXT PRIMARY KEY COLLATE NOCASE, n INT DEFAULT 7 CHECK (n > 0), UNIQUE (n, k))",
    "CREATE TABLE x.c(id INTEGER PRIMARY KEY, k TEXT REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL)",
    "CREATE INDEX x.c_k ON c(k DESC)",
    "CREATE TABLE IF NOT EXISTS x.p(other)",
    "CREATE TABLE x.p(other)",
    "CREATE INDEX x.c_k ON c(k)",
    "CREATE INDEX only_main ON p(n)",
    "INSERT INTO x.p(k) VALUES ('a'), ('b')",
    "INSERT INTO p(k, n) VALUES ('c', 3)",
    "INSERT INTO x.p(k) VALUES ('A')",
    "INSERT INTO x.p(k, n) VALUES ('d', 0)",
    "INSERT INTO x.c(k) VALUES ('A'), ('b'), (NULL)",
    "INSERT INTO x.c(k) VALUES ('nobody')",
    "INSERT INTO x.p(k, n) VALUES ('B', 9) ON CONFLICT (k) DO UPDATE SET n = n + excluded.n WHERE excluded.n > 1",
    "INSERT INTO p(k) VALUES ('e') ON CONFLICT DO NOTHING",
    "INSERT OR REPLACE INTO x.p(k, n) VALUES ('c', 4)",
    "UPDATE x.p SET n = p.n + main.t.id FROM main.t WHERE p.k = 'a'",
    "UPDATE x.p SET k = 'z' WHERE k = 'b'",
    "DELETE FROM x.p WHERE k = 'a'",
    "INSERT INTO t SELECT id + 10, a FROM x.t",
    "INSERT INTO x.t(a) SELECT main.t.a || '!' FROM main.t ORDER BY id",
    "INSERT INTO x.t DEFAULT VALUES",
    "CREATE TABLE x.copied AS SELECT t.id, u.a AS theirs FROM main.t JOIN x.t AS u ON u.id = t.id",
    "CREATE VIEW x.v AS SELECT k, n FROM p WHERE n > 3",
    "CREATE VIEW x.w(name) AS SELECT name FROM sqlite_master WHERE type = 'index'",
    "CREATE VIEW x.bad AS SELECT * FROM main.t",
    "ALTER TABLE x.p RENAME COLUMN n TO m",
    "ALTER TABLE x.c RENAME TO d",
    "ALTER TABLE x.d ADD COLUMN more INT DEFAULT 5",
    "ALTER TABLE x.t DROP COLUMN a",
    "CREATE TABLE nowhere.t(a)",
    "DROP TABLE x.absent",
    "DROP TABLE IF EXISTS x.absent",
    "DROP VIEW x.p",
    "DROP INDEX x.c_k",
    "DROP VIEW v",
    "DROP TABLE copied",
    "CREATE TEMP TABLE p(temporary)",
    "INSERT INTO p VALUES (1)",
    "DROP TABLE p",
    "INSERT INTO p(k, m) VALUES ('last', 1)",
    "DELETE FROM x.sqlite_master",
    "INSERT INTO x.sqlite_schema VALUES (1, 2, 3, 4, 5)",
    "PRAGMA x.user_version = 12",
]

QUERIES = [
    "SELECT type, name, tbl_name, sql FROM x.sqlite_master ORDER BY 1, 2",
    "SELECT name FROM sqlite_master ORDER BY 1",
    "SELECT m.name FROM x.sqlite_master m JOIN main.sqlite_master AS n ON m.name = n.name",
    "SELECT sqlite_master.name FROM x.sqlite_master WHERE sqlite_master.type = 'view'",
    "SELECT x.sqlite_master.name FROM x.sqlite_master ORDER BY x.sqlite_master.name LIMIT 1",
    "WITH s AS (SELECT name FROM x.sqlite_master) SELECT count(*) FROM s",
    "WITH sqlite_master AS (SELECT 5) SELECT * FROM sqlite_master",
    "SELECT count(*) FROM x.t",
    "SELECT count(*) FROM p",
    "SELECT * FROM x.p ORDER BY k",
    "SELECT * FROM t ORDER BY id",
    "SELECT * FROM x.t ORDER BY id",
    "SELECT t.id, u.a FROM t LEFT JOIN x.t u ON u.id = t.id ORDER BY 1",
    "SELECT x.t.id, main.t.a FROM x.t, main.t ORDER BY 1, 2",
    "SELECT (SELECT max(id) FROM x.t), EXISTS (SELECT 1 FROM x.p WHERE k = 'C')",
    "SELECT id FROM t EXCEPT SELECT id FROM x.t ORDER BY 1",
    "SELECT * FROM v",
    "SELECT * FROM x.w ORDER BY 1",
    "PRAGMA x.table_info(p)",
    "PRAGMA table_info(p)",
    "PRAGMA main.table_info(p)",
    "PRAGMA x.table_xinfo(t)",
    "PRAGMA x.index_list(p)",
    "PRAGMA x.foreign_key_list(c)",
    "PRAGMA foreign_key_list(d)",
    "PRAGMA x.index_info(c_k)",
    "PRAGMA index_info(c_k)",
    "PRAGMA x.user_version",
    "PRAGMA user_version",
    "PRAGMA x.foreign_key_check",
    "PRAGMA x.integrity_check",
    "PRAGMA integrity_check",
    "SELECT name, type FROM pragma_table_info('p', 'x')",
    "SELECT name FROM pragma_table_info('t', 'main')",
    "SELECT m.name, i.name FROM x.sqlite_master m, pragma_table_info(m.name, 'x') i ORDER BY 1, 2",
    "SELECT schema, name, type, ncol FROM pragma_table_list WHERE name NOT LIKE 'sqlite%' ORDER BY 1, 2",
    "SELECT * FROM nowhere.t",
    "PRAGMA nowhere.table_info(t)",
]


@pytest.mark.slow
def test_statements_do_what_they_do_in_sqlite(both: tuple[Any, Any]) -> None:
    db, plain = both
    for sql in ["SELECT 1", *SCRIPT]:
        assert said(db, sql) == said(plain, sql), sql
        for query in QUERIES:
            assert said(db, query) == said(plain, query), f"{query} after {sql}"


RETURNING = [
    "INSERT INTO x.t(a) VALUES ('r'), ('s') RETURNING id, a || '!' AS b",
    "UPDATE x.t SET a = a || '+' WHERE id > 1 RETURNING *",
    "UPDATE x.t AS u SET a = t.a FROM main.t AS t WHERE u.id = t.id RETURNING id + 1, a",
    "DELETE FROM x.t WHERE id = 2 RETURNING a, (SELECT count(*) FROM main.t), (SELECT count(*) FROM sqlite_master)",
    "INSERT INTO x.t VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET a = excluded.a || a RETURNING a",
    "INSERT INTO only_x VALUES (3) RETURNING a + 1",
    "INSERT INTO x.t VALUES (1, 'again') RETURNING a",
]


@pytest.mark.parametrize("sql", RETURNING)
def test_returning_of_attached_tables(both: tuple[Any, Any], sql: str) -> None:
    db, plain = both
    for each in both:
        each.execute("CREATE TABLE x.only_x(a)")
    assert said(db, sql) == said(plain, sql)
    assert said(db, "SELECT * FROM x.t ORDER BY id") == said(plain, "SELECT * FROM x.t ORDER BY id")


def test_rowcount_and_lastrowid(db: driver.Connection) -> None:
    cursor = db.execute("INSERT INTO x.t(a) VALUES ('p'), ('q')")
    assert (cursor.rowcount, cursor.lastrowid) == (2, 4)
    assert db.execute("UPDATE x.t SET a = 'all'").rowcount == 4
    cursor = db.executemany("INSERT INTO x.t(a) VALUES (?)", [("m",), ("n",)])
    assert (cursor.rowcount, cursor.lastrowid) == (2, 6)
    db.commit()


def test_defaults_and_generated_columns_and_partial_indexes(db: driver.Connection) -> None:
    db.execute("CREATE INDEX x.lower_a ON t(lower(a))")
    assert rows(db, "SELECT id FROM x.t WHERE lower(a) = 'y'") == [(2,)]
    db.execute("CREATE TABLE x.g(a INT DEFAULT 4, b INT AS (a * 2) STORED, c INT AS (a + 1))")
    db.execute("CREATE UNIQUE INDEX x.g_a ON g(a) WHERE a > 3")
    db.execute("INSERT INTO x.g DEFAULT VALUES")
    db.execute("INSERT INTO x.g VALUES (1)")
    db.execute("INSERT INTO x.g(a) VALUES (1)")
    assert rows(db, "SELECT * FROM x.g ORDER BY a") == [(1, 2, 2), (1, 2, 2), (4, 8, 5)]
    assert "UNIQUE" in refused(db, "INSERT INTO x.g VALUES (4)", driver.IntegrityError)
    assert "generated column" in refused(db, "UPDATE x.g SET b = 1")
    assert rows(db, "SELECT a FROM x.g WHERE a > 3 AND a < 9") == [(4,)]
    db.rollback()


def test_explain_names_the_index_of_the_right_database(db: driver.Connection) -> None:
    db.execute("CREATE INDEX x.x_a ON t(a)")
    db.commit()
    db.execute("CREATE INDEX main_a ON t(a)")
    db.commit()
    plan = rows(db, "EXPLAIN QUERY PLAN SELECT * FROM x.t WHERE a = 'x'")
    assert plan[0][3] == "SEARCH x.t USING INDEX x_a (a=?)"
    assert rows(db, "EXPLAIN QUERY PLAN SELECT * FROM main.t WHERE a = 'x'")[0][3].endswith("USING INDEX main_a (a=?)")
    by_key = rows(db, "EXPLAIN QUERY PLAN SELECT * FROM x.t WHERE id = 1")
    assert by_key[0][3] == "SEARCH x.t USING INTEGER PRIMARY KEY (rowid=?)"


PARTIAL = [
    "SELECT b FROM {}.i WHERE lower(a) = 'a'",
    "SELECT b FROM {}.i WHERE upper(a) = 'B'",
    "SELECT b FROM {}.i WHERE a = 'A' AND b > 'a'",
    "SELECT b FROM {}.i WHERE a = 'B' AND b > 'a'",
    "SELECT i.b FROM {}.i WHERE upper(i.a) = 'A' ORDER BY i.b",
    "SELECT m.b, n.b FROM main.i AS m JOIN x.i AS n ON upper(n.a) = upper(m.a) AND lower(m.a) = 'a' ORDER BY 1, 2",
    "SELECT m.b FROM {}.i m WHERE EXISTS (SELECT 1 FROM x.i WHERE x.i.b > m.b AND x.i.a = 'B') ORDER BY 1",
]


def test_each_database_has_its_own_partial_and_expression_indexes(both: tuple[Any, Any]) -> None:
    db, plain = both
    indexes = [("main", "lower", "A"), ("x", "upper", "B")]
    for each in both:
        for schema, function, value in indexes:
            each.execute(f"CREATE TABLE {schema}.i(a, b)")
            each.execute(f"CREATE INDEX {schema}.{schema}_e ON i({function}(a))")
            each.execute(f"CREATE INDEX {schema}.{schema}_p ON i(b) WHERE a = '{value}'")
            for a in "ABCab":
                each.execute(f"INSERT INTO {schema}.i VALUES ('{a}', '{schema} {a}')")
    for schema, _, _ in indexes:
        for sql in PARTIAL:
            assert said(db, sql.format(schema)) == said(plain, sql.format(schema)), sql
    for sql, index in [(PARTIAL[1], "x_e"), (PARTIAL[3], "x_p")]:
        assert index in rows(db, "EXPLAIN QUERY PLAN " + sql.format("x"))[0][3]
    for each in both:
        each.execute("UPDATE x.i SET b = 'new' WHERE upper(a) = 'B'")
        each.execute("DELETE FROM x.i WHERE a = 'B' AND b > 'a'")
    assert rows(db, "SELECT * FROM x.i ORDER BY a") == rows(plain, "SELECT * FROM x.i ORDER BY a")
    assert rows(db, "SELECT * FROM main.i ORDER BY a") == rows(plain, "SELECT * FROM main.i ORDER BY a")


# ---- files of SQLite's ----


@pytest.fixture
def sqlite(tmp_path: Path, db: driver.Connection) -> Path:
    path = tmp_path / "plain.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE s(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, n NUMERIC)")
        made.executemany("INSERT INTO s(a, n) VALUES (?, ?)", [("one", 1), ("TWO", 2.5), (None, "3")])
    made.close()
    db.execute(f"ATTACH '{path}' AS f")
    return path


def test_a_sqlite_table_is_copied_in(db: driver.Connection, sqlite: Path) -> None:
    db.execute("CREATE TABLE copy AS SELECT * FROM f.s")
    assert rows(db, "SELECT * FROM copy") == rows(db, "SELECT * FROM f.s")
    db.execute("INSERT INTO t(a) SELECT a FROM f.s WHERE a IS NOT NULL")
    assert rows(db, "SELECT a FROM t ORDER BY id") == [("main",), ("one",), ("TWO",)]
    db.commit()
    db.execute("CREATE TABLE x.copy AS SELECT a, n FROM s")
    assert rows(db, "SELECT * FROM x.copy") == [("one", 1), ("TWO", 2.5), (None, 3)]
    db.commit()
    db.execute("INSERT INTO f.s(a) SELECT a FROM main.t")
    assert rows(db, "SELECT count(*) FROM s") == [(6,)]
    db.commit()
    with sqlite3.connect(sqlite) as plain:
        assert plain.execute("SELECT count(*) FROM s").fetchone() == (6,)
    plain.close()


def test_names_find_sqlite_tables_in_order(db: driver.Connection, sqlite: Path) -> None:
    cursor = db.execute("INSERT INTO s(a) VALUES ('four')")
    assert (cursor.rowcount, cursor.lastrowid) == (1, 4)
    assert db.execute("INSERT INTO s(a) VALUES ('five') RETURNING id").fetchall() == [(5,)]
    db.commit()
    assert rows(db, "PRAGMA table_info(s)")[1][1:3] == ("a", "TEXT")
    assert rows(db, "SELECT name FROM f.sqlite_master") == [("s",)]
    assert rows(db, "SELECT name FROM pragma_table_info('s', 'f')")[0] == ("id",)
    db.execute("CREATE VIEW f.v AS SELECT name FROM sqlite_master")
    db.execute("DROP TABLE s")
    db.commit()
    assert rows(db, "SELECT * FROM f.v") == [("v",)]
    assert rows(db, "SELECT sql FROM f.sqlite_master") == [("CREATE VIEW v AS SELECT name FROM sqlite_master",)]
    db.commit()


@pytest.mark.parametrize("ours", ["main", "x"])
def test_a_sqlite_file_counts_as_a_file(db: driver.Connection, sqlite: Path, ours: str) -> None:
    db.execute(f"INSERT INTO {ours}.t(a) VALUES ('kept')")
    for sql in ("INSERT INTO f.s(a) VALUES ('no')", "DELETE FROM s", "CREATE TABLE f.n(a)", "DROP TABLE s"):
        assert "commit or roll back" in refused(db, sql, driver.NotSupportedError)
    db.commit()
    db.execute("INSERT INTO s(a) VALUES ('kept')")
    for sql in ("INSERT INTO {}.t(a) VALUES ('no')", "CREATE TABLE {}.n(a)", "PRAGMA {}.user_version = 1"):
        sql = sql.format(ours)
        assert "commit or roll back" in refused(db, sql, driver.NotSupportedError)
    db.commit()
    assert rows(db, f"SELECT count(*) FROM {ours}.t WHERE a = 'kept'") == [(1,)]
    assert rows(db, "SELECT count(*) FROM s WHERE a = 'kept'") == [(1,)]
    db.commit()


def test_a_commit_that_a_sqlite_file_refuses_can_be_said_again(sqlite: Path) -> None:
    """Memory beside a SQLite file: SQLite asks us first, and then its file is busy."""
    db = driver.connect(":memory:")
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.execute(f"ATTACH '{sqlite}' AS f")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("INSERT INTO f.s(a) VALUES ('mine')")
    reader = apsw.Connection(str(sqlite))       # of the same library: another would not see its locks
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM s").fetchall()
    db.execute("PRAGMA busy_timeout = 0").fetchall()
    with pytest.raises(driver.OperationalError, match="locked"):
        db.commit()
    assert db.in_transaction
    assert rows(db, "SELECT * FROM t") == [(1,)]
    db.execute("INSERT INTO t VALUES (2)")
    reader.execute("COMMIT")
    db.commit()
    assert rows(db, "SELECT * FROM t") == [(1,), (2,)]
    assert reader.execute("SELECT count(*) FROM s WHERE a = 'mine'").fetchall() == [(1,)]
    db.commit()
    db.execute("INSERT INTO t VALUES (3)")
    db.execute("INSERT INTO f.s(a) VALUES ('gone')")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM s").fetchall()
    with pytest.raises(driver.OperationalError, match="locked"):
        db.commit()
    db.rollback()
    assert rows(db, "SELECT * FROM t") == [(1,), (2,)]
    reader.close()
    db.close()
