"""UPDATE ... FROM, so that a row is updated once.

Several rows of FROM may match one row of the table. SQLite keeps the last match of each row and updates in the order of
row ids; of a virtual table it makes an update for every match. So the matches are collected in a subquery:

    UPDATE t AS x SET a = e, b = f FROM r, s WHERE w

becomes

    UPDATE t AS x SET a = m.a1, b = m.a2
    FROM (SELECT id, a1, a2, max(nth)
          FROM (SELECT x.rowid AS id, (e) AS a1, (f) AS a2, row_number() OVER () AS nth FROM t AS x, r, s WHERE w)
          GROUP BY id) AS m
    WHERE x.rowid = m.id

with longer names. row_number() counts rows as the join gives them, and beside max() SQLite takes the other columns from
the row that has the maximum. Everything stands in the order in which it was written, so parameters keep their numbers.
"""

from __future__ import annotations

from typing import NamedTuple

from ... import _exceptions as ex
from .._catalog import rowid_name
from ..sql.statement import UPDATES_FROM, Statement
from ..sql.text import Edit, Range, edited
from ..sql.tokens import LIST, OPERATOR, QUERIES, VARIABLE, parameters_of, quote
from .schemas import Schemas

_MATCHES = '"entitydb matches"'
_INCOMPLETE = frozenset(("FROM", "WHERE", "ON", "AND", "OR", "NOT"))  # something has to follow: SQLite says so
_ID, _NTH = '"entitydb id"', '"entitydb nth"'


class _Assignment(NamedTuple):
    columns: list[str]
    value: Range  # tokens of its expression


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What makes an UPDATE with FROM one that updates each row once."""
    if not statement.flags & UPDATES_FROM or statement.set_at < 0:
        return []
    located = schemas.locate(statement.schema, statement.table)
    if located is None:
        return []
    rowid, parts = rowid_name(column.name for column in located.table.columns), _parts(statement)
    if rowid is None or parts is None:
        return []
    try:
        return _edits(statement, located.schema, *parts, f"{_name(statement)}.{rowid}")
    except ex.OperationalError:  # a parameter's number, which SQLite refuses
        return []


def _name(statement: Statement) -> str:
    return quote(statement.alias or statement.table)


# ---- reading ----


def _parts(text: Statement) -> tuple[list[_Assignment], int, int] | None:
    """The assignments, the token FROM, and the one behind the clauses; None: no FROM, or something is missing."""
    assignments: list[_Assignment] = []
    at = text.set_at + 1
    while True:
        equals = at
        if text.upper(at) == "(":
            equals = text.closing(at) + 1
            columns = _listed(text, at + 1, equals - 1)
        elif text.is_name(at):
            columns = [text.name_at(at)]
            equals = at + 1
        else:
            return None
        behind = _end_of_value(text, equals + 1)
        if not columns or text.upper(equals) != "=" or behind <= equals + 1:
            return None
        assignments.append(_Assignment(columns, (equals + 1, behind)))
        if text.upper(behind) != ",":
            break
        at = behind + 1
    if text.upper(behind) != "FROM":
        return None
    end = text.returning_at if text.returning_at >= 0 else len(text)
    while end > behind and text.upper(end - 1) == ";":
        end -= 1
    if text.upper(end - 1) in _INCOMPLETE or (text.kinds[end - 1] == OPERATOR and text.upper(end - 1) != ")"):
        return None
    return assignments, behind, end


def _listed(text: Statement, first: int, end: int) -> list[str]:
    """Names with commas between; none if it is something else, which SQLite refuses."""
    between = [text.upper(i) for i in range(first + 1, end, 2)]
    if end > len(text) or any(sign != "," for sign in between) or len(between) * 2 + 1 != end - first:
        return []
    return [text.name_at(i) for i in range(first, end, 2)] if all(map(text.is_name, range(first, end, 2))) else []


def _end_of_value(text: Statement, at: int) -> int:
    """The token behind an expression: a comma, FROM, or what else ends the list."""
    while at < len(text):
        upper = text.uppers[at]
        if upper == "(":
            at = text.closing(at)
        elif upper in (",", "WHERE", "RETURNING", ";") or (upper == "FROM" and text.upper(at - 1) != "DISTINCT"):
            return at
        at += 1
    return at


# ---- writing ----


def _edits(
    statement: Statement, schema: str, assignments: list[_Assignment], from_at: int, end: int, rowid: str
) -> list[Edit]:
    """schema: quoted. Raises OperationalError for a parameter's number that SQLite does not take."""
    starts, ends = statement.starts, statement.ends
    texts: list[tuple[int, str]] = []  # what is put in the place of each assignment, and where that ends
    targets: list[str] = []
    names: list[str] = []
    for columns, value in assignments:
        values = _values(statement, columns, value)
        if values is None:
            return []
        of = [f'"entitydb {len(names) + i}"' for i in range(len(columns))]
        targets += [f"{quote(column)} = {_MATCHES}.{name}" for column, name in zip(columns, of, strict=True)]
        names += of
        texts.append((ends[value[1] - 1], ", ".join(_named(values, of))))
    head = f"SET {', '.join(targets)} FROM (SELECT {_ID}, {', '.join(names)}, max({_NTH}) FROM (SELECT {rowid} AS {_ID}"
    edits = []
    at = starts[statement.set_at]
    for behind, text in texts:
        edits.append(Edit(at, behind, f"{head}, {text}"))
        at, head = behind, ""
    table = f"{schema}.{quote(statement.table)} AS {_name(statement)}"
    edits.append(Edit(at, ends[from_at], f", row_number() OVER () AS {_NTH} FROM {table},"))
    close = f"\n) GROUP BY {_ID}) AS {_MATCHES} WHERE {rowid} = {_MATCHES}.{_ID} "
    edits.append(Edit(ends[end - 1], ends[end - 1], close))
    return edits


def _named(values: list[str] | str, names: list[str]) -> list[str]:
    if isinstance(values, str):  # one subquery for all of them
        of = ", ".join(names)
        return [f"(WITH {_MATCHES}({of}) AS {values} SELECT {name} FROM {_MATCHES}) AS {name}" for name in names]
    return [f"({value}\n) AS {name}" for value, name in zip(values, names, strict=True)]


def _values(statement: Statement, columns: list[str], value: Range) -> list[str] | str | None:
    """The expression of each column, or the subquery that gives all of them; None: SQLite will refuse."""
    first, behind = value
    if len(columns) == 1:
        return [statement.span(value)]
    if statement.upper(first) != "(" or statement.closing(first) != behind - 1:
        return None
    if statement.upper(first + 1) in QUERIES:
        return _numbered(statement, value)
    found = []
    at = first + 1
    while at < behind:
        until = min(_end_of_value(statement, at), behind - 1)
        if until == at or (until < behind - 1 and statement.upper(until) != ","):
            return None
        found.append(statement.span((at, until)))
        at = until + 1
    return found if len(found) == len(columns) else None


def _numbered(statement: Statement, tokens: Range) -> str:
    """A piece of the statement with bare parameters as ?1, ?2, ...: so it can stand there twice."""
    numbers = statement.parameters[0]
    edits = []
    for at in range(*tokens):
        kind, start = statement.kinds[at], statement.starts[at]
        if kind == LIST or (kind == VARIABLE and statement.written(at) == "?"):
            for place in parameters_of(start, statement.written(at)):
                edits.append(Edit(place, place + 1, f"?{numbers[place] + 1}"))
    begin, behind = statement.starts[tokens[0]], statement.ends[tokens[1] - 1]
    return edited(statement.sql[:behind], edits)[begin:]


__all__ = ["rewrite"]
