"""The tags of declared columns, as an object's attributes have them.

A column with `info={"tag": "status"}` is posted by the engine as `status:<value>` (engine/entity/tag_columns.h); NULL
is no tag. An object shows them from its attributes, so they follow a change before it is flushed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.exc import UnmappedColumnError

from ..base import EntityDialect
from .entities import EntityTable


def declared_tags(owner: object, entity: EntityTable) -> set[str]:
    """The tags of an object's declared columns."""
    found = set()
    state: InstanceState[Any] = inspect(owner)
    for namespace, column in entity.declared:
        try:
            key = state.mapper.get_property_by_column(column).key
        except UnmappedColumnError:
            continue  # of another class in the same table
        value = getattr(owner, key)
        text = None if value is None else _text(column, value, _dialect(state))
        if text is not None:
            found.add(f"{namespace}:{text}")
    return found


def _dialect(state: InstanceState[Any]) -> Dialect:
    return _default() if state.session is None else state.session.get_bind(state.mapper).dialect


@lru_cache(maxsize=1)
def _default() -> Dialect:
    return EntityDialect()


def _text(column: Column[Any], value: Any, dialect: Dialect) -> str | None:
    """What the engine makes of an attribute's value."""
    to_database = column.type.dialect_impl(dialect).bind_processor(dialect)
    stored = value if to_database is None else to_database(value)
    if isinstance(stored, float):
        kind = column.type.compile(dialect).upper()
        is_real = any(word in kind for word in ("REAL", "FLOA", "DOUB"))
        return str(int(stored)) if stored.is_integer() and not is_real else _real(stored)
    if isinstance(stored, int):
        return str(int(stored))
    return stored if isinstance(stored, str) else None


def _real(value: float) -> str:
    """A REAL as the engine writes it (engine/catalog/affinity.c). Zero has no sign once it is stored."""
    text = format(value + 0.0, ".15g")
    return text if any(letter in text for letter in ".ein") else f"{text}.0"


__all__ = ["declared_tags"]
