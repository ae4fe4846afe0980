"""Views, CREATE TABLE AS, PRAGMAs and sqlite_master: as plain SQLite tells them of the same schema."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]

SCHEMA = [
    "CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT UNIQUE)",
    "CREATE TABLE t(a TEXT NOT NULL DEFAULT 'x', b INT REFERENCES p ON DELETE CASCADE, c REAL, PRIMARY KEY (c, a))",
    "CREATE TABLE w(k TEXT PRIMARY KEY, v NUMERIC(3,2) DEFAULT (1 + 2)) WITHOUT ROWID",
    "CREATE TABLE s(a INT, b ANY) STRICT",
    "CREATE INDEX t_b ON t(b, a COLLATE NOCASE DESC)",
    "CREATE UNIQUE INDEX t_c ON t(c)",
    "CREATE VIEW v AS SELECT a, b + 1 AS more FROM t",
    "CREATE VIEW IF NOT EXISTS main.named(x) AS SELECT n FROM p",
]


@pytest.fixture
def both(db: driver.Connection) -> tuple[driver.Connection, sqlite3.Connection]:
    plain = sqlite3.connect(":memory:")
    for sql in SCHEMA:
        db.execute(sql)
        plain.execute(sql)
    db.commit()
    return db, plain


ASKED = [
    *(f"PRAGMA table_info({name})" for name in ("p", "t", "w", "s", "v", "missing")),
    *(f"PRAGMA main.table_xinfo({name})" for name in ("p", "t", "w", "s")),
    *(f"PRAGMA foreign_key_list({name})" for name in ("p", "t")),
    *(f"PRAGMA index_info({name})" for name in ("t_b", "t_c", "sqlite_autoindex_t_1")),
    "PRAGMA index_xinfo(t_c)",
    "PRAGMA index_list('t')",
    "PRAGMA user_version",
    "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name <> 'w' ORDER BY name",
    'SELECT name FROM "sqlite_schema" WHERE type = \'view\' ORDER BY 1',
    "SELECT sqlite_master.name FROM main.sqlite_master WHERE sqlite_master.type = 'index' AND sql IS NULL ORDER BY 1",
    "SELECT count(*) FROM temp.sqlite_master",
    "SELECT m.name, i.name, i.type FROM sqlite_master AS m, pragma_table_info(m.name) AS i"
    " WHERE m.type = 'table' ORDER BY m.name, i.cid",
    "SELECT name, pk FROM pragma_table_info('t')",
    "SELECT * FROM pragma_foreign_key_list('t')",
    "SELECT type, ncol, wr, strict FROM pragma_table_list WHERE name = 'w'",
    "SELECT il.name, ii.name FROM pragma_index_list('t') il JOIN pragma_index_info(il.name) ii ORDER BY 1, 2",
]


@pytest.mark.slow
@pytest.mark.parametrize("sql", ASKED)
def test_the_schema_is_told_as_sqlite_tells_it(both: tuple[Any, Any], sql: str) -> None:
    db, plain = both
    assert list(db.execute(sql).fetchall()) == plain.execute(sql).fetchall()
    assert [d[0] for d in db.execute(sql).description] == [d[0] for d in plain.execute(sql).description]


def test_sqlite_master_of_a_moment(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.commit()
    before = db.last_commit[1]
    db.execute("ALTER TABLE t RENAME TO u")
    db.execute("CREATE VIEW v AS SELECT 1")
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("u",), ("v",)]
    db.commit()
    past = db.cursor()
    past.as_of = before
    assert past.execute("SELECT name, sql FROM sqlite_schema").fetchall() == [("t", "CREATE TABLE t(a)")]
    assert past.execute("SELECT name FROM pragma_table_info('t')").fetchall() == [("a",)]
    assert past.execute("PRAGMA table_info(t)").fetchall() != []


def test_a_string_is_not_the_schema(db: driver.Connection) -> None:
    sql = "SELECT 'sqlite_master', count(*) FROM sqlite_master WHERE name <> 'sqlite_schema'"
    assert db.execute(sql).fetchall() == [("sqlite_master", 0)]


def test_the_schema_goes_into_tables_as_it_was_before_the_statement(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE TABLE n AS SELECT name FROM sqlite_master -- and nothing else")
    db.execute("INSERT INTO n SELECT sql FROM main.sqlite_schema WHERE name = 't'")
    db.commit()
    assert db.execute("SELECT name FROM n").fetchall() == [("t",), ("CREATE TABLE t(a)",)]


MASTER = [
    "CREATE VIEW m AS SELECT type, name FROM sqlite_master WHERE name <> 'm'",
    "CREATE VIEW m2(a, b) AS SELECT m.name, i.name FROM main.sqlite_schema AS m JOIN pragma_table_info(m.name) AS i"
    " WHERE m.type = 'table'",
    "CREATE VIEW m3 AS WITH s AS (SELECT sqlite_master.name AS n FROM sqlite_master) SELECT count(*) AS c FROM s",
    "CREATE TEMP VIEW m4 AS SELECT a.name FROM sqlite_master a, m ON a.name = m.name WHERE a.name > 'n'",
    "CREATE TEMP TABLE temporary(a)",
]
OF_MASTER = [
    "SELECT * FROM m ORDER BY 1, 2",
    "SELECT * FROM m2 ORDER BY 1, 2",
    "SELECT c FROM m3",
    "SELECT * FROM m4 ORDER BY 1",
    "SELECT count(*) FROM m JOIN m2 ON m.name = m2.a JOIN sqlite_master s ON s.name = m.name",
    "SELECT name FROM sqlite_temp_master ORDER BY 1",
    "SELECT name FROM temp.sqlite_schema ORDER BY 1",
    "SELECT x.name FROM sqlite_master x LEFT JOIN sqlite_temp_master y USING (name) WHERE y.name IS NULL ORDER BY 1",
    "SELECT sql FROM sqlite_master WHERE name LIKE 'm%' ORDER BY name",
    "SELECT 1 WHERE 't' IN (SELECT name FROM sqlite_master)",
    "WITH sqlite_master(name) AS (VALUES ('mine')) SELECT name FROM sqlite_master",
    "WITH q AS (SELECT name FROM sqlite_master UNION SELECT name FROM main.sqlite_master) SELECT count(*) FROM q",
    "SELECT (SELECT group_concat(name) FROM (SELECT name FROM sqlite_master ORDER BY name))",
    "DELETE FROM sqlite_master",
    "UPDATE sqlite_schema SET name = 'x'",
    "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
    "DELETE FROM sqlite_master RETURNING name",
    "INSERT INTO p(n) VALUES ('x') RETURNING (SELECT count(*) FROM sqlite_master WHERE type = 'table')",
    "UPDATE p SET n = (SELECT max(name) FROM sqlite_master) RETURNING n",
]


def answer(connection: Any, sql: str) -> Any:
    try:
        return list(connection.execute(sql).fetchall())
    except (driver.Error, sqlite3.Error) as error:
        return type(error).__name__, str(error)


def test_views_over_the_schema(both: tuple[Any, Any]) -> None:
    db, plain = both
    for sql in MASTER:
        db.execute(sql)
        plain.execute(sql)
    for sql in OF_MASTER:
        assert answer(db, sql) == answer(plain, sql), sql
    db.commit()
    for sql in ("ALTER TABLE t RENAME TO renamed", "DROP TABLE w", "ALTER TABLE p ADD COLUMN more"):
        db.execute(sql)
        plain.execute(sql)
        for query in OF_MASTER[:4]:
            assert answer(db, query) == answer(plain, query), query
    db.rollback()


def test_views_over_the_schema_show_that_of_the_moment(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE VIEW m AS SELECT name, (SELECT group_concat(name) FROM pragma_table_info('t')) AS c"
               " FROM sqlite_master WHERE type = 'table'")
    db.commit()
    before = db.last_commit[1]
    db.execute("CREATE TABLE u(a)")
    db.execute("ALTER TABLE t ADD COLUMN b")
    db.commit()
    past, now = db.cursor(), db.cursor()
    past.as_of = before
    now.execute("SELECT * FROM m ORDER BY name")
    past.execute("SELECT * FROM m ORDER BY name")
    assert now.fetchone() == ("t", "a,b")
    assert past.fetchall() == [("t", "a")]
    assert now.fetchall() == [("u", "a,b")]
    db.commit()


def test_the_catalog_cannot_be_made_writable(db: driver.Connection) -> None:
    with pytest.raises(driver.NotSupportedError, match="writable_schema"):
        db.execute("PRAGMA writable_schema = ON")
    with pytest.raises(driver.OperationalError, match="table sqlite_master may not be modified"):
        db.execute("DELETE FROM main.sqlite_master")


_DDL = [
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t RENAME COLUMN a TO b",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS c TEXT COLLATE NOCASE DEFAULT ('x') CHECK (c > '') REFERENCES t (a)",
    "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)",
    "ALTER TABLE t DROP CONSTRAINT IF EXISTS c CASCADE",
    "ALTER TABLE t DROP COLUMN IF EXISTS a RESTRICT",
    "ALTER TABLE t ALTER COLUMN a SET DATA TYPE VARCHAR (3) USING a || 'x'",
    "ALTER TABLE t ALTER COLUMN a SET DEFAULT (1 + 2)",
    "CREATE VIEW IF NOT EXISTS main.v (x) AS SELECT a FROM t",
    "DROP VIEW IF EXISTS main.v",
    "CREATE TABLE IF NOT EXISTS main.c AS WITH q AS (SELECT 1 AS x) SELECT x FROM q",
    "CREATE UNIQUE INDEX IF NOT EXISTS main.i ON t (a COLLATE NOCASE DESC)",
    "PRAGMA main.user_version = 7",
]


@pytest.mark.slow
def test_no_ddl_cut_short_or_shuffled_does_more_than_fail(db: driver.Connection, rng: random.Random) -> None:
    for sql in _DDL:
        words = sql.split(" ")
        tries = [words[:n] for n in range(1, len(words) + 1)]
        tries += [[w for i, w in enumerate(words) if i != n] for n in range(len(words))]
        tries += [rng.sample(words, len(words)) for _ in range(5)]
        for attempt in tries:
            db.execute("CREATE TABLE IF NOT EXISTS t(a, z)")
            try:
                db.execute(" ".join(attempt))
            except driver.Error:
                pass
            db.rollback()


# ---- views ----


def test_views_are_kept_and_followed(connect: Connect) -> None:
    db, other = connect(), connect()
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (1), (2)")
    db.execute("CREATE VIEW v AS SELECT a * 10 AS x FROM t")
    db.commit()
    before = db.last_commit[1]
    assert other.execute("SELECT x FROM v ORDER BY x").fetchall() == [(10,), (20,)]
    other.commit()
    db.execute("DELETE FROM t")
    db.commit()
    past = db.cursor()
    past.as_of = before
    assert past.execute("SELECT count(*) FROM v").fetchall() == [(2,)]
    db.execute("DROP VIEW v")
    db.execute("CREATE VIEW v AS SELECT 'new' AS x")
    db.commit()
    assert other.execute("SELECT x FROM v").fetchall() == [("new",)]
    other.close()
    third = connect()
    assert third.execute("SELECT x FROM v").fetchall() == [("new",)]


def test_views_roll_back(db: driver.Connection) -> None:
    db.execute("CREATE VIEW v AS SELECT 1 AS x")
    db.rollback()
    with pytest.raises(driver.OperationalError, match="no such table: v"):
        db.execute("SELECT * FROM v")
    db.execute("CREATE VIEW v AS SELECT 1 AS x")
    db.execute("SAVEPOINT s")
    db.execute("DROP VIEW v")
    db.execute("ROLLBACK TO s")
    assert db.execute("SELECT * FROM v").fetchall() == [(1,)]
    db.commit()
    assert list(db.views()) == ["v"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE VIEW t AS SELECT 1", "table t already exists"),
        ("CREATE VIEW v AS SELECT 1", "view v already exists"),
        ("CREATE TABLE v(a)", "view v already exists"),
        ("CREATE VIEW i AS SELECT 1", "there is already an index named i"),
        ("DROP TABLE v", "use DROP VIEW to delete view v"),
        ("DROP VIEW t", "use DROP TABLE to delete table t"),
        ("DROP VIEW nothing", "no such view: nothing"),
        ("ALTER TABLE v RENAME TO w", "view v may not be altered"),
        ("CREATE INDEX j ON v(x)", "views may not be indexed"),
        ("INSERT INTO v VALUES (1)", "cannot modify v because it is a view"),
        ("CREATE VIEW bad AS SELEC 1", "syntax error"),
        ("CREATE VIEW bad AS SELECT ?", "parameters are not allowed in views"),
    ],
)
def test_refusals_are_those_of_sqlite(db: driver.Connection, sql: str, message: str) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a)")
    db.execute("CREATE VIEW v AS SELECT 1 AS x")
    db.commit()
    with pytest.raises(driver.OperationalError, match=message):
        db.execute(sql)
    db.execute("CREATE VIEW IF NOT EXISTS v AS SELECT 2")
    db.execute("DROP VIEW IF EXISTS nothing")
    assert db.execute("SELECT x FROM v").fetchall() == [(1,)]


def test_a_broken_view_harms_no_ddl(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE VIEW v AS SELECT a FROM t")
    db.execute("DROP TABLE t")
    db.execute("CREATE TABLE u(b)")
    db.execute("CREATE INDEX u_b ON u(b)")
    db.commit()
    with pytest.raises(driver.OperationalError, match=r"no such table: main\.t"):
        db.execute("SELECT * FROM v")
    db.execute("CREATE TABLE t(a)")
    assert db.execute("SELECT * FROM v").fetchall() == []


def test_temporary_views(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("CREATE TEMP VIEW v AS SELECT a FROM t")
    db.commit()
    assert db.execute("SELECT * FROM v").fetchall() == [(1,)]
    assert db.views() == {}
    db.execute("DROP VIEW v")


# ---- CREATE TABLE AS ----


def test_create_table_as(both: tuple[driver.Connection, sqlite3.Connection]) -> None:
    for db in both:
        db.execute("INSERT INTO p VALUES (1, 'one'), (2, 'two')")
        db.execute("CREATE TABLE copy AS SELECT id, n, id * 1.5 AS x, n || '!' FROM p WHERE id < ?", (9,))
    db, plain = both
    db.commit()
    for sql in ("PRAGMA table_info(copy)", "SELECT * FROM copy ORDER BY id"):
        assert list(db.execute(sql).fetchall()) == plain.execute(sql).fetchall()
    db.execute("CREATE TABLE gone AS SELECT 1 AS a")
    db.rollback()
    assert "gone" not in db.catalog()
    with pytest.raises(driver.OperationalError, match="table copy already exists"):
        db.execute("CREATE TABLE copy AS SELECT 1")
    db.execute("CREATE TABLE IF NOT EXISTS copy AS SELECT 1")


# ---- the rest ----


def test_user_version_is_transactional(connect: Connect) -> None:
    db = connect()
    db.execute("PRAGMA user_version = 3")
    assert connect().execute("PRAGMA user_version").fetchall() == [(3,)]
    moment = db.last_commit[1]
    db.execute("BEGIN")
    db.execute("PRAGMA user_version = 4")
    assert db.execute("PRAGMA user_version").fetchall() == [(4,)]
    db.rollback()
    assert db.execute("PRAGMA user_version").fetchall() == [(3,)]
    db.rollback()
    db.execute("PRAGMA user_version(5)")
    past = db.cursor()
    past.as_of = moment
    assert past.execute("PRAGMA user_version").fetchall() == [(3,)]
    db.execute("CREATE TABLE user_version(a)")
    db.commit()
    assert db.execute("PRAGMA user_version").fetchall() == [(5,)]


def test_integrity_check_runs_the_check(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a UNIQUE)")
    db.commit()
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]


def test_explain_query_plan_names_the_index(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    db.execute("CREATE INDEX t_ab ON t(a, b)")

    def plan(sql: str) -> list[str]:
        return [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql)]

    assert plan("SELECT * FROM t WHERE a = 1 AND b > 2") == ["SEARCH t USING INDEX t_ab (a=? AND b>?)"]
    assert plan("SELECT * FROM t WHERE id = 1") == ["SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"]
    assert plan("SELECT * FROM t") == ["SCAN t"]


def test_triggers_are_refused_with_an_alternative(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(driver.NotSupportedError, match="no triggers"):
        db.execute("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END")


@pytest.mark.parametrize(
    "body",
    [
        "INSERT INTO t(b) VALUES (1)",
        "INSERT OR IGNORE INTO t(b) VALUES (1)",
        "REPLACE INTO main_t(b) VALUES (1)",
        "UPDATE OR IGNORE t SET b = 1",
        "UPDATE t SET b = 1",
        "SELECT 1; DELETE FROM t",
    ],
)
def test_temporary_triggers_may_change_temporary_tables_alone(db: driver.Connection, body: str) -> None:
    """What they INSERT elsewhere would get no defaults."""
    for name in ("t", "main_t"):
        db.execute(f"CREATE TABLE {name}(a DEFAULT 1, b)")
    db.execute("CREATE TEMP TABLE x(a)")
    with pytest.raises(driver.NotSupportedError, match="may change TEMP tables alone"):
        db.execute(f"CREATE TEMP TRIGGER r AFTER INSERT ON x BEGIN {body}; END")
    db.execute("CREATE TEMP TABLE y(a, b DEFAULT 5)")
    db.execute("CREATE TEMP TRIGGER r AFTER INSERT ON x BEGIN INSERT INTO y(a) SELECT count(*) FROM t; END")
    assert db.execute("INSERT INTO x VALUES (1), (2)").rowcount == 2
    assert db.execute("SELECT * FROM y").fetchall() == [(0, 5), (0, 5)]


def test_dump_and_backup(both: tuple[driver.Connection, sqlite3.Connection]) -> None:
    db, _ = both
    db.execute("INSERT INTO p VALUES (1, 'it''s'), (2, NULL)")
    db.execute("INSERT INTO t VALUES ('a', 1, 1.5), ('b', 2, 2.5)")
    db.commit()
    plain = sqlite3.connect(":memory:")
    plain.executescript("\n".join(db.iterdump()))
    copy = driver.connect()
    db.backup(copy)
    for target in (plain, copy):
        for table in ("p", "t", "v", "named"):
            sql = f"SELECT * FROM {table} ORDER BY 1"
            assert list(target.execute(sql).fetchall()) == list(db.execute(sql).fetchall())
        names = "SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1"
        assert list(target.execute(names).fetchall()) == list(db.execute(names).fetchall())
    assert list(db.iterdump(filter="p"))[1:-1] == [
        "CREATE TABLE p(id INTEGER PRIMARY KEY, n TEXT UNIQUE);",
        "INSERT INTO \"p\" VALUES(1,'it''s');",
        'INSERT INTO "p" VALUES(2,NULL);',
    ]
    copy.close()
