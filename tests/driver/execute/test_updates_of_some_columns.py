"""UPDATEs of some columns of a row, the others staying as they are: beside SQLite, over tables of many kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..beside import Beside

VALUES: tuple[Any, ...] = (
    *(None, 0, 1, -1, 2, 127, 128, -129, 40_000, 2**31, -(2**40), 2**63 - 1, 0.0, 1.5, -2.0, 1e300, 3.0),
    *("", "a", "A", "text", "7", "1e2", "x" * 300, "é" * 40, b"", b"\x00\x01", b"z" * 200),
)
LONG: tuple[Any, ...] = ("y" * 70_000, b"w" * 66_000, "v" * 250, b"u" * 260, 5, None)

# The schema, the first table's name and its columns that are changed.
TABLES: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "plain": (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b INTEGER, c REAL, d TEXT, e BLOB)",),
        "t",
        ("a", "b", "c", "d", "e"),
    ),
    "without an id": (("CREATE TABLE t(a, b TEXT, c NUMERIC)",), "t", ("a", "b", "c", "rowid")),
    "indexes": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE, c UNIQUE, d, e)",
            "CREATE INDEX t_ab ON t(a, b DESC)",
            "CREATE INDEX t_part ON t(d) WHERE a IS NOT NULL",
            "CREATE INDEX t_expr ON t(coalesce(e, b))",
        ),
        "t",
        ("a", "b", "c", "d", "e", "id"),
    ),
    "a partial index": (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d)", "CREATE INDEX t_part ON t(d) WHERE a IS NOT NULL"),
        "t",
        ("a", "b", "c", "d"),
    ),
    "not null": (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL, b TEXT NOT NULL DEFAULT 'd', c NOT NULL DEFAULT 7, d)",),
        "t",
        ("a", "b", "c", "d"),
    ),
    "checks": (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c CHECK (a IS NULL OR c <> a), CHECK (typeof(b) <> 'real'))",),
        "t",
        ("a", "b", "c"),
    ),
    "strict": (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c REAL, d BLOB, e ANY) STRICT",),
        "t",
        ("a", "b", "c", "d", "e"),
    ),
    "generated": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c AS (a || b), d TEXT AS (coalesce(b, id)) STORED, e UNIQUE)",
            "CREATE INDEX t_c ON t(c)",
        ),
        "t",
        ("a", "b", "e"),
    ),
    "added and dropped": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, gone, b)",
            "INSERT INTO t VALUES (100, 1, 2, 3), (101, 'x', 'y', 'z')",
            "ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'added'",
            "ALTER TABLE t ADD COLUMN d",
            "INSERT INTO t VALUES (102, 1, 2, 3, 'c', 'd')",
            "ALTER TABLE t DROP COLUMN gone",
        ),
        "t",
        ("a", "b", "c", "d"),
    ),
    "only added": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)",
            "INSERT INTO t VALUES (100, 1, 2), (101, 'x', 'y')",
            "ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'added'",
        ),
        "t",
        ("a", "b", "c"),
    ),
    "parent and child": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b INTEGER REFERENCES t, c, d, e UNIQUE, UNIQUE (c, d))",
            "CREATE TABLE u(id INTEGER PRIMARY KEY, a REFERENCES t(a), b, c, "
            "FOREIGN KEY (b, c) REFERENCES t(c, d))",
            "INSERT INTO t VALUES (1, 1, 1, 1, 1, 1), (2, 'a', 1, 'text', 2, 2), (127, 2, 2, 128, 0, 0)",
            "INSERT INTO u VALUES (1, 1, 1, 1), (2, 'a', 'text', 2), (3, 2, 128, 0), (4, NULL, NULL, 2)",
        ),
        "t",
        ("a", "b", "c", "d", "e", "id"),
    ),
    "child": (
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a REFERENCES p, b, c REFERENCES p(k))",
            "CREATE TABLE p(id INTEGER PRIMARY KEY, k UNIQUE)",
            "INSERT INTO p VALUES (0, 0), (1, 1), (2, 'a'), (127, 'text'), (128, 1.5)",
        ),
        "t",
        ("a", "b", "c"),
    ),
    "seventy columns": (
        (
            f"CREATE TABLE t(id INTEGER PRIMARY KEY, {', '.join(f'c{i}' for i in range(70))}, k REFERENCES p(k))",
            "CREATE INDEX t_66 ON t(c66, c2)",
            "CREATE TABLE p(k PRIMARY KEY, more)",
            "INSERT INTO p VALUES (0, 0), (1, 1), ('a', 2)",
        ),
        "t",
        ("c0", "c2", "c61", "c62", "c63", "c64", "c66", "c69", "k"),
    ),
}  # fmt: skip


def change(
    rng: random.Random, both: Beside, table: str, columns: tuple[str, ...], values: tuple[Any, ...], ids: str
) -> None:
    keys = both.theirs.execute(f"SELECT {ids} FROM {table} ORDER BY 1").fetchall()
    key = rng.choice(rng.choice((keys, keys[:4])))[0]  # the first are those that others refer to
    some = rng.sample(columns, rng.choice((1, 1, 1, 2, len(columns))))
    verb = rng.choice(("UPDATE", "UPDATE", "UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE", "UPDATE OR FAIL"))
    sets = ", ".join(f"{name} = ?" for name in some)
    tail = rng.choice(("", "", f" RETURNING {ids}, *"))
    both.run(f"{verb} {table} SET {sets} WHERE {ids} = ?{tail}", (*(rng.choice(values) for _ in some), key))


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_the_other_columns_stay(connect: Callable[..., driver.Connection], rng: random.Random, kind: str) -> None:
    db = connect(page_size=8192)
    schema, table, columns = TABLES[kind]
    ids = "rowid" if kind == "without an id" else "id"
    db.execute("PRAGMA foreign_keys = ON")
    both = Beside(db, *schema)
    both.theirs.execute("COMMIT")
    both.theirs.execute("PRAGMA foreign_keys = ON")
    both.theirs.execute("BEGIN")
    names = [ids, *(column for column in columns if column not in ("id", "rowid"))]
    insert = f"INSERT INTO {table}({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for number in range(200, 400):
        both.run(insert, [number, *rng.choices(VALUES, k=len(names) - 1)])
        if number == 300:
            both.mine.commit()
    for number in range(120):
        change(rng, both, table, columns, VALUES if kind != "plain" or number % 3 else LONG, ids)
        if number % 30 == 29:
            both.mine.commit()
    both.mine.rollback()


def test_equal_rows_are_no_commit(db: driver.Connection) -> None:
    """The bytes of a row that was changed in parts are those of one that was written whole."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    for number, values in enumerate(((1, 300, "x" * 300), (0, 2.5, b""), (None, "é", 2**40), (5, "y" * 254, 1))):
        db.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (number, *values))
    db.commit()
    before, rows = db.last_commit, db.execute("SELECT * FROM t").fetchall()
    for id_, a, b, c in rows:
        for name, value in (("a", a), ("b", b), ("c", c)):
            for other in (7, "z" * 400, None, 1.5):
                db.execute(f"UPDATE t SET {name} = ? WHERE id = ?", (other, id_))
                db.execute(f"UPDATE t SET {name} = ? WHERE id = ?", (value, id_))
    db.commit()
    assert db.last_commit == before
