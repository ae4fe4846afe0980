"""What upkeep costs those who work beside it: pruning, compaction and packing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .measure import Row, Setting, benchmark, open_ours, remove, show, timed
from .storage import ALL, COLUMNS, commit_ours, loaded

GROUP = "storage"


@benchmark
def upkeep(setting: Setting) -> Iterator[Row]:
    """A table whose rows changed several times, of which all history goes; the file is compacted. Another is packed."""
    rows, updates = setting.size(200_000, 20_000), 10
    path = setting.folder / "upkeep.edb"
    db = open_ours(path, synchronous="normal")
    try:
        show(f"upkeep: {rows:,} rows, {updates} updates of each")
        fill(setting, db, rows, updates)
        newest = db.database.newest_commit()
        seconds, gone = timed(lambda: db.database.prune(newest))
        yield Row(GROUP, f"history let go, versions a second, of {rows * updates:,}", gone["entries"] / seconds, 1e6,
                  "versions/s", "1,000,000 a second", at_least=1)
        yield late(path, "beside a compaction", db.database.compact)
        done = db.database.compact()
        yield Row(GROUP, "the file after a compaction", done.bytes_after, done.bytes_needed, "bytes", "what it holds",
                  at_most=1.05)
    finally:
        db.close()
        remove(path)
    yield from packing_beside(setting, rows // 2, updates)


def packing_beside(setting: Setting, rows: int, updates: int) -> Iterator[Row]:
    path = setting.folder / "packing.edb"
    db = open_ours(path, synchronous="normal")
    try:
        show(f"upkeep: packing the history of {rows:,} rows")
        fill(setting, db, rows, updates)
        yield late(path, "beside packing", db.database.pack)
    finally:
        db.close()
        remove(path)


def fill(setting: Setting, db: Any, rows: int, updates: int) -> None:
    rng = setting.random("upkeep")
    db.execute(f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})")
    db.execute("CREATE TABLE beside(id INTEGER PRIMARY KEY, n INTEGER)")
    db.executemany("INSERT INTO beside VALUES (?, 0)", [(i,) for i in range(100)])
    commit_ours(db, "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", loaded(rng, rows))
    for _ in range(updates):
        commit_ours(db, ALL.sql, [(*ALL.values(rng, rows), i) for i in range(1, rows + 1)])


def late(path: Path, beside: str, work: Callable[[], object]) -> Row:
    """The 99th percentile of one-row commits while another thread works, and without, before and after it.

    One commit in a hundred waits for a sync: a short stretch says more of what else the machine did then.
    """
    before, during, after = commits(path, lambda: None), commits(path, work), commits(path, lambda: None)
    quiet, busy = sorted(before + after), sorted(during)
    worst = f"the slowest {1e3 * busy[-1]:.1f} ms, without {1e3 * quiet[-1]:.1f} ms; {len(busy):,} commits"
    return Row(GROUP, f"one-row commits, 99th percentile, {beside}", busy[len(busy) * 99 // 100],
               quiet[len(quiet) * 99 // 100], "s", "without", at_most=2, note=worst)


def commits(path: Path, work: Callable[[], object], least: int = 20_000) -> list[float]:
    """Seconds of one-row commits while another thread works: so many, or more if that takes longer."""
    db = open_ours(path, synchronous="normal")
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    worker = threading.Thread(target=run)
    taken: list[float] = []
    worker.start()
    while len(taken) < least or not done.is_set():
        started = time.perf_counter()
        db.execute("UPDATE beside SET n = n + 1 WHERE id = ?", (len(taken) % 100,))
        taken.append(time.perf_counter() - started)
    worker.join()
    db.close()
    return taken
