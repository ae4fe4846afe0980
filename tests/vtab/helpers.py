"""The virtual tables without the driver: an apsw connection that loaded the extension, bound to an engine connection.

Beside it a `Pair` runs every statement in plain SQLite too and compares what comes back.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from typing import Any

import apsw

from entitydb_dialect import _native
from entitydb_dialect.driver import _catalog
from entitydb_dialect.driver.ddl import create as _ddl
from entitydb_dialect.driver.sql.tokens import quote

ffi, lib = _native.ffi, _native.lib


class EngineError(Exception):
    """A call of the engine failed; args are the code's name and the message."""


def check(code: int) -> None:
    if code:
        raise EngineError(ffi.string(lib.edb_code_name(code)).decode(), ffi.string(lib.edb_message()).decode())


class Database:
    def __init__(self, path: str | None = None, page_size: int = 1024, spill_bytes: int = 0) -> None:
        options = ffi.new("edb_options *", {"page_size": page_size, "synchronous": -1, "create": True, "busy_ms": -1,
                                            "spill_bytes": spill_bytes, "unpacked": True, "unpruned": True})
        out = ffi.new("edb **")
        check(lib.edb_open(ffi.NULL if path is None else path.encode(), options, out))
        self.handle = out[0]
        self.connections: list[Raw] = []

    def connect(self) -> Raw:
        connection = Raw(self)
        self.connections.append(connection)
        return connection

    def check(self) -> list[tuple[str, int, str]]:
        breaches: list[tuple[str, int, str]] = []

        @ffi.callback("edb_report_fn")
        def report(_arg: Any, invariant: Any, page: int, sentence: Any) -> None:
            breaches.append((ffi.string(invariant).decode(), page, ffi.string(sentence).decode()))

        check(lib.edb_check(self.handle, report, ffi.NULL, ffi.new("edb_check_result *")))
        return breaches

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        breaches = self.check()
        lib.edb_close(self.handle)
        assert breaches == []


class Raw:
    """One SQLite connection with the extension, bound to one engine connection."""

    def __init__(self, database: Database) -> None:
        out = ffi.new("edb_conn **")
        check(lib.edb_conn_open(database.handle, out))
        self.session = out[0]
        self.db = apsw.Connection(":memory:")
        self.db.enable_load_extension(True)
        self.db.load_extension(_native.__file__, "sqlite3_entitydb_init")
        self.db.execute("SELECT entitydb_bind(?)", (lib.edb_conn_id(self.session),)).fetchall()
        self.closed = False
        for id_, name in self.rows("SELECT id, name FROM entitydb_catalog"):
            self.declare(name, id_)

    def rows(self, sql: str, bindings: Any = ()) -> list[tuple[Any, ...]]:
        return list(self.db.execute(sql, bindings))

    def run(self, sql: str, bindings: Any = ()) -> None:
        self.db.execute(sql, bindings).fetchall()

    def commit_number(self) -> int:
        number, ns = ffi.new("uint64_t *"), ffi.new("int64_t *")
        lib.edb_conn_last_commit(self.session, number, ns)
        return int(number[0])

    def commit_ns(self) -> int:
        number, ns = ffi.new("uint64_t *"), ffi.new("int64_t *")
        lib.edb_conn_last_commit(self.session, number, ns)
        return int(ns[0])

    # -- DDL, as the driver does it: the catalog first, then the declaration --

    def declare(self, name: str, id_: int) -> None:
        self.run(f"CREATE VIRTUAL TABLE {quote(name)} USING entitydb({id_})")

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        self.run("SAVEPOINT ddl")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:
                self.run("ROLLBACK TO ddl")
                self.run("RELEASE ddl")
            raise
        self.run("RELEASE ddl")

    def create_table(self, sql: str, name: str) -> int:
        with self.savepoint():
            self.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)",
                     (_catalog.encode(_ddl.parse_table(sql, name)),))
            id_ = self.db.last_insert_rowid()
            self.declare(name, id_)
        return id_

    def table(self, name: str) -> _catalog.Table:
        for (payload,) in self.rows("SELECT payload FROM entitydb_catalog WHERE name = ?", (name,)):
            return _catalog._decode(payload)
        raise LookupError(name)

    def create_index(self, sql: str, table: str) -> None:
        known = self.table(table)
        with self.savepoint():
            self.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('replace', ?)",
                     (_catalog.encode(known.with_index(_ddl.parse_index(sql, known))),))
            self.redeclare(table)

    def drop_table(self, name: str) -> None:
        with self.savepoint():
            self.run("INSERT INTO entitydb_ddl(op, name) VALUES ('drop', ?)", (name,))
            self.run(f"DROP TABLE {quote(name)}")

    def redeclare(self, name: str) -> None:
        id_ = self.table(name).id
        self.run(f"DROP TABLE {quote(name)}")
        self.declare(name, id_)

    # -- statement contexts --

    @contextlib.contextmanager
    def statement(self, *, as_of: int | None = None, writes: bool = False,
                  supplied: list[bool] | None = None) -> Iterator[Any]:
        """What runs inside belongs to one statement of the engine; as_of is a moment in nanoseconds."""
        options = ffi.new("edb_stmt_options *", {"in_transaction": self.db.in_transaction, "writes": writes,
                                                 "has_moment": as_of is not None, "moment_ns": as_of or 0})
        out = ffi.new("edb_stmt **")
        check(lib.edb_stmt_begin(self.session, options, out))
        if supplied is not None:
            mask = bytearray((len(supplied) + 7) // 8)
            for i, given in enumerate(supplied):
                mask[i // 8] |= given << i % 8
            check(lib.edb_stmt_supplied(out[0], bytes(mask), len(supplied)))
        before = lib.edb_stmt_enter(out[0])
        try:
            yield out[0]
        finally:
            lib.edb_stmt_restore(self.session, before)
            lib.edb_stmt_end(out[0])

    def rows_as_of(self, moment: int, sql: str, bindings: Any = ()) -> list[tuple[Any, ...]]:
        with self.statement(as_of=moment):
            return self.rows(sql, bindings)

    def settle(self) -> None:
        lib.edb_conn_settle(self.session, not self.db.in_transaction)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.db.close(True)
            lib.edb_conn_close(self.session)


def image(value: Any) -> Any:
    """Compares by type and bits: 1 is not 1.0, and 0.0 is not -0.0."""
    if isinstance(value, float):
        return ("real", struct.pack("<d", value) if not math.isnan(value) else "nan")
    return (type(value).__name__, value)


def images(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(map(image, row)) for row in rows]


def difference(mine: Any, theirs: Any) -> str:
    """Where two outcomes differ first; outcomes are long."""
    if not (isinstance(mine, list) and isinstance(theirs, list)):
        return f"ours {str(mine)[:300]}, SQLite {str(theirs)[:300]}"
    for i, (ours, other) in enumerate(zip(mine, theirs, strict=False)):
        if ours != other:
            return f"row {i} of {len(mine)}: ours {ours}, SQLite {other}"
    return f"ours has {len(mine)} rows, SQLite {len(theirs)}: {(mine + theirs)[min(len(mine), len(theirs))]}"


class Pair:
    """Runs everything in EntityDB and in plain SQLite."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.sqlite = apsw.Connection(":memory:")

    def create_table(self, sql: str, name: str) -> None:
        self.raw.create_table(sql, name)
        self.sqlite.execute(sql)

    def create_index(self, sql: str, table: str) -> None:
        self.raw.create_index(sql, table)
        self.sqlite.execute(sql)

    @staticmethod
    def outcome(db: apsw.Connection, sql: str, bindings: Any) -> Any:
        try:
            return images(list(db.execute(sql, bindings)))
        except apsw.BindingsError:
            raise
        except apsw.Error as error:
            return type(error).__name__, getattr(error, "extendedresult", None), str(error)

    def both(self, sql: str, bindings: Any = ()) -> Any:
        """Runs a statement whose outcome, error included, must be the same. Returns it."""
        mine, theirs = (self.outcome(db, sql, bindings) for db in (self.raw.db, self.sqlite))
        if mine != theirs:
            raise AssertionError(f"{sql} {bindings}: {difference(mine, theirs)}")
        return mine

    def ask(self, sql: str, bindings: Any = (), ordered: int | None = None) -> Any:
        """Runs a query whose rows must be the same in any order; the first `ordered` columns in the same order."""
        mine, theirs = (self.outcome(db, sql, bindings) for db in (self.raw.db, self.sqlite))
        if isinstance(mine, list) and isinstance(theirs, list):
            if ordered is not None:
                ours, other = ([row[:ordered] for row in rows] for rows in (mine, theirs))
                if ours != other:
                    raise AssertionError(f"{sql} {bindings}: order: {difference(ours, other)}")
            mine, theirs = sorted(mine, key=repr), sorted(theirs, key=repr)
        if mine != theirs:
            raise AssertionError(f"{sql} {bindings}: {difference(mine, theirs)}")
        return mine

    def same_table(self, name: str) -> None:
        self.ask(f"SELECT rowid, * FROM {name} ORDER BY rowid", ordered=1)
