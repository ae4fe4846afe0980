"""Who made a transaction and why: said in SQL, in blocks and by a source, kept in the commit that it is said of."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver, transaction_info

Said = tuple[Any, Any, Any]
Connect = Callable[..., driver.Connection]
NOTHING: Said = (None, None, None)


def said(db: driver.Connection, place: str = "") -> list[Said]:
    """What is said of each commit, from the first on."""
    rows = db.execute(f"SELECT actor, reason, metadata FROM {place}entitydb_transactions ORDER BY id").fetchall()
    if not db.autocommit:
        db.rollback()
    return rows


def say(db: driver.Connection, **info: object) -> None:
    db.execute("SELECT entitydb_transaction_info(?)", [json.dumps(info)])


@pytest.fixture
def table(db: driver.Connection) -> driver.Connection:
    """With a table t, made by commit 1, of which nothing is said."""
    db.execute("CREATE TABLE t(a)")
    db.commit()
    return db


def test_sql_says_it_of_the_transaction_and_of_no_other(table: driver.Connection) -> None:
    sql = """SELECT entitydb_transaction_info('{"actor": "ann", "reason": "typo", "n": [1, null]}') AS said"""
    cursor = table.execute(sql)
    assert cursor.description[0][0] == "said"
    assert json.loads(cursor.fetchall()[0][0])["actor"] == "ann"
    table.execute("INSERT INTO t VALUES (1)")
    table.commit()
    table.execute("INSERT INTO t VALUES (2)")
    table.commit()
    assert said(table) == [NOTHING, ("ann", "typo", '{"n":[1,null]}'), NOTHING]


def test_said_again_it_says_more_and_the_later_counts(table: driver.Connection) -> None:
    table.execute("INSERT INTO t VALUES (1)")
    say(table, actor="ann", a=1, b={"x": 1})
    say(table, reason="because", b={"y": 2}, actor="bob")
    say(table, a=None)
    table.commit()
    assert said(table)[1:] == [("bob", "because", '{"a":null,"b":{"y":2}}')]
    table.execute("INSERT INTO t VALUES (1)")
    say(table, actor="ann", reason="r")
    say(table, actor=None)
    table.commit()
    assert said(table)[2:] == [(None, "r", None)]


def test_several_rows_say_it_one_after_the_other(table: driver.Connection) -> None:
    table.execute("INSERT INTO t VALUES ('ann'), ('bob')")
    query = "SELECT entitydb_transaction_info(json_object('actor', a, a, rowid)) FROM t ORDER BY a"
    assert len(table.execute(query).fetchall()) == 2
    assert table.execute("SELECT entitydb_transaction_info('{}') WHERE 0").fetchall() == []
    table.commit()
    assert said(table)[1:] == [("bob", None, '{"ann":1,"bob":2}')]


def test_a_transaction_that_changes_nothing_keeps_nothing(table: driver.Connection) -> None:
    with transaction_info(actor="ann"):
        table.execute("SELECT * FROM t").fetchall()
        table.commit()
        table.execute("UPDATE t SET a = a")
        say(table, reason="none")
        table.commit()
        table.execute("INSERT INTO t VALUES (1)")
        table.execute("DELETE FROM t")
        table.commit()
    assert said(table) == [NOTHING]
    assert table.last_commit[0] == 1


def test_rollback_and_savepoints_take_it_back(table: driver.Connection) -> None:
    say(table, actor="gone")
    table.execute("INSERT INTO t VALUES (1)")
    table.rollback()
    table.execute("INSERT INTO t VALUES (1)")
    say(table, actor="out", o=1)
    table.execute("SAVEPOINT a")
    say(table, actor="in", i=1)
    table.execute("SAVEPOINT A")
    say(table, actor="deep")
    table.execute("ROLLBACK TO a")
    table.execute("RELEASE a")
    table.commit()
    assert said(table)[1:] == [("in", None, '{"o":1,"i":1}')]
    say(table, actor="out")
    table.execute("SAVEPOINT b")
    say(table, actor="in")
    table.execute("ROLLBACK TO B")
    table.execute("INSERT INTO t VALUES (2)")
    table.commit()
    assert said(table)[2:] == [("out", None, None)]
    table.autocommit = True
    table.execute("SAVEPOINT c")
    table.execute("INSERT INTO t VALUES (3)")
    say(table, actor="by release")
    table.execute("RELEASE c")
    assert not table.in_transaction
    assert said(table)[3:] == [("by release", None, None)]


def test_blocks_count_for_every_kind_of_commit(table: driver.Connection) -> None:
    with transaction_info(actor="ann", reason="out", a=1):
        table.execute("INSERT INTO t VALUES (1)")
        with transaction_info(actor="bob", b=2):
            table.commit()
        table.execute("CREATE TABLE u(a)")
        table.commit()
        table.execute("INSERT INTO u VALUES (1) RETURNING a").fetchall()
        table.execute("COMMIT")
        table.autocommit = True
        table.execute("INSERT INTO t VALUES (2)")
        table.execute("INSERT INTO t VALUES (3) RETURNING a").fetchall()
        table.executemany("INSERT INTO t VALUES (?)", [(4,), (5,)])
        table.execute("ALTER TABLE t ADD COLUMN b")
        table.execute("PRAGMA user_version = 4")
        table.execute("SELECT entitydb_label('x')")
        table.executescript("BEGIN; DELETE FROM t; END; DELETE FROM u")
        table.put_rows("u", ["a"], [(1,)])
    table.execute("INSERT INTO t(a) VALUES (6)")
    out = ("ann", "out", '{"a":1}')
    assert said(table) == [NOTHING, ("bob", "out", '{"a":1,"b":2}'), *[out] * 12, NOTHING]


def test_sql_counts_more_than_blocks_and_blocks_more_than_the_source(table: driver.Connection) -> None:
    table.transaction_info = lambda: {"actor": "source", "reason": "source", "s": 1, "k": "source"}
    with transaction_info(actor="block", reason="block", b=1, k="block"):
        table.execute("INSERT INTO t VALUES (1)")
        say(table, actor="sql", k="sql")
        table.commit()
        table.execute("INSERT INTO t VALUES (1)")
        table.commit()
    table.execute("INSERT INTO t VALUES (1)")
    table.commit()
    table.transaction_info = lambda: None
    table.execute("INSERT INTO t VALUES (1)")
    table.commit()
    assert said(table)[1:] == [
        ("sql", "block", '{"s":1,"k":"sql","b":1}'),
        ("block", "block", '{"s":1,"k":"block","b":1}'),
        ("source", "source", '{"s":1,"k":"source"}'),
        NOTHING,
    ]


def test_a_source_that_says_nonsense_ends_in_an_error_and_nothing_is_committed(table: driver.Connection) -> None:
    for wrong in ({"actor": 5}, {"actor": ""}, {"a": object()}, {7: "a"}, ["actor"], {"a": float("nan")}):
        table.transaction_info = lambda wrong=wrong: wrong  # type: ignore[misc]
        table.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ex.ProgrammingError, match="transaction_info"):
            table.commit()
        table.rollback()
        table.autocommit = True
        with pytest.raises(ex.ProgrammingError, match="transaction_info"):
            table.execute("INSERT INTO t VALUES (1)")
        table.autocommit = False
    table.transaction_info = None
    assert table.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert said(table) == [NOTHING]


@pytest.mark.parametrize(
    ("sql", "error", "match"),
    [
        ("SELECT entitydb_transaction_info('nonsense')", ex.ProgrammingError, "not JSON"),
        ("SELECT entitydb_transaction_info('[1]')", ex.ProgrammingError, "a JSON object, not"),
        ("SELECT entitydb_transaction_info('null')", ex.ProgrammingError, "a JSON object, not"),
        ("""SELECT entitydb_transaction_info('{"a": NaN}')""", ex.ProgrammingError, "NaN is not"),
        ("""SELECT entitydb_transaction_info('{"a": 1e999}')""", ex.ProgrammingError, "not JSON"),
        ("""SELECT entitydb_transaction_info('{"a": "\\ud800"}')""", ex.ProgrammingError, "UTF-8"),
        ("""SELECT entitydb_transaction_info('{"actor": 1}')""", ex.ProgrammingError, "actor is a text"),
        ("""SELECT entitydb_transaction_info('{"actor": ""}')""", ex.ProgrammingError, "one character or more"),
        ("""SELECT entitydb_transaction_info('{"actor": "\\u0000"}')""", ex.ProgrammingError, "no NUL"),
        ("""SELECT entitydb_transaction_info('{"reason": {}}')""", ex.ProgrammingError, "reason is a text"),
        (f"SELECT entitydb_transaction_info('{'[' * 100_000}')", ex.ProgrammingError, "not JSON"),
        ("SELECT entitydb_transaction_info(1)", ex.ProgrammingError, "a JSON object, not 1"),
        ("SELECT entitydb_transaction_info(NULL)", ex.ProgrammingError, "a JSON object, not None"),
        ("SELECT entitydb_transaction_info(x'7b7d')", ex.ProgrammingError, "a JSON object, not"),
        ("SELECT entitydb_transaction_info('{}'), 1", ex.OperationalError, "no other column"),
        ("SELECT upper(entitydb_transaction_info('{}'))", ex.OperationalError, "no other column"),
        ("SELECT entitydb_transaction_info()", ex.OperationalError, "syntax error"),
        ("SELECT entitydb_transaction_info", ex.OperationalError, "no such column"),
        ("UPDATE entitydb_transactions SET actor = 'b'", ex.OperationalError, "may not be modified"),
        ("DELETE FROM entitydb_transactions", ex.OperationalError, "may not be modified"),
        ("INSERT INTO entitydb_transactions(actor) VALUES ('a')", ex.OperationalError, "may not be modified"),
        ("CREATE TABLE entitydb_transactions(a)", ex.OperationalError, "reserved"),
        ("DROP TABLE entitydb_transactions", ex.OperationalError, "may not be"),
    ],
)
def test_wrong_ones_are_refused_and_change_nothing(
    table: driver.Connection, sql: str, error: type[Exception], match: str
) -> None:
    table.execute("INSERT INTO t VALUES (1)")
    say(table, actor="sound")
    with pytest.raises(error, match=match):
        table.execute(sql).fetchall()
    table.commit()
    assert said(table)[1:] == [("sound", None, None)]


def test_of_several_rows_all_are_said_or_none(table: driver.Connection) -> None:
    table.execute("INSERT INTO t VALUES ('{\"actor\": \"ann\"}'), ('nonsense')")
    with pytest.raises(ex.ProgrammingError):
        table.execute("SELECT entitydb_transaction_info(a) FROM t").fetchall()
    table.commit()
    assert said(table)[1:] == [NOTHING]


def test_an_actor_that_no_key_holds_is_refused_at_commit_and_the_transaction_can_be_mended(
    table: driver.Connection,
) -> None:
    """As with a deferred foreign key, the transaction stays open."""
    table.execute("INSERT INTO t VALUES (1)")
    say(table, actor="a" * 73)
    with pytest.raises(ex.DataError, match="at most 72 bytes"):
        table.commit()
    say(table, actor="a" * 72, reason="r" * 5000, data="d" * 50_000)
    table.commit()
    found = said(table)[1:]
    assert found == [("a" * 72, "r" * 5000, json.dumps({"data": "d" * 50_000}, separators=(",", ":")))]
    assert table.execute("SELECT id FROM entitydb_transactions WHERE actor = ?", ["a" * 72]).fetchall() == [(2,)]


def test_of_the_past_nothing_can_be_said(table: driver.Connection) -> None:
    past = table.cursor()
    past.as_of = table.last_commit[1]
    with pytest.raises(ex.PastWriteError):
        past.execute("SELECT entitydb_transaction_info('{}')")


def test_in_autocommit_mode_there_is_no_transaction_to_say_it_of(table: driver.Connection) -> None:
    table.autocommit = True
    with pytest.raises(ex.ProgrammingError, match="BEGIN first"):
        say(table, actor="ann")
    table.execute("BEGIN")
    say(table, actor="ann")
    table.execute("INSERT INTO t VALUES (1)")
    table.execute("COMMIT")
    assert said(table)[1:] == [("ann", None, None)]


def test_a_transaction_that_begins_with_it_follows_the_schema(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("SELECT 1").fetchall()
    one.rollback()
    two.execute("CREATE TABLE t(a)")
    two.commit()
    say(one, actor="ann")
    one.execute("INSERT INTO t VALUES (1)")
    one.commit()
    assert said(one)[1:] == [("ann", None, None)]


def test_transactions_of_which_something_is_said_do_not_conflict(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    say(one, actor="first")
    one.commit()
    for level in ("REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED"):
        for i, db in enumerate((one, two)):
            db.isolation_level = level
            db.execute("BEGIN")
            say(db, actor="ann", i=i)
            db.execute("INSERT INTO t VALUES (?)", (i,))
        two.commit()
        one.commit()
    assert [row[0] for row in said(one)] == ["first", *["ann"] * 6]
    assert [row[2] for row in said(two)[1:]] == ['{"i":1}', '{"i":0}'] * 3


def test_the_first_of_a_file_is_a_change_of_the_schema(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.commit()
    two.execute("INSERT INTO t VALUES (1)")
    one.execute("INSERT INTO t VALUES (2)")
    say(one, actor="ann")
    one.commit()
    with pytest.raises(ex.SerializationFailure):
        two.commit()
    two.execute("INSERT INTO t VALUES (1)")
    say(two, actor="ann")
    two.commit()
    assert said(two)[1:] == [("ann", None, None)] * 2


def test_the_first_can_come_with_a_change_of_the_schema(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE a(x UNIQUE)")
    say(one, reason="first")
    one.commit()
    one.execute("CREATE TABLE b(x UNIQUE)")
    one.execute("DROP TABLE a")
    say(one, actor="second")
    one.commit()
    one.execute("CREATE TABLE c(x)")
    one.commit()
    for db in (one, two):
        assert sorted(db.catalog()) == ["b", "c"]
        assert said(db) == [(None, "first", None), ("second", None, None), NOTHING]


def test_it_shows_nowhere_in_the_schema(table: driver.Connection) -> None:
    say(table, actor="ann")
    table.execute("INSERT INTO t VALUES (1)")
    table.commit()
    assert sorted(table.catalog()) == ["t"]
    assert table.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    assert "transaction" not in "".join(table.iterdump()).lower().replace("begin transaction", "")


def test_a_killed_transaction_says_nothing(path: Path, connect: Connect) -> None:
    connect().execute("SELECT 1").fetchall()
    pid = os.fork()
    if not pid:
        db = driver.connect(path)
        db.execute("CREATE TABLE t(a)")
        say(db, actor="kept")
        db.commit()
        db.execute("INSERT INTO t VALUES (1)")
        say(db, actor="lost")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert said(connect()) == [("kept", None, None)]


def test_threads_have_blocks_of_their_own(table: driver.Connection, connect: Connect) -> None:
    barrier = threading.Barrier(3)
    errors: list[BaseException] = []

    def work(name: str) -> None:
        db = connect()
        try:
            with transaction_info(actor=name):
                barrier.wait()
                for _ in range(5):
                    db.autocommit = True
                    db.execute("INSERT INTO t VALUES (?)", [name])
        except BaseException as error:
            errors.append(error)

    with transaction_info(actor="main"):
        table.execute("INSERT INTO t VALUES ('main')")
        table.commit()
        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    written = table.execute("SELECT a, count(*) FROM t GROUP BY 1 ORDER BY 1").fetchall()
    told = table.execute("SELECT actor, count(*) FROM entitydb_transactions WHERE actor > '' GROUP BY 1 ORDER BY 1")
    assert told.fetchall() == written == [("main", 1), ("one", 5), ("three", 5), ("two", 5)]


def test_an_attached_database_keeps_what_is_said_of_its_commits(two: driver.Connection) -> None:
    before, before_x = len(said(two)), len(said(two, "x."))
    with transaction_info(actor="ann"):
        two.execute("INSERT INTO x.t(a) VALUES (8)")
        say(two, reason="in x")
        two.commit()
        two.execute("INSERT INTO t(a) VALUES (9)")
        two.commit()
    assert said(two, "x.")[before_x:] == [("ann", "in x", None)]
    assert said(two)[before:] == [("ann", None, None)]
    two.execute("CREATE VIEW x.v AS SELECT actor FROM entitydb_transactions WHERE reason = 'in x'")
    two.commit()
    assert two.execute("SELECT * FROM x.v").fetchall() == [("ann",)]


def test_memory_databases_keep_it() -> None:
    db = driver.connect()
    db.execute("CREATE TABLE t(a)")
    say(db, actor="ann")
    db.commit()
    assert said(db) == [("ann", None, None)]
    db.close()
