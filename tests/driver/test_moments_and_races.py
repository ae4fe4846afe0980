"""Cursors of several moments, schema changes beside open cursors, races, forks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from .asking import rows

Connect = Callable[..., driver.Connection]


@pytest.fixture
def history(connect: Connect) -> tuple[driver.Connection, list[int]]:
    """A table whose 20 rows hold n after commit n; and the moments of the commits."""
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    db.executemany("INSERT INTO t VALUES (?, 0)", [(i,) for i in range(20)])
    db.commit()
    moments = [db.last_commit[1]]
    for n in range(1, 5):
        db.execute("UPDATE t SET n = ?", (n,))
        db.commit()
        moments.append(db.last_commit[1])
    return db, moments


def test_each_cursor_has_its_moment(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    for n, moment in enumerate(moments):
        assert rows(db, "SELECT DISTINCT n FROM t", as_of=moment) == [(n,)]
    assert rows(db, "SELECT DISTINCT n FROM t", as_of=moments[2] - 1) == [(1,)]
    assert rows(db, "SELECT DISTINCT n FROM t") == [(4,)]


def test_half_fetched_cursors_of_several_moments_interleave(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    db.create_function("third", 1, lambda i: rows(db, "SELECT n FROM t WHERE id = ?", (i,), as_of=moments[3])[0][0])
    cursors = []
    for moment in (moments[0], moments[1], None):
        cursor = db.cursor()
        cursor.as_of = moment
        cursor.execute("SELECT a.id, a.n, b.n, third(a.id) FROM t a JOIN t b ON a.id = b.id ORDER BY a.id")
        cursors.append(cursor)
    for i in range(20):
        assert [c.fetchone() for c in cursors] == [(i, 0, 0, 3), (i, 1, 1, 3), (i, 4, 4, 3)]
    assert [c.fetchone() for c in cursors] == [None, None, None]


def test_writes_under_a_moment_are_refused(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    for sql in (
        "UPDATE t SET n = 9",
        "DELETE FROM t",
        "INSERT INTO t VALUES (99, 1)",
        "DROP TABLE t",
        "CREATE TABLE u(a)",
        "CREATE INDEX i ON t(n)",
    ):
        cursor = db.cursor()
        cursor.as_of = moments[0]
        with pytest.raises(driver.PastWriteError):
            cursor.execute(sql)
    assert rows(db, "SELECT count(*), min(n) FROM t") == [(20, 4)]


def test_past_reads_do_not_see_own_writes(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    db.execute("UPDATE t SET n = 100")
    assert rows(db, "SELECT DISTINCT n FROM t", as_of=moments[-1]) == [(4,)]
    assert rows(db, "SELECT DISTINCT n FROM t", as_of=time.time_ns()) == [(4,)]
    assert rows(db, "SELECT DISTINCT n FROM t") == [(100,)]
    db.rollback()


def test_before_the_table_is_an_error_not_zero_rows(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    with pytest.raises(driver.OperationalError, match="t"):
        rows(db, "SELECT * FROM t", as_of=moments[0] - 10**9)


def test_catalog_of_a_moment(history: tuple[driver.Connection, list[int]]) -> None:
    db, moments = history
    db.execute("CREATE TABLE u(a)")
    db.commit()
    assert set(db.catalog()) == {"t", "u"}
    assert set(db.catalog(moments[-1])) == {"t"}


def test_schema_changes_of_others_are_followed(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.execute("INSERT INTO t VALUES (1)")
    one.commit()
    assert rows(two, "SELECT * FROM t") == [(1,)]
    one.execute("DROP TABLE t")
    one.execute("CREATE TABLE t(b, c DEFAULT 5)")
    one.execute("INSERT INTO t(b) VALUES (2)")
    one.commit()
    assert rows(two, "SELECT * FROM t") == [(1,)], "the transaction goes on seeing its state"
    two.rollback()
    assert rows(two, "SELECT * FROM t") == [(2, 5)]
    two.execute("INSERT INTO t(b) VALUES (3)")
    two.commit()
    assert rows(one, "SELECT * FROM t ORDER BY b") == [(2, 5), (3, 5)]


def test_drop_by_another_after_own_ddl_was_rolled_back(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.execute("CREATE TABLE u(a)")
    one.commit()
    one.execute("DROP TABLE u")
    one.rollback()  # SQLite forgets what it knew of its tables
    two.execute("DROP TABLE t")
    two.execute("CREATE TABLE t(b)")
    two.commit()
    assert rows(one, "SELECT * FROM u") == []
    assert [c[0] for c in one.execute("SELECT * FROM t").description] == ["b"]
    one.execute("DROP TABLE u")
    one.commit()


def test_savepoint_before_the_first_statement_survives_a_schema_change(connect: Connect) -> None:
    one, two = connect(), connect()
    two.execute("SAVEPOINT outer")
    two.execute("SAVEPOINT inner")
    one.execute("CREATE TABLE t(a)")
    one.commit()
    two.execute("INSERT INTO t VALUES (1)")
    two.execute("RELEASE inner")
    two.execute("ROLLBACK TO outer")
    two.execute("INSERT INTO t VALUES (2)")
    two.commit()
    assert rows(one, "SELECT * FROM t") == [(2,)]


def test_past_reads_leave_the_present_of_a_transaction_open(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.execute("INSERT INTO t VALUES (1)")
    one.commit()
    moment = one.last_commit[1]
    assert rows(two, "SELECT a FROM t", as_of=moment) == [(1,)]
    one.execute("CREATE TABLE u(a)")
    one.commit()
    assert rows(two, "SELECT * FROM u") == []


def test_autocommit_ddl_of_many_threads(connect: Connect) -> None:
    connections = [connect(isolation_level=None) for _ in range(4)]
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(5):
                connections[who].execute(f"CREATE TABLE t{who}_{n}(a)")
                connections[who].execute("CREATE TABLE IF NOT EXISTS common(a)")
                connections[who].execute(f"DROP TABLE t{who}_{n}")
        except driver.SerializationFailure:
            pass  # ten times in a row another one was first
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(connections[0], "SELECT * FROM common") == []


def test_half_fetched_cursor_survives_a_schema_change(connect: Connect) -> None:
    one, two = connect(isolation_level=None), connect(isolation_level=None)
    one.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    one.execute("BEGIN")
    one.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(50)])
    one.execute("COMMIT")
    reading = two.cursor()
    reading.execute("SELECT a FROM t ORDER BY a")
    assert reading.fetchmany(5) == [(i,) for i in range(5)]
    one.execute("CREATE INDEX i ON t(a)")
    one.execute("DELETE FROM t WHERE a > 10")
    assert rows(two, "SELECT count(*) FROM t") == [(11,)]
    assert reading.fetchall() == [(i,) for i in range(5, 50)]


def test_own_ddl_beside_a_half_fetched_cursor(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(50)])
    reading = db.execute("SELECT a FROM t")
    reading.fetchmany(5)
    db.execute("DROP TABLE t")
    assert len(reading.fetchall()) == 45
    db.rollback()


def test_of_two_updates_of_one_row_the_later_commit_fails(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    one.execute("INSERT INTO t VALUES (1, 0)")
    one.commit()
    rows(one, "SELECT * FROM t")
    rows(two, "SELECT * FROM t")
    one.execute("UPDATE t SET n = 1")
    two.execute("UPDATE t SET n = 2")
    one.commit()
    with pytest.raises(driver.SerializationFailure) as caught:
        two.commit()
    assert caught.value.sqlite_errorcode == 517
    assert caught.value.engine_name == "CONFLICT"
    assert not two.in_transaction
    assert rows(two, "SELECT n FROM t") == [(1,)]


def test_of_two_inserts_of_one_key_one_stays(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE)")
    one.commit()
    one.execute("INSERT INTO t(a) VALUES ('x')")
    two.execute("INSERT INTO t(a) VALUES ('x')")
    one.commit()
    with pytest.raises((driver.IntegrityError, driver.SerializationFailure)):
        two.commit()
    assert rows(two, "SELECT count(*) FROM t") == [(1,)]


def test_a_value_held_by_the_newer_version_of_a_row_written_here_is_taken(connect: Connect) -> None:
    """Of a row that two transactions wrote, the newest state has one version and this transaction another. Whichever
    judges a unique value here, this transaction cannot commit."""
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER UNIQUE)")
    one.commit()
    one.execute("INSERT INTO t VALUES (2, 2)")
    two.execute("INSERT INTO t VALUES (2, 1)")
    one.commit()
    with pytest.raises((driver.IntegrityError, driver.SerializationFailure)):
        two.execute("INSERT INTO t VALUES (1, 2)")
    with pytest.raises(driver.SerializationFailure):
        two.commit()
    assert rows(one, "SELECT * FROM t") == [(2, 2)]


def test_autocommit_updates_of_one_row_retry_themselves(connect: Connect) -> None:
    first = connect(isolation_level=None)
    first.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    first.execute("INSERT INTO t VALUES (1, 0)")
    failures: list[BaseException] = []
    lost = [0]

    def work() -> None:
        try:
            db = connect(isolation_level=None)
            for _ in range(25):
                try:
                    db.execute("UPDATE t SET n = n + 1 WHERE id = 1")
                except driver.SerializationFailure:
                    lost[0] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(first, "SELECT n FROM t") == [(100 - lost[0],)]


def test_connection_moves_between_threads(connect: Connect) -> None:
    db = connect()
    found: list[object] = []

    def work() -> None:
        db.execute("CREATE TABLE IF NOT EXISTS t(a)")
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
        found.append(rows(db, "SELECT count(*) FROM t")[0][0])

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [1, 2, 3]


def test_threads_write_side_by_side(connect: Connect) -> None:
    first = connect()
    first.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, who, n)")
    first.commit()
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            db = connect()
            barrier.wait()
            for n in range(20):
                db.execute("INSERT INTO t(who, n) VALUES (?, ?)", (who, n))
                db.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    first.rollback()
    assert rows(first, "SELECT who, count(*), sum(n) FROM t GROUP BY who ORDER BY who") == [
        (w, 20, 190) for w in range(4)
    ]


def test_inherited_connection_is_refused_in_the_child(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.commit()
    reading = db.execute("SELECT 1")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for call in (
                lambda: db.execute("SELECT * FROM t"),
                db.commit,
                db.rollback,
                db.cursor,
                lambda: reading.execute("SELECT 1"),
            ):
                with pytest.raises(driver.OperationalError, match="fork"):
                    call()
            db.close()
            reading.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    assert rows(db, "SELECT * FROM t") == [(1,)]


def test_commit_at_a_given_time(connect: Connect) -> None:
    db = connect()
    db.set_commit_time(10**18)
    db.execute("CREATE TABLE t(a)")
    db.commit()
    assert db.last_commit[1] == 10**18
    db.set_commit_time(10**18)
    db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(driver.OperationalError) as caught:
        db.commit()
    assert caught.value.engine_name == "COMMIT_TIME"
    assert not db.in_transaction
    db.set_commit_time(0)
    assert rows(db, "SELECT * FROM t") == []
