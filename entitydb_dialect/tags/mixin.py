"""Tagged: the mixin that gives the objects of a mapped class tags."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar, overload

from sqlalchemy import Connection, Table, delete, event, exc, inspect, select
from sqlalchemy.orm import InstrumentedAttribute, Mapper, object_session
from sqlalchemy.orm.attributes import set_committed_value

from .._exceptions import EntityDBWarning
from ..history.past_models import Past
from ..temporal.tag_events import note_entities
from .entities import EntityTable, entity_table
from .property import TagsProperty, not_declared
from .rows import TAGS, map_tag
from .tag_set import KEY, TagSet

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

    class _TagsOfClass(InstrumentedAttribute[TagSet]):
        """What type checkers see at the class."""

        def contains(self, other: Any, **kw: Any) -> ColumnElement[bool]: ...
        def any(  # type: ignore[override]
            self, criterion: str | Iterable[str] | None = None, **kw: Any
        ) -> ColumnElement[bool]: ...

    class _Tags:
        """The attribute, as type checkers see it."""

        @overload
        def __get__(self, instance: None, owner: Any) -> _TagsOfClass: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> TagSet: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: Iterable[str]) -> None: ...


# The attribute that is the row id, where no column of the model is.
ROW_ID_KEY = "_entitydb_row_id"


class Tagged:
    """Mixin for mapped classes whose objects have tags.

    `article.tags` is a set of texts `namespace:value` (TagSet). It is a relationship of the mapped class: loaded when
    it is read or by any loader option, written by the flush, versioned with the rest. With inheritance the tags are on
    the row of the base table, or of the class's own table where that is concrete.

    Attributes:
        __tags_lazy__: how the tags are loaded by default, as relationship() has it in `lazy`.

    Example:
        class Article(Tagged, Base):
            __tablename__ = "article"
            id: Mapped[int] = mapped_column(primary_key=True)

        article.tags |= {"status:live", "topic:owls"}
        session.scalars(select(Article).where(Article.tags.contains("status:live")).options(selectinload(Article.tags)))
    """

    __tags_lazy__: ClassVar[Any] = "select"

    if TYPE_CHECKING:
        tags: _Tags


@event.listens_for(Tagged, "after_mapper_constructed", propagate=True)
def _give_tags(mapper: Mapper[Any], class_: type[Tagged]) -> None:
    """Adds the relationship to a class that has been mapped, unless it inherits it."""
    if issubclass(class_, Past):
        return  # a class of past objects, which has not what the engine's own tables hold
    inherits = mapper.inherits is not None and _property(mapper.inherits) is not None
    if inherits and not mapper.concrete:
        _warn_of_hidden_tags(mapper)
        return
    if mapper.polymorphic_abstract and not isinstance(mapper.local_table, Table):
        return  # an AbstractConcreteBase: each class below has rows, and tags, of its own
    if not inherits and getattr_static(class_, KEY, None) is not None:
        raise exc.InvalidRequestError(f"{mapper} is `Tagged`, and has an attribute `{KEY}` of its own")
    map_tag()
    entity = entity_table(mapper)
    _map_row_id(entity)
    note_entities(mapper, entity.type, entity.row_id_key)
    mapper.add_property(KEY, TagsProperty(entity, class_.__tags_lazy__))


def _warn_of_hidden_tags(mapper: Mapper[Any]) -> None:
    """Tag columns of a table that is joined to the base table: the engine puts the tags on the rows of that table."""
    base, table = entity_table(mapper), mapper.local_table
    hidden = [column for column in table.columns if "tag" in column.info] if table is not base.table else []
    if hidden:
        warnings.warn(
            f"{hidden[0]} is a tag column of a table that is joined: its tags are on rows of {table}, and {mapper}"
            f" has those on rows of {base.type}. Declare it in {base.type} to have it in `{KEY}` and in tagged()",
            EntityDBWarning,
            stacklevel=2,
        )


def _property(mapper: Mapper[Any]) -> TagsProperty | None:
    found = mapper.get_property(KEY) if mapper.has_property(KEY) else None
    return found if isinstance(found, TagsProperty) else None


def _map_row_id(entity: EntityTable) -> None:
    """Has the base mapper load the row id where it is not a column of the model."""
    column = entity.row_id
    if column.system and not entity.mapper.has_property(ROW_ID_KEY):
        if column.name not in entity.table.columns:
            entity.table.append_column(column)
        entity.mapper.add_property(ROW_ID_KEY, entity.table.columns[column.name])


@event.listens_for(Tagged, "before_insert", propagate=True)
def _take_over_row(mapper: Mapper[Any], connection: Connection, target: object) -> None:
    """Clears the row of an object that is deleted in the same flush as one with its key is added.

    SQLAlchemy then writes one UPDATE. The row stays, so the engine does not delete its tags (those that the Session has
    loaded it deletes itself), and no row id comes back.
    """
    session = object_session(target)
    key = mapper.identity_key_from_instance(target)
    replaced = None if session is None or None in key[1] else session.identity_map.get(key)
    prop = _property(mapper)
    if replaced is None or replaced is target or prop is None:
        return
    entity = prop.entity_table
    its_key = (column == value for column, value in zip(entity.mapper.primary_key, key[1], strict=True))
    row_id = select(entity.row_id).where(*its_key)
    if KEY not in inspect(replaced).dict:
        its_tags = (TAGS.c.type == entity.type, TAGS.c.entity.in_(row_id), *not_declared(entity))
        connection.execute(delete(TAGS).where(*its_tags))
    if entity.row_id.system:
        set_committed_value(target, ROW_ID_KEY, connection.scalar(row_id))


__all__ = ["Tagged"]
