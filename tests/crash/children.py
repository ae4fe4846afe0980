"""Processes that tests kill and stop: forks of the test process, which itself has no database open meanwhile.

What a child says goes through a pipe and outlives it. A child that raises says so with a line that begins with "!".
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType

LIMIT_S = 60.0          # a process that says nothing for so long hangs

Say = Callable[[str], None]

# Where a commit, or a reader, can be stopped or killed: the engine's failpoints. At UNDECIDED ones it is no commit yet.
UNDECIDED = ("txn:locked", "txn:validated", "txn:applied", "txn:prepared", "commit:alloc", "commit:prepared",
             "commit:stamped")
FAILPOINTS = (*UNDECIDED, "commit:record-written", "commit:published", "sync:before", "sync:after", "pin:between-loads")

# Where a step of pruning can be.
PRUNE_POINTS = ("prune:freed", "prune:prepared", "prune:published")


class Child:
    """Runs `work(say)` in a fork.

    Args:
        work: what it does; it ends with the process.
        failpoint: the value of ENTITYDB_FAILPOINT in it.
    """

    def __init__(self, work: Callable[[Say], None], failpoint: str | None = None) -> None:
        self.lines: list[str] = []
        self.status: int | None = None
        self._rest = b""
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(reading)
                if failpoint:
                    os.environ["ENTITYDB_FAILPOINT"] = failpoint
                work(lambda line: os.write(writing, line.encode() + b"\n") and None)
                code = 0
            except BaseException:
                os.write(writing, ("!" + traceback.format_exc().replace("\n", " | ") + "\n").encode())
            finally:
                os._exit(code)
        os.close(writing)
        self.fd = reading

    def hear(self, timeout_s: float = 0.0) -> list[str]:
        """The new lines, waiting for the first up to the time-out."""
        heard: list[str] = []
        while select.select([self.fd], [], [], 0 if heard else timeout_s)[0]:
            data = os.read(self.fd, 1 << 16)
            if not data:
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            heard += [line.decode() for line in lines]
        self.lines += heard
        for line in heard:
            assert not line.startswith("!"), line
        return heard

    def await_lines(self, count: int = 1) -> list[str]:
        """Waits for so many lines more."""
        until, heard = time.monotonic() + LIMIT_S, []
        while len(heard) < count:
            heard += self.hear(0.2)
            assert time.monotonic() < until, f"process {self.pid} hangs"
            if self.ended():
                heard += self.hear()
                assert len(heard) >= count, f"process {self.pid} ended ({self.status}) after {self.lines[-3:]}"
        return heard

    def ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def await_stop(self) -> bool:
        """Waits until it has stopped, or ended. -> whether it stopped."""
        until = time.monotonic() + LIMIT_S
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                return True
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < until, f"process {self.pid} neither stopped nor ended"
            self.hear(0.01)
        return False

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> list[str]:
        """SIGKILL; -> what it had still said."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.drain()

    def drain(self) -> list[str]:
        """What is left in the pipe of an ended process. (A line cut short by its death was not said.)"""
        heard = self.hear()
        while (more := self.hear()):
            heard += more
        return heard

    def join(self) -> int:
        """Waits for its end. -> exit code."""
        until = time.monotonic() + LIMIT_S
        while not self.ended():
            self.hear(0.05)
            assert time.monotonic() < until, f"process {self.pid} hangs"
        self.drain()
        assert self.status is not None
        return self.status

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGCONT)
            self.kill()
        os.close(self.fd)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
