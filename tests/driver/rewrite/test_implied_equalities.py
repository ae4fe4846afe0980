"""Equalities that follow from others are added where they are true of every row, and nowhere else."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, x INTEGER, s TEXT, z TEXT COLLATE NOCASE, v)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, x INTEGER, s TEXT, z TEXT COLLATE NOCASE, v)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, x INTEGER, s TEXT, z TEXT COLLATE NOCASE, v, only INTEGER)",
    "CREATE TABLE d(id INTEGER PRIMARY KEY, x INTEGER, other INTEGER)",
    "CREATE VIEW w AS SELECT * FROM b",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    values: list[Any] = [None, 1, 1, 2, 2.0, "1", "a", "A", b"a", 2**53, 2.0**53, 2**53 + 1]
    for table in "abc":
        more = ", NULL" if table == "c" else ""
        for i in range(1, 9):
            found.run(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?{more})", [i, *(rng.choice(values) for _ in range(4))])
    found.run("UPDATE c SET only = id")
    for i in range(1, 9):
        found.run("INSERT INTO d VALUES (?, ?, ?)", [i, rng.choice(values), rng.randrange(9)])
    return found


@pytest.mark.parametrize(("sql", "added"), [
    ("SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.x", ['"a"."x" = "c"."x"']),
    ("SELECT count(*) FROM a, b, c WHERE a.v = b.v AND c.v = b.v", ['"a"."v" = "c"."v"']),
    ("SELECT count(*) FROM a JOIN b ON a.s = b.s JOIN c ON (c.s = b.s)", ['"a"."s" = "c"."s"']),
    ("SELECT count(*) FROM a one JOIN b ON one.z = b.z JOIN c ON c.z = b.z AND c.id > 2 WHERE one.id > 1 OR c.id > 1",
     ['"one"."z" = "c"."z"']),
    ("SELECT count(*) FROM c, d, a WHERE only = other AND other = a.id", ['"c"."only" = "a"."id"']),
    ("SELECT count(*) FROM a LEFT JOIN d ON d.id = a.id, b, c WHERE a.x = b.x AND b.x = c.x", ['"a"."x" = "c"."x"']),
    ("SELECT count(*) FROM a JOIN b ON a.x = b.x JOIN c ON c.x = b.x LEFT JOIN d ON d.x = c.x", ['"a"."x" = "c"."x"']),
    ("SELECT id FROM d WHERE EXISTS (SELECT 1 FROM a, b, c WHERE a.id = b.id AND b.id = c.id AND c.x = d.x)",
     ['"a"."id" = "c"."id"']),
    ("SELECT count(*) FROM a, b, c, d WHERE a.x = b.x AND b.x = c.x AND c.x = d.x",
     ['"a"."x" = "c"."x"', '"a"."x" = "d"."x"', '"b"."x" = "d"."x"']),
    # 'only' is a text, though c has a column of the name.
    ("SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.x AND b.x = 'only'", ['"a"."x" = "c"."x"']),
])
def test_what_follows_is_added(both: Beside, sql: str, added: list[str]) -> None:
    assert text_to_run(both.mine, sql).count(" AND ") == sql.count(" AND ") + len(added)
    assert all(f" AND {term}" in text_to_run(both.mine, sql) for term in added)
    both.run(sql)


@pytest.mark.parametrize("sql", [
    "SELECT count(*) FROM a, b WHERE a.x = b.x AND b.x = a.id",                      # two tables
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.s = c.s",                    # other columns
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.v",                    # another affinity
    "SELECT count(*) FROM a, b, c WHERE a.s = b.s AND b.s = c.z",                    # another collation
    "SELECT count(*) FROM a, b, c WHERE a.s = b.z AND b.z = c.s",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x OR b.x = c.x",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND NOT b.x = c.x",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND (b.x = c.x) = 0",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = +c.x",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.x COLLATE NOCASE",
    "SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.x AND c.x = a.x",      # it is there
    "SELECT count(*) FROM a JOIN b ON a.x = b.x LEFT JOIN c ON b.x = c.x",
    "SELECT count(*) FROM a LEFT JOIN b ON a.x = b.x AND a.id = 3 LEFT JOIN c ON b.x = c.x",
    "SELECT count(*) FROM a JOIN w ON a.x = w.x JOIN c ON w.x = c.x",                # a view
    "WITH b AS (SELECT id + 1 AS x FROM a) SELECT count(*) FROM a, b, c WHERE a.x = b.x AND b.x = c.x",
    "SELECT count(*) FROM a, (SELECT v AS x FROM b) AS b, c WHERE a.x = b.x AND b.x = c.x",
    "SELECT (SELECT count(*) FROM b, c, d WHERE b.x = a.x AND a.x = c.x) FROM a",    # a is another query's
])
def test_nothing_is_added(both: Beside, sql: str) -> None:
    assert text_to_run(both.mine, sql) == sql
    both.run(sql)


@pytest.mark.slow
def test_answers_of_random_joins_are_those_of_sqlite(both: Beside, rng: random.Random) -> None:
    changed = 0
    for _ in range(150):
        tables = rng.sample("abcd", 3) if rng.random() < 0.7 else list("abcd")
        column = lambda table: f"{table}.{rng.choice(('x', 'id', 'x', 'other') if table == 'd' else 'xxszv')}"  # noqa: E731
        pairs = [f"{column(one)} = {column(other)}" for one, other in
                 (rng.sample(tables, 2) for _ in range(rng.randrange(2, 5)))]
        join = rng.choice((", ", " JOIN ", " LEFT JOIN "))
        if join == ", ":
            sql = f"{', '.join(tables)} WHERE {' AND '.join(pairs)}"
        else:
            sql = tables[0]
            for table in tables[1:]:
                sql += f"{rng.choice((join, ' JOIN '))}{table} ON {rng.choice([*pairs, '1'])}"
            sql += f" WHERE {' AND '.join(pairs[:2])}"
        ids = ", ".join(f"{table}.id" for table in tables)
        sql = f"SELECT {ids} FROM {sql} ORDER BY {ids}"
        changed += text_to_run(both.mine, sql) != sql
        both.run(sql)
    assert changed
