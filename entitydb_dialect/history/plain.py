"""Past objects of a Session that is neither a TemporalSession nor of at().

A statement over mapped classes with the option `as_of` loads past objects if nothing of now is in the Session. What
holds then:

1. In such a Session are objects of now or past objects of the models, never both. Who would bring the others gets an
   error: a statement that loads them, a result that is fetched later, add(), merge(), a cascade. Those of `temporal()`
   are of classes of their own and stand beside either, and so do Transactions, which do not change.
2. A past object has its moment as identity token. So a row at two moments is two objects, and a Session may have
   objects of several moments.
3. What is loaded for a past object later, and however, is as of its moment. What is loaded in its Session for no object
   and without a moment is of now, and so an error by 1; rows of columns are not.
4. A past object is not written: a flush that would raises PastWriteError, and bulk statements leave it as it is.
5. Which of the two a Session has, its identity map says and nothing else. So past objects that the program lets go of,
   expunge_all() and close() make it a Session of now again, and commit() and rollback(), which keep what the program
   still holds, do not.

get() asks the identity map before any statement, whatever its options say, so in Sessions of the database it is looked
at before SQLAlchemy has it (`_get()`).

The first such statement of a Session is recognised when the dialect executes it, which is too late for SQLAlchemy's
events. So its entities are given the Session (`first_load()`); from then on the Session's own events do the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection, Result, Select, event, exc, inspect
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session, SessionTransaction
from sqlalchemy.sql.selectable import FromClause

from .._exceptions import PastWriteError
from .loads import NOW, KeepsMoments, moment_of_statement, read_at
from .moments import Nanoseconds
from .past_models import Past
from .past_objects import moment_of_state, refuse_past_changes
from .transactions import Transaction

# The classes whose objects stand beside those of now and past ones.
_BESIDE = (Past, Transaction)

# The Sessions that have had past objects, with the moment of the first.
_watched: WeakKeyDictionary[Session, Nanoseconds] = WeakKeyDictionary()


def first_load(context: Any, ns: Nanoseconds) -> None:
    """Lets the Session that executes a statement load past objects, if nothing of now is in it.

    Args:
        context: SQLAlchemy's ExecutionContext of a statement that loads mapped classes, about to be executed as of
            the moment.
    """
    compiled, state = copy(context.compiled), copy(context.compiled.compile_state)
    first, *others = state._entities
    state._entities = [_First(first, ns, models_among(state._entities)[0].__name__), *others]
    compiled.compile_state = state
    context.compiled = compiled


class _First:
    """The first entity of such a statement, as SQLAlchemy asks it before it makes objects of the rows."""

    def __init__(self, entity: Any, ns: Nanoseconds, name: str) -> None:
        self._entity, self._ns, self._name = entity, ns, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entity, name)

    def row_processor(self, context: Any, result: Any) -> Any:
        """The event of the entity; `context` is SQLAlchemy's QueryContext, which knows the Session."""
        if _has_present(context.session):
            raise exc.InvalidRequestError(_would_mix(self._name))
        context.compile_state._entities[0] = self._entity  # the list is the statement's own
        _watch(context.session, self._ns)
        options = {"as_of": self._ns, "identity_token": self._ns}
        context.execution_options = {**context.execution_options, **options}
        context.identity_token = self._ns
        return self._entity.row_processor(context, result)


def _would_mix(name: str) -> str:
    return (
        "as_of with mapped classes would mix past and present objects in one Session, which has some of now; use `with "
        "entitydb_dialect.at(session, moment) as past:` and query `past`, a TemporalSession, or "
        f"`select(temporal({name}, as_of=moment))`; or select columns"
    )


def models_among(entities: Iterable[Any]) -> list[type[Any]]:
    """The models whose objects the rows of a statement have, by SQLAlchemy's entities of the statement."""
    mappers = (one.mapper for one in entities if type(one).__name__ == "_MapperEntity")
    return [mapper.class_ for mapper in mappers if not issubclass(mapper.class_, _BESIDE)]


def _tokens(keys: Iterable[Any]) -> Iterator[Any]:
    """The identity tokens of the models' objects, by their identities."""
    return (key[2] for key in keys if not issubclass(key[0], _BESIDE))


def _one_token(session: Session, default: Any) -> Any:
    """The token of one of the models' objects in a Session, which by 1 stands for all."""
    while True:
        try:
            return next(_tokens(session.identity_map.keys()), default)
        except RuntimeError:  # meanwhile the garbage collector has taken an object
            continue


def _has_past(session: Session) -> bool:
    return isinstance(_one_token(session, None), Nanoseconds)


def _has_present(session: Session) -> bool:
    tokens = _tokens(list(session.identity_map.keys()))
    return bool(session._new) or any(not isinstance(token, Nanoseconds) for token in tokens)


def _watch(session: Session, ns: Nanoseconds) -> None:
    objects: Any = session.identity_map
    if "_add_unpresent" not in vars(objects):
        # Results are fetched when the program likes. A loader asks the identity map to take each new object, and
        # SQLAlchemy puts this method aside in the same way when it discards the map.
        objects._add_unpresent = partial(_add_one_kind, ref(session))
    if session not in _watched:
        _watched[session] = ns
        event.listen(session, "do_orm_execute", _keep_moments)
        event.listen(session, "before_flush", _refuse_past_changes)


def _add_one_kind(reference: ref[Session], state: InstanceState[Any], key: Any) -> None:
    session: Any = reference()
    if not issubclass(key[0], _BESIDE):
        is_past = isinstance(key[2], Nanoseconds)
        if isinstance(_one_token(session, key[2]), Nanoseconds) != is_past or (is_past and session._new):
            came, there = ("of the past", "of now") if is_past else ("of now", "of the past")
            raise exc.InvalidRequestError(
                f"a result would bring {key[0].__name__} objects {came} among those {there} that the Session has got "
                "since it was executed: fetch it first, as all() does, and call `session.expunge_all()`; or use a "
                "TemporalSession, which has both"
            )
    type(session.identity_map)._add_unpresent(session.identity_map, state, key)


def _refuse_past_changes(session: Session, flush_context: Any, instances: Any) -> None:
    refuse_past_changes(session)


def _keep_moments(state: ORMExecuteState) -> Result[Any] | None:
    session = state.session
    has_past = _has_past(session)
    if not has_past and ("as_of" not in state.execution_options or _has_present(session)):
        return None  # a Session of now
    ns = moment_of_statement(state)
    if ns is None and _loads_subclass_columns(state):
        ns = _watched[session]
    if state.is_insert or state.is_update or state.is_delete:
        if ns is not None:
            raise PastWriteError("the past does not change; leave out `as_of` to write the present")
        if not state.is_insert:
            state.update_execution_options(identity_token=NOW)
    if ns is not None:
        _watch(session, ns)  # its identity map may be a new one
        return read_at(state, ns)
    _refuse_present(state.statement)
    return None


def _loads_subclass_columns(state: ORMExecuteState) -> bool:
    """Is it what polymorphic loading makes while it loads the rows of another statement? It tells nothing of that, but
    its options and its one parameter are of a kind that a program's select() does not have. Where read_at() reads the
    other statement, the moment is known without this."""
    options = state.statement._compile_options if isinstance(state.statement, Select) else None
    of_a_loader = not getattr(options, "_use_legacy_query_style", True) and not getattr(options, "_for_statement", True)
    return of_a_loader and isinstance(state.parameters, dict) and set(state.parameters) == {"primary_keys"}


def _refuse_present(statement: Any) -> None:
    """Refuses a statement that loads objects of models: a class in it is a table here, and its attributes columns."""
    elements: Any = getattr(statement, "_raw_columns", None) or getattr(statement, "_returning", ())
    for element in elements:
        entity = element._annotations.get("parententity")
        if entity is not None and isinstance(element, FromClause) and not issubclass(entity.mapper.class_, _BESIDE):
            name = entity.mapper.class_.__name__
            raise exc.InvalidRequestError(
                f"the Session has past objects, and {name} objects of now would be mixed with them: call "
                "`session.expunge_all()` first, use another Session, or a TemporalSession, which has both; for past "
                'objects write `execution_options={"as_of": moment}`; or select columns'
            )


def keep_apart() -> None:
    """Has every Session refuse past objects among those of now, and the reverse, where they are added to it. Which
    Session that will be is not known before. What has no moment is passed over, but for Sessions of past objects.
    And Sessions that begin a transaction here look at what get() is told."""
    if not event.contains(Session, "before_attach", _refuse_mixing):
        event.listen(Session, "before_attach", _refuse_mixing, raw=True)
        event.listen(Session, "after_begin", _guard_get)


def _guard_get(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    own = vars(session)
    ours = getattr(connection.dialect, "history_backend", None) is not None
    if ours and "get" not in own and not isinstance(session, KeepsMoments):
        own["get"] = partial(_get, ref(session))


def _get(reference: ref[Session], entity: Any, *args: Any, **options: Any) -> Any:
    """Session.get(), which would give the object of now for a past one."""
    session: Any = reference()
    given = options.get("execution_options") or {}
    if given.get("as_of") is not None and _has_present(session):
        mapper = inspect(entity, raiseerr=False)
        if isinstance(mapper, Mapper) and not issubclass(mapper.class_, _BESIDE):
            raise exc.InvalidRequestError(_would_mix(mapper.class_.__name__))
    return type(session).get(session, entity, *args, **options)


def _refuse_mixing(session: Session, state: InstanceState[Any]) -> None:
    moment = None if state.key is None else moment_of_state(state)
    if (moment is None and not _watched) or isinstance(session, KeepsMoments) or issubclass(state.class_, _BESIDE):
        return
    name = state.class_.__name__
    if moment is None:
        if session in _watched and _has_past(session):
            raise exc.InvalidRequestError(
                f"the Session has past objects, and a {name} of now would be mixed with them: call "
                "`session.expunge_all()` first, or add it to another Session, or to a TemporalSession, which has both"
            )
    elif _has_present(session):
        raise exc.InvalidRequestError(_mixes(name, state))
    else:
        _watch(session, moment)


def _mixes(name: str, state: InstanceState[Any]) -> str:
    """What is said of a past object that is brought among those of now."""
    key = state.key[1] if state.key is not None else ()
    shown = repr(key[0]) if len(key) == 1 else repr(tuple(key))
    return (
        f"the {name} {shown} is of a past moment, and the Session has objects of now: to bring back what it was write "
        f"`restore(session, ({name}, {shown}), to=moment_of(obj))`; to have both use a TemporalSession"
    )


__all__ = ["first_load", "keep_apart", "models_among"]
