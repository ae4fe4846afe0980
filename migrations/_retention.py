"""The operation on how long a table's history is kept: op.set_retention(), also inside batch_alter_table().

    op.set_retention("article", "90 days")              ALTER TABLE article SET RETENTION '90 days'
    op.set_retention("article", "forever")              ALTER TABLE article SET RETENTION 'forever'

Over other databases it does nothing, as entitydb_retention of a model's table means nothing there.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.base import format_table_name
from alembic.ddl.impl import DefaultImpl
from alembic.operations import BatchOperations, Operations
from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl
from alembic.operations.ops import AlterTableOp
from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

# ---- the statement ----


class AlterRetention(ExecutableDDLElement):
    """ALTER TABLE ... SET RETENTION."""

    inherit_cache = False

    def __init__(self, table_name: str, retention: str, schema: str | None) -> None:
        self.table_name, self.retention, self.schema = table_name, retention, schema


@compiles(AlterRetention)
def _alter_retention(element: AlterRetention, compiler: Any, **kw: Any) -> str:
    table = format_table_name(compiler, element.table_name, element.schema)
    span = compiler.sql_compiler.render_literal_value(element.retention, String())
    return f"ALTER TABLE {table} SET RETENTION {span}"


class RetentionImpl(DefaultImpl):
    """The part of an implementation for databases that let history go."""

    def alter_retention(self, table_name: str, retention: str, *, schema: str | None = None) -> None:
        self._exec(AlterRetention(table_name, retention, schema))


# ---- in a batch that makes the table anew ----


def _alter_retention_of_copy(batch: Any, table_name: str, retention: str, *, schema: str | None = None) -> None:
    """What ApplyBatchImpl does for alter_retention: the new table's options say it."""
    batch.table_kwargs["entitydb_retention"] = retention


_apply: Any = ApplyBatchImpl
_apply.alter_retention = _alter_retention_of_copy


# ---- the operation ----


@Operations.register_operation("set_retention")
@BatchOperations.register_operation("set_retention", "batch_set_retention")
class SetRetentionOp(AlterTableOp):
    """Says how long a table's history is kept."""

    def __init__(
        self, table_name: str, retention: Any, *, existing_retention: Any = None, schema: str | None = None
    ) -> None:
        from entitydb_dialect._spans import FOREVER, span_text

        super().__init__(table_name, schema=schema)
        self.retention = span_text(retention)
        self.existing_retention = span_text(FOREVER if existing_retention is None else existing_retention)

    @classmethod
    def set_retention(
        cls,
        operations: Operations,
        table_name: str,
        retention: Any,
        *,
        existing_retention: Any = None,
        schema: str | None = None,
    ) -> None:
        """Says how long a table's history is kept.

        Args:
            retention: a span as `entitydb_retention` takes it: '90 days', a timedelta, 'forever'.
            existing_retention: the span until now; None: forever. Only for the reverse operation.

        Raises:
            ValueError: a span is none.
        """
        operations.invoke(cls(table_name, retention, existing_retention=existing_retention, schema=schema))

    @classmethod
    def batch_set_retention(
        cls, operations: BatchOperations, retention: Any, *, existing_retention: Any = None
    ) -> None:
        """Says how long the history of the batch's table is kept; see Operations.set_retention()."""
        batch: Any = operations.impl
        operation = cls(batch.table_name, retention, existing_retention=existing_retention, schema=batch.schema)
        operations.invoke(operation)

    def reverse(self) -> SetRetentionOp:
        return SetRetentionOp(
            self.table_name, self.existing_retention, existing_retention=self.retention, schema=self.schema
        )

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return "set_retention", self.schema, self.table_name, self.existing_retention, self.retention


@Operations.implementation_for(SetRetentionOp)
def _carry_out(operations: Operations, operation: SetRetentionOp) -> None:
    impl: Any = operations.impl
    table, retention, schema = operation.table_name, operation.retention, operation.schema
    if isinstance(impl, RetentionImpl):
        impl.alter_retention(table, retention, schema=schema)
    elif isinstance(impl, BatchOperationsImpl) and isinstance(impl.impl, RetentionImpl):
        impl.batch.append(("alter_retention", (table, retention), {"schema": schema}))  # flush() calls it


__all__ = ["RetentionImpl", "SetRetentionOp"]
