"""Operations on columns without history: op.set_unversioned() and op.drop_unversioned(), in batch_alter_table() too.

    op.set_unversioned("page", "views")                 ALTER TABLE page ALTER COLUMN views SET UNVERSIONED
    op.drop_unversioned("page", "views")                ALTER TABLE page ALTER COLUMN views DROP UNVERSIONED

A column that is so already is left alone. Over other databases they do nothing, as info["versioned"] of a model's
column means nothing there: one migration may serve both.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.base import format_column_name, format_table_name
from alembic.ddl.impl import DefaultImpl
from alembic.operations import BatchOperations, Operations
from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl
from alembic.operations.ops import AlterTableOp
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

from ._tags import column_of_copy

# ---- the statement ----


class AlterUnversioned(ExecutableDDLElement):
    """ALTER TABLE ... ALTER COLUMN ... SET UNVERSIONED, or DROP UNVERSIONED."""

    inherit_cache = False

    def __init__(self, table_name: str, column_name: str, unversioned: bool, schema: str | None) -> None:
        self.table_name, self.column_name = table_name, column_name
        self.unversioned, self.schema = unversioned, schema


@compiles(AlterUnversioned)
def _alter_unversioned(element: AlterUnversioned, compiler: Any, **kw: Any) -> str:
    table = format_table_name(compiler, element.table_name, element.schema)
    column = format_column_name(compiler, element.column_name)
    return f"ALTER TABLE {table} ALTER COLUMN {column} {'SET' if element.unversioned else 'DROP'} UNVERSIONED"


class UnversionedImpl(DefaultImpl):
    """The part of an implementation for databases that have columns without history."""

    def alter_unversioned(
        self, table_name: str, column_name: str, unversioned: bool, *, schema: str | None = None
    ) -> None:
        self._exec(AlterUnversioned(table_name, column_name, unversioned, schema))


# ---- in a batch that makes the table anew ----


def _alter_unversioned_of_copy(
    batch: Any, table_name: str, column_name: str, unversioned: bool, *, schema: str | None = None
) -> None:
    """What ApplyBatchImpl does for alter_unversioned: the new table's column says it.

    That it has a history must be said of the old table too, since CREATE OR REPLACE TABLE keeps what is not mentioned.
    """
    column = column_of_copy(batch, table_name, column_name)
    if unversioned:
        column.info["versioned"] = False
        return
    column.info.pop("versioned", None)
    batch.unversioned_dropped = [*unversioned_dropped(batch), column_name]


_apply: Any = ApplyBatchImpl
_apply.alter_unversioned = _alter_unversioned_of_copy


def unversioned_dropped(batch: Any) -> list[str]:
    """The columns that drop_unversioned() was said of in a batch that makes the table anew, by the names it was given.
    """
    return list(getattr(batch, "unversioned_dropped", ()))


# ---- operations ----


class _UnversionedOp(AlterTableOp):
    unversioned: bool

    def __init__(self, table_name: str, column_name: str, *, schema: str | None = None) -> None:
        super().__init__(table_name, schema=schema)
        self.column_name = column_name

    def to_diff_tuple(self) -> tuple[Any, ...]:
        verb = "set_unversioned" if self.unversioned else "drop_unversioned"
        return verb, self.schema, self.table_name, self.column_name


@Operations.register_operation("set_unversioned")
@BatchOperations.register_operation("set_unversioned", "batch_set_unversioned")
class SetUnversionedOp(_UnversionedOp):
    """Makes a column one without history."""

    unversioned = True
    comes = False  # autogenerate: the column is made by the same migration

    @classmethod
    def set_unversioned(
        cls, operations: Operations, table_name: str, column_name: str, *, schema: str | None = None
    ) -> None:
        """Makes a column one without history, from now on: as of moments it is NULL then."""
        operations.invoke(cls(table_name, column_name, schema=schema))

    @classmethod
    def batch_set_unversioned(cls, operations: BatchOperations, column_name: str) -> None:
        """Makes a column of the batch's table one without history; see Operations.set_unversioned()."""
        batch: Any = operations.impl
        operations.invoke(cls(batch.table_name, column_name, schema=batch.schema))

    def reverse(self) -> DropUnversionedOp | UnversionedGoesOp:
        reverse = UnversionedGoesOp if self.comes else DropUnversionedOp
        return reverse(self.table_name, self.column_name, schema=self.schema)


@Operations.register_operation("drop_unversioned")
@BatchOperations.register_operation("drop_unversioned", "batch_drop_unversioned")
class DropUnversionedOp(_UnversionedOp):
    """Gives a column a history."""

    unversioned = False

    @classmethod
    def drop_unversioned(
        cls, operations: Operations, table_name: str, column_name: str, *, schema: str | None = None
    ) -> None:
        """Gives a column a history, which begins now. All rows are written for it."""
        operations.invoke(cls(table_name, column_name, schema=schema))

    @classmethod
    def batch_drop_unversioned(cls, operations: BatchOperations, column_name: str) -> None:
        """Gives a column of the batch's table a history; see Operations.drop_unversioned()."""
        batch: Any = operations.impl
        operations.invoke(cls(batch.table_name, column_name, schema=batch.schema))

    def reverse(self) -> SetUnversionedOp:
        return SetUnversionedOp(self.table_name, self.column_name, schema=self.schema)


class UnversionedGoesOp(_UnversionedOp):
    """For autogenerate: the column is dropped by the same migration. Nothing is to be done, and no row to be written
    for it; but the reverse says it of the column that comes back."""

    unversioned = False

    def reverse(self) -> SetUnversionedOp:
        reverse = SetUnversionedOp(self.table_name, self.column_name, schema=self.schema)
        reverse.comes = True
        return reverse


@Operations.implementation_for(UnversionedGoesOp)
def _leave_out(operations: Operations, operation: UnversionedGoesOp) -> None:
    pass


@Operations.implementation_for(SetUnversionedOp)
@Operations.implementation_for(DropUnversionedOp)
def _carry_out(operations: Operations, operation: SetUnversionedOp | DropUnversionedOp) -> None:
    impl: Any = operations.impl
    arguments = operation.table_name, operation.column_name, operation.unversioned
    if isinstance(impl, UnversionedImpl):
        impl.alter_unversioned(*arguments, schema=operation.schema)
    elif isinstance(impl, BatchOperationsImpl) and isinstance(impl.impl, UnversionedImpl):
        impl.batch.append(("alter_unversioned", arguments, {"schema": operation.schema}))  # flush() calls it


__all__ = [
    "AlterUnversioned", "DropUnversionedOp", "SetUnversionedOp", "UnversionedGoesOp", "UnversionedImpl",
    "unversioned_dropped",
]  # fmt: skip
