"""The tags of objects of past classes are those of their moment, and cannot be changed."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import exc, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError

from entitydb_dialect import PastWriteError, TemporalSession, at, commit_moment, history, temporal, versions

from .models import Article


def then(session: Session, moment: int, key: int = 1) -> Article:
    entity = temporal(Article, as_of=moment)
    return session.scalars(select(entity).where(entity.id == key)).one()


@pytest.fixture
def moments(session: Session) -> list[int]:
    """An article with three sets of tags, the last of now."""
    found = []
    article = Article(id=1, title="Owls", tags={"status:draft", "a:1", "a:2", "plain"})
    session.add(article)
    session.commit()
    found.append(commit_moment(session))
    article.tags.set_one("status", "live")
    article.tags.discard("plain")
    session.commit()
    found.append(commit_moment(session))
    article.tags.clear()
    session.commit()
    found.append(commit_moment(session))
    return found


TOLD = ({"status:draft", "a:1", "a:2", "plain"}, {"status:live", "a:1", "a:2"}, set())


def test_they_are_those_of_the_moment(session: Session, moments: list[int]) -> None:
    for moment, tags in zip(moments, TOLD, strict=True):
        assert then(session, moment).tags == tags
    assert [entry.object.tags for entry in history(session, (Article, 1)) if entry.operation == "insert"] == [TOLD[0]]
    v = versions(Article)
    assert [one.tags for one in session.scalars(select(v.entity))] == [TOLD[0]]
    with at(session, moments[1]) as past:
        assert then(past, moments[0]).tags == TOLD[0]
    with TemporalSession(session.get_bind()) as both:
        assert then(both, moments[1]).tags == TOLD[1]
        assert both.get_one(Article, 1).tags == set()


def test_they_can_be_read_as_any_tags(session: Session, moments: list[int]) -> None:
    tags = then(session, moments[0]).tags
    assert "not loaded" in repr(tags)
    assert "plain" in tags
    assert "status:live" not in tags
    assert sorted(tags) == list(tags)
    assert tags["a"] == {"1", "2"}
    assert tags.by_namespace() == {"": {"plain"}, "a": {"1", "2"}, "status": {"draft"}}
    assert tags | {"x"} == {*TOLD[0], "x"}
    assert tags.copy() == TOLD[0]
    assert repr(tags).startswith("TagSet(")


def test_they_cannot_be_changed(session: Session, moments: list[int]) -> None:
    past = then(session, moments[0])
    changes: list[Callable[[], Any]] = [
        lambda: past.tags.add("new"), lambda: past.tags.discard("plain"), lambda: past.tags.remove("plain"),
        past.tags.clear, past.tags.pop, lambda: past.tags.update({"new"}), lambda: past.tags.set_one("status", "live"),
        lambda: past.tags.intersection_update({"plain"}), lambda: setattr(past, "tags", {"new"}),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(PastWriteError, match="of a past moment"):
            change()
    session.commit()
    assert past.tags == TOLD[0]


def test_they_are_read_once_and_kept(
    session: Session, moments: list[int], executed: Callable[..., Any]
) -> None:
    past = then(session, moments[0])
    with executed() as said:
        assert past.tags == TOLD[0]
        assert past.tags == TOLD[0]
    assert len(said) == 1
    session.expunge_all()
    assert past.tags == TOLD[0]
    assert pickle.loads(pickle.dumps(past)).tags == TOLD[0]
    unread = then(session, moments[0])
    session.expunge_all()
    with pytest.raises(DetachedInstanceError, match="its tags"):
        unread.tags.load()


def test_at_the_class_it_is_an_error(session: Session, moments: list[int]) -> None:
    entity = temporal(Article, as_of=moments[0])
    with pytest.raises(exc.InvalidRequestError, match="cannot be read by temporal"):
        _ = entity.tags


def test_random_tags_at_every_moment(session: Session, rng: random.Random) -> None:
    names = [f"n{i % 3}:v{i}" for i in range(8)]
    states: list[tuple[int, dict[int, set[str]]]] = []
    for number in range(12):
        for key in (1, 2, 3):
            article = session.get(Article, key) or Article(id=key, title=f"title {key}")
            session.add(article)
            article.tags = set(rng.sample(names, rng.randrange(4)))
        session.get_one(Article, 1).title = f"turn {number}"
        session.commit()
        now = {one.id: set(one.tags) for one in session.scalars(select(Article))}
        states.append((commit_moment(session), now))
    session.expunge_all()
    for moment, state in states:
        entity = temporal(Article, as_of=moment)
        assert {one.id: set(one.tags) for one in session.scalars(select(entity))} == state
