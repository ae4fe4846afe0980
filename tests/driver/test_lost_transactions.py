"""What a failed statement takes with it: itself; or its whole transaction, and then it says so and everything else is
refused until ROLLBACK, so that nothing is committed without what came before."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.ext
import pytest
import sqlalchemy as sa

from engine.bare_pager import failpoint
from entitydb_dialect import driver

CODES = ("FULL", "IO", "NOMEM", "INTERRUPT", "BUSY", "CONFLICT", "CORRUPT", "READONLY", "SCHEMA")
# One of each kind of step that can fail inside the engine, with what it means to write.
STATEMENTS = (
    "INSERT INTO t(v) VALUES (zeroblob(20000))",
    "INSERT INTO t(v) SELECT zeroblob(2000) FROM t, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)",
    "UPDATE t SET v = zeroblob(20000)",
    "UPDATE t SET v = zeroblob(20000) WHERE id = 1",
    "INSERT OR REPLACE INTO t VALUES (1, zeroblob(20000))",
    "INSERT OR IGNORE INTO t VALUES (9, zeroblob(20000))",
    "INSERT OR FAIL INTO t VALUES (9, zeroblob(20000))",
    "INSERT INTO t VALUES (1, 0) ON CONFLICT DO UPDATE SET v = zeroblob(20000)",
    "INSERT INTO t(v) VALUES (zeroblob(20000)) RETURNING id",
    "WITH more(v) AS (SELECT zeroblob(20000)) INSERT INTO t(v) SELECT v FROM more",
)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    database = driver.Database(tmp_path / "lost.edb", driver.Options(page_size=512, spill_bytes=1 << 12))
    connection = driver.connect(database)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    connection.commit()
    yield connection
    connection.close()
    breaches, _ = database.check()
    database.close()
    assert breaches == []


def make_failing(raw: apsw.Connection, error: type[apsw.Error]) -> None:
    """A table-valued function `fails()` on which SQLite gets an error of its own, as from a temporary file."""
    def fails() -> Iterator[tuple[int]]:
        raise error("told")
        yield (1,)

    fails.columns, fails.column_access = ["a"], apsw.ext.VTColumnAccess.By_Index  # type: ignore[attr-defined]
    apsw.ext.make_virtual_module(raw, "fails", fails)


def ids(db: driver.Connection) -> list[int]:
    return [i for (i,) in db.execute("SELECT id FROM t ORDER BY id").fetchall()]


@pytest.mark.slow
@pytest.mark.parametrize("sql", STATEMENTS)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("level", ["DEFERRED", None, "SERIALIZABLE"])
def test_an_error_of_the_engine_undoes_the_statement_alone(
    db: driver.Connection, sql: str, code: str, level: str | None
) -> None:
    """The place is the temporary file of a large transaction: $TMPDIR is full, or whatever else."""
    db.isolation_level = level
    if level is None:
        db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 'before')")
    db.execute("INSERT INTO t VALUES (2, zeroblob(20000))")  # the next write is one too many for memory
    with failpoint(lambda name: code if name == "spill:write" else None):
        with pytest.raises(driver.Error) as caught:
            db.execute(sql).fetchall()
    assert caught.value.engine_name == code
    assert "rolled back" not in str(caught.value)
    assert db.in_transaction
    db.execute("INSERT INTO t VALUES (3, 'behind')")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, "before"), (2, bytes(20000)), (3, "behind")]


@pytest.mark.slow
@pytest.mark.parametrize("error", [apsw.FullError, apsw.NoMemError, apsw.IOError, apsw.InterruptError])
@pytest.mark.parametrize("level", ["DEFERRED", None, "SERIALIZABLE", "READ COMMITTED"])
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (2, (SELECT a FROM fails()))",
        "INSERT INTO t SELECT 2, a FROM fails()",
        "UPDATE t SET v = (SELECT a FROM fails()) WHERE id = 1",
        "DELETE FROM t WHERE (SELECT a FROM fails())",
        "INSERT INTO t VALUES (2, 0) RETURNING (SELECT a FROM fails())",
        "INSERT INTO t VALUES (1, 0) ON CONFLICT DO UPDATE SET v = (SELECT a FROM fails())",
        "SELECT a FROM t, fails()",
        "SELECT DISTINCT a FROM fails() ORDER BY a",
        "CREATE TABLE other AS SELECT a FROM fails()",
        "SELECT entitydb_label(a) FROM fails()",
        "CREATE TEMP TABLE other AS SELECT a FROM fails()",
    ],
)
def test_a_transaction_that_sqlite_ends_is_refused_until_its_end(
    db: driver.Connection, error: type[apsw.Error], level: str | None, sql: str, rng: random.Random
) -> None:
    """Some of these end the statement alone; then what is committed has all of the rest. A COMMIT fails and ends it."""
    over = rng.choice([
        db.rollback,
        lambda: db.execute("ROLLBACK"),
        lambda: refuse(db.commit),
        lambda: refuse(lambda: db.execute("COMMIT")),
        lambda: refuse(lambda: db.executescript("INSERT INTO t VALUES (3, 'behind')")),
    ])
    make_failing(db.apsw, error)
    db.isolation_level = level
    if level is None:
        db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 'before')")
    with pytest.raises(driver.OperationalError) as caught:
        db.execute(sql).fetchall()
    if db.in_transaction:
        assert "rolled back" not in str(caught.value)
        db.commit()
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "before")]
        return
    assert "the transaction was rolled back: call rollback()" in str(caught.value)
    refused: list[Callable[[], Any]] = [
        lambda: db.execute("INSERT INTO t VALUES (3, 'behind')"),
        lambda: db.executemany("INSERT INTO t VALUES (?, 'behind')", [(3,)]),
        lambda: ids(db),
        lambda: db.execute("CREATE TABLE behind(a)"),
        lambda: db.execute("PRAGMA user_version = 4"),
        lambda: db.execute("SELECT entitydb_label('behind')"),
        lambda: db.execute("BEGIN"),
        lambda: db.execute("SAVEPOINT s"),
        lambda: db.execute("ROLLBACK TO s"),
        lambda: setattr(db, "isolation_level", "AUTOCOMMIT" if level else "DEFERRED"),
    ]
    for attempt in refused:
        with pytest.raises(driver.OperationalError, match="was rolled back when a statement failed"):
            attempt()
        assert not db.in_transaction
    over()
    assert ids(db) == []
    db.execute("INSERT INTO t VALUES (4, 'again')")
    db.commit()
    assert ids(db) == [4]


def refuse(commit: Callable[[], Any]) -> None:
    with pytest.raises(driver.OperationalError, match="nothing was committed"):
        commit()


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (2, (SELECT a FROM fails()))", "SELECT a FROM fails()"])
def test_a_statement_that_is_all_of_its_transaction_leaves_nothing_to_give_up(db: driver.Connection, sql: str) -> None:
    make_failing(db.apsw, apsw.FullError)
    for level in ("DEFERRED", None):
        db.isolation_level = level
        with pytest.raises(driver.OperationalError) as caught:
            db.execute(sql)
        assert "rolled back" not in str(caught.value)
        db.execute("INSERT INTO t(v) VALUES ('behind')")
        db.commit()
    assert len(ids(db)) == 2


def test_or_rollback_is_what_was_asked_for(db: driver.Connection) -> None:
    db.execute("INSERT INTO t VALUES (1, 'before')")
    with pytest.raises(driver.IntegrityError) as caught:
        db.execute("INSERT OR ROLLBACK INTO t VALUES (1, 'again')")
    assert "rolled back" not in str(caught.value)
    assert not db.in_transaction
    db.execute("INSERT INTO t VALUES (2, 'behind')")
    db.commit()
    assert ids(db) == [2]


def test_an_interrupted_write_says_that_its_transaction_is_over(db: driver.Connection) -> None:
    """SQLite rolls back when it is interrupted inside a write."""
    started = threading.Event()
    db.create_function("started", 0, lambda: started.set() or 1)
    db.execute("INSERT INTO t VALUES (1, 'before')")
    caught: list[driver.Error] = []

    def endless() -> None:
        try:
            db.execute("INSERT INTO t(v) WITH RECURSIVE r(n) AS (SELECT started() UNION ALL SELECT 1 FROM r)"
                       " SELECT count(*) FROM r")
        except driver.Error as error:
            caught.append(error)

    thread = threading.Thread(target=endless)
    thread.start()
    started.wait()
    while thread.is_alive():
        db.interrupt()
        thread.join(0.01)
    assert "interrupted; the transaction was rolled back" in str(caught[0])
    refuse(db.commit)
    assert ids(db) == []


@pytest.mark.parametrize("level", ["REPEATABLE READ", "AUTOCOMMIT"])
def test_sqlalchemy_gives_up_what_is_lost(tmp_path: Path, level: str) -> None:
    """A connection in the pool is a fresh one, and a savepoint does not hide that its transaction is gone."""
    engine = sa.create_engine(f"entitydb:///{tmp_path / 'pool.edb'}", isolation_level=level, pool_size=1)
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        make_failing(raw.apsw, apsw.IOError)
        connection.exec_driver_sql("CREATE TABLE t(a)")
        connection.commit()
    with engine.connect() as connection:
        if level == "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(sa.exc.OperationalError, match="rolled back"):
            connection.exec_driver_sql("INSERT INTO t SELECT a FROM fails()")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
        connection.exec_driver_sql("INSERT INTO t VALUES (2)")
        connection.commit()
    if level != "AUTOCOMMIT":
        with engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (3)")
            nested = connection.begin_nested()
            with pytest.raises(sa.exc.OperationalError, match="rolled back"):
                connection.exec_driver_sql("INSERT INTO t SELECT a FROM fails()")
            with pytest.raises(sa.exc.OperationalError, match="rolled back"):
                nested.rollback()
            with pytest.raises(sa.exc.OperationalError, match="rolled back"):
                connection.commit()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT a FROM t").scalars().all() == [2]
    engine.dispose()


@pytest.mark.parametrize("sql", ["SELECT id FROM t ORDER BY id", "DELETE FROM t WHERE id = 1"])
def test_a_known_text_is_refused_as_any_other(db: driver.Connection, sql: str) -> None:
    """It is executed by other code, which asks for nothing but what is plain."""
    make_failing(db.apsw, apsw.FullError)
    db.isolation_level = None
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 'before')")
    for _ in range(3):
        db.execute(sql).fetchall()
    assert sql in db._session.known
    with pytest.raises(driver.Error, match="call rollback"):
        db.execute("SELECT * FROM fails").fetchall()
    for text in (sql, sql.lower()):
        with pytest.raises(driver.OperationalError, match="call rollback"):
            db.execute(text)
    db.rollback()
    assert ids(db) == []
