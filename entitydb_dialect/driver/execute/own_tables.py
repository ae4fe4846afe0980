"""RETURNING and ON CONFLICT on tables of the engine's own: entitydb_tags, entitydb_labels and others.

They have no rows that a statement's changes could be captured as, and no constraints that a clause could mean. Of a tag
that is there already every INSERT is silent, so DO NOTHING says what happens anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ... import _exceptions as ex
from .._catalog import OWN_TABLES

if TYPE_CHECKING:
    from ..rewrite.upsert_returning import Conflict
    from ..sql.statement import Statement

_TAGS = "entitydb_tags"
_TAGGING = ["entity", "tag", "type"]


def refuse_returning(statement: Statement) -> None:
    """Raises NotSupportedError for a statement with RETURNING on one of them."""
    if statement.table.lower() in OWN_TABLES:
        raise ex.NotSupportedError(
            f"{statement.verb} ... RETURNING on {statement.table}: leave it out, and ask by SELECT before a DELETE or"
            " behind an INSERT"
        )


def judge_conflicts(statement: Statement, conflicts: Iterable[Conflict]) -> None:
    """Of an INSERT with ON CONFLICT into one of them.

    Raises:
        NotSupportedError: a clause that is to change something.
        OperationalError: a clause that means no key.
    """
    name = statement.table
    if name.lower() not in OWN_TABLES:
        return
    for conflict in conflicts:
        if name.lower() != _TAGS:
            raise ex.NotSupportedError(f"ON CONFLICT on {name}: it has no constraints; leave the clause out")
        if conflict.sets is not None:
            raise ex.NotSupportedError(
                f"ON CONFLICT DO UPDATE on {name}: a tag that is there stays as it is; DO NOTHING may be said of it"
            )
        terms = conflict.terms
        plain = terms is None or all(term.column and term.collation is None for term in terms)
        if not plain or conflict.where or (terms is not None and sorted(term.column for term in terms) != _TAGGING):
            raise ex.OperationalError("ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint")


__all__ = ["judge_conflicts", "refuse_returning"]
