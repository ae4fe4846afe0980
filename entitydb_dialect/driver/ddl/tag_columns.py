"""Tag columns: `status TEXT TAG 'status'` in a CREATE TABLE or ADD COLUMN, and ALTER COLUMN ... SET TAG.

SQLite has no such clause; it would take the two words for a part of the type's name. So the clause is taken out of the
text before SQLite parses it, and the catalog keeps it beside the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..._exceptions import OperationalError
from .._catalog import Column, Table
from ..sql.tokens import STRING, WORD, Token, closing, tokens, unquote
from .text import TableText


def _clause(items: list[Token], start: int, end: int) -> int | None:
    """Where the clause begins in the definition of a column, behind its name; None: it has none."""
    at = start + 1
    while at + 1 < end:
        if items[at].upper == "(":
            at = closing(items, at)
        elif items[at].kind == WORD and items[at].upper == "TAG" and items[at + 1].kind == STRING:
            return at
        at += 1
    return None


def _cut(sql: str, items: list[Token], spans: list[int]) -> str:
    for at in reversed(spans):
        sql = sql[: items[at - 1].end] + sql[items[at + 1].end :]
    return sql


def taken_from_table(sql: str) -> tuple[str, dict[str, str]]:
    """A CREATE TABLE without the clauses, and the namespaces by lower-case column name."""
    text = TableText(sql)
    found = [(start, at) for start, end in text.parts if (at := _clause(text.items, start, end)) is not None]
    names = {unquote(text.items[start].text).lower(): unquote(text.items[at + 1].text) for start, at in found}
    return _cut(sql, text.items, [at for _, at in found]), names


def taken_from_column(definition: str) -> tuple[str, str | None]:
    """The definition of a column without the clause, and the namespace."""
    items = tokens(definition)
    at = _clause(items, 0, len(items))
    return (definition, None) if at is None else (_cut(definition, items, [at]), unquote(items[at + 1].text))


def tagged(table: Table, namespaces: Mapping[str, str | None]) -> Table:
    """The table with tag columns (None: no more), by lower-case name. OperationalError for what cannot be one."""
    columns = tuple(replace(c, tag=namespaces.get(c.name.lower(), c.tag)) for c in table.columns)
    seen: dict[str, Column] = {}
    for column in columns:
        if column.tag is None:
            continue
        where = f"{table.name}.{column.name}"
        if not column.tag or ":" in column.tag or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in column.tag):
            raise OperationalError(
                f"{where}: {column.tag!r} is no namespace of tags: a text without colons and control characters"
            )
        if column.expression is not None and not column.stored:
            raise OperationalError(f"{where}: a VIRTUAL column cannot be a tag column, since no row has its value")
        if column.tag in seen:
            raise OperationalError(f"{where}: {table.name}.{seen[column.tag].name} has the namespace {column.tag!r}")
        seen[column.tag] = column
    return replace(table, columns=columns)


__all__ = ["tagged", "taken_from_column", "taken_from_table"]
