"""The past does not change, and does not get among the present."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, exc, func, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    aliased,
    column_property,
    mapped_column,
    registry,
    relationship,
    with_parent,
)

from entitydb_dialect import PastWriteError, Tagged, TemporalSession, at, commit_moment, moment_of
from entitydb_dialect.temporal import past_class, temporal, versions

from .conftest import Shop, is_first, made
from .models import Base, Label, Product, Review


@pytest.fixture
def session(shop: Shop) -> Iterator[Session]:
    with Session(shop.engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def lamp(shop: Shop, session: Session) -> Product:
    then = temporal(Product, as_of=shop.first)
    return session.scalars(select(then).where(then.id == 1)).one()


def test_a_changed_past_object_is_refused_at_flush(session: Session, lamp: Product) -> None:
    lamp.price = 0
    with pytest.raises(PastWriteError, match="past moment"):
        session.flush()
    session.rollback()
    assert lamp.price == 10
    session.delete(lamp)
    with pytest.raises(PastWriteError, match="is of a past moment"):
        session.flush()


def test_changes_beside_it_are_not_written_either(session: Session, lamp: Product) -> None:
    now = session.get(Product, 2)
    assert now is not None
    now.price = lamp.price = 0
    with pytest.raises(PastWriteError):
        session.commit()
    session.rollback()
    assert now.price == 3


def test_past_objects_are_not_made(session: Session) -> None:
    with pytest.raises(TypeError, match="loaded, not made"):
        past_class(Product)(title="x")


def test_a_past_object_in_a_present_collection_raises_at_append(session: Session, lamp: Product) -> None:
    label, product = session.get(Label, 1), session.get(Product, 2)
    assert label is not None
    assert product is not None
    for change in (
        lambda: label.products.append(lamp),
        lambda: setattr(product, "part_of", lamp),
        lambda: setattr(product, "labels", [lamp.labels[0]]),
        lambda: Review(stars=1, product=lamp),
        lambda: Product(title="x", price=1, parts=[lamp]),
    ):
        with pytest.raises(exc.InvalidRequestError, match="is of a past moment"):
            change()
    assert lamp not in label.products


def test_changed_collections_of_past_objects_are_not_written(session: Session, lamp: Product) -> None:
    lamp.labels.clear()
    session.commit()
    is_first(lamp)
    assert session.scalar(select(func.count()).select_from(Label)) == 2


def test_past_objects_are_pickled_and_copied(session: Session, lamp: Product) -> None:
    assert [review.stars for review in lamp.reviews] == [5, 2]
    session.expunge_all()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(lamp, protocol))
        assert type(again) is past_class(Product)
        assert (again.title, again.method()) == ("lamp", "lamp for 10")
        assert [review.stars for review in again.reviews] == [5, 2]
    session.add(again)
    session.expire(again)
    is_first(again)
    assert pickle.loads(pickle.dumps(past_class(Product))) is past_class(Product)
    assert copy.deepcopy(past_class(Product)) is past_class(Product)


def test_bulk_updates_leave_past_objects_alone(session: Session, lamp: Product) -> None:
    for synchronize in ("evaluate", "fetch", "auto"):
        session.execute(update(Product).values(price=0), execution_options={"synchronize_session": synchronize})
        assert lamp.price == 10
    with pytest.raises(exc.DBAPIError, match="history"):
        session.execute(update(past_class(Product)).values(price=0))


def test_merge_of_a_past_object_stays_past(session: Session, lamp: Product) -> None:
    session.expunge_all()
    again = session.merge(lamp)
    assert type(again) is past_class(Product)
    session.flush()
    is_first(again)


# ---- models of other kinds ----


def test_a_joined_load_that_the_model_asks_for_works_over_versions() -> None:
    """Over a secondary table it would need the one moment of the statement, and a query of versions has none."""

    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        others = relationship(
            "Thing",
            secondary=lambda: pairs,
            primaryjoin=lambda: Thing.id == pairs.c.one,
            secondaryjoin=lambda: Thing.id == pairs.c.other,
            lazy="joined",
            join_depth=1,
        )

    pairs = Table(
        "pairs", Base.metadata, Column("one", ForeignKey("thing.id")), Column("other", ForeignKey("thing.id"))
    )
    for engine in made(Base.metadata):
        with Session(engine) as session:
            session.add(Thing(id=1, name="a", others=[Thing(id=2, name="b")]))
            session.commit()
            session.scalars(select(Thing).where(Thing.id == 2)).unique().one().name = "c"
            session.get_one(Thing, 1).name = "d"
            session.commit()
            v = versions(Thing)
            found = session.scalars(select(v.entity).where(v.entity.id == 1).order_by(v.valid_from)).unique().all()
            assert [(thing.name, [other.name for other in thing.others]) for thing in found] == [
                ("a", ["b"]), ("d", ["c"]),
            ]  # fmt: skip


def test_dataclass_models() -> None:
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="")

    changed_and_read(Thing, Base.metadata)


def test_imperative_models() -> None:
    models = registry()

    class Thing:
        id: int
        name: str

        def __init__(self, **kw: object) -> None:
            for key, value in kw.items():
                setattr(self, key, value)

    table = Table("thing", models.metadata, Column("id", Integer, primary_key=True), Column("name", String))
    models.map_imperatively(Thing, table)
    changed_and_read(Thing, models.metadata)


def changed_and_read(model: type, metadata: object) -> None:
    for engine in made(metadata):  # type: ignore[arg-type]
        with Session(engine) as session:
            thing = model(id=1, name="a") if not hasattr(model, "__dataclass_fields__") else model(1, "a")
            session.add(thing)
            session.commit()
            moment = commit_moment(session)
            thing.name = "b"
            session.commit()
            then = temporal(model, as_of=moment)
            assert session.scalars(select(then)).one().name == "a"  # type: ignore[attr-defined]
            assert thing.name == "b"


def test_columns_named_as_those_of_versions() -> None:
    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        as_of: Mapped[int] = mapped_column(default=7)
        valid_from: Mapped[str] = mapped_column("Valid_From", default="x")
        operation: Mapped[str] = mapped_column(default="y")

    changed_and_read(Thing, Base.metadata)


@pytest.mark.slow
def test_models_and_their_past_classes_are_forgotten_together() -> None:
    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)

    found = weakref.ref(past_class(Thing))
    assert found() is not None
    Base.registry.dispose()
    del Base, Thing
    gc.collect()
    assert found() is None


def test_a_model_of_a_query_has_no_history() -> None:
    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __table__ = select(Product.id.label("id")).subquery()
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012

    with pytest.raises(exc.ArgumentError, match="not mapped to a table"):
        temporal(Thing)
    with pytest.raises(exc.ArgumentError, match="not mapped to a table"):
        temporal(Thing)


def test_making_a_past_class_leaves_the_model_as_it_was() -> None:
    before = {table.name for table in Base.metadata.tables.values()}
    past_class(Product)
    assert {table.name for table in Base.metadata.tables.values()} == before
    assert past_class(Product) not in {mapper.class_ for mapper in Base.registry.mappers}
    assert not hasattr(Product, "_entitydb_as_of")


def test_a_query_of_a_class_that_shares_its_table_is_refused() -> None:
    """It would be of the whole table."""

    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "person"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class Boss(Person):
        __mapper_args__ = {"polymorphic_identity": "boss"}  # noqa: RUF012

    class Room(Base):
        __tablename__ = "room"
        id: Mapped[int] = mapped_column(primary_key=True)

    Room.people = column_property(select(func.count(Person.id)).scalar_subquery())  # type: ignore[attr-defined]
    Room.bosses = column_property(select(func.count(Boss.id)).scalar_subquery())  # type: ignore[attr-defined]
    for engine in made(Base.metadata):
        with Session(engine) as session:
            session.add_all([Room(id=1), Boss(id=1), Person(id=2)])
            session.commit()
            then = temporal(Room, as_of=commit_moment(session))
            session.add(Person(id=3))
            session.commit()
            room = session.scalars(select(then)).one()
            assert room.people == 2  # type: ignore[attr-defined]
            assert session.scalars(select(Room.bosses)).one() == 1  # type: ignore[attr-defined]
            with pytest.raises(exc.InvalidRequestError, match="shares its table"):
                assert room.bosses  # type: ignore[attr-defined]


def test_attributes_without_a_history_are_refused() -> None:
    """The model's own, which a past object would inherit, would read the present."""

    class Base(DeclarativeBase):
        pass

    class Article(Tagged, Base):
        __tablename__ = "article"
        name: Mapped[str] = mapped_column(primary_key=True)
        text: Mapped[str]

    class Note(Base):
        __tablename__ = "note"
        id: Mapped[int] = mapped_column(primary_key=True)
        article: Mapped[str] = mapped_column(ForeignKey("article.name"))

    newest = aliased(Note, select(Note).order_by(Note.id.desc()).limit(1).subquery())
    Article.newest = relationship(newest, primaryjoin=newest.article == Article.name, viewonly=True)  # type: ignore[attr-defined]

    for engine in made(Base.metadata):
        with TemporalSession(engine) as session:
            article = Article(name="Owls", text="then", tags={"status:draft"})
            session.add(article)
            session.commit()
            moment = commit_moment(session)
            article.text, article.tags = "now", {"status:live"}
            session.add(Note(article="Owls"))
            session.commit()
            then = temporal(Article, as_of=moment)
            past = session.scalars(select(then)).one()
            assert past.text == "then"
            for of, name in ((past, "newest"), (then, "newest"), (then, "tags")):
                with pytest.raises(exc.InvalidRequestError, match="TemporalSession"):
                    getattr(of, name)
            with pytest.raises(exc.InvalidRequestError, match="TemporalSession"):
                past.newest = []  # type: ignore[attr-defined]
            assert past.tags == {"status:draft"}
            before = session.get_one(Article, "Owls", as_of=moment)
            assert set(before.tags) == {"status:draft"}
            assert before.newest == []  # type: ignore[attr-defined]
            assert len(article.newest) == 1  # type: ignore[attr-defined]


PARENTS: dict[str, Any] = {
    "with_parent": lambda obj: select(Review.stars).where(with_parent(obj, Product.reviews)),
    "secondary": lambda obj: select(Label.text).where(with_parent(obj, Product.labels)),
    "equal": lambda obj: select(Review.stars).where(Review.product == obj),
    "contains": lambda obj: select(Label.text).where(Label.products.contains(obj)),
    "in a subquery": lambda obj: select(Review.id).where(
        Review.id.in_(select(Review.id).where(with_parent(obj, Product.reviews)))
    ),
    "update": lambda obj: update(Review).where(with_parent(obj, Product.reviews)).values(stars=0),
    "delete": lambda obj: delete(Review).where(Review.product == obj),
}


@pytest.mark.parametrize("way", list(PARENTS))
@pytest.mark.parametrize("kind", ["temporal", "at"])
def test_a_statement_of_now_does_not_compare_with_a_past_object(
    session: Session, shop: Shop, lamp: Product, way: str, kind: str
) -> None:
    if kind == "at":
        with at(session, shop.first) as past:
            lamp = past.get_one(Product, 1)
    now = session.get_one(Product, 1)
    statement = PARENTS[way](lamp)
    # A statement of the same form that compares with a value or with an object of now is cached before and after.
    for _ in range(2):
        for connection in (session, session.connection()):
            with pytest.raises(exc.InvalidRequestError, match=r'"as_of": moment_of\(obj\).*past_class\(Product\)\.x'):
                connection.execute(statement)
        with pytest.raises(exc.InvalidRequestError, match="at another one"):
            session.execute(statement, execution_options={"as_of": shop.second})
        session.execute(PARENTS[way](now), execution_options={"synchronize_session": False})
    session.rollback()


def test_the_moment_of_the_object_is_one_to_compare_with_it(session: Session, shop: Shop, lamp: Product) -> None:
    assert moment_of(lamp) == shop.first
    for way, found in (("with_parent", [5, 2]), ("equal", [5, 2]), ("secondary", ["new", "old"])):
        options = {"as_of": moment_of(lamp)}
        assert session.scalars(PARENTS[way](lamp), execution_options=options).all() == found
    reviews = select(Review).where(with_parent(lamp, Product.reviews)).order_by(Review.id)
    found = session.scalars(reviews, execution_options={"as_of": moment_of(lamp)}).all()
    assert [(review.stars, moment_of(review)) for review in found] == [(5, shop.first), (2, shop.first)]
    with at(session, shop.first) as past:
        assert [review.stars for review in past.scalars(reviews)] == [5, 2]


def test_comparisons_are_looked_at_without_the_cache_too(session: Session, shop: Shop, lamp: Product) -> None:
    with pytest.raises(exc.InvalidRequestError, match="past_class"):
        session.execute(PARENTS["with_parent"](lamp), execution_options={"compiled_cache": None})
