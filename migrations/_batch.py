"""Batch mode that makes the table anew (`recreate="always"`), as one statement that continues the old table's history.

Alembic creates a table, copies the rows, drops the old table and renames the new one, and calls its implementation for
each step. Here the steps between are taken in and become, in the place of the copy,

    CREATE OR REPLACE TABLE t (...) AS SELECT ... FROM t

under which the table stays the same one: see docs/schema.md. What Alembic does around it is
untouched: events of the new table, its indexes, and what it says in --sql mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import JSON, Insert, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable, ExecutableDDLElement

from ._recreate import needs_recreate
from ._retention import RetentionImpl
from ._tags import AlterTag, TagImpl, tags_dropped
from ._unversioned import AlterUnversioned, UnversionedImpl, unversioned_dropped


class ReplaceTable(ExecutableDDLElement):
    """A Table under the name of the one it replaces, and the SELECT for its rows."""

    inherit_cache = False

    def __init__(self, table: Any, rows: Any) -> None:
        self.table, self.rows = table, rows


@compiles(ReplaceTable)
def _replace_table(element: ReplaceTable, compiler: Any, **kw: Any) -> str:
    create = compiler.process(CreateTable(element.table)).strip()
    rows = compiler.sql_compiler.process(element.rows, literal_binds=True)
    return f"{create.replace('CREATE TABLE', 'CREATE OR REPLACE TABLE', 1)} AS {rows}"


@contextmanager
def _named_as(table: Any, other: Any) -> Iterator[None]:
    """The new table under the old one's name, as Alembic itself does it for indexes."""
    before, table.name = table.name, other.name
    try:
        yield
    finally:
        table.name = before


def _rows(batch: Any) -> Any:
    """The SELECT of Alembic's copy, its columns named as the new table's."""
    columns = []
    for key, transfer in batch.column_transfers.items():
        if "expr" in transfer and batch.new_table.c[key].computed is None:
            columns.append(transfer["expr"].label(batch.new_table.c[key].name))
    return select(*columns)


class BatchImpl(TagImpl, RetentionImpl, UnversionedImpl):
    """The steps of a batch, from prep_table_for_batch(), its first call, to rename_table(), its last."""

    _batch: Any = None

    def requires_recreate_in_batch(self, batch_op: Any) -> bool:
        """Nearly every operation can be done in place; see _recreate.py for the others."""
        if self.as_sql and batch_op.copy_from is None:
            return False  # it would have to ask the database
        return needs_recreate(batch_op, self.connection)

    def cast_for_batch_migrate(self, existing: Any, existing_transfer: Any, new_type: Any) -> None:
        # As for SQLite: JSON is text here, and a CAST to it would make numbers of it.
        if not isinstance(new_type, JSON):
            cast: Any = super().cast_for_batch_migrate
            cast(existing, existing_transfer, new_type)

    def prep_table_for_batch(self, batch_impl: Any, table: Any) -> None:
        self._batch = batch_impl

    def _is_new(self, table: Any) -> bool:
        return self._batch is not None and table is self._batch.new_table

    def create_table(self, table: Any, **kw: Any) -> None:
        if not self._is_new(table):
            super().create_table(table, **kw)

    def _exec(self, construct: Any, *args: Any, **kw: Any) -> Any:
        if not isinstance(construct, Insert) or not self._is_new(construct.table):
            return super()._exec(construct, *args, **kw)
        batch, table = self._batch, self._batch.new_table
        with _named_as(table, batch.table):
            listen = {"checkfirst": False, "_ddl_runner": self}
            table.dispatch.before_create(table, self.connection, **listen)
            for name in tags_dropped(batch):
                if name in batch.table.c:
                    super()._exec(AlterTag(batch.table.name, name, None, batch.table.schema))
            for name in unversioned_dropped(batch):
                if name in batch.table.c:
                    super()._exec(AlterUnversioned(batch.table.name, name, False, batch.table.schema))
            result = super()._exec(ReplaceTable(table, _rows(batch)))
            table.dispatch.after_create(table, self.connection, **listen)
            for index in table.indexes:
                self.create_index(index)
        return result

    def drop_table(self, table: Any, **kw: Any) -> None:
        if self._is_new(table):
            self._batch = None  # the copy has failed: nothing was made
        elif self._batch is None or table is not self._batch.table:
            super().drop_table(table, **kw)

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:
        if self._batch is not None and old_table_name == self._batch.temp_table_name:
            self._batch = None
        else:
            super().rename_table(old_table_name, new_table_name, schema=schema)


__all__ = ["BatchImpl", "ReplaceTable"]
