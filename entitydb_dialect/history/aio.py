"""at() for asyncio. Not imported by the package itself: it needs greenlet, as SQLAlchemy's asyncio extension does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.util.concurrency import greenlet_spawn

from .at import at as at_sync
from .moments import Moment

AsyncSource: TypeAlias = "AsyncSession | async_scoped_session[Any] | AsyncEngine | AsyncConnection"


@asynccontextmanager
async def at(source: AsyncSource, moment: Moment) -> AsyncIterator[AsyncSession]:
    """A read-only AsyncSession that sees the database as of a moment; see `entitydb_dialect.at`.

    Args:
        source: an AsyncEngine; or an AsyncSession, async_scoped_session or AsyncConnection, whose transaction is then
            shared.
        moment: included. Resolved once, at entry.

    Raises:
        ArgumentError, PastWriteError, HorizonError: as `entitydb_dialect.at`.
    """
    parent: Any = source() if isinstance(source, async_scoped_session) else source
    for name in ("sync_session", "sync_engine", "sync_connection"):
        parent = getattr(parent, name, parent)
    block = at_sync(parent, moment)
    past = block.__enter__()
    try:
        yield AsyncSession(sync_session_class=lambda **kw: past)  # type: ignore[arg-type]
    except BaseException as error:
        if not await greenlet_spawn(block.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await greenlet_spawn(block.__exit__, None, None, None)


__all__ = ["AsyncSource", "at"]
