"""RETURNING and ON CONFLICT taken off a statement, so that what is left is one that virtual tables can do.

    INSERT INTO t(a) VALUES (?) ON CONFLICT (a) DO UPDATE SET n = n + ? RETURNING id, a + ?

becomes `INSERT INTO t(a) VALUES (?)`, run with capture; the clause, told to the engine before; and `SELECT id, a + ?
FROM main.t AS t WHERE ...` over the rows captured. Parameters are numbered across the whole statement, as SQLite does
it; each piece gets those it uses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ... import _exceptions as ex
from .._catalog import COLLATIONS, Table
from ..sql.tokens import VARIABLE, Token, find, is_name, quote, unquote, variables
from .expression_indexes import expression_words
from .partial_indexes import means

_CAPTURED = '"entitydb returned"'

# Words that would make another query of the list.
_NO_LIST = frozenset(
    ("FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "INTO")
)
_AGGREGATES = frozenset((
    *("AVG", "COUNT", "GROUP_CONCAT", "STRING_AGG", "SUM", "TOTAL", "MEDIAN", "PERCENTILE"),
    *("JSON_GROUP_ARRAY", "JSON_GROUP_OBJECT", "JSONB_GROUP_ARRAY", "JSONB_GROUP_OBJECT"),
))  # fmt: skip


class Part(NamedTuple):
    """A piece of a statement that is executed by itself."""

    sql: str  # its parameters as they were written
    numbered: str  # its parameters as ?1, ?2, ...
    uses: tuple[int, ...]  # which of the whole statement's parameters these are, from 0


class Term(NamedTuple):
    """One of the columns or expressions that ON CONFLICT names."""

    column: str  # lower case; "" for an expression
    collation: str | None  # upper case
    expression: str = ""


class Conflict(NamedTuple):
    """An ON CONFLICT clause."""

    terms: tuple[Term, ...] | None  # None: every constraint
    where: str  # of a partial index; "" none
    sets: tuple[str, ...] | None  # columns that DO UPDATE sets; None: DO NOTHING
    values: str  # what it sets them to, as the engine wants it, parameters as ?1, ?2, ...
    condition: str | None  # its WHERE, likewise
    uses: tuple[int, ...]


class Pieces(NamedTuple):
    """A statement taken apart."""

    change: Part
    query: Part | None  # over the captured rows
    conflicts: tuple[Conflict, ...]
    numbers: dict[str, int]  # of named parameters, by name with its sign
    total: int  # parameters of the whole statement
    calls: frozenset[str]  # functions that the list of RETURNING calls, outside of subqueries
    source: str = ""  # the end of the query, from FROM on

    def query_in(self, place: str) -> Part:
        """The query over a table of a schema, whose name is given quoted."""
        query = self.query
        assert query is not None
        if place == "main":
            return query
        source = self.source.replace(" FROM main.", f" FROM {place}.", 1)
        sql, numbered = query.sql.removesuffix(self.source), query.numbered.removesuffix(self.source)
        return Part(sql + source, numbered + source, query.uses)

    @property
    def shares(self) -> bool:
        """Do other pieces than the change use parameters?"""
        return bool(self.query and self.query.uses) or any(conflict.uses for conflict in self.conflicts)

    def values(self, parameters: Any) -> Sequence[Any]:
        """The parameters by number. Raises ProgrammingError when they do not fit."""
        if isinstance(parameters, Mapping):
            found: list[Any] = [None] * self.total
            for name, number in self.numbers.items():
                if name[1:] not in parameters:
                    raise ex.ProgrammingError(f"You did not supply a value for binding parameter :{name[1:]}.")
                found[number] = parameters[name[1:]]
            if len(self.numbers) < self.total:
                raise ex.ProgrammingError("a statement with ? wants a sequence of parameters, not a mapping")
            return found
        if not isinstance(parameters, Sequence):
            raise ex.ProgrammingError("parameters are of unsupported type")
        if len(parameters) != self.total:
            raise ex.ProgrammingError(
                "Incorrect number of bindings supplied. "
                f"The current statement uses {self.total}, and there are {len(parameters)} supplied."
            )
        return parameters


class _Groups(NamedTuple):
    """The parentheses of a statement, looked at once."""

    ends: list[int]  # by token: which parenthesis closes the one that it opens; the number of tokens where none does
    several: set[int]  # those that open a group with a comma in it, not counting inner groups


def _groups(items: list[Token]) -> _Groups:
    ends = [len(items)] * len(items)
    several: set[int] = set()
    opened: list[int] = []
    for i, token in enumerate(items):
        if token.upper == "(":
            opened.append(i)
        elif token.upper == ")" and opened:
            ends[opened.pop()] = i
        elif token.upper == "," and opened:
            several.add(opened[-1])
    return _Groups(ends, several)


class _Writer:
    """Text of a statement, put together from spans of it, its parameters numbered anew."""

    def __init__(self, sql: str, items: list[Token], numbers: dict[int, int]) -> None:
        self.sql = sql
        self.variables = [token for token in items if token.kind == VARIABLE]
        self.starts = [token.start for token in self.variables]
        self.numbers = numbers
        self.begin()

    def begin(self) -> None:
        """Anew, for a piece with parameters of its own."""
        self.places: dict[int, int] = {}  # of the whole statement's parameters among those used here
        self.plain = True  # only bare ?, which say the same where they stand now

    @property
    def uses(self) -> tuple[int, ...]:
        return tuple(self.places)

    def span(self, start: int, end: int) -> str:
        pieces = []
        at = start
        for token in self.variables[bisect_left(self.starts, start) : bisect_left(self.starts, end)]:
            place = self.places.setdefault(self.numbers[token.start], len(self.places))
            self.plain &= token.text == "?"
            pieces.append(f"{self.sql[at : token.start]}?{place + 1}")
            at = token.end
        return "".join(pieces) + self.sql[at:end]

    def part(self, *spans: tuple[int, int]) -> Part:
        numbered = "".join(self.span(*span) for span in spans)
        written = "".join(self.sql[start:end] for start, end in spans)
        # Kept where it says the same: columns of a result are named by their text.
        return Part(written, written if self.plain else numbered, self.uses)


def _misused(items: list[Token], at: int, groups: _Groups, calls: set[str]) -> str | None:
    """What is wrong with the function whose name is at `at`; functions that might be aggregates are kept."""
    written = unquote(items[at].text)
    name = written.upper()
    end = groups.ends[at + 1] + 1
    if end + 1 < len(items) and items[end].upper == "FILTER":
        end = groups.ends[end + 1] + 1
    if end < len(items) and items[end].upper == "OVER":
        return f"misuse of window function {written}()"
    aggregate = at + 1 not in groups.several if name in ("MIN", "MAX") else name in _AGGREGATES
    calls.add(written.lower())
    return f"misuse of aggregate function {written}()" if aggregate else None


def _refused(items: list[Token], calls: set[str]) -> str | None:
    """Why the list is no list of RETURNING, or None. calls: gets the functions it calls, lower case."""
    level = 0
    groups = _groups(items)
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
        elif upper in _NO_LIST and level == 0:
            before = items[i - 1].upper if i else ""
            if before != ".":
                return f'near "{token.text}": syntax error'
        elif is_name(token) and i + 1 < len(items) and items[i + 1].upper == "(":
            wrong = _misused(items, i, groups, calls)
            if wrong is not None:
                return wrong
    return None


def _query(
    sql: str, items: list[Token], at: int, numbers: dict[int, int], table: str, alias: str, calls: set[str]
) -> tuple[Part, str]:
    """RETURNING, the token `at`, as a query, and the query's end. Raises OperationalError for what is no list."""
    listed = items[at + 1 :]
    while listed and listed[-1].upper == ";":
        listed.pop()
    if not listed:
        raise ex.OperationalError("incomplete input")
    refused = _refused(listed, calls)
    if refused is not None:
        raise ex.OperationalError(refused)
    by_alias = any(b.upper == "." and unquote(a.text).lower() == alias.lower() for a, b in pairwise(listed))
    name = alias if alias and by_alias else table
    part = _Writer(sql, items, numbers).part((listed[0].start, listed[-1].end))
    source = f" FROM main.{quote(table)} AS {quote(name)} WHERE {quote(name)}.{_CAPTURED} = 1"
    return Part(f"SELECT {part.sql}{source}", f"SELECT {part.numbered}{source}", part.uses), source


# ---- ON CONFLICT ----


def conflict_at(items: list[Token], start: int) -> int:
    """Index of the first ON CONFLICT; -1: none."""
    level = last = 0
    found: list[int] = []
    for i in range(start, len(items)):
        upper = items[i].upper
        level += (upper == "(") - (upper == ")")
        if level or upper not in ("ON", "DO"):
            continue
        if upper == "DO":
            last = i
        elif i + 2 < len(items) and items[i + 1].upper == "CONFLICT" and items[i + 2].upper in ("(", "DO"):
            found.append(i)
    # A condition of a join may look like it, but for the DO behind.
    return next((at for at in found if last >= at + 2), -1)


def _commas(items: list[Token], start: int, end: int) -> list[tuple[int, int]]:
    """What stands between the commas, as token ranges."""
    found = []
    level = 0
    first = start
    for i in range(start, end):
        upper = items[i].upper
        level += (upper == "(") - (upper == ")")
        if upper == "," and level == 0:
            found.append((first, i))
            first = i + 1
    found.append((first, end))
    if any(a >= b for a, b in found):
        raise ex.OperationalError("incomplete input")
    return found


def _term(sql: str, items: list[Token], groups: _Groups, start: int, end: int) -> Term:
    """column or expression [COLLATE name], in any number of parentheses"""
    collation = None
    while True:
        if end - start > 2 and items[start].upper == "(" and groups.ends[start] == end - 1:
            start, end = start + 1, end - 1
        elif end - start > 2 and items[end - 2].upper == "COLLATE":
            collation = collation or unquote(items[end - 1].text).upper()  # the outermost counts
            end -= 2
        elif end - start > 1 and items[end - 1].upper in ("ASC", "DESC"):
            end -= 1
        else:
            break
    if end - start == 3 and items[start + 1].upper == ".":
        start += 2
    if end - start == 1 and is_name(items[start]):
        return Term(unquote(items[start].text).lower(), collation)
    return Term("", collation, sql[items[start].start : items[end - 1].end])


class _Clauses:
    """A walk over the ON CONFLICT clauses of an INSERT."""

    def __init__(self, sql: str, items: list[Token], at: int, numbers: dict[int, int], alias: str) -> None:
        self.sql, self.items, self.at, self.numbers = sql, items, at, numbers
        self.groups = _groups(items)
        self.writer = _Writer(sql, items, numbers)
        self.row = f'FROM "entitydb row" AS {quote(alias)}'

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.items[at].upper if at < len(self.items) else ""

    def want(self, *words: str) -> None:
        for word in words:
            if self.peek() != word:
                near = self.items[self.at].text if self.at < len(self.items) else ""
                raise ex.OperationalError(f'near "{near}": syntax error' if near else "incomplete input")
            self.at += 1

    def until(self, *words: str) -> tuple[int, int]:
        """The tokens up to one of the words, a semicolon or the end; ON counts before CONFLICT only."""
        start, level = self.at, 0
        while self.at < len(self.items):
            upper = self.peek()
            if level == 0 and (upper == ";" or (upper in words and (upper != "ON" or self.peek(1) == "CONFLICT"))):
                break
            level += (upper == "(") - (upper == ")")
            self.at += 1
        if start == self.at:
            self.want("an expression")
        return start, self.at

    def text(self, tokens_: tuple[int, int]) -> str:
        return self.sql[self.items[tokens_[0]].start : self.items[tokens_[1] - 1].end]

    def clause(self) -> Conflict:
        self.want("ON", "CONFLICT")
        terms = None
        where = ""
        if self.peek() == "(":
            end = self.groups.ends[self.at]
            sides = _commas(self.items, self.at + 1, end)
            terms = tuple(_term(self.sql, self.items, self.groups, a, b) for a, b in sides)
            self.at = end + 1
            if self.peek() == "WHERE":
                self.at += 1
                where = self.text(self.until("DO"))
        self.want("DO")
        if self.peek() == "NOTHING":
            self.at += 1
            return Conflict(terms, where, None, "", None, ())
        self.want("UPDATE", "SET")
        writer = self.writer
        writer.begin()
        sets: list[str] = []
        values: list[str] = []
        for assignment in _commas(self.items, *self.until("WHERE", "ON", "RETURNING")):
            self.assign(writer, assignment, sets, values)
        condition = None
        if self.peek() == "WHERE":
            self.at += 1
            condition = f"WHERE {self.value(writer, self.until('ON', 'RETURNING'))}"
        return Conflict(terms, where, tuple(sets), ", ".join(values), condition, writer.uses)

    def value(self, writer: _Writer, tokens_: tuple[int, int]) -> str:
        start, end = self.items[tokens_[0]].start, self.items[tokens_[1] - 1].end
        return f"(SELECT {writer.span(start, end)} {self.row})"

    def each(self, writer: _Writer, tokens_: tuple[int, int], number: int) -> list[str]:
        """The columns of a subquery, one expression each. It is asked once for each column."""
        start, end = self.items[tokens_[0]].start, self.items[tokens_[1] - 1].end
        names = [f'"{i + 1}"' for i in range(number)]
        of = f'WITH "entitydb set"({", ".join(names)}) AS ({writer.span(start, end)})'
        return [f'(SELECT ({of} SELECT {name} FROM "entitydb set") {self.row})' for name in names]

    def assign(self, writer: _Writer, tokens_: tuple[int, int], sets: list[str], values: list[str]) -> None:
        """column = expression, or (column, ...) = (expression, ...)"""
        start, end = tokens_
        sign = find(self.items, "=", start)
        if not 0 <= sign < end - 1:
            raise ex.OperationalError(f'near "{self.items[end - 1].text}": syntax error')
        if self.items[start].upper != "(":
            if sign != start + 1 or not is_name(self.items[start]):
                raise ex.OperationalError(f'near "{self.items[start].text}": syntax error')
            sets.append(unquote(self.items[start].text))
            values.append(self.value(writer, (sign + 1, end)))
            return
        columns = [unquote(self.items[a].text) for a, b in _commas(self.items, start + 1, sign - 1)]
        sets += columns
        if self.items[sign + 1].upper != "(" or self.groups.ends[sign + 1] != end - 1:
            raise ex.OperationalError(f"{len(columns)} columns assigned 1 values")
        if self.items[sign + 2].upper in ("SELECT", "VALUES", "WITH"):
            values += self.each(writer, (sign + 2, end - 1), len(columns))
            return
        given = _commas(self.items, sign + 2, end - 1)
        if len(given) != len(columns):
            raise ex.OperationalError(f"{len(columns)} columns assigned {len(given)} values")
        values += [self.value(writer, one) for one in given]


def take_apart(sql: str, items: list[Token], table: str, alias: str, *, conflict: int, returning: int) -> Pieces:
    """`conflict` and `returning`: indexes of ON and RETURNING among the tokens, -1: not there.

    Raises OperationalError for what SQLite would call a syntax error, NotSupportedError for what is not done.
    """
    numbers, names, total = variables(items)
    conflicts: list[Conflict] = []
    end = items[-1].end
    query, source = None, ""
    calls: set[str] = set()
    if returning >= 0:
        end = items[returning].start
        query, source = _query(sql, items, returning, numbers, table, alias, calls)
    if conflict >= 0:
        end = items[conflict].start
        walk = _Clauses(sql, items, conflict, numbers, alias or table)
        while walk.peek() == "ON":
            if conflicts and conflicts[-1].terms is None:
                raise ex.OperationalError('near "ON": syntax error')
            conflicts.append(walk.clause())
        if walk.peek() not in ("", ";", "RETURNING"):
            raise ex.OperationalError(f'near "{items[walk.at].text}": syntax error')
    change = _Writer(sql, items, numbers).part((0, end))
    return Pieces(change, query, tuple(conflicts), names, total, frozenset(calls), source)


def constraints_of(conflict: Conflict, table: Table) -> str | None:
    """The constraints a clause is for, as the engine wants them; None: every one.

    Raises OperationalError when there is none, as SQLite does.
    """
    if conflict.terms is None:
        return None
    names = {column.name.lower(): i for i, column in enumerate(table.columns)}
    for term in conflict.terms:
        if not term.expression and term.column not in names and term.column not in ("rowid", "oid", "_rowid_"):
            raise ex.OperationalError(f"no such column: {term.column}")
    found = []
    if len(conflict.terms) == 1 and not conflict.terms[0].expression:
        column = names.get(conflict.terms[0].column, -1)
        if column == table.rowid_column or column < 0:
            found.append(0)
    for index in table.indexes:
        if index.unique and len(index.parts) == len(conflict.terms) and means(index, table, conflict.where) and all(
            any(
                _is_part(term, table, names, part.column)
                and term.collation in (None, COLLATIONS[part.collation])
                for term in conflict.terms
            )
            for part in index.parts
        ):
            found.append(index.tree)
    if not found:
        raise ex.OperationalError("ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint")
    return ",".join(map(str, found))


def _is_part(term: Term, table: Table, names: Mapping[str, int], column: int) -> bool:
    """Is the column, by its place, what a term of ON CONFLICT names?"""
    if not term.expression:
        return names.get(term.column) == column
    indexed = table.columns[column]
    if not indexed.hidden or indexed.expression is None:
        return False
    words = expression_words(term.expression, table)
    return words is not None and words == expression_words(indexed.expression, table)


def columns_of(conflict: Conflict, table: Table) -> str | None:
    """The columns DO UPDATE sets, as the engine wants them; None: DO NOTHING."""
    if conflict.sets is None:
        return None
    names = {column.name.lower(): i for i, column in enumerate(table.columns)}
    found = []
    for name in conflict.sets:
        column = names.get(name.lower(), -1)
        if column < 0 and name.lower() in ("rowid", "oid", "_rowid_"):
            column = table.rowid_column
        if column < 0:
            raise ex.OperationalError(f"no such column: {name}")
        found.append(column)
    return ",".join(map(str, found))
