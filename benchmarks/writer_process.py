"""A process that makes one-row commits while a window is open. writer_group.py starts it and gives it orders.

An order is a line of JSON on the standard input, and has one line of JSON as its answer:

    {"open": Task}                  opens a side and makes a first commit
    {"side": name, "window": ...}   commits from the window's first moment to its last, on CLOCK_MONOTONIC -> Done
    {"close": name}                 closes the side

Sides stay open between their windows, as connections do in a server: SQLite removes its log when the last one closes.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

import apsw

import entitydb_dialect

from .measure import Setting, open_ours, open_sqlite

UPDATE = "UPDATE item SET a = ?, b = ?, c = ? WHERE id = ?"
KEYS = 10_000_000               # values of the changed columns
CHOSEN = 2**15                  # row ids drawn before the window opens
BUSY_MS = 60_000
RING_BYTES, BLOCK_BYTES = 2**20, 4096


Change = tuple[int, int, int, int]


@dataclass(frozen=True)
class Task:
    """What to commit to, and which rows to change: `rows` of them from `first` on."""

    side: str                   # "ours", "SQLite" or "disk"
    path: str
    level: str                  # "full" or "normal"
    first: int
    rows: int
    seed: int                   # of its own for each process
    transaction: bool           # whether BEGIN and COMMIT stand around the UPDATE, or it commits by itself
    tuned: bool = False


@dataclass(frozen=True)
class Window:
    """Seconds on CLOCK_MONOTONIC, and the most commits to make in it."""

    opens: float
    closes: float
    most: int = sys.maxsize


@dataclass
class Done:
    """What a process did in a window."""

    in_window: int = 0          # commits that ended before it closed
    errors: int = 0             # commits that were refused, and made again
    written_bytes: int = 0      # that this process gave to write(), for all of its commits
    seconds: list[float] = field(default_factory=list)      # of each commit, refusals included


@dataclass
class Side:
    commit: Callable[[Change], Any]
    refused: type[Exception]
    undo: Callable[[], Any]     # after a refusal
    close: Callable[[], None]
    changes: Iterator[Change]


def now() -> float:
    """The clock that all processes share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def changes(task: Task) -> Iterator[Change]:
    """New values and a row id, without end; no two processes give a row the same values."""
    rng = random.Random(task.seed)
    ids = cycle([task.first + rng.randrange(task.rows) for _ in range(CHOSEN)])
    for number, row in zip(count(task.seed * 1_000_003), ids):
        yield number * 7919 % KEYS, number * 104_729 % KEYS, number * 15_485_863 % KEYS, row


def open_side(task: Task) -> Side:
    if task.side == "ours":
        ours = open_ours(Path(task.path), synchronous=task.level)
        return Side(committing(ours.cursor().execute, task.transaction), entitydb_dialect.SerializationFailure,
                    ours.rollback, ours.close, changes(task))
    if task.side == "SQLite":
        setting = Setting(Path(task.path).parent, quick=False, seed=0, tuned=task.tuned)
        theirs = open_sqlite(Path(task.path), setting, task.level.upper(), BUSY_MS)
        their_execute = theirs.cursor().execute
        return Side(committing(their_execute, task.transaction), apsw.BusyError,
                    lambda: theirs.in_transaction and their_execute("ROLLBACK"), theirs.close, changes(task))
    return open_disk(task)


def committing(execute: Callable[..., Any], transaction: bool) -> Callable[[Change], Any]:
    def update(change: Change) -> None:
        execute(UPDATE, change)

    def update_between(change: Change) -> None:
        execute("BEGIN")
        execute(UPDATE, change)
        execute("COMMIT")

    return update_between if transaction else update


def open_disk(task: Task) -> Side:
    """The least that a durable commit takes: 4 KiB in place, in a file whose blocks are all written, and fdatasync."""
    file = os.open(task.path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(file, bytes(RING_BYTES), 0)
    os.fsync(file)
    block = b"x" * BLOCK_BYTES
    places = cycle(range(0, RING_BYTES, BLOCK_BYTES))

    def commit(_: Change) -> None:
        os.pwrite(file, block, next(places))
        os.fdatasync(file)

    return Side(commit, BlockingIOError, lambda: None, lambda: os.close(file), changes(task))


def written_bytes() -> int:
    """That this process has given to write() and its kind.

    Not `write_bytes` of /proc: where the page cache has large folios, that counts a whole folio, half a megabyte
    perhaps, for each page written in it. Neither side stores pages of its file through a map, which would be missing.
    """
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("wchar:"):
            return int(line.partition(":")[2])
    raise LookupError("wchar")


def commit_in(window: Window, side: Side) -> Done:
    """Waits until the window opens, and commits until it closes."""
    done = Done()
    before = written_bytes()
    time.sleep(max(0.0, window.opens - now()))
    gc.disable()
    ended = 0.0
    while ended < window.closes and len(done.seconds) < window.most:
        change = next(side.changes)
        started = now()
        refused, made = made_at_last(side, change, window.closes)
        ended = now()
        done.errors += refused
        if made:
            done.seconds.append(ended - started)
            done.in_window += ended <= window.closes
    gc.enable()
    done.written_bytes = written_bytes() - before
    return done


def made_at_last(side: Side, change: Change, closes: float) -> tuple[int, bool]:
    """Makes a commit, again when it is refused, unless the window has closed. -> how often refused; whether made."""
    refused = 0
    while True:
        try:
            side.commit(change)
            return refused, True
        except side.refused:
            side.undo()
            refused += 1
            if now() >= closes:
                return refused, False


def main() -> None:
    sides: dict[str, Side] = {}
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, Any] = {}
        if "open" in order:
            task = Task(**order["open"])
            sides[task.side] = open_side(task)
            commit_in(Window(0, sys.float_info.max, most=1), sides[task.side])
        elif "window" in order:
            answer = asdict(commit_in(Window(**order["window"]), sides[order["side"]]))
        else:
            sides.pop(order["close"]).close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
