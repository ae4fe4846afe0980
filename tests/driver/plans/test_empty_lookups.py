"""What finds a row at most is asked before a walk that leaves about one: if it finds none, the walk is not made."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits
from ..beside import Beside

SCHEMA = (
    "CREATE TABLE note(id INTEGER PRIMARY KEY, about INTEGER, code TEXT)",
    "CREATE TABLE thing(id INTEGER PRIMARY KEY, kind INTEGER)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    found = Beside(db, *SCHEMA)
    found.fill("note", [(i, i, f"code {i}") for i in range(1, 151)])
    found.fill("thing", [(i, i % 7) for i in range(1, 151) if i % 2])
    db.commit()
    return found


@pytest.mark.parametrize("tables", ["note, thing", "thing, note"])
@pytest.mark.parametrize("value", ["4", "?"])
def test_a_row_by_its_key_comes_before_a_walk(both: Beside, tables: str, value: str) -> None:
    """There is no thing 4."""
    sql = f"SELECT count(*) FROM {tables} WHERE note.about = thing.id AND thing.id = {value}"
    parameters = (4,) if value == "?" else ()
    assert plan(both.mine, sql, parameters).startswith("SEARCH thing USING INTEGER PRIMARY KEY")
    assert visits(both.mine, sql, parameters) <= 2
    both.run(sql, parameters)
