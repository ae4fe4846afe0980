"""Statements over tables that were dropped, made again or renamed: rewritten for the moments of one execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ... import _exceptions as ex
from ..rewrite.past_names import names_dated, renamed
from ..rewrite.system_time import moment_sql
from ..sql import statement as kinds
from ..sql.parameters import Numbering

if TYPE_CHECKING:
    from .._session import Session
    from ..sql.statement import Statement
    from ..sql.text import Range


_KINDS = (kinds.READ, kinds.WRITE, kinds.DDL)


def _may_read(session: Session, statement: Statement, as_of: int | None, then: bool) -> bool:
    """May a table of the statement have been another one at its moment? Follows what others did to the schema."""
    dated = statement.kind in _KINDS and names_dated(statement)
    if not dated and (as_of is None or statement.kind is not kinds.READ):
        return False
    session.past_names.follow()
    changed = session.schema_then.changed() if then else session.past_names.changed()
    return changed > 0 if dated else as_of is not None and as_of < changed


def sets_choose_names(session: Session, statement: Statement) -> bool:
    """Does it depend on each set of parameters of an executemany() which tables the statement reads?"""
    return statement.names_moment and _may_read(session, statement, None, False)


def with_past_names(
    session: Session, statement: Statement, as_of: int | None, parameters: Any, *, then: bool = False
) -> str | None:
    """The text to execute instead, with the same parameters; None: none of its tables was another one then.

    Args:
        then: tables have the columns of their moments, and views their queries; else only tables that are no more.

    Raises OperationalError for a table that was not there at its moment.
    """
    if not _may_read(session, statement, as_of, then):
        return None

    def moment_of(tokens: Range) -> int | None:
        return _evaluated(session, statement, tokens, parameters)

    return renamed(statement, session.schema_then if then else session.past_names, moment_of, as_of)


def _evaluated(session: Session, statement: Statement, tokens: Range, parameters: Any) -> int | None:
    """What a moment is; None: it is NULL, or no constant of the execution."""
    sql, span = moment_sql(statement, tokens)
    try:
        piece = Numbering(statement).piece(span)
        given: Any = parameters
        if not isinstance(parameters, Mapping):
            given = [parameters[i] for i in piece.uses]
            sql = moment_sql(statement, tokens, piece.numbered)[0]
        ((found,),) = session.run(f"SELECT {sql}", given)
        return None if found is None else int(found)
    except (ex.Error, IndexError, TypeError, ValueError):
        return None  # a column; or what is wrong, which the statement itself says


__all__ = ["sets_choose_names", "with_past_names"]
