"""PRAGMAs: what the catalog knows is answered from it, the usual ones of connect listeners do no harm.

SQLite's own answers would describe its declarations (no keys, no defaults, no indexes), and its journal and sync modes
those of an empty memory database.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ... import _exceptions as ex
from .._catalog import COLLATIONS, Index, Table, View
from .._isolation import DEFAULT, choose
from ..ddl.statements import set_setting
from ..schemas.lookup import guard_files, schema_of, schema_with
from ..sql.tokens import quote

if TYPE_CHECKING:
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.statement import Statement

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
        column = table.columns[part.column]
        row = (i, -2, None) if column.hidden else (i, part.column, column.name)
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


Shown = tuple[dict[str, Table], dict[str, View]]


def _schema_with_index(session: Session, name: str, shown: Callable[[str], Shown]) -> str | None:
    for schema in session.schemas():
        if any(index.name.lower() == name for table in shown(schema.name)[0].values() for index in table.indexes):
            return schema.name
    return None


def about(
    session: Session, pragma: str, argument: str, schema: str | None, shown: Callable[[str], Shown]
) -> Answer | None:
    """The answer of one of ABOUT; None: it is about something of SQLite's own. shown: the catalog of a schema."""
    name = argument.lower()
    is_index = pragma in ("index_info", "index_xinfo")
    if schema is None and is_index:
        schema = _schema_with_index(session, name, shown)
    elif schema is None:
        found = schema_with(session, name)
        schema = None if found is None else found.name
    if schema is None or schema_of(session, schema) is None:
        return None
    tables = shown(schema)[0]
    if is_index:
        for table in tables.values():
            for index in table.indexes:
                if index.name.lower() == name:
                    return _index_info(table, index, pragma == "index_xinfo")
        return None
    named = tables.get(name)
    if named is None:
        return None
    if pragma == "index_list":
        return _index_list(named)
    if pragma == "foreign_key_list":
        return _foreign_keys(named)
    return _table_info(named, pragma == "table_xinfo")


def table_list(
    session: Session, argument: str | None, only: str | None, shown: Callable[[str], Shown]
) -> Answer:
    rows: list[tuple[Any, ...]] = []
    ours = {schema.name.lower(): schema for schema in session.schemas()}
    for title, schema in ours.items():
        tables = shown(title)[0].values()
        rows += [
            (schema.name, t.name, "table", len(t.visible), int(t.without_rowid), int(t.strict)) for t in tables
        ]
    for row in session.raw.execute("PRAGMA table_list").fetchall():
        title = row[0].lower()
        if title not in ours or row[1].lower() in shown(title)[1]:
            rows.append(row)
    rows += [(schema.name, "sqlite_schema", "table", 5, 0, 0) for schema in ours.values()]
    if argument is not None:
        rows = [row for row in rows if row[1].lower() == argument.lower()]
    if only is not None:
        rows = [row for row in rows if row[0].lower() == only.lower()]
    return ("schema", "name", "type", "ncol", "wr", "strict"), rows


def _database_list(session: Session) -> Answer:
    """The files behind the schemas; memory databases have none."""
    rows: list[tuple[Any, ...]] = []
    for seq, name, file in session.raw.execute("PRAGMA database_list").fetchall():
        schema = schema_of(session, name)
        path = file if schema is None else schema.database.path
        rows.append((seq, name, os.path.abspath(path) if path else ""))
    return ("seq", "name", "file"), rows


def _integrity_check(session: Session, name: str, only: str | None) -> Answer:
    rows: list[tuple[Any, ...]] = []
    for schema in session.schemas():
        if only is None or only.lower() == schema.name.lower():
            breaches, _ = schema.database.check()
            rows += [(f"{b.invariant} page {b.page}: {b.sentence}",) for b in breaches]
    for title, attached in session.attach_order:
        if attached is None and only is None:
            found = session.raw.execute(f"PRAGMA {quote(title)}.{name}").fetchall()
            rows += [row for row in found if row != ("ok",)]
    return (name,), rows or [("ok",)]


# By our names. Setting one means nothing, as in SQLite for a database that is there.
_FIGURES = {"page_size": "page_size", "page_count": "pages", "freelist_count": "free_pages"}
_KEPT = ("user_version", "application_id")


def _set(schema: Schema, name: str, argument: str) -> None:
    session = schema.session
    guard_files(session, schema, schema.name, name)
    value = argument.strip()
    try:
        number = int(value, 0)
    except ValueError:
        number = 0
    if not -(2**31) <= number < 2**31:
        number = 0
    if session.raw.in_transaction:
        set_setting(schema, name, str(number))
    else:
        session.autocommitted(lambda: set_setting(schema, name, str(number)), schema)


def _dangling(schema: Schema, child: Table, key: Mapping[str, Any], parent: Table | None) -> str:
    """A query for the rows whose foreign key means a row that is not there."""
    columns = [f"c.{quote(column)}" for column in key["columns"]]
    where = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    rowid = "NULL" if child.without_rowid else "c.rowid"
    query = f"SELECT {rowid} FROM {schema.sql_name}.{quote(child.name)} AS c WHERE {where}"
    if parent is None:
        return query
    referred = key["referred"] or [parent.columns[i].name for i in parent.primary_key]
    known = {column.name.lower() for column in parent.columns}
    if len(referred) != len(columns) or not all(name.lower() in known for name in referred):
        raise ex.OperationalError(f'foreign key mismatch - "{child.name}" referencing "{parent.name}"')
    # The parent's side first: its collation decides; and its affinity alone, since + takes the child's away.
    same = " AND ".join(f"p.{quote(name)} = +{column}" for name, column in zip(referred, columns, strict=True))
    return f"{query} AND NOT EXISTS (SELECT 1 FROM {schema.sql_name}.{quote(parent.name)} AS p WHERE {same})"


def _foreign_key_check(schema: Schema, statement: Statement, as_of: int | None) -> Answer:
    tables = schema.read_catalog(as_of)[0]
    rows: list[tuple[Any, ...]] = []
    for name, child in sorted(tables.items()):
        if statement.argument is not None and statement.argument.lower() != name:
            continue
        for i, key in enumerate(reversed(child.extra.get("foreign_keys", []))):
            query = _dangling(schema, child, key, tables.get(key["table"].lower()))
            rows += [(child.name, rowid, key["table"], i) for (rowid,) in schema.run(query, as_of=as_of)]
    return ("table", "rowid", "parent", "fkid"), rows


def answer(session: Session, statement: Statement, as_of: int | None) -> Answer | None:
    """Names and rows of a PRAGMA's result; None: SQLite answers it.

    Raises NotSupportedError for settings that would be silently lost.
    """
    name, given = statement.name, statement.schema
    if given is not None and given.lower() != "temp" and schema_of(session, given) is None:
        if all(title != given.lower() for title, _ in session.attach_order):
            raise ex.OperationalError(f"unknown database {given}")
        return None  # a file of SQLite's
    if name in ABOUT:
        if statement.argument is None:
            return None
        return about(session, name, statement.argument, given, lambda schema: session.catalog(as_of, schema))
    if name == "table_list":
        return table_list(session, statement.argument, given, lambda schema: session.catalog(as_of, schema))
    if name == "database_list":
        return _database_list(session)
    if name == "writable_schema" and statement.argument is not None:
        raise ex.NotSupportedError("PRAGMA writable_schema: sqlite_master cannot be written to; use DDL statements")
    schema = schema_of(session, given or "main")
    if schema is None:
        return None
    if name == "foreign_key_check":
        return _foreign_key_check(schema, statement, as_of)
    if name == "journal_mode":
        return ("journal_mode",), [("wal",)]
    if name == "read_uncommitted":
        if statement.argument is None:
            return (name,), [(int(session.isolation_level == "READ UNCOMMITTED"),)]
        if statement.argument.strip("'\" ").lower() in ("1", "on", "yes", "true"):
            choose(session, "READ UNCOMMITTED")
        elif session.isolation_level == "READ UNCOMMITTED":
            choose(session, DEFAULT)
        return (), []
    if name == "synchronous":
        if statement.argument is not None:
            return (), []
        return ("synchronous",), [(1 if schema.database.options.synchronous == "normal" else 2,)]
    if name in _FIGURES:
        return ((name,), [(schema.database.stats()[_FIGURES[name]],)]) if statement.argument is None else ((), [])
    if name in ("integrity_check", "quick_check"):
        return _integrity_check(session, name, given)
    if name in _KEPT:
        if statement.argument is None:
            return (name,), [(int(schema.setting(name, as_of) or 0),)]
        if as_of is not None:
            raise ex.PastWriteError(f"PRAGMA {name} as of a past moment: the past cannot be changed")
        _set(schema, name, statement.argument)
        return (), []
    return None
