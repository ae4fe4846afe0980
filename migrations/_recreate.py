"""Which batches need the table made anew, where Alembic is left to decide (recreate="auto").

What ALTER TABLE cannot do: fill existing rows with a stored computed column; add a primary key's column, or drop a
column that a constraint still names, which takes the constraint along; give columns another order; and drop a
constraint by the name that a convention gives it, when the database knows it without one. What it does otherwise than
Alembic's copy: a type of another kind, to which the copy casts; ALTER TABLE keeps what does not convert.

What batch_alter_table() is told of the table (table_args, table_kwargs, copy_from, reflect_args, reflect_kwargs) only a
new table has. There Alembic's rule for SQLite holds: the table is made anew unless all that is done is to add columns,
to make or drop indexes and to declare tag columns.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import JSON, Computed, inspect
from sqlalchemy.schema import CheckConstraint, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.types import to_instance

_LITERAL = re.compile(r"[+-]?\s*(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|[xX]?'(?:[^']|'')*'")
WORDS = {"NULL", "TRUE", "FALSE", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"}


def is_literal(text: str) -> bool:
    """Is a default a constant or a word, that needs no parentheses?"""
    return bool(_LITERAL.fullmatch(text)) or text.upper() in WORDS


def _fills_rows(column: Any) -> bool:
    """Do existing rows get a value that ADD COLUMN cannot give them?"""
    return isinstance(column.server_default, Computed) and bool(column.server_default.persisted)


def _casts(arguments: Any, options: Any, copy_from: Any, schema: str | None, connection: Any) -> bool:
    """Is a column given a type of another kind?"""
    new_type = options.get("type_")
    if new_type is None:
        return False
    table_name, column_name = arguments[:2]
    if copy_from is not None:
        old_types = [c.type for c in copy_from.columns if c.name == column_name]
    else:
        columns = inspect(connection).get_columns(table_name, schema)
        old_types = [c["type"] for c in columns if c["name"] == column_name]
    new_type = to_instance(new_type)
    return any(t._type_affinity is not new_type._type_affinity for t in old_types) and not isinstance(new_type, JSON)


def _named(table_name: str, schema: str | None, copy_from: Any, connection: Any) -> tuple[set[str], list[str]]:
    """The columns that primary key, unique and foreign keys name, and the texts of CHECK constraints."""
    if copy_from is not None:
        keys = (UniqueConstraint, ForeignKeyConstraint)
        columns = {c.name for c in copy_from.primary_key.columns}
        columns |= {c.name for k in copy_from.constraints if isinstance(k, keys) for c in k.columns}
        return columns, [str(k.sqltext) for k in copy_from.constraints if isinstance(k, CheckConstraint)]
    inspector = inspect(connection)
    columns = set(inspector.get_pk_constraint(table_name, schema)["constrained_columns"])
    for unique in inspector.get_unique_constraints(table_name, schema):
        columns |= set(unique["column_names"])
    for key in inspector.get_foreign_keys(table_name, schema):
        columns |= set(key["constrained_columns"])
    return columns, [check["sqltext"] for check in inspector.get_check_constraints(table_name, schema)]


_IN_PLACE = {"add_column", "create_index", "drop_index", "alter_tag", "alter_retention", "alter_unversioned"}


def _describes_table(batch_op: Any) -> bool:
    """Was something said of the table that only a new one can have?"""
    reflecting = dict(batch_op.reflect_kwargs)
    listeners = reflecting.pop("listeners", ())  # one is Alembic's own
    told = (batch_op.table_args, batch_op.table_kwargs, batch_op.reflect_args, reflecting, listeners[1:])
    return batch_op.copy_from is not None or any(bool(one) for one in told)


def needs_recreate(batch_op: Any, connection: Any) -> bool:
    """Args: batch_op: Alembic's BatchOperationsImpl, all its operations listed."""
    if batch_op.partial_reordering:
        return True
    if _describes_table(batch_op) and any(name not in _IN_PLACE for name, _, _ in batch_op.batch):
        return True
    dropped = []
    for name, arguments, options in batch_op.batch:
        if name == "drop_constraint" and batch_op.naming_convention:
            return True
        if name == "add_column" and (arguments[1].primary_key or _fills_rows(arguments[1])):
            return True
        if name == "alter_column" and _casts(arguments, options, batch_op.copy_from, batch_op.schema, connection):
            return True
        if name == "drop_column":
            dropped.append(arguments[1].name)
    if not dropped:
        return False
    columns, checks = _named(batch_op.table_name, batch_op.schema, batch_op.copy_from, connection)
    words = {word.lower() for check in checks for word in re.findall(r"\w+", check)}
    return any(name in columns or name.lower() in words for name in dropped)


__all__ = ["WORDS", "is_literal", "needs_recreate"]
