"""Comparisons of row values bound their first column by its literal, and answer what they answered."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits
from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INTEGER, s TEXT, z TEXT COLLATE NOCASE)",
    "CREATE INDEX t_ab ON t(a, b)",
    "CREATE INDEX t_ba ON t(b DESC, a)",
    "CREATE INDEX t_s ON t(s)",
    "CREATE INDEX t_z ON t(z, id)",
    "CREATE TABLE u(id INTEGER PRIMARY KEY, t INTEGER)",
    "CREATE INDEX u_t ON u(t)",
)
VALUES = (None, -1, 0, 1, 2, 2.5, "1", "2", "a", "B", b"a")


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    found.fill("t", [(i, *(rng.choice(VALUES) for _ in range(4))) for i in range(1, 61)])
    found.fill("u", [(i, rng.randrange(70)) for i in range(1, 41)])
    found.tables = []
    return found


@pytest.mark.parametrize(("condition", "added"), [
    ("(a, b) > (1, 2)", "a >= 1"),
    ("(b, a) <= (-1, 2) AND s = 'a'", "b <= -1"),
    ("s = 'a' AND ((t.z, b, a) < ('a', 2, ?))", "t.z <= 'a'"),
    ("(a, b) >= (x'61', id + 1)", "a >= x'61'"),
])
def test_the_bound_of_the_first_value_is_added(both: Beside, condition: str, added: str) -> None:
    sql = f"SELECT id FROM t WHERE {condition} ORDER BY id"
    text = text_to_run(both.mine, sql)
    assert f") AND {added}" in text
    assert len(text) == len(sql) + len(f" AND {added}")
    both.run(sql, (1,) * sql.count("?"))


@pytest.mark.parametrize("condition", [
    "(a, b) > (?, 2)",
    "(a, b) = (1, 2)",
    "(a, b) IN (SELECT 1, 2)",
    "(a + 1, b) > (1, 2)",
    "(a, b) > (NULL, 2)",
    "(a, b) > (b, 2)",
    "(1, 2) > (a, b)",
    "(a, b) > (SELECT 1, 2)",
    "NOT (a, b) > (1, 2)",
    "(a, b) > (1, 2) OR b = 1",
    "((a, b) > (1, 2)) = 0",
    "(a COLLATE NOCASE, b) > ('a', 2)",
    "(a, b) > (1, 2, 3)",
    "(a, b) > (1 + 1, 2)",
])
def test_no_bound_is_added(both: Beside, condition: str) -> None:
    sql = f"SELECT id FROM t WHERE {condition} ORDER BY id"
    assert text_to_run(both.mine, sql) == sql
    both.run(sql, (1,) * sql.count("?"))


@pytest.mark.slow
def test_random_comparisons_answer_as_sqlite_does(both: Beside, rng: random.Random) -> None:
    def literal(value: Any) -> str:
        return "x'61'" if isinstance(value, bytes) else repr(value).replace("None", "NULL")

    for _ in range(300):
        n = rng.choice((2, 2, 3))
        left = ", ".join(rng.choice(("a", "b", "s", "z", "id", "t.a")) for _ in range(n))
        right = ", ".join(literal(rng.choice(VALUES)) for _ in range(n))
        row = f"({left}) {rng.choice(('<', '<=', '>', '>='))} ({right})"
        more = rng.choice(("", " AND a >= 1", " AND b < 2", " AND s > 'a'", " AND u.t <> 3", " OR u.id = 7"))
        join = rng.choice((f"JOIN u ON u.t = t.id WHERE {row}{more}", f"LEFT JOIN u ON u.t = t.id AND {row}{more}"))
        both.run(f"SELECT t.id, u.id FROM t {join} ORDER BY 1, 2")


def test_a_change_and_a_view_are_as_sqlites(both: Beside) -> None:
    both.tables = ["t"]
    both.run("UPDATE t SET z = 'new' WHERE (b, a) > (1, 1)")
    both.run("DELETE FROM t WHERE (a, b) < (1, 1)")


@pytest.fixture
def big(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
    db.execute("CREATE INDEX t_a ON t(a, b)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, t INTEGER)")
    db.execute("CREATE INDEX u_t ON u(t)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i * 7 % 1000, i) for i in range(1, 1001)])
    db.executemany("INSERT INTO u VALUES (?, ?)", [(i, i * 10) for i in range(1, 101)])
    db.commit()
    return db


def test_a_narrow_bound_drives_a_join(big: driver.Connection) -> None:
    sql = "SELECT t.b FROM u JOIN t ON t.id = u.t WHERE (t.a, t.b) >= (990, 3)"
    assert plan(big, sql) == "SEARCH t USING INDEX t_a (a>=?); SEARCH u USING INDEX u_t (t=?)"
    assert visits(big, sql) <= 30


def test_a_wide_bound_leaves_a_limit_its_order(big: driver.Connection) -> None:
    sql = "SELECT b FROM t WHERE (a, b) >= (1, 3) ORDER BY id LIMIT 10"
    assert plan(big, sql) == "SCAN t"
    assert visits(big, sql) <= 12


def test_a_narrow_bound_is_better_than_the_order(big: driver.Connection) -> None:
    assert visits(big, "SELECT b FROM t WHERE (a, b) > (995, 3) ORDER BY id LIMIT 10") <= 10


def test_a_wide_bound_does_not_drive_a_join(big: driver.Connection) -> None:
    """Nor does the comparison itself count as one that leaves a quarter."""
    big.execute("CREATE TABLE w(id INTEGER PRIMARY KEY, t INTEGER)")
    big.execute("CREATE INDEX w_t ON w(t)")
    big.executemany("INSERT INTO w(t) VALUES (?)", [(i,) for i in range(1, 401)])
    big.commit()
    assert plan(big, "SELECT count(*) FROM t, w WHERE t.id = w.t AND (t.a, t.b) >= (1, 3)").startswith("SCAN w")
