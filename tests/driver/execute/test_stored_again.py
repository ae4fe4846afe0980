"""Transactions that store again what is there: they make no commit, and conflict as others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import rows

Connect = Callable[..., driver.Connection]

SAME = (
    ("UPDATE t SET v = 'v3' WHERE id = 3", 1),
    ("UPDATE t SET v = v", 20),
    ("UPDATE t SET v = v WHERE id < 5", 5),
    ("UPDATE t SET n = n + 0, v = lower(v) WHERE n = 3", 1),
    ("INSERT INTO t VALUES (3, 3, 'v3') ON CONFLICT (id) DO UPDATE SET v = excluded.v", 1),
    ("INSERT OR REPLACE INTO t VALUES (3, 3, 'v3')", 1),
    ("UPDATE t SET v = 'other' WHERE id = 400", 0),
)


@pytest.fixture(autouse=True)
def table(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNIQUE, v TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i, f"v{i}") for i in range(20)])
    db.commit()


def commits(db: driver.Connection) -> list[Any]:
    return db.execute("SELECT id FROM entitydb_transactions").fetchall()


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("sql", "count"), SAME)
def test_storing_what_is_there_makes_no_commit(connect: Connect, sql: str, count: int, alone: bool) -> None:
    db = connect(**{"isolation_level": None} if alone else {})
    before, kept = commits(db), rows(db, "SELECT * FROM t ORDER BY id")
    for _ in range(2):
        cursor = db.cursor()
        cursor.execute(sql)
        assert cursor.rowcount == count
        if not alone:
            db.commit()
    assert commits(db) == before
    assert rows(db, "SELECT * FROM t ORDER BY id") == kept
    assert db.execute("SELECT count(*) FROM t FOR SYSTEM_TIME ALL").fetchall() == [(20,)]


CHANGES = (
    "UPDATE t SET v = CASE id WHEN 4 THEN 'new' ELSE v END WHERE id < 5",
    "UPDATE t SET v = NULL WHERE id = 3",
    "UPDATE t SET v = '' WHERE id = 3",
    "DELETE FROM t WHERE id = 3",
    "INSERT INTO t VALUES (100, NULL, NULL)",
    "UPDATE t SET n = 100 WHERE n = 3",
)


@pytest.mark.parametrize("sql", CHANGES)
def test_one_change_among_them_is_a_commit(connect: Connect, sql: str) -> None:
    db = connect(isolation_level=None)
    db.execute("UPDATE t SET v = '' WHERE id = 7")
    before, kept = commits(db), rows(db, "SELECT * FROM t ORDER BY id")
    db.execute("BEGIN")
    db.execute("UPDATE t SET v = v WHERE id = 7")
    db.execute(sql)
    db.execute("COMMIT")
    assert len(commits(db)) == len(before) + 1
    assert rows(connect(), "SELECT * FROM t ORDER BY id") != kept


# What another commits between the look and COMMIT; the value is the same at the end, or not.
MEANWHILE = (("other",), ("other", "v3"))
LONG = "SELECT a.id FROM t AS a, t AS b, t AS c"


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("others", MEANWHILE)
def test_a_row_that_another_has_changed_meanwhile_conflicts(
    connect: Connect, others: tuple[str, ...], isolation: str, reading: bool
) -> None:
    """reading: a statement that began before is still open."""
    one, two = connect(isolation_level=isolation), connect(isolation_level=None)
    one.execute("UPDATE t SET v = 'v3' WHERE id = 3")
    cursor = one.cursor()
    if reading:
        cursor.execute(LONG)
        cursor.fetchone()
    for value in others:
        two.execute("UPDATE t SET v = ? WHERE id = 3", (value,))
    with pytest.raises(driver.OperationalError, match="changed the same data"):
        one.commit()
    one.rollback()
    assert rows(two, "SELECT v FROM t WHERE id = 3") == [(others[-1],)]


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("others", MEANWHILE)
def test_what_the_first_statement_saw_counts_at_read_committed(
    connect: Connect, others: tuple[str, ...], reading: bool
) -> None:
    one, two = connect(isolation_level="READ COMMITTED"), connect(isolation_level=None)
    one.execute("UPDATE t SET v = 'v3' WHERE id = 3")
    for value in others:
        two.execute("UPDATE t SET v = ? WHERE id = 3", (value,))
    one.execute("UPDATE t SET v = 'v4' WHERE id = 4")
    cursor = one.cursor()
    if reading:
        cursor.execute(LONG)
        cursor.fetchone()
    with pytest.raises(driver.OperationalError, match="changed the same data"):
        one.commit()
    one.rollback()
    assert rows(one, "SELECT v FROM t WHERE id IN (3, 4)") == [(others[-1],), ("v4",)]


def test_a_change_alone_that_another_overtakes_is_made_again(connect: Connect) -> None:
    one, two = connect(isolation_level=None), connect(isolation_level=None)
    calls = []

    def overtaken(value: str) -> str:
        calls.append(value)
        if len(calls) == 1:
            two.execute("UPDATE t SET v = 'other' WHERE id = 3")
        return "v3"

    one.create_function("overtaken", 1, overtaken)
    one.execute("UPDATE t SET v = overtaken(v) WHERE id = 3")
    assert calls == ["v3", "other"]
    assert rows(two, "SELECT v FROM t WHERE id = 3") == [("v3",)]


def test_a_unique_key_that_another_has_taken_meanwhile_is_an_error(connect: Connect) -> None:
    one, two = connect(), connect(isolation_level=None)
    one.execute("UPDATE t SET v = v WHERE id = 3")
    one.execute("INSERT INTO t VALUES (100, 100, 'mine')")
    two.execute("INSERT INTO t VALUES (101, 100, 'theirs')")
    with pytest.raises(driver.IntegrityError):
        one.commit()
