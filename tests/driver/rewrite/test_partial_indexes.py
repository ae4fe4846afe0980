"""CREATE [UNIQUE] INDEX ... WHERE: rows enter and leave, unique among those it holds, and queries use it.

SQLite's own partial indexes are the judge of rows and errors. That an index is used is read from EXPLAIN QUERY PLAN;
that it has the right entries is checked after every test.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.answers.integrity import misses
from entitydb_dialect.driver.sql.tokens import NUMBER, STRING, tokens, unquote

from ..asking import plan
from ..beside import Beside, kinds, text_to_run

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c TEXT, n REAL)",
    "CREATE INDEX some ON t(a, b) WHERE c IS NOT NULL",
    "CREATE UNIQUE INDEX one ON t(b) WHERE a > 5 AND c = 'on'",
    "CREATE INDEX longer ON t(n DESC) WHERE lower(c) LIKE 'o%' OR a IN (1, 2)",
    "CREATE UNIQUE INDEX pair ON t(a, c) WHERE n",
    "CREATE INDEX full ON t(c)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    return Beside(db, *SCHEMA)


def entries(db: driver.Connection, table: str, name: str) -> list[int]:
    """The row ids that an index holds, in its order."""
    index = next(i for i in db.catalog()[table].indexes if i.name == name)
    return [rowid for (rowid,) in db._session.run(f'SELECT rowid FROM {table} WHERE "entitydb partial" = {index.tree}')]


# ---- entries ----


def test_rows_enter_stay_and_leave(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, active INTEGER, other)")
    db.execute("CREATE INDEX i ON t(a) WHERE active = 1")
    db.execute("INSERT INTO t VALUES (1, 30, 1, 0), (2, 20, 0, 0), (3, 10, NULL, 0), (4, 5, 1, 0)")
    assert entries(db, "t", "i") == [4, 1]
    db.execute("UPDATE t SET active = 1 WHERE id = 2")
    assert entries(db, "t", "i") == [4, 2, 1]
    db.execute("UPDATE t SET active = 2 WHERE id = 4")
    db.execute("UPDATE t SET other = 7")
    assert entries(db, "t", "i") == [2, 1]
    db.execute("UPDATE t SET a = 1 WHERE id = 1")
    assert entries(db, "t", "i") == [1, 2]
    db.execute("UPDATE t SET id = 9 WHERE id = 1")
    assert entries(db, "t", "i") == [9, 2]
    db.execute("DELETE FROM t WHERE id IN (2, 3)")
    assert entries(db, "t", "i") == [9]


def test_where_may_ask_for_the_row_id(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a) WHERE rowid > 2")
    db.execute("INSERT INTO t VALUES (1), (2), (3), (4)")
    db.execute("UPDATE t SET rowid = 9 WHERE rowid = 1")
    assert entries(db, "t", "i") == [9, 3, 4]
    assert "USING INDEX i" in plan(db, "SELECT * FROM t WHERE rowid > 2 AND a = 3")


def test_foreign_key_actions_and_replace_keep_it(connect: Connect) -> None:
    both = Beside(
        connect(),
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a REFERENCES p(id) ON DELETE SET NULL ON UPDATE CASCADE, b)",
        "CREATE UNIQUE INDEX i ON t(b) WHERE a IS NOT NULL",
        "CREATE UNIQUE INDEX j ON t(b) WHERE a IS NULL",
    )
    both.theirs.execute("COMMIT; PRAGMA foreign_keys = ON; BEGIN")
    both.run("INSERT INTO p(id) VALUES (1), (2), (3)")
    both.run("INSERT INTO t(id, a, b) VALUES (1, 1, 'x'), (2, NULL, 'x'), (3, 2, 'y')")
    assert both.run("INSERT INTO t(id, a, b) VALUES (4, 3, 'x')") == "UNIQUE constraint failed: t.b"
    assert both.run("DELETE FROM p WHERE id = 1") == "UNIQUE constraint failed: t.b"
    for sql in ("UPDATE p SET id = 8 WHERE id = 2", "DELETE FROM p WHERE id = 8"):
        both.mine.execute(sql)
        both.theirs.execute(sql)
        both.compare(sql)
    both.run("INSERT OR REPLACE INTO t(id, a, b) VALUES (9, NULL, 'y')")
    both.run("INSERT OR IGNORE INTO t(id, a, b) VALUES (10, NULL, 'y'), (11, 3, 'y')")
    assert entries(both.mine, "t", "i") == [1, 11]
    assert entries(both.mine, "t", "j") == [2, 9]


def test_it_is_no_key_of_a_parent_and_finds_no_children(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE p(a, b)")
    db.execute("CREATE UNIQUE INDEX i ON p(a) WHERE b = 1")
    db.execute("CREATE TABLE c(x REFERENCES p(a))")
    db.execute("INSERT INTO p VALUES (1, 1)")
    with pytest.raises(driver.OperationalError, match="foreign key mismatch"):
        db.execute("INSERT INTO c VALUES (1)")
    db.execute("CREATE TABLE q(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE d(x REFERENCES q(id), y)")
    db.execute("CREATE INDEX j ON d(x) WHERE y = 1")
    db.execute("INSERT INTO q VALUES (1)")
    db.execute("INSERT INTO d VALUES (1, 2)")
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY"):
        db.execute("DELETE FROM q")


@pytest.mark.slow
def test_an_index_made_over_rows_holds_those_it_is_for(both: Beside) -> None:
    both.rowids = False
    for i in range(200):
        row = (i % 7, str(i), "on" if i % 3 else None, i % 2)
        both.run("INSERT OR IGNORE INTO t(a, b, c, n) VALUES (?, ?, ?, ?)", row)
    both.run("CREATE INDEX late ON t(b) WHERE c IS NULL AND a <> 3")
    assert len(entries(both.mine, "t", "late")) == len(both.run("SELECT 1 FROM t WHERE c IS NULL AND a <> 3"))
    both.run("CREATE UNIQUE INDEX none ON t(a) WHERE c = 'off'")
    assert both.run("CREATE UNIQUE INDEX twice ON t(a) WHERE c = 'on'") == "UNIQUE constraint failed: t.a"
    both.run("INSERT INTO t(a, c) VALUES (1, 'off')")
    assert both.run("INSERT INTO t(a, c) VALUES (1, 'off')") == "UNIQUE constraint failed: t.a"


def test_rollback_and_savepoints_take_entries_back(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE UNIQUE INDEX i ON t(a) WHERE a > 0")
    db.execute("INSERT INTO t VALUES (1, 1), (2, -2)")
    db.commit()
    db.execute("SAVEPOINT s")
    db.execute("UPDATE t SET a = -a")
    assert entries(db, "t", "i") == [2]
    db.execute("ROLLBACK TO s")
    assert entries(db, "t", "i") == [1]
    with pytest.raises(driver.IntegrityError):
        db.execute("INSERT INTO t VALUES (3, 3), (4, 1)")
    assert entries(db, "t", "i") == [1]
    db.execute("DELETE FROM t")
    db.rollback()
    assert entries(db, "t", "i") == [1]


def test_an_error_in_where_undoes_the_statement(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a) WHERE abs(a) > 1")
    with pytest.raises(driver.DatabaseError, match="integer overflow"):
        db.execute("INSERT INTO t VALUES (5), (-9223372036854775808)")
    assert db.execute("SELECT * FROM t").fetchall() == []


@pytest.mark.parametrize(
    ("where", "error", "sentence"),
    [
        ("x = 1", driver.OperationalError, "no such column: x"),
        ("a = (SELECT 1)", driver.OperationalError, "subqueries prohibited"),
        ("a = ?", driver.OperationalError, "parameters prohibited"),
        ("random() > 0", driver.OperationalError, "non-deterministic functions prohibited in partial index WHERE"),
        ("a > date('now')", driver.OperationalError, "non-deterministic use of date"),
        ("a < CURRENT_TIMESTAMP", driver.OperationalError, "non-deterministic functions prohibited"),
        ("twice(a) = 2", driver.NotSupportedError, "no such function: twice.*SQLite's own"),
        ("u.a = 1", driver.OperationalError, "no such column"),
        ("", driver.OperationalError, "incomplete input"),
    ],
)
def test_what_where_may_not_ask(db: driver.Connection, where: str, error: type[Exception], sentence: str) -> None:
    db.create_function("twice", 1, lambda x: 2 * x, deterministic=True)
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(error, match=sentence):
        db.execute(f"CREATE INDEX i ON t(a) WHERE {where}")


# ---- the schema ----


def test_the_catalog_shows_it(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, b UNIQUE)")
    db.execute("CREATE UNIQUE INDEX IF NOT EXISTS main.i ON t(a) WHERE a > 1 -- why\n AND b IS NOT NULL")
    listed = db.execute("PRAGMA index_list(t)").fetchall()
    assert listed == [(0, "i", 1, "c", 1), (1, "sqlite_autoindex_t_1", 1, "u", 0)]
    text = "CREATE UNIQUE INDEX i ON t(a) WHERE a > 1 -- why\n AND b IS NOT NULL"
    assert db.execute("SELECT sql FROM sqlite_master WHERE name = 'i'").fetchall() == [(text,)]
    assert f"{text};" in list(db.iterdump())
    db.execute("DROP INDEX i")
    assert db.execute("SELECT name FROM pragma_index_list('t')").fetchall() == [("sqlite_autoindex_t_1",)]
    db.execute("INSERT INTO t VALUES (2, 1), (2, 2)")


def test_altering_the_table_follows_it(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    db.execute("CREATE INDEX i ON t(a) WHERE b = 1 AND t.c > 0")
    db.execute("INSERT INTO t VALUES (1, 1, 1, 1), (2, 2, 2, 2)")
    db.commit()
    db.execute("ALTER TABLE t RENAME COLUMN b TO bee")
    db.execute("ALTER TABLE t RENAME TO u")
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'i'").fetchone()
    assert "bee = 1" in sql
    assert "t.c" not in sql
    assert entries(db, "u", "i") == [1]
    assert "USING INDEX i" in plan(db, "SELECT * FROM u WHERE bee = 1 AND c > 0 AND a = 1")
    with pytest.raises(driver.OperationalError, match="no such column: bee"):
        db.execute("ALTER TABLE u DROP COLUMN bee")
    db.execute("ALTER TABLE u ADD COLUMN d DEFAULT 5")
    db.execute("CREATE INDEX j ON u(a) WHERE d = 5")
    assert entries(db, "u", "j") == [1, 2]
    db.execute("UPDATE u SET bee = 3 - bee")
    assert entries(db, "u", "i") == [2]


def test_another_affinity_makes_it_anew(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    db.execute("CREATE INDEX i ON t(b) WHERE a > 9")
    db.execute("INSERT INTO t VALUES (1, '10', 'x'), (2, '9', 'y'), (3, '95', 'z')")
    db.commit()
    assert entries(db, "t", "i") == [3]
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    db.commit()
    assert entries(db, "t", "i") == [1, 3]
    db.execute("UPDATE t SET a = 9 WHERE id = 3")
    assert entries(db, "t", "i") == [1]


# ---- queries ----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("a = 1 AND c IS NOT NULL", "some"),
        ("a = 1 AND c = 'z'", "some"),          # true of no NULL
        ("a = 1 AND c > ?", "some"),
        ("(a = 1) AND ((c NOTNULL))", "some"),
        ("a = 1", None),
        ("a = 1 AND c IS NULL", None),
        ("a = 1 AND (c IS NOT NULL OR b = 'x')", None),
        ("b = 'x' AND a > 5 AND c = 'on'", "one"),
        ("'x' = b AND 'on' = c AND 5 < a", "one"),
        ("b = 'x' AND a > 5 AND c = 'on' COLLATE NOCASE", "some"),
        ("b = 'x' AND a > 6 AND c = 'on'", "some"),
        ("b = 'x' AND a > 5 AND c = ?", "one"),
        ("n > 1 AND a IN (1, 2)", "longer"),
        ("n > 1 AND lower(c) like 'o%'", "longer"),
        ("n > 1 AND LOWER( \"C\" ) LIKE 'o%'", "longer"),
        ("n > 1 AND lower(c) LIKE 'O%'", None),
        ("n > 1 AND a IN (1, 2, 3)", None),
        ("n > 1 AND (a IN (1, 2) OR lower(c) LIKE 'o%')", None),
        ("n > 1 AND (lower(c) LIKE 'o%' OR a IN (1, 2))", "longer"),
        ("a = 4 AND n", "pair"),
        ("a = 4 AND NOT n", None),
    ],
)
def test_queries_whose_conditions_imply_where_use_it(both: Beside, condition: str, index: str | None) -> None:
    both.run("DROP INDEX full")
    for i in range(40):
        c = ("on", None, "z", "Off")[i % 4]
        both.run("INSERT OR IGNORE INTO t(a, b, c, n) VALUES (?, ?, ?, ?)", (i % 9, "xyZ"[i % 3], c, i % 5))
    parameters = ("on",) if "?" in condition else ()
    for sql in (
        f"SELECT * FROM t WHERE {condition} ORDER BY id",
        f"SELECT id FROM (SELECT * FROM t WHERE {condition}) ORDER BY id",
        f"WITH w AS (SELECT * FROM t WHERE {condition}) SELECT id FROM w ORDER BY id",
        f"SELECT 1, (SELECT max(id) FROM t WHERE {condition}) AS most",
        f"SELECT x.id FROM t AS x WHERE {condition} ORDER BY x.id",
    ):
        both.run(sql, parameters)
        assert (f"USING INDEX {index}" in plan(both.mine, sql, parameters)) if index else (
            "USING INDEX" not in plan(both.mine, sql, parameters)
        ), sql
    both.run(f"UPDATE OR IGNORE t SET n = n + 1 WHERE {condition}", parameters)
    assert (f"USING INDEX {index}" in plan(both.mine, f"DELETE FROM t WHERE {condition}", parameters)) == bool(index)
    both.run(f"DELETE FROM t WHERE {condition} RETURNING id", parameters)


def test_a_parameter_stands_for_the_constant_that_is_its_value(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, kind TEXT, n REAL)")
    db.execute("CREATE INDEX i ON t(a) WHERE kind = 'it''s' AND n = 1.5")
    db.execute("CREATE INDEX j ON t(a) WHERE a IN (1, 2)")
    db.execute("INSERT INTO t(a, kind, n) VALUES (1, 'it''s', 1.5), (2, 'its', 1.5), (3, 'it''s', 1)")
    one = "SELECT id FROM t WHERE a > ? AND kind = ? AND n = ?"
    two = "SELECT id FROM t WHERE n = :n AND :a < a AND kind = :kind"
    cases = (("it's", 1.5, [(1,)], True), ("its", 1.5, [(2,)], False), ("it's", 1, [(3,)], False))
    for _ in range(2):
        for kind, n, rows, used in cases:
            assert db.execute(one, (0, kind, n)).fetchall() == rows
            assert db.execute(two, {"kind": kind, "n": n, "a": 0}).fetchall() == rows
            assert ("INDEX i" in plan(db, one, (0, kind, n))) == used
            assert ("INDEX i" in plan(db, two, {"kind": kind, "n": n, "a": 0})) == used
    three = "SELECT id FROM t WHERE a IN (?, ?) AND a > 1"
    assert db.execute(three, (1, 2)).fetchall() == [(2,)]
    assert "INDEX j" in plan(db, three, (1, 2))
    assert "INDEX j" in plan(db, three, (True, 2))
    for values in ((2, 1), (1.0, 2), ("1", 2), (1, None)):
        assert "INDEX j" not in plan(db, three, values)
    assert db.execute(three, (3, 2)).fetchall() == [(2,), (3,)]
    four = "UPDATE t SET n = ? WHERE kind = ?2 AND n = ?3 RETURNING id, ?2"
    assert db.execute(four, (7, "it's", 1.5)).fetchall() == [(1, "it's")]
    assert db.execute(four, (7, "it's", 1)).fetchall() == [(3, "it's")]
    with pytest.raises(driver.ProgrammingError, match="Incorrect number"):
        db.execute(one, (0, "it's"))
    with pytest.raises(driver.OperationalError, match="variable number"):
        db.execute("SELECT id FROM t WHERE kind = ?99999 AND n = 1.5 AND a > 0")


def test_joins_use_it_where_rows_cannot_get_lost(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, kind)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, x, kind)")
    db.execute("CREATE INDEX i ON t(a) WHERE upper(kind) = 'K'")
    db.execute("INSERT INTO t VALUES (1, 1, 'k'), (2, 2, 'l'), (3, 3, 'K')")
    db.execute("INSERT INTO u VALUES (1, 1, 'k'), (2, 2, 'k'), (3, 3, 'k')")

    def rows(sql: str, used: bool) -> list[Any]:
        assert ("t USING INDEX i" in plan(db, sql)) is used, plan(db, sql)
        return db.execute(sql).fetchall()

    assert rows("SELECT u.id, t.id FROM u JOIN t ON t.a = u.x WHERE upper(t.kind) = 'K'", True) == [(1, 1), (3, 3)]
    assert rows("SELECT u.id, t.id FROM u JOIN t ON t.a = u.x AND upper(t.kind) = 'K'", True) == [(1, 1), (3, 3)]
    assert rows("SELECT u.id, t.id FROM u LEFT JOIN t ON t.a = u.x AND upper(t.kind) = 'K'", True) == [
        (1, 1), (2, None), (3, 3)
    ]
    assert rows("SELECT u.id, t.id FROM u LEFT JOIN t ON t.a = u.x WHERE upper(t.kind) = 'K'", False) == [
        (1, 1), (3, 3)
    ]
    # ON of a LEFT JOIN says nothing of the rows on its left.
    assert rows("SELECT t.id, u.id FROM t LEFT JOIN u ON u.x = t.a AND upper(t.kind) = 'K' WHERE t.a > 0", False) == [
        (1, 1), (2, None), (3, 3)
    ]
    # kind might be either table's, and a term about the other says nothing of this one.
    assert rows("SELECT u.id, t.id FROM u JOIN t ON t.a = u.x WHERE upper(u.kind) = 'K'", False) == [
        (1, 1), (2, 2), (3, 3)
    ]
    assert rows("SELECT v.id, t.id FROM t v, t WHERE v.a = t.a AND upper(t.kind) = 'K' AND v.a > 0", True) == [
        (1, 1), (3, 3)
    ]


@pytest.mark.parametrize(
    "on", ["t.a <> 7", "t.a > 0", "t.a = 1", "t.a IS NOT NULL", "t.a IN (1, 3)", "t.a IS 1", "7 <> t.a"]
)
def test_on_of_a_left_join_proves_nothing_of_the_rows_on_its_left(connect: Connect, on: str) -> None:
    both = Beside(
        connect(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b)",
        "CREATE TABLE u(id INTEGER PRIMARY KEY, x INTEGER)",
        "CREATE INDEX i ON t(b) WHERE a IS NOT NULL",
        "CREATE INDEX j ON t(b) WHERE a = 1",
    )
    both.run("INSERT INTO t(a, b) VALUES (1, 1), (NULL, 2), (3, 3), (7, 4)")
    both.run("INSERT INTO u(x) VALUES (1), (2), (3)")
    for sql in (
        f"SELECT t.id, u.id FROM t LEFT JOIN u ON {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM t LEFT JOIN u ON u.x = t.a AND {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM t LEFT JOIN u ON u.x = t.a AND {on} WHERE t.b > 0 ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM u LEFT JOIN t ON u.x = t.a AND {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM u RIGHT JOIN t ON u.x = t.a AND {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM u FULL JOIN t ON u.x = t.a AND {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM u LEFT JOIN t ON u.x = t.b WHERE {on} ORDER BY 1, 2",
        f"SELECT t.id, u.id FROM u JOIN t ON {on} LEFT JOIN t AS w ON w.a <> 1 ORDER BY 1, 2",
    ):
        both.run(sql)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
def test_random_joins(connect: Connect, rng: random.Random, round_: int) -> None:
    tables = ("t", "u")
    both = Beside(
        connect(), *(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c)" for name in tables)
    )
    wheres = ["a IS NOT NULL", "a = 1", "b = 'x'", "lower(b) = 'x'", "a > 1", "c", "a IN (1, 2)", "b IS NULL", "a <> 2"]
    for name in tables:
        for i, where in enumerate(rng.sample(wheres, 4)):
            both.run(f"CREATE INDEX {name}{i} ON {name}({rng.choice('abc')}) WHERE {where}")
        for _ in range(25):
            row = rng.choice([None, 0, 1, 2]), rng.choice([None, "x", "X", "y"]), rng.choice([None, 0, 1])
            both.run(f"INSERT INTO {name}(a, b, c) VALUES (?, ?, ?)", row)

    def conditions(aliases: str) -> str:
        found = []
        for _ in range(rng.choice([1, 2, 3])):
            one, other = rng.choice(aliases), rng.choice(aliases)
            term = rng.choice(wheres)
            for column in ("a", "b", "c"):
                term = term.replace(f"{column} ", f"{one}.{column} ").replace(f"({column})", f"({one}.{column})")
            term = f"{one}.c" if term == "c" else term
            found.append(rng.choice([term, term, f"{one}.a = {other}.a", f"({term})", f"{one}.b >= {other}.b"]))
        return rng.choice([" AND ", " AND ", " AND ", " OR "]).join(found)

    used = 0
    for _ in range(80):
        joins = [rng.choice(["JOIN", "LEFT JOIN", "LEFT JOIN", "CROSS JOIN", "RIGHT JOIN", "FULL JOIN"]) for _ in "yz"]
        names = [rng.choice(tables) for _ in "xyz"]
        sql = (
            f"SELECT x.id, y.id, z.id FROM {names[0]} AS x {joins[0]} {names[1]} AS y ON {conditions('xy')}"
            f" {joins[1]} {names[2]} z ON {conditions('xyz')}"
        )
        sql += f" WHERE {conditions('xyz')}" if rng.random() < 0.6 else ""
        both.run(f"{sql} ORDER BY 1, 2, 3")
        used += "USING INDEX" in plan(both.mine, sql)
    assert used


def test_order_and_counts_come_from_it_only_where_they_may(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.execute("CREATE INDEX i ON t(a) WHERE b = 1")
    db.execute("INSERT INTO t(a, b) VALUES (3, 1), (2, 0), (1, 1)")
    db.execute("CREATE TABLE w(x INTEGER)")
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(3,)]
    assert db.execute("SELECT count(a), min(a), max(a) FROM t").fetchall() == [(3, 1, 3)]
    assert db.execute("SELECT DISTINCT a FROM t ORDER BY a").fetchall() == [(1,), (2,), (3,)]
    sql = "SELECT a FROM t WHERE b = 1.0 ORDER BY a DESC"
    assert db.execute(sql).fetchall() == [(3,), (1,)]
    db.execute("CREATE TABLE v(id INTEGER PRIMARY KEY, a, b INTEGER)")
    db.execute("CREATE INDEX j ON v(a) WHERE b = 1")
    db.execute("INSERT INTO v(a, b) VALUES (3, 1), (2, 0), (1, 1)")
    sql = "SELECT a FROM v WHERE b = 1 ORDER BY a DESC"
    assert db.execute(sql).fetchall() == [(3,), (1,)]
    assert plan(db, sql) == "SCAN v USING INDEX j"
    db.execute("CREATE INDEX k ON v(a) WHERE abs(b) = 1")
    for name in ("min", "max"):
        sql = f"SELECT {name}(a) FROM v WHERE abs(b) = 1"
        assert db.execute(sql).fetchall() == [(1 if name == "min" else 3,)]
        assert "USING INDEX k" in plan(db, sql)
    assert db.execute("SELECT count(*) FROM v WHERE abs(b) = 1").fetchall() == [(2,)]
    assert "USING INDEX" not in plan(db, "SELECT min(b) FROM v")


def test_constants_that_only_look_alike_prove_nothing(connect: Connect) -> None:
    """A text compared with 5 is another comparison than one with CAST('5' AS INTEGER)."""
    both = Beside(
        connect(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT, c TEXT COLLATE NOCASE)",
        "CREATE INDEX i ON t(a) WHERE b = 5",
        "CREATE INDEX j ON t(a) WHERE c = 'x'",
        "CREATE INDEX k ON t(a) WHERE a = 5",
    )
    both.run("INSERT INTO t(a, b, c) VALUES (1, '5', 'x'), (2, '05', 'X'), ('5', '5.0', 'y'), (5, 5, 'X'), (1, 1, 'X')")
    for sql in (
        "SELECT * FROM t WHERE b = CAST('5' AS INTEGER) AND a > 0",
        "SELECT * FROM t WHERE b = 5 AND a > 0",
        "SELECT * FROM t WHERE c = 'x' COLLATE BINARY AND a > 0",
        "SELECT * FROM t WHERE c = 'x' AND a > 0",
        "SELECT * FROM t WHERE a = CAST('5' AS INTEGER)",
        "SELECT * FROM t WHERE a = 5",
    ):
        both.run(sql)


def test_a_view_is_answered_rightly(both: Beside) -> None:
    both.run("INSERT INTO t(a, b, c, n) VALUES (1, 'x', 'on', 1), (2, 'y', NULL, 2), (3, 'z', 'off', 0)")
    both.run("CREATE VIEW v AS SELECT * FROM t WHERE lower(c) LIKE 'o%' OR a IN (1, 2)")
    both.run("SELECT * FROM v WHERE n > 0 ORDER BY id")
    both.run("CREATE VIEW w AS SELECT * FROM t")
    sql = "SELECT id FROM w WHERE a = 1 AND c IS NOT NULL"
    both.run(sql)
    assert "USING INDEX" in plan(both.mine, sql)


def test_temporary_tables_and_ctes_of_the_name_are_left_alone(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, b)")
    db.execute("CREATE INDEX i ON t(a) WHERE lower(b) = 'x'")
    db.execute("INSERT INTO t VALUES (1, 'x')")
    sql = "SELECT a FROM t WHERE lower(b) = 'x'"
    assert db.execute(sql).fetchall() == [(1,)]
    assert db.execute(f"WITH t(a, b) AS (SELECT 2, 'X') {sql}").fetchall() == [(2,)]
    db.commit()
    db.execute("CREATE TEMP TABLE t(a, b)")
    db.execute("INSERT INTO temp.t VALUES (3, 'X')")
    assert db.execute(sql).fetchall() == [(3,)]
    assert db.execute("SELECT a FROM main.t WHERE lower(b) = 'x'").fetchall() == [(1,)]
    db.commit()
    db.execute("DROP TABLE temp.t")
    assert db.execute(sql).fetchall() == [(1,)]
    db.rollback()
    assert db.execute(sql).fetchall() == [(3,)]


def test_a_statement_prepared_before_the_index_was_dropped(connect: Connect) -> None:
    db, other = connect(), connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.execute("CREATE INDEX i ON t(a) WHERE lower(b) = 'x'")
    db.execute("INSERT INTO t(a, b) VALUES (1, 'X'), (1, 'y'), (2, 'x')")
    db.commit()
    sql = "SELECT id FROM t WHERE lower(b) = 'x' AND a = 1"
    for connection in (db, other):
        assert connection.execute(sql).fetchall() == [(1,)]
        assert "USING INDEX i" in plan(connection, sql)
        connection.commit()
    other.execute("DROP INDEX i")
    other.execute("INSERT INTO t(a, b) VALUES (1, 'x')")
    other.commit()
    for connection in (db, other):
        assert connection.execute(sql).fetchall() == [(1,), (4,)]
        connection.commit()
    other.execute("CREATE INDEX i ON t(a) WHERE lower(b) = 'y'")
    other.commit()
    for connection in (db, other):
        assert connection.execute(sql).fetchall() == [(1,), (4,)]
        assert "USING INDEX" not in plan(connection, sql)
        connection.commit()


def test_results_keep_their_names(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, b)")
    db.execute("CREATE INDEX i ON t(a) WHERE lower(b) = 'x'")
    for sql in (
        "SELECT (SELECT a FROM t WHERE lower(b) = 'x')",
        "SELECT 1 + (SELECT count(*) FROM (SELECT a FROM t WHERE lower(b) = 'x') WHERE 1)",
        "SELECT a, exists(SELECT a FROM t WHERE lower(b) = 'x') FROM t WHERE lower(b) = 'x'",
    ):
        import apsw

        plain = apsw.Connection(":memory:")
        plain.execute("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x')")
        db.execute("INSERT INTO t VALUES (1, 'x')")
        names = [column[0] for column in db.execute(sql).description]
        assert names == [name for name, _ in plain.execute(sql).get_description()]


# ---- the past ----


def test_moments_before_and_after_it_was_made(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
    queries = (
        "SELECT id FROM t WHERE b = 'x' ORDER BY a, id",
        "SELECT id, a FROM t WHERE b = 'x' AND a = 3 ORDER BY id",
        "SELECT id FROM t WHERE b = 'x' AND a > 2 ORDER BY a DESC, id DESC",
        "SELECT count(*) FROM t WHERE b = 'x'",
        "SELECT id FROM t WHERE lower(b) = 'y' AND a < 5 ORDER BY id",
    )
    seen: list[tuple[int, list[Any]]] = []

    def commit() -> None:
        answers = [db.execute(sql).fetchall() for sql in queries]
        db.commit()
        seen.append((db.last_commit[1], answers))

    for i in range(30):
        db.execute("INSERT INTO t(a, b) VALUES (?, ?)", (i % 6, "xyX"[i % 3]))
    commit()
    db.execute("UPDATE t SET b = 'x' WHERE id % 5 = 0")
    commit()
    db.execute("CREATE INDEX i ON t(a) WHERE b = 'x'")
    db.execute("CREATE INDEX j ON t(a) WHERE lower(b) = 'y'")
    commit()
    db.execute("UPDATE t SET b = 'y', a = a + 1 WHERE id % 4 = 0")
    commit()
    db.execute("DELETE FROM t WHERE id % 7 = 0")
    commit()
    db.execute("DROP INDEX i")
    db.execute("UPDATE t SET b = 'x' WHERE id < 9")
    commit()
    db.execute("CREATE INDEX i ON t(a, id) WHERE b = 'x'")
    commit()
    assert "USING INDEX i" in plan(db, queries[1])
    assert "USING INDEX j" in plan(db, queries[4])
    for moment, answers in seen:
        for sql, wanted in zip(queries, answers, strict=True):
            cursor = db.cursor()
            cursor.as_of = moment
            assert cursor.execute(sql).fetchall() == wanted, (moment, sql)


def test_columns_added_since_are_null_to_it_then(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    db.commit()
    before = db.last_commit[1]
    db.execute("ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 5")
    db.execute("CREATE INDEX i ON t(a) WHERE b = 5")
    db.commit()
    sql = "SELECT id FROM t WHERE b = 5 AND a > 0"
    assert "USING INDEX i" in plan(db, sql)
    assert db.execute(sql).fetchall() == [(1,), (2,)]
    cursor = db.cursor()
    cursor.as_of = before
    assert cursor.execute(sql).fetchall() == []


# ---- ON CONFLICT ----


def test_on_conflict_names_it_by_its_where(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, b, c, n) VALUES (1, 6, 'x', 'on', 0), (2, 1, 'x', 'on', 0)")
    nothing = "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"
    insert = "INSERT INTO t(a, b, c, n) VALUES (7, 'X', 'on', 0), (1, 'x', 'on', 0)"
    do = "DO UPDATE SET n = n + 1, b = b || excluded.b"
    assert both.run(f"{insert} ON CONFLICT (b) {do}") == nothing
    assert both.run(f"{insert} ON CONFLICT (b) WHERE a > 6 AND c = 'on' {do}") == nothing
    assert both.run(f"{insert} ON CONFLICT (b) WHERE a > 5 AND c = ? {do}", ("on",)) == nothing
    assert both.run(f"{insert} ON CONFLICT (a, c) WHERE n {do}") == "UNIQUE constraint failed: t.b"
    both.rowids = False
    found = both.run(f"{insert} ON CONFLICT (b) WHERE a > 5 AND c = 'on' {do} RETURNING a, b, c, n")
    assert found == [(6, "xX", "on", 1.0), (1, "x", "on", 0.0)]
    both.run("INSERT INTO t(a, b, c) VALUES (9, 'XX', 'on'), (9, 'q', 'on') ON CONFLICT DO NOTHING")
    both.run("INSERT INTO t(a, b, c) VALUES (9, 'Q', 'on') ON CONFLICT (b) WHERE a > 5 AND c = 'on' DO NOTHING")


def test_generated_columns_are_computed_before_where_is_asked(connect: Connect) -> None:
    both = Beside(
        connect(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b, c, n INT DEFAULT 0, v AS (a * 2), s AS (a + 1) STORED)",
        "CREATE UNIQUE INDEX i ON t(a) WHERE v > 4",
        "CREATE UNIQUE INDEX j ON t(n) WHERE s = 3",
    )
    both.rowids = False
    both.run("INSERT INTO t(a) VALUES (1), (1), (3)")
    assert both.run("INSERT INTO t(a) VALUES (3)") == "UNIQUE constraint failed: t.a"
    both.run("INSERT INTO t(a) VALUES (3), (4), (3) ON CONFLICT (a) WHERE v > 4 DO UPDATE SET n = n + 1")
    both.run("INSERT OR REPLACE INTO t(a, n) VALUES (4, 9)")
    both.run("INSERT INTO t(a) VALUES (2)")
    assert both.run("UPDATE t SET a = a + 1 WHERE a = 1") == "UNIQUE constraint failed: t.n"
    both.run("UPDATE OR REPLACE t SET a = 3 WHERE a = 4")
    assert "USING INDEX i" in plan(both.mine, "SELECT * FROM t WHERE v > 4 AND a = 3")


def test_functions_of_the_program_change_neither_entries_nor_answers(connect: Connect) -> None:
    db, other = connect(), connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, kind TEXT)")
    db.execute("CREATE INDEX i ON t(a) WHERE lower(kind) = 'x'")
    db.commit()
    sql = "SELECT id FROM t WHERE lower(kind) = 'x' AND a > 0"
    db.create_function("lower", 1, lambda text: "x" if text == "odd" else "", deterministic=True)
    db.execute("INSERT INTO t(a, kind) VALUES (1, 'X'), (2, 'odd')")
    assert entries(db, "t", "i") == [1]
    assert db.execute(sql).fetchall() == [(2,)]
    assert "USING INDEX" not in plan(db, sql)
    db.commit()
    assert other.execute(sql).fetchall() == [(1,)]
    assert "USING INDEX i" in plan(other, sql)
    db.create_function("lower", 1, None)


def test_over_expressions(connect: Connect) -> None:
    both = Beside(
        connect(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, kind TEXT)",
        "CREATE INDEX e ON t(lower(kind)) WHERE a > 1",
        "CREATE INDEX p ON t(a) WHERE lower(kind) = 'x'",
        "CREATE UNIQUE INDEX ep ON t(upper(kind), a) WHERE lower(kind) = 'y'",
    )
    both.rowids = False
    both.tables = []
    for i in range(30):
        both.run("INSERT INTO t(a, kind) VALUES (?, ?)", (i, "xXyYz"[i % 5]))
    for index, sql in (
        ("e", "SELECT id FROM t WHERE lower(kind) = 'x' AND a > 1 ORDER BY +id"),
        ("p", "SELECT id FROM t WHERE lower(kind) = 'x' AND a = 5"),
        ("ep", "SELECT id FROM t WHERE lower(kind) = 'y' AND upper(kind) = 'Y' AND a = 7"),
    ):
        both.run(sql)
        assert f"USING INDEX {index} (" in plan(both.mine, sql)
    assert both.run("INSERT INTO t(a, kind) VALUES (7, 'y')") == "UNIQUE constraint failed: index 'ep'"
    both.run(
        "INSERT INTO t(a, kind) VALUES (7, 'y') ON CONFLICT (upper(kind), a) WHERE lower(kind) = 'y'"
        " DO UPDATE SET a = 100 RETURNING id, a"
    )


# ---- between transactions ----


def test_unique_between_two_transactions(connect: Connect) -> None:
    setup = connect()
    setup.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, live)")
    setup.execute("CREATE UNIQUE INDEX i ON t(a) WHERE live")
    setup.execute("INSERT INTO t VALUES (1, 'x', 0), (2, 'x', 0)")
    setup.commit()
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def work(connection: driver.Connection, sql: str) -> None:
        connection.execute(sql)
        barrier.wait()
        try:
            connection.commit()
            outcomes.append("committed")
        except (driver.IntegrityError, driver.SerializationFailure) as error:
            outcomes.append(str(error))

    def race(*statements: str) -> list[str]:
        outcomes.clear()
        connections = [connect() for _ in statements]
        threads = [
            threading.Thread(target=work, args=pair) for pair in zip(connections, statements, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(outcomes)

    one = race("UPDATE t SET live = 1 WHERE id = 1", "UPDATE t SET live = 1 WHERE id = 2")
    assert one == ["UNIQUE constraint failed: t.a", "committed"]
    setup.execute("DELETE FROM t")
    setup.commit()
    both = race("INSERT INTO t VALUES (3, 'y', 1)", "INSERT INTO t VALUES (4, 'y', 0)")
    assert both == ["committed", "committed"]


def test_making_one_beside_a_writer_is_a_conflict(connect: Connect) -> None:
    writer, maker = connect(), connect()
    writer.execute("CREATE TABLE t(a, b)")
    writer.commit()
    writer.execute("INSERT INTO t VALUES (1, 1)")
    maker.execute("CREATE INDEX i ON t(a) WHERE b = 1")
    maker.commit()
    with pytest.raises(driver.SerializationFailure):
        writer.commit()
    writer.execute("INSERT INTO t VALUES (1, 1)")
    maker.execute("CREATE UNIQUE INDEX j ON t(a) WHERE b = 1")
    writer.commit()
    with pytest.raises(driver.SerializationFailure):
        maker.commit()
    assert entries(maker, "t", "i") == [2]


# ---- at random ----

WHERES = (
    "c IS NOT NULL", "a = 3", "a > 2 AND b = 'x'", "b IN ('x', 'Y')", "n", "a BETWEEN 1 AND 4", "c = 'on' OR a = 1",
    "length(c) > 1", "b > c", "a IS NULL", "NOT (a = 2)", "n < 2.5", "id % 2", "(b = 'x') = (a = 1)",
)  # fmt: skip


def _value(rng: random.Random, column: str) -> Any:
    return {
        "a": lambda: rng.choice([None, 0, 1, 2, 3, 4, 7]),
        "b": lambda: rng.choice([None, "x", "X", "y", "Y", "z"]),
        "c": lambda: rng.choice([None, "on", "off", "x", ""]),
        "n": lambda: rng.choice([None, 0, 1, 2, 2.5, 9]),
    }[column]()


def _conditions(rng: random.Random, wheres: list[str]) -> str:
    known = [*wheres, *wheres, *WHERES, "a = 2", "b = 'x'", "c > 'a'", "n >= 1", "a IN (1, 3)", "t.a = 3"]
    terms = [rng.choice(known) for _ in range(rng.choice([1, 2, 2, 3]))]
    word = rng.choice([" AND ", " AND ", " AND ", " OR "])
    return word.join(f"({term})" if rng.random() < 0.5 or "OR" in term else term for term in terms)


def _with_parameters(rng: random.Random, sql: str) -> tuple[str, list[Any]]:
    """Some constants as parameters, some of those with other values."""
    out, at, values = [], 0, []
    for token in tokens(sql):
        if token.kind not in (NUMBER, STRING) or rng.random() < 0.7:
            continue
        number = float if "." in token.text else int
        value = unquote(token.text) if token.kind == STRING else number(token.text)
        values.append(value if rng.random() < 0.8 else rng.choice([None, 1, 2.5, "x", "1"]))
        out += [sql[at : token.start], "?"]
        at = token.end
    return "".join(out) + sql[at:], values


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(6))
def test_random_tables_changes_and_queries(both: Beside, rng: random.Random, round_: int) -> None:
    mine = both.mine
    used: set[str] = set()
    moments: list[tuple[int, str, Any]] = []
    for name in ("some", "one", "longer", "pair", "full"):
        both.run(f"DROP INDEX {name}")
    wheres = rng.sample(WHERES, 4)
    for i, where in enumerate(wheres):
        parts = ", ".join(rng.sample(["a", "b DESC", "c COLLATE NOCASE", "n"], rng.choice([1, 2])))
        unique = "UNIQUE " if i == 0 and round_ % 2 else ""
        both.run(f"CREATE {unique}INDEX i{i} ON t({parts}) WHERE {where}")
    for step in range(150):
        kind = rng.randrange(10)
        values = [_value(rng, column) for column in "abcn"]
        if kind < 4:
            how = rng.choice(["", "", "OR IGNORE ", "OR REPLACE "])
            both.run(f"INSERT {how}INTO t(id, a, b, c, n) VALUES (?, ?, ?, ?, ?)", (rng.randrange(99), *values))
        elif kind < 6:
            column = rng.choice("abcn")
            # In which order rows are changed, and so which hurts a unique index, is the plan's.
            one = f"id = {rng.randrange(99)} AND " if round_ % 2 else ""
            where = f"{one}({_conditions(rng, wheres)})"
            both.run(f"UPDATE OR IGNORE t SET {column} = ? WHERE {where}", (_value(rng, column),))
        elif kind == 6 and step % 3 == 0:
            both.run(f"DELETE FROM t WHERE {_conditions(rng, wheres)}")
        elif kind == 7 and step % 4 == 0:
            mine.commit()
            sql = f"SELECT * FROM t WHERE {_conditions(rng, wheres)} ORDER BY +id"
            moments.append((mine.last_commit[1], sql, mine.execute(sql).fetchall()))
        else:
            sql, values = _with_parameters(rng, f"SELECT * FROM t WHERE {_conditions(rng, wheres)} ORDER BY +id")
            both.run(sql, values)
            used |= {"i0", "i1", "i2", "i3"}.intersection(plan(mine, sql, values).replace(";", "").split())
    for moment, sql, wanted in moments:
        cursor = mine.cursor()
        cursor.as_of = moment
        assert kinds(cursor.execute(sql).fetchall()) == kinds(wanted)
    assert list(misses(mine._session)) == []
    assert used, wheres


# ---- integrity ----


def test_check_finds_entries_of_the_wrong_rows(connect: Connect, path: Any) -> None:
    """The catalog is made to say another WHERE than the entries were made under."""
    from dataclasses import replace

    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE INDEX i ON t(a) WHERE a > 1")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    db.commit()
    table = db.catalog()["t"]

    def make(where: str) -> list[str]:
        index = replace(table.indexes[0], where=where)
        db._session.begin_write()
        db._session.main.edit_entry("replace", "t", replace(table, indexes=(index,)))
        db.commit()
        return sorted(breach.sentence for breach in db.database.check()[0])

    assert make("a > 2") == ["row 2 of table t has an entry in index i, whose WHERE is not true of it"]
    assert make("a > 0") == ["row 1 of table t has no entry in index i"]
    assert make("a > gone") == ["the WHERE of index i cannot be evaluated: no such column: gone"]
    assert make("a); DROP TABLE t; --") == ["the WHERE of index i is no expression"]
    assert db.execute("PRAGMA integrity_check").fetchall() == [("I33 page 0: the WHERE of index i is no expression",)]
    assert make("a > 1") == []


def test_impossible_payloads_are_refused(connect: Connect) -> None:
    from dataclasses import replace

    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a) WHERE a > 1")
    db.commit()
    table = db.catalog()["t"]
    for changes in ({"where": ""}, {"primary_key": True}, {"automatic": True}, {"where": "\0"}):
        db._session.begin_write()
        with pytest.raises(driver.DatabaseError, match="impossible WHERE of an index"):
            db._session.main.edit_entry("replace", "t", replace(table, indexes=(replace(table.indexes[0], **changes),)))
        db.rollback()


def test_a_where_that_is_no_expression_is_an_error(connect: Connect) -> None:
    from dataclasses import replace

    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a) WHERE a > 1")
    db.commit()
    table = db.catalog()["t"]
    db.rollback()
    for where in ("gone", "1), (2", "1) THEN 1 END, CASE WHEN (2", "a >", "(", "'", "a > ?", "SELECT"):
        db._session.begin_write()
        db._session.main.edit_entry("replace", "t", replace(table, indexes=(replace(table.indexes[0], where=where),)))
        with pytest.raises(driver.DatabaseError):
            db.execute("INSERT INTO t VALUES (5)") if where != "a > ?" else db.execute("SELECT nothing")
        db.execute("SELECT * FROM t WHERE a > 1").fetchall()
        db.rollback()


_STRANGE = (
    "SELECT FROM t u WHERE AND OR NOT ( ) , a b = 1 'x' lower ( b ) IS NULL JOIN LEFT ON USING UNION ORDER BY BETWEEN"
    " IN UPDATE SET DELETE WITH AS \"t\" . t.a CASE WHEN THEN END ? ; LIMIT GROUP INSERT INTO VALUES DISTINCT WINDOW"
    " NATURAL RIGHT INDEXED NULL < > + * -- \" ' /*"
)


@pytest.mark.slow
def test_no_text_is_too_strange(db: driver.Connection, rng: random.Random) -> None:
    """What SQLite takes it takes with what is added, and what it refuses it refuses."""
    db.execute("CREATE TABLE t(a, b)")
    db.execute("CREATE TABLE u(a, c)")
    db.execute("CREATE INDEX i ON t(a) WHERE lower(b) = 'x'")
    added = 0
    words = _STRANGE.split()
    for _ in range(3000):
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 16)))
        if rng.random() < 0.7:
            text = f"SELECT * FROM t, u AS x WHERE lower(t.b) = 'x' AND {text}"
        try:
            hinted = text_to_run(db, text)
        except driver.OperationalError:
            continue  # t(...) without one moment: the driver refuses it before SQLite sees it
        if hinted == text:
            continue
        added += 1
        sentences = []
        for sql in (text, hinted):
            try:
                db.apsw.execute(f"EXPLAIN {sql}")
                sentences.append("fine")
            except Exception as error:
                sentences.append("no such column" if "no such column" in str(error) else "refused")
        assert sentences[0] == sentences[1] or (sentences[0] == "refused" and sentences[1] != "fine"), (text, hinted)
    assert added
