"""Plans of tables that have grown or shrunk since: the statement is planned anew, for whoever has it prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entitydb_dialect import driver

from ..asking import visits

QUERY = "SELECT count(*) FROM parent JOIN child ON child.parent = parent.id WHERE parent.kind = ?"


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[], driver.Connection]:
    def opened() -> driver.Connection:
        return driver.connect(tmp_path / "t.edb")

    db = opened()
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY, kind INTEGER)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER)")
    db.execute("CREATE INDEX child_parent ON child(parent)")
    db.executemany("INSERT INTO child(parent) VALUES (?)", [(i,) for i in range(30)])
    db.executemany("INSERT INTO parent(kind) VALUES (?)", [(i,) for i in range(3000)])
    db.commit()
    db.close()
    return opened


def grow(db: driver.Connection) -> None:
    db.executemany("INSERT INTO child(parent) VALUES (?)", [(i % 3000,) for i in range(60_000)])
    db.executemany("DELETE FROM parent WHERE id > ?", [(50,)])
    db.commit()


@pytest.mark.slow
def test_a_statement_is_planned_anew_behind_the_first_run(connect: Callable[[], driver.Connection]) -> None:
    db, other, fresh = connect(), connect(), connect()
    for one in (db, other):
        visits(one, QUERY, (7,))
    grow(db)
    for one in (db, other):
        one.rollback()
        visits(one, QUERY, (7,))       # meets the outgrown plan
    best = visits(fresh, QUERY, (7,))
    assert best < 300
    assert visits(db, QUERY, (7,)) == visits(other, QUERY, (7,)) == best


@pytest.mark.slow
def test_open_cursors_go_on_with_their_plan(connect: Callable[[], driver.Connection]) -> None:
    db, other = connect(), connect()
    sql = "SELECT parent.id FROM parent JOIN child ON child.parent = parent.id ORDER BY parent.id"
    db.execute(sql).fetchall()
    grow(other)
    cursor = db.cursor()
    cursor.execute(sql)
    first = [cursor.fetchone() for _ in range(10)]
    rest = db.execute(sql).fetchall()   # of a cursor beside it, which ends first
    assert first + cursor.fetchall() == rest
    assert db.execute(sql).fetchall() == rest
