"""Every public method in every state raises the driver's exceptions, or none.

The kind: an exception of apsw, cffi or Python that reaches a caller because a handle is closed, is used by somebody
else, or came through fork(). The methods are found by reflection, so a new one needs a call in the tables.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from entitydb_dialect import driver
from forked import repr_in_child


class Sum:
    def __init__(self) -> None:
        self.n = 0

    def step(self, *values: int) -> None:
        self.n += 1

    def inverse(self, *values: int) -> None:
        self.n -= 1

    def value(self) -> int:
        return self.n

    finalize = value


Calls = dict[str, list[Callable[[Any], Any]]]


def _sql(*statements: str) -> list[Callable[[Any], Any]]:
    return [lambda it, sql=sql: it.execute(sql).fetchall() for sql in statements]


CONNECTION: Calls = {
    "__enter__": [lambda c: c.__enter__()],
    "__exit__": [lambda c: c.__exit__(None, None, None), lambda c: c.__exit__(KeyError, KeyError(), None)],
    "apsw": [lambda c: c.apsw],
    "autocommit": [lambda c: c.autocommit, lambda c: setattr(c, "autocommit", True)],
    "backup": [lambda c: c.backup(sqlite3.connect(":memory:", check_same_thread=False))],
    "catalog": [lambda c: c.catalog(), lambda c: c.catalog(2**62)],
    "readable": [lambda c: c.readable(2**62), lambda c: c.readable(0), lambda c: c.readable(2**62, then=True)],
    "undrop": [lambda c: c.undrop("never"), lambda c: c.undrop("t", 0), lambda c: c.undrop("t.x")],
    "close": [lambda c: c.close()],
    "commit": [lambda c: c.commit()],
    "create_aggregate": [lambda c: c.create_aggregate("agg", 1, Sum), lambda c: c.create_aggregate("f", 1, None)],
    "create_collation": [lambda c: c.create_collation("coll", lambda a, b: 0)],
    "create_function": [lambda c: c.create_function("fun", 0, lambda: 1), lambda c: c.create_function("f", -1, None)],
    "create_window_function": [lambda c: c.create_window_function("win", 1, Sum)],
    "cursor": [lambda c: c.cursor(), lambda c: c.cursor(driver.Cursor)],
    "database": [lambda c: c.database],
    "delete_rows": [lambda c: c.delete_rows("t", array("q", [1]))],
    "enable_load_extension": [lambda c: c.enable_load_extension(False)],
    "execute": _sql(
        "SELECT count(*) FROM t", "SELECT a FROM t", "INSERT INTO t VALUES (1)", "DELETE FROM t WHERE a = 3",
        "INSERT INTO t VALUES (1) RETURNING a", "CREATE TABLE u(a)", "DROP TABLE t", "ALTER TABLE t ADD COLUMN b",
        "CREATE TEMP TABLE u(a)", "CREATE VIEW v AS SELECT 1", "ATTACH ':memory:' AS z", "DETACH z", "BEGIN", "COMMIT",
        "ROLLBACK", "SAVEPOINT x", "RELEASE x", "ROLLBACK TO x", "PRAGMA table_info(t)", "PRAGMA foreign_keys = OFF",
        "PRAGMA user_version = 5", "SELECT entitydb_label('x')", "EXPLAIN QUERY PLAN SELECT a FROM t",
        """SELECT entitydb_transaction_info('{"actor": "x"}')""", "SELECT * FROM entitydb_transactions",
        "SELECT * FROM sqlite_master", "VACUUM", "SELECT nothing", "nonsense",
    ),
    "executemany": [lambda c: c.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])],
    "executescript": [lambda c: c.executescript("INSERT INTO t VALUES (1); SELECT 1; CREATE TABLE w(a)")],
    "named_moment": [lambda c: c.named_moment("label", "x")],
    "find_label": [lambda c: c.find_label("x", 2**62)],
    "get_rows": [lambda c: c.get_rows("t", array("q", [1])), lambda c: c.get_rows("t", array("q", [1]), None, 2**62)],
    "getlimit": [lambda c: c.getlimit(0)],
    "has_schema": [lambda c: c.has_schema("main")],
    "in_transaction": [lambda c: c.in_transaction],
    "interrupt": [lambda c: c.interrupt()],
    "isolation_level": [lambda c: c.isolation_level, lambda c: setattr(c, "isolation_level", "SERIALIZABLE")],
    "iterdump": [lambda c: list(c.iterdump())],
    "labels_of": [lambda c: c.labels_of(1, 1)],
    "last_commit": [lambda c: c.last_commit],
    "load_extension": [lambda c: c.load_extension("nothing")],
    "ping": [lambda c: c.ping()],
    "put_rows": [lambda c: c.put_rows("t", ["a"], [(1,)], ["x"])],
    "rollback": [lambda c: c.rollback()],
    "row_factory": [lambda c: c.row_factory, lambda c: setattr(c, "row_factory", driver.Row)],
    "row_ids": [lambda c: c.row_ids("t", None, 5)],
    "row_times": [lambda c: c.row_times("t", 1)],
    "schema": [lambda c: c.schema()],
    "set_commit_time": [lambda c: c.set_commit_time(0), lambda c: c.set_commit_time(2**70)],
    "set_progress_handler": [lambda c: c.set_progress_handler(None, 1), lambda c: c.set_progress_handler(int, 9**6)],
    "setlimit": [lambda c: c.setlimit(0, 10**6)],
    "setting": [lambda c: c.setting("user_version")],
    "tagged_ids": [lambda c: c.tagged_ids("t", "x")],
    "tagged_ids_many": [lambda c: c.tagged_ids_many("t", ["x"])],
    "temporary_tables": [lambda c: c.temporary_tables()],
    "text_factory": [lambda c: c.text_factory, lambda c: setattr(c, "text_factory", bytes)],
    "total_changes": [lambda c: c.total_changes],
    "transaction_info": [lambda c: c.transaction_info, lambda c: setattr(c, "transaction_info", dict)],
    "views": [lambda c: c.views()],
}  # fmt: skip


def _past(cursor: driver.Cursor, ns: int) -> None:
    cursor.as_of = ns
    cursor.execute("SELECT a FROM t").fetchall()


CURSOR: Calls = {
    "__enter__": [lambda k: k.__enter__()],
    "__exit__": [lambda k: k.__exit__(None, None, None)],
    "__iter__": [list],
    "__next__": [lambda k: next(k, None)],
    "close": [lambda k: k.close()],
    "execute": CONNECTION["execute"],
    "executemany": CONNECTION["executemany"],
    "executescript": CONNECTION["executescript"],
    "description": [lambda k: k.description],
    "fetchall": [lambda k: k.fetchall()],
    "fetchmany": [lambda k: k.fetchmany(), lambda k: k.fetchmany(5)],
    "fetchone": [lambda k: k.fetchone()],
    "lastrowid": [lambda k: k.lastrowid],
    "rowcount": [lambda k: k.rowcount],
    "schema_then": [lambda k: k.schema_then, lambda k: setattr(k, "schema_then", True)],
    "row_factory": [lambda k: k.row_factory, lambda k: setattr(k, "row_factory", driver.Row)],
    "setinputsizes": [lambda k: k.setinputsizes([1])],
    "setoutputsize": [lambda k: k.setoutputsize(1)],
    "as_of": [lambda k: _past(k, 0), lambda k: _past(k, 2**62), lambda k: _past(k, 2**70)],
}

DATABASE: Calls = {
    "check": [lambda d: d.check()],
    "prune": [lambda d: d.prune(1), lambda d: d.prune(1, dry_run=True)],
    "close": [lambda d: d.close()],
    "compact": [lambda d: d.compact()],
    "pack": [lambda d: d.pack()],
    "commit_time": [lambda d: d.commit_time(1), lambda d: d.commit_time(2**40)],
    "handle": [lambda d: d.handle],
    "newest_commit": [lambda d: d.newest_commit()],
    "newest_seal": [lambda d: d.newest_seal()],
    "resolve": [lambda d: d.resolve(2**62), lambda d: d.resolve(0), lambda d: d.resolve(2**70)],
    "stats": [lambda d: d.stats()],
    "verify": [lambda d: d.verify(), lambda d: d.verify(since=2**62), lambda d: d.verify(expected=(2**40, bytes(32)))],
}


def methods(kind: type) -> set[str]:
    """Public methods and properties of a class, and the special ones that users call."""
    special = {"__enter__", "__exit__", "__iter__", "__next__"}
    return {
        name
        for name in dir(kind)
        if (not name.startswith("_") or name in special) and not isinstance(getattr(kind, name), type)
    }


def test_the_tables_have_every_method() -> None:
    assert set(CONNECTION) == methods(driver.Connection)
    assert set(CURSOR) == methods(driver.Cursor)
    assert set(DATABASE) == methods(driver.Database)


class Use:
    """A connection with rows, a cursor half-way through them, and what is asked of one of the three."""

    def __init__(self, kind: str) -> None:
        self.connection = driver.connect(page_size=512)
        self.connection.execute("CREATE TABLE t(a)")
        self.connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(200)])
        self.connection.commit()
        self.cursor = self.connection.cursor()
        self.database = self.connection.database
        self.subject: Any = getattr(self, kind)

    def half_fetched(self) -> None:
        assert self.cursor.execute("SELECT a FROM t").fetchone() == (0,)


def closed(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    use.connection.close()
    yield outcome(lambda: call(use.subject))


def closed_by_another_thread(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    in_a_thread(use.connection.close)
    yield outcome(lambda: call(use.subject))


def closed_cursor(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    use.cursor.close()
    yield outcome(lambda: call(use.subject))


def closed_database(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    use.database.close()
    yield outcome(lambda: call(use.subject))


def in_another_thread(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    yield in_a_thread(lambda: call(use.subject))
    yield outcome(lambda: still_works(use))


def during_an_open_cursor(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    use.half_fetched()
    other = use.connection.cursor().execute("SELECT a FROM t")
    other.fetchone()
    yield outcome(lambda: call(use.subject))
    yield outcome(other.fetchall)
    yield outcome(use.cursor.fetchall)
    yield outcome(lambda: still_works(use))


def used_by_two_threads_at_once(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> int:
        inside.set()
        assert go_on.wait(60)
        return 1

    use.connection.create_function("hold", 0, hold)
    found: list[BaseException | None] = []
    thread = threading.Thread(
        target=lambda: found.append(outcome(lambda: use.cursor.execute("SELECT hold(), a FROM t LIMIT 3").fetchall()))
    )
    thread.start()
    assert inside.wait(60)
    yield outcome(lambda: call(use.subject))
    go_on.set()
    thread.join()
    yield found[0]
    yield outcome(lambda: still_works(use))


def in_a_function_of(sql: str, with_this_cursor: bool) -> Callable[..., Iterator[BaseException | None]]:
    def state(use: Use, call: Callable[[Any], Any]) -> Iterator[BaseException | None]:
        found: list[BaseException | None] = []

        def ask(*values: Any) -> int:
            if not found:
                found.append(outcome(lambda: call(use.subject)))
            return 1

        use.connection.create_function("f", -1, ask)
        cursor = use.cursor if with_this_cursor else use.connection.cursor()
        yield outcome(lambda: cursor.execute(sql).fetchall())
        yield found[0]
        yield outcome(lambda: still_works(use))

    return state


STATES: dict[str, Callable[..., Iterator[BaseException | None]]] = {
    "closed": closed,
    "closed by another thread": closed_by_another_thread,
    "closed cursor": closed_cursor,
    "closed database": closed_database,
    "in another thread": in_another_thread,
    "during an open cursor": during_an_open_cursor,
    "used by two threads at once": used_by_two_threads_at_once,
    "in a function of a query": in_a_function_of("SELECT f(a) FROM t LIMIT 5", False),
    "in a function of this cursor's query": in_a_function_of("SELECT f(a) FROM t LIMIT 5", True),
    "in a function of a change": in_a_function_of("UPDATE t SET a = f(a) WHERE a < 5", False),
    "in a function of this cursor's change": in_a_function_of("UPDATE t SET a = f(a) WHERE a < 5", True),
    "in a function of RETURNING": in_a_function_of("DELETE FROM t WHERE a < 5 RETURNING f(a)", True),
}


def outcome(call: Callable[[], Any]) -> BaseException | None:
    try:
        call()
    except BaseException as error:
        return error
    return None


def in_a_thread(call: Callable[[], Any]) -> BaseException | None:
    found: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: found.append(outcome(call)))
    thread.start()
    thread.join()
    return found[0]


def still_works(use: Use) -> None:
    """The connection is whole afterwards, unless the call closed it."""
    use.connection.rollback()
    (count,) = use.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    assert count >= 0


def calls(kind: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    table = {"connection": CONNECTION, "cursor": CURSOR, "database": DATABASE}[kind]
    for name, ways in table.items():
        for i, way in enumerate(ways):
            yield f"{name} {i}", way


@contextmanager
def used(kind: str) -> Iterator[Use]:
    use = Use(kind)
    yield use
    use.connection.close()
    use.database.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["connection", "cursor", "database"])
@pytest.mark.parametrize("state", list(STATES))
def test_only_the_drivers_exceptions_reach_a_caller(state: str, kind: str) -> None:
    strangers = []
    for name, call in calls(kind):
        with used(kind) as use:
            for error in STATES[state](use, call):
                if error is not None and not isinstance(error, driver.Error):
                    strangers.append((name, repr(error)))
    assert strangers == []


@pytest.mark.parametrize("kind", ["connection", "cursor", "database"])
@pytest.mark.parametrize("busy", [False, True])
def test_only_the_drivers_exceptions_reach_a_caller_after_fork(kind: str, busy: bool) -> None:
    """busy: another thread of the parent was using the connection when it forked."""
    with used(kind) as use:
        inside, go_on = threading.Event(), threading.Event()
        use.connection.create_function("hold", 0, lambda: (inside.set(), go_on.wait(60))[1])
        use.half_fetched()
        thread = threading.Thread(target=lambda: use.connection.execute("SELECT hold()").fetchall())
        if busy:
            thread.start()
            assert inside.wait(60)

        def look() -> list[tuple[str, str]]:
            return [
                (name, repr(error))
                for name, call in calls(kind)
                if (error := outcome(lambda call=call: call(use.subject))) is not None  # type: ignore[misc]
                and not isinstance(error, driver.Error)
            ]

        assert repr_in_child(look) == "[]"
        go_on.set()
        if busy:
            thread.join()
        still_works(use)


def test_the_messages_say_what_happened() -> None:
    with used("connection") as use:
        found = list(used_by_two_threads_at_once(use, lambda c: c.execute("SELECT 1")))
        assert isinstance(found[0], driver.ProgrammingError)
        assert "another thread is using this connection" in str(found[0])
        assert found[1:] == [None, None], "the first thread notices nothing"
    with used("cursor") as use:
        found = list(STATES["in a function of this cursor's query"](use, lambda k: k.fetchone()))
        assert "Recursive use of cursors not allowed" in str(found[1])
        assert found[0] is found[2] is None
    with used("connection") as use:
        found = list(STATES["in a function of a query"](use, lambda c: c.close()))
        assert "cannot close the connection that executes it" in str(found[1])
        assert found[0] is found[2] is None


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.execute(None),
        lambda c: c.execute(b"SELECT 1"),
        lambda c: c.executemany(5, []),
        lambda c: c.executescript(None),
        lambda c: c.execute("SELECT '\ud800'"),
        lambda c: c.execute("SELECT 1\0"),
        lambda c: c.create_function("\ud800", 1, len),
        lambda c: c.create_function("f", 5000, len),
        lambda c: c.create_collation("\ud800", lambda a, b: 0),
        lambda c: c.load_extension("\ud800"),
        lambda c: c.set_progress_handler(int, 2**70),
        lambda c: c.setlimit(0, 2**70),
        lambda c: c.backup(5),
        lambda c: c.catalog(2**80),
        lambda c: c.find_label("\ud800", 2**62),
    ],
)
def test_what_cannot_be_taken_is_an_error_of_the_driver(call: Callable[[Any], Any]) -> None:
    with used("connection") as use:
        with pytest.raises(driver.Error):
            call(use.connection)
        still_works(use)


def test_a_negative_size_fetches_what_is_left() -> None:
    with used("cursor") as use:
        use.half_fetched()
        assert len(use.cursor.fetchmany(-1)) == 199
        assert use.cursor.fetchmany(-1) == []


@pytest.mark.slow
def test_interrupting_while_another_thread_closes() -> None:
    for _ in range(50):
        use = Use("connection")
        start = threading.Barrier(2)
        found: list[BaseException | None] = []

        def interrupt(use: Use = use, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found.append(outcome(use.connection.interrupt))

        thread = threading.Thread(target=interrupt)
        thread.start()
        start.wait()
        use.connection.close()
        thread.join()
        assert found[0] is None or isinstance(found[0], driver.ProgrammingError)
