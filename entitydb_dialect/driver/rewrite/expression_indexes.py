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

Columns of results keep their names. Expressions are compared as partial_indexes.py compares terms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .._catalog import Table
from ..sql.tokens import BLOB, NUMBER, OPERATOR, STRING, VARIABLE, WORD, Token, closing, is_name, quote, tokens
from .partial_indexes import (
    _CACHED,
    _LONG,
    Hints,
    Words,
    _Names,
    _names_of,
    _Reference,
    _renames_truth,
    _shadowed,
    _split,
    _Statement,
    _words,
)

_Known = Mapping[str, tuple[Table, Mapping[Words, str]]]  # by lower-case name: hidden columns by their expressions
_Range = tuple[int, int]  # of tokens, the end excluded

_COMPARISONS = frozenset(("=", "==", "<>", "!=", "<", ">", "<=", ">="))
# What another condition than a comparison is made of, and what has a meaning of its own behind IS.
_OTHERWISE = frozenset(("LIKE", "GLOB", "REGEXP", "MATCH", "ESCAPE", "DISTINCT", "EXISTS"))
_NO_CALLS = frozenset(("CAST", "SELECT", "VALUES", "WITH", "EXISTS", "NOT", "IN", "AND", "OR", "RAISE"))
_DEPENDS = frozenset(("LIKE", "GLOB", "REGEXP", "MATCH", "LIKELY", "UNLIKELY", "LIKELIHOOD", "COLLATE"))
_COMPOUND = frozenset(("UNION", "EXCEPT", "INTERSECT", "ALL"))
_AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG", "TOTAL", "GROUP_CONCAT", "STRING_AGG"))


def expression_words(expression: str, table: Table) -> Words | None:
    """An expression over a table's columns in its one form; None: it has none."""
    return _words(tokens(expression), _names_of(table, table.name.lower(), rowid=False))


class _Substitution(_Statement):
    """The tokens of a statement, and what is to be put in the place of which."""

    def __init__(self, sql: str, known: _Known, home: str = "main") -> None:
        super().__init__(sql, {}, home)
        self.expressions = known
        self.known = {name: (table, []) for name, (table, _) in known.items()}
        self.put: dict[_Range, str] = {}

    # ---- pieces of conditions ----

    def parts(self, at: _Range, word: str) -> list[_Range]:
        """Split at a word that is outside of parentheses; [] when it cannot be followed."""
        found = _split(self.items[at[0] : at[1]], word)
        if found is None:
            return []
        ranges, start = [], at[0]
        for part in found:
            ranges.append((start, start + len(part)))
            start += len(part) + 1
        return ranges

    def stripped(self, at: _Range) -> _Range:
        start, end = at
        while end - start > 2 and self.upper(start) == "(" and closing(self.items, start) == end - 1:
            start, end = start + 1, end - 1
        return start, end

    def top(self, at: _Range) -> list[int]:
        """The tokens that are in no parentheses and in no CASE."""
        found, i = [], at[0]
        while i < at[1]:
            found.append(i)
            if self.upper(i) == "(":
                i = closing(self.items, i)
            elif self.upper(i) == "CASE":
                depth = 1
                while depth and i + 1 < at[1]:
                    i += 1
                    depth += (self.upper(i) == "CASE") - (self.upper(i) == "END")
            i += 1
        return found

    def is_plain(self, at: _Range) -> bool:
        """Has it neither affinity nor collation, and no subquery: literals, parameters and functions of them?"""
        for i in range(*at):
            token = self.items[i]
            if token.kind in (NUMBER, STRING, BLOB, VARIABLE):
                continue
            if token.kind == OPERATOR and token.text != ".":
                continue
            called = token.kind == WORD and self.upper(i + 1) == "(" and token.upper not in _NO_CALLS
            if not called and token.upper != "NULL":
                return False
        return at[0] < at[1]

    def expression(self, at: _Range, names: _Names, columns: Mapping[Words, str]) -> tuple[_Range, str] | None:
        """The tokens of an indexed expression, but for COLLATE behind it, and its column; None: it is none."""
        start, end = at
        if end - start > 2 and self.upper(end - 2) == "COLLATE":
            end -= 2
        words = _words(self.items[start:end], names) if start < end else None
        name = columns.get(words) if words is not None else None
        return None if name is None else ((start, end), f"{quote(names.qualifier)}.{quote(name)}")

    # ---- WHERE and ON ----

    def condition(self, at: _Range, names: _Names, columns: Mapping[Words, str]) -> None:
        at = self.stripped(at)
        for word in ("OR", "AND"):
            parts = self.parts(at, word)
            if len(parts) > 1:
                for part in parts:
                    self.condition(part, names, columns)
                return
        if self.upper(at[0]) == "NOT":
            if at[1] - at[0] > 1:
                self.condition((at[0] + 1, at[1]), names, columns)
            return
        sides = self.sides(at)
        if sides is None:
            return
        for mine, other in sides:
            found = self.expression(self.stripped(mine), names, columns)
            if found is not None and (other is None or self.is_plain(other)):
                self.put[found[0]] = found[1]
                return

    def sides(self, at: _Range) -> list[tuple[_Range, _Range | None]] | None:
        """What is compared with what, each way round that may be; None: it is no comparison."""
        start, end = at
        top = [i for i in self.top(at) if self.items[i].kind != STRING]
        signs = [i for i in top if self.upper(i) in _COMPARISONS]
        words = {self.upper(i): i for i in top if self.items[i].kind == WORD}
        verbs = [w for w in ("IS", "IN", "BETWEEN", "ISNULL", "NOTNULL") if w in words]
        if len(signs) + len(verbs) != 1 or any(w in words for w in _OTHERWISE):
            if not (not signs and not verbs and self.ends_in_not_null(end)):
                return None
            return [((start, end - 2), None)]
        if signs:
            left, right = (start, signs[0]), (signs[0] + 1, end)
            return [(left, right), (right, left)]
        verb = verbs[0]
        middle = words[verb]
        before = middle - 1 if verb in ("IN", "BETWEEN") and self.upper(middle - 1) == "NOT" else middle
        behind = middle + 1
        if verb in ("ISNULL", "NOTNULL"):
            return [((start, before), None)] if behind == end else None
        if verb == "IS" and self.upper(behind) == "NOT":
            behind += 1
        if verb == "IN" and (self.upper(behind) != "(" or closing(self.items, behind) != end - 1):
            return None
        if verb == "BETWEEN":
            limits = [i for i in top if self.upper(i) == "AND" and i > behind]
            if len(limits) != 1 or not self.is_plain((behind, limits[0])):
                return None
            behind = limits[0] + 1
        return [((start, before), (behind, end))]

    def ends_in_not_null(self, end: int) -> bool:
        return self.upper(end - 2) == "NOT" and self.upper(end - 1) == "NULL"

    def look(self, references: list[_Reference], where: _Range | None) -> None:
        inner = [r.on for r in references if r.on is not None and not r.join]
        for reference, names, columns in self.candidates(references):
            for condition in [reference.on] if reference.join else [*inner, where]:
                if condition is not None and condition[0] < condition[1]:
                    self.condition(condition, names, columns)

    def candidates(self, references: list[_Reference]) -> Iterable[tuple[_Reference, _Names, Mapping[Words, str]]]:
        aliases = [r.alias.lower() for r in references]
        for reference in references:
            table = reference.table
            if table is not None and aliases.count(reference.alias.lower()) == 1:
                names = _names_of(table, reference.alias.lower(), bare=len(references) == 1, rowid=False)
                yield reference, names, self.expressions[table.name.lower()][1]

    # ---- ORDER BY and GROUP BY ----

    def select(self, at: int) -> None:
        super().select(at)
        start = self.clause(at + 1, "FROM")
        if self.upper(start) != "FROM" or self.names_column(at):
            return
        if self.upper(at - 1) in _COMPOUND or self.upper(at + 1) == "DISTINCT":
            return
        references = self.from_list(start + 1)
        clauses, end = self.clauses(start + 1)
        if self.upper(end) in _COMPOUND or "HAVING" in clauses:
            return
        for reference, names, columns in self.candidates(references):
            if reference.join:
                continue
            if "GROUP" in clauses:
                self.group((at + 1, start), clauses, names, columns)
            elif "ORDER" in clauses:
                self.put.update(self.terms(clauses["ORDER"], names, columns))

    def clauses(self, at: int) -> tuple[dict[str, _Range], int]:
        """What follows FROM, by its first word, and where that ends."""
        found: dict[str, _Range] = {}
        at = self.clause(at)
        while self.upper(at) in ("WHERE", "GROUP", "HAVING", "ORDER") and not self.is_window(at):
            begin = at + 1 if self.upper(at) in ("WHERE", "HAVING") else at + 2
            end = self.clause(begin)
            found[self.upper(at)] = (begin, end)
            at = end
        return found, at

    def items_of(self, at: _Range) -> list[_Range]:
        """What stands between commas."""
        found, start = [], at[0]
        for i in self.top(at):
            if self.upper(i) == ",":
                found.append((start, i))
                start = i + 1
        return [*found, (start, at[1])]

    def without_order(self, at: _Range) -> _Range:
        """A term of ORDER BY without ASC, DESC, NULLS FIRST and NULLS LAST."""
        start, end = at
        if self.upper(end - 2) == "NULLS":
            end -= 2
        return (start, end - 1) if self.upper(end - 1) in ("ASC", "DESC") else (start, end)

    def terms(self, at: _Range, names: _Names, columns: Mapping[Words, str]) -> dict[_Range, str]:
        found = [self.expression(self.without_order(item), names, columns) for item in self.items_of(at)]
        return dict(pair for pair in found if pair is not None)

    def group(
        self, listed: _Range, clauses: dict[str, _Range], names: _Names, columns: Mapping[Words, str]
    ) -> None:
        """GROUP BY: then results and ORDER BY have to mean the same column, or none of the group's."""
        put = self.terms(clauses["GROUP"], names, columns)
        if not put:
            return
        for item in self.items_of(listed):
            start, end = item
            aliased = end - start > 2 and self.upper(end - 2) == "AS"
            core = (start, end - 2) if aliased else item
            found = self.expression(core, names, columns)
            if found is not None and found[0] == core:
                written = self.sql[self.items[start].start : self.items[core[1] - 1].end]
                put[core] = found[1] if aliased else f"{found[1]} AS {quote(written)}"
            elif not self.is_independent(core):
                return
        if "ORDER" in clauses:
            for item in self.items_of(clauses["ORDER"]):
                core = self.without_order(item)
                found = self.expression(core, names, columns)
                if found is not None:
                    put[found[0]] = found[1]
                elif not self.is_independent(core):
                    return
        self.put.update(put)

    def is_independent(self, at: _Range) -> bool:
        """A column, a number, or an aggregate of whatever it may be."""
        start, end = at
        if end - start == 1:
            return self.items[start].kind == NUMBER or is_name(self.items[start])
        if end - start == 3 and self.upper(start + 1) == ".":
            return True
        call = end - start > 2 and self.upper(start) in _AGGREGATES and self.upper(start + 1) == "("
        return call and closing(self.items, start + 1) == end - 1

    # ---- the text ----

    def found(self) -> dict[_Range, str]:
        return self.put

    def rewritten(self) -> str:
        self.read()
        out, done = [], 0
        for (start, end), text in sorted(self.put.items()):
            out += [self.sql[done : self.items[start].start], text]
            done = self.items[end - 1].end
        return "".join(out) + self.sql[done:]


def _means_otherwise(items: list[Token], table: Table, own: Collection[str]) -> bool:
    """Does an expression mean something else to a query than its column would? CAST and + hand on a collation."""
    if items[0].upper in ("CAST", "+", "(") and any(column.collation for column in table.visible):
        return True
    return any(t.upper in _DEPENDS or t.text.lower() in own for t in items if t.kind in (WORD, OPERATOR))


class Rewriter:
    """Statements as the engine wants them: with hints about partial indexes, and hidden columns for expressions."""

    def __init__(self, hints: Hints | None, known: _Known, home: str, then: Rewriter | None) -> None:
        self._hints = hints
        self._home = home
        self._then = then  # for another schema
        self._known = known
        self._texts: dict[str, str] = {}
        self._temporary: Collection[str] = ()  # for which these were made

    @classmethod
    def of(
        cls, tables: Iterable[Table], own: Collection[str], home: str = "main", then: Rewriter | None = None
    ) -> Rewriter | None:
        """None: statements stay as they are.

        Args:
            own: lower-case names of the connection's own functions.
            home: the tables' schema, in lower case; those of others than main are known where it is written.
            then: what is asked next.
        """
        tables = list(tables)
        hints = Hints.of(tables, own, home)
        known: dict[str, tuple[Table, Mapping[Words, str]]] = {}
        for table in tables:
            found: dict[Words, str] = {}
            for column in table.columns:
                if column.hidden and column.expression and not _means_otherwise(tokens(column.expression), table, own):
                    words = expression_words(column.expression, table)
                    if words is not None:
                        found.setdefault(words, column.name)
            if found:
                known[table.name.lower()] = (table, found)
        return cls(hints, known, home, then) if hints is not None or known else then

    def text(self, sql: str, temporary: Collection[str], parameters: Any = None) -> str:
        """The statement to run with these parameters (None: several); temporary: names that mean something else now.
        Never raises."""
        sql = self._text(sql, temporary, parameters)
        return sql if self._then is None else self._then.text(sql, temporary, parameters)

    def _text(self, sql: str, temporary: Collection[str], parameters: Any) -> str:
        if self._hints is not None:
            sql = self._hints.text(sql, temporary, parameters)
        if not self._known:
            return sql
        if temporary is not self._temporary:
            self._texts.clear()
            self._temporary = temporary
        known = self._texts.get(sql)
        if known is not None:
            return known
        text = sql
        lowered = sql.lower() if len(sql) < _LONG else ""
        if any(name in lowered for name in self._known):
            items = tokens(sql)
            hidden = {*temporary, *_shadowed(items)}
            if not any(_renames_truth(items, i) for i in range(len(items))):
                known_here = {k: v for k, v in self._known.items() if k not in hidden}
                text = _Substitution(sql, known_here, self._home).rewritten()
        if lowered:
            if len(self._texts) > _CACHED:
                self._texts.clear()
            self._texts[sql] = text
        return text


__all__ = ["Rewriter", "expression_words"]
