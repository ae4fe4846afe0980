"""What `entitydb_tags` and `entitydb_tagged` cannot do, refused in words that say so.

Both are main's. SQLite finds such a table under any schema's name, so that `DELETE FROM x.entitydb_tags` would delete
tags of main. RETURNING and DO UPDATE need a table with columns of its own to read back or to set.
"""

from __future__ import annotations

from ... import _exceptions as ex
from ..sql.statement import WRITE, Statement
from ..sql.text import Edit, Text
from .schemas import Schemas

NAMES = ("entitydb_tags", "entitydb_tagged")
_BEFORE = ("FROM", "JOIN", "INTO", "UPDATE", "IN")  # what stands before a table
_CLAUSES = ("SELECT", "WHERE", "SET", "VALUES", "GROUP", "ORDER", "HAVING", "RETURNING", "WINDOW", "LIMIT")


def _is_listed(text: Text, at: int) -> bool:
    """Does the comma or parenthesis at a token belong to a list of tables?"""
    while at >= 0 and text.upper(at) not in _CLAUSES:
        if text.upper(at) in ("FROM", "JOIN", "ON", "USING"):
            return True
        if text.upper(at) == "(" and text.upper(at - 1) not in (*_BEFORE, ",", "("):
            return False
        opening = text.partners[at] if text.upper(at) == ")" else at
        at = min(opening, at) - 1
    return False


def _is_table(text: Text, first: int) -> bool:
    """Is the name that begins at a token a table's, and no column's?"""
    before = text.upper(first - 1)
    return before in _BEFORE or (before in (",", "(") and _is_listed(text, first - 1))


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """Changes nothing. Raises NotSupportedError."""
    if "entitydb_tag" not in statement.sql.lower():
        return []
    for at in range(2, len(statement)):
        if statement.upper(at - 1) != "." or not statement.is_name(at) or statement.name_at(at).lower() not in NAMES:
            continue
        schema, name = statement.name_at(at - 2), statement.name_at(at)
        if schema.lower() != "main" and statement.upper(at + 1) != "." and _is_table(statement, at - 2):
            raise ex.NotSupportedError(
                f"{schema}.{name}: tags are asked for and given in main alone; those of another file's rows where that"
                " file is main"
            )
    if statement.kind is WRITE and statement.table.lower() == NAMES[0]:
        if statement.returning:
            raise ex.NotSupportedError("entitydb_tags has no RETURNING; rowcount counts the tags given or taken")
        if "UPDATE" in statement.uppers[statement.on_conflict_at :] and statement.on_conflict_at >= 0:
            raise ex.NotSupportedError("entitydb_tags has no ON CONFLICT DO UPDATE: a tag that is there stays as it is")
    return []


__all__ = ["NAMES", "rewrite"]
