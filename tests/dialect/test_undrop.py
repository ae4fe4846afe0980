"""undrop(): a dropped table comes back with its rows, indexes, constraints and tags, a column with its values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, NoSuchTableError, OperationalError
from sqlalchemy.orm import Session

from entitydb_dialect import at, commit_moment, undrop

MADE = (
    "CREATE TABLE p (id INTEGER PRIMARY KEY)",
    "INSERT INTO p VALUES (1), (2)",
    """CREATE TABLE t (
        a VARCHAR(20) NOT NULL CONSTRAINT t_a UNIQUE, b INTEGER CONSTRAINT t_b CHECK (b > 0),
        p INTEGER REFERENCES p(id) ON DELETE CASCADE, g AS (b + 1), state TEXT TAG 'state', "or""der" DEFAULT 'o'
    )""",
    "INSERT INTO t (a, b, p, state) VALUES ('one', 1, 1, 'open'), ('two', 2, 2, 'shut'), ('three', 3, 1, NULL)",
    "DELETE FROM t WHERE a = 'one'",
    "CREATE INDEX t_ib ON t (b DESC)",
    "CREATE UNIQUE INDEX t_lower ON t (lower(a)) WHERE b > 0",
    "INSERT INTO entitydb_tags (type, entity, tag) VALUES ('t', 2, 'k:v'), ('t', 3, 'k:w')",
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"entitydb:///{tmp_path}/test.edb")
    yield made
    with made.connect() as connection:
        driver: Any = connection.connection.driver_connection
        assert driver.database.check()[0] == []
    made.dispose()


def do(engine: Engine, *statements: str) -> int:
    with engine.begin() as connection:
        for sql in statements:
            connection.exec_driver_sql(sql)
    return commit_moment(engine)


def ask(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def described(engine: Engine, table: str) -> list[Any]:
    """All that can be told of a table: reflection, texts, rows with their ids, tags."""
    inspector = inspect(engine)
    indexes = [{**one, "dialect_options": str(one.get("dialect_options"))[:20]} for one in inspector.get_indexes(table)]
    columns = [{**one, "type": str(one["type"])} for one in inspector.get_columns(table)]
    return [
        columns, inspector.get_pk_constraint(table), inspector.get_foreign_keys(table), indexes,
        inspector.get_unique_constraints(table), inspector.get_check_constraints(table),
        ask(engine, f"SELECT type, name, sql FROM sqlite_master WHERE tbl_name = '{table}' ORDER BY name"),
        ask(engine, f"SELECT rowid, * FROM {table} ORDER BY rowid"),
        ask(engine, f"SELECT entity, tag FROM entitydb_tags WHERE type = '{table}' ORDER BY entity, tag"),
    ]  # fmt: skip


def test_a_table_as_it_was_last(engine: Engine) -> None:
    do(engine, *MADE)
    last = do(engine, "UPDATE t SET b = 20 WHERE a = 'two'")
    before = described(engine, "t")
    dropped = do(engine, "DROP TABLE t")
    assert undrop(engine, "t") == {"t": dropped - 1}
    assert described(engine, "t") == before
    for sql in ("INSERT INTO t (a) VALUES ('two')", "UPDATE t SET b = 0", "UPDATE t SET p = 9",
                "INSERT INTO t (a, b) VALUES ('TWO', 5)"):  # fmt: skip
        with pytest.raises(IntegrityError):
            do(engine, sql)
    do(engine, "DELETE FROM p WHERE id = 2")
    assert ask(engine, "SELECT a FROM t") == [("three",)]
    with at(engine, last) as past:  # what was there then is there still
        assert past.execute(text("SELECT a, b FROM t ORDER BY b")).all() == [("three", 3), ("two", 20)]


def test_a_table_as_of_a_moment(engine: Engine) -> None:
    then = do(engine, *MADE)
    before = described(engine, "t")
    do(engine, "UPDATE t SET b = 20", "DELETE FROM entitydb_tags WHERE tag = 'k:v'", "DROP INDEX t_ib")
    do(engine, "ALTER TABLE t RENAME COLUMN b TO c", "ALTER TABLE t DROP COLUMN p", "DELETE FROM t WHERE a = 'two'")
    do(engine, "DROP TABLE t")
    assert undrop(engine, "t", as_of=then) == {"t": then}
    assert described(engine, "t") == before


def test_which_of_several(engine: Engine) -> None:
    first = do(engine, "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    do(engine, "DROP TABLE t")
    do(engine, "CREATE TABLE t (b)", "INSERT INTO t VALUES (2)")
    do(engine, "DROP TABLE t")
    undrop(engine, "T")
    assert ask(engine, "SELECT b FROM t") == [(2,)]
    do(engine, "DROP TABLE t")
    undrop(engine, "t", as_of=first)
    assert ask(engine, "SELECT a FROM t") == [(1,)]


def test_rows_of_every_kind_of_table(engine: Engine) -> None:
    do(engine, "CREATE TABLE w (a TEXT PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO w VALUES ('x', 1), ('y', 2)",
       "DELETE FROM w WHERE a = 'x'", "INSERT INTO entitydb_tags (type, entity, tag) VALUES ('w', 2, 'k:v')",
       "CREATE TABLE n (rowid TEXT, oid)", "INSERT INTO n VALUES ('r', 1)",
       "CREATE TABLE s (i INTEGER PRIMARY KEY, r REAL, b BLOB) STRICT", "INSERT INTO s VALUES (-5, 1, x'00ff')",
       "CREATE TABLE e (a)")  # fmt: skip
    before = [ask(engine, f"SELECT * FROM {name}") for name in "wnse"]
    do(engine, "DROP TABLE w", "DROP TABLE n", "DROP TABLE s", "DROP TABLE e")
    undrop(engine, *"wnse")
    assert [ask(engine, f"SELECT * FROM {name}") for name in "wnse"] == before
    assert ask(engine, "SELECT type, entity, tag FROM entitydb_tags") == [("w", 2, "k:v")]
    assert ask(engine, "SELECT _rowid_ FROM n") == [(1,)]


def test_in_the_transaction_of_a_session(engine: Engine) -> None:
    do(engine, *MADE)
    do(engine, "DROP TABLE t")
    with Session(engine) as session:
        undrop(session, "t")
        assert session.scalar(text("SELECT count(*) FROM t")) == 2
        session.rollback()
    with pytest.raises(OperationalError, match="no such table"):
        ask(engine, "SELECT * FROM t")
    with engine.begin() as connection:
        undrop(connection, "t")
    assert ask(engine, "SELECT count(*) FROM t") == [(2,)]


def test_all_or_nothing(engine: Engine) -> None:
    do(engine, *MADE)
    do(engine, "DROP TABLE t")
    do(engine, "DELETE FROM p WHERE id = 2")
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        undrop(engine, "t")
    assert inspect(engine).get_table_names() == ["p"]
    do(engine, "INSERT INTO p VALUES (2)", "CREATE INDEX t_lower ON p (id)")
    with pytest.raises(InvalidRequestError, match="the index t_lower of table t cannot be made again: table p has one"):
        undrop(engine, "t")
    do(engine, "DROP INDEX t_lower")
    undrop(engine, "t")
    assert ask(engine, "SELECT count(*) FROM t") == [(2,)]


def test_tables_that_refer_to_each_other(engine: Engine) -> None:
    do(engine, "CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b(id))",
       "CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES a(id), self REFERENCES b(id))",
       "INSERT INTO a VALUES (1, NULL)", "INSERT INTO b VALUES (7, 1, 8), (8, 1, 7)", "UPDATE a SET b = 7")  # fmt: skip
    do(engine, "PRAGMA defer_foreign_keys = ON", "DROP TABLE a", "DROP TABLE b")
    with pytest.raises(OperationalError, match=r"no such table: main\.b"):
        undrop(engine, "a")
    undrop(engine, "a", "b")
    assert ask(engine, "SELECT * FROM a JOIN b ON b.id = a.b") == [(1, 7, 7, 1, 8)]


def test_what_cannot_be_brought_back_is_told(engine: Engine) -> None:
    made = do(engine, *MADE, "CREATE VIEW v AS SELECT a FROM t")
    for name, message in (("q", "there never was a table q$"), ("t.q", "table t never had a column q"),
                          ("q.a", "there never was a table q.a$")):  # fmt: skip
        with pytest.raises(NoSuchTableError, match=message):
            undrop(engine, name)
    for name, message in (("t", "there is a table t now: rename it or drop it"), ("v", "there is a view v now"),
                          ("t.a", "there is a column t.a now: rename it or drop it")):  # fmt: skip
        with pytest.raises(InvalidRequestError, match=message):
            undrop(engine, name)
    renamed = do(engine, "DROP VIEW v", "ALTER TABLE t RENAME COLUMN b TO c", "ALTER TABLE t RENAME TO u")
    with pytest.raises(InvalidRequestError, match=r"table t was not dropped but renamed to u at .*: rename that one"):
        undrop(engine, "t")
    with pytest.raises(InvalidRequestError, match=r"column u\.b was not dropped but renamed to c: rename that one"):
        undrop(engine, "u.b")
    do(engine, "DROP TABLE u")
    for moment in (made, renamed + 10**12):
        with pytest.raises(NoSuchTableError, match=r"no such table: u at .*; undrop.. needs a moment at which it was"):
            undrop(engine, "u", as_of=moment)
    with pytest.raises(NoSuchTableError, match="there never was a table q; tables that were dropped: u"):
        undrop(engine, "q")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE p")
        with pytest.raises(InvalidRequestError, match="the running transaction has dropped table p: roll it back"):
            undrop(connection, "p")


def test_a_column(engine: Engine) -> None:
    do(engine, *MADE)
    then = do(engine, "ALTER TABLE t ADD COLUMN more TEXT NOT NULL DEFAULT 'd'", "UPDATE t SET more = 'm' WHERE b = 2")
    do(engine, "UPDATE t SET more = 'n', state = 'gone'")
    do(engine, "ALTER TABLE t DROP COLUMN more", "ALTER TABLE t DROP COLUMN state", "ALTER TABLE t DROP COLUMN g")
    do(engine, "INSERT INTO t (a, b) VALUES ('four', 4)", "DELETE FROM t WHERE b = 3")
    undrop(engine, "t.more", as_of=then)
    assert ask(engine, "SELECT a, more FROM t ORDER BY a") == [("four", "d"), ("two", "m")]
    undrop(engine, "t.state")
    undrop(engine, "t.g")
    assert ask(engine, "SELECT a, state, g FROM t ORDER BY a") == [("four", None, 5), ("two", "gone", 3)]
    assert ask(engine, "SELECT tag FROM entitydb_tags WHERE namespace = 'state'") == [("state:gone",)]
    with pytest.raises(IntegrityError):
        do(engine, "UPDATE t SET more = NULL")
