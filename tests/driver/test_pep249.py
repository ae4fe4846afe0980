"""The driver keeps PEP 249's promises, and the sqlite3 module's habits where it is silent."""

from __future__ import annotations

import datetime
import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from entitydb_dialect import driver

from .asking import rows

Connect = Callable[..., driver.Connection]


def names(cursor: driver.Cursor) -> list[str] | None:
    return None if cursor.description is None else [column[0] for column in cursor.description]


def test_module_says_what_it_is() -> None:
    assert (driver.apilevel, driver.threadsafety, driver.paramstyle) == ("2.0", 1, "qmark")
    assert issubclass(driver.SerializationFailure, driver.OperationalError)
    assert issubclass(driver.DamageError, driver.DatabaseError)
    assert driver.Connection.OperationalError is driver.OperationalError
    assert set(driver.__all__) <= set(dir(driver))


def test_rows_go_in_and_come_out(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB)")
    cursor = db.execute("INSERT INTO t(a, b, c) VALUES (?, ?, ?)", ("é", 1.5, b"\0x"))
    assert (cursor.rowcount, cursor.lastrowid, cursor.description) == (1, 1, None)
    db.execute("INSERT INTO t(a, b, c) VALUES (:a, :b, :c)", {"a": None, "b": 2, "c": memoryview(b"m")})
    db.commit()
    assert rows(db, "SELECT * FROM t ORDER BY id") == [(1, "é", 1.5, b"\0x"), (2, None, 2.0, b"m")]


def test_description_names_the_columns_of_every_kind_of_result(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    for sql, expected in [
        ("SELECT * FROM t", ["id", "a"]),
        ("SELECT a AS b, 1 + 1 FROM t WHERE 0", ["b", "1 + 1"]),
        ("VALUES (1, 2)", ["column1", "column2"]),
        ("PRAGMA table_info(t)", ["cid", "name", "type", "notnull", "dflt_value", "pk"]),
        ("WITH x(y) AS (SELECT 1) SELECT y FROM x", ["y"]),
        ("INSERT INTO t(a) VALUES ('x')", None),
        ("UPDATE t SET a = 'y'", None),
        ("DELETE FROM t", None),
        ("CREATE TABLE u(a)", None),
        ("SAVEPOINT s", None),
        ("", None),
    ]:
        for _ in range(2):
            cursor = db.cursor()
            cursor.execute(sql if sql != "CREATE TABLE u(a)" else "CREATE TABLE IF NOT EXISTS u(a)")
            assert names(cursor) == expected, sql
            assert all(len(column) == 7 for column in cursor.description or ())


def test_description_follows_the_schema(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a, b)")
    assert names(db.execute("SELECT * FROM t")) == ["a", "b"]
    db.execute("DROP TABLE t")
    db.execute("CREATE TABLE t(a, c, d)")
    assert names(db.execute("SELECT * FROM t")) == ["a", "c", "d"]
    db.rollback()
    db.execute("CREATE TABLE t(z)")
    assert names(db.execute("SELECT * FROM t")) == ["z"]


def test_fetching_in_every_way(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO t(a) VALUES (?)", [(i,) for i in range(10)])
    cursor = db.cursor()
    cursor.execute("SELECT a FROM t ORDER BY a")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
    assert cursor.fetchmany() == [(4,)]
    assert next(cursor) == (5,)
    assert list(cursor) == [(6,), (7,), (8,), (9,)]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []
    assert cursor.fetchmany(2) == []


def test_executemany_counts_and_takes_generators(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, n INTEGER DEFAULT 7)")
    cursor = db.cursor()
    cursor.executemany("INSERT INTO t(a) VALUES (?)", ((i,) for i in range(2500)))
    assert cursor.rowcount == 2500
    cursor.executemany("UPDATE t SET n = n + ? WHERE a = ?", [(1, 5), (1, 5), (1, 9999)])
    assert cursor.rowcount == 2
    assert rows(db, "SELECT n FROM t WHERE a = 5") == [(9,)]
    cursor.executemany("DELETE FROM t WHERE a = :a", [{"a": 1}, {"a": 2}])
    assert rows(db, "SELECT count(*) FROM t") == [(2498,)]
    cursor.executemany("INSERT INTO t(a) VALUES (?)", [])
    assert cursor.rowcount == 0
    with pytest.raises(driver.ProgrammingError):
        cursor.executemany("SELECT ?", [(1,)])


def test_reading_opens_a_transaction_of_one_state(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.commit()
    assert not two.in_transaction
    assert rows(two, "SELECT * FROM t") == []
    assert two.in_transaction
    one.execute("INSERT INTO t VALUES (1)")
    one.commit()
    assert rows(two, "SELECT * FROM t") == []
    two.commit()
    assert rows(two, "SELECT * FROM t") == [(1,)]


def test_rollback_takes_everything_back(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("CREATE TABLE u(a)")
    db.rollback()
    assert rows(db, "SELECT * FROM t") == []
    with pytest.raises(driver.OperationalError, match="no such table: u"):
        db.execute("SELECT * FROM u")


def test_autocommit_commits_each_statement(connect: Connect) -> None:
    one, two = connect(isolation_level=None), connect(isolation_level=None)
    one.execute("CREATE TABLE t(a)")
    one.execute("INSERT INTO t VALUES (1)")
    assert not one.in_transaction
    assert rows(two, "SELECT * FROM t") == [(1,)]
    one.execute("BEGIN")
    one.execute("INSERT INTO t VALUES (2)")
    assert one.in_transaction
    assert rows(two, "SELECT * FROM t") == [(1,)]
    one.execute("COMMIT")
    assert rows(two, "SELECT * FROM t") == [(1,), (2,)]
    one.executemany("INSERT INTO t VALUES (?)", [(3,), (4,)])
    assert rows(two, "SELECT count(*) FROM t") == [(4,)]


def test_savepoints_nest(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("SAVEPOINT one")
    db.execute("INSERT INTO t VALUES (2)")
    db.execute("CREATE TABLE u(a)")
    db.execute("SAVEPOINT two")
    db.execute("DROP TABLE u")
    db.execute("ROLLBACK TO two")
    assert rows(db, "SELECT * FROM u") == []
    db.execute("ROLLBACK TO one")
    with pytest.raises(driver.OperationalError, match="no such table"):
        db.execute("SELECT * FROM u")
    db.execute("CREATE TABLE u(b)")
    db.execute("RELEASE one")
    db.commit()
    assert rows(db, "SELECT * FROM t") == [(1,)]
    assert names(db.execute("SELECT * FROM u")) == ["b"]


def test_context_manager_commits_or_rolls_back(connect: Connect) -> None:
    one, two = connect(), connect(isolation_level=None)
    with one:
        one.execute("CREATE TABLE t(a)")
        one.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(ZeroDivisionError), one:  # noqa: PT012
        one.execute("INSERT INTO t VALUES (2)")
        raise ZeroDivisionError
    assert rows(two, "SELECT * FROM t") == [(1,)]


def test_constraint_errors_have_sqlites_words(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER NOT NULL)")
    db.execute("CREATE TABLE u(a TEXT, b TEXT, PRIMARY KEY (a, b))")
    db.execute("INSERT INTO t VALUES (1, 'x', 1)")
    db.execute("INSERT INTO u VALUES ('x', 'y')")
    for sql, message, code in [
        ("INSERT INTO t VALUES (1, 'y', 1)", "UNIQUE constraint failed: t.id", 1555),
        ("INSERT INTO t VALUES (2, 'x', 1)", "UNIQUE constraint failed: t.a", 2067),
        ("INSERT INTO t(a) VALUES ('z')", "NOT NULL constraint failed: t.b", 1299),
        ("INSERT INTO t VALUES ('text', 'z', 1)", "datatype mismatch", 20),
        ("INSERT INTO u VALUES ('x', 'y')", "UNIQUE constraint failed: u.a, u.b", 1555),
    ]:
        with pytest.raises(driver.IntegrityError) as caught:
            db.execute(sql)
        assert str(caught.value) == message
        assert caught.value.sqlite_errorcode is not None
        assert caught.value.sqlite_errorcode & 0xFF == code & 0xFF
    assert rows(db, "SELECT count(*) FROM t") == [(1,)]


def test_wrong_sql_is_an_operational_error(db: driver.Connection) -> None:
    for sql, message in [
        ("SELECT * FROM nope", "no such table: nope"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT nope", "no such column: nope"),
        ("DROP TABLE nope", "no such table: nope"),
        ("DROP INDEX nope", "no such index: nope"),
        ("CREATE INDEX i ON nope(a)", "no such table: main.nope"),
        ("CREATE TABLE t(a,", "incomplete input"),
        ("ROLLBACK TO nope", "no such savepoint: nope"),
    ]:
        with pytest.raises(driver.OperationalError, match=message):
            db.execute(sql)
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a)")
    for sql, message in [
        ("CREATE TABLE t(b)", "table t already exists"),
        ("CREATE TABLE i(b)", "there is already an index named i"),
        ("CREATE INDEX i ON t(a)", "index i already exists"),
        ("CREATE INDEX t ON t(a)", "there is already a table named t"),
        ("CREATE INDEX j ON t(nope)", "no such column: nope|has no column named nope"),
        ("INSERT INTO t(nope) VALUES (1)", "table t has no column named nope"),
    ]:
        with pytest.raises(driver.OperationalError, match=message):
            db.execute(sql)
    db.execute("CREATE TABLE IF NOT EXISTS t(b)")
    db.execute("CREATE INDEX IF NOT EXISTS i ON t(a)")
    db.execute("DROP TABLE IF EXISTS nope")
    db.execute("DROP INDEX IF EXISTS nope")
    assert names(db.execute("SELECT * FROM t")) == ["a"]


def test_wrong_parameters(db: driver.Connection) -> None:
    for sql, parameters, kind, message in [
        ("SELECT ?", (), driver.ProgrammingError, "uses 1, and there are 0"),
        ("SELECT ?", (1, 2), driver.ProgrammingError, "uses 1, and there are 2"),
        ("SELECT :a", {"b": 1}, driver.ProgrammingError, "binding parameter :a"),
        ("SELECT ?", (object(),), driver.ProgrammingError, "parameter 1: type 'object' is not supported"),
        ("SELECT ?", (datetime.date(2024, 1, 1),), driver.ProgrammingError, "type 'date'"),
        ("SELECT ?", 5, driver.ProgrammingError, "unsupported type"),
        ("SELECT ?", (2**63,), driver.DataError, "too large"),
        ("SELECT ?", ("\ud800",), driver.DataError, "surrogates"),
    ]:
        with pytest.raises(kind, match=message):
            db.execute(sql, parameters)
    assert rows(db, "SELECT ?, ?, ?", (True, bytearray(b"x"), -(2**63))) == [(1, b"x", -(2**63))]
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(driver.ProgrammingError, match="type 'object'"):
        db.executemany("INSERT INTO t VALUES (?)", [(1,), (object(),)])


def test_one_statement_at_a_time(db: driver.Connection) -> None:
    with pytest.raises(driver.ProgrammingError, match="one statement"):
        db.execute("SELECT 1; SELECT 2")
    db.executescript("CREATE TABLE t(a); INSERT INTO t VALUES (';'); -- end")
    assert rows(db, "SELECT * FROM t") == [(";",)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "VACUUM INTO 'copy'",
    ],
)
def test_what_is_not_there_says_so(db: driver.Connection, sql: str) -> None:
    db.execute("CREATE TABLE t(a)")
    db.commit()
    with pytest.raises(driver.NotSupportedError):
        db.execute(sql)
    assert rows(db, "SELECT count(*) FROM t") == [(0,)]


def test_no_create_puts_data_into_the_memory_schema(db: driver.Connection, connect: Connect) -> None:
    db.execute('CREATE TABLE main."a b"(x)')
    db.execute('INSERT INTO "a b" VALUES (1)')
    db.commit()
    assert rows(connect(), 'SELECT * FROM "A B"') == [(1,)]
    kept = db.apsw.execute("SELECT sql FROM main.sqlite_master").fetchall()
    assert all(sql.startswith("CREATE VIRTUAL TABLE") for (sql,) in kept)


def test_temp_tables_are_sqlites_own(db: driver.Connection, connect: Connect) -> None:
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE TEMP TABLE t(b INTEGER PRIMARY KEY, c)")
    cursor = db.execute("INSERT INTO t(c) VALUES ('x')")
    assert (cursor.rowcount, cursor.lastrowid) == (1, 1)
    cursor = db.execute("INSERT INTO t(c) VALUES ('y') RETURNING b, c")
    assert (names(cursor), cursor.fetchall()) == (["b", "c"], [(2, "y")])
    db.execute("CREATE INDEX i ON t(c)")
    db.execute("ALTER TABLE t ADD COLUMN d")
    assert names(db.execute("SELECT * FROM t")) == ["b", "c", "d"]
    db.execute("DROP TABLE t")
    assert names(db.execute("SELECT * FROM t")) == ["a"]


def test_defaults_and_affinity_are_applied(db: driver.Connection) -> None:
    db.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER DEFAULT '5', b TEXT DEFAULT 7, c REAL DEFAULT 1,"
        " d DEFAULT CURRENT_TIMESTAMP, e NUMERIC DEFAULT NULL)"
    )
    db.execute("INSERT INTO t DEFAULT VALUES")
    db.execute("INSERT INTO t(a, b, c, d, e) VALUES ('12', 12, 12, NULL, '1.0')")
    db.execute("INSERT INTO t(b) VALUES (NULL)")
    found = rows(db, "SELECT a, typeof(a), b, typeof(b), c, typeof(c), typeof(d), e, typeof(e) FROM t ORDER BY id")
    assert found == [
        (5, "integer", "7", "text", 1.0, "real", "text", None, "null"),
        (12, "integer", "12", "text", 12.0, "real", "null", 1, "integer"),
        (5, "integer", None, "null", 1.0, "real", "text", None, "null"),
    ]


def test_closed_handles_say_so(connect: Connect) -> None:
    db = connect()
    cursor = db.cursor()
    cursor.execute("SELECT 1")
    cursor.close()
    cursor.close()
    for call in (lambda: cursor.execute("SELECT 1"), cursor.fetchone, cursor.fetchall):
        with pytest.raises(driver.ProgrammingError, match="closed cursor"):
            call()
    left = db.execute("SELECT 1")
    db.close()
    db.close()
    for call in (db.cursor, db.commit, db.rollback, db.interrupt, left.fetchone, lambda: left.execute("SELECT 1")):
        with pytest.raises(driver.ProgrammingError, match="closed database"):
            call()


@pytest.mark.slow
def test_cursors_left_to_the_collector_let_go(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
    db.commit()
    for _ in range(20):
        db.cursor().execute("SELECT * FROM t").fetchone()
    gc.collect()
    db.execute("SELECT 1").fetchall()
    assert not db._session.orphans
    db.execute("DROP TABLE t")


def test_pragmas_tell_the_truth(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.execute(
        "CREATE TABLE t(a TEXT NOT NULL DEFAULT 'x', b INTEGER REFERENCES p(id) ON DELETE CASCADE, PRIMARY KEY (a))"
    )
    db.execute("CREATE UNIQUE INDEX i ON t(b DESC)")
    assert rows(db, "PRAGMA table_info('t')") == [(0, "a", "TEXT", 1, "'x'", 1), (1, "b", "INTEGER", 0, None, 0)]
    assert rows(db, "PRAGMA main.index_list(t)") == [(0, "i", 1, "c", 0), (1, "sqlite_autoindex_t_1", 1, "pk", 0)]
    assert rows(db, "PRAGMA index_info(i)") == [(0, 1, "b")]
    assert rows(db, "PRAGMA foreign_key_list(t)") == [(0, 0, "p", "b", "id", "NO ACTION", "CASCADE", "NONE")]
    assert ("main", "t", "table", 2, 0, 0) in rows(db, "PRAGMA table_list")
    assert rows(db, "PRAGMA table_info(nope)") == []
    db.commit()
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]


def test_usual_pragmas_of_connect_listeners_do_no_harm(db: driver.Connection) -> None:
    for sql in (
        "PRAGMA foreign_keys=ON",
        "PRAGMA synchronous=NORMAL",
        "PRAGMA busy_timeout=5000",
        "PRAGMA cache_size=-1000",
        "PRAGMA temp_store=MEMORY",
        "PRAGMA mmap_size=1000000",
    ):
        db.execute(sql)
    assert rows(db, "PRAGMA journal_mode=WAL") == [("wal",)]
    assert rows(db, "PRAGMA user_version") == [(0,)]


def test_functions_collations_and_aggregates(db: driver.Connection) -> None:
    class Longest:
        def __init__(self) -> None:
            self.found = ""

        def step(self, text: str) -> None:
            self.found = max(self.found, text, key=len)

        def finalize(self) -> str:
            return self.found

    db.create_function("twice", 1, lambda x: x * 2, deterministic=True)
    db.create_aggregate("longest", 1, Longest)
    db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    db.execute("CREATE TABLE t(a TEXT)")
    db.executemany("INSERT INTO t VALUES (?)", [("a",), ("ccc",), ("bb",)])
    assert rows(db, "SELECT twice(a) FROM t ORDER BY a COLLATE backwards") == [("cccccc",), ("bbbb",), ("aa",)]
    assert rows(db, "SELECT longest(a) FROM t") == [("ccc",)]


def test_function_may_use_the_connection_that_runs_it(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])
    db.commit()
    db.create_function("count_below", 1, lambda a: rows(db, "SELECT count(*) FROM t WHERE a < ?", (a,))[0][0])
    assert rows(db, "SELECT a, count_below(a) FROM t ORDER BY a") == [(1, 0), (2, 1), (3, 2)]


def test_interrupt_ends_a_running_statement(db: driver.Connection) -> None:
    started = threading.Event()

    def running() -> int:
        started.set()
        return 1

    db.create_function("running", 0, running)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            db.execute(
                "WITH RECURSIVE c(x) AS (SELECT running() UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c"
            ).fetchall()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    while thread.is_alive():
        db.interrupt()
        thread.join(0.01)
    assert isinstance(caught[0], driver.OperationalError)
    assert rows(db, "SELECT 1") == [(1,)]


def test_opening_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(driver.OperationalError):
        driver.connect(tmp_path / "missing" / "x.edb")
    with pytest.raises(driver.OperationalError):
        driver.connect(tmp_path / "missing.edb", read_only=True)
    (tmp_path / "text.edb").write_text("not a database" * 1000)
    with pytest.raises(driver.DatabaseError, match=r"text\.edb"):
        driver.connect(tmp_path / "text.edb")
    with pytest.raises(driver.ProgrammingError, match="synchronous"):
        driver.connect(None, synchronous="sometimes")


def test_read_only_reads_and_refuses_writes(connect: Connect) -> None:
    with connect() as one:
        one.execute("CREATE TABLE t(a)")
        one.execute("INSERT INTO t VALUES (1)")
    one.close()
    two = connect(read_only=True, page_size=None)
    assert rows(two, "SELECT * FROM t") == [(1,)]
    for sql in ("INSERT INTO t VALUES (2)", "CREATE TABLE u(a)", "DROP TABLE t"):
        with pytest.raises(driver.OperationalError):
            two.execute(sql)
    two.rollback()
    assert rows(two, "SELECT * FROM t") == [(1,)]


def test_memory_databases_are_their_own_or_shared() -> None:
    one = driver.connect()
    one.execute("CREATE TABLE t(a)")
    one.commit()
    two = driver.connect(one.database)
    assert rows(two, "SELECT * FROM t") == []
    other = driver.connect(":memory:")
    with pytest.raises(driver.OperationalError, match="no such table"):
        other.execute("SELECT * FROM t")
    assert one.database.check()[0] == []
    for connection in (one, two, other):
        connection.close()
