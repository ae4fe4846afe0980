"""What the names of columns in one query mean, and what its conditions compare.

A name is understood only where it can mean nothing else: the column of a table of ours that is in FROM by itself. What
may be a common table expression, a TEMP table, a view, a subquery or a function is none of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._catalog import Column, Table
from ..sql.cores import Core, shadowed
from ..sql.statement import Statement
from ..sql.terms import joined_by_and
from ..sql.text import Range
from ..sql.tokens import QUOTED, STRING, quote
from .schemas import Schemas

Place = tuple[int, int]  # the reference's place in FROM, the column's in its table

# Bare words that are values, even where a column is called so.
_VALUES = frozenset(("NULL", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"))


class QueryNames(NamedTuple):
    """What can be named in one query: its tables in the order of FROM, None for what is no table of ours."""

    aliases: list[str]
    tables: list[Table | None]

    @classmethod
    def of(cls, core: Core, schemas: Schemas, hidden: set[str]) -> QueryNames:
        """hidden: what hidden_names() gives."""
        tables: list[Table | None] = []
        for reference in core.references:
            named = reference.table and reference.table not in hidden
            located = schemas.locate(reference.schema, reference.table) if named else None
            tables.append(located.table if located else None)
        return cls([reference.alias for reference in core.references], tables)

    def column(self, place: Place) -> Column:
        table = self.tables[place[0]]
        assert table is not None
        return table.columns[place[1]]

    def written(self, place: Place) -> str:
        return f"{quote(self.aliases[place[0]])}.{quote(self.column(place).name)}"

    def meant(self, text: Statement, at: Range) -> Place | None:
        """What `[alias.]name` means; None: perhaps something else."""
        start, end = at
        if not (end - start == 1 or (end - start == 3 and text.upper(start + 1) == ".")):
            return None
        if not text.is_name(start) or not text.is_name(end - 1):
            return None
        if end - start == 1 and _is_value(text, start):
            return None
        qualifier = text.name_at(start).lower() if end - start == 3 else None
        wanted = text.name_at(end - 1).lower()
        meant = [i for i, alias in enumerate(self.aliases) if qualifier is None or alias.lower() == qualifier]
        tables = [self.tables[i] for i in meant]
        if None in tables or (qualifier is not None and len(meant) != 1):
            return None
        found = [
            (i, number)
            for i, table in zip(meant, tables, strict=True) if table is not None
            for number, column in enumerate(table.columns) if column.name.lower() == wanted and not column.hidden
        ]  # fmt: skip
        return found[0] if len(found) == 1 else None


def _is_value(text: Statement, at: int) -> bool:
    """Is the token alone a value: a text in single quotes, or a word for one?"""
    kind = text.kinds[at]
    return kind == STRING or (kind != QUOTED and text.upper(at) in _VALUES)


def hidden_names(statement: Statement, schemas: Schemas) -> set[str]:
    """Lower-case names that may mean something else than a table of ours: those of TEMP tables, and those that WITH
    gives a meaning."""
    return {*schemas.temporary, *shadowed(statement)}


def equalities(text: Statement, condition: Range) -> Iterator[tuple[Range, Range]]:
    """Both sides of the terms `one = other` that AND joins in a condition: all of them have to be true."""
    for start, end in joined_by_and(text, condition):
        signs = [i for i in range(start, end) if text.uppers[i] in ("=", "==")]
        if len(signs) == 1:
            yield (start, signs[0]), (signs[0] + 1, end)


__all__ = ["Place", "QueryNames", "equalities", "hidden_names"]
