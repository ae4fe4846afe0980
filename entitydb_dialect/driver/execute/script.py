"""A script: statement by statement, but for INSERTs of constants, of which many are executed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sql.script import Run, runs
from ..sql.statement import parse
from .change import change_together

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session


def run_script(cursor: Cursor, session: Session, sql: str) -> None:
    """Runs all statements of a script, up to the first that fails."""
    for run in runs(sql):
        if len(run.places) > 1 and _together(cursor, session, run):
            continue
        for statement in run.statements:
            cursor.execute(statement)
            cursor._abandon()


def _together(cursor: Cursor, session: Session, run: Run) -> bool:
    """Runs them as one, where a transaction is open; False: nothing is done.

    Where one of them fails, nothing is done either: executed by itself, each says what it has to say.
    """
    if not session.raw.in_transaction:
        return False  # each is a transaction by itself
    changed = change_together(cursor, session, parse(run.first), run.first, run.text)
    if changed is None:
        return False
    session.total_changes += changed
    return True


__all__ = ["run_script"]
