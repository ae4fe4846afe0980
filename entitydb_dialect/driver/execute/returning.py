"""INSERT, UPDATE, DELETE with RETURNING: the change, then the list over the rows it captured, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ... import _exceptions as ex
from ..._native import lib
from .._errors import check, translate
from ..rewrite.choices import Variant
from ..rewrite.prepare import Prepared
from .own_tables import refuse_returning
from .read import describe
from .write import begin_prepared, tell_columns, tell_conflicts, undo

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.statement import Statement


def write_returning(
    cursor: Cursor,
    session: Session,
    schema: Schema,
    prepared: Prepared,
    parameters: Any,
    schema_changes: int,
) -> int:
    """Runs the statement to its end; its rows are the cursor's. -> rows changed. The arguments are those of write()."""
    statement, apart = prepared.statement, prepared.apart
    assert apart is not None
    assert apart.returning is not None
    returning = apart.returning
    query = list_of(session, schema, prepared)
    told: Any = ()
    change_parameters, query_parameters = parameters, []
    if apart.shares:
        told = apart.values(parameters)
        change_parameters = [told[i] for i in apart.change.uses]
        query_parameters = [told[i] for i in returning.listed.uses]
    change = prepared.variant(change_parameters).sql
    raw = session.raw
    begin = not raw.in_transaction
    alone = begin and session.autocommit
    stmt = begin_prepared(session, schema_changes, True, schema)
    reader: Any = None
    try:
        if begin:
            session.begin()
        compared = prepared.compares | session.hidden_compares
        if compared:
            lib.edb_stmt_compares(stmt, compared)
        tell_columns(schema, prepared, stmt)
        declared = schema.declared.get(statement.table.lower())
        if declared is not None:
            check(lib.edb_stmt_capture(stmt, declared.table.id))
        before = session.enter(stmt)
        try:
            tell_conflicts(session, schema, prepared, told)
            cursor._raw.execute(change, change_parameters)
        finally:
            session.leave(before)
        check(lib.edb_stmt_judge(stmt))
        lib.edb_stmt_counts(stmt, session.changes_out, session.last_id_out, session.has_last_id_out)
        changed = int(session.changes_out[0])
        last_id = session.last_id_out[0] if session.has_last_id_out[0] else cursor.lastrowid
        # A context of its own: it has to see what the change wrote.
        reader = session.open_statement(False, None, True)
        lib.edb_stmt_returned(reader, stmt)
        if compared:
            lib.edb_stmt_compares(reader, compared)
        before = session.enter(reader)
        try:
            description = query.description
            if description is None:
                description = describe(cursor, query, query_parameters)
            else:
                cursor._raw.execute(query.sql, query_parameters)
            rows = cursor._raw.fetchall()
        finally:
            session.leave(before)
    except BaseException as error:
        fail_returning(cursor, session, statement, stmt, reader, error, parameters, began=begin)
    session.can_restart = False
    session.end_statement(reader)
    session.end_statement(stmt)
    if alone:
        session.commit_or_roll_back()
    cursor.lastrowid = last_id
    cursor.description = description or None
    cursor._rows = iter(rows)
    return changed


def list_of(session: Session, schema: Schema, prepared: Prepared) -> Variant:
    """The query of RETURNING.

    Raises:
        OperationalError: it calls an aggregate function of the program's.
        NotSupportedError: of a table of the engine's own.
    """
    assert prepared.apart is not None
    assert prepared.apart.returning is not None
    returning = prepared.apart.returning
    refuse_returning(prepared.statement)
    aggregates = returning.calls.intersection(session.aggregates)
    if aggregates:
        raise ex.OperationalError(f"misuse of aggregate function {min(aggregates)}()")
    if prepared.query is None:
        prepared.query = Variant(returning.query(schema.sql_name).numbered)
    return prepared.query


def fail_returning(
    cursor: Cursor,
    session: Session,
    statement: Statement,
    stmt: Any,
    reader: Any,
    error: BaseException,
    parameters: Any,
    *,
    began: bool,
) -> NoReturn:
    """Undoes what was done. began: the transaction began with the statement."""
    translated = translate(error, parameters)
    cursor._raw.close(True)
    cursor._raw = session.raw.cursor()
    if reader is not None:
        session.end_statement(reader)
        lib.edb_stmt_undo(stmt)
    else:
        translated = undo(stmt, statement, error, translated)
    session.end_statement(stmt)
    if began and session.autocommit and session.raw.in_transaction:
        session.commit_or_roll_back()
    session.failed(translated, began=began)
    if translated is error:
        raise error
    raise translated from error


__all__ = ["fail_returning", "list_of", "write_returning"]
