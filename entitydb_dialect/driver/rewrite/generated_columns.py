"""Statements and generated columns: what SQLite does for ordinary tables and not for virtual ones.

A declaration shows generated columns as plain ones. So an INSERT without column list gets one that leaves them out, and
a statement that writes to one is refused, in SQLite's words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ... import _exceptions as ex
from .._catalog import Table
from ..sql.analysis import Analysis, analyse
from ..sql.tokens import quote
from .upsert_returning import Pieces

if TYPE_CHECKING:
    from .._session import Session

_ROWID = frozenset(("rowid", "oid", "_rowid_"))


class SchemaMoved(Exception):
    """The schema changed between looking at a statement and beginning it: look again."""


def _refuse(table: Table, names: tuple[str, ...], verb: str) -> None:
    columns = {column.name.lower(): column for column in table.visible}
    for name in names:
        column = columns.get(name.lower())
        if column is None and name.lower() not in _ROWID:
            return  # SQLite says so
        if column is not None and column.expression is not None:
            raise ex.OperationalError(f'cannot {verb} generated column "{column.name}"')


def adapted(session: Session, analysis: Analysis, sql: str) -> tuple[Analysis, str]:
    """An INSERT, UPDATE or DELETE as the declarations want it.

    Raises OperationalError for a write to a generated column.
    """
    table = session.written_table(analysis)
    if table is None or not table.generates:
        return analysis, sql
    if analysis.columns is not None:
        _refuse(table, analysis.columns, "INSERT into")
    _refuse(table, analysis.sets, "UPDATE")
    if isinstance(analysis.pieces, Pieces):
        for conflict in analysis.pieces.conflicts:
            _refuse(table, conflict.sets or (), "UPDATE")
    plain = [column for column in table.visible if column.expression is None]
    if analysis.list_at < 0 or analysis.default_values or len(plain) == len(table.visible):
        return analysis, sql
    names = ", ".join(quote(column.name) for column in plain)
    sql = f"{sql[: analysis.list_at]}({names}){sql[analysis.list_at :]}"
    return analyse(sql), sql


_COUNTS = re.compile(r"^(\d+) values for (\d+) columns$")


def unadapted(error: ex.OperationalError, table: str) -> ex.OperationalError:
    """What SQLite would have said of the statement as it was written."""
    match = _COUNTS.match(str(error))
    if match is None:
        return error
    return ex.OperationalError(f"table {table} has {match[2]} columns but {match[1]} values were supplied")
