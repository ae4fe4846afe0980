"""What stays, and what can go on, when a batch of rows, a RELEASE or a COMMIT fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]

FAMILY = (
    "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
    "INSERT INTO parent VALUES (1)",
    "CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent(id), v TEXT UNIQUE)",
)


def rows(db: driver.Connection, sql: str = "SELECT * FROM child ORDER BY id") -> list[Any]:
    return list(db.execute(sql).fetchall())


# ---- executemany ----


@pytest.fixture
def beside(db: driver.Connection) -> Iterator[tuple[driver.Connection, sqlite3.Connection]]:
    theirs = sqlite3.connect(":memory:")
    theirs.execute("PRAGMA foreign_keys = ON")
    for sql in FAMILY:
        db.execute(sql)
        theirs.execute(sql)
    db.commit()
    theirs.commit()
    yield db, theirs
    theirs.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch",
    [
        [(1, 1, "a"), (2, 1, "b"), (3, 7, "c"), (4, 1, "d")],  # the third has no parent
        [(1, 7, "a"), (2, 1, "b")],
        [(1, 1, "a"), (2, 1, "a")],
        [(1, 1, "a"), (2, 9, "b"), (3, 1, "a")],  # two are wrong: the first one is said
        [(1, 1, "a"), (2, 1, "a"), (3, 9, "b")],
        [(1, None, "a"), (2, 2, "b")],
    ],
)
@pytest.mark.parametrize("as_generator", [False, True])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "REPLACE"])
def test_rows_before_the_failed_one_of_executemany_stay(
    beside: tuple[driver.Connection, sqlite3.Connection], batch: list[Any], as_generator: bool, verb: str
) -> None:
    ours, theirs = beside
    sql = f"{verb} INTO child VALUES (?, ?, ?)"
    outcomes: list[str | None] = []
    for connection, error in ((ours, driver.IntegrityError), (theirs, sqlite3.IntegrityError)):
        connection.execute("INSERT INTO child VALUES (100, 1, 'before')")
        try:
            connection.executemany(sql, (one for one in batch) if as_generator else batch)
            outcomes.append(None)
        except error as failure:
            outcomes.append(str(failure))
        assert connection.in_transaction
        connection.execute("INSERT INTO child VALUES (101, 1, 'after')")
        connection.commit()
    assert outcomes[0] == outcomes[1]
    assert rows(ours) == theirs.execute("SELECT * FROM child ORDER BY id").fetchall()


def test_a_row_that_stays_is_not_forgotten_by_its_foreign_key(db: driver.Connection) -> None:
    """OR FAIL keeps the rows before the failed one; the next statement must not answer for their foreign keys."""
    for sql in FAMILY:
        db.execute(sql)
    db.commit()
    with pytest.raises(driver.IntegrityError):
        db.execute("INSERT OR FAIL INTO child VALUES (1, 9, 'a'), (2, 1, 'b'), (3, 1, 'b')")
    db.execute("INSERT INTO child VALUES (5, 1, 'e')")
    db.commit()
    assert rows(db) == [(5, 1, "e")]


# ---- RELEASE ----


@pytest.mark.parametrize("name", ["s", "S", '"s"'])
def test_a_refused_release_of_the_outermost_savepoint_leaves_it_open(db: driver.Connection, name: str) -> None:
    db.isolation_level = None
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    theirs.execute("PRAGMA foreign_keys = ON")
    script = [
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)",
        "SAVEPOINT s", "INSERT INTO c VALUES (1, 5)",
        f"RELEASE {name}",                                  # refused
        "SAVEPOINT inner", "INSERT INTO c VALUES (2, 6)", "RELEASE inner",      # not its to judge
        "SAVEPOINT s", "RELEASE s",                         # the inner s
        f"RELEASE SAVEPOINT {name}",                        # refused
        "ROLLBACK TO s", "INSERT INTO c VALUES (3, 5)",
        f"RELEASE {name}",                                  # refused
        "INSERT INTO p VALUES (5)",
        f"RELEASE {name}",
        "RELEASE s",                                        # there is none
        "BEGIN", "SAVEPOINT s", "INSERT INTO c VALUES (4, 9)", "RELEASE s", "COMMIT", "ROLLBACK",
    ]
    for sql in script:
        outcome = []
        for run, error in ((db.execute, driver.Error), (theirs.execute, sqlite3.Error)):
            try:
                run(sql)
                outcome.append("")
            except error as failure:
                outcome.append(str(failure))
        assert outcome[0] == outcome[1], sql
        assert db.in_transaction == theirs.in_transaction, sql
    assert rows(db, "SELECT * FROM c") == theirs.execute("SELECT * FROM c").fetchall() == [(3, 5)]
    theirs.close()


def test_a_savepoint_inside_a_transaction_of_the_drivers_is_never_the_outermost(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)")
    db.commit()
    db.execute("SAVEPOINT s")
    db.execute("INSERT INTO c VALUES (1, 5)")
    db.execute("RELEASE s")
    db.execute("INSERT INTO p VALUES (5)")
    db.commit()
    assert rows(db, "SELECT * FROM c") == [(1, 5)]


# ---- what is not judged ----


def test_an_index_dropped_in_the_same_transaction_is_not_judged_at_commit(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    one.execute("CREATE UNIQUE INDEX t_b ON t(b)")
    one.commit()
    one.execute("INSERT INTO t VALUES (1, 'same')")
    one.execute("DROP INDEX t_b")
    two.execute("INSERT INTO t VALUES (2, 'same')")
    two.commit()
    one.commit()
    assert rows(one, "SELECT * FROM t ORDER BY a") == [(1, "same"), (2, "same")]


def test_an_index_whose_drop_was_rolled_back_is_judged_at_commit(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    one.execute("CREATE UNIQUE INDEX t_b ON t(b)")
    one.commit()
    one.execute("INSERT INTO t VALUES (1, 'same')")
    one.execute("SAVEPOINT s")
    one.execute("DROP INDEX t_b")
    one.execute("ROLLBACK TO s")
    two.execute("INSERT INTO t VALUES (2, 'same')")
    two.commit()
    with pytest.raises(driver.IntegrityError, match="UNIQUE"):
        one.commit()
    assert rows(one, "SELECT * FROM t") == [(2, "same")]


def test_rows_of_a_table_dropped_in_the_same_transaction_are_not_judged_at_commit(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)")
    one.execute("INSERT INTO t VALUES (1, 'x')")
    one.commit()
    one.execute("UPDATE t SET b = 'y'")
    one.execute("DROP TABLE t")
    two.execute("UPDATE t SET b = 'z'")
    two.commit()
    one.commit()
    with pytest.raises(driver.OperationalError, match="no such table"):
        two.execute("SELECT * FROM t")


def test_a_table_need_not_stay_as_it_was_for_an_index_that_was_rolled_back(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    one.execute("CREATE TABLE other(a)")
    one.commit()
    one.execute("INSERT INTO other VALUES (1)")
    one.execute("SAVEPOINT s")
    one.execute("CREATE INDEX t_b ON t(b)")
    one.execute("ROLLBACK TO s")
    two.execute("INSERT INTO t VALUES (1, 1)")
    two.commit()
    one.commit()
    assert rows(two, "SELECT a FROM other") == [(1,)]


# ---- a commit that is refused when it is published ----


def test_a_commit_time_that_somebody_asks_about_meanwhile(connect: Connect, at_stamp: Any) -> None:
    db, reader = connect(), connect()
    db.execute("CREATE TABLE t(a)")
    db.commit()
    moment = db.last_commit[1] + 1000
    while time.time_ns() <= moment:
        pass
    db.set_commit_time(moment)
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("CREATE TABLE refused(a)")
    at_stamp(lambda: reader.database.resolve(moment))
    with pytest.raises(driver.OperationalError) as caught:
        db.commit()
    assert caught.value.engine_name == "COMMIT_TIME"
    assert "refused, nothing of it was done" in str(caught.value)
    assert not db.in_transaction
    assert rows(db, "SELECT * FROM t") == []
    with pytest.raises(driver.OperationalError, match="no such table"):
        db.execute("SELECT * FROM refused")
    db.rollback()
    # The refused time is forgotten, and what was declared for it, too.
    db.execute("CREATE TABLE refused(b)")
    db.execute("INSERT INTO refused VALUES (2)")
    db.commit()
    assert db.last_commit[1] > moment
    assert rows(reader, "SELECT b FROM refused") == [(2,)]
