"""Isolation levels through SQLAlchemy: options of engines and connections, the pool, Sessions, asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, exc, text
from sqlalchemy.orm import Session

from entitydb_dialect import SerializationFailure, driver

LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"]
COUNT = text("SELECT count(*) FROM t")
INSERT = text("INSERT INTO t VALUES (1)")


@pytest.fixture
def table(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        connection.execute(text("CREATE TABLE log(a)"))
    return engine


def behaves(engine: Engine, level: str) -> bool:
    """Does a connection of this engine do what the level says?"""
    with engine.connect() as one, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        before = one.scalar(COUNT)
        other.execute(INSERT)
        sees = one.scalar(COUNT) - before
        if sees != (level not in ("REPEATABLE READ", "SERIALIZABLE")):
            return False
        one.execute(text("INSERT INTO log VALUES (1)"))
        other.execute(INSERT)
        try:
            one.commit()
        except exc.OperationalError as error:
            assert isinstance(error.orig, SerializationFailure)
            return level == "SERIALIZABLE"
        return level != "SERIALIZABLE"


def test_the_levels_there_are(table: Engine) -> None:
    with table.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert table.dialect.get_isolation_level_values(raw) == LEVELS
        assert table.dialect.get_default_isolation_level(raw) == "REPEATABLE READ"
        assert table.dialect.default_isolation_level == "REPEATABLE READ"
        assert connection.get_isolation_level() == "REPEATABLE READ"
        assert connection.default_isolation_level == "REPEATABLE READ"
    with pytest.raises(exc.ArgumentError, match="READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ, SERIALIZABLE"):
        table.connect().execution_options(isolation_level="SNAPSHOT")


@pytest.mark.parametrize("level", LEVELS)
def test_of_a_connection(table: Engine, level: str) -> None:
    """And of no other one that the pool makes of it."""
    with table.connect().execution_options(isolation_level=level) as connection:
        assert connection.get_isolation_level() == level
        raw = connection.connection.driver_connection
        connection.scalar(COUNT)
        with pytest.raises(exc.InvalidRequestError):
            connection.execution_options(isolation_level="SERIALIZABLE")
        if level != "AUTOCOMMIT":
            with pytest.raises(driver.ProgrammingError):
                raw.isolation_level = None
    with table.connect() as connection:
        assert connection.connection.driver_connection is raw
        assert connection.get_isolation_level() == "REPEATABLE READ"
    assert behaves(table, "REPEATABLE READ")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("how", ["create_engine", "execution_options", "Engine.execution_options"])
def test_of_an_engine(make_engine: Callable[..., Engine], level: str, how: str) -> None:
    if how == "create_engine":
        engine = make_engine(isolation_level=level)
    elif how == "execution_options":
        engine = make_engine(execution_options={"isolation_level": level})
    else:
        engine = make_engine().execution_options(isolation_level=level)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        connection.execute(text("CREATE TABLE log(a)"))
    for _ in range(2):
        assert behaves(engine, level)
        with engine.connect() as connection:
            assert connection.get_isolation_level() == level
            assert connection.default_isolation_level == (level if how == "create_engine" else "REPEATABLE READ")


def test_an_option_of_a_connection_over_that_of_its_engine(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(isolation_level="SERIALIZABLE")
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        assert connection.get_isolation_level() == "READ COMMITTED"
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "SERIALIZABLE"


def test_a_transaction_opened_by_hand_does_not_outlive_the_way_to_the_pool(table: Engine) -> None:
    """Where SQLAlchemy does not roll back in autocommit mode (skip_autocommit_rollback) the level's reset does."""
    with table.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(INSERT)
        raw = connection.connection.dbapi_connection
        table.dialect.reset_isolation_level(raw)
        assert not raw.in_transaction
        assert connection.get_isolation_level() == "REPEATABLE READ"
    with table.connect() as connection:
        assert connection.scalar(COUNT) == 0


def test_a_session_tries_again(table: Engine) -> None:
    serializable = table.execution_options(isolation_level="SERIALIZABLE")
    for attempt in range(2):
        with Session(serializable) as session:
            count = session.scalar(COUNT)
            session.execute(text("INSERT INTO log VALUES (:count)"), {"count": count})
            if attempt == 0:
                with table.begin() as connection:
                    connection.execute(INSERT)
                with pytest.raises(exc.OperationalError) as error:
                    session.commit()
                assert isinstance(error.value.orig, SerializationFailure)
                assert not error.value.connection_invalidated
                session.rollback()
            else:
                session.commit()
    with table.connect() as connection:
        assert connection.execute(text("SELECT a FROM log")).all() == [(1,)]


def test_asyncio(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path}/test.edb")
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE t(a)"))
            await connection.execute(text("CREATE TABLE log(a)"))
        for level in LEVELS:
            async with engine.connect() as connection, engine.connect() as other:
                await connection.execution_options(isolation_level=level)
                assert await connection.get_isolation_level() == level
                before = await connection.scalar(COUNT)
                await other.execute(INSERT)
                await other.commit()
                sees = await connection.scalar(COUNT) - before
                assert sees == (level not in ("REPEATABLE READ", "SERIALIZABLE"))
                await connection.execute(text("INSERT INTO log VALUES (1)"))
                await other.execute(INSERT)
                await other.commit()
                if level == "SERIALIZABLE":
                    with pytest.raises(exc.OperationalError, match="read in table t"):
                        await connection.commit()
                else:
                    await connection.commit()
        async with engine.connect() as connection:
            assert await connection.get_isolation_level() == "REPEATABLE READ"
        await engine.dispose()

    asyncio.run(main())
