"""Random histories of several Databases of one file, with filters asked wherever they can be, against a model.

A filter that denies a row or a tag which is there would show as a row that is missing. Some of the Databases are in
other processes, which are killed now and then, with a transaction open or just after a commit.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex

from . import filter_server
from .filter_server import Here
from .filter_world import Session, World

AT_LENGTH = int(os.environ.get("ENTITYDB_FILTER_STEPS", "240"))  # steps of a long history; tox -e long takes more
MODES = ["'on', 0.5", "'on', 0.01", "'auto'"]


class There:
    """A Database of a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, filter_server.__file__, str(self.path)], cwd=self.path.parent,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        self.process.communicate()
        assert kill or self.process.returncode == 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(json.dumps([name, arguments]) + "\n")
            self.process.stdin.flush()
            error, answer = json.loads(self.process.stdout.readline())
            if error:
                raise getattr(ex, error)(answer)
            return answer

        return call


def play(world: World, mode: str, steps: int, *, killing: bool = False) -> None:
    def kill(session: Session) -> None:
        session.store.stop(kill=True)       # type: ignore[attr-defined]
        session.store.start()               # type: ignore[attr-defined]
        session.store.run(f"SELECT entitydb_bloom({mode})")
        session.own = session.base = None

    rng = world.rng
    for step in range(steps):
        world.step()
        again = rng.choice(world.sessions) if rng.random() < 0.02 else world.sessions[0] if step % 40 == 0 else None
        if again:                           # those there are go, and the next are made in the middle of it
            again.store.run(f"SELECT entitydb_bloom({mode})")
        there = [session for session in world.sessions if isinstance(session.store, There)]
        if killing and there and rng.random() < 0.03:
            kill(rng.choice(there))
    for session in world.sessions:
        if session.own is not None:
            world.end(session, commit=rng.random() < 0.5)
    assert min(world.asked.values()) > steps


def begun(path: Path, rng: random.Random, stores: list[Any], mode: str, spread: int) -> World:
    stores[0].run("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    for store in stores:
        store.run(f"SELECT entitydb_bloom({mode})")
    stores[0].put([(0, "the first tag changes the schema")], [["first"]])
    stores[0].delete([0])
    world = World(rng, stores, spread)
    world.committed(stores[0], {})
    return world


def history(path: Path, rng: random.Random, mode: str, steps: int, spread: int) -> dict[str, int]:
    """-> what filters did."""
    stores = [Here(path) for _ in range(3)]
    world = begun(path, rng, stores, mode, spread)
    play(world, mode, steps)
    did = stores[0].stats()
    assert stores[0].db.connection.database.check()[0] == []
    for store in stores:
        store.db.close()
    return did


def history_of_processes(path: Path, rng: random.Random, mode: str, steps: int, spread: int) -> dict[str, int]:
    """-> what filters did, in one of them."""
    there, here = [There(path) for _ in range(2)], [Here(path) for _ in range(2)]
    world = begun(path, rng, [*here, *there], mode, spread)
    play(world, mode, steps, killing=True)
    did = here[0].stats()
    for process in there:
        process.stop(kill=False)
    assert here[0].db.connection.database.check()[0] == []
    for store in here:
        store.db.close()
    return did


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_what_is_there_is_found(path: Path, rng: random.Random, mode: str) -> None:
    did = history(path, rng, mode, 200, rng.choice([30, 300]))
    if "on" in mode:
        assert did["filter_denied"] > 500
        assert did["filters_made"] > 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[1:])
def test_what_is_there_is_found_by_every_process(path: Path, rng: random.Random, mode: str) -> None:
    did = history_of_processes(path, rng, mode, 120, rng.choice([30, 300]))
    if "on" in mode:
        assert did["filter_denied"] > 300
        assert did["filters_caught_up"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spread", [20, 200, 2000])
def test_what_is_there_is_found_at_length(path: Path, rng: random.Random, mode: str, spread: int) -> None:
    history(path, rng, mode, AT_LENGTH, spread)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spread", [20, 200, 2000])
def test_what_is_there_is_found_by_every_process_at_length(
    path: Path, rng: random.Random, mode: str, spread: int
) -> None:
    history_of_processes(path, rng, mode, AT_LENGTH // 2, spread)
