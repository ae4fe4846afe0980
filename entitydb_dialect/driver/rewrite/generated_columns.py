"""Changes of tables with generated columns.

A declaration shows generated columns as plain ones. So an INSERT without column list gets one that leaves them out, and
a statement that writes to one is refused, in SQLite's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ... import _exceptions as ex
from .._catalog import Table
from ..sql.statement import WRITE, Statement
from ..sql.text import Edit
from ..sql.tokens import quote
from .schemas import Schemas
from .upsert_returning import Conflict

_ROWID = frozenset(("rowid", "oid", "_rowid_"))


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The column list of an INSERT that has none. Raises OperationalError for a write to a generated column."""
    if statement.kind is not WRITE or not schemas.generates:
        return []
    located = schemas.locate(statement.schema, statement.table)
    if located is None or not located.table.generates:
        return []
    table = located.table
    if statement.columns is not None:
        refuse(table, statement.columns, "INSERT into")
    refuse(table, statement.sets, "UPDATE")
    plain = [column for column in table.visible if column.expression is None]
    if statement.list_at < 0 or statement.default_values or len(plain) == len(table.visible):
        return []
    names = ", ".join(quote(column.name) for column in plain)
    return [Edit(statement.list_at, statement.list_at, f"({names})")]


def refuse(table: Table, names: tuple[str, ...], verb: str) -> None:
    """Raises OperationalError when one of the columns written to is generated."""
    columns = {column.name.lower(): column for column in table.visible}
    for name in names:
        column = columns.get(name.lower())
        if column is None and name.lower() not in _ROWID:
            return  # SQLite says so
        if column is not None and column.expression is not None:
            raise ex.OperationalError(f'cannot {verb} generated column "{column.name}"')


def refuse_conflicts(statement: Statement, conflicts: Iterable[Conflict], schemas: Schemas) -> None:
    """Raises OperationalError when DO UPDATE writes to a generated column."""
    located = schemas.locate(statement.schema, statement.table) if schemas.generates else None
    if located is not None:
        for conflict in conflicts:
            refuse(located.table, conflict.sets or (), "UPDATE")


_COUNTS = re.compile(r"^(\d+) values for (\d+) columns$")


def as_written(error: ex.OperationalError, table: str) -> ex.OperationalError:
    """What SQLite would have said of the statement without the column list that it was given here."""
    match = _COUNTS.match(str(error))
    if match is None:
        return error
    return ex.OperationalError(f"table {table} has {match[2]} columns but {match[1]} values were supplied")


__all__ = ["as_written", "refuse", "refuse_conflicts", "rewrite"]
