"""Places where files cannot be written: small disks, read-only mounts, and what somebody who is not root may do."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from .children import Child, Say


def run(work: Callable[[Say], None]) -> list[str]:
    with Child(work) as child:
        assert child.join() == 0, child.lines
        return child.lines


def as_nobody(work: Callable[[Say], None]) -> list[str]:
    def drop(say: Say) -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work(say)
    return run(drop)


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


MS_RDONLY, MS_REMOUNT = 1, 32


def fill_up(ballast: Path) -> None:
    """Writes a file until the file system has no room for another."""
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                return
