"""FOR SYSTEM_TIME under random queries: as the statement's own moment, and as plain SQLite with one copied table per
moment."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

from ..beside import kinds
from ..random_sql import Maker

_REFERENCE = re.compile(r"\b(t\d) AS (\w)\b")


def answer(asked: Any, sql: str) -> Any:
    """Rows, sorted unless the query does; or the error's text. asked: what executes."""
    try:
        rows = kinds(asked.execute(sql).fetchall())
    except (driver.Error, apsw.Error) as error:
        return str(error)
    return rows if " ORDER BY a." in sql else sorted(rows, key=repr)


class Past:
    """Random tables with a history, and a copy of each at each moment in plain SQLite: t0_3 is t0 at the third."""

    def __init__(self, db: driver.Connection, rng: random.Random, commits: int) -> None:
        self.db, self.rng = db, rng
        self.maker = Maker(rng)
        self.copies = apsw.Connection(":memory:")
        self.moments: list[int] = []
        schema = self.maker.schema()
        for sql in schema:
            db.execute(sql)
        db.commit()
        for number in range(commits):
            for _ in range(rng.randint(2, 8)):
                try:
                    db.execute(self.maker.statement())
                except driver.Error:
                    continue
            db.execute("SELECT entitydb_label(?)", (f"c {number}",))
            db.commit()
            self.moments.append(db.last_commit[1])
            for sql in schema:
                self.copies.execute(re.sub(r"\b(t\d)(_i\d)?\b", rf"\1_{number}\2", sql))
            for table in self.maker.tables:
                names = ", ".join(table.names)
                rows = db.execute(f"SELECT {names} FROM {table.name}").fetchall()
                marks = ", ".join("?" * len(table.names))
                self.copies.executemany(f"INSERT INTO {table.name}_{number}({names}) VALUES ({marks})", rows)
            db.rollback()

    def written(self, number: int) -> str:
        """The moment of a commit, in one of the ways to say it."""
        ns = self.moments[number]
        return self.rng.choice([str(ns), f"'label:c {number}'", f"{ns - 5} + 5", f"(SELECT {ns})"])

    def dated(self, query: str, numbers: Sequence[int]) -> tuple[str, str]:
        """A query with each table at one of the moments, for EntityDB and over the copies."""
        chosen: list[int] = []

        def clause(match: re.Match[str]) -> str:
            chosen.append(self.rng.choice(numbers))
            return self.clause(match[1], match[2], chosen[-1])

        mine = _REFERENCE.sub(clause, query)
        left = iter(chosen)
        return mine, _REFERENCE.sub(lambda match: f"{match[1]}_{next(left)} AS {match[2]}", query)

    def clause(self, table: str, alias: str, number: int) -> str:
        moment = self.written(number)
        return self.rng.choice([
            f"{table} FOR SYSTEM_TIME AS OF {moment} AS {alias}",
            f"main.{table} {alias} FOR SYSTEM_TIME AS OF {moment}",
            f"{table}({moment}) AS {alias}",
        ])  # fmt: skip


@pytest.fixture
def past(db: driver.Connection, rng: random.Random) -> Past:
    return Past(db, rng, 8)


@pytest.mark.slow
def test_one_moment_for_every_table_is_the_moment_of_the_statement(past: Past) -> None:
    for _ in range(120):
        number = past.rng.randrange(len(past.moments))
        query = past.maker.query()
        dated, _ = past.dated(query, [number])
        cursor = past.db.cursor()
        cursor.as_of = past.moments[number]
        wanted = answer(cursor, query)
        assert answer(past.db, dated) == wanted, dated


def test_mixed_moments_read_as_copied_tables(past: Past) -> None:
    for _ in range(120):
        mine, theirs = past.dated(past.maker.query(), range(len(past.moments)))
        assert answer(past.db, mine) == answer(past.copies, theirs), mine


def test_views_over_random_tables(past: Past) -> None:
    names = [table.name for table in past.maker.tables]
    for name in names:
        past.db.execute(f"CREATE VIEW v{name} AS SELECT * FROM {name}")
    query = f"SELECT a.c0 AS x, b.c1 AS y FROM v{names[0]} a LEFT JOIN {names[1]} b ON a.c0 = b.c0"
    past.db.execute(f"CREATE VIEW w AS {query}")
    queries = ("SELECT * FROM vt0{} AS a", "SELECT x, count(*) FROM w{} AS a GROUP BY x", "SELECT * FROM w{} AS a")
    past.db.commit()
    for number, ns in enumerate(past.moments):
        for sql in queries:
            cursor = past.db.cursor()
            cursor.as_of = ns
            wanted = answer(cursor, sql.format(""))
            dated = sql.format(f" FOR SYSTEM_TIME AS OF {past.written(number)}")
            assert answer(past.db, dated) == wanted, dated


@pytest.mark.slow
def test_broken_texts_are_refused_by_the_driver(db: driver.Connection, rng: random.Random) -> None:
    """Tokens left out, doubled and exchanged: whatever comes of it, rows or an exception of the driver's."""
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("CREATE TABLE old (id INTEGER PRIMARY KEY)")
    db.execute("CREATE VIEW v(b) AS SELECT a FROM t")
    db.commit()
    db.execute("DROP TABLE old")
    db.commit()
    texts = [
        "SELECT * FROM t FOR SYSTEM_TIME AS OF ? AS x LEFT JOIN ( main . v ( 5 + 5 ) y , old ) ON x . id = y . b",
        "SELECT 1 FROM t FOR SYSTEM_TIME BETWEEN 1 AND :m WHERE id IN ( SELECT id FROM [t_history] ( 5 , 6 , 'all' ) )",
        "WITH c AS ( SELECT * FROM old FOR SYSTEM_TIME CONTAINED IN ( 1 , 2 ) ) SELECT CASE 1 END FROM c , t ( 9 )",
        "UPDATE t SET a = ( SELECT b FROM v FOR SYSTEM_TIME AS OF DATE '2026-01-01' ) FROM old ( ? ) WHERE t . id = 1",
        "INSERT INTO t SELECT * FROM t FOR SYSTEM_TIME FROM 1 TO 2 ON CONFLICT DO NOTHING RETURNING a",
    ]
    for _ in range(1500):
        tokens = rng.choice(texts).split()
        for _ in range(rng.choice([1, 1, 2, 4])):
            i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
            change = rng.randrange(4)
            if change == 0 and len(tokens) > 1:
                del tokens[i]
            elif change == 1:
                tokens.insert(i, tokens[j])
            elif change == 2:
                tokens[i], tokens[j] = tokens[j], tokens[i]
            else:
                tokens = tokens[: max(i, 1)]
        sql = " ".join(tokens).replace("t_history", "t history")
        for parameters in ((), (5,), {"m": 7}):
            try:
                db.execute(sql, parameters).fetchall()
            except driver.Error:
                db.rollback()
