"""Row ids that are drawn, written out, rolled back: what was never committed must not use up the ids of a table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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


def test_the_largest_row_id_ends_the_table(table: driver.Connection) -> None:
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (?, 1)", (LAST,))
    with pytest.raises(driver.OperationalError, match="no more row ids"):
        fresh_id(table)
    table.rollback()
    cursor.execute("INSERT INTO t VALUES (?, 1)", (LAST,))
    table.commit()
    with pytest.raises(driver.OperationalError, match="no more row ids"):
        fresh_id(table)
    cursor.execute("INSERT INTO t VALUES (77, 1)")


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
