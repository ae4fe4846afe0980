"""TagSet: what `article.tags` is, a set of texts over the Tags of the relationship.

It keeps nothing but the object. Reading `article.tags` loads nothing; what needs to know the tags loads them, with one
SELECT, where they are not loaded yet. add() and update() need not know them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.orm import LoaderCallableStatus, PassiveFlag
from sqlalchemy.orm.attributes import instance_state

from .declared import declared_tags
from .rows import Tag
from .texts import TagError, all_checked, checked, joined, split

if TYPE_CHECKING:
    from .property import TagsProperty

# The attribute of the mapped class.
KEY = "tags"
_NO_SELECT = PassiveFlag.PASSIVE_NO_FETCH
# Whose history has what was added before the tags were loaded.
QUEUED = PassiveFlag.PASSIVE_NO_FETCH | PassiveFlag.INCLUDE_PENDING_MUTATIONS


class TagSet(MutableSet[str]):
    """The tags of an object: a set of texts `namespace:value`, with all that a `set` has.

    Iteration is sorted by code points. What is changed is written by the next flush, as with any attribute.

    `add()`, `update()` and `|=` do without a SELECT where the tags are not loaded; everything else loads them.

    The tags of declared columns (`info={"tag": "status"}`) are in the set with the values that the object's attributes
    have. They are changed by changing the attribute: adding or discarding one here is a TagError; `clear()` and
    assignment leave them alone.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: object) -> None:
        self._owner = owner

    # ---- what is there ----

    def __contains__(self, tag: object) -> bool:
        return tag in self._rows() or tag in self._declared()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._texts()))

    def __len__(self) -> int:
        return len(self._texts())

    def __getitem__(self, namespace: str) -> set[str]:
        """The values of a namespace; of '' the tags without one."""
        if not isinstance(namespace, str):
            raise TypeError(f"tags are looked up by a namespace, not by {namespace!r}")
        return self.by_namespace().get(namespace, set())

    def by_namespace(self) -> dict[str, set[str]]:
        """The values by their namespaces, which are sorted."""
        found: dict[str, set[str]] = {}
        for namespace, value in sorted(map(split, self._texts())):
            found.setdefault(namespace, set()).add(value)
        return found

    def __repr__(self) -> str:
        if self._get(_NO_SELECT) is None:
            return f"<TagSet of a {type(self._owner).__name__}, not loaded>"
        return f"TagSet({{{', '.join(map(repr, self))}}})" if self else "TagSet()"

    # ---- changing it ----

    def add(self, value: str) -> None:
        """Adds a tag; one that is there is nothing.

        Raises:
            TagError: it is not a tag, or one of a declared column.
        """
        self.update((value,))

    def update(self, *others: Iterable[str]) -> None:
        """Adds tags: all, or none where one is a TagError."""
        tags: set[str] = set()
        for other in others:
            tags |= all_checked(other)
        self._insert(self._addable(tags))

    def discard(self, value: str) -> None:
        """Removes a tag if it is there.

        Raises:
            TagError: it is not a tag, or one of a declared column.
        """
        self.difference_update((value,))

    def remove(self, value: str) -> None:
        """Removes a tag.

        Raises:
            KeyError: it is not there.
            TagError: it is not a tag, or one of a declared column.
        """
        if checked(value) not in self:
            raise KeyError(value)
        self.discard(value)

    def pop(self) -> str:
        """Removes the first tag that is not of a declared column, and returns it.

        Raises:
            KeyError: there is none.
        """
        if not (rows := self._rows()):
            raise KeyError("there is no tag to pop")
        tag = min(rows)
        self.discard(tag)
        return tag

    def clear(self) -> None:
        """Removes all tags but those of declared columns."""
        self._keep(set())

    def difference_update(self, *others: Iterable[str]) -> None:
        """Removes the tags that are there: all, or none where one is a TagError."""
        tags: set[str] = set()
        for other in others:
            tags |= all_checked(other)
        self._keep(self._rows().keys() - self._removable(tags))

    def intersection_update(self, *others: Iterable[str]) -> None:
        """Keeps the tags that are in all the others too, and those of declared columns."""
        kept = set(self._rows())
        for other in others:
            kept &= all_checked(other)
        self._keep(kept)

    def symmetric_difference_update(self, other: Iterable[str]) -> None:
        """Removes the tags that are there, and adds those that are not: all, or none where one is a TagError."""
        tags = all_checked(other)
        there = tags & self._texts()
        added, removed = self._addable(tags - there), self._removable(there)
        self._keep(self._rows().keys() - removed)
        self._insert(added)

    def replace(self, tags: Iterable[str]) -> None:
        """What assignment does: the tags become these, but for those of declared columns.

        Raises:
            TagError: one is not a tag, or one of a declared column with another value than the column has.
        """
        if isinstance(tags, TagSet) and tags._owner is self._owner:
            return  # `article.tags |= ...` assigns what it has changed
        wanted = self._addable(all_checked(tags))
        self._keep(wanted)
        self._insert(wanted)

    def set_one(self, namespace: str, value: str | None) -> None:
        """Makes a value the only one of its namespace; None: leaves none.

        Raises:
            TagError: they make no tag, or the namespace is that of a declared column.
        """
        wanted = set() if value is None else {joined(namespace, value)}
        others = {tag for tag in self._texts() if split(tag)[0] == namespace} - wanted
        added, removed = self._addable(wanted), self._removable(others)
        self._keep(self._rows().keys() - removed)
        self._insert(added)

    def load(self) -> TagSet:
        """Loads the tags if they are not loaded; returns the set itself."""
        self._rows()
        return self

    # ---- as set has it, and MutableSet has not ----

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)

    def __ior__(self, it: AbstractSet[str]) -> TagSet:  # type: ignore[override,misc]
        self.update(it)
        return self

    def __isub__(self, it: AbstractSet[Any]) -> TagSet:
        self.difference_update(set(it))
        return self

    def __iand__(self, it: AbstractSet[Any]) -> TagSet:
        self.intersection_update(it)
        return self

    def __ixor__(self, it: AbstractSet[str]) -> TagSet:  # type: ignore[override,misc]
        self.symmetric_difference_update(set(it))
        return self

    def copy(self) -> set[str]:
        return self._texts()

    def union(self, *others: Iterable[str]) -> set[str]:
        return self._texts().union(*others)

    def intersection(self, *others: Iterable[Any]) -> set[str]:
        return self._texts().intersection(*others)

    def difference(self, *others: Iterable[Any]) -> set[str]:
        return self._texts().difference(*others)

    def symmetric_difference(self, other: Iterable[str]) -> set[str]:
        return self._texts().symmetric_difference(other)

    def issubset(self, other: Iterable[Any]) -> bool:
        return self._texts().issubset(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        return self._texts().issuperset(other)

    # ---- the relationship under it ----

    @property
    def _property(self) -> TagsProperty:
        return cast("TagsProperty", instance_state(self._owner).mapper.get_property(KEY))

    def _declared(self) -> set[str]:
        return declared_tags(self._owner, self._property.entity_table)

    def _addable(self, tags: set[str]) -> set[str]:
        """Without those of declared columns, which are there already.

        Raises:
            TagError: they are not.
        """
        theirs = self._of_declared(tags)
        if missing := theirs and theirs - self._declared():
            raise self._refusal(min(missing))
        return tags - theirs

    def _removable(self, tags: set[str]) -> set[str]:
        """Without those of declared columns, which are not there anyway.

        Raises:
            TagError: they are.
        """
        theirs = self._of_declared(tags)
        if present := theirs and theirs & self._declared():
            raise self._refusal(min(present))
        return tags - theirs

    def _of_declared(self, tags: set[str]) -> set[str]:
        namespaces = {namespace for namespace, _ in self._property.entity_table.declared}
        return {tag for tag in tags if split(tag)[0] in namespaces} if namespaces else set()

    def _refusal(self, tag: str) -> TagError:
        column = dict(self._property.entity_table.declared)[split(tag)[0]]
        return TagError(f"{tag!r} is a tag of the column {column}: change the attribute of the column instead")

    def _get(self, passive: PassiveFlag) -> dict[str, Tag] | None:
        """The rows by their texts; None: they are not loaded, and are not to be."""
        state = instance_state(self._owner)
        rows = state.manager[KEY].impl.get(state, state.dict, passive)
        return None if rows is LoaderCallableStatus.PASSIVE_NO_RESULT else rows.by_text

    def _rows(self) -> dict[str, Tag]:
        rows = self._get(PassiveFlag.PASSIVE_OFF)
        assert rows is not None
        return rows

    def _texts(self) -> set[str]:
        return {*self._rows(), *self._declared()}

    def _insert(self, tags: set[str]) -> None:
        """Adds rows, of tags that may be there."""
        state = instance_state(self._owner)
        impl = state.manager[KEY].impl
        there: AbstractSet[str]
        passive = PassiveFlag.PASSIVE_OFF
        if self._get(_NO_SELECT) is None and state.session is not None:
            # As SQLAlchemy's backrefs do it: the rows wait for the flush, or for the set to be loaded.
            passive = _NO_SELECT
            there = {row.tag for row in impl.get_history(state, state.dict, QUEUED).added}
        else:
            there = self._rows().keys()
        for tag in sorted(tags - there):
            impl.append(state, state.dict, Tag(self._property.entity_table.type, tag), None, passive)

    def _keep(self, tags: AbstractSet[str]) -> None:
        """Removes the rows of all other tags."""
        state = instance_state(self._owner)
        for tag, row in list(self._rows().items()):
            if tag not in tags:
                state.manager[KEY].impl.remove(state, state.dict, row, None)


__all__ = ["KEY", "QUEUED", "TagSet"]
