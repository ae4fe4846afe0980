"""What tests of executing share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from entitydb_dialect._native import ffi, lib


@pytest.fixture
def at_stamp() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Gives what is to be done, once, when a commit draws its time: SQLite cannot be told any more that it fails."""
    kept: list[Any] = []

    def install(act: Callable[[], object]) -> None:
        done: list[bool] = []

        @ffi.callback("int(*)(const char *)")
        def passing(name: Any) -> int:
            if ffi.string(name) == b"commit:stamped" and not done:
                done.append(True)
                act()
            return 0

        kept.append(passing)
        lib.test_failpoint(passing)

    yield install
    lib.test_failpoint(ffi.NULL)
