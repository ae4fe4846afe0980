"""PRAGMAs: what the catalog knows is answered from it, the usual ones of connect listeners do no harm.

SQLite's own answers would describe its declarations (no keys, no defaults, no indexes), and its journal and sync modes
those of an empty memory database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _exceptions as ex
from ._analysis import Analysis
from ._catalog import COLLATIONS, Index, Table

if TYPE_CHECKING:
    from ._connection import Connection

Answer = tuple[tuple[str, ...], list[tuple[Any, ...]]]

_INFO = ("cid", "name", "type", "notnull", "dflt_value", "pk")
_KEY = ("id", "seq", "table", "from", "to", "on_update", "on_delete", "match")


def _table_info(table: Table, extended: bool) -> Answer:
    key = table.primary_key
    rows = []
    for i, c in enumerate(table.columns):
        not_null = c.not_null or (table.without_rowid and i in key)
        row = (i, c.name, c.type, int(not_null), c.default_sql, key.index(i) + 1 if i in key else 0)
        rows.append((*row, 0) if extended else row)
    return (*_INFO, "hidden") if extended else _INFO, rows


def _index_list(table: Table) -> Answer:
    rows = []
    for i, index in enumerate(reversed(table.indexes)):
        origin = "pk" if index.primary_key else "u" if index.automatic else "c"
        rows.append((i, index.name, int(index.unique), origin, 0))
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


def _about_table(connection: Connection, analysis: Analysis, as_of: int | None) -> Answer | None:
    if analysis.argument is None or (analysis.schema or "main").lower() != "main":
        return None
    name = analysis.argument.lower()
    if analysis.schema is None and name in connection.temporary_tables():
        return None
    tables = connection.catalog(as_of)
    if analysis.name in ("index_info", "index_xinfo"):
        for table in tables.values():
            for index in table.indexes:
                if index.name.lower() == name:
                    return _index_info(table, index, analysis.name == "index_xinfo")
        return None
    found = tables.get(name)
    if found is None:
        return None
    if analysis.name == "index_list":
        return _index_list(found)
    if analysis.name == "foreign_key_list":
        return _foreign_keys(found)
    return _table_info(found, analysis.name == "table_xinfo")


def _table_list(connection: Connection, analysis: Analysis, as_of: int | None) -> Answer:
    rows = [
        ("main", t.name, "table", len(t.columns), int(t.without_rowid), int(t.strict))
        for t in connection.catalog(as_of).values()
        if analysis.argument is None or analysis.argument.lower() == t.name.lower()
    ]
    listed = connection._raw.execute("SELECT * FROM pragma_table_list WHERE schema <> 'main'").fetchall()
    if analysis.argument is not None:
        listed = [row for row in listed if row[1].lower() == analysis.argument.lower()]
    return ("schema", "name", "type", "ncol", "wr", "strict"), rows + listed


def answer(connection: Connection, analysis: Analysis, as_of: int | None) -> Answer | None:
    """Names and rows of a PRAGMA's result; None: SQLite answers it.

    Raises NotSupportedError for settings that would be silently lost.
    """
    name = analysis.name
    if name in ("table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list"):
        return _about_table(connection, analysis, as_of)
    if name == "table_list":
        return _table_list(connection, analysis, as_of)
    if name == "journal_mode":
        return ("journal_mode",), [("wal",)]
    if name == "synchronous":
        if analysis.argument is not None:
            return (), []
        return ("synchronous",), [(1 if connection.database.options.synchronous == "normal" else 2,)]
    if name in ("integrity_check", "quick_check"):
        breaches, _ = connection.database.check()
        return (name,), [(f"{b.invariant} page {b.page}: {b.sentence}",) for b in breaches] or [("ok",)]
    if name in ("user_version", "application_id") and analysis.argument is not None:
        raise ex.NotSupportedError(f"PRAGMA {name}: an EntityDB file does not keep it; use a table")
    return None
