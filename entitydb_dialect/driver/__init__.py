"""A PEP 249 driver over apsw: SQL by SQLite, data by EntityDB's engine.

    from entitydb_dialect import driver

    with driver.connect("app.edb") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("INSERT INTO note(text) VALUES (?)", ("hello",))

CREATE TABLE and CREATE INDEX become entries of the engine's catalog; TEMP tables are SQLite's own. See Connection and
Cursor for transactions and for reading as of a past moment.
"""

from __future__ import annotations

import datetime
import os
import time

import apsw as _apsw

from .._exceptions import (
    DamageError,
    DatabaseError,
    DataError,
    EntityDBWarning,
    Error,
    HorizonError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PastWriteError,
    ProgrammingError,
    SerializationFailure,
    Warning,
)
from ._catalog import Column, Index, Part, Table
from ._connection import Connection
from ._cursor import Cursor
from ._database import Breach, Break, Compacted, Database, MemoryDatabase, Options, Packed, Proof, named_memory
from ._place import Place, place
from ._rows import Row

apilevel = "2.0"
threadsafety = 1  # threads may share the module; a connection serves one thread at a time
paramstyle = "qmark"  # :name works too

sqlite_version = _apsw.sqlite_lib_version()
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))

Binary = bytes
STRING = str
BINARY = bytes
NUMBER = float
DATETIME = datetime.datetime
ROWID = int
Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime


def complete_statement(statement: str) -> bool:
    """Does the text end with a semicolon that ends a statement?"""
    return bool(_apsw.complete(statement))


def DateFromTicks(ticks: float) -> datetime.date:
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    return Timestamp(*time.localtime(ticks)[:6])


def connect(
    database: str | os.PathLike[str] | Database | MemoryDatabase | None = None,
    *,
    isolation_level: str | None = "DEFERRED",
    foreign_keys: bool = True,
    page_size: int | None = None,
    synchronous: str | None = None,
    read_only: bool = False,
    create: bool = True,
    timeout: float = 5.0,
    spill_bytes: int | None = None,
    packing: bool | None = None,
    pruning: bool | None = None,
    uri: bool = False,
    factory: type[Connection] = Connection,
    check_same_thread: bool = False,
    cached_statements: int = 128,
    detect_types: int = 0,
) -> Connection:
    """Opens a connection.

    Args:
        database: a file; None or ":memory:" for a memory database of this connection's own; or one that is open
            already and outlives the connection (the options are then its own).
        isolation_level: the level of transactions, or None for autocommit; see Connection.isolation_level.
        foreign_keys: enforce them, as `PRAGMA foreign_keys` says afterwards.
        page_size: bytes, a power of two from 512 to 32,768; counts when the file is made.
        synchronous: "full" (a commit is on disk when it returns) or "normal" (soon after); the first to open a file
            decides.
        read_only: writes raise OperationalError; a missing file is not made.
        create: make the file if it is missing.
        timeout: seconds to wait for another process's commit.
        spill_bytes: of a transaction's writes kept in memory before they go to a temporary file.
        packing: whether this process packs history in the background; None: as ENTITYDB_PACKING says (on or off), else
            yes.
        pruning: whether it lets history go that the tables no longer ask for; likewise ENTITYDB_PRUNING.
        uri: `database` may be a `file:` URI, as in the sqlite3 module.
        factory: the class of the connection.
        check_same_thread, cached_statements, detect_types: taken because the sqlite3 module has them, and without
            effect. A connection here may go from thread to thread, one at a time; the cache sizes itself; values are
            what SQLite makes of them.

    Raises:
        OperationalError, DatabaseError, DamageError, ProgrammingError: see Database.
        NotSupportedError: a setting of a URI that cannot hold here.
    """
    if isinstance(database, MemoryDatabase):
        return factory(database.get(), isolation_level=isolation_level, foreign_keys=foreign_keys)
    if isinstance(database, Database):
        return factory(database, isolation_level=isolation_level, foreign_keys=foreign_keys)
    name = "" if database is None else os.fsdecode(database)
    where = place(name) if uri and name.startswith("file:") else Place(None if name in ("", ":memory:") else name)
    options = Options(
        page_size=page_size,
        synchronous=synchronous,
        read_only=read_only or where.read_only,
        create=create and where.create,
        timeout=timeout,
        spill_bytes=spill_bytes,
        packing=packing,
        pruning=pruning,
    )
    if where.name is not None:
        shared = named_memory(where.name, lambda: MemoryDatabase(options))
        return factory(shared.get(), isolation_level=isolation_level, foreign_keys=foreign_keys, shared=shared)
    handle = Database(where.path, options)
    try:
        return factory(handle, isolation_level=isolation_level, foreign_keys=foreign_keys, owns=True)
    except BaseException:
        handle.close()
        raise


__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Breach",
    "Break",
    "Column",
    "Compacted",
    "Connection",
    "Cursor",
    "DamageError",
    "DataError",
    "Database",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "EntityDBWarning",
    "Error",
    "HorizonError",
    "Index",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "MemoryDatabase",
    "NotSupportedError",
    "OperationalError",
    "Options",
    "Packed",
    "Part",
    "PastWriteError",
    "ProgrammingError",
    "Proof",
    "Row",
    "SerializationFailure",
    "Table",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "complete_statement",
    "connect",
    "named_memory",
    "paramstyle",
    "sqlite_version",
    "sqlite_version_info",
    "threadsafety",
]
