"""The relationship from a mapped class to its tags, under the key `tags`.

It is a one-to-many relationship to Tag: the unit of work writes the tags behind the rows they are on, and every loading
strategy works. Two things are not as with other relationships. The attribute of an object is a TagSet, of texts. And
the tags of declared columns are left out, since the engine writes them; TagSet adds them from the columns.

When an object is deleted, the engine deletes the tags of its row (passive_deletes).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, event, inspect
from sqlalchemy.orm import InstrumentedAttribute, Mapper, RelationshipProperty, foreign, object_session, remote
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import collection
from sqlalchemy.sql.elements import ColumnElement

from ..temporal.twins import INSTEAD
from .criteria import tagged, tagged_any
from .entities import EntityTable
from .past_tags import PastTags
from .rows import TAGS, Tag
from .tag_set import KEY, QUEUED, TagSet


class TagRows:
    """What the relationship keeps the Tags of an object in: by their texts."""

    def __init__(self) -> None:
        self.by_text: dict[str, Tag] = {}

    @collection.appender  # type: ignore[untyped-decorator]
    def append(self, row: Tag) -> None:
        there = self.by_text.setdefault(row.tag, row)
        if there is not row:  # it was added before the set was loaded, and the set has it already
            _drop_pending(row)

    @collection.remover  # type: ignore[untyped-decorator]
    def remove(self, row: Tag) -> None:
        del self.by_text[row.tag]

    @collection.iterator  # type: ignore[untyped-decorator]
    def __iter__(self) -> Iterator[Tag]:
        return iter(self.by_text.values())

    def __len__(self) -> int:
        return len(self.by_text)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, Tag) and self.by_text.get(row.tag) is row


def _removed(state: Any, row: Tag, initiator: Any) -> None:
    """A listener of the attribute: a tag that was added and is removed before the flush is not to be inserted."""
    _drop_pending(row)


def _drop_pending(row: Tag) -> None:
    session = object_session(row)
    if session is not None and inspect(row).pending:
        session.expunge(row)


class TagsComparator(RelationshipProperty.Comparator[Any]):
    """What `Article.tags` says in SQL."""

    def contains(self, other: Any, **kw: Any) -> ColumnElement[bool]:
        return tagged(self._entity, other)

    def any(self, criterion: Any = None, **kw: Any) -> ColumnElement[bool]:
        if criterion is None:
            return tagged(self._entity, "*")
        return tagged(self._entity, criterion) if isinstance(criterion, str) else tagged_any(self._entity, criterion)

    @property
    def _entity(self) -> Any:
        return (self._adapt_to_entity or self._parententity).entity


class TagsAttribute(InstrumentedAttribute[Any]):
    """The attribute `tags` of a class: SQLAlchemy's at the class, a TagSet at an object."""

    __slots__ = ()
    inherit_cache = True

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        tags = TagSet(instance)
        # Reading the attribute loads nothing, so that add() need not wait. But who awaits `awaitable_attrs.tags` wants
        # them loaded. It runs getattr() in a greenlet of its own: there nothing has called us.
        if sys._getframe().f_back is None:
            tags.load()
        return tags

    def __set__(self, instance: Any, value: Any) -> None:
        TagSet(instance).replace(value)


class TagsProperty(RelationshipProperty[Any]):
    """The relationship to the tags."""

    inherit_cache = True

    def __init__(self, entity: EntityTable, lazy: Any) -> None:
        self.entity_table = entity
        super().__init__(
            Tag,
            primaryjoin=lambda: _primaryjoin(entity),  # when the subclasses have added their columns to the table
            collection_class=TagRows,
            cascade="all, delete-orphan",
            passive_deletes=True,
            overlaps=KEY,  # with those of other classes, of which each writes Tags of its own type
            lazy=lazy,
            comparator_factory=TagsComparator,
            info={INSTEAD: PastTags},
            doc="The tags of the object, a TagSet.",
        )

    def instrument_class(self, mapper: Mapper[Any]) -> None:
        attribute = TagsAttribute(
            mapper.class_, self.key, parententity=mapper, comparator=self.comparator_factory(self, mapper)
        )
        mapper.class_manager.instrument_attribute(self.key, attribute)
        event.listen(attribute, "remove", _removed)

    def cascade_iterator(
        self, type_: str, state: Any, dict_: Any, visited_states: set[Any], halt_on: Any = None
    ) -> Iterator[Any]:
        """What goes with an object into a Session, out of it, or when it is deleted.

        SQLAlchemy leaves out what was added to a set that is not loaded, which has to leave and enter with the object.
        And tags that were added to an object before it was deleted are inserted all the same, to go with its row. So
        they have to know the row, which the flush tells only the tags of objects that stay.
        """
        added = state.manager[self.key].impl.get_history(state, dict_, QUEUED).added
        for row in added if type_ == "delete" else ():
            row.entity = getattr(state.obj(), self.entity_table.row_id_key)
        for row in added if type_ in ("save-update", "expunge") and self.key not in dict_ else ():
            row_state = instance_state(row)
            if row_state not in visited_states:
                visited_states.add(row_state)
                yield row, row_state.mapper, row_state, row_state.dict
        yield from super().cascade_iterator(type_, state, dict_, visited_states, halt_on)

    # SQLAlchemy has Tag know all classes that have tags. A class that is disposed of would break the flushes of all
    # others, so Tag is not told: where these methods are called no more, that comes back, and no other harm.

    def _check_cascade_settings(self, cascade: Any) -> None:
        """Would list the class with Tag, as one without whose objects a Tag is an orphan; _removed() does for that."""

    def _setup_registry_dependencies(self) -> None:
        """Would have the registry of the class depend on that of Tag, so that it could not be configured alone. That of
        Tag is configured from the start (rows.py)."""


def _primaryjoin(entity: EntityTable) -> ColumnElement[bool]:
    entity_is_row = remote(foreign(TAGS.c.entity)) == entity.row_id
    return and_(entity_is_row, remote(TAGS.c.type) == entity.type, *map(remote, not_declared(entity)))


def not_declared(entity: EntityTable) -> list[ColumnElement[bool]]:
    """The condition on TAGS that leaves out the tags of declared columns, where there are any."""
    namespaces = [namespace for namespace, _ in entity.declared]
    return [TAGS.c.namespace.not_in(namespaces)] if namespaces else []


__all__ = ["TagsProperty", "not_declared"]
