"""Texts that are executed without Python code: what an execution needs and its parameters do not decide.

It is found out at the first execution and kept in a `Known`. `execute()` and `fetchall()` of a cursor look into
`Session.known`, and run what is there in C (`engine/python`). Most texts that SQLite is given as they are become known
in C, too; the others here. `known` is emptied whenever what the texts were made from may have changed. The short way is
for plain parameters, while nothing else runs on the connection; where a statement begins a transaction, or is one by
itself that has RETURNING, it is not gone. Whatever else there may be is left to the long ways, which also say what is
wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ... import _exceptions as ex
from ... import _short
from ..._native import ffi
from .._errors import Found, as_error
from ..rewrite.many_parameters import SHORTEST
from ..rewrite.past_names import names_dated
from ..rewrite.prepare import Prepared
from ..rewrite.upsert_returning import Apart
from ..sql.statement import READ, Statement, parse
from .read import fail_read
from .returning import fail_returning, list_of
from .write import conflicts_of, fail_known, supplied_by, target

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session

_MOST_TAILS = 1000

_Part: TypeAlias = tuple[str, tuple[Any, ...], "tuple[int, ...] | None"]


def run_new(
    cursor: Cursor, session: Session, statement: Statement, sql: str, parameters: Any, *, rewritten: bool
) -> bool:
    """Makes a text known, of a query or of a change of one of main's tables, and executes it the short way.

    Args:
        rewritten: the text is not the one that the program gave.

    Returns:
        Whether it was executed; else nothing was done.
    """
    if len(sql) > SHORTEST or session.attach_order or session.running is not None or statement.verb == "EXPLAIN":
        return False
    if not session.raw.in_transaction and not session.autocommit:
        return False
    known = session.known.get(sql)
    if known is None:
        known = _learn(session, statement, sql)
        if known is None:
            return False
    elif not rewritten:
        return False  # that was tried
    return cursor._run(sql, known, parameters)


def _learn(session: Session, statement: Statement, sql: str) -> _short.Known | None:
    """None: the short way will not do."""
    try:
        if statement.kind is not READ and (
            target(session, statement) is not session.main
            or (statement.takes_apart and statement.table.lower() not in session.main.declared)
        ):
            return None
        prepared = session.prepare(sql, statement)
        if not prepared.is_fixed or prepared.shows_schema or prepared.lists_columns:
            return None
        if statement.names_moment and names_dated(statement) and session.past_names.changed():
            return None  # which table a name means depends on the moment
        return _known(session, prepared)
    except ex.Error:
        return None  # the long way finds it again, with the newest schema


def _known(session: Session, prepared: Prepared) -> _short.Known:
    """Raises what is wrong with ON CONFLICT or RETURNING."""
    statement, apart = prepared.statement, prepared.apart
    writes = statement.kind is not READ
    address, columns = _supplied(session, prepared) if writes else (0, 0)
    parts = parts_of(session, prepared)
    captured = 0
    if apart is not None:
        if apart.returning is not None:
            captured = session.main.declared[statement.table.lower()].table.id
        _remember_tail(session, statement, apart, captured, parts[1:])
    shares = apart is not None and apart.shares
    return _short.Known(
        session,
        prepared,
        apart.in_order if apart is not None and shares else None,
        writes,
        statement.verb in ("INSERT", "REPLACE"),
        captured != 0,
        prepared.compares | session.hidden_compares,
        address,
        columns,
        captured,
        apart.total if apart is not None and shares else -1,
        tuple(parts),
    )


def parts_of(session: Session, prepared: Prepared) -> list[_Part]:
    """The texts that are executed: the statement's, those that tell ON CONFLICT, the list of RETURNING; with what is
    always bound and which of the parameters (None: all).

    Raises what is wrong with these clauses.
    """
    sql, apart = prepared.variant(None).sql, prepared.apart
    if apart is None:
        return [(sql, (), None)]
    shares = apart.shares
    parts: list[_Part] = [(sql, (), tuple(apart.change.uses) if shares else None)]
    for tell, always, used, more in conflicts_of(session.main, prepared):
        parts.append((tell, always, tuple(used)))
        parts.extend((tell_more, (), tuple(used_more)) for tell_more, used_more in more)
    if apart.returning is not None:
        listed = list_of(session, session.main, prepared)
        parts.append((listed.sql, (), tuple(apart.returning.listed.uses) if shares else ()))
    return parts


def _remember_tail(session: Session, statement: Statement, apart: Apart, captured: int, parts: list[_Part]) -> None:
    """What is executed for ON CONFLICT and RETURNING is the same behind other changes of the table, but that parameters
    have other numbers."""
    before = apart.change.uses
    if statement.schema is not None or statement.alias or apart.names or not isinstance(before, range):
        return  # range: parameters are bare ?
    token = statement.on_conflict_at if statement.on_conflict_at >= 0 else statement.returning_at
    moved = [(sql, always, tuple(number - len(before) for number in uses or ())) for sql, always, uses in parts]
    if len(session.tails) >= _MOST_TAILS:
        session.tails.clear()
    key = statement.target, statement.sql[statement.starts[token] :]
    session.tails[key] = captured, apart.total - len(before), tuple(moved)


def _supplied(session: Session, prepared: Prepared) -> tuple[int, int]:
    """The address of the bits and how many there are. Other INSERTs that begin alike find them by that."""
    statement = prepared.statement
    supplied = supplied_by(session.main, prepared)
    bits, columns = supplied or (ffi.NULL, 0)
    address = int(ffi.cast("intptr_t", bits))
    if statement.columns is not None and statement.head and statement.table.lower() in session.main.declared:
        session.supplied[statement.head] = None if supplied is None else (address, columns, bits)
    return address, columns


def fail(
    cursor: Cursor, session: Session, known: _short.Known, stmt: Any, reader: Any, found: Found, parameters: Any
) -> NoReturn:
    """Ends a statement that failed, and raises what is to be said of it.

    Args:
        stmt, reader: the contexts of the statement and of the list of RETURNING.
    """
    error = as_error(found)
    statement = parse(known.sql) if known.prepared is None else known.prepared.statement
    if statement.kind is READ:
        fail_read(cursor, session, known.sql, error, parameters, began=False)
    if known.returns:
        fail_returning(cursor, session, statement, stmt, reader, error, parameters, began=False)
    fail_known(session, statement, stmt, error, parameters)


__all__ = ["fail", "parts_of", "run_new"]
