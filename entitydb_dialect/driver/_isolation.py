"""Isolation levels by name, as SQL and SQLAlchemy spell them, and as the sqlite3 module does.

There are three kinds of transactions in the engine, and READ UNCOMMITTED is READ COMMITTED by another name: nothing
uncommitted can be seen by anybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _exceptions as ex
from .._native import lib
from ._errors import check

if TYPE_CHECKING:
    from ._session import Session

DEFAULT = "REPEATABLE READ"

_ENGINE: dict[str, int] = {
    "READ UNCOMMITTED": lib.EDB_READ_COMMITTED,
    "READ COMMITTED": lib.EDB_READ_COMMITTED,
    "REPEATABLE READ": lib.EDB_REPEATABLE_READ,
    "SERIALIZABLE": lib.EDB_SERIALIZABLE,
}

# Every name of a level, and the one of the mode in which each statement is its own transaction.
LEVELS = (*_ENGINE, "AUTOCOMMIT")

# The sqlite3 module's words for how BEGIN is said; here they all mean the default level.
_SQLITE3 = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")


def name_of(level: str | None) -> str:
    """The level's name in SQL, of what `Connection.isolation_level` says."""
    if level is None:
        return "AUTOCOMMIT"
    return level if level in _ENGINE else DEFAULT


def normal(level: str | None) -> str | None:
    """A level as it is kept: None for autocommit. Raises ProgrammingError for an unknown one."""
    name = None if level is None else str(level).upper().replace("_", " ")
    if name is None or name == "AUTOCOMMIT":
        return None
    if name not in _ENGINE and name not in _SQLITE3:
        raise ex.ProgrammingError(f"there is no isolation level {level!r}; there are {', '.join(LEVELS)}")
    return name


def choose(session: Session, level: str | None) -> None:
    """Sets the level of the connection's next transactions. Raises ProgrammingError inside one."""
    level = normal(level)
    if level == session.isolation_level:
        return
    session.check_lost()
    if session.raw.in_transaction:
        raise ex.ProgrammingError("the isolation level can be set between transactions only: commit or roll back first")
    lib.edb_conn_settle(session.engine, True)
    engine_level = _ENGINE[name_of(level)] if level is not None else lib.EDB_REPEATABLE_READ
    check(lib.edb_conn_isolation(session.engine, engine_level))
    session.isolation_level = level
    session.autocommit = level is None
    session.read_committed = engine_level == lib.EDB_READ_COMMITTED
    session.serializable = engine_level == lib.EDB_SERIALIZABLE
