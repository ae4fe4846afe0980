"""A cursor: one statement at a time, its context in the engine, and its rows.

Rows come straight from apsw. Rows that are already there (a PRAGMA answered from the catalog, a cursor read into memory
because the schema had to change) are kept in `_rows` and handed out first.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import apsw

from .. import _exceptions as ex
from .._native import ffi, lib
from . import _label
from ._catalog import Table
from ._connection import Connection
from ._errors import CODES, Parameters, check, engine_error, translate
from .answers.master import explained
from .answers.pragma import answer
from .rewrite.generated_columns import SchemaMoved, adapted, unadapted
from .rewrite.schema_names import rewritten
from .rewrite.upsert_returning import Part, Pieces, columns_of, constraints_of
from .schemas import attached as _attach
from .schemas.routing import route
from .schemas.schema import Schema
from .sql import analysis as an
from .sql.analysis import Analysis, analyse

_RETRIES = 10
_ARGUMENTS = 100  # parameters told in one call of a function of SQLite's
_CHUNK = 1000  # rows taken from a generator at a time by executemany
_FOREIGN_KEY = CODES["FOREIGNKEY"]


class _OneByOne(Exception):
    """A foreign key failed, and with it all rows that one context wrote."""


class Cursor:
    """A PEP 249 cursor.

    Attributes:
        description: one 7-tuple a column (name and declared type, the rest None); None for statements without rows.
        rowcount: rows changed by the last INSERT, UPDATE or DELETE; else -1.
        lastrowid: the row id given by the last INSERT; None before one.
        arraysize: rows of a `fetchmany()` without argument.
        as_of: None, or the moment in nanoseconds (included) that the next statements read; writes then raise
            PastWriteError.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1
        self.as_of: int | None = None
        self._raw: Any = connection._raw.cursor()
        self._stmt: Any = None  # the context of the rows being fetched
        self._rows: Iterator[Any] | None = None
        self._closed = False
        self._moves = 0  # of the schema, when the statement was adapted to it
        self._row_factory: Any = None
        self._ref = weakref.ref(self)

    @property
    def row_factory(self) -> Any:
        """What makes a row of (cursor, tuple); None: rows are tuples."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        from ._rows import ShapedCursor

        self._row_factory = factory
        if type(self) is Cursor:
            self.__class__ = ShapedCursor  # a plain cursor's rows are touched by nobody

    # ---- executing ----

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement. Parameters: a sequence for `?`, a mapping for `:name`.

        Raises:
            ProgrammingError: closed; several statements; wrong parameters.
            SerializationFailure: another transaction was first; roll back and try again.
            PastWriteError: a write under `as_of`.
            NotSupportedError: what EntityDB does not do.
            IntegrityError, OperationalError, DataError: as the sqlite3 module.
        """
        connection = self.connection
        if self._stmt is not None or self._closed or connection._closed or connection._orphans:
            self._ready()
        self._rows = None
        analysis = analyse(sql)
        if analysis.several:
            raise ex.ProgrammingError("You can only execute one statement at a time.")
        self.rowcount = -1
        kind = analysis.kind
        if kind is an.READ or kind is an.OTHER:
            if analysis.schema_sql is not None:
                connection._show()
                sql = analysis.schema_sql
            self._read(connection, analysis, sql, parameters)
            if analysis.verb == "EXPLAIN":
                trees = [
                    (i.tree, schema._title, d.table, i)
                    for schema in connection._schemas()
                    for d in schema._declared.values()
                    for i in d.table.indexes
                ]
                self._rows = iter([explained(row, trees) for row in Cursor.fetchall(self)])
        elif kind is an.WRITE:
            self.description = None
            self.rowcount = self._write_once(connection, analysis, sql, parameters)
            connection._total_changes += self.rowcount
        else:
            self._other(connection, analysis, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> Cursor:
        """Runs an INSERT, UPDATE or DELETE once for each set of parameters. `rowcount` is the sum."""
        connection = self._ready()
        analysis = analyse(sql)
        if analysis.several:
            raise ex.ProgrammingError("You can only execute one statement at a time.")
        if analysis.kind is not an.WRITE:
            raise ex.ProgrammingError("executemany() can only execute DML statements.")
        self.description = None
        total = 0
        # INSERT ... VALUES reads nothing of what it writes, so one context serves all rows; in autocommit mode each
        # row is a transaction, and UPDATE and DELETE must see what the row before did.
        together = (
            analysis.plain_values
            and not analysis.returning
            and not (isinstance(analysis.pieces, Pieces) and analysis.pieces.shares)
            and (connection.in_transaction or not connection._autocommit)
        )
        if together:
            for chunk in _chunks(parameters):
                try:
                    total += self._write_adapted(connection, analysis, sql, chunk, many=True)
                except _OneByOne:
                    # Which row is to blame shows when each is a statement; those before it stay.
                    for one in chunk:
                        total += self._write_adapted(connection, analysis, sql, one)
        else:
            for one in parameters:
                total += self._write_once(connection, analysis, sql, one)
        self.description = self._rows = None  # rows of RETURNING are not kept
        self.rowcount = total
        connection._total_changes += total
        return self

    def executescript(self, sql: str) -> Cursor:
        """Commits what is open, then runs every statement of a script in autocommit mode."""
        self._ready().executescript(sql)
        return self

    def _ready(self) -> Connection:
        """The connection, with this cursor's last result given up."""
        connection = self.connection
        if self._closed:
            raise ex.ProgrammingError("Cannot operate on a closed cursor.")
        connection._check_open()
        if self._stmt is not None:
            self._finish(close=True)
        self._rows = None
        if connection._orphans:
            connection._reap()
        return connection

    def _read(self, connection: Connection, analysis: Analysis, sql: str, parameters: Parameters) -> None:
        raw = connection._raw
        is_open = raw.in_transaction
        begin = not is_open and not connection._autocommit and analysis.kind is an.READ
        moment = self.as_of
        if moment is None:
            options = connection._plain[is_open or begin]
        else:
            options = connection._past[is_open or begin]
            options.moment_ns = moment
        if not lib.edb_stmt_begin(connection._session, options, connection._out):
            stmt = connection._out[0]
        else:
            stmt = connection._open_statement(False, moment, is_open or begin)
        self._stmt = stmt
        if analysis.row_in or connection._row_in:
            lib.edb_stmt_row_in(stmt)
        before = connection._running
        try:
            if begin:
                connection._begin()
            connection._running = connection._current = stmt
            lib.edb_stmt_enter(stmt)
            if analysis.counted is not None:
                sql = connection._count(sql, analysis.counted)
            if connection._rewriter is not None:
                sql = connection._rewriter.text(sql, connection.temporary_tables(), parameters)
            description = connection._descriptions.get(sql)
            if description is None:
                description = self._describe(connection, sql, parameters)
            else:
                self._raw.execute(sql, parameters)
        except BaseException as error:
            translated = _unlocked(translate(error, parameters), sql)
            connection._leave(before)
            self._finish(close=True)
            connection._check_transaction_end(is_open or begin)
            if translated is error:
                raise
            raise translated from error
        # Left current behind the step: fetching finds it so.
        connection._running = before
        if before is not None:
            connection._leave(before)
        if moment is None and not connection._read_committed:
            connection._fresh = False
        self.description = description or None
        try:
            self._raw.has_vdbe  # noqa: B018 - apsw's only way to ask whether rows are left
        except apsw.ExecutionCompleteError:
            self._finish()
        else:
            connection._active[id(self)] = self._ref

    def _describe(self, connection: Connection, sql: str, parameters: Parameters) -> Any:
        """Executes, and keeps the names of the result's columns for this schema.

        The statement is prepared afresh for it: one out of apsw's cache is traced before SQLite notices that the schema
        has changed, and would tell old columns.
        """
        found: list[Any] = [()]

        def trace(cursor: apsw.Cursor, _sql: str, _parameters: Any) -> bool:
            found[0] = tuple((*column, None, None, None, None, None) for column in cursor.get_description())
            return True

        self._raw.exec_trace = trace
        try:
            self._raw.execute(sql, parameters, can_cache=False)
        finally:
            if self._raw is not None:
                self._raw.exec_trace = None
        if len(connection._descriptions) > 2000:
            connection._descriptions.clear()
        connection._descriptions[sql] = found[0]
        return found[0]

    def _write_once(self, connection: Connection, analysis: Analysis, sql: str, parameters: Parameters) -> int:
        """One execution; an autocommit statement that lost a race runs again."""
        if not connection._autocommit:
            return self._write_adapted(connection, analysis, sql, parameters)
        for attempt in range(_RETRIES):
            try:
                return self._write_adapted(connection, analysis, sql, parameters)
            except ex.SerializationFailure:
                if attempt == _RETRIES - 1 or connection._raw.in_transaction:
                    raise
        raise AssertionError("unreachable")

    def _write_adapted(
        self, connection: Connection, analysis: Analysis, sql: str, parameters: Any, *, many: bool = False
    ) -> int:
        """_write() of the statement as the schema of the time wants it."""
        if analysis.schema_sql is not None:
            connection._show()
            sql = analysis.schema_sql
        while True:
            self._moves = connection._moves
            now, text = adapted(connection, analysis, sql) if connection.generates else (analysis, sql)
            try:
                return self._write(connection, now, text, parameters, many=many)
            except SchemaMoved:
                continue
            except ex.OperationalError as error:
                if now is analysis:
                    raise
                raise unadapted(error, analysis.table) from error

    def _begin_adapted(self, connection: Connection, in_transaction: bool, schema: Schema | None) -> Any:
        """A context for the statement that was adapted. Raises SchemaMoved when it was for another schema."""
        stmt = connection._open_statement(True, None, in_transaction, schema)
        if connection._moves != self._moves:
            connection._end_statement(stmt)
            raise SchemaMoved
        return stmt

    def _write(
        self, connection: Connection, analysis: Analysis, sql: str, parameters: Any, *, many: bool = False
    ) -> int:
        """INSERT, UPDATE, DELETE: runs to its end. -> rows changed."""
        raw = connection._raw
        is_open = raw.in_transaction
        begin = not is_open and not connection._autocommit
        schema = self._target(analysis)
        temporary = schema is None
        if self.as_of is not None:
            raise ex.PastWriteError(f"{analysis.verb} as of a past moment: the past cannot be changed")
        pieces = None if temporary else analysis.pieces
        if isinstance(pieces, ex.Error):
            raise type(pieces)(*pieces.args)
        if pieces is not None and pieces.query is not None:
            assert schema is not None
            return self._write_returning(schema, analysis, pieces, sql, parameters)
        written = sql
        if pieces is not None:
            told = pieces.values(parameters) if pieces.shares else ()
            sql, parameters = _piece(pieces.change, parameters, told)
        if connection._rewriter is not None and not temporary:
            sql = connection._rewriter.text(sql, connection.temporary_tables(), None if many else parameters)
        stmt = self._begin_adapted(connection, is_open or begin, schema)
        judged = 0
        if analysis.row_in or connection._row_in:
            lib.edb_stmt_row_in(stmt)
        try:
            if begin:
                connection._begin()
            if schema is not None and (analysis.columns is not None or analysis.default_values):
                self._supply(schema, analysis, written, stmt)
            before = connection._enter(stmt)
            try:
                if pieces is not None and schema is not None:
                    self._tell_conflicts(schema, analysis, pieces, told)
                if many:
                    self._raw.executemany(sql, parameters)
                else:
                    self._raw.execute(sql, parameters)
                    if analysis.returning:
                        self._keep_returned()
            finally:
                connection._leave(before)
            if temporary:
                changed = raw.changes()
                if analysis.verb in ("INSERT", "REPLACE"):
                    self.lastrowid = raw.last_insert_rowid()
            else:
                judged = lib.edb_stmt_judge(stmt)
                check(judged)
                lib.edb_stmt_counts(stmt, connection._changes, connection._last_id, connection._has_last_id)
                changed = connection._changes[0]
                if connection._has_last_id[0]:
                    self.lastrowid = connection._last_id[0]
        except BaseException as error:
            translated = translate(error, () if many else parameters)
            if many and translated is error and isinstance(error, (TypeError, OverflowError, KeyError)):
                translated = next((t for p in parameters if (t := translate(error, p)) is not error), error)
            # Rows that stay although a later one failed have foreign keys, too; if one of them fails, none stays.
            if many and (judged or lib.edb_stmt_judge(stmt)) == _FOREIGN_KEY:
                translated = _OneByOne()
            self._raw.close(True)
            self._raw = raw.cursor()
            if not many:
                translated = _undo(stmt, analysis, error, translated)
            connection._end_statement(stmt)
            connection._check_transaction_end(is_open or begin)
            if analysis.conflict == "FAIL" and not (is_open or begin):
                connection._committed()  # SQLite has, what was kept
            if translated is error:
                raise
            raise translated from error
        connection._fresh = False
        connection._end_statement(stmt)
        if not raw.in_transaction:
            connection._committed()
        return int(changed)

    def _write_returning(
        self, schema: Schema, analysis: Analysis, pieces: Pieces, sql: str, parameters: Any
    ) -> int:
        """INSERT, UPDATE, DELETE with RETURNING: the change, then the list over the rows it captured, or neither."""
        connection = self.connection
        aggregates = pieces.calls.intersection(connection._aggregates)
        if aggregates:
            raise ex.OperationalError(f"misuse of aggregate function {min(aggregates)}()")
        told = pieces.values(parameters) if pieces.shares else ()
        change, change_parameters = _piece(pieces.change, parameters, told)
        if connection._rewriter is not None:
            change = connection._rewriter.text(change, connection.temporary_tables(), change_parameters)
        query, query_parameters = _piece(pieces.query_in(schema._place), (), told)
        raw = connection._raw
        begin = not raw.in_transaction
        alone = begin and connection._autocommit
        stmt = self._begin_adapted(connection, True, schema)
        reader: Any = None
        try:
            if begin:
                connection._begin()
            if analysis.row_in or connection._row_in:
                lib.edb_stmt_row_in(stmt)
            if analysis.columns is not None or analysis.default_values:
                self._supply(schema, analysis, sql, stmt)
            declared = schema._declared.get(analysis.table.lower())
            if declared is not None:
                check(lib.edb_stmt_capture(stmt, declared.table.id))
            before = connection._enter(stmt)
            try:
                self._tell_conflicts(schema, analysis, pieces, told)
                self._raw.execute(change, change_parameters)
            finally:
                connection._leave(before)
            check(lib.edb_stmt_judge(stmt))
            lib.edb_stmt_counts(stmt, connection._changes, connection._last_id, connection._has_last_id)
            changed = int(connection._changes[0])
            last_id = connection._last_id[0] if connection._has_last_id[0] else self.lastrowid
            # A context of its own: it has to see what the change wrote.
            reader = connection._open_statement(False, None, True)
            lib.edb_stmt_returned(reader, stmt)
            before = connection._enter(reader)
            try:
                description = connection._descriptions.get(query)
                if description is None:
                    description = self._describe(connection, query, query_parameters)
                else:
                    self._raw.execute(query, query_parameters)
                rows = self._raw.fetchall()
            finally:
                connection._leave(before)
        except BaseException as error:
            translated = translate(error, parameters)
            self._raw.close(True)
            self._raw = raw.cursor()
            if reader is not None:
                connection._end_statement(reader)
                lib.edb_stmt_undo(stmt)
            else:
                translated = _undo(stmt, analysis, error, translated)
            connection._end_statement(stmt)
            if alone and raw.in_transaction:
                connection._commit_or_not()
            connection._check_transaction_end(True)
            if translated is error:
                raise
            raise translated from error
        connection._fresh = False
        connection._end_statement(reader)
        connection._end_statement(stmt)
        if alone:
            connection._commit_or_not()
        self.lastrowid = last_id
        self.description = description or None
        self._rows = iter(rows)
        return changed

    def _tell_conflicts(self, schema: Schema, analysis: Analysis, pieces: Pieces, told: Any) -> None:
        """ON CONFLICT clauses, told to the engine in the context of the INSERT."""
        connection = self.connection
        declared = schema._declared.get(analysis.table.lower())
        if declared is None:
            return  # and the INSERT says so
        table = declared.table
        for conflict in pieces.conflicts:
            constraints, columns = constraints_of(conflict, table), columns_of(conflict, table)
            values = [told[i] for i in conflict.uses]
            first, rest = values[:_ARGUMENTS], values[_ARGUMENTS:]
            fixed = (table.id, constraints, columns, conflict.values, conflict.condition)
            tell = f"SELECT entitydb_on_conflict(?, ?, ?, ?, ?{', ?' * len(first)})"
            connection._control.execute(tell, (*fixed, *first)).fetchall()
            while rest:
                first, rest = rest[:_ARGUMENTS], rest[_ARGUMENTS:]
                connection._control.execute(f"SELECT entitydb_on_conflict(NULL{', ?' * len(first)})", first).fetchall()

    def _keep_returned(self) -> None:
        """RETURNING on a TEMP table, which SQLite does itself."""
        try:
            description = self._raw.get_description()
        except apsw.ExecutionCompleteError:
            return
        self.description = tuple((*column, None, None, None, None, None) for column in description)
        self._rows = iter(self._raw.fetchall())

    def _target(self, analysis: Analysis) -> Schema | None:
        """The schema that is written to; None: one of SQLite's own."""
        connection = self.connection
        if connection._order:
            return _attach.written(connection, analysis)
        if analysis.schema is not None:
            return connection if analysis.schema.lower() == "main" else None
        temporary = connection._temporary
        if connection._temporary_unsure:
            temporary = connection.temporary_tables()
        return None if temporary and analysis.table.lower() in temporary else connection

    def _supply(self, schema: Schema, analysis: Analysis, sql: str, stmt: Any) -> None:
        """Tells the engine which columns an INSERT names, so that the others get their defaults."""
        connection = self.connection
        if sql in connection._masks:
            mask = connection._masks[sql]
        else:
            declared = schema._declared.get(analysis.table.lower())
            mask = None if declared is None else _mask(declared.table, analysis.columns or ())
            if len(connection._masks) > 2000:
                connection._masks.clear()
            connection._masks[sql] = mask
        if mask is not None:
            check(lib.edb_stmt_supplied(stmt, mask[0], mask[1]))

    def _other(self, connection: Connection, analysis: Analysis, sql: str, parameters: Parameters) -> None:
        """DDL, transaction control, PRAGMA, nothing."""
        self.description = None
        kind = analysis.kind
        if kind is an.CONTROL:
            connection._control_statement(analysis, sql)
        elif kind is an.PRAGMA:
            canned = answer(connection, analysis, self.as_of)
            if canned is None:
                self._read(connection, analysis, sql, parameters)
            else:
                names, rows = canned
                if names:
                    self.description = tuple((name, None, None, None, None, None, None) for name in names)
                    self._rows = iter(rows)
        elif kind is an.LABEL:
            _label.give(self, connection, analysis, parameters)
        elif kind is an.DDL:
            self._ddl(connection, analysis, sql, parameters)

    def _ddl(self, connection: Connection, analysis: Analysis, sql: str, parameters: Parameters) -> None:
        ddl = analysis.ddl
        assert ddl is not None
        if self.as_of is not None:
            raise ex.PastWriteError(f"{ddl.verb} as of a past moment: the past cannot be changed")
        if ddl.verb in ("ATTACH", "DETACH"):
            (_attach.attach if ddl.verb == "ATTACH" else _attach.detach)(connection, sql, parameters)
            return
        schema = route(connection, ddl, sql)

        def run() -> None:
            if schema is not None:
                try:
                    schema._ddl(ddl, sql, parameters)
                except ex.OperationalError as error:
                    raise connection._no_such_collation(error) from error.__cause__
            else:
                connection._drain()
                text = rewritten(sql) if ddl.as_select or ddl.is_temporary else None
                if text is not None:
                    connection._show()
                connection._run(text or sql, parameters, writes=True)
                connection._fresh = False
                connection._temporary_unsure = True
                connection._row_in |= analysis.row_in
                connection._schema_moved()

        if connection._raw.in_transaction or ddl.verb not in ("CREATE", "DROP", "ALTER"):
            run()
        elif not connection._autocommit:
            connection._begin_write(schema)
            run()
        else:
            connection._autocommitted(run, schema)

    # ---- fetching ----

    def fetchone(self) -> Any:
        """The next row, or None."""
        if self._rows is not None:
            row = next(self._rows, None)
            if row is None:
                self._rows = None
            return row
        stmt = self._stmt
        if stmt is None:
            self._check_open()
            return None
        connection = self.connection
        before = connection._running
        connection._running = stmt
        if connection._current is not stmt:
            connection._enter(stmt)
        try:
            row = self._raw.fetchone()
        except BaseException as error:
            connection._leave(before)
            self._fail(error)
        # Left current behind the step: the next fetchone of the same cursor finds it so.
        connection._running = before
        if before is not None:
            connection._leave(before)
        if row is None:
            self._finish()
        return row

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (`arraysize` by default), fewer at the end."""
        size = self.arraysize if size is None else size
        if self._rows is not None:
            return list(islice(self._rows, size))
        if self._stmt is None:
            self._check_open()
            return []
        rows: list[Any] = self._step(lambda: list(islice(self._raw, size)))
        if len(rows) < size:
            self._finish()
        return rows

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        if self._rows is not None:
            kept, self._rows = self._rows, None
            return list(kept)
        if self._stmt is None:
            self._check_open()
            return []
        # _step() and _finish() in one: most results are fetched here.
        stmt = self._stmt
        connection = self.connection
        before = connection._running
        connection._running = stmt
        if connection._current is not stmt:
            lib.edb_stmt_enter(stmt)
            connection._current = stmt
        try:
            rows: list[Any] = self._raw.fetchall()
        except BaseException as error:
            connection._leave(before)
            self._fail(error)
        self._stmt = None
        connection._active.pop(id(self), None)
        connection._running = before
        connection._current = None  # the engine forgets a context that ends
        lib.edb_stmt_end(stmt)
        if before is not None:
            connection._leave(before)
        if not connection._raw.in_transaction:
            lib.edb_conn_settle(connection._session, True)
        return rows

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _step(self, fetch: Any) -> Any:
        connection = self.connection
        before = connection._enter(self._stmt)
        try:
            rows = fetch()
        except BaseException as error:
            connection._leave(before)
            self._fail(error)
        connection._running = before
        if before is not None:
            connection._leave(before)
        return rows

    def _fail(self, error: BaseException) -> None:
        translated = translate(error)
        self._finish(close=True)
        self.connection._check_transaction_end(True)
        if translated is error:
            raise error
        raise translated from error

    def _check_open(self) -> None:
        if self._closed:
            raise ex.ProgrammingError("Cannot operate on a closed cursor.")
        self.connection._check_open()

    def _finish(self, *, close: bool = False) -> None:
        """The rows are over, or given up: lets go of the engine's pin."""
        stmt, self._stmt = self._stmt, None
        if stmt is None:
            return
        connection = self.connection
        connection._active.pop(id(self), None)
        if close:
            # SQLite's cursors first: they belong to the context.
            self._raw.close(True)
            self._raw = connection._raw.cursor()
        connection._end_statement(stmt)

    def _drain(self) -> None:
        """Reads the rest into memory. An error on the way is its reader's, not that of who needs the schema."""
        if self._stmt is not None:
            try:
                self._rows = iter(Cursor.fetchall(self))
            except Exception as error:
                self._rows = _failing(error)

    # ---- the end ----

    def close(self) -> None:
        """Closing twice is harmless; the connection's rows of other cursors stay."""
        if not self._closed:
            self._closed = True
            self._abandon()

    def _abandon(self) -> None:
        if not self.connection._inherited():
            self._finish(close=True)
        self._rows = None

    def __del__(self) -> None:
        stmt = getattr(self, "_stmt", None)
        if stmt is not None:
            # Maybe in another thread, while the connection works: it ends the context itself.
            self.connection._active.pop(id(self), None)
            self.connection._orphans.append((self._raw, stmt))

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.close()

    def setinputsizes(self, sizes: Any) -> None:
        """Does nothing; PEP 249 wants it."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing; PEP 249 wants it."""


def _unlocked(error: BaseException, sql: str) -> BaseException:
    """A syntax error that is a FOR UPDATE says so."""
    if type(error) is not ex.OperationalError or "syntax error" not in str(error) or not an.locks_rows(sql):
        return error
    return ex.NotSupportedError(
        "SELECT ... FOR UPDATE: EntityDB has no row locks; of two transactions that write one row the later one gets"
        " SerializationFailure"
    )


def _undo(stmt: Any, analysis: Analysis, error: BaseException, translated: BaseException) -> BaseException:
    """Undoes what a statement had done before it failed: SQLite opens no savepoint for what it takes for a change of a
    single row, as every UPDATE ... FROM on a virtual table. OR FAIL keeps what it had done when a row's own constraints
    failed, if the foreign keys hold so far. -> the error to raise."""
    if analysis.conflict == "FAIL" and isinstance(error, apsw.ConstraintError):
        code = lib.edb_stmt_judge(stmt)
        return engine_error(code) if code else translated
    lib.edb_stmt_undo(stmt)
    return translated


def _piece(part: Part, parameters: Any, told: Any) -> tuple[str, Any]:
    """What to execute for a piece; told: the statement's parameters by number, () when only the change has any."""
    if told:
        return part.numbered, [told[i] for i in part.uses]
    return part.sql, parameters


def _failing(error: Exception) -> Iterator[Any]:
    """Rows of which the first is an error."""
    raise error
    yield


def _chunks(parameters: Iterable[Parameters]) -> Iterator[list[Parameters]]:
    """Lists of parameter sets: a generator runs between the statements, not inside one."""
    if isinstance(parameters, (list, tuple)):
        if parameters:
            yield parameters  # type: ignore[misc]
        return
    iterator = iter(parameters)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _mask(table: Table, columns: tuple[str, ...]) -> tuple[Any, int] | None:
    """Bits of the columns named; None when all are."""
    named = {name.lower() for name in columns}
    supplied = [column.name.lower() in named for column in table.columns]
    if all(supplied):
        return None
    bits = bytearray((len(supplied) + 7) // 8)
    for i, bit in enumerate(supplied):
        bits[i // 8] |= bit << i % 8
    return ffi.new("uint8_t[]", bytes(bits)), len(supplied)
