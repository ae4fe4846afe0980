"""at() for asyncio. Not imported by the package itself: it needs greenlet, as SQLAlchemy's asyncio extension does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util.concurrency import greenlet_spawn

from .moments import Moment
from .past import past_session
from .sources import AsyncSource, is_async, synchronous


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
    if not is_async(source):
        raise exc.ArgumentError(f"{source!r} is not an AsyncSession, an AsyncEngine or an AsyncConnection")
    block = past_session(synchronous(source), moment)
    past = block.__enter__()
    try:
        yield AsyncSession(sync_session_class=lambda **kw: past)  # type: ignore[arg-type]
    except BaseException as error:
        if not await greenlet_spawn(block.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await greenlet_spawn(block.__exit__, None, None, None)


__all__ = ["AsyncSource", "at"]
