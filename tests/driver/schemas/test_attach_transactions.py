"""Transactions over attached databases: one file is written, any number read, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import rows
from ..attached import refused

Connect = Callable[..., driver.Connection]


@pytest.fixture
def db(two: driver.Connection) -> driver.Connection:
    return two


SECOND = [
    "INSERT INTO {}.t(a) VALUES ('no')", "UPDATE {}.t SET a = 0", "DROP TABLE {}.t", "CREATE TABLE {}.n(a)",
    "CREATE INDEX {}.i ON t(a)", "PRAGMA {}.user_version = 3",
]  # fmt: skip


def test_a_transaction_writes_one_file_and_reads_all(db: driver.Connection) -> None:
    for first, second in (("main", "x"), ("x", "main")):
        db.execute(f"INSERT INTO {first}.t(a) SELECT a FROM {second}.t")
        for sql in SECOND:
            message = refused(db, sql.format(second), driver.NotSupportedError)
            assert first in message
            assert second in message
            assert "commit" in message
        assert rows(db, f"SELECT count(*) FROM {second}.t WHERE a = 'no'") == [(0,)]
        db.commit()
    assert rows(db, "SELECT count(*) FROM t") == [(3,)]
    assert rows(db, "SELECT count(*) FROM x.t") == [(5,)]
    db.commit()


def test_writes_that_came_to_nothing_leave_the_choice(db: driver.Connection) -> None:
    db.execute("UPDATE t SET a = 'none' WHERE id = 99")
    db.execute("SAVEPOINT s")
    db.execute("INSERT INTO t(a) VALUES ('undone')")
    refused(db, "INSERT INTO x.t(a) VALUES ('no')", driver.NotSupportedError)
    db.execute("ROLLBACK TO s")
    db.execute("INSERT INTO x.t(a) VALUES ('yes')")
    refused(db, "INSERT INTO t(a) VALUES ('no')", driver.NotSupportedError)
    db.execute("RELEASE s")
    db.commit()
    assert rows(db, "SELECT a FROM x.t WHERE id > 2") == [("yes",)]
    assert rows(db, "SELECT a FROM t") == [("main",)]
    db.commit()


def test_memory_beside_a_file_is_one_transaction(connect: Connect) -> None:
    db = connect()
    db.execute("ATTACH ':memory:' AS m")
    db.execute("CREATE TABLE t(a UNIQUE)")
    db.execute("CREATE TABLE m.t(a)")
    db.execute("INSERT INTO m.t VALUES (1)")
    db.execute("INSERT INTO t VALUES (1)")
    db.rollback()
    assert rows(db, "SELECT * FROM sqlite_master") == rows(db, "SELECT * FROM m.sqlite_master") == []
    db.commit()
    db.execute("CREATE TABLE m.t(a)")
    db.execute("CREATE TABLE t(a UNIQUE)")
    db.commit()
    elsewhere = connect()
    db.execute("INSERT INTO m.t VALUES (1)")
    db.execute("INSERT INTO t VALUES (1)")
    elsewhere.execute("INSERT INTO t VALUES (1)")
    elsewhere.commit()
    with pytest.raises(driver.IntegrityError):
        db.commit()
    assert rows(db, "SELECT * FROM m.t") == []     # neither
    db.execute("INSERT INTO m.t VALUES (2)")
    db.execute("INSERT INTO t VALUES (2)")
    db.commit()
    assert rows(db, "SELECT u.a, t.a FROM m.t AS u, t WHERE t.a = 2") == [(2, 2)]
    db.commit()


def test_two_memory_databases_committed_in_both_orders_do_not_wait_for_each_other() -> None:
    names = ("attach_one", "attach_two")
    held = [driver.named_memory(name, driver.MemoryDatabase) for name in names]
    failed: list[BaseException] = []

    def work(order: tuple[str, str]) -> None:
        try:
            db = driver.connect(driver.MemoryDatabase(), isolation_level=None)
            for schema, name in zip("ab", names, strict=True):
                db.execute(f"ATTACH 'file:{name}?mode=memory' AS {schema}")
            for _ in range(200):
                db.execute("BEGIN")
                for schema in order:
                    db.execute(f"INSERT INTO {schema}.t DEFAULT VALUES")
                db.execute("COMMIT")
            db.close()
        except BaseException as error:
            failed.append(error)

    for memory in held:
        made = driver.connect(memory, isolation_level=None)
        made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        made.close()
    threads = [threading.Thread(target=work, args=(order,)) for order in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for memory in held:
        counted = driver.connect(memory)
        assert rows(counted, "SELECT count(*) FROM t") == [(400,)]
        counted.close()


def test_savepoints_and_rollback(db: driver.Connection) -> None:
    db.execute("INSERT INTO x.t(a) VALUES ('one')")
    db.execute("SAVEPOINT s")
    db.execute("CREATE TABLE x.made(a)")
    db.execute("INSERT INTO x.made SELECT a FROM x.t")
    db.execute("ROLLBACK TO s")
    refused(db, "SELECT * FROM x.made")
    assert rows(db, "SELECT count(*) FROM x.t") == [(3,)]
    db.execute("CREATE TABLE x.made(b)")
    db.execute("RELEASE s")
    db.rollback()
    assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]
    refused(db, "SELECT * FROM x.made")
    db.rollback()
    assert rows(db, "SELECT name FROM x.sqlite_master") == [("t",)]
    db.rollback()


@pytest.mark.parametrize("schema", ["main", "x"])
def test_a_conflict_in_either_file(db: driver.Connection, connect: Connect, other: Path, schema: str) -> None:
    rival = connect()
    rival.execute(f"ATTACH '{other}' AS x")
    db.execute(f"UPDATE {schema}.t SET a = 'mine' WHERE id = 1")
    rival.execute(f"UPDATE {schema}.t SET a = 'theirs' WHERE id = 1")
    rival.commit()
    with pytest.raises(driver.SerializationFailure):
        db.commit()
    assert rows(db, f"SELECT a FROM {schema}.t WHERE id = 1") == [("theirs",)]
    db.rollback()
    db.isolation_level = None
    db.execute(f"UPDATE {schema}.t SET a = 'after' WHERE id = 1")
    assert rows(db, f"SELECT a FROM {schema}.t WHERE id = 1") == [("after",)]


def test_a_transaction_sees_one_state_of_each(db: driver.Connection, connect: Connect, other: Path) -> None:
    rival = connect(isolation_level=None)
    rival.execute(f"ATTACH '{other}' AS x")
    assert rows(db, "SELECT count(*) FROM t") == [(1,)]      # fixes the moment of x as well
    rival.execute("INSERT INTO x.t(a) VALUES ('later')")
    assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]
    assert rows(db, "SELECT a FROM x.t") == [("x",), ("y",)]
    db.commit()
    assert rows(db, "SELECT count(*) FROM x.t") == [(3,)]
    db.commit()


def test_foreign_keys_of_an_attached_database(db: driver.Connection) -> None:
    key = "REFERENCES t ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED"
    db.execute(f"CREATE TABLE x.c(id INTEGER PRIMARY KEY, t INT {key})")
    db.execute("INSERT INTO x.c VALUES (1, 1)")
    db.commit()
    db.execute("INSERT INTO x.c VALUES (2, 50)")
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY"):
        db.commit()
    db.execute("UPDATE x.c SET t = 2 WHERE id = 2")
    db.commit()
    db.execute("DELETE FROM x.t WHERE id = 1")
    assert rows(db, "SELECT t FROM x.c ORDER BY id") == [(None,), (2,)]
    db.commit()
    db.execute("CREATE TABLE x.lost(a REFERENCES only_in_main)")
    db.commit()
    db.execute("CREATE TABLE only_in_main(a PRIMARY KEY)")
    db.commit()
    assert refused(db, "INSERT INTO x.lost VALUES (1)") == "no such table: x.only_in_main"
    db.rollback()


def test_as_of_reads_every_database_by_its_own_clock(db: driver.Connection) -> None:
    def at(ns: int, sql: str) -> list[Any]:
        cursor = db.cursor()
        cursor.as_of = ns
        return cursor.execute(sql).fetchall()

    both = "SELECT (SELECT a FROM main.t WHERE id = 1), (SELECT a FROM x.t WHERE id = 1)"
    first = db.last_commit[1]
    db.execute("UPDATE x.t SET a = 'x2' WHERE id = 1")
    db.commit()
    second = db.last_commit[1]
    db.execute("UPDATE t SET a = 'main2' WHERE id = 1")
    db.commit()
    third = db.last_commit[1]
    db.execute("CREATE TABLE x.young(a)")
    db.commit()
    assert first < second < third
    assert at(first, both) == [("main", "x")]
    assert at(second, both) == [("main", "x2")]
    assert at(third, both) == [("main2", "x2")]
    assert at(second - 1, "SELECT a FROM x.t WHERE id = 1") == [("x",)]
    assert at(third, "SELECT count(*) FROM x.t") == [(2,)]
    assert at(third, "SELECT name FROM x.sqlite_master") == [("t",)]
    with pytest.raises(driver.OperationalError, match="young"):
        at(third, "SELECT * FROM x.young")
    with pytest.raises(driver.PastWriteError):
        at(third, "INSERT INTO x.t(a) VALUES ('no')")
    db.commit()


def test_a_moment_before_one_of_the_files_hinders_only_what_uses_it(db: driver.Connection, tmp_path: Path) -> None:
    early = db.last_commit[1]
    db.execute(f"ATTACH '{tmp_path / 'young.edb'}' AS young")
    db.execute("CREATE TABLE young.t(a)")
    db.commit()
    past = db.cursor()
    past.as_of = early
    assert past.execute("SELECT a FROM x.t WHERE id = 2").fetchall() == [("y",)]
    with pytest.raises(driver.Error):
        past.execute("SELECT * FROM young.t")
    assert past.execute("SELECT a FROM t").fetchall() == [("main",)]
    db.commit()


def test_cursors_of_several_moments_interleave(db: driver.Connection) -> None:
    before = db.last_commit[1]
    db.execute("UPDATE x.t SET a = a || '2'")
    db.commit()
    past, now = db.cursor(), db.cursor()
    past.as_of = before
    past.execute("SELECT a FROM x.t")
    now.execute("SELECT a FROM x.t")
    assert [past.fetchone(), now.fetchone(), now.fetchone(), past.fetchone()] == [("x",), ("x2",), ("y2",), ("y",)]
    past.execute("SELECT name FROM x.sqlite_master")
    db.rollback()


def test_the_time_of_a_commit_is_that_of_the_file_written(db: driver.Connection, other: Path) -> None:
    db.execute("DETACH x")
    db.execute(f"ATTACH '{other.with_name('import.edb')}' AS i")
    db.set_commit_time(1_000_000)
    db.execute("CREATE TABLE i.t(a)")
    db.commit()
    assert db.last_commit == (1, 1_000_000)
    db.execute("INSERT INTO i.t VALUES (1)")
    db.commit()
    assert db.last_commit[1] > 10**18       # the time was for one commit
    db.execute("INSERT INTO t(a) VALUES ('later')")
    db.commit()
    with driver.connect(other.with_name("import.edb")) as alone:
        assert alone.database.resolve(1_000_000)[0] == 1
    alone.close()


def test_serializable_holds_within_one_database(db: driver.Connection, connect: Connect, other: Path) -> None:
    db.isolation_level = "SERIALIZABLE"
    rows(db, "SELECT * FROM x.t")
    db.execute("INSERT INTO t(a) VALUES ('depends on x')")
    with pytest.raises(driver.NotSupportedError, match="SERIALIZABLE"):
        db.commit()
    db.rollback()
    db.execute("INSERT INTO x.t(a) SELECT max(a) FROM x.t")
    db.commit()
    rival = connect(isolation_level=None)
    rival.execute(f"ATTACH '{other}' AS x")
    db.execute("INSERT INTO x.t(a) SELECT count(*) FROM x.t")
    rival.execute("INSERT INTO x.t(a) VALUES ('between')")
    with pytest.raises(driver.SerializationFailure):
        db.commit()
    rows(db, "SELECT * FROM x.t, main.t")       # reading alone is of one state each
    db.commit()


def test_read_committed_follows_every_database(db: driver.Connection, connect: Connect, other: Path) -> None:
    rival = connect(isolation_level=None)
    rival.execute(f"ATTACH '{other}' AS x")
    db.isolation_level = "READ COMMITTED"
    assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]
    rival.execute("INSERT INTO x.t(a) VALUES ('later')")
    assert rows(db, "SELECT count(*) FROM x.t") == [(3,)]
    rival.execute("ALTER TABLE x.t ADD COLUMN more DEFAULT 1")
    assert rows(db, "SELECT sum(more) FROM x.t") == [(3,)]
    db.execute("UPDATE x.t SET more = 2")
    db.commit()
