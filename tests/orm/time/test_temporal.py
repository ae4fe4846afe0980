"""temporal() in every place of a statement: what each reference reads is its own moment's."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Integer, and_, event, exc, exists, func, literal, or_, select, text, union_all
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from entitydb_dialect import transaction
from entitydb_dialect.history import to_ns
from entitydb_dialect.temporal import past_class, temporal, versions

from .conftest import Shop
from .models import Label, Product, Review, product_label


def rows(shop: Shop, statement: Any) -> list[Any]:
    with Session(shop.engine) as session:
        return [tuple(row) for row in session.execute(statement)]


def test_the_price_of_then_beside_that_of_now(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    query = select(Product.title, then.price, Product.price).join(then, then.id == Product.id).order_by(Product.id)
    assert rows(shop, query) == [("LAMP", 10, 14), ("bulb", 3, 3)]


@pytest.mark.parametrize(
    ("isouter", "full", "wanted"),
    [
        (False, False, [(10, 14), (3, 3)]),
        (True, False, [(10, 14), (3, 3), (50, None)]),
        (True, True, [(10, 14), (3, 3), (50, None)]),
    ],
)
def test_joins_of_a_moment_and_now(shop: Shop, isouter: bool, full: bool, wanted: list[Any]) -> None:
    then = temporal(Product, as_of=shop.first)
    query = select(then.price, Product.price).select_from(then)
    query = query.join(Product, Product.id == then.id, isouter=isouter, full=full)
    assert sorted(rows(shop, query), key=str) == sorted(wanted, key=str)


def test_a_moment_on_the_right_of_outer_joins(shop: Shop) -> None:
    """A condition on the moment in WHERE would make it an inner join, and one in ON of a FULL join would not filter."""
    then, before = temporal(Product, as_of=shop.first), temporal(Product, as_of=shop.first - 1)
    query = select(Product.id, then.price, before.price).order_by(Product.id)
    query = query.outerjoin(then, and_(then.id == Product.id, then.price > 5))
    query = query.outerjoin(before, before.id == Product.id)
    assert rows(shop, query) == [(1, 10, None), (2, None, None)]
    query = select(func.count()).select_from(Product).join(before, before.id == Product.id, full=True)
    assert rows(shop, query) == [(2,)]
    query = select(Product.id, then.id).join(then, then.id == Product.id, full=True)
    assert sorted(rows(shop, query), key=str) == [(1, 1), (2, 2), (None, 3)]


def test_many_moments_of_one_model(shop: Shop) -> None:
    one, two = temporal(Product, as_of=shop.first), temporal(Product, as_of=shop.second)
    query = select(one.price, two.price, Product.price).join(two, two.id == one.id).join(Product, Product.id == one.id)
    assert rows(shop, query.order_by(one.id)) == [(10, 12, 14), (3, 3, 3)]


def test_where_order_group_having_and_windows(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    assert rows(shop, select(then.id).where(or_(then.price == 3, then.title == "chair")).order_by(then.id.desc())) == [
        (3,), (2,),
    ]  # fmt: skip
    query = select(then.tenant, func.sum(then.price)).group_by(then.tenant).having(func.sum(then.price) > 0)
    assert rows(shop, query.order_by(then.tenant)) == [(1, 13), (2, 50)]
    query = select(then.id, func.row_number().over(order_by=then.price)).order_by(then.id)
    assert rows(shop, query) == [(1, 2), (2, 1), (3, 3)]
    assert rows(shop, select(then.twice, then.gross, then.heading).where(then.gross == 11)) == [(20, 11, "lamp")]
    assert rows(shop, select(then.id, then.stars).order_by(then.id)) == [(1, 7), (2, None), (3, 4)]  # type: ignore[attr-defined]


def test_subqueries_exists_unions_and_ctes(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    gone = select(then.title).where(~exists().where(Product.id == then.id))
    assert rows(shop, gone) == [("chair",)]
    assert rows(shop, select(then.id).where(then.id.not_in(select(Product.id)))) == [(3,)]
    later = temporal(Product, as_of=shop.second)
    assert rows(shop, union_all(select(then.price).where(then.id == 1), select(later.price).where(later.id == 1))) == [
        (10,), (12,),
    ]  # fmt: skip
    cte = select(then.id, then.price).cte("product")  # a name that a table has
    assert rows(shop, select(cte.c.price).where(cte.c.id == 1)) == [(10,)]
    sub = select(then).where(then.price < 20).subquery()
    assert rows(shop, select(func.count()).select_from(sub)) == [(2,)]


def test_an_alias_of_a_subquery_gives_past_objects(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    cheap = aliased(past_class(Product), select(then).where(then.price < 20).subquery())
    with Session(shop.engine) as session:
        found = session.scalars(select(cheap).order_by(cheap.id)).all()
        assert [product.price for product in found] == [10, 3]
        assert [label.text for label in found[0].labels] == ["new", "old"]


def test_joins_by_relationship_keep_the_moment(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    query = select(then.id, past_class(Review).stars).join(then.reviews).order_by(past_class(Review).id)
    assert rows(shop, query) == [(1, 5), (1, 2), (3, 4)]
    query = select(then.id, past_class(Label).text).join(then.labels).order_by(then.id, past_class(Label).id)
    assert rows(shop, query) == [(1, "new"), (1, "old"), (2, "new")]
    reviews = temporal(Review, as_of=shop.first)
    assert rows(shop, select(then.id, reviews.stars).join(reviews, then.reviews).order_by(reviews.id)) == [
        (1, 5), (1, 2), (3, 4),
    ]  # fmt: skip
    query = select(then.id, past_class(Review).stars).outerjoin(then.reviews).order_by(then.id, past_class(Review).id)
    assert rows(shop, query) == [(1, 5), (1, 2), (2, None), (3, 4)]
    part = temporal(Product, as_of=shop.first)
    assert rows(shop, select(part.title, then.title).join(part.part_of.of_type(then))) == [("bulb", "lamp")]


def test_any_has_and_contains(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    assert rows(shop, select(then.id).where(then.reviews.any(Review.stars == 2))) == [(1,)]
    assert rows(shop, select(then.id).where(then.reviews.any(stars=5))) == [(1,)]
    assert rows(shop, select(then.id).where(then.labels.any(Label.text == "old"))) == [(1,)]
    assert rows(shop, select(then.id).where(~then.labels.any())) == [(3,)]
    reviews = temporal(Review, as_of=shop.first)
    query = select(reviews.id).where(reviews.product.has(Product.labels.any(Label.text == "old"))).order_by(reviews.id)
    assert rows(shop, query) == [(1,), (2,)]
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
        old = lamp.labels[1]
        assert session.scalars(select(then.id).where(then.labels.contains(old))).all() == [1]
        assert session.scalars(select(reviews.id).where(reviews.product == lamp).order_by(reviews.id)).all() == [1, 2]
        for criterion in (
            lambda: reviews.product == session.get(Product, 1),
            lambda: reviews.product != session.get(Product, 1),
            lambda: then.labels.contains(session.get(Label, 1)),
        ):
            with pytest.raises(exc.ArgumentError, match="is of now"):
                criterion()


def test_a_moment_may_be_a_column(shop: Shop) -> None:
    moments = union_all(
        select(literal(shop.first).label("at"), literal("first").label("name")),
        select(literal(shop.second), literal("second")),
    ).subquery()
    then = temporal(Product, as_of=moments.c.at)
    query = select(moments.c.name, then.title, then.price).select_from(moments).join(then, then.id == 1)
    assert rows(shop, query.order_by(moments.c.at)) == [("first", "lamp", 10), ("second", "LAMP", 12)]
    v = versions(Review)
    then = temporal(Product, as_of=v.valid_from)
    query = select(v.entity.stars, then.price).join(then, then.id == v.entity.product_id)
    assert rows(shop, query.where(v.operation == "update").order_by(v.entity.id)) == [(1, 12)]
    query = select(moments.c.name, select(func.count(then.id)).scalar_subquery()).select_from(moments)
    then = temporal(Product, as_of=moments.c.at)
    count = select(func.count(then.id)).scalar_subquery()
    assert rows(shop, select(moments.c.name, count).select_from(moments).order_by(moments.c.at)) == [
        ("first", 3), ("second", 3),
    ]  # fmt: skip


def test_objects_of_a_moment_that_is_a_column(shop: Shop) -> None:
    moments = union_all(select(literal(shop.first).label("at")), select(literal(shop.second))).subquery()
    then = temporal(Product, as_of=moments.c.at)
    query = select(then).select_from(moments).join(then, then.id == 1).order_by(moments.c.at)
    with Session(shop.engine) as session:
        one, two = session.scalars(query.options(selectinload(then.labels))).all()
        assert ([x.text for x in one.labels], [x.text for x in two.labels]) == (["new", "old"], ["new!"])


def test_moments_are_parameters_of_one_statement(shop: Shop) -> None:
    texts = []
    event.listen(shop.engine, "before_cursor_execute", lambda *args: texts.append(args[2]))
    cache: dict[Any, Any] = {}
    engine = shop.engine.execution_options(compiled_cache=cache)
    with Session(engine) as session:
        for moment, price in ((shop.first, 10), (shop.second, 12), (shop.second + 1, 12)):
            then, later = temporal(Product, as_of=moment), temporal(Product, as_of=shop.second)
            assert session.execute(select(then.price).where(then.id == 1)).scalar() == price
            query = select(then.price, later.price).join(later, later.id == then.id).where(then.id == 1)
            assert session.execute(query).one() == (price, 12)
    assert len(set(texts)) == 2
    assert len(cache) == 3  # one moment, two moments, and twice the same


def test_a_joined_load_over_a_secondary_table(shop: Shop) -> None:
    """It is a join in parentheses, where no table outside is seen: the moment of the statement has to stand inside."""
    then = temporal(Product, as_of=shop.first)
    same = temporal(Review, as_of=shop.first)
    query = select(then).where(then.id == 1).options(joinedload(then.labels))
    with Session(shop.engine) as session:
        assert [x.text for x in session.scalars(query).unique().one().labels] == ["new", "old"]
        session.expunge_all()
        query = query.join(same, same.product_id == then.id).where(same.stars == 5)
        assert [x.text for x in session.scalars(query).unique().one().labels] == ["new", "old"]
        later = temporal(Product, as_of=shop.second)
        query = select(then).join(later, later.id == then.id).where(then.id == 1)
        with pytest.raises(exc.CompileError, match="selectinload"):
            session.scalars(query.options(joinedload(then.labels))).unique().all()
        v = versions(Product)
        with pytest.raises(exc.CompileError, match="selectinload"):
            session.scalars(select(v.entity).options(joinedload(v.entity.labels))).unique().all()
        lamp = session.scalars(query.options(selectinload(then.labels))).unique().one()
        assert [x.text for x in lamp.labels] == ["new", "old"]


def test_core_columns_of_a_secondary_table_are_of_now(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    query = select(then.price, product_label.c.label_id).join(product_label, product_label.c.product_id == then.id)
    assert rows(shop, query.where(then.id == 1)) == [(10, 1)]


def test_mixed_joins_are_refused(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    for query in (
        select(then).join(Product.reviews),
        select(then.id).select_from(then).join(Review, Product.reviews),
        select(then).join(Product.labels),
    ):
        with pytest.raises(exc.InvalidRequestError, match=r"starts from Product of now(.|\n)*select\(e\).join\(e\."):
            rows(shop, query)
    for query in (select(then).join(Review, then.reviews), select(then).join(then.reviews.of_type(aliased(Review)))):
        with pytest.raises(exc.InvalidRequestError, match="of now"):
            rows(shop, query)
    # What is meant is no mistake: the present model is in the statement.
    query = select(then.price, Review.stars).join(Product, Product.id == then.id).join(Product.reviews)
    assert rows(shop, query) == [(10, 1)]
    query = select(then.price, Review.stars).join(Review, Review.product_id == then.id)
    assert rows(shop, query) == [(10, 1)]


def test_text_of_a_statement(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    assert 'main."product history"(' in str(select(then.id))
    assert 'main."product history"(' in str(select(then.id).compile(shop.engine))


def test_bad_moments_and_models(shop: Shop) -> None:
    for moment in ("yesterday", 1_700_000_000, 1.5, object()):
        with pytest.raises(exc.ArgumentError, match="moment"):
            temporal(Product, as_of=moment)  # type: ignore[call-overload]
    for model in (int, Product.id, product_label):
        with pytest.raises(exc.ArgumentError, match="mapped class"):
            temporal(model, as_of=shop.first)  # type: ignore[call-overload]
    mapped = temporal(Product)
    for interval in (mapped.between, mapped.from_to, mapped.contained_in):
        with pytest.raises(exc.ArgumentError, match="ends before it begins"):
            interval(shop.second, shop.first)


def test_days_count_whole(shop: Shop) -> None:
    day = 86_400 * 10**9
    first, last = to_ns("2024-01-01", start=True), to_ns("2024-02-01", start=True)
    for interval, wanted in (
        (temporal(Product).from_to, [first, last]),
        (temporal(Product).between, [first, last + day - 1]),
        (temporal(Product).contained_in, [first, last + day - 1]),
    ):
        query = select(interval("2024-01-01", "2024-02-01"))
        moments = [v for k, v in query.compile(shop.engine).params.items() if k.startswith("moment")]
        assert moments == wanted
    query = select(temporal(Product, as_of="2024-01-01"))
    assert first + day - 1 in query.compile(shop.engine).params.values()


def test_a_null_moment_finds_nothing(shop: Shop) -> None:
    then = temporal(Product, as_of=literal(None, Integer))
    assert rows(shop, select(then.id)) == []


def test_moments_by_name(shop: Shop) -> None:
    with Session(shop.engine) as session:
        query = text("SELECT id FROM entitydb_transactions WHERE committed_at = :ns")
        named = transaction(session.scalar(query, {"ns": shop.first}) or 0)
    then = temporal(Product, as_of=named)
    loaded = select(then).options(selectinload(then.labels)).where(then.id == 1)
    with Session(shop.engine) as session:
        (lamp,) = session.scalars(loaded)
        assert lamp.price == 10
        assert sorted(one.text for one in lamp.labels) == ["new", "old"]
    between = temporal(Product).between(named, named)
    assert rows(shop, select(between.price).where(between.id == 1)) == [(10,)]
