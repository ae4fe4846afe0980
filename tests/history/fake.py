"""A database that keeps its history without EntityDB: plain sqlite3, and a copy of the whole database for each commit.

The dialects are SQLAlchemy's own for SQLite with what `history/backend.py` asks of a dialect, and nothing else.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session
from sqlalchemy.util.concurrency import await_only

from entitydb_dialect._exceptions import HorizonError, PastWriteError
from entitydb_dialect.history import Backend, Commits, apply_as_of, keep_apart


class Commit:
    """One commit: its moment, its labels, and the database that it left."""

    def __init__(self, moment_ns: int, labels: list[str], database: sqlite3.Connection) -> None:
        self.moment_ns, self.labels = moment_ns, labels
        self.copy = sqlite3.connect(":memory:", check_same_thread=False)
        database.backup(self.copy)


class FakeConnection:
    """A connection of the sqlite3 module that tells the backend of its commits."""

    def __init__(self, backend: FakeBackend, raw: sqlite3.Connection) -> None:
        self.backend, self.raw = backend, raw
        self.commit_ns: int | None = None  # given to the next commit
        self.last_commit_ns: int | None = None
        self.labels: list[str] = []
        self.wrote = False

    def cursor(self, *args: Any) -> FakeCursor:
        return FakeCursor(self)

    def commit(self) -> None:
        if not self.raw.in_transaction:
            return
        if self.wrote:
            self.backend.check_commit_time(self.commit_ns)
        self.raw.commit()
        if self.wrote:
            self.backend.committed(self)
        self.labels, self.wrote = [], False

    def rollback(self) -> None:
        self.raw.rollback()
        self.labels, self.wrote = [], False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class FakeCursor:
    """A cursor that can read one of the copies instead of the database."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.as_of: int | None = None
        self._cursor = connection.raw.cursor()

    def execute(self, sql: str, parameters: Any = ()) -> None:
        if self.connection.backend.awaits:
            await_only(asyncio.sleep(0))
        reads = sql.lstrip().upper().startswith(("SELECT", "PRAGMA"))
        if self.as_of is None:
            if not reads and not self.connection.raw.in_transaction:
                self.connection.raw.execute("BEGIN")
            self.connection.wrote |= not reads
        else:
            if not reads:
                raise PastWriteError("the past cannot be changed")
            self._cursor = self.connection.backend.commit_at(self.as_of).copy.cursor()
            self.connection.backend.seen.append(self.as_of)
        self._cursor.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class FakeBackend(Backend):
    """All commits in a list. `seen`: the moments of what was read; `asked`: the Sessions that asked for a commit."""

    def __init__(self, *, awaits: bool = False) -> None:
        self.commits: list[Commit] = []
        self.settled_ns = 0
        self.seen: list[int] = []
        self.asked: list[Session | None] = []
        self.awaits = awaits
        self.account = Commits()

    # What its connections ask.

    def check_commit_time(self, moment_ns: int | None) -> None:
        newest = max(self.settled_ns, self.commits[-1].moment_ns if self.commits else 0)
        if moment_ns is not None and not newest < moment_ns <= time.time_ns():
            raise sqlite3.OperationalError("a commit at this moment would change the past")

    def committed(self, connection: FakeConnection) -> None:
        newest = max(self.settled_ns, self.commits[-1].moment_ns if self.commits else 0)
        moment_ns = connection.commit_ns or max(time.time_ns(), newest + 1)
        self.commits.append(Commit(moment_ns, connection.labels, connection.raw))
        connection.last_commit_ns = moment_ns

    def commit_at(self, moment_ns: int) -> Commit:
        self.settled_ns = max(self.settled_ns, min(moment_ns, time.time_ns()))
        for commit in reversed(self.commits):
            if commit.moment_ns <= moment_ns:
                return commit
        raise HorizonError("the moment lies before the first commit")

    def label(self, connection: Connection, label: str) -> None:
        """Labels the commit that the running transaction becomes. Not of the protocol: how is each database's own."""
        self._fake(connection).labels.append(label)

    # The protocol.

    def resolve(self, connection: Connection, moment_ns: int) -> int:
        self.commit_at(moment_ns)
        return min(moment_ns, time.time_ns())

    def read_as_of(self, cursor: Any, moment_ns: int) -> None:
        cursor.as_of = moment_ns

    def read_schema_then(self, cursor: Any) -> None:
        cursor.schema_then = True  # a copy has no other schema

    def last_commit(self, bind: Engine | Connection, session: Session | None) -> int | None:
        self.asked.append(session)
        if isinstance(bind, Connection):
            return self.account.of_checkout(bind.connection)
        return self.account.newest() if session is None else self.account.of_session(session)

    @contextmanager
    def begin_at(self, connection: Connection, moment_ns: int) -> Iterator[None]:
        fake = self._fake(connection)
        fake.commit_ns = moment_ns
        try:
            with connection.begin():
                yield
        finally:
            fake.commit_ns = None

    def find_label(self, connection: Connection, label: str, as_of_ns: int) -> int | None:
        self.commit_at(as_of_ns)
        found = [commit.moment_ns for commit in self.commits if label in commit.labels and commit.moment_ns <= as_of_ns]
        return max(found, default=None)

    def named_moment(self, connection: Connection, kind: str, value: str) -> int | None:
        return self.find_label(connection, value, time.time_ns()) if kind == "label" else None

    def labels_at(self, connection: Connection, moment_ns: int) -> list[str]:
        return list(self.commit_at(moment_ns).labels)

    def _fake(self, connection: Connection) -> FakeConnection:
        found = connection.connection.dbapi_connection
        assert isinstance(found, FakeConnection)
        return found


class FakeDialect(SQLiteDialect_pysqlite):
    """All its connections are to one database in memory, which is the dialect object's own."""

    name = "fakehistory"
    supports_statement_cache = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.history_backend = FakeBackend(awaits=self.is_async)
        keep_apart()

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        return pool.QueuePool

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        where = f"file:fakehistory{id(self)}?mode=memory&cache=shared"
        raw = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
        raw.execute("PRAGMA read_uncommitted = 1")
        return FakeConnection(self.history_backend, raw)

    def do_begin(self, dbapi_connection: Any) -> None:
        self.history_backend.account.begins(dbapi_connection, dbapi_connection.last_commit_ns)

    def do_commit(self, dbapi_connection: Any) -> None:
        dbapi_connection.commit()
        self.history_backend.account.ended(dbapi_connection, dbapi_connection.last_commit_ns)

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        if context is not None:
            apply_as_of(self.history_backend, cursor, context)
        cursor.execute(statement, parameters)


class FakeAsyncDialect(FakeDialect):
    """The same for an AsyncEngine. It gives up the event loop before each statement."""

    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        return pool.AsyncAdaptedQueuePool


registry.register("fakehistory", __name__, "FakeDialect")
registry.register("fakehistory.aio", __name__, "FakeAsyncDialect")
