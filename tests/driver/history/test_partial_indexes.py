"""References with a moment of their own use partial indexes, and give what the table as of the moment gives."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from ..asking import moment, plan, rows

Connect = Callable[..., driver.Connection]

CONDITIONS = (
    "done = 0", "done = 0 AND due > 5", "done = 0 AND due IS NOT NULL", "due IS NOT NULL AND due < 7", "note = 'x'",
    "note = 'x' AND due = 3", "done = 1", "done <> 0", "due = 4", "done = 0 AND id > 10", "done = 0 OR note = 'x'",
)  # fmt: skip


def a_history(db: driver.Connection, rng: random.Random) -> list[int]:
    """Rows come, change, go, in and out of indexes that come and go too. -> moments"""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, done INTEGER, due INTEGER, note TEXT)")
    found = [moment(db)]
    for turn in range(24):
        for _ in range(rng.choice((1, 5, 30))):
            done, due = rng.choice((0, 0, 1, None)), rng.choice((None, *range(10)))
            values = (rng.randrange(1, 60), done, due, rng.choice("xyz"))
            if rng.random() < 0.2:
                db.execute("DELETE FROM t WHERE id = ?", values[:1])
            else:
                db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", values)
        if turn == 6:
            db.execute("CREATE INDEX open ON t(due) WHERE done = 0")
        if turn == 10:
            db.execute("CREATE INDEX x ON t(due, id) WHERE note = 'x'")
        if turn == 14:
            db.execute("CREATE INDEX dated ON t(due) WHERE due IS NOT NULL")
        if turn == 18:
            db.execute("DROP INDEX open")
            db.execute("CREATE INDEX open ON t(due, note) WHERE done = 0")
        found.append(moment(db))
    return sorted(set(found))  # a turn that changes nothing is no commit


@pytest.mark.parametrize("number", range(3))
def test_at_every_moment_they_give_what_the_table_gives(db: driver.Connection, rng: random.Random, number: int) -> None:
    moments = a_history(db, rng)
    used = 0
    for condition in CONDITIONS:
        for order in ("ORDER BY due, id", "ORDER BY id"):
            dated = f"SELECT * FROM t FOR SYSTEM_TIME AS OF ? WHERE {condition} {order}"
            used += "USING INDEX" in plan(db, dated, (moments[-1],))
            for ns in moments:
                expected = rows(db, f"SELECT * FROM t WHERE {condition} {order}", as_of=ns)
                assert rows(db, dated, (ns,)) == expected, (condition, order, moments.index(ns))
    assert used >= 8


def test_where_the_moment_is_a_column(db: driver.Connection, rng: random.Random) -> None:
    moments = a_history(db, rng)
    db.execute("CREATE TABLE m(ns INTEGER)")
    db.executemany("INSERT INTO m VALUES (?)", [(ns,) for ns in moments])
    for join in ("JOIN", "LEFT JOIN"):
        dated = "t FOR SYSTEM_TIME AS OF m.ns AS o ON o.done = 0 AND o.due = ?"
        sql = f"SELECT m.ns, o.id FROM m {join} {dated} ORDER BY 1, 2"
        for due in (3, 4):
            expected = []
            for ns in moments:
                found = rows(db, "SELECT id FROM t WHERE done = 0 AND due = ? ORDER BY id", (due,), as_of=ns)
                expected += [(ns, *row) for row in found or ([(None,)] if join == "LEFT JOIN" else [])]
            assert rows(db, sql, (due,)) == expected


def test_versions_use_none(db: driver.Connection, rng: random.Random) -> None:
    """A version may have left the index while it lasted, as the table reads it now."""
    a_history(db, rng)
    every = rows(db, "SELECT * FROM t FOR SYSTEM_TIME ALL")
    for condition in ("done = 0 AND due = 3", "note = 'x' AND due = 3"):
        sql = f"SELECT * FROM t FOR SYSTEM_TIME ALL WHERE {condition}"
        assert "USING INDEX" not in plan(db, sql)
        column, value = (1, 0) if "done" in condition else (3, "x")
        expected = [row for row in every if row[column] == value and row[2] == 3]
        assert sorted(rows(db, sql), key=repr) == sorted(expected, key=repr)
