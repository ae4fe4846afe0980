"""More parameters than SQLite was built for: what they mean does not change."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import sqlalchemy as sa

from entitydb_dialect import driver
from entitydb_dialect.driver.rewrite import many_parameters
from entitydb_dialect.driver.sql.statement import parse

from ..asking import rows
from ..beside import kinds

MANY = 40_000
HARD: list[Any] = [
    None, 0, -1, 2**63 - 1, -(2**63), True, 0.0, -0.0, 0.1, 1e-320, 5e-324, 2.2250738585072014e-308,
    1.7976931348623157e308, math.inf, -math.inf, math.nan, 1e22, 123456789012345678.0, 2.0**63, "", "it's", "a\0b",
    "\0", "ü\U0001f600", "7", "7.0", "1e3", " 7 ", b"", b"\0\xff'", bytearray(b"x"), memoryview(b"y"), "NULL", "?",
    "--", "/*",
]


def some(rng: random.Random, count: int) -> list[Any]:
    def one() -> Any:
        kind = rng.randrange(5)
        if kind == 0:
            return rng.randint(-(2**63), 2**63 - 1)
        if kind == 1:
            return math.ldexp(rng.random() - 0.5, rng.randint(-1070, 1000))
        return rng.choice(HARD) if kind == 2 else rng.randint(0, 99) if kind == 3 else str(rng.randint(0, 99))

    return [*HARD, *(one() for _ in range(count - len(HARD)))]


@pytest.mark.slow
def test_values_arrive_as_they_are(db: driver.Connection, rng: random.Random) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, i INTEGER, r REAL, s TEXT, n NUMERIC)")
    db.execute("CREATE TABLE one(id INTEGER PRIMARY KEY, a, i INTEGER, r REAL, s TEXT, n NUMERIC)")
    values = some(rng, MANY // 4)
    flat = [value for i, v in enumerate(values) for value in (i, v, v, v, v, v)]
    cursor = db.execute(f"INSERT INTO t VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * len(values))}", flat)
    assert cursor.rowcount == len(values)
    db.executemany("INSERT INTO one VALUES (?1, ?2, ?2, ?2, ?2, ?2)", list(enumerate(values)))
    assert kinds(rows(db, "SELECT * FROM t ORDER BY id")) == kinds(rows(db, "SELECT * FROM one ORDER BY id"))
    db.commit()


@pytest.mark.slow
@pytest.mark.parametrize("declared", ["", "INTEGER", "REAL", "TEXT", "NUMERIC", "TEXT COLLATE NOCASE"])
@pytest.mark.parametrize("index", [False, True])
def test_in_compares_as_with_a_short_list(
    db: driver.Connection, rng: random.Random, declared: str, index: bool
) -> None:
    db.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, a {declared})")
    if index:
        db.execute("CREATE INDEX t_a ON t(a)")
    stored = [*some(rng, 300), *"abcXYZ"]
    db.executemany("INSERT INTO t(a) VALUES (?)", [(value,) for value in stored])
    asked = [value for value in (*some(rng, 300), *"ABCxyz") if value is not None and value == value]
    filler: list[Any] = [f"filler {i}" for i in range(MANY)]
    for term in ("a", "+a", "CAST(a AS TEXT)", "id"):
        wanted = set()
        for value in asked:
            wanted |= set(rows(db, f"SELECT id FROM t WHERE {term} IN (?, ?, ?)", (value, "filler", "filler")))
        marks = ", ".join("?" * (len(asked) + MANY))
        found = rows(db, f"SELECT id FROM t WHERE {term} IN ({marks})", [*asked, *filler])
        assert set(found) == wanted, term
    marks = ", ".join("?" * MANY)
    found = rows(db, f"SELECT id FROM t WHERE id + ? NOT IN ({marks}) AND id < ?", [1, *range(MANY), 5])
    assert found == []
    assert rows(db, f"SELECT ? + count(*) FROM t WHERE a NOT IN ({marks})", [7, None, *filler[1:]]) == [(7,)]
    db.commit()


@pytest.mark.slow
def test_every_kind_of_statement(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b)")
    marks, numbers = ", ".join("?" * MANY), list(range(MANY))
    pairs = ", ".join(["(?, ?)"] * MANY)
    flat = [value for i in numbers for value in (i, i % 7)]
    cursor = db.execute(f"INSERT INTO t(a, b) VALUES {pairs} ON CONFLICT(a) DO UPDATE SET b = b + ? RETURNING a + ?",
                        [*flat, 100, 1000])
    assert len(cursor.fetchall()) == MANY
    cursor = db.execute(f"INSERT INTO t(a, b) VALUES {pairs} ON CONFLICT(a) DO UPDATE SET b = ? + b", [*flat, 5])
    assert cursor.rowcount == MANY
    assert rows(db, "SELECT count(*), min(b), max(b) FROM t") == [(MANY, 5, 11)]
    assert db.execute(f"UPDATE t SET b = ? WHERE a IN ({marks}) AND a > ?", [1, *numbers, 9]).rowcount == MANY - 10
    assert db.execute(f"DELETE FROM t WHERE a IN ({marks}) RETURNING ?", [*numbers, "x"]).fetchone() == ("x",)
    mixed = ", ".join(["(?, NULL)", "(?, ? + 1)"] * MANY)
    flat = [value for i in numbers for value in (2 * i, 2 * i + 1, 4)]
    assert db.executemany(f"INSERT INTO t(a, b) VALUES {mixed.replace('? + 1', '?')}", [flat]).rowcount == 2 * MANY
    assert rows(db, "SELECT count(b), min(b) FROM t") == [(MANY, 4)]
    values = ", ".join(["(?)"] * MANY)
    assert rows(db, f"WITH v(x) AS (VALUES {values}) SELECT sum(x) FROM v", numbers) == [(sum(numbers),)]
    assert rows(db, f"SELECT ? WHERE 1 IN ({marks}) ORDER BY ?", [3, *numbers, 2]) == [(3,)]
    db.commit()


@pytest.mark.slow
def test_sqlalchemy(tmp_path: Any) -> None:
    engine = sa.create_engine(f"entitydb:///{tmp_path / 'many.edb'}")
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.String))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values([{"id": i, "v": f"v{i}"} for i in range(MANY)]))
        chosen = sa.select(sa.func.count()).where(table.c.id.in_(range(MANY)), table.c.v != "v3")
        assert connection.scalar(chosen) == MANY - 1
    engine.dispose()


@pytest.mark.slow
def test_what_is_refused(db: driver.Connection) -> None:
    marks = ", ".join("?" * MANY)
    for parameters, sentence in (
        ([1] * (MANY - 1), f"uses {MANY}, and there are {MANY - 1} supplied"),
        ({"a": 1}, "unsupported type"),
    ):
        with pytest.raises(driver.ProgrammingError, match=sentence):
            db.execute(f"SELECT 1 IN ({marks})", parameters)
    with pytest.raises(driver.ProgrammingError, match="parameter 100: type 'object' is not supported"):
        db.execute(f"SELECT 1 IN ({marks})", [1] * 99 + [object()] + [1] * (MANY - 100))
    with pytest.raises(driver.DataError, match="too large"):
        db.execute(f"SELECT 1 IN ({marks})", [2**63] + [1] * (MANY - 1))
    with pytest.raises(driver.OperationalError, match="too many SQL variables"):
        db.execute(f"VALUES {', '.join(['(? + 1)'] * MANY)}", [1] * MANY)


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("SELECT * FROM t WHERE a IN (?, ?) AND b = ?", "SELECT * FROM t WHERE a IN (1, 2) AND b = ?1"),
        ("SELECT ?, ?, ? ORDER BY ?", "SELECT ?1, ?2, ?3 ORDER BY ?4"),
        ("SELECT f(?, ?, ?)", "SELECT f(?1, ?2, ?3)"),
        ("VALUES (?, ?), (?+1, ?)", "VALUES (1, 2), (?1+1, 4)"),
        ("VALUES (?, f(?)), (3, ?)", "VALUES (1, f(?1)), (3, 3)"),
        ("SELECT a IN (?, (SELECT ? ORDER BY ?))", "SELECT a IN (1, (SELECT ?1 ORDER BY ?2))"),
        ("SELECT 1, (?), (?)", "SELECT 1, (?1), (?2)"),
        ("SELECT (?, ?, ?, ?, ?, ?, ?, ?, ?)", "SELECT (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"),
    ],
)
def test_which_are_written_into_the_text(sql: str, made: str) -> None:
    text, kept = many_parameters.with_fewer(parse(sql), list(range(1, sql.count("?") + 1)))
    assert text == made
    assert len(kept) == made.count("?")
