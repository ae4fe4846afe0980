"""Automatic indexes: joins on columns that no index leads to, in answers and in entries visited."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import plan, visited, visits
from ..beside import Beside, kinds

ROWS = 3000
SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, k INTEGER, s TEXT, z TEXT COLLATE NOCASE, v)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, k INTEGER, s TEXT, z TEXT COLLATE NOCASE, v, g INTEGER)",
    "CREATE INDEX b_g ON b(g, k DESC)",
)


def fill(both: Beside, rng: random.Random, rows: int = ROWS) -> None:
    def some() -> list[Any]:
        number = rng.randrange(rows)
        return [rng.choice((number, None, str(number))), f"{number}", rng.choice(("x", "X", "é")) + str(number % 99),
                rng.choice((number, float(number), str(number), None, b"x"))]

    for one in (both.mine, both.theirs):
        state = rng.getstate()
        one.executemany("INSERT INTO a VALUES (?, ?, ?, ?, ?)", [(i, *some()) for i in range(rows)])
        one.executemany("INSERT INTO b VALUES (?, ?, ?, ?, ?, ?)", [(i, *some(), i % 3) for i in range(rows)])
        rng.setstate(state)
    both.mine.commit()


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    fill(found, rng)
    return found


QUERIES = [
    "SELECT count(*), sum(a.id), sum(b.id) FROM a JOIN b ON a.k = b.k",
    "SELECT count(*), sum(b.id) FROM a LEFT JOIN b ON a.k = b.k AND b.s > '5'",
    "SELECT count(*) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.s = a.s)",
    "SELECT a.id, (SELECT max(b.id) FROM b WHERE b.k = a.k) AS newest FROM a ORDER BY a.id",
    "SELECT count(*), sum(b.id) FROM a JOIN b ON a.z = b.z AND a.k = b.k",
    "SELECT count(*) FROM (SELECT k, count(*) AS n FROM a GROUP BY k) x JOIN b ON b.k = x.k",
    "SELECT count(*), sum(b.id) FROM a, b WHERE a.id < 900 AND b.g = 1 AND b.s = a.s",
    "SELECT a.id, b.id FROM a JOIN b ON b.k IS a.k AND b.s = a.s ORDER BY a.id, b.id",
    "SELECT a.id, (SELECT b.id FROM b WHERE b.k = a.k ORDER BY b.id DESC LIMIT 1) FROM a ORDER BY a.id",
    "SELECT a.id, (SELECT b.id FROM b WHERE b.s = a.s ORDER BY b.g, b.k DESC, b.id LIMIT 1) FROM a ORDER BY a.id",
]


@pytest.mark.slow
@pytest.mark.parametrize("sql", QUERIES)
def test_a_join_without_index_is_not_quadratic(both: Beside, sql: str) -> None:
    assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql))
    assert visits(both.mine, sql) < 15 * ROWS
    assert "AUTOMATIC INDEX" in plan(both.mine, sql)


# Where keys do not decide (a text column beside numbers) each walk is made.
COMPARED = ["a.k = b.s", "a.s = b.k", "a.v = b.v", "a.v = b.k", "b.v = a.s", "a.z = b.s", "a.s = b.z", "b.z IS a.s",
            "a.k = b.v AND a.s = b.s", "a.k + 0 = b.k", "a.s || '' = b.s", "CAST(a.s AS INTEGER) = b.v"]


@pytest.mark.parametrize("switch", ["", "-automatic", "+automatic"])
def test_every_comparison_means_what_it_means_to_sqlite(
    db: driver.Connection, rng: random.Random, switch: str
) -> None:
    both = Beside(db, *SCHEMA)
    fill(both, rng, 150)
    db.execute("SELECT entitydb_planner(?)", (switch,)).fetchall()
    for condition in COMPARED:
        for join in ("JOIN", "LEFT JOIN"):
            sql = f"SELECT a.id, b.id FROM a {join} b ON {condition} ORDER BY a.id, b.id"
            assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql)), sql


@pytest.mark.slow
def test_own_writes_are_in_it(both: Beside) -> None:
    for sql in (
        "INSERT INTO b(k, s) SELECT k, 'new' FROM a WHERE id < 50",
        "UPDATE b SET g = (SELECT count(*) FROM a WHERE a.k = b.k)",
        "DELETE FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.s = 'new')",
        "UPDATE a SET k = (SELECT max(other.k) FROM a AS other WHERE other.s = a.s)",
    ):
        both.run(sql)
        both.compare()
        for query in QUERIES[:3]:
            assert both.mine.execute(query).fetchall() == list(both.theirs.execute(query))


def test_the_past_has_its_own(both: Beside) -> None:
    cursor = both.mine.cursor()
    cursor.as_of = both.mine.last_commit[1]
    expected = list(both.theirs.execute(QUERIES[0]))
    both.mine.execute("UPDATE b SET k = k + 1")
    both.mine.commit()
    assert cursor.execute(QUERIES[0]).fetchall() == expected
    assert both.mine.execute(QUERIES[0]).fetchall() != expected


@pytest.mark.slow
def test_it_spills_like_a_transaction(rng: random.Random) -> None:
    with driver.connect(spill_bytes=1 << 16) as db:
        both = Beside(db, *SCHEMA)
        fill(both, rng, 6000)
        for sql in QUERIES:
            assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql)), sql


def test_a_walk_that_is_made_once_makes_none(both: Beside) -> None:
    assert "AUTOMATIC" not in plan(both.mine, "SELECT * FROM b WHERE k = 5")
    assert visits(both.mine, "SELECT * FROM b WHERE k = ?", (5,)) <= ROWS + 1
    assert visits(both.mine, "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k LIMIT 1") <= 3 * ROWS


def test_an_interrupt_ends_its_making(both: Beside) -> None:
    both.mine.set_progress_handler(lambda: 1, 50)
    with pytest.raises(driver.OperationalError, match="interrupted"):
        both.mine.execute(QUERIES[0]).fetchall()
    both.mine.set_progress_handler(None, 0)
    assert both.mine.execute(QUERIES[0]).fetchall() == list(both.theirs.execute(QUERIES[0]))


@pytest.mark.slow
def test_runs_of_executemany_keep_nothing_of_each_other(both: Beside) -> None:
    both.mine.execute("ANALYZE")
    sets = [(i, i % 3, str(i)) for i in range(3000)]
    before = visited(both.mine)
    for one in (both.mine, both.theirs):
        one.executemany("UPDATE b SET v = ? WHERE g = ? AND s = ? AND id < 60", sets)
    both.compare()
    assert visited(both.mine) - before < 3000 * 200


# ---- the walks before it is there leave out what an equality cannot hold for ----

TYPES = {"i": "INTEGER", "t": "TEXT", "z": "TEXT COLLATE NOCASE", "w": "TEXT COLLATE RTRIM", "v": "", "r": "REAL",
         "n": "NUMERIC", "b": "BLOB"}  # fmt: skip
VALUES = (1, 2, 1.0, 1.5, "1", "1.0", " 1", "x", "X", "x ", b"x", b"1", None, 2**53 + 1, float(2**53), "")


@pytest.fixture
def alike(db: driver.Connection) -> Beside:
    """Two tables with every value in columns of every type; some rows of `many` are of before a column was added."""
    columns = ", ".join(f"{name} {type_}" for name, type_ in TYPES.items())
    found = Beside(
        db,
        f"CREATE TABLE one(id INTEGER PRIMARY KEY, {columns})",
        f"CREATE TABLE many(id INTEGER PRIMARY KEY, {columns}, g AS (v))",
    )
    places = f"?, {', '.join(['?'] * len(TYPES))}"
    for side in (found.mine, found.theirs):
        for table in ("one", "many"):
            named = ", ".join(("id", *TYPES))
            rows = [(i, *[value] * len(TYPES)) for i, value in enumerate(VALUES)]
            side.executemany(f"INSERT INTO {table}({named}) VALUES ({places})", rows)
        side.execute("ALTER TABLE many ADD COLUMN late DEFAULT 'x'")
        side.execute("INSERT INTO many(id, i, late) VALUES (100, 1, 2), (101, 2, 'x'), (102, NULL, NULL)")
    found.mine.commit()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "own writes"])
def test_no_row_is_left_out_that_an_equality_holds_for(alike: Beside, committed: bool) -> None:
    moment = alike.mine.last_commit[1]
    before = {}
    sql = "SELECT one.id, many.id FROM one {} JOIN many ON {} WHERE one.id = ? ORDER BY 1, 2"
    pairs = [(mine, theirs) for mine in (*TYPES, "g", "late") for theirs in TYPES]
    conditions = [f"many.{a} {'IS' if (i % 5 == 0) else '='} one.{b}" for i, (a, b) in enumerate(pairs)]
    conditions += ["many.i = one.i AND many.t = one.t", "many.t = one.t AND many.b = one.b",
                   "one.v = many.z AND many.i IS one.i", "many.t = one.t COLLATE NOCASE",
                   "many.t = one.z", "one.z = many.t"]  # fmt: skip
    for condition in conditions:
        for kind in ("CROSS", "LEFT"):
            text = sql.format(kind, condition)
            for id_ in range(len(VALUES)):
                before[text, id_] = list(alike.theirs.execute(text, (id_,)))
    for side in (alike.mine, alike.theirs):
        side.execute("UPDATE many SET i = i + 1, t = t || 'x' WHERE id % 3 = 0")
        side.execute("DELETE FROM many WHERE id % 5 = 1")
        side.execute("INSERT INTO many(id, i, t, z, late) VALUES (200, 1, 'x', 'x', 1)")
    if committed:
        alike.mine.commit()
    for (text, id_), rows in before.items():
        assert alike.mine.execute(text, (id_,)).fetchall() == list(alike.theirs.execute(text, (id_,))), (text, id_)
        cursor = alike.mine.cursor()
        cursor.as_of = moment
        assert cursor.execute(text, (id_,)).fetchall() == rows, (text, id_)


@pytest.mark.parametrize("condition", [
    "many.a = one.a AND many.b = one.b", "many.b = one.b AND many.a = one.a",
    "many.b = one.b AND many.c = one.c AND many.a = one.a", "many.a = one.a AND many.n = one.n AND many.c = one.c",
])  # fmt: skip
def test_equalities_of_several_texts_keep_each(db: driver.Connection, condition: str) -> None:
    """However much more room the next ones take than those of the rows before did."""
    sets = [(i, "a" * (30 + i), "b" * (300 << i), "c" * (900 << i), i % 2) for i in range(8)]
    for table in ("one", "many"):
        db.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, n INTEGER)")
        db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", sets)
    sql = f"SELECT one.id, many.id FROM one CROSS JOIN many ON {condition} WHERE one.id = ?"
    assert [db.execute(sql, (i,)).fetchall() for i in range(8)] == [[(i, i)] for i in range(8)]


def test_rows_that_are_left_out_count_and_can_be_interrupted(both: Beside) -> None:
    db = both.mine
    sql = "SELECT count(*) FROM a CROSS JOIN b ON b.k = a.id WHERE a.id = 7"
    assert visits(db, sql) >= ROWS
    db.create_function("stop", 0, lambda: db.interrupt() or 1)
    with pytest.raises(driver.OperationalError, match="interrupted"):
        db.execute(f"{sql} AND stop() AND b.s = '-'").fetchall()


# ---- entries that a statement makes for itself ----

LATER = ("i", "i DESC, n", "r, i", "r DESC", "v DESC, i", "t, i", "z, i DESC", "w", "b, n", "g, i", "late, i",
         "i, late DESC")  # fmt: skip


@pytest.mark.parametrize("parts", LATER)
def test_entries_of_an_index_made_later_hold_what_the_rows_hold(alike: Beside, parts: str) -> None:
    db = alike.mine
    moment = db.last_commit[1]
    columns = ", ".join(part.removesuffix(" DESC") for part in parts.split(", "))
    ordered = f"SELECT {columns}, id FROM many ORDER BY {parts}, id"
    first = columns.split(", ")[0]
    sought = f"SELECT {columns}, id FROM many WHERE {first} IS ? ORDER BY id"
    for side in (db, alike.theirs):
        side.execute(f"CREATE INDEX later ON many({parts})")
    expected = kinds(alike.theirs.execute(ordered))
    found = [(value, kinds(alike.theirs.execute(sought, (value,)))) for value in VALUES]
    db.execute("DELETE FROM many WHERE id % 2 = 0")
    db.commit()
    cursor = db.cursor()
    cursor.as_of = moment
    assert "INDEX later" in plan(db, ordered)
    assert kinds(cursor.execute(ordered).fetchall()) == expected
    for value, rows in found:
        assert kinds(cursor.execute(sought, (value,)).fetchall()) == rows, value


WALKS = (
    "SELECT k, n, id FROM t ORDER BY k, n DESC, id",
    "SELECT k, n, id FROM t ORDER BY k DESC, n, id DESC",
    "SELECT k, id FROM t WHERE k = 7 ORDER BY n DESC, id",
    "SELECT k, id FROM t WHERE k = 7 AND n = 1 AND id < 1000 ORDER BY id DESC",
    "SELECT id FROM t WHERE k = 7 AND n = 1 AND id < (SELECT max(id) FROM t WHERE k = 7 AND n = 1) ORDER BY id DESC",
    "SELECT id FROM t WHERE k = 7 AND n = 1 AND id >= (SELECT min(id) FROM t WHERE k = 7 AND n = 1) ORDER BY id",
    "SELECT k, n, id FROM t WHERE k > 90 ORDER BY k, n DESC, id",
    "SELECT k, n, id FROM t WHERE k >= 90 AND k < 95 ORDER BY k DESC, n, id DESC",
    "SELECT k, n, id FROM t WHERE k <= 3 ORDER BY k DESC, n, id DESC",
    "SELECT k, n, id FROM t WHERE k = 5 AND n <= 1 ORDER BY n DESC, id",
    "SELECT k, n, id FROM t WHERE k IN (3, 99, 1, 200) ORDER BY k, n DESC, id",
    "SELECT n, id FROM t WHERE k IS NULL ORDER BY n DESC, id",
    "SELECT k, id FROM t WHERE k = 100",
    "SELECT min(k), max(k), count(DISTINCT k) FROM t",
    "SELECT DISTINCT k FROM t ORDER BY k DESC",
)


@pytest.mark.parametrize("spill_bytes", [1 << 30, 40_000, 4096], ids=["in memory", "half of them", "often"])
def test_entries_of_a_statement_are_walked_alike_in_memory_and_spilled(rng: random.Random, spill_bytes: int) -> None:
    with driver.connect(spill_bytes=spill_bytes) as db:
        both = Beside(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, n INTEGER, filler TEXT)")
        rows = [(i, rng.choice((rng.randrange(100), None, i % 9)), rng.randrange(3), "-" * 20) for i in range(1500)]
        both.fill("t", rows)
        db.commit()
        moment = db.last_commit[1]
        expected = [(sql, kinds(both.theirs.execute(sql))) for sql in WALKS]
        db.execute("CREATE INDEX t_k ON t(k, n DESC)")
        db.execute("UPDATE t SET k = k + 1, n = n + 1")
        db.commit()
        cursor = db.cursor()
        cursor.as_of = moment
        for sql, wanted in expected:
            assert kinds(cursor.execute(sql).fetchall()) == wanted, sql
        assert "INDEX t_k" in plan(db, WALKS[0])


@pytest.mark.parametrize("condition", ["many.{0} = one.v", "many.{0} = one.v AND many.k = one.k",
                                       "many.k IS one.k AND many.{0} IS one.v"])  # fmt: skip
@pytest.mark.parametrize("column", ["i", "t", "g", "late", "later"])
def test_rows_of_every_age_and_size_are_left_out_rightly(db: driver.Connection, column: str, condition: str) -> None:
    """Rows that lack the newest columns, rows too large for a page, a column dropped and one computed."""
    both = Beside(
        db,
        "CREATE TABLE one(id INTEGER PRIMARY KEY, k INTEGER, v)",
        "CREATE TABLE many(id INTEGER PRIMARY KEY, filler, gone, k INTEGER, i INTEGER, t TEXT, g AS (i % 3))",
        "ALTER TABLE many DROP COLUMN gone",
    )
    values = (0, 1, 2, 7, "7", "x", None)
    sides = (both.mine, both.theirs)
    for age, added in enumerate(("late DEFAULT 7", "later TEXT DEFAULT 'x'", None)):
        for side in sides:
            names = ("id, filler, k, i, t", "id, filler, k, i, t, late", "id, filler, k, i, t, late, later")[age]
            rows = [(100 * age + n, "-" * (50_000 if n % 5 == 0 else 3), n % 2, n % 9, values[n % 7], n % 3, "x")
                    for n in range(40)]  # fmt: skip
            marks = ", ".join("?" * (5 + age))
            side.executemany(f"INSERT INTO many({names}) VALUES ({marks})", [row[:5 + age] for row in rows])
            if added:
                side.execute(f"ALTER TABLE many ADD COLUMN {added}")
    for side in sides:
        side.executemany("INSERT INTO one(k, v) VALUES (?, ?)", [(k, v) for k in (0, 1) for v in values])
        side.execute("UPDATE many SET i = i + 1 WHERE id % 7 = 0")
    db.commit()
    sql = f"SELECT one.id, many.id FROM one CROSS JOIN many ON {condition.format(column)} WHERE one.id = ? ORDER BY 2"
    for one in range(1, 15):
        assert db.execute(sql, (one,)).fetchall() == list(both.theirs.execute(sql, (one,))), one


# Outer rows with the upper bound and the value that they look for. Of 600 rows a is the number, k has 2 values, u 600.
WAYS = {
    "narrow bounds beside frequent values": ("k", [(3, i % 2) for i in range(600)], 600 * 11),
    "wide bounds beside rare values": ("u", [(600, i) for i in range(600)], 600 * 11),
    "narrow bounds, then wide ones": ("u", [(3 if i < 300 else 600, i) for i in range(600)], 600 * 11),
    "wide bounds, then narrow ones": ("u", [(600 if i < 300 else 3, i) for i in range(600)], 600 * 11),
}


@pytest.mark.parametrize("walks", WAYS)
def test_the_way_is_taken_that_visits_less(db: driver.Connection, walks: str) -> None:
    column, outer, most = WAYS[walks]
    both = Beside(db, "CREATE TABLE o(id INTEGER PRIMARY KEY, high INT, x INT)",
                  "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, k INT, u INT)", "CREATE INDEX t_a ON t(a)")
    for one in (both.mine, both.theirs):
        one.executemany("INSERT INTO o VALUES (?, ?, ?)", [(i, *row) for i, row in enumerate(outer)])
        one.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [(i, i, i % 2, i) for i in range(600)])
    db.commit()
    sql = f"SELECT o.id, (SELECT count(*) FROM t WHERE t.a < o.high AND t.{column} = o.x) FROM o ORDER BY o.id"
    assert "OR AUTOMATIC INDEX" in plan(db, sql)
    assert db.execute(sql).fetchall() == list(both.theirs.execute(sql))
    assert visits(db, sql) < most
