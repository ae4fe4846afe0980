"""tagged() and its kind, wherever a criterion may stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, and_, bindparam, delete, event, exc, exists, func, or_, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    selectinload,
    with_loader_criteria,
)

from entitydb_dialect import (
    Tag,
    TagError,
    Tagged,
    at,
    commit_moment,
    exact_tag,
    tagged,
    tagged_all,
    tagged_any,
    tagged_expression,
)

from .models import Article, Author, Badge, Base

TAGS: dict[int, set[str]] = {
    1: {"status:live", "topic:owls", "rbac:perm:read"},
    2: {"status:live", "topic:bats", "rbac:perm:write", "rbac:role"},
    3: {"status:draft", "topic:owls", "rating:*", "rating:**"},
    4: {"status:live:now", 'a "b" & (c)', "plain"},
    5: set(),
}


@pytest.fixture
def full(session: Session) -> Session:
    author = Author(id=7, name="Ada", tags={"status:live"})
    other = Author(id=8, name="Bob", tags={"topic:owls"})
    session.add_all(Article(id=i, tags=tags, author=author if i % 2 else other) for i, tags in TAGS.items())
    session.add_all(Badge(code=f"b{i}", tags=tags) for i, tags in TAGS.items())
    session.commit()
    return session


def ids(session: Session, *criteria: Any) -> set[int]:
    """The articles and the badges with the criteria; they have the same tags, and a different kind of key."""
    return set(session.scalars(select(Article.id).where(*criteria)))


TAG_CASES: list[tuple[str, set[int]]] = [
    ("status:live", {1, 2}),
    ("status:*", {1, 2, 3, 4}),
    ("status:live*", {1, 2, 4}),
    ("rbac:perm:*", {1, 2}),
    ("rbac*", {1, 2}),
    ("topic:o*", {1, 3}),
    ("*", {1, 2, 3, 4}),
    ("none", set()),
    ("none*", set()),
    ("status", set()),
    ('a "b" & (c)', {4}),
    ('a "b*', {4}),
    (exact_tag("rating:*"), {3}),
    (exact_tag("rating:**"), {3}),
    (exact_tag("status:*"), set()),
    ("rating:*", {3}),
    ("topic:owls*", {1, 3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("tag", "found"), TAG_CASES)
def test_a_tag_or_all_that_begin_so(full: Session, tag: str, found: set[int]) -> None:
    for criterion in (tagged(Article, tag), Article.tags.contains(tag), Article.tags.any(tag)):
        assert ids(full, criterion) == found
        assert ids(full, ~criterion) == set(TAGS) - found
    codes = full.scalars(select(Badge.code).where(tagged(Badge, tag)))
    assert set(codes) == {f"b{i}" for i in found}
    assert ids(full, tagged(Article, bindparam("tag", tag))) == found


def test_all_and_any(full: Session) -> None:
    assert ids(full, tagged_all(Article, ["status:live", "topic:*"])) == {1, 2}
    assert ids(full, tagged_all(Article, {"status:live", "topic:owls"})) == {1}
    assert ids(full, tagged_all(Article, ["status:live", exact_tag("rating:*")])) == set()
    assert ids(full, tagged_any(Article, ["status:draft", "plain"])) == {3, 4}
    assert ids(full, tagged_any(Article, (tag for tag in ["topic:owls", "rbac:*"]))) == {1, 2, 3}
    assert ids(full, Article.tags.any(["topic:owls", "plain"])) == {1, 3, 4}
    assert ids(full, ~tagged_any(Article, ["status:draft", "plain"])) == {1, 2, 5}


def test_of_no_tags_all_objects_have_all_and_none_has_any(full: Session) -> None:
    assert ids(full, tagged_all(Article, [])) == set(TAGS)
    assert ids(full, tagged_any(Article, [])) == set()
    assert ids(full, Article.tags.any([])) == set()


def test_any_tag_at_all(full: Session) -> None:
    assert ids(full, Article.tags.any()) == {1, 2, 3, 4}
    assert ids(full, ~Article.tags.any()) == {5}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("status:live", {1, 2}),
        ("status:live & topic:owls", {1}),
        ("status:live | topic:owls", {1, 2, 3}),
        ("!status:live", {3, 4, 5}),
        ("status:* & !(topic:owls | topic:bats)", {4}),
        ("topic:owls & status:draft | plain", {3, 4}),
        ("topic:owls & (status:draft | plain)", {3}),
        ('"a ""b"" & (c)"', {4}),
        ('"a "*', {4}),
        ("*", {1, 2, 3, 4}),
        ("!*", {5}),
    ],
)
def test_expressions(full: Session, expression: str, found: set[int]) -> None:
    assert ids(full, tagged_expression(Article, expression)) == found
    statement = select(Article.id).where(tagged_expression(Article, bindparam("expression")))
    assert set(full.scalars(statement, {"expression": expression})) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "place"),
    [("status:live &", "at byte 13"), ("a | & b", "at byte 4"), ("(a", "at byte 2"), ("a b", "at byte 2"),
     ("", "at byte 0"), ('a & "b', "at byte 4"), ("a)", "at byte 1")],
)  # fmt: skip
def test_an_expression_that_cannot_be_read_names_the_place(full: Session, expression: str, place: str) -> None:
    with pytest.raises(exc.ProgrammingError, match=place):
        ids(full, tagged_expression(Article, expression))


def test_bad_tags_are_named(full: Session) -> None:
    for criterion in (lambda tag: tagged(Article, tag), Article.tags.contains, Article.tags.any):
        with pytest.raises(TagError, match=r"'a\\n' is not a tag"):
            criterion("a\n")
    with pytest.raises(TagError, match=r"'b\\n' is not a tag"):
        tagged_all(Article, ["a", "b\n"])
    with pytest.raises(TagError, match="5 is not a text"):
        tagged(Article, 5)
    with pytest.raises(exc.StatementError, match="an empty text is not a tag"):
        ids(full, tagged(Article, bindparam("tag", "")))
    with pytest.raises(exc.ArgumentError, match="neither a text nor a bindparam"):
        tagged(Article, Article.title)


def test_only_mapped_classes_have_tags() -> None:
    for wrong in (5, "article", Article.__table__, Article.id, Base):
        with pytest.raises(exc.ArgumentError, match="is not a mapped class"):
            tagged(wrong, "a")


def test_a_class_that_is_not_tagged_can_be_asked_for_if_its_key_is_the_row_id(session: Session) -> None:
    class Own(DeclarativeBase):
        pass

    class Plain(Own):
        __tablename__ = "article"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Text(Own):
        __tablename__ = "badge"
        code: Mapped[str] = mapped_column(primary_key=True)

    session.add_all(Article(id=i, tags=tags) for i, tags in TAGS.items())
    session.commit()
    assert set(session.scalars(select(Plain.id).where(tagged(Plain, "status:live")))) == {1, 2}
    with pytest.raises(exc.ArgumentError, match="make the class `Tagged`"):
        tagged(Text, "status:live")
    assert not hasattr(Plain, "tags")


def test_aliases(full: Session) -> None:
    one, other = aliased(Article), aliased(Article, name="other")
    pairs = select(one.id, other.id).join(other, one.id < other.id)
    assert full.execute(pairs.where(tagged(one, "status:live"), other.tags.contains("topic:owls"))).all() == [
        (1, 3), (2, 3),
    ]  # fmt: skip
    recent = aliased(Article, select(Article).where(Article.id > 1).subquery())
    assert full.scalars(select(recent.id).where(recent.tags.any(["status:live"]))).all() == [2]


def test_exists_correlates(full: Session) -> None:
    wrote = exists().where(Article.author_id == Author.id, tagged(Article, "topic:bats"))
    assert full.scalars(select(Author.name).where(wrote)).all() == ["Bob"]
    drafts = Author.articles.any(tagged(Article, "status:draft"))
    assert full.scalars(select(Author.name).where(drafts)).all() == ["Ada"]
    assert full.scalars(select(Article.id).where(Article.author.has(tagged(Author, "topic:*")))).all() == [2, 4]
    assert full.scalar(select(exists().where(tagged(Article, "none")))) is False


def test_in_joins_and_subqueries_and_the_rest(full: Session) -> None:
    live, owls = tagged(Article, "status:live"), tagged(Article, "topic:owls")
    joined = select(Author.name, Article.id).outerjoin(Article, and_(Author.id == Article.author_id, owls))
    assert full.execute(joined.order_by(Author.id, Article.id)).all() == [("Ada", 1), ("Ada", 3), ("Bob", None)]
    subquery = select(Article).where(or_(live, owls)).subquery()
    assert full.scalar(select(func.count()).select_from(subquery)) == 3
    cte = select(Article.id).where(live).cte("live")
    assert full.scalars(select(cte.c.id).order_by(cte.c.id)).all() == [1, 2]
    assert full.execute(select(Article.id, owls.label("owls")).order_by(Article.id)).all() == [
        (1, True), (2, False), (3, True), (4, False), (5, False),
    ]  # fmt: skip
    union = select(Article.id).where(live).union(select(Article.id).where(owls))
    assert sorted(full.scalars(union)) == [1, 2, 3]
    loaded = select(Author).options(joinedload(Author.articles.and_(owls))).execution_options(populate_existing=True)
    assert {author.name: [a.id for a in author.articles] for author in full.scalars(loaded).unique()} == {
        "Ada": [1, 3], "Bob": [],
    }  # fmt: skip


@pytest.mark.slow
def test_loader_criteria(full: Session) -> None:
    full.expunge_all()
    option = with_loader_criteria(Article, tagged(Article, "status:live"))
    authors = full.scalars(select(Author).options(selectinload(Author.articles), option)).all()
    assert [[article.id for article in author.articles] for author in authors] == [[1], [2]]
    full.expunge_all()
    found = []
    for tag in ("status:live", "topic:owls"):
        option = with_loader_criteria(Tagged, lambda cls: tagged(cls, tag), include_aliases=True)  # noqa: B023
        found.append(full.scalars(select(Article.id).options(option)).all())
        assert full.scalars(select(Author.name).options(option)).all() == ["Ada" if tag == "status:live" else "Bob"]
    assert found == [[1, 2], [1, 3]]


def test_bulk_statements(full: Session) -> None:
    done = full.execute(update(Article).where(tagged(Article, "status:live")).values(title="live"))
    assert done.rowcount == 2
    assert ids(full, Article.title == "live") == {1, 2}
    assert full.execute(delete(Article).where(tagged_any(Article, ["plain", "topic:bats"]))).rowcount == 2
    assert ids(full) == {1, 3, 5}
    assert ids(full, Article.tags.any("plain")) == set()
    assert full.execute(delete(Badge).where(~Badge.tags.any())).rowcount == 1


def test_joining_the_tags(full: Session) -> None:
    rows = full.execute(select(Article.id, Tag.tag).join(Article.tags).where(Article.id.in_([1, 3])))
    assert {(row.id, row.tag) for row in rows} == {(i, tag) for i in (1, 3) for tag in TAGS[i]}


def test_as_of_a_moment(full: Session) -> None:
    moment = commit_moment(full)
    for article in full.scalars(select(Article)):
        article.tags = {"topic:owls"} if article.id == 5 else set()
    full.commit()
    statement = select(Article.id).where(tagged(Article, "topic:owls")).order_by(Article.id)
    assert full.scalars(statement).all() == [5]
    assert full.scalars(statement, execution_options={"as_of": moment}).all() == [1, 3]
    with at(full, moment) as past:
        assert [one.id for one in past.scalars(select(Article).where(Article.tags.contains("rbac:*")))] == [1, 2]


def test_a_statement_is_compiled_once_for_all_tags(full: Session, engine: Engine) -> None:
    seen: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def before(connection: object, cursor: object, sql: str, parameters: Any, *rest: object) -> None:
        seen.append((sql, parameters))

    builds: list[Callable[[str], Any]] = [
        lambda tag: tagged(Article, tag),
        lambda tag: tagged_any(Article, [tag, "x"]),
        lambda tag: tagged_expression(Article, f"!{tag}"),
        lambda tag: Article.tags.contains(tag),
    ]
    for build in builds:
        keys = [select(Article).where(build(tag))._generate_cache_key() for tag in ("a", "b*", "c:d")]
        assert all(key is not None and key == keys[0] for key in keys)
        compiled = len(engine._compiled_cache)  # type: ignore[arg-type]
        del seen[:]
        for tag in ("a", "b*", "c:d"):
            full.execute(select(Article).where(build(tag)))
        assert len({sql for sql, _ in seen}) == 1
        assert len({parameters for _, parameters in seen}) == 3
        assert len(engine._compiled_cache) <= compiled + 1  # type: ignore[arg-type]


def test_the_engine_is_asked_for_the_entities_once(full: Session) -> None:
    sql = str(select(Article.id).where(tagged(Article, "a")))
    assert "WHERE article.id IN (SELECT anon_1.entity" in sql
    assert "FROM entitydb_tagged(:param_1, :param_2) AS anon_1)" in sql
