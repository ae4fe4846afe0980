"""Joins by relationship that would mix a past entity with the present, quietly and hardly as meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import exc, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.interfaces import PropComparator

from ..history.past_models import Past, known_past_class


def refuse_mixed_joins(select: Any) -> None:
    """Checks the joins by relationship of a select().

    Raises:
        InvalidRequestError: a join starts from a model that the statement has of a past moment only, or leads from a
            past entity to a model of now.
    """
    joins = getattr(select, "_setup_joins", ())
    if not joins:
        return
    entities = set(_entities(select))
    for right, onclause, _, _ in joins:
        target = inspect(right, raiseerr=False)
        on = target if isinstance(target, PropComparator) else inspect(onclause, raiseerr=False)
        if not isinstance(on, PropComparator):
            continue
        left = on._parententity
        if isinstance(left, Mapper):
            _refuse_start(left, on, entities)
        elif issubclass(left.mapper.class_, Past) and (on is not target or on._of_type):
            _refuse_target(right if on is not target else on._of_type, on)


def _refuse_start(left: Mapper[Any], on: Any, entities: set[Any]) -> None:
    past = known_past_class(left.class_)
    if past is None or any(e is left or (isinstance(e, Mapper) and e.isa(left)) for e in entities):
        return
    if any(e.mapper.isa(inspect(past)) for e in entities):
        name = f"{left.class_.__name__}.{on.key}"
        raise exc.InvalidRequestError(
            f"join({name}) starts from {left.class_.__name__} of now, and the statement has it of a past moment: join "
            f"by the attribute of the temporal entity, as in `e = temporal({left.class_.__name__}, as_of=...); "
            f"select(e).join(e.{on.key})`"
        )


def _refuse_target(right: Any, on: Any) -> None:
    target = getattr(right, "_annotations", {}).get("parententity") or inspect(right, raiseerr=False)
    if hasattr(target, "mapper") and not issubclass(target.mapper.class_, Past):
        name = target.class_.__name__
        raise exc.InvalidRequestError(
            f"the join to {name} by {on} leads from a past moment to {name} of now: leave {name} out, which joins "
            f"it as of the same moment, or write `.join(temporal({name}, as_of=...), entity.{on.key})`; to compare "
            f"with now, write the condition, as in `.join({name}, {name}.id == ...)`"
        )


def _entities(select: Any) -> Iterator[Any]:
    for element in (*select._raw_columns, *select._from_obj):
        if "parententity" in element._annotations:
            yield element._annotations["parententity"]
    for right, _, _, _ in select._setup_joins:
        found: Any = getattr(right, "_annotations", {}).get("parententity") or inspect(right, raiseerr=False)
        if isinstance(found, PropComparator):
            joined: Any = found
            yield joined.entity if joined._of_type is None else inspect(joined._of_type)
        elif hasattr(found, "mapper"):
            yield found


__all__ = ["refuse_mixed_joins"]
