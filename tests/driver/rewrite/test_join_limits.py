"""A join of which the first rows are wanted says so to the engine; its rows are those of SQLite."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect import driver

from ..asking import plan, visits
from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, day INTEGER, size INTEGER)",
    "CREATE TABLE owner(id INTEGER PRIMARY KEY, kind INTEGER, place INTEGER, name TEXT)",
    "CREATE TABLE place(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE)",
    "CREATE INDEX item_day ON item(day)",
    "CREATE INDEX item_owner ON item(owner)",
    "CREATE INDEX owner_place ON owner(place)",
    "CREATE VIEW big AS SELECT * FROM item WHERE size > 5",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    found = Beside(db, *SCHEMA)
    found.fill("item", [(i, i * 7 % 200, i * 13 % 3000 if i % 9 else None, i % 10) for i in range(3000)])
    found.fill("owner", [(i, i % 4, i % 20, f"name {i}") for i in range(200)])
    found.fill("place", [(i, f"place {i}") for i in range(20)])
    db.commit()
    return found


_ON = "item.owner = owner.id"


@pytest.mark.parametrize(("sql", "told"), [
    (f"SELECT item.id FROM item, owner WHERE {_ON} AND kind = 2 ORDER BY day LIMIT 20",
     ["item 'limit 0|1|2 =1@0.1=1.0'"]),
    (f"SELECT item.id FROM owner JOIN item ON {_ON} ORDER BY day DESC LIMIT 20", ["item 'limit 1|2|1@1.1=0.0'"]),
    (f"SELECT day FROM item JOIN owner ON {_ON} ORDER BY item.day NULLS LAST, item.size COLLATE BINARY LIMIT 5",
     ["item 'limit 0|1|2@0.1=1.0'"]),
    (f"SELECT 1 FROM item JOIN owner ON {_ON} WHERE kind < 1 OR kind = 3 ORDER BY owner.place LIMIT 9",
     ["owner 'limit 1|1|2 ?@0.1=1.0'"]),
    (f"SELECT 1 FROM item JOIN owner ON {_ON} LEFT JOIN place p ON p.id = place"
     " WHERE size IN (1, 2) ORDER BY day LIMIT ?",
     ["item 'limit 0|1 i3|2@0.1=1.0'"]),
    (f"SELECT min(day) FROM item JOIN owner ON {_ON} WHERE kind = 2", ["item 'first 0|1 N2|2 =1@0.1=1.0'"]),
    ("SELECT day FROM item JOIN owner ON item.day IS owner.place AND item.size > 3 ORDER BY day LIMIT ?",
     ["item 'limit 0|1 <3|2@0.2~1.2'"]),
])
def test_a_join_says_that_its_first_rows_are_wanted(both: Beside, sql: str, told: list[str]) -> None:
    made = text_to_run(both.mine, sql)
    for term in told:
        alias, text = term.split(" ", 1)
        assert f'"{alias}"."entitydb returned" IS NOT {text}' in made
    assert made.count("IS NOT 'limit") + made.count("IS NOT 'first") == len(told)
    both.mine.execute(sql, (5,) * sql.count("?")).fetchall()


@pytest.mark.parametrize("sql", [
    f"SELECT day FROM item, owner WHERE {_ON} AND item.id = 3 ORDER BY day LIMIT 20",       # one row
    "SELECT id FROM item ORDER BY day LIMIT 20",                                            # one table
    f"SELECT item.id FROM item, owner WHERE {_ON} ORDER BY day",                            # all rows
    f"SELECT day FROM item, owner WHERE {_ON} LIMIT 20",                                     # in any order
    f"SELECT count(*) FROM item, owner WHERE {_ON} ORDER BY day LIMIT 1",
    f"SELECT day, row_number() OVER (ORDER BY day) FROM item, owner WHERE {_ON} LIMIT 1",
    f"SELECT DISTINCT day FROM item, owner WHERE {_ON} ORDER BY day LIMIT 20",
    f"SELECT day FROM item, owner WHERE {_ON} GROUP BY day ORDER BY day LIMIT 20",
    f"SELECT day FROM item, owner WHERE {_ON} ORDER BY day, kind LIMIT 20",                 # of two tables
    f"SELECT day FROM item, owner WHERE {_ON} ORDER BY -day LIMIT 20",
    "SELECT day FROM item, owner ORDER BY day LIMIT 20",                                    # joined by nothing
    "SELECT day FROM item LEFT JOIN owner ON item.owner = owner.id ORDER BY day LIMIT 20",
    "SELECT day FROM big, owner WHERE big.owner = owner.id ORDER BY day LIMIT 20",          # a view
])
def test_others_say_nothing(both: Beside, sql: str) -> None:
    assert "'limit" not in text_to_run(both.mine, sql)
    both.mine.execute(sql).fetchall()


@pytest.mark.parametrize("limit", ["LIMIT 20", "LIMIT ?"])
def test_a_page_of_a_join_is_read_in_the_order_of_an_index(both: Beside, limit: str) -> None:
    """A quarter of the owners is of the kind, so that 80 items give 20. All 750 were joined and sorted."""
    sql = f"SELECT day, item.id FROM item JOIN owner ON {_ON} WHERE kind = 2 AND day > 10 ORDER BY day {limit}"
    parameters = (20,) if limit.endswith("?") else ()
    assert "USE TEMP B-TREE" not in plan(both.mine, sql, parameters)
    assert visits(both.mine, sql, parameters) <= 400
    both.run(sql, parameters)


def test_a_page_of_a_join_with_few_rows_is_sorted(both: Beside) -> None:
    """Of 15 rows no walk in an order is cut short."""
    sql = f"SELECT day, item.id FROM item JOIN owner ON {_ON} WHERE owner.id = 14 ORDER BY day, item.id LIMIT 20"
    assert visits(both.mine, sql) <= 50
    both.run(sql)


@pytest.mark.slow
def test_pages_of_random_joins_are_those_of_sqlite(both: Beside, rng: random.Random) -> None:
    told = 0
    conditions = ("kind = 2", "owner.id < 50", "day > 100", "size IN (1, 2)", "item.id = 7", "day IS NOT NULL",
                  "owner.place = 3 OR kind = 1", "item.owner IN (SELECT id FROM owner WHERE kind = 1)",
                  "owner.name > 'name 3'")
    for _ in range(150):
        more = rng.choice(("", " JOIN place ON place.id = owner.place", " LEFT JOIN place ON place.id = owner.place"))
        where = " AND ".join(f"({one})" if " OR " in one else one for one in rng.sample(conditions, rng.randrange(3)))
        where = rng.choice(conditions) if not where and rng.random() < 0.5 else where
        order = rng.choice(("day, item.id", "day DESC NULLS FIRST, item.id DESC", "owner, item.id", "item.id"))
        page = rng.choice(("LIMIT 1", "LIMIT 20", "LIMIT 50 OFFSET 3", "LIMIT 1000"))
        sql = (f"SELECT item.id, day, owner.name FROM item JOIN owner ON {_ON}{more}{' WHERE ' if where else ''}{where}"
               f" ORDER BY {order} {page}")
        told += "'limit" in text_to_run(both.mine, sql)
        both.run(sql)
    assert told > 100
