"""Models with tags: one of each kind of key, of inheritance and of class."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.declarative import AbstractConcreteBase, ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from entitydb_dialect import Tagged


class Base(DeclarativeBase):
    pass


class Author(Tagged, Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    articles: Mapped[list[Article]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Article.id"
    )


class Article(Tagged, Base):
    __tablename__ = "article"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(default="")
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship(back_populates="articles")


class Badge(Tagged, Base):
    """The key is a text."""

    __tablename__ = "badge"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(default="")


class Shift(Tagged, Base):
    """The key is of two columns."""

    __tablename__ = "shift"
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hours: Mapped[int] = mapped_column(default=0)


class Setting(Tagged, Base):
    """No row ids in SQLite, though the key is an integer; and a column that is called rowid."""

    __tablename__ = "setting"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rowid: Mapped[int] = mapped_column(default=7)


class Note(MappedAsDataclass, Tagged, Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    text: Mapped[str]
    stars: Mapped[int] = mapped_column(default=3)


class Shelf(Base):
    """Without tags."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)


# Joined inheritance, and single-table inheritance below it.


class Person(Tagged, Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Engineer(Person):
    __tablename__ = "engineer"
    id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    language: Mapped[str] = mapped_column(default="C")
    __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012


class Manager(Person):
    budget: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


# Joined inheritance with a text for a key.


class Asset(Tagged, Base):
    __tablename__ = "asset"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "asset"}  # noqa: RUF012


class Machine(Asset):
    __tablename__ = "machine"
    code: Mapped[str] = mapped_column(ForeignKey("asset.code"), primary_key=True)
    power: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_identity": "machine"}  # noqa: RUF012


# Concrete inheritance, with a base that has rows and with one that has none.


class Animal(ConcreteBase, Tagged, Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_identity": "animal", "concrete": True}  # noqa: RUF012


class Owl(Animal):
    __tablename__ = "owl"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    span: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_identity": "owl", "concrete": True}  # noqa: RUF012


class Plant(AbstractConcreteBase, Tagged, Base):
    strict_attrs = True
    name: Mapped[str] = mapped_column(default="")


class Tree(Plant):
    __tablename__ = "tree"
    id: Mapped[int] = mapped_column(primary_key=True)
    height: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_identity": "tree", "concrete": True}  # noqa: RUF012


class Herb(Plant):
    __tablename__ = "herb"
    id: Mapped[int] = mapped_column(primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "herb", "concrete": True}  # noqa: RUF012
