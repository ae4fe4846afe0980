"""Tags are written by the flush, after the rows they are on, and follow what becomes of the Session and its objects."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, delete, inspect, select, text, update
from sqlalchemy.orm import Session, make_transient_to_detached

from entitydb_dialect import SerializationFailure

from .models import Article, Author, Badge, Base, Note, Setting, Shift

Executed = Callable[..., Any]
ALL = text("SELECT type, entity, tag FROM entitydb_tags ORDER BY type, entity, tag")


def stored(session: Session) -> list[tuple[str, int, str]]:
    """All tags there are, as the Session's transaction sees them."""
    return [(row.type, row.entity, row.tag) for row in session.execute(ALL)]


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_tags_are_inserted_after_their_rows_in_one_statement(session: Session, executed: Executed) -> None:
    author = Author(id=1, name="Ada", tags={"role:editor"})
    author.articles = [Article(id=i, tags={"status:draft", f"nr:{i}"}) for i in (1, 2)]
    session.add(author)
    with executed() as statements:
        session.commit()
    assert [" ".join(sql.split()[:3]) for sql in statements] == [
        "INSERT INTO author", "INSERT INTO article", "INSERT INTO entitydb_tags",
    ]  # fmt: skip
    assert stored(session) == [
        ("article", 1, "nr:1"), ("article", 1, "status:draft"), ("article", 2, "nr:2"), ("article", 2, "status:draft"),
        ("author", 1, "role:editor"),
    ]  # fmt: skip


def test_ids_that_the_database_gives_are_used(session: Session) -> None:
    articles = [Article(title=str(i), tags={f"nr:{i}"}) for i in range(3)]
    session.add_all([*articles, Note("n")])
    session.commit()
    assert stored(session) == sorted(("article", one.id, f"nr:{one.title}") for one in articles)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda i: Badge(code=f"B-{i}"),
        lambda i: Shift(day="Mon", number=i),
        lambda i: Setting(id=i * 10),
    ],
    ids=["text", "composite", "without rowid"],
)
def test_other_keys_are_tagged_by_the_row_id(session: Session, make: Callable[[int], Any]) -> None:
    objects = [make(i) for i in range(3)]
    kind = type(objects[0])
    for i, one in enumerate(objects):
        one.tags = {f"nr:{i}", "all"}
    session.add_all(objects)
    session.commit()
    session.expunge_all()
    for one in session.scalars(select(kind)):
        (number,) = one.tags["nr"]
        assert inspect(one).identity == inspect(objects[int(number)]).identity
        one.tags.discard("all")
        one.tags.add("new")
    session.commit()
    session.expunge_all()
    assert all(one.tags == {*one.tags} >= {"new"} and "all" not in one.tags for one in session.scalars(select(kind)))
    session.delete(session.scalars(select(kind)).first())
    session.commit()
    assert len(stored(session)) == 4


def test_only_changes_are_written(session: Session, executed: Executed) -> None:
    session.add(Article(id=1, tags={"a", "b"}))
    session.commit()
    article = session.get_one(Article, 1)
    with executed() as statements:
        article.tags = ["b", "a"]
        article.tags |= {"a"}
        article.tags -= {"z"}
        article.tags.add("c")
        article.tags.discard("c")
        session.flush()
    assert all(sql.startswith("SELECT") for sql in statements)
    article.tags = {"b", "c"}
    with executed() as statements:
        session.flush()
    assert [sql.split()[0] for sql in statements] == ["INSERT", "DELETE"]
    assert stored(session) == [("article", 1, "b"), ("article", 1, "c")]


def test_discarding_and_adding_again_is_nothing(session: Session, executed: Executed) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    article.tags.discard("a")
    article.tags.add("a")
    with executed() as statements:
        session.commit()
    assert statements == []
    article.tags.discard("a")
    session.flush()
    article.tags.add("a")
    session.commit()
    assert article.tags == {"a"}


@pytest.mark.parametrize("tag", ["there", "new"])
@pytest.mark.parametrize("expired", [False, True])
def test_adding_to_a_set_that_is_not_loaded_selects_nothing(
    session: Session, executed: Executed, tag: str, expired: bool
) -> None:
    session.add(Article(id=1, tags={"there"}))
    session.commit()
    article = session.get_one(Article, 1)
    if expired:
        session.expire(article)
    with executed() as statements:
        article.tags.add(tag)
        article.tags.add(tag)
        article.tags |= {tag, "other"}
        article.tags.update(["other"])
    assert statements == []
    assert repr(article.tags) == "<TagSet of a Article, not loaded>"
    with executed("INSERT") as statements:
        session.commit()
    assert len(statements) == 1
    assert article.tags == {"there", tag, "other"}


@pytest.mark.parametrize("tag", ["there", "new"])
@pytest.mark.parametrize("autoflush", [False, True])
def test_a_set_that_is_loaded_after_adding_has_both(session: Session, tag: str, autoflush: bool) -> None:
    session.add(Article(id=1, tags={"there"}))
    session.commit()
    article = session.get_one(Article, 1)
    session.autoflush = autoflush
    article.tags.add(tag)
    assert article.tags == {"there", tag}
    article.tags.discard(tag)
    article.tags.add("last")
    session.commit()
    assert article.tags == {"there", "last"} - {tag}


def test_rollback_and_savepoints(session: Session) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    article.tags = {"b"}
    session.flush()
    assert stored(session) == [("article", 1, "b")]
    session.rollback()
    assert article.tags == {"a"}
    article.tags.add("kept")
    savepoint = session.begin_nested()
    article.tags.add("lost")
    article.tags.discard("a")
    session.flush()
    savepoint.rollback()
    assert article.tags == {"a", "kept"}
    session.commit()
    assert stored(session) == [("article", 1, "a"), ("article", 1, "kept")]
    session.expire(article)
    article.tags.add("never")
    session.rollback()
    session.commit()
    assert article.tags == {"a", "kept"}


def test_expire_and_refresh_by_the_name(session: Session) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    assert article.tags == {"a"}
    session.execute(text("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', 1, 'b')"))
    assert article.tags == {"a"}
    session.refresh(article, ["tags"])
    assert article.tags == {"a", "b"}
    session.execute(text("DELETE FROM entitydb_tags WHERE type = 'article' AND entity = 1 AND tag = 'a'"))
    session.expire(article, ["tags"])
    assert article.tags == {"b"}
    session.rollback()
    assert article.tags == {"a"}
    assert inspect(article).attrs.tags.value == {"a"}


def test_two_sessions_change_different_tags_of_one_object(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as one, Session(engine) as other:
        one.add(Article(id=1, tags={"a", "b"}))
        one.commit()
        mine, theirs = one.get_one(Article, 1), other.get_one(Article, 1)
        mine.tags |= {"mine", "both"}
        mine.tags.discard("a")
        theirs.tags |= {"theirs", "both"}
        theirs.tags -= {"a", "b"}  # one of which is gone when this is written
        one.commit()
        other.commit()
        one.expire_all()
        assert mine.tags == theirs.tags == {"mine", "theirs", "both"}


@pytest.mark.parametrize("first", ["tags", "deletes"])
def test_an_object_that_one_session_tags_and_another_deletes(engine: Engine, first: str) -> None:
    """The later to commit fails: no tags are left on a row that is gone."""
    Base.metadata.create_all(engine)
    with Session(engine) as tagging, Session(engine) as deleting:
        tagging.add(Article(id=1, tags={"a"}))
        tagging.commit()
        tagging.get_one(Article, 1).tags.add("new")
        deleting.delete(deleting.get_one(Article, 1))
        earlier, later = (tagging, deleting) if first == "tags" else (deleting, tagging)
        for session in (earlier, later):
            session.flush()
        earlier.commit()
        with pytest.raises(SerializationFailure):
            later.commit()
        later.rollback()
        assert {row[2] for row in stored(later)} == ({"a", "new"} if first == "tags" else set())


def test_a_deleted_object_takes_its_tags_along(session: Session, executed: Executed) -> None:
    author = Author(id=1, name="Ada", tags={"x"})
    author.articles = [Article(id=i, tags={"a", "b"}) for i in (1, 2, 3)]
    session.add(author)
    session.commit()
    article = session.get_one(Article, 1)
    with executed() as statements:
        session.delete(article)
        session.flush()
    # What is not loaded is left to the engine.
    assert [" ".join(sql.split()[:3]) for sql in statements] == ["DELETE FROM article"]
    article = session.get_one(Article, 2)
    assert article.tags
    session.delete(article)
    session.flush()
    session.execute(delete(Article).where(Article.id == 3))
    assert stored(session) == [("author", 1, "x")]
    session.rollback()
    assert len(stored(session)) == 7
    session.delete(session.get_one(Author, 1))
    session.commit()
    assert stored(session) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["delete", "parent", "orphan"])
@pytest.mark.parametrize("state", ["expired", "not loaded", "loaded"])
def test_tags_that_are_added_before_the_object_is_deleted_go_with_it(session: Session, how: str, state: str) -> None:
    session.add(Author(id=1, name="Ada", articles=[Article(id=1, tags={"a", "b"})]))
    session.add(Badge(code="x", tags={"a"}))
    session.commit()
    author, article, badge = session.get_one(Author, 1), session.get_one(Article, 1), session.get_one(Badge, "x")
    if state == "loaded":
        assert article.tags
        assert badge.tags
    if state == "expired":
        session.expire_all()
    for one in (article, badge):
        one.tags.add("new")
    session.delete(badge)
    if how == "delete":
        session.delete(article)
    elif how == "parent":
        session.delete(author)
    else:
        author.articles = []
    session.commit()
    assert stored(session) == []


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("key", ["integer", "text"])
def test_a_new_object_with_the_key_of_a_deleted_one_has_its_own_tags(
    session: Session, loaded: bool, flushed: bool, key: str
) -> None:
    make: Any = (lambda **kw: Article(id=1, **kw)) if key == "integer" else (lambda **kw: Badge(code="1", **kw))
    session.add(make(tags={"old", "both"}))
    session.commit()
    (old,) = session.scalars(select(Article if key == "integer" else Badge)).all()
    if loaded:
        assert old.tags == {"old", "both"}
    session.delete(old)
    if flushed:
        session.flush()
    new = make(tags={"new", "both"})
    session.add(new)
    session.commit()
    assert new.tags == {"new", "both"}


@pytest.mark.parametrize("loaded", [False, True])
def test_a_changed_key_keeps_the_tags(session: Session, loaded: bool) -> None:
    session.add_all([Article(id=1, tags={"a", "b"}), Badge(code="x", tags={"c"})])
    session.commit()
    article, badge = session.get_one(Article, 1), session.get_one(Badge, "x")
    if loaded:
        assert article.tags
        assert badge.tags
    article.id, badge.code = 10, "y"
    session.flush()
    article.tags.add("d")
    session.commit()
    assert (article.tags, badge.tags) == ({"a", "b", "d"}, {"c"})
    article.tags.discard("a")
    session.commit()
    assert [row for row in stored(session) if row[0] == "article"] == [("article", 10, "b"), ("article", 10, "d")]


def test_merge(session: Session, engine: Engine) -> None:
    session.add(Article(id=1, tags={"a", "b"}))
    session.commit()
    article = session.get_one(Article, 1)
    assert article.tags
    session.expunge(article)
    article.tags = {"b", "c"}
    with Session(engine) as other:
        merged = other.merge(article)
        assert merged.tags == {"b", "c"}
        other.commit()
        assert merged.tags == {"b", "c"}
        assert other.merge(Article(id=1, title="owls")).tags == {"b", "c"}  # says nothing of tags
        assert other.merge(Article(id=2, tags={"x"})).tags == {"x"}
        other.commit()
        assert {row[1:] for row in stored(other)} == {(1, "b"), (1, "c"), (2, "x")}


def test_merge_of_a_tag_that_somebody_else_has_added(session: Session, engine: Engine) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    assert article.tags
    session.expunge(article)
    article.tags.add("b")
    with Session(engine) as other:
        other.get_one(Article, 1).tags.add("b")
        other.commit()
        other.merge(article)
        other.commit()
        assert other.get_one(Article, 1).tags == {"a", "b"}


def test_pickled_and_added_again(session: Session) -> None:
    session.add(Article(id=1, tags={"a", "b"}))
    session.commit()
    article = session.get_one(Article, 1)
    article.tags.load()
    session.expunge(article)
    copy = pickle.loads(pickle.dumps(article))
    copy.tags.add("c")
    copy.tags.discard("a")
    session.add(copy)
    session.commit()
    assert copy.tags == {"b", "c"}


def test_an_object_made_up_from_its_key_can_be_tagged(session: Session) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    session.expunge_all()
    article = Article(id=1)
    make_transient_to_detached(article)
    session.add(article)
    article.tags.add("b")
    session.commit()
    assert article.tags == {"a", "b"}


def test_tags_that_wait_leave_and_enter_the_session_with_their_object(session: Session) -> None:
    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    article.tags.add("new")
    session.expunge(article)
    session.commit()
    assert stored(session) == [("article", 1, "a")]
    session.add(article)
    session.commit()
    assert article.tags == {"a", "new"}


def test_a_detached_object_whose_tags_are_not_loaded_says_so(session: Session) -> None:
    from sqlalchemy.orm.exc import DetachedInstanceError

    session.add(Article(id=1, tags={"a"}))
    session.commit()
    article = session.get_one(Article, 1)
    session.expunge(article)
    for use in (len, list, lambda tags: tags.add("b"), lambda tags: tags.discard("a")):
        with pytest.raises(DetachedInstanceError):
            use(article.tags)
    assert repr(article.tags) == "<TagSet of a Article, not loaded>"


def test_bulk_statements_leave_tags_and_take_them(session: Session) -> None:
    session.add_all([Article(id=i, tags={"a"}) for i in (1, 2, 3)])
    session.flush()
    session.execute(update(Article).where(Article.tags.contains("a"), Article.id > 1).values(title="x"))
    session.execute(delete(Article).where(Article.tags.contains("a"), Article.id > 2))
    assert [(a.id, a.title, set(a.tags)) for a in session.scalars(select(Article).order_by(Article.id))] == [
        (1, "", {"a"}), (2, "x", {"a"}),
    ]  # fmt: skip
