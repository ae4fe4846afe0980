"""The option as_of at every level, what counts as a moment, commit times, and what is refused."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    delete,
    exc,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

import entitydb_dialect
from entitydb_dialect import EntityDBWarning, PastWriteError, at, begin_at, commit_moment, label_moment, resolve
from entitydb_dialect.history.moments import from_ns, to_ns

from .models import Base, Room, Skill

UTC = dt.timezone.utc
counter = Table("counter", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))


@pytest.fixture
def moments(engine: Engine) -> list[int]:
    """Commit i leaves n = i in one row; the moments of the commits."""
    counter.create(engine)
    found = []
    with engine.connect() as connection:
        for i in range(5):
            connection.execute(insert(counter).values(id=1, n=0) if i == 0 else update(counter).values(n=i))
            connection.commit()
            found.append(commit_moment(connection))
    assert found == sorted(set(found))
    return found


def test_statement_beats_connection_beats_engine(engine: Engine, moments: list[int]) -> None:
    n = select(counter.c.n)
    with engine.connect() as connection:
        for i, moment in enumerate(moments):
            assert connection.scalar(n, execution_options={"as_of": moment}) == i
            assert connection.scalar(n.execution_options(as_of=moment)) == i
        assert connection.scalar(n) == 4
    past = engine.execution_options(as_of=moments[0])
    with past.connect() as connection:
        assert connection.scalar(n) == 0
        assert connection.scalar(n.execution_options(as_of=moments[2])) == 2
        assert connection.scalar(n.execution_options(as_of=None)) == 4
        assert connection.execute(text("SELECT n FROM counter")).scalar() == 0
        assert connection.exec_driver_sql("SELECT n FROM counter").scalar() == 0
    with past.connect().execution_options(as_of=moments[1]) as connection:
        assert connection.scalar(n) == 1
        assert connection.scalar(n.execution_options(as_of=None)) == 4
    with engine.connect() as connection:
        assert connection.scalar(n) == 4


def test_option_of_create_engine(engine: Engine, moments: list[int], tmp_path: Any) -> None:
    if engine.url.database is None:
        pytest.skip("a memory database has one engine")
    pinned = create_engine(engine.url, execution_options={"as_of": moments[3]})
    with Session(pinned) as session:
        assert session.scalar(select(counter.c.n)) == 3
    pinned.dispose()


def test_session_takes_the_option_for_columns(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session:
        n = select(counter.c.n)
        assert session.scalar(n, execution_options={"as_of": moments[1]}) == 1
        assert session.scalar(n.execution_options(as_of=moments[2])) == 2
        assert session.scalar(n) == 4


def test_moment_is_included_to_the_nanosecond(engine: Engine, moments: list[int]) -> None:
    n = select(counter.c.n)
    with engine.connect() as connection:
        for i in range(1, 5):
            assert connection.scalar(n.execution_options(as_of=moments[i])) == i
            assert connection.scalar(n.execution_options(as_of=moments[i] - 1)) == i - 1


@pytest.mark.filterwarnings("error")
def test_every_kind_of_moment(engine: Engine, moments: list[int]) -> None:
    n = select(counter.c.n)
    last = from_ns(moments[4])
    with engine.connect() as connection:
        local = dt.timezone(dt.timedelta(hours=-7))
        for moment in (
            last,
            last.astimezone(local),
            last.replace(tzinfo=None),
            last.isoformat(),
            last.isoformat().replace("+00:00", "Z"),
            last.date(),
            last.date().isoformat(),
            moments[4],
            dt.timedelta(0),
            last + dt.timedelta(days=400),
        ):
            assert connection.scalar(n.execution_options(as_of=moment)) == 4, moment
        with pytest.raises(exc.OperationalError):
            connection.execute(n.execution_options(as_of=dt.timedelta(days=-2)))


def test_coarse_moments_end_late() -> None:
    day = dt.date(2024, 2, 29)
    noon = dt.datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC)
    assert to_ns(day) + 1 == to_ns(dt.date(2024, 3, 1), start=True)
    assert to_ns(noon) - to_ns(noon, start=True) == 999
    assert to_ns("2024-02-29") == to_ns(day)
    assert to_ns("2024-02-29T12:00:00.000005Z") == to_ns(noon)
    assert to_ns(dt.datetime(1960, 1, 1, tzinfo=UTC), start=True) == -315_619_200 * 10**9
    assert to_ns(7) == 7
    before = time.time_ns()
    assert before - 10**9 <= to_ns(dt.timedelta(seconds=-1)) <= time.time_ns() - 10**9


@pytest.mark.parametrize(
    "moment",
    [
        1.5,
        True,
        object(),
        "yesterday",
        b"2024-01-01",
        dt.timedelta(seconds=1),
        dt.time(1),
        2**63,
        "2024-13-01",
        dt.date(1, 1, 1),
    ],
)
def test_what_is_not_a_moment_is_an_argument_error(engine: Engine, moments: list[int], moment: Any) -> None:
    with engine.connect() as connection, pytest.raises(exc.ArgumentError):
        connection.execute(select(counter), execution_options={"as_of": moment})
    with pytest.raises(exc.ArgumentError):
        resolve(engine, moment)
    with pytest.raises(exc.ArgumentError), at(engine, moment):
        pass
    with pytest.raises(exc.ArgumentError), begin_at(engine, moment):
        pass


def test_naive_moment_beyond_the_clock_warns(engine: Engine, moments: list[int]) -> None:
    future = dt.datetime.now(UTC).replace(tzinfo=None) + dt.timedelta(hours=2)
    with pytest.warns(EntityDBWarning, match="UTC"), engine.connect() as connection:
        assert connection.scalar(select(counter.c.n).execution_options(as_of=future)) == 4


def test_resolved_moment_gives_the_same_rows_again(engine: Engine, moments: list[int]) -> None:
    n = select(counter.c.n)
    moment = resolve(engine, dt.timedelta(0))
    with engine.connect() as connection:
        assert connection.scalar(n.execution_options(as_of=moment)) == 4
        for i in range(10, 14):
            connection.execute(update(counter).values(n=i))
            connection.commit()
            assert connection.scalar(n.execution_options(as_of=moment)) == 4
        assert commit_moment(connection) > moment
    with Session(engine) as session:
        assert resolve(session, moments[2]) == resolve(engine, moments[2])


def test_writes_under_a_moment_are_refused(engine: Engine, moments: list[int]) -> None:
    for statement in (
        insert(counter).values(n=1),
        update(counter).values(n=1),
        delete(counter),
        text("DELETE FROM counter"),
        text("CREATE TABLE x(a)"),
        text("DROP TABLE counter"),
    ):
        with engine.connect() as connection, pytest.raises(exc.ProgrammingError) as caught:
            connection.execute(statement, execution_options={"as_of": moments[0]})
        assert isinstance(caught.value.orig, PastWriteError)
    with pytest.raises(exc.ProgrammingError):
        counter.drop(engine.execution_options(as_of=moments[0]))
    with engine.connect() as connection:
        assert connection.scalar(select(counter.c.n)) == 4


def test_flush_of_a_session_on_a_past_engine_is_refused(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Room(name="now"))
        session.commit()
        moment = commit_moment(session)
    with Session(engine.execution_options(as_of=moment)) as session:
        room = session.scalars(select(Room)).one()
        room.name = "changed"
        with pytest.raises(exc.ProgrammingError) as caught:
            session.commit()
        assert isinstance(caught.value.orig, PastWriteError)


def test_plain_session_with_objects_of_now_refuses_past_entities(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Room(name="one"))
        session.commit()
        moment = commit_moment(session)
        room = session.scalars(select(Room)).one()
        room.name = "two"
        session.commit()
        for _ in range(2):  # the second time out of the statement cache
            for call in (
                lambda: session.scalars(select(Room), execution_options={"as_of": moment}).all(),
                lambda: session.execute(select(Room, Room.name).execution_options(as_of=moment)).all(),
                lambda: session.scalars(
                    select(Room).from_statement(text("SELECT * FROM room")).execution_options(as_of=moment)
                ).all(),
                lambda: session.get(Room, 99, execution_options={"as_of": moment}),
                lambda: session.query(Room).execution_options(as_of=moment).all(),
            ):
                with pytest.raises(exc.InvalidRequestError, match=r"at\(session, moment\)"):
                    call()
        assert session.execute(select(Room.name).execution_options(as_of=moment)).scalars().all() == ["one"]
        assert session.scalars(select(Room)).one() is room
        assert room.name == "two"


def test_connection_option_on_a_fresh_session_is_guarded_too(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Room(name="one"))
        session.commit()
        moment = commit_moment(session)
        session.connection(execution_options={"as_of": moment})
        with pytest.raises(exc.InvalidRequestError, match="at"):
            session.scalars(select(Room)).all()


def test_core_execution_of_mapped_classes_is_not_an_identity(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(insert(Room).values(name="one"))
        connection.commit()
        moment = commit_moment(connection)
        connection.execute(update(Room).values(name="two"))
        connection.commit()
        assert connection.execute(select(Room).execution_options(as_of=moment)).one().name == "one"


def test_past_and_present_cursors_interleave(engine: Engine, moments: list[int]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(counter), [{"id": i, "n": i} for i in range(2, 50)])
    with engine.connect() as connection:
        connection.execute(update(counter).values(n=-1))
        connection.commit()
        past = commit_moment(connection) - 1
        now = connection.execution_options(stream_results=True).execute(select(counter).order_by(counter.c.id))
        then = connection.execute(
            select(counter).order_by(counter.c.id), execution_options={"as_of": past, "stream_results": True}
        )
        assert now.fetchone() == (1, -1)
        for i in range(1, 48):
            assert (then.fetchone(), now.fetchone()) == ((i, i if i > 1 else 4), (i + 1, -1))


def test_commit_moment_of_who_committed_and_of_nobody_else(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as first, Session(engine) as second:
        for session in (first, second):
            session.add(Room(name="one"))
            session.commit()
        assert commit_moment(first) < commit_moment(second) == commit_moment(engine)
        with at(engine, commit_moment(first)) as past:
            assert len(past.scalars(select(Room)).all()) == 1
    auto = engine.execution_options(isolation_level="AUTOCOMMIT")
    with auto.connect() as connection, Session(auto) as session:
        assert connection.execute(select(Room.id)).all()
        with pytest.raises(exc.InvalidRequestError):
            commit_moment(connection)
        session.execute(text("INSERT INTO room(name) VALUES ('two')"))
        mine = commit_moment(session)
        assert mine == commit_moment(engine)
        connection.execute(text("INSERT INTO room(name) VALUES ('three')"))
        session.execute(select(Room.id)).all()
        assert commit_moment(session) == mine < commit_moment(connection)
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO room(name) VALUES ('four')")
        connection.exec_driver_sql("COMMIT")
        mine = commit_moment(connection)
        connection.rollback()
    with engine.connect() as connection:
        for _ in range(2):
            with pytest.raises(exc.InvalidRequestError):
                commit_moment(connection)
            connection.execute(select(Room.id)).all()
            connection.commit()
    assert commit_moment(engine) == mine


def test_commit_moment_of_sessions_and_connections(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    fresh = create_engine("entitydb://")
    with fresh.connect() as connection, pytest.raises(exc.InvalidRequestError, match="nothing has been committed"):
        commit_moment(connection)
    with pytest.raises(exc.InvalidRequestError, match="nothing has been committed"):
        commit_moment(Session(fresh))
    fresh.dispose()
    with Session(engine) as session:
        session.add(Room(name="one"))
        session.commit()
        first = commit_moment(session)
        session.scalars(select(Room)).all()
        session.commit()
        assert commit_moment(session) == first, "reading makes no commit"
        session.add(Room(name="two"))
        session.commit()
        second = commit_moment(session)
        assert second > first
        for moment, expected in ((first, 1), (second - 1, 1), (second, 2)):
            assert len(session.execute(select(Room.id).execution_options(as_of=moment)).all()) == expected
    with pytest.raises(exc.ArgumentError):
        commit_moment(object())  # type: ignore[arg-type]
    other = create_engine("sqlite://")
    with pytest.raises(exc.ArgumentError):
        commit_moment(Session(other))
    other.dispose()


def test_import_of_a_history_with_begin_at(engine: Engine) -> None:
    days = [dt.date(2009, 1, d) for d in (1, 2, 5)]
    for i, day in enumerate(days):
        with begin_at(engine, day) as connection:
            if i == 0:
                Base.metadata.create_all(connection)
            with Session(connection) as session:
                session.add(Skill(name=f"skill {i}"))
                session.commit()
        assert commit_moment(engine) == to_ns(day, start=True)
    with engine.connect() as connection:
        names = select(Skill.name)
        assert connection.execute(names.execution_options(as_of=dt.date(2009, 1, 4))).scalars().all() == [
            "skill 0",
            "skill 1",
        ]
        assert len(connection.execute(names).all()) == 3
        with pytest.raises(exc.OperationalError):
            connection.execute(names.execution_options(as_of=dt.date(2008, 12, 31)))
    with at(engine, "2009-01-01") as past:
        assert [s.name for s in past.scalars(select(Skill))] == ["skill 0"]


def test_begin_at_keeps_the_order_of_time(engine: Engine) -> None:
    with begin_at(engine, 10**18) as connection:
        counter.create(connection)
    for moment in (10**18, 10**18 - 1, time.time_ns() + 10**12):
        with pytest.raises(exc.OperationalError), begin_at(engine, moment) as connection:
            connection.execute(insert(counter).values(n=1))
    with pytest.raises(ZeroDivisionError), begin_at(engine, 10**18 + 5) as connection:  # noqa: PT012
        connection.execute(insert(counter).values(n=1))
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert connection.execute(select(counter)).all() == []
        connection.execute(select(counter).execution_options(as_of=10**18 + 100)).all()
        connection.rollback()
    with pytest.raises(exc.OperationalError), begin_at(engine, 10**18 + 50) as connection:
        connection.execute(insert(counter).values(n=2))
    with begin_at(engine, 10**18 + 200) as connection:
        connection.execute(insert(counter).values(n=3))
    with engine.connect() as connection:
        connection.execute(insert(counter).values(n=4))
        connection.commit()
        assert commit_moment(connection) > 10**18 + 200
        assert connection.execute(select(counter.c.n).execution_options(as_of=10**18 + 200)).scalars().all() == [3]


def test_health(engine: Engine, moments: list[int]) -> None:
    assert entitydb_dialect.check(engine) == []
    found = entitydb_dialect.stats(engine)
    assert found["page_size"] == 512
    assert found["published"] >= 5
    assert found["last_commit_ns"] == moments[-1]


def test_autocommit_as_of(engine: Engine, moments: list[int], make_engine: Callable[..., Engine]) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.scalar(select(counter.c.n).execution_options(as_of=moments[1])) == 1
        connection.execute(update(counter).values(n=77))
        assert connection.scalar(select(counter.c.n)) == 77
        assert commit_moment(connection) > moments[-1]


def test_moments_of_1970_that_were_found_are_moments(tmp_path: Path) -> None:
    """As ints they look like moments of today in milliseconds."""
    engine = sa.create_engine(f"entitydb:///{tmp_path}/early.edb")
    early = dt.datetime(1970, 1, 1, 0, 20, tzinfo=dt.timezone.utc)
    with begin_at(engine, early) as connection:
        connection.execute(sa.text("CREATE TABLE t(a)"))
        connection.execute(sa.text("SELECT entitydb_label('early')"))
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    asked = sa.text("SELECT count(*) FROM t")
    for moment in (early, resolve(engine, early), label_moment(engine, "early")):
        with at(engine, moment) as past:
            assert past.scalar(asked) == 0
        with engine.connect() as connection:
            assert connection.scalar(asked, execution_options={"as_of": moment}) == 0
