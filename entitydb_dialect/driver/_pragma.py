"""PRAGMAs: what the catalog knows is answered from it, the usual ones of connect listeners do no harm.

SQLite's own answers would describe its declarations (no keys, no defaults, no indexes), and its journal and sync modes
those of an empty memory database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _exceptions as ex
from ._analysis import Analysis
from ._catalog import COLLATIONS, Index, Table, View
from ._edit import set_setting
from ._isolation import DEFAULT
from ._sql import quote

if TYPE_CHECKING:
    from ._connection import Connection

Answer = tuple[tuple[str, ...], list[tuple[Any, ...]]]

_INFO = ("cid", "name", "type", "notnull", "dflt_value", "pk")
_KEY = ("id", "seq", "table", "from", "to", "on_update", "on_delete", "match")


def _table_info(table: Table, extended: bool) -> Answer:
    key = table.primary_key
    rows: list[tuple[Any, ...]] = []
    for i, c in enumerate(table.visible):
        not_null = c.not_null or (table.without_rowid and i in key)
        row = (c.name, c.type, int(not_null), c.default_sql, key.index(i) + 1 if i in key else 0)
        if extended:
            rows.append((i, *row, 0 if c.expression is None else 3 if c.stored else 2))
        elif c.expression is None:
            rows.append((len(rows), *row))
    return (*_INFO, "hidden") if extended else _INFO, rows


def _index_list(table: Table) -> Answer:
    rows = []
    for i, index in enumerate(reversed(table.indexes)):
        origin = "pk" if index.primary_key else "u" if index.automatic else "c"
        rows.append((i, index.name, int(index.unique), origin, int(index.where is not None)))
    return ("seq", "name", "unique", "origin", "partial"), rows


def _index_info(table: Table, index: Index, extended: bool) -> Answer:
    rows: list[tuple[Any, ...]] = []
    for i, part in enumerate(index.parts):
        row = (i, part.column, table.columns[part.column].name)
        rows.append((*row, int(part.descending), COLLATIONS[part.collation], 1) if extended else row)
    if extended:
        rows.append((len(rows), -1, None, 0, "BINARY", 0))
    names = ("seqno", "cid", "name")
    return (*names, "desc", "coll", "key") if extended else names, rows


def _foreign_keys(table: Table) -> Answer:
    rows = []
    for i, key in enumerate(reversed(table.extra.get("foreign_keys", []))):
        for seq, column in enumerate(key["columns"]):
            referred = key["referred"][seq] if seq < len(key["referred"]) else None
            rows.append((i, seq, key["table"], column, referred, key["on_update"], key["on_delete"], key["match"]))
    return _KEY, rows


ABOUT = {
    "table_info": _INFO,
    "table_xinfo": (*_INFO, "hidden"),
    "index_list": ("seq", "name", "unique", "origin", "partial"),
    "index_info": ("seqno", "cid", "name"),
    "index_xinfo": ("seqno", "cid", "name", "desc", "coll", "key"),
    "foreign_key_list": _KEY,
}


def about(
    connection: Connection, pragma: str, argument: str, schema: str | None, tables: dict[str, Table]
) -> Answer | None:
    """The answer of one of ABOUT; None: it is about something of SQLite's own."""
    name = argument.lower()
    if (schema or "main").lower() != "main":
        return None
    if schema is None and name in connection.temporary_tables():
        return None
    if pragma in ("index_info", "index_xinfo"):
        for table in tables.values():
            for index in table.indexes:
                if index.name.lower() == name:
                    return _index_info(table, index, pragma == "index_xinfo")
        return None
    found = tables.get(name)
    if found is None:
        return None
    if pragma == "index_list":
        return _index_list(found)
    if pragma == "foreign_key_list":
        return _foreign_keys(found)
    return _table_info(found, pragma == "table_xinfo")


def table_list(
    connection: Connection, argument: str | None, shown: tuple[dict[str, Table], dict[str, View]]
) -> Answer:
    tables, views = shown
    rows: list[tuple[Any, ...]] = [
        ("main", t.name, "table", len(t.visible), int(t.without_rowid), int(t.strict)) for t in tables.values()
    ]
    for row in connection._raw.execute("PRAGMA table_list").fetchall():
        if row[0] != "main" or row[1].lower() in views:
            rows.append(row)
    rows.append(("main", "sqlite_schema", "table", 5, 0, 0))
    if argument is not None:
        rows = [row for row in rows if row[1].lower() == argument.lower()]
    return ("schema", "name", "type", "ncol", "wr", "strict"), rows


_KEPT = ("user_version", "application_id")


def _set(connection: Connection, name: str, argument: str) -> None:
    value = argument.strip()
    try:
        number = int(value, 0)
    except ValueError:
        number = 0
    if not -(2**31) <= number < 2**31:
        number = 0
    if connection._raw.in_transaction:
        set_setting(connection, name, str(number))
    else:
        connection._autocommitted(lambda: set_setting(connection, name, str(number)))


def _dangling(connection: Connection, child: Table, key: Mapping[str, Any], parent: Table | None) -> str:
    """A query for the rows whose foreign key means a row that is not there."""
    columns = [f"c.{quote(column)}" for column in key["columns"]]
    where = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    rowid = "NULL" if child.without_rowid else "c.rowid"
    query = f"SELECT {rowid} FROM main.{quote(child.name)} AS c WHERE {where}"
    if parent is None:
        return query
    referred = key["referred"] or [parent.columns[i].name for i in parent.primary_key]
    known = {column.name.lower() for column in parent.columns}
    if len(referred) != len(columns) or not all(name.lower() in known for name in referred):
        raise ex.OperationalError(f'foreign key mismatch - "{child.name}" referencing "{parent.name}"')
    # The parent's side first: its collation decides.
    same = " AND ".join(f"p.{quote(name)} = {column}" for name, column in zip(referred, columns, strict=True))
    return f"{query} AND NOT EXISTS (SELECT 1 FROM main.{quote(parent.name)} AS p WHERE {same})"


def _foreign_key_check(connection: Connection, analysis: Analysis, as_of: int | None) -> Answer:
    tables = {name: table for name, table in connection.catalog(as_of).items() if isinstance(table, Table)}
    rows: list[tuple[Any, ...]] = []
    for name, child in sorted(tables.items()):
        if analysis.argument is not None and analysis.argument.lower() != name:
            continue
        for i, key in enumerate(reversed(child.extra.get("foreign_keys", []))):
            query = _dangling(connection, child, key, tables.get(key["table"].lower()))
            rows += [(child.name, rowid, key["table"], i) for (rowid,) in connection._run(query, as_of=as_of)]
    return ("table", "rowid", "parent", "fkid"), rows


def answer(connection: Connection, analysis: Analysis, as_of: int | None) -> Answer | None:
    """Names and rows of a PRAGMA's result; None: SQLite answers it.

    Raises NotSupportedError for settings that would be silently lost.
    """
    name = analysis.name
    if name in ABOUT:
        if analysis.argument is None:
            return None
        return about(connection, name, analysis.argument, analysis.schema, connection.catalog(as_of))
    if name == "foreign_key_check" and (analysis.schema or "main").lower() == "main":
        return _foreign_key_check(connection, analysis, as_of)
    if name == "table_list":
        return table_list(connection, analysis.argument, connection.schema(as_of))
    if name == "journal_mode":
        return ("journal_mode",), [("wal",)]
    if name == "read_uncommitted":
        if analysis.argument is None:
            return (name,), [(int(connection.isolation_level == "READ UNCOMMITTED"),)]
        if analysis.argument.strip("'\" ").lower() in ("1", "on", "yes", "true"):
            connection.isolation_level = "READ UNCOMMITTED"
        elif connection.isolation_level == "READ UNCOMMITTED":
            connection.isolation_level = DEFAULT
        return (), []
    if name == "synchronous":
        if analysis.argument is not None:
            return (), []
        return ("synchronous",), [(1 if connection.database.options.synchronous == "normal" else 2,)]
    if name in ("integrity_check", "quick_check"):
        breaches, _ = connection.database.check()
        return (name,), [(f"{b.invariant} page {b.page}: {b.sentence}",) for b in breaches] or [("ok",)]
    if name in _KEPT and (analysis.schema or "main").lower() == "main":
        if analysis.argument is None:
            return (name,), [(int(connection.setting(name, as_of) or 0),)]
        if as_of is not None:
            raise ex.PastWriteError(f"PRAGMA {name} as of a past moment: the past cannot be changed")
        _set(connection, name, analysis.argument)
        return (), []
    return None
