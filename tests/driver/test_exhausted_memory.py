"""Every allocation of the engine fails once, in statements of every kind: the answer is right or an error.

An error leaves nothing of the statement, no allocation is forgotten, and the file is whole. SQLite is run beside.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver

SCHEMA = (
    "CREATE TABLE parent(id INTEGER PRIMARY KEY, code TEXT COLLATE NOCASE UNIQUE, n REAL DEFAULT (abs(-2)), w NOT NULL"
    " DEFAULT 'w')",
    "CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent(id) ON DELETE CASCADE ON UPDATE CASCADE,"
    " q TEXT DEFAULT 'A' REFERENCES parent(code) ON DELETE SET DEFAULT ON UPDATE SET NULL, v CHECK (v > 0))",
    "CREATE INDEX child_p ON child(p, v DESC)",
    "CREATE UNIQUE INDEX child_v ON child(v)",
    "CREATE TABLE late(a TEXT PRIMARY KEY, p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED) WITHOUT ROWID",
    "CREATE TABLE big(id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE doubled(id INTEGER PRIMARY KEY, v, twice AS (v * 2) UNIQUE,"
    " said TEXT AS ('v' || v) STORED CHECK (said <> ''))",
    "CREATE INDEX doubled_few ON doubled(v) WHERE v > 100",
    "INSERT INTO parent(id, code) VALUES (1, 'A'), (2, 'B'), (3, 'C')",
    "INSERT INTO child(id, p, q, v) VALUES (1, 1, 'a', 10), (2, 2, 'b', 20), (3, 2, 'c', 30), (4, 3, NULL, 40)",
    "INSERT INTO late VALUES ('x', 1), ('y', 3)",
    "INSERT INTO big VALUES (1, zeroblob(3000)), (2, 'short')",
    "INSERT INTO doubled VALUES (1, 10), (2, 200), (3, 300)",
)
# Row ids are written out: ours are never given twice, whatever was rolled back.
QUERIES = (
    "SELECT * FROM parent ORDER BY id",
    "SELECT count(*) FROM child",
    "SELECT v FROM child WHERE p = 2 ORDER BY v DESC",
    "SELECT id FROM child WHERE p BETWEEN 1 AND 2 AND v > 5 ORDER BY p, v",
    "SELECT q, count(*), group_concat(v) FROM child GROUP BY q ORDER BY q",
    "SELECT c.id, d.id FROM child c JOIN parent d ON d.code = c.q ORDER BY c.id",
    "SELECT c.id, (SELECT max(v) FROM child WHERE p = c.p) FROM child c ORDER BY 1",
    "SELECT id FROM child WHERE p IN (1, 3) ORDER BY id",
    "SELECT id, length(v) FROM big ORDER BY id",
    "SELECT a FROM late WHERE a > 'x'",
    "SELECT code FROM parent WHERE code = 2 OR code = 'b'",
    "SELECT id FROM child WHERE v = '30'",
    "SELECT id, said FROM doubled WHERE v > 100 ORDER BY v",
    "SELECT id FROM doubled WHERE twice = 400",
)
CHANGES = (
    "INSERT INTO parent(id, code) VALUES (4, 'D')",
    "INSERT INTO parent(id, code, n) VALUES (4, 'E', '1.5'), (5, 'F', 7), (6, 'G', 'text')",
    "INSERT INTO child VALUES (5, 1, 'B', 50), (6, 3, 'C', 60)",
    "INSERT INTO child SELECT 10 + id, id, code, 100 + id FROM parent ORDER BY id",
    "INSERT INTO child(id, p, v) VALUES (5, 9, 70)",                # no parent
    "INSERT INTO child(id, p, v) VALUES (5, 1, -1)",                # CHECK
    "INSERT INTO child(id, p, v) VALUES (5, 1, 10)",                # not unique
    "INSERT INTO parent(id, w) VALUES (7, NULL)",
    "INSERT OR REPLACE INTO child(id, p, v) VALUES (1, 2, 20)",
    "INSERT OR REPLACE INTO parent(id, code) VALUES (9, 'b')",      # takes parent 2, and its children go
    "INSERT OR IGNORE INTO child(id, p, v) VALUES (5, 1, 10), (6, 1, 11)",
    "INSERT INTO child(id, p, v) VALUES (1, 1, 1), (5, 1, 99) ON CONFLICT(id) DO UPDATE SET v = v + excluded.v, q = 'C'"
    " WHERE v < 100 RETURNING id, v, q",
    "INSERT INTO child(id, p, v) VALUES (1, 1, 1), (8, 1, 8) ON CONFLICT DO NOTHING RETURNING *",
    "UPDATE child SET v = v + 1 WHERE p = 2",
    "UPDATE child SET p = 1 RETURNING id, p",
    "UPDATE parent SET id = 12 WHERE id = 2",
    "UPDATE parent SET code = 'Z' WHERE id = 2",
    "UPDATE parent SET n = (SELECT max(v) FROM child WHERE p = parent.id)",
    "UPDATE child SET q = d.code FROM parent d WHERE d.id = child.p",
    "UPDATE big SET v = v || 'longer' WHERE id = 1",
    "DELETE FROM parent WHERE id = 2",
    "DELETE FROM parent WHERE id = 3",                              # late refers to it until COMMIT
    "DELETE FROM child WHERE v > 15 RETURNING v",
    "DELETE FROM big",
    "INSERT INTO doubled VALUES (4, 400), (5, 5)",
    "INSERT INTO doubled VALUES (4, 10)",                              # not unique, once doubled
    "UPDATE doubled SET v = v + 95 RETURNING said",
    "INSERT INTO doubled VALUES (1, 50) ON CONFLICT(id) DO UPDATE SET v = excluded.v + v",
)
DDL = (
    "CREATE TABLE more(a PRIMARY KEY, b REFERENCES parent(id), CHECK (a <> b), UNIQUE (b, a))",
    "CREATE TABLE copied AS SELECT id, v FROM child",
    "CREATE INDEX parent_n ON parent(n, code)",
    "CREATE UNIQUE INDEX late_p ON late(p)",
    "CREATE VIEW seen AS SELECT code FROM parent",
    "ALTER TABLE child ADD COLUMN added INTEGER DEFAULT 5",
    "ALTER TABLE child RENAME COLUMN v TO value",
    "ALTER TABLE parent RENAME TO elder",
    "ALTER TABLE parent DROP COLUMN w",
    "CREATE INDEX child_few ON child(p) WHERE v > 15",
    "ALTER TABLE big ADD COLUMN size AS (length(v))",
    "DROP INDEX child_p",
    "DROP TABLE child",
)
TABLES = ("parent", "child", "late", "big", "doubled")

Run = Callable[[Any], Any]


def run(connection: Any, sql: str) -> Any:
    return [tuple(row) for row in connection.execute(sql).fetchall()]


def contents(connection: Any) -> list[Any]:
    return [run(connection, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]


def memory_faults(act: Callable[[], Any], on: bool) -> Iterator[tuple[Any, Exception | None]]:
    """Runs it with its first allocation failing, then with the second, until none is left. -> result, error."""
    for n in itertools.count(1):
        error: Exception | None = None
        found = None
        lib.test_alloc_fail(n, on)
        try:
            found = act()
        except (driver.Error, MemoryError) as failure:
            error = failure
        finally:
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
        yield found, error
        if passed < n:
            return


def in_use() -> int:
    gc.collect()
    return int(lib.test_alloc_live())


@pytest.fixture
def both(connect: Callable[..., driver.Connection]) -> tuple[driver.Connection, apsw.Connection]:
    db, theirs = connect(), apsw.Connection(":memory:")
    theirs.execute("PRAGMA foreign_keys = ON")
    for sql in SCHEMA:
        db.execute(sql)
        theirs.execute(sql)
    db.commit()
    return db, theirs


def outcome(act: Callable[[], Any]) -> tuple[Any, str | None]:
    try:
        return act(), None
    except (driver.Error, apsw.Error) as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("statements", [QUERIES, CHANGES], ids=["queries", "changes"])
def test_statements(
    both: tuple[driver.Connection, apsw.Connection], rng: random.Random, statements: tuple[str, ...], on: bool
) -> None:
    """A third of them, another one in each run."""
    db, theirs = both
    before = contents(db)
    for sql in rng.sample(statements, len(statements) // 3):
        theirs.execute("SAVEPOINT s")
        wanted, refused = outcome(partial(run, theirs, sql))
        after = contents(theirs)
        theirs.execute("ROLLBACK TO s; RELEASE s")
        used: list[int] = []
        while len(used) < 3 or used[-1] != used[-2]:  # the first ones make room that is kept
            assert len(used) < 8, (sql, used)
            for found, error in memory_faults(partial(run, db, sql), on):
                if error is None:
                    assert refused is None, sql
                    assert sorted(found, key=repr) == sorted(wanted, key=repr), sql
                assert contents(db) == (after if error is None else before), (sql, error)
                db.rollback()
                assert contents(db) == before, (sql, error)
                db.rollback()
            # The last one met no fault.
            assert (None if error is None else str(error)) == refused, sql
            used.append(in_use())


def schema(db: driver.Connection) -> Any:
    return run(db, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"), sorted(db.catalog())


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_definitions(both: tuple[driver.Connection, apsw.Connection], on: bool) -> None:
    db, _ = both
    before, rows = schema(db), contents(db)
    for sql in DDL:
        after = None
        for attempt in range(2):
            for _, error in memory_faults(partial(run, db, sql), on):
                if error is None and attempt:
                    assert schema(db) == after, sql
                elif error is not None:
                    assert schema(db) == before, (sql, error)
                else:
                    after = schema(db)
                db.rollback()
                assert schema(db) == before, (sql, error)
                assert contents(db) == rows, (sql, error)
                db.rollback()
            assert error is None, sql


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_commits(both: tuple[driver.Connection, apsw.Connection], on: bool) -> None:
    """Rows, a definition and a promise; each round writes others, since some may commit."""
    db, _ = both
    db.execute("CREATE TABLE kept(n INTEGER PRIMARY KEY)")
    db.commit()
    kept: list[int] = []
    for n in itertools.count(1):
        db.execute("INSERT INTO kept VALUES (?)", (n,))
        db.execute(f"CREATE TABLE made_{n}(a UNIQUE)")
        db.execute(f"INSERT INTO made_{n} VALUES ('x')")
        db.execute("INSERT INTO late VALUES (?, 1)", (f"late {n}",))
        db.execute("UPDATE big SET v = zeroblob(2000 + ?) WHERE id = 1", (n,))
        lib.test_alloc_fail(n, on)
        try:
            db.commit()
            kept.append(n)
        except (driver.Error, MemoryError):
            pass
        finally:
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
        db.rollback()
        assert [k for (k,) in run(db, "SELECT n FROM kept ORDER BY n")] == kept
        assert len(run(db, "SELECT name FROM sqlite_master WHERE name LIKE 'made%' AND type = 'table'")) == len(kept)
        assert len(run(db, "SELECT a FROM late WHERE a LIKE 'late %'")) == len(kept)
        db.rollback()
        if passed < n:
            break
    assert n in kept


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_batches_savepoints_and_the_past(both: tuple[driver.Connection, apsw.Connection], on: bool) -> None:
    db, _ = both
    then = db.last_commit[1]
    before = contents(db)
    db.rollback()
    db.execute("DELETE FROM late")
    db.execute("DELETE FROM parent WHERE id > 1")
    db.execute("CREATE INDEX child_q ON child(q)")
    db.commit()
    after = contents(db)
    db.rollback()

    def past() -> Any:
        cursor = db.cursor()
        cursor.as_of = then
        return [list(cursor.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()) for table in TABLES], list(
            cursor.execute("SELECT id FROM child WHERE q = 'b' ORDER BY q").fetchall()
        )

    def batch() -> Any:
        db.executemany("INSERT INTO child VALUES (?, 1, 'A', ?)", [(n, n * 100) for n in range(20, 30)])
        return None

    def savepoints() -> Any:
        db.execute("SAVEPOINT outer_one")
        db.execute("UPDATE child SET v = v + 1")
        db.execute("SAVEPOINT inner_one")
        db.execute("DELETE FROM child")
        db.execute("ROLLBACK TO inner_one")
        db.execute("RELEASE outer_one")
        return run(db, "SELECT v FROM child ORDER BY v")

    for act, wanted in ((past, (before, [(2,)])), (batch, None), (savepoints, [(11,)])):
        for found, error in memory_faults(act, on):
            if error is None:
                assert found == wanted
            db.rollback()
            assert contents(db) == after
            db.rollback()
        assert error is None, error


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_transactions_that_spill(tmp_path: Path, on: bool) -> None:
    database = driver.Database(tmp_path / "spill.edb", driver.Options(page_size=512, spill_bytes=1 << 12))
    db = driver.connect(database)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)")
    db.commit()

    def many() -> Any:
        db.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"{n:050}") for n in range(100)])
        db.execute("UPDATE t SET v = v || 'x' WHERE id % 2 = 0")
        return run(db, "SELECT count(*), min(v) FROM t")

    for found, error in memory_faults(many, on):
        if error is None:
            assert found == [(100, f"{0:050}x")]
        db.rollback()
        assert run(db, "SELECT * FROM t") == []
        db.rollback()
    db.close()
    breaches, _ = database.check()
    database.close()
    assert breaches == []


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("spill_bytes", [1 << 20, 1 << 13], ids=["in memory", "spilled"])
def test_automatic_indexes(tmp_path: Path, spill_bytes: int, on: bool) -> None:
    database = driver.Database(tmp_path / "automatic.edb", driver.Options(spill_bytes=spill_bytes))
    db = driver.connect(database)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, s TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, n * 7 % 100, f"s{n * 3 % 50}") for n in range(200)])
    db.commit()
    db.execute("SELECT entitydb_planner('+automatic')").fetchall()
    sql = "SELECT count(*), sum(b.id) FROM t a CROSS JOIN t b ON b.{0} = a.{0} WHERE a.id < 20"
    wanted = {"k": [(40, 2380)], "s": [(80, 6760)]}
    for column, rows in wanted.items():
        used: list[int] = []
        while len(used) < 3 or used[-1] != used[-2]:  # the first ones make room that is kept
            assert len(used) < 8, (column, used)
            for found, error in memory_faults(partial(run, db, sql.format(column)), on):
                assert error is not None or found == rows
                db.rollback()
            assert error is None
            used.append(in_use())
    db.close()
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_opening_asking_and_checking(both: tuple[driver.Connection, apsw.Connection], path: Path, on: bool) -> None:
    db, _ = both
    for actor in ("ann", "bob"):
        db.execute("""SELECT entitydb_transaction_info('{"actor": "' || ? || '", "reason": "' || ? || '"}')""",
                   (actor, actor * 600))  # fmt: skip
        db.execute("UPDATE parent SET n = n + 1 WHERE id = 1")
        db.commit()
    moment = db.last_commit[1]
    wanted = contents(db)
    db.close()

    def everything() -> Any:
        database = driver.Database(path)
        try:
            assert database.resolve(moment)[1] == moment
            breaches, _ = database.check()
            connection = driver.connect(database)
            try:
                return breaches, contents(connection)
            finally:
                connection.close()
        finally:
            database.close()

    nothing = in_use()
    for found, error in memory_faults(everything, on):
        if error is None:
            assert found == ([], wanted)
        del error
        # Collecting takes long in a large process.
        assert int(lib.test_alloc_live()) == nothing or in_use() == nothing
    assert found == ([], wanted)


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("first", [True, False], ids=["first of the file", "later"])
def test_commits_that_say_who_makes_them(connect: Callable[..., driver.Connection], on: bool, first: bool) -> None:
    """What is said is there if and only if the transaction is; the first makes the trees for it."""
    db = connect()
    db.execute("CREATE TABLE t(a)")
    if not first:
        db.execute("""SELECT entitydb_transaction_info('{"actor": "ann"}')""")
    db.commit()
    for n in itertools.count(1):
        db.execute("INSERT INTO t VALUES (?)", (n,))
        lib.test_alloc_fail(n, on)
        try:
            db.execute("SELECT entitydb_transaction_info(?)", (f'{{"actor": "bob", "reason": "{n}", "x": [1]}}',))
            db.commit()
        except (driver.Error, MemoryError):
            db.rollback()
        finally:
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
        rows = run(db, "SELECT a FROM t ORDER BY a")
        told = run(db, "SELECT CAST(reason AS INTEGER) FROM entitydb_transactions WHERE actor = 'bob' ORDER BY id")
        db.rollback()
        assert told == rows
        if passed < n:
            assert (n,) in rows, "the last one met no fault"
            break
