"""A cursor: one statement at a time, its context in the engine, and its rows.

Rows come straight from apsw. Who asks for them one by one gets the first as it comes; then several are fetched at once,
ever more, and wait in `_ahead`: what a statement reads is fixed when it begins, so they are the same now as later. (A
known text's are fetched one by one as they are asked for; that is cheap.) Rows
of statements without a context (a PRAGMA answered from the catalog, a cursor read into memory because the schema had to
change) are in `_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NoReturn

import apsw

from .. import _exceptions as ex
from .. import _short
from ._errors import Found, Parameters, as_error, translate
from ._use import in_use, of_one_cursor, recursive
from .answers.plan import explained
from .answers.pragma import answer
from .execute.change import change, change_many
from .execute.define import define
from .execute.info import say_info
from .execute.known import fail, run_new
from .execute.label import give_label
from .execute.past_names import sets_choose_names, with_past_names
from .execute.read import read
from .rewrite.many_parameters import SHORTEST, has_too_many, with_fewer
from .sql import statement as kinds
from .sql.statement import Statement, parse
from .sql.tokens import as_text

if TYPE_CHECKING:
    from ._connection import Connection
    from ._session import Session

_MOST_AHEAD = 32  # rows
_SMALL = 4096  # bytes or characters of a row
_NOTHING: Iterator[Any] = iter(())


class Cursor(_short.Cursor):
    """A PEP 249 cursor.

    Attributes:
        description: one 7-tuple a column (name and declared type, the rest None); None for statements without rows.
        rowcount: rows changed by the last INSERT, UPDATE or DELETE; else -1.
        lastrowid: the row id given by the last INSERT; None before one.
        arraysize: rows of a `fetchmany()` without argument.
        as_of: None, or the moment in nanoseconds (included) that the next statements read; writes then raise
            PastWriteError.
        schema_then: what is read of the past has the names and columns of its moment instead of today's.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1
        self.as_of: int | None = None
        self._session: Session = connection._session
        self._raw: Any = self._session.raw.cursor()
        self._source: Any = self._raw  # what rows come from: that, or a known text
        self._stmt: Any = None  # the context of the rows being fetched
        self._rows: Iterator[Any] | None = None  # rows of a statement that has no context
        self._ahead: Iterator[Any] = _NOTHING  # rows that were fetched and not asked for yet
        self._next_rows = 1  # as many are fetched next
        self._error: apsw.SQLError | None = None  # what stopped the fetching behind them
        self._closed = False
        self._executing = False  # a method of it runs; see _use.py
        self._row_factory: Any = None

    @property
    def row_factory(self) -> Any:
        """What makes a row of (cursor, tuple); None: rows are tuples."""
        return self._row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._row_factory = factory
        if type(self) is Cursor:
            self.__class__ = ShapedCursor  # a plain cursor's rows are touched by nobody

    # ---- executing ----

    def _execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement. Parameters: a sequence for `?`, a mapping for `:name`.

        Raises:
            ProgrammingError: closed; several statements; wrong parameters.
            SerializationFailure: another transaction was first; roll back and try again.
            PastWriteError: a write under `as_of`.
            NotSupportedError: what EntityDB does not do.
            IntegrityError, OperationalError, DataError: as the sqlite3 module.
        """
        session = self._session
        if not session.acquire():
            raise in_use(session)
        if self._executing:
            session.release()
            raise recursive()
        self._executing = True
        try:
            if self._stmt is not None or self._closed or session.closed or session.orphans:
                self._ready()
            self._rows = None
            if type(sql) is not str:
                sql = as_text(sql)
            statement = parse(sql)
            if session.lost is not None and statement.verb != "ROLLBACK":
                session.check_lost(ends=statement.verb == "COMMIT")
            if statement.several:
                raise ex.ProgrammingError("You can only execute one statement at a time.")
            self.rowcount = -1
            given = sql
            if len(sql) > SHORTEST and has_too_many(statement):
                sql, parameters = with_fewer(statement, parameters)
                statement = parse(sql)
            kind = statement.kind
            if statement.names_moment or self.as_of is not None:
                text = with_past_names(session, statement, self.as_of, parameters, then=self.schema_then)
                if text is not None:
                    sql, statement = text, parse(text)
            if (kind is kinds.READ or kind is kinds.WRITE) and run_new(
                self, session, statement, sql, parameters, rewritten=sql is not given
            ):
                return self
            if kind is kinds.READ or kind is kinds.OTHER:
                read(self, session, statement, sql, parameters)
                if statement.verb == "EXPLAIN":
                    self._rows = iter(explained(session, self._fetchall()))
            elif kind is kinds.WRITE:
                self.description = None
                self.rowcount = change(self, session, statement, sql, parameters)
                session.total_changes += self.rowcount
            else:
                self.description = None
                if kind is kinds.CONTROL:
                    session.control_statement(statement, sql)
                else:
                    self._execute_other(session, statement, sql, parameters)
            return self
        except apsw.Error as error:
            raise translate(error) from error  # of a statement of the driver's own
        finally:
            self._executing = False
            session.release()

    def _execute_other(self, session: Session, statement: Statement, sql: str, parameters: Parameters) -> None:
        """A PRAGMA, a label, what is said of a transaction, or DDL."""
        is_open = session.raw.in_transaction
        try:
            if statement.kind is kinds.PRAGMA:
                self._pragma(session, statement, sql, parameters)
            elif statement.kind is kinds.LABEL:
                give_label(self, session, statement, parameters)
            elif statement.kind is kinds.INFO:
                say_info(self, session, statement, parameters)
            elif statement.kind is kinds.DDL:
                define(self, session, statement, sql, parameters)
        except BaseException as error:
            session.failed(error, began=not is_open)
            raise

    @of_one_cursor
    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> Cursor:
        """Runs an INSERT, UPDATE or DELETE once for each set of parameters. `rowcount` is the sum."""
        session = self._ready()
        session.check_lost()
        statement = parse(as_text(sql))
        if statement.several:
            raise ex.ProgrammingError("You can only execute one statement at a time.")
        if statement.kind is not kinds.WRITE:
            raise ex.ProgrammingError("executemany() can only execute DML statements.")
        self.description = None
        if len(sql) > SHORTEST and has_too_many(statement):
            total = 0
            for one in parameters:
                text, left = with_fewer(statement, one)
                total += change(self, session, parse(text), text, left)
        elif sets_choose_names(session, statement):
            total = 0
            for one in parameters:
                chosen = with_past_names(session, statement, self.as_of, one, then=self.schema_then)
                total += change(self, session, statement if chosen is None else parse(chosen), chosen or sql, one)
        else:
            total = change_many(self, session, statement, sql, parameters)
        self.description = self._rows = None  # rows of RETURNING are not kept
        self.rowcount = total
        session.total_changes += total
        return self

    @of_one_cursor
    def executescript(self, sql: str) -> Cursor:
        """Commits what is open, then runs every statement of a script in autocommit mode."""
        self._ready()
        self.connection.executescript(sql)
        return self

    def _ready(self) -> Session:
        """The session, with this cursor's last result given up."""
        session = self._session
        self._check_open()
        if self._stmt is not None:
            self._finish(close=True)
        self._rows = None
        if session.orphans:
            session.reap()
        return session

    def _pragma(self, session: Session, statement: Statement, sql: str, parameters: Parameters) -> None:
        answered = answer(session, statement, self.as_of)
        if answered is None:
            read(self, session, statement, sql, parameters)
            return
        names, rows = answered
        if names:
            self.description = tuple((name, None, None, None, None, None, None) for name in names)
            self._rows = iter(rows)

    # ---- fetching ----

    def _fetch_one(self) -> Any:
        """fetchone() for whatever the short way leaves to the long one."""
        row = next(self._ahead, None)
        return self._fetch_ahead() if row is None else row

    @of_one_cursor
    def _fetch_ahead(self) -> Any:
        """The next row, or None; rows behind it may be fetched with it."""
        stmt = self._stmt
        if stmt is None:
            self._check_open()
            row = None if self._rows is None else next(self._rows, None)
            if row is None:
                self._rows = None
            return row
        if self._error is not None:
            self._fail(self._error)
        session = self._session
        before = session.running
        session.running = stmt
        if session.current is not stmt:
            session.enter(stmt)
        try:
            row = self._source.fetchone() if self._next_rows == 1 else self._fetch_several()
        except BaseException as error:
            session.leave(before)
            self._fail(error)
        # Left current behind the step: the next fetchone of the same cursor finds it so.
        session.running = before
        if before is not None:
            session.leave(before)
        if row is None:
            self._finish()
        else:
            self._next_rows = min(2 * self._next_rows, _MOST_AHEAD) if _is_small(row) else 1
        return row

    def _fetch_several(self) -> Any:
        """The next row, or None; those behind it are `_ahead`. An error of SQL's behind it waits for its turn."""
        rows: list[Any] = []
        try:
            rows.extend(islice(self._source, self._next_rows))
        except apsw.SQLError as error:  # others may have ended the transaction: they are told at once
            if not rows:
                raise
            self._error = error
        self._ahead = iter(rows)
        return next(self._ahead, None)

    @of_one_cursor
    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (`arraysize` by default), fewer at the end; all that are left if it is negative."""
        size = self.arraysize if size is None else size
        if size < 0:
            return self._fetchall()
        if self._stmt is None:
            self._check_open()
            return [] if self._rows is None else list(islice(self._rows, size))
        if self._error is not None:
            ahead = list(islice(self._ahead, size))
            return ahead or self._fail(self._error)
        rows: list[Any] = self._step(lambda: list(islice(chain(self._ahead, self._source), size)))
        if len(rows) < size:
            self._finish()
        return rows

    @of_one_cursor
    def _fetch_rest(self) -> list[Any]:
        """fetchall() for whatever the short way leaves to the long one."""
        return self._fetchall()

    def _fetchall(self) -> list[Any]:
        stmt = self._stmt
        if stmt is None:
            self._check_open()
            kept, self._rows = self._rows, None
            return [] if kept is None else list(kept)
        if self._error is not None:
            self._fail(self._error)
        rows: list[Any] = self._step(lambda: [*self._ahead, *self._source.fetchall()])
        self._finish()
        return rows

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = next(self._ahead, None) or Cursor.fetchone(self)
        if row is None:
            raise StopIteration
        return row

    def _step(self, fetch: Any) -> Any:
        session = self._session
        before = session.enter(self._stmt)
        try:
            rows = fetch()
        except BaseException as error:
            session.leave(before)
            self._fail(error)
        session.running = before
        if before is not None:
            session.leave(before)
        return rows

    def _fail(self, error: BaseException) -> NoReturn:
        """Raises what an error between rows means. The result is over."""
        translated = translate(error)
        self._finish(close=True)
        self._session.failed(translated)
        if translated is error:
            raise error
        raise translated from error

    def _fail_known(
        self, known: _short.Known, stmt: Any, reader: Any, found: Found, parameters: Parameters
    ) -> NoReturn:
        """Raises what an error of a text means that was executed the short way."""
        fail(self, self._session, known, stmt, reader, found, parameters)

    def _fail_step(self, found: Found) -> NoReturn:
        """The same for the short way."""
        self._fail(as_error(found))

    def _check_open(self) -> None:
        if self._closed:
            raise ex.ProgrammingError("Cannot operate on a closed cursor.")
        self._session.check_open()

    def _finish(self, *, close: bool = False) -> None:
        """The rows are over, or given up: lets go of the engine's pin."""
        stmt, self._stmt = self._stmt, None
        if stmt is None:
            return
        self._ahead, self._next_rows, self._error = _NOTHING, 1, None
        self._fetching = False
        session = self._session
        if self._source is not self._raw:
            self._source.close()
        elif close:
            # SQLite's cursors first: they belong to the context.
            self._raw.close(True)
            self._raw = session.raw.cursor()
        self._source = self._raw
        session.end_statement(stmt)

    def _drain(self) -> None:
        """Reads the rest into memory. An error on the way is its reader's, not that of who needs the schema."""
        if self._stmt is not None and not self._executing:
            try:
                self._rows = iter(self._fetchall())
            except Exception as error:
                self._rows = _failing(error)

    def _give_up(self) -> tuple[Any, Any]:
        """Forgets the result without ending it, in the child of a fork. -> the handles, which are to be kept."""
        handles, self._stmt = (self._source, self._stmt), None
        self._ahead = _NOTHING
        return handles

    # ---- the end ----

    @of_one_cursor
    def close(self) -> None:
        """Closing twice is harmless; the connection's rows of other cursors stay."""
        if not self._closed:
            self._closed = True
            self._abandon()

    def _abandon(self) -> None:
        """Gives up the rows that are left."""
        if self._stmt is not None and not self._session.inherited():
            self._finish(close=True)
        self._rows = None

    def __del__(self) -> None:
        stmt = getattr(self, "_stmt", None)
        if stmt is not None:
            self._fetching = False
            self._session.orphan(self._source, stmt)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.close()

    def setinputsizes(self, sizes: Any) -> None:
        """Does nothing; PEP 249 wants it."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing; PEP 249 wants it."""


class ShapedCursor(Cursor):
    """A cursor whose rows go through its connection's `text_factory` and its own `row_factory`."""

    def _shape(self, row: Any) -> Any:
        text, factory = self.connection.text_factory, self._row_factory
        if text is not str:
            row = tuple(text(value.encode()) if isinstance(value, str) else value for value in row)
        return row if factory is None else factory(self, row)

    def fetchone(self) -> Any:
        row = super().fetchone()
        return None if row is None else self._shape(row)

    def __next__(self) -> Any:
        row = super().fetchone()
        if row is None:
            raise StopIteration
        return self._shape(row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._shape(row) for row in super().fetchmany(size)]

    def fetchall(self) -> list[Any]:
        return [self._shape(row) for row in super().fetchall()]


def _is_small(row: tuple[Any, ...]) -> bool:
    """May several like it be in memory at once?"""
    return sum([len(value) for value in row if isinstance(value, (str, bytes))]) <= _SMALL


def _failing(error: Exception) -> Iterator[Any]:
    """Rows of which the first is an error."""
    raise error
    yield


__all__ = ["Cursor", "ShapedCursor"]
