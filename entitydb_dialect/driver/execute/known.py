"""Texts that a connection has executed before: what an execution needs and its parameters do not decide.

It is found out once and kept in a `Known`; then one call tells the engine all of it (edb_stmt_start). `Session.known`
has them by text, and is emptied whenever what they were made from may have changed. They are executed by the short ways
in read.py, write.py and returning.py: in a transaction that is open, while no statement is being stepped. Whatever else
there may be is left to the long ways, which also say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..._native import ffi
from ..rewrite.many_parameters import SHORTEST
from ..rewrite.prepare import Prepared
from ..sql.statement import READ, WRITE

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session

Run: TypeAlias = "Callable[[Cursor, Session, Known, Any], bool]"


class Known:
    """A text, as it is executed without being looked at.

    Attributes:
        run: what executes it: read_known(), write_known(), write_returning_known(). -> False: nothing was done.
        prepared: what it is.
        sql: what SQLite gets.
        gives_id: it may set `lastrowid`.
        start: what the engine is told, an edb_start.
        description: of its result's columns.
        shared: None, or which of the parameters SQLite gets with `sql`, where clauses taken off use some, too.
    """

    __slots__ = ("description", "gives_id", "prepared", "run", "shared", "sql", "start")

    def __init__(self, session: Session, prepared: Prepared, run: Run) -> None:
        statement, variant, apart = prepared.statement, prepared.variant(None), prepared.apart
        writes, captured = statement.kind is WRITE, 0
        self.run = run
        self.prepared = prepared
        self.sql = variant.sql
        self.gives_id = statement.verb in ("INSERT", "REPLACE")
        self.description = variant.description or None
        self.shared: Sequence[int] | None = None if apart is None or not apart.shares else tuple(apart.change.uses)
        if apart is not None and apart.returning is not None:
            captured = session.main.declared[statement.table.lower()].table.id
            self.description = (prepared.query and prepared.query.description) or None
        bits, columns = (writes and prepared.supplied) or (ffi.NULL, 0)  # prepared keeps the bits
        options = (True, writes, False, 0, 0)
        compares = statement.compares | session.hidden_compares
        self.start = ffi.new("edb_start *", (session.engine, options, compares, bits, columns, captured))

    def told(self, parameters: Any) -> Sequence[Any]:
        """The parameters by number. Raises ProgrammingError when they do not fit."""
        apart = self.prepared.apart
        assert apart is not None
        if type(parameters) in (tuple, list) and len(parameters) == apart.total:
            return parameters  # type: ignore[no-any-return]
        return apart.values(parameters)


def remember(session: Session, sql: str, prepared: Prepared, run: Run) -> None:
    """After an execution that went well, of a query or of a change of one of main's tables, that was not the first: its
    text is known from now on, if the short way will do."""
    statement = prepared.statement
    if (
        statement.kind in (READ, WRITE)
        and statement.verb != "EXPLAIN"
        and prepared.is_fixed
        and not prepared.shows_schema
        and not prepared.lists_columns
        and not session.attach_order
        and len(sql) <= SHORTEST
    ):
        session.known[sql] = Known(session, prepared, run)


__all__ = ["Known", "remember"]
