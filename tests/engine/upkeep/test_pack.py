"""edb_pack: every moment reads as before, whatever happens beside it or afterwards, and the file gets smaller."""

from __future__ import annotations

import os
import random
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from format.reader import COLD_PACKED, File

from ..bare_pager import failpoint, logging, note, power_losses, read_log
from .histories import PAGE_SIZES, History, connect, contents, is_short, packed_bytes

POINTS = ("pack:packed", "pack:stored", "pack:prepared", "pack:published")


def used_pages(db: driver.Connection) -> int:
    """Without those of header and ring."""
    stats = db.database.stats()
    return stats["pages"] - stats["free_pages"] - (8192 + 512 * 4096) // stats["page_size"]


def small_rows(path: Path, page_size: int, rng: random.Random, rounds: int = 40) -> History:
    """Many versions of rows of a usual size."""
    history = History(path, rng, page_size)
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"a{i}", b"b" * 30) for i in range(400)])
    for n in range(rounds):
        history.db.execute("UPDATE t SET a = a || ?, b = ? WHERE id % 7 = ?", (n % 10, rng.randbytes(20), n % 7))
        history.moments.append((history.db.last_commit[1], contents(history.db)))
    return history


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_it_takes_less_room_and_moments_read_as_before(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = small_rows(tmp_path / "a.edb", page_size, rng)
    before, versions = used_pages(history.db), history.db.database.check()[1]["versions"]
    shares: list[float] = []
    done = history.db.database.pack(shares.append)
    assert done.windows
    assert done.pages
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 1
    assert used_pages(history.db) < 0.85 * before
    assert history.db.database.check()[1]["versions"] == versions
    history.judge()
    assert history.db.database.pack() == driver.Packed(0, 0)
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_random_histories_packed_pruned_and_compacted(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    for _ in range(12):
        history.grow(rng.randrange(5, 40))
        for what in rng.sample(("pack", "pack", "prune", "compact"), rng.randrange(1, 4)):
            if what == "prune":
                history.prune()
            else:
                getattr(history.db.database, what)()
        history.judge()


def test_small_windows_become_large_ones(tmp_path: Path, rng: random.Random) -> None:
    history = small_rows(tmp_path / "a.edb", 512, rng, 120)
    done = history.db.database.pack()
    file = File(history.path.read_bytes())
    strips = list(file.strips.values())
    assert max(strip.ids for strip in strips) > 3 * 256
    assert done.windows > len(strips)
    assert done.pages > sum(cold.kind == COLD_PACKED for cold in file.cold.values())   # some twice
    history.judge()


def test_history_of_small_commits_is_packed_at_once(tmp_path: Path, rng: random.Random) -> None:
    """Their pages lie in memory until there is a page record: packing makes one, and no other when asked again."""
    history = History(tmp_path / "a.edb", rng, 512)
    history.db.executemany("INSERT INTO t VALUES (?, 'a', ?)", [(i, b"b" * 30) for i in range(60)])
    for n in range(40):
        history.db.execute("UPDATE t SET a = ? WHERE id % 3 = ?", (f"a{n}", n % 3))
        history.moments.append((history.db.last_commit[1], contents(history.db)))
    assert history.db.database.pack().windows
    newest = history.db.database.stats()["published"]
    history.judge()
    assert history.db.database.pack() == driver.Packed(0, 0)
    assert history.db.database.stats()["published"] == newest


def test_a_reader_goes_on_where_it_is(tmp_path: Path, rng: random.Random) -> None:
    history = small_rows(tmp_path / "a.edb", 512, rng)
    moment, (rows, by_a, _) = history.moments[10]
    reader = connect(history.path)
    cursors = [(reader.cursor(), sql, expected) for sql, expected in
               (("SELECT * FROM t ORDER BY id", rows), ("SELECT id FROM t ORDER BY a, id", by_a))]
    for cursor, sql, expected in cursors:
        cursor.as_of = moment
        assert cursor.execute(sql).fetchmany(3) == expected[:3]
    history.db.database.pack()
    history.db.database.compact()
    for cursor, _, expected in cursors:
        assert cursor.fetchall() == expected[3:]
    reader.close()
    history.judge()


def test_values_that_sqlite_keeps_survive_the_cursor(tmp_path: Path, rng: random.Random) -> None:
    """max() and bare columns hold a text of a row long after the cursor has left its page."""
    db = connect(tmp_path / "a.edb", page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"{i:030}") for i in range(3000)])
    moment = db.last_commit[1]
    for n in range(6):
        db.execute("UPDATE t SET a = 'later' || ? || id", (n,))
    db.database.pack()
    assert db.database.stats()["pages"]
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute("SELECT min(a), max(a) FROM t").fetchall() == [(f"{0:030}", f"{2999:030}")]
    assert cursor.execute("SELECT min(id + 0), a FROM t").fetchall() == [(0, f"{0:030}")]
    assert cursor.execute("SELECT a FROM t ORDER BY -id LIMIT 1").fetchall() == [(f"{2999:030}",)]
    joined = "SELECT count(*), max(x.a), min(y.a) FROM t x JOIN t y ON y.id = 2999 - x.id WHERE x.a <> y.a"
    assert cursor.execute(joined).fetchall() == [(3000, f"{2999:030}", f"{0:030}")]
    db.close()


def test_the_cache_stays_within_its_bound_while_a_scan_of_the_past_goes_on(tmp_path: Path) -> None:
    from entitydb_dialect._native import ffi, lib

    def counts() -> Any:
        out = ffi.new("test_cache_counts *")
        lib.test_cache_count(out)
        return out

    db = connect(tmp_path / "a.edb", page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"{i:030}") for i in range(20_000)])
    moment = db.last_commit[1]
    db.execute("UPDATE t SET a = 'later' || id")
    db.database.pack()
    before = int(counts().limit)
    lib.cache_limit(100 * 512)
    try:
        cursor = db.cursor()
        cursor.as_of = moment
        cursor.execute("SELECT a FROM t")
        most = 0
        while rows := cursor.fetchmany(500):
            assert len(rows) == 500
            most = max(most, int(counts().bytes))
        assert 0 < most <= 250 * 512
    finally:
        lib.cache_limit(before)
    db.close()


@pytest.mark.parametrize("what", ["erase", "prune", "compact", "pack", "write"])
def test_what_others_do_between_reading_and_publishing_stays_done(
    tmp_path: Path, rng: random.Random, what: str
) -> None:
    """A window was read and packed, and is not published where the list of cold ids has changed since."""
    history = small_rows(tmp_path / "a.edb", 512, rng, 20)
    for n in range(20):
        history.db.execute("INSERT OR REPLACE INTO t VALUES (77, ?, ?)", (f"Marker {n}", b"Marker"))
        history.moments.append((history.db.last_commit[1], contents(history.db)))
        history.db.execute("UPDATE t SET b = ? WHERE id % 7 = ?", (rng.randbytes(20), n % 7))
    history.db.execute("DELETE FROM t WHERE id = 77")
    other, met = connect(history.path), list[str]()

    def interfere(name: str) -> None:
        if name != "pack:packed" or len(met) == 3:
            return
        met.append(name)
        if len(met) < 3:                            # the third window, when others are in strips
            return
        if what == "erase":
            other.execute("INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', 77)")
            history.moments = [(moment, [[row for row in rows if row[0] != 77] for rows in then])
                               for moment, then in history.moments]
        elif what == "prune":
            numbers = [other.database.resolve(moment)[0] for moment, _ in history.moments]
            reached = other.database.prune(numbers[-3])["horizon"]     # what was read, too
            history.moments = [one for number, one in zip(numbers, history.moments, strict=True) if number >= reached]
            assert len(history.moments) < len(numbers)
        elif what == "write":
            other.execute("UPDATE t SET b = 'w' WHERE id % 2")
        else:
            getattr(other.database, what)()

    with failpoint(interfere):
        history.db.database.pack()
    assert len(met) == 3
    history.judge()
    history.db.database.pack()
    assert history.db.database.compact().bytes_held == 0
    history.judge()
    if what == "erase":
        assert b"Marker" not in history.path.read_bytes()
        assert not any(b"Marker" in one for one in packed_bytes(File(history.path.read_bytes())))
    other.close()


def in_child(work: Callable[[], None], point: str, nth: int) -> int:
    """Does it in another process, which is killed when it comes to the point for the nth time. -> its status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    met = [0]

    def kill(name: str) -> None:
        met[0] += name == point
        if met[0] > nth:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with failpoint(kill):
            work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("point", [*POINTS, "commit:record-written"])
def test_killed_at_any_step_it_leaves_a_sound_file(tmp_path: Path, rng: random.Random, point: str) -> None:
    history = small_rows(tmp_path / "a.edb", 512, rng)
    history.db.close()

    def pack() -> None:
        db = connect(history.path)
        db.database.pack()
        db.close()

    assert in_child(pack, point, rng.randrange(3)) == signal.SIGKILL
    history.db = connect(history.path)
    history.judge()
    assert history.db.database.pack().windows
    history.judge()


@pytest.mark.slow
def test_power_losses_during_it_lose_nothing(tmp_path: Path, rng: random.Random) -> None:
    with logging(tmp_path / "log"):
        history = small_rows(tmp_path / "live.edb", 512, rng)
        history.db.close()                          # everything is durable
        history.db = connect(history.path)
        now = contents(history.db)
        note("begin")
        history.db.database.pack()
        history.db.database.compact()
        note("end")
        history.db.close()
    log = read_log(tmp_path / "log")
    first, last = (next(i for i, entry in enumerate(log) if entry.data == mark) for mark in (b"begin", b"end"))
    for position, disk, _ in power_losses(log, set(rng.sample(range(first, last), min(60, last - first)))):
        left = tmp_path / f"{position}.edb"
        left.write_bytes(disk.lose_power(rng))
        db = connect(left)
        assert contents(db) == now
        for moment, expected in history.moments[::5]:
            assert contents(db, moment) == expected
        db.database.pack()
        assert db.database.check()[0] == []
        for moment, expected in history.moments[::5]:
            assert contents(db, moment) == expected
        db.close()
        left.unlink()


@pytest.mark.slow
def test_readers_writers_and_a_second_packer_beside_it(tmp_path: Path, rng: random.Random) -> None:
    history = small_rows(tmp_path / "a.edb", 512, rng)

    def pack(db: driver.Connection, _: random.Random) -> None:
        db.database.pack()

    with history.beside(history.read, history.read, history.write, pack):
        for _ in range(10):
            history.db.database.pack()
            history.db.execute("UPDATE t SET b = ? WHERE id < 400", (rng.randbytes(20),))
    history.judge()


def test_what_does_not_get_smaller_stays(tmp_path: Path, rng: random.Random) -> None:
    """Leaves with large values in chains are not packed."""
    db = connect(tmp_path / "a.edb", page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB)")
    db.executemany("INSERT INTO t VALUES (?, 'a', ?)", [(i, rng.randbytes(600)) for i in range(40)])
    moment = db.last_commit[1]
    rows = db.execute("SELECT * FROM t").fetchall()
    for n in range(5):
        db.execute("UPDATE t SET a = ?", (str(n),))
    assert db.database.pack() == driver.Packed(0, 0)
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute("SELECT * FROM t").fetchall() == rows
    db.close()


def test_a_memory_database_is_packed_too() -> None:
    db = driver.connect(isolation_level=None)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x" * 50) for i in range(2000)])
    moment = db.last_commit[1]
    for n in range(5):
        db.execute("UPDATE t SET a = ? || id", (n,))
    assert db.database.pack().windows
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute("SELECT count(*), min(a), max(a) FROM t").fetchall() == [(2000, "x" * 50, "x" * 50)]
    assert db.database.check()[0] == []
    db.close()


def test_one_that_cannot_write_says_so(tmp_path: Path, rng: random.Random) -> None:
    history = small_rows(tmp_path / "a.edb", 512, rng, 5)
    history.db.close()
    db = driver.connect(str(history.path), read_only=True)
    with pytest.raises(driver.OperationalError, match="readonly"):
        db.database.pack()
    db.close()
