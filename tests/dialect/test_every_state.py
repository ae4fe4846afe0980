"""Every method of the dialect in every state of the connection below raises SQLAlchemy's or the driver's exceptions.

The kind is that of tests/driver/test_every_state.py, one layer up: what a Session, a Connection, the Inspector, the
time API and asyncio's adapters raise when the connection is closed, used by another thread, or came through fork().
"""

from __future__ import annotations

import asyncio
import inspect as python_inspect
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, select, table, text
from sqlalchemy.orm import Session

import entitydb_dialect as ed
from entitydb_dialect import driver
from entitydb_dialect.apsw import EntityDialect_apsw
from forked import repr_in_child

OURS = (driver.Error, exc.SQLAlchemyError)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"entitydb:///{tmp_path}/test.edb?page_size=512")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    yield engine
    engine.dispose()


def _dbapi(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _dialect_calls() -> dict[str, Callable[[Connection], Any]]:
    """The dialect's methods that are given a connection and, some of them, a table."""
    found: dict[str, Callable[[Connection], Any]] = {}
    for name in dir(EntityDialect_apsw):
        method = getattr(EntityDialect_apsw, name)
        if name.startswith(("_", "get_multi_")) or not python_inspect.isfunction(method):
            continue
        parameters = list(python_inspect.signature(method).parameters)[1:]
        if parameters[:1] == ["dbapi_connection"] and name not in ("do_close", "do_terminate"):
            more: list[Any] = ["SERIALIZABLE"] if "level" in parameters else []
            found[name] = lambda c, n=name, m=more: getattr(c.dialect, n)(_dbapi(c), *m)
        elif parameters[:1] == ["connection"] and (name.startswith("get_") or name == "has_table"):
            names: list[Any] = ["t"] if parameters[1:2] in (["table_name"], ["view_name"]) else []
            found[name] = lambda c, n=name, m=names: getattr(c.dialect, n)(c, *m)
    return found


CALLS: dict[str, Callable[[Connection], Any]] = {
    **_dialect_calls(),
    "execute": lambda c: c.execute(text("SELECT * FROM t")).all(),
    "as_of": lambda c: c.execute(text("SELECT * FROM t"), execution_options={"as_of": "2020-01-01"}).all(),
    "write as_of": lambda c: c.execute(text("DELETE FROM t"), execution_options={"as_of": ed.resolve(c, "2200-01-01")}),
    "executemany": lambda c: c.execute(text("INSERT INTO t(a) VALUES (:a)"), [{"a": 5}, {"a": 6}]),
    "commit": lambda c: c.commit(),
    "rollback": lambda c: c.rollback(),
    "begin_nested": lambda c: c.begin_nested().commit(),
    "isolation_level": lambda c: c.execution_options(isolation_level="SERIALIZABLE"),
    "inspect": lambda c: inspect(c).get_multi_columns(),
    "session": lambda c: Session(c).execute(text("SELECT 1")),
    "commit_moment": ed.commit_moment,
    "resolve": lambda c: ed.resolve(c, "2020-01-01"),
    "labels": lambda c: ed.labels(c, "2200-01-01"),
    "label_moment": lambda c: ed.label_moment(c, "none"),
    "check": ed.check,
    "stats": ed.stats,
    "at": lambda c: _at(c),
    "close": lambda c: c.close(),
}


def _at(connection: Connection) -> Any:
    with ed.at(connection, "2200-01-01") as past:
        return past.execute(select(table("t"))).all()


def outcome(call: Callable[[], Any]) -> BaseException | None:
    try:
        call()
    except BaseException as error:
        return error
    return None


def closed(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    _dbapi(connection).close()
    return outcome(lambda: call(connection))


def closed_by_another_thread(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    thread = threading.Thread(target=_dbapi(connection).close)
    thread.start()
    thread.join()
    return outcome(lambda: call(connection))


def returned(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    connection.close()
    return outcome(lambda: call(connection))


def invalidated(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    connection.invalidate()
    return outcome(lambda: call(connection))


def busy(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    inside, go_on = threading.Event(), threading.Event()
    raw = _dbapi(connection)
    raw.create_function("hold", 0, lambda: (inside.set(), go_on.wait(60))[1])
    thread = threading.Thread(target=lambda: raw.execute("SELECT hold()").fetchall())
    thread.start()
    assert inside.wait(60)
    found = outcome(lambda: call(connection))
    go_on.set()
    thread.join()
    return found


def open_result(connection: Connection, call: Callable[[Connection], Any]) -> BaseException | None:
    with connection.execute(text("SELECT * FROM t"), execution_options={"stream_results": True}):
        return outcome(lambda: call(connection))


STATES = [closed, closed_by_another_thread, returned, invalidated, busy, open_result]


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_sqlalchemys_and_the_drivers_exceptions_reach_a_caller(engine: Engine, state: Any) -> None:
    assert len(CALLS) > 40, "the dialect's methods have been found"
    strangers = []
    for name, call in CALLS.items():
        with engine.connect() as connection:
            connection.begin()
            raw = _dbapi(connection)
            error = state(connection, call)
            if error is not None and not isinstance(error, (*OURS, NotImplementedError)):
                strangers.append((name, repr(error)))
            if not connection.closed:
                connection.invalidate()
        engine.dispose()
        raw.close()
    assert strangers == []


def test_only_sqlalchemys_and_the_drivers_exceptions_reach_a_caller_after_fork(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT * FROM t"))

        def look() -> list[tuple[str, str]]:
            strangers = []
            for name, call in CALLS.items():
                error = outcome(lambda call=call: call(connection))  # type: ignore[misc]
                if error is not None and not isinstance(error, (*OURS, NotImplementedError)):
                    strangers.append((name, repr(error)))
            return strangers

        assert repr_in_child(look) == "[]"
        assert connection.execute(text("SELECT a FROM t")).all() == [(1,)]


# ---- our own exceptions around a Session ----


def _conflict(engine: Engine) -> Callable[[], Any]:
    one, two = Session(engine), Session(engine)
    for session in (one, two):
        session.execute(text("UPDATE t SET a = a + 1"))
    one.commit()
    return two.commit


def _past_write(engine: Engine) -> Callable[[], Any]:
    moment = ed.commit_moment(engine)
    return lambda: engine.connect().execute(text("DELETE FROM t"), execution_options={"as_of": moment})


def _before(engine: Engine) -> Callable[[], Any]:
    return lambda: engine.connect().execute(text("SELECT * FROM t"), execution_options={"as_of": "1990-01-01"})


@pytest.mark.parametrize(
    ("make", "kind", "sqlalchemys"),
    [(_conflict, ed.SerializationFailure, exc.OperationalError), (_past_write, ed.PastWriteError, exc.ProgrammingError),
     (_before, ed.HorizonError, exc.OperationalError)],
)  # fmt: skip
def test_our_own_exceptions_are_caught_by_either_name(engine: Engine, make: Any, kind: Any, sqlalchemys: Any) -> None:
    seen: list[BaseException] = []

    @event.listens_for(engine, "handle_error")
    def listen(context: Any) -> None:
        seen.append(context.original_exception)

    fail = make(engine)
    with pytest.raises(kind) as caught:
        fail()
    error = caught.value
    assert isinstance(error, sqlalchemys)
    assert isinstance(error, exc.DBAPIError)
    assert type(error.orig) is kind
    assert seen == [error.orig]
    assert (error.engine_name, error.sqlite_errorname) == (error.orig.engine_name, error.orig.sqlite_errorname)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert type(error).__name__ == f"Wrapped{kind.__name__}"
    assert getattr(ed, type(error).__name__) is type(error)


def test_our_own_exceptions_are_wrapped_once(engine: Engine) -> None:
    """One that passes through a second execution on its way out stays as it is."""
    with engine.connect() as connection:

        @event.listens_for(engine, "before_cursor_execute")
        def ask(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
            if statement == "SELECT 1":
                connection.execute(text("SELECT * FROM t"), execution_options={"as_of": "1990-01-01"})

        with pytest.raises(ed.HorizonError) as caught:
            connection.execute(text("SELECT 1"))
        assert type(caught.value.orig) is ed.HorizonError  # type: ignore[attr-defined]


def test_a_lost_race_is_retried_with_the_short_name(engine: Engine) -> None:
    fail = _conflict(engine)
    for attempt in range(2):
        try:
            if attempt == 0:
                fail()
            with Session(engine) as session:
                session.execute(text("UPDATE t SET a = 9"))
                session.commit()
            break
        except ed.SerializationFailure:
            continue
    assert attempt == 1


# ---- asyncio ----


def _aio_calls(kind: type, given: dict[str, tuple[Any, ...]]) -> dict[str, Callable[[Any], Any]]:
    found: dict[str, Callable[[Any], Any]] = {}
    for name in dir(kind):
        if name.startswith("_") or python_inspect.iscoroutinefunction(getattr(kind, name)):
            continue
        if callable(getattr(kind, name)):
            found[name] = lambda it, n=name: getattr(it, n)(*given.get(n, ()))
        else:
            found[name] = lambda it, n=name: getattr(it, n)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("state", ["open", "closed", "closed below", "forked", "outside"])
def test_the_adapters_of_asyncio_raise_the_same(tmp_path: Path, state: str) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.util.concurrency import greenlet_spawn

    from entitydb_dialect.aio import AsyncAdapt_entitydb_connection, AsyncAdapt_entitydb_cursor

    select_one, insert = ("SELECT 1",), ("INSERT INTO t VALUES (?)", [(5,)])
    given: dict[str, tuple[Any, ...]] = {
        "execute": select_one, "executemany": insert, "create_function": ("f", 0, lambda: 1),
        "create_aggregate": ("g", 1, None), "create_collation": ("h", None), "run_async": (_nothing,),
    }  # fmt: skip
    kinds = {"connection": AsyncAdapt_entitydb_connection, "cursor": AsyncAdapt_entitydb_cursor}
    strangers: list[tuple[str, str]] = []

    def all_calls(make: Callable[[], dict[str, Any]]) -> None:
        for kind, adapter in kinds.items():
            for name, call in _aio_calls(adapter, given).items():
                error = outcome(lambda call=call, kind=kind: call(make()[kind]))  # type: ignore[misc]
                if error is not None and not isinstance(error, OURS):
                    strangers.append((f"{kind}.{name}", repr(error)))

    async def main() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path}/test.edb?page_size=512")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE t(a)")
            await connection.exec_driver_sql("INSERT INTO t VALUES (1), (2), (3)")

        def adapted() -> Any:
            return engine.sync_engine.dialect.connect(f"{tmp_path}/test.edb")

        def make() -> dict[str, Any]:
            connection = adapted()
            cursor = connection.cursor(server_side=True)
            cursor.execute("SELECT a FROM t")
            if state == "closed":
                connection.close()
            elif state == "closed below":
                connection.driver_connection.close()
            return {"connection": connection, "cursor": cursor}

        if state in ("open", "closed", "closed below"):
            await greenlet_spawn(all_calls, make)
        else:
            made = await greenlet_spawn(make)
            if state == "outside":
                all_calls(lambda: made)
            else:
                await greenlet_spawn(forked, made)
        await engine.dispose()

    def forked(made: dict[str, Any]) -> None:
        def look() -> list[Any]:
            all_calls(lambda: made)
            return strangers

        assert repr_in_child(look) == "[]"

    asyncio.run(main())
    assert strangers == []


async def _nothing(connection: Any) -> None:
    """For run_async()."""
