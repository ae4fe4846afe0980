"""Letting history go: by call, up to a moment, or as the tables of a database ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exc

from ._backend import EntityBackend, driver_connection
from ._exceptions import HorizonError
from ._moments import Moment, clock_ns, from_ns
from ._spans import FOREVER, NotASpan, Span, span_ns
from .driver import Database
from .history.moments import ns_of
from .history.sources import Source, connected


@dataclass(frozen=True)
class Pruned:
    """What prune() let go, or would let go.

    Args:
        horizon: the oldest moment that can be read now, in UTC; None: nothing has ever been let go.
        commit: the commit that is its state; 0 as above.
        bytes: of pages that became free.
        versions: entries of tables and indexes in them, copies included.
        complete: everything before the horizon went. Otherwise `progress` ended it, and the next call goes on.
    """

    horizon: datetime | None
    commit: int
    bytes: int
    versions: int
    complete: bool = True


def _span(before: Any) -> int | None:
    """The nanoseconds of what is a span of time; None: it is something else."""
    if isinstance(before, timedelta) and before > timedelta(0):
        return span_ns(before)
    if isinstance(before, str):
        try:
            return span_ns(before)
        except NotASpan:
            return None
    return None


def _asked_for(connection: Any) -> int | None:
    """How long the tables of a database ask for history to be kept, the longest of them; None: for ever."""
    tables, _ = driver_connection(connection).schema(None, "main")
    spans = [span_ns(table.extra.get("retention", FOREVER)) for table in tables.values()]
    longest = [span for span in spans if span is not None]
    return None if len(longest) < len(spans) or not spans else max(longest)


def _moment(connection: Any, backend: EntityBackend, before: Moment | Span | None) -> int | None:
    """The oldest moment to be kept, in nanoseconds; None: all are."""
    if isinstance(before, str) and before.strip().lower() == FOREVER:
        return None
    span = _asked_for(connection) if before is None else _span(before)
    if span is not None:
        return clock_ns() - span
    return None if before is None else ns_of(before, connection, backend)


def _commit(database: Database, ns: int | None) -> int:
    """The commit that answers for the moment; 0: everything is later."""
    if ns is None:
        return 0
    try:
        return database.resolve(ns)[0]
    except HorizonError:
        return 0


def prune(
    source: Source,
    before: Moment | Span | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Pruned:
    """Lets history go that answers only for moments before a moment: the space it took is free for what comes.

    What the moment itself shows is kept, and everything later. Works in steps beside readers and writers; what is still
    being read is waited for by nobody: the horizon then rises only so far. Killed at any point it leaves a sound file.

    Args:
        source: an Engine, a Connection or a Session.
        before: a moment as `as_of` takes it, or how long to keep history, counted back from now: '90 days', a
            timedelta. None: what the tables ask for (`entitydb_retention`). The history of a database is one, so the
            table that asks for the longest time decides, and one that asks for nothing keeps all of it.
        dry_run: only says what would go.
        progress: called after each step with the bytes that went so far.

    Returns:
        What went. Reading as of a moment before its horizon raises HorizonError.

    Raises:
        ArgumentError: `before` is neither a moment nor a span.
        OperationalError: the database cannot be written.
    """
    with connected(source) as (connection, backend):
        if not isinstance(backend, EntityBackend):
            raise exc.ArgumentError(f"{source!r} is not a database of EntityDB")
        database: Database = driver_connection(connection).database
        commit = _commit(database, _moment(connection, backend, before))
        if commit == 0:
            return Pruned(None, 0, 0, 0)
        found = database.prune(commit, dry_run=dry_run, progress=_told(progress))
    horizon = database.commit_time(found["horizon"])
    return Pruned(from_ns(horizon), found["horizon"], found["bytes"], found["entries"], dry_run or not found["left"])


def _told(progress: Callable[[int], object] | None) -> Callable[[dict[str, int]], bool] | None:
    if progress is None:
        return None

    def told(so_far: dict[str, int]) -> bool:
        progress(so_far["bytes"])
        return False

    return told


__all__ = ["Pruned", "prune"]
