"""Who and why, through SQLAlchemy: whatever commits says it, in its own task, thread and Session; and Transaction."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, exc, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

from entitydb_dialect import PastWriteError, Transaction, at, begin_at, transaction_info

INFO = text("SELECT entitydb_transaction_info(:said)")
Said = tuple[Any, Any, Any]


class Base(DeclarativeBase):
    pass


class Page(Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


@pytest.fixture(params=["entitydb", "sqlite+entitydb", "memory"])
def engine(request: pytest.FixtureRequest, make_engine: Callable[..., Engine], tmp_path: Path) -> Engine:
    engine = make_engine("entitydb://" if request.param == "memory" else f"{request.param}:///{tmp_path}/t.edb")
    Base.metadata.create_all(engine)
    return engine


def said(engine: Engine) -> list[Said]:
    """Of each commit but the first, which made the table."""
    with Session(engine) as session:
        found = session.execute(
            select(Transaction.actor, Transaction.reason, Transaction.metadata)
            .where(Transaction.id > 1)
            .order_by(Transaction.id)
        )
        return [(actor, reason, metadata) for actor, reason, metadata in found]


# ---- what commits ----


def test_bulk_core_and_upsert_writes_keep_it_as_the_unit_of_work_does(engine: Engine) -> None:
    def unit_of_work(session: Session) -> None:
        session.add(Page(id=1, title="a"))
        session.flush()
        session.get_one(Page, 1).title = "b"

    statements: list[Callable[[Session], Any]] = [
        unit_of_work,
        lambda s: s.execute(insert(Page), [{"title": "x"}, {"title": "y"}]),
        lambda s: s.scalars(insert(Page).returning(Page), [{"title": "x"}, {"title": "y"}]).all(),
        lambda s: s.execute(update(Page).values(title=Page.title + "!")),
        lambda s: s.execute(update(Page), [{"id": 1, "title": "bulk"}]),
        lambda s: s.bulk_insert_mappings(Page.__mapper__, [{"title": "m"}]),
        lambda s: s.execute(
            upsert(Page).values(id=1, title="up").on_conflict_do_update(index_elements=["id"], set_={"title": "up!"})
        ),
        lambda s: s.execute(text("INSERT INTO page(title) VALUES ('raw')")),
        lambda s: s.execute(text("CREATE TABLE more(a)")),
        lambda s: s.execute(delete(Page)),
    ]
    for i, statement in enumerate(statements):
        with transaction_info(actor="ann", n=i), Session(engine) as session, session.begin():
            statement(session)
    assert said(engine) == [("ann", None, {"n": i}) for i in range(len(statements))]


def test_connections_keep_it_in_every_mode(engine: Engine) -> None:
    with transaction_info(actor="core"):
        with engine.begin() as connection:
            connection.execute(insert(Page), {"title": "a"})
        with engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO page(title) VALUES ('b')")
            connection.exec_driver_sql("COMMIT")
        for level in ("SERIALIZABLE", "READ COMMITTED"):
            with engine.connect().execution_options(isolation_level=level) as connection:
                connection.execute(insert(Page), {"title": "c"})
                connection.commit()
    with transaction_info(actor="auto"):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(insert(Page), {"title": "d"})
            connection.execute(insert(Page).returning(Page.id), {"title": "e"}).all()
            connection.execute(insert(Page), [{"title": "f"}])
    with transaction_info(actor="raw"):
        raw = engine.raw_connection()
        raw.cursor().execute("INSERT INTO page(title) VALUES ('g')")
        raw.commit()
        raw.close()
    with engine.connect() as connection:
        newest = connection.scalar(select(func.max(Transaction.committed_at)))
    with transaction_info(actor="import"), begin_at(engine, newest + 1) as connection:
        connection.execute(insert(Page), {"title": "h"})
    actors = [row[0] for row in said(engine)]
    assert actors == [*["core"] * 4, *["auto"] * 3, "raw", "import"]


def test_inner_blocks_add_and_override_and_end(engine: Engine) -> None:
    def write() -> None:
        with Session(engine) as session, session.begin():
            session.add(Page(title="t"))

    block = transaction_info(actor="in", n=1)
    with transaction_info(actor="out", reason="r", k="out"):
        with block, transaction_info(k="in"):
            write()
        write()
        with block, block:
            write()
        with pytest.raises(ZeroDivisionError), block:
            raise ZeroDivisionError
        write()
    write()
    assert said(engine) == [
        ("in", "r", {"k": "in", "n": 1}), ("out", "r", {"k": "out"}), ("in", "r", {"k": "out", "n": 1}),
        ("out", "r", {"k": "out"}), (None, None, {}),
    ]  # fmt: skip


def test_a_value_that_is_changed_afterwards_changes_nothing(engine: Engine) -> None:
    tickets = [1]
    with transaction_info(tickets=tickets), Session(engine) as session:
        tickets.append(2)
        session.add(Page(title="t"))
        session.commit()
    assert said(engine) == [(None, None, {"tickets": [1]})]


# ---- Session.info and SQL ----


def test_a_session_says_it_in_its_info(engine: Engine) -> None:
    with Session(engine, info={"transaction_info": {"actor": "session", "k": 1}}) as session:
        session.add(Page(title="a"))
        session.commit()
        session.info["transaction_info"] = {"reason": "later"}
        session.execute(insert(Page), [{"title": "b"}])
        with transaction_info(actor="block"):
            session.commit()
        del session.info["transaction_info"]
        session.add(Page(title="c"))
        session.commit()
    options = {"isolation_level": "AUTOCOMMIT"}
    with Session(engine.execution_options(**options), info={"transaction_info": {"actor": "auto"}}) as session:
        session.execute(insert(Page), {"title": "d"})
    with Session(engine) as session:
        session.add(Page(title="e"))
        session.commit()
    with engine.begin() as connection, Session(connection, info={"transaction_info": {"actor": "joined"}}) as session:
        session.add(Page(title="f"))  # the Connection commits, of whose transaction nobody else says anything
        session.commit()
    actors = [row[:2] for row in said(engine)]
    assert actors == [
        ("session", None), ("block", "later"), (None, None), ("auto", None), (None, None), ("joined", None)
    ]  # fmt: skip


def test_a_connection_of_the_pool_says_nothing_of_the_session_before(engine: Engine) -> None:
    kept = []
    with Session(engine, info={"transaction_info": {"actor": "session"}}) as session:
        session.add(Page(title="a"))
        kept.append(session.connection().connection)
        session.commit()
    raw = engine.raw_connection()
    raw.cursor().execute("INSERT INTO page(title) VALUES ('b')")
    raw.commit()
    raw.close()
    assert [row[0] for row in said(engine)] == ["session", None]


def test_sql_in_the_transaction_counts_most_and_goes_back_with_a_nested_one(engine: Engine) -> None:
    with Session(engine, info={"transaction_info": {"actor": "session", "reason": "session"}}) as session:
        with transaction_info(actor="block"):
            session.add(Page(title="a"))
            session.execute(INFO, {"said": '{"actor": "sql"}'})
            nested = session.begin_nested()
            session.execute(INFO, {"said": '{"actor": "nested", "n": 1}'})
            nested.rollback()
            with session.begin_nested():
                session.execute(select(func.entitydb_transaction_info('{"m": 2}')))
            session.commit()
        session.execute(INFO, {"said": '{"actor": "rolled back"}'})
        session.rollback()
        session.add(Page(title="b"))
        session.commit()
    assert said(engine) == [("sql", "session", {"m": 2}), ("session", "session", {})]


@pytest.mark.parametrize("wrong", [{"actor": 1}, "ann", {"when": dt.date(2026, 1, 1)}, {"n": {1, 2}}])
def test_a_session_that_says_nonsense_commits_nothing_and_goes_on(engine: Engine, wrong: Any) -> None:
    with Session(engine, info={"transaction_info": wrong}) as session:
        session.add(Page(title="a"))
        with pytest.raises(exc.ProgrammingError, match="transaction_info"):
            session.commit()
        session.rollback()
        session.info["transaction_info"] = {"actor": "right"}
        session.add(Page(title="b"))
        session.commit()
        assert session.scalars(select(Page.title)).all() == ["b"]
    assert said(engine) == [("right", None, {})]


@pytest.mark.parametrize(
    "wrong",
    [{"actor": 5}, {"actor": ""}, {"actor": "a\0"}, {"actor": "\ud800"}, {"reason": b"x"}, {"when": dt.date.today()},
     {"n": float("nan")}, {"n": float("inf")}, {"n": {1}}, {"n": {(1, 2): 3}}, {"n": "\udfff"}],
)  # fmt: skip
def test_metadata_that_is_not_json_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(exc.ArgumentError, match="transaction_info"):
        transaction_info(**wrong)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(exc.ArgumentError, match="loop is not JSON"):
        transaction_info(loop=loop)


# ---- threads and asyncio ----


def test_threads_do_not_meet_each_others_blocks(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    Base.metadata.create_all(engine)
    with transaction_info(actor="main"), Session(engine) as session:
        session.add(Page(title="main"))
        session.commit()
    barrier = threading.Barrier(4)

    def work(name: str) -> None:
        for i in range(5):
            with transaction_info(actor=name, i=i), Session(engine) as session:
                barrier.wait()
                session.add(Page(title=f"{name} {i}"))
                session.commit()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = said(engine)[1:]
    assert sorted((actor, metadata["i"]) for actor, _, metadata in found) == [(n, i) for n in "abcd" for i in range(5)]


@pytest.mark.parametrize("url", ["entitydb+aio:///{}/a.edb", "sqlite+entitydb_aio:///{}/a.edb"])
def test_tasks_keep_who_and_why_apart(tmp_path: Path, url: str) -> None:
    """The complaint of every audit package that keeps the author in a thread-local."""
    pytest.importorskip("greenlet")

    async def main() -> None:
        engine = create_async_engine(url.format(tmp_path))
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        sessions = async_sessionmaker(engine)
        async with transaction_info(actor="first"), sessions() as session:
            session.add(Page(title="first"))
            await session.commit()

        async def request(i: int) -> None:
            async with transaction_info(actor=f"user {i % 3}", request=i):
                async with sessions(info={"transaction_info": {"reason": f"r{i}"}}) as session:
                    session.add(Page(title=f"t{i}"))
                    await session.flush()
                    await asyncio.sleep(0)  # others go on
                    if i % 2:
                        await session.execute(INFO, {"said": '{"sql": true}'})
                    await session.commit()

        with transaction_info(reason="of the block around", batch=1):
            await asyncio.gather(*(request(i) for i in range(12)))

        async with engine.connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            with transaction_info(actor="auto"):
                await connection.execute(insert(Page), {"title": "auto"})

        def in_greenlet(session: Session) -> None:
            with transaction_info(actor="greenlet"):
                session.add(Page(title="greenlet"))
                session.commit()

        async with sessions() as session:
            await session.run_sync(in_greenlet)
            scoped = async_scoped_session(sessions, asyncio.current_task)
            scoped().info["transaction_info"] = {"actor": "scoped"}
            scoped.add(Page(title="scoped"))
            await scoped.commit()
            await scoped.remove()
            rows = (await session.scalars(select(Transaction).where(Transaction.id > 2).order_by(Transaction.id))).all()
        requests = {row.metadata["request"]: row for row in rows[:12]}
        for i in range(12):
            row = requests[i]
            expected = {"batch": 1, "request": i, **({"sql": True} if i % 2 else {})}
            assert (row.actor, row.reason, row.metadata) == (f"user {i % 3}", "of the block around", expected)
        assert [row.actor for row in rows[12:]] == ["auto", "greenlet", "scoped"]
        await engine.dispose()

    asyncio.run(main())


def test_a_task_started_in_a_block_has_it_and_a_thread_takes_it_along(engine: Engine) -> None:
    def write() -> None:
        with Session(engine) as session, session.begin():
            session.add(Page(title="t"))

    async def main() -> None:
        with transaction_info(actor="ann"):
            await asyncio.to_thread(write)
            task = asyncio.create_task(asyncio.to_thread(write))
        await task

    asyncio.run(main())
    assert [row[0] for row in said(engine)] == ["ann", "ann"]


def test_a_block_that_is_left_in_another_task_says_so() -> None:
    async def main() -> None:
        block = transaction_info(actor="ann")

        async def enter() -> None:
            block.__enter__()

        await asyncio.create_task(enter())
        with pytest.raises(exc.InvalidRequestError, match="another task or thread"):
            block.__exit__(None, None, None)

    asyncio.run(main())


# ---- Transaction ----


@pytest.fixture
def filled(engine: Engine, rng: random.Random) -> Engine:
    for i in range(6):
        with transaction_info(actor=("ann", "bob")[i % 2], **({"ticket": i} if i > 2 else {})):
            with Session(engine) as session, session.begin():
                session.add(Page(title=f"t{i}"))
                if i == 4:
                    session.execute(text("SELECT entitydb_label('release')"))
    return engine


def test_transactions_are_selected_filtered_and_joined(filled: Engine) -> None:
    with Session(filled) as session:
        mine = select(Transaction).where(Transaction.actor == "ann").order_by(Transaction.committed_at.desc())
        transactions = session.scalars(mine).all()
        assert [t.id for t in transactions] == [6, 4, 2]
        newest = transactions[0]
        assert newest is session.get(Transaction, 6)
        assert (newest.label, newest.metadata, newest.reason) == ("release", {"ticket": 4}, None)
        assert newest.committed.tzinfo is dt.timezone.utc
        assert newest.committed == dt.datetime.fromtimestamp(0, dt.timezone.utc) + dt.timedelta(
            microseconds=newest.committed_at // 1000
        )
        assert repr(newest).startswith("<Transaction 6 of 2")
        by_ticket = Transaction.metadata["ticket"].as_integer()  # type: ignore[index]
        assert session.scalars(select(Transaction.id).where(by_ticket >= 4).order_by(Transaction.id)).all() == [6, 7]
        other = aliased(Transaction)
        pairs = select(Transaction.id, other.id).join(other, other.id == Transaction.id + 1)
        assert session.execute(pairs.where(other.actor == "bob").order_by(other.id)).all() == [(2, 3), (4, 5), (6, 7)]
        joined = select(Page.title, Transaction.actor).join(Transaction, Transaction.id == Page.id + 1)
        assert session.execute(joined.order_by(Page.id)).all()[:2] == [("t0", "ann"), ("t1", "bob")]
        assert session.scalar(select(func.count()).select_from(Transaction)) == 7
        copy = pickle.loads(pickle.dumps(newest))
        assert (copy.id, copy.metadata) == (6, {"ticket": 4})


def test_as_of_a_moment_there_are_the_transactions_up_to_it(filled: Engine) -> None:
    with Session(filled) as session:
        third = session.get_one(Transaction, 3)
        with at(session, third.committed_at) as past:
            assert past.scalars(select(Transaction.id).order_by(Transaction.id)).all() == [1, 2, 3]
            assert past.scalars(select(Page.title)).all() == ["t0", "t1"]
        options = {"as_of": third.committed_at - 1}
        assert session.scalar(select(func.max(Transaction.id)), execution_options=options) == 2


def test_a_transaction_that_is_changed_is_refused_at_flush(filled: Engine) -> None:
    def change(session: Session) -> None:
        session.get_one(Transaction, 3).actor = "eve"

    def change_metadata(session: Session) -> None:
        session.get_one(Transaction, 3).metadata = {}

    changes: list[Callable[[Session], None]] = [
        change, change_metadata, lambda s: s.delete(s.get_one(Transaction, 3)), lambda s: s.add(Transaction()),
    ]  # fmt: skip
    for make in changes:
        with Session(filled) as session:
            session.add(Page(title="beside it"))
            make(session)
            with pytest.raises(PastWriteError, match="read-only"):
                session.commit()
    with Session(filled) as session:
        eve = {"id": 99, "actor": "eve"}
        for statement in (update(Transaction).values(eve), delete(Transaction), insert(Transaction).values(eve)):
            with pytest.raises(exc.OperationalError, match="may not be modified"):
                session.execute(statement)
            session.rollback()
        assert session.scalar(select(func.count()).select_from(Page)) == 6
        assert session.get_one(Transaction, 3).actor == "bob"


def test_its_table_belongs_to_nobody_elses_metadata(filled: Engine) -> None:
    assert "entitydb_transactions" not in Base.metadata.tables
    Base.metadata.drop_all(filled)
    with Session(filled) as session:
        assert session.scalar(select(func.count()).select_from(Transaction)) == 8


def test_an_async_session_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")

    async def main() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path}/a.edb")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            assert (await session.get_one(Transaction, 1)).actor is None
        await engine.dispose()

    asyncio.run(main())
