"""Asks a query of EntityDB and of SQLite: the answers must agree, and the plan is compared with forced ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import apsw

from driver.beside import kinds
from entitydb_dialect import driver

from . import forced
from .queries import Query
from .worlds import World

TIMES = 4               # the best plan's entries that a plan may visit
BESIDE = 40             # and so many more, for each time it is asked
STEP = 500              # of SQLite's program between two looks at the limit
MOST_STEPS = 4000       # for which a query is worth waiting
MOST_ROWS = 50_000


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


class Failure(Exception):
    """What was wrong with a query."""


class Judge:
    """A world in both databases, as it is now and as it was before some changes."""

    def __init__(self, mine: driver.Connection, world: World, rng: random.Random, *, analyzed: bool) -> None:
        self.mine, self.world, self.rng, self.analyzed = mine, world, rng, analyzed
        self.theirs, self.before = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        self._fill()
        self.meters = {id(side): Meter(side) for side in (self.theirs, self.before)}
        self.meter = Meter(mine.apsw)
        self.asked = self.skipped = 0
        self._texts = 0

    def _fill(self) -> None:
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
        self.mine.commit()
        for side in (self.theirs, self.before):
            side.execute("COMMIT")
            side.execute("ANALYZE")
        if self.analyzed:
            self.mine.execute("ANALYZE")
            self.mine.commit()

    # ---- asking ----

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

    def ask_sqlite(self, sql: str, values: Sequence[Any], past: bool) -> list[Any]:
        side = self.before if past else self.theirs
        self.meters[id(side)].start(MOST_STEPS)
        try:
            rows = [tuple(row) for row in side.execute(sql, values)]
        except apsw.InterruptError:
            raise TooLong from None
        if len(rows) > MOST_ROWS:
            raise TooLong
        return rows

    # ---- judging ----

    def judge(self, query: Query, *, past: bool) -> None:
        """
        Raises:
            Failure: another answer than SQLite's, or a plan too far from the best.
        """
        try:
            self._judge(query, past=past)
        except TooLong:
            self.skipped += 1
        else:
            self.asked += 1

    def _judge(self, query: Query, *, past: bool) -> None:
        as_of = self.moment if past else None
        draws = len(query_draws(query))
        visited, steps, answers = 0, 0, []
        for draw in range(draws):
            sql, values = query.text(draw=draw)
            wanted = self.ask_sqlite(sql, values, past)
            every = self.ask_sqlite(*query.unlimited().text(draw=draw), past) if query.limit is not None else wanted
            answers.append((wanted, every))
        for draw in range(draws):
            sql, values = query.text(draw=draw)
            rows, entries, taken = self.ask(sql, values, as_of, 4 * MOST_STEPS)
            visited, steps = visited + entries, steps + taken
            if rows is not None:
                self._same(query, rows, *answers[draw], self.told(query, past, draw=draw))
        if visited <= BESIDE * draws:
            return
        best, how = self._best(query, as_of, draws, visited, steps, answers, past)
        if visited > TIMES * best + BESIDE * draws:
            raise Failure(self._far(query, past, visited, best, how))

    def _best(self, query: Query, as_of: int | None, draws: int, visited: int, steps: int, answers: list[Any],
              past: bool) -> tuple[int, Any]:
        """The fewest entries that a forced plan visits; plans that take more steps than the free one are no better."""
        best, how = visited, None
        for plan in forced.texts(query, self.rng):
            total, left = 0, steps + draws
            for draw in range(draws):
                rows, entries, taken = self.ask(*query.text(*plan, draw=draw), as_of, left)
                total, left = total + entries, left - taken
                if rows is None:
                    total = visited
                    break
                self._same(query, rows, *answers[draw], self.told(query, past, plan, draw))
            if total < best:
                best, how = total, plan
        return best, how

    def _same(self, query: Query, rows: list[Any], wanted: list[Any], every: list[Any], where: str) -> None:
        """Rows with equal keys of the order may come in any order, and any of them may fall to the limit."""
        def differ(what: str) -> Failure:
            return Failure(f"{where}\nanother answer than SQLite's ({what}): {rows[:10]} of {len(rows)}, "
                           f"not {wanted[:10]} of {len(wanted)}")

        mine, theirs = kinds(rows), kinds(wanted)
        if len(mine) != len(theirs):
            raise differ("number of rows")
        if query.limit is None and Counter(mine) != Counter(theirs):
            raise differ("rows")
        if query.limit is not None and Counter(mine) - Counter(kinds(every)):
            raise differ("rows that do not exist")
        if [order_key(query, row) for row in rows] != [order_key(query, row) for row in wanted]:
            raise differ("order")

    # ---- telling ----

    def told(self, query: Query, past: bool, plan: Any = (), draw: int = 0) -> str:
        sql, values = query.text(*plan, draw=draw) if plan else query.text(draw=draw)
        return f"{sql}{f'  -- with {values}' if values else ''}{'  -- as of before the changes' if past else ''}"

    def explained(self, sql: str, values: Sequence[Any], as_of: int | None) -> str:
        self.meter.start(MOST_STEPS)
        cursor = self.mine.cursor()
        cursor.as_of = as_of
        return "; ".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())

    def _far(self, query: Query, past: bool, visited: int, best: int, plan: Any) -> str:
        as_of = self.moment if past else None
        used = {source.table.name for source in query.all_sources}
        tables = [table for table in self.world.tables if table.name in used]
        lines = [f"{visited} entries visited, the best forced plan visits {best}"]
        for table in tables:
            lines += [f"{table.sql()};  {table.about()}", *(f"{index.sql};" for index in table.indexes)]
        lines += ["ANALYZE;"] if self.analyzed else []
        for label, chosen in (("asked", ()), ("forced", plan)):
            sql, values = query.text(*chosen)
            lines.append(f"{label}: {self.told(query, past, chosen)}\n        {self.explained(sql, values, as_of)}")
        return "\n".join(lines)

    def shrunk(self, query: Query, error: Failure, *, past: bool) -> Failure:
        """The failure of a query from which nothing can be left out without it passing."""
        going = True
        while going:
            going = False
            for simpler in query.simpler():
                try:
                    self._judge(simpler, past=past)
                except Failure as found:
                    query, error, going = simpler, found, True
                    break
                except (TooLong, driver.Error, apsw.Error):
                    continue        # left without something it needs
        return error


def query_draws(query: Query) -> range:
    """How often it is asked: with several values for each parameter, because one plan serves them all."""
    from .queries import Asker
    return range(Asker.DRAWS if query.parameters else 1)


def order_key(query: Query, row: tuple[Any, ...]) -> list[Any]:
    """The values that the order is about: the first columns, or with DISTINCT and GROUP BY all that are bare."""
    found = []
    for order, value in zip(query.order, row, strict=False):
        found.append(value.casefold() if order.nocase and isinstance(value, str) else value)
    return found
