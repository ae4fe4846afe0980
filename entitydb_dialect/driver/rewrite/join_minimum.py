"""min() over a join, asked for the first row of an order.

Of its own tables SQLite takes the first row of a join in the order of an index for min(), where the index has the
column and reading in its order is not dearer. It wants NULLs last for that, which it never asks of a virtual table, and
does not tell that one row is enough, and so it reads all rows. The same, as it is understood:

    SELECT min(a.x) AS n FROM a, b WHERE a.b = b.id
    SELECT +(SELECT a.x FROM a, b WHERE (a.b = b.id) AND a.x IS NOT NULL ORDER BY a.x LIMIT 1) AS "n"

SQLite still compares this order with others. Where few rows are joined, it joins them and looks for the least.
join_limits.py tells the engine that one row is wanted: of the query behind the sign `+` no more can be.
shortcuts.py has min() over one table.
"""

from __future__ import annotations

from ..sql.cores import Core
from ..sql.statement import LONG, MAY_SHORTEN, READ, Statement
from ..sql.terms import top_level
from ..sql.text import Edit, Range
from ..sql.tokens import quote
from .query_names import Place, QueryNames, hidden_names
from .schemas import Schemas

_BEFORE = frozenset(("EXPLAIN", "QUERY", "PLAN", ";"))


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What asks the query in the other way; nothing where it has another form, or where no index has the column."""
    if not statement.flags & MAY_SHORTEN or statement.kind is not READ or len(statement.sql) >= LONG:
        return []
    core = _whole(statement)
    column = _minimum(statement, core) if core is not None else None
    if core is None or column is None:
        return []
    known = QueryNames.of(core, schemas, hidden_names(statement, schemas))
    place = known.meant(statement, column)
    return _edits(statement, core, column) if place is not None and _in_order(known, place) else []


def _whole(text: Statement) -> Core | None:
    """The query that is all of the statement, if it is a join and has nothing but a WHERE."""
    core = next((core for core in text.cores if core.listed is not None), None)
    if core is None or core.listed is None or len(core.references) < 2 or not core.is_alone or core.group or core.order:
        return None
    before = text.uppers[: core.listed[0] - 1]
    behind = {text.uppers[at] for at in top_level(text, (core.listed[1], len(text)))}
    return core if _BEFORE.issuperset(before) and not behind & {"LIMIT", "WINDOW"} else None


def _minimum(text: Statement, core: Core) -> Range | None:
    """The column's tokens in `min(column) [[AS] label]`."""
    assert core.listed is not None
    start, end = core.listed
    if text.upper(start) != "MIN" or text.upper(start + 1) != "(":
        return None
    closing = text.closing(start + 1)
    labelled = end - closing - 1
    if labelled > 2 or (labelled == 2 and text.upper(closing + 1) != "AS"):
        return None
    return (start + 2, closing) if not labelled or text.is_name(end - 1) else None


def _in_order(known: QueryNames, place: Place) -> bool:
    """Is there an index in which the column may come in order?"""
    table = known.tables[place[0]]
    assert table is not None
    return place[1] == table.rowid_column or any(
        part.column == place[1] for index in table.indexes for part in index.parts
    )


def _edits(text: Statement, core: Core, column: Range) -> list[Edit]:
    assert core.listed is not None
    start, end = core.listed
    label = text.name_at(end - 1) if text.upper(end - 1) != ")" else text.span((start, end))
    name = text.span(column)
    head = Edit(text.starts[start - 1], text.ends[end - 1], f"SELECT +(SELECT {name}")
    tail = f"{name} IS NOT NULL ORDER BY {name} LIMIT 1) AS {quote(label)}"
    if core.where is not None:
        first, last = text.starts[core.where[0]], text.ends[core.where[1] - 1]
        return [head, Edit(first, first, "("), Edit(last, last, f"\n) AND {tail}")]
    last = len(text)
    while text.upper(last - 1) == ";":
        last -= 1
    return [head, Edit(text.ends[last - 1], text.ends[last - 1], f"\nWHERE {tail}")]


__all__ = ["rewrite"]
