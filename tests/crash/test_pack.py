"""Packing that fails: no memory, no room, errors of the disk, power losses, also one right after another."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from driver.test_exhausted_memory import memory_faults
from engine.bare_pager import (
    SYNC,
    SYNC_START,
    WRITE,
    Entry,
    failpoint,
    logging,
    note,
    power_losses,
    read_log,
)
from engine.upkeep.histories import History, connect, contents
from entitydb_dialect import driver
from format.reader import File
from format.test_reader import every_page_once

ERASE = "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', ?)"
Moments = list[tuple[int, Any]]
Made = tuple[Path, Moments]


def fill(history: History, rounds: int) -> None:
    """Updates of small rows, remembered."""
    for n in range(rounds):
        row = (f"{n % 10}", history.rng.randbytes(12), n % 5)
        history.db.execute("UPDATE t SET a = a || ?, b = ? WHERE id % 5 = ?", row)
        history.moments.append((history.db.last_commit[1], contents(history.db)))


@pytest.fixture
def made(tmp_path: Path, rng: random.Random, native: Any) -> Made:
    """A file with two strips, and as much that is not packed; its moments."""
    history = History(tmp_path / "made.edb", rng, 512)
    history.db.executemany("INSERT INTO t VALUES (?, 'a', ?)", [(i, b"b" * 20) for i in range(80)])
    fill(history, 20)
    history.db.execute("DELETE FROM t WHERE id = 78")
    fill(history, 20)
    history.db.database.pack()
    fill(history, 20)
    history.db.database.pack()
    fill(history, 30)
    history.db.close()
    return history.path, history.moments


def judge(path: Path, moments: Moments, *, packs: bool = True) -> None:
    with closing(connect(path)) as db:
        for moment, expected in moments[::9]:
            assert contents(db, moment) == expected
        assert db.database.check()[0] == []
        if packs:
            db.database.pack()
            assert db.database.check()[0] == []
            assert contents(db, moments[3][0]) == moments[3][1]
    every_page_once(File(path.read_bytes()))


def pack(db: driver.Connection) -> None:
    db.database.pack()


def compact(db: driver.Connection) -> None:
    db.database.compact()


def prune(db: driver.Connection) -> None:
    """To 35 commits ago, those of upkeep included, or to the newest that changed a row: it stays."""
    (changed,) = db.execute("SELECT max(id) FROM entitydb_transactions WHERE rows_changed > 0").fetchone()
    db.database.prune(min(changed, db.database.newest_commit() - 35))


def erase(db: driver.Connection) -> None:
    db.execute("BEGIN")
    try:
        db.execute(ERASE, (78,))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("work", [pack, compact, erase])
def test_memory_that_runs_out(
    made: Made, tmp_path: Path, rng: random.Random, native: Any, work: Callable[[driver.Connection], None], on: bool
) -> None:
    """A few dozen allocations fail, each in a file of its own: it is sound, in this process and in the next."""
    path, (original, moments), lib = tmp_path / "a.edb", made, native.lib
    gone = without(moments, 78) if work is erase else moments
    n, met, failed = 1, True, 0
    while met:
        shutil.copy(original, path)
        with closing(connect(path)) as db:
            fill_some(db)
            error: BaseException | None = None
            lib.test_alloc_fail(n, on)
            try:
                work(db)
            except (driver.Error, MemoryError) as failure:
                error = failure
            finally:
                met = int(lib.test_alloc_passed()) >= n
                lib.test_alloc_fail(0, False)
            then = moments if error else gone
            assert contents(db, then[5][0]) == then[5][1]
        failed += error is not None
        judge(path, then, packs=False)
        n += rng.randrange(1, 2 + n // 2)
    assert failed > 10
    assert error is None
    judge(path, gone)


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_reading_packed_history_without_memory(made: Made, on: bool) -> None:
    from entitydb_dialect._native import lib

    path, moments = made
    with closing(connect(path)) as db:
        moment, expected = moments[12]

        def read() -> Any:
            lib.cache_limit(0)
            return contents(db, moment)

        before = 64 << 20
        failed = 0
        for found, error in memory_faults(read, on):
            assert error is not None or found == expected
            failed += error is not None
        lib.cache_limit(before)
        assert failed
    judge(path, moments)


POINTS = ("pack:packed", "pack:stored", "pack:prepared", "commit:alloc", "commit:prepared", "commit:to-file")


@pytest.mark.parametrize("how", ["IO", "FULL"])
@pytest.mark.parametrize("point", POINTS)
def test_an_error_of_the_disk(made: Made, rng: random.Random, point: str, how: str) -> None:
    """Nothing is lost, and packing goes on where it was."""
    path, moments = made
    nth, met = rng.randrange(9) if point == "commit:alloc" else 0, [0]

    def fail(name: str) -> str | None:
        met[0] += name == point
        return how if name == point and met[0] > nth else None

    with closing(connect(path)) as db:
        fill_some(db)
        with failpoint(fail):
            with pytest.raises(driver.OperationalError) as caught:
                db.database.pack()
        assert caught.value.engine_name == how
        for moment, expected in moments[::9]:
            assert contents(db, moment) == expected
        assert db.database.check()[0] == []
        assert db.database.pack().windows
    judge(path, moments)


def fill_some(db: driver.Connection) -> None:
    """Small commits, whose pages lie in memory."""
    for n in range(12):
        db.execute("UPDATE t SET b = ? WHERE id % 5 = ?", (str(n), n % 5))


def test_a_sync_that_fails(made: Made) -> None:
    """Nobody knows what is on the disk: the database demands to be reopened."""
    path, moments = made
    with closing(connect(path)) as db:
        with failpoint(lambda name: "IO" if name.startswith("sync:before") else None):
            with pytest.raises(driver.OperationalError):
                db.database.pack()
        with pytest.raises(driver.OperationalError, match="reopen"):
            db.execute("DELETE FROM t")
    judge(path, moments)


# ---- power losses ---------------------------------------------------------------------------------------------------


def logged(image: bytes, log: Path) -> list[Entry]:
    """What was written to a file that had been this. The log is used up."""
    before = [Entry(WRITE, 0, 0, len(image), image), Entry(SYNC_START, 0, 0, 0, b""), Entry(SYNC, 0, 0, 0, b"")]
    entries = read_log(log)
    log.unlink()
    return before + entries


def without(moments: Moments, row: int) -> Moments:
    return [(moment, [[one for one in rows if one[0] != row] for rows in then]) for moment, then in moments]


def holds(path: Path, before: Moments, after: Moments) -> None:
    """All moments that are kept are there; of what is erased meanwhile all of them show it, or none does."""
    with closing(connect(path)) as db:
        found: list[tuple[int, Any]] = []
        for moment, _ in before:
            try:
                found.append((moment, contents(db, moment)))
            except driver.HorizonError:
                assert not found, "history goes from the front"
        assert found
        assert found in (before[-len(found) :], after[-len(found) :])
        assert contents(db) == before[-1][1]
        assert db.database.check()[0] == []
        assert db.database.verify().breaks == ()


@pytest.mark.slow
def test_power_losses_among_packing_pruning_erasing_and_compacting(
    tmp_path: Path, rng: random.Random, native: Any
) -> None:
    """What is acknowledged stays; and so it does when the power is lost again while the file is opened and packed."""
    history = History(tmp_path / "live.edb", rng, 512)
    history.db.executemany("INSERT INTO t VALUES (?, 'a', ?)", [(i, b"b" * 20) for i in range(80)])
    path, again = tmp_path / "left.edb", tmp_path / "again.edb"
    losses = 0
    for round_ in range(6):
        fill(history, rng.randrange(10, 40))
        if round_ % 2:
            row = 7 + round_
            history.db.execute("DELETE FROM t WHERE id = ?", (row,))
            history.moments.append((history.db.last_commit[1], contents(history.db)))
        history.db.close()                              # everything is durable
        image = history.path.read_bytes()
        both = [history.moments, without(history.moments, row if round_ % 2 else -1)]
        with logging(tmp_path / "log"):
            history.db = connect(history.path)
            note("begin")
            work = rng.choices((pack, compact, prune), (5, 2, 0 if round_ % 2 else 1), k=4)
            for what in work:
                what(history.db)
            if round_ % 2:
                history.db.execute(ERASE, (row,))
                history.moments = both[1]
                pack(history.db)
            note("end")
            history.db.close()
        log = logged(image, tmp_path / "log")
        first, last = (next(i for i, entry in enumerate(log) if entry.data == mark) for mark in (b"begin", b"end"))
        for _, disk, _ in power_losses(log, set(rng.sample(range(first, last), min(12, last - first)))):
            left = disk.lose_power(rng)
            path.write_bytes(left)
            Path(f"{path}-lock").unlink(missing_ok=True)
            with logging(tmp_path / "second"):
                with closing(connect(path)) as db:
                    db.database.pack()
            holds(path, *both)
            losses += 1
            second = logged(left, tmp_path / "second")
            for _, other, _ in power_losses(second, set(rng.sample(range(3, len(second)), min(2, len(second) - 3)))):
                again.write_bytes(other.lose_power(rng))
                Path(f"{again}-lock").unlink(missing_ok=True)
                holds(again, *both)
                losses += 1
        history.db = connect(history.path)
        file = File(history.path.read_bytes())
        history.moments = [one for one in history.moments if file.number_at(one[0]) >= file.base.horizon]
    history.judge()
    history.db.close()
    every_page_once(File(history.path.read_bytes()))
    assert losses > 20
