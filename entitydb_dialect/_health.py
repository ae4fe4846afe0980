"""The health of an EntityDB database. The time API does not depend on it: it is about the file, not about moments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from ._backend import EntityBackend, driver_connection
from .driver import Breach, Database
from .history.sources import Source, connected


@contextmanager
def _database(source: Source) -> Iterator[Database]:
    with connected(source) as (connection, backend):
        if not isinstance(backend, EntityBackend):
            raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
        yield driver_connection(connection).database


def check(source: Source) -> list[Breach]:
    """Walks the whole file and says what is wrong with it: nothing, an empty list, in a sound one."""
    with _database(source) as database:
        return database.check()[0]


def stats(source: Source) -> dict[str, int]:
    """The engine's counters: commits published and durable, pages, bytes of the file, syncs and so on."""
    with _database(source) as database:
        return database.stats()


__all__ = ["check", "stats"]
