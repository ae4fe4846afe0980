"""min() of an indexed column, asked so that the index can answer.

SQLite takes the first entry of an index for max(), and for min() where no NULL can stand before it. It does not tell
virtual tables that it wants NULLs last, and so reads all rows. The same, as it is understood:

    SELECT min(a) AS n FROM t WHERE b = ?
    SELECT +(SELECT a FROM t WHERE (b = ?) AND a IS NOT NULL ORDER BY a LIMIT 1) AS "n"
"""

from __future__ import annotations

from typing import NamedTuple

from .._catalog import Table
from ..sql.tokens import NO_ALIAS, Token, is_name, quote, unquote

_ENDS_WHERE = frozenset(("GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", ",", ";"))


class Least(NamedTuple):
    """`SELECT min(column) [AS label] FROM table [AS alias] [WHERE condition]` and nothing else."""

    schema: str | None
    table: str
    column: str
    sql: str  # what to ask instead

    def pays(self, table: Table) -> bool:
        """Is there an index in which the column may come in order?"""
        names = [column.name.lower() for column in table.columns]
        if self.column.lower() not in names:
            return False
        at = names.index(self.column.lower())
        return at == table.rowid_column or any(part.column == at for index in table.indexes for part in index.parts)


def _name(items: list[Token], at: int) -> int:
    """Behind a name, maybe qualified; `at` if there is none."""
    if at >= len(items) or not is_name(items[at]) or items[at].kind == "string":
        return at
    if at + 2 < len(items) and items[at + 1].upper == "." and is_name(items[at + 2]):
        return at + 3
    return at + 1


def _words(items: list[Token], at: int, *words: str) -> bool:
    return [token.upper for token in items[at : at + len(words)]] == list(words)


def least(items: list[Token], at: int, sql: str) -> Least | None:
    """items[at]: the token behind SELECT."""
    while items and items[-1].upper == ";":
        items = items[:-1]
    first = at
    if not _words(items, at, "MIN", "("):
        return None
    column = at + 2
    at = _name(items, column)
    if at == column or not _words(items, at, ")"):
        return None
    reference = sql[items[column].start : items[at - 1].end]
    name = unquote(items[at - 1].text)
    qualifier = unquote(items[column].text) if at - column == 3 else None
    label = sql[items[first].start : items[at].end]
    at += 1
    if _words(items, at, "AS") or not _words(items, at, "FROM"):
        at += _words(items, at, "AS")
        if at >= len(items) or not is_name(items[at]):
            return None
        label = unquote(items[at].text)
        at += 1
    if not _words(items, at, "FROM"):
        return None
    source = at + 1
    at = _name(items, source)
    if at == source:
        return None
    schema = unquote(items[source].text) if at - source == 3 else None
    table = alias = unquote(items[at - 1].text)
    aliased = _words(items, at, "AS")
    at += aliased
    if aliased or (at < len(items) and items[at].upper not in NO_ALIAS):
        if at >= len(items) or not is_name(items[at]) or items[at].upper in NO_ALIAS:
            return None
        alias = unquote(items[at].text)
        at += 1
    if qualifier is not None and qualifier.lower() != alias.lower():
        return None
    of = sql[items[source].start : items[at - 1].end]
    condition = ""
    if at < len(items):
        if not _words(items, at, "WHERE") or at + 1 == len(items) or not _is_condition(items[at + 1 :]):
            return None
        condition = f"({sql[items[at + 1].start : items[-1].end]}\n) AND "
    select = sql[: items[first - 1].start]
    inner = f"SELECT {reference} FROM {of} WHERE {condition}{reference} IS NOT NULL ORDER BY {reference} LIMIT 1"
    return Least(schema, table, name, f"{select}SELECT +({inner}) AS {quote(label)}")


def _is_condition(items: list[Token]) -> bool:
    """Does WHERE reach to the end?"""
    depth = 0
    for token in items:
        depth += (token.upper == "(") - (token.upper == ")")
        if depth < 0 or (depth == 0 and token.upper in _ENDS_WHERE) or token.kind == "bad":
            return False
    return depth == 0


__all__ = ["Least", "least"]
