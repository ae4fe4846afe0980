"""Several processes: killed, stopped and forked at every named point, while others go on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..bare_pager import (
    DURABLE,
    FULL,
    NONE,
    NORMAL,
    READ_ONLY,
    RING,
    BarePager,
    PagerError,
    failpoint,
)
from .processes import Line, at, finish, kill_self, start

COMMITTING = ["commit:alloc", "commit:prepared", "commit:stamped", "commit:record-written", "commit:published"]
POINTS = [*COMMITTING, "sync:before", "sync:after", "pin:between-loads"]


def write_pairs(path: Path, line: Line, me: int, commits: int, first: int) -> None:
    with BarePager(path, 512, busy_ms=60_000) as db:
        for i in range(first, first + commits):
            line.say(f"start {me} {i}")
            db.commit({me: i, me + 4: i})
            line.say(f"done {me} {i}")


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_killed_committers_lose_nothing_acknowledged(tmp_path, rng, synchronous):
    """Rounds of three writers, one of which dies at a random point; now and then all do, or nobody else is there."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512, synchronous) as db:
        db.commit(dict.fromkeys(range(8), 1))
    value = 2
    least = dict.fromkeys(range(4), 1)
    for _ in range(60):
        line = Line()
        value += 10
        victims = rng.choice([{0}, {0}, {0, 1}, {0, 1, 2}])
        plan = {me: (rng.choice(POINTS), rng.randrange(1, 9)) for me in victims}

        def work(me, plan=plan, line=line, value=value):
            if me in plan:
                point, count = plan[me]
                with failpoint(at(point, kill_self, count)):
                    write_pairs(path, line, me, 5, value)
            else:
                write_pairs(path, line, me, 5, value)

        pids = {me: start(lambda me=me: work(me)) for me in range(rng.choice([1, 3]))}
        ends = {me: finish(pid) for me, pid in pids.items()}
        assert all(code in (0, -signal.SIGKILL) for code in ends.values()), ends
        assert all(code == 0 for me, code in ends.items() if me not in victims), ends
        started = dict(least)
        for text in line.drain():
            kind, me, i = text.split()
            (least if kind == "done" else started)[int(me)] = int(i)
        with BarePager(path) as db:
            values = db.values()
            db.check()
        assert values[:4] == values[4:], "a commit is there by half"
        for me in range(4):
            assert least[me] <= values[me] <= max(least[me], started[me])
        least = dict(enumerate(values[:4]))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_nobody_waits_for_a_stopped_process_to_read(tmp_path, point):
    path = tmp_path / "a.edb"
    line = Line()
    with BarePager(path, 512, busy_ms=30) as db:
        db.commit({0: 1, 1: 1})

        def work():
            def stop():
                line.say()
                os.kill(os.getpid(), signal.SIGSTOP)

            with BarePager(path) as mine, failpoint(at(point, stop)):
                if point.startswith("pin"):
                    mine.values()
                else:
                    mine.commit({0: 2, 1: 2})

        pid = start(work)
        line.hear()
        os.waitpid(pid, os.WUNTRACED)
        try:
            asked = time.time_ns()
            db.settle(asked)
            number, drawn = db.pin()
            seen = db.pinned_values()
            assert seen in ([1, 1], [2, 2])
            assert drawn <= asked
            db.unpin()
            db.pin(DURABLE)
            assert db.pinned_values() in ([1, 1], [2, 2])
            db.unpin()
            if point in COMMITTING:
                with pytest.raises(PagerError, match=f"process {pid} ") as caught:
                    db.begin()
                assert caught.value.name == "BUSY"
            else:                                   # who waits for a stopped leader's sync goes on without it
                db.commit({2: 9})
        finally:
            os.kill(pid, signal.SIGCONT)
        assert finish(pid) == 0
        db.pin()
        values = db.pinned_values()
        assert values[:2] == ([1, 1] if point.startswith("pin") else [2, 2])
        if seen == [1, 1] and not point.startswith(("pin", "sync")):
            assert db.time_of(number + 1) > asked, "a commit entered a moment that was asked about"
        db.unpin()
        db.check()


def test_commit_times_keep_out_of_settled_moments_after_a_kill(tmp_path):
    """The record stands in the ring, its committer is dead, its time was asked about, and then everybody dies."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})

    def victim():
        with BarePager(path) as db, failpoint(at("commit:record-written", kill_self)):
            db.commit({0: 2})

    def reader(line):
        db = BarePager(path)
        line.say()
        line2.hear()
        db.settle(time.time_ns())
        assert db.pin()[0] == 1
        kill_self()

    line, line2 = Line(), Line()
    reading = start(lambda: reader(line))
    line.hear()
    assert finish(start(victim)) == -signal.SIGKILL
    line2.say()
    assert finish(reading) == -signal.SIGKILL
    with BarePager(path) as db:
        assert db.pin()[0] == 1
        assert db.pinned_values() == [1]
        db.unpin()
        assert db.commit({0: 3})[0] == 2


def test_a_power_loss_beside_a_stopped_committer_keeps_moments_settled(tmp_path):
    """Its record is on the disk when somebody asks about its time; after the power loss it must not count."""
    path, copy = tmp_path / "a.edb", tmp_path / "copy.edb"
    line = Line()
    with BarePager(path, 512) as db:
        db.commit({0: 1})

        def work():
            def stop():
                line.say()
                os.kill(os.getpid(), signal.SIGSTOP)

            with BarePager(path) as mine, failpoint(at("commit:record-written", stop)):
                mine.commit({0: 2})

        pid = start(work)
        line.hear()
        os.waitpid(pid, os.WUNTRACED)
        asked = time.time_ns()
        db.settle(asked)
        assert db.pin()[0] == 1
        copy.write_bytes(path.read_bytes())
        os.kill(pid, signal.SIGCONT)
        assert finish(pid) == 0
        db.unpin()
        assert db.values() == [2]
    with BarePager(copy) as db:
        assert db.pin()[0] == 1
        assert db.pinned_values() == [1]
        db.unpin()
        with pytest.raises(PagerError, match="already asked"):
            db.commit({0: 3}, asked)                # or it would look like the void record at the next opening
        assert db.commit({0: 4}, asked + 1) == (2, asked + 1)
    with BarePager(copy) as db:
        assert db.values() == [4]


@pytest.mark.parametrize("which", [0, DURABLE])
def test_slot_race(tmp_path, which):
    """Between a reader's first load and its announcement, commits free and write over what it was about to read."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db, BarePager(path) as reader:
        db.commit(dict.fromkeys(range(10), 1))
        value = [1]

        def many():
            for _ in range(6):
                value[0] += 1
                db.commit(dict.fromkeys(range(10), value[0]))

        for _ in range(10):
            with failpoint(at("pin:between-loads", many)):
                reader.pin(which)
            assert reader.pinned_values() == [value[0]] * 10
            many()
            assert reader.pinned_values() == [value[0] - 6] * 10
            reader.unpin()
        db.check()


def test_one_sync_for_a_lone_commit_and_two_for_a_crowd(tmp_path):
    """The leader's sync is held until all others have published: one more serves them all."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit(dict.fromkeys(range(8), 1))
        for i in range(5):
            before = db.stats()["syncs"]
            db.commit({0: i + 2})
            assert db.stats()["syncs"] == before + 1
        before = db.stats()
        held = threading.Event()

        def hold():
            held.set()
            until = time.monotonic() + 60
            while db.stats()["published"] < before["published"] + 8 and time.monotonic() < until:
                time.sleep(0.0005)

        connections = [BarePager(path) for _ in range(8)]
        failures = []

        def work(k, connection):
            try:
                connection.commit({k: 100 + k})
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(connections)]
        with failpoint(at("sync:before", hold)):
            threads[0].start()
            assert held.wait(60)
            for thread in threads[1:]:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures
        after = db.stats()
        assert after["durable"] == after["published"] == before["published"] + 8
        # A wait longer than the leader's patience makes another sync, on a machine this slow; never one a commit.
        assert after["syncs"] - before["syncs"] == 2
        assert db.values() == [100 + k for k in range(8)]
        for connection in connections:
            connection.close()


def test_threads_and_processes_commit_side_by_side(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512, busy_ms=60_000) as db:
        db.commit(dict.fromkeys(range(8), 1))

        def work(k):
            with BarePager(path, busy_ms=60_000) as mine:
                for i in range(2, 32):
                    mine.commit({k: i})
                    values = mine.values()
                    assert values[k] == i

        def process(base):
            failures = []

            def guarded(k):
                try:
                    work(k)
                except BaseException as failure:
                    failures.append(failure)

            threads = [threading.Thread(target=guarded, args=(base + k,)) for k in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]

        pids = [start(lambda base=base: process(base)) for base in (0, 4)]
        assert [finish(pid) for pid in pids] == [0, 0]
        assert db.values() == [31] * 8
        assert db.stats()["published"] == 1 + 8 * 30
        db.check()


def test_a_failed_sync_poisons_until_everybody_has_closed(tmp_path):
    path = tmp_path / "a.edb"
    db, other = BarePager(path, 512), BarePager(path)
    db.commit({0: 1})
    with failpoint(at("sync:before", lambda: "IO")), pytest.raises(PagerError):
        db.commit({0: 2})
    for connection in (db, other):
        with pytest.raises(PagerError, match="Close the database in every process") as caught:
            connection.begin()
        assert caught.value.name == "POISONED"
        assert connection.values() in ([1], [2])
        assert connection.pin(DURABLE)[0] == 1
        connection.unpin()

    def beside():
        with BarePager(path) as mine, pytest.raises(PagerError, match="POISONED"):
            mine.commit({0: 3})

    assert finish(start(beside)) == 0
    db.close()
    other.close()
    with BarePager(path) as db:
        assert db.values() in ([1], [2])
        db.commit({0: 3})
        assert db.values() == [3]
        db.check()


@pytest.mark.parametrize("records", ["pages"], indirect=True)       # who needs pages of the file looks for it
def test_a_dead_readers_pin_is_lifted(tmp_path):
    path = tmp_path / "a.edb"
    line = Line()
    with BarePager(path, 512) as db:
        db.commit({0: 1})

        def work():
            mine = BarePager(path)
            mine.pin()
            grandchild = os.fork()                  # inherits the locks' descriptors, and must not keep them
            if grandchild == 0:
                line.say(str(os.getpid()))
                signal.pause()
            kill_self()

        pid = start(work)
        grandchild = int(line.hear())
        assert finish(pid) == -signal.SIGKILL
        try:
            assert db.stats()["oldest"] == 1
            for i in range(3):
                db.commit({0: 2 + i})
            assert db.stats()["oldest"] == NONE
        finally:
            os.kill(grandchild, signal.SIGKILL)


@pytest.mark.slow
def test_a_handle_inherited_through_fork_is_refused(tmp_path, native):
    path = tmp_path / "a.edb"
    db = BarePager(path, 512, NORMAL)
    db.commit({0: 1})
    db.begin()

    def child():
        for use in (db.pin, db.begin, lambda: db.wait(1), lambda: db.settle(1), lambda: db.prepare()):
            if use.__name__ != "<lambda>" or use.__code__.co_names[-1] != "prepare":
                with pytest.raises(PagerError, match="fork") as caught:
                    use()
                assert caught.value.name == "FORKED"
        with BarePager(path, busy_ms=50) as mine:
            assert mine.values() == [1]
            with pytest.raises(PagerError) as caught:
                mine.begin()
            assert caught.value.name == "BUSY"
        native.lib.test_pager_close(db.handle)      # harmless

    assert finish(start(child)) == 0
    db.set(0, 2)
    db.prepare()
    db.wait(db.publish()[0], force=True)
    assert db.values() == [2]
    db.check()
    db.close()


def test_all_slots_taken_and_those_of_the_dead_reclaimed(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})

        def work():
            kept = [BarePager(path) for _ in range(1025)]
            for connection in kept[:-1]:
                connection.pin()
            with pytest.raises(PagerError, match="reader slots") as caught:
                kept[-1].pin()
            assert caught.value.name == "SLOTS"
            kept[0].close()
            kept[-1].pin()
            kill_self()

        db.idle()
        assert finish(start(work)) == -signal.SIGKILL
        more = [BarePager(path) for _ in range(1023)]
        for connection in (*more, db):
            connection.pin()
        assert more[-1].pinned_values() == db.pinned_values() == [1]
        for connection in more:
            connection.close()


def test_idle_connections_hold_no_slot(tmp_path):
    """More connections than slots, in two processes: each reads in its turn, and what is pinned stays announced."""
    path = tmp_path / "a.edb"
    line, end = Line(), Line()
    with BarePager(path, 512) as db:
        db.commit({0: 1})

        def use(connections):
            for connection in connections:
                assert connection.values() == [1]
                connection.idle()

        def work():
            use([BarePager(path) for _ in range(1500)])
            line.say()
            end.hear()

        db.pin()
        pid = start(work)
        line.hear()
        more = [BarePager(path) for _ in range(1500)]
        use(more)
        use(more)               # whoever has lost its slot takes another
        assert db.pinned_values() == [1]
        assert db.stats()["oldest"] == 1
        for connection in more:
            connection.close()
        end.say()
        assert finish(pid) == 0
        db.unpin()


@pytest.mark.parametrize("harm", ["remove", "garbage", "truncate", "zero"])
def test_the_lock_file_is_rebuilt_when_nobody_has_it_open(tmp_path, rng, harm):
    path, lock = tmp_path / "a.edb", tmp_path / "a.edb-lock"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
    size = lock.stat().st_size
    if harm == "remove":
        lock.unlink()
    else:
        lock.write_bytes({"garbage": rng.randbytes(size), "truncate": b"", "zero": bytes(size)}[harm])
    with BarePager(path) as db:
        assert db.values() == [1]
        db.commit({0: 2})
    with BarePager(path) as db:
        assert db.values() == [2]


def test_a_replaced_file_is_not_mixed_with_the_open_one(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        copy = tmp_path / "b.edb"
        copy.write_bytes(path.read_bytes())
        copy.rename(path)
        with pytest.raises(PagerError, match="replaced"):
            BarePager(path)


def as_nobody(work: Callable[[], None]) -> Callable[[], None]:
    def run():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        work()

    return run


@pytest.fixture
def open_folder():
    """A folder that another user may enter, which pytest's are not."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_reading_without_permission_to_write(open_folder):
    path = open_folder / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
    path.chmod(0o444)
    (open_folder / "a.edb-lock").chmod(0o444)
    open_folder.chmod(0o555)
    line, go = Line(), Line()

    def reads():
        with BarePager(path) as db:                 # not asked for read-only, but can be nothing else
            assert db.values() == [1]
            db.check()
            with pytest.raises(PagerError) as caught:
                db.begin()
            assert caught.value.name == "READONLY"
            line.say()
            go.hear()

    pid = start(as_nobody(reads))
    line.hear()
    path.chmod(0o644)
    (open_folder / "a.edb-lock").chmod(0o644)
    open_folder.chmod(0o755)
    if os.geteuid() == 0:                           # a writer would not see that reader's pins
        with pytest.raises(PagerError, match="cannot be written meanwhile") as caught:
            BarePager(path)
        assert caught.value.name == "BUSY"
    go.say()
    assert finish(pid) == 0

    def refused():
        with pytest.raises(PagerError, match="a writer has the database open"):
            BarePager(path, flags=READ_ONLY)

    with BarePager(path) as db:
        db.commit({0: 2})
        if os.geteuid() == 0:
            assert finish(start(as_nobody(refused))) == 0
        db.commit({0: 3})
        assert db.values() == [3]


def test_a_first_opener_that_cannot_write_leaves_recovery_to_the_writer(tmp_path, rng):
    """Killed in the middle of `normal`, opened by a reader, then beside it by a writer: one history."""
    path = tmp_path / "a.edb"
    random.seed(rng.random())

    def victim():
        db = BarePager(path, 512, NORMAL)
        with failpoint(at("commit:record-written", kill_self, 7)):
            for i in range(20):
                db.commit({0: i + 1})

    assert finish(start(victim)) == -signal.SIGKILL
    with BarePager(path, flags=READ_ONLY) as reader:
        number = reader.pin()[0]
        values = reader.pinned_values()
        assert number in (6, 7)
        assert values == [number]
        with BarePager(path) as db:
            assert db.commit({0: 100})[0] == number + 1
        assert reader.pinned_values() == values
        reader.unpin()
        assert reader.values() == [100]


def test_who_commits_syncs_itself_when_the_background_sync_is_late(tmp_path):
    """At `normal`, where so many commits wait for it that the next ones would have to sync in the committer lock."""
    late, synced = threading.Event(), []

    def called(name):
        if name == "sync:background":
            assert late.wait(60)
        elif name == "sync:before":
            synced.append(threading.current_thread() is threading.main_thread())

    with failpoint(called), BarePager(tmp_path / "a.edb", 512, NORMAL) as db:
        for i in range(3 * RING // 8 + 1):
            db.commit({0: i}, wait=False)
        number, _ = db.commit({0: 7})
        assert synced == [True]
        assert db.stats()["durable"] == number
        late.set()
