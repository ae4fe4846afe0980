"""The bound that a comparison of row values sets to their first column, where it is a literal.

Of `(a, b) >= (1, 38)` SQLite tells a virtual table that a is bounded, and not by what, so that the planner does not
know how many rows are left. The bound follows from the comparison, and is added:

    SELECT * FROM t WHERE (a, b) > (1, 38)
    SELECT * FROM t WHERE (a, b) > (1, 38) AND a >= 1

Row values are compared value by value, each pair as it is compared by itself. Where a is greater or less than 1, the
first pair decides, and the term says the same. Where a equals 1, the term is true. Where a is NULL, both are NULL. So
no answer depends on the term. Only comparisons that AND joins in WHERE or ON are looked at, since others are no bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..sql.cores import Core
from ..sql.statement import BOUNDS_ROW, LONG, Statement
from ..sql.terms import items, joined_by_and, top_level
from ..sql.text import Edit, Range
from ..sql.tokens import CONSTANTS, NUMBER, VARIABLE
from .query_names import QueryNames, hidden_names
from .schemas import Schemas

_BOUNDS = {">": ">=", ">=": ">=", "<": "<=", "<=": "<="}


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """The bounds to add."""
    if not statement.flags & BOUNDS_ROW or len(statement.sql) >= LONG:
        return []
    hidden = hidden_names(statement, schemas)
    return [
        edit for core in statement.cores
        for edit in _bounds(statement, core, QueryNames.of(core, schemas, hidden))
    ]  # fmt: skip


def _bounds(text: Statement, core: Core, known: QueryNames) -> Iterator[Edit]:
    for condition in (core.where, *(reference.on for reference in core.references)):
        if condition is None:
            continue
        for start, end in joined_by_and(text, condition):
            sides = _sides(text, (start, end))
            if sides is not None and known.meant(text, sides[0]) is not None:
                sign = _BOUNDS[text.uppers[text.closing(start) + 1]]
                term = f"{text.span(sides[0])} {sign} {text.span(sides[1])}"
                yield Edit(text.ends[end - 1], text.ends[end - 1], f" AND {term}")


def _sides(text: Statement, term: Range) -> tuple[Range, Range] | None:
    """The first of the values on both sides of `(...) < (literal, ...)`; None: it has another form."""
    start, end = term
    places = top_level(text, term)
    if len(places) != 3 or text.upper(start) != "(" or text.upper(places[2]) != "(":
        return None
    if text.uppers[places[1]] not in _BOUNDS:
        return None
    left = items(text, (start + 1, text.closing(start)))
    right = items(text, (places[2] + 1, end - 1))
    if len(left) != len(right) or len(left) < 2 or not _is_literal(text, right[0]):
        return None
    return left[0], right[0]


def _is_literal(text: Statement, at: Range) -> bool:
    start, end = at
    if end - start == 2 and text.upper(start) == "-":
        return text.kinds[start + 1] == NUMBER
    return end - start == 1 and text.kinds[start] in CONSTANTS and text.kinds[start] != VARIABLE


__all__ = ["rewrite"]
