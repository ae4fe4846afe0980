"""Whose a DDL statement is: a schema of ours, whose catalog it edits, or SQLite's own (TEMP, attached SQLite files)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _exceptions as ex
from ..rewrite.schema_names import rewritten
from ..sql.analysis import Ddl
from ..sql.tokens import quote, tokens, unquote
from . import attached as _attach
from .schema import Schema

if TYPE_CHECKING:
    from .._connection import Connection


def _refuse_writing_trigger(connection: Connection, name: str, sql: str) -> None:
    """A TEMP trigger may change TEMP tables. An INSERT inside it cannot tell the engine which columns it names, so that
    the others would get no defaults."""
    items = tokens(sql)
    words = [token.upper for token in items]
    at = words.index("BEGIN") if "BEGIN" in words else len(words)
    for i in range(at, len(words) - 2):
        if words[i] in ("INTO", "UPDATE") or words[i : i + 2] == ["DELETE", "FROM"]:
            target = i + 2 if words[i] == "DELETE" else i + 3 if words[i + 1] == "OR" else i + 1
            written = unquote(items[target].text) if target < len(items) else ""
            ours = any(written.lower() in schema._declared for schema in connection._schemas())
            if ours and written.lower() not in connection.temporary_tables():
                raise ex.NotSupportedError(
                    f"CREATE TEMP TRIGGER {name}: it would change table {written}; EntityDB has no triggers, and those"
                    " of TEMP tables may change TEMP tables alone"
                )


def _index_is_temporary(connection: Connection, name: str) -> bool:
    rows = connection._raw.execute(
        "SELECT 1 FROM temp.sqlite_master WHERE type = 'index' AND lower(name) = ?", (name.lower(),)
    ).fetchall()
    return bool(rows)


def _schema_with_index(connection: Connection, name: str) -> Schema | None:
    if _index_is_temporary(connection, name):
        return None
    if connection._find_index(name) is not None:
        return connection
    for title, attached in connection._order:
        if attached is not None and attached._find_index(name) is not None:
            return attached
        if attached is None and connection._raw.execute(
            f"SELECT 1 FROM {quote(title)}.sqlite_master WHERE type = 'index' AND lower(name) = ?", (name.lower(),)
        ).fetchall():
            return None
    return connection


def _meant(connection: Connection, ddl: Ddl) -> Schema | None:
    """The schema that a statement is about; None: one of SQLite's own, or one that is not there."""
    if ddl.temporary:
        return None
    if ddl.schema is not None:
        return _attach.schema_of(connection, ddl.schema)
    if ddl.what == "INDEX":
        if ddl.verb == "DROP":
            return _schema_with_index(connection, ddl.name)
        return None if ddl.table.lower() in connection.temporary_tables() else connection
    if ddl.verb == "CREATE":
        return connection
    return _attach.schema_with(connection, ddl.name)


def route(connection: Connection, ddl: Ddl, sql: str) -> Schema | None:
    """The schema whose catalog is to be edited; None: SQLite does it. Raises NotSupportedError."""
    verb, what = ddl.verb, ddl.what
    if verb in ("REINDEX", "ANALYZE"):
        return None
    if verb == "VACUUM":
        raise ex.NotSupportedError(
            "VACUUM: an EntityDB file keeps its history; free pages are used again by themselves"
        )
    schema = _meant(connection, ddl)
    if verb == "CREATE" and what == "TRIGGER":
        if ddl.is_temporary:
            _refuse_writing_trigger(connection, ddl.name, sql)
        if schema is not None:
            raise ex.NotSupportedError(
                f"CREATE TRIGGER {ddl.name}: EntityDB has no triggers. History needs none: read it with as_of. For"
                " rules use CHECK and FOREIGN KEY constraints, for derived values generated columns or SQLAlchemy's"
                " events"
            )
        if rewritten(sql) is not None:
            raise ex.NotSupportedError(
                f"CREATE TRIGGER {ddl.name} over sqlite_master or a pragma function: queries alone ask for the schema"
            )
    if verb == "CREATE" and what == "VIRTUAL" and schema is not None:
        raise ex.NotSupportedError(
            f"CREATE VIRTUAL TABLE {ddl.name}: its data would be lost with the connection; make it temp.{ddl.name}"
        )
    if schema is not None and (what not in ("TABLE", "INDEX", "VIEW") or (verb == "ALTER" and what != "TABLE")):
        return None  # SQLite refuses it
    if connection._order:
        _attach.guard_files(connection, schema, ddl.schema, ddl.name)
    return schema
