"""The query cores of a statement: each SELECT with a FROM, and the UPDATE or DELETE itself, taken apart into clauses.

A core that cannot be followed is left out: one with NATURAL, RIGHT or FULL JOIN, which mix rows or names in other ways,
and one whose text is no SQL. So is a subquery whose text names a column of a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .text import Range, Text
from .tokens import QUOTED

_JOINS = frozenset(("NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "JOIN"))
_CLAUSES = frozenset(("SELECT", "FROM", "WHERE", "ON", "SET", "GROUP", "HAVING", "ORDER", "LIMIT", "VALUES"))
_ENDS = frozenset((
    *("WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "RETURNING", "SELECT", ";", ")"),
))  # fmt: skip
_COMPOUND = frozenset(("UNION", "EXCEPT", "INTERSECT", "ALL"))
_VERBS = ("SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE")
_NO_ALIAS = frozenset(("ON", "USING", "INDEXED", "NOT", "SET", "FROM")) | _JOINS | _ENDS


class Reference(NamedTuple):
    """A table in FROM."""

    schema: str  # lower case; "main" where none is written
    table: str  # lower case; "" for a subquery or a function
    alias: str  # what its columns are called by
    join: str  # LEFT, or "" for any inner join
    on: Range | None  # its condition's tokens


class Core(NamedTuple):
    """A query core, or the UPDATE or DELETE. Ranges are of tokens."""

    references: tuple[Reference, ...]
    where: Range | None
    listed: Range | None = None  # the results of a SELECT
    group: Range | None = None
    order: Range | None = None
    is_alone: bool = False  # a SELECT without DISTINCT, HAVING and UNION or the like: its order is that of its rows


class _Lost(Exception):
    """The text cannot be followed."""


def cores(text: Text) -> list[Core]:
    """All cores, in the order of their first words."""
    found = []
    verb = _verb(text)
    for at, word in enumerate(text.uppers):
        if word == "SELECT" or (at == verb and word in ("UPDATE", "DELETE")):
            try:
                core = _select(text, at) if word == "SELECT" else _change(text, at)
            except _Lost:
                continue
            if core is not None:
                found.append(core)
    return found


def _verb(text: Text) -> int:
    """The token that decides what the statement is."""
    at = 0
    while at < len(text) and text.uppers[at] not in _VERBS:
        at = text.closing(at) + 1 if text.uppers[at] == "(" else at + 1
    return at


def _select(text: Text, at: int) -> Core | None:
    """A query core, whose SELECT is the token `at`; None: it has no FROM, or its text is a column's name."""
    start = _clause(text, at + 1, "FROM")
    if text.upper(start) != "FROM" or _names_column(text, at):
        return None
    references = _from_list(text, start + 1)
    clauses, end = _clauses(text, start + 1)
    is_alone = (
        text.upper(at - 1) not in _COMPOUND
        and text.upper(at + 1) != "DISTINCT"
        and text.upper(end) not in _COMPOUND
        and "HAVING" not in clauses
    )
    where = clauses.get("WHERE")
    return Core(references, where, (at + 1, start), clauses.get("GROUP"), clauses.get("ORDER"), is_alone)


def _change(text: Text, at: int) -> Core:
    """UPDATE or DELETE, the token `at`."""
    if text.upper(at) == "DELETE":
        at += 1
    elif text.upper(at + 1) == "OR":
        at += 2
    target, at = _reference(text, at + 1, "")
    at = _clause(text, at, "FROM")
    others = _from_list(text, at + 1) if text.upper(at) == "FROM" else ()
    at = _clause(text, at)
    where = (at + 1, _clause(text, at + 1)) if text.upper(at) == "WHERE" else None
    return Core((target, *others), where)


def _clause(text: Text, at: int, *words: str) -> int:
    """The first of the words, or what ends a query's clause, from `at` on at this level."""
    uppers, end = text.uppers, len(text)
    while at < end:
        upper = uppers[at]
        if upper == "(":
            at = text.closing(at)
        elif upper in _ENDS or (
            (upper in words and not _is_distinct_from(text, at)) or (upper == "WINDOW" and _is_window(text, at))
        ):
            return at
        at += 1
    return end


def _clauses(text: Text, at: int) -> tuple[dict[str, Range], int]:
    """What follows FROM, by its first word, and where that ends."""
    found: dict[str, Range] = {}
    at = _clause(text, at)
    while text.upper(at) in ("WHERE", "GROUP", "HAVING", "ORDER") and not _is_window(text, at):
        begin = at + 1 if text.upper(at) in ("WHERE", "HAVING") else at + 2
        end = _clause(text, begin)
        found.setdefault(text.upper(at), (begin, end))
        at = end
    return found, at


def _is_distinct_from(text: Text, at: int) -> bool:
    """IS [NOT] DISTINCT FROM"""
    if text.upper(at) != "FROM" or text.upper(at - 1) != "DISTINCT":
        return False
    return text.upper(at - 2) == "IS" or (text.upper(at - 2) == "NOT" and text.upper(at - 3) == "IS")


def _is_window(text: Text, at: int) -> bool:
    """WINDOW name AS ("""
    return text.upper(at) == "WINDOW" and text.upper(at + 2) == "AS" and text.upper(at + 3) == "("


def _name(text: Text, at: int) -> str:
    if not text.is_name(at):
        raise _Lost
    return text.name_at(at)


def _reference(text: Text, at: int, join: str) -> tuple[Reference, int]:
    """[schema.]name [[AS] alias] [INDEXED BY name | NOT INDEXED], a subquery, or a function. -> and what follows"""
    schema, table, alias = "main", "", ""
    if text.upper(at) == "(":
        at = text.closing(at) + 1
    else:
        alias, at = _name(text, at), at + 1
        if text.upper(at) == ".":
            schema, alias, at = alias.lower(), _name(text, at + 1), at + 2
        if text.upper(at) == "(":
            at = text.closing(at) + 1
        else:
            table = alias.lower()
    if text.upper(at) == "AS":
        alias, at = _name(text, at + 1), at + 2
    elif text.is_name(at) and text.uppers[at] not in _NO_ALIAS and not _is_window(text, at):
        alias, at = text.name_at(at), at + 1
    if text.upper(at) == "INDEXED":
        at += 3
    elif text.upper(at) == "NOT":
        at += 2
    return Reference(schema, table, alias, join, None), at


def _join(text: Text, at: int) -> tuple[str, int]:
    """-> LEFT or "", and what follows the operator."""
    words = []
    while text.upper(at) in _JOINS and text.upper(at) != "JOIN":
        words.append(text.upper(at))
        at += 1
    if text.upper(at) != "JOIN" or "NATURAL" in words or "RIGHT" in words or "FULL" in words:
        raise _Lost
    return "LEFT" if "LEFT" in words else "", at + 1


def _from_list(text: Text, at: int) -> tuple[Reference, ...]:
    """What stands in FROM, from `at` on."""
    found = []
    join = ""
    while True:
        reference, at = _reference(text, at, join)
        if text.upper(at) == "ON":
            end = _clause(text, at + 1, ",", *_JOINS)
            reference, at = reference._replace(on=(at + 1, end)), end
        found.append(reference)
        if text.upper(at) == ",":
            join, at = "", at + 1
        elif text.upper(at) in _JOINS:
            join, at = _join(text, at)
        elif at >= len(text) or text.upper(at) in _ENDS or _is_window(text, at):
            return tuple(found)
        else:
            raise _Lost


def _names_column(text: Text, at: int) -> bool:
    """Is it a subquery in a list of results whose text is the column's name?"""
    depth = 0
    looking = aliased = False  # for the clause that the parenthesis behind is in; whether AS names that
    for i in range(at - 1, -1, -1):
        upper = text.uppers[i]
        depth += (upper == ")") - (upper == "(")
        if depth < 0:
            depth, looking = 0, True
            aliased = text.upper(text.closing(i) + 1) == "AS"
        elif depth == 0 and looking and upper in _CLAUSES:
            if upper == "SELECT":
                return not aliased
            looking = False
    return False


def shadowed(text: Text) -> Iterator[str]:
    """Names that WITH may give another meaning: those before AS [[NOT] MATERIALIZED] (."""
    for i, upper in enumerate(text.uppers):
        if upper != "AS":
            continue
        at = i + 1
        while text.upper(at) in ("NOT", "MATERIALIZED"):
            at += 1
        if text.upper(at) != "(":
            continue
        at = i - 1
        if text.upper(at) == ")":
            opening = text.partners[at]
            at = opening - 1 if opening >= 0 else -1
        if at >= 0 and text.is_name(at):
            yield text.name_at(at).lower()


def renames_truth(text: Text) -> bool:
    """Does a column take the place of TRUE or FALSE?"""
    if "TRUE" not in (upper := text.sql.upper()) and "FALSE" not in upper:
        return False
    return any(
        text.is_name(i)
        and text.name_at(i).lower() in ("true", "false")
        and (text.kinds[i] == QUOTED or text.upper(i - 1) == "AS")
        for i in range(len(text))
    )


__all__ = ["Core", "Reference", "cores", "renames_truth", "shadowed"]
