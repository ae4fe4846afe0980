"""Several processes that commit at once, and what they did together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from .measure import child_python
from .writer_process import Done, Task, Window, now

LEAD_SECONDS = 0.02             # between the order and the moment at which a window opens for all


class Writer:
    """One process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(**child_python("-m", "benchmarks.writer_process"), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def order(self, order: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a writer ended early")
        return dict(json.loads(line))

    def end(self) -> None:
        self.process.communicate()


@dataclass
class Together:
    """What the processes of a side did in its windows."""

    rates: list[float] = field(default_factory=list)        # commits a second, for each window
    seconds: list[float] = field(default_factory=list)      # of each commit
    errors: int = 0
    written_bytes: int = 0

    def add(self, window_seconds: float, done: list[Done]) -> None:
        self.rates.append(sum(one.in_window for one in done) / window_seconds)
        for one in done:
            self.seconds += one.seconds
            self.errors += one.errors
            self.written_bytes += one.written_bytes

    @property
    def rate(self) -> float:
        """Of the best window: what else the machine does only ever slows down."""
        return max(self.rates)

    @property
    def bytes_a_commit(self) -> float:
        return self.written_bytes / len(self.seconds)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the commits ended."""
        return sorted(self.seconds)[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


@contextmanager
def writers_started(most: int) -> Iterator[list[Writer]]:
    writers = [Writer() for _ in range(most)]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.end()


def ordered(writers: list[Writer], orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for writer, order in zip(writers, orders, strict=True):
        writer.order(order)
    return [writer.answer() for writer in writers]


def committed(
    writers: list[Writer], tasks: list[list[Task]], rounds: int, window_seconds: float
) -> dict[str, Together]:
    """A list of tasks for each side, a task for each writer. Runs the sides in turns. -> by side.

    The window before the first round counts for nothing: caches and SQLite's log are filled in it.
    """
    for side in tasks:
        ordered(writers, [{"open": asdict(task)} for task in side])
    names = [side[0].side for side in tasks]
    did = {name: Together() for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else names[::-1]:
            done = in_window(writers, name, window_seconds)
            if number:
                did[name].add(window_seconds, done)
    for name in names:
        ordered(writers, [{"close": name}] * len(writers))
    return did


def in_window(writers: list[Writer], side: str, seconds: float, most: int = sys.maxsize) -> list[Done]:
    opens = now() + LEAD_SECONDS
    window = asdict(Window(opens, opens + seconds, most))
    return [Done(**answer) for answer in ordered(writers, [{"side": side, "window": window}] * len(writers))]
