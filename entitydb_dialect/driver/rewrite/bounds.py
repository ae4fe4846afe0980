"""Whether a statement bounds a column by something of another affinity, which the engine is told.

Of `column < expression` SQLite tells a virtual table the value, but not the affinity of what it comes from. A column of
numbers on the right would make the texts of the column on the left numbers before they are compared, so that keys do
not decide. The words of a text show where there is nothing but constants, parameters and calls on one side: those have
no affinity (native/sqlstatement.c, SQL_BOUND_BY_COLUMN). Where two names are compared, it is the columns that decide:

    l_commitdate < l_receiptdate        two columns of one affinity, or of one row of a table: nothing to tell

One comparison that has to be told is told of the whole statement: no text has an upper bound then by what is found out
while it runs, as in `o_orderdate < date('now')`. So each is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sql.cores import Core
from ..sql.statement import EDB_BOUND_BY_COLUMN, LONG, Statement
from ..sql.tokens import CONSTANTS, QUERIES, QUOTED, WORD
from .query_names import Place, QueryNames, hidden_names
from .schemas import Schemas

_SIGNS = frozenset(("<", ">", "<=", ">=", "BETWEEN"))
# Bare words that are no names in expressions, whatever columns are called, nor functions before a parenthesis.
_NO_NAMES = frozenset((
    *("CAST", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "GLOB", "REGEXP", "MATCH", "ESCAPE", "IS", "WHEN", "THEN"),
    *("ELSE", "CASE", "END", "WHERE", "ON", "BY", "HAVING", "SELECT", "DISTINCT", "ALL", "EXISTS", "FILTER", "OVER"),
    *("FROM", "AS", "USING", "LIMIT", "OFFSET", "SET", "VALUES", "RETURNING", "COLLATE", "ISNULL", "NOTNULL", "NULL"),
))  # fmt: skip


def compares(statement: Statement, schemas: Schemas) -> int:
    """Statement.compares, without what the schema shows to be no matter."""
    told = statement.compares
    if told & EDB_BOUND_BY_COLUMN and len(statement.sql) < LONG and _are_all_alike(statement, schemas):
        told &= ~EDB_BOUND_BY_COLUMN
    return told


def _are_all_alike(text: Statement, schemas: Schemas) -> bool:
    left = {i for i, upper in enumerate(text.uppers) if upper in _SIGNS and not _is_plain(text, i)}
    hidden = hidden_names(text, schemas)
    for core in text.cores:
        known = QueryNames.of(core, schemas, hidden)
        left.difference_update(at for at in _own_tokens(text, core) if at in left and _is_alike(text, at, known))
    return not left


def _own_tokens(text: Statement, core: Core) -> Iterator[int]:
    """The tokens of a query's conditions, without those of queries in them."""
    conditions = [reference.on for reference in core.references] + [core.where]
    for at, end in (condition for condition in conditions if condition is not None):
        while at < end:
            if text.uppers[at] == "(" and text.upper(at + 1) in QUERIES:
                at = text.closing(at)
            else:
                yield at
            at += 1


# ---- one comparison ----


def _is_plain(text: Statement, at: int) -> bool:
    """Has one side no affinity, as the words show?"""
    if at and (text.kinds[at - 1] in CONSTANTS or _ends_call(text, at - 1)):
        return True
    return all(_starts_plain(text, start) for start in _right_sides(text, at))


def _starts_plain(text: Statement, at: int) -> bool:
    if text.upper(at) in ("-", "+"):
        at += 1
    elif _is_call(text, at):
        return True
    return at < len(text) and text.kinds[at] in CONSTANTS


def _ends_call(text: Statement, at: int) -> bool:
    return text.uppers[at] == ")" and text.partners[at] > 0 and _is_call(text, text.partners[at] - 1)


def _is_call(text: Statement, at: int) -> bool:
    return text.is_name(at) and text.upper(at + 1) == "(" and not _is_bare(text, at)


def _right_sides(text: Statement, at: int) -> list[int]:
    """Where what is compared with begins; a token behind the end: it cannot be followed."""
    if text.uppers[at] != "BETWEEN":
        return [at + 1]
    end = at + 1
    while end < len(text) and text.uppers[end] != "AND":
        end = text.closing(end) + 1 if text.uppers[end] == "(" else end + 1
    return [at + 1, end + 1]


def _is_alike(text: Statement, at: int, known: QueryNames) -> bool:
    """Are the sides columns of one affinity, or of one row?"""
    place = _name_before(text, at, known)
    return place is not None and all(
        _starts_plain(text, start) or _are_alike(known, place, _name_from(text, start, known))
        for start in _right_sides(text, at)
    )


def _are_alike(known: QueryNames, one: Place, other: Place | None) -> bool:
    return other is not None and (
        one[0] == other[0] or known.column(one).affinity == known.column(other).affinity
    )


def _name_before(text: Statement, at: int, known: QueryNames) -> Place | None:
    end = at - 1 if text.upper(at - 1) == "NOT" else at
    start = end - 3 if text.upper(end - 2) == "." else end - 1
    return known.meant(text, (start, end)) if _is_column_name(text, start, end) else None


def _name_from(text: Statement, at: int, known: QueryNames) -> Place | None:
    end = at + 3 if text.upper(at + 1) == "." else at + 1
    return known.meant(text, (at, end)) if _is_column_name(text, at, end) else None


def _is_column_name(text: Statement, start: int, end: int) -> bool:
    """Can [alias.]name be a column here? Not a function, a collation, or a word such as END, a name elsewhere."""
    if not 0 <= start < end <= len(text) or text.kinds[start] not in (WORD, QUOTED):
        return False
    alone = end - start == 1
    return text.upper(end) != "(" and not (alone and (_is_bare(text, start) or text.upper(start - 1) == "COLLATE"))


def _is_bare(text: Statement, at: int) -> bool:
    return text.kinds[at] == WORD and text.uppers[at] in _NO_NAMES


__all__ = ["compares"]
