"""Commit moments: which was the last, what a moment resolves to, and commits at a moment of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from .moments import Moment, Nanoseconds, ns_of, to_ns
from .sources import AsyncSource, Source, bound, connected, is_async, synchronous, unscoped


def commit_moment(source: Source | AsyncSource) -> int:
    """The exact moment of a source's last commit: what was committed is seen as of it and not a nanosecond before.

    Args:
        source: a Session: the last commit that it has made; one that is bound to a Connection shares the Connection's.
            A Connection: the last commit since it was taken from the pool. An Engine: the last commit of all that were
            made through it in this process. Or what SQLAlchemy's asyncio extension has for them.

    Returns:
        Nanoseconds since 1970 UTC, a moment for `as_of`.

    Raises:
        InvalidRequestError: it has committed nothing yet. A transaction that wrote nothing is no commit.
        ArgumentError: it is no source, or not of EntityDB.
    """
    found = unscoped(synchronous(source))
    bind, backend = bound(found)
    moment_ns = backend.last_commit(bind, found if isinstance(found, Session) else None)
    if moment_ns is None:
        raise exc.InvalidRequestError(
            f"nothing has been committed yet by this {type(found).__name__}, so there is no moment of its last commit"
        )
    return Nanoseconds(moment_ns)


def resolve(source: Source, moment: Moment) -> int:
    """The nanoseconds to use for a moment from now on: the same moment asked again gives the same rows.

    Args:
        source: an Engine, a Connection or a Session.
        moment: an aware datetime (naive means UTC), a date (the end of its UTC day), ISO 8601 text, int nanoseconds
            since 1970 UTC, a timedelta of zero or less (before now), or the name of a moment, as `label("release 3")`,
            `transaction(123)` and "alembic:ab12" are. What was committed at the moment itself is
            included. Later than the clock means now.

    Raises:
        ArgumentError: it is not a moment.
    """
    with connected(source) as (connection, backend):
        return Nanoseconds(backend.resolve(connection, ns_of(moment, connection, backend)))


@contextmanager
def begin_at(engine: Engine, moment: Moment) -> Iterator[Connection]:
    """A transaction that commits at a given time instead of the clock's: for importing histories in their order.

    Args:
        engine: where to.
        moment: as for `resolve`, but its *first* nanosecond. Later than the last commit and any moment read before,
            and not later than the clock.

    Yields:
        A Connection in a transaction, committed at the end of the block and rolled back by an exception. Sessions may
        be bound to it, and `metadata.create_all(connection)` may be the first thing an importer does.

    Raises:
        OperationalError: the time is not later than the last commit, or later than the clock (at the end of the block;
            nothing is kept).
        ArgumentError: it is not a moment.
    """
    if is_async(engine):
        raise exc.ArgumentError(
            f"{engine!r} waits in the event loop, and begin_at() does not: call it in a function given to "
            "AsyncConnection.run_sync(), with the `connection.engine` it gets"
        )
    if not isinstance(engine, Engine):
        raise exc.ArgumentError(f"{engine!r} is not an Engine")
    ns = to_ns(moment, start=True)
    with connected(engine) as (connection, backend), backend.begin_at(connection, ns):
        yield connection


__all__ = ["begin_at", "commit_moment", "resolve"]
