"""min() and count(DISTINCT) of an indexed column look at one entry, or one for each value, and say what SQLite says."""

from __future__ import annotations

import random
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.rewrite.shortcuts import OfColumn, shortcut
from entitydb_dialect.driver.sql.statement import parse

from ..asking import visited
from ..beside import kinds

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INT, c TEXT COLLATE NOCASE, d)",
    "CREATE INDEX ta ON t(a)",
    "CREATE INDEX tb ON t(b, c DESC)",
    "CREATE INDEX tc ON t(c DESC)",
)
QUESTIONS = (
    "SELECT min(a) FROM t",
    "SELECT MIN ( t . a ) AS least FROM main.t",
    "SELECT min(a) FROM t AS x WHERE x.b = 1",
    'SELECT min("x"."c") "the least" FROM t x WHERE b = 2 OR a > 3 -- why\n;',
    "SELECT min(id) FROM t WHERE a IS NULL",
    "SELECT min(c) FROM t WHERE b = 1 AND c > 'b'",
    "SELECT min(b) FROM t WHERE false",
    "SELECT min(id) FROM t",
    "SELECT min(a) FROM t WHERE a > (SELECT min(a) FROM t WHERE a > 0) /* ) */",
    "SELECT min(d) FROM t",
    "SELECT min(a) FROM t WHERE c IN ('a', 'B') AND a < ?",
    "SELECT min(rowid) FROM t",
    "SELECT count(DISTINCT a) FROM t",
    "SELECT COUNT ( DISTINCT t . c ) AS many FROM main.t",
    'SELECT count(distinct "x"."b") "how many" FROM t x WHERE c = \'b\' OR a > 3 -- why\n;',
    "SELECT count(DISTINCT c) FROM t WHERE b = 1",
    "SELECT count(DISTINCT b) FROM t WHERE c IN ('a', 'B') AND a < ?",
    "SELECT count(DISTINCT c) FROM t WHERE b = 2.5",
    "SELECT count(DISTINCT a) FROM t WHERE a > (SELECT min(a) FROM t WHERE a > 0)",
    "SELECT count(DISTINCT b) FROM t WHERE false",
    "SELECT count(DISTINCT d) FROM t",
    "SELECT count(DISTINCT id) FROM t",
)
OTHERS = (
    "SELECT min(a), max(a) FROM t",
    "SELECT min(a, b) FROM t",
    "SELECT min(a) FROM t GROUP BY b",
    "SELECT min(a + 1) FROM t",
    "SELECT min(a) FROM t, t AS u",
    "SELECT min(t.a) FROM t JOIN t AS u",
    "SELECT min(a) FROM t LIMIT 0",
    "SELECT min(a) FROM",
    "SELECT min(a) FROM t WHERE b ORDER BY 1",
    "SELECT min(a) FROM t WHERE b UNION SELECT 1",
    "SELECT min(a) FROM (SELECT 1)",
    "SELECT min(a) OVER () FROM t",
    "SELECT min(a) FILTER (WHERE b) FROM t",
    "SELECT min(DISTINCT a) FROM t",
    "SELECT min(a)",
    "SELECT DISTINCT min(a) FROM t",
    "SELECT min(u.a) FROM t",
    "SELECT min(a) FROM t WHERE",
    "SELECT min(a) FROM t WHERE (b",
    "SELECT min(a) FROM t WHERE b) AND (c",
    "SELECT min('a') FROM t",
    "SELECT min(a) FROM t AS WHERE b",
    "SELECT min(a) FROM t x y",
    "WITH t AS (SELECT 1 AS a) SELECT min(a) FROM t",
    "SELECT min(a) FROM t; SELECT 1",
    "SELECT 1 + min(a) FROM t",
    "SELECT count(DISTINCT a), count(*) FROM t",
    "SELECT count(DISTINCT a + 1) FROM t",
    "SELECT count(DISTINCT a, b) FROM t",
    "SELECT count(DISTINCT a) FROM t GROUP BY b",
    "SELECT count(DISTINCT a) FILTER (WHERE b) FROM t",
    "SELECT count(DISTINCT a) FROM t, t AS u",
    "SELECT count(ALL a) FROM t",
    "SELECT count(a) FROM t",
    "SELECT count(DISTINCT) FROM t",
    "SELECT count(DISTINCT *) FROM t",
)


@pytest.fixture
def db(connect: Any) -> driver.Connection:
    db: driver.Connection = connect()
    for sql in SCHEMA:
        db.execute(sql)
    return db


@pytest.mark.parametrize("sql", QUESTIONS)
def test_it_says_what_sqlite_says(db: driver.Connection, rng: random.Random, sql: str) -> None:
    plain = apsw.Connection(":memory:")
    for one in SCHEMA:
        plain.execute(one)
    assert isinstance(shortcut(parse(sql)), OfColumn)
    values = (7,) * sql.count("?")
    for _ in range(5):
        assert kinds(db.execute(sql, values).fetchall()) == kinds(plain.execute(sql, values).fetchall())
        for _ in range(12):
            row = tuple(rng.choice((None, 1, 2.5, "a", "B", "b", -3, b"x", 7)) for _ in range(4))
            for connection in (db, plain):
                connection.execute("INSERT INTO t(a, b, c, d) VALUES (?, ?, ?, ?)", row)
    names: list[str] = []
    plain.exec_trace = lambda cursor, *_: bool(names.extend(c[0] for c in cursor.get_description()) or True)
    plain.execute(sql, values).fetchall()
    assert [column[0] for column in db.execute(sql, values).description or ()] == names


@pytest.mark.parametrize("sql", OTHERS)
def test_other_statements_are_sqlites(sql: str) -> None:
    assert not isinstance(shortcut(parse(sql)), OfColumn)


@pytest.mark.parametrize(
    "sql", ["SELECT min(a) FROM t", "SELECT min(id) FROM t", "SELECT max(a) FROM t", "SELECT min(c) FROM t WHERE b = 3"]
)
def test_one_entry_is_read_however_many_there_are(db: driver.Connection, sql: str) -> None:
    steps = []
    for _ in range(2):
        db.executemany("INSERT INTO t(a, b, c) VALUES (?, 3, ?)", [(None if i % 5 else i, str(i)) for i in range(500)])
        db.execute(sql).fetchall()
        calls: list[int] = []
        db.set_progress_handler(lambda calls=calls: calls.append(1), 1)
        db.execute(sql).fetchall()
        db.set_progress_handler(None, 1)
        steps.append(len(calls))
    assert steps[0] == steps[1] < 60


@pytest.mark.parametrize(
    ("sql", "values"),
    [("SELECT count(DISTINCT b) FROM m", 7), ("SELECT count(DISTINCT c) FROM m WHERE b = 3", 20),
     ("SELECT count(DISTINCT c) FROM m WHERE b = ? AND c > 'c1'", 18)],
)  # fmt: skip
def test_one_entry_is_read_for_each_value(db: driver.Connection, sql: str, values: int) -> None:
    db.execute("CREATE TABLE m(id INTEGER PRIMARY KEY, b INT, c TEXT)")
    db.execute("CREATE INDEX m_b ON m(b, c DESC)")
    rows = [(None if i % 9 == 0 else i % 7, None if i % 13 == 0 else f"c{i // 7 % 20}") for i in range(5000)]
    db.executemany("INSERT INTO m(b, c) VALUES (?, ?)", rows)
    db.commit()
    before = visited(db)
    assert db.execute(sql, (3,) * sql.count("?")).fetchall() == [(values,)]
    assert visited(db) - before < 4 * values


def test_of_a_moment_and_of_views_and_temporary_tables(db: driver.Connection) -> None:
    db.execute("INSERT INTO t(a) VALUES (5), (NULL)")
    db.commit()
    then = db.last_commit[1]
    db.execute("INSERT INTO t(a) VALUES (1)")
    db.execute("CREATE VIEW v AS SELECT a * 10 AS a FROM t")
    db.commit()
    cursor = db.cursor()
    cursor.as_of = then
    assert cursor.execute("SELECT min(a) FROM t").fetchall() == [(5,)]
    assert db.execute("SELECT min(a) FROM t").fetchall() == [(1,)]
    assert db.execute("SELECT min(a) FROM v").fetchall() == [(10,)]
    db.execute("CREATE TEMP TABLE t(a)")
    assert db.execute("SELECT min(a) FROM t").fetchall() == [(None,)]


def test_the_plan_names_the_index(db: driver.Connection) -> None:
    plan = db.execute("EXPLAIN QUERY PLAN SELECT min(a) FROM t").fetchall()
    assert "ta" in plan[-1][3]
