"""ORDER BY of a join that has one row at most: it is taken away.

Of its own tables SQLite knows that a join by their keys has one row, and does not sort it. It does not know it of
virtual tables, and sorts the one row by a table that it makes for it:

    SELECT * FROM item JOIN owner ON owner.id = item.owner_id WHERE item.id = ? ORDER BY owner.name LIMIT 10
    SELECT * FROM item JOIN owner ON owner.id = item.owner_id WHERE item.id = ?  LIMIT 10

**Why there is one row at most.** Each table in FROM has to be *fixed*: a term says that its row id is a constant, or a
column of a table that is fixed already. Such a term is one of those that AND joins in WHERE or in ON of an inner join,
so that it is true of every row of the result; or, for the table on the right of a LEFT JOIN, in that join's ON.

1.  At any moment no two rows of a table have one row id. This holds of the rows that a transaction sees, too, since its
    own writes stand in the place of those that it reads under the same row id.
2.  A row id is an integer. No value equals two integers, whatever affinity and collation an equality has: numbers are
    compared exactly, and different integers are different texts. NULL equals none.
3.  So, in the order in which they are fixed, each table has one row that can be its part of a row of the result. A
    table on the right of a LEFT JOIN can be NULL instead. Then a term that compares one of its columns is not true,
    so that what is fixed by it in WHERE has no row, and what is fixed by it in ON is NULL as well.
4.  In the order of FROM, at most one row comes of the tables so far. The next one gives its one row or none, or, behind
    a LEFT JOIN, NULLs where it has none that ON is true of.

A UNIQUE key is not enough for 1. A transaction sees the state that it began with, and its own writes. If another has
deleted a row meanwhile, its key is free, and a transaction may use it while it still sees that row. At READ COMMITTED
it may see the row of another with the key of its own. And as of a moment before a unique index was made, or before a
column got another type, several rows may have what is one key now.

**What may be taken away.** Only terms that SQLite certainly understands: columns, and names that AS gives to results;
with collations that are always there, ASC, DESC and NULLS. An error in another stays one, and parameters keep their
numbers. So no literal is taken away, and none decides what is done: the short way can do the same to all texts that
differ in literals only. The query must stand by itself, without UNION, DISTINCT, GROUP BY and HAVING. References
to views, subqueries, functions, history tables and tables of SQLite's or of the engine's own are never fixed, nor is a
column of a query around this one a constant. A query of one table is left alone: it is not worth the look at its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._catalog import COLLATIONS
from ..sql.cores import Core
from ..sql.statement import LONG, MAY_FIND_ONE, Statement
from ..sql.terms import items, without_order
from ..sql.text import Edit, Range
from ..sql.tokens import CONSTANTS, NUMBER, STRING
from .query_names import Place, QueryNames, equalities, hidden_names
from .schemas import Schemas


class _Equals(NamedTuple):
    """A term that fixes a table if what it is compared with is fixed."""

    table: int  # its place in FROM
    by: int | None  # the place of the table whose column it is; None: a constant


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What takes the clauses away."""
    if not statement.flags & MAY_FIND_ONE or len(statement.sql) >= LONG:
        return []
    ordered = [core for core in statement.cores if len(core.references) > 1 and _has_order(statement, core)]
    if not ordered:
        return []
    hidden = hidden_names(statement, schemas)
    found: list[Edit] = []
    for core in ordered:
        known = QueryNames.of(core, schemas, hidden)
        if _finds_one(statement, core, known) and _is_understood(statement, core, known):
            assert core.order is not None
            start, end = core.order
            found.append(Edit(statement.starts[start - 2], statement.ends[end - 1], ""))
    return found


def _has_order(text: Statement, core: Core) -> bool:
    """Has the query an ORDER BY that is the order of its rows?"""
    if core.order is None or not core.is_alone or core.group is not None:
        return False
    start, end = core.order
    return (
        start < end
        and (text.upper(start - 2), text.upper(start - 1)) == ("ORDER", "BY")
        and (end == len(text) or text.upper(end) in ("LIMIT", ")", ";"))
    )


# ---- one row ----


def _finds_one(text: Statement, core: Core, known: QueryNames) -> bool:
    """Is every table fixed?"""
    terms = list(_terms(text, core, known))
    fixed: set[int] = set()
    more = True
    while more:
        reached = {term.table for term in terms if term.by is None or term.by in fixed}
        more = not reached <= fixed
        fixed |= reached
    return len(fixed) == len(core.references)


def _terms(text: Statement, core: Core, known: QueryNames) -> Iterator[_Equals]:
    """The terms that fix tables, those in ON of a LEFT JOIN of its right table alone."""
    if core.where is not None:
        yield from _terms_in(text, core.where, known)
    for i, reference in enumerate(core.references):
        if reference.on is not None:
            found = _terms_in(text, reference.on, known)
            yield from (term for term in found if not reference.join or term.table == i)


def _terms_in(text: Statement, condition: Range, known: QueryNames) -> Iterator[_Equals]:
    for sides in equalities(text, condition):
        one, other = (known.meant(text, side) for side in sides)
        if one is not None and other is not None:
            for key, by in ((one, other), (other, one)):
                if key[0] != by[0] and _is_row_id(known, key):
                    yield _Equals(key[0], by[0])
        else:
            place, value = (one, sides[1]) if other is None else (other, sides[0])
            if place is not None and _is_row_id(known, place) and _is_constant(text, value):
                yield _Equals(place[0], None)


def _is_row_id(known: QueryNames, place: Place) -> bool:
    table = known.tables[place[0]]
    return table is not None and table.rowid_column == place[1]


def _is_constant(text: Statement, at: Range) -> bool:
    """A parameter or a literal, which may have a sign."""
    start, end = at
    if end - start == 2 and text.upper(start) in ("-", "+"):
        return text.kinds[start + 1] == NUMBER
    return end - start == 1 and text.kinds[start] in CONSTANTS


# ---- the clause ----


def _is_understood(text: Statement, core: Core, known: QueryNames) -> bool:
    """Is there no term that SQLite might refuse?"""
    assert core.listed is not None
    assert core.order is not None
    results = items(text, core.listed)
    return all(_is_term_understood(text, term, results, known) for term in items(text, core.order))


def _is_term_understood(text: Statement, term: Range, results: list[Range], known: QueryNames) -> bool:
    start, end = without_order(text, term)
    if end - start > 2 and text.upper(end - 2) == "COLLATE":
        if text.upper(end - 1) not in COLLATIONS:
            return False
        end -= 2
    if known.meant(text, (start, end)) is not None:
        return True
    return end - start == 1 and _is_name_of_result(text, start, results)


def _is_name_of_result(text: Statement, at: int, results: list[Range]) -> bool:
    if not text.is_name(at) or text.kinds[at] == STRING:
        return False
    wanted = text.name_at(at).lower()
    return any(
        end - start > 2
        and text.upper(end - 2) == "AS"
        and text.is_name(end - 1)
        and text.name_at(end - 1).lower() == wanted
        for start, end in results
    )


__all__ = ["rewrite"]
