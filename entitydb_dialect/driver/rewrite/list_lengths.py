"""What the engine is told of the lists that queries make, so that it can guess how long they are.

Of `column IN (SELECT ...)` SQLite tells a virtual table that there is a list, and nothing of it. Where the list is one
column of a table, a term beside it says which, and of what kind the conditions on its rows are:

    SELECT * FROM t WHERE kind IN (SELECT id FROM k WHERE live = 1)
    SELECT * FROM t WHERE kind IN (SELECT id FROM k WHERE live = 1) AND "t"."entitydb returned" IS NOT '3 17 0 =2'

The hidden column is NULL, so the term is always true, and no answer depends on it being there. The engine reads it
(engine/vtab/plan_lists.c has its form). No literal of the query is in it, so that the short way can do the same to all
texts that differ in literals only.

Only lists among the terms that AND joins in WHERE or ON are looked at, in ON of a LEFT JOIN those of its right table:
the engine uses the term, and SQLite drops plans that use what ON says of other tables. Lists of UNION, GROUP BY and
LIMIT are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sql.cores import Core
from ..sql.statement import LISTS_QUERY, LONG, Statement
from ..sql.terms import items, joined_by_and, top_level
from ..sql.text import Edit
from ..sql.tokens import quote
from .condition_kinds import HIDDEN, conditions_told
from .query_names import Place, QueryNames, hidden_names
from .schemas import Schemas

_MORE = frozenset(("UNION", "EXCEPT", "INTERSECT", "GROUP", "LIMIT", "VALUES"))


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The terms to add."""
    if not statement.flags & LISTS_QUERY or len(statement.sql) >= LONG:
        return []
    hidden = hidden_names(statement, schemas)
    queries = {core.listed[0] - 1: core for core in statement.cores if core.listed is not None}
    found: list[Edit] = []
    for core in statement.cores:
        known = QueryNames.of(core, schemas, hidden)
        for column, opening in _lists(statement, core, known):
            query = queries.get(opening + 1)
            told = query and _told(statement, opening, query, QueryNames.of(query, schemas, hidden))
            if told is None or told[0] != core.references[column[0]].schema:
                continue
            end = statement.ends[statement.closing(opening)]
            alias = quote(known.aliases[column[0]])
            found.append(Edit(end, end, f" AND {alias}.{HIDDEN} IS NOT '{column[1]} {told[1]}'"))
    return found


def _lists(text: Statement, core: Core, known: QueryNames) -> Iterator[tuple[Place, int]]:
    """The terms `column IN (SELECT ...)`: the column, and the parenthesis that opens."""
    aliases = [alias.lower() for alias in known.aliases]
    for i, reference in [(-1, None), *enumerate(core.references)]:
        condition = core.where if reference is None else reference.on
        if condition is None:
            continue
        for start, end in joined_by_and(text, condition):
            at = next((at for at in top_level(text, (start, end)) if text.uppers[at] == "IN"), end)
            if text.upper(at + 1) != "(" or text.upper(at + 2) != "SELECT" or text.closing(at + 1) + 1 != end:
                continue
            column = known.meant(text, (start, at))
            if column is None or aliases.count(aliases[column[0]]) > 1:
                continue
            own = core.references[column[0]]
            if (column[0] == i) if reference is not None and reference.join else not own.join:
                yield column, at + 1


def _told(text: Statement, opening: int, query: Core, known: QueryNames) -> tuple[str, str] | None:
    """The schema of the table that a list is of, and what is told of it; None: it is more than a column of one."""
    assert query.listed is not None
    inside = top_level(text, (opening + 1, text.closing(opening)))
    if any(text.uppers[at] in _MORE for at in inside):
        return None
    results = items(text, query.listed)
    start, end = results[0]
    start += text.upper(start) in ("DISTINCT", "ALL")
    end -= 2 if text.upper(end - 2) == "AS" else 0
    place = known.meant(text, (start, end)) if len(results) == 1 else None
    table = known.tables[place[0]] if place is not None else None
    if place is None or table is None:
        return None
    told = conditions_told(text, query, place[0], known)
    return query.references[place[0]].schema, f"{table.id} {place[1]}{told}"


__all__ = ["rewrite"]
