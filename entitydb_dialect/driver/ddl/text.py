"""Edits of a CREATE TABLE statement's text, by tokens, for the ALTERs that SQLite does not have.

The text in the catalog is what tools show and what the table is parsed from, so an ALTER changes the text and all
else follows from it. White space and comments elsewhere stay as they were written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..._exceptions import OperationalError
from ..sql.tokens import NUMBER, STRING, Token, closing, is_name, tokens, unquote

_STARTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "COLLATE", "REFERENCES", "FOREIGN", "GENERATED"}


class Segment(NamedTuple):
    """One constraint of a column or table: tokens from start up to end, `CONSTRAINT name` included."""

    kind: str  # its first keyword: NOT, NULL, DEFAULT, PRIMARY, UNIQUE, CHECK, ...
    name: str | None
    start: int
    end: int


def _starts(items: list[Token], at: int) -> bool:
    word = items[at].upper
    before = items[at - 1].upper if at else ""
    after = items[at + 1].upper if at + 1 < len(items) else ""
    if word in _STARTS:
        return True
    if word == "NOT":
        return after == "NULL"
    if word == "NULL":
        return before not in ("NOT", "SET", "DEFAULT")
    if word == "DEFAULT":
        return before != "SET"
    return word == "AS" and after == "(" and before != "ALWAYS"


def _segments(items: list[Token], start: int, end: int) -> list[Segment]:
    """The constraints among the tokens of one part of a column list."""
    begun: list[tuple[int, int]] = []  # first token, deciding token
    at = start
    while at < end:
        if items[at].upper == "(":
            at = closing(items, at) + 1
            continue
        inside_foreign = bool(begun) and items[begun[-1][1]].upper == "FOREIGN"
        if _starts(items, at) and not (inside_foreign and items[at].upper == "REFERENCES"):
            named = items[at].upper == "CONSTRAINT"
            decides = min(at + 2, end - 1) if named else at
            begun.append((at, decides))
            at = decides
        at += 1
    found = []
    for i, (first, decides) in enumerate(begun):
        name = unquote(items[first + 1].text) if decides != first else None
        found.append(Segment(items[decides].upper, name, first, begun[i + 1][0] if i + 1 < len(begun) else end))
    return found


class TableText:
    """A CREATE TABLE statement with its column list found."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.items = tokens(sql)
        self.opening = next((i for i, t in enumerate(self.items) if t.upper == "("), len(self.items))
        self.end = closing(self.items, self.opening)
        self.parts: list[tuple[int, int]] = []
        start, at = self.opening + 1, self.opening + 1
        while at <= self.end and at < len(self.items):
            upper = self.items[at].upper
            if at == self.end or upper == ",":
                self.parts.append((start, at))
                start = at + 1
            at = closing(self.items, at) + 1 if upper == "(" else at + 1

    def column(self, name: str) -> tuple[int, int]:
        for start, end in self.parts:
            if is_name(self.items[start]) and unquote(self.items[start].text).lower() == name.lower():
                return start, end
        raise OperationalError(f'no such column: "{name}"')

    def _cut(self, start: int, end: int, put: str = "") -> str:
        """The text without the tokens from start up to end, `put` in their place."""
        before, behind = self.sql[: self.items[start - 1].end], self.sql[self.items[end].start :]
        space = "" if self.items[end].text in (",", ")") else " "
        return before + (" " + put if put else "") + space + behind

    def without(self, column: str, unwanted: Callable[[Segment], bool]) -> str:
        """The text without a column's constraints of a kind."""
        start, end = self.column(column)
        for segment in _segments(self.items, start + 1, end):
            if unwanted(segment):
                return TableText(self._cut(segment.start, segment.end)).without(column, unwanted)
        return self.sql

    def with_type(self, column: str, declared: str) -> str:
        start, end = self.column(column)
        segments = _segments(self.items, start + 1, end)
        return self._cut(start + 1, segments[0].start if segments else end, declared)

    def with_clause(self, column: str, clause: str) -> str:
        """The text with a constraint right behind a column's type."""
        start, end = self.column(column)
        segments = _segments(self.items, start + 1, end)
        at = segments[0].start if segments else end
        return self._cut(at, at, clause)

    def with_constraint(self, text: str) -> str:
        """The text with a table constraint more."""
        last = self.items[self.end]
        return f"{self.sql[: self.items[self.end - 1].end]}, {text}{self.sql[last.start :]}"

    def without_constraint(self, name: str) -> str | None:
        """The text without a named constraint; None: it has none of that name."""
        for start, end in self.parts:
            for segment in _segments(self.items, start, end):
                if segment.name is None or segment.name.lower() != name.lower():
                    continue
                if segment.start > start:
                    return self._cut(segment.start, segment.end)
                if segment.end < end:
                    return self.sql[: self.items[start].start] + self.sql[self.items[segment.end].start :]
                comma = self.items[start - 1]  # a table always has a column before its constraints
                return self.sql[: comma.start] + self.sql[self.items[end - 1].end :]
        return None


def default_clause(expression: str) -> str:
    """DEFAULT and an expression, parenthesised where SQLite's grammar wants it."""
    items = tokens(expression)
    literal = len(items) == 1 and (items[0].kind in (NUMBER, STRING) or items[0].upper in _LITERALS)
    signed = len(items) == 2 and items[0].text in "+-" and items[1].kind == NUMBER
    whole = bool(items) and items[0].text == "(" and closing(items, 0) == len(items) - 1
    return f"DEFAULT {expression}" if literal or signed or whole else f"DEFAULT ({expression})"


_LITERALS = {"NULL", "TRUE", "FALSE", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"}
