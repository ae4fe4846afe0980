"""What the benchmarks share: rows of the table, running two sides in turns, and the two databases.

A benchmark is a generator of Rows, registered by @benchmark. It gets a Setting and leaves nothing behind.
"""

from __future__ import annotations

import gc
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import apsw
import sqlalchemy
from entitydb_dialect._native import lib

import entitydb_dialect
from entitydb_dialect import driver

SAMPLE_SECONDS = 0.02       # shorter work is repeated to fill one sample


@dataclass(frozen=True)
class Setting:
    """How much to do, and where."""

    folder: Path
    quick: bool
    seed: int
    tuned: bool = False         # SQLite with a large cache and mmap

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}:{name}")


@dataclass
class Row:
    """One line of the table. The ratio is ours to the other side's, in `unit`."""

    group: str
    name: str
    ours: float
    other: float
    unit: str                           # of ours and other: "s", "bytes", "pages", "rows/s"
    against: str                        # what the other side is
    at_most: float | None = None        # bound of the ratio; neither: the row is a report
    at_least: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.other if self.other else float("inf")

    @property
    def shown(self) -> str:
        return f"{self.ratio:.2f}" if self.ratio >= 0.01 else "< 0.01"

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return "report"
        good = self.ratio <= self.at_most if self.at_most is not None else self.ratio >= (self.at_least or 0)
        return "reached" if good else "falls short"

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else "–"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}


Benchmark = Callable[[Setting], Iterator[Row]]
BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(function: Benchmark) -> Benchmark:
    BENCHMARKS[function.__name__] = function
    return function


# ---- measuring ----

def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = work()
    return time.perf_counter() - started, answer


def race(sides: dict[str, Callable[[], Any]], rounds: int = 9, *, again: bool = True, alike: bool = True,
         clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    """Runs the sides in turns. -> seconds of one run of the work by the clock, for each round, by side.

    A first round warms the caches and, unless not `again` (the work changes something), finds how often to repeat the
    work in a sample, the same for all sides. If the sides do something `alike`, it compares the answers.

    Raises:
        AssertionError: the sides gave different answers (not compared unless `again` and `alike`).
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    warm = {name: timed(work) for name, work in sides.items()}
    repeats = 1
    if again:
        first, *others = (answer for _, answer in warm.values())
        if alike and any(answer != first for answer in others):
            raise AssertionError(f"{' and '.join(sides)} gave different answers")
        del first, others
        repeats = max(1, round(SAMPLE_SECONDS / min(seconds for seconds, _ in warm.values())))
    warm.clear()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for name in list(sides) if number % 2 else list(reversed(sides)):
                work = sides[name]
                started = clock()
                for _ in range(repeats):
                    work()
                taken[name].append((clock() - started) / repeats)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return taken


def raced(group: str, name: str, ours: Callable[[], Any], other: Callable[[], Any], against: str, *,
          rounds: int = 9, again: bool = True, clock: Callable[[], float] = time.perf_counter, **bounds: Any) -> Row:
    """The Row of two sides' times."""
    taken = race({"ours": ours, "other": other}, rounds, again=again, clock=clock)
    return Row(group, name, min(taken["ours"]), min(taken["other"]), "s", against, samples=taken, **bounds)


# ---- the two sides ----

def open_ours(path: Path, **options: Any) -> driver.Connection:
    """In autocommit: transactions are where BEGIN says."""
    return driver.connect(str(path), isolation_level=None, **options)


def open_sqlite(path: Path, setting: Setting, synchronous: str, busy_ms: int = 0) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(busy_ms)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if setting.tuned:
        connection.execute("PRAGMA mmap_size = 68719476736").fetchall()
        connection.execute("PRAGMA cache_size = -262144")
    return connection


def cursors(connection: driver.Connection) -> apsw.Connection:
    """The apsw connection underneath: what is compared with SQLite goes through the same calls."""
    return connection.apsw


def wait_durable(connection: driver.Connection) -> None:
    """What the driver does after a COMMIT, for commits made on its apsw connection."""
    if lib.edb_conn_wait(connection._session.engine):
        raise RuntimeError("the commit did not become durable")


def file_bytes(path: Path) -> int:
    return sum(os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first:first + size]


# ---- other processes ----

def child_python(*arguments: str) -> dict[str, Any]:
    """What subprocess needs to start a fresh Python that finds the package that is measured here, and these benchmarks.

    It starts in the package's folder: Python looks first for modules where it is started."""
    root = str(Path(__file__).resolve().parent.parent)
    package = str(Path(entitydb_dialect.__file__).resolve().parent.parent)
    path = os.pathsep.join([package, root, os.environ.get("PYTHONPATH", "")])
    return {"args": [sys.executable, *arguments], "cwd": package, "env": {**os.environ, "PYTHONPATH": path}}


# ---- the machine ----

def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, str]:
    return {
        "processor": f"{os.cpu_count()} x {processor()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "sqlalchemy": sqlalchemy.__version__,
        "entitydb": entitydb_dialect.__version__,
        "build": "test (slower than what users get)" if lib.edb_is_test_build() else "release",
    }


def show(line: str) -> None:
    """Progress, beside the table."""
    sys.stderr.write(f"  {line}\n")
