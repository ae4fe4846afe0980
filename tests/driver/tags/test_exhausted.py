"""Tags when memory or the temporary file fails: right or an error, nothing half done, and nothing forgotten."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from entitydb_dialect._native import lib

from engine.bare_pager import failpoint
from entitydb_dialect import driver

from ..test_exhausted_memory import in_use, memory_faults, run

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES "

SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, s TEXT TAG 's', v TEXT)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a(id) ON DELETE CASCADE, n INTEGER)",
    "INSERT INTO a VALUES (1, 'live', 'x'), (2, 'dead', 'y'), (3, NULL, 'z')",
    "INSERT INTO b VALUES (1, 1, 10), (2, 2, 20), (3, 2, 30)",
)
TAGGED = INSERT + "('a', 1, 'p'), ('a', 2, 'p'), ('b', 1, 'p'), ('b', 2, 'n:1'), ('b', 3, 'n:2'), ('a', 3, 'r')"
QUERIES = (
    "SELECT type, entity, tag, namespace, value, since IS NULL FROM entitydb_tags ORDER BY 1, 2, 3",
    "SELECT count(*) FROM entitydb_tags",
    "SELECT tag FROM entitydb_tags WHERE type = 'a' AND entity = 1 ORDER BY 1",
    "SELECT type, entity FROM entitydb_tags WHERE tag = 'p'",
    "SELECT entity FROM entitydb_tags WHERE namespace = 'n'",
    "SELECT entity FROM entitydb_tags WHERE namespace = 's' AND value = 'live'",
    "SELECT entity, tag FROM entitydb_tags WHERE type = 'b' AND tag GLOB 'n:*'",
    "SELECT entity FROM entitydb_tags WHERE tag >= 'n' AND tag < 'q'",
    "SELECT entity FROM entitydb_tagged('a', 'p')",
    "SELECT entity FROM entitydb_tagged('a', 'p & s:live')",
    "SELECT entity FROM entitydb_tagged('a', 's:* | r')",
    "SELECT entity FROM entitydb_tagged('a', '!\"p\" & !(r | nothing)')",
    "SELECT v FROM a WHERE id IN (SELECT entity FROM entitydb_tagged('a', '!s:dead')) ORDER BY v",
    "SELECT b.n, g.tag FROM b JOIN entitydb_tags g ON g.type = 'b' AND g.entity = b.id ORDER BY 1",
)
CHANGES = (
    INSERT + "('a', 3, 'p')",
    INSERT + "('a', 1, 'p'), ('a', 1, 'new'), ('b', 1, 'n:3')",
    INSERT + "('a', 99, 'p')",                                      # no row
    INSERT + "('a', 1, 'fine'), ('a', 1, ':')",                     # no tag
    INSERT + "('a', 1, 's:mine')",                                  # of a tag column
    INSERT + "('nobody', 1, 'p')",
    "INSERT INTO entitydb_tags(type, entity, tag) SELECT 'b', id, 'n:' || n FROM b",
    "INSERT INTO entitydb_tags(type, entity, tag) SELECT 'a', entity, 'n:' || tag FROM entitydb_tags WHERE type = 'a'",
    "DELETE FROM entitydb_tags WHERE tag = 'p'",
    "DELETE FROM entitydb_tags WHERE type = 'b'",
    "DELETE FROM a WHERE id = 2",
    "DELETE FROM a",
    "UPDATE a SET id = id + 10",
    "UPDATE a SET s = v",
    "UPDATE a SET s = NULL WHERE id = 1",
    "INSERT OR REPLACE INTO a VALUES (1, 'again', 'w'), (5, 'fifth', NULL)",
    "INSERT INTO a(id, s) VALUES (4, x'00')",                       # a blob is no tag
    "DROP TABLE b",
    "ALTER TABLE a ALTER COLUMN v SET TAG 'v'",
    "ALTER TABLE a ALTER COLUMN s DROP TAG",
    "ALTER TABLE a DROP COLUMN s",
    "ALTER TABLE a ADD COLUMN w TEXT DEFAULT 'new' TAG 'w'",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, s TEXT TAG 's')",
)


def contents(db: driver.Connection) -> Any:
    tables = [run(db, f"SELECT * FROM {name} ORDER BY 1") for name in sorted(db.catalog())]
    return tables, sorted(run(db, "SELECT type, entity, tag FROM entitydb_tags"))


@pytest.fixture(params=[True, False], ids=["tagged", "first tags"])
def db(connect: Connect, request: pytest.FixtureRequest) -> driver.Connection:
    """With the trees of tags, or without them: then the statement makes them, if it gives a tag."""
    db = connect()
    for sql in SCHEMA:
        db.execute(sql if request.param else sql.replace(" TAG 's'", ""))
    if request.param:
        db.execute(TAGGED)
    db.commit()
    return db


def outcome(db: driver.Connection, sql: str) -> tuple[Any, str | None]:
    try:
        return run(db, sql), None
    except driver.Error as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("statements", [QUERIES, CHANGES], ids=["queries", "changes"])
def test_statements(db: driver.Connection, rng: random.Random, statements: tuple[str, ...], on: bool) -> None:
    """A third of them, another one in each run."""
    before = contents(db)
    db.rollback()
    for sql in rng.sample(statements, len(statements) // 3):
        wanted, refused = outcome(db, sql)
        after = contents(db)
        db.rollback()
        used: list[int] = []
        while len(used) < 3 or used[-1] != used[-2]:  # the first ones make room that is kept
            assert len(used) < 8, (sql, used)
            for found, error in memory_faults(partial(run, db, sql), on):
                if error is None:
                    assert (found, refused) == (wanted, None), sql
                assert contents(db) == (after if error is None else before), (sql, error)
                db.rollback()
                assert contents(db) == before, (sql, error)
                db.rollback()
            assert (None if error is None else str(error)) == refused, sql
            used.append(in_use())


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_commits_that_are_compared_with_others(connect: Connect, on: bool) -> None:
    """Another transaction has changed rows and tags of the tables meanwhile, so that promises are judged and equal
    writes found equal."""
    db, other = connect(), connect()
    for sql in (*SCHEMA, TAGGED):
        db.execute(sql)
    db.commit()
    committed = 0
    n = 1
    while True:
        db.execute(INSERT + "('a', 1, ?), ('b', 3, 'both')", (f"kept:{n}",))
        db.execute("INSERT INTO a VALUES (?, 'own', NULL)", (1000 + n,))
        db.execute("DELETE FROM b WHERE id = ?", (n + 99,))
        other.execute("UPDATE a SET v = v || 'x' WHERE id = 2")
        other.execute("INSERT INTO b VALUES (?, 1, 0)", (n + 100,))
        other.execute(INSERT + "('a', 2, ?), ('b', 3, 'both')", (f"other:{n}",))
        other.commit()
        lib.test_alloc_fail(n, on)
        try:
            db.commit()
            committed += 1
            here = True
        except (driver.Error, MemoryError):
            here = False
        finally:
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
        db.rollback()
        kept = run(db, "SELECT entity FROM entitydb_tags WHERE namespace = 'kept'")
        assert len(kept) == committed
        assert run(db, "SELECT id FROM a WHERE id = ?".replace("?", str(1000 + n))) == ([(1000 + n,)] if here else [])
        db.rollback()
        if passed < n:
            break
        other.execute("DELETE FROM entitydb_tags WHERE tag = 'both'")
        other.commit()
        n += 1
    assert here


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_transactions_that_spill(tmp_path: Path, on: bool) -> None:
    database = driver.Database(tmp_path / "spill.edb", driver.Options(page_size=512, spill_bytes=1 << 12))
    db = driver.connect(database)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT TAG 's')")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"value {i % 7}") for i in range(40)])
    db.commit()

    def many() -> Any:
        db.executemany(INSERT + "('t', ?, ?)", [(i, f"n:{i % 9}") for i in range(40)])
        db.execute("UPDATE t SET s = s || '!', id = id + 100 WHERE id % 2 = 0")
        return run(db, "SELECT count(*), count(DISTINCT tag) FROM entitydb_tags")

    before = contents(db)
    db.rollback()
    for found, error in memory_faults(many, on):
        if error is None:
            assert found == [(80, 7 + 7 + 9)]
        db.rollback()
        assert contents(db) == before
        db.rollback()
    db.close()
    breaches, _ = database.check()
    database.close()
    assert breaches == []


@pytest.mark.parametrize("code", ["IO", "FULL"])
def test_a_temporary_file_that_fails(connect: Connect, code: str) -> None:
    """At each write of it: the statement fails, what the transaction did before stays."""
    db = connect(spill_bytes=1 << 12)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT TAG 's')")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"value {i % 7}") for i in range(100)])
    db.commit()
    before = contents(db)
    db.rollback()
    failed = 0
    for nth in range(1, 1000):
        passed = 0

        def at(name: str, nth: int = nth) -> str | None:
            nonlocal passed
            passed += name == "spill:write"
            return code if name == "spill:write" and passed == nth else None

        with failpoint(at):
            db.execute("SAVEPOINT s")
            try:
                db.execute("INSERT INTO entitydb_tags(type, entity, tag) SELECT 't', id, 'n:' || id FROM t")
                db.execute("UPDATE t SET s = s || '!'")
                db.execute("DELETE FROM t WHERE id % 3 = 0")
            except driver.OperationalError as error:
                assert error.engine_name == code
                failed += 1
        db.rollback()
        assert contents(db) == before
        db.rollback()
        if passed < nth:
            break
    assert failed > 3
