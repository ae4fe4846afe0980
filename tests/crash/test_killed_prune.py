"""SIGKILL in the middle of pruning: the file is sound, what is kept reads as before, and the next call goes on."""

from __future__ import annotations

import random
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.upkeep.test_prune import fill, judge, start
from entitydb_dialect import driver
from format.reader import File
from format.test_reader import every_page_once

from .children import PRUNE_POINTS, Child, Say

POINTS = (*PRUNE_POINTS, "commit:to-file", "commit:prepared", "commit:stamped", "commit:record-written",
          "commit:published", "sync:before", "sync:after")
STEP = 12


@pytest.mark.parametrize("point", POINTS)
def test_pruning_killed_at_a_failpoint(tmp_path: Path, rng: random.Random, native: object, point: str) -> None:
    path = tmp_path / "t.edb"
    moments: list[tuple[int, int, list[Any]]] = []
    with closing(start(path)) as db:
        fill(db, rng, 60, moments)
    horizon = moments[45][0]

    def prune(say: Say) -> None:
        with closing(driver.connect(path)) as db:
            db.database.prune(horizon, step_pages=STEP)
            say("done")

    nth = 1 if point == "commit:to-file" or point.startswith("sync") else rng.randrange(1, 4)
    with Child(prune, f"{point}:{nth}=kill") as victim:
        assert victim.join() == -signal.SIGKILL, f"{point} was not passed"
    with closing(driver.connect(path)) as db:
        assert db.database.check()[0] == []
        fill(db, rng, 5, moments)
        result = db.database.prune(horizon, step_pages=STEP)
        assert result["horizon"] == horizon
        assert result["left"] == 0
        judge(db, horizon, moments)
        fill(db, rng, 20, moments)
        judge(db, horizon, moments)
    every_page_once(File(path.read_bytes()))


@pytest.mark.slow
def test_pruning_beside_writers_that_are_killed(tmp_path: Path, rng: random.Random, native: object) -> None:
    """One process prunes for ever, one writes; either is killed at any moment."""
    path = tmp_path / "t.edb"
    moments: list[tuple[int, int, list[Any]]] = []
    with closing(start(path)) as db:
        fill(db, rng, 30, moments)

    def prune(say: Say) -> None:
        with closing(driver.connect(path, synchronous="normal")) as db:
            while True:
                newest = db.database.stats()["published"]
                say(str(db.database.prune(max(1, newest - 40), step_pages=STEP)["horizon"]))

    def write(seed: int) -> Any:
        def work(say: Say) -> None:
            with closing(driver.connect(path, synchronous="normal")) as db:
                mine = random.Random(seed)
                while True:
                    fill(db, mine, 1, [])
                    say(".")
        return work

    for round_ in range(12):
        with Child(prune) as pruner, Child(write(round_ + rng.randrange(2**20))) as writer:
            for child in rng.sample((pruner, writer), 2):
                for _ in range(rng.randrange(1, 30)):
                    child.await_lines()
                child.kill()
        with closing(driver.connect(path)) as db:
            assert db.database.check()[0] == []
    every_page_once(File(path.read_bytes()))
