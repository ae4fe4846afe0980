"""What SQL says of the running transaction.

    SELECT entitydb_transaction_info('{"actor": "ann", "reason": "typo", "ticket": 7}')

is said of the commit that the transaction will become, if it changes anything. Said again, it says more: of one key
the last counts. It goes back with savepoints and rollback. Outside a transaction it opens one, as INSERT does; in
autocommit mode there is none that it could be said of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _exceptions as ex
from ..._transaction_info import members_of_text
from .._errors import Parameters
from ..sql.statement import parse
from .read import read

if TYPE_CHECKING:
    from .._cursor import Cursor
    from .._session import Session
    from ..sql.statement import Statement


def say_info(cursor: Cursor, session: Session, statement: Statement, parameters: Parameters) -> None:
    """Runs SELECT entitydb_transaction_info(...); its rows are what is said, one after the other."""
    if cursor.as_of is not None:
        raise ex.PastWriteError("entitydb_transaction_info() as of a past moment: the past cannot be changed")
    if not session.raw.in_transaction:
        if session.autocommit:
            raise ex.ProgrammingError(
                "entitydb_transaction_info() in autocommit mode: each statement is a transaction by itself; BEGIN first"
            )
        session.begin_write()
    read(cursor, session, parse(statement.values_sql), statement.values_sql, parameters)
    rows = cursor._fetchall()
    said = [members_of_text(row[0]) for row in rows]
    for members in said:
        session.info.say(members)
    cursor._rows = iter(rows)


__all__ = ["say_info"]
