"""Mapped classes of a moment in a Session of the program's own: history/plain.py, whose rules the tests cite."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    ForeignKey,
    create_engine,
    delete,
    event,
    exc,
    func,
    insert,
    lambda_stmt,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    with_parent,
)

from entitydb_dialect import (
    PastWriteError,
    TemporalSession,
    Transaction,
    at,
    commit_moment,
    history,
    moment_of,
    restore,
    temporal,
)
from entitydb_dialect.history.moments import Nanoseconds

from ..models import Employee
from ..test_at import LOADERS as COMPANY_LOADERS
from ..test_at import is_then
from .conftest import Shop, is_first, made
from .models import Base, Label, Product, Review
from .test_inheritance import Company, company
from .test_session import LOADERS, watched

__all__ = ["company"]


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    with Session(shop.engine) as session:
        yield session
        session.rollback()


def lamp_of(session: Session, moment: int, *options: Any) -> Product:
    query = select(Product).where(Product.id == 1).options(*options)
    return session.scalars(query, execution_options={"as_of": moment}).unique().one()


# ---- what is loaded is of its moment, however (2 and 3) ----


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first statement", "later statement"])
@pytest.mark.parametrize("loader", list(LOADERS))
def test_every_loading_strategy_keeps_the_moment(session: Session, shop: Shop, loader: str, first: bool) -> None:
    if not first:
        lamp_of(session, shop.second)
    seen = watched(shop.engine)
    lamp = lamp_of(session, shop.first, *LOADERS[loader])
    assert type(lamp) is Product
    is_first(lamp)
    session.expire_all()
    is_first(lamp)
    session.refresh(lamp)
    is_first(lamp)
    assert moment_of(lamp) == moment_of(lamp.labels[0]) == shop.first
    assert set(seen) == {shop.first}


@pytest.mark.parametrize("first", [True, False], ids=["first statement", "later statement"])
@pytest.mark.parametrize("loader", list(COMPANY_LOADERS))
def test_inheritance_keeps_the_moment(company: Company, loader: str, first: bool) -> None:
    with Session(company.engine) as session:
        if not first:
            kept = session.scalars(select(Employee), execution_options={"as_of": company.later}).all()
            assert kept
        seen = watched(company.engine)
        query = select(Employee).where(Employee.name == "Bob").options(*COMPANY_LOADERS[loader])
        found = session.scalars(query, execution_options={"as_of": company.then}).unique().one()
        is_then(session, found)
        session.expire_all()
        is_then(session, found)
        assert set(seen) == {company.then}


WAYS: dict[str, Callable[[Session, int], Any]] = {
    "execute": lambda s, m: s.execute(select(Product), execution_options={"as_of": m}).scalars().first(),
    "statement": lambda s, m: s.scalars(select(Product).execution_options(as_of=m)).first(),
    "columns too": lambda s, m: s.execute(select(Product.price, Product).execution_options(as_of=m)).first()[1],
    "alias": lambda s, m: s.scalars(select(aliased(Product)).execution_options(as_of=m)).first(),
    "query": lambda s, m: s.query(Product).execution_options(as_of=m).order_by(Product.id).first(),
    "get": lambda s, m: s.get(Product, 1, execution_options={"as_of": m}),
    "text": lambda s, m: s.scalars(
        select(Product).from_statement(text("SELECT * FROM product")).execution_options(as_of=m)
    ).first(),
    "lambda": lambda s, m: s.scalars(lambda_stmt(lambda: select(Product)), execution_options={"as_of": m}).first(),
    "two": lambda s, m: s.execute(select(Review, Product).join(Review.product).execution_options(as_of=m)).first()[1],
    "streamed": lambda s, m: next(iter(s.scalars(select(Product), execution_options={"as_of": m, "yield_per": 1}))),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_to_load_objects_of_a_moment(session: Session, shop: Shop, way: str) -> None:
    for _ in range(2):
        lamp = WAYS[way](session, shop.first)
        assert moment_of(lamp) == shop.first
        is_first(lamp)
    session.expunge_all()
    del lamp
    assert WAYS[way](session, shop.second).price == 12


def test_objects_of_two_moments(session: Session, shop: Shop) -> None:
    one, two = lamp_of(session, shop.first), lamp_of(session, shop.second, selectinload(Product.labels))
    assert one is lamp_of(session, shop.first)
    assert [product.price for product in (one, two)] == [10, 12]
    assert [[label.text for label in product.labels] for product in (one, two)] == [["new", "old"], ["new!"]]
    assert [[review.stars for review in product.reviews] for product in (one, two)] == [[5, 2], [1]]


def test_what_an_object_is_the_parent_of(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    assert session.scalars(select(Review.stars).where(with_parent(lamp, Product.reviews))).all() == [5, 2]
    assert [review.stars for review in session.scalars(lamp.reviews_by_query.select())] == [5, 2]
    assert [label.text for label in session.scalars(lamp.labels_by_query.select())] == ["new", "old"]
    assert lamp.reviews_dynamic.count() == 2


def test_commit_and_rollback_keep_the_moment(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    for end in (session.commit, session.rollback):
        end()
        is_first(lamp)
        with pytest.raises(exc.InvalidRequestError, match="past objects"):
            session.scalars(select(Product))


def test_a_moment_of_the_future_is_settled() -> None:
    for engine in made(Base.metadata):
        with Session(engine) as session, Session(engine) as other:
            other.add(Label(id=1, text="a"))
            other.commit()
            future = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)
            query = select(Label).execution_options(as_of=future)
            before = session.scalars(query).one()
            other.get_one(Label, 1).text = "b"
            other.commit()
            session.commit()
            assert before.text == "a"
            after = session.scalars(query).one()
            assert (before.text, after.text) == ("a", "b")


def test_a_moment_before_now_is_one_for_all_loads(session: Session, shop: Shop) -> None:
    seen = watched(shop.engine)
    query = select(Product).options(selectinload(Product.labels), selectinload(Product.reviews))
    assert session.scalars(query, execution_options={"as_of": dt.timedelta(0)}).all()
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_a_listener_of_the_session_sees_the_loads(session: Session, shop: Shop) -> None:
    lamp_of(session, shop.second)
    seen = []
    event.listen(session, "do_orm_execute", lambda state: seen.append(state.execution_options.get("as_of")))
    assert lamp_of(session, shop.first).reviews
    assert seen == [shop.first, shop.first]


# ---- never both (1) ----


def refused(session: Session, moment: int) -> None:
    working = r"at\(session, moment\).*select\(temporal\(Product, as_of=moment\)\)"
    with pytest.raises(exc.InvalidRequestError, match=working):
        lamp_of(session, moment)


def test_a_session_with_objects_of_now_refuses_past_ones(session: Session, shop: Shop) -> None:
    now = session.get_one(Product, 1)
    for _ in range(2):  # the second time out of the statement cache
        refused(session, shop.first)
    for way in ("execute", "statement", "columns too", "alias", "query", "text", "two", "streamed"):
        with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
            WAYS[way](session, shop.first)
    price = select(Product.price).where(Product.id == 1)
    assert session.scalar(price, execution_options={"as_of": shop.first}) == 10
    assert (now.price, session.scalar(price)) == (14, 14)
    is_first(session.scalars(select(then := temporal(Product, as_of=shop.first)).where(then.id == 1)).one())
    assert set(session) >= {now}


def test_a_session_with_new_objects_refuses_past_ones(session: Session, shop: Shop) -> None:
    session.add(label := Label(id=7, text="new"))
    with session.no_autoflush:
        refused(session, shop.first)
        assert label in session.new
    refused(session, shop.first)
    session.delete(label)
    with session.no_autoflush:
        refused(session, shop.first)


def test_a_session_with_past_objects_refuses_those_of_now(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    working = r"session\.expunge_all\(\).*TemporalSession"
    for load in (
        lambda: session.scalars(select(Product)).all(),
        lambda: session.scalars(select(aliased(Label))).all(),
        lambda: session.query(Product).first(),
        lambda: session.scalars(lambda_stmt(lambda: select(Label))).all(),
        lambda: session.get(Product, 1),
        lambda: session.get(Label, 2),
        lambda: session.scalars(select(Product).from_statement(text("SELECT * FROM product"))).all(),
        lambda: session.execute(select(Product.id, Label)).all(),
        lambda: session.scalars(insert(Label).returning(Label), [{"id": 9, "text": "x"}]).all(),
        lambda: session.scalars(update(Label).values(text="x").returning(Label)).all(),
        lambda: session.merge(Label(id=1, text="x")),
        lambda: session.add(Label(id=8, text="x")),
        lambda: session.merge(Label(text="x")),
    ):
        with pytest.raises(exc.InvalidRequestError, match=working):
            load()
    assert session.scalars(select(Product.price).order_by(Product.id)).all() == [14, 3]
    assert session.scalar(select(func.count()).select_from(Label)) == 2
    is_first(lamp)
    then = temporal(Product, as_of=shop.second)
    two = session.scalars(select(then).where(then.id == 1)).one()
    assert two.price == 12
    assert {moment_of(obj) for obj in session} == {shop.first, shop.second}


def test_results_that_are_fetched_later_do_not_mix(session: Session, shop: Shop) -> None:
    query = select(Product).order_by(Product.id)
    for option in ({}, {"yield_per": 1}):
        past = session.scalars(query, execution_options={"as_of": shop.first, **option})
        now = session.scalars(query, execution_options=option)
        kept = now.first()
        assert kept is not None
        with pytest.raises(exc.InvalidRequestError, match=r"of the past among those of now.*expunge_all"):
            past.all()
        assert [moment_of(obj) for obj in session] == [None]
        session.expunge_all()

        now = session.scalars(query, execution_options=option)
        kept = lamp_of(session, shop.first)
        with pytest.raises(exc.InvalidRequestError, match=r"of now among those of the past.*expunge_all"):
            now.all()
        assert {moment_of(obj) for obj in session} == {shop.first}
        is_first(kept)
        session.expunge_all()

        past = session.scalars(query, execution_options={"as_of": shop.first, **option})
        session.add(new := Label(id=9, text="new"))
        with session.no_autoflush, pytest.raises(exc.InvalidRequestError, match=r"of the past among those of now"):
            past.all()
        session.expunge(new)


def test_the_garbage_collector_may_take_objects_at_any_time(session: Session, shop: Shop) -> None:
    limits = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            is_first(lamp_of(session, shop.first, *LOADERS["joined"]))
            session.scalars(select(Product.price)).all()
    finally:
        gc.set_threshold(*limits)


def test_past_objects_of_temporal_are_not_of_now(session: Session, shop: Shop) -> None:
    then = temporal(Product, as_of=shop.second)
    kept = session.scalars(select(then).where(then.id == 1)).one()
    lamp = lamp_of(session, shop.first)
    is_first(lamp)
    assert (kept.price, [label.text for label in kept.labels]) == (12, ["new!"])
    session.expunge(kept)
    with Session(shop.engine) as other:
        now = other.get_one(Product, 2)
        other.add(kept)
        other.expire(kept)
        assert (kept.price, now.part_of) == (12, None)


def test_transactions_are_of_no_moment(session: Session, shop: Shop) -> None:
    first = session.scalars(select(Transaction).order_by(Transaction.id)).first()
    lamp = lamp_of(session, shop.first)
    assert first is session.get(Transaction, 1)
    assert session.scalars(select(Transaction), execution_options={"as_of": shop.first}).all()
    entry = next(history(session, lamp))
    assert entry.transaction.id == entry.transaction_id
    session.expunge(lamp)
    assert first in session
    now = session.get_one(Product, 1)
    assert session.scalars(select(Transaction), execution_options={"as_of": shop.first}).all()
    assert now.price == 14


def test_an_object_of_now_is_not_added_to_past_ones(session: Session, shop: Shop) -> None:
    with Session(shop.engine) as other:
        now = other.get_one(Product, 2)
        other.expunge(now)
    lamp = lamp_of(session, shop.first)
    for change in (
        lambda: session.add(now),
        lambda: lamp.parts.append(Product(title="new", price=1)),
        lambda: lamp.labels.append(Label(text="new")),
    ):
        with pytest.raises(exc.InvalidRequestError, match="expunge_all"):
            change()


def test_a_past_object_is_not_added_to_those_of_now(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    session.expunge_all()
    with at(session, shop.first) as past:
        chair = past.get_one(Product, 3)
    now, working = session.get_one(Product, 2), r"restore\(session, \(Product, {}\), to=moment_of\(obj\)\)"
    for key, change in (
        (1, lambda: session.add(lamp)),
        (1, lambda: session.merge(lamp, load=False)),
        (1, lambda: now.parts.append(lamp)),
        (3, lambda: session.add(chair)),
    ):
        with pytest.raises(exc.InvalidRequestError, match=working.format(key)):
            change()
    assert lamp not in session
    with TemporalSession(shop.engine) as both:
        present = both.get_one(Product, 2)
        both.add(lamp)
        both.add(Label(id=9, text="new"))
        is_first(lamp)
        assert present.part_of is None


# ---- not written (4) ----


def test_past_objects_refuse_changes(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    lamp.price = 0
    with pytest.raises(PastWriteError, match="past moment"):
        session.flush()
    with pytest.raises(PastWriteError, match="past moment"):
        session.commit()
    session.expire(lamp)
    lamp.labels.clear()
    with pytest.raises(PastWriteError):
        session.flush()
    session.rollback()
    session.delete(lamp)
    with pytest.raises(PastWriteError):
        session.flush()
    session.rollback()
    for statement in (update(Product).values(price=0), delete(Product)):
        with pytest.raises(PastWriteError, match="does not change"):
            session.execute(statement, execution_options={"as_of": shop.first})
    is_first(lamp)


@pytest.mark.parametrize("synchronize", ["evaluate", "fetch", "auto", False])
def test_bulk_statements_leave_past_objects_alone(session: Session, shop: Shop, synchronize: Any) -> None:
    lamp = lamp_of(session, shop.first)
    options = {"synchronize_session": synchronize}
    session.execute(update(Product).where(Product.price > 0).values(price=7), execution_options=options)
    session.execute(delete(Review), execution_options=options)
    assert session.scalar(select(Product.price).where(Product.id == 1)) == 7
    is_first(lamp)


def past_lamps(shop: Shop) -> dict[str, Product]:
    """The lamp of then, with what belongs to it, from wherever one can have it."""
    with Session(shop.engine) as plain:
        of_plain = lamp_of(plain, shop.first)
        is_first(of_plain)
    with at(shop.engine, shop.first) as past:
        of_at = past.get_one(Product, 1)
        is_first(of_at)
    with TemporalSession(shop.engine) as both:
        of_both = both.get_one(Product, 1, as_of=shop.first)
        is_first(of_both)
    return {"plain": of_plain, "at": of_at, "TemporalSession": of_both, "pickle": pickle.loads(pickle.dumps(of_at))}


@pytest.mark.parametrize("load", [True, False], ids=["load", "without loading"])
@pytest.mark.parametrize("source", ["plain", "at", "TemporalSession", "pickle"])
def test_a_past_object_is_not_merged_into_the_present(session: Session, shop: Shop, source: str, load: bool) -> None:
    lamp = past_lamps(shop)[source]
    now = session.get_one(Product, 1)
    kept = [now, *now.labels, *now.reviews, *now.parts]
    for _ in range(2):
        with pytest.raises(
            exc.InvalidRequestError, match=r"restore\(session, \(Product, (key|1)\), to=moment_of\(obj\)\)"
        ):
            session.merge(lamp, load=load)
    assert not session.dirty
    assert not session.new
    assert {moment_of(obj) for obj in session} == {None}
    session.flush()
    session.expire_all()
    assert [(now.title, now.price), len(kept)] == [("LAMP", 14), 3]


def test_a_past_object_is_not_merged_into_an_empty_session_of_now(session: Session, shop: Shop) -> None:
    """Nor what has been deleted since, which would be a new object."""
    with at(shop.engine, shop.first) as past:
        lamp, chair = past.get_one(Product, 1), past.get_one(Product, 3)
    lamp_of(session, shop.second)
    session.expunge_all()  # it was one of past objects
    with Session(shop.engine) as other:
        for one in (other, session):
            for obj in (lamp, chair):
                with pytest.raises(exc.InvalidRequestError, match="restore"):
                    one.merge(obj)
            assert not one.new
            assert not list(one)


def test_merging_among_past_objects_changes_nothing(session: Session, shop: Shop) -> None:
    with at(shop.engine, shop.first) as past:
        lamp = past.get_one(Product, 1)
        assert lamp.labels
        assert lamp.reviews
    chair = session.scalars(select(Product).where(Product.id == 3), execution_options={"as_of": shop.first}).one()
    merged = session.merge(lamp)
    session.flush()
    assert (moment_of(merged), moment_of(chair)) == (shop.first, shop.first)
    is_first(merged)
    merged.price = 0
    with pytest.raises(PastWriteError):
        session.flush()


def test_an_object_of_temporal_is_merged_as_it_is(session: Session, shop: Shop) -> None:
    """A TemporalSession gives it the moment of the statement beside that in its key."""
    then = temporal(Product, as_of=shop.second)
    with TemporalSession(shop.engine) as both:
        query = select(then).where(then.id == 1).execution_options(as_of=shop.first)
        lamp = both.scalars(query).one()
    now = session.get_one(Product, 1)
    merged = session.merge(lamp)
    assert (merged.price, moment_of(merged), now.price) == (12, shop.second, 14)
    assert [label.text for label in merged.labels] == ["new!"]


def test_what_merge_says_brings_the_object_back(session: Session, shop: Shop) -> None:
    lamp = past_lamps(shop)["at"]
    moment = moment_of(lamp)
    assert moment is not None
    restore(session, (Product, 1), to=moment)
    now = session.get_one(Product, 1)
    assert (now.title, now.price, moment_of(now)) == ("lamp", 10, None)


def test_a_moment_given_by_hand_is_not_mixed_with_the_present(session: Session, shop: Shop) -> None:
    """An identity token is SQLAlchemy's, so a program can give a moment as one; its Session does not know of it."""
    by_hand = {"as_of": shop.first, "identity_token": Nanoseconds(shop.first)}
    lamp = session.scalars(select(Product).where(Product.id == 1), execution_options=by_hand).one()
    assert lamp.price == 10
    for load in (lambda: lamp.labels, lambda: lamp.text, lambda: session.refresh(lamp)):
        with pytest.raises(exc.InvalidRequestError, match="TemporalSession"):
            load()


# ---- which of the two it is (5) ----


@pytest.mark.parametrize("end", [Session.expunge_all, Session.close, Session.reset, None],
                         ids=["expunge_all", "close", "reset", "collected"])
def test_a_session_without_past_objects_is_one_of_now(shop: Shop, end: Callable[[Session], None] | None) -> None:
    session = Session(shop.engine)
    for _ in range(2):
        lamp = lamp_of(session, shop.first, joinedload(Product.reviews))
        if end is None:
            del lamp
            gc.collect()  # objects that lead to each other
        else:
            end(session)
        now = session.get_one(Product, 1)
        assert (now.price, moment_of(now)) == (14, None)
        now.price = 15
        session.add(Label(id=9, text="of now"))
        session.flush()
        refused(session, shop.first)
        session.rollback()
        session.expunge_all()
    session.close()


def test_an_expunged_object_goes_on_in_an_empty_session(session: Session, shop: Shop) -> None:
    lamp = lamp_of(session, shop.first)
    session.expunge(lamp)
    again = pickle.loads(pickle.dumps(lamp))
    assert moment_of(again) == shop.first
    for obj in (lamp, again):
        with Session(shop.engine) as other:
            other.add(obj)
            other.expire(obj)
            is_first(obj)
            with pytest.raises(exc.InvalidRequestError, match="past objects"):
                other.get(Product, 1)
            obj.price = 0
            with pytest.raises(PastWriteError):
                other.flush()
            other.expunge_all()


def test_the_option_of_a_connection_is_not_a_statements(session: Session, shop: Shop) -> None:
    session.connection(execution_options={"as_of": shop.first})
    assert session.scalar(select(Product.price)) == 10
    with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\).*execution_options"):
        session.scalars(select(Product)).all()
    is_first(lamp_of(session, shop.second - 1))


def test_sessions_on_one_connection_are_told_apart(shop: Shop) -> None:
    """What is in the Session that began the transaction says nothing of the other."""
    with shop.engine.connect() as connection, Session(connection) as one, Session(connection) as two:
        now = one.get_one(Product, 1)
        lamp = lamp_of(two, shop.first)
        is_first(lamp)
        refused(one, shop.first)
        one.expire(now)
        assert now.price == 14


def test_sessions_of_other_databases_are_left_alone() -> None:
    class Base(DeclarativeBase):
        pass

    class Node(Base):
        __tablename__ = "node"
        id: Mapped[int] = mapped_column(primary_key=True)

    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Node(id=1))
        session.commit()
        assert session.get(Node, 1)
    engine.dispose()


# ---- get(), which asks the Session before any statement ----


@pytest.mark.parametrize("way", ["get", "get_one", "scoped"])
def test_get_never_gives_an_object_of_now_for_a_past_one(session: Session, shop: Shop, way: str) -> None:
    asked: Any = session if way != "scoped" else scoped_session(lambda: session)
    then = {"as_of": shop.first}
    now = session.get_one(Product, 1)
    get = asked.get_one if way == "get_one" else asked.get
    for key in (1, 2, 99):
        with pytest.raises(exc.InvalidRequestError, match=r"temporal\(Product, as_of=moment\)"):
            get(Product, key, execution_options=then)
    session.expire(now)
    with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
        get(Product, 1, execution_options=then)
    assert get(Product, 1) is now
    assert get(Product, 1, execution_options={"as_of": None}) is now
    assert get(Transaction, 1, execution_options=then).id == 1
    session.expunge_all()
    before = get(Product, 1, execution_options=then)
    assert moment_of(before) == shop.first
    is_first(before)


def test_sessions_of_other_databases_are_as_they_were() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Label(id=1, text="x"))
        session.commit()
        assert session.get(Label, 1, execution_options={"as_of": 1}) is session.get(Label, 1)
        assert "get" not in vars(session)
    engine.dispose()


# ---- asyncio ----


class AsyncBase(AsyncAttrs, DeclarativeBase):
    pass


class Book(AsyncBase):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


class Author(AsyncBase):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(order_by=Book.id)


async def read(path: Path) -> None:
    engine = create_async_engine(f"entitydb+aio:///{path}/test.edb?page_size=512")
    async with engine.begin() as connection:
        await connection.run_sync(AsyncBase.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add(author := Author(id=1, name="then", books=[Book(id=1, title="old")]))
        await session.commit()
        moment = commit_moment(session)
        (await author.awaitable_attrs.books)[0].title = "new"
        await session.commit()
        query = select(Author).options(selectinload(Author.books)).execution_options(as_of=moment)
        with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
            await session.scalars(query)
        with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
            await session.get(Author, 1, execution_options={"as_of": moment})
    async with AsyncSession(engine) as session:
        author = (await session.scalars(query)).one()
        assert [book.title for book in author.books] == ["old"]
        session.expire(author)
        assert [book.title for book in await author.awaitable_attrs.books] == ["old"]
        with pytest.raises(exc.InvalidRequestError, match="past objects"):
            await session.get(Author, 1)
        author.name = "never"
        with pytest.raises(PastWriteError):
            await session.flush()
    await engine.dispose()


def test_an_async_session(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")
    asyncio.run(read(tmp_path))


def test_nothing_is_left_on_a_session_of_now(session: Session) -> None:
    assert session.get(Product, 1)
    assert not session.dispatch.do_orm_execute
    assert not isinstance(session.get_bind(), Engine) or not session.dispatch.before_flush
