"""Erasing a subject's data from every moment: erase(), and the receipts that stay.

Rows are deleted, or columns set to NULL, through the ORM and in a transaction as any other, so constraints are judged.
A second transaction erases what they were (engine/upkeep/erase.c). Rows are found in history: whoever was related at
any moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from sqlalchemy import Table, and_, delete, exc, inspect, literal_column, select, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Mapper, RelationshipProperty, Session

from ._backend import EntityBackend
from .driver._catalog import rowid_name
from .driver.sql.tokens import quote
from .history import transaction_info
from .history.moments import Nanoseconds
from .history.sources import Source, connected, unscoped
from .temporal.tables import history_table, over_versions

Key: TypeAlias = "tuple[Any, ...]"

_ROW: Any = literal_column('"entitydb row"')
_ERASE = text(
    "INSERT INTO entitydb_erasures(subject_table, key_hash, columns, reason, actor, row_id)"
    " VALUES (:table, :hash, :columns, :reason, :actor, :row)"
)
_RECEIPTS = (
    "SELECT subject_table, key_hash, columns, versions, reason, actor, number, moment FROM entitydb_erasures"
)


@dataclass(frozen=True)
class Erased:
    """The receipt of a row that was erased.

    Args:
        moment: when, in nanoseconds: the time of the transaction that erased.
        transaction: its number.
        table: the row's table.
        key_hash: what erased_key_hash() makes of the table and the row's primary key.
        columns: those that were erased; None: the whole row.
        versions: how many versions of the row there were.
        reason: why, as erase() was told.
        actor: who, likewise.
        related: of what erase() returns, the receipts of the rows that were erased with the subject's.
    """

    moment: Nanoseconds
    transaction: int
    table: str
    key_hash: str
    columns: tuple[str, ...] | None
    versions: int
    reason: str | None
    actor: str | None
    related: tuple[Erased, ...] = field(default=())


@dataclass(frozen=True)
class _Row:
    table: Table
    key: Key  # values of its primary key
    row: int  # its row id


def erased_key_hash(table: str, key: Sequence[Any]) -> str:
    """What receipts say in the place of a key: SHA-256 of a JSON array, the table's name and the key's values as texts.

    It tells whether a key that somebody knows was erased. Keys that can be guessed, such as small numbers, can be found
    by it.
    """
    return hashlib.sha256(json.dumps([table, *map(str, key)], ensure_ascii=False).encode()).hexdigest()


# ---- which rows ----


def _versions_where(table: Table, columns: Iterable[Any], values: Key) -> tuple[Any, Any]:
    """All versions of a table, and the condition that columns have values."""
    versions = over_versions(history_table(table), "all")
    return versions, and_(*(versions.c[c.key] == value for c, value in zip(columns, values, strict=True)))


def _rows(session: Session, table: Table, key: Key) -> Iterator[_Row]:
    """The rows of a table that ever had a primary key."""
    versions, condition = _versions_where(table, table.primary_key.columns, key)
    for row in session.execute(select(_ROW).select_from(versions).where(condition).distinct()).scalars():
        yield _Row(table, key, row)


def _tables(mapper: Mapper[Any]) -> list[Table]:
    """The tables that an object of the mapper, or of a subclass, may have a row in."""
    found = dict.fromkeys(table for below in mapper.base_mapper.self_and_descendants for table in below.tables)
    for table in found:
        if not isinstance(table, Table) or len(table.primary_key.columns) != len(mapper.primary_key):
            raise exc.ArgumentError(f"{mapper} is not mapped to tables with one primary key")
    return [table for table in found if isinstance(table, Table)]


def _ever(session: Session, table: Table, columns: Sequence[Any], known: Sequence[Any], key: Key) -> list[Key]:
    """What columns of a table ever were in the versions in which others had a key."""
    versions, condition = _versions_where(table, known, key)
    query = select(*(versions.c[c.key] for c in columns)).select_from(versions).where(condition).distinct()
    return [tuple(row) for row in session.execute(query) if None not in row]


@dataclass
class _Found:
    rows: dict[tuple[Table, int], _Row] = field(default_factory=dict)
    objects: dict[tuple[Mapper[Any], Key], None] = field(default_factory=dict)

    def add(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            self.rows.setdefault((row.table, row.row), row)


def _relationship(mapper: Mapper[Any], name: str) -> RelationshipProperty[Any]:
    for below in mapper.base_mapper.self_and_descendants:
        if name in below.relationships:
            return below.relationships[name]
    raise exc.ArgumentError(f"{mapper} has no relationship {name!r} to cascade to")


def _collect(session: Session, mapper: Mapper[Any], key: Key, cascade: Mapping[str, Any], found: _Found) -> None:
    base = mapper.base_mapper
    if (base, key) in found.objects:
        return
    found.objects[base, key] = None
    for table in _tables(mapper):
        found.add(_rows(session, table, key))
    for name, below in cascade.items():
        relationship = _relationship(mapper, name)
        for other in _related(session, relationship, key, found):
            _collect(session, relationship.mapper, other, below, found)


def _related(session: Session, relationship: RelationshipProperty[Any], key: Key, found: _Found) -> list[Key]:
    """Primary keys of the objects that were ever related to one; link rows between them are added to what was found."""
    local = [pair[0] for pair in relationship.local_remote_pairs or ()]
    own = local[0].table
    pairs = relationship.synchronize_pairs
    if relationship.secondary is None:
        pairs = relationship.local_remote_pairs or []
    sources = [pair[0] for pair in pairs]
    targets = [pair[1] for pair in pairs]
    link = relationship.secondary
    keys: dict[Key, None] = {}
    for values in _ever(session, own, sources, own.primary_key.columns.values(), key):
        if isinstance(link, Table):
            found.add(_links(session, link, targets, values))
            ends = [pair[1] for pair in relationship.secondary_synchronize_pairs or ()]
            far = [pair[0] for pair in relationship.secondary_synchronize_pairs or ()]
            for end in _ever(session, link, ends, targets, values):
                keys.update(dict.fromkeys(_keys(session, relationship.mapper, far, end)))
        else:
            keys.update(dict.fromkeys(_keys(session, relationship.mapper, targets, values)))
    return list(keys)


def _keys(session: Session, mapper: Mapper[Any], columns: Sequence[Any], values: Key) -> list[Key]:
    table = columns[0].table
    return _ever(session, table, table.primary_key.columns.values(), columns, values)


def _links(session: Session, link: Table, columns: Sequence[Any], values: Key) -> Iterator[_Row]:
    versions, condition = _versions_where(link, columns, values)
    names = [c.key for c in link.primary_key.columns or link.columns]
    query = select(_ROW, *(versions.c[name] for name in names)).select_from(versions).where(condition).distinct()
    for row, *key in session.execute(query):
        yield _Row(link, tuple(key), row)


# ---- what is to be done ----


def _subject(session: Session, subject: Any) -> tuple[Mapper[Any], Key]:
    if isinstance(subject, tuple) and len(subject) == 2 and isinstance(subject[0], type):
        mapper: Any = inspect(subject[0], raiseerr=False)
        if isinstance(mapper, Mapper):
            key = subject[1]
            key = tuple(key) if isinstance(key, (tuple, list)) else (key,)
            most = len(mapper.primary_key)
            if len(key) != most:
                raise exc.ArgumentError(f"the primary key of {mapper} has {most} values, not {key!r}")
            return mapper, key
    state = inspect(subject, raiseerr=False)
    if state is None or not hasattr(state, "mapper") or getattr(state, "identity", None) is None:
        raise exc.ArgumentError(f"{subject!r} is neither an object of the database nor (Model, key)")
    return state.mapper, tuple(state.identity)


def _paths(cascade: Iterable[str] | str) -> dict[str, Any]:
    """"orders", "orders.lines": by name, what is below."""
    found: dict[str, Any] = {}
    for path in [cascade] if isinstance(cascade, str) else cascade:
        at = found
        for name in path.split("."):
            at = at.setdefault(name, {})
    return found


def _columns(mapper: Mapper[Any], names: Iterable[str] | str) -> dict[Table, list[tuple[str, str]]]:
    """By table, attributes of the mapper and the names of their columns."""
    found: dict[Table, list[tuple[str, str]]] = {}
    for name in [names] if isinstance(names, str) else names:
        for below in (mapper, *mapper.base_mapper.self_and_descendants):
            if name in below.column_attrs:
                column = below.column_attrs[name].columns[0]
                break
        else:
            raise exc.ArgumentError(f"{mapper} has no column {name!r}")
        assert isinstance(column.table, Table)
        found.setdefault(column.table, []).append((name, column.name))
    if not found:
        raise exc.ArgumentError("columns names none; None erases the whole row")
    return found


def _delete(session: Session, found: _Found) -> None:
    """What lives of it, by the ORM; rows that no object stands for by their ids."""
    for mapper, key in found.objects:
        living = session.get(mapper.class_, key)
        if living is not None:
            session.delete(living)
    session.flush()
    for row in found.rows.values():
        columns = row.table.primary_key.columns
        name = rowid_name(c.name for c in row.table.columns)
        if columns:
            session.execute(delete(row.table).where(*(c == value for c, value in zip(columns, row.key, strict=True))))
        elif name is not None:
            session.execute(text(f"DELETE FROM {quote(row.table.name)} WHERE {name} = :row"), {"row": row.row})


def _set_null(session: Session, mapper: Mapper[Any], key: Key, names: Iterable[str]) -> None:
    living = session.get(mapper.class_, key)
    for name in names if living is not None else ():
        setattr(living, name, None)


@contextmanager
def _session(source: Source) -> Iterator[Session]:
    found = unscoped(source)
    if isinstance(found, Session):
        yield found
    elif isinstance(found, Engine) or not found.in_transaction():
        with Session(found) as session:
            yield session
    else:
        raise exc.ArgumentError(
            "erase() commits two transactions: give it a Session, an Engine, or a Connection without one"
        )


def erase(
    source: Source,
    subject: Any,
    *,
    columns: Iterable[str] | None = None,
    reason: str | None = None,
    actor: str | None = None,
    cascade: Iterable[str] | str = (),
) -> Erased:
    """Erases a row, or columns of it, from every moment: what it was cannot be read any more, whatever is asked.

    Two transactions are committed, with what the session holds. In the first the living rows are deleted, or the
    columns become NULL, under all constraints. In the second their versions are erased, with index entries and
    taggings, and a receipt is kept. Others' transactions that began before it fail with SerializationFailure, and are
    to be retried. The bytes are in the file until compact().

    Args:
        source: a Session, an Engine, or a Connection without a transaction.
        subject: an object of the session, or (Model, primary key), which need not live any more.
        columns: attributes of the subject; None: the whole row.
        reason: why; kept in the receipt, and said of both transactions.
        actor: who, likewise.
        cascade: names of relationships, "orders" or "orders.lines": the objects that were ever related are erased
            too, and the link rows of a secondary table.

    Returns:
        The receipt.

    Raises:
        ArgumentError: it is no subject, column or relationship.
        NoResultFound: there is no version of such a row.
        IntegrityError: the row cannot be deleted, or the column not be NULL; nothing is erased then.
        NotSupportedError: a column that cannot be erased alone, or history of an older version's file.

    Example:
        receipt = erase(session, user, reason="GDPR request 4711", actor="ann", cascade=["orders.lines"])
        compact(engine)
    """
    paths = _paths(cascade)
    if columns is not None and paths:
        raise exc.ArgumentError("columns of the subject are erased alone: leave cascade out, or columns")
    with _session(source) as session:
        mapper, key = _subject(session, subject)
        of_table = None if columns is None else _columns(mapper, columns)
        session.flush()
        found = _Found()
        _collect(session, mapper, key, paths, found)
        rows = [row for row in found.rows.values() if of_table is None or row.table in of_table]
        if not rows:
            raise exc.NoResultFound(f"there is no version of {mapper} {key!r} at any moment that is kept")
        with transaction_info(actor, reason):
            if of_table is None:
                _delete(session, found)
            else:
                _set_null(session, mapper, key, [name for names in of_table.values() for name, _ in names])
            session.commit()
            return _erase(session, rows, of_table, reason, actor)


def _erase(
    session: Session, rows: Sequence[_Row], of_table: Mapping[Table, Any] | None, reason: str | None, actor: str | None
) -> Erased:
    said = [
        {
            "table": row.table.name,
            "hash": erased_key_hash(row.table.name, row.key),
            "columns": None if of_table is None else "\n".join(column for _, column in of_table[row.table]),
            "reason": reason,
            "actor": actor,
            "row": row.row,
        }
        for row in rows
    ]
    metadata = [{name: one[name] for name in ("table", "hash", "columns")} for one in said]
    try:
        with transaction_info(erased=metadata):
            session.execute(_ERASE, said)
            session.commit()
    except BaseException:
        session.rollback()
        raise
    found = list(erasures(session))
    session.commit()
    number = found[-1].transaction
    first, *others = [one for one in found if one.transaction == number]
    return replace(first, related=tuple(others))


def erasures(source: Source) -> list[Erased]:
    """The receipts of all that was ever erased, oldest first.

    Args:
        source: a Session, an Engine or a Connection.
    """
    with connected(source) as (connection, backend):
        if not isinstance(backend, EntityBackend):
            raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
        return _receipts(connection)


def _receipts(connection: Connection) -> list[Erased]:
    return [
        Erased(
            Nanoseconds(moment), number, table, key_hash, None if columns is None else tuple(columns.split("\n")),
            versions, reason, actor,
        )
        for table, key_hash, columns, versions, reason, actor, number, moment in connection.exec_driver_sql(_RECEIPTS)
    ]  # fmt: skip


__all__ = ["Erased", "erase", "erased_key_hash", "erasures"]
