"""Row ids that are drawn, written out, rolled back: what was never committed must not use up the ids of a table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.bare_pager import failpoint
from entitydb_dialect import driver

LAST = 2**63 - 1


def fresh_id(db: driver.Connection) -> int:
    cursor = db.cursor()
    cursor.execute("INSERT INTO t(a) VALUES (1)")
    assert cursor.lastrowid is not None
    return cursor.lastrowid


@pytest.fixture
def table(connect: Callable[..., driver.Connection]) -> driver.Connection:
    db = connect()
    db.cursor().execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER CHECK (a))")
    fresh_id(db)
    db.commit()
    return db


@pytest.mark.parametrize("write", ["INSERT INTO t VALUES ({id}, 1)", "UPDATE t SET id = {id}"])
@pytest.mark.parametrize("far", [LAST, 2**62, 2**40])
def test_a_row_id_that_was_rolled_back_is_not_used_up(table: driver.Connection, write: str, far: int) -> None:
    cursor = table.cursor()
    cursor.execute(write.format(id=far))
    table.rollback()
    assert fresh_id(table) < 2**33
    table.rollback()

    cursor.execute("SAVEPOINT s")
    cursor.execute(write.format(id=far))
    cursor.execute("ROLLBACK TO s")
    assert fresh_id(table) < 2**33
    table.commit()
    assert fresh_id(table) < 2**33


def test_a_row_id_of_a_statement_that_failed_is_not_used_up(table: driver.Connection) -> None:
    with pytest.raises(driver.IntegrityError):
        table.cursor().execute(f"INSERT INTO t VALUES ({LAST}, 1), (1, 1)")
    assert fresh_id(table) < 2**33
    table.commit()
    assert fresh_id(table) < 2**33


@pytest.mark.parametrize("far", [7, 2**40, 2**62, LAST - 3])
def test_ids_go_on_behind_the_largest(
    table: driver.Connection, connect: Callable[..., driver.Connection], far: int
) -> None:
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (?, 1)", (far,))
    assert fresh_id(table) == far + 1
    cursor.execute("INSERT INTO t VALUES (5, 1)")
    table.commit()
    assert fresh_id(connect()) >= far + 2


@pytest.mark.parametrize("far", [2**40, LAST - 1])
def test_a_committed_row_id_is_behind_all_drawn_ones(
    table: driver.Connection, connect: Callable[..., driver.Connection], far: int
) -> None:
    other = connect()
    table.cursor().execute("INSERT INTO t VALUES (?, 1)", (far,))
    drawn = fresh_id(other)
    assert drawn < 2**33
    other.commit()
    table.commit()
    assert fresh_id(other) == far + 1
    other.commit()


@pytest.mark.parametrize("columns", ["id INTEGER PRIMARY KEY, a", "a", "a UNIQUE", "id INTEGER PRIMARY KEY, a UNIQUE"])
@pytest.mark.parametrize("committed", [False, True])
def test_ids_are_drawn_at_random_when_the_largest_has_been_used(
    connect: Callable[..., driver.Connection], columns: str, committed: bool
) -> None:
    """As SQLite does it: ids of 1 to 2^62 that no row has."""
    db = connect()
    db.execute(f"CREATE TABLE t({columns})")
    db.execute("INSERT INTO t(rowid, a) VALUES (?, 0)", (LAST,))
    if committed:
        db.commit()
    drawn = {fresh_id(db)}
    drawn.add(db.execute("INSERT INTO t(a) VALUES (2) RETURNING rowid").fetchone()[0])
    db.executemany("INSERT INTO t(a) VALUES (?)", [(i,) for i in range(3, 6)])
    db.execute("INSERT INTO t(a) VALUES (6), (7)")
    db.execute("INSERT INTO t(a) VALUES (8) ON CONFLICT DO NOTHING")
    db.execute("INSERT OR REPLACE INTO t(a) VALUES (9)")
    db.commit()
    found = [i for (i,) in db.execute("SELECT rowid FROM t ORDER BY rowid").fetchall()]
    assert len(found) == 10
    assert found.pop() == LAST
    assert drawn <= set(found)
    assert 1 <= found[0] < found[-1] <= 2**62
    db.execute("DELETE FROM t")
    db.commit()
    assert fresh_id(connect()) <= 2**62


def test_a_drawn_id_that_is_in_use_is_drawn_again(table: driver.Connection) -> None:
    table.execute("INSERT INTO t VALUES (?, 1)", (LAST,))
    left = [0]

    def taken(name: str) -> str | None:
        if name == "ids:drawn" and left[0]:
            left[0] -= 1
            return "FULL"
        return None

    with failpoint(taken):
        left[0] = 99
        assert fresh_id(table) <= 2**62
        assert left[0] == 0
        left[0] = 100
        with pytest.raises(driver.OperationalError, match="database or disk is full") as caught:
            fresh_id(table)
    assert caught.value.sqlite_errorname == "SQLITE_FULL"
    assert table.in_transaction
    table.commit()
    assert table.execute("SELECT count(*) FROM t").fetchone() == (3,)


def test_the_largest_row_id_ends_a_table_with_autoincrement(connect: Callable[..., driver.Connection]) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
    db.execute("INSERT INTO t VALUES (?, 1)", (LAST,))
    with pytest.raises(driver.OperationalError, match="no more row ids"):
        fresh_id(db)
    db.execute("INSERT INTO t VALUES (77, 1)")
    db.commit()
    with pytest.raises(driver.OperationalError, match="database or disk is full"):
        fresh_id(db)
    assert db.execute("SELECT id FROM t ORDER BY id").fetchall() == [(77,), (LAST,)]


def test_the_largest_row_id_written_and_deleted_again(table: driver.Connection) -> None:
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (?, 1)", (LAST,))
    cursor.execute("DELETE FROM t WHERE id = ?", (LAST,))
    cursor.execute("INSERT INTO t VALUES (77, 1)")
    table.commit()
    assert fresh_id(table) < 2**33


def test_ids_begin_at_one_again_after_a_rolled_back_create(connect: Callable[..., driver.Connection]) -> None:
    db = connect()
    for _ in range(5):
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
        assert [db.execute("INSERT INTO t (a) VALUES (?)", (i,)).lastrowid for i in range(3)] == [1, 2, 3]
        db.rollback()
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)")
    assert db.execute("INSERT INTO t (a) VALUES (1)").lastrowid == 1
    db.commit()
