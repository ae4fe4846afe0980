"""Databases, connections and statements of a test build over bare trees, with Python values.

A statement is what the virtual table would hold: begun, used, ended. Row-id trees take int keys, others bytes.
"""

from __future__ import annotations

import contextlib
import os

from entitydb_dialect._native import ffi, lib

FULL, NORMAL = 2, 1
READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = 1, 2, 3
CODES = {ffi.string(lib.edb_code_name(i)).decode(): i for i in range(lib.edb_code_count()) if lib.edb_code_name(i)}


class EngineError(Exception):
    def __init__(self, code: int) -> None:
        self.code = code
        name = lib.edb_code_name(code)
        self.name = ffi.string(name).decode() if name else str(code)
        self.message = ffi.string(lib.edb_message()).decode()
        super().__init__(f"{self.name}: {self.message}")


def done(code: int) -> None:
    if code:
        raise EngineError(code)


def raw(key: int | bytes) -> bytes:
    return key if isinstance(key, bytes) else (key + 2**63).to_bytes(8, "big")


def payload(table: int, name: str) -> bytes:
    """A table of one column c, docs/format.md, "Catalog"; for ids and names below 128."""
    return b"\1\1" + bytes([table, len(name)]) + name.encode() + b"\0\0\0" + b"\1\0\1c\0\x41\0\0" + b"\0\0\0\0"


UPKEEP_OFF = os.environ.get("ENTITYDB_PACKING", "off") == "off"     # as the driver reads it (tests/conftest.py)


class Database:
    def __init__(self, path=None, *, page_size=512, synchronous=-1, create=True, spill=0, busy_ms=-1, read_only=False):
        options = ffi.new("edb_options *", {
            "page_size": page_size, "synchronous": synchronous, "read_only": read_only, "create": create,
            "busy_ms": busy_ms, "spill_bytes": spill, "unpacked": UPKEEP_OFF, "unpruned": UPKEEP_OFF,
        })
        out = ffi.new("edb **")
        done(lib.edb_open(ffi.NULL if path is None else str(path).encode(), options, out))
        self.db = out[0]

    def close(self):
        lib.edb_close(self.db)

    def connect(self):
        return Connection(self)

    def check(self):
        """Breaches as (invariant, page, sentence); and the counts."""
        found = []

        @ffi.callback("void(void *, const char *, uint64_t, const char *)")
        def report(_, invariant, page, sentence):
            found.append((ffi.string(invariant).decode(), page, ffi.string(sentence).decode()))

        out = ffi.new("edb_check_result *")
        done(lib.edb_check(self.db, report, ffi.NULL, out))
        assert out.breaches == len(found)
        return found, out

    def stats(self):
        out = ffi.new("edb_stats *")
        done(lib.edb_get_stats(self.db, out))
        return out

    def newest(self):
        return lib.edb_newest(self.db)

    def resolve(self, moment):
        """-> (number, commit time, moment to ask again with, settled)"""
        number, commit, resolved = ffi.new("uint64_t *"), ffi.new("int64_t *"), ffi.new("int64_t *")
        settled = ffi.new("bool *")
        done(lib.edb_resolve(self.db, moment, number, commit, resolved, settled))
        return number[0], commit[0], resolved[0], settled[0]

    def time_of(self, number):
        out = ffi.new("int64_t *")
        done(lib.edb_commit_time(self.db, number, out))
        return out[0]


class Connection:
    def __init__(self, database):
        out = ffi.new("edb_conn **")
        done(lib.edb_conn_open(database.db, out))
        self.conn = out[0]

    def close(self):
        lib.edb_conn_close(self.conn)

    def isolation(self, level):
        done(lib.edb_conn_isolation(self.conn, level))

    def reads(self):
        """What a SERIALIZABLE transaction has noted: (whole trees, ranges, bytes)."""
        size, ranges = ffi.new("size_t *"), ffi.new("size_t *")
        return lib.test_reads(self.conn, size, ranges), ranges[0], size[0]

    def begin(self, *, writes=False, transaction=True, as_of=None):
        """Begin a statement; end() it."""
        options = ffi.new("edb_stmt_options *", {
            "in_transaction": transaction, "writes": writes, "has_moment": as_of is not None, "moment_ns": as_of or 0,
        })
        out = ffi.new("edb_stmt **")
        done(lib.edb_stmt_begin(self.conn, options, out))
        return Statement(self, out[0])

    @contextlib.contextmanager
    def statement(self, **options):
        statement = self.begin(**options)
        try:
            yield statement
        finally:
            statement.end()

    def prepare(self):
        done(lib.txn_prepare(self.conn))

    def publish(self):
        lib.txn_publish(self.conn)

    def commit(self):
        """As SQLite: prepare, and publish or roll back; then what the driver does."""
        try:
            self.prepare()
        except EngineError:
            self.rollback()
            raise
        self.publish()
        self.settle()
        done(lib.edb_conn_wait(self.conn))

    def rollback(self):
        lib.txn_rollback(self.conn)
        self.settle()

    def settle(self, autocommit=True):
        lib.edb_conn_settle(self.conn, autocommit)

    def last_commit(self):
        number, ns = ffi.new("uint64_t *"), ffi.new("int64_t *")
        lib.edb_conn_last_commit(self.conn, number, ns)
        return number[0], ns[0]

    def commit_time(self, ns):
        done(lib.edb_conn_commit_time(self.conn, ns))

    def schema(self):
        out = ffi.new("uint64_t *")
        done(lib.edb_conn_schema(self.conn, out))
        return out[0]

    # whole statements in one line

    def put(self, tree, key, value, **options):
        with self.statement(writes=True, **options) as statement:
            statement.put(tree, key, value)

    def delete(self, tree, key, **options):
        self.put(tree, key, None, **options)

    def get(self, tree, key, **options):
        with self.statement(**options) as statement:
            return statement.get(tree, key)

    def scan(self, tree, **options):
        with self.statement(**options) as statement:
            return statement.scan(tree)

    def make_tree(self, key_size=8):
        """One tree, committed."""
        with self.statement(writes=True) as statement:
            tree = statement.make_tree(key_size)
        self.commit()
        return tree


class Statement:
    def __init__(self, connection, stmt):
        self.connection, self.stmt = connection, stmt
        self.entry = ffi.new("test_entry *")
        self.found = ffi.new("bool *")

    def end(self):
        lib.edb_stmt_end(self.stmt)

    @property
    def moment(self):
        return lib.edb_stmt_moment(self.stmt)

    def decode(self):
        e = self.entry
        return bytes(ffi.buffer(e.key, e.key_size)), bytes(ffi.buffer(e.value, e.value_size))

    def get(self, tree, key, now=False):
        key = raw(key)
        done(lib.test_get(self.stmt, tree, key, len(key), now, self.entry, self.found))
        return self.decode()[1] if self.found[0] else None

    def get_absent(self, tree, key, now=False):
        """What own writes say of a key that the tree does not have."""
        key = raw(key)
        done(lib.test_get_absent(self.stmt, tree, key, len(key), now, self.entry, self.found))
        assert self.entry.seen_from == 0 or self.found[0]
        return self.decode()[1] if self.found[0] else None

    def row_absent(self, tree, key):
        lib.stmt_row_absent(self.stmt, tree, raw(key))

    def newest(self, tree, key):
        key = raw(key)
        done(lib.test_newest(self.stmt, tree, key, len(key), self.entry, self.found))
        return self.decode()[1] if self.found[0] else None

    def prefix(self, tree, prefix):
        done(lib.test_prefix(self.stmt, tree, prefix, len(prefix), self.entry, self.found))
        return self.decode()[0] if self.found[0] else None

    def put(self, tree, key, value):
        key = raw(key)
        done(lib.test_put(self.stmt, tree, key, len(key), ffi.NULL if value is None else value, len(value or b"")))

    def put_unique(self, tree, prefix, row, what="t.u"):
        """An index entry as the table layer writes it: judged now, then flagged."""
        if self.prefix(tree, prefix) is not None:
            raise Duplicate(what)
        key = prefix + raw(row)
        done(lib.txn_put_unique(self.stmt, tree, key, len(key), b"", 0, CODES["UNIQUE"], what.encode()))

    def delete_index(self, tree, prefix, row):
        self.put(tree, prefix + raw(row), None)

    def expect_unchanged(self, tree):
        done(lib.txn_expect_unchanged(self.stmt, tree))

    def make_tree(self, key_size=8):
        out = ffi.new("uint32_t *")
        done(lib.txn_tree_new(self.stmt, key_size, out))
        return out[0]

    def change_schema(self, name="t", table=None):
        """A catalog entry for a table, new or of that id; name None: drop it. -> its id"""
        table = self.make_tree() if table is None else table
        self.put(0, table, None if name is None else payload(table, name))
        done(lib.txn_schema_changed(self.stmt))
        return table

    def schema(self):
        return lib.stmt_schema(self.stmt)

    def next_id(self, tree):
        out = ffi.new("int64_t *")
        done(lib.txn_id_next(self.stmt, tree, out))
        return out[0]

    def use_id(self, tree, key):
        lib.txn_id_used(self.stmt, tree, key)

    def cursor(self, tree):
        return TreeCursor(self, tree)

    def scan(self, tree, backward=False):
        """{key: value}; keys as stored."""
        cursor, rows = self.cursor(tree), []
        cursor.seek_last() if backward else cursor.seek()
        while (at := cursor.at()) is not None:
            rows.append(at)
            cursor.prev() if backward else cursor.next()
        cursor.close()
        assert [key for key, _ in rows] == sorted((key for key, _ in rows), reverse=backward)
        return dict(rows)


class Duplicate(Exception):
    """The unique key is taken, as judged when it was to be written."""


class TreeCursor:
    def __init__(self, statement, tree):
        self.statement = statement
        out = ffi.new("test_cursor **")
        done(lib.test_cursor_open(statement.stmt, tree, out))
        self.tc = out[0]

    def close(self):
        lib.test_cursor_close(self.tc)

    def seek(self, key=None):
        done(lib.test_cursor_seek(self.tc, ffi.NULL if key is None else raw(key), 0 if key is None else len(raw(key))))

    def seek_last(self, key=None):
        done(lib.test_cursor_seek_last(self.tc, ffi.NULL if key is None else raw(key),
                                       0 if key is None else len(raw(key))))

    def next(self):
        done(lib.test_cursor_next(self.tc))

    def prev(self):
        done(lib.test_cursor_prev(self.tc))

    def at(self):
        return self.statement.decode() if lib.test_cursor_at(self.tc, self.statement.entry) else None
