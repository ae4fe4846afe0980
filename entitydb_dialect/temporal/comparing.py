"""Criteria over the relationships of past classes.

`then.department.has(Department.name == "lab")` says the model's column and means that of the department of then. So
what is given to any(), has(), and_() and of_type() of a past class's relationship is taken as of the past.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import exc, inspect
from sqlalchemy.orm import InstrumentedAttribute, Mapper, RelationshipProperty

from ..history.past_models import known_past_class
from .expressions import of_the_past
from .guards import is_past


class _PastComparator(RelationshipProperty.Comparator[Any]):
    """What the attribute of a past class's relationship can be compared by."""

    def of_type(self, class_: Any) -> Any:
        return type(self)(
            self.prop,
            self._parententity,
            adapt_to_entity=self._adapt_to_entity,
            of_type=class_,
            extra_criteria=self._extra_criteria,
        )

    def any(self, criterion: Any = None, **kw: Any) -> Any:
        return super().any(_past(self, criterion), **kw)

    def has(self, criterion: Any = None, **kw: Any) -> Any:
        return super().has(_past(self, criterion), **kw)

    def __eq__(self, other: Any) -> Any:
        self._refuse_present(other)
        return super().__eq__(other)

    def __ne__(self, other: Any) -> Any:
        self._refuse_present(other)
        return super().__ne__(other)

    def contains(self, other: Any, **kw: Any) -> Any:
        self._refuse_present(other)
        return super().contains(other, **kw)

    __hash__ = RelationshipProperty.Comparator.__hash__  # type: ignore[assignment]

    def _refuse_present(self, other: Any) -> None:
        if getattr(inspect(other, raiseerr=False), "is_instance", False) and not is_past(other):
            raise exc.ArgumentError(
                f"{other!r} is of now and {self.prop} is of the past: compare keys, as in `entity.x_id == obj.id`, or "
                "load the past object"
            )


class PastRelationship(InstrumentedAttribute[Any]):
    """The attribute of a past class's relationship."""

    __slots__ = ()
    inherit_cache = True

    def and_(self, *criteria: Any) -> Any:
        return super().and_(*(_past(self, criterion) for criterion in criteria))

    def of_type(self, entity: Any) -> Any:
        found = inspect(entity, raiseerr=False)
        past = known_past_class(found.class_) if isinstance(found, Mapper) else None
        return super().of_type(entity if past is None else past)


def _past(attribute: Any, criterion: Any) -> Any:
    return None if criterion is None else of_the_past(criterion, attribute.property.mapper)


@cache
def past_comparator(factory: Any) -> type[Any]:
    """The comparator of a past class's relationship, made of the one that the model's has."""
    if issubclass(_PastComparator, factory):
        return _PastComparator
    return type("PastComparator", (_PastComparator, factory), {"__hash__": factory.__hash__})


__all__ = ["PastRelationship", "past_comparator"]
