"""Texts that have been executed before: the short way does what the long way does, and is left when something changes.

Each statement is executed often enough in one transaction to be known, then what it depends on changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]

INSERT = "INSERT INTO t(a) VALUES (?)"
UPDATE = "UPDATE t SET a = ? WHERE id = ?"
DELETE = "DELETE FROM t WHERE id = ?"
SELECT = "SELECT id, a FROM t WHERE id = ?"
RETURNING = "INSERT INTO t(a) VALUES (?) RETURNING id, a || ?"
UPSERT = "INSERT INTO t(a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET b = t.b + excluded.b + ?"
BOTH = "INSERT INTO t(a) VALUES (:a) ON CONFLICT (a) DO UPDATE SET b = :b RETURNING b, :b"
SCRIPT = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER DEFAULT 7);
CREATE TABLE child(id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t(id));
INSERT INTO t(id, a) VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO child VALUES (1, 3);
"""


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(isolation_level=None)
    db.executescript(SCRIPT)
    db.execute("BEGIN")
    for _ in range(3):
        assert db.execute(SELECT, (1,)).fetchall() == [(1, "one")]
        db.execute("SAVEPOINT s")
        db.execute(INSERT, ("x",))
        db.execute(UPDATE, ("y", 2))
        db.execute(DELETE, (1,))
        db.execute(RETURNING, ("r", "!"))
        db.execute(UPSERT, ("three", 1, 2))
        db.execute(BOTH, {"a": "three", "b": 4})
        db.execute("ROLLBACK TO s")
    return db


def is_known(db: driver.Connection, sql: str) -> bool:
    return sql in db._session.known


def rows(db: driver.Connection, sql: str, parameters: Any = ()) -> list[Any]:
    return db.execute(sql, parameters).fetchall()


def test_known_statements_answer_as_unknown_ones(db: driver.Connection) -> None:
    cursor = db.cursor()
    assert all(is_known(db, sql) for sql in (INSERT, UPDATE, DELETE, SELECT))
    total = db.total_changes
    cursor.execute(INSERT, ("four",))
    first = cursor.lastrowid
    assert (cursor.rowcount, cursor.description) == (1, None)
    cursor.execute(UPDATE, ("zwei", 2))
    assert (cursor.rowcount, cursor.lastrowid) == (1, first)
    cursor.execute(DELETE, (77,))
    assert (cursor.rowcount, cursor.fetchall()) == (0, [])
    cursor.execute(SELECT, (2,))
    assert [column[0] for column in cursor.description] == ["id", "a"]
    assert (cursor.rowcount, cursor.fetchone(), cursor.fetchone()) == (-1, (2, "zwei"), None)
    assert cursor.execute(SELECT, (77,)).fetchall() == []
    assert db.total_changes == total + 2
    assert rows(db, "SELECT b FROM t WHERE id = ?", (first,)) == [(7,)]


def test_known_clauses_that_virtual_tables_lack(db: driver.Connection) -> None:
    cursor = db.cursor()
    assert all(is_known(db, sql) for sql in (RETURNING, UPSERT, BOTH))
    cursor.execute(RETURNING, ("four", "!"))
    assert ([column[0] for column in cursor.description], cursor.rowcount) == (["id", "a || ?"], 1)
    assert cursor.fetchall() == [(cursor.lastrowid, "four!")]
    cursor.execute(UPSERT, ("four", 1, 2))
    assert (cursor.rowcount, cursor.fetchall()) == (1, [])
    assert rows(db, "SELECT b FROM t WHERE a = 'four'") == [(10,)]
    assert rows(db, BOTH, {"a": "four", "b": 5}) == [(5, 5)]
    assert rows(db, BOTH, {"a": "five", "b": 6}) == [(7, 6)]
    assert db.execute(UPSERT, ["six", 1, 2]).rowcount == 1
    assert rows(db, "SELECT a, b FROM t WHERE id > 3 ORDER BY id") == [("four", 5), ("five", 7), ("six", 1)]


def test_known_clauses_that_fail_undo_the_change(db: driver.Connection) -> None:
    one_by_one = "INSERT INTO t(a, b) VALUES (?, 1) RETURNING abs(?)"
    for number in range(3):
        assert rows(db, one_by_one, (f"row {number}", -number)) == [(number,)]
    assert is_known(db, one_by_one)
    before = rows(db, "SELECT * FROM t")
    with pytest.raises(driver.Error, match="integer overflow"):
        db.execute(one_by_one, ("more", -(2**63)))
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        db.execute(RETURNING, ("one", "!"))
    for sql, parameters in ((RETURNING, ("one",)), (UPSERT, ()), (BOTH, {"a": "x"}), (BOTH, ("x", 1, 2))):
        with pytest.raises(driver.ProgrammingError):
            db.execute(sql, parameters)
    child = "INSERT INTO child VALUES (1, 3) ON CONFLICT DO UPDATE SET t_id = ? RETURNING id"
    for _ in range(3):
        assert rows(db, child, (3,)) == [(1,)]
    assert is_known(db, child)
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY constraint failed"):
        db.execute(child, (99,))
    assert rows(db, "SELECT * FROM t") == before
    assert rows(db, "SELECT * FROM child") == [(1, 3)]
    assert rows(db, RETURNING, ("after", "!"))[0][1] == "after!"


def test_a_known_change_that_fails_is_undone(db: driver.Connection) -> None:
    db.execute(INSERT, ("four",))
    before = rows(db, "SELECT * FROM t")
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        db.execute(INSERT, ("one",))
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY constraint failed"):
        db.execute(DELETE, (3,))
    with pytest.raises(driver.ProgrammingError, match="Incorrect number of bindings"):
        db.execute(UPDATE, ("one",))
    with pytest.raises(driver.ProgrammingError, match="not supported"):
        db.execute(SELECT, (object(),))
    assert rows(db, "SELECT * FROM t") == before
    assert db.execute(DELETE, (2,)).rowcount == 1
    db.execute("COMMIT")
    assert ("four",) in rows(db, "SELECT a FROM t")


def test_a_function_may_execute_known_texts_inside_one(db: driver.Connection) -> None:
    outer = "UPDATE t SET b = f(id) WHERE id < ?"
    found = []

    def f(number: int) -> int:
        found.extend(rows(db, SELECT, (number,)))
        return len(found)

    db.create_function("f", 1, f)
    for _ in range(3):
        found.clear()
        rows(db, SELECT, (1,))
        assert db.execute(outer, (3,)).rowcount == 2
        assert found == [(1, "one"), (2, "two")]
    assert is_known(db, outer)
    assert rows(db, "SELECT b FROM t ORDER BY id") == [(1,), (2,), (7,)]


def test_half_fetched_known_queries_stay_apart(db: driver.Connection) -> None:
    every = "SELECT id FROM t ORDER BY id"
    for _ in range(3):
        one, two = db.execute(every), db.execute(every)
        assert one.fetchone() == (1,)
        db.execute(UPDATE, ("other", 1))
        assert two.fetchall() == [(1,), (2,), (3,)]
        assert one.fetchall() == [(2,), (3,)]
    assert is_known(db, every)


def test_one_cursor_leaves_rows_and_executes_again(db: driver.Connection) -> None:
    every = "SELECT id FROM t WHERE id >= ? ORDER BY id"
    cursor = db.cursor()
    for _ in range(4):
        assert cursor.execute(every, (1,)).fetchone() == (1,)
        assert cursor.execute(every, (1,)).fetchmany(2) == [(1,), (2,)]
        assert cursor.execute(every, (2,)).fetchone() == (2,)
        assert (cursor.fetchmany(1), cursor.fetchone(), cursor.fetchone()) == ([(3,)], None, None)
        assert list(cursor.execute(every, (2,))) == [(2,), (3,)]
        assert next(cursor, None) is None
        db.execute("CREATE TABLE IF NOT EXISTS u(a)")
        cursor.execute(every, (1,))
        db.execute("DROP TABLE u")
        assert (cursor.fetchone(), cursor.fetchall()) == ((1,), [(2,), (3,)])


def test_a_function_in_returning_may_query(db: driver.Connection) -> None:
    known = "UPDATE t SET b = asked(id) WHERE id = ? RETURNING asked(id), a, asked(id)"
    db.create_function("asked", 1, lambda number: rows(db, "SELECT count(*) + ? FROM t WHERE b = 77", (number,))[0][0])
    db.execute("UPDATE t SET b = 77 WHERE id < 3")
    for _ in range(4):
        assert rows(db, known, (1,)) == [(2, "one", 2)]
    assert is_known(db, known)


def test_a_temporary_table_takes_the_name(db: driver.Connection) -> None:
    db.execute("CREATE TEMP TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    assert db.execute(INSERT, ("temporary",)).rowcount == 1
    assert rows(db, SELECT, (1,)) == [(1, "temporary")]
    db.execute("DROP TABLE temp.t")
    assert rows(db, SELECT, (1,)) == [(1, "one")]
    db.execute("CREATE TEMP TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    assert rows(db, SELECT, (1,)) == [(1, "one")]


def test_own_schema_changes_are_followed(db: driver.Connection) -> None:
    star = "SELECT * FROM child"
    for _ in range(3):
        rows(db, star)
    assert is_known(db, star)
    db.execute("ALTER TABLE child ADD COLUMN note TEXT DEFAULT 'none'")
    cursor = db.execute(star)
    assert (len(cursor.description), cursor.fetchall()) == (3, [(1, 3, "none")])
    db.execute("ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 9")
    db.execute(INSERT, ("four",))
    assert rows(db, "SELECT b, c FROM t WHERE a = 'four'") == [(7, 9)]
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    cursor = db.execute(star)
    assert (len(cursor.description), cursor.fetchall()) == (2, [(1, 3)])


def test_schema_changes_of_others_are_followed(db: driver.Connection, connect: Connect) -> None:
    db.execute("COMMIT")
    other = connect(isolation_level=None)
    other.execute("ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 9")
    db.execute("BEGIN")
    db.execute(INSERT, ("four",))
    assert rows(db, "SELECT b, c FROM t WHERE a = 'four'") == [(7, 9)]
    other.execute("ALTER TABLE child ADD COLUMN note TEXT")
    db.execute(UPDATE, ("zwei", 2))
    with pytest.raises(driver.SerializationFailure):
        db.execute("COMMIT")
    db.execute("BEGIN")
    assert rows(db, SELECT, (2,)) == [(2, "two")]


def test_the_past_is_read_and_not_changed(db: driver.Connection) -> None:
    db.execute("COMMIT")
    _, moment = db.last_commit
    db.execute("BEGIN")
    db.execute(UPDATE, ("zwei", 2))
    db.execute("COMMIT")
    db.execute("BEGIN")
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute(SELECT, (2,)).fetchall() == [(2, "two")]
    with pytest.raises(driver.PastWriteError):
        cursor.execute(UPDATE, ("x", 2))
    cursor.as_of = None
    assert cursor.execute(SELECT, (2,)).fetchall() == [(2, "zwei")]


def test_attached_databases_are_found(db: driver.Connection, other: Path) -> None:
    db.execute("COMMIT")
    db.execute("DROP TABLE child")
    db.execute("ATTACH ? AS x", (str(other),))
    db.execute("CREATE TABLE x.child(id INTEGER PRIMARY KEY, t_id INTEGER)")
    text = "INSERT INTO child(t_id) VALUES (?)"
    db.execute("BEGIN")
    for _ in range(3):
        db.execute(text, (1,))
        rows(db, SELECT, (1,))
    with pytest.raises(driver.NotSupportedError, match="one database file"):
        db.execute(INSERT, ("four",))
    db.execute("COMMIT")
    assert rows(db, "SELECT count(*) FROM x.child") == [(3,)]
    db.execute("DETACH x")


def test_closed_things_say_so(db: driver.Connection) -> None:
    cursor = db.execute(SELECT, (1,))
    cursor.close()
    for run in (lambda: cursor.execute(SELECT, (1,)), cursor.fetchall):
        with pytest.raises(driver.ProgrammingError, match="closed"):
            run()
    left = db.execute(SELECT, (1,))
    db.close()
    for run in (lambda: left.execute(SELECT, (1,)), left.fetchall):
        with pytest.raises(driver.ProgrammingError, match="closed"):
            run()


def test_parameters_of_other_kinds_go_the_long_way(db: driver.Connection) -> None:
    class Text(str):
        pass

    for value, stored in (
        (Text("sub"), "sub"), (True, 1), (2.5, 2.5), (None, None), (b"b", b"b"), (bytearray(b"c"), b"c"),
        (memoryview(b"d"), b"d"), ("ünïcode \0 behind", "ünïcode \0 behind"), (-(2**63), -(2**63)),
    ):  # fmt: skip
        assert rows(db, "SELECT ?", (value,)) == rows(db, "SELECT ?", [value]) == [(stored,)]
    assert is_known(db, "SELECT ?")
    for wrong in ((2**63,), (object(),), ("\ud800",), (), (1, 2), {"a": 1}, 5):
        with pytest.raises(driver.Error):
            db.execute("SELECT ?", wrong)
    named = "SELECT :a, :b, :a"
    for number in range(4):
        assert rows(db, named, {"b": number, "a": "x"}) == [("x", number, "x")]
    with pytest.raises(driver.ProgrammingError, match=":b"):
        db.execute(named, {"a": 1})
    assert rows(db, "SELECT ?", (1,)) == [(1,)]


def test_a_known_query_that_fails_between_rows(db: driver.Connection) -> None:
    def three(number: int) -> int:
        if number == 3:
            raise ArithmeticError("three")
        return number

    db.create_function("three", 1, three)
    query = "SELECT three(id) FROM t WHERE id > ? ORDER BY id"
    for _ in range(4):
        assert db.execute(query, (0,)).fetchone() == (1,)
        with pytest.raises(ArithmeticError, match="three"):
            db.execute(query, (0,)).fetchall()
        cursor = db.execute(query, (1,))
        assert cursor.fetchone() == (2,)
        with pytest.raises(ArithmeticError, match="three"):
            cursor.fetchone()
        with pytest.raises(ArithmeticError, match="three"):
            db.execute(query, (2,))
        assert cursor.fetchall() == []
    assert is_known(db, query)
    overflow = "SELECT abs(?)"
    for number in range(3):
        assert rows(db, overflow, (number,)) == [(number,)]
    with pytest.raises(driver.OperationalError, match="integer overflow"):
        db.execute(overflow, (-(2**63),))
    assert rows(db, SELECT, (1,)) == [(1, "one")]


def test_another_thread_is_refused_while_a_known_text_runs(db: driver.Connection) -> None:
    found: list[Any] = []

    def ask() -> int:
        def other() -> None:
            try:
                db.execute(SELECT, (1,))
            except driver.ProgrammingError as error:
                found.append(str(error))

        thread = Thread(target=other)
        thread.start()
        thread.join()
        return 1

    db.create_function("ask", 0, ask)
    for number in range(4):
        assert rows(db, "SELECT ask()") == [(1,)]
        assert len(found) == number + 1
    assert all("another thread is using this connection" in text for text in found)
    assert is_known(db, "SELECT ask()")


def test_only_so_many_texts_are_known(db: driver.Connection) -> None:
    texts = [f"SELECT id, {number} FROM t WHERE id = ?" for number in range(300)]
    cursors = []
    for _ in range(3):
        cursors = [db.execute(text, (1,)) for text in texts]
    assert not is_known(db, texts[0])
    assert is_known(db, texts[-1])
    assert [cursor.fetchall() for cursor in cursors] == [[(1, number)] for number in range(300)]


def test_known_reads_outside_of_transactions_and_as_of_moments(db: driver.Connection) -> None:
    db.execute("COMMIT")
    _, moment = db.last_commit
    db.execute(UPDATE, ("zwei", 2))
    for _ in range(4):
        assert rows(db, SELECT, (2,)) == [(2, "zwei")]
        cursor = db.cursor()
        cursor.as_of = moment
        assert cursor.execute(SELECT, (2,)).fetchall() == [(2, "two")]
        with pytest.raises(driver.PastWriteError):
            cursor.execute(UPDATE, ("x", 2))
        cursor.as_of = 2**70
        with pytest.raises(driver.DataError, match="no moment"):
            cursor.execute(SELECT, (2,))
    assert not db.in_transaction
