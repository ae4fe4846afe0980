"""Queries that ask for the schema: sqlite_master by our name. answers/master.py says who answers.

Where a table is named, `sqlite_master` becomes `entitydb_schema AS sqlite_master` and `x.sqlite_master` becomes
`entitydb_schema('x') AS sqlite_master`, so that columns are found under the name that was written. TEMP's own, names of
CTEs and what a statement writes to (which SQLite refuses) stay.
"""

from __future__ import annotations

from ..sql.statement import Statement
from ..sql.text import Edit, Text, edited
from ..sql.tokens import NO_ALIAS, QUOTED, STRING, WORD, quote
from .schemas import Schemas

NAMES = ("sqlite_master", "sqlite_schema")
OURS = "entitydb_schema"
_BEFORE = ("FROM", "JOIN", ",", "(", "IN")  # what stands before a table that is read


def _is_cte(text: Text, at: int) -> bool:
    """Is the name defined by WITH here: name [(columns)] AS [[NOT] MATERIALIZED] ( ...?"""
    at += 1
    if text.upper(at) == "(":
        at = text.closing(at) + 1
    if text.upper(at) != "AS":
        return False
    at += 1
    while text.upper(at) in ("NOT", "MATERIALIZED"):
        at += 1
    return text.upper(at) == "("


def _has_alias(text: Text, at: int) -> bool:
    return text.upper(at + 1) == "AS" or (text.is_name(at + 1) and text.upper(at + 1) not in NO_ALIAS)


def _in_place(text: Text, at: int, first: int, home: str) -> str | None:
    """What to write for the table name at a token, whose first token is `first`; None: it stays."""
    before = text.upper(first - 1)
    if before not in _BEFORE or (before == "FROM" and text.upper(first - 2) == "DELETE"):
        return None
    schema = text.name_at(first) if first < at else home
    if schema.lower() == "temp":
        return None
    if text.upper(at + 1) == "(":
        return None
    argument = "" if schema.lower() == "main" else "('" + schema.replace("'", "''") + "')"
    alias = "" if _has_alias(text, at) or before == "IN" else f" AS {quote(text.name_at(at))}"
    return f"{OURS}{argument}{alias}"


def edits(text: Text, home: str = "main") -> list[Edit] | None:
    """What makes the statement ask for `entitydb_schema`; None: it does not ask for the schema. An empty list: it asks
    by functions alone.

    Args:
        home: the schema that a name without one means.
    """
    words = [i for i, kind in enumerate(text.kinds) if kind in (WORD, QUOTED)]
    names = {i: text.name_at(i).lower() for i in words}
    named = [i for i in words if names[i] in NAMES]
    asks = any(name.startswith("pragma_") for name in names.values())
    ctes = {names[i] for i in named if _is_cte(text, i)}
    found: list[Edit] = []
    for i in named:
        first = i
        if text.upper(i - 1) == "." and i >= 2 and text.kinds[i - 2] in (WORD, QUOTED, STRING):
            first = i - 2
        elif names[i] in ctes:
            continue
        if text.upper(i + 1) == ".":
            if first < i and text.name_at(first).lower() != "temp":  # of a column: the schema is told by FROM
                found.append(Edit(text.starts[first], text.starts[i], ""))
            continue
        put = _in_place(text, i, first, home)
        if put is not None:
            found.append(Edit(text.starts[first], text.ends[i], put))
            asks = True
    return found if asks else None


def asks(statement: Statement) -> bool:
    """Does the statement ask for the schema?"""
    return edits(statement) is not None


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What makes a statement that asks for the schema ask for ours."""
    return (edits(statement) or []) if statement.asks_schema else []


def rewritten(sql: str, home: str = "main") -> str | None:
    """The statement with `entitydb_schema` for sqlite_master; None: it does not ask for the schema."""
    upper = sql.upper()
    if "SQLITE_" not in upper and "PRAGMA_" not in upper:
        return None
    found = edits(Text(sql), home)
    return None if found is None else edited(sql, found)


__all__ = ["NAMES", "OURS", "asks", "edits", "rewrite", "rewritten"]
