"""SIGKILL at any point: every acknowledged commit is there, nothing is half there, the others go on.

Rounds: ENTITYDB_CRASH_ROUNDS (default 250).
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .bank import audit, check_clean, make_bank, open_bank, transfer, transfers
from .children import FAILPOINTS, LIMIT_S, PRUNE_POINTS, UNDECIDED, Child, Say

ROUNDS = int(os.environ.get("ENTITYDB_CRASH_ROUNDS") or 250)
WRITERS = 3


def writer(path: Path, who: int, seed: int) -> Callable[[Say], None]:
    """Transfers for ever; says the number of each once its COMMIT has returned."""
    def work(say: Say) -> None:
        rng, db, nth = random.Random(seed), open_bank(path), 0
        while True:
            transfer(db, rng, who, nth)
            say(str(nth))
            nth += 1
    return work


def auditor(path: Path, seed: int) -> Callable[[Say], None]:
    """Reads for ever, now and at remembered moments; says how often."""
    def work(say: Say) -> None:
        rng, db, known, n = random.Random(seed), open_bank(path), [], 0
        while True:
            moment = time.time_ns()
            known.append((moment, audit(db, moment)))
            db.rollback()
            audit(db)
            db.rollback()
            then, count = rng.choice(known)
            assert audit(db, then) == count, "the past has changed"
            db.rollback()
            n += 1
            say(str(n))
    return work


class Siege:
    """Writers on one file, and what each of them was promised."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self.rng = path, rng
        self.count = 0
        self.acknowledged: dict[int, int] = {}      # by writer: how many of its transfers
        self.writers: dict[int, Child] = {}

    def start(self) -> None:
        who, self.count = self.count, self.count + 1
        point = None
        if self.rng.random() < 0.4:
            point = f"{self.rng.choice(FAILPOINTS)}:{self.rng.choice((1, 2, 3, 5, 9, 20))}=kill"
        self.acknowledged[who] = 0
        self.writers[who] = Child(writer(self.path, who, self.rng.getrandbits(32)), point)

    def hear(self, who: int, lines: list[str]) -> int:
        for line in lines:
            assert int(line) == self.acknowledged[who]
            self.acknowledged[who] += 1
        return len(lines)

    def listen(self) -> int:
        """-> new acknowledgements."""
        return sum(self.hear(who, child.hear()) for who, child in self.writers.items())

    def await_progress(self) -> None:
        """Somebody who lives commits; who has been killed by a failpoint is replaced."""
        until = time.monotonic() + LIMIT_S
        while True:
            self.bury()
            who = self.rng.choice(sorted(self.writers))
            if self.hear(who, self.writers[who].hear(0.01)):
                return
            assert time.monotonic() < until, "nobody can commit any more"

    def bury(self) -> None:
        for who in [who for who, child in self.writers.items() if child.ended()]:
            self.end(who)
            self.start()

    def end(self, who: int) -> None:
        child = self.writers.pop(who)
        self.hear(who, child.kill())
        assert child.status == -signal.SIGKILL
        child.close()

    def judge(self, found: dict[int, set[int]]) -> None:
        for who, acknowledged in self.acknowledged.items():
            there = found.get(who, set())
            assert there >= set(range(acknowledged)), f"acknowledged transfers of {who} are lost"
            # One may have been committed and not acknowledged any more.
            assert there <= set(range(acknowledged + 1)), f"writer {who} never made {max(there)}"


@pytest.mark.slow
def test_killed_writers_lose_nothing_and_stop_nobody(tmp_path: Path, rng: random.Random, native: object) -> None:
    path = tmp_path / "bank.edb"
    make_bank(path)
    siege = Siege(path, rng)
    watcher = Child(auditor(path, rng.getrandbits(32)))
    try:
        for _ in range(WRITERS):
            siege.start()
        for round_ in range(ROUNDS):
            siege.await_progress()
            for _ in range(rng.randrange(4)):
                siege.listen()
            if round_ % 25 == 24:
                # All at once, the reader too: the next to open finds only what they left.
                for who in sorted(siege.writers):
                    siege.end(who)
                watcher.hear()
                watcher.close()
                check_clean(path)
                watcher = Child(auditor(path, rng.getrandbits(32)))
                for _ in range(WRITERS):
                    siege.start()
                continue
            siege.bury()
            siege.end(rng.choice(sorted(siege.writers)))
            siege.start()
        before = len(watcher.lines)
        siege.await_progress()
        watcher.hear()
        if len(watcher.lines) == before:
            watcher.await_lines()
        for who in sorted(siege.writers):
            siege.end(who)
        watcher.close()
        db = open_bank(path)
        audit(db)
        siege.judge(transfers(db))
        assert sum(siege.acknowledged.values()) >= ROUNDS
        number, ns = db.database.stats()["published"], db.database.stats()["last_commit_ns"]
        db.rollback()
        transfer(db, rng, -1, 0)
        assert db.last_commit[0] == number + 1
        assert db.last_commit[1] > ns
        db.close()
        check_clean(path)
    finally:
        for child in [*siege.writers.values()]:
            child.close()
        if watcher.status is None:
            watcher.close()


def test_every_failpoint_of_a_commit_is_known_here() -> None:
    sources = Path(__file__).parents[2].joinpath("engine").rglob("*.c")
    named = {name for source in sources for name in re.findall(r'FAILPOINT\("([^"]+)"\)', source.read_text())}
    # Those of the pager alone have their tests in tests/engine/pager.
    of_the_pager = {
        "settle:taken-back", "replay:record", "commit:to-file", "sync:background", "trim:cut", "trim:truncate"
    }  # fmt: skip
    of_pruning = set(PRUNE_POINTS)              # test_killed_prune.py
    of_erasing = {"erase:looked", "erase:rewritten", "zero:half"}      # tests/engine/upkeep/test_erase.py
    of_packing = {"pack:packed", "pack:stored", "pack:prepared", "pack:published"}  # tests/engine/upkeep/test_pack.py
    others = of_the_pager | of_pruning | of_erasing | of_packing | {"spill:write", "ids:drawn"}
    assert named - others == set(FAILPOINTS)


@pytest.mark.slow
@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_writer_killed_at_a_failpoint(tmp_path: Path, rng: random.Random, native: object, point: str) -> None:
    """Each point by name, with a reader beside it that never closes: before the commit is decided it is not there,
    after it is published it is; and in both cases the next one goes through at once."""
    path = tmp_path / "bank.edb"
    make_bank(path)

    def three(say: Say) -> None:
        db = open_bank(path)
        for nth in range(3):
            transfer(db, random.Random(nth), 0, nth)
            say(str(nth))
        db.close()

    def beside(say: Say) -> None:
        db = open_bank(path)
        audit(db)
        say("reading")
        db.rollback()
        os.read(go, 1)
        count = audit(db)
        db.rollback()
        transfer(db, random.Random(9), 1, 0)
        say(f"{count} {audit(db) - 1}")
        db.close()

    go, start = os.pipe()
    with Child(beside) as reader:
        reader.await_lines()
        with Child(three, f"{point}:3=kill") as victim:
            code = victim.join()
            acknowledged = len(victim.lines)
        assert code == -signal.SIGKILL, f"{point} was not passed"
        os.write(start, b"x")
        # At first only what is durable is seen; the reader's own commit then takes along what was published.
        first, then = map(int, reader.await_lines()[0].split())
        assert acknowledged <= first <= then <= acknowledged + 1
        if point in UNDECIDED:
            assert then == acknowledged, "a commit that was not decided counts"
        elif point in ("commit:published", "sync:before", "sync:after"):
            assert then == acknowledged + 1, "a published commit is gone"
        assert reader.join() == 0
    os.close(go)
    os.close(start)
    check_clean(path)
