"""What keeps the past and the present apart where objects are changed."""

from __future__ import annotations

from typing import Any, NoReturn
from weakref import WeakSet

from sqlalchemy import event, exc, inspect
from sqlalchemy.orm import Mapper, object_session

from .._exceptions import PastWriteError
from ..history.moments import Nanoseconds
from ..history.past_models import Past
from .tables import AS_OF, has_history


def is_past(obj: Any) -> bool:
    """Is it an object of a past moment?"""
    state = inspect(obj, raiseerr=False)
    return hasattr(type(obj), AS_OF) or (state is not None and isinstance(state.identity_token, Nanoseconds))


def guard_past(past: type[Any]) -> None:
    """Refuses to flush changes of past objects."""

    def refuse_change(mapper: Mapper[Any], connection: Any, target: Any) -> None:
        # SQLAlchemy asks for objects that were set to what they were, too, as merge() does.
        if object_session(target).is_modified(target, include_collections=False):  # type: ignore[union-attr]
            refuse(mapper, connection, target)

    def refuse(mapper: Mapper[Any], connection: Any, target: Any) -> NoReturn:
        raise PastWriteError(
            f"{target!r} is of a past moment and cannot be changed; load it in an ordinary query to change it"
        )

    event.listen(past, "before_update", refuse_change)
    for name in ("before_insert", "before_delete"):
        event.listen(past, name, refuse)


_guarded: WeakSet[Mapper[Any]] = WeakSet()


def guard_present(mapper: Mapper[Any]) -> None:
    """Refuses past objects in the relationships of a model's objects, where they are appended or set."""
    if mapper in _guarded or issubclass(mapper.class_, Past):
        return
    _guarded.add(mapper)
    for prop in mapper.relationships:
        if prop.parent is mapper and not prop.viewonly and has_history(prop.mapper):
            attribute = getattr(mapper.class_, prop.key)
            for name in ("append", "set"):
                event.listen(attribute, name, _refuse_mixing, propagate=True)


def _refuse_mixing(target: Any, value: Any, *rest: Any) -> None:
    if value is None or is_past(value) == is_past(target):
        return
    past, present = (value, target) if is_past(value) else (target, value)
    raise exc.InvalidRequestError(
        f"{past!r} is of a past moment and has no relationships with {present!r}, which is of now; load the present "
        "object and use that"
    )


__all__ = ["guard_past", "guard_present", "is_past"]
