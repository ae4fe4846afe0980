"""TemporalSession: a Session in which past and present objects stand side by side.

A past object is of the model's own class, and its moment is its identity token. SQLAlchemy keeps the token through
every load: it is part of the object's identity, and each loader says for which object it loads. So `do_orm_execute`
finds the moment of a statement in the option `as_of`, or in the object that the statement is for, and gives it to both
the execution and the identity of what is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Result, event, exc, inspect
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session, registry

from .._exceptions import PastWriteError
from ..history import Moment
from ..history.loads import NOW, KeepsMoments, moment_of_statement, read_at, settled
from ..history.past_objects import READ_ONLY, moment_of_state, refuse_past_changes
from .guards import guard_present

if TYPE_CHECKING:
    from sqlalchemy.orm.session import _EntityBindKey

T = TypeVar("T")


def moment_of(obj: object) -> int | None:
    """The moment that an object is of, in nanoseconds since 1970 UTC; None: it is of now.

    Args:
        obj: an object of a mapped class, loaded by a TemporalSession, within at(), or by temporal() or versions().

    Raises:
        ArgumentError: it is not an object of a mapped class.
    """
    state = inspect(obj, raiseerr=False)
    if not isinstance(state, InstanceState):
        raise exc.ArgumentError(f"{obj!r} is not an object of a mapped class")
    return moment_of_state(state)


class TemporalSession(KeepsMoments, Session):
    """A Session that loads objects of any moment beside those of now. For `sessionmaker(class_=TemporalSession)`.

        session.get(User, 1, as_of=yesterday)
        session.scalars(select(User), execution_options={"as_of": yesterday})

    give past objects: read-only, one for each row and moment. What is loaded for them later (lazy loads, expired and
    deferred attributes, refresh(), with_parent(), write-only and dynamic relationships) is of their moment.
    `moment_of()` tells it. Whatever says no moment reads and writes the present, as in any Session.
    """

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._has_past = False  # there may be past objects
        event.listen(self, "do_orm_execute", _give_moment)
        event.listen(self, "before_flush", _refuse_past_changes)

    def get(self, entity: _EntityBindKey[T], ident: Any, *, as_of: Moment | None = None, **kw: Any) -> T | None:
        """The object with a key, as of a moment; see `Session.get`."""
        if as_of is None:
            return super().get(entity, ident, **kw)
        ns = settled(self, as_of)
        options = {**kw.pop("execution_options", {}), "as_of": ns}
        return super().get(entity, ident, execution_options=options, identity_token=ns, **kw)

    def get_one(self, entity: _EntityBindKey[T], ident: Any, *, as_of: Moment | None = None, **kw: Any) -> T:
        """The object with a key, as of a moment; see `Session.get_one`."""
        found = self.get(entity, ident, as_of=as_of, **kw)
        if found is None:
            raise exc.NoResultFound(f"there is no {entity!r} with the key {ident!r}")
        return found

    def add(self, instance: object, *args: Any, **kw: Any) -> None:
        self._note(instance)
        super().add(instance, *args, **kw)

    def merge(self, instance: T, *args: Any, **kw: Any) -> T:
        self._note(instance)
        return super().merge(instance, *args, **kw)

    def delete(self, instance: object) -> None:
        if moment_of(instance) is not None:
            raise PastWriteError(READ_ONLY.format(instance))
        super().delete(instance)

    def _identity_lookup(self, *args: Any, lazy_loaded_from: InstanceState[Any] | None = None, **kw: Any) -> Any:
        # SQLAlchemy asks for the object on the other side of a many-to-one here before it loads it; it is of the same
        # moment. So the extension for horizontal sharding has it with its shards.
        if lazy_loaded_from is not None and kw.get("identity_token") is None:
            kw["identity_token"] = lazy_loaded_from.identity_token
        kw["lazy_loaded_from"] = lazy_loaded_from
        return super()._identity_lookup(*args, **kw)

    def _note(self, instance: object) -> None:
        self._has_past = self._has_past or moment_of(instance) is not None


def _give_moment(state: ORMExecuteState) -> Result[Any] | None:
    session = state.session
    assert isinstance(session, TemporalSession)
    ns = moment_of_statement(state, past_parents=session._has_past)
    if state.is_update or state.is_delete or state.is_insert:
        if ns is not None:
            raise PastWriteError("the past does not change; leave out `as_of` to write the present")
        if not state.is_insert and session._has_past:
            state.update_execution_options(identity_token=NOW)
        return None
    if ns is None:
        return None
    session._has_past = True
    for mapper in state.all_mappers:
        _guard(mapper.registry)
    return read_at(state, ns)


_guarded: WeakSet[registry] = WeakSet()


def _guard(models: registry) -> None:
    if models not in _guarded:
        _guarded.add(models)
        for mapper in models.mappers:
            guard_present(mapper)


def _refuse_past_changes(session: Session, flush_context: Any, instances: Any) -> None:
    assert isinstance(session, TemporalSession)
    if session._has_past:
        refuse_past_changes(session)


__all__ = ["TemporalSession", "moment_of"]
