"""Somebody sets the clock while a process waits for the committer: it waits neither longer nor shorter.

The waiting process reads a wall clock that is an hour away from the kernel's: to a wait by the wall clock that is as if
the clock were set between reading it and waiting.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..bare_pager import BarePager

WRONG_CLOCK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME)
        t->tv_sec += SECONDS;
    return rc;
}
"""

WAITER = """
import sys
from engine.bare_pager import BarePager, PagerError
from pathlib import Path
with BarePager(Path(sys.argv[1]), busy_ms=int(sys.argv[2])) as db:
    print("waiting", flush=True)
    try:
        db.begin()
        db.abort()
        print("begun")
    except PagerError as error:
        print(error.name)
"""


@contextmanager
def waiter(path: Path, seconds: int, busy_ms: int) -> Iterator[subprocess.Popen[str]]:
    library = path.with_name("clock.so")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-DSECONDS=({seconds})", "-xc", "-", "-o", library], check=True,
                   input=WRONG_CLOCK, text=True)
    before = os.environ.get("LD_PRELOAD")           # the sanitizers' libraries come first
    environment = os.environ | {"LD_PRELOAD": f"{before} {library}" if before else str(library),
                                "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", WAITER, path, str(busy_ms)], cwd=path.parent, env=environment,
                               text=True, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_wait_for_the_committer_ends_in_time(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        db.begin()
        with waiter(path, seconds, busy_ms=30) as process:
            assert process.communicate(timeout=60)[0].split() == ["waiting", "BUSY"]
        db.abort()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_wait_for_the_committer_lasts(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        db.begin()
        with waiter(path, seconds, busy_ms=50_000) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            db.abort()
            assert process.communicate(timeout=60)[0].split() == ["begun"]
