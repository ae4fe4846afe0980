"""EntityDB behind the time API: the protocol of `history/backend.py` over the driver's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from .driver import Connection as DriverConnection
from .history import Backend, Commits

_CHANGES = """SELECT transaction_id, committed_at, type, entity, operation, tag, old_row, new_row
FROM entitydb_changes"""
_IN_ORDER = "ORDER BY transaction_id"


def unwrapped(dbapi_connection: Any) -> Any:
    """The driver's connection inside a connection of the dialect for asyncio; any other connection as it is."""
    return getattr(dbapi_connection, "driver_connection", None) or dbapi_connection


def driver_connection(connection: Connection) -> DriverConnection:
    """The driver's connection under a Connection of SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, DriverConnection)
    return found


def _last_commit(checkout: Any) -> int | None:
    number, ns = unwrapped(checkout).last_commit
    return ns if number else None


class EntityBackend(Backend):
    """The backend of one dialect object."""

    def __init__(self) -> None:
        self._commits = Commits()

    # What the dialect tells of its connections, which it knows as PoolProxiedConnections.

    def begins(self, checkout: Any) -> None:
        """Before a transaction."""
        self._commits.begins(checkout, _last_commit(checkout))

    def ended(self, checkout: Any) -> None:
        """Behind what may have been a commit."""
        self._commits.ended(checkout, _last_commit(checkout))

    # The protocol.

    def resolve(self, connection: Connection, moment_ns: int) -> int:
        return driver_connection(connection).database.resolve(moment_ns)[2]

    def read_as_of(self, cursor: Any, moment_ns: int) -> None:
        cursor.as_of = moment_ns

    def last_commit(self, bind: Engine | Connection, session: Session | None) -> int | None:
        if isinstance(bind, Connection):
            checkout = bind.connection
            self.ended(checkout)  # a COMMIT may have been said in SQL
            return self._commits.of_checkout(checkout)
        return self._commits.newest() if session is None else self._commits.of_session(session)

    @contextmanager
    def begin_at(self, connection: Connection, moment_ns: int) -> Iterator[None]:
        driver = driver_connection(connection)
        driver.set_commit_time(moment_ns)
        try:
            with connection.begin():
                yield
        finally:
            if not connection.invalidated:
                driver.set_commit_time(0)

    def find_label(self, connection: Connection, label: str, as_of_ns: int) -> int | None:
        driver = driver_connection(connection)
        found = driver.find_label(label, driver.database.resolve(as_of_ns)[2])
        return None if found is None else found[1]

    def labels_at(self, connection: Connection, moment_ns: int) -> list[str]:
        driver = driver_connection(connection)
        number, commit_ns, _, _ = driver.database.resolve(moment_ns)
        return driver.labels_of(number, commit_ns)

    def commit_at(self, connection: Connection, moment_ns: int) -> int:
        return driver_connection(connection).database.resolve(moment_ns)[0]

    def newest_commit(self, connection: Connection) -> Callable[[], int]:
        return driver_connection(connection).database.newest_commit

    def changes(
        self, connection: Connection, after: int, upto: int | None, table: str | None, entity: int | None
    ) -> Iterator[Any]:
        conditions = ["transaction_id > ?"]
        parameters: list[Any] = [after]
        for condition, value in (("transaction_id <= ?", upto), ("type = ?", table), ("entity = ?", entity)):
            if value is not None:
                conditions.append(condition)
                parameters.append(value)
        sql = f"{_CHANGES} WHERE {' AND '.join(conditions)} {_IN_ORDER}"
        return iter(connection.exec_driver_sql(sql, tuple(parameters)))


__all__ = ["EntityBackend", "driver_connection", "unwrapped"]
