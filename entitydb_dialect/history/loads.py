"""At which moment a statement of a Session with past objects is read.

A past object has its moment as identity token, and SQLAlchemy says for most of what it loads for which object or with
which token it does. For the rest there is the moment of the rows that are being loaded meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Result, exc
from sqlalchemy.engine.result import ChunkedIteratorResult
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate

from .database import resolve
from .moments import Moment, Nanoseconds, clock_ns, name_of, to_ns

# The moments of the rows that Sessions are loading.
_reading: WeakKeyDictionary[Session, Nanoseconds] = WeakKeyDictionary()


class KeepsMoments:
    """A Session that gives what it loads the right moment by itself, whatever objects are in it."""

    __slots__ = ()


class _Now:
    """The identity token of present objects, for statements that SQLAlchemy would let change objects of any token.

    It equals None, which is what present objects have and what as an option means all of them.
    """

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Now)

    def __hash__(self) -> int:
        return hash(None)


NOW = _Now()


def settled(session: Session, moment: Moment) -> Nanoseconds:
    """A moment that shows the same each time it is asked for, as objects of it stay in the Session."""
    if name_of(moment) is not None:  # what it means only the database knows
        return Nanoseconds(resolve(session, moment))
    ns = to_ns(moment)
    return Nanoseconds(resolve(session, ns)) if ns > clock_ns() else ns


def moment_of_statement(state: ORMExecuteState, *, past_parents: bool = True) -> Nanoseconds | None:
    """The moment of a statement: that of the object that it is for, or the option's.

    Args:
        past_parents: it may compare with past objects, by with_parent() or a relationship.

    Raises:
        InvalidRequestError: it is about objects of several moments.
    """
    if state.is_orm_statement and state.is_select:
        options: Any = state.load_options
        tokens = [one.identity_token for one in (options._lazy_loaded_from, options._refresh_state) if one is not None]
        for token in (*tokens, options._identity_token):
            if isinstance(token, Nanoseconds):
                return token
        if tokens:
            return None  # it is for an object of now
        if state.session in _reading and "as_of" not in state.execution_options:
            return _reading[state.session]
    moments = set(_moments_of_parents(state.statement)) if past_parents else set()
    as_of = state.execution_options.get("as_of")
    if as_of is not None:
        moments.add(settled(state.session, as_of))
    if len(moments) > 1:
        raise exc.InvalidRequestError(
            "the statement is about objects of several moments, or of another one than its `as_of`: one for each"
        )
    return moments.pop() if moments else None


def read_at(state: ORMExecuteState, ns: Nanoseconds) -> Result[Any]:
    """The result of a statement as of a moment, whose objects have the moment in their identity.

    The Session knows of it while the rows are loaded: the loads of subclasses' columns that polymorphic loading makes
    meanwhile (selectin_polymorphic()) tell neither the options of the statement nor the objects that they are for.
    """
    session = state.session
    result = state.invoke_statement(execution_options={"as_of": ns, "identity_token": ns})
    if not isinstance(result, ChunkedIteratorResult):
        return result
    original = result.chunks

    def chunks(size: int | None) -> Iterator[Any]:
        found = iter(original(size))
        while True:
            before = _reading.get(session)
            _reading[session] = ns
            try:
                chunk = next(found, None)
            finally:
                if before is None:
                    del _reading[session]
                else:
                    _reading[session] = before
            if chunk is None:
                return
            yield chunk

    result.chunks = chunks
    result.iterator = chain.from_iterable(chunks(None))
    return result


def _moments_of_parents(statement: Any) -> Iterator[Nanoseconds]:
    """The moments of the past objects that a statement compares with, by with_parent() or a relationship of theirs.

    Their keys are parameters that SQLAlchemy asks from the object when it executes the statement; the object is in what
    it asks. Objects of past classes have their moment in their key and need no help.
    """
    for element in iterate(statement):
        if isinstance(element, BindParameter):
            for one in asked_by(element):
                if isinstance(one, InstanceState) and isinstance(one.identity_token, Nanoseconds):
                    yield one.identity_token


def asked_by(parameter: BindParameter[Any]) -> Iterator[Any]:
    """What the function of a parameter asks for its value: the state of an object and its mapper, where a statement
    compares with the object."""
    for cell in getattr(parameter.callable, "__closure__", None) or ():
        yield cell.cell_contents


__all__ = ["NOW", "KeepsMoments", "asked_by", "moment_of_statement", "read_at", "settled"]
