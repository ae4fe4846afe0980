"""INSERT, UPDATE and DELETE: as the schema of the time wants them, again where a race was lost, one or many.

How one is carried out is write.py's, with RETURNING returning.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ... import _exceptions as ex
from .._contexts import RETRIES
from .._errors import Parameters
from ..rewrite.generated_columns import as_written
from ..rewrite.upsert_returning import shares_parameters
from ..sql.statement import parse
from .returning import write_returning
from .write import OfMany, SchemaMoved, target, write

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..sql.statement import Statement

_READS_MORE = frozenset(("FROM", "OR", "SELECT", "WITH"))  # words of an UPDATE
_CHUNK = 1000  # rows taken from a generator at a time by executemany


def change(cursor: Cursor, session: Session, statement: Statement, sql: str, parameters: Parameters) -> int:
    """One execution; an autocommit statement that lost a race runs again. -> rows changed."""
    if not session.autocommit:
        return _change(cursor, session, statement, sql, parameters)
    for attempt in range(RETRIES):
        try:
            return _change(cursor, session, statement, sql, parameters)
        except ex.SerializationFailure:
            if attempt == RETRIES - 1 or session.raw.in_transaction:
                raise
    raise AssertionError("unreachable")


def change_many(
    cursor: Cursor, session: Session, statement: Statement, sql: str, parameters: Iterable[Parameters]
) -> int:
    """One execution for each set of parameters. -> rows changed by all."""
    total = 0
    # In autocommit mode each row is a transaction; else one context serves all.
    together = session.raw.in_transaction or not session.autocommit
    if not together or not (_inserts_values(statement) or _repeats(session, statement, sql)):
        for one in parameters:
            total += change(cursor, session, statement, sql, one)
        return total
    for chunk in _chunks(parameters):
        try:
            total += _change(cursor, session, statement, sql, chunk, many=True)
        except OfMany as failed:
            # Which row is to blame shows when each is a statement; those before it stay.
            for one in chunk[: failed.passed]:
                total += _change(cursor, session, statement, sql, one)
            if failed.passed is not None:
                raise failed.error from failed.error.__cause__
    return total


def _inserts_values(statement: Statement) -> bool:
    """INSERT ... VALUES reads nothing of what it writes."""
    return statement.plain_values and not statement.returning and not shares_parameters(statement)


def _repeats(session: Session, statement: Statement, sql: str) -> bool:
    """An UPDATE or DELETE of one table, without a query in it, that is the same text for all parameters. Each run sees
    what the one before did (edb_stmt_repeat). At READ COMMITTED each has a moment of its own."""
    if (
        statement.verb not in ("UPDATE", "DELETE")
        or statement.returning
        or statement.conflict
        or session.read_committed
        or target(session, statement) is None
    ):
        return False
    prepared = session.prepare(sql, statement, True)
    if not prepared.is_fixed:
        return False
    words = parse(prepared.variant(None).sql).uppers
    # SQLite may open a table several times for OR.
    others = _READS_MORE if statement.verb == "UPDATE" else _READS_MORE - {"FROM"}
    return others.isdisjoint(words)


def change_together(cursor: Cursor, session: Session, statement: Statement, sql: str, text: str) -> int | None:
    """INSERTs of constants that begin alike, in one context: like rows of executemany() they read nothing of what they
    write.

    Args:
        statement, sql: the first of them.
        text: all of them.

    Returns:
        Rows inserted; None: they were not executed, because SQLite is not given the first as it is written, or because
        one of them fails, which took back what the others did.
    """
    while True:
        changes = session.schema_changes
        schema = target(session, statement)
        prepared = session.prepare(sql, statement, schema is not None)
        if schema is None or prepared.apart is not None or prepared.variant(()).sql != sql:
            return None
        try:
            return write(cursor, session, schema, prepared, (), changes, False, text)
        except SchemaMoved:
            continue
        except ex.Error:
            if not session.raw.in_transaction:
                raise
            return None


def _change(
    cursor: Cursor, session: Session, statement: Statement, sql: str, parameters: Any, *, many: bool = False
) -> int:
    if cursor.as_of is not None:
        raise ex.PastWriteError(f"{statement.verb} as of a past moment: the past cannot be changed")
    while True:
        changes = session.schema_changes
        schema = target(session, statement)
        prepared = session.prepared.get(sql)
        if prepared is None or prepared.is_ours is (schema is None) or session.temporary_names_stale:
            prepared = session.prepare(sql, statement, schema is not None)
        if prepared.shows_schema:
            session.register_answers()
        try:
            if schema is not None and prepared.apart is not None and prepared.apart.returning is not None:
                return write_returning(cursor, session, schema, prepared, parameters, changes)
            return write(cursor, session, schema, prepared, parameters, changes, many)
        except SchemaMoved:
            continue
        except ex.OperationalError as error:
            if not prepared.lists_columns:
                raise
            raise as_written(error, statement.table) from error


def _chunks(parameters: Iterable[Parameters]) -> Iterator[list[Parameters]]:
    """Lists of parameter sets: a generator runs between the statements, not inside one."""
    if isinstance(parameters, (list, tuple)):
        if parameters:
            yield parameters  # type: ignore[misc]
        return
    iterator = iter(parameters)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


__all__ = ["change", "change_many", "change_together"]
