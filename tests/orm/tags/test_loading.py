"""Tags are loaded by whatever strategy is asked for, in as many statements as that takes, and as of any moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, exc, select, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    immediateload,
    joinedload,
    lazyload,
    mapped_column,
    raiseload,
    selectinload,
    subqueryload,
)

from entitydb_dialect import PastWriteError, Tagged, at, commit_moment, tag_values, temporal

from .models import Article, Author, Badge, Base

Executed = Callable[..., Any]
N = 100


@pytest.fixture
def full(session: Session) -> Session:
    authors = [Author(id=i, name=str(i), tags={f"nr:{i}"}) for i in range(1, 5)]
    session.add_all(authors)
    session.add_all(Article(id=i, author=authors[i % 4], tags={f"nr:{i}", "all"}) for i in range(1, N + 1))
    session.add_all(Badge(code=f"b{i}", tags={f"nr:b{i}", "all"}) for i in range(1, N + 1))
    session.commit()
    session.expunge_all()
    return session


def is_right(articles: Any) -> None:
    found = {article.id: set(article.tags) for article in articles}
    assert found == {i: {f"nr:{i}", "all"} for i in range(1, N + 1)}


STRATEGIES = {
    "selectin": (selectinload, 2),
    "subquery": (subqueryload, 2),
    "joined": (joinedload, 1),
    "immediate": (immediateload, 1 + N),
    "lazy": (lazyload, 1 + N),
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_each_strategy_takes_its_number_of_selects(full: Session, executed: Executed, strategy: str) -> None:
    option, selects = STRATEGIES[strategy]
    with executed() as statements:
        is_right(full.scalars(select(Article).options(option(Article.tags))).unique().all())
    assert len(statements) == selects


def test_by_default_each_set_is_loaded_when_it_is_read(full: Session, executed: Executed) -> None:
    with executed() as statements:
        articles = full.scalars(select(Article)).all()
        tags = [article.tags for article in articles]
    assert len(statements) == 1
    with executed() as statements:
        assert "all" in tags[0]
        assert len(tags[0]) == 2
        assert tags[0]["nr"] == {"1"}
    assert len(statements) == 1


def test_selectin_loads_the_tags_of_text_keys_in_one_query(full: Session, executed: Executed) -> None:
    with executed() as statements:
        found = {badge.code: set(badge.tags) for badge in full.scalars(select(Badge).options(selectinload(Badge.tags)))}
    assert found == {f"b{i}": {f"nr:b{i}", "all"} for i in range(1, N + 1)}
    assert len(statements) == 2


def test_along_a_path(full: Session, executed: Executed) -> None:
    options = selectinload(Author.articles).selectinload(Article.tags), selectinload(Author.tags)
    with executed() as statements:
        authors = full.scalars(select(Author).options(*options)).all()
        is_right(article for author in authors for article in author.articles)
        assert {(author.id, *author.tags) for author in authors} == {(i, f"nr:{i}") for i in range(1, 5)}
    assert len(statements) == 4
    full.expunge_all()
    with executed() as statements:
        path = joinedload(Article.author).options(joinedload(Author.tags))
        article = full.scalars(select(Article).options(path).where(Article.id == 1)).unique().one()
        assert article.author is not None
        assert article.author.tags == {"nr:2"}
    assert len(statements) == 1


@pytest.mark.slow
def test_raiseload_and_noload(full: Session) -> None:
    article = full.scalars(select(Article).options(raiseload(Article.tags)).where(Article.id == 1)).one()
    with pytest.raises(exc.InvalidRequestError, match="raise"):
        len(article.tags)
    article.tags.add("new")  # needs no loading
    full.commit()
    full.refresh(article, ["tags"])
    assert article.tags == {"nr:1", "all", "new"}


@pytest.mark.slow
def test_eager_joins_are_as_of_the_moment(full: Session) -> None:
    moment = commit_moment(full)
    for article in full.scalars(select(Article).options(selectinload(Article.tags))):
        article.tags = {"now"}
    full.delete(full.get_one(Article, 5))
    full.commit()
    for option, _ in STRATEGIES.values():
        with at(full, moment) as past:
            is_right(past.scalars(select(Article).options(option(Article.tags))).unique().all())
    with at(full, moment) as past:
        is_right(past.scalars(select(Article)).all())
        assert past.get_one(Article, 5).tags["nr"] == {"5"}
        assert tag_values(past, "", Article) == {"all": N}
    assert {tuple(article.tags) for article in full.scalars(select(Article))} == {("now",)}


@pytest.mark.parametrize("guarded", [False, True])
def test_the_past_is_not_changed(full: Session, guarded: bool) -> None:
    """By the same error whether or not the process has made past classes of the model."""
    moment = commit_moment(full)
    if guarded:
        full.scalars(select(temporal(Article, as_of=moment))).all()
    with pytest.raises(PastWriteError), at(full, moment) as past:
        past.get_one(Article, 1).tags.add("new")
    with pytest.raises(PastWriteError), at(full, moment) as past:
        past.get_one(Article, 1).tags.discard("all")
    with pytest.raises(PastWriteError), at(full, moment) as past:
        past.get_one(Article, 1).tags = {"other"}
    full.expire_all()
    assert full.get_one(Article, 1).tags == {"nr:1", "all"}


def test_a_row_of_the_past_that_was_tagged_later_had_no_tags(session: Session) -> None:
    session.add(Article(id=1))
    session.commit()
    moments = [commit_moment(session)]
    for change in ({"a"}, {"a", "b"}, set(), {"a"}):
        session.get_one(Article, 1).tags = change
        session.commit()
        moments.append(commit_moment(session))
    found = []
    for moment in moments:
        with at(session, moment) as past:
            found.append(set(past.get_one(Article, 1).tags))
    assert found == [set(), {"a"}, {"a", "b"}, set(), {"a"}]


def test_a_class_says_how_its_tags_are_loaded(engine: Engine, executed: Executed) -> None:
    class Own(DeclarativeBase):
        pass

    class Page(Tagged, Own):
        __tablename__ = "page"
        __tags_lazy__ = "selectin"
        id: Mapped[int] = mapped_column(primary_key=True)

    Own.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Page(id=i, tags={f"nr:{i}"}) for i in range(3))
        session.commit()
        session.expunge_all()
        with executed() as statements:
            pages = session.scalars(select(Page)).all()
            assert {page.id: page.tags["nr"] for page in pages} == {i: {str(i)} for i in range(3)}
        assert len(statements) == 2


def test_nobody_else_makes_or_drops_the_table_of_tags(engine: Engine) -> None:
    assert "entitydb_tags" not in Base.metadata.tables
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        assert set(names) == set(Base.metadata.tables)
        assert set(engine.dialect.get_table_names(connection)) == set(Base.metadata.tables)
    Base.metadata.drop_all(engine)
