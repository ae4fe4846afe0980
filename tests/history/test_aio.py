"""at() for asyncio over a database that is not EntityDB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import exc, select
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

from entitydb_dialect.history import at as history_at
from entitydb_dialect.history import begin_at, commit_moment, label_moment, labels, resolve
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


def test_a_commit_moment_belongs_to_the_session_that_committed() -> None:
    async def test(engine: AsyncEngine, moments: list[int]) -> None:
        wrong = []

        async def request(balance: int) -> None:
            async with AsyncSession(engine) as session:
                session.add(Account(balance=balance))
                await session.commit()
                moment = commit_moment(session)
            for ns, count in ((moment, 1), (moment - 1, 0)):
                async with history_at(engine, ns) as past:
                    found = await past.scalars(select(Account).where(Account.balance == balance))
                    if len(found.all()) != count:
                        wrong.append((balance, ns))

        await asyncio.gather(*(request(balance) for balance in range(100, 140)))
        assert wrong == []
        async with AsyncSession(engine) as session:
            with pytest.raises(exc.InvalidRequestError, match="committed yet"):
                commit_moment(session)

    run(test)


def test_every_async_source_is_taken_or_told_what_to_use() -> None:
    async def test(engine: AsyncEngine, moments: list[int]) -> None:
        scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
        async with AsyncSession(engine) as session, engine.connect() as connection:
            session.add(Account(balance=8))
            await session.commit()
            scoped.add(Account(balance=9))
            await scoped.commit()
            await connection.execute(Account.__table__.insert().values(balance=10))
            await connection.commit()
            mine = [commit_moment(source) for source in (session, scoped, connection)]
            assert mine == sorted(set(mine))
            assert commit_moment(engine) == mine[-1]
            sources: list[Any] = [engine, session, scoped, connection]
            for source in sources:
                async with history_at(source, moments[1]) as past:
                    assert (await past.get_one(Account, 1)).balance == 1
                with pytest.raises(exc.ArgumentError, match="async with"), history_at(source, moments[1]):
                    pass
                for ask in (resolve, label_moment, labels):
                    with pytest.raises(exc.ArgumentError, match="run_sync"):
                        ask(source, "2020-01-01")  # type: ignore[operator]
            with pytest.raises(exc.ArgumentError, match="run_sync"), begin_at(engine, 1):  # type: ignore[arg-type]
                pass
            for source in (session, connection):
                assert await source.run_sync(resolve, moments[1]) == moments[1]
            with pytest.raises(exc.ArgumentError, match="not been started"):
                commit_moment(engine.connect())
        with pytest.raises(exc.ArgumentError, match="not an AsyncSession"):
            async with at(engine.sync_engine, moments[1]):  # type: ignore[arg-type]
                pass
        await scoped.remove()

    run(test)
