"""What history costs in bytes, beside SQLite with a history table kept by triggers, and SQLite without history.

The whole file counts, free pages and the front of the file included.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw

from .measure import Row, Setting, benchmark, chunks, file_bytes, open_ours, open_sqlite, remove, show

GROUP = "storage"
COLUMNS = "id INTEGER{key}, account INTEGER, name TEXT, status TEXT, balance REAL, note TEXT"
INDEXES = ("CREATE INDEX item_account ON item(account)", "CREATE INDEX item_name ON item(name)")
TRIGGERS = f"""
    CREATE TABLE item_history({COLUMNS.format(key="")}, until INTEGER);
    CREATE INDEX item_history_id ON item_history(id, until);
    CREATE TRIGGER item_kept AFTER UPDATE ON item BEGIN
        INSERT INTO item_history VALUES (old.id, old.account, old.name, old.status, old.balance, old.note,
                                         (SELECT number FROM moment));
    END;
    CREATE TABLE moment(number INTEGER);
    INSERT INTO moment VALUES (1);
"""
UPDATES = 20                # of each row, where history is long
_STATUS = ("open", "closed", "held")


def note(rng: random.Random) -> str:
    return " ".join(f"{rng.randrange(10**9):09}" for _ in range(10))


def loaded(rng: random.Random, rows: int) -> list[Any]:
    return [(i, rng.randrange(rows), f"customer {rng.randrange(10**12):012}", "open", rng.random(), note(rng))
            for i in range(1, rows + 1)]


@dataclass(frozen=True)
class Update:
    """An UPDATE of a row by its id, with new random values."""

    columns: tuple[str, ...]
    values: Callable[[random.Random, int], tuple[Any, ...]]   # of the number of rows

    @property
    def sql(self) -> str:
        return f"UPDATE item SET {', '.join(f'{column} = ?' for column in self.columns)} WHERE id = ?"


ALL = Update(("account", "status", "balance", "note"),
             lambda rng, rows: (rng.randrange(rows), rng.choice(_STATUS), rng.random(), note(rng)))
TWO = Update(("status", "balance"), lambda rng, rows: (rng.choice(_STATUS), rng.random()))


@dataclass(frozen=True)
class Workload:
    """Rows, loaded in one commit and then updated in random order."""

    name: str
    update: Update
    updates: int                # of each row
    commits: int                # for one update of each row
    at_most: float | None
    triggers: bool = True       # SQLite keeps history
    rows: int = 20_000


WORKLOADS = (
    Workload("all columns change, all rows in one commit", ALL, UPDATES, 1, None),
    Workload("all columns change, a random tenth of the rows a commit", ALL, UPDATES, 10, 0.70),
    Workload("two of six columns change, a random tenth of the rows a commit", TWO, UPDATES, 10, 0.40),
    Workload("all columns change once, a random tenth of the rows a commit", ALL, 1, 10, 0.9),
)
LOADED = Workload("a table just loaded, without history on either side", ALL, 0, 1, 1.3, triggers=False,
                  rows=1_000_000)
MILLION = Workload("updated three times at random, SQLite without history", ALL, 3, 20, 3.5, triggers=False,
                   rows=1_000_000)


@benchmark
def storage(setting: Setting) -> Iterator[Row]:
    """Rows of about 180 bytes with two indexes."""
    for load in (*WORKLOADS, LOADED, MILLION):
        rows = setting.size(load.rows, load.rows // 4)
        show(f"storage: {rows:,} rows, {load.name}")
        paths = setting.folder / "storage.edb", setting.folder / "storage.sqlite"
        ours, theirs = open_ours(paths[0], synchronous="normal"), open_sqlite(paths[1], setting, "NORMAL")
        try:
            fill(ours, theirs, load, rows, setting.random("storage"))
            stats = settled(ours.database)
            ours.close()
            theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            theirs.close()
            versions = rows * (1 + load.updates)
            reached = (stats["pages"] - stats["free_pages"]) * stats["page_size"]
            yield Row(GROUP, f"bytes a version: {load.name}" if load.triggers else f"bytes a row: {load.name}",
                      file_bytes(paths[0]) / (versions if load.triggers else rows),
                      file_bytes(paths[1]) / (versions if load.triggers else rows), "bytes",
                      "SQLite with a history table" if load.triggers else "SQLite", at_most=load.at_most,
                      note=f"{reached / (versions if load.triggers else rows):.0f} bytes without free pages")
        finally:
            ours.close()
            theirs.close()
            for path in paths:
                remove(path)


def settled(database: Any) -> dict[str, int]:
    """The counters of a database in which the background upkeep has nothing left to do."""
    stats, before = database.stats(), None
    while stats != before:
        time.sleep(3)               # it waits a second for more
        stats, before = database.stats(), stats
    return stats


def fill(ours: Any, theirs: apsw.Connection, load: Workload, rows: int, rng: random.Random) -> None:
    for side in (ours, theirs):
        for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
            side.execute(sql)
    if load.triggers:
        theirs.execute(TRIGGERS)
    commit(ours, theirs, load, "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", loaded(rng, rows))
    for _ in range(load.updates):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows // load.commits):
            changed = [(*load.update.values(rng, rows), i) for i in sorted(part)]
            commit(ours, theirs, load, load.update.sql, changed)


def commit_ours(ours: Any, sql: str, parameters: list[Any]) -> None:
    ours.execute("BEGIN")
    ours.executemany(sql, parameters)
    ours.execute("COMMIT")


def commit(ours: Any, theirs: apsw.Connection, load: Workload, sql: str, parameters: list[Any]) -> None:
    for side in (ours, theirs):
        side.execute("BEGIN")
        side.executemany(sql, parameters)
        if side is theirs and load.triggers:
            side.execute("UPDATE moment SET number = number + 1")
        side.execute("COMMIT")
