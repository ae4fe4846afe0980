"""The tags of objects of past classes, which temporal(), versions() and history() give.

There they are no relationship, since the engine's table of tags has no past class. The attribute is a set that reads
the tags as of the object's moment when it is first asked for one, and cannot be changed.
"""

from __future__ import annotations

import sys
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

from sqlalchemy import inspect, text
from sqlalchemy.orm import PassiveFlag, object_session
from sqlalchemy.orm.exc import DetachedInstanceError

from .._exceptions import PastWriteError
from ..history.past_objects import READ_ONLY, moment_of_state
from ..temporal.tag_events import identity_of
from ..temporal.twins import Refused
from .tag_set import TagSet

_KEPT = "_entitydb_tags"  # in an object's dictionary, the tags that were read; what is past does not change
_READ = text("SELECT tag FROM entitydb_tags FOR SYSTEM_TIME AS OF :moment WHERE type = :type AND entity = :entity")


class PastTags(Refused):
    """The attribute `tags` of a past class. At the class it is an error, which says that it cannot be queried."""

    def __get__(self, instance: Any, owner: type[Any]) -> TagSet:
        if instance is None:
            raise self.error(owner)
        found = PastTagSet(instance)
        if sys._getframe().f_back is None:  # `awaitable_attrs.tags`: see property.py
            found.load()
        return found

    def __set__(self, instance: Any, value: Any) -> NoReturn:
        raise PastWriteError(READ_ONLY.format(instance))


class PastTagSet(TagSet):
    """A TagSet of the past: all that reading is, with the tags of declared columns as they were; no change."""

    __slots__ = ()

    def _get(self, passive: PassiveFlag) -> dict[str, Any] | None:
        kept: dict[str, Any] | None = vars(self._owner).get(_KEPT)
        if kept is None and passive is PassiveFlag.PASSIVE_OFF:
            kept = vars(self._owner)[_KEPT] = dict.fromkeys(_read(self._owner))
        return kept

    def _declared(self) -> set[str]:
        return set()  # the engine has kept them among the others

    def _refuse(self, tags: AbstractSet[str]) -> NoReturn:
        raise PastWriteError(READ_ONLY.format(self._owner))

    _addable = _removable = _insert = _keep = _refuse


def _read(past: Any) -> list[str]:
    session = object_session(past)
    if session is None:
        raise DetachedInstanceError(f"{past!r} is in no Session, which could load its tags")
    state: Any = inspect(past)
    identity = identity_of(past)
    assert identity is not None
    values = {"moment": moment_of_state(state), "type": identity[0], "entity": identity[1]}
    with session.no_autoflush:
        return list(session.scalars(_READ, values, bind_arguments={"mapper": state.mapper}))


__all__ = ["PastTags"]
