"""A scratch database: SQLite as the parser of DDL, and as who evaluates what a DEFAULT or a type makes of a value."""

from __future__ import annotations

import threading
from typing import Any

import apsw

_local = threading.local()


def _scratch() -> apsw.Connection:
    """This thread's scratch database, always empty between calls."""
    db = getattr(_local, "db", None)
    if db is None:
        db = _local.db = apsw.Connection(":memory:")
    return db


class scratch:  # used like a function
    """The scratch database inside a transaction that is always rolled back."""

    def __enter__(self) -> apsw.Connection:
        self.db = _scratch()
        self.db.execute("BEGIN")
        return self.db

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")


__all__ = ["scratch"]
