"""What users of the sqlite3 module do with a connection, done with both: the same comes out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
Either = Any  # a connection of ours or of sqlite3


@pytest.fixture(params=["entitydb", "sqlite3"])
def db(request: pytest.FixtureRequest, connect: Connect) -> Either:
    connection: Either = connect() if request.param == "entitydb" else sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n REAL)")
    connection.execute("INSERT INTO t VALUES (1, 'Ä', 1.5), (2, 'b', 2), (3, NULL, 4)")
    connection.commit()
    return connection


def _module(db: Either) -> Any:
    return driver if isinstance(db, driver.Connection) else sqlite3


# ---- functions ----


def test_functions_of_any_number_of_arguments(db: Either) -> None:
    db.create_function("joined", -1, lambda *values: "-".join(map(str, values)))
    db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
    db.create_function("constant", 0, lambda: b"\x00x")
    db.create_function("nil", 1, lambda value: None)
    sql = "SELECT joined(), joined(1, 'a', NULL), twice(n), twice(a), constant(), nil(1) FROM t ORDER BY id LIMIT 2"
    assert db.execute(sql).fetchall() == [
        ("", "1-a-None", 3.0, "ÄÄ", b"\x00x", None),
        ("", "1-a-None", 4.0, "bb", b"\x00x", None),
    ]
    if isinstance(db, sqlite3.Connection):
        return  # which calls None
    db.create_function("twice", 1, None)
    with pytest.raises(_module(db).OperationalError, match="no such function: twice"):
        db.execute("SELECT twice(1)")


def test_a_function_may_write_and_read_itself(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    db.create_function("keep", 1, lambda n: db.execute("INSERT INTO t(n) VALUES (?) RETURNING id", (n,)).fetchone()[0])
    assert db.execute("SELECT keep(5), keep(6)").fetchall() == [(1, 2)]
    db.execute("UPDATE t SET n = keep(n) WHERE id = 1")
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 3), (2, 6), (3, 5)]


class Product:
    def __init__(self) -> None:
        self.value = 1.0

    def step(self, value: float, factor: float = 1) -> None:
        self.value *= value * factor

    def finalize(self) -> float:
        return self.value


class WindowSum:
    def __init__(self) -> None:
        self.total = 0.0

    def step(self, value: float) -> None:
        self.total += value

    def inverse(self, value: float) -> None:
        self.total -= value

    def value(self) -> float:
        return self.total

    def finalize(self) -> float:
        return self.total


def test_aggregates(db: Either) -> None:
    db.create_aggregate("product", -1, Product)
    assert db.execute("SELECT product(n), product(n, 2) FROM t").fetchall() == [(12.0, 96.0)]
    assert db.execute("SELECT product(n) FROM t WHERE false").fetchall() == [(None,)]
    assert db.execute("SELECT id % 2, product(n) FROM t GROUP BY 1").fetchall() == [(0, 2.0), (1, 6.0)]
    if isinstance(db, sqlite3.Connection):
        return
    db.create_aggregate("product", -1, None)
    with pytest.raises(_module(db).OperationalError, match="no such function"):
        db.execute("SELECT product(n) FROM t")


def test_window_functions(db: Either) -> None:
    if not hasattr(db, "create_window_function"):
        pytest.skip("sqlite3 has it from Python 3.11 on")
    db.create_window_function("sums", 1, WindowSum)
    frame = "OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)"
    assert db.execute(f"SELECT sums(n) {frame} FROM t").fetchall() == [(3.5,), (7.5,), (6.0,)]
    assert db.execute("SELECT sums(n) FROM t").fetchall() == [(7.5,)]
    db.create_window_function("sums", 1, None)
    with pytest.raises(_module(db).OperationalError, match=r"no such function|no such window"):
        db.execute(f"SELECT sums(n) {frame} FROM t")


def test_an_aggregate_taken_back_is_unknown_to_returning(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(n)")
    db.create_aggregate("product", 1, Product)
    with pytest.raises(driver.OperationalError, match="misuse of aggregate function product"):
        db.execute("INSERT INTO t VALUES (1) RETURNING product(n)")
    db.create_aggregate("product", 1, None)
    with pytest.raises(driver.OperationalError, match="no such function: product"):
        db.execute("INSERT INTO t VALUES (1) RETURNING product(n)")
    db.create_function("product", 1, lambda n: n)
    assert db.execute("INSERT INTO t VALUES (1) RETURNING product(n)").fetchall() == [(1,)]


def test_collations(db: Either) -> None:
    db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    sql = "SELECT a FROM t ORDER BY a COLLATE backwards"
    assert db.execute(sql).fetchall() == [(None,), ("Ä",), ("b",)]
    assert db.execute("SELECT max(a COLLATE backwards) FROM t").fetchall() == [("b",)]
    db.create_collation("backwards", None)
    with pytest.raises(_module(db).OperationalError, match="no such collation sequence: backwards"):
        db.execute(sql)


def test_a_collation_of_this_process_cannot_be_in_the_file(connect: Connect) -> None:
    db = connect()
    db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    for sql in ("CREATE TABLE u(a COLLATE backwards)", "CREATE TABLE u(a, UNIQUE (a COLLATE backwards))"):
        with pytest.raises(driver.NotSupportedError):
            db.execute(sql)
    db.execute("CREATE TABLE u(a)")
    with pytest.raises(driver.NotSupportedError):
        db.execute("CREATE INDEX i ON u(a COLLATE backwards)")


# ---- rows ----


def test_row_factory_of_a_connection_and_of_a_cursor(db: Either) -> None:
    db.row_factory = lambda cursor, row: dict(zip((column[0] for column in cursor.description), row, strict=True))
    assert db.execute("SELECT id, a AS name FROM t WHERE id = 2").fetchone() == {"id": 2, "name": "b"}
    cursor = db.cursor()
    assert cursor.row_factory is db.row_factory
    assert cursor.execute("INSERT INTO t(a) VALUES ('x') RETURNING id, a").fetchall() == [{"id": 4, "a": "x"}]
    assert cursor.execute("PRAGMA user_version").fetchone() == {"user_version": 0}
    assert list(cursor.execute("SELECT id FROM t ORDER BY id LIMIT 2")) == [{"id": 1}, {"id": 2}]
    assert cursor.execute("SELECT id FROM t ORDER BY id").fetchmany(1) == [{"id": 1}]
    assert cursor.execute("SELECT 1 WHERE false").fetchone() is None
    db.row_factory = None
    plain = db.cursor()
    assert plain.execute("SELECT 1").fetchone() == (1,)
    plain.row_factory = lambda cursor, row: list(row)
    assert plain.execute("SELECT 1, 2").fetchone() == [1, 2]
    assert db.execute("SELECT 1").fetchall() == [(1,)]


def test_rows_by_name_and_position(db: Either) -> None:
    Row = _module(db).Row
    db.row_factory = Row
    row, other = db.execute("SELECT id, a AS Name, n, 7 AS id FROM t ORDER BY 1 LIMIT 2").fetchall()
    assert type(row) is Row
    assert (row["id"], row["NAME"], row[2], row[-1], row[1:3], len(row)) == (1, "Ä", 1.5, 7, ("Ä", 1.5), 4)
    assert (row.keys(), list(row), tuple(row)) == (["id", "Name", "n", "id"], [1, "Ä", 1.5, 7], (1, "Ä", 1.5, 7))
    first, name, *_ = row
    assert (first, name, dict(row)["Name"], 7 in row) == (1, "Ä", "Ä", True)
    again = db.execute("SELECT id, a AS Name, n, 7 AS id FROM t ORDER BY 1 LIMIT 1").fetchone()
    assert row == again
    assert hash(row) == hash(again)
    assert row != other
    assert row != (1, "Ä", 1.5, 7)
    for key in ("missing", 4, -5):
        with pytest.raises(IndexError):
            row[key]
    assert "Row" in repr(row)


def test_text_factory(db: Either) -> None:
    db.text_factory = bytes
    found = db.execute("SELECT a, n, 'x' FROM t ORDER BY id").fetchall()
    assert found[::2] == [("Ä".encode(), 1.5, b"x"), (None, 4.0, b"x")]
    db.text_factory = lambda data: data.decode("utf-8").upper()
    db.row_factory = _module(db).Row
    assert db.execute("SELECT a AS \"A b\" FROM t WHERE id = 2").fetchone()["a B"] == "B"
    db.text_factory, db.row_factory = str, None
    assert db.execute("SELECT a FROM t WHERE id = 2").fetchone() == ("b",)


def test_the_drivers_own_reading_is_not_shaped(connect: Connect) -> None:
    db = connect()
    db.row_factory = lambda cursor, row: None
    db.text_factory = bytes
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES ('x')")
    db.execute("ALTER TABLE t ADD COLUMN b DEFAULT 2")
    db.execute("CREATE INDEX i ON t(a)")
    assert list(db.iterdump())[1:-1] == [
        "CREATE TABLE t(a, b DEFAULT 2);", "INSERT INTO \"t\" VALUES('x',2);", "CREATE INDEX i ON t(a);"
    ]
    assert len(list(db.execute("EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 1"))) == 1


def test_a_half_fetched_shaped_cursor_survives_a_schema_change(connect: Connect) -> None:
    db = connect()
    db.row_factory = driver.Row
    db.execute("CREATE TABLE t(a)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(5)])
    cursor = db.execute("SELECT a FROM t ORDER BY a")
    assert cursor.fetchone()["a"] == 0
    db.execute("DROP TABLE t")
    assert [row["a"] for row in cursor] == [1, 2, 3, 4]


# ---- state ----


def test_in_transaction_total_changes_and_isolation_level(db: Either) -> None:
    before = db.total_changes
    assert not db.in_transaction
    db.execute("UPDATE t SET n = n + 1")
    assert db.in_transaction
    assert db.total_changes - before == 3
    db.executemany("INSERT INTO t(id, a) VALUES (?, 'x') ON CONFLICT DO NOTHING", [(1,), (7,), (8,)])
    assert db.total_changes - before == 5
    db.rollback()
    assert not db.in_transaction
    db.isolation_level = None
    db.execute("DELETE FROM t WHERE id = 1")
    assert not db.in_transaction
    db.execute("BEGIN IMMEDIATE")
    assert db.in_transaction
    db.execute("ROLLBACK")
    db.isolation_level = "DEFERRED"
    db.execute("CREATE TABLE u(x)")
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_ddl_does_not_count_as_changes(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.execute("CREATE INDEX i ON t(a)")
    db.execute("INSERT INTO t VALUES (1), (2)")
    db.execute("ALTER TABLE t ADD COLUMN b")
    assert db.total_changes == 2


def test_autocommit_is_the_isolation_level(connect: Connect) -> None:
    db = connect()
    assert (db.autocommit, db.isolation_level) == (False, "DEFERRED")
    db.autocommit = True
    assert (db.autocommit, db.isolation_level) == (True, None)
    db.autocommit = False
    assert db.isolation_level == "DEFERRED"


def test_connection_as_context_manager(db: Either) -> None:
    with db:
        db.execute("DELETE FROM t WHERE id = 1")
    with pytest.raises(_module(db).ProgrammingError), db:
        db.executemany("DELETE FROM t WHERE id = ?", [(1,), (2,), ()])
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_executescript(db: Either) -> None:
    db.execute("INSERT INTO t(id) VALUES (9)")
    cursor = db.executescript("""
        CREATE TABLE u(a); -- a comment; with a semicolon
        INSERT INTO u VALUES (';'), ('it''s');
        BEGIN; INSERT INTO u VALUES (3); COMMIT;
        SELECT 1; /* ; */
    """)
    assert cursor.connection is db
    assert not db.in_transaction
    assert db.execute("SELECT a FROM u").fetchall() == [(";",), ("it's",), (3,)]
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(4,)]
    with pytest.raises(_module(db).OperationalError):
        db.executescript("INSERT INTO u VALUES (4); SELEC; INSERT INTO u VALUES (5)")
    assert db.execute("SELECT count(*) FROM u").fetchall() == [(4,)]


def test_interrupt_from_a_function(db: Either) -> None:
    db.create_function("stop", 0, db.interrupt)
    with pytest.raises(_module(db).OperationalError, match="interrupted"):
        db.execute(
            "WITH RECURSIVE c(x) AS (VALUES (0) UNION ALL SELECT x + 1 FROM c WHERE x < 1000000)"
            " SELECT count(*) FROM c WHERE x <> 5 OR stop() IS NULL"
        ).fetchall()
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(3,)]


def test_progress_handler(db: Either) -> None:
    calls: list[int] = []
    db.set_progress_handler(lambda: calls.append(1), 10)
    db.execute("SELECT count(*) FROM t, t AS u, t AS v WHERE t.n + u.n + v.n > 3").fetchall()
    assert calls
    db.set_progress_handler(lambda: 1, 10)
    with pytest.raises(_module(db).OperationalError, match="interrupted"):
        db.execute("SELECT count(*) FROM t, t AS u, t AS v WHERE t.n + u.n + v.n > 3").fetchall()
    db.set_progress_handler(None, 10)
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(3,)]


def test_limits(db: Either) -> None:
    if not hasattr(db, "getlimit"):
        pytest.skip("sqlite3 has it from Python 3.11 on")
    category = 1  # the length of a statement
    before = db.setlimit(category, 30)
    assert db.getlimit(category) == 30
    with pytest.raises(_module(db).DataError):
        db.execute("SELECT 'a statement of more than thirty letters'")
    assert db.setlimit(category, before) == 30
    with pytest.raises(_module(db).ProgrammingError):
        db.getlimit(99)


def test_extensions_are_off_until_enabled(db: Either) -> None:
    if not hasattr(db, "load_extension"):
        pytest.skip("this sqlite3 module was built without them")
    module = _module(db)
    with pytest.raises(module.OperationalError):
        db.load_extension("./no_such_extension")
    db.enable_load_extension(True)
    with pytest.raises(module.OperationalError, match="no_such_extension"):
        db.load_extension("./no_such_extension")
    db.enable_load_extension(False)


def test_complete_statement(db: Either) -> None:
    for sql in ("SELECT 1;", "SELECT 1", "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1;", "-- x\n;", "'a;"):
        assert _module(db).complete_statement(sql) == sqlite3.complete_statement(sql)


def test_a_cursor_of_another_class(db: Either) -> None:
    class Mine(_module(db).Cursor):  # type: ignore[misc]
        pass

    assert type(db.cursor(Mine)) is Mine
    assert db.cursor(factory=Mine).execute("SELECT 1").fetchone() == (1,)


# ---- copies ----

_EDGES = [
    *((1, "a\0b", 0.1), (2, "it's\n", -0.0), (3, "", 1e300), (4, None, float("inf")), (5, "ß" * 300, 5e-324)),
    (6, b"\0", 2**53),
]


def _copied(target: Either) -> list[Any]:
    return [
        target.execute("SELECT id, typeof(a), CAST(a AS BLOB), n FROM t ORDER BY id").fetchall(),
        target.execute("SELECT * FROM k ORDER BY 1").fetchall(),
        target.execute("SELECT * FROM v ORDER BY 1").fetchall(),
        target.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1").fetchall(),
        target.execute("PRAGMA foreign_key_list(k)").fetchall(),
    ]


@pytest.fixture
def filled(connect: Connect) -> driver.Connection:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE k(x TEXT, y INT REFERENCES t, PRIMARY KEY (x, y)) WITHOUT ROWID")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, n REAL)")
    db.execute("CREATE INDEX named ON t(n, a DESC)")
    db.execute("CREATE VIEW v AS SELECT id * 2 AS d FROM t")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", _EDGES)
    db.execute("INSERT INTO k VALUES ('z', 1), ('a', 6)")
    db.commit()
    return db


@pytest.mark.parametrize("kind", ["sqlite3", "entitydb", "memory"])
@pytest.mark.parametrize("way", ["backup", "dump"])
def test_a_copy_has_everything(filled: driver.Connection, tmp_path: Any, kind: str, way: str) -> None:
    target: Either
    if kind == "sqlite3":
        target = sqlite3.connect(":memory:")
    else:
        target = driver.connect(":memory:" if kind == "memory" else tmp_path / "copy.edb")
    if way == "dump":
        target.executescript("PRAGMA foreign_keys = OFF;" + "\n".join(filled.iterdump()))
    else:
        seen: list[tuple[int, int, int]] = []
        filled.backup(target, progress=lambda *args: seen.append(args))
        assert seen == [(0, 1, 2), (0, 0, 2)]
        assert not target.in_transaction
        assert not filled.in_transaction
        enforced = target.execute("PRAGMA foreign_keys").fetchall()
        assert enforced == [(0 if kind == "sqlite3" else 1,)]
    assert _copied(target) == _copied(filled)
    if kind != "sqlite3":
        assert target.database.check()[0] == []
    target.close()


def test_a_backup_that_fails_leaves_the_target_as_it_was(filled: driver.Connection) -> None:
    target = driver.connect(":memory:")
    target.execute("CREATE TABLE t(other)")
    target.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(driver.ProgrammingError, match="open transaction"):
        filled.backup(target)
    target.commit()
    with pytest.raises(driver.OperationalError, match="table t already exists"):
        filled.backup(target)
    assert not target.in_transaction
    assert target.execute("SELECT * FROM t").fetchall() == [(1,)]
    assert target.execute("PRAGMA foreign_keys").fetchall() == [(1,)]
    assert target.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchall() == [(1,)]
    with pytest.raises(driver.NotSupportedError):
        filled.backup(target, name="temp")
    target.close()


def test_a_dump_is_of_one_moment(filled: driver.Connection, connect: Connect) -> None:
    dump = filled.iterdump()
    found = [next(dump) for _ in range(3)]
    other = connect()
    other.execute("DELETE FROM k")
    other.execute("UPDATE t SET a = 'changed' WHERE a IS NOT 'x'")
    other.commit()
    found += dump
    assert "changed" not in "".join(found)
    assert not filled.in_transaction
    assert sum("INSERT INTO \"k\"" in line for line in found) == 2


# ---- what is not there ----


@pytest.mark.parametrize("name", [
    "blobopen", "serialize", "deserialize", "set_authorizer", "set_trace_callback", "getconfig", "setconfig",
])
def test_what_is_not_there_is_not_pretended(connect: Connect, name: str) -> None:
    """docs/driver.md says why."""
    assert not hasattr(connect(), name)


def test_apsw_is_reachable_underneath(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    assert isinstance(db.apsw, apsw.Connection)
    assert db.apsw.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
