"""A text that the row before had too is the same object, and no row has another's text (engine/python/short_row.c)."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

from entitydb_dialect import driver

VALUES = (
    "a", "b", "ab", "ba", "", "\0", "a\0b", "a\0c", "ü", "ö", "日本",
    "x" * 64, "x" * 63 + "y", "x" * 65, "x" * 64 + "y", b"a", b"", None, 1, 2**40, 1.5,
)  # fmt: skip


def random_rows(rng: random.Random, n: int) -> list[tuple[Any, ...]]:
    """Columns of different habits: few values in runs, few in turn, all different, anything."""
    found = []
    run: Any = "first"
    for i in range(n):
        if rng.random() < 0.2:
            run = rng.choice(VALUES)
        found.append((i, run, rng.choice(VALUES[:3]), f"{i}", rng.choice(VALUES)))
    return found


@pytest.mark.parametrize("fetch", ["all", "many", "one", "each", "mixed"])
def test_rows_are_what_they_are_in_sqlite(rng: random.Random, fetch: str) -> None:
    rows = random_rows(rng, 300)
    ours, theirs = driver.connect(), sqlite3.connect(":memory:")
    for db in (ours, theirs):
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    for order in ("id", "b, id", "d, id DESC"):
        sql = f"SELECT * FROM t ORDER BY {order}"
        for _ in range(3):  # new to it, known, known and run before
            assert fetched(ours.execute(sql), fetch, rng) == theirs.execute(sql).fetchall()
    ours.close()


def fetched(cursor: Any, how: str, rng: random.Random) -> list[Any]:
    if how == "all":
        return list(cursor.fetchall())
    if how == "each":
        return list(cursor)
    found = []
    while True:
        if how == "one" or (how == "mixed" and rng.random() < 0.5):
            row = cursor.fetchone()
            some = [] if row is None else [row]
        else:
            some = cursor.fetchmany(rng.randrange(1, 40))
        if not some:
            return found
        found += some


def test_what_returning_gives_is_what_was_written(rng: random.Random) -> None:
    db = driver.connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d)")
    rows = random_rows(rng, 60)
    values = ", ".join("(?, ?, ?, ?, ?)" for _ in rows)
    for _ in range(3):
        sql = f"INSERT INTO t VALUES {values} RETURNING *"
        assert db.execute(sql, [value for row in rows for value in row]).fetchall() == rows
        db.execute("DELETE FROM t")
    db.close()


def test_a_text_that_repeats_is_one_object() -> None:
    db = driver.connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, state, name)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, "state of it", f"name {n}") for n in range(100)])
    sql = "SELECT state, name FROM t"
    for _ in range(3):
        rows = db.execute(sql).fetchall()
        assert [name for _, name in rows] == [f"name {n}" for n in range(100)]
    assert len({id(state) for state, _ in rows}) <= 5
    db.close()
