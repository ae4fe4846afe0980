"""A shop that has changed, and its moments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, MetaData, create_engine, delete, update
from sqlalchemy.orm import Session

from entitydb_dialect import check, commit_moment, moment_of

from .models import Base, Label, Product, Review, Size


def made(metadata: MetaData) -> Iterator[Engine]:
    """An engine in memory with tables; what is left in it is checked."""
    engine = create_engine("entitydb://?page_size=512")

    metadata.create_all(engine)
    yield engine
    breaches = check(engine)
    engine.dispose()
    assert breaches == []


@pytest.fixture(scope="module")
def empty_shop() -> Iterator[Engine]:
    yield from made(Base.metadata)


class Shop(NamedTuple):
    engine: Engine
    first: int  # the moment after which everything changed
    second: int  # the moment after that


@pytest.fixture(scope="module")
def shop(empty_shop: Engine) -> Shop:
    """For tests that commit nothing.

    Two products and a part as of `first`, changed by every kind of statement as of `second`, and once more since.
    """
    engine = empty_shop
    with Session(engine) as session:
        new, old = Label(id=1, text="new"), Label(id=2, text="old")
        lamp = Product(id=1, title="lamp", price=10, size=Size(1, 2), text="a lamp", labels=[new, old])
        bulb = Product(id=2, title="bulb", price=3, part_of=lamp, labels=[new])
        chair = Product(id=3, title="chair", price=50, tenant=2)
        lamp.reviews = [Review(id=1, stars=5), Review(id=2, stars=2)]
        chair.reviews = [Review(id=3, stars=4, tenant=2)]
        session.add_all([lamp, bulb, chair])
        session.commit()
        first = commit_moment(session)

        lamp.title, lamp.price, lamp.size, lamp.text = "LAMP", 12, Size(3, 4), "A LAMP"
        lamp.labels.remove(old)
        session.execute(update(Label).values(text=Label.text + "!"))
        session.execute(update(Review).where(Review.id == 1).values(stars=1))
        session.execute(delete(Review).where(Review.id == 2))
        bulb.part_of = None
        session.commit()
        second = commit_moment(session)

        lamp.price = 14
        session.delete(chair.reviews[0])
        session.delete(chair)
        session.commit()
    return Shop(engine, first, second)


def is_first(lamp: Product) -> None:
    """Walks from the lamp of `first` over everything that can be reached, and finds nothing of later."""
    assert moment_of(lamp) is not None
    assert (lamp.title, lamp.heading, lamp.price, lamp.twice, lamp.gross) == ("lamp", "lamp", 10, 20, 11)
    assert lamp.method() == "lamp for 10"
    assert lamp.text == "a lamp"
    assert lamp.size == Size(1, 2)
    assert lamp.stars == 7  # type: ignore[attr-defined]
    assert [label.text for label in lamp.labels] == ["new", "old"]
    assert list(lamp.label_texts) == ["new", "old"]
    assert [product.title for product in lamp.labels[0].products] == ["lamp", "bulb"]
    assert [review.stars for review in lamp.reviews] == [5, 2]
    assert [review.stars for review in lamp.good_reviews] == [5]
    assert all(review.product is lamp for review in lamp.reviews)
    assert [part.title for part in lamp.parts] == ["bulb"]
    assert lamp.parts[0].part_of is lamp
    assert lamp.part_of is None
    assert [review.stars for review in lamp.reviews_dynamic] == [5, 2]
