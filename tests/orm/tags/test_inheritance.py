"""Which row the tags are on when classes inherit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, exc, inspect, select, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    mapped_column,
    registry,
    relationship,
    selectin_polymorphic,
    selectinload,
    with_polymorphic,
)

import entitydb_dialect
from entitydb_dialect import Tagged, tagged

from .models import Animal, Asset, Engineer, Herb, Machine, Manager, Owl, Person, Plant, Tree


def types(session: Session) -> set[tuple[str, str]]:
    return {(row.type, row.tag) for row in session.execute(text("SELECT type, tag FROM entitydb_tags"))}


def test_joined_and_single_inheritance_put_them_on_the_row_of_the_base_table(session: Session) -> None:
    session.add_all([Person(id=1, tags={"p", "all"}), Engineer(id=2, tags={"e", "all"})])
    session.add(Manager(id=3, budget=1, tags={"m", "all"}))
    session.commit()
    assert types(session) == {("person", tag) for tag in ("p", "e", "m", "all")}
    session.expunge_all()
    assert [(type(p).__name__, *p.tags) for p in session.scalars(select(Person).order_by(Person.id))] == [
        ("Person", "all", "p"), ("Engineer", "all", "e"), ("Manager", "all", "m"),
    ]  # fmt: skip
    for entity, found in ((Person, [1, 2, 3]), (Engineer, [2]), (Manager, [3])):
        alias = aliased(entity)
        assert [p.id for p in session.scalars(select(entity).where(tagged(entity, "all")))] == found
        assert session.scalars(select(entity.id).where(entity.tags.contains("all"))).all() == found
        assert session.scalars(select(alias.id).where(alias.tags.contains("all"))).all() == found
    assert session.scalars(select(Engineer.language).where(tagged(Engineer, "e"))).all() == ["C"]
    assert session.scalars(select(Engineer.id).where(tagged(Engineer, "p"))).all() == []
    both = with_polymorphic(Person, [Engineer])
    assert [p.id for p in session.scalars(select(both).where(both.tags.contains("e")))] == [2]
    engineer = session.get_one(Engineer, 2)
    engineer.tags.set_one("level", "senior")
    session.delete(session.get_one(Manager, 3))
    session.commit()
    assert types(session) == {("person", tag) for tag in ("p", "e", "all", "level:senior")}


@pytest.mark.parametrize("of", ["base", "subclass"])
def test_eager_loading_of_subclasses(session: Session, executed: Callable[..., Any], of: str) -> None:
    session.add_all(Engineer(id=i, tags={f"nr:{i}"}) for i in range(10))
    session.commit()
    session.expunge_all()
    options = {
        "base": (selectinload(Person.tags), selectin_polymorphic(Person, [Engineer])),
        "subclass": (selectin_polymorphic(Person, [Engineer]), selectinload(Engineer.tags)),
    }
    with executed() as statements:
        people = session.scalars(select(Person).options(*options[of])).all()
        assert {p.id: p.tags["nr"] for p in people} == {i: {str(i)} for i in range(10)}
    assert len(statements) == 3


def test_joined_inheritance_with_a_text_for_a_key(session: Session) -> None:
    session.add_all([Asset(code="a", tags={"x"}), Machine(code="m", tags={"x", "y"})])
    session.commit()
    session.expunge_all()
    assert types(session) == {("asset", "x"), ("asset", "y")}
    assert session.scalars(select(Asset.code).where(tagged(Asset, "x")).order_by(Asset.code)).all() == ["a", "m"]
    assert session.scalars(select(Machine.code).where(Machine.tags.contains("x"))).all() == ["m"]
    assert session.scalars(select(Machine.power).where(Machine.tags.contains("x"))).all() == [1]
    machine = session.scalars(select(Machine).options(selectinload(Machine.tags))).one()
    machine.tags -= {"x"}
    session.commit()
    assert machine.tags == {"y"}


def test_concrete_inheritance_puts_them_on_the_row_of_the_own_table(session: Session) -> None:
    session.add_all([Animal(id=1, tags={"x", "animal"}), Owl(id=1, tags={"y", "owl"}), Owl(id=2, tags={"x"})])
    session.commit()
    session.expunge_all()
    assert types(session) == {("animal", "x"), ("animal", "animal"), ("owl", "y"), ("owl", "owl"), ("owl", "x")}

    def found(statement: Any) -> list[tuple[str, int, set[str]]]:
        return sorted((type(a).__name__, a.id, set(a.tags)) for a in session.scalars(statement))

    assert found(select(Animal)) == [
        ("Animal", 1, {"x", "animal"}), ("Owl", 1, {"y", "owl"}), ("Owl", 2, {"x"}),
    ]  # fmt: skip
    assert found(select(Animal).where(tagged(Animal, "x"))) == [("Animal", 1, {"x", "animal"}), ("Owl", 2, {"x"})]
    assert found(select(Animal).where(Animal.tags.contains("owl"))) == [("Owl", 1, {"y", "owl"})]
    alias = aliased(Animal)
    assert found(select(alias).where(tagged(alias, "animal"))) == [("Animal", 1, {"x", "animal"})]
    assert found(select(Owl).where(Owl.tags.contains("x"))) == [("Owl", 2, {"x"})]


def test_concrete_inheritance_below_a_class_without_a_table(session: Session) -> None:
    session.add_all([Tree(id=1, tags={"x", "tree"}), Herb(id=1, tags={"herb"}), Herb(id=2, tags={"x"})])
    session.commit()
    session.expunge_all()
    assert types(session) == {("tree", "x"), ("tree", "tree"), ("herb", "herb"), ("herb", "x")}
    found = session.scalars(select(Plant).where(tagged(Plant, "x")))
    assert sorted((type(p).__name__, *p.tags) for p in found) == [("Herb", "x"), ("Tree", "tree", "x")]
    assert [t.id for t in session.scalars(select(Tree).where(Tree.tags.contains("tree")))] == [1]


def test_a_subclass_alone_may_be_tagged() -> None:
    class Own(DeclarativeBase):
        pass

    class Thing(Own):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    class Book(Tagged, Thing):
        __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012

    assert Book(tags={"a"}).tags == {"a"}
    assert inspect(Book).get_property("tags").entity_table.type == "thing"
    assert not hasattr(Thing, "tags")


def test_the_mixin_on_the_base_of_all_models(session: Session) -> None:
    class Own(Tagged, DeclarativeBase):
        pass

    class One(Own):
        __tablename__ = "article"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")
        others: Mapped[list[Other]] = relationship("Other", primaryjoin="foreign(Other.id) == One.id")

    class Other(Own):
        __tablename__ = "author"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    session.add(One(id=1, tags={"a"}, others=[Other(id=1, name="n", tags={"b"})]))
    session.commit()
    assert types(session) == {("article", "a"), ("author", "b")}
    assert not hasattr(Own, "tags")


def test_imperative_mapping(session: Session) -> None:
    class Thing(Tagged):
        pass

    mapping = registry()
    table = Table("badge", mapping.metadata, Column("code", String, primary_key=True), Column("holder", String))
    mapping.map_imperatively(Thing, table)
    thing = Thing()
    thing.code, thing.holder = "x", ""  # type: ignore[attr-defined]
    thing.tags |= {"a"}
    session.add(thing)
    session.commit()
    assert types(session) == {("badge", "a")}
    assert thing.tags == {"a"}
    mapping.dispose()


def test_reflected_tables(session: Session) -> None:
    class Own(DeclarativeBase):
        metadata = MetaData()

    class Thing(Tagged, Own):
        __table__ = Table("badge", Own.metadata, autoload_with=session.connection())

    session.add(Thing(code="x", holder="", tags={"a"}))
    session.commit()
    assert types(session) == {("badge", "a")}


def test_what_cannot_be_tagged_is_refused_where_it_is_mapped() -> None:
    class Own(DeclarativeBase):
        pass

    with pytest.raises(exc.InvalidRequestError, match="has an attribute `tags` of its own"):

        class Clash(Tagged, Own):
            __tablename__ = "clash"
            id: Mapped[int] = mapped_column(primary_key=True)
            tags: Mapped[str]  # type: ignore[assignment]

    with pytest.raises(exc.InvalidRequestError, match="tags are on rows of the main database"):

        class Elsewhere(Tagged, Own):
            __tablename__ = "elsewhere"
            __table_args__ = {"schema": "other"}  # noqa: RUF012
            id: Mapped[int] = mapped_column(primary_key=True)

    base = Table("base", Own.metadata, Column("id", Integer, primary_key=True))

    with pytest.raises(exc.InvalidRequestError, match="tags are on rows of tables"):

        class Query(Tagged, Own):
            __table__ = select(base).subquery()
            __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012

    with pytest.raises(exc.InvalidRequestError, match="columns of its own named rowid, _rowid_, oid"):

        class Full(Tagged, Own):
            __tablename__ = "full"
            key: Mapped[str] = mapped_column(primary_key=True)
            ROWID: Mapped[str]
            _rowid_: Mapped[str]
            oid: Mapped[str]


CLEARED = """
from sqlalchemy.orm import DeclarativeBase, Mapped, clear_mappers, mapped_column
from entitydb_dialect import Tagged, tagged

def mapped():
    class Base(DeclarativeBase):
        pass

    class Article(Tagged, Base):
        __tablename__ = "article"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Badge(Tagged, Base):
        __tablename__ = "badge"
        code: Mapped[str] = mapped_column(primary_key=True)

    Base.registry.configure()
    return Base, Article, Badge

def use(*classes):
    for cls in classes:
        assert cls(tags={"a"}).tags == {"a"}
        tagged(cls, "a")

use(*mapped()[1:])
clear_mappers()
first, *firsts = mapped()
use(*firsts)
second, *seconds = mapped()
first.registry.dispose()
use(*seconds)
print("done")
"""


@pytest.mark.slow
def test_registries_are_configured_disposed_of_and_cleared(tmp_path: Path) -> None:
    """In a process of its own: it clears everybody's mappers, and its warnings are errors."""
    package = str(Path(entitydb_dialect.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLEARED], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")
