"""Against SQLite, through the same calls of apsw: reads of a table updated three times over, loads, updates, commits.

Both sides get the same statements with the same values, on apsw cursors. SQLite is in WAL mode, otherwise with its
defaults (`--tuned` gives it 256 MiB of cache and mmap); ours keeps every version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count as count_up
from typing import Any

import apsw

from entitydb_dialect import driver

from .measure import (
    Row,
    Setting,
    benchmark,
    chunks,
    cursors,
    open_ours,
    open_sqlite,
    raced,
    remove,
    show,
    timed,
    wait_durable,
)

GROUP = "SQLite"
CREATE = "CREATE TABLE item(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c REAL, d TEXT, e TEXT)"
INDEX = "CREATE INDEX item_a ON item(a)"
INSERT = "INSERT INTO item(id, a, b, c, d, e) VALUES (?, ?, ?, ?, ?, ?)"
KEYS = 10_000_000           # values of the indexed column
COMMIT_ROWS = 10_000        # updated in one commit


def items(setting: Setting, rows: int) -> list[tuple[Any, ...]]:
    rng = setting.random("items")
    return [(i, rng.randrange(KEYS), rng.randrange(100), rng.random() * 1000, f"title {rng.randrange(10**9):09}",
             f"{i:012} " + "text " * 6) for i in range(1, rows + 1)]


def bulk(connection: apsw.Connection, sql: str, parameters: list[Any]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(sql, parameters)
    connection.execute("COMMIT")


def update_all(setting: Setting, sides: list[apsw.Connection], rows: int) -> None:
    """Every row three times, in random order, in commits of COMMIT_ROWS; one round changes the indexed column too."""
    rng = setting.random("updates")
    for round_ in range(3):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, COMMIT_ROWS):
            if round_ == 1:
                sql = "UPDATE item SET a = ?, c = ? WHERE id = ?"
                changed = [(rng.randrange(KEYS), rng.random() * 1000, i) for i in part]
            else:
                sql = "UPDATE item SET c = ?, d = ? WHERE id = ?"
                changed = [(rng.random() * 1000, f"title {rng.randrange(10**9):09}", i) for i in part]
            for side in sides:
                bulk(side, sql, changed)


@benchmark
def reads(setting: Setting) -> Iterator[Row]:
    """Scans, keys and index ranges of a large table, history kept."""
    rows = setting.size(1_000_000, 100_000)
    paths = setting.folder / "reads.edb", setting.folder / "reads.sqlite"
    connection = open_ours(paths[0], synchronous="normal")
    theirs = open_sqlite(paths[1], setting, "NORMAL")
    try:
        show(f"SQLite: {rows:,} rows updated three times over")
        for sql in (CREATE, INDEX):
            connection.execute(sql)
            theirs.execute(sql)
        ours = cursors(connection)
        data = items(setting, rows)
        for side in (ours, theirs):
            bulk(side, INSERT, data)
        del data
        update_all(setting, [ours, theirs], rows)
        wait_durable(connection)
        theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        rng = setting.random("reads")
        keys = [(rng.randrange(1, rows + 1),) for _ in range(20_000)]
        width = KEYS // rows * 1000             # about a thousand rows
        ranges = [(low, low + width) for low in (rng.randrange(KEYS - width) for _ in range(50))]

        def once(sql: str) -> Callable[[apsw.Connection], Any]:
            return lambda side: side.execute(sql).fetchall()

        def each(sql: str, bindings: list[Any]) -> Callable[[apsw.Connection], Any]:
            def work(side: apsw.Connection) -> Any:
                cursor = side.cursor()
                return [cursor.execute(sql, binding).fetchall() for binding in bindings]
            return work

        def grouped(side: apsw.Connection) -> Any:
            # Sums of floats differ in the last digits with the order of the rows, which SQL leaves open.
            found = side.execute("SELECT b, sum(c), count(*) FROM item GROUP BY b ORDER BY b").fetchall()
            return [(b, round(total, 3), count) for b, total, count in found]

        def fetched(side: apsw.Connection) -> Any:
            return sum(1 for _ in side.execute("SELECT id, c, d FROM item"))

        def ranged(side: apsw.Connection) -> Any:
            cursor = side.cursor()
            found = [cursor.execute("SELECT count(*), sum(c) FROM item WHERE a BETWEEN ? AND ?", range_).fetchall()[0]
                     for range_ in ranges]
            return [(count, round(total, 3)) for count, total in found]

        # SQLite adds up the numbers of entries in the pages of its smallest index, visiting no row, but asks a virtual
        # table for every row. The driver answers this statement itself; below it, on the apsw connection, it cannot.
        yield compare("count(*), ours below the driver", once("SELECT count(*) FROM item"), ours, theirs, at_most=1.5)
        yield raced(GROUP, "count(*), ours through the driver",
                    lambda: connection.execute("SELECT count(*) FROM item").fetchall(),
                    lambda: theirs.execute("SELECT count(*) FROM item").fetchall(), "SQLite", at_most=1.5)
        yield compare("count(*), ours below the driver, SQLite without its index",
                      once("SELECT count(*) FROM item NOT INDEXED"), ours, theirs)
        yield compare("count(*) by visiting rows", once("SELECT count(*) FROM item WHERE b >= 0"), ours, theirs)
        yield compare("sum with GROUP BY", grouped, ours, theirs, at_most=1.5)
        yield compare("fetch of three columns", fetched, ours, theirs, at_most=1.5)
        yield compare("key lookups", each("SELECT * FROM item WHERE id = ?", keys), ours, theirs, at_most=1.5)
        yield compare("index range, rows fetched from the table", ranged, ours, theirs, at_most=1.5)
        yield compare("index range, from the index alone",
                      each("SELECT count(a), sum(a) FROM item WHERE a BETWEEN ? AND ?", ranges), ours, theirs,
                      at_most=1.5)
        yield compare("index order, first 1,000 rows", once("SELECT id, a, d FROM item ORDER BY a DESC LIMIT 1000"),
                      ours, theirs)
        yield Row(GROUP, "size of the file", paths[0].stat().st_size, paths[1].stat().st_size, "bytes",
                  "SQLite without history")
    finally:
        connection.close()
        theirs.close()
        for path in paths:
            remove(path)


def compare(name: str, work: Callable[[apsw.Connection], Any], ours: apsw.Connection, theirs: apsw.Connection,
            **bounds: Any) -> Row:
    return raced(GROUP, name, lambda: work(ours), lambda: work(theirs), "SQLite", **bounds)


@benchmark
def inserts(setting: Setting) -> Iterator[Row]:
    """Bulk INSERT by executemany in one transaction, each time into a new file; ours at `normal`."""
    rows = setting.size(1_000_000, 100_000)
    show(f"SQLite: inserts of {rows:,} rows")
    data = items(setting, rows)
    for name, schema in (("bulk INSERT", (CREATE,)), ("bulk INSERT, with an index on random values", (CREATE, INDEX))):
        taken: dict[str, list[float]] = {"ours": [], "SQLite": []}
        for round_ in range(5):
            for side in list(taken) if round_ % 2 else reversed(taken):
                taken[side].append(insert_once(setting, side, schema, data))
        yield Row(GROUP, name, rows / min(taken["ours"]), rows / min(taken["SQLite"]), "rows/s", "SQLite", at_least=0.7,
                  samples=taken)


def insert_once(setting: Setting, side: str, schema: tuple[str, ...], data: list[Any]) -> float:
    path = setting.folder / f"inserts.{side}"
    remove(path)
    try:
        if side == "SQLite":
            theirs = open_sqlite(path, setting, "NORMAL")
            for sql in schema:
                theirs.execute(sql)
            seconds, _ = timed(lambda: bulk(theirs, INSERT, data))
            theirs.close()
        else:
            connection = open_ours(path, synchronous="normal")
            for sql in schema:
                connection.execute(sql)
            raw = cursors(connection)

            def work() -> None:
                bulk(raw, INSERT, data)
                wait_durable(connection)

            seconds, _ = timed(work)
            connection.close()
    finally:
        remove(path)
    return seconds


@benchmark
def updates(setting: Setting) -> Iterator[Row]:
    """UPDATE of all rows in one commit, durable, again and again; ours through the driver, which rewrites it."""
    rows = setting.size(300_000, 50_000)
    show(f"SQLite: updates of {rows:,} rows")
    data = items(setting, rows)
    index = "CREATE INDEX item_b ON item(b)"
    for name, schema, bounds in (
        ("UPDATE of all rows in one commit", (CREATE,), {"at_most": 1.3}),
        ("UPDATE of all rows in one commit, with another column's index", (CREATE, INDEX), {}),
        ("UPDATE of all rows in one commit, with the column's index", (CREATE, index), {}),
    ):
        yield updated(setting, name, schema, data, **bounds)


def updated(setting: Setting, name: str, schema: tuple[str, ...], data: list[Any], **bounds: Any) -> Row:
    paths = setting.folder / "updates.edb", setting.folder / "updates.sqlite"
    connection = open_ours(paths[0], synchronous="full")
    theirs = open_sqlite(paths[1], setting, "FULL")

    def update(side: driver.Connection | apsw.Connection) -> None:
        for sql in ("BEGIN IMMEDIATE", "UPDATE item SET b = b + 1", "COMMIT"):
            side.execute(sql)

    try:
        for sql in schema:
            connection.execute(sql)
            theirs.execute(sql)
        for side in (cursors(connection), theirs):
            bulk(side, INSERT, data)
        wait_durable(connection)
        return raced(GROUP, name, lambda: update(connection), lambda: update(theirs), "SQLite", again=False, **bounds)
    finally:
        connection.close()
        theirs.close()
        for path in paths:
            remove(path)


@benchmark
def commits(setting: Setting) -> Iterator[Row]:
    """One-row commits: full against FULL, normal against NORMAL."""
    count = setting.size(300, 200)
    show(f"SQLite: {count} one-row commits, several times")
    yield from committed(setting, count, "full", "FULL", at_least=0.7)
    yield from committed(setting, count, "normal", "NORMAL")


def committed(setting: Setting, count: int, our_level: str, their_level: str, **bounds: Any) -> Iterator[Row]:
    paths = setting.folder / "commits.edb", setting.folder / "commits.sqlite"
    connection = open_ours(paths[0], synchronous=our_level)
    theirs = open_sqlite(paths[1], setting, their_level)
    data = iter(items(setting, count * 20))
    number = count_up(1)

    def insert(side: apsw.Connection, wait: Callable[[], None]) -> None:
        cursor = side.cursor()
        for _ in range(count):
            cursor.execute(INSERT, next(data))
            wait()

    def update(side: apsw.Connection, wait: Callable[[], None]) -> None:
        cursor = side.cursor()
        ids = cursor.execute("SELECT id FROM item ORDER BY id LIMIT 100").fetchall()
        for i in range(count):
            cursor.execute("UPDATE item SET c = ? WHERE id = ?", (next(number), ids[i * 37 % len(ids)][0]))
            wait()

    try:
        for sql in (CREATE, INDEX):
            connection.execute(sql)
            theirs.execute(sql)
        raw = cursors(connection)
        for name, work in (("INSERT", insert), ("UPDATE", update)):
            row = raced(GROUP, "", lambda w=work: w(raw, lambda: wait_durable(connection)),
                        lambda w=work: w(theirs, lambda: None), "SQLite", again=False)
            yield Row(GROUP, f"one-row {name} commits, {our_level} against {their_level}", count / row.ours,
                      count / row.other, "commits/s", "SQLite", samples=row.samples, **bounds)
    finally:
        connection.close()
        theirs.close()
        for path in paths:
            remove(path)
