"""An UPDATE that may change many rows, as one walk that changes the row it stands on.

SQLite runs an UPDATE of a virtual table in two passes: all columns of all rows that it finds go into a table in memory,
and from there to the engine. The same, as it runs in one (engine/vtab/vtab_set.c):

    UPDATE t SET b = b + 1, a = ? WHERE c < 5
    INSERT INTO entitydb_set(stands, columns, v0, v1) SELECT "entitydb returned", 515, (b + 1), (?) FROM t WHERE (c < 5)

A statement does not see what it writes itself, so that it does not matter when a row is changed. Only what is the same
in both is taken: no function is called, since an aggregate would be one row, and a function of the program's may look
at the table; and each piece stands in parentheses, so that it is as wrong there as it was. Where an equality may lead
to one row, SQLite has the row before it changes it, and nothing is to be gained.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._catalog import Table
from ..sql.statement import LONG, SETS_ROWS, Statement
from ..sql.text import Range
from ..sql.tokens import BAD, OPERATOR
from .schemas import Schemas

_MOST = 7  # columns; SET_MOST in engine/vtab/vtab_set.h
_MOST_COLUMN = 254
# Bare words before a parenthesis that call no function.
_NO_CALLS = frozenset((
    *("AND", "OR", "NOT", "IN", "IS", "BETWEEN", "LIKE", "GLOB", "ESCAPE", "CASE", "WHEN", "THEN", "ELSE", "CAST"),
    *("WHERE", "ISNULL", "NOTNULL", "NULL", "DISTINCT"),
))  # fmt: skip
# Operators that are functions of the program's, and clauses that an UPDATE of SQLite's has not.
_OTHERS = frozenset(("REGEXP", "MATCH", "ORDER", "LIMIT", "OVER", "FILTER", "RAISE", "SELECT", "VALUES", "WITH"))


def one_pass(statement: Statement, schemas: Schemas) -> str | None:
    """The text that SQLite is given instead; None: there is none."""
    if not statement.flags & SETS_ROWS or statement.verb_at or len(statement.sql) >= LONG:
        return None
    located = schemas.locate(statement.schema, statement.table)
    if located is None or located.counted or not _is_plain(statement):
        return None
    parts = _parts(statement)
    if parts is None:
        return None
    assigned, condition = parts
    columns = _positions(located.table, [name for name, _ in assigned])
    if columns is None:
        return None
    names = ", ".join(f"v{i}" for i in range(len(assigned)))
    values = ", ".join(f"({statement.span(value)}\n)" for _, value in assigned)
    where = "" if condition is None else f" WHERE ({statement.span(condition)}\n)"
    source = statement.span((1, statement.set_at))
    return (
        f'INSERT INTO entitydb_set(stands, columns, {names}) SELECT "entitydb returned", {columns}, {values}'
        f" FROM {source}{where}"
    )


def _is_plain(text: Statement) -> bool:
    """Is nothing called, and every parenthesis in its pair? Is only a name, maybe with an alias, before SET?"""
    behind_name = 3 if text.schema is not None else 1
    if text.set_at - 1 not in (behind_name, behind_name + 2 if text.alias else -1):
        return False
    for at, upper in enumerate(text.uppers):
        if text.kinds[at] == BAD or upper in _OTHERS:
            return False
        if upper in ("(", ")") and text.partners[at] < 0:
            return False
        called = upper == "(" and text.kinds[at - 1] != OPERATOR and text.upper(at - 1) not in _NO_CALLS
        if called and text.is_name(at - 1):
            return False
    return True


def _parts(text: Statement) -> tuple[list[tuple[str, Range]], Range | None] | None:
    """The columns with the tokens of their values, and the tokens behind WHERE; None: it has another form."""
    end = len(text)
    while text.upper(end - 1) == ";":
        end -= 1
    where = next((at for at in _outside(text, text.set_at + 1, end) if text.upper(at) == "WHERE"), end)
    assigned = []
    for start, behind in _listed(text, text.set_at + 1, where):
        if not text.is_name(start) or text.upper(start + 1) != "=" or behind - start < 3:
            return None
        assigned.append((text.name_at(start), (start + 2, behind)))
    if where == end:
        return assigned, None
    condition = (where + 1, end)
    if where + 1 >= end or any(text.upper(at) in (";", ",") for at in _outside(text, *condition)):
        return None
    return assigned, condition


def _outside(text: Statement, start: int, end: int) -> Iterator[int]:
    """The tokens that stand in no parentheses."""
    while start < end:
        yield start
        start = text.closing(start) + 1 if text.upper(start) == "(" else start + 1


def _listed(text: Statement, start: int, end: int) -> Iterator[Range]:
    for at in _outside(text, start, end):
        if text.upper(at) == ",":
            yield start, at
            start = at + 1
    yield start, end


def _positions(table: Table, names: list[str]) -> int | None:
    """The columns as entitydb_set wants them; None: one is not for it."""
    positions = {column.name.lower(): i for i, column in enumerate(table.visible)}
    found = [positions.get(name.lower(), -1) for name in names]
    if len(found) > _MOST or len(set(found)) < len(found):
        return None
    for at in found:
        if not 0 <= at < _MOST_COLUMN or at == table.rowid_column or table.columns[at].expression is not None:
            return None
    return sum((at + 1) << 8 * i for i, at in enumerate(found))


__all__ = ["one_pass"]
