"""Whom the time API asks: a Session, an Engine or a Connection, and the Backend behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from .backend import Backend

Source: TypeAlias = "Session | scoped_session[Any] | Engine | Connection"


def unscoped(source: Source) -> Session | Engine | Connection:
    """A source, or the Session that a scoped_session stands for.

    Raises:
        ArgumentError: it is none of the kinds of Source.
    """
    found: Any = source() if isinstance(source, scoped_session) else source
    if not isinstance(found, (Session, Engine, Connection)):
        raise exc.ArgumentError(f"{source!r} is not a Session, an Engine or a Connection")
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


__all__ = ["Source", "bound", "connected", "unscoped"]
