"""Random interleavings of processes over a model file, with kills and power losses at every step."""

from __future__ import annotations

import itertools
import random
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from . import paged_tree as tree
from .redo import RULES, USUAL, Damaged, File, Process, Record, Ring, Steps

KEYS = 8


class Wrong(Exception):
    """The model broke a promise."""


@dataclass(frozen=True)
class Style:
    """What an attack does most. pages: share of commits that write pages though they need not; asks: of questions about
    moments, and of syncs that nobody needs; power: of ends that are power losses, else all processes are killed."""

    full: bool
    pages: float
    asks: float = 0.02
    syncs: float = 0.1
    power: float = 1.0
    rounds: int = 10
    steps: int = 3000

    @classmethod
    def drawn(cls, rng: random.Random) -> Style:
        return cls(rng.random() < 0.6, rng.choice((0.02, 0.1, 0.7)), rng.choice((0.02, 0.3)), rng.choice((0.0, 0.1)),
                   rng.choice((0.5, 0.9)))


def whole(steps: Generator[None, None, Any]) -> Any:
    """Takes all steps at once. -> what they return"""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def write(process: Process, rng: random.Random, pages: float) -> Steps:
    """Counts some rows up, or deletes them, as they were seen."""
    slot, state = yield from process.pin(durable=rng.random() < 0.3)
    keys = rng.sample(range(KEYS), rng.choice((1, 1, 1, 2, 5)))
    found = {key: tree.newest(process.memory, state.root, key) for key in keys}
    yield
    process.unpin(slot)
    changes = {key: None if rng.random() < 0.2 else (value or 0) + 1 for key, (_, value) in found.items()}
    seen = {key: begun if value is not None else 0 for key, (begun, value) in found.items()}
    yield from process.commit(changes, seen, pages=rng.random() < pages)


def read(process: Process, rng: random.Random) -> Steps:
    """What is pinned stays as it is, at each moment."""
    slot, state = yield from process.pin(durable=process.full)
    truth, number = process.file.truth, state.record.number
    for _ in range(rng.randrange(1, 12)):
        for moment in {number, rng.randint(0, number)}:
            if process.rows(state, moment) != truth.rows(state.record.checksum, moment):
                raise Wrong(f"a reader at commit {number} sees another state at {moment}")
        yield
    process.unpin(slot)


def ask(process: Process, rng: random.Random) -> Steps:
    yield from process.ask(max(0, process.file.clock + rng.choice((-2, 0, 1))))


def sync(process: Process, rng: random.Random) -> Steps:
    yield from process.sync()


def work(process: Process, rng: random.Random, style: Style) -> Steps:
    others = (ask, sync, read)
    shares = (style.asks, style.syncs, 0.1)
    while True:
        kind = rng.choices((write, *others), (1 - sum(shares), *shares))[0]
        yield from write(process, rng, style.pages) if kind is write else kind(process, rng)


class Attack:
    def __init__(self, seed: int, rules: Iterable[str], ring: Ring, style: Style | None) -> None:
        self.rng = random.Random(seed)
        self.file = File(rules, ring, seed)
        self.counts = {"commits": 0, "redo records": 0, "recovered": 0}
        self.style = style or Style.drawn(self.rng)

    def process(self) -> tuple[Process, Generator[None, None, Any]]:
        process = Process(self.file, full=self.style.full)
        return process, self.work(process)

    def work(self, process: Process) -> Steps:
        return work(process, random.Random(self.rng.random()), self.style)

    def run(self) -> None:
        for _ in range(self.style.rounds):
            tasks = [self.process() for _ in range(4)]
            tasks += [(process, self.work(process)) for process, _ in tasks[:2]]      # threads
            speeds: list[float] = []
            for step in range(int(self.style.steps ** self.rng.random())):
                if step % 60 == 0:          # some run while others stand
                    speeds = [self.rng.choice((0.0, 0.05, 1, 1, 5)) + 0.001 for _ in tasks]
                process, task = self.rng.choices(tasks, speeds)[0]
                next(task)
                if self.rng.random() < 0.004:
                    self.kill(process, tasks)
            self.file.alive.clear()
            self.stop()

    def kill(self, process: Process, tasks: list[Any]) -> None:
        self.file.alive.discard(process.id)
        tasks[:] = [self.process() if task[0] is process else task for task in tasks]

    def stop(self) -> None:
        """All processes die, and perhaps the power is lost; and perhaps again while the file is opened."""
        file, rng = self.file, self.rng
        if rng.random() < self.style.power:
            file.disk.lose_power(rng)
        while True:
            limit = rng.choice((0, 1, 2, 1 << 30, 1 << 30))
            opening = file.open()
            if all(limit > i for i, _ in enumerate(opening)):
                break
            file.disk.lose_power(rng)
        self.judge()

    def judge(self) -> None:
        file = self.file
        record = file.slot(file.shared.published)
        if record is None or record.checksum not in file.truth.of:
            raise Wrong("the newest commit is none that anybody has made")
        chain = file.truth.chain(record.checksum)
        checksums = {one.checksum for one in chain}
        for lost in file.truth.acknowledged:
            if lost not in checksums:
                raise Wrong(f"commit {file.truth.of[lost][0].number} was acknowledged, and is lost")
        for moment, answer in file.truth.answered:
            if [one.checksum for one in chain if one.time <= moment][-1] != answer:
                raise Wrong(f"moment {moment} was answered differently before")
        for before, after in itertools.pairwise(chain):
            self._judge_changes(before, after)
        process = Process(file, full=True)
        state = whole(process.replay(record.number))
        if state is None:
            raise Wrong("the newest commit cannot be read")
        for moment in range(record.number + 1):
            if process.rows(state, moment) != file.truth.rows(record.checksum, moment):
                raise Wrong(f"commit {record.number} has another state at {moment}")
        if state.times != tuple(one.time for one in chain):
            raise Wrong("commit times are lost")
        base = state.base
        assert base.root
        used = [ref.page for ref in tree.reached(process.memory, base.root)] + [page for page, _, _ in base.free]
        if sorted(used) != list(range(base.end)):
            raise Wrong(f"pages are lost, or used twice: {sorted(used)} of {base.end}")
        self.counts["recovered"] += 1
        self.counts["commits"] = len(chain) - 1
        self.counts["redo records"] = sum(not one.has_pages for one in chain)

    def _judge_changes(self, before: Record, after: Record) -> None:
        """Each transaction counts up what the one before it has left: no update is lost."""
        truth = self.file.truth
        old, new = truth.of[before.checksum][1], truth.of[after.checksum][1]
        for key in {*old, *new}:
            if key in new and new[key] not in (old.get(key), old.get(key, 0) + 1):
                raise Wrong(f"commit {after.number} lost an update of row {key}")


def attack(
    seed: int, rules: Iterable[str] = RULES, ring: Ring = USUAL, style: Style | None = None
) -> dict[str, int]:
    """-> what was done

    Raises:
        one of FAILURES: the rules do not hold.
    """
    one = Attack(seed, rules, ring, style)
    one.run()
    return one.counts


FAILURES = (Wrong, Damaged, KeyError, AssertionError)
