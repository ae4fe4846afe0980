"""EntityDB behind the time API: the protocol of `history/backend.py` over the driver's connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from .driver import Connection as DriverConnection
from .history import Backend


def unwrapped(dbapi_connection: Any) -> Any:
    """The driver's connection inside a connection of the dialect for asyncio; any other connection as it is."""
    return getattr(dbapi_connection, "driver_connection", None) or dbapi_connection


def driver_connection(connection: Connection) -> DriverConnection:
    """The driver's connection under a Connection of SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, DriverConnection)
    return found


class EntityBackend(Backend):
    """The backend of one dialect object."""

    def __init__(self) -> None:
        # The last commit of each thread: a Session gives its connection back before it can be asked.
        self._last_commit = threading.local()

    def committed(self, dbapi_connection: Any) -> None:
        """Remembers the last commit of a connection as this thread's. Called by the dialect after each commit."""
        number, ns = unwrapped(dbapi_connection).last_commit
        if number:
            self._last_commit.ns = ns

    def resolve(self, connection: Connection, moment_ns: int) -> int:
        return driver_connection(connection).database.resolve(moment_ns)[2]

    def read_as_of(self, cursor: Any, moment_ns: int) -> None:
        cursor.as_of = moment_ns

    def last_commit(self, bind: Engine | Connection, session: Session | None) -> int | None:
        if isinstance(bind, Connection):
            number, ns = driver_connection(bind).last_commit
            return ns if number else None
        found: int | None = getattr(self._last_commit, "ns", None)
        return found

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


__all__ = ["EntityBackend", "driver_connection", "unwrapped"]
