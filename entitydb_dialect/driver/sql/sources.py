"""What a statement reads from: the names in FROM and behind IN, with their arguments and FOR SYSTEM_TIME; and what it
changes.

Every FROM is followed, at whatever depth, through joins in parentheses. What cannot be followed is left out, and SQLite
refuses it in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .periods import Period, is_period, read_period
from .text import Range, Text
from .tokens import STRING

_JOINS = frozenset(("NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "JOIN"))
_ENDS = frozenset((
    *("WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "RETURNING", "SELECT", ";", ")"),
    *("WINDOW", "SET", "VALUES", "DEFAULT", "DO"),
))  # fmt: skip
_NO_ALIAS = frozenset(("ON", "USING", "INDEXED", "NOT", "FROM", "FOR")) | _JOINS | _ENDS

FROM, IN, TARGET = "from", "in", "target"


class Source(NamedTuple):
    """A name that rows come from, or that is changed.

    Attributes:
        role: FROM; IN, of `x IN name`; TARGET, of an INSERT, UPDATE or DELETE.
        schema: what is written before the dot; None: nothing.
        name: without quotes.
        tokens: schema and name.
        arguments: the tokens within its parentheses; None: it has none.
        alias: the token of its alias; -1: none.
        periods: its clauses FOR SYSTEM_TIME.
        in_group: it stands within a join in parentheses.
    """

    role: str
    schema: str | None
    name: str
    tokens: Range
    arguments: Range | None = None
    alias: int = -1
    periods: tuple[Period, ...] = ()
    in_group: bool = False

    @property
    def end(self) -> int:
        """The token behind name and arguments."""
        return self.tokens[1] if self.arguments is None else self.arguments[1] + 1

    @property
    def written(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


class Lost(Exception):
    """A clause FOR SYSTEM_TIME stands behind what is no table."""


def sources(text: Text) -> list[Source]:
    """All of them, in their order. Raises Lost."""
    found: list[Source] = []
    for at, upper in enumerate(text.uppers):
        if upper == "FROM" and text.upper(at - 1) == "DELETE":
            found.append(_named(text, at + 1, TARGET)[0])
        elif upper == "FROM" and text.upper(at - 1) not in ("DISTINCT", "SYSTEM_TIME"):
            _read_list(text, at + 1, found, False)
        elif upper == "INTO":
            found.append(_named(text, at + 1, TARGET)[0])
        elif upper == "UPDATE" and text.upper(at + 1) != "SET" and text.upper(at - 1) != "FOR":
            found.append(_named(text, at + (3 if text.upper(at + 1) == "OR" else 1), TARGET)[0])
        elif upper == "IN" and text.upper(at - 1) != "CONTAINED" and text.is_name(at + 1):
            found.append(_named(text, at + 1, IN)[0])
    return sorted((one for one in found if one.name), key=lambda one: one.tokens)


def _named(text: Text, at: int, role: str, in_group: bool = False) -> tuple[Source, int]:
    """[schema.]name[(arguments)] [FOR SYSTEM_TIME ...] [[AS] alias] [FOR SYSTEM_TIME ...]. -> and what follows"""
    start, schema, arguments, alias = at, None, None, -1
    if not text.is_name(at):
        return Source(role, None, "", (at, at)), at
    name, at = text.name_at(at), at + 1
    if text.upper(at) == "." and text.is_name(at + 1):
        schema, name, at = name, text.name_at(at + 1), at + 2
    tokens = (start, at)
    if text.upper(at) == "(" and role != TARGET:
        closing = text.closing(at)
        arguments, at = (at + 1, closing), min(closing + 1, len(text))
    periods = []
    while True:
        if is_period(text, at):
            periods.append(read_period(text, at))
            at = periods[-1].tokens[1]
        elif alias < 0 and role != IN and text.upper(at) == "AS" and text.is_name(at + 1):
            alias, at = at + 1, at + 2
        elif alias < 0 and role != IN and text.is_name(at) and text.uppers[at] not in _NO_ALIAS:
            alias, at = at, at + 1
        else:
            return Source(role, schema, name, tokens, arguments, alias, tuple(periods), in_group), at


def _read_list(text: Text, at: int, found: list[Source], in_group: bool) -> None:
    """What stands in FROM, from `at` on."""
    while at < len(text):
        if text.uppers[at] == "(":
            if text.upper(at + 1) not in ("SELECT", "WITH", "VALUES"):
                _read_list(text, at + 1, found, True)
            at = _behind_group(text, at)
        else:
            source, at = _named(text, at, FROM, in_group)
            found.append(source)
        if text.upper(at) == "INDEXED":
            at += 3
        elif text.upper(at) == "NOT" and text.upper(at + 1) == "INDEXED":
            at += 2
        if text.upper(at) == "ON":
            at = _behind_condition(text, at + 1)
        elif text.upper(at) == "USING" and text.upper(at + 1) == "(":
            at = text.closing(at + 1) + 1
        if text.upper(at) == ",":
            at += 1
        elif text.upper(at) in _JOINS:
            while text.upper(at) in _JOINS:
                at += 1
        else:
            return


def _behind_group(text: Text, at: int) -> int:
    """Behind a subquery or a join in parentheses, and its alias."""
    at = text.closing(at) + 1
    if is_period(text, at):
        raise Lost
    if text.upper(at) == "AS" and text.is_name(at + 1):
        at += 2
    elif text.is_name(at) and text.uppers[at] not in _NO_ALIAS:
        at += 1
    if is_period(text, at):
        raise Lost
    return at


def _behind_condition(text: Text, at: int) -> int:
    """Behind ON: what ends it at this level."""
    while at < len(text):
        upper = text.uppers[at]
        if upper == "(":
            at = text.closing(at)
        elif upper in (",", "JOIN") or upper in _ENDS or (upper in _JOINS and text.upper(at + 1) != "("):
            return at  # LEFT( and RIGHT( are functions, JOIN ( is a join in parentheses
        at += 1
    return at


def qualified(text: Text, schema: str, name: str) -> Iterator[tuple[int, int]]:
    """Offsets of what stands before the name in `schema.name.column`."""
    for at in range(len(text) - 4):
        if (
            text.uppers[at + 1] == "." == text.uppers[at + 3]
            and text.is_name(at)
            and text.is_name(at + 2)
            and text.kinds[at] != STRING
            and text.name_at(at).lower() == schema.lower()
            and text.name_at(at + 2).lower() == name.lower()
        ):
            yield text.starts[at], text.starts[at + 2]


__all__ = ["FROM", "IN", "TARGET", "Lost", "Source", "qualified", "sources"]
