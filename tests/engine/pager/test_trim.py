"""Giving the end of the file back: nothing in use is lost, readers keep what they hold, whatever dies or loses power"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ..bare_pager import (
    FULL,
    NORMAL,
    BarePager,
    PagerError,
    apply,
    failpoint,
    logging,
    note,
    power_losses,
    random_changes,
    read_log,
)
from .test_power import bounds


def _grown(db: BarePager, values: int) -> list[int]:
    """A store whose file is mostly free."""
    held = [k + 1 for k in range(values)]
    db.commit(dict(enumerate(held)))
    for first in range(0, values, 40):
        db.commit(dict.fromkeys(range(first, min(first + 40, values - 3)), 0))
    return [0] * (values - 3) + held[-3:]


@pytest.mark.parametrize("page_size", [512, 8192])
def test_what_is_left_moves_to_the_front_and_the_file_ends_behind_it(tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, page_size, NORMAL) as db:
        values = _grown(db, 900)
        before = path.stat().st_size
        assert db.compact()
        stats = db.stats()
        assert db.values() == values
        db.check()
        assert stats["pages"] <= 1.05 * (stats["pages"] - stats["free"]) + 16
        assert path.stat().st_size == stats["bytes"] < before
        assert path.stat().st_size <= (stats["pages"] + 1) * page_size
        for k in range(200):                        # it grows again, over the numbers given up
            values = apply(values, {k: 5000 + k})
            db.commit({k: 5000 + k})
        assert db.values() == values
        db.check()
    with BarePager(path) as db:
        assert db.values() == values
        db.check()


def test_the_last_to_close_gives_back_what_the_file_had_grown_ahead(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 8192, NORMAL) as db:
        with BarePager(path) as other:
            for first in range(0, 6000, 500):
                db.commit({k: k + 1 for k in range(first, first + 500)})
        ahead = path.stat().st_size
        pages = db.stats()["pages"]
    assert ahead >= (pages << 13) + (3 << 20), "otherwise nothing was grown ahead"
    assert path.stat().st_size == (pages << 13) + (1 << 20)
    with BarePager(path) as db, BarePager(path) as other:
        for k in range(300):
            db.commit({k: 7})
        assert other.values() == [7] * 300 + list(range(301, 6001))
        db.check()


def test_a_reader_holds_the_end_of_the_file_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db, BarePager(path) as reader:
        db.commit({k: k + 1 for k in range(300)})
        reader.pin()
        seen = reader.pinned_values()
        db.commit(dict.fromkeys(range(297), 0))
        assert not db.compact(rounds=30)
        assert reader.pinned_values() == seen
        db.check()
        reader.unpin()
        assert db.compact()
        assert db.values() == [0] * 297 + seen[297:]
        db.check()


def test_a_reader_from_before_the_trim_reads_on(tmp_path: Path) -> None:
    """It holds a commit, but nothing behind the cut; the file is cut while it reads."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db, BarePager(path) as reader:
        values = _grown(db, 400)
        stats = db.stats()
        cut = stats["pages"] - stats["free"] + 8
        db.avoid(cut)
        while not db.move(cut, 16):
            pass
        reader.pin()
        for _ in range(40):
            if db.trim(cut):
                break
        assert db.truncate() > 0
        assert reader.pinned_values() == values
        reader.unpin()
        db.avoid(0)
        db.check()


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_histories_with_compaction_between_commits_and_readers(
    tmp_path: Path, rng: random.Random, synchronous: int
) -> None:
    path = tmp_path / "a.edb"
    db = BarePager(path, 512, synchronous)
    readers = [BarePager(path) for _ in range(3)]
    held: dict[BarePager, list[int]] = {}
    values: list[int] = []
    cut, shortened = 0, 0
    for i in range(1500):
        if rng.random() < 0.1:
            changes = {k: rng.randrange(1, 2**60) for k in range(len(values), len(values) + rng.randrange(60))}
        elif rng.random() < 0.1 and values:
            changes = dict.fromkeys(rng.sample(range(len(values)), min(len(values), 30)), 0)
        else:
            changes = random_changes(rng, len(values))
        if changes:
            db.commit(changes, wait=rng.random() < 0.5)
            values = apply(values, changes)
        for reader in readers:
            if reader in held and rng.random() < 0.5:
                assert reader.pinned_values() == held.pop(reader)
                reader.unpin()
            elif reader not in held and rng.random() < 0.2:
                reader.pin()
                held[reader] = reader.pinned_values()
        step = rng.random()
        if not cut and step < 0.1:
            stats = db.stats()
            cut = stats["pages"] - stats["free"] + rng.randrange(1, 30)
            db.avoid(cut)
        elif cut and step < 0.5:
            if db.move(cut, rng.choice((1, 4, 30))) and rng.random() < 0.7 and db.trim(cut):
                cut = 0
                db.avoid(0)
        elif cut and step < 0.53:
            cut = 0
            db.avoid(0)
        if rng.random() < 0.05:
            shortened += db.truncate() > 0
        if i % 50 == 0:
            assert db.values() == values
            db.check()
    assert shortened > 5
    for reader in readers:
        reader.close()
    db.close()
    with BarePager(path) as db:
        assert db.values() == values
        db.check()


def _record(path: Path, rng: random.Random, synchronous: int) -> list[list[int]]:
    """A logged history with compaction. -> the values after each commit number."""
    history: list[list[int]] = [[]]
    with BarePager(path, 512, synchronous) as db:
        for _ in range(12):
            size = rng.randrange(30, 120)
            for changes in ({k: rng.randrange(1, 2**60) for k in range(size)}, dict.fromkeys(range(size - 3), 0)):
                note(f"start {len(history)}")
                history.append(apply(history[-1], changes))
                db.commit(changes, wait=rng.random() < 0.5)
                note(f"durable {db.stats()['durable']}")
            stats = db.stats()
            cut = stats["pages"] - stats["free"] + 6
            db.avoid(cut)
            for _ in range(40):
                note(f"start {len(history)}")
                history.append(history[-1])
                whole = db.move(cut, 8)
                note(f"durable {len(history) - 1}")
                note(f"start {len(history)}")
                if whole and db.trim(cut):
                    history.append(history[-1])
                    note(f"durable {len(history) - 1}")
                    db.truncate()
                    break
            db.avoid(0)
    return history


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_power_losses_during_compaction(tmp_path: Path, rng: random.Random, synchronous: int) -> None:
    with logging(tmp_path / "log"):
        history = _record(tmp_path / "live.edb", rng, synchronous)
    log = read_log(tmp_path / "log")
    assert any(entry.kind == 6 for entry in log)
    first = next(i for i, entry in enumerate(log) if entry.data.startswith(b"start"))
    points = set(rng.sample(range(first, len(log)), min(150, len(log) - first)))
    for position, disk, notes in power_losses(log, points):
        least, most = bounds(notes)
        path = tmp_path / f"{position}.edb"
        path.write_bytes(disk.lose_power(rng))
        with BarePager(path) as db:
            number, _ = db.pin()
            assert least <= number <= most, f"position {position}: {number} of {least}..{most}"
            assert db.pinned_values() == history[number], f"position {position}, commit {number}"
            db.unpin()
            db.check()
            db.commit({0: 77})
            db.compact()
            assert db.values() == apply(history[number], {0: 77})
            db.check()
        path.unlink()


@pytest.mark.parametrize(
    "point", ["trim:cut", "trim:truncate", "commit:record-written", "commit:published", "commit:alloc"]
)
def test_a_process_killed_in_a_step_leaves_a_sound_file(tmp_path: Path, point: str) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db:
        values = _grown(db, 300)
        pid = os.fork()
        if not pid:
            with BarePager(path) as child, failpoint(lambda name: os.kill(os.getpid(), 9) if name == point else None):
                child.compact()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 9
        assert db.values() == values
        db.check()
        assert db.compact(), "the cut of a dead process hinders nobody"
        assert db.values() == values
        db.check()


def test_two_processes_do_not_compact_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db:
        _grown(db, 100)
        read, write = os.pipe()
        back, forth = os.pipe()
        pid = os.fork()
        if not pid:
            with BarePager(path) as child:
                child.avoid(50)
                os.write(write, b"1")
                os.read(back, 1)
            os._exit(0)
        os.read(read, 1)
        with pytest.raises(PagerError, match="another process is compacting") as error:
            db.avoid(60)
        assert error.value.name == "BUSY"
        os.write(forth, b"1")
        os.waitpid(pid, 0)
        assert db.compact()
