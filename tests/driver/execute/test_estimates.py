"""What the planner is told of rows: orders of joins and choices of indexes, in entries visited."""

from __future__ import annotations

import random

import pytest

from entitydb_dialect import driver

from ..asking import moment, plan, rows, visited, visits
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


def stock(db: driver.Connection, rng: random.Random) -> Beside:
    """Many entries of few hundred wares, without an index from a ware to its entries."""
    both = Beside(
        db, "CREATE TABLE ware(id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE entry(bill INTEGER, line INTEGER, ware INTEGER, PRIMARY KEY (bill, line))",
    )
    filling = {
        "ware": [(i, f"{'green' if i % 4 == 0 else 'red'} {i}") for i in range(1500)],
        "entry": [(i // 4, i % 4, rng.randrange(1500)) for i in range(20_000)],
    }
    for one in (both.mine, both.theirs):
        for table, values in filling.items():
            one.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
    both.mine.commit()
    return both


@pytest.mark.slow
def test_an_automatic_index_of_a_large_table_begins_with_the_filtered_one(
    db: driver.Connection, rng: random.Random
) -> None:
    """Supposing few calls, the index seems to cost more than walking from the other end, each row looked up."""
    both = stock(db, rng)
    sql = "SELECT count(*), sum(line) FROM ware, entry WHERE ware.id = entry.ware AND ware.name LIKE 'green%'"
    assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql))
    assert visits(both.mine, sql) < 2 * 20_000


TRADE = "SELECT n.name, sum(l.price) FROM customer c, bill b, line l, supplier s, nation n, region r WHERE "
LINKS = ("c.id = b.customer AND l.bill = b.id AND l.supplier = s.id AND c.nation = s.nation AND s.nation = n.id "
         "AND n.region = r.id AND r.name = 'region 2'")


def trade(db: driver.Connection, rng: random.Random) -> Beside:
    both = Beside(
        db, "CREATE TABLE region(id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE nation(id INTEGER PRIMARY KEY, name TEXT, region INTEGER)",
        "CREATE TABLE supplier(id INTEGER PRIMARY KEY, nation INTEGER)",
        "CREATE TABLE customer(id INTEGER PRIMARY KEY, nation INTEGER)",
        "CREATE TABLE bill(id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER)",
        "CREATE TABLE line(bill INTEGER, number INTEGER, supplier INTEGER, price INTEGER, PRIMARY KEY (bill, number))",
    )
    filling = {
        "region": [(i, f"region {i}") for i in range(5)], "nation": [(i, f"nation {i}", i % 5) for i in range(25)],
        "supplier": [(i, rng.randrange(25)) for i in range(200)],
        "customer": [(i, rng.randrange(25)) for i in range(1000)],
        "bill": [(i, rng.randrange(1000), i % 1000) for i in range(5000)],
        "line": [(i // 4, i % 4, rng.randrange(200), i % 99) for i in range(20_000)],
    }
    for one in (both.mine, both.theirs):
        for table, values in filling.items():
            one.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
    both.mine.commit()
    return both


@pytest.mark.slow
def test_what_filters_comes_before_what_multiplies(rng: random.Random) -> None:
    """A table is met with as few rows as it is told only when the tables it is compared with have been met before. The
    estimates are of samples: of some draws the two orders seem alike."""
    sql = f"{TRADE}{LINKS} AND b.day < 200 GROUP BY n.name ORDER BY 1"
    found = []
    for _ in range(5):
        both = trade(driver.connect(":memory:"), rng)
        assert both.mine.execute(sql).fetchall() == list(both.theirs.execute(sql))
        found.append(visits(both.mine, sql))
        both.mine.close()
    assert sorted(found)[2] < 12_000, found


@pytest.mark.slow
def test_an_automatic_index_is_made_as_soon_at_a_moment_with_fewer_rows(
    db: driver.Connection, rng: random.Random
) -> None:
    """One walk of the whole table is enough, though there are more rows now than it has met."""
    both = stock(db, rng)
    sql = "SELECT count(*), sum(line) FROM ware, entry WHERE ware.id = entry.ware AND ware.name LIKE 'green%'"
    now, then, answer = visits(db, sql), moment(db), db.execute(sql).fetchall()
    both.run("INSERT INTO entry SELECT bill + 100000, line, ware FROM entry WHERE bill < 200")
    db.commit()
    before = visited(db)
    assert rows(db, sql, as_of=then) == answer
    assert visited(db) - before < 1.1 * now
