"""One row updated over and over: the file holds its history and little else, and every page has its place.

Commits: ENTITYDB_HOT_COMMITS (default 100,000), at `normal` unless ENTITYDB_HOT_SYNCHRONOUS=full.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from entitydb_dialect import driver

COMMITS = int(os.environ.get("ENTITYDB_HOT_COMMITS") or 100_000)
SYNCHRONOUS = os.environ.get("ENTITYDB_HOT_SYNCHRONOUS") or "normal"
MARGIN = 1 << 20


def history_bytes(count: int, value: int) -> int:
    """What `count` versions of a row (id, n, a text of `value` bytes) take as rows: no keys, directories, pages."""
    return count * (1 + 3 + 3 + 4 + value)


@pytest.mark.slow
def test_a_hot_row_takes_at_most_twice_its_history(tmp_path: Path, native: object) -> None:
    path = tmp_path / "hot.edb"
    db = driver.connect(path, isolation_level=None, synchronous=SYNCHRONOUS)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, v TEXT)")
    db.execute("INSERT INTO t VALUES (1, 0, ?)", ("v" * 100,))
    moments = []
    for n in range(1, COMMITS + 1):
        db.execute("UPDATE t SET n = ? WHERE id = 1", (n,))
        if n % (COMMITS // 10) == 0:
            moments.append((db.last_commit[1], n))
    stats = db.database.stats()
    assert stats["published"] >= COMMITS + 2
    breaches, counts = db.database.check()
    assert breaches == []
    first = -(-(8192 + 512 * 4096) // stats["page_size"])
    accounted = sum(counts[name] for name in ("pages_live", "pages_history", "pages_free", "pages_other"))
    assert first + accounted == stats["pages"], "each page once"
    for moment, n in moments:
        cursor = db.cursor()
        cursor.as_of = moment
        assert cursor.execute("SELECT n FROM t").fetchall() == [(n,)]
    db.close()
    stored = history_bytes(counts["versions"], 100)
    size = path.stat().st_size
    print(f"{COMMITS} commits: {size:,} bytes, {counts['versions']:,} stored versions of {stored:,} bytes, {counts}")
    assert size <= 2 * history_bytes(COMMITS, 100) + MARGIN
    assert path.stat().st_blocks * 512 <= 2 * history_bytes(COMMITS, 100) + MARGIN


@pytest.mark.slow
@pytest.mark.parametrize("readers", [0, 1])
def test_pages_are_used_again_beside_readers(tmp_path: Path, native: object, readers: int) -> None:
    """A connection that has read, and is between statements, keeps nothing from being used again."""
    path = tmp_path / "hot.edb"
    db = driver.connect(path, isolation_level=None, synchronous="normal")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    db.executemany("INSERT INTO t VALUES (?, 0)", [(i,) for i in range(2000)])
    others = [driver.connect(path) for _ in range(readers)]
    for other in others:
        other.execute("SELECT sum(n) FROM t").fetchall()        # its transaction stays open
    for n in range(2000):
        db.execute("UPDATE t SET n = n + 1 WHERE id = ?", (n,))
    stats = db.database.stats()
    _, counts = db.database.check()
    assert counts["pages_free"] < 100
    assert stats["free_pages"] <= counts["pages_free"]
    for other in others:
        assert other.execute("SELECT sum(n) FROM t").fetchall() == [(0,)]
        other.close()
    db.close()
