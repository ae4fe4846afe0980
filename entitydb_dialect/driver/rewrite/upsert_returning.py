"""RETURNING and ON CONFLICT taken off a statement, so that what is left is one that virtual tables can do.

    INSERT INTO t(a) VALUES (?) ON CONFLICT (a) DO UPDATE SET n = n + ? RETURNING id, a + ?

becomes `INSERT INTO t(a) VALUES (?)`, run with capture; the clause, told to the engine before; and `SELECT id, a + ?
FROM main.t AS t WHERE ...` over the rows captured. Parameters are numbered across the whole statement, as SQLite does
it; each piece gets those it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ... import _exceptions as ex
from .._catalog import COLLATIONS, Table
from .._errors import wrong_number
from ..sql.parameters import Numbering, Piece
from ..sql.statement import Statement
from ..sql.terms import expression_words
from ..sql.text import Edit, Range, Reader, Text
from ..sql.tokens import CONSTANTS, LIST, OPERATOR, QUERIES, QUOTED, WORD, parameters_of, quote
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

_NAMELESS = CONSTANTS | {OPERATOR}  # kinds of tokens that name nothing
# Words of an expression that are no names. END can be one, so CASE is not among them.
_NO_NAMES = frozenset(("NULL", "NOT", "AND", "OR", "IS", "ISNULL", "NOTNULL", "BETWEEN"))


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
    uses: Sequence[int]  # which of the statement's parameters these are


class Returning(NamedTuple):
    """RETURNING as a query over the captured rows."""

    listed: Piece  # what stands behind RETURNING
    table: str  # quoted
    name: str  # what its columns are called by, quoted
    calls: frozenset[str]  # functions that the list calls, outside of subqueries; lower case

    def query(self, place: str) -> Piece:
        """The query over the table in a schema, whose name is given quoted."""
        source = f" FROM {place}.{self.table} AS {self.name} WHERE {self.name}.{_CAPTURED} = 1"
        sql, numbered, uses = self.listed
        return Piece(f"SELECT {sql}{source}", f"SELECT {numbered}{source}", uses)


class Apart(NamedTuple):
    """A statement taken apart.

    Attributes:
        change: what is left of it.
        edits: what makes that of the whole, as it is run: with its parameters numbered anew if pieces share them.
        names, total: the numbers of the whole statement's parameters by name with its sign, and how many there are.
    """

    change: Piece
    edits: list[Edit]
    returning: Returning | None
    conflicts: tuple[Conflict, ...]
    names: dict[str, int]
    total: int

    @property
    def shares(self) -> bool:
        """Do other pieces than the change use parameters?"""
        used_by_list = self.returning is not None and self.returning.listed.uses
        return bool(used_by_list) or any(conflict.uses for conflict in self.conflicts)

    def values(self, parameters: Any) -> Sequence[Any]:
        """The parameters by number. Raises ProgrammingError when they do not fit."""
        if isinstance(parameters, Mapping):
            found: list[Any] = [None] * self.total
            for name, number in self.names.items():
                if name[1:] not in parameters:
                    raise ex.ProgrammingError(f"You did not supply a value for binding parameter :{name[1:]}.")
                found[number] = parameters[name[1:]]
            if len(self.names) < self.total:
                raise ex.ProgrammingError("a statement with ? wants a sequence of parameters, not a mapping")
            return found
        if not isinstance(parameters, Sequence):
            raise ex.ProgrammingError("parameters are of unsupported type")
        if len(parameters) != self.total:
            raise wrong_number(self.total, len(parameters))
        return parameters

    def in_order(self, parameters: Any) -> tuple[Any, ...]:
        """The same as a tuple."""
        return tuple(self.values(parameters))


def take_apart(statement: Statement) -> Apart:
    """A statement with RETURNING or ON CONFLICT as pieces.

    Raises OperationalError for what SQLite would call a syntax error, NotSupportedError for what is not done.
    """
    numbering = Numbering(statement)
    end = statement.ends[-1]
    returning = None
    if statement.returning_at >= 0:
        end = statement.starts[statement.returning_at]
        returning = _returning(statement, numbering)
    conflicts: tuple[Conflict, ...] = ()
    if statement.on_conflict_at >= 0:
        end = statement.starts[statement.on_conflict_at]
        conflicts = _Clauses(statement, numbering).all()
    _, names, total = statement.parameters
    change = numbering.piece((0, end))
    cut = Edit(end, len(statement.sql), "")
    apart = Apart(change, [cut], returning, conflicts, names, total)
    return apart._replace(edits=[*numbering.edits((0, end)), cut]) if apart.shares else apart


def shares_parameters(statement: Statement) -> bool:
    """Do clauses that are taken off use parameters? False also where that fails, which executing it will say."""
    if not statement.takes_apart:
        return False
    try:
        return take_apart(statement).shares
    except ex.Error:
        return False


# ---- RETURNING ----


def _returning(statement: Statement, numbering: Numbering) -> Returning:
    """Raises OperationalError for what is no list."""
    start, end = statement.returning_at + 1, len(statement)
    while end > start and statement.uppers[end - 1] == ";":
        end -= 1
    if start == end:
        raise ex.OperationalError("incomplete input")
    calls: set[str] = set()
    refused = _refused(statement, (start, end), calls)
    if refused is not None:
        raise ex.OperationalError(refused)
    name = statement.table
    if statement.alias and _qualifies(statement, (start, end), statement.alias.lower()):
        name = statement.alias
    listed = numbering.piece((statement.starts[start], statement.ends[end - 1]))
    return Returning(listed, quote(statement.table), quote(name), frozenset(calls))


def _qualifies(text: Text, tokens: Range, name: str) -> bool:
    """Is a column written with this name before it?"""
    return any(text.upper(i + 1) == "." and text.name_at(i).lower() == name for i in range(tokens[0], tokens[1] - 1))


def _refused(text: Text, tokens: Range, calls: set[str]) -> str | None:
    """Why the list is no list of RETURNING, or None. calls: gets the functions it calls, lower case."""
    at, end = tokens
    while at < end:
        upper = text.uppers[at]
        if upper == ")":
            return 'near ")": syntax error'
        if upper == "(":
            inner = text.upper(at + 1) in QUERIES
            closing = min(text.closing(at), end)
            if not inner:
                wrong = _misused_within(text, (at + 1, closing), calls)
                if wrong is not None:
                    return wrong
            at = closing + 1
            continue
        if upper in _NO_LIST and text.upper(at - 1) != ".":
            return f'near "{text.written(at)}": syntax error'
        wrong = _misused(text, at, end, calls)
        if wrong is not None:
            return wrong
        at += 1
    return None


def _misused_within(text: Text, tokens: Range, calls: set[str]) -> str | None:
    """What is wrong with a function inside of parentheses; subqueries have their own."""
    at, end = tokens
    while at < end:
        if text.uppers[at] == "(" and text.upper(at + 1) in QUERIES:
            at = text.closing(at)
        else:
            wrong = _misused(text, at, end, calls)
            if wrong is not None:
                return wrong
        at += 1
    return None


def _misused(text: Text, at: int, end: int, calls: set[str]) -> str | None:
    """What is wrong with the function whose name the token may be; calls: gets its name if it might be an aggregate."""
    if not text.is_name(at) or at + 1 >= end or text.uppers[at + 1] != "(":
        return None
    written = text.name_at(at)
    name = written.upper()
    behind = text.closing(at + 1) + 1
    if text.upper(behind) == "FILTER" and text.upper(behind + 1) == "(":
        behind = text.closing(behind + 1) + 1
    if text.upper(behind) == "OVER":
        return f"misuse of window function {written}()"
    aggregate = name in _AGGREGATES or (name in ("MIN", "MAX") and not _has_comma(text, at + 1))
    calls.add(written.lower())
    return f"misuse of aggregate function {written}()" if aggregate else None


def _has_comma(text: Text, opening: int) -> bool:
    at, end = opening + 1, text.closing(opening)
    while at < end:
        if text.uppers[at] == "," or text.kinds[at] == LIST:
            return True
        at = text.closing(at) + 1 if text.uppers[at] == "(" else at + 1
    return False


# ---- ON CONFLICT ----


def _commas(text: Text, tokens: Range) -> list[Range]:
    """What stands between the commas."""
    found = []
    first, end = tokens
    at = first
    while at < end:
        upper = text.uppers[at]
        if upper == "(":
            at = text.closing(at)
        elif upper == ",":
            found.append((first, at))
            first = at + 1
        at += 1
    found.append((first, end))
    if any(a >= b for a, b in found):
        raise ex.OperationalError("incomplete input")
    return found


def _term(text: Text, tokens: Range) -> Term:
    """column or expression [COLLATE name], in any number of parentheses"""
    start, end = tokens
    collation = None
    while True:
        if end - start > 2 and text.uppers[start] == "(" and text.closing(start) == end - 1:
            start, end = start + 1, end - 1
        elif end - start > 2 and text.uppers[end - 2] == "COLLATE":
            collation = collation or text.name_at(end - 1).upper()  # the outermost counts
            end -= 2
        elif end - start > 1 and text.uppers[end - 1] in ("ASC", "DESC"):
            end -= 1
        else:
            break
    if end - start == 3 and text.uppers[start + 1] == ".":
        start += 2
    if end - start == 1 and text.is_name(start):
        return Term(text.name_at(start).lower(), collation)
    return Term("", collation, text.span((start, end)))


class _Clauses:
    """A walk over the ON CONFLICT clauses of an INSERT."""

    def __init__(self, statement: Statement, numbering: Numbering) -> None:
        self.text = statement
        self.reader = Reader(statement, statement.on_conflict_at)
        self.numbering = numbering
        alias = statement.alias or statement.table
        self.row = f'FROM "entitydb row" AS {quote(alias)}'
        self.takes_excluded = alias.lower() == "excluded"  # the table's own name stands for its row then

    def all(self) -> tuple[Conflict, ...]:
        found: list[Conflict] = []
        while self.reader.peek() == "ON":
            if found and found[-1].terms is None:
                raise ex.OperationalError('near "ON": syntax error')
            found.append(self.clause())
        if not self.reader.is_at_end() and self.reader.peek() not in (";", "RETURNING"):
            raise ex.OperationalError(f'near "{self.text.written(self.reader.at)}": syntax error')
        return tuple(found)

    def want(self, *words: str) -> None:
        for word in words:
            if not self.reader.take(word):
                if self.reader.is_at_end():
                    raise ex.OperationalError("incomplete input")
                raise ex.OperationalError(f'near "{self.text.written(self.reader.at)}": syntax error')

    def until(self, *words: str) -> Range:
        """The tokens up to one of the words, a semicolon or the end; ON counts before CONFLICT only."""
        text, reader = self.text, self.reader
        start = reader.at
        while not reader.is_at_end():
            upper = reader.peek()
            if upper == ";" or (upper in words and (upper != "ON" or text.upper(reader.at + 1) == "CONFLICT")):
                break
            reader.at = text.closing(reader.at) + 1 if upper == "(" else reader.at + 1
        reader.at = min(reader.at, len(text))
        if start == reader.at:
            self.want("an expression")
        return start, reader.at

    def clause(self) -> Conflict:
        text, reader = self.text, self.reader
        self.want("ON", "CONFLICT")
        terms = None
        where = ""
        if reader.peek() == "(":
            end = text.closing(reader.at)
            terms = tuple(_term(text, side) for side in _commas(text, (reader.at + 1, end)))
            reader.at = end + 1
            if reader.take("WHERE"):
                where = text.span(self.until("DO"))
        self.want("DO")
        if reader.take("NOTHING"):
            return Conflict(terms, where, None, "", None, ())
        self.want("UPDATE", "SET")
        self.numbering.begin()
        sets: list[str] = []
        values: list[str] = []
        for assignment in _commas(text, self.until("WHERE", "ON", "RETURNING")):
            self.assign(assignment, sets, values)
        condition = None
        if reader.take("WHERE"):
            condition = f"WHERE {self.value(self.until('ON', 'RETURNING'))}"
        return Conflict(terms, where, tuple(sets), ", ".join(values), condition, self.numbering.uses)

    def numbered(self, tokens: Range) -> str:
        return self.numbering.span((self.text.starts[tokens[0]], self.text.ends[tokens[1] - 1]))

    def value(self, tokens: Range) -> str:
        """An expression. One that cannot look at the row in the way is spared a query of it."""
        if not self.takes_excluded and _asks_excluded_alone(self.text, tokens):
            return f"({self.numbered(tokens)})"
        return f"(SELECT {self.numbered(tokens)} {self.row})"

    def each(self, tokens: Range, number: int) -> list[str]:
        """The columns of a subquery, one expression each. It is asked once for each column."""
        names = [f'"{i + 1}"' for i in range(number)]
        of = f'WITH "entitydb set"({", ".join(names)}) AS ({self.numbered(tokens)})'
        return [f'(SELECT ({of} SELECT {name} FROM "entitydb set") {self.row})' for name in names]

    def listed(self, tokens: Range) -> list[str]:
        """The expressions of a list, one value each."""
        values = []
        for start, end in _commas(self.text, tokens):
            if end - start == 1 and self.text.kinds[start] == LIST:
                at = self.text.starts[start]
                places = parameters_of(at, self.text.written(start))
                values += [f"(SELECT {self.numbering.span((at, at + 1))} {self.row})" for at in places]
            else:
                values.append(self.value((start, end)))
        return values

    def assign(self, tokens: Range, sets: list[str], values: list[str]) -> None:
        """column = expression, or (column, ...) = (expression, ...)"""
        text = self.text
        start, end = tokens
        sign = text.find("=", start)
        if not 0 <= sign < end - 1:
            raise ex.OperationalError(f'near "{text.written(end - 1)}": syntax error')
        if text.uppers[start] != "(":
            if sign != start + 1 or not text.is_name(start):
                raise ex.OperationalError(f'near "{text.written(start)}": syntax error')
            sets.append(text.name_at(start))
            values.append(self.value((sign + 1, end)))
            return
        columns = [text.name_at(a) for a, _ in _commas(text, (start + 1, sign - 1))]
        sets += columns
        if text.uppers[sign + 1] != "(" or text.closing(sign + 1) != end - 1:
            if len(columns) == 1:
                values.append(self.value((sign + 1, end)))
                return
            raise ex.OperationalError(f"{len(columns)} columns assigned 1 values")
        if text.uppers[sign + 2] in QUERIES:
            values += self.each((sign + 2, end - 1), len(columns))
            return
        given = self.listed((sign + 2, end - 1))
        if len(given) != len(columns):
            raise ex.OperationalError(f"{len(columns)} columns assigned {len(given)} values")
        values += given


def _asks_excluded_alone(text: Text, tokens: Range) -> bool:
    """Are all names of an expression columns of `excluded`? False also where it calls a function or has a query."""
    at, end = tokens
    level = 0
    while at < end and level >= 0:
        if text.kinds[at] in (WORD, QUOTED) and text.name_at(at).lower() == "excluded" and text.upper(at + 1) == ".":
            at += 2
        elif text.kinds[at] not in _NAMELESS and not (text.kinds[at] == WORD and text.uppers[at] in _NO_NAMES):
            return False
        level += (text.upper(at) == "(") - (text.upper(at) == ")")
        at += 1
    return at == end and level == 0


def constraint_of(conflict: Conflict, table: Table) -> str | None:
    """The constraint a clause is for, as the engine wants it; None: every one. Of several the youngest, as in SQLite.

    Raises OperationalError when there is none, as SQLite does.
    """
    if conflict.terms is None:
        return None
    names = {column.name.lower(): i for i, column in enumerate(table.columns)}
    for term in conflict.terms:
        if not term.expression and term.column not in names and term.column not in ("rowid", "oid", "_rowid_"):
            raise ex.OperationalError(f"no such column: {term.column}")
    if len(conflict.terms) == 1 and not conflict.terms[0].expression:
        column = names.get(conflict.terms[0].column, -1)
        if column == table.rowid_column or column < 0:
            return "0"
    for index in reversed(table.indexes):
        if index.unique and len(index.parts) == len(conflict.terms) and means(index, table, conflict.where) and all(
            any(
                _is_part(term, table, names, part.column)
                and term.collation in (None, COLLATIONS[part.collation])
                for term in conflict.terms
            )
            for part in index.parts
        ):
            return str(index.tree)
    raise ex.OperationalError("ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint")


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
