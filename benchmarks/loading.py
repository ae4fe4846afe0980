"""Loading and bulk changes through the driver against SQLite: orders and their lines, with foreign keys on.

The data are made up, and shaped like those of an order system: customers, products, who stocks them, orders and their
lines, with keys of one and two columns. Both sides are files with their default of synchronous, which is full, and
SQLite's default journal; ours goes through the driver's cursors, SQLite through apsw's. Each work is one transaction.
Loads and changes get a new file each time; COMMIT is part of the time, making the schema is not.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import apsw

from entitydb_dialect import driver

from .measure import Row, Setting, benchmark, open_ours, remove, show, timed

GROUP = "loading"
ROUNDS = 5
TABLES = {
    "customer": "id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, balance REAL NOT NULL",
    "product": "id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL NOT NULL, note TEXT",
    "stock": "product_id INTEGER NOT NULL REFERENCES product, shop INTEGER NOT NULL, quantity INTEGER NOT NULL, "
             "PRIMARY KEY (product_id, shop)",
    "orders": "id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, status TEXT NOT NULL, "
              "total REAL NOT NULL, placed TEXT NOT NULL, note TEXT",
    "line": "order_id INTEGER NOT NULL REFERENCES orders, number INTEGER NOT NULL, "
            "product_id INTEGER NOT NULL REFERENCES product, shop INTEGER NOT NULL, quantity INTEGER NOT NULL, "
            "price REAL NOT NULL, discount REAL NOT NULL, shipped TEXT, how TEXT NOT NULL, note TEXT, "
            "PRIMARY KEY (order_id, number), FOREIGN KEY (product_id, shop) REFERENCES stock",
}
INDEXES = ("orders(customer_id)", "orders(placed)", "line(product_id, shop)", "line(shipped)")
SHOPS = 8
EVENT = "id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c INTEGER, d REAL, e TEXT"
NEW_INDEXES = {"an integer": "a", "a text": "b", "two columns": "c, a"}

Side = driver.Connection | apsw.Connection


def orders(setting: Setting, lines: int) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by table; about as many lines of orders as asked for."""
    rng = setting.random("loading")
    customers, products, n_orders = max(lines // 40, 1), max(lines // 30, 1), max(lines // 4, 1)

    def day() -> str:
        return f"20{rng.randrange(10, 25)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"

    def note() -> str:
        return "carefully packed and sent again"[: rng.randrange(8, 31)]

    made: dict[str, list[tuple[Any, ...]]] = {
        "customer": [(i, f"Customer {i:09}", f"city {rng.randrange(100)}", rng.random() * 1000)
                     for i in range(1, customers + 1)],
        "product": [(i, f"product {i:07}", rng.random() * 100, note()) for i in range(1, products + 1)],
        "stock": [(i, shop, rng.randrange(1000)) for i in range(1, products + 1) for shop in range(SHOPS)],
        "orders": [(4 * i, rng.randrange(1, customers + 1), rng.choice("FOP"), rng.random() * 10_000, day(), note())
                   for i in range(1, n_orders + 1)],
    }
    made["line"] = [
        (order[0], number, rng.randrange(1, products + 1), rng.randrange(SHOPS), rng.randrange(1, 51),
         rng.random() * 1000, rng.randrange(11) / 100, day(), rng.choice(("RAIL", "SHIP", "MAIL")), note())
        for order in made["orders"] for number in range(1, rng.randrange(1, 8))
    ]
    return made


def together(side: Side, *many: tuple[str, list[tuple[Any, ...]]]) -> None:
    """executemany() of each, in one transaction."""
    cursor = side.cursor()
    cursor.execute("BEGIN")
    for sql, parameters in many:
        cursor.executemany(sql, parameters)
    cursor.execute("COMMIT")


def loads(data: dict[str, list[tuple[Any, ...]]]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    return [(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows) for table, rows in data.items()]


def raced_anew(setting: Setting, name: str, prepare: Callable[[Side], Any], work: Callable[[Side], Any],
               **bounds: Any) -> Row:
    """Seconds of `work` on files that `prepare` has made, the sides in turns."""
    taken: dict[str, list[float]] = {"ours": [], "SQLite": []}
    for round_ in range(ROUNDS):
        for kind in list(taken) if round_ % 2 else list(reversed(taken)):
            path = setting.folder / f"loading.{kind}"
            remove(path)
            side: Side = open_ours(path) if kind == "ours" else apsw.Connection(str(path))
            try:
                side.execute("PRAGMA foreign_keys = ON")
                prepare(side)
                gc.collect()
                gc.disable()
                taken[kind].append(timed(lambda side=side: work(side))[0])
            finally:
                gc.enable()
                side.close()
                remove(path)
    return Row(GROUP, name, min(taken["ours"]), min(taken["SQLite"]), "s", "SQLite", samples=taken, **bounds)


@benchmark
def loading(setting: Setting) -> Iterator[Row]:
    """INSERT, UPDATE and DELETE by executemany(), CREATE INDEX; foreign keys on."""
    data = orders(setting, setting.size(120_000, 20_000))
    rng = setting.random("loading changes")
    show(f"loading: {sum(map(len, data.values())):,} rows in {len(data)} tables, several times")

    def schema(*indexes: str) -> Callable[[Side], None]:
        def make(side: Side) -> None:
            for table, columns in TABLES.items():
                side.execute(f"CREATE TABLE {table}({columns})")
            for number, on in enumerate(indexes):
                side.execute(f"CREATE INDEX i{number} ON {on}")
        return make

    def loaded(side: Side) -> None:
        schema(*INDEXES)(side)
        together(side, *loads(data))

    def insert(side: Side) -> None:
        together(side, *loads(data))

    yield raced_anew(setting, "executemany INSERT with foreign keys", schema(), insert, at_most=1.2)
    yield raced_anew(setting, "executemany INSERT with foreign keys and indexes", schema(*INDEXES), insert, at_most=1.2)

    ids = [row[0] for row in data["orders"]]
    mixed = rng.sample(ids, len(ids) // 2)
    keys = [(row[0], row[1]) for row in rng.sample(data["line"], len(data["line"]) // 3)]
    customers = len(data["customer"])
    changes = {
        "UPDATE by key, a column without index":
            [("UPDATE orders SET total = ? WHERE id = ?", [(i / 7, i) for i in ids])],
        "UPDATE by key, an indexed column, random order":
            [("UPDATE orders SET placed = ? WHERE id = ?", [(f"2025-01-{i % 28 + 1:02}", i) for i in mixed])],
        "UPDATE by key, an indexed foreign key":
            [("UPDATE orders SET customer_id = ? WHERE id = ?", [(rng.randrange(1, customers + 1), i) for i in ids])],
        "UPDATE by a key of two columns, random order":
            [("UPDATE line SET quantity = ?, shipped = ? WHERE order_id = ? AND number = ?",
              [(7, "2025-02-03", *key) for key in keys])],
        "DELETE by a key of two columns, random order":
            [("DELETE FROM line WHERE order_id = ? AND number = ?", keys)],
        "DELETE of children and of their parents":
            [("DELETE FROM line WHERE order_id = ?", [(i,) for i in ids[::2]]),
             ("DELETE FROM orders WHERE id = ?", [(i,) for i in ids[::2]])],
    }
    for name, many in changes.items():
        yield raced_anew(setting, name, loaded, lambda side, many=many: together(side, *many), at_most=1.3)
    yield from new_indexes(setting)


def new_indexes(setting: Setting) -> Iterator[Row]:
    rows = setting.size(1_000_000, 50_000)
    rng = setting.random("loading indexes")
    show(f"loading: CREATE INDEX on {rows:,} rows")
    data = [(i, rng.randrange(10**7), f"title {rng.randrange(10**9):09}", rng.randrange(100), rng.random(), "text " * 4)
            for i in range(1, rows + 1)]
    paths = {kind: setting.folder / f"indexes.{kind}" for kind in ("ours", "SQLite")}
    sides: dict[str, Side] = {"ours": open_ours(paths["ours"]), "SQLite": apsw.Connection(str(paths["SQLite"]))}
    try:
        for side in sides.values():
            side.execute(f"CREATE TABLE event({EVENT})")
            together(side, ("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", data))
        del data
        for name, columns in NEW_INDEXES.items():
            taken: dict[str, list[float]] = {"ours": [], "SQLite": []}
            for round_ in range(ROUNDS):
                for kind in list(sides) if round_ % 2 else list(reversed(sides)):
                    side = sides[kind]
                    taken[kind].append(timed(
                        lambda side=side, columns=columns: side.execute(f"CREATE INDEX new ON event({columns})"))[0])
                    side.execute("DROP INDEX new")
            yield Row(GROUP, f"CREATE INDEX on {name}", min(taken["ours"]), min(taken["SQLite"]), "s", "SQLite",
                      samples=taken, at_most=1.2)
    finally:
        for kind, side in sides.items():
            side.close()
            remove(paths[kind])
