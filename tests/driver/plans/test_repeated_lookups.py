"""executemany() of a statement that looks rows up: each run opens the cursor that the run before has closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from ..asking import moment, rows

BUMP = "UPDATE t SET v = v + 1 WHERE id = ?"


@pytest.fixture
def filled(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, code INTEGER, v INTEGER)")
    db.execute("CREATE INDEX t_code ON t(code)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, 100 + i % 50, 10 * i) for i in range(1, 401)])
    db.commit()
    return db


def values(db: driver.Connection) -> dict[int, int]:
    return dict(rows(db, "SELECT id, v FROM t"))


def test_each_run_sees_those_before(filled: driver.Connection) -> None:
    keys = [5, 5, 6, 5, 400, 401, 6, "5", 5.0, None, 5.5, 1, 2, 3, 2, 1]
    filled.executemany(BUMP, [(key,) for key in keys])
    after = values(filled)
    wanted = {i: 10 * i + sum(key in (i, str(i)) for key in keys) for i in range(1, 401)}
    assert after == wanted
    filled.commit()
    assert values(filled) == wanted


def test_a_row_that_a_run_deletes_or_moves_is_gone_for_the_next(filled: driver.Connection) -> None:
    filled.executemany("DELETE FROM t WHERE id = ?", [(7,), (7,), (8,)])
    filled.executemany("UPDATE t SET id = ? WHERE id = ?", [(1000, 9), (1001, 9), (9, 1000), (1002, 9)])
    after = values(filled)
    assert not {7, 8, 9, 1000, 1001} & set(after)
    assert after[1002] == 90


def test_a_statement_sees_what_others_committed_before_it(
    filled: driver.Connection, connect: Callable[..., driver.Connection]
) -> None:
    other, added = connect(), 0
    for number in range(1, 10):
        filled.executemany(BUMP, [(3,), (4,)])
        filled.commit()
        assert values(other)[3] == 30 + number + added
        other.rollback()
        for _ in range(number % 4):  # where the leaf is that the last run looked into changes
            other.execute("UPDATE t SET v = v + 10 WHERE id IN (3, 4)")
            other.commit()
            added += 10
    assert values(filled)[3] == 30 + 9 + added


@pytest.mark.parametrize(
    "change",
    ["DROP INDEX t_code", "CREATE INDEX t_v ON t(v)", "ALTER TABLE t ADD COLUMN more DEFAULT 4", "CREATE TABLE u(x)"],
)
def test_the_schema_changes_between_statements(filled: driver.Connection, change: str) -> None:
    by_code = "UPDATE t SET v = v + 1 WHERE code = ? + 100"
    for _ in range(2):
        filled.executemany(BUMP, [(1,), (2,)])
        filled.executemany(by_code, [(3,), (4,)])
        filled.execute(change)
        filled.executemany(BUMP, [(1,), (5,)])
        filled.executemany(by_code, [(3,)])
        changed = {i: n for i, v in values(filled).items() if (n := v - 10 * i)}
        many = range(0, 400, 50)
        assert changed == {1: 2, 2: 1, 5: 1} | {i + 3: 2 for i in many} | {i + 4: 1 for i in many}
        filled.rollback()


def test_a_function_changes_the_table_that_runs_look_up(filled: driver.Connection) -> None:
    """It opens the cursor that the run before has closed, in a statement of its own."""

    def change(key: int) -> int:
        filled.execute("UPDATE t SET v = v + 1000 WHERE id = ?", (key + 100,))
        return int(filled.execute("SELECT v FROM t WHERE id = ?", (key + 100,)).fetchone()[0])

    filled.create_function("change", 1, change)
    filled.execute("CREATE TABLE seen(id, v)")
    filled.executemany("INSERT INTO seen SELECT id, change(id) FROM t WHERE id = ?", [(1,), (2,), (1,), (101,), (3,)])
    wanted = [(1, 2010), (2, 2020), (1, 3010), (101, 3010), (3, 2030)]
    assert rows(filled, "SELECT id, v FROM seen ORDER BY rowid") == wanted
    assert [values(filled)[i] for i in (1, 101, 102, 103, 201)] == [10, 3010, 2020, 2030, 3010]


def test_versions_and_moments_are_looked_up_again_and_again(filled: driver.Connection) -> None:
    at = moment(filled)
    filled.executemany(BUMP, [(1,), (2,)])
    filled.commit()
    filled.execute("CREATE TABLE found(v)")
    filled.executemany(
        "INSERT INTO found SELECT v FROM t FOR SYSTEM_TIME AS OF ? WHERE id = ?", [(at, 1), (at, 2), (at, 500), (at, 1)]
    )
    filled.executemany("INSERT INTO found SELECT v FROM t WHERE id = ?", [(1,), (2,), (500,), (1,)])
    assert [v for (v,) in rows(filled, "SELECT v FROM found ORDER BY rowid")] == [10, 20, 10, 11, 21, 11]
