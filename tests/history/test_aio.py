"""at() for asyncio over a database that is not EntityDB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)

from entitydb_dialect import PastWriteError

from .conftest import Account, Base, fill

pytest.importorskip("greenlet")

from entitydb_dialect.history.aio import at


def run(test: Callable[[AsyncEngine, list[int]], Awaitable[None]]) -> None:
    async def main() -> None:
        engine = create_async_engine("fakehistory+aio://")
        async with engine.connect():  # the database lives as long as one of its connections
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                moments = await session.run_sync(fill)
            await test(engine, moments)
        await engine.dispose()

    asyncio.run(main())


def test_every_source_reads_as_of_the_moment() -> None:
    async def test(engine: AsyncEngine, moments: list[int]) -> None:
        scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
        async with AsyncSession(engine) as session, engine.connect() as connection:
            sources: list[Any] = [engine, session, scoped, connection]
            for source in sources:
                async with at(source, moments[1]) as past:
                    assert (await past.get_one(Account, 1)).balance == 1
                    assert (await past.scalars(select(Account.balance))).all() == [1]
            assert (await session.get_one(Account, 1)).balance == 3
        await scoped.remove()

    run(test)


def test_writes_are_refused_and_errors_passed_on() -> None:
    async def test(engine: AsyncEngine, moments: list[int]) -> None:
        with pytest.raises(PastWriteError):
            async with at(engine, moments[1]) as past:
                (await past.get_one(Account, 1)).balance = 9
        with pytest.raises(KeyError):
            async with at(engine, moments[1]):
                raise KeyError("passed on")

    run(test)
