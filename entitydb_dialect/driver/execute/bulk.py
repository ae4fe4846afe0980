"""Many rows without SQL: put, read by id, found by tags. Rows pass to and from the engine as marshal's bytes.

Putting is a statement like any other (INSERT INTO entitydb_put), so it has a transaction and is undone whole. Reading
opens a context of its own. Both work in the engine without the GIL.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import _exceptions as ex
from ..._native import ffi, lib
from ..._short import tagged_many, uncollected
from .._errors import check

if TYPE_CHECKING:
    from .._catalog import Table
    from .._session import Session
    from ..schemas.content import Declared

PUT = "INSERT INTO entitydb_put(op) VALUES ('put')"
_MARSHAL = 2  # the version of the format that native/marshal.c reads
_CURRENT = (1 << 63) - 1  # valid_to of a version that is current


class Put(NamedTuple):
    """What was put.

    Attributes:
        ids: the row id of each row, in the order given.
        inserted, changed: how many rows were new, and how many were there.
    """

    ids: array[int]
    inserted: int
    changed: int


def _dumped(value: Any, what: str) -> bytes:
    try:
        return marshal.dumps(value, _MARSHAL)
    except ValueError:
        raise ex.ProgrammingError(f"{what} hold something that is no None, bool, int, float, str or bytes") from None


def put_rows(
    session: Session,
    run: Callable[[str], object],
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    tags: Sequence[Any] | None,
    *,
    apart: bool,
) -> Put:
    """Args:
        run: executes PUT.
        tags: texts for every row; if `apart`, a list of texts for each.
    """
    names = [ffi.new("char[]", name.encode()) for name in columns]
    listed = ffi.new("char *[]", names)
    data = _dumped(rows if isinstance(rows, list) else list(rows), f"the rows for {table}")
    tag_data = b"" if tags is None else _dumped(list(tags), f"the tags for {table}")
    ids = array("q", bytes(8 * len(rows)))
    kept = [ffi.new("char[]", table.encode()), ffi.from_buffer(data), ffi.from_buffer(tag_data)]
    request = ffi.new("edb_put *")
    request.table, request.columns, request.n_columns = kept[0], listed, len(names)
    request.rows, request.rows_size = ffi.cast("uint8_t *", kept[1]), len(data)
    if tags is not None:
        request.tags, request.tags_size, request.tags_apart = ffi.cast("uint8_t *", kept[2]), len(tag_data), apart
    with ffi.from_buffer("int64_t[]", ids, require_writable=True) as out:
        request.ids, request.ids_room = out, len(rows)
        lib.edb_conn_put(session.engine, request)
        try:
            run(PUT)
        finally:
            lib.edb_conn_put(session.engine, ffi.NULL)
    return Put(ids, request.inserted, request.changed)


def delete_rows(session: Session, run: Callable[[str], object], table: str, ids: Any) -> int:
    """-> how many there were. ids: a buffer of int64."""
    name = ffi.new("char[]", table.encode())
    given = ffi.from_buffer("int64_t[]", ids)
    request = ffi.new("edb_put *", {"table": name, "ids": given, "ids_room": len(given), "deletes": True})
    lib.edb_conn_put(session.engine, request)
    try:
        run(PUT)
    finally:
        lib.edb_conn_put(session.engine, ffi.NULL)
    return int(request.changed)


def _loaded(request: Any) -> Any:
    """What the engine gave out. Rows are no garbage: the collector need not look at them while they are made."""
    return uncollected(marshal.loads, ffi.buffer(request.out, request.out_size))


def _declared(session: Session, table: str) -> Declared:
    found = session.main.declared.get(table.lower())
    if found is None:
        raise ex.OperationalError(f"no such table: {table}")
    return found


def _positions(table: Table, columns: Sequence[str] | None) -> list[int]:
    if columns is None:
        return list(range(len(table.visible)))
    places = {column.name.lower(): i for i, column in enumerate(table.visible)}
    missing = next((name for name in columns if name.lower() not in places), None)
    if missing is not None:
        raise ex.OperationalError(f"table {table.name} has no column named {missing}")
    return [places[name.lower()] for name in columns]


def get_rows(
    session: Session, table: str, ids: Any, columns: Sequence[str] | None, as_of: int | None, *, dicts: bool
) -> tuple[tuple[str, ...], list[Any]]:
    """-> the names of the columns, and for each id its row, or None. ids: a buffer of int64."""
    stmt = session.open_statement(False, as_of, bool(session.raw.in_transaction))
    try:
        declared = _declared(session, table)
        positions = _positions(declared.table, columns)
        wanted = ffi.from_buffer("int64_t[]", ids)
        payload = ffi.from_buffer(declared.payload)
        places = ffi.new("uint32_t[]", positions)
        request = ffi.new("edb_get *")
        request.payload, request.payload_size = ffi.cast("uint8_t *", payload), len(declared.payload)
        request.columns, request.n_columns = places, len(positions)
        request.ids, request.n_ids, request.dicts = wanted, len(wanted), dicts
        before = session.enter(stmt)
        try:
            check(lib.edb_stmt_get(stmt, request))
        finally:
            session.leave(before)
        try:
            found: tuple[tuple[str, ...], list[Any]] = _loaded(request)
        finally:
            lib.edb_bytes_free(request.out)
        return found
    finally:
        session.end_statement(stmt)


def row_ids(session: Session, table: str, after: int | None, most: int, as_of: int | None) -> array[int]:
    """At most so many row ids behind one (None: from the first), ascending."""
    stmt = session.open_statement(False, as_of, bool(session.raw.in_transaction))
    try:
        found = array("q", bytes(8 * most))
        count = ffi.new("size_t *")
        last = ffi.NULL if after is None else ffi.new("int64_t *", after)
        id_ = _declared(session, table).table.id
        with ffi.from_buffer("int64_t[]", found, require_writable=True) as out:
            check(lib.edb_stmt_ids(stmt, id_, last, most, out, count))
        del found[count[0] :]
        return found
    finally:
        session.end_statement(stmt)


def _no_utf8(error: UnicodeEncodeError) -> ex.DataError:
    return ex.DataError(f"the tag expression {error.object!r} is not UTF-8")


def tagged_ids(session: Session, table: str, expression: str, as_of: int | None) -> array[int]:
    """The row ids that an expression means, ascending."""
    try:
        text = expression.encode()
    except UnicodeEncodeError as error:
        raise _no_utf8(error) from None
    stmt = session.open_statement(False, as_of, bool(session.raw.in_transaction))
    try:
        kept = ffi.new("char[]", text)
        request = ffi.new("edb_tagged *")
        request.table = _declared(session, table).table.id
        request.expression, request.expression_size = kept, len(text)
        before = session.enter(stmt)
        try:
            check(lib.edb_stmt_tagged(stmt, request))
        finally:
            session.leave(before)
        found = array("q")
        try:
            found.frombytes(ffi.buffer(request.ids, 8 * request.n_ids))
        finally:
            lib.edb_bytes_free(request.ids)
        return found
    finally:
        session.end_statement(stmt)


def tagged_ids_many(session: Session, table: str, expressions: Iterable[str], as_of: int | None) -> list[list[int]]:
    """For each expression the row ids that it means, ascending."""
    asked = tuple(expressions)  # the program's code may run here: before there is a context
    stmt = session.open_statement(False, as_of, bool(session.raw.in_transaction))
    try:
        type_ = _declared(session, table).table.id
        before = session.enter(stmt)
        try:
            found: list[list[int]] | int = tagged_many(int(ffi.cast("uintptr_t", stmt)), type_, asked)
            if isinstance(found, int):
                check(found)
                raise AssertionError("an error has a code")
        finally:
            session.leave(before)
        return found
    except UnicodeEncodeError as error:
        raise _no_utf8(error) from None
    except TypeError:
        wrong = next(one for one in asked if not isinstance(one, str))
        raise ex.ProgrammingError(f"a tag expression is no text: {wrong!r}") from None
    finally:
        session.end_statement(stmt)


def row_times(
    session: Session, table: str, id_: int, as_of: int | None, most: int
) -> list[tuple[int, int | None]]:
    """(valid_from, valid_to) of the committed versions of a row, the newest first; None: it is current."""
    stmt = session.open_statement(False, as_of, bool(session.raw.in_transaction))
    try:
        request = ffi.new("edb_history *")
        request.table, request.id, request.most = _declared(session, table).table.id, id_, most
        check(lib.edb_stmt_history(stmt, request))
        try:
            times = list(request.times[0 : 2 * request.n_versions]) if request.n_versions else []
        finally:
            lib.edb_bytes_free(request.times)
        return [(a, None if b == _CURRENT else b) for a, b in zip(times[::2], times[1::2], strict=True)]
    finally:
        session.end_statement(stmt)


__all__ = ["Put", "delete_rows", "get_rows", "put_rows", "row_ids", "row_times", "tagged_ids", "tagged_ids_many"]
