"""The catalog's payloads (docs/format.md, "Catalog" and "Rows") as Python objects and back.

A payload is one table with its indexes. Decoding is cached by bytes: payloads are few, immutable, and read often.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from .._exceptions import DamageError, OperationalError

Value: TypeAlias = int | float | str | bytes | None

COLLATIONS = ("BINARY", "NOCASE", "RTRIM")
ROWID_NAMES = ("rowid", "_rowid_", "oid")  # of the row id, where no column has taken them
# Tables of the engine's own, which are in no catalog and always there. No other name may begin as they do.
OWN_PREFIX = "entitydb_"
_OWN = (
    "catalog", "changes", "ddl", "entities", "erasures", "labels", "put", "set", "tagged", "tags", "transactions",
    "versions",
)  # fmt: skip
OWN_TABLES = frozenset(OWN_PREFIX + name for name in _OWN)


def rowid_name(columns: Iterable[str]) -> str | None:
    """A name for the row id; None: the columns have taken all of them."""
    taken = {name.lower() for name in columns}
    return next((name for name in ROWID_NAMES if name not in taken), None)


def refuse_reserved(name: str) -> None:
    """Raises OperationalError for a name that nothing may be given."""
    if name.lower().startswith(OWN_PREFIX):
        raise OperationalError(f"object name reserved for internal use: {name}")


@dataclass(frozen=True)
class Column:
    id: int  # position in stored rows
    name: str
    type: str  # as declared
    affinity: int  # ord("A") BLOB .. ord("E") REAL
    collation: int  # index into COLLATIONS
    not_null: bool
    default_sql: str | None  # None: no default
    default_constant: bool = False
    default: Value = None  # when constant
    added: bool = False  # to a table with rows
    added_value: Value = None  # when added: what it is in rows written before
    expression: str | None = None  # of a generated column
    stored: bool = False  # a generated column that is in the row; else it is computed whenever it is read
    hidden: bool = False  # an index's expression, generated and not stored: no column to SQL
    earlier: tuple[int, ...] = ()  # ids it had under types of another affinity, newest first
    tag: str | None = None  # the namespace that its values are tags of
    unversioned: bool = False  # it has no history


@dataclass(frozen=True)
class Part:
    column: int  # index into Table.columns
    collation: int
    descending: bool


@dataclass(frozen=True)
class Index:
    tree: int  # 0: to be given
    name: str
    sql: str  # "" for one made by a constraint
    unique: bool
    primary_key: bool
    automatic: bool  # made by a constraint
    complete_since: int  # commit number; 0: since the table began
    parts: tuple[Part, ...]
    where: str | None = None  # of a partial index, without the word
    made: tuple[Column, ...] = ()  # hidden columns that its table does not have yet: parts count them behind the others


@dataclass(frozen=True)
class Table:
    id: int  # 0: to be given
    name: str
    sql: str
    without_rowid: bool
    strict: bool
    autoincrement: bool
    rowid_column: int  # index into columns; -1: none
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    # CHECK and FOREIGN KEY constraints and names: see ddl/create.py for its keys
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    # Ids of columns without history: those of columns that are gone, too. May lack those of its columns.
    unversioned: tuple[int, ...] = ()

    @property
    def unversioned_ids(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.unversioned, *(column.id for column in self.columns if column.unversioned)}))

    @property
    def visible(self) -> tuple[Column, ...]:
        """The columns without those that indexes have for their expressions, which stand behind them."""
        return tuple(column for column in self.columns if not column.hidden)

    @property
    def generates(self) -> bool:
        """Has it generated columns, or expressions as indexes?"""
        return any(column.expression is not None for column in self.columns)

    @property
    def primary_key(self) -> tuple[int, ...]:
        """Indexes into columns, in the key's order; () when the table has none."""
        if self.rowid_column >= 0:
            return (self.rowid_column,)
        for index in self.indexes:
            if index.primary_key:
                return tuple(part.column for part in index.parts)
        return ()

    @property
    def next_column(self) -> int:
        """The id of the next column: one that no column ever had."""
        return max([int(self.extra.get("next_column", 0)), *(column.id + 1 for column in self.columns)])

    def with_index(self, index: Index) -> Table:
        columns = (*self.columns, *index.made)
        return replace(self, columns=columns, indexes=(*self.indexes, replace(index, made=())))

    def without_index(self, name: str) -> Table:
        """The table without an index, and without the hidden columns that no other index has."""
        left = [index for index in self.indexes if index.name.lower() != name.lower()]
        used = {part.column for index in left for part in index.parts}
        kept = [i for i, column in enumerate(self.columns) if not column.hidden or i in used]
        extra = dict(self.extra)
        if len(kept) < len(self.columns):
            extra["next_column"] = self.next_column
        place = {position: i for i, position in enumerate(kept)}

        def moved(index: Index) -> Index:
            return replace(index, parts=tuple(replace(p, column=place[p.column]) for p in index.parts))

        columns = tuple(self.columns[i] for i in kept)
        return replace(self, columns=columns, indexes=tuple(map(moved, left)), extra=extra)


@dataclass(frozen=True)
class View:
    id: int
    name: str
    sql: str


@dataclass(frozen=True)
class Setting:
    """A value kept with the schema: PRAGMA user_version."""

    id: int
    name: str
    sql: str  # the value


@dataclass(frozen=True)
class Tree:
    """A tree of the engine's own that belongs to no table; not to be shown."""

    id: int
    name: str
    sql: str  # empty


Entry: TypeAlias = Table | View | Setting | Tree
_TABLE, _VIEW, _SETTING, _TREE = 1, 2, 3, 4
_PLAIN: dict[int, type[View] | type[Setting] | type[Tree]] = {_VIEW: View, _SETTING: Setting, _TREE: Tree}


# ---- rows of one column ----

_NULL, _ZERO, _ONE, _INTEGER, _REAL, _TEXT, _BLOB = range(7)
_SIZES = {_NULL: (0,), _ZERO: (0,), _ONE: (0,), _INTEGER: (1, 2, 4, 8), _REAL: (8,)}  # in bytes; others have any


def encode_value(value: Value) -> bytes:
    """A stored row of one column."""
    if value is None or value != value:
        kind, data = _NULL, b""
    elif isinstance(value, int):
        if value in (0, 1):
            kind, data = (_ONE if value else _ZERO), b""
        else:
            size = next(s for s in (1, 2, 4, 8) if -(1 << 8 * s - 1) <= value < 1 << 8 * s - 1)
            kind, data = _INTEGER, value.to_bytes(size, "little", signed=True)
    elif isinstance(value, float):
        kind, data = _REAL, struct.pack("<d", value)
    elif isinstance(value, str):
        kind, data = _TEXT, value.encode()
    else:
        kind, data = _BLOB, bytes(value)
    width = 0 if len(data) <= 0xFF else 1 if len(data) <= 0xFFFF else 2
    return bytes([1 << 2 | width, kind]) + len(data).to_bytes(1 << width, "little") + data


def decode_value(row: bytes) -> Value:
    """The column of a stored row of one. Raises ValueError for anything else."""
    if len(row) < 2 or row[0] >> 2 != 1 or row[0] & 3 == 3:
        raise ValueError("not a row of one column")
    width = 1 << (row[0] & 3)
    kind, data = row[1], row[2 + width :]
    if len(row) < 2 + width or int.from_bytes(row[2 : 2 + width], "little") != len(data):
        raise ValueError("a row whose data has another length")
    if len(data) not in _SIZES.get(kind, (len(data),)):
        raise ValueError("a value of another size than its type has")
    if kind == _NULL:
        return None
    if kind in (_ZERO, _ONE):
        return kind - _ZERO
    if kind == _INTEGER:
        return int.from_bytes(data, "little", signed=True)
    if kind == _REAL:
        return float(struct.unpack("<d", data)[0])
    if kind == _TEXT:
        return data.decode()
    if kind == _BLOB:
        return data
    raise ValueError("an unknown column type")


# ---- payloads ----


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()

    def byte(self, value: int) -> None:
        self.out.append(value)

    def varint(self, value: int) -> None:
        while value >= 0x80:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)

    def bytes(self, value: bytes) -> None:
        self.varint(len(value))
        self.out += value

    def text(self, value: str) -> None:
        self.bytes(value.encode())


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift >= 70:
                raise ValueError("a varint of more than ten bytes")

    def bytes(self) -> bytes:
        size = self.varint()
        if self.at + size > len(self.data):
            raise ValueError("bytes beyond the end")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        return self.bytes().decode()


_ACTIONS = ("NO ACTION", "RESTRICT", "SET NULL", "SET DEFAULT", "CASCADE")


def _encode_constraints(w: _Writer, table: Table) -> None:
    """CHECK and FOREIGN KEY constraints as the engine reads them; `extra` is where this side reads them."""
    positions = {column.name.lower(): i for i, column in enumerate(table.columns)}
    checks = table.extra.get("check", ())
    w.varint(len(checks))
    for check in checks:
        w.text(check["name"] if check["name"] is not None else check["sql"])
        w.text(check["sql"])
    keys = table.extra.get("foreign_keys", ())
    w.varint(len(keys))
    for key in keys:
        w.text(key["table"])
        w.byte(bool(key["initially_deferred"]) | bool(key["referred"]) << 1)
        w.byte(_ACTIONS.index(key["on_delete"].upper()))
        w.byte(_ACTIONS.index(key["on_update"].upper()))
        w.varint(len(key["columns"]))
        for i, column in enumerate(key["columns"]):
            w.varint(positions[column.lower()])
            if key["referred"]:
                w.text(key["referred"][i])


def _skip_constraints(r: _Cursor) -> None:
    for _ in range(r.varint()):
        r.text(), r.text()
    for _ in range(r.varint()):
        r.text()
        flags, *_actions = r.byte(), r.byte(), r.byte()
        for _ in range(r.varint()):
            r.varint()
            if flags & 2:
                r.text()


def encode(table: Entry) -> bytes:
    """The payload of an entry."""
    w = _Writer()
    w.byte(1)
    if not isinstance(table, Table):
        w.byte(next(kind for kind, of in _PLAIN.items() if isinstance(table, of)))
        w.varint(table.id)
        w.text(table.name)
        w.text(table.sql)
        return bytes(w.out)
    w.byte(_TABLE)
    w.varint(table.id)
    w.text(table.name)
    w.text(table.sql)
    tags = [(i, column.tag) for i, column in enumerate(table.columns) if column.tag is not None]
    unversioned = table.unversioned_ids
    flags = table.without_rowid | table.strict << 1 | table.autoincrement << 2
    w.varint(flags | bool(tags) << 3 | bool(unversioned) << 4)
    w.varint(table.rowid_column + 1)
    w.varint(len(table.columns))
    for column in table.columns:
        w.varint(column.id)
        w.text(column.name)
        w.text(column.type)
        w.byte(column.affinity)
        w.byte(column.collation)
        has_default = column.default_sql is not None
        constant = has_default and column.default_constant
        computed = column.expression is not None
        kind = (16 if column.stored else 8) * computed | column.hidden << 5
        kind |= column.added << 6 | bool(column.earlier) << 7
        w.byte(column.not_null | has_default << 1 | constant << 2 | kind)
        if column.default_sql is not None:
            w.text(column.default_sql)
            if column.default_constant:
                w.bytes(encode_value(column.default))
        if column.added:
            w.bytes(encode_value(column.added_value))
        if column.expression is not None:
            w.text(column.expression)
        if column.earlier:
            w.varint(len(column.earlier))
            for earlier in column.earlier:
                w.varint(earlier)
    w.varint(len(table.indexes))
    for index in table.indexes:
        w.varint(index.tree)
        w.text(index.name)
        w.text(index.sql)
        w.byte(index.unique | index.primary_key << 1 | index.automatic << 2 | (index.where is not None) << 3)
        w.varint(index.complete_since)
        if index.where is not None:
            w.text(index.where)
        w.varint(len(index.parts))
        for part in index.parts:
            w.varint(part.column)
            w.byte(part.collation)
            w.byte(part.descending)
    _encode_constraints(w, table)
    if tags:
        w.varint(len(tags))
        for position, namespace in tags:
            w.varint(position)
            w.text(namespace)
    if unversioned:
        w.varint(len(unversioned))
        for column_id in unversioned:
            w.varint(column_id)
    w.text(json.dumps(dict(table.extra), separators=(",", ":"), sort_keys=True) if table.extra else "")
    return bytes(w.out)


def _decode(payload: bytes) -> Entry:
    r = _Cursor(payload)
    if r.byte() != 1:
        raise ValueError("an unknown payload format")
    kind = r.byte()
    if kind not in (_TABLE, _VIEW, _SETTING, _TREE):
        raise ValueError("an unknown kind")
    id_, name, sql = r.varint(), r.text(), r.text()
    if kind != _TABLE:
        if r.at != len(payload):
            raise ValueError("something behind the end")
        return _PLAIN[kind](id_, name, sql)
    flags, rowid = r.varint(), r.varint()
    columns = []
    for _ in range(r.varint()):
        column_id, column_name, type_ = r.varint(), r.text(), r.text()
        affinity, collation, column_flags = r.byte(), r.byte(), r.byte()
        default_sql = r.text() if column_flags & 2 else None
        default = decode_value(r.bytes()) if column_flags & 4 else None
        added = bool(column_flags & 64)
        added_value = decode_value(r.bytes()) if added else None
        expression = r.text() if column_flags & 24 else None
        earlier = tuple(r.varint() for _ in range(r.varint())) if column_flags & 128 else ()
        hidden, stored = bool(column_flags & 32), bool(column_flags & 16)
        if column_flags & 24 == 24 or (hidden and not column_flags & 8) or (column_flags & 2 and column_flags & 24):
            raise ValueError("an impossible kind of generated column")
        columns.append(
            Column(
                column_id,
                column_name,
                type_,
                affinity,
                collation,
                bool(column_flags & 1),
                default_sql,
                bool(column_flags & 4),
                default,
                added,
                added_value,
                expression,
                stored,
                hidden,
                earlier,
            )
        )
    indexes = []
    for _ in range(r.varint()):
        tree, index_name, index_sql, index_flags, since = r.varint(), r.text(), r.text(), r.byte(), r.varint()
        where = r.text() if index_flags & 8 else None
        parts = tuple(Part(r.varint(), r.byte(), bool(r.byte())) for _ in range(r.varint()))
        indexes.append(
            Index(
                tree,
                index_name,
                index_sql,
                bool(index_flags & 1),
                bool(index_flags & 2),
                bool(index_flags & 4),
                since,
                parts,
                where,
            )
        )
    _skip_constraints(r)
    if flags & 8:
        for _ in range(r.varint()):
            position, namespace = r.varint(), r.text()
            columns[position] = replace(columns[position], tag=namespace)
    unversioned = tuple(r.varint() for _ in range(r.varint())) if flags & 16 else ()
    columns = [replace(c, unversioned=True) if c.id in unversioned else c for c in columns]
    extra = r.text()
    if rowid > len(columns) or any(part.column >= len(columns) for i in indexes for part in i.parts):
        raise ValueError("a column beyond the last")
    if any(
        x >= len(COLLATIONS) for x in [c.collation for c in columns] + [p.collation for i in indexes for p in i.parts]
    ):
        raise ValueError("an unknown collation")
    return Table(
        id_,
        name,
        sql,
        bool(flags & 1),
        bool(flags & 2),
        bool(flags & 4),
        rowid - 1,
        tuple(columns),
        tuple(indexes),
        MappingProxyType(json.loads(extra)) if extra else {},
        unversioned,
    )


@lru_cache(maxsize=8192)
def decode(payload: bytes) -> Entry:
    """What a payload says. Raises DamageError when it is damaged."""
    try:
        return _decode(payload)
    except (ValueError, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise DamageError(f"the catalog holds a damaged entry ({error}); run check and restore a copy") from error
