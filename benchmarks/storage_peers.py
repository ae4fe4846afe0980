"""Bytes a version beside others who keep history: SQLAlchemy-Continuum's version tables in SQLite, and DoltLite.

Both are much slower than what storage.py compares with, so the table is small. Each gets the same rows and the same
changes in the same commits; Continuum through the ORM, because its history is made there.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .measure import Row, Setting, benchmark, child_python, chunks, file_bytes, open_ours, remove, show
from .storage import ALL, COLUMNS, GROUP, INDEXES, TWO, UPDATES, Update, loaded, settled

Changes = list[tuple[str, list[Any]]]       # the commits: a statement and its rows
INSERT = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)"
NAMES = ("account", "name", "status", "balance", "note")


@benchmark
def storage_peers(setting: Setting) -> Iterator[Row]:
    """Rows of about 180 bytes with two indexes, each updated 20 times, a random tenth of them a commit."""
    rows = setting.size(2_000, 500)
    for name, update in (("all columns change", ALL), ("two of six columns change", TWO)):
        work = changes(setting, update, rows)
        ours = ours_bytes(setting.folder / "peers.edb", work)
        for peer, needed, make in (("SQLAlchemy-Continuum", "sqlalchemy_continuum", continuum_bytes),
                                   ("DoltLite", "doltlite", doltlite_bytes)):
            if importlib.util.find_spec(needed) is None:
                show(f"storage: {peer} left out, it is not installed")
                continue
            show(f"storage: {rows:,} rows, {name}, beside {peer}")
            versions = rows * (1 + UPDATES)
            yield Row(GROUP, f"bytes a version: {name}, beside {peer}", ours / versions,
                      make(setting.folder / "peers.other", work, update) / versions, "bytes", peer)


def changes(setting: Setting, update: Update, rows: int) -> Changes:
    rng = setting.random("storage_peers")
    work: Changes = [(INSERT, loaded(rng, rows))]
    for _ in range(UPDATES):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows // 10):
            work.append((update.sql, [(*update.values(rng, rows), i) for i in sorted(part)]))
    return work


def made(path: Path, make: Callable[[], object]) -> int:
    """Bytes of the file that is made there, which is removed."""
    try:
        make()
        return file_bytes(path)
    finally:
        remove(path)


def ours_bytes(path: Path, work: Changes) -> int:
    def make() -> None:
        db = open_ours(path, synchronous="normal")
        for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
            db.execute(sql)
        for sql, rows in work:
            db.execute("BEGIN")
            db.executemany(sql, rows)
            db.execute("COMMIT")
        settled(db.database)
        db.close()

    return made(path, make)


def told(module: str, path: Path, lines: Iterator[str]) -> int:
    """Bytes of the file that another process makes."""
    return made(path, lambda: subprocess.run(**child_python("-m", f"benchmarks.{module}", str(path)), check=True,
                                             input="\n".join(lines), text=True))


def doltlite_bytes(path: Path, work: Changes, _: Update) -> int:
    def lines() -> Iterator[str]:
        for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
            yield json.dumps([sql, []])
        for sql, rows in work:
            yield json.dumps([sql, rows])
            yield '["commit", []]'

    return told("doltlite_process", path, lines())


def continuum_bytes(path: Path, work: Changes, update: Update) -> int:
    first, *others = work
    lines = [json.dumps([NAMES, [(*values, key) for key, *values in first[1]]]),
             *(json.dumps([update.columns, rows]) for _, rows in others)]
    return told("continuum_process", path, iter(lines))
