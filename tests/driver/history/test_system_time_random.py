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
