"""Tables of a test build without SQLite: payloads of the catalog (docs/format.md) and rows with Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .bare_txn import Statement, done, ffi, lib

BLOB, TEXT, NUMERIC, INTEGER, REAL = range(0x41, 0x46)
BINARY, NOCASE, RTRIM = range(3)
NO_ACTION, RESTRICT, SET_NULL, SET_DEFAULT, CASCADE = range(5)

Value = None | int | float | str | bytes


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(value: str) -> bytes:
    return varint(len(value.encode())) + value.encode()


@dataclass
class Column:
    name: str
    affinity: int = BLOB
    collation: int = BINARY
    not_null: bool = False
    default: str | None = None  # an expression
    number: int | None = None  # a small constant that is the default
    expression: str | None = None  # of a generated column that is stored

    def encoded(self, position: int) -> bytes:
        default = self.default if self.number is None else str(self.number)
        flags = self.not_null | (default is not None) << 1 | (self.number is not None) << 2
        flags |= (self.expression is not None) << 4
        out = varint(position) + text(self.name) + text("") + bytes([self.affinity, self.collation, flags])
        if default is not None:
            out += text(default)
        if self.number is not None:
            row = bytes([1 << 2, 3, 1, self.number])  # one column: an integer of one byte
            out += varint(len(row)) + row
        return out + (text(self.expression) if self.expression is not None else b"")


@dataclass
class Index:
    name: str
    columns: Sequence[int]
    unique: bool = False
    primary_key: bool = False
    where: str | None = None
    collation: int = BINARY

    def encoded(self) -> bytes:
        flags = self.unique | self.primary_key << 1 | (self.where is not None) << 3
        out = varint(0) + text(self.name) + text("") + bytes([flags]) + varint(0)
        if self.where is not None:
            out += text(self.where)
        parts = b"".join(varint(column) + bytes([self.collation, 0]) for column in self.columns)
        return out + varint(len(self.columns)) + parts


@dataclass
class ForeignKey:
    columns: Sequence[int]
    parent: str
    on_delete: int = NO_ACTION
    on_update: int = NO_ACTION
    deferred: bool = False

    def encoded(self) -> bytes:
        head = text(self.parent) + bytes([self.deferred, self.on_delete, self.on_update])
        return head + varint(len(self.columns)) + b"".join(varint(column) for column in self.columns)


@dataclass
class Table:
    """What a request to create it says; the id comes back."""

    name: str
    columns: Sequence[Column]
    rowid_column: int | None = None
    indexes: Sequence[Index] = ()
    checks: Sequence[str] = ()
    foreign_keys: Sequence[ForeignKey] = ()

    def encoded(self) -> bytes:
        out = b"\1\1" + varint(0) + text(self.name) + text("") + varint(0)
        out += varint(0 if self.rowid_column is None else self.rowid_column + 1)
        out += varint(len(self.columns)) + b"".join(column.encoded(i) for i, column in enumerate(self.columns))
        out += varint(len(self.indexes)) + b"".join(index.encoded() for index in self.indexes)
        out += varint(len(self.checks)) + b"".join(text(check) * 2 for check in self.checks)
        out += varint(len(self.foreign_keys)) + b"".join(key.encoded() for key in self.foreign_keys)
        return out + text("")


def create(statement: Statement, table: Table) -> int:
    payload, out = table.encoded(), ffi.new("uint32_t *")
    done(lib.ddl_create(statement.stmt, payload, len(payload), out))
    return out[0]


def _values(row: Sequence[Value]):
    """The row as C values, and what they point to."""
    values, kept = ffi.new("test_value[]", len(row) + 1), []
    for to, value in zip(values, row, strict=False):
        if isinstance(value, int):
            to.type, to.integer = 1, value
        elif isinstance(value, float):
            to.type, to.real = 2, value
        elif value is not None:
            data = value.encode() if isinstance(value, str) else value
            kept.append(ffi.new("uint8_t[]", data or b"\0"))
            to.type, to.bytes, to.size = (3 if isinstance(value, str) else 4), kept[-1], len(data)
    return values, kept


def insert(statement: Statement, table: int, rowid: int, *row: Value, replace: bool = False) -> None:
    values, _kept = _values(row)
    done(lib.test_table_insert(statement.stmt, table, rowid, values, len(row), replace))


def update(statement: Statement, table: int, rowid: int, *row: Value, to: int | None = None) -> bool:
    values, _kept = _values(row)
    found = ffi.new("bool *")
    new = rowid if to is None else to
    done(lib.test_table_update(statement.stmt, table, rowid, new, values, len(row), found))
    return found[0]


def delete(statement: Statement, table: int, rowid: int) -> bool:
    found = ffi.new("bool *")
    done(lib.test_table_delete(statement.stmt, table, rowid, found))
    return found[0]


def judge(statement: Statement) -> None:
    """What the driver asks when a statement ends."""
    done(lib.edb_stmt_judge(statement.stmt))


def read(row: bytes) -> list[Value]:
    """A stored row."""
    out = ffi.new("test_value[]", 64)
    data = ffi.new("uint8_t[]", row)
    n = lib.test_row_decode(data, len(row), out, 64)
    assert 0 <= n <= 64

    def value(at):
        if at.type == 0:
            return None
        if at.type < 3:
            return at.integer if at.type == 1 else at.real
        data = bytes(ffi.buffer(at.bytes, at.size))
        return data.decode() if at.type == 3 else data

    return [value(out[i]) for i in range(n)]


def rows(statement: Statement, table: int) -> dict[int, list[Value]]:
    return {int.from_bytes(key, "big") - 2**63: read(row) for key, row in statement.scan(table).items()}
