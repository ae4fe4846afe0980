"""Partial indexes: which queries may use one, and which ON CONFLICT means one.

A query may use a partial index when its own conditions imply the index's WHERE. The engine sees conditions of the form
`column op value` only; here the query's text is read. Where each term of the index's WHERE is found among the terms
that AND joins in the query's WHERE (or in ON, for the table that is joined there), a term is added that tells the
engine so, for that reference to the table alone:

    SELECT * FROM t WHERE lower(kind) = 'x' AND a = 5
    SELECT * FROM t WHERE (lower(kind) = 'x' AND a = 5) AND "t"."entitydb partial" IS NOT 17

The hidden column is NULL, so the term is true of every row, and no answer depends on it being there. As in SQLite,
terms are compared as they are written (sql/terms.py); a parameter may stand for a constant, and the term is added when
its value is that constant; `x IS NOT NULL` follows from a comparison of x, and `p OR q` from p or q.
In doubt nothing is added: in a statement that cannot be followed, in views, in FROM with RIGHT or FULL JOIN.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._catalog import Index, Table
from ..sql.cores import Core
from ..sql.statement import Statement
from ..sql.terms import Given, Names, Needs, implied, take
from ..sql.text import Edit, Range, Text
from ..sql.tokens import quote
from .indexes import Indexes, whole

HIDDEN = '"entitydb partial"'


def rewrite(statement: Statement, indexes: Indexes) -> list[Edit]:
    """The terms to add, each where its needs hold."""
    terms: dict[Range, list[tuple[str, Needs]]] = {}
    if indexes.partial:
        for core in statement.cores:
            for place, term, needs in _implied_by(statement, core, indexes):
                terms.setdefault(place, []).append((term, needs))
    return [edit for place, added in terms.items() for edit in _added(statement, place, added)]


def _added(statement: Statement, place: Range, added: list[tuple[str, Needs]]) -> Iterator[Edit]:
    """The condition in parentheses, and the terms behind it."""
    start, end = statement.starts[place[0]], statement.ends[place[1] - 1]
    ways = tuple(needs for _, needs in added)
    some = ways if all(ways) else ()
    yield Edit(start, start, "(", some)
    yield Edit(end, end, ")", some)
    for term, needs in added:
        yield Edit(end, end, f" AND {term}", (needs,) if needs else ())


def _implied_by(statement: Statement, core: Core, indexes: Indexes) -> Iterator[tuple[Range, str, Needs]]:
    """Of each reference the partial indexes that have all rows wanted of it: where to say so, the term, its needs."""
    references = core.references
    inner = [r.on for r in references if r.on is not None and not r.join]
    aliases = [r.alias.lower() for r in references]
    for reference in references:
        known = indexes.partial.get(reference.table) if reference.schema == indexes.home else None
        if known is None or aliases.count(reference.alias.lower()) > 1:
            continue
        conditions = [reference.on] if reference.join else [*inner, core.where]
        present = [c for c in conditions if c is not None and c[0] < c[1]]
        if not present:
            continue
        table, wanted = known
        names = Names.of(table, reference.alias.lower(), rowid=len(references) == 1)
        given = Given(set(), set())
        for tokens in present:
            take(given, statement, tokens, names)
        for tree, where in wanted:
            needs = implied(where, given)
            if needs is not None:
                yield present[-1], f"{quote(reference.alias)}.{HIDDEN} IS NOT {tree}", needs


def means(index: Index, table: Table, where: str) -> bool:
    """Does the WHERE of an ON CONFLICT target imply that of the index?"""
    if index.where is None:
        return True
    names = Names.of(table, table.name.lower())
    wanted = whole(Text(index.where), table)
    given = Given(set(), set())
    target = Text(where)
    take(given, target, (0, len(target)), names)
    return wanted is not None and implied(wanted, given) == frozenset()


__all__ = ["HIDDEN", "means", "rewrite"]
