"""Ordinary ORM models, changed, and read back as of before. Run it again: what was stays readable."""

from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from entitydb_dialect import at, commit_moment


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(cascade="all, delete-orphan", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[int]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


engine = create_engine("entitydb:///quickstart.edb")
Base.metadata.drop_all(engine)
Base.metadata.create_all(engine)

with Session(engine) as session:
    author = Author(name="U. K. Le Guin", books=[Book(title="Exile", price=8), Book(title="Malafrena", price=7)])
    session.add(author)
    session.commit()
    before = commit_moment(session)  # nanoseconds since 1970; a datetime does as well

    author.name = "Ursula K. Le Guin"
    author.books[0].price = 12
    del author.books[1]
    author.books.append(Book(title="The Dispossessed", price=15))
    session.commit()
    print("now:   ", author.name, [(book.title, book.price) for book in author.books])

    with at(session, before) as past:  # a session of that moment: everything loaded from it is of then
        author = past.scalars(select(Author)).one()
        print("before:", author.name, [(book.title, book.price) for book in author.books])

    query = select(Book.title, Book.price).order_by(Book.price)  # or one statement
    print("before:", session.execute(query, execution_options={"as_of": before}).all())
