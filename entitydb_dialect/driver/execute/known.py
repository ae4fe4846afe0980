"""Texts that a connection has executed before: what an execution needs and its parameters do not decide.

It is found out once and kept in a `Known`. `execute()` and `fetchall()` of a cursor look into `Session.known`, and run
what is there without Python code (`engine/python`). It is emptied whenever what the texts were made from may have
changed. The short way is for plain parameters, while nothing else runs on the connection; changes need an open
transaction. Whatever else there may be is left to the long ways, which also say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ... import _short
from ..._native import ffi
from .._errors import Found, as_error
from ..rewrite.many_parameters import SHORTEST
from ..rewrite.past_names import names_dated
from ..rewrite.prepare import Prepared
from ..sql.statement import READ, WRITE, parse

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
    """

    __slots__ = ("_fail", "_start", "prepared", "sql")

    def __init__(self, session: Session, prepared: Prepared, fail: Fail) -> None:
        statement, variant, apart = prepared.statement, prepared.variant(None), prepared.apart
        writes, captured = statement.kind is WRITE, 0
        self.prepared = prepared
        self.sql = variant.sql
        self._fail = fail
        description, uses, total = variant.description, None, -1
        if apart is not None and apart.shares:
            uses, total = tuple(apart.change.uses), apart.total
        parts: list[_Part] = [(self.sql, (), uses)]
        for tell, always, used, more in prepared.conflicts or ():
            parts.append((tell, always, tuple(used)))
            parts.extend((tell_more, (), tuple(used_more)) for tell_more, used_more in more)
        returns = apart is not None and apart.returning is not None
        if returns:
            assert apart is not None
            assert apart.returning is not None
            assert prepared.query is not None
            captured = session.main.declared[statement.table.lower()].table.id
            description = prepared.query.description
            parts.append((prepared.query.sql, (), tuple(apart.returning.listed.uses) if apart.shares else ()))
        bits, columns = (writes and prepared.supplied) or (ffi.NULL, 0)  # prepared keeps the bits
        options = (True, writes, False, 0, 0)
        compares = statement.compares | session.hidden_compares
        self._start = ffi.new("edb_start *", (session.engine, options, compares, bits, columns, captured))
        super().__init__(
            session,
            int(ffi.cast("intptr_t", self._start)),
            writes,
            statement.verb in ("INSERT", "REPLACE"),
            returns,
            description or None,
            total,
            tuple(parts),
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


def remember(session: Session, sql: str, prepared: Prepared, fail: Fail) -> None:
    """After an execution that went well, of a query or of a change of one of main's tables, that was not the first: its
    text is known from now on, if the short way will do."""
    statement, apart = prepared.statement, prepared.apart
    if statement.names_moment and names_dated(parse(sql)) and session.past_names.changed():
        return  # which table a name means depends on the moment
    if (
        statement.kind in (READ, WRITE)
        and statement.verb != "EXPLAIN"
        and prepared.is_fixed
        and not prepared.shows_schema
        and not prepared.lists_columns
        and not session.attach_order
        and len(sql) <= SHORTEST
        and (apart is None or not apart.conflicts or prepared.conflicts is not None)
    ):
        if len(session.known) >= _MOST_KNOWN:
            del session.known[next(iter(session.known))]
        session.known[sql] = Known(session, prepared, fail)


__all__ = ["Fail", "Known", "remember"]
