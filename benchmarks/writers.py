"""Processes that commit at once, beside SQLite; one writer beside what the disk can do; an ORM's commits.

Ours commits through the driver, SQLite through apsw with a busy handler: an UPDATE of three columns of one row, which
are the indexed ones where there are indexes. Rows of their own are changed in autocommit mode. Rows that all change are
changed between BEGIN and COMMIT, because in autocommit mode the driver itself runs a refused statement again; a
transaction that is refused counts as an error, and is run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from .commit_limits import against_the_disk, on_one_row
from .items import made, remove_all, settle
from .measure import Row, Setting, benchmark, show
from .orm_commits import orm_commits
from .writer_group import Together, Writer, committed, writers_started
from .writer_process import Task

GROUP = "writers"
WRITERS = (1, 2, 4, 8)
ROWS = 8_000
HOT_ROWS = 8


@benchmark
def writers(setting: Setting) -> Iterator[Row]:
    with writers_started(max(WRITERS)) as processes:
        yield from beside_sqlite(setting, processes)
        yield from against_the_disk(setting, processes[:1])
        yield from on_one_row(setting, processes[:1])
    yield from orm_commits(setting)


def beside_sqlite(setting: Setting, processes: list[Writer]) -> Iterator[Row]:
    for indexes in (0, 3):
        files = made(setting, f"{indexes} indexes", ROWS, indexes)
        try:
            for level, hot, n in product(("full", "normal"), (False, True), WRITERS):
                yield case(setting, processes[:n], files, indexes, level, hot)
        finally:
            remove_all(files)


def target(n: int, indexes: int, level: str, hot: bool) -> float | None:
    """The least ratio of commits a second; none for rows that all change, and for two writers at full."""
    if hot:
        return None
    if level == "normal":
        return 1.0
    return {1: 1.2 if indexes else 1.0, 4: 2.0, 8: 2.0}.get(n)


def case(setting: Setting, processes: list[Writer], files: dict[str, Path], indexes: int, level: str, hot: bool) -> Row:
    """One row of the table, on files of its own."""
    n = len(processes)
    name = (f"{n} writer{'s' if n > 1 else ''}, {level}, {'the same rows' if hot else 'rows of their own'}, "
            f"{'three indexes' if indexes else 'no index'}")
    copies = {side: setting.folder / f"writers.{side}" for side in files}
    for side, path in copies.items():
        shutil.copyfile(files[side], path)
        settle(path)
    rows = HOT_ROWS if hot else ROWS // n

    def tasks(side: str) -> list[Task]:
        return [Task(side, str(copies[side]), level, 1 if hot else 1 + i * rows, rows, i + 1, hot, setting.tuned)
                for i in range(n)]

    try:
        did = committed(processes, [tasks("ours"), tasks("SQLite")], setting.size(3, 1),
                        0.02 if setting.quick else 0.3)
    finally:
        remove_all(copies)
    row = compared(name, did["ours"], did["SQLite"], target(n, indexes, level, hot))
    show(f"writers: {name}: {row.note}")
    return row


def compared(name: str, ours: Together, theirs: Together, at_least: float | None) -> Row:
    both = (ours, theirs)
    median, late = ([1e3 * side.quantile(share) for side in both] for share in (0.5, 0.99))
    note = (f"ours and SQLite: median {median[0]:.3f} and {median[1]:.3f} ms, 99th percentile {late[0]:.2f} and "
            f"{late[1]:.2f} ms, {ours.errors:,} and {theirs.errors:,} errors in {len(ours.seconds):,} and "
            f"{len(theirs.seconds):,} commits, {ours.bytes_a_commit:,.0f} and {theirs.bytes_a_commit:,.0f} bytes "
            "written a commit")
    return Row(GROUP, name, ours.rate, theirs.rate, "commits/s", "SQLite", at_least=at_least, note=note,
               samples={"ours": ours.rates, "SQLite": theirs.rates, "median ms": median, "99th percentile ms": late})
