"""Many tables: a DDL statement looks at its own, and all are declared at once to a new connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.schemas import content, schema

from ..asking import rows

Connect = Callable[..., driver.Connection]

NAMES = [f"t{i}" for i in range(60)] + ['q "uoted', "größe", "select", "with space", "x'y", "entity"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def many(connect: Connect) -> driver.Connection:
    """The tables NAMES, each with an index and a row, and two views."""
    db = connect()
    for i, name in enumerate(NAMES):
        db.execute(f"CREATE TABLE {quoted(name)}(id INTEGER PRIMARY KEY, a TEXT UNIQUE)")
        db.execute(f"CREATE INDEX {quoted('of ' + name)} ON {quoted(name)}(a, id)")
        db.execute(f"INSERT INTO {quoted(name)} VALUES ({i}, 'row {i}')")
    db.execute("CREATE VIEW v AS SELECT a FROM t1 UNION ALL SELECT a FROM t2")
    db.execute("CREATE VIEW w AS SELECT name FROM sqlite_master WHERE name = 't3'")
    db.commit()
    return db


def entries_read(db: driver.Connection, monkeypatch: pytest.MonkeyPatch, *statements: str) -> int:
    """How many entries of the catalog statements read."""
    read = 0
    decode = content._catalog.decode

    def counted(payload: bytes) -> Any:
        nonlocal read
        read += 1
        return decode(payload)

    with monkeypatch.context() as patched:
        patched.setattr(content._catalog, "decode", counted)
        for sql in statements:
            db.execute(sql)
    return read


DDL = (
    "CREATE TABLE new(id INTEGER PRIMARY KEY, a)", "CREATE INDEX new_a ON new(a)", "CREATE VIEW new_v AS SELECT 1",
    "ALTER TABLE new ADD COLUMN b", "DROP VIEW new_v", "DROP INDEX new_a", "PRAGMA user_version = 5", "DROP TABLE new",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("begin", [["BEGIN"], ["SAVEPOINT s"], []])
def test_ddl_reads_its_own_entries_alone(
    many: driver.Connection, monkeypatch: pytest.MonkeyPatch, begin: list[str]
) -> None:
    """In a transaction, and where each statement is one."""
    few = driver.connect()
    for db in (many, few):
        db.isolation_level = None
    read = [entries_read(db, monkeypatch, *begin, *DDL) for db in (many, few)]
    assert read[0] == read[1] <= len(DDL)
    few.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_own_ddl_is_not_followed_but_that_of_others(
    many: driver.Connection, connect: Connect, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    other = connect()
    for db in (many, other):
        db.isolation_level = None
    assert entries_read(many, monkeypatch, "BEGIN", "CREATE TABLE one(a)", end, "SELECT * FROM t1") == 1
    other.execute("CREATE TABLE two(a)")
    assert entries_read(many, monkeypatch, "SELECT * FROM two") >= len(NAMES)
    many.execute("BEGIN")
    many.execute("CREATE TABLE three(a)")
    other.execute("CREATE TABLE four(a)")
    with pytest.raises(driver.SerializationFailure):
        many.execute("COMMIT")
    many.rollback()
    many.execute("SELECT * FROM four")
    with pytest.raises(driver.OperationalError, match="no such table: three"):
        many.execute("SELECT * FROM three")


def shown(db: driver.Connection) -> list[Any]:
    found = [rows(db, f"SELECT * FROM {quoted(name)} WHERE a = 'row {i}'") for i, name in enumerate(NAMES)]
    found += [rows(db, "SELECT * FROM v"), rows(db, "SELECT * FROM w"), rows(db, "SELECT name, sql FROM sqlite_master")]
    return [*found, rows(db, "PRAGMA table_list"), rows(db, "SELECT a FROM main.t5 JOIN main.größe USING (a)")]


@pytest.mark.slow
def test_a_new_connection_declares_all_at_once(
    many: driver.Connection, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = connect()
    monkeypatch.setattr(schema, "_AT_ONCE", 1_000_000)
    one_by_one = connect()
    assert shown(at_once) == shown(one_by_one) == shown(many)
    for db in (at_once, one_by_one):
        assert rows(db, "SELECT id FROM t7") == [(7,)]
        with pytest.raises(driver.IntegrityError):
            db.execute("INSERT INTO t7(a) VALUES ('row 7')")
        db.rollback()


@pytest.mark.slow
def test_what_is_declared_at_once_can_change(many: driver.Connection, connect: Connect) -> None:
    db = connect()
    db.execute("ALTER TABLE t1 RENAME TO renamed")
    db.execute("DROP TABLE t4")
    db.execute("CREATE TABLE t4(other)")
    assert rows(db, "SELECT * FROM v") == [("row 1",), ("row 2",)]
    db.rollback()
    assert shown(db) == shown(many)
    db.rollback()
    many.execute("DROP TABLE t9")
    many.execute("ALTER TABLE t8 ADD COLUMN b DEFAULT 5")
    many.commit()
    assert rows(db, "SELECT * FROM t8") == [(8, "row 8", 5)]
    with pytest.raises(driver.OperationalError, match="no such table: t9"):
        db.execute("SELECT * FROM t9")
    assert db.database.check()[0] == []


def test_an_attached_database_declares_all_at_once(many: driver.Connection) -> None:
    path = rows(many, "PRAGMA database_list")[0][2]
    host = driver.connect()
    host.execute("ATTACH ? AS 'other one'", (path,))
    for i, name in enumerate(NAMES):
        assert rows(host, f'SELECT id FROM "other one".{quoted(name)}') == [(i,)]
    assert rows(host, 'SELECT * FROM "other one".v') == [("row 1",), ("row 2",)]
    host.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("CREATE TABLE T5(x)", "table T5 already exists"),
        ('CREATE TABLE "OF T5"(x)', 'there is already an index named "OF T5"'),
        ("CREATE VIEW t5 AS SELECT 1", "table t5 already exists"),
        ('CREATE INDEX "of t5" ON t6(a)', "index of t5 already exists"),
        ("CREATE INDEX t5 ON t6(a)", "there is already a table named t5"),
        ("ALTER TABLE t6 RENAME TO v", "there is already another table or index with this name: v"),
    ],
)
def test_names_are_free_among_all(many: driver.Connection, sql: str, refused: str) -> None:
    with pytest.raises(driver.OperationalError) as caught:
        many.execute(sql)
    assert str(caught.value) == refused
    many.rollback()
