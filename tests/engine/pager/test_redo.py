"""Commits that write redo records: who replays them, how fast, and what is left of whom is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ..bare_pager import DURABLE, FULL, NORMAL, RING, BarePager, apply, failpoint, random_changes
from .processes import Line, at, finish, kill_self, start

pytestmark = pytest.mark.parametrize("records", ["redo"], indirect=True)

TURNS = 6               # of the ring, while a reader tries to follow
SMALL_MOST = 255        # redo records behind a page record


def grow(db: BarePager, commits: int, value: int = 1) -> int:
    """-> the value that the last one has written"""
    for i in range(commits):
        db.commit({0: value + i, 1 + i % 3: value + i})
    return value + commits - 1


def pages_written(db: BarePager, work: Callable[[], object]) -> int:
    before = db.stats()["written"]
    work()
    return db.stats()["written"] - before


@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_only_every_256th_small_commit_writes_pages(tmp_path, synchronous):
    with BarePager(tmp_path / "a.edb", 512, synchronous) as db:
        db.commit(dict.fromkeys(range(4), 9))
        wrote = [pages_written(db, lambda: grow(db, 1)) > 0 for _ in range(3 * (SMALL_MOST + 1))]
        assert [i for i, w in enumerate(wrote) if w] in (
            [SMALL_MOST + k * (SMALL_MOST + 1) - m for k in range(3)] for m in (0, 1)
        )
        db.check()


def test_the_same_by_who_has_replayed_and_by_who_opens_it_anew(tmp_path, rng):
    """Every commit of a random history, by its process, by another that follows, and after each opening."""
    path = tmp_path / "a.edb"
    history: list[list[int]] = [[]]
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        history.append([1])
        for _ in range(400):
            changes = random_changes(rng, len(history[-1]), 9)
            history.append(apply(history[-1], changes))
            number, _ = db.commit(changes)
            assert number == len(history) - 1
            if rng.random() < 0.1:
                line = Line()

                def anew(line=line):
                    with BarePager(path) as mine:
                        number = mine.pin()[0]
                        line.say(f"{number} {mine.pinned_values()}")
                        mine.check()

                assert finish(start(anew)) == 0
                assert line.hear() == f"{number} {history[-1]}"
            assert db.values() == history[-1]
    with BarePager(path) as db:
        assert db.values() == history[-1]
        db.check()


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_readers_of_every_speed_while_the_ring_turns(tmp_path, synchronous):
    """One reads after every commit, one after many, one after more than the ring holds, one stays where it is."""
    path = tmp_path / "a.edb"
    steps = (1, 17, 100, 2 * RING + 5)
    with BarePager(path, 512, synchronous) as db:
        grow(db, 10)
        line = Line()
        pipes = {step: os.pipe() for step in steps}
        staying = os.pipe()

        def follow(step: int) -> None:
            with BarePager(path) as mine:
                while os.read(pipes[step][0], 1) == b"g":
                    values = mine.values()
                    line.say(f"{step} {values[0]}")
                    mine.check()

        def stay() -> None:
            with BarePager(path) as mine:
                mine.pin()
                seen = mine.pinned_values()
                line.say("stays")
                os.read(staying[0], 1)
                assert mine.pinned_values() == seen
                mine.unpin()
                line.say(f"{mine.values()[0]}")

        pids = [start(lambda step=step: follow(step)) for step in steps]
        stayer = start(stay)
        assert line.hear() == "stays"
        value = 10
        for i in range(1, 6 * RING):
            value = grow(db, 1, value + 1)
            for step in steps:
                if i % step == 0 and (step > 1 or i % 5 == 0):
                    os.write(pipes[step][1], b"g")
                    assert line.hear() == f"{step} {value}"
        os.write(staying[1], b"g")
        assert line.hear() == str(value)
        for step in steps:
            os.write(pipes[step][1], b"q")
        assert [finish(pid) for pid in (*pids, stayer)] == [0] * 5
        db.check()


def test_a_reader_stands_on_a_commit_that_a_writer_has_passed_over(tmp_path):
    """Of three commits of another process the second becomes durable last, when a writer here stands on the third."""
    path = tmp_path / "a.edb"
    line, (out, into) = Line(), os.pipe()
    with BarePager(path, 512, FULL) as db:
        db.commit(dict.fromkeys(range(4), 9))
        grow(db, 10)

        def sync() -> None:
            def wait() -> None:
                line.say("synced")
                os.read(out, 1)

            with BarePager(path) as theirs:
                theirs.commit({0: 101}, wait=False)
                number, _ = theirs.commit({0: 102}, wait=False)
                with failpoint(at("sync:after", wait)):
                    theirs.wait(number)
                os.read(out, 1)         # closing would make everything durable

        pid = start(sync)
        assert line.hear() == "synced"
        with BarePager(path) as theirs:
            theirs.commit({0: 103}, wait=False)
            mine = start(lambda: reads_both(path, into))
            assert finish(mine) == 0
        os.write(into, b"g")
        assert finish(pid) == 0
        assert db.values()[0] == 103
        db.check()


def reads_both(path: Path, into: int) -> None:
    """Begins a commit upon the newest one, and then reads the durable one, which is older."""
    with BarePager(path) as mine:
        mine.begin()
        mine.abort()
        os.write(into, b"g")
        while mine.stats()["durable"] < mine.stats()["published"] - 1:
            os.sched_yield()
        mine.pin(DURABLE)
        assert mine.pinned_values()[0] == 102
        mine.unpin()
        mine.pin()
        assert mine.pinned_values()[0] == 103
        mine.unpin()
        mine.commit({1: 7})
        assert mine.values()[:2] == [103, 7]


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_who_is_stopped_while_it_replays_goes_on_with_newer_ones(tmp_path, synchronous):
    """Its records are written over meanwhile, each time it tries; it asks for a record with pages, and starts over."""
    path = tmp_path / "a.edb"
    line, (out, into) = Line(), os.pipe()
    with BarePager(path, 512, synchronous) as db:
        db.commit(dict.fromkeys(range(4), 9))
        grow(db, 50)

        def read() -> None:
            left = [TURNS]

            def wait(name: str) -> None:
                if name == "replay:record" and left[0]:
                    left[0] -= 1
                    line.say("replays")
                    os.read(out, 1)

            with BarePager(path) as mine, failpoint(wait):
                line.say(f"read {mine.values()[0]}")

        pid = start(read)
        value, wrote = 50, []
        for _ in range(TURNS):
            assert line.hear() == "replays"
            wrote.append(pages_written(db, lambda: grow(db, 1, 5)) > 0)
            value = grow(db, RING + 10, value + 1)
            os.write(into, b"g")
        assert line.hear() == f"read {value}"
        assert finish(pid) == 0
        assert wrote[3], "nobody wrote pages for a reader who could not follow three times"
        db.check()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["replay:record", "commit:to-file"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_while_pages_are_stored_or_records_replayed(tmp_path, point, how):
    """Readers go on beside it, and so do writers once it is dead; nothing acknowledged is lost."""
    path = tmp_path / "a.edb"
    line = Line()
    with BarePager(path, 512, busy_ms=60_000 if how == signal.SIGKILL else 30) as db:
        db.commit(dict.fromkeys(range(4), 9))
        value = grow(db, 30)

        def work() -> None:
            def end() -> None:
                line.say("there")
                os.kill(os.getpid(), how)

            with BarePager(path) as mine, failpoint(at(point, end)):
                grow(mine, SMALL_MOST + 2, 1000)

        pid = start(work)
        assert line.hear() == "there"
        assert os.waitpid(pid, os.WUNTRACED)[0] == pid
        seen = db.values()
        assert seen[0] in ({value} if point == "replay:record" else range(1000, 1000 + SMALL_MOST + 2))
        db.check()
        if how == signal.SIGKILL:
            db.commit({3: 77})
            assert db.values() == [*seen[:3], 77]
        else:
            os.kill(pid, signal.SIGCONT)
            assert finish(pid) == 0
            assert db.values()[0] == 1000 + SMALL_MOST + 1
        db.check()


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_writers_that_take_turns_build_upon_each_other(tmp_path, rng: random.Random, synchronous):
    """Several processes commit at once, each upon what it has replayed of the others; some are killed."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512, synchronous) as db:
        db.commit(dict.fromkeys(range(9), 1))
        for round_ in range(8):
            line = Line()

            def work(me: int, line: Line = line, seed: int = rng.getrandbits(32)) -> None:
                own = random.Random(seed + me)
                with BarePager(path, busy_ms=60_000) as mine:
                    killed = own.randrange(20, 60) if me == 0 else 0
                    for i in range(60):
                        if i == killed - 1:
                            point = own.choice(("commit:prepared", "commit:record-written", "commit:published"))
                            with failpoint(at(point, kill_self)):
                                mine.commit({me: 10**6, 8: 10**6})
                        mine.begin()
                        value = mine.next_id(1, 2)      # grows from commit to commit, as the lock is held
                        mine.set(me, value)
                        mine.set(8, value)
                        mine.prepare()
                        mine.publish()
                        line.say(f"{me} {value}")

            pids = [start(lambda me=me: work(me)) for me in range(4)]
            codes = [finish(pid) for pid in pids]
            assert codes[1:] == [0, 0, 0]
            told = [tuple(map(int, text.split())) for text in line.drain()]
            values = db.values()
            last = dict(told)
            for me in range(1, 4):
                assert values[me] == last[me], round_
            assert values[0] in (last.get(0, 1), 10**6)
            assert values[8] in (max(last.values()), 10**6)
            db.check()
            db.commit({0: 1, 8: 1})


def test_a_child_forked_while_a_thread_replays_can_close(tmp_path):
    """What the thread has locked stays locked in the child for ever."""
    path = tmp_path / "a.edb"
    line, there, go_on = Line(), threading.Event(), threading.Event()
    with BarePager(path, 512) as db:
        db.commit(dict.fromkeys(range(4), 9))

        def commits() -> None:
            with BarePager(path) as other:
                grow(other, 20)

        assert finish(start(commits)) == 0

        def wait() -> None:
            there.set()
            go_on.wait()

        with failpoint(at("replay:record", wait)):
            thread = threading.Thread(target=db.values)
            thread.start()
            assert there.wait(60)

            def close() -> None:
                db.close()
                line.say("closed")

            pid = start(close)
            assert line.hear() == "closed"
            assert finish(pid) == 0
            go_on.set()
            thread.join()
        db.check()
