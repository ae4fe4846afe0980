"""An INSERT, UPDATE or DELETE without RETURNING, and the steps that one with RETURNING shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw

from ..._native import ffi, lib
from .._errors import CODES, check, engine_error, translate
from ..rewrite.generated_columns import SchemaMoved
from ..rewrite.upsert_returning import Part, Pieces, columns_of, constraints_of
from ..schemas.lookup import written

if TYPE_CHECKING:
    from .._catalog import Table
    from .._cursor import Cursor
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.analysis import Analysis

_ARGUMENTS = 100  # parameters told in one call of a function of SQLite's
_CACHED = 2000  # masks kept
_FOREIGN_KEY = CODES["FOREIGNKEY"]


class ForeignKeyOfMany(Exception):
    """A foreign key failed, and with it all rows that one context wrote."""


def write(
    cursor: Cursor,
    session: Session,
    schema: Schema | None,
    analysis: Analysis,
    pieces: Pieces | None,
    sql: str,
    parameters: Any,
    schema_changes: int,
    many: bool,
) -> int:
    """Runs the statement to its end. -> rows changed.

    Args:
        schema: which is written to; None: one of SQLite's own.
        schema_changes: the session's count of them when the statement was looked at.
        many: parameters are a list of sets, for one INSERT each.
    """
    raw = session.raw
    is_open = raw.in_transaction
    begin = not is_open and not session.autocommit
    as_given = sql
    if pieces is not None:
        told = pieces.values(parameters) if pieces.shares else ()
        sql, parameters = piece(pieces.change, parameters, told)
    if session.rewriter is not None and schema is not None:
        sql = session.rewriter.text(sql, session.temporary_tables(), None if many else parameters)
    stmt = begin_adapted(session, schema_changes, is_open or begin, schema)
    judged = 0
    if analysis.row_in or session.temporary_row_in:
        lib.edb_stmt_row_in(stmt)
    try:
        if begin:
            session.begin()
        if schema is not None and (analysis.columns is not None or analysis.default_values):
            tell_columns(session, schema, analysis, as_given, stmt)
        before = session.enter(stmt)
        try:
            if pieces is not None and schema is not None:
                tell_conflicts(session, schema, analysis, pieces, told)
            if many:
                cursor._raw.executemany(sql, parameters)
            else:
                cursor._raw.execute(sql, parameters)
                if analysis.returning:
                    _keep_returned(cursor)
        finally:
            session.leave(before)
        if schema is None:
            changed = raw.changes()
            if analysis.verb in ("INSERT", "REPLACE"):
                cursor.lastrowid = raw.last_insert_rowid()
        else:
            judged = lib.edb_stmt_judge(stmt)
            check(judged)
            lib.edb_stmt_counts(stmt, session.changes_out, session.last_id_out, session.has_last_id_out)
            changed = session.changes_out[0]
            if session.has_last_id_out[0]:
                cursor.lastrowid = session.last_id_out[0]
    except BaseException as error:
        translated = translate(error, () if many else parameters)
        if many and translated is error and isinstance(error, (TypeError, OverflowError, KeyError)):
            translated = next((t for p in parameters if (t := translate(error, p)) is not error), error)
        # Rows that stay although a later one failed have foreign keys, too; if one of them fails, none stays.
        if many and (judged or lib.edb_stmt_judge(stmt)) == _FOREIGN_KEY:
            translated = ForeignKeyOfMany()
        cursor._raw.close(True)
        cursor._raw = raw.cursor()
        if not many:
            translated = undo(stmt, analysis, error, translated)
        session.end_statement(stmt)
        session.check_transaction_end(is_open or begin)
        if analysis.conflict == "FAIL" and not (is_open or begin):
            session.committed()  # SQLite has, what was kept
        if translated is error:
            raise
        raise translated from error
    session.can_restart = False
    session.end_statement(stmt)
    if not raw.in_transaction:
        session.committed()
    return int(changed)


def target(session: Session, analysis: Analysis) -> Schema | None:
    """The schema that is written to; None: one of SQLite's own."""
    if session.attach_order:
        return written(session, analysis)
    if analysis.schema is not None:
        return session.main if analysis.schema.lower() == "main" else None
    temporary = session.temporary_names
    if session.temporary_names_stale:
        temporary = session.temporary_tables()
    return None if temporary and analysis.table.lower() in temporary else session.main


def begin_adapted(session: Session, schema_changes: int, in_transaction: bool, schema: Schema | None) -> Any:
    """A context for a statement that was adapted to the schema. Raises SchemaMoved when it was to another one."""
    stmt = session.open_statement(True, None, in_transaction, schema)
    if session.schema_changes != schema_changes:
        session.end_statement(stmt)
        raise SchemaMoved
    return stmt


def piece(part: Part, parameters: Any, told: Any) -> tuple[str, Any]:
    """What to execute for a piece; told: the statement's parameters by number, () when only the change has any."""
    if told:
        return part.numbered, [told[i] for i in part.uses]
    return part.sql, parameters


def tell_columns(session: Session, schema: Schema, analysis: Analysis, sql: str, stmt: Any) -> None:
    """Tells the engine which columns an INSERT names, so that the others get their defaults."""
    masks = session.insert_masks
    if sql in masks:
        mask = masks[sql]
    else:
        declared = schema.declared.get(analysis.table.lower())
        mask = None if declared is None else _mask(declared.table, analysis.columns or ())
        if len(masks) > _CACHED:
            masks.clear()
        masks[sql] = mask
    if mask is not None:
        check(lib.edb_stmt_supplied(stmt, mask[0], mask[1]))


def _mask(table: Table, columns: tuple[str, ...]) -> tuple[Any, int] | None:
    """Bits of the columns named; None when all are."""
    named = {name.lower() for name in columns}
    supplied = [column.name.lower() in named for column in table.columns]
    if all(supplied):
        return None
    bits = bytearray((len(supplied) + 7) // 8)
    for i, bit in enumerate(supplied):
        bits[i // 8] |= bit << i % 8
    return ffi.new("uint8_t[]", bytes(bits)), len(supplied)


def tell_conflicts(session: Session, schema: Schema, analysis: Analysis, pieces: Pieces, told: Any) -> None:
    """ON CONFLICT clauses, told to the engine in the context of the INSERT."""
    declared = schema.declared.get(analysis.table.lower())
    if declared is None:
        return  # and the INSERT says so
    table = declared.table
    for conflict in pieces.conflicts:
        constraints, columns = constraints_of(conflict, table), columns_of(conflict, table)
        values = [told[i] for i in conflict.uses]
        first, rest = values[:_ARGUMENTS], values[_ARGUMENTS:]
        fixed = (table.id, constraints, columns, conflict.values, conflict.condition)
        tell = f"SELECT entitydb_on_conflict(?, ?, ?, ?, ?{', ?' * len(first)})"
        session.control.execute(tell, (*fixed, *first)).fetchall()
        while rest:
            first, rest = rest[:_ARGUMENTS], rest[_ARGUMENTS:]
            session.control.execute(f"SELECT entitydb_on_conflict(NULL{', ?' * len(first)})", first).fetchall()


def undo(stmt: Any, analysis: Analysis, error: BaseException, translated: BaseException) -> BaseException:
    """Undoes what a statement had done before it failed: SQLite opens no savepoint for what it takes for a change of a
    single row, as every UPDATE ... FROM on a virtual table. OR FAIL keeps what it had done when a row's own constraints
    failed, if the foreign keys hold so far. -> the error to raise."""
    if analysis.conflict == "FAIL" and isinstance(error, apsw.ConstraintError):
        code = lib.edb_stmt_judge(stmt)
        return engine_error(code) if code else translated
    lib.edb_stmt_undo(stmt)
    return translated


def _keep_returned(cursor: Cursor) -> None:
    """RETURNING on a TEMP table, which SQLite does itself."""
    try:
        description = cursor._raw.get_description()
    except apsw.ExecutionCompleteError:
        return
    cursor.description = tuple((*column, None, None, None, None, None) for column in description)
    cursor._rows = iter(cursor._raw.fetchall())


__all__ = [
    "ForeignKeyOfMany",
    "begin_adapted",
    "piece",
    "target",
    "tell_columns",
    "tell_conflicts",
    "undo",
    "write",
]
