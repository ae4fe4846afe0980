"""commit_moment(), resolve() and begin_at() over a database that is not EntityDB."""

from __future__ import annotations

import datetime as dt
import gc
import time
import weakref

import pytest
from sqlalchemy import Engine, create_engine, exc, select
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from entitydb_dialect import HorizonError
from entitydb_dialect.history import at, begin_at, commit_moment, resolve, to_ns

from .conftest import Account, Base
from .fake import FakeBackend


def test_the_last_commit_of_a_connection_is_its_own(engine: Engine, backend: FakeBackend, moments: list[int]) -> None:
    engine.dispose()  # connections from now on are new
    with engine.connect() as one, engine.connect() as two:
        with pytest.raises(exc.InvalidRequestError, match="nothing has been committed"):
            commit_moment(one)
        for connection in (one, two):
            connection.execute(Account.__table__.insert().values(balance=5))
            connection.commit()
        assert moments[-1] < commit_moment(one) < commit_moment(two)
        with Session(one) as session:
            assert commit_moment(session) == commit_moment(one)


def test_the_backend_is_told_which_session_asks(engine: Engine, backend: FakeBackend, moments: list[int]) -> None:
    scoped = scoped_session(sessionmaker(engine))
    engine.dispose()  # connections from now on are new
    with Session(engine) as session, engine.connect() as connection:
        for source in (session, scoped, connection):
            with pytest.raises(exc.InvalidRequestError):
                commit_moment(source)
        assert commit_moment(engine) == moments[-1]
        assert backend.asked == [session, scoped(), None, None]
    scoped.remove()


def _add(session: Session, balance: int) -> None:
    session.add(Account(balance=balance))
    session.commit()


def test_a_commit_moment_belongs_to_who_committed(engine: Engine, backend: FakeBackend, moments: list[int]) -> None:
    """The kind: a Session, a Connection or an Engine that shares a thread or a pooled connection with another."""
    with Session(engine) as first, Session(engine) as second, Session(engine) as third:
        _add(first, 1)
        _add(second, 2)
        one, two = commit_moment(first), commit_moment(second)
        assert moments[-1] < one < two == commit_moment(engine)
        first.scalars(select(Account)).all()
        first.commit()
        assert commit_moment(first) == one, "reading makes no commit"
        _add(first, 3)
        first.scalars(select(Account)).all()
        first.rollback()
        assert commit_moment(first) > two == commit_moment(second)
        with pytest.raises(exc.InvalidRequestError, match="committed yet by this Session"):
            commit_moment(third)
    with engine.begin() as connection:
        connection.execute(Account.__table__.insert().values(balance=4))
    assert commit_moment(engine) > commit_moment(first), "a Session's connection, lent to somebody else"
    with engine.connect() as connection, pytest.raises(exc.InvalidRequestError, match="by this Connection"):
        commit_moment(connection)


def test_a_commit_moment_is_the_parents_and_not_the_past_sessions(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session, at(session, moments[1]) as past:
        past.get_one(Account, 1)
        session.add(Account(balance=5))
        session.flush()
        past.expire_all()
        past.get_one(Account, 1)
        session.commit()
        assert commit_moment(session) > moments[-1]


def test_a_session_on_a_connection_shares_its_commits(engine: Engine, moments: list[int]) -> None:
    with engine.connect() as connection, Session(connection) as session:
        session.add(Account(balance=5))
        session.commit()
        assert commit_moment(session) == commit_moment(connection) == commit_moment(engine) > moments[-1]
    with engine.connect() as connection, connection.begin() as outer:
        session = Session(connection, join_transaction_mode="create_savepoint")
        _add(session, 6)
        with pytest.raises(exc.InvalidRequestError):
            commit_moment(session)
        outer.commit()
        assert commit_moment(session) == commit_moment(connection)


@pytest.mark.slow
def test_sessions_are_not_kept_alive(engine: Engine, moments: list[int]) -> None:
    session = Session(engine)
    _add(session, 1)
    session.close()
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None


def test_nothing_committed(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(exc.InvalidRequestError, match="nothing has been committed"):
        commit_moment(session)


def test_a_resolved_moment_is_settled(engine: Engine, moments: list[int]) -> None:
    balance = select(Account.balance).where(Account.id == 1)
    with Session(engine) as session, engine.connect() as connection:
        assert resolve(engine, moments[1]) == resolve(session, moments[1]) == resolve(connection, moments[1])
        now = resolve(connection, dt.timedelta(0))
        later = resolve(connection, time.time_ns() + 10**12)
        assert now <= later <= time.time_ns()
        session.get_one(Account, 1).balance = 9
        session.commit()
        assert commit_moment(session) > later
        assert connection.scalar(balance, execution_options={"as_of": now}) == 3
        assert connection.scalar(balance, execution_options={"as_of": later}) == 3
    with pytest.raises(HorizonError):
        resolve(engine, 0)


def test_an_import_keeps_the_times_of_its_history(engine: Engine, backend: FakeBackend) -> None:
    days = [dt.date(2009, 1, day) for day in (1, 2, 5)]
    for i, day in enumerate(days):
        with begin_at(engine, day) as connection:
            if i == 0:
                Base.metadata.create_all(connection)
            with Session(connection) as session:
                session.add(Account(balance=i))
                session.commit()
    assert [commit.moment_ns for commit in backend.commits] == [to_ns(day, start=True) for day in days]
    with engine.connect() as connection:
        found = select(Account.balance).execution_options(as_of="2009-01-04")
        assert connection.scalars(found).all() == [0, 1]
        connection.execute(Account.__table__.insert().values(balance=7))
        connection.commit()
        assert commit_moment(connection) > to_ns(days[-1]), "the clock's time again"


def test_begin_at_keeps_nothing_of_what_fails(engine: Engine, moments: list[int]) -> None:
    for moment in (moments[-1], time.time_ns() + 10**12):
        with pytest.raises(Exception, match="change the past"), begin_at(engine, moment) as connection:
            connection.execute(Account.__table__.insert().values(balance=7))
    with pytest.raises(ZeroDivisionError), begin_at(engine, time.time_ns()) as connection:  # noqa: PT012
        connection.execute(Account.__table__.insert().values(balance=7))
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert connection.scalars(select(Account.balance)).all() == [3]


def test_sources_that_cannot_be_asked(engine: Engine) -> None:
    other = create_engine("sqlite://")
    with pytest.raises(exc.ArgumentError, match="not a Session"):
        commit_moment(object())  # type: ignore[arg-type]
    for source in (other, Session(other), scoped_session(sessionmaker(other))):
        with pytest.raises(exc.ArgumentError, match="not a database of EntityDB"):
            resolve(source, 0)
        with pytest.raises(exc.ArgumentError, match="not a database of EntityDB"):
            commit_moment(source)  # type: ignore[arg-type]
    with pytest.raises(exc.ArgumentError, match="not an Engine"), begin_at(Session(engine), 0):  # type: ignore[arg-type]
        pass
    with pytest.raises(exc.UnboundExecutionError):
        resolve(Session(), 0)
    other.dispose()
