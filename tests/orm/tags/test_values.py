"""tag_values(): the values of a namespace with their counts."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, create_engine, exc
from sqlalchemy.orm import Session, aliased, scoped_session, sessionmaker

from entitydb_dialect import at, commit_moment, tag_values

from .models import Article, Badge, Base, Engineer, Manager, Person


@pytest.fixture
def full(session: Session) -> Session:
    session.add_all([
        Article(tags={"status:live", "plain"}),
        Article(tags={"status:live", "status:a:b"}),
        Article(tags={"status:draft"}),
        Badge(code="x", tags={"status:live", "other:1", "plain"}),
        Person(tags={"status:live"}), Engineer(tags={"status:live"}), Manager(budget=1, tags={"status:draft"}),
    ])  # fmt: skip
    session.commit()
    return session


def test_all_rows_are_counted_or_those_of_a_class(full: Session) -> None:
    assert list(tag_values(full, "status").items()) == [("a:b", 1), ("draft", 2), ("live", 5)]
    assert tag_values(full, "status", Article) == {"a:b": 1, "draft": 1, "live": 2}
    assert tag_values(full, "status", Badge) == {"live": 1}
    assert tag_values(full, "status", aliased(Badge)) == {"live": 1}
    assert tag_values(full, "") == {"plain": 2}
    assert tag_values(full, "none") == {}


def test_of_a_subclass_its_objects_are_counted(full: Session) -> None:
    assert tag_values(full, "status", Person) == {"draft": 1, "live": 2}
    assert tag_values(full, "status", Engineer) == {"live": 1}
    assert tag_values(full, "status", Manager) == {"draft": 1}


def test_every_kind_of_source(full: Session, engine: Engine) -> None:
    wanted = {"live": 1}
    assert tag_values(engine, "status", Badge) == wanted
    with engine.connect() as connection:
        assert tag_values(connection, "status", Badge) == wanted
    session = scoped_session(sessionmaker(engine))
    assert tag_values(session, "status", Badge) == wanted
    session.remove()
    with pytest.raises(exc.ArgumentError, match="is not a Session"):
        tag_values(5, "status")  # type: ignore[arg-type]
    with pytest.raises(exc.ArgumentError, match="is not a database of EntityDB"):
        tag_values(create_engine("sqlite://"), "status")
    with pytest.raises(exc.ArgumentError, match="is not a mapped class"):
        tag_values(engine, "status", Badge.__table__)


def test_what_is_flushed_counts(full: Session) -> None:
    full.add(Badge(code="y", tags={"status:live"}))
    assert tag_values(full, "status", Badge) == {"live": 2}
    full.rollback()
    assert tag_values(full, "status", Badge) == {"live": 1}


def test_as_of_a_moment(full: Session, engine: Engine) -> None:
    moment = commit_moment(full)
    full.add(Badge(code="y", tags={"status:live"}))
    full.commit()
    assert tag_values(full, "status", Badge) == {"live": 2}
    with at(full, moment) as past:
        assert tag_values(past, "status", Badge) == {"live": 1}
        assert tag_values(past, "status", Engineer) == {"live": 1}
    assert tag_values(engine.execution_options(as_of=moment), "status", Badge) == {"live": 1}


def test_a_session_with_a_database_for_each_class_names_that_of_the_tags(engine: Engine) -> None:
    from entitydb_dialect import Tag

    Base.metadata.create_all(engine)
    with Session(binds={Base: engine, Tag: engine}) as session:
        session.add(Badge(code="x", tags={"status:live"}))
        session.commit()
        assert tag_values(session, "status") == {"live": 1}
        assert session.get_one(Badge, "x").tags == {"status:live"}
