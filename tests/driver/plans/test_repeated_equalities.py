"""Several equalities with one column count once: where one of them holds, the others leave all rows."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits
from ..beside import Beside

SCHEMA = (
    "CREATE TABLE line(id INTEGER PRIMARY KEY, bill INTEGER, kind INTEGER)",
    "CREATE TABLE bill(id INTEGER PRIMARY KEY, agent INTEGER)",
    "CREATE INDEX line_kind ON line(kind)",
    "CREATE INDEX line_bill ON line(bill)",
    "CREATE INDEX bill_agent ON bill(agent)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    """2,000 lines of 5 kinds, a bill for each of them, 9 agents."""
    found = Beside(db, *SCHEMA)
    found.fill("line", [(i, i, i % 5) for i in range(1, 2001)])
    found.fill("bill", [(i, i % 9) for i in range(1, 2001)])
    db.commit()
    return found


@pytest.mark.parametrize("again", ["", " AND line.kind = ?", " AND line.kind = 3"])
def test_a_repeated_condition_leaves_as_many_rows(both: Beside, again: str) -> None:
    """400 lines of the kind, and 222 bills of the agent: those come first."""
    sql = f"SELECT count(*) FROM line, bill WHERE line.bill = bill.id AND bill.agent = 7 AND line.kind = ?{again}"
    parameters = (3, 3) if again.endswith("?") else (3,)
    assert plan(both.mine, sql, parameters).startswith("SEARCH bill USING INDEX bill_agent")
    assert visits(both.mine, sql, parameters) <= 1000
    both.run(sql, parameters)
