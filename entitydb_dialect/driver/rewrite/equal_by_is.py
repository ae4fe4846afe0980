"""IS between columns of which one is not NULL: it is =.

SQLite and implied_equalities.py find what follows from equalities for = alone. And = finds one row by a unique key,
where IS finds as many as are NULL. If a term says that one of the columns is not NULL, both are true of the same rows:

    SELECT * FROM a, b WHERE a.x IS b.id AND b.id = 7
    SELECT * FROM a, b WHERE a.x = b.id AND b.id = 7

Such a term compares the column, and is one of those that AND joins in the same WHERE, or the same ON of an inner join.
A row id is never NULL. In ON of a LEFT JOIN nothing is changed, though it could be.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sql.cores import Core
from ..sql.statement import IS_COLUMN, LONG, Statement
from ..sql.terms import joined_by_and, top_level
from ..sql.text import Edit, Range
from .query_names import Place, QueryNames, hidden_names
from .schemas import Schemas

# What is not true where a side of it is NULL: both sides of a sign, the left one of a word.
_SIGNS = frozenset(("=", "==", "<", "<=", ">", ">=", "<>", "!="))
_BEHIND = frozenset(("IN", "BETWEEN"))
# With one of these a term is more than a comparison, or a function of the program's decides it.
_MORE = frozenset(("OR", "NOT", "IS", "ISNULL", "NOTNULL", "CASE", "LIKE", "GLOB", "REGEXP", "MATCH"))


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The signs to put in the place of IS."""
    if not statement.flags & IS_COLUMN or len(statement.sql) >= LONG:
        return []
    joins = [core for core in statement.cores if len(core.references) > 1]
    hidden = hidden_names(statement, schemas) if joins else set()
    return [edit for core in joins for edit in _changed(statement, core, QueryNames.of(core, schemas, hidden))]


def _changed(text: Statement, core: Core, known: QueryNames) -> Iterator[Edit]:
    for condition in (core.where, *(reference.on for reference in core.references if not reference.join)):
        if condition is None:
            continue
        terms = list(joined_by_and(text, condition))
        compared = {place for term in terms for place in _compared(text, term, known)}
        for start, end in terms:
            at = next((at for at in range(start, end) if text.uppers[at] == "IS"), end)
            sides = known.meant(text, (start, at)), known.meant(text, (at + 1, end))
            if None not in sides and any(
                place in compared or _is_row_id(core, known, place) for place in sides if place is not None
            ):
                yield Edit(text.starts[at], text.ends[at], "=")


def _is_row_id(core: Core, known: QueryNames, place: Place) -> bool:
    """Never NULL, nor the column of a row that a LEFT JOIN has not found."""
    table = known.tables[place[0]]
    return table is not None and table.rowid_column == place[1] and not any(r.join for r in core.references)


def _compared(text: Statement, term: Range, known: QueryNames) -> Iterator[Place]:
    """The columns that are not NULL where the term is true."""
    start, end = term
    words = top_level(text, term)
    if any(text.uppers[at] in _MORE for at in words):
        return
    signs = [at for at in words if text.uppers[at] in _SIGNS or text.uppers[at] in _BEHIND]
    if len(signs) == 1:
        sides = [(start, signs[0])]
        sides += [(signs[0] + 1, end)] if text.uppers[signs[0]] in _SIGNS else []
        yield from (place for side in sides if (place := known.meant(text, side)) is not None)


__all__ = ["rewrite"]
