"""SELECT and whatever else gives rows: begins it, and leaves the rows to the cursor's fetching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import apsw

from ... import _exceptions as ex
from ..._native import lib
from .._errors import Parameters, int64, translate
from ..sql import statement as kinds

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..rewrite.choices import Variant


def read(cursor: Cursor, session: Session, statement: kinds.Statement, sql: str, parameters: Parameters) -> None:
    """Executes a statement up to its first row. Its context lives until the rows are over."""
    raw = session.raw
    is_open = raw.in_transaction
    begin = not is_open and not session.autocommit and statement.kind is kinds.READ
    moment = cursor.as_of
    if moment is None:
        options = session.now_options[is_open or begin]
    else:
        options = session.past_options[is_open or begin]
        options.moment_ns = int64(moment)
    if not lib.edb_stmt_begin(session.engine, options, session.stmt_out):
        stmt = session.stmt_out[0]
    else:
        stmt = session.open_statement(False, moment, is_open or begin)
    cursor._stmt = stmt
    before = session.running
    try:
        if begin:
            session.begin()
        session.running = session.current = stmt
        lib.edb_stmt_enter(stmt)
        prepared = session.prepared.get(sql)
        if prepared is None or session.temporary_names_stale:
            prepared = session.prepare(sql, statement)
        if compared := prepared.compares | session.hidden_compares:
            lib.edb_stmt_compares(stmt, compared)
        if prepared.shows_schema:
            session.register_answers()
        variant = prepared.variant(parameters)
        description = variant.description
        if description is None:
            description = describe(cursor, variant, parameters)
        else:
            cursor._raw.execute(variant.sql, parameters)
    except BaseException as error:
        session.leave(before)
        fail_read(cursor, session, sql, error, parameters, began=not is_open)
    # The context stays current behind the step: fetching finds it so.
    session.running = before
    if before is not None:
        session.leave(before)
    if moment is None and not session.read_committed:
        session.can_restart = False
    cursor.description = description or None
    _leave_rows(cursor, session)


def _leave_rows(cursor: Cursor, session: Session) -> None:
    try:
        cursor._raw.has_vdbe  # noqa: B018 - apsw's only way to ask whether rows are left
    except apsw.ExecutionCompleteError:
        cursor._finish()
    else:
        cursor._fetching = True


def fail_read(
    cursor: Cursor, session: Session, sql: str, error: BaseException, parameters: Parameters, *, began: bool
) -> NoReturn:
    """Gives up what was begun, and raises what the error means. began: the transaction began with the statement."""
    translated = _row_locks_refused(translate(error, parameters), sql)
    cursor._finish(close=True)
    session.failed(translated, began=began)
    if translated is error:
        raise error
    raise translated from error


def describe(cursor: Cursor, variant: Variant, parameters: Parameters) -> Any:
    """Executes, and keeps the names of the result's columns with the text. -> the description, () without rows.

    The statement is prepared afresh for it: one out of apsw's cache is traced before SQLite notices that the schema
    has changed, and would tell old columns.
    """
    found: list[Any] = [()]

    def trace(raw: apsw.Cursor, _sql: str, _parameters: Any) -> bool:
        found[0] = tuple((*column, None, None, None, None, None) for column in raw.get_description())
        return True

    cursor._raw.exec_trace = trace
    try:
        cursor._raw.execute(variant.sql, parameters, can_cache=False)
    finally:
        if cursor._raw is not None:
            cursor._raw.exec_trace = None
    variant.description = found[0]
    return found[0]


def _row_locks_refused(error: BaseException, sql: str) -> BaseException:
    """A syntax error that is a FOR UPDATE says so; any other error as it is."""
    if type(error) is not ex.OperationalError or "syntax error" not in str(error) or not kinds.locks_rows(sql):
        return error
    return ex.NotSupportedError(
        "SELECT ... FOR UPDATE: EntityDB has no row locks; of two transactions that write one row the later one gets"
        " SerializationFailure"
    )


__all__ = ["describe", "fail_read", "read"]
