"""What type checkers know of the time API. Checked by test_typed.py and never run."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload, sessionmaker
from typing_extensions import assert_type

from entitydb_dialect import TemporalSession, Versions, moment_of, past_class, temporal, versions
from entitydb_dialect.aio import AsyncTemporalSession


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[float]
    parts: Mapped[list[Part]] = relationship()


class Part(Base):
    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)


def of_moments(session: Session, moment: int) -> None:
    then = temporal(Product, as_of=moment)
    assert_type(then, type[Product])
    assert_type(temporal(Product, as_of=dt.date(2024, 1, 1)), type[Product])
    assert_type(temporal(Product, as_of="2024-01-01"), type[Product])
    assert_type(temporal(Product).between(dt.timedelta(days=-1), moment), type[Product])
    assert_type(temporal(Product).from_to("2024-01-01", "2024-02-01"), type[Product])
    assert_type(temporal(Product).contained_in(1, 2), type[Product])
    assert_type(temporal(Product).all(), type[Product])
    assert_type(session.scalars(select(then)).one(), Product)
    assert_type(session.scalars(select(then).options(selectinload(then.parts))).one().parts, list[Part])
    assert_type(session.scalars(select(then.price)).one(), float)
    assert_type(past_class(Product), type[Product])


def of_versions(session: Session) -> None:
    v = versions(Product)
    assert_type(v, Versions[Product])
    assert_type(v.entity, type[Product])
    assert_type(session.scalars(select(v.valid_from)).one(), int)
    assert_type(session.scalars(select(v.valid_to)).one(), int | None)
    assert_type(session.scalars(select(v.operation)).one(), str)
    assert_type(session.scalars(select(v.transaction_id)).one(), int)
    query = select(v.entity, v.valid_from).where(v.operation == "update", v.valid_to.is_(None)).order_by(v.valid_from)
    for product, begun in session.execute(query).all():
        assert_type(product, Product)
        assert_type(begun, int)
    session.execute(select(v.entity.name, func.count()).group_by(v.entity.name).where(v.valid_from > 5))
    other = temporal(Product, as_of=v.valid_from)
    session.execute(select(other.price).join(v.entity, v.entity.id == other.id))


def in_sessions(factory: sessionmaker[TemporalSession], moment: int) -> None:
    with factory() as session:
        assert_type(session, TemporalSession)
        assert_type(session.get(Product, 1, as_of=moment), Product | None)
        found = session.get_one(Product, 1, as_of=dt.date(2024, 1, 1), options=[selectinload(Product.parts)])
        assert_type(found, Product)
        assert_type(moment_of(found), int | None)


async def in_async_sessions(session: AsyncTemporalSession, moment: int) -> None:
    assert_type(await session.get(Product, 1, as_of=moment), Product | None)
    assert_type(await session.get_one(Product, 1), Product)


