"""Texts that a connection has executed before: what an execution needs and its parameters do not decide.

It is found out once and kept in a `Known`; then one call tells the engine all of it (edb_stmt_start). `Session.known`
has them by text, and is emptied whenever what they were made from may have changed. They are executed by read_known()
and write_known(), the short ways of read.py and write.py: in a transaction that is open, while no statement is being
stepped. Whatever else there may be is left to the long ways, which also say what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._native import ffi
from ..rewrite.many_parameters import SHORTEST
from ..rewrite.prepare import Prepared
from ..sql.statement import READ, WRITE

if TYPE_CHECKING:
    from .._session import Session


class Known:
    """A text, as it is executed without being looked at.

    Attributes:
        prepared: what it is.
        sql: what SQLite gets.
        writes: it is an INSERT, UPDATE or DELETE.
        gives_id: it may set `lastrowid`.
        start: what the engine is told, an edb_start.
        description: of its result's columns.
    """

    __slots__ = ("description", "gives_id", "prepared", "sql", "start", "writes")

    def __init__(self, session: Session, prepared: Prepared) -> None:
        statement, variant = prepared.statement, prepared.variant(None)
        self.prepared = prepared
        self.sql = variant.sql
        self.writes = statement.kind is WRITE
        self.gives_id = statement.verb in ("INSERT", "REPLACE")
        bits, columns = (self.writes and prepared.supplied) or (ffi.NULL, 0)  # prepared keeps the bits
        options = (True, self.writes, False, 0, 0)
        compares = statement.compares | session.hidden_compares
        self.start = ffi.new("edb_start *", (session.engine, options, compares, bits, columns, 0))
        self.description = variant.description or None


def remember(session: Session, sql: str, prepared: Prepared) -> None:
    """After an execution that went well, of a query or of a change of one of main's tables, that was not the first: its
    text is known from now on, if the short way will do."""
    statement = prepared.statement
    if (
        statement.kind in (READ, WRITE)
        and statement.verb != "EXPLAIN"
        and prepared.apart is None
        and prepared.is_fixed
        and not prepared.shows_schema
        and not prepared.lists_columns
        and not session.attach_order
        and len(sql) <= SHORTEST
    ):
        session.known[sql] = Known(session, prepared)


__all__ = ["Known", "remember"]
