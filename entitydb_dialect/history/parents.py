"""Past objects that a statement of another moment compares with.

`with_parent(obj, Model.x)` and `Model.x == obj` ask the object for its key, when the statement is executed. So one that
reads the present finds, without a word, what belongs to the row with the key now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import exc
from sqlalchemy.orm import InstanceState, Mapper

from .loads import asked_by
from .past_models import Past, model_of
from .past_objects import moment_of_state


def refuse_other_parents(context: Any, ns: int | None) -> None:
    """Checks the objects that a statement compares with.

    The relationships of past classes have the object's moment in the comparison, and need no other.

    Args:
        context: SQLAlchemy's ExecutionContext of the execution.
        ns: the moment that it reads at; None: now.

    Raises:
        InvalidRequestError: one of them is of another moment.
    """
    for parameter in _parameters(context):
        if parameter.callable is None:
            continue
        asked = list(asked_by(parameter))
        if any(isinstance(one, Mapper) and issubclass(one.class_, Past) for one in asked):
            continue
        for state in asked:
            moment = moment_of_state(state) if isinstance(state, InstanceState) else None
            if moment is not None and moment != ns:
                name = model_of(state.class_).__name__
                raise exc.InvalidRequestError(
                    f"the statement compares with a {name} of a past moment, by with_parent() or a relationship, and "
                    f"would read what belongs to its key {'now' if ns is None else 'at another one'}: give it the "
                    'moment of the object, `execution_options={"as_of": moment_of(obj)}`; or, for an object of '
                    f"temporal(), write `with_parent(obj, past_class({name}).x)`"
                )


def _parameters(context: Any) -> Iterable[Any]:
    """The parameters of a statement; those of a cached one are not its own, which is found by its form."""
    found = getattr(context, "extracted_parameters", None)
    return getattr(context.compiled, "binds", {}).values() if found is None else found


__all__ = ["refuse_other_parents"]
