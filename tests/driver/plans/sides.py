"""A world in EntityDB and in SQLite, and what a query answers, takes and visits there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from entitydb_dialect import driver

from .queries import Query
from .worlds import World

STEP = 500              # of SQLite's program between two looks at the limit
MOST_STEPS = 800        # in SQLite, of a query worth waiting for
MOST_ROWS = 10_000


class TooLong(Exception):
    """A query whose answer takes too long even in SQLite."""


class Meter:
    """Stops a connection's statement after a number of steps."""

    def __init__(self, raw: apsw.Connection) -> None:
        self.left = self.taken = 0
        raw.set_progress_handler(self._step, STEP)

    def start(self, steps: int) -> None:
        self.left, self.taken = steps, 0

    def _step(self) -> bool:
        self.taken += 1
        return self.taken > self.left


@dataclass(frozen=True)
class Answer:
    """SQLite's: its rows, those without LIMIT, and the steps it took."""

    rows: list[Any]
    every: list[Any]
    steps: int


class Sides:
    """A world in both databases, as it is now and as it was before some changes."""

    def __init__(self, mine: driver.Connection, world: World, *, analyzed: bool,
                 switches: str = "", committed: bool = True) -> None:
        """switches: words for entitydb_planner(). committed: else the changes are those of an open transaction."""
        self.switches = switches
        self.mine, self.world, self.analyzed = mine, world, analyzed
        self.theirs, self.before = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        self._fill(committed)
        self.meters = [Meter(side) for side in (self.theirs, self.before)]
        self.meter = Meter(mine.apsw)
        self.switch(switches)

    def _fill(self, committed: bool) -> None:
        sides = (self.mine, self.theirs, self.before)
        for side in (self.theirs, self.before):
            side.execute("BEGIN")
        for side in sides:
            for sql in self.world.schema():
                side.execute(sql)
            for table in self.world.tables:
                side.executemany(table.insert(), table.rows)
        self.mine.commit()
        self.moment = int(self.mine.last_commit[1])
        for sql, rows in self.world.changes():
            for side in (self.mine, self.theirs):
                side.executemany(sql, rows)
        for side in (self.theirs, self.before):
            side.execute("COMMIT")
            side.execute("ANALYZE")
        if not committed:
            return
        self.mine.commit()
        if self.analyzed:
            self.mine.execute("ANALYZE")
            self.mine.commit()

    def visited(self) -> int:
        self.meter.start(MOST_STEPS)
        return int(self.mine.execute("SELECT entitydb_visited()").fetchone()[0])

    def ask(self, sql: str, values: Sequence[Any], as_of: int | None, steps: int) -> tuple[list[Any] | None, int, int]:
        """-> its rows, None if they took more steps; the entries visited; the steps taken."""
        before = self.visited()
        cursor = self.mine.cursor()
        cursor.as_of = as_of
        self.meter.start(steps)
        try:
            rows: list[Any] | None = cursor.execute(sql, values).fetchall()
        except driver.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            rows = None
        taken = self.meter.taken
        return rows, self.visited() - before, taken

    def ask_sqlite(self, sql: str, values: Sequence[Any], past: bool) -> tuple[list[Any], int]:
        """-> rows, steps"""
        side = self.before if past else self.theirs
        meter = self.meters[past]
        meter.start(MOST_STEPS)
        try:
            rows = [tuple(row) for row in side.execute(sql, values)]
        except apsw.InterruptError:
            raise TooLong from None
        if len(rows) > MOST_ROWS:
            raise TooLong
        return rows, meter.taken

    def switch(self, words: str) -> None:
        self.meter.start(MOST_STEPS)
        self.mine.execute("SELECT entitydb_planner(?)", (words,)).fetchall()

    def asked_of_sqlite(self, query: Query, past: bool, draw: int) -> Answer:
        wanted, steps = self.ask_sqlite(*query.text(draw=draw), past)
        every = wanted
        if query.limit is not None:
            every, _ = self.ask_sqlite(*query.unlimited().text(draw=draw), past)
        return Answer(wanted, every, steps)

    def explained(self, sql: str, values: Sequence[Any], as_of: int | None) -> str:
        self.meter.start(MOST_STEPS)
        cursor = self.mine.cursor()
        cursor.as_of = as_of
        return "; ".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())

    def explained_by_sqlite(self, query: Query, past: bool) -> str:
        sql, values = query.text()
        self.meters[past].start(MOST_STEPS)
        rows = (self.before if past else self.theirs).execute(f"EXPLAIN QUERY PLAN {sql}", values)
        return "; ".join(str(row[3]) for row in rows)


def operations(asked: Sequence[Answer]) -> int:
    """Twice the operations of its program that SQLite can have taken. It takes several for each entry."""
    return 2 * sum((answer.steps + 1) * STEP for answer in asked)
