"""Of which moment an object is, and that past objects are not changed.

A past object has its moment in its identity: of the model's own class as identity token, of a past class
(`temporal()`) in its key.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState, Session

from .._exceptions import PastWriteError
from .moments import Nanoseconds
from .past_models import Past

READ_ONLY = "{!r} is of a past moment and cannot be changed; load it without a moment to change it"


def moment_of_state(state: InstanceState[Any]) -> Nanoseconds | None:
    """The moment that an object is of; None: it is of now."""
    if state.key is None:
        return None
    if issubclass(state.class_, Past):
        return Nanoseconds(state.key[1][-1])
    token = state.key[2]
    return token if isinstance(token, Nanoseconds) else None


def refuse_past_changes(session: Session) -> None:
    """Raises PastWriteError if a flush would write a past object. For the event `before_flush`."""
    for obj in (*session.dirty, *session.deleted):
        state: Any = inspect(obj)
        if moment_of_state(state) is None:
            continue
        # is_modified() does not know of what was added to or removed from a collection that is not loaded.
        pending = state.__dict__.get("_pending_mutations")
        if obj in session.deleted or session.is_modified(obj) or pending:
            raise PastWriteError(READ_ONLY.format(obj))


__all__ = ["READ_ONLY", "moment_of_state", "refuse_past_changes"]
