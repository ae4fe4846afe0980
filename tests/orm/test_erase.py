"""erase(): objects, columns, what is related, and receipts. tests/engine/upkeep/test_erase.py has the engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, exc, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from entitydb_dialect import (
    SerializationFailure,
    Tagged,
    Transaction,
    WrappedSerializationFailure,
    at,
    check,
    commit_moment,
    compact,
    erase,
    erased_key_hash,
    erasures,
    tagged,
    verify,
)

from .models import Badge, Base, Department, Employee, Engineer, Skill


class Own(DeclarativeBase):
    pass


class Person(Tagged, Own):
    __tablename__ = "person"
    email: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(index=True)
    born: Mapped[str | None]
    orders: Mapped[list[Order]] = relationship(back_populates="person", cascade="all, delete-orphan")


class Order(Own):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_email: Mapped[str | None] = mapped_column(ForeignKey("person.email"))
    what: Mapped[str]
    person: Mapped[Person | None] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan")


class Line(Own):
    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    text: Mapped[str]


@pytest.fixture
def people(tmp_path: Path) -> Any:
    engine = create_engine(f"entitydb:///{tmp_path / 'a.edb'}")
    Own.metadata.create_all(engine)
    yield engine
    assert check(engine) == []
    assert verify(engine).breaks == ()
    engine.dispose()


def filled(engine: Engine) -> int:
    """Two people with orders, changed and deleted in part. -> a moment when all were there."""
    with Session(engine) as session:
        for name in ("Ann", "Bob"):
            person = Person(email=f"{name}@example.org", name=f"{name} Marker", born="1970-01-01")
            person.orders = [Order(what=f"{name} orders {n}", lines=[Line(text=f"{name} line {n}")]) for n in range(3)]
            person.tags = {f"of:{name}", "all"}
            session.add(person)
        session.commit()
        moment = commit_moment(session)
        assert moment is not None
        ann = session.get_one(Person, "Ann@example.org")
        ann.name = "Ann Marker-Second"
        del ann.orders[0]
        session.commit()
    return moment


def file_of(engine: Engine) -> bytes:
    assert engine.url.database is not None
    return Path(engine.url.database).read_bytes()


def test_an_object_and_what_was_ever_related_to_it(people: Engine) -> None:
    moment = filled(people)
    with Session(people) as session:
        ann = session.get_one(Person, "Ann@example.org")
        receipt = erase(session, ann, reason="asked for", actor="bob", cascade=["orders.lines"])
        assert session.scalars(select(Person.email)).all() == ["Bob@example.org"]
        assert session.scalars(select(Person).where(tagged(Person, "all"))).all() == [
            session.get(Person, "Bob@example.org")
        ]
    assert (receipt.table, receipt.columns, receipt.versions) == ("person", None, 2)
    assert receipt.key_hash == erased_key_hash("person", ["Ann@example.org"])
    assert sorted(one.table for one in receipt.related) == ["line"] * 3 + ["order"] * 3
    with at(people, moment) as past:
        assert past.scalars(select(Person.name)).all() == ["Bob Marker"]
        assert past.get(Person, "Ann@example.org") is None
        assert len(past.scalars(select(Order)).all()) == len(past.scalars(select(Line)).all()) == 3
        assert len(past.scalars(select(Person).where(tagged(Person, "all"))).all()) == 1
    assert b"Ann line" in file_of(people)
    assert compact(people).bytes_held == 0
    found = file_of(people)
    assert [mark for mark in (b"Ann Marker", b"Ann orders", b"Ann line", b"Ann@") if mark in found] == []
    assert b"Bob line" in found


def test_receipts_say_who_and_why(people: Engine) -> None:
    filled(people)
    assert erasures(people) == []
    with Session(people) as session:
        receipt = erase(session, (Person, "Ann@example.org"), reason="law", actor="bob", cascade="orders")
    found = erasures(people)
    assert [(one.table, one.reason, one.actor) for one in found[:2]] == [
        ("person", "law", "bob"), ("order", "law", "bob")
    ]  # fmt: skip
    assert {one.transaction for one in found} == {receipt.transaction}
    with Session(people) as session:
        said = session.get_one(Transaction, receipt.transaction)
        assert (said.actor, said.reason) == ("bob", "law")
    assert said.metadata["erased"][0] == {"table": "person", "hash": receipt.key_hash, "columns": None}


def test_columns_become_null_at_every_moment(people: Engine) -> None:
    moment = filled(people)
    with Session(people) as session:
        ann = session.get_one(Person, "Ann@example.org")
        receipt = erase(session, ann, columns=["name"], reason="asked for")
        assert (ann.name, ann.born) == (None, "1970-01-01")
    assert receipt.columns == ("name",)
    with at(people, moment) as past:
        ann = past.get_one(Person, "Ann@example.org")
        assert (ann.name, ann.born) == (None, "1970-01-01")
        assert past.scalars(select(Person.email).order_by(Person.name)).all() == ["Ann@example.org", "Bob@example.org"]
        assert past.scalars(select(Person.email).where(Person.name == "Ann Marker")).all() == []
    compact(people)
    assert b"Ann Marker" not in file_of(people)


def test_a_row_that_was_deleted_before(people: Engine) -> None:
    moment = filled(people)
    with Session(people) as session:
        session.delete(session.get_one(Person, "Ann@example.org"))
        session.commit()
    receipt = erase(people, (Person, "Ann@example.org"), reason="later", cascade="orders")
    assert len(receipt.related) == 3
    with at(people, moment) as past:
        assert past.scalars(select(Person.name)).all() == ["Bob Marker"]
    with pytest.raises(exc.NoResultFound, match="no version"):
        erase(people, (Person, "Ann@example.org"))


def test_constraints_are_judged_before_anything_is_erased(people: Engine) -> None:
    moment = filled(people)
    with people.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE other(e TEXT NOT NULL REFERENCES person(email))")
        connection.exec_driver_sql("INSERT INTO other VALUES ('Ann@example.org')")
        connection.commit()
    with Session(people) as session:
        with pytest.raises(exc.IntegrityError):
            erase(session, (Person, "Ann@example.org"))
        session.rollback()
    assert erasures(people) == []
    with at(people, moment) as past:
        assert past.get(Person, "Ann@example.org") is not None


def test_what_is_no_subject_is_refused(people: Engine) -> None:
    filled(people)
    with Session(people) as session:
        cases: list[tuple[Any, dict[str, Any]]] = [
            ("Ann", {}),
            (Person(email="new"), {}),
            ((Person, (1, 2)), {}),
            ((Person, "Ann@example.org"), {"columns": ["no"]}),
            ((Person, "Ann@example.org"), {"columns": []}),
            ((Person, "Ann@example.org"), {"cascade": "no"}),
            ((Person, "Ann@example.org"), {"columns": ["name"], "cascade": "orders"}),
        ]
        for subject, options in cases:
            with pytest.raises(exc.ArgumentError):
                erase(session, subject, **options)
    with people.connect() as connection, connection.begin(), pytest.raises(exc.ArgumentError, match="two transactions"):
        erase(connection, (Person, "Ann@example.org"))
    assert erasures(people) == []


def test_who_began_before_cannot_write_the_row_again(people: Engine) -> None:
    filled(people)
    with Session(people) as other:
        other.get_one(Person, "Ann@example.org").born = "1980-01-01"
        other.flush()
        erase(people, (Person, "Ann@example.org"), cascade="orders")
        with pytest.raises((SerializationFailure, WrappedSerializationFailure)):
            other.commit()


def test_inheritance_and_link_rows(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        skill = Skill(name="C")
        ann = Engineer(name="Ann", language="C", skills=[skill], badge=Badge(code="x"), department=Department(name="d"))
        session.add_all([ann, Engineer(name="Bob", language="C", skills=[skill])])
        session.commit()
        moment, key = commit_moment(session), ann.id
        receipt = erase(session, ann, cascade=["badge", "skills"])
    assert receipt.table == "employee"
    assert sorted(one.table for one in receipt.related) == [
        "badge", "employee_skill", "engineer", "skill"
    ]  # fmt: skip
    assert moment is not None
    with at(engine, moment) as past:
        assert past.get(Employee, key) is None
        assert past.scalars(select(Badge)).all() == []
        assert past.scalars(select(Skill)).all() == []
        assert past.scalars(select(Engineer.name)).all() == ["Bob"]


def test_async(tmp_path: Path) -> None:
    async def run() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path / 'b.edb'}")
        async with engine.begin() as connection:
            await connection.run_sync(Own.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add(Person(email="a", name="A"))
            await session.commit()
            receipt = await session.run_sync(erase, (Person, "a"), reason="asked for")
            assert await session.run_sync(erasures) == [receipt]
        await engine.dispose()

    asyncio.run(run())


class Plain(Own):
    __tablename__ = "plain"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012
    one: Mapped[str] = mapped_column(primary_key=True)
    two: Mapped[int] = mapped_column(primary_key=True)
    secret: Mapped[str]


def test_a_key_of_two_columns_without_rowid(people: Engine) -> None:
    with Session(people) as session:
        session.add_all([Plain(one="a", two=n, secret=f"secret {n}") for n in range(3)])
        session.commit()
        moment = commit_moment(session)
        receipt = erase(session, (Plain, ("a", 1)))
    assert receipt.key_hash == erased_key_hash("plain", ["a", 1])
    assert moment is not None
    with at(people, moment) as past:
        assert past.scalars(select(Plain.two).order_by(Plain.two)).all() == [0, 2]
    compact(people)
    assert b"secret 1" not in file_of(people)
    assert b"secret 2" in file_of(people)
