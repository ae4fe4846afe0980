"""Rows whose joined column is NULL have no partner, and IS makes partners of NULLs: plans count on both."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits
from ..beside import Beside

SCHEMA = (
    "CREATE TABLE task(id INTEGER PRIMARY KEY, parent INTEGER, kind INTEGER, mark INTEGER)",
    "CREATE TABLE part(id INTEGER PRIMARY KEY, task INTEGER, kind INTEGER, mark INTEGER)",
    "CREATE INDEX task_parent ON task(parent)",
    "CREATE INDEX task_mark ON task(mark)",
    "CREATE INDEX part_task ON part(task)",
    "CREATE INDEX part_mark ON part(mark)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    """Of 2,000 tasks 20 have a parent, and 500 have a mark, each another."""
    found = Beside(db, *SCHEMA)
    found.fill("task", [(i, i // 2 if i % 100 == 0 else None, i % 4, i if i % 4 == 0 else None)
                        for i in range(1, 2001)])
    found.fill("part", [(i, i, i % 4, 2 * i if i % 2 == 0 else None) for i in range(1, 1001)])
    db.commit()
    return found


def test_a_join_begins_where_most_of_its_columns_are_null(both: Beside) -> None:
    """20 tasks have a parent. The 250 parts of a kind are fewer than all tasks, and more than those."""
    sql = "SELECT count(*) FROM part, task WHERE part.task = task.parent AND part.kind = 3"
    assert plan(both.mine, sql).startswith("SCAN task")
    assert visits(both.mine, sql) <= 2100
    both.run(sql)


def test_a_column_that_is_null_and_equal_leaves_nothing(both: Beside) -> None:
    """No row of task is both, so that the order of another table is not worth a walk."""
    sql = ("SELECT other.task FROM task, part, part AS other WHERE task.mark = part.mark AND task.mark IS NULL"
           " AND other.kind = task.kind ORDER BY other.task LIMIT 20")
    assert visits(both.mine, sql) <= 4000
    both.run(sql)


def test_nulls_are_partners_by_is(both: Beside) -> None:
    """A part without a mark meets by it the 1,500 tasks that have none. By their numbers it meets two tasks."""
    sql = ("SELECT count(*) FROM part, task AS other, task WHERE other.mark IS part.mark AND task.id = part.task"
           " AND other.id = task.kind")
    assert visits(both.mine, sql) <= 4000
    both.run(sql)
