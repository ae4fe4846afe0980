"""Walks of a table pass over rows for which a condition cannot hold, and over no others."""

from __future__ import annotations

import random
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import moment, plan, rows, visited
from ..beside import Beside

COLUMNS = {"i": "INTEGER", "r": "REAL", "n": "NUMERIC", "s": "TEXT", "nc": "TEXT COLLATE NOCASE",
           "rt": "TEXT COLLATE RTRIM", "b": "BLOB", "x": ""}  # fmt: skip
VALUES: tuple[Any, ...] = (
    *(None, 0, 1, 2, -1, 12, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 1.5, -1.0, 12.0),
    *(9.3e18, 1e300, 2.0**53, 9223372036854775807.0, "0", "1", "1.5", "12", "012", " 12", "12 ", "1e0", "abc", "ABC"),
    *("abc ", "ab", "", " ", "a\x00b", "zz", "é", "É", b"", b"1", b"abc", b"\x00"),
)
SIGNS = ("=", "<", "<=", ">", ">=")


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, f"CREATE TABLE t(id INTEGER PRIMARY KEY, {', '.join(map(' '.join, COLUMNS.items()))})")
    marks = ", ".join("?" * len(COLUMNS))
    for values in [rng.choices(VALUES, k=len(COLUMNS)) for _ in range(100)] + [(value,) * 8 for value in VALUES]:
        found.mine.execute(f"INSERT INTO t({', '.join(COLUMNS)}) VALUES ({marks})", tuple(values))
        found.theirs.execute(f"INSERT INTO t({', '.join(COLUMNS)}) VALUES ({marks})", tuple(values))
    found.mine.commit()
    found.tables = []
    return found


def literal(value: Any) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return f"CAST(x'{value.encode().hex()}' AS TEXT)" if "\0" in value else f"'{value}'"
    return "NULL" if value is None else repr(value)


def is_passed(connection: driver.Connection, sql: str, parameters: Any = ()) -> bool:
    return any("/w" in str(row[5]) for row in rows(connection, f"EXPLAIN {sql}", parameters) if row[1] == "VFilter")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("sign", SIGNS)
def test_every_column_beside_every_value(both: Beside, column: str, sign: str) -> None:
    passed = 0
    for value in VALUES:
        # The second condition is true of few rows, so that few are left whatever the first one says.
        for sql in (
            f"SELECT id FROM t WHERE {column} {sign} {literal(value)} ORDER BY id",
            f"SELECT id FROM t WHERE {column} {sign} {literal(value)} AND id < 135 AND i < 13 AND n > -2 ORDER BY id",
            f"SELECT id FROM t WHERE {column} BETWEEN {literal(value)} AND 12 ORDER BY id",
            f"SELECT id FROM t WHERE {literal(value)} {sign} {column} AND i <= 1 ORDER BY id",
        ):
            passed += is_passed(both.mine, sql)
            both.run(sql)
        both.run(f"SELECT id FROM t WHERE {column} {sign} ? ORDER BY id", (value,))
    assert passed > len(VALUES)


def test_several_conditions_and_literals(both: Beside, rng: random.Random) -> None:
    passed = 0
    for _ in range(400):
        terms = []
        for _ in range(rng.choice((1, 2, 3, 6))):
            literal = rng.choice(("1", "-1", "1.5", "'12'", "'abc'", "x'61'", "NULL", "9007199254740993", "''"))
            collation = rng.choice(("", "", "", " COLLATE NOCASE", " COLLATE BINARY"))
            terms.append(f"{rng.choice(list(COLUMNS))}{collation} {rng.choice((*SIGNS, 'IS', '<>'))} {literal}")
        sql = f"SELECT id FROM t WHERE {' AND '.join(terms)} ORDER BY id"
        passed += is_passed(both.mine, sql)
        both.run(sql)
    assert passed > 100


def test_what_is_changed_is_judged_as_it_is_and_as_it_was(both: Beside) -> None:
    sql = "SELECT id, i, s FROM t WHERE i >= 1 AND s < 'b' AND n = 1 ORDER BY id"
    before = rows(both.mine, sql)
    at = moment(both.mine)
    both.run("UPDATE t SET i = 5, s = 'a', n = 1 WHERE id % 3 = 0")
    both.run("DELETE FROM t WHERE i >= 1 AND id % 7 = 0")
    both.run("UPDATE t SET i = -i WHERE s < 'b' AND i > 2")
    assert is_passed(both.mine, sql)
    both.run(sql)
    both.mine.commit()
    both.run(sql)
    assert rows(both.mine, sql, as_of=at) == before


def test_columns_that_rows_lack_are_computed(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i) for i in range(100, 105)])
    db.execute("ALTER TABLE t ADD COLUMN w INTEGER DEFAULT 7")
    db.execute("ALTER TABLE t ADD COLUMN g INTEGER AS (v * 2)")
    db.executemany("INSERT INTO t(id, v, w) VALUES (?, ?, 8)", [(i, i) for i in range(200) if not 100 <= i < 105])
    db.commit()
    for sql, wanted in (
        ("SELECT count(*) FROM t WHERE w = 7", 5), ("SELECT count(*) FROM t WHERE w < 8", 5),
        ("SELECT count(*) FROM t WHERE g = 200", 1), ("SELECT count(*) FROM t WHERE w > 8", 0),
        ("SELECT count(*) FROM t WHERE w <= 7 AND v = 103", 1),
    ):  # fmt: skip
        assert rows(db, sql) == [(wanted,)]
    assert is_passed(db, "SELECT v FROM t WHERE w = 7")


def test_parameters_are_read_at_each_run(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 10) for i in range(1000)])
    db.commit()
    for value, wanted in ((3, 100), (7.0, 100), ("3", 0), (None, 0), (11, 0), (4, 100)):
        assert len(rows(db, "SELECT id FROM t WHERE v = ?", (value,))) == wanted


def test_every_row_is_visited_and_few_go_through_sqlite(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 100) for i in range(5000)])
    db.commit()
    sql = "SELECT id FROM t WHERE v = 7"
    assert plan(db, sql) == "SCAN t"
    before = visited(db)
    assert len(rows(db, sql)) == 50
    assert visited(db) - before <= 5001
    steps: list[int] = []

    def step() -> bool:
        steps.append(1)
        return False

    db.apsw.set_progress_handler(step, 1)
    assert len(rows(db, sql)) == 50
    db.apsw.set_progress_handler(None)
    assert len(steps) < 1000
