"""A shop with one of everything that a mapping can have; the company of tests/orm/models.py has the inheritance."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, ForeignKey, String, Table, func, select
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    column_property,
    composite,
    deferred,
    mapped_column,
    relationship,
    synonym,
)


class Base(DeclarativeBase):
    pass


class Tenant:
    """The rows of one tenant of many."""

    tenant: Mapped[int] = mapped_column(default=1)


product_label = Table(
    "product_label",
    Base.metadata,
    Column("product_id", ForeignKey("product.id"), primary_key=True),
    Column("label_id", ForeignKey("label.id"), primary_key=True),
)


@dataclass
class Size:
    width: int
    height: int


class Label(Base):
    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    products: Mapped[list[Product]] = relationship(
        secondary=product_label, back_populates="labels", order_by="Product.id"
    )


class Review(Tenant, Base):
    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    stars: Mapped[int]
    product: Mapped[Product] = relationship(back_populates="reviews")


class Product(Tenant, Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("name", String(50))  # the column has another name than the attribute
    price: Mapped[int] = mapped_column()
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    text: Mapped[str | None] = deferred(mapped_column(String(200)))
    part_of_id: Mapped[int | None] = mapped_column(ForeignKey("product.id"))

    size: Mapped[Size] = composite(Size, "width", "height")
    heading: Mapped[str] = synonym("title")
    twice: Mapped[int] = column_property(price * 2)

    part_of: Mapped[Product | None] = relationship(remote_side=[id], back_populates="parts")
    parts: Mapped[list[Product]] = relationship(back_populates="part_of", order_by="Product.id", join_depth=2)
    labels: Mapped[list[Label]] = relationship(secondary=product_label, back_populates="products", order_by="Label.id")
    reviews: Mapped[list[Review]] = relationship(back_populates="product", order_by="Review.id")
    good_reviews: Mapped[list[Review]] = relationship(
        primaryjoin="and_(Review.product_id == Product.id, Review.stars > 3)", viewonly=True, order_by="Review.id"
    )
    reviews_by_query: WriteOnlyMapped[Review] = relationship(viewonly=True, order_by="Review.id")
    reviews_dynamic: DynamicMapped[Review] = relationship(viewonly=True, order_by="Review.id")
    labels_by_query: WriteOnlyMapped[Label] = relationship(secondary=product_label, viewonly=True, order_by="Label.id")

    label_texts: AssociationProxy[list[str]] = association_proxy("labels", "text")

    @hybrid_property
    def gross(self) -> int:
        return self.price + 1

    @gross.inplace.expression
    @classmethod
    def _gross(cls):  # type: ignore[no-untyped-def]
        return cls.price + 1

    def method(self) -> str:
        return f"{self.title} for {self.price}"


Product.stars = column_property(  # type: ignore[attr-defined]
    select(func.sum(Review.stars)).where(Review.product_id == Product.id).correlate_except(Review).scalar_subquery()
)
