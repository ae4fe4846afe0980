"""Of what kind the conditions on one table of a query are, as the engine is told (engine/vtab/plan_told.c).

No literal is in it, so that the short way can do the same to all texts that differ in literals only.
"""

from __future__ import annotations

from ..sql.cores import Core
from ..sql.statement import Statement
from ..sql.terms import joined_by_and, split, stripped, top_level
from ..sql.text import Range
from ..sql.tokens import CONSTANTS
from .query_names import QueryNames

HIDDEN = '"entitydb returned"'  # the column of the terms that tell something; it is NULL
_KINDS = {"=": "=", "==": "=", "IN": "i", **dict.fromkeys(("<", "<=", ">", ">=", "BETWEEN"), "<"),
          **dict.fromkeys(("LIKE", "GLOB"), "p")}


def conditions_told(text: Statement, query: Core, table: int, known: QueryNames) -> str:
    """What is told of a query whose rows are those of one table."""
    conditions = [query.where, *(reference.on for reference in query.references)]
    terms = [term for condition in conditions if condition is not None for term in joined_by_and(text, condition)]
    return "".join(kind_told(text, term, table, known) for term in terms)


def kind_told(text: Statement, term: Range, table: int, known: QueryNames) -> str:
    """What is told of a term; nothing of one that is a constant."""
    start, end = term
    if end - start == 1 and text.kinds[start] in CONSTANTS:
        return ""
    choices = split(text, term, "OR") or ()
    if len(choices) > 1:
        kinds = [kind_told(text, stripped(text, choice), table, known) for choice in choices]
        return f" i{kinds[0][2:]}" if all(kind.startswith(" =") for kind in kinds) else " ?"
    name = start + 3 if text.upper(start + 1) == "." else start + 1
    column = known.meant(text, (start, name))
    word = text.upper(name)
    kind = _KINDS.get(word)
    if word == "IS" and text.upper(end - 1) == "NULL":
        kind = "n" if end - name == 2 else "N"
    if column is None or column[0] != table or kind is None or len(top_level(text, (name, end))) > 4:
        return " ?"
    return f" {kind}{column[1]}"


__all__ = ["HIDDEN", "conditions_told", "kind_told"]
