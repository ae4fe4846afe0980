"""What text is a tag: judged where it is said, and by the engine alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, exc, select, text
from sqlalchemy.orm import Session

from entitydb_dialect import TagError, exact_tag, tagged, tagged_all, tagged_any

from .models import Article, Base

BAD: list[tuple[Any, str]] = [
    ("", "empty"),
    (":live", "':live' is not a tag: it begins with a colon"),
    ("status:\n", "'status:\\\\n' is not a tag: it has a control character at position 7"),
    ("a\x7f", "control character at position 1"),
    ("a\x85", "control character at position 1"),
    ("\ud800", "surrogate"),
    ("x" * 1025, "has 1025 bytes of UTF-8, and at most 1024 fit"),
    ("é" * 513, "has 1026 bytes"),
    (5, "5 is not a tag: a tag is a text"),
    (None, "None is not a tag"),
    (b"status:live", "b'status:live' is not a tag"),
]


@pytest.mark.parametrize(("tag", "said"), BAD)
def test_a_bad_tag_is_named_where_it_is_added(tag: Any, said: str) -> None:
    article = Article(tags={"there"})
    for write in (
        article.tags.add,
        article.tags.discard,
        article.tags.remove,
        lambda tag: article.tags.update(["good", tag]),
        lambda tag: setattr(article, "tags", ["good", tag]),
        lambda tag: article.tags.difference_update(["there", tag]),
        lambda tag: article.tags.symmetric_difference_update(["there", tag]),
    ):
        with pytest.raises(TagError, match=said):
            write(tag)
    assert article.tags == {"there"}


def test_a_tag_error_is_what_validators_and_what_functions_of_sqlalchemy_raise() -> None:
    with pytest.raises(ValueError, match="empty"):
        Article(tags={""})
    with pytest.raises(exc.ArgumentError, match="empty"):
        tagged(Article, "")


@pytest.mark.parametrize("given", ["status:live", b"status:live", 5, None])
def test_one_text_is_not_a_set_of_its_letters(given: Any) -> None:
    article = Article()
    with pytest.raises(TagError, match="is not a set of tags"):
        article.tags = given
    with pytest.raises(TagError, match="is not a set of tags"):
        article.tags |= given
    if isinstance(given, (str, bytes)):
        for criterion in (tagged_all, tagged_any):
            with pytest.raises(TagError, match="where several are expected"):
                criterion(Article, given)


def test_the_longest_tag_is_stored(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine("entitydb://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Article(id=1, tags={"x" * 1024, "é" * 512}))
        session.commit()
        assert session.get_one(Article, 1).tags == {"x" * 1024, "é" * 512}
        assert session.scalars(select(Article.id).where(tagged(Article, "x" * 1024))).all() == [1]
        assert session.scalars(select(Article.id).where(tagged(Article, "x" * 1024 + "*"))).all() == [1]


def test_small_pages_take_shorter_tags(session: Session) -> None:
    session.add(Article(id=1, tags={"x" * 100}))
    with pytest.raises(exc.DataError, match="at most 72 fit"):
        session.commit()


_TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from(':"*&|!() \x00\x1f\x7f\x80\x9f\xa0')), max_size=12
)


@pytest.mark.slow
@given(tag=_TEXTS)
@example(tag=":")
@example(tag="a:")
@example(tag='"')
@example(tag="\x9f")
def test_python_and_the_engine_judge_alike(session: Session, tag: str) -> None:
    session.rollback()
    session.add(Article(id=1))
    session.flush()
    insert = text("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', 1, :tag)")
    try:
        session.execute(insert, {"tag": tag})
    except exc.DBAPIError:
        with pytest.raises(TagError):
            Article(tags={tag})
        return
    assert Article(tags={tag}).tags == {tag}
    # And every tag can be asked for, whatever is in it.
    assert session.scalars(select(Article.id).where(Article.tags.contains(exact_tag(tag)))).all() == [1]
