"""A power loss keeps any part of what was written since the last sync: exactly the acknowledged commits are there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ..bare_pager import (
    FULL,
    NORMAL,
    NOTE,
    RECORD_SIZE,
    RING,
    RING_OFFSET,
    SYNC_START,
    BarePager,
    Disk,
    apply,
    failpoint,
    logging,
    note,
    power_losses,
    random_changes,
    read_log,
)


def record(path: Path, log: Path, rng: random.Random, synchronous: int, commits: int, page_size: int = 512):
    """A logged history. -> values and time after each commit number."""
    history = [[]]
    with logging(log):
        db = BarePager(path, page_size, synchronous)
        reader = BarePager(path)
        for _ in range(commits):
            changes = random_changes(rng, len(history[-1]))
            if rng.random() < 0.03:         # a commit too long for its record
                changes.update({k: rng.randrange(1, 2**60) for k in range(len(history[-1]))})
            if rng.random() < 0.05:
                db.begin()
                for index, value in changes.items():
                    db.set(index, value)
                db.abort()
                continue
            note(f"start {len(history)}")
            history.append(apply(history[-1], changes))
            number, _ = db.commit(changes, wait=rng.random() < 0.8)
            assert number == len(history) - 1
            if synchronous == NORMAL and rng.random() < 0.02:
                db.wait(number, force=True)
            note(f"durable {db.stats()['durable']}")
            if rng.random() < 0.2:
                reader.pin()
            elif rng.random() < 0.4:
                reader.unpin()
        if rng.random() < 0.5:
            reader.close()
            db.close()
            note(f"durable {len(history) - 1}")
            db = BarePager(path)
            note(f"start {len(history)}")
            history.append(apply(history[-1], {0: 5}))
            db.commit({0: 5})
            note(f"durable {len(history) - 1}")
        else:
            reader.close()
    db.close()
    return history


def bounds(notes: list[str]) -> tuple[int, int]:
    """The newest commit that must be there, and the newest that may."""
    durable = [int(text.split()[1]) for text in notes if text.startswith("durable")]
    started = [int(text.split()[1]) for text in notes if text.startswith("start")]
    return max(durable, default=0), max(started, default=0)


def recover(image: bytes, path: Path, log: Path | None = None) -> tuple[int, list[int]]:
    path.write_bytes(image)
    if log:
        with logging(log), BarePager(path) as db:
            return db.pin()[0], db.pinned_values()
    with BarePager(path) as db:
        db.check()
        number, _ = db.pin()
        values = db.pinned_values()
        db.unpin()
        for k in range(3):                          # it can be written, and is whole after it
            values = apply(values, {0: 77 + k})
            assert db.commit({0: 77 + k})[0] == number + k + 1
            assert db.values() == values
        db.check()
    with BarePager(path) as db:
        assert db.values() == values
        db.check()
    return number, apply(values, {})


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
@pytest.mark.parametrize("round_", range(3))
def test_power_loss_keeps_exactly_the_acknowledged_commits(tmp_path, rng, synchronous, round_):
    history = record(tmp_path / "live.edb", tmp_path / "log", rng, synchronous, 250)
    log = read_log(tmp_path / "log")
    # Before the file exists whole there is nothing to lose.
    first = next(i for i, entry in enumerate(log) if entry.data.startswith(b"start"))
    points = set(rng.sample(range(first, len(log)), 40))
    kept = set()
    for position, disk, notes in power_losses(log, points):
        least, most = bounds(notes)
        path = tmp_path / f"{position}.edb"
        path.write_bytes(disk.lose_power(rng))
        with BarePager(path) as db:
            number, _ = db.pin()
            assert least <= number <= most, f"position {position}: {number} of {least}..{most}"
            assert db.pinned_values() == history[number], f"position {position}, commit {number}"
        kept.add(number - least)
        number2, _ = recover(path.read_bytes(), path)
        assert number2 == number
        path.unlink()
    assert synchronous == FULL or len(kept) > 1     # else the test lost nothing of what it might


@pytest.mark.slow
def test_power_loss_in_recovery_changes_nothing(tmp_path, rng):
    """Cut short, recovery is repeated, with a result that never takes back what the first could have shown."""
    history = record(tmp_path / "live.edb", tmp_path / "log", rng, NORMAL, 150)
    log = read_log(tmp_path / "log")
    first = next(i for i, entry in enumerate(log) if entry.data.startswith(b"start"))
    for position, disk, notes in power_losses(log, set(rng.sample(range(first, len(log)), 15))):
        least, most = bounds(notes)
        path, second = tmp_path / f"{position}.edb", tmp_path / f"{position}.log"
        image = disk.lose_power(rng)
        number, values = recover(image, path, second)
        assert least <= number <= most
        assert values == history[number]
        again = read_log(second)
        for _, disk2, _ in power_losses(again, set(range(len(again)))):
            disk2.image = disk2.image or bytearray(image)
            number2, _ = recover(disk2.lose_power(rng), tmp_path / "again.edb")
            assert number2 == number


def test_records_after_a_gap_are_void_for_ever(tmp_path):
    """Their numbers are used again: a stale record must not be taken for the next commit of the new history."""
    with logging(tmp_path / "log"):
        db, reader = BarePager(tmp_path / "live.edb", 512, NORMAL), BarePager(tmp_path / "live.edb")
        for i in range(10):
            db.commit({i: i + 1})
            if i == 2:
                db.wait(3, force=True)
            if i == 3:
                reader.pin()                        # keeps the pages of commit 4 from being written over
        reader.close()
        db.close()
    log = read_log(tmp_path / "log")
    last_sync = [i for i, e in enumerate(log) if e.kind == SYNC_START][-1]
    _, disk, _ = next(power_losses(log, {last_sync}))
    for entry in disk.waiting:
        if entry.offset != RING_OFFSET + 5 * RECORD_SIZE:
            disk.apply(entry)
    path = tmp_path / "left.edb"
    path.write_bytes(bytes(disk.image))
    with BarePager(path) as db:
        assert db.pin()[0] == 4
        assert db.pinned_values() == [1, 2, 3, 4]
        db.unpin()
        db.commit({})                               # writes no page, so nothing of the stale ones is spoiled
        # As a power loss right here leaves it, had the zeroing not been synced before.
        (tmp_path / "copy.edb").write_bytes(path.read_bytes())
    with BarePager(tmp_path / "copy.edb") as db:
        assert db.pin()[0] == 5
        assert db.pinned_values() == [1, 2, 3, 4]
        db.check()


@pytest.mark.slow
def test_what_recovery_needs_survives_the_wrap_of_the_ring(tmp_path, rng):
    """Hundreds of commits under `normal` with few syncs; then all that a wrapped slot could tear is torn."""
    with logging(tmp_path / "log"):
        db = BarePager(tmp_path / "live.edb", 512, NORMAL)
        for i in range(700):
            db.commit({0: i + 1}, wait=False)
            note(f"durable {db.stats()['durable']}")
        assert db.stats()["syncs"] >= 700 // 256
        db.close()
    log = read_log(tmp_path / "log")
    notes_at = [i for i, e in enumerate(log) if e.kind == NOTE]
    for _, disk, notes in power_losses(log, set(rng.sample(notes_at[100:], 30))):
        least, _ = bounds(notes)
        # The records written last are torn, the others lost: nothing says any more what was durable.
        records = [e for e in disk.waiting if e.size == RECORD_SIZE and e.offset < RING_OFFSET + RING * RECORD_SIZE]
        torn = Disk(bytearray(disk.image))
        for entry in records:
            torn.apply(entry, [rng.randrange(1, 4)])
        path = tmp_path / "left.edb"
        path.write_bytes(bytes(torn.image))
        with BarePager(path) as db:
            number, _ = db.pin()
            assert number >= least
            assert db.pinned_values() == ([number] if number else [])
        path.unlink()


def test_commits_beside_a_sync_leave_its_pages_alone(tmp_path):
    """Between the disk's answer and the new durable number, commits must not write over what was just promised."""
    with logging(tmp_path / "log"):
        db, beside = BarePager(tmp_path / "live.edb", 512, NORMAL), BarePager(tmp_path / "live.edb")
        for i in range(5):
            db.commit({0: i + 1}, wait=False)
        busy = []

        def action(name):
            if name == "sync:after" and not busy:
                busy.append(name)
                for i in range(8):
                    beside.commit({0: 100 + i}, wait=False)

        with failpoint(action):
            db.wait(5, force=True)
        assert busy
        assert db.stats()["durable"] == 5
        note("promised")
        log = read_log(tmp_path / "log")
        _, disk, _ = next(power_losses(log, {len(log) - 1}))
        beside.close()
        db.close()
    for entry in disk.waiting:
        if not RING_OFFSET <= entry.offset < RING_OFFSET + RING * RECORD_SIZE:
            disk.apply(entry)                       # the pages are kept, the records lost
    path = tmp_path / "left.edb"
    path.write_bytes(bytes(disk.image))
    with BarePager(path) as db:
        assert db.pin()[0] == 5
        assert db.pinned_values() == [5]
