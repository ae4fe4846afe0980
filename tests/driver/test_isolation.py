"""Isolation levels in SQL: which anomalies each prevents, which it need not, and what SERIALIZABLE counts as read.

One table of anomalies is asked at every level; where a level allows one, the test shows it, so that the difference
between the levels is tested and not only their names.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from .asking import rows

Connect = Callable[..., driver.Connection]

LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
NEWEST = LEVELS[:2]  # each statement reads the newest commit


def value(connection: driver.Connection, sql: str, parameters: object = ()) -> Any:
    return rows(connection, sql, parameters)[0][0]


def committed(connection: driver.Connection) -> bool:
    """Commits; False when another transaction was in the way."""
    try:
        connection.commit()
    except driver.SerializationFailure:
        assert not connection.in_transaction
        return False
    return True


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def three(connect: Connect, level: str) -> list[driver.Connection]:
    """Three connections at the level; accounts x: 50, y: 50."""
    made = [connect(isolation_level=level) for _ in range(3)]
    made[0].execute("CREATE TABLE account(name TEXT PRIMARY KEY, amount INTEGER)")
    made[0].execute("INSERT INTO account VALUES ('x', 50), ('y', 50)")
    made[0].commit()
    return made


AMOUNT = "SELECT amount FROM account WHERE name = ?"
SET = "UPDATE account SET amount = ? WHERE name = ?"


# ---- anomalies --------------------------------------------------------------------------------------------------


def test_no_level_allows_dirty_writes(three: list[driver.Connection]) -> None:
    a, b, _ = three
    for connection in (a, b):
        for name in ("x", "y"):
            connection.execute(SET, (1 if connection is a else 2, name))
    assert committed(a)
    assert not committed(b)
    assert rows(b, "SELECT DISTINCT amount FROM account") == [(1,)]


def test_no_level_allows_dirty_reads(three: list[driver.Connection]) -> None:
    a, b, _ = three
    a.execute(SET, (99, "x"))
    assert value(b, AMOUNT, ("x",)) == 50
    a.rollback()
    assert value(b, AMOUNT, ("x",)) == 50
    assert committed(b)


def test_no_level_shows_what_was_in_between(three: list[driver.Connection]) -> None:
    a, b, _ = three
    a.execute(SET, (99, "x"))
    assert value(b, AMOUNT, ("x",)) == 50
    a.execute(SET, (60, "x"))
    a.commit()
    assert value(b, AMOUNT, ("x",)) in (50, 60)


def test_fuzzy_reads(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    assert value(b, AMOUNT, ("x",)) == 50
    a.execute(SET, (99, "x"))
    a.commit()
    assert value(b, AMOUNT, ("x",)) == (99 if level in NEWEST else 50)
    assert committed(b), "it has written nothing"


def test_phantoms(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    assert value(b, "SELECT count(*) FROM account WHERE amount > 0") == 2
    a.execute("INSERT INTO account VALUES ('z', 1)")
    a.execute("DELETE FROM account WHERE name = 'x'")
    a.execute("INSERT INTO account VALUES ('w', 1)")
    a.commit()
    assert value(b, "SELECT count(*) FROM account WHERE amount > 0") == (3 if level in NEWEST else 2)
    assert value(b, "SELECT count(*) FROM account") == (3 if level in NEWEST else 2)
    assert committed(b)


def test_read_skew(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    seen = value(b, AMOUNT, ("x",))
    for name, amount in (("x", 10), ("y", 90)):
        a.execute(SET, (amount, name))
    a.commit()
    assert seen + value(b, AMOUNT, ("y",)) == (140 if level in NEWEST else 100)


def test_lost_updates_of_what_a_program_computed(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    amounts = [value(connection, AMOUNT, ("x",)) for connection in (a, b)]
    a.execute(SET, (amounts[0] + 1, "x"))
    a.commit()
    if level in NEWEST:
        b.execute(SET, (amounts[1] + 1, "x"))
        assert committed(b)
        assert value(a, AMOUNT, ("x",)) == 51, "the level allows it: b's statement saw a's amount and did not look"
    else:
        with pytest.raises(driver.SerializationFailure):
            b.execute(SET, (amounts[1] + 1, "x"))
        b.rollback()
        assert value(a, AMOUNT, ("x",)) == 51


def test_an_update_by_an_expression_is_lost_at_no_level(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    value(b, AMOUNT, ("x",))
    a.execute("UPDATE account SET amount = amount + 1 WHERE name = 'x'")
    a.commit()
    update = "UPDATE account SET amount = amount + 1 WHERE name = 'x'"
    if level in NEWEST:
        b.execute(update)
        assert committed(b)
        assert value(a, AMOUNT, ("x",)) == 52
    else:
        with pytest.raises(driver.SerializationFailure):
            b.execute(update)
        b.rollback()
        assert value(a, AMOUNT, ("x",)) == 51


def test_read_wait_update_conflicts_only_with_what_came_after_the_update(
    three: list[driver.Connection], level: str
) -> None:
    a, b, _ = three
    value(b, AMOUNT, ("y",))
    a.execute(SET, (1, "x"))
    a.commit()
    if level not in NEWEST:
        b.rollback()
    b.execute(SET, (2, "x"))
    a.execute(SET, (3, "x"))
    assert committed(a)
    assert not committed(b)
    assert value(a, AMOUNT, ("x",)) == 3


def test_write_skew(three: list[driver.Connection], level: str) -> None:
    """Both see 100 together and take 80 from one account each."""
    a, b, _ = three
    for connection, name in ((a, "x"), (b, "y")):
        assert value(connection, "SELECT sum(amount) FROM account") == 100
        connection.execute("UPDATE account SET amount = amount - 80 WHERE name = ?", (name,))
    outcomes = (committed(a), committed(b))
    assert outcomes == (True, level != "SERIALIZABLE")
    assert value(a, "SELECT sum(amount) FROM account") == (20 if level == "SERIALIZABLE" else -60)


def test_the_anomaly_of_a_read_only_transaction(three: list[driver.Connection], level: str) -> None:
    """Fekete, O'Neil, O'Neil 2004: two writers in a serial order, and a reader that fits into none.

    The writer that charges a fee because both accounts were low must not commit behind the deposit; the reader has
    seen the deposit without the fee.
    """
    deposit, withdraw, report = three
    deposit.execute("UPDATE account SET amount = 0")
    deposit.commit()
    both = {name: value(withdraw, AMOUNT, (name,)) for name in ("x", "y")}
    deposit.execute(SET, (value(deposit, AMOUNT, ("y",)) + 20, "y"))
    assert committed(deposit)
    seen = (value(report, AMOUNT, ("x",)), value(report, AMOUNT, ("y",)))
    assert seen == (0, 20)
    assert committed(report)
    fee = 1 if both["x"] + both["y"] - 10 < 0 else 0
    withdraw.execute(SET, (both["x"] - 10 - fee, "x"))
    assert committed(withdraw) == (level != "SERIALIZABLE")


def test_a_reader_is_never_refused(three: list[driver.Connection], level: str) -> None:
    a, b, _ = three
    value(b, "SELECT sum(amount) FROM account")
    for n in range(5):
        a.execute(SET, (n, "x"))
        a.commit()
    value(b, "SELECT sum(amount) FROM account")
    assert committed(b)


# ---- SERIALIZABLE: what counts as read --------------------------------------------------------------------------

SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, u INTEGER UNIQUE);
CREATE INDEX t_a ON t(a);
CREATE TABLE parent(id INTEGER PRIMARY KEY, code TEXT UNIQUE, note TEXT);
CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent, code TEXT REFERENCES parent(code));
CREATE INDEX child_p ON child(p);
CREATE INDEX child_code ON child(code);
CREATE TABLE other(id INTEGER PRIMARY KEY, v);
CREATE TABLE log(v);
CREATE VIEW big AS SELECT id, a FROM t WHERE a >= 50;
INSERT INTO t VALUES (10, 10, 'ten', 100), (20, 20, 'twenty', 200), (30, 30, 'thirty', 300), (50, 50, 'fifty', 500);
INSERT INTO parent VALUES (1, 'one', ''), (2, 'two', ''), (3, 'three', '');
INSERT INTO child VALUES (1, 1, 'one');
INSERT INTO other VALUES (1, 1)
"""

# What one transaction does; what another commits meanwhile so that it fails; and what it may commit.
READS = [
    ("SELECT * FROM t WHERE id = 20", ["UPDATE t SET b = 'x' WHERE id = 20", "DELETE FROM t WHERE id = 20"],
     ["UPDATE t SET b = 'x' WHERE id = 10", "INSERT INTO t(id) VALUES (21)"]),
    ("SELECT * FROM t WHERE id = 21", ["INSERT INTO t(id) VALUES (21)"], ["INSERT INTO t(id) VALUES (22)"]),
    ("SELECT * FROM t WHERE id BETWEEN 15 AND 25", ["INSERT INTO t(id) VALUES (16)", "DELETE FROM t WHERE id = 20"],
     ["INSERT INTO t(id) VALUES (26)", "UPDATE t SET b = 'x' WHERE id = 30", "INSERT INTO t(id) VALUES (14)"]),
    ("SELECT * FROM t WHERE id > 20 AND id < 30", ["INSERT INTO t(id) VALUES (25)"],
     ["UPDATE t SET b = 'x' WHERE id IN (20, 30)"]),
    ("SELECT * FROM t WHERE id <= 20 ORDER BY id DESC",
     ["INSERT INTO t(id) VALUES (-1)", "DELETE FROM t WHERE id = 20"], ["INSERT INTO t(id) VALUES (22)"]),
    ("SELECT * FROM t WHERE id IN (10, 50, 70)", ["INSERT INTO t(id) VALUES (70)", "UPDATE t SET b = '' WHERE id = 50"],
     ["UPDATE t SET b = '' WHERE id = 20", "INSERT INTO t(id) VALUES (60)"]),
    ("SELECT b FROM t WHERE a = 20", ["INSERT INTO t(id, a) VALUES (99, 20)", "UPDATE t SET a = 20 WHERE id = 10",
     "UPDATE t SET b = 'x' WHERE id = 20"],
     ["INSERT INTO t(id, a) VALUES (99, 21)", "UPDATE t SET b = '' WHERE id = 30"]),
    ("SELECT id FROM t WHERE a > 30 AND a < 45", ["INSERT INTO t(id, a) VALUES (99, 40)"],
     ["INSERT INTO t(id, a) VALUES (99, 45)", "UPDATE t SET a = 29 WHERE id = 30"]),
    ("SELECT id FROM t WHERE a = 20 AND b = 'nothing'", ["UPDATE t SET b = 'nothing' WHERE id = 20"],
     ["UPDATE t SET b = 'nothing' WHERE id = 30"]),
    ("SELECT count(*) FROM t", ["INSERT INTO t(id) VALUES (99)", "DELETE FROM t WHERE id = 10"],
     ["UPDATE other SET v = 2"]),
    ("SELECT count(*) FROM t WHERE a > 100", ["INSERT INTO t(a) VALUES (101)"], ["INSERT INTO t(a) VALUES (99)"]),
    ("SELECT max(id) FROM t", ["INSERT INTO t(id) VALUES (51)"], ["INSERT INTO t(id) VALUES (49)"]),
    ("SELECT min(id) FROM t", ["DELETE FROM t WHERE id = 10", "INSERT INTO t(id) VALUES (1)"], []),
    ("SELECT min(id) FROM t WHERE id > 15", ["DELETE FROM t WHERE id = 20"], ["INSERT INTO t(id) VALUES (14)"]),
    ("SELECT max(a) FROM t", ["INSERT INTO t(id, a) VALUES (99, 51)", "DELETE FROM t WHERE id = 50"],
     ["INSERT INTO t(id, a) VALUES (99, 49)", "DELETE FROM t WHERE id = 30"]),
    ("SELECT id FROM t ORDER BY a LIMIT 2", ["INSERT INTO t(id, a) VALUES (99, 15)"],
     ["INSERT INTO t(id, a) VALUES (99, 35)", "UPDATE t SET a = 45 WHERE id = 50"]),
    ("SELECT id FROM t WHERE b LIKE 't%'", ["INSERT INTO t(id, b) VALUES (99, 'two')"], ["UPDATE other SET v = 2"]),
    ("SELECT * FROM big", ["INSERT INTO t(id, a) VALUES (99, 60)"], ["INSERT INTO t(id, a) VALUES (99, 40)"]),
    ("SELECT other.v FROM other JOIN t ON t.id = other.v", ["INSERT INTO t(id) VALUES (1)"],
     ["INSERT INTO t(id) VALUES (2)"]),
    ("SELECT NOT EXISTS (SELECT 1 FROM t WHERE u = 250)", ["INSERT INTO t(id, u) VALUES (99, 250)"],
     ["INSERT INTO t(id, u) VALUES (99, 251)"]),
    ("SELECT * FROM child LEFT JOIN parent ON parent.id = child.p WHERE child.id = 1",
     ["UPDATE parent SET note = 'x' WHERE id = 1"], ["UPDATE parent SET note = 'x' WHERE id = 2"]),
    ("SELECT DISTINCT a FROM t WHERE a BETWEEN 20 AND 30", ["INSERT INTO t(id, a) VALUES (99, 25)"],
     ["INSERT INTO t(id, a) VALUES (99, 35)"]),
    # Writes read, too.
    ("UPDATE t SET b = 'mine' WHERE a = 25", ["INSERT INTO t(id, a) VALUES (99, 25)"],
     ["INSERT INTO t(id, a) VALUES (99, 26)"]),
    ("DELETE FROM t WHERE id BETWEEN 11 AND 19", ["INSERT INTO t(id) VALUES (15)"], ["INSERT INTO t(id) VALUES (22)"]),
    ("INSERT INTO log SELECT sum(a) FROM t", ["UPDATE t SET a = 11 WHERE id = 10"], ["UPDATE other SET v = 2"]),
    ("INSERT INTO t(id, u) VALUES (98, 300) ON CONFLICT DO NOTHING", ["DELETE FROM t WHERE id = 30"],
     ["DELETE FROM t WHERE id = 20"]),
    ("INSERT OR IGNORE INTO t(id) VALUES (20)", ["DELETE FROM t WHERE id = 20"], ["DELETE FROM t WHERE id = 30"]),
    ("INSERT INTO t(id, u) VALUES (98, 301) ON CONFLICT(u) DO UPDATE SET b = 'x'",
     ["INSERT INTO t(id, u) VALUES (99, 301)"], ["INSERT INTO t(id, u) VALUES (99, 302)"]),
    ("INSERT INTO other VALUES (9, 9) RETURNING (SELECT max(id) FROM t)", ["INSERT INTO t(id) VALUES (51)"],
     ["INSERT INTO t(id) VALUES (49)"]),
    # Keys between tables.
    ("INSERT INTO child(id, p) VALUES (9, 2)", ["DELETE FROM parent WHERE id = 2"],
     ["DELETE FROM parent WHERE id = 3", "UPDATE parent SET note = 'a parent that everybody updates' WHERE id = 2"]),
    ("SAVEPOINT s; INSERT INTO child(id, p) VALUES (9, 2); ROLLBACK TO s", ["DELETE FROM parent WHERE id = 2"],
     ["UPDATE parent SET note = 'updated' WHERE id = 2"]),
    ("INSERT INTO child(id, code) VALUES (9, 'two')", ["UPDATE parent SET code = 'zwei' WHERE id = 2"],
     ["UPDATE parent SET code = 'drei' WHERE id = 3"]),
    ("DELETE FROM parent WHERE id = 2", ["INSERT INTO child(id, p) VALUES (9, 2)"],
     ["INSERT INTO child(id, p) VALUES (9, 3)"]),
    # The schema.
    ("SELECT count(*) FROM other", ["CREATE TABLE made(a)", "CREATE INDEX other_v ON other(v)", "DROP TABLE log"], []),
    ("SELECT count(*) FROM sqlite_master", ["CREATE TABLE made(a)"], ["UPDATE t SET b = ''"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("read", "fails", "passes"), READS, ids=[read[0] for read in READS])
def test_what_a_serializable_transaction_read_must_still_hold(
    connect: Connect, read: str, fails: list[str], passes: list[str]
) -> None:
    other, db = connect(isolation_level=None), connect(isolation_level="SERIALIZABLE")
    other.executescript(SCHEMA)
    for change, conflict in [*((sql, True) for sql in fails), *((sql, False) for sql in passes)]:
        other.execute("BEGIN")
        tables = [name for (name,) in rows(other, "SELECT name FROM sqlite_master WHERE type = 'table'")]
        before = {name: rows(other, f"SELECT * FROM {name}") for name in tables}
        other.execute("COMMIT")
        for sql in read.split("; "):
            rows(db, sql)
        db.execute("INSERT INTO log VALUES ('something written')")
        other.execute(change)
        assert committed(db) != conflict, change
        # As it was.
        other.execute("PRAGMA foreign_keys = OFF")
        for name in {"t", "parent", "child", "other", "log"} & set(tables):
            if name == "log":
                other.execute("CREATE TABLE IF NOT EXISTS log(v)")
            other.execute(f"DELETE FROM {name}")
            for row in before[name]:
                other.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        other.execute("PRAGMA foreign_keys = ON")


def test_the_error_names_the_table_and_the_index(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="serializable")
    a.executescript(SCHEMA)
    for read, change, name in (
        ("SELECT * FROM t WHERE id = 20", "UPDATE t SET b = ''", "table t"),
        ("SELECT count(*) FROM t WHERE a = 20", "UPDATE t SET a = 20", "index t_a of table t"),
        ("SELECT count(*) FROM other", "DELETE FROM other", "table other"),
    ):
        rows(b, read)
        b.execute("INSERT INTO log VALUES (1)")
        a.execute(change)
        a.commit()
        with pytest.raises(driver.SerializationFailure, match=rf"read in {name} \(between commits") as error:
            b.commit()
        assert error.value.sqlite_errorcode == 517
    b.execute("UPDATE log SET v = 1")
    b.execute("INSERT INTO log(rowid, v) VALUES (77, 1)")
    a.execute("INSERT INTO log(rowid, v) VALUES (77, 2)")
    a.commit()
    with pytest.raises(driver.SerializationFailure, match=r"row 77 of table log did not exist"):
        b.commit()


def test_a_half_fetched_cursor_counts_to_its_end(connect: Connect) -> None:
    """Its rows can be fetched behind COMMIT; they belong to what COMMIT answered for."""
    a, b = connect(), connect(isolation_level="SERIALIZABLE")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    a.execute("CREATE TABLE log(v)")
    a.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
    a.commit()
    for conflict in (True, False):
        cursor = b.execute("SELECT id FROM t ORDER BY id")
        assert cursor.fetchone() == (0,)
        b.execute("INSERT INTO log VALUES (1)")
        if conflict:
            a.execute("INSERT INTO t VALUES (1000)")
            a.commit()
        assert committed(b) != conflict
        assert len(cursor.fetchall()) == (99 if conflict else 100)


def test_a_cursor_closed_early_counts_as_far_as_it_was_fetched(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="SERIALIZABLE")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    a.execute("CREATE TABLE log(v)")
    a.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(0, 100, 2)])
    a.commit()
    for key, conflict in ((99, False), (5, False), (3, True), (1, True)):
        cursor = b.execute("SELECT id FROM t ORDER BY id")
        assert cursor.fetchmany(3) == [(0,), (2,), (4,)]
        cursor.close()
        b.execute("INSERT INTO log VALUES (1)")
        a.execute("INSERT INTO t VALUES (?)", (key,))
        a.commit()
        assert committed(b) != conflict, key
        a.execute("DELETE FROM t WHERE id = ?", (key,))
        a.commit()


def test_reads_of_a_savepoint_rolled_back_count(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="SERIALIZABLE")
    a.executescript(SCHEMA)
    b.execute("INSERT INTO log VALUES (1)")
    b.execute("SAVEPOINT s")
    rows(b, "SELECT * FROM t WHERE id = 20")
    b.execute("INSERT INTO log VALUES (2)")
    b.execute("ROLLBACK TO s")
    a.execute("UPDATE t SET b = '' WHERE id = 20")
    a.commit()
    assert not committed(b)


def test_reads_as_of_a_moment_do_not_count(connect: Connect, level: str) -> None:
    a, b = connect(), connect(isolation_level=level)
    a.executescript(SCHEMA)
    moment = a.last_commit[1]
    for n in range(2):
        b.execute("INSERT INTO log VALUES (1)")
        cursor = b.cursor()
        cursor.as_of = moment
        assert cursor.execute("SELECT b FROM t WHERE id = 20").fetchall() == [("twenty",)]
        a.execute("UPDATE t SET b = ? WHERE id = 20", (f"changed {n}",))
        a.commit()
        assert cursor.execute("SELECT b FROM t WHERE id = 20").fetchall() == [("twenty",)]
        assert committed(b)


def test_a_transaction_that_fails_can_be_done_again(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="SERIALIZABLE")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    a.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    a.commit()
    for attempt in range(2):
        total = value(b, "SELECT sum(n) FROM t")
        b.execute("INSERT INTO t(n) VALUES (?)", (total,))
        if attempt == 0:
            a.execute("UPDATE t SET n = 10 WHERE id = 1")
            a.commit()
        assert committed(b) == (attempt == 1)
    assert rows(a, "SELECT n FROM t ORDER BY id") == [(10,), (2,), (12,)]


# ---- READ COMMITTED beside other things -------------------------------------------------------------------------


def test_a_returning_list_sees_what_its_statement_saw(connect: Connect) -> None:
    """A function called by the statement commits elsewhere; the list is still of the statement's state."""
    a, b = connect(), connect(isolation_level="READ COMMITTED")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    a.execute("INSERT INTO t VALUES (1, 1)")
    a.commit()

    def commit_elsewhere() -> int:
        a.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        a.commit()
        return 5

    b.create_function("elsewhere", 0, commit_elsewhere)
    returned = rows(b, "INSERT INTO t VALUES (2, elsewhere()) RETURNING id, n, (SELECT n FROM t WHERE id = 1)")
    assert returned == [(2, 5, 1)]
    assert value(b, "SELECT n FROM t WHERE id = 1") == 2
    assert committed(b)


def test_a_transaction_that_has_only_read_follows_the_schema(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="READ COMMITTED")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    a.commit()
    b.execute("SAVEPOINT s")
    half = b.execute("SELECT 1 UNION SELECT id FROM t")
    assert rows(b, "SELECT * FROM t") == []
    a.execute("ALTER TABLE t ADD COLUMN n DEFAULT 7")
    a.execute("INSERT INTO t(id) VALUES (1)")
    a.commit()
    assert rows(b, "SELECT * FROM t") == [(1, 7)]
    assert half.fetchall() == [(1,)]
    b.execute("INSERT INTO t(id) VALUES (2)")
    b.execute("ROLLBACK TO s")
    b.execute("INSERT INTO t(id) VALUES (3)")
    b.execute("RELEASE s")
    assert committed(b)
    assert rows(a, "SELECT id FROM t") == [(1,), (3,)]


def test_a_transaction_that_has_written_does_not_outlive_a_schema_change(connect: Connect) -> None:
    a, b = connect(), connect(isolation_level="READ COMMITTED")
    a.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    a.commit()
    b.execute("INSERT INTO t VALUES (1)")
    a.execute("CREATE TABLE u(a)")
    a.commit()
    with pytest.raises(driver.SerializationFailure):
        rows(b, "SELECT * FROM t")
    b.rollback()
    assert rows(b, "SELECT * FROM u") == []


def test_unique_keys_and_foreign_keys_hold_at_every_level(connect: Connect, level: str) -> None:
    a, b = connect(isolation_level=level), connect(isolation_level=level)
    a.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    a.execute("CREATE TABLE child(p REFERENCES parent, u UNIQUE)")
    a.execute("INSERT INTO parent VALUES (1), (2)")
    a.commit()
    a.execute("INSERT INTO child VALUES (1, 'key')")
    b.execute("INSERT INTO child VALUES (2, 'key')")
    a.commit()
    with pytest.raises(driver.IntegrityError if level != "SERIALIZABLE" else driver.SerializationFailure):
        b.commit()
    a.execute("INSERT INTO child VALUES (2, NULL)")
    b.execute("DELETE FROM parent WHERE id = 2")
    assert committed(a)
    assert not committed(b)


def test_ddl_at_every_level(connect: Connect, level: str) -> None:
    a, b = connect(isolation_level=level), connect(isolation_level=level)
    a.execute("CREATE TABLE t(a INTEGER, b)")
    a.executemany("INSERT INTO t VALUES (?, ?)", [(i % 5, i) for i in range(30)])
    a.commit()
    assert value(b, "SELECT count(*) FROM t") == 30
    if level not in NEWEST:
        b.rollback()
    b.execute("INSERT INTO t VALUES (9, 9)")
    b.execute("CREATE INDEX t_a ON t(a)")
    b.execute("ALTER TABLE t ADD COLUMN c DEFAULT 3")
    assert rows(b, "SELECT b, c FROM t WHERE a = 9") == [(9, 3)]
    a.execute("UPDATE t SET b = 0 WHERE a = 1")
    a.commit()
    assert not committed(b)
    b.execute("CREATE INDEX t_a ON t(a)")
    assert committed(b)
    assert value(a, "SELECT count(*) FROM t WHERE a = 1") == 6


def test_an_index_is_made_of_the_rows_its_statement_saw(connect: Connect) -> None:
    """READ COMMITTED: rows committed before CREATE INDEX, though after the transaction's first write, are in it."""
    a, b = connect(), connect(isolation_level="READ COMMITTED")
    a.execute("CREATE TABLE t(a INTEGER)")
    a.execute("CREATE TABLE u(a INTEGER)")
    a.commit()
    b.execute("INSERT INTO u VALUES (1)")
    a.execute("INSERT INTO t VALUES (5)")
    a.commit()
    b.execute("CREATE INDEX t_a ON t(a)")
    assert committed(b)
    assert value(a, "SELECT count(*) FROM t WHERE a = 5") == 1


# ---- the setting ------------------------------------------------------------------------------------------------


def test_the_level_is_set_between_transactions(connect: Connect, level: str) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(driver.ProgrammingError, match="between transactions"):
        db.isolation_level = level if level != "REPEATABLE READ" else None
    db.isolation_level = db.isolation_level  # nothing to set
    db.commit()
    db.isolation_level = level.lower().replace(" ", "_")
    assert db.isolation_level == level
    rows(db, "SELECT * FROM t")
    with pytest.raises(driver.ProgrammingError):
        db.isolation_level = None
    assert db.isolation_level == level
    db.rollback()
    db.isolation_level = "AUTOCOMMIT"
    assert db.isolation_level is None
    db.execute("INSERT INTO t VALUES (1)")
    assert not db.in_transaction


def test_words_of_the_sqlite3_module_and_words_that_are_none(connect: Connect) -> None:
    for word in ("", "DEFERRED", "immediate", "EXCLUSIVE"):
        db = connect(isolation_level=word)
        assert db.isolation_level == word.upper()
    with pytest.raises(driver.ProgrammingError, match="READ COMMITTED, REPEATABLE READ, SERIALIZABLE"):
        db.isolation_level = "CHAOS"
    with pytest.raises(driver.ProgrammingError):
        connect(isolation_level="CHAOS")


def test_pragma_read_uncommitted(connect: Connect, level: str) -> None:
    db = connect(isolation_level=level)
    pragma = "PRAGMA read_uncommitted"
    assert rows(db, pragma) == [(int(level == "READ UNCOMMITTED"),)]
    db.execute(f"{pragma} = 1")
    assert db.isolation_level == "READ UNCOMMITTED"
    assert rows(db, pragma) == [(1,)]
    db.execute(f"{pragma} = 0")
    assert db.isolation_level == "REPEATABLE READ"
    assert rows(db, pragma) == [(0,)]
    db.isolation_level = "SERIALIZABLE"
    db.execute(f"{pragma} = OFF")
    assert db.isolation_level == "SERIALIZABLE"
    db.execute("BEGIN")
    with pytest.raises(driver.ProgrammingError):
        db.execute(f"{pragma} = 1")


def test_a_begin_said_by_hand_has_the_level(connect: Connect, level: str) -> None:
    a, b = connect(), connect(isolation_level=level)
    a.execute("CREATE TABLE t(a)")
    a.commit()
    for begin in ("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"):
        b.execute(begin)
        before = value(b, "SELECT count(*) FROM t")
        a.execute("INSERT INTO t VALUES (1)")
        a.commit()
        assert value(b, "SELECT count(*) FROM t") - before == int(level in NEWEST), begin
        b.rollback()


def test_levels_side_by_side(connect: Connect) -> None:
    """One connection's level is nobody else's; a memory of reads is dropped with its transaction."""
    made = {level: connect(isolation_level=level) for level in LEVELS}
    writer = connect()
    writer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    writer.execute("CREATE TABLE log(v)")
    writer.execute("INSERT INTO t VALUES (1, 0)")
    writer.commit()
    for n in range(1, 4):
        for db in made.values():
            assert value(db, "SELECT n FROM t") == n - 1
            db.execute("INSERT INTO log VALUES (1)")
        writer.execute("UPDATE t SET n = ?", (n,))
        writer.commit()
        assert [value(db, "SELECT n FROM t") for db in made.values()] == [n, n, n - 1, n - 1]
        assert [committed(db) for db in made.values()] == [True, True, True, False]


# ---- threads and processes --------------------------------------------------------------------------------------


def take_leave(path: str, name: str, level: str, rounds: int, barrier: Any, results: Any) -> None:
    """Each round: sees who is on call, waits for the other to have seen it, and leaves if somebody stays."""
    db = driver.connect(path, isolation_level=level, page_size=512)
    outcomes = []
    try:
        for _ in range(rounds):
            barrier.wait(60)
            on_call = value(db, "SELECT count(*) FROM doctor WHERE on_call = 1")
            barrier.wait(60)
            if on_call > 1:
                db.execute("UPDATE doctor SET on_call = 0 WHERE name = ?", (name,))
            outcomes.append(committed(db))
            barrier.wait(60)
            db.execute("UPDATE doctor SET on_call = 1 WHERE name = ? AND on_call = 0", (name,))
            # Everybody is back before the next round; two who come back at once do not meet.
            while not committed(db):
                db.execute("UPDATE doctor SET on_call = 1 WHERE name = ? AND on_call = 0", (name,))
    except BaseException as error:
        barrier.abort()
        results.put(repr(error))
        raise
    finally:
        db.close()
    results.put(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["threads", "processes"])
@pytest.mark.parametrize("of", ["REPEATABLE READ", "SERIALIZABLE"])
def test_doctors_on_call(connect: Connect, path: Any, how: str, of: str) -> None:
    """The write skew of the books: two doctors, each of whom may leave if the other stays."""
    db = connect()
    db.execute("CREATE TABLE doctor(name TEXT PRIMARY KEY, on_call INTEGER)")
    db.execute("INSERT INTO doctor VALUES ('a', 1), ('b', 1)")
    db.commit()
    rounds = 15 if how == "threads" else 5
    context = multiprocessing.get_context("spawn")
    barrier: Any = threading.Barrier(2) if how == "threads" else context.Barrier(2)
    results: Any = queue.Queue() if how == "threads" else context.Queue()
    start: Any = threading.Thread if how == "threads" else context.Process
    running = [start(target=take_leave, args=(str(path), name, of, rounds, barrier, results)) for name in "ab"]
    for one in running:
        one.start()
    outcomes = [results.get(timeout=100) for _ in running]
    for one in running:
        one.join()
    assert all(isinstance(outcome, list) for outcome in outcomes), outcomes
    left = [sum(pair) for pair in zip(*outcomes, strict=True)]
    assert left == [2 if of == "REPEATABLE READ" else 1] * rounds
