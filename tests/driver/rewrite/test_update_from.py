"""UPDATE ... FROM: a row is updated once, with the last of its matches, as SQLite does it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..beside import Beside

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE s(id INTEGER PRIMARY KEY, sku TEXT UNIQUE, q INT CHECK (q < 100), g AS (q + 1), h AS (q || sku))",
    "CREATE TABLE r(id INTEGER PRIMARY KEY, sku TEXT, n INT, nm TEXT)",
    "INSERT INTO s(id, sku, q) VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 7), (-4, 'd', 9)",
    "INSERT INTO r(sku, n, nm) VALUES ('a', 1, 'b'), ('a', 2, 'z'), ('b', 4, 'y'), ('b', 5, 'y2'), ('d', 3, 'c')",
    "INSERT INTO r(n, nm) VALUES (6, 'w')",
)
STATEMENTS: list[tuple[str, Any]] = [
    ("UPDATE s SET q = r.n FROM r WHERE r.sku = s.sku RETURNING id, q, g, h", ()),
    ("UPDATE s SET q = r.n FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET sku = r.nm FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE OR IGNORE s SET sku = r.nm FROM r WHERE r.sku = s.sku RETURNING *", ()),
    ("UPDATE OR REPLACE s SET sku = r.nm FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE OR FAIL s SET sku = CASE WHEN s.id = 2 THEN 'c' ELSE r.nm END FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = CASE r.id WHEN 1 THEN 500 ELSE r.n END FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = CASE r.id WHEN 2 THEN 500 ELSE r.n END FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s AS x SET q = x.q + r.n, sku = x.sku || r.nm FROM r WHERE r.sku = x.sku RETURNING id, q", ()),
    ("UPDATE main.s SET q = main.s.q + n FROM main.r WHERE main.r.sku = main.s.sku", ()),
    ('UPDATE "s" SET "q" = "r"."n"/*, x = 1*/FROM"r"WHERE"r".sku="s".sku', ()),
    ("UPDATE s SET q = n FROM r", ()),
    ("UPDATE s SET q = n FROM (SELECT sku AS k, n FROM r ORDER BY id) WHERE k = s.sku;", ()),
    ("UPDATE s SET q = n FROM (VALUES (1), (2), (3)) AS v(n) -- comment", ()),
    ("WITH v(k, n) AS (SELECT sku, n FROM r) UPDATE s SET q = v.n FROM v WHERE v.k = s.sku RETURNING q", ()),
    ("WITH s AS (SELECT sku, n FROM r) UPDATE s SET q = r.n FROM r WHERE r.sku = 'a'", ()),
    ("UPDATE s SET q = t.q + 1 FROM s AS t WHERE t.id > s.id RETURNING id, q", ()),
    ("UPDATE s SET q = r.n + t.id FROM r LEFT JOIN s AS t ON t.sku = r.nm WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = r.n FROM r JOIN (SELECT 'a' AS k) ON r.sku = k WHERE r.sku = s.sku", ()),
    ("UPDATE s SET (q, sku) = (r.n, r.nm) FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET (q, sku) = (SELECT r.n, r.nm || t.q FROM s AS t WHERE t.id = 3) FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET (q, sku) = (VALUES (r.n, r.nm)) FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET (q) = (r.n) FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = 1, q = r.n FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = r.n IS DISTINCT FROM 2, sku = s.sku IS NOT DISTINCT FROM 'a' FROM r WHERE s.id = 1", ()),
    ("UPDATE s SET id = r.n + 10 FROM r WHERE r.sku = s.sku RETURNING id", ()),
    ("UPDATE s SET rowid = r.n + 10 FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = ? + r.n FROM r WHERE r.sku = s.sku AND r.n > ? RETURNING q, ?", (10, 1, "x")),
    ("UPDATE s SET q = :a, sku = r.nm || :b FROM r WHERE r.sku = s.sku AND r.n > :a RETURNING :b", {"a": 1, "b": "x"}),
    ("UPDATE s SET (q, sku) = (SELECT ?, ? || r.nm) FROM r WHERE r.sku = s.sku AND n > ? RETURNING ?", (1, "x", 1, 5)),
    ("UPDATE s SET sku = ?, (q, sku) = (SELECT ?2, ? || r.nm) FROM r WHERE r.sku = s.sku AND n > ?", ("l", 1, "x", 1)),
    ("UPDATE s SET q = r.n FROM r WHERE r.sku IN (?, ?, ?, ?, ?, ?, ?, ?, ?) AND r.sku = s.sku", tuple("abcdefghi")),
    # refused
    ("UPDATE s SET g = r.n FROM r WHERE r.sku = s.sku", ()),
    ("UPDATE s SET q = sku FROM r", ()),
    ("UPDATE s SET (q, sku) = (r.n, r.nm, 3) FROM r", ()),
    ("UPDATE s SET zilch = r.n FROM r", ()),
    ("UPDATE s SET q = r.n FROM zilch AS r", ()),
    ("UPDATE s SET q = zilch FROM r", ()),
    ("UPDATE s SET q = r.n FROM r WHERE", ()),
    ("UPDATE s SET q = FROM r", ()),
    ("UPDATE s SET q = r.n FROM", ()),
    ("UPDATE s SET q = abs(-9223372036854775808) FROM r", ()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS)
def test_as_sqlite_does_it(connect: Connect, sql: str, parameters: Any) -> None:
    both = Beside(connect(), *SCHEMA)
    both.run(sql, parameters)
    both.mine.commit()


@pytest.mark.parametrize("columns", ["rowid, a", "rowid, _rowid_, a", "a PRIMARY KEY, b"])
def test_whatever_the_row_id_is_called(connect: Connect, columns: str) -> None:
    both = Beside(connect(), f"CREATE TABLE t({columns})", "INSERT INTO t(a) VALUES (1), (2)")
    both.rowids = False
    both.tables = []
    both.run("UPDATE t SET a = column1 + t.a * 10 FROM (VALUES (1), (2)) AS v")
    both.run("SELECT * FROM t ORDER BY 1, 2")
    both.mine.commit()


def test_in_an_attached_database(two: driver.Connection) -> None:
    two.execute("CREATE TABLE x.other(a)")
    two.execute("INSERT INTO x.other VALUES (1), (2)")
    for name in ("x.other", "other"):
        cursor = two.execute(f"WITH other AS (SELECT 1) UPDATE {name} SET a = column1 FROM (VALUES ('p'), ('q')) AS v")
        assert cursor.rowcount == 2
        assert two.execute("SELECT a FROM x.other").fetchall() == [("q",), ("q",)]
    two.commit()


def test_a_row_has_one_version_of_one_update(db: driver.Connection) -> None:
    """And a statement with a partial index and one on an expression uses them for the matches."""
    for sql in SCHEMA:
        db.execute(sql)
    db.execute("CREATE INDEX low ON r(lower(sku)) WHERE n > 0")
    db.commit()
    assert db.execute("UPDATE s SET q = r.n FROM r WHERE lower(r.sku) = s.sku AND r.n > 0").rowcount == 3
    found = db.execute("EXPLAIN QUERY PLAN UPDATE s SET q = r.n FROM r WHERE lower(r.sku) = 'a' AND r.n > 0").fetchall()
    assert any("INDEX low" in row[3] for row in found), found
    db.commit()


@pytest.mark.slow
@pytest.mark.parametrize("nth", range(20))
def test_at_random(connect: Connect, rng: random.Random, nth: int) -> None:
    both = Beside(
        connect(),
        f"CREATE TABLE s(id INTEGER PRIMARY KEY, k INT, u INT {rng.choice(['', 'UNIQUE'])}, v TEXT CHECK (v < 'yc'))",
        "CREATE TABLE r(k, n INT, v TEXT)",
    )
    both.rowids = False
    both.tables = []
    for i in range(8):
        both.run("INSERT INTO s VALUES (?, ?, ?, ?)", (rng.randint(-50, 50) * 20 + i, rng.randint(1, 4), i, "x"))
    for _ in range(12):
        row = (rng.choice([1, 2, 3, "2", None]), rng.randint(0, 20), rng.choice("abc"))
        both.run("INSERT INTO r VALUES (?, ?, ?)", row)
    for _ in range(30):
        sets = rng.sample(["u = r.n", "v = s.v || r.v", "k = r.k", "id = s.id + r.n * 1000", "(u, k) = (s.k, r.n)"], 2)
        # Without + either might make an index for it, and then the last match is another one.
        where = rng.choice(["+r.k = +s.k", "+r.k = +s.k AND r.n > 5", "+r.n = +s.u", "r.v < s.v", "+r.k IS +s.k"])
        verb = rng.choice(["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE", "UPDATE OR FAIL"])
        returning = rng.choice(["", " RETURNING id, k, u, v"])
        both.run(f"{verb} s SET {', '.join(sets)} FROM r WHERE {where}{returning}")
        both.run("SELECT * FROM s ORDER BY id")
        both.run("UPDATE s SET v = 'y', k = 1 + abs(id) % 4")
    both.mine.commit()
