"""What is done a thousand times leaves no more in use than what is done once: blocks of the engine, counted."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver


def in_use() -> int:
    gc.collect()
    return int(lib.test_alloc_live())


def connections(db: driver.Connection, path: Path, n: int) -> None:
    other = driver.connect(path)
    other.execute("INSERT INTO t(v) VALUES (?)", (f"other {n}",))
    other.execute("SELECT * FROM t")
    other.commit() if n % 2 else other.close()
    other.close()


def databases(db: driver.Connection, path: Path, n: int) -> None:
    memory = driver.connect(":memory:")
    memory.execute("CREATE TABLE t(a PRIMARY KEY, CHECK (a > 0))")
    memory.execute("INSERT INTO t VALUES (1)")
    memory.commit() if n % 2 else memory.rollback()
    memory.close()


def errors(db: driver.Connection, path: Path, n: int) -> None:
    for sql in (
        "SELECT nothing FROM t", "INSERT INTO t(id, v) VALUES ('x', 1)", "INSERT INTO t(v, w) VALUES ('v', -1)",
        "INSERT INTO t(v, p) VALUES ('o', -1)", "UPDATE t SET id = 1", "DROP TABLE nothing", "CREATE TABLE t(a)",
        "INSERT INTO t(v) VALUES ('r') RETURNING abs(-9223372036854775807 - 1)", "CREATE INDEX i ON t(nothing)",
        "INSERT INTO t(id, v) VALUES (1, 'a') ON CONFLICT(id) DO UPDATE SET w = -1", "ALTER TABLE t DROP COLUMN id",
        "SELECT abs(-9223372036854775807 - 1) FROM t",
    ):
        try:
            db.execute(sql).fetchall()
        except driver.Error:
            continue
        raise AssertionError(sql)
    db.rollback()


def definitions(db: driver.Connection, path: Path, n: int) -> None:
    db.execute("CREATE TABLE made(a PRIMARY KEY, b REFERENCES t(id) DEFAULT 1, CHECK (a <> 'x'))")
    db.execute("INSERT INTO made(a) VALUES (1)")
    db.execute("ALTER TABLE made ADD COLUMN c DEFAULT (1 + 1)")
    db.execute("INSERT INTO made(a) VALUES (2)")
    db.execute("CREATE INDEX made_b ON made(b)")
    db.execute("CREATE VIEW seen AS SELECT a FROM made")
    if n % 3 == 0:
        db.rollback()
        return
    db.commit()
    db.execute("DROP VIEW seen")
    db.execute("DROP TABLE made")
    db.commit()


def expressions(db: driver.Connection, path: Path, n: int) -> None:
    """What is prepared for ON CONFLICT is kept, but not for ever."""
    sql = f"INSERT INTO t(id, v) VALUES (1, 'a') ON CONFLICT(id) DO UPDATE SET w = {n % 100 + 1} RETURNING w"
    assert db.execute(sql).fetchall() == [(n % 100 + 1,)]
    db.rollback()


def cursors(db: driver.Connection, path: Path, n: int) -> None:
    first, second = db.cursor(), db.cursor()
    first.execute("SELECT * FROM t ORDER BY w, v").fetchone()
    second.as_of = db.last_commit[1] or None
    second.execute("SELECT id FROM t WHERE v > 'a'").fetchone()
    db.execute("SAVEPOINT s")
    db.execute("UPDATE t SET w = 1")
    db.execute("DELETE FROM t WHERE id > 1")
    db.execute("ROLLBACK TO s")
    if n % 2:
        first.close()
    db.rollback()


@pytest.mark.slow
@pytest.mark.parametrize("act", [connections, databases, errors, definitions, expressions, cursors])
def test_memory_in_use_does_not_grow(
    connect: Callable[..., driver.Connection], path: Path, act: Callable[[driver.Connection, Path, int], None]
) -> None:
    nothing = in_use()
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE, w DEFAULT 1 CHECK (w > 0), p REFERENCES t(id))")
    db.execute("INSERT INTO t(v) VALUES ('a'), ('b')")
    db.commit()
    seen = []
    for round_ in range(3):
        for n in range(120):
            act(db, path, n + 120 * round_)
        seen.append(in_use())
    # SQLite caches a hundred statements and apsw others: the first round fills them.
    assert seen[1] == seen[2], seen
    db.close()
    assert in_use() == nothing
