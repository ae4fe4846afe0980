"""Texts that are executed without Python code: what an execution needs and its parameters do not decide.

It is found out at the first execution and kept in a `Known`. `execute()` and `fetchall()` of a cursor look into
`Session.known`, and run what is there in C (`engine/python`). It is emptied whenever what the texts were made from may
have changed. The short way is for plain parameters, while nothing else runs on the connection; changes need an open
transaction. Whatever else there may be is left to the long ways, which also say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ... import _exceptions as ex
from ... import _short
from ..._native import ffi
from .._errors import Found, as_error
from ..rewrite.many_parameters import SHORTEST
from ..rewrite.past_names import names_dated
from ..rewrite.prepare import Prepared
from ..sql.statement import READ, Statement
from .read import fail_read_known
from .returning import fail_returning_known, list_of
from .write import conflicts_of, fail_known, supplied_by, target

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session

# Ends a statement that failed: the cursor, the session, the text, the contexts of the statement and of the list of
# RETURNING, the error, the parameters.
Fail: TypeAlias = "Callable[[Cursor, Session, Known, Any, Any, BaseException, Any], NoReturn]"
_Part: TypeAlias = tuple[str, tuple[Any, ...], "tuple[int, ...] | None"]

_MOST_KNOWN = 128  # texts of a connection: each keeps statements of SQLite's. As many as the sqlite3 module keeps


class Known(_short.Known):
    """A text, as it is executed without being looked at.

    Attributes:
        prepared: what it is.
        sql: what SQLite gets.
        supplied: the columns that an INSERT names, as edb_stmt_supplied() wants them; None: all, or it is no INSERT.
    """

    __slots__ = ("_fail", "prepared", "sql", "supplied")

    def __init__(self, session: Session, prepared: Prepared) -> None:
        """Raises what is wrong with its ON CONFLICT or RETURNING."""
        statement, apart = prepared.statement, prepared.apart
        writes = statement.kind is not READ
        self.prepared = prepared
        self.sql = prepared.variant(None).sql
        self.supplied = supplied_by(session, session.main, prepared) if writes else None
        self._fail: Fail = fail_known if writes else fail_read_known
        parts: list[_Part] = []
        uses, total, captured, returns = None, -1, 0, False
        if apart is not None:
            if apart.shares:
                uses, total = tuple(apart.change.uses), apart.total
            for tell, always, used, more in conflicts_of(session.main, prepared):
                parts.append((tell, always, tuple(used)))
                parts.extend((tell_more, (), tuple(used_more)) for tell_more, used_more in more)
            if apart.returning is not None:
                returns = True
                self._fail = fail_returning_known
                captured = session.main.declared[statement.table.lower()].table.id
                listed = list_of(session, session.main, prepared)
                parts.append((listed.sql, (), tuple(apart.returning.listed.uses) if apart.shares else ()))
        supplied, columns = self.supplied or (ffi.NULL, 0)
        super().__init__(
            session,
            writes,
            statement.verb in ("INSERT", "REPLACE"),
            returns,
            statement.compares | session.hidden_compares,
            int(ffi.cast("intptr_t", supplied)),
            columns,
            captured,
            total,
            ((self.sql, (), uses), *parts),
        )

    # ---- what the short way calls ----

    def in_order(self, parameters: Any) -> tuple[Any, ...]:
        """The parameters by number. Raises ProgrammingError when they do not fit."""
        apart = self.prepared.apart
        assert apart is not None
        return tuple(apart.values(parameters))

    def fail(self, cursor: Cursor, stmt: Any, reader: Any, found: Found, parameters: Any) -> NoReturn:
        """Ends a statement that failed, and raises what is to be said of it."""
        self._fail(cursor, cursor._session, self, stmt, reader, as_error(found), parameters)

    def raise_error(self, found: Found) -> NoReturn:
        raise as_error(found)


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
    if not session.raw.in_transaction and (statement.kind is not READ or not session.autocommit):
        return False
    known = session.known.get(sql)
    if known is None:
        known = _known(session, statement, sql)
        if known is None:
            return False
        _keep(session, sql, known)
    elif not rewritten:
        return False  # that was tried
    return cursor._run(known, parameters)


def _known(session: Session, statement: Statement, sql: str) -> Known | None:
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
        return Known(session, prepared)
    except ex.Error:
        return None  # the long way finds it again, with the newest schema


def _keep(session: Session, sql: str, known: Known) -> None:
    """Of too many the one goes that was not executed for longest, or nearly so."""
    texts = session.known
    while len(texts) >= _MOST_KNOWN:
        oldest = next(iter(texts))
        one = texts.pop(oldest)
        if one.used:
            one.used = False
            texts[oldest] = one
    texts[sql] = known


__all__ = ["Known", "run_new"]
