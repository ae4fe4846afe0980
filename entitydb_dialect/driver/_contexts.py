"""Contexts: what a statement has in the engine while it runs (the moment it reads, the pages it keeps).

Every statement has one. It is made current around the steps of its cursor: `enter` and `leave` nest, because a Python
function called by SQLite may use the connection again.

Threads: one at a time. Contexts of cursors that the garbage collector takes, maybe in another thread, are put on a list
and ended at the connection's next statement.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import apsw

from .. import _exceptions as ex
from .. import _native, _short
from .._native import ffi, lib
from ._errors import CODES, as_error, check, engine_error, int64, translate

if TYPE_CHECKING:
    from ._database import Database
    from .schemas.schema import Schema

RETRIES = 10  # how often something is tried again that lost a race with another connection
SCHEMA = CODES["SCHEMA"]  # the engine's result for a statement begun under declarations that are not the newest


# No mutex of SQLite's: one thread at a time holds the session (_use.py), and others leave SQLite alone.
_OPEN_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
_process = os.getpid()  # this one; asking the kernel costs more than the rest of a short call


def _forked() -> None:
    global _process
    _process = os.getpid()


os.register_at_fork(after_in_child=_forked)


def _nothing() -> None:
    """A function that statements cannot want; see Contexts.plan_anew."""


def _as_context(address: int) -> Any:
    return ffi.cast("edb_stmt *", address)


class Contexts(_short.Session):
    """The handles of a connection, and the contexts of its statements. A part of Session."""

    def __init__(self, database: Database, *, owns_database: bool) -> None:
        self.end_lock = threading.RLock()  # the handles are being freed, or interrupted by another thread
        self.closed = True  # until everything is there
        self.process = _process  # which opened it: another one has it through fork() and may not use it
        self.database: Database | None = database  # None once closed
        self.owns_database = owns_database  # closes it, too
        self.engine: Any = None  # the engine's handle, an edb_conn
        self.raw: Any = None  # the SQLite connection, which speaks SQL for the engine
        self.outgrown = False  # plan_anew() is due
        self.control: Any = None  # a cursor of it for transaction statements and the driver's own functions
        out = ffi.new("edb_conn **")
        check(lib.edb_conn_open(database.handle, out))
        self.engine = out[0]
        lib.edb_conn_tells(self.engine)
        try:
            self.raw = apsw.Connection(":memory:", flags=_OPEN_FLAGS)
            self.raw.enable_load_extension(True)
            self.raw.load_extension(_native.__file__, "sqlite3_entitydb_init")
            self.raw.enable_load_extension(False)
            self.plan_anew()
            self.control = self.raw.cursor()
            self.control.execute("SELECT entitydb_bind(?)", (lib.edb_conn_id(self.engine),)).fetchall()
            self.attach(int(ffi.cast("intptr_t", self.engine)), self.raw.sqlite3_pointer(), _as_context, as_error)
        except apsw.Error as error:
            self.free()
            raise translate(error) from error
        except BaseException:
            self.free()
            raise

        # Options of contexts, by in_transaction + 2 * writes: of now, and of the past (the moment is set for each use).
        self.now_options = [ffi.new("edb_stmt_options *", (i & 1, i >> 1, False, 0)) for i in range(4)]
        self.past_options = [ffi.new("edb_stmt_options *", (i & 1, i >> 1, True, 0)) for i in range(4)]
        # Where the engine puts its answers.
        self.stmt_out = ffi.new("edb_stmt **")
        self.number_out = ffi.new("uint64_t *")
        self.changes_out = ffi.new("int64_t *")
        self.last_id_out = ffi.new("int64_t *")
        self.has_last_id_out = ffi.new("_Bool *")

        self.running: Any = None  # the context being stepped now
        self.current: Any = None  # the context the engine has as current
        self.orphans: deque[tuple[Any, Any]] = deque()  # (SQLite's cursor, context) of cursors that were collected

    def check_open(self) -> None:
        """Raises ProgrammingError once closed, OperationalError in another process."""
        if self.closed:
            raise ex.ProgrammingError("Cannot operate on a closed database.")
        if self.inherited():
            raise engine_error(CODES["FORKED"], "the connection was inherited through fork(); open anew in the child")

    def interrupt(self) -> None:
        """Makes what runs stop soon; for other threads, which must not meet handles that are being freed."""
        with self.end_lock:
            self.check_open()
            if self.raw is not None:
                lib.edb_conn_interrupt(self.engine)
                self.raw.interrupt()

    def inherited(self) -> bool:
        """Did this connection come here through fork()?"""
        return self.process != _process

    def open_statement(
        self, writes: bool, moment: int | None, in_transaction: bool, schema: Schema | None = None
    ) -> Any:
        """A new context, after declaring the schema anew if it has changed.

        Args:
            moment: nanoseconds, to read as of it; None: now.
            schema: which is written to, if it is not main.
        """
        if writes and schema is not None:
            options = schema.write_options[in_transaction]
        elif moment is None:
            options = self.now_options[in_transaction + 2 * writes]
        else:
            options = self.past_options[in_transaction + 2 * writes]
            options.moment_ns = int64(moment)
        for _ in range(RETRIES):
            code = lib.edb_stmt_begin(self.engine, options, self.stmt_out)
            if code == 0:
                return self.stmt_out[0]
            if code != SCHEMA:
                raise engine_error(code)
            self.follow_schema()
        raise engine_error(SCHEMA)

    def follow_schema(self) -> None:
        """Declares anew what the newest catalog says. Raises SerializationFailure when it is too late for that."""
        raise NotImplementedError

    def enter(self, stmt: Any) -> Any:
        """Makes a context current for a step. -> what to give `leave`."""
        before = self.running
        self.running = stmt
        if self.current is not stmt:
            lib.edb_stmt_enter(stmt)
            self.current = stmt
        return before

    def leave(self, before: Any) -> None:
        """After a step: the outer context, if a step is going on, is current again; else none is."""
        self.running = before
        if self.current is not before:
            lib.edb_stmt_restore(self.engine, ffi.NULL if before is None else before)
            self.current = before

    def end_statement(self, stmt: Any) -> None:
        if lib.edb_stmt_end(stmt) or self.outgrown:
            self.plan_anew()
        if self.current is stmt:
            self.current = None  # the engine knows
            self.leave(None if self.running is stmt else self.running)
        if not self.raw.in_transaction:
            lib.edb_conn_settle(self.engine, True)

    def plan_anew(self) -> None:
        """Makes SQLite prepare its statements anew when they are next run: tables have grown, or were analysed. To
        register a function again has this effect; SQLite refuses it while a statement is running, and then it is done
        behind one that ends later."""
        try:
            self.raw.create_scalar_function("entitydb_plans", _nothing, 0)
            self.outgrown = False
        except apsw.BusyError:
            self.outgrown = True

    def orphan(self, raw_cursor: Any, stmt: Any) -> None:
        """A cursor with rows left was collected, in whichever thread. Its statement is ended at once by the thread that
        used the connection last, if that is not at work now; else when the connection is used next."""
        self.orphans.append((raw_cursor, stmt))
        if not self.inherited() and self.acquire_to_end():
            try:
                self.reap()
            finally:
                self.release()

    def reap(self) -> None:
        """Ends what the garbage collector left behind."""
        while self.orphans:
            raw_cursor, stmt = self.orphans.popleft()
            raw_cursor.close(True)
            self.end_statement(stmt)

    def run(
        self,
        sql: str,
        parameters: Any = (),
        *,
        writes: bool = False,
        as_of: int | None = None,
        schema: Schema | None = None,
    ) -> list[Any]:
        """Runs a statement of the driver's own to its end."""
        stmt = self.open_statement(writes, as_of, bool(self.raw.in_transaction), schema)
        # It may have taken over a query of the program's.
        lib.edb_stmt_compares(stmt, lib.EDB_BOUND_BY_COLUMN | lib.EDB_EQUAL_BY_COLUMN)
        try:
            before = self.enter(stmt)
            try:
                return list(self.raw.execute(sql, parameters))
            finally:
                self.leave(before)
        except Exception as error:
            raise translate(error, parameters) from error
        finally:
            self.end_statement(stmt)

    def free_attached(self) -> None:
        """Lets go of attached databases, when SQLite has."""

    def free(self) -> None:
        """Lets go of all handles. SQLite's side first: its virtual tables still know the engine's."""
        with self.end_lock:
            self.finalize()
            raw, self.raw = self.raw, None
            self.control = None
            if raw is not None:
                raw.close(True)
            self.free_attached()
            engine, self.engine = self.engine, None
            if engine is not None:
                lib.edb_conn_close(engine)
        database, self.database = self.database, None
        if database is not None and self.owns_database:
            database.close()


__all__ = ["RETRIES", "SCHEMA", "Contexts"]
