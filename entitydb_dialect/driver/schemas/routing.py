"""Whose a DDL statement is: a schema of ours, whose catalog it edits, or SQLite's own (TEMP, attached SQLite files)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _exceptions as ex
from .._catalog import OWN_TABLES, refuse_reserved
from ..rewrite.schema_names import rewritten
from ..sql.tokens import find, quote, tokens, unquote
from .lookup import guard_files, schema_of, schema_with

if TYPE_CHECKING:
    from .._session import Session
    from ..sql.statement import Ddl
    from .schema import Schema


def _refuse_writing_trigger(session: Session, name: str, sql: str) -> None:
    """A TEMP trigger may change TEMP tables. An INSERT inside it cannot tell the engine which columns it names, so that
    the others would get no defaults."""
    items = tokens(sql)
    words = [token.upper for token in items]
    at = words.index("BEGIN") if "BEGIN" in words else len(words)
    for i in range(at, len(words) - 2):
        if words[i] in ("INTO", "UPDATE") or words[i : i + 2] == ["DELETE", "FROM"]:
            target = i + 2 if words[i] == "DELETE" else i + 3 if words[i + 1] == "OR" else i + 1
            written = unquote(items[target].text) if target < len(items) else ""
            ours = any(written.lower() in schema.declared for schema in session.schemas())
            ours |= written.lower() in OWN_TABLES
            if ours and written.lower() not in session.temporary_tables():
                raise ex.NotSupportedError(
                    f"CREATE TEMP TRIGGER {name}: it would change table {written}; EntityDB has no triggers, and those"
                    " of TEMP tables may change TEMP tables alone"
                )


def _index_is_temporary(session: Session, name: str) -> bool:
    rows = session.raw.execute(
        "SELECT 1 FROM temp.sqlite_master WHERE type = 'index' AND lower(name) = ?", (name.lower(),)
    ).fetchall()
    return bool(rows)


def _schema_with_index(session: Session, name: str) -> Schema | None:
    if _index_is_temporary(session, name):
        return None
    if session.main.find_index(name) is not None:
        return session.main
    for title, attached in session.attach_order:
        if attached is not None and attached.find_index(name) is not None:
            return attached
        if attached is None and session.raw.execute(
            f"SELECT 1 FROM {quote(title)}.sqlite_master WHERE type = 'index' AND lower(name) = ?", (name.lower(),)
        ).fetchall():
            return None
    return session.main


def _meant(session: Session, ddl: Ddl) -> Schema | None:
    """The schema that a statement is about; None: one of SQLite's own, or one that is not there."""
    if ddl.temporary:
        return None
    if ddl.schema is not None:
        return schema_of(session, ddl.schema)
    if ddl.what == "INDEX":
        if ddl.verb == "DROP":
            return _schema_with_index(session, ddl.name)
        return None if ddl.table.lower() in session.temporary_tables() else session.main
    if ddl.verb == "CREATE":
        return session.main
    return schema_with(session, ddl.name)


def _refuse_hiding(ddl: Ddl, sql: str) -> None:
    """A TEMP table, or one of a file of SQLite's, stands before what the engine has under its name."""
    if ddl.verb == "CREATE":
        refuse_reserved(ddl.name)
    items = tokens(sql)
    at = find(items, "RENAME")
    if ddl.verb == "ALTER" and at >= 0 and at + 2 < len(items) and items[at + 1].upper == "TO":
        refuse_reserved(unquote(items[at + 2].text))


def route(session: Session, ddl: Ddl, sql: str) -> Schema | None:
    """The schema whose catalog is to be edited; None: SQLite does it. Raises NotSupportedError."""
    verb, what = ddl.verb, ddl.what
    if verb in ("REINDEX", "ANALYZE"):
        return None
    schema = _meant(session, ddl)
    if schema is None:
        _refuse_hiding(ddl, sql)
    if verb == "CREATE" and what == "TRIGGER":
        if ddl.is_temporary:
            _refuse_writing_trigger(session, ddl.name, sql)
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
    if session.attach_order:
        guard_files(session, schema, ddl.schema, ddl.name)
    return schema
