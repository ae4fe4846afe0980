"""A COMMIT happens, or SQLite may still refuse it; and constraints made later say nothing of before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]


def test_a_commit_that_a_hook_vetoes_leaves_nothing(connect: Connect) -> None:
    """The engine has prepared it by then."""
    db = connect(isolation_level=None)
    db.execute("CREATE TABLE t(a)")
    before = db.last_commit
    db.apsw.set_commit_hook(lambda: True)
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(driver.Error):
        db.execute("COMMIT")
    db.apsw.set_commit_hook(None)
    if db.in_transaction:
        db.execute("ROLLBACK")
    for connection in (db, connect()):
        assert connection.execute("SELECT * FROM t").fetchall() == []
    assert db.last_commit == before
    db.execute("INSERT INTO t VALUES (2)")
    assert connect().execute("SELECT * FROM t").fetchall() == [(2,)]


@pytest.mark.parametrize("first", ["ours", "sqlite"])
def test_a_transaction_cannot_write_a_sqlite_file_beside_ours(connect: Connect, tmp_path: Path, first: str) -> None:
    """SQLite could refuse its own file's part when ours is durable already."""
    plain = sqlite3.connect(tmp_path / "plain.db")
    plain.execute("CREATE TABLE s(a)")
    plain.commit()
    plain.close()
    db = connect(isolation_level=None)
    db.execute("CREATE TABLE t(a)")
    db.execute(f"ATTACH '{tmp_path / 'plain.db'}' AS p")
    changes = ["INSERT INTO t VALUES (1)", "INSERT INTO p.s VALUES (2)"]
    if first == "sqlite":
        changes.reverse()
    db.execute("BEGIN")
    db.execute(changes[0])
    assert db.execute("SELECT count(*) FROM t, p.s").fetchall() == [(0,)]
    with pytest.raises(driver.NotSupportedError, match="one database file"):
        db.execute(changes[1])
    db.execute("COMMIT")
    found = db.execute("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM p.s)").fetchall()
    assert found == [(1, 0) if first == "ours" else (0, 1)]
    db.execute(changes[1])


ADDITIONS = (
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL", "CREATE UNIQUE INDEX ta ON t(a)", "CREATE INDEX tb ON t(b, a)",
    "ALTER TABLE t ADD CONSTRAINT one UNIQUE (b)", "CREATE INDEX part ON t(b) WHERE a > 0",
    "CREATE INDEX low ON t(lower(b))",
)  # fmt: skip
SHAPES = (
    "a IS NULL", "a IS NOT NULL", "a = 1", "a = 1 OR a IS NULL", "a IN (1, 2)", "b = 'x'", "b = 'x' AND a = 1", "a > 0",
    "b >= 'x' AND a > 0", "lower(b) = 'x'", "(a, b) = (1, 'x')", "a = 1 AND b IS NULL", "a BETWEEN 1 AND 2",
    "NOT a = 1",
    "a IN (SELECT a FROM t)", "EXISTS (SELECT 1 FROM t AS o WHERE o.a = t.a AND o.id <> t.id)", "b LIKE 'X'",
)


@pytest.mark.parametrize("warm", [True, False])
def test_constraints_and_indexes_made_later_say_nothing_of_before(connect: Connect, warm: bool) -> None:
    """warm: the statements were prepared for the table as it is now, and have run."""
    rows = [(1, 1, "x"), (2, 1, "x"), (3, None, "x"), (4, 2, None), (5, None, None), (6, 2, "X"), (7, 0, "y")]
    queries = [
        f"SELECT {listed} FROM t WHERE {shape} ORDER BY {order}"
        for shape in SHAPES for listed, order in (("id", "id"), ("a, b", "a, b, id"), ("count(*), min(a), max(b)", "1"))
    ]
    plain = sqlite3.connect(":memory:")
    db = connect()
    for connection in (plain, db):
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.commit()
    then = db.last_commit[1]
    db.execute("DELETE FROM t WHERE id IN (2, 3, 5, 6)")
    for sql in ADDITIONS:
        db.execute(sql)
    db.commit()
    plain_now: Any = sqlite3.connect(":memory:")
    plain_now.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT)")
    plain_now.executemany("INSERT INTO t VALUES (?, ?, ?)", [row for row in rows if row[0] in (1, 4, 7)])
    cursor = db.cursor()
    for sql in queries:
        if warm:
            assert db.execute(sql).fetchall() == plain_now.execute(sql).fetchall(), sql
        cursor.as_of = then
        assert cursor.execute(sql).fetchall() == plain.execute(sql).fetchall(), sql
        cursor.as_of = None
        assert cursor.execute(sql).fetchall() == plain_now.execute(sql).fetchall(), sql
