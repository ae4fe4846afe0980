"""TemporalSession: a Session in which past and present objects stand side by side.

A past object is of the model's own class, and its moment is its identity token. SQLAlchemy keeps the token through
every load: it is part of the object's identity, and each loader says for which object it loads. So `do_orm_execute`
finds the moment of a statement in the option `as_of`, or in the object that the statement is for, and gives it to both
the execution and the identity of what is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Result, event, exc, inspect
from sqlalchemy.engine.result import ChunkedIteratorResult
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session, registry
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate

from .._exceptions import PastWriteError
from .._moments import name_of
from ..history import Moment, resolve, to_ns
from ..history.moments import Nanoseconds, clock_ns
from .guards import guard_present
from .tables import AS_OF

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
    if state.key is None:
        return None
    if AS_OF in state.mapper.attrs:
        return Nanoseconds(state.key[1][-1])
    return state.key[2] if isinstance(state.key[2], Nanoseconds) else None


class TemporalSession(Session):
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
        self._reading: Nanoseconds | None = None  # the moment of the rows that are being loaded
        event.listen(self, "do_orm_execute", _give_moment)
        event.listen(self, "before_flush", _refuse_past_changes)

    def get(self, entity: _EntityBindKey[T], ident: Any, *, as_of: Moment | None = None, **kw: Any) -> T | None:
        """The object with a key, as of a moment; see `Session.get`."""
        if as_of is None:
            return super().get(entity, ident, **kw)
        ns = self._settled(as_of)
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
            raise PastWriteError(_READ_ONLY.format(instance))
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

    def _settled(self, moment: Moment) -> Nanoseconds:
        """A moment that shows the same each time it is asked for, as objects of it stay in the Session."""
        if name_of(moment) is not None:  # what it means only the database knows
            return Nanoseconds(resolve(self, moment))
        ns = to_ns(moment)
        return Nanoseconds(resolve(self, ns)) if ns > clock_ns() else ns


_READ_ONLY = "{!r} is of a past moment and cannot be changed; load it without a moment to change it"


class _Now:
    """The identity token of present objects, for statements that SQLAlchemy would let change objects of any token.

    It equals None, which is what present objects have and what as an option means all of them.
    """

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Now)

    def __hash__(self) -> int:
        return hash(None)


_NOW = _Now()


def _give_moment(state: ORMExecuteState) -> Result[Any] | None:
    session = state.session
    assert isinstance(session, TemporalSession)
    ns = _moment(state, session)
    if state.is_update or state.is_delete or state.is_insert:
        if ns is not None:
            raise PastWriteError("the past does not change; leave out `as_of` to write the present")
        if not state.is_insert and session._has_past:
            state.update_execution_options(identity_token=_NOW)
        return None
    if ns is None:
        return None
    session._has_past = True
    for mapper in state.all_mappers:
        _guard(mapper.registry)
    return _reading(session, ns, state.invoke_statement(execution_options={"as_of": ns, "identity_token": ns}))


def _reading(session: TemporalSession, ns: Nanoseconds, result: Result[Any]) -> Result[Any]:
    """A result whose rows are loaded while the Session knows that they are of a moment.

    The loads of subclasses' columns that polymorphic loading makes meanwhile (selectin_polymorphic()) tell neither the
    options of the statement nor the objects that they are for.
    """
    if not isinstance(result, ChunkedIteratorResult):
        return result
    original = result.chunks

    def chunks(size: int | None) -> Iterator[Any]:
        found = iter(original(size))
        while True:
            before, session._reading = session._reading, ns
            try:
                chunk = next(found, None)
            finally:
                session._reading = before
            if chunk is None:
                return
            yield chunk

    result.chunks = chunks
    result.iterator = chain.from_iterable(chunks(None))
    return result


def _moment(state: ORMExecuteState, session: TemporalSession) -> Nanoseconds | None:
    """The moment of a statement: that of the object that it is for, or the option's."""
    if state.is_orm_statement and state.is_select:
        options: Any = state.load_options
        tokens = [one.identity_token for one in (options._lazy_loaded_from, options._refresh_state) if one is not None]
        for token in (*tokens, options._identity_token):
            if isinstance(token, Nanoseconds):
                return token
        if tokens:
            return None  # it is for an object of now
        if session._reading is not None and "as_of" not in state.execution_options:
            return session._reading
    moments = set(_moments_of_parents(state.statement)) if session._has_past else set()
    as_of = state.execution_options.get("as_of")
    if as_of is not None:
        moments.add(session._settled(as_of))
    if len(moments) > 1:
        raise exc.InvalidRequestError(
            "the statement is about objects of several moments, or of another one than its `as_of`: one for each"
        )
    return moments.pop() if moments else None


def _moments_of_parents(statement: Any) -> Iterator[Nanoseconds]:
    """The moments of the past objects that a statement compares with, by with_parent() or a relationship of theirs.

    Their keys are parameters that SQLAlchemy asks from the object when it executes the statement; the object is in what
    it asks. Objects of past classes have their moment in their key and need no help.
    """
    for element in iterate(statement):
        if isinstance(element, BindParameter) and element.callable is not None:
            for cell in getattr(element.callable, "__closure__", None) or ():
                if isinstance(cell.cell_contents, InstanceState):
                    token = cell.cell_contents.identity_token
                    if isinstance(token, Nanoseconds):
                        yield token


_guarded: WeakSet[registry] = WeakSet()


def _guard(models: registry) -> None:
    if models not in _guarded:
        _guarded.add(models)
        for mapper in models.mappers:
            guard_present(mapper)


def _refuse_past_changes(session: Session, flush_context: Any, instances: Any) -> None:
    assert isinstance(session, TemporalSession)
    if not session._has_past:
        return
    for obj in (*session.dirty, *session.deleted):
        if moment_of(obj) is not None and (obj in session.deleted or session.is_modified(obj) or _has_pending(obj)):
            raise PastWriteError(_READ_ONLY.format(obj))


def _has_pending(obj: object) -> bool:
    """Was something added to or removed from a collection that is not loaded? is_modified() does not know of it."""
    state = inspect(obj)
    assert state is not None
    return bool(state.__dict__.get("_pending_mutations"))


__all__ = ["TemporalSession", "moment_of"]
