"""UPDATEs that SQLite is given as an INSERT, which changes the row that a walk stands on: beside SQLite."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from entitydb_dialect import driver

from ..beside import Beside, text_to_run
from .test_updates_of_some_columns import TABLES, VALUES

ONE_PASS = "INSERT INTO entitydb_set"
SCHEMA = "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b, c TEXT, d UNIQUE)"

TAKEN = (
    "UPDATE t SET a = a + 1",
    "update main.t AS x SET a = x.a + ?, c = c || 'y' WHERE x.b < ?; -- the end",
    "UPDATE t SET [b] = (a) WHERE a BETWEEN 3 AND 7 OR b IS NULL",
    "UPDATE t SET c = CASE WHEN a < 5 THEN 'few' ELSE c END WHERE c LIKE 'x%'",
    "UPDATE t SET b = CAST(a AS TEXT) WHERE NOT (a > 3) AND b NOTNULL",
    "UPDATE t SET a = a = 3, b = a",
)
LEFT = (
    "UPDATE t SET a = 1 WHERE id = 3",
    "UPDATE t SET a = 1 WHERE id IN (3, 4)",
    "UPDATE t SET id = id + 100",
    "UPDATE t SET rowid = rowid + 100",
    "UPDATE t SET a = abs(a)",
    "UPDATE t SET a = 1 WHERE length(c) > 3",
    "UPDATE t SET a = (SELECT max(a) FROM t)",
    "UPDATE OR IGNORE t SET a = a + 1",
    "UPDATE t SET (a, b) = (1, 2)",
    "UPDATE t SET a = 1, a = 2",
    "UPDATE t SET a = a + 1 RETURNING a",
    "UPDATE t SET a = 1 WHERE c REGEXP 'x'",
    "UPDATE t INDEXED BY t_a SET a = 1",
    "WITH w AS (SELECT 1) UPDATE t SET a = 1",
    "EXPLAIN QUERY PLAN UPDATE t SET a = 1",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    made = Beside(db, SCHEMA, "CREATE INDEX t_a ON t(a)")
    made.fill("t", [(i, i % 7, i * 10 if i % 4 else None, "x" * (i % 3), i) for i in range(1, 41)])
    return made


@pytest.mark.parametrize("sql", TAKEN)
def test_an_update_that_may_change_many_rows_runs_in_one_pass(both: Beside, sql: str) -> None:
    parameters = (3, 200)[: sql.count("?")]
    assert text_to_run(both.mine, sql, parameters).startswith(ONE_PASS)
    both.run(sql, parameters)
    both.run(sql, parameters)


@pytest.mark.parametrize("sql", LEFT)
def test_what_may_come_to_something_else_is_left_alone(both: Beside, sql: str) -> None:
    assert ONE_PASS not in text_to_run(both.mine, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = b c",
        "UPDATE t SET a = b AS c",
        "UPDATE t SET a =",
        "UPDATE t SET a = 1,",
        "UPDATE t SET a = *",
        "UPDATE t SET a = t.*",
        "UPDATE t SET a = max(b)",
        "UPDATE t SET a = nothing",
        "UPDATE t SET nothing = 1",
        "UPDATE t SET a = x.a",
        "UPDATE t AS x SET a = t.a",
        "UPDATE t SET a = 1 WHERE a < 3 GROUP BY a",
        "UPDATE t SET a = 1 WHERE a < 3 UNION SELECT 1, 2, 3",
        "UPDATE t SET a = 1) WHERE (1",
        "UPDATE t SET a = 1 WHERE a < 3) OR (1",
        "UPDATE t SET a = 1 WHERE",
        "UPDATE t SET a = 1 WHERE a < 3, b < 4",
        "UPDATE nothing SET a = 1",
        "UPDATE t SET a = (1, 2)",
    ],
)
def test_a_wrong_update_is_as_wrong_as_it_was(both: Beside, sql: str) -> None:
    before = both.mine.execute("SELECT * FROM t").fetchall()
    with pytest.raises(apsw.Error) as wanted:
        both.theirs.execute(sql)
    with pytest.raises(driver.Error) as found:
        both.mine.execute(sql)
    assert str(found.value) == str(wanted.value)
    assert both.mine.execute("SELECT * FROM t").fetchall() == before


def test_a_walk_does_not_meet_what_the_statement_has_changed(both: Beside) -> None:
    for _ in range(3):
        both.run("UPDATE t SET a = a + 10 WHERE a > 3")  # walks the index on a, upwards
    both.run("UPDATE t SET a = -a WHERE a < 100 OR b > 50")


def test_rows_are_changed_in_the_order_of_their_ids(db: driver.Connection) -> None:
    """As SQLite does it: a narrow index that has all columns of the query is not walked instead."""
    both = Beside(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b)")
    both.fill("t", [(i, 1000 - i, "long " * 20) for i in range(200)])
    assert text_to_run(db, "UPDATE t SET a = a + 1").startswith(ONE_PASS)
    assert both.run("UPDATE t SET a = a + 1") == []  # upwards each would meet the one above it
    assert both.run("UPDATE t SET a = a - 1") == "UNIQUE constraint failed: t.a"


@pytest.mark.parametrize("isolation_level", [None, "SERIALIZABLE"])
def test_a_row_that_fails_undoes_the_rows_before_it(
    connect: Callable[..., driver.Connection], isolation_level: str | None
) -> None:
    both = Beside(
        connect(isolation_level=isolation_level), "CREATE TABLE t(id INTEGER PRIMARY KEY, a CHECK (a < 50), b)"
    )
    both.fill("t", [(i, i, 0) for i in range(40)])
    for _ in range(2):
        assert both.run("UPDATE t SET b = b + 1, a = a + 5") == []
        assert both.run("UPDATE t SET b = b + 1, a = a + 6").startswith("CHECK constraint failed")
        assert both.run("UPDATE t SET b = b + 1, a = a - 5 WHERE id > 3") == []


def test_rows_unlike_the_others_of_their_statement(db: driver.Connection) -> None:
    """The first row tells how the others are changed, but for those that differ from it."""
    both = Beside(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL, b)")
    both.fill("t", [(i, i, "long " * (4000 if i % 5 == 3 else 3)) for i in range(1, 31)])  # some lie in chains
    both.mine.commit()
    for sql in ("ALTER TABLE t ADD COLUMN c", "ALTER TABLE t ADD COLUMN d NOT NULL DEFAULT 7"):  # which these rows lack
        both.run(sql)
    both.mine.commit()
    both.run("INSERT INTO t SELECT id + 100, a, b, 'c', id FROM t WHERE id > 20")
    both.mine.commit()
    both.run("INSERT INTO t SELECT id + 300, a, b, 'own', id FROM t WHERE id > 25")  # own writes
    for sql in (
        "UPDATE t SET b = a",
        "UPDATE t SET c = d, b = 'x' || a WHERE id > 3",
        "UPDATE t SET c = a WHERE id < 110",
    ):
        both.run(sql)
        both.run(sql)
    assert both.run("UPDATE t SET b = 'gone', a = CASE WHEN id < 105 THEN a END") == "NOT NULL constraint failed: t.a"
    assert both.run("UPDATE t SET d = CASE WHEN id < 27 THEN 1 END") == "NOT NULL constraint failed: t.d"


def test_rows_that_actions_have_changed_meanwhile(db: driver.Connection) -> None:
    """What a foreign key's action has written of a row that the walk comes to later is not written over."""
    db.execute("PRAGMA foreign_keys = ON")
    both = Beside(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, k UNIQUE, up REFERENCES t(k) ON UPDATE CASCADE, n)")
    both.theirs.execute("COMMIT")
    both.theirs.execute("PRAGMA foreign_keys = ON")
    both.theirs.execute("BEGIN")
    both.fill("t", [(i, i, i - 1 or None, 0) for i in range(1, 30)])
    both.mine.commit()
    for sql in ("UPDATE t SET k = k + 1000", "UPDATE t SET n = n + up WHERE id > 4") * 3:
        both.mine.execute(sql)
        both.theirs.execute(sql)  # counts what the actions change, too
        both.compare(sql)


def test_savepoints_take_it_back(both: Beside) -> None:
    for sql in ("SAVEPOINT one", "UPDATE t SET a = a + 1", "SAVEPOINT two", "UPDATE t SET b = a, a = 0 WHERE a > 2"):
        both.run(sql)
    for sql in ("ROLLBACK TO two", "UPDATE t SET a = a * 2", "ROLLBACK TO one", "RELEASE one"):
        both.run(sql)


def test_nothing_is_said_of_new_rows(both: Beside) -> None:
    both.run("INSERT INTO t(id, a) VALUES (77, 1)")
    cursor = both.mine.cursor()
    cursor.execute("UPDATE t SET a = a + 1 WHERE id < 5")
    assert cursor.rowcount == 4
    both.theirs.execute("UPDATE t SET a = a + 1 WHERE id < 5")
    both.run("SELECT last_insert_rowid(), changes()")


def test_many_sets_of_parameters_each_see_what_the_one_before_did(both: Beside) -> None:
    sql, sets = "UPDATE t SET a = a * 2 + ? WHERE a > ?", [(1, 3), (2, 8), (0, 100), (3, 8)]
    assert text_to_run(both.mine, sql, sets[0]).startswith(ONE_PASS)
    both.mine.executemany(sql, sets)
    both.theirs.executemany(sql, sets)
    both.compare()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_row_changed_by_somebody_else_conflicts(connect: Callable[..., driver.Connection], level: str) -> None:
    one, other = connect(isolation_level=level), connect(isolation_level=None)
    one.execute(SCHEMA)
    one.executemany("INSERT INTO t VALUES (?, 1, 1, 'x', ?)", [(i, i) for i in range(20)])
    one.commit()
    assert one.execute("SELECT count(*) FROM t").fetchall() == [(20,)]
    other.execute("UPDATE t SET a = a + 1 WHERE id = 7")
    with pytest.raises(driver.OperationalError, match="row 7 of table t was changed by another transaction"):
        one.execute("UPDATE t SET a = a + 1")
    one.rollback()
    assert one.execute("SELECT sum(a) FROM t").fetchall() == [(21,)]


def test_moments_before_it_read_as_they_were(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.executemany("INSERT INTO t VALUES (?, 0, ?)", [(i, "text" * (i % 9)) for i in range(300)])
    db.commit()
    moments = []
    for _ in range(5):
        moments.append(db.last_commit)
        db.execute("UPDATE t SET a = a + 1")
        db.commit()
    for round_, moment in enumerate(moments):
        cursor = db.cursor()
        cursor.as_of = moment[1]
        assert cursor.execute("SELECT DISTINCT a, (SELECT count(*) FROM t) FROM t").fetchall() == [(round_, 300)]


def test_the_table_behind_it_takes_nothing_else(both: Beside) -> None:
    for sql in (
        "INSERT INTO entitydb_set(stands, columns, v0) VALUES (NULL, 2, 1)",
        "INSERT INTO entitydb_set(stands, columns, v0) SELECT id, 2, 1 FROM t",
        'INSERT INTO entitydb_set(stands, columns, v0) SELECT "entitydb returned", 1, 1 FROM t',
        'INSERT INTO entitydb_set(stands, columns, v0) SELECT "entitydb returned", 200, 1 FROM t',
        'INSERT INTO entitydb_set(stands, columns, v0) SELECT "entitydb returned", 2, 1 FROM t ORDER BY a + 1',
        'INSERT INTO entitydb_set(stands) SELECT -1 FROM (SELECT "entitydb returned" FROM t LIMIT 1)',
    ):
        with pytest.raises(driver.Error, match="entitydb_set"):
            both.mine.execute(sql)
        both.compare(sql)
    assert both.mine.execute("SELECT * FROM entitydb_set").fetchall() == []


def test_tables_of_an_attached_database_are_updated_as_before(
    connect: Callable[..., driver.Connection], other: Path
) -> None:
    db = connect(isolation_level=None)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    db.execute("ATTACH ? AS x", (str(other),))
    db.execute("CREATE TABLE x.u(id INTEGER PRIMARY KEY, a)")
    db.execute("INSERT INTO x.u VALUES (1, 1), (2, 2)")
    assert ONE_PASS not in text_to_run(db, "UPDATE x.u SET a = a + 1")
    for sql in ("UPDATE x.u SET a = a + 1", "UPDATE u SET a = a + 1", "UPDATE t SET a = a + 1"):
        assert db.execute(sql).rowcount == 2
    assert db.execute("SELECT sum(a) FROM t").fetchall() + db.execute("SELECT sum(a) FROM u").fetchall() == [(5,), (7,)]


# ---- at random ----

SET_TO = (
    *("?", "?", "a", "b", "-a", "b || ?", "id * 1000 + 5", "a IS NULL", "a = b", "CAST(a AS TEXT)", "+b", "a + 1"),
    "CASE WHEN id < 300 THEN a ELSE ? END",
)  # fmt: skip
CONDITIONS = ("", "", " WHERE id < 260", " WHERE id BETWEEN 250 AND 300", " WHERE +a > ?", " WHERE +b LIKE 'x%'",
              " WHERE NOT (+a < 5 OR +b IS NULL)", " WHERE id > 390 OR id < 210", " WHERE length(b) > 3")  # fmt: skip


# SQLite does not undo the rows before one with a wrong type, when a transaction is open.
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [kind for kind in TABLES if kind not in ("without an id", "seventy columns", "strict")]
)
def test_updates_of_many_rows_beside_sqlite(
    connect: Callable[..., driver.Connection], rng: random.Random, kind: str
) -> None:
    db = connect(page_size=8192)
    schema, table, columns = TABLES[kind]
    both = Beside(db, *schema)
    both.theirs.execute("COMMIT")
    both.theirs.execute("PRAGMA foreign_keys = ON")
    both.theirs.execute("BEGIN")
    columns = tuple(name for name in columns if name != "id")
    insert = f"INSERT INTO {table}(id, {', '.join(columns)}) VALUES (?, {', '.join('?' * len(columns))})"
    for number in range(200, 400):
        both.run(insert, [number, *rng.choices(VALUES, k=len(columns))])
        if number == 300:
            both.mine.commit()
    one_pass = 0
    for number in range(80):
        some = rng.sample(columns, rng.choice((1, 1, 2)))
        sets = ", ".join(f"{name} = {rng.choice(SET_TO)}" for name in some)
        sql = f"UPDATE {table} SET {sets}{rng.choice(CONDITIONS)}"
        parameters = tuple(rng.choices(VALUES, k=sql.count("?")))
        one_pass += text_to_run(db, sql, parameters).startswith(ONE_PASS)
        both.run(sql, parameters)
        if number % 20 == 19:
            both.mine.commit()
    assert one_pass
    both.mine.rollback()
