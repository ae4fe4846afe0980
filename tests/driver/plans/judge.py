"""Asks a query of EntityDB and of SQLite: the answers must agree, and the plan is compared with forced ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import apsw

from driver.beside import kinds
from entitydb_dialect import driver

from . import forced
from .queries import Asker, Query
from .sides import MOST_STEPS, Answer, Sides, TooLong, operations
from .worlds import World

TIMES = 4               # the best plan's entries that a plan may visit
# What entitydb_planner() turns off, or on wherever it can be: no answer depends on it.
SWITCHES = ("-statistics", "-automatic", "-groups", "-merge", "-skip", "-sieve", "-nothing", "+automatic",
            "-statistics -automatic -groups -merge -skip -sieve -nothing", "-statistics +automatic")
OTHERS = 4              # worlds in which a failure must happen as well
BESIDE = 40             # and so many more, for each time it is asked
MORE_STEPS = 8          # times as many for EntityDB
FEW_STEPS = 200


class Failure(Exception):
    """What was wrong with a query."""


class Judge(Sides):
    """Judges queries over a world."""

    def __init__(self, mine: driver.Connection, world: World, rng: random.Random, **options: Any) -> None:
        super().__init__(mine, world, **options)
        self.rng = rng
        self.asked = self.skipped = self.compared = 0

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
        asked = [self.asked_of_sqlite(query, past, draw) for draw in query_draws(query)]
        visited, steps, stopped = 0, 0, []
        for draw, theirs in enumerate(asked):
            sql, values = query.text(draw=draw)
            rows, entries, taken = self.ask(sql, values, as_of, MORE_STEPS * theirs.steps + FEW_STEPS)
            visited, steps = visited + entries, steps + taken
            if rows is None:
                stopped.append(draw)
            else:
                self._same(query, rows, theirs, self.told(query, past, draw=draw))
        if visited > BESIDE * len(asked):
            least, how = self._best(query, as_of, visited, steps, asked, past)
            if visited > TIMES * least + BESIDE * len(asked) and not self._luck(query, how, past):
                raise Failure(self._far(query, past, visited, f"the best forced plan visits {least}", how))
            taken = operations(asked)
            if visited > taken and not self._skips(query, past) and not self._luck(query, None, past):
                best = f"SQLite takes at most {taken // 2} operations in all"
                raise Failure(self._far(query, past, visited, best, None))
        for draw in stopped:        # not for its plan, so it has its reasons
            rows, _, _ = self.ask(*query.text(draw=draw), as_of, MORE_STEPS * MOST_STEPS)
            if rows is None:
                raise TooLong
            self._same(query, rows, asked[draw], self.told(query, past, draw=draw))

    def judge_switched(self, query: Query, *, past: bool) -> None:
        """
        Raises:
            Failure: another answer than SQLite's with one of the switches.
        """
        try:
            theirs = self.asked_of_sqlite(query, past, 0)
        except TooLong:
            self.skipped += 1
            return
        self.asked += 1
        sql, values = query.text()
        for number, words in enumerate(SWITCHES):
            self.switch(words)
            # Statements are kept by their text, with the plan they got.
            rows, _, _ = self.ask(f"{sql} -- {number}", values, self.moment if past else None, MORE_STEPS * MOST_STEPS)
            if rows is not None:
                self.compared += 1
                self._same(query, rows, theirs, f"entitydb_planner('{words}'): {self.told(query, past)}")
        self.switch(self.switches)

    def _best(self, query: Query, as_of: int | None, visited: int, steps: int, asked: list[Answer], past: bool
              ) -> tuple[int, Any]:
        """The fewest entries that a forced plan visits. Plans that take more steps than a better one are given up."""
        best, how = visited, None
        plans = forced.texts(query, self.rng)
        for most in (steps // 32, steps // 2):
            waiting = []
            for plan in plans:
                total, taken = self._forced(query, plan, as_of, most + len(asked), asked, past)
                if total is None:
                    waiting.append(plan)
                elif total < best:
                    best, how, most = total, plan, min(most, taken)
            if how:
                break
            plans = waiting
        return best, how

    def _forced(self, query: Query, plan: Any, as_of: int | None, left: int, asked: list[Answer], past: bool
                ) -> tuple[int | None, int]:
        """-> the entries it visits, None if it takes more than the steps left; the steps"""
        total, most = 0, left
        for draw, theirs in enumerate(asked):
            rows, entries, taken = self.ask(*query.text(*plan, draw=draw), as_of, left)
            total, left = total + entries, left - taken
            if rows is None or left < 0:
                return None, most
            self._same(query, rows, theirs, self.told(query, past, plan, draw))
        return total, most - left

    def _luck(self, query: Query, plan: Any, past: bool) -> bool:
        """Whether the forced plan (None: SQLite's) is far better by a luck that no planner can foresee: one row that
        has no partner, the rows wanted at the begin of an order. Then it is not in each of some other worlds."""
        return not all(
            other.far(query.again(Asker(self.rng, other.world)), plan, past=past) for other in self._others())

    def _others(self) -> Iterator[Judge]:
        for _ in range(OTHERS):
            with closing(driver.connect()) as mine:
                world = self.world.again(self.rng)
                yield Judge(mine, world, self.rng, analyzed=self.analyzed, switches=self.switches)

    def far(self, query: Query, plan: Any, *, past: bool) -> bool:
        """Whether a forced plan is far better; None: SQLite's."""
        try:
            asked = [self.asked_of_sqlite(query, past, draw) for draw in query_draws(query)]
        except TooLong:
            return False        # nothing is known
        as_of, visited, steps = self.moment if past else None, 0, 0
        for draw, theirs in enumerate(asked):
            _, entries, taken = self.ask(*query.text(draw=draw), as_of, MORE_STEPS * theirs.steps + FEW_STEPS)
            visited, steps = visited + entries, steps + taken
        if plan is None:
            return visited > operations(asked)
        total, _ = self._forced(query, plan, as_of, steps + len(asked), asked, past)
        return total is not None and visited > TIMES * total + BESIDE * len(asked)

    def _same(self, query: Query, rows: list[Any], answer: Answer, where: str) -> None:
        """Rows with equal keys of the order may come in any order, and any of them may fall to the limit."""
        wanted = answer.rows

        def differ(what: str) -> Failure:
            return Failure(f"{where}\nanother answer than SQLite's ({what}): {rows[:10]} of {len(rows)}, "
                           f"not {wanted[:10]} of {len(wanted)}")

        mine, theirs = kinds(rows), kinds(wanted)
        if len(mine) != len(theirs):
            raise differ("number of rows")
        if query.limit is None and Counter(mine) != Counter(theirs):
            raise differ("rows")
        if query.limit is not None and Counter(mine) - Counter(kinds(answer.every)):
            raise differ("rows that do not exist")
        if [order_key(query, row) for row in rows] != [order_key(query, row) for row in wanted]:
            raise differ("order")

    # ---- telling ----

    def told(self, query: Query, past: bool, plan: Any = (), draw: int = 0) -> str:
        sql, values = query.text(*plan, draw=draw) if plan else query.text(draw=draw)
        return f"{sql}{f'  -- with {values}' if values else ''}{'  -- as of before the changes' if past else ''}"

    def _skips(self, query: Query, past: bool) -> bool:
        """Whether SQLite leaves out entries as it cannot over virtual tables: it uses the second column of an index
        without the first, or goes on to the next value once a row of DISTINCT, or of count(DISTINCT), has passed all
        conditions."""
        return "DISTINCT" in query.text()[0] or "ANY(" in self.explained_by_sqlite(query, past)

    def _far(self, query: Query, past: bool, visited: int, best: str, plan: Any) -> str:
        as_of = self.moment if past else None
        used = {source.table.name for source in query.all_sources}
        tables = [table for table in self.world.tables if table.name in used]
        lines = [f"{visited} entries visited, {best}"]
        for table in tables:
            lines += [f"{table.sql()};  {table.about()}", *(f"{index.sql};" for index in table.indexes)]
        lines += ["ANALYZE;"] if self.analyzed else []
        for label, chosen in (("asked", ()), ("forced", plan)):
            if chosen is not None:
                sql, values = query.text(*chosen)
                lines.append(f"{label}: {self.told(query, past, chosen)}\n        {self.explained(sql, values, as_of)}")
        if plan is None:
            lines.append(f"SQLite: {self.explained_by_sqlite(query, past)}")
        return "\n".join(lines)

    def shrunk(self, query: Query, error: Failure, *, past: bool, tries: int = 15) -> Failure:
        """The failure of a simpler query, where one is found."""
        going = True
        while going:
            going = False
            for simpler in query.simpler():
                tries -= 1
                if tries < 0:
                    return error
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
    return range(Asker.DRAWS if query.parameters else 1)


def order_key(query: Query, row: tuple[Any, ...]) -> list[Any]:
    """The values that the order is about: the first columns, or with DISTINCT and GROUP BY all that are bare."""
    found = []
    for order, value in zip(query.order, row, strict=False):
        found.append(value.casefold() if order.nocase and isinstance(value, str) else value)
    return found
