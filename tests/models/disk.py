"""A disk with a page cache: what was written since the last sync may be lost, torn, or kept in any order."""

from __future__ import annotations

import random
from typing import Any

TORN: Any = None        # neither the old nor the new value, and nothing that passes for one


class Disk:
    """Values by place. A place is written as a whole, or torn by a power loss, unless it lies within a sector."""

    def __init__(self, sectors: frozenset[str]) -> None:
        """sectors: places that lie within a sector."""
        self._sectors = sectors
        self.cache: dict[Any, Any] = {}
        self.writes = 0                                 # ever
        self._safe: dict[Any, Any] = {}
        self._waiting: dict[Any, list[tuple[int, Any]]] = {}    # by place: (number of the write, value), oldest first

    def read(self, place: Any) -> Any:
        return self.cache.get(place, TORN)

    def write(self, place: Any, value: Any) -> None:
        self.writes += 1
        self.cache[place] = value
        self._waiting.setdefault(place, []).append((self.writes, value))

    def begin_sync(self) -> int:
        """-> for end_sync(). What is written in between is covered or not, as luck has it."""
        return self.writes

    def end_sync(self, begun: int) -> None:
        for place, values in list(self._waiting.items()):
            for number, value in values:
                if number <= begun:
                    self._safe[place] = value
            left = [one for one in values if one[0] > begun]
            if left:
                self._waiting[place] = left
            else:
                del self._waiting[place]

    def lose_power(self, rng: random.Random) -> None:
        """The kernel may have written any of the values that a place has had since, and may have stopped within one."""
        kept = rng.choice((0.1, 0.5, 0.9))
        for place, values in self._waiting.items():
            if rng.random() < kept:
                self._safe[place] = rng.choice(values)[1] if rng.random() < 0.3 else values[-1][1]
            elif rng.random() < 0.3 and place not in self._sectors:
                self._safe[place] = TORN
        self._waiting.clear()
        self.cache = dict(self._safe)
