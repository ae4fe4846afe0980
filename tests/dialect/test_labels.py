"""label_moment() and labels(): commits by name."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, exc, func, inspect, select, text
from sqlalchemy.orm import Session

from entitydb_dialect import EntityDBWarning, HorizonError, at, commit_moment, label_moment, labels


def give(engine: Engine, *names: str) -> int:
    with engine.connect() as connection:
        for name in names:
            assert connection.execute(select(func.entitydb_label(name))).scalar_one() == name
        connection.commit()
        return commit_moment(connection)


def test_a_label_is_a_moment(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        connection.execute(text("SELECT entitydb_label(:label)"), {"label": "before"})
    with engine.begin() as connection:
        connection.execute(text("UPDATE t SET a = 2"))
    with at(engine, label_moment(engine, "before")) as past:
        assert past.scalars(text("SELECT a FROM t")).all() == [1]
    assert labels(engine, label_moment(engine, "before")) == ["before"]
    assert inspect(engine).get_table_names() == ["t"]


def test_of_several_commits_the_newest_counts_and_the_older_are_found_by_time(engine: Engine) -> None:
    first, second = give(engine, "nightly"), give(engine, "nightly")
    assert label_moment(engine, "nightly") == second > first
    assert label_moment(engine, "nightly", as_of=second - 1) == first
    with pytest.raises(HorizonError):
        label_moment(engine, "nightly", as_of=first - 1)


def test_an_unknown_label_is_an_error(engine: Engine) -> None:
    moment = give(engine, "a")
    with pytest.raises(exc.NoResultFound, match="'b'"):
        label_moment(engine, "b")
    give(engine, "b")
    with pytest.raises(exc.NoResultFound, match="'b'"):
        label_moment(engine, "b", as_of=moment)
    assert labels(engine, moment) == ["a"]


def test_a_label_shared_by_others_of_its_kind_says_so(engine: Engine) -> None:
    moment = give(engine, "alembic:a", "alembic:b", "release")
    with pytest.warns(EntityDBWarning, match=r"shares its commit with 'alembic:b'.*transaction_per_migration"):
        assert label_moment(engine, "alembic:a") == moment
    assert label_moment(engine, "alembic:b") == moment, "the last of them is what the moment shows"
    assert label_moment(engine, "release") == moment
    assert labels(engine, moment) == ["alembic:a", "alembic:b", "release"]


def test_a_session_does_not_see_its_own_label_before_it_commits(engine: Engine) -> None:
    give(engine, "a")
    with Session(engine) as session:
        session.execute(text("SELECT entitydb_label('b')"))
        with pytest.raises(exc.NoResultFound):
            label_moment(session, "b")
        session.commit()
        assert label_moment(session, "b") == commit_moment(session)
