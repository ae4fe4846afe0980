"""ATTACH and DETACH: more databases in one connection, and which of them a name means.

    ATTACH 'other.edb' AS x                          an EntityDB database, made if it is missing
    ATTACH 'file:other.edb?mode=ro' AS x             read-only; mode=rw: it must be there
    ATTACH ':memory:' AS x                           an empty memory database of this connection's own
    ATTACH 'file:name?mode=memory' AS x              one that this process shares by name
    ATTACH 'other.sqlite' AS x                       SQLite's own, which keeps no history

A file is what its first bytes say. One that is missing or empty becomes an EntityDB database, as with `connect()`,
unless its name ends in .sqlite or .sqlite3.

To SQLite an attached database is an empty memory schema with declarations, as main is. To the engine it is attached to
the main connection: a statement of the one covers it (engine/txn/attached.c). Its modules are known by a suffix.

A commit is atomic in one file, so a transaction writes to at most one: the engine sees to it among its own; here it is
seen to between those and the files of SQLite's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_to_bytes
from weakref import ref

import apsw

from ... import _exceptions as ex
from ..._native import ffi, lib
from .._database import SYNCHRONOUS, Database, MemoryDatabase, Options, named_memory
from .._errors import check, translate
from ..sql.analysis import Analysis
from ..sql.tokens import Token, find, is_name, quote, tokens, unquote
from .schema import Schema

if TYPE_CHECKING:
    from .._connection import Connection

_SQLITE = (".sqlite", ".sqlite3")
_OURS = b"EntityDB"
_WRITING = 2  # SQLITE_TXN_WRITE


class Attachment(Schema):
    """An attached EntityDB database."""

    def __init__(self, connection: Connection, title: str, database: Database, shared: MemoryDatabase | None) -> None:
        super().__init__()
        self._known = ref(connection)
        self._title, self._place = title, quote(title)
        self._database = database
        self._shared = shared  # lives as long as somebody holds it; None: the database is closed with this
        out = ffi.new("edb_conn **")
        check(lib.edb_conn_open(database.handle, out))
        self._session = out[0]
        self._id = lib.edb_conn_id(self._session)
        self._suffix = f"_{self._id}"
        self._counted = f", {self._id}"
        self._writing = [ffi.new("edb_stmt_options *", (i, 1, False, 0, self._id)) for i in range(2)]

    def _whole(self) -> Connection:
        found = self._known()
        assert found is not None
        return found

    @property
    def database(self) -> Database:
        return self._database

    def _run(self, sql: str, parameters: Any = (), *, writes: bool = False, as_of: int | None = None) -> list[Any]:
        return self._whole()._run(sql, parameters, writes=writes, as_of=as_of, schema=self)

    def close(self) -> None:
        """After SQLite has let go of its declarations."""
        session, self._session = self._session, None
        if session is not None:
            lib.edb_conn_close(session)
        if self._shared is None:
            self._database.close()
        self._shared = None


# ---- ATTACH ----


def _words(sql: str, verb: str) -> list[Token]:
    items = tokens(sql)
    while items and items[0].text == ";":
        items.pop(0)
    while items and items[-1].text == ";":
        items.pop()
    start = 2 if len(items) > 2 and items[1].upper == "DATABASE" else 1
    if len(items) <= start:
        raise ex.OperationalError("incomplete input")
    assert items[0].upper == verb
    return items[start:]


def _value(items: list[Token], sql: str) -> str:
    """An expression as text to SELECT; a bare name stands for itself, as in SQLite."""
    if not items:
        raise ex.OperationalError("incomplete input")
    if len(items) == 1 and is_name(items[0]):
        return "'" + unquote(items[0].text).replace("'", "''") + "'"
    return sql[items[0].start : items[-1].end]


def _evaluated(connection: Connection, texts: list[str], parameters: Any) -> list[str]:
    try:
        rows = list(connection._raw.execute(f"SELECT {', '.join(texts)}", parameters))
    except Exception as error:
        raise translate(error, parameters) from error
    return ["" if value is None else str(value) for value in rows[0]]


def _uri(text: str) -> tuple[str, dict[str, str]]:
    """Path and settings of a `file:` URI, by SQLite's rules."""
    rest = text[len("file:") :].partition("#")[0]
    path, _, query = rest.partition("?")
    if path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        if authority not in ("", "localhost"):
            raise ex.OperationalError(f"invalid uri authority: {authority}")
        path = slash + path
    settings = dict(parse_qsl(query, keep_blank_values=True))
    return os.fsdecode(unquote_to_bytes(path)), settings


def _is_sqlite(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(len(_OURS))
    except FileNotFoundError:
        head = b""
    except OSError:
        return False  # and the engine says why
    return path.lower().endswith(_SQLITE) if not head else head != _OURS


def _options(connection: Connection, path: str | None, settings: dict[str, str]) -> Options:
    like = connection.database.options
    mode = settings.get("mode", "")
    if mode not in ("", "ro", "rw", "rwc", "memory"):
        raise ex.OperationalError(f"no such access mode: {mode}")
    synchronous = settings.get("synchronous", "").lower() or None
    if synchronous is not None and synchronous not in SYNCHRONOUS:
        raise ex.ProgrammingError(f"synchronous is {synchronous!r}; it may be 'full' or 'normal'")
    read_only = mode == "ro" or (like.read_only and path is not None)
    is_new = path is None or not os.path.exists(path) or os.path.getsize(path) == 0
    return Options(
        page_size=like.page_size if is_new else None,
        synchronous=synchronous,
        read_only=read_only,
        create=mode != "rw" and not read_only,
        timeout=like.timeout,
        spill_bytes=like.spill_bytes,
    )


def _open(connection: Connection, path: str, settings: dict[str, str]) -> tuple[Database, MemoryDatabase | None]:
    """The database, and what it is shared by."""
    if settings.get("mode") == "memory" and path not in ("", ":memory:"):
        options = _options(connection, None, settings)
        shared = named_memory(path, lambda: MemoryDatabase(options))
        return shared.get(), shared
    if path in ("", ":memory:") or settings.get("mode") == "memory":
        return Database(None, _options(connection, None, settings)), None
    return Database(os.path.abspath(path), _options(connection, path, settings)), None


def attach(connection: Connection, sql: str, parameters: Any) -> None:
    """ATTACH [DATABASE] file AS schema."""
    items = _words(sql, "ATTACH")
    at, key = find(items, "AS"), find(items, "KEY")
    if at < 0:
        raise ex.OperationalError("incomplete input")
    if key >= 0:
        raise ex.NotSupportedError("ATTACH ... KEY: EntityDB does not encrypt files")
    texts = [_value(items[:at], sql), _value(items[at + 1 :], sql)]
    name, title = _evaluated(connection, texts, parameters)
    if connection._raw.in_transaction:
        raise ex.OperationalError("cannot ATTACH database within transaction: commit or roll back first")
    path, settings = _uri(name) if name.startswith("file:") else (name, {})
    memory = path in ("", ":memory:") or settings.get("mode") == "memory"
    if not memory and _is_sqlite(path):
        _attach_to_sqlite(connection, name, title)
        _note_order(connection)
        return
    taken = {row[1].lower() for row in connection._raw.execute("PRAGMA database_list")} | {"main", "temp"}
    if title.lower() in taken:
        raise ex.OperationalError(f"database {title} is already in use")
    database, shared = _open(connection, path, settings)
    try:
        made = Attachment(connection, title, database, shared)
    except BaseException:
        if shared is None:
            database.close()
        raise
    try:
        _attach_to_sqlite(connection, ":memory:", title)
        try:
            _bind(connection, made)
        except BaseException:
            _forget(connection, made)
            raise
    except BaseException:
        made.close()
        raise
    _note_order(connection)


def _attach_to_sqlite(connection: Connection, name: str, title: str) -> None:
    try:
        connection._raw.execute("ATTACH ? AS ?", (name, title))
    except apsw.Error as error:
        raise translate(error) from error


def _bind(connection: Connection, made: Attachment) -> None:
    connection._control.execute("SELECT entitydb_bind(?, ?)", (made._id, made._suffix)).fetchall()
    name = ffi.new("char[]", made._title.encode(errors="replace"))
    check(lib.edb_conn_attach(connection._session, made._session, name))
    connection._attached[made._title.lower()] = made
    connection._redeclare()


def _forget(connection: Connection, gone: Attachment) -> None:
    """Takes away what _bind made."""
    connection._raw.execute("DETACH ?", (gone._title,))
    connection._attached.pop(gone._title.lower(), None)
    connection._control.execute("SELECT entitydb_unbind(?)", (gone._suffix,)).fetchall()
    connection._schema_moved()


def _note_order(connection: Connection) -> None:
    names = [row[1].lower() for row in connection._raw.execute("PRAGMA database_list")]
    connection._order = tuple((n, connection._attached.get(n)) for n in names if n not in ("main", "temp"))


def detach(connection: Connection, sql: str, parameters: Any) -> None:
    """DETACH [DATABASE] schema."""
    (title,) = _evaluated(connection, [_value(_words(sql, "DETACH"), sql)], parameters)
    gone = connection._attached.get(title.lower())
    try:
        if gone is None:
            connection._raw.execute("DETACH ?", (title,))
        elif connection._raw.in_transaction:
            raise ex.OperationalError(f"database {title} is locked")
        else:
            _forget(connection, gone)
    except apsw.Error as error:
        raise translate(error) from error
    if gone is not None:
        gone.close()
    _note_order(connection)


# ---- what a name means ----


def schema_of(connection: Connection, name: str) -> Schema | None:
    """The schema of a name; None: one of SQLite's own, or none at all."""
    lowered = name.lower()
    return connection if lowered == "main" else connection._attached.get(lowered)


def schema_with(connection: Connection, table: str) -> Schema | None:
    """Where a table or view without a schema's name is, by SQLite's order: TEMP, main, what is attached. None: in one
    of SQLite's own."""
    name = table.lower()
    if name in connection.temporary_tables():
        return None
    if name in connection._declared or name in connection._views:
        return connection
    for title, attached in connection._order:
        if attached is None:
            if connection._raw.table_exists(title, table):
                return None
        elif name in attached._declared or name in attached._views:
            return attached
    return connection


def written(connection: Connection, analysis: Analysis) -> Schema | None:
    """The schema that a statement writes to; None: one of SQLite's own. For connections that have attached something.

    Raises NotSupportedError for a second file in one transaction.
    """
    given = analysis.schema
    schema = schema_with(connection, analysis.table) if given is None else schema_of(connection, given)
    guard_files(connection, schema, given, analysis.table)
    return schema


def guard_files(connection: Connection, schema: Schema | None, given: str | None, table: str) -> None:
    """Files of SQLite's and of ours do not commit together."""
    raw = connection._raw
    files = [title for title, attached in connection._order if attached is None and raw.db_filename(title)]
    if not files or not raw.in_transaction:
        return
    if schema is not None:
        other = next((title for title in files if raw.txn_state(title) == _WRITING), None)
        if other is not None and schema.database.path is not None:
            raise ex.NotSupportedError(_two_files(other, schema._title))
        return
    if given is None:
        given = next((title for title in files if raw.table_exists(title, table)), "temp")
    if given.lower() in files and lib.edb_conn_writes_file(connection._session):
        raise ex.NotSupportedError(_two_files("an EntityDB file", given))


def _two_files(first: str, second: str) -> str:
    return (
        "a transaction can write to one database file, because a commit of two would not be atomic: this one has"
        f" written to {first} and cannot write to {second}; commit or roll back in between"
    )
