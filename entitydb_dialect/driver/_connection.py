"""A connection: a session of the engine and the in-memory SQLite connection that speaks SQL for it.

SQLite's main schema holds only declarations (`CREATE VIRTUAL TABLE x USING entitydb(id)`); the engine's catalog is the
truth. The engine numbers its schemas: a statement begun under another number than the one declared answers SCHEMA, and
the declarations are made anew. That happens between transactions only, and half-fetched cursors are read into memory
before, because SQLite cannot drop a table that is being read. Own DDL edits the catalog and the declarations inside the
transaction, under a savepoint of the driver, so both roll back together.

Every statement has a context in the engine (its moment, its pin). It is made current around the steps of its cursor:
`enter` and `leave` nest, because a Python function called by SQLite may use the connection again.

Threads: one at a time. Contexts of cursors that the garbage collector takes, maybe in another thread, are put on a list
and ended at the connection's next statement.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

import apsw

from .. import _exceptions as ex
from .. import _native
from .._native import ffi, lib
from . import _catalog, _dump, _isolation
from ._database import Database
from ._errors import CODES, check, engine_error, translate
from ._functions import Functions
from ._savepoints import Savepoints
from .answers import master as _master
from .rewrite.expression_indexes import Rewriter
from .rewrite.shortcuts import Least
from .schemas import attached as _attach
from .schemas.schema import Schema, sorted_catalog
from .sql.analysis import Analysis, Counted
from .sql.tokens import quote, split_statements

if TYPE_CHECKING:
    from ._cursor import Cursor
    from ._rows import RowFactory, TextFactory

_SCHEMA = CODES["SCHEMA"]
_NO_SCHEMA = 2**64 - 1  # a number that no schema has
_RETRIES = 10

# Handles of a parent process: the child must neither use nor free them.
_kept: list[Any] = []

# So that a fork can find the cursors with rows to fetch: they must not step in the child, where nobody keeps the pages
# under them from being used again.
_open: WeakSet[Connection] = WeakSet()


def _forked() -> None:
    for connection in list(_open):
        for reference in list(connection._active.values()):
            cursor = reference()
            if cursor is not None:
                _kept.append((cursor._raw, cursor._stmt))
                cursor._stmt = None
        connection._active.clear()


os.register_at_fork(after_in_child=_forked)


class Connection(Functions, Schema):
    """A PEP 249 connection.

    Statements that read or write open a transaction by themselves (reading too, so that one transaction sees one
    state); `commit()` and `rollback()` end it. What they see of others, and what makes COMMIT fail, is the isolation
    level: READ UNCOMMITTED and READ COMMITTED (each statement reads the newest commit), REPEATABLE READ (the default:
    one state), SERIALIZABLE. With `isolation_level = None` (autocommit) each statement is its own transaction unless
    BEGIN or SAVEPOINT is executed; one that loses a race with another transaction is then tried again.

    Closing twice is harmless; using a closed connection raises ProgrammingError.
    """

    Warning = ex.Warning
    Error = ex.Error
    InterfaceError = ex.InterfaceError
    DatabaseError = ex.DatabaseError
    DataError = ex.DataError
    OperationalError = ex.OperationalError
    IntegrityError = ex.IntegrityError
    InternalError = ex.InternalError
    ProgrammingError = ex.ProgrammingError
    NotSupportedError = ex.NotSupportedError

    def __init__(self, database: Database, *, isolation_level: str | None = "DEFERRED", owns: bool = False) -> None:
        self._closed = True  # until everything is there
        super().__init__()
        self._pid = os.getpid()
        self._database: Database | None = database
        self._owns = owns
        self._isolation_level: str | None = "DEFERRED"
        self._autocommit = False
        self._read_committed = False
        self._serializable = False
        isolation_level = _isolation.normal(isolation_level)
        self._session: Any = None
        out = ffi.new("edb_conn **")
        check(lib.edb_conn_open(database.handle, out))
        self._session = out[0]
        self._raw = None
        try:
            self._raw = apsw.Connection(":memory:")
            self._raw.enable_load_extension(True)
            self._raw.load_extension(_native.__file__, "sqlite3_entitydb_init")
            self._raw.enable_load_extension(False)
            self._control = self._raw.cursor()
            self._control.execute("SELECT entitydb_bind(?)", (lib.edb_conn_id(self._session),)).fetchall()
        except apsw.Error as error:
            self._free()
            raise translate(error) from error
        except BaseException:
            self._free()
            raise

        # Options of contexts, by in_transaction + 2 * writes: of now, and of the past (the moment is set for each use).
        self._plain = [ffi.new("edb_stmt_options *", (i & 1, i >> 1, False, 0)) for i in range(4)]
        self._past = [ffi.new("edb_stmt_options *", (i & 1, i >> 1, True, 0)) for i in range(4)]
        self._writing = self._plain[2:]
        self._out = ffi.new("edb_stmt **")
        self._number = ffi.new("uint64_t *")
        self._changes = ffi.new("int64_t *")
        self._last_id = ffi.new("int64_t *")
        self._has_last_id = ffi.new("_Bool *")

        self._running: Any = None  # the context being stepped now
        self._current: Any = None  # the context the engine has as current
        self._orphans: deque[tuple[Any, Any]] = deque()
        self._active: dict[int, ref[Cursor]] = {}  # cursors with rows to fetch
        _open.add(self)
        # A transaction is open and no statement has run in it, or, at READ COMMITTED, none that changed anything: it
        # can be ended and begun again.
        self._fresh = False
        self._said: list[str] = []  # when fresh: what opened it, and savepoints since
        self._savepoints = Savepoints()
        self._attached: dict[str, _attach.Attachment] = {}  # by lower-case name
        # What is attached, in order, SQLite's own (None) too; empty: nothing.
        self._order: tuple[tuple[str, _attach.Attachment | None], ...] = ()
        self._shows = False  # sqlite_master and pragma_...() can be asked
        self._tells: _master.Told | None = None  # what the running statement has been told of the schema
        self._temporary: frozenset[str] = frozenset()
        self._temporary_unsure = False
        self._total_changes = 0
        self._row_factory: RowFactory | None = None
        self._text_factory: TextFactory = str
        self._row_in = False  # a TEMP view or trigger has a row value beside IN
        self._moves = 0  # counts the changes of the schemas
        self._generates: bool | None = None  # generates(), when it was asked for
        self._descriptions: dict[str, Any] = {}
        self._masks: dict[str, Any] = {}
        self._rewriter: Rewriter | None = None  # None: statements are run as they are
        self._closed = False
        _isolation.choose(self, isolation_level)
        try:
            self._redeclare()
        except BaseException:
            self.close()
            raise

    def _whole(self) -> Connection:
        return self

    def _schemas(self) -> list[Schema]:
        return [self, *self._attached.values()] if self._attached else [self]

    # ---- PEP 249 ----

    def cursor(self, factory: Callable[[Connection], Cursor] | None = None) -> Cursor:
        """A new cursor; factory: makes it of the connection, when it is to be of another class."""
        self._check_open()
        if factory is not None:
            return factory(self)
        from ._cursor import Cursor

        cursor = Cursor(self)
        if self._row_factory is not None or self._text_factory is not str:
            cursor.row_factory = self._row_factory
        return cursor

    def commit(self) -> None:
        """Ends the transaction; acknowledged when as durable as `synchronous` says.

        Raises:
            SerializationFailure: another transaction changed the same data; nothing of this one is left.
            IntegrityError: another transaction took a unique key first; nothing of this one is left.
            OperationalError: the disk refused. "Outcome unknown until reopened" when the sync failed.
        """
        self._check_open()
        if self._raw.in_transaction:
            self._execute_control("COMMIT")
            self._committed()

    def _commit_or_not(self) -> None:
        """The end of a statement that is a transaction by itself: one that may not commit is rolled back."""
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        self._check_open()
        if self._raw.in_transaction:
            self._execute_control("ROLLBACK")
            self._rolled_back()

    def close(self) -> None:
        """Rolls back what is open. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._inherited():
            _kept.append((self._session, self._raw, list(self._orphans), self._attached))
            self._session = self._raw = self._database = None
            return
        for cursor in self._fetching():
            cursor._abandon()
        self._reap()
        self._free()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Commits, or rolls back when there was an exception; does not close."""
        if kind is None:
            self.commit()
        else:
            self.rollback()

    # ---- the sqlite3 module's habits ----

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> Cursor:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, sql: str) -> Cursor:
        """Commits what is open, then runs every statement of a script in autocommit mode."""
        cursor = self.cursor()
        self.commit()
        before, self._autocommit = self._autocommit, True
        try:
            for statement in split_statements(sql):
                cursor.execute(statement)
                cursor._abandon()
        finally:
            self._autocommit = before
        return cursor

    @property
    def isolation_level(self) -> str | None:
        """None: autocommit. Else the level of the transactions that statements open by themselves.

        READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ, SERIALIZABLE, or one of the sqlite3 module's words (DEFERRED,
        IMMEDIATE, EXCLUSIVE, the empty string), which mean REPEATABLE READ. Setting it to AUTOCOMMIT sets None.

        Raises:
            ProgrammingError: no such level; a transaction is open.
        """
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._check_open()
        _isolation.choose(self, level)

    @property
    def autocommit(self) -> bool:
        """The same as `isolation_level is None`."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.isolation_level = None if value else self._isolation_level or "DEFERRED"

    @property
    def row_factory(self) -> RowFactory | None:
        """What makes a row of (cursor, tuple), for cursors made from now on; None: rows are tuples. See Row."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory: RowFactory | None) -> None:
        self._row_factory = factory

    @property
    def text_factory(self) -> TextFactory:
        """What makes a TEXT value of its bytes in UTF-8, for cursors made from now on; str by default."""
        return self._text_factory

    @text_factory.setter
    def text_factory(self, factory: TextFactory) -> None:
        self._text_factory = factory

    @property
    def in_transaction(self) -> bool:
        self._check_open()
        return bool(self._raw.in_transaction)

    @property
    def total_changes(self) -> int:
        """Rows that INSERT, UPDATE and DELETE have changed through this connection's cursors."""
        self._check_open()
        return self._total_changes

    @property
    def apsw(self) -> apsw.Connection:
        """The SQLite connection underneath. What it runs reads now, outside the driver's transactions' care."""
        self._check_open()
        self._leave(None)
        raw: apsw.Connection = self._raw
        return raw

    @property
    def database(self) -> Database:
        self._check_open()
        assert self._database is not None
        return self._database

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The database of now as SQL statements; `filter`: a LIKE pattern for names. History is not in it."""
        self._check_open()
        return _dump.iterdump(self, filter)

    def backup(
        self,
        target: Any,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        name: str = "main",
        sleep: float = 0.25,
    ) -> None:
        """Copies the database of now, without its history, into an empty connection of ours or of the sqlite3 module,
        in one transaction of it: all or nothing.

        Args:
            target: a connection with nothing open.
            progress: called behind each table: a status of 0, tables left, tables in all.
            name: only "main".
            pages, sleep: taken and mean nothing: one snapshot is copied at once.
        """
        self._check_open()
        if name != "main":
            raise ex.NotSupportedError(f"backup of {name}: only main can be copied")
        _dump.backup(self, target, progress)

    def interrupt(self) -> None:
        """Makes what this connection runs raise OperationalError soon. The one method for other threads to call."""
        self._check_open()
        lib.edb_conn_interrupt(self._session)
        self._raw.interrupt()

    # ---- EntityDB's own ----

    @property
    def last_commit(self) -> tuple[int, int]:
        """(number, nanoseconds since 1970 UTC) of this connection's last commit; number 0: none yet."""
        self._check_open()
        lib.edb_conn_last_commit(self._session, self._number, self._last_id)
        return int(self._number[0]), int(self._last_id[0])

    def set_commit_time(self, ns: int) -> None:
        """The next commit gets this time: later than the last commit's, not later than the clock. 0 takes it back."""
        self._check_open()
        check(lib.edb_conn_commit_time(self._session, ns))

    def ping(self) -> None:
        """Raises when the connection cannot be used; opens no transaction."""
        self._check_open()
        stmt = self._open_statement(False, None, bool(self._raw.in_transaction))
        self._end_statement(stmt)

    def catalog(self, as_of: int | None = None, schema: str = "main") -> dict[str, _catalog.Table]:
        """The tables by lower-case name, as a statement of this connection would see them (own DDL included).

        Args:
            as_of: nanoseconds; the catalog of that moment instead, without own DDL.
            schema: an attached database instead of main; {} for one of SQLite's own.
        """
        self._check_open()
        return self.schema(as_of, schema)[0]

    def views(self, as_of: int | None = None, schema: str = "main") -> dict[str, _catalog.View]:
        """The views by lower-case name; otherwise as catalog()."""
        self._check_open()
        return self.schema(as_of, schema)[1]

    def schema(
        self, as_of: int | None = None, schema: str = "main"
    ) -> tuple[dict[str, _catalog.Table], dict[str, _catalog.View]]:
        """Tables and views."""
        self._check_open()
        found = _attach.schema_of(self, schema)
        return ({}, {}) if found is None else found._read(as_of)

    def has_schema(self, schema: str) -> bool:
        """Is this main, or a database of ours that is attached?"""
        return _attach.schema_of(self, schema) is not None

    def _show(self, *, fixed: bool = False) -> None:
        """Before what asks for the schema: the functions of answers/master.py are there. `fixed`: they tell what there is now,
        until `_tells` is None again."""
        if fixed:
            self._tells = _master.Told(self, always=True)
        if not self._shows:
            _master.register(self)
            self._shows = True

    def temporary_tables(self) -> frozenset[str]:
        """Lower-case names of the TEMP tables and views, which are SQLite's own."""
        if self._temporary_unsure:
            self._temporary_unsure = False
            rows = self._raw.execute("SELECT name FROM temp.sqlite_master WHERE type IN ('table', 'view')").fetchall()
            self._temporary = frozenset(name.lower() for (name,) in rows)
        return self._temporary

    # ---- statement contexts ----

    def _inherited(self) -> bool:
        """Did this connection come here through fork()?"""
        return self._pid != os.getpid()

    def _check_open(self) -> None:
        if self._closed:
            raise ex.ProgrammingError("Cannot operate on a closed database.")
        if self._inherited():
            raise engine_error(CODES["FORKED"], "the connection was inherited through fork(); open anew in the child")

    def _open_statement(
        self, writes: bool, moment: int | None, in_transaction: bool, schema: Schema | None = None
    ) -> Any:
        """A new context, after declaring the schema anew if it has changed. `schema`: which is written to."""
        if writes and schema is not None:
            options = schema._writing[in_transaction]
        elif moment is None:
            options = self._plain[in_transaction + 2 * writes]
        else:
            options = self._past[in_transaction + 2 * writes]
            options.moment_ns = moment
        for _ in range(_RETRIES):
            code = lib.edb_stmt_begin(self._session, options, self._out)
            if code == 0:
                return self._out[0]
            if code != _SCHEMA:
                raise engine_error(code)
            self._follow_schema()
        raise engine_error(_SCHEMA)

    def _follow_schema(self) -> None:
        """Declares anew. Inside a transaction that has done nothing yet, what began it is said again behind it."""
        if not self._raw.in_transaction:
            self._redeclare()
        elif self._fresh and (self._running is None or not self._read_committed):
            # At READ COMMITTED statements may have read in it; the engine's transaction ends with them.
            self._control.execute("COMMIT")
            lib.edb_conn_settle(self._session, True)
            self._redeclare()
            for sql in self._said:
                self._control.execute(sql)
        else:
            sentence = "another connection changed the schema after this transaction began: roll back and retry"
            raise engine_error(CODES["CONFLICT"], sentence)

    def _enter(self, stmt: Any) -> Any:
        """Makes a context current for a step. -> what to give `_leave`."""
        before = self._running
        self._running = stmt
        if self._current is not stmt:
            lib.edb_stmt_enter(stmt)
            self._current = stmt
        return before

    def _leave(self, before: Any) -> None:
        """After a step: the outer context, if a step is going on, is current again; else none is."""
        self._running = before
        if self._current is not before:
            lib.edb_stmt_restore(self._session, ffi.NULL if before is None else before)
            self._current = before

    def _end_statement(self, stmt: Any) -> None:
        lib.edb_stmt_end(stmt)
        if self._current is stmt:
            self._current = None  # the engine knows
            self._leave(None if self._running is stmt else self._running)
        if not self._raw.in_transaction:
            lib.edb_conn_settle(self._session, True)

    def _reap(self) -> None:
        """Ends what the garbage collector left behind."""
        while self._orphans:
            raw_cursor, stmt = self._orphans.popleft()
            raw_cursor.close(True)
            self._end_statement(stmt)

    def _run(
        self,
        sql: str,
        parameters: Any = (),
        *,
        writes: bool = False,
        as_of: int | None = None,
        schema: Schema | None = None,
    ) -> list[Any]:
        """Runs a statement of the driver's own to its end."""
        stmt = self._open_statement(writes, as_of, bool(self._raw.in_transaction), schema)
        try:
            before = self._enter(stmt)
            try:
                return list(self._raw.execute(sql, parameters))
            finally:
                self._leave(before)
        except Exception as error:
            raise translate(error, parameters) from error
        finally:
            self._end_statement(stmt)

    # ---- transactions ----

    def _begin(self) -> None:
        self._control.execute("BEGIN")
        self._fresh = True
        self._said = ["BEGIN"]

    def _begin_write(self, schema: Schema | None = None) -> None:
        """Begins a transaction at the newest schema, which is followed before BEGIN fixes what is seen."""
        stmt = self._open_statement(True, None, True, schema)
        try:
            self._begin()
        finally:
            self._end_statement(stmt)

    def _autocommitted(self, run: Callable[[], None], schema: Schema | None = None) -> None:
        """Runs a piece of the driver's own in a transaction by itself, again when it lost a race."""
        for attempt in range(_RETRIES):
            self._begin_write(schema)
            try:
                run()
                self.commit()
                return
            except ex.SerializationFailure:
                if attempt == _RETRIES - 1:
                    raise
            finally:
                self.rollback()

    def _execute_control(self, sql: str, commits: bool = False) -> None:
        """BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO: whatever state they lead to is followed.
        `commits`: it is a RELEASE that does."""
        was_open = self._raw.in_transaction
        if was_open and (commits or sql[:6].upper() in ("COMMIT", "END", "END TR")):
            check(lib.edb_conn_judge(self._session))  # a deferred foreign key: the transaction stays open to be mended
        if was_open and self._serializable and sql[:8].upper().startswith(("COMMIT", "END", "RELEASE")):
            self._drain()  # what a cursor has yet to read belongs to what COMMIT validates
        try:
            self._control.execute(sql)
        except Exception as error:
            # Another message than the engine's own must not overwrite it: translate first.
            translated = translate(error)
            if was_open and not self._raw.in_transaction:
                self._rolled_back()
            lib.edb_conn_unprepare(self._session)  # a COMMIT that an attached SQLite file has refused
            lib.edb_conn_settle(self._session, not self._raw.in_transaction)
            raise translated from error
        lib.edb_conn_settle(self._session, not self._raw.in_transaction)

    def _control_statement(self, analysis: Analysis, sql: str) -> None:
        """A transaction statement given as SQL."""
        verb = analysis.verb
        was_open = bool(self._raw.in_transaction)
        begun = verb == "SAVEPOINT" and not was_open and not self._autocommit
        if begun:
            self._begin()
        self._execute_control(sql, verb == "RELEASE" and self._savepoints.commits(analysis.name))
        self._savepoints.follow(verb, analysis.name, was_open or begun)
        is_open = bool(self._raw.in_transaction)
        if is_open and not was_open and not self._fresh:
            self._fresh = True
            self._said = [sql]
        elif self._fresh and is_open:
            self._said.append(sql)  # savepoints before the first statement
        if verb == "ROLLBACK TO":
            self._rolled_back_to()
        elif was_open and not is_open:
            if verb == "ROLLBACK":
                self._rolled_back()
            else:
                self._committed()

    def _committed(self) -> None:
        """After a commit: waits for its durability. Raises OperationalError when that cannot be had."""
        self._fresh = False
        self._before = None
        for attached in self._attached.values():
            attached._before = None
        code = lib.edb_conn_wait(self._session)
        if code:
            # SQLite has committed, and the engine has not or may not have: its catalog says what is to be declared.
            for schema in self._schemas():
                lib.edb_conn_declared(schema._session, _NO_SCHEMA)
            check(code)

    def _rolled_back(self) -> None:
        """After a rollback, ours or SQLite's."""
        self._fresh = False
        self._undo_ddl()
        for attached in self._attached.values():
            attached._undo_ddl()
        self._temporary_unsure = True

    def _rolled_back_to(self) -> None:
        """After ROLLBACK TO: catalog and declarations both went back to the savepoint; read what is there."""
        self._temporary_unsure = True
        for schema in self._schemas():
            schema._reread()

    def _check_transaction_end(self, was_open: bool) -> None:
        """After an error inside a statement: SQLite may have rolled back the whole transaction."""
        if was_open and not self._raw.in_transaction:
            self._rolled_back()

    # ---- declarations ----

    def _count(self, sql: str, counted: Counted | Least) -> str:
        """A bare count(*) as a question to the engine, which need not visit the rows, and min() as one to an index;
        views and TEMP tables stay."""
        name = counted.table.lower()
        if self._order:
            named = counted.schema
            found = _attach.schema_with(self, name) if named is None else _attach.schema_of(self, named)
        elif (counted.schema or "main").lower() != "main" or name in self.temporary_tables():
            return sql
        else:
            found = self
        declared = None if found is None else found._declared.get(name)
        if found is None or declared is None:
            return sql
        if isinstance(counted, Least):
            return counted.sql if counted.pays(declared.table) else sql
        literal = "'" + declared.name.replace("'", "''") + "'"
        return f"SELECT entitydb_count({declared.table.id}, {literal}{found._counted}) AS {quote(counted.label)}"

    def _schema_moved(self) -> None:
        self._moves += 1
        self._generates = None
        self._descriptions.clear()
        self._masks.clear()
        self._functions_changed()

    def _functions_changed(self) -> None:
        """An expression with a function of the connection's own means something else than in an index."""
        own: frozenset[str] = frozenset()
        schemas = self._schemas()
        everything = [d.table for schema in schemas for d in schema._declared.values()]
        hidden = any(column.hidden for table in everything for column in table.columns)
        if hidden or any(index.where is not None for table in everything for index in table.indexes):
            rows = self._raw.execute("SELECT name FROM pragma_function_list WHERE NOT builtin").fetchall()
            own = frozenset(name.lower() for (name,) in rows)
        self._rewriter = None
        for schema in reversed(schemas):
            tables = [declared.table for declared in schema._declared.values()]
            self._rewriter = Rewriter.of(tables, own, schema._title.lower(), self._rewriter)

    @property
    def generates(self) -> bool:
        """Has any table declared generated columns, or expressions as indexes?"""
        if self._generates is None:
            self._generates = any(d.table.generates for schema in self._schemas() for d in schema._declared.values())
        return self._generates

    def written_table(self, analysis: Analysis) -> _catalog.Table | None:
        """The table a statement writes to, when it is one of ours."""
        name, given = analysis.table.lower(), analysis.schema
        schema = _attach.schema_with(self, name) if given is None else _attach.schema_of(self, given)
        declared = None if schema is None else schema._declared.get(name)
        return None if declared is None else declared.table

    def _fetching(self) -> list[Cursor]:
        found = [reference() for reference in list(self._active.values())]
        return [cursor for cursor in found if cursor is not None]

    def _drain(self) -> None:
        """Reads half-fetched cursors into memory, because SQLite cannot change a schema under them."""
        for cursor in self._fetching():
            cursor._drain()
        self._reap()

    def _redeclare(self) -> None:
        """Makes SQLite's declarations those of the newest catalog. Between transactions only."""
        schemas = self._schemas()
        for _ in range(_RETRIES):
            for schema in schemas:
                check(lib.edb_conn_schema(schema._session, self._number))
                lib.edb_conn_declared(schema._session, self._number[0])
            code = lib.edb_stmt_begin(self._session, self._plain[0], self._out)
            if code == 0:
                break
            if code != _SCHEMA:
                raise engine_error(code)
        else:
            raise engine_error(_SCHEMA)
        stmt = self._out[0]
        try:
            before = self._enter(stmt)
            try:
                for schema in schemas:
                    rows = self._raw.execute(schema._catalog_sql).fetchall()
                    wanted, views, schema._settings = sorted_catalog(rows)
                    if wanted != schema._declared or views != schema._views:
                        schema._declare(wanted, views)
            finally:
                self._leave(before)
        except apsw.Error as error:
            raise translate(error) from error
        finally:
            self._end_statement(stmt)

    # ---- the end ----

    def _free(self) -> None:
        """SQLite's side first: its virtual tables still know the session."""
        raw, self._raw = self._raw, None
        self._control = None
        if raw is not None:
            raw.close(True)
        for attached in getattr(self, "_attached", {}).values():
            attached.close()
        session, self._session = self._session, None
        if session is not None:
            lib.edb_conn_close(session)
        database, self._database = self._database, None
        if database is not None and self._owns:
            database.close()
