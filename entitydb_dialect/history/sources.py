"""Whom the time API asks: a Session, an Engine or a Connection, and the Backend behind it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from .backend import Backend, ChangesBackend
from .moments import Moment, Nanoseconds, name_of, ns_of, to_ns

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session

Source: TypeAlias = "Session | scoped_session[Any] | Engine | Connection"
AsyncSource: TypeAlias = "AsyncSession | async_scoped_session[Any] | AsyncEngine | AsyncConnection"


def is_async(source: Any) -> bool:
    """Is it one of the kinds of AsyncSource? Does not import them: who has one has done that."""
    asyncio = sys.modules.get("sqlalchemy.ext.asyncio")
    return asyncio is not None and isinstance(
        source, (asyncio.AsyncSession, asyncio.async_scoped_session, asyncio.AsyncEngine, asyncio.AsyncConnection)
    )


def synchronous(source: Any) -> Any:
    """What an AsyncSource stands before; any other source as it is."""
    if not is_async(source):
        return source
    found = source() if callable(source) else source  # an async_scoped_session
    if hasattr(found, "sync_connection"):
        if found.sync_connection is None:
            raise exc.ArgumentError(f"{source!r} has not been started: use `async with engine.connect()`")
        return found.sync_connection
    return found.sync_session if hasattr(found, "sync_session") else found.sync_engine


def unscoped(source: Source) -> Session | Engine | Connection:
    """A source, or the Session that a scoped_session stands for.

    Raises:
        ArgumentError: it is none of the kinds of Source.
    """
    found: Any = source() if isinstance(source, scoped_session) else source
    if is_async(found):
        raise exc.ArgumentError(
            f"{source!r} waits in the event loop, and this function does not: call it through run_sync(), as in "
            "`await session.run_sync(resolve, moment)` or `await connection.run_sync(resolve, moment)`"
        )
    if not isinstance(found, (Session, Engine, Connection)):
        raise exc.ArgumentError(f"{source!r} is not a Session, an Engine or a Connection")
    return found


def session_of(source: Any, function: str) -> Session:
    """The Session that a function works through.

    Raises:
        ArgumentError: it is none.
    """
    found = unscoped(source)
    if not isinstance(found, Session):
        raise exc.ArgumentError(f"{function}() works through a Session, not through {source!r}")
    return found


def bound(source: Source) -> tuple[Engine | Connection, Backend]:
    """What a source is bound to, and the backend of its dialect.

    Raises:
        ArgumentError: it is none of the kinds of Source, or its dialect has no backend.
        UnboundExecutionError: it is a Session without a bind.
    """
    found = unscoped(source)
    bind = found.get_bind() if isinstance(found, Session) else found
    backend: Backend | None = getattr(bind.dialect, "history_backend", None)
    if backend is None:
        raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
    return bind, backend


@contextmanager
def connected(source: Source) -> Iterator[tuple[Connection, Backend]]:
    """The connection that a source is bound to, or one that its Engine lends for the block; and the backend.

    Raises:
        As `bound`.
    """
    bind, backend = bound(source)
    if isinstance(bind, Connection):
        yield bind, backend
    else:
        with bind.connect() as connection:
            yield connection, backend


def ns_in(source: Source, moment: Moment, *, start: bool = False) -> Nanoseconds:
    """The nanoseconds a moment stands for, a name's too; the source is asked only for a name.

    Args:
        start: as for to_ns().

    Raises:
        ArgumentError: it is not a moment.
        NoResultFound: the database knows nothing of that name.
    """
    if name_of(moment) is None:
        return to_ns(moment, start=start)
    with connected(source) as (connection, backend):
        return ns_of(moment, connection, backend)


@contextmanager
def with_changes(source: Source) -> Iterator[tuple[Connection, ChangesBackend]]:
    """The same, of a database that tells what each transaction did.

    Raises:
        As `bound`; ArgumentError: the database does not.
    """
    with connected(source) as (connection, backend):
        yield connection, telling(backend, source)


def telling(backend: Backend, source: object) -> ChangesBackend:
    """A backend that tells what each transaction did.

    Raises:
        ArgumentError: it does not.
    """
    if not isinstance(backend, ChangesBackend):
        raise exc.ArgumentError(f"the database of {source!r} does not tell what each transaction did")
    return backend


__all__ = [
    "AsyncSource",
    "Source",
    "bound",
    "connected",
    "is_async",
    "ns_in",
    "session_of",
    "synchronous",
    "telling",
    "unscoped",
    "with_changes",
]
