"""with_loader_criteria(): the filter of a tenant holds for the past as for the present."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, joinedload, lazyload, selectinload, subqueryload, with_loader_criteria

from entitydb_dialect.temporal import past_class, temporal, versions

from .conftest import Shop
from .models import Product, Review, Tenant

CRITERIA: dict[str, Callable[[int], Any]] = {
    "mixin": lambda tenant: with_loader_criteria(Tenant, lambda cls: cls.tenant == tenant, include_aliases=True),
    "mixin without aliases": lambda tenant: with_loader_criteria(Tenant, lambda cls: cls.tenant == tenant),
    "model": lambda tenant: with_loader_criteria(Product, Product.tenant == tenant),
    "lambda of the model": lambda tenant: with_loader_criteria(Product, lambda cls: Product.tenant == tenant),
    "lambda": lambda tenant: with_loader_criteria(Product, lambda cls: cls.tenant == tenant),
}


@pytest.mark.parametrize("kind", list(CRITERIA))
def test_a_filter_holds_for_the_past(shop: Shop, kind: str) -> None:
    then, v = temporal(Product, as_of=shop.first), versions(Product)
    with Session(shop.engine) as session:
        for tenant, titles in ((1, ["lamp", "bulb"]), (2, ["chair"]), (1, ["lamp", "bulb"]), (3, [])):
            option = CRITERIA[kind](tenant)
            assert [p.title for p in session.scalars(select(then).order_by(then.id).options(option))] == titles
            assert session.scalars(select(then.title).order_by(then.id).options(option)).all() == titles
            query = select(func.count()).select_from(v.entity).where(v.operation == "insert")
            assert session.scalar(query.options(option)) == len(titles)
            query = select(func.count()).select_from(then).where(then.id > 0).options(option)
            assert session.scalar(query) == len(titles)


def test_a_filter_holds_in_joins_and_loads(shop: Shop) -> None:
    reviews = temporal(Review, as_of=shop.first)
    option = CRITERIA["mixin"](1)
    with Session(shop.engine) as session:
        query = select(reviews.id, past_class(Product).title).join(reviews.product).options(option)
        assert session.execute(query.order_by(reviews.id)).all() == [(1, "lamp"), (2, "lamp")]
        then = temporal(Product, as_of=shop.first)
        for strategy in (selectinload, joinedload):
            session.expunge_all()
            hidden = with_loader_criteria(Review, Review.stars > 2)
            query = select(then).where(then.id == 1).options(strategy(then.reviews), hidden)
            assert [r.stars for r in session.scalars(query).unique().one().reviews] == [5]
        session.expunge_all()
        lamp = session.scalars(select(then).where(then.id == 1).options(hidden)).one()
        assert [r.stars for r in lamp.reviews] == [5], "the lazy load too"


def test_a_filter_of_a_session_holds(shop: Shop) -> None:
    with Session(shop.engine) as session:

        @event.listens_for(session, "do_orm_execute")
        def filter_tenant(state: Any) -> None:
            if state.is_select:
                state.statement = state.statement.options(CRITERIA["mixin"](2))

        then = temporal(Product, as_of=shop.first)
        chair = session.scalars(select(then)).one()
        assert (chair.title, [r.stars for r in chair.reviews]) == ("chair", [4])
        assert session.scalars(select(temporal(Review, as_of=shop.first).stars)).all() == [4]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [joinedload, lazyload, selectinload, subqueryload])
def test_a_filter_beside_criteria_of_loader_options(shop: Shop, strategy: Callable[..., Any]) -> None:
    """SQLAlchemy gives a cached statement's options the parameters of the new one, by the places that these have."""
    then = temporal(Product, as_of=shop.first)
    for entity, review in ((Product, Review), (then, past_class(Review))):
        for tenant in (1, 2, 1, 3):
            for stars in (1, 4, 5, 0):
                with Session(shop.engine) as session, warnings.catch_warnings():
                    warnings.simplefilter("error")
                    query = (
                        select(entity)
                        .where(entity.id > 0)
                        .options(CRITERIA["mixin"](tenant), strategy(entity.reviews.and_(review.stars > stars)))
                    )
                    found = [(p.id, r.stars) for p in session.scalars(query).unique() for r in p.reviews]
                    read = Review if entity is Product else temporal(Review, as_of=shop.first)
                    wanted = select(read.product_id, read.stars).where(read.tenant == tenant, read.stars > stars)
                    assert sorted(found) == sorted(map(tuple, session.execute(wanted)))
