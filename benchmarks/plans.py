"""Plans, against SQLite's: TPC-H now and as of before updates, questions of ordinary programs, and planning itself.

Both sides run on one SQLite library, below apsw. SQLite's file is analysed and checks foreign keys, as ours is and
does; ours is asked through the driver. Sums of REAL differ in the last digits with the order of the rows, so answers
are compared to nine digits, and in no order.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import apsw

from entitydb_dialect import driver

from . import tpch
from .measure import Row, Setting, benchmark, open_ours, open_sqlite, race, remove, show, timed

GROUP = "plans"
KNOWN = 100                         # times that a known statement is asked
PATIENCE = 20.0                     # seconds that a question may take
QUESTION, MEAN, PAST, CLIFF, PLANNING = 1.5, 1.0, 1.3, 3.0, 1.1     # the most that ours may take


# ---- asking ----

def ask(connection: Any, sql: str, moment: int | None = None) -> list[Any]:
    """moment: of ours alone."""
    cursor = connection.cursor()
    if moment is not None:
        cursor.as_of = moment
    return list(cursor.execute(sql).fetchall())


def patiently(connection: Any, sql: str, moment: int | None = None) -> tuple[float, list[Any] | None]:
    """-> the seconds it took, and the rows; None: it was stopped."""
    timer = threading.Timer(PATIENCE, connection.interrupt)
    started = time.perf_counter()
    timer.start()
    try:
        rows = ask(connection, sql, moment)
    except (apsw.InterruptError, driver.OperationalError) as error:
        if "interrupt" not in str(error):
            raise
        return PATIENCE, None
    finally:
        timer.cancel()
    return time.perf_counter() - started, rows


def comparable(rows: list[Any]) -> list[Any]:
    def shown(value: Any) -> str:
        return f"{value:.9g}" if isinstance(value, float) else repr(value)
    return sorted(tuple(shown(value) for value in row) for row in rows)


@dataclass(frozen=True)
class Side:
    """One that can be asked."""

    name: str
    connection: Any
    moment: int | None = None


def compared(name: str, sql: str, ours: Side, other: Side, at_most: float, rounds: int, *, alike: bool = True) -> Row:
    """One question on both sides: stopped where it takes too long, else raced. alike: so are the answers."""
    (seconds, rows), (others, wanted) = (patiently(side.connection, sql, side.moment) for side in (ours, other))
    bounds = {"against": other.name, "at_most": at_most}
    if rows is None or wanted is None:
        stopped = " and ".join(side.name for side, found in ((ours, rows), (other, wanted)) if found is None)
        return Row(GROUP, name, seconds, others, "s", note=f"stopped after {PATIENCE:g} s: {stopped}", **bounds)
    if alike and comparable(rows) != comparable(wanted):
        raise AssertionError(f"{name}: {len(rows)} rows that differ from the {len(wanted)} of {other.name}")
    works = {side.name: lambda s=side: ask(s.connection, sql, s.moment) and None for side in (ours, other)}
    faster, slower = sorted(timed(work)[0] for work in works.values())
    # A sample repeats what the faster side has done in no time; the slower one of a lopsided race would never end.
    taken = race(works, rounds if slower < 2 else 2, again=slower < 20 * faster)
    return Row(GROUP, name, min(taken[ours.name]), min(taken[other.name]), "s", samples=taken, **bounds)


def mean(name: str, rows: Sequence[Row], at_most: float | None) -> Row:
    """The geometric mean of the ratios: of the times, on either side."""
    ours, other = (math.exp(sum(map(math.log, times)) / len(times))
                   for times in ([row.ours for row in rows], [row.other for row in rows]))
    return Row(GROUP, name, ours, other, "s", rows[0].against, at_most=at_most)


# ---- TPC-H ----

@benchmark
def plans_tpch(setting: Setting) -> Iterator[Row]:
    """The questions of TPC-H, with and without indexes, now and as of before three rounds of updates."""
    program = tpch.generator()
    if program is None:
        show("plans: TPC-H is left out: `pip install tpchgen-cli` makes its data")
        return
    show(f"plans: TPC-H at scale {tpch.SCALE}")
    folder = setting.folder / "tpch"
    tpch.generate(program, folder)
    for indexed in (True, False):
        paths = setting.folder / "tpch.edb", setting.folder / "tpch.sqlite"
        try:
            with closing(open_ours(paths[0], synchronous="normal")) as ours, \
                    closing(open_sqlite(paths[1], setting, "NORMAL")) as theirs:
                for side in (ours, theirs):
                    load(side, folder, tpch.INDEXES if indexed else ())
                yield from questions(setting, ours, theirs, "with indexes" if indexed else "keys alone")
        finally:
            for path in paths:
                remove(path)


def load(side: Any, folder: Path, indexes: Sequence[str]) -> None:
    side.execute("PRAGMA foreign_keys = ON")
    for table in tpch.TABLES:
        side.execute(tpch.create(table))
    for sql in indexes:
        side.execute(sql)
    side.execute("BEGIN")
    for table in tpch.TABLES:
        rows = list(tpch.rows(folder, table))
        side.executemany(tpch.insert(table, len(rows[0])), rows)
    side.execute("COMMIT")
    side.execute("ANALYZE")


def questions(setting: Setting, ours: driver.Connection, theirs: apsw.Connection, how: str) -> Iterator[Row]:
    rounds, found = setting.size(7, 2), []
    for name, sql in tpch.QUESTIONS.items():
        sides = Side("ours", ours), Side("SQLite", theirs)
        found.append(compared(f"TPC-H {name}, {how}", sql, *sides, QUESTION, rounds))
        yield found[-1]
    yield mean(f"TPC-H, geometric mean, {how}", found, MEAN)
    moment = ours.last_commit[1]
    before = {name: patiently(ours, sql)[1] for name, sql in tpch.QUESTIONS.items()}
    refresh(setting, ours)
    found = []
    for name, sql in tpch.QUESTIONS.items():
        was, then = before[name], patiently(ours, sql, moment)[1]
        if was is not None and then is not None and comparable(was) != comparable(then):
            raise AssertionError(f"TPC-H {name} as of before the updates is not what it was then")
        sides = Side("then", ours, moment), Side("now", ours)
        found.append(compared(f"TPC-H {name} as of before the updates, {how}", sql, *sides, PAST, rounds, alike=False))
        yield found[-1]
    yield mean(f"TPC-H as of before the updates, geometric mean, {how}", found, None)


def refresh(setting: Setting, ours: driver.Connection) -> None:
    """Three rounds, a commit each: a fiftieth of the orders goes, as many come, and a fifth of the prices changes."""
    rng = setting.random("refresh")
    orders = {row[0]: row for row in ask(ours, "SELECT * FROM orders")}
    for _ in range(3):
        gone = rng.sample(sorted(orders), len(orders) // 50)
        alike = rng.sample(sorted(set(orders) - set(gone)), len(gone))
        new = dict(enumerate(alike, max(orders) + 1))
        ours.execute("BEGIN")
        items = {key: ask(ours, f"SELECT * FROM lineitem WHERE l_orderkey = {like}") for key, like in new.items()}
        for key, like in new.items():
            orders[key] = (key, *orders[like][1:])
        ours.executemany(tpch.insert("orders", 9), [orders[key] for key in new])
        ours.executemany(tpch.insert("lineitem", 16), [(key, *item[1:]) for key in new for item in items[key]])
        for sql in ("DELETE FROM lineitem WHERE l_orderkey = ?", "DELETE FROM orders WHERE o_orderkey = ?"):
            ours.executemany(sql, [(key,) for key in gone])
        for key in gone:
            del orders[key]
        changed = [(rng.uniform(0.9, 1.1), key) for key in rng.sample(sorted(orders), len(orders) // 5)]
        ours.executemany("UPDATE lineitem SET l_extendedprice = l_extendedprice * ? WHERE l_orderkey = ?", changed)
        ours.executemany("UPDATE orders SET o_totalprice = o_totalprice * ? WHERE o_orderkey = ?", changed)
        ours.execute("COMMIT")


# ---- ordinary questions ----

@benchmark
def plans_programs(setting: Setting) -> Iterator[Row]:
    """Questions of ordinary programs, each of which needs one thing of a planner."""
    show("plans: questions of ordinary programs")
    for fill, asked in ((fill_pairs, PAIRS), (fill_small, SMALL), (fill_pages, PAGES), (fill_tenants, TENANTS),
                        (fill_ordered, ORDERED), (fill_chain, CHAIN)):
        paths = setting.folder / "programs.edb", setting.folder / "programs.sqlite"
        try:
            with closing(open_ours(paths[0], synchronous="normal")) as ours, \
                    closing(open_sqlite(paths[1], setting, "NORMAL")) as theirs:
                for side in (ours, theirs):
                    side.execute("BEGIN")
                    fill(side, setting)
                    side.execute("COMMIT")
                    side.execute("ANALYZE")
                for name, sql in asked:
                    sides = Side("ours", ours), Side("SQLite", theirs)
                    yield compared(name, sql, *sides, CLIFF, setting.size(9, 3))
        finally:
            for path in paths:
                remove(path)


def fill_pairs(side: Any, setting: Setting) -> None:
    for table in ("bill", "paid"):
        side.execute(f"CREATE TABLE {table}(number INT, kind INT)")
        side.executemany(f"INSERT INTO {table} VALUES(?, ?)", [(i, i % 11) for i in range(3000)])


PAIRS = (
    ("join of two columns without index, 3,000 rows each",
     "SELECT count(*) FROM bill JOIN paid ON paid.number = bill.number"),
    ("LEFT JOIN without index, rows without partner",
     "SELECT count(*) FROM bill LEFT JOIN paid ON paid.number = bill.number WHERE paid.number IS NULL"),
    ("join of a grouped subquery without index",
     "SELECT count(*) FROM (SELECT number, count(*) FROM bill GROUP BY number) AS b JOIN paid "
     "ON paid.number = b.number"),
    ("EXISTS on two columns without index",
     "SELECT count(*) FROM bill WHERE EXISTS (SELECT 1 FROM paid WHERE paid.number = bill.number "
     "AND paid.kind = bill.kind)"),
)


def fill_small(side: Any, setting: Setting) -> None:
    for table in ("a", "b", "c"):
        side.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, hundredth INT, tenth INT)")
        side.executemany(f"INSERT INTO {table} VALUES(?, ?, ?)", [(i, i % 100, i % 10) for i in range(150)])


SMALL = tuple((f"three tables of 150 rows, one filtered by {name}", f"SELECT count(*) FROM {rest}") for name, rest in (
    ("a range of none", "a, b, c WHERE c.hundredth < 0"),
    ("IS NULL", "a, b, c WHERE c.hundredth IS NULL"),
    ("a list of none", "a, b, c WHERE c.hundredth IN (-1, -2)"),
    ("an equality of none", "a, b JOIN c ON c.tenth = 77"),
    ("an equality, joined by others",
     "a JOIN b ON b.tenth = a.tenth JOIN c ON c.tenth = b.tenth WHERE c.hundredth = -1"),
))


def fill_pages(side: Any, setting: Setting) -> None:
    rng = setting.random("pages")
    parents, kids = 600, setting.size(60_000, 10_000)
    side.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT)")
    side.execute("CREATE TABLE kid(id INTEGER PRIMARY KEY, parent_id INT NOT NULL REFERENCES parent(id), born INT)")
    side.execute("CREATE INDEX kid_parent ON kid(parent_id)")
    side.execute("CREATE INDEX kid_born ON kid(born)")
    side.executemany("INSERT INTO parent VALUES(?, ?)", [(i, f"parent {i}") for i in range(1, parents + 1)])
    side.executemany("INSERT INTO kid VALUES(?, ?, ?)",
                     [(i, rng.randint(1, parents), i * 7_919 % 1_000_003) for i in range(1, kids + 1)])


PAGES = (
    ("newest 20 rows with their parent's name",
     "SELECT kid.id, parent.name FROM kid JOIN parent ON parent.id = kid.parent_id ORDER BY kid.born DESC LIMIT 20"),
)


def fill_tenants(side: Any, setting: Setting) -> None:
    side.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, tenant INT, code TEXT, note TEXT)")
    side.execute("CREATE INDEX account_tenant ON account(tenant)")
    side.execute("CREATE INDEX account_code ON account(code)")
    side.executemany("INSERT INTO account VALUES(?, 1, ?, ?)",
                     [(i, f"c{i}", "n" * 50) for i in range(1, setting.size(20_000, 5_000) + 1)])


TENANTS = (
    ("two indexes, one of them of a single value", "SELECT * FROM account WHERE tenant = 1 AND code = 'c77'"),
    ("two indexes, and a list", "SELECT * FROM account WHERE tenant = 1 AND code IN ('c1', 'c2')"),
    ("an index of a single value, and a list of ids", "SELECT * FROM account WHERE tenant = 1 AND id IN (5, 6)"),
    ("a page behind an id", "SELECT * FROM account WHERE tenant = 1 AND id > 4500 ORDER BY id LIMIT 5"),
    ("UPDATE by two indexed columns", "UPDATE account SET note = 'x' WHERE tenant = 1 AND code = 'c99'"),
    ("a table with itself by two indexed columns",
     "SELECT count(*) FROM account a JOIN account b ON b.tenant = a.tenant AND b.code = a.code WHERE a.id <= 50"),
    ("DISTINCT of one value over an index", "SELECT DISTINCT tenant FROM account"),
)


def fill_ordered(side: Any, setting: Setting) -> None:
    rng = setting.random("ordered")
    side.execute("CREATE TABLE event(id INTEGER PRIMARY KEY, kind INT, at INT, name TEXT)")
    for number, on in enumerate(("at", "kind, at", "name COLLATE NOCASE")):
        side.execute(f"CREATE INDEX event_{number} ON event({on})")
    side.executemany("INSERT INTO event VALUES(?, ?, ?, ?)",
                     [(i, rng.randrange(5), i * 7_919 % 1_000_003, f"n{i}")
                      for i in range(1, setting.size(40_000, 10_000) + 1)])


ORDERED = tuple((f"20 rows, {name}", f"SELECT id FROM event {rest} LIMIT 20") for name, rest in (
    ("ORDER BY an indexed column DESC", "ORDER BY at DESC"),
    ("ORDER BY an indexed column DESC, id", "ORDER BY at DESC, id"),
    ("an equality, ORDER BY the next column DESC, id", "WHERE kind = 3 ORDER BY at DESC, id"),
    ("ORDER BY an indexed column and one behind it", "ORDER BY at, name"),
    ("ORDER BY in the collation of an index", "ORDER BY name COLLATE NOCASE"),
    ("an equality in the collation of an index", "WHERE name = 'N77' COLLATE NOCASE"),
    ("ORDER BY an indexed column NULLS LAST", "ORDER BY at NULLS LAST"),
    ("a list, ORDER BY the next column", "WHERE kind IN (1, 3) ORDER BY at DESC"),
))


def fill_chain(side: Any, setting: Setting) -> None:
    """Six tables of a thousand rows; each row has one below it."""
    for level in range(6):
        refers = f" REFERENCES level{level - 1}(id)" if level else ""
        side.execute(f"CREATE TABLE level{level}(id INTEGER PRIMARY KEY, up INT{refers}, name TEXT)")
        side.execute(f"CREATE INDEX level{level}_up ON level{level}(up)")
        side.executemany(f"INSERT INTO level{level} VALUES(?, ?, 'a name')",
                         [(i, i * 7 % 1000 + 1 if level else None) for i in range(1, 1001)])


CHAIN = (
    ("a row joined down five foreign keys",
     "SELECT count(*) FROM level0, level1, level2, level3, level4, level5 WHERE level5.up = level4.id "
     "AND level4.up = level3.id AND level3.up = level2.id AND level2.up = level1.id AND level1.up = level0.id "
     "AND level0.id = 2"),
)


# ---- planning itself ----

@benchmark
def plans_planning(setting: Setting) -> Iterator[Row]:
    """What statistics add to the first sight of a statement, samples included, and to a known one."""
    path = setting.folder / "planning.edb"
    try:
        with closing(open_ours(path, synchronous="normal")) as connection:
            connection.execute("BEGIN")
            fill_pages(connection, setting)
            connection.execute("COMMIT")
        show("plans: the cost of planning")
        for name, sql in FIRST_SIGHTS.items():
            yield from first_sights(setting, path, name, sql)
    finally:
        remove(path)


# Without statistics their plans are the same. The first needs none; the second asks how many kids a parent has.
FIRST_SIGHTS = {
    "join by a key": "SELECT kid.id, parent.name FROM kid JOIN parent ON parent.id = kid.parent_id "
                     "WHERE kid.id = 7 AND kid.born > 5",
    "join by an indexed column": "SELECT count(kid.born) FROM parent JOIN kid ON kid.parent_id = parent.id "
                                 "WHERE parent.id = 7",
}


def first_sights(setting: Setting, path: Path, name: str, sql: str) -> Iterator[Row]:
    """Each round opens the file anew, because samples are remembered."""
    texts = (f"{sql} -- {number}" for number in count())
    taken: dict[tuple[str, str], list[float]] = {}
    switches = {"ours": "", "other": "-statistics"}

    def first(connection: driver.Connection) -> None:
        connection.execute(next(texts)).fetchall()

    def known(connection: driver.Connection) -> None:
        for _ in range(KNOWN):
            connection.execute(sql).fetchall()

    for number in range(setting.size(60, 10)):
        for side in list(switches) if number % 2 else list(reversed(switches)):
            with closing(open_ours(path)) as connection:
                connection.execute("SELECT entitydb_planner(?)", (switches[side],))
                for what, work in (("first", first), ("next", first), ("known", known), ("known", known)):
                    taken.setdefault((what, side), []).append(timed(lambda w=work, c=connection: w(c))[0])
    for what, title, at_most in (
        ("first", "the first statement of a connection, samples included", PLANNING),
        ("next", "a new statement", PLANNING), ("known", f"a known statement, {KNOWN} times", PLANNING),
    ):  # fmt: skip
        ours, other = taken[what, "ours"], taken[what, "other"]
        yield Row(GROUP, f"{title}: {name}", min(ours), min(other), "s", "without statistics", at_most=at_most,
                  samples={"ours": ours, "other": other})
