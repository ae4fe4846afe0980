"""A connection, as PEP 249 and users of the sqlite3 module expect it. What it does is the session's."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from .. import _exceptions as ex
from .._moments import Name
from .._native import lib
from . import _catalog, _dump, _isolation
from ._cursor import Cursor
from ._errors import check, int64
from ._functions import Functions
from ._session import Session
from ._use import exclusive
from .answers.moments import named_moment
from .ddl.undrop import Undrop, undrop
from .execute.bulk import Put, delete_rows, get_rows, put_rows, row_ids, row_times, tagged_ids, tagged_ids_many
from .execute.label import find_label, labels_of
from .execute.script import run_script
from .schemas.definitions import Readable
from .schemas.lookup import schema_of
from .sql.tokens import as_text

if TYPE_CHECKING:
    from ._database import Database, MemoryDatabase
    from ._rows import RowFactory, TextFactory


class Connection(Functions):
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

    def __init__(
        self,
        database: Database,
        *,
        isolation_level: str | None = "DEFERRED",
        foreign_keys: bool = True,
        owns: bool = False,
        shared: MemoryDatabase | None = None,
    ) -> None:
        level = _isolation.normal(isolation_level)
        self._row_factory: RowFactory | None = None
        self._text_factory: TextFactory = str
        self._shared = shared  # lives as long as somebody holds it
        self._session = Session(database, isolation_level=level, owns_database=owns)
        if not foreign_keys:
            self._session.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)

    # ---- PEP 249 ----

    @exclusive
    def cursor(self, factory: Callable[[Connection], Cursor] | None = None) -> Cursor:
        """A new cursor; factory: makes it of the connection, when it is to be of another class."""
        self._session.check_open()
        if factory is not None:
            return factory(self)
        cursor = Cursor(self)
        if self._row_factory is not None or self._text_factory is not str:
            cursor.row_factory = self._row_factory
        return cursor

    @exclusive
    def commit(self) -> None:
        """Ends the transaction; acknowledged when as durable as `synchronous` says.

        Raises:
            SerializationFailure: another transaction changed the same data; nothing of this one is left.
            IntegrityError: another transaction took a unique key first; nothing of this one is left.
            OperationalError: the disk refused. "Outcome unknown until reopened" when the sync failed.
        """
        self._session.commit()

    @exclusive
    def rollback(self) -> None:
        self._session.rollback()

    @exclusive
    def close(self) -> None:
        """Rolls back what is open. Closing twice is harmless; a function called by SQL cannot close its connection."""
        if self._session.running is not None and not self._session.inherited():
            raise ex.ProgrammingError("a function called by a statement cannot close the connection that executes it")
        self._session.close()
        self._shared = None

    def __del__(self) -> None:
        session = getattr(self, "_session", None)  # None: it could not be made
        if session is not None:
            session.close()

    def __enter__(self) -> Connection:
        self._session.check_open()
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

    @exclusive
    def executescript(self, sql: str) -> Cursor:
        """Commits what is open, then runs every statement of a script in autocommit mode."""
        cursor = self.cursor()
        self.commit()
        session = self._session
        before, session.autocommit = session.autocommit, True
        try:
            run_script(cursor, session, as_text(sql))
        finally:
            session.autocommit = before
        return cursor

    @property
    def isolation_level(self) -> str | None:
        """None: autocommit. Else the level of the transactions that statements open by themselves.

        READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ, SERIALIZABLE, or one of the sqlite3 module's words (DEFERRED,
        IMMEDIATE, EXCLUSIVE, the empty string), which mean REPEATABLE READ. Setting it to AUTOCOMMIT sets None.

        Raises:
            ProgrammingError: no such level; a transaction is open.
        """
        return self._session.isolation_level

    @isolation_level.setter
    @exclusive
    def isolation_level(self, level: str | None) -> None:
        self._session.check_open()
        _isolation.choose(self._session, level)

    @property
    def autocommit(self) -> bool:
        """The same as `isolation_level is None`."""
        return self._session.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.isolation_level = None if value else self._session.isolation_level or "DEFERRED"

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
    @exclusive
    def in_transaction(self) -> bool:
        self._session.check_open()
        return bool(self._session.raw.in_transaction)

    @property
    def total_changes(self) -> int:
        """Rows that INSERT, UPDATE and DELETE have changed through this connection's cursors."""
        self._session.check_open()
        return self._session.total_changes

    @property
    @exclusive
    def apsw(self) -> apsw.Connection:
        """The SQLite connection underneath. What it runs reads now, outside the driver's transactions' care.

        It was opened without SQLite's mutex: a thread may use it while no other one uses it or this connection, and
        nothing checks that.
        """
        self._session.check_open()
        self._session.leave(None)
        raw: apsw.Connection = self._session.raw
        return raw

    @property
    @exclusive
    def database(self) -> Database:
        self._session.check_open()
        return self._session.main.database

    @exclusive
    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The database of now as SQL statements; `filter`: a LIKE pattern for names. History is not in it."""
        self._session.check_open()
        return _dump.iterdump(self._session, self._ask, filter)

    @exclusive
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
        self._session.check_open()
        if name != "main":
            raise ex.NotSupportedError(f"backup of {name}: only main can be copied")
        _dump.backup(self._session, self._ask, target, progress)

    def _ask(self, sql: str) -> Cursor:
        return Cursor(self).execute(sql)

    def interrupt(self) -> None:
        """Makes what this connection runs raise OperationalError soon. The one method for other threads to call."""
        self._session.interrupt()

    # ---- EntityDB's own ----

    @property
    @exclusive
    def last_commit(self) -> tuple[int, int]:
        """(number, nanoseconds since 1970 UTC) of this connection's last commit; number 0: none yet."""
        self._session.check_open()
        session = self._session
        lib.edb_conn_last_commit(session.engine, session.number_out, session.last_id_out)
        return int(session.number_out[0]), int(session.last_id_out[0])

    @property
    def transaction_info(self) -> Callable[[], Mapping[str, Any] | None] | None:
        """Asked before each commit what is said of it: `actor`, `reason` and other keys, or None. Blocks of
        `entitydb_dialect.transaction_info()` and SQL count more, key by key."""
        return self._session.info.source

    @transaction_info.setter
    def transaction_info(self, source: Callable[[], Mapping[str, Any] | None] | None) -> None:
        self._session.info.source = source

    @exclusive
    def set_commit_time(self, ns: int) -> None:
        """The next commit gets this time: later than the last commit's, not later than the clock. 0 takes it back."""
        self._session.check_open()
        check(lib.edb_conn_commit_time(self._session.engine, int64(ns)))

    @exclusive
    def ping(self) -> None:
        """Raises when the connection cannot be used; opens no transaction."""
        self._session.check_open()
        session = self._session
        session.end_statement(session.open_statement(False, None, bool(session.raw.in_transaction)))

    @exclusive
    def catalog(self, as_of: int | None = None, schema: str = "main") -> dict[str, _catalog.Table]:
        """The tables by lower-case name, as a statement of this connection would see them (own DDL included).

        Args:
            as_of: nanoseconds; the catalog of that moment instead, without own DDL.
            schema: an attached database instead of main; {} for one of SQLite's own.
        """
        return self._session.catalog(as_of, schema)[0]

    @exclusive
    def views(self, as_of: int | None = None, schema: str = "main") -> dict[str, _catalog.View]:
        """The views by lower-case name; otherwise as catalog()."""
        return self._session.catalog(as_of, schema)[1]

    @exclusive
    def schema(
        self, as_of: int | None = None, schema: str = "main"
    ) -> tuple[dict[str, _catalog.Table], dict[str, _catalog.View]]:
        """Tables and views."""
        return self._session.catalog(as_of, schema)

    @exclusive
    def readable(self, as_of: int, schema: str = "main", *, then: bool = False) -> Readable:
        """The tables and views that can be read as of a moment, with the columns that they then have.

        Args:
            then: under the schema of then; else under today's.
        """
        self._session.check_open()
        found = schema_of(self._session, schema)
        return Readable({}, {}, {}) if found is None else self._session.schema_then.readable(found, as_of, then=then)

    @exclusive
    def undrop(self, name: str, as_of: int | None = None) -> Undrop:
        """What brings a table of main back that was dropped, or a column (`table.column`). Changes nothing itself.

        Args:
            as_of: as of this moment (nanoseconds); None: as it was last.

        Raises:
            NotDropped: it was not dropped, or there is no place for it; NeverThere: there was none.
        """
        self._session.check_open()
        return undrop(self._session.main, name, as_of)

    @exclusive
    def has_schema(self, schema: str) -> bool:
        """Is this main, or a database of ours that is attached?"""
        self._session.check_open()
        return schema_of(self._session, schema) is not None

    @exclusive
    def setting(self, name: str, as_of: int | None = None) -> str | None:
        """A value kept with the schema main, as PRAGMA user_version is; None: there is none."""
        return self._session.main.setting(name, as_of)

    @exclusive
    def temporary_tables(self) -> frozenset[str]:
        """Lower-case names of the TEMP tables and views, which are SQLite's own."""
        self._session.check_open()
        return self._session.temporary_tables()

    @exclusive
    def find_label(self, label: str, as_of: int) -> tuple[int, int] | None:
        """(number, nanoseconds) of the newest commit with a label, at or before a moment; None: there is none."""
        self._session.check_open()
        return find_label(self._session, label, as_of)

    @exclusive
    def named_moment(self, kind: str, value: str) -> int | None:
        """The moment (nanoseconds) of `kind:value`, as _moments.py has them; None: there is none."""
        self._session.check_open()
        return named_moment(self._session, Name(kind, value))

    @exclusive
    def labels_of(self, number: int, ns: int) -> list[str]:
        """The labels of a commit, in the order they were given; ns: its time."""
        self._session.check_open()
        return labels_of(self._session, number, ns)

    # ---- many rows without SQL ----

    @exclusive
    def put_rows(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        tags: Sequence[Any] | None = None,
        *,
        apart: bool = False,
    ) -> Put:
        """Puts rows into a table of main, as one statement.

        A row whose primary key is there changes that row, in the columns given; any other is inserted.

        Args:
            columns: of the values of a row.
            rows: a tuple of values for each.
            tags: texts that every row gets as tags; if `apart`, a list of texts for each row.

        Raises:
            IntegrityError, DataError, ProgrammingError, OperationalError: which names the row; nothing of them is put.
        """
        self._session.check_open()
        return put_rows(self._session, self.cursor().execute, table, columns, rows, tags, apart=apart)

    @exclusive
    def get_rows(
        self,
        table: str,
        ids: Any,
        columns: Sequence[str] | None = None,
        as_of: int | None = None,
        *,
        dicts: bool = False,
    ) -> tuple[tuple[str, ...], list[Any]]:
        """Reads rows of a table of main by their row ids, in any order.

        Args:
            ids: a buffer of int64, as array("q") and NumPy's int64 arrays are.
            columns: their names; None: all.
            as_of: nanoseconds; None: now.
            dicts: rows are dictionaries, else tuples.

        Returns:
            The names of the columns, and for each id its row, or None where there is no such row.
        """
        self._session.check_open()
        return get_rows(self._session, table, ids, columns, as_of, dicts=dicts)

    @exclusive
    def tagged_ids(self, table: str, expression: str, as_of: int | None = None) -> array[int]:
        """The row ids of a table of main that a tag expression means, ascending. as_of: nanoseconds; None: now."""
        self._session.check_open()
        return tagged_ids(self._session, table, expression, as_of)

    @exclusive
    def tagged_ids_many(self, table: str, expressions: Iterable[str], as_of: int | None = None) -> list[list[int]]:
        """The same of many expressions: for each of them a list."""
        self._session.check_open()
        return tagged_ids_many(self._session, table, expressions, as_of)

    @exclusive
    def delete_rows(self, table: str, ids: Any) -> int:
        """Deletes rows of a table of main by row ids (a buffer of int64), as one statement. -> how many there were."""
        self._session.check_open()
        return delete_rows(self._session, self.cursor().execute, table, ids)

    @exclusive
    def row_ids(self, table: str, after: int | None, most: int, as_of: int | None = None) -> array[int]:
        """At most so many row ids of a table of main behind one (None: from the first), ascending."""
        self._session.check_open()
        return row_ids(self._session, table, after, most, as_of)

    @exclusive
    def row_times(
        self, table: str, id: int, as_of: int | None = None, most: int = 1 << 62
    ) -> list[tuple[int, int | None]]:
        """(valid_from, valid_to) in nanoseconds of at most so many committed versions of a row, the newest first.

        valid_to is not included; it is None for the current version.
        """
        self._session.check_open()
        return row_times(self._session, table, id, as_of, most)


__all__ = ["Connection"]
