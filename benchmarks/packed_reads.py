"""Reading history that is packed, for the first time and again; and what packing costs a bulk UPDATE."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .as_of import ask
from .measure import Row, Setting, benchmark, chunks, open_ours, race, remove, show
from .storage import ALL, COLUMNS, GROUP, INDEXES, UPDATES, commit_ours, loaded, settled

FIRST_TIMES = 7             # how often the file is opened anew: then nothing of it is unpacked
KEYS = 200
SCANS = {"one column": "SELECT count(*), sum(length(note)) FROM item", "rows fetched": "SELECT * FROM item"}
BY_KEY = "SELECT id, name, note FROM item WHERE id = ?"


@benchmark
def packed_reads(setting: Setting) -> Iterator[Row]:
    """20,000 rows, each updated 20 times, a random tenth of them a commit, and all history packed."""
    rows = setting.size(20_000, 5_000)
    path = setting.folder / "packed.edb"
    try:
        show(f"packed history: {rows:,} rows, {UPDATES} updates of each")
        moments = build(setting, path, rows)
        yield from first_and_again(setting, path, rows, moments)
    finally:
        remove(path)
    yield from bulk_updates(setting, rows)


def build(setting: Setting, path: Path, rows: int) -> list[int]:
    """-> moments, oldest first: of the first commit, and of the last of each round of updates."""
    rng = setting.random("packed_reads")
    db = open_ours(path, synchronous="normal", packing=True)
    for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
        db.execute(sql)
    commit_ours(db, "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", loaded(rng, rows))
    moments = [db.last_commit[1]]
    for _ in range(UPDATES):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows // 10):
            commit_ours(db, ALL.sql, [(*ALL.values(rng, rows), i) for i in sorted(part)])
        moments.append(db.last_commit[1])
    settled(db.database)
    db.close()
    return moments


def seconds(db: Any, sql: str, moment: int | None, parameters: tuple[int, ...] = ()) -> float:
    started = time.perf_counter()
    ask(db, sql, moment, parameters)
    return time.perf_counter() - started


def first_and_again(setting: Setting, path: Path, rows: int, moments: list[int]) -> Iterator[Row]:
    rng = setting.random("packed_reads keys")
    scans: dict[str, dict[str, list[float]]] = {name: {"now": [], "first": [], "again": []} for name in SCANS}
    reads: dict[str, list[float]] = {"first": [], "again": []}
    for number in range(FIRST_TIMES):
        moment = moments[1 + number * (UPDATES - 2) // FIRST_TIMES]
        for scan, taken in scans.items():
            db = open_ours(path, packing=False)
            for name in ("now", "now", "first", "again", "again"):
                when = None if name == "now" else moment
                taken[name].append(seconds(db, SCANS[scan], when))
            db.close()
        db = open_ours(path, packing=False)
        ask(db, BY_KEY, None, (1,))
        places = [(rng.choice(moments[:-2]), (rng.randrange(1, rows + 1),)) for _ in range(KEYS)]
        for name in reads:
            reads[name].append(sum(seconds(db, BY_KEY, *place) for place in places) / KEYS)
        db.close()
    for scan, taken in scans.items():
        for name, when, bound in (("first", "the first time", 3), ("again", "again", 1.25)):
            yield Row(GROUP, f"packed history: scan as of a moment, {scan}, {when}", min(taken[name]),
                      min(taken["now"]), "s", "now", at_most=bound, samples=taken)
    yield Row(GROUP, f"packed history: read by key at a random moment, the first {KEYS}", min(reads["first"]), 60e-6,
              "s", "60 us", at_most=1, samples=reads, note=f"again {min(reads['again']) * 1e6:.1f} us")


def bulk_updates(setting: Setting, rows: int) -> Iterator[Row]:
    """Each side's own file; the thread that packs works while the next round goes on."""
    rng = setting.random("packed_reads updates")
    paths = {name: setting.folder / f"updates-{name}.edb" for name in ("on", "off")}
    sides = {name: open_ours(path, synchronous="normal", packing=name == "on") for name, path in paths.items()}
    try:
        for db in sides.values():
            db.execute(f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})")
            commit_ours(db, "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", loaded(rng, rows))
        changed = [(*ALL.values(rng, rows), i) for i in range(1, rows + 1)]
        taken = race({name: lambda db=db: commit_ours(db, ALL.sql, changed) for name, db in sides.items()}, 25,
                     again=False)
        on, off = (sorted(taken[name])[12] for name in ("on", "off"))
        yield Row(GROUP, "UPDATE of all rows by executemany, packing on", on, off, "s", "packing off", at_most=1.15,
                  samples=taken)
    finally:
        for name, db in sides.items():
            db.close()
            remove(paths[name])
