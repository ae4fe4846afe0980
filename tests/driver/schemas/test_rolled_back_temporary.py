"""TEMP tables that a rollback takes away or brings back: names mean what SQLite means by them."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import rows


@pytest.fixture(autouse=True)
def table(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(v INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    db.commit()


def undo(db: driver.Connection, how: str) -> None:
    if how == "ROLLBACK":
        db.rollback()
    else:
        db.execute("ROLLBACK TO s")


@pytest.mark.parametrize("how", ["ROLLBACK", "ROLLBACK TO"])
def test_one_that_is_taken_away(db: driver.Connection, how: str) -> None:
    for _ in range(2):
        db.execute("SAVEPOINT s")
        db.execute("CREATE TEMP TABLE t(v INTEGER PRIMARY KEY)")
        assert rows(db, "SELECT count(*) FROM t") == [(0,)]
        undo(db, how)
        assert rows(db, "SELECT count(*) FROM t") == [(2,)]
        sql = "INSERT INTO t VALUES (1) ON CONFLICT (v) DO UPDATE SET v = excluded.v + 10 RETURNING v"
        assert db.execute(sql).fetchall() == [(11,)]
        db.rollback()


@pytest.mark.parametrize("how", ["ROLLBACK", "ROLLBACK TO"])
@pytest.mark.parametrize("what", ["TABLE", "VIEW"])
def test_one_that_is_brought_back(db: driver.Connection, how: str, what: str) -> None:
    db.execute(f"CREATE TEMP {what} t{'(v)' if what == 'TABLE' else ' AS SELECT 1 AS v WHERE false'}")
    db.commit()
    for _ in range(2):
        assert rows(db, "SELECT count(*) FROM t") == [(0,)]
        db.execute("SAVEPOINT s")
        db.execute(f"DROP {what} temp.t")
        assert rows(db, "SELECT count(*) FROM t") == [(2,)]
        undo(db, how)
        assert rows(db, "SELECT count(*) FROM t") == [(0,)]
        db.rollback()
