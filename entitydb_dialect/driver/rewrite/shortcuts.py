"""Three queries that are asked in another way, because the engine knows the answer or an index has it.

A bare count(*) is told by the engine, which need not visit the rows:

    SELECT count(*) AS n FROM t
    SELECT entitydb_count(17, 't') AS "n"

min() of a column that an index has: SQLite takes the first entry of an index for max(), and for min() where no NULL can
stand before it. It does not tell virtual tables that it wants NULLs last, and so reads all rows. The same, as it is
understood:

    SELECT min(a) AS n FROM t WHERE b = ?
    SELECT +(SELECT a FROM t WHERE (b = ?) AND a IS NOT NULL ORDER BY a LIMIT 1) AS "n"

count(DISTINCT) of such a column: SQLite goes from each value to the next in an index of its own table. A virtual table
it asks for that where rows are to be DISTINCT, but not of an aggregate:

    SELECT count(DISTINCT a) AS n FROM t WHERE b = ?
    SELECT count(*) AS "n" FROM (SELECT DISTINCT a FROM t WHERE (b = ?) AND a IS NOT NULL)
"""

from __future__ import annotations

from typing import NamedTuple

from .._catalog import Table
from ..sql.statement import MAY_SHORTEN, READ, Statement
from ..sql.text import Edit, Range, Reader
from ..sql.tokens import BAD, NO_ALIAS, STRING, quote
from .schemas import Schemas

_ENDS_WHERE = frozenset(("GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", ",", ";"))


class Counted(NamedTuple):
    """`SELECT count(*) [AS label] FROM table [AS alias]` and nothing else."""

    schema: str | None
    table: str
    label: str  # the result column's name


class OfColumn(NamedTuple):
    """`SELECT min(column) [AS label] FROM table [AS alias] [WHERE condition]` and nothing else, or the same of
    `count(DISTINCT column)`."""

    function: str  # MIN or COUNT
    schema: str | None
    table: str
    column: str
    select: int  # the token SELECT
    reference: Range  # the tokens of the column
    label: str
    source: Range  # the tokens of the table and its alias
    condition: Range | None  # those behind WHERE


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What asks the query in the other way; nothing where it has another form, or where that would not pay."""
    found = shortcut(statement)
    if found is None:
        return []
    located = schemas.locate(found.schema, found.table)
    if located is None:
        return []
    if isinstance(found, OfColumn):
        return _edits(statement, found) if pays(found, located.table) else []
    literal = "'" + located.table.name.replace("'", "''") + "'"
    text = f"SELECT entitydb_count({located.table.id}, {literal}{located.counted}) AS {quote(found.label)}"
    return [Edit(0, len(statement.sql), text)]


def shortcut(statement: Statement) -> Counted | OfColumn | None:
    """The form that the statement has; None: another."""
    if not statement.flags & MAY_SHORTEN or statement.kind is not READ or statement.several:
        return None
    at = statement.verb_at
    explains = statement.verb == "EXPLAIN"
    if explains:
        reader = Reader(statement, at + 1)
        reader.take("QUERY", "PLAN")
        at = reader.at
    # WITH may give the table's name another meaning.
    if statement.upper(at) != "SELECT" or not (explains or all(word == ";" for word in statement.uppers[:at])):
        return None
    if statement.upper(at + 1) == "MIN" or statement.upper(at + 3) == "DISTINCT":
        return _of_column(statement, at)
    return _counted(statement, at) if statement.upper(at + 1) == "COUNT" and not explains else None


def _counted(statement: Statement, select: int) -> Counted | None:
    reader = Reader(statement, select + 1)
    if not reader.take("COUNT", "(", "*", ")"):
        return None
    label = statement.span((select + 1, reader.at))
    if reader.take("AS") or reader.peek() != "FROM":
        label = reader.name() or ""
    if not label or not reader.take("FROM"):
        return None
    schema, table = reader.qualified()
    aliased = reader.take("AS") or not (reader.is_at_end() or reader.peek() == ";")
    if aliased and (reader.peek() in NO_ALIAS or not reader.name()):
        return None
    reader.take(";")
    return Counted(schema, table, label) if table and reader.is_at_end() else None


def _behind_name(statement: Statement, at: int) -> int:
    """Behind a name, maybe qualified; `at` if there is none."""
    if not statement.is_name(at) or statement.kinds[at] == STRING:
        return at
    return at + 3 if statement.upper(at + 1) == "." and statement.is_name(at + 2) else at + 1


def _of_column(statement: Statement, select: int) -> OfColumn | None:
    end = len(statement)
    while end and statement.uppers[end - 1] == ";":
        end -= 1
    reader = Reader(statement, select + 1)
    function = statement.upper(reader.at)
    if not (reader.take("MIN", "(") or reader.take("COUNT", "(", "DISTINCT")):
        return None
    column = reader.at
    reader.at = _behind_name(statement, column)
    reference = (column, reader.at)
    if reader.at == column or not reader.take(")"):
        return None
    name = statement.name_at(reader.at - 2)
    qualifier = statement.name_at(column) if reader.at - 1 - column == 3 else None
    label = statement.span((select + 1, reader.at))
    if reader.take("AS") or reader.peek() != "FROM":
        named = reader.name()
        if named is None:
            return None
        label = named
    if not reader.take("FROM"):
        return None
    source = reader.at
    reader.at = _behind_name(statement, source)
    if reader.at == source:
        return None
    schema = statement.name_at(source) if reader.at - source == 3 else None
    table = alias = statement.name_at(reader.at - 1)
    aliased = reader.take("AS")
    if aliased or (reader.at < end and reader.peek() not in NO_ALIAS):
        if reader.at >= end or reader.peek() in NO_ALIAS:
            return None
        named = reader.name()
        if named is None:
            return None
        alias = named
    if qualifier is not None and qualifier.lower() != alias.lower():
        return None
    behind = reader.at
    condition = None
    if behind < end:
        condition = (behind + 1, end)
        if statement.upper(behind) != "WHERE" or behind + 1 == end or not _is_condition(statement, condition):
            return None
    return OfColumn(function, schema, table, name, select, reference, label, (source, behind), condition)


def _is_condition(statement: Statement, tokens: Range) -> bool:
    """Does WHERE reach to the end?"""
    at, end = tokens
    while at < end:
        upper = statement.uppers[at]
        if upper == "(":
            at = statement.closing(at)
            if at >= end:
                return False
        elif upper == ")" or upper in _ENDS_WHERE or statement.kinds[at] == BAD:
            return False
        at += 1
    return True


def pays(asked: OfColumn, table: Table) -> bool:
    """Is there an index in which the column may come in order? Row ids are all different."""
    names = [column.name.lower() for column in table.columns]
    if asked.column.lower() not in names:
        return False
    at = names.index(asked.column.lower())
    if at == table.rowid_column:
        return asked.function == "MIN"
    return any(part.column == at for index in table.indexes for part in index.parts)


def _edits(statement: Statement, asked: OfColumn) -> list[Edit]:
    starts, ends, end = statement.starts, statement.ends, len(statement.sql)
    reference, label = statement.span(asked.reference), quote(asked.label)
    if asked.function == "MIN":
        begin = f"SELECT +(SELECT {reference}"
        tail = f"{reference} IS NOT NULL ORDER BY {reference} LIMIT 1) AS {label}"
    else:
        begin = f"SELECT count(*) AS {label} FROM (SELECT DISTINCT {reference}"
        tail = f"{reference} IS NOT NULL)"
    head = Edit(starts[asked.select], starts[asked.source[0]], f"{begin} FROM ")
    behind = ends[asked.source[1] - 1]
    if asked.condition is None:
        return [head, Edit(behind, end, f" WHERE {tail}")]
    first, last = asked.condition
    return [head, Edit(behind, starts[first], " WHERE ("), Edit(ends[last - 1], end, f"\n) AND {tail}")]


__all__ = ["Counted", "OfColumn", "pays", "rewrite", "shortcut"]
