"""The dialect for asyncio, `entitydb+aio://`, over the same driver.

    engine = create_async_engine("entitydb+aio:///app.edb")
    async with at(session, yesterday) as past:
        await past.get(User, 1)

Each connection has a worker thread, in which everything that may wait or compute runs: SQLAlchemy's greenlet gives up
the event loop until the worker has answered. Executing and fetching are one trip: all rows for an ordinary result, the
first `_BATCH` for a streamed one.

Cancelling a task interrupts what its connection runs and waits until the worker has let go of it, so that no statement
goes on behind the back of the next. SQLAlchemy then throws the connection away.

A connection is used by one task at a time, as everywhere in SQLAlchemy. The driver's own connection
(`driver_connection`) is the synchronous one; it may be used in `run_sync` and holds up the event loop there.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import pool
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util.concurrency import await_only, in_greenlet

from . import driver
from ._urls import target
from .apsw import EntityDialect_apsw
from .base import EntityExecutionContext
from .history.aio import AsyncSource, at, run_transaction
from .temporal.aio import AsyncTemporalSession

_BATCH = 100  # rows of a streamed result that come with executing
_PATIENCE_S = 5.0  # at the end of the interpreter threads stand still
_AGAIN_S = 0.01  # an interrupt that came between two statements of the driver is said again after this long


class _Job:
    """A call for the worker, with the caller's context variables, and the future in which a task waits for it."""

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop | None) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._loop = loop
        self.finished = threading.Event()
        self.done: asyncio.Future[Any] | None = None if loop is None else loop.create_future()

    def run(self) -> None:
        result, error = None, None
        try:
            result = self._context.run(self._call)
        except BaseException as caught:
            # A future cannot carry it.
            error = RuntimeError(repr(caught)) if isinstance(caught, StopIteration) else caught
        self.finished.set()
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._answer, result, error)
            except RuntimeError:
                pass  # the event loop has been closed: nobody waits

    def _answer(self, result: Any, error: BaseException | None) -> None:
        assert self.done is not None
        if self.done.cancelled():
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)


class _Worker:
    """A thread that does one call after the other. It knows nothing of the connection, which it would keep alive."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._process = os.getpid()
        threading.Thread(target=_work, args=(self._jobs,), name="entitydb", daemon=True).start()

    def post(self, call: Callable[[], Any]) -> None:
        """Has it done some time; nobody hears of it."""
        self._jobs.put(_Job(call, None))

    def finish(self, call: Callable[[], Any]) -> None:
        """Has it done and waits without giving up the event loop: for what is quick. Nobody hears of its errors."""
        job = _Job(call, None)
        self._jobs.put(job)
        job.finished.wait(_PATIENCE_S)

    def inherited(self) -> bool:
        """Is this another process than its thread's? Then the thread is not here, and nothing is ever done."""
        return self._process != os.getpid()

    def stop(self) -> None:
        self._jobs.put(None)

    async def run(self, call: Callable[[], Any], interrupt: Callable[[], None] | None = None) -> Any:
        """Has it done and waits. When the task is cancelled: interrupts, waits for the end, then is cancelled."""
        job = _Job(call, asyncio.get_running_loop())
        assert job.done is not None
        self._jobs.put(job)
        try:
            return await asyncio.shield(job.done)
        except asyncio.CancelledError:
            while not job.done.done():
                if interrupt is not None:
                    interrupt()
                try:
                    await asyncio.wait([job.done], timeout=_AGAIN_S)
                except asyncio.CancelledError:
                    pass  # cancelled once more: that is what we are doing
            if not job.done.cancelled():
                job.done.exception()  # seen: it is the interrupt, or nobody's business any more
            raise


def _work(jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # while waiting for the next it would keep a connection alive


class AsyncAdapt_entitydb_cursor:
    """A PEP 249 cursor whose waiting is done by the event loop."""

    server_side = False

    def __init__(self, connection: AsyncAdapt_entitydb_connection) -> None:
        self.connection = connection
        self._cursor = connection.driver_connection.cursor()
        self._rows: deque[Any] = deque()
        self._all = True  # nothing is left in the driver

    # What SQLAlchemy and this dialect read and set.

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> Any:
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        return int(self._cursor.arraysize)

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._cursor.arraysize = size

    @property
    def as_of(self) -> Any:
        return self._cursor.as_of

    @as_of.setter
    def as_of(self, ns: int | None) -> None:
        self._cursor.as_of = ns

    @property
    def schema_then(self) -> bool:
        return bool(self._cursor.schema_then)

    @schema_then.setter
    def schema_then(self, then: bool) -> None:
        self._cursor.schema_then = then

    def execute(self, operation: Any, parameters: Any = ()) -> Any:
        cursor = self._cursor
        limit = _BATCH if self.server_side else None

        def call() -> tuple[Any, bool]:
            cursor.execute(operation, parameters if parameters is not None else ())
            if not cursor.description:
                return (), True
            if limit is None:
                return cursor.fetchall(), True
            rows = cursor.fetchmany(limit)
            return rows, len(rows) < limit

        rows, self._all = self.connection._await(call)
        self._rows = deque(rows)
        return self

    def executemany(self, operation: Any, seq_of_parameters: Any) -> Any:
        cursor = self._cursor
        self.connection._await(lambda: cursor.executemany(operation, seq_of_parameters))
        self._rows, self._all = deque(), True
        return self

    def fetchone(self) -> Any:
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        size = self.arraysize if size is None else size
        if not self._all and len(self._rows) < size:
            cursor, wanted = self._cursor, max(size - len(self._rows), _BATCH)
            more = self.connection._await(lambda: cursor.fetchmany(wanted))
            self._all = len(more) < wanted
            self._rows.extend(more)
        rows = self._rows
        return [rows.popleft() for _ in range(min(size, len(rows)))]

    def fetchall(self) -> list[Any]:
        found = list(self._rows)
        self._rows.clear()
        if not self._all:
            self._all = True
            found += self.connection._await(self._cursor.fetchall)
        return found

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        self._rows.clear()
        if self._all:
            self._cursor.close()  # nothing is running: no need to wait
        else:
            self._all = True
            self.connection._let(self._cursor.close)

    async def _async_soft_close(self) -> None:
        """SQLAlchemy calls it before a result leaves the greenlet; all its rows are here by then."""

    def setinputsizes(self, *sizes: Any) -> None:
        """Does nothing; PEP 249 wants it."""


class AsyncAdapt_entitydb_ss_cursor(AsyncAdapt_entitydb_cursor):
    """The same for streamed results: rows come in batches."""

    server_side = True


class AsyncAdapt_entitydb_connection(AdaptedConnection):
    """The driver's connection with a worker thread."""

    __slots__ = ("__weakref__", "_connection", "_worker", "dbapi")

    def __init__(self, dbapi: Any, connection: driver.Connection, worker: _Worker) -> None:
        self.dbapi = dbapi
        self._connection: Any = connection
        self._worker: _Worker | None = worker

    @property
    def driver_connection(self) -> Any:
        return self._connection

    def __del__(self) -> None:
        worker = getattr(self, "_worker", None)
        if worker is not None:
            worker.stop()

    def _await(self, call: Callable[[], Any]) -> Any:
        if self._worker is None:
            raise driver.ProgrammingError("Cannot operate on a closed database.")
        if self._worker.inherited():
            return call()  # it says so itself
        return await_only(self._worker.run(call, self._interrupt))

    def _let(self, call: Callable[[], Any]) -> None:
        """Has something ended, waiting for it where waiting is possible."""
        if self._worker is None:
            return
        if in_greenlet() or self._worker.inherited():
            self._await(call)
        else:
            self._worker.finish(call)

    def _interrupt(self) -> None:
        try:
            self._connection.interrupt()
        except driver.Error:
            pass  # closed meanwhile

    def cursor(self, server_side: bool = False) -> AsyncAdapt_entitydb_cursor:
        return AsyncAdapt_entitydb_ss_cursor(self) if server_side else AsyncAdapt_entitydb_cursor(self)

    def execute(self, operation: Any, parameters: Any = ()) -> AsyncAdapt_entitydb_cursor:
        cursor = self.cursor()
        cursor.execute(operation, parameters)
        return cursor

    def commit(self) -> None:
        self._await(self._connection.commit)

    def rollback(self) -> None:
        self._await(self._connection.rollback)

    def close(self) -> None:
        if self._worker is not None:
            self._await(self._connection.close)
            self._stop()

    def terminate(self) -> None:
        """Closes without a conversation: SQLAlchemy calls it for connections it has given up."""
        if self._worker is None:
            return
        if in_greenlet() or self._worker.inherited():
            try:
                self.close()
                return
            except asyncio.CancelledError:
                # The worker has closed it: cancelling waits for the end of what runs.
                self._stop()
                raise
        self._interrupt()
        self._worker.post(self._connection.close)
        self._stop()

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    # What needs no waiting.

    @property
    def isolation_level(self) -> Any:
        return self._connection.isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._connection.isolation_level = level

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def create_function(self, *args: Any, **kw: Any) -> None:
        self._connection.create_function(*args, **kw)

    def create_aggregate(self, *args: Any, **kw: Any) -> None:
        self._connection.create_aggregate(*args, **kw)

    def create_collation(self, *args: Any, **kw: Any) -> None:
        self._connection.create_collation(*args, **kw)


class AsyncAdapt_entitydb_dbapi:
    """The driver's module with a connect() that waits in the event loop."""

    def __init__(self, module: Any) -> None:
        self.driver = self.exceptions_module = self.dbapi_module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    def connect(self, *args: Any, **kw: Any) -> AsyncAdapt_entitydb_connection:
        creator = kw.pop("async_creator_fn", None)
        worker = _Worker()
        try:
            if creator is not None:
                connection = await_only(creator(*args, **kw))
            else:
                connection = await_only(worker.run(lambda: driver.connect(*args, **kw)))
        except BaseException:
            worker.stop()
            raise
        return AsyncAdapt_entitydb_connection(self, connection, worker)


class EntityExecutionContext_aio(EntityExecutionContext):
    def create_server_side_cursor(self) -> Any:
        return self._dbapi_connection.cursor(server_side=True)


class EntityDialect_aio(EntityDialect_apsw):
    driver = "aio"
    is_async = True
    _pool_of_memory: type[pool.Pool] = pool.AsyncAdaptedQueuePool
    has_terminate = True
    supports_server_side_cursors = True
    supports_statement_cache = True
    execution_ctx_cls = EntityExecutionContext_aio

    @classmethod
    def import_dbapi(cls) -> Any:
        return AsyncAdapt_entitydb_dbapi(driver)

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        return cls._pool_of_memory if target(url).is_own_memory else pool.AsyncAdaptedQueuePool

    def get_driver_connection(self, connection: Any) -> Any:
        return connection.driver_connection

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.terminate()


class EntityDialect_aio_sqlite(EntityDialect_aio):
    """The same under the name "sqlite" (sqlite+entitydb_aio://)."""

    name = "sqlite"
    driver = "entitydb_aio"
    # As aiosqlite: one connection for all tasks.
    _pool_of_memory = pool.StaticPool
    construct_arguments = SQLiteDialect.construct_arguments
    supports_statement_cache = True


dialect = EntityDialect_aio

__all__ = [
    "AsyncAdapt_entitydb_connection",
    "AsyncAdapt_entitydb_cursor",
    "AsyncAdapt_entitydb_dbapi",
    "AsyncAdapt_entitydb_ss_cursor",
    "AsyncSource",
    "AsyncTemporalSession",
    "EntityDialect_aio",
    "EntityDialect_aio_sqlite",
    "EntityExecutionContext_aio",
    "at",
    "dialect",
    "run_transaction",
]
