"""label_moment() and labels() over a database that is not EntityDB."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, exc
from sqlalchemy.orm import Session

from entitydb_dialect import EntityDBWarning, HorizonError
from entitydb_dialect.history import commit_moment, label_moment, labels

from .conftest import Account
from .fake import FakeBackend


def commit(engine: Engine, backend: FakeBackend, *names: str) -> int:
    """Commits something under the labels."""
    with engine.connect() as connection:
        connection.execute(Account.__table__.insert().values(balance=1))
        for name in names:
            backend.label(connection, name)
        connection.commit()
        return commit_moment(connection)


def test_the_newest_commit_with_a_label(engine: Engine, backend: FakeBackend, moments: list[int]) -> None:
    first, second = commit(engine, backend, "nightly"), commit(engine, backend, "nightly", "release 3")
    assert first < second
    assert label_moment(engine, "nightly") == label_moment(Session(engine), "nightly") == second
    assert label_moment(engine, "nightly", as_of=second - 1) == first
    assert labels(engine, second) == ["nightly", "release 3"]
    assert labels(engine, second - 1) == ["nightly"]
    assert labels(engine, moments[0]) == []


def test_a_label_that_no_commit_has(engine: Engine, backend: FakeBackend, moments: list[int]) -> None:
    commit(engine, backend, "a")
    with pytest.raises(exc.NoResultFound, match="'b'"):
        label_moment(engine, "b")
    with pytest.raises(exc.NoResultFound, match="'a'"):
        label_moment(engine, "a", as_of=moments[-1])
    for ask in (lambda: label_moment(engine, "a", as_of=0), lambda: labels(engine, 0)):
        with pytest.raises(HorizonError):
            ask()


def test_a_label_that_shares_its_commit_with_others_of_its_kind(
    engine: Engine, backend: FakeBackend, moments: list[int]
) -> None:
    moment = commit(engine, backend, "alembic:a", "alembic:b", "release")
    with pytest.warns(EntityDBWarning, match="shares its commit with 'alembic:b'") as caught:
        assert label_moment(engine, "alembic:a") == moment
    assert caught[0].filename == __file__
    assert label_moment(engine, "alembic:b") == label_moment(engine, "release") == moment
