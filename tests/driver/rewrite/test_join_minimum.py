"""min() over a join reads the first row of an index's order where it can, and says what SQLite says."""

from __future__ import annotations

import random

import apsw
import pytest

from entitydb_dialect import driver

from ..asking import rows, visits
from ..beside import Beside, kinds, text_to_run

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INTEGER, z TEXT COLLATE NOCASE, plain)",
    "CREATE INDEX t_a ON t(a)",
    "CREATE INDEX t_bz ON t(b DESC, z)",
    "CREATE TABLE u(id INTEGER PRIMARY KEY, t INTEGER, c)",
    "CREATE INDEX u_c ON u(c)",
    "CREATE VIEW w AS SELECT * FROM u",
)
QUESTIONS = (
    "SELECT min(a) FROM t, u",
    "SELECT MIN ( t . a ) AS least FROM t JOIN u ON u.t = t.id",
    'SELECT min(c) "the least" FROM t, u WHERE u.t = t.id AND b = 1 OR z = \'a\' -- why\n;',
    "SELECT min(u.c) x FROM t LEFT JOIN u ON u.t = t.id AND u.id > 3",
    "SELECT min(t.b) FROM t LEFT JOIN u ON u.t = t.id WHERE u.id IS NULL",
    "SELECT min(one.a) FROM t one, t two, w WHERE one.b = two.b AND two.id = w.t",
    "SELECT min(a) FROM t, u WHERE a > ? AND t.id = (SELECT min(t) FROM u WHERE c > 1) /* ) */",
    "SELECT min(a) FROM t, u WHERE false",
    "SELECT min(t.id) FROM t, u",
    "SELECT min(u.id) AS n FROM t JOIN u ON u.t = t.id WHERE t.b > 0",
    "EXPLAIN QUERY PLAN SELECT min(a) FROM t, u",
)
OTHERS = (
    "SELECT min(plain) FROM t, u",
    "SELECT min(a), max(a) FROM t, u",
    "SELECT min(a, b) FROM t, u",
    "SELECT min(a) + 1 FROM t, u",
    "SELECT min(a) FROM t, u GROUP BY b",
    "SELECT min(a) FROM t, u HAVING min(a) > 1",
    "SELECT min(a) FROM t, u LIMIT 0",
    "SELECT min(a) FROM t, u ORDER BY 1",
    "SELECT min(a) FROM t, u UNION SELECT 1",
    "SELECT 1 UNION SELECT min(a) FROM t, u",
    "SELECT DISTINCT min(a) FROM t, u",
    "SELECT min(DISTINCT a) FROM t, u",
    "SELECT min(a) OVER w FROM t, u WINDOW w AS (ORDER BY a)",
    "SELECT min(a) FILTER (WHERE b) FROM t, u",
    "SELECT min(t.a) FROM t NATURAL JOIN u",
    "SELECT max(a) FROM t, u",
    "WITH t AS (SELECT 1 AS a) SELECT min(a) FROM t, u",
    "SELECT (SELECT min(a) FROM t, u)",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    found.tables = []
    return found


@pytest.mark.parametrize("sql", QUESTIONS)
def test_it_says_what_sqlite_says(both: Beside, rng: random.Random, sql: str) -> None:
    values = (1,) * sql.count("?")
    assert "ORDER BY" in text_to_run(both.mine, sql, values)
    if sql.startswith("EXPLAIN"):
        return
    for _ in range(4):
        mine, theirs = both.mine.execute(sql, values).fetchall(), both.theirs.execute(sql, values).fetchall()
        assert kinds(mine) == kinds(theirs)
        for _ in range(8):
            row = [rng.choice((None, 1, 2.5, "a", "b", -3, b"x", 7)) for _ in range(5)]
            both.run("INSERT INTO t(a, b, z) VALUES (?, ?, ?)", row[:3])
            both.run("INSERT INTO u(t, c) VALUES (?, ?)", (rng.randrange(1, 12), row[4]))
    assert [column[0] for column in both.mine.execute(sql, values).description or ()] == names(both.theirs, sql, values)


def names(plain: apsw.Connection, sql: str, values: tuple[int, ...]) -> list[str]:
    found: list[str] = []
    plain.exec_trace = lambda cursor, *_: bool(found.extend(c[0] for c in cursor.get_description()) or True)
    plain.execute(sql, values).fetchall()
    plain.exec_trace = None
    return found


@pytest.mark.parametrize("sql", OTHERS)
def test_other_statements_are_sqlites(both: Beside, sql: str) -> None:
    assert text_to_run(both.mine, sql) == sql
    both.run(sql)


@pytest.fixture
def big(db: driver.Connection) -> driver.Connection:
    for sql in SCHEMA:
        db.execute(sql)
    db.executemany("INSERT INTO t(id, a, b) VALUES (?, ?, ?)", [(i, i if i % 3 else None, i % 7) for i in range(2000)])
    db.executemany("INSERT INTO u(id, t, c) VALUES (?, ?, ?)", [(i, i * 3 % 2000, i % 500) for i in range(2000)])
    db.commit()
    return db


@pytest.mark.parametrize("sql", [
    "SELECT min(a) FROM t, u",
    "SELECT min(u.c) FROM t, u WHERE u.t = t.id",
    "SELECT min(u.c) FROM u LEFT JOIN t ON u.t = t.id",
])
def test_the_first_row_of_an_order_is_enough(big: driver.Connection, sql: str) -> None:
    assert visits(big, sql) <= 10


@pytest.mark.parametrize("column", ["t.a", "t.id"])
def test_one_row_is_wanted_and_not_a_page(big: driver.Connection, column: str) -> None:
    """One row of t in ten has a partner: some 10 are met until one has, and for 50 of them more than v has rows."""
    big.execute("CREATE TABLE v(t INTEGER UNIQUE, pad)")
    big.executemany("INSERT INTO v VALUES (?, 'a')", [(i * 10 + 7,) for i in range(200)])
    big.commit()
    sql = f"SELECT min({column}) FROM t, v WHERE v.t = t.id"
    assert rows(big, sql) == [(7,)]
    assert visits(big, sql) <= 40


def test_where_few_rows_are_joined_they_are_read(big: driver.Connection) -> None:
    """Not all of u, in the order of c."""
    assert visits(big, "SELECT min(u.c) FROM t, u WHERE u.t = t.id AND u.id IN (5, 6, 7) AND t.b = 9") <= 10
