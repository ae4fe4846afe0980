"""executemany(): sets of parameters that the short way takes (engine/python/short_known.c, known_each) and others, in
one call. Each is executed once, in its order, whoever executes it."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]


class Number(int):
    pass


class Text(str):
    pass


class Row(tuple[Any, ...]):
    pass


class Named(dict[str, Any]):
    def __missing__(self, key: str) -> Any:
        return f"made for {key}"


# As one set for `?, ?`, and as one for `:a, :b`.
BY_NUMBER: tuple[Callable[[int, Any], Any], ...] = (
    lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: Row((a, b)), lambda a, b: (Number(a), Text(b)),
    lambda a, b: (a, bytearray(str(b).encode())), lambda a, b: (a, memoryview(str(b).encode())), lambda a, b: (a, None),
    lambda a, b: (a, apsw.zeroblob(3)), lambda a, b: range(a, a + 2),
)  # fmt: skip
BY_NAME: tuple[Callable[[int, Any], Any], ...] = (
    lambda a, b: {"a": a, "b": b}, lambda a, b: Named(a=a), lambda a, b: {"a": a, "b": b, "c": 3},
    lambda a, b: {"b": bytearray(b"x"), "a": a}, lambda a, b: (a, b),
)  # fmt: skip
CHANGES = ("INSERT INTO t(a, b) VALUES ({}, {})", "INSERT OR IGNORE INTO t(a, b) VALUES ({} % 7, {})",
           "UPDATE t SET b = {1} WHERE a = {0}", "DELETE FROM t WHERE a = {0} AND b IS NOT {1}")  # fmt: skip
SCHEMA = "CREATE TABLE t(a INTEGER PRIMARY KEY, b)"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kinds", [BY_NUMBER, BY_NAME])
def test_sets_of_every_kind(connect: Connect, seed: int, change: str, kinds: tuple[Any, ...]) -> None:
    rng = random.Random(f"{seed} {change} {len(kinds)}")
    sql = change.format(":a", ":b") if kinds is BY_NAME else change.format("?1", "?2")
    mine, theirs = connect(), apsw.Connection(":memory:")
    for side in (mine, theirs):
        side.execute(SCHEMA)
        side.executemany("INSERT INTO t VALUES (?, ?)", [(i, i) for i in range(100, 130)])
    mine.commit()
    for _ in range(12):
        numbers = rng.sample(range(100), 20) if "INTO t(a, b) VALUES (?1" in sql or ":a, :b" in sql else [
            rng.randrange(100, 130) for _ in range(20)
        ]  # fmt: skip
        sets = [rng.choice(kinds)(number, f"{number} b") for number in numbers]
        before = theirs.total_changes()
        theirs.executemany(sql, sets)
        cursor = mine.executemany(sql, rng.choice((list, tuple, iter))(sets))
        assert cursor.rowcount == theirs.total_changes() - before
        asked = "SELECT a, b, typeof(b) FROM t ORDER BY a"
        assert mine.execute(asked).fetchall() == theirs.execute(asked).fetchall()
        mine.execute("DELETE FROM t WHERE a < 100")
        theirs.execute("DELETE FROM t WHERE a < 100")


WRONG: tuple[Any, ...] = ((1,), (1, 2, 3), (1, object()), 7, (1, 2**63), {"a": 1}, "x", (1, "\ud800"))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_set_that_does_not_fit_leaves_those_before_it(connect: Connect, wrong: Any, at: int) -> None:
    mine, theirs = connect(), apsw.Connection(":memory:")
    sets: list[Any] = [(i, f"text {i}") for i in range(8)]
    sets.insert(at, wrong)
    for side in (mine, theirs):
        side.execute(SCHEMA)
    with pytest.raises(driver.Error):
        mine.executemany("INSERT INTO t VALUES (?, ?)", sets)
    with pytest.raises((apsw.Error, TypeError, OverflowError, UnicodeEncodeError)):
        theirs.executemany("INSERT INTO t VALUES (?, ?)", sets)
    asked = "SELECT * FROM t ORDER BY a"
    assert mine.execute(asked).fetchall() == theirs.execute(asked).fetchall() == sets[:at]


def test_a_function_that_executes_the_same_text(connect: Connect) -> None:
    db = connect()
    db.execute(SCHEMA)
    db.execute("CREATE TABLE log(a, b)")
    sql = "INSERT INTO log VALUES (note(?), ?)"
    depth = 0

    def note(value: int) -> int:
        nonlocal depth
        if depth < 3:
            depth += 1
            db.executemany(sql, [(value + 10, depth), (value + 20, depth)])
            depth -= 1
        return value

    db.create_function("note", 1, note)
    db.executemany(sql, [(1, 0), (2, 0)])
    found = db.execute("SELECT b, count(*) FROM log GROUP BY b ORDER BY b").fetchall()
    assert found == [(0, 2), (1, 4), (2, 8), (3, 16)]


def test_sets_come_from_a_generator_that_fails_or_asks(connect: Connect) -> None:
    db = connect()
    db.execute(SCHEMA)

    def sets() -> Iterator[tuple[int, Any]]:
        for i in range(3):
            yield i, db.execute("SELECT count(*) FROM t").fetchone()[0]
        raise ArithmeticError("no more")

    with pytest.raises(ArithmeticError):
        db.executemany("INSERT INTO t VALUES (?, ?)", sets())
    assert db.execute("SELECT count(*) FROM t").fetchone()[0] in (0, 3)
    db.rollback()


def test_a_signal_ends_it(connect: Connect) -> None:
    """Between the sets no code of Python's runs that would look for it."""
    db = connect()
    db.execute(SCHEMA)
    db.commit()

    class Stopped(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stopped

    rows = [(i, None) for i in range(500_000)]

    def insert() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        db.executemany("INSERT INTO t VALUES (?, ?)", rows)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(Stopped):
            insert()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert db.execute("SELECT count(*) FROM t").fetchone()[0] < len(rows)
    db.rollback()
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_what_executes_them_ends_with_the_schema_and_the_connection(connect: Connect) -> None:
    db = connect(isolation_level=None)
    db.execute(SCHEMA)
    sql = "INSERT INTO t(a, b) VALUES (?, ?)"
    db.execute("BEGIN")
    db.executemany(sql, [(1, 1), (2, 2)])
    each = db._session.prepared[sql].each
    assert each.sql == sql
    db.execute("ALTER TABLE t ADD COLUMN c DEFAULT 'added'")
    db.executemany(sql, [(3, 3)])
    assert db._session.prepared[sql].each is not each
    db.execute("COMMIT")
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 1, "added"), (2, 2, "added"), (3, 3, "added")]
    each = db._session.prepared[sql].each
    db.close()
    assert each.each([(4, 4)]) == 0
