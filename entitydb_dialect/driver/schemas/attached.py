"""ATTACH and DETACH: more databases in one connection.

    ATTACH 'other.edb' AS x                          an EntityDB database, made if it is missing
    ATTACH 'file:other.edb?mode=ro' AS x             read-only; mode=rw: it must be there
    ATTACH ':memory:' AS x                           an empty memory database of this connection's own
    ATTACH 'file:name?mode=memory' AS x              one that this process shares by name
    ATTACH 'other.sqlite' AS x                       SQLite's own, which keeps no history

A file is what its first bytes say. One that is missing or empty becomes an EntityDB database, as with `connect()`,
unless its name ends in .sqlite or .sqlite3.

To SQLite an attached database is an empty memory schema with declarations, as main is. To the engine it is attached to
the main connection: a statement of the one covers it (engine/txn/attached.c). Its modules are known by a suffix.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import apsw

from ... import _exceptions as ex
from ..._native import ffi, lib
from .._database import SYNCHRONOUS, Database, MemoryDatabase, Options, named_memory
from .._errors import check, translate
from .._place import file_uri
from ..sql.tokens import Token, find, is_name, tokens, unquote
from .schema import Schema

if TYPE_CHECKING:
    from .._session import Session

_SQLITE = (".sqlite", ".sqlite3")
_OURS = b"EntityDB"


class Attachment(Schema):
    """An attached EntityDB database."""

    def __init__(self, session: Session, name: str, database: Database, shared: MemoryDatabase | None) -> None:
        out = ffi.new("edb_conn **")
        check(lib.edb_conn_open(database.handle, out))
        lib.edb_conn_tells(out[0])
        super().__init__(session, name, out[0])
        self._database = database
        self._shared = shared  # lives as long as somebody holds it; None: the database is closed with this
        self.id = lib.edb_conn_id(self.engine)
        self.module_suffix = f"_{self.id}"
        self.count_argument = f", {self.id}"
        self.write_options = [ffi.new("edb_stmt_options *", (i, 1, False, 0, self.id)) for i in range(2)]

    @property
    def database(self) -> Database:
        return self._database

    def close(self) -> None:
        """After SQLite has let go of its declarations."""
        engine, self.engine = self.engine, None
        if engine is not None:
            lib.edb_conn_close(engine)
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


def _evaluated(session: Session, texts: list[str], parameters: Any) -> list[str]:
    try:
        rows = list(session.raw.execute(f"SELECT {', '.join(texts)}", parameters))
    except Exception as error:
        raise translate(error, parameters) from error
    return ["" if value is None else str(value) for value in rows[0]]


def _is_sqlite(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(len(_OURS))
    except FileNotFoundError:
        head = b""
    except OSError:
        return False  # and the engine says why
    return path.lower().endswith(_SQLITE) if not head else head != _OURS


def _options(session: Session, path: str | None, settings: dict[str, str]) -> Options:
    like = session.main.database.options
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
        packing=like.packing,
        pruning=like.pruning,
    )


def _open(session: Session, path: str, settings: dict[str, str]) -> tuple[Database, MemoryDatabase | None]:
    """The database, and what it is shared by."""
    if settings.get("mode") == "memory" and path not in ("", ":memory:"):
        options = _options(session, None, settings)
        shared = named_memory(path, lambda: MemoryDatabase(options))
        return shared.get(), shared
    if path in ("", ":memory:") or settings.get("mode") == "memory":
        return Database(None, _options(session, None, settings)), None
    return Database(os.path.abspath(path), _options(session, path, settings)), None


def attach(session: Session, sql: str, parameters: Any) -> None:
    """ATTACH [DATABASE] file AS schema."""
    items = _words(sql, "ATTACH")
    at, key = find(items, "AS"), find(items, "KEY")
    if at < 0:
        raise ex.OperationalError("incomplete input")
    if key >= 0:
        raise ex.NotSupportedError("ATTACH ... KEY: EntityDB does not encrypt files")
    texts = [_value(items[:at], sql), _value(items[at + 1 :], sql)]
    name, title = _evaluated(session, texts, parameters)
    if session.raw.in_transaction:
        raise ex.OperationalError("cannot ATTACH database within transaction: commit or roll back first")
    path, settings = file_uri(name) if name.startswith("file:") else (name, {})
    memory = path in ("", ":memory:") or settings.get("mode") == "memory"
    if not memory and _is_sqlite(path):
        _attach_to_sqlite(session, name, title)
        _note_order(session)
        return
    taken = {row[1].lower() for row in session.raw.execute("PRAGMA database_list")} | {"main", "temp"}
    if title.lower() in taken:
        raise ex.OperationalError(f"database {title} is already in use")
    database, shared = _open(session, path, settings)
    try:
        made = Attachment(session, title, database, shared)
    except BaseException:
        if shared is None:
            database.close()
        raise
    try:
        _attach_to_sqlite(session, ":memory:", title)
        try:
            _bind(session, made)
        except BaseException:
            _forget(session, made)
            raise
    except BaseException:
        made.close()
        raise
    _note_order(session)


def _attach_to_sqlite(session: Session, name: str, title: str) -> None:
    try:
        session.raw.execute("ATTACH ? AS ?", (name, title))
    except apsw.Error as error:
        raise translate(error) from error


def _bind(session: Session, made: Attachment) -> None:
    session.control.execute("SELECT entitydb_bind(?, ?)", (made.id, made.module_suffix)).fetchall()
    name = ffi.new("char[]", made.name.encode(errors="replace"))
    check(lib.edb_conn_attach(session.engine, made.engine, name))
    session.attached[made.name.lower()] = made
    session.main.declare_own()
    made.declare_own()
    session.redeclare()


def _forget(session: Session, gone: Attachment) -> None:
    """Takes away what _bind made."""
    session.raw.execute("DETACH ?", (gone.name,))
    session.attached.pop(gone.name.lower(), None)
    session.histories.follow()
    session.control.execute("SELECT entitydb_unbind(?)", (gone.module_suffix,)).fetchall()
    session.schema_changed()


def _note_order(session: Session) -> None:
    names = [row[1].lower() for row in session.raw.execute("PRAGMA database_list")]
    session.forget_prepared()
    session.attach_order = tuple((n, session.attached.get(n)) for n in names if n not in ("main", "temp"))


def detach(session: Session, sql: str, parameters: Any) -> None:
    """DETACH [DATABASE] schema."""
    (title,) = _evaluated(session, [_value(_words(sql, "DETACH"), sql)], parameters)
    gone = session.attached.get(title.lower())
    try:
        if gone is None:
            session.raw.execute("DETACH ?", (title,))
        elif session.raw.in_transaction:
            raise ex.OperationalError(f"database {title} is locked")
        else:
            _forget(session, gone)
    except apsw.Error as error:
        raise translate(error) from error
    if gone is not None:
        gone.close()
    _note_order(session)


__all__ = ["Attachment", "attach", "detach"]
