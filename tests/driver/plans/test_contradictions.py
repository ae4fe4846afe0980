"""Constants that contradict each other: nothing is read, and the answers are SQLite's."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect import driver

from ..asking import plan, rows, visits
from ..beside import Beside

ROWS = 400
PIECES = (None, -1, 0, 3, 5, 9, 2.5, 5.5, "", "3", "5", "9", "a", "B", "x5", b"5", 1 << 62, float(1 << 62))


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(
        db, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, k TEXT COLLATE NOCASE, x)",
        "CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER)", "CREATE INDEX t_r ON t(r)", "CREATE INDEX u_n ON u(n)",
    )
    found.fill("t", [(i, *(rng.choice(PIECES) for _ in range(5))) for i in range(ROWS)])
    found.fill("u", [(i, i % 7) for i in range(ROWS)])
    found.tables = []
    db.commit()
    return found


@pytest.mark.parametrize("condition", [
    "t.n BETWEEN 9 AND 3", "t.n = 3 AND t.n > 3", "t.n = 3 AND t.n = 5", "t.r < 2.5 AND t.r >= 2.5",
    "t.s > 'b' AND t.s < 'a'",
    "t.id BETWEEN 50 AND 49", "t.id = 4 AND t.id = 5", "t.n IS NULL AND t.n > 3", "t.n IS NULL AND t.n IS NOT NULL",
    "t.n < 3 AND t.n BETWEEN 3 AND 3", "(t.n, t.r) > (9, 1) AND t.n < 3",
])  # fmt: skip
def test_nothing_is_read(both: Beside, condition: str) -> None:
    for sql in (
        f"SELECT * FROM t WHERE {condition}",
        f"SELECT u.id, t.id FROM u, t WHERE u.n = t.n AND {condition} ORDER BY u.id LIMIT 5",
        f"SELECT u.n, count(*) FROM t, u WHERE {condition} GROUP BY u.n",
        f"SELECT count(*), max(u.id) FROM u, t WHERE {condition}",
        f"SELECT count(*) FROM u a, u b, t WHERE a.n = b.n AND b.n = t.n AND {condition} AND a.id IN (SELECT n FROM u)",
    ):
        assert "t, NO ROW" in plan(both.mine, sql)
        assert visits(both.mine, sql) == 0
        both.run(sql)


def test_the_other_table_of_a_left_join_is_read(both: Beside) -> None:
    for on in ("t.n > 9 AND t.n < 3", "u.n > 9 AND u.n < 3", "u.id = t.id AND u.n = 3 AND u.n = 5"):
        both.run(f"SELECT u.id, t.id, t.n FROM u LEFT JOIN t ON {on} ORDER BY 1, 2")
        both.run(f"SELECT u.id, t.id FROM t RIGHT JOIN u ON {on} ORDER BY 1, 2")
        both.run(f"SELECT u.id, t.id FROM u LEFT JOIN t ON {on} WHERE t.n IS NULL AND u.id < 9 ORDER BY 1, 2")


def test_parameters_are_not_known_when_a_plan_is_made(both: Beside) -> None:
    sql = "SELECT count(*) FROM t WHERE n BETWEEN ? AND ?"
    assert "NO ROW" not in plan(both.mine, sql, (9, 3))
    for values in ((9, 3), (3, 9), (None, 3)):
        assert rows(both.mine, sql, values) == list(both.theirs.execute(sql, values))


def test_changes_of_no_row_change_none(both: Beside) -> None:
    both.tables = ["t"]
    both.run("UPDATE t SET n = 1 WHERE n > 9 AND n < 3")
    both.run("DELETE FROM t WHERE id > 9 AND id < 3")


def test_the_closer_of_two_bounds_is_walked_from(both: Beside) -> None:
    for condition in ("n >= 1 AND n >= 6", "n >= 6 AND n > 1", "n BETWEEN 6 AND 9 AND n <= 99"):
        assert visits(both.mine, f"SELECT id FROM u WHERE {condition}") <= ROWS // 7 + 2


def test_random_contradictions_have_the_answers_of_sqlite(both: Beside, rng: random.Random) -> None:
    """Values of any type in columns of any affinity, also under CAST."""
    def value() -> str:
        found = rng.choice(PIECES)
        text = "NULL" if found is None else f"x'{found.hex()}'" if isinstance(found, bytes) else repr(found)
        return rng.choice((text, text, text, f"CAST({text} AS TEXT)", f"CAST({text} AS INTEGER)", f"+{text}"))

    asked = 0
    for _ in range(400):
        column = rng.choice(("id", "n", "r", "s", "k", "x"))
        conditions = [rng.choice((f"t.{column} {rng.choice(('<', '<=', '=', '>', '>='))} {value()}",
                                  f"t.{column} {rng.choice(('IS NULL', 'IS NOT NULL', 'IS ' + value()))}"))
                      for _ in range(rng.choice((2, 2, 3)))]
        sql = f"SELECT t.id FROM t WHERE {' AND '.join(conditions)} ORDER BY id"
        asked += "NO ROW" in plan(both.mine, sql)
        both.run(sql)
    assert asked > 20
