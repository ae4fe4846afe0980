"""ORDER BY with a collation or with NULLs as SQLite never asks virtual tables for, though indexes give it.

SQLite tells a virtual table of an order only by plain columns, under their own collations, and with NULLs where they
are by default. So tables have hidden columns to sort by (engine/eval/declare.h), and where a query's text has such a
term, the column is put in its place:

    SELECT * FROM t ORDER BY name COLLATE NOCASE    ->    ORDER BY "t"."entitydb order 2 NOCASE"
    SELECT * FROM t ORDER BY due NULLS LAST         ->    ORDER BY "t"."entitydb order 3 NULLS"

The columns sort as the terms do, so the answer is the same whether an index is used or not. It is done for a query
without UNION, DISTINCT and GROUP BY, for tables that are not on the right side of a LEFT JOIN, since the columns of a
row that is not there are NULL, and where the name cannot mean a result instead.
"""

from __future__ import annotations

from .._catalog import COLLATIONS, Table
from ..sql.cores import Core
from ..sql.statement import LONG, ORDERS_OTHERWISE, Statement
from ..sql.terms import items, without_order
from ..sql.text import Edit, Range
from ..sql.tokens import quote
from .query_names import QueryNames, hidden_names
from .schemas import Schemas


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The columns to put in the place of terms."""
    if not statement.flags & ORDERS_OTHERWISE or len(statement.sql) >= LONG:
        return []
    hidden = hidden_names(statement, schemas)
    found: list[Edit] = []
    for core in statement.cores:
        if core.is_alone and core.order is not None and core.group is None:
            known = QueryNames.of(core, schemas, hidden)
            for term in items(statement, core.order):
                found += _term(statement, core, known, term)
    return found


def _term(text: Statement, core: Core, known: QueryNames, at: Range) -> list[Edit]:
    end = at[1]
    start, stop = without_order(text, at)
    nulls = text.upper(end - 1) if text.upper(end - 2) == "NULLS" else ""
    behind = end - 2 if nulls else end
    descends = text.upper(behind - 1) == "DESC"
    collation = text.upper(stop - 1) if text.upper(stop - 2) == "COLLATE" else ""
    name = (start, stop - 2) if collation else (start, stop)
    moved = nulls == ("FIRST" if descends else "LAST")
    if not moved and not collation:
        return []
    place = known.meant(text, name)
    if place is None or core.references[place[0]].join:
        return []
    if name[1] - name[0] == 1 and not (len(core.references) == 1 and _is_column_alone(text, core, name[0])):
        return []
    table, number = known.tables[place[0]], place[1]
    assert table is not None
    nulls_away = [Edit(text.starts[behind], text.ends[end - 1], "")] if moved else []
    if number == table.rowid_column:
        return nulls_away  # a row id is never NULL
    column = sort_column(table, number, collation, moved=moved)
    if column is None:
        return []
    put = f"{quote(known.aliases[place[0]])}.{quote(column)}"
    return [Edit(text.starts[start], text.ends[stop - 1], put), *nulls_away]


def _is_column_alone(text: Statement, core: Core, at: int) -> bool:
    """Whether no result has the bare name but the column itself: where the list has it, it is all of an item."""
    assert core.listed is not None
    wanted = text.name_at(at).lower()
    for start, end in items(text, core.listed):
        for i in range(start, end):
            if text.is_name(i) and text.name_at(i).lower() == wanted:
                whole = end - start == 1 or (end - start == 3 and i == start + 2 and text.upper(start + 1) == ".")
                if not whole:
                    return False
    return True


_ROOM = 1900  # columns that a table may have with these; else it has none (ORDER_ROOM in engine/eval/declare.h)


def _has_no_room(table: Table) -> bool:
    if len(table.columns) + 4 * sum(len(index.parts) for index in table.indexes) <= _ROOM:
        return False
    parts = {(part.column, part.collation) for index in table.indexes for part in index.parts}
    usable = [i for i, column in enumerate(table.columns) if not column.hidden and i != table.rowid_column]
    nulls = sum(any(column == i for column, _ in parts) for i in usable)
    collations = sum(column in usable and collation != table.columns[column].collation for column, collation in parts)
    return len(table.columns) + nulls + collations > _ROOM


def sort_column(table: Table, number: int, collation: str, *, moved: bool) -> str | None:
    """The hidden column that sorts as the column does, under a collation (empty: its own); moved: with NULLs at the
    other end. None: there is none, since no index would help."""
    column = table.columns[number]
    if (collation and collation not in COLLATIONS) or _has_no_room(table):
        return None
    wanted = COLLATIONS.index(collation) if collation else column.collation
    parts = [part for index in table.indexes for part in index.parts if part.column == number]
    if column.hidden or wanted not in (part.collation for part in parts):
        return None
    if moved:
        return f"entitydb order {number} NULLS" if wanted == column.collation else None
    return f"entitydb order {number} {COLLATIONS[wanted]}" if wanted != column.collation else None


__all__ = ["rewrite", "sort_column"]
