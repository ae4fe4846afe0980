"""The tags of declared columns are in the set, as the object's attributes have them; the engine writes them."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, ForeignKey, Numeric, String, Text, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, selectinload

from entitydb_dialect import EntityDBWarning, TagError, Tagged, at, commit_moment, tag_values, tagged


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Page(Tagged, Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str | None] = mapped_column(String(20), info={"tag": "status"})
    level: Mapped[int | None] = mapped_column("lvl", info={"tag": "level"})
    title: Mapped[str] = mapped_column(default="")


class Label(Tagged, Base):
    __tablename__ = "label"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    status: Mapped[str | None] = mapped_column(info={"tag": "status"})


class Sample(Tagged, Base):
    """A column of each type whose values may be tags."""

    __tablename__ = "sample"
    id: Mapped[int] = mapped_column(primary_key=True)
    string: Mapped[str | None] = mapped_column(info={"tag": "string"})
    integer: Mapped[int | None] = mapped_column(info={"tag": "integer"})
    boolean: Mapped[bool | None] = mapped_column(info={"tag": "boolean"})
    colour: Mapped[Colour | None] = mapped_column(info={"tag": "colour"})
    date: Mapped[dt.date | None] = mapped_column(info={"tag": "date"})
    moment: Mapped[dt.datetime | None] = mapped_column(info={"tag": "moment"})
    uuid: Mapped[uuid.UUID | None] = mapped_column(info={"tag": "uuid"})
    real: Mapped[float | None] = mapped_column(info={"tag": "real"})
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2), info={"tag": "price"})
    in_text: Mapped[Any] = mapped_column(Text, nullable=True, info={"tag": "in_text"})


@pytest.fixture
def session(make_engine: Callable[..., Engine]) -> Iterator[Session]:
    engine = make_engine("entitydb://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


def stored(session: Session, kind: str = "page") -> set[str]:
    return set(session.scalars(text("SELECT tag FROM entitydb_tags WHERE type = :kind"), {"kind": kind}))


def test_they_follow_the_attributes_and_the_engine_writes_them(session: Session) -> None:
    page = Page(id=1, status="draft", tags={"topic:owls"})
    assert page.tags == {"status:draft", "topic:owls"}
    session.add(page)
    session.flush()
    assert stored(session) == {"status:draft", "topic:owls"}
    page.status, page.level = "live", 3
    assert page.tags == {"status:live", "level:3", "topic:owls"}
    assert page.tags["status"] == {"live"}
    assert "status:draft" not in page.tags
    session.commit()
    assert stored(session) == set(page.tags)
    page.status = None
    session.commit()
    assert page.tags == {"level:3", "topic:owls"} == stored(session)
    session.execute(text("UPDATE page SET status = 'raw'"))
    session.expire_all()
    assert page.tags == {"status:raw", "level:3", "topic:owls"} == stored(session)


def test_they_are_not_written_by_hand(session: Session) -> None:
    page = Page(id=1, status="draft", tags={"a"})
    for write in (
        lambda: page.tags.add("status:live"),
        lambda: page.tags.discard("status:draft"),
        lambda: page.tags.remove("status:draft"),
        lambda: page.tags.set_one("status", "live"),
        lambda: page.tags.set_one("status", None),
        lambda: page.tags.update(["b", "level:1"]),
        lambda: page.tags.symmetric_difference_update({"b", "status:draft"}),
        lambda: setattr(page, "tags", {"b", "status:live"}),
    ):
        with pytest.raises(TagError, match=r"is a tag of the column page\.(status|lvl): change the attribute"):
            write()
    assert page.tags == {"a", "status:draft"}


def test_what_leaves_them_alone_is_no_error(session: Session) -> None:
    page = Page(id=1, status="draft", tags={"a"})
    session.add(page)
    session.commit()
    page.tags |= {"status:draft", "b"}
    page.tags -= {"status:live", "a"}
    page.tags.set_one("status", "draft")
    page.tags ^= {"c"}
    assert page.tags == {"status:draft", "b", "c"}
    page.tags = {"status:draft", "d"}
    assert page.tags == {"status:draft", "d"}
    page.tags = {"e"}
    assert page.tags == {"status:draft", "e"}
    page.tags &= set()
    assert page.tags == {"status:draft"}
    page.tags.add("f")
    page.tags.clear()
    assert page.tags == {"status:draft"}
    with pytest.raises(KeyError):
        page.tags.pop()
    session.commit()
    assert stored(session) == {"status:draft"}


def test_objects_with_them_are_loaded_deleted_replaced_and_merged(session: Session) -> None:
    session.add_all(Page(id=i, status="live", tags={f"nr:{i}"}) for i in range(1, 4))
    session.add(Label(code="x", status="live", tags={"a"}))
    session.commit()
    session.expunge_all()
    pages = session.scalars(select(Page).options(selectinload(Page.tags))).all()
    assert [set(page.tags) for page in pages] == [{"status:live", f"nr:{i}"} for i in range(1, 4)]
    session.delete(pages[0])
    pages[1].status = "draft"
    session.expunge(pages[2])
    pages[2].status = "merged"
    pages[2].tags.add("new")
    session.merge(pages[2])
    label = session.get_one(Label, "x")
    session.delete(label)
    session.add(Label(code="x", status="new"))
    session.commit()
    assert stored(session) == {"status:draft", "nr:2", "status:merged", "nr:3", "new"}
    assert stored(session, "label") == {"status:new"}


def test_they_can_be_asked_for_as_of_any_moment(session: Session) -> None:
    page = Page(id=1, status="draft", level=5)
    session.add_all([page, Page(id=2, status="live")])
    session.commit()
    moment = commit_moment(session)
    page.status = "live"
    session.commit()
    assert session.scalars(select(Page.id).where(tagged(Page, "status:live"))).all() == [1, 2]
    assert session.scalars(select(Page.id).where(Page.tags.any("level:*"))).all() == [1]
    assert session.scalars(select(Page.id).where(~Page.tags.any())).all() == []
    assert tag_values(session, "status", Page) == {"live": 2}
    with at(session, moment) as past:
        assert past.get_one(Page, 1).tags == {"status:draft", "level:5"}
        assert tag_values(past, "status") == {"draft": 1, "live": 1}


def test_tag_columns_of_subclasses(make_engine: Callable[..., Engine]) -> None:
    """Of one in the base table they are tags of the object; of one in a table that is joined they cannot be."""

    class Own(DeclarativeBase):
        pass

    class Person(Tagged, Own):
        __tablename__ = "person"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    with pytest.warns(EntityDBWarning, match=r"engineer.language is a tag column of a table that is joined"):

        class Engineer(Person):
            __tablename__ = "engineer"
            id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
            language: Mapped[str] = mapped_column(info={"tag": "language"})
            __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012

    class Manager(Person):
        budget: Mapped[int | None] = mapped_column(info={"tag": "budget"})
        __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012

    assert Manager(budget=5, tags={"a"}).tags == {"budget:5", "a"}
    assert Person(tags={"a"}).tags == {"a"}
    with Session(make_engine("entitydb://")) as session:
        Own.metadata.create_all(session.connection())
        session.add(Manager(id=1, budget=5, tags={"a"}))
        session.flush()
        session.expunge_all()
        manager = session.scalars(select(Person).options(selectinload(Person.tags))).one()
        manager.tags = {"b"}
        session.flush()
        assert manager.tags == {"budget:5", "b"} == stored(session, "person")


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=10)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.fixed_dictionaries({}, optional={
    "string": TEXTS,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "colour": st.sampled_from(Colour),
    "date": st.dates(),
    "moment": st.datetimes(),
    "uuid": st.uuids(),
    "real": FLOATS | st.integers(-1000, 1000).map(float) | st.sampled_from([0.0, -0.0, 1e15, 1e16, 0.1 + 0.2, 1e-5]),
    "price": st.decimals(-99999999, 99999999, places=2),
    "in_text": TEXTS,
})  # fmt: skip


@pytest.mark.slow
@given(VALUES)
def test_an_object_shows_what_the_engine_makes_of_the_values(session: Session, values: dict[str, Any]) -> None:
    session.rollback()
    sample = Sample(id=1, **values)
    shown = set(sample.tags)
    session.add(sample)
    session.flush()
    assert shown == set(sample.tags) == stored(session, "sample")
    session.expire(sample)
    assert shown == set(sample.tags)
