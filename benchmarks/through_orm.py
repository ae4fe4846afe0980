"""What a program feels: the ORM and the driver, now and as of then, beside SQLAlchemy's pysqlite dialect."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from entitydb_dialect import at, commit_moment

from .measure import Row, Setting, benchmark, open_ours, race, raced, remove, show

GROUP = "ORM"
OBJECTS = 1_000


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    things: Mapped[list[Thing]] = relationship(order_by="Thing.id")


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"), index=True)
    title: Mapped[str]
    price: Mapped[float]


def pysqlite(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def wal(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def fill(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for i in range(OBJECTS):
            session.add(Owner(name=f"owner {i}", things=[Thing(title=f"thing {i} {j}", price=j) for j in range(3)]))
        session.commit()


@benchmark
def orm(setting: Setting) -> Iterator[Row]:
    """1,000 objects read and written through the ORM."""
    show(f"ORM: {OBJECTS:,} objects")
    ours, theirs = create_engine(f"entitydb:///{setting.folder / 'orm.edb'}"), pysqlite(setting.folder / "orm.sqlite")
    try:
        for engine in (ours, theirs):
            fill(engine)
        with Session(ours) as session:
            session.scalars(select(Owner)).first()
            session.add(Owner(name="marks the moment"))
            session.commit()
            moment = commit_moment(session)
            session.delete(session.scalars(select(Owner).where(Owner.name == "marks the moment")).one())
            session.commit()
            for thing in session.scalars(select(Thing)):
                thing.price += 1
            session.commit()

        def objects(session: Session) -> int:
            query = select(Owner).order_by(Owner.id).limit(OBJECTS)
            return sum(len(owner.name) > 0 for owner in session.scalars(query))

        def loaded(session: Session) -> int:
            query = select(Owner).options(selectinload(Owner.things)).order_by(Owner.id).limit(OBJECTS)
            return sum(len(owner.things) for owner in session.scalars(query))

        def gotten(session: Session) -> int:
            return sum(session.get_one(Thing, i).id for i in range(1, 300))

        def now(engine: Engine, work: Callable[[Session], int]) -> int:
            with Session(engine) as session:
                return work(session)

        def then(work: Callable[[Session], int]) -> int:
            with at(ours, moment) as session:
                return work(session)

        for name, work in (("1,000 objects", objects), ("1,000 objects with their collections", loaded),
                           ("300 objects by key", gotten)):
            taken = race({"ours": lambda w=work: now(ours, w), "then": lambda w=work: then(w),
                          "pysqlite": lambda w=work: now(theirs, w)})
            yield Row(GROUP, f"read {name}", min(taken["ours"]), min(taken["pysqlite"]), "s", "pysqlite", samples=taken)
            yield Row(GROUP, f"read {name}, as of then", min(taken["then"]), min(taken["ours"]), "s", "now",
                      samples=taken)

        def written(engine: Engine) -> None:
            with Session(engine) as session:
                for thing in session.scalars(select(Thing).order_by(Thing.id).limit(OBJECTS)):
                    thing.price += 1
                session.commit()

        yield raced(GROUP, "change 1,000 objects", lambda: written(ours), lambda: written(theirs), "pysqlite",
                    again=False)
    finally:
        ours.dispose()
        theirs.dispose()
        for name in ("orm.edb", "orm.sqlite"):
            remove(setting.folder / name)


@benchmark
def driver(setting: Setting) -> Iterator[Row]:
    """The PEP 249 driver against Python's sqlite3 module."""
    rows, lookups = 20_000, 2_000
    show("driver: against the sqlite3 module")
    paths = setting.folder / "driver.edb", setting.folder / "driver.sqlite"
    ours, theirs = open_ours(paths[0]), sqlite3.connect(paths[1], isolation_level=None)
    try:
        theirs.execute("PRAGMA journal_mode = WAL")
        data = [(i, i * 7 % rows, f"title {i}") for i in range(1, rows + 1)]
        for side in (ours, theirs):
            side.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, n INTEGER, title TEXT)")
            side.execute("CREATE INDEX item_n ON item(n)")
            side.execute("BEGIN")
            side.executemany("INSERT INTO item VALUES (?, ?, ?)", data)
            side.execute("COMMIT")

        def keys(side: Any) -> int:
            cursor = side.cursor()
            return sum(len(cursor.execute("SELECT * FROM item WHERE id = ?", (i,)).fetchall()) for i in range(lookups))

        def fetched(side: Any) -> int:
            return len(side.execute("SELECT * FROM item").fetchall())

        def stepped(side: Any) -> int:
            return sum(1 for _ in side.execute("SELECT * FROM item"))

        for name, work in (("key lookups", keys), ("fetchall", fetched), ("iteration", stepped)):
            yield raced("driver", name, lambda w=work: w(ours), lambda w=work: w(theirs), "sqlite3 module")
    finally:
        ours.close()
        theirs.close()
        for path in paths:
            remove(path)
