"""changes() and follow_changes(): what transactions did, in their order, from a token on."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, insert, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import Change, at, begin_at, changes, commit_moment, follow_changes, resolve


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    balance: Mapped[int]


class Note(Base):
    __tablename__ = "note"
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[bytes]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = create_engine(f"entitydb:///{tmp_path / 'test.edb'}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def filled(engine: Engine) -> None:
    """Writes of every way there is."""
    with Session(engine) as session:
        session.add_all([Account(id=1, owner="ann", balance=5), Note(name="n", body=b"\x00\xff")])
        session.commit()
        rows = [{"id": 2, "owner": "bob", "balance": 1}, {"id": 3, "owner": "eve", "balance": 2}]
        session.execute(insert(Account), rows)
        session.execute(update(Account).values(balance=Account.balance + 1))
        session.commit()
        session.execute(text("INSERT INTO account VALUES (1, 'ann', 9) ON CONFLICT DO UPDATE SET balance = 9"))
        session.delete(session.get_one(Account, 3))
        session.commit()


def told(found: Any) -> list[tuple[Any, ...]]:
    return [(change.table, change.operation, change.changed) for change in found]


def test_bulk_core_and_raw_writes_are_in_the_feed(engine: Engine) -> None:
    filled(engine)
    assert told(changes(engine)) == [
        ("account", "insert", {"id": (None, 1), "owner": (None, "ann"), "balance": (None, 5)}),
        ("note", "insert", {"name": (None, "n"), "body": (None, b"\x00\xff")}),
        ("account", "update", {"balance": (5, 6)}),
        ("account", "insert", {"id": (None, 2), "owner": (None, "bob"), "balance": (None, 2)}),
        ("account", "insert", {"id": (None, 3), "owner": (None, "eve"), "balance": (None, 3)}),
        ("account", "update", {"balance": (6, 9)}),
        ("account", "delete", {"id": (3, None), "owner": ("eve", None), "balance": (3, None)}),
    ]


def test_a_feed_goes_on_behind_every_token(engine: Engine) -> None:
    filled(engine)
    every = list(changes(engine))
    for behind, change in enumerate(every, 1):
        assert list(changes(engine, change.token)) == every[behind:]
        assert list(changes(engine, change.token, limit=2)) == every[behind : behind + 2]
    assert list(changes(engine, every[-1].token)) == []
    assert list(changes(engine, limit=0)) == []


def test_a_feed_in_pieces_of_random_size_is_the_feed(engine: Engine, rng: random.Random) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Account), [{"id": n, "owner": "x", "balance": n} for n in range(50)])
    for _ in range(20):
        with engine.begin() as connection:
            low = rng.randrange(50)
            condition = Account.id.between(low, low + rng.randrange(9))
            connection.execute(update(Account).where(condition).values(balance=rng.randrange(5)))
    every, pieces, token = list(changes(engine)), [], None
    while piece := list(changes(engine, token, limit=rng.randrange(1, 30))):
        pieces += piece
        token = piece[-1].token
    assert pieces == every


def test_what_came_after_a_moment(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Account(id=1, owner="ann", balance=5))
        session.commit()
        before = commit_moment(session)
        session.add(Account(id=2, owner="bob", balance=5))
        session.commit()
        assert [change.entity for change in changes(session, before)] == [2]
        assert list(changes(session, resolve(session, 2**62))) == []


def test_one_table(engine: Engine) -> None:
    filled(engine)
    assert [change.table for change in changes(engine, table=Note)] == ["note"]
    for table in (Account, Account.__table__, "ACCOUNT"):
        assert {change.table for change in changes(engine, table=table)} == {"account"}
    assert list(changes(engine, table="nothing")) == []


def test_what_is_not_committed_is_not_there(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Account(id=1, owner="ann", balance=5))
        session.flush()
        assert list(changes(session)) == []


def test_an_update_that_changes_nothing_makes_no_noise(engine: Engine) -> None:
    filled(engine)
    before = list(changes(engine))
    with engine.begin() as connection:
        connection.execute(update(Account).values(owner=Account.owner))
    assert list(changes(engine)) == before


def test_two_changes_of_a_row_in_one_transaction_are_one(engine: Engine) -> None:
    filled(engine)
    token = list(changes(engine))[-1].token
    with engine.begin() as connection:
        connection.execute(update(Account).where(Account.id == 1).values(balance=100))
        connection.execute(update(Account).where(Account.id == 1).values(balance=200))
    assert told(changes(engine, token)) == [("account", "update", {"balance": (9, 200)})]


def test_imported_commits_have_their_moments(engine: Engine) -> None:
    other = create_engine("entitydb://")
    with begin_at(other, 10**18) as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    (change,) = changes(other)
    assert change.committed_at == 10**18
    assert change.committed == dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.timezone.utc)
    other.dispose()


def test_bad_input(engine: Engine) -> None:
    """It is told by the call, not by the first change: a server has not begun its answer then."""
    bad_starts = ({"since": "soon"}, {"since": 1_700_000_000}, {"since": "9" * 20 + ":1"}, {"since": "1:" + "9" * 20})
    for options in ({"limit": -1}, *bad_starts, {"table": 5}, {"table": object}):
        with pytest.raises(exc.ArgumentError):
            changes(engine, **options)
    waiting = create_async_engine(engine.url.set(drivername="entitydb+aio"))
    for options in (*bad_starts, {"table": 5}):
        with pytest.raises(exc.ArgumentError):
            follow_changes(waiting, **options)


def test_the_feed_of_a_past_session_ends_with_its_moment(engine: Engine) -> None:
    filled(engine)
    every = list(changes(engine))
    for moment, last in {change.committed_at: change.transaction_id for change in every}.items():
        wanted = [change for change in every if change.transaction_id <= last]
        with at(engine, moment) as past:
            assert list(changes(past)) == wanted
        with Session(engine) as session, at(session, moment) as past:
            assert list(changes(past)) == wanted
            assert list(changes(past, wanted[0].token)) == wanted[1:]
            assert list(changes(past, every[-1].token)) == []
            assert list(changes(session)) == every


def test_following_waits_for_other_connections_commits(engine: Engine, tmp_path: Path) -> None:
    filled(engine)
    every = list(changes(engine))

    async def follow() -> list[Change]:
        waiting = create_async_engine(f"entitydb+aio:///{tmp_path / 'test.edb'}")
        found = []
        async for change in follow_changes(waiting, every[1].token):
            found.append(change)
            if change == every[-1]:
                await asyncio.to_thread(write)
            if change.entity == 77:
                break
        await waiting.dispose()
        return found

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(insert(Account).values(id=77, owner="late", balance=0))

    found = asyncio.run(asyncio.wait_for(follow(), 60))
    assert found[:-1] == every[2:]


@pytest.mark.slow
def test_following_misses_no_commit_that_comes_while_it_looks(tmp_path: Path) -> None:
    """Each commit begins when the one before has been told, so it meets a follower that is reading or about to wait."""

    async def follow() -> list[int]:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path / 'test.edb'}")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

        async def write(number: int) -> None:
            async with engine.begin() as connection:
                await connection.execute(insert(Account).values(id=number, owner="x", balance=0))

        writing = asyncio.create_task(write(1))
        told = []
        async for change in follow_changes(engine):
            told.append(change.entity)
            await writing
            if len(told) == 150:
                break
            writing = asyncio.create_task(write(len(told) + 1))
        await engine.dispose()
        return told

    assert asyncio.run(asyncio.wait_for(follow(), 100)) == list(range(1, 151))


def test_only_an_async_engine_can_be_followed(engine: Engine) -> None:
    async def follow() -> None:
        async for _ in follow_changes(engine):  # type: ignore[arg-type]
            break

    with pytest.raises(exc.ArgumentError, match="AsyncEngine"):
        asyncio.run(follow())
