"""Tags under asyncio, where nothing may be loaded unsaid."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc, select
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, selectinload

import entitydb_dialect
from entitydb_dialect import Tagged, tag_values, tagged
from entitydb_dialect.aio import at

pytest.importorskip("greenlet")


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Article(Tagged, Base):
    __tablename__ = "article"
    id: Mapped[int] = mapped_column(primary_key=True)


class Badge(Tagged, Base):
    __tablename__ = "badge"
    code: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture(params=["entitydb+aio", "sqlite+entitydb_aio"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[AsyncEngine], Awaitable[Any]]], None]:
    """run(test): runs a coroutine function over a database with an article and a badge, then checks the database."""

    def run(test: Callable[[AsyncEngine], Awaitable[Any]]) -> None:
        async def main() -> None:
            engine = create_async_engine(f"{request.param}:///{tmp_path}/aio.edb")
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                session.add_all([Article(id=1, tags={"a", "nr:1"}), Badge(code="x", tags={"a", "nr:x"})])
                await session.commit()
            await test(engine)
            async with engine.connect() as connection:
                assert await connection.run_sync(entitydb_dialect.check) == []
            await engine.dispose()

        asyncio.run(main())

    return run


def test_adding_needs_no_loading(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            for key, cls in ((1, Article), ("x", Badge)):
                one = await session.get_one(cls, key)
                with pytest.raises(exc.MissingGreenlet):
                    len(one.tags)
                with pytest.raises(exc.MissingGreenlet):
                    one.tags.discard("a")
                one.tags.add("new")
                one.tags |= {"a", "other"}
            await session.commit()
        async with AsyncSession(engine, expire_on_commit=False) as session:
            for cls in (Article, Badge):
                one = await session.scalar(select(cls).options(selectinload(cls.tags)))
                assert {"a", "new", "other"} < set(one.tags)
                one.tags -= {"a", "other"}
                one.tags.set_one("nr", "2")
                await session.commit()
                assert one.tags == {"new", "nr:2"}

    run(test)


def test_every_way_to_load(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            article = await session.get_one(Article, 1)
            assert {*await article.awaitable_attrs.tags} == {"a", "nr:1"}
            assert article.tags["nr"] == {"1"}
            session.expire(article)
            await session.refresh(article, ["tags"])
            assert len(article.tags) == 2
            session.expire(article, ["tags"])
            assert await session.run_sync(lambda _: sorted(article.tags)) == ["a", "nr:1"]
            session.expire(article, ["tags"])
            with session.no_autoflush:
                await session.run_sync(lambda _: article.tags.add("new"))
                with pytest.raises(exc.MissingGreenlet):
                    len(article.tags)

    run(test)


def test_criteria_and_counts(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            assert (await session.scalars(select(Badge.code).where(tagged(Badge, "nr:*")))).all() == ["x"]
            assert await session.run_sync(tag_values, "nr") == {"1": 1, "x": 1}
            assert await session.run_sync(tag_values, "nr", Badge) == {"x": 1}
            async with engine.connect() as connection:
                assert await connection.run_sync(tag_values, "") == {"a": 2}
            with pytest.raises(exc.ArgumentError, match="run_sync"):
                tag_values(session, "nr")  # type: ignore[arg-type]

    run(test)


def test_as_of_a_moment(run: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            badge = await session.get_one(Badge, "x", options=[selectinload(Badge.tags)])
            badge.tags = {"first"}
            await session.commit()
            moment = await session.run_sync(entitydb_dialect.commit_moment)
            await session.refresh(badge, ["tags"])
            badge.tags = {"second"}
            await session.commit()
            async with at(session, moment) as past:
                then = await past.get_one(Badge, "x", options=[selectinload(Badge.tags)])
                assert then.tags == {"first"}
                assert (await past.scalars(select(Badge.code).where(tagged(Badge, "first")))).all() == ["x"]
                assert await past.run_sync(tag_values, "") == {"a": 1, "first": 1}

    run(test)
