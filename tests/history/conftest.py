"""An Engine over the fake database, one row in it that every commit changes, and a Session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.schema import ForeignKey

from . import fake


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    entries: Mapped[list[Entry]] = relationship(order_by="Entry.id")


class Entry(Base):
    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    amount: Mapped[int]


def fill(session: Session) -> list[int]:
    """Commit i leaves a balance of i, and i entries. -> the moments of the commits."""
    backend = session.get_bind().dialect.history_backend
    session.add(Account(id=1, balance=0))
    session.commit()
    for i in range(1, 4):
        account = session.get_one(Account, 1)
        account.balance = i
        account.entries.append(Entry(amount=10 * i))
        session.commit()
    moments = [commit.moment_ns for commit in backend.commits[-4:]]
    assert moments == sorted(set(moments))
    return moments


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("fakehistory://")
    with engine.connect():  # the database lives as long as one of its connections
        yield engine
    engine.dispose()


@pytest.fixture
def backend(engine: Engine) -> fake.FakeBackend:
    found = engine.dialect.history_backend
    assert isinstance(found, fake.FakeBackend)
    return found


@pytest.fixture
def moments(engine: Engine) -> list[int]:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        return fill(session)
