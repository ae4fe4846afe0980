"""Row values beside IN: found are the rows that plain SQLite finds.

SQLite loops over the list itself and compares again what a virtual table found, but without the affinity that the
subquery gives the comparison; a text column would lose rows that only equal a number as a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver
from entitydb_dialect.driver.sql.statement import parse

SCHEMA = [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT COLLATE NOCASE, n INTEGER, z)",
    "CREATE INDEX t_an ON t(a, n)",
    "CREATE INDEX t_ba ON t(b, a)",
    "CREATE INDEX t_a_bin ON t(b COLLATE BINARY)",
    "CREATE TABLE u(id INTEGER PRIMARY KEY, i INTEGER, x INTEGER, s TEXT, y)",
]
CONDITIONS = [
    "(a, n) IN (SELECT i, x FROM u)",
    "(a, n) NOT IN (SELECT i, x FROM u)",
    "(n, a) IN (SELECT x, i FROM u)",
    "(b, a) IN (SELECT i, i FROM u)",
    "(z, a) IN (SELECT i, i FROM u)",
    "(a, b) IN (SELECT s, upper(s) FROM u)",
    "(a, n) IN (VALUES ('12', 1), (12, 2))",
    "(t.id, b) IN (SELECT u.id, upper(u.s) FROM u)",
    "(a, n) IN (SELECT i, x FROM u WHERE u.id > t.id - 9)",
    "n > 0 AND ( a , n ) /* c */ IN -- d\n (SELECT i, x FROM u)",
]


class Both:
    """The same statements in EntityDB and in plain SQLite."""

    def __init__(self, mine: driver.Connection) -> None:
        self.mine, self.theirs = mine, apsw.Connection(":memory:")

    def run(self, sql: str, parameters: Any = ()) -> None:
        for connection in (self.mine, self.theirs):
            connection.cursor().execute(sql, parameters)

    def ask(self, sql: str) -> None:
        """Asked thrice: a text that is known is prepared by other code."""
        for _ in range(3):
            found = [sorted(map(tuple, connection.cursor().execute(sql).fetchall()), key=repr)
                     for connection in (self.mine, self.theirs)]
            assert found[0] == found[1], sql


@pytest.fixture
def both(connect: Callable[..., driver.Connection]) -> Both:
    both = Both(connect())
    for sql in SCHEMA:
        both.run(sql)
    for text in ("012", "12", "12.0", "abc", "ABC", " 12"):
        for n in (1, 2):
            both.run("INSERT INTO t(a, b, n, z) VALUES (?, ?, ?, ?)", (text, text, n, text))
    for i in (12, "abc", 1, 2):
        both.run("INSERT INTO u(i, x, s, y) VALUES (?, 1, ?, ?)", (i, str(i), i))
    return both


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_row_value_in_a_list_finds_what_sqlite_finds(both: Both, condition: str) -> None:
    both.ask(f"SELECT * FROM t WHERE {condition}")
    both.ask(f"SELECT id FROM t WHERE {condition}")
    both.ask(f"SELECT t.id, v.sv FROM (SELECT s AS sv FROM u) AS v CROSS JOIN t WHERE t.a = v.sv AND {condition}")
    both.run(f"UPDATE t SET z = 'found' WHERE {condition}")
    both.ask("SELECT * FROM t")
    both.run(f"DELETE FROM t WHERE {condition}")
    both.ask("SELECT * FROM t")


def test_a_row_value_in_a_temporary_view(both: Both) -> None:
    both.run("CREATE TEMP VIEW v AS SELECT * FROM main.t WHERE (a, n) IN (SELECT i, x FROM main.u)")
    both.ask("SELECT id FROM v")
    both.ask("SELECT t.id FROM v JOIN t ON t.a = v.a")


def test_a_list_behind_many_other_conditions(both: Both) -> None:
    """Beyond 32 conditions SQLite hands no list over, but loops over it as it does for row values."""
    for i in range(400):
        both.run("INSERT INTO t(a, n, z) VALUES (?, 1, 'x')", (f"x{i}",))
    both.mine.commit()
    many = " AND ".join(f"z > {i}" for i in range(40))
    both.ask(f"SELECT id FROM t WHERE {many} AND a IN (SELECT i FROM u)")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 WHERE (a, b) IN (SELECT 1, 2)", True),
        ("SELECT 1 WHERE NOT (a, b) NOT IN (VALUES (1, 2))", True),
        ("SELECT (a, (b)) IN t", True),
        ("DELETE FROM t WHERE ((a, f(b)) IN (SELECT 1, 2))", True),
        ("WITH c AS (SELECT 1 WHERE (a, b) IN (SELECT 1, 2)) SELECT * FROM c", True),
        ("SELECT 1 WHERE (SELECT a, b) IN (SELECT 1, 2)", True),
        ("SELECT 1 WHERE a IN (1, 2)", False),
        ("SELECT 1 WHERE (a) IN (1, 2)", False),
        ("SELECT 1 WHERE (f(a, b)) IN (1, 2)", False),
        ("SELECT 1 WHERE coalesce(a, b) IN (1, 2)", False),
        ("SELECT 1 WHERE (a, b) = (1, 2) AND c IN (1)", False),
        ("INSERT INTO t VALUES (1, 2)", False),
        ("SELECT ') IN ('", False),
        (") IN (", False),
    ],
)
def test_row_values_beside_in_are_recognised(sql: str, expected: bool) -> None:
    assert bool(parse(sql).compares & lib.EDB_ROW_IN) is expected
