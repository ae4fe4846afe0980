"""The history table of a Table, and references to it at a moment or over versions.

The engine has a read-only table `"t history"` for every table `t`: its columns, and behind them the moment asked for,
the period of the version, the operation and the transaction. A reference gets its moment by arguments, or by a
condition on the column `as_of`. Here that is a Table, and HistoryAlias the reference with arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BigInteger, Column, ColumnElement, MetaData, String, Table, exc, literal_column
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.elements import BindParameter, _anonymous_label
from sqlalchemy.sql.selectable import AliasedReturnsRows, FromClause, FromClauseAlias
from sqlalchemy.sql.visitors import InternalTraversal

# The keys of the columns behind the table's own; their names are without the prefix where the table has no such column.
AS_OF = "_entitydb_as_of"
VALID_FROM = "_entitydb_valid_from"
VALID_TO = "_entitydb_valid_to"
OPERATION = "_entitydb_operation"
TRANSACTION = "_entitydb_transaction_id"
ROW = "_entitydb_row"  # the row id; the column is called so in every history table
PERIOD = (VALID_FROM, VALID_TO, OPERATION, TRANSACTION)

_PREFIX = "_entitydb_"
_MARK = "entitydb_history"

_tables: WeakKeyDictionary[Table, Table] = WeakKeyDictionary()


def history_table(table: FromClause) -> Table:
    """The history table of a table, the same for each call.

    Raises:
        ArgumentError: it is no table.
    """
    if not isinstance(table, Table):
        raise exc.ArgumentError(f"{table!r} is not a table: only tables have a history of their own")
    table = table._deannotate() if table._annotations else table
    found = _tables.get(table)
    if found is None:
        found = _tables[table] = _make(table)
    return found


def _make(table: Table) -> Table:
    taken = {column.name.lower() for column in table.columns}

    def name(key: str) -> str:
        plain = key.removeprefix(_PREFIX)
        return f"entitydb_{plain}" if plain in taken else plain

    return Table(
        f"{table.name} history",
        MetaData(),
        *(Column(c.name, c.type, key=c.key, primary_key=c.primary_key) for c in table.columns if not c.system),
        Column(name(AS_OF), BigInteger, key=AS_OF, primary_key=True),
        *(Column(name(key), BigInteger, key=key) for key in (VALID_FROM, VALID_TO)),
        Column(name(OPERATION), String, key=OPERATION),
        Column(name(TRANSACTION), BigInteger, key=TRANSACTION),
        *(Column("entitydb row", BigInteger, key=ROW) for c in table.columns if c.system),
        schema=table.schema,
        info={_MARK: True},
    )


def has_history(mapper: Mapper[Any]) -> bool:
    """Is it mapped to tables of the program? The engine's own ("entitydb_tags") have none."""
    tables = (*mapper.tables, mapper.local_table)
    return all(isinstance(table, Table) and not table.name.startswith("entitydb_") for table in tables)


def is_history(element: Any) -> bool:
    """Is it a history table (not a reference with arguments)?"""
    return isinstance(element, Table) and _MARK in element.info


class HistoryAlias(FromClauseAlias[Any]):
    """A reference to a history table with arguments: `main."t history"(moment) AS t_1`."""

    __visit_name__ = "history_alias"
    stringify_dialect = "entitydb"

    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy has it
        *AliasedReturnsRows._traverse_internals,
        ("arguments", InternalTraversal.dp_clauseelement_list),
    ]

    def _init(self, selectable: Any, *, name: str | None = None, arguments: Sequence[ColumnElement[Any]] = ()) -> None:
        self.arguments = list(arguments)
        super()._init(selectable, name=name)

    def _copy_internals(self, *args: Any, **kw: Any) -> None:
        before = self.arguments
        super()._copy_internals(*args, **kw)
        if any(new is not old for new, old in zip(self.arguments, before, strict=True)):
            # Columns name their table: those of the original would bring it, with its moment, into the query.
            self._reset_column_collection()


def moment_bind(ns: int) -> BindParameter[int]:
    """A bind parameter for a moment.

    Equal moments are one parameter of a statement. So a statement at one moment has another form than one at several,
    which the compiler relies on, and neither depends on what the moments are.
    """
    bind: BindParameter[int] = BindParameter(None, ns, type_=BigInteger())
    # An anonymous name is made of the object's id. Made of the moment, equal moments have one name.
    map_key = f"{ns} moment"
    bind.key = bind._identifying_key = _anonymous_label(f"%({map_key})s")
    bind._anon_map_key = map_key  # SQLAlchemy 2.1's own note of it
    return bind


def at_moment(history: Table, moment: ColumnElement[Any]) -> HistoryAlias:
    """The rows of a history table as of a moment, a parameter or another table's column."""
    return HistoryAlias._construct(history, arguments=[moment])


def over_versions(
    history: Table, kind: str, first: ColumnElement[Any] | None = None, last: ColumnElement[Any] | None = None
) -> HistoryAlias:
    """The versions in a history table; `kind` and its moments as in engine/vtab/history.h."""
    none: ColumnElement[Any] = literal_column("0")
    arguments = [none if first is None else first, none if last is None else last, literal_column(f"'{kind}'")]
    return HistoryAlias._construct(history, arguments=arguments)


__all__ = [
    "AS_OF",
    "OPERATION",
    "PERIOD",
    "ROW",
    "TRANSACTION",
    "VALID_FROM",
    "VALID_TO",
    "HistoryAlias",
    "at_moment",
    "has_history",
    "history_table",
    "is_history",
    "moment_bind",
    "over_versions",
]
