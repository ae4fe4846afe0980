"""run_transaction(), and SerializationFailure around Sessions and Connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, exc, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

import entitydb_dialect
from entitydb_dialect import SerializationFailure, Transaction, run_transaction, transaction_info

ADD = text("UPDATE account SET balance = balance + 1")


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Clock:
    """A sleep that only notes how long, and numbers at random that are chosen."""

    def __init__(self, *numbers: float) -> None:
        self.slept: list[float] = []
        self.numbers = list(numbers)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def async_sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def random(self) -> float:
        return self.numbers.pop(0) if self.numbers else 1.0


@pytest.fixture(params=["entitydb", "sqlite+entitydb"])
def engine(request: pytest.FixtureRequest, make_engine: Callable[..., Engine], tmp_path: Path) -> Engine:
    engine = make_engine(f"{request.param}:///{tmp_path}/t.edb")
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Account(id=1, balance=0))
    return engine


def balance(engine: Engine) -> Any:
    with engine.connect() as connection:
        return connection.scalar(select(Account.balance))


class Race:
    """A function that others are faster than, so many times."""

    def __init__(self, engine: Engine, losses: int) -> None:
        self.engine, self.losses = engine, losses
        self.attempts = 0
        self.sessions: list[Session] = []

    def __call__(self, session: Session) -> str:
        self.attempts += 1
        self.sessions.append(session)
        account = session.get_one(Account, 1)
        account.balance += 100
        if self.attempts <= self.losses:
            with self.engine.begin() as connection:
                connection.execute(ADD)
        return f"attempt {self.attempts}"


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_it_runs_until_nobody_is_faster(engine: Engine, losses: int) -> None:
    clock, race = Clock(), Race(engine, losses)
    found = run_transaction(sessionmaker(engine), race, sleep=clock.sleep, random=clock.random)
    assert found == f"attempt {losses + 1}"
    assert balance(engine) == 100 + losses
    assert len({id(session) for session in race.sessions}) == losses + 1, "each attempt has a Session of its own"
    assert clock.slept == [0.005, 0.01, 0.02][:losses]


def test_the_pauses_are_at_random_double_and_end_at_a_second(engine: Engine) -> None:
    clock = Clock(0.5, 0.0, 0.25)
    with pytest.raises(SerializationFailure):
        run_transaction(sessionmaker(engine), Race(engine, 99), 12, sleep=clock.sleep, random=clock.random)
    assert clock.slept == [0.0025, 0.0, 0.005, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]


def test_the_last_failure_is_raised_and_nothing_of_it_is_left(engine: Engine) -> None:
    clock, race = Clock(), Race(engine, 99)
    with pytest.raises(exc.OperationalError) as caught:
        run_transaction(lambda: Session(engine), race, attempts=3, sleep=clock.sleep, random=clock.random)
    assert isinstance(caught.value, SerializationFailure)
    assert (race.attempts, len(clock.slept), balance(engine)) == (3, 2, 3)
    with pytest.raises(SerializationFailure):
        run_transaction(lambda: Session(engine), Race(engine, 1), attempts=1, sleep=clock.sleep)
    assert len(clock.slept) == 2


def test_another_error_is_raised_at_once(engine: Engine) -> None:
    attempts = []

    def fails(session: Session) -> None:
        attempts.append(session)
        session.execute(ADD)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        run_transaction(sessionmaker(engine), fails)

    def twice(session: Session) -> None:
        attempts.append(session)
        session.execute(text("INSERT INTO account VALUES (1, 1)"))

    with pytest.raises(exc.IntegrityError):
        run_transaction(sessionmaker(engine), twice)
    assert (len(attempts), balance(engine)) == (2, 0)


@pytest.mark.parametrize(
    "error",
    [exc.StatementError("in a default", "INSERT ...", {}, SerializationFailure("lost")),
     exc.StatementError("in one in a default", "INSERT ...", {}, exc.StatementError("in a default", "INSERT ...", {},
                                                                                    SerializationFailure("lost"))),
     SerializationFailure("of the driver")],
    ids=["wrapped", "wrapped twice", "bare"],
)  # fmt: skip
def test_a_failure_is_seen_through_the_statement_errors_around_it(engine: Engine, error: Exception) -> None:
    """Raised by a function that a statement calls, it comes as a StatementError whose `orig` it is."""
    attempts = []

    def work(session: Session) -> int:
        attempts.append(session)
        if len(attempts) < 3:
            raise error
        return 7

    assert run_transaction(sessionmaker(engine), work, sleep=Clock().sleep) == 7
    unrelated = exc.StatementError("in a default", "INSERT ...", {}, KeyError("lost"))
    with pytest.raises(exc.StatementError) as caught:
        run_transaction(sessionmaker(engine), lambda session: (_ for _ in ()).throw(unrelated))
    assert caught.value is unrelated


def test_a_race_that_is_lost_in_the_default_of_a_column_is_run_again(engine: Engine) -> None:
    def number(context: Any) -> int:
        """Takes a number from a table, in a transaction of its own that others may be faster than."""
        other = Session(engine)
        try:
            other.execute(ADD)
            if len(attempts) < 3:
                with engine.begin() as faster:
                    faster.execute(ADD)
            other.commit()
        finally:
            other.close()
        return len(attempts)

    columns = Column("id", Integer, primary_key=True), Column("n", Integer, default=number)
    numbered = Table("numbered", MetaData(), *columns)
    numbered.create(engine)
    attempts: list[Session] = []

    def work(session: Session) -> None:
        attempts.append(session)
        session.execute(numbered.insert())

    run_transaction(sessionmaker(engine), work, sleep=Clock().sleep)
    with engine.connect() as connection:
        assert connection.scalars(select(numbered.c.n)).all() == [3]


def test_who_and_why_are_said_of_the_attempt_that_won(engine: Engine) -> None:
    with transaction_info(actor="ann"):
        run_transaction(sessionmaker(engine), Race(engine, 1), sleep=Clock().sleep)
    with Session(engine) as session:
        actors = session.scalars(select(Transaction.actor).order_by(Transaction.id.desc()).limit(3)).all()
    assert actors == ["ann", "ann", None], "the one that was faster, too, was in the block"


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3", None])
def test_attempts_that_are_no_number_are_refused(engine: Engine, attempts: Any) -> None:
    with pytest.raises(exc.ArgumentError, match="attempts is a number from 1"):
        run_transaction(sessionmaker(engine), lambda session: None, attempts)


@pytest.mark.slow
def test_sessions_of_a_registry_are_taken_too(engine: Engine) -> None:
    scoped = scoped_session(sessionmaker(engine))
    assert run_transaction(scoped, Race(engine, 1), sleep=Clock().sleep) == "attempt 2"
    scoped.remove()


# ---- the exception ----


def _by_session(engine: Engine) -> Callable[[], Any]:
    session = Session(engine)
    session.get_one(Account, 1).balance += 1
    session.flush()
    return session.commit


def _by_connection(engine: Engine) -> Callable[[], Any]:
    connection = engine.connect()
    connection.execute(ADD)
    return connection.commit


def _by_block(engine: Engine) -> Callable[[], Any]:
    def work() -> None:
        with engine.begin() as connection:
            connection.execute(ADD)
            with engine.begin() as faster:
                faster.execute(ADD)

    return work


@pytest.mark.parametrize("make", [_by_session, _by_connection, _by_block])
def test_a_serialization_failure_is_caught_by_its_name_and_by_sqlalchemys(engine: Engine, make: Any) -> None:
    fail = make(engine)
    with engine.begin() as connection:
        connection.execute(ADD)
    with pytest.raises(SerializationFailure) as caught:
        fail()
    assert isinstance(caught.value, exc.OperationalError)
    assert type(caught.value.orig) is SerializationFailure


# ---- asyncio ----


@pytest.mark.parametrize("url", ["entitydb+aio", "sqlite+entitydb_aio"])
def test_the_async_twin_does_the_same(tmp_path: Path, url: str) -> None:
    pytest.importorskip("greenlet")
    from entitydb_dialect.aio import run_transaction as run_async

    async def opened() -> AsyncEngine:
        engine = create_async_engine(f"{url}:///{tmp_path}/a.edb")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session, session.begin():
            session.add(Account(id=1, balance=0))
        return engine

    async def main() -> None:
        engine = await opened()
        sessions = async_sessionmaker(engine)
        attempts = 0

        async def work(session: AsyncSession) -> int:
            nonlocal attempts
            attempts += 1
            account = await session.get_one(Account, 1)
            account.balance += 100
            if attempts <= 2:
                async with engine.begin() as connection:
                    await connection.execute(ADD)
            return attempts

        clock = Clock(0.5)
        assert await run_async(sessions, work, sleep=clock.async_sleep, random=clock.random) == 3
        assert clock.slept == [0.0025, 0.01]
        attempts = -9
        with pytest.raises(SerializationFailure) as caught:
            await run_async(sessions, work, 2, sleep=clock.async_sleep, random=clock.random)
        assert isinstance(caught.value, exc.OperationalError)
        assert attempts == -7
        with pytest.raises(exc.ArgumentError):
            await run_async(sessions, work, 0)
        async with engine.connect() as connection:
            assert await connection.scalar(select(Account.balance)) == 104
            assert await connection.run_sync(entitydb_dialect.check) == []
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["entitydb+aio", "sqlite+entitydb_aio"])
def test_many_tasks_count_to_what_they_are(tmp_path: Path, url: str) -> None:
    pytest.importorskip("greenlet")
    from entitydb_dialect.aio import run_transaction as run_async

    async def main() -> None:
        engine = create_async_engine(f"{url}:///{tmp_path}/a.edb")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        sessions = async_sessionmaker(engine)
        async with sessions() as session, session.begin():
            session.add(Account(id=1, balance=0))

        async def work(session: AsyncSession) -> None:
            await session.execute(update(Account).values(balance=Account.balance + 1))

        await asyncio.gather(*(run_async(sessions, work, 200) for _ in range(5)))
        async with engine.connect() as connection:
            assert await connection.scalar(select(Account.balance)) == 5
        await engine.dispose()

    asyncio.run(main())
