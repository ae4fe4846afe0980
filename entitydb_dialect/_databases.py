"""Databases by URL: is there one, and away with it. The first connection makes one."""

from __future__ import annotations

from sqlalchemy import URL, exc, make_url

from . import driver
from ._urls import target
from .base import EntityDialect
from .driver._database import is_held
from .driver._files import drop, is_database
from .driver._place import Place


def _place(url: str | URL) -> Place:
    made = make_url(url)
    kind = made.get_dialect()
    if not issubclass(kind, EntityDialect):
        raise exc.ArgumentError(f"{made!r} is not a database of EntityDB")
    return target(made).place


def database_exists(url: str | URL) -> bool:
    """Is there a database? Makes none, unlike connecting.

    Args:
        url: as for create_engine(), also `engine.url`.

    Returns:
        Whether the file is an EntityDB database. A memory database with a name exists while somebody in this process
        holds it; one without is always there.

    Raises:
        ArgumentError: the URL is not EntityDB's, or says what it should not.
    """
    place = _place(url)
    if place.path is not None:
        return is_database(place.path)
    return place.name is None or is_held(place.name)


def drop_database(url: str | URL) -> None:
    """Removes a database with its history: the file and the lock file beside it. A memory database goes by itself.

    Args:
        url: as for create_engine(), also `engine.url`. Dispose of the Engine first.

    Raises:
        OperationalError: there is none, or somebody has it open, in this process or another.
        DatabaseError: the file is not an EntityDB database.
        ArgumentError: as `database_exists`.
    """
    place = _place(url)
    if place.path is not None:
        drop(place.path)
    elif place.name is not None and is_held(place.name):
        raise driver.OperationalError(
            f"cannot drop the memory database {place.name}: somebody holds it. It goes with the last that does"
        )


__all__ = ["database_exists", "drop_database"]
