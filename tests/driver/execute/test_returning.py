"""RETURNING: a change and its rows are one thing. All of it happens, in the order of the statement, or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..beside import Beside

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT, c TEXT COLLATE NOCASE DEFAULT 'x',"
    " n DEFAULT (1 + 1))",
    "CREATE TABLE s(x, y)",
    "CREATE TABLE w(k TEXT, v REAL, PRIMARY KEY (k, v)) WITHOUT ROWID",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    side = Beside(db, *SCHEMA)
    side.tables = ["t", "s"]
    return side


def test_rows_carry_ids_defaults_and_affinity(both: Beside) -> None:
    found = both.run(
        "INSERT INTO t(a, b) VALUES ('1', 2), (2.0, 'z') RETURNING *, rowid, typeof(a), typeof(b), c = 'X'"
    )
    assert found == [(1, 1, "2", "x", 2, 1, "integer", "text", 1), (2, 2, "z", "x", 2, 2, "integer", "text", 1)]
    both.run("UPDATE t SET b = b || '!', id = id + 10 WHERE a = 2 RETURNING id, b, _rowid_, (SELECT 5)")
    both.run("DELETE FROM t RETURNING id, c COLLATE BINARY = 'X' AS same, c || ? || c", ("-",))
    both.run("INSERT INTO w VALUES ('k', 1), ('l', 2) RETURNING k, v")


def test_default_values(both: Beside) -> None:
    assert both.run("INSERT INTO t DEFAULT VALUES RETURNING *") == [(1, None, None, "x", 2)]
    assert both.mine.execute("INSERT INTO t DEFAULT VALUES").lastrowid == 2


def _names(both: Beside, sql: str, values: Any) -> list[str]:
    """What plain SQLite calls the columns; it can be asked only before the last row."""
    names: list[str] = []

    def trace(cursor: Any, *rest: Any) -> bool:
        names.extend(column[0] for column in cursor.get_description())
        return True

    theirs = both.theirs.cursor()
    theirs.exec_trace = trace
    theirs.execute(sql, values).fetchall()
    return names


def test_the_description_is_sqlites(both: Beside) -> None:
    for sql in (
        "INSERT INTO t(a) VALUES (?) RETURNING *",
        "UPDATE t SET a = ? RETURNING id, a + 1, a AS \"a b\", t.c, t.id IN (1, ?)",
        "DELETE FROM t WHERE id = ? RETURNING upper(b), rowid AS r",
    ):
        mine = both.mine.cursor()
        values = tuple(range(7, 7 + sql.count("?")))
        mine.execute(sql, values)
        assert [column[0] for column in mine.description] == _names(both, sql, values)
        both.compare(sql)


def test_no_rows_have_a_description_too(both: Beside) -> None:
    cursor = both.mine.execute("UPDATE t SET a = 1 WHERE id = 99 RETURNING id")
    assert (cursor.rowcount, cursor.fetchall()) == (0, [])
    assert [column[0] for column in cursor.description] == ["id"]


@pytest.mark.parametrize("level", ["DEFERRED", None])
def test_a_failing_list_takes_the_change_back(both: Beside, level: str | None) -> None:
    both.mine.isolation_level = level
    both.mine.execute("INSERT INTO t(id, a) VALUES (1, 1)")
    both.mine.commit()
    for sql in (
        "INSERT INTO t(id) VALUES (2) RETURNING abs(-9223372036854775808)",
        "UPDATE t SET a = 5 RETURNING nosuch",
        "DELETE FROM t RETURNING id FROM t",
        "DELETE FROM t RETURNING count(*)",
        "DELETE FROM t RETURNING max(id)",
        "DELETE FROM t RETURNING id UNION SELECT 1",
        "DELETE FROM t RETURNING",
    ):
        with pytest.raises(driver.OperationalError):
            both.mine.execute(sql)
        assert both.mine.execute("SELECT id, a FROM t").fetchall() == [(1, 1)]
    for values in ((1, 2), (1, 2, 3, 4)):
        with pytest.raises(driver.ProgrammingError):
            both.mine.execute("INSERT INTO t(id, a) VALUES (?, ?) RETURNING id + ?", values)
    assert both.mine.execute("SELECT id, a FROM t").fetchall() == [(1, 1)]


def test_autocommit_commits_change_and_rows_together(db: driver.Connection, connect: Connect) -> None:
    db.isolation_level = None
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    cursor = db.execute("INSERT INTO t(a) VALUES (1), (2) RETURNING id, (SELECT count(*) FROM t)")
    assert cursor.fetchall() == [(1, 2), (2, 2)]
    assert not db.in_transaction
    assert connect().execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_rollback_after_returning_leaves_nothing(both: Beside) -> None:
    both.mine.execute("SAVEPOINT p")
    assert both.mine.execute("INSERT INTO t(a) VALUES (1) RETURNING a").fetchall() == [(1,)]
    both.mine.execute("ROLLBACK TO p")
    assert both.mine.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_cursors_do_not_share_their_rows(both: Beside) -> None:
    first = both.mine.execute("INSERT INTO t(a) VALUES (1), (2) RETURNING a")
    second = both.mine.execute("UPDATE t SET a = a + 10 RETURNING a")
    assert (first.fetchone(), second.fetchone(), first.fetchone(), second.fetchone()) == ((1,), (11,), (2,), (12,))
    assert first.fetchone() is None is second.fetchone()


def test_a_function_may_return_rows_inside(both: Beside) -> None:
    def inner(value: int) -> int:
        ((found,),) = both.mine.execute("INSERT INTO s VALUES (?, 0) RETURNING x + 1", (value,)).fetchall()
        return int(found)

    both.mine.create_function("inner_one", 1, inner)
    sql = "INSERT INTO t(a) VALUES (inner_one(5)), (inner_one(6)) RETURNING a, inner_one(a)"
    found = both.mine.execute(sql).fetchall()
    assert found == [(6, 7), (7, 8)]
    assert both.mine.execute("SELECT x FROM s ORDER BY x").fetchall() == [(5,), (6,), (6,), (7,)]


def test_rows_that_replace_or_cascades_took_away_are_not_told(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY, a UNIQUE, up REFERENCES p ON DELETE CASCADE)")
    db.execute("INSERT INTO p VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 2)")
    cursor = db.execute("DELETE FROM p WHERE id = 1 RETURNING id")
    assert (cursor.rowcount, cursor.fetchall()) == (1, [(1,)])
    db.execute("INSERT INTO p VALUES (4, 4, NULL)")
    assert db.execute("INSERT OR REPLACE INTO p VALUES (5, 4, NULL) RETURNING id").fetchall() == [(5,)]
    assert db.execute("SELECT id FROM p").fetchall() == [(5,)]


def test_executemany_keeps_no_rows(both: Beside) -> None:
    cursor = both.mine.executemany("INSERT INTO t(a) VALUES (?) RETURNING id", [(1,), (2,)])
    assert (cursor.rowcount, cursor.description, cursor.fetchall()) == (2, None, [])


def test_the_hidden_column_is_not_seen(both: Beside) -> None:
    both.run("INSERT INTO t VALUES (1, 2, 'b', 'c', 5)")
    both.run("SELECT * FROM t NATURAL JOIN (SELECT 1 AS id)")
    assert both.mine.execute('SELECT "entitydb returned", id FROM t').fetchall() == [(None, 1)]
    assert both.mine.execute('SELECT id FROM t WHERE "entitydb returned" = 1').fetchall() == []


class _Longest:
    def __init__(self) -> None:
        self.found = ""

    def step(self, value: object) -> None:
        self.found = max(self.found, str(value), key=len)

    def finalize(self) -> str:
        return self.found


@pytest.mark.parametrize("listed", [
    "longest(b)", '"longest"(b)', "id, 1 + longest(b)", "count(*)", "[sum](a)", "max(a)",
    "group_concat(b) FILTER (WHERE a)",
    "row_number() OVER ()", "sum(a) OVER (ORDER BY id)", "max(a, 3), (SELECT longest(y) FROM s), b",
])
def test_aggregates_are_misused_in_the_list(both: Beside, listed: str) -> None:
    """Those made by create_aggregate() too; not inside of a subquery."""
    both.mine.create_aggregate("Longest", 1, _Longest)
    both.theirs.create_aggregate_function("longest", lambda: (_Longest(), _Longest.step, _Longest.finalize))
    both.run("INSERT INTO t(id, a, b) VALUES (1, 2, 'b'), (2, 3, 'bb')")
    both.run("INSERT INTO s VALUES (1, 'y'), (2, 'yy')")
    both.run(f"UPDATE t SET n = n + 1 RETURNING {listed}")


@pytest.mark.slow
def test_random_changes_return_what_plain_sqlite_returns(both: Beside, rng: random.Random) -> None:
    def value() -> Any:
        return rng.choice([None, 1, 2, "1", "a", "A", 2.5, b"x", "12"])

    counted = "(SELECT count(*) FROM s WHERE x = a), n"
    lists = ["*", "id, a", "typeof(a), typeof(b), c || '.'", "a + ?, b", counted, "rowid, t.b"]
    for i in range(400):
        verb = rng.choice(["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "UPDATE", "DELETE", "s"])
        if verb == "s":
            both.run("INSERT INTO s VALUES (?, ?) RETURNING x, y, rowid", (value(), value()))
            continue
        values: list[Any] = []
        if verb.startswith("INSERT"):
            rows = rng.randint(1, 3)
            for row in range(rows):
                values += [1000 + 10 * i + row, rng.randint(1, 60), value(), value()]
            sql = f"{verb} INTO t(id, a, b, c) VALUES {', '.join(['(?, ?, ?, ?)'] * rows)}"
        elif verb == "DELETE":
            sql = "DELETE FROM t WHERE a % ? = 1"
            values.append(rng.randint(2, 9))
        else:
            sql = "UPDATE t SET n = n || ?, b = ? WHERE a > ?"
            values += [rng.randint(0, 2), value(), rng.randint(0, 60)]
        listed = rng.choice(lists)
        values += [3] * listed.count("?")
        both.run(f"{sql} RETURNING {listed}", tuple(values))
