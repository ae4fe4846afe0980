"""Labels: names for commits, given inside the transaction that they name.

    SELECT entitydb_label('release 3')

labels the commit that the running transaction will become, several times if it is said several times, and rolls back
with it. Outside a transaction it opens one, as INSERT does; in autocommit mode it is one, and names the commit that it
makes. The labels are the query's values: a WHERE may leave none, a FROM give several. The query runs first, then its
values are written to the engine's table entitydb_labels, which every label can be read from.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ... import _exceptions as ex
from .._errors import Parameters
from ..sql.statement import parse
from .read import read

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..sql.statement import Statement

# One statement, so that all of them are written or none.
_WRITE = "INSERT INTO entitydb_labels(label) SELECT value FROM json_each(?)"


def give_label(cursor: Cursor, session: Session, statement: Statement, parameters: Parameters) -> None:
    """Runs SELECT entitydb_label(...); its rows are the labels given."""
    if cursor.as_of is not None:
        raise ex.PastWriteError("entitydb_label() as of a past moment: the past cannot be changed")

    def run() -> None:
        if session.can_restart:  # as a write: the newest commit is what the transaction sees
            session.end_statement(session.open_statement(True, None, True))
        read(cursor, session, parse(statement.values_sql), statement.values_sql, parameters)
        rows = cursor._fetchall()
        labels = [row[0] for row in rows]
        for label in labels:
            if not isinstance(label, str):
                raise ex.ProgrammingError(f"entitydb_label(): a label is a text, not {label!r}")
        session.run(_WRITE, (json.dumps(labels),), writes=True)
        cursor._rows = iter(rows)

    if session.raw.in_transaction:
        run()
    elif not session.autocommit:
        session.begin_write()
        run()
    else:
        session.autocommitted(run)


def find_label(session: Session, label: str, as_of: int) -> tuple[int, int] | None:
    """(number, nanoseconds) of the newest commit with a label, at or before a moment; None: there is none."""
    query = "SELECT number, moment FROM entitydb_labels WHERE label = ?"
    for number, moment in session.run(query, (label,), as_of=as_of):
        return int(number), int(moment)
    return None


def labels_of(session: Session, number: int, ns: int) -> list[str]:
    """The labels of a commit, in the order they were given; ns: its time."""
    query = "SELECT label FROM entitydb_labels WHERE number = ? ORDER BY place"
    return [label for (label,) in session.run(query, (number,), as_of=ns)]


__all__ = ["find_label", "give_label", "labels_of"]
