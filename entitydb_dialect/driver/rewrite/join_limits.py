"""What the engine is told of a join of which the first rows are wanted.

SQLite tells a virtual table of LIMIT where it is alone in FROM, and not in a join. A term beside the conditions says
it, with what the join reads, so that the engine can guess how many rows of a table it takes:

    SELECT * FROM item, owner WHERE item.owner = owner.id AND owner.kind = 2 ORDER BY item.day LIMIT 20
    SELECT * FROM item, owner WHERE item.owner = owner.id AND owner.kind = 2
        AND "item"."entitydb returned" IS NOT 'limit 0|17|18 =3@0.2=1.0' ORDER BY item.day LIMIT 20

The hidden column is NULL, so the term is always true, and no answer depends on it being there. The engine reads it
(engine/vtab/plan_limits.c has its form). It is told of the table whose columns are the whole ORDER BY. No literal of
the query is in it, nor the number of LIMIT, so that the short way can do the same to all texts that differ in literals
only. Of a query behind the sign `+`, as join_minimum.py makes it, one row is wanted: 'first ...' for 'limit ...'.

It is done for a query without UNION, DISTINCT, GROUP BY, aggregates and window functions, all of whose tables are ours.
The hidden column of a table on the right of a LEFT JOIN need not be that of a row; such tables are left out, since they
take no row away.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sql.cores import Core
from ..sql.statement import LIMITS_JOIN, LONG, Statement
from ..sql.terms import items, joined_by_and, split, stripped, without_order
from ..sql.text import Edit, Range
from ..sql.tokens import quote
from .condition_kinds import HIDDEN, kind_told
from .query_names import Place, QueryNames, hidden_names
from .schemas import Schemas

_MOST = 8  # tables
_OF_ALL_ROWS = frozenset((
    *("COUNT", "SUM", "TOTAL", "AVG", "MIN", "MAX", "GROUP_CONCAT", "STRING_AGG", "OVER"),
    *("JSON_GROUP_ARRAY", "JSON_GROUP_OBJECT", "JSONB_GROUP_ARRAY", "JSONB_GROUP_OBJECT"),
))  # fmt: skip


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The terms to add."""
    if not statement.flags & LIMITS_JOIN or len(statement.sql) >= LONG:
        return []
    hidden = hidden_names(statement, schemas)
    return [
        edit
        for core in statement.cores if _is_limited(statement, core)
        for edit in _told(statement, core, QueryNames.of(core, schemas, hidden))
    ]  # fmt: skip


def _is_limited(text: Statement, core: Core) -> bool:
    """Is it a join with ORDER BY and LIMIT, that need not be read to its end?"""
    if core.listed is None or core.order is None or not core.is_alone or core.group is not None:
        return False
    if not 1 < len(core.references) <= _MOST or text.upper(core.order[1]) != "LIMIT":
        return False
    return not any(text.uppers[at] in _OF_ALL_ROWS for at in range(*core.listed))


def _is_value(text: Statement, core: Core) -> bool:
    """Is it `+(SELECT ...)`?"""
    assert core.listed is not None
    return text.upper(core.listed[0] - 2) == "(" and text.upper(core.listed[0] - 3) == "+"


def _told(text: Statement, core: Core, known: QueryNames) -> Iterator[Edit]:
    assert core.order is not None
    inner = [i for i, reference in enumerate(core.references) if not reference.join]
    first = _ordered_by(text, core.order, known)
    aliases = [alias.lower() for alias in known.aliases]
    schemas = {core.references[i].schema for i in inner}
    if None in known.tables or len(inner) < 2 or len(schemas) > 1 or len(set(aliases)) < len(aliases):
        return
    join = _join(text, core, known, inner) if first in inner else ""
    if join:
        assert first is not None
        word = "first" if _is_value(text, core) else "limit"
        term = f"{quote(known.aliases[first])}.{HIDDEN} IS NOT '{word} {inner.index(first)}{join}'"
        yield from _added(text, core, term)


def _ordered_by(text: Statement, order: Range, known: QueryNames) -> int | None:
    """The table whose columns are all terms; None: they are of several, or something else."""
    found = set()
    for start, end in (without_order(text, term) for term in items(text, order)):
        end -= 2 if text.upper(end - 2) == "COLLATE" else 0
        place = known.meant(text, (start, end))
        found.add(None if place is None else place[0])
    return found.pop() if len(found) == 1 else None


def _join(text: Statement, core: Core, known: QueryNames, inner: list[int]) -> str:
    """The tables with their conditions, and the equalities that join them; empty: they are joined by none."""
    kinds = dict.fromkeys(inner, "")
    joined: list[tuple[Place, str, Place]] = []
    conditions = [core.where, *(reference.on for reference in core.references if not reference.join)]
    for condition in conditions:
        for term in joined_by_and(text, condition) if condition is not None else ():
            sides = _equality(text, term, known)
            own = _first_named(text, term, known) if sides is None else None
            if sides is not None:
                joined.append(sides)
            elif own is not None:
                kinds[own] = kinds.get(own, "") + kind_told(text, term, own, known)
    sides_told = [
        f"@{inner.index(a)}.{i}{sign}{inner.index(b)}.{k}" for (a, i), sign, (b, k) in joined if {a, b} <= {*inner}
    ]  # fmt: skip
    told = [f"|{table.id}{kinds[i]}" for i in inner if (table := known.tables[i]) is not None]
    return "".join(told + sides_told) if sides_told else ""


def _first_named(text: Statement, term: Range, known: QueryNames) -> int | None:
    """The table whose column a term begins with."""
    start = term[0]
    place = known.meant(text, (start, start + 3 if text.upper(start + 1) == "." else start + 1))
    return None if place is None else place[0]


def _equality(text: Statement, term: Range, known: QueryNames) -> tuple[Place, str, Place] | None:
    """Columns of two tables that a term compares, and "~" for IS."""
    start, end = term
    signs = [at for at in range(start, end) if text.uppers[at] in ("=", "==", "IS")]
    if len(signs) != 1:
        return None
    one, other = known.meant(text, (start, signs[0])), known.meant(text, (signs[0] + 1, end))
    if one is None or other is None or one[0] == other[0]:
        return None
    return one, "~" if text.uppers[signs[0]] == "IS" else "=", other


def _added(text: Statement, core: Core, term: str) -> Iterator[Edit]:
    if core.where is None:
        assert core.order is not None
        at = text.starts[core.order[0] - 2]
        yield Edit(at, at, f"WHERE {term} ")
        return
    start, end = text.starts[core.where[0]], text.ends[core.where[1] - 1]
    alternatives = split(text, stripped(text, core.where), "OR")
    several = alternatives is None or len(alternatives) > 1
    if several:
        yield Edit(start, start, "(")
    yield Edit(end, end, f"{')' if several else ''} AND {term}")


__all__ = ["rewrite"]
