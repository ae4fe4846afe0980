"""Which schema a name means, and which may be written to.

A commit is atomic in one file, so a transaction writes to at most one: the engine sees to it among its own; here it is
seen to between those and the files of SQLite's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from ... import _exceptions as ex
from ..._native import lib

if TYPE_CHECKING:
    from .._session import Session
    from ..sql.statement import Statement
    from .schema import Schema


def schema_of(session: Session, name: str) -> Schema | None:
    """The schema of a name; None: one of SQLite's own, or none at all."""
    lowered = name.lower()
    return session.main if lowered == "main" else session.attached.get(lowered)


def schema_with(session: Session, table: str) -> Schema | None:
    """Where a table or view without a schema's name is, by SQLite's order: TEMP, main, what is attached. None: in one
    of SQLite's own."""
    name = table.lower()
    if name in session.temporary_tables():
        return None
    main = session.main
    if name in main.declared or name in main.views:
        return main
    for title, attached in session.attach_order:
        if attached is None:
            if session.raw.table_exists(title, table):
                return None
        elif name in attached.declared or name in attached.views:
            return attached
    return main


def written(session: Session, statement: Statement) -> Schema | None:
    """The schema that a statement writes to; None: one of SQLite's own. For connections that have attached something.

    Raises NotSupportedError for a second file in one transaction.
    """
    given = statement.schema
    schema = schema_with(session, statement.table) if given is None else schema_of(session, given)
    guard_files(session, schema, given, statement.table)
    return schema


def guard_files(session: Session, schema: Schema | None, given: str | None, table: str) -> None:
    """Files of SQLite's and of ours do not commit together."""
    raw = session.raw
    files = [title for title, attached in session.attach_order if attached is None and raw.db_filename(title)]
    if not files or not raw.in_transaction:
        return
    if schema is not None:
        other = next((title for title in files if raw.txn_state(title) == apsw.SQLITE_TXN_WRITE), None)
        if other is not None and schema.database.path is not None:
            raise ex.NotSupportedError(_two_files(other, schema.name))
        return
    if given is None:
        given = next((title for title in files if raw.table_exists(title, table)), "temp")
    if given.lower() in files and lib.edb_conn_writes_file(session.engine):
        raise ex.NotSupportedError(_two_files("an EntityDB file", given))


def _two_files(first: str, second: str) -> str:
    return (
        "a transaction can write to one database file, because a commit of two would not be atomic: this one has"
        f" written to {first} and cannot write to {second}; commit or roll back in between"
    )


__all__ = ["guard_files", "schema_of", "schema_with", "written"]
