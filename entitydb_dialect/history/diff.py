"""diff(): what differs between two moments, at a cost that follows what changed and not what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Select, Table, exc, inspect, select, tuple_
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import FromClause

from .backend import ChangesBackend
from .changes import Change, changes_between, differing
from .moments import Moment
from .past import past_session
from .sources import Source, ns_in, with_changes

Row: TypeAlias = dict[str, Any]


class RowDiff(NamedTuple):
    """How one row differs between two moments."""

    table: str  # the table; for mapped classes the name of the class
    key: Any  # the row id; for mapped classes the primary key, a tuple
    operation: str  # "insert", "update", "delete"
    old: Row | None  # as of the first moment, by columns; for mapped classes by attributes, with their values
    new: Row | None  # as of the second

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """What differs: name -> (old, new)."""
        return differing(self.old, self.new)


def made(table: str, key: Any, old: Row | None, new: Row | None) -> RowDiff:
    """The difference of two states of a row, at least one of which there is."""
    operation = "insert" if old is None else "delete" if new is None else "update"
    return RowDiff(table, key, operation, old, new)


def diff(source: Source, target: Any, a: Moment, b: Moment) -> list[RowDiff]:
    """What differs between the states as of two moments.

    Args:
        source: an Engine, a Connection or a Session.
        target: None: all rows of all tables. A Table or its name. A mapped class. An object, or (class, key).
            A `select()` of one mapped class: the objects that it gives. Where it has conditions on that class alone,
            only rows that changed are looked at, else everything it gives at both moments.
        a, b: moments; b may be the earlier one.

    Returns:
        The rows that differ, those of a table together. One that changed and changed back does not.

    Raises:
        ArgumentError: the target is none of these, or a moment is none.
        HorizonError (as OperationalError): a moment lies before the kept history.

    Example:
        for row in diff(session, Account, yesterday, today):
            print(row.key, row.changed)
    """
    first, second = ns_in(source, a), ns_in(source, b)
    if first > second:
        return [made(d.table, d.key, d.new, d.old) for d in diff(source, target, second, first)]
    with with_changes(source) as (connection, backend):
        between = (backend.commit_at(connection, first), backend.commit_at(connection, second))
        if target is None or isinstance(target, (str, Table)):
            name = target.name if isinstance(target, Table) else target
            return list(_net(changes_between(connection, backend, *between, name, None)))
        if isinstance(target, Select):
            return _of_select(source, connection, backend, target, first, second, between)
        mapper, key = mapped_target(target)
        if _is_plain(mapper):
            found = _of_table(connection, backend, mapper, between)
            return [row for row in found if key is None or row.key == key]
        keys = _changed_keys(connection, backend, mapper, between)
        wanted = [one for one in keys if key is None or one == key]
        return _of_keys(source, select(mapper), mapper, first, second, wanted)


def key_names(mapper: Mapper[Any]) -> list[str]:
    """The attributes that are the primary key."""
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


def mapped_target(target: Any) -> tuple[Mapper[Any], tuple[Any, ...] | None]:
    """The mapper of a class, an object or (class, key), and the primary key of the one row that is meant.

    Raises:
        ArgumentError: it is none of these.
    """
    key: Any = None
    if isinstance(target, tuple) and len(target) == 2:
        target, key = target
    found = inspect(target, raiseerr=False)
    if isinstance(found, InstanceState) and key is None:
        if found.identity is None:
            raise exc.ArgumentError(f"{target!r} was never flushed, so it has no history")
        return found.mapper, tuple(found.identity)
    if not isinstance(found, Mapper):
        raise exc.ArgumentError(
            f"{target!r} is not a mapped class, an object of one, (class, primary key), a Table, the name of a table, a"
            " select() of one mapped class, or None"
        )
    if key is None:
        return found, None
    key = key if isinstance(key, tuple) else (key,)
    if len(key) != len(found.primary_key):
        name, columns = found.class_.__name__, len(found.primary_key)
        raise exc.ArgumentError(f"{name} has a primary key of {columns} columns, not {len(key)}")
    return found, key


# ---- by changes ----


def _net(found: Iterator[Change]) -> Iterator[RowDiff]:
    """Changes of the same row as one."""
    rows: dict[tuple[str, int], tuple[Row | None, Row | None]] = {}
    for change in found:
        if change.tag is None:
            where = change.table, change.entity
            old = rows[where][0] if where in rows else change.old
            rows[where] = old, change.new
    for (table, entity), (old, new) in sorted(rows.items(), key=lambda item: item[0]):
        if differing(old, new):
            yield made(table, entity, old, new)


def processors(table: Table, dialect: Dialect) -> dict[str, Callable[[Any], Any]]:
    """What makes Python's values of SQLite's, by columns, where anything has to be done."""
    found = {c.name: c.type.dialect_impl(dialect).result_processor(dialect, None) for c in table.columns}
    return {name: processor for name, processor in found.items() if processor is not None}


def reader(mapper: Mapper[Any], table: Table, dialect: Dialect) -> Callable[[Row], Row]:
    """What makes of a row of a table the attributes of a class; columns that the class does not have are left out."""
    of = processors(table, dialect)
    mapped = {prop.columns[0] for prop in mapper.column_attrs}
    columns = [
        (column.name, mapper.get_property_by_column(column).key, of.get(column.name))
        for column in table.columns if column in mapped
    ]  # fmt: skip

    def read(row: Row) -> Row:
        return {
            attribute: row[name] if processor is None else processor(row[name])
            for name, attribute, processor in columns if name in row
        }  # fmt: skip

    return read


def _is_plain(mapper: Mapper[Any]) -> bool:
    """Is each row of one table an object, and each object such a row?"""
    return len(mapper.tables) == 1 and mapper.polymorphic_on is None and isinstance(mapper.local_table, Table)


def _of_table(
    connection: Connection, backend: ChangesBackend, mapper: Mapper[Any], between: tuple[int, int]
) -> Iterator[RowDiff]:
    """Of a plain mapper. Rows with a key in common are one object, whatever their row ids are."""
    table = mapper.local_table
    assert isinstance(table, Table)
    attributes = reader(mapper, table, connection.dialect)
    keys = key_names(mapper)
    objects: dict[tuple[Any, ...], list[Row | None]] = {}
    for change in _net(changes_between(connection, backend, *between, table.name, None)):
        for side, row in enumerate((change.old, change.new)):
            if row is not None:
                values = attributes(row)
                objects.setdefault(tuple(values[key] for key in keys), [None, None])[side] = values
    for key, (old, new) in objects.items():
        if differing(old, new):
            yield made(mapper.class_.__name__, key, old, new)


def _changed_keys(
    connection: Connection, backend: ChangesBackend, mapper: Mapper[Any], between: tuple[int, int]
) -> list[tuple[Any, ...]]:
    """The primary keys in all rows of the class's tables that changed."""
    keys: dict[tuple[Any, ...], None] = {}
    for table in mapper.tables:
        if not isinstance(table, Table):
            raise exc.ArgumentError(f"{mapper.class_.__name__} is mapped to {table!r}, which is no table")
        of = processors(table, connection.dialect)
        names = [column.name for column in table.primary_key]
        for change in changes_between(connection, backend, *between, table.name, None):
            for row in (change.old, change.new):
                if row is not None:
                    keys[tuple(of[name](row[name]) if name in of else row[name] for name in names)] = None
    return list(keys)


# ---- by queries ----


def _of_select(
    source: Source, connection: Connection, backend: ChangesBackend, statement: Select[Any], first: int, second: int,
    between: tuple[int, int],
) -> list[RowDiff]:  # fmt: skip
    described = statement.column_descriptions
    mapper = inspect(described[0]["expr"], raiseerr=False) if len(described) == 1 else None
    if not isinstance(mapper, Mapper):
        raise exc.ArgumentError("diff() of a select() needs one of one mapped class, as in select(Account).where(...)")
    keys = _changed_keys(connection, backend, mapper, between) if _only_of(statement, mapper) else None
    return _of_keys(source, statement, mapper, first, second, keys)


def _of_keys(
    source: Source, statement: Select[Any], mapper: Mapper[Any], first: int, second: int,
    wanted: list[tuple[Any, ...]] | None,
) -> list[RowDiff]:  # fmt: skip
    old = _states(source, statement, mapper, first, wanted)
    new = _states(source, statement, mapper, second, wanted)
    name = mapper.class_.__name__
    keys = [*old, *(key for key in new if key not in old)]
    return [made(name, k, old.get(k), new.get(k)) for k in keys if differing(old.get(k), new.get(k))]


def _only_of(statement: Select[Any], mapper: Mapper[Any]) -> bool:
    """Does it depend on nothing, for each object, but the object's own row?"""
    if not _is_plain(mapper) or statement._limit_clause is not None:
        return False
    if statement._offset_clause is not None or statement._group_by_clauses or statement._distinct:
        return False
    parts = [part for part in visitors.iterate(statement) if part is not statement]
    return not any(
        isinstance(part, FunctionElement) or (isinstance(part, FromClause) and part != mapper.local_table)
        for part in parts
    )


_AT_ONCE = 500  # keys that one query is asked for


def _states(
    source: Source, statement: Select[Any], mapper: Mapper[Any], moment_ns: int, keys: list[tuple[Any, ...]] | None
) -> dict[tuple[Any, ...], Row]:
    """What the statement gives as of a moment, by primary key; of these keys alone."""
    found: dict[tuple[Any, ...], Row] = {}
    names = [attribute.key for attribute in mapper.column_attrs]
    with past_session(source, moment_ns) as past:
        for part in _parts(statement, mapper, keys):
            for found_object in past.scalars(part).unique():
                state = inspect(found_object)
                found[tuple(state.identity)] = {name: getattr(found_object, name) for name in names}
    return found


def _parts(
    statement: Select[Any], mapper: Mapper[Any], keys: list[tuple[Any, ...]] | None
) -> Iterator[Select[Any]]:
    if keys is None:
        yield statement
        return
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        if len(mapper.primary_key) == 1:
            yield statement.where(mapper.primary_key[0].in_([key[0] for key in some]))
        else:
            yield statement.where(tuple_(*mapper.primary_key).in_(some))


__all__ = ["RowDiff", "diff", "made", "mapped_target", "processors"]
