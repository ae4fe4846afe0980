"""Equalities of columns that follow from others, for joins of three tables and more.

Of its own tables SQLite knows that a.x = b.x and b.x = c.x lead from a to c as well. It does not tell a virtual table
so. Where a query's text joins columns in a chain, what follows is added:

    SELECT * FROM a, b, c WHERE a.x = b.x AND b.x = c.x
    SELECT * FROM a, b, c WHERE (a.x = b.x AND b.x = c.x) AND "a"."x" = "c"."x"

Only terms that AND joins in WHERE, or in ON of an inner join, are looked at, and only those that compare two columns of
one affinity and one collation: of such columns the values are compared as they are, so that the added term is true
wherever the others are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from .._catalog import Column
from ..sql.cores import Core
from ..sql.statement import LONG, MAY_CHAIN, Statement
from ..sql.text import Edit, Range
from .query_names import Place, QueryNames, equalities, hidden_names
from .schemas import Schemas

MOST = 12  # terms added to one query


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The terms to add."""
    if not statement.flags & MAY_CHAIN or len(statement.sql) >= LONG:
        return []
    joins = [core for core in statement.cores if core.listed is not None and len(core.references) >= 3]
    if not joins:
        return []
    hidden = hidden_names(statement, schemas)
    return [edit for core in joins for edit in _added(statement, core, QueryNames.of(core, schemas, hidden))]


def _added(text: Statement, core: Core, known: QueryNames) -> Iterator[Edit]:
    inner = [(i, r.on) for i, r in enumerate(core.references) if r.on is not None and not r.join]
    conditions = [on for _, on in inner] + ([core.where] if core.where is not None else [])
    stated = {pair for condition in conditions for pair in _compared(text, condition, known)}
    # In ON all tables up to the one that is joined there can be named.
    last, place = (len(core.references), core.where) if core.where is not None else inner[-1] if inner else (0, None)
    if len(stated) < 2 or place is None:
        return
    follow = [pair for one in _classes(stated) for pair in combinations(one, 2) if pair not in stated]
    terms = [f"{known.written(a)} = {known.written(b)}" for a, b in follow if a[0] != b[0] and b[0] <= last]
    if terms:
        start, end = text.starts[place[0]], text.ends[place[1] - 1]
        yield Edit(start, start, "(")
        yield Edit(end, end, f") AND {' AND '.join(terms[:MOST])}")


def _compared(text: Statement, condition: Range, known: QueryNames) -> Iterator[tuple[Place, Place]]:
    """The terms `column = column`, the column of the earlier table first."""
    for left, right in equalities(text, condition):
        one, other = known.meant(text, left), known.meant(text, right)
        if one is not None and other is not None and one != other and _alike(known.column(one), known.column(other)):
            yield (one, other) if one < other else (other, one)


def _alike(one: Column, other: Column) -> bool:
    return one.affinity == other.affinity and one.collation == other.collation


def _classes(stated: set[tuple[Place, Place]]) -> Iterator[list[Place]]:
    """The columns that the pairs say are equal, in order."""
    classes: list[set[Place]] = []
    for pair in sorted(stated):
        joined = [one for one in classes if not one.isdisjoint(pair)]
        classes = [one for one in classes if one.isdisjoint(pair)] + [set(pair).union(*joined)]
    return (sorted(one) for one in classes)


__all__ = ["rewrite"]
