"""Upper bounds of texts: an index decides them where what they are compared with has no affinity; answers are SQLite's.

A text beside a numeric column is compared as a number where it looks like one: '3000' is below '2024-01-01' then,
because numbers are below texts. So keys decide `text < x` only where x is a constant, a parameter or a call.
"""

from __future__ import annotations

from typing import Any

import apsw
import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver
from entitydb_dialect.driver.sql.statement import parse

from ..asking import visits

TEXTS = [None, "1990-01-01", "2024-01-01", "2024-06-01", "3000", "012", "9", " 7", "-1", "+2", ".5", "a", ":", "", "zz"]
DATES = ["2024-01-01", "1990-06-01", 12, 3000, 2.5, None, "x"]
SCHEMA = [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, note TEXT)",
    "CREATE INDEX t_a ON t(a)",
    "CREATE TABLE d(id INTEGER PRIMARY KEY, n NUMERIC, x TEXT)",
    "CREATE VIEW below AS SELECT t.id, t.a FROM t, d WHERE t.a < d.n",
]
QUERIES: list[tuple[str, tuple[Any, ...]]] = [
    ("SELECT t.id FROM t, d WHERE t.a < d.n", ()),
    ("SELECT t.id FROM t, d WHERE d.n >= t.a", ()),
    ("SELECT t.id FROM t, d WHERE t.a BETWEEN '' AND d.n", ()),
    ("SELECT t.id FROM t, d WHERE t.a BETWEEN d.n AND ?", ("9",)),
    ("SELECT t.id FROM t WHERE t.a < (SELECT n FROM d WHERE id = 1)", ()),
    ("SELECT t.id FROM t WHERE t.a <= CAST(? AS NUMERIC)", ("2024-01-01",)),
    ("SELECT t.id FROM t WHERE t.a < ?", ("2024-03-01",)),
    ("SELECT t.id FROM t WHERE t.a < ?", (5,)),
    ("SELECT t.id FROM t WHERE t.a <= date(?)", ("2024-06-01",)),
    ("SELECT t.id FROM t WHERE t.a BETWEEN ? AND ?", ("1", "3")),
    ("SELECT t.id FROM t, d WHERE t.a < d.x || ''", ()),
    ("SELECT t.id FROM t, (SELECT max(n) AS m FROM d) s WHERE t.a < s.m", ()),
    ("SELECT id FROM below", ()),
    ("SELECT id FROM below WHERE a < ?", ("2025",)),
    ("SELECT id, (SELECT count(*) FROM d WHERE d.n > t.a) FROM t WHERE a < ?", ("5",)),
]


@pytest.fixture
def pair() -> tuple[driver.Connection, apsw.Connection]:
    ours, theirs = driver.connect(), apsw.Connection(":memory:")
    for one in (ours, theirs):
        for sql in SCHEMA:
            one.execute(sql)
        one.executemany("INSERT INTO t(a) VALUES (?)", [(text,) for text in TEXTS for _ in range(40)])
        one.executemany("INSERT INTO d(n, x) VALUES (?, ?)", [(date, str(date)) for date in DATES])
    ours.commit()
    return ours, theirs


@pytest.mark.parametrize(("sql", "parameters"), QUERIES)
def test_answers_are_those_of_sqlite(pair: Any, sql: str, parameters: tuple[Any, ...]) -> None:
    ours, theirs = pair
    assert sorted(ours.execute(sql, parameters).fetchall()) == sorted(theirs.execute(sql, parameters).fetchall())


def test_a_returned_subquery_compares_as_sqlite_does(pair: Any) -> None:
    sql = "UPDATE d SET x = 'y' WHERE id = 1 RETURNING (SELECT count(*) FROM t WHERE t.a < d.n)"
    ours, theirs = pair
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()


def test_a_table_made_of_a_query_has_the_rows_of_sqlite(pair: Any) -> None:
    for one in pair:
        one.execute("CREATE TABLE made AS SELECT t.id FROM t, d WHERE t.a < d.n")
    ours, theirs = (sorted(one.execute("SELECT * FROM made").fetchall()) for one in pair)
    assert ours == theirs


def test_a_bound_by_a_parameter_reads_its_range_alone() -> None:
    connection = driver.connect()
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, day TEXT)")
    connection.execute("CREATE INDEX t_day ON t(day)")
    connection.executemany("INSERT INTO t(day) VALUES (?)", [(f"2024-01-{i % 28 + 1:02d}",) for i in range(2800)])
    connection.commit()

    sql = "SELECT count(day) FROM t WHERE day >= ? AND day < ?"
    assert visits(connection, sql, ("2024-01-05", "2024-01-07")) <= 202


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a < ?", False), ("? > a", False), ("a <= 'x'", False), ("a < -5", False), ("a > date(b)", False),
        ("a BETWEEN ? AND ?", False), ("a NOT BETWEEN 1 AND f(b)", False), ("? BETWEEN a AND b", False),
        ("a = b", False), ("a <> b", False), ("a || b = 'x'", False), ("'a < b' = c", False), ("a << b = 4", False),
        ("a < b", True), ("a >= b", True), ("a < (SELECT b FROM t)", True), ("a < CAST(? AS INT)", True),
        ("a BETWEEN b AND ?", True), ("a BETWEEN ? AND b", True), ("(a, b) < (?, ?)", True), ("a < +b", True),
        ("a < CASE WHEN 1 THEN 2 END", True),
    ],
)  # fmt: skip
def test_bounds_by_columns_are_recognised(condition: str, expected: bool) -> None:
    assert bool(parse(f"SELECT 1 FROM t WHERE {condition}").compares & lib.EDB_BOUND_BY_COLUMN) is expected
