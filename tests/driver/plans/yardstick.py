"""SQLite judged by the bar of judge.py: its own plans against the best plan that can be forced in SQLite.

Entries are not counted there, so operations of its program are; it takes several for an entry. What a planner cannot
foresee is left out in the same way: the forced plan must be better in other worlds, too.
"""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import apsw

from . import forced
from .judge import BESIDE, OTHERS, TIMES, query_draws
from .queries import Asker, Query
from .sides import TooLong
from .worlds import World

STEP = 10               # operations between two looks at the limit
MOST = 40_000           # steps of a query that is worth waiting for
OF_ENTRY = 10           # operations for an entry, about


class Yardstick:
    """A world in SQLite, analysed."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.connection = apsw.Connection(":memory:")
        self.left = self.taken = 0
        self.connection.set_progress_handler(self._step, STEP)
        self._fill()

    def _fill(self) -> None:
        self.left = 1 << 60
        self.connection.execute("BEGIN")
        for sql in self.world.schema():
            self.connection.execute(sql)
        for table in self.world.tables:
            self.connection.executemany(table.insert(), table.rows)
        self.connection.execute("COMMIT")
        self.connection.execute("ANALYZE")

    def _step(self) -> bool:
        self.taken += 1
        return self.taken > self.left

    def close(self) -> None:
        self.connection.close()

    def steps(self, query: Query, plan: Any, most: int) -> int | None:
        """Of all its draws together; None: more than that."""
        self.left, self.taken = most, 0
        try:
            for draw in query_draws(query):
                for _ in self.connection.execute(*query.text(*plan, draw=draw)):
                    pass
        except apsw.InterruptError:
            return None
        return self.taken

    def is_far(self, query: Query, plan: Any = None) -> bool:
        """Whether the forced plan (None: any) takes so much less.

        Raises:
            TooLong: nobody would wait for it.
        """
        own = self.steps(query, (), MOST)
        if own is None:
            raise TooLong
        beside = BESIDE * OF_ENTRY * len(query_draws(query)) // STEP
        enough = (own - beside - 1) // TIMES
        if enough <= 0:
            return False
        plans = forced.texts(query, self.rng) if plan is None else [plan]
        better = next((one for one in plans if self.steps(query, one, enough) is not None), None)
        return better is not None and (plan is not None or not self._luck(query, better))

    def _luck(self, query: Query, plan: Any) -> bool:
        for _ in range(OTHERS):
            with closing(Yardstick(self.world.again(self.rng), self.rng)) as other:
                try:
                    if not other.is_far(query.again(Asker(self.rng, other.world)), plan):
                        return True
                except TooLong:
                    return True
        return False


def far_plans(rng: random.Random, each: int) -> list[str]:
    """Queries over one random world of which SQLite's plan is far from the best."""
    world = World(rng)
    asker, found, asked = Asker(rng, world), [], 0
    with closing(Yardstick(world, rng)) as yardstick:
        while asked < each:
            query = asker.query()
            try:
                if yardstick.is_far(query):
                    found.append(query.text()[0])
                asked += 1
            except TooLong:
                pass
    return found
