"""ORDER BY under an index's own collation, and with NULLs out of place: indexes give it, and answers are SQLite's."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import plan
from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER, r REAL, z TEXT COLLATE NOCASE, k INTEGER NOT NULL)",
    "CREATE INDEX t_a ON t(a COLLATE NOCASE, n)",
    "CREATE INDEX t_n ON t(n)",
    "CREATE INDEX t_r ON t(r DESC, n)",
    "CREATE INDEX t_kn ON t(k, n DESC)",
    "CREATE INDEX t_z ON t(z COLLATE RTRIM)",
    "CREATE INDEX t_zz ON t(z, a)",
    "CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER, a TEXT)",
    "CREATE INDEX u_n ON u(n)",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    texts: list[Any] = ["X", "x", "Ab", "ab", "ab ", "AB  ", "", None, 12, b"ab", "\x00", "é", "É"]
    filling: dict[str, list[Any]] = {"t": [], "u": []}
    for i in range(400):
        row = [rng.choice(texts), rng.choice((None, *range(9))), rng.choice((None, 1.5, 2.5, -1)), rng.choice(texts)]
        filling["t"].append((i, *row, rng.randrange(4)))
        filling["u"].append((i, row[1], row[0]))
    for table, rows in filling.items():
        found.fill(table, rows)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM t ORDER BY a COLLATE NOCASE LIMIT 5", "t_a"),
        ("SELECT id FROM t ORDER BY t.a COLLATE nocase DESC LIMIT 5", "t_a"),
        ("SELECT id FROM t x ORDER BY x.a COLLATE NOCASE, x.n LIMIT 5", "t_a"),
        ("SELECT id, a FROM t ORDER BY a COLLATE NOCASE, id LIMIT 5", "t_a, SORTING GROUPS BY rowid"),
        ("SELECT id FROM t ORDER BY z COLLATE RTRIM LIMIT 5", "t_z"),
        ("SELECT id FROM t ORDER BY n NULLS LAST LIMIT 5", "t_n"),
        ("SELECT id FROM t ORDER BY n DESC NULLS FIRST LIMIT 5", "t_n"),
        ("SELECT id FROM t ORDER BY n ASC NULLS LAST, id LIMIT 5", "t_n"),
        ("SELECT id FROM t ORDER BY r NULLS LAST, n DESC LIMIT 5", "t_r"),
        ("SELECT id FROM t ORDER BY r DESC NULLS FIRST, n LIMIT 5", "t_r"),
        ("SELECT id FROM t ORDER BY k NULLS LAST, n DESC LIMIT 5", "t_kn"),
        ("SELECT id FROM t ORDER BY n, a COLLATE NOCASE DESC LIMIT 5", "t_n, SORTING GROUPS BY <expr> DESC"),
        ("SELECT id FROM t ORDER BY n, r NULLS LAST, z LIMIT 5", "t_n, SORTING GROUPS BY <expr>, z"),
        ("SELECT id FROM t WHERE k = 2 ORDER BY n NULLS LAST LIMIT 5", "t_kn (k=?)"),
        ("SELECT id FROM t WHERE k = 2 AND n > 3 ORDER BY n NULLS LAST LIMIT 5", "t_kn (k=? AND n>?)"),
        ("SELECT t.id FROM t JOIN u ON u.id = t.id ORDER BY t.n NULLS LAST LIMIT 5", "t_n"),
    ],
)
def test_an_index_gives_the_order(both: Beside, sql: str, index: str) -> None:
    found = plan(both.mine, sql)
    assert f"INDEX {index}" in found
    assert "TEMP B-TREE" not in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM t ORDER BY n NULLS FIRST, id",                          # as it is by default
        "SELECT id FROM t ORDER BY a COLLATE RTRIM, id",                        # no index has it
        "SELECT id FROM t ORDER BY z COLLATE NOCASE, id",                       # the column's own
        "SELECT id FROM t ORDER BY id NULLS LAST",                          # a row id is never NULL
        "SELECT id, r AS n FROM t ORDER BY n NULLS LAST, id",                   # a result's name
        "SELECT id, -n n FROM t ORDER BY n NULLS LAST, id",
        "SELECT DISTINCT n FROM t ORDER BY n NULLS LAST",
        "SELECT n FROM t GROUP BY n ORDER BY n NULLS LAST",
        "SELECT n FROM t UNION SELECT 1 ORDER BY n NULLS LAST",
        "SELECT t.id, u.n FROM t LEFT JOIN u ON u.id = t.n ORDER BY u.n NULLS LAST, t.id",
        "WITH t(id, n) AS (SELECT id, -n FROM u) SELECT id FROM t ORDER BY n NULLS LAST, id",
        "SELECT id FROM (SELECT id, -n AS n FROM t) ORDER BY n NULLS LAST, id",
        "SELECT id FROM t ORDER BY -n NULLS LAST, id",
        "SELECT id FROM t ORDER BY (a) COLLATE NOCASE, id",
        "SELECT id FROM t ORDER BY 'a' COLLATE NOCASE, id",                     # a text
    ],
)  # fmt: skip
def test_other_terms_are_left_alone(both: Beside, sql: str) -> None:
    assert "entitydb order" not in text_to_run(both.mine, sql)
    assert both.mine.execute(sql).fetchall() == both.theirs.execute(sql).fetchall()


TERMS = ("a COLLATE NOCASE", "a", "z COLLATE RTRIM", "z", "n", "r", "k", "id", "t.n", "t.a COLLATE NOCASE")


@pytest.mark.slow
def test_random_orders_are_those_of_sqlite(both: Beside, rng: random.Random) -> None:
    for _ in range(400):
        terms = [
            " ".join((term, rng.choice(("", "ASC", "DESC")), rng.choice(("", "NULLS FIRST", "NULLS LAST"))))
            for term in rng.sample(TERMS, rng.randrange(1, 4))
        ]
        where = rng.choice(("1", "n > 3", "n IS NULL", "k = 2", "k IN (1, 3)", "a = 'ab'", "r IS NOT NULL", "z < 'b'"))
        moment = rng.random() < 0.2
        sql = f"SELECT id, a, n FROM t WHERE {where} ORDER BY {', '.join(terms)}, id LIMIT {rng.randrange(1, 60)}"
        cursor = both.mine.cursor()
        if moment:
            both.mine.commit()
            cursor.as_of = both.mine.last_commit[1]
        assert cursor.execute(sql).fetchall() == both.theirs.execute(sql).fetchall(), sql
        if rng.random() < 0.1:
            both.run("UPDATE t SET n = iif(n IS NULL, 4, NULL), a = upper(a) WHERE id % 7 = ?", [rng.randrange(7)])


@pytest.mark.parametrize("term", ["id NULLS LAST", "t.id DESC NULLS FIRST", "id COLLATE NOCASE"])
def test_a_row_id_is_never_null(both: Beside, term: str) -> None:
    sql = f"SELECT id FROM t ORDER BY {term} LIMIT 3"
    if "COLLATE" not in term:
        assert plan(both.mine, sql) == "SCAN t"
    assert both.mine.execute(sql).fetchall() == both.theirs.execute(sql).fetchall()


@pytest.mark.slow
def test_a_table_of_very_many_columns_has_no_columns_to_sort_by(db: driver.Connection) -> None:
    columns = ", ".join(f"c{i} INTEGER" for i in range(1990))
    db.execute(f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {columns})")
    for i in range(12):
        db.execute(f"CREATE INDEX wide_{i} ON wide(c{i})")
    db.executemany("INSERT INTO wide(c0) VALUES (?)", [(3,), (None,), (1,)])
    sql = "SELECT c0 FROM wide ORDER BY c0 NULLS LAST"
    assert "entitydb order" not in text_to_run(db, sql)
    assert db.execute(sql).fetchall() == [(1,), (3,), (None,)]
