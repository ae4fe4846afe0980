"""tag_values(): the values of a namespace and how many objects have each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from ..history.sources import Source, connected, unscoped
from .criteria import mapper_of, row_id_of
from .entities import EntityTable, entity_tables
from .rows import TAGS, Tag


def tag_values(source: Source, namespace: str, entity: Any = None) -> dict[str, int]:
    """The values that tags of a namespace have, with how many objects have each, sorted by value.

    Args:
        source: a Session, an Engine or a Connection. In a Session of `at()` the tags of its moment are counted.
        namespace: what stands before the colon of the tags; '' means the tags without one.
        entity: a mapped class or an alias of one, of whose objects alone the tags are counted; None: of all rows.

    Raises:
        ArgumentError: the source or the entity is none. Async sources call it by run_sync(), as in
            `await session.run_sync(tag_values, "status")`.

    Example:
        tag_values(session, "status", Article)   # {"draft": 3, "live": 120}
    """
    # Of the class Tag, so that a Session flushes first and knows which database is meant.
    count = select(TAGS.c.value, func.count()).select_from(Tag).where(TAGS.c.namespace == namespace)
    if entity is not None:
        count = count.where(or_(*(_of(entity, table) for table in entity_tables(mapper_of(entity)))))
    count = count.group_by(TAGS.c.value).order_by(TAGS.c.value)
    session = unscoped(source)
    if isinstance(session, Session):
        rows = session.execute(count).all()
    else:
        with connected(source) as (connection, _):
            rows = connection.execute(count).all()
    return {value: number for value, number in rows}  # noqa: C416 - a Row is no tuple to type checkers of 2.0


def _of(entity: Any, table: EntityTable) -> ColumnElement[bool]:
    """The tags of the objects that are in a table."""
    mapper = mapper_of(entity)
    of_type = TAGS.c.type == table.type
    if mapper.inherits is None or mapper.concrete:
        return of_type
    return and_(of_type, TAGS.c.entity.in_(select(row_id_of(entity, table))))  # a subclass has some of the rows


__all__ = ["tag_values"]
