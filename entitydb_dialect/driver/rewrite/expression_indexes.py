"""Indexes on expressions, used by queries.

Each indexed expression is a hidden column of its table, computed whenever it is read, and the index is one over that
column. SQLite tells the engine of conditions on columns only. So where a query's text has the expression, the column is
put in its place:

    SELECT * FROM t WHERE lower(name) = ? ORDER BY lower(name)
    SELECT * FROM t WHERE "t"."entitydb expression 3" = ? ORDER BY "t"."entitydb expression 3"

That is done where the answer cannot change by it, and else not:

- in WHERE and ON (of an inner join, or of the join that brings in the table), where the expression is all of one side
  of a comparison, IS, IN or BETWEEN and the other side has neither affinity nor collation: literals, parameters, and
  calls of functions over them. (A column has precedence over an expression there, and its affinity counts otherwise.)
- in ORDER BY and GROUP BY of a query without UNION and DISTINCT, for a table that is not the right side of a LEFT JOIN,
  where the expression of a row that is not there need not be NULL
- not for expressions with functions that the connection has registered anew, LIKE or GLOB, which mean something else to
  the query than to the index, nor for those that have a collation from within
- not in views, whose text is SQLite's

Columns of results keep their names. Expressions are compared as sql/terms.py compares terms.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..sql.cores import Core
from ..sql.statement import Statement
from ..sql.terms import Names, Words, items, split, stripped, top_level, without_order, words
from ..sql.text import Edit, Range
from ..sql.tokens import CONSTANTS, LIST, NUMBER, OPERATOR, STRING, WORD, quote
from .indexes import Indexes

_COMPARISONS = frozenset(("=", "==", "<>", "!=", "<", ">", "<=", ">="))
# What another condition than a comparison is made of, and what has a meaning of its own behind IS.
_OTHERWISE = frozenset(("LIKE", "GLOB", "REGEXP", "MATCH", "ESCAPE", "DISTINCT", "EXISTS"))
_NO_CALLS = frozenset(("CAST", "SELECT", "VALUES", "WITH", "EXISTS", "NOT", "IN", "AND", "OR", "RAISE"))
_AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG", "TOTAL", "GROUP_CONCAT", "STRING_AGG"))
_VALUES = CONSTANTS | {LIST}


def rewrite(statement: Statement, indexes: Indexes) -> list[Edit]:
    """The hidden columns to put in the place of expressions."""
    put: dict[Range, str] = {}
    if indexes.expressions:
        for core in statement.cores:
            _substitute(statement, core, indexes, put)
    return [Edit(statement.starts[start], statement.ends[end - 1], text) for (start, end), text in put.items()]


def _substitute(statement: Statement, core: Core, indexes: Indexes, put: dict[Range, str]) -> None:
    """Of each reference to a table with such indexes, by an alias that no other has. put: gets columns by tokens."""
    references = core.references
    aliases = [r.alias.lower() for r in references]
    inner = [r.on for r in references if r.on is not None and not r.join]
    for reference in references:
        known = indexes.expressions.get(reference.table) if reference.schema == indexes.home else None
        if known is None or aliases.count(reference.alias.lower()) > 1:
            continue
        table, columns = known
        names = Names.of(table, reference.alias.lower(), bare=len(references) == 1, rowid=False)
        substitution = _Substitution(statement, names, columns, put)
        for condition in [reference.on] if reference.join else [*inner, core.where]:
            if condition is not None and condition[0] < condition[1]:
                substitution.condition(condition)
        if core.is_alone and not reference.join:
            substitution.order(core)


class _Substitution:
    """One reference of a core, and what is to be put in the place of which tokens for it."""

    def __init__(self, statement: Statement, names: Names, columns: Mapping[Words, str], put: dict[Range, str]) -> None:
        self.text = statement
        self.names = names
        self.columns = columns
        self.put = put

    def expression(self, at: Range) -> tuple[Range, str] | None:
        """The tokens of an indexed expression, but for COLLATE behind it, and its column; None: it is none."""
        start, end = at
        if end - start > 2 and self.text.uppers[end - 2] == "COLLATE":
            end -= 2
        found = words(self.text, (start, end), self.names) if start < end else None
        name = self.columns.get(found) if found is not None else None
        return None if name is None else ((start, end), f"{quote(self.names.qualifier)}.{quote(name)}")

    # ---- WHERE and ON ----

    def condition(self, at: Range) -> None:
        text = self.text
        at = stripped(text, at)
        for word in ("OR", "AND"):
            parts = split(text, at, word) or ()
            if len(parts) > 1:
                for part in parts:
                    self.condition(part)
                return
        if text.upper(at[0]) == "NOT":
            if at[1] - at[0] > 1:
                self.condition((at[0] + 1, at[1]))
            return
        for mine, other in self.sides(at):
            found = self.expression(stripped(text, mine))
            if found is not None and (other is None or self.is_plain(other)):
                self.put[found[0]] = found[1]
                return

    def sides(self, at: Range) -> list[tuple[Range, Range | None]]:
        """What is compared with what, each way round that may be; nothing: it is no comparison."""
        text = self.text
        start, end = at
        top = [i for i in top_level(text, at) if text.kinds[i] != STRING]
        signs = [i for i in top if text.uppers[i] in _COMPARISONS]
        present = {text.uppers[i]: i for i in top if text.kinds[i] == WORD}
        verbs = [word for word in ("IS", "IN", "BETWEEN", "ISNULL", "NOTNULL") if word in present]
        if len(signs) + len(verbs) != 1 or any(word in present for word in _OTHERWISE):
            if signs or verbs or text.upper(end - 2) != "NOT" or text.upper(end - 1) != "NULL":
                return []
            return [((start, end - 2), None)]
        if signs:
            left, right = (start, signs[0]), (signs[0] + 1, end)
            return [(left, right), (right, left)]
        verb = verbs[0]
        middle = present[verb]
        before = middle - 1 if verb in ("IN", "BETWEEN") and text.upper(middle - 1) == "NOT" else middle
        behind = middle + 1
        if verb in ("ISNULL", "NOTNULL"):
            return [((start, before), None)] if behind == end else []
        if verb == "IS" and text.upper(behind) == "NOT":
            behind += 1
        if verb == "IN" and (text.upper(behind) != "(" or text.closing(behind) != end - 1):
            return []
        if verb == "BETWEEN":
            limits = [i for i in top if text.uppers[i] == "AND" and i > behind]
            if len(limits) != 1 or not self.is_plain((behind, limits[0])):
                return []
            behind = limits[0] + 1
        return [((start, before), (behind, end))]

    def is_plain(self, at: Range) -> bool:
        """Has it neither affinity nor collation, and no subquery: literals, parameters and functions of them?"""
        text = self.text
        for i in range(*at):
            kind, upper = text.kinds[i], text.uppers[i]
            if kind in _VALUES or (kind == OPERATOR and upper != "."):
                continue
            called = kind == WORD and text.upper(i + 1) == "(" and upper not in _NO_CALLS
            if not called and upper != "NULL":
                return False
        return at[0] < at[1]

    # ---- ORDER BY and GROUP BY ----

    def order(self, core: Core) -> None:
        if core.group is not None:
            self.group(core, core.group)
        elif core.order is not None:
            self.put.update(self.terms(core.order))

    def terms(self, at: Range) -> dict[Range, str]:
        found = [self.expression(without_order(self.text, item)) for item in items(self.text, at)]
        return dict(pair for pair in found if pair is not None)

    def group(self, core: Core, grouped: Range) -> None:
        """GROUP BY: then results and ORDER BY have to mean the same column, or none of the group's."""
        assert core.listed is not None
        put = self.terms(grouped)
        if not put:
            return
        for item in items(self.text, core.listed):
            start, end = item
            aliased = end - start > 2 and self.text.upper(end - 2) == "AS"
            result = (start, end - 2) if aliased else item
            found = self.expression(result)
            if found is not None and found[0] == result:
                put[result] = found[1] if aliased else f"{found[1]} AS {quote(self.text.span(result))}"
            elif not self.is_independent(result):
                return
        for item in items(self.text, core.order) if core.order is not None else ():
            term = without_order(self.text, item)
            found = self.expression(term)
            if found is not None:
                put[found[0]] = found[1]
            elif not self.is_independent(term):
                return
        self.put.update(put)

    def is_independent(self, at: Range) -> bool:
        """A column, a number, or an aggregate of whatever it may be."""
        text = self.text
        start, end = at
        if end - start == 1:
            return text.kinds[start] == NUMBER or text.is_name(start)
        if end - start == 3 and text.upper(start + 1) == ".":
            return True
        call = end - start > 2 and text.upper(start) in _AGGREGATES and text.upper(start + 1) == "("
        return call and text.closing(start + 1) == end - 1


__all__ = ["rewrite"]
