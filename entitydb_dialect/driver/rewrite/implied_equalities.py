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
from typing import NamedTuple

from .._catalog import Column, Table
from ..sql.cores import Core, shadowed
from ..sql.statement import LONG, MAY_CHAIN, Statement
from ..sql.terms import split, stripped
from ..sql.text import Edit, Range
from ..sql.tokens import quote
from .schemas import Schemas

MOST = 12  # terms added to one query

Place = tuple[int, int]  # the reference's place in FROM, the column's in its table


class _From(NamedTuple):
    """What can be named in one query: its tables in the order of FROM, None for what is no table of ours."""

    aliases: list[str]
    tables: list[Table | None]

    def column(self, place: Place) -> Column:
        table = self.tables[place[0]]
        assert table is not None
        return table.columns[place[1]]

    def written(self, place: Place) -> str:
        return f"{quote(self.aliases[place[0]])}.{quote(self.column(place).name)}"


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The terms to add."""
    if not statement.flags & MAY_CHAIN or len(statement.sql) >= LONG:
        return []
    joins = [core for core in statement.cores if core.listed is not None and len(core.references) >= 3]
    if not joins:
        return []
    hidden = {*schemas.temporary, *shadowed(statement)}
    return [edit for core in joins for edit in _added(statement, core, _tables(core, schemas, hidden))]


def _tables(core: Core, schemas: Schemas, hidden: set[str]) -> _From:
    tables: list[Table | None] = []
    for reference in core.references:
        named = reference.table and reference.table not in hidden
        located = schemas.locate(reference.schema, reference.table) if named else None
        tables.append(located.table if located else None)
    return _From([reference.alias for reference in core.references], tables)


def _added(text: Statement, core: Core, known: _From) -> Iterator[Edit]:
    inner = [(i, r.on) for i, r in enumerate(core.references) if r.on is not None and not r.join]
    conditions = [on for _, on in inner] + ([core.where] if core.where is not None else [])
    stated = {pair for condition in conditions for pair in _equalities(text, condition, known)}
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


def _equalities(text: Statement, condition: Range, known: _From) -> Iterator[tuple[Place, Place]]:
    """The terms `column = column`, the column of the earlier table first."""
    for part in split(text, stripped(text, condition), "AND") or ():
        start, end = stripped(text, part)
        signs = [i for i in range(start, end) if text.uppers[i] in ("=", "==")]
        if len(signs) != 1:
            continue
        one, other = _column(text, (start, signs[0]), known), _column(text, (signs[0] + 1, end), known)
        if one is not None and other is not None and one != other and _alike(known.column(one), known.column(other)):
            yield (one, other) if one < other else (other, one)


def _alike(one: Column, other: Column) -> bool:
    return one.affinity == other.affinity and one.collation == other.collation


def _column(text: Statement, at: Range, known: _From) -> Place | None:
    """What `[alias.]name` means in this query; None: perhaps something else."""
    start, end = at
    if not (end - start == 1 or (end - start == 3 and text.upper(start + 1) == ".")):
        return None
    if not text.is_name(start) or not text.is_name(end - 1):
        return None
    qualifier = text.name_at(start).lower() if end - start == 3 else None
    wanted = text.name_at(end - 1).lower()
    meant = [i for i, alias in enumerate(known.aliases) if qualifier is None or alias.lower() == qualifier]
    tables = [known.tables[i] for i in meant]
    if None in tables or (qualifier is not None and len(meant) != 1):
        return None
    found = [
        (i, number)
        for i, table in zip(meant, tables, strict=True) if table is not None
        for number, column in enumerate(table.columns) if column.name.lower() == wanted and not column.hidden
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _classes(stated: set[tuple[Place, Place]]) -> Iterator[list[Place]]:
    """The columns that the pairs say are equal, in order."""
    classes: list[set[Place]] = []
    for pair in sorted(stated):
        joined = [one for one in classes if not one.isdisjoint(pair)]
        classes = [one for one in classes if one.isdisjoint(pair)] + [set(pair).union(*joined)]
    return (sorted(one) for one in classes)


__all__ = ["rewrite"]
