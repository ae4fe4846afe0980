"""URLs, options, pools, autocommit, and what happens to a memory database."""

from __future__ import annotations

import datetime as dt
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Column, Date, DateTime, Engine, MetaData, Table, create_engine, event, exc, inspect, pool, text

import entitydb_dialect
from entitydb_dialect import driver

MakeEngine = Callable[..., Engine]


@pytest.mark.parametrize(
    ("url", "name"), [("entitydb://", "entitydb"), ("entitydb+apsw://", "entitydb"), ("sqlite+entitydb://", "sqlite")]
)
def test_urls_lead_to_the_dialect(url: str, name: str) -> None:
    engine = create_engine(url)
    assert engine.dialect.name == name
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    assert engine.dialect.supports_statement_cache
    engine.dispose()


def test_relative_path_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = create_engine("entitydb:///app.edb")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    engine.dispose()
    assert (tmp_path / "app.edb").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("entitydb:///x.edb?colour=red", "colour"),
        ("entitydb:///x.edb?page_size=big", "page_size"),
        ("entitydb:///x.edb?synchronous=maybe", "synchronous"),
        ("entitydb:///x.edb?timeout=soon", "timeout"),
        ("entitydb:///x.edb?mode=memory", "mode"),
        ("entitydb:///file:x?mode=rw", "mode"),
        ("entitydb://host/x.edb", "host"),
    ],
)
def test_wrong_url_is_an_argument_error_that_names_it(url: str, message: str) -> None:
    with pytest.raises(exc.ArgumentError, match=message):
        create_engine(url).connect()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
@pytest.mark.parametrize(
    "query",
    ["check_same_thread=False", "check_same_thread=true", "timeout=30", "isolation_level=IMMEDIATE",
     "cached_statements=0", "isolation_level=SERIALIZABLE", "detect_types=3", "uri=true", "uri=false",
     "spill_bytes=65536",
     "timeout=5&check_same_thread=0&uri=1&cached_statements=256&detect_types=1&isolation_level=DEFERRED"],
)  # fmt: skip
def test_options_of_urls_written_for_sqlite_are_taken(tmp_path: Path, scheme: str, query: str) -> None:
    """The kind: an option that pysqlite's URLs carry, as a URL's and as connect_args."""
    engines = [create_engine(f"{scheme}:///{tmp_path}/a.edb?{query}"), create_engine(f"{scheme}:///:memory:?{query}")]
    kinds = {"check_same_thread": bool, "uri": bool, "timeout": float, "isolation_level": str}
    arguments = {
        key: value.lower() in ("true", "1") if kinds.get(key) is bool else kinds.get(key, int)(value)
        for key, value in (pair.split("=") for pair in query.split("&"))
    }
    engines.append(create_engine(f"{scheme}:///{tmp_path}/b.edb", connect_args=arguments))
    level = "SERIALIZABLE" if "SERIALIZABLE" in query else "REPEATABLE READ"
    for engine in engines:
        with engine.begin() as connection:
            assert connection.get_isolation_level() == level
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()


@pytest.mark.parametrize("query", ["isolation_level=SLOW", "cached_statements=many", "uri=perhaps", "detect_types=all",
                                   "check_same_thread=perhaps", "spill_bytes=x", "timeout=1&timeout=2"])  # fmt: skip
def test_a_wrong_value_of_an_option_is_named(query: str) -> None:
    with pytest.raises(exc.ArgumentError, match=query.partition("=")[0]):
        create_engine(f"entitydb:///x.edb?{query}").connect()


def test_a_url_with_a_uri_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    path = f"file:{tmp_path}/a.edb"
    with pytest.raises(exc.OperationalError):
        create_engine(f"entitydb:///{path}?mode=rw&uri=true").connect()
    for query in ("uri=true", "mode=rwc&uri=true", "mode=rw&uri=true&cache=shared", "psow=0&nolock=0&uri=true"):
        engine = create_engine(f"entitydb:///{path}?{query}")
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t(a)"))
        engine.dispose()
    assert (tmp_path / "a.edb").exists()
    for query in ("mode=ro&uri=true", "immutable=1&uri=true"):
        engine = create_engine(f"entitydb:///{path}?{query}")
        with engine.connect() as connection:
            assert connection.execute(text("SELECT * FROM t")).all() == []
            with pytest.raises(exc.OperationalError):
                connection.execute(text("INSERT INTO t VALUES (1)"))
        engine.dispose()
    for query in ("vfs=unix&uri=true", "nolock=1&uri=true", "mode=no&uri=true", "mode=ro", "cache=shared"):
        with pytest.raises(exc.ArgumentError):
            create_engine(f"entitydb:///{path}?{query}").connect()


@pytest.mark.slow
def test_a_memory_database_of_a_uri_is_shared_by_name() -> None:
    shared = "entitydb:///file:one%20name?mode=memory&cache=shared&uri=true"
    one, two, other = create_engine(shared), create_engine(shared), create_engine("entitydb:///file::memory:?uri=true")
    with one.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    assert inspect(two).get_table_names() == ["t"]
    assert inspect(other).get_table_names() == []
    first = driver.connect("file:one%20name?mode=memory", uri=True)
    assert first.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    for engine in (one, two, other):
        engine.dispose()
    del one, two, other, engine
    gc.collect()
    second = driver.connect("file:one%20name?mode=memory", uri=True)
    assert second.execute("SELECT count(*) FROM t").fetchall() == [(0,)], "a connection of the driver keeps it"
    first.close()
    second.close()


def test_dates_are_dates_whatever_makes_them_in_the_sqlite3_module() -> None:
    engine = create_engine("sqlite+entitydb://", connect_args={"detect_types": 3}, native_datetime=True)
    when = dt.datetime(2024, 5, 1, 12, 30)
    table = Table("t", MetaData(), Column("a", DateTime), Column("b", Date))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert().values(a=when, b=when.date()))
        assert connection.execute(table.select()).one() == (when, when.date())
    engine.dispose()


def test_options_reach_the_engine(tmp_path: Path) -> None:
    engine = create_engine(f"entitydb:///{tmp_path}/a.edb?page_size=1024&synchronous=normal&timeout=0.5")
    assert entitydb_dialect.stats(engine)["page_size"] == 1024
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("check", [False, True])
def test_check_same_thread_is_taken_and_connections_go_between_threads(make_engine: MakeEngine, check: bool) -> None:
    engine = make_engine(connect_args={"check_same_thread": check})
    with engine.begin() as connection:
        thread = threading.Thread(target=connection.execute, args=[text("CREATE TABLE t(a)")])
        thread.start()
        thread.join()
        assert connection.execute(text("SELECT * FROM t")).all() == []


SQLITES = (pool.SingletonThreadPool, pool.StaticPool)
OTHERS = (pool.QueuePool, pool.AsyncAdaptedQueuePool)


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("sqlite+entitydb://", SQLITES),
        ("sqlite+entitydb:///:memory:", SQLITES),
        ("sqlite+entitydb:///file::memory:?uri=true", SQLITES),
        ("sqlite+entitydb:///:memory:?check_same_thread=false", SQLITES),
        ("sqlite+entitydb_aio://", SQLITES),
        ("sqlite+entitydb:///a.edb", OTHERS),
        ("sqlite+entitydb_aio:///a.edb", OTHERS),
        ("sqlite+entitydb:///file:name?mode=memory", OTHERS),
        ("entitydb://", OTHERS),
        ("entitydb:///:memory:", OTHERS),
        ("entitydb+aio://", OTHERS),
        ("entitydb:///a.edb", OTHERS),
    ],
)
def test_pools_of_memory_databases_are_those_of_sqlite_under_its_name(url: str, kinds: tuple[type, ...]) -> None:
    engine = create_engine(url)
    assert isinstance(engine.pool, kinds)
    if kinds is SQLITES:
        other = OTHERS[engine.dialect.is_async]
        assert isinstance(create_engine(url, poolclass=other).pool, other), "who asks gets another"
    engine.dispose()


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+entitydb"])
def test_what_is_said_to_a_memory_database_holds_for_the_next_checkout(scheme: str) -> None:
    engine = create_engine(f"{scheme}://")
    with engine.connect() as connection:
        connection.exec_driver_sql("ATTACH ':memory:' AS x")
    with engine.connect() as one, engine.connect() as two:
        one.exec_driver_sql("CREATE TEMP TABLE t(a)")
        one.exec_driver_sql("CREATE TABLE x.u(a)")
        one.exec_driver_sql("INSERT INTO t VALUES (1)")
        assert two.exec_driver_sql("SELECT a FROM t").all() == [(1,)]
        assert two.exec_driver_sql("SELECT a FROM x.u").all() == []
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_threads_share_a_memory_database_under_sqlites_name() -> None:
    engine = create_engine("sqlite+entitydb://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t(a)")
    seen: list[object] = []

    def write() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            seen.append(connection.connection.dbapi_connection)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 3
        assert connection.connection.dbapi_connection not in seen
    engine.dispose()


FIXTURES = "CREATE TABLE p(a INTEGER PRIMARY KEY); CREATE TABLE c(a INTEGER REFERENCES p(a))"


@pytest.mark.parametrize(
    ("url", "arguments", "enforced"),
    [
        ("entitydb:///{}", {}, True),
        ("entitydb:///{}?foreign_keys=off", {}, False),
        ("entitydb:///{}?foreign_keys=on", {}, True),
        ("entitydb:///{}", {"foreign_keys": False}, False),
        ("entitydb:///{}?foreign_keys=off", {"foreign_keys": True}, True),
        ("entitydb://", {}, True),
        ("entitydb://?foreign_keys=0", {}, False),
        ("entitydb:///file:fk?mode=memory&foreign_keys=no", {}, False),
        ("sqlite+entitydb:///{}", {}, False),
        ("sqlite+entitydb:///{}?foreign_keys=on", {}, True),
        ("sqlite+entitydb:///{}?foreign_keys=off", {}, False),
        ("sqlite+entitydb:///{}", {"foreign_keys": True}, True),
        ("sqlite+entitydb://", {}, False),
        ("sqlite+entitydb://?foreign_keys=true", {}, True),
    ],
)
def test_foreign_keys_are_on_by_our_name_and_off_by_sqlites(
    tmp_path: Path, url: str, arguments: dict[str, bool], enforced: bool
) -> None:
    """The kind: every way to say it, or not to; PRAGMA foreign_keys tells and changes it."""
    engine = create_engine(url.format(tmp_path / "a.edb"), connect_args=arguments)
    with engine.begin() as connection:
        for statement in FIXTURES.split(";"):
            connection.exec_driver_sql(statement)
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == enforced
            if enforced:
                with pytest.raises(exc.IntegrityError, match="FOREIGN KEY constraint failed"):
                    connection.exec_driver_sql("INSERT INTO c VALUES (1)")
            else:
                connection.exec_driver_sql("INSERT INTO c VALUES (1)")
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            with pytest.raises(exc.IntegrityError):
                connection.exec_driver_sql("INSERT INTO c VALUES (1)")
            connection.rollback()
            connection.exec_driver_sql(f"PRAGMA foreign_keys = {int(enforced)}")
    engine.dispose()


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+entitydb"])
def test_fixtures_in_the_wrong_order_are_taken_as_sqlite_takes_them(scheme: str, tmp_path: Path) -> None:
    engine = create_engine(f"{scheme}:///{tmp_path}/a.db")
    with engine.begin() as connection:
        for statement in FIXTURES.split(";"):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO c VALUES (1)")
        connection.exec_driver_sql("INSERT INTO p VALUES (1)")
        connection.exec_driver_sql("DELETE FROM p")
        connection.exec_driver_sql("DROP TABLE p")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT a FROM c").all() == [(1,)]
    engine.dispose()


def test_read_only_url(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    reader = make_engine(f"entitydb:///{tmp_path}/test.edb?read_only=true")
    with reader.connect() as connection:
        assert connection.execute(text("SELECT * FROM t")).all() == []
        with pytest.raises(exc.OperationalError):
            connection.execute(text("INSERT INTO t VALUES (1)"))


@pytest.mark.parametrize("path", ["missing/x.edb", "folder"])
def test_unusable_path_is_an_operational_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(exc.OperationalError):
        create_engine(f"entitydb:///{tmp_path}/{path}").connect()


def test_memory_database_belongs_to_the_engine() -> None:
    engine = create_engine("entitydb://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    seen: list[object] = []

    def read() -> None:
        with engine.connect() as connection:
            seen.append(connection.scalar(text("SELECT a FROM t")))

    thread = threading.Thread(target=read)
    with engine.connect():
        thread.start()
        thread.join()
    assert seen == [1]
    assert inspect(create_engine("entitydb://")).get_table_names() == []
    engine.dispose()
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_named_memory_database_is_shared_by_name() -> None:
    url = "entitydb:///file:shared?mode=memory"
    one, two = create_engine(url), create_engine(url)
    with one.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    assert inspect(two).get_table_names() == ["t"]
    assert inspect(create_engine("entitydb:///file:other?mode=memory")).get_table_names() == []
    one.dispose()
    two.dispose()


def test_autocommit(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        assert entitydb_dialect.commit_moment(connection) > 0
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 1
        connection.execute(text("DELETE FROM t"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 1


def test_nested_transactions_are_savepoints(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        with connection.begin_nested():
            connection.execute(text("INSERT INTO t VALUES (1)"))
        nested = connection.begin_nested()
        connection.execute(text("INSERT INTO t VALUES (2)"))
        nested.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT a FROM t")).scalars().all() == [1]


def test_usual_connect_listener_works(make_engine: MakeEngine) -> None:
    engine = make_engine()

    @event.listens_for(engine, "connect")
    def listen(connection: driver.Connection, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()
        connection.create_function("answer", 0, lambda: 42)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT answer()")) == 42


def test_regexp_and_floor_are_there(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 'abc' REGEXP '^a.c$', floor(1.5), NULL REGEXP 'x'")).one() == (
            1,
            1,
            None,
        )


def test_pre_ping_opens_no_transaction(make_engine: MakeEngine) -> None:
    engine = make_engine(pool_pre_ping=True)
    for _ in range(2):
        with engine.connect() as connection:
            assert not connection.connection.dbapi_connection.in_transaction  # type: ignore[union-attr]
            connection.execute(text("SELECT 1"))


def test_pool_opens_anew_after_fork(make_engine: MakeEngine) -> None:
    engine = make_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            engine.dispose(close=False)
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO t VALUES (1)"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 1


def test_inherited_connection_is_a_disconnect(make_engine: MakeEngine) -> None:
    engine = make_engine(pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with pytest.raises(exc.DBAPIError) as caught, engine.connect() as connection:
                connection.execute(text("SELECT * FROM t"))
            assert caught.value.connection_invalidated
            with engine.connect() as connection:
                assert connection.execute(text("SELECT * FROM t")).all() == []
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_an_overwritten_lock_file_is_a_disconnect(make_engine: MakeEngine, tmp_path: Path) -> None:
    """The pool lets go of the database, which can then be opened again."""
    engine = make_engine(pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    lock = tmp_path / "test.edb-lock"
    with lock.open("r+b") as file:
        file.write(bytes(lock.stat().st_size))
    with pytest.raises(exc.OperationalError, match="lock file was overwritten") as caught, engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
    assert caught.value.connection_invalidated
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (3)"))
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT a FROM t")).all() == [1, 3]


def test_errors_arrive_as_sqlalchemys(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with engine.connect() as connection, pytest.raises(exc.IntegrityError, match="UNIQUE constraint failed"):
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with engine.connect() as connection, pytest.raises(exc.OperationalError, match="no such table"):
        connection.execute(text("SELECT * FROM nope"))
    with engine.connect() as one, engine.connect() as two:
        one.execute(text("UPDATE t SET a = 5"))
        two.execute(text("UPDATE t SET a = 6"))
        one.commit()
        with pytest.raises(exc.OperationalError) as caught:
            two.commit()
        assert isinstance(caught.value.orig, entitydb_dialect.SerializationFailure)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT a FROM t")) == 5


def test_public_names_are_exactly_all() -> None:
    public = {n for n, v in vars(entitydb_dialect).items() if not n.startswith("_") and n != "annotations"}
    modules = {"aio", "apsw", "base", "driver", "provision", "requirements", "store", "tags"}
    assert public - modules == set(entitydb_dialect.__all__)
    assert (Path(entitydb_dialect.__file__).parent / "py.typed").exists()
