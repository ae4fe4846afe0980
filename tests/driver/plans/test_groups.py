"""How large the groups of an index are thought to be, by a few entries that are alike, or by more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from ..asking import rows

Connect = Callable[..., driver.Connection]
ROWS = 4000


def plans(db: driver.Connection, sql: str) -> list[str]:
    return [row[5] for row in rows(db, f"EXPLAIN {sql}", (1,)) if row[1] == "VFilter"]


def fill(db: driver.Connection, keys: list[int]) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, other INTEGER)")
    db.execute("CREATE INDEX t_k ON t(k)")
    db.executemany("INSERT INTO t(k, other) VALUES (?, ?)", [(k, i) for i, k in enumerate(keys)])
    db.commit()


@pytest.mark.parametrize("at", [0, 0.2, 0.45, 0.7, 1])
def test_a_value_with_much_of_the_index_is_found_wherever_it_lies(db: driver.Connection, at: float) -> None:
    """A parameter may stand for it: then the table is walked instead."""
    frequent = ROWS * 2 // 5
    rare = list(range(0, 2 * (ROWS - frequent), 2))
    fill(db, rare + [int(at * 2 * (ROWS - frequent)) | 1] * frequent)
    assert all("/t" in plan for plan in plans(db, "SELECT other FROM t WHERE k = ?"))


@pytest.mark.parametrize("size", [1, 2, 20])
def test_groups_that_are_alike_have_their_size(db: driver.Connection, size: int) -> None:
    """Of two tables SQLite puts the one first of which a lookup in the other finds less."""
    fill(db, [i // size for i in range(ROWS)])
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, k INTEGER, other INTEGER)")
    db.execute("CREATE INDEX u_k ON u(k)")
    db.executemany("INSERT INTO u(k) VALUES (?)", [(i // 40,) for i in range(ROWS)])
    db.commit()
    assert not any("/t" in plan for plan in plans(db, "SELECT other FROM t WHERE k = ?"))
    # A row of o leads to `size` rows of t and to 40 of u.
    db.execute("CREATE TABLE o(k INTEGER)")
    db.execute("INSERT INTO o VALUES (1)")
    db.commit()
    sql = "SELECT count(t.other + u.other) FROM o, t, u WHERE t.k = o.k AND u.k = o.k"
    order = [row[3].split()[1] for row in rows(db, f"EXPLAIN QUERY PLAN {sql}")]
    assert order.index("t") < order.index("u")
