"""Which past class a model has, and which model a past class is of."""

from __future__ import annotations

from typing import Any

OWN = "_entitydb_past_class"  # the past class, in the model's own dictionary


class Past:
    """What all past objects are, for isinstance()."""

    __slots__ = ()


def known_past_class(model: type[Any]) -> type[Any] | None:
    """The past class of a model that has been made; None: it has not been asked for, or `model` is one itself."""
    found: type[Any] | None = model.__dict__.get(OWN)
    return found


def model_of(past: type[Any]) -> type[Any]:
    """The model of a past class; another class as it is."""
    found: type[Any] = past.__dict__.get("_entitydb_model", past)
    return found


__all__ = ["OWN", "Past", "known_past_class", "model_of"]
