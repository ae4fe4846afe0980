"""What a column without history may not be: its values would have a history elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from ..._exceptions import OperationalError
from .._catalog import Column, Table
from ..sql.tokens import is_name, tokens, unquote


def _names(expression: str, column: Column) -> bool:
    """Does an expression name the column? A word that only looks like it counts, too."""
    return any(is_name(t) and unquote(t.text).lower() == column.name.lower() for t in tokens(expression))


def _uses(table: Table, column: Column) -> Iterator[str]:
    at = table.columns.index(column)
    if at in table.primary_key:
        yield "it is in the primary key"
    for index in table.indexes:
        parts = [table.columns[part.column] for part in index.parts]
        computes = any(part.expression is not None and _names(part.expression, column) for part in parts)
        if column in parts or computes or (index.where is not None and _names(index.where, column)):
            yield "it is unique" if index.automatic else f"index {index.name} has it"
    for key in table.extra.get("foreign_keys", ()):
        if column.name.lower() in (name.lower() for name in key["columns"]):
            yield f"it refers to {key['table']}"
    if column.expression is not None:
        yield "it is generated"
    for other in table.visible:
        if other.expression is not None and _names(other.expression, column):
            yield f"{other.name} is generated from it"
    if column.tag is not None:
        yield f"it gives the tags of {column.tag!r}"


def refuse_with_history(table: Table) -> None:
    """Raises OperationalError for a column without history that has one elsewhere."""
    for column in table.visible:
        for use in _uses(table, column) if column.unversioned else ():
            raise OperationalError(
                f"{table.name}.{column.name} cannot be UNVERSIONED: {use}, and what it was would be kept there"
            )


__all__ = ["refuse_with_history"]
