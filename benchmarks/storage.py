"""Bytes per version, beside SQLite with a history table kept by triggers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from .measure import Row, Setting, benchmark, chunks, open_ours, open_sqlite, remove, show

GROUP = "storage"
COLUMNS = "id INTEGER{key}, account INTEGER, name TEXT, status TEXT, balance REAL, note TEXT"
INDEXES = ("CREATE INDEX item_account ON item(account)", "CREATE INDEX item_name ON item(name)")
UPDATES = 20
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


@benchmark
def storage(setting: Setting) -> Iterator[Row]:
    """20,000 rows of about 180 bytes with two indexes, updated 20 times."""
    rows = setting.size(20_000, 5_000)
    for name, rows_a_commit in (("all rows in one commit", rows), ("a random tenth of the rows a commit", rows // 10)):
        show(f"storage: {rows:,} rows, {UPDATES} updates of each, {name}")
        paths = setting.folder / "storage.edb", setting.folder / "storage.sqlite"
        try:
            yield from stored(setting, rows, rows_a_commit, name, *paths)
        finally:
            for path in paths:
                remove(path)


def stored(
    setting: Setting, rows: int, rows_a_commit: int, name: str, ours_path: Path, their_path: Path
) -> Iterator[Row]:
    rng = setting.random("storage")
    ours, theirs = open_ours(ours_path, synchronous="normal"), open_sqlite(their_path, setting, "NORMAL")
    for side in (ours, theirs):
        for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
            side.execute(sql)
    theirs.execute(TRIGGERS)

    def note() -> str:
        return " ".join(f"{rng.randrange(10**9):09}" for _ in range(10))

    data = [(i, rng.randrange(rows), f"customer {rng.randrange(10**12):012}", "open", rng.random(), note())
            for i in range(1, rows + 1)]
    commit(ours, theirs, "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", data)
    del data
    for _ in range(UPDATES):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows_a_commit):
            changed = [(rng.randrange(rows), rng.choice(("open", "closed", "held")), rng.random(), note(), i)
                       for i in sorted(part)]
            commit(ours, theirs, "UPDATE item SET account = ?, status = ?, balance = ?, note = ? WHERE id = ?", changed)
    versions = rows * (1 + UPDATES)
    stats = ours.database.stats()
    our_bytes = (stats["pages"] - stats["free_pages"]) * stats["page_size"]
    ours.close()
    theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    theirs.close()
    their_bytes = their_path.stat().st_size
    yield Row(GROUP, f"bytes per version, {name}", our_bytes / versions, their_bytes / versions, "bytes",
              "SQLite with a history table", note=f"file {ours_path.stat().st_size / versions:.0f} bytes a version")


def commit(ours: Any, theirs: apsw.Connection, sql: str, parameters: list[Any]) -> None:
    for side in (ours, theirs):
        side.execute("BEGIN")
        side.executemany(sql, parameters)
        if side is theirs:
            side.execute("UPDATE moment SET number = number + 1")
        side.execute("COMMIT")
