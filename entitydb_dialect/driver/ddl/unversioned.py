"""Columns without history: `seen INTEGER UNVERSIONED` in a CREATE TABLE or ADD COLUMN, ALTER COLUMN ... SET and DROP
UNVERSIONED.

SQLite has no such word. So it is taken out of the text before SQLite parses it, and the catalog keeps it beside the
text, as places of columns in stored rows (docs/format.md, "Unversioned columns"). What has no history is fixed for a
place; a column that gets or loses its history gets another place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .._catalog import Column, Table
from ..sql.tokens import WORD, Token, closing, tokens, unquote
from .text import TableText

_CLAUSE = "UNVERSIONED"
_TAKES_A_NAME = ("COLLATE", "CONSTRAINT", "DEFAULT", "REFERENCES")  # what stands behind these is no clause


def _clause(items: list[Token], start: int, end: int) -> int | None:
    """Where the word stands in the definition of a column, behind its name; None: it is not there."""
    at = start + 1
    while at < end:
        if items[at].upper == "(":
            at = closing(items, at)
        elif items[at].kind == WORD and items[at].upper == _CLAUSE and items[at - 1].upper not in _TAKES_A_NAME:
            return at
        at += 1
    return None


def _without(sql: str, items: list[Token], at: int) -> str:
    return sql[: items[at - 1].end] + sql[items[at].end :]


def bare_table(sql: str) -> tuple[str, list[str]]:
    """A CREATE TABLE without the word, and the columns that had it, in lower case."""
    text = TableText(sql)
    found = [(start, at) for start, end in text.parts if (at := _clause(text.items, start, end)) is not None]
    for _, at in reversed(found):
        sql = _without(sql, text.items, at)
    return sql, [unquote(text.items[start].text).lower() for start, _ in found]


def bare_column(definition: str) -> tuple[str, bool]:
    """The definition of a column without the word, and whether it had it."""
    items = tokens(definition)
    at = _clause(items, 0, len(items))
    return (definition, False) if at is None else (_without(definition, items, at), True)


def without_history(table: Table, names: Iterable[str]) -> Table:
    """A table that was not stored yet, of which some columns, in lower case, have no history."""
    names = set(names)
    columns = tuple(replace(c, unversioned=c.unversioned or c.name.lower() in names) for c in table.columns)
    return replace(table, columns=columns)


def declared(column: Column) -> str:
    """What a definition of the column says of it, behind the rest."""
    return f" {_CLAUSE}" if column.unversioned else ""


def table_text(table: Table) -> str:
    """The CREATE TABLE of a table, with the word where it belongs."""
    sql = table.sql
    for column in table.visible:
        if column.unversioned:
            sql = TableText(sql).with_clause(column.name, _CLAUSE)
    return sql


__all__ = ["bare_column", "bare_table", "declared", "table_text", "without_history"]
