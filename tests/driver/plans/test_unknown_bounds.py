"""A bound by a value that is not known leaves a quarter of the rows that are not NULL."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits


@pytest.fixture
def big(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, x INTEGER, y INTEGER)")
    db.execute("CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER, y INTEGER)")
    db.execute("CREATE INDEX b_a ON b(a)")
    db.execute("CREATE INDEX b_y ON b(y)")
    db.executemany("INSERT INTO a VALUES (?, ?, ?)", [(i, i, i if i % 40 == 0 else None) for i in range(1, 2001)])
    db.executemany("INSERT INTO b VALUES (?, ?, ?)", [(i, i * 3 % 2000, i if i % 40 == 0 else None)
                                                      for i in range(1, 2001)])
    db.execute("CREATE INDEX a_y ON a(y)")
    db.commit()
    return db


def test_few_rows_are_not_null(big: driver.Connection) -> None:
    """50 of 2,000 rows of a: they are joined to b, and not the 200 of b to a."""
    sql = "SELECT count(*) FROM a, b WHERE a.id = b.a AND a.y > ? AND b.id < 200"
    assert plan(big, sql, (1900,)).startswith("SEARCH a USING INDEX a_y (y>?)")
    assert visits(big, sql, (1900,)) <= 10


def test_most_rows_are_not_null(big: driver.Connection) -> None:
    sql = "SELECT count(*) FROM a, b WHERE a.id = b.a AND a.x > ? AND b.id < 200"
    assert plan(big, sql, (1900,)).startswith("SEARCH b USING INTEGER PRIMARY KEY (rowid<?)")
