"""One writer at full beside the disk: how many commits a second, how late the last in a thousand, how many bytes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict

from .items import made, remove_all
from .measure import Row, Setting, show
from .writer_group import Writer, committed, in_window, ordered
from .writer_process import Task

GROUP = "writers"
# Bytes that a commit wrote at 414f370, when each wrote its pages, by the number of indexes: as many commits on one row.
BEFORE = {0: 36_805, 3: 94_614}


def against_the_disk(setting: Setting, writer: list[Writer]) -> Iterator[Row]:
    """Rows near each other, and rows of which no two share a page."""
    small, large = setting.size(8_000, 1_000), setting.size(1_000_000, 20_000)
    for rows, what, bound in ((small, f"{small:,} rows", 0.9), (large, f"{large:,} scattered rows", 0.75)):
        show(f"writers: one-row commits on {what} beside the disk")
        files = made(setting, "limit", rows, 0)
        ring = setting.folder / "ring"
        sides = {**files, "disk": ring}
        tasks = [[Task(side, str(path), "full", 1, rows, 1, False, setting.tuned)] for side, path in sides.items()]
        try:
            did = committed(writer, tasks, setting.size(5, 1), 0.05 if setting.quick else 1)
        finally:
            remove_all(files)
            ring.unlink(missing_ok=True)
        samples = {name: side.rates for name, side in did.items()}
        yield Row(GROUP, f"one-row commits at full on {what}", did["ours"].rate, did["disk"].rate, "commits/s",
                  "the disk: 4 KiB in place and fdatasync", samples=samples, at_least=bound)
        for other in ("SQLite", "disk"):
            yield Row(GROUP, f"the slowest in a thousand of them, {what}", did["ours"].quantile(0.999),
                      did[other].quantile(0.999), "s", other)


def on_one_row(setting: Setting, writer: list[Writer]) -> Iterator[Row]:
    """Bytes that commits have the disk write, all of them changing one row."""
    for indexes, count in ((0, setting.size(100_000, 500)), (3, setting.size(10_000, 500))):
        name = f"bytes of a commit, {count:,} on one row, {'three indexes' if indexes else 'no index'}"
        show(f"writers: {name}")
        files = made(setting, "one row", 8_000, indexes)
        try:
            ordered(writer, [{"open": asdict(Task("ours", str(files["ours"]), "full", 1, 1, 1, False))}])
            done = in_window(writer, "ours", sys.maxsize, most=count)[0]
            ordered(writer, [{"close": "ours"}])
        finally:
            remove_all(files)
        yield Row(GROUP, name, done.written_bytes / count, BEFORE[indexes], "bytes", "when commits wrote their pages",
                  at_most=0.1)
