"""An INSERT, UPDATE or DELETE without RETURNING, and the steps that one with RETURNING shares."""

from __future__ import annotations

from collections.abc import Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import apsw

from ... import _exceptions as ex
from ... import _short
from ..._native import ffi, lib
from .._catalog import OWN_TABLES
from .._errors import CODES, check, engine_error, translate
from ..rewrite.prepare import UNKNOWN, Prepared
from ..rewrite.upsert_returning import columns_of, constraint_of
from ..schemas.lookup import written
from .own_tables import judge_conflicts

if TYPE_CHECKING:
    from .._catalog import Table
    from .._cursor import Cursor
    from .._session import Session
    from ..schemas.schema import Schema
    from ..sql.statement import Statement

_ARGUMENTS = 100  # parameters told in one call of a function of SQLite's
# How a clause is told: a text, what is bound to it always, which parameters behind that; and for more parameters the
# same again, without what is bound always.
Tell: TypeAlias = tuple[str, tuple[Any, ...], Sequence[int], list[tuple[str, Sequence[int]]]]
_FOREIGN_KEY = CODES["FOREIGNKEY"]


class SchemaMoved(Exception):
    """The schema changed between preparing a statement and beginning it: prepare it anew."""


class OfMany(Exception):
    """One of several executions in one context failed; what they wrote is undone, so that each can be one of its own.

    Attributes:
        passed: how many did not fail, as far as is known; None: nothing is known.
        error: of the one behind them.
    """

    def __init__(self, passed: int | None, error: BaseException) -> None:
        self.passed, self.error = passed, error


def write(
    cursor: Cursor,
    session: Session,
    schema: Schema | None,
    prepared: Prepared,
    parameters: Any,
    schema_changes: int,
    many: bool,
    text: str | None = None,
) -> int:
    """Runs the statement to its end. -> rows changed.

    Args:
        schema: which is written to; None: one of SQLite's own.
        schema_changes: the session's count of them when the statement was prepared.
        many: parameters are a list of sets, for one statement each: an INSERT of values, or an UPDATE or DELETE that
            repeats (edb_stmt_repeat).
        text: what to run instead, without parameters: statements of which the one that was prepared is the first.
    """
    raw = session.raw
    is_open = raw.in_transaction
    begin = not is_open and not session.autocommit
    statement, apart = prepared.statement, prepared.apart
    repeats = many and statement.verb in ("UPDATE", "DELETE")
    told: Any = ()
    if apart is not None and apart.shares:
        told = apart.values(parameters)
        parameters = [told[i] for i in apart.change.uses]
    sql = prepared.variant(None if many else parameters).sql if text is None else text
    sets = iter(parameters if many else ())  # how far executemany() has come; while it is `each` that runs, its `taken`
    each: _short.Known | None = None
    stmt = begin_prepared(session, schema_changes, is_open or begin, schema)
    judged = 0
    if compared := prepared.compares | session.hidden_compares:
        lib.edb_stmt_compares(stmt, compared)
    if repeats:
        lib.edb_stmt_repeat(stmt)
    try:
        if begin:
            session.begin()
        if schema is not None:
            tell_columns(schema, prepared, stmt)
        before = session.enter(stmt)
        try:
            if apart is not None and schema is not None:
                tell_conflicts(session, schema, prepared, told)
            if many:
                each = _each(session, prepared, sql)
                if (done := each.each(parameters)) < len(parameters):
                    each, sets = None, iter(parameters[done:])
                    cursor._raw.executemany(sql, sets)
            else:
                cursor._raw.execute(sql, parameters)
                if statement.returning:
                    _keep_returned(cursor)
        finally:
            session.leave(before)
        if schema is None:
            changed = raw.changes()
            if statement.verb in ("INSERT", "REPLACE"):
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
        if many and not repeats and (judged or lib.edb_stmt_judge(stmt)) == _FOREIGN_KEY:
            translated = OfMany(None, translated)
        elif repeats and not judged and raw.in_transaction:
            taken = each.taken if each is not None else len(parameters) - length_hint(sets, -1)
            if taken != lib.edb_stmt_runs(stmt):  # it failed before it began: the run before is not its to undo
                lib.edb_stmt_undo_runs(stmt)
                translated = OfMany(taken - 1, translated)
        cursor._raw.close(True)
        cursor._raw = raw.cursor()
        if not many or repeats:
            translated = undo(stmt, statement, error, translated)
        session.end_statement(stmt)
        session.failed(translated, began=not is_open)
        if statement.conflict == "FAIL" and not (is_open or begin):
            session.committed()  # SQLite has, what was kept
        if translated is error:
            raise
        raise translated from error
    session.can_restart = False
    session.end_statement(stmt)
    if not raw.in_transaction:
        session.committed()
    return int(changed)


def _each(session: Session, prepared: Prepared, sql: str) -> _short.Known:
    """What executes a text once for each set of parameters."""
    found: _short.Known | None = prepared.each
    if found is None or found.sql != sql:
        parts = ((sql, (), None),)
        found = prepared.each = _short.Known(session, None, None, True, False, False, 0, 0, 0, 0, -1, parts)
    return found


def fail_known(session: Session, statement: Statement, stmt: Any, error: BaseException, parameters: Any) -> NoReturn:
    """What a change that was executed the short way raises."""
    translated = translate(error, parameters)
    translated = undo(stmt, statement, error, translated)
    session.end_statement(stmt)
    session.failed(translated)
    if statement.conflict == "FAIL" and not session.raw.in_transaction:
        session.committed()  # SQLite has, what was kept
    if translated is error:
        raise error
    raise translated from error


def target(session: Session, statement: Statement) -> Schema | None:
    """The schema that is written to; None: one of SQLite's own.

    Raises OperationalError for a table of the engine's own under the name of such a one: SQLite would find main's.
    """
    if session.attach_order:
        found = written(session, statement)
    elif statement.schema is not None:
        found = session.main if statement.schema.lower() == "main" else None
    else:
        temporary = session.temporary_names
        if session.temporary_names_stale:
            temporary = session.temporary_tables()
        return None if temporary and statement.table.lower() in temporary else session.main
    if found is None and statement.table.lower() in OWN_TABLES:
        raise ex.OperationalError(f"no such table: {statement.schema}.{statement.table}")
    return found


def begin_prepared(session: Session, schema_changes: int, in_transaction: bool, schema: Schema | None) -> Any:
    """A context for a statement that was prepared. Raises SchemaMoved when that was for another schema."""
    if not in_transaction:
        session.info.tell()  # it is a transaction by itself
    options = session.now_options[in_transaction + 2] if schema is None else schema.write_options[in_transaction]
    if not lib.edb_stmt_begin(session.engine, options, session.stmt_out):
        stmt = session.stmt_out[0]
    else:
        stmt = session.open_statement(True, None, in_transaction, schema)
    if session.schema_changes != schema_changes:
        session.end_statement(stmt)
        raise SchemaMoved
    return stmt


def tell_columns(schema: Schema, prepared: Prepared, stmt: Any) -> None:
    """Tells the engine which columns an INSERT names, so that the others get their defaults."""
    supplied = supplied_by(schema, prepared)
    if supplied is not None:
        check(lib.edb_stmt_supplied(stmt, supplied[0], supplied[1]))


def supplied_by(schema: Schema, prepared: Prepared) -> tuple[Any, int] | None:
    """The columns that an INSERT names, as edb_stmt_supplied() wants them; None: all, or it is no INSERT."""
    supplied = prepared.supplied
    if supplied is UNKNOWN:
        statement = prepared.statement
        declared = schema.declared.get(statement.table.lower())
        supplied = None
        if declared is not None and (statement.columns is not None or statement.default_values):
            supplied = _mask(declared.table, statement.columns or ())
        prepared.supplied = supplied
    found: tuple[Any, int] | None = supplied
    return found


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


def tell_conflicts(session: Session, schema: Schema, prepared: Prepared, told: Any) -> None:
    """ON CONFLICT clauses, told to the engine in the context of the INSERT."""
    for tell, told_always, uses, more in conflicts_of(schema, prepared):
        session.control.execute(tell, (*told_always, *[told[i] for i in uses]))
        for tell_more, uses_more in more:
            session.control.execute(tell_more, [told[i] for i in uses_more])


def conflicts_of(schema: Schema, prepared: Prepared) -> list[Tell]:
    """What is said of the clauses.

    Raises:
        OperationalError: a clause means no constraint of the table.
        NotSupportedError: of a table of the engine's own, what is not done.
    """
    conflicts = prepared.conflicts
    if conflicts is None:
        declared = schema.declared.get(prepared.statement.table.lower())
        if declared is None:
            assert prepared.apart is not None
            judge_conflicts(prepared.statement, prepared.apart.conflicts)
            return []  # the INSERT says that there is no such table
        conflicts = prepared.conflicts = _conflicts(declared.table, prepared)
    return conflicts


def _conflicts(table: Table, prepared: Prepared) -> list[Tell]:
    """What is said of each clause.

    Raises OperationalError for a clause that means no constraint of the table.
    """
    assert prepared.apart is not None
    found = []
    for conflict in prepared.apart.conflicts:
        constraint, columns = constraint_of(conflict, table), columns_of(conflict, table)
        always = (table.id, constraint, columns, conflict.values, conflict.condition)
        uses, *more = [conflict.uses[i : i + _ARGUMENTS] for i in range(0, len(conflict.uses), _ARGUMENTS)] or [()]
        found.append((_tell("?, ?, ?, ?, ?", uses), always, uses, [(_tell("NULL", uses), uses) for uses in more]))
    return found


def _tell(first: str, uses: Sequence[int]) -> str:
    """A query without rows, which is over when it is executed."""
    return f"SELECT 1 WHERE entitydb_on_conflict({first}{', ?' * len(uses)})"


def undo(stmt: Any, statement: Statement, error: BaseException, translated: BaseException) -> BaseException:
    """Undoes what a statement had done before it failed: SQLite opens no savepoint for what it takes for a change of a
    single row, as every UPDATE ... FROM on a virtual table. OR FAIL keeps what it had done when a row's own constraints
    failed, if the foreign keys hold so far. -> the error to raise."""
    if statement.conflict == "FAIL" and isinstance(error, apsw.ConstraintError):
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
    "OfMany",
    "SchemaMoved",
    "Tell",
    "begin_prepared",
    "conflicts_of",
    "fail_known",
    "supplied_by",
    "target",
    "tell_columns",
    "tell_conflicts",
    "undo",
    "write",
]
