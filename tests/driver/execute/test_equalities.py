"""Equalities of values of any type with columns of any affinity: SQLite's answers, without walks of whole indexes.

What keys decide depends on the other side's affinity, which SQLite does not tell: a number beside a TEXT column is
made a text if it is a constant, and the text is made a number if the number is a numeric column's.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver
from entitydb_dialect.driver.sql.statement import parse

from ..asking import rows, visited
from ..beside import Beside

TYPES = ("", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "VARCHAR(9) COLLATE NOCASE")
COLUMNS = [f"c{i}" for i in range(len(TYPES))]
VALUES = (
    *(None, 5, 5.0, 5.5, -5, 0, 2**53, 2**53 + 1, 1e300, "5", "05", "5.0", " 5", "+5", "5e0", "5x", "x", "X", "", "-5"),
    *(b"5", b"", b"x", "5.5", "9007199254740993"),
)
SCHEMA = (
    f"CREATE TABLE t(id INTEGER PRIMARY KEY, {', '.join(map(' '.join, zip(COLUMNS, TYPES, strict=True)))})",
    f"CREATE TABLE u(id INTEGER PRIMARY KEY, {', '.join(map(' '.join, zip(COLUMNS, TYPES, strict=True)))})",
    *(
        f"CREATE INDEX t_{column} ON t({column}{' DESC' if i % 2 else ''}, c{(i + 1) % len(TYPES)})"
        for i, column in enumerate(COLUMNS)
    ),
)
VIEWS = (
    "CREATE VIEW v AS SELECT * FROM t WHERE c1 = c2 OR c0 = c4",
    "CREATE VIEW w AS SELECT id, c0, c1, c2 + 0 AS c2, c3, c4, c5, c6 FROM t",
)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "NULL" if value is None else repr(value)


@pytest.fixture(params=[True, False], ids=["with a view", "without"])
def viewed(request: pytest.FixtureRequest) -> bool:
    """Is there a view that compares columns? Then any statement may, by way of it."""
    return bool(request.param)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random, viewed: bool) -> Beside:
    found = Beside(db, *SCHEMA, *(VIEWS if viewed else ()))
    found.tables = []
    for table, n in (("t", 90), ("u", 12)):
        holes = ", ".join("?" * (1 + len(TYPES)))
        for i in range(n):
            found.run(f"INSERT INTO {table} VALUES ({holes})", (i, *rng.choices(VALUES, k=len(TYPES))))
    return found


def conditions(rng: random.Random, column: str) -> list[str]:
    """With one ? for each parameter."""
    other, one, two, three = rng.choice(COLUMNS), *(literal(rng.choice(VALUES)) for _ in range(3))
    return [
        f"{column} = ?", f"? = {column}", f"{column} == ?", f"{column} IS ?", f"{column} IS NOT DISTINCT FROM ?",
        f"{column} IN (?, ?, {one})", f"{column} IN ({one}, {two}, {three})", f"{column} = {one}",
        f"{column} IS {one} AND {other} = {two}", f"{column} = {one} AND {other} > {two}",
        f"{column} = ? AND {other} = ?", f"{column} = CAST(? AS INTEGER)", f"{column} = CAST({one} AS NUMERIC)",
        f"{column} IS CAST({one} AS TEXT)", f"{column} IN (?, CAST({one} AS REAL))",
        f"{column} >= CAST({one} AS INTEGER)", f"{column} = -CAST({one} AS INTEGER)",
        f"{column} < CAST({one} AS NUMERIC) AND {other} = {two}", f"{column} = abs(?)", f"{column} = lower(?)",
        f"{column} = {other}", f"{column} == {other}", f"{column} IS {other}", f"{column} IN ({other}, ?)",
        f"{column} = +{other}", f"{column} = (SELECT {other} FROM u WHERE id = 3)",
        f"{column} IN (SELECT {other} FROM u)", f"EXISTS (SELECT 1 FROM u WHERE u.{other} = t.{column})",
        f"({column}, {other}) = (?, {one})", f"({column}, {other}) IN (SELECT {other}, {column} FROM u)",
        f"{column} = ? OR {other} = {one}", f"{column} > ?", f"{column} <= {one}", f"{column} BETWEEN ? AND {one}",
        f"NOT ({column} <> ?)", f"{column} = CASE WHEN 1 THEN {other} END", f"{column} = likely({other})",
        f"{column} = coalesce({other}, {one})", f"{column} = iif(id > 40, {other}, ?)",
        f"{column} IN (unlikely({other}))", f"{column} = max({other}, {other})",
        f"{column} >= ifnull({other}, {two})", f"{column} < likelihood({other}, 0.5)",
        f"{column} = nullif({other}, ?)", f"{column} IS trim({other})", f"{column} = {other} COLLATE NOCASE",
    ]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_answers_are_those_of_sqlite(both: Beside, rng: random.Random, column: str) -> None:
    behind = COLUMNS[(COLUMNS.index(column) + 1) % len(COLUMNS)]  # the next in an index
    for condition in conditions(rng, column):
        parameters = rng.choices(VALUES, k=condition.count("?"))
        order = rng.choice(("+id", "id", f"{rng.choice(COLUMNS)}, id", f"{column} DESC, id",
                            f"{behind} NULLS LAST, id", f"{behind} DESC NULLS FIRST, id"))
        both.run(f"SELECT id FROM t WHERE {condition} ORDER BY {order}", parameters)
        both.run(f"SELECT count(*), sum(id) FROM t WHERE {condition}", parameters)
        both.run(f"SELECT DISTINCT typeof({column}) FROM t WHERE {condition} ORDER BY 1", parameters)


@pytest.mark.parametrize("column", COLUMNS)
def test_joins_views_and_changes_are_those_of_sqlite(
    both: Beside, rng: random.Random, column: str, viewed: bool
) -> None:
    for other in COLUMNS:
        value = rng.choice(VALUES)
        both.run(f"SELECT t.id, u.id FROM u JOIN t ON t.{column} = u.{other} ORDER BY 1, 2")
        for joined in (f"u LEFT JOIN t ON t.{column} IS u.{other} AND", f"t, u WHERE t.{column} = u.{other} AND"):
            both.run(f"SELECT t.id, u.id FROM {joined} t.{other} = ? ORDER BY 1, 2", (value,))
        both.run(f"SELECT count(*) FROM u JOIN t USING ({column})")
        if viewed:
            both.run(f"SELECT id FROM v WHERE {column} = ? ORDER BY id", (value,))
            both.run(f"SELECT id FROM w WHERE {column} = ? ORDER BY id", (value,))
            both.run(f"SELECT id FROM w WHERE c2 = {column} ORDER BY id")
        both.run(f"UPDATE t SET id = id WHERE {column} = ? AND {other} = {literal(value)} RETURNING id", (value,))
        both.run(f"UPDATE u SET id = u.id FROM t WHERE t.{column} = u.{other} AND t.id = 7 RETURNING u.id")
        both.run(f"DELETE FROM t WHERE {column} = ? AND id = 3", (value,))


ROWS = 2000
# What is asked of 2,000 rows, each value twice, and what is found; i is INTEGER, s TEXT, n has no type.
NARROW: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("SELECT id FROM t WHERE n = ?", (5,)),
    ("SELECT id FROM t WHERE n = 5", ()),
    ("SELECT id FROM t WHERE n IS ?", (5.0,)),
    ("SELECT id FROM t WHERE n IN (?, 5, 5.0)", (5,)),
    ("SELECT id FROM t WHERE n >= ? AND n <= 5", (5,)),
    ("SELECT id FROM t WHERE s = ?", (5,)),
    ("SELECT id FROM t WHERE s = 5", ()),
    ("SELECT id FROM t WHERE s IN (5, ?)", (5,)),
    ("UPDATE t SET x = i WHERE s = ? RETURNING id", (5,)),
    ("SELECT y.id FROM t x JOIN t y ON y.n = x.i WHERE x.id = 5", ()),
    ("SELECT y.id FROM t x JOIN t y ON y.n = x.n WHERE x.id = 5", ()),
    ("SELECT y.id FROM t x JOIN t y ON y.i = x.s WHERE x.id = 5", ()),
    ("SELECT id FROM t WHERE n IN (SELECT i FROM t WHERE id = 5)", ()),
    ("SELECT id FROM t WHERE s = (SELECT s FROM t WHERE id = 5)", ()),
)


@pytest.mark.parametrize(("sql", "parameters"), NARROW)
def test_no_more_is_visited_than_is_found(db: driver.Connection, sql: str, parameters: tuple[Any, ...]) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, s TEXT, n, x)")
    for column in ("i", "s", "n"):
        db.execute(f"CREATE INDEX t_{column} ON t({column})")
    values = [(i, i % 1000, str(i % 1000), i % 1000) for i in range(ROWS)]
    db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, 0)", values)
    db.commit()
    before = visited(db)
    found = db.execute(sql, parameters).fetchall()
    assert sorted(found) == [(5,), (1005,)]
    assert visited(db) - before < 25


def test_a_join_of_columns_without_types_is_not_quadratic(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, b)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, ROWS - i) for i in range(ROWS)])
    db.commit()
    before = visited(db)
    assert rows(db, "SELECT count(*) FROM t x JOIN t y ON x.a = y.b") == [(ROWS - 1,)]
    assert visited(db) - before < 10 * ROWS


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a = ?", False), ("? = a", False), ("a == 'x'", False), ("a IS NULL", False), ("a IS NOT -5", False),
        ("a = lower(b)", False), ("a IN (1, ?, 'x')", False), ("a IN ()", False), ("a < b", False), ("a <> b", False),
        ("a IS NOT DISTINCT FROM ?", False), ("a IN (?, ?, ?)", False), ("a = ? AND b = 5 OR c IN (-1)", False),
        ("a = b", True), ("a == b", True), ("a IS b", True), ("a IS NOT DISTINCT FROM b", True), ("a IN (1, b)", True),
        ("a IN (SELECT b FROM t)", True), ("a IN t", True), ("a = CAST(? AS INT)", True), ("a = +b", True),
        ("(a, b) = (?, ?)", True), ("a = (SELECT b FROM u)", True), ("a = CASE WHEN 1 THEN b END", True),
        ("a IS TRUE", True), ("a COLLATE NOCASE = b", True), ("a IN (VALUES (1))", True), ("a = \"5\"", True),
        ("a = b OR a = ?", True),
    ],
)  # fmt: skip
def test_equalities_with_columns_are_recognised(condition: str, expected: bool) -> None:
    for sql in ("SELECT 1 FROM t WHERE {}", "UPDATE t SET x = y, z = x WHERE {}", "DELETE FROM t WHERE {}"):
        assert bool(parse(sql.format(condition)).compares & lib.EDB_EQUAL_BY_COLUMN) is expected, sql
    for joined in ("t JOIN u USING (a)", "t NATURAL JOIN u", "t, u"):
        assert parse(f"SELECT 1 FROM {joined} WHERE {condition}").compares & lib.EDB_EQUAL_BY_COLUMN, joined
