"""A comparison of two columns takes no bound from another column, unless it compares what has different affinities."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver
from entitydb_dialect.driver.sql.statement import parse

from ..asking import rows, visited
from ..beside import Beside
from .test_unseen import is_unseen

Connect = Callable[..., driver.Connection]

SCHEMA = (
    'CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b VARCHAR(9), n NUMERIC, r REAL, x, "end" TEXT, "case" TEXT)',
    "CREATE TABLE u(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b INTEGER, n DECIMAL, only TEXT, nocase TEXT)",
    "CREATE INDEX t_a ON t(a)",
    "CREATE INDEX t_b ON t(b, n)",
    "CREATE INDEX u_a ON u(a)",
    "CREATE VIEW v AS SELECT * FROM u",
)
VALUES = (None, "1990-01-01", "2024-06-01", "3000", "012", "9", " 7", "-1", ".5", "a", "B", ":", "", 7, 3000, 2.5, -1)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    found.tables = []
    for i in range(60):
        found.run("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (i, *rng.choices(VALUES, k=7)))
        if i < 20:
            found.run("INSERT INTO u VALUES (?, ?, ?, ?, ?, ?)", (i, *rng.choices(VALUES, k=5)))
    return found


def is_told(connection: driver.Connection, sql: str) -> bool:
    return bool(connection._session.prepare(sql, parse(sql)).compares & lib.EDB_BOUND_BY_COLUMN)


ALIKE = (
    "SELECT 1 FROM t WHERE a < b",
    "SELECT 1 FROM t WHERE n > a",  # of one row
    "SELECT 1 FROM t JOIN u ON t.a <= u.a AND (t.n >= u.n OR u.only < \"case\")",
    "SELECT 1 FROM t AS one, t two WHERE one.a < two.b AND one.a NOT BETWEEN two.a AND two.\"end\"",
    "SELECT 1 FROM t WHERE t.a BETWEEN lower(?) AND b AND x < 5 AND f(n) < a",
    "SELECT 1 FROM t WHERE a < date('now') AND EXISTS (SELECT 1 FROM u WHERE only < u.a AND u.b < u.n)",
    "SELECT 1 FROM t LEFT JOIN u ON u.a > t.a WHERE t.a > u.only + 1",
    "UPDATE t SET x = 1 WHERE a < b",
    "DELETE FROM t WHERE b >= a",
)
TOLD = (
    "SELECT 1 FROM t JOIN u ON t.a < u.b",
    "SELECT 1 FROM t, u WHERE t.b < u.b",
    "SELECT 1 FROM t, u WHERE t.x < u.a",
    "SELECT 1 FROM t, u WHERE t.r < u.n",
    "SELECT 1 FROM t, u WHERE t.a BETWEEN u.a AND u.b",
    "SELECT 1 FROM t, u WHERE t.a < CAST(u.b AS TEXT)",
    "SELECT 1 FROM t, u WHERE CAST(u.b AS NUMERIC) > t.a",
    "SELECT 1 FROM t, u WHERE t.a < CASE WHEN 1 THEN u.b END",
    "SELECT 1 FROM t, u WHERE CASE WHEN 1 THEN u.b END < t.a",
    "SELECT 1 FROM t, u WHERE u.b COLLATE nocase < t.a",
    "SELECT 1 FROM t, u WHERE (u.b) < t.a",
    "SELECT 1 FROM t, u WHERE t.a > +u.b",
    "SELECT 1 FROM t WHERE a < (SELECT b FROM u)",
    "SELECT 1 FROM t WHERE a < b AND a < (SELECT max(n) FROM u)",
    "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM u WHERE only < t.a)",  # a name of the query around it
    "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM u NATURAL JOIN t AS o WHERE a < b)",  # not followed
    "SELECT 1 FROM t, v WHERE t.a < v.a",
    "SELECT 1 FROM t, (SELECT b AS a FROM u) s WHERE t.a < s.a",
    "WITH u AS (SELECT 1 AS a) SELECT 1 FROM t, u WHERE t.a < u.a",
    "SELECT a < b FROM t",
    "SELECT 1 FROM t GROUP BY a HAVING max(n) > 1 AND a < b",
    "SELECT 1 FROM t, u WHERE (t.a, 1) < (u.b, 2)",
)


@pytest.mark.parametrize("sql", ALIKE)
def test_columns_of_one_affinity_or_one_row_are_not_told(both: Beside, sql: str) -> None:
    both.mine.create_function("f", 1, lambda value: value)
    assert parse(sql).compares
    assert not is_told(both.mine, sql)


@pytest.mark.parametrize("sql", TOLD)
def test_what_may_have_another_affinity_is_told(both: Beside, sql: str) -> None:
    assert is_told(both.mine, sql)
    both.run(sql)


def test_temp_tables_hide_what_is_known(both: Beside) -> None:
    sql = "SELECT count(*) FROM t, u WHERE t.a < u.a"
    assert not is_told(both.mine, sql)
    both.run(sql)
    both.run("CREATE TEMP TABLE u(a NUMERIC)")
    both.run("INSERT INTO temp.u VALUES (7), (3000), ('a')")
    assert is_told(both.mine, sql)
    both.run(sql)


def test_an_upper_bound_that_is_found_out_later_is_kept_beside_a_comparison_of_columns(db: driver.Connection) -> None:
    """By texts that are seen first, known, and like others but for literals."""
    db.execute("CREATE TABLE day(id INTEGER PRIMARY KEY, at TEXT, planned TEXT)")
    db.execute("CREATE INDEX day_at ON day(at)")
    db.executemany(
        "INSERT INTO day(at, planned) VALUES (?, ?)", [(f"2024-01-{i % 28 + 1:02d}", "2024") for i in range(2800)]
    )
    db.commit()
    for n in (0, 0, 0, 1, 2, 3):
        sql = (
            "SELECT id FROM day WHERE at >= '2024-01-05' AND at < date('2024-01-05', '+2 days')"
            f" AND planned < at AND id > {n}"
        )
        before = visited(db)
        assert len(rows(db, sql)) == 200
        assert visited(db) - before <= 402
        assert n == 0 or is_unseen(db, sql)


@pytest.mark.parametrize("again", [False, True])
def test_a_type_that_changes_is_asked_anew(both: Beside, again: bool) -> None:
    sql = "SELECT t.id FROM t, u WHERE t.a < u.a AND t.id > {} ORDER BY t.id".format
    for n in (0, 1, 2):
        both.run(sql(n))
    assert not is_told(both.mine, sql(0))
    for one in (both.mine, both.theirs):
        one.execute("CREATE TABLE w(id INTEGER PRIMARY KEY, a NUMERIC)")
        one.execute("INSERT INTO w SELECT id, b FROM u")
        one.execute("DROP VIEW v")
        one.execute("DROP TABLE u")
        one.execute("ALTER TABLE w RENAME TO u")
    if again:
        assert is_told(both.mine, sql(0))
    for n in (0, 1, 2, 3):
        both.run(sql(n))


# ---- any conditions ----


@pytest.mark.slow
def test_answers_of_random_conditions_are_those_of_sqlite(both: Beside, rng: random.Random) -> None:
    names = {"t": ("a", "b", "n", "r", "x", '"end"', '"case"'), "u": ("a", "b", "n", "only", "nocase")}
    literals = ("'2024-06-01'", "'9'", "7", "2.5", "lower('B')", "?", "-1", "''", "date('2024-06-01')")

    forms = (
        *("({0})", "+{0}", "{0} || ''", "CAST({0} AS NUMERIC)", "CASE WHEN 1 THEN {0} END", "lower({0})"),
        *("{0} COLLATE nocase", "(SELECT {0})", "{0} + 0", "coalesce({0}, 3)"),
    )

    def column(tables: str) -> str:
        table = rng.choice(tables)
        return f"{table}.{rng.choice(names[table])}"

    def side() -> str:
        draw = rng.random()
        if draw < 0.6:
            return column("tu")
        if draw < 0.8:
            return rng.choice(literals)
        return rng.choice(forms).format(column("tu"))

    def term() -> str:
        if rng.random() < 0.2:
            return f"{column('tu')} {rng.choice(('', 'NOT '))}BETWEEN {side()} AND {side()}"
        return f"{side()} {rng.choice(('<', '>', '<=', '>='))} {side()}"

    told = {True: 0, False: 0}
    for _ in range(1500):
        where = " AND ".join(term() for _ in range(rng.choice((1, 2, 2, 3))))
        sql = f"SELECT count(*), total(t.id * 100 + u.id) FROM t, u WHERE {where}"
        if parse(sql).compares:
            told[is_told(both.mine, sql)] += 1
        both.run(sql, tuple(rng.choices(VALUES, k=sql.count("?"))))
    assert min(told.values()) > 150


def test_sides_of_random_joins_of_two_columns_are_those_of_sqlite(both: Beside) -> None:
    """Each pair of columns, with a bound that is found out later beside it."""
    columns: list[Any] = [("t", name) for name in ("a", "b", "n", "r", "x", '"end"')]
    columns += [("u", name) for name in ("a", "b", "n", "only")]
    for table, name in columns:
        for other, second in columns:
            for sign in ("<", ">="):
                both.run(
                    f"SELECT count(*), total(t.id * 100 + u.id) FROM t, u WHERE {table}.{name} {sign} {other}.{second}"
                    " AND t.a < coalesce(?, 5)", ("3000",),
                )  # fmt: skip
