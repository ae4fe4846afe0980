"""undrop(): a table or a column that was dropped is brought back."""

from __future__ import annotations

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from .moments import Moment, Nanoseconds, ns_of
from .sources import Source, unscoped, with_changes


def undrop(source: Source, *names: str, as_of: Moment | None = None) -> dict[str, int]:
    """Brings tables back that were dropped, with their rows, indexes, constraints and tags; or columns.

    It is one transaction: all or nothing. Tables that refer to each other are brought back together.

    Args:
        source: an Engine: a transaction of its own, which is committed. A Connection or a Session: the running one, in
            a savepoint; a Session is flushed first.
        names: of a table; or `table.column`, for a column that a table of today has lost.
        as_of: a moment at which it was there, see `entitydb_dialect.resolve`; None: as it was last.

    Returns:
        By name the moment as of which it came back, in nanoseconds.

    Raises:
        NoSuchTableError: there was no such table or column, or not then.
        InvalidRequestError: it was not dropped, or its name or that of an index is taken. The message says what to do.
        IntegrityError: a foreign key refers to a row that is not there now.
        ArgumentError: it is no source, or `as_of` is not a moment.

    Example:
        undrop(engine, "account")
        undrop(engine, "account", "booking", as_of="2026-05-01")
    """
    found = unscoped(source)
    if isinstance(found, Session):
        with found.begin_nested():
            found.flush()
            return undrop(found.connection(), *names, as_of=as_of)
    if isinstance(found, Engine):
        with found.begin() as connection:
            return undrop(connection, *names, as_of=as_of)
    with with_changes(found) as (connection, backend):
        ns = None if as_of is None else ns_of(as_of, connection, backend)
        with connection.begin_nested():
            backend.defer_foreign_keys(connection)
            moments = backend.undrop(connection, names, ns)
    return {name: Nanoseconds(moment) for name, moment in zip(names, moments, strict=True)}


__all__ = ["undrop"]
