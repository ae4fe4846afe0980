"""Forked processes that tests kill and stop at failpoints, and the pipes they speak through."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable


def start(work: Callable[[], None]) -> int:
    """Runs work in a forked process that opens databases of its own. -> its id"""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def finish(pid: int) -> int:
    """-> the exit code, or minus the signal"""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at(point: str, action: Callable[[], object], count: int = 1):
    """A failpoint function that runs action at the count-th passing of the point."""
    left = [count]

    def called(name: str):
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                return action()

    return called


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Line:
    """A pipe from children: one byte a message, or lines."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()

    def say(self, text: str = "x") -> None:
        os.write(self.into, text.encode() + b"\n")

    def hear(self, seconds: float = 60) -> str:
        """The next line; a test that waits longer has failed."""
        got = b""
        while not got.endswith(b"\n"):
            assert select.select([self.out], [], [], seconds)[0], "the other process says nothing"
            got += os.read(self.out, 1)
        return got.decode().strip()

    def drain(self) -> list[str]:
        os.close(self.into)
        with os.fdopen(self.out) as stream:
            return stream.read().split("\n")[:-1]
