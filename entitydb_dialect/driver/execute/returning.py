"""INSERT, UPDATE, DELETE with RETURNING: the change, then the list over the rows it captured, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _exceptions as ex
from ..._native import lib
from .._errors import check, translate
from .read import describe
from .write import begin_adapted, piece, tell_columns, tell_conflicts, undo

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..rewrite.upsert_returning import Pieces
    from ..schemas.schema import Schema
    from ..sql.analysis import Analysis


def write_returning(
    cursor: Cursor,
    session: Session,
    schema: Schema,
    analysis: Analysis,
    pieces: Pieces,
    sql: str,
    parameters: Any,
    schema_changes: int,
) -> int:
    """Runs the statement to its end; its rows are the cursor's. -> rows changed. The arguments are those of write()."""
    aggregates = pieces.calls.intersection(session.aggregates)
    if aggregates:
        raise ex.OperationalError(f"misuse of aggregate function {min(aggregates)}()")
    told = pieces.values(parameters) if pieces.shares else ()
    change, change_parameters = piece(pieces.change, parameters, told)
    if session.rewriter is not None:
        change = session.rewriter.text(change, session.temporary_tables(), change_parameters)
    query, query_parameters = piece(pieces.query_in(schema.sql_name), (), told)
    raw = session.raw
    begin = not raw.in_transaction
    alone = begin and session.autocommit
    stmt = begin_adapted(session, schema_changes, True, schema)
    reader: Any = None
    try:
        if begin:
            session.begin()
        if analysis.row_in or session.temporary_row_in:
            lib.edb_stmt_row_in(stmt)
        if analysis.columns is not None or analysis.default_values:
            tell_columns(session, schema, analysis, sql, stmt)
        declared = schema.declared.get(analysis.table.lower())
        if declared is not None:
            check(lib.edb_stmt_capture(stmt, declared.table.id))
        before = session.enter(stmt)
        try:
            tell_conflicts(session, schema, analysis, pieces, told)
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
        before = session.enter(reader)
        try:
            description = session.descriptions.get(query)
            if description is None:
                description = describe(cursor, session, query, query_parameters)
            else:
                cursor._raw.execute(query, query_parameters)
            rows = cursor._raw.fetchall()
        finally:
            session.leave(before)
    except BaseException as error:
        translated = translate(error, parameters)
        cursor._raw.close(True)
        cursor._raw = raw.cursor()
        if reader is not None:
            session.end_statement(reader)
            lib.edb_stmt_undo(stmt)
        else:
            translated = undo(stmt, analysis, error, translated)
        session.end_statement(stmt)
        if alone and raw.in_transaction:
            session.commit_or_roll_back()
        session.check_transaction_end(True)
        if translated is error:
            raise
        raise translated from error
    session.can_restart = False
    session.end_statement(reader)
    session.end_statement(stmt)
    if alone:
        session.commit_or_roll_back()
    cursor.lastrowid = last_id
    cursor.description = description or None
    cursor._rows = iter(rows)
    return changed


__all__ = ["write_returning"]
