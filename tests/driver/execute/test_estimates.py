"""What the planner is told of rows: orders of joins and choices of indexes, in entries visited."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import plan
from ..beside import Beside

DAYS = 4000


def days(db: driver.Connection) -> Beside:
    both = Beside(
        db, "CREATE TABLE sale(id INTEGER PRIMARY KEY, day TEXT, shop INTEGER, amount INTEGER)",
        "CREATE INDEX sale_day ON sale(day)", "CREATE INDEX sale_shop ON sale(shop)",
    )
    for one in (both.mine, both.theirs):
        one.executemany("INSERT INTO sale VALUES (?, ?, ?, ?)",
                        [(i, f"{i * 7 % DAYS:05}", i % 50, i) for i in range(DAYS)])
    both.mine.commit()
    return both


@pytest.mark.parametrize("end", ["'0' || '2000'", "?", "(SELECT '02000')"])
@pytest.mark.parametrize("sql", [
    "SELECT shop, sum(amount) FROM sale WHERE day >= '01900' AND day < {end} GROUP BY shop",
    "SELECT shop, sum(amount) FROM sale WHERE day <= '02100' AND day > {end} GROUP BY shop",
    "SELECT id FROM sale WHERE day BETWEEN '01900' AND {end} ORDER BY shop, amount",
])
def test_a_range_whose_other_end_is_unknown_is_taken_by_its_index(db: driver.Connection, sql: str, end: str) -> None:
    """Sorting what is left costs the same with and without the index."""
    sql, both = sql.format(end=end), days(db)
    parameters = ("02000",) if "?" in sql else ()
    assert sorted(both.mine.execute(sql, parameters)) == sorted(both.theirs.execute(sql, parameters))
    assert "INDEX sale_day" in plan(both.mine, sql, parameters)
