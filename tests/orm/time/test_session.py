"""TemporalSession: past objects beside present ones, and all that is loaded for them of their moment."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, delete, event, exc, func, select, text, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    mapped_column,
    raiseload,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
    subqueryload,
    undefer,
    with_loader_criteria,
    with_parent,
)

from entitydb_dialect import (
    PastWriteError,
    TemporalSession,
    at,
    commit_moment,
    moment_of,
    temporal,
    transaction,
    versions,
)

from ..models import Employee, Engineer, Manager
from ..test_at import LOADERS as COMPANY_LOADERS
from ..test_at import is_then
from .conftest import Shop, is_first, made
from .models import Base, Label, Product, Review
from .test_inheritance import Company, company

__all__ = ["company"]


@pytest.fixture
def session(shop: Shop) -> Iterator[TemporalSession]:
    with sessionmaker(shop.engine, class_=TemporalSession)() as session:
        yield session
        session.rollback()


LOADERS: dict[str, list[Any]] = {
    "lazy": [],
    "all lazy": [lazyload("*")],
    "joined": [
        joinedload(Product.labels).joinedload(Label.products),
        joinedload(Product.reviews),
        joinedload(Product.part_of),
        joinedload(Product.parts),
    ],
    "selectin": [
        selectinload(Product.labels).selectinload(Label.products),
        selectinload(Product.reviews),
        selectinload(Product.good_reviews),
        selectinload(Product.part_of),
        selectinload(Product.parts),
    ],
    "subquery": [
        subqueryload(Product.labels).subqueryload(Label.products),
        subqueryload(Product.reviews),
        subqueryload(Product.parts),
    ],
    "immediate": [immediateload(Product.labels), immediateload(Product.reviews), immediateload(Product.parts)],
    "deferred": [defer(Product.title), defer(Product.price)],
    "load only": [load_only(Product.id)],
    "undeferred": [undefer(Product.text)],
}


def watched(engine: Engine) -> list[Any]:
    """The moments of the statements that are executed from now on."""
    seen: list[Any] = []
    event.listen(engine, "after_cursor_execute", lambda *args: seen.append(args[1].as_of if args[1].as_of else args[2]))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("present", [False, True], ids=["alone", "beside the present"])
@pytest.mark.parametrize("loader", list(LOADERS))
def test_every_loading_strategy_keeps_the_moment(
    session: TemporalSession, shop: Shop, loader: str, present: bool
) -> None:
    if present:
        now = session.scalars(select(Product).options(*LOADERS["selectin"])).all()
    seen = watched(shop.engine)
    query = select(Product).where(Product.title == "lamp").options(*LOADERS[loader])
    lamp = session.scalars(query, execution_options={"as_of": shop.first}).unique().one()
    assert type(lamp) is Product
    is_first(lamp)
    assert set(seen) == {shop.first}
    assert moment_of(lamp) == moment_of(lamp.labels[0]) == shop.first
    if present:
        assert (now[0].price, [review.stars for review in now[0].reviews]) == (14, [1])
        assert moment_of(now[0]) is None


@pytest.mark.parametrize("loader", list(COMPANY_LOADERS))
def test_inheritance_keeps_the_moment(company: Company, loader: str) -> None:
    with TemporalSession(company.engine) as session:
        now = session.scalars(select(Employee)).all()
        seen = watched(company.engine)
        query = select(Employee).where(Employee.name == "Bob").options(*COMPANY_LOADERS[loader])
        found = session.scalars(query, execution_options={"as_of": company.then}).unique().one()
        is_then(session, found)
        assert set(seen) == {company.then}
        session.expire_all()
        is_then(session, found)
        assert [e.pay for e in now] == [1100, 1040]
        assert isinstance(session.get(Engineer, 2, as_of=company.then), Engineer)
        assert session.get(Manager, 2, as_of=company.then) is None
        assert session.get(Engineer, 2) is None


def test_get_refresh_expire_and_query(session: TemporalSession, shop: Shop) -> None:
    seen = watched(shop.engine)
    lamp = session.get_one(Product, 1, as_of=shop.first)
    assert session.get(Product, 1, as_of=shop.first) is lamp
    assert len(seen) == 1, "found in the session"
    assert session.get(Product, 99, as_of=shop.first) is None
    with pytest.raises(exc.NoResultFound):
        session.get_one(Product, 99, as_of=shop.first)
    is_first(lamp)
    session.expire(lamp)
    is_first(lamp)
    session.expire_all()
    session.refresh(lamp)
    session.refresh(lamp, ["reviews", "text"])
    is_first(lamp)
    query = session.query(Product).filter_by(title="lamp").execution_options(as_of=shop.first)
    assert query.one() is lamp
    assert lamp in session
    name = text("SELECT name FROM product WHERE id = 1")
    assert session.scalar(name, execution_options={"as_of": shop.first}) == "lamp"
    assert set(seen) == {shop.first}
    now = session.get_one(Product, 1)
    assert now is not lamp
    assert (now.price, lamp.price) == (14, 10)
    session.commit()
    is_first(lamp)
    assert now.price == 14


def test_two_moments_side_by_side(session: TemporalSession, shop: Shop) -> None:
    one, two, now = (session.get_one(Product, 1, as_of=m) for m in (shop.first, shop.second, shop.second + 10**18))
    assert [product.price for product in (one, two, now)] == [10, 12, 14]
    assert [[label.text for label in product.labels] for product in (one, two)] == [["new", "old"], ["new!"]]
    assert [[review.stars for review in product.reviews] for product in (one, two)] == [[5, 2], [1]]


def test_a_moment_may_be_named(session: TemporalSession, shop: Shop) -> None:
    v = versions(Product)
    number = session.scalars(select(v.transaction_id).where(v.valid_from == shop.first).limit(1)).one()
    lamp = session.get_one(Product, 1, as_of=transaction(number))
    is_first(lamp)
    query = select(Product).where(Product.id == 1)
    assert session.scalars(query, execution_options={"as_of": transaction(number)}).one() is lamp
    assert session.get(Product, 1, as_of=shop.first) is lamp
    with pytest.raises(exc.NoResultFound, match="no transaction"):
        session.get(Product, 1, as_of=transaction(99))


def test_a_moment_of_the_future_is_settled(session: TemporalSession, shop: Shop) -> None:
    """Or an object of it would show what was there when it was first asked for, whatever came afterwards."""
    for engine in made(Base.metadata):
        with TemporalSession(engine) as session:
            session.add(Label(id=1, text="a"))
            session.commit()
            future = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)
            before = session.get_one(Label, 1, as_of=future)
            assert before.text == "a"
            session.get_one(Label, 1).text = "b"
            session.commit()
            assert session.get_one(Label, 1, as_of=future).text == "b"
            assert before.text == "a"


def test_with_parent_write_only_and_dynamic(session: TemporalSession, shop: Shop) -> None:
    lamp, now = session.get_one(Product, 1, as_of=shop.first), session.get_one(Product, 1)
    for product, stars, labels in ((lamp, [5, 2], ["new", "old"]), (now, [1], ["new!"])):
        reviews = session.scalars(select(Review).where(with_parent(product, Product.reviews)).order_by(Review.id)).all()
        assert [review.stars for review in reviews] == stars
        assert {moment_of(review) for review in reviews} == {moment_of(product)}
        assert [review.stars for review in session.scalars(product.reviews_by_query.select())] == stars
        assert [label.text for label in session.scalars(product.labels_by_query.select())] == labels
        assert [review.stars for review in product.reviews_dynamic] == stars
        assert product.reviews_dynamic.count() == len(stars)
        assert session.scalars(select(Review.stars).where(Review.product == product).order_by(Review.id)).all() == stars
    two = session.get_one(Product, 1, as_of=shop.second)
    mixed = select(Review).where(with_parent(lamp, Product.reviews) | with_parent(two, Product.reviews))
    with pytest.raises(exc.InvalidRequestError, match="several moments"):
        session.scalars(mixed)


@pytest.mark.slow
def test_raiseload(session: TemporalSession, shop: Shop) -> None:
    lamp = session.get_one(Product, 1, as_of=shop.first, options=[raiseload(Product.reviews)])
    with pytest.raises(exc.InvalidRequestError, match="raise"):
        assert lamp.reviews


def test_past_objects_refuse_changes(session: TemporalSession, shop: Shop) -> None:
    lamp = session.get_one(Product, 1, as_of=shop.first)
    lamp.price = 0
    with pytest.raises(PastWriteError, match="past moment"):
        session.flush()
    session.expire(lamp)
    lamp.labels.clear()
    for _ in range(2):
        with pytest.raises(PastWriteError):
            session.commit()
        session.expire(lamp)  # its labels have lost it still
    session.rollback()
    with pytest.raises(PastWriteError):
        session.delete(lamp)
    session.flush()
    for statement in (update(Product).values(price=0), delete(Product)):
        with pytest.raises(PastWriteError, match="does not change"):
            session.execute(statement, execution_options={"as_of": shop.first})
    assert session.scalar(select(func.count()).select_from(Product)) == 2


@pytest.mark.parametrize("synchronize", ["evaluate", "fetch", "auto", False])
def test_bulk_updates_never_touch_past_objects(session: TemporalSession, shop: Shop, synchronize: Any) -> None:
    lamp, now = session.get_one(Product, 1, as_of=shop.first), session.get_one(Product, 1)
    options = {"synchronize_session": synchronize}
    session.execute(update(Product).where(Product.price > 0).values(price=7), execution_options=options)
    assert lamp.price == 10
    assert now.price == (14 if synchronize is False else 7)
    session.execute(delete(Review), execution_options=options)
    assert [review.stars for review in lamp.reviews] == [5, 2]
    is_first(lamp)


def test_a_past_object_does_not_get_into_a_present_graph(session: TemporalSession, shop: Shop) -> None:
    lamp = session.get_one(Product, 1, as_of=shop.first)
    now, label = session.get_one(Product, 2), session.get_one(Label, 1)
    for change in (
        lambda: setattr(now, "part_of", lamp),
        lambda: now.parts.append(lamp),
        lambda: label.products.append(lamp),
        lambda: setattr(now, "labels", [lamp.labels[1]]),
        lambda: Review(stars=1, product=lamp),
        lambda: lamp.labels.append(label),
    ):
        with pytest.raises(exc.InvalidRequestError, match="is of a past moment"):
            change()
    session.expire_all()


def test_the_present_is_kept_apart_without_temporal() -> None:
    """Nothing but the Session has heard of these models."""

    class Base(DeclarativeBase):
        pass

    class Node(Base):
        __tablename__ = "node"
        id: Mapped[int] = mapped_column(primary_key=True)
        above_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))

    Node.below = relationship(Node)
    for engine in made(Base.metadata):
        with TemporalSession(engine) as session:
            session.add(Node(id=1))
            session.commit()
            past, now = session.get_one(Node, 1, as_of=commit_moment(session)), session.get_one(Node, 1)
            with pytest.raises(exc.InvalidRequestError, match="is of a past moment"):
                now.below.append(past)
            with pytest.raises(exc.InvalidRequestError, match="is of a past moment"):
                past.below.append(now)
            session.expire_all()


def test_pickle_merge_and_detached_objects(session: TemporalSession, shop: Shop) -> None:
    lamp = session.get_one(Product, 1, as_of=shop.first)
    assert [label.text for label in lamp.labels] == ["new", "old"]
    session.expunge_all()
    again = pickle.loads(pickle.dumps(lamp))
    assert moment_of(again) == shop.first
    with TemporalSession(shop.engine) as other:
        other.add(again)
        reviews = select(Review.stars).where(with_parent(again, Product.reviews)).order_by(Review.id)
        assert other.scalars(reviews).all() == [5, 2]
        other.expire(again)
        is_first(again)
        again.price = 0
        with pytest.raises(PastWriteError):
            other.flush()
    merged = session.merge(lamp)
    session.flush()
    is_first(merged)
    assert session.get_one(Product, 1).price == 14


def test_filters_of_the_session_hold_for_the_past(session: TemporalSession, shop: Shop) -> None:
    @event.listens_for(session, "do_orm_execute")
    def filter_tenant(state: Any) -> None:
        if state.is_select:
            state.statement = state.statement.options(with_loader_criteria(Product, Product.tenant == 2))

    assert [p.title for p in session.scalars(select(Product), execution_options={"as_of": shop.first})] == ["chair"]


def test_other_ways_to_the_past_in_it(session: TemporalSession, shop: Shop) -> None:
    then, v = temporal(Product, as_of=shop.first), versions(Product)
    past = session.scalars(select(then).where(then.id == 1)).one()
    assert moment_of(past) == shop.first
    is_first(past)
    found = session.scalars(select(v.entity).where(v.entity.id == 1).order_by(v.valid_from)).all()
    assert [moment_of(product) for product in found][:2] == [shop.first, shop.second]
    with at(session, shop.first) as child:
        lamp = child.get(Product, 1)
        assert lamp is not None
        assert moment_of(lamp) == shop.first
        is_first(lamp)


def test_scoped_session(shop: Shop) -> None:
    scoped = scoped_session(sessionmaker(shop.engine, class_=TemporalSession))
    query = select(Product).where(Product.id == 1)
    is_first(scoped.scalars(query, execution_options={"as_of": shop.first}).one())
    is_first(scoped().get_one(Product, 1, as_of=shop.first))
    scoped.remove()


def test_what_moment_of_is_asked(session: TemporalSession) -> None:
    assert moment_of(Product(title="new", price=1)) is None
    with pytest.raises(exc.ArgumentError, match="mapped class"):
        moment_of(3)


def test_a_plain_session_says_how_to_write_it(shop: Shop) -> None:
    with Session(shop.engine) as session:
        now = session.get_one(Product, 1)
        with pytest.raises(exc.InvalidRequestError, match=r"select\(temporal\(Product, as_of=moment\)\)"):
            session.scalars(select(Product), execution_options={"as_of": shop.first})
        then = temporal(Product, as_of=shop.first)
        query = select(then).where(then.id == 1)
        is_first(session.scalars(query, execution_options={"as_of": shop.second}).one())
        assert now.price == 14
