"""Foreign key actions of the database under the ORM: passive_deletes, and what history shows of them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, ForeignKey, exc, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import entitydb_dialect


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(
        back_populates="author", cascade="all, delete-orphan", passive_deletes=True, passive_updates=True
    )
    prizes: Mapped[list[Prize]] = relationship(passive_deletes=True)


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id", ondelete="CASCADE", onupdate="CASCADE"))
    author: Mapped[Author] = relationship(back_populates="books")


class Prize(Base):
    __tablename__ = "prize"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id", ondelete="SET NULL"), index=True)


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


@pytest.fixture
def filled(engine: Engine) -> Engine:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Author(id=1, name="Ada", books=[Book(id=i) for i in range(1, 4)], prizes=[Prize(id=1)]))
        session.add(Author(id=2, name="Bob", books=[Book(id=9)]))
        session.commit()
    return engine


def test_the_database_deletes_the_children_in_the_same_commit(filled: Engine) -> None:
    with Session(filled) as session:
        session.execute(select(func.count()).select_from(Book)).scalar_one()
        session.rollback()
        before = entitydb_dialect.commit_moment(filled)
        session.delete(session.get(Author, 1))
        session.commit()
        after = entitydb_dialect.commit_moment(session)
        assert session.scalars(select(Book.id)).all() == [9]
        assert session.scalars(select(Prize.author_id)).all() == [None]
        assert before != after
    for moment, books in ((after - 1, [1, 2, 3, 9]), (after, [9])):
        with entitydb_dialect.at(filled, moment) as session:
            assert session.scalars(select(Book.id).order_by(Book.id)).all() == books


def test_a_changed_key_goes_on_to_the_children(filled: Engine) -> None:
    with Session(filled) as session:
        session.get(Author, 2).id = 7
        session.commit()
        assert session.get(Book, 9).author_id == 7
        assert session.get(Book, 9).author.name == "Bob"


def test_a_missing_parent_is_an_integrity_error(filled: Engine) -> None:
    with Session(filled) as session:
        session.add(Note(author_id=99))
        with pytest.raises(exc.IntegrityError, match="FOREIGN KEY constraint failed"):
            session.flush()
        session.rollback()
        session.add(Note(author_id=2))
        session.commit()
        session.delete(session.get(Author, 2))
        with pytest.raises(exc.IntegrityError, match="FOREIGN KEY constraint failed"):
            session.commit()
