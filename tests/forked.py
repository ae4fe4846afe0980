"""Asking in a child that was forked."""

from __future__ import annotations

import os
from collections.abc import Callable


def repr_in_child(ask: Callable[[], object]) -> str:
    """What a function returns there; the first 4,000 bytes of its repr()."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, repr(ask()).encode()[:4000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    os.waitpid(pid, 0)
    return found
