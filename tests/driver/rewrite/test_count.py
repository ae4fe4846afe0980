"""A bare count(*) is answered from the tree; everything else is counted by SQLite. Both must agree."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.rewrite.shortcuts import Counted, shortcut
from entitydb_dialect.driver.sql.statement import parse


@pytest.mark.parametrize(
    ("sql", "label"),
    [
        ("SELECT count(*) FROM t", "count(*)"),
        ("select COUNT ( * ) as n from main.t;", "n"),
        ('SELECT count(*) AS "a b" FROM "T" AS x', "a b"),
        ("SELECT count(*) n FROM t x", "n"),
        ("/* why */ SELECT count(*) FROM [t] -- done", "count(*)"),
    ],
)
def test_bare_counts_are_known(sql: str, label: str) -> None:
    counted = shortcut(parse(sql))
    assert isinstance(counted, Counted)
    assert counted.label == label
    assert counted.table.lower() == "t"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM t WHERE a",
        "SELECT count(*), 1 FROM t",
        "SELECT count(a) FROM t",
        "SELECT count(*) + 1 FROM t",
        "SELECT count(*) FROM t, u",
        "SELECT count(*) FROM t x JOIN u",
        "SELECT count(*) FROM t LIMIT 0",
        "SELECT count(*) FROM t UNION SELECT 1",
        "SELECT count(*) FROM t NATURAL JOIN u",
        "SELECT count(*) FROM t; SELECT 1",
        "SELECT count(*) FROM (SELECT 1)",
        "SELECT count(*) OVER () FROM t",
        "SELECT count(*) FILTER (WHERE a) FROM t",
        "SELECT DISTINCT count(*) FROM t",
        "WITH t AS (SELECT 1) SELECT count(*) FROM t",
        "SELECT count(*) FROM t GROUP BY a",
        "SELECT count(*) FROM t('x')",
        "SELECT count(*)",
        "SELECT count(*) FROM",
    ],
)
def test_other_statements_are_sqlites(sql: str) -> None:
    assert shortcut(parse(sql)) is None


def both(cursor: driver.Cursor) -> int:
    known = cursor.execute("SELECT count(*) FROM t").fetchall()
    assert known == cursor.execute("SELECT count(*) FROM t WHERE 1").fetchall()
    return int(known[0][0])


def test_counts_follow_own_writes_and_moments(db: driver.Connection) -> None:
    cursor = db.cursor()
    cursor.execute("CREATE TABLE t (a)")
    db.commit()
    moments = []
    for i in range(1, 60):
        cursor.executemany("INSERT INTO t VALUES (?)", [(k,) for k in range(i)])
        cursor.execute("DELETE FROM t WHERE a % 3 = ?", (i % 3,))
        inside = both(cursor)
        db.commit()
        assert both(cursor) == inside
        moments.append((db.last_commit[1], inside))
    for moment, rows in moments:
        cursor.as_of = moment
        assert both(cursor) == rows
    cursor.as_of = None
    assert cursor.execute("SELECT count(*) AS n FROM t").description[0][0] == "n"


def test_counts_of_temporary_tables_are_theirs(db: driver.Connection) -> None:
    cursor = db.cursor()
    cursor.execute("CREATE TABLE t (a)")
    cursor.execute("INSERT INTO t VALUES (1)")
    assert both(cursor) == 1
    cursor.execute("CREATE TEMP TABLE t (a)")
    assert both(cursor) == 0
    assert cursor.execute("SELECT count(*) FROM main.t").fetchall() == [(1,)]


def test_a_count_before_the_table_is_an_error(db: driver.Connection) -> None:
    cursor = db.cursor()
    cursor.execute("CREATE TABLE earlier (a)")
    db.commit()
    moment = db.last_commit[1]
    cursor.execute("CREATE TABLE t (a)")
    db.commit()
    cursor.as_of = moment
    with pytest.raises(driver.OperationalError, match=r"no such table: t at .* first moment"):
        cursor.execute("SELECT count(*) FROM t")
