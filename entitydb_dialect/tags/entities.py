"""Which entity an object of a mapped class is: the table of its row, and the column that is the row id.

With single-table and joined inheritance it is the row of the table at the base of the hierarchy, which every object
has; with concrete inheritance the row of the class's own table.

An INTEGER PRIMARY KEY is the row id. Other tables have SQLite's `rowid`. So that relationships can use it, it becomes a
system column of the Table: CREATE TABLE and autogenerate pass over such a column, SELECT and RETURNING read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, FetchedValue, Integer, Table, exc
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper

from ..base import EntityDialect

_ROW_IDS = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True)
class EntityTable:
    """Where the objects of a mapper are entities."""

    mapper: Mapper[Any]  # the one at the base
    table: Table
    row_id: Column[Any]  # of the table, though perhaps not among its columns yet

    @property
    def type(self) -> str:
        """What the engine calls them."""
        return str(self.table.name)

    @property
    def row_id_key(self) -> str:
        """The attribute of the mapper that is the row id, which has to be mapped."""
        return str(self.mapper.get_property_by_column(self.row_id).key)

    @property
    def declared(self) -> list[tuple[str, Column[Any]]]:
        """The columns whose values the engine posts as tags, each behind its namespace."""
        return [(column.info["tag"], column) for column in self.table.columns if "tag" in column.info]


def entity_table(mapper: Mapper[Any]) -> EntityTable:
    """Where the objects of a mapper are entities; not of the concrete subclasses below it.

    Raises:
        InvalidRequestError: nowhere.
    """
    base = _base(mapper)
    table = base.local_table
    if not isinstance(table, Table):
        raise exc.InvalidRequestError(f"{mapper} is not mapped to a table, and tags are on rows of tables")
    if table.schema not in (None, "main"):
        raise exc.InvalidRequestError(
            f"{mapper} is mapped to {table.fullname}: tags are on rows of the main database, not of attached ones"
        )
    return EntityTable(base, table, _row_id(table))


def entity_tables(mapper: Mapper[Any]) -> list[EntityTable]:
    """Where the objects are that a query for a mapper finds. They are several where it is polymorphic over concrete
    classes."""
    if mapper.polymorphic_on is None:
        return [entity_table(mapper)]
    bases = dict.fromkeys(_base(below) for below in mapper.self_and_descendants)
    return [entity_table(base) for base in bases if not base.polymorphic_abstract]


def identities(mapper: Mapper[Any], entity: EntityTable) -> list[Any]:
    """The polymorphic identities of those classes at and below a mapper whose objects are in a table."""
    return [below.polymorphic_identity for below in mapper.self_and_descendants if _base(below) is entity.mapper]


def _base(mapper: Mapper[Any]) -> Mapper[Any]:
    while mapper.inherits is not None and not mapper.concrete:
        mapper = mapper.inherits
    return mapper


def _row_id(table: Table) -> Column[Any]:
    key = list(table.primary_key.columns)
    if len(key) == 1 and _is_row_id(table, key[0]):
        return key[0]
    columns = {column.name.lower(): column for column in table.columns}
    for name in _ROW_IDS:
        if name not in columns:
            return Column(name, Integer, FetchedValue(), system=True)
        if columns[name].system:
            return columns[name]
    raise exc.InvalidRequestError(f"the table {table.name} has columns of its own named {', '.join(_ROW_IDS)}")


def _is_row_id(table: Table, key: Column[Any]) -> bool:
    """Whether a primary key of one column is SQLite's INTEGER PRIMARY KEY, under either name of the dialect."""
    if table.dialect_options["sqlite"]["with_rowid"] is False:
        return False
    return all(key.type.compile(dialect).upper() == "INTEGER" for dialect in _dialects())


@lru_cache(maxsize=1)
def _dialects() -> tuple[Dialect, ...]:
    return EntityDialect(), SQLiteDialect()


__all__ = ["EntityTable", "entity_table", "entity_tables", "identities"]
