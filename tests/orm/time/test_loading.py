"""Whatever is loaded for an object of a past moment, and however, is of that moment."""

from __future__ import annotations

import warnings

import pytest
from sqlalchemy import exc, func, select
from sqlalchemy.orm import (
    Session,
    contains_eager,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    noload,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    with_parent,
)
from sqlalchemy.orm.exc import DetachedInstanceError

from entitydb_dialect.temporal import past_class, temporal

from .conftest import Shop, is_first
from .models import Label, Product, Review

PastLabel, PastProduct = past_class(Label), past_class(Product)

LOADERS = {
    "lazy": lambda p: [],
    "all lazy": lambda p: [lazyload("*")],
    "joined": lambda p: [joinedload(p.labels), joinedload(p.reviews), joinedload(p.part_of), joinedload(p.parts)],
    "joined of joined": lambda p: [joinedload(p.parts).joinedload(PastProduct.labels).joinedload(PastLabel.products)],
    "selectin": lambda p: [
        selectinload(p.labels).selectinload(PastLabel.products),
        selectinload(p.reviews),
        selectinload(p.good_reviews),
        selectinload(p.part_of),
        selectinload(p.parts),
    ],
    "subquery": lambda p: [
        subqueryload(p.labels).subqueryload(PastLabel.products),
        subqueryload(p.reviews),
        subqueryload(p.parts),
        subqueryload(p.part_of),
    ],
    "immediate": lambda p: [immediateload(p.labels), immediateload(p.reviews), immediateload(p.parts)],
    "deferred": lambda p: [defer(p.title), defer(p.price), defer(p.stars)],
    "load only": lambda p: [load_only(p.id)],
    "undeferred": lambda p: [undefer(p.text)],
}


@pytest.mark.slow
@pytest.mark.parametrize("limited", [False, True], ids=["whole", "limited"])
@pytest.mark.parametrize("loader", list(LOADERS))
def test_every_loading_strategy_keeps_the_moment(shop: Shop, loader: str, limited: bool) -> None:
    then = temporal(Product, as_of=shop.first)
    query = select(then).where(then.title == "lamp").options(*LOADERS[loader](then))
    if limited:
        query = query.order_by(then.id).limit(1)
    with Session(shop.engine) as session:
        is_first(session.scalars(query).unique().one())


@pytest.mark.slow
@pytest.mark.parametrize("loader", list(LOADERS))
def test_the_present_is_in_the_session_already(shop: Shop, loader: str) -> None:
    with Session(shop.engine) as session:
        options = selectinload(Product.reviews), selectinload(Product.labels)
        now = session.scalars(select(Product).options(*options)).all()
        then = temporal(Product, as_of=shop.first)
        lamp = session.scalars(select(then).where(then.id == 1).options(*LOADERS[loader](then))).unique().one()
        assert all(lamp is not product for product in now)
        is_first(lamp)
        assert now[0].price == 14
        assert [review.stars for review in now[0].reviews] == [1]


def test_two_moments_of_one_row_are_two_objects(shop: Shop) -> None:
    first, second = temporal(Product, as_of=shop.first), temporal(Product, as_of=shop.second)
    with Session(shop.engine) as session:
        query = select(first, second).join(second, second.id == first.id).where(first.id == 1)
        one, two = session.execute(query).one()
        assert one is not two
        assert (one.price, two.price) == (10, 12)
        assert [review.stars for review in two.reviews] == [1]
        assert [label.text for label in two.labels] == ["new!"]
        is_first(one)


def test_expire_refresh_and_get(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
        session.expire(lamp)
        is_first(lamp)
        session.expire_all()
        is_first(lamp)
        session.refresh(lamp, ["price", "reviews", "labels"])
        is_first(lamp)
        session.commit()
        is_first(lamp)
        assert session.get(past_class(Product), (1, shop.first)) is lamp
        session.expunge_all()
        found = session.get(past_class(Product), (1, shop.first), options=[selectinload(past_class(Product).labels)])
        assert found is not None
        is_first(found)
        assert session.get(past_class(Product), (99, shop.first)) is None
        assert session.get(past_class(Product), (1, shop.first - 1)) is None


def test_many_to_one_is_found_in_the_session_without_a_query(shop: Shop) -> None:
    then, reviews = temporal(Product, as_of=shop.first), temporal(Review, as_of=shop.first)
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
        review = session.scalars(select(reviews).where(reviews.id == 1).options(raiseload("*", sql_only=True))).one()
        assert review.product is lamp


def test_raise_and_noload(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        query = select(then).where(then.id == 1)
        lamp = session.scalars(query.options(raiseload(then.reviews))).one()
        with pytest.raises(Exception, match="raise"):
            assert lamp.reviews
        session.expunge_all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exc.SADeprecationWarning)
            lamp = session.scalars(query.options(noload(then.reviews))).one()
        assert lamp.reviews == []


def test_with_parent(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
        reviews = select(past_class(Review)).where(with_parent(lamp, past_class(Product).reviews))
        assert {review.stars for review in session.scalars(reviews)} == {5, 2}
        labels = select(past_class(Label)).where(with_parent(lamp, past_class(Product).labels))
        assert {label.text for label in session.scalars(labels)} == {"new", "old"}


def test_write_only_and_dynamic(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
        assert [review.stars for review in session.scalars(lamp.reviews_by_query.select())] == [5, 2]
        assert [label.text for label in session.scalars(lamp.labels_by_query.select())] == ["new", "old"]
        assert lamp.reviews_dynamic.count() == 2
        assert [r.stars for r in lamp.reviews_dynamic.filter_by(stars=5)] == [5]


def test_contains_eager(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        reviews = temporal(Review, as_of=shop.first)
        query = select(then).join(then.reviews.of_type(reviews)).where(reviews.stars > 2, then.id == 1)
        lamp = session.scalars(query.options(contains_eager(then.reviews.of_type(reviews)))).unique().one()
        assert [review.stars for review in lamp.reviews] == [5]
        session.expunge_all()
        query = select(then).join(then.reviews).where(then.id == 1).options(contains_eager(then.reviews))
        is_first(session.scalars(query).unique().one())


def test_criteria_of_a_loader_option(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        option = selectinload(then.reviews.and_(Review.stars > 2))
        lamp = session.scalars(select(then).where(then.id == 1).options(option)).one()
        assert [review.stars for review in lamp.reviews] == [5]


def test_detached_objects_keep_what_they_have(shop: Shop) -> None:
    then = temporal(Product, as_of=shop.first)
    with Session(shop.engine) as session:
        lamp = session.scalars(select(then).where(then.id == 1)).one()
    assert lamp.price == 10
    with pytest.raises(DetachedInstanceError):
        assert lamp.reviews


def test_a_past_class_without_a_moment_raises(shop: Shop) -> None:
    with Session(shop.engine) as session, pytest.raises(Exception, match="needs a moment"):
        session.scalars(select(past_class(Product))).all()
    with Session(shop.engine) as session, pytest.raises(Exception, match="needs a moment"):
        session.scalar(select(func.count()).select_from(past_class(Product)))
