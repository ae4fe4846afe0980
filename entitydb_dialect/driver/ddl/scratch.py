"""A scratch database: SQLite as the parser of DDL, and as who evaluates what a DEFAULT or a type makes of a value.

Views may read the engine's own tables, so it has some of the same names and columns, without rows.
"""

from __future__ import annotations

import threading
from typing import Any

import apsw

_local = threading.local()

# As the engine declares them (engine/vtab), and which of the columns are arguments.
OWN_COLUMNS = {
    "entitydb_catalog": "id, name, payload",
    "entitydb_changes": (
        "transaction_id, committed_at, type, entity, operation, tag, old, new, old_row HIDDEN, new_row HIDDEN"
    ),
    "entitydb_entities": "type, id, created_at, updated_at, versions, content, entitydb moment HIDDEN",
    "entitydb_erasures": (
        "subject_table, key_hash, columns, versions, reason, actor, number, moment, row_id"
    ),
    "entitydb_labels": "label, number, moment, place",
    "entitydb_tagged": "entity, type HIDDEN, expression HIDDEN",
    "entitydb_tags": "type, entity, tag, namespace, value, since, entitydb moment HIDDEN, key HIDDEN",
    "entitydb_transactions": "id, committed_at, actor, reason, metadata, label, rows_changed, tables_changed",
    "entitydb_versions": "type, entity, valid_from, valid_to, operation, transaction_id, content",
}


class _Own:
    """A module whose one table has the columns of one of the engine's own."""

    def __init__(self, columns: str) -> None:
        self.columns = columns

    def Connect(self, *_: Any) -> tuple[str, _Own]:
        return f"CREATE TABLE x({self.columns})", self

    def BestIndexObject(self, _: Any) -> bool:
        return True

    def Disconnect(self) -> None:
        """Nothing is held."""


def _scratch() -> apsw.Connection:
    """This thread's scratch database, always empty between calls."""
    db = getattr(_local, "db", None)
    if db is None:
        db = _local.db = apsw.Connection(":memory:")
        for name, columns in OWN_COLUMNS.items():
            own: Any = _Own(columns)
            db.create_module(name, own, use_bestindex_object=True, eponymous_only=True, read_only=True)
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


__all__ = ["OWN_COLUMNS", "scratch"]
