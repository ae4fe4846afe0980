"""SELECT entitydb_label(...): commits get names, which roll back and crash with their transactions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver


def named(db: driver.Connection) -> dict[str, int | None]:
    return dict(db.execute("SELECT label, number FROM entitydb_labels").fetchall())


def test_a_label_names_the_commit_of_its_transaction(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.execute("INSERT INTO t VALUES (1)")
    cursor = db.execute("SELECT entitydb_label('first') AS given")
    assert (cursor.description[0][0], cursor.fetchall()) == ("given", [("first",)])
    db.execute("SELECT entitydb_label(?)", ["second"])
    assert named(db) == {"first": None, "second": None}, "not a commit yet"
    db.commit()
    number, ns = db.last_commit
    assert number == 2
    rows = db.execute("SELECT label, number, moment FROM entitydb_labels ORDER BY place").fetchall()
    assert rows == [("first", 2, ns), ("second", 2, ns)]
    assert db.execute("SELECT number FROM entitydb_labels WHERE label = 'second'").fetchall() == [(2,)]
    assert db.execute("SELECT number FROM entitydb_labels WHERE label IN ('none', '', 2)").fetchall() == []


def test_the_same_label_again_names_the_newest_and_the_past_keeps_the_older(db: driver.Connection) -> None:
    moments = []
    for _ in range(3):
        db.execute("SELECT entitydb_label('nightly')")
        db.commit()
        moments.append(db.last_commit)
    assert named(db) == {"nightly": 3}
    for number, ns in moments:
        past = db.cursor()
        past.as_of = ns
        assert past.execute("SELECT number, moment FROM entitydb_labels").fetchall() == [(number, ns)]


def test_labels_go_with_rollback_and_savepoints(db: driver.Connection) -> None:
    db.execute("SELECT entitydb_label('gone')")
    db.rollback()
    assert named(db) == {}
    db.rollback()
    db.execute("SAVEPOINT a")
    db.execute("SELECT entitydb_label('out')")
    db.execute("SAVEPOINT b")
    db.execute("SELECT entitydb_label('in')")
    db.execute("SELECT entitydb_label('out')")
    db.execute("ROLLBACK TO b")
    assert list(named(db)) == ["out"]
    db.execute("RELEASE a")
    db.commit()
    assert named(db) == {"out": 1}
    db.execute("CREATE TABLE t(a)")
    db.execute("SELECT entitydb_label('ddl')")
    db.rollback()
    assert (named(db), db.catalog()) == ({"out": 1}, {})


def test_in_autocommit_mode_it_is_a_commit_of_its_own(connect: Callable[..., driver.Connection]) -> None:
    db = connect()
    db.isolation_level = None
    assert db.execute("SELECT entitydb_label('now')").fetchone() == ("now",)
    assert not db.in_transaction
    assert named(db) == {"now": 1}
    db.execute("BEGIN")
    db.execute("SELECT entitydb_label('later')")
    assert db.last_commit[0] == 1
    db.execute("COMMIT")
    assert named(db) == {"now": 1, "later": 2}


def test_a_query_gives_as_many_labels_as_it_has_rows(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES ('x'), ('y')")
    assert db.execute("SELECT entitydb_label('l:' || a) FROM t ORDER BY a").fetchall() == [("l:x",), ("l:y",)]
    assert db.execute("SELECT entitydb_label('no') name WHERE NOT EXISTS (SELECT 1 FROM t)").fetchall() == []
    db.execute("WITH w(a) AS (VALUES ('with')) SELECT entitydb_label(a) FROM w;")
    db.commit()
    assert sorted(named(db)) == ["l:x", "l:y", "with"]


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("SELECT entitydb_label(1)", ex.ProgrammingError, "a label is a text"),
        ("SELECT entitydb_label(NULL)", ex.ProgrammingError, "a label is a text"),
        ("SELECT entitydb_label('')", ex.ProgrammingError, "one character or more"),
        ("SELECT entitydb_label('a' || char(0))", ex.ProgrammingError, "NUL"),
        (f"SELECT entitydb_label('{'x' * 600}')", ex.DataError, "too long"),
        ("SELECT entitydb_label('a'), 1", ex.OperationalError, "no other column"),
        ("SELECT upper(entitydb_label('a'))", ex.OperationalError, "no other column"),
        ("SELECT entitydb_label()", ex.OperationalError, "syntax error"),
        ("SELECT entitydb_label", ex.OperationalError, "no such column"),
        ("SELECT entitydb_label(x) FROM (SELECT 'a' AS x UNION SELECT 7)", ex.ProgrammingError, "a label is a text"),
        ("UPDATE entitydb_labels SET label = 'b'", ex.ProgrammingError, "cannot be changed"),
        ("DELETE FROM entitydb_labels", ex.ProgrammingError, "cannot be changed"),
        ("INSERT INTO entitydb_labels(label, number) VALUES ('a', 1)", ex.ProgrammingError, "names the commit"),
        ("INSERT INTO entitydb_labels(label) VALUES (CAST(x'ff' AS TEXT))", ex.ProgrammingError, "a label is"),
    ],
)
def test_what_is_no_label_is_refused_and_leaves_nothing(
    db: driver.Connection, sql: str, error: type[Exception], says: str
) -> None:
    db.execute("SELECT entitydb_label('sound')")
    with pytest.raises(error, match=says):
        db.execute(sql)
    db.commit()
    assert named(db) == {"sound": 1}


def test_the_past_and_a_file_for_reading_take_no_label(connect: Callable[..., driver.Connection]) -> None:
    db = connect()
    db.execute("SELECT entitydb_label('a')")
    db.commit()
    past = db.cursor()
    past.as_of = db.last_commit[1]
    with pytest.raises(ex.PastWriteError):
        past.execute("SELECT entitydb_label('b')")
    db.close()
    with pytest.raises(ex.OperationalError, match="reading only"):
        connect(read_only=True).execute("SELECT entitydb_label('b')")


def test_labels_of_two_transactions_do_not_conflict(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(), connect()
    one.execute("SELECT entitydb_label('start')")
    one.commit()
    for db in (one, two):
        db.execute("BEGIN")
        db.execute("SELECT entitydb_label('both')")
    two.commit()
    one.commit()
    assert one.last_commit[0] == 3
    assert named(one) == {"start": 1, "both": 3}


def test_the_first_label_is_a_change_of_the_schema(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.commit()
    two.execute("INSERT INTO t VALUES (1)")
    one.execute("SELECT entitydb_label('first')")
    one.commit()
    with pytest.raises(ex.SerializationFailure):
        two.commit()
    two.execute("INSERT INTO t VALUES (1)")
    two.commit()
    assert named(two) == {"first": 2}


def test_labels_show_nowhere_in_the_schema(db: driver.Connection) -> None:
    db.execute("SELECT entitydb_label('a')")
    db.execute("CREATE TABLE labels(a)")
    db.execute("DROP TABLE labels")
    db.commit()
    assert db.catalog() == {}
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert "labels" not in "".join(db.iterdump())
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with pytest.raises(ex.OperationalError, match="no such table"):
        db.execute("DROP TABLE labels")


def test_a_killed_transaction_leaves_no_label(path: Path, connect: Callable[..., driver.Connection]) -> None:
    connect().execute("SELECT 1").fetchall()
    pid = os.fork()
    if not pid:
        db = driver.connect(path)
        db.execute("SELECT entitydb_label('kept')")
        db.commit()
        db.execute("SELECT entitydb_label('kept')")
        db.execute("SELECT entitydb_label('lost')")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert named(connect()) == {"kept": 1}


def test_memory_databases_have_labels() -> None:
    db = driver.connect()
    db.execute("SELECT entitydb_label('a')")
    db.commit()
    assert named(db) == {"a": 1}
    db.close()
