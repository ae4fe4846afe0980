"""What one asks of a database as a whole: commit times, moments, its health."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from ..base import EntityDialect
from ..driver import Breach
from ..driver import Connection as DriverConnection
from . import moments

Source: TypeAlias = "Session | scoped_session[Any] | Engine | Connection"


def _bind(source: Source) -> Engine | Connection:
    session: Any = source() if isinstance(source, scoped_session) else source
    bind = session.get_bind() if isinstance(session, Session) else session
    if not isinstance(bind, (Engine, Connection)):
        raise exc.ArgumentError(f"{source!r} is not a Session, an Engine or a Connection")
    if not isinstance(bind.dialect, EntityDialect):
        raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
    return bind


def _driver(connection: Connection) -> DriverConnection:
    found = connection.connection.driver_connection
    assert isinstance(found, DriverConnection)
    return found


@contextmanager
def _driver_of(source: Source) -> Iterator[DriverConnection]:
    bind = _bind(source)
    if isinstance(bind, Connection):
        yield _driver(bind)
    else:
        with bind.connect() as connection:
            yield _driver(connection)


def commit_moment(source: Session | scoped_session[Any] | Connection) -> int:
    """The exact moment of the last commit: what was committed is seen as of it and not a nanosecond before.

    Args:
        source: a Connection: its last commit. A Session: the last commit made by this thread on the Session's Engine.

    Returns:
        Nanoseconds since 1970 UTC, a moment for `as_of`.

    Raises:
        InvalidRequestError: there has been no commit yet.
    """
    bind = _bind(source)
    if isinstance(bind, Connection):
        number, ns = _driver(bind).last_commit
        if number:
            return ns
    else:
        dialect: Any = bind.dialect
        found = getattr(dialect._last, "commit_ns", None)
        if found is not None:
            return int(found)
    raise exc.InvalidRequestError("nothing has been committed yet, so there is no moment of the last commit")


def resolve(source: Source, moment: moments.Moment) -> int:
    """The nanoseconds to use for a moment from now on: the same moment asked again gives the same rows.

    Args:
        source: an Engine, a Connection or a Session.
        moment: an aware datetime (naive means UTC), a date (the end of its UTC day), ISO 8601 text, int nanoseconds
            since 1970 UTC, or a timedelta of zero or less (before now). What was committed at the moment itself is
            included. Later than the clock means now.

    Raises:
        ArgumentError: it is not a moment.
    """
    ns = moments.to_ns(moment)
    with _driver_of(source) as connection:
        return connection.database.resolve(ns)[2]


@contextmanager
def begin_at(engine: Engine, moment: moments.Moment) -> Iterator[Connection]:
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
    if not isinstance(engine, Engine):
        raise exc.ArgumentError(f"{engine!r} is not an Engine")
    ns = moments.to_ns(moment, start=True)
    _bind(engine)
    with engine.connect() as connection:
        driver = _driver(connection)
        driver.set_commit_time(ns)
        try:
            with connection.begin():
                yield connection
        finally:
            if not connection.invalidated:
                driver.set_commit_time(0)


def check(source: Source) -> list[Breach]:
    """Walks the whole file and says what is wrong with it: nothing, an empty list, in a sound one."""
    with _driver_of(source) as connection:
        return connection.database.check()[0]


def stats(source: Source) -> dict[str, int]:
    """The engine's counters: commits published and durable, pages, bytes of the file, syncs and so on."""
    with _driver_of(source) as connection:
        return connection.database.stats()
