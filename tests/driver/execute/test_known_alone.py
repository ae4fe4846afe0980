"""Changes that are transactions by themselves, by known texts: what the long way does, at each of its outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver, transaction_info

Connect = Callable[..., driver.Connection]

UPDATE = "UPDATE t SET v = ? WHERE id = ?"
SCRIPT = """
CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, u TEXT UNIQUE, CHECK (v <> 13));
CREATE TABLE child(id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t(id),
    later INTEGER REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
INSERT INTO child VALUES (1, 3, 3);
"""


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(isolation_level=None)
    db.executescript(SCRIPT)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def known(db: driver.Connection, sql: str, parameters: Any = ()) -> driver.Cursor:
    """Executes a text that is known, or becomes known by it. -> the cursor"""
    cursor = db.execute(sql, parameters)
    assert sql in db._session.known
    assert not db.in_transaction
    return cursor


def table(connection: driver.Connection) -> list[Any]:
    return connection.execute("SELECT * FROM t ORDER BY id").fetchall()


def test_each_is_a_commit_that_others_see(db: driver.Connection, connect: Connect) -> None:
    other = connect(isolation_level=None)
    numbers = []
    for i in range(4):
        cursor = known(db, UPDATE, (i, 2))
        assert (cursor.rowcount, cursor.fetchall()) == (1, [])
        numbers.append(db.last_commit[0])
        assert other.execute("SELECT v FROM t WHERE id = 2").fetchall() == [(i,)]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    cursor = known(db, "INSERT INTO t(v, u) VALUES (?, ?)", (9, "d"))
    assert cursor.lastrowid == 4
    assert known(db, "DELETE FROM t WHERE id > ?", (3,)).rowcount == 1
    assert known(db, "DELETE FROM t WHERE id > ?", (3,)).rowcount == 0
    known(db, "INSERT INTO t(id, v) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET v = excluded.v", (1, 8))
    assert table(other) == [(1, 8, "a"), (2, 3, "b"), (3, 3, "c")]


def test_rows_that_returning_shows_go_the_long_way(db: driver.Connection, connect: Connect) -> None:
    for i in (5, 6, 7):
        assert db.execute("UPDATE t SET v = ? WHERE id = 1 RETURNING v", (i,)).fetchall() == [(i,)]
        assert not db.in_transaction
    assert table(connect())[0] == (1, 7, "a")


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        (UPDATE, (13, 1), "CHECK constraint failed"),
        ("UPDATE t SET u = ? WHERE id = ?", ("b", 1), "UNIQUE constraint failed: t.u"),
        ("DELETE FROM t WHERE id = ?", (3,), "FOREIGN KEY constraint failed"),
        ("UPDATE child SET later = ?", (99,), "FOREIGN KEY constraint failed"),
        ("UPDATE OR ROLLBACK t SET u = ? WHERE id >= ?", ("z", 1), "UNIQUE constraint failed: t.u"),
        ("INSERT INTO t(id, v) VALUES (?, 1), (2, 2)", (50,), "UNIQUE constraint failed: t.id"),
    ],
)
def test_one_that_fails_leaves_nothing(
    db: driver.Connection, connect: Connect, sql: str, parameters: Any, message: str
) -> None:
    before, number = table(db), db.last_commit
    for _ in range(3):
        with pytest.raises(driver.IntegrityError, match=message):
            db.execute(sql, parameters)
        assert not db.in_transaction
        assert table(db) == table(connect()) == before
    assert db.last_commit == number
    known(db, UPDATE, (4, 1))
    assert table(connect())[0] == (1, 4, "a")


def test_or_fail_keeps_what_came_before(db: driver.Connection, connect: Connect) -> None:
    for i, v in ((21, 1), (31, 2), (41, 3)):
        with pytest.raises(driver.IntegrityError):
            db.execute("INSERT OR FAIL INTO t(id, v) VALUES (?, ?), (1, 1), (?, ?)", (i, v, i + 1, v))
        assert connect().execute("SELECT v FROM t WHERE id = ?", (i,)).fetchall() == [(v,)]


def test_one_that_loses_a_race_is_tried_again(db: driver.Connection, connect: Connect) -> None:
    other = connect(isolation_level=None)
    races = [True]

    def race(v: int) -> int:
        if races and races.pop():
            other.execute("UPDATE t SET v = v + 100 WHERE id = 2")
        return v + 1

    db.create_function("race", 1, race)
    for wanted in (103, 204):
        known(db, "UPDATE t SET v = race(v) WHERE id = 2")
        assert table(db)[1] == (2, wanted, "b")
        races.append(True)


def test_who_and_why_are_told(db: driver.Connection) -> None:
    known(db, UPDATE, (1, 1))
    with transaction_info(actor="eve", reason="test"):
        known(db, UPDATE, (2, 1))
    known(db, UPDATE, (3, 1))
    found = db.execute("SELECT actor, reason FROM entitydb_transactions ORDER BY id DESC LIMIT 3").fetchall()
    assert found == [(None, None), ("eve", "test"), (None, None)]


def test_half_fetched_queries_go_on_beside_it(db: driver.Connection, connect: Connect) -> None:
    reading = db.execute("SELECT id, v FROM t ORDER BY id")
    assert reading.fetchone() == (1, 1)
    known(db, UPDATE, (50, 2))
    assert table(connect())[1] == (2, 50, "b")
    assert reading.fetchall() == [(2, 2), (3, 3)]


def test_one_that_is_interrupted_is_not_tried_again(db: driver.Connection) -> None:
    calls = []

    def stop(v: int) -> int:
        calls.append(v)
        db.interrupt()
        return v

    db.create_function("stop", 1, stop)
    before = table(db)
    for n in range(1, 4):
        with pytest.raises(driver.OperationalError, match="interrupt"):
            db.execute("UPDATE t SET v = stop(v) + 1 WHERE id > 0")
        assert len(calls) == n
        assert table(db) == before


def test_it_waits_for_what_becomes_of_its_commit(db: driver.Connection, connect: Connect, at_stamp: Any) -> None:
    reader = connect()
    known(db, UPDATE, (1, 1))
    moment = db.last_commit[1] + 1000
    while time.time_ns() <= moment:
        pass
    db.set_commit_time(moment)
    at_stamp(lambda: reader.database.resolve(moment))
    with pytest.raises(driver.OperationalError, match="refused, nothing of it was done"):
        db.execute(UPDATE, (2, 1))
    assert table(db)[0] == table(reader)[0] == (1, 1, "a")
    known(db, UPDATE, (3, 1))
    assert db.last_commit[1] > moment


def test_schema_changes_of_others_are_followed(db: driver.Connection, connect: Connect) -> None:
    known(db, UPDATE, (1, 1))
    other = connect(isolation_level=None)
    other.execute("ALTER TABLE t ADD COLUMN w DEFAULT 5")
    db.execute(UPDATE, (2, 1))
    assert table(db)[0] == (1, 2, "a", 5)
    db.execute(UPDATE, (20, 2))
    other.execute("CREATE UNIQUE INDEX t_v ON t(v)")
    with pytest.raises(driver.IntegrityError, match=r"t\.v"):
        db.execute(UPDATE, (3, 1))
    other.execute("DROP TABLE child")
    other.execute("DROP TABLE t")
    with pytest.raises(driver.OperationalError, match="no such table: t"):
        db.execute(UPDATE, (3, 1))


def test_the_past_is_not_changed(db: driver.Connection) -> None:
    known(db, UPDATE, (1, 1))
    cursor = db.cursor()
    cursor.as_of = db.last_commit[1]
    with pytest.raises(driver.Error, match="past"):
        cursor.execute(UPDATE, (9, 1))
    assert table(db)[0] == (1, 1, "a")


def test_an_attached_database_goes_the_long_way(db: driver.Connection, tmp_path: Path) -> None:
    known(db, UPDATE, (1, 1))
    db.execute(f"ATTACH '{tmp_path / 'other.edb'}' AS o")
    db.execute("CREATE TABLE o.t(id INTEGER PRIMARY KEY, v)")
    db.execute("INSERT INTO o.t VALUES (1, 1)")
    for i in (5, 6):
        db.execute("UPDATE o.t SET v = ? WHERE id = 1", (i,))
        db.execute(UPDATE, (i + 10, 1))
    assert db.execute("SELECT v FROM o.t").fetchall() == [(6,)]
    assert table(db)[0] == (1, 16, "a")
