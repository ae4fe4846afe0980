"""When objects got their tags and lost them, for history().

Tags belong to a layer above. What gives a class tags notes here whose entities its objects are: note_entities().
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import column, inspect, select, table
from sqlalchemy.orm import Mapper, Session

from ..history.past_models import model_of
from ..history.transactions import Transaction
from .said import said_columns

_noted: WeakKeyDictionary[Mapper[Any], Entities] = WeakKeyDictionary()
_CHANGES = table(
    "entitydb_changes",
    *map(column, ("transaction_id", "committed_at", "type", "entity", "operation", "tag")),
)


class Entities(NamedTuple):
    """Whose entities objects are: the name of the table, and the attribute that is the row id."""

    type: str
    row_id: str


class TagEvent(NamedTuple):
    """What one transaction did to the tags of one object."""

    transaction_id: int
    committed_at: int
    said: tuple[Any, ...]  # see said_columns()
    added: frozenset[str]
    removed: frozenset[str]


def note_entities(mapper: Mapper[Any], type_: str, row_id: str) -> None:
    """The objects of a mapper, and of those that inherit from it, have tags.

    Args:
        type_: the name of the table that the tags are on.
        row_id: the attribute that is its row id.
    """
    _noted[mapper] = Entities(type_, row_id)


def may_have_tags(mapper: Mapper[Any]) -> bool:
    """Have objects of a mapper tags, or some of them?"""
    return any(one in _noted for one in (*mapper.iterate_to_root(), *mapper.self_and_descendants))


def entities_of(past: Any) -> Entities | None:
    """None: a past object's class has no tags."""
    above = inspect(model_of(type(past))).iterate_to_root()
    return next((_noted[mapper] for mapper in above if mapper in _noted), None)


def identity_of(past: Any) -> tuple[str, int] | None:
    """Type and row id of a past object; None: its class has no tags."""
    entities = entities_of(past)
    return None if entities is None else (entities.type, getattr(past, entities.row_id))


def tag_events(session: Session, objects: Iterable[Any]) -> dict[tuple[str, int], list[TagEvent]]:
    """What committed transactions did to the tags of past objects, in their order; by identity_of()."""
    ids: dict[str, set[int]] = {}
    for identity in filter(None, map(identity_of, objects)):
        ids.setdefault(identity[0], set()).add(identity[1])
    found: dict[tuple[str, int], list[TagEvent]] = {}
    for type_, wanted in ids.items():
        for entity, event in _read(session, type_, sorted(wanted)):
            found.setdefault((type_, entity), []).append(event)
    return found


def _read(session: Session, type_: str, ids: list[int]) -> Iterator[tuple[int, TagEvent]]:
    c = _CHANGES.c
    statement = (
        select(c.operation, c.tag, c.entity, c.transaction_id, c.committed_at, *said_columns())
        .join(Transaction, Transaction.id == c.transaction_id)
        .where(c.type == type_, c.entity.in_(ids), c.operation.in_(("tag", "untag")))
        .order_by(c.entity, c.transaction_id)
    )
    changes = groupby(session.execute(statement), key=itemgetter(slice(2, None)))
    for (entity, transaction_id, moment, *said), rows in changes:
        tags: dict[str, set[str]] = {"tag": set(), "untag": set()}
        for operation, tag, *_ in rows:
            tags[operation].add(tag)
        added, removed = map(frozenset, tags.values())
        yield entity, TagEvent(transaction_id, moment, tuple(said), added, removed)


__all__ = ["Entities", "TagEvent", "entities_of", "identity_of", "may_have_tags", "note_entities", "tag_events"]
