"""AsyncTemporalSession: the same for asyncio."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import ForeignKey, exc, select
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from entitydb_dialect import PastWriteError, commit_moment, moment_of, temporal
from entitydb_dialect.aio import AsyncTemporalSession


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by=Book.id)


async def read(path: Path) -> None:
    engine = create_async_engine(f"entitydb+aio:///{path}/test.edb?page_size=512")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine, class_=AsyncTemporalSession, expire_on_commit=False)
    async with sessions() as session:
        author = Author(id=1, name="then", books=[Book(id=1, title="old")])
        session.add(author)
        await session.commit()
        moment = commit_moment(session)
        author.name = "now"
        author.books[0].title = "new"
        await session.commit()

        before = await session.get(Author, 1, as_of=moment)
        assert before is not None
        assert before is not author
        assert (before.name, author.name, moment_of(before)) == ("then", "now", moment)
        assert [book.title for book in await before.awaitable_attrs.books] == ["old"]
        assert (await before.books[0].awaitable_attrs.author) is before
        assert await session.get_one(Author, 1, as_of=moment) is before
        assert (await session.get_one(Author, 1)).name == "now"
        with pytest.raises(exc.NoResultFound):
            await session.get_one(Author, 1, as_of=moment - 1)
        query = select(Author).options(selectinload(Author.books))
        found = (await session.scalars(query, execution_options={"as_of": moment})).one()
        assert found is before
        then = temporal(Author, as_of=moment)
        past = (await session.scalars(select(then).options(selectinload(then.books)))).one()
        assert [book.title for book in past.books] == ["old"]
        before.name = "never"
        with pytest.raises(PastWriteError):
            await session.flush()
    await engine.dispose()


def test_past_and_present_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")
    asyncio.run(read(tmp_path))
