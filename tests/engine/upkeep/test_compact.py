"""edb_compact and VACUUM: the file gets short, every moment reads as before, who works beside it notices nothing."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from entitydb_dialect import driver

from ..bare_pager import failpoint, logging, note, power_losses, read_log
from .histories import PAGE_SIZES, History, connect, contents, is_short


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_the_file_gets_short_and_every_moment_reads_as_before(
    tmp_path: Path, rng: random.Random, page_size: int
) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    history.leave_free()
    before = history.path.stat().st_size
    shares: list[float] = []
    done = history.db.database.compact(shares.append)
    assert shares == sorted(shares) or len(shares) > 3
    assert all(0 <= share <= 1 for share in shares)
    assert done.bytes_before == before
    assert done.bytes_after == history.path.stat().st_size <= 1.05 * done.bytes_needed + (1 << 20)
    assert is_short(history.db)
    history.judge()
    history.commit(20)
    history.judge()


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_random_histories_with_compaction_between(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    for _ in range(8):
        history.grow(rng.randrange(5, 30))
        history.db.execute("VACUUM")
        assert is_short(history.db)
        history.judge()


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_what_was_pruned_leaves_the_file(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    shorter = 0
    for _ in range(8):
        history.grow(rng.randrange(5, 40))
        history.prune()
        history.judge()
        done = history.db.database.compact()
        shorter += done.bytes_after < done.bytes_before
        assert is_short(history.db)
        history.judge()
    assert shorter > 3


@pytest.mark.slow
def test_readers_and_writers_beside_it(tmp_path: Path, rng: random.Random) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.grow(60)
    with history.beside(history.read, history.read, history.write):
        for _ in range(4):
            history.db.database.compact()
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


@pytest.mark.slow
def test_it_ends_and_lengthens_nothing_while_a_reader_holds_all_room(tmp_path: Path, rng: random.Random) -> None:
    """Small rows, large values and strips alike lie behind the cut, and what is free before it the reader may need."""
    history = History(tmp_path / "a.edb", rng, 512)
    rows = [(i, "y", rng.randbytes(20)) for i in range(1000, 2500)]
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    with history.held():
        for n in range(20):
            history.db.execute("UPDATE t SET b = ? WHERE id >= 1000 AND id % 20 = ?", (rng.randbytes(9), n))
            history.db.execute("INSERT OR REPLACE INTO big VALUES (?, ?)", (n, rng.randbytes(30_000)))
            history.commit(4)
        before = history.db.database.stats()
        assert before["free_pages"] > 200
        history.db.database.compact()
        history.db.database.compact()
        assert history.db.database.stats()["pages"] <= before["pages"] * 5 // 4
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


def test_an_exception_in_progress_ends_it_and_leaves_a_sound_file(tmp_path: Path, rng: random.Random) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.leave_free()

    class EnoughError(Exception):
        pass

    def stop(_: float) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        history.db.database.compact(stop)
    history.judge()
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


def test_pages_that_are_not_packed_move_out_of_the_middle_of_a_strip(tmp_path: Path, rng: random.Random) -> None:
    """Leaves with large values stay as they are, between others that are packed."""
    history = History(tmp_path / "a.edb", rng, 512)
    rows = [(i, "y", rng.randbytes(700 if i % 50 == 0 else 20)) for i in range(1000, 2500)]
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    with history.held():                            # nothing that is free is used meanwhile
        for n in range(30):
            history.db.execute("UPDATE t SET a = a || ? WHERE id % 30 = ?", (n % 10, n))
    assert history.db.database.pack().windows
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


@pytest.mark.parametrize("point", ["commit:record-written", "commit:published", "trim:cut", "trim:truncate"])
def test_killed_at_any_step_it_leaves_a_sound_file(tmp_path: Path, rng: random.Random, point: str) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.leave_free()
    history.db.close()
    nth = rng.randrange(4) if point.startswith("commit") else 0
    pid = os.fork()
    if not pid:
        met = [0]

        def kill(name: str) -> None:
            if name == point:
                met[0] += 1
                if met[0] > nth:
                    os.kill(os.getpid(), signal.SIGKILL)

        db = connect(history.path)
        with failpoint(kill):
            db.database.compact()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == signal.SIGKILL or nth
    history.db = connect(history.path)
    history.judge()
    history.db.database.compact()
    assert is_short(history.db)
    history.judge()


@pytest.mark.slow
def test_power_losses_during_it_lose_nothing(tmp_path: Path, rng: random.Random) -> None:
    with logging(tmp_path / "log"):
        history = History(tmp_path / "live.edb", rng, 512)
        history.leave_free()
        history.db.close()                          # everything is durable
        history.db = connect(history.path)
        now = contents(history.db)
        note("begin")
        history.db.database.compact()
        note("end")
        assert contents(history.db) == now
        history.db.close()
    log = read_log(tmp_path / "log")
    first, last = (next(i for i, entry in enumerate(log) if entry.data == mark) for mark in (b"begin", b"end"))
    for position, disk, _ in power_losses(log, set(rng.sample(range(first, last), min(60, last - first)))):
        left = tmp_path / f"{position}.edb"
        left.write_bytes(disk.lose_power(rng))
        db = connect(left)
        assert contents(db) == now
        for moment, expected in history.moments:
            assert contents(db, moment) == expected
        db.database.compact()
        assert db.database.check()[0] == []
        assert is_short(db)
        assert contents(db) == now
        db.close()
        left.unlink()


def test_vacuum_is_a_statement_of_its_own(tmp_path: Path, rng: random.Random) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.grow(30)
    db = history.db
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (9999, 'a', NULL)")
    with pytest.raises(driver.OperationalError, match="cannot VACUUM from within a transaction"):
        db.execute("VACUUM")
    db.execute("ROLLBACK")
    with pytest.raises(driver.OperationalError, match="unknown database nowhere"):
        db.execute("VACUUM nowhere")
    with pytest.raises(driver.OperationalError, match="syntax error"):
        db.execute("VACUUM main main")
    db.execute("VACUUM main;")
    assert is_short(db)
    history.judge()


def test_a_memory_database_gives_memory_back() -> None:
    db = driver.connect(isolation_level=None)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, bytes(100)) for i in range(500)])
    db.execute("VACUUM")
    assert db.execute("SELECT count(*), sum(length(b)) FROM t").fetchall() == [(500, 50_000)]
    assert db.database.check()[0] == []


def test_one_that_cannot_write_says_so(tmp_path: Path, rng: random.Random) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.grow(5)
    history.db.close()
    db = driver.connect(str(history.path), read_only=True)
    with pytest.raises(driver.OperationalError, match="readonly"):
        db.database.compact()
    db.close()
