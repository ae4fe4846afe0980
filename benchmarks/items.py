"""The table that writers change, in a file of ours and in one of SQLite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .measure import Setting, open_ours, open_sqlite, remove
from .writer_process import KEYS

CREATE = "CREATE TABLE item(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER, d TEXT, e TEXT)"
INSERT = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)"


def items(setting: Setting, rows: int) -> Iterator[tuple[Any, ...]]:
    rng = setting.random("writers")
    for i in range(1, rows + 1):
        yield i, *(rng.randrange(KEYS) for _ in "abc"), f"title {rng.randrange(10**9):09}", f"{i:012} " + "text " * 6


def made(setting: Setting, name: str, rows: int, indexes: int) -> dict[str, Path]:
    """The same rows on both sides; with an index on each of the columns that are changed, or none."""
    paths = {side: setting.folder / f"{name}.{side}" for side in ("ours", "SQLite")}
    ours = open_ours(paths["ours"], synchronous="normal")
    theirs = open_sqlite(paths["SQLite"], setting, "NORMAL")
    for side in (ours, theirs):
        side.execute(CREATE)
        for column in "abc"[:indexes]:
            side.execute(f"CREATE INDEX item_{column} ON item({column})")
        side.execute("BEGIN")
        side.cursor().executemany(INSERT, items(setting, rows))
        side.execute("COMMIT")
    theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for side in (ours, theirs):
        side.close()
    for path in paths.values():
        settle(path)
    return paths


def settle(path: Path) -> None:
    """Nothing of the file is left to be written by whoever syncs next."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def remove_all(paths: dict[str, Path]) -> None:
    for path in paths.values():
        remove(path)
