"""The indexes of a database that SQLite cannot use by itself: partial ones and those on expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple, TypeVar

from .._catalog import Table
from ..sql.cores import renames_truth, shadowed
from ..sql.statement import HAS_TERMS, LONG, Statement
from ..sql.terms import COLUMN, CONSTANT, Condition, Names, Words, condition, expression_words
from ..sql.text import Text
from ..sql.tokens import OPERATOR, WORD
from .schemas import Schemas

T = TypeVar("T")

_QUOTES = frozenset("\"'`[]")
_DEPENDS = frozenset(("LIKE", "GLOB", "REGEXP", "MATCH", "LIKELY", "UNLIKELY", "LIKELIHOOD", "COLLATE"))


class Indexes(NamedTuple):
    """Those of one database.

    Attributes:
        home: its name as a schema, in lower case. Tables of others than main are known where it is written.
        partial: by lower-case name of the table: the table, and the numbers of the indexes' trees with their WHEREs.
        expressions: likewise: the names of hidden columns by the expressions that they hold.
        partial_words, expression_words: what of each a text that may use it has, in lower case; see has_words().
        constants: the numbers and texts in them, as they are written.
    """

    home: str
    partial: Mapping[str, tuple[Table, list[tuple[int, Condition]]]]
    expressions: Mapping[str, tuple[Table, Mapping[Words, str]]]
    partial_words: tuple[Words, ...] = ()
    expression_words: tuple[Words, ...] = ()
    constants: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tables: Iterable[Table], own: Collection[str], home: str) -> Indexes | None:
        """None: there are none.

        Args:
            own: lower-case names of the connection's own functions, which mean something else in a query than in an
                index.
        """
        tables = list(tables)
        # A column of that name would be meant by the word somewhere and not elsewhere.
        renamed = any(column.name.lower() in ("true", "false") for table in tables for column in table.columns)
        partial: dict[str, tuple[Table, list[tuple[int, Condition]]]] = {}
        expressions: dict[str, tuple[Table, Mapping[Words, str]]] = {}
        for table in tables:
            wheres = [] if renamed else _partial(table, own)
            if wheres:
                partial[table.name.lower()] = (table, wheres)
            columns = _expressions(table, own)
            if columns:
                expressions[table.name.lower()] = (table, columns)
        if not partial and not expressions:
            return None
        of_partial: set[Words] = {
            (table, name) for table, (_, wheres) in partial.items() for _, one in wheres for name in _columns(one.words)
        }
        of_expressions: set[Words] = {
            (table, *_columns(words), *_calls(words)) for table, (_, held) in expressions.items() for words in held
        }
        terms = [one.words for _, wheres in partial.values() for _, one in wheres]
        terms += [words for _, held in expressions.values() for words in held]
        constants = frozenset(word for words in terms for word in words if word[0] in CONSTANT)
        return cls(home, partial, expressions, _findable(of_partial), _findable(of_expressions), constants)


def _columns(words: Words) -> list[str]:
    """The columns named in a term; "" for a row id, which has several names, and where no column is named."""
    names = [word.removeprefix(COLUMN) for word in words if word.startswith(COLUMN)]
    return ["" if name == "rowid" else name for name in names] or [""]


def _calls(words: Words) -> list[str]:
    return [word.lower() for word, behind in pairwise(words) if behind == "(" and word.isidentifier()]


def _findable(groups: set[Words]) -> tuple[Words, ...]:
    """Without names that may be written in other ways than in lower case, or with quotes in them."""
    return tuple({tuple(sorted({n for n in names if n.isascii() and not _QUOTES & set(n)})) for names in groups})


def has_words(lowered: str, groups: Iterable[Words]) -> bool:
    """Has a text, in lower case, all words of one of the groups?"""
    return any(all(word in lowered for word in words) for words in groups)


def _calls_own(text: Text, own: Collection[str]) -> bool:
    names = (text.written(i).lower() for i, kind in enumerate(text.kinds) if kind in (WORD, OPERATOR))
    return any(name in own for name in names)


def _partial(table: Table, own: Collection[str]) -> list[tuple[int, Condition]]:
    found = []
    for index in table.indexes:
        if index.where is not None:
            text = Text(index.where)
            wanted = None if _calls_own(text, own) else whole(text, table)
            if wanted is not None:
                found.append((index.tree, wanted))
    return found


def whole(text: Text, table: Table) -> Condition | None:
    """All of a text as a condition over a table."""
    return condition(text, (0, len(text)), Names.of(table, table.name.lower()))


def _expressions(table: Table, own: Collection[str]) -> dict[Words, str]:
    found: dict[Words, str] = {}
    for column in table.columns:
        if column.hidden and column.expression and not _means_otherwise(Text(column.expression), table, own):
            words = expression_words(column.expression, table)
            if words is not None:
                found.setdefault(words, column.name)
    return found


def _means_otherwise(text: Text, table: Table, own: Collection[str]) -> bool:
    """Does an expression mean something else to a query than its column would? CAST and + hand on a collation."""
    if text.upper(0) in ("CAST", "+", "(") and any(column.collation for column in table.visible):
        return True
    return any(word in _DEPENDS for word in text.uppers) or _calls_own(text, own)


def mentioned(statement: Statement, schemas: Schemas) -> Iterator[Indexes]:
    """Of each database the indexes of those tables that the statement names, as far as the names mean them."""
    if not statement.flags & HAS_TERMS or len(statement.sql) >= LONG:
        return
    lowered = statement.sql.lower()
    hidden: set[str] | None = None
    for indexes in schemas.indexes:
        partial = has_words(lowered, indexes.partial_words)
        expressions = has_words(lowered, indexes.expression_words)
        if not partial and not expressions:
            continue
        if hidden is None:
            if renames_truth(statement):
                return
            hidden = {*schemas.temporary, *shadowed(statement)}
        yield indexes._replace(
            partial=_without(hidden, indexes.partial) if partial else {},
            expressions=_without(hidden, indexes.expressions) if expressions else {},
        )


def _without(hidden: set[str], tables: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in tables.items() if name not in hidden}


__all__ = ["Indexes", "has_words", "mentioned", "whole"]
