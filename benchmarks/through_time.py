"""History, diff, feed and joined moments, beside loading what is there now, and beside histories kept by others.

Where a rate or a time is asked for, what stands on the other side of the row is the time it gives.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, configure_mappers, declarative_base, mapped_column

from entitydb_dialect import changes, commit_moment, diff, history, temporal, versions

from .measure import Row, Setting, benchmark, open_sqlite, race, raced, remove, show, timed

GROUP = "time"
VERSIONS = 1_000


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]
    note: Mapped[str]


def item(key: int) -> dict[str, Any]:
    return {"id": key, "name": f"item {key}", "price": 0, "note": "x" * 40}


@contextmanager
def engine_in(setting: Setting, name: str) -> Iterator[Engine]:
    path = setting.folder / f"{name}.edb"
    engine = create_engine(f"entitydb:///{path}?synchronous=normal")
    Base.metadata.create_all(engine)
    try:
        yield engine
    finally:
        engine.dispose()
        remove(path)


def bounded(name: str, seconds: float, bound: float, what: str, note: str = "") -> Row:
    """A row against a time."""
    return Row(GROUP, name, seconds, bound, "s", what, at_most=1.0, note=note)


def best(work: Callable[[], Any], rounds: int = 9) -> float:
    return min(timed(work)[0] for _ in range(rounds))


@benchmark
def through_time(setting: Setting) -> Iterator[Row]:
    """Versions of single objects and of tables, differences, the feed, and two moments in one statement."""
    show("time: versions of an object")
    yield from versions_of_an_object(setting)
    show("time: differences and the feed")
    yield from differences(setting)
    yield from feed(setting)
    show("time: whole tables through time")
    yield from whole_tables(setting)
    show("time: moments of single references in SQL")
    yield from clauses(setting)
    show("time: beside histories kept by others")
    yield from beside_triggers(setting)
    yield from beside_continuum(setting)


# ---- one object ----


def versions_of_an_object(setting: Setting) -> Iterator[Row]:
    with engine_in(setting, "versions") as engine:
        with Session(engine) as session:
            session.execute(insert(Item), [item(n) for n in range(1, VERSIONS + 1)])
            session.commit()
            for n in range(1, VERSIONS):
                session.execute(update(Item).where(Item.id == 1).values(price=n))
                session.commit()
            for n in range(1, 100):
                session.execute(update(Item).where(Item.id == 2).values(price=n))
                session.commit()

        def past() -> int:
            with Session(engine) as session:
                return sum(1 for _ in history(session, (Item, 1)))

        def present() -> int:
            with Session(engine) as session:
                return len(session.scalars(select(Item)).all())

        yield raced(GROUP, "history of 1,000 versions as objects", past, present, "1,000 objects of now", at_most=1.5)
        sql = "SELECT * FROM main.\"item history\"(0, 0, 'all') WHERE id = 2"
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            seconds = best(lambda: raw.execute(sql).fetchall(), 200)  # type: ignore[union-attr]
        yield bounded("history of 100 versions through SQL", seconds, 50e-6, "50 us", f"{seconds * 1e6:.0f} us")


# ---- differences and the feed ----


def differences(setting: Setting) -> Iterator[Row]:
    found = {}
    for rows in (setting.size(1_000_000, 50_000), 10_000):
        with engine_in(setting, "diff") as engine, Session(engine) as session:
            for at in range(0, rows, 10_000):
                session.execute(insert(Item), [item(n) for n in range(at, at + 10_000)])
            session.commit()
            before = commit_moment(session)
            some = setting.random("diff").sample(range(rows), 100)
            session.execute(update(Item).where(Item.id.in_(some)).values(price=1))
            session.commit()
            after = commit_moment(session)
            assert len(diff(session, Item, before, after)) == 100
            found[rows] = best(lambda s=session, a=before, b=after: diff(s, Item, a, b))  # type: ignore[misc]
    large, small = found.values()
    yield bounded("diff of 100 changed rows of 1,000,000", large, 5e-3, "5 ms", f"{large * 1e3:.2f} ms")
    yield Row(GROUP, "diff, a table 100 times as large", large, small, "s", "10,000 rows", at_most=2.0)


def feed(setting: Setting) -> Iterator[Row]:
    n = setting.size(500_000, 20_000)
    with engine_in(setting, "feed") as engine:
        with Session(engine) as session:
            for at in range(0, n, 1_000):
                session.execute(insert(Item), [item(key) for key in range(at, at + 1_000)])
                session.commit()

        def through_python() -> int:
            return sum(1 for _ in changes(engine))

        def with_rows() -> int:
            return sum(change.new is not None for change in changes(engine))

        def through_sql() -> int:
            with engine.connect() as connection:
                sql = "SELECT count(new) FROM entitydb_changes WHERE transaction_id > 0"
                return int(connection.exec_driver_sql(sql).scalar_one())

        for name, work in (("in SQL", through_sql), ("as Python's objects", through_python)):
            assert work() == n
            seconds = best(work, 3)
            note = f"{n / seconds:,.0f} a second"
            yield bounded(f"changes, {name}", seconds, n / 500_000, "500,000 a second", note)
        seconds = best(with_rows, 3)
        yield Row(GROUP, "changes, as Python's objects, and their rows read", seconds, n / 500_000, "s",
                  "500,000 a second", note=f"{n / seconds:,.0f} a second")


# ---- tables ----


def whole_tables(setting: Setting) -> Iterator[Row]:
    rows = setting.size(20_000, 5_000)
    with engine_in(setting, "tables") as engine:
        moments = []
        with Session(engine) as session:
            session.execute(insert(Item), [item(n) for n in range(rows)])
            session.commit()
            for _ in range(24):
                session.execute(update(Item).values(price=Item.price + 1))
                session.commit()
                moments.append(commit_moment(session))
        v = versions(Item)
        total = select(v.entity.price, v.valid_from)
        then, later = temporal(Item, as_of=moments[5]), temporal(Item, as_of=moments[15])
        one_moment = select(then.id, then.name, then.price)
        joined = select(then.id, then.name, then.price, later.price).join(later, later.id == then.id)
        with engine.connect() as connection:
            def count(statement: Any) -> int:
                return int(connection.scalar(select(text("count(*)")).select_from(statement.subquery())))

            n = count(total)
            assert n == 25 * rows
            seconds = best(lambda: count(total), 5)
            note = f"{n / seconds:,.0f} a second"
            yield bounded("versions(Model), scanned in SQL", seconds, n / 1e6, "1,000,000 a second", note)
            def fetched(statement: Any) -> int:
                return len(connection.execute(statement).all())

            taken = race({"ours": lambda: fetched(joined), "other": lambda: fetched(one_moment)})
            yield Row(GROUP, "two moments joined in one statement", min(taken["ours"]), min(taken["other"]), "s",
                      "one of them", at_most=2.2, samples=taken)


# ---- FOR SYSTEM_TIME ----


def clauses(setting: Setting) -> Iterator[Row]:
    """The clause beside the option of the statement, and an interval beside the versions of all rows."""
    rows = setting.size(20_000, 5_000)
    with engine_in(setting, "clauses") as engine:
        moments = []
        with Session(engine) as session:
            session.execute(insert(Item), [item(n) for n in range(rows)])
            session.commit()
            moments.append(commit_moment(session))
            for n in range(10):
                session.execute(update(Item).where(Item.id % 10 == n).values(price=Item.price + 1))
                session.commit()
                moments.append(commit_moment(session))
        with engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            yield from of_one_moment(raw, rows, moments[5])
            yield of_an_interval(raw, moments[3], moments[5])


def of_one_moment(raw: Any, rows: int, moment: int) -> Iterator[Row]:
    keys = [n * 7 % rows for n in range(500)]

    def clause(condition: str = "") -> str:
        return f"SELECT id, name, price FROM item FOR SYSTEM_TIME AS OF ?{condition}"

    def option(condition: str = "") -> str:
        return f"SELECT id, name, price FROM item{condition}"

    def as_of(sql: str, *parameters: Any) -> list[Any]:
        cursor = raw.cursor()
        cursor.as_of = moment
        return list(cursor.execute(sql, parameters).fetchall())

    def lookups(look: Callable[[int], list[Any]]) -> int:
        return sum(look(key)[0][2] for key in keys)

    by_key = " WHERE id = ?"
    yield raced(GROUP, "a table FOR SYSTEM_TIME AS OF, scanned",
                lambda: raw.execute(clause(), (moment,)).fetchall(), lambda: as_of(option()),
                "the statement's option as_of", at_most=1.3)
    yield raced(GROUP, "500 rows FOR SYSTEM_TIME AS OF, by key",
                lambda: lookups(lambda key: raw.execute(clause(by_key), (moment, key)).fetchall()),
                lambda: lookups(lambda key: as_of(option(by_key), key)),
                "the statement's option as_of", at_most=1.5)


def of_an_interval(raw: Any, begin: int, end: int) -> Row:
    """Versions of a fifth of the rows are of the interval alone; of the others one each."""
    interval = "SELECT count(*), sum(price) FROM item FOR SYSTEM_TIME FROM ? TO ?"
    every = ("SELECT count(*), sum(content ->> 'price') FROM entitydb_versions WHERE type = 'item' "
             "AND operation <> 'delete' AND valid_from < ? AND ifnull(valid_to > ?, 1)")
    return raced(GROUP, "versions of a table FOR SYSTEM_TIME FROM ... TO, in SQL",
                 lambda: raw.execute(interval, (begin, end)).fetchall(),
                 lambda: raw.execute(every, (end, begin)).fetchall(), "entitydb_versions", at_most=1.0)


# ---- others ----

TRIGGERS = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price INTEGER, note TEXT);
CREATE TABLE item_history(id INTEGER, name TEXT, price INTEGER, note TEXT, valid_from REAL, valid_to REAL);
CREATE INDEX item_versions ON item_history(id, valid_from);
CREATE TRIGGER item_changes AFTER UPDATE ON item BEGIN
    UPDATE item_history SET valid_to = julianday('now') WHERE id = old.id AND valid_to IS NULL;
    INSERT INTO item_history VALUES (new.id, new.name, new.price, new.note, julianday('now'), NULL);
END;
CREATE TRIGGER item_begins AFTER INSERT ON item BEGIN
    INSERT INTO item_history VALUES (new.id, new.name, new.price, new.note, julianday('now'), NULL);
END;
"""


def beside_triggers(setting: Setting) -> Iterator[Row]:
    """The same history through SQL, of an object with 100 versions among 10,000 rows."""
    path = setting.folder / "triggers.sqlite"
    other = open_sqlite(path, setting, "NORMAL")
    other.execute(TRIGGERS)
    with engine_in(setting, "triggers") as engine, engine.connect() as connection:
        rows = [tuple(item(n).values()) for n in range(10_000)]
        other.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
        connection.execute(insert(Item), [item(n) for n in range(10_000)])
        connection.commit()
        for n in range(1, 100):
            other.execute("UPDATE item SET price = ? WHERE id = 77", (n,))
            connection.execute(update(Item).where(Item.id == 77).values(price=n))
            connection.commit()
        raw: Any = connection.connection.driver_connection
        columns = "SELECT id, name, price, note, valid_from, valid_to FROM"

        def ours() -> int:
            return len(raw.execute(f"{columns} main.\"item history\"(0, 0, 'all') WHERE id = 77").fetchall())

        def theirs() -> int:
            return len(list(other.execute(f"{columns} item_history WHERE id = 77")))

        yield raced(GROUP, "history of 100 versions through SQL, beside triggers", ours, theirs, "SQLite, triggers")
    other.close()
    remove(path)


def beside_continuum(setting: Setting) -> Iterator[Row]:
    """The versions of an object as objects, beside SQLAlchemy-Continuum on SQLite, where it is installed."""
    if importlib.util.find_spec("sqlalchemy_continuum") is None:
        show("    SQLAlchemy-Continuum is not installed: no row beside it")
        return
    from sqlalchemy import Column, Integer, String
    from sqlalchemy_continuum import make_versioned, version_class

    make_versioned(user_cls=None)
    other_base = declarative_base()

    class Thing(other_base):  # type: ignore[misc, valid-type]
        __versioned__: dict[str, Any] = {}  # noqa: RUF012
        __tablename__ = "thing"
        id = Column(Integer, primary_key=True)
        name, price, note = Column(String), Column(Integer), Column(String)

    configure_mappers()
    path = setting.folder / "continuum.sqlite"
    other = create_engine(f"sqlite:///{path}")
    other_base.metadata.create_all(other)
    versions_wanted = 200
    with engine_in(setting, "continuum") as engine, Session(engine) as session, Session(other) as beside:
        session.add(Item(**item(1)))
        thing = Thing(**item(1))
        beside.add(thing)
        session.commit()
        beside.commit()
        for n in range(1, versions_wanted):
            session.get_one(Item, 1).price = n
            thing.price = n
            session.commit()
            beside.commit()
        kept = version_class(Thing)

        def ours() -> int:
            session.expunge_all()
            return sum(len(entry.changed) > 0 for entry in history(session, (Item, 1)))

        def theirs() -> int:
            beside.expunge_all()
            found = beside.scalars(select(kept).where(kept.id == 1).order_by(kept.transaction_id)).all()
            return sum(len(version.changeset) > 0 for version in found)

        yield raced(GROUP, f"history of {versions_wanted} versions with what changed", ours, theirs,
                    "SQLAlchemy-Continuum", rounds=3)
    other.dispose()
    remove(path)
