"""The health and upkeep of an EntityDB database. The time API does not depend on it: it is about the file alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from ._backend import EntityBackend, driver_connection
from .driver import Breach, Compacted, Database, Packed
from .history.sources import Source, connected


@contextmanager
def opened(source: Source) -> Iterator[Database]:
    """The database of a source."""
    with connected(source) as (connection, backend):
        if not isinstance(backend, EntityBackend):
            raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
        yield driver_connection(connection).database


def check(source: Source) -> list[Breach]:
    """Walks the whole file and says what is wrong with it: nothing, an empty list, in a sound one."""
    with opened(source) as database:
        return database.check()[0]


def stats(source: Source) -> dict[str, int]:
    """The engine's counters: commits published and durable, pages, bytes of the file, syncs and so on."""
    with opened(source) as database:
        return database.stats()


def compact(source: Source, progress: Callable[[float], object] | None = None) -> Compacted:
    """Moves what is in use to the front of the file, and gives the end of it back to the disk.

    Works in steps, each a commit that changes nothing, beside whoever reads and writes; stopped or killed at any point
    it leaves a sound file. What readers hold at the time stays. VACUUM in SQL does the same.

    Args:
        source: an Engine, a Connection or a Session.
        progress: called after each step with the share that is done, 0 to 1. An exception in it ends the work, and is
            raised.

    Raises:
        OperationalError: another process is compacting the file, or it cannot be written.
    """
    with opened(source) as database:
        return database.compact(progress)


def pack(source: Source, progress: Callable[[float], object] | None = None) -> Packed:
    """Packs history: pages that hold no living row go together, compressed, each version once.

    Works in steps, each a commit that changes nothing, beside whoever reads and writes; stopped or killed at any point
    it leaves a sound file. Reads of the past unpack what they need. The space is free for what is written next;
    `compact` gives it back to the disk.

    Args:
        source: an Engine, a Connection or a Session.
        progress: called after each step with the share that is done, 0 to 1. An exception in it ends the work, and is
            raised.

    Raises:
        OperationalError: zstd was not found, or the file cannot be written.
    """
    with opened(source) as database:
        return database.pack(progress)


__all__ = ["check", "compact", "pack", "stats"]
