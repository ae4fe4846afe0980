"""References that have a moment of their own: they become history tables (engine/vtab/history.h).

A quoted name that ends in " history" is the history table of the table before it, if nothing has the whole name:

    SELECT * FROM "t history"(:m)
    SELECT * FROM main.entitydb_history_1(:m) AS "t history"

The schema's name before it keeps a CTE from capturing it.
"""

from __future__ import annotations

from ... import _exceptions as ex
from ..sql.sources import IN, TARGET, Lost, Source, qualified, sources
from ..sql.statement import Statement
from ..sql.text import Edit
from ..sql.tokens import quote
from .schemas import HistoryName, Schemas

_SUFFIX = " history"


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What makes the references ones to history tables. Raises PastWriteError for one that is to be changed."""
    if not statement.names_moment:
        return []
    try:
        found = sources(statement)
    except Lost:
        return []
    return [edit for source in found for edit in _named_history(statement, source, schemas)]


def _named_history(statement: Statement, source: Source, schemas: Schemas) -> list[Edit]:
    """`"t history"`, by its name."""
    if not source.name.lower().endswith(_SUFFIX):
        return []
    history = schemas.history(source.schema, source.name[: -len(_SUFFIX)])
    if history is None or schemas.means(source.schema, source.name):
        return []
    if source.role == TARGET:
        raise ex.PastWriteError(f"{source.written}: the past does not change; write to the table itself")
    return _replaced(statement, source, history)


def _replaced(statement: Statement, source: Source, history: HistoryName) -> list[Edit]:
    """The name, zeros before its arguments, and an alias where it has none."""
    starts, ends = statement.starts, statement.ends
    edits = [Edit(starts[source.tokens[0]], ends[source.tokens[1] - 1], history.name)]
    if source.arguments is not None and history.arguments and source.arguments[0] < source.arguments[1]:
        at = starts[source.arguments[0]]
        edits.append(Edit(at, at, "0, " * history.arguments))
    if source.alias < 0 and source.role != IN:
        behind = ends[min(source.end, len(statement)) - 1]
        edits.append(Edit(behind, behind, f" AS {quote(source.name)}"))
        if source.schema is not None:
            edits += [Edit(*span, "") for span in qualified(statement, source.schema, source.name)]
    return edits


__all__ = ["rewrite"]
