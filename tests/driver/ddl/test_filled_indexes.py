"""CREATE INDEX over rows: whatever their order, in memory or spilled, rolled back or kept; the file is checked."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from entitydb_dialect import driver

KINDS: dict[str, Callable[[random.Random], object]] = {
    "integers": lambda rng: rng.randrange(1000),
    "large integers": lambda rng: rng.randrange(-(2**63), 2**63),
    "reals": lambda rng: rng.uniform(-1, 1),
    "texts": lambda rng: "same beginning " + "x" * rng.randrange(20),
    "blobs": lambda rng: bytes(rng.randrange(2) for _ in range(rng.randrange(12))),
    "anything": lambda rng: rng.choice((None, 1, 1.5, "a", b"a", "", b"")),
}


def filled(db: driver.Connection, rng: random.Random, kind: str, rows: int = 1500) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INTEGER)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, KINDS[kind](rng), rng.randrange(50)) for i in range(rows)])
    db.commit()


def agree(db: driver.Connection, columns: str, as_of: int | None = None) -> None:
    """Through the index and without it the same rows come, in the index's order."""
    cursor = db.cursor()
    cursor.as_of = as_of
    through = cursor.execute(f"SELECT {columns}, id FROM t ORDER BY {columns}, id").fetchall()
    without = cursor.execute("SELECT a, b, id FROM t NOT INDEXED").fetchall()
    wanted = sorted(row[2] for row in without)
    assert sorted(row[-1] for row in through) == wanted
    at = 0 if columns.startswith("a") else 1
    for key in {row[0] for row in through[:40]}:
        found = cursor.execute(f"SELECT id FROM t WHERE {'ab'[at]} IS ? ORDER BY id", (key,)).fetchall()
        assert found == sorted((row[2],) for row in without if same(row[at], key))


def same(a: object, b: object) -> bool:
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return a == b and (numbers or type(a) is type(b))


@pytest.mark.slow
@pytest.mark.parametrize("spill", [None, 30_000])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", ["a", "b, a"])
def test_an_index_has_every_row_at_every_moment(
    connect: Callable[..., driver.Connection], rng: random.Random, kind: str, columns: str, spill: int | None
) -> None:
    db = connect(spill_bytes=spill) if spill else connect()
    filled(db, rng, kind)
    db.execute("DELETE FROM t WHERE id % 7 = 3")
    db.execute("UPDATE t SET a = ? WHERE id % 5 = 1", (KINDS[kind](rng),))
    db.commit()
    before = time.time_ns()
    db.execute("INSERT INTO t VALUES (-5, ?, 7)", (KINDS[kind](rng),))
    db.execute(f"CREATE INDEX i ON t({columns})")
    agree(db, columns)
    db.executemany("UPDATE t SET a = ? WHERE id = ?", [(KINDS[kind](rng), rng.randrange(1500)) for _ in range(300)])
    agree(db, columns)
    db.commit()
    agree(db, columns)
    agree(db, columns, before)


@pytest.mark.parametrize("spill", [None, 30_000])
def test_an_index_and_the_savepoint_around_it(
    connect: Callable[..., driver.Connection], rng: random.Random, spill: int | None
) -> None:
    db = connect(spill_bytes=spill) if spill else connect()
    filled(db, rng, "integers")
    db.execute("SAVEPOINT s")
    db.execute("CREATE INDEX i ON t(a)")
    db.execute("UPDATE t SET a = a + 1 WHERE id < 100")
    db.execute("ROLLBACK TO s")
    with pytest.raises(driver.OperationalError):
        db.execute("DROP INDEX i")
    db.execute("UPDATE t SET a = a - 1 WHERE id < 100")
    db.execute("CREATE INDEX i ON t(a)")
    agree(db, "a")
    db.execute("RELEASE s")
    db.commit()
    agree(db, "a")


@pytest.mark.parametrize("spill", [None, 30_000])
@pytest.mark.parametrize("twice", [(0, 1), (0, 1499), (700, 701), (1498, 1499)])
def test_a_key_that_is_there_twice_is_found_wherever_it_is(
    connect: Callable[..., driver.Connection], rng: random.Random, twice: tuple[int, int], spill: int | None
) -> None:
    db = connect(spill_bytes=spill) if spill else connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    values = rng.sample(range(100_000), 1500)
    values[twice[1]] = values[twice[0]]
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"v{v}", None) for i, v in enumerate(values)])
    db.commit()
    for columns, where in (("a", ""), ("a", "WHERE id >= 0")):
        with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
            db.execute(f"CREATE UNIQUE INDEX i ON t({columns}) {where}")
    db.execute("CREATE UNIQUE INDEX b ON t(b, a)")      # NULLs differ from each other
    db.execute("UPDATE t SET a = 'another' WHERE id = ?", (twice[1],))
    db.execute("CREATE UNIQUE INDEX i ON t(a)")
    with pytest.raises(driver.IntegrityError):
        db.execute("INSERT INTO t VALUES (5000, 'another', NULL)")
    db.commit()
    assert db.execute("SELECT id FROM t WHERE a = 'another'").fetchall() == [(twice[1],)]


def test_an_expression_that_fails_goes_before_a_key_that_is_there_twice(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(1, "1"), (2, "1"), (3, "no json")])
    with pytest.raises(driver.OperationalError, match="malformed JSON"):
        db.execute("CREATE UNIQUE INDEX i ON t(json(a))")
