"""Operations on tag columns: op.set_tag() and op.drop_tag(), also inside batch_alter_table().

    op.set_tag("article", "status", "state")            ALTER TABLE article ALTER COLUMN status SET TAG 'state'
    op.drop_tag("article", "status")                    ALTER TABLE article ALTER COLUMN status DROP TAG

A column that has the namespace already, or none, is left alone. Over other databases they do nothing, as info["tag"] of
a model's column means nothing there: one migration may serve both.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.base import format_column_name, format_table_name
from alembic.ddl.impl import DefaultImpl
from alembic.operations import BatchOperations, Operations
from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl
from alembic.operations.ops import AlterTableOp
from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

# ---- statements ----


class AlterTag(ExecutableDDLElement):
    """ALTER TABLE ... ALTER COLUMN ... SET TAG, or DROP TAG for a namespace of None."""

    inherit_cache = False

    def __init__(self, table_name: str, column_name: str, namespace: str | None, schema: str | None) -> None:
        self.table_name, self.column_name = table_name, column_name
        self.namespace, self.schema = namespace, schema


@compiles(AlterTag)
def _alter_tag(element: AlterTag, compiler: Any, **kw: Any) -> str:
    table = format_table_name(compiler, element.table_name, element.schema)
    column = format_column_name(compiler, element.column_name)
    action = "DROP TAG"
    if element.namespace is not None:
        action = f"SET TAG {compiler.sql_compiler.render_literal_value(element.namespace, String())}"
    return f"ALTER TABLE {table} ALTER COLUMN {column} {action}"


class TagImpl(DefaultImpl):
    """The part of an implementation for databases that have tag columns."""

    def alter_tag(
        self, table_name: str, column_name: str, namespace: str | None, *, schema: str | None = None
    ) -> None:
        """namespace None: it stops being a tag column."""
        self._exec(AlterTag(table_name, column_name, namespace, schema))


# ---- in a batch that makes the table anew ----


def column_of_copy(batch: Any, table_name: str, column_name: str) -> Any:
    """The column of the new table. ValueError: it has none of that name."""
    column = batch.columns.get(column_name)
    if column is None:  # Alembic knows a renamed one by its old name
        column = next((c for c in batch.columns.values() if c.name == column_name), None)
    if column is None:
        raise ValueError(f"No such column: {column_name!r} in table {table_name!r}")
    return column


def _alter_tag_of_copy(
    batch: Any, table_name: str, column_name: str, namespace: str | None, *, schema: str | None = None
) -> None:
    """What ApplyBatchImpl does for alter_tag: the new table's column says it.

    That it has none must be said of the old table too, since CREATE OR REPLACE TABLE keeps what is not mentioned.
    """
    column = column_of_copy(batch, table_name, column_name)
    if namespace is not None:
        column.info["tag"] = namespace
        return
    column.info.pop("tag", None)
    batch.tags_dropped = [*tags_dropped(batch), column_name]


_apply: Any = ApplyBatchImpl
_apply.alter_tag = _alter_tag_of_copy


def tags_dropped(batch: Any) -> list[str]:
    """The columns that drop_tag() was said of in a batch that makes the table anew, by the names it was given."""
    return list(getattr(batch, "tags_dropped", ()))


# ---- operations ----


@Operations.register_operation("set_tag")
@BatchOperations.register_operation("set_tag", "batch_set_tag")
class SetTagOp(AlterTableOp):
    """Makes a column a tag column, or gives it another namespace."""

    def __init__(
        self,
        table_name: str,
        column_name: str,
        namespace: str,
        *,
        existing_namespace: str | None = None,
        schema: str | None = None,
    ) -> None:
        super().__init__(table_name, schema=schema)
        self.column_name, self.namespace, self.existing_namespace = column_name, namespace, existing_namespace

    @classmethod
    def set_tag(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        namespace: str,
        *,
        existing_namespace: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Makes a column a tag column: each of its values is the tag `namespace:value` of its row.

        Args:
            existing_namespace: of its tags until now; None: it is no tag column. Only for the reverse operation.
        """
        operations.invoke(
            cls(table_name, column_name, namespace, existing_namespace=existing_namespace, schema=schema)
        )

    @classmethod
    def batch_set_tag(
        cls,
        operations: BatchOperations,
        column_name: str,
        namespace: str,
        *,
        existing_namespace: str | None = None,
    ) -> None:
        """Makes a column of the batch's table a tag column; see Operations.set_tag()."""
        batch: Any = operations.impl
        operation = cls(
            batch.table_name, column_name, namespace, existing_namespace=existing_namespace, schema=batch.schema
        )
        operations.invoke(operation)

    def reverse(self) -> SetTagOp | DropTagOp:
        table, column, schema = self.table_name, self.column_name, self.schema
        if self.existing_namespace is None:
            return DropTagOp(table, column, existing_namespace=self.namespace, schema=schema)
        return SetTagOp(table, column, self.existing_namespace, existing_namespace=self.namespace, schema=schema)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return "set_tag", self.schema, self.table_name, self.column_name, self.existing_namespace, self.namespace


@Operations.register_operation("drop_tag")
@BatchOperations.register_operation("drop_tag", "batch_drop_tag")
class DropTagOp(AlterTableOp):
    """Makes a column a column like others; the tags that it gave go."""

    def __init__(
        self, table_name: str, column_name: str, *, existing_namespace: str | None = None, schema: str | None = None
    ) -> None:
        super().__init__(table_name, schema=schema)
        self.column_name, self.existing_namespace = column_name, existing_namespace

    @classmethod
    def drop_tag(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        existing_namespace: str | None = None,
        schema: str | None = None,
    ) -> None:
        """Makes a column a column like others; the tags that it gave go.

        Args:
            existing_namespace: of its tags until now. Only for the reverse operation, which cannot be without.
        """
        operations.invoke(cls(table_name, column_name, existing_namespace=existing_namespace, schema=schema))

    @classmethod
    def batch_drop_tag(
        cls, operations: BatchOperations, column_name: str, *, existing_namespace: str | None = None
    ) -> None:
        """Makes a column of the batch's table a column like others; see Operations.drop_tag()."""
        batch: Any = operations.impl
        operation = cls(
            batch.table_name, column_name, existing_namespace=existing_namespace, schema=batch.schema
        )
        operations.invoke(operation)

    def reverse(self) -> SetTagOp:
        if self.existing_namespace is None:
            column = f"{self.table_name}.{self.column_name}"
            raise ValueError(f"drop_tag of {column} without existing_namespace has no reverse")
        return SetTagOp(self.table_name, self.column_name, self.existing_namespace, schema=self.schema)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return "drop_tag", self.schema, self.table_name, self.column_name, self.existing_namespace


@Operations.implementation_for(SetTagOp)
@Operations.implementation_for(DropTagOp)
def _carry_out(operations: Operations, operation: SetTagOp | DropTagOp) -> None:
    namespace = operation.namespace if isinstance(operation, SetTagOp) else None
    impl: Any = operations.impl
    table, column, schema = operation.table_name, operation.column_name, operation.schema
    if isinstance(impl, TagImpl):
        impl.alter_tag(table, column, namespace, schema=schema)
    elif isinstance(impl, BatchOperationsImpl) and isinstance(impl.impl, TagImpl):
        impl.batch.append(("alter_tag", (table, column, namespace), {"schema": schema}))  # flush() calls it


__all__ = ["AlterTag", "DropTagOp", "SetTagOp", "TagImpl", "tags_dropped"]
