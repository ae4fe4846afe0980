"""at() and run_transaction() for asyncio. Not imported by the package itself: it needs greenlet, as SQLAlchemy's
asyncio extension does."""

from __future__ import annotations

import asyncio
import random as _random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util.concurrency import greenlet_spawn

from .as_of import Schema
from .moments import Moment
from .past import past_session
from .retry import judge_attempts, lost_a_race, pause_s
from .sources import AsyncSource, is_async, synchronous

T = TypeVar("T")


@asynccontextmanager
async def at(source: AsyncSource, moment: Moment, *, schema: Schema = "today") -> AsyncIterator[AsyncSession]:
    """A read-only AsyncSession that sees the database as of a moment; see `entitydb_dialect.at`.

    Args:
        source: an AsyncEngine; or an AsyncSession, async_scoped_session or AsyncConnection, whose transaction is then
            shared.
        moment: included. Resolved once, at entry.
        schema: "then" or "today"; see `entitydb_dialect.at`.

    Raises:
        ArgumentError, PastWriteError, HorizonError: as `entitydb_dialect.at`.
    """
    if not is_async(source):
        raise exc.ArgumentError(f"{source!r} is not an AsyncSession, an AsyncEngine or an AsyncConnection")
    block = past_session(synchronous(source), moment, schema)
    past = block.__enter__()
    try:
        yield AsyncSession(sync_session_class=lambda **kw: past)  # type: ignore[arg-type]
    except BaseException as error:
        if not await greenlet_spawn(block.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await greenlet_spawn(block.__exit__, None, None, None)


async def run_transaction(
    session_factory: Callable[[], AbstractAsyncContextManager[AsyncSession]],
    fn: Callable[[AsyncSession], Awaitable[T]],
    attempts: int = 10,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = _random.random,
) -> T:
    """Awaits fn(session) in a transaction and commits it; again, with a new AsyncSession, where that loses a race.

    Args:
        session_factory: makes an AsyncSession, as an async_sessionmaker does.
        fn: an async function.
        attempts, sleep, random: see `entitydb_dialect.run_transaction`; sleep is awaited.

    Raises:
        SerializationFailure, ArgumentError: as `entitydb_dialect.run_transaction`.
    """
    judge_attempts(attempts)
    for attempt in range(1, attempts + 1):
        try:
            async with session_factory() as session, session.begin():
                result = await fn(session)
            return result
        except Exception as error:
            if attempt == attempts or not lost_a_race(error):
                raise
        await sleep(pause_s(attempt, random))
    raise AssertionError("unreachable")


__all__ = ["AsyncSource", "at", "run_transaction"]
