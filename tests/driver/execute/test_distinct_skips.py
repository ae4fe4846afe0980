"""DISTINCT over an index reads one entry of each value, where values with equal keys are the same to everybody."""

from __future__ import annotations

from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import plan, visited
from ..beside import Beside

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, v, r REAL, a INTEGER, b TEXT, c INTEGER,"
    " n NUMERIC)",
    *(f"CREATE INDEX t_{i} ON t({columns})" for i, columns in enumerate(("name", "v", "r", "a", "a, b, c", "n"))),
    "CREATE TABLE k(n TEXT)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    found = Beside(db, *SCHEMA)
    names = ("Alice", "alice", "Bob", "bob", "carol")
    numbers: tuple[Any, ...] = (1, 1.0, 2, 2.5, "1", "2.5", None, b"1")
    for one in (found.mine, found.theirs):
        one.executemany(
            "INSERT INTO t(name, v, r, a, b, c, n) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(names[i % 5], numbers[i % 8], i % 3, i % 3, str(i % 7), i % 11, numbers[i % 7]) for i in range(2000)],
        )
        one.executemany("INSERT INTO k VALUES (?)", [("alice",), ("bob",)])
    found.mine.commit()
    return found


@pytest.mark.parametrize("sql", ["SELECT DISTINCT a FROM t", "SELECT DISTINCT a, b FROM t", "SELECT DISTINCT n FROM t",
                                 "SELECT DISTINCT a FROM t WHERE a > 0 ORDER BY a DESC"])
def test_one_entry_of_each_value_is_read(both: Beside, sql: str) -> None:
    before = visited(both.mine)
    rows = both.mine.execute(sql).fetchall()
    assert visited(both.mine) - before < 60
    assert "SKIPPING DUPLICATES" in plan(both.mine, sql)
    assert sorted(map(repr, rows)) == sorted(map(repr, both.theirs.execute(sql)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM (SELECT DISTINCT name FROM t WHERE name GLOB 'a*')",
        "SELECT count(*) FROM (SELECT DISTINCT name FROM t WHERE name = 'bob' COLLATE BINARY)",
        "SELECT count(*) FROM (SELECT DISTINCT name FROM t WHERE hex(name) = '626F62' ORDER BY name)",
        "SELECT count(*) FROM (SELECT DISTINCT t.name FROM t JOIN k ON k.n = t.name)",
        "SELECT count(*) FROM (SELECT DISTINCT v FROM t WHERE typeof(v) = 'real')",
        "SELECT count(*) FROM (SELECT DISTINCT n FROM t WHERE typeof(n) = 'integer')",
        "SELECT count(*) FROM (SELECT DISTINCT r FROM t WHERE r < 2)",
        "SELECT DISTINCT a, b, c FROM t WHERE a = 1 AND b = 5 ORDER BY a, b, c",
        "SELECT DISTINCT a, b, c FROM t WHERE a = 1 AND b = 5 ORDER BY a DESC, b DESC, c DESC",
    ],
)
def test_conditions_that_tell_equal_keys_apart_are_heard(both: Beside, sql: str) -> None:
    assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql))


def test_values_in_a_list_sorted_without_constants_end(both: Beside) -> None:
    sql = "SELECT DISTINCT a, b, c FROM t WHERE a = 1 AND b = 5"
    assert sorted(both.mine.execute(sql).fetchall()) == sorted(both.theirs.execute(sql))
