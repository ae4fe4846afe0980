"""The option `as_of`: which one counts, and what it refuses."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, exc, select, text
from sqlalchemy.orm import Session

from .conftest import Account
from .fake import FakeBackend

BALANCE = select(Account.balance)


def test_a_statement_over_its_connection_over_its_engine(engine: Engine, moments: list[int]) -> None:
    past = engine.execution_options(as_of=moments[0])
    with past.connect() as connection:
        assert connection.scalar(BALANCE) == 0
        assert connection.scalar(BALANCE.execution_options(as_of=moments[2])) == 2
        assert connection.scalar(BALANCE, execution_options={"as_of": moments[1]}) == 1
        assert connection.scalar(BALANCE.execution_options(as_of=None)) == 3
    with past.connect().execution_options(as_of=moments[1]) as connection:
        assert connection.scalar(BALANCE) == 1
        assert connection.scalar(text("SELECT balance FROM account")) == 1
    with engine.connect() as connection:
        assert connection.scalar(BALANCE) == 3


def test_a_statement_without_a_moment_does_not_ask_the_backend(
    engine: Engine, backend: FakeBackend, moments: list[int]
) -> None:
    with engine.connect() as connection:
        connection.scalar(BALANCE)
    assert backend.seen == []


def test_any_kind_of_moment_reaches_the_backend_as_nanoseconds(
    engine: Engine, backend: FakeBackend, moments: list[int]
) -> None:
    with engine.connect() as connection:
        assert connection.scalar(BALANCE, execution_options={"as_of": "2261-01-01"}) == 3
        assert backend.seen == [9_183_196_799_999_999_999]
        with pytest.raises(exc.ArgumentError, match="not a moment"):
            connection.scalar(BALANCE, execution_options={"as_of": "yesterday"})


def test_mapped_classes_of_the_past_are_refused_beside_those_of_now(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session:
        now = session.get_one(Account, 1)
        for _ in range(2):  # the second time out of the statement cache
            with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
                session.scalars(select(Account), execution_options={"as_of": moments[0]}).all()
        assert session.scalar(BALANCE, execution_options={"as_of": moments[0]}) == 0
        assert session.get_one(Account, 1) is now
        assert now.balance == 3
    with Session(engine.execution_options(as_of=moments[1])) as session:
        assert session.get_one(Account, 1).balance == 1


def test_mapped_classes_of_the_past_in_a_session_with_nothing_else(
    engine: Engine, backend: FakeBackend, moments: list[int]
) -> None:
    with Session(engine) as session:
        accounts = session.scalars(select(Account), execution_options={"as_of": moments[2]}).all()
        assert [(account.balance, len(account.entries)) for account in accounts] == [(2, 2)]
        session.expire_all()
        assert [(account.balance, len(account.entries)) for account in accounts] == [(2, 2)]
        assert set(backend.seen) == {moments[2]}
        with pytest.raises(exc.InvalidRequestError, match=r"session\.expunge_all\(\)"):
            session.get(Account, 1)
        session.expunge_all()
        assert session.get_one(Account, 1).balance == 3
        assert accounts[0].balance == 2
