"""The dialect for asyncio: sessions, streams, moments, cancelled tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload

import entitydb_dialect
from entitydb_dialect import driver
from entitydb_dialect.aio import AsyncAdapt_entitydb_dbapi, at

from .models import Base, Department, Employee

pytest.importorskip("greenlet")

COUNT = "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"  # never ends


@pytest.fixture(params=["entitydb+aio", "sqlite+entitydb_aio", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[AsyncEngine], Awaitable[Any]]], None]:
    """run(test): runs a coroutine function over a new Engine with the models' tables, then checks the database."""
    url = f"{request.param}:///{tmp_path}/aio.edb" if request.param != "memory" else "entitydb+aio://"

    def run(test: Callable[[AsyncEngine], Awaitable[Any]]) -> None:
        async def main() -> None:
            async with opened(url) as engine:
                await test(engine)

        before = threading.active_count()
        asyncio.run(main())
        for thread in threading.enumerate():
            if thread.name == "entitydb":
                thread.join(30)
        assert threading.active_count() <= before

    return run


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    async with engine.connect() as connection:
        assert await connection.run_sync(entitydb_dialect.check) == []
    await engine.dispose()


def test_a_session_writes_and_reads(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session, session.begin():
            session.add(Department(name="Tools", employees=[Employee(kind="employee", name="Ada")]))
        async with AsyncSession(engine) as session:
            found = await session.scalar(select(Department).options(selectinload(Department.employees)))
            assert [one.name for one in found.employees] == ["Ada"]

    run(test)


def test_many_tasks_at_once(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async def one(number: int) -> int:
            async with AsyncSession(engine) as session, session.begin():
                session.add(Department(name=f"d{number}"))
            async with engine.connect() as connection:
                return (await connection.execute(select(func.count()).where(Department.name == f"d{number}"))).scalar()

        assert await asyncio.gather(*(one(number) for number in range(12))) == [1] * 12

    run(test)


def test_a_stream_comes_in_batches(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(Department.__table__.insert(), [{"name": f"d{i}"} for i in range(1000)])
        async with engine.connect() as connection:
            stream = await connection.stream(select(Department.id).order_by(Department.id))
            assert [row.id async for row in stream] == list(range(1, 1001))
            stream = await connection.stream(select(Department.id).order_by(Department.id))
            assert (await stream.fetchone()).id == 1
            await stream.close()
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1

    run(test)


def test_errors_are_those_of_the_driver(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.execute(Department.__table__.insert(), {"name": "Tools"})
            with pytest.raises(exc.IntegrityError) as raised:
                await connection.execute(Department.__table__.insert(), {"name": "Tools"})
            assert isinstance(raised.value.orig, driver.IntegrityError)
            with pytest.raises(exc.OperationalError, match="no such table"):
                await connection.execute(text("SELECT * FROM missing"))

    run(test)


def test_moments(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            tools = Department(name="Tools", employees=[Employee(kind="employee", name="Ada")])
            session.add(tools)
            await session.commit()
            moment = await session.run_sync(entitydb_dialect.commit_moment)
            tools_id = await session.run_sync(lambda _: tools.id)
            await session.run_sync(lambda _: setattr(tools, "name", "Toys"))
            await session.commit()

            names = select(Department.name)
            assert (await session.scalars(names)).all() == ["Toys"]
            assert (await session.scalars(names, execution_options={"as_of": moment})).all() == ["Tools"]
            async with at(session, moment) as past:
                then = await past.get(Department, tools_id, options=[selectinload(Department.employees)])
                assert (then.name, [one.name for one in then.employees]) == ("Tools", ["Ada"])
            assert (await session.scalars(names)).all() == ["Toys"]
        async with at(engine, moment) as past:
            assert (await past.scalars(names)).all() == ["Tools"]
            with pytest.raises(entitydb_dialect.PastWriteError):
                past.add(Department(name="New"))
        async with engine.connect() as connection, at(connection, moment) as past:
            assert (await past.scalars(names)).all() == ["Tools"]

    run(test)


def test_a_changed_object_of_the_past_is_refused(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            session.add(Department(name="Tools"))
            await session.commit()
            moment = await session.run_sync(entitydb_dialect.commit_moment)
        with pytest.raises(entitydb_dialect.PastWriteError):
            async with at(engine, moment) as past:
                (await past.scalar(select(Department))).name = "Toys"
        with pytest.raises(KeyError):
            async with at(engine, moment):
                raise KeyError("passed on")

    run(test)


def test_cancelling_interrupts(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.execute(text(COUNT)), 0.05)
            assert connection.invalidated
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1

    run(test)


@pytest.mark.slow
def test_a_cancelled_transaction_leaves_nothing(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async def work() -> None:
            async with AsyncSession(engine) as session, session.begin():
                session.add(Department(name="Tools"))
                await session.flush()
                await session.execute(text(COUNT))

        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(work(), 0.05)
        async with AsyncSession(engine) as session:
            assert (await session.scalars(select(Department))).all() == []
            session.add(Department(name="Tools"))
            await session.commit()

    run(test)


def test_a_driver_connection_survives_its_cancelled_statement() -> None:
    """Below the pool, which throws it away, the connection can be used again: the worker has let go of it."""
    from sqlalchemy.util.concurrency import greenlet_spawn

    async def main() -> None:
        module = AsyncAdapt_entitydb_dbapi(driver)
        connection = await greenlet_spawn(module.connect)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(greenlet_spawn(connection.execute, COUNT), 0.05)
        cursor = await greenlet_spawn(connection.execute, "SELECT 1")
        assert cursor.fetchall() == [(1,)]
        await greenlet_spawn(connection.close)
        with pytest.raises(driver.ProgrammingError, match="closed"):
            await greenlet_spawn(connection.execute, "SELECT 1")

    asyncio.run(main())
