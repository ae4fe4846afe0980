"""Rows that are fetched before they are asked for: nobody sees a difference."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from .asking import rows

Connect = Callable[..., driver.Connection]
ROWS = 200


@pytest.fixture
def t(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"row {i}") for i in range(ROWS)])
    db.commit()
    return db


def test_fetching_in_any_mixture_gives_all_rows_in_order(t: driver.Connection, rng: random.Random) -> None:
    for _ in range(200):
        limit = rng.randrange(ROWS + 1)
        cursor = t.execute("SELECT id FROM t ORDER BY id LIMIT ?", (limit,))
        found: list[Any] = []
        while len(found) < limit:
            way = rng.randrange(8)
            if way == 0:
                found += cursor.fetchmany(rng.randrange(1, 50))
            elif way == 1 and rng.random() < 0.1:
                found += cursor.fetchall()
            else:
                found += [cursor.fetchone() for _ in range(min(rng.randrange(1, 40), limit - len(found)))]
        assert found == [(i,) for i in range(limit)]
        assert cursor.fetchone() is None
        assert cursor.fetchmany(3) == cursor.fetchall() == []


def read(connection: driver.Connection, sql: str, way: str) -> list[Any]:
    """The rows up to an error, and the error."""
    found: list[Any] = []
    try:
        cursor = connection.execute(sql)
        for _ in range({"some, then fetchall": 3, "some, then fetchmany": 40}.get(way, 0)):
            found.append(cursor.fetchone())
        if way == "iteration":
            found.extend(cursor)
        elif way == "some, then fetchall":
            found += cursor.fetchall()
        else:
            while some := cursor.fetchmany(7):
                found += some
    except driver.OperationalError as error:
        found.append(str(error))
    return found


@pytest.mark.parametrize("way", ["iteration", "fetchmany", "some, then fetchall", "some, then fetchmany"])
@pytest.mark.parametrize("bad", [0, 1, 2, 3, 50, 71, 199])
def test_an_error_comes_behind_the_rows_before_it(t: driver.Connection, way: str, bad: int) -> None:
    """Of a fetchmany() or fetchall() that meets it there are none."""
    sql = f"SELECT id, abs(CASE id WHEN {bad} THEN -9223372036854775808 ELSE id END) FROM t ORDER BY id"
    *found, error = read(t, sql, way)
    assert error == "integer overflow"
    assert found == [(i, i) for i in range(len(found))]
    least = {"iteration": bad, "some, then fetchall": min(bad, 3)}.get(way, bad - 6)
    assert least <= len(found) <= bad
    assert rows(t, "SELECT count(*) FROM t") == [(ROWS,)]


def test_few_rows_are_fetched_for_the_first(t: driver.Connection) -> None:
    """One for the first, and not many for those behind it."""
    calls: list[int] = []
    t.create_function("seen", 1, lambda value: calls.append(value) or value)
    cursor = t.execute("SELECT seen(id) FROM t")
    asked = 0
    assert calls in ([], [0])
    while cursor.fetchone() is not None:
        asked += 1
        assert asked <= len(calls) <= 2 * asked + 32
    assert asked == ROWS


def test_large_rows_come_one_by_one(t: driver.Connection) -> None:
    calls: list[int] = []
    t.create_function("seen", 1, lambda value: calls.append(value) or value)
    cursor = t.execute("SELECT seen(id), zeroblob(5000) FROM t")
    for asked in range(1, ROWS + 1):
        assert cursor.fetchone() is not None
        assert len(calls) == asked


def test_what_is_written_meanwhile_is_not_read(t: driver.Connection) -> None:
    cursor = t.execute("SELECT id, a FROM t ORDER BY id")
    found = [cursor.fetchone() for _ in range(10)]
    t.execute("UPDATE t SET a = 'changed'")
    t.execute("DELETE FROM t WHERE id > 100")
    t.execute("CREATE TABLE other(a)")  # what is left is read into memory for it
    found += cursor
    assert found == [(i, f"row {i}") for i in range(ROWS)]
    t.rollback()


@pytest.mark.parametrize("end", ["close", "execute", "close connection"])
def test_rows_ahead_are_given_up(t: driver.Connection, end: str) -> None:
    cursor = t.execute("SELECT id FROM t ORDER BY id")
    for _ in range(9):
        cursor.fetchone()
    if end == "execute":
        cursor.execute("SELECT 'new'")
        assert cursor.fetchall() == [("new",)]
        return
    (cursor if end == "close" else t).close()
    for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, lambda: next(cursor)):
        with pytest.raises(driver.ProgrammingError):
            fetch()
