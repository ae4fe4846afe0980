"""RETURNING taken out of a statement, so that what is left is one that virtual tables can do.

    INSERT INTO t(a) VALUES (?) RETURNING id, a + ?

becomes `INSERT INTO t(a) VALUES (?)`, run with capture, and `SELECT id, a + ? FROM main.t AS t WHERE ...` over the rows
captured. Parameters are numbered across the whole statement, as SQLite does it; each part gets those it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from .. import _exceptions as ex
from ._sql import VARIABLE, Token, closing, find, quote

_CAPTURED = '"entitydb returned"'

# Words that would make another query of the list.
_NO_LIST = frozenset(
    ("FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "OVER", "INTO")
)
_AGGREGATES = frozenset((
    *("AVG", "COUNT", "GROUP_CONCAT", "STRING_AGG", "SUM", "TOTAL", "MEDIAN", "PERCENTILE"),
    *("JSON_GROUP_ARRAY", "JSON_GROUP_OBJECT", "JSONB_GROUP_ARRAY", "JSONB_GROUP_OBJECT"),
))  # fmt: skip


class Part(NamedTuple):
    """A piece of a statement, to be executed by itself."""

    sql: str  # its parameters as they were written
    numbered: str  # its parameters as ?1, ?2, ...
    uses: tuple[int, ...]  # which of the whole statement's parameters these are, from 0


class Returned(NamedTuple):
    """A statement with RETURNING in two parts."""

    change: Part
    query: Part
    total: int  # parameters of the whole statement
    names: tuple[str, ...]  # of its named parameters

    def bind(self, parameters: Any) -> tuple[str, Any, str, Any]:
        """Both parts with what to execute them with. Raises ProgrammingError when the parameters do not fit."""
        change, query = self.change, self.query
        if not query.uses:
            return change.sql, parameters, query.sql, ()
        if isinstance(parameters, Mapping):
            missing = next((name for name in self.names if name not in parameters), None)
            if missing is not None:
                raise ex.ProgrammingError(f"You did not supply a value for binding parameter :{missing}.")
            return change.sql, parameters, query.sql, parameters
        if not isinstance(parameters, Sequence):
            raise ex.ProgrammingError("parameters are of unsupported type")
        if len(parameters) != self.total:
            raise ex.ProgrammingError(
                "Incorrect number of bindings supplied. "
                f"The current statement uses {self.total}, and there are {len(parameters)} supplied."
            )
        return (
            change.numbered, [parameters[i] for i in change.uses],
            query.numbered, [parameters[i] for i in query.uses],
        )  # fmt: skip


def variables(items: list[Token]) -> tuple[dict[int, int], int]:
    """The number, from 0, of each parameter by its token's offset, and how many there are; as SQLite counts."""
    numbers: dict[int, int] = {}
    by_name: dict[str, int] = {}
    count = 0
    for token in items:
        if token.kind != VARIABLE:
            continue
        text = token.text
        if text == "?":
            number = count
        elif text[0] == "?":
            number = int(text[1:]) - 1
        else:
            number = by_name.setdefault(text, count)
        numbers[token.start] = number
        count = max(count, number + 1)
    return numbers, count


def part(sql: str, items: list[Token], numbers: dict[int, int], *, start: int, end: int) -> Part:
    """The text between two offsets."""
    uses: list[int] = []
    pieces = []
    at = start
    for token in items:
        if token.kind == VARIABLE and start <= token.start < end:
            number = numbers[token.start]
            if number not in uses:
                uses.append(number)
            pieces.append(f"{sql[at:token.start]}?{uses.index(number) + 1}")
            at = token.end
    written = sql[start:end]
    plain = all(t.text == "?" for t in items if t.kind == VARIABLE and start <= t.start < end)
    # Kept where it says the same: columns of a result are named by their text.
    return Part(written, written if plain else "".join(pieces) + sql[at:end], tuple(uses))


def _is_aggregate(items: list[Token], at: int) -> bool:
    name = items[at].upper
    if name in ("MIN", "MAX"):  # of one argument
        return find(items[: closing(items, at + 1)], ",", at + 2) < 0
    return name in _AGGREGATES


def _refused(items: list[Token]) -> str | None:
    """Why the list is no list of RETURNING, or None."""
    level = 0
    inner: list[int] = []  # levels of parentheses that hold a subquery
    for i, token in enumerate(items):
        upper = token.upper
        if upper == "(":
            level += 1
            if i + 1 < len(items) and items[i + 1].upper in ("SELECT", "VALUES", "WITH"):
                inner.append(level)
        elif upper == ")":
            if inner and inner[-1] == level:
                inner.pop()
            level -= 1
            if level < 0:
                return 'near ")": syntax error'
        elif inner:
            continue
        elif upper in _NO_LIST and (level == 0 or upper == "OVER"):
            before = items[i - 1].upper if i else ""
            if before != ".":
                return f'near "{token.text}": syntax error'
        elif i + 1 < len(items) and items[i + 1].upper == "(" and _is_aggregate(items, i):
            return f"misuse of aggregate function {upper}()"
    return None


def split_returning(sql: str, items: list[Token], at: int, table: str, alias: str) -> Returned:
    """The two parts; `at` is RETURNING's index among the tokens. Raises OperationalError for what is no list."""
    numbers, total = variables(items)
    listed = items[at + 1 :]
    while listed and listed[-1].upper == ";":
        listed.pop()
    if not listed:
        raise ex.OperationalError("incomplete input")
    refused = _refused(listed)
    if refused is not None:
        raise ex.OperationalError(refused)
    name = table
    if alias:
        pairs = pairwise(listed)
        if any(b.upper == "." and a.text.strip('"`[]').lower() == alias.lower() for a, b in pairs):
            name = alias
    change = part(sql, items, numbers, start=0, end=items[at].start)
    query = part(sql, items, numbers, start=listed[0].start, end=listed[-1].end)
    source = f" FROM main.{quote(table)} AS {quote(name)} WHERE {quote(name)}.{_CAPTURED} = 1"
    return Returned(
        change,
        Part("SELECT " + query.sql + source, "SELECT " + query.numbered + source, query.uses),
        total,
        tuple(token.text[1:] for token in items if token.kind == VARIABLE and token.text[0] != "?"),
    )
