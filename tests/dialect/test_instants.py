"""DateTime(timezone=True) keeps the instant under our own name, and is SQLite's under SQLite's."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, event, exc
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import at, commit_moment

UTC = dt.timezone.utc
INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))
WEST = dt.timezone(dt.timedelta(hours=-8))
NOON = dt.datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)

VALUES = [
    NOON,
    NOON.astimezone(INDIA) + dt.timedelta(microseconds=1),
    NOON.astimezone(WEST) + dt.timedelta(microseconds=100_000),
    NOON.astimezone(INDIA) + dt.timedelta(seconds=1),
    NOON.astimezone(WEST) - dt.timedelta(microseconds=1),
    dt.datetime(1, 1, 2, 3, 4, 5, tzinfo=INDIA),
    dt.datetime(1850, 11, 10, 11, 52, 35, 7, tzinfo=WEST),
    dt.datetime(9999, 12, 31, 0, 0, tzinfo=INDIA),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=UTC, fold=1),
]


def table(type_: Any = None) -> sa.Table:
    column = sa.Column("v", type_ or sa.DateTime(timezone=True), index=True)
    return sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), column)


def test_the_instant_comes_back_aware_in_utc(engine: Engine) -> None:
    made = table()
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert(), [{"id": i, "v": value} for i, value in enumerate([*VALUES, None])])
        found = connection.scalars(sa.select(made.c.v).order_by(made.c.id)).all()
    assert found == [*VALUES, None]
    assert all(value.tzinfo is UTC for value in found[:-1])


def test_it_is_compared_and_ordered_as_instants_are(engine: Engine, rng: random.Random) -> None:
    made = table()
    made.create(engine)
    values = VALUES + [
        NOON.astimezone(rng.choice([UTC, INDIA, WEST])) + rng.randint(-5, 5) * unit
        for unit in [dt.timedelta(microseconds=1), dt.timedelta(milliseconds=1), dt.timedelta(seconds=1)]
        for _ in range(8)
    ]
    with engine.begin() as connection:
        connection.execute(made.insert(), [{"v": value} for value in values])
        assert connection.scalars(sa.select(made.c.v).order_by(made.c.v)).all() == sorted(values)
        assert connection.execute(sa.select(sa.func.min(made.c.v), sa.func.max(made.c.v))).one() == (
            min(values), max(values)
        )  # fmt: skip
        comparisons: list[Callable[[Any, Any], Any]] = [
            lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a == b, lambda a, b: a >= b, lambda a, b: a != b
        ]  # fmt: skip
        for value, compare in itertools.product(values, comparisons):
            expected = sorted(other for other in values if compare(other, value))
            asked = sa.select(made.c.v).where(compare(made.c.v, value)).order_by(made.c.v)
            assert connection.scalars(asked).all() == expected
        among = sa.select(made.c.v).where(made.c.v.in_(values[:5])).order_by(made.c.v)
        assert set(connection.scalars(among)) == set(values[:5])


@pytest.mark.parametrize("value", VALUES)
def test_literals_and_untyped_values_are_the_same_instant(engine: Engine, value: dt.datetime) -> None:
    made = table()
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert().values(v=value))
        equal = sa.select(made.c.id).where(made.c.v == value)
        assert connection.execute(equal).scalar() == 1
        literal = str(equal.compile(engine, compile_kwargs={"literal_binds": True}))
        assert connection.exec_driver_sql(literal).scalar() == 1
        assert connection.scalar(sa.select(sa.literal(value))) == value
        assert connection.scalar(sa.select(sa.func.coalesce(sa.null(), value))) == value
        assert connection.scalar(sa.select(made.c.id).where(made.c.v == sa.literal(value))) == 1
        assert connection.scalar(sa.update(made).values(v=value).returning(made.c.v)) == value


def test_a_value_without_a_zone_is_taken_as_utc(engine: Engine) -> None:
    made = table()
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert(), [{"v": NOON.replace(tzinfo=None)}, {"v": NOON.date()}])
        assert connection.scalars(sa.select(made.c.v)).all() == [NOON, NOON.replace(hour=0)]
        assert connection.scalar(sa.select(made.c.id).where(made.c.v == NOON.replace(tzinfo=None))) == 1
        with pytest.raises(exc.StatementError, match="takes a datetime or a date"):
            connection.execute(made.insert().values(v="2024-05-01"))


def test_what_the_database_writes_compares_with_what_python_does(engine: Engine) -> None:
    columns = [sa.Column("id", sa.Integer, primary_key=True)]
    columns += [sa.Column(name, sa.DateTime(timezone=True), server_default=default) for name, default in
                (("now", sa.func.now()), ("text", sa.text("CURRENT_TIMESTAMP")), ("call", sa.text("(datetime('now'))")),
                 ("fixed", "2024-05-01 12:00:00"))]  # fmt: skip
    made = sa.Table("t", sa.MetaData(), *columns)
    made.create(engine)
    before = dt.datetime.now(UTC).replace(microsecond=0)
    with engine.begin() as connection:
        connection.execute(made.insert().values(id=1))
        row = connection.execute(made.select()).one()
        for name in ("now", "text", "call"):
            value = getattr(row, name)
            assert before <= value <= dt.datetime.now(UTC)
            for condition in (made.c[name] == value, made.c[name] >= value, made.c[name] <= sa.func.now()):
                assert connection.scalar(sa.select(made.c.id).where(condition)) == 1
        assert row.fixed == NOON
        assert connection.scalar(sa.select(made.c.id).where(made.c.fixed == NOON.astimezone(INDIA))) == 1
        connection.execute(made.update().values(now=sa.func.now()))
        assert connection.scalar(sa.select(sa.extract("hour", made.c.fixed))) == 12


@pytest.mark.parametrize(
    "stored",
    ["2024-05-01 12:00:00", "2024-05-01 12:00:00.000000", "2024-05-01T12:00:00", "2024-05-01T12:00:00Z",
     "2024-05-01 17:30:00+05:30", "2024-05-01 04:00:00.000000-08:00"],
)  # fmt: skip
def test_what_other_programs_have_written_is_read(engine: Engine, stored: str) -> None:
    made = table()
    made.create(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t(v) VALUES (?)", (stored,))
        found = connection.scalar(sa.select(made.c.v))
    assert (found, found.tzinfo) == (NOON, UTC)


def test_it_is_reflected_with_its_zone(engine: Engine) -> None:
    types = {"a": sa.DateTime(timezone=True), "b": sa.DateTime(), "c": sa.TIMESTAMP(timezone=True)}
    types["d"] = sqlite.DATETIME(timezone=True)
    made = sa.Table("t", sa.MetaData(), *(sa.Column(name, type_) for name, type_ in types.items()))
    made.create(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE t ADD COLUMN e timestamptz")
        connection.exec_driver_sql("ALTER TABLE t ADD COLUMN f datetime  with\ttime zone DEFAULT NULL")
        connection.execute(made.insert().values(a=NOON, c=NOON.astimezone(WEST)))
    found = sa.Table("t", sa.MetaData(), autoload_with=engine)
    zones = [getattr(column.type, "timezone", None) for column in found.columns]
    assert zones == [True, False, True, False, True, True]
    with engine.connect() as connection:
        row = connection.execute(found.select()).one()
        assert (row.a, row.c) == (NOON, NOON)
        assert row.a.tzinfo is UTC
    again = sa.MetaData()
    found.to_metadata(again, name="u")
    again.create_all(engine)
    first, second = ([str(c["type"]) for c in sa.inspect(engine).get_columns(name)] for name in "tu")
    assert first == second


class Base(DeclarativeBase):
    pass


class Meeting(Base):
    __tablename__ = "meeting"
    id: Mapped[int] = mapped_column(primary_key=True)
    begins: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
    made: Mapped[dt.datetime] = mapped_column(
        sa.DateTime(timezone=True), default=lambda: dt.datetime.now(INDIA), onupdate=lambda: dt.datetime.now(WEST)
    )


class Aware(sa.TypeDecorator[dt.datetime]):
    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        assert value.tzinfo is not None
        return value.astimezone(INDIA)


def test_in_models_at_past_moments_and_behind_a_decorator(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Meeting(id=1, begins=NOON.astimezone(INDIA)))
        session.commit()
        first = commit_moment(session)
        meeting = session.get_one(Meeting, 1)
        assert meeting.begins == NOON
        assert meeting.made.tzinfo is UTC
        flushed: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *rest: flushed.append(rest[2]))
        meeting.begins = NOON.astimezone(WEST)  # the same instant
        session.flush()
        assert not any(sql.startswith("UPDATE") for sql in flushed)
        meeting.begins = NOON + dt.timedelta(hours=1)
        session.commit()
        with at(session, first) as past:
            assert past.get_one(Meeting, 1).begins == NOON
    made = table(Aware())
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert().values(v=NOON))
        assert connection.scalar(sa.select(made.c.v)).tzinfo is INDIA


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+entitydb"])
def test_under_sqlites_name_it_is_sqlites(scheme: str) -> None:
    engine = sa.create_engine(f"{scheme}://")
    made = table()
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert().values(v=NOON.astimezone(INDIA)))
        assert connection.exec_driver_sql("SELECT v FROM t").scalar() == "2024-05-01 17:30:00.000000"
        assert connection.scalar(sa.select(made.c.v)) == dt.datetime(2024, 5, 1, 17, 30)
    engine.dispose()


def test_types_of_sqlites_own_keep_their_format(engine: Engine) -> None:
    made = table(sqlite.DATETIME(timezone=True, truncate_microseconds=True))
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(made.insert().values(v=NOON.astimezone(INDIA)))
        assert connection.exec_driver_sql("SELECT v FROM t").scalar() == "2024-05-01 17:30:00"
