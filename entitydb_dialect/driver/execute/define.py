"""DDL, ATTACH, DETACH and VACUUM: who does it, and in which transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ... import _exceptions as ex
from .._catalog import COLLATIONS
from .._errors import Parameters
from ..ddl.analyze import analyze, meant
from ..ddl.retention import taken_retention
from ..ddl.statements import run_ddl
from ..ddl.tag_columns import taken_from_table
from ..rewrite import system_time
from ..rewrite.schema_names import rewritten
from ..schemas.attached import attach, detach
from ..schemas.lookup import schema_of
from ..schemas.routing import route
from ..sql.text import edited
from ..sql.tokens import is_name, tokens, unquote

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.statement import Ddl, Statement


def define(cursor: Cursor, session: Session, statement: Statement, sql: str, parameters: Parameters) -> None:
    """Carries out a statement that changes a schema."""
    ddl = statement.ddl
    assert ddl is not None
    if cursor.as_of is not None:
        raise ex.PastWriteError(f"{ddl.verb} as of a past moment: the past cannot be changed")
    if ddl.verb in ("ATTACH", "DETACH"):
        (attach if ddl.verb == "ATTACH" else detach)(session, sql, parameters)
        return
    if ddl.verb == "VACUUM":
        _compact(session, sql)
        return
    if ddl.verb == "ANALYZE" and _analyzed(session, ddl):
        return
    schema = route(session, ddl, sql)

    def run() -> None:
        text = _without_moments(session, statement, sql) if statement.names_moment and ddl.verb == "CREATE" else sql
        if schema is None:
            _run_by_sqlite(session, statement, text, parameters)
            return
        try:
            run_ddl(schema, ddl, text, parameters)
        except ex.OperationalError as error:
            raise _own_collation(session, error) or error from error.__cause__

    if ddl.verb in ("CREATE", "DROP", "ALTER"):
        _in_transaction(session, schema, run)
    else:
        run()


def _compact(session: Session, sql: str) -> None:
    """VACUUM gives back what a file does not need. Its history is needed."""
    items = [token for token in tokens(sql) if token.text != ";"][1:]
    if any(token.upper == "INTO" for token in items):
        raise ex.NotSupportedError("VACUUM INTO: backup() of the connection copies a database")
    if len(items) > 1 or not all(map(is_name, items)):
        raise ex.OperationalError(f'near "{items[-1].text}": syntax error')
    if session.raw.in_transaction:
        raise ex.OperationalError("cannot VACUUM from within a transaction")
    name = unquote(items[0].text) if items else "main"
    schema = schema_of(session, name)
    if schema is None:
        _run_plainly(session, sql)
        return
    session.drain()
    schema.database.compact()


def _run_plainly(session: Session, sql: str) -> None:
    """By SQLite, which has the schema or refuses its name."""
    session.drain()
    session.run(sql, (), writes=True)


def _without_moments(session: Session, statement: Statement, sql: str) -> str:
    """A CREATE whose query reads history tables by their own names. Raises NotSupportedError for a view or trigger."""
    found = system_time.edits(statement, session)
    ddl = statement.ddl
    if found and ddl is not None and ddl.what != "TABLE":
        raise ex.NotSupportedError(
            f"CREATE {ddl.what} {ddl.written}: its moment is that of who reads it; put FOR SYSTEM_TIME behind the view"
        )
    return edited(sql, found)


def _analyzed(session: Session, ddl: Ddl) -> bool:
    """Takes statistics of our tables. -> whether that was all; else SQLite has its own tables, or refuses the name."""
    found = list(meant(session, ddl))
    for schema, tables in found:
        _in_transaction(session, schema, partial(analyze, schema, tables))
    session.plan_anew()
    return bool(found and ddl.name)


def _in_transaction(session: Session, schema: Schema | None, run: Callable[[], None]) -> None:
    """Runs an edit in the open transaction, in one that it begins, or in one of its own."""
    if session.raw.in_transaction:
        run()
    elif not session.autocommit:
        session.begin_write(schema)
        run()
    else:
        session.autocommitted(run, schema)


def _run_by_sqlite(session: Session, statement: Statement, sql: str, parameters: Parameters) -> None:
    """A statement about what is SQLite's own: TEMP, attached SQLite files; and what SQLite refuses."""
    ddl = statement.ddl
    assert ddl is not None
    session.drain()
    text = rewritten(sql) if ddl.as_select or ddl.is_temporary else None
    if text is not None:
        session.register_answers()
    elif ddl.verb == "CREATE" and ddl.what == "TABLE":
        text, _ = taken_retention(taken_from_table(sql)[0])  # SQLite would take a TAG for a part of the type
    session.run(text or sql, parameters, writes=True)
    session.can_restart = False
    session.temporary_names_stale = session.makes_temporary = True
    session.hidden_compares |= statement.compares
    session.schema_changed()


def _own_collation(session: Session, error: ex.OperationalError) -> ex.NotSupportedError | None:
    """What to say of DDL that names a collation of this connection's; None: it does not."""
    name = str(error).removeprefix("no such collation sequence: ")
    if name == str(error) or name.lower() not in session.collations:
        return None
    known = f"{', '.join(COLLATIONS[:-1])} or {COLLATIONS[-1]}"
    return ex.NotSupportedError(
        f"collation {name} is a function of this process: columns and indexes have {known}"
    )


__all__ = ["define"]
