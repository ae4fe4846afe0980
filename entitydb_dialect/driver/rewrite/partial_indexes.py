"""Partial indexes: which queries may use one, which ON CONFLICT means one, and whether one holds what it should.

A query may use a partial index when its own conditions imply the index's WHERE. The engine sees conditions of the form
`column op value` only; here the query's text is read. Where each term of the index's WHERE is found among the terms
that AND joins in the query's WHERE (or in ON, for the table that is joined there), a term is added that tells the
engine so, for that reference to the table alone:

    SELECT * FROM t WHERE lower(kind) = 'x' AND a = 5
    SELECT * FROM t WHERE (lower(kind) = 'x' AND a = 5) AND "t"."entitydb partial" IS NOT 17

The hidden column is NULL, so the term is true of every row, and no answer depends on it being there. As in SQLite,
terms are compared as they are written (white space, case, parentheses around, and the table's name before a column
apart); a parameter may stand for a constant, and the term is added when its value is that constant; `x IS NOT NULL`
follows from a comparison of x, and `p OR q` from p or q.
In doubt nothing is added: in a statement that cannot be followed, in views, in FROM with RIGHT or FULL JOIN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import _exceptions as ex
from .._catalog import Index, Table
from ..sql.tokens import (
    BAD,
    BLOB,
    NUMBER,
    OPERATOR,
    QUOTED,
    STRING,
    VARIABLE,
    WORD,
    Token,
    closing,
    is_name,
    quote,
    tokens,
    unquote,
    variables,
)

if TYPE_CHECKING:
    pass

HIDDEN = '"entitydb partial"'
_LONG = 50_000  # characters; longer statements are mostly rows written as literals
_CACHED = 2000
_ROWID = ("rowid", "oid", "_rowid_")
_SUBQUERY = frozenset(("SELECT", "VALUES", "WITH", "EXISTS"))

Words = tuple[str, ...]  # a term in its one form; a parameter is _PARAMETER and where it stands
Needs = frozenset[tuple[int, str]]  # where parameters stand, and the constants that have to be their values
_PARAMETER = "parameter "


class _Names(NamedTuple):
    """What names mean a column of the table in question."""

    columns: Collection[str]  # lower case
    qualifier: str  # lower case: what may stand before the dot
    bare: bool  # a column's name alone means it too
    rowid: bool  # so does `rowid`


# ---- expressions ----


def _stripped(items: Sequence[Token]) -> Sequence[Token]:
    """Without parentheses around the whole."""
    while len(items) > 2 and items[0].upper == "(" and closing(list(items), 0) == len(items) - 1:
        items = items[1:-1]
    return items


def _split(items: Sequence[Token], word: str) -> list[Sequence[Token]] | None:
    """The parts between AND or OR outside of parentheses and CASE; None: it cannot be followed."""
    parts, start, depth, cases, betweens = [], 0, 0, 0, 0
    for i, token in enumerate(items):
        upper = token.upper
        depth += (upper == "(") - (upper == ")")
        cases += (upper == "CASE") - (upper == "END")
        if depth < 0 or cases < 0:
            return None
        if depth or cases:
            continue
        if upper == "BETWEEN":
            betweens += 1
        elif upper == "AND" and betweens:
            betweens -= 1
        elif upper == word:
            parts.append(items[start:i])
            start = i + 1
    parts.append(items[start:])
    return None if depth or cases or any(not part for part in parts) else parts


def _word(items: Sequence[Token], i: int, names: _Names) -> str | None:
    """One token in its one form; None: nothing that an index's WHERE could have."""
    token = items[i]
    qualified = i > 0 and items[i - 1].text == "."
    if qualified and token.kind not in (WORD, QUOTED):
        return None
    if token.kind in (WORD, QUOTED):
        name = unquote(token.text).lower()
        call = i + 1 < len(items) and items[i + 1].text == "("
        if not call or token.kind == QUOTED:
            if name in names.columns:
                return f"column {name}" if qualified or names.bare else None
            if name in _ROWID:
                return "column rowid" if qualified or names.rowid else None
        return None if qualified or token.kind == QUOTED else token.upper
    if token.kind == OPERATOR:
        return {"==": "=", "!=": "<>"}.get(token.text, token.text)
    if token.kind == NUMBER:
        return token.text.lower()
    if token.kind == VARIABLE:
        return f"{_PARAMETER}{token.start}"
    return token.text if token.kind in (STRING, BLOB) else None


def _words(items: Sequence[Token], names: _Names) -> Words | None:
    """A term in its one form; None: it cannot be that of an index."""
    found: list[str] = []
    items = _stripped(items)
    i = 0
    while i < len(items):
        token = items[i]
        if token.upper in _SUBQUERY or token.kind == BAD:
            return None
        if i + 1 < len(items) and items[i + 1].text == ".":
            if not is_name(token) or unquote(token.text).lower() != names.qualifier or i + 2 == len(items):
                return None
            i += 2
        word = _word(items, i, names)
        if word is None:
            return None
        found += {"ISNULL": ["IS", "NULL"], "NOTNULL": ["IS", "NOT", "NULL"]}.get(word, [word])
        i += 1
    return tuple(found)


class _Condition(NamedTuple):
    """An index's WHERE: a term, or several of which all or any have to hold."""

    words: Words
    all: tuple[_Condition, ...] = ()
    any: tuple[_Condition, ...] = ()


def _condition(items: Sequence[Token], names: _Names) -> _Condition | None:
    items = _stripped(items)
    words = _words(items, names)
    alternatives, parts = _split(items, "OR"), _split(items, "AND")
    if words is None or alternatives is None or parts is None:
        return None
    several = alternatives if len(alternatives) > 1 else parts if len(parts) > 1 else []
    inner = [_condition(part, names) for part in several]
    known = tuple(one for one in inner if one is not None)
    if len(known) < len(inner):
        return None
    return _Condition(words, any=known) if len(alternatives) > 1 else _Condition(words, all=known)


class _Given(NamedTuple):
    """What a query demands of the rows of a table."""

    terms: set[Words]
    not_null: set[str]  # columns, in their one form


_COMPARISONS = frozenset(("=", "<>", "<", ">", "<=", ">="))
_OPERAND = frozenset((".", "+", "-", "*", "/", "%", "||"))
_CONDITIONAL = frozenset((
    *("AND", "BETWEEN", "CASE", "COLLATE", "ESCAPE", "GLOB", "IN", "IS", "ISNULL", "LIKE", "MATCH", "NOT", "NOTNULL"),
    *("NULL", "OR", "REGEXP"),
))  # fmt: skip


def _never_null(items: Sequence[Token], names: _Names) -> str | None:
    """The column of `column comparison operand`, which is not true of NULL."""
    items = _stripped(items)
    column = 3 if len(items) > 3 and items[1].text == "." else 1
    words = _words(items[:column], names)
    if words is None or not words[0].startswith("column ") or len(items) < column + 2:
        return None
    sign = {"==": "=", "!=": "<>"}.get(items[column].text, items[column].text)
    if sign not in _COMPARISONS:
        return None
    depth = 0
    for token in items[column + 1 :]:
        depth += (token.upper == "(") - (token.upper == ")")
        if depth == 0 and token.text != ")" and (
            token.upper in _CONDITIONAL if token.kind == WORD else token.kind == OPERATOR and token.text not in _OPERAND
        ):
            return None
    return words[0]


def _take(given: _Given, items: Sequence[Token], names: _Names) -> None:
    """Adds the terms of a condition of the query."""
    items = _stripped(items)
    parts = _split(items, "AND")
    alternatives = _split(items, "OR")
    if parts is None or alternatives is None:
        return
    if len(parts) > 1 and len(alternatives) == 1:
        for part in parts:
            _take(given, part, names)
        return
    words = _words(items, names)
    if words is not None:
        given.terms.add(words)
    column = _never_null(items, names) if len(alternatives) == 1 else None
    if column is not None:
        given.not_null.add(column)


_CONSTANT = frozenset("0123456789.'")


def _same(wanted: Words, given: Words) -> Needs | None:
    """What has to be true of parameters so that a term is the wanted one; None: it is another."""
    if wanted == given:
        return frozenset()
    if len(wanted) != len(given):
        return None
    needs = set()
    for one, other in zip(wanted, given, strict=True):
        if other.startswith(_PARAMETER) and one[0] in _CONSTANT:
            needs.add((int(other[len(_PARAMETER) :]), one))
        elif one != other:
            return None
    return frozenset(needs)


def _least(found: Iterable[Needs | None]) -> Needs | None:
    return min((needs for needs in found if needs is not None), key=len, default=None)


def _implied(wanted: _Condition, given: _Given) -> Needs | None:
    """What has to be true of parameters so that the terms imply a condition; None: they do not."""
    if wanted.words[1:] == ("IS", "NOT", "NULL") and wanted.words[0] in given.not_null:
        return frozenset()
    found = [_same(wanted.words, words) for words in given.terms]
    if wanted.all:
        parts = [_implied(one, given) for one in wanted.all]
        if None not in parts:
            found.append(frozenset().union(*(part for part in parts if part is not None)))
    return _least([*found, *(_implied(one, given) for one in wanted.any)])


def _is_value(value: object, constant: str) -> bool:
    """Does a parameter say the same as a constant of an index's WHERE?"""
    if constant[0] == "'":
        return type(value) is str and value == unquote(constant)
    if constant.isdigit():
        return isinstance(value, int) and value == int(constant)
    return type(value) is float and constant[-1:].isdigit() and "x" not in constant and value == float(constant)


def _names_of(table: Table, qualifier: str, bare: bool = True, rowid: bool = True) -> _Names:
    return _Names(frozenset(column.name.lower() for column in table.columns), qualifier, bare, rowid)


def means(index: Index, table: Table, where: str) -> bool:
    """Does the WHERE of an ON CONFLICT target imply that of the index?"""
    if index.where is None:
        return True
    names = _names_of(table, table.name.lower())
    wanted = _condition(tokens(index.where), names)
    given = _Given(set(), set())
    _take(given, tokens(where), names)
    return wanted is not None and _implied(wanted, given) == frozenset()


# ---- FROM ----


class _Reference(NamedTuple):
    """A table in FROM."""

    table: Table | None  # None: none of ours with a partial index
    alias: str  # what its columns are called by
    join: str  # LEFT, or "" for any inner join
    on: tuple[int, int] | None  # its condition's tokens


class _Lost(Exception):
    """The text cannot be followed."""


_JOINS = frozenset(("NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "JOIN"))
_CLAUSES = frozenset(("SELECT", "FROM", "WHERE", "ON", "SET", "GROUP", "HAVING", "ORDER", "LIMIT", "VALUES"))
_ENDS = frozenset(("WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "RETURNING", ";", ")"))


class _Statement:
    """The tokens of a statement, and what is to be put into it."""

    def __init__(
        self, sql: str, known: Mapping[str, tuple[Table, list[tuple[int, _Condition]]]], home: str = "main"
    ) -> None:
        self.sql, self.known, self.home = sql, known, home
        self.items = tokens(sql)
        self.added: dict[tuple[int, int], list[tuple[str, Needs]]] = {}

    def upper(self, at: int) -> str:
        return self.items[at].upper if at < len(self.items) else ";"

    def clause(self, at: int, *words: str) -> int:
        """The first of the words, or what ends a query's clause, from `at` on at this level."""
        while at < len(self.items):
            upper = self.upper(at)
            if upper == "(":
                at = closing(self.items, at)
            elif upper in _ENDS or (upper in words and not self.is_distinct(at)) or self.is_window(at):
                return at
            at += 1
        return len(self.items)

    def is_distinct(self, at: int) -> bool:
        """IS [NOT] DISTINCT FROM"""
        before = [self.upper(i) for i in range(max(0, at - 3), at)]
        return self.upper(at) == "FROM" and (before[-2:] == ["IS", "DISTINCT"] or before == ["IS", "NOT", "DISTINCT"])

    def is_window(self, at: int) -> bool:
        """WINDOW name AS ("""
        return self.upper(at) == "WINDOW" and self.upper(at + 2) == "AS" and self.upper(at + 3) == "("

    def name(self, at: int) -> str:
        if at >= len(self.items) or not is_name(self.items[at]):
            raise _Lost
        return unquote(self.items[at].text)

    def reference(self, at: int, join: str) -> tuple[_Reference, int]:
        """[schema.]name [[AS] alias] [INDEXED BY name | NOT INDEXED], a subquery, or a function. -> and what follows"""
        table = None
        alias = ""
        if self.upper(at) == "(":
            at = closing(self.items, at) + 1
        else:
            schema, alias, at = "main", self.name(at), at + 1
            if self.upper(at) == ".":
                schema, alias, at = alias.lower(), self.name(at + 1), at + 2
            if self.upper(at) == "(":
                at = closing(self.items, at) + 1
            elif schema == self.home and alias.lower() in self.known:
                table = self.known[alias.lower()][0]
        if self.upper(at) == "AS":
            alias, at = self.name(at + 1), at + 2
        elif (
            at < len(self.items) and is_name(self.items[at]) and self.upper(at) not in _JOINS
            and self.upper(at) not in ("ON", "USING", "INDEXED", "NOT", "SET", "FROM") and self.upper(at) not in _ENDS
            and not self.is_window(at)
        ):
            alias, at = self.name(at), at + 1
        if self.upper(at) == "INDEXED":
            at += 3
        elif self.upper(at) == "NOT":
            at += 2
        return _Reference(table, alias, join, None), at

    def join(self, at: int) -> tuple[str, int]:
        """-> LEFT or "", and what follows the operator."""
        words = []
        while self.upper(at) in _JOINS and self.upper(at) != "JOIN":
            words.append(self.upper(at))
            at += 1
        if self.upper(at) != "JOIN" or "NATURAL" in words or "RIGHT" in words or "FULL" in words:
            raise _Lost
        return "LEFT" if "LEFT" in words else "", at + 1

    def from_list(self, at: int) -> list[_Reference]:
        """What stands in FROM, from `at` on. Raises _Lost for what mixes rows or names in other ways."""
        found = []
        join = ""
        while True:
            reference, at = self.reference(at, join)
            if self.upper(at) == "ON":
                end = self.clause(at + 1, ",", *_JOINS)
                reference, at = reference._replace(on=(at + 1, end)), end
            found.append(reference)
            if self.upper(at) == ",":
                join, at = "", at + 1
            elif self.upper(at) in _JOINS:
                join, at = self.join(at)
            elif at >= len(self.items) or self.upper(at) in _ENDS or self.is_window(at):
                return found
            else:
                raise _Lost

    # ---- a query or change ----

    def look(self, references: list[_Reference], where: tuple[int, int] | None) -> None:
        """Tells of each reference which partial indexes have all rows that are wanted of it."""
        inner = [r.on for r in references if r.on is not None and not r.join]
        aliases = [r.alias.lower() for r in references]
        for reference in references:
            if reference.table is None or aliases.count(reference.alias.lower()) > 1:
                continue
            conditions = [reference.on] if reference.join else [*inner, where]
            present = [c for c in conditions if c is not None and c[0] < c[1]]
            if not present:
                continue
            names = _names_of(reference.table, reference.alias.lower(), rowid=len(references) == 1)
            given = _Given(set(), set())
            for start, end in present:
                _take(given, self.items[start:end], names)
            for tree, wanted in self.known[reference.table.name.lower()][1]:
                needs = _implied(wanted, given)
                if needs is not None:
                    said = f"{quote(reference.alias)}.{HIDDEN} IS NOT {tree}"
                    self.added.setdefault(present[-1], []).append((said, needs))

    def where(self, at: int) -> tuple[int, int] | None:
        at = self.clause(at)
        return (at + 1, self.clause(at + 1)) if self.upper(at) == "WHERE" else None

    def select(self, at: int) -> None:
        """A query core, whose SELECT is the token `at`."""
        start = self.clause(at + 1, "FROM")
        if self.upper(start) == "FROM" and not self.names_column(at):
            self.look(self.from_list(start + 1), self.where(start + 1))

    def names_column(self, at: int) -> bool:
        """Is it a subquery in a list of results whose text is the column's name?"""
        depth = 0
        looking = aliased = False  # for the clause that the parenthesis behind is in; whether AS names that
        for i in range(at - 1, -1, -1):
            upper = self.upper(i)
            depth += (upper == ")") - (upper == "(")
            if depth < 0:
                depth, looking = 0, True
                aliased = self.upper(closing(self.items, i) + 1) == "AS"
            elif depth == 0 and looking and upper in _CLAUSES:
                if upper == "SELECT":
                    return not aliased
                looking = False
        return False

    def change(self, at: int) -> None:
        """UPDATE or DELETE, the token `at`."""
        if self.upper(at) == "DELETE":
            at += 1
        elif self.upper(at + 1) == "OR":
            at += 2
        target, at = self.reference(at + 1, "")
        at = self.clause(at, "FROM")
        others = self.from_list(at + 1) if self.upper(at) == "FROM" else []
        self.look([target, *others], self.where(at))

    def verb(self) -> int:
        """The token that decides what the statement is."""
        at = 0
        while at < len(self.items) and self.upper(at) not in ("SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE"):
            at = closing(self.items, at) + 1 if self.upper(at) == "(" else at + 1
        return at

    def found(self) -> dict[tuple[int, int], Any]:
        """What reading fills."""
        return self.added

    def read(self) -> None:
        """Every SELECT, and the UPDATE or DELETE; of one that cannot be followed nothing is kept."""
        verb, found = self.verb(), self.found()
        for at in range(len(self.items)):
            before = dict(found)
            try:
                if self.upper(at) == "SELECT":
                    self.select(at)
                elif at == verb and self.upper(at) in ("UPDATE", "DELETE"):
                    self.change(at)
            except _Lost:
                found.clear()
                found.update(before)

    def needs(self) -> list[tuple[int, str]]:
        """All that is asked of parameters."""
        return sorted({need for added in self.added.values() for _, needs in added for need in needs})

    def text(self, holds: Collection[tuple[int, str]]) -> str:
        """The statement with what is added when these are true of its parameters."""
        pieces = []
        for (start, end), added in self.added.items():
            said = [term for term, needs in added if needs.issubset(holds)]
            if said:
                pieces.append((self.items[start].start, 0, "("))
                pieces.append((self.items[end - 1].end, 1, ") AND " + " AND ".join(said)))
        out: list[str] = []
        at = 0
        for place, _, piece in sorted(pieces):
            out += [self.sql[at:place], piece]
            at = place
        return "".join(out) + self.sql[at:]


def _shadowed(items: list[Token]) -> Iterator[str]:
    """Names that WITH may give another meaning: those before AS [[NOT] MATERIALIZED] (."""
    for i, token in enumerate(items):
        if token.upper != "AS":
            continue
        at = i + 1
        while at < len(items) and items[at].upper in ("NOT", "MATERIALIZED"):
            at += 1
        if at >= len(items) or items[at].upper != "(":
            continue
        at = i - 1
        if at >= 0 and items[at].upper == ")":
            level = 0
            while at >= 0:
                level += (items[at].upper == ")") - (items[at].upper == "(")
                at -= 1
                if level == 0:
                    break
        if at >= 0 and is_name(items[at]):
            yield unquote(items[at].text).lower()


def _renames_truth(items: list[Token], i: int) -> bool:
    """Is this a column that takes the place of TRUE or FALSE?"""
    named = items[i].kind == QUOTED or (i > 0 and items[i - 1].upper == "AS")
    return named and unquote(items[i].text).lower() in ("true", "false")


class _Choice:
    """A statement whose text depends on its parameters."""

    def __init__(self, statement: _Statement) -> None:
        self.statement = statement
        numbers, _, _ = variables(statement.items)
        names = {token.start: token.text[1:] for token in statement.items if token.kind == VARIABLE}
        self.needs = [(need, numbers[need[0]], names[need[0]]) for need in statement.needs()]
        self.texts: dict[tuple[tuple[int, str], ...], str] = {}

    def text(self, parameters: object) -> str:
        by_number = type(parameters) is tuple or isinstance(parameters, Sequence)
        found: Any = parameters if by_number or isinstance(parameters, Mapping) else ()
        holds = []
        for need, number, name in self.needs:
            if by_number:
                value = found[number] if number < len(found) else None
            else:
                value = found.get(name) if found else None
            if _is_value(value, need[1]):
                holds.append(need)
        key = tuple(holds)
        text = self.texts.get(key)
        if text is None:
            text = self.texts[key] = self.statement.text(key)
        return text


class Hints:
    """The partial indexes of a schema, and statements that tell of them."""

    def __init__(self, known: Mapping[str, tuple[Table, list[tuple[int, _Condition]]]], home: str = "main") -> None:
        self._known, self._home = known, home
        self._texts: dict[str, str | _Choice] = {}
        self._temporary: Collection[str] = ()  # for which these were made

    @classmethod
    def of(cls, tables: Iterable[Table], own: Collection[str], home: str = "main") -> Hints | None:
        """None: there are no partial indexes, and nothing is to be told.

        Args:
            own: lower-case names of the connection's own functions, which mean something else in a query than in an
                index.
            home: the tables' schema, in lower case.
        """
        known = {}
        tables = list(tables)
        if any(column.name.lower() in ("true", "false") for table in tables for column in table.columns):
            return None  # then the words would mean it somewhere and not elsewhere
        for table in tables:
            found = []
            for index in table.indexes:
                if index.where is not None:
                    items = tokens(index.where)
                    if any(token.text.lower() in own for token in items if token.kind in (WORD, OPERATOR)):
                        continue
                    wanted = _condition(items, _names_of(table, table.name.lower()))
                    if wanted is not None:
                        found.append((index.tree, wanted))
            if found:
                known[table.name.lower()] = (table, found)
        return cls(known, home) if known else None

    def text(self, sql: str, temporary: Collection[str], parameters: object = ()) -> str:
        """The statement to run; temporary: names that mean something else now. Never raises."""
        text = self._find(sql, temporary)
        return text if isinstance(text, str) else text.text(parameters)

    def _find(self, sql: str, temporary: Collection[str]) -> str | _Choice:
        if temporary is not self._temporary:
            self._texts.clear()
            self._temporary = temporary
        known = self._texts.get(sql)
        if known is not None:
            return known
        text: str | _Choice = sql
        lowered = sql.lower() if len(sql) < _LONG else ""
        if any(name in lowered for name in self._known):
            items = tokens(sql)
            hidden = {*temporary, *_shadowed(items)}
            if not any(_renames_truth(items, i) for i in range(len(items))):
                statement = _Statement(sql, {k: v for k, v in self._known.items() if k not in hidden}, self._home)
                statement.read()
                with suppress(ex.Error):  # a parameter's number that SQLite will refuse
                    text = _Choice(statement) if statement.needs() else statement.text(())
        if lowered:
            if len(self._texts) > _CACHED:
                self._texts.clear()
            self._texts[sql] = text
        return text


__all__ = ["HIDDEN", "Hints", "means"]
