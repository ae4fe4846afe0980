"""IS between columns is = where one of them cannot be NULL, and nowhere else."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect import driver

from ..asking import visits
from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, x INTEGER, s TEXT)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, x INTEGER, s TEXT)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, x INTEGER, s TEXT)",
    "CREATE INDEX b_x ON b(x)",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    for table in "abc":
        found.fill(table, [(i, rng.choice((None, 1, 2, 3)), rng.choice((None, "1", "2", "x"))) for i in range(1, 9)])
    found.tables = []
    return found


@pytest.mark.parametrize("condition", [
    "a.x IS b.x AND a.x = 1",
    "a.x IS b.x AND b.x > ?",
    "2 >= b.x AND (a.x IS b.x)",
    "a.x IS b.x AND a.x = c.x",
    "a.x IS b.x AND b.x IN (1, 2)",
    "a.x IS b.x AND b.x BETWEEN 1 AND 2",
    "a.x IS b.x AND b.x <> 2",
    "a.s IS b.x AND b.x = 2",
    "a.x IS b.id",
    "a.id IS b.x",
])
def test_is_becomes_equal(both: Beside, condition: str) -> None:
    sql = f"SELECT a.id, b.id, c.id FROM a, b, c WHERE {condition} ORDER BY 1, 2, 3"
    text = text_to_run(both.mine, sql)
    assert " IS " not in text
    assert text.startswith(sql.split(" WHERE ", maxsplit=1)[0])
    both.run(sql, (1,) * sql.count("?"))


@pytest.mark.parametrize("condition", [
    "a.x IS b.x",
    "a.x IS b.x AND c.x = 1",
    "a.x IS b.x AND a.s = 'x'",
    "a.x IS b.x AND (a.x = 1 OR b.id = 1)",
    "a.x IS b.x AND NOT a.x = 1",
    "a.x IS b.x AND (a.x = 1) IS NULL",
    "a.x IS b.x AND a.x NOT IN (SELECT id FROM a WHERE 0)",
    "a.x IS b.x AND a.x + 1 = 2",
    "a.x IS b.x AND CASE WHEN a.x = 1 THEN 0 ELSE 1 END",
    "a.x IS b.x AND a.x LIKE '1'",
    "a.x IS b.x AND a.x = c.x IS NULL",
    "(a.x IS b.x OR a.x = 1) AND a.x = 1",
    "a.x IS NOT b.x AND a.x = 1",
    "a.x IS +b.x AND a.x = 1",
    "a.x IS NULL AND a.x = 1",
])
def test_is_stays(both: Beside, condition: str) -> None:
    sql = f"SELECT a.id, b.id, c.id FROM a, b, c WHERE {condition} ORDER BY 1, 2, 3"
    assert text_to_run(both.mine, sql) == sql
    both.run(sql)


@pytest.mark.parametrize(("sql", "changed"), [
    ("a JOIN b ON a.x IS b.x AND b.x = 1", True),
    ("a JOIN b ON a.x IS b.x WHERE b.x = 1", False),
    ("a LEFT JOIN b ON a.x IS b.x AND b.x = 1", False),
    ("a LEFT JOIN b ON a.x = 1 JOIN c ON c.x IS b.id", False),
    ("a LEFT JOIN b ON a.id = b.id WHERE a.x IS b.x AND b.x = 1", True),
    ("a LEFT JOIN b ON a.x = b.x WHERE b.id IS a.x", False),
])
def test_of_joins_each_condition_stands_by_itself(both: Beside, sql: str, changed: bool) -> None:
    sql = f"SELECT a.id, b.id FROM {sql} ORDER BY 1, 2"
    assert (" IS " not in text_to_run(both.mine, sql)) is changed
    both.run(sql)


@pytest.mark.slow
def test_random_joins_answer_as_sqlite_does(both: Beside, rng: random.Random) -> None:
    def column() -> str:
        return f"{rng.choice('abc')}.{rng.choice(('x', 'x', 's', 'id'))}"

    changed = 0
    for _ in range(200):
        terms = [f"{column()} IS {column()}", *(f"{column()} {rng.choice(('=', '<', 'IS', '<>'))} "
                 f"{rng.choice((column(), '1', 'NULL'))}" for _ in range(rng.randrange(3)))]
        rng.shuffle(terms)
        join = rng.choice(("a, b, c WHERE", "a JOIN b ON a.x IS b.x JOIN c ON", "a LEFT JOIN b ON b.x = 1 JOIN c ON"))
        sql = f"SELECT a.id, b.id, c.id FROM {join} {' AND '.join(terms)} ORDER BY 1, 2, 3"
        changed += text_to_run(both.mine, sql) != sql
        both.run(sql)
    assert changed


def test_nulls_do_not_meet_nulls_that_another_condition_rules_out(db: driver.Connection) -> None:
    for sql in (*SCHEMA, "CREATE INDEX a_x ON a(x)", "CREATE INDEX c_x ON c(x)"):
        db.execute(sql)
    for table in "abc":
        db.executemany(f"INSERT INTO {table} VALUES (?, ?, 'x')", [(i, None if i % 40 else i) for i in range(1, 401)])
    db.commit()
    sql = "SELECT count(*) FROM a, b, c WHERE a.x IS b.x AND a.x = c.x AND b.x IS NULL"
    assert visits(db, sql) <= 430
