"""Joins that look up one row after the other: by the row id, and by an index, as one plan says it again and again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import moment, rows, visited
from ..beside import Beside

KEYS: tuple[Any, ...] = (
    *(1, 2, 3, 3, 2, 5, -1, 2**63 - 1, 2.0, 3.5, 1e300, "3", "03", "x", b"3", None, 4, 4, None, 1, " 2", 7, 6, 5, 4, 3),
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(
        db, "CREATE TABLE o(n INTEGER PRIMARY KEY, k)", "CREATE TABLE i(id INTEGER PRIMARY KEY, code, v TEXT)",
        "CREATE INDEX i_code ON i(code)",
    )  # fmt: skip
    for key in (*KEYS, *rng.choices(KEYS, k=40)):
        found.run("INSERT INTO o(k) VALUES (?)", (key,))
    for i in (-1, 1, 2, 3, 4, 5, 7, 2**63 - 1):
        found.run("INSERT INTO i VALUES (?, ?, ?)", (i, rng.choice(KEYS), f"v{i}"))
    found.tables = []
    return found


JOINS = (
    "SELECT o.n, i.v FROM o CROSS JOIN i ON i.id = o.k",
    "SELECT o.n, i.v FROM o LEFT JOIN i ON i.id = o.k",
    "SELECT o.n, i.v FROM o LEFT JOIN i ON i.code = o.k",
    "SELECT o.n, i.v FROM o CROSS JOIN i ON i.id = o.k AND i.code = o.k",
    "SELECT o.n, (SELECT v FROM i WHERE i.id = o.k) FROM o",
    "SELECT o.n, a.v, b.v FROM o LEFT JOIN i a ON a.id = o.k LEFT JOIN i b ON b.id = a.code",
    "SELECT o.n FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.id = o.k AND i.v > 'v2')",
)


@pytest.mark.parametrize("sql", JOINS)
def test_values_of_every_type_find_their_rows(both: Beside, sql: str) -> None:
    for _ in range(2):
        both.run(f"{sql} ORDER BY 1, 2" if ", " in sql else f"{sql} ORDER BY 1")
    at = moment(both.mine)
    then = rows(both.mine, sql)
    both.run("UPDATE i SET v = v || '!' WHERE id IN (2, 3)")
    both.run("DELETE FROM i WHERE id = 4")
    both.run("INSERT INTO i VALUES (6, 3, 'new')")
    both.run(f"{sql} ORDER BY 1, 2" if ", " in sql else f"{sql} ORDER BY 1")
    assert rows(both.mine, sql, as_of=at) == then


def test_own_writes_are_found_between_rows_of_the_file(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.execute("CREATE TABLE o(k)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i) for i in range(300)])
    db.executemany("INSERT INTO o VALUES (?)", [(i % 310,) for i in range(620)])
    db.commit()
    db.execute("UPDATE t SET v = -id WHERE id % 3 = 0")
    db.execute("DELETE FROM t WHERE id % 5 = 0")
    db.execute("INSERT INTO t VALUES (305, 5), (0, 1)")
    wanted = {i: -i if i % 3 == 0 else i for i in range(300) if i % 5} | {305: 5, 0: 1}
    found = rows(db, "SELECT o.k, t.v FROM o CROSS JOIN t ON t.id = o.k")
    assert found == [(i % 310, wanted[i % 310]) for i in range(620) if i % 310 in wanted]


def test_a_function_may_ask_and_change_the_table_that_is_looked_up(db: driver.Connection) -> None:
    """The join goes on with the rows that its statement began with."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.execute("CREATE TABLE o(k)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i * 10) for i in range(6)])
    db.executemany("INSERT INTO o VALUES (?)", [(i,) for i in (0, 1, 2, 3, 4, 5, 0, 5)])
    db.commit()

    def change(k: int) -> int:
        asked = db.execute("SELECT t.v FROM o CROSS JOIN t ON t.id = o.k WHERE o.k = ?", (k,)).fetchall()
        db.execute("UPDATE t SET v = v + 1 WHERE id = ?", ((k + 1) % 6,))
        return len(asked)

    db.create_function("change", 1, change)
    db.execute("DELETE FROM t WHERE id = 100")  # begins the transaction
    found = rows(db, "SELECT o.k, change(o.k), t.v FROM o CROSS JOIN t ON t.id = o.k")
    assert [(k, v) for k, _, v in found] == [(k, k * 10) for k in (0, 1, 2, 3, 4, 5, 0, 5)]
    assert rows(db, "SELECT v FROM t ORDER BY id") == [(2,), (12,), (21,), (31,), (41,), (51,)]


def test_a_lookup_is_one_visit(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.execute("CREATE TABLE o(k)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i) for i in range(100)])
    db.executemany("INSERT INTO o VALUES (?)", [(i % 100,) for i in range(500)])
    db.commit()
    before = visited(db)
    assert rows(db, "SELECT sum(t.v) FROM o CROSS JOIN t ON t.id = o.k") == [(24750,)]
    assert visited(db) - before <= 1002
