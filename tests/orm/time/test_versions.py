"""versions() and the intervals of temporal(): each version is an object, and a row with its period."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import Session, joinedload, selectinload

from entitydb_dialect import commit_moment
from entitydb_dialect.temporal import temporal, versions

from .conftest import Shop, made
from .models import Base, Label, Product, Review


def test_every_version_is_an_object_of_its_own(shop: Shop) -> None:
    v = versions(Product)
    with Session(shop.engine) as session:
        found = session.execute(
            select(v.entity, v.valid_from, v.valid_to, v.operation).where(v.entity.id == 1).order_by(v.valid_from)
        ).all()
        assert len({id(product) for product, *_ in found}) == 3
        assert [(p.price, operation) for p, _, _, operation in found] == [
            (10, "insert"), (12, "update"), (14, "update"),
        ]  # fmt: skip
        begun, ended = [row[1] for row in found], [row[2] for row in found]
        assert begun[:2] == [shop.first, shop.second]
        assert ended == [*begun[1:], None]


def test_a_deletion_is_a_version_with_what_was_deleted(shop: Shop) -> None:
    v = versions(Product)
    with Session(shop.engine) as session:
        found = session.execute(select(v.entity, v.valid_from, v.valid_to, v.operation).where(v.entity.id == 3)).all()
        assert [(row[0].title, row[3]) for row in found] == [("chair", "insert"), ("chair", "delete")]
        assert found[1][1] == found[1][2] == found[0][2]


def test_relationships_read_the_moment_of_each_version(shop: Shop) -> None:
    v = versions(Product)
    query = select(v.entity).where(v.entity.id == 1).order_by(v.valid_from)
    for options in (
        [],
        [selectinload(v.entity.labels), selectinload(v.entity.reviews)],
        [joinedload(v.entity.reviews), joinedload(v.entity.part_of)],
    ):
        with Session(shop.engine) as session:
            found = session.scalars(query.options(*options)).unique().all()
            assert [[label.text for label in product.labels] for product in found] == [
                ["new", "old"], ["new!"], ["new!"],
            ]  # fmt: skip
            assert [[review.stars for review in product.reviews] for product in found] == [[5, 2], [1], [1]]
            assert [product.stars for product in found] == [7, 1, 1]  # type: ignore[attr-defined]
            session.expire_all()
            assert [product.price for product in found] == [10, 12, 14]


def test_where_group_order_windows_and_joins(shop: Shop) -> None:
    v = versions(Product)
    with Session(shop.engine) as session:
        query = select(v.entity.id, func.count()).group_by(v.entity.id).order_by(v.entity.id)
        assert session.execute(query).all() == [(1, 3), (2, 2), (3, 2)]
        assert session.scalars(select(v.entity.title).where(v.operation == "delete")).all() == ["chair"]
        assert session.scalars(select(v.entity.id).where(v.valid_to.is_(None)).order_by(v.entity.id)).all() == [1, 2]
        before = func.lag(v.entity.price).over(partition_by=v.entity.id, order_by=v.valid_from)
        query = select(v.entity.price - before).where(v.entity.id == 1).order_by(v.valid_from)
        assert session.scalars(query).all() == [None, 2, 2]
        reviews = versions(Review)
        query = select(v.entity.id, reviews.entity.id).join(reviews.entity, reviews.valid_from == v.valid_from)
        assert (3, 3) in session.execute(query.where(reviews.operation == "delete", v.operation == "delete")).all()
        same = select(v.transaction_id).where(v.entity.id == 1, v.valid_from == shop.second).scalar_subquery()
        changed = select(reviews.entity.id).where(reviews.transaction_id == same).order_by(reviews.entity.id)
        assert session.scalars(changed).all() == [1, 2]


def test_intervals(shop: Shop) -> None:
    products = temporal(Product)
    third = shop.second + 1
    with Session(shop.engine) as session:

        def prices(entity: type[Product]) -> list[int]:
            return sorted(session.scalars(select(entity.price).where(entity.id == 1)).all())

        assert prices(products.all()) == [10, 12, 14]
        assert prices(products.from_to(shop.first, shop.second)) == [10]
        assert prices(products.between(shop.first, shop.second)) == [10, 12]
        assert prices(products.between(third, third)) == [12]
        assert prices(products.from_to(third, third)) == []
        assert prices(products.contained_in(shop.first, shop.second)) == [10]
        assert prices(products.contained_in(shop.first + 1, shop.second)) == []
        between = versions(products.between(shop.first, shop.second))
        query = select(between.entity, between.valid_from).where(between.entity.id == 1).order_by(between.valid_from)
        rows = session.execute(query).all()
        assert [(product.price, begun) for product, begun in rows] == [(10, shop.first), (12, shop.second)]
        then = versions(temporal(Product, as_of=third))
        assert session.execute(select(then.entity.price, then.valid_from).where(then.entity.id == 1)).one() == (
            12, shop.second,
        )  # fmt: skip
        a, b = products.from_to(shop.first, shop.second), products.between(shop.second, shop.second)
        assert session.execute(select(a.price, b.price).join(b, b.id == a.id).where(a.id == 1)).all() == [(10, 12)]


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from made(Base.metadata)


def test_bulk_core_and_upsert_writes_leave_versions(engine: Engine) -> None:
    """What listens to the ORM alone misses them."""
    v = versions(Label)
    query = select(v.entity.text, v.operation).where(v.entity.id == 1).order_by(v.valid_from)
    with Session(engine) as session:
        for statement in (
            insert(Label).values(id=1, text="core"),
            update(Label).values(text="bulk"),
            upsert(Label).values(id=1, text="x").on_conflict_do_update(index_elements=["id"], set_={"text": "upsert"}),
            text("UPDATE label SET text = 'raw'"),
            delete(Label),
        ):
            session.execute(statement)
            session.commit()
        session.bulk_insert_mappings(Label, [{"id": 1, "text": "again"}])  # type: ignore[arg-type]
        session.commit()
        assert session.execute(query).all() == [
            ("core", "insert"), ("bulk", "update"), ("upsert", "update"), ("raw", "update"), ("raw", "delete"),
            ("again", "insert"),
        ]  # fmt: skip


def test_two_changes_in_one_transaction_are_one_version(engine: Engine) -> None:
    """The version that nobody else saw has no empty period."""
    v = versions(Label)
    with Session(engine) as session:
        label = Label(id=1, text="one")
        session.add(label)
        session.flush()
        label.text = "two"
        session.commit()
        session.delete(label)
        session.flush()
        session.add(Label(id=1, text="three"))
        session.commit()
        assert session.execute(select(v.entity.text, v.operation).order_by(v.valid_from)).all() == [
            ("two", "insert"), ("three", "update"),
        ]  # fmt: skip
        assert session.scalars(select(v.valid_to - v.valid_from).where(v.valid_to.is_not(None))).one() > 0


def test_updates_that_change_nothing_make_no_version(engine: Engine) -> None:
    v = versions(Label)
    with Session(engine) as session:
        session.add(Label(id=1, text="one"))
        session.commit()
        session.execute(update(Label).values(text="one"))
        session.commit()
        assert session.scalar(select(func.count()).select_from(v.entity)) == 1


def test_history_of_many_rows_is_one_query(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(Label(id=k, text="a") for k in range(50))
        session.commit()
        session.execute(update(Label).values(text="b"))
        session.commit()
        seen: list[Any] = []
        event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
        v = versions(Label)
        found = session.execute(select(v.entity, v.valid_from, v.operation).order_by(v.entity.id, v.valid_from)).all()
        assert [(label.id, label.text) for label, _, _ in found] == [(k, x) for k in range(50) for x in "ab"]
        assert len(seen) == 1


def test_many_to_many_tables_have_versions(engine: Engine) -> None:
    with Session(engine) as session:
        label = Label(id=1, text="a")
        lamp = Product(id=1, title="lamp", price=1, labels=[label])
        session.add(lamp)
        session.commit()
        moment = commit_moment(session)
        lamp.labels.clear()
        session.commit()
        then = temporal(Product, as_of=moment)
        assert [x.text for x in session.scalars(select(then)).one().labels] == ["a"]


def test_uncommitted_changes_are_no_versions(engine: Engine) -> None:
    v = versions(Label)
    with Session(engine) as session:
        session.add(Label(id=1, text="a"))
        session.flush()
        assert session.execute(select(v.entity)).all() == []
