"""Cursors that another thread lets go of, or collects, while the connection works.

SQLite's own mutex is off (one thread at a time holds the connection), so nothing of SQLite may be touched by another
thread that drops the last reference to a cursor. The connection's own ends the cursor's statement at once.
"""

from __future__ import annotations

import gc
import queue
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from entitydb_dialect import driver

STATES = (
    ("finished", "SELECT id, note FROM t WHERE id = ?", True),
    ("rows are left, known text", "SELECT id, note FROM t WHERE id > ?", False),
    ("rows are left, several statements of the driver's", "SELECT id FROM t WHERE grp = ? AND note > 'b'", False),
    ("changed", "UPDATE t SET note = note WHERE id = ?", True),
    ("rows of RETURNING are left", "UPDATE t SET grp = grp WHERE id < ? RETURNING id", False),
    ("failed", "SELECT abs(-9223372036854775808) WHERE 1 = ?", False),
    ("refused", "SELECT none FROM t WHERE id = ?", False),
)
FAILING = ("failed", "refused")


@pytest.fixture
def connection() -> Iterator[driver.Connection]:
    opened = driver.connect()
    opened.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, grp INT, note TEXT)")
    opened.execute("CREATE INDEX t_grp ON t(grp) WHERE note > 'a'")
    opened.executemany("INSERT INTO t VALUES(?, ?, ?)", [(i, i % 3, f"note {i}") for i in range(60)])
    opened.commit()
    yield opened
    opened.close()


class Cyclic:
    """Is freed by the garbage collector alone, in whichever thread that runs."""

    def __init__(self, cursor: driver.Cursor) -> None:
        self.cursor = cursor
        self.myself = self


def let_go(dropped: queue.SimpleQueue[object]) -> None:
    while (held := dropped.get()) is not None:
        del held


def test_cursors_in_every_state_are_let_go_of_by_another_thread(
    connection: driver.Connection, rng: random.Random
) -> None:
    dropped: queue.SimpleQueue[object] = queue.SimpleQueue()
    other = threading.Thread(target=let_go, args=(dropped,))
    other.start()
    try:
        for turn in range(1500):
            name, sql, whole = rng.choice(STATES)
            if rng.random() < 0.2:
                sql += f" AND {turn} = {turn}" if " RETURNING" not in sql else ", 1"  # a text of its own
            cursor = connection.cursor()
            try:
                cursor.execute(sql, (1,))
                if whole:
                    cursor.fetchall()
            except driver.Error as error:
                assert name in FAILING, error
            else:
                assert name not in FAILING
            dropped.put(Cyclic(cursor) if rng.random() < 0.3 else cursor)
            del cursor
            assert connection.execute("SELECT count(*), sum(id) FROM t").fetchone() == (60, 1770)
            if rng.random() < 0.1:
                connection.rollback()
    finally:
        dropped.put(None)
        other.join()


@pytest.mark.parametrize("sql", ["SELECT id FROM t", "SELECT count(*) FROM t"])
@pytest.mark.parametrize("level", [None, "REPEATABLE READ"])
def test_rows_left_of_a_cursor_that_is_gone_hold_nothing(connection: driver.Connection, sql: str, level: Any) -> None:
    connection.commit()
    connection.isolation_level = level
    pins = connection.database.stats
    nothing = pins()["oldest_pin"]
    assert connection.execute(sql).fetchone()
    assert pins()["oldest_pin"] == nothing
    cyclic = Cyclic(connection.execute(sql))
    assert cyclic.cursor.fetchone()
    assert pins()["oldest_pin"] != nothing
    del cyclic
    gc.collect()
    assert pins()["oldest_pin"] == nothing


def test_a_cursor_that_is_gone_within_a_function_of_sql_waits(connection: driver.Connection) -> None:
    """The connection is at work; what is left behind is ended when it is used next."""
    connection.commit()
    connection.isolation_level = None

    def drop(value: int) -> int:
        assert connection.execute("SELECT id FROM t").fetchone()
        return value

    connection.create_function("drop_rows", 1, drop)
    assert connection.execute("SELECT drop_rows(id) FROM t WHERE id < 3").fetchall() == [(0,), (1,), (2,)]
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(60,)]
    assert connection.database.stats()["oldest_pin"] == 2**64 - 1
